/* SPDX-License-Identifier: MIT
 * int8 convolution and linear: judge the operands, prove the bounds, choose the candidate. */
#include "ops/qconv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cpu.h"
#include "src/mem.h"

const octi_candidate *const octi_candidates[] = {
#define OCT_CANDIDATE(name) &octi_qconv_##name,
#include "ops/qconv.def"
};
const int octi_candidate_count = sizeof octi_candidates / sizeof *octi_candidates;
_Static_assert(sizeof octi_candidates / sizeof *octi_candidates <= 16, "MOST_CANDIDATES");

const octi_qconv *octi_qconv_of(const octi_qargs *q) { return q->r->u.conv; }
octi_halo octi_no_halo(const octi_qconv *c) { return (void)c, (octi_halo){0}; }
int32_t octi_row_units(const octi_qconv *c) { return c->p / c->pool; }
int32_t octi_panels_of(const octi_qconv *c) {
    return c->groups > 1 ? 1 : (c->o + OCTI_PANEL - 1) / OCTI_PANEL;
}
octi_span octi_channels(const octi_qconv *c, const octi_qcall *call) {
    const int32_t to = (call->panel + call->panels) * OCTI_PANEL;
    if (!call->panels) return (octi_span){0, c->o};
    return (octi_span){call->panel * OCTI_PANEL, to < c->o ? to : c->o};
}

/* Sums of |w| and of w, in 32 bits for as long as they hold them. */
static int64_t sizes(const int8_t *w, int64_t n, int64_t *plain) {
    int64_t sum = 0;
    *plain = 0;
    for (int64_t from = 0; from < n; from += 1 << 20) {
        const int64_t to = n - from < 1 << 20 ? n : from + (1 << 20);
        int32_t part = 0, all = 0;
        for (int64_t i = from; i < to; i++) part += abs(w[i]), all += w[i];
        sum += part;
        *plain += all;
    }
    return sum;
}

/* The largest |sum| that codes of d can give: each as far up or down as its weight's sign asks. */
static int64_t extreme(const octi_qdesc *d, int64_t bias, int64_t positive, int64_t negative) {
    const int64_t up = d->qmax > d->zero_point ? d->qmax - d->zero_point : 0,
                  down = d->zero_point > d->qmin ? d->zero_point - d->qmin : 0,
                  most = bias + positive * up + negative * down,
                  least = bias - positive * down - negative * up;
    return most > -least ? most : -least;
}

/* |b| + sum|w| * max|q - z| <= 2^31 - 1 for every output channel, and its multiplier is sound. */
static oct_status prove(const octi_qargs *q, octi_qconv *c) {
    const int64_t k = (int64_t)c->r * c->s * (c->c / c->groups), reach = octi_reach(&q->in[0]);
    for (int64_t j = 0; j < c->o; j++) {
        int64_t bound, plain;
        const int64_t sum = sizes(c->weight + j * k, k, &plain),
                      most = extreme(&q->in[0], c->bias[j], (sum + plain) / 2, (sum - plain) / 2);
        OCT_TRY(octi_prove_accumulator(q->where, j, c->bias[j], sum, reach, &bound));
        OCT_TRY(octi_need_multiplier(q, j, bound));
        if (bound > c->largest_sum) c->largest_sum = bound;
        if (sum > c->largest_weight) c->largest_weight = sum;
        if (most > c->largest_output) c->largest_output = most;
        if (c->by.law != OCTQ_FP32) continue;
        const double value = (double)bound * (double)c->by.m[j];
        if (value > c->largest_value) c->largest_value = value;
        if (c->by.m[j] < c->least_m || j == 0) c->least_m = c->by.m[j];
    }
    return OCT_OK;
}

enum { MOST_CANDIDATES = 16 };

/* "winograd4 27.9 thousand cycles; rows 93.5, patches 742": what it was chosen for. */
static const char *reason(octi_arena *arena, const octi_candidate *best, const double *cycles) {
    char text[96] = "";
    size_t used = 0;
    for (int first = 1; first >= 0; first--)
        for (int i = 0; i < octi_candidate_count; i++) {
            const octi_candidate *k = octi_candidates[i];
            if (cycles[i] < 0 || (k == best) != first) continue;
            const char *before = first ? "" : strchr(text, ';') ? ", " : "; ";
            const double thousands = cycles[i] / 1000;
            const int digits = thousands < 999.5 ? 3 : 9; /* 1360, not 1.36e+03 */
            const int n = snprintf(text + used, sizeof text - used, "%s%s %.*g%s", before, k->name,
                                   digits, digits > 3 ? round(thousands) : thousands,
                                   first ? " thousand cycles" : "");
            if (n < 0 || used + (size_t)n >= sizeof text) {
                text[used] = 0; /* whole words */
                break;
            }
            used += (size_t)n;
        }
    return octi_arena_strdup(arena, text);
}

/* The cheapest of those that can; what the others would have cost is the reason. */
static oct_status choose(const octi_qargs *q, const octi_qconv *c) {
    octi_qrun *r = q->r;
    oct_ctx *ctx = octi_arena_ctx(q->arena);
    const char *only = octi_ctx_only_candidate(ctx);
    const octi_candidate *best = NULL;
    double cycles[MOST_CANDIDATES];
    bool fixed = false;
    for (int i = 0; i < octi_candidate_count; i++) {
        const octi_candidate *k = octi_candidates[i];
        cycles[i] = -1;
        const bool asked_for = only && !strcmp(only, k->name);
        if ((k->offered && !asked_for && !k->offered(r->kernels)) || k->unfit(c)) continue;
        if (c->pool > 1 && !k->pools) continue;
        cycles[i] = k->cycles(c);
        if (!best || asked_for || (!fixed && cycles[i] < r->cycles)) {
            best = k;
            r->cycles = cycles[i];
            fixed = asked_for;
        }
    }
    r->kernel = best->name;
    r->why = reason(q->arena, best, cycles);
    r->bind = best->bind;
    r->halo = best->halo(c);
    r->units = best->units(c);
    r->unit_rows = best->unit_rows ? best->unit_rows : 1;
    r->panels = best->panels ? best->panels(c) : 1;
    r->pitched = true;
    r->candidate = best;
    r->path = c->groups == 1                      ? OCTI_PATH_qconv_whole
              : c->groups == c->c && c->o == c->c ? OCTI_PATH_qconv_depthwise
                                                  : OCTI_PATH_qconv_grouped;
    return r->why ? OCT_OK : oct_last_error()->code;
}

static oct_status check_operands(const octi_qargs *q, oct_shape w, int64_t o) {
    if (q->nin != 4)
        return octi_fail(OCT_EUSAGE, q->where, "inputs", "x, w, b, m", octi_fmt("%d", q->nin),
                         NULL);
    OCT_TRY(octi_need_codes(q, &q->in[0], "input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    OCT_TRY(octi_need_const(q, 1, "weight", OCT_S8, w));
    OCT_TRY(octi_need_const(q, 2, "bias", OCT_S32, OCT_SHAPE(o)));
    return octi_need_records(q, 3, o);
}

/* What is not geometry; then bounds and choice. */
static oct_status take(const octi_qargs *q, const octi_qconv *geometry) {
    OCT_TRY(octi_need_clamp(q));
    octi_qconv *c = octi_arena_alloc(q->arena, sizeof *c);
    if (!c) return oct_last_error()->code;
    *c = *geometry;
    c->pool = 1;
    c->zx = q->in[0].zero_point;
    c->zy = q->out->zero_point;
    c->qmax = q->in[0].qmax;
    c->lo = q->a->lo[0];
    c->hi = q->a->hi[0];
    c->weight = oct_s8(q->in[1].tensor);
    c->beside = q->in[1].beside;
    c->bias = oct_s32(q->in[2].tensor);
    c->by = q->r->by;
    c->least_m = 1;
    c->kernels = q->r->kernels;
    q->r->u.conv = c;
    q->r->packed = 1;
    OCT_TRY(prove(q, c));
    return choose(q, c);
}

oct_status octi_qinit_conv2d(const octi_qargs *q) {
    const oct_attrs *a = q->a;
    const oct_shape *x = &q->in[0].shape, *w = &q->in[1].shape;
    int64_t p, s;
    if (x->rank != 4 || w->rank != 4)
        return octi_fail(OCT_ESHAPE, q->where, "rank", "x [N,H,W,C], w [O,R,S,C/g]",
                         octi_fmt("%s and %s", oct_shape_text(x), oct_shape_text(w)), NULL);
    if (a->groups[0] < 1 || x->dim[3] < 1 || x->dim[3] > 1 << 24 || w->dim[0] < 1 ||
        w->dim[0] > 1 << 24 || x->dim[3] % a->groups[0] || w->dim[0] % a->groups[0])
        return octi_fail(OCT_EUSAGE, q->where, "groups", "a divisor of C and O",
                         octi_fmt("%d of C %lld, O %lld", a->groups[0], (long long)x->dim[3],
                                  (long long)w->dim[0]),
                         NULL);
    OCT_TRY(octi_window(q->where, "H", x->dim[1], a->pads[0], a->pads[2], a->kernel[0],
                        a->stride[0], a->dilation[0], &p));
    OCT_TRY(octi_window(q->where, "W", x->dim[2], a->pads[1], a->pads[3], a->kernel[1],
                        a->stride[1], a->dilation[1], &s));
    OCT_TRY(check_operands(
        q, OCT_SHAPE(w->dim[0], a->kernel[0], a->kernel[1], x->dim[3] / a->groups[0]), w->dim[0]));
    OCT_TRY(octi_need_shape(q, q->out, "output", OCT_SHAPE(OCT_BATCH, p, s, w->dim[0])));
    octi_qconv g = {.h = (int32_t)x->dim[1],
                    .w = (int32_t)x->dim[2],
                    .c = (int32_t)x->dim[3],
                    .p = (int32_t)p,
                    .q = (int32_t)s,
                    .o = (int32_t)w->dim[0],
                    .r = a->kernel[0],
                    .s = a->kernel[1],
                    .groups = a->groups[0]};
    memcpy(g.stride, a->stride, sizeof g.stride);
    memcpy(g.pads, a->pads, sizeof g.pads);
    memcpy(g.dilation, a->dilation, sizeof g.dilation);
    return take(q, &g);
}

oct_status octi_qinit_linear(const octi_qargs *q) {
    const oct_shape *x = &q->in[0].shape, *w = &q->in[1].shape;
    if (x->rank != 2 || w->rank != 2 || x->dim[1] < 1 || x->dim[1] > 1 << 24 || w->dim[0] < 1 ||
        w->dim[0] > 1 << 24)
        return octi_fail(OCT_ESHAPE, q->where, "shapes", "x [N,K], w [O,K]",
                         octi_fmt("%s and %s", oct_shape_text(x), oct_shape_text(w)), NULL);
    OCT_TRY(check_operands(q, OCT_SHAPE(w->dim[0], x->dim[1]), w->dim[0]));
    OCT_TRY(octi_need_shape(q, q->out, "output", OCT_SHAPE(OCT_BATCH, w->dim[0])));
    const octi_qconv g = {.h = 1,
                          .w = 1,
                          .c = (int32_t)x->dim[1],
                          .p = 1,
                          .q = 1,
                          .o = (int32_t)w->dim[0],
                          .r = 1,
                          .s = 1,
                          .groups = 1,
                          .stride = {1, 1},
                          .dilation = {1, 1}};
    return take(q, &g);
}

oct_status octi_qconv_take_pool(octi_qrun *r, bool *taken) {
    const octi_qconv *before = r->u.conv;
    *taken = r->candidate && r->candidate->pools && before->p > 1 && before->q > 1;
    if (!*taken) return OCT_OK;
    octi_qconv *c = octi_arena_alloc(r->args->arena, sizeof *c);
    if (!c) return oct_last_error()->code;
    *c = *before;
    c->pool = 2;
    r->u.conv = c;
    r->image = (int64_t)(c->p / 2) * (c->q / 2) * c->o;
    octi_qargs q = *r->args;
    q.r = r;
    return choose(&q, c); /* another candidate may be the cheapest with a pool */
}

/* ---- an image on several threads ---- */

/* The model of a layer that has what the largest part has. Where others make its input's channels,
 * these come from their caches, 4 bytes a cycle. */
static double part_cycles(const void *op, octi_share share) {
    const octi_qrun *r = op;
    octi_qconv part = *r->u.conv;
    const int32_t rows = octi_share_most(r->units, share.rows) * r->unit_rows * part.pool,
                  channels = octi_share_most(r->panels, share.panels) * OCTI_PANEL;
    const double input = (double)part.h * part.w * part.c * (1 - 1.0 / share.panels) / 4;
    if (rows < part.p) part.p = rows;
    if (share.panels > 1 && channels < part.o) part.o = channels;
    return r->candidate->cycles(&part) + input;
}

octi_share octi_qrun_share(const octi_qrun *r, int32_t threads) {
    return octi_share_among(threads, r->units, r->panels, r->candidate ? part_cycles : NULL, r);
}

/* ---- what candidates share ---- */

bool octi_cost_counts(const octi_qconv *c, uint32_t needs, uint32_t kernel) {
    return !(needs & ~(kernel | (c->kernels->have & OCTI_CPU_ZEN)));
}

double octi_row_cycles(const octi_qconv *c, const octi_row_cost *costs, int count, uint32_t kernel,
                       double steps, int64_t weight_bytes) {
    const octi_row_cost *k = costs;
    for (int i = 0; i < count; i++)
        if (octi_cost_counts(c, costs[i].needs, kernel)) k = &costs[i];
    const int32_t lanes = octk_lanes(c->o / c->groups), wide = lanes / 16, slim = lanes % 16 / 8;
    return c->groups * (double)c->p * c->q * (wide + slim * k->slim) * (steps * k->step + k->ends) +
           c->groups * k->call +
           (double)weight_bytes * (weight_bytes > OCTI_CACHED_WEIGHTS ? k->byte : k->near);
}

/* The odd part of the factor times a sum must be a float where it decides of a code. 256 codes away
 * from the zero point it does not: that a rounding or two are off leaves it the first code or the
 * last one. And no sum may leave s32 before it is a float. */
bool octi_small_sums(const octi_qconv *c, int32_t factor, int32_t over) {
    const double most = (double)c->largest_output, last = 256 / (double)c->least_m;
    return most * factor <= INT32_MAX && c->largest_value < 0x1p30 &&
           (most < last ? most : last) * factor < 0x1p24 * over;
}

oct_status octi_new_records(octi_arena *arena, octq_law law, size_t count, octq_multipliers *by) {
    *by = (octq_multipliers){.law = law};
    if (law == OCTQ_FP32) {
        by->m = octi_arena_calloc(arena, count, sizeof *by->m);
        return by->m ? OCT_OK : oct_last_error()->code;
    }
    by->q31 = octi_arena_calloc(arena, count, 2 * sizeof *by->q31);
    by->shift = by->q31 ? by->q31 + count : NULL;
    return by->q31 ? OCT_OK : oct_last_error()->code;
}

void octi_put_record(const octq_multipliers *from, int64_t i, const octq_multipliers *to, int64_t j,
                     float over) {
    if (from->law == OCTQ_FP32) {
        ((float *)(uintptr_t)to->m)[j] = from->m[i] / over;
        return;
    }
    ((int32_t *)(uintptr_t)to->q31)[j] = from->q31[i];
    ((int32_t *)(uintptr_t)to->shift)[j] = from->shift[i];
}

oct_status octi_pack_lanes(const octi_qargs *q, const octi_qconv *c, int32_t lanes,
                           const int32_t **b, octq_multipliers *by) {
    const int32_t each = c->o / c->groups;
    /* whole vectors are read: 16 lanes from the last panel's first one on */
    const size_t count = (size_t)c->groups * (size_t)lanes + 16;
    int32_t *bb = octi_arena_calloc(q->arena, count, sizeof *bb);
    if (!bb) return oct_last_error()->code;
    OCT_TRY(octi_new_records(q->arena, c->by.law, count, by));
    for (int32_t g = 0; g < c->groups; g++)
        for (int32_t l = 0; l < lanes; l++) {
            const int32_t j = octk_lane_channel(lanes, l);
            const int64_t lane = (int64_t)g * lanes + l;
            if (j >= each) continue;
            bb[lane] = c->bias[g * each + j];
            octi_put_record(&c->by, g * each + j, by, lane, 1);
        }
    *b = bb;
    return OCT_OK;
}

static octi_layout frame_layout(const octi_qconv *c, const octi_halo *need) {
    return octi_layout_of(&OCT_SHAPE(1, c->h, c->w, c->c), 1, *need);
}

size_t octi_frame_bytes(const octi_qconv *c, const octi_layout *in, const octi_halo *need) {
    if (octi_halo_covers(&in->halo, need) && in->slack) return 0;
    return ((size_t)frame_layout(c, need).image + OCTI_SLACK + 63) & ~(size_t)63;
}

octk_image octi_frame_pitches(const octi_qconv *c, const octi_layout *in, const octi_halo *need) {
    if (!octi_frame_bytes(c, in, need)) return (octk_image){NULL, in->image, in->row, in->pixel};
    const octi_layout l = frame_layout(c, need);
    return (octk_image){NULL, l.image, l.row, l.pixel};
}

octk_image octi_framed(const octi_qconv *c, const octi_layout *in, const octi_halo *need,
                       const void *x, void *frame) {
    if (!octi_frame_bytes(c, in, need))
        return (octk_image){(uint8_t *)(uintptr_t)x, in->image, in->row, in->pixel};
    const octi_layout l = frame_layout(c, need);
    uint8_t *at = (uint8_t *)frame + l.origin;
    octi_halo_fill(&l, &OCT_SHAPE(1, c->h, c->w, c->c), at, 1, (uint8_t)c->zx);
    for (int32_t i = 0; i < c->h; i++)
        memcpy(at + i * l.row, (const uint8_t *)x + i * in->row, (size_t)(c->w * l.pixel));
    return (octk_image){at, l.image, l.row, l.pixel};
}
