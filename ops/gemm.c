/* SPDX-License-Identifier: MIT
 * The one place that chooses between a BLAS that a higher room installed and octet's own kernel. */
#include "ops/kernels/kernels.h"
#include "ops/product_paths.h"
#include "src/mem.h"

/** By shape alone, so that the choice never depends on threads. Measured against OpenBLAS 0.3.21 on
 *  one Zen 3 core: octet's AVX2 kernel gives 1.1 to 2.2 times its speed where a side or the depth
 *  is small, and where B is transposed (the packing is the better one there); OpenBLAS gives 1.1 to
 *  1.8 times where all is large and B lies in rows. */
static bool blas_is_faster(bool tb, int64_t m, int64_t n, int64_t k) {
    const int64_t most = INT32_MAX; /* BLAS counts in int */
    return !tb && m >= 96 && n >= 128 && k >= 400 && m <= most && n <= most && k <= most;
}

oct_status octi_sgemm_ready(oct_ctx *ctx, int64_t m, int64_t n, int64_t k) {
    octi_sgemm_install_fn install = octi_ctx_sgemm_install(ctx);
    return install && !octi_ctx_sgemm(ctx) && blas_is_faster(false, m, n, k) ? install(ctx)
                                                                             : OCT_OK;
}

octi_path octi_sgemm_path(oct_ctx *ctx, bool tb, int64_t m, int64_t n, int64_t k) {
    return octi_ctx_sgemm(ctx) && blas_is_faster(tb, m, n, k) ? OCTI_PATH_gemm_blas
                                                              : OCTI_PATH_gemm_own;
}

void octi_sgemm(oct_ctx *ctx, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c, int64_t ldc) {
    if (octi_sgemm_path(ctx, tb, m, n, k) == OCTI_PATH_gemm_blas)
        octi_ctx_sgemm(ctx)(ta, tb, m, n, k, 1.0f, a, lda, b, ldb, accumulate ? 1.0f : 0.0f, c,
                            ldc);
    else
        octi_ctx_kernels(ctx)->gemm_f32(ta, tb, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
}
