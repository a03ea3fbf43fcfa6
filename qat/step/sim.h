/* SPDX-License-Identifier: MIT
 * qat/step/sim.h - a prepared net in evaluation, node by node. */
#ifndef OCT_QAT_STEP_SIM_H
#define OCT_QAT_STEP_SIM_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** Eval forward of a prepared net (law 10): codes at every node, products exact over whole numbers,
 *  bias and requant by the law. Shares the law and the fold with the int8 plan, but no kernel,
 *  packing or planner. */
typedef struct oct_sim oct_sim;
OCT_API OCT_NODISCARD oct_sim *oct_sim_new(oct_net *prepared);
OCT_API void oct_sim_free(oct_sim *s);
/** x f32 [n,H,W,C]; returns the output (f32, borrowed until the next run), NULL on failure.
 *  OCT_EQPARAMS, naming the value, where no range was observed. */
OCT_API const oct_tensor *oct_sim_run(oct_sim *s, const oct_tensor *x);
/** Value of a node in the last run: u8 codes, or f32 for float nodes; NULL where unknown.
 *  Borrowed. */
OCT_API const oct_tensor *oct_sim_value(const oct_sim *s, const char *node);

OCT_END_DECLS
#endif
