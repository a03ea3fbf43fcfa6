/* SPDX-License-Identifier: MIT
 * ops/kernels/map_runs.h - the walk of element-wise kernels on codes, for every ISA: over images,
 * rows and pixels, each a run of c codes. */
#ifndef OCT_OPS_KERNELS_MAP_RUNS_H
#define OCT_OPS_KERNELS_MAP_RUNS_H

#include "ops/kernels/kernels.h"

/* x and y: the run's codes; SECOND(a): those of the second operand. */
#define EACH_RUN(a, ...)                                                                           \
    for (int32_t n_ = 0; n_ < (a)->n; n_++)                                                        \
        for (int32_t h_ = 0; h_ < (a)->h; h_++)                                                    \
            for (int32_t w_ = 0; w_ < (a)->w; w_++) {                                              \
                const uint8_t *x =                                                                 \
                    (a)->x.base + n_ * (a)->x.image + h_ * (a)->x.row + w_ * (a)->x.pixel;         \
                uint8_t *y =                                                                       \
                    (a)->y.base + n_ * (a)->y.image + h_ * (a)->y.row + w_ * (a)->y.pixel;         \
                __VA_ARGS__;                                                                       \
            }
#define SECOND(a) ((a)->x2.base + n_ * (a)->x2.image + h_ * (a)->x2.row + w_ * (a)->x2.pixel)

#endif
