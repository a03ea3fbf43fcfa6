/* SPDX-License-Identifier: MIT
 * Gathering of patches: taps that lie side by side in memory are one run. */
#include <string.h>

#include "ops/kernels/kernels.h"

static void widen(const uint8_t *restrict x, int32_t z, int64_t n, int16_t *restrict out) {
    int16_t z16 = (int16_t)z;
    for (int64_t i = 0; i < n; i++) out[i] = (int16_t)(x[i] - z16);
}

void octk_patch_u8s16_ref(const octk_patch_u8s16 *a) {
    int64_t k = (int64_t)a->r * a->s * a->cg;
    /* all channels, dense: a kernel row is one run */
    bool runs = a->dil_w == 1 && a->x.pixel == a->cg;
    for (int32_t j = 0; j < a->rows; j++) {
        int16_t *out = a->out + j * a->pitch;
        int32_t w0 = a->w0 + j * a->stride_w;
        for (int32_t r = 0; r < a->r; r++) {
            int32_t h = a->h0 + r * a->dil_h;
            int64_t row = (int64_t)a->s * a->cg;
            if (h < 0 || h >= a->h)
                memset(out, 0, (size_t)row * sizeof *out);
            else {
                const uint8_t *x = a->x.base + h * a->x.row + a->c0;
                if (runs && w0 >= 0 && w0 + a->s <= a->w_in)
                    widen(x + w0 * a->x.pixel, a->zx, row, out);
                else
                    for (int32_t s = 0; s < a->s; s++) {
                        int32_t w = w0 + s * a->dil_w;
                        if (w < 0 || w >= a->w_in)
                            memset(out + (int64_t)s * a->cg, 0, (size_t)a->cg * sizeof *out);
                        else
                            widen(x + w * a->x.pixel, a->zx, a->cg, out + (int64_t)s * a->cg);
                    }
            }
            out += row;
        }
        memset(out, 0, (size_t)(a->pitch - k) * sizeof *out);
    }
}
