/* SPDX-License-Identifier: MIT
 *   first -> block -> block -> ... ; `current` is the one being filled, later ones are empty and
 *   kept for reuse. */
#include "src/arena.h"

#include <string.h>

#include "src/mem.h"

typedef struct arena_block {
    struct arena_block *next;
    size_t size, used; /* payload bytes; payload begins 64 bytes behind the block */
} arena_block;

struct octi_arena {
    oct_ctx *ctx;
    arena_block *first, *current;
    bool kept, read_often;
};

/* A page is what octi_alloc makes of PAGE: its header and the block's come on top. The same of a
 * large page (src/mem.c). */
enum {
    HEADER = 64,
    MIN_BLOCK = 1 << 20,
    PAGE = 4096 - 2 * HEADER,
    LARGE_PAGE = OCTI_LARGE_PAGE - 2 * HEADER
};

octi_arena *octi_arena_new(oct_ctx *ctx) {
    octi_arena *a = octi_alloc(ctx, sizeof *a);
    if (a) a->ctx = ctx;
    return a;
}

octi_arena *octi_arena_new_kept(oct_ctx *ctx) {
    octi_arena *a = octi_arena_new(ctx);
    if (a) a->kept = true;
    return a;
}

octi_arena *octi_arena_new_read_often(oct_ctx *ctx) {
    octi_arena *a = octi_arena_new_kept(ctx);
    if (a) a->read_often = true;
    return a;
}

oct_ctx *octi_arena_ctx(const octi_arena *a) { return a->ctx; }

void octi_arena_free(octi_arena *a) {
    if (!a) return;
    for (arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        octi_free(a->ctx, b);
    }
    octi_free(a->ctx, a);
}

void *octi_arena_alloc(octi_arena *a, size_t bytes) {
    size_t need;
    if (!octi_add_size(bytes, 63, &need))
        return octi_fail(OCT_ELIMIT, "arena", "size overflows", NULL, NULL, NULL), NULL;
    need &= ~(size_t)63;
    arena_block *b = a->current;
    while (b && b->size - b->used < need) {
        b = b->next;
        if (b) b->used = 0, a->current = b;
    }
    if (!b) {
        /* Blocks double in size, so a step of any size settles after a few blocks. */
        size_t size = a->current ? 2 * a->current->size : MIN_BLOCK;
        if (a->kept) size = PAGE;
        if (a->read_often) size = LARGE_PAGE + need / LARGE_PAGE * OCTI_LARGE_PAGE;
        if (size < need) size = need;
        b = octi_alloc_raw(a->ctx, HEADER + size);
        if (!b) return NULL;
        *b = (arena_block){NULL, size, 0};
        if (a->current) {
            b->next = a->current->next;
            a->current->next = b;
        } else
            a->first = b;
        a->current = b;
    }
    void *p = (char *)b + HEADER + b->used;
    b->used += need;
    return p;
}

void *octi_arena_calloc(octi_arena *a, size_t n, size_t size) {
    size_t bytes;
    if (!octi_mul_size(n, size, &bytes))
        return octi_fail(OCT_ELIMIT, "arena", "size overflows", NULL, NULL, NULL), NULL;
    void *p = octi_arena_alloc(a, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

char *octi_arena_strdup(octi_arena *a, const char *s) {
    size_t n = strlen(s) + 1;
    char *p = octi_arena_alloc(a, n);
    return p ? memcpy(p, s, n) : NULL;
}

octi_arena_mark octi_arena_save(const octi_arena *a) {
    return (octi_arena_mark){a->current, a->current ? a->current->used : 0};
}

void octi_arena_rewind(octi_arena *a, octi_arena_mark m) {
    if (!m.block) return octi_arena_reset(a);
    a->current = m.block;
    a->current->used = m.used;
}

size_t octi_arena_used(const octi_arena *a) {
    size_t bytes = 0;
    for (const arena_block *b = a->first; b; b = b->next) {
        bytes += b->used;
        if (b == a->current) break;
    }
    return bytes;
}

void octi_arena_reset(octi_arena *a) {
    a->current = a->first;
    if (a->current) a->current->used = 0;
}
