/* SPDX-License-Identifier: MIT
 * ops/kernels/avx2/pack_f32_avx2.h - a block of B, transposed or not, as a panel that products of
 * floats read in order. */
#ifndef OCT_OPS_KERNELS_AVX2_PACK_F32_AVX2_H
#define OCT_OPS_KERNELS_AVX2_PACK_F32_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** panel[k * width + j] = b[j][k] for 8 columns of B^T's rows. */
static inline void octk_transpose8(const float *b, int64_t ldb, int64_t width, float *panel) {
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(b + i * ldb);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(panel + i * width, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(panel + (i + 4) * width, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/** op(B)[depth, cols], which begins at b, as [depth][width], zeros behind cols. */
static inline void octk_pack_f32(bool tb, const float *b, int64_t ldb, int64_t depth, int64_t cols,
                                 int64_t width, float *panel) {
    if (cols < width) memset(panel, 0, (size_t)(depth * width) * sizeof *panel);
    if (!tb) {
        for (int64_t k = 0; k < depth; k++, b += ldb, panel += width) {
            int64_t j = 0;
            for (; j + 8 <= cols; j += 8) _mm256_storeu_ps(panel + j, _mm256_loadu_ps(b + j));
            for (; j < cols; j++) panel[j] = b[j];
        }
        return;
    }
    int64_t j = 0;
    for (; j + 8 <= cols; j += 8) {
        int64_t k = 0;
        for (; k + 8 <= depth; k += 8)
            octk_transpose8(b + j * ldb + k, ldb, width, panel + k * width + j);
        for (; k < depth; k++)
            for (int64_t i = j; i < j + 8; i++) panel[k * width + i] = b[i * ldb + k];
    }
    for (; j < cols; j++)
        for (int64_t k = 0; k < depth; k++) panel[k * width + j] = b[j * ldb + k];
}

#endif
