/* SPDX-License-Identifier: MIT
 * ops/conv_winograd.h - a float convolution by Winograd whose weights do not move: transformed
 * once, run serially in the caller's scratch. The geometry must pass octi_conv_winograd_fits. */
#ifndef OCT_OPS_CONV_WINOGRAD_H
#define OCT_OPS_CONV_WINOGRAD_H

#include "ops/conv_internal.h"
#include "ops/kernels/kernels.h"

/** Floats of the transformed weights. */
size_t octi_winograd_floats(const octi_conv *g);
/** w [O,3,3,C] to u. */
void octi_winograd_pack(const octi_conv *g, const float *w, float *u);
/** Bytes, 64-byte aligned, that a run of g->n images needs. */
size_t octi_winograd_scratch(const octi_conv *g);
/** Tiles of 4x4 of an image's output, row by row. */
int64_t octi_winograd_tiles(const octi_conv *g);
/** A part of y = x (*) w (+ bias where not NULL), clamped, of each of g->n images: tiles
 *  [from, to) of it, its channels in whole panels of 16. */
void octi_winograd_run(const octi_conv *g, const octk_table *kernels, const float *x,
                       const float *u, const float *bias, octk_clamp clamp, float *y,
                       const octi_part *part, void *scratch);
/** Cycles of it, reckoned. */
double octi_winograd_cycles(const octi_conv *g, const octk_table *kernels, const octi_part *part);

#endif
