/* SPDX-License-Identifier: MIT
 * The layers: each records one node under its module's path. */
#include <float.h>
#include <string.h>

#include "autograd/nn/module.h"
#include "src/mem.h"
#include "src/words.h"

static oct_module *bad(oct_ctx *ctx, const char *layer, const char *what, const char *expected,
                       const char *got) {
    octi_fail(OCT_EUSAGE, layer, what, expected, got, NULL);
    octi_ctx_failed(ctx);
    return NULL;
}

/* The node takes the module's path; a layer that is a root has none and is named after its kind. */
static const char *node_name(const oct_tape *t) {
    const char *s = octi_scope(t);
    return s && *s ? s : NULL;
}

static oct_var *weighted_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module *m = self;
    oct_var *w = octi_layer_var(m, t, "weight"), *b = octi_layer_var(m, t, "bias");
    if (!w || (m->slot_count > 1 && !b)) return octi_tape_failed(t);
    bool conv = m->slots[0].tensor->shape.rank == 4;
    return octi_record(t, conv ? OCT_OP_conv2d : OCT_OP_linear, &m->attr, (oct_var *[]){x, w, b},
                       b ? 3 : 2, node_name(t));
}

oct_module *oct_conv2d_new(oct_ctx *ctx, const oct_conv2d_opts *o) {
    if (!ctx) return NULL;
    if (!o) return bad(ctx, "conv2d", "no options", ".in, .out, .kernel", NULL);
    const oct_attrs a = octi_conv2d_attrs(o);
    const int r = a.kernel[0], s = a.kernel[1], groups = a.groups[0];
    if (o->in < 1 || o->out < 1)
        return bad(ctx, "conv2d", "channels", ".in and .out >= 1",
                   octi_fmt("in %d, out %d", o->in, o->out));
    if (r < 1 || s < 1) return bad(ctx, "conv2d", "kernel", ">= 1", octi_fmt("%d x %d", r, s));
    for (int i = 0; i < 2; i++)
        if (a.stride[i] < 1 || a.dilation[i] < 1)
            return bad(ctx, "conv2d", "stride or dilation", ">= 1",
                       octi_fmt("%d, %d", a.stride[i], a.dilation[i]));
    if (groups < 1 || o->in % groups || o->out % groups)
        return bad(ctx, "conv2d", "groups", "a divisor of in and out",
                   octi_fmt("%d for in %d, out %d", groups, o->in, o->out));
    oct_module *m = octi_layer_new(ctx, weighted_forward);
    if (!m) return NULL;
    m->attr = a;
    for (int i = 0; i < 4; i++)
        if (m->attr.pads[i] < 0)
            return bad(ctx, "conv2d", "padding", ">= 0", octi_fmt("%d", m->attr.pads[i]));
    const int64_t cells = (int64_t)r * s, per = o->in / groups;
    if (cells > INT64_MAX / per / o->out)
        return bad(ctx, "conv2d", "kernel", "weights that fit in memory",
                   octi_fmt("%d x %d x %lld for each of %d", r, s, (long long)per, o->out));
    const int64_t fan_in = cells * per;
    m = octi_layer_tensor(m, "weight", OCT_ROLE_PARAM, OCTI_INIT_WEIGHT, fan_in,
                          OCT_SHAPE(o->out, r, s, o->in / groups));
    return o->no_bias ? m
                      : octi_layer_tensor(m, "bias", OCT_ROLE_PARAM, OCTI_INIT_BIAS, fan_in,
                                          OCT_SHAPE(o->out));
}

oct_module *oct_linear_new(oct_ctx *ctx, const oct_linear_opts *o) {
    if (!ctx) return NULL;
    if (!o || o->in < 1 || o->out < 1)
        return bad(ctx, "linear", "features", ".in and .out >= 1",
                   o ? octi_fmt("in %d, out %d", o->in, o->out) : "no options");
    oct_module *m = octi_layer_new(ctx, weighted_forward);
    m = octi_layer_tensor(m, "weight", OCT_ROLE_PARAM, OCTI_INIT_WEIGHT, o->in,
                          OCT_SHAPE(o->out, o->in));
    return o->no_bias ? m
                      : octi_layer_tensor(m, "bias", OCT_ROLE_PARAM, OCTI_INIT_BIAS, o->in,
                                          OCT_SHAPE(o->out));
}

static oct_var *batch_norm_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module *m = self;
    oct_var *in[5] = {x};
    for (int i = 0; i < 4; i++)
        if (!(in[i + 1] = octi_layer_var(m, t, m->slots[i].name))) return octi_tape_failed(t);
    return octi_record(t, OCT_OP_batch_norm, &m->attr, in, 5, node_name(t));
}

oct_module *oct_batch_norm_new(oct_ctx *ctx, const oct_batch_norm_opts *o) {
    if (!ctx) return NULL;
    if (!o || o->channels < 1)
        return bad(ctx, "batch_norm", "channels", ">= 1",
                   o ? octi_fmt("%d", o->channels) : "no options");
    oct_attrs attr = octi_batch_norm_attrs(o);
    if (!(attr.eps > 0) || !(attr.momentum >= 0 && attr.momentum <= 1))
        return bad(ctx, "batch_norm", "eps or momentum", "eps > 0, momentum 0 to 1",
                   octi_fmt("%g, %g", attr.eps, attr.momentum));
    oct_module *m = octi_layer_new(ctx, batch_norm_forward);
    if (!m) return NULL;
    m->attr = attr;
    oct_shape c = OCT_SHAPE(o->channels);
    m = octi_layer_tensor(m, "weight", OCT_ROLE_PARAM, OCTI_INIT_ONE, 0, c);
    m = octi_layer_tensor(m, "bias", OCT_ROLE_PARAM, OCTI_INIT_ZERO, 0, c);
    m = octi_layer_tensor(m, "running_mean", OCT_ROLE_BUFFER, OCTI_INIT_ZERO, 0, c);
    return octi_layer_tensor(m, "running_var", OCT_ROLE_BUFFER, OCTI_INIT_ONE, 0, c);
}

#define PLAIN(layer)                                                                               \
    static oct_var *layer##_forward(void *self, oct_tape *t, oct_var *x) {                         \
        oct_module *m = self;                                                                      \
        return octi_record(t, OCT_OP_##layer, &m->attr, &x, 1, node_name(t));                      \
    }
PLAIN(dropout)
PLAIN(relu)
PLAIN(max_pool2d)
PLAIN(flatten)
PLAIN(leaky_relu)
PLAIN(elu)
PLAIN(hardswish)
PLAIN(hardsigmoid)
PLAIN(sigmoid)
PLAIN(tanh)
PLAIN(softmax)

oct_module *oct_dropout_new(oct_ctx *ctx, float p) {
    if (!ctx) return NULL;
    if (!(p >= 0 && p < 1)) return bad(ctx, "dropout", "p", "0 <= p < 1", octi_fmt("%g", p));
    oct_module *m = octi_layer_new(ctx, dropout_forward);
    if (m) m->attr.p = p;
    return m;
}

oct_module *oct_relu_new(oct_ctx *ctx) { return ctx ? octi_layer_new(ctx, relu_forward) : NULL; }
oct_module *oct_hardswish_new(oct_ctx *ctx) {
    return ctx ? octi_layer_new(ctx, hardswish_forward) : NULL;
}
oct_module *oct_hardsigmoid_new(oct_ctx *ctx) {
    return ctx ? octi_layer_new(ctx, hardsigmoid_forward) : NULL;
}
oct_module *oct_sigmoid_new(oct_ctx *ctx) {
    return ctx ? octi_layer_new(ctx, sigmoid_forward) : NULL;
}
oct_module *oct_tanh_new(oct_ctx *ctx) { return ctx ? octi_layer_new(ctx, tanh_forward) : NULL; }
oct_module *oct_softmax_new(oct_ctx *ctx) {
    return ctx ? octi_layer_new(ctx, softmax_forward) : NULL;
}

oct_module *oct_leaky_relu_new(oct_ctx *ctx, float slope) {
    if (!ctx) return NULL;
    if (!(slope >= 0 && slope <= 1))
        return bad(ctx, "leaky_relu", "slope", "0 to 1", octi_fmt("%g", slope));
    oct_module *m = octi_layer_new(ctx, leaky_relu_forward);
    if (m) m->attr.slope = slope;
    return m;
}
oct_module *oct_elu_new(oct_ctx *ctx, float alpha) {
    if (!ctx) return NULL;
    if (!(alpha > 0 && alpha <= FLT_MAX))
        return bad(ctx, "elu", "alpha", "above 0", octi_fmt("%g", alpha));
    oct_module *m = octi_layer_new(ctx, elu_forward);
    if (m) m->attr.slope = alpha;
    return m;
}
oct_module *oct_flatten_new(oct_ctx *ctx) {
    return ctx ? octi_layer_new(ctx, flatten_forward) : NULL;
}

oct_module *oct_max_pool2d_new(oct_ctx *ctx, const oct_pool_opts *o) {
    if (!ctx) return NULL;
    if (!o) return bad(ctx, "max_pool2d", "kernel", ">= 1", "no options");
    const oct_attrs a = octi_pool_attrs(o);
    for (int i = 0; i < 2; i++)
        if (a.kernel[i] < 1 || a.stride[i] < 1)
            return bad(ctx, "max_pool2d", "kernel or stride", ">= 1",
                       octi_fmt("%d, %d", a.kernel[i], a.stride[i]));
    oct_module *m = octi_layer_new(ctx, max_pool2d_forward);
    if (!m) return NULL;
    m->attr = a;
    return m;
}

static oct_var *sequential_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module *m = self;
    (void)t;
    for (int32_t i = 0; i < m->child_count; i++) x = oct_apply(m->children[i], x);
    return x;
}

oct_module *oct_sequential_new(oct_ctx *ctx, oct_module *const *children, int count) {
    if (!ctx) return NULL;
    if (!children && count > 0)
        return octi_fail_null("oct_sequential_new"), octi_ctx_failed(ctx), NULL;
    oct_module *m = octi_layer_new(ctx, sequential_forward);
    for (int i = 0; m && i < count; i++)
        if (!oct_module_add(m, octi_fmt("%d", i), children[i])) return NULL;
    return m;
}

void oct_linear_opts_init(oct_linear_opts *opts) {
    if (opts) *opts = (oct_linear_opts){0};
}
