/* SPDX-License-Identifier: MIT
 * Laws 7 and 16 on vectors: what NEON kernels of codes share. Of fp32, sums times their multiplier
 * stay inside s32 (proven when packing), so converting rounds half to even, narrowing saturates,
 * and the clamp may come last: the code is the law's. Of q31 that holds for any sum. */
#ifndef OCT_OPS_KERNELS_NEON_REQUANT_NEON_H
#define OCT_OPS_KERNELS_NEON_REQUANT_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "src/qround.h"

typedef struct octk_ends { /* zero point, clamp */
    int16x8_t z;
    uint8x16_t lo, hi;
} octk_ends;

static inline octk_ends octk_ends_of(int32_t z, int32_t lo, int32_t hi) {
    return (octk_ends){vdupq_n_s16((int16_t)z), vdupq_n_u8((uint8_t)lo), vdupq_n_u8((uint8_t)hi)};
}

/* Records of four sums. */
typedef struct octk_four {
    float32x4_t m;              /* fp32 */
    int32x4_t q31, left, right; /* q31; shifts: left >= 0, right <= 0 as VRSHL takes it */
} octk_four;

static inline octk_four octk_four_q31(int32x4_t q31, int32x4_t shift) {
    const int32x4_t zero = vdupq_n_s32(0);
    return (octk_four){.q31 = q31, .left = vmaxq_s32(shift, zero), .right = vminq_s32(shift, zero)};
}
/* Of channels i to i + 3. */
static inline octk_four octk_four_of(const octq_multipliers *by, int64_t i) {
    if (by->law == OCTQ_FP32) return (octk_four){.m = vld1q_f32(by->m + i)};
    return octk_four_q31(vld1q_s32(by->q31 + i), vld1q_s32(by->shift + i));
}

/* octq_q31_scale. VRSHL rounds a half up; one less below zero, where anything is shifted out, makes
 * that a half away from zero. */
static inline int32x4_t octk_scaled_q31(int32x4_t acc, const octk_four *e) {
    const int32x4_t high = vqrdmulhq_s32(vqshlq_s32(acc, e->left), e->q31),
                    less = vshrq_n_s32(vandq_s32(high, e->right), 31);
    return vrshlq_s32(vqaddq_s32(high, less), e->right);
}
static inline int32x4_t octk_scaled_fp32(int32x4_t acc, float32x4_t m) {
    return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), m));
}
/* Sums by their records, rounded; `law` is known when compiling. */
static inline int32x4_t octk_scaled(int32x4_t acc, const octk_four *e, octq_law law) {
    return law == OCTQ_FP32 ? octk_scaled_fp32(acc, e->m) : octk_scaled_q31(acc, e);
}
/** Rounded values as codes: a, b, c, d in this order. */
static inline uint8x16_t octk_codes(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d,
                                    octk_ends e) {
    const int16x8_t p = vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), e.z),
                    q = vqaddq_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)), e.z);
    return vminq_u8(vmaxq_u8(vcombine_u8(vqmovun_s16(p), vqmovun_s16(q)), e.lo), e.hi);
}
/** The first n bytes, 1 to 16. */
static inline void octk_store_bytes(uint8_t *y, uint8x16_t v, int32_t n) {
    if (n >= 16) {
        vst1q_u8(y, v);
        return;
    }
    if (n & 8) {
        vst1_u8(y, vget_low_u8(v));
        v = vextq_u8(v, v, 8);
        y += 8;
    }
    if (n & 4) {
        const uint32_t part = vgetq_lane_u32(vreinterpretq_u32_u8(v), 0);
        memcpy(y, &part, 4);
        v = vextq_u8(v, v, 4);
        y += 4;
    }
    if (n & 2) {
        const uint16_t part = vgetq_lane_u16(vreinterpretq_u16_u8(v), 0);
        memcpy(y, &part, 2);
        v = vextq_u8(v, v, 2);
        y += 2;
    }
    if (n & 1) *y = vgetq_lane_u8(v, 0);
}

#endif
