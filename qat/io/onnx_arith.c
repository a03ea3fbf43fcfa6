/* SPDX-License-Identifier: MIT
 * ONNX in: Add, Sub, Mul, Div, Sum: of two values of the net, or of one and constants; and what
 * exporters write with them for HardSigmoid and HardSwish. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

/* ---- with a constant ---- */

/* The value and the constant of a node of two inputs; *c NULL where both are values. swapped: the
 * constant is input 0. */
static oct_status sides(octi_onnx_node *n, const octi_onnx_value **x, const octi_onnx_const **c,
                        bool *swapped) {
    for (int k = 0; k < 2; k++) {
        if (!octi_onnx_has(n, k))
            return octi_onnx_refuse(n, OCTI_CURE_RULES, "input %d is missing", k);
        if (n->in[k]->state == OCTI_ONNX_LOST) return OCT_EUNSUPPORTED;
    }
    *c = NULL;
    *swapped = n->in[0]->state == OCTI_ONNX_CONST;
    *x = n->in[*swapped];
    if (n->in[!*swapped]->state == OCTI_ONNX_CONST)
        return octi_onnx_weights(n, !*swapped, "a constant", c);
    return OCT_OK;
}

static oct_status scaled(octi_onnx_node *n, const octi_onnx_value *x, const float *scale,
                         const float *shift) {
    octi_onnx_place to;
    OCT_TRY(octi_onnx_affine(n, x, scale, shift, &to));
    return octi_onnx_like(n, 0, &to, to.v);
}

/* ---- two values ---- */

/* Both with the same axes at the same places. */
static oct_status meet(octi_onnx_node *n, octi_onnx_place *a, octi_onnx_place *b) {
    const octi_onnx_value *x, *y;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_act(n, 1, &y));
    *a = x->at;
    *b = y->at;
    if (a->rank != b->rank)
        return octi_onnx_refuse(n, OCTI_CURE_SHAPES, "of values of shapes %s and %s",
                                octi_onnx_dims_text(a->rank, a->dim),
                                octi_onnx_dims_text(b->rank, b->dim));
    if (memcmp(a->at, b->at, sizeof *a->at * (size_t)a->rank) != 0) {
        OCT_TRY(octi_onnx_images(n, x, a));
        OCT_TRY(octi_onnx_images(n, y, b));
    }
    if (!octi_onnx_same_order(a->order, b->order))
        return octi_onnx_refuse(n, OCTI_CURE_MOVES,
                                "of values that were flattened in different orders");
    return OCT_OK;
}

static oct_status combine(octi_onnx_node *n, oct_op_kind kind, const octi_onnx_place *a,
                          const octi_onnx_place *b) {
    int32_t v;
    octi_onnx_place y = *a;
    OCT_TRY(octi_onnx_emit(n, kind, octi_onnx_name(n, NULL), NULL, (int32_t[]){a->v, b->v}, 2, &v));
    for (int i = 1; i < a->rank; i++) y.dim[i] = a->dim[i] > b->dim[i] ? a->dim[i] : b->dim[i];
    return octi_onnx_like(n, 0, &y, v);
}

/* ---- HardSigmoid, HardSwish in pieces ---- */

static bool near(double v, double want) { return fabs(v - want) <= 1e-6 * want; }

/* The number that a node's other input is; NAN where it is none. */
static double other_number(octi_onnx *o, const octi_onnx_proto *p, const octi_onnx_value *x) {
    for (size_t k = 0; p && k < p->n_input; k++) {
        octi_onnx_value *v = octi_onnx_find(o, p->input[k]);
        if (!v || v == x) continue;
        const octi_onnx_const *c = octi_onnx_const_of(o, v);
        return c && c->count == 1 ? octi_onnx_number(c, 0) : (double)NAN;
    }
    return (double)NAN;
}

static octi_onnx_value *output_of(const octi_onnx *o, const octi_onnx_proto *p) {
    return p && p->n_output == 1 ? octi_onnx_find(o, p->output[0]) : NULL;
}

/* The value behind a Clip of v to 0..6. */
static octi_onnx_value *behind_relu6(octi_onnx *o, const octi_onnx_value *v) {
    const octi_onnx_proto *p = octi_onnx_next(o, v);
    double bound[2] = {-INFINITY, INFINITY};
    static const char *const words[2] = {"min", "max"};
    if (!octi_onnx_is(p, "Clip") || !p->n_input || strcmp(p->input[0], v->name)) return NULL;
    for (size_t k = 0; k < 2; k++) {
        const OctiOnnx__AttributeProto *a = octi_onnx_attr(p, words[k]);
        octi_onnx_value *in = p->n_input > k + 1 ? octi_onnx_find(o, p->input[k + 1]) : NULL;
        const octi_onnx_const *c = octi_onnx_const_of(o, in);
        if (a && a->has_f) bound[k] = (double)a->f;
        if (c && c->count == 1) bound[k] = octi_onnx_number(c, 0);
    }
    return bound[0] == 0 && bound[1] == 6 ? output_of(o, p) : NULL;
}

/* The value behind a division of v by 6. */
static octi_onnx_value *behind_sixth(octi_onnx *o, const octi_onnx_value *v) {
    const octi_onnx_proto *p = octi_onnx_next(o, v);
    const bool first = p && p->n_input == 2 && !strcmp(p->input[0], v->name);
    if (octi_onnx_is(p, "Div") && first && near(other_number(o, p, v), 6)) return output_of(o, p);
    if (octi_onnx_is(p, "Mul") && near(other_number(o, p, v), 1.0 / 6)) return output_of(o, p);
    return NULL;
}

/* The value behind v * x. */
static octi_onnx_value *behind_product(const octi_onnx *o, const octi_onnx_value *v,
                                       const octi_onnx_value *x) {
    const octi_onnx_proto *p = octi_onnx_next(o, v);
    if (!octi_onnx_is(p, "Mul") || p->n_input != 2) return NULL;
    const bool first = !strcmp(p->input[0], v->name);
    return octi_onnx_find(o, p->input[first]) == x ? output_of(o, p) : NULL;
}

/* relu6(x + 3) / 6 and x * relu6(x + 3) / 6: this node is the sum. */
static oct_status hard(octi_onnx_node *n, const octi_onnx_value *x, bool *took) {
    octi_onnx *o = n->o;
    octi_onnx_value *six = n->out[0] ? behind_relu6(o, n->out[0]) : NULL, *end, *y;
    oct_op_kind kind = OCT_OP_hardsigmoid;
    int32_t v;
    *took = false;
    if (!six) return OCT_OK;
    if (!(end = behind_sixth(o, six))) {
        y = behind_product(o, six, x);
        end = y ? behind_sixth(o, y) : NULL;
        kind = OCT_OP_hardswish;
    }
    if (!end) return OCT_OK;
    OCT_TRY(octi_onnx_emit(n, kind, octi_onnx_name(n, NULL), NULL, &x->at.v, 1, &v));
    octi_onnx_value *const own = n->out[0];
    n->out[0] = end;
    const oct_status s = octi_onnx_like(n, 0, &x->at, v);
    n->out[0] = own;
    *took = true;
    for (octi_onnx_value *w = own; w != end;) { /* what it swallowed */
        const octi_onnx_proto *p = octi_onnx_next(o, w);
        o->done[w->reader] = true;
        w->state = OCTI_ONNX_LOST;
        w = output_of(o, p);
    }
    return s;
}

/* x * hardsigmoid(x). */
static bool is_hardswish(const octi_onnx *o, const octi_onnx_place *x, const octi_onnx_value *g) {
    const oct_node *p = octi_onnx_producer(o, g->at.v);
    return p && p->kind == OCT_OP_hardsigmoid && p->in[0] == x->v && octi_onnx_sole(g) &&
           !octi_onnx_grid_of(o, g->at.v);
}

/* ---- the readers ---- */

oct_status octi_onnx_read_add(octi_onnx_node *n) {
    const octi_onnx_value *x = NULL;
    const octi_onnx_const *c;
    octi_onnx_place a, b;
    bool swapped, took = false;
    float *shift;
    OCT_TRY(sides(n, &x, &c, &swapped));
    if (!c) {
        OCT_TRY(meet(n, &a, &b));
        return combine(n, OCT_OP_add, &a, &b);
    }
    if (c->count == 1 && octi_onnx_number(c, 0) == 3) OCT_TRY(hard(n, x, &took));
    if (took) return OCT_OK;
    OCT_TRY(octi_onnx_per_channel(n, &x->at, c, &shift));
    return scaled(n, x, NULL, shift);
}

static oct_status minus(const octi_onnx_node *n, const octi_onnx_place *x, float **v) {
    static const int64_t none;
    octi_onnx_const *one =
        octi_onnx_const_new(n->o, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 0, &none);
    if (!one) return octi_onnx_refuse_last(n);
    one->f[0] = -1;
    return octi_onnx_per_channel(n, x, one, v);
}

oct_status octi_onnx_read_sub(octi_onnx_node *n) {
    const octi_onnx_value *x = NULL;
    const octi_onnx_const *c;
    octi_onnx_place a, b;
    bool swapped;
    float *shift, *scale;
    OCT_TRY(sides(n, &x, &c, &swapped));
    if (!c) {
        OCT_TRY(meet(n, &a, &b));
        OCT_TRY(minus(n, &n->in[1]->at, &scale));
        OCT_TRY(octi_onnx_affine(n, n->in[1], scale, NULL, &b));
        if (a.rank == 4 && memcmp(a.at, b.at, sizeof *a.at * 4) != 0)
            return octi_onnx_refuse(n, OCTI_CURE_LAYOUT, "of values that lie differently");
        return combine(n, OCT_OP_add, &a, &b);
    }
    OCT_TRY(octi_onnx_per_channel(n, &x->at, c, &shift));
    if (swapped) {
        OCT_TRY(minus(n, &x->at, &scale));
        return scaled(n, x, scale, shift);
    }
    for (int64_t k = 0; k < octi_onnx_channels(&x->at); k++) shift[k] = -shift[k];
    return scaled(n, x, NULL, shift);
}

oct_status octi_onnx_read_mul(octi_onnx_node *n) {
    const octi_onnx_value *x = NULL;
    const octi_onnx_const *c;
    octi_onnx_place a, b;
    bool swapped;
    float *scale;
    OCT_TRY(sides(n, &x, &c, &swapped));
    if (c) {
        OCT_TRY(octi_onnx_per_channel(n, &x->at, c, &scale));
        return scaled(n, x, scale, NULL);
    }
    OCT_TRY(meet(n, &a, &b));
    for (int k = 0; k < 2; k++) {
        const octi_onnx_place *of = k ? &b : &a;
        int32_t v;
        if (!is_hardswish(n->o, of, n->in[!k])) continue;
        OCT_TRY(octi_onnx_emit(n, OCT_OP_hardswish, octi_onnx_name(n, NULL), NULL, &of->v, 1, &v));
        return octi_onnx_like(n, 0, of, v);
    }
    return combine(n, OCT_OP_mul, &a, &b);
}

oct_status octi_onnx_read_div(octi_onnx_node *n) {
    const octi_onnx_value *x = NULL;
    const octi_onnx_const *c;
    bool swapped;
    float *scale;
    OCT_TRY(sides(n, &x, &c, &swapped));
    if (!c || swapped) return octi_onnx_refuse(n, OCTI_CURE_OP, "by a value that the net computes");
    OCT_TRY(octi_onnx_per_channel(n, &x->at, c, &scale));
    for (int64_t k = 0; k < octi_onnx_channels(&x->at); k++) {
        if (scale[k] == 0) return octi_onnx_refuse(n, OCTI_CURE_RULES, "by zero");
        scale[k] = 1 / scale[k];
    }
    return scaled(n, x, scale, NULL);
}

oct_status octi_onnx_read_neg(octi_onnx_node *n) {
    const octi_onnx_value *x;
    float *scale;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(minus(n, &x->at, &scale));
    return scaled(n, x, scale, NULL);
}

oct_status octi_onnx_read_sum(octi_onnx_node *n) {
    const octi_onnx_value *x;
    if (n->nin == 2) return octi_onnx_read_add(n);
    if (n->nin != 1)
        return octi_onnx_refuse(n, OCTI_CURE_OP, "of %d values: two are taken", n->nin);
    OCT_TRY(octi_onnx_act(n, 0, &x));
    return octi_onnx_like(n, 0, &x->at, x->at.v);
}
