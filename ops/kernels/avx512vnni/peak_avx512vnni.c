/* SPDX-License-Identifier: MIT
 * How fast VPDPWSSD and VPDPBUSD go on registers of 512 bits: twelve sums. */
#include "ops/kernels/avx2/peak_loop_avx2.h"
#include "ops/kernels/kernels.h"

#define PAIRS(n) "vpdpwssd %%zmm12,%%zmm12,%%zmm" #n "\n\t"
#define QUADS(n) "vpdpbusd %%zmm12,%%zmm12,%%zmm" #n "\n\t"

int64_t octk_peak_s16_avx512vnni(int64_t rounds) {
    PEAK_LOOP(PAIRS)
    return rounds * 12 * 32;
}
int64_t octk_peak_u8_avx512vnni(int64_t rounds) {
    PEAK_LOOP(QUADS)
    return rounds * 12 * 64;
}
