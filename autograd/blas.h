/* SPDX-License-Identifier: MIT
 * autograd/blas.h - gives a context OpenBLAS for its large products. ops and the deployable trio stay free of BLAS. */
#ifndef OCT_AUTOGRAD_BLAS_H
#define OCT_AUTOGRAD_BLAS_H

#include "src/context.h"

/** Install cblas_sgemm in the context (octi_ctx_set_sgemm). OpenBLAS is set to one thread: octet cuts the work itself, and one
 *  thread gives the same bits whoever calls. Process-wide; harmless to repeat. */
void octi_blas_install(oct_ctx *ctx);

#endif
