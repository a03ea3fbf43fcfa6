/* SPDX-License-Identifier: MIT
 * ops/kernels/pool_window.h - the cells of a pooling window on codes, for kernels of every ISA. */
#ifndef OCT_OPS_KERNELS_POOL_WINDOW_H
#define OCT_OPS_KERNELS_POOL_WINDOW_H

#include "ops/kernels/kernels.h"

typedef struct window { /* of one output pixel */
    const uint8_t *x;
    int64_t row, pixel;
    int32_t h, w;
} window;

static inline window window_of(const octk_pool_u8 *a, int32_t n, int32_t p, int32_t q) {
    return (window){a->x.base + n * a->x.image + a->h0[p] * a->x.row + a->w0[q] * a->x.pixel,
                    a->x.row, a->x.pixel, a->h1[p] - a->h0[p], a->w1[q] - a->w0[q]};
}
/* Each output pixel: its window k, its codes y. */
#define EACH_WINDOW(a, call)                                                                       \
    for (int32_t n = 0; n < (a)->n; n++)                                                           \
        for (int32_t p = 0; p < (a)->p; p++)                                                       \
            for (int32_t q = 0; q < (a)->q; q++) {                                                 \
                const window k = window_of(a, n, p, q);                                            \
                uint8_t *y = (a)->y.base + n * (a)->y.image + p * (a)->y.row + q * (a)->y.pixel;   \
                call;                                                                              \
            }
#define EACH_CELL(win, call)                                                                       \
    for (int32_t h = 0; h < (win)->h; h++)                                                         \
        for (int32_t w = 0; w < (win)->w; w++) {                                                   \
            const uint8_t *cell = (win)->x + h * (win)->row + w * (win)->pixel;                    \
            call;                                                                                  \
        }

#endif
