/* SPDX-License-Identifier: MIT
 * ONNX in: parts of values: Slice, Split, Gather; channels in another order, or repeated: Expand,
 * Tile. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

oct_status octi_onnx_one_hot(octi_onnx_node *n, int32_t x, oct_attrs a, const int64_t *at,
                             int64_t count, const char *suffix, int32_t *v) {
    const oct_shape *image = &n->o->to->values[x].shape;
    const oct_shape shape = OCT_SHAPE(count, a.kernel[0], a.kernel[1], image->dim[3] / a.groups[0]);
    const int64_t each = shape.dim[1] * shape.dim[2] * shape.dim[3];
    int64_t all;
    if (__builtin_mul_overflow(count, each, &all) || all > n->o->made)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "%lld of %lld channels, in an order of its own",
                                (long long)count, (long long)image->dim[3]);
    n->o->made -= all;
    const char *name = octi_onnx_name(n, suffix);
    int32_t in[2] = {x};
    if (!name) return oct_last_error()->code;
    in[1] = octi_onnx_param(n->o, name, "weight", OCT_VALUE_PARAM, shape);
    if (in[1] < 0) return oct_last_error()->code;
    oct_value *w = &n->o->to->values[in[1]];
    w->frozen = true;
    for (int64_t k = 0; k < count; k++)
        if (at[k] >= 0) oct_f32(w->tensor)[k * each + at[k]] = 1;
    const float one = 1; /* codes as they are */
    const octi_onnx_codes codes = {.scale = &one, .count = 1, .most = 1};
    OCT_TRY(octi_onnx_set_weight_grid(n, &(octi_onnx_const){.codes = &codes}, 0, 1, in[1]));
    return octi_onnx_emit(n, OCT_OP_conv2d, name, &a, in, 2, v);
}

oct_status octi_onnx_pick(octi_onnx_node *n, const octi_onnx_place *x, const int64_t *idx,
                          int64_t count, const char *suffix, octi_onnx_place *to) {
    const oct_attrs a = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .groups = {1}};
    int32_t v;
    OCT_TRY(octi_onnx_one_hot(n, x->v, a, idx, count, suffix, &v));
    *to = *x;
    to->v = v;
    to->dim[octi_onnx_channel_axis(x)] = count;
    return OCT_OK;
}

oct_status octi_onnx_cut_axis(octi_onnx_node *n, octi_onnx_place *x, int axis, int64_t from,
                              int64_t to, const char *suffix) {
    if (from == 0 && to == x->dim[axis]) return OCT_OK;
    if (from < 0 || to <= from || to > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_MISFIT, "nothing is left of axis %d", axis);
    if (x->order && x->at[axis] == x->rank - 1)
        return octi_onnx_refuse(n, OCTI_CURE_MOVES, "of a flattened image");
    const oct_attrs a = {.axis = {x->at[axis]}, .range = {(int32_t)from, (int32_t)to}};
    OCT_TRY(octi_onnx_emit(n, OCT_OP_slice, octi_onnx_name(n, suffix), &a, &x->v, 1, &x->v));
    x->dim[axis] = to - from;
    return OCT_OK;
}

/* ---- Slice ---- */

typedef struct span {
    int64_t from, to, step;
} span;

static int64_t within(int64_t v, int64_t side) {
    if (v < 0) v = v < -side ? 0 : v + side;
    return v > side ? side : v;
}

static oct_status spans(octi_onnx_node *n, const octi_onnx_place *x, span *s) {
    octi_onnx_cut cut;
    OCT_TRY(octi_onnx_cut_of(n, x->rank, &cut));
    for (int a = 0; a < x->rank; a++) s[a] = (span){0, a ? x->dim[a] : INT64_MAX, 1};
    for (int i = 0; i < cut.count; i++) {
        const int axis = cut.axis[i];
        const int64_t step = cut.step[i];
        if (axis == 0) {
            const bool all = cut.from[i] == 0 && step == 1 &&
                             (cut.to[i] >= INT32_MAX || cut.to[i] == OCTI_ONNX_BATCH ||
                              (n->o->batch > 0 && cut.to[i] >= n->o->batch));
            if (!all) return octi_onnx_refuse(n, OCTI_CURE_BATCH, "of the batch");
            continue;
        }
        if (step < 1) return octi_onnx_refuse(n, OCTI_CURE_STEPS, "steps: %lld", (long long)step);
        s[axis] = (span){within(cut.from[i], x->dim[axis]), within(cut.to[i], x->dim[axis]), step};
    }
    return OCT_OK;
}

/* Every step-th row and column: a pool of one cell. */
static oct_status stride_image(octi_onnx_node *n, octi_onnx_place *x, int64_t rows,
                               int64_t columns) {
    const oct_attrs a = {.kernel = {1, 1}, .stride = {(int32_t)rows, (int32_t)columns}};
    if (rows == 1 && columns == 1) return OCT_OK;
    if (rows > INT32_MAX || columns > INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "steps beyond 2^31");
    OCT_TRY(octi_onnx_emit(n, OCT_OP_max_pool2d, octi_onnx_name(n, NULL), &a, &x->v, 1, &x->v));
    *x = octi_onnx_placed(n->o, x->v);
    return OCT_OK;
}

static oct_status stride_channels(octi_onnx_node *n, octi_onnx_place *x, int64_t step) {
    const int64_t count = (x->dim[1] + step - 1) / step;
    octi_onnx_place y;
    if (step == 1) return OCT_OK;
    if (count > n->o->made)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "%lld channels", (long long)count);
    int64_t *idx = octi_arena_calloc(n->o->arena, (size_t)count + 1, sizeof *idx);
    if (!idx) return oct_last_error()->code;
    for (int64_t k = 0; k < count; k++) idx[k] = k * step;
    OCT_TRY(octi_onnx_pick(n, x, idx, count, "channels", &y));
    *x = y;
    return OCT_OK;
}

oct_status octi_onnx_read_slice(octi_onnx_node *n) {
    const octi_onnx_value *v;
    span s[OCT_MAX_RANK];
    OCT_TRY(octi_onnx_act(n, 0, &v));
    octi_onnx_place x = v->at;
    OCT_TRY(spans(n, &x, s));
    bool stepped = false;
    for (int a = 1; a < x.rank; a++) stepped |= s[a].step != 1;
    if (stepped) OCT_TRY(octi_onnx_images(n, v, &x));
    for (int a = 1; a < x.rank; a++)
        OCT_TRY(octi_onnx_cut_axis(n, &x, a, s[a].from, s[a].to, "part"));
    if (stepped) {
        OCT_TRY(stride_image(n, &x, s[2].step, s[3].step));
        OCT_TRY(stride_channels(n, &x, s[1].step));
    }
    return octi_onnx_like(n, 0, &x, x.v);
}

/* ---- Split, Gather ---- */

oct_status octi_onnx_read_split(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t which, parts[OCTI_ONNX_ARGS], outputs, at = 0;
    int count = -1, axis;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 0, &which));
    OCT_TRY(octi_onnx_attr_int(n, "num_outputs", n->nout, &outputs));
    if (octi_onnx_attr(n->p, "split"))
        OCT_TRY(octi_onnx_attr_ints(n, "split", OCTI_ONNX_ARGS, parts, &count));
    else if (octi_onnx_has(n, 1))
        OCT_TRY(octi_onnx_whole(n, 1, "split", OCTI_ONNX_ARGS, parts, &count));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_axis(n, which, x->at.rank, &axis));
    if (axis == 0) return octi_onnx_refuse(n, OCTI_CURE_BATCH, "attribute axis: the batch");
    if ((count >= 0 && count != n->nout) || outputs != n->nout || n->nout < 1)
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "into %d parts for %d outputs", count, n->nout);
    const int64_t side = x->at.dim[axis], each = (side + n->nout - 1) / n->nout;
    for (int k = 0; k < n->nout; k++) {
        octi_onnx_place y = x->at;
        const int64_t size = count >= 0 ? parts[k] : each < side - at ? each : side - at;
        if (size < 1 || size > side - at)
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "a part beyond the value");
        OCT_TRY(octi_onnx_cut_axis(n, &y, axis, at, at + size, NULL));
        OCT_TRY(octi_onnx_like(n, k, &y, y.v));
        at += size;
    }
    return at == side ? OCT_OK
                      : octi_onnx_refuse(n, OCTI_CURE_RULES, "parts do not make up the value");
}

oct_status octi_onnx_read_gather(octi_onnx_node *n) {
    if (octi_onnx_is_table(n->o, n->p)) return octi_onnx_read_table(n);
    const octi_onnx_value *x;
    const octi_onnx_const *c;
    int64_t which, *idx, dim[OCT_MAX_RANK];
    int axis, rank = 0;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 0, &which));
    OCT_TRY(octi_onnx_weights(n, 1, "indices", &c));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_axis(n, which, x->at.rank, &axis));
    if (!c->i || c->rank > 1 || c->count < 1)
        return octi_onnx_refuse(n, OCTI_CURE_GATHER, "indices of shape %s",
                                octi_onnx_dims_text(c->rank, c->dim));
    if (axis == 0) return octi_onnx_refuse(n, OCTI_CURE_BATCH, "attribute axis: the batch");
    if (!(idx = octi_arena_calloc(n->o->arena, (size_t)c->count, sizeof *idx)))
        return oct_last_error()->code;
    octi_onnx_place y = x->at;
    bool run = true;
    for (int64_t k = 0; k < c->count; k++) {
        idx[k] = c->i[k] < 0 ? c->i[k] + y.dim[axis] : c->i[k];
        if (idx[k] < 0 || idx[k] >= y.dim[axis])
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "index %lld of axis %d", (long long)c->i[k],
                                    axis);
        run &= idx[k] == idx[0] + k;
    }
    if (!run) {
        OCT_TRY(octi_onnx_images(n, x, &y));
        if (axis != 1)
            return octi_onnx_refuse(n, OCTI_CURE_GATHER, "of axis %d, in an order of its own",
                                    axis);
        OCT_TRY(octi_onnx_pick(n, &y, idx, c->count, NULL, &y));
    } else
        OCT_TRY(
            octi_onnx_cut_axis(n, &y, axis, idx[0], idx[0] + c->count, c->rank ? NULL : "part"));
    if (c->rank) return octi_onnx_like(n, 0, &y, y.v);
    for (int a = 0; a < y.rank; a++)
        if (a != axis) dim[rank++] = y.dim[a];
    return octi_onnx_reshaped(n, &y, rank, dim);
}

/* ---- Expand, Tile ---- */

/* `times` the channels, one behind the other: as nets of three channels take grey images. */
static oct_status repeat_channels(octi_onnx_node *n, const octi_onnx_value *x, int64_t times) {
    octi_onnx_place y;
    int64_t *idx, count;
    OCT_TRY(octi_onnx_images(n, x, &y));
    const int64_t had = y.dim[1];
    if (__builtin_mul_overflow(had, times, &count) || count > n->o->made)
        return octi_onnx_refuse(n, OCTI_CURE_LIMIT, "%lld times the channels", (long long)times);
    if (!(idx = octi_arena_calloc(n->o->arena, (size_t)count + 1, sizeof *idx)))
        return oct_last_error()->code;
    for (int64_t k = 0; k < count; k++) idx[k] = k % had;
    const octi_onnx_place was = y;
    OCT_TRY(octi_onnx_pick(n, &was, idx, count, NULL, &y));
    return octi_onnx_like(n, 0, &y, y.v);
}

oct_status octi_onnx_read_expand(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t dim[OCTI_ONNX_RANK], times = 1;
    int rank;
    OCT_TRY(octi_onnx_whole(n, 1, "shape", OCTI_ONNX_RANK, dim, &rank));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    bool fits = rank <= x->at.rank;
    for (int a = 0; fits && a < rank; a++) {
        const int axis = x->at.rank - rank + a;
        const int64_t have = x->at.dim[axis];
        const bool same = dim[a] == 1 || dim[a] == have ||
                          (axis == 0 && n->o->batch > 0 && dim[a] == n->o->batch);
        if (!same && axis == 1 && x->at.rank == 4 && have == 1 && dim[a] > 1)
            times = dim[a];
        else
            fits = same;
    }
    if (!fits)
        return octi_onnx_refuse(n, OCTI_CURE_SHAPES, "%s to %s",
                                octi_onnx_dims_text(x->at.rank, x->at.dim),
                                octi_onnx_dims_text(rank, dim));
    return times > 1 ? repeat_channels(n, x, times) : octi_onnx_like(n, 0, &x->at, x->at.v);
}

oct_status octi_onnx_read_tile(octi_onnx_node *n) {
    const octi_onnx_value *x;
    int64_t times[OCTI_ONNX_RANK];
    int rank;
    OCT_TRY(octi_onnx_whole(n, 1, "repeats", OCTI_ONNX_RANK, times, &rank));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    bool fits = rank == x->at.rank;
    for (int a = 0; fits && a < rank; a++) fits = times[a] == 1 || (a == 1 && times[a] > 1);
    if (!fits)
        return octi_onnx_refuse(n, OCTI_CURE_OP, "repeats %s of a value of shape %s",
                                octi_onnx_dims_text(rank, times),
                                octi_onnx_dims_text(x->at.rank, x->at.dim));
    return times[1] > 1 ? repeat_channels(n, x, times[1]) : octi_onnx_like(n, 0, &x->at, x->at.v);
}
