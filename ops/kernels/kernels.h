/* SPDX-License-Identifier: MIT
 * ops/kernels/kernels.h - kernel types and parameter structs, and the one dispatch table.
 *
 * A kernel is serial and never allocates, checks shapes, logs, reads the environment or starts threads. Pitches are in
 * bytes and a dense tensor is the special case, so that a planner may give a value halo rows, padded channels and slack.
 * Kernels are named octk_<kind>_<types>_<isa>. A kernel file includes this header, the law, C headers and intrinsics. */
#ifndef OCT_OPS_KERNELS_KERNELS_H
#define OCT_OPS_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- f32 ---- */

/** Row-major C[m,n] = op(A)[m,k] op(B)[k,n] (+ C where accumulate); leading dimensions in elements. */
typedef void octk_gemm_f32_fn(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                              int64_t ldb, bool accumulate, float *c, int64_t ldc);

/** One image of a convolution without im2col. Output pixel i gathers K = runs * len floats: `runs` contiguous runs, run r
 *  at x + pix[i] + run[r]; w is packed [(o + 15) / 16][K][16] with zeros behind the last column.
 *  y[out[i] + j] = sum_k gathered[k] * w[..][k][j] (+ bias[j] where not NULL), j < o. bias is padded to whole panels. */
typedef struct octk_conv_f32 {
    const float *x, *w, *bias;
    const int32_t *pix, *run, *out;
    float *y;
    int32_t np, runs, len, o;
    bool dense; /* out[i + 1] == out[i] + o: a pixel may be stored too wide, the next one repairs it */
} octk_conv_f32;
typedef void octk_conv_f32_fn(const octk_conv_f32 *a);

/** One image of its weight gradient: dw[k * o + j] = sum over p, q of x[p * x_row + q * x_pixel + run + ..] * dy[p * dy_row +
 *  q * dy_pixel + j] (+ dw where add), k = run-major as above, pitches in floats, o a multiple of 16: each pixel of dy must be
 *  readable that far, whatever stands there. db[j] = sum of dy (+ db where add); may be NULL. */
typedef struct octk_conv_grad_w_f32 {
    const float *x, *dy;
    const int32_t *run;
    float *dw, *db;
    int64_t x_row, x_pixel, dy_row, dy_pixel;
    int32_t p, q, runs, len, o;
    bool add;
} octk_conv_grad_w_f32;
typedef void octk_conv_grad_w_f32_fn(const octk_conv_grad_w_f32 *a);

/* Batch norm over [rows, c]: sums over rows, in float; rows are few enough for that. Every level adds rows in order. */
typedef void octk_column_sums_f32_fn(int64_t rows, int64_t c, const float *x, float *sum);
/** s[c] = sum of x - mid, q[c] = sum of (x - mid)^2. */
typedef void octk_column_moments_f32_fn(int64_t rows, int64_t c, const float *x, const float *mid, float *s, float *q);
/** y = (x - mean) * a + b. y may be x. */
typedef void octk_normalize_f32_fn(int64_t rows, int64_t c, const float *x, const float *mean, const float *a, const float *b, float *y);
/** s0[c] = sum of dy, s1[c] = sum of dy * (x - mean). */
typedef void octk_bn_grad_sums_f32_fn(int64_t rows, int64_t c, const float *x, const float *dy, const float *mean, float *s0, float *s1);
/** dx = a * ((dy - b) - (x - mean) * k). dx may be dy. */
typedef void octk_bn_grad_x_f32_fn(int64_t rows, int64_t c, const float *x, const float *dy, const float *mean, const float *a,
                                   const float *b, const float *k, float *dx);

/* ---- int8 ---- */

/** An image in memory; pitches in bytes. */
typedef struct octk_image {
    uint8_t *base;
    int64_t image, row, pixel; /* from one image, row, pixel to the next */
} octk_image;

/** y = requant(x (*) w + b) by the law; one image range, all output rows. Padding reads zx. */
typedef struct octk_conv_u8s8 {
    octk_image x, y;
    const int8_t *w;   /* [O,R,S,C/g] dense */
    const int32_t *b;  /* [O] */
    const float *m;    /* [O] */
    int32_t zx, zy, lo, hi;
    int32_t n, h, w_in, c, p, q, o; /* images, input rows, columns, channels; output rows, columns, channels */
    int32_t r, s, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w, groups;
} octk_conv_u8s8;
typedef void octk_conv_u8s8_fn(const octk_conv_u8s8 *a);

/* ---- dispatch ---- */

typedef struct octk_table {
#define OCT_KERNEL_SLOT(slot) octk_##slot##_fn *slot;
#include "ops/kernels/kernels.def"
} octk_table;

#define OCT_KERNEL(slot, level, fn) octk_##slot##_fn fn;
#include "ops/kernels/kernels.def"

/** The best kernel of each slot for this machine and OCT_CPU; made once per level. */
const octk_table *octk_kernels(void);
/** The table of one level, for tests that compare levels; NULL where the machine lacks it. */
const octk_table *octk_kernels_at(int level);

#endif
