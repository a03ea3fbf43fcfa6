/* SPDX-License-Identifier: MIT
 * What candidates share that multiply codes as they lie in memory (bytes, tiles): windows in
 * contiguous runs, weights in steps of four, the zero point in the bias. */
#include "ops/qconv.h"

#include "src/mem.h"

enum { WIDEST = 64 /* border */ };

octi_halo octi_codes_halo(const octi_qconv *c) {
    const int32_t h = (c->p - 1) * c->stride[0] + (c->r - 1) * c->dilation[0] + 1 - c->pads[0],
                  w = (c->q - 1) * c->stride[1] + (c->s - 1) * c->dilation[1] + 1 - c->pads[1];
    return (octi_halo){c->pads[0], c->pads[1], h > c->h ? h - c->h : 0, w > c->w ? w - c->w : 0};
}

const char *octi_codes_unfit(const octi_qconv *c) {
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    const octi_halo need = octi_codes_halo(c);
    if (need.top > WIDEST || need.left > WIDEST || need.bottom > WIDEST || need.right > WIDEST)
        return "borders too wide to lay out";
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

bool octi_lift(const octi_qconv *c, const int32_t *b, int32_t lanes) {
    if (c->by.law != OCTQ_FP32 || c->zy || c->lo || c->hi != UINT8_MAX ||
        c->largest_output >= 1 << 23)
        return false;
    int32_t *its = (int32_t *)(uintptr_t)b;
    for (int64_t l = 0; l < (int64_t)lanes * c->groups; l++)
        its[l] = (int32_t)((uint32_t)b[l] + OCTK_LIFT);
    return true;
}
