/* SPDX-License-Identifier: MIT
 * Images of one channel under 5x5 kernels and a pool, by exact integer Winograd with VPMADDWD: the
 * vector is eight tiles, each of which makes one code, whatever row they lie in. Assembly, since
 * gcc 12 takes the products in an order that a third more cycles go by. */
#include <immintrin.h>

#include "ops/kernels/avx2/wino_avx2.h"

#define INLINE static inline __attribute__((always_inline))
enum {
    POINTS = OCTK_WINO1_POINTS,
    TILES = OCTK_PLANE5_TILES,
    RECORD = 8, /* channels */
    WIDE = 16,  /* tiles of a row that are transformed at once */
    KEPT = 8    /* rows */
};

/* B^T across of sixteen tiles of a row: evens of its bytes and odds, by halves whose quarters
 * unpacking brings in turn. */
INLINE void row_in(const uint8_t *x, v8 *v) {
    const v8 even = _mm256_set1_epi16(255);
    v8 d[3];
    for (int32_t i = 0; i < 3; i++) d[i] = _mm256_permute4x64_epi64(load(x + 2 * i), 0xd8);
#define EVEN(i) _mm256_and_si256(d[i], even)
#define ODD(i)  _mm256_srli_epi16(d[i], 8)
    LINE_IN(v, EVEN(0), ODD(0), EVEN(1), ODD(1), EVEN(2), ODD(2))
}
INLINE void put_pairs(int32_t *to, v8 x, v8 y) {
    store(to, _mm256_unpacklo_epi16(x, y));
    store(to + 8, _mm256_unpackhi_epi16(x, y));
}
/* Rows across, the last of `made`, of sixteen tiles of each. */
typedef struct cells {
    v8 rows[KEPT][POINTS];
    int32_t made;
} cells;
/* Sixteen tiles from `first` on of `count` rows of tiles; what lies behind a row's tiles is written
 * over by the next row's. */
static void tiles_in(const octk_plane5_u8s16 *a, cells *x, int32_t first, int32_t p,
                     int32_t count) {
    for (int32_t h = 0; h < count; h++, p++) {
        for (; x->made < 2 * p + 6; x->made++)
            row_in(a->x.base + x->made * a->x.row + 2 * first, x->rows[x->made % KEPT]);
        int32_t *to = a->v + h * a->q + first;
        for (int32_t i = 0; i < POINTS; i++, to += 4 * TILES) {
            v8 d[6];
            for (int32_t k = 0; k < 6; k++) d[k] = x->rows[(2 * p + k) % KEPT][i];
            put_pairs(to, _mm256_sub_epi16(d[0], d[2]), _mm256_sub_epi16(d[3], d[4]));
            put_pairs(to + TILES, _mm256_sub_epi16(d[3], d[1]), _mm256_sub_epi16(d[5], d[4]));
            put_pairs(to + 2 * TILES, _mm256_add_epi16(d[1], d[2]), d[4]);
            put_pairs(to + 3 * TILES, _mm256_sub_epi16(d[2], d[1]), d[4]);
        }
    }
}

/* Pair k at point i times its weights, to register `to`; both rows' sums at a point. */
#define PRODUCT(i, k, to)                                                                          \
    "vpbroadcastd 16*" #i "+4*" #k "(%[u]),%%ymm15\n\t"                                            \
    "vpmaddwd 4096*" #i "+1024*" #k "(%[v]),%%ymm15,%%ymm" #to "\n\t"
#define OP(op, a, b, to) #op " %%ymm" #b ",%%ymm" #a ",%%ymm" #to "\n\t"
#define POINT(i, a, b)                                                                             \
    PRODUCT(i, 0, a)                                                                               \
    PRODUCT(i, 1, b)                                                                               \
    PRODUCT(i, 2, 12)                                                                              \
    PRODUCT(i, 3, 13)                                                                              \
    OP(vpaddd, a, 12, a) OP(vpaddd, b, 12, b) OP(vpaddd, a, 13, a) OP(vpsubd, b, 13, b)
_Static_assert(TILES == 256, "PRODUCT's places");
/* x + y to register `to`, x - y to x */
#define BOTH(x, y, to) OP(vpaddd, x, y, to) OP(vpsubd, x, y, x)
#define PLUS(x, y)     OP(vpaddd, x, y, x)

/* The largest of each tile's four outputs, without the bias, of one channel. */
INLINE v8 largest(const int32_t *v, const int16_t *u) {
    register v8 most __asm__("ymm0");
    __asm__ volatile(POINT(1, 0, 1) POINT(2, 2, 3) BOTH(0, 2, 4) BOTH(1, 3, 5) POINT(3, 2, 3)
                         POINT(4, 6, 7) BOTH(2, 6, 8) BOTH(3, 7, 9) PLUS(4, 8) PLUS(5, 9) PLUS(2, 2)
                             PLUS(3, 3) PLUS(0, 2) PLUS(1, 3) POINT(0, 2, 3) POINT(5, 6, 7)
                                 PLUS(4, 2) PLUS(5, 3) PLUS(0, 6) PLUS(1, 7) OP(vpmaxsd, 0, 4, 0)
                                     OP(vpmaxsd, 1, 5, 1) OP(vpmaxsd, 0, 1, 0)
                     : "=x"(most)
                     : [v] "r"(v), [u] "r"(u)
                     : "memory", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8",
                       "ymm9", "ymm12", "ymm13", "ymm15");
    return most;
}

INLINE v8 each(const int32_t *p) {
    return _mm256_castps_si256(_mm256_broadcast_ss((const float *)(const void *)p));
}
/* Sums of channel c, 48 times too large, rounded. */
INLINE v8 rounded(const octk_plane5_u8s16 *a, v8 sum, int32_t c, octq_law law, bool small) {
    sum = ADD32(sum, each(a->b + c));
    if (small) return scaled_small(sum, _mm256_set1_ps(1.0f / 3), _mm256_broadcast_ss(a->by.m + c));
    sum = _mm256_mullo_epi32(sum, _mm256_set1_epi32((int32_t)2863311531u)); /* the inverse of 3 */
    if (law == OCTQ_FP32) return octk_scaled_fp32(sum, _mm256_broadcast_ss(a->by.m + c));
    const int32_t shift = a->by.shift[c];
    const octk_eight by = {.q31 = each(a->by.q31 + c),
                           .left = _mm256_set1_epi32(shift > 0 ? shift : 0),
                           .right = _mm256_set1_epi32(shift > 0 ? 0 : -shift)};
    return octk_scaled_q31(_mm256_srai_epi32(sum, 4), &by);
}

/* Codes of eight tiles, `valid` channels each, as records of eight; a record may run into the next
 * tile's, which come later, where there are no other channels. */
INLINE void put_tiles(const v8 *r, octk_ends ends, uint8_t *y, int32_t o, int32_t valid) {
    const v8 turned = _mm256_broadcastsi128_si256(
                 _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
             low = _mm256_shuffle_epi8(octk_codes(r[0], r[1], r[2], r[3], ends), turned),
             high = _mm256_shuffle_epi8(octk_codes(r[4], r[5], r[6], r[7], ends), turned),
             even = _mm256_unpacklo_epi32(low, high), odd = _mm256_unpackhi_epi32(low, high);
    const __m128i two[] = {_mm256_castsi256_si128(even), _mm256_castsi256_si128(odd),
                           _mm256_extracti128_si256(even, 1), _mm256_extracti128_si256(odd, 1)};
    for (int32_t i = 0; i < 4; i++, y += 2 * o) {
        if (valid == RECORD || valid == o) {
            _mm_storel_epi64((__m128i *)(void *)y, two[i]);
            octk_store_high(y + o, two[i]);
        } else {
            octk_store_bytes(y, two[i], valid);
            octk_store_bytes(y + o, _mm_unpackhi_epi64(two[i], two[i]), valid);
        }
    }
}

/* `all` tiles as they stand. */
INLINE void run(const octk_plane5_u8s16 *a, int32_t all, octq_law law, bool small) {
    const octk_ends ends = octk_ends_of(a->zy, a->lo, a->hi);
    for (int32_t first = 0; first < a->o; first += RECORD) {
        const int32_t valid = a->o - first < RECORD ? a->o - first : RECORD;
        v8 r[RECORD] = {_mm256_setzero_si256()};
        for (int32_t n = 0; n < all; n += 8) {
            const int16_t *u = a->u + (int64_t)first * POINTS * 8;
            for (int32_t c = 0; c < valid; c++, u += POINTS * 8)
                r[c] = rounded(a, largest(a->v + n, u), first + c, law, small);
            put_tiles(r, ends, a->codes + (int64_t)n * a->o + first, a->o, valid);
        }
    }
}
typedef void run_fn(const octk_plane5_u8s16 *a, int32_t all);
static void run_q31(const octk_plane5_u8s16 *a, int32_t all) { run(a, all, OCTQ_Q31, false); }
static void run_small(const octk_plane5_u8s16 *a, int32_t all) { run(a, all, OCTQ_FP32, true); }
static void run_fp32(const octk_plane5_u8s16 *a, int32_t all) { run(a, all, OCTQ_FP32, false); }

/* A band of rows of tiles at a time: few, that the first-level cache keeps its pairs beside what a
 * net has there, and rows across go on from one to the next; but of wide rows these are made anew,
 * and bands are what there is room for. */
void octk_plane5_u8s16_avx2(const octk_plane5_u8s16 *a) {
    run_fn *run_by = a->by.law == OCTQ_Q31 ? run_q31 : a->small ? run_small : run_fp32;
    const int32_t band = (a->q > WIDE ? TILES - WIDE : 4 * WIDE) / a->q;
    const int64_t row = (int64_t)a->q * a->o;
    cells x;
    x.made = 0;
    for (int32_t p = 0; p < a->p; p += band) {
        const int32_t count = a->p - p < band ? a->p - p : band;
        for (int32_t q = 0; q < a->q; q += WIDE) { /* the last ones, some of them once more */
            if (a->q > WIDE) x.made = 2 * p;
            tiles_in(a, &x, a->q < WIDE || q + WIDE <= a->q ? q : a->q - WIDE, p, count);
        }
        run_by(a, count * a->q);
        for (int32_t h = 0; h < count; h++)
            memcpy(a->y.base + (p + h) * a->y.row, a->codes + h * row, (size_t)row);
    }
}
