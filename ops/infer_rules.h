/* SPDX-License-Identifier: MIT
 * ops/infer_rules.h - shape rules from inside: one per kind (op_kinds.def), and what they share. A
 * rule sees inputs whose sides are at least 1 (side 0 may be the symbolic batch), whose sizes do
 * not overflow, and whose count fits the kind. */
#ifndef OCT_OPS_INFER_RULES_H
#define OCT_OPS_INFER_RULES_H

#include "ops/ops.h"

typedef struct octi_infer {
    const oct_attrs *a;
    const oct_value *const *in;
    int nin;
    const char *where;
    oct_dtype dtype; /* the result */
    oct_shape shape;
} octi_infer;

#define OCT_OP(name, least, most, flags) oct_status octi_infer_##name(octi_infer *j);
#include "src/op_kinds.def"
#undef OCT_OP

/* Failures, recorded under the node's name. */
oct_status octi_bad_attr(const octi_infer *j, const char *what, const char *expected,
                         const char *got);
oct_status octi_bad_shape(const octi_infer *j, const char *what, const char *expected,
                          const char *got);
const char *octi_num(int64_t v);

oct_status octi_want_dtype(const octi_infer *j, int k, const char *role, oct_dtype t);
oct_status octi_want_rank(const octi_infer *j, int k, const char *role, int least, int most);
/** Input k: dtype t, shape [count]. */
oct_status octi_want_vector(const octi_infer *j, int k, const char *role, oct_dtype t,
                            int64_t count);
/** The result is as input 0. */
oct_status octi_infer_same(octi_infer *j);

/* Shapes that float and integer kinds have in common; dtypes of the inputs are the caller's where
 * none is given. */
oct_status octi_infer_conv_shape(octi_infer *j, oct_dtype xt, oct_dtype wt);
oct_status octi_infer_linear_shape(octi_infer *j, oct_dtype xt, oct_dtype wt);
oct_status octi_infer_pool_shape(octi_infer *j);
oct_status octi_infer_adaptive_shape(octi_infer *j);
oct_status octi_infer_broadcast_shape(octi_infer *j);
oct_status octi_infer_cat_shape(octi_infer *j, int members, oct_dtype t);
oct_status octi_infer_pad_shape(octi_infer *j);

#endif
