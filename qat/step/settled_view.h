/* SPDX-License-Identifier: MIT
 * qat/step/settled_view.h - a prepared net as evaluation and convert see it. */
#ifndef OCT_QAT_STEP_SETTLED_VIEW_H
#define OCT_QAT_STEP_SETTLED_VIEW_H

#include "src/arena.h"
#include "src/net.h"

/** The range (and qparams, by q->dirty) that an activation's observed state stands for. */
oct_status octi_settle_range(oct_ctx *ctx, oct_quantizer *q);
/** Nodes, values and parameters are the net's; quantizers are copies with settled qparams, in the
 *  arena, free to be written. For as long as both live. NULL (recorded): a range cannot be
 *  settled. */
oct_net *octi_settled_view(oct_net *net, octi_arena *arena);

#endif
