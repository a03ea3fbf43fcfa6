/* SPDX-License-Identifier: MIT
 * ops/kernels/kernels_f32.h - types and parameter structs of kernels on floats, codes of floats
 * and back too; of kernels.h. */
#ifndef OCT_OPS_KERNELS_KERNELS_F32_H
#define OCT_OPS_KERNELS_KERNELS_F32_H

#include <stdbool.h>
#include <stdint.h>

/** Row-major C[m,n] = op(A)[m,k] op(B)[k,n] (+ C where accumulate); leading dimensions in
 *  elements. */
typedef void octk_gemm_f32_fn(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
                              int64_t lda, const float *b, int64_t ldb, bool accumulate, float *c,
                              int64_t ldc);

/** Where a result ends: what relu and relu6 do, by comparisons, so that a NaN and -0 stay; nothing
 *  at -+infinity. */
typedef struct octk_clamp {
    float lo, hi;
} octk_clamp;
#define OCTK_NO_CLAMP ((octk_clamp){-INFINITY, INFINITY})
static inline float octk_clamped(float v, octk_clamp to) {
    v = to.lo > v ? to.lo : v;
    return to.hi < v ? to.hi : v;
}

/** One image of a convolution without im2col. Output pixel i gathers K = runs * len floats: `runs`
 *  contiguous runs, run r at x + pix[i] + run[r]; w is packed [(o + 15) / 16][K][16] with zeros
 *  behind the last column. y[out[i] + j] = sum_k gathered[k] * w[..][k][j] (+ bias[j] where not
 *  NULL), clamped, j < o. bias is padded to whole panels. */
typedef struct octk_conv_f32 {
    const float *x, *w, *bias;
    const int32_t *pix, *run, *out;
    float *y;
    int32_t np, runs, len, o;
    octk_clamp clamp;
    /* out[i + 1] == out[i] + o: a pixel may be stored too wide, the next one repairs it */
    bool dense;
} octk_conv_f32;
typedef void octk_conv_f32_fn(const octk_conv_f32 *a);

/** One image of its weight gradient: dw[k * o + j] = sum over p, q of x[p * x_row + q * x_pixel +
 *  run + ..] * dy[p * dy_row + q * dy_pixel + j] (+ dw where add), k = run-major as above, pitches
 *  in floats, o a multiple of 16: each pixel of dy must be readable that far, whatever stands
 *  there. db[j] = sum of dy (+ db where add); may be NULL. */
typedef struct octk_conv_grad_w_f32 {
    const float *x, *dy;
    const int32_t *run;
    float *dw, *db;
    int64_t x_row, x_pixel, dy_row, dy_pixel;
    int32_t p, q, runs, len, o;
    bool add;
} octk_conv_grad_w_f32;
typedef void octk_conv_grad_w_f32_fn(const octk_conv_grad_w_f32 *a);

/* Winograd F(4x4,3x3), channels a multiple of 16; `row`: floats between rows of pixels, `plane`:
 * between the 36 values of a tile (i * 6 + k). A tile's pixels are c (or o) floats apart. */
/** v = B^T d B of a 6x6 tile. */
typedef void octk_wino_in_f32_fn(const float *x, int64_t row, int64_t c, float *v, int64_t plane);
/** y = A^T m A (+ bias where not NULL), clamped: a 4x4 tile, its pixels `pixel` floats apart. */
typedef void octk_wino_out_f32_fn(const float *m, int64_t plane, int64_t o, const float *bias,
                                  octk_clamp clamp, float *y, int64_t row, int64_t pixel);
/** v = A dy A^T of a 4x4 tile: the adjoint of wino_out. */
typedef void octk_wino_dy_f32_fn(const float *dy, int64_t row, int64_t o, float *v, int64_t plane);

/* Batch norm over [rows, c]: sums over rows, in float; rows are few enough for that. Every level
 * adds rows in order. */
typedef void octk_column_sums_f32_fn(int64_t rows, int64_t c, const float *x, float *sum);
/** s[c] = sum of x - mid, q[c] = sum of (x - mid)^2. */
typedef void octk_column_moments_f32_fn(int64_t rows, int64_t c, const float *x, const float *mid,
                                        float *s, float *q);
/** y = (x - mean) * a + b. y may be x. */
typedef void octk_normalize_f32_fn(int64_t rows, int64_t c, const float *x, const float *mean,
                                   const float *a, const float *b, float *y);
/** s0[c] = sum of dy, s1[c] = sum of dy * (x - mean). */
typedef void octk_bn_grad_sums_f32_fn(int64_t rows, int64_t c, const float *x, const float *dy,
                                      const float *mean, float *s0, float *s1);
/** dx = a * ((dy - b) - (x - mean) * k). dx may be dy. */
typedef void octk_bn_grad_x_f32_fn(int64_t rows, int64_t c, const float *x, const float *dy,
                                   const float *mean, const float *a, const float *b,
                                   const float *k, float *dx);

/** The law on n elements with one scale: y = s * (q - z), codes = q as a byte; either may be NULL.
 *  y may be x. */
typedef void octk_fake_quant_f32_fn(int64_t n, const float *x, float s, int32_t z, int32_t qmin,
                                    int32_t qmax, float *y, uint8_t *codes);
/** dx = dy where the rounded code lies in qmin..qmax before the clamp, else 0. dx may be dy. */
typedef void octk_straight_through_f32_fn(int64_t n, const float *x, float s, int32_t z,
                                          int32_t qmin, int32_t qmax, const float *dy, float *dx);

/** y[i] = octq_quantize(x[i], s, z, qmin, qmax), and back; y and x do not overlap. To codes `rows`
 *  rows of n floats, which follow each other; those of codes are `pitch` apart. */
typedef struct octk_quantize_f32u8 {
    const float *x;
    uint8_t *y;
    int64_t rows, n, pitch;
    float s;
    int32_t z, qmin, qmax;
} octk_quantize_f32u8;
typedef void octk_quantize_f32u8_fn(const octk_quantize_f32u8 *a);
typedef void octk_dequantize_u8f32_fn(const uint8_t *x, int64_t n, float s, int32_t z, float *y);

#endif
