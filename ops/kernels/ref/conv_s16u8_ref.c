/* SPDX-License-Identifier: MIT
 * Convolution over rows of s16 in packed panels, and the widening of codes: plain loops. */
#include "ops/kernels/ref/conv_panels_ref.h"

void octk_widen_u8s16_ref(const uint8_t *x, int64_t n, int32_t z, int16_t *y) {
    for (int64_t i = 0; i < n; i++) y[i] = (int16_t)(x[i] - z);
}

static void gather(const octk_conv_rows *a, int64_t pix, const void *panel, int32_t width,
                   uint32_t *acc) {
    const int16_t *w = panel;
    for (int32_t r = 0; r < a->runs; r++) {
        const int16_t *x = (const int16_t *)((const uint8_t *)a->x + pix + a->run[r]);
        for (int32_t k = 0; k < a->steps; k++, w += 2 * width)
            for (int32_t l = 0; l < width; l++)
                acc[l] += (uint32_t)(x[2 * k] * w[2 * l] + x[2 * k + 1] * w[2 * l + 1]);
    }
}

void octk_conv_s16u8_ref(const octk_conv_rows *a) { conv_panels_ref(a, gather); }
