/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with VPDPWSSD, VEX form. */

#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("%{vex%} vpdpwssd %2,%1,%0" : "+x"(s) : "x"(x), "x"(weights))
#endif
#include "ops/kernels/avxvnni/sums_avxvnni.h"
#define OCTK_CONV octk_conv_s16u8_avxvnni
#include "ops/kernels/avx2/conv_tiles_avx2.h"
