/* SPDX-License-Identifier: MIT
 * Shape rules of the float kinds, and of those that work on floats and codes. */
#include <float.h>

#include "ops/infer_rules.h"

/** The G kinds work on floats and on codes. */
static oct_status want_float_or_code(const octi_infer *j) {
    oct_dtype t = j->in[0]->dtype;
    if (t == OCT_F32 || t == OCT_U8) return OCT_OK;
    return octi_fail(OCT_EDTYPE, j->where, "dtype of x", "float32 or uint8", oct_dtype_name(t),
                     NULL);
}

static oct_status same_f32(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    return octi_infer_same(j);
}

static oct_status check_act(const octi_infer *j) {
    if (j->a->act[0] >= OCT_ACT_NONE && j->a->act[0] <= OCT_ACT_RELU6) return OCT_OK;
    return octi_bad_attr(j, "attribute act", "none, relu or relu6", octi_num(j->a->act[0]));
}

static const char *const sides[4] = {"top", "left", "bottom", "right"};

static oct_status check_pads(const octi_infer *j) {
    for (int i = 0; i < 4; i++)
        if (j->a->pads[i] < 0)
            return octi_bad_attr(j, octi_fmt("padding at the %s", sides[i]), "at least 0",
                                 octi_num(j->a->pads[i]));
    return OCT_OK;
}

static const char *const axis_word[2] = {"vertical", "horizontal"};

/** One output side: (size + pads - reach) / stride + 1, where reach = dilation * (kernel - 1) +
 *  1. */
static oct_status window_side(const octi_infer *j, int axis, int64_t size, int64_t dilation,
                              int64_t *out) {
    const oct_attrs *a = j->a;
    int64_t kernel = a->kernel[axis], stride = a->stride[axis],
            padded = size + a->pads[axis] + a->pads[axis + 2];
    int64_t reach = dilation * (kernel - 1) + 1;
    if (kernel < 1)
        return octi_bad_attr(j, octi_fmt("%s kernel", axis_word[axis]), "at least 1",
                             octi_num(kernel));
    if (stride < 1)
        return octi_bad_attr(j, octi_fmt("%s stride", axis_word[axis]), "at least 1",
                             octi_num(stride));
    if (dilation < 1)
        return octi_bad_attr(j, octi_fmt("%s dilation", axis_word[axis]), "at least 1",
                             octi_num(dilation));
    if (reach > padded)
        return octi_bad_shape(
            j, octi_fmt("%s kernel does not fit", axis_word[axis]),
            octi_fmt("reach of at most %lld (side and padding)", (long long)padded),
            octi_num(reach));
    *out = (padded - reach) / stride + 1;
    return OCT_OK;
}

/** x, w of a convolution; bias and the like are the caller's. */
oct_status octi_infer_conv_shape(octi_infer *j, oct_dtype xt, oct_dtype wt) {
    const oct_attrs *a = j->a;
    OCT_TRY(octi_want_dtype(j, 0, "x", xt));
    OCT_TRY(octi_want_dtype(j, 1, "w", wt));
    OCT_TRY(octi_want_rank(j, 0, "x", 4, 4));
    OCT_TRY(octi_want_rank(j, 1, "w", 4, 4));
    const int64_t *x = j->in[0]->shape.dim, *w = j->in[1]->shape.dim;
    int64_t groups = a->groups[0], p, q;
    OCT_TRY(check_pads(j));
    if (groups < 1) return octi_bad_attr(j, "groups", "at least 1", octi_num(groups));
    if (x[3] % groups)
        return octi_bad_shape(j, "input channels",
                              octi_fmt("a multiple of %lld groups", (long long)groups),
                              octi_num(x[3]));
    if (w[0] < 1 || w[0] % groups)
        return octi_bad_shape(j, "output channels",
                              octi_fmt("a multiple of %lld groups", (long long)groups),
                              octi_num(w[0]));
    if (w[3] != x[3] / groups)
        return octi_bad_shape(
            j, "input channels of w",
            octi_fmt("%lld (x has %lld, groups %lld%s)", (long long)(x[3] / groups),
                     (long long)x[3], (long long)groups,
                     x[1] == w[3] * groups ? "; shapes are H, W, C: C comes last" : ""),
            octi_num(w[3]));
    if (w[1] != a->kernel[0] || w[2] != a->kernel[1])
        return octi_bad_shape(j, "kernel of w", octi_fmt("%d x %d", a->kernel[0], a->kernel[1]),
                              octi_fmt("%lld x %lld", (long long)w[1], (long long)w[2]));
    OCT_TRY(window_side(j, 0, x[1], a->dilation[0], &p));
    OCT_TRY(window_side(j, 1, x[2], a->dilation[1], &q));
    j->dtype = xt;
    j->shape = OCT_SHAPE(x[0], p, q, w[0]);
    return OCT_OK;
}

/** Bias, fused batch norm and activation of a conv2d or linear, whose output has o channels. */
static oct_status check_fused(octi_infer *j, int64_t o) {
    OCT_TRY(check_act(j));
    static const char *const roles[] = {"x", "w", "b", "gamma", "beta", "mean", "var"};
    if (j->a->bn[0] != 0 && j->a->bn[0] != 1)
        return octi_bad_attr(j, "attribute bn", "0 or 1", octi_num(j->a->bn[0]));
    if (j->nin > 3 && !j->a->bn[0])
        return octi_bad_attr(j, "number of inputs without batch norm", "at most 3",
                             octi_num(j->nin));
    for (int k = 2; k < j->nin; k++)
        if (j->in[k]) OCT_TRY(octi_want_vector(j, k, roles[k], OCT_F32, o));
    for (int k = 3; j->a->bn[0] && k < 7; k++)
        if (k >= j->nin || !j->in[k])
            return octi_bad_attr(j, octi_fmt("%s of the fused batch norm is missing", roles[k]),
                                 NULL, NULL);
    return OCT_OK;
}

oct_status octi_infer_conv2d(octi_infer *j) {
    OCT_TRY(octi_infer_conv_shape(j, OCT_F32, OCT_F32));
    return check_fused(j, j->shape.dim[3]);
}

oct_status octi_infer_linear_shape(octi_infer *j, oct_dtype xt, oct_dtype wt) {
    OCT_TRY(octi_want_dtype(j, 0, "x", xt));
    OCT_TRY(octi_want_dtype(j, 1, "w", wt));
    if (j->in[0]->shape.rank > 2)
        return octi_fail(OCT_ESHAPE, j->where, "rank of x", "2: [N, K]",
                         oct_shape_text(&j->in[0]->shape),
                         "oct_flatten, or an average over the image, in front of a linear layer");
    OCT_TRY(octi_want_rank(j, 0, "x", 2, 2));
    OCT_TRY(octi_want_rank(j, 1, "w", 2, 2));
    const int64_t *x = j->in[0]->shape.dim, *w = j->in[1]->shape.dim;
    if (w[0] < 1) return octi_bad_shape(j, "output features", "at least 1", octi_num(w[0]));
    if (x[1] != w[1]) return octi_bad_shape(j, "input features", octi_num(w[1]), octi_num(x[1]));
    j->dtype = xt;
    j->shape = OCT_SHAPE(x[0], w[0]);
    return OCT_OK;
}

oct_status octi_infer_linear(octi_infer *j) {
    OCT_TRY(octi_infer_linear_shape(j, OCT_F32, OCT_F32));
    return check_fused(j, j->shape.dim[1]);
}

oct_status octi_infer_dynamic_linear(octi_infer *j) {
    OCT_TRY(octi_infer_linear_shape(j, OCT_F32, OCT_S8));
    OCT_TRY(check_act(j));
    return j->nin > 2 && j->in[2] ? octi_want_vector(j, 2, "b", OCT_F32, j->shape.dim[1]) : OCT_OK;
}

oct_status octi_infer_batch_norm(octi_infer *j) {
    static const char *const roles[] = {"x", "gamma", "beta", "mean", "var"};
    OCT_TRY(octi_want_rank(j, 0, "x", 2, OCT_MAX_RANK));
    OCT_TRY(check_act(j));
    for (int k = 1; k < 5; k++)
        OCT_TRY(octi_want_vector(j, k, roles[k], OCT_F32,
                                 j->in[0]->shape.dim[j->in[0]->shape.rank - 1]));
    if (!(j->a->eps >= 0 && j->a->eps <= 1))
        return octi_bad_attr(j, "attribute eps", "0 to 1", octi_fmt("%g", (double)j->a->eps));
    if (!(j->a->momentum >= 0 && j->a->momentum <= 1))
        return octi_bad_attr(j, "attribute momentum", "0 to 1",
                             octi_fmt("%g", (double)j->a->momentum));
    return same_f32(j);
}

oct_status octi_infer_relu(octi_infer *j) {
    OCT_TRY(want_float_or_code(j));
    return octi_infer_same(j);
}

oct_status octi_infer_relu6(octi_infer *j) { return same_f32(j); }

oct_status octi_infer_softmax(octi_infer *j) {
    OCT_TRY(octi_want_rank(j, 0, "x", 2, OCT_MAX_RANK));
    return same_f32(j);
}

oct_status octi_infer_log_softmax(octi_infer *j) { return octi_infer_softmax(j); }

/** Padding stays below the kernel's side, so that every window holds a cell of the image. */
oct_status octi_infer_pool_shape(octi_infer *j) {
    const oct_attrs *a = j->a;
    int64_t p, q;
    OCT_TRY(octi_want_rank(j, 0, "x", 4, 4));
    OCT_TRY(check_pads(j));
    for (int i = 0; i < 4; i++)
        if (a->kernel[i % 2] >= 1 && a->pads[i] >= a->kernel[i % 2])
            return octi_bad_attr(j, octi_fmt("padding at the %s", sides[i]),
                                 octi_fmt("less than the kernel, %d", a->kernel[i % 2]),
                                 octi_num(a->pads[i]));
    for (int i = 0; i < 2; i++)
        if (a->dilation[i] != 0 && a->dilation[i] != 1)
            return octi_fail(OCT_EUNSUPPORTED, j->where, "dilated pooling", NULL,
                             octi_num(a->dilation[i]), NULL);
    const int64_t *x = j->in[0]->shape.dim;
    OCT_TRY(window_side(j, 0, x[1], 1, &p));
    OCT_TRY(window_side(j, 1, x[2], 1, &q));
    j->dtype = j->in[0]->dtype;
    j->shape = OCT_SHAPE(x[0], p, q, x[3]);
    return OCT_OK;
}

oct_status octi_infer_max_pool2d(octi_infer *j) {
    OCT_TRY(want_float_or_code(j));
    return octi_infer_pool_shape(j);
}

oct_status octi_infer_avg_pool2d(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    return octi_infer_pool_shape(j);
}

oct_status octi_infer_adaptive_shape(octi_infer *j) {
    OCT_TRY(octi_want_rank(j, 0, "x", 4, 4));
    const int64_t *x = j->in[0]->shape.dim;
    for (int i = 0; i < 2; i++)
        if (j->a->out_size[i] < 1 || j->a->out_size[i] > 65536)
            return octi_bad_attr(j, octi_fmt("%s output size", axis_word[i]), "1 to 65536",
                                 octi_num(j->a->out_size[i]));
    j->dtype = j->in[0]->dtype;
    j->shape = OCT_SHAPE(x[0], j->a->out_size[0], j->a->out_size[1], x[3]);
    return OCT_OK;
}

oct_status octi_infer_adaptive_avg_pool2d(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    return octi_infer_adaptive_shape(j);
}

/** Elements of one sample. */
static int64_t sample_count(const oct_shape *s) {
    int64_t n = 1;
    for (int i = 1; i < s->rank; i++) n *= s->dim[i];
    return n;
}

oct_status octi_infer_flatten(octi_infer *j) {
    OCT_TRY(want_float_or_code(j));
    OCT_TRY(octi_want_rank(j, 0, "x", 2, OCT_MAX_RANK));
    j->dtype = j->in[0]->dtype;
    j->shape = OCT_SHAPE(j->in[0]->shape.dim[0], sample_count(&j->in[0]->shape));
    return OCT_OK;
}

oct_status octi_infer_reshape(octi_infer *j) {
    OCT_TRY(want_float_or_code(j));
    OCT_TRY(octi_want_rank(j, 0, "x", 1, OCT_MAX_RANK));
    oct_shape s = {.rank = 1, .dim = {j->in[0]->shape.dim[0]}};
    int64_t have = sample_count(&j->in[0]->shape), n = 1;
    for (int i = 0; i < 5 && j->a->shape[i]; i++) {
        if (j->a->shape[i] < 1)
            return octi_bad_attr(j, octi_fmt("side %d of the new shape", i + 1), "at least 1",
                                 octi_num(j->a->shape[i]));
        s.dim[s.rank++] = j->a->shape[i];
        if (__builtin_mul_overflow(n, (int64_t)j->a->shape[i], &n))
            return octi_bad_shape(j, "size of the new shape overflows", NULL, NULL);
    }
    if (n != have)
        return octi_bad_shape(j, "elements of a sample", octi_num(have),
                              octi_fmt("%lld in %s", (long long)n, oct_shape_text(&s)));
    j->dtype = j->in[0]->dtype;
    j->shape = s;
    return OCT_OK;
}

oct_status octi_infer_identity(octi_infer *j) {
    if (j->a->stub[0] < OCT_STUB_NONE || j->a->stub[0] > OCT_STUB_DEQUANT)
        return octi_bad_attr(j, "attribute stub", "0 to 2", octi_num(j->a->stub[0]));
    return octi_infer_same(j);
}

/** Equal shapes, or [N,1,1,C] against [N,H,W,C]. */
oct_status octi_infer_broadcast_shape(octi_infer *j) {
    const oct_shape *a = &j->in[0]->shape, *b = &j->in[1]->shape;
    j->dtype = j->in[0]->dtype;
    j->shape = *a;
    if (oct_shape_equal(a, b)) return OCT_OK;
    if (a->rank == 4 && b->rank == 4 && a->dim[0] == b->dim[0] && a->dim[3] == b->dim[3]) {
        if (b->dim[1] == 1 && b->dim[2] == 1) return OCT_OK;
        if (a->dim[1] == 1 && a->dim[2] == 1) return j->shape = *b, OCT_OK;
    }
    return octi_bad_shape(j, "shape of b",
                          octi_fmt("%s, or one side [N, 1, 1, C]", oct_shape_text(a)),
                          oct_shape_text(b));
}

oct_status octi_infer_add(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "a", OCT_F32));
    OCT_TRY(octi_want_dtype(j, 1, "b", OCT_F32));
    OCT_TRY(check_act(j));
    return octi_infer_broadcast_shape(j);
}

oct_status octi_infer_mul(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "a", OCT_F32));
    OCT_TRY(octi_want_dtype(j, 1, "b", OCT_F32));
    return octi_infer_broadcast_shape(j);
}

oct_status octi_infer_cat_shape(octi_infer *j, int members, oct_dtype t) {
    const oct_shape *first = &j->in[0]->shape;
    int axis = j->a->axis[0];
    OCT_TRY(octi_want_rank(j, 0, "x0", 2, OCT_MAX_RANK));
    if (axis < 1 || axis >= first->rank)
        return octi_bad_attr(j, "axis", octi_fmt("1 to %d", first->rank - 1), octi_num(axis));
    int64_t sum = 0;
    for (int k = 0; k < members; k++) {
        const oct_shape *s = &j->in[k]->shape;
        OCT_TRY(octi_want_dtype(j, k, octi_fmt("x%d", k), t));
        OCT_TRY(octi_want_rank(j, k, octi_fmt("x%d", k), first->rank, first->rank));
        for (int i = 0; i < s->rank; i++)
            if (i != axis && s->dim[i] != first->dim[i])
                return octi_bad_shape(j, octi_fmt("side %d of x%d", i, k), octi_num(first->dim[i]),
                                      octi_num(s->dim[i]));
        sum += s->dim[axis];
    }
    j->dtype = t;
    j->shape = *first;
    j->shape.dim[axis] = sum;
    return OCT_OK;
}

oct_status octi_infer_cat(octi_infer *j) { return octi_infer_cat_shape(j, j->nin, OCT_F32); }

oct_status octi_infer_pad_shape(octi_infer *j) {
    OCT_TRY(octi_want_rank(j, 0, "x", 4, 4));
    OCT_TRY(check_pads(j));
    const int64_t *x = j->in[0]->shape.dim;
    const int32_t *p = j->a->pads;
    j->dtype = j->in[0]->dtype;
    j->shape = OCT_SHAPE(x[0], x[1] + p[0] + p[2], x[2] + p[1] + p[3], x[3]);
    return OCT_OK;
}

oct_status octi_infer_pad(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    return octi_infer_pad_shape(j);
}

oct_status octi_infer_slice(octi_infer *j) {
    OCT_TRY(octi_want_rank(j, 0, "x", 2, OCT_MAX_RANK));
    const oct_shape *x = &j->in[0]->shape;
    int axis = j->a->axis[0], from = j->a->range[0], to = j->a->range[1];
    if (axis < 1 || axis >= x->rank)
        return octi_bad_attr(j, "axis", octi_fmt("1 to %d", x->rank - 1), octi_num(axis));
    if (from < 0 || to <= from || to > x->dim[axis])
        return octi_bad_attr(j, "range",
                             octi_fmt("0 <= from < to <= %lld", (long long)x->dim[axis]),
                             octi_fmt("%d to %d", from, to));
    OCT_TRY(want_float_or_code(j));
    OCT_TRY(octi_infer_same(j));
    j->shape.dim[axis] = to - from;
    return OCT_OK;
}

/** w_ih, w_hh and biases, inputs 1 to 4; *h gets the hidden size. Small weights of int8 nets:
 *  wt. */
static oct_status lstm_weights(const octi_infer *j, oct_dtype wt, int64_t features, int64_t *h) {
    static const char *const roles[] = {"w_ih", "w_hh", "b_ih", "b_hh"};
    for (int i = 0; i < 2; i++) {
        OCT_TRY(octi_want_dtype(j, 1 + i, roles[i], wt));
        OCT_TRY(octi_want_rank(j, 1 + i, roles[i], 2, 2));
    }
    const int64_t *ih = j->in[1]->shape.dim, *hh = j->in[2]->shape.dim;
    *h = hh[1];
    if (*h < 1 || *h > INT32_MAX / 8 || hh[0] != 4 * *h)
        return octi_bad_shape(j, "shape of w_hh", "[4H, H]", oct_shape_text(&j->in[2]->shape));
    if (ih[0] != hh[0] || ih[1] != features)
        return octi_bad_shape(j, "shape of w_ih",
                              octi_fmt("[%lld, %lld]", (long long)hh[0], (long long)features),
                              oct_shape_text(&j->in[1]->shape));
    for (int i = 2; i < 4; i++)
        if (1 + i < j->nin && j->in[1 + i])
            OCT_TRY(octi_want_vector(j, 1 + i, roles[i], OCT_F32, hh[0]));
    return OCT_OK;
}

static oct_status lstm_shape(octi_infer *j, oct_dtype wt) {
    int64_t h;
    OCT_TRY(octi_want_rank(j, 0, "x", 3, 3));
    const int64_t *x = j->in[0]->shape.dim;
    if (j->a->last[0] != 0 && j->a->last[0] != 1)
        return octi_bad_attr(j, "attribute last", "0 or 1", octi_num(j->a->last[0]));
    OCT_TRY(lstm_weights(j, wt, x[2], &h));
    OCT_TRY(same_f32(j));
    j->shape = j->a->last[0] ? OCT_SHAPE(x[0], h) : OCT_SHAPE(x[0], x[1], h);
    return OCT_OK;
}

oct_status octi_infer_lstm(octi_infer *j) { return lstm_shape(j, OCT_F32); }

oct_status octi_infer_dynamic_lstm(octi_infer *j) { return lstm_shape(j, OCT_S8); }

static oct_status lstm_cell_shape(octi_infer *j, oct_dtype wt) {
    int64_t h;
    OCT_TRY(octi_want_rank(j, 0, "x", 2, 2));
    OCT_TRY(lstm_weights(j, wt, j->in[0]->shape.dim[1], &h));
    OCT_TRY(same_f32(j));
    j->shape.dim[1] = 2 * h;
    if (j->nin < 6 || !j->in[5]) return OCT_OK;
    OCT_TRY(octi_want_dtype(j, 5, "state", OCT_F32));
    if (oct_shape_equal(&j->shape, &j->in[5]->shape)) return OCT_OK;
    return octi_bad_shape(j, "shape of the state",
                          octi_fmt("%s: h, then c", oct_shape_text(&j->shape)),
                          oct_shape_text(&j->in[5]->shape));
}

oct_status octi_infer_lstm_cell(octi_infer *j) { return lstm_cell_shape(j, OCT_F32); }
oct_status octi_infer_dynamic_lstm_cell(octi_infer *j) { return lstm_cell_shape(j, OCT_S8); }

oct_status octi_infer_dropout(octi_infer *j) {
    if (!(j->a->p >= 0 && j->a->p < 1))
        return octi_bad_attr(j, "attribute p", "0 <= p < 1", octi_fmt("%g", (double)j->a->p));
    return same_f32(j);
}

oct_status octi_infer_fake_quantize(octi_infer *j) {
    const oct_attrs *a = j->a;
    int64_t count = 1;
    if (a->qmin[0] > a->qmax[0] || a->qmin[0] < -128 || a->qmax[0] > 255 ||
        a->qmax[0] - a->qmin[0] > 255 || (a->qmin[0] < 0 && a->qmax[0] > 127))
        return octi_bad_attr(j, "attributes qmin, qmax", "a range of s8 or u8 codes",
                             octi_fmt("%d, %d", a->qmin[0], a->qmax[0]));
    if (a->axis[0] == 0) {
        OCT_TRY(octi_want_rank(j, 0, "x", 1, OCT_MAX_RANK));
        count = j->in[0]->shape.dim[0];
        if (count == OCT_BATCH)
            return octi_bad_attr(j, "axis 0 is the batch", "-1 for activations", "0");
    } else if (a->axis[0] != -1)
        return octi_bad_attr(j, "axis", "-1 (per tensor) or 0", octi_num(a->axis[0]));
    OCT_TRY(octi_want_vector(j, 1, "scale", OCT_F32, count));
    OCT_TRY(octi_want_vector(j, 2, "zero_point", OCT_S32, count));
    return same_f32(j);
}

oct_status octi_infer_cross_entropy(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    OCT_TRY(octi_want_rank(j, 0, "x", 2, 2));
    OCT_TRY(octi_want_vector(j, 1, "labels", OCT_S32, j->in[0]->shape.dim[0]));
    if (!(j->a->smoothing >= 0 && j->a->smoothing <= 1))
        return octi_bad_attr(j, "attribute smoothing", "0 to 1",
                             octi_fmt("%g", (double)j->a->smoothing));
    j->dtype = OCT_F32;
    j->shape = (oct_shape){.rank = 0};
    return OCT_OK;
}

oct_status octi_infer_mse_loss(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    OCT_TRY(octi_want_dtype(j, 1, "target", OCT_F32));
    if (!oct_shape_equal(&j->in[0]->shape, &j->in[1]->shape))
        return octi_bad_shape(j, "shape of target", oct_shape_text(&j->in[0]->shape),
                              oct_shape_text(&j->in[1]->shape));
    j->dtype = OCT_F32;
    j->shape = (oct_shape){.rank = 0};
    return OCT_OK;
}

oct_status octi_infer_distill_loss(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    OCT_TRY(octi_want_dtype(j, 1, "teacher", OCT_F32));
    OCT_TRY(octi_want_rank(j, 0, "x", 2, 2));
    if (!oct_shape_equal(&j->in[0]->shape, &j->in[1]->shape))
        return octi_bad_shape(j, "shape of the teacher's logits", oct_shape_text(&j->in[0]->shape),
                              oct_shape_text(&j->in[1]->shape));
    if (!(j->a->temperature >= 1e-3f && j->a->temperature <= 1e3f))
        return octi_bad_attr(j, "attribute temperature", "0.001 to 1000",
                             octi_fmt("%g", (double)j->a->temperature));
    j->dtype = OCT_F32;
    j->shape = (oct_shape){.rank = 0};
    return OCT_OK;
}

oct_status octi_infer_quantize(octi_infer *j) {
    OCT_TRY(same_f32(j));
    j->dtype = OCT_U8;
    return OCT_OK;
}

oct_status octi_infer_dequantize(octi_infer *j) {
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_U8));
    OCT_TRY(octi_infer_same(j));
    j->dtype = OCT_F32;
    return OCT_OK;
}
