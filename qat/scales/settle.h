/* SPDX-License-Identifier: MIT
 * qat/scales/settle.h - ranges and scales that observed state and learned steps stand for. */
#ifndef OCT_QAT_SCALES_SETTLE_H
#define OCT_QAT_SCALES_SETTLE_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** Choose the ranges that observed state stands for: histograms are searched when their range is
 *  asked for, not at each batch. oct_calibrate, training steps, convert and runs on disk do it by
 *  themselves; call it before reading ranges, or before oct_net_save_weights, after calibration by
 *  hand. OCT_EFORMAT, naming the value: a state that no data can give. */
OCT_API OCT_NODISCARD oct_status oct_net_settle(oct_net *net);

/** Go on with another observer for all activations of a prepared net (fixed ones stay; the net's
 *  input takes "minmax" in place of one that searches: its range is known). Ranges stay as they are
 *  chosen now; the old observer's state is dropped. OCT_EUSAGE: not prepared, or no such
 *  observer. */
OCT_API OCT_NODISCARD oct_status oct_net_set_observer(oct_net *net, const char *observer);

OCT_END_DECLS
#endif
