/* SPDX-License-Identifier: MIT
 * The recorded ops of autograd.h: options to attributes, then octi_record. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "src/float_mode.h"

#define NONZERO(v, otherwise) ((v) ? (v) : (otherwise))

/* First non-NULL input's tape: where a failure is kept. All inputs that must be there are checked
 * by octi_record. */
static oct_tape *tape_of(oct_var *const *in, int n) {
    for (int k = 0; k < n; k++)
        if (in[k]) return oct_var_tape(in[k]);
    return NULL;
}

static oct_var *record(oct_op_kind kind, const oct_attrs *a, oct_var *const *in, int nin,
                       int required) {
    oct_tape *t = tape_of(in, nin);
    for (int k = 0; k < required; k++)
        if (!in[k]) {
            if (t && oct_tape_status(t) == OCT_OK && oct_last_error()->code == OCT_OK)
                octi_fail(OCT_EUSAGE, oct_op_name(kind), octi_fmt("input %d is NULL", k), NULL,
                          NULL, NULL);
            return octi_tape_failed(t);
        }
    return octi_record(t, kind, a, in, nin, NULL);
}

static oct_var *unary(oct_op_kind kind, const oct_attrs *a, oct_var *x) {
    return record(kind, a, &x, 1, 1);
}

/* Options may carry `pad` for all sides; `pads` overrides it where any is not 0. */
static void set_pads(int32_t dst[4], int pad, const int pads[4]) {
    bool own = pads[0] || pads[1] || pads[2] || pads[3];
    for (int i = 0; i < 4; i++) dst[i] = own ? pads[i] : pad;
}

oct_attrs octi_conv2d_attrs(const oct_conv2d_opts *o) {
    oct_attrs a = {.stride = {1, 1}, .dilation = {1, 1}, .groups = {1}};
    if (!o) return a;
    a.kernel[0] = NONZERO(o->kernel_size[0], o->kernel);
    a.kernel[1] = NONZERO(o->kernel_size[1], o->kernel);
    for (int i = 0; i < 2; i++) {
        a.stride[i] = NONZERO(o->strides[i], NONZERO(o->stride, 1));
        a.dilation[i] = NONZERO(o->dilations[i], NONZERO(o->dilation, 1));
    }
    a.groups[0] = NONZERO(o->groups, 1);
    set_pads(a.pads, o->pad, o->pads);
    return a;
}

oct_attrs octi_pool_attrs(const oct_pool_opts *o) {
    oct_attrs a = {.kernel = {2, 2}, .stride = {2, 2}};
    if (!o) return a;
    for (int i = 0; i < 2; i++) {
        a.kernel[i] = NONZERO(o->kernel_size[i], o->kernel);
        a.stride[i] = NONZERO(o->strides[i], NONZERO(o->stride, a.kernel[i]));
    }
    a.exclude_pad[0] = o->exclude_pad;
    set_pads(a.pads, o->pad, o->pads);
    return a;
}

oct_attrs octi_batch_norm_attrs(const oct_batch_norm_opts *o) {
    oct_attrs a = {.eps = 1e-5f, .momentum = 0.1f};
    if (!o) return a;
    a.eps = NONZERO(o->eps, 1e-5f);
    a.momentum = octi_or_default(o->momentum, 0.1f);
    return a;
}

oct_var *oct_conv2d(oct_var *x, oct_var *w, oct_var *b, const oct_conv2d_opts *opts) {
    oct_attrs a = octi_conv2d_attrs(opts);
    const oct_shape *ws = oct_var_shape(w); /* the weight says what the kernel is */
    if (ws && ws->rank == 4) a.kernel[0] = (int32_t)ws->dim[1], a.kernel[1] = (int32_t)ws->dim[2];
    oct_var *in[3] = {x, w, b};
    return record(OCT_OP_conv2d, &a, in, b ? 3 : 2, 2);
}

oct_var *oct_linear(oct_var *x, oct_var *w, oct_var *b) {
    oct_var *in[3] = {x, w, b};
    return record(OCT_OP_linear, NULL, in, b ? 3 : 2, 2);
}

oct_var *oct_relu(oct_var *x) { return unary(OCT_OP_relu, NULL, x); }
oct_var *oct_relu6(oct_var *x) { return unary(OCT_OP_relu6, NULL, x); }
oct_var *oct_clamp(oct_var *x, float least, float most) {
    return unary(OCT_OP_clamp,
                 &(oct_attrs){.least = least == -INFINITY ? -FLT_MAX : least,
                              .most = most == INFINITY ? FLT_MAX : most},
                 x);
}
oct_var *oct_leaky_relu(oct_var *x, float slope) {
    return unary(OCT_OP_leaky_relu, &(oct_attrs){.slope = slope}, x);
}
oct_var *oct_elu(oct_var *x, float alpha) {
    return unary(OCT_OP_elu, &(oct_attrs){.slope = alpha}, x);
}
oct_var *oct_hardswish(oct_var *x) { return unary(OCT_OP_hardswish, NULL, x); }
oct_var *oct_hardsigmoid(oct_var *x) { return unary(OCT_OP_hardsigmoid, NULL, x); }
oct_var *oct_sigmoid(oct_var *x) { return unary(OCT_OP_sigmoid, NULL, x); }
oct_var *oct_tanh(oct_var *x) { return unary(OCT_OP_tanh, NULL, x); }
oct_var *oct_softmax(oct_var *x) { return unary(OCT_OP_softmax, NULL, x); }
oct_var *oct_log_softmax(oct_var *x) { return unary(OCT_OP_log_softmax, NULL, x); }
oct_var *oct_flatten(oct_var *x) { return unary(OCT_OP_flatten, NULL, x); }
oct_var *oct_identity(oct_var *x) { return unary(OCT_OP_identity, NULL, x); }

oct_var *oct_max_pool2d(oct_var *x, const oct_pool_opts *opts) {
    oct_attrs a = octi_pool_attrs(opts);
    return unary(OCT_OP_max_pool2d, &a, x);
}

oct_var *oct_avg_pool2d(oct_var *x, const oct_pool_opts *opts) {
    oct_attrs a = octi_pool_attrs(opts);
    return unary(OCT_OP_avg_pool2d, &a, x);
}

oct_var *oct_adaptive_avg_pool2d(oct_var *x, int out_h, int out_w) {
    return unary(OCT_OP_adaptive_avg_pool2d, &(oct_attrs){.out_size = {out_h, out_w}}, x);
}

oct_var *oct_reshape(oct_var *x, const int *dims, int count) {
    oct_attrs a = {.p = 0};
    if (count < 1 || count > 5) {
        octi_fail(OCT_EUSAGE, "reshape", "number of dimensions out of range",
                  "1 to 5 behind the batch", octi_fmt("%d", count), NULL);
        return octi_tape_failed(oct_var_tape(x));
    }
    if (!dims) return octi_tape_failed(oct_var_tape(x));
    for (int i = 0; i < count; i++) a.shape[i] = dims[i];
    return unary(OCT_OP_reshape, &a, x);
}

oct_var *oct_add(oct_var *a, oct_var *b) {
    oct_var *in[2] = {a, b};
    return record(OCT_OP_add, NULL, in, 2, 2);
}

oct_var *oct_mul(oct_var *a, oct_var *b) {
    oct_var *in[2] = {a, b};
    return record(OCT_OP_mul, NULL, in, 2, 2);
}

oct_var *oct_cat(oct_var *const *x, int count, int axis) {
    if (count < 1 || count > 64) {
        octi_fail(OCT_EUSAGE, "cat", "number of members out of range", "1 to 64",
                  octi_fmt("%d", count), NULL);
        return octi_tape_failed(count > 0 && x ? oct_var_tape(x[0]) : NULL);
    }
    if (!x) return octi_tape_failed(NULL);
    return record(OCT_OP_cat, &(oct_attrs){.axis = {axis}}, x, count, count);
}

oct_var *oct_pad(oct_var *x, const int pads[4], float value) {
    if (!pads) return octi_tape_failed(oct_var_tape(x));
    return unary(OCT_OP_pad,
                 &(oct_attrs){.pads = {pads[0], pads[1], pads[2], pads[3]}, .value = value}, x);
}

oct_var *oct_slice(oct_var *x, int axis, int from, int to) {
    return unary(OCT_OP_slice, &(oct_attrs){.axis = {axis}, .range = {from, to}}, x);
}

oct_var *oct_lstm(oct_var *x, oct_var *w_ih, oct_var *w_hh, oct_var *b_ih, oct_var *b_hh,
                  bool last) {
    oct_var *in[5] = {x, w_ih, w_hh, b_ih, b_hh};
    return record(OCT_OP_lstm, &(oct_attrs){.last = {last}}, in, 5, 3);
}

oct_var *oct_lstm_cell(oct_var *x, oct_var *state, oct_var *w_ih, oct_var *w_hh, oct_var *b_ih,
                       oct_var *b_hh) {
    oct_var *in[6] = {x, w_ih, w_hh, b_ih, b_hh, state};
    return record(OCT_OP_lstm_cell, NULL, in, state ? 6 : 5, 3);
}

oct_var *oct_lstm_hidden(oct_var *state) {
    const oct_shape *s = oct_var_shape(state);
    return s && s->rank == 2 ? oct_slice(state, 1, 0, (int)(s->dim[1] / 2))
                             : unary(OCT_OP_slice, NULL, state);
}

oct_var *oct_dropout(oct_var *x, float p) { return unary(OCT_OP_dropout, &(oct_attrs){.p = p}, x); }

oct_var *oct_fake_quantize(oct_var *x, const oct_tensor *scale, const oct_tensor *zero_point,
                           int qmin, int qmax) {
    if (!x) return NULL;
    oct_var *in[3] = {x, octi_beside(x, scale), octi_beside(x, zero_point)};
    oct_attrs a = {
        .qmin = {qmin}, .qmax = {qmax}, .axis = {scale && oct_tensor_count(scale) > 1 ? 0 : -1}};
    return record(OCT_OP_fake_quantize, &a, in, 3, 3);
}

oct_var *oct_cross_entropy(oct_var *logits, const oct_tensor *labels,
                           const oct_cross_entropy_opts *opts) {
    if (!logits) return NULL;
    oct_var *in[2] = {logits, octi_beside(logits, labels)};
    return record(OCT_OP_cross_entropy, &(oct_attrs){.smoothing = opts ? opts->smoothing : 0}, in,
                  2, 2);
}

oct_var *oct_mse_loss(oct_var *x, const oct_tensor *target) {
    if (!x) return NULL;
    oct_var *in[2] = {x, octi_beside(x, target)};
    return record(OCT_OP_mse_loss, NULL, in, 2, 2);
}

oct_var *oct_distill_loss(oct_var *logits, const oct_tensor *teacher, float temperature) {
    if (!logits) return NULL;
    oct_var *in[2] = {logits, octi_beside(logits, teacher)};
    return record(OCT_OP_distill_loss, &(oct_attrs){.temperature = NONZERO(temperature, 4.0f)}, in,
                  2, 2);
}

static oct_var *times(oct_var *x, float factor) {
    oct_tape *t = oct_var_tape(x);
    oct_tensor *f = octi_tensor_in_arena(octi_tape_arena(t), OCT_F32, *oct_var_shape(x));
    if (!f) return octi_tape_failed(t);
    *oct_f32(f) = factor;
    return oct_mul(x, oct_input(t, f));
}

oct_var *oct_mix(oct_var *a, oct_var *b, float share) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(share);
    if (!a || !b) return NULL;
    bool scalars = oct_shape_count(oct_var_shape(a)) == 1 && oct_shape_count(oct_var_shape(b)) == 1;
    if (!scalars || !(share >= 0 && share <= 1)) {
        octi_fail(OCT_EUSAGE, "oct_mix", scalars ? "share out of range" : "not a scalar",
                  scalars ? "0 to 1" : "two losses", scalars ? octi_fmt("%g", (double)share) : NULL,
                  NULL);
        return octi_tape_failed(oct_var_tape(a));
    }
    return oct_add(times(a, share), times(b, 1.0f - share));
}

void oct_conv2d_opts_init(oct_conv2d_opts *opts) {
    if (opts) *opts = (oct_conv2d_opts){0};
}

void oct_pool_opts_init(oct_pool_opts *opts) {
    if (opts) *opts = (oct_pool_opts){0};
}

void oct_batch_norm_opts_init(oct_batch_norm_opts *opts) {
    if (opts) *opts = (oct_batch_norm_opts){0};
}

void oct_cross_entropy_opts_init(oct_cross_entropy_opts *opts) {
    if (opts) *opts = (oct_cross_entropy_opts){0};
}
