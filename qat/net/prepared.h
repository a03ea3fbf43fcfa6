/* SPDX-License-Identifier: MIT
 * qat/net/prepared.h - what a prepared net (G2) is: roles of its nodes and quantizers, their state,
 * names of its tensors. */
#ifndef OCT_QAT_NET_PREPARED_H
#define OCT_QAT_NET_PREPARED_H

#include <string.h>

#include "qat/net/backend.h"
#include "src/net.h"

/** Registry name of the switch that freezes batch-norm statistics: u8 [1]. */
#define OCTI_BN_FROZEN "batch_norm_frozen"

/** Inputs of a node with weights. */
enum octi_weighted_in {
    OCTI_X,
    OCTI_W,
    OCTI_B,
    OCTI_GAMMA,
    OCTI_BETA,
    OCTI_MEAN,
    OCTI_VAR,
    OCTI_WEIGHTED_INPUTS
};

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
    return octi_is_int8(g, n) && (n->kind == OCT_OP_quantize || octi_grid_of(n) != OCTI_GRID_SHARE);
}
/** quantize of a value that has codes: they go to another grid (a fixed-grid member of a cat). */
static inline bool octi_is_requantize(const oct_graph *g, const oct_node *n) {
    return n->kind == OCT_OP_quantize && octi_is_int8(g, n) && g->values[n->in[0]].quantizer >= 0;
}

/** oct_quantizer.dirty: what is behind the observed state. A training step's qparams stay as they
 *  began, so what it observed moves the range, and the next step the qparams; calibration moves
 *  both. */
enum octi_dirty { OCTI_CLEAN, OCTI_DIRTY_RANGE, OCTI_DIRTY_QPARAMS };

static inline bool octi_is_weight(const oct_quantizer *q) {
    return q->role == OCT_QUANTIZER_WEIGHT;
}
static inline bool octi_is_fixed(const oct_quantizer *q) { return q->role == OCT_QUANTIZER_FIXED; }
/** A weight whose scale is searched, in place of the whole range's. */
static inline bool octi_is_searched_weight(const oct_quantizer *q) {
    return octi_is_weight(q) && !strcmp(q->observer, "mse");
}
/** A weight whose scale was given with its codes (an imported file's): it never moves. Behind a
 *  fold it is the given one times the factor's size, so the codes stay. */
static inline bool octi_is_given_weight(const oct_quantizer *q) {
    return octi_is_weight(q) && !strcmp(q->observer, "fixed");
}
/** Its scale is moved by gradients (qat/scales/learned.h). */
static inline bool octi_is_learned(const oct_quantizer *q) { return q->step != NULL; }
static inline float octi_scale(const oct_quantizer *q) { return *oct_f32(q->scale); }
static inline int32_t octi_zero_point(const oct_quantizer *q) { return *oct_s32(q->zero_point); }
/** A range was observed (and chosen: oct_net_settle), or is fixed. */
bool octi_quantizer_ready(const oct_quantizer *q);
/** OCT_EQPARAMS naming the value: it was never observed. */
oct_status octi_not_observed(const oct_quantizer *q);
/** Codes that an op's fused activation leaves: lower clamp z (law 7); upper quantize(6) for
 *  relu6. */
void octi_act_clamp(const oct_quantizer *q, oct_act act, int32_t *lo, int32_t *hi);
/** Codes that a node's activation leaves: its fused one, or its own where it is a relu6 or a clamp
 *  (law 8: quantize(lo), quantize(hi)). */
void octi_node_clamp(const oct_quantizer *q, const oct_node *n, int32_t *lo, int32_t *hi);

/** Quantizer of a weighted node's weights. */
oct_quantizer *octi_weight_quantizer(const oct_graph *g, const oct_node *n);

#endif
