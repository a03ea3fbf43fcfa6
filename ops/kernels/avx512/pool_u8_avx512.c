/* SPDX-License-Identifier: MIT
 * Means of windows of codes, 32 channels at a time; what is left of them by masks. The largest of a
 * window is as quick with AVX2: loads limit it. */
#include <immintrin.h>

#include "ops/kernels/kernels.h"
#include "ops/kernels/pool_window.h"
#include "src/qround.h"

/* Sums of 32 channels from c on, those of `mask`; u16 holds 256 cells, s32 the rest. */
static void sums32(const window *k, int32_t c, __mmask32 mask, int32_t *sum) {
    __m512i low = _mm512_setzero_si512(), high = low, part = low;
    int32_t cells = 0;
#define FLUSH                                                                                      \
    low = _mm512_add_epi32(low, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(part)));              \
    high = _mm512_add_epi32(high, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(part, 1)));      \
    part = _mm512_setzero_si512();                                                                 \
    cells = 0;
    EACH_CELL(k, part = _mm512_add_epi16(
                     part, _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, cell + c)));
              if (++cells == 256){FLUSH})
    FLUSH
#undef FLUSH
    _mm512_storeu_si512(sum, low);
    _mm512_storeu_si512(sum + 16, high);
}

static void average(const octk_pool_u8 *a, const window *k, uint8_t *y) {
    int32_t sum[32];
    for (int32_t c = 0; c < a->c; c += 32) {
        const int32_t take = a->c - c < 32 ? a->c - c : 32;
        sums32(k, c, ~(__mmask32)0 >> (32 - take), sum);
        octk_average_codes(a, sum, k->h * k->w, take, y + c);
    }
}

void octk_avg_pool_u8_avx512(const octk_pool_u8 *a) { EACH_WINDOW(a, average(a, &k, y)) }
