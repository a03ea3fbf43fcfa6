/* SPDX-License-Identifier: MIT
 * What candidates share that multiply codes as they lie in memory (bytes, tiles): windows in
 * contiguous runs, weights in steps of four, the zero point in the bias. */
#include "ops/qconv.h"

#include <math.h>
#include <string.h>

#include "src/mem.h"

octi_halo octi_codes_halo(const octi_qconv *c) {
    const int32_t h = (c->p - 1) * c->stride[0] + (c->r - 1) * c->dilation[0] + 1 - c->pads[0],
                  w = (c->q - 1) * c->stride[1] + (c->s - 1) * c->dilation[1] + 1 - c->pads[1];
    return (octi_halo){c->pads[0], c->pads[1], h > c->h ? h - c->h : 0, w > c->w ? w - c->w : 0};
}

const char *octi_codes_unfit(const octi_qconv *c) {
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    if (octi_borders_too_wide(octi_codes_halo(c))) return "borders too wide to lay out";
    return NULL;
}

octi_runs octi_runs_of(const octi_qconv *c) {
    const bool whole = c->groups == 1 && c->dilation[1] == 1;
    return (octi_runs){.count = c->r * (whole ? 1 : c->s),
                       .taps = whole ? 1 : c->s,
                       .length = c->c / c->groups * (whole ? c->s : 1)};
}

void octi_place_runs(const octi_qconv *c, const octk_image *x, int64_t *at) {
    const octi_runs runs = octi_runs_of(c);
    for (int32_t i = 0; i < runs.count; i++)
        at[i] = (int64_t)(i / runs.taps) * c->dilation[0] * x->row +
                (int64_t)(i % runs.taps) * c->dilation[1] * x->pixel;
}

oct_status octi_pack_codes(const octi_qargs *q, const octi_qconv *c, int32_t lanes, int32_t steps,
                           octi_panels *p) {
    const octi_runs runs = octi_runs_of(c);
    const int32_t each = c->o / c->groups, len = runs.length;
    const int64_t k_all = (int64_t)runs.count * steps;
    p->lanes = lanes;
    p->bytes = k_all * lanes * 4;
    int8_t *w = octi_arena_calloc(q->arena, (size_t)(p->bytes * c->groups), sizeof *w);
    int32_t *sums = octi_arena_calloc(q->arena, (size_t)lanes * c->groups + 16, sizeof *sums);
    if (!w || !sums) return oct_last_error()->code;
    OCT_TRY(octi_pack_lanes(q, c, lanes, &p->b, &p->by));
    int32_t *b = (int32_t *)(uintptr_t)p->b;
    for (int32_t g = 0; g < c->groups; g++)
        for (int32_t l = 0; l < lanes; l++) {
            const int32_t first = l / 16 * 16, width = octk_panel_lanes(lanes, first),
                          o = octk_lane_channel(lanes, l);
            if (o >= each) continue;
            const int8_t *from = c->weight + ((int64_t)g * each + o) * runs.count * len;
            int8_t *to = w + g * p->bytes + first * k_all * 4 + (l - first) * 4;
            int32_t sum = 0;
            for (int32_t n = 0; n < runs.count; n++)
                for (int32_t i = 0; i < len; i++) {
                    const int8_t v = from[(int64_t)n * len + i];
                    to[((int64_t)n * steps + i / 4) * width * 4 + i % 4] = v;
                    sum += v;
                }
            const int64_t lane = (int64_t)g * lanes + l;
            sums[lane] = sum;
            b[lane] = (int32_t)((uint32_t)b[lane] - (uint32_t)c->zx * (uint32_t)sum);
        }
    p->w = w;
    p->sums = sums;
    return OCT_OK;
}

/* ---- sums as floats ---- */

/* Whether the codes of lifted sums are the law's, where a threshold between two codes lies: neither
 * form's code falls as the sum rises, and further than 2^-15 codes from a threshold both are sure,
 * since neither errs by as much: the law rounds a sum and a product of at most 256 codes, a lifted
 * sum what near_enough lets by and one result. */
static bool same_codes(float m, int32_t zy, int64_t largest, int32_t d, float by) {
    enum { MOST_SUMS = 256 };
    const double inverse = 1 / (double)m, reach = 0x1p-15 * inverse;
    for (int32_t n = 0; n < UINT8_MAX; n++) {
        const double at = (n + 0.5 - zy) * inverse;
        if (fabs(at) > (double)largest + reach) continue;
        if (reach > MOST_SUMS) return false;
        const int64_t up = (int64_t)1 << 32, last = (int64_t)(at + reach + (double)up) - up;
        for (int64_t sum = (int64_t)(at - reach + (double)up) - up + 1; sum <= last; sum++) {
            /* a difference of such products is exact */
            const double lifted = (double)((1 << 23) + d + sum) * (double)m - (double)by;
            if (octq_round_code((float)lifted, zy, 0, UINT8_MAX) !=
                octq_round_code((float)sum * m, zy, 0, UINT8_MAX))
                return false;
        }
    }
    return true;
}

/* by is so near what it stands for; and the largest sum's float, which doubles with each 2^23
 * beyond the first, becomes an s32: one that does not is INT32_MIN, code 0 in place of 255. */
static bool near_enough(float m, int64_t largest, int32_t d, float by) {
    const uint32_t bits = OCTK_LIFT + (uint32_t)d + (uint32_t)largest;
    float high;
    memcpy(&high, &bits, sizeof high);
    return fabs((double)((1 << 23) + d) * (double)m - (double)by) < 0x1p-16 &&
           (double)high * (double)m - (double)by < 0x1p31;
}

/* (2^23 + d) m is a float, nearly, where 2^23 + d times m's odd part is a small number modulo the
 * power of two that a float's 24 bits leave: an inverse modulo that power gives such d. */
bool octi_lift_of(float m, int32_t zy, int64_t largest, int32_t *d, float *by) {
    const int32_t lift = 1 << 23, most = 1 << 12;
    *d = 0;
    *by = m * (float)lift;
    if (m == 0) return true; /* a lane of nobody */
    if (!zy) return near_enough(m, largest, 0, *by) && (largest < lift || *by >= 256);
    uint32_t modulo;
    const uint32_t inverse = octi_odd_inverse(m, &modulo);
    /* sums that may have codes other than the first and the last one */
    const double end = (double)largest, below = (zy + 1) / (double)m,
                 above = (256 - zy) / (double)m;
    const double least = (below < end ? below : end) + 1,
                 highest = lift - (above < end ? above : end) - 1;
    for (int32_t i = 0; i < most && least < highest; i++) {
        const uint32_t near = (uint32_t)(i % 2 ? -(i + 1) / 2 : i / 2),
                       from = (uint32_t)least + (uint32_t)lift;
        *d = (int32_t)(uint32_t)least + (int32_t)((near * inverse - from) % modulo);
        *by = (float)((double)(lift + *d) * (double)m);
        if (*d < highest && near_enough(m, largest, *d, *by) && same_codes(m, zy, largest, *d, *by))
            return true;
    }
    return false;
}

oct_status octi_lift_panels(const octi_qargs *q, const octi_qconv *c, octi_panels *p) {
    const size_t count = (size_t)p->lanes * (size_t)c->groups;
    p->lift = (octk_lift){NULL, NULL};
    /* so far no float leaves its normal numbers */
    if (c->by.law != OCTQ_FP32 || c->lo || c->hi != UINT8_MAX || c->largest_output >= 1 << 28)
        return OCT_OK;
    int32_t *b = octi_arena_calloc(q->arena, count + OCTI_PANEL, sizeof *b);
    float *by = octi_arena_calloc(q->arena, count + OCTI_PANEL, sizeof *by);
    if (!b || !by) return oct_last_error()->code;
    for (size_t l = 0; l < count; l++) {
        int32_t d;
        if (!octi_lift_of(p->by.m[l], c->zy, c->largest_output, &d, &by[l])) return OCT_OK;
        b[l] = (int32_t)((uint32_t)p->b[l] + OCTK_LIFT + (uint32_t)d);
    }
    p->lift = (octk_lift){b, by};
    return OCT_OK;
}
