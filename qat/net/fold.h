/* SPDX-License-Identifier: MIT
 * qat/net/fold.h - a weighted node's parameters as its fold sees them (law 5). */
#ifndef OCT_QAT_NET_FOLD_H
#define OCT_QAT_NET_FOLD_H

#include "src/graph.h"

/** Weights [o,k] and what stands behind them. A batch_norm node is a depthwise 1x1 convolution of
 *  weight 1 behind the fold. */
typedef struct octi_folding {
    const float *w;                         /* NULL: ones */
    const float *b;                         /* NULL: none */
    const float *gamma, *beta, *mean, *var; /* where bn */
    bool bn;
    float eps;
    int32_t o;
    int64_t k;
} octi_folding;

/** Of a fused or prepared graph's conv2d, linear or batch_norm node. */
octi_folding octi_folding_of(const oct_graph *g, const oct_node *n);
/** Factor (1 without a batch norm) and bias of channel o behind the fold. */
void octi_fold_channel(const octi_folding *f, int32_t o, float *factor, float *bias);

#endif
