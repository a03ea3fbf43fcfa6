/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with VPDPBUSD, whose second factors are the signed ones: so codes
 * are spread over a register first. Nothing saturates in it. */

#ifndef DOT /* a test has its own */
#define DOT(s, pixel, weights, lanes)                                                              \
    {                                                                                              \
        __typeof__(s) x_;                                                                          \
        __asm__("vpbroadcastd %3,%1\n\tvpdpbusd %2,%1,%0"                                          \
                : "+v"(s), "=&v"(x_)                                                               \
                : "v"(weights), "m"(*(const int32_t *)(const void *)(pixel)));                     \
    }
#endif
#define OCTK_CONV octk_conv_u8u8_avx512vnni
#include "ops/kernels/avx512vnni/conv_tiles_avx512vnni.h"
