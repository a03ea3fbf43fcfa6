/* SPDX-License-Identifier: MIT
 * How fast VPMADDWD with its VPADDD, two VPMADDUBSW with what makes them a sum, and VFMADD go on
 * registers: twelve sums. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/avx2/peak_loop_avx2.h"

#define PAIRS(n) "vpmaddwd %%ymm12,%%ymm12,%%ymm13\n\tvpaddd %%ymm13,%%ymm" #n ",%%ymm" #n "\n\t"
#define CODES(n)                                                                                   \
    "vpmaddubsw %%ymm12,%%ymm12,%%ymm13\n\tvpmaddubsw %%ymm12,%%ymm12,%%ymm14\n\t"                 \
    "vpaddw %%ymm14,%%ymm13,%%ymm13\n\tvpmaddwd %%ymm12,%%ymm13,%%ymm13\n\t"                       \
    "vpaddd %%ymm13,%%ymm" #n ",%%ymm" #n "\n\t"
#define FMA(n) "vfmadd231ps %%ymm12,%%ymm12,%%ymm" #n "\n\t"

int64_t octk_peak_s16_avx2(int64_t rounds) {
    PEAK_LOOP(PAIRS)
    return rounds * 12 * 16;
}
int64_t octk_peak_u8_avx2(int64_t rounds) {
    PEAK_LOOP(CODES)
    return rounds * 12 * 64;
}
int64_t octk_peak_f32_avx2(int64_t rounds) {
    PEAK_LOOP(FMA)
    return rounds * 12 * 8;
}
