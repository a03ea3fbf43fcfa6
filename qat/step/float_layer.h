/* SPDX-License-Identifier: MIT
 * qat/step/float_layer.h - a layer that stays float between quantized ones, in evaluation. */
#ifndef OCT_QAT_STEP_FLOAT_LAYER_H
#define OCT_QAT_STEP_FLOAT_LAYER_H

#include "autograd/tape.h"

/** Run the call's node as the plan runs it (law 12): qat/int8's float node, image by image. Fills
 *  out. */
oct_status octi_float_layer(octi_call *c);

#endif
