/* SPDX-License-Identifier: MIT
 * The specification of the Winograd F(4x4,3x3) transforms: two small matrix products each, points
 * 0, 1, -1, 2, -2, infinity. */
#include "ops/kernels/kernels.h"

static const float BT[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                               {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const float AT[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

void octk_wino_in_f32_ref(const float *x, int64_t row, int64_t c, float *v, int64_t plane) {
    for (int64_t ch = 0; ch < c; ch++) {
        float t[6][6];
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 6; k++) {
                t[i][k] = 0;
                for (int y = 0; y < 6; y++) t[i][k] += BT[i][y] * x[y * row + k * c + ch];
            }
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 6; k++) {
                float sum = 0;
                for (int l = 0; l < 6; l++) sum += BT[k][l] * t[i][l];
                v[(6 * i + k) * plane + ch] = sum;
            }
    }
}

void octk_wino_out_f32_ref(const float *m, int64_t plane, int64_t o, const float *bias,
                           octk_clamp clamp, float *y, int64_t row, int64_t pixel) {
    for (int64_t ch = 0; ch < o; ch++) {
        float t[4][6];
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 6; k++) {
                t[i][k] = 0;
                for (int l = 0; l < 6; l++) t[i][k] += AT[i][l] * m[(6 * l + k) * plane + ch];
            }
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                float sum = 0;
                for (int l = 0; l < 6; l++) sum += AT[k][l] * t[i][l];
                y[i * row + k * pixel + ch] = octk_clamped(bias ? sum + bias[ch] : sum, clamp);
            }
    }
}

void octk_wino_dy_f32_ref(const float *dy, int64_t row, int64_t o, float *v, int64_t plane) {
    for (int64_t ch = 0; ch < o; ch++) {
        float t[6][4];
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 4; k++) {
                t[i][k] = 0;
                for (int y = 0; y < 4; y++) t[i][k] += AT[y][i] * dy[y * row + k * o + ch];
            }
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 6; k++) {
                float sum = 0;
                for (int l = 0; l < 4; l++) sum += AT[l][k] * t[i][l];
                v[(6 * i + k) * plane + ch] = sum;
            }
    }
}
