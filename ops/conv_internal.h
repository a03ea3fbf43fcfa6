/* SPDX-License-Identifier: MIT
 * ops/conv_internal.h - the geometry of a convolution and its algorithms; conv.c checks and
 * chooses. Room: ops. */
#ifndef OCT_OPS_CONV_INTERNAL_H
#define OCT_OPS_CONV_INTERNAL_H

#include <string.h>

#include "ops/checks.h"
#include "ops/kernels/kernels.h"
#include "src/cpu.h"

/** Letters as in ops.h; cg, og: channels of a group. All checked. */
typedef struct octi_conv {
    int64_t n, h, w, c, p, q, o, r, s, groups, cg, og;
    int64_t stride_h, stride_w, top, left, dil_h, dil_w;
} octi_conv;

/** A part of an image's output: rows [from, to), or tiles, channels [first, last). */
typedef struct octi_part {
    int64_t from, to, first, last;
} octi_part;

/** An image [h][w][c] at (top, left) among zeros, `cols` pixels wide. */
typedef struct octi_border {
    int64_t h, w, c, top, left, cols;
} octi_border;
/** Rows [from, to) of that; `framed` is its first one. */
static inline void octi_frame_rows(const octi_border *b, const float *image, float *framed,
                                   int64_t from, int64_t to) {
    const int64_t row = b->cols * b->c, left = b->left * b->c,
                  inside = (b->w < b->cols - b->left ? b->w : b->cols - b->left) * b->c;
    for (int64_t y = from; y < to; y++) {
        float *at = framed + y * row;
        const bool empty = y < b->top || y >= b->top + b->h;
        memset(at, 0, (size_t)(empty ? row : left) * sizeof *at);
        if (empty) continue;
        memcpy(at + left, image + (y - b->top) * b->w * b->c, (size_t)inside * sizeof *at);
        memset(at + left + inside, 0, (size_t)(row - left - inside) * sizeof *at);
    }
}

/** The geometry of `images` images; kernel and groups by the attributes. */
octi_conv octi_conv_of(const oct_attrs *a, const oct_shape *x, const oct_shape *y, int64_t images);

/** Depthwise weights [C,R,S] as [R,S,C], in the arena; NULL (recorded) on failure. One image with
 *  such weights; b may be NULL. */
float *octi_depthwise_turned(octi_arena *arena, const octi_conv *g, const float *w);
void octi_depthwise_image(const octi_conv *g, const float *x, const float *w, const float *b,
                          float *y);
static inline bool octi_conv_is_depthwise(const octi_conv *g) {
    return g->groups == g->c && g->c == g->o && g->c > 1;
}

/** A convolution made ready, with its weights packed, to run image by image: in the arena; NULL
 *  (recorded: OCT_ELIMIT, OCT_ENOMEM) on failure. b may be NULL. Its values end in `clamp`. */
typedef struct octi_direct octi_direct;
octi_direct *octi_direct_new(octi_arena *arena, const octi_conv *g, const float *w, const float *b,
                             octk_clamp clamp);
/** Bytes of a frame around an image; 0: none is needed. */
size_t octi_direct_frame(const octi_direct *d);
/** A part of one image; framed: memory of a frame, NULL where none is needed. Where not all
 *  channels are asked for, there is one group and the part has whole panels of 16, or more than 8
 *  of the last one: then every sum has the order that it has in the whole. */
void octi_direct_part(const octi_direct *d, const float *image, float *framed, float *y,
                      const octi_part *part);
/** Cycles of it, reckoned. */
double octi_direct_cycles(const octi_conv *g, const octk_table *kernels, const octi_part *part);
/** Products a cycle that the float kernels reach: of 32 that two 512-bit FMAs a cycle give, or of
 *  16 on 256 bits. */
static inline double octi_float_rate(const octk_table *kernels) {
    return kernels->needs.conv_f32 & OCTI_CPU_AVX512 ? 26 : 12;
}
/** Cycles that so many float weights cost where the second-level cache does not keep them, 4 bytes
 *  in each. */
static inline double octi_float_weight_cycles(int64_t floats) {
    enum { KEPT = 1 << 18 };
    return floats > KEPT ? (double)floats : 0;
}
/** A row of taps is one run of floats. */
static inline bool octi_conv_runs_are_rows(const octi_conv *g) {
    return g->groups == 1 && (g->dil_w == 1 || g->s == 1);
}

/* Each takes scratch that the caller rewinds. */

/** Any convolution: products of gathered runs with packed weights (octk_conv_f32), no im2col. */
oct_status octi_conv_direct_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                    const float *x, const float *w, const float *b, float *y);
oct_status octi_conv_direct_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                   const float *dy, const float *w, float *dx);
/** dw, and db where not NULL. */
oct_status octi_conv_direct_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                   const float *x, const float *dy, float *dw, float *db);

/** groups == C == O: plain loops over channels. */
oct_status octi_conv_depthwise_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                       const float *x, const float *w, const float *b, float *y);
oct_status octi_conv_depthwise_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *dy, const float *w, float *dx);
oct_status octi_conv_depthwise_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *x, const float *dy, float *dw, float *db);

/** 3x3, stride 1, whole panels of channels: fewer products (see conv_winograd.c for what that costs
 *  in rounding). Training takes Winograd wherever it fits: a batch reads the weights, four times as
 *  many, once for several images. A plan, of which one image may be all, takes it where it fits and
 *  is reckoned to pay for one image; for any batch, so that its size moves no bits. */
bool octi_conv_winograd_fits(const octi_conv *g);
bool octi_conv_winograd_pays(const octi_conv *g, const octk_table *kernels);
oct_status octi_conv_winograd_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *x, const float *w, const float *b, float *y);
oct_status octi_conv_winograd_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                     const float *dy, const float *w, float *dx);
oct_status octi_conv_winograd_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                     const float *x, const float *dy, float *dw, float *db);

#endif
