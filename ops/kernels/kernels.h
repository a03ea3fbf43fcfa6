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
