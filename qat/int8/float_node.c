/* SPDX-License-Identifier: MIT
 * Float layers that convert kept between quantized ones: the float ops of octet's own
 * (ops/image_ops.h), one image at a time, so that codes behind them are those of the simulation on
 * the same machine. Shapes were judged by oct_infer_shape before. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv_internal.h"
#include "ops/image_ops.h"
#include "ops/ops.h"
#include "qat/int8/float_node.h"
#include "src/format/safetensors.h"
#include "src/mem.h"

/* Elements of a row of an image. */
static int64_t row_of(const octi_fnode *f) {
    return f->y.rank == 4 ? f->image_out / f->y.dim[1] : f->image_out;
}

octi_part octi_fnode_whole(const octi_fnode *f) {
    const int64_t rows = f->y.rank == 4 ? f->y.dim[1] : 1;
    return (octi_part){0, f->tiles ? f->tiles : rows, 0, f->y.dim[f->y.rank - 1]};
}

/* Rows of channels that follow each other: all of a part, or of some channels a pixel at a time. */
void octi_fnode_finish(const octi_fnode *f, float *y, const octi_part *part) {
    const int64_t c = f->y.dim[f->y.rank - 1], row = row_of(f), n = part->last - part->first;
    const int64_t pixels = n == c ? 1 : (part->to - part->from) * row / c,
                  run = n == c ? (part->to - part->from) * row / c : 1;
    y += part->from * row;
    for (int64_t i = 0; i < pixels; i++, y += c) {
        if (f->factor)
            f->kernels->normalize_f32(run, n, y + part->first, f->mean + part->first,
                                      f->factor + part->first, f->shift + part->first,
                                      y + part->first);
        for (int64_t k = 0; f->a.act[0] && k < run * n; k++)
            y[part->first + k] = octi_activate(y[part->first + k], f->a.act[0]);
    }
}

static void finish(const octi_fnode *f, float *y) {
    const octi_part whole = octi_fnode_whole(f);
    octi_fnode_finish(f, y, &whole);
}

static void run_conv(const octi_fnode *f, const float *const *in, float *y, const octi_part *part,
                     void *scratch) {
    octi_direct_part(f->conv, in[0], octi_direct_frame(f->conv) ? scratch : NULL, y, part);
    if (f->factor) octi_fnode_finish(f, y, part);
}

static double conv_cycles(const octi_fnode *f, const octi_part *part) {
    const octi_conv g = octi_conv_of(&f->a, &f->x, &f->y, 1);
    return octi_direct_cycles(&g, f->kernels, part);
}

static void run_depthwise(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const octi_conv g = octi_conv_of(&f->a, &f->x, &f->y, 1);
    (void)scratch;
    octi_depthwise_image(&g, in[0], f->w, f->b, y);
    finish(f, y);
}

static void run_linear(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t k = f->x.dim[1], o = f->y.dim[1];
    (void)scratch;
    f->kernels->gemm_f32(false, true, 1, o, k, in[0], k, f->w, k, false, y, o);
    for (int64_t i = 0; f->b && i < o; i++) y[i] += f->b[i];
    finish(f, y);
}

/* Dynamic quantization, a row at a time: codes of the row, exact sums, floats. */
static void run_dynamic(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t k = f->x.dim[1];
    int16_t *q = scratch;
    float s = octi_dynamic_row(in[0], k, q);
    for (int64_t o = 0; o < f->y.dim[1]; o++)
        y[o] = octq_dynamic(octi_dynamic_sum(q, oct_s8(f->codes) + o * k, k), s, f->scale[o],
                            f->b ? f->b[o] : 0.0f);
    finish(f, y);
}

static void run_copy(const octi_fnode *f, const float *const *in, float *y, const octi_part *part,
                     void *scratch) {
    const int64_t row = row_of(f), at = part->from * row;
    (void)scratch;
    memmove(y + at, in[0] + at, (size_t)((part->to - part->from) * row) * sizeof *y);
    octi_fnode_finish(f, y, part);
}

/* Two inputs of one size, or a row of channels against all rows. */
static void run_pair(const octi_fnode *f, const float *const *in, float *y, const octi_part *part,
                     void *scratch) {
    const bool swap = f->image_in[0] < f->image_out, pair = f->image_in[0] == f->image_in[1];
    const int64_t row = row_of(f), at = part->from * row, count = (part->to - part->from) * row,
                  cols = pair ? count : f->y.dim[f->y.rank - 1];
    (void)scratch;
    (f->kind == OCT_OP_add ? octi_add_f32 : octi_mul_f32)(
        in[swap] + at, in[!swap] + (pair ? at : 0), y + at, count / cols, cols);
    octi_fnode_finish(f, y, part);
}

static void run_unary(const octi_fnode *f, const float *const *in, float *y, const octi_part *part,
                      void *scratch) {
    const int64_t row = row_of(f), at = part->from * row;
    (void)scratch;
    octi_unary_f32(f->kind, &f->a, in[0] + at, y + at, (part->to - part->from) * row);
}

static void run_cat(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t rows, inner;
    (void)scratch;
    octi_around_axis(&f->y, f->a.axis[0], 1, &rows, &inner);
    for (int32_t k = 0; k < f->nin; k++) {
        const int64_t run = f->image_in[k] / rows;
        octi_copy_runs(in[k], run, y, f->image_out / rows, run, rows);
        y += run;
    }
}

static void run_pad(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    (void)scratch;
    octi_pad_image(&f->a, &f->x, &f->y, in[0], y);
}

static void run_slice(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    int64_t rows, inner;
    (void)scratch;
    octi_around_axis(&f->x, f->a.axis[0], 1, &rows, &inner);
    octi_copy_runs(in[0] + f->a.range[0] * inner, f->image_in[0] / rows, y, f->image_out / rows,
                   f->image_out / rows, rows);
}

static void run_softmax(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const int64_t k = f->y.dim[f->y.rank - 1];
    (void)scratch;
    (f->kind == OCT_OP_softmax ? octi_softmax_f32 : octi_log_softmax_f32)(in[0], y,
                                                                          f->image_out / k, k);
}

static void run_max_pool(const octi_fnode *f, const float *const *in, float *y,
                         const octi_part *part, void *scratch) {
    const octi_pool g = octi_pool_of(&f->a, &f->x, &f->y);
    octi_max_pool_rows(&g, part->from, part->to, in[0], y, scratch);
}

static void run_mean_pool(const octi_fnode *f, const float *const *in, float *y, void *scratch) {
    const octi_pool g =
        octi_pool_of(f->kind == OCT_OP_adaptive_avg_pool2d ? NULL : &f->a, &f->x, &f->y);
    (void)scratch;
    octi_mean_pool_image(&g, in[0], y);
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
    for (int64_t j = 0; j < c; j++) factor[j] = octi_batch_norm_factor(gamma[j], var[j], f->a.eps);
    f->factor = factor;
    f->shift = beta;
    f->mean = mean;
    return OCT_OK;
}

static oct_status init_depthwise(const octi_finit *i, const octi_conv *g, const float *w) {
    octi_fnode *f = i->f;
    if (!(f->w = octi_depthwise_turned(i->arena, g, w))) return oct_last_error()->code;
    f->path = OCTI_PATH_float_conv_depthwise;
    f->run = run_depthwise;
    f->part = NULL;
    f->units = 1;
    return OCT_OK;
}

static oct_status init_conv(const octi_finit *i, const octi_conv *g, const float *w) {
    octi_fnode *f = i->f;
    if (!(f->conv = octi_direct_new(i->arena, g, w, f->b, octi_fnode_clamp(f))))
        return octi_fail_in(oct_last_error()->code, i->n->name);
    f->scratch = octi_direct_frame(f->conv);
    if (f->scratch > (size_t)1 << 31)
        return octi_fail(OCT_ELIMIT, i->n->name, "image too large", "less than 2^29 floats",
                         oct_shape_text(&f->x), NULL);
    f->path = g->groups > 1                ? OCTI_PATH_float_conv_grouped
              : octi_conv_runs_are_rows(g) ? OCTI_PATH_float_conv_rows
                                           : OCTI_PATH_float_conv_taps;
    f->part = run_conv;
    f->cycles = conv_cycles;
    if (g->groups == 1) f->panels = octi_fnode_panels(g->o);
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
        /* q and z are 0 to 255 */
        if (octi_prove_accumulator(i->n->name, j, 0, sum, 255, NULL) != OCT_OK) return NULL;
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
    const octi_conv g = octi_conv_of(&f->a, &f->x, &f->y, 1);
    return octi_conv_is_depthwise(&g) ? init_depthwise(i, &g, f->w) : init_conv(i, &g, f->w);
}

static const struct frow {
    octi_fnode_fn *run;
    bool elementwise;
    octi_fnode_part_fn *part; /* in place of run: rows of it */
} rows_of[OCT_OP_KIND_COUNT] = {
    [OCT_OP_conv2d] = {.part = run_conv},
    [OCT_OP_linear] = {run_linear, false},
    [OCT_OP_dynamic_linear] = {run_dynamic, false},
    [OCT_OP_batch_norm] = {NULL, true, run_copy},
    [OCT_OP_relu] = {NULL, true, run_copy},
    [OCT_OP_relu6] = {NULL, true, run_copy},
    [OCT_OP_mul] = {.part = run_pair},
    [OCT_OP_softmax] = {run_softmax, false},
    [OCT_OP_log_softmax] = {run_softmax, false},
    [OCT_OP_max_pool2d] = {.part = run_max_pool},
    [OCT_OP_avg_pool2d] = {run_mean_pool, false},
    [OCT_OP_adaptive_avg_pool2d] = {run_mean_pool, false},
    [OCT_OP_flatten] = {NULL, true, run_copy},
    [OCT_OP_reshape] = {NULL, true, run_copy},
    [OCT_OP_identity] = {NULL, true, run_copy},
    [OCT_OP_dropout] = {NULL, true, run_copy},
    [OCT_OP_add] = {.part = run_pair},
    [OCT_OP_cat] = {run_cat, false},
    [OCT_OP_pad] = {run_pad, false},
    [OCT_OP_slice] = {run_slice, false},
    [OCT_OP_lstm] = {octi_fnode_run_lstm, false},
    [OCT_OP_lstm_cell] = {octi_fnode_run_lstm, false},
    [OCT_OP_dynamic_lstm] = {octi_fnode_run_lstm, false},
    [OCT_OP_dynamic_lstm_cell] = {octi_fnode_run_lstm, false},
#define OCT_OP(name, least, most, flags)
#define OCT_OP_INT8(name, least, most, flags)
#define OCT_OP_UNARY(name) [OCT_OP_##name] = {NULL, true, run_unary},
#include "src/op_kinds.def"
#undef OCT_OP
};

bool octi_fnode_has(oct_op_kind kind) { return rows_of[kind].run || rows_of[kind].part; }

/* All channels where panels are 0, else these; the last panel has all that are left. */
static octi_part part_of(const octi_fnode *f, const octi_qcall *call) {
    octi_part part = octi_fnode_whole(f);
    const int64_t last = (int64_t)(call->panel + call->panels) * OCTI_PANEL;
    if (f->units > 1) part.from = call->from, part.to = call->to;
    part.first = (int64_t)call->panel * OCTI_PANEL;
    if (call->panels && call->panel + call->panels < f->panels) part.last = last;
    return part;
}

static void run_images(const octi_fnode *f, const void *const *in, void *out, int64_t n,
                       const octi_part *part, void *scratch) {
    const float *x[OCTI_MAX_INPUTS];
    if (f->all) {
        f->all(f, (const float *const *)in, out, n, part, scratch);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float *y = (float *)out + i * f->image_out;
        for (int32_t k = 0; k < f->nin; k++)
            x[k] = in[k] ? (const float *)in[k] + i * f->image_in[k] : NULL;
        if (f->part)
            f->part(f, x, y, part, scratch);
        else
            f->run(f, x, y, scratch);
    }
}

void octi_fnode_run(const octi_fnode *f, const void *const *in, void *out, int64_t n,
                    void *scratch) {
    const octi_part whole = octi_fnode_whole(f);
    run_images(f, in, out, n, &whole, scratch);
}

void octi_fnode_run_part(const octi_fnode *f, const octi_qcall *call) {
    const octi_part part = part_of(f, call);
    run_images(f, call->in, call->out, call->n, &part, call->scratch);
}

/* Of what is no convolution: an element in a cycle. */
double octi_fnode_cycles(const octi_fnode *f) {
    const octi_part whole = octi_fnode_whole(f);
    return f->cycles ? f->cycles(f, &whole) : (double)f->image_out;
}

double octi_fnode_part_cycles(const void *op, octi_share share) {
    const octi_fnode *f = op;
    octi_qcall most = {.to = octi_share_most(f->units, share.rows)};
    if (share.panels > 1) most.panels = octi_share_most(f->panels, share.panels);
    const octi_part part = part_of(f, &most);
    return f->cycles(f, &part);
}

oct_status octi_fnode_init(octi_fnode *f, octi_arena *arena, const oct_graph *g, const oct_node *n,
                           bool free) {
    const struct frow *row = &rows_of[n->kind];
    octi_finit i = {f, arena, g, n, free};
    if (!octi_fnode_has(n->kind))
        return octi_fail(OCT_EUNSUPPORTED, n->name, "a float layer of an int8 net",
                         "a forward kind", oct_op_name(n->kind), NULL);
    *f = (octi_fnode){.run = row->run,
                      .part = row->part,
                      .units = 1,
                      .panels = 1,
                      .kernels = octi_ctx_kernels(octi_arena_ctx(arena)),
                      .elementwise = row->elementwise,
                      .kind = n->kind,
                      .a = n->attr,
                      .x = g->values[n->in[0]].shape,
                      .y = g->values[n->out].shape,
                      .nin = n->nin};
    f->image_out = octi_image_count(&f->y);
    if (row->part && f->y.rank == 4) f->units = (int32_t)f->y.dim[1];
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
    if (n->kind == OCT_OP_max_pool2d) {
        const octi_pool pool = octi_pool_of(&f->a, &f->x, &f->y);
        OCT_TRY(octi_max_pool_room(&pool, n->name, &f->scratch));
        f->scratch *= sizeof(float);
    }
    if (n->kind == OCT_OP_relu) f->a.act[0] = OCT_ACT_RELU;
    if (n->kind == OCT_OP_relu6) f->a.act[0] = OCT_ACT_RELU6;
    if (lstm) return octi_fnode_init_lstm(&i);
    if (n->kind == OCT_OP_dynamic_linear) return init_dynamic(&i);
    if (weighted) return init_weighted(&i);
    if (n->kind == OCT_OP_batch_norm) return init_bn(&i, 1);
    return OCT_OK;
}
