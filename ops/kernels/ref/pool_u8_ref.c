/* SPDX-License-Identifier: MIT
 * Pooling on codes; channels are the vector. */
#include <string.h>

#include "ops/kernels/kernels.h"
#include "src/qround.h"

enum { BLOCK = 64 };

static void max_row(const uint8_t *restrict x, int32_t n, uint8_t *restrict best) {
    for (int32_t c = 0; c < n; c++) best[c] = x[c] > best[c] ? x[c] : best[c];
}

static void sum_row(const uint8_t *restrict x, int32_t n, int32_t *restrict sum) {
    for (int32_t c = 0; c < n; c++) sum[c] += x[c];
}

/* Windows hold at least one cell; shapes are judged before. Padding never wins: it is outside every
 * window.
 */
void octk_max_pool_u8_ref(const octk_pool_u8 *a) {
    uint8_t best[BLOCK];
    for (int32_t n = 0; n < a->n; n++)
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++)
                for (int32_t c0 = 0; c0 < a->c; c0 += BLOCK) {
                    int32_t cols = a->c - c0 < BLOCK ? a->c - c0 : BLOCK;
                    memset(best, 0, sizeof best);
                    for (int32_t h = a->h0[p]; h < a->h1[p]; h++)
                        for (int32_t w = a->w0[q]; w < a->w1[q]; w++)
                            max_row(a->x.base + n * a->x.image + h * a->x.row + w * a->x.pixel + c0,
                                    cols, best);
                    memcpy(a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel + c0, best,
                           (size_t)cols);
                }
}

void octk_avg_pool_u8_ref(const octk_pool_u8 *a) {
    int32_t sum[BLOCK];
    for (int32_t n = 0; n < a->n; n++)
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++) {
                int32_t inside = (a->h1[p] - a->h0[p]) * (a->w1[q] - a->w0[q]);
                for (int32_t c0 = 0; c0 < a->c; c0 += BLOCK) {
                    int32_t cols = a->c - c0 < BLOCK ? a->c - c0 : BLOCK;
                    memset(sum, 0, sizeof sum);
                    for (int32_t h = a->h0[p]; h < a->h1[p]; h++)
                        for (int32_t w = a->w0[q]; w < a->w1[q]; w++)
                            sum_row(a->x.base + n * a->x.image + h * a->x.row + w * a->x.pixel + c0,
                                    cols, sum);
                    uint8_t *y = a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel + c0;
                    octk_average_codes(a, sum, inside, cols, y);
                }
            }
}
