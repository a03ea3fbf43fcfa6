/* SPDX-License-Identifier: MIT
 * qat/fit/diverged.h - what to say where a training left the numbers. */
#ifndef OCT_QAT_FIT_DIVERGED_H
#define OCT_QAT_FIT_DIVERGED_H

#include "autograd/tape.h"

/** Where a training stands that left the numbers. */
typedef struct octi_diverged_at {
    int64_t step; /* 0: no training */
    float lr;     /* what is advised in place of its own */
    bool saved;   /* its run has a moment to go back to */
} octi_diverged_at;

/** The loss of this step is not finite: OCT_EDIVERGED naming the first tensor of the net or value
 *  of the step's forward that is not, and what helps against that. own_loss: the loss is the
 *  caller's. */
oct_status octi_diverged_loss(const oct_net *net, const oct_tape *tape, octi_diverged_at at,
                              bool own_loss);
/** Make the net ready to be saved: what was observed is searched (oct_net_settle); all that
 *  training moves is finite before and behind that, and could be loaded again; else
 *  OCT_EDIVERGED. */
oct_status octi_diverged_settle(oct_net *net, const oct_named_tensor *optim, int32_t count,
                                octi_diverged_at at);
/** The optimizer refused its step: say when, and what helps. */
oct_status octi_diverged_step(oct_status s, octi_diverged_at at);

#endif
