/* SPDX-License-Identifier: MIT
 * Layers of codes as ONNX. With the law's own numbers (exact) a layer computes with whole numbers
 * q - z, multiplies by the stored multiplier and rounds by QuantizeLinear of scale 1: fp32 holds
 * every one of them up to 2^24, so any runtime rounds what octet rounds. Without, values stand by
 * their scales, as runtimes expect them that fuse integer kernels. */
#include "ops/windows.h"
#include "qat/io/onnx_out_floats.h"
#include "qat/io/weight_layout.h"
#include "src/mem.h"

static const oct_attrs *attrs(const octi_onnx_out *w) { return &w->n->attr; }

/* Codes of the output's type, no fused limits. */
static void all_codes(octi_onnx_out *w, const char *x, bool units) {
    const oct_qspec *spec = &w->g->quantizers[octi_onnxw_out_value(w)->quantizer].spec;
    octi_onnxw_quantize(w, x, units, spec->qmin, spec->qmax);
}

/* The law of fixed point rounds as no float does. */
static bool fixed_point(octi_onnx_out *w) {
    if (!w->exact || !attrs(w)->law[0]) return false;
    octi_onnxw_refuse(w, "requantizes in fixed point (q31), which no ONNX operator does");
    return true;
}

/* ---- borders ---- */

void octi_onnxw_write_quantize(octi_onnx_out *w) { all_codes(w, octi_onnxw_real(w, 0), false); }

/* A float layer with weights reads the layer's value. */
static bool read_by_weights(const octi_onnx_out *w) {
    for (int32_t i = 0; i < w->g->node_count; i++) {
        const oct_node *n = &w->g->nodes[i];
        const bool weights = n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear;
        if (weights && n->in[0] == w->n->out) return true;
    }
    return false;
}

/* Float weights between DequantizeLinear and QuantizeLinear are quantized by some runtimes,
 * unasked: a layer that was kept float reads s * (q - z) from a product. */
void octi_onnxw_write_dequantize(octi_onnx_out *w) {
    if (!w->exact || !read_by_weights(w)) {
        octi_onnxw_dequantize(w);
        return;
    }
    const float s = octi_onnxw_scale(w, octi_onnxw_in_value(w, 0));
    const char *const in[] = {octi_onnxw_whole(w, 0), octi_onnxw_number(w, "scale", s)};
    octi_onnxw_op(w, "Mul", NULL, 2, in);
}

/* ---- sums of products ---- */

static const char *by_channel(octi_onnx_out *w, const float *m, int64_t o) {
    const bool image = octi_onnxw_out_value(w)->shape.rank == 4;
    const oct_shape shape = image ? OCT_SHAPE(1, o, 1, 1) : OCT_SHAPE(o);
    return octi_onnxw_floats(w, "multiplier", m, &shape);
}

/* Behind whole weights and bias: (q - z) * w + b, times the multipliers, rounded. */
static void law_of_sums(octi_onnx_out *w, const char *sum, int64_t o) {
    const char *const in[] = {sum, by_channel(w, octi_onnxw_data(w, 3), o)};
    octi_onnxw_codes(w, octi_onnxw_op(w, "Mul", "scaled", 2, in));
}

/* Where the limits are narrower than the type, the codes first saturate at the type's, then a Clip
 * stands in front of a QuantizeLinear on the same grid: so runtimes still see the layer between
 * DequantizeLinear and QuantizeLinear alone. */
static void plain_codes(octi_onnx_out *w, const char *x) {
    const oct_attrs *a = attrs(w);
    if (a->lo[0] > 0 || a->hi[0] < 255) x = octi_onnxw_regrid(w, x);
    octi_onnxw_quantize(w, x, false, a->lo[0], a->hi[0]);
}

void octi_onnxw_product_form(octi_onnx_out *w) {
    if (w->n->kind == OCT_OP_qconv2d) {
        octi_onnxw_window(w, false);
        octi_onnxw_int(&w->b, "group", attrs(w)->groups[0]);
    } else
        octi_onnxw_int(&w->b, "transB", 1);
}

static void weighted(octi_onnx_out *w, const char *op) {
    if (fixed_point(w)) return;
    if (attrs(w)->law[0] && octi_onnxw_in_value(w, 1)->quantizer < 0) {
        octi_onnxw_refuse(w, "a fixed-point requant whose weights have no scales");
        return;
    }
    const char *x = w->exact ? octi_onnxw_wide_sums(w, op) : NULL;
    if (!x) {
        const char *const in[] = {octi_onnxw_whole(w, 0), octi_onnxw_weight_codes(w, 1),
                                  octi_onnxw_bias_codes(w, 2)};
        x = octi_onnxw_op(w, op, w->exact ? "sum" : "product", 3, in);
        octi_onnxw_product_form(w);
    }
    if (w->exact)
        law_of_sums(w, x, octi_onnxw_in_value(w, 1)->shape.dim[0]);
    else
        plain_codes(w, x);
}

void octi_onnxw_write_qconv2d(octi_onnx_out *w) { weighted(w, "Conv"); }
void octi_onnxw_write_qlinear(octi_onnx_out *w) { weighted(w, "Gemm"); }

/* ---- several values ---- */

void octi_onnxw_write_qadd(octi_onnx_out *w) {
    if (fixed_point(w)) return;
    const float *m = octi_onnxw_data(w, 2);
    const char *const in[] = {octi_onnxw_term(w, 0, m[0]), octi_onnxw_term(w, 1, m[1])};
    octi_onnxw_codes(w, octi_onnxw_op(w, "Add", "total", 2, in));
}

void octi_onnxw_write_qmul(octi_onnx_out *w) {
    if (fixed_point(w)) return;
    const char *const in[] = {octi_onnxw_whole(w, 0), octi_onnxw_whole(w, 1)};
    const char *x = octi_onnxw_op(w, "Mul", "product", 2, in);
    if (w->exact) {
        const char *const by[] = {x, octi_onnxw_number(w, "multiplier", octi_onnxw_data(w, 2)[0])};
        x = octi_onnxw_op(w, "Mul", "scaled", 2, by);
    }
    octi_onnxw_codes(w, x);
}

void octi_onnxw_write_qcat(octi_onnx_out *w) {
    if (fixed_point(w)) return;
    const int n = w->n->nin - 1;
    const char *in[64];
    for (int k = 0; k < n; k++) in[k] = octi_onnxw_term(w, k, octi_onnxw_data(w, n)[k]);
    const char *x = octi_onnxw_op(w, "Concat", "joined", n, in);
    octi_onnxw_int(&w->b, "axis",
                   octi_onnxw_axis(&octi_onnxw_out_value(w)->shape, attrs(w)->axis[0]));
    octi_onnxw_codes(w, x);
}

void octi_onnxw_write_requantize(octi_onnx_out *w) {
    if (!fixed_point(w)) all_codes(w, octi_onnxw_term(w, 0, octi_onnxw_data(w, 1)[0]), w->exact);
}

/* ---- averages ---- */

/* The multiplier of each window, by the cells that it counts: [1,1,P,Q], or one number. */
static const char *by_window(octi_onnx_out *w) {
    const int64_t *in = octi_onnxw_in_value(w, 0)->shape.dim,
                  *out = octi_onnxw_out_value(w)->shape.dim;
    const oct_attrs *a = attrs(w);
    const float *m = octi_onnxw_data(w, 1);
    const bool pool = w->n->kind == OCT_OP_qavg_pool2d;
    float *each = octi_calloc(w->net->ctx, (size_t)(out[1] * out[2]), sizeof *each);
    if (!each) return w->b.status = oct_last_error()->code, NULL;
    bool same = true;
    for (int64_t i = 0; i < out[1] * out[2]; i++) {
        const int64_t at[2] = {i / out[2], i % out[2]};
        int64_t n = 1;
        for (int axis = 0; axis < 2; axis++) {
            const octi_cells c = pool ? octi_cells_inside(at[axis], a->stride[axis], a->pads[axis],
                                                          a->kernel[axis], in[1 + axis])
                                      : octi_cells_adaptive(at[axis], out[1 + axis], in[1 + axis]);
            n *= pool && !a->exclude_pad[0] ? a->kernel[axis] : c.to - c.from;
        }
        each[i] = m[n];
        same &= each[i] == each[0];
    }
    const oct_shape shape = OCT_SHAPE(1, 1, out[1], out[2]);
    const char *name = same ? octi_onnxw_number(w, "multiplier", each[0])
                            : octi_onnxw_floats(w, "multiplier", each, &shape);
    octi_free(w->net->ctx, each);
    return name;
}

/* Sums of a pool's windows: a convolution of each channel by ones, whose border adds nothing. The
 * ones are codes: a runtime would fold the multiplier into floats. */
static const char *window_sums(octi_onnx_out *w) {
    const int64_t c = octi_onnxw_in_value(w, 0)->shape.dim[3];
    const int32_t *k = attrs(w)->kernel;
    const oct_shape shape = OCT_SHAPE(c, 1, k[0], k[1]);
    if (octi_onnxw_too_wide(w, (int64_t)k[0] * k[1])) return NULL;
    const char *const in[] = {octi_onnxw_whole(w, 0), octi_onnxw_ones(w, &shape)};
    const char *x = octi_onnxw_op(w, "Conv", "sum", 2, in);
    octi_onnxw_window(w, true);
    octi_onnxw_int(&w->b, "group", c);
    return x;
}

static const char *image_sum(octi_onnx_out *w) {
    static const int64_t axes[2] = {2, 3};
    const int64_t *out = octi_onnxw_out_value(w)->shape.dim;
    if (out[1] * out[2] > 1) {
        const int64_t *in = octi_onnxw_in_value(w, 0)->shape.dim, /* windows overlap by a cell */
            cells = (in[1] / out[1] + 2) * (in[2] / out[2] + 2);
        if (octi_onnxw_too_wide(w, cells)) return NULL;
        return octi_onnxw_adaptive(w, octi_onnxw_whole(w, 0), false, "sum");
    }
    const char *wide = octi_onnxw_wide_image_sum(w);
    if (wide) return wide;
    const char *const in[] = {octi_onnxw_whole(w, 0), octi_onnxw_longs(w, "axes", axes, 2)};
    const char *x = octi_onnxw_op(w, "ReduceSum", "sum", 2, in);
    octi_onnxw_int(&w->b, "keepdims", 1);
    return x;
}

static void averaged(octi_onnx_out *w, const char *sum) {
    if (!sum) return;
    const char *const in[] = {sum, by_window(w)};
    octi_onnxw_codes(w, octi_onnxw_op(w, "Mul", "scaled", 2, in));
}

void octi_onnxw_write_qavg_pool2d(octi_onnx_out *w) {
    if (fixed_point(w)) return;
    if (w->exact) {
        averaged(w, window_sums(w));
        return;
    }
    const char *const in[] = {octi_onnxw_real(w, 0)};
    const char *x = octi_onnxw_op(w, "AveragePool", "mean", 1, in);
    octi_onnxw_window(w, true);
    octi_onnxw_int(&w->b, "count_include_pad", !attrs(w)->exclude_pad[0]);
    octi_onnxw_codes(w, x);
}

void octi_onnxw_write_qadaptive_avg_pool2d(octi_onnx_out *w) {
    if (fixed_point(w)) return;
    if (w->exact)
        averaged(w, image_sum(w));
    else
        octi_onnxw_codes(w, octi_onnxw_mean(w, octi_onnxw_real(w, 0), "mean"));
}

/* ---- codes to codes ---- */

void octi_onnxw_write_qpad(octi_onnx_out *w) {
    const oct_value *y = octi_onnxw_out_value(w);
    const float s = w->exact ? 1.0f : octi_onnxw_scale(w, y);
    const float border = s * (float)(attrs(w)->lo[0] - octi_onnxw_zero(w, y));
    octi_onnxw_quantize(w, octi_onnxw_padded(w, octi_onnxw_whole(w, 0), border, "padded"), w->exact,
                        0, 255);
}

void octi_onnxw_write_qclip(octi_onnx_out *w) { octi_onnxw_codes(w, octi_onnxw_whole(w, 0)); }

/* Codes as indices. */
static const char *indices(octi_onnx_out *w, const oct_shape *shape) {
    const char *const in[] = {octi_onnxw_raw(w, 0)};
    const char *x = octi_onnxw_op_as(w, "Cast", "index", 1, in, OCTI_ONNX_S32, shape);
    octi_onnxw_int(&w->b, "to", OCTI_ONNX_S32);
    return x;
}

/* The stored table itself: no runtime has another opinion of it. */
void octi_onnxw_write_qtable(octi_onnx_out *w) {
    const oct_shape shape = octi_onnxw_shape(&octi_onnxw_out_value(w)->shape);
    const char *const in[] = {octi_onnxw_raw(w, 1), indices(w, &shape)};
    octi_onnxw_op_as(w, "Gather", NULL, 2, in, OCTI_ONNX_U8, &shape);
    octi_onnxw_int(&w->b, "axis", 0);
}

/* exp by the stored table, from the largest code down; summed channel by channel, as CumSum does;
 * two true divisions. */
void octi_onnxw_write_qsoftmax(octi_onnx_out *w) {
    const oct_value *y = octi_onnxw_out_value(w);
    const oct_shape shape = octi_onnxw_shape(&y->shape);
    const int64_t axis = octi_onnxw_axis(&y->shape, y->shape.rank - 1);
    if (!w->exact) {
        const char *const in[] = {octi_onnxw_real(w, 0)};
        const char *x = octi_onnxw_op(w, "Softmax", "share", 1, in);
        octi_onnxw_int(&w->b, "axis", axis);
        all_codes(w, x, false);
        return;
    }
    oct_shape row = shape;
    row.dim[axis] = 1;
    const char *q = indices(w, &shape);
    const char *top = octi_onnxw_op_as(w, "ReduceMax", "top", 1, &q, OCTI_ONNX_S32, &row);
    octi_onnxw_ints(&w->b, "axes", &axis, 1);
    octi_onnxw_int(&w->b, "keepdims", 1);
    const char *const below[] = {top, q};
    const char *const look[] = {
        octi_onnxw_raw(w, 1), octi_onnxw_op_as(w, "Sub", "below", 2, below, OCTI_ONNX_S32, &shape)};
    const char *e = octi_onnxw_op(w, "Gather", "exp_of", 2, look);
    octi_onnxw_int(&w->b, "axis", 0);
    const int64_t last[2] = {shape.dim[axis] - 1, shape.dim[axis]};
    const char *axes = octi_onnxw_longs(w, "axis", &axis, 1);
    const char *const run[] = {e, octi_onnxw_long(w, "along", axis)};
    const char *const end[] = {octi_onnxw_op(w, "CumSum", "sums", 2, run),
                               octi_onnxw_longs(w, "last", &last[0], 1),
                               octi_onnxw_longs(w, "end", &last[1], 1), axes};
    const char *const by[] = {e, octi_onnxw_op_as(w, "Slice", "sum", 4, end, OCTI_ONNX_F32, &row)};
    all_codes(w, octi_onnxw_op(w, "Div", "share", 2, by), false);
}
