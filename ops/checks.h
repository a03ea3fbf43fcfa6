/* SPDX-License-Identifier: MIT
 * ops/checks.h - what every op does before its first write, and how it cuts its work. Room: ops. */
#ifndef OCT_OPS_CHECKS_H
#define OCT_OPS_CHECKS_H

#include "src/arena.h"
#include "src/cut.h"
#include "src/graph.h"
#include "src/mem.h"
#include "src/threads.h"

/** Judge tensors as a node of `kind` (oct_infer_shape), then `out` against what follows from them.
 *  Entries of `in` may be NULL where the kind allows it. `role` names `out` in messages: "y", or
 *  "dy" where gradients stand in for it. */
oct_status octi_check_op(oct_op_kind kind, const oct_attrs *a, const oct_tensor *const *in, int nin,
                         const oct_tensor *out, const char *role);
/** t must be there, of this dtype and shape. `op` and `role` name it. */
oct_status octi_check_tensor(const char *op, const char *role, const oct_tensor *t, oct_dtype dtype,
                             const oct_shape *shape);
/** t must be dense fp32 with at least one element, of rank >= `rank`. */
oct_status octi_check_f32(const char *op, const char *role, const oct_tensor *t, int rank);

typedef void (*octi_range_fn)(void *arg, int64_t begin, int64_t end);
/** fn over [0, n) in pieces of at least `grain`. For work whose elements do not meet: no cut can
 *  change a bit. */
void octi_for_range(oct_ctx *ctx, int64_t n, int64_t grain, octi_range_fn fn, void *arg);

/** In front of a loop whose iterations touch only element i, in place or not: the compiler need not
 *  check for overlap. */
#if defined(__clang__)
#define OCTI_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define OCTI_IVDEP _Pragma("GCC ivdep")
#else
#define OCTI_IVDEP
#endif

#endif
