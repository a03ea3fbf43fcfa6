/* SPDX-License-Identifier: MIT
 * ONNX in: the ops that have weights: Conv, Gemm, MatMul, BatchNormalization. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "qat/io/onnx_windows.h"
#include "qat/io/weight_layout.h"
#include "src/mem.h"

/* A parameter with the elements of input k, turned to octet's layout by `turn`. One that several
 * nodes of the file read is one in octet too, as long as they want it alike. */
typedef struct wish {
    const char *node, *suffix;
    oct_shape shape;
    void (*turn)(const octi_onnx_node *n, const octi_onnx_const *c, const void *how, float *to);
    const void *how;
} wish;

static oct_status param_of(octi_onnx_node *n, int k, const octi_onnx_const *c, const wish *w,
                           int32_t *v) {
    octi_onnx *o = n->o;
    float *to = octi_arena_alloc(o->arena, (size_t)c->count * sizeof *to + 1);
    if (!to) return oct_last_error()->code;
    w->turn(n, c, w->how, to);
    octi_onnx_value *from = n->in[k];
    if (from->param >= 0) {
        const oct_value *have = &o->to->values[from->param];
        if (oct_shape_equal(&have->shape, &w->shape) &&
            !memcmp(have->tensor->data, to, (size_t)c->count * sizeof *to))
            return *v = from->param, OCT_OK;
    }
    *v = octi_onnx_param(o, w->node, w->suffix, OCT_VALUE_PARAM, w->shape);
    if (*v < 0) return oct_last_error()->code;
    memcpy(o->to->values[*v].tensor->data, to, (size_t)c->count * sizeof *to);
    o->shared[*v] = from->readers > 1;
    if (from->readers > 1 && from->param < 0) from->param = *v;
    return OCT_OK;
}

/* ---- Conv ---- */

static void turn_conv(const octi_onnx_node *n, const octi_onnx_const *c, const void *how,
                      float *to) {
    (void)n;
    octi_layout_in(how, NULL, sizeof *to, c->f, to);
}

static void turn_vector(const octi_onnx_node *n, const octi_onnx_const *c, const void *how,
                        float *to) {
    (void)n;
    (void)how;
    memcpy(to, c->f, (size_t)c->count * sizeof *to);
}

static oct_status check_conv_weights(const octi_onnx_node *n, const octi_onnx_const *w) {
    if (!w->f)
        return octi_onnx_refuse(n, OCTI_CURE_TYPE, "weights of type %s",
                                octi_onnx_elem_word(w->elem));
    if (w->rank == 3)
        return octi_onnx_refuse(n, OCTI_CURE_AXES, "1D convolution (weights of 3 axes)");
    if (w->rank != 4)
        return octi_onnx_refuse(n, OCTI_CURE_AXES, "convolution with weights of %d axes", w->rank);
    for (int i = 0; i < 4; i++)
        if (w->dim[i] < 1 || w->dim[i] > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "weights of shape %s",
                                    octi_onnx_dims_text(4, w->dim));
    return OCT_OK;
}

/* A Pad with zeros that nobody else sees is the convolution's own. */
static void take_pad(const octi_onnx *o, const octi_onnx_value *x, oct_attrs *a, int32_t *in) {
    const oct_node *p = octi_onnx_producer(o, x->at.v);
    if (!p || p->kind != OCT_OP_pad || p->attr.value != 0 || !octi_onnx_sole(x) ||
        octi_onnx_grid_of(o, x->at.v))
        return;
    int32_t pads[4];
    for (int i = 0; i < 4; i++)
        if (__builtin_add_overflow(a->pads[i], p->attr.pads[i], &pads[i])) return;
    memcpy(a->pads, pads, sizeof pads);
    *in = p->in[0];
}

oct_status octi_onnx_read_conv(octi_onnx_node *n) {
    const octi_onnx_value *x;
    const octi_onnx_const *w, *b = NULL;
    octi_onnx_window win;
    octi_onnx_place at;
    int64_t groups;
    OCT_TRY(octi_onnx_attr_int(n, "group", 1, &groups));
    OCT_TRY(octi_onnx_window_of(n, &win));
    OCT_TRY(octi_onnx_weights(n, 1, "the weight", &w));
    OCT_TRY(check_conv_weights(n, w));
    if (octi_onnx_has(n, 2)) OCT_TRY(octi_onnx_weights(n, 2, "the bias", &b));
    if (b && (!b->f || b->count != w->dim[0]))
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "bias of shape %s",
                                octi_onnx_dims_text(b->rank, b->dim));
    for (int i = 0; i < 2; i++) {
        if (win.kernel_given && win.kernel[i] != w->dim[2 + i])
            return octi_onnx_refuse(n, OCTI_CURE_RULES,
                                    "attribute kernel_shape is not the weight's");
        win.kernel[i] = w->dim[2 + i];
    }
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_images(n, x, &at));
    oct_attrs a = {.groups = {(int32_t)groups}};
    if (groups < 1 || groups > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute group %lld", (long long)groups);
    OCT_TRY(octi_onnx_window_attrs(n, &win, &at, &a));
    const oct_shape shape = OCT_SHAPE(w->dim[0], w->dim[2], w->dim[3], w->dim[1]);
    const char *name = octi_onnx_name(n, NULL);
    int32_t in[3] = {at.v}, v;
    if (!name) return oct_last_error()->code;
    if (at.v == x->at.v) take_pad(n->o, x, &a, &in[0]);
    OCT_TRY(param_of(n, 1, w, &(wish){name, "weight", shape, turn_conv, &shape}, &in[1]));
    OCT_TRY(octi_onnx_set_weight_grid(n, w, 0, 1, in[1]));
    if (b)
        OCT_TRY(param_of(n, 2, b, &(wish){name, "bias", OCT_SHAPE(w->dim[0]), turn_vector, NULL},
                         &in[2]));
    OCT_TRY(octi_onnx_emit(n, OCT_OP_conv2d, name, &a, in, b ? 3 : 2, &v));
    const octi_onnx_place y = octi_onnx_placed(n->o, v);
    return octi_onnx_like(n, 0, &y, v);
}

/* ---- Gemm, MatMul ---- */

typedef struct product {
    int64_t in, out;
    bool transposed; /* the file's weight is [out, in] */
    float alpha;
    const octi_onnx_order *order;
} product;

static void turn_product(const octi_onnx_node *n, const octi_onnx_const *c, const void *how,
                         float *to) {
    (void)n;
    const product *p = how;
    for (int64_t k = 0; k < p->in; k++) {
        const int64_t theirs = octi_onnx_index(p->order, k);
        for (int64_t r = 0; r < p->out; r++)
            to[r * p->in + k] =
                p->alpha * c->f[p->transposed ? r * p->in + theirs : theirs * p->out + r];
    }
}

/* Values with further sides than the batch go through a convolution of 1x1: what it multiplies is
 * the last axis. */
static oct_status as_conv(octi_onnx_node *n, const octi_onnx_place *x, const char *name,
                          const int32_t *in, int64_t out) {
    const oct_attrs a = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .groups = {1}};
    octi_onnx_place y = *x;
    OCT_TRY(octi_onnx_emit(n, OCT_OP_conv2d, name, &a, in, 2, &y.v));
    y.dim[y.rank - 1] = out;
    return octi_onnx_like(n, 0, &y, y.v);
}

static oct_status multiply(octi_onnx_node *n, const octi_onnx_const *w, bool transposed,
                           float alpha, const float *bias, int64_t bias_count) {
    const octi_onnx_value *x;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    if (!w->f || w->rank != 2)
        return octi_onnx_refuse(n, w->f ? OCTI_CURE_MATRIX : OCTI_CURE_TYPE,
                                "weights of type %s and shape %s", octi_onnx_elem_word(w->elem),
                                octi_onnx_dims_text(w->rank, w->dim));
    const product p = {.in = w->dim[transposed],
                       .out = w->dim[!transposed],
                       .transposed = transposed,
                       .alpha = alpha,
                       .order = x->at.order};
    octi_onnx_place at = x->at;
    const bool rows = at.rank == 4 && at.at[3] == 3 && !bias;
    if (!rows) OCT_TRY(octi_onnx_vectors(n, x, &at));
    if (p.in < 1 || p.out < 1 || p.in != at.dim[at.rank - 1])
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "weights of shape %s for a value of shape %s",
                                octi_onnx_dims_text(2, w->dim),
                                octi_onnx_dims_text(at.rank, at.dim));
    const char *name = octi_onnx_name(n, NULL);
    const oct_shape shape = rows ? OCT_SHAPE(p.out, 1, 1, p.in) : OCT_SHAPE(p.out, p.in);
    int32_t in[3] = {at.v, -1, -1}, v;
    if (!name) return oct_last_error()->code;
    OCT_TRY(param_of(n, 1, w, &(wish){name, "weight", shape, turn_product, &p}, &in[1]));
    OCT_TRY(octi_onnx_set_weight_grid(n, w, !transposed, alpha, in[1]));
    if (rows) return as_conv(n, &at, name, in, p.out);
    if (bias) {
        in[2] = octi_onnx_param(n->o, name, "bias", OCT_VALUE_PARAM, OCT_SHAPE(p.out));
        if (in[2] < 0) return oct_last_error()->code;
        float *b = oct_f32(n->o->to->values[in[2]].tensor);
        for (int64_t k = 0; k < p.out; k++) b[k] = bias[bias_count == 1 ? 0 : k];
    }
    OCT_TRY(octi_onnx_emit(n, OCT_OP_linear, name, NULL, in, bias ? 3 : 2, &v));
    const octi_onnx_place y = octi_onnx_placed(n->o, v);
    return octi_onnx_like(n, 0, &y, v);
}

oct_status octi_onnx_read_gemm(octi_onnx_node *n) {
    const octi_onnx_const *w, *c = NULL;
    int64_t ta, tb;
    float alpha, beta, *bias = NULL;
    OCT_TRY(octi_onnx_attr_int(n, "transA", 0, &ta));
    OCT_TRY(octi_onnx_attr_int(n, "transB", 0, &tb));
    OCT_TRY(octi_onnx_attr_float(n, "alpha", 1, &alpha));
    OCT_TRY(octi_onnx_attr_float(n, "beta", 1, &beta));
    if (ta)
        return octi_onnx_refuse(n, OCTI_CURE_BATCH,
                                "attribute transA: the batch would be multiplied");
    OCT_TRY(octi_onnx_weights(n, 1, "the weight", &w));
    if (octi_onnx_has(n, 2)) OCT_TRY(octi_onnx_weights(n, 2, "input C", &c));
    if (c) {
        const int64_t out = w->rank == 2 ? w->dim[!tb] : -1;
        if (!c->f || (c->count != 1 && (c->count != out || c->dim[c->rank - 1] != out)))
            return octi_onnx_refuse(n, OCTI_CURE_PER_CHANNEL, "input C of shape %s",
                                    octi_onnx_dims_text(c->rank, c->dim));
        if (!(bias = octi_arena_alloc(n->o->arena, (size_t)c->count * sizeof *bias + 1)))
            return oct_last_error()->code;
        for (int64_t k = 0; k < c->count; k++) bias[k] = beta * c->f[k];
    }
    return multiply(n, w, tb != 0, alpha, bias, c ? c->count : 0);
}

/* A bias comes as the Add behind it, which finds these weights. */
oct_status octi_onnx_read_matmul(octi_onnx_node *n) {
    const octi_onnx_const *w;
    OCT_TRY(octi_onnx_weights(n, 1, "input 1", &w));
    return multiply(n, w, false, 1, NULL, 0);
}

/* ---- BatchNormalization ---- */

oct_status octi_onnx_read_batch_norm(octi_onnx_node *n) {
    static const char *const roles[] = {"scale", "B", "mean", "var"};
    const octi_onnx_value *x;
    const octi_onnx_const *c;
    float eps, momentum, *par[4];
    int64_t training, spatial;
    int32_t v;
    OCT_TRY(octi_onnx_attr_float(n, "epsilon", 1e-5f, &eps));
    OCT_TRY(octi_onnx_attr_float(n, "momentum", 0.9f, &momentum));
    OCT_TRY(octi_onnx_attr_int(n, "training_mode", 0, &training));
    OCT_TRY(octi_onnx_attr_int(n, "spatial", 1, &spatial));
    if (!spatial) return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute spatial 0");
    if (training) return octi_onnx_refuse(n, OCTI_CURE_EVAL, "attribute training_mode");
    for (int k = 1; k < n->nout; k++)
        if (n->out[k] && (n->out[k]->readers || n->out[k]->output))
            return octi_onnx_refuse(n, OCTI_CURE_EVAL, "output %d, statistics that something reads",
                                    k);
    OCT_TRY(octi_onnx_act(n, 0, &x));
    if (octi_onnx_channel_axis(&x->at) != 1) {
        octi_onnx_place at; /* for its words */
        OCT_TRY(octi_onnx_images(n, x, &at));
        return octi_onnx_refuse(n, OCTI_CURE_LAYOUT, "channels are not on axis 1");
    }
    for (int k = 0; k < 4; k++) {
        OCT_TRY(octi_onnx_weights(n, k + 1, roles[k], &c));
        if (!c->f || c->rank != 1 || c->count != x->at.dim[1])
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "%s of shape %s", roles[k],
                                    octi_onnx_dims_text(c->rank, c->dim));
        for (int64_t i = 0; k == 3 && i < c->count; i++)
            if (!(c->f[i] >= 0)) return octi_onnx_refuse(n, OCTI_CURE_RULES, "var below 0");
        octi_onnx_const row = *c; /* one number a channel, along axis 1 */
        row.rank = x->at.rank - 1;
        row.dim[0] = c->count;
        for (int i = 1; i < row.rank; i++) row.dim[i] = 1;
        OCT_TRY(octi_onnx_per_channel(n, &x->at, &row, &par[k]));
    }
    bool done;
    OCT_TRY(octi_onnx_norm_into_codes(n, x, (const float *const *)par, eps, &done));
    if (done) return octi_onnx_like(n, 0, &x->at, x->at.v);
    OCT_TRY(octi_onnx_batch_norm(n, &x->at, (const float **)par, eps, 1 - momentum, false, &v));
    return octi_onnx_like(n, 0, &x->at, v);
}
