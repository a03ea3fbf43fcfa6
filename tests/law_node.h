/* SPDX-License-Identifier: MIT
 * tests/law_node.h - one node of an int8 net by the number law, in plain loops: what its codes must
 * be, from the codes that stand before it and the constants as they are now. */
#ifndef OCT_TESTS_LAW_NODE_H
#define OCT_TESTS_LAW_NODE_H

#include "qat/infer/infer.h"
#include "qat/int8/int8.h"
#include "src/qround.h"
#include "tests/oct_test.h"

typedef struct law_operand {
    const uint8_t *q;
    const oct_shape *s;
    int32_t z;
} law_operand;

static inline const oct_quantizer *law_quantizer(const oct_graph *g, int32_t v) {
    return &g->quantizers[g->values[v].quantizer];
}

/* Sum of output cell (n, p, q, o); a linear layer is an image of one pixel. */
static inline int32_t law_sum(const oct_graph *g, const oct_node *n, const law_operand *x,
                              const int64_t *y, int64_t i) {
    const oct_attrs *a = &n->attr;
    const oct_tensor *w = g->values[n->in[1]].tensor;
    int32_t sum = oct_s32(g->values[n->in[2]].tensor)[i % y[3]];
    const int8_t *row = oct_s8(w) + i % y[3] * (oct_tensor_count(w) / y[3]);
    if (n->kind == OCT_OP_qlinear) {
        const int64_t k = x->s->dim[1];
        for (int64_t e = 0; e < k; e++) sum += (x->q[i / y[3] * k + e] - x->z) * row[e];
        return sum;
    }
    const int64_t h = x->s->dim[1], wd = x->s->dim[2], c = x->s->dim[3], cg = w->shape.dim[3],
                  o = i % y[3], q = i / y[3] % y[2], p = i / y[3] / y[2] % y[1],
                  image = i / y[3] / y[2] / y[1], first = o / (y[3] / a->groups[0]) * cg;
    for (int64_t r = 0; r < a->kernel[0]; r++)
        for (int64_t s = 0; s < a->kernel[1]; s++) {
            const int64_t at_h = p * a->stride[0] - a->pads[0] + r * a->dilation[0],
                          at_w = q * a->stride[1] - a->pads[1] + s * a->dilation[1];
            if (at_h < 0 || at_h >= h || at_w < 0 || at_w >= wd) continue;
            for (int64_t e = 0; e < cg; e++)
                sum += (x->q[((image * h + at_h) * wd + at_w) * c + first + e] - x->z) *
                       row[(r * a->kernel[1] + s) * cg + e];
        }
    return sum;
}

/* A requant's records: the node's last input. */
static inline octq_multipliers law_records(const oct_graph *g, const oct_node *n) {
    octq_multipliers by = {.law = (octq_law)n->attr.law[0]};
    const oct_tensor *t = g->values[n->in[n->nin - 1]].tensor;
    if (!t) return by;
    if (t->dtype == OCT_F32) by.m = oct_f32(t);
    if (t->dtype != OCT_S32 || by.law != OCTQ_Q31) return by;
    by.q31 = oct_s32(t);
    by.shift = by.q31 + t->shape.dim[1];
    return by;
}
static inline int32_t law_requant(const octq_multipliers *by, int64_t k, int32_t sum, int32_t z,
                                  int32_t lo, int32_t hi) {
    return by->law == OCTQ_FP32 ? octq_requant(sum, by->m[k], z, lo, hi)
                                : octq_q31_code(sum, by->q31[k], by->shift[k], z, lo, hi);
}

static inline int32_t law_average(const oct_node *n, const law_operand *x, const int64_t *y,
                                  int64_t i, const octq_multipliers *by, int32_t zy,
                                  const oct_qspec *spec) {
    const oct_attrs *a = &n->attr;
    const bool adaptive = n->kind == OCT_OP_qadaptive_avg_pool2d;
    const int64_t c = y[3], at[2] = {i / c / y[2] % y[1], i / c % y[2]},
                  image = i / c / y[2] / y[1];
    int64_t b[2], e[2];
    for (int d = 0; d < 2; d++) {
        const int64_t size = x->s->dim[d + 1];
        b[d] = adaptive ? at[d] * size / y[d + 1] : at[d] * a->stride[d] - a->pads[d];
        e[d] = adaptive ? ((at[d] + 1) * size + y[d + 1] - 1) / y[d + 1] : b[d] + a->kernel[d];
        b[d] = b[d] < 0 ? 0 : b[d];
        e[d] = e[d] > size ? size : e[d];
    }
    int32_t sum = 0;
    for (int64_t h = b[0]; h < e[0]; h++)
        for (int64_t w = b[1]; w < e[1]; w++)
            sum += x->q[((image * x->s->dim[1] + h) * x->s->dim[2] + w) * c + i % c] - x->z;
    const int64_t cells = adaptive || a->exclude_pad[0] ? (e[0] - b[0]) * (e[1] - b[1])
                                                        : (int64_t)a->kernel[0] * a->kernel[1];
    if (by->law == OCTQ_Q31 && !by->q31)
        return octq_whole_code(octq_q31_average(sum + (int32_t)cells * x->z, (int32_t)cells), 0,
                               spec->qmin, spec->qmax);
    return law_requant(by, cells, sum, zy, spec->qmin, spec->qmax);
}

/* Member of a cat, and element in it, of output element i. */
static inline int law_member(const oct_node *n, const law_operand *x, int members,
                             const oct_shape *ys, int64_t i, int64_t *at) {
    const int axis = n->attr.axis[0];
    int64_t inner = 1, along = 0;
    for (int d = axis + 1; d < ys->rank; d++) inner *= ys->dim[d];
    const int64_t place = i / inner % ys->dim[axis], outer = i / inner / ys->dim[axis];
    for (int k = 0; k < members; k++) {
        const int64_t side = x[k].s->dim[axis];
        if (place < along + side)
            return *at = (outer * side + place - along) * inner + i % inner, k;
        along += side;
    }
    return -1;
}

/** Whether the law has a say in a node's codes: the others move codes about. */
static inline bool law_has(const oct_node *n) {
    switch (n->kind) {
    case OCT_OP_qconv2d:
    case OCT_OP_qlinear:
    case OCT_OP_qadd:
    case OCT_OP_qmul:
    case OCT_OP_qcat:
    case OCT_OP_requantize:
    case OCT_OP_qavg_pool2d:
    case OCT_OP_qadaptive_avg_pool2d:
    case OCT_OP_qtable:
    case OCT_OP_qsoftmax:
    case OCT_OP_relu:
        return true;
    default:
        return false;
    }
}

/** Code i of a node with a multiplier, table or weights: y is the shape with its batch. */
static inline int32_t law_code(const oct_graph *g, const oct_node *n, const law_operand *x,
                               const oct_shape *y, int64_t i) {
    const oct_quantizer *q = law_quantizer(g, n->out);
    const int32_t zy = *oct_s32(q->zero_point), lo = n->attr.lo[0], hi = n->attr.hi[0];
    const int last = n->nin - 1;
    const octq_multipliers by = law_records(g, n);
    const float *m = by.m;
    const int64_t dims[4] = {y->dim[0], y->rank == 4 ? y->dim[1] : 1, y->rank == 4 ? y->dim[2] : 1,
                             y->dim[y->rank - 1]},
                  c = dims[3];
    int64_t ia = i, ib = i, count = 1;
    for (int d = 0; d < y->rank; d++) count *= y->dim[d];
    switch (n->kind) {
    case OCT_OP_qconv2d:
    case OCT_OP_qlinear:
        return law_requant(&by, i % c, law_sum(g, n, x, dims, i), zy, lo, hi);
    case OCT_OP_qadd:
    case OCT_OP_qmul:
        if (oct_shape_count(x[0].s) < count) ia = i / (count / dims[0]) * c + i % c;
        if (oct_shape_count(x[1].s) < count) ib = i / (count / dims[0]) * c + i % c;
        if (n->kind == OCT_OP_qmul)
            return law_requant(&by, 0, (x[0].q[ia] - x[0].z) * (x[1].q[ib] - x[1].z), zy, lo, hi);
        return m ? octq_add(x[0].q[ia], x[0].z, m[0], x[1].q[ib], x[1].z, m[1], zy, lo, hi)
                 : octq_whole_code(
                       octq_q31_add(x[0].q[ia], x[0].z, x[1].q[ib], x[1].z, by.q31, by.shift), zy,
                       lo, hi);
    case OCT_OP_qcat: {
        const int k = law_member(n, x, last, y, i, &ia);
        const oct_quantizer *from = law_quantizer(g, n->in[k]);
        if (from->scale && *oct_f32(from->scale) == *oct_f32(q->scale) && x[k].z == zy && m &&
            m[k] == 1)
            return x[k].q[ia];
        return law_requant(&by, k, x[k].q[ia] - x[k].z, zy, q->spec.qmin, q->spec.qmax);
    }
    case OCT_OP_requantize:
        return law_requant(&by, 0, x[0].q[i] - x[0].z, zy, q->spec.qmin, q->spec.qmax);
    case OCT_OP_qavg_pool2d:
    case OCT_OP_qadaptive_avg_pool2d:
        return law_average(n, x, dims, i, &by, zy, &q->spec);
    case OCT_OP_qtable:
        return oct_u8(g->values[n->in[1]].tensor)[x[0].q[i]];
    case OCT_OP_relu:
        return x[0].q[i] < x[0].z ? x[0].z : x[0].q[i];
    case OCT_OP_qsoftmax: {
        int32_t top;
        const float sum = octq_softmax_sum(x[0].q + i / c * c, c, m, &top);
        return octq_clamp(
            octq_rne(octq_softmax_value(m[top - x[0].q[i]], sum, *oct_f32(q->scale))) + (float)zy,
            q->spec.qmin, q->spec.qmax, zy);
    }
    default:
        return -1;
    }
}

#endif
