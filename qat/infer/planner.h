/* SPDX-License-Identifier: MIT
 * qat/infer/planner.h - places values in one block: live ranges, largest first, best-fitting gap,
 * ties by index. */
#ifndef OCT_QAT_INFER_PLANNER_H
#define OCT_QAT_INFER_PLANNER_H

#include "src/context.h"

typedef struct octi_place {
    size_t bytes;        /* a multiple of the alignment; 0: takes no place */
    int32_t first, last; /* steps, both inclusive, during which its bytes must not change hands */
    size_t offset;       /* out */
} octi_place;

/** Fill the offsets; *total = bytes of the block. Two places whose ranges meet never overlap; the
 * total is at most the sum. OCT_ELIMIT where the sum overflows. */
oct_status octi_plan_places(oct_ctx *ctx, octi_place *places, int32_t count, size_t *total);

#endif
