/* SPDX-License-Identifier: MIT
 * How fast SDOT goes on registers (USDOT is as fast): twelve sums. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/neon/peak_loop_neon.h"

#define SDOT(n) "sdot v" #n ".4s, v16.16b, v16.16b\n\t"

int64_t octk_peak_u8_neondot(int64_t rounds) {
    PEAK_LOOP(SDOT)
    return rounds * 12 * 16;
}
