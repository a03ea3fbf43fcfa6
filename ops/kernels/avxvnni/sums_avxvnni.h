/* SPDX-License-Identifier: MIT
 * Sums of tiles for conv_tiles_avx2.h, by an instruction that multiplies and adds in one: a user
 * defines DOT(sum, a pixel's step for every lane, weights). Included in the middle of a file: no
 * guard. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"

#define ALWAYS static inline __attribute__((always_inline))

/* A step of `size` pixels by `vectors` of eight lanes. */
ALWAYS void step(const __m256i *w, const uint8_t *const *p, int64_t at, __m256i *c,
                 const int32_t size, const int32_t vectors) {
    __m256i four[2];
    _Pragma("GCC unroll 2") for (int32_t v = 0; v < vectors; v++) four[v] =
        _mm256_loadu_si256(w + v);
    _Pragma("GCC unroll 6") for (int32_t j = 0; j < size; j++) {
        const __m256i x = _mm256_set1_epi32(octk_step_at(p[j] + at));
        _Pragma("GCC unroll 2") for (int32_t v = 0; v < vectors; v++)
            DOT(c[j * vectors + v], x, four[v]);
    }
}

/* `vectors` of eight lanes for each of `size` pixels; unrolled, so that they stay in registers. Few
 * sums would wait each for its last product: they are sums of every second or fourth step. */
ALWAYS void sums(const octk_conv_rows *a, const void *weights, const int32_t *b,
                 const uint8_t *const *p, __m256i *s, const int32_t size, const int32_t vectors) {
    const __m256i *w = weights;
    const int32_t count = size * vectors, chains = count <= 2 ? 4 : count <= 4 ? 2 : 1;
    __m256i c[12];
    _Pragma("GCC unroll 12") for (int32_t i = 0; i < count; i++) c[i] =
        _mm256_loadu_si256((const __m256i *)(const void *)(b + 8 * (i % vectors)));
    _Pragma("GCC unroll 12") for (int32_t i = count; i < chains * count; i++) c[i] =
        _mm256_setzero_si256();
    for (int32_t r = 0; r < a->runs; r++) {
        const int64_t run = a->run[r];
        int32_t k = 0;
        for (; k + chains <= a->steps; k += chains, w += chains * vectors)
            _Pragma("GCC unroll 4") for (int32_t n = 0; n < chains; n++)
                step(w + n * vectors, p, run + 4 * (k + n), c + n * count, size, vectors);
        for (; chains > 1 && k < a->steps; k++, w += vectors)
            step(w, p, run + 4 * k, c, size, vectors);
    }
    _Pragma("GCC unroll 12") for (int32_t i = 0; i < count; i++) {
        s[i] = c[i];
        if (chains == 4) s[i] = _mm256_add_epi32(s[i], c[2 * count + i]);
        if (chains > 1) s[i] = _mm256_add_epi32(s[i], c[count + i]);
        if (chains == 4) s[i] = _mm256_add_epi32(s[i], c[3 * count + i]);
    }
}

#define SIZE(n)                                                                                    \
    static inline void wide##n(const octk_conv_rows *a, const void *w, const int32_t *b,           \
                               const uint8_t *const *p, __m256i *s) {                              \
        sums(a, w, b, p, s, n, 2);                                                                 \
    }                                                                                              \
    static inline void slim##n(const octk_conv_rows *a, const void *w, const int32_t *b,           \
                               const uint8_t *const *p, __m256i *s) {                              \
        sums(a, w, b, p, s, n, 1);                                                                 \
    }
SIZE(1)
SIZE(2)
SIZE(4)
SIZE(6)
#undef SIZE
