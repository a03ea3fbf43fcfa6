/* SPDX-License-Identifier: MIT
 * How fast SMLAL and FMLA go on registers: twelve sums. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/peak_loop_neon.h"

#define SMLAL(n) "smlal v" #n ".4s, v16.4h, v16.4h\n\t"
#define FMLA(n)  "fmla v" #n ".4s, v16.4s, v16.4s\n\t"

int64_t octk_peak_s16_neon(int64_t rounds) {
    PEAK_LOOP(SMLAL)
    return rounds * 12 * 4;
}
int64_t octk_peak_f32_neon(int64_t rounds) {
    PEAK_LOOP(FMLA)
    return rounds * 12 * 4;
}
