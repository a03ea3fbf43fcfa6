/* SPDX-License-Identifier: MIT
 * Winograd F(4x4,3x3) transforms on sixteen channels at a time. */
#include <immintrin.h>

#define VEC           __m512
#define LANES         16
#define SET1(v)       _mm512_set1_ps(v)
#define LOAD(p)       _mm512_loadu_ps(p)
#define STORE(p, v)   _mm512_storeu_ps(p, v)
#define ADD(a, b)     _mm512_add_ps(a, b)
#define SUB(a, b)     _mm512_sub_ps(a, b)
#define MIN(a, b)     _mm512_min_ps(a, b)
#define MAX(a, b)     _mm512_max_ps(a, b)
#define FMA(a, b, c)  _mm512_fmadd_ps(a, b, c)
#define FNMA(a, b, c) _mm512_fnmadd_ps(a, b, c)
#include "ops/kernels/avx2/wino_f32_lanes.h"

void octk_wino_in_f32_avx512(const float *x, int64_t row, int64_t c, float *v, int64_t plane) {
    wino_in(x, row, c, v, plane);
}
void octk_wino_out_f32_avx512(const float *m, int64_t plane, int64_t o, const float *bias,
                              octk_clamp clamp, float *y, int64_t row, int64_t pixel) {
    wino_out(m, plane, o, bias, clamp, y, row, pixel);
}
void octk_wino_dy_f32_avx512(const float *dy, int64_t row, int64_t o, float *v, int64_t plane) {
    wino_dy(dy, row, o, v, plane);
}
