/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with VPMADDUBSW, whose sums of two products stay inside s16 for
 * the weights that a caller may give: tiles of up to 4 pixels by 16 (or 8) channels. Sums of two
 * steps are added before one VPMADDWD where the panel's table says so: 37 products a cycle of a
 * Zen 3 in place of 31. The loops are assembly, as in conv_s16u8_avx2.c: accumulators, weights and
 * ones fill the registers. */
#include <immintrin.h>

#include "ops/kernels/avx2/panels_avx2.h"

/* A step of a pixel, weights in registers 9 and 10, ones in 8; sums c and d. */
#define ONCE_WIDE(i, c, d)                                                                         \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm14\n\tvpmaddubsw %%ymm9,%%ymm14,%%ymm15\n\t"              \
    "vpmaddubsw %%ymm10,%%ymm14,%%ymm14\n\tvpmaddwd %%ymm8,%%ymm15,%%ymm15\n\t"                    \
    "vpmaddwd %%ymm8,%%ymm14,%%ymm14\n\tvpaddd %%ymm15,%%ymm" #c ",%%ymm" #c "\n\t"                \
    "vpaddd %%ymm14,%%ymm" #d ",%%ymm" #d "\n\t"
#define ONCE_SLIM(i, c)                                                                            \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm14\n\tvpmaddubsw %%ymm9,%%ymm14,%%ymm14\n\t"              \
    "vpmaddwd %%ymm8,%%ymm14,%%ymm14\n\tvpaddd %%ymm14,%%ymm" #c ",%%ymm" #c "\n\t"
/* Two steps: the second one's weights in register 11 and in memory (slim: in 10). */
#define TWICE_WIDE(i, c, d)                                                                        \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm12\n\tvpbroadcastd (%[p" #i "],%[l]),%%ymm14\n\t"         \
    "vpmaddubsw %%ymm9,%%ymm12,%%ymm13\n\tvpmaddubsw %%ymm10,%%ymm12,%%ymm12\n\t"                  \
    "vpmaddubsw %%ymm11,%%ymm14,%%ymm15\n\tvpmaddubsw 96(%[w]),%%ymm14,%%ymm14\n\t"                \
    "vpaddw %%ymm15,%%ymm13,%%ymm13\n\tvpaddw %%ymm14,%%ymm12,%%ymm12\n\t"                         \
    "vpmaddwd %%ymm8,%%ymm13,%%ymm13\n\tvpmaddwd %%ymm8,%%ymm12,%%ymm12\n\t"                       \
    "vpaddd %%ymm13,%%ymm" #c ",%%ymm" #c "\n\tvpaddd %%ymm12,%%ymm" #d ",%%ymm" #d "\n\t"
#define TWICE_SLIM(i, c)                                                                           \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm12\n\tvpbroadcastd (%[p" #i "],%[l]),%%ymm14\n\t"         \
    "vpmaddubsw %%ymm9,%%ymm12,%%ymm12\n\tvpmaddubsw %%ymm10,%%ymm14,%%ymm14\n\t"                  \
    "vpaddw %%ymm14,%%ymm12,%%ymm12\n\tvpmaddwd %%ymm8,%%ymm12,%%ymm12\n\t"                        \
    "vpaddd %%ymm12,%%ymm" #c ",%%ymm" #c "\n\t"

/* k and l: where in the pixels' windows a step lies, two steps; w through the panel. The next
 * panel's weights are fetched meanwhile: from memory they would keep products waiting. */
#define NEXT(offset) "prefetcht1 " #offset "(%[w],%[panel])\n\t"
#define LOOPS(start, load2, rows2, bytes2, load1, rows1, bytes1)                                   \
    "vpcmpeqw %%ymm8,%%ymm8,%%ymm8\n\tvpsrlw $15,%%ymm8,%%ymm8\n\t" start                          \
    "test %[twice],%[twice]\n\tjz 2f\n\t.p2align 4\n1:\n\tmov (%[run]),%[k]\n\t"                   \
    "mov 8(%[run]),%[l]\n\tadd $16,%[run]\n\t" NEXT(0) NEXT(64) load2 rows2                        \
        "add $" #bytes2 ",%[w]\n\tdec %[twice]\n\tjnz 1b\n2:\n\t"                                  \
        "test %[once],%[once]\n\tjz 4f\n\t.p2align 4\n3:\n\t"                                      \
        "mov (%[run]),%[k]\n\tadd $8,%[run]\n\t" NEXT(0) load1 rows1                               \
        "add $" #bytes1 ",%[w]\n\tdec %[once]\n\tjnz 3b\n4:\n\t"
#define INOUT                                                                                      \
    [w] "+r"(w), [run] "+r"(run), [twice] "+r"(twice), [once] "+r"(once), [k] "=&r"(k), [l] "=&r"(l)
#define IN               [b] "r"(b), [panel] "r"(panel)
#define FOUR(a, b, c, d) "ymm" #a, "ymm" #b, "ymm" #c, "ymm" #d
#define LOST             "memory", "cc", FOUR(8, 9, 10, 11), FOUR(12, 13, 14, 15)
#define LOAD(offset, to) "vmovdqu " #offset "(%[w]),%%ymm" #to "\n\t"
#define WIDE(start, rows2, rows1)                                                                  \
    LOOPS("vmovdqu (%[b]),%%ymm0\n\tvmovdqu 32(%[b]),%%ymm1\n\t" start,                            \
          LOAD(0, 9) LOAD(32, 10) LOAD(64, 11), rows2, 128, LOAD(0, 9) LOAD(32, 10), rows1, 64)
#define SLIM(start, rows2, rows1)                                                                  \
    LOOPS("vmovdqu (%[b]),%%ymm0\n\t" start, LOAD(0, 9) LOAD(32, 10), rows2, 64, LOAD(0, 9),       \
          rows1, 32)
#define COPY(from, to) "vmovdqa %%ymm" #from ",%%ymm" #to "\n\t"

/* tile: sums of so many pixels into s[pixel][16 or 8]; the panel's table and weights follow from
 * where its biases lie */
#define ACC(n) register __m256i c##n __asm__("ymm" #n);
#define OUT(n) "=x"(c##n)
#define PIX(i) [p##i] "r"(p[i])
#define PUT(n) s[n] = c##n;
#define TILE(name, vectors, outputs, pixels, puts, body)                                           \
    static inline void name(const octk_conv_rows *a, const void *weights, const int32_t *b,        \
                            const uint8_t *const *p, __m256i *s) {                                 \
        const uint8_t *w = weights;                                                                \
        const int64_t *run = octk_pairs_table(a, (int32_t)(b - a->b));                             \
        const int64_t panel = (int64_t)a->runs * 64;                                               \
        int64_t twice = *run++, once = a->runs - 2 * twice, k, l;                                  \
        vectors __asm__ volatile(body : outputs, INOUT : pixels, IN : LOST);                       \
        puts                                                                                       \
    }
#define ACC_2            ACC(0) ACC(1)
#define ACC_4            ACC_2 ACC(2) ACC(3)
#define ACC_8            ACC_4 ACC(4) ACC(5) ACC(6) ACC(7)
#define OUT_2            OUT(0), OUT(1)
#define OUT_4            OUT_2, OUT(2), OUT(3)
#define OUT_8            OUT_4, OUT(4), OUT(5), OUT(6), OUT(7)
#define PUT_2            PUT(0) PUT(1)
#define PUT_4            PUT_2 PUT(2) PUT(3)
#define PUT_8            PUT_4 PUT(4) PUT(5) PUT(6) PUT(7)
#define PIX_2            PIX(0), PIX(1)
#define PIX_4            PIX_2, PIX(2), PIX(3)
#define EACH_WIDE_1(ROW) ROW(0, 0, 1)
#define EACH_WIDE_2(ROW) EACH_WIDE_1(ROW) ROW(1, 2, 3)
#define EACH_WIDE_4(ROW) EACH_WIDE_2(ROW) ROW(2, 4, 5) ROW(3, 6, 7)
#define EACH_SLIM_1(ROW) ROW(0, 0)
#define EACH_SLIM_2(ROW) EACH_SLIM_1(ROW) ROW(1, 1)
#define EACH_SLIM_4(ROW) EACH_SLIM_2(ROW) ROW(2, 2) ROW(3, 3)
#define COPY_2           COPY(0, 2) COPY(1, 3)
#define COPY_4           COPY_2 COPY(0, 4) COPY(1, 5) COPY(0, 6) COPY(1, 7)
#define SAME_2           COPY(0, 1)
#define SAME_4           SAME_2 COPY(0, 2) COPY(0, 3)
TILE(wide4, ACC_8, OUT_8, PIX_4, PUT_8,
     WIDE(COPY_4, EACH_WIDE_4(TWICE_WIDE), EACH_WIDE_4(ONCE_WIDE)))
TILE(wide2, ACC_4, OUT_4, PIX_2, PUT_4,
     WIDE(COPY_2, EACH_WIDE_2(TWICE_WIDE), EACH_WIDE_2(ONCE_WIDE)))
TILE(wide1, ACC_2, OUT_2, PIX(0), PUT_2, WIDE("", EACH_WIDE_1(TWICE_WIDE), EACH_WIDE_1(ONCE_WIDE)))
TILE(slim4, ACC_4, OUT_4, PIX_4, PUT_4,
     SLIM(SAME_4, EACH_SLIM_4(TWICE_SLIM), EACH_SLIM_4(ONCE_SLIM)))
TILE(slim2, ACC_2, OUT_2, PIX_2, PUT_2,
     SLIM(SAME_2, EACH_SLIM_2(TWICE_SLIM), EACH_SLIM_2(ONCE_SLIM)))
TILE(slim1, ACC(0), OUT(0), PIX(0), PUT(0),
     SLIM("", EACH_SLIM_1(TWICE_SLIM), EACH_SLIM_1(ONCE_SLIM)))

#define OCTK_CONV octk_pairs_u8u8_avx2
#define OCTK_FOURS
#include "ops/kernels/avx2/conv_tiles_avx2.h"
