/* SPDX-License-Identifier: MIT
 * Recurrent layers, and linear ones that quantize each row by its own range, as ONNX. */
#include <string.h>

#include "qat/io/onnx_out_floats.h"
#include "src/format/safetensors.h"
#include "src/mem.h"

/* ONNX has a cell's gates as i, o, f, c; octet, like PyTorch, as i, f, g, o. */
static const int gate_of[4] = {0, 3, 1, 2};

static float number_at(const oct_tensor *t, int64_t i) {
    return t->dtype == OCT_F32 ? oct_f32(t)[i] : octi_f16_to_f32(((const uint16_t *)t->data)[i]);
}

/* [4H, columns] of input k into `to`, gates in ONNX's order; zeros where it is absent. */
static void gates(const octi_onnx_out *w, int k, int64_t h, int64_t columns, float *to) {
    const oct_value *v = octi_onnxw_in_value(w, k);
    for (int g = 0; v && g < 4; g++)
        for (int64_t i = 0; i < h * columns; i++)
            to[g * h * columns + i] = number_at(v->tensor, gate_of[g] * h * columns + i);
}

/* A constant of octet's weights k (and k2 behind it), in ONNX's order. */
static const char *weights(octi_onnx_out *w, const char *suffix, int k, int k2, int64_t h,
                           int64_t columns) {
    const int64_t n = 4 * h * columns;
    float *v = octi_calloc(w->net->ctx, (size_t)(2 * n), sizeof *v);
    if (!v) return w->b.status = oct_last_error()->code, NULL;
    gates(w, k, h, columns, v);
    if (k2 > 0) gates(w, k2, h, columns, v + n);
    const oct_shape shape = k2 > 0 ? OCT_SHAPE(1, 2 * n) : OCT_SHAPE(1, 4 * h, columns);
    const char *name = octi_onnxw_floats(w, suffix, v, &shape);
    octi_free(w->net->ctx, v);
    return name;
}

static bool of_floats(octi_onnx_out *w) {
    for (int k = 1; k < 5; k++) {
        const oct_value *v = octi_onnxw_in_value(w, k);
        if (!v || (v->tensor && (v->dtype == OCT_F32 || v->dtype == OCT_F16))) continue;
        octi_onnxw_refuse(w, "an LSTM whose weights are codes, or no constants");
        return false;
    }
    return true;
}

static const char *squeezed(octi_onnx_out *w, const char *op, const char *x, const char *suffix,
                            int64_t axis, const oct_shape *shape) {
    const char *const in[] = {x, octi_onnxw_longs(w, "axis", &axis, 1)};
    return octi_onnxw_op_as(w, op, suffix, 2, in, OCTI_ONNX_F32, shape);
}

void octi_onnxw_write_lstm(octi_onnx_out *w) {
    static const int64_t swap[3] = {1, 0, 2};
    if (!of_floats(w)) return;
    const int64_t *x = octi_onnxw_in_value(w, 0)->shape.dim,
                  h = octi_onnxw_in_value(w, 2)->shape.dim[1];
    const oct_shape steps = OCT_SHAPE(x[1], x[0], x[2]), all = OCT_SHAPE(x[1], 1, x[0], h),
                    rows = OCT_SHAPE(x[1], x[0], h);
    const char *const turn[] = {octi_onnxw_real(w, 0)};
    const char *in[4] = {octi_onnxw_op_as(w, "Transpose", "steps", 1, turn, OCTI_ONNX_F32, &steps)};
    octi_onnxw_ints(&w->b, "perm", swap, 3);
    in[1] = weights(w, "w", 1, 0, h, x[2]);
    in[2] = weights(w, "r", 2, 0, h, h);
    in[3] = weights(w, "b", 3, 4, h, 1);
    const bool last = w->n->attr.last[0];
    const char *y = octi_onnxw_op_as(w, "LSTM", "states", 4, in, OCTI_ONNX_F32, &all);
    octi_onnxw_int(&w->b, "hidden_size", h);
    if (last) {
        const char *ends = octi_onnxw_more(w, "last");
        const oct_shape out = OCT_SHAPE(x[0], h);
        squeezed(w, "Squeeze", ends, NULL, 0, &out);
        return;
    }
    y = squeezed(w, "Squeeze", y, "rows", 1, &rows);
    octi_onnxw_op(w, "Transpose", NULL, 1, &y);
    octi_onnxw_ints(&w->b, "perm", swap, 3);
}

/* h or c of a state [N,2H], as [1,N,H]. */
static const char *half_of(octi_onnx_out *w, const char *state, int which, int64_t batch,
                           int64_t h) {
    const int64_t from = which * h, to = from + h, axis = 1;
    const oct_shape half = OCT_SHAPE(batch, h), out = OCT_SHAPE(1, batch, h);
    const char *const in[] = {state, octi_onnxw_longs(w, "from", &from, 1),
                              octi_onnxw_longs(w, "to", &to, 1),
                              octi_onnxw_longs(w, "axis", &axis, 1)};
    const char *x = octi_onnxw_op_as(w, "Slice", "half", 4, in, OCTI_ONNX_F32, &half);
    return squeezed(w, "Unsqueeze", x, "initial", 0, &out);
}

void octi_onnxw_write_lstm_cell(octi_onnx_out *w) {
    if (!of_floats(w)) return;
    const int64_t *x = octi_onnxw_in_value(w, 0)->shape.dim,
                  h = octi_onnxw_in_value(w, 2)->shape.dim[1];
    const oct_shape step = OCT_SHAPE(1, x[0], x[1]), all = OCT_SHAPE(1, 1, x[0], h),
                    half = OCT_SHAPE(x[0], h);
    const char *in[7] = {squeezed(w, "Unsqueeze", octi_onnxw_real(w, 0), "step", 0, &step)};
    in[1] = weights(w, "w", 1, 0, h, x[1]);
    in[2] = weights(w, "r", 2, 0, h, h);
    in[3] = weights(w, "b", 3, 4, h, 1);
    in[4] = "";
    const bool state = octi_onnxw_has(w, 5);
    for (int i = 0; state && i < 2; i++) in[5 + i] = half_of(w, octi_onnxw_real(w, 5), i, x[0], h);
    octi_onnxw_op_as(w, "LSTM", "states", state ? 7 : 4, in, OCTI_ONNX_F32, &all);
    octi_onnxw_int(&w->b, "hidden_size", h);
    const char *const ends[] = {octi_onnxw_more(w, "h"), octi_onnxw_more(w, "c")};
    const char *const halves[] = {squeezed(w, "Squeeze", ends[0], "new_h", 0, &half),
                                  squeezed(w, "Squeeze", ends[1], "new_c", 0, &half)};
    octi_onnxw_op(w, "Concat", NULL, 2, halves);
    octi_onnxw_int(&w->b, "axis", 1);
}

/* ---- rows quantized by their own range ---- */

static const char *two(octi_onnx_out *w, const char *op, const char *suffix, const char *a,
                       const char *b, const oct_shape *shape) {
    const char *const in[] = {a, b};
    return octi_onnxw_op_as(w, op, suffix, 2, in, OCTI_ONNX_F32, shape);
}

static const char *clipped(octi_onnx_out *w, const char *x, const char *suffix, const char *lo,
                           const char *hi, const oct_shape *shape) {
    const char *const in[] = {x, lo, hi};
    return octi_onnxw_op_as(w, "Clip", suffix, 3, in, OCTI_ONNX_F32, shape);
}

/* Smallest or largest of each row and zero. */
static const char *end_of(octi_onnx_out *w, const char *op, const char *x, const char *suffix,
                          const char *lo, const char *hi, const oct_shape *row) {
    const int64_t axis = 1;
    const char *y = octi_onnxw_op_as(w, op, suffix, 1, &x, OCTI_ONNX_F32, row);
    octi_onnxw_ints(&w->b, "axes", &axis, 1);
    octi_onnxw_int(&w->b, "keepdims", 1);
    return clipped(w, y, "end", lo, hi, row);
}

/* docs/int8_file.md, dynamic_linear, step by step: whole numbers, products of scales rounded
 * once. */
void octi_onnxw_write_dynamic_linear(octi_onnx_out *w) {
    const oct_value *vx = octi_onnxw_in_value(w, 0), *vw = octi_onnxw_in_value(w, 1);
    const int64_t n = vx->shape.dim[0], o = vw->shape.dim[0];
    const oct_shape row = OCT_SHAPE(n, 1), out = OCT_SHAPE(n, o), all = vx->shape,
                    scales = OCT_SHAPE(1, o);
    const char *x = octi_onnxw_real(w, 0), *zero = octi_onnxw_number(w, "zero", 0),
               *most = octi_onnxw_number(w, "codes", 255);
    const char *lo = end_of(w, "ReduceMin", x, "least", "", zero, &row),
               *hi = end_of(w, "ReduceMax", x, "most", zero, "", &row);
    const char *s = two(w, "Div", "step", two(w, "Sub", "range", hi, lo, &row), most, &row);
    s = clipped(w, s, "scale", octi_onnxw_number(w, "scale_min", OCT_SCALE_MIN), "", &row);
    const char *down = two(w, "Div", "down", lo, s, &row);
    down = octi_onnxw_op_as(w, "Round", "down_rounded", 1, &down, OCTI_ONNX_F32, &row);
    const char *z =
        clipped(w, two(w, "Sub", "below", zero, down, &row), "zero_point", zero, most, &row);
    const char *q = two(w, "Div", "steps", x, s, &all);
    q = octi_onnxw_op_as(w, "Round", "rounded", 1, &q, OCTI_ONNX_F32, &all);
    q = clipped(w, two(w, "Add", "shifted", q, z, &all), "codes_of", zero, most, &all);
    q = two(w, "Sub", "whole", q, z, &all);
    const char *const product[] = {q, octi_onnxw_weight_whole(w, 1)};
    const char *sum = octi_onnxw_op_as(w, "Gemm", "sum", 2, product, OCTI_ONNX_F32, &out);
    octi_onnxw_int(&w->b, "transB", 1);
    const oct_quantizer *qw = &w->g->quantizers[vw->quantizer];
    float *s_w = octi_calloc(w->net->ctx, (size_t)o, sizeof *s_w);
    if (!s_w) {
        w->b.status = oct_last_error()->code;
        return;
    }
    for (int64_t i = 0; i < o; i++)
        s_w[i] = oct_f32(qw->scale)[oct_tensor_count(qw->scale) > 1 ? i : 0];
    const char *by = octi_onnxw_floats(w, "weight_scales", s_w, &scales);
    octi_free(w->net->ctx, s_w);
    const bool bias = octi_onnxw_has(w, 2);
    const bool act = w->n->attr.act[0] != OCT_ACT_NONE;
    const char *y = two(w, "Mul", bias || act ? "scaled" : NULL, sum,
                        two(w, "Mul", "multipliers", s, by, &out), &out);
    if (bias) y = two(w, "Add", act ? "biased" : NULL, y, octi_onnxw_real(w, 2), &out);
    octi_onnxw_activated(w, y);
}
