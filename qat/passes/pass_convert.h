/* SPDX-License-Identifier: MIT
 * qat/passes/pass_convert.h - the pass alone: what it made is judged by oct_convert
 * (qat/convert.c). */
#ifndef OCT_QAT_PASSES_PASS_CONVERT_H
#define OCT_QAT_PASSES_PASS_CONVERT_H

#include "src/net.h"

typedef struct octi_converted {
    int32_t layers_int8, layers_float;
    int64_t bytes; /* of weights, biases, multipliers and tables */
} octi_converted;
/** G3 of a settled view (qat/scales/scales.h). NULL (recorded) on failure. */
oct_net *octi_convert_pass(oct_net *settled, octi_converted *count);
/** It has a row for this integer kind (of qat/net/backend.def). */
bool octi_convert_has(oct_op_kind int8);

#endif
