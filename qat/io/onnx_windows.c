/* SPDX-License-Identifier: MIT
 * ONNX in: windows: convolutions' and pools' attributes, and the pools. */
#include "qat/io/onnx_windows.h"

#include <string.h>

#include "src/mem.h"

/* Two numbers of an attribute, each `least` to 2^31 - 1. */
static oct_status pair(const octi_onnx_node *n, const char *name, int64_t otherwise, int64_t v[2],
                       bool *given) {
    int count;
    v[0] = v[1] = otherwise;
    OCT_TRY(octi_onnx_attr_ints(n, name, OCTI_ONNX_RANK, v, &count));
    if (given) *given = count > 0;
    if (count && count != 2)
        return octi_onnx_refuse(n, OCTI_CURE_AXES, "attribute %s: %d%s", name, count,
                                count == 1 ? " number: one-dimensional" : " numbers");
    for (int i = 0; i < 2; i++)
        if (v[i] < 1 || v[i] > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_WINDOW, "attribute %s: %lld", name,
                                    (long long)v[i]);
    return OCT_OK;
}

oct_status octi_onnx_window_of(const octi_onnx_node *n, octi_onnx_window *w) {
    const char *pad;
    int64_t v[OCTI_ONNX_RANK];
    int count;
    *w = (octi_onnx_window){.pads = {0}};
    OCT_TRY(pair(n, "kernel_shape", 1, v, &w->kernel_given));
    memcpy(w->kernel, v, sizeof w->kernel);
    OCT_TRY(pair(n, "strides", 1, v, NULL));
    memcpy(w->stride, v, sizeof w->stride);
    OCT_TRY(pair(n, "dilations", 1, v, NULL));
    memcpy(w->dilation, v, sizeof w->dilation);
    OCT_TRY(octi_onnx_attr_ints(n, "pads", OCTI_ONNX_RANK, v, &count));
    if (count && count != 4)
        return octi_onnx_refuse(n, OCTI_CURE_AXES, "attribute pads: %d numbers", count);
    for (int i = 0; i < count; i++) {
        if (v[i] < 0 || v[i] > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_WINDOW, "attribute pads: %lld", (long long)v[i]);
        w->pads[i] = v[i]; /* ONNX: top, left, bottom, right too */
    }
    OCT_TRY(octi_onnx_attr_word(n, "auto_pad", "NOTSET", &pad));
    w->same_upper = !strcmp(pad, "SAME_UPPER");
    w->same_lower = !strcmp(pad, "SAME_LOWER");
    if (!strcmp(pad, "VALID") || w->same_upper || w->same_lower)
        memset(w->pads, 0, sizeof w->pads);
    else if (strcmp(pad, "NOTSET"))
        return octi_onnx_refuse(n, OCTI_CURE_WINDOW, "attribute auto_pad: %s", octi_onnx_word(pad));
    return OCT_OK;
}

/* Cells that a window reaches over. */
static int64_t reach(const octi_onnx_window *w, int i) {
    return w->dilation[i] * (w->kernel[i] - 1) + 1;
}

oct_status octi_onnx_window_attrs(const octi_onnx_node *n, octi_onnx_window *w,
                                  const octi_onnx_place *x, oct_attrs *a) {
    for (int i = 0; i < 2; i++) {
        const int64_t side = x->dim[2 + i];
        if (w->kernel[i] > INT32_MAX / w->dilation[i] || side > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_WINDOW, "a window of %lld cells",
                                    (long long)w->kernel[i]);
        if (w->same_upper || w->same_lower) {
            const int64_t out = (side + w->stride[i] - 1) / w->stride[i];
            const int64_t all = (out - 1) * w->stride[i] + reach(w, i) - side;
            const int64_t half = all > 0 ? all / 2 : 0, rest = all > 0 ? all - half : 0;
            w->pads[i] = w->same_upper ? half : rest;
            w->pads[i + 2] = w->same_upper ? rest : half;
        }
        a->kernel[i] = (int32_t)w->kernel[i];
        a->stride[i] = (int32_t)w->stride[i];
        a->dilation[i] = (int32_t)w->dilation[i];
    }
    for (int i = 0; i < 4; i++) {
        if (w->pads[i] > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_WINDOW, "padding %lld", (long long)w->pads[i]);
        a->pads[i] = (int32_t)w->pads[i];
    }
    return OCT_OK;
}

/* ---- pools ---- */

/* Rows or columns that ceil_mode adds behind the padding, so that its last window, which must begin
 * inside the image or the padding in front of it, is whole. */
static int64_t ceil_extra(const octi_onnx_window *w, int64_t side, int i) {
    const int64_t padded = side + w->pads[i] + w->pads[i + 2], stride = w->stride[i];
    if (reach(w, i) > padded) return 0;
    int64_t out = (padded - reach(w, i) + stride - 1) / stride + 1;
    if ((out - 1) * stride >= side + w->pads[i]) out--;
    const int64_t extra = (out - 1) * stride + reach(w, i) - padded;
    return extra > 0 ? extra : 0;
}

typedef struct pool {
    octi_onnx_window w;
    octi_onnx_place x;
    int64_t extra[2];
    oct_attrs a;
} pool;

static oct_status pool_of(octi_onnx_node *n, pool *p) {
    const octi_onnx_value *x;
    int64_t ceil_mode;
    OCT_TRY(octi_onnx_window_of(n, &p->w));
    OCT_TRY(octi_onnx_attr_int(n, "ceil_mode", 0, &ceil_mode));
    if (!p->w.kernel_given)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute kernel_shape is missing");
    for (int i = 0; i < 2; i++)
        if (p->w.dilation[i] != 1)
            return octi_onnx_refuse(n, OCTI_CURE_DILATION, "attribute dilations: %lld",
                                    (long long)p->w.dilation[i]);
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_images(n, x, &p->x));
    p->a = (oct_attrs){.p = 0};
    OCT_TRY(octi_onnx_window_attrs(n, &p->w, &p->x, &p->a));
    for (int i = 0; i < 2; i++) {
        p->extra[i] = ceil_mode ? ceil_extra(&p->w, p->x.dim[2 + i], i) : 0;
        p->a.dilation[i] = 0; /* as pools are recorded */
    }
    return OCT_OK;
}

static oct_status pooled(octi_onnx_node *n, oct_op_kind kind, const pool *p) {
    int32_t v;
    oct_attrs a = p->a;
    for (int i = 0; i < 2; i++)
        if (__builtin_add_overflow(a.pads[2 + i], p->extra[i], &a.pads[2 + i]))
            return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "padding beyond 2^31");
    OCT_TRY(octi_onnx_emit(n, kind, octi_onnx_name(n, NULL), &a, &p->x.v, 1, &v));
    const octi_onnx_place y = octi_onnx_placed(n->o, v);
    return octi_onnx_like(n, 0, &y, v);
}

oct_status octi_onnx_read_max_pool(octi_onnx_node *n) {
    pool p;
    int64_t storage;
    OCT_TRY(octi_onnx_attr_int(n, "storage_order", 0, &storage));
    if (n->nout > 1 && n->out[1] && (n->out[1]->readers || n->out[1]->output))
        return octi_onnx_refuse(n, OCTI_CURE_INDICES, "output Indices, which something reads");
    OCT_TRY(pool_of(n, &p));
    return pooled(n, OCT_OP_max_pool2d, &p);
}

/* Zeros around the image that count as cells, where what ceil_mode adds does not. */
static oct_status pad_first(octi_onnx_node *n, pool *p) {
    oct_attrs a = {.p = 0};
    int32_t v;
    memcpy(a.pads, p->a.pads, sizeof a.pads);
    OCT_TRY(octi_onnx_emit(n, OCT_OP_pad, octi_onnx_name(n, "pad"), &a, &p->x.v, 1, &v));
    p->x = octi_onnx_placed(n->o, v);
    memset(p->a.pads, 0, sizeof p->a.pads);
    return OCT_OK;
}

oct_status octi_onnx_read_average_pool(octi_onnx_node *n) {
    pool p;
    int64_t include;
    OCT_TRY(octi_onnx_attr_int(n, "count_include_pad", 0, &include));
    OCT_TRY(pool_of(n, &p));
    const bool padded = p.w.pads[0] || p.w.pads[1] || p.w.pads[2] || p.w.pads[3];
    const bool grown = p.extra[0] || p.extra[1];
    if (include && padded && grown) OCT_TRY(pad_first(n, &p));
    p.a.exclude_pad[0] = grown || (padded && !include);
    return pooled(n, OCT_OP_avg_pool2d, &p);
}

oct_status octi_onnx_read_global_average(octi_onnx_node *n) {
    const octi_onnx_value *x;
    octi_onnx_place at;
    int32_t v;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_images(n, x, &at));
    OCT_TRY(octi_onnx_emit(n, OCT_OP_adaptive_avg_pool2d, octi_onnx_name(n, NULL),
                           &(oct_attrs){.out_size = {1, 1}}, &at.v, 1, &v));
    const octi_onnx_place y = octi_onnx_placed(n->o, v);
    return octi_onnx_like(n, 0, &y, v);
}

/* A pool of whole rows, columns or both of an image [N,H,W,C]. */
static oct_status whole(octi_onnx_node *n, oct_op_kind kind, const octi_onnx_place *x, bool rows,
                        bool columns, const char *name, int32_t *v) {
    const int64_t h = rows ? x->dim[2] : 1, w = columns ? x->dim[3] : 1;
    if (h > INT32_MAX || w > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "an image beyond 2^31");
    const oct_attrs a = {.kernel = {(int32_t)h, (int32_t)w}, .stride = {(int32_t)h, (int32_t)w}};
    if (kind == OCT_OP_avg_pool2d && rows && columns)
        return octi_onnx_emit(n, OCT_OP_adaptive_avg_pool2d, name, &(oct_attrs){.out_size = {1, 1}},
                              &x->v, 1, v);
    return octi_onnx_emit(n, kind, name, &a, &x->v, 1, v);
}

oct_status octi_onnx_read_global_max(octi_onnx_node *n) {
    const octi_onnx_value *x;
    octi_onnx_place at;
    int32_t v;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_images(n, x, &at));
    OCT_TRY(whole(n, OCT_OP_max_pool2d, &at, true, true, octi_onnx_name(n, NULL), &v));
    const octi_onnx_place y = octi_onnx_placed(n->o, v);
    return octi_onnx_like(n, 0, &y, v);
}

/* ---- ReduceMean, ReduceMax over sides of the image ---- */

/* A value of three axes whose channels lie last is an image of one column. */
static oct_status as_image(octi_onnx_node *n, const octi_onnx_value *x, octi_onnx_place *at) {
    if (x->at.rank != 3) return octi_onnx_images(n, x, at);
    const oct_shape *s = &n->o->to->values[x->at.v].shape;
    oct_attrs a = {.shape = {(int32_t)s->dim[1], 1, (int32_t)s->dim[2]}};
    if (s->dim[1] > INT32_MAX || s->dim[2] > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "a side beyond 2^31");
    OCT_TRY(
        octi_onnx_emit(n, OCT_OP_reshape, octi_onnx_name(n, "reshape"), &a, &x->at.v, 1, &at->v));
    *at = octi_onnx_placed(n->o, at->v);
    return OCT_OK;
}

static oct_status reduce(octi_onnx_node *n, oct_op_kind kind) {
    const octi_onnx_value *x;
    octi_onnx_place at;
    int64_t axes[OCTI_ONNX_RANK], keep, dim[OCT_MAX_RANK];
    int count, axis, rank = 0;
    bool over[OCT_MAX_RANK] = {false};
    int32_t v;
    OCT_TRY(octi_onnx_attr_int(n, "keepdims", 1, &keep));
    OCT_TRY(octi_onnx_axes(n, "axes", 1, axes, &count));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    for (int i = 0; i < count; i++) {
        OCT_TRY(octi_onnx_axis(n, axes[i], x->at.rank, &axis));
        over[axis] = true;
    }
    if (count <= 0 || over[0])
        return octi_onnx_refuse(n, OCTI_CURE_BATCH, "over the batch, or over all axes");
    if (over[octi_onnx_channel_axis(&x->at)] && octi_onnx_channels(&x->at) != 1)
        return octi_onnx_refuse(n, OCTI_CURE_OP, "over channels");
    /* over which of octet's sides, as ONNX's axes 2 and 3 of an image */
    bool rows = false, columns = false;
    for (int a = 1; a < x->at.rank; a++) {
        dim[a] = over[a] ? 1 : x->at.dim[a];
        if (!over[a] || x->at.dim[a] == 1) continue;
        rows |= x->at.at[a] == 1;
        columns |= x->at.at[a] == 2 && x->at.rank == 4;
    }
    dim[0] = OCTI_ONNX_BATCH;
    at = octi_onnx_placed(n->o, x->at.v);
    if (x->at.rank != 4) OCT_TRY(as_image(n, x, &at)); /* 4: however it was transposed */
    OCT_TRY(whole(n, kind, &at, rows, columns, octi_onnx_name(n, NULL), &v));
    octi_onnx_place y = x->at.rank == 4 ? x->at : octi_onnx_placed(n->o, v);
    y.v = v;
    if (x->at.rank == 4)
        for (int a = 1; a < 4; a++) y.dim[a] = dim[a];
    rank = 1;
    for (int a = 1; a < x->at.rank; a++)
        if (keep || !over[a]) dim[rank++] = dim[a];
    if (x->at.rank == 4 && keep) return octi_onnx_like(n, 0, &y, v);
    return octi_onnx_reshaped(n, &y, rank, dim);
}

oct_status octi_onnx_read_reduce_mean(octi_onnx_node *n) { return reduce(n, OCT_OP_avg_pool2d); }
oct_status octi_onnx_read_reduce_max(octi_onnx_node *n) { return reduce(n, OCT_OP_max_pool2d); }
