/* SPDX-License-Identifier: MIT
 * Tiles of pixels by one, two or four panels of 16 channels, a vector each (a last panel of 8 lanes
 * in half of one), whatever instruction multiplies: a user defines DOT(sum, a pixel's step in every
 * lane, weights) and OCTK_CONV (the kernel's name). Included in the middle of a file: no guard.
 *
 * Two products begin in a cycle and each takes five, so that a tile wants ten sums or more; two
 * vectors are loaded in a cycle, so that panels share a pixel's step. One panel alone has a load
 * for each product: more pixels, so that at least the weights are shared. Their addresses then are
 * more than there are registers: of pixels that lie in pairs the second one's is the first one's
 * with another offset. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"
#include "ops/kernels/avx512/requant_avx512.h"

#define ALWAYS static inline __attribute__((always_inline))

enum { WIDE = 24, SLIM = 16, AHEAD = 4 }; /* sums of a tile; steps between lines fetched ahead */

/* Weights that are wanted next: so many lines of 64 bytes with each AHEAD steps. */
typedef struct ahead {
    const uint8_t *at;
    int32_t lines;
} ahead;

/* Sums of `size` pixels by `panels` vectors; unrolled for each size, so that they stay in
 * registers. p has every pixel, or every second. */
#define SUMS(name, vec, most, load, spread, lanes)                                                 \
    ALWAYS void name(const octk_conv_rows *a, const uint8_t *w, const int32_t *b,                  \
                     const uint8_t *const *p, ahead *next, vec *s, const int32_t size,             \
                     const int32_t panels, const bool pairs) {                                     \
        const int64_t panel = (int64_t)a->runs * a->steps * lanes * 4;                             \
        vec c[most], four[4];                                                                      \
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < size * panels; i++) c[i] =                \
            load((const void *)(b + i % panels * lanes));                                          \
        for (int32_t r = 0; r < a->runs; r++) {                                                    \
            int64_t at = a->run[r], beside = at + a->pair;                                         \
            for (int32_t k = 0; k < a->steps; k++, w += lanes * 4, at += 4, beside += 4) {         \
                if (next && k % AHEAD == 0)                                                        \
                    for (int32_t i = 0; i < next->lines; i++, next->at += 64)                      \
                        _mm_prefetch((const char *)next->at, _MM_HINT_T0);                         \
                _Pragma("GCC unroll 4") for (int32_t v = 0; v < panels; v++) four[v] =             \
                    load((const void *)(w + v * panel));                                           \
                _Pragma("GCC unroll 24") for (int32_t j = 0; j < size; j++) {                      \
                    const vec x = spread(                                                          \
                        octk_step_at(pairs ? p[j / 2] + (j % 2 ? beside : at) : p[j] + at));       \
                    _Pragma("GCC unroll 4") for (int32_t v = 0; v < panels; v++)                   \
                        DOT(c[j * panels + v], x, four[v]);                                        \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < size * panels; i++) s[i] = c[i];          \
    }
#define LOAD256(at) _mm256_loadu_si256((const __m256i *)(at))
SUMS(sums_wide, __m512i, WIDE, _mm512_loadu_si512, _mm512_set1_epi32, 16)
SUMS(sums_slim, __m256i, SLIM, LOAD256, _mm256_set1_epi32, 8)

#define MOST(max, a, b, c, d) max(max(a, b), max(c, d))

/* Where the pixels of a tile are. */
ALWAYS void pixels_at(const octk_conv_rows *a, int32_t i, const uint8_t **p, const int32_t size,
                      const bool pairs) {
    for (int32_t j = 0; j < (pairs ? size / 2 : size); j++)
        p[j] = (const uint8_t *)a->x + a->pix[i + (pairs ? 2 * j : j)];
}

/* What a group of panels has: its weights, channels from `first` on, records, ends. */
typedef struct group {
    const uint8_t *w;
    int32_t first;
    __m512 m[4]; /* fp32 */
    octk_ends512 e;
    __mmask64 mask; /* of its channels */
} group;

ALWAYS group group_of(const octk_conv_rows *a, const uint8_t *w, int32_t first,
                      const int32_t panels) {
    const int32_t valid = a->o - first;
    group g = {.w = w, .first = first, .e = octk_ends512_of(a->zy, a->lo, a->hi)};
    g.mask = valid >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << valid) - 1;
    _Pragma("GCC unroll 4") for (int32_t v = 0; v < panels; v++) g.m[v] =
        a->by.law == OCTQ_FP32 ? _mm512_loadu_ps(a->by.m + first + 16 * v) : _mm512_setzero_ps();
    return g;
}

/* Not inlined: many instructions, and seldom asked for. */
static __attribute__((noinline)) void scale_q31(const octk_conv_rows *a, int32_t first, __m512i *s,
                                                int32_t count, int32_t panels) {
    for (int32_t v = 0; v < panels; v++) {
        const octk_sixteen m = octk_sixteen_of(&a->by, first + 16 * v);
        for (int32_t i = v; i < count; i += panels) s[i] = octk_scaled512(s[i], &m, OCTQ_Q31);
    }
}

/* `count` sums by their records, rounded. */
ALWAYS void scale(const octk_conv_rows *a, const group *g, __m512i *s, const int32_t count,
                  const int32_t panels) {
    if (a->by.law == OCTQ_FP32) {
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) s[i] =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(s[i]), g->m[i % panels]));
        return;
    }
    __m512i t[WIDE]; /* s itself stays in registers */
    _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) t[i] = s[i];
    scale_q31(a, g->first, t, count, panels);
    _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) s[i] = t[i];
}

/* Codes of `count` outputs from the i-th on: four sums make a vector, which is one output of four
 * panels, two of two or four of one; the last ones may be the same. */
ALWAYS void put(const octk_conv_rows *a, const group *g, const __m512i *s, int32_t i,
                const int32_t count, const int32_t panels) {
    uint8_t *y = a->y + g->first;
    const int64_t *out = a->out + i;
    const int32_t each = 4 / panels, last = count * panels - 1;
    _Pragma("GCC unroll 16") for (int32_t j = 0; j < count; j += each) {
        const int32_t k = j * panels;
        const __m512i codes = octk_panel_codes512(s[k], s[k + 1 < last ? k + 1 : last],
                                                  s[k + 2 < last ? k + 2 : last],
                                                  s[k + 3 < last ? k + 3 : last], g->e);
        if (panels == 4) {
            _mm512_mask_storeu_epi8(y + out[j], g->mask, codes);
        } else if (panels == 2) {
            const __mmask32 mask = (__mmask32)g->mask;
            _mm256_mask_storeu_epi8(y + out[j], mask, _mm512_castsi512_si256(codes));
            if (j + 1 < count)
                _mm256_mask_storeu_epi8(y + out[j + 1], mask, _mm512_extracti64x4_epi64(codes, 1));
        } else {
            const __mmask16 mask = (__mmask16)g->mask;
            _mm_mask_storeu_epi8(y + out[j], mask, _mm512_castsi512_si128(codes));
            if (j + 1 < count)
                _mm_mask_storeu_epi8(y + out[j + 1], mask, _mm512_extracti32x4_epi32(codes, 1));
            if (j + 2 < count)
                _mm_mask_storeu_epi8(y + out[j + 2], mask, _mm512_extracti32x4_epi32(codes, 2));
            if (j + 3 < count)
                _mm_mask_storeu_epi8(y + out[j + 3], mask, _mm512_extracti32x4_epi32(codes, 3));
        }
    }
}

/* A tile from pixel i on; pooled: of four pixels the largest sum. */
ALWAYS void tile_wide(const octk_conv_rows *a, const group *g, ahead *next, int32_t i,
                      const int32_t size, const int32_t panels, const bool pairs,
                      const bool pooled) {
    const uint8_t *p[16];
    const int32_t each = pooled ? OCTK_POOLED : 1, count = size / each;
    __m512i s[WIDE];
    pixels_at(a, i, p, size, pairs);
    sums_wide(a, g->w, a->b + g->first, p, next, s, size, panels, pairs);
    if (pooled) _Pragma("GCC unroll 16") for (int32_t k = 0; k < count * panels; k++) {
            const __m512i *q = s + k / panels * each * panels + k % panels;
            s[k] = MOST(_mm512_max_epi32, q[0], q[panels], q[2 * panels], q[3 * panels]);
        }
    scale(a, g, s, count * panels, panels);
    put(a, g, s, i / each, count, panels);
}
#define TILES(kind, size, panels, pairs, pooled)                                                   \
    for (; i + size <= a->np; i += size) tile_##kind(a, &g, next, i, size, panels, pairs, pooled);

/* Tiles of one panel alone, or of a slim one. */
#define TILES_OF_ONE(kind)                                                                         \
    int32_t i = 0;                                                                                 \
    ahead *const next = NULL;                                                                      \
    if (a->pooled) {                                                                               \
        if (a->pair) TILES(kind, 16, 1, true, true)                                                \
        TILES(kind, 8, 1, false, true)                                                             \
        TILES(kind, 4, 1, false, true)                                                             \
        return;                                                                                    \
    }                                                                                              \
    if (a->pair) TILES(kind, 16, 1, true, false)                                                   \
    TILES(kind, 8, 1, false, false)                                                                \
    TILES(kind, 4, 1, false, false)                                                                \
    TILES(kind, 2, 1, false, false)                                                                \
    TILES(kind, 1, 1, false, false)

static void one_panel(const octk_conv_rows *a, const void *w, int32_t first) {
    const group g = group_of(a, w, first, 1);
    TILES_OF_ONE(wide)
}

static void two_panels(const octk_conv_rows *a, const void *w, int32_t first) {
    const group g = group_of(a, w, first, 2);
    ahead *const next = NULL;
    int32_t i = 0;
    if (a->pooled) {
        TILES(wide, 8, 2, false, true)
        TILES(wide, 4, 2, false, true)
        return;
    }
    TILES(wide, 8, 2, false, false)
    TILES(wide, 4, 2, false, false)
    TILES(wide, 2, 2, false, false)
    TILES(wide, 1, 2, false, false)
}

/* Weights of four panels may come from memory: while these are multiplied, the next four are
 * fetched, a share by each tile. */
static void four_panels(const octk_conv_rows *a, const void *w, int32_t first) {
    const group g = group_of(a, w, first, 4);
    const int32_t tiles = (a->np + 5) / 6;
    ahead fetch = {g.w + (int64_t)a->runs * a->steps * 256, (4 * AHEAD + tiles - 1) / tiles},
          *const next = &fetch;
    int32_t i = 0;
    if (a->pooled) {
        TILES(wide, 4, 4, false, true)
        return;
    }
    TILES(wide, 6, 4, false, false)
    TILES(wide, 4, 4, false, false)
    TILES(wide, 2, 4, false, false)
    TILES(wide, 1, 4, false, false)
}

/* What a slim panel has. */
typedef struct slim {
    const uint8_t *w;
    int32_t first;
    __m256 m; /* fp32 */
    octk_ends e;
    __mmask16 mask;
} slim;

static __attribute__((noinline)) void scale_slim_q31(const octk_conv_rows *a, int32_t first,
                                                     __m256i *s, int32_t count) {
    const octk_eight m = octk_eight_of(&a->by, first, first + 4);
    for (int32_t i = 0; i < count; i++) s[i] = octk_scaled_q31(s[i], &m);
}
ALWAYS void scale_slim(const octk_conv_rows *a, const slim *g, __m256i *s, const int32_t count) {
    if (a->by.law == OCTQ_FP32) {
        _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) s[i] =
            octk_scaled_fp32(s[i], g->m);
        return;
    }
    __m256i t[SLIM];
    _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) t[i] = s[i];
    scale_slim_q31(a, g->first, t, count);
    _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) s[i] = t[i];
}

ALWAYS void tile_slim(const octk_conv_rows *a, const slim *g, ahead *next, int32_t i,
                      const int32_t size, const int32_t panels, const bool pairs,
                      const bool pooled) {
    const uint8_t *p[16];
    const int32_t each = pooled ? OCTK_POOLED : 1, count = size / each;
    const int64_t *out = a->out + i / each;
    uint8_t *y = a->y + g->first;
    __m256i s[SLIM];
    pixels_at(a, i, p, size, pairs);
    sums_slim(a, g->w, a->b + g->first, p, next, s, size, panels, pairs);
    if (pooled)
        _Pragma("GCC unroll 4") for (int32_t k = 0; k < count; k++) s[k] =
            MOST(_mm256_max_epi32, s[4 * k], s[4 * k + 1], s[4 * k + 2], s[4 * k + 3]);
    scale_slim(a, g, s, count);
    _Pragma("GCC unroll 8") for (int32_t j = 0; j < count; j += 2) {
        const __m256i t = s[j + 1 < count ? j + 1 : j],
                      q = _mm256_permutevar8x32_epi32(octk_codes(s[j], t, s[j], t, g->e),
                                                      _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        const __m128i two = _mm256_castsi256_si128(q);
        _mm_mask_storeu_epi8(y + out[j], g->mask, two);
        if (j + 1 < count)
            _mm_mask_storeu_epi8(y + out[j + 1], g->mask, _mm_unpackhi_epi64(two, two));
    }
}

static void slim_panel(const octk_conv_rows *a, const void *w, int32_t first) {
    const bool fp32 = a->by.law == OCTQ_FP32;
    const slim g = {w, first, fp32 ? _mm256_loadu_ps(a->by.m + first) : _mm256_setzero_ps(),
                    octk_ends_of(a->zy, a->lo, a->hi), octk_first(a->o - first)};
    TILES_OF_ONE(slim)
}

/* Panels by fours, by twos, one, a slim one. */
void OCTK_CONV(const octk_conv_rows *a) {
    static const struct {
        int32_t lanes;
        octk_panel_fn *of;
    } widths[] = {{64, four_panels}, {32, two_panels}, {16, one_panel}, {8, slim_panel}};
    const int32_t lanes = octk_lanes(a->o);
    const uint8_t *w = a->w;
    int32_t first = 0;
    for (int32_t i = 0; i < 4; i++)
        for (; lanes - first >= widths[i].lanes; first += widths[i].lanes) {
            widths[i].of(a, w, first);
            w += (int64_t)a->runs * a->steps * 4 * widths[i].lanes;
        }
}
