/* SPDX-License-Identifier: MIT
 * Cross-layer equalization: between two layers with only scale-free ops between them, a
 * channel's scale moves from one to the other until both have the same range there. */
#include <math.h>

#include "qat/improve/improve.h"
#include "qat/net/prepared.h"
#include "qat/passes/passes.h"
#include "src/float_mode.h"
#include "src/mem.h"

enum { ROUNDS = 20 };

typedef struct pair {
    const oct_node *first, *second;
    int64_t channels;
} pair;

static bool weighted(const oct_node *n) {
    return n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear;
}

/* f(s * x) = s * f(x) channel by channel, for s > 0, and channels stay where they are (a flatten's
 * come round: k % C). */
static bool carries_scales(const oct_node *n) {
    switch (n->kind) {
    case OCT_OP_relu:
    case OCT_OP_max_pool2d:
    case OCT_OP_avg_pool2d:
    case OCT_OP_adaptive_avg_pool2d:
    case OCT_OP_flatten:
    case OCT_OP_identity:
    case OCT_OP_dropout:
        return true;
    case OCT_OP_pad:
        return n->attr.value == 0;
    default:
        return false;
    }
}

static bool find_pair(const oct_graph *g, const oct_node *n, pair *p) {
    if (!weighted(n) || n->attr.act[0] == OCT_ACT_RELU6) return false;
    const oct_shape *s = &g->values[n->out].shape;
    *p = (pair){n, NULL, s->dim[s->rank - 1]};
    for (int32_t v = n->out, reader;; v = g->nodes[reader].out) {
        if (v == g->output || octi_graph_consumers(g, v, &reader) != 1) return false;
        const oct_node *r = &g->nodes[reader];
        if (weighted(r) && r->in[OCTI_X] == v) return p->second = r, true;
        if (!carries_scales(r)) return false;
    }
}

static float *data_of(const oct_graph *g, const oct_node *n, int k) {
    const oct_value *v = octi_node_in(g, n, k);
    return v ? oct_f32(v->tensor) : NULL;
}

static float factor_of(const oct_graph *g, const oct_node *n, int64_t o) {
    return n->attr.bn[0] ? oct_fold_factor(data_of(g, n, OCTI_GAMMA)[o], data_of(g, n, OCTI_VAR)[o],
                                           n->attr.eps)
                         : 1.0f;
}

/* Weights of the second layer that read channel c: outputs of one group, every R*S cell, one column
 * of Cg; a linear layer behind a flatten reads channel c at k % C. */
typedef void weight_fn(float *w, float factor, void *arg);
static void for_readers(const oct_graph *g, const pair *p, int64_t c, weight_fn *f, void *arg) {
    const oct_node *n = p->second;
    const oct_shape *s = &g->values[n->in[OCTI_W]].shape;
    float *w = data_of(g, n, OCTI_W);
    int64_t outputs = s->dim[0], row = oct_shape_count(s) / outputs, width = s->dim[s->rank - 1];
    int64_t groups = n->kind == OCT_OP_conv2d ? n->attr.groups[0] : 1, each = outputs / groups;
    int64_t step = n->kind == OCT_OP_conv2d ? width : p->channels,
            group = groups > 1 ? c / width : 0;
    for (int64_t o = group * each; o < (group + 1) * each; o++)
        for (int64_t k = groups > 1 ? c % width : c; k < row; k += step)
            f(&w[o * row + k], factor_of(g, n, o), arg);
}

static void widen(float *w, float factor, void *arg) {
    float *top = arg;
    *top = fmaxf(*top, fabsf(*w * factor));
}

static void multiply(float *w, float factor, void *arg) {
    (void)factor;
    *w *= *(const float *)arg;
}

/* Scale channel c of the pair; how far it moved, as |log2 s|. */
static float level(const oct_graph *g, const pair *p, int64_t c) {
    const oct_node *n = p->first;
    const oct_shape *ws = &g->values[n->in[OCTI_W]].shape;
    int64_t row = oct_shape_count(ws) / ws->dim[0];
    float *w = data_of(g, n, OCTI_W) + c * row, *b = data_of(g, n, OCTI_B);
    float r1 = 0, r2 = 0, factor = factor_of(g, n, c);
    for (int64_t k = 0; k < row; k++) r1 = fmaxf(r1, fabsf(w[k] * factor));
    for_readers(g, p, c, widen, &r2);
    /* a dead channel has nothing to share */
    if (!(r1 > 0) || !(r2 > 0) || !isfinite(r1) || !isfinite(r2)) return 0;
    float s = sqrtf(r1 / r2), inverse = 1 / s;
    if (!(s > 1e-6f && s < 1e6f)) return 0;
    if (n->attr.bn[0]) {
        data_of(g, n, OCTI_GAMMA)[c] *= inverse;
        data_of(g, n, OCTI_BETA)[c] *= inverse;
    } else {
        for (int64_t k = 0; k < row; k++) w[k] *= inverse;
        if (b) b[c] *= inverse;
    }
    for_readers(g, p, c, multiply, &s);
    return fabsf(log2f(s));
}

/* A parameter that several nodes read would be scaled twice. */
static bool own_parameters(const oct_graph *g, const oct_node *n) {
    for (int32_t k = 1; k < n->nin; k++)
        if (n->in[k] >= 0 && octi_graph_consumers(g, n->in[k], NULL) != 1) return false;
    return true;
}

oct_net *oct_equalize(const oct_net *net, int32_t *pairs) {
    OCTI_LAW_MODE();
    oct_net *made = oct_fuse(net); /* a copy, also of a fused net */
    if (!made) return NULL;
    const oct_graph *g = made->graph;
    int32_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        float moved = 0;
        count = 0;
        for (int32_t i = 0; i < g->node_count; i++) {
            pair p;
            if (!find_pair(g, &g->nodes[i], &p) || !own_parameters(g, p.first) ||
                !own_parameters(g, p.second))
                continue;
            count++;
            for (int64_t c = 0; c < p.channels; c++) moved = fmaxf(moved, level(g, &p, c));
        }
        if (moved < 1e-3f) break;
    }
    if (pairs) *pairs = count;
    return made;
}
