/* SPDX-License-Identifier: MIT
 * Batch-norm passes, 8 channels a vector; the same operations in the same order as the reference,
 * so the same bits. */
#include <immintrin.h>

#include "ops/kernels/kernels.h"

#define LOAD(p) _mm256_loadu_ps(p)

void octk_column_sums_f32_avx2(int64_t rows, int64_t c, const float *x, float *sum) {
    int64_t i = 0;
    for (; i + 16 <= c; i += 16) {
        __m256 a = _mm256_setzero_ps(), b = a;
        for (int64_t r = 0; r < rows; r++) {
            a = _mm256_add_ps(a, LOAD(x + r * c + i));
            b = _mm256_add_ps(b, LOAD(x + r * c + i + 8));
        }
        _mm256_storeu_ps(sum + i, a);
        _mm256_storeu_ps(sum + i + 8, b);
    }
    for (; i < c; i++) {
        float a = 0;
        for (int64_t r = 0; r < rows; r++) a += x[r * c + i];
        sum[i] = a;
    }
}

void octk_column_moments_f32_avx2(int64_t rows, int64_t c, const float *x, const float *mid,
                                  float *s, float *q) {
    int64_t i = 0;
    for (; i + 16 <= c; i += 16) {
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, q0 = s0, q1 = s0, m0 = LOAD(mid + i),
               m1 = LOAD(mid + i + 8);
        for (int64_t r = 0; r < rows; r++) {
            __m256 d = _mm256_sub_ps(LOAD(x + r * c + i), m0),
                   e = _mm256_sub_ps(LOAD(x + r * c + i + 8), m1);
            s0 = _mm256_add_ps(s0, d);
            s1 = _mm256_add_ps(s1, e);
            q0 = _mm256_add_ps(q0, _mm256_mul_ps(d, d));
            q1 = _mm256_add_ps(q1, _mm256_mul_ps(e, e));
        }
        _mm256_storeu_ps(s + i, s0);
        _mm256_storeu_ps(s + i + 8, s1);
        _mm256_storeu_ps(q + i, q0);
        _mm256_storeu_ps(q + i + 8, q1);
    }
    for (; i < c; i++) {
        float a = 0, b = 0;
        for (int64_t r = 0; r < rows; r++) {
            float d = x[r * c + i] - mid[i];
            a += d;
            b += d * d;
        }
        s[i] = a;
        q[i] = b;
    }
}

void octk_normalize_f32_avx2(int64_t rows, int64_t c, const float *x, const float *mean,
                             const float *a, const float *b, float *y) {
    for (int64_t r = 0; r < rows; r++, x += c, y += c) {
        int64_t i = 0;
        for (; i + 8 <= c; i += 8)
            _mm256_storeu_ps(y + i,
                             _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(LOAD(x + i), LOAD(mean + i)),
                                                         LOAD(a + i)),
                                           LOAD(b + i)));
        for (; i < c; i++) y[i] = (x[i] - mean[i]) * a[i] + b[i];
    }
}

void octk_bn_grad_sums_f32_avx2(int64_t rows, int64_t c, const float *x, const float *dy,
                                const float *mean, float *s0, float *s1) {
    int64_t i = 0;
    for (; i + 8 <= c; i += 8) {
        __m256 a = _mm256_setzero_ps(), b = a, m = LOAD(mean + i);
        for (int64_t r = 0; r < rows; r++) {
            __m256 d = LOAD(dy + r * c + i);
            a = _mm256_add_ps(a, d);
            b = _mm256_add_ps(b, _mm256_mul_ps(d, _mm256_sub_ps(LOAD(x + r * c + i), m)));
        }
        _mm256_storeu_ps(s0 + i, a);
        _mm256_storeu_ps(s1 + i, b);
    }
    for (; i < c; i++) {
        float a = 0, b = 0;
        for (int64_t r = 0; r < rows; r++) {
            a += dy[r * c + i];
            b += dy[r * c + i] * (x[r * c + i] - mean[i]);
        }
        s0[i] = a;
        s1[i] = b;
    }
}

void octk_bn_grad_x_f32_avx2(int64_t rows, int64_t c, const float *x, const float *dy,
                             const float *mean, const float *a, const float *b, const float *k,
                             float *dx) {
    for (int64_t r = 0; r < rows; r++, x += c, dy += c, dx += c) {
        int64_t i = 0;
        for (; i + 8 <= c; i += 8) {
            __m256 d = _mm256_sub_ps(LOAD(dy + i), LOAD(b + i)),
                   e = _mm256_mul_ps(_mm256_sub_ps(LOAD(x + i), LOAD(mean + i)), LOAD(k + i));
            _mm256_storeu_ps(dx + i, _mm256_mul_ps(LOAD(a + i), _mm256_sub_ps(d, e)));
        }
        for (; i < c; i++) dx[i] = a[i] * ((dy[i] - b[i]) - (x[i] - mean[i]) * k[i]);
    }
}
