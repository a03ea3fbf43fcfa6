/* SPDX-License-Identifier: MIT
 * Tensor ops on codes: prepare (qrun.h), then images over the context's threads. */
#include "ops/qops.h"

#include "ops/qrun.h"
#include "src/cut.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

enum { MAX_INPUTS = 65 };

typedef struct call {
    oct_op_kind kind;
    octi_qdesc in[MAX_INPUTS], out;
    const oct_tensor *x[MAX_INPUTS]; /* activations, NULL for constants */
    oct_tensor *y;
    int nin;
    oct_status status; /* of the operands seen so far */
} call;

static const oct_tensor no_tensor = {.dtype = OCT_DTYPE_COUNT};

static octi_qdesc desc_of(const oct_qtensor *t) {
    const oct_tensor *c = t && t->codes ? t->codes : &no_tensor;
    octi_qdesc d = {.dtype = c->dtype, .shape = c->shape, .quantized = true};
    if (t) {
        d.scale = t->scale;
        d.zero_point = t->zero_point;
        d.qmin = t->qmin;
        d.qmax = t->qmin || t->qmax ? t->qmax : 255;
    }
    return d;
}

static void add_codes(call *c, const oct_qtensor *t) {
    c->in[c->nin] = desc_of(t);
    c->x[c->nin++] = t ? t->codes : NULL;
    if (!t || !t->codes)
        c->status = octi_fail(OCT_EUSAGE, oct_op_name(c->kind),
                              octi_fmt("input %d is NULL", c->nin - 1), NULL, NULL, NULL);
}

static void add_const(call *c, const oct_tensor *t) {
    c->in[c->nin] = (octi_qdesc){.dtype = t ? t->dtype : OCT_DTYPE_COUNT, .tensor = t};
    if (t) c->in[c->nin].shape = t->shape;
    c->nin++;
}

typedef struct range_job {
    const octi_qrun *r;
    const call *c;
    uint8_t *scratch; /* [tasks][r->scratch] */
    int64_t n, tasks;
} range_job;

static size_t image_bytes(const oct_tensor *t) {
    return (size_t)octi_image_count(&t->shape) * oct_dtype_size(t->dtype);
}

static void run_range(void *arg, int64_t i) {
    const range_job *j = arg;
    int64_t from = j->n * i / j->tasks, to = j->n * (i + 1) / j->tasks;
    const void *in[MAX_INPUTS];
    for (int k = 0; k < j->c->nin; k++)
        in[k] = j->c->x[k]
                    ? (const uint8_t *)j->c->x[k]->data + (size_t)from * image_bytes(j->c->x[k])
                    : NULL;
    const octi_qcall part = {.in = in,
                             .out = (uint8_t *)j->c->y->data + (size_t)from * image_bytes(j->c->y),
                             .n = to - from,
                             .to = j->r->units,
                             .scratch = j->scratch + (size_t)i * j->r->scratch};
    if (to > from) j->r->run(j->r, &part);
}

static oct_status run_with(oct_ctx *ctx, octi_arena *arena, const oct_attrs *a, const call *c) {
    static const oct_attrs none;
    octi_qrun r;
    int64_t n = c->y->shape.rank > 0 ? c->y->shape.dim[0] : 0;
    const char *where = oct_op_name(c->kind);
    for (int k = 0; k < c->nin; k++)
        if (c->x[k] && (c->x[k]->shape.rank < 1 || c->x[k]->shape.dim[0] != n))
            return octi_fail(OCT_ESHAPE, where, octi_fmt("batch of input %d", k),
                             octi_fmt("%lld", (long long)n), oct_shape_text(&c->x[k]->shape), NULL);
    OCT_TRY(octi_qinit(&r, arena, c->kind, a ? a : &none, c->in, c->nin, &c->out, where));
    octi_layout *at = octi_arena_alloc(arena, ((size_t)c->nin + 1) * sizeof *at);
    if (!at) return oct_last_error()->code;
    for (int k = 0; k < c->nin; k++)
        at[k] = octi_layout_dense(&c->in[k].shape, oct_dtype_size(c->in[k].dtype));
    at[c->nin] = octi_layout_dense(&c->y->shape, oct_dtype_size(c->y->dtype));
    OCT_TRY(octi_qbind(&r, at, &at[c->nin]));
    int64_t tasks = octi_cut_whole(n).count;
    range_job j = {&r, c, octi_arena_calloc(arena, (size_t)tasks, r.scratch), n, tasks};
    if (!j.scratch) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(ctx), tasks, run_range, &j);
    return OCT_OK;
}

static oct_status run_call(oct_ctx *ctx, const oct_attrs *a, call *c, oct_tensor *y) {
    if (c->status != OCT_OK) return c->status;
    if (!y) return octi_fail(OCT_EUSAGE, oct_op_name(c->kind), "output is NULL", NULL, NULL, NULL);
    c->y = y;
    octi_arena *arena = octi_arena_new(ctx);
    if (!arena) return oct_last_error()->code;
    oct_status s = run_with(ctx, arena, a, c);
    octi_arena_free(arena);
    return s;
}

static oct_status to_codes(oct_ctx *ctx, const oct_attrs *a, call *c, const oct_qtensor *y) {
    c->out = desc_of(y);
    return run_call(ctx, a, c, y ? y->codes : NULL);
}

static oct_status weighted(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a, const oct_qtensor *x,
                           const oct_tensor *w, const oct_tensor *b, const oct_tensor *m,
                           const oct_qtensor *y) {
    call c = {.kind = kind};
    add_codes(&c, x);
    add_const(&c, w);
    add_const(&c, b);
    add_const(&c, m);
    return to_codes(ctx, a, &c, y);
}

/* One or two inputs, then a constant where the kind has one. */
static oct_status plain(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a, const oct_qtensor *x,
                        const oct_qtensor *x2, bool two, const oct_tensor *m, bool constant,
                        const oct_qtensor *y) {
    call c = {.kind = kind};
    add_codes(&c, x);
    if (two) add_codes(&c, x2);
    if (constant) add_const(&c, m);
    return to_codes(ctx, a, &c, y);
}

oct_status oct_qconv2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                               const oct_tensor *w, const oct_tensor *b, const oct_tensor *m,
                               const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qconv2d_forward");
    return weighted(ctx, OCT_OP_qconv2d, a, x, w, b, m, y);
}
oct_status oct_qlinear_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                               const oct_tensor *w, const oct_tensor *b, const oct_tensor *m,
                               const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qlinear_forward");
    return weighted(ctx, OCT_OP_qlinear, a, x, w, b, m, y);
}
oct_status oct_qadd_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x1,
                            const oct_qtensor *x2, const oct_tensor *m, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qadd_forward");
    return plain(ctx, OCT_OP_qadd, a, x1, x2, true, m, true, y);
}
oct_status oct_qmul_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x1,
                            const oct_qtensor *x2, const oct_tensor *m, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qmul_forward");
    return plain(ctx, OCT_OP_qmul, a, x1, x2, true, m, true, y);
}
oct_status oct_qmax_pool2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                   const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qmax_pool2d_forward");
    return plain(ctx, OCT_OP_max_pool2d, a, x, NULL, false, NULL, false, y);
}
oct_status oct_qavg_pool2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                   const oct_tensor *m, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qavg_pool2d_forward");
    return plain(ctx, OCT_OP_qavg_pool2d, a, x, NULL, false, m, m != NULL, y);
}
oct_status oct_qadaptive_avg_pool2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                            const oct_tensor *m, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qadaptive_avg_pool2d_forward");
    return plain(ctx, OCT_OP_qadaptive_avg_pool2d, a, x, NULL, false, m, true, y);
}
oct_status oct_qpad_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                            const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qpad_forward");
    return plain(ctx, OCT_OP_qpad, a, x, NULL, false, NULL, false, y);
}
oct_status oct_qslice_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                              const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qslice_forward");
    return plain(ctx, OCT_OP_slice, a, x, NULL, false, NULL, false, y);
}
oct_status oct_qclip_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                             const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qclip_forward");
    return plain(ctx, OCT_OP_qclip, a, x, NULL, false, NULL, false, y);
}
oct_status oct_qrelu_forward(oct_ctx *ctx, const oct_qtensor *x, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qrelu_forward");
    return plain(ctx, OCT_OP_relu, NULL, x, NULL, false, NULL, false, y);
}
oct_status oct_qtable_forward(oct_ctx *ctx, const oct_qtensor *x, const oct_tensor *table,
                              const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qtable_forward");
    return plain(ctx, OCT_OP_qtable, NULL, x, NULL, false, table, true, y);
}
oct_status oct_qsoftmax_forward(oct_ctx *ctx, const oct_qtensor *x, const oct_tensor *e,
                                const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qsoftmax_forward");
    return plain(ctx, OCT_OP_qsoftmax, NULL, x, NULL, false, e, true, y);
}
oct_status oct_requantize_forward(oct_ctx *ctx, const oct_qtensor *x, const oct_tensor *m,
                                  const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_requantize_forward");
    return plain(ctx, OCT_OP_requantize, NULL, x, NULL, false, m, true, y);
}

oct_status oct_qcat_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x, int count,
                            const oct_tensor *m, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_qcat_forward");
    if (count < 1 || count > MAX_INPUTS - 1)
        return octi_fail(OCT_EUSAGE, "qcat", "members", octi_fmt("1 to %d", MAX_INPUTS - 1),
                         octi_fmt("%d", count), NULL);
    call c = {.kind = OCT_OP_qcat};
    for (int k = 0; k < count; k++) add_codes(&c, &x[k]);
    add_const(&c, m);
    return to_codes(ctx, a, &c, y);
}

oct_status oct_quantize_forward(oct_ctx *ctx, const oct_tensor *x, const oct_qtensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_quantize_forward");
    if (!x) return octi_fail(OCT_EUSAGE, "quantize", "input is NULL", NULL, NULL, NULL);
    call c = {.kind = OCT_OP_quantize,
              .in = {{.dtype = x->dtype, .shape = x->shape}},
              .x = {x},
              .nin = 1};
    return to_codes(ctx, NULL, &c, y);
}

oct_status oct_dequantize_forward(oct_ctx *ctx, const oct_qtensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_dequantize_forward");
    call c = {.kind = OCT_OP_dequantize};
    add_codes(&c, x);
    c.out = (octi_qdesc){.dtype = y ? y->dtype : OCT_DTYPE_COUNT};
    if (y) c.out.shape = y->shape;
    return run_call(ctx, NULL, &c, y);
}
