/* SPDX-License-Identifier: MIT
 * qat/compare.h - a comparison of simulation and plan that is kept over many batches: one plan, one
 * session, one tape. */
#ifndef OCT_QAT_COMPARE_H
#define OCT_QAT_COMPARE_H

#include "qat/qat.h"

/** Every value of a piece is kept at once: few images are enough to keep the kernels busy. */
enum { OCTI_COMPARE_BATCH = 16 };
typedef struct octi_comparison octi_comparison;
/** For batches of up to `batch` images; NULL (recorded) on failure. Both nets must outlive it, and
 *  stay as they are between its runs. */
octi_comparison *octi_comparison_new(oct_net *prepared, const oct_net *int8, int64_t batch);
/** As oct_compare, any number of images of x: in pieces of `batch`. */
oct_status octi_comparison_run(octi_comparison *c, const oct_tensor *x, oct_mismatch *m);
void octi_comparison_free(octi_comparison *c);

#endif
