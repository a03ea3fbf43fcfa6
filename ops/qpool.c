/* SPDX-License-Identifier: MIT
 * int8 pooling. Windows are computed once, clipped to the image; each must hold at least one
 * cell. */
#include <string.h>

#include "ops/qrun.h"
#include "ops/windows.h"

static void run(const octi_qrun *r, const octi_qcall *call) {
    octk_pool_u8 p = r->u.pool.pool;
    p.x.base = (uint8_t *)(uintptr_t)call->in[0];
    p.y.base = (uint8_t *)call->out + call->from * p.y.row;
    p.h0 += call->from;
    p.h1 += call->from;
    p.p = call->to - call->from;
    p.n = (int32_t)call->n;
    r->u.pool.fn(&p);
}

static oct_status bind(const octi_qargs *q) {
    octk_pool_u8 *k = &q->r->u.pool.pool;
    const octi_layout *x = &q->in_at[0], *y = q->out_at;
    k->x = (octk_image){NULL, x->image, x->row, x->pixel};
    k->y = (octk_image){NULL, y->image, y->row, y->pixel};
    q->r->run = run;
    return OCT_OK;
}

/* Window bounds of every output position along one axis; *largest = most cells of a window. */
static oct_status bounds(const octi_qargs *q, const char *axis, int64_t size, int64_t out,
                         int32_t kernel, int32_t stride, int32_t pad, int32_t dilation,
                         bool adaptive, const int32_t **begin, const int32_t **end,
                         int64_t *largest) {
    int32_t *b = octi_arena_calloc(q->arena, (size_t)out, sizeof *b),
            *e = octi_arena_calloc(q->arena, (size_t)out, sizeof *e);
    if (!b || !e) return oct_last_error()->code;
    *largest = 0;
    if (dilation != 1)
        return octi_fail(OCT_EUNSUPPORTED, q->where, octi_fmt("dilation of pooling along %s", axis),
                         "1", octi_fmt("%d", dilation), NULL);
    for (int64_t i = 0; i < out; i++) {
        const octi_cells c = adaptive ? octi_cells_adaptive(i, out, size)
                                      : octi_cells_inside(i, stride, pad, kernel, size);
        b[i] = (int32_t)c.from;
        e[i] = (int32_t)c.to;
        if (b[i] >= e[i])
            return octi_fail(
                OCT_EUSAGE, q->where,
                octi_fmt("window %lld along %s lies in the padding", (long long)i, axis),
                "pads smaller than the kernel", NULL, NULL);
        if (e[i] - b[i] > *largest) *largest = e[i] - b[i];
    }
    *begin = b;
    *end = e;
    return OCT_OK;
}

/* Geometry of all three kinds; *cells = most cells of a window. */
static oct_status pool(const octi_qargs *q, bool adaptive, int64_t *cells) {
    const oct_attrs *a = q->a;
    const oct_shape *x = &q->in[0].shape;
    octk_pool_u8 *k = &q->r->u.pool.pool;
    int64_t p = a->out_size[0], s = a->out_size[1], most_h = 0, most_w = 0;
    if (x->rank != 4 || x->dim[1] < 1 || x->dim[2] < 1 || x->dim[3] < 1 || x->dim[1] > 1 << 20 ||
        x->dim[2] > 1 << 20 || x->dim[3] > 1 << 24)
        return octi_fail(OCT_ESHAPE, q->where, "input of pooling", "[N,H,W,C]", oct_shape_text(x),
                         NULL);
    OCT_TRY(octi_need_codes(q, &q->in[0], "input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    int32_t dil[2] = {a->dilation[0] ? a->dilation[0] : 1, a->dilation[1] ? a->dilation[1] : 1};
    if (adaptive) {
        if (p < 1 || s < 1 || p > 1 << 20 || s > 1 << 20)
            return octi_fail(OCT_EUSAGE, q->where, "out_size", "1 to 2^20",
                             octi_fmt("%lld x %lld", (long long)p, (long long)s), NULL);
    } else {
        OCT_TRY(octi_window(q->where, "H", x->dim[1], a->pads[0], a->pads[2], a->kernel[0],
                            a->stride[0], dil[0], &p));
        OCT_TRY(octi_window(q->where, "W", x->dim[2], a->pads[1], a->pads[3], a->kernel[1],
                            a->stride[1], dil[1], &s));
    }
    OCT_TRY(octi_need_shape(q, q->out, "output", OCT_SHAPE(OCT_BATCH, p, s, x->dim[3])));
    OCT_TRY(bounds(q, "H", x->dim[1], p, a->kernel[0], a->stride[0], a->pads[0], dil[0], adaptive,
                   &k->h0, &k->h1, &most_h));
    OCT_TRY(bounds(q, "W", x->dim[2], s, a->kernel[1], a->stride[1], a->pads[1], dil[1], adaptive,
                   &k->w0, &k->w1, &most_w));
    *cells = most_h * most_w;
    k->c = (int32_t)x->dim[3];
    k->p = (int32_t)p;
    k->q = (int32_t)s;
    k->zx = q->in[0].zero_point;
    k->zy = q->out->zero_point;
    k->lo = q->out->qmin;
    k->hi = q->out->qmax;
    q->r->bind = bind;
    q->r->pitched = true;
    q->r->units = k->p;
    q->r->cycles = (double)q->r->image * 0.2 * (double)*cells;
    return OCT_OK;
}

oct_status octi_qinit_max_pool2d(const octi_qargs *q) {
    int64_t cells;
    OCT_TRY(octi_need_same_grid(q));
    OCT_TRY(pool(q, false, &cells));
    q->r->u.pool.fn = q->r->kernels->max_pool_u8;
    q->r->kernel = q->r->kernels->name.max_pool_u8;
    return OCT_OK;
}

static oct_status average(const octi_qargs *q, bool adaptive) {
    int64_t most = 0;
    OCT_TRY(pool(q, adaptive, &most));
    octk_pool_u8 *k = &q->r->u.pool.pool;
    int64_t fixed =
        adaptive || q->a->exclude_pad[0] ? 0 : (int64_t)q->a->kernel[0] * q->a->kernel[1];
    int64_t reach = octi_reach(&q->in[0]),
            top = adaptive ? most : (int64_t)q->a->kernel[0] * q->a->kernel[1];
    const bool shared = !adaptive && q->r->by.law == OCTQ_Q31;
    if (most * 255 > INT32_MAX || top > (shared ? 1 << 23 : 1 << 24))
        return octi_fail(OCT_ELIMIT, q->where, "cells of a window", "at most 2^23",
                         octi_fmt("%lld", (long long)top), NULL);
    k->cells = (int32_t)fixed;
    q->r->u.pool.fn = q->r->kernels->avg_pool_u8;
    q->r->kernel = q->r->kernels->name.avg_pool_u8;
    if (shared) return k->by = q->r->by, octi_need_same_grid(q);
    /* m has an entry per count up to the largest; only counts that occur are judged */
    OCT_TRY(octi_need_records(q, 1, top + 1));
    k->by = q->r->by;
    if (fixed)
        OCT_TRY(octi_need_multiplier(q, fixed, most * reach));
    else
        for (int32_t i = 0; i < k->p; i++)
            for (int32_t j = 0; j < k->q; j++) {
                int64_t n = (int64_t)(k->h1[i] - k->h0[i]) * (k->w1[j] - k->w0[j]);
                OCT_TRY(octi_need_multiplier(q, n, n * reach));
            }
    return OCT_OK;
}

oct_status octi_qinit_avg_pool2d(const octi_qargs *q) { return average(q, false); }
oct_status octi_qinit_adaptive_avg_pool2d(const octi_qargs *q) { return average(q, true); }
