/* SPDX-License-Identifier: MIT
 * How the nodes of a prepared net run on a tape (law 10). A node runs on codes where its inputs
 * have codes and no batch statistics are wanted; else it runs in floats and its output is
 * fake-quantized. Either way a quantized value is both: floats s * (q - z) for the gradient, and
 * the codes. */
#include <math.h>
#include <string.h>

#include "autograd/diff.h"
#include "qat/step/codes.h"
#include "qat/step/float_layer.h"
#include "qat/step/hooks.h"
#include "qat/step/learned.h"
#include "qat/step/observe.h"
#include "qat/net/switches.h"
#include "qat/step/settled_view.h"
#include "qat/step/weight_range.h"
#include "src/mem.h"
#include "src/paths.h"
#include "src/qround.h"
#include "src/threads.h"

enum { SAVED_RAW, SAVED_MEAN, SAVED_INVSTD, SAVED_MASK, SAVED_WEIGHTS, SAVED_TERM };

/* ---- the step's qparams (law 4) ---- */

static oct_status begin_activation(oct_ctx *ctx, oct_quantizer *q, oct_mode mode) {
    if (mode == OCT_EVAL) return OCT_OK; /* the view is settled */
    /* ranges of what was observed */
    if (q->dirty && mode == OCT_TRAIN) OCT_TRY(octi_settle_range(ctx, q));
    if (octi_is_learned(q)) {
        if (mode == OCT_TRAIN && octi_learned_waits(q) && octi_quantizer_ready(q))
            octi_learned_start(q, NULL);
        if (mode != OCT_CALIBRATE) octi_learned_settle(q);
        return OCT_OK;
    }
    bool moves = mode == OCT_TRAIN && oct_u8(q->enabled)[0] && !octi_is_fixed(q);
    if (!moves || !octi_quantizer_ready(q)) return OCT_OK;
    return oct_qparams_from_range(&q->spec, *oct_f32(q->min_val), *oct_f32(q->max_val), q->name,
                                  oct_f32(q->scale), oct_s32(q->zero_point));
}

static oct_status begin_weights(octi_qstep *st, oct_net *net, octi_arena *arena, int32_t i) {
    const oct_graph *g = net->graph;
    const oct_node *n = &g->nodes[i];
    const oct_quantizer *x = &g->quantizers[g->values[n->in[OCTI_X]].quantizer];
    octi_qnode *q = &st->nodes[i];
    OCT_TRY(
        octi_quantize_weights(net, n, octi_quantizer_ready(x) ? octi_scale(x) : 0, arena, &q->w));
    q->complete = octi_quantizer_ready(x);
    return q->complete ? octi_check_accumulators(x, n, &q->w, &q->fits24) : OCT_OK;
}

static void *begin(oct_net *net, oct_tape *tape) {
    octi_arena *arena = octi_tape_arena(tape);
    oct_mode mode = octi_tape_mode(tape);
    oct_graph *g = net->graph;
    octi_qstep *st = octi_arena_calloc(arena, 1, sizeof *st);
    if (!st) return NULL;
    st->nodes = octi_arena_calloc(arena, (size_t)g->node_count, sizeof *st->nodes);
    st->pending = octi_arena_calloc(arena, (size_t)g->quantizer_count, sizeof *st->pending);
    if (!st->nodes || !st->pending) return NULL;
    st->frozen = mode == OCT_EVAL || oct_net_batch_norm_frozen(net);
    for (int32_t i = 0; i < g->quantizer_count; i++) {
        st->pending[i] = (octi_pending){.min = INFINITY, .max = -INFINITY};
        oct_quantizer *q = &g->quantizers[i];
        if (octi_is_weight(q)) continue;
        if (begin_activation(net->ctx, q, mode) != OCT_OK) return NULL;
        /* a registered observer may be missing where nothing is observed */
        if (mode == OCT_EVAL || !oct_u8(q->enabled)[0]) continue;
        const oct_observer *by = octi_observer_find(net->ctx, q->observer);
        if (!by) return NULL;
        if (by->observe || by->observe_range) st->pending[i].by = by;
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        if (octi_is_source(g, &g->nodes[i])) {
            octi_pending *p = &st->pending[g->values[g->nodes[i].out].quantizer];
            p->left = ++p->sources;
        }
        if (mode != OCT_CALIBRATE && octi_is_weighted(g, &g->nodes[i]) &&
            begin_weights(st, net, arena, i) != OCT_OK)
            return NULL;
    }
    return st;
}

/* ---- observing ---- */

static octi_pending *pending_of(const octi_call *c) {
    return &((octi_qstep *)c->hook_state)
                ->pending[c->net->graph->values[c->net_node->out].quantizer];
}

/* Members of one class are observed together: the range moves when the last of them was seen. */
static oct_status observed(octi_call *c, oct_quantizer *q) {
    octi_pending *p = pending_of(c);
    if (--p->left > 0) return OCT_OK;
    const bool first = !octi_quantizer_ready(q); /* the first step: its own data */
    if (p->by->observe) {
        q->dirty = c->mode == OCT_CALIBRATE || first ? OCTI_DIRTY_QPARAMS
                   : q->dirty                        ? q->dirty
                                                     : OCTI_DIRTY_RANGE;
        /* searched when the range is wanted */
        if (c->mode == OCT_CALIBRATE || !first) return OCT_OK;
        OCT_TRY(octi_settle_range(c->ctx, q));
        p->own_step = octi_quantizer_ready(q);
        return OCT_OK;
    }
    if (!(p->min <= p->max)) return OCT_OK; /* nothing finite */
    OCT_TRY(octi_observe_range(c->ctx, q, p->by, p->min, p->max));
    p->own_step = first;
    if (first) octi_path_take(c->ctx, OCTI_PATH_first_step);
    /* qparams of a training step stay as they began */
    if (!p->own_step && c->mode != OCT_CALIBRATE) return OCT_OK;
    return oct_qparams_from_range(&q->spec, *oct_f32(q->min_val), *oct_f32(q->max_val), q->name,
                                  oct_f32(q->scale), oct_s32(q->zero_point));
}

static oct_status observe_range(octi_call *c, oct_quantizer *q, float min, float max) {
    octi_pending *p = pending_of(c);
    p->min = fminf(p->min, min);
    p->max = fmaxf(p->max, max);
    return observed(c, q);
}

static oct_status observe_values(octi_call *c, oct_quantizer *q, const float *x, int64_t n) {
    OCT_TRY(octi_observe_values(c->ctx, q, pending_of(c)->by, x, n));
    return observed(c, q);
}

static oct_quantizer *out_quantizer(const octi_call *c) {
    const oct_graph *g = c->net->graph;
    return &g->quantizers[g->values[c->net_node->out].quantizer];
}

static bool observes(const octi_call *c, const oct_quantizer *q) {
    bool waits = c->mode == OCT_CALIBRATE || !octi_is_learned(q) || octi_learned_waits(q);
    return pending_of(c)->by && waits; /* by: not in evaluation, not switched off, no fixed range */
}

static oct_status observe_tensor(octi_call *c, oct_quantizer *q, const oct_tensor *x) {
    if (pending_of(c)->by->observe) return observe_values(c, q, oct_f32(x), oct_tensor_count(x));
    float lo, hi;
    OCT_TRY(octi_finite_range(c->ctx, x, &lo, &hi));
    return observe_range(c, q, lo, hi);
}

/* The real values behind sums of products: their range where that is enough. */
static oct_status observe_sums(octi_call *c, oct_quantizer *q, const octi_accumulators *acc,
                               const octi_qweights *w, float s_x, oct_act act) {
    if (pending_of(c)->by->observe_range) {
        float lo, hi;
        OCT_TRY(octi_accumulator_range(c->ctx, acc, w, s_x, act, &lo, &hi));
        return observe_range(c, q, lo, hi);
    }
    octi_arena_mark mark = octi_arena_save(c->arena);
    const int64_t n = acc->pixels * acc->o;
    float *y = octi_arena_alloc(c->arena, (size_t)n * sizeof *y);
    if (!y) return oct_last_error()->code;
    OCT_TRY(octi_accumulator_values(c->ctx, acc, w, s_x, act, y));
    OCT_TRY(observe_values(c, q, y, n));
    octi_arena_rewind(c->arena, mark);
    return OCT_OK;
}

/* ---- a float output becomes codes ---- */

static octi_straight straight_of(const octi_call *c) {
    return (octi_straight){c->saved[SAVED_MASK], c->saved[SAVED_TERM]};
}

static oct_status new_codes(octi_call *c, const oct_quantizer *q) {
    c->out_codes = octi_call_tensor(c, OCT_U8, c->out->shape);
    if (!c->out_codes) return oct_last_error()->code;
    if (!c->wants_grad && !octi_is_learned(q)) return OCT_OK;
    if (c->mode != OCT_TRAIN) return OCT_OK;
    if (!(c->saved[SAVED_MASK] = octi_call_tensor(c, OCT_U8, c->out->shape)))
        return oct_last_error()->code;
    if (octi_is_learned(q) && !(c->saved[SAVED_TERM] = octi_call_tensor(c, OCT_F32, c->out->shape)))
        return oct_last_error()->code;
    return OCT_OK;
}

/* Observe, then quantize in place. The straight-through mask also closes where the fused activation
 * did. */
static oct_status quantize_output(octi_call *c, oct_act act) {
    oct_quantizer *q = out_quantizer(c);
    if (observes(c, q)) OCT_TRY(observe_tensor(c, q, c->out));
    if (c->mode == OCT_CALIBRATE || !oct_u8(q->enabled)[1]) return OCT_OK;
    const octi_pending *p = pending_of(c);
    if (observes(c, q) && p->sources > 1 && (p->own_step || !octi_quantizer_ready(q)))
        /* the first step of a shared range: its grid is known only when all members were seen */
        return octi_path_take(c->ctx, OCTI_PATH_shared_first_step), OCT_OK;
    if (!octi_quantizer_ready(q)) return octi_not_observed(q);
    /* evaluation moves nothing */
    if (c->mode == OCT_TRAIN && octi_learned_waits(q)) octi_learned_start(q, c->out);
    OCT_TRY(new_codes(c, q));
    octi_quantize_tensor(c->ctx, c->out, q, act, c->out_codes, straight_of(c));
    return OCT_OK;
}

/* ---- nodes on codes ---- */

static oct_status product_on_codes(octi_call *c) {
    octi_path_take(c->ctx, OCTI_PATH_product_on_codes);
    const oct_graph *g = c->net->graph;
    const oct_node *n = c->net_node;
    octi_qstep *st = c->hook_state;
    octi_qnode *qn = &st->nodes[n - g->nodes];
    oct_quantizer *q = out_quantizer(c);
    const oct_quantizer *x = &g->quantizers[g->values[n->in[OCTI_X]].quantizer];
    OCT_TRY(octi_call_output(c));
    octi_accumulators acc;
    OCT_TRY(octi_accumulate_codes(c->ctx, c->arena, n, &g->values[n->in[OCTI_W]].shape, x,
                                  c->in_codes[OCTI_X], &qn->w, qn->fits24, &acc, c->out));
    oct_act act = (oct_act)n->attr.act[0];
    if (observes(c, q)) OCT_TRY(observe_sums(c, q, &acc, &qn->w, octi_scale(x), act));
    if (!octi_quantizer_ready(q)) return octi_not_observed(q);
    OCT_TRY(new_codes(c, q));
    return octi_requant_tensor(c->ctx, &acc, &qn->w, octi_scale(x), q, act, c->out, c->out_codes,
                               straight_of(c));
}

static bool has_codes(const octi_call *c) {
    for (int k = 0; k < c->node->nin; k++) {
        const oct_value *v = octi_node_in(c->net->graph, c->net_node, k);
        if (v && !v->tensor && !c->in_codes[k]) return false;
    }
    return true;
}

static octi_qweights *weights_of(const octi_call *c) {
    return &((octi_qstep *)c->hook_state)->nodes[c->net_node - c->net->graph->nodes].w;
}

/* Weights as the float arithmetic sees them: s_w * code; `unfold` takes them back through the fold
 * where batch norm follows. */
static oct_tensor *float_weights(octi_call *c, bool unfold) {
    const octi_qweights *w = weights_of(c);
    oct_tensor *t = octi_call_tensor(c, OCT_F32, c->in[OCTI_W]->shape);
    if (!t) return NULL;
    bool on = oct_u8(octi_weight_quantizer(c->net->graph, c->net_node)->enabled)[1];
    for (int32_t o = 0; o < w->o; o++) {
        float f = w->factor ? w->factor[o] : 1.0f, s = unfold ? w->scale[o] / f : w->scale[o];
        for (int64_t k = o * w->k; k < (o + 1) * w->k; k++)
            oct_f32(t)[k] =
                on ? s * (float)w->codes[k] : oct_f32(c->in[OCTI_W])[k] * (unfold ? 1.0f : f);
    }
    return t;
}

/* Batch statistics: the float op itself around fake-quantized weights. */
static oct_status product_with_statistics(octi_call *c) {
    octi_path_take(c->ctx, OCTI_PATH_batch_statistics);
    oct_tensor *w = c->in[OCTI_W];
    if (c->node->kind != OCT_OP_batch_norm && !(c->in[OCTI_W] = float_weights(c, true)))
        return oct_last_error()->code;
    oct_status s = octi_diff_of(c->node->kind)->forward(c);
    if (c->in[OCTI_W] != w) c->saved[SAVED_WEIGHTS] = c->in[OCTI_W]; /* for the gradient of x */
    c->in[OCTI_W] = w;
    OCT_TRY(s);
    return quantize_output(c, (oct_act)c->node->attr.act[0]);
}

/* The folded product in floats: where an input has no codes (behind dropout, or a first step). */
static oct_status product_in_floats(octi_call *c) {
    octi_path_take(c->ctx, OCTI_PATH_product_in_floats);
    const oct_node *n = c->net_node;
    const oct_act act = (oct_act)n->attr.act[0];
    OCT_TRY(octi_call_output(c));
    if (n->kind == OCT_OP_batch_norm) {
        OCT_TRY(oct_batch_norm_eval(c->ctx, &n->attr, c->in[0], c->in[1], c->in[2], c->in[3],
                                    c->in[4], c->out));
        if (act) OCT_TRY(oct_act_forward(c->ctx, act, c->out, c->out));
        return quantize_output(c, act);
    }
    const octi_qweights *q = weights_of(c);
    oct_tensor *w = float_weights(c, false),
               *b = octi_tensor_view(c->arena, OCT_F32, OCT_SHAPE(q->o), q->bias);
    if (!w || !b) return oct_last_error()->code;
    OCT_TRY(n->kind == OCT_OP_conv2d
                ? oct_conv2d_forward(c->ctx, &n->attr, c->in[OCTI_X], w, b, c->out)
                : oct_linear_forward(c->ctx, c->in[OCTI_X], w, b, c->out));
    if (act) OCT_TRY(oct_act_forward(c->ctx, act, c->out, c->out));
    return quantize_output(c, act);
}

static oct_status weighted_forward(octi_call *c, bool codes) {
    const oct_graph *g = c->net->graph;
    const oct_node *n = c->net_node;
    const octi_qstep *st = c->hook_state;
    if ((n->attr.bn[0] || n->kind == OCT_OP_batch_norm) && !st->frozen)
        return product_with_statistics(c);
    bool on =
        oct_u8(out_quantizer(c)->enabled)[1] && oct_u8(octi_weight_quantizer(g, n)->enabled)[1];
    bool known = octi_quantizer_ready(out_quantizer(c)) && !pending_of(c)->own_step;
    return codes && on && known && st->nodes[n - g->nodes].complete ? product_on_codes(c)
                                                                    : product_in_floats(c);
}

/* The float op, its output in memory of its own: it is rounded in place. */
static oct_status float_output(octi_call *c) {
    if (c->node->kind != OCT_OP_quantize) return octi_diff_of(c->node->kind)->forward(c);
    OCT_TRY(octi_call_output(c));
    memcpy(c->out->data, c->in[0]->data, oct_tensor_bytes(c->out));
    return OCT_OK;
}

/* quantize, and nodes with a grid of their own but no weights (codes_own.c) */
static oct_status own_forward(octi_call *c, bool codes) {
    oct_quantizer *q = out_quantizer(c);
    bool known = octi_quantizer_ready(q) && !pending_of(c)->own_step;
    if (!codes || !oct_u8(q->enabled)[1] || (observes(c, q) && !known)) {
        OCT_TRY(float_output(c));
        return quantize_output(c, (oct_act)c->node->attr.act[0]);
    }
    if (observes(c, q)) {
        OCT_TRY(float_output(c));
        OCT_TRY(observe_tensor(c, q, c->out));
    } else
        OCT_TRY(octi_call_output(c));
    if (!octi_quantizer_ready(q)) return octi_not_observed(q);
    OCT_TRY(new_codes(c, q));
    return octi_own_on_codes(c, q, straight_of(c));
}

static oct_status forward(octi_call *c) {
    const oct_graph *g = c->net->graph;
    const oct_node *n = c->net_node;
    octi_paths *paths = octi_ctx_paths(c->ctx);
    paths->side = c->mode == OCT_EVAL ? OCTI_SIDE_EVAL : OCTI_SIDE_TRAIN;
    octi_path_count(paths, paths->side,
                    (octi_is_int8(g, n) ? OCTI_PATH_CODES : OCTI_PATH_FLOAT) + (int)n->kind);
    if (!octi_is_int8(g, n))
        return c->mode == OCT_EVAL ? octi_float_layer(c) : octi_diff_of(n->kind)->forward(c);
    if (c->mode == OCT_CALIBRATE) { /* float values; only ranges move */
        OCT_TRY(octi_diff_of(n->kind)->forward(c));
        return octi_is_source(g, n) ? quantize_output(c, OCT_ACT_NONE) : OCT_OK;
    }
    bool codes = has_codes(c);
    if (octi_is_weighted(g, n)) return weighted_forward(c, codes);
    return octi_is_source(g, n) ? own_forward(c, codes)
                                : octi_share_on_codes(c, out_quantizer(c), codes);
}

/* ---- backward: straight through ---- */

typedef struct mask_job {
    float *d;
    const uint8_t *mask;
    int64_t n;
    int chunks;
} mask_job;

static void mask_task(void *arg, int64_t i) {
    const mask_job *j = arg;
    for (int64_t k = j->n * i / j->chunks, to = j->n * (i + 1) / j->chunks; k < to; k++)
        j->d[k] = j->mask[k] & OCTI_PASSES ? j->d[k] : 0.0f;
}

/* Gradients of gamma and beta behind frozen statistics, from the output: the normalized value is (y
 * - beta) / gamma', gamma' being the folded factor times std. Slots fold along one tree, so threads
 * change no bit. */
typedef struct bn_job {
    const float *dy, *y;
    int64_t rows, c; /* rows per image */
    int64_t images;
    int slots;
    double *sums; /* [slots][2][c]: dy, dy * y */
} bn_job;

static void bn_task(void *arg, int64_t i) {
    const bn_job *j = arg;
    double *s = j->sums + i * 2 * j->c;
    for (int64_t r = octi_slot_begin(j->images, j->slots, (int)i) * j->rows,
                 to = octi_slot_begin(j->images, j->slots, (int)i + 1) * j->rows;
         r < to; r++)
        for (int64_t k = 0; k < j->c; k++) {
            s[k] += j->dy[r * j->c + k];
            s[j->c + k] += (double)j->dy[r * j->c + k] * j->y[r * j->c + k];
        }
}

static oct_status folded_bn_grad(octi_call *c, int first) {
    if (!c->din[first] && !c->din[first + 1]) return OCT_OK;
    const oct_shape *s = &c->dout->shape;
    bn_job j = {.dy = oct_f32(c->dout),
                .y = oct_f32(c->out),
                .c = s->dim[s->rank - 1],
                .images = s->dim[0],
                .slots = octi_slots(s->dim[0])};
    j.rows = oct_shape_count(s) / j.c / j.images;
    j.sums = octi_arena_calloc(c->arena, (size_t)(j.slots * 2 * j.c), sizeof(double));
    if (!j.sums) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(c->ctx), j.slots, bn_task, &j);
    for (int stride = 1; stride < j.slots; stride *= 2)
        for (int i = 0; i + stride < j.slots; i += 2 * stride)
            for (int64_t k = 0; k < 2 * j.c; k++)
                j.sums[i * 2 * j.c + k] += j.sums[(i + stride) * 2 * j.c + k];
    const octi_qweights *w = weights_of(c);
    const float *beta = oct_f32(c->in[first + 1]), *var = oct_f32(c->in[first + 3]);
    for (int k = 0; k < 2; k++)
        if (c->din[first + k]) OCT_TRY(octi_call_din(c, first + k));
    for (int64_t k = 0; k < j.c; k++) {
        double gamma = (double)w->factor[k] * sqrt((double)var[k] + (double)c->node->attr.eps);
        if (c->din[first])
            oct_f32(c->din[first])[k] = (float)((j.sums[j.c + k] - beta[k] * j.sums[k]) / gamma);
        if (c->din[first + 1]) oct_f32(c->din[first + 1])[k] = (float)j.sums[k];
    }
    return OCT_OK;
}

/* Learned steps of the weights, and what is cut of them; dw is the gradient of the folded,
 * quantized weights. */
static oct_status weights_grad(octi_call *c, oct_tensor *dw) {
    const oct_graph *g = c->net->graph;
    oct_quantizer *q = octi_weight_quantizer(g, c->net_node);
    if (!oct_u8(q->enabled)[1]) return OCT_OK;
    const oct_quantizer *x = &g->quantizers[g->values[c->net_node->in[OCTI_X]].quantizer];
    const oct_tensor *w = g->values[c->net_node->in[OCTI_W]].tensor;
    if (!octi_is_learned(q)) {
        if (octi_weights_cut(q)) octi_weight_mask(q, weights_of(c), oct_f32(w), oct_f32(dw));
        return OCT_OK;
    }
    return octi_learned_weight_grad(c->ctx, q, weights_of(c), oct_f32(w),
                                    octi_quantizer_ready(x) ? octi_scale(x) : 0, oct_f32(dw));
}

/* Weights of a node that ran on codes with frozen statistics: dW = (dy (*) x) * factor, gamma and
 * beta through y = (conv - mean) / std * gamma + beta, with (y - beta) / gamma in place of the
 * normalized value. */
static oct_status folded_backward(octi_call *c) {
    const oct_node *n = c->net_node;
    const octi_qweights *w = weights_of(c);
    bool conv = n->kind == OCT_OP_conv2d;
    oct_tensor *dw = c->din[OCTI_W], *dx = c->din[OCTI_X];
    if (dw) {
        bool bias = n->nin > OCTI_B && c->in[OCTI_B];
        oct_tensor *db = bias ? c->din[OCTI_B] : NULL;
        OCT_TRY(octi_call_din(c, OCTI_W));
        if (db) OCT_TRY(octi_call_din(c, OCTI_B));
        OCT_TRY(conv ? oct_conv2d_grad_w(c->ctx, &n->attr, c->in[OCTI_X], c->dout, dw, db)
                     : oct_linear_grad_w(c->ctx, c->in[OCTI_X], c->dout, dw, db));
        OCT_TRY(weights_grad(c, dw));
        for (int32_t o = 0; w->factor && o < w->o; o++) {
            for (int64_t k = 0; k < w->k; k++) oct_f32(dw)[o * w->k + k] *= w->factor[o];
            if (db) oct_f32(db)[o] *= w->factor[o];
        }
    }
    if (n->attr.bn[0]) OCT_TRY(folded_bn_grad(c, OCTI_GAMMA));
    if (!dx) return OCT_OK;
    oct_tensor *wf = float_weights(c, false);
    if (!wf) return oct_last_error()->code;
    OCT_TRY(octi_call_din(c, OCTI_X));
    return conv ? oct_conv2d_grad_x(c->ctx, &n->attr, c->dout, wf, dx)
                : oct_linear_grad_x(c->ctx, c->dout, wf, dx);
}

static oct_status folded_bn_node_backward(octi_call *c) {
    OCT_TRY(folded_bn_grad(c, 1));
    const octi_qweights *w = weights_of(c);
    if (!c->din[0]) return OCT_OK;
    octi_call_pass(c, 0);
    float *d = oct_f32(c->din[0]);
    for (int64_t i = 0, n = oct_tensor_count(c->din[0]); i < n; i++) d[i] *= w->factor[i % w->o];
    return OCT_OK;
}

/* These gradients read the output, and mean what the function gave: a probability that rounds to 0
 * still has one. */
static oct_status unrounded_output(octi_call *c, const octi_diff *diff) {
    const oct_op_kind k = c->node->kind;
    return k == OCT_OP_sigmoid || k == OCT_OP_tanh || k == OCT_OP_softmax ? diff->forward(c)
                                                                          : OCT_OK;
}

/* The float op's gradient without its activation, which the mask has taken care of. */
static oct_status without_act(octi_call *c) {
    const octi_diff *diff = octi_diff_of(c->node->kind);
    const oct_node *own = c->node;
    oct_tensor *out = c->out;
    oct_node bare = *own;
    bare.attr.act[0] = OCT_ACT_NONE;
    c->node = &bare;
    oct_status s = unrounded_output(c, diff);
    if (s == OCT_OK) s = diff->backward(c);
    c->node = own;
    c->out = out;
    return s;
}

static void scale_rows(float *dw, const octi_qweights *w, bool inverse) {
    for (int32_t o = 0; w->factor && o < w->o; o++)
        for (int64_t k = o * w->k; k < (o + 1) * w->k; k++)
            dw[k] = inverse ? dw[k] / w->factor[o] : dw[k] * w->factor[o];
}

static oct_status backward(octi_call *c) {
    const oct_graph *g = c->net->graph;
    const oct_node *n = c->net_node;
    /* else the output stayed float: quantization is off, or its first step */
    const bool masked = c->saved[SAVED_MASK] != NULL;
    if (!octi_is_int8(g, n) || (!masked && !octi_is_weighted(g, n)))
        return octi_diff_of(n->kind)->backward(c);
    if (c->saved[SAVED_TERM]) {
        octi_straight to = straight_of(c);
        OCT_TRY(octi_learned_grad(c, out_quantizer(c), &to));
    }
    if (masked) {
        mask_job j = {oct_f32(c->dout), oct_u8(c->saved[SAVED_MASK]), oct_tensor_count(c->dout),
                      16};
        octi_parallel_for(octi_ctx_pool(c->ctx), j.chunks, mask_task, &j);
    } else if (n->attr.act[0])
        OCT_TRY(oct_act_grad(c->ctx, (oct_act)n->attr.act[0], c->out, c->dout, c->dout));
    if (!octi_is_weighted(g, n)) return without_act(c);
    if (!c->saved[SAVED_MEAN])
        return n->kind == OCT_OP_batch_norm ? folded_bn_node_backward(c) : folded_backward(c);
    oct_tensor *w = c->in[OCTI_W];
    if (c->saved[SAVED_WEIGHTS]) c->in[OCTI_W] = c->saved[SAVED_WEIGHTS];
    oct_status s = without_act(c);
    c->in[OCTI_W] = w;
    if (s != OCT_OK || n->kind == OCT_OP_batch_norm || !c->din[OCTI_W]) return s;
    const oct_quantizer *wq = octi_weight_quantizer(g, n);
    if (!octi_is_learned(wq))
        return octi_weights_cut(wq) ? weights_grad(c, c->din[OCTI_W]) : OCT_OK;
    /* W = fq(w * factor) / factor: through the division, and back */
    const octi_qweights *qw = weights_of(c);
    scale_rows(oct_f32(c->din[OCTI_W]), qw, true);
    OCT_TRY(weights_grad(c, c->din[OCTI_W]));
    scale_rows(oct_f32(c->din[OCTI_W]), qw, false);
    return OCT_OK;
}

const octi_node_hooks octi_qat_hooks = {octi_settled_view, begin, forward, backward};
