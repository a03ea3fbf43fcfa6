/* SPDX-License-Identifier: MIT
 * src/arena.h - memory that lives for one step: bump allocation, rewound in O(1). One user at a
 * time. Grows by whole blocks during the first steps; once the largest step was seen, nothing is
 * allocated any more. */
#ifndef OCT_SRC_ARENA_H
#define OCT_SRC_ARENA_H

#include "context.h"

typedef struct octi_arena octi_arena;

typedef struct octi_arena_mark { /* a place to come back to */
    void *block;
    size_t used;
} octi_arena_mark;

octi_arena *octi_arena_new(oct_ctx *ctx);
/** For what is kept (a graph's names, a plan): blocks of a page, or as large as what is asked for,
 *  and none in advance. */
octi_arena *octi_arena_new_kept(oct_ctx *ctx);
/** The same for much that every run reads (a plan's weights): in large pages. */
octi_arena *octi_arena_new_read_often(oct_ctx *ctx);
void octi_arena_free(octi_arena *a);
/** The context that it lives in. */
oct_ctx *octi_arena_ctx(const octi_arena *a);
/** 64-byte aligned, not zeroed; NULL (recorded) on failure. */
void *octi_arena_alloc(octi_arena *a, size_t bytes);
void *octi_arena_calloc(octi_arena *a, size_t n, size_t size);
char *octi_arena_strdup(octi_arena *a, const char *s);
octi_arena_mark octi_arena_save(const octi_arena *a);
/** Everything taken since the mark is gone. */
void octi_arena_rewind(octi_arena *a, octi_arena_mark m);
/** Bytes taken at this moment. */
size_t octi_arena_used(const octi_arena *a);
/** Everything is gone; the blocks stay. */
void octi_arena_reset(octi_arena *a);

#endif
