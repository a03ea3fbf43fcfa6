/* SPDX-License-Identifier: MIT
 * Element by element on codes, 16 at a time, and the borders. Multipliers here may drive a value
 * beyond s32: converting saturates, and the clamp comes behind it. */
#include "ops/kernels/map_runs.h"
#include "ops/kernels/neon/requant_neon.h"

typedef struct law { /* of one call */
    int16x8_t zx, zx2;
    octk_ends ends;
    float32x4_t mx, mx2; /* fp32 */
    octk_four by[3];     /* q31 */
} law;

static law law_of(const octk_map_u8 *a, int records) {
    const bool q31 = a->by.law == OCTQ_Q31;
    law l = {.zx = vdupq_n_s16((int16_t)a->zx),
             .zx2 = vdupq_n_s16((int16_t)a->zx2),
             .ends = octk_ends_of(a->zy, a->lo, a->hi),
             .mx = vdupq_n_f32(q31 || records < 1 ? 0 : a->by.m[0]),
             .mx2 = vdupq_n_f32(q31 || records < 2 ? 0 : a->by.m[1])};
    for (int i = 0; q31 && i < records; i++)
        l.by[i] = octk_four_q31(vdupq_n_s32(a->by.q31[i]), vdupq_n_s32(a->by.shift[i]));
    return l;
}

/* eight codes less their zero point */
static inline int16x8_t centred(uint8x8_t x, int16x8_t z) {
    return vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(x)), z);
}
static inline float32x4_t floats(int16x4_t v) { return vcvtq_f32_s32(vmovl_s16(v)); }

/* Four values of the operands less their zero points, rounded. */
static inline int32x4_t add4(int16x4_t x, int16x4_t x2, const law *l) {
    return vcvtnq_s32_f32(vaddq_f32(vmulq_f32(floats(x), l->mx), vmulq_f32(floats(x2), l->mx2)));
}
static inline int32x4_t mul4(int16x4_t x, int16x4_t x2, const law *l) {
    return octk_scaled_fp32(vmull_s16(x, x2), l->mx);
}
static inline int32x4_t rescale4(int16x4_t x, int16x4_t x2, const law *l) {
    (void)x2;
    return octk_scaled_fp32(vmovl_s16(x), l->mx);
}
static inline int32x4_t add4_q31(int16x4_t x, int16x4_t x2, const law *l) {
    const int32x4_t p = vshlq_n_s32(vmovl_s16(x), OCTQ_Q31_ADD_SHIFT),
                    q = vshlq_n_s32(vmovl_s16(x2), OCTQ_Q31_ADD_SHIFT);
    return octk_scaled_q31(vaddq_s32(octk_scaled_q31(p, &l->by[0]), octk_scaled_q31(q, &l->by[1])),
                           &l->by[2]);
}
static inline int32x4_t mul4_q31(int16x4_t x, int16x4_t x2, const law *l) {
    return octk_scaled_q31(vmull_s16(x, x2), &l->by[0]);
}
static inline int32x4_t rescale4_q31(int16x4_t x, int16x4_t x2, const law *l) {
    (void)x2;
    return octk_scaled_q31(vmovl_s16(x), &l->by[0]);
}

/* A run of c codes; what is left of it goes through a block, so that nothing beside it is read. */
#define RUN(name, four)                                                                            \
    static inline uint8x16_t name##_16(const uint8_t *x, const uint8_t *x2, const law *l) {        \
        const uint8x16_t p = vld1q_u8(x), q = vld1q_u8(x2);                                        \
        const int16x8_t a = centred(vget_low_u8(p), l->zx), b = centred(vget_high_u8(p), l->zx),   \
                        c = centred(vget_low_u8(q), l->zx2), d = centred(vget_high_u8(q), l->zx2); \
        return octk_codes(four(vget_low_s16(a), vget_low_s16(c), l),                               \
                          four(vget_high_s16(a), vget_high_s16(c), l),                             \
                          four(vget_low_s16(b), vget_low_s16(d), l),                               \
                          four(vget_high_s16(b), vget_high_s16(d), l), l->ends);                   \
    }                                                                                              \
    static inline void name(const uint8_t *x, const uint8_t *x2, uint8_t *y, int32_t c,            \
                            const law *l) {                                                        \
        int32_t i = 0;                                                                             \
        for (; i + 16 <= c; i += 16) vst1q_u8(y + i, name##_16(x + i, x2 + i, l));                 \
        if (i == c) return;                                                                        \
        uint8_t rest[16] = {0}, rest2[16] = {0};                                                   \
        memcpy(rest, x + i, (size_t)(c - i));                                                      \
        memcpy(rest2, x2 + i, (size_t)(c - i));                                                    \
        octk_store_bytes(y + i, name##_16(rest, rest2, l), c - i);                                 \
    }
RUN(add_run, add4)
RUN(mul_run, mul4)
RUN(rescale_run, rescale4)
RUN(add_run_q31, add4_q31)
RUN(mul_run_q31, mul4_q31)
RUN(rescale_run_q31, rescale4_q31)

static inline void clip_run(const uint8_t *x, uint8_t *y, int32_t c, octk_ends e) {
    int32_t i = 0;
    for (; i + 16 <= c; i += 16) vst1q_u8(y + i, vminq_u8(vmaxq_u8(vld1q_u8(x + i), e.lo), e.hi));
    const uint8_t least = vgetq_lane_u8(e.lo, 0), most = vgetq_lane_u8(e.hi, 0);
    for (; i < c; i++) {
        const uint8_t v = x[i] > least ? x[i] : least;
        y[i] = v < most ? v : most;
    }
}

void octk_add_u8_neon(const octk_map_u8 *a) {
    const law l = law_of(a, a->by.law == OCTQ_Q31 ? 3 : 2);
    if (a->by.law == OCTQ_FP32)
        EACH_RUN(a, add_run(x, SECOND(a), y, a->c, &l))
    else
        EACH_RUN(a, add_run_q31(x, SECOND(a), y, a->c, &l))
}
void octk_mul_u8_neon(const octk_map_u8 *a) {
    const law l = law_of(a, 1);
    if (a->by.law == OCTQ_FP32)
        EACH_RUN(a, mul_run(x, SECOND(a), y, a->c, &l))
    else
        EACH_RUN(a, mul_run_q31(x, SECOND(a), y, a->c, &l))
}
void octk_rescale_u8_neon(const octk_map_u8 *a) {
    const law l = law_of(a, 1);
    if (a->by.law == OCTQ_FP32)
        EACH_RUN(a, rescale_run(x, x, y, a->c, &l))
    else
        EACH_RUN(a, rescale_run_q31(x, x, y, a->c, &l))
}
void octk_clip_u8_neon(const octk_map_u8 *a) {
    const octk_ends e = octk_ends_of(0, a->lo, a->hi);
    EACH_RUN(a, clip_run(x, y, a->c, e))
}

static void quantize_row(const float *x, int64_t n, const octk_quantize_f32u8 *a, uint8_t *y) {
    const octk_ends e = octk_ends_of(a->z, a->qmin, a->qmax);
    const float32x4_t scale = vdupq_n_f32(a->s);
    for (int64_t i = 0; i < n && n >= 16; i += 16) {
        if (i + 16 > n) i = n - 16; /* the last sixteen, some of them once more */
        int32x4_t q[4];
        /* of NaN the conversion makes 0: the zero point */
        for (int k = 0; k < 4; k++)
            q[k] = vcvtnq_s32_f32(vdivq_f32(vld1q_f32(x + i + 4 * k), scale));
        vst1q_u8(y + i, octk_codes(q[0], q[1], q[2], q[3], e));
    }
    for (int64_t i = 0; i < n && n < 16; i++)
        y[i] = (uint8_t)octq_quantize(x[i], a->s, a->z, a->qmin, a->qmax);
}
void octk_quantize_f32u8_neon(const octk_quantize_f32u8 *a) {
    for (int64_t r = 0; r < a->rows; r++)
        quantize_row(a->x + r * a->n, a->n, a, a->y + r * a->pitch);
}

void octk_dequantize_u8f32_neon(const uint8_t *x, int64_t n, float s, int32_t z, float *y) {
    const int16x8_t zero = vdupq_n_s16((int16_t)z);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const int16x8_t q = centred(vld1_u8(x + i), zero);
        vst1q_f32(y + i, vmulq_n_f32(floats(vget_low_s16(q)), s));
        vst1q_f32(y + i + 4, vmulq_n_f32(floats(vget_high_s16(q)), s));
    }
    for (; i < n; i++) y[i] = octq_dequantize(x[i], s, z);
}
