/* SPDX-License-Identifier: MIT
 * Rows of codes times panels of weights: plain loops, sums modulo 2^32, codes whole. */
#include "ops/kernels/kernels.h"
#include "src/qround.h"

static int32_t sum_of(const octk_nibbles_u8u8 *a, const uint8_t *x, const int8_t *w, int32_t width,
                      int32_t b) {
    uint32_t sum = (uint32_t)b;
    for (int32_t k = 0; k < a->k; k++) sum += (uint32_t)(x[k] * w[k / 4 * 4 * width + k % 4]);
    return (int32_t)sum;
}

void octk_nibbles_u8u8_ref(const octk_nibbles_u8u8 *a) {
    const int32_t lanes = octk_lanes(a->o);
    for (int32_t l = 0; l < lanes; l++) {
        const int32_t first = l / 16 * 16, width = octk_panel_lanes(lanes, first),
                      o = octk_lane_channel(lanes, l);
        const int8_t *w = a->w + (int64_t)first * a->steps * 4 + (l - first) * 4;
        if (o >= a->o) continue;
        for (int32_t i = 0; i < a->n; i++) {
            const int32_t sum = sum_of(a, a->x + i * a->x_image, w, width, a->b[l]);
            octq_requant_row(&a->by, l, &sum, 1, a->zy, a->lo, a->hi, a->y + i * a->y_image + o);
        }
    }
}
