/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with VPMADDWD: tiles of up to 6 pixels by 16 (or 8) channels, the
 * whole K in registers. The inner loops are assembly: gcc 12 spills accumulators of the same loop
 * in intrinsics, at half the speed. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"

void octk_widen_u8s16_avx2(const uint8_t *x, int64_t n, int32_t z, int16_t *y) {
    const __m256i zero = _mm256_set1_epi16((short)z);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(x + i)));
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_sub_epi16(v, zero));
    }
    if (i < n && n >= 16) { /* the last sixteen once more, overlapping */
        const __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(x + n - 16)));
        _mm256_storeu_si256((__m256i *)(y + n - 16), _mm256_sub_epi16(v, zero));
        return;
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
#define IN    [b] "r"(b), [pairs] "rm"((int64_t)a->steps)
#define HEAD                                                                                       \
    const uint8_t *w = weights;                                                                    \
    const int64_t *run = a->run;                                                                   \
    int64_t runs = a->runs, k, n;
#define LOAD_WIDE  "vmovdqu (%[w]),%%ymm12\n\tvmovdqu 32(%[w]),%%ymm13\n\t"
#define LOAD_SLIM  "vmovdqu (%[w]),%%ymm12\n\t"
#define BEGIN_WIDE "vmovdqu (%[b]),%%ymm0\n\tvmovdqu 32(%[b]),%%ymm1\n\t"
#define BEGIN_SLIM "vmovdqu (%[b]),%%ymm0\n\t"
#define LOST       "memory", "cc", "ymm12", "ymm13", "ymm14", "ymm15"

/* tile: sums of MR pixels into s[MR][16 or 8]; rows of it are read back by the epilogue */
#define TILE(name, vectors, outputs, pixels, body)                                                 \
    static inline void name(const octk_conv_rows *a, const void *weights, const int32_t *b,        \
                            const uint8_t *const *p, __m256i *s) {                                 \
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

#define OCTK_CONV octk_conv_s16u8_avx2
#include "ops/kernels/avx2/conv_tiles_avx2.h"
