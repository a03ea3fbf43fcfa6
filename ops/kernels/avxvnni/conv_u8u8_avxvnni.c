/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with VPDPBUSD, VEX form. Nothing saturates in it. */

#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("%{vex%} vpdpbusd %2,%1,%0" : "+x"(s) : "x"(x), "x"(weights))
#endif
#include "ops/kernels/avxvnni/sums_avxvnni.h"
#define OCTK_CONV octk_conv_u8u8_avxvnni
#include "ops/kernels/avx2/conv_tiles_avx2.h"
