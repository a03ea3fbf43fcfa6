/* SPDX-License-Identifier: MIT
 * The specification of gemm_f32: one accumulator per element, k ascending. */
#include "ops/kernels/kernels.h"

void octk_gemm_f32_ref(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                       int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c,
                       int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = accumulate ? c[i * ldc + j] : 0.0f;
            for (int64_t l = 0; l < k; l++)
                sum +=
                    (ta ? a[l * lda + i] : a[i * lda + l]) * (tb ? b[j * ldb + l] : b[l * ldb + j]);
            c[i * ldc + j] = sum;
        }
}
