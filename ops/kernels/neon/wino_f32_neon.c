/* SPDX-License-Identifier: MIT
 * Winograd F(4x4,3x3) transforms, 4 channels at a time: the columns of a tile, then its rows. */
#include <arm_neon.h>

#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/tile_f32_neon.h"

typedef float32x4_t v4;
#define ADD(a, b)     vaddq_f32(a, b)
#define SUB(a, b)     vsubq_f32(a, b)
#define FMA(a, b, c)  vfmaq_n_f32(c, b, a)    /* c + a * b */
#define FNMA(a, b, c) vfmaq_n_f32(c, b, -(a)) /* c - a * b */

/** B^T of six values. */
static inline void input6(const v4 d[6], v4 *p, int step) {
    const v4 c = SUB(d[4], d[2]), f = SUB(d[3], d[1]), a = FNMA(4, d[2], d[4]),
             b = FNMA(4, d[1], d[3]);
    p[0] = FMA(4, SUB(d[0], d[2]), c);
    p[step] = ADD(a, b);
    p[2 * step] = SUB(a, b);
    p[3 * step] = FMA(2, f, c);
    p[4 * step] = FNMA(2, f, c);
    p[5 * step] = FNMA(4, f, SUB(d[5], d[3]));
}
/** A^T of six values. */
static inline void output4(const v4 d[6], v4 *p, int step) {
    const v4 s = ADD(d[1], d[2]), t = SUB(d[1], d[2]), u = ADD(d[3], d[4]), w = SUB(d[3], d[4]);
    p[0] = ADD(ADD(d[0], s), u);
    p[step] = FMA(2, w, t);
    p[2 * step] = FMA(4, u, s);
    p[3 * step] = ADD(FMA(8, w, t), d[5]);
}
/** A of four values. */
static inline void spread6(const v4 d[4], v4 *p, int step) {
    const v4 e = ADD(d[0], d[2]), o = ADD(d[1], d[3]), f = FMA(4, d[2], d[0]),
             g = FMA(4, d[3], d[1]);
    p[0] = d[0];
    p[step] = ADD(e, o);
    p[2 * step] = SUB(e, o);
    p[3 * step] = FMA(2, g, f);
    p[4 * step] = FNMA(2, g, f);
    p[5 * step] = d[3];
}

/* `from` x `from` values at get(i, k), to `to` x `to` at put(i, k). */
#define BOTH_WAYS(line, from, to, get, put)                                                        \
    {                                                                                              \
        v4 t[to * from], d[from], e[to];                                                           \
        for (int k = 0; k < from; k++) {                                                           \
            for (int i = 0; i < from; i++) d[i] = vld1q_f32(get);                                  \
            line(d, t + k, from);                                                                  \
        }                                                                                          \
        for (int i = 0; i < to; i++) {                                                             \
            line(t + i * from, e, 1);                                                              \
            for (int k = 0; k < to; k++) put;                                                      \
        }                                                                                          \
    }

void octk_wino_in_f32_neon(const float *x, int64_t row, int64_t c, float *v, int64_t plane) {
    for (int64_t ch = 0; ch < c; ch += 4)
        BOTH_WAYS(input6, 6, 6, x + i * row + k * c + ch,
                  vst1q_f32(v + (6 * i + k) * plane + ch, e[k]))
}

void octk_wino_out_f32_neon(const float *m, int64_t plane, int64_t o, const float *bias,
                            octk_clamp clamp, float *y, int64_t row, int64_t pixel) {
    for (int64_t ch = 0; ch < o; ch += 4) {
        const v4 z = bias ? vld1q_f32(bias + ch) : vdupq_n_f32(0);
        BOTH_WAYS(output4, 6, 4, m + (6 * i + k) * plane + ch,
                  vst1q_f32(y + i * row + k * pixel + ch, tile_clamped(ADD(e[k], z), clamp)))
    }
}

void octk_wino_dy_f32_neon(const float *dy, int64_t row, int64_t o, float *v, int64_t plane) {
    for (int64_t ch = 0; ch < o; ch += 4)
        BOTH_WAYS(spread6, 4, 6, dy + i * row + k * o + ch,
                  vst1q_f32(v + (6 * i + k) * plane + ch, e[k]))
}
