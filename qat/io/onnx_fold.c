/* SPDX-License-Identifier: MIT
 * ONNX in: the constant evaluator, for what exporters leave behind around shapes: ops that move
 * elements. The batch size is a number like any other as long as it is only moved. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

oct_status octi_onnx_fold_output(octi_onnx_node *n, int k, octi_onnx_const *c) {
    if (!c) return octi_onnx_refuse_last(n);
    if (k >= n->nout || !n->out[k]) return OCT_OK;
    n->out[k]->state = OCTI_ONNX_CONST;
    n->out[k]->c = c;
    return OCT_OK;
}

oct_status octi_onnx_fold_none(octi_onnx_node *n) {
    return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of constants alone");
}
oct_status octi_onnx_read_none(octi_onnx_node *n) {
    for (int k = 0; k < n->nin; k++)
        if (n->in[k] && n->in[k]->state == OCTI_ONNX_LOST) return OCT_EUNSUPPORTED;
    return octi_onnx_refuse(n, OCTI_CURE_OP,
                            "is taken of constants alone, not of values that the net computes");
}

static oct_status input(octi_onnx_node *n, int k, const octi_onnx_const **c) {
    return octi_onnx_weights(n, k, octi_fmt("input %d", k), c);
}

static void copy_at(octi_onnx_const *to, int64_t k, const octi_onnx_const *from, int64_t j) {
    if (to->f)
        to->f[k] = from->f ? from->f[j] : (float)from->i[j];
    else
        to->i[k] = from->i ? from->i[j] : (int64_t)from->f[j];
}

/* c has the elements of x in their order: the scales of its codes go along the axis of the same
 * size with as many elements behind it; they are forgotten where there is none. */
static bool codes_moved(octi_onnx_node *n, const octi_onnx_const *x, octi_onnx_const *c) {
    int64_t behind = 1, theirs = 1;
    c->codes = x->codes;
    if (!x->codes || x->codes->count == 1) return true;
    for (int a = x->rank - 1; a > x->codes->axis; a--) theirs *= x->dim[a];
    c->codes = NULL;
    for (int a = c->rank - 1; a >= 0 && !c->codes; behind *= c->dim[a], a--) {
        if (behind != theirs || c->dim[a] != x->codes->count) continue;
        octi_onnx_codes *codes = octi_arena_alloc(n->o->arena, sizeof *codes);
        if (!codes) return false;
        *codes = *x->codes;
        codes->axis = a;
        c->codes = codes;
    }
    return true;
}

/* The same elements in another shape. */
static oct_status with_dims(octi_onnx_node *n, const octi_onnx_const *x, int rank,
                            const int64_t *dim) {
    octi_onnx_const *c = octi_arena_alloc(n->o->arena, sizeof *c);
    int64_t count = 1;
    if (!c) return oct_last_error()->code;
    if (rank > OCTI_ONNX_RANK) return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "to %d axes", rank);
    for (int a = 0; a < rank; a++)
        if (dim[a] < 0 || __builtin_mul_overflow(count, dim[a], &count)) count = -1, rank = a;
    if (count != x->count)
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "%lld elements to %s", (long long)x->count,
                                octi_onnx_dims_text(rank, dim));
    *c = *x;
    c->rank = rank;
    for (int a = 0; a < rank; a++) c->dim[a] = dim[a];
    if (!codes_moved(n, x, c)) return oct_last_error()->code;
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_identity(octi_onnx_node *n) {
    const octi_onnx_const *x;
    OCT_TRY(input(n, 0, &x));
    return with_dims(n, x, x->rank, x->dim);
}

oct_status octi_onnx_fold_shape(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t start, end, one = 1;
    OCT_TRY(octi_onnx_attr_int(n, "start", 0, &start));
    OCT_TRY(octi_onnx_attr_int(n, "end", INT64_MAX, &end));
    OCT_TRY(input(n, 0, &x));
    const bool size = octi_onnx_is(n->p, "Size");
    start = start < 0 ? start + x->rank : start;
    end = end < 0 ? end + x->rank : end;
    start = start < 0 ? 0 : start > x->rank ? x->rank : start;
    end = end > x->rank ? x->rank : end < start ? start : end;
    if (!size) one = end - start;
    octi_onnx_const *c =
        octi_onnx_const_new(n->o, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64, size ? 0 : 1, &one);
    for (int64_t k = 0; c && k < c->count; k++) c->i[k] = size ? x->count : x->dim[start + k];
    return octi_onnx_fold_output(n, 0, c);
}

/* Reshape, Flatten, Squeeze, Unsqueeze of a constant. */
oct_status octi_onnx_fold_reshape(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t v[OCTI_ONNX_RANK], dim[OCTI_ONNX_RANK], axis;
    int count, a, rank = 0, open = -1;
    OCT_TRY(input(n, 0, &x));
    if (octi_onnx_is(n->p, "Reshape")) {
        int64_t rest = 1;
        OCT_TRY(octi_onnx_whole(n, 1, "shape", OCTI_ONNX_RANK, dim, &rank));
        for (int i = 0; i < rank; i++) {
            if (dim[i] == 0 && i < x->rank) dim[i] = x->dim[i];
            if (dim[i] == -1 && open < 0)
                open = i;
            else if (dim[i] < 0 || __builtin_mul_overflow(rest, dim[i], &rest))
                return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "to %s",
                                        octi_onnx_dims_text(rank, dim));
        }
        if (open >= 0) dim[open] = rest ? x->count / rest : 0;
        return with_dims(n, x, rank, dim);
    }
    if (octi_onnx_is(n->p, "Flatten")) {
        OCT_TRY(octi_onnx_attr_int(n, "axis", 1, &axis));
        if (axis < -x->rank || axis > x->rank)
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "attribute axis");
        dim[0] = dim[1] = 1;
        for (int i = 0; i < x->rank; i++) dim[i >= (axis < 0 ? axis + x->rank : axis)] *= x->dim[i];
        return with_dims(n, x, 2, dim);
    }
    bool chosen[OCTI_ONNX_RANK] = {false};
    const bool squeeze = octi_onnx_is(n->p, "Squeeze");
    OCT_TRY(octi_onnx_axes(n, "axes", 1, v, &count));
    const int all = squeeze ? x->rank : x->rank + (count < 0 ? 0 : count);
    if (all > OCTI_ONNX_RANK) return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "to %d axes", all);
    for (int i = 0; i < count; i++) {
        OCT_TRY(octi_onnx_axis(n, v[i], all, &a));
        chosen[a] = true;
    }
    for (int i = 0, from = 0; i < all; i++) {
        if (squeeze && !chosen[i] && !(count < 0 && x->dim[i] == 1)) dim[rank++] = x->dim[i];
        if (!squeeze && (chosen[i] || from < x->rank)) dim[rank++] = chosen[i] ? 1 : x->dim[from++];
    }
    return with_dims(n, x, rank, dim);
}

oct_status octi_onnx_fold_constant(octi_onnx_node *n) {
    const OctiOnnx__AttributeProto *a = n->p->n_attribute == 1 ? n->p->attribute[0] : NULL;
    octi_onnx_const *c = NULL;
    if (!a || !a->name) return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "not one attribute");
    const bool floats = strstr(a->name, "float") != NULL,
               list = a->name[strlen(a->name) - 1] == 's';
    const int type = floats ? OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
                            : OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
    if (!strcmp(a->name, "value")) {
        if (!a->t) return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "attribute value is no tensor");
        return octi_onnx_fold_output(n, 0, octi_onnx_widen(n->o, a->t, n->p->output[0]));
    }
    const int64_t count = !list ? 1 : (int64_t)(floats ? a->n_floats : a->n_ints);
    if (!(c = octi_onnx_const_new(n->o, type, list, &count))) return octi_onnx_refuse_last(n);
    for (int64_t k = 0; k < count; k++) {
        if (floats)
            c->f[k] = list ? a->floats[k] : a->f;
        else
            c->i[k] = list ? a->ints[k] : a->i;
    }
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_constant_of_shape(octi_onnx_node *n) {
    int64_t dim[OCTI_ONNX_RANK];
    int rank;
    const OctiOnnx__AttributeProto *a = octi_onnx_attr(n->p, "value");
    octi_onnx_const *v = NULL;
    OCT_TRY(octi_onnx_whole(n, 0, "the shape", OCTI_ONNX_RANK, dim, &rank));
    if (a && (!a->t || !(v = octi_onnx_widen(n->o, a->t, "value")) || v->count != 1))
        return octi_onnx_refuse(n, OCTI_CURE_RULES, "attribute value is not one number");
    octi_onnx_const *c = octi_onnx_const_new(
        n->o, v ? v->elem : OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, rank, dim);
    for (int64_t k = 0; c && v && k < c->count; k++) copy_at(c, k, v, 0);
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_cast(octi_onnx_node *n) {
    const octi_onnx_const *x, *like;
    int64_t to;
    OCT_TRY(octi_onnx_attr_int(n, "to", 1, &to));
    OCT_TRY(input(n, 0, &x));
    if (octi_onnx_is(n->p, "CastLike")) {
        OCT_TRY(input(n, 1, &like));
        to = like->elem;
    }
    const int elem = to < 0 || to > 100 ? -1 : (int)to;
    octi_onnx_const *c = octi_onnx_const_new(n->o, elem, x->rank, x->dim);
    for (int64_t k = 0; c && k < x->count; k++) {
        if (c->f && x->i && x->i[k] == OCTI_ONNX_BATCH)
            return octi_onnx_refuse(n, OCTI_CURE_BATCH_MATH, "arithmetic with the batch size");
        if (!c->f && x->f && !(fabsf(x->f[k]) < 9e18f))
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of a number that is too large");
        copy_at(c, k, x, k);
        if (elem == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__BOOL) c->i[k] = octi_onnx_number(x, k) != 0;
    }
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_transpose(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t perm[OCTI_ONNX_RANK], dim[OCTI_ONNX_RANK], stride[OCTI_ONNX_RANK];
    unsigned seen = 0;
    int count;
    OCT_TRY(octi_onnx_attr_ints(n, "perm", OCTI_ONNX_RANK, perm, &count));
    OCT_TRY(input(n, 0, &x));
    for (int a = 0; !count && a < x->rank; a++) perm[a] = x->rank - 1 - a;
    if (count && count != x->rank)
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "attribute perm: %d axes", count);
    for (int a = 0; a < x->rank; a++) {
        if (perm[a] < 0 || perm[a] >= x->rank || seen & (1u << perm[a]))
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "attribute perm is no permutation");
        seen |= 1u << perm[a];
        dim[a] = x->dim[perm[a]];
        stride[a] = 1;
        for (int b = (int)perm[a] + 1; b < x->rank; b++) stride[a] *= x->dim[b];
    }
    octi_onnx_const *c = octi_onnx_const_new(n->o, x->elem, x->rank, dim);
    for (int64_t k = 0; c && k < c->count; k++) {
        int64_t from = 0, rest = k;
        for (int a = x->rank - 1; a >= 0; a--) from += rest % dim[a] * stride[a], rest /= dim[a];
        copy_at(c, k, x, from);
    }
    octi_onnx_codes *codes = c && x->codes ? octi_arena_alloc(n->o->arena, sizeof *codes) : NULL;
    if (c && x->codes && !codes) return oct_last_error()->code;
    if (codes) {
        *codes = *x->codes;
        for (int a = 0; a < x->rank; a++)
            if (perm[a] == x->codes->axis) codes->axis = a;
        c->codes = codes;
    }
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_concat(octi_onnx_node *n) {
    const octi_onnx_const *x[OCTI_ONNX_ARGS];
    int64_t which, dim[OCTI_ONNX_RANK] = {0}, outer = 1, inner = 1, done = 0;
    int axis;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 1, &which));
    for (int k = 0; k < n->nin; k++) OCT_TRY(input(n, k, &x[k]));
    OCT_TRY(octi_onnx_axis(n, which, x[0]->rank, &axis));
    for (int a = 0; a < x[0]->rank; a++) dim[a] = x[0]->dim[a];
    for (int k = 1; k < n->nin; k++) {
        bool fits = x[k]->rank == x[0]->rank && !x[k]->f == !x[0]->f;
        for (int a = 0; fits && a < x[0]->rank; a++) fits = a == axis || x[k]->dim[a] == dim[a];
        if (!fits)
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT,
                                    "of constants that do not fit each other");
        dim[axis] += x[k]->dim[axis];
    }
    octi_onnx_const *c = octi_onnx_const_new(n->o, x[0]->elem, x[0]->rank, dim);
    for (int a = 0; a < x[0]->rank; a++) *(a < axis ? &outer : &inner) *= a == axis ? 1 : dim[a];
    for (int k = 0; c && k < n->nin; k++) {
        const int64_t row = x[k]->dim[axis] * inner, all = dim[axis] * inner;
        for (int64_t r = 0; r < outer; r++)
            for (int64_t j = 0; j < row; j++) copy_at(c, r * all + done + j, x[k], r * row + j);
        done += row;
    }
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_gather(octi_onnx_node *n) {
    const octi_onnx_const *x, *at;
    int64_t which, dim[2 * OCTI_ONNX_RANK], inner = 1, outer = 1;
    int axis, rank = 0;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 0, &which));
    OCT_TRY(input(n, 0, &x));
    OCT_TRY(input(n, 1, &at));
    OCT_TRY(octi_onnx_axis(n, which, x->rank, &axis));
    if (!at->i || x->rank + at->rank - 1 > OCTI_ONNX_RANK)
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "indices of another type or rank");
    for (int a = 0; a < axis; a++) outer *= dim[rank++] = x->dim[a];
    for (int a = 0; a < at->rank; a++) dim[rank++] = at->dim[a];
    for (int a = axis + 1; a < x->rank; a++) inner *= dim[rank++] = x->dim[a];
    octi_onnx_const *c = octi_onnx_const_new(n->o, x->elem, rank, dim);
    for (int64_t r = 0; c && r < outer; r++)
        for (int64_t k = 0; k < at->count; k++) {
            const int64_t j = at->i[k] < 0 ? at->i[k] + x->dim[axis] : at->i[k];
            if (j < 0 || j >= x->dim[axis])
                return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "an index beyond the axis");
            for (int64_t i = 0; i < inner; i++)
                copy_at(c, (r * at->count + k) * inner + i, x, (r * x->dim[axis] + j) * inner + i);
        }
    return octi_onnx_fold_output(n, 0, c);
}

/* Part of an axis: from, then every step-th, count of them. */
static octi_onnx_const *part(octi_onnx_node *n, const octi_onnx_const *x, int axis, int64_t from,
                             int64_t step, int64_t count) {
    int64_t dim[OCTI_ONNX_RANK] = {0}, inner = 1, outer = 1;
    for (int a = 0; a < x->rank; a++) dim[a] = a == axis ? count : x->dim[a];
    for (int a = 0; a < x->rank; a++) *(a < axis ? &outer : &inner) *= a == axis ? 1 : dim[a];
    octi_onnx_const *c = octi_onnx_const_new(n->o, x->elem, x->rank, dim);
    for (int64_t r = 0; c && r < outer; r++)
        for (int64_t k = 0; k < count; k++)
            for (int64_t i = 0; i < inner; i++)
                copy_at(c, (r * count + k) * inner + i, x,
                        (r * x->dim[axis] + from + k * step) * inner + i);
    return c;
}

static int64_t bound(int64_t v, int64_t side, bool down) {
    if (v < 0) v = v < -side ? -1 : v + side;
    if (v < 0) return down ? -1 : 0;
    return v > side - down ? side - down : v;
}

oct_status octi_onnx_fold_slice(octi_onnx_node *n) {
    const octi_onnx_const *x;
    octi_onnx_cut cut;
    OCT_TRY(input(n, 0, &x));
    OCT_TRY(octi_onnx_cut_of(n, x->rank, &cut));
    for (int i = 0; i < cut.count; i++) {
        const int axis = cut.axis[i];
        const int64_t step = cut.step[i];
        if (step == 0 || step < -INT32_MAX || step > INT64_MAX / 4)
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "steps: %lld", (long long)step);
        const int64_t a = bound(cut.from[i], x->dim[axis], step < 0),
                      b = bound(cut.to[i], x->dim[axis], step < 0);
        const int64_t span = step > 0 ? b - a : a - b, size = step > 0 ? step : -step;
        octi_onnx_const *c = part(n, x, axis, a, step, span > 0 ? (span - 1) / size + 1 : 0);
        if (!c) return octi_onnx_refuse_last(n);
        x = c;
    }
    return with_dims(n, x, x->rank, x->dim);
}

oct_status octi_onnx_fold_split(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t which, parts[OCTI_ONNX_ARGS], at = 0;
    int count = -1, axis;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 0, &which));
    OCT_TRY(input(n, 0, &x));
    if (octi_onnx_attr(n->p, "split"))
        OCT_TRY(octi_onnx_attr_ints(n, "split", OCTI_ONNX_ARGS, parts, &count));
    else if (octi_onnx_has(n, 1))
        OCT_TRY(octi_onnx_whole(n, 1, "split", OCTI_ONNX_ARGS, parts, &count));
    OCT_TRY(octi_onnx_axis(n, which, x->rank, &axis));
    if (n->nout < 1 || (count >= 0 && count != n->nout))
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "into %d parts for %d outputs", count,
                                n->nout);
    const int64_t side = x->dim[axis], each = (side + n->nout - 1) / n->nout;
    for (int k = 0; k < n->nout; k++) {
        const int64_t size = count >= 0 ? parts[k] : each < side - at ? each : side - at;
        if (size < 0 || size > side - at)
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "a part beyond the constant");
        OCT_TRY(octi_onnx_fold_output(n, k, part(n, x, axis, at, 1, size)));
        at += size;
    }
    return OCT_OK;
}
