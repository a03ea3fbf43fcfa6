/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with VPDPWSSD. */

/* Assembly: around the intrinsic gcc 12 copies every sum. */
#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("vpdpwssd %2,%1,%0" : "+v"(s) : "v"(x), "v"(weights))
#endif
#define OCTK_CONV octk_conv_s16u8_avx512vnni
#include "ops/kernels/avx512vnni/conv_tiles_avx512vnni.h"
