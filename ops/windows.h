/* SPDX-License-Identifier: MIT
 * ops/windows.h - which cells of an image a pool's output is made of: the one cut of windows. */
#ifndef OCT_OPS_WINDOWS_H
#define OCT_OPS_WINDOWS_H

#include "src/graph.h"

/** Cells [from, to) along one axis. */
typedef struct octi_cells {
    int64_t from, to;
} octi_cells;

/** Window i of a pool with its kernel's steps, without the cells of the padding. */
static inline octi_cells octi_cells_inside(int64_t i, int64_t stride, int64_t pad, int64_t kernel,
                                           int64_t size) {
    const int64_t from = i * stride - pad, to = from + kernel;
    return (octi_cells){from < 0 ? 0 : from, to > size ? size : to};
}

/** Window i of `out` over `size`: floor(i * size / out) to ceil((i + 1) * size / out). */
static inline octi_cells octi_cells_adaptive(int64_t i, int64_t out, int64_t size) {
    return (octi_cells){i * size / out, ((i + 1) * size + out - 1) / out};
}

/** Window i of a pool node along an axis (0 rows, 1 columns) of `size` cells with `out` outputs. */
static inline octi_cells octi_cells_of(const oct_node *n, int axis, int64_t i, int64_t size,
                                       int64_t out) {
    const oct_attrs *a = &n->attr;
    return n->kind == OCT_OP_adaptive_avg_pool2d
               ? octi_cells_adaptive(i, out, size)
               : octi_cells_inside(i, a->stride[axis], a->pads[axis], a->kernel[axis], size);
}

#endif
