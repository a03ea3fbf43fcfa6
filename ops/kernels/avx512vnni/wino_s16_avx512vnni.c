/* SPDX-License-Identifier: MIT
 * The products of exact integer Winograd with VPDPWSSD: a tile's 16 channels are one vector, and
 * two positions at a time keep twelve sums going. */
#include <immintrin.h>
#include <string.h>

#include "ops/kernels/kernels.h"

/* Assembly: around the intrinsic gcc 12 copies every sum. */
#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("vpdpwssd %2,%1,%0" : "+v"(s) : "v"(x), "v"(weights))
#endif

enum { G = OCTK_WINO_GROUP };

static inline __m512i pair_of(const int16_t *v) {
    int32_t two;
    memcpy(&two, v, sizeof two);
    return _mm512_set1_epi32(two);
}

/* Positions p and p + 1 of `size` tiles; the last one of an odd number twice, stored once. */
#define PRODUCT(size)                                                                              \
    static void product##size(int32_t positions, int32_t blocks, const int16_t *v,                 \
                              const int16_t *u, int32_t *m) {                                      \
        for (int32_t p = 0; p < positions; p += 2) {                                               \
            const bool two = p + 1 < positions;                                                    \
            const int64_t next_v = two ? (int64_t)blocks * G * 16 : 0,                             \
                          next_u = two ? (int64_t)blocks * 256 : 0;                                \
            __m512i s[size], t[size];                                                              \
            _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) s[i] = t[i] =               \
                _mm512_setzero_si512();                                                            \
            for (int32_t b = 0; b < blocks; b++, v += G * 16)                                      \
                for (int32_t k = 0; k < 8; k++, u += 32) {                                         \
                    const __m512i w = _mm512_loadu_si512((const void *)u),                         \
                                  z = _mm512_loadu_si512((const void *)(u + next_u));              \
                    _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) {                   \
                        const int16_t *at = v + i * 16 + 2 * k;                                    \
                        const __m512i x = pair_of(at), y = pair_of(at + next_v);                   \
                        DOT(s[i], x, w);                                                           \
                        DOT(t[i], y, z);                                                           \
                    }                                                                              \
                }                                                                                  \
            _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) {                           \
                _mm512_storeu_si512((void *)(m + i * 16), s[i]);                                   \
                if (two) _mm512_storeu_si512((void *)(m + (G + i) * 16), t[i]);                    \
            }                                                                                      \
            v += next_v;                                                                           \
            u += next_u;                                                                           \
            m += 2 * G * 16;                                                                       \
        }                                                                                          \
    }
PRODUCT(1)
PRODUCT(2)
PRODUCT(3)
PRODUCT(4)
PRODUCT(5)
PRODUCT(6)

void octk_wino_mul_s16_avx512vnni(int32_t count, int32_t positions, int32_t blocks,
                                  const int16_t *v, const int16_t *u, int32_t *m, octk_ahead next) {
    (void)next;
    static void (*const of[])(int32_t, int32_t, const int16_t *, const int16_t *, int32_t *) = {
        NULL, product1, product2, product3, product4, product5, product6};
    of[count](positions, blocks, v, u, m);
}
