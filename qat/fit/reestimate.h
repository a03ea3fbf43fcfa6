/* SPDX-License-Identifier: MIT
 * qat/fit/reestimate.h - batch norm estimated anew inside a training. */
#ifndef OCT_QAT_FIT_REESTIMATE_H
#define OCT_QAT_FIT_REESTIMATE_H

#include "qat/fit/fit.h"

/** oct_reestimate_batch_norm on images augmented as training's are (oct_fit_opts.augment): what is
 *  frozen must be the statistics of what is trained on. Those of plain images cost a ResNet-20 one
 *  point (docs/results.md). */
oct_status octi_reestimate_batch_norm(oct_net *net, oct_data *data, int64_t n, uint32_t augment);

#endif
