/* SPDX-License-Identifier: MIT
 * src/paths.h - which ways a context's nets have gone: a count for every op kind, on codes and in
 * floats, and for every branch of paths.def, in training, in evaluation and in plans. For the tests
 * of exactness, which fail where one that exists was never compared. One plain increment per op
 * call; counts may be lost between threads, a way that was taken may not. */
#ifndef OCT_SRC_PATHS_H
#define OCT_SRC_PATHS_H

#include <stdatomic.h>

#include "graph.h"

typedef enum octi_side { OCTI_SIDE_TRAIN, OCTI_SIDE_EVAL, OCTI_SIDE_PLAN, OCTI_SIDES } octi_side;

typedef enum octi_path {
    OCTI_PATH_NONE,
#define OCT_PATH(name, must, never) OCTI_PATH_##name,
#include "paths.def"
#undef OCT_PATH
    OCTI_PATH_CODES,                                       /* + kind: the value is codes */
    OCTI_PATH_FLOAT = OCTI_PATH_CODES + OCT_OP_KIND_COUNT, /* + kind */
    OCTI_PATH_COUNT = OCTI_PATH_FLOAT + OCT_OP_KIND_COUNT
} octi_path;

typedef struct octi_paths {
    _Atomic uint32_t taken[OCTI_SIDES][OCTI_PATH_COUNT];
} octi_paths;

/** Of a context, as long as it lives. */
octi_paths *octi_ctx_paths(oct_ctx *ctx);

static inline void octi_path_count(octi_paths *p, octi_side side, int path) {
    _Atomic uint32_t *n = &p->taken[side][path];
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1u,
                          memory_order_relaxed);
}
#endif
