/* SPDX-License-Identifier: MIT
 * How fast VFMADD goes on registers of 512 bits: twelve sums. */
#include "ops/kernels/avx2/peak_loop_avx2.h"
#include "ops/kernels/kernels.h"

#define FMA(n) "vfmadd231ps %%zmm12,%%zmm12,%%zmm" #n "\n\t"

int64_t octk_peak_f32_avx512(int64_t rounds) {
    PEAK_LOOP(FMA)
    return rounds * 12 * 16;
}
