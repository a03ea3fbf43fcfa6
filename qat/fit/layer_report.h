/* SPDX-License-Identifier: MIT
 * qat/fit/layer_report.h - the noise of a prepared net's layers, without the time of its plan. */
#ifndef OCT_QAT_FIT_LAYER_REPORT_H
#define OCT_QAT_FIT_LAYER_REPORT_H

#include "qat/fit/fit.h"

/** Fill all that oct_layers measures but us and kernel: rows[node_count] of a prepared net whose
 *  ranges are settled. data NULL: structure only. mixed: images from all over the set, in another
 *  order than oct_calibrate's; else the first ones. */
oct_status octi_layers_noise(oct_net *net, oct_data *data, int64_t n, bool mixed, oct_layer *rows);
/** n samples from all over a set, by the context's seed: the first ones may be of one class. *some:
 *  a view to be freed; NULL where the set has no more than n. */
oct_status octi_layers_some(oct_ctx *ctx, oct_data *data, int64_t n, oct_data **some);

#endif
