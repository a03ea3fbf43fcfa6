/* SPDX-License-Identifier: MIT */
#include "autograd/blas.h"

#include <cblas.h>

#include "src/mem.h"

static void sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                  float beta, float *c, int64_t ldc) {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void octi_blas_install(oct_ctx *ctx) {
    openblas_set_num_threads(1);
    octi_ctx_set_sgemm(ctx, sgemm);
}
