/* SPDX-License-Identifier: MIT
 * Cross-layer equalization: between two layers with only scale-free ops between them, a
 * channel's scale moves from one to the other until both have the same range there. A relu6 cuts
 * all channels at one height: a channel that data shows below it may move as far as it stays
 * below. */
#include <float.h>
#include <math.h>

#include "autograd/tape.h"
#include "qat/improve/improve.h"
#include "qat/improve/improve_internal.h"
#include "qat/net/prepared.h"
#include "qat/passes/passes.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

enum { ROUNDS = 20, CLIPS = 4 };

typedef struct pair {
    const oct_node *first, *second;
    int64_t channels;
    int32_t clip[CLIPS], clips; /* nodes between them that cut */
} pair;

typedef struct equalizer {
    const oct_graph *g;
    float **top; /* [nodes]: of one that cuts, the largest value of each channel; NULL: not known */
} equalizer;

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
    case OCT_OP_relu6:
        return true; /* below its bound */
    case OCT_OP_clamp:
        return n->attr.least == 0;
    default:
        return false;
    }
}

/* Where a node cuts its values off; FLT_MAX: nowhere. */
static float bound_of(const oct_node *n) {
    if (n->kind == OCT_OP_relu6 || n->attr.act[0] == OCT_ACT_RELU6) return 6;
    return n->kind == OCT_OP_clamp ? n->attr.most : FLT_MAX;
}

/* A node between the two of a pair, or the first. */
static bool goes_through(const equalizer *e, int32_t node, pair *p) {
    if (bound_of(&e->g->nodes[node]) >= FLT_MAX) return true;
    if (!e->top || !e->top[node] || p->clips == CLIPS) return false;
    p->clip[p->clips++] = node;
    return true;
}

static bool find_pair(const equalizer *e, int32_t first, pair *p) {
    const oct_graph *g = e->g;
    const oct_node *n = &g->nodes[first];
    const oct_shape *s = &g->values[n->out].shape;
    *p = (pair){.first = n, .channels = s->dim[s->rank - 1]};
    if (!weighted(n) || !goes_through(e, first, p)) return false;
    for (int32_t v = n->out, reader;; v = g->nodes[reader].out) {
        if (v == g->output || octi_graph_consumers(g, v, &reader) != 1) return false;
        const oct_node *r = &g->nodes[reader];
        if (weighted(r) && r->in[OCTI_X] == v) return p->second = r, true;
        if (!carries_scales(r) || !goes_through(e, reader, p)) return false;
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

/* The least s by which channel c may be divided, so that what was below a bound stays below;
 * infinite where it is cut. A channel that the data hardly shows is not taken for silent. */
static float least_scale(const equalizer *e, const pair *p, int64_t c) {
    float least = 0;
    for (int32_t i = 0; i < p->clips; i++) {
        const float bound = bound_of(&e->g->nodes[p->clip[i]]);
        least = fmaxf(least, fmaxf(e->top[p->clip[i]][c] / bound, 1.0f / 32));
    }
    return least;
}

/* Scale channel c of the pair; how far it moved, as |log2 s|. */
static float level(const equalizer *e, const pair *p, int64_t c) {
    const oct_graph *g = e->g;
    const oct_node *n = p->first;
    const oct_shape *ws = &g->values[n->in[OCTI_W]].shape;
    int64_t row = oct_shape_count(ws) / ws->dim[0];
    float *w = data_of(g, n, OCTI_W) + c * row, *b = data_of(g, n, OCTI_B);
    float r1 = 0, r2 = 0, factor = factor_of(g, n, c);
    for (int64_t k = 0; k < row; k++) r1 = fmaxf(r1, fabsf(w[k] * factor));
    for_readers(g, p, c, widen, &r2);
    /* a dead channel has nothing to share */
    if (!(r1 > 0) || !(r2 > 0) || !isfinite(r1) || !isfinite(r2)) return 0;
    float s = fmaxf(sqrtf(r1 / r2), least_scale(e, p, c)), inverse = 1 / s;
    if (!(s > 1e-6f && s < 1e6f)) return 0;
    for (int32_t i = 0; i < p->clips; i++) e->top[p->clip[i]][c] *= inverse;
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

/* ---- what the data shows ---- */

static void note_tops(const oct_tensor *v, float *top, int64_t channels) {
    const float *x = oct_f32(v), *end = x + oct_tensor_count(v);
    for (; x < end; x += channels)
        for (int64_t c = 0; c < channels; c++) top[c] = x[c] > top[c] ? x[c] : top[c];
}

/* A channel that is cut stays so, whatever the others do. */
static void mark_cut(const equalizer *e, int32_t node) {
    const oct_shape *s = &e->g->values[e->g->nodes[node].out].shape;
    for (int64_t c = 0; c < s->dim[s->rank - 1]; c++)
        if (!(e->top[node][c] < bound_of(&e->g->nodes[node]))) e->top[node][c] = INFINITY;
}

/* The largest value of each channel behind every node that cuts; infinite where it does. */
static oct_status add_tops(const equalizer *e, oct_net *net, const oct_tensor *x,
                           octi_arena *arena) {
    const oct_graph *g = e->g;
    OCT_TRY(octi_improve_fits(net, x, "oct_equalize_on"));
    oct_tape *tape = oct_tape_new(net->ctx);
    oct_status s = tape ? OCT_OK : oct_last_error()->code;
    for (int64_t from = 0; s == OCT_OK && from < x->shape.dim[0]; from += OCTI_IMPROVE_BATCH) {
        oct_tensor part = octi_images(x, from);
        oct_tape_begin(tape, OCT_EVAL);
        if (!oct_net_forward(net, oct_input(tape, &part))) s = oct_last_error()->code;
        for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++) {
            if (bound_of(&g->nodes[i]) >= FLT_MAX) continue;
            const oct_tensor *v =
                oct_var_value(octi_tape_find(tape, g->values[g->nodes[i].out].name));
            const int64_t c = v ? v->shape.dim[v->shape.rank - 1] : 0;
            if (!e->top[i] && v) e->top[i] = octi_arena_calloc(arena, (size_t)c, sizeof(float));
            if (!e->top[i])
                s = v ? oct_last_error()->code
                      : octi_fail(OCT_EINTERNAL, g->nodes[i].name, "it is not on the tape", NULL,
                                  NULL, NULL);
            else
                note_tops(v, e->top[i], c);
        }
    }
    for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++)
        if (e->top[i]) mark_cut(e, i);
    oct_tape_free(tape);
    return s;
}

static int32_t equalize(const equalizer *e) {
    int32_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        float moved = 0;
        count = 0;
        for (int32_t i = 0; i < e->g->node_count; i++) {
            pair p;
            if (!find_pair(e, i, &p) || !own_parameters(e->g, p.first) ||
                !own_parameters(e->g, p.second))
                continue;
            count++;
            for (int64_t c = 0; c < p.channels; c++) moved = fmaxf(moved, level(e, &p, c));
        }
        if (moved < 1e-3f) break;
    }
    return count;
}

static oct_net *equalized(const oct_net *net, const oct_tensor *x, int32_t *pairs) {
    oct_net *made = oct_fuse(net); /* a copy, also of a fused net */
    if (!made) return NULL;
    octi_arena *arena = octi_arena_new(made->ctx);
    equalizer e = {.g = made->graph};
    oct_status s = arena ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK && x) {
        e.top = octi_arena_calloc(arena, (size_t)e.g->node_count + 1, sizeof *e.top);
        s = e.top ? add_tops(&e, made, x, arena) : oct_last_error()->code;
    }
    const int32_t count = s == OCT_OK ? equalize(&e) : 0;
    octi_arena_free(arena);
    if (pairs) *pairs = count;
    if (s == OCT_OK) return made;
    oct_net_free(made);
    return octi_ctx_failed(net->ctx), NULL;
}

oct_net *oct_equalize(const oct_net *net, int32_t *pairs) {
    OCTI_LAW_MODE();
    return equalized(net, NULL, pairs);
}

oct_net *oct_equalize_on(const oct_net *net, const oct_tensor *x, int32_t *pairs) {
    OCTI_LAW_MODE();
    if (net && !x) return octi_fail_null("oct_equalize_on"), octi_ctx_failed(net->ctx), NULL;
    return equalized(net, x, pairs);
}
