/* SPDX-License-Identifier: MIT
 * qat/scales/learned.h - scales that gradients move: LSQ (Esser et al. 2020, arXiv 1902.08153),
 * LSQ+ (Bhalgat et al. 2020, arXiv 2004.09576) and PACT (Choi et al. 2018, arXiv 1805.06085). A
 * quantizer with a method keeps its step size (PACT: alpha, the upper end) as a trained tensor;
 * scale and zero point are made from it at the start of a step. qat/step/learned_grad.c has the
 * gradients.
 *
 *   method   trained          scale            zero point
 *   lsq      step             step             of the first range
 *   lsq+     step, offset     step             rne(-offset / s)
 *   pact     alpha            alpha/(qmax-z)   of the first range
 *
 * The gradients of lsq and lsq+ are scaled by 1 / sqrt(N * (qmax - z)), N = features of one image,
 * or weights behind one step: the batch is not counted, so its size does not change how fast steps
 * move. A step stays above a 64th of what the range alone gives: it never crosses zero. A weight
 * channel's step is in units of the weights before batch norm is folded in (its scale is step *
 * |factor|), so that moving statistics flip no codes; one step for a whole layer is in units of the
 * folded weights. PACT learns activations; its weights are observed. */
#ifndef OCT_QAT_SCALES_LEARNED_H
#define OCT_QAT_SCALES_LEARNED_H

#include "qat/net/prepared.h"

/** Learned, and not initialized yet: the first training step does it from its own data. */
static inline bool octi_learned_waits(const oct_quantizer *q) {
    return octi_is_learned(q) && oct_f32(q->step)[0] == 0;
}

/** Codes above the zero point, one at least. */
static inline float octi_levels_above(const oct_quantizer *q) {
    const int32_t n = q->spec.qmax - octi_zero_point(q);
    return n > 0 ? (float)n : 1.0f;
}

/** Initialize an activation's step from a first batch x [n], all of it (its range was observed just
 *  now). x NULL: from the range alone. */
void octi_learned_start(oct_quantizer *q, const float *x, int64_t n);
/** Scale and zero point of an activation from its trained tensors; nothing where it waits: the
 *  range's stand. */
void octi_learned_settle(oct_quantizer *q);
/** Step of one channel of weights (o of q->step), initialized from x [n] where it waits; amax:
 *  their largest size. */
float octi_learned_weight_step(oct_quantizer *q, int64_t o, float amax, const float *x, int64_t n);

#endif
