/* SPDX-License-Identifier: MIT
 * ONNX in: the constant evaluator's arithmetic, in f32 and s64. The batch size is no number: what
 * would need one is refused. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

/* ---- broadcasting ---- */

bool octi_onnx_broadcast(const octi_onnx_const *a, const octi_onnx_const *b, int *rank,
                         int64_t dim[OCTI_ONNX_RANK]) {
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < *rank; i++) {
        const int p = a->rank - *rank + i, q = b->rank - *rank + i;
        const int64_t x = p < 0 ? 1 : a->dim[p], y = q < 0 ? 1 : b->dim[q];
        if (x != y && x != 1 && y != 1) return false;
        dim[i] = x == 1 ? y : x;
    }
    return true;
}

int64_t octi_onnx_broadcast_at(const octi_onnx_const *c, int rank, const int64_t *dim, int64_t k) {
    int64_t at = 0, stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        const int p = c->rank - rank + i;
        const int64_t coord = k % dim[i];
        k /= dim[i];
        if (p < 0) break;
        if (c->dim[p] != 1) at += coord * stride;
        stride *= c->dim[p];
    }
    return at;
}

/* ---- of two ---- */

static int64_t wrapped(uint64_t v) { return (int64_t)v; }
static int64_t add_i(int64_t a, int64_t b) { return wrapped((uint64_t)a + (uint64_t)b); }
static int64_t sub_i(int64_t a, int64_t b) { return wrapped((uint64_t)a - (uint64_t)b); }
static int64_t mul_i(int64_t a, int64_t b) { return wrapped((uint64_t)a * (uint64_t)b); }
static int64_t div_i(int64_t a, int64_t b) { return b == -1 ? sub_i(0, a) : b ? a / b : 0; }
static int64_t max_i(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min_i(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t and_i(int64_t a, int64_t b) { return a && b; }
static int64_t or_i(int64_t a, int64_t b) { return a || b; }
static int64_t equal_i(int64_t a, int64_t b) { return a == b; }
static int64_t less_i(int64_t a, int64_t b) { return a < b; }
static int64_t less_equal_i(int64_t a, int64_t b) { return a <= b; }
static int64_t greater_i(int64_t a, int64_t b) { return a > b; }
static int64_t greater_equal_i(int64_t a, int64_t b) { return a >= b; }
static int64_t mod_i(int64_t a, int64_t b) { /* of the divisor's sign, as ONNX and Python have it */
    if (b == 0 || b == -1) return 0;
    const int64_t m = a % b;
    return m && (m < 0) != (b < 0) ? m + b : m;
}
static int64_t pow_i(int64_t a, int64_t b) {
    int64_t v = 1;
    for (; b > 0; b >>= 1, a = mul_i(a, a))
        if (b & 1) v = mul_i(v, a);
    return b < 0 ? 0 : v;
}
static float add_f(float a, float b) { return a + b; }
static float sub_f(float a, float b) { return a - b; }
static float mul_f(float a, float b) { return a * b; }
static float div_f(float a, float b) { return a / b; }
static float max_f(float a, float b) { return a > b ? a : b; }
static float min_f(float a, float b) { return a < b ? a : b; }
static float equal_f(float a, float b) { return a == b; }
static float less_f(float a, float b) { return a < b; }
static float less_equal_f(float a, float b) { return a <= b; }
static float greater_f(float a, float b) { return a > b; }
static float greater_equal_f(float a, float b) { return a >= b; }

static const struct pair_row {
    const char *op;
    int64_t (*i)(int64_t, int64_t);
    float (*f)(float, float);
    bool truth;
} pairs[] = {
    {"Add", add_i, add_f, false},
    {"And", and_i, NULL, true},
    {"Div", div_i, div_f, false},
    {"Equal", equal_i, equal_f, true},
    {"Greater", greater_i, greater_f, true},
    {"GreaterOrEqual", greater_equal_i, greater_equal_f, true},
    {"Less", less_i, less_f, true},
    {"LessOrEqual", less_equal_i, less_equal_f, true},
    {"Max", max_i, max_f, false},
    {"Min", min_i, min_f, false},
    {"Mod", mod_i, fmodf, false},
    {"Mul", mul_i, mul_f, false},
    {"Or", or_i, NULL, true},
    {"Pow", pow_i, powf, false},
    {"Sub", sub_i, sub_f, false},
    {"Sum", add_i, add_f, false},
};

/* The few sums that hold for every batch size. */
static bool with_batch(const char *op, int64_t a, int64_t b, int64_t *v) {
    const bool first = a == OCTI_ONNX_BATCH;
    const int64_t other = first ? b : a;
    *v = OCTI_ONNX_BATCH;
    if (a == b) { /* the batch itself on both sides */
        if (!strcmp(op, "Equal")) return *v = 1, true;
        if (!strcmp(op, "Sub")) return *v = 0, true;
        if (!strcmp(op, "Div")) return *v = 1, true;
        return !strcmp(op, "Max") || !strcmp(op, "Min");
    }
    if (!strcmp(op, "Mul") && other == 0) return *v = 0, true;
    if (!strcmp(op, "Mul") || (!strcmp(op, "Div") && first)) return other == 1;
    if (!strcmp(op, "Add") || (!strcmp(op, "Sub") && first)) return other == 0;
    if (!strcmp(op, "Max")) return other <= 1;
    if (!strcmp(op, "Min")) return other >= INT32_MAX;
    if (!strcmp(op, "Equal") && other <= 0) return *v = 0, true;
    return false;
}

static oct_status pair(octi_onnx_node *n, const struct pair_row *r, const octi_onnx_const *a,
                       const octi_onnx_const *b, octi_onnx_const **to) {
    int64_t dim[OCTI_ONNX_RANK];
    int rank;
    if (!a->f != !b->f || (a->f && !r->f) || !octi_onnx_broadcast(a, b, &rank, dim))
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of constants of other types or shapes");
    octi_onnx_const *c = octi_onnx_const_new(
        n->o, r->truth ? OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__BOOL : a->elem, rank, dim);
    if (!c) return octi_onnx_refuse_last(n);
    for (int64_t k = 0; k < c->count; k++) {
        const int64_t p = octi_onnx_broadcast_at(a, rank, dim, k),
                      q = octi_onnx_broadcast_at(b, rank, dim, k);
        if (a->f) {
            const float v = r->f(a->f[p], b->f[q]);
            if (c->f)
                c->f[k] = v;
            else
                c->i[k] = v != 0;
        } else if (a->i[p] == OCTI_ONNX_BATCH || b->i[q] == OCTI_ONNX_BATCH) {
            if (!with_batch(r->op, a->i[p], b->i[q], &c->i[k]))
                return octi_onnx_refuse(n, OCTI_CURE_BATCH_MATH, "arithmetic with the batch size");
        } else
            c->i[k] = r->i(a->i[p], b->i[q]);
    }
    *to = c;
    return OCT_OK;
}

oct_status octi_onnx_fold_pairwise(octi_onnx_node *n) {
    const struct pair_row *r = NULL;
    const octi_onnx_const *a, *b;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (octi_onnx_is(n->p, pairs[i].op)) r = &pairs[i];
    if (!r) return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of constants");
    OCT_TRY(octi_onnx_weights(n, 0, "input 0", &a));
    octi_onnx_const *c = NULL;
    for (int k = 1; k < n->nin; k++) {
        OCT_TRY(octi_onnx_weights(n, k, octi_fmt("input %d", k), &b));
        OCT_TRY(pair(n, r, a, b, &c));
        a = c;
    }
    return c ? octi_onnx_fold_output(n, 0, c)
             : octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of one constant");
}

/* ---- of one ---- */

static int64_t abs_i(int64_t v) { return v < 0 ? sub_i(0, v) : v; }
static int64_t neg_i(int64_t v) { return sub_i(0, v); }
static int64_t not_i(int64_t v) { return !v; }
static int64_t relu_i(int64_t v) { return v > 0 ? v : 0; }
static float neg_f(float v) { return -v; }
static float relu_f(float v) { return v > 0 ? v : 0; }
static float reciprocal_f(float v) { return 1 / v; }

static const struct map_row {
    const char *op;
    int64_t (*i)(int64_t);
    float (*f)(float);
} maps[] = {{"Abs", abs_i, fabsf},    {"Ceil", NULL, ceilf},
            {"Exp", NULL, expf},      {"Floor", NULL, floorf},
            {"Log", NULL, logf},      {"Neg", neg_i, neg_f},
            {"Not", not_i, NULL},     {"Reciprocal", NULL, reciprocal_f},
            {"Relu", relu_i, relu_f}, {"Round", NULL, rintf},
            {"Sqrt", NULL, sqrtf}};

oct_status octi_onnx_fold_map(octi_onnx_node *n) {
    const struct map_row *r = NULL;
    const octi_onnx_const *x;
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (octi_onnx_is(n->p, maps[i].op)) r = &maps[i];
    OCT_TRY(octi_onnx_weights(n, 0, "input 0", &x));
    if (!r || (x->f ? !r->f : !r->i))
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of constants of that type");
    octi_onnx_const *c = octi_onnx_const_new(n->o, x->elem, x->rank, x->dim);
    for (int64_t k = 0; c && k < c->count; k++) {
        if (!x->f && x->i[k] == OCTI_ONNX_BATCH)
            return octi_onnx_refuse(n, OCTI_CURE_BATCH_MATH, "arithmetic with the batch size");
        if (x->f)
            c->f[k] = r->f(x->f[k]);
        else
            c->i[k] = r->i(x->i[k]);
    }
    return octi_onnx_fold_output(n, 0, c);
}

/* ---- Where, Range, Expand, Reduce ---- */

static octi_onnx_const *spread(octi_onnx_node *n, const octi_onnx_const *x, int rank,
                               const int64_t *dim) {
    octi_onnx_const *c = octi_onnx_const_new(n->o, x->elem, rank, dim);
    for (int64_t k = 0; c && k < c->count; k++) {
        const int64_t at = octi_onnx_broadcast_at(x, rank, dim, k);
        if (c->f)
            c->f[k] = x->f[at];
        else
            c->i[k] = x->i[at];
    }
    return c;
}

oct_status octi_onnx_fold_where(octi_onnx_node *n) {
    const octi_onnx_const *t, *a, *b;
    octi_onnx_const both = {.rank = 0};
    int64_t dim[OCTI_ONNX_RANK];
    int rank;
    OCT_TRY(octi_onnx_weights(n, 0, "the condition", &t));
    OCT_TRY(octi_onnx_weights(n, 1, "input 1", &a));
    OCT_TRY(octi_onnx_weights(n, 2, "input 2", &b));
    if (!t->i || !a->f != !b->f || !octi_onnx_broadcast(a, b, &both.rank, both.dim) ||
        !octi_onnx_broadcast(&both, t, &rank, dim))
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of constants of other types or shapes");
    const octi_onnx_const *p = spread(n, a, rank, dim), *q = p ? spread(n, b, rank, dim) : NULL,
                          *c = q ? spread(n, t, rank, dim) : NULL;
    if (!c) return octi_onnx_refuse_last(n);
    for (int64_t k = 0; k < c->count; k++) {
        if (p->f && !c->i[k]) p->f[k] = q->f[k];
        if (!p->f && !c->i[k]) p->i[k] = q->i[k];
    }
    return octi_onnx_fold_output(n, 0, (octi_onnx_const *)p);
}

oct_status octi_onnx_fold_expand(octi_onnx_node *n) {
    const octi_onnx_const *x;
    octi_onnx_const want = {.rank = 0};
    int64_t dim[OCTI_ONNX_RANK];
    int rank;
    OCT_TRY(octi_onnx_weights(n, 0, "input 0", &x));
    OCT_TRY(octi_onnx_whole(n, 1, "the shape", OCTI_ONNX_RANK, want.dim, &want.rank));
    for (int a = 0; a < want.rank; a++)
        if (want.dim[a] < 0)
            return octi_onnx_refuse(n, OCTI_CURE_BATCH_MATH, "to a shape with the batch");
    if (!octi_onnx_broadcast(x, &want, &rank, dim))
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of a constant to %s",
                                octi_onnx_dims_text(want.rank, want.dim));
    return octi_onnx_fold_output(n, 0, spread(n, x, rank, dim));
}

oct_status octi_onnx_fold_range(octi_onnx_node *n) {
    const octi_onnx_const *c[3];
    double v[3];
    for (int k = 0; k < 3; k++) {
        OCT_TRY(octi_onnx_weights(n, k, octi_fmt("input %d", k), &c[k]));
        if (c[k]->count != 1 || (c[k]->i && c[k]->i[0] == OCTI_ONNX_BATCH))
            return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "input %d is no number", k);
        v[k] = octi_onnx_number(c[k], 0);
    }
    const double count = v[2] == 0 ? -1 : ceil((v[1] - v[0]) / v[2]);
    if (!(count < 1e9)) return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of too many numbers");
    const int64_t size = count > 0 ? (int64_t)count : 0;
    octi_onnx_const *r = octi_onnx_const_new(n->o, c[0]->elem, 1, &size);
    for (int64_t k = 0; r && k < size; k++) {
        if (r->f)
            r->f[k] = (float)(v[0] + (double)k * v[2]);
        else
            r->i[k] = c[0]->i[0] + k * (int64_t)v[2];
    }
    return octi_onnx_fold_output(n, 0, r);
}

/* ---- over axes ---- */

static const struct pair_row *reducer_of(const octi_onnx_proto *p) {
    static const struct {
        const char *op, *pair;
    } by[] = {{"ReduceProd", "Mul"},
              {"ReduceSum", "Add"},
              {"ReduceMean", "Add"},
              {"ReduceMin", "Min"},
              {"ReduceMax", "Max"}};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++)
        for (size_t k = 0; octi_onnx_is(p, by[i].op) && k < sizeof pairs / sizeof *pairs; k++)
            if (!strcmp(pairs[k].op, by[i].pair)) return &pairs[k];
    return NULL;
}

/* Element k of x into element at of c; first: it is the first there. */
static bool reduce_into(const struct pair_row *r, octi_onnx_const *c, int64_t at,
                        const octi_onnx_const *x, int64_t k, bool first) {
    if (x->f)
        c->f[at] = first ? x->f[k] : r->f(c->f[at], x->f[k]);
    else if (first)
        c->i[at] = x->i[k];
    else if (c->i[at] == OCTI_ONNX_BATCH || x->i[k] == OCTI_ONNX_BATCH)
        return with_batch(r->op, c->i[at], x->i[k], &c->i[at]);
    else
        c->i[at] = r->i(c->i[at], x->i[k]);
    return true;
}

/* Shape arithmetic asks for all elements, standardized weights for some axes. */
oct_status octi_onnx_fold_reduce(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t keep, axes[OCTI_ONNX_RANK], dim[OCTI_ONNX_RANK];
    int count, axis, rank = 0;
    bool over[OCTI_ONNX_RANK] = {false};
    OCT_TRY(octi_onnx_attr_int(n, "keepdims", 1, &keep));
    OCT_TRY(octi_onnx_axes(n, "axes", 1, axes, &count));
    OCT_TRY(octi_onnx_weights(n, 0, "input 0", &x));
    const struct pair_row *r = reducer_of(n->p);
    const bool mean = octi_onnx_is(n->p, "ReduceMean");
    if (!r || x->count < 1 || (mean && !x->f))
        return octi_onnx_refuse(n, OCTI_CURE_CONSTANT, "of a constant of that type");
    for (int i = 0; i < count; i++) {
        OCT_TRY(octi_onnx_axis(n, axes[i], x->rank, &axis));
        over[axis] = true;
    }
    for (int a = 0; a < x->rank; a++) dim[a] = over[a] || count <= 0 ? 1 : x->dim[a];
    octi_onnx_const *c = octi_onnx_const_new(n->o, x->elem, x->rank, dim);
    if (!c) return octi_onnx_refuse_last(n);
    bool *seen = octi_arena_calloc(n->o->arena, (size_t)c->count + 1, sizeof *seen);
    if (!seen) return oct_last_error()->code;
    for (int64_t k = 0; k < x->count; k++) {
        const int64_t at = octi_onnx_broadcast_at(c, x->rank, x->dim, k);
        if (!reduce_into(r, c, at, x, k, !seen[at]))
            return octi_onnx_refuse(n, OCTI_CURE_BATCH_MATH, "arithmetic with the batch size");
        seen[at] = true;
    }
    for (int64_t k = 0; mean && k < c->count; k++) c->f[k] /= (float)(x->count / c->count);
    for (int a = 0; a < x->rank; a++)
        if (keep || !(over[a] || count <= 0)) c->dim[rank++] = dim[a];
    c->rank = rank;
    return octi_onnx_fold_output(n, 0, c);
}
