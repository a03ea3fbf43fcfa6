/* SPDX-License-Identifier: MIT
 * The specification of fake quantization: the law, element by element. */
#include "ops/kernels/kernels.h"
#include "src/qround.h"

void octk_fake_quant_f32_ref(int64_t n, const float *x, float s, int32_t z, int32_t qmin,
                             int32_t qmax, float *y, uint8_t *codes) {
    for (int64_t i = 0; i < n; i++) {
        int32_t q = octq_quantize(x[i], s, z, qmin, qmax);
        if (y) y[i] = octq_dequantize(q, s, z);
        if (codes) codes[i] = (uint8_t)q;
    }
}

void octk_straight_through_f32_ref(int64_t n, const float *x, float s, int32_t z, int32_t qmin,
                                   int32_t qmax, const float *dy, float *dx) {
    for (int64_t i = 0; i < n; i++) {
        float v = octq_rne(x[i] / s) + (float)z;
        dx[i] = v >= (float)qmin && v <= (float)qmax ? dy[i] : 0.0f;
    }
}
