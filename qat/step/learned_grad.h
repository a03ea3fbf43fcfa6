/* SPDX-License-Identifier: MIT
 * qat/step/learned_grad.h - gradients of learned scales (qat/scales/learned.h). */
#ifndef OCT_QAT_STEP_LEARNED_GRAD_H
#define OCT_QAT_STEP_LEARNED_GRAD_H

#include "qat/step/codes.h"

/** Gradient of the step (and offset) of the call's output from dout, before the mask is applied.
 *  Added to the tensors' grad. */
oct_status octi_learned_grad(octi_call *c, oct_quantizer *q, const octi_straight *to);
/** Gradient of weight steps; dw [O,K] is the gradient of the folded, quantized weights and is
 *  masked here where the range clips. w: the float weights [O,K]. */
oct_status octi_learned_weight_grad(oct_ctx *ctx, oct_quantizer *q, const octi_qweights *qw,
                                    const float *w, float s_x, float *dw);

#endif
