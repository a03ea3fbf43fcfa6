/* SPDX-License-Identifier: MIT
 * What the writers of ONNX read and make: values by their layers' names, codes behind
 * DequantizeLinear, constants as they lie in the file. */
#include <string.h>

#include "qat/io/onnx_out.h"
#include "qat/io/weight_layout.h"
#include "src/mem.h"
#include "src/words.h"

const oct_value *octi_onnxw_in_value(const octi_onnx_out *w, int k) {
    return octi_node_in(w->g, w->n, k);
}
const oct_value *octi_onnxw_out_value(const octi_onnx_out *w) { return &w->g->values[w->n->out]; }
bool octi_onnxw_has(const octi_onnx_out *w, int k) { return octi_onnxw_in_value(w, k) != NULL; }
bool octi_onnxw_is_codes(const octi_onnx_out *w) {
    return octi_onnxw_out_value(w)->dtype != OCT_F32;
}
const float *octi_onnxw_data(const octi_onnx_out *w, int k) {
    return oct_f32(octi_onnxw_in_value(w, k)->tensor);
}

oct_shape octi_onnxw_shape(const oct_shape *s) { return octi_shape_out(s); }

int64_t octi_onnxw_axis(const oct_shape *s, int axis) {
    static const int64_t moved[4] = {0, 2, 3, 1};
    return s->rank == 4 ? moved[axis] : axis;
}

static oct_shape scalar(void) { return (oct_shape){.rank = 0}; }

/* ---- qparams ---- */

static const oct_quantizer *quantizer(const octi_onnx_out *w, const oct_value *v) {
    return v->quantizer < 0 ? NULL : &w->g->quantizers[v->quantizer];
}

float octi_onnxw_scale(const octi_onnx_out *w, const oct_value *v) {
    return oct_f32(quantizer(w, v)->scale)[0];
}
int32_t octi_onnxw_zero(const octi_onnx_out *w, const oct_value *v) {
    return oct_s32(quantizer(w, v)->zero_point)[0];
}

/* Scale (number 0) and zero point (1) of a value, written once per quantizer. */
static const char *qparam(octi_onnx_out *w, const oct_value *v, int which) {
    const char **known = which ? w->zeros : w->scales;
    if (known[v->quantizer]) return known[v->quantizer];
    const oct_quantizer *q = quantizer(w, v);
    const char *name = octi_onnxw_value_name(
        &w->b, octi_fmt("%.800s.%s", q->name, which ? "zero_point" : "scale"));
    const oct_shape shape = scalar();
    const uint8_t z = (uint8_t)oct_s32(q->zero_point)[0];
    if (which)
        octi_onnxw_constant(&w->b, name, OCTI_ONNX_U8, &shape, &z);
    else
        octi_onnxw_constant(&w->b, name, OCTI_ONNX_F32, &shape, q->scale->data);
    return known[v->quantizer] = name;
}

static const char *one(octi_onnx_out *w) {
    const float v = 1;
    const oct_shape shape = scalar();
    if (w->one) return w->one;
    w->one = octi_onnxw_value_name(&w->b, "one");
    octi_onnxw_constant(&w->b, w->one, OCTI_ONNX_F32, &shape, &v);
    return w->one;
}

/* ---- constants ---- */

/* What is known of a constant in one order of columns; read in another one, it is written again. */
static octi_onnx_value *known_of(octi_onnx_out *w, const oct_value *v, const int64_t *hwc) {
    static const int64_t none[3];
    octi_onnx_value *known = &w->v[v - w->g->values];
    if (!hwc) hwc = none;
    if (!known->name || memcmp(known->hwc, hwc, sizeof known->hwc)) {
        *known = (octi_onnx_value){.name = NULL};
        memcpy(known->hwc, hwc, sizeof known->hwc);
    }
    return known;
}

/* A tensor of the net, permuted where hwc or its rank says so. */
static const char *tensor(octi_onnx_out *w, const oct_value *v, const int64_t *hwc) {
    octi_onnx_value *known = known_of(w, v, hwc);
    if (known->name || w->b.status != OCT_OK) return known->name;
    const oct_tensor *t = v->tensor;
    const oct_shape shape = octi_shape_out(&t->shape);
    void *data = octi_alloc_raw(w->net->ctx, oct_tensor_bytes(t) + 1);
    if (!data) return w->b.status = oct_last_error()->code, NULL;
    octi_layout_out(&t->shape, hwc, oct_dtype_size(t->dtype), t->data, data);
    known->name = octi_onnxw_value_name(&w->b, v->name);
    octi_onnxw_constant(&w->b, known->name, octi_onnxw_type(t->dtype), &shape, data);
    octi_free(w->net->ctx, data);
    return known->name;
}

/* The scale of a channel's weights where the net keeps its multipliers alone. */
static float scale_by_multiplier(const octi_onnx_out *w, int64_t o) {
    return (float)((double)octi_onnxw_data(w, 3)[o] *
                   (double)octi_onnxw_scale(w, octi_onnxw_out_value(w)) /
                   (double)octi_onnxw_scale(w, octi_onnxw_in_value(w, 0)));
}

/* A constant of floats, half precision or codes as floats. */
static const char *widened(octi_onnx_out *w, const oct_value *v, const int64_t *hwc) {
    octi_onnx_value *known = known_of(w, v, hwc);
    if (known->real) return known->real;
    const char *name = tensor(w, v, hwc);
    if (v->dtype == OCT_F32) return known->real = name;
    const oct_shape shape = octi_shape_out(&v->tensor->shape);
    const char *out = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.dequantized", v->name));
    if (v->dtype == OCT_F16) {
        const char *const in[] = {name};
        octi_onnxw_node(&w->b, "Cast", out, in, 1, out, OCTI_ONNX_F32, &shape);
        octi_onnxw_int(&w->b, "to", OCTI_ONNX_F32);
        return known->real = out;
    }
    const oct_quantizer *q = quantizer(w, v);
    if (!q && w->n->kind != OCT_OP_qconv2d && w->n->kind != OCT_OP_qlinear)
        return octi_onnxw_refuse(w, "codes without a scale"), NULL;
    const int64_t n = q ? oct_tensor_count(q->scale) : v->shape.dim[0];
    const oct_shape count = {.rank = n > 1, .dim = {n}};
    float *scales = octi_calloc(w->net->ctx, (size_t)n, sizeof *scales);
    uint8_t *zeros = octi_calloc(w->net->ctx, (size_t)n, 1);
    if (!scales || !zeros) w->b.status = oct_last_error()->code;
    for (int64_t i = 0; w->b.status == OCT_OK && i < n; i++) {
        scales[i] = q ? oct_f32(q->scale)[i] : scale_by_multiplier(w, i);
        zeros[i] = q ? (uint8_t)oct_s32(q->zero_point)[i] : 0;
    }
    const char *scale = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.scale", v->name)),
               *zero = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.zero_point", v->name));
    if (w->b.status == OCT_OK) {
        octi_onnxw_constant(&w->b, scale, OCTI_ONNX_F32, &count, scales);
        octi_onnxw_constant(&w->b, zero, octi_onnxw_type(v->dtype), &count, zeros);
    }
    octi_free(w->net->ctx, scales);
    octi_free(w->net->ctx, zeros);
    const char *const in[] = {name, scale, zero};
    octi_onnxw_node(&w->b, "DequantizeLinear", out, in, 3, out, OCTI_ONNX_F32, &shape);
    if (n > 1) octi_onnxw_int(&w->b, "axis", 0);
    return known->real = out;
}

const char *octi_onnxw_weight(octi_onnx_out *w, int k) {
    return widened(w, octi_onnxw_in_value(w, k), octi_onnxw_columns(w, k));
}

/* ---- what is read ---- */

const char *octi_onnxw_raw(octi_onnx_out *w, int k) {
    const oct_value *v = octi_onnxw_in_value(w, k);
    return v->tensor ? tensor(w, v, NULL) : w->v[v - w->g->values].name;
}

static const char *dequantized(octi_onnx_out *w, const oct_value *v, const char *scale,
                               const char *suffix) {
    const char *name = v->tensor ? tensor(w, v, NULL) : w->v[v - w->g->values].name,
               *const in[] = {name, scale, qparam(w, v, 1)},
               *out = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.%s", v->name, suffix));
    const oct_shape shape = octi_shape_out(&v->shape);
    return octi_onnxw_node(&w->b, "DequantizeLinear", out, in, 3, out, OCTI_ONNX_F32, &shape);
}

const char *octi_onnxw_real(octi_onnx_out *w, int k) {
    const oct_value *v = octi_onnxw_in_value(w, k);
    octi_onnx_value *known = &w->v[v - w->g->values];
    if (v->dtype != OCT_U8) return v->tensor ? widened(w, v, NULL) : known->name;
    if (!known->real) known->real = dequantized(w, v, qparam(w, v, 0), "dequantized");
    return known->real;
}

const char *octi_onnxw_whole(octi_onnx_out *w, int k) {
    const oct_value *v = octi_onnxw_in_value(w, k);
    octi_onnx_value *known = &w->v[v - w->g->values];
    if (!w->exact) return octi_onnxw_real(w, k);
    if (!known->whole) known->whole = dequantized(w, v, one(w), "whole");
    return known->whole;
}

const char *octi_onnxw_term(octi_onnx_out *w, int k, float m) {
    const char *x = octi_onnxw_whole(w, k);
    if (!w->exact || m == 1) return x;
    const oct_shape shape = octi_shape_out(&octi_onnxw_in_value(w, k)->shape);
    const char *const in[] = {x, octi_onnxw_number(w, octi_fmt("multiplier_%d", k), m)};
    return octi_onnxw_op_as(w, "Mul", octi_fmt("term_%d", k), 2, in, OCTI_ONNX_F32, &shape);
}

static const char *constant(octi_onnx_out *w, const char *suffix, int type, const void *v,
                            const oct_shape *shape);

/* ---- codes of weights ---- */

const char *octi_onnxw_weight_codes(octi_onnx_out *w, int k) {
    return w->exact ? octi_onnxw_weight_whole(w, k) : octi_onnxw_weight(w, k);
}

const char *octi_onnxw_whole_of(octi_onnx_out *w, const char *name, const char *base,
                                const oct_shape *shape) {
    const oct_shape none = scalar();
    const int8_t zero = 0;
    const char *out = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.whole", base));
    if (shape->rank == 2) { /* a product of two DequantizeLinear may be fused, and then saturate */
        octi_onnxw_node(&w->b, "Cast", out, &name, 1, out, OCTI_ONNX_F32, shape);
        octi_onnxw_int(&w->b, "to", OCTI_ONNX_F32);
        return out;
    }
    const char *z = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.zero_point", base));
    octi_onnxw_constant(&w->b, z, OCTI_ONNX_S8, &none, &zero);
    const char *const in[] = {name, one(w), z};
    return octi_onnxw_node(&w->b, "DequantizeLinear", out, in, 3, out, OCTI_ONNX_F32, shape);
}

const int64_t *octi_onnxw_columns(const octi_onnx_out *w, int k) {
    const int64_t *hwc = w->v[octi_onnxw_in_value(w, 0) - w->g->values].hwc;
    return octi_onnxw_in_value(w, k)->shape.rank == 2 && hwc[0] ? hwc : NULL;
}

const char *octi_onnxw_weight_whole(octi_onnx_out *w, int k) {
    const oct_value *v = octi_onnxw_in_value(w, k);
    const int64_t *hwc = octi_onnxw_columns(w, k);
    octi_onnx_value *known = known_of(w, v, hwc);
    const char *name = tensor(w, v, hwc);
    const oct_shape shape = octi_shape_out(&v->tensor->shape);
    if (!known->whole) known->whole = octi_onnxw_whole_of(w, name, v->name, &shape);
    return known->whole;
}

const char *octi_onnxw_ones(octi_onnx_out *w, const oct_shape *shape) {
    const oct_shape none = scalar();
    const int8_t zero = 0;
    int8_t *v = octi_alloc_raw(w->net->ctx, (size_t)oct_shape_count(shape));
    if (!v) return w->b.status = oct_last_error()->code, NULL;
    memset(v, 1, (size_t)oct_shape_count(shape));
    const char *name = constant(w, "ones", OCTI_ONNX_S8, v, shape),
               *z = constant(w, "ones.zero_point", OCTI_ONNX_S8, &zero, &none);
    octi_free(w->net->ctx, v);
    const char *const in[] = {name, one(w), z};
    return octi_onnxw_op_as(w, "DequantizeLinear", "ones.whole", 3, in, OCTI_ONNX_F32, shape);
}

const char *octi_onnxw_bias_codes(octi_onnx_out *w, int k) {
    const oct_value *v = octi_onnxw_in_value(w, k), *weight = octi_onnxw_in_value(w, 1);
    const char *name = tensor(w, v, NULL), *scale = NULL;
    const oct_shape shape = v->tensor->shape;
    const int64_t o = oct_tensor_count(v->tensor);
    if (w->exact)
        scale = one(w);
    else {
        const float s_x = octi_onnxw_scale(w, octi_onnxw_in_value(w, 0));
        const oct_quantizer *q = quantizer(w, weight);
        float *s = octi_calloc(w->net->ctx, (size_t)o, sizeof *s);
        if (!s) return w->b.status = oct_last_error()->code, NULL;
        const bool many = q && oct_tensor_count(q->scale) > 1;
        for (int64_t i = 0; i < o; i++) {
            const float s_w = q ? oct_f32(q->scale)[many ? i : 0] : scale_by_multiplier(w, i);
            s[i] = (float)((double)s_x * (double)s_w);
        }
        scale = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.scale", v->name));
        octi_onnxw_constant(&w->b, scale, OCTI_ONNX_F32, &shape, s);
        octi_free(w->net->ctx, s);
    }
    const char *out = octi_onnxw_value_name(
                   &w->b, octi_fmt("%.800s.%s", v->name, w->exact ? "whole" : "dequantized")),
               *const in[] = {name, scale};
    octi_onnxw_node(&w->b, "DequantizeLinear", out, in, 2, out, OCTI_ONNX_F32, &shape);
    if (!w->exact) octi_onnxw_int(&w->b, "axis", 0);
    return w->b.status == OCT_OK ? out : NULL;
}

/* ---- what is made ---- */

const char *octi_onnxw_op_as(octi_onnx_out *w, const char *op, const char *suffix, int nin,
                             const char *const *in, int type, const oct_shape *shape) {
    octi_onnx_value *own = &w->v[w->n->out];
    const char *out = own->name;
    if (suffix) out = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.%s", w->n->name, suffix));
    return octi_onnxw_node(&w->b, op, out, in, nin, out, type, shape);
}

const char *octi_onnxw_op(octi_onnx_out *w, const char *op, const char *suffix, int nin,
                          const char *const *in) {
    const oct_shape shape = octi_shape_out(&octi_onnxw_out_value(w)->shape);
    return octi_onnxw_op_as(w, op, suffix, nin, in, OCTI_ONNX_F32, &shape);
}

const char *octi_onnxw_more(octi_onnx_out *w, const char *suffix) {
    const char *out = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.%s", w->n->name, suffix));
    octi_onnxw_more_output(&w->b, out);
    return out;
}

static const char *constant(octi_onnx_out *w, const char *suffix, int type, const void *v,
                            const oct_shape *shape) {
    const char *name = octi_onnxw_value_name(&w->b, octi_fmt("%.800s.%s", w->n->name, suffix));
    octi_onnxw_constant(&w->b, name, type, shape, v);
    return name;
}

const char *octi_onnxw_floats(octi_onnx_out *w, const char *suffix, const float *v,
                              const oct_shape *shape) {
    return constant(w, suffix, OCTI_ONNX_F32, v, shape);
}

const char *octi_onnxw_number(octi_onnx_out *w, const char *suffix, float v) {
    const oct_shape shape = scalar();
    return constant(w, suffix, OCTI_ONNX_F32, &v, &shape);
}

const char *octi_onnxw_long(octi_onnx_out *w, const char *suffix, int64_t v) {
    const oct_shape shape = scalar();
    return constant(w, suffix, OCTI_ONNX_S64, &v, &shape);
}

const char *octi_onnxw_longs(octi_onnx_out *w, const char *suffix, const int64_t *v, int n) {
    const oct_shape shape = {.rank = 1, .dim = {n}};
    return constant(w, suffix, OCTI_ONNX_S64, v, &shape);
}

void octi_onnxw_quantize(octi_onnx_out *w, const char *x, bool units, int32_t lo, int32_t hi) {
    const oct_value *y = octi_onnxw_out_value(w);
    const oct_shape shape = octi_shape_out(&y->shape);
    const int32_t z = octi_onnxw_zero(w, y);
    const float s = units ? 1.0f : octi_onnxw_scale(w, y);
    if (lo > 0 || hi < 255) { /* the type's own limits are QuantizeLinear's */
        const char *const in[] = {x, octi_onnxw_number(w, "lo", s * (float)(lo - z)),
                                  octi_onnxw_number(w, "hi", s * (float)(hi - z))};
        x = octi_onnxw_op(w, "Clip", "clipped", 3, in);
    }
    const char *const in[] = {x, units ? one(w) : qparam(w, y, 0), qparam(w, y, 1)};
    octi_onnxw_op_as(w, "QuantizeLinear", NULL, 3, in, OCTI_ONNX_U8, &shape);
}

const char *octi_onnxw_regrid(octi_onnx_out *w, const char *x) {
    const oct_value *y = octi_onnxw_out_value(w);
    const oct_shape shape = octi_shape_out(&y->shape);
    const char *const in[] = {x, qparam(w, y, 0), qparam(w, y, 1)};
    const char *q = octi_onnxw_op_as(w, "QuantizeLinear", "saturated", 3, in, OCTI_ONNX_U8, &shape);
    const char *const back[] = {q, qparam(w, y, 0), qparam(w, y, 1)};
    return octi_onnxw_op(w, "DequantizeLinear", "unclipped", 3, back);
}

void octi_onnxw_dequantize(octi_onnx_out *w) {
    const oct_value *v = octi_onnxw_in_value(w, 0);
    const char *const in[] = {octi_onnxw_raw(w, 0), qparam(w, v, 0), qparam(w, v, 1)};
    octi_onnxw_op(w, "DequantizeLinear", NULL, 3, in);
}

void octi_onnxw_codes(octi_onnx_out *w, const char *x) {
    octi_onnxw_quantize(w, x, w->exact, w->n->attr.lo[0], w->n->attr.hi[0]);
}
