/* SPDX-License-Identifier: MIT
 * datasets/resize.h - Pillow's BILINEAR: a triangle filter as wide as the reduction (antialiased),
 * 8-bit fixed point, columns first, then rows. Byte-equal to Pillow 11 (src/libImaging/Resample.c
 * is the specification of the rounding); Pillow 13 takes the rows first in some shapes, which may
 * differ by one level. */
#ifndef OCT_DATASETS_RESIZE_H
#define OCT_DATASETS_RESIZE_H

#include "src/context.h"

/** from [h, w, c] u8 to [h2, w2, c] u8. c is 1 to 4. OCT_ENOMEM/ELIMIT. Scratch is the
 *  context's. */
oct_status octi_resize_u8(oct_ctx *ctx, const uint8_t *from, int h, int w, int c, uint8_t *to,
                          int h2, int w2);

#endif
