/* SPDX-License-Identifier: MIT
 * What AVX2's Winograd kernels share: 16 codes widened, and the ends of tiles of 4x4 and 2x2
 * outputs. */
#ifndef OCT_OPS_KERNELS_AVX2_WINO_AVX2_H
#define OCT_OPS_KERNELS_AVX2_WINO_AVX2_H

#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"

enum { G = OCTK_WINO_GROUP };

typedef __m256i v8; /* of s32, or 16 of s16 */
static inline v8 load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void store(void *p, v8 v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline v8 codes(const uint8_t *x) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x));
}

/* One value for all who use it: gcc 12 takes sums apart and adds up their parts once for each of
 * them, which is an operation more. */
#define WHOLE(x) __asm__("" : "+x"(x))
/* B^T of six cells, of 16 channels, in 17 operations. */
#define LINE_IN(y, d0, d1, d2, d3, d4, d5)                                                         \
    {                                                                                              \
        v8 a_ = _mm256_sub_epi16(d4, _mm256_slli_epi16(d2, 2)),                                    \
           b_ = _mm256_sub_epi16(d3, _mm256_slli_epi16(d1, 2)), c_ = _mm256_sub_epi16(d4, d2),     \
           f_ = _mm256_sub_epi16(d3, d1), e_ = _mm256_add_epi16(f_, f_),                           \
           g_ = _mm256_sub_epi16(d5, d3);                                                          \
        WHOLE(a_);                                                                                 \
        WHOLE(b_);                                                                                 \
        WHOLE(c_);                                                                                 \
        WHOLE(e_);                                                                                 \
        WHOLE(g_);                                                                                 \
        (y)[0] = _mm256_add_epi16(_mm256_slli_epi16(_mm256_sub_epi16(d0, d2), 2), c_);             \
        (y)[1] = _mm256_add_epi16(a_, b_);                                                         \
        (y)[2] = _mm256_sub_epi16(a_, b_);                                                         \
        (y)[3] = _mm256_add_epi16(c_, e_);                                                         \
        (y)[4] = _mm256_sub_epi16(c_, e_);                                                         \
        (y)[5] = _mm256_sub_epi16(g_, _mm256_add_epi16(e_, e_));                                   \
    }

#define ADD32 _mm256_add_epi32
#define SUB32 _mm256_sub_epi32
#define SHL32 _mm256_slli_epi32
/* X, Y = X + Y, X - Y */
#define BUTTERFLY(X, Y)                                                                            \
    {                                                                                              \
        const v8 d = SUB32(X, Y);                                                                  \
        X = ADD32(X, Y);                                                                           \
        Y = d;                                                                                     \
    }
/* What is computed by here: gcc 12 loads so far ahead that sums spill. */
#define HERE(x, y) __asm__("" : "+x"(x), "+x"(y));
/* Sums that are k times what fp32's multipliers know, by them; over = fl(1/k). k times the sum is a
 * float, and so is the sum: where k * over is so near 1 that half a step of the sum is further, the
 * first product is the sum. 9 fl(1/9) is 1 + 2^-27; 3 fl(1/3) is 1 + 2^-25, and half a step upwards
 * is more than 2^-25 of any float. */
static inline v8 scaled_small(v8 acc, __m256 over, __m256 m) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), over), m));
}
/* Sums nine times too large, of q31 by `over` bits besides, rounded. The inverse of 9 modulo 2^32
 * costs twice what its float does. */
static inline v8 ninth(v8 sum, const octk_eight *by, octq_law law, bool small, int32_t over) {
    if (small) return scaled_small(sum, _mm256_set1_ps(1.0f / 9), by->m);
    sum = _mm256_mullo_epi32(sum, _mm256_set1_epi32(954437177));
    return octk_scaled(law == OCTQ_Q31 ? _mm256_srai_epi32(sum, over) : sum, by, law);
}

/* Two pixels, eight channels of each by lanes 0 to 7 and by 8 to 15, packed. plain: no zero point,
 * every code allowed, so that packing alone clamps. */
static inline void put(uint8_t *p, uint8_t *q, v8 low, v8 high, octk_ends e, bool plain) {
    const v8 order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7),
             codes = _mm256_permutevar8x32_epi32(
                 plain ? _mm256_packus_epi16(low, high) : octk_narrowed(low, high, e), order);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(codes));
    _mm_storeu_si128((__m128i *)q, _mm256_extracti128_si256(codes, 1));
}

/* Tiles of 4x4 pixels x 16 channels, 8 at a time, two rows at a time: TWO_ROWS(COLUMN, y, BETWEEN)
 * makes y[2][4] of columns by EVEN (rows 0 and 2) or ODD (1 and 3), which read m and bias; between
 * them two of the sums before become codes at a time, whose multiplications have two ports while
 * additions have three. */
#define NOTHING(k)
#define PAIR_OF(y, k, half)                                                                        \
    _mm256_packs_epi32(ninth((y)[2 * (k)], &records[half], law, small, bits),                      \
                       ninth((y)[2 * (k) + 1], &records[half], law, small, bits))
#define KEEP(k) high[k] = PAIR_OF(y, k, 1);
#define PUT_ROWS(k, first)                                                                         \
    {                                                                                              \
        uint8_t *at = t.y + ((k) / 2 * 2 + first) * row + (k) % 2 * 2 * pixel;                     \
        put(at, at + pixel, PAIR_OF(z, k, 0), high[k], e, plain);                                  \
    }
#define PUT_EVEN(k) PUT_ROWS(k, 0)
#define PUT_ODD(k)  PUT_ROWS(k, 1)
#define HALF(COLUMN, half, y, BETWEEN)                                                             \
    {                                                                                              \
        const int32_t *m = t.m + 8 * half;                                                         \
        const v8 bias = load(b + 8 * half);                                                        \
        TWO_ROWS(COLUMN, y, BETWEEN)                                                               \
    }
#define OUT4(name, over)                                                                           \
    static inline __attribute__((always_inline)) void name(const octk_wino_out_s32u8 *a,           \
                                                           octq_law law, bool plain, bool small) { \
        enum { bits = over };                                                                      \
        const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);                                     \
        const octk_eight records[2] = {octk_eight_of(&a->by, 0, 4), octk_eight_of(&a->by, 8, 12)}; \
        const int64_t row = a->row, pixel = a->pixel;                                              \
        const int32_t *b = a->b;                                                                   \
        for (octk_wino_tile t = octk_wino_first(a); t.left; octk_wino_next(&t, 4 * pixel)) {       \
            v8 y[8], z[8], high[4];                                                                \
            HALF(EVEN, 1, y, NOTHING)                                                              \
            HALF(EVEN, 0, z, KEEP)                                                                 \
            HALF(ODD, 1, y, PUT_EVEN)                                                              \
            HALF(ODD, 0, z, KEEP)                                                                  \
            PUT_ODD(0) PUT_ODD(1) PUT_ODD(2) PUT_ODD(3)                                            \
        }                                                                                          \
    }
/* Tiles of 2x2 pixels x 16 channels: square(m, b, y) makes y[4] of 8 channels. */
#define OUT2(name, over)                                                                           \
    static inline __attribute__((always_inline)) void name(const octk_wino_out_s32u8 *a,           \
                                                           octq_law law, bool plain) {             \
        const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);                                     \
        const octk_eight records[2] = {octk_eight_of(&a->by, 0, 4), octk_eight_of(&a->by, 8, 12)}; \
        const int64_t row = a->row, pixel = a->pixel;                                              \
        const int32_t *b = a->b;                                                                   \
        for (octk_wino_tile t = octk_wino_first(a); t.left; octk_wino_next(&t, 2 * pixel)) {       \
            v8 y[2][4];                                                                            \
            _Pragma("GCC unroll 2") for (int half = 0; half < 2; half++) {                         \
                square(t.m + 8 * half, b + 8 * half, y[half]);                                     \
                _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {                              \
                    if (law == OCTQ_Q31) y[half][i] = _mm256_srai_epi32(y[half][i], over);         \
                    y[half][i] = octk_scaled(y[half][i], &records[half], law);                     \
                }                                                                                  \
            }                                                                                      \
            _Pragma("GCC unroll 2") for (int i = 0; i < 4; i += 2) {                               \
                uint8_t *at = t.y + i / 2 * row;                                                   \
                put(at, at + pixel, _mm256_packs_epi32(y[0][i], y[0][i + 1]),                      \
                    _mm256_packs_epi32(y[1][i], y[1][i + 1]), e, plain);                           \
            }                                                                                      \
        }                                                                                          \
    }
/* A kernel, once a law, and once for codes as relu leaves them, of OUT4 both also where sums are
 * small: inlined, or gcc 12 makes one function that asks for the law everywhere. */
#define PLAIN(a) ((a)->zy == 0 && (a)->lo == 0 && (a)->hi == 255)
#define OUT4_LAWS(kernel, name)                                                                    \
    void kernel(const octk_wino_out_s32u8 *a) {                                                    \
        if (a->by.law != OCTQ_FP32)                                                                \
            name(a, OCTQ_Q31, false, false);                                                       \
        else if (a->small && PLAIN(a))                                                             \
            name(a, OCTQ_FP32, true, true);                                                        \
        else if (a->small)                                                                         \
            name(a, OCTQ_FP32, false, true);                                                       \
        else if (PLAIN(a))                                                                         \
            name(a, OCTQ_FP32, true, false);                                                       \
        else                                                                                       \
            name(a, OCTQ_FP32, false, false);                                                      \
    }
#define OUT2_LAWS(kernel, name)                                                                    \
    void kernel(const octk_wino_out_s32u8 *a) {                                                    \
        if (a->by.law != OCTQ_FP32)                                                                \
            name(a, OCTQ_Q31, false);                                                              \
        else if (PLAIN(a))                                                                         \
            name(a, OCTQ_FP32, true);                                                              \
        else                                                                                       \
            name(a, OCTQ_FP32, false);                                                             \
    }

#endif
