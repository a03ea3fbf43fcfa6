/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with USDOT. */
#include "ops/kernels/neon/panels_neon.h"

#define FIRST(b, sums) vld1q_s32(b)
#define DOT(s, x, w)   vusdotq_s32(s, x, w)
#include "ops/kernels/neon/dot_sums_neon.h"
#define OCTK_CONV octk_conv_u8u8_neoni8mm
#include "ops/kernels/neon/conv_tiles_neon.h"
