/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes with SDOT, which multiplies signed bytes alone: of x - 128, so
 * that 128 times the weights' sum is added first. */
#include "ops/kernels/neon/panels_neon.h"

#define FIRST(b, sums) vmlaq_n_s32(vld1q_s32(b), vld1q_s32(sums), 128)
#define DOT(s, x, w)   vdotq_s32(s, w, vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80))))
#include "ops/kernels/neon/dot_sums_neon.h"
#define OCTK_CONV octk_conv_u8u8_neondot
#include "ops/kernels/neon/conv_tiles_neon.h"
