/* SPDX-License-Identifier: MIT
 * Transforms of exact integer Winograd of stride 2: see kernels_wino.h for the matrices, the bounds
 * and the places of products and sums. The products are wino_s16_neon.c's. */
#include "ops/kernels/neon/wino_neon.h"

/* ---- input: 1-D transforms of 8 channels, to the order of octk_wino_s2_product ---- */

static inline void line4(const int16x8_t d[9], int16x8_t y[9]) {
    const int16x8_t a = vsubq_s16(d[6], d[2]), b = vsubq_s16(d[0], d[4]), c = vsubq_s16(d[2], d[4]);
    y[0] = vaddq_s16(vaddq_s16(b, b), a);
    y[1] = d[1];
    y[2] = vsubq_s16(vsubq_s16(d[8], d[4]), vaddq_s16(a, a));
    y[3] = d[7];
    y[4] = vsubq_s16(a, vaddq_s16(d[2], d[4]));
    y[5] = vaddq_s16(vaddq_s16(c, c), vaddq_s16(c, a));
    y[6] = a;
    y[7] = d[3];
    y[8] = d[5];
}
static inline void line2(const int16x8_t d[5], int16x8_t y[5]) {
    y[0] = vsubq_s16(d[0], d[2]);
    y[1] = d[1];
    y[2] = vsubq_s16(d[4], d[2]);
    y[3] = d[3];
    y[4] = d[2];
}

#define TRANSFORM(name, line, edge)                                                                \
    static void name(const octk_wino_in_u8s16 *a, const uint8_t *first, int16_t *all) {            \
        int16x8_t d[edge], y[edge], column[edge][edge];                                            \
        for (int32_t i = 0; i < a->count; i++)                                                     \
            for (int32_t half = 0; half < 16; half += 8) {                                         \
                const int32_t t = a->t + i;                                                        \
                const uint8_t *x = first + i * (edge - 1) * a->pixel + half;                       \
                int16_t *v = all + t / G * a->group + t % G * 16 + half;                           \
                for (int32_t k = 0; k < edge; k++) {                                               \
                    for (int32_t r = 0; r < edge; r++)                                             \
                        d[r] = codes(x + r * a->row + k * a->pixel);                               \
                    line(d, column[k]);                                                            \
                }                                                                                  \
                for (int32_t r = 0; r < edge; r++) {                                               \
                    for (int32_t k = 0; k < edge; k++) d[k] = column[k][r];                        \
                    line(d, y);                                                                    \
                    for (int32_t k = 0; k < edge; k++)                                             \
                        vst1q_s16(v + octk_wino_s2_product(edge, r, k) * a->place, y[k]);          \
                }                                                                                  \
            }                                                                                      \
    }
TRANSFORM(in4s2, line4, 9)
OCTK_EACH_BLOCK(octk_wino4s2_in_u8s16_neon, in4s2)
TRANSFORM(in2s2, line2, 5)
OCTK_EACH_BLOCK(octk_wino2s2_in_u8s16_neon, in2s2)

/* ---- output: 16 lanes of a tile, four at a time ---- */

/* A^T of seven sums: the first output's own, the last one's, points 1, -1, 2, odd cells. */
static inline void line4_out(const int32x4_t d[7], int32x4_t *y, int32_t step) {
    const int32x4_t s = vaddq_s32(d[2], d[3]), t = vsubq_s32(d[2], d[3]);
    y[0] = vaddq_s32(vaddq_s32(d[0], s), d[4]);
    y[step] = vaddq_s32(vaddq_s32(t, d[5]), vaddq_s32(d[4], d[4]));
    y[2 * step] = vaddq_s32(vaddq_s32(s, d[6]), vshlq_n_s32(d[4], 2));
    y[3 * step] = vaddq_s32(vaddq_s32(t, d[1]), vshlq_n_s32(d[4], 3));
}
static inline void line2_out(const int32x4_t d[3], int32x4_t *y, int32_t step) {
    y[0] = vaddq_s32(d[0], d[2]);
    y[step] = vaddq_s32(d[1], d[2]);
}

/* 954437177: the inverse of 9 */
FOUR_LANES(four4, line4_out, 7, 4, octk_wino_s2_sum, 2, y[i] = vmulq_n_s32(y[i], 954437177);
           , y[i] = vshrq_n_s32(y[i], 2);)
FOUR_LANES(four2, line2_out, 3, 2, octk_wino_s2_sum, 2, , )
OUT(octk_wino4s2_out_s32u8_neon, out4, four4, 4)
OUT(octk_wino2s2_out_s32u8_neon, out2, four2, 2)
