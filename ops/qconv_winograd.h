/* SPDX-License-Identifier: MIT
 * What the two-dimensional Winograd candidates (qconv_winograd.c) and the transform of their
 * weights (qconv_winograd_weights.c) share. */
#ifndef OCT_OPS_QCONV_WINOGRAD_H
#define OCT_OPS_QCONV_WINOGRAD_H

#include "ops/qconv.h"

/** F(tile x tile, 3x3). */
typedef struct octi_wino_form {
    int32_t tile, stride, edge, sums; /* edge: cells of a tile, products; sums: of a dimension */
    int16_t v[9][3];                  /* the transform of the weights */
    int32_t factor;                   /* A^T m A is so many times the convolution */
    float over;                       /* and, times an inverse modulo 2^32, so many */
    int64_t most;                     /* while that stays below */
    double in, out;                   /* cycles of a tile's transforms, of 16 channels */
} octi_wino_form;

/** Sums that follow each other and have as many products: all of stride 1; of stride 2 the ends of
 * both dimensions, those of one, none. */
typedef struct octi_wino_stretch {
    int32_t sums, products; /* of each sum */
    int32_t at_once;        /* sums, for all groups of tiles: their weights stay near */
    int32_t ahead;          /* so many sums on are the weights that are fetched, for one group */
} octi_wino_stretch;
enum { OCTI_WINO_STRETCHES = 3 };

typedef struct octi_qwinograd {
    const octi_wino_form *f;
    const int16_t *u; /* a panel of 16 outputs after the other: [products][C/2][16][2] */
    const int32_t *b;
    octq_multipliers by; /* fp32: the multiplier over what sums are too large by */
    octk_wino_in_fn *in;
    octk_wino_out_fn *out;
    octi_layout x_at, y_at;
    octi_halo need;
    bool small; /* octk_wino_out_s32u8 */
    bool near;  /* for one group no weights are fetched */
    int32_t products, sums, blocks, panels, tiles_w, groups; /* groups of tiles at a time */
    int32_t together; /* panels that are multiplied at once */
    int32_t whole_w;  /* tiles of a row that end within it */
    octi_wino_stretch stretches[OCTI_WINO_STRETCHES];
    size_t frame, v, m; /* bytes of scratch */
} octi_qwinograd;

/** Weights, biases and records by lanes: own->u, b, by. OCT_ENOMEM. */
oct_status octi_pack_winograd(const octi_qargs *q, const octi_qconv *c, octi_qwinograd *own);

#endif
