/* SPDX-License-Identifier: MIT
 * qat/step/observe.h - what observers are fed with in a step. */
#ifndef OCT_QAT_STEP_OBSERVE_H
#define OCT_QAT_STEP_OBSERVE_H

#include "qat/scales/observing.h"

/** Least and largest finite value; min > max where there is none. */
oct_status octi_finite_range(oct_ctx *ctx, const oct_tensor *x, float *min, float *max);

#endif
