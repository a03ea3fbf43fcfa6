/* SPDX-License-Identifier: MIT
 * qat/improve/improve_internal.h - shared by equalize.c, correct_bias.c and adaround.c. */
#ifndef OCT_QAT_IMPROVE_IMPROVE_INTERNAL_H
#define OCT_QAT_IMPROVE_IMPROVE_INTERNAL_H

#include <math.h>

#include "qat/scales/weights.h"

enum { OCTI_IMPROVE_BATCH = 32 };

/* AdaRound's pieces, each a formula of the paper. */

/** h(v), the rectified sigmoid: stretched to (-0.1, 1.1), clipped to [0, 1]. */
static inline float octi_rectified(float v) {
    float h = 1.2f / (1 + expf(-v)) - 0.1f;
    return h < 0 ? 0 : h > 1 ? 1 : h;
}
/** Its slope; 0 where it is clipped. */
static inline float octi_rectified_slope(float v) {
    float s = 1 / (1 + expf(-v)), h = 1.2f * s - 0.1f;
    return h <= 0 || h >= 1 ? 0 : 1.2f * s * (1 - s);
}
/** The v of which h is `part`, inside (0, 1). */
static inline float octi_rectified_inverse(float part) { return -logf(1.2f / (part + 0.1f) - 1); }
/** Derivative by h of reg (1 - |2 h - 1|^beta), the term that drives h to 0 or 1. */
static inline float octi_rounding_push(float reg, float beta, float h) {
    float t = 2 * h - 1;
    return -(reg * beta * powf(fabsf(t), beta - 1) * (t < 0 ? -2.0f : 2.0f));
}
/** beta at `done` of the way, 0 to 1: from 20 to 2 along half a cosine behind a fifth without the
 *  term (0). */
static inline float octi_rounding_beta(float done) {
    float along = (done - 0.2f) / 0.8f;
    return along > 0 ? 2 + 9 * (1 + cosf(along * 3.14159265f)) : 0;
}

/** Inputs of the net's shape, one at least. */
oct_status octi_improve_fits(const oct_net *net, const oct_tensor *x, const char *where);
/** A calibrated net, its ranges chosen now, and inputs that fit it; or the reason why not. */
oct_status octi_improve_check(oct_net *net, const oct_tensor *x, const char *where);
/** What a layer adds per output channel: beta behind a batch norm, else the bias; NULL where it has
 *  none. */
float *octi_bias_of(const oct_graph *g, const oct_node *n);

/** x [images, rows, c]: the sum of each of the c columns, or of its squares, in double: by slots of
 *  the batch's cut, folded along its tree. */
oct_status octi_column_sums(oct_ctx *ctx, const float *x, int64_t images, int64_t rows, int64_t c,
                            bool squares, double *sum);

/** Images [from, from + OCTI_IMPROVE_BATCH) of x, borrowed; fewer at the end. */
static inline oct_tensor octi_images(const oct_tensor *x, int64_t from) {
    oct_tensor part = *x;
    int64_t left = x->shape.dim[0] - from;
    part.data = oct_f32(x) + from * (oct_tensor_count(x) / x->shape.dim[0]);
    part.shape.dim[0] = left < OCTI_IMPROVE_BATCH ? left : OCTI_IMPROVE_BATCH;
    return part;
}

#endif
