/* SPDX-License-Identifier: MIT
 * qat/step/step.h - a step of a prepared net: what begin decides, and the files that carry it out.
 * README.md has the table of kinds. */
#ifndef OCT_QAT_STEP_STEP_H
#define OCT_QAT_STEP_STEP_H

#include "qat/scales/observing.h"
#include "qat/step/codes.h"

/** What a node does in a step, forward and backward: decided once, in begin. */
typedef enum octi_step_kind {
    OCTI_STEP_FLOAT,      /* the float op; no codes come of it */
    OCTI_STEP_PLAN_FLOAT, /* the float op as the plan runs it (law 12) */
    OCTI_STEP_SHARE,      /* the float op on its inputs' grid, and the codes of what it gives */
    OCTI_STEP_ROUND,      /* the float op, observed, then rounded */
    OCTI_STEP_OWN,        /* from codes to codes of a grid of its own, by the law */
    OCTI_STEP_PRODUCT,    /* exact sums of codes, bias and requant by the law */
    OCTI_STEP_FOLDED,     /* the folded product in floats, observed, then rounded */
    OCTI_STEP_STATISTICS  /* batch norm by the batch around quantized weights; then as ROUND */
} octi_step_kind;

/** A node in a step. */
typedef struct octi_step_node {
    octi_step_kind kind;
    bool rounds;     /* ROUND, FOLDED, STATISTICS: the output becomes codes; else it is observed */
    bool fits24;     /* PRODUCT: every sum is exact in fp32 in any order */
    octi_qweights w; /* of weighted nodes, but in calibration */
    struct octi_fnode *plan_node; /* PLAN_FLOAT: the plan's node; NULL: moves nothing */
} octi_step_node;

/** Range of one quantizer, gathered over the sources of its class. */
typedef struct octi_pending {
    int32_t sources; /* of the class */
    int32_t left;    /* not yet seen in this step */
    float min, max;
    const struct oct_observer *by; /* NULL: observes nothing in this step */
} octi_pending;

/** octi_call.hook_state */
typedef struct octi_step {
    octi_step_node *nodes; /* [net nodes] */
    octi_pending *pending; /* [quantizers] */
    bool frozen;           /* batch norm uses running statistics */
} octi_step;

/** Tensors that a node keeps for its backward pass, behind those of autograd's own ops. */
enum octi_saved { OCTI_SAVED_MASK = 3, OCTI_SAVED_WEIGHTS, OCTI_SAVED_TERM };

static inline octi_step_node *octi_step_node_of(const octi_call *c) {
    return &((octi_step *)c->hook_state)->nodes[c->net_node - c->net->graph->nodes];
}
static inline octi_pending *octi_pending_of(const octi_call *c) {
    return &((octi_step *)c->hook_state)
                ->pending[c->net->graph->values[c->net_node->out].quantizer];
}
static inline oct_quantizer *octi_out_quantizer(const octi_call *c) {
    const oct_graph *g = c->net->graph;
    return &g->quantizers[g->values[c->net_node->out].quantizer];
}
static inline octi_straight octi_straight_of(const octi_call *c) {
    return (octi_straight){c->saved[OCTI_SAVED_MASK], c->saved[OCTI_SAVED_TERM]};
}

/** The hooks (autograd/tape.h), a file each. */
void *octi_step_begin(oct_net *net, oct_mode mode, octi_arena *arena);
octi_diff_fn octi_step_forward, octi_step_backward;

/** Weights as the float arithmetic sees them: s_w * code; `unfold` takes them back through the fold
 *  where batch norm follows. */
oct_tensor *octi_float_weights(octi_call *c, bool unfold);

/** x: n values of the images of the call's output that are here; those of the whole batch, in the
 *  call's arena where they are not all here. */
oct_status octi_whole_values(octi_call *c, const float *x, int64_t n, const float **whole,
                             int64_t *count);

/** Feed the observer of the call's output, if it observes in this step: a tensor; the real values
 *  behind sums of products. */
oct_status octi_observe_tensor(octi_call *c, const oct_tensor *x);
oct_status octi_observe_sums(octi_call *c, const octi_accumulators *acc, const octi_qweights *w,
                             float s_x, oct_act act);

#endif
