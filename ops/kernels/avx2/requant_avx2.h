/* SPDX-License-Identifier: MIT
 * Laws 7 and 16 on vectors: what AVX2 kernels of codes share. Of fp32, sums times their multiplier
 * stay inside s32 (proven when packing), so converting rounds half to even, packing saturates, and
 * the clamp may come last: the code is the law's. Of q31 that holds for any sum. */
#ifndef OCT_OPS_KERNELS_AVX2_REQUANT_AVX2_H
#define OCT_OPS_KERNELS_AVX2_REQUANT_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "src/qround.h"

/* Law 1 without a division: y = fl(x r), r = fl(1 / s), corrected by what it leaves of x:
 * q = fl(y + e r), e = x - s y. For s from 2^-100 to 2^100 and |x / s| from 1/4 to 257 all of these
 * are normal and e exact, so that significands alone matter; and for each of the 2^23 of s, each
 * half n + 1/2 up to 257 and the five floats about s times that half, q was found equal to
 * v = fl(x / s). Other x / s lie more than an ulp away from a half, as far as q and v may be off.
 * Below 1/4 both round to 0, whatever an e loses that is too small; beyond 257 the clamp decides.
 * Of a q beyond s32 or that is no number, as where x is none or y infinite, the conversion makes
 * INT_MIN: such x are divided, and all are where the inverse is no number. */
static inline float octk_inverse(float s) { return s >= 0x1p-100f && s <= 0x1p100f ? 1 / s : NAN; }

typedef struct octk_ends { /* zero point, clamp */
    __m256i z, lo, hi;
} octk_ends;

static inline octk_ends octk_ends_of(int32_t z, int32_t lo, int32_t hi) {
    return (octk_ends){_mm256_set1_epi16((short)z), _mm256_set1_epi8((char)lo),
                       _mm256_set1_epi8((char)hi)};
}
/* Records of eight sums. */
typedef struct octk_eight {
    __m256 m;                 /* fp32 */
    __m256i q31, left, right; /* q31; shifts, one of the two 0 */
} octk_eight;

/* Of channels i to i + 3 and j to j + 3. */
static inline octk_eight octk_eight_of(const octq_multipliers *by, int64_t i, int64_t j) {
    octk_eight e = {.m = _mm256_setzero_ps()};
    if (by->law == OCTQ_FP32) {
        e.m = _mm256_setr_m128(_mm_loadu_ps(by->m + i), _mm_loadu_ps(by->m + j));
        return e;
    }
    const __m256i zero = _mm256_setzero_si256(),
                  s = _mm256_setr_m128i(_mm_loadu_si128((const void *)(by->shift + i)),
                                        _mm_loadu_si128((const void *)(by->shift + j)));
    e.q31 = _mm256_setr_m128i(_mm_loadu_si128((const void *)(by->q31 + i)),
                              _mm_loadu_si128((const void *)(by->q31 + j)));
    e.left = _mm256_max_epi32(s, zero);
    e.right = _mm256_max_epi32(_mm256_sub_epi32(zero, s), zero);
    return e;
}

/* x * 2^left, saturated. */
static inline __m256i octk_shifted_left(__m256i x, __m256i left) {
    const __m256i y = _mm256_sllv_epi32(x, left),
                  most = _mm256_xor_si256(_mm256_srai_epi32(x, 31), _mm256_set1_epi32(INT32_MAX));
    return _mm256_blendv_epi8(most, y, _mm256_cmpeq_epi32(_mm256_srav_epi32(y, left), x));
}
/* octq_q31_scale. */
static inline __m256i octk_scaled_q31(__m256i acc, const octk_eight *e) {
    const __m256i x = octk_shifted_left(acc, e->left), half = _mm256_set1_epi64x(1 << 30);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, e->q31), half),
                  odd = _mm256_add_epi64(
                      _mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(e->q31, 32)),
                      half);
    const __m256i high =
        _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_add_epi64(odd, odd), 0xaa);
    const __m256i one = _mm256_set1_epi32(1),
                  mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, e->right), one),
                  most = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1), _mm256_srai_epi32(high, 31));
    return _mm256_sub_epi32(_mm256_srav_epi32(high, e->right),
                            _mm256_cmpgt_epi32(_mm256_and_si256(high, mask), most));
}
static inline __m256i octk_scaled_fp32(__m256i acc, __m256 m) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), m));
}
/* Sums by their records, rounded; `law` is known when compiling. */
static inline __m256i octk_scaled(__m256i acc, const octk_eight *e, octq_law law) {
    return law == OCTQ_FP32 ? octk_scaled_fp32(acc, e->m) : octk_scaled_q31(acc, e);
}
/** Two vectors of s16 as 32 codes: in each half p, q, eight codes of each. */
static inline __m256i octk_narrowed(__m256i p, __m256i q, octk_ends e) {
    const __m256i codes = _mm256_packus_epi16(_mm256_adds_epi16(p, e.z), _mm256_adds_epi16(q, e.z));
    return _mm256_min_epu8(_mm256_max_epu8(codes, e.lo), e.hi);
}
/** Four vectors of s32 as 32 codes: in each half a, b, c, d, four codes of each. */
static inline __m256i octk_codes(__m256i a, __m256i b, __m256i c, __m256i d, octk_ends e) {
    return octk_narrowed(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d), e);
}
/** The upper eight bytes. */
static inline void octk_store_high(uint8_t *y, __m128i v) {
    double eight; /* compilers make one VMOVHPD of this */
    _mm_storeh_pd(&eight, _mm_castsi128_pd(v));
    memcpy(y, &eight, sizeof eight);
}
/** The first n bytes, 1 to 16. */
static inline void octk_store_bytes(uint8_t *y, __m128i v, int32_t n) {
    if (n >= 16) {
        _mm_storeu_si128((__m128i *)y, v);
        return;
    }
    if (n & 8) {
        _mm_storel_epi64((__m128i *)y, v);
        v = _mm_srli_si128(v, 8);
        y += 8;
    }
    if (n & 4) {
        const int32_t part = _mm_cvtsi128_si32(v);
        memcpy(y, &part, 4);
        v = _mm_srli_si128(v, 4);
        y += 4;
    }
    if (n & 2) {
        const int16_t part = (int16_t)_mm_cvtsi128_si32(v);
        memcpy(y, &part, 2);
        v = _mm_srli_si128(v, 2);
        y += 2;
    }
    if (n & 1) *y = (uint8_t)_mm_cvtsi128_si32(v);
}

#endif
