/* SPDX-License-Identifier: MIT
 * Law 7 on vectors: what AVX2 kernels of codes share. Sums times their multiplier stay inside s32
 * (proven when packing), so converting rounds half to even, packing saturates, and the clamp may
 * come last: the code is the law's. */
#ifndef OCT_OPS_KERNELS_AVX2_REQUANT_AVX2_H
#define OCT_OPS_KERNELS_AVX2_REQUANT_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct octk_ends { /* zero point, clamp */
    __m256i z, lo, hi;
} octk_ends;

static inline octk_ends octk_ends_of(int32_t z, int32_t lo, int32_t hi) {
    return (octk_ends){_mm256_set1_epi16((short)z), _mm256_set1_epi8((char)lo),
                       _mm256_set1_epi8((char)hi)};
}
static inline __m256i octk_scaled(__m256i acc, __m256 m) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), m));
}
/** Four vectors of s32 as 32 codes: in each half a, b, c, d, four codes of each. */
static inline __m256i octk_codes(__m256i a, __m256i b, __m256i c, __m256i d, octk_ends e) {
    __m256i p = _mm256_adds_epi16(_mm256_packs_epi32(a, b), e.z),
            q = _mm256_adds_epi16(_mm256_packs_epi32(c, d), e.z);
    return _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(p, q), e.lo), e.hi);
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
