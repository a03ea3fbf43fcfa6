/* SPDX-License-Identifier: MIT
 * Tiles of up to 8 pixels by 16 channels in one vector each (8 channels in half of one), whatever
 * instruction multiplies: a user defines DOT(sum, where the pixel's step is, weights, lanes) and
 * OCTK_CONV (the kernel's name). Included in the middle of a file: no guard. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"

enum { TILE = 8 };

/* Sums of `size` pixels; unrolled for each size, so that sums stay in registers. */
#define SUMS(size, vec, load, lanes)                                                               \
    vec s[size];                                                                                   \
    _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++) s[j] = bias;                        \
    const uint8_t *at = w;                                                                         \
    for (int32_t r = 0; r < a->runs; r++) {                                                        \
        const int64_t run = a->run[r];                                                             \
        for (int32_t k = 0; k < a->steps; k++, at += 4 * lanes) {                                  \
            const vec weights = load((const void *)at);                                            \
            _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++)                             \
                DOT(s[j], p[j] + run + 4 * k, weights, lanes);                                     \
        }                                                                                          \
    }

/* 16 channels (the first `valid` of them) of two pixels; the second may be the first. */
static inline void put_wide(__m512i s, __m512i t, const octk_eight *m, octq_law law, octk_ends e,
                            uint8_t *y0, uint8_t *y1, int32_t valid) {
    const __m256i two[2] = {_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1)},
                  more[2] = {_mm512_castsi512_si256(t), _mm512_extracti64x4_epi64(t, 1)};
    octk_put_wide(two, more, m, law, e, y0, y1, valid);
}

#define TILES_WIDE(size)                                                                           \
    for (; i + size <= a->np; i += size) {                                                         \
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];       \
        SUMS(size, __m512i, _mm512_loadu_si512, 16)                                                \
        _Pragma("GCC unroll 4") for (int32_t j = 0; j < size; j += 2)                              \
            put_wide(s[j], s[j + (size > 1)], m, law, e, y + a->out[i + j],                        \
                     y + a->out[i + j + (size > 1)], valid);                                       \
    }

#define MOST(max, a, b, c, d) max(max(a, b), max(c, d))

/* Pooled: two outputs of four pixels at a time, or one. */
#define POOLS_WIDE(size)                                                                           \
    for (; i + size <= a->np; i += size) {                                                         \
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];       \
        SUMS(size, __m512i, _mm512_loadu_si512, 16)                                                \
        const int32_t k = i / 4, last = size == 8 ? k + 1 : k;                                     \
        const __m512i most = MOST(_mm512_max_epi32, s[0], s[1], s[2], s[3]);                       \
        put_wide(most, MOST(_mm512_max_epi32, s[size - 4], s[size - 3], s[size - 2], s[size - 1]), \
                 m, law, e, y + a->out[k], y + a->out[last], valid);                               \
    }

static inline void panel_wide(const octk_conv_rows *a, const void *w, int32_t first, octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const octk_eight m[2] = {octk_eight_of(&a->by, first, first + 4),
                             octk_eight_of(&a->by, first + 8, first + 12)};
    const __m512i bias = _mm512_loadu_si512((const void *)(a->b + first));
    const int32_t valid = a->o - first < 16 ? a->o - first : 16;
    uint8_t *y = a->y + first;
    const uint8_t *x = (const uint8_t *)a->x, *p[TILE];
    int32_t i = 0;
    if (a->pooled) {
        POOLS_WIDE(8)
        POOLS_WIDE(4)
        return;
    }
    TILES_WIDE(8)
    TILES_WIDE(4)
    TILES_WIDE(2)
    TILES_WIDE(1)
}

#define LOAD256(at) _mm256_loadu_si256((const __m256i *)(at))
#define TILES_SLIM(size)                                                                           \
    for (; i + size <= a->np; i += size) {                                                         \
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];       \
        SUMS(size, __m256i, LOAD256, 8)                                                            \
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++) {                               \
            const __m256i v = octk_scaled(s[j], &m, law),                                          \
                          q = _mm256_permutevar8x32_epi32(octk_codes(v, v, v, v, e), order);       \
            octk_put_slim(a, y, i + j, _mm256_castsi256_si128(q), valid);                          \
        }                                                                                          \
    }

#define POOLS_SLIM(size)                                                                           \
    for (; i + size <= a->np; i += size) {                                                         \
        _Pragma("GCC unroll 8") for (int32_t j = 0; j < size; j++) p[j] = x + a->pix[i + j];       \
        SUMS(size, __m256i, LOAD256, 8)                                                            \
        _Pragma("GCC unroll 2") for (int32_t j = 0; j < size; j += 4) {                            \
            const __m256i most = MOST(_mm256_max_epi32, s[j], s[j + 1], s[j + 2], s[j + 3]),       \
                          v = octk_scaled(most, &m, law),                                          \
                          q = _mm256_permutevar8x32_epi32(octk_codes(v, v, v, v, e), order);       \
            octk_put_slim(a, y, (i + j) / 4, _mm256_castsi256_si128(q), valid);                    \
        }                                                                                          \
    }

static inline void panel_slim(const octk_conv_rows *a, const void *w, int32_t first, octq_law law) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const octk_eight m = octk_eight_of(&a->by, first, first + 4);
    const __m256i bias = LOAD256(a->b + first), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const int32_t valid = a->o - first;
    uint8_t *y = a->y + first;
    const uint8_t *x = (const uint8_t *)a->x, *p[TILE];
    int32_t i = 0;
    if (a->pooled) {
        POOLS_SLIM(8)
        POOLS_SLIM(4)
        return;
    }
    TILES_SLIM(8)
    TILES_SLIM(4)
    TILES_SLIM(2)
    TILES_SLIM(1)
}

OCTK_PANEL_LAWS(panel_wide)
OCTK_PANEL_LAWS(panel_slim)

void OCTK_CONV(const octk_conv_rows *a) {
    if (a->by.law == OCTQ_FP32)
        octk_each_panel(a, panel_wide_fp32, panel_slim_fp32);
    else
        octk_each_panel(a, panel_wide_q31, panel_slim_q31);
}
