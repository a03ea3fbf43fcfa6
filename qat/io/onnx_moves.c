/* SPDX-License-Identifier: MIT
 * ONNX in: ops that give values other shapes: Reshape, Flatten, Squeeze, Unsqueeze, Transpose,
 * Concat, Pad, Shape. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

/* ---- Reshape and its kin ---- */

static oct_status elements(const octi_onnx_node *n, int rank, const int64_t *dim, int64_t *count) {
    *count = 1;
    for (int a = 1; a < rank; a++)
        if (dim[a] < 1 || __builtin_mul_overflow(*count, dim[a], count))
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "to %s", octi_onnx_dims_text(rank, dim));
    return OCT_OK;
}

/* Is the first side the batch? As itself, as the file's fixed one, copied, or what is left over. */
static bool is_batch(const octi_onnx *o, int64_t dim, bool copies) {
    return dim == OCTI_ONNX_BATCH || (o->batch > 0 && dim == o->batch) || (dim == 0 && copies) ||
           dim == -1;
}

oct_status octi_onnx_read_reshape(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t dim[OCTI_ONNX_RANK], allow_zero, have, made;
    int rank, open = -1;
    OCT_TRY(octi_onnx_attr_int(n, "allowzero", 0, &allow_zero));
    OCT_TRY(octi_onnx_whole(n, 1, "shape", OCT_MAX_RANK, dim, &rank));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    if (rank < 1 || !is_batch(n->o, dim[0], !allow_zero))
        return octi_onnx_refuse(n, OCTI_CURE_BATCH, "to %s: the first side is not the batch",
                                octi_onnx_dims_text(rank, dim));
    const bool first_open = dim[0] == -1;
    for (int a = 1; a < rank; a++) {
        if (dim[a] == 0 && !allow_zero && a < x->at.rank) dim[a] = x->at.dim[a];
        if (dim[a] == -1 && (open >= 0 || first_open))
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "to a shape with two open sides");
        if (dim[a] == -1) open = a, dim[a] = 1;
    }
    dim[0] = OCTI_ONNX_BATCH;
    OCT_TRY(elements(n, x->at.rank, x->at.dim, &have));
    OCT_TRY(elements(n, rank, dim, &made));
    if (open >= 0) {
        dim[open] = have / made;
        made *= dim[open];
    }
    if (made != have)
        return octi_onnx_refuse(n, OCTI_CURE_BATCH, "%s to %s: the batch does not stay",
                                octi_onnx_dims_text(x->at.rank, x->at.dim),
                                octi_onnx_dims_text(rank, dim));
    return octi_onnx_reshaped(n, &x->at, rank, dim);
}

oct_status octi_onnx_read_flatten(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t axis, dim[2] = {OCTI_ONNX_BATCH}, skipped;
    int to;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 1, &axis));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_axis(n, axis, x->at.rank, &to));
    OCT_TRY(elements(n, x->at.rank, x->at.dim, &dim[1]));
    OCT_TRY(elements(n, to < 1 ? 1 : to, x->at.dim, &skipped));
    if (to < 1 || skipped != 1)
        return octi_onnx_refuse(n, OCTI_CURE_BATCH, "attribute axis: %lld, which joins the batch",
                                (long long)axis);
    return octi_onnx_reshaped(n, &x->at, 2, dim);
}

oct_status octi_onnx_read_squeeze(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t axes[OCTI_ONNX_RANK], dim[OCT_MAX_RANK];
    bool out[OCT_MAX_RANK] = {false};
    int count, axis, rank = 0;
    OCT_TRY(octi_onnx_axes(n, "axes", 1, axes, &count));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    for (int i = 0; i < count; i++) {
        OCT_TRY(octi_onnx_axis(n, axes[i], x->at.rank, &axis));
        out[axis] = true;
        if (axis == 0 || x->at.dim[axis] != 1)
            return octi_onnx_refuse(n, OCTI_CURE_BATCH, "axis %d of shape %s", axis,
                                    octi_onnx_dims_text(x->at.rank, x->at.dim));
    }
    for (int a = 0; a < x->at.rank; a++)
        if (!(out[a] || (count < 0 && x->at.dim[a] == 1))) dim[rank++] = x->at.dim[a];
    return octi_onnx_reshaped(n, &x->at, rank, dim);
}

oct_status octi_onnx_read_unsqueeze(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t axes[OCTI_ONNX_RANK], dim[OCT_MAX_RANK];
    bool in[OCT_MAX_RANK] = {false};
    int count, axis;
    OCT_TRY(octi_onnx_axes(n, "axes", 1, axes, &count));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    const int rank = x->at.rank + (count < 0 ? 0 : count);
    if (count < 1 || rank > OCT_MAX_RANK)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "to %d axes", rank);
    for (int i = 0; i < count; i++) {
        OCT_TRY(octi_onnx_axis(n, axes[i], rank, &axis));
        if (axis == 0 || in[axis]) return octi_onnx_refuse(n, OCTI_CURE_BATCH, "axis %d", axis);
        in[axis] = true;
    }
    for (int a = 0, from = 0; a < rank; a++) dim[a] = in[a] ? 1 : x->at.dim[from++];
    return octi_onnx_reshaped(n, &x->at, rank, dim);
}

/* No element moves: only the axes' names do. */
oct_status octi_onnx_read_transpose(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t perm[OCTI_ONNX_RANK];
    bool seen[OCT_MAX_RANK] = {false};
    int count;
    OCT_TRY(octi_onnx_attr_ints(n, "perm", OCT_MAX_RANK, perm, &count));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    for (int a = 0; !count && a < x->at.rank; a++) perm[a] = x->at.rank - 1 - a;
    octi_onnx_place y = x->at;
    if (count && count != y.rank)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute perm: %d axes", count);
    for (int a = 0; a < y.rank; a++) {
        if (perm[a] < 0 || perm[a] >= y.rank || seen[perm[a]])
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute perm is no permutation");
        seen[perm[a]] = true;
        y.dim[a] = x->at.dim[perm[a]];
        y.at[a] = x->at.at[perm[a]];
    }
    if (perm[0] != 0) return octi_onnx_refuse(n, OCTI_CURE_BATCH, "attribute perm moves the batch");
    y.turned = n->index;
    return octi_onnx_like(n, 0, &y, y.v);
}

/* ---- Concat ---- */

static oct_status join_orders(octi_onnx_node *n, const octi_onnx_place *x, int last,
                              octi_onnx_place *y) {
    int32_t count = 0;
    bool any = false;
    for (int k = 0; k < n->nin; k++) {
        any |= x[k].order != NULL;
        count += x[k].order ? x[k].order->count : 1;
    }
    if (!any) return OCT_OK;
    octi_onnx_order *order =
        octi_arena_calloc(n->o->arena, 1, sizeof *order + (size_t)count * sizeof order->run[0]);
    if (!order) return oct_last_error()->code;
    for (int k = 0; k < n->nin; k++) {
        const octi_onnx_order *own = x[k].order;
        if (!own) order->run[order->count++].size = x[k].dim[last];
        for (int32_t i = 0; own && i < own->count; i++) order->run[order->count++] = own->run[i];
    }
    y->order = order;
    return OCT_OK;
}

oct_status octi_onnx_read_concat(octi_onnx_node *n) {
    octi_onnx_place x[OCTI_ONNX_ARGS];
    int32_t in[OCTI_ONNX_ARGS], v;
    int64_t which;
    int axis;
    bool alike = true;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 1, &which));
    for (int k = 0; k < n->nin; k++) {
        const octi_onnx_value *m;
        OCT_TRY(octi_onnx_act(n, k, &m));
        x[k] = m->at;
        alike &= x[k].rank == x[0].rank &&
                 !memcmp(x[k].at, x[0].at, sizeof x[k].at[0] * (size_t)x[k].rank);
    }
    for (int k = 0; k < n->nin; k++) {
        if (!alike) OCT_TRY(octi_onnx_images(n, n->in[k], &x[k]));
        in[k] = x[k].v;
    }
    OCT_TRY(octi_onnx_axis(n, which, x[0].rank, &axis));
    if (axis == 0) return octi_onnx_refuse(n, OCTI_CURE_BATCH, "attribute axis: the batch");
    octi_onnx_place y = x[0];
    const int at = y.at[axis], last = octi_onnx_channel_axis(&y);
    if (at == y.rank - 1)
        OCT_TRY(join_orders(n, x, last, &y));
    else
        for (int k = 1; k < n->nin; k++)
            if (!octi_onnx_same_order(x[k].order, x[0].order))
                return octi_onnx_refuse(n, OCTI_CURE_MOVES,
                                        "of values that were flattened in different orders");
    OCT_TRY(octi_onnx_emit(n, OCT_OP_cat, octi_onnx_name(n, NULL), &(oct_attrs){.axis = {at}}, in,
                           n->nin, &v));
    for (int k = 1; k < n->nin; k++) y.dim[axis] += x[k].dim[axis];
    return octi_onnx_like(n, 0, &y, v);
}

/* ---- Pad ---- */

/* Channels of zeros in front and behind. */
static oct_status pad_channels(octi_onnx_node *n, octi_onnx_place *x, int64_t front,
                               int64_t behind) {
    int64_t count, *idx;
    size_t bytes;
    const int64_t had = x->dim[1];
    octi_onnx_place y;
    if (!front && !behind) return OCT_OK;
    if (__builtin_add_overflow(front, behind, &count) ||
        __builtin_add_overflow(count, had, &count) || count > n->o->made ||
        !octi_mul_size((size_t)count, sizeof *idx, &bytes))
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "to more channels than the file has numbers");
    if (!(idx = octi_arena_alloc(n->o->arena, bytes))) return oct_last_error()->code;
    for (int64_t k = 0; k < count; k++) idx[k] = k < front || k >= front + had ? -1 : k - front;
    OCT_TRY(octi_onnx_pick(n, x, idx, count, "channels", &y));
    *x = y;
    return OCT_OK;
}

/* pads of all axes of x, from an attribute or input 1, for the axes of input 3. */
static oct_status pads_of(octi_onnx_node *n, const octi_onnx_value *x, int64_t *begin,
                          int64_t *end) {
    int64_t pads[2 * OCTI_ONNX_RANK], axes[OCTI_ONNX_RANK];
    int count, some = -1, axis;
    if (octi_onnx_attr(n->p, "pads"))
        OCT_TRY(octi_onnx_attr_ints(n, "pads", 2 * OCTI_ONNX_RANK, pads, &count));
    else
        OCT_TRY(octi_onnx_whole(n, 1, "pads", 2 * OCTI_ONNX_RANK, pads, &count));
    if (octi_onnx_has(n, 3)) OCT_TRY(octi_onnx_whole(n, 3, "axes", OCTI_ONNX_RANK, axes, &some));
    const int each = some >= 0 ? some : x->at.rank;
    if (count != 2 * each) return octi_onnx_refuse(n, OCTI_CURE_RULES, "pads: %d numbers", count);
    for (int i = 0; i < each; i++) {
        OCT_TRY(octi_onnx_axis(n, some >= 0 ? axes[i] : i, x->at.rank, &axis));
        begin[axis] = pads[i];
        end[axis] = pads[each + i];
    }
    for (int a = 0; a < x->at.rank; a++)
        if (begin[a] < -INT32_MAX || end[a] < -INT32_MAX || begin[a] > INT32_MAX ||
            end[a] > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_PADDING, "pads: %lld and %lld",
                                    (long long)begin[a], (long long)end[a]);
    return begin[0] || end[0] ? octi_onnx_refuse(n, OCTI_CURE_BATCH, "of the batch") : OCT_OK;
}

/* Pads below 0 take elements away: those of x first, what is left of the pads behind. */
static oct_status cut_off(octi_onnx_node *n, octi_onnx_place *x, int64_t *begin, int64_t *end) {
    for (int a = 1; a < x->rank; a++) {
        const int64_t from = begin[a] < 0 ? -begin[a] : 0, off = end[a] < 0 ? -end[a] : 0;
        OCT_TRY(octi_onnx_cut_axis(n, x, a, from, x->dim[a] - off, "part"));
        if (begin[a] < 0) begin[a] = 0;
        if (end[a] < 0) end[a] = 0;
    }
    return OCT_OK;
}

oct_status octi_onnx_read_pad(octi_onnx_node *n) {
    const octi_onnx_value *x;
    const char *mode;
    int64_t begin[OCT_MAX_RANK] = {0}, end[OCT_MAX_RANK] = {0};
    octi_onnx_value left;
    octi_onnx_place at;
    oct_attrs a = {.p = 0};
    int32_t v;
    OCT_TRY(octi_onnx_attr_word(n, "mode", "constant", &mode));
    if (strcmp(mode, "constant"))
        return octi_onnx_refuse(n, OCTI_CURE_PADDING, "attribute mode: %s", octi_onnx_word(mode));
    OCT_TRY(octi_onnx_scalar(n, "value", 2, 0, &a.value));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(pads_of(n, x, begin, end));
    left = *x;
    OCT_TRY(cut_off(n, &left.at, begin, end));
    bool any = false;
    for (int k = 1; k < left.at.rank; k++) any |= begin[k] || end[k];
    if (!any) return octi_onnx_like(n, 0, &left.at, left.at.v);
    OCT_TRY(octi_onnx_images(n, &left, &at));
    if ((begin[1] || end[1]) && a.value != 0)
        return octi_onnx_refuse(n, OCTI_CURE_PADDING, "of channels with %g", (double)a.value);
    OCT_TRY(pad_channels(n, &at, begin[1], end[1]));
    for (int i = 0; i < 2; i++) {
        a.pads[i] = (int32_t)begin[2 + i];
        a.pads[2 + i] = (int32_t)end[2 + i];
    }
    if (a.pads[0] || a.pads[1] || a.pads[2] || a.pads[3]) {
        OCT_TRY(octi_onnx_emit(n, OCT_OP_pad, octi_onnx_name(n, NULL), &a, &at.v, 1, &v));
        at = octi_onnx_placed(n->o, v);
    }
    return octi_onnx_like(n, 0, &at, at.v);
}

/* ---- Shape, Expand ---- */

/* A constant, though of a value of the net. */
oct_status octi_onnx_read_shape(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t start, end;
    OCT_TRY(octi_onnx_attr_int(n, "start", 0, &start));
    OCT_TRY(octi_onnx_attr_int(n, "end", INT64_MAX, &end));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    const int64_t rank = x->at.rank;
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end > rank ? rank : end < start ? start : end;
    const int64_t count = end - start;
    octi_onnx_const *c =
        octi_onnx_const_new(n->o, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &count);
    if (!c) return octi_onnx_refuse_last(n);
    for (int64_t k = 0; k < count; k++) c->i[k] = x->at.dim[start + k];
    return octi_onnx_fold_output(n, 0, c);
}
