/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with SMLAL: tiles of up to 4 pixels by 16 (or 8) channels, the whole
 * K in registers. */
#include "ops/kernels/neon/panels_neon.h"

void octk_widen_u8s16_neon(const uint8_t *x, int64_t n, int32_t z, int16_t *y) {
    const int16x8_t zero = vdupq_n_s16((int16_t)z);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const uint8x16_t v = vld1q_u8(x + i);
        vst1q_s16(y + i, vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(v))), zero));
        vst1q_s16(y + i + 8, vsubq_s16(vreinterpretq_s16_u16(vmovl_high_u8(v)), zero));
    }
    for (; i < n; i++) y[i] = (int16_t)(x[i] - z);
}

static inline int16x4_t pair_at(const uint8_t *x) {
    int32_t two;
    memcpy(&two, x, sizeof two);
    return vreinterpret_s16_s32(vdup_n_s32(two));
}

/* A pixel's pair times the first and the second of the weights' pairs, eight lanes. */
static inline void add_eight(int32x4_t *s, int16x8x2_t w, int16x4_t x) {
    s[0] = vmlal_lane_s16(s[0], vget_low_s16(w.val[0]), x, 0);
    s[1] = vmlal_high_lane_s16(s[1], w.val[0], x, 0);
    s[0] = vmlal_lane_s16(s[0], vget_low_s16(w.val[1]), x, 1);
    s[1] = vmlal_high_lane_s16(s[1], w.val[1], x, 1);
}

/* Sums of `size` pixels at p, `vectors` of four lanes each; unrolled, so that they stay in
 * registers. */
static inline __attribute__((always_inline)) void sums(const octk_conv_rows *a, const void *weights,
                                                       int32_t first, const uint8_t *const *p,
                                                       int32x4_t *s, const int32_t size,
                                                       const int32_t vectors) {
    const int16_t *w = weights;
    _Pragma("GCC unroll 4") for (int32_t j = 0; j < size; j++)
        _Pragma("GCC unroll 4") for (int32_t v = 0; v < vectors; v++) s[j * vectors + v] =
            vld1q_s32(a->b + first + 4 * v);
    for (int32_t r = 0; r < a->runs; r++) {
        const int64_t run = a->run[r];
        for (int32_t k = 0; k < a->steps; k++, w += 8 * vectors) {
            int16x8x2_t pair[2];
            _Pragma("GCC unroll 2") for (int32_t v = 0; v < vectors / 2; v++) pair[v] =
                vld2q_s16(w + 16 * v);
            _Pragma("GCC unroll 4") for (int32_t j = 0; j < size; j++) {
                const int16x4_t x = pair_at(p[j] + run + 4 * k);
                _Pragma("GCC unroll 2") for (int32_t v = 0; v < vectors / 2; v++)
                    add_eight(s + j * vectors + 2 * v, pair[v], x);
            }
        }
    }
}

#define OCTK_CONV octk_conv_s16u8_neon
#include "ops/kernels/neon/conv_tiles_neon.h"
