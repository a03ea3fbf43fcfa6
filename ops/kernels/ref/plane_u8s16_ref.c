/* SPDX-License-Identifier: MIT
 * Convolution of an image of one channel. */
#include "ops/kernels/kernels.h"
#include "src/qround.h"

static int32_t sum_of(const octk_plane_u8s16 *a, const int16_t *w, int32_t lanes, int32_t b,
                      const uint8_t *x) {
    uint32_t sum = (uint32_t)b;
    for (int32_t k = 0; k < a->pairs; k++, w += 2 * lanes) {
        const int64_t apart = k < a->pairs - a->down ? 1 : a->below;
        sum += (uint32_t)(x[a->tap[k]] * w[0] + x[a->tap[k] + apart] * w[1]);
    }
    return (int32_t)sum;
}

/* Requant never falls as its sum rises: of a pool's the largest becomes the code. */
static uint8_t output(const octk_plane_u8s16 *a, const int16_t *w, int32_t lanes, int32_t lane,
                      int32_t p, int32_t q) {
    const int32_t each = a->pooled ? 2 : 1;
    int32_t most = INT32_MIN;
    uint8_t y;
    for (int32_t i = 0; i < each * each; i++) {
        const uint8_t *x = a->x.base + (int64_t)(p * each + i / each) * a->stride_h * a->x.row +
                           q * each + i % each;
        const int32_t sum = sum_of(a, w, lanes, a->b[lane], x);
        if (sum > most) most = sum;
    }
    octq_requant_row(&a->by, lane, &most, 1, a->zy, a->lo, a->hi, &y);
    return y;
}

void octk_plane_u8s16_ref(const octk_plane_u8s16 *a) {
    const int16_t *w = a->w;
    int32_t lane = 0;
    for (int32_t o = 0; o < a->o;) {
        const int32_t lanes = octk_plane_lanes(a->o - o),
                      valid = a->o - o < lanes ? a->o - o : lanes;
        for (int32_t c = 0; c < valid; c++)
            for (int32_t p = 0; p < a->p; p++)
                for (int32_t q = 0; q < a->q; q++)
                    a->y.base[p * a->y.row + q * a->y.pixel + o + c] =
                        output(a, w + 2 * c, lanes, lane + c, p, q);
        w += (int64_t)2 * lanes * a->pairs;
        lane += lanes;
        o += lanes;
    }
}
