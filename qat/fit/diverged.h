/* SPDX-License-Identifier: MIT
 * qat/fit/diverged.h - what to say where a training left the numbers. */
#ifndef OCT_QAT_FIT_DIVERGED_H
#define OCT_QAT_FIT_DIVERGED_H

#include "autograd/tape.h"

/** The loss of this step is not finite: OCT_EDIVERGED naming the first tensor of the net or value
 *  of the step's forward that is not, and what helps against that. own_loss: the loss is the
 *  caller's. */
oct_status octi_diverged_loss(const oct_net *net, const oct_tape *tape, int64_t step, float lr,
                              bool own_loss);
/** Make the net ready to be saved: what was observed is searched (oct_net_settle); all that
 *  training moves is finite before and behind that, and could be loaded again; else OCT_EDIVERGED.
 *  step 0: no training. */
oct_status octi_diverged_settle(oct_net *net, const oct_named_tensor *optim, int32_t count,
                                int64_t step, float lr);
/** The optimizer refused its step: say when, and what helps. */
oct_status octi_diverged_step(oct_status s, int64_t step, float lr);

#endif
