/* SPDX-License-Identifier: MIT
 * Depthwise convolution: 16 channels at a time, two taps to a VPMADDWD. */
#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"
#include "src/qround.h"

static inline __m256i codes(const uint8_t *x) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x));
}

/* Channels c to c + 16 of one pixel. Interleaving works in halves of 8: the sums come as channels
 * 0-3, 8-11 and 4-7, 12-15, and pack in order. */
static inline void sixteen(const octk_dw_u8s16 *a, const uint8_t *x, int32_t c, uint8_t *y,
                           octk_ends e, octq_law law) {
    const __m128i *b = (const __m128i *)(a->b + c);
    __m256i s0 = _mm256_setr_m128i(_mm_loadu_si128(b), _mm_loadu_si128(b + 2)),
            s1 = _mm256_setr_m128i(_mm_loadu_si128(b + 1), _mm_loadu_si128(b + 3));
    const int16_t *w = a->w + 2 * c;
    for (int32_t k = 0; k < a->pairs; k++, w += 2 * a->c) {
        const __m256i x0 = codes(x + a->tap[2 * k] + c), x1 = codes(x + a->tap[2 * k + 1] + c);
        const __m256i w0 = _mm256_loadu_si256((const __m256i *)w),
                      w1 = _mm256_loadu_si256((const __m256i *)(w + 16));
        s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1),
                                                    _mm256_permute2x128_si256(w0, w1, 0x20)));
        s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1),
                                                    _mm256_permute2x128_si256(w0, w1, 0x31)));
    }
    const octk_eight m0 = octk_eight_of(&a->by, c, c + 8),
                     m1 = octk_eight_of(&a->by, c + 4, c + 12);
    const __m256i p = octk_scaled(s0, &m0, law), q = octk_scaled(s1, &m1, law),
                  r = octk_codes(p, q, p, q, e);
    _mm_storeu_si128((__m128i *)y,
                     _mm_unpacklo_epi64(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1)));
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
                for (; c + 16 <= a->c; c += 16) sixteen(a, x, c, y + c, e, law);
                for (; c < a->c; c++) one(a, x, c, y + c);
            }
}

void octk_dw_u8s16_avx2(const octk_dw_u8s16 *a) {
    if (a->by.law == OCTQ_FP32)
        every(a, OCTQ_FP32);
    else
        every(a, OCTQ_Q31);
}
