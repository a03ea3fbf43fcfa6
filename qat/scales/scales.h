/* SPDX-License-Identifier: MIT
 * qat/scales/scales.h - the scale of a quantizer of values, for the rooms that run and convert
 * nets: when it moves, and what it is. */
#ifndef OCT_QAT_SCALES_SCALES_H
#define OCT_QAT_SCALES_SCALES_H

#include "qat/scales/observing.h"
#include "src/arena.h"

/** The range (and qparams, by q->dirty) that observed state stands for. */
oct_status octi_settle_range(oct_ctx *ctx, oct_quantizer *q);
/** Qparams at a training step's start (law 4): what earlier steps observed or learned becomes scale
 *  and zero point, and nothing moves them until the next. */
oct_status octi_scale_begin(oct_ctx *ctx, oct_quantizer *q);
/** A batch was seen, all members of the class: by an observer that keeps a range, in [min, max]
 *  (min > max: nothing finite), by one that searches, through octi_observe_values. The range moves
 *  now or when it is asked for; scale and zero point with it in calibration, and in a first step of
 *  training, whose own data they are made of. */
oct_status octi_scale_seen(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by, float min,
                           float max, bool calibrates);

/** Nodes, values and parameters are the net's; quantizers are copies with settled qparams, in the
 *  arena, free to be written. For as long as both live. NULL (recorded): a range cannot be
 *  settled. */
oct_net *octi_settled_view(oct_net *net, octi_arena *arena);

#endif
