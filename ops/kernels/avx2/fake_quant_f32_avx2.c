/* SPDX-License-Identifier: MIT
 * Fake quantization, 8 elements at a time; equal to the law bit for bit: a true division, round
 * half to even, z added after rounding, clamp in float, NaN to z. Codes are whole numbers in float
 * until they are stored. */
#include <immintrin.h>

#include "ops/kernels/kernels.h"
#include "src/qround.h"

enum { TO_EVEN = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

static inline __m256 rounded(const float *x, __m256 s, __m256 z) {
    return _mm256_add_ps(_mm256_round_ps(_mm256_div_ps(_mm256_loadu_ps(x), s), TO_EVEN), z);
}

void octk_fake_quant_f32_avx2(int64_t n, const float *x, float s, int32_t z, int32_t qmin,
                              int32_t qmax, float *y, uint8_t *codes) {
    const __m256 vs = _mm256_set1_ps(s), vz = _mm256_set1_ps((float)z),
                 lo = _mm256_set1_ps((float)qmin), hi = _mm256_set1_ps((float)qmax);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = rounded(x + i, vs, vz);
        __m256 q = _mm256_min_ps(_mm256_max_ps(v, lo), hi);
        q = _mm256_blendv_ps(q, vz, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        if (codes) {
            __m256i w = _mm256_and_si256(_mm256_cvtps_epi32(q), _mm256_set1_epi32(255));
            __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
            _mm_storel_epi64((__m128i *)(codes + i), _mm_packus_epi16(h, h));
        }
        if (y) _mm256_storeu_ps(y + i, _mm256_mul_ps(vs, _mm256_sub_ps(q, vz)));
    }
    for (; i < n; i++) {
        int32_t q = octq_quantize(x[i], s, z, qmin, qmax);
        if (y) y[i] = octq_dequantize(q, s, z);
        if (codes) codes[i] = (uint8_t)q;
    }
}

void octk_straight_through_f32_avx2(int64_t n, const float *x, float s, int32_t z, int32_t qmin,
                                    int32_t qmax, const float *dy, float *dx) {
    const __m256 vs = _mm256_set1_ps(s), vz = _mm256_set1_ps((float)z),
                 lo = _mm256_set1_ps((float)qmin), hi = _mm256_set1_ps((float)qmax);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = rounded(x + i, vs, vz);
        __m256 in =
            _mm256_and_ps(_mm256_cmp_ps(v, lo, _CMP_GE_OQ), _mm256_cmp_ps(v, hi, _CMP_LE_OQ));
        _mm256_storeu_ps(dx + i, _mm256_and_ps(in, _mm256_loadu_ps(dy + i)));
    }
    for (; i < n; i++) {
        float v = octq_rne(x[i] / s) + (float)z;
        dx[i] = v >= (float)qmin && v <= (float)qmax ? dy[i] : 0.0f;
    }
}
