/* SPDX-License-Identifier: MIT
 * ops/layout.h - where the elements of a value lie while a plan runs. */
#ifndef OCT_OPS_LAYOUT_H
#define OCT_OPS_LAYOUT_H

#include "src/tensor.h"

/** Cells around an image [H,W,C], in pixels, that hold the value's zero point: whoever reads a
 *  window there needs no case for the border. */
typedef struct octi_halo {
    int32_t top, left, bottom, right;
} octi_halo;

/** Pitches in bytes. A dense value is the special case without halo; of one that is no image
 *  [N,H,W,C], only `image` counts. */
typedef struct octi_layout {
    int64_t image, row, pixel;
    int64_t origin; /* from the memory of an image to its pixel (0, 0) */
    octi_halo halo;
    bool slack; /* OCTI_SLACK bytes may be read, not written, behind the last image */
} octi_layout;

enum { OCTI_SLACK = 64 }; /* kernels take whole vectors of channels */

octi_layout octi_layout_of(const oct_shape *shape, size_t element, octi_halo halo);
octi_layout octi_layout_dense(const oct_shape *shape, size_t element);
bool octi_halo_none(const octi_halo *h);
/** Side by side the larger one. */
octi_halo octi_halo_join(octi_halo a, octi_halo b);
/** Everything that `need` asks for is in `have`. */
bool octi_halo_covers(const octi_halo *have, const octi_halo *need);
/** Fill the halo of n images of shape [.,H,W,C] of codes; `at` is pixel (0, 0) of the first. */
void octi_halo_fill(const octi_layout *l, const oct_shape *shape, uint8_t *at, int64_t n,
                    uint8_t code);

#endif
