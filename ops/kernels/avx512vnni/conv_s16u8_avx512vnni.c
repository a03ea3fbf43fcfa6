/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 with VPDPWSSD. */

#define DOT_NAME  "vpdpwssd"
#define OCTK_CONV octk_conv_s16u8_avx512vnni
#include "ops/kernels/avx512vnni/conv_tiles_avx512vnni.h"
