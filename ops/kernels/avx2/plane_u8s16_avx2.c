/* SPDX-License-Identifier: MIT
 * Convolution of an image of one channel with VPMADDWD: eight pixels of a row are the vector, a
 * tile is two rows by up to six channels. The inner loop is assembly: gcc 12 spills accumulators of
 * the same loop in intrinsics. */
#include <immintrin.h>

#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"

/* Pairs of neighbours as s16: pixels 0 to 3, 4 to 7. */
static const int8_t neighbours[32] = {0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1,
                                      4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1, 8, -1};

/* Channel c of both rows: accumulators 2c and 2c + 1. */
#define CHANNEL(c, i, j)                                                                           \
    "vpbroadcastd 4*" #c "(%[w]),%%ymm14\n\tvpmaddwd %%ymm12,%%ymm14,%%ymm15\n\t"                  \
    "vpmaddwd %%ymm13,%%ymm14,%%ymm14\n\tvpaddd %%ymm15,%%ymm" #i ",%%ymm" #i "\n\t"               \
    "vpaddd %%ymm14,%%ymm" #j ",%%ymm" #j "\n\t"
#define BIAS(c, i, j)                                                                              \
    "vpbroadcastd 4*" #c "(%[b]),%%ymm" #i "\n\tvmovdqa %%ymm" #i ",%%ymm" #j "\n\t"
#define EACH_2(what) what(0, 0, 1) what(1, 2, 3)
#define EACH_4(what) EACH_2(what) what(2, 4, 5) what(3, 6, 7)
#define EACH_6(what) EACH_4(what) what(4, 8, 9) what(5, 10, 11)
#define ACC(n)       register __m256i c##n __asm__("ymm" #n);
#define OUT(n)       "=x"(c##n)
#define PUT(n)       s[n] = c##n;
#define ACC_2        ACC(0) ACC(1) ACC(2) ACC(3)
#define ACC_4        ACC_2 ACC(4) ACC(5) ACC(6) ACC(7)
#define ACC_6        ACC_4 ACC(8) ACC(9) ACC(10) ACC(11)
#define OUT_2        OUT(0), OUT(1), OUT(2), OUT(3)
#define OUT_4        OUT_2, OUT(4), OUT(5), OUT(6), OUT(7)
#define OUT_6        OUT_4, OUT(8), OUT(9), OUT(10), OUT(11)
#define PUT_2        PUT(0) PUT(1) PUT(2) PUT(3)
#define PUT_4        PUT_2 PUT(4) PUT(5) PUT(6) PUT(7)
#define PUT_6        PUT_4 PUT(8) PUT(9) PUT(10) PUT(11)

/* Sums of eight pixels of two rows. */
#define TILE(n, bytes)                                                                             \
    static inline void tile##n(const octk_plane_u8s16 *a, const int16_t *w, const int32_t *b,      \
                               const uint8_t *x0, const uint8_t *x1, __m256i *s) {                 \
        const int64_t *tap = a->tap;                                                               \
        int64_t pairs = a->pairs, k;                                                               \
        ACC_##n __asm__ volatile(                                                                  \
            EACH_##n(BIAS) ".p2align 4\n1:\n\tmov (%[tap]),%[k]\n\tadd $8,%[tap]\n\t"              \
                           "vbroadcasti128 (%[x0],%[k]),%%ymm12\n\t"                               \
                           "vbroadcasti128 (%[x1],%[k]),%%ymm13\n\t"                               \
                           "vpshufb %[order],%%ymm12,%%ymm12\n\t"                                  \
                           "vpshufb %[order],%%ymm13,%%ymm13\n\t" EACH_##n(                        \
                               CHANNEL) "add $" #bytes ",%[w]\n\tdec %[pairs]\n\tjnz 1b\n\t"       \
            : OUT_##n, [w] "+r"(w), [tap] "+r"(tap), [pairs] "+r"(pairs), [k] "=&r"(k)             \
            : [b] "r"(b), [x0] "r"(x0), [x1] "r"(x1), [order] "m"(neighbours)                      \
            : "memory", "cc", "ymm12", "ymm13", "ymm14", "ymm15");                                 \
        PUT_##n                                                                                    \
    }
TILE(2, 8)
TILE(4, 16)
TILE(6, 24)

typedef struct panel {
    const octk_plane_u8s16 *a;
    const int16_t *w;
    const int32_t *b;
    octk_eight m[6];
    octk_ends ends;
    int32_t first, lanes, valid; /* channels */
} panel;

static octk_eight same_eight(const octq_multipliers *by, int64_t i) {
    octk_eight e = {.m = _mm256_setzero_ps()};
    if (by->law == OCTQ_FP32) return e.m = _mm256_set1_ps(by->m[i]), e;
    const int32_t s = by->shift[i];
    e.q31 = _mm256_set1_epi32(by->q31[i]);
    e.left = _mm256_set1_epi32(s > 0 ? s : 0);
    e.right = _mm256_set1_epi32(s > 0 ? 0 : -s);
    return e;
}

/* Eight bytes a pixel: codes of up to six channels, v[c]. */
static inline void records(const panel *t, const __m256i *v, octq_law law, uint8_t *block) {
    const __m256i pixels = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0,
                                            4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m256i r[6];
    for (int32_t c = 0; c < 6; c++)
        r[c] = c < t->lanes ? octk_scaled(v[c], &t->m[c], law) : r[c % 2];
    const __m256i four = _mm256_shuffle_epi8(octk_codes(r[0], r[1], r[2], r[3], t->ends), pixels),
                  two = t->lanes < 6 ? four
                                     : _mm256_shuffle_epi8(
                                           octk_codes(r[4], r[5], r[4], r[5], t->ends), pixels),
                  low = _mm256_unpacklo_epi32(four, two), high = _mm256_unpackhi_epi32(four, two);
    _mm_storeu_si128((__m128i *)block, _mm256_castsi256_si128(low));
    _mm_storeu_si128((__m128i *)(block + 16), _mm256_castsi256_si128(high));
    _mm_storeu_si128((__m128i *)(block + 32), _mm256_extracti128_si256(low, 1));
    _mm_storeu_si128((__m128i *)(block + 48), _mm256_extracti128_si256(high, 1));
}

/* `count` pixels, `apart` records from one to the next. Where the next pixel follows at once a
 * store may run into it: its own comes later. */
static inline void put(const panel *t, const uint8_t *block, int32_t apart, uint8_t *y,
                       int32_t count) {
    const bool into = t->valid >= 4 && t->a->y.pixel == t->valid;
    for (int32_t i = 0; i < count; i++, y += t->a->y.pixel) {
        const __m128i v = _mm_loadl_epi64((const __m128i *)(block + i * apart * 8));
        if (into && i + 1 < count)
            _mm_storel_epi64((__m128i *)y, v);
        else
            octk_store_bytes(y, v, t->valid);
    }
}

/* Two rows of sums from pixel q on, or a row of their pools. */
static inline void finish(const panel *t, const __m256i *s, int32_t p, int32_t q, octq_law law) {
    const octk_plane_u8s16 *a = t->a;
    uint8_t block[64], *y = a->y.base + p * a->y.row + q * a->y.pixel + t->first;
    __m256i v[6];
    const int32_t most = a->pooled ? 4 : 8, count = a->q - q < most ? a->q - q : most;
    for (int32_t row = 0; row < (a->pooled ? 1 : 2) && p + row < a->p; row++) {
        for (int32_t c = 0; c < t->lanes; c++) {
            v[c] = s[2 * c + row];
            if (!a->pooled) continue;
            v[c] = _mm256_max_epi32(s[2 * c], s[2 * c + 1]);
            v[c] = _mm256_max_epi32(v[c], _mm256_shuffle_epi32(v[c], 0xb1));
        }
        records(t, v, law, block);
        put(t, block, a->pooled ? 2 : 1, y + row * a->y.row, count);
    }
}

static inline void run_panel(const panel *t, octq_law law) {
    const octk_plane_u8s16 *a = t->a;
    const int32_t down = a->pooled ? 1 : 2, across = a->pooled ? 4 : 8, each = a->pooled ? 2 : 1;
    const int64_t step = a->stride_h * a->x.row;
    __m256i s[12];
    for (int32_t p = 0; p < a->p; p += down)
        for (int32_t q = 0; q < a->q; q += across) {
            const uint8_t *x0 = a->x.base + p * each * step + q * each,
                          *x1 = a->pooled || p + 1 < a->p ? x0 + step : x0;
            if (t->lanes == 6)
                tile6(a, t->w, t->b, x0, x1, s);
            else if (t->lanes == 4)
                tile4(a, t->w, t->b, x0, x1, s);
            else
                tile2(a, t->w, t->b, x0, x1, s);
            finish(t, s, p, q, law);
        }
}

void octk_plane_u8s16_avx2(const octk_plane_u8s16 *a) {
    panel t = {.a = a, .w = a->w, .b = a->b, .ends = octk_ends_of(a->zy, a->lo, a->hi)};
    for (; t.first < a->o; t.first += t.lanes) {
        t.lanes = octk_plane_lanes(a->o - t.first);
        t.valid = a->o - t.first < t.lanes ? a->o - t.first : t.lanes;
        for (int32_t c = 0; c < t.lanes; c++) t.m[c] = same_eight(&a->by, t.b - a->b + c);
        if (a->by.law == OCTQ_FP32)
            run_panel(&t, OCTQ_FP32);
        else
            run_panel(&t, OCTQ_Q31);
        t.w += (int64_t)2 * t.lanes * a->pairs;
        t.b += t.lanes;
    }
}
