/* SPDX-License-Identifier: MIT
 * ONNX in: QuantizeLinear and DequantizeLinear. Around weights they are arithmetic on constants:
 * the weights come in as the file's own codes have them. Around values of the net they are grids
 * that those stand on (onnx_grids.c). Of a file that is to come in as floats they are marks: they
 * leave the values as they are, but for the ReLU that a quantizer left out where its range begins
 * at zero. */
#include <math.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"
#include "src/qround.h"

/* Codes of a type of zero points; false: not one that is taken. */
static bool codes_of(int elem, int64_t *least, int64_t *most) {
    switch (elem) {
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
        *least = 0, *most = 255;
        return true;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
        *least = -128, *most = 127;
        return true;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT16:
        *least = 0, *most = 65535;
        return true;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT16:
        *least = -32768, *most = 32767;
        return true;
    case OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
        *least = INT32_MIN, *most = INT32_MAX;
        return true;
    default:
        return false;
    }
}

/* Scales and zero points of inputs 1 and 2; per axis, or one for all. */
typedef struct grid {
    const octi_onnx_const *scale, *zero;
    int64_t least, most;
} grid;

static oct_status grid_of(octi_onnx_node *n, int elem, grid *g) {
    int64_t block, saturate;
    *g = (grid){.zero = NULL};
    OCT_TRY(octi_onnx_attr_int(n, "block_size", 0, &block));
    OCT_TRY(octi_onnx_attr_int(n, "saturate", 1, &saturate));
    if (block)
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "attribute block_size: %lld", (long long)block);
    OCT_TRY(octi_onnx_weights(n, 1, "the scale", &g->scale));
    if (octi_onnx_has(n, 2)) OCT_TRY(octi_onnx_weights(n, 2, "the zero point", &g->zero));
    if (!g->scale->f || g->scale->rank > 1 || g->scale->count < 1 ||
        (g->zero && (!g->zero->i || g->zero->count != g->scale->count)))
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "scale or zero point of another type or shape");
    if (g->zero) elem = g->zero->elem;
    if (!codes_of(elem, &g->least, &g->most))
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "codes of type %s", octi_onnx_elem_word(elem));
    for (int64_t k = 0; k < g->scale->count; k++)
        if (!(g->scale->f[k] > 0) || !isfinite(g->scale->f[k]))
            return octi_onnx_refuse(n, OCTI_CURE_GRID, "a scale that is not above 0");
    return OCT_OK;
}

/* ---- of constants ---- */

/* The axis of the scales, and how many elements lie between two neighbours along it. */
static oct_status strides(octi_onnx_node *n, const octi_onnx_const *x, const grid *g, int *along,
                          int64_t *inner) {
    int64_t axis;
    int a;
    *inner = x->count > 0 ? x->count : 1;
    *along = 0;
    OCT_TRY(octi_onnx_attr_int(n, "axis", 1, &axis));
    if (g->scale->count == 1) return OCT_OK;
    OCT_TRY(octi_onnx_axis(n, axis, x->rank, &a));
    *along = a;
    if (x->dim[a] != g->scale->count)
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "%lld scales for an axis of %lld",
                                (long long)g->scale->count, (long long)x->dim[a]);
    *inner = 1;
    for (int i = a + 1; i < x->rank; i++) *inner *= x->dim[i];
    return OCT_OK;
}

oct_status octi_onnx_fold_dequantize(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t inner;
    int axis;
    grid g;
    OCT_TRY(octi_onnx_weights(n, 0, "the codes", &x));
    OCT_TRY(grid_of(n, x->elem, &g));
    OCT_TRY(strides(n, x, &g, &axis, &inner));
    octi_onnx_const *c = octi_onnx_const_new(n->o, g.scale->elem, x->rank, x->dim);
    if (!c) return octi_onnx_refuse_last(n);
    if (!x->i) return octi_onnx_refuse(n, OCTI_CURE_QDQ, "of floats");
    octi_onnx_codes *codes = octi_arena_alloc(n->o->arena, sizeof *codes);
    if (!codes) return oct_last_error()->code;
    *codes = (octi_onnx_codes){.scale = g.scale->f, .count = g.scale->count, .axis = axis};
    for (int64_t k = 0; k < x->count; k++) {
        const int64_t at = g.scale->count == 1 ? 0 : k / inner % g.scale->count;
        const int64_t zero = g.zero ? g.zero->i[at] : 0, step = x->i[k] - zero;
        if (step < codes->least) codes->least = step;
        if (step > codes->most) codes->most = step;
        if (step < INT32_MIN || step > INT32_MAX)
            return octi_onnx_refuse(n, OCTI_CURE_GRID,
                                    "a code less its zero point of more than 32 bits");
        c->f[k] = octq_dequantize((int32_t)step, g.scale->f[at], 0);
    }
    c->codes = codes;
    return octi_onnx_fold_output(n, 0, c);
}

oct_status octi_onnx_fold_quantize(octi_onnx_node *n) {
    const octi_onnx_const *x;
    int64_t inner;
    int axis;
    grid g;
    OCT_TRY(octi_onnx_weights(n, 0, "the values", &x));
    OCT_TRY(grid_of(n, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, &g));
    OCT_TRY(strides(n, x, &g, &axis, &inner));
    octi_onnx_const *c = octi_onnx_const_new(
        n->o, g.zero ? g.zero->elem : OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, x->rank, x->dim);
    if (!c) return octi_onnx_refuse_last(n);
    if (!x->f || g.most == INT32_MAX)
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "to 32 bits, or of whole numbers");
    for (int64_t k = 0; k < x->count; k++) {
        const int64_t at = g.scale->count == 1 ? 0 : k / inner % g.scale->count;
        c->i[k] = octq_quantize(x->f[k], g.scale->f[at], g.zero ? (int32_t)g.zero->i[at] : 0,
                                (int32_t)g.least, (int32_t)g.most);
    }
    return octi_onnx_fold_output(n, 0, c);
}

static oct_status judge_readers(const octi_onnx_node *n) {
    const octi_onnx_value *y = n->out[0];
    if (y && y->other >= 0)
        return octi_onnx_refuse(n, OCTI_CURE_QDQ,
                                "its codes are read by %s; DequantizeLinear is taken",
                                octi_onnx_word(n->o->graph->node[y->other]->op_type));
    return y && y->output ? octi_onnx_refuse(n, OCTI_CURE_QDQ, "its codes are the net's output")
                          : OCT_OK;
}

/* ---- codes that are passed on: PyTorch casts those that are u8 to u8, and those of fewer bits go
 * through a Clip ---- */

bool octi_onnx_may_pass_codes(const octi_onnx_proto *p) {
    const OctiOnnx__AttributeProto *to = octi_onnx_attr(p, "to");
    return octi_onnx_is(p, "Identity") || octi_onnx_is(p, "Clip") ||
           (octi_onnx_is(p, "Cast") && to &&
            (to->i == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 ||
             to->i == OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8));
}

const octi_onnx_proto *octi_onnx_coder(const octi_onnx *o, const octi_onnx_value *v) {
    return v && v->coder >= 0 ? o->graph->node[v->coder] : NULL;
}

static int type_of_codes(octi_onnx *o, const octi_onnx_proto *q) {
    const octi_onnx_const *zero = octi_onnx_is(q, "QuantizeLinear") && q->n_input > 2
                                      ? octi_onnx_const_of(o, octi_onnx_find(o, q->input[2]))
                                      : NULL;
    return zero ? zero->elem : OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
}

/* The number that input k is; `otherwise` where it is absent. */
static bool bound(octi_onnx *o, const octi_onnx_proto *p, size_t k, int64_t otherwise, int64_t *v) {
    *v = otherwise;
    if (p->n_input <= k || !*p->input[k]) return true;
    const octi_onnx_const *c = octi_onnx_const_of(o, octi_onnx_find(o, p->input[k]));
    if (!c || !c->i || c->count != 1) return false;
    *v = c->i[0];
    return true;
}

/* The highest code that a Clip of codes lets through, as u8 has it; false: it has another lowest
 * one, or bounds that are computed. */
static bool highest_of(octi_onnx *o, const octi_onnx_proto *clip, int type, int64_t *hi) {
    int64_t least, most, lo;
    if (!codes_of(type, &least, &most) || !bound(o, clip, 1, least, &lo) ||
        !bound(o, clip, 2, most, hi) || lo > least || *hi <= least)
        return false;
    *hi = (*hi < most ? *hi : most) - least;
    return true;
}

oct_status octi_onnx_pass_codes(octi_onnx_node *n) {
    octi_onnx *o = n->o;
    const octi_onnx_value *x;
    const octi_onnx_proto *q = octi_onnx_coder(o, n->in[0]);
    const int made = type_of_codes(o, q);
    int64_t to, hi;
    OCT_TRY(octi_onnx_attr_int(n, "to", made, &to));
    if (n->out[0]) n->out[0]->coder = n->in[0]->coder;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    if (octi_onnx_is(n->p, "Clip") &&
        (x->maker != x->coder || !octi_onnx_is(q, "QuantizeLinear") ||
         octi_onnx_next(o, x) != n->p || !highest_of(o, n->p, made, &hi)))
        return octi_onnx_refuse(n, OCTI_CURE_QDQ,
                                "of codes; taken as the one reader of what QuantizeLinear made, "
                                "and with a highest code alone");
    if (to != made)
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "of codes of type %s to %s",
                                octi_onnx_elem_word(made), octi_onnx_elem_word((int)to));
    OCT_TRY(judge_readers(n));
    return octi_onnx_like(n, 0, &x->at, x->at.v);
}

/* ---- of the net's values ---- */

static bool below_zero(const oct_node *p) {
    static const oct_op_kind never[] = {OCT_OP_relu, OCT_OP_relu6, OCT_OP_sigmoid,
                                        OCT_OP_hardsigmoid, OCT_OP_softmax};
    for (size_t i = 0; p && i < sizeof never / sizeof *never; i++)
        if (p->kind == never[i]) return false;
    return p != NULL; /* the input is on a grid of its own */
}

/* Zero point of the grid as octet has it, of u8 codes. */
static int32_t zero_of(const grid *g) {
    const int64_t zero = g->zero ? g->zero->i[0] : 0;
    return (int32_t)(zero - g->least);
}

static bool is_grid(const oct_quantizer *q, const grid *g) {
    return *oct_f32(q->scale) == g->scale->f[0] && *oct_s32(q->zero_point) == zero_of(g);
}

/* The highest code of u8, 255 where no Clip of codes stands behind. */
static int32_t highest_behind(octi_onnx_node *n, const grid *g) {
    const octi_onnx_proto *p = n->out[0] ? octi_onnx_next(n->o, n->out[0]) : NULL;
    int64_t hi = 255;
    if (!octi_onnx_is(p, "Clip") || !highest_of(n->o, p, type_of_codes(n->o, n->p), &hi) ||
        hi < zero_of(g))
        return 255;
    return (int32_t)hi;
}

/* A value that others read too as it is, or that stands on another grid: rounded under a name of
 * its own. */
static oct_status stand_apart(octi_onnx_node *n, const octi_onnx_place *x, const grid *g,
                              int32_t highest) {
    const octi_onnx_value *y = n->out[0];
    n->path =
        octi_arena_strdup(n->o->arena, octi_fmt("%.180s.quantized", n->o->to->values[x->v].name));
    if (!n->path || !y) return n->path ? OCT_OK : oct_last_error()->code;
    OCT_TRY(octi_onnx_unary(n, OCT_OP_identity, NULL));
    return y->state == OCTI_ONNX_ACT
               ? octi_onnx_set_grid(n->o, y->at.v, g->scale->f[0], zero_of(g), highest)
               : OCT_OK;
}

/* The ReLU that a quantizer of this grid stands for, where an exporter left it out. */
static oct_status add_relu(octi_onnx_node *n, const octi_onnx_place *x) {
    n->path = octi_arena_strdup(n->o->arena,
                                octi_fmt("%.180s.relu", octi_onnx_producer(n->o, x->v)->name));
    return n->path ? octi_onnx_unary(n, OCT_OP_relu, NULL) : oct_last_error()->code;
}

/* A layer that a ReLU is fused with: then who looks at what the grid cuts off sees a ReLU. */
static bool takes_relu(const oct_node *p) {
    return p && !p->attr.act[0] &&
           (p->kind == OCT_OP_conv2d || p->kind == OCT_OP_linear || p->kind == OCT_OP_add ||
            p->kind == OCT_OP_batch_norm);
}

static oct_status on_grid(octi_onnx_node *n, const octi_onnx_value *x, const grid *g) {
    octi_onnx *o = n->o;
    if (g->most - g->least != 255)
        return o->grids_refused = true,
               octi_onnx_refuse(n, OCTI_CURE_GRID,
                                "codes of more than 8 bits, of the net's values");
    const oct_quantizer *have = octi_onnx_grid_of(o, x->at.v);
    const int32_t highest = highest_behind(n, g);
    const bool same = have && is_grid(have, g);
    if (same && have->spec.qmax != highest && x->quantizers > 1)
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "codes of one scale up to %d and to %d",
                                have->spec.qmax, highest);
    if (have ? !same || have->spec.qmax != highest : !octi_onnx_rounded_alike(x))
        return stand_apart(n, &x->at, g, highest);
    octi_onnx_value *y = n->out[0];
    const bool relu = !have && y && zero_of(g) == 0 && x->quantizers == 1 &&
                      takes_relu(octi_onnx_producer(o, x->at.v));
    OCT_TRY(relu ? add_relu(n, &x->at) : octi_onnx_like(n, 0, &x->at, x->at.v));
    if (have) return OCT_OK;
    return octi_onnx_set_grid(o, relu ? y->at.v : x->at.v, g->scale->f[0], zero_of(g), highest);
}

oct_status octi_onnx_read_quantize(octi_onnx_node *n) {
    const octi_onnx_value *x;
    grid g;
    if (n->out[0]) n->out[0]->coder = n->index;
    OCT_TRY(grid_of(n, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, &g));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    if (g.scale->count != 1)
        return octi_onnx_refuse(n, OCTI_CURE_GRID, "of the net's values, per axis");
    OCT_TRY(judge_readers(n));
    n->o->marks++;
    if (!n->o->as_floats) return on_grid(n, x, &g);
    if (zero_of(&g) != 0 || !below_zero(octi_onnx_producer(n->o, x->at.v)))
        return octi_onnx_like(n, 0, &x->at, x->at.v);
    return add_relu(n, &x->at);
}

oct_status octi_onnx_read_dequantize(octi_onnx_node *n) {
    const octi_onnx_value *x;
    grid g, made;
    OCT_TRY(grid_of(n, OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, &g));
    OCT_TRY(octi_onnx_act(n, 0, &x));
    const octi_onnx_proto *q = octi_onnx_coder(n->o, x);
    if (octi_onnx_is_table(n->o, q))
        q = n->o->graph->node[x->dequantizer]; /* this, or another */
    else if (!octi_onnx_is(q, "QuantizeLinear"))
        return octi_onnx_refuse(n, OCTI_CURE_QDQ, "of values that no QuantizeLinear made");
    const octi_onnx_const *part[2] = {NULL, NULL};
    for (size_t k = 0; k < 2; k++)
        if (q->n_input > k + 1)
            part[k] = octi_onnx_const_of(n->o, octi_onnx_find(n->o, q->input[k + 1]));
    made = (grid){.scale = part[0], .zero = part[1]};
    if (!made.scale || g.scale->count != 1 || made.scale->f[0] != g.scale->f[0] ||
        (g.zero ? g.zero->i[0] : 0) != (made.zero ? made.zero->i[0] : 0))
        return octi_onnx_refuse(n, OCTI_CURE_GRID,
                                "with another scale or zero point than the codes in front have");
    return octi_onnx_like(n, 0, &x->at, x->at.v);
}
