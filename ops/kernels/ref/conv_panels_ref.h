/* SPDX-License-Identifier: MIT
 * ops/kernels/ref/conv_panels_ref.h - convolution over rows in packed panels: the loop that both
 * types of input share. A panel holds four bytes for each run, step and lane. */
#ifndef OCT_OPS_KERNELS_REF_CONV_PANELS_REF_H
#define OCT_OPS_KERNELS_REF_CONV_PANELS_REF_H

#include "ops/kernels/kernels.h"
#include "src/qround.h"

/** Adds the products of one panel w and the pixel at `pix` to `width` sums, modulo 2^32. */
typedef void conv_gather_ref(const octk_conv_rows *a, int64_t pix, const void *w, int32_t width,
                             uint32_t *acc);

/* Those of output i; of several pixels the largest. */
static inline void panel_sums_ref(const octk_conv_rows *a, conv_gather_ref *gather, int32_t i,
                                  int32_t first, const void *w, int32_t width, int32_t *acc) {
    const int32_t each = a->pooled ? OCTK_POOLED : 1;
    for (int32_t j = 0; j < each; j++) {
        uint32_t one[16];
        for (int32_t l = 0; l < width; l++) one[l] = (uint32_t)a->b[first + l];
        gather(a, a->pix[i * each + j], w, width, one);
        for (int32_t l = 0; l < width; l++)
            if (j == 0 || (int32_t)one[l] > acc[l]) acc[l] = (int32_t)one[l];
    }
}

static inline void conv_panels_ref(const octk_conv_rows *a, conv_gather_ref *gather) {
    const int32_t lanes = octk_lanes(a->o);
    const int8_t *w = a->w;
    int32_t acc[16];
    uint8_t codes[16];
    for (int32_t first = 0; first < lanes; first += 16) {
        const int32_t width = octk_panel_lanes(lanes, first);
        for (int32_t i = 0; i < octk_outputs(a); i++) {
            panel_sums_ref(a, gather, i, first, w, width, acc);
            octq_requant_row(&a->by, first, acc, width, a->zy, a->lo, a->hi, codes);
            for (int32_t l = 0; l < width; l++) {
                const int32_t o = octk_lane_channel(lanes, first + l);
                if (o < a->o) a->y[a->out[i] + o] = codes[l];
            }
        }
        w += (int64_t)a->runs * a->steps * width * 4;
    }
}

#endif
