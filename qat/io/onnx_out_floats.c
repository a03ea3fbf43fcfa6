/* SPDX-License-Identifier: MIT
 * Float layers, and those that work on floats and codes alike, as ONNX. */
#include "qat/io/onnx_out_floats.h"

#include <float.h>

#include "ops/windows.h"
#include "src/mem.h"

static const oct_attrs *attrs(const octi_onnx_out *w) { return &w->n->attr; }

/* ---- attributes ---- */

void octi_onnxw_window(octi_onnx_out *w, bool pools) {
    const oct_attrs *a = attrs(w);
    const int64_t kernel[2] = {a->kernel[0], a->kernel[1]},
                  strides[2] = {a->stride[0], a->stride[1]},
                  dilations[2] = {a->dilation[0], a->dilation[1]},
                  pads[4] = {a->pads[0], a->pads[1], a->pads[2], a->pads[3]};
    octi_onnxw_ints(&w->b, "kernel_shape", kernel, 2);
    octi_onnxw_ints(&w->b, "strides", strides, 2);
    octi_onnxw_ints(&w->b, "pads", pads, 4);
    if (dilations[0] > 0 && !pools) octi_onnxw_ints(&w->b, "dilations", dilations, 2);
}

/* ---- layers with weights ---- */

/* What may be fused behind a layer: its last node has the layer's value. */
void octi_onnxw_activated(octi_onnx_out *w, const char *x) {
    if (attrs(w)->act[0] == OCT_ACT_RELU) octi_onnxw_op(w, "Relu", NULL, 1, &x);
    if (attrs(w)->act[0] != OCT_ACT_RELU6) return;
    const char *const in[] = {x, octi_onnxw_number(w, "lo", 0), octi_onnxw_number(w, "hi", 6)};
    octi_onnxw_op(w, "Clip", NULL, 3, in);
}

static void normalized(octi_onnx_out *w, const char *x, int from, const char *suffix) {
    const char *const in[] = {x, octi_onnxw_real(w, from), octi_onnxw_real(w, from + 1),
                              octi_onnxw_real(w, from + 2), octi_onnxw_real(w, from + 3)};
    x = octi_onnxw_op(w, "BatchNormalization", attrs(w)->act[0] ? suffix : NULL, 5, in);
    octi_onnxw_float(&w->b, "epsilon", attrs(w)->eps);
    octi_onnxw_activated(w, x);
}

static void weighted(octi_onnx_out *w, const char *op) {
    const oct_attrs *a = attrs(w);
    const char *in[] = {octi_onnxw_real(w, 0), octi_onnxw_weight(w, 1),
                        octi_onnxw_has(w, 2) ? octi_onnxw_real(w, 2) : NULL};
    const bool conv = op[0] == 'C';
    const char *x =
        octi_onnxw_op(w, op, a->bn[0] || a->act[0] ? "product" : NULL, in[2] ? 3 : 2, in);
    if (conv) {
        octi_onnxw_window(w, false);
        octi_onnxw_int(&w->b, "group", a->groups[0]);
    } else
        octi_onnxw_int(&w->b, "transB", 1);
    if (a->bn[0])
        normalized(w, x, 3, "normalized");
    else
        octi_onnxw_activated(w, x);
}

void octi_onnxw_write_conv2d(octi_onnx_out *w) { weighted(w, "Conv"); }
void octi_onnxw_write_linear(octi_onnx_out *w) { weighted(w, "Gemm"); }

/* The last axis is the channels: ONNX's second. */
void octi_onnxw_write_batch_norm(octi_onnx_out *w) {
    const oct_shape *s = &octi_onnxw_out_value(w)->shape;
    if (s->rank == 4 || s->rank == 2)
        normalized(w, octi_onnxw_real(w, 0), 1, "normalized");
    else
        octi_onnxw_refuse(w, "batch norm of values with 3, 5 or 6 axes");
}

/* ---- functions of one value ---- */

static const char *simple(octi_onnx_out *w, const char *op) {
    const char *const in[] = {octi_onnxw_real(w, 0)};
    return octi_onnxw_op(w, op, NULL, 1, in);
}

void octi_onnxw_write_sigmoid(octi_onnx_out *w) { simple(w, "Sigmoid"); }
void octi_onnxw_write_tanh(octi_onnx_out *w) { simple(w, "Tanh"); }

void octi_onnxw_write_leaky_relu(octi_onnx_out *w) {
    simple(w, "LeakyRelu");
    octi_onnxw_float(&w->b, "alpha", attrs(w)->slope);
}

void octi_onnxw_write_elu(octi_onnx_out *w) {
    simple(w, "Elu");
    octi_onnxw_float(&w->b, "alpha", attrs(w)->slope);
}

static const char *hard_sigmoid(octi_onnx_out *w, const char *suffix) {
    const char *const in[] = {octi_onnxw_real(w, 0)};
    const char *out = octi_onnxw_op(w, "HardSigmoid", suffix, 1, in);
    octi_onnxw_float(&w->b, "alpha", 1.0f / 6);
    octi_onnxw_float(&w->b, "beta", 0.5f);
    return out;
}

void octi_onnxw_write_hardsigmoid(octi_onnx_out *w) { hard_sigmoid(w, NULL); }

/* HardSwish is opset 14's */
void octi_onnxw_write_hardswish(octi_onnx_out *w) {
    const char *const in[] = {octi_onnxw_real(w, 0), hard_sigmoid(w, "gate")};
    octi_onnxw_op(w, "Mul", NULL, 2, in);
}

void octi_onnxw_write_clamp(octi_onnx_out *w) {
    const oct_attrs *a = attrs(w);
    const bool six = w->n->kind == OCT_OP_relu6;
    const float lo = six ? 0 : a->least, hi = six ? 6 : a->most;
    const char *const in[] = {octi_onnxw_real(w, 0),
                              lo > -FLT_MAX ? octi_onnxw_number(w, "lo", lo) : "",
                              hi < FLT_MAX ? octi_onnxw_number(w, "hi", hi) : ""};
    octi_onnxw_op(w, "Clip", NULL, hi < FLT_MAX ? 3 : lo > -FLT_MAX ? 2 : 1, in);
}

static void over_channels(octi_onnx_out *w, const char *op) {
    const oct_shape *s = &octi_onnxw_out_value(w)->shape;
    simple(w, op);
    octi_onnxw_int(&w->b, "axis", octi_onnxw_axis(s, s->rank - 1));
}

void octi_onnxw_write_softmax(octi_onnx_out *w) { over_channels(w, "Softmax"); }
void octi_onnxw_write_log_softmax(octi_onnx_out *w) { over_channels(w, "LogSoftmax"); }

/* ---- several values ---- */

static void pair(octi_onnx_out *w, const char *op) {
    const char *const in[] = {octi_onnxw_real(w, 0), octi_onnxw_real(w, 1)};
    octi_onnxw_activated(w, octi_onnxw_op(w, op, attrs(w)->act[0] ? "sum" : NULL, 2, in));
}

void octi_onnxw_write_add(octi_onnx_out *w) { pair(w, "Add"); }
void octi_onnxw_write_mul(octi_onnx_out *w) { pair(w, "Mul"); }

void octi_onnxw_write_cat(octi_onnx_out *w) {
    const char *in[64];
    for (int k = 0; k < w->n->nin; k++) in[k] = octi_onnxw_real(w, k);
    octi_onnxw_op(w, "Concat", NULL, w->n->nin, in);
    octi_onnxw_int(&w->b, "axis",
                   octi_onnxw_axis(&octi_onnxw_out_value(w)->shape, attrs(w)->axis[0]));
}

const char *octi_onnxw_padded(octi_onnx_out *w, const char *x, float value, const char *suffix) {
    const int32_t *p = attrs(w)->pads;
    const int64_t pads[8] = {0, 0, p[0], p[1], 0, 0, p[2], p[3]};
    const char *const in[] = {x, octi_onnxw_longs(w, "pads", pads, 8),
                              octi_onnxw_number(w, "value", value)};
    return octi_onnxw_op(w, "Pad", suffix, 3, in);
}

void octi_onnxw_write_pad(octi_onnx_out *w) {
    octi_onnxw_padded(w, octi_onnxw_real(w, 0), attrs(w)->value, NULL);
}

/* ---- floats or codes ---- */

/* Codes pass through a float node between DequantizeLinear and QuantizeLinear. */
static void grid(octi_onnx_out *w, const char *op, const char *suffix, bool pools) {
    const bool codes = octi_onnxw_is_codes(w);
    const char *const in[] = {codes ? octi_onnxw_whole(w, 0) : octi_onnxw_real(w, 0)};
    const char *x = octi_onnxw_op(w, op, codes ? suffix : NULL, 1, in);
    if (pools) octi_onnxw_window(w, true);
    if (codes) octi_onnxw_quantize(w, x, w->exact, 0, 255);
}

void octi_onnxw_write_relu(octi_onnx_out *w) { grid(w, "Relu", "positive", false); }
void octi_onnxw_write_max_pool2d(octi_onnx_out *w) { grid(w, "MaxPool", "pooled", true); }

/* Codes move as codes; by their scales, as runtimes expect it: floats move between
 * DequantizeLinear and QuantizeLinear. */
typedef struct moved {
    bool between;
    const char *data;   /* that moves */
    const char *suffix; /* of the last node; NULL: it has the layer's value */
    int type;
} moved;

static moved moved_of(octi_onnx_out *w) {
    const bool between = octi_onnxw_is_codes(w) && !w->exact;
    return (moved){.between = between,
                   .data = between ? octi_onnxw_real(w, 0) : octi_onnxw_raw(w, 0),
                   .suffix = between ? "moved" : NULL,
                   .type = octi_onnxw_type(between ? OCT_F32 : octi_onnxw_out_value(w)->dtype)};
}

static void moved_end(octi_onnx_out *w, const moved *m, const char *x) {
    if (m->between) octi_onnxw_quantize(w, x, false, 0, 255);
}

void octi_onnxw_write_identity(octi_onnx_out *w) {
    const oct_shape shape = octi_onnxw_shape(&octi_onnxw_out_value(w)->shape);
    const moved m = moved_of(w);
    moved_end(w, &m, octi_onnxw_op_as(w, "Identity", m.suffix, 1, &m.data, m.type, &shape));
}

void octi_onnxw_write_slice(octi_onnx_out *w) {
    const oct_attrs *a = attrs(w);
    const oct_shape shape = octi_onnxw_shape(&octi_onnxw_out_value(w)->shape);
    const int64_t from = a->range[0], to = a->range[1],
                  axis = octi_onnxw_axis(&octi_onnxw_out_value(w)->shape, a->axis[0]);
    const moved m = moved_of(w);
    const char *const in[] = {m.data, octi_onnxw_longs(w, "from", &from, 1),
                              octi_onnxw_longs(w, "to", &to, 1),
                              octi_onnxw_longs(w, "axis", &axis, 1)};
    moved_end(w, &m, octi_onnxw_op_as(w, "Slice", m.suffix, 4, in, m.type, &shape));
}

/* An image's elements stand otherwise in the file than in octet. */
static bool moves(const oct_shape *s) {
    return s->rank == 4 && s->dim[1] * s->dim[2] > 1 && s->dim[3] > 1;
}

void octi_onnxw_write_view(octi_onnx_out *w) {
    static const int64_t to_rows[4] = {0, 2, 3, 1}, to_planes[4] = {0, 3, 1, 2};
    const oct_value *x = octi_onnxw_in_value(w, 0), *y = octi_onnxw_out_value(w);
    const moved m = moved_of(w);
    const char *data = m.data;
    const bool planes = w->v[w->n->out].hwc[0] > 0; /* stays in C,H,W order */
    if (moves(&x->shape) && !planes) {
        data = octi_onnxw_op_as(w, "Transpose", "rows", 1, &data, m.type, &x->shape);
        octi_onnxw_ints(&w->b, "perm", to_rows, 4);
    }
    int64_t dims[OCT_MAX_RANK] = {0};
    const bool back = moves(&y->shape);
    const oct_shape shape = octi_onnxw_shape(&y->shape), seen = back ? y->shape : shape;
    for (int i = 1; i < seen.rank; i++) dims[i] = seen.dim[i];
    if (y->shape.rank == 2 && x->shape.rank >= 2) {
        data = octi_onnxw_op_as(w, "Flatten", m.suffix, 1, &data, m.type, &seen);
        octi_onnxw_int(&w->b, "axis", 1);
    } else {
        const char *const in[] = {data, octi_onnxw_longs(w, "shape", dims, seen.rank)};
        data = octi_onnxw_op_as(w, "Reshape", back ? "planes" : m.suffix, 2, in, m.type, &seen);
        if (back) {
            data = octi_onnxw_op_as(w, "Transpose", m.suffix, 1, &data, m.type, &shape);
            octi_onnxw_ints(&w->b, "perm", to_planes, 4);
        }
    }
    moved_end(w, &m, data);
}

/* ---- averages ---- */

void octi_onnxw_write_avg_pool2d(octi_onnx_out *w) {
    simple(w, "AveragePool");
    octi_onnxw_window(w, true);
    octi_onnxw_int(&w->b, "count_include_pad", !attrs(w)->exclude_pad[0]);
}

/* Windows of an adaptive pool as a product: weight `each` of the cells where it is 0, else 1 / n.
 * Rows [P,H], or columns [W,Q]. */
static const char *cells(octi_onnx_out *w, int axis, bool mean, const char *suffix) {
    const int64_t in = octi_onnxw_in_value(w, 0)->shape.dim[1 + axis],
                  out = octi_onnxw_out_value(w)->shape.dim[1 + axis];
    float *m = octi_calloc(w->net->ctx, (size_t)(in * out), sizeof *m);
    if (!m) return w->b.status = oct_last_error()->code, NULL;
    for (int64_t i = 0; i < out; i++) {
        const octi_cells c = octi_cells_adaptive(i, out, in);
        for (int64_t k = c.from; k < c.to; k++)
            m[axis ? k * out + i : i * in + k] = mean ? 1.0f / (float)(c.to - c.from) : 1.0f;
    }
    const oct_shape shape = axis ? OCT_SHAPE(in, out) : OCT_SHAPE(out, in);
    const char *name = octi_onnxw_floats(w, suffix, m, &shape);
    octi_free(w->net->ctx, m);
    return name;
}

const char *octi_onnxw_adaptive(octi_onnx_out *w, const char *x, bool mean, const char *suffix) {
    oct_shape half = octi_onnxw_shape(&octi_onnxw_in_value(w, 0)->shape);
    half.dim[2] = octi_onnxw_out_value(w)->shape.dim[1];
    const char *const rows[] = {cells(w, 0, mean, "window_rows"), x};
    const char *y = octi_onnxw_op_as(w, "MatMul", "rows", 2, rows, OCTI_ONNX_F32, &half);
    const char *const columns[] = {y, cells(w, 1, mean, "window_columns")};
    return octi_onnxw_op(w, "MatMul", suffix, 2, columns);
}

const char *octi_onnxw_mean(octi_onnx_out *w, const char *x, const char *suffix) {
    const int64_t *in = octi_onnxw_in_value(w, 0)->shape.dim,
                  *out = octi_onnxw_out_value(w)->shape.dim;
    if (out[1] * out[2] == 1) return octi_onnxw_op(w, "GlobalAveragePool", suffix, 1, &x);
    if (in[1] % out[1] || in[2] % out[2]) return octi_onnxw_adaptive(w, x, true, suffix);
    const int64_t side[2] = {in[1] / out[1], in[2] / out[2]};
    const char *y = octi_onnxw_op(w, "AveragePool", suffix, 1, &x);
    octi_onnxw_ints(&w->b, "kernel_shape", side, 2);
    octi_onnxw_ints(&w->b, "strides", side, 2);
    return y;
}

void octi_onnxw_write_adaptive_avg_pool2d(octi_onnx_out *w) {
    octi_onnxw_mean(w, octi_onnxw_real(w, 0), NULL);
}
