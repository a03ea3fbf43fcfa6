/* SPDX-License-Identifier: MIT
 * qat/prepared_check.h - for prepared nets that may come from anywhere. */
#ifndef OCT_QAT_PREPARED_CHECK_H
#define OCT_QAT_PREPARED_CHECK_H

#include "src/net.h"

/** Everything that prepared nets are built with: a quantizer's codes and tensors, scales and zero
 *  points, and nodes on the grids that their kinds need. OCT_EFORMAT or OCT_EQPARAMS, naming the
 *  value or the node. */
oct_status octi_prepared_check(const oct_net *net);

#endif
