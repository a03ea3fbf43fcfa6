/* SPDX-License-Identifier: MIT
 * How fast VPDPWSSD and VPDPBUSD, VEX form, go on registers: twelve sums. */
#include "ops/kernels/avx2/peak_loop_avx2.h"
#include "ops/kernels/kernels.h"

#define PAIRS(n) "%{vex%} vpdpwssd %%ymm12,%%ymm12,%%ymm" #n "\n\t"
#define QUADS(n) "%{vex%} vpdpbusd %%ymm12,%%ymm12,%%ymm" #n "\n\t"

int64_t octk_peak_s16_avxvnni(int64_t rounds) {
    PEAK_LOOP(PAIRS)
    return rounds * 12 * 16;
}
int64_t octk_peak_u8_avxvnni(int64_t rounds) {
    PEAK_LOOP(QUADS)
    return rounds * 12 * 32;
}
