/* SPDX-License-Identifier: MIT
 * ops/image_ops.h - what float ops do, on plain dense memory: the one definition that tensor ops
 * (checks, batches, threads) and float layers of a plan (an image at a time) call. Convolutions
 * have theirs in conv_internal.h, functions of one value octi_unary_f32. */
#ifndef OCT_OPS_IMAGE_OPS_H
#define OCT_OPS_IMAGE_OPS_H

#include "ops/kernels/kernels.h"
#include "src/graph.h"

/** relu, relu6: NaN stays NaN, so that a diverged net is seen, and -0 stays -0. */
static inline float octi_activate(float v, int32_t act) {
    if (act == OCT_ACT_NONE) return v;
    v = 0.0f > v ? 0.0f : v;
    return act == OCT_ACT_RELU6 && 6.0f < v ? 6.0f : v;
}

/** The same, where a kernel does it. */
static inline octk_clamp octi_clamp_of(int32_t act) {
    octk_clamp to = OCTK_NO_CLAMP;
    if (act != OCT_ACT_NONE) to.lo = 0;
    if (act == OCT_ACT_RELU6) to.hi = 6;
    return to;
}

/** Each of `rows` rows of `cols`: a's row + (times) b's only row. */
void octi_add_f32(const float *a, const float *b, float *y, int64_t rows, int64_t cols);
void octi_mul_f32(const float *a, const float *b, float *y, int64_t rows, int64_t cols);

/** Batch norm in evaluation is (x - mean) * factor + beta. (The fold's factor, law 5, is bounded
 *  below: oct_fold_factor.) */
float octi_batch_norm_factor(float gamma, float var, float eps);

/** Of rows of k; y may be x. */
void octi_softmax_f32(const float *x, float *y, int64_t rows, int64_t k);
void octi_log_softmax_f32(const float *x, float *y, int64_t rows, int64_t k);

/** Around an axis (1 and up) of `images` images of shape s: rows before it, elements behind it. */
void octi_around_axis(const oct_shape *s, int axis, int64_t images, int64_t *rows, int64_t *inner);
/** `rows` runs of `run` floats, from every x_pitch to every y_pitch: slices, members of a cat. */
void octi_copy_runs(const float *x, int64_t x_pitch, float *y, int64_t y_pitch, int64_t run,
                    int64_t rows);
/** One image of shape x in the middle of attr.value, of shape o; both [N,H,W,C]. */
void octi_pad_image(const oct_attrs *a, const oct_shape *x, const oct_shape *o, const float *from,
                    float *to);

/** A pool over images of h x w x c, to p x q. */
typedef struct octi_pool {
    int64_t h, w, c, p, q;
    int64_t r, s, stride_h, stride_w, top, left; /* r 0: adaptive, windows follow from the sizes */
    bool exclude_pad;
} octi_pool;
/** a NULL: adaptive. */
octi_pool octi_pool_of(const oct_attrs *a, const oct_shape *x, const oct_shape *y);
/** The largest of each window of one image, and its cell h * W + w (at may be NULL): of equals the
 *  first, row by row, as PyTorch has it; a NaN beats all. The largest across each row first, then
 *  down, so that a cell is looked at once a row, however much windows overlap. room, and where `at`
 *  is told at_room: octi_max_pool_room elements each. */
void octi_max_pool_image(const octi_pool *g, const float *x, float *y, int32_t *at, float *room,
                         int32_t *at_room);
/** Rows [from, to) of it, without the cells. */
void octi_max_pool_rows(const octi_pool *g, int64_t from, int64_t to, const float *x, float *y,
                        float *room);
/** OCT_ELIMIT where no memory could hold it. */
oct_status octi_max_pool_room(const octi_pool *g, const char *where, size_t *room);
/** Means of windows, of one image. */
void octi_mean_pool_image(const octi_pool *g, const float *x, float *y);

/** The largest so far is `best`: v takes its place. The first of equals stays; a NaN beats all. */
static inline bool octi_beats(float v, float best) { return v > best || (v != v && best == best); }

#endif
