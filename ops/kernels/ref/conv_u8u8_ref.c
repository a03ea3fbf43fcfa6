/* SPDX-License-Identifier: MIT
 * Convolution over rows of codes in packed panels: plain loops, sums modulo 2^32. */
#include "ops/kernels/kernels.h"
#include "src/qround.h"

/* One panel of one pixel. */
static void gather(const octk_conv_rows *a, int64_t pix, const int8_t *w, int32_t width,
                   uint32_t *acc) {
    for (int32_t r = 0; r < a->runs; r++) {
        const uint8_t *x = (const uint8_t *)a->x + pix + a->run[r];
        for (int32_t k = 0; k < a->steps; k++, x += 4)
            for (int32_t l = 0; l < width; l++, w += 4)
                acc[l] += (uint32_t)(x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]);
    }
}

/* Those of output i; of several pixels the largest. */
static void sums(const octk_conv_rows *a, int32_t i, int32_t first, const int8_t *w, int32_t width,
                 int32_t *acc) {
    const int32_t each = a->pooled ? OCTK_POOLED : 1;
    for (int32_t j = 0; j < each; j++) {
        uint32_t one[16];
        for (int32_t l = 0; l < width; l++) one[l] = (uint32_t)a->b[first + l];
        gather(a, a->pix[i * each + j], w, width, one);
        for (int32_t l = 0; l < width; l++)
            if (j == 0 || (int32_t)one[l] > acc[l]) acc[l] = (int32_t)one[l];
    }
}

void octk_conv_u8u8_ref(const octk_conv_rows *a) {
    const int32_t lanes = octk_lanes(a->o);
    const int8_t *w = a->w;
    int32_t acc[16];
    uint8_t codes[16];
    for (int32_t first = 0; first < lanes; first += 16) {
        const int32_t width = octk_panel_lanes(lanes, first);
        for (int32_t i = 0; i < octk_outputs(a); i++) {
            sums(a, i, first, w, width, acc);
            octq_requant_row(&a->by, first, acc, width, a->zy, a->lo, a->hi, codes);
            for (int32_t l = 0; l < width; l++) {
                const int32_t o = octk_lane_channel(lanes, first + l);
                if (o < a->o) a->y[a->out[i] + o] = codes[l];
            }
        }
        w += (int64_t)a->runs * a->steps * width * 4;
    }
}
