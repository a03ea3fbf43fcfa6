/* SPDX-License-Identifier: MIT
 * What observers are fed with: the finite range of a tensor. */
#include "qat/step/observe.h"

#include <float.h>
#include <math.h>

#include "ops/ops.h"

oct_status octi_finite_range(oct_ctx *ctx, const oct_tensor *x, float *min, float *max) {
    oct_tensor lo = {.dtype = OCT_F32, .shape = {1, {1}}, .data = min},
               hi = {.dtype = OCT_F32, .shape = {1, {1}}, .data = max};
    *min = INFINITY;
    *max = -INFINITY;
    if (!oct_tensor_count(x)) return OCT_OK;
    OCT_TRY(oct_minmax(ctx, x, &lo, &hi)); /* never takes a NaN */
    if (*min >= -FLT_MAX && *max <= FLT_MAX) return OCT_OK;
    *min = INFINITY; /* an infinity, or nothing but NaN: rare */
    *max = -INFINITY;
    for (int64_t i = 0, n = oct_tensor_count(x); i < n; i++) {
        float v = oct_f32(x)[i];
        if (!(fabsf(v) <= FLT_MAX)) continue;
        *min = fminf(*min, v);
        *max = fmaxf(*max, v);
    }
    return OCT_OK;
}
