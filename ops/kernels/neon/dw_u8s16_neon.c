/* SPDX-License-Identifier: MIT
 * Depthwise convolution: 8 channels at a time, SMLAL a tap. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/requant_neon.h"

static inline int16x8_t codes(const uint8_t *x) {
    return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x)));
}

/* Channels c to c + 8 of one pixel. */
static inline void eight(const octk_dw_u8s16 *a, const uint8_t *x, int32_t c, uint8_t *y,
                         octk_ends e, octq_law law) {
    int32x4_t s0 = vld1q_s32(a->b + c), s1 = vld1q_s32(a->b + c + 4);
    const int16_t *w = a->w + 2 * c;
    for (int32_t k = 0; k < a->pairs; k++, w += 2 * a->c) {
        const int16x8_t x0 = codes(x + a->tap[2 * k] + c), x1 = codes(x + a->tap[2 * k + 1] + c);
        const int16x8x2_t v = vld2q_s16(w);
        s0 = vmlal_s16(s0, vget_low_s16(x0), vget_low_s16(v.val[0]));
        s1 = vmlal_high_s16(s1, x0, v.val[0]);
        s0 = vmlal_s16(s0, vget_low_s16(x1), vget_low_s16(v.val[1]));
        s1 = vmlal_high_s16(s1, x1, v.val[1]);
    }
    const octk_four m0 = octk_four_of(&a->by, c), m1 = octk_four_of(&a->by, c + 4);
    const int32x4_t p = octk_scaled(s0, &m0, law), q = octk_scaled(s1, &m1, law);
    vst1_u8(y, vget_low_u8(octk_codes(p, q, p, q, e)));
}

static inline void one(const octk_dw_u8s16 *a, const uint8_t *x, int32_t c, uint8_t *y) {
    int32_t sum = a->b[c];
    for (int32_t k = 0; k < a->pairs; k++) {
        const int16_t *w = a->w + ((int64_t)k * a->c + c) * 2;
        sum += x[a->tap[2 * k] + c] * w[0] + x[a->tap[2 * k + 1] + c] * w[1];
    }
    octq_requant_row(&a->by, c, &sum, 1, a->zy, a->lo, a->hi, y);
}

static inline void every(const octk_dw_u8s16 *a, octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    for (int32_t n = 0; n < a->n; n++)
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++) {
                const uint8_t *x = a->x.base + n * a->x.image + p * a->stride_h * a->x.row +
                                   q * a->stride_w * a->x.pixel;
                uint8_t *y = a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel;
                int32_t c = 0;
                for (; c + 8 <= a->c; c += 8) eight(a, x, c, y + c, e, law);
                for (; c < a->c; c++) one(a, x, c, y + c);
            }
}

void octk_dw_u8s16_neon(const octk_dw_u8s16 *a) {
    if (a->by.law == OCTQ_FP32)
        every(a, OCTQ_FP32);
    else
        every(a, OCTQ_Q31);
}
