/* SPDX-License-Identifier: MIT
 * Weights as they were in float, folded as their codes are made, and as the codes stand for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qat/net/fold.h"
#include "qat/net/prepared.h"
#include "qat/report/gather.h"
#include "src/mem.h"
#include "src/qround.h"

/* Bins of a whole range whose channels have grids of their own; quarters of a step, as many steps
 * to each side of zero as can be told apart. */
enum { WHOLE_BINS = 160, QUARTERS = 4, STEPS_SHOWN = 16, CODES_SHOWN = 64 };

typedef struct source {
    octi_folding fold;  /* w NULL: no floats */
    float *factor;      /* [o] of the fold; NULL: no floats */
    const int8_t *code; /* [o,k]; NULL: not quantized */
    const float *scale; /* [o], or [1] */
    bool per_channel;
    int32_t qmin, qmax;
    int64_t o, k;
} source;

static double real_at(const source *s, int64_t o, int64_t i) {
    return (double)(s->fold.w[o * s->k + i] * s->factor[o]);
}
static float scale_of(const source *s, int64_t o) { return s->scale[s->per_channel ? o : 0]; }
static double code_at(const source *s, int64_t o, int64_t i) {
    return octq_dequantize(s->code[o * s->k + i], scale_of(s, o), 0);
}

/* ---- counts ---- */

static int by_bits(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Different values among n; they are sorted. */
static int64_t distinct(float *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) v[i] += 0.0f; /* -0 is 0 */
    qsort(v, (size_t)n, sizeof *v, by_bits);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += !i || memcmp(&v[i], &v[i - 1], sizeof *v);
    return count;
}

static oct_status count_distinct(oct_report *r, const source *s, octi_weights *w) {
    const int64_t n = s->o * s->k;
    float *v = octi_alloc_raw(r->ctx, (size_t)n * sizeof *v + (size_t)s->o * 256 * sizeof *v);
    if (!v) return oct_last_error()->code;
    for (int64_t i = 0; s->factor && i < n; i++) v[i] = s->fold.w[i] * s->factor[i / s->k];
    w->distinct_float = s->factor ? distinct(v, n) : -1;
    bool used[256] = {false};
    int64_t kept = 0;
    for (int64_t o = 0; s->code && o < s->o; o++) { /* each channel's codes once */
        bool own[256] = {false};
        for (int64_t i = 0; i < s->k; i++) own[s->code[o * s->k + i] + 128] = true;
        for (int q = 0; q < 256; q++) {
            if (own[q]) v[kept++] = octq_dequantize(q - 128, scale_of(s, o), 0);
            used[q] |= own[q];
        }
    }
    w->distinct = s->code ? distinct(v, kept) : -1;
    for (int q = 0; q < 256; q++) w->codes += used[q];
    octi_free(r->ctx, v);
    return OCT_OK;
}

/* ---- bins ---- */

static oct_status new_bins(oct_report *r, const source *s, double lo, double width, int32_t n,
                           octi_bins *b) {
    *b = (octi_bins){.lo = lo, .width = width, .n = n};
    if (s->factor) b->real = octi_arena_calloc(r->arena, (size_t)n, sizeof *b->real);
    if (s->code) b->code = octi_arena_calloc(r->arena, (size_t)n, sizeof *b->code);
    return (!s->factor || b->real) && (!s->code || b->code) ? OCT_OK : oct_last_error()->code;
}

static void put(const octi_bins *b, double *count, double v) {
    const double at = floor((v - b->lo) / b->width);
    if (at >= 0 && at < b->n) count[(int64_t)at]++;
}

/* The whole range: of one grid a bin for each code, its value in the middle. */
static oct_status whole(oct_report *r, const source *s, octi_weights *w) {
    double lo = 0, hi = 0;
    for (int64_t o = 0; o < s->o; o++)
        for (int64_t i = 0; i < s->k; i++) {
            const double a = s->factor ? real_at(s, o, i) : 0, b = s->code ? code_at(s, o, i) : 0;
            const double least = fmin(a, b), most = fmax(a, b);
            if (least < lo) lo = least; /* not fmin: of this reduction gcc 12 fails on AArch64 */
            if (most > hi) hi = most;
        }
    const bool grid = s->code && !s->per_channel;
    const double step = grid ? (double)s->scale[0] : 0;
    double from = lo, width = (hi - lo) / WHOLE_BINS;
    int32_t n = WHOLE_BINS;
    if (grid) {
        const double first = floor(lo / step + 0.5), last = floor(hi / step + 0.5);
        from = (first - 0.5) * step;
        width = step;
        n = last - first < 4096 ? (int32_t)(last - first) + 1 : 4096;
    }
    if (!(width > 0)) width = 1e-30;
    OCT_TRY(new_bins(r, s, from, width, n, &w->whole));
    /* the largest value belongs to the last bin */
    const double end = from + width * n, inside = end - width / 2;
    for (int64_t o = 0; o < s->o; o++)
        for (int64_t i = 0; i < s->k; i++) {
            const double a = s->factor ? real_at(s, o, i) : 0, b = s->code ? code_at(s, o, i) : 0;
            if (s->factor) put(&w->whole, w->whole.real, a >= end ? inside : a);
            if (s->code) put(&w->whole, w->whole.code, b >= end ? inside : b);
        }
    return OCT_OK;
}

/* In steps of each channel's own grid, so that codes stand at whole numbers. */
static oct_status steps(oct_report *r, const source *s, octi_weights *w) {
    if (!s->code) return OCT_OK;
    int32_t lo = s->qmin, hi = s->qmax;
    if (hi - lo >= CODES_SHOWN) lo = -STEPS_SHOWN, hi = STEPS_SHOWN;
    OCT_TRY(new_bins(r, s, lo - 0.625, 1.0 / QUARTERS, (hi - lo + 1) * QUARTERS + 1, &w->steps));
    for (int64_t o = 0; o < s->o; o++)
        for (int64_t i = 0; i < s->k; i++) {
            if (s->factor) put(&w->steps, w->steps.real, real_at(s, o, i) / (double)scale_of(s, o));
            put(&w->steps, w->steps.code, s->code[o * s->k + i]);
        }
    return OCT_OK;
}

static oct_status ranges(oct_report *r, const source *s, octi_weights *w) {
    w->lo = octi_arena_calloc(r->arena, (size_t)s->o, sizeof *w->lo);
    w->hi = octi_arena_calloc(r->arena, (size_t)s->o, sizeof *w->hi);
    w->reach = octi_arena_calloc(r->arena, (size_t)s->o, sizeof *w->reach);
    if (!w->lo || !w->hi || !w->reach) return oct_last_error()->code;
    for (int64_t o = 0; o < s->o; o++) {
        w->reach[o] = s->code ? (double)octq_dequantize(s->qmax, scale_of(s, o), 0) : NAN;
        for (int64_t i = 0; i < s->k; i++) {
            const double v = s->factor ? real_at(s, o, i) : code_at(s, o, i);
            w->lo[o] = i ? fmin(w->lo[o], v) : v;
            w->hi[o] = i ? fmax(w->hi[o], v) : v;
        }
    }
    return OCT_OK;
}

/* ---- a layer ---- */

static bool has_weights(const oct_graph *g, const oct_node *n) {
    const oct_value *w = octi_node_in(g, n, 1);
    return (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear || n->kind == OCT_OP_qconv2d ||
            n->kind == OCT_OP_qlinear) &&
           w && w->tensor && w->shape.rank >= 2;
}

static void take_codes(const oct_net *net, const char *name, source *s) {
    const int32_t at = net ? oct_graph_find_value(net->graph, name) : -1;
    const oct_value *v = at >= 0 ? &net->graph->values[at] : NULL;
    const oct_quantizer *q = v && v->quantizer >= 0 ? &net->graph->quantizers[v->quantizer] : NULL;
    if (!q || !q->scale || !v->tensor || v->tensor->dtype != OCT_S8) return;
    s->code = oct_s8(v->tensor);
    s->scale = oct_f32(q->scale);
    s->per_channel = oct_tensor_count(q->scale) > 1;
}

static oct_status gather(oct_report *r, octi_model *m, const oct_node *n, octi_weights *w) {
    const oct_graph *g = m->net->graph;
    const oct_value *v = &g->values[n->in[1]];
    source s = {.o = v->shape.dim[0], .k = oct_shape_count(&v->shape) / v->shape.dim[0]};
    const bool prepared = m->net->stage == OCT_STAGE_PREPARED;
    take_codes(prepared ? m->int8 : m->net, v->name, &s);
    if (v->tensor->dtype == OCT_F32) s.fold = octi_folding_of(g, n);
    if (!s.fold.w && !s.code) return OCT_OK; /* half precision: no grid, and no floats of its own */
    if (s.fold.w && !(s.factor = octi_alloc_raw(r->ctx, (size_t)s.o * sizeof *s.factor)))
        return oct_last_error()->code;
    for (int32_t o = 0; s.factor && o < s.o; o++) {
        float bias;
        octi_fold_channel(&s.fold, o, &s.factor[o], &bias);
    }
    int32_t bits = 8; /* an int8 net keeps no bits */
    if (prepared && octi_is_weighted(g, n)) bits = octi_weight_quantizer(g, n)->spec.bits;
    s.qmin = prepared && s.code ? octi_weight_quantizer(g, n)->spec.qmin : -127;
    s.qmax = prepared && s.code ? octi_weight_quantizer(g, n)->spec.qmax : 127;
    w->layer = octi_arena_strdup(r->arena, n->name);
    w->channels = s.o;
    w->count = s.o * s.k;
    w->bits = s.code ? bits : 32;
    w->per_channel = s.per_channel;
    oct_status st = w->layer ? OCT_OK : oct_last_error()->code;
    if (st == OCT_OK) st = count_distinct(r, &s, w);
    if (st == OCT_OK) st = whole(r, &s, w);
    if (st == OCT_OK) st = steps(r, &s, w);
    if (st == OCT_OK) st = ranges(r, &s, w);
    octi_free(r->ctx, s.factor);
    return st;
}

oct_status octi_gather_weights(oct_report *r, octi_model *m) {
    const oct_graph *g = m->net->graph;
    m->weights = octi_arena_calloc(r->arena, (size_t)g->node_count + 1, sizeof *m->weights);
    if (!m->weights) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++)
        if (has_weights(g, &g->nodes[i])) {
            octi_weights *w = &m->weights[m->weight_layers];
            OCT_TRY(gather(r, m, &g->nodes[i], w));
            m->weight_layers += w->layer != NULL;
        }
    return OCT_OK;
}
