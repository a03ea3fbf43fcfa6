/* SPDX-License-Identifier: MIT
 * autograd/replay.h - one net, one batch size, step after step: for who trains. */
#ifndef OCT_AUTOGRAD_REPLAY_H
#define OCT_AUTOGRAD_REPLAY_H

#include "autograd/tape.h"

/** Where a batch stands. */
typedef struct octi_place {
    uint32_t epoch, first; /* as oct_tape_key */
    octi_cut cut;
} octi_place;

/** A step of training begins: oct_tape_begin(t, OCT_TRAIN), oct_tape_key, octi_tape_cut, and
 *  oct_net_forward of x, to the bit; what the call before recorded of the same net is not recorded
 *  again. A loss may be recorded behind it. oct_backward gives the memory of a value, and of its
 *  gradient, to others as it goes: behind it, no value but a parameter can be looked at. */
oct_var *octi_replay(oct_tape *t, oct_net *net, const oct_tensor *x, const octi_place *at);

#endif
