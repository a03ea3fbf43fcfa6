/* SPDX-License-Identifier: MIT
 * A node's backward pass, by the kind that begin gave it: straight through roundings where neither
 * range nor activation clipped, then the float op's gradient, or the folded product's. */
#include <math.h>
#include <string.h>

#include "autograd/diff.h"
#include "ops/checks.h"
#include "qat/scales/weight_range.h"
#include "qat/step/learned_grad.h"
#include "qat/step/step.h"
#include "src/cut.h"
#include "src/mem.h"

/* ---- the mask ---- */

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

/* Learned scales take their gradient from dout as it is; then dout loses what the mask closes.
 * Without a mask the output stayed float, and only its activation closes. */
static oct_status pass_rounding(octi_call *c) {
    if (!c->saved[OCTI_SAVED_MASK]) {
        const oct_act act = (oct_act)c->node->attr.act[0];
        return act ? oct_act_grad(c->ctx, act, c->out, c->dout, c->dout) : OCT_OK;
    }
    octi_straight to = octi_straight_of(c);
    if (to.term) OCT_TRY(octi_learned_grad(c, octi_out_quantizer(c), &to));
    mask_job j = {oct_f32(c->dout), oct_u8(to.mask), oct_tensor_count(c->dout), 16};
    octi_parallel_for(octi_ctx_pool(c->ctx), j.chunks, mask_task, &j);
    return OCT_OK;
}

/* These gradients read the output, and mean what the function gave: a probability that rounds to 0
 * still has one. */
static bool reads_output(oct_op_kind k) {
    return k == OCT_OP_sigmoid || k == OCT_OP_tanh || k == OCT_OP_softmax;
}

/* The float op's gradient without its activation, which pass_rounding has taken care of. in: the
 * inputs that the forward pass had. */
static oct_status float_op_grad(octi_call *c, oct_tensor **in) {
    const octi_diff *diff = octi_diff_of(c->node->kind);
    oct_node bare = *c->node;
    octi_call with = *c;
    bare.attr.act[0] = OCT_ACT_NONE;
    with.node = &bare;
    with.in = in;
    if (reads_output(c->node->kind)) OCT_TRY(diff->forward(&with));
    return diff->backward(&with);
}

/* ---- weights ---- */

static const octi_qweights *weights_of(const octi_call *c) { return &octi_step_node_of(c)->w; }

/* Gradients of gamma and beta behind frozen statistics, from the output: with y = x_hat * gamma +
 * beta,
 *     d beta = sum dy,   d gamma = sum dy * x_hat = (sum dy * y - beta * sum dy) / gamma
 * gamma being the folded factor times std, so that the floor under the factor (law 5) counts. Slots
 * fold along one tree, so threads change no bit. */
typedef struct bn_job {
    const float *dy, *y;
    int64_t rows, c; /* rows per image */
    octi_cut cut;
    double *sums; /* [slots][2][c]: dy, dy * y */
} bn_job;

static void bn_task(void *arg, int64_t i) {
    const bn_job *j = arg;
    double *s = j->sums + i * 2 * j->c;
    for (int64_t r = octi_cut_at(&j->cut, i) * j->rows, to = octi_cut_at(&j->cut, i + 1) * j->rows;
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
                .cut = octi_cut_of(c->ctx, s->dim[0])};
    j.rows = oct_shape_count(s) / j.c / s->dim[0];
    j.sums = octi_arena_calloc(c->arena, (size_t)(j.cut.count * 2 * j.c), sizeof(double));
    if (!j.sums) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(c->ctx), j.cut.count, bn_task, &j);
    OCT_TRY(octi_cut_fold_f64(&j.cut, j.sums, 2 * j.c));
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
    oct_tensor *wf = octi_float_weights(c, false);
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

static void scale_rows(float *dw, const octi_qweights *w, bool inverse) {
    for (int32_t o = 0; w->factor && o < w->o; o++)
        for (int64_t k = o * w->k; k < (o + 1) * w->k; k++)
            dw[k] = inverse ? dw[k] / w->factor[o] : dw[k] * w->factor[o];
}

/* Behind batch statistics: W = fq(w * factor) / factor, and no gradient goes through the factor. A
 * learned step's is that of fq(w * factor): through the division, and back. */
static oct_status statistics_backward(octi_call *c) {
    const oct_node *n = c->net_node;
    if (n->kind == OCT_OP_batch_norm) return float_op_grad(c, c->in);
    oct_tensor *in[OCTI_WEIGHTED_INPUTS];
    memcpy(in, c->in, sizeof *in * (size_t)n->nin);
    in[OCTI_W] = c->saved[OCTI_SAVED_WEIGHTS];
    OCT_TRY(float_op_grad(c, in));
    oct_tensor *dw = c->din[OCTI_W];
    if (!dw) return OCT_OK;
    const oct_quantizer *wq = octi_weight_quantizer(c->net->graph, n);
    if (!octi_is_learned(wq)) return octi_weights_cut(wq) ? weights_grad(c, dw) : OCT_OK;
    scale_rows(oct_f32(dw), weights_of(c), true);
    OCT_TRY(weights_grad(c, dw));
    scale_rows(oct_f32(dw), weights_of(c), false);
    return OCT_OK;
}

oct_status octi_step_backward(octi_call *c) {
    switch (octi_step_node_of(c)->kind) {
    case OCTI_STEP_ROUND:
    case OCTI_STEP_OWN:
        if (!c->saved[OCTI_SAVED_MASK]) break; /* the output stayed float */
        OCT_TRY(pass_rounding(c));
        return float_op_grad(c, c->in);
    case OCTI_STEP_PRODUCT:
    case OCTI_STEP_FOLDED:
        OCT_TRY(pass_rounding(c));
        return c->net_node->kind == OCT_OP_batch_norm ? folded_bn_node_backward(c)
                                                      : folded_backward(c);
    case OCTI_STEP_STATISTICS:
        OCT_TRY(pass_rounding(c));
        return statistics_backward(c);
    default:
        break;
    }
    return octi_diff_of(c->node->kind)->backward(c);
}
