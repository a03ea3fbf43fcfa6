/* SPDX-License-Identifier: MIT
 * Names in slots, by hash: the next free one where the slot is taken, never more than half full. */
#include "src/name_index.h"

#include <string.h>

enum { FEWEST = 16 };

/* FNV-1a. It begins with where the slots lie, so that no file can choose names that meet. */
static size_t hash_of(const octi_name_index *x, const char *s) {
    uint64_t h = UINT64_C(14695981039346656037) ^ (uintptr_t)x->slot;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
    return (size_t)(h ^ (h >> 32));
}

static struct octi_name *slot_of(const octi_name_index *x, const char *name) {
    size_t i = hash_of(x, name) & (x->slots - 1);
    while (x->slot[i].name && strcmp(x->slot[i].name, name)) i = (i + 1) & (x->slots - 1);
    return &x->slot[i];
}

int32_t octi_name_find(const octi_name_index *x, const char *name) {
    const struct octi_name *s = x->slots ? slot_of(x, name) : NULL;
    return s && s->name ? s->at : -1;
}

static oct_status grow(octi_name_index *x, octi_arena *arena) {
    octi_name_index more = {.slots = x->slots ? 2 * x->slots : FEWEST, .used = x->used};
    if (!(more.slot = octi_arena_calloc(arena, more.slots, sizeof *more.slot)))
        return oct_last_error()->code;
    for (size_t i = 0; i < x->slots; i++)
        if (x->slot[i].name) *slot_of(&more, x->slot[i].name) = x->slot[i];
    *x = more;
    return OCT_OK;
}

oct_status octi_name_put(octi_name_index *x, octi_arena *arena, const char *name, int32_t at) {
    if (2 * (x->used + 1) > x->slots) OCT_TRY(grow(x, arena));
    struct octi_name *s = slot_of(x, name);
    x->used += !s->name;
    *s = (struct octi_name){name, at};
    return OCT_OK;
}

void octi_name_clear(octi_name_index *x) {
    if (x->slots) memset(x->slot, 0, x->slots * sizeof *x->slot);
    x->used = 0;
}
