/* SPDX-License-Identifier: MIT
 * Depthwise convolution: channels are the vector, taps the loop around it. */
#include <string.h>

#include "ops/kernels/kernels.h"
#include "src/qround.h"

enum { BLOCK = 64 };

static void tap(const uint8_t *restrict x, const int16_t *restrict w, int16_t z, int32_t n,
                int32_t *restrict acc) {
    for (int32_t c = 0; c < n; c++) acc[c] += (int16_t)(x[c] - z) * w[c];
}

void octk_dw_u8s16_ref(const octk_dw_u8s16 *a) {
    int32_t acc[BLOCK];
    for (int32_t n = 0; n < a->n; n++)
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++)
                for (int32_t c0 = 0; c0 < a->c; c0 += BLOCK) {
                    int32_t cols = a->c - c0 < BLOCK ? a->c - c0 : BLOCK;
                    memcpy(acc, a->b + c0, (size_t)cols * sizeof *acc);
                    for (int32_t r = 0; r < a->r; r++) {
                        int32_t h = p * a->stride_h - a->pad_top + r * a->dil_h;
                        if (h < 0 || h >= a->h) continue;
                        for (int32_t s = 0; s < a->s; s++) {
                            int32_t w = q * a->stride_w - a->pad_left + s * a->dil_w;
                            if (w < 0 || w >= a->w_in) continue;
                            tap(a->x.base + n * a->x.image + h * a->x.row + w * a->x.pixel + c0,
                                a->w + (int64_t)(r * a->s + s) * a->c + c0, (int16_t)a->zx, cols,
                                acc);
                        }
                    }
                    uint8_t *y = a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel + c0;
                    for (int32_t c = 0; c < cols; c++)
                        y[c] = (uint8_t)octq_round_code((float)acc[c] * a->m[c0 + c], a->zy, a->lo,
                                                        a->hi);
                }
}
