/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes whose panels have an order of steps each: plain loops, sums modulo
 * 2^32, nothing in s16. */
#include "ops/kernels/ref/conv_panels_ref.h"

static void gather(const octk_conv_rows *a, int64_t pix, const void *panel, int32_t width,
                   uint32_t *acc) {
    const int8_t *w = panel;
    const int64_t before = w - (const int8_t *)a->w,
                  *run = octk_pairs_table(a, (int32_t)(before / (4 * (int64_t)a->runs))) + 1;
    for (int32_t r = 0; r < a->runs; r++) {
        const uint8_t *x = (const uint8_t *)a->x + pix + run[r];
        for (int32_t l = 0; l < width; l++, w += 4)
            acc[l] += (uint32_t)(x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]);
    }
}

void octk_pairs_u8u8_ref(const octk_conv_rows *a) { conv_panels_ref(a, gather); }
