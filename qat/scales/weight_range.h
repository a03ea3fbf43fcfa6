/* SPDX-License-Identifier: MIT
 * qat/scales/weight_range.h - weights that are cut: by a searched scale (weight_observer "mse"), by
 * a given one, or by codes that reach further down than up. */
#ifndef OCT_QAT_SCALES_WEIGHT_RANGE_H
#define OCT_QAT_SCALES_WEIGHT_RANGE_H

#include "qat/scales/weights.h"
#include "src/qround.h"

/** Rows of float weights [o,k] with what makes their scales. */
typedef struct octi_weight_rows {
    const float *w, *factor, *bias; /* factor: of the fold, or NULL */
    int32_t o;
    int64_t k;
    float s_x;
} octi_weight_rows;

/** The scale is the one of least squared error of w * factor: amax[o] becomes the end of the range
 *  that gives it, never wider than it was. Per tensor: one for all rows, over all of them. */
void octi_weight_least_error(const octi_weight_rows *r, const oct_qspec *spec, float *amax);

/** Some weights may lie outside their codes. */
static inline bool octi_weights_cut(const oct_quantizer *q) {
    return octi_is_searched_weight(q) || octi_is_given_weight(q) ||
           q->spec.qmin + q->spec.qmax != 0;
}
/** Where a weight lies: 0 inside its codes, -1 below, 1 above; by the rounded code r, or (strict)
 *  by u = w / s itself, strictly. */
static inline int octi_weight_side(const oct_quantizer *q, float u, float r) {
    const float lo = (float)q->spec.qmin, hi = (float)q->spec.qmax;
    if (q->strict ? u <= lo : r < lo) return -1;
    return (q->strict ? u >= hi : r > hi) ? 1 : 0;
}
/** No gradient where a weight lies outside its codes (law: the straight-through mask, as for
 *  values). */
void octi_weight_mask(const oct_quantizer *q, const octi_qweights *qw, const float *w, float *dw);

#endif
