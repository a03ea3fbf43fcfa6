/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with VPDPBUSD, whose second factors are the signed ones. Nothing
 * saturates in it. */

#define DOT_NAME  "vpdpbusd"
#define OCTK_CONV octk_conv_u8u8_avx512vnni
#include "ops/kernels/avx512vnni/conv_tiles_avx512vnni.h"
