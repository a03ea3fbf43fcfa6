/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with VPDPBUSD, whose second factors are the signed ones. Nothing
 * saturates in it. */

/* Assembly: around the intrinsic gcc 12 copies every sum. */
#ifndef DOT /* a test has its own */
#define DOT(s, x, weights) __asm__("vpdpbusd %2,%1,%0" : "+v"(s) : "v"(x), "v"(weights))
#endif
#define OCTK_CONV octk_conv_u8u8_avx512vnni
#include "ops/kernels/avx512vnni/conv_tiles_avx512vnni.h"
