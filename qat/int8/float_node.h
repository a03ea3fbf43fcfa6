/* SPDX-License-Identifier: MIT
 * qat/int8/float_node.h - what the files of float layers share: parameters however they are stored,
 * rows made into codes. */
#ifndef OCT_QAT_INT8_FLOAT_NODE_H
#define OCT_QAT_INT8_FLOAT_NODE_H

#include "ops/conv_internal.h"
#include "ops/image_ops.h"
#include "qat/int8/int8.h"
#include "src/qround.h"

/** A node that is being made ready. */
typedef struct octi_finit {
    octi_fnode *f;
    octi_arena *arena;
    const oct_graph *g;
    const oct_node *n;
    bool free; /* sums in any order: the net is float whole */
} octi_finit;

/** Input k as floats: as it lies there, or widened from half precision or from codes. *p is NULL
 *  where there is no such input (OCT_EFORMAT where it `must` be there). OCT_EFORMAT, naming `what`,
 *  for one that is no constant of such a kind; OCT_ENOMEM. */
oct_status octi_fnode_parameter(const octi_finit *i, int k, const char *what, bool must,
                                const float **p);
/** Input k as s8 codes [O,K]: their scales, one per row, and the proof that no sum of a row of u8
 *  codes can overflow. NULL (recorded) where it is not so. */
const float *octi_fnode_codes(const octi_finit *i, int k);

/** What stands behind a product, on a part of the image: a batch norm in evaluation form, then the
 *  activation. */
void octi_fnode_finish(const octi_fnode *f, float *y, const octi_part *part);
/** What the kernel of a product does of that: the activation, where no batch norm is between. */
static inline octk_clamp octi_fnode_clamp(const octi_fnode *f) {
    return octi_clamp_of(f->factor ? OCT_ACT_NONE : f->a.act[0]);
}
/** All of an image. */
octi_part octi_fnode_whole(const octi_fnode *f);
/** Panels that so many outputs may be cut into. A last one of eight or fewer goes with the one
 *  before: alone it would be summed in another order. */
static inline int32_t octi_fnode_panels(int64_t o) {
    const int64_t panels = (o + OCTI_PANEL / 2 - 1) / OCTI_PANEL;
    return panels > 1 ? (int32_t)panels : 1;
}

/** float_free.c: a convolution or linear layer of a net that is float whole, its parameters in
 *  f->w, f->b. *taken: it has such a form. */
oct_status octi_fnode_init_free(const octi_finit *i, bool *taken);

/** recurrent_node.c: lstm, lstm_cell and their dynamic forms. */
oct_status octi_fnode_init_lstm(const octi_finit *i);
octi_fnode_fn octi_fnode_run_lstm;

/** A row as codes less zero point, by its own range; its scale. A NaN is no bound; its code is the
 *  zero point. */
static inline float octi_dynamic_row(const float *x, int64_t k, int16_t *q) {
    static const oct_qspec u8 = {.bits = 8, .qmax = 255};
    float lo = 0, hi = 0, s = 1;
    int32_t z = 0;
    for (int64_t i = 0; i < k; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    /* cannot be: lo <= 0 <= hi */
    if (oct_qparams_from_range(&u8, lo, hi, "row", &s, &z) != OCT_OK) return 1;
    for (int64_t i = 0; i < k; i++) q[i] = (int16_t)(octq_quantize(x[i], s, z, 0, 255) - z);
    return s;
}

static inline int32_t octi_dynamic_sum(const int16_t *q, const int8_t *w, int64_t k) {
    int32_t acc = 0;
    for (int64_t i = 0; i < k; i++) acc += q[i] * w[i];
    return acc;
}

#endif
