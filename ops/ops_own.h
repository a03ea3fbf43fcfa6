/* SPDX-License-Identifier: MIT
 * ops/ops_own.h - tensor ops: what the library's own files have of them.
 * Comes with ops.h where the library is built; never installed. */
#ifndef OCT_OPS_OPS_OWN_H
#define OCT_OPS_OPS_OWN_H

#include "ops.h"

/** Row-major C[m,n] = op(A)[m,k] op(B)[k,n] (+ C where accumulate): BLAS where a higher room
 *  installed it and it is measured faster, else octet's kernel. Serial; callable from several
 *  threads at once. */
void octi_sgemm(oct_ctx *ctx, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c, int64_t ldc);
/** Before a loop that calls octi_sgemm with rows in B, for the largest product of it: installs BLAS
 *  where it is the faster one, so that programs whose products are small, or that do not train,
 *  never load it. The errors of octi_blas_install. */
OCT_NODISCARD oct_status octi_sgemm_ready(oct_ctx *ctx, int64_t m, int64_t n, int64_t k);

/** oct_conv2d_forward without transforms (that may use Winograd): each output is one chain of
 *  multiply-adds, so sums of whole numbers are exact while sum |x||w| <= 2^24 (law 10). */
OCT_NODISCARD oct_status octi_conv2d_direct(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                            const oct_tensor *w, const oct_tensor *b,
                                            oct_tensor *y);

bool octi_is_unary(oct_op_kind kind);

/** oct_unary_forward over n floats, and of one value in double: what tables of codes are made
 *  from. */
void octi_unary_f32(oct_op_kind kind, const oct_attrs *a, const float *x, float *y, int64_t n);
double octi_unary_f64(oct_op_kind kind, const oct_attrs *a, double x);

/** Products a second that one core reaches with the instruction behind a kernel of the context, on
 *  registers alone, measured now (a fraction of a millisecond); 0 where the kernel multiplies
 *  nothing or the clock stands. */
double octi_peak(const oct_ctx *ctx, const char *kernel);

#endif
