/* SPDX-License-Identifier: MIT
 * Buffers with a line in front of them that says how large they are and which list they are in. */
#include "autograd/step_memory.h"

struct octi_buffer {
    size_t bytes;
    octi_buffer *next;
    char pad[64 - sizeof(size_t) - sizeof(void *)];
};

_Static_assert(sizeof(octi_buffer) == 64, "data is 64-byte aligned");

/* The smallest idle one that is large enough, and not more than twice as large. */
static octi_buffer *pick(octi_step_memory *m, size_t bytes) {
    octi_buffer **best = NULL;
    for (octi_buffer **b = &m->idle; *b; b = &(*b)->next) {
        if ((*b)->bytes < bytes || (*b)->bytes / 2 > bytes) continue;
        if (!best || (*b)->bytes < (*best)->bytes) best = b;
        if ((*best)->bytes == bytes) break;
    }
    if (!best) return NULL;
    octi_buffer *taken = *best;
    *best = taken->next;
    return taken;
}

void *octi_step_take(octi_step_memory *m, size_t bytes, octi_buffer **of) {
    octi_buffer *b = pick(m, bytes);
    if (!b) {
        b = octi_arena_alloc(m->arena, sizeof *b + bytes); /* bytes: of a tensor, checked */
        if (!b) return NULL;
        b->bytes = bytes;
    }
    b->next = NULL;
    if (of) {
        b->next = *of;
        *of = b;
    }
    return b + 1;
}

void octi_step_give(octi_step_memory *m, void *data) {
    if (!m->again || !data) return;
    octi_buffer *b = (octi_buffer *)data - 1;
    b->next = m->idle;
    m->idle = b;
}

void octi_step_give_all(octi_step_memory *m, octi_buffer **of) {
    while (m->again && *of) {
        octi_buffer *b = *of;
        *of = b->next;
        octi_step_give(m, b + 1);
    }
}

void octi_step_reset(octi_step_memory *m) {
    octi_arena_reset(m->arena);
    m->idle = NULL;
}
