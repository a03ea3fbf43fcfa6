/* SPDX-License-Identifier: MIT
 * ONNX in: functions of one value, and those of a row of them. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

oct_status octi_onnx_read_relu(octi_onnx_node *n) { return octi_onnx_unary(n, OCT_OP_relu, NULL); }
oct_status octi_onnx_read_sigmoid(octi_onnx_node *n) {
    return octi_onnx_unary(n, OCT_OP_sigmoid, NULL);
}
oct_status octi_onnx_read_tanh(octi_onnx_node *n) { return octi_onnx_unary(n, OCT_OP_tanh, NULL); }
oct_status octi_onnx_read_hardswish(octi_onnx_node *n) {
    return octi_onnx_unary(n, OCT_OP_hardswish, NULL);
}

oct_status octi_onnx_read_leaky_relu(octi_onnx_node *n) {
    oct_attrs a = {.p = 0};
    OCT_TRY(octi_onnx_attr_float(n, "alpha", 0.01f, &a.slope));
    return octi_onnx_unary(n, OCT_OP_leaky_relu, &a);
}

oct_status octi_onnx_read_elu(octi_onnx_node *n) {
    oct_attrs a = {.p = 0};
    OCT_TRY(octi_onnx_attr_float(n, "alpha", 1, &a.slope));
    return octi_onnx_unary(n, OCT_OP_elu, &a);
}

/* Slopes of channels: a x + (1 - a) relu(x). */
static oct_status slopes(octi_onnx_node *n, const octi_onnx_const *c) {
    const octi_onnx_value *x;
    float *below, *above;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    octi_onnx_place sum = x->at, positive = x->at, all = x->at;
    OCT_TRY(octi_onnx_per_channel(n, &x->at, c, &below));
    OCT_TRY(octi_onnx_per_channel(n, &x->at, c, &above));
    for (int64_t k = 0; k < octi_onnx_channels(&x->at); k++) above[k] = 1 - below[k];
    OCT_TRY(
        octi_onnx_emit(n, OCT_OP_relu, octi_onnx_name(n, "relu"), NULL, &x->at.v, 1, &positive.v));
    OCT_TRY(octi_onnx_at_rest(n, &x->at, below, NULL, &all));
    octi_onnx_place scaled = positive;
    OCT_TRY(octi_onnx_at_rest(n, &positive, above, NULL, &scaled));
    OCT_TRY(octi_onnx_emit(n, OCT_OP_add, octi_onnx_name(n, "add"), NULL,
                           (int32_t[]){all.v, scaled.v}, 2, &sum.v));
    return octi_onnx_like(n, 0, &sum, sum.v);
}

/* One slope for all channels is a leaky ReLU. Slopes do not train. */
oct_status octi_onnx_read_prelu(octi_onnx_node *n) {
    const octi_onnx_const *c;
    OCT_TRY(octi_onnx_weights(n, 1, "the slope", &c));
    if (!c->f || c->count < 1) return octi_onnx_refuse(n, OCTI_CURE_RULES, "slope of another type");
    for (int64_t k = 1; k < c->count; k++)
        if (c->f[k] != c->f[0]) return slopes(n, c);
    return octi_onnx_unary(n, OCT_OP_leaky_relu, &(oct_attrs){.slope = c->f[0]});
}

/* ---- clamps ---- */

static oct_status clamp(octi_onnx_node *n, float least, float most) {
    const octi_onnx_value *x;
    if (least <= -FLT_MAX) least = -FLT_MAX;
    if (most >= FLT_MAX) most = FLT_MAX;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    if (least == -FLT_MAX && most == FLT_MAX) return octi_onnx_like(n, 0, &x->at, x->at.v);
    if (least == 0 && most == FLT_MAX) return octi_onnx_unary(n, OCT_OP_relu, NULL);
    if (least == 0 && most == 6) return octi_onnx_unary(n, OCT_OP_relu6, NULL);
    return octi_onnx_unary(n, OCT_OP_clamp,
                           &(oct_attrs){.least = least < most ? least : most, .most = most});
}

oct_status octi_onnx_read_clip(octi_onnx_node *n) {
    float least, most;
    if (octi_onnx_coder(n->o, n->in[0])) return octi_onnx_pass_codes(n);
    OCT_TRY(octi_onnx_scalar(n, "min", 1, -INFINITY, &least));
    OCT_TRY(octi_onnx_scalar(n, "max", 2, INFINITY, &most));
    return clamp(n, least, most);
}

/* Max or Min of a value and a number. */
static oct_status bounded(octi_onnx_node *n, bool below) {
    const octi_onnx_const *c;
    if (n->nin != 2)
        return octi_onnx_refuse(n, OCTI_CURE_OP, "of %d values: a value and a number", n->nin);
    if (octi_onnx_has(n, 0) && n->in[0]->state == OCTI_ONNX_CONST) {
        octi_onnx_value *first = n->in[0];
        n->in[0] = n->in[1];
        n->in[1] = first;
    }
    if (octi_onnx_has(n, 1) && n->in[1]->state == OCTI_ONNX_ACT)
        return octi_onnx_refuse(n, OCTI_CURE_OP, "of two values that the net computes");
    OCT_TRY(octi_onnx_weights(n, 1, "one side", &c));
    if (c->count != 1 || !c->f || isnan(c->f[0]))
        return octi_onnx_refuse(n, OCTI_CURE_OP, "of a value and more than one number");
    return below ? clamp(n, c->f[0], INFINITY) : clamp(n, -INFINITY, c->f[0]);
}
oct_status octi_onnx_read_max(octi_onnx_node *n) { return bounded(n, true); }
oct_status octi_onnx_read_min(octi_onnx_node *n) { return bounded(n, false); }

/* max(0, min(1, alpha x + beta)): octet's own where these are PyTorch's. */
oct_status octi_onnx_read_hardsigmoid(octi_onnx_node *n) {
    const octi_onnx_value *x;
    octi_onnx_place to;
    float alpha, beta, *scale, *shift;
    int32_t v;
    OCT_TRY(octi_onnx_attr_float(n, "alpha", 0.2f, &alpha));
    OCT_TRY(octi_onnx_attr_float(n, "beta", 0.5f, &beta));
    if (fabsf(alpha - 1.0f / 6) <= 1e-6f && beta == 0.5f)
        return octi_onnx_unary(n, OCT_OP_hardsigmoid, NULL);
    OCT_TRY(octi_onnx_act(n, 0, &x));
    octi_onnx_const one = {.elem = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, .count = 1};
    one.f = &alpha;
    OCT_TRY(octi_onnx_per_channel(n, &x->at, &one, &scale));
    one.f = &beta;
    OCT_TRY(octi_onnx_per_channel(n, &x->at, &one, &shift));
    OCT_TRY(octi_onnx_affine(n, x, scale, shift, &to));
    OCT_TRY(octi_onnx_emit(n, OCT_OP_clamp, octi_onnx_name(n, "clamp"),
                           &(oct_attrs){.least = 0, .most = 1}, &to.v, 1, &v));
    return octi_onnx_like(n, 0, &to, v);
}

/* ---- over a row ---- */

/* Before opset 13 the axis is the first of those that are one row together. */
static oct_status over_row(octi_onnx_node *n, oct_op_kind kind) {
    const octi_onnx_value *x;
    int64_t axis;
    int first;
    OCT_TRY(octi_onnx_attr_int(n, "axis", n->o->opset >= 13 ? -1 : 1, &axis));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_axis(n, axis, x->at.rank, &first));
    const int channel = octi_onnx_channel_axis(&x->at);
    bool row = n->o->opset >= 13 ? first == channel : channel >= first && first > 0;
    for (int a = 1; n->o->opset < 13 && a < x->at.rank; a++)
        row &= a < first || a == channel || x->at.dim[a] == 1;
    if (row) return octi_onnx_unary(n, kind, NULL);
    return octi_onnx_refuse(n, OCTI_CURE_SOFTMAX,
                            "attribute axis: %lld of shape %s; over channels is taken",
                            (long long)axis, octi_onnx_dims_text(x->at.rank, x->at.dim));
}
oct_status octi_onnx_read_softmax(octi_onnx_node *n) { return over_row(n, OCT_OP_softmax); }
oct_status octi_onnx_read_log_softmax(octi_onnx_node *n) { return over_row(n, OCT_OP_log_softmax); }

/* ---- what passes values on ---- */

static oct_status plain(octi_onnx_node *n) {
    const octi_onnx_value *x;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    return octi_onnx_like(n, 0, &x->at, x->at.v);
}

oct_status octi_onnx_read_identity(octi_onnx_node *n) {
    if (octi_onnx_coder(n->o, n->in[0])) return octi_onnx_pass_codes(n);
    return plain(n);
}

/* Halves come in as floats. */
static bool is_plain_float(int64_t elem) {
    return elem == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT ||
           elem == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 ||
           elem == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE ||
           elem == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;
}

oct_status octi_onnx_read_cast(octi_onnx_node *n) {
    int64_t to;
    OCT_TRY(octi_onnx_attr_int(n, "to", 1, &to));
    const bool codes = octi_onnx_coder(n->o, n->in[0]) != NULL;
    if (codes && octi_onnx_may_pass_codes(n->p)) return octi_onnx_pass_codes(n);
    if (codes && n->out[0] && octi_onnx_is_index_cast(n->p) && octi_onnx_is_index(n->o, n->out[0]))
        return plain(n);
    if (!is_plain_float(to))
        return octi_onnx_refuse(n, OCTI_CURE_TYPE, "of the net's values to %s",
                                octi_onnx_elem_word(to < 0 || to > 100 ? -1 : (int)to));
    return octi_onnx_read_identity(n);
}

/* A constant like a value of the net is one of floats. */
oct_status octi_onnx_read_cast_like(octi_onnx_node *n) {
    octi_onnx_const *c;
    const octi_onnx_const *like = octi_onnx_has(n, 1) ? octi_onnx_const_of(n->o, n->in[1]) : NULL;
    if (!octi_onnx_has(n, 0) || n->in[0]->state != OCTI_ONNX_CONST)
        return like && !is_plain_float(like->elem)
                   ? octi_onnx_refuse(n, OCTI_CURE_TYPE, "of the net's values to %s",
                                      octi_onnx_elem_word(like->elem))
                   : octi_onnx_read_identity(n);
    if (octi_onnx_has(n, 1) && n->in[1]->state == OCTI_ONNX_LOST) return OCT_EUNSUPPORTED;
    const octi_onnx_const *x = octi_onnx_const_of(n->o, n->in[0]);
    if (!x || !(c = octi_onnx_const_new(n->o, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, x->rank,
                                        x->dim)))
        return octi_onnx_refuse_last(n);
    for (int64_t k = 0; k < x->count; k++) c->f[k] = (float)octi_onnx_number(x, k);
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_read_dropout(octi_onnx_node *n) {
    float p;
    const octi_onnx_const *training;
    OCT_TRY(octi_onnx_scalar(n, "ratio", 1, 0.5f, &p));
    if (octi_onnx_has(n, 2)) {
        OCT_TRY(octi_onnx_weights(n, 2, "training_mode", &training));
        if (training->count != 1 || octi_onnx_number(training, 0) != 0)
            return octi_onnx_refuse(n, OCTI_CURE_EVAL, "input training_mode");
    }
    if (n->nout > 1 && n->out[1] && (n->out[1]->readers || n->out[1]->output))
        return octi_onnx_refuse(n, OCTI_CURE_EVAL, "output mask, which something reads");
    if (!(p > 0 && p < 1)) return octi_onnx_read_identity(n);
    return octi_onnx_unary(n, OCT_OP_dropout, &(oct_attrs){.p = p});
}
