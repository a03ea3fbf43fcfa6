/* SPDX-License-Identifier: MIT
 * Products of s16 rows in plain C. Two rows by four columns share their loads, and the inner loop
 * is the shape that compilers turn into multiply-add of s16 pairs; sums are exact, so any order is
 * right. */
#include "ops/kernels/kernels.h"
#include "src/qround.h"

enum { BLOCK = 64 }; /* columns whose sums wait for the epilogue */

static void requant(int32_t *acc, const octk_dot_s16u8 *a, int32_t j0, int32_t cols, uint8_t *y) {
    for (int32_t j = 0; j < cols; j++) acc[j] += a->b[j0 + j];
    octq_requant_row(&a->by, j0, acc, cols, a->zy, a->lo, a->hi, y);
}

static void dot_2x4(const int16_t *restrict a0, const int16_t *restrict a1,
                    const int16_t *restrict w, int64_t pitch, int32_t k, int32_t *restrict s0,
                    int32_t *restrict s1) {
    const int16_t *w0 = w, *w1 = w + pitch, *w2 = w + 2 * pitch, *w3 = w + 3 * pitch;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    for (int32_t i = 0; i < k; i++) {
        s00 += a0[i] * w0[i];
        s01 += a0[i] * w1[i];
        s02 += a0[i] * w2[i];
        s03 += a0[i] * w3[i];
        s10 += a1[i] * w0[i];
        s11 += a1[i] * w1[i];
        s12 += a1[i] * w2[i];
        s13 += a1[i] * w3[i];
    }
    s0[0] = s00, s0[1] = s01, s0[2] = s02, s0[3] = s03;
    s1[0] = s10, s1[1] = s11, s1[2] = s12, s1[3] = s13;
}

static void dot_1x4(const int16_t *restrict a0, const int16_t *restrict w, int64_t pitch, int32_t k,
                    int32_t *restrict s0) {
    const int16_t *w0 = w, *w1 = w + pitch, *w2 = w + 2 * pitch, *w3 = w + 3 * pitch;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0;
    for (int32_t i = 0; i < k; i++) {
        s00 += a0[i] * w0[i];
        s01 += a0[i] * w1[i];
        s02 += a0[i] * w2[i];
        s03 += a0[i] * w3[i];
    }
    s0[0] = s00, s0[1] = s01, s0[2] = s02, s0[3] = s03;
}

static int32_t dot_1x1(const int16_t *restrict a0, const int16_t *restrict w, int32_t k) {
    int32_t s = 0;
    for (int32_t i = 0; i < k; i++) s += a0[i] * w[i];
    return s;
}

void octk_dot_s16u8_ref(const octk_dot_s16u8 *a) {
    int32_t acc[2][BLOCK];
    int32_t k = a->k & -OCTK_K_STEP; /* a multiple already; said so that no tail loop is made */
    for (int32_t i = 0; i < a->rows; i += 2) {
        bool two = i + 1 < a->rows;
        const int16_t *a0 = a->a + i * a->a_pitch, *a1 = a0 + a->a_pitch;
        for (int32_t j0 = 0; j0 < a->cols; j0 += BLOCK) {
            int32_t cols = a->cols - j0 < BLOCK ? a->cols - j0 : BLOCK, j = 0;
            for (; j + 4 <= cols; j += 4) {
                const int16_t *w = a->w + (j0 + j) * a->w_pitch;
                if (two)
                    dot_2x4(a0, a1, w, a->w_pitch, k, acc[0] + j, acc[1] + j);
                else
                    dot_1x4(a0, w, a->w_pitch, k, acc[0] + j);
            }
            for (; j < cols; j++) {
                const int16_t *w = a->w + (j0 + j) * a->w_pitch;
                acc[0][j] = dot_1x1(a0, w, k);
                if (two) acc[1][j] = dot_1x1(a1, w, k);
            }
            requant(acc[0], a, j0, cols, a->y + i * a->y_pitch + j0);
            if (two) requant(acc[1], a, j0, cols, a->y + (i + 1) * a->y_pitch + j0);
        }
    }
}
