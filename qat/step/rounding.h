/* SPDX-License-Identifier: MIT
 * qat/step/rounding.h - how values become codes in a step: the law, and what its straight-through
 * gradient needs to know. Every rounding of an activation in the simulation ends in
 * octi_round_block. */
#ifndef OCT_QAT_STEP_ROUNDING_H
#define OCT_QAT_STEP_ROUNDING_H

#include "qat/step/codes.h"

enum { OCTI_ROUND_BLOCK = 128 }; /* most values of one call */

/** How a rounding looks to the gradient, in units of the scale (u = x / s). The value passes where
 *  the fused activation was open, u in (floor, top), and the range did not clip: by the rounded
 *  code, or (strict) by u itself, strictly. Bounds are hoisted and nothing branches, so the loops
 *  around it vectorize. */
typedef struct octi_gate {
    float below, above; /* qmin - z, qmax - z */
    float lo, hi;       /* the range holds what is judged */
    float floor, top;
    bool strict;
} octi_gate;

/** Where codes of one quantizer go. */
typedef struct octi_rounding {
    const oct_quantizer *q;
    octi_gate g;
    float s;
    /* codes; lo and hi with the fused activation's limits where that is clamped here */
    int32_t z, lo, hi;
    float *y; /* what the codes stand for */
    uint8_t *codes;
    octi_straight to;
} octi_rounding;

octi_rounding octi_rounding_to(const oct_quantizer *q, oct_act act, float *y, oct_tensor *codes,
                               octi_straight to);
/** u holds n <= OCTI_ROUND_BLOCK values in units of the scale, of elements at, at + 1, ...; r what
 *  a law of its own rounded them to, whole numbers: NULL: to the nearest, half to even. */
void octi_round_block(const octi_rounding *to, int64_t at, const float *restrict u,
                      const float *restrict r, int32_t n);

#endif
