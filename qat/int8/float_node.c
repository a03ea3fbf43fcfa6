/* SPDX-License-Identifier: MIT
 * Float layers that convert kept between quantized ones: one image at a time, in the order of sums
 * that the float ops of octet's own have (taps ascending, bias last), so that codes behind them are
 * those of the simulation on the same machine. Shapes were judged by oct_infer_shape before. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "qat/int8/float_node.h"
#include "src/format/safetensors.h"
#include "src/mem.h"

static float activate(float v, int32_t act) {
    if (act == OCT_ACT_NONE) return v;
    v = v > 0 ? v : 0;
    return act == OCT_ACT_RELU6 && v > 6 ? 6 : v;
}

/* What stands behind a product: a batch norm in evaluation form, then the activation. */
void octi_fnode_finish(const octi_fnode *f, float *y) {
    int64_t c = f->y.dim[f->y.rank - 1];
    if (f->factor)
        f->kernels->normalize_f32(f->image_out / c, c, y, f->mean, f->factor, f->shift, y);
    for (int64_t i = 0; f->a.act[0] && i < f->image_out; i++) y[i] = activate(y[i], f->a.act[0]);
}

static void run_conv(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const octi_fconv *c = f->conv;
    const int64_t *x = f->x.dim;
    float *frame = scratch;
    size_t row = (size_t)(x[2] * x[3]);
    memset(frame, 0, c->frame_bytes);
    for (int64_t h = 0; h < x[1]; h++)
        memcpy(frame + ((h + c->top) * c->cols + c->left) * x[3], in[0] + h * (int64_t)row,
               row * sizeof *frame);
    for (int32_t g = 0; g < c->groups; g++) {
        octk_conv_f32 k = c->kernel;
        k.x = frame + g * c->cg;
        k.w += g * c->group_w;
        if (k.bias) k.bias += g * c->group_bias;
        k.y = y + g * k.o;
        f->kernels->conv_f32(&k);
    }
    octi_fnode_finish(f, y);
}

static void run_depthwise(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const oct_attrs *a = &f->a;
    const int64_t *x = f->x.dim, *o = f->y.dim;
    (void)scratch;
    memset(y, 0, (size_t)f->image_out * sizeof *y);
    for (int64_t p = 0; p < o[1]; p++)
        for (int64_t q = 0; q < o[2]; q++) {
            float *to = y + (p * o[2] + q) * o[3];
            for (int64_t k = 0; k < (int64_t)a->kernel[0] * a->kernel[1]; k++) {
                int64_t h = p * a->stride[0] - a->pads[0] + k / a->kernel[1] * a->dilation[0];
                int64_t w = q * a->stride[1] - a->pads[1] + k % a->kernel[1] * a->dilation[1];
                if (h < 0 || h >= x[1] || w < 0 || w >= x[2]) continue;
                const float *from = in[0] + (h * x[2] + w) * x[3], *taps = f->w + k * x[3];
                for (int64_t c = 0; c < x[3]; c++) to[c] += from[c] * taps[c];
            }
            for (int64_t c = 0; f->b && c < x[3]; c++) to[c] += f->b[c];
        }
    octi_fnode_finish(f, y);
}

static void run_linear(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t k = f->x.dim[1], o = f->y.dim[1];
    (void)scratch;
    f->kernels->gemm_f32(false, true, 1, o, k, in[0], k, f->w, k, false, y, o);
    for (int64_t i = 0; f->b && i < o; i++) y[i] += f->b[i];
    octi_fnode_finish(f, y);
}

/* Dynamic quantization, a row at a time: codes of the row, exact sums, floats. */
static void run_dynamic(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t k = f->x.dim[1];
    int16_t *q = scratch;
    float s = octi_dynamic_row(in[0], k, q);
    for (int64_t o = 0; o < f->y.dim[1]; o++)
        y[o] = octq_dynamic(octi_dynamic_sum(q, oct_s8(f->codes) + o * k, k), s, f->scale[o],
                            f->b ? f->b[o] : 0.0f);
    octi_fnode_finish(f, y);
}

static void run_copy(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    (void)scratch;
    memmove(y, in[0], (size_t)f->image_out * sizeof *y);
    octi_fnode_finish(f, y);
}

static void run_add(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t c = f->y.dim[f->y.rank - 1];
    bool small_a = f->image_in[0] < f->image_out, small_b = f->image_in[1] < f->image_out;
    (void)scratch;
    if (!small_a && !small_b)
        for (int64_t i = 0; i < f->image_out; i++) y[i] = in[0][i] + in[1][i];
    else
        for (int64_t i = 0; i < f->image_out; i++)
            y[i] = in[0][small_a ? i % c : i] + in[1][small_b ? i % c : i];
    octi_fnode_finish(f, y);
}

static void run_mul(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t c = f->y.dim[f->y.rank - 1];
    bool small_a = f->image_in[0] < f->image_out, small_b = f->image_in[1] < f->image_out;
    (void)scratch;
    for (int64_t i = 0; i < f->image_out; i++)
        y[i] = in[0][small_a ? i % c : i] * in[1][small_b ? i % c : i];
}

static void run_unary(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    (void)scratch;
    octi_unary_f32(f->kind, &f->a, in[0], y, f->image_out);
}

static void run_cat(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t outer = 1;
    (void)scratch;
    for (int i = 1; i < f->a.axis[0]; i++) outer *= f->y.dim[i];
    for (int64_t i = 0; i < outer; i++)
        for (int32_t k = 0; k < f->nin; k++) {
            int64_t run = f->image_in[k] / outer;
            memcpy(y, in[k] + i * run, (size_t)run * sizeof *y);
            y += run;
        }
}

static void run_pad(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const int64_t *x = f->x.dim, *o = f->y.dim;
    (void)scratch;
    for (int64_t i = 0; i < f->image_out; i++) y[i] = f->a.value;
    for (int64_t h = 0; h < x[1]; h++)
        memcpy(y + ((h + f->a.pads[0]) * o[2] + f->a.pads[1]) * o[3], in[0] + h * x[2] * x[3],
               (size_t)(x[2] * x[3]) * sizeof *y);
}

static void run_slice(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t inner = 1, axis = f->a.axis[0], side = f->x.dim[axis];
    (void)scratch;
    for (int64_t d = axis + 1; d < f->x.rank; d++) inner *= f->x.dim[d];
    int64_t run = f->y.dim[axis] * inner;
    for (int64_t r = 0; r < f->image_out / run; r++)
        memcpy(y + r * run, in[0] + (r * side + f->a.range[0]) * inner, (size_t)run * sizeof *y);
}

static void run_softmax(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t k = f->y.dim[f->y.rank - 1];
    bool log_form = f->kind == OCT_OP_log_softmax;
    (void)scratch;
    for (int64_t r = 0; r < f->image_out; r += k) {
        const float *x = in[0] + r;
        float max = x[0];
        double sum = 0;
        for (int64_t i = 1; i < k; i++) max = x[i] > max ? x[i] : max;
        for (int64_t i = 0; i < k; i++) sum += expf(x[i] - max);
        float scale = (float)(1.0 / sum), shift = (float)log(sum);
        for (int64_t i = 0; i < k; i++)
            y[r + i] = log_form ? (x[i] - max) - shift : expf(x[i] - max) * scale;
    }
}

/* NaN is larger than any number. */
static inline float larger(float a, float b) { return b > a || (b != b && a == a) ? b : a; }

/* Where output cell `at` along axis 0 or 1 reads, clipped to the image. */
static void window(const octi_fnode *f, int axis, int64_t at, int64_t *from, int64_t *to) {
    const oct_attrs *a = &f->a;
    const int64_t size = f->x.dim[axis + 1], cells = f->y.dim[axis + 1];
    const bool adaptive = f->kind == OCT_OP_adaptive_avg_pool2d;
    *from = adaptive ? at * size / cells : at * a->stride[axis] - a->pads[axis];
    *to = adaptive ? ((at + 1) * size + cells - 1) / cells : *from + a->kernel[axis];
    if (*from < 0) *from = 0;
    if (*to > size) *to = size;
}

/* The largest down the rows of a window, for a whole row of the image, then across. */
static void run_max_pool(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const int64_t *o = f->y.dim, c = f->x.dim[3], row = f->x.dim[2] * c;
    float *largest = scratch;
    for (int64_t p = 0; p < o[1]; p++) {
        int64_t h0, h1, w0, w1;
        window(f, 0, p, &h0, &h1);
        memcpy(largest, in[0] + h0 * row, (size_t)row * sizeof *largest);
        for (int64_t h = h0 + 1; h < h1; h++)
            for (int64_t i = 0; i < row; i++) largest[i] = larger(largest[i], in[0][h * row + i]);
        for (int64_t q = 0; q < o[2]; q++, y += c) {
            window(f, 1, q, &w0, &w1);
            memcpy(y, largest + w0 * c, (size_t)c * sizeof *y);
            for (int64_t w = w0 + 1; w < w1; w++)
                for (int64_t k = 0; k < c; k++) y[k] = larger(y[k], largest[w * c + k]);
        }
    }
}

/* The two kinds of averages: a window per output cell. */
static void run_mean_pool(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const oct_attrs *a = &f->a;
    const int64_t *o = f->y.dim, c = f->x.dim[3], row = f->x.dim[2] * c;
    const bool inside = f->kind == OCT_OP_adaptive_avg_pool2d || a->exclude_pad[0];
    (void)scratch;
    for (int64_t p = 0; p < o[1]; p++)
        for (int64_t q = 0; q < o[2]; q++, y += c) {
            int64_t h0, h1, w0, w1;
            window(f, 0, p, &h0, &h1);
            window(f, 1, q, &w0, &w1);
            for (int64_t k = 0; k < c; k++) y[k] = 0;
            for (int64_t h = h0; h < h1; h++)
                for (int64_t w = w0; w < w1; w++)
                    for (int64_t k = 0; k < c; k++) y[k] += in[0][h * row + w * c + k];
            const float cells =
                (float)(inside ? (h1 - h0) * (w1 - w0) : (int64_t)a->kernel[0] * a->kernel[1]);
            for (int64_t k = 0; k < c; k++) y[k] /= cells;
        }
}

/* ---- preparing ---- */

/* Scales of weights that are stored as codes: one, or one per output. NULL where they do not
 * fit. */
static const oct_tensor *weight_scales(const octi_finit *i, const oct_value *v) {
    const oct_tensor *s = v->quantizer >= 0 ? i->g->quantizers[v->quantizer].scale : NULL;
    bool fits = s && s->dtype == OCT_F32 && v->shape.rank > 0 &&
                (oct_tensor_count(s) == 1 || oct_tensor_count(s) == v->shape.dim[0]);
    for (int64_t k = 0; fits && k < oct_tensor_count(s); k++)
        fits = oct_f32(s)[k] > 0 && isfinite(oct_f32(s)[k]);
    return fits ? s : NULL;
}

oct_status octi_fnode_parameter(const octi_finit *i, int k, const char *what, bool must,
                                const float **p) {
    const oct_value *v = octi_node_in(i->g, i->n, k);
    const oct_tensor *t = v ? v->tensor : NULL, *s = NULL;
    *p = NULL;
    if (!v && !must) return OCT_OK;
    if (t && t->dtype == OCT_F32) return *p = oct_f32(t), OCT_OK;
    if (!t || (t->dtype != OCT_F16 && !(t->dtype == OCT_S8 && (s = weight_scales(i, v)))))
        return octi_fail(OCT_EFORMAT, i->n->name, what,
                         "a constant: float32, float16, or int8 with scales", NULL, NULL);
    int64_t n = oct_tensor_count(t);
    float *wide = octi_arena_calloc(i->arena, (size_t)n, sizeof *wide);
    if (!wide) return oct_last_error()->code;
    if (!s)
        for (int64_t j = 0; j < n; j++) wide[j] = octi_f16_to_f32(((const uint16_t *)t->data)[j]);
    else {
        int64_t row = n / t->shape.dim[0];
        bool one = oct_tensor_count(s) == 1;
        for (int64_t j = 0; j < n; j++)
            wide[j] = octq_dequantize(oct_s8(t)[j], oct_f32(s)[one ? 0 : j / row], 0);
    }
    *p = wide;
    return OCT_OK;
}

/* gamma, beta, mean, var at inputs k..k+3; the factor as oct_batch_norm_eval has it. */
static oct_status init_bn(const octi_finit *i, int k) {
    octi_fnode *f = i->f;
    int64_t c = f->y.dim[f->y.rank - 1];
    const float *gamma, *beta, *mean, *var;
    OCT_TRY(octi_fnode_parameter(i, k, "gamma", true, &gamma));
    OCT_TRY(octi_fnode_parameter(i, k + 1, "beta", true, &beta));
    OCT_TRY(octi_fnode_parameter(i, k + 2, "mean", true, &mean));
    OCT_TRY(octi_fnode_parameter(i, k + 3, "var", true, &var));
    float *factor = octi_arena_calloc(i->arena, (size_t)c, sizeof *factor);
    if (!factor) return oct_last_error()->code;
    for (int64_t j = 0; j < c; j++)
        factor[j] = (float)((double)gamma[j] / sqrt((double)var[j] + (double)f->a.eps));
    f->factor = factor;
    f->shift = beta;
    f->mean = mean;
    return OCT_OK;
}

static oct_status init_depthwise(const octi_finit *i, const float *w) {
    octi_fnode *f = i->f;
    int64_t c = f->x.dim[3], taps = (int64_t)f->a.kernel[0] * f->a.kernel[1];
    float *t = octi_arena_calloc(i->arena, (size_t)(c * taps), sizeof *t);
    if (!t) return oct_last_error()->code;
    for (int64_t j = 0; j < c; j++)
        for (int64_t k = 0; k < taps; k++) t[k * c + j] = w[j * taps + k];
    f->w = t;
    f->path = OCTI_PATH_float_conv_depthwise;
    f->run = run_depthwise;
    return OCT_OK;
}

/* The form of octk_conv_f32: a zero-bordered frame, runs of floats per output pixel, weights in
 * panels of 16.
 */
static oct_status init_conv(const octi_finit *i, const float *w) {
    enum { PANEL = 16 };
    octi_fnode *f = i->f;
    const oct_attrs *a = &f->a;
    const int64_t *x = f->x.dim, *o = f->y.dim;
    int64_t groups = a->groups[0], cg = x[3] / groups, og = o[3] / groups, r = a->kernel[0],
            s = a->kernel[1];
    int64_t rows = (o[1] - 1) * a->stride[0] + (r - 1) * a->dilation[0] + 1,
            cols = (o[2] - 1) * a->stride[1] + (s - 1) * a->dilation[1] + 1;
    if (rows < x[1] + a->pads[0]) rows = x[1] + a->pads[0];
    if (cols < x[2] + a->pads[1]) cols = x[2] + a->pads[1];
    if (rows > INT32_MAX / 4 || cols > INT32_MAX / 4 || rows * cols > INT32_MAX / 4 / x[3])
        return octi_fail(OCT_ELIMIT, i->n->name, "image too large", "less than 2^29 floats",
                         oct_shape_text(&f->x), NULL);
    bool whole_rows = groups == 1 && (a->dilation[1] == 1 || s == 1);
    int64_t runs = whole_rows ? r : r * s, len = whole_rows ? s * x[3] : cg, k = runs * len,
            panels = (og + PANEL - 1) / PANEL, np = o[1] * o[2];
    octi_fconv *c = octi_arena_calloc(i->arena, 1, sizeof *c);
    int32_t *pix = octi_arena_calloc(i->arena, (size_t)np, sizeof *pix),
            *out = octi_arena_calloc(i->arena, (size_t)np, sizeof *out);
    int32_t *run = octi_arena_calloc(i->arena, (size_t)runs, sizeof *run);
    float *packed =
        octi_arena_calloc(i->arena, (size_t)(groups * panels * PANEL), (size_t)k * sizeof *packed);
    float *bias =
        f->b ? octi_arena_calloc(i->arena, (size_t)(groups * panels), PANEL * sizeof *bias) : NULL;
    if (!c || !pix || !out || !run || !packed || (f->b && !bias)) return oct_last_error()->code;
    for (int64_t j = 0; j < np; j++) {
        pix[j] = (int32_t)((j / o[2] * a->stride[0] * cols + j % o[2] * a->stride[1]) * x[3]);
        out[j] = (int32_t)(j * o[3]);
    }
    for (int64_t j = 0; j < runs; j++)
        run[j] = (int32_t)(((whole_rows ? j : j / s) * a->dilation[0] * cols +
                            (whole_rows ? 0 : j % s) * a->dilation[1]) *
                           x[3]);
    for (int64_t j = 0; j < o[3]; j++) {
        int64_t at = j / og * panels * PANEL + j % og;
        for (int64_t e = 0; e < k; e++)
            packed[at / PANEL * k * PANEL + e * PANEL + at % PANEL] = w[j * k + e];
        if (bias) bias[at] = f->b[j];
    }
    *c = (octi_fconv){.kernel = {.w = packed,
                                 .bias = bias,
                                 .pix = pix,
                                 .run = run,
                                 .out = out,
                                 .np = (int32_t)np,
                                 .runs = (int32_t)runs,
                                 .len = (int32_t)len,
                                 .o = (int32_t)og,
                                 .dense = groups == 1},
                      .top = a->pads[0],
                      .left = a->pads[1],
                      .cols = cols,
                      .cg = cg,
                      .groups = (int32_t)groups,
                      .group_w = panels * k * PANEL,
                      .group_bias = panels * PANEL,
                      .frame_bytes = (size_t)(rows * cols * x[3]) * sizeof(float)};
    f->conv = c;
    f->scratch = c->frame_bytes;
    f->path = groups > 1   ? OCTI_PATH_float_conv_grouped
              : whole_rows ? OCTI_PATH_float_conv_rows
                           : OCTI_PATH_float_conv_taps;
    f->run = run_conv;
    return OCT_OK;
}

const float *octi_fnode_codes(const octi_finit *i, int k) {
    const oct_value *w = octi_node_in(i->g, i->n, k);
    const oct_tensor *s =
        w && w->tensor && w->dtype == OCT_S8 && w->shape.rank == 2 ? weight_scales(i, w) : NULL;
    if (!s)
        return octi_fail(OCT_EFORMAT, i->n->name, octi_fmt("input %d: weight codes with scales", k),
                         "constants, scales finite and > 0", NULL, NULL),
               NULL;
    int64_t o = w->shape.dim[0], row = w->shape.dim[1];
    float *scale = octi_arena_calloc(i->arena, (size_t)o, sizeof *scale);
    for (int64_t j = 0; scale && j < o; j++) {
        int64_t sum = 0;
        scale[j] = oct_f32(s)[oct_tensor_count(s) == 1 ? 0 : j];
        for (int64_t e = 0; e < row; e++) sum += abs(oct_s8(w->tensor)[j * row + e]);
        if (sum * 255 > INT32_MAX)
            return octi_fail(OCT_ELIMIT, i->n->name,
                             octi_fmt("accumulator of channel %lld may overflow", (long long)j),
                             "255 * sum|w| < 2^31", octi_fmt("%lld", (long long)(sum * 255)), NULL),
                   NULL;
    }
    return scale;
}

static oct_status init_dynamic(const octi_finit *i) {
    octi_fnode *f = i->f;
    if (!(f->scale = octi_fnode_codes(i, 1))) return oct_last_error()->code;
    OCT_TRY(octi_fnode_parameter(i, 2, "bias", false, &f->b));
    f->codes = octi_node_in(i->g, i->n, 1)->tensor;
    f->scratch = (size_t)f->x.dim[1] * sizeof(int16_t);
    return OCT_OK;
}

static oct_status init_weighted(const octi_finit *i) {
    octi_fnode *f = i->f;
    OCT_TRY(octi_fnode_parameter(i, 1, "weight", true, &f->w));
    OCT_TRY(octi_fnode_parameter(i, 2, "bias", false, &f->b));
    if (f->a.bn[0]) OCT_TRY(init_bn(i, 3));
    bool taken = false;
    if (i->free) OCT_TRY(octi_fnode_init_free(i, &taken));
    if (taken) return OCT_OK;
    if (f->kind == OCT_OP_linear) return f->run = run_linear, OCT_OK;
    return f->a.groups[0] == f->x.dim[3] && f->x.dim[3] == f->y.dim[3] && f->x.dim[3] > 1
               ? init_depthwise(i, f->w)
               : init_conv(i, f->w);
}

static const struct frow {
    octi_fnode_fn *run;
    bool elementwise;
} rows_of[OCT_OP_KIND_COUNT] = {
    [OCT_OP_conv2d] = {run_conv, false},
    [OCT_OP_linear] = {run_linear, false},
    [OCT_OP_dynamic_linear] = {run_dynamic, false},
    [OCT_OP_batch_norm] = {run_copy, true},
    [OCT_OP_relu] = {run_copy, true},
    [OCT_OP_relu6] = {run_copy, true},
    [OCT_OP_mul] = {run_mul, false},
    [OCT_OP_softmax] = {run_softmax, false},
    [OCT_OP_log_softmax] = {run_softmax, false},
    [OCT_OP_max_pool2d] = {run_max_pool, false},
    [OCT_OP_avg_pool2d] = {run_mean_pool, false},
    [OCT_OP_adaptive_avg_pool2d] = {run_mean_pool, false},
    [OCT_OP_flatten] = {run_copy, true},
    [OCT_OP_reshape] = {run_copy, true},
    [OCT_OP_identity] = {run_copy, true},
    [OCT_OP_dropout] = {run_copy, true},
    [OCT_OP_add] = {run_add, false},
    [OCT_OP_cat] = {run_cat, false},
    [OCT_OP_pad] = {run_pad, false},
    [OCT_OP_slice] = {run_slice, false},
    [OCT_OP_lstm] = {octi_fnode_run_lstm, false},
    [OCT_OP_lstm_cell] = {octi_fnode_run_lstm, false},
    [OCT_OP_dynamic_lstm] = {octi_fnode_run_lstm, false},
    [OCT_OP_dynamic_lstm_cell] = {octi_fnode_run_lstm, false},
#define OCT_OP(name, least, most, flags)
#define OCT_OP_INT8(name, least, most, flags)
#define OCT_OP_UNARY(name) [OCT_OP_##name] = {run_unary, true},
#include "src/op_kinds.def"
#undef OCT_OP
};

bool octi_fnode_has(oct_op_kind kind) { return rows_of[kind].run != NULL; }

void octi_fnode_run(const octi_fnode *f, const void *const *in, void *out, int64_t n,
                    void *scratch) {
    const float *x[OCTI_MAX_INPUTS];
    if (f->all) {
        f->all(f, (const float *const *)in, out, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < f->nin; k++)
            x[k] = in[k] ? (const float *)in[k] + i * f->image_in[k] : NULL;
        f->run(f, x, (float *)out + i * f->image_out, scratch);
    }
}

oct_status octi_fnode_init(octi_fnode *f, octi_arena *arena, const oct_graph *g, const oct_node *n,
                           bool free) {
    const struct frow *row = &rows_of[n->kind];
    octi_finit i = {f, arena, g, n, free};
    if (!row->run)
        return octi_fail(OCT_EUNSUPPORTED, n->name, "a float layer of an int8 net",
                         "a forward kind", oct_op_name(n->kind), NULL);
    *f = (octi_fnode){.run = row->run,
                      .kernels = octi_ctx_kernels(octi_arena_ctx(arena)),
                      .elementwise = row->elementwise,
                      .kind = n->kind,
                      .a = n->attr,
                      .x = g->values[n->in[0]].shape,
                      .y = g->values[n->out].shape,
                      .nin = n->nin};
    f->image_out = octi_image_count(&f->y);
    bool weighted =
        n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear || n->kind == OCT_OP_dynamic_linear;
    bool lstm = row->run == octi_fnode_run_lstm;
    for (int32_t k = 0; k < n->nin; k++) {
        const oct_value *v = octi_node_in(g, n, k);
        bool parameters = k > 0 && (weighted || n->kind == OCT_OP_batch_norm || (lstm && k < 5));
        if (lstm && k == 5 && !v) continue;
        if (!parameters && (!v || v->tensor || v->dtype != OCT_F32))
            return octi_fail(OCT_EFORMAT, n->name, octi_fmt("input %d", (int)k),
                             "a float32 value that a node makes",
                             v ? oct_dtype_name(v->dtype) : "nothing", NULL);
        f->image_in[k] = v && !v->tensor ? octi_image_count(&v->shape) : 0;
    }
    if (n->kind == OCT_OP_max_pool2d)
        f->scratch = (size_t)(f->x.dim[2] * f->x.dim[3]) * sizeof(float);
    if (n->kind == OCT_OP_relu) f->a.act[0] = OCT_ACT_RELU;
    if (n->kind == OCT_OP_relu6) f->a.act[0] = OCT_ACT_RELU6;
    if (lstm) return octi_fnode_init_lstm(&i);
    if (n->kind == OCT_OP_dynamic_linear) return init_dynamic(&i);
    if (weighted) return init_weighted(&i);
    if (n->kind == OCT_OP_batch_norm) return init_bn(&i, 1);
    return OCT_OK;
}
