/* SPDX-License-Identifier: MIT
 * Layers with parameters. A conv2d or linear node may carry a fused batch norm and activation, a
 * batch norm an activation (attr.bn, attr.act): the same ops in the same order as the separate
 * nodes, so fusing changes no bit of a float net. */
#include "autograd/diff.h"
#include "ops/product_paths.h"

enum { X, W, B, GAMMA, BETA, MEAN, VAR };
enum { SAVED_RAW, SAVED_MEAN, SAVED_INVSTD };

/* Training goes by the batch, and moves the running statistics, unless the batch norm rests. */
static bool by_batch(const octi_call *c) {
    return c->mode == OCT_TRAIN && !octi_batch_norm_rests(c->graph, c->node);
}

static oct_status bn_forward(octi_call *c, const oct_tensor *x, int first, oct_tensor *y) {
    const oct_attrs *a = &c->node->attr;
    oct_tensor **p = c->in + first; /* gamma, beta, mean, var */
    if (!by_batch(c)) return oct_batch_norm_eval(c->ctx, a, x, p[0], p[1], p[2], p[3], y);
    c->saved[SAVED_MEAN] = octi_call_tensor(c, OCT_F32, p[0]->shape);
    c->saved[SAVED_INVSTD] = octi_call_tensor(c, OCT_F32, p[0]->shape);
    if (!c->saved[SAVED_MEAN] || !c->saved[SAVED_INVSTD]) return oct_last_error()->code;
    return oct_batch_norm_train(c->ctx, a, x, p[0], p[1], p[2], p[3], c->saved[SAVED_MEAN],
                                c->saved[SAVED_INVSTD], y);
}

/* dx lands in dx (may be dy); gamma and beta gradients in din[first], din[first + 1], or
 * nowhere. */
static oct_status bn_backward(octi_call *c, const oct_tensor *x, const oct_tensor *dy, int first,
                              oct_tensor *dx) {
    oct_tensor *d[2];
    for (int k = 0; k < 2; k++) {
        if (c->din[first + k]) {
            OCT_TRY(octi_call_din(c, first + k));
            d[k] = c->din[first + k];
        } else if (!(d[k] = octi_call_tensor(c, OCT_F32, c->in[first]->shape)))
            return oct_last_error()->code;
    }
    oct_tensor **p = c->in + first;
    if (!by_batch(c))
        return oct_batch_norm_grad_eval(c->ctx, &c->node->attr, x, dy, p[0], p[2], p[3], dx, d[0],
                                        d[1]);
    return oct_batch_norm_grad(c->ctx, x, dy, p[0], c->saved[SAVED_MEAN], c->saved[SAVED_INVSTD],
                               dx, d[0], d[1]);
}

static oct_status act_forward(octi_call *c) {
    const oct_act act = (oct_act)c->node->attr.act[0];
    return act ? oct_act_forward(c->ctx, act, c->out, c->out) : OCT_OK;
}
static oct_status act_backward(octi_call *c) {
    const oct_act act = (oct_act)c->node->attr.act[0];
    return act ? oct_act_grad(c->ctx, act, c->out, c->dout, c->dout) : OCT_OK;
}

oct_status octi_fwd_batch_norm(octi_call *c) {
    OCT_TRY(octi_call_output(c));
    OCT_TRY(bn_forward(c, c->in[0], 1, c->out));
    return act_forward(c);
}
oct_status octi_bwd_batch_norm(octi_call *c) {
    OCT_TRY(act_backward(c));
    oct_tensor *dx = c->dout;
    if (c->din[0]) octi_call_pass(c, 0), dx = c->din[0];
    return bn_backward(c, c->in[0], c->dout, 1, dx);
}

/* Gradients of the product behind dy, into whatever is wanted. */
static oct_status product_backward(octi_call *c, const oct_tensor *dy, bool conv) {
    const oct_attrs *a = &c->node->attr;
    if (c->din[W]) {
        oct_tensor *db = c->node->nin > B && c->in[B] ? c->din[B] : NULL;
        OCT_TRY(octi_call_din(c, W));
        if (db) OCT_TRY(octi_call_din(c, B));
        OCT_TRY(conv ? oct_conv2d_grad_w(c->ctx, a, c->in[X], dy, c->din[W], db)
                     : oct_linear_grad_w(c->ctx, c->in[X], dy, c->din[W], db));
    }
    if (!c->din[X]) return OCT_OK;
    OCT_TRY(octi_call_din(c, X));
    return conv ? oct_conv2d_grad_x(c->ctx, a, dy, c->in[W], c->din[X])
                : oct_linear_grad_x(c->ctx, dy, c->in[W], c->din[X]);
}

static oct_status product_forward(octi_call *c, bool conv) {
    const oct_attrs *a = &c->node->attr;
    const oct_tensor *b = c->node->nin > B ? c->in[B] : NULL;
    OCT_TRY(octi_call_output(c));
    oct_tensor *raw = c->out;
    bool keep = a->bn[0] && c->wants_grad; /* batch norm's gradient wants its input */
    if (keep && !(raw = c->saved[SAVED_RAW] = octi_call_tensor(c, OCT_F32, c->out->shape)))
        return oct_last_error()->code;
    octi_call_took(c, conv ? octi_conv2d_path(a, c->in[X], raw, false)
                           : octi_linear_path(c->ctx, c->in[X], c->in[W]));
    OCT_TRY(conv ? oct_conv2d_forward(c->ctx, a, c->in[X], c->in[W], b, raw)
                 : oct_linear_forward(c->ctx, c->in[X], c->in[W], b, raw));
    if (a->bn[0]) OCT_TRY(bn_forward(c, raw, GAMMA, c->out));
    return act_forward(c);
}
static oct_status fused_backward(octi_call *c, bool conv) {
    OCT_TRY(act_backward(c));
    if (c->node->attr.bn[0]) OCT_TRY(bn_backward(c, c->saved[SAVED_RAW], c->dout, GAMMA, c->dout));
    return product_backward(c, c->dout, conv);
}

oct_status octi_fwd_conv2d(octi_call *c) { return product_forward(c, true); }
oct_status octi_bwd_conv2d(octi_call *c) { return fused_backward(c, true); }
oct_status octi_fwd_linear(octi_call *c) { return product_forward(c, false); }
oct_status octi_bwd_linear(octi_call *c) { return fused_backward(c, false); }
