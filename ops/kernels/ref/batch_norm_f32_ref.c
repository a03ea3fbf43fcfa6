/* SPDX-License-Identifier: MIT
 * The specification of the batch-norm passes. */
#include "ops/kernels/kernels.h"

void octk_column_sums_f32_ref(int64_t rows, int64_t c, const float *x, float *sum) {
    for (int64_t i = 0; i < c; i++) sum[i] = 0;
    for (int64_t r = 0; r < rows; r++, x += c)
        for (int64_t i = 0; i < c; i++) sum[i] += x[i];
}

void octk_column_moments_f32_ref(int64_t rows, int64_t c, const float *x, const float *mid,
                                 float *s, float *q) {
    for (int64_t i = 0; i < c; i++) s[i] = q[i] = 0;
    for (int64_t r = 0; r < rows; r++, x += c)
        for (int64_t i = 0; i < c; i++) {
            float d = x[i] - mid[i];
            s[i] += d;
            q[i] += d * d;
        }
}

void octk_normalize_f32_ref(int64_t rows, int64_t c, const float *x, const float *mean,
                            const float *a, const float *b, float *y) {
    for (int64_t r = 0; r < rows; r++, x += c, y += c)
        for (int64_t i = 0; i < c; i++) y[i] = (x[i] - mean[i]) * a[i] + b[i];
}

void octk_bn_grad_sums_f32_ref(int64_t rows, int64_t c, const float *x, const float *dy,
                               const float *mean, float *s0, float *s1) {
    for (int64_t i = 0; i < c; i++) s0[i] = s1[i] = 0;
    for (int64_t r = 0; r < rows; r++, x += c, dy += c)
        for (int64_t i = 0; i < c; i++) {
            s0[i] += dy[i];
            s1[i] += dy[i] * (x[i] - mean[i]);
        }
}

void octk_bn_grad_x_f32_ref(int64_t rows, int64_t c, const float *x, const float *dy,
                            const float *mean, const float *a, const float *b, const float *k,
                            float *dx) {
    for (int64_t r = 0; r < rows; r++, x += c, dy += c, dx += c)
        for (int64_t i = 0; i < c; i++) dx[i] = a[i] * ((dy[i] - b[i]) - (x[i] - mean[i]) * k[i]);
}
