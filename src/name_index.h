/* SPDX-License-Identifier: MIT
 * src/name_index.h - what stands under a name, found at once: for registries and files, which may
 * have many names. */
#ifndef OCT_SRC_NAME_INDEX_H
#define OCT_SRC_NAME_INDEX_H

#include <stdint.h>

#include "src/arena.h"

/** Empty where zeroed. */
typedef struct octi_name_index {
    struct octi_name {
        const char *name; /* NULL: free */
        int32_t at;
    } * slot;
    size_t slots, used; /* slots: a power of two */
} octi_name_index;

/** What was put under the name; -1: nothing. */
int32_t octi_name_find(const octi_name_index *x, const char *name);
/** Put `at` (>= 0) under a name, which stays the caller's and must outlive the index; in place of
 *  what stood there. Memory is the arena's, the same at each call. */
oct_status octi_name_put(octi_name_index *x, octi_arena *arena, const char *name, int32_t at);
/** Nothing stands under any name; its memory stays. */
void octi_name_clear(octi_name_index *x);

#endif
