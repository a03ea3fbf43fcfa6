/* SPDX-License-Identifier: MIT
 * qat/passes/given_grids.h - grids that a float net came with (an imported file's QuantizeLinear):
 * a value of its graph then has a quantizer of scale and zero point. prepare takes them as they
 * are: nothing is observed. */
#ifndef OCT_QAT_PASSES_GIVEN_GRIDS_H
#define OCT_QAT_PASSES_GIVEN_GRIDS_H

#include "qat/net/prepared.h"

/** *grid: [values], the quantizer of each, -1 (to be freed); NULL where the net came with none.
 *  What moves elements or picks the larger ones commutes with rounding: through it a value gets the
 *  grid of what it is made of, or of all that is made of it. */
oct_status octi_given_grids(const oct_graph *g, int32_t **grid);
/** Scale, zero point and codes are the same. */
bool octi_same_grid(const oct_graph *g, int32_t a, int32_t b);

#endif
