/* SPDX-License-Identifier: MIT
 * ops/kernels/kernels.h - kernel types and parameter structs, and the table of those that a context
 * runs.
 *
 * A kernel is serial and never allocates, checks shapes, logs, reads the environment or starts
 * threads. Pitches are in bytes and a dense tensor is the special case, so that a planner may give
 * a value halo rows, padded channels and slack. Kernels are named octk_<kind>_<types>_<isa>. A
 * kernel file includes this header, the law, C headers and intrinsics. Types of float kernels stand
 * in kernels_f32.h, those of exact integer Winograd in two dimensions in kernels_wino.h; this one
 * includes both. */
#ifndef OCT_OPS_KERNELS_KERNELS_H
#define OCT_OPS_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/kernels/kernels_f32.h"
#include "ops/kernels/kernels_wino.h"
#include "src/qround.h"

/* ---- int8 ---- */

/** An image in memory; pitches in bytes. */
typedef struct octk_image {
    uint8_t *base;
    int64_t image, row, pixel; /* from one image, row, pixel to the next */
} octk_image;

/** Patches of a convolution as rows of s16: out[j][(r * S + s) * cg + c] = x - zx at input row h0 +
 *  r * dil_h, column w0 + j * stride_w + s * dil_w, channels c0 .. c0 + cg; outside the image 0
 *  (padding reads zx). Rows are `pitch` elements apart (>= R * S * cg), the rest of each is zeroed.
 *  x points at the image. |x - zx| <= 255. */
typedef struct octk_patch_u8s16 {
    octk_image x;
    int16_t *out;
    int64_t pitch;
    int32_t rows;   /* patches */
    int32_t h0, w0; /* of the first patch's first tap; may lie outside */
    int32_t h, w_in, c0, cg;
    int32_t r, s, stride_w, dil_h, dil_w, zx;
} octk_patch_u8s16;
typedef void octk_patch_u8s16_fn(const octk_patch_u8s16 *a);

/** y[i][j] = requant(b[j] + sum_k a[i][k] * w[j][k]) by the record's law, u8. k is a multiple of
 *  OCTK_K_STEP, both operands zero behind their end. The caller has proven |b| + sum |a||w| <= 2^31
 *  - 1, so sums may be taken in any order. */
enum { OCTK_K_STEP = 16 };
typedef struct octk_dot_s16u8 {
    const int16_t *a, *w;
    int64_t a_pitch, w_pitch; /* elements from row to row */
    const int32_t *b;         /* [cols] */
    octq_multipliers by;      /* [cols] */
    uint8_t *y;
    int64_t y_pitch; /* bytes from row i to row i + 1 */
    int32_t rows, cols, k;
    int32_t zy, lo, hi;
} octk_dot_s16u8;
typedef void octk_dot_s16u8_fn(const octk_dot_s16u8 *a);

/* Packed weights stand in panels of 16 output channels; the last one has 8 lanes where at most 8
 * channels are left. Lanes beyond the last channel have weights of 0. A panel of 16 has its
 * channels in the order in which two accumulators of 8 lanes pack to bytes. */
static inline int32_t octk_lanes(int32_t o) { return (o + 7) / 8 * 8; }
static inline int32_t octk_panel_lanes(int32_t lanes, int32_t first) {
    return lanes - first < 16 ? 8 : 16;
}
/** Channel of lane l of `lanes`. */
static inline int32_t octk_lane_channel(int32_t lanes, int32_t l) {
    const int32_t first = l / 16 * 16, i = l % 16;
    if (octk_panel_lanes(lanes, first) < 16) return l;
    static const int8_t quarter[4] = {0, 8, 4, 12};
    return first + i % 4 + quarter[i / 4];
}

/** Codes as s16: y[i] = x[i] - z. */
typedef void octk_widen_u8s16_fn(const uint8_t *x, int64_t n, int32_t z, int16_t *y);

/** Convolution over rows of s16 (conv_s16u8) or of codes (conv_u8u8). Output pixel i gathers `runs`
 *  runs of `steps` steps of four bytes, a pair of s16 or four codes: run r begins pix[i] + run[r]
 *  bytes behind x. w: a panel after the other, [runs * steps][lanes of it] of as many weights, s16
 *  or s8; b and `by` by lanes. y[out[i] + channel] = requant by the law, channel < o. Of
 *  OCTK_POOLED pixels that follow each other the largest sum alone becomes a code, where `pooled`:
 *  requant never falls as its sum rises, so that is the largest of their codes. The caller has
 *  proven that the sums fit s32 (of s16, in any order; of codes, modulo 2^32, b has the zero
 *  point's share) and, of fp32, that no sum times its multiplier reaches 2^31. */
enum { OCTK_POOLED = 4, OCTK_LINES = 4, OCTK_POOLED_LINES = 2 };
/** Sums that become floats by their bits: b has OCTK_LIFT besides, the bits of the float 2^23, and
 *  a whole number d of the lane's own; then fma(2^23 + d + sum, m, -by) is sum * m, rounded once,
 *  as fp32's law has it. by is (2^23 + d) m: exact where d is 0, else near enough that the caller
 *  has proven no code to change by it. A sum below -d gives less than 2^23, whose code is 0, as the
 *  law's is; one of 2^23 - d and more has the code 255. NULL: none. Only where lo = 0, hi = 255. */
enum { OCTK_LIFT = 0x4b000000 };
typedef struct octk_lift {
    const int32_t *b; /* by lanes, as the biases are */
    const float *by;
} octk_lift;
typedef struct octk_conv_rows {
    const void *x, *w;
    const int64_t *pix; /* [np], bytes */
    const int64_t *out; /* [octk_outputs], bytes */
    const int64_t *run; /* [runs], bytes */
    int64_t pair;       /* pix[2 i + 1] is pix[2 i] + pair, bytes, and np even; 0: who knows */
    /* where not 0: pixels of OCTK_LINES lines in turn, pix[4 i + k] is pix[4 i] + k * line, np a
     * multiple of 4; where pooled of OCTK_POOLED_LINES, pix[2 i + 1] is pix[2 i] + line. There are
     * several runs, run[r + 1] is run[r] + line, and pair is 0 */
    int64_t line;
    const int32_t *b;
    const int32_t *sums; /* of codes: a lane's weights, summed */
    octq_multipliers by;
    uint8_t *y;
    int32_t np, runs, steps, o;
    int32_t zy, lo, hi;
    bool pooled; /* np is a multiple of OCTK_POOLED */
    /* outputs follow each other in fours: out[4 i + k] is out[4 i] + k * o; of four lines in turn
     * out[16 i + 4 k + l] is out[16 i + l] + k * o, and np is a multiple of 16 */
    bool dense;
    octk_lift lift; /* only AVX-512 VNNI reads it */
} octk_conv_rows;
typedef void octk_conv_rows_fn(const octk_conv_rows *a);
typedef octk_conv_rows_fn octk_conv_s16u8_fn;
typedef octk_conv_rows_fn octk_conv_u8u8_fn;
/** The same of codes, in sums of two products that are kept in s16 (VPMADDUBSW). A run is one step
 *  (steps = 1) and each panel has its own order of them: `run` is a table for each panel, [1 +
 *  runs], how many pairs of steps come first, then the places. The caller has proven, for every
 *  code that may stand there, of the first two and the last two weights of each lane's step: the
 *  sum of their products stays inside s16, whichever of them there are; and of two steps that are
 *  such a pair the same for both of them together. sums is not read. */
typedef octk_conv_rows_fn octk_pairs_u8u8_fn;
static inline const int64_t *octk_pairs_table(const octk_conv_rows *a, int32_t first_lane) {
    return a->run + (int64_t)(first_lane / 16) * (1 + a->runs);
}
static inline int32_t octk_outputs(const octk_conv_rows *a) {
    return a->pooled ? a->np / OCTK_POOLED : a->np;
}

/** y[i][channel] = requant by the law of sum_k x[i][k] * w[channel][k], n rows of k codes. Weights
 *  in panels, b and `by` by lanes, as conv_u8u8 has them of one run of `steps` steps of four codes;
 *  steps is a multiple of OCTK_NIBBLE_STEPS, weights behind code k are 0, no code is read there.
 *  Proofs: conv_u8u8's. A code may be split into halves of four bits, for which there is room: sums
 *  of so many steps of either half stay inside s16 (2 * 8 * 15 * 128). */
enum { OCTK_NIBBLE_STEPS = 8 };
typedef struct octk_nibbles_u8u8 {
    const uint8_t *x;
    const int8_t *w;
    const int32_t *b;
    octq_multipliers by;
    uint8_t *y, *halves;      /* halves: [n][2][4 * steps], to work in */
    int64_t x_image, y_image; /* bytes from row to row */
    int32_t n, k, steps, o;
    int32_t zy, lo, hi;
    bool far; /* weights come from memory */
} octk_nibbles_u8u8;
typedef void octk_nibbles_u8u8_fn(const octk_nibbles_u8u8 *a);

/** Convolution of codes in products of tiles: up to 16 windows by 16 channels by 64 codes. Images
 *  lie `image` bytes apart, their outputs `y_image`. Windows of one stand in strips: the windows
 *  of one begin `pixel` bytes apart, strips `strip`. A strip has `length` windows in lines of
 *  `line`, of each line the first `wanted` give an output, at y + y_strip * its strip + y_line *
 *  its line + y_pixel * its column; what lies between lines may be computed, and stored where the
 *  next line begins, before that is. Where not all are wanted, a line is OCTK_TILES_LINE windows at
 *  most, and the strip's last window is. A window gathers `runs` runs, the one of r from run[r]
 *  behind its beginning on, each of `steps` <= 16 steps of four codes. w: panels of 16 lanes,
 *  [panel][runs][steps][16][4]; b and `by` by lanes, whole panels of them. Where `pooled`, strips
 *  come in pairs and windows too (length = line = wanted, even): the largest of those four sums is
 *  output window / 2 of pair strip / 2; sums without b fit s32 there, too. Proofs: conv_u8u8's. */
enum { OCTK_TILE = 16, OCTK_TILES_LINE = 80 };
typedef struct octk_tiles_u8u8 {
    const void *x, *w;
    const int64_t *run; /* [runs], bytes */
    const int32_t *b;
    octk_lift lift;
    octq_multipliers by;
    uint8_t *y;
    int64_t pixel, strip, image;
    int64_t y_pixel, y_line, y_strip, y_image;
    int32_t images, strips, length, line, wanted; /* strips of an image */
    int32_t runs, steps, o;
    int32_t zy, lo, hi;
    bool pooled;
} octk_tiles_u8u8;
typedef void octk_tiles_u8u8_fn(const octk_tiles_u8u8 *a);

/* Exact integer Winograd along a row alone, for kernels R x 5 or R x 3 of stride 1: F(2,5), F(4,3).
 * A tile is 2 (4) outputs of 6 cells, and has 6 products of each kernel row in place of 10 (12), at
 * the points p = 0, 1, -1, 2, -2 and infinity. B^T is that of F(4x4,3x3), |v| <= 2040. The weights'
 * rows are (1, p, p^2, ...) times 6, -4, -4, 1, 1, and 24 times the last tap: |u| <= 31 * 128. Row
 * j of A^T is p^j, the last product counts in the last row alone: that is 24 times the convolution
 * while it stays inside s32, and times the inverse of 3 modulo 2^32 it is 8 times it.
 * A strip is what the rows of a tile are at one point: [rows][C] of v, whose R * C values from row
 * h on are all that output row h reads of it. */
enum { OCTK_WINO1_POINTS = 6 };
/** v = B^T d of `tiles` tiles side by side, `rows` rows of c channels of each: x at the first
 *  tile's first cell, pitches in bytes; strips of one point `v_tile` elements apart, of points
 *  `v_point`. 15 elements behind each strip may be written, 15 codes behind each cell read. */
typedef struct octk_wino1_in_u8s16 {
    const uint8_t *x;
    int64_t row, pixel;
    int16_t *v;
    int64_t v_tile, v_point;
    int32_t rows, tiles, tile, c;
} octk_wino1_in_u8s16;
typedef void octk_wino1_in_u8s16_fn(const octk_wino1_in_u8s16 *a);
/** y = requant of A^T m of p rows of q outputs of o channels, where `pooled` of 2p rows of 2q the
 *  largest of each four; row h begins at v + h * v_row of each strip and is `steps` pairs long. u:
 *  panels of 16 lanes, [6][steps][16][2]. b: 24 times the bias, modulo 2^32. by: of fp32,
 *  multipliers over 8. By lanes. No output leaves s32 by its factor of 24. */
typedef struct octk_wino1_s16u8 {
    const int16_t *v, *u;
    int64_t v_tile, v_point, v_row;
    const int32_t *b;
    octq_multipliers by;
    octk_image y;
    int32_t p, q, o, tile, steps;
    int32_t zy, lo, hi;
    bool pooled;
    bool small; /* of fp32: the same of 3 times an output */
} octk_wino1_s16u8;
typedef void octk_wino1_s16u8_fn(const octk_wino1_s16u8 *a);

/** Depthwise convolution (groups = C = O): y = requant(x (*) w + b) by the law, p output rows of q
 *  pixels of n images. x.base is what the first output pixel's first tap reads; windows lie inside
 *  what x has, borders included. Taps stand in pairs: w[pair][C][2], the second of an odd last one
 *  is 0, and `tap` names a pixel that may be read for it. Sums are of x, not x - zx: b is the bias
 *  less zx times the channel's weights. */
typedef struct octk_dw_u8s16 {
    octk_image x, y;
    const int16_t *w;
    const int64_t *tap; /* [2 * pairs] bytes from x */
    const int32_t *b;
    octq_multipliers by;
    int32_t zy, lo, hi;
    int32_t n, c, p, q, pairs, stride_h, stride_w;
} octk_dw_u8s16;
typedef void octk_dw_u8s16_fn(const octk_dw_u8s16 *a);

/** Convolution of an image of one channel, pixels as the vector: p output rows of q pixels of o
 *  channels, stride 1 across, y = requant(x (*) w + b) by the law. Where `pooled`, of 2p rows of 2q
 *  pixels, the largest of each four. x.base is what the first output's first tap reads; 33 bytes
 *  may be read from every tap of an output. Taps stand in pairs: `tap` is the first one's place,
 *  the second one is its neighbour in the row (or has a weight of 0), in the last `down` pairs,
 *  fewer than all, what lies `below` bytes behind it. Output
 *  channels stand in panels of octk_plane_lanes: w[panel][pairs][lane][2], b and `by` by lanes,
 *  panels one behind the other. Sums are of x, not x - zx: b is the bias less zx times the
 *  channel's weights; modulo 2^32. No sum's value times its multiplier reaches 2^31 (fp32). */
typedef struct octk_plane_u8s16 {
    octk_image x, y;
    const int16_t *w;
    const int64_t *tap; /* [pairs] bytes from x */
    const int32_t *b;
    octq_multipliers by;
    int32_t zy, lo, hi;
    int64_t below;
    int32_t p, q, o, pairs, down, stride_h;
    bool pooled;
} octk_plane_u8s16;
typedef void octk_plane_u8s16_fn(const octk_plane_u8s16 *a);
/** Lanes of the panel that begins where so many channels are left: 6, 4 or 2. */
static inline int32_t octk_plane_lanes(int32_t left) {
    return left < 3 ? 2 : left < 5 || left == 7 || left == 8 ? 4 : 6;
}

/** The same of 5x5 kernels under a pool: p rows of q codes, each the largest of a tile's four
 *  outputs. Across F(2,5), as above; downwards a tile's rows are A + C + D and B + C - D, of rows d
 *  of cells and w of weights: A = (d0-d2)w0 + (d3-d4)w3, B = (d3-d1)w2 + (d5-d4)w4, 2C = (d1+d2)
 *  (w0+w1+w2) + 2d4(w3+w4), 2D = (d2-d1)(w0-w1+w2). u: [o][6][2A, 2B, 2C, 2D][2], D's second 0:
 *  sums are 48 times an output, and inside s32. b: 48 times the bias. by: of fp32, over 16. y has
 *  no gaps between pixels; 36 bytes may be read from every cell. */
enum { OCTK_PLANE5_TILES = 256 }; /* q is 16 less at most */
typedef struct octk_plane5_u8s16 {
    octk_image x, y;
    const int16_t *u;
    int32_t *v;     /* scratch, [6][4][OCTK_PLANE5_TILES] */
    uint8_t *codes; /* scratch, OCTK_PLANE5_TILES * o + 8 */
    const int32_t *b;
    octq_multipliers by;
    int32_t zy, lo, hi, p, q, o;
    bool small; /* of fp32: 3 times an output is below 2^24, or beyond all codes */
} octk_plane5_u8s16;
typedef void octk_plane5_u8s16_fn(const octk_plane5_u8s16 *a);

/** Element by element over n images of h rows of w pixels of c codes; a dense tensor is one run (n
 *  = h = w = 1). */
/** A code as a float by its bits, the code their second byte: 2^15 + code + something. less is that
 *  number at the zero point times the operand's multiplier m, a float or nearly, so that one fused
 *  product less `less` is (code - zero point) m, rounded once, or nearly. */
typedef struct octk_lifted_code {
    uint32_t bits; /* 0: none */
    float less;
} octk_lifted_code;
typedef struct octk_map_u8 {
    /* x2: second operand of add and mul; its pitches are 0 where it is broadcast */
    octk_image x, x2, y;
    int32_t n, h, w, c;
    int32_t zx, zx2, zy, lo, hi;
    octq_multipliers by; /* [1]; add [2], in q31 [3]: of x, x2 and their sum */
    /* add, fp32, of x and of x2: the caller has proven that no code of a sum changes by them */
    octk_lifted_code lift[2];
    const uint8_t *table; /* table: y = table[x] */
    const float *exp;     /* softmax, over the c codes of a pixel: [256] */
    float sy;             /* softmax: the output's scale */
} octk_map_u8;
typedef void octk_map_u8_fn(const octk_map_u8 *a);
typedef octk_map_u8_fn octk_add_u8_fn;     /* octq_add */
typedef octk_map_u8_fn octk_mul_u8_fn;     /* octq_mul */
typedef octk_map_u8_fn octk_rescale_u8_fn; /* octq_rescale */
typedef octk_map_u8_fn octk_clip_u8_fn;    /* min(max(x, lo), hi) */
typedef octk_map_u8_fn octk_table_u8_fn;
typedef octk_map_u8_fn octk_softmax_u8_fn; /* octq_softmax_*; y is not x */

/** Pooling windows given per output row and column as [begin, end) of input rows and columns inside
 *  the image. */
typedef struct octk_pool_u8 {
    octk_image x, y;
    const int32_t *h0, *h1, *w0, *w1; /* [p], [p], [q], [q] */
    int32_t n, c, p, q;
    /* average: record `count` where count = cells of the window, or `cells` where that is not 0
     * (padding counts as zero). q31 without numbers: x and y are on one grid, octq_q31_average */
    octq_multipliers by;
    int32_t cells;
    int32_t zx, zy, lo, hi;
} octk_pool_u8;
typedef void octk_pool_u8_fn(const octk_pool_u8 *a);
typedef octk_pool_u8_fn octk_max_pool_u8_fn;
typedef octk_pool_u8_fn octk_avg_pool_u8_fn;
/** What every average ends in: sums of n channels over a window of which `inside` cells lie in the
 *  image, to codes. */
static inline void octk_average_codes(const octk_pool_u8 *a, const int32_t *sum, int32_t inside,
                                      int32_t n, uint8_t *y) {
    const int32_t z = inside * a->zx, cells = a->cells ? a->cells : inside;
    if (a->by.law == OCTQ_FP32) {
        const float m = a->by.m[cells];
        for (int32_t c = 0; c < n; c++)
            y[c] = (uint8_t)octq_round_code((float)(sum[c] - z) * m, a->zy, a->lo, a->hi);
    } else if (a->by.q31) {
        for (int32_t c = 0; c < n; c++)
            y[c] = (uint8_t)octq_q31_code(sum[c] - z, a->by.q31[cells], a->by.shift[cells], a->zy,
                                          a->lo, a->hi);
    } else { /* padding's cells hold z */
        for (int32_t c = 0; c < n; c++)
            y[c] = (uint8_t)octq_whole_code(
                octq_q31_average(sum[c] + (cells - inside) * a->zx, cells), 0, a->lo, a->hi);
    }
}

/* ---- measuring ---- */

/** Multiplies for `rounds` >= 1 rounds by the instruction that this slot's type of numbers is
 *  multiplied with, on registers alone, as fast as that goes. Returns how many products. */
typedef int64_t octk_peak_fn(int64_t rounds);
typedef octk_peak_fn octk_peak_f32_fn;
typedef octk_peak_fn octk_peak_s16_fn;
typedef octk_peak_fn octk_peak_u8_fn;
typedef octk_peak_fn octk_peak_tiles_fn;

/* ---- choice ---- */

/** What one context runs, chosen by oct_open (octi_ctx_kernels) and never moved: of each slot the
 *  function, its name ("octk_dot_s16u8_ref") and the CPU features that it needs. */
typedef struct octk_table {
#define OCT_KERNEL_SLOT(slot) octk_##slot##_fn *slot;
#include "ops/kernels/kernels.def"
    struct octk_names {
#define OCT_KERNEL_SLOT(slot) const char *slot;
#include "ops/kernels/kernels.def"
    } name;
    struct octk_needs {
#define OCT_KERNEL_SLOT(slot) uint32_t slot;
#include "ops/kernels/kernels.def"
    } needs;
    uint32_t have; /* CPU features that they were chosen from */
} octk_table;

#define OCT_KERNEL(slot, needs, fn) octk_##slot##_fn fn;
#include "ops/kernels/kernels.def"

#endif
