/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes in packed panels: plain loops, sums modulo 2^32. */
#include "ops/kernels/ref/conv_panels_ref.h"

static void gather(const octk_conv_rows *a, int64_t pix, const void *panel, int32_t width,
                   uint32_t *acc) {
    const int8_t *w = panel;
    for (int32_t r = 0; r < a->runs; r++) {
        const uint8_t *x = (const uint8_t *)a->x + pix + a->run[r];
        for (int32_t k = 0; k < a->steps; k++, x += 4)
            for (int32_t l = 0; l < width; l++, w += 4)
                acc[l] += (uint32_t)(x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]);
    }
}

void octk_conv_u8u8_ref(const octk_conv_rows *a) { conv_panels_ref(a, gather); }
