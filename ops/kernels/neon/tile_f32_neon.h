/* SPDX-License-Identifier: MIT
 * ops/kernels/neon/tile_f32_neon.h - a register tile of up to 6 rows x 16 columns: 24 accumulators,
 * 4 vectors of B, 1 of A. `rows` is known when compiling, so that sums stay in registers; the first
 * step multiplies instead of clearing; an old C is added at the end, off the FMA chain. */
#ifndef OCT_OPS_KERNELS_NEON_TILE_F32_NEON_H
#define OCT_OPS_KERNELS_NEON_TILE_F32_NEON_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

#include "ops/kernels/kernels.h"

#define TILE_INLINE static inline __attribute__((always_inline))
#define TILE_ROWS   _Pragma("GCC unroll 6") for (int i = 0; i < rows; i++)
#define TILE_COLS   _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++)

/* s[i][j] = or += a[i] * b[4 j ..]: a[i] points at row i's element. */
TILE_INLINE void tile_mul(const int rows, const float *const *a, const float *b,
                          float32x4_t s[6][4]) {
    TILE_ROWS TILE_COLS s[i][j] = vmulq_n_f32(vld1q_f32(b + 4 * j), *a[i]);
}
TILE_INLINE void tile_mac(const int rows, const float *const *a, int64_t k, const float *b,
                          float32x4_t s[6][4]) {
    float32x4_t v[4];
    TILE_COLS v[j] = vld1q_f32(b + 4 * j);
    TILE_ROWS {
        const float32x4_t t = vld1q_dup_f32(a[i] + k);
        TILE_COLS s[i][j] = vfmaq_f32(s[i][j], v[j], t);
    }
}
TILE_INLINE void tile_put(const int rows, const float32x4_t s[6][4], float *const *c, bool add) {
    TILE_ROWS TILE_COLS vst1q_f32(c[i] + 4 * j,
                                  add ? vaddq_f32(s[i][j], vld1q_f32(c[i] + 4 * j)) : s[i][j]);
}
/* By comparisons, so that a NaN stays. */
TILE_INLINE float32x4_t tile_clamped(float32x4_t v, octk_clamp to) {
    const float32x4_t lo = vdupq_n_f32(to.lo), hi = vdupq_n_f32(to.hi);
    v = vbslq_f32(vcgtq_f32(lo, v), lo, v);
    return vbslq_f32(vcltq_f32(hi, v), hi, v);
}

#endif
