/* SPDX-License-Identifier: MIT
 * qat/prepared.h - what the files of this room know of a prepared net (G2): names of its tensors,
 * roles of its nodes, and the weights of a step. */
#ifndef OCT_QAT_PREPARED_H
#define OCT_QAT_PREPARED_H

#include "qat/backend.h"
#include "src/arena.h"
#include "src/net.h"

struct octi_node_hooks;
extern const struct octi_node_hooks octi_qat_hooks; /* qat/qat_hooks.c */

/** Registry name of the switch that freezes batch-norm statistics: u8 [1]. */
#define OCTI_BN_FROZEN "batch_norm_frozen"

/** Inputs of a node with weights. */
enum octi_weighted_in { OCTI_X, OCTI_W, OCTI_B, OCTI_GAMMA, OCTI_BETA, OCTI_MEAN, OCTI_VAR };

/** An int8 node: its output has a quantizer. */
static inline bool octi_is_int8(const oct_graph *g, const oct_node *n) {
    return g->values[n->out].quantizer >= 0;
}
/** An int8 node with weights of its own: conv2d, linear, batch_norm. */
static inline bool octi_is_weighted(const oct_graph *g, const oct_node *n) {
    return octi_is_int8(g, n) &&
           (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear || n->kind == OCT_OP_batch_norm);
}
/** A node whose output is quantized anew, to an observed, learned or fixed grid; the others stay on
 *  their inputs' grid. */
static inline bool octi_is_source(const oct_graph *g, const oct_node *n) {
    return octi_is_int8(g, n) &&
           (n->kind == OCT_OP_quantize || octi_backend(n->kind)->grid != OCTI_GRID_SHARE);
}
/** quantize of a value that has codes: they go to another grid (a fixed-grid member of a cat). */
static inline bool octi_is_requantize(const oct_graph *g, const oct_node *n) {
    return n->kind == OCT_OP_quantize && octi_is_int8(g, n) && g->values[n->in[0]].quantizer >= 0;
}
static inline float octi_scale(const oct_quantizer *q) { return *oct_f32(q->scale); }
static inline int32_t octi_zero_point(const oct_quantizer *q) { return *oct_s32(q->zero_point); }
/** A range was observed (and chosen: oct_net_settle), or is fixed. */
bool octi_quantizer_ready(const oct_quantizer *q);
/** Codes that an op's fused activation leaves: lower clamp z (law 7); upper quantize(6) for
 *  relu6. */
void octi_act_clamp(const oct_quantizer *q, oct_act act, int32_t *lo, int32_t *hi);
/** Codes that a node's activation leaves: its fused one, or its own where it is a relu6 or a clamp
 *  (law 8: quantize(lo), quantize(hi)). */
void octi_node_clamp(const oct_quantizer *q, const oct_node *n, int32_t *lo, int32_t *hi);

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
/** Quantizer of a weighted node's weights. */
oct_quantizer *octi_weight_quantizer(const oct_graph *g, const oct_node *n);
/** Prove law 6 for node n: per channel |b| + sum|w| * max|q - z| < 2^31, else OCT_ELIMIT naming
 *  node and channel. *fits24: the sums fit fp32 exactly for every channel. */
oct_status octi_check_accumulators(const oct_quantizer *x, const oct_node *n,
                                   const octi_qweights *w, bool *fits24);

/** Everything that prepared nets are built with, for nets that may come from anywhere: a
 *  quantizer's codes and tensors, scales and zero points, and nodes on the grids that their kinds
 *  need. OCT_EFORMAT or OCT_EQPARAMS, naming the value or the node. */
oct_status octi_prepared_check(const oct_net *net);

/** Why a node of a float or prepared graph stays float. */
const char *octi_float_reason(const oct_graph *g, const oct_node *n);

#endif
