/* SPDX-License-Identifier: MIT
 * Tiles of pixels by one, two or four panels of 16 channels, a vector each (a last panel of 8 lanes
 * in half of one), whatever instruction multiplies: a user defines DOT_NAME (its name) and
 * OCTK_CONV (the kernel's). Included in the middle of a file: no guard.
 *
 * Two products begin in a cycle and each takes five, so that a tile wants ten sums or more; two
 * vectors are loaded in a cycle, so that panels share a pixel's step. One panel alone has a load
 * for each product, unless the pixels come of several lines, four or where pooled two: a row of the
 * image then is multiplied for all lines that have it in their windows. Addresses of so many pixels
 * are more than there are registers: of pixels that lie in pairs the second one's is the first
 * one's with another offset, of lines a multiple of their pitch. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"
#include "ops/kernels/avx512/requant_avx512.h"
#include "ops/kernels/avx512vnni/sums_avx512vnni.h"

#define MOST(max, a, b, c, d) max(max(a, b), max(c, d))

/* Where every `apart`-th pixel of a tile is, places from x on. */
ALWAYS void pixels_at(const octk_conv_rows *a, const void *x, int32_t i, const uint8_t **p,
                      const int32_t size, const int32_t apart) {
    for (int32_t j = 0; j * apart < size; j++) p[j] = (const uint8_t *)x + a->pix[i + j * apart];
}

/* What a group of panels has: its weights, channels from `first` on, records, ends. */
typedef struct group {
    const uint8_t *w;
    const int32_t *b;
    int32_t first;
    __m512 m[4], lift[4]; /* fp32; what lifted sums lose */
    octk_ends512 e;
    octk_way how;
    bool dense;     /* four vectors of channels follow each other in memory */
    __mmask64 mask; /* of its channels */
} group;

/* In place: a copy would wait for its stores. */
ALWAYS void group_of(group *g, const octk_conv_rows *a, const uint8_t *w, int32_t first,
                     const int32_t panels) {
    const int32_t valid = a->o - first;
    g->w = w;
    g->first = first;
    g->e = octk_ends512_of(a->zy, a->lo, a->hi);
    g->dense = a->dense && a->o == 16 * panels && (panels == 1 || !a->line);
    g->how = octk_way_of(a->by.law, &a->lift, a->zy, a->lo, a->hi);
    g->b = (octk_is_lifted(g->how) ? a->lift.b : a->b) + first;
    g->mask = valid >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << valid) - 1;
    for (int32_t v = 0; v < panels && g->how != OCTK_BY_Q31; v++) {
        g->m[v] = _mm512_loadu_ps(a->by.m + first + 16 * v);
        if (octk_is_lifted(g->how)) g->lift[v] = _mm512_loadu_ps(a->lift.by + first + 16 * v);
    }
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
ALWAYS void scale(const octk_conv_rows *a, const group *g, const octk_way how, __m512i *s,
                  const int32_t count, const int32_t panels) {
    if (octk_is_lifted(how)) {
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) s[i] =
            octk_lowered512(s[i], g->m[i % panels], g->lift[i % panels]);
        return;
    }
    if (how != OCTK_BY_Q31) {
        _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) s[i] =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(s[i]), g->m[i % panels]));
        return;
    }
    __m512i t[WIDE]; /* s itself stays in registers */
    _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) t[i] = s[i];
    scale_q31(a, g->first, t, count, panels);
    _Pragma("GCC unroll 24") for (int32_t i = 0; i < count; i++) s[i] = t[i];
}

/* Codes of `count` outputs: four sums make a vector, which is one output of four panels, two of two
 * or four of one; the last ones may be the same. */
ALWAYS void put(const octk_conv_rows *a, const group *g, const octk_way how, const bool dense,
                const __m512i *s, const int64_t *out, const int32_t count, const int32_t panels) {
    uint8_t *y = a->y + g->first;
    const int32_t each = 4 / panels, last = count * panels - 1;
    _Pragma("GCC unroll 24") for (int32_t j = 0; j < count; j += each) {
        const int32_t k = j * panels;
#define NTH(i) s[k + (i) < last ? k + (i) : last]
        const __m512i codes = octk_codes_by512(how, s[k], NTH(1), NTH(2), NTH(3), g->e);
        if (panels == 4) {
            _mm512_mask_storeu_epi8(y + out[j], g->mask, codes);
        } else if (dense && j + each <= count) {
            _mm512_storeu_si512(y + out[j], codes);
        } else if (panels == 2) {
            const __mmask32 mask = (__mmask32)g->mask;
            _mm256_mask_storeu_epi8(y + out[j], mask, _mm512_castsi512_si256(codes));
            if (j + 1 < count)
                _mm256_mask_storeu_epi8(y + out[j + 1], mask, _mm512_extracti64x4_epi64(codes, 1));
        } else {
            const __mmask16 mask = (__mmask16)g->mask;
#define PUT_NTH(i)                                                                                 \
    if (j + (i) < count)                                                                           \
        _mm_mask_storeu_epi8(y + out[j + (i)], mask, _mm512_extracti32x4_epi32(codes, i));
            _mm_mask_storeu_epi8(y + out[j], mask, _mm512_castsi512_si128(codes));
            PUT_NTH(1)
            PUT_NTH(2)
            PUT_NTH(3)
        }
    }
}
/* Of columns of OCTK_LINES lines by one panel, dense: two columns of two lines make a vector. */
ALWAYS void put_columns(const octk_conv_rows *a, const group *g, const octk_way how,
                        const __m512i *s, const int64_t *out, const int32_t count) {
    enum { L = OCTK_LINES };
    uint8_t *y = a->y + g->first;
    _Pragma("GCC unroll 8") for (int32_t n = 0; n < count / 4; n++) {
        const int32_t i = n / 2 * 2 * L + n % 2 * 2;
        const __m512i codes = octk_codes_by512(how, s[i], s[i + L], s[i + 1], s[i + 1 + L], g->e);
        _mm256_storeu_si256((void *)(y + out[i]), _mm512_castsi512_si256(codes));
        _mm256_storeu_si256((void *)(y + out[i + 1]), _mm512_extracti64x4_epi64(codes, 1));
    }
}

/* A tile's sums as codes. Of large tiles in the two ways that most layers take the way is known
 * when compiling: asked for each vector, it costs a tile of few products a tenth. */
ALWAYS void finish(const work *t, __m512i *s, const int64_t *out, const int32_t count,
                   const int32_t panels, const bool columns) {
    const octk_conv_rows *const a = t->a;
    const group *const g = t->g;
#define FINISH(how, dense)                                                                         \
    {                                                                                              \
        scale(a, g, how, s, count *panels, panels);                                                \
        if (columns && (dense))                                                                    \
            put_columns(a, g, how, s, out, count);                                                 \
        else                                                                                       \
            put(a, g, how, dense, s, out, count, panels);                                          \
    }
    const bool usual = count * panels >= 12 && (panels == 4 || g->dense);
    if (usual && g->how == OCTK_BARE)
        FINISH(OCTK_BARE, true)
    else if (usual && g->how == OCTK_LIFTED)
        FINISH(OCTK_LIFTED, true)
    else
        FINISH(g->how, g->dense)
}

/* Of four sums each the largest. */
ALWAYS void pool(__m512i *s, const int32_t count, const int32_t panels) {
    _Pragma("GCC unroll 16") for (int32_t k = 0; k < count * panels; k++) {
        const __m512i *q = s + k / panels * OCTK_POOLED * panels + k % panels;
        s[k] = MOST(_mm512_max_epi32, q[0], q[panels], q[2 * panels], q[3 * panels]);
    }
}

/* A tile from pixel i on; pooled: of four pixels the largest sum. */
ALWAYS void tile_wide(const work *t, int32_t i, const int32_t size, const int32_t panels,
                      const bool pairs, const bool pooled) {
    const uint8_t *p[16];
    const int32_t each = pooled ? OCTK_POOLED : 1, count = size / each;
    __m512i s[WIDE];
    pixels_at(t->a, t->a->x, i, p, size, pairs ? 2 : 1);
    sums_wide(t, t->g->w, t->g->b, p, s, size, panels, pairs);
    if (pooled) pool(s, count, panels);
    finish(t, s, t->a->out + i / each, count, panels, false);
}
/* One of pixels of several lines, by one panel. */
ALWAYS void tile_lines(const work *t, int32_t i, const int32_t size, const bool pooled) {
    const uint8_t *p[8];
    const int32_t each = pooled ? OCTK_POOLED : 1, count = size / each,
                  lines = pooled ? OCTK_POOLED_LINES : OCTK_LINES;
    __m512i s[WIDE];
    pixels_at(t->a, (const uint8_t *)t->a->x + t->a->run[0], i, p, size, lines);
    sums_lines(t, t->g->w, t->g->b, p, s, size / lines, lines);
    if (pooled) pool(s, count, 1);
    finish(t, s, t->a->out + i / each, count, 1, !pooled && size % 8 == 0);
}
/* Tiles of a size for as long as there are pixels for them, from the i-th on; the next one is left.
 * Each size is a function: in one of many the compiler runs out of registers. It is called where it
 * has work: a small layer would wait for its code. */
#define TILES(name, tile, size, ...)                                                               \
    static __attribute__((noinline))                                                               \
    int32_t name##_loop(const octk_conv_rows *a, const group *g, octk_ahead *next, int32_t i) {    \
        const work t = {a, g, next};                                                               \
        for (; i + size <= t.a->np; i += size) tile(&t, i, size, __VA_ARGS__);                     \
        return i;                                                                                  \
    }                                                                                              \
    ALWAYS int32_t name(const octk_conv_rows *a, const group *g, octk_ahead *next, int32_t i) {    \
        return i + size <= a->np ? name##_loop(a, g, next, i) : i;                                 \
    }
TILES(lines_24, tile_lines, 24, false)
TILES(lines_16, tile_lines, 16, false)
TILES(lines_8, tile_lines, 8, false)
TILES(lines_4, tile_lines, 4, false)
TILES(pooled_lines_16, tile_lines, 16, true)
TILES(pooled_lines_4, tile_lines, 4, true)
TILES(one_by_16, tile_wide, 16, 1, true, false)
TILES(one_by_8, tile_wide, 8, 1, false, false)
TILES(one_by_4, tile_wide, 4, 1, false, false)
TILES(one_by_2, tile_wide, 2, 1, false, false)
TILES(one_by_1, tile_wide, 1, 1, false, false)
TILES(pooled_one_by_16, tile_wide, 16, 1, true, true)
TILES(pooled_one_by_8, tile_wide, 8, 1, false, true)
TILES(pooled_one_by_4, tile_wide, 4, 1, false, true)
TILES(two_by_12, tile_wide, 12, 2, true, false)
TILES(two_by_8, tile_wide, 8, 2, false, false)
TILES(two_by_4, tile_wide, 4, 2, false, false)
TILES(two_by_2, tile_wide, 2, 2, false, false)
TILES(two_by_1, tile_wide, 1, 2, false, false)
TILES(pooled_two_by_8, tile_wide, 8, 2, false, true)
TILES(pooled_two_by_4, tile_wide, 4, 2, false, true)
TILES(four_by_6_pairs, tile_wide, 6, 4, true, false)
TILES(four_by_6, tile_wide, 6, 4, false, false)
TILES(four_by_4, tile_wide, 4, 4, false, false)
TILES(four_by_2, tile_wide, 2, 4, false, false)
TILES(four_by_1, tile_wide, 1, 4, false, false)
TILES(pooled_four_by_4, tile_wide, 4, 4, false, true)

static void one_panel(const octk_conv_rows *a, const void *w, int32_t first) {
    group g;
    group_of(&g, a, w, first, 1);
    int32_t i = 0;
    if (a->line && a->pooled) {
        i = pooled_lines_16(a, &g, NULL, i);
        pooled_lines_4(a, &g, NULL, i);
    } else if (a->line) {
        i = lines_24(a, &g, NULL, i);
        i = lines_16(a, &g, NULL, i);
        i = lines_8(a, &g, NULL, i);
        lines_4(a, &g, NULL, i);
    } else if (a->pooled) {
        if (a->pair) i = pooled_one_by_16(a, &g, NULL, i);
        i = pooled_one_by_8(a, &g, NULL, i);
        pooled_one_by_4(a, &g, NULL, i);
    } else {
        if (a->pair) i = one_by_16(a, &g, NULL, i);
        i = one_by_8(a, &g, NULL, i);
        i = one_by_4(a, &g, NULL, i);
        i = one_by_2(a, &g, NULL, i);
        one_by_1(a, &g, NULL, i);
    }
}

static void two_panels(const octk_conv_rows *a, const void *w, int32_t first) {
    group g;
    group_of(&g, a, w, first, 2);
    int32_t i = 0;
    if (a->pooled) {
        i = pooled_two_by_8(a, &g, NULL, i);
        pooled_two_by_4(a, &g, NULL, i);
    } else {
        if (a->pair) i = two_by_12(a, &g, NULL, i);
        i = two_by_8(a, &g, NULL, i);
        i = two_by_4(a, &g, NULL, i);
        i = two_by_2(a, &g, NULL, i);
        two_by_1(a, &g, NULL, i);
    }
}

/* Weights of four panels may come from memory: while these are multiplied, the next ones are
 * fetched, a share by each tile. Behind the last ones nothing is: a layer of one pixel would wait
 * for as much as its weights are. */
static void four_panels(const octk_conv_rows *a, const void *w, int32_t first) {
    group g;
    group_of(&g, a, w, first, 4);
    const int32_t tiles = (a->np + 5) / 6, rest = octk_lanes(a->o) - first - 64,
                  panels = rest < 64 ? rest / 16 : 4;
    octk_ahead next = {.at = (uintptr_t)(g.w + (int64_t)a->runs * a->steps * 256),
                       .lines = (panels * AT_ONCE + tiles - 1) / tiles};
    int32_t i = 0;
    if (a->pooled) {
        pooled_four_by_4(a, &g, &next, i);
    } else {
        if (a->pair) i = four_by_6_pairs(a, &g, &next, i);
        i = four_by_6(a, &g, &next, i);
        i = four_by_4(a, &g, &next, i);
        i = four_by_2(a, &g, &next, i);
        four_by_1(a, &g, &next, i);
    }
}

static __attribute__((noinline)) void scale_slim_q31(const octk_conv_rows *a, int32_t first,
                                                     __m256i *s, int32_t count) {
    const octk_eight m = octk_eight_of(&a->by, first, first + 4);
    for (int32_t i = 0; i < count; i++) s[i] = octk_scaled_q31(s[i], &m);
}
ALWAYS void scale_slim(const octk_conv_rows *a, const group *g, __m256i *s, const int32_t count) {
    const __m256 m = _mm512_castps512_ps256(g->m[0]), lift = _mm512_castps512_ps256(g->lift[0]);
    if (octk_is_lifted(g->how)) {
        _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) s[i] =
            _mm256_cvtps_epi32(_mm256_fmsub_ps(_mm256_castsi256_ps(s[i]), m, lift));
        return;
    }
    if (g->how != OCTK_BY_Q31) {
        _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) s[i] =
            octk_scaled_fp32(s[i], m);
        return;
    }
    __m256i t[SLIM];
    _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) t[i] = s[i];
    scale_slim_q31(a, g->first, t, count);
    _Pragma("GCC unroll 16") for (int32_t i = 0; i < count; i++) s[i] = t[i];
}

ALWAYS void tile_slim(const work *t, int32_t i, const int32_t size, const bool pairs,
                      const bool pooled) {
    const uint8_t *p[16];
    const int32_t each = pooled ? OCTK_POOLED : 1, count = size / each;
    __m256i s[SLIM];
    pixels_at(t->a, t->a->x, i, p, size, pairs ? 2 : 1);
    sums_slim(t, t->g->w, t->g->b, p, s, size, 1, pairs);
    if (pooled)
        _Pragma("GCC unroll 4") for (int32_t k = 0; k < count; k++) s[k] =
            MOST(_mm256_max_epi32, s[4 * k], s[4 * k + 1], s[4 * k + 2], s[4 * k + 3]);
    scale_slim(t->a, t->g, s, count);
    const group *g = t->g;
    const int64_t *out = t->a->out + i / each;
    uint8_t *y = t->a->y + g->first;
    const octk_ends e = {_mm512_castsi512_si256(g->e.z), _mm512_castsi512_si256(g->e.lo),
                         _mm512_castsi512_si256(g->e.hi)};
    const __mmask16 mask = (__mmask16)g->mask;
    _Pragma("GCC unroll 8") for (int32_t j = 0; j < count; j += 2) {
        const __m256i beside = s[j + 1 < count ? j + 1 : j],
                      q = _mm256_permutevar8x32_epi32(octk_codes(s[j], beside, s[j], beside, e),
                                                      _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        const __m128i two = _mm256_castsi256_si128(q);
        _mm_mask_storeu_epi8(y + out[j], mask, two);
        if (j + 1 < count) _mm_mask_storeu_epi8(y + out[j + 1], mask, _mm_unpackhi_epi64(two, two));
    }
}
TILES(slim_by_16, tile_slim, 16, true, false)
TILES(slim_by_8, tile_slim, 8, false, false)
TILES(slim_by_4, tile_slim, 4, false, false)
TILES(slim_by_2, tile_slim, 2, false, false)
TILES(slim_by_1, tile_slim, 1, false, false)
TILES(pooled_slim_by_16, tile_slim, 16, true, true)
TILES(pooled_slim_by_8, tile_slim, 8, false, true)
TILES(pooled_slim_by_4, tile_slim, 4, false, true)

static void slim_panel(const octk_conv_rows *a, const void *w, int32_t first) {
    group g;
    group_of(&g, a, w, first, 1);
    int32_t i = 0;
    if (a->pooled) {
        if (a->pair) i = pooled_slim_by_16(a, &g, NULL, i);
        i = pooled_slim_by_8(a, &g, NULL, i);
        pooled_slim_by_4(a, &g, NULL, i);
    } else {
        if (a->pair) i = slim_by_16(a, &g, NULL, i);
        i = slim_by_8(a, &g, NULL, i);
        i = slim_by_4(a, &g, NULL, i);
        i = slim_by_2(a, &g, NULL, i);
        slim_by_1(a, &g, NULL, i);
    }
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
