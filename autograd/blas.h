/* SPDX-License-Identifier: MIT
 * autograd/blas.h - OpenBLAS as the context's float GEMM. Here and not in ops, so that the deployable trio needs no BLAS. */
#ifndef OCT_AUTOGRAD_BLAS_H
#define OCT_AUTOGRAD_BLAS_H

#include "src/context.h"

/** Install it; called by oct_tape_new. BLAS runs single-threaded: octet's own slots are the parallelism, and sums keep one
 *  order whatever the number of threads. */
void octi_blas_install(oct_ctx *ctx);

#endif
