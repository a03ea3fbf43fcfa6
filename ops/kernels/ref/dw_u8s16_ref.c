/* SPDX-License-Identifier: MIT
 * Depthwise convolution: channels are the vector, pairs of taps the loop around it. */
#include <string.h>

#include "ops/kernels/kernels.h"
#include "src/qround.h"

enum { BLOCK = 64 };

static void two_taps(const uint8_t *restrict x0, const uint8_t *restrict x1,
                     const int16_t *restrict w, int32_t n, int32_t *restrict acc) {
    for (int32_t c = 0; c < n; c++) acc[c] += x0[c] * w[2 * c] + x1[c] * w[2 * c + 1];
}

void octk_dw_u8s16_ref(const octk_dw_u8s16 *a) {
    int32_t acc[BLOCK];
    for (int32_t n = 0; n < a->n; n++)
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++) {
                const uint8_t *x = a->x.base + n * a->x.image + p * a->stride_h * a->x.row +
                                   q * a->stride_w * a->x.pixel;
                uint8_t *y = a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel;
                for (int32_t c0 = 0; c0 < a->c; c0 += BLOCK) {
                    const int32_t cols = a->c - c0 < BLOCK ? a->c - c0 : BLOCK;
                    memcpy(acc, a->b + c0, (size_t)cols * sizeof *acc);
                    for (int32_t k = 0; k < a->pairs; k++)
                        two_taps(x + a->tap[2 * k] + c0, x + a->tap[2 * k + 1] + c0,
                                 a->w + ((int64_t)k * a->c + c0) * 2, cols, acc);
                    octq_requant_row(&a->by, c0, acc, cols, a->zy, a->lo, a->hi, y + c0);
                }
            }
}
