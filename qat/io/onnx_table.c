/* SPDX-License-Identifier: MIT
 * ONNX in: a function of codes as octet writes it, Gather of its stored table by codes that a Cast
 * made indices of. The function is the one whose table that is, entry by entry. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "qat/io/onnx_in.h"
#include "qat/net/backend.h"
#include "qat/net/function_codes.h"
#include "src/qround.h"

bool octi_onnx_is_index_cast(const octi_onnx_proto *p) {
    const OctiOnnx__AttributeProto *to = octi_onnx_attr(p, "to");
    return octi_onnx_is(p, "Cast") && to &&
           (to->i == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32 ||
            to->i == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
}

static const octi_onnx_proto *maker_of(const octi_onnx *o, const octi_onnx_value *v) {
    return !v || v->maker < 0 ? NULL : o->graph->node[v->maker];
}

bool octi_onnx_is_table(octi_onnx *o, const octi_onnx_proto *p) {
    if (!octi_onnx_is(p, "Gather") || p->n_input != 2) return false;
    const OctiOnnx__AttributeProto *axis = octi_onnx_attr(p, "axis");
    if (axis && axis->i != 0) return false;
    const octi_onnx_const *c = octi_onnx_const_of(o, octi_onnx_find(o, p->input[0]));
    const octi_onnx_value *at = octi_onnx_find(o, p->input[1]);
    return c && c->i && c->rank == 1 && c->count == 256 &&
           c->elem == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 &&
           octi_onnx_is_index_cast(maker_of(o, at));
}

bool octi_onnx_is_index(octi_onnx *o, const octi_onnx_value *v) {
    return octi_onnx_is_table(o, octi_onnx_next(o, v));
}

/* ---- which function ---- */

typedef struct side {
    float scale;
    int32_t zero, hi; /* the highest code: of fewer bits below u8's */
} side;

static oct_tensor number(void *data, oct_dtype dtype) {
    return (oct_tensor){.dtype = dtype, .shape = OCT_SHAPE(1), .data = data};
}

static bool makes(oct_op_kind kind, float slope, side x, side y, const int64_t *table) {
    oct_tensor t[4] = {number(&x.scale, OCT_F32), number(&x.zero, OCT_S32),
                       number(&y.scale, OCT_F32), number(&y.zero, OCT_S32)};
    const oct_quantizer from = {.scale = &t[0], .zero_point = &t[1]},
                        to = {.scale = &t[2], .zero_point = &t[3]};
    const oct_node n = {.kind = kind, .attr = {.slope = slope}};
    float value[256];
    octi_function_values(&n, &from, &to, value);
    for (int k = 0; k < 256; k++)
        if (table[k] != octq_table_code(value[k], y.zero, 0, y.hi)) return false;
    return true;
}

/* The shortest decimal number that gives the table: below zero such a function is the slope times
 * what it is with slope 1, so every entry that did not saturate bounds it. */
static bool find_slope(oct_op_kind kind, side x, side y, const int64_t *table, float *slope) {
    const oct_attrs one = {.slope = 1};
    double lo = 0, hi = INFINITY, unit = 1;
    for (int k = 0; k < x.zero && k < 256; k++) {
        const double f = -octi_unary_f64(kind, &one, (double)x.scale * (k - x.zero)),
                     steps = (double)(y.zero - table[k]), s = (double)y.scale;
        if (!(f > 0) || table[k] == y.hi) continue;
        if ((steps - 0.5) * s / f > lo) lo = (steps - 0.5) * s / f;
        if (table[k] > 0 && (steps + 0.5) * s / f < hi) hi = (steps + 0.5) * s / f;
    }
    for (int digits = 0; digits < 9 && lo <= hi; digits++, unit *= 10)
        for (double t = ceil(lo * unit); t <= hi * unit && t < ceil(lo * unit) + 4; t++) {
            *slope = (float)(t / unit);
            if (makes(kind, *slope, x, y, table)) return true;
        }
    return false;
}

/* A slope of its own: with another one it is another function. */
static bool has_slope(oct_op_kind kind) {
    const oct_attrs one = {.slope = 1}, two = {.slope = 2};
    return octi_unary_f64(kind, &one, -1) != octi_unary_f64(kind, &two, -1);
}

static bool find_function(side x, side y, const int64_t *table, oct_op_kind *kind, float *slope) {
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        const octi_backend_op *form =
            octi_is_unary((oct_op_kind)k) ? octi_backend((oct_op_kind)k) : NULL;
        if (!form || form->int8 != OCT_OP_qtable) continue;
        *kind = (oct_op_kind)k;
        *slope = 0;
        if (has_slope(*kind) ? find_slope(*kind, x, y, table, slope) : makes(*kind, 0, x, y, table))
            return true;
    }
    return false;
}

/* The highest code that a table of fewer bits has: it saturates there. */
static int32_t highest(const int64_t *table, int32_t zero) {
    int32_t hi = zero;
    for (int k = 0; k < 256; k++)
        if (table[k] > hi) hi = (int32_t)table[k];
    return hi;
}

/* ---- the reader ---- */

/* Scale and zero point that a node (QuantizeLinear, DequantizeLinear) names, of u8 codes. */
static bool side_of(octi_onnx *o, const octi_onnx_proto *p, side *to) {
    const octi_onnx_const *c[2] = {NULL, NULL};
    for (size_t k = 0; p && k < 2 && p->n_input > k + 1; k++)
        c[k] = octi_onnx_const_of(o, octi_onnx_find(o, p->input[k + 1]));
    if (!c[0] || !c[0]->f || c[0]->count != 1 || !(c[0]->f[0] > 0) || !isfinite(c[0]->f[0]))
        return false;
    if (c[1] && (!c[1]->i || c[1]->count != 1 || c[1]->i[0] < 0 || c[1]->i[0] > 255 ||
                 c[1]->elem != OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8))
        return false;
    *to = (side){c[0]->f[0], c[1] ? (int32_t)c[1]->i[0] : 0, 255};
    return true;
}

/* A DequantizeLinear that reads v; NULL: none does. */
static const octi_onnx_proto *dequantizer(const octi_onnx *o, const octi_onnx_value *v) {
    return v && v->dequantizer >= 0 ? o->graph->node[v->dequantizer] : NULL;
}

oct_status octi_onnx_read_table(octi_onnx_node *n) {
    const octi_onnx_value *x;
    octi_onnx *o = n->o;
    if (n->out[0]) n->out[0]->coder = n->index;
    OCT_TRY(octi_onnx_act(n, 1, &x));
    const octi_onnx_const *table = octi_onnx_const_of(o, n->in[0]);
    const octi_onnx_proto *cast = maker_of(o, x), /* codes: of a QuantizeLinear, of a table */
        *from = cast ? octi_onnx_coder(o, octi_onnx_find(o, cast->input[0])) : NULL;
    side in, out;
    if (octi_onnx_is(from, "Gather")) from = dequantizer(o, octi_onnx_find(o, cast->input[0]));
    if (!from || !side_of(o, from, &in) || !side_of(o, dequantizer(o, n->out[0]), &out))
        return octi_onnx_refuse(n, OCTI_CURE_QDQ,
                                "a table of codes whose scales no QuantizeLinear and "
                                "DequantizeLinear say");
    oct_attrs a = {.slope = 0};
    oct_op_kind kind;
    int32_t v;
    bool found = table && find_function(in, out, table->i, &kind, &a.slope);
    if (table && !found) {
        out.hi = highest(table->i, out.zero);
        found = out.hi > 0 && find_function(in, out, table->i, &kind, &a.slope);
    }
    if (!found)
        return octi_onnx_refuse(n, OCTI_CURE_QDQ,
                                "a table of codes that no function of octet's gives");
    OCT_TRY(octi_onnx_emit(n, kind, octi_onnx_name(n, NULL), &a, &x->at.v, 1, &v));
    OCT_TRY(octi_onnx_set_grid(o, v, out.scale, out.zero, out.hi));
    return octi_onnx_like(n, 0, &x->at, v);
}
