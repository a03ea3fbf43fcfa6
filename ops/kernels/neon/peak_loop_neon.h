/* SPDX-License-Identifier: MIT
 * A loop over twelve sums in registers, all zero: ONE(n) is the instruction for sum n, with
 * register 16 as its factors. */
#ifndef OCT_OPS_KERNELS_NEON_PEAK_LOOP_NEON_H
#define OCT_OPS_KERNELS_NEON_PEAK_LOOP_NEON_H

#define PEAK_CLEAR(n) "movi v" #n ".16b, #0\n\t"
#define PEAK_EACH(ONE)                                                                             \
    ONE(0) ONE(1) ONE(2) ONE(3) ONE(4) ONE(5) ONE(6) ONE(7) ONE(17) ONE(18) ONE(19) ONE(20)
#define PEAK_LOOP(ONE)                                                                             \
    int64_t left = rounds;                                                                         \
    __asm__ volatile(PEAK_EACH(PEAK_CLEAR) PEAK_CLEAR(16) "1:\n\t" PEAK_EACH(                      \
                         ONE) "subs %[left], %[left], #1\n\tb.ne 1b\n\t"                           \
                     : [left] "+r"(left)                                                           \
                     :                                                                             \
                     : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18",  \
                       "v19", "v20");

#endif
