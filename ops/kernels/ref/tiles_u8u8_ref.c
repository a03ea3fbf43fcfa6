/* SPDX-License-Identifier: MIT
 * Convolution of codes in tiles: plain loops, window by window, sums modulo 2^32. */
#include "ops/kernels/kernels.h"

/* One panel's sums of a window. */
static void gather(const octk_tiles_u8u8 *a, int32_t strip, int32_t window, int32_t first,
                   int32_t *sum) {
    const int32_t run = 4 * a->steps; /* codes */
    const uint8_t *x = (const uint8_t *)a->x + strip * a->strip + window * a->pixel;
    const int8_t *w = (const int8_t *)a->w + (int64_t)first * a->runs * run;
    uint32_t acc[OCTK_TILE];
    for (int32_t l = 0; l < OCTK_TILE; l++) acc[l] = (uint32_t)a->b[first + l];
    for (int32_t r = 0; r < a->runs; r++)
        for (int32_t i = 0; i < run; i += 4)
            for (int32_t l = 0; l < OCTK_TILE; l++, w += 4)
                for (int32_t j = 0; j < 4; j++) acc[l] += (uint32_t)(x[a->run[r] + i + j] * w[j]);
    for (int32_t l = 0; l < OCTK_TILE; l++) sum[l] = (int32_t)acc[l];
}

/* Those of an output; of four windows the largest. */
static void sums(const octk_tiles_u8u8 *a, int32_t strip, int32_t window, int32_t first,
                 int32_t *sum) {
    int32_t next[OCTK_TILE];
    gather(a, strip, window, first, sum);
    for (int32_t k = 1; k < (a->pooled ? OCTK_POOLED : 1); k++) {
        gather(a, strip + k / 2, window + k % 2, first, next);
        for (int32_t l = 0; l < OCTK_TILE; l++)
            if (next[l] > sum[l]) sum[l] = next[l];
    }
}

static void image(const octk_tiles_u8u8 *a) {
    const int32_t each = a->pooled ? 2 : 1;
    int32_t sum[OCTK_TILE];
    uint8_t codes[OCTK_TILE];
    for (int32_t first = 0; first < a->o; first += OCTK_TILE)
        for (int32_t s = 0; s < a->strips; s += each)
            for (int32_t i = 0; i < a->length; i += each) {
                if (i % a->line >= a->wanted) continue;
                sums(a, s, i, first, sum);
                octq_requant_row(&a->by, first, sum, OCTK_TILE, a->zy, a->lo, a->hi, codes);
                uint8_t *y = a->y + s / each * a->y_strip + i / a->line * a->y_line +
                             i % a->line / each * a->y_pixel;
                for (int32_t l = 0; l < OCTK_TILE; l++) {
                    const int32_t o = first + octk_lane_channel(OCTK_TILE, l);
                    if (o < a->o) y[o] = codes[l];
                }
            }
}

void octk_tiles_u8u8_ref(const octk_tiles_u8u8 *a) {
    octk_tiles_u8u8 one = *a;
    for (int32_t n = 0; n < a->images; n++) {
        one.x = (const uint8_t *)a->x + n * a->image;
        one.y = a->y + n * a->y_image;
        image(&one);
    }
}
