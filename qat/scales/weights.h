/* SPDX-License-Identifier: MIT
 * qat/scales/weights.h - the weights of one node in one step: codes, scales, bias (laws 2, 5,
 * 6). */
#ifndef OCT_QAT_SCALES_WEIGHTS_H
#define OCT_QAT_SCALES_WEIGHTS_H

#include "qat/net/prepared.h"
#include "src/arena.h"

/** Weights of one node for one step (laws 2, 5, 6), from the float weights as they are now. O x K,
 *  K = weights per output channel. A batch_norm node is O x 1. */
typedef struct octi_qweights {
    int32_t o;
    int64_t k;
    int8_t *codes;      /* [O,K] */
    float *scale;       /* [O], also when per tensor: the node's s_w */
    float *factor;      /* [O] of the folded batch norm; NULL without */
    float *bias;        /* [O] float bias behind the fold */
    int32_t *bias_code; /* [O] at s_x * s_w */
    int64_t *sum_abs;   /* [O] sum of |codes| */
} octi_qweights;
/** Quantize the weights of node n; s_x <= 0: the input's scale is not known yet (biases stay
 *  uncoded). Writes the scales into the weight's quantizer. OCT_EDIVERGED naming the layer for a
 *  weight that is NaN or infinite. */
oct_status octi_quantize_weights(oct_net *net, const oct_node *n, float s_x, octi_arena *arena,
                                 octi_qweights *w);
/** Prove law 6 for node n: per channel |b| + sum|w| * max|q - z| < 2^31, else OCT_ELIMIT naming
 *  node and channel. *fits24: the sums fit fp32 exactly for every channel. */
oct_status octi_check_accumulators(const oct_quantizer *x, const oct_node *n,
                                   const octi_qweights *w, bool *fits24);

#endif
