/* SPDX-License-Identifier: MIT
 * qat/backend.h - the tables of backend.def and targets.def. */
#ifndef OCT_QAT_BACKEND_H
#define OCT_QAT_BACKEND_H

#include "src/graph.h"

typedef enum octi_grid { OCTI_GRID_NONE, OCTI_GRID_OWN, OCTI_GRID_SHARE } octi_grid;

typedef struct octi_backend_op {
    octi_grid grid; /* NONE: stays float */
    oct_op_kind int8;
} octi_backend_op;
const octi_backend_op *octi_backend(oct_op_kind kind);

typedef struct octi_target {
    const char *name;
    bool reduce_range, per_channel, pow2;
    const char *text;
} octi_target;
/** NULL (recorded, lists the known ones) for an unknown name; NULL name: the default. */
const octi_target *octi_target_find(const char *name);

#endif
