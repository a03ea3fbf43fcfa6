/* SPDX-License-Identifier: MIT
 * The table kind -> how to prepare it, and the checks that several kinds share. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ops/qrun.h"
#include "src/mem.h"

static octi_qinit_fn *const init_of[OCT_OP_KIND_COUNT] = {
    [OCT_OP_qconv2d] = octi_qinit_conv2d,
    [OCT_OP_qlinear] = octi_qinit_linear,
    [OCT_OP_qadd] = octi_qinit_add,
    [OCT_OP_qmul] = octi_qinit_mul,
    [OCT_OP_qcat] = octi_qinit_cat,
    [OCT_OP_qavg_pool2d] = octi_qinit_avg_pool2d,
    [OCT_OP_qadaptive_avg_pool2d] = octi_qinit_adaptive_avg_pool2d,
    [OCT_OP_qpad] = octi_qinit_pad,
    [OCT_OP_qclip] = octi_qinit_clip,
    [OCT_OP_qtable] = octi_qinit_table,
    [OCT_OP_qsoftmax] = octi_qinit_softmax,
    [OCT_OP_requantize] = octi_qinit_requantize,
    [OCT_OP_quantize] = octi_qinit_quantize,
    [OCT_OP_dequantize] = octi_qinit_dequantize,
    [OCT_OP_max_pool2d] = octi_qinit_max_pool2d,
    [OCT_OP_relu] = octi_qinit_relu,
    [OCT_OP_flatten] = octi_qinit_view,
    [OCT_OP_reshape] = octi_qinit_view,
    [OCT_OP_identity] = octi_qinit_view,
    [OCT_OP_slice] = octi_qinit_slice,
};

oct_status octi_qinit(octi_qrun *r, octi_arena *arena, oct_op_kind kind, const oct_attrs *a,
                      const octi_qdesc *in, int nin, const octi_qdesc *out, const char *where) {
    octi_qinit_fn *init = (unsigned)kind < OCT_OP_KIND_COUNT ? init_of[kind] : NULL;
    if (!init)
        return octi_fail(OCT_EUNSUPPORTED, where, "no integer op of this kind", NULL,
                         oct_op_name(kind), NULL);
    /* binding comes later: everything that it needs is kept */
    octi_qargs *q = octi_arena_alloc(arena, sizeof *q);
    octi_qdesc *operands = octi_arena_alloc(arena, ((size_t)nin + 1) * sizeof *operands);
    oct_attrs *attrs = octi_arena_alloc(arena, sizeof *attrs);
    if (!q || !operands || !attrs) return oct_last_error()->code;
    memcpy(operands, in, (size_t)nin * sizeof *in);
    operands[nin] = *out;
    *attrs = *a;
    *q = (octi_qargs){.r = r,
                      .arena = arena,
                      .a = attrs,
                      .in = operands,
                      .nin = nin,
                      .out = operands + nin,
                      .where = where};
    *r = (octi_qrun){.args = q,
                     .image = octi_image_count(&out->shape),
                     .units = 1,
                     .unit_rows = 1,
                     .panels = 1,
                     .why = "",
                     .by = {.law = (octq_law)attrs->law[0]},
                     .kernels = octi_ctx_kernels(octi_arena_ctx(arena))};
    if (attrs->law[0] < 0 || attrs->law[0] >= OCTQ_LAWS)
        return octi_fail(OCT_EUSAGE, where, "law of the requant", "0 (fp32) or 1 (q31)",
                         octi_fmt("%d", attrs->law[0]), NULL);
    return init(q);
}

oct_status octi_qbind(octi_qrun *r, const octi_layout *in, const octi_layout *out) {
    octi_qargs q = *r->args;
    q.r = r; /* it may have moved */
    q.in_at = in;
    q.out_at = out;
    return r->tail ? octi_bind_tail(&q) : r->bind(&q);
}

octi_share octi_share_among(int32_t threads, int32_t units, int32_t panels, octi_share_fn *cycles,
                            const void *op) {
    octi_share best = {threads < units ? threads : units, 1};
    if (!cycles || panels < 2) return best;
    double least = cycles(op, best);
    for (int32_t rows = 1; rows <= threads && rows <= units; rows++) {
        const octi_share share = {rows, threads / rows < panels ? threads / rows : panels};
        const double now = cycles(op, share);
        if (now >= least) continue;
        least = now;
        best = share;
    }
    return best;
}

void octi_share_part(int32_t units, int32_t panels, octi_share share, int64_t i, octi_qcall *call) {
    const int64_t row = i % share.rows, panel = i / share.rows;
    call->from = (int32_t)(units * row / share.rows);
    call->to = (int32_t)(units * (row + 1) / share.rows);
    call->panel = (int32_t)(panels * panel / share.panels);
    call->panels =
        share.panels < 2 ? 0 : (int32_t)(panels * (panel + 1) / share.panels) - call->panel;
}

int64_t octi_image_count(const oct_shape *s) {
    int64_t n = 1;
    for (int i = 1; i < s->rank; i++) n *= s->dim[i];
    return n;
}

oct_status octi_need_codes(const octi_qargs *q, const octi_qdesc *d, const char *what) {
    if (d->dtype != OCT_U8)
        return octi_fail(OCT_EDTYPE, q->where, what, "uint8", oct_dtype_name(d->dtype), NULL);
    if (!d->quantized || d->tensor)
        return octi_fail(OCT_EQPARAMS, q->where, octi_fmt("%s has no qparams", what), NULL, NULL,
                         NULL);
    if (d->qmin < 0 || d->qmax > 255 || d->qmin >= d->qmax)
        return octi_fail(OCT_EQPARAMS, q->where, octi_fmt("codes of %s", what), "inside 0 to 255",
                         octi_fmt("%d to %d", d->qmin, d->qmax), NULL);
    oct_qspec spec = {.bits = 8, .qmin = d->qmin, .qmax = d->qmax};
    return oct_qparams_check(&spec, d->scale, d->zero_point, octi_fmt("%s: %s", q->where, what));
}

oct_status octi_need_same_grid(const octi_qargs *q) {
    OCT_TRY(octi_need_codes(q, &q->in[0], "input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    const octi_qdesc *x = &q->in[0], *y = q->out;
    if (x->scale == y->scale && x->zero_point == y->zero_point && x->qmin >= y->qmin &&
        x->qmax <= y->qmax)
        return OCT_OK;
    return octi_fail(OCT_EQPARAMS, q->where, "output is not on its input's grid",
                     octi_fmt("(%.9g, %d)", (double)x->scale, x->zero_point),
                     octi_fmt("(%.9g, %d)", (double)y->scale, y->zero_point), NULL);
}

oct_status octi_need_const(const octi_qargs *q, int k, const char *what, oct_dtype dtype,
                           oct_shape shape) {
    const octi_qdesc *d = k < q->nin ? &q->in[k] : NULL;
    if (!d || !d->tensor || !d->tensor->data)
        return octi_fail(OCT_EUSAGE, q->where, octi_fmt("%s is missing", what), "a constant", NULL,
                         NULL);
    if (d->tensor->dtype != dtype)
        return octi_fail(OCT_EDTYPE, q->where, what, oct_dtype_name(dtype),
                         oct_dtype_name(d->tensor->dtype), NULL);
    if (!oct_shape_equal(&d->tensor->shape, &shape))
        return octi_fail(OCT_ESHAPE, q->where, octi_fmt("shape of %s", what),
                         oct_shape_text(&shape), oct_shape_text(&d->tensor->shape), NULL);
    return OCT_OK;
}

oct_status octi_need_clamp(const octi_qargs *q) {
    if (q->a->lo[0] >= q->out->qmin && q->a->lo[0] <= q->a->hi[0] && q->a->hi[0] <= q->out->qmax)
        return OCT_OK;
    return octi_fail(OCT_EUSAGE, q->where, "clamp outside the codes",
                     octi_fmt("%d to %d", q->out->qmin, q->out->qmax),
                     octi_fmt("%d to %d", q->a->lo[0], q->a->hi[0]), NULL);
}

oct_status octi_need_records(const octi_qargs *q, int k, int64_t count) {
    octq_multipliers *by = &q->r->by;
    if (by->law == OCTQ_FP32) {
        OCT_TRY(octi_need_const(q, k, "multiplier", OCT_F32, OCT_SHAPE(count)));
        by->m = oct_f32(q->in[k].tensor);
        return OCT_OK;
    }
    OCT_TRY(octi_need_const(q, k, "multiplier and shift", OCT_S32, OCT_SHAPE(2, count)));
    by->q31 = oct_s32(q->in[k].tensor);
    by->shift = by->q31 + count;
    return OCT_OK;
}

static oct_status need_q31(const octi_qargs *q, int64_t i) {
    const int32_t m = q->r->by.q31[i], shift = q->r->by.shift[i];
    if (m >= 0 && shift >= -31 && shift <= 30) return OCT_OK;
    return octi_fail(OCT_EQPARAMS, q->where,
                     octi_fmt("multiplier and shift of channel %lld", (long long)i),
                     ">= 0, and -31 to 30", octi_fmt("%d, %d", m, shift), NULL);
}

oct_status octi_need_multiplier(const octi_qargs *q, int64_t i, int64_t bound) {
    if (q->r->by.law == OCTQ_Q31) return need_q31(q, i);
    const float m = q->r->by.m[i];
    if (!(m > 0.0f) || !isfinite(m))
        return octi_fail(OCT_EQPARAMS, q->where,
                         octi_fmt("multiplier of channel %lld", (long long)i), "finite and > 0",
                         octi_fmt("%g", (double)m), NULL);
    if ((double)bound * (double)m <= (double)FLT_MAX) return OCT_OK;
    return octi_fail(
        OCT_ELIMIT, q->where, octi_fmt("channel %lld may leave the codes' reach", (long long)i),
        "|acc| * m is finite", octi_fmt("%lld * %g", (long long)bound, (double)m), NULL);
}

oct_status octi_need_shape(const octi_qargs *q, const octi_qdesc *d, const char *what,
                           oct_shape want) {
    bool same = d->shape.rank == want.rank;
    for (int i = 1; same && i < want.rank; i++) same = d->shape.dim[i] == want.dim[i];
    if (same) return OCT_OK;
    if (want.rank) want.dim[0] = OCT_BATCH;
    return octi_fail(OCT_ESHAPE, q->where, octi_fmt("shape of %s", what), oct_shape_text(&want),
                     oct_shape_text(&d->shape), NULL);
}

oct_status octi_window(const char *where, const char *axis, int64_t size, int32_t pad0,
                       int32_t pad1, int32_t kernel, int32_t stride, int32_t dilation,
                       int64_t *out) {
    enum { TOP = 1 << 20 };
    if (kernel < 1 || kernel > TOP || stride < 1 || stride > TOP || dilation < 1 ||
        dilation > TOP || pad0 < 0 || pad0 > TOP || pad1 < 0 || pad1 > TOP || size < 1 ||
        size > TOP)
        return octi_fail(OCT_EUSAGE, where, octi_fmt("attributes along %s", axis),
                         "size, kernel, stride, dilation 1 to 2^20, pads 0 to 2^20",
                         octi_fmt("size %lld, kernel %d, stride %d, dilation %d, pads %d %d",
                                  (long long)size, kernel, stride, dilation, pad0, pad1),
                         NULL);
    int64_t room = size + pad0 + pad1 - ((int64_t)dilation * (kernel - 1) + 1);
    if (room < 0)
        return octi_fail(OCT_ESHAPE, where,
                         octi_fmt("kernel larger than the padded input along %s", axis), NULL,
                         octi_fmt("size %lld, pads %d %d, kernel %d, dilation %d", (long long)size,
                                  pad0, pad1, kernel, dilation),
                         NULL);
    *out = room / stride + 1;
    return OCT_OK;
}
