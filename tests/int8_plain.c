/* SPDX-License-Identifier: MIT
 * The interpreter of G3 nets that tests hold plans against: loops over every element, sums in
 * int64. */
#include "tests/int8_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/qround.h"
#include "tests/oct_test.h"

static float scale_at(const oct_graph *g, int32_t v) {
    return oct_f32(g->quantizers[g->values[v].quantizer].scale)[0];
}
static int zero_of(const oct_graph *g, int32_t v) {
    return oct_s32(g->quantizers[g->values[v].quantizer].zero_point)[0];
}

static int64_t per_image(const oct_shape *s) {
    int64_t n = 1;
    for (int i = 1; i < s->rank; i++) n *= s->dim[i];
    return n;
}

/* Code of x at (n,h,w,c), the zero point outside; broadcasting where a side is 1. */
typedef struct view {
    const uint8_t *p;
    int64_t h, w, c;
    int z;
} view;

static view view_of(const oct_graph *g, int32_t v, void **values) {
    const oct_shape *s = &g->values[v].shape;
    bool image = s->rank == 4;
    return (view){values[v], image ? s->dim[1] : 1, image ? s->dim[2] : 1, s->dim[s->rank - 1],
                  zero_of(g, v)};
}

static int at(const view *x, int64_t n, int64_t h, int64_t w, int64_t c) {
    if (h < 0 || w < 0 || h >= x->h || w >= x->w) return x->z;
    return x->p[((n * x->h + h) * x->w + w) * x->c + c];
}

/* Law 16 in other words than src/qround.h: doubled product, its high half, a division. */
static int64_t fixed(int64_t v, int64_t q31, int shift) {
    v = shift > 0 ? v * (INT64_C(1) << shift) : v;
    v = v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v;
    const int64_t ab = v * q31, nudge = INT64_C(1) << 30, two31 = INT64_C(1) << 31,
                  high = (ab >= 0 ? ab + nudge : ab + 1 - nudge) / two31;
    return shift >= 0 ? high : (int64_t)round(ldexp((double)high, shift));
}
/* A sum by record k of a node's constant. */
static uint8_t requant(const oct_tensor *by, int64_t k, int64_t sum, int zy, int lo, int hi) {
    if (by->dtype == OCT_F32)
        return (uint8_t)octq_requant((int32_t)sum, oct_f32(by)[k], zy, lo, hi);
    const int32_t *q = oct_s32(by);
    const int64_t code = fixed(sum, q[k], q[by->shape.dim[1] + k]) + zy;
    return (uint8_t)(code < lo ? lo : code > hi ? hi : code);
}
static uint8_t add(const oct_tensor *by, int a, int b, int zy, int lo, int hi) {
    const int32_t *q = oct_s32(by);
    const int64_t sum =
        fixed((int64_t)a * (1 << 20), q[0], q[3]) + fixed((int64_t)b * (1 << 20), q[1], q[4]);
    return requant(by, 2, sum, zy, lo, hi);
}

static void interpret_node(const oct_graph *g, const oct_node *n, void **v, int64_t images) {
    const oct_attrs *a = &n->attr;
    const oct_shape *ys = &g->values[n->out].shape;
    int64_t count = images * per_image(ys);
    uint8_t *y = v[n->out];
    bool codes = g->values[n->out].dtype == OCT_U8;
    int zy = codes ? zero_of(g, n->out) : 0;
    float sy = codes ? oct_f32(g->quantizers[g->values[n->out].quantizer].scale)[0] : 0;
    if (n->kind == OCT_OP_quantize) {
        for (int64_t i = 0; i < count; i++)
            y[i] = (uint8_t)octq_quantize(((float *)v[n->in[0]])[i], sy, zy, 0, 255);
        return;
    }
    view x = view_of(g, n->in[0], v);
    const oct_tensor *last = g->values[n->in[n->nin - 1]].tensor;
    const float *m = last && last->dtype == OCT_F32 ? oct_f32(last) : NULL;
    int64_t P = ys->rank == 4 ? ys->dim[1] : 1, Q = ys->rank == 4 ? ys->dim[2] : 1,
            O = ys->dim[ys->rank - 1];
    int lo = a->lo[0], hi = a->hi[0];
    for (int64_t i = 0; i < count; i++) {
        int64_t o = i % O, q = i / O % Q, p = i / O / Q % P, b = i / O / Q / P;
        switch (n->kind) {
        case OCT_OP_dequantize:
            ((float *)v[n->out])[i] = octq_dequantize(
                x.p[i], oct_f32(g->quantizers[g->values[n->in[0]].quantizer].scale)[0], x.z);
            break;
        case OCT_OP_qconv2d:
        case OCT_OP_qlinear: {
            bool conv = n->kind == OCT_OP_qconv2d;
            const oct_tensor *w = g->values[n->in[1]].tensor;
            int64_t R = conv ? w->shape.dim[1] : 1, S = conv ? w->shape.dim[2] : 1,
                    C = w->shape.dim[w->shape.rank - 1], G = conv ? a->groups[0] : 1;
            int64_t acc = oct_s32(g->values[n->in[2]].tensor)[o], c0 = o / (O / G) * C;
            for (int64_t r = 0; r < R; r++)
                for (int64_t s = 0; s < S; s++)
                    for (int64_t c = 0; c < C; c++) {
                        int64_t h = conv ? p * a->stride[0] - a->pads[0] + r * a->dilation[0] : 0,
                                k = conv ? q * a->stride[1] - a->pads[1] + s * a->dilation[1] : 0;
                        acc += (int64_t)(at(&x, b, h, k, c0 + c) - x.z) *
                               oct_s8(w)[((o * R + r) * S + s) * C + c];
                    }
            if (acc > INT32_MAX || acc < -INT32_MAX) ck_abort_msg("sum leaves s32");
            y[i] = requant(last, o, acc, zy, lo, hi);
            break;
        }
        case OCT_OP_qadd:
        case OCT_OP_qmul: {
            view z = view_of(g, n->in[1], v);
            int ca = at(&x, b, x.h == 1 ? 0 : p, x.w == 1 ? 0 : q, o),
                cb = at(&z, b, z.h == 1 ? 0 : p, z.w == 1 ? 0 : q, o);
            if (n->kind == OCT_OP_qmul)
                y[i] = requant(last, 0, (ca - x.z) * (cb - z.z), zy, lo, hi);
            else if (m)
                y[i] = (uint8_t)octq_add(ca, x.z, m[0], cb, z.z, m[1], zy, lo, hi);
            else
                y[i] = add(last, ca - x.z, cb - z.z, zy, lo, hi);
            break;
        }
        case OCT_OP_qcat: { /* the last axis only */
            int64_t c = o;
            int k = 0;
            for (; c >= g->values[n->in[k]].shape.dim[ys->rank - 1]; k++)
                c -= g->values[n->in[k]].shape.dim[ys->rank - 1];
            view z = view_of(g, n->in[k], v);
            y[i] = requant(last, k, at(&z, b, p, q, c) - z.z, zy, 0, 255);
            break;
        }
        case OCT_OP_max_pool2d:
        case OCT_OP_qavg_pool2d:
        case OCT_OP_qadaptive_avg_pool2d: {
            bool adaptive = n->kind == OCT_OP_qadaptive_avg_pool2d;
            int64_t h0 = adaptive ? p * x.h / P : p * a->stride[0] - a->pads[0],
                    h1 =
                        adaptive ? (p + 1) * x.h / P + ((p + 1) * x.h % P != 0) : h0 + a->kernel[0];
            int64_t w0 = adaptive ? q * x.w / Q : q * a->stride[1] - a->pads[1],
                    w1 =
                        adaptive ? (q + 1) * x.w / Q + ((q + 1) * x.w % Q != 0) : w0 + a->kernel[1];
            int64_t sum = 0, inside = 0;
            int best = -1;
            for (int64_t h = h0; h < h1; h++)
                for (int64_t w = w0; w < w1; w++) {
                    if (h < 0 || w < 0 || h >= x.h || w >= x.w) continue;
                    int code = at(&x, b, h, w, o);
                    inside++;
                    sum += code - x.z;
                    best = code > best ? code : best;
                }
            if (n->kind == OCT_OP_max_pool2d)
                y[i] = (uint8_t)best;
            else {
                const int64_t cells =
                    adaptive || a->exclude_pad[0] ? inside : (int64_t)a->kernel[0] * a->kernel[1];
                const double mean = (double)sum / (double)cells + zy; /* on one grid */
                y[i] = last ? requant(last, cells, sum, zy, 0, 255)
                            : (uint8_t)(mean > 128 ? floor(mean + 0.5) : ceil(mean - 0.5));
            }
            break;
        }
        case OCT_OP_qpad: {
            int64_t h = p - a->pads[0], w = q - a->pads[1];
            y[i] = (uint8_t)(h < 0 || w < 0 || h >= x.h || w >= x.w ? lo : at(&x, b, h, w, o));
            break;
        }
        case OCT_OP_qclip:
            y[i] = (uint8_t)(x.p[i] < lo ? lo : x.p[i] > hi ? hi : x.p[i]);
            break;
        case OCT_OP_relu:
            y[i] = x.p[i] > x.z ? x.p[i] : (uint8_t)x.z;
            break;
        case OCT_OP_qtable:
            y[i] = oct_u8(last)[x.p[i]];
            break;
        case OCT_OP_qsoftmax: { /* in double: the law's fp32 sum differs by less than a code here */
            int64_t c = ys->dim[ys->rank - 1], row = i / c * c;
            double sum = 0, e = 0;
            float in_order = 0;
            int top = 0;
            for (int64_t k = 0; k < c; k++) top = x.p[row + k] > top ? x.p[row + k] : top;
            for (int64_t k = 0; k < c; k++) {
                double term = exp(-(double)scale_at(g, n->in[0]) * (top - x.p[row + k]));
                sum += term;
                in_order += (float)term;
                if (row + k == i) e = term;
            }
            y[i] = (uint8_t)octq_quantize((float)e / in_order, scale_at(g, n->out), zy, 0, 255);
            if (fabs(y[i] - fmin(rint(e / sum * 256), 255)) > 1)
                ck_abort_msg("softmax is off by more than a code");
            break;
        }
        case OCT_OP_requantize:
            y[i] = requant(last, 0, x.p[i] - x.z, zy, 0, 255);
            break;
        case OCT_OP_slice: { /* of images, along one of their axes */
            const int64_t from = a->range[0], at_h = p + (a->axis[0] == 1 ? from : 0),
                          at_w = q + (a->axis[0] == 2 ? from : 0),
                          at_c = o + (a->axis[0] == 3 ? from : 0);
            y[i] = (uint8_t)at(&x, b, at_h, at_w, at_c);
            break;
        }
        case OCT_OP_flatten:
            y[i] = x.p[i];
            break;
        default:
            ck_abort_msg("the interpreter lacks %s", oct_op_name(n->kind));
        }
    }
}

void **test_interpret(const oct_net *net, const float *x, int64_t n) {
    const oct_graph *g = net->graph;
    void **v = calloc((size_t)g->value_count, sizeof *v);
    for (int32_t i = 0; i < g->value_count; i++)
        if (!g->values[i].tensor)
            v[i] = calloc((size_t)(n * per_image(&g->values[i].shape)) + 1,
                          oct_dtype_size(g->values[i].dtype));
    memcpy(v[g->input], x, (size_t)(n * per_image(&g->values[g->input].shape)) * sizeof *x);
    for (int32_t i = 0; i < g->node_count; i++) interpret_node(g, &g->nodes[i], v, n);
    return v;
}

void test_interpret_free(const oct_net *net, void **values) {
    for (int32_t i = 0; i < net->graph->value_count; i++) free(values[i]);
    free(values);
}
