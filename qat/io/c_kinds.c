/* SPDX-License-Identifier: MIT
 * One row per int8 kind: how a step becomes tables and a call. */
#include <string.h>

#include "qat/io/c_writer.h"

typedef oct_status print_fn(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q);

/* An image as height, width, channels: what has fewer dimensions is one row of pixels, or one
 * pixel. */
typedef struct image {
    int64_t h, w, c;
} image;
static image image_of(const oct_shape *s) {
    const int r = s->rank;
    return (image){r > 3 ? s->dim[r - 3] : 1, r > 2 ? s->dim[r - 2] : 1, s->dim[r - 1]};
}

static const char *in(const octi_c_writer *w, const octi_qmodule *m, int k) {
    return octi_c_place(w, m->in[k]);
}
static const char *out(const octi_c_writer *w, const octi_qmodule *m) {
    return octi_c_place(w, m->out);
}
static const char *zeros(const octi_qdesc *x, const octi_qdesc *y, int32_t lo, int32_t hi) {
    return octi_fmt("%d, %d, %d, %d", x->zero_point, y->zero_point, lo, hi);
}

/* A record of `words` 32-bit fields; the call follows. */
static void put_record(octi_c_writer *w, const char *type, int words, const char *fields) {
    octi_c_put(w, &w->tables, "@_CONST static const struct @_%s_layer @_l%d = {%s};\n", type,
               (int)w->step, fields);
    w->flash += 4 * words;
}

/* How many of n records have to be printed: one where all are equal. */
static int64_t distinct(const octq_multipliers *by, int64_t n) {
    for (int64_t i = 1; i < n; i++)
        if (by->law == OCTQ_FP32 ? by->m[i] < by->m[0] || by->m[i] > by->m[0]
                                 : by->q31[i] != by->q31[0] || by->shift[i] != by->shift[0])
            return n;
    return 1;
}

/* Records from `from` on as a table. */
static octi_c_label put_multipliers(octi_c_writer *w, const octq_multipliers *by, int64_t from,
                                    int64_t count) {
    octi_c_need(w, OCTI_C_MULTIPLIER);
    if (by->law == OCTQ_FP32) return octi_c_array(w, OCTI_C_F32, 'm', by->m + from, count);
    w->shifts = by->shift - by->q31;
    return octi_c_array(w, OCTI_C_Q31, 'm', by->q31 + from, count);
}

/* Record i as a value. */
static const char *multiplier(const octq_multipliers *by, int64_t i) {
    return by->law == OCTQ_FP32 ? octi_c_float(by->m[i])
                                : octi_fmt("{%ld, %ld}", (long)by->q31[i], (long)by->shift[i]);
}
static int words_of(const octi_c_writer *w, int multipliers) {
    return w->q31 ? 2 * multipliers : multipliers;
}

/* CMSIS-NN: a multiplier and a shift per channel; four columns of 16-byte steps, or sums of
 * weights. */
static void want_scratch(octi_c_writer *w, int64_t outputs, int64_t column) {
    const int64_t bytes = 12 * outputs + 4 * ((column + 15) / 16 * 16);
    if (w->q31 && bytes > w->scratch) w->scratch = bytes;
}

/* Weights, biases and multipliers, and the call of a function that takes them. */
static void put_product(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q,
                        const char *function) {
    const oct_tensor *t[] = {q->in[1].tensor, q->in[2].tensor};
    const octq_multipliers *by = &m->u.q.by;
    const octi_c_label weights = !strcmp(function, "depthwise")
                                     ? octi_c_depthwise(w, t[0])
                                     : octi_c_array(w, OCTI_C_S8, 'w', t[0]->data,
                                                    oct_tensor_count(t[0])),
                       bias = octi_c_array(w, OCTI_C_S32, 'b', t[1]->data, oct_tensor_count(t[1])),
                       mult = put_multipliers(w, by, 0, distinct(by, oct_tensor_count(t[1])));
    octi_c_put(w, &w->body, "    @_%s(&@_l%d, @_%s, @_%s, @_%s, %s, %s);\n", function, (int)w->step,
               weights.text, bias.text, mult.text, in(w, m, 0), out(w, m));
}

static oct_status put_conv(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const oct_attrs *a = q->a;
    const oct_shape *k = &q->in[1].tensor->shape;
    const image x = image_of(&q->in[0].shape), y = image_of(&q->out->shape);
    const int groups = a->groups[0] ? a->groups[0] : 1;
    const bool depthwise = groups == x.c && x.c == y.c;
    octi_c_need(w, depthwise ? OCTI_C_DEPTHWISE : OCTI_C_CONV);
    put_record(w, "conv", 20,
               octi_fmt("%d, %d, %d, %d, %d, %d, %d, %d, {%d, %d}, {%d, %d}, %d, %d, %d, %s, %d",
                        (int)x.h, (int)x.w, (int)x.c, (int)y.h, (int)y.w, (int)y.c, (int)k->dim[1],
                        (int)k->dim[2], a->stride[0], a->stride[1],
                        a->dilation[0] ? a->dilation[0] : 1, a->dilation[1] ? a->dilation[1] : 1,
                        a->pads[0], a->pads[1], groups,
                        zeros(&q->in[0], q->out, a->lo[0], a->hi[0]),
                        distinct(&m->u.q.by, k->dim[0]) > 1));
    put_product(w, m, q, depthwise ? "depthwise" : "conv2d");
    want_scratch(w, k->dim[0],
                 depthwise ? 0 : oct_tensor_count(q->in[1].tensor) / k->dim[0] * groups);
    w->macs += y.h * y.w * oct_tensor_count(q->in[1].tensor);
    return OCT_OK;
}

static oct_status put_linear(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const oct_shape *k = &q->in[1].tensor->shape;
    octi_c_need(w, OCTI_C_LINEAR);
    put_record(w, "linear", 7,
               octi_fmt("%d, %d, %s, %d", (int)k->dim[1], (int)k->dim[0],
                        zeros(&q->in[0], q->out, q->a->lo[0], q->a->hi[0]),
                        distinct(&m->u.q.by, k->dim[0]) > 1));
    put_product(w, m, q, "linear");
    want_scratch(w, k->dim[0], 0);
    w->macs += oct_tensor_count(q->in[1].tensor);
    return OCT_OK;
}

static void put_pair(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q, bool two) {
    const int64_t n = octi_image_count(&q->out->shape), na = octi_image_count(&q->in[0].shape),
                  nb = octi_image_count(&q->in[1].shape);
    /* a pixel is a run where one side is but one of them */
    const int64_t c = na == nb ? n : q->out->shape.dim[q->out->shape.rank - 1];
    const octq_multipliers *by = &m->u.q.by;
    const char *none = w->q31 ? "{0, 0}" : "0.0f";
    put_record(w, "pair", 9 + words_of(w, w->q31 ? 3 : 2),
               octi_fmt("%d, %d, %d, %d, %d, %s, {%s, %s%s%s}", (int)(n / c), (int)c,
                        (int)(na == n ? c : 0), (int)(nb == n ? c : 0), q->in[0].zero_point,
                        zeros(&q->in[1], q->out, q->a->lo[0], q->a->hi[0]), multiplier(by, 0),
                        two ? multiplier(by, 1) : none, w->q31 ? ", " : "",
                        !w->q31 ? ""
                        : two   ? multiplier(by, 2)
                                : none));
    octi_c_put(w, &w->body, "    @_%s(&@_l%d, %s, %s, %s);\n", two ? "add" : "mul", (int)w->step,
               in(w, m, 0), in(w, m, 1), out(w, m));
}

static oct_status put_add(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    octi_c_need(w, OCTI_C_ADD);
    put_pair(w, m, q, true);
    return OCT_OK;
}
static oct_status put_mul(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    octi_c_need(w, OCTI_C_MUL);
    put_pair(w, m, q, false);
    return OCT_OK;
}

/* One input on a grid into another; `rows` runs of n codes each, `pitch` codes apart. */
static const char *rescale_fields(const octi_qdesc *x, const octi_qdesc *y, const char *m,
                                  int64_t rows, int64_t n, int64_t pitch) {
    return octi_fmt("%d, %d, %d, %s, %s", (int)rows, (int)n, (int)pitch,
                    zeros(x, y, y->qmin, y->qmax), m);
}

static oct_status put_cat(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const oct_shape *y = &q->out->shape;
    const int members = q->nin - 1, axis = q->a->axis[0];
    int64_t rows = 1, inner = 1, at = 0;
    for (int i = 1; i < axis; i++) rows *= y->dim[i];
    for (int i = axis + 1; i < y->rank; i++) inner *= y->dim[i];
    octi_c_need(w, OCTI_C_RESCALE);
    octi_c_put(w, &w->tables, "@_CONST static const struct @_rescale_layer @_l%d[%d] = {",
               (int)w->step, members);
    for (int k = 0; k < members; k++) {
        const int64_t n = q->in[k].shape.dim[axis] * inner;
        octi_c_put(w, &w->tables, "%s\n    {%s}", k ? "," : "",
                   rescale_fields(&q->in[k], q->out, multiplier(&m->u.q.by, k), rows, n,
                                  y->dim[axis] * inner));
        octi_c_put(w, &w->body, "    @_rescale(&@_l%d[%d], %s, %s + %lld);\n", (int)w->step, k,
                   in(w, m, k), out(w, m), (long long)at);
        at += n;
    }
    octi_c_put(w, &w->tables, "};\n");
    w->flash += 4 * (7 + words_of(w, 1)) * members;
    return OCT_OK;
}

static oct_status put_requantize(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const int64_t n = octi_image_count(&q->out->shape);
    octi_c_need(w, OCTI_C_RESCALE);
    put_record(w, "rescale", 7 + words_of(w, 1),
               rescale_fields(&q->in[0], q->out, multiplier(&m->u.q.by, 0), 1, n, n));
    octi_c_put(w, &w->body, "    @_rescale(&@_l%d, %s, %s);\n", (int)w->step, in(w, m, 0),
               out(w, m));
    return OCT_OK;
}

/* ---- pools ---- */

/* Counts of cells that windows have along one axis: fewest, most. */
static void spans(int64_t size, int64_t count, int64_t kernel, int64_t stride, int64_t pad,
                  bool adaptive, int64_t *least, int64_t *most) {
    *least = INT64_MAX;
    *most = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t from = adaptive ? i * size / count : i * stride - pad,
                to = adaptive ? ((i + 1) * size + count - 1) / count : from + kernel;
        if (from < 0) from = 0;
        if (to > size) to = size;
        if (to - from < *least) *least = to - from;
        if (to - from > *most) *most = to - from;
    }
}

static void put_pool_record(octi_c_writer *w, const octi_qargs *q, int64_t cells, int64_t least) {
    const oct_attrs *a = q->a;
    const image x = image_of(&q->in[0].shape), y = image_of(&q->out->shape);
    octi_c_need(w, OCTI_C_POOL);
    put_record(w, "pool", 17,
               octi_fmt("%d, %d, %d, %d, %d, %d, %d, {%d, %d}, %d, %d, %d, %d, %s", (int)x.h,
                        (int)x.w, (int)x.c, (int)y.h, (int)y.w, a->kernel[0], a->kernel[1],
                        a->stride[0], a->stride[1], a->pads[0], a->pads[1], (int)cells, (int)least,
                        zeros(&q->in[0], q->out, q->out->qmin, q->out->qmax)));
}

static oct_status put_max_pool(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    octi_c_need(w, OCTI_C_MAX_POOL);
    put_pool_record(w, q, 0, 0);
    octi_c_put(w, &w->body, "    @_max_pool(&@_l%d, %s, %s);\n", (int)w->step, in(w, m, 0),
               out(w, m));
    return OCT_OK;
}

/* Of the multipliers, one per count of cells, those are printed that lie between the counts that
 * occur. */
static oct_status put_average(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const bool adaptive = m->kind == OCT_OP_qadaptive_avg_pool2d,
               on_grid = w->q31 && !m->u.q.by.q31; /* a division in place of records */
    const oct_attrs *a = q->a;
    const image x = image_of(&q->in[0].shape), y = image_of(&q->out->shape);
    const int64_t cells = adaptive || a->exclude_pad[0] ? 0 : (int64_t)a->kernel[0] * a->kernel[1];
    int64_t h[2], v[2], least, most;
    if (adaptive && ((y.h + 1) * x.h > INT32_MAX / 2 || (y.w + 1) * x.w > INT32_MAX / 2))
        return octi_fail(OCT_ELIMIT, m->name, "sides of an adaptive pool", "products below 2^30",
                         octi_fmt("%lld x %lld of %lld x %lld", (long long)y.h, (long long)y.w,
                                  (long long)x.h, (long long)x.w),
                         NULL);
    spans(x.h, y.h, a->kernel[0], a->stride[0], a->pads[0], adaptive, &h[0], &h[1]);
    spans(x.w, y.w, a->kernel[1], a->stride[1], a->pads[1], adaptive, &v[0], &v[1]);
    least = cells ? cells : h[0] * v[0];
    most = cells ? cells : h[1] * v[1];
    const bool inside = !cells || h[0] * v[0] == cells; /* no window counts what lies outside */
    const octi_c_piece mean = inside ? OCTI_C_MEAN_INSIDE : OCTI_C_MEAN_POOL;
    octi_c_need(w, on_grid ? mean : adaptive ? OCTI_C_ADAPTIVE_POOL : OCTI_C_AVG_POOL);
    put_pool_record(w, q, cells, least);
    if (on_grid) {
        if (4 * x.c > w->beside) w->beside = 4 * x.c; /* sums of channels */
        octi_c_put(w, &w->body, "    @_%s(&@_l%d, %s, %s);\n", inside ? "mean_inside" : "mean_pool",
                   (int)w->step, in(w, m, 0), out(w, m));
        return OCT_OK;
    }
    const octi_c_label mult = put_multipliers(w, &m->u.q.by, least, most - least + 1);
    octi_c_put(w, &w->body, "    @_%s(&@_l%d, @_%s, %s, %s);\n",
               adaptive ? "adaptive_pool" : "avg_pool", (int)w->step, mult.text, in(w, m, 0),
               out(w, m));
    return OCT_OK;
}

/* ---- codes by themselves ---- */

static oct_status put_pad(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const image x = image_of(&q->in[0].shape), y = image_of(&q->out->shape);
    octi_c_need(w, OCTI_C_PAD);
    put_record(w, "pad", 8,
               octi_fmt("%d, %d, %d, %d, %d, %d, %d, %d", (int)x.h, (int)x.w, (int)x.c, (int)y.h,
                        (int)y.w, q->a->pads[0], q->a->pads[1], q->a->lo[0]));
    octi_c_put(w, &w->body, "    @_pad(&@_l%d, %s, %s);\n", (int)w->step, in(w, m, 0), out(w, m));
    return OCT_OK;
}

static void put_bounds(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q, int32_t lo,
                       int32_t hi) {
    octi_c_need(w, OCTI_C_CLIP);
    octi_c_put(w, &w->body, "    @_clip(%lld, %d, %d, %s, %s);\n",
               (long long)octi_image_count(&q->out->shape), (int)lo, (int)hi, in(w, m, 0),
               out(w, m));
}
static oct_status put_clip(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    put_bounds(w, m, q, q->a->lo[0], q->a->hi[0]);
    return OCT_OK;
}
static oct_status put_relu(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    put_bounds(w, m, q, q->in[0].zero_point, 255);
    return OCT_OK;
}

static oct_status put_table(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    octi_c_need(w, OCTI_C_TABLE);
    const octi_c_label t = octi_c_array(w, OCTI_C_U8, 't', q->in[1].tensor->data, 256);
    octi_c_put(w, &w->body, "    @_table(%lld, @_%s, %s, %s);\n",
               (long long)octi_image_count(&q->out->shape), t.text, in(w, m, 0), out(w, m));
    return OCT_OK;
}

static oct_status put_softmax(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const oct_shape *y = &q->out->shape;
    const int64_t c = y->dim[y->rank - 1];
    octi_c_need(w, OCTI_C_SOFTMAX);
    put_record(w, "softmax", 6,
               octi_fmt("%d, %d, %d, %d, %d, %s", (int)(octi_image_count(y) / c), (int)c,
                        q->out->zero_point, q->out->qmin, q->out->qmax,
                        octi_c_float(q->out->scale)));
    const octi_c_label e = octi_c_array(w, OCTI_C_F32, 'e', q->in[1].tensor->data, 256);
    octi_c_put(w, &w->body, "    @_softmax(&@_l%d, @_%s, %s, %s);\n", (int)w->step, e.text,
               in(w, m, 0), out(w, m));
    return OCT_OK;
}

static oct_status put_slice(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    const octi_qslice *s = &m->u.q.u.slice;
    (void)q;
    octi_c_need(w, OCTI_C_SLICE);
    octi_c_put(w, &w->body, "    @_slice(%lld, %lld, %lld, %lld, %s, %s);\n", (long long)s->rows,
               (long long)s->pitch, (long long)s->from, (long long)s->run, in(w, m, 0), out(w, m));
    return OCT_OK;
}

/* A view costs nothing where its input ends with it. */
static oct_status put_view(octi_c_writer *w, const octi_qmodule *m, const octi_qargs *q) {
    if (!strcmp(in(w, m, 0), out(w, m))) return OCT_OK;
    octi_c_need(w, OCTI_C_COPY);
    octi_c_put(w, &w->body, "    @_copy(%lld, %s, %s);\n",
               (long long)octi_image_count(&q->out->shape), in(w, m, 0), out(w, m));
    return OCT_OK;
}

static print_fn *const print_of[OCT_OP_KIND_COUNT] = {
    [OCT_OP_qconv2d] = put_conv,
    [OCT_OP_qlinear] = put_linear,
    [OCT_OP_qadd] = put_add,
    [OCT_OP_qmul] = put_mul,
    [OCT_OP_qcat] = put_cat,
    [OCT_OP_requantize] = put_requantize,
    [OCT_OP_max_pool2d] = put_max_pool,
    [OCT_OP_qavg_pool2d] = put_average,
    [OCT_OP_qadaptive_avg_pool2d] = put_average,
    [OCT_OP_qpad] = put_pad,
    [OCT_OP_qclip] = put_clip,
    [OCT_OP_relu] = put_relu,
    [OCT_OP_qtable] = put_table,
    [OCT_OP_qsoftmax] = put_softmax,
    [OCT_OP_slice] = put_slice,
    [OCT_OP_flatten] = put_view,
    [OCT_OP_reshape] = put_view,
    [OCT_OP_identity] = put_view,
};

bool octi_c_has(oct_op_kind kind) {
    return (unsigned)kind < OCT_OP_KIND_COUNT && print_of[kind] != NULL;
}

static const char *sides(const oct_shape *s) {
    const char *t = "";
    for (int i = 1; i < s->rank; i++)
        t = octi_fmt("%s%s%lld", t, *t ? "x" : "", (long long)s->dim[i]);
    return t;
}

oct_status octi_c_put_step(octi_c_writer *w, int32_t i) {
    const octi_qmodule *m = &w->plan->steps[i];
    const octi_plan_value *v = &w->plan->values[m->out];
    w->step = i;
    octi_c_put(w, &w->tables, "\n/* %d %s: %s, %s -> %s */\n", (int)i, octi_c_comment(m->name),
               oct_op_name(m->kind), sides(&w->plan->values[m->in[0]].shape), sides(&v->shape));
    if (i != w->first) OCT_TRY(print_of[m->kind](w, m, m->u.q.args));
    octi_c_put(w, &w->body, "    @_LAYER(");
    octi_c_put_string(&w->body, m->name);
    octi_c_put(w, &w->body, ", %s, %zu);\n", octi_c_place(w, m->out), v->image);
    return OCT_OK;
}
