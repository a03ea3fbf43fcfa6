/* SPDX-License-Identifier: MIT
 * tests/paths_fix.h - the ways that nets went which were held against each other: breadth by path,
 * not by luck. */
#ifndef OCT_TESTS_PATHS_FIX_H
#define OCT_TESTS_PATHS_FIX_H

#include "qat/net/backend.h"
#include "qat/int8/int8.h"
#include "src/paths.h"
#include "tests/oct_test.h"

typedef struct ways {
    uint64_t n[OCTI_SIDES][OCTI_PATH_COUNT];
} ways;

/** What a context's nets did, before it is closed. */
static inline void ways_add(ways *w, oct_ctx *ctx) {
    const octi_paths *p = octi_ctx_paths(ctx);
    for (int s = 0; s < OCTI_SIDES; s++)
        for (int k = 0; k < OCTI_PATH_COUNT; k++) w->n[s][k] += p->taken[s][k];
}

/* Prints each way that was never taken; how many. */
static inline int ways_want(const ways *w, octi_side side, int path, const char *what,
                            const char *name) {
    static const char *const sides[] = {"training", "evaluation", "the plan"};
    if (w->n[side][path] > 0) return 0;
    printf("%s %s was never taken in %s by a net that was compared\n", what, name, sides[side]);
    return 1;
}

/** Every kind that can be codes or stay float, and every branch, was compared; what the law forbids
 *  was not taken. */
static inline void ways_cover(const ways *w) {
    static const struct {
        const char *name;
        unsigned must, never;
    } rows[] = {
        {"none", 0, 0},
#define OCT_PATH(name, must, never) {#name, must, never},
#include "src/paths.def"
#undef OCT_PATH
    };
    int missing = 0;
    for (int i = 1; i < OCTI_PATH_CODES; i++)
        for (int s = 0; s < OCTI_SIDES; s++) {
            if (rows[i].must >> s & 1)
                missing += ways_want(w, (octi_side)s, i, "branch", rows[i].name);
            if (rows[i].never >> s & 1)
                ck_assert_msg(!w->n[s][i], "branch %s was taken where the law forbids it",
                              rows[i].name);
        }
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        const oct_op_kind kind = (oct_op_kind)k;
        const octi_backend_op *b = octi_backend(kind);
        const bool stub = kind == OCT_OP_identity; /* eager nets: tests/test_eager.c */
        if (b->grid[OCTQ_FP32] != OCTI_GRID_NONE && !stub) {
            missing +=
                ways_want(w, OCTI_SIDE_EVAL, OCTI_PATH_CODES + k, "codes of", oct_op_name(kind));
            missing += ways_want(w, OCTI_SIDE_PLAN, OCTI_PATH_CODES + (int)b->int8, "codes of",
                                 oct_op_name(b->int8));
        }
        /* dynamic kinds have no simulation */
        if (!octi_fnode_has(kind) || (oct_op_flags(kind) & OCT_OPF_Q) || stub) continue;
        missing += ways_want(w, OCTI_SIDE_EVAL, OCTI_PATH_FLOAT + k, "float", oct_op_name(kind));
        missing += ways_want(w, OCTI_SIDE_PLAN, OCTI_PATH_FLOAT + k, "float", oct_op_name(kind));
    }
    missing += ways_want(w, OCTI_SIDE_PLAN, OCTI_PATH_CODES + (int)OCT_OP_requantize, "codes of",
                         "requantize");
    ck_assert_msg(!missing, "%d ways were never compared: see above", missing);
}

#endif
