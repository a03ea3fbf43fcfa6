/* SPDX-License-Identifier: MIT
 * qat/step/codes.h - the arithmetic of the eval forward: exact sums over whole numbers, then the
 * law. It shares src/qround.h and the fold with the int8 plan, and nothing else, so that
 * comparing the two can fail. */
#ifndef OCT_QAT_STEP_CODES_H
#define OCT_QAT_STEP_CODES_H

#include "autograd/tape.h"
#include "qat/scales/weights.h"

/** What the gradient needs to know of a rounding, per element; NULL where it is not wanted. */
typedef struct octi_straight {
    /* u8: OCTI_PASSES where the gradient of the value passes, OCTI_OUTSIDE where the range
     * clipped */
    oct_tensor *mask;
    /* f32: d(value) / d(scale): rne(x/s) - x/s inside, qmin - z or qmax - z outside; learned scales
     * alone */
    oct_tensor *term;
} octi_straight;
/* A mask's byte: 1 the gradient passes; 2 the range clipped (term holds the step's share of it); 0
 * the fused activation closed, which neither passes nor moves a step. Never both. */
enum { OCTI_PASSES = 1, OCTI_OUTSIDE = 2 };

/** x f32 becomes s * (q - z) in place; codes u8. */
void octi_quantize_tensor(oct_ctx *ctx, oct_tensor *x, const oct_quantizer *q, oct_act act,
                          oct_tensor *codes, octi_straight to);

/** Sums of products: whole numbers, as fp32 where they are exact there, else s32, in y's memory. */
typedef struct octi_accumulators {
    void *data;
    bool is_float;
    int64_t pixels;
    int32_t o;
} octi_accumulators;
/** Sums of (q - z) * w for a conv2d, linear or batch_norm node, in the memory of the call's
 *  output; xq: of its input. */
oct_status octi_accumulate_codes(octi_call *c, const oct_quantizer *xq, const octi_qweights *w,
                                 bool fits24, octi_accumulators *acc);
/** Range of the real values behind bias and activation. */
oct_status octi_accumulator_range(oct_ctx *ctx, const octi_accumulators *acc,
                                  const octi_qweights *w, float s_x, oct_act act, float *min,
                                  float *max);
/** The real values themselves, y [pixels, o]: for observers that want more than their range. */
oct_status octi_accumulator_values(oct_ctx *ctx, const octi_accumulators *acc,
                                   const octi_qweights *w, float s_x, oct_act act, float *y);
/** Bias and requant of node n by its law: codes, and values s * (q - z) in y (the accumulators'
 *  memory). */
oct_status octi_requant_tensor(oct_ctx *ctx, const octi_accumulators *acc, const octi_qweights *w,
                               float s_x, const oct_quantizer *q, const oct_node *n, oct_tensor *y,
                               oct_tensor *codes, octi_straight to);

/** Codes of the call's output, whose values are on its inputs' grid already, between its own
 *  clamps; out_codes is there. */
void octi_codes_on_grid(octi_call *c, const oct_quantizer *q);
/** A node with a grid of its own and no weights, from codes to codes; fills out, out_codes
 *  (allocated) and `to`. */
oct_status octi_own_on_codes(octi_call *c, const oct_quantizer *q, octi_straight to);
/** It has arithmetic for this kind. */
bool octi_own_has(oct_op_kind kind);

#endif
