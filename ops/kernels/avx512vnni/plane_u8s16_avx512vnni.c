/* SPDX-License-Identifier: MIT
 * Convolution of an image of one channel with VPDPWSSD. Codes widened to s16 from a pixel on are
 * the pairs of neighbours that begin at every second pixel; from the next one on, those of the
 * others. So 32 pixels of a row are two vectors, the even and the odd ones, without a shuffle, and
 * a pool takes the larger of two lanes. A tile is two rows of these by up to six channels. */
#include "ops/kernels/avx512/requant_avx512.h"
#include "ops/kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))
#ifndef DOT /* a test has its own. Assembly: around the intrinsic gcc 12 copies every sum */
#define DOT(s, x, weights) __asm__("vpdpwssd %2,%1,%0" : "+v"(s) : "v"(x), "v"(weights))
#endif

enum { LANES = 6, PIXELS = 32 };
enum { EVEN, ODD, NEXT_ROW, VECTORS = 4 }; /* of a tile: even and odd pixels of two rows */

typedef struct panel {
    const octk_plane_u8s16 *a;
    const int16_t *w;
    const int32_t *b;
    octk_sixteen by[LANES];
    octk_ends512 ends;
    int32_t first, lanes; /* channels */
    __mmask16 valid;
} panel;

static octk_sixteen same_record(const octq_multipliers *by, int64_t i) {
    octk_sixteen e = {.m = _mm512_setzero_ps()};
    if (by->law == OCTQ_FP32) return e.m = _mm512_set1_ps(by->m[i]), e;
    const int32_t s = by->shift[i];
    e.half[0].q31 = _mm256_set1_epi32(by->q31[i]);
    e.half[0].left = _mm256_set1_epi32(s > 0 ? s : 0);
    e.half[0].right = _mm256_set1_epi32(s > 0 ? 0 : -s);
    e.half[1] = e.half[0];
    return e;
}

static inline __m512i widened(const uint8_t *x) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)x));
}

/* Pairs of what lies below each other: even pixels, odd ones. */
INLINE void below(const uint8_t *x, int64_t apart, __m512i *pairs) {
    const __m512i upper = widened(x), lower = widened(x + apart);
    pairs[EVEN] = _mm512_mask_blend_epi16(0xaaaaaaaa, upper, _mm512_slli_epi32(lower, 16));
    pairs[ODD] = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(upper, 16), lower);
}

INLINE void sums(const panel *t, const uint8_t *x0, const uint8_t *x1, int32_t lanes,
                 __m512i s[][VECTORS]) {
    const octk_plane_u8s16 *a = t->a;
    const int16_t *w = t->w;
    _Pragma("GCC unroll 6") for (int32_t c = 0; c < lanes; c++) s[c][0] = s[c][1] = s[c][2] =
        s[c][3] = _mm512_set1_epi32(t->b[c]);
    for (int32_t k = 0; k < a->pairs; k++, w += 2 * lanes) {
        const int64_t tap = a->tap[k];
        __m512i x[VECTORS];
        if (k < a->pairs - a->down)
            x[0] = widened(x0 + tap), x[1] = widened(x0 + tap + 1), x[2] = widened(x1 + tap),
            x[3] = widened(x1 + tap + 1);
        else
            below(x0 + tap, a->below, x), below(x1 + tap, a->below, x + NEXT_ROW);
        _Pragma("GCC unroll 6") for (int32_t c = 0; c < lanes; c++) {
            int32_t pair;
            memcpy(&pair, w + 2 * c, sizeof pair);
            const __m512i weights = _mm512_set1_epi32(pair);
            _Pragma("GCC unroll 4") for (int32_t v = 0; v < VECTORS; v++)
                DOT(s[c][v], x[v], weights);
        }
    }
}

/* Codes of sixteen pixels, eight bytes a pixel, from their sums v[channel], as `apart` pixels of
 * the output lie apart. */
INLINE void put(const panel *t, const __m512i v[LANES], int32_t lanes, octq_law law, uint8_t *y,
                int64_t apart, int32_t count) {
    const __m512i pixels = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400),
                  front = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
                  back = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30,
                                           31);
    __m512i r[LANES];
    uint8_t block[128];
    _Pragma("GCC unroll 6") for (int32_t c = 0; c < LANES; c++) r[c] =
        c < lanes ? octk_scaled512(v[c], &t->by[c], law) : r[c % 2];
    const __m512i four =
                      _mm512_shuffle_epi8(octk_packed512(r[0], r[1], r[2], r[3], t->ends), pixels),
                  two = lanes < 6 ? four
                                  : _mm512_shuffle_epi8(
                                        octk_packed512(r[4], r[5], r[4], r[5], t->ends), pixels),
                  low = _mm512_unpacklo_epi32(four, two), high = _mm512_unpackhi_epi32(four, two);
    _mm512_storeu_si512(block, _mm512_permutex2var_epi32(low, front, high));
    _mm512_storeu_si512(block + 64, _mm512_permutex2var_epi32(low, back, high));
    for (int32_t i = 0; i < count; i++, y += apart)
        _mm_mask_storeu_epi8(y, t->valid, _mm_loadl_epi64((const void *)(block + 8 * i)));
}

static inline int32_t at_most(int32_t n, int32_t most) { return n < most ? n : most; }

/* Two rows of sums from pixel q on, or a row of their pools. */
INLINE void finish(const panel *t, __m512i s[][VECTORS], int32_t p, int32_t q, int32_t lanes,
                   octq_law law) {
    const octk_plane_u8s16 *a = t->a;
    uint8_t *y = a->y.base + p * a->y.row + q * a->y.pixel + t->first;
    __m512i v[VECTORS][LANES]; /* s stays in registers: its places are known when compiling */
    if (a->pooled) {
        _Pragma("GCC unroll 6") for (int32_t c = 0; c < lanes; c++) v[0][c] = _mm512_max_epi32(
            _mm512_max_epi32(s[c][0], s[c][1]), _mm512_max_epi32(s[c][2], s[c][3]));
        put(t, v[0], lanes, law, y, a->y.pixel, at_most(a->q - q, PIXELS / 2));
        return;
    }
    _Pragma("GCC unroll 6") for (int32_t c = 0; c < lanes; c++)
        v[0][c] = s[c][0],
        v[1][c] = s[c][1], v[2][c] = s[c][2], v[3][c] = s[c][3];
    const int32_t count = at_most(a->q - q, PIXELS);
    for (int32_t k = 0; k < VECTORS && p + k / NEXT_ROW < a->p; k++)
        put(t, v[k], lanes, law, y + k / NEXT_ROW * a->y.row + k % NEXT_ROW * a->y.pixel,
            2 * a->y.pixel, (count + 1 - k % NEXT_ROW) / 2);
}

INLINE void run_panel(const panel *t, int32_t lanes, octq_law law) {
    const octk_plane_u8s16 *a = t->a;
    const int32_t each = a->pooled ? 2 : 1, down = 3 - each, across = PIXELS / each;
    const int64_t step = a->stride_h * a->x.row;
    __m512i s[LANES][VECTORS];
    for (int32_t p = 0; p < a->p; p += down)
        for (int32_t q = 0; q < a->q; q += across) {
            const uint8_t *x0 = a->x.base + p * each * step + q * each,
                          *x1 = a->pooled || p + 1 < a->p ? x0 + step : x0;
            sums(t, x0, x1, lanes, s);
            finish(t, s, p, q, lanes, law);
        }
}
INLINE void run_law(const panel *t, octq_law law) {
    if (t->lanes == 6)
        run_panel(t, 6, law);
    else if (t->lanes == 4)
        run_panel(t, 4, law);
    else
        run_panel(t, 2, law);
}

void octk_plane_u8s16_avx512vnni(const octk_plane_u8s16 *a) {
    panel t = {.a = a, .w = a->w, .b = a->b, .ends = octk_ends512_of(a->zy, a->lo, a->hi)};
    for (; t.first < a->o; t.first += t.lanes) {
        t.lanes = octk_plane_lanes(a->o - t.first);
        t.valid = octk_first(at_most(a->o - t.first, t.lanes));
        for (int32_t c = 0; c < t.lanes; c++) t.by[c] = same_record(&a->by, t.b - a->b + c);
        if (a->by.law == OCTQ_FP32)
            run_law(&t, OCTQ_FP32);
        else
            run_law(&t, OCTQ_Q31);
        t.w += (int64_t)2 * t.lanes * a->pairs;
        t.b += t.lanes;
    }
}
