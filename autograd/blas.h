/* SPDX-License-Identifier: MIT
 * autograd/blas.h - gives a context OpenBLAS for its large products, when the first one comes
 * (octi_sgemm_ready). ops and the deployable trio stay free of BLAS. */
#ifndef OCT_AUTOGRAD_BLAS_H
#define OCT_AUTOGRAD_BLAS_H

#include "src/context.h"

/** Install cblas_sgemm in the context (octi_ctx_set_sgemm). The serial OpenBLAS that was found at
 *  configure time is loaded by the first call of the process, for octet alone: an OpenBLAS of the
 *  host program is neither used nor touched. Its work buffers (128 MiB of addresses each, hardly
 *  touched) are taken here, one per thread that may call at once or as many as there is room for.
 *  OCT_EUNSUPPORTED where the library cannot be loaded or is another build; OCT_ENOMEM where there
 *  is no room for it. */
oct_status octi_blas_install(oct_ctx *ctx);

#endif
