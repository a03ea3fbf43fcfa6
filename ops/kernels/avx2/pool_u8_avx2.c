/* SPDX-License-Identifier: MIT
 * Pooling on codes: 32 channels at a time for the largest, 16 for means; what is left of the
 * channels by single ones. */
#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/pool_window.h"
#include "src/qround.h"

static void largest(const window *k, int32_t channels, uint8_t *y) {
    int32_t c = 0;
    for (; c + 32 <= channels; c += 32) {
        __m256i best = _mm256_setzero_si256();
        EACH_CELL(k, best = _mm256_max_epu8(best, _mm256_loadu_si256((const __m256i *)(cell + c))))
        _mm256_storeu_si256((__m256i *)(y + c), best);
    }
    for (; c + 16 <= channels; c += 16) {
        __m128i best = _mm_setzero_si128();
        EACH_CELL(k, best = _mm_max_epu8(best, _mm_loadu_si128((const __m128i *)(cell + c))))
        _mm_storeu_si128((__m128i *)(y + c), best);
    }
    for (; c + 4 <= channels; c += 4) {
        __m128i best = _mm_setzero_si128();
        EACH_CELL(k, int32_t four; memcpy(&four, cell + c, 4);
                  best = _mm_max_epu8(best, _mm_cvtsi32_si128(four)))
        octk_store_bytes(y + c, best, 4);
    }
    for (; c < channels; c++) {
        uint8_t best = 0;
        EACH_CELL(k, best = cell[c] > best ? cell[c] : best)
        y[c] = best;
    }
}

enum { ROW = 8192 }; /* bytes of a row of few channels */

/* Few channels whose pixels follow each other: the largest down the window's rows for the first
 * `bytes` of a whole row, then across. */
static void largest_row(const octk_pool_u8 *a, int32_t n, int32_t p, int32_t bytes) {
    uint8_t row[ROW + 32], part[32] = {0};
    const uint8_t *x = a->x.base + n * a->x.image;
    for (int32_t i = 0; i < bytes; i += 32) {
        __m256i best = _mm256_setzero_si256();
        for (int32_t h = a->h0[p]; h < a->h1[p]; h++) {
            const uint8_t *at = x + h * a->x.row + i;
            if (i + 32 > bytes) at = memcpy(part, at, (size_t)(bytes - i));
            best = _mm256_max_epu8(best, _mm256_loadu_si256((const __m256i *)(const void *)at));
        }
        _mm256_storeu_si256((__m256i *)(void *)(row + i), best);
    }
    const int32_t inner = a->y.pixel == a->c ? a->q - (15 + a->c) / a->c : 0;
    for (int32_t q = 0; q < a->q; q++) {
        __m128i best = _mm_setzero_si128();
        for (int32_t w = a->w0[q]; w < a->w1[q]; w++) {
            const void *at = row + w * a->c;
            best = _mm_max_epu8(best, _mm_loadu_si128((const __m128i *)at));
        }
        uint8_t *y = a->y.base + n * a->y.image + p * a->y.row + q * a->y.pixel;
        if (q < inner) /* into the next pixels of the row, whose own stores come later */
            _mm_storeu_si128((__m128i *)(void *)y, best);
        else
            octk_store_bytes(y, best, a->c);
    }
}

/* Bytes of a row that windows reach; 0 where a row is not the way. */
static int32_t row_bytes(const octk_pool_u8 *a) {
    int32_t columns = 0;
    if (a->c >= 16 || a->x.pixel != a->c) return 0;
    for (int32_t q = 0; q < a->q; q++) columns = a->w1[q] > columns ? a->w1[q] : columns;
    return (int64_t)columns * a->c <= ROW ? columns * a->c : 0;
}

void octk_max_pool_u8_avx2(const octk_pool_u8 *a) {
    const int32_t bytes = row_bytes(a);
    if (bytes) {
        for (int32_t n = 0; n < a->n; n++)
            for (int32_t p = 0; p < a->p; p++) largest_row(a, n, p, bytes);
        return;
    }
    EACH_WINDOW(a, largest(&k, a->c, y))
}

/* Sums of 16 channels; s16 holds 128 cells, s32 the rest. */
static void sums16(const window *k, int32_t c, int32_t *sum) {
    __m256i low = _mm256_setzero_si256(), high = low, part = low;
    int32_t cells = 0;
#define FLUSH                                                                                      \
    low = _mm256_add_epi32(low, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(part)));              \
    high = _mm256_add_epi32(high, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(part, 1)));       \
    part = _mm256_setzero_si256();                                                                 \
    cells = 0;
    EACH_CELL(k, part = _mm256_add_epi16(
                     part, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(cell + c))));
              if (++cells == 128){FLUSH})
    FLUSH
#undef FLUSH
    _mm256_storeu_si256((__m256i *)sum, low);
    _mm256_storeu_si256((__m256i *)(sum + 8), high);
}

static void average(const octk_pool_u8 *a, const window *k, uint8_t *y) {
    int32_t sum[16];
    for (int32_t c = 0, take; c < a->c; c += take) {
        take = a->c - c >= 16 ? 16 : 1;
        if (take == 16) {
            sums16(k, c, sum);
        } else {
            sum[0] = 0;
            EACH_CELL(k, sum[0] += cell[c])
        }
        octk_average_codes(a, sum, k->h * k->w, take, y + c);
    }
}

void octk_avg_pool_u8_avx2(const octk_pool_u8 *a) { EACH_WINDOW(a, average(a, &k, y)) }
