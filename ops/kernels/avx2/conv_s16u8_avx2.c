/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with VPMADDWD: tiles of up to 6 pixels by 16 (or 8) channels, the
 * whole K in registers. The inner loops are assembly: gcc 12 spills accumulators of the same loop
 * in intrinsics, at half the speed. */
#include <immintrin.h>

#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/kernels.h"

void octk_widen_u8s16_avx2(const uint8_t *x, int64_t n, int32_t z, int16_t *y) {
    const __m256i zero = _mm256_set1_epi16((short)z);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(x + i)));
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_sub_epi16(v, zero));
    }
    for (; i < n; i++) y[i] = (int16_t)(x[i] - z);
}

/* A pixel's pair against two or one vectors of weights: accumulators 2i and 2i + 1, or i. */
#define WIDE(i, c, d)                                                                              \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm14\n\tvpmaddwd %%ymm12,%%ymm14,%%ymm15\n\t"               \
    "vpmaddwd %%ymm13,%%ymm14,%%ymm14\n\tvpaddd %%ymm15,%%ymm" #c ",%%ymm" #c "\n\t"               \
    "vpaddd %%ymm14,%%ymm" #d ",%%ymm" #d "\n\t"
#define SLIM(i, c)                                                                                 \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm14\n\tvpmaddwd %%ymm12,%%ymm14,%%ymm14\n\t"               \
    "vpaddd %%ymm14,%%ymm" #c ",%%ymm" #c "\n\t"
#define COPY(from, to) "vmovdqa %%ymm" #from ",%%ymm" #to "\n\t"
#define ACC(n)         register __m256i c##n __asm__("ymm" #n);
#define OUT(n)         "=x"(c##n)
#define PIX(i)         [p##i] "r"(p[i])

/* Runs of pairs: k walks a run, w through the panel. */
#define LOOP(start, load, rows, bytes)                                                             \
    start                                                                                          \
        "1:\n\tmov (%[run]),%[k]\n\tadd $8,%[run]\n\tmov %[pairs],%[n]\n\t.p2align 4\n2:\n\t" load \
            rows "add $4,%[k]\n\tadd $" #bytes ",%[w]\n\tdec %[n]\n\tjnz 2b\n\tdec %[runs]\n\t"    \
        "jnz 1b\n\t"
#define INOUT [w] "+r"(w), [run] "+r"(run), [runs] "+r"(runs), [k] "=&r"(k), [n] "=&r"(n)
#define IN    [b] "r"(b), [pairs] "rm"((int64_t)a->pairs)
#define HEAD                                                                                       \
    const int16_t *w = weights;                                                                    \
    const int64_t *run = a->run;                                                                   \
    int64_t runs = a->runs, k, n;
#define LOAD_WIDE  "vmovdqu (%[w]),%%ymm12\n\tvmovdqu 32(%[w]),%%ymm13\n\t"
#define LOAD_SLIM  "vmovdqu (%[w]),%%ymm12\n\t"
#define BEGIN_WIDE "vmovdqu (%[b]),%%ymm0\n\tvmovdqu 32(%[b]),%%ymm1\n\t"
#define BEGIN_SLIM "vmovdqu (%[b]),%%ymm0\n\t"
#define LOST       "memory", "cc", "ymm12", "ymm13", "ymm14", "ymm15"

/* tile: sums of MR pixels into s[MR][16 or 8]; rows of it are read back by the epilogue */
#define TILE(name, vectors, outputs, pixels, body)                                                 \
    static void name(const octk_conv_s16u8 *a, const int16_t *weights, const int32_t *b,           \
                     const uint8_t *const *p, __m256i *s) {                                        \
        HEAD vectors __asm__ volatile(body : outputs, INOUT : pixels, IN : LOST);                  \
        SAVE_##name                                                                                \
    }
#define PUT(i) s[i] = c##i;

#define ROWS_6     ROWS_4 WIDE(4, 8, 9) WIDE(5, 10, 11)
#define ROWS_4     WIDE(0, 0, 1) WIDE(1, 2, 3) WIDE(2, 4, 5) WIDE(3, 6, 7)
#define ROWS_2     WIDE(0, 0, 1) WIDE(1, 2, 3)
#define ROWS_1     WIDE(0, 0, 1)
#define THIN_6     SLIM(0, 0) SLIM(1, 1) SLIM(2, 2) SLIM(3, 3) SLIM(4, 4) SLIM(5, 5)
#define THIN_4     SLIM(0, 0) SLIM(1, 1) SLIM(2, 2) SLIM(3, 3)
#define THIN_2     SLIM(0, 0) SLIM(1, 1)
#define THIN_1     SLIM(0, 0)
#define COPY_2     COPY(0, 2) COPY(1, 3)
#define COPY_4     COPY_2 COPY(0, 4) COPY(1, 5) COPY(0, 6) COPY(1, 7)
#define COPY_6     COPY_4 COPY(0, 8) COPY(1, 9) COPY(0, 10) COPY(1, 11)
#define SAME_2     COPY(0, 1)
#define SAME_4     SAME_2 COPY(0, 2) COPY(0, 3)
#define SAME_6     SAME_4 COPY(0, 4) COPY(0, 5)
#define ACC_2      ACC(0) ACC(1)
#define ACC_4      ACC_2 ACC(2) ACC(3)
#define ACC_6      ACC_4 ACC(4) ACC(5)
#define ACC_8      ACC_6 ACC(6) ACC(7)
#define ACC_12     ACC_8 ACC(8) ACC(9) ACC(10) ACC(11)
#define OUT_2      OUT(0), OUT(1)
#define OUT_4      OUT_2, OUT(2), OUT(3)
#define OUT_6      OUT_4, OUT(4), OUT(5)
#define OUT_8      OUT_6, OUT(6), OUT(7)
#define OUT_12     OUT_8, OUT(8), OUT(9), OUT(10), OUT(11)
#define PUT_2      PUT(0) PUT(1)
#define PUT_4      PUT_2 PUT(2) PUT(3)
#define PUT_6      PUT_4 PUT(4) PUT(5)
#define PUT_8      PUT_6 PUT(6) PUT(7)
#define PUT_12     PUT_8 PUT(8) PUT(9) PUT(10) PUT(11)
#define PIX_2      PIX(0), PIX(1)
#define PIX_4      PIX_2, PIX(2), PIX(3)
#define PIX_6      PIX_4, PIX(4), PIX(5)
#define SAVE_wide6 PUT_12
#define SAVE_wide4 PUT_8
#define SAVE_wide2 PUT_4
#define SAVE_wide1 PUT_2
#define SAVE_slim6 PUT_6
#define SAVE_slim4 PUT_4
#define SAVE_slim2 PUT_2
#define SAVE_slim1 PUT(0)
TILE(wide6, ACC_12, OUT_12, PIX_6, LOOP(BEGIN_WIDE COPY_6, LOAD_WIDE, ROWS_6, 64))
TILE(wide4, ACC_8, OUT_8, PIX_4, LOOP(BEGIN_WIDE COPY_4, LOAD_WIDE, ROWS_4, 64))
TILE(wide2, ACC_4, OUT_4, PIX_2, LOOP(BEGIN_WIDE COPY_2, LOAD_WIDE, ROWS_2, 64))
TILE(wide1, ACC_2, OUT_2, PIX(0), LOOP(BEGIN_WIDE, LOAD_WIDE, ROWS_1, 64))
TILE(slim6, ACC_6, OUT_6, PIX_6, LOOP(BEGIN_SLIM SAME_6, LOAD_SLIM, THIN_6, 32))
TILE(slim4, ACC_4, OUT_4, PIX_4, LOOP(BEGIN_SLIM SAME_4, LOAD_SLIM, THIN_4, 32))
TILE(slim2, ACC_2, OUT_2, PIX_2, LOOP(BEGIN_SLIM SAME_2, LOAD_SLIM, THIN_2, 32))
TILE(slim1, ACC(0), OUT(0), PIX(0), LOOP(BEGIN_SLIM, LOAD_SLIM, THIN_1, 32))

typedef void tile_fn(const octk_conv_s16u8 *a, const int16_t *weights, const int32_t *b,
                     const uint8_t *const *p, __m256i *s);

/* Pixels of a tile by how many are left: 6, 4, 2, 1. */
static const int32_t size_of[7] = {0, 1, 2, 2, 4, 4, 6};
static tile_fn *const wide_of[7] = {NULL, wide1, wide2, wide2, wide4, wide4, wide6};
static tile_fn *const slim_of[7] = {NULL, slim1, slim2, slim2, slim4, slim4, slim6};

/* 16 channels (the first `valid` of them) of two pixels; the second may be the first. */
static inline void put_wide(const octk_conv_s16u8 *a, const __m256i *s, const __m256i *t, __m256 m0,
                            __m256 m1, octk_ends e, uint8_t *y0, uint8_t *y1, int32_t valid) {
    const __m256i q = octk_codes(octk_scaled(s[0], m0), octk_scaled(s[1], m1),
                                 octk_scaled(t[0], m0), octk_scaled(t[1], m1), e);
    const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    (void)a;
    octk_store_bytes(y0, _mm_unpacklo_epi64(low, high), valid);
    octk_store_bytes(y1, _mm_unpackhi_epi64(low, high), valid);
}

static void panel_wide(const octk_conv_s16u8 *a, const int16_t *w, int32_t first) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const __m256 m0 = _mm256_loadu_ps(a->m + first), m1 = _mm256_loadu_ps(a->m + first + 8);
    const int32_t valid = a->o - first < 16 ? a->o - first : 16;
    uint8_t *y = a->y + first;
    const uint8_t *x = (const uint8_t *)a->x, *p[6];
    __m256i s[12];
    for (int32_t i = 0, n; i < a->np; i += n) {
        const int32_t left = a->np - i < 6 ? a->np - i : 6;
        n = size_of[left];
        for (int32_t j = 0; j < n; j++) p[j] = x + a->pix[i + j];
        wide_of[left](a, w, a->b + first, p, s);
        for (int32_t j = 0; j + 2 <= n; j += 2)
            put_wide(a, s + 2 * j, s + 2 * j + 2, m0, m1, e, y + a->out[i + j],
                     y + a->out[i + j + 1], valid);
        if (n == 1) put_wide(a, s, s, m0, m1, e, y + a->out[i], y + a->out[i], valid);
    }
}

static void panel_slim(const octk_conv_s16u8 *a, const int16_t *w, int32_t first) {
    const octk_ends e = octk_ends_of(a->zy, a->lo, a->hi);
    const __m256 m = _mm256_loadu_ps(a->m + first);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const int32_t valid = a->o - first;
    uint8_t *y = a->y + first;
    const uint8_t *x = (const uint8_t *)a->x, *p[6];
    __m256i s[8];
    for (int32_t i = 0, n; i < a->np; i += n) {
        const int32_t left = a->np - i < 6 ? a->np - i : 6;
        n = size_of[left];
        for (int32_t j = 0; j < n; j++) p[j] = x + a->pix[i + j];
        slim_of[left](a, w, a->b + first, p, s);
        for (int32_t j = n; j < 8; j++) s[j] = s[0];
        for (int32_t j = 0; j < n; j += 4) {
            __m256i q = octk_codes(octk_scaled(s[j], m), octk_scaled(s[j + 1], m),
                                   octk_scaled(s[j + 2], m), octk_scaled(s[j + 3], m), e);
            q = _mm256_permutevar8x32_epi32(q, order); /* eight codes a pixel */
            const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
            octk_store_bytes(y + a->out[i + j], low, valid);
            if (j + 1 < n)
                octk_store_bytes(y + a->out[i + j + 1], _mm_unpackhi_epi64(low, low), valid);
            if (j + 2 < n) octk_store_bytes(y + a->out[i + j + 2], high, valid);
            if (j + 3 < n)
                octk_store_bytes(y + a->out[i + j + 3], _mm_unpackhi_epi64(high, high), valid);
        }
    }
}

void octk_conv_s16u8_avx2(const octk_conv_s16u8 *a) {
    const int32_t lanes = octk_lanes(a->o);
    const int16_t *w = a->w;
    for (int32_t first = 0; first < lanes; first += 16) {
        const int32_t width = octk_panel_lanes(lanes, first);
        if (width == 16)
            panel_wide(a, w, first);
        else
            panel_slim(a, w, first);
        w += (int64_t)a->runs * a->pairs * width * 2;
    }
}
