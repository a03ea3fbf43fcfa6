/* SPDX-License-Identifier: MIT
 * ops/kernels/kernels_wino.h - types and parameter structs of exact integer Winograd in two
 * dimensions, and of what is fetched ahead; of kernels.h. */
#ifndef OCT_OPS_KERNELS_KERNELS_WINO_H
#define OCT_OPS_KERNELS_KERNELS_WINO_H

#include <stdbool.h>
#include <stdint.h>

#include "src/qround.h"

/* Exact integer Winograd (arXiv:1509.09308, in a ring): products of s16, every sum modulo 2^32.
 *   F(4x4,3x3): the usual rows of B^T; the weights' transform V has the rows of 24 G times 1/4, so
 *   that |u| <= 144 * 128 and |v| <= 17340 fit s16, and A^T m A is 576 times the convolution; times
 *   the inverse of 9 modulo 2^32 it is 64 times it, exactly, while that stays inside +-2^25.
 *   F(2x2,3x3): V has the rows of 2 G; A^T m A is 4 times the convolution, inside +-2^29.
 * Of stride 2, along each dimension the even cells of a tile meet the outer taps, by F(4,2) or
 * F(2,2), and the odd ones the middle tap, as they are:
 *   4x4 outputs of 9x9 cells, points 0, 1, -1, 2, infinity, V with the rows of 6 G, the middle tap
 *   times 6: |u| <= 36 * 128, |v| <= 4590; A^T m A is 36 times the convolution; times the inverse
 *   of 9 it is 4 times it, exactly, while that stays inside +-2^29. 81 products of 144.
 *   2x2 outputs of 5x5 cells, points 0, 1, infinity: the convolution itself. 25 products of 36.
 * A tile has P = 36 (16; 81, 25) products and as many sums, of stride 2 fewer (49, 9): see below.
 * A group is OCTK_WINO_GROUP tiles. v is [P][C/16][group][16], m is [sums][group][16], u a panel
 * [P][C/2][16][2] of 16 outputs by lanes. */
enum { OCTK_WINO_GROUP = 6, OCTK_WINO_COLUMNS = 6912 };
/* Stride 2, one dimension, edge = 9 (5) products and edge - 2 sums: what the first output alone
 * needs, an even (0) and an odd (1) one, is one sum; so is what the last one alone needs (2, 3);
 * the others, each a sum by itself: points 1, -1, 2 and the odd cells between (5 cells: point 1).
 * In two dimensions a sum has four products (the first 4 sums), two (the next ones) or one: those
 * with as many lie together, so that a few calls of wino_mul take them all, a sum's products as if
 * they were channels. */
/** Place of sum (a, b), one of sums * sums. */
static inline int32_t octk_wino_s2_sum(int32_t sums, int32_t a, int32_t b) {
    const int32_t n = sums - 2;
    if (a < 2) return b < 2 ? 2 * a + b : 4 + n * a + b - 2;
    return b < 2 ? 4 + 2 * n + 2 * (a - 2) + b : 4 + 4 * n + n * (a - 2) + b - 2;
}
/** Place of product (x, y), one of edge * edge. */
static inline int32_t octk_wino_s2_product(int32_t edge, int32_t x, int32_t y) {
    const int32_t sum = octk_wino_s2_sum(edge - 2, x < 4 ? x / 2 : x - 2, y < 4 ? y / 2 : y - 2);
    if (x < 4 && y < 4) return 4 * sum + 2 * (x % 2) + y % 2;
    if (x < 4 || y < 4) return 16 + 2 * (sum - 4) + (x < 4 ? x : y) % 2;
    return 16 + 8 * (edge - 4) + sum - 4 - 4 * (edge - 4);
}
/** v = B^T d B of `count` tiles side by side, `blocks` blocks of 16 channels: x at the first tile's
 *  corner, pitches in bytes, t its place in its group; v of group g at v + g * group, of position i
 *  at + i * place, of block b at + b * OCTK_WINO_GROUP * 16 (elements). columns:
 *  OCTK_WINO_COLUMNS bytes where columns may wait that neighbours share (18 of six rows of 32
 *  channels are the most). */
typedef struct octk_wino_in_u8s16 {
    const uint8_t *x;
    int64_t row, pixel, group, place;
    int16_t *v, *columns;
    int32_t count, t, blocks;
} octk_wino_in_u8s16;
/** In a kernel whose columns are so many elements. Its stores of vectors might change what its
 *  parameters point to: what loops ask of these is copied before. */
#define OCTK_COLUMNS_FIT(elements)                                                                 \
    _Static_assert((elements) * sizeof(int16_t) <= OCTK_WINO_COLUMNS, "columns")
typedef void octk_wino_in_fn(const octk_wino_in_u8s16 *a);
/** A kernel of one that takes a block at a time, its x and v. Not a copy of `a`: numbers that were
 *  stored one by one just before are waited for by a load of several. */
#define OCTK_EACH_BLOCK(kernel, one)                                                               \
    void kernel(const octk_wino_in_u8s16 *a) {                                                     \
        for (int32_t b = 0; b < a->blocks; b++)                                                    \
            one(a, a->x + b * 16, a->v + b * OCTK_WINO_GROUP * 16);                                \
    }
typedef octk_wino_in_fn octk_wino4_in_u8s16_fn;
typedef octk_wino_in_fn octk_wino2_in_u8s16_fn;
typedef octk_wino_in_fn octk_wino4s2_in_u8s16_fn;
typedef octk_wino_in_fn octk_wino2s2_in_u8s16_fn;
/** Memory that is wanted next: `lines` lines of 64 bytes with each block of channels, or each turn
 *  of a loop. Nobody reads it there, so it may end anywhere. */
typedef struct octk_ahead {
    uintptr_t at;
    int32_t lines;
    bool alone; /* of one group of tiles: no other one multiplies by what was fetched */
} octk_ahead;
/** Fetches so many lines, and of `panels` panels, so many bytes apart, as many each. */
static inline void octk_fetch(octk_ahead *next, int64_t panel, int32_t panels) {
    for (int32_t i = 0; i < next->lines; i++, next->at += 64)
        for (int32_t v = 0; v < panels; v++)
            __builtin_prefetch((const void *)(next->at + (uintptr_t)(v * panel)), 0, 3);
}
/** m = v u of one group, `count` tiles of it, and of `panels` panels of outputs, whose u and m are
 *  so many elements apart: `positions` products over `blocks` blocks of 16 channels; meanwhile
 *  `next`, of the first panel, may be fetched, of the others what lies as far behind it. */
typedef struct octk_wino_mul_s16 {
    const int16_t *v, *u;
    int32_t *m;
    int64_t u_panel, m_panel;
    int32_t count, positions, blocks, panels;
    octk_ahead next;
} octk_wino_mul_s16;
typedef void octk_wino_mul_s16_fn(const octk_wino_mul_s16 *a);
/** y = requant of A^T m A of `count` tiles side by side: m of the first one's group, t its place
 *  there, `group` elements from group to group; 4x4 (2x2) pixels each of 16 channels, pitches in
 *  bytes. b: 576 (4; 36, 1) times the bias, modulo 2^32. by: of fp32, multipliers over 64 (4; 4,
 *  1). By lanes. */
typedef struct octk_wino_out_s32u8 {
    const int32_t *m, *b;
    octq_multipliers by;
    uint8_t *y;
    int64_t row, pixel, group;
    int32_t count, t;
    int32_t zy, lo, hi;
    bool small; /* of fp32: no output leaves s32 by its factor, and 9 times one stays below 2^24, so
                   that floats divide it by 9 exactly, or is 256 codes from the zero point */
} octk_wino_out_s32u8;
typedef void octk_wino_out_fn(const octk_wino_out_s32u8 *a);
/** A tile of such a call. The next one's place must be near at hand: whatever waits for it fills a
 *  core's window. */
typedef struct octk_wino_tile {
    const int32_t *m;
    uint8_t *y;
    int64_t beyond;         /* from a group's end to the next one, elements */
    int32_t left, in_group; /* tiles, this one too: of the call, of the group */
} octk_wino_tile;
static inline octk_wino_tile octk_wino_first(const octk_wino_out_s32u8 *a) {
    enum { G = OCTK_WINO_GROUP };
    return (octk_wino_tile){a->m + a->t / G * a->group + a->t % G * 16, a->y, a->group - G * 16,
                            a->count, G - a->t % G};
}
/** The next one; `step`: bytes from tile to tile of y. */
static inline void octk_wino_next(octk_wino_tile *t, int64_t step) {
    t->left--;
    t->y += step;
    t->m += 16;
    if (--t->in_group) return;
    t->in_group = OCTK_WINO_GROUP;
    t->m += t->beyond;
}
typedef octk_wino_out_fn octk_wino4_out_s32u8_fn;
typedef octk_wino_out_fn octk_wino2_out_s32u8_fn;
typedef octk_wino_out_fn octk_wino4s2_out_s32u8_fn;
typedef octk_wino_out_fn octk_wino2s2_out_s32u8_fn;

#endif
