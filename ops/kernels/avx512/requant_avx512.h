/* SPDX-License-Identifier: MIT
 * Laws 7 and 16 on 512 bits: what AVX-512 kernels of codes share. Sixteen channels are one vector;
 * four pixels of them become 64 codes. What was proven for requant_avx2.h holds here. */
#ifndef OCT_OPS_KERNELS_AVX512_REQUANT_AVX512_H
#define OCT_OPS_KERNELS_AVX512_REQUANT_AVX512_H

#include <stdbool.h>

#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"

typedef struct octk_ends512 { /* zero point, clamp */
    __m512i z, lo, hi;
} octk_ends512;

static inline octk_ends512 octk_ends512_of(int32_t z, int32_t lo, int32_t hi) {
    return (octk_ends512){_mm512_set1_epi16((short)z), _mm512_set1_epi8((char)lo),
                          _mm512_set1_epi8((char)hi)};
}

/* Records of sixteen sums. */
typedef struct octk_sixteen {
    __m512 m;           /* fp32 */
    octk_eight half[2]; /* q31 */
} octk_sixteen;

/* Of channels i to i + 15. */
static inline octk_sixteen octk_sixteen_of(const octq_multipliers *by, int64_t i) {
    octk_sixteen e = {.m = _mm512_setzero_ps()};
    if (by->law == OCTQ_FP32) {
        e.m = _mm512_loadu_ps(by->m + i);
        return e;
    }
    e.half[0] = octk_eight_of(by, i, i + 4);
    e.half[1] = octk_eight_of(by, i + 8, i + 12);
    return e;
}

/* Sums by their records, rounded; `law` is known when compiling. */
static inline __m512i octk_scaled512(__m512i acc, const octk_sixteen *e, octq_law law) {
    if (law == OCTQ_FP32) return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), e->m));
    const __m256i low = octk_scaled_q31(_mm512_castsi512_si256(acc), &e->half[0]),
                  high = octk_scaled_q31(_mm512_extracti64x4_epi64(acc, 1), &e->half[1]);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* Four vectors of s32 as 64 codes: in each quarter a, b, c, d, four codes of each. Bare: without a
 * zero point, all 256 codes, for which saturating is the clamp. Whole: all 256 codes. */
static inline __m512i octk_bare512(__m512i a, __m512i b, __m512i c, __m512i d) {
    return _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}
static inline __m512i octk_whole512(__m512i a, __m512i b, __m512i c, __m512i d, octk_ends512 e) {
    return _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(a, b), e.z),
                               _mm512_adds_epi16(_mm512_packs_epi32(c, d), e.z));
}
static inline __m512i octk_packed512(__m512i a, __m512i b, __m512i c, __m512i d, octk_ends512 e) {
    return _mm512_min_epu8(_mm512_max_epu8(octk_whole512(a, b, c, d, e), e.lo), e.hi);
}
/** Such codes of four vectors whose sums stand by lanes of a panel (octk_lane_channel): the sixteen
 *  channels of a, of b, of c, of d. */
static inline __m512i octk_by_channel512(__m512i codes) {
    const __m512i order = _mm512_setr_epi32(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15);
    return _mm512_permutexvar_epi32(order, codes);
}
/** And of those whose sums stand in order. */
static inline __m512i octk_in_turn512(__m512i codes) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, codes);
}

/** How a layer's sums become codes: by q31; by fp32 and clamped; all 256 codes, no clamp; as floats
 *  by their bits (octk_lift), with a zero point or bare of it. */
typedef enum octk_way { OCTK_BY_Q31, OCTK_CLAMPED, OCTK_WHOLE, OCTK_LIFTED, OCTK_BARE } octk_way;
static inline octk_way octk_way_of(octq_law law, const octk_lift *lift, int32_t zy, int32_t lo,
                                   int32_t hi) {
    if (law == OCTQ_Q31) return OCTK_BY_Q31;
    if (lift->b) return zy ? OCTK_LIFTED : OCTK_BARE;
    return lo == 0 && hi == UINT8_MAX ? OCTK_WHOLE : OCTK_CLAMPED;
}
static inline bool octk_is_lifted(octk_way how) { return how == OCTK_LIFTED || how == OCTK_BARE; }
static inline __m512i octk_lowered512(__m512i sums, __m512 m, __m512 lift) {
    return _mm512_cvtps_epi32(_mm512_fmsub_ps(_mm512_castsi512_ps(sums), m, lift));
}
/** The sixteen channels of a, of b, of c, of d, rounded, by the way. */
static inline __m512i octk_codes_by512(octk_way how, __m512i a, __m512i b, __m512i c, __m512i d,
                                       octk_ends512 e) {
    const bool whole = how == OCTK_WHOLE || how == OCTK_LIFTED;
    return octk_by_channel512(how == OCTK_BARE ? octk_bare512(a, b, c, d)
                              : whole          ? octk_whole512(a, b, c, d, e)
                                               : octk_packed512(a, b, c, d, e));
}

/** The mask of the first n channels, 1 to 16 of them; more are 16. */
static inline __mmask16 octk_first(int32_t n) {
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

#endif
