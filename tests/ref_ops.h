/* SPDX-License-Identifier: MIT
 * tests/ref_ops.h - forward passes in double, written apart from the library: plain loops over the
 * definition. */
#ifndef OCT_TESTS_REF_OPS_H
#define OCT_TESTS_REF_OPS_H

#include "ops/ops.h"

/** Output shape by the definition, not by oct_infer_shape. */
oct_shape ref_shape(oct_op_kind kind, const oct_attrs *a, const oct_shape *in, int nin);
/** y of one op. Labels and codes are given as doubles. batch_norm takes its statistics from x where
 *  `train`. bound: where not NULL, K * sum |x| |w| of each output element of conv2d and linear. */
void ref_forward(oct_op_kind kind, const oct_attrs *a, const oct_shape *shape,
                 const double *const *in, int nin, bool train, double *y, double *bound);

#endif
