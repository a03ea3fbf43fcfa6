/* SPDX-License-Identifier: MIT
 * What NEON's Winograd kernels share: codes widened, and a tile's sums to codes. */
#ifndef OCT_OPS_KERNELS_NEON_WINO_NEON_H
#define OCT_OPS_KERNELS_NEON_WINO_NEON_H

#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/requant_neon.h"

enum { G = OCTK_WINO_GROUP };

static inline int16x8_t codes(const uint8_t *x) {
    return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x)));
}

/* Of four lanes the tile's sums as rounded values: y[pixel]. The bias enters at place (one, one),
 * whose coefficients are all 1; `undo` takes the odd factor from y[i], `less` the rest of q31's. */
#define FOUR_LANES(name, line, edge, tile, place, one, undo, less)                                 \
    static inline void name(const int32_t *m, const int32_t *b, const octk_four *by, octq_law law, \
                            int32x4_t *y) {                                                        \
        int32x4_t t[tile * edge], d[edge];                                                         \
        for (int32_t j = 0; j < edge; j++) {                                                       \
            for (int32_t i = 0; i < edge; i++) d[i] = vld1q_s32(m + place(edge, i, j) * G * 16);   \
            if (j == one) d[one] = vaddq_s32(d[one], vld1q_s32(b));                                \
            line(d, t + j, edge);                                                                  \
        }                                                                                          \
        for (int32_t i = 0; i < tile; i++) line(t + i * edge, y + i * tile, 1);                    \
        for (int32_t i = 0; i < tile * tile; i++) {                                                \
            undo if (law == OCTQ_Q31){less} y[i] = octk_scaled(y[i], by, law);                     \
        }                                                                                          \
    }

/* The kernel, of what FOUR_LANES made. */
#define OUT(kernel, name, four, tile)                                                              \
    static inline void name(const octk_wino_out_s32u8 *a, octq_law law) {                          \
        const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);                                     \
        octk_four by[4];                                                                           \
        for (int32_t l = 0; l < 4; l++) by[l] = octk_four_of(&a->by, 4 * l);                       \
        octk_wino_tile t = octk_wino_first(a);                                                     \
        for (; t.left; octk_wino_next(&t, tile * a->pixel)) {                                      \
            int32x4_t y[4][tile * tile];                                                           \
            for (int32_t l = 0; l < 4; l++) four(t.m + 4 * l, a->b + 4 * l, &by[l], law, y[l]);    \
            for (int32_t i = 0; i < tile * tile; i++)                                              \
                vst1q_u8(t.y + i / tile * a->row + i % tile * a->pixel,                            \
                         octk_codes(y[0][i], y[2][i], y[1][i], y[3][i], e));                       \
        }                                                                                          \
    }                                                                                              \
    void kernel(const octk_wino_out_s32u8 *a) {                                                    \
        if (a->by.law == OCTQ_FP32)                                                                \
            name(a, OCTQ_FP32);                                                                    \
        else                                                                                       \
            name(a, OCTQ_Q31);                                                                     \
    }

#endif
