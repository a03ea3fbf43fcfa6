/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with VPDPWSSD. */

/* s += a pixel's pair, for every lane, times weights. Assembly: of the intrinsic gcc 12 makes a
 * broadcast of its own and copies of every sum. */
#ifndef DOT /* a test has its own */
#define DOT(s, pixel, weights, lanes)                                                              \
    __asm__("vpdpwssd %2%{1to" #lanes "%},%1,%0"                                                   \
            : "+v"(s)                                                                              \
            : "v"(weights), "m"(*(const int32_t *)(const void *)(pixel)))
#endif
#define OCTK_CONV octk_conv_s16u8_avx512vnni
#include "ops/kernels/avx512vnni/conv_tiles_avx512vnni.h"
