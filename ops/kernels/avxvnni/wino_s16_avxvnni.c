/* SPDX-License-Identifier: MIT
 * The products of exact integer Winograd with VPDPWSSD, VEX form: up to six tiles of two
 * vectors. */
#include <immintrin.h>
#include <string.h>

#include "ops/kernels/kernels.h"

#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("%{vex%} vpdpwssd %2,%1,%0" : "+x"(s) : "x"(x), "x"(weights))
#endif

enum { G = OCTK_WINO_GROUP };

static inline __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline __m256i pair_of(const int16_t *v) {
    int32_t two;
    memcpy(&two, v, sizeof two);
    return _mm256_set1_epi32(two);
}

static inline __attribute__((always_inline)) void product(const int32_t size, int32_t positions,
                                                          int32_t blocks, const int16_t *v,
                                                          const int16_t *u, int32_t *m,
                                                          octk_ahead next) {
    for (int32_t p = 0; p < positions; p++, m += G * 16) {
        __m256i s[6], t[6];
        _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) s[i] = t[i] =
            _mm256_setzero_si256();
        for (int32_t b = 0; b < blocks; b++, v += G * 16) {
            octk_fetch(&next, 0, 1);
            for (int32_t k = 0; k < 8; k++, u += 32) {
                const __m256i w = load(u), z = load(u + 16);
                _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) {
                    const __m256i x = pair_of(v + i * 16 + 2 * k);
                    DOT(s[i], x, w);
                    DOT(t[i], x, z);
                }
            }
        }
        _Pragma("GCC unroll 6") for (int32_t i = 0; i < size; i++) {
            _mm256_storeu_si256((__m256i *)(void *)(m + i * 16), s[i]);
            _mm256_storeu_si256((__m256i *)(void *)(m + i * 16 + 8), t[i]);
        }
    }
}

#define SIZE(n)                                                                                    \
    static void product##n(int32_t positions, int32_t blocks, const int16_t *v, const int16_t *u,  \
                           int32_t *m, octk_ahead next) {                                          \
        product(n, positions, blocks, v, u, m, next);                                              \
    }
SIZE(1)
SIZE(2)
SIZE(3)
SIZE(4)
SIZE(5)
SIZE(6)

typedef void product_fn(int32_t positions, int32_t blocks, const int16_t *v, const int16_t *u,
                        int32_t *m, octk_ahead next);

void octk_wino_mul_s16_avxvnni(const octk_wino_mul_s16 *a) {
    static product_fn *const of[] = {NULL,     product1, product2, product3,
                                     product4, product5, product6};
    for (int32_t i = 0; i < a->panels; i++) {
        const int16_t *u = a->u + i * a->u_panel;
        octk_ahead next = a->next;
        next.at += (uintptr_t)(i * a->u_panel) * 2;
        /* from a second-level cache they come in time, and 2 to 4 % sooner unasked */
        if (next.alone) next.lines = 0;
        of[a->count](a->positions, a->blocks, a->v, u, a->m + i * a->m_panel, next);
    }
}
