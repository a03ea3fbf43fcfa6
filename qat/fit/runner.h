/* SPDX-License-Identifier: MIT
 * qat/fit/runner.h - a runner, for those that run a net over a whole set. */
#ifndef OCT_QAT_FIT_RUNNER_H
#define OCT_QAT_FIT_RUNNER_H

#include "qat/fit/fit.h"

/** Its runs from here on are one evaluation, between which nothing of the net moves: settled
 *  qparams, codes of weights and packed float layers are made once. */
oct_status octi_runner_hold(oct_runner *r);

#endif
