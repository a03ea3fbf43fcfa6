/* SPDX-License-Identifier: MIT
 * A loop over twelve sums in registers, all zero: ONE(n) is the instruction for sum n, with
 * register 12 as its factors. */
#ifndef OCT_OPS_KERNELS_AVX2_PEAK_LOOP_AVX2_H
#define OCT_OPS_KERNELS_AVX2_PEAK_LOOP_AVX2_H

#define PEAK_CLEAR(n) "vpxor %%ymm" #n ",%%ymm" #n ",%%ymm" #n "\n\t"
#define PEAK_EACH(ONE)                                                                             \
    ONE(0) ONE(1) ONE(2) ONE(3) ONE(4) ONE(5) ONE(6) ONE(7) ONE(8) ONE(9) ONE(10) ONE(11)
#define PEAK_LOOP(ONE)                                                                             \
    int64_t left = rounds;                                                                         \
    __asm__ volatile(PEAK_EACH(PEAK_CLEAR) PEAK_CLEAR(12) ".p2align 4\n1:\n\t" PEAK_EACH(          \
                         ONE) "dec %[left]\n\tjnz 1b\n\t"                                          \
                     : [left] "+r"(left)                                                           \
                     :                                                                             \
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",       \
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14");

#endif
