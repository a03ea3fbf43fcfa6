/* SPDX-License-Identifier: MIT
 * Convolution of an image of one channel with VPMADDWD: eight pixels of a row are the vector, or
 * four in each of two places, a tile is two rows by up to six channels. The inner loop is assembly:
 * gcc 12 spills accumulators of the same loop in intrinsics. Sums begin without their biases, which
 * come with the codes: behind a pool these are a quarter as many. */
#include <immintrin.h>

#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"

#define INLINE static inline __attribute__((always_inline))
enum { LANES = 6, RECORD = 8 /* bytes of a pixel's codes, before they are stored */ };

/* Pairs of neighbours as s16: pixels 0 to 3, 4 to 7; or each half its own first four. */
static const int8_t of_eight[32] = {0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1,
                                    4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1, 8, -1};
static const int8_t of_four[32] = {0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1,
                                   0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, 4, -1};

/* Channel c of both rows: accumulators 2c and 2c + 1. */
#define CHANNEL(c, i, j)                                                                           \
    "vpbroadcastd 4*" #c "(%[w]),%%ymm14\n\tvpmaddwd %%ymm12,%%ymm14,%%ymm15\n\t"                  \
    "vpmaddwd %%ymm13,%%ymm14,%%ymm14\n\tvpaddd %%ymm15,%%ymm" #i ",%%ymm" #i "\n\t"               \
    "vpaddd %%ymm14,%%ymm" #j ",%%ymm" #j "\n\t"
#define FIRST(c, i, j)                                                                             \
    "vpbroadcastd 4*" #c "(%[w]),%%ymm" #j "\n\tvpmaddwd %%ymm12,%%ymm" #j ",%%ymm" #i "\n\t"      \
    "vpmaddwd %%ymm13,%%ymm" #j ",%%ymm" #j "\n\t"
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

/* A pair of taps: pixels of both rows, then each channel. Neighbours in a row, or the second one
 * below the first. */
#define TAP "mov (%[tap]),%[k]\n\tadd $8,%[tap]\n\t"
#define BESIDE                                                                                     \
    TAP "vbroadcasti128 (%[x0],%[k]),%%ymm12\n\tvbroadcasti128 (%[x1],%[k]),%%ymm13\n\t"           \
        "vpshufb %[order],%%ymm12,%%ymm12\n\tvpshufb %[order],%%ymm13,%%ymm13\n\t"
#define BELOW                                                                                      \
    TAP "vmovq (%[x0],%[k]),%%xmm12\n\tvmovq (%[x1],%[k]),%%xmm13\n\tadd %[below],%[k]\n\t"        \
        "vpunpcklbw (%[x0],%[k]),%%xmm12,%%xmm12\n\tvpunpcklbw (%[x1],%[k]),%%xmm13,%%xmm13\n\t"   \
        "vpmovzxbw %%xmm12,%%ymm12\n\tvpmovzxbw %%xmm13,%%ymm13\n\t"
#define NEXT(bytes, count) "add $" #bytes ",%[w]\n\tdec %[" #count "]\n\t"

/* Of four pixels in one place, and four in another. */
#define BESIDE_APART                                                                               \
    TAP "vmovdqu (%[x0],%[k]),%%xmm12\n\tvmovdqu (%[x1],%[k]),%%xmm13\n\t"                         \
        "vinserti128 $1,(%[z0],%[k]),%%ymm12,%%ymm12\n\t"                                          \
        "vinserti128 $1,(%[z1],%[k]),%%ymm13,%%ymm13\n\t"                                          \
        "vpshufb %[order],%%ymm12,%%ymm12\n\tvpshufb %[order],%%ymm13,%%ymm13\n\t"
#define DOWN "add %[below],%[k]\n\t"
#define FOURS(i, to)                                                                               \
    "vmovd (%[x" #i "],%[k]),%%xmm" #to "\n\t"                                                     \
    "vpinsrd $1,(%[z" #i "],%[k]),%%xmm" #to ",%%xmm" #to "\n\t"
#define TOGETHER(i, j)                                                                             \
    "vpunpcklbw %%xmm" #j ",%%xmm" #i ",%%xmm" #i "\n\tvpmovzxbw %%xmm" #i ",%%ymm" #i "\n\t"
#define BELOW_APART                                                                                \
    TAP FOURS(0, 12) FOURS(1, 13) DOWN FOURS(0, 14) FOURS(1, 15) TOGETHER(12, 14) TOGETHER(13, 15)

/* Where the pixels of half a vector stand: their windows of two rows, and their codes, of so many
 * rows, with `left` pixels left in each. */
typedef struct half {
    const uint8_t *x0, *x1;
    uint8_t *y;
    int32_t rows, left;
} half;

/* Sums of eight pixels of two rows. */
#define TILE(name, n, bytes, places, BESIDE, BELOW)                                                \
    INLINE void name(const octk_plane_u8s16 *a, const int16_t *w, const half *h, __m256i *s) {     \
        const int64_t *tap = a->tap;                                                               \
        int64_t down = a->down, beside = a->pairs - down, k;                                       \
        ACC_##n __asm__ volatile(                                                                  \
            BESIDE EACH_##n(FIRST)                                                                 \
                NEXT(bytes, beside) "jz 2f\n\t.p2align 4\n1:\n\t" BESIDE EACH_##n(CHANNEL)         \
                    NEXT(bytes, beside) "jnz 1b\n2:\n\ttest %[down],%[down]\n\tjz 4f\n"            \
                                        "3:\n\t" BELOW EACH_##n(CHANNEL)                           \
                                            NEXT(bytes, down) "jnz 3b\n4:\n\t"                     \
            : OUT_##n, [w] "+r"(w), [tap] "+r"(tap), [beside] "+r"(beside), [down] "+r"(down),     \
              [k] "=&r"(k)                                                                         \
            : places, [below] "r"(a->below)                                                        \
            : "memory", "cc", "ymm12", "ymm13", "ymm14", "ymm15");                                 \
        PUT_##n                                                                                    \
    }
#define ONE_PLACE [x0] "r"(h->x0), [x1] "r"(h->x1), [order] "m"(of_eight)
#define TWO_PLACES                                                                                 \
    [x0] "r"(h->x0), [x1] "r"(h->x1), [z0] "r"(h[1].x0), [z1] "r"(h[1].x1), [order] "m"(of_four)
#define TILES(n, bytes)                                                                            \
    TILE(tile##n, n, bytes, ONE_PLACE, BESIDE, BELOW)                                              \
    TILE(apart##n, n, bytes, TWO_PLACES, BESIDE_APART, BELOW_APART)
TILES(2, 8)
TILES(4, 16)
TILES(6, 24)

/* Vectors of sums that become codes: a channel's eight pixels, or of a pool two channels' four. */
typedef struct panel {
    const octk_plane_u8s16 *a;
    const int16_t *w;
    __m256i b[LANES];
    octk_eight by[LANES];
    octk_ends ends;
    int32_t first, lanes, valid; /* channels */
    bool inside;                 /* eight bytes from the first one on lie inside the pixel */
    bool follow;                 /* these are all channels, and pixels follow each other */
} panel;

/* Of channels i and j, two pixels of each in each half. */
static octk_eight two_records(const octq_multipliers *by, int64_t i, int64_t j) {
    octk_eight e = {.m = _mm256_setzero_ps()};
    if (by->law == OCTQ_FP32) {
        const float m = by->m[i], n = by->m[j];
        e.m = _mm256_setr_ps(m, m, n, n, m, m, n, n);
        return e;
    }
    const __m256i zero = _mm256_setzero_si256();
    const int32_t p = by->q31[i], q = by->q31[j], l = by->shift[i], r = by->shift[j];
    const __m256i s = _mm256_setr_epi32(l, l, r, r, l, l, r, r);
    e.q31 = _mm256_setr_epi32(p, p, q, q, p, p, q, q);
    e.left = _mm256_max_epi32(s, zero);
    e.right = _mm256_max_epi32(_mm256_sub_epi32(zero, s), zero);
    return e;
}

static inline __m256i same_halves(__m128i v) { return _mm256_broadcastsi128_si256(v); }

/* Codes of eight pixels as records, from their sums v[channel]: pixels 0 and 1, 4 and 5 of them in
 * record[0], the others in record[1]. */
INLINE void codes(const panel *t, const __m256i *v, int32_t lanes, octq_law law, __m256i *record) {
    const __m256i pixels =
        same_halves(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m256i r[LANES];
    _Pragma("GCC unroll 6") for (int32_t c = 0; c < LANES; c++) r[c] =
        c < lanes ? octk_scaled(_mm256_add_epi32(v[c], t->b[c]), &t->by[c], law) : r[c % 2];
    const __m256i four = _mm256_shuffle_epi8(octk_codes(r[0], r[1], r[2], r[3], t->ends), pixels),
                  two = lanes < 6 ? four
                                  : _mm256_shuffle_epi8(octk_codes(r[4], r[5], r[4], r[5], t->ends),
                                                        pixels);
    record[0] = _mm256_unpacklo_epi32(four, two);
    record[1] = _mm256_unpackhi_epi32(four, two);
}

/* Four outputs of a pool as records, from the larger of two rows' sums v[channel]. Two channels
 * fill a vector: of each the even pixels, of each the odd ones, and of these the larger. */
INLINE __m256i pools(const panel *t, const __m256i *v, int32_t lanes, octq_law law) {
    const __m256i pixels =
        same_halves(_mm_setr_epi8(0, 2, 4, 6, 8, 10, -1, -1, 1, 3, 5, 7, 9, 11, -1, -1));
    __m256i r[LANES / 2];
    _Pragma("GCC unroll 3") for (int32_t i = 0; i < LANES / 2; i++) {
        if (2 * i >= lanes) {
            r[i] = r[i - 1];
            continue;
        }
        const __m256 p = _mm256_castsi256_ps(v[2 * i]), q = _mm256_castsi256_ps(v[2 * i + 1]);
        const __m256i most = _mm256_max_epi32(_mm256_castps_si256(_mm256_shuffle_ps(p, q, 0x88)),
                                              _mm256_castps_si256(_mm256_shuffle_ps(p, q, 0xdd)));
        r[i] = octk_scaled(_mm256_add_epi32(most, t->b[i]), &t->by[i], law);
    }
    return _mm256_shuffle_epi8(octk_codes(r[0], r[1], r[2], r[2], t->ends), pixels);
}

/* Pixels, two records in a vector, of which `left` are left in their row. A store of a whole record
 * may run into what is stored later: the pixel's other channels, or the next pixels. */
INLINE void put(const panel *t, const __m128i *two, int32_t vectors, uint8_t *y, int32_t left) {
    const int64_t pixel = t->a->y.pixel;
    const int32_t all = 2 * vectors, count = left < all ? left : all,
                  whole = t->inside   ? count
                          : t->follow ? left + 1 - (RECORD + t->valid - 1) / t->valid
                                      : 0;
    if (whole >= all) {
        _Pragma("GCC unroll 4") for (int32_t i = 0; i < vectors; i++, y += 2 * pixel) {
            _mm_storel_epi64((__m128i *)(void *)y, two[i]);
            octk_store_high(y + pixel, two[i]);
        }
        return;
    }
    uint8_t block[4 * sizeof *two];
    memcpy(block, two, (size_t)vectors * sizeof *two);
    for (int32_t i = 0; i < count; i++, y += pixel)
        if (i < whole)
            memcpy(y, block + i * RECORD, RECORD);
        else
            octk_store_bytes(y, _mm_loadl_epi64((const __m128i *)(void *)(block + i * RECORD)),
                             t->valid);
}

/* A row of codes, in vectors of two records, to one place, or half of them to each of two. */
INLINE void put_row(const panel *t, const __m128i *two, int32_t vectors, const half *h, int32_t row,
                    bool apart) {
    const int64_t down = row * t->a->y.row;
    const int32_t first = apart ? vectors / 2 : vectors;
    if (row < h[0].rows) put(t, two, first, h[0].y + down, h[0].left);
    if (apart && row < h[1].rows) put(t, two + first, first, h[1].y + down, h[1].left);
}

/* Two rows of sums, or a row of their pools. */
INLINE void finish(const panel *t, const __m256i *s, const half *h, bool apart, int32_t lanes,
                   octq_law law) {
    __m256i v[LANES], r[2];
    if (t->a->pooled) {
        _Pragma("GCC unroll 6") for (int32_t c = 0; c < lanes; c++) v[c] =
            _mm256_max_epi32(s[2 * c], s[2 * c + 1]);
        r[0] = pools(t, v, lanes, law);
        put_row(t,
                (const __m128i[]){_mm256_castsi256_si128(r[0]), _mm256_extracti128_si256(r[0], 1)},
                2, h, 0, apart);
        return;
    }
    _Pragma("GCC unroll 2") for (int32_t row = 0; row < 2; row++) {
        if (row >= h->rows) return; /* as the other half */
        _Pragma("GCC unroll 6") for (int32_t c = 0; c < lanes; c++) v[c] = s[2 * c + row];
        codes(t, v, lanes, law, r);
        put_row(t,
                (const __m128i[]){_mm256_castsi256_si128(r[0]), _mm256_castsi256_si128(r[1]),
                                  _mm256_extracti128_si256(r[0], 1),
                                  _mm256_extracti128_si256(r[1], 1)},
                4, h, row, apart);
    }
}

/* Four pixels of two rows from output (p, q) on, or two of a row of pools. */
INLINE half half_at(const panel *t, int32_t p, int32_t q) {
    const octk_plane_u8s16 *a = t->a;
    const int32_t each = a->pooled ? 2 : 1, rows = a->pooled ? 2 : a->p - p;
    const int64_t step = a->stride_h * a->x.row;
    half h = {.x0 = a->x.base + p * each * step + q * each,
              .y = a->y.base + p * a->y.row + q * a->y.pixel + t->first,
              .rows = rows,
              .left = a->q - q};
    h.x1 = h.x0 + (rows > 1 ? step : 0);
    return h;
}

/* Tiles of eight pixels; what is left of a row, if it is half of one, with as much of the next. */
INLINE void run_panel(const panel *t, int32_t lanes, octq_law law) {
    const octk_plane_u8s16 *a = t->a;
    const int32_t down = a->pooled ? 1 : 2, four = a->pooled ? 2 : 4, last = a->q % (2 * four),
                  whole = last && last <= four ? a->q - last : a->q;
    __m256i s[2 * LANES];
    for (int32_t p = 0; p < a->p; p += down)
        for (int32_t q = 0; q < whole; q += 2 * four) {
            const half h = half_at(t, p, q);
            if (lanes == 6)
                tile6(a, t->w, &h, s);
            else if (lanes == 4)
                tile4(a, t->w, &h, s);
            else
                tile2(a, t->w, &h, s);
            finish(t, s, &h, false, lanes, law);
        }
    for (int32_t p = 0; p < a->p && whole < a->q; p += 2 * down) {
        const half h[2] = {half_at(t, p, whole), half_at(t, p + down < a->p ? p + down : p, whole)};
        if (lanes == 6)
            apart6(a, t->w, h, s);
        else if (lanes == 4)
            apart4(a, t->w, h, s);
        else
            apart2(a, t->w, h, s);
        finish(t, s, h, true, lanes, law);
    }
}

static void run_fp32(const panel *t) {
    if (t->lanes == 6)
        run_panel(t, 6, OCTQ_FP32);
    else if (t->lanes == 4)
        run_panel(t, 4, OCTQ_FP32);
    else
        run_panel(t, 2, OCTQ_FP32);
}
static void run_q31(const panel *t) {
    if (t->lanes == 6)
        run_panel(t, 6, OCTQ_Q31);
    else if (t->lanes == 4)
        run_panel(t, 4, OCTQ_Q31);
    else
        run_panel(t, 2, OCTQ_Q31);
}

void octk_plane_u8s16_avx2(const octk_plane_u8s16 *a) {
    panel t = {.a = a, .w = a->w, .ends = octk_ends_of(a->zy, a->lo, a->hi)};
    int64_t lane = 0;
    for (; t.first < a->o; t.first += t.lanes, lane += t.lanes) {
        t.lanes = octk_plane_lanes(a->o - t.first);
        t.valid = a->o - t.first < t.lanes ? a->o - t.first : t.lanes;
        t.inside = t.first + RECORD <= a->o;
        t.follow = a->y.pixel == t.valid;
        const int32_t each = a->pooled ? 2 : 1; /* channels of a vector */
        for (int32_t i = 0; i < t.lanes / each; i++) {
            const int64_t c = lane + i * each, d = c + each - 1;
            const int32_t b = a->b[c], e = a->b[d];
            t.b[i] = _mm256_setr_epi32(b, b, e, e, b, b, e, e);
            t.by[i] = two_records(&a->by, c, d);
        }
        (a->by.law == OCTQ_FP32 ? run_fp32 : run_q31)(&t);
        t.w += (int64_t)2 * t.lanes * a->pairs;
    }
}
