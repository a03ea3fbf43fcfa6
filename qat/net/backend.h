/* SPDX-License-Identifier: MIT
 * qat/net/backend.h - the tables of backend.def and targets.def. */
#ifndef OCT_QAT_NET_BACKEND_H
#define OCT_QAT_NET_BACKEND_H

#include "qat/net/target.h"
#include "src/graph.h"
#include "src/qround.h"

typedef enum octi_grid {
    OCTI_GRID_NONE,
    OCTI_GRID_OWN,
    OCTI_GRID_SHARE,
    OCTI_GRID_UNIT,
    OCTI_GRID_SIGNED
} octi_grid;
static inline bool octi_grid_is_fixed(octi_grid g) {
    return g == OCTI_GRID_UNIT || g == OCTI_GRID_SIGNED;
}
/** Scale and zero point of a fixed grid with these codes: powers of two, so every target has
 *  them. */
void octi_grid_qparams(octi_grid g, const oct_qspec *spec, float *scale, int32_t *zero_point);

typedef struct octi_backend_op {
    octi_grid grid[OCTQ_LAWS]; /* NONE: stays float */
    oct_op_kind int8;
} octi_backend_op;
const octi_backend_op *octi_backend(oct_op_kind kind);
/** Where the output of a node of this kind stands under a law (attr.law). */
octi_grid octi_grid_under(oct_op_kind kind, int32_t law);
static inline octi_grid octi_grid_of(const oct_node *n) {
    return octi_grid_under(n->kind, n->attr.law[0]);
}

typedef struct octi_target {
    const char *name;
    bool reduce_range, per_channel, pow2;
    octq_law law; /* of its requants; q31: activations are signed there */
    const char *text;
} octi_target;
/** NULL (recorded, lists the known ones) where there is none; by default octet. */
const octi_target *octi_target_of(oct_target value);
/** The same by its word in a file. */
const octi_target *octi_target_find(const char *name);
extern const octi_words octi_target_words;

#endif
