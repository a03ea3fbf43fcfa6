/* SPDX-License-Identifier: MIT
 * qat/step/float_layer.h - a layer that stays float between quantized ones, in evaluation (law
 * 12). */
#ifndef OCT_QAT_STEP_FLOAT_LAYER_H
#define OCT_QAT_STEP_FLOAT_LAYER_H

#include "autograd/tape.h"

struct octi_fnode;

/** The plan's node for n, its weights packed, in the arena; NULL where the op moves no number. */
oct_status octi_float_layer_begin(const oct_graph *g, const oct_node *n, octi_arena *arena,
                                  struct octi_fnode **plan);
/** Run the call's node as the plan runs it: qat/int8's float node, image by image. Fills out. */
oct_status octi_float_layer(octi_call *c);

#endif
