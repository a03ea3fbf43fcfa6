/* SPDX-License-Identifier: MIT
 * ops/product_paths.h - which way a product's forward goes, by shapes alone: for callers that count
 * the ways of their nets (src/paths.h). */
#ifndef OCT_OPS_PRODUCT_PATHS_H
#define OCT_OPS_PRODUCT_PATHS_H

#include "ops/ops.h"
#include "src/paths.h"

/** Of oct_conv2d_forward, or (exact) of octi_conv2d_direct. */
octi_path octi_conv2d_path(const oct_attrs *a, const oct_tensor *x, const oct_tensor *y,
                           bool exact);
/** Of oct_linear_forward. */
octi_path octi_linear_path(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *w);
/** Of octi_sgemm. */
octi_path octi_sgemm_path(oct_ctx *ctx, bool tb, int64_t m, int64_t n, int64_t k);

#endif
