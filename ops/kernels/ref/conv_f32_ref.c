/* SPDX-License-Identifier: MIT
 * The specification of the float convolution kernels: k ascending, the bias or old value last. */
#include "ops/kernels/kernels.h"

void octk_conv_f32_ref(const octk_conv_f32 *a) {
    const int64_t k = (int64_t)a->runs * a->len;
    for (int32_t i = 0; i < a->np; i++)
        for (int32_t j = 0; j < a->o; j++) {
            const float *w = a->w + j / 16 * k * 16 + j % 16;
            float sum = 0;
            for (int32_t r = 0; r < a->runs; r++) {
                const float *x = a->x + a->pix[i] + a->run[r];
                for (int32_t l = 0; l < a->len; l++, w += 16) sum += x[l] * w[0];
            }
            a->y[a->out[i] + j] = octk_clamped(a->bias ? sum + a->bias[j] : sum, a->clamp);
        }
}

void octk_conv_grad_w_f32_ref(const octk_conv_grad_w_f32 *a) {
    for (int32_t j = 0; a->db && j < a->o; j++) {
        float sum = 0;
        for (int32_t p = 0; p < a->p; p++)
            for (int32_t q = 0; q < a->q; q++) sum += a->dy[p * a->dy_row + q * a->dy_pixel + j];
        a->db[j] = a->add ? sum + a->db[j] : sum;
    }
    for (int32_t r = 0; r < a->runs; r++)
        for (int32_t l = 0; l < a->len; l++) {
            float *dw = a->dw + ((int64_t)r * a->len + l) * a->o;
            const float *x = a->x + a->run[r] + l;
            for (int32_t j = 0; j < a->o; j++) {
                float sum = 0;
                for (int32_t p = 0; p < a->p; p++)
                    for (int32_t q = 0; q < a->q; q++)
                        sum += x[p * a->x_row + q * a->x_pixel] *
                               a->dy[p * a->dy_row + q * a->dy_pixel + j];
                dw[j] = a->add ? sum + dw[j] : sum;
            }
        }
}
