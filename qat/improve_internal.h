/* SPDX-License-Identifier: MIT
 * qat/improve_internal.h - shared by correct_bias.c and adaround.c. */
#ifndef OCT_QAT_IMPROVE_INTERNAL_H
#define OCT_QAT_IMPROVE_INTERNAL_H

#include "qat/codes.h"

enum { OCTI_IMPROVE_BATCH = 32 };

/** A calibrated net, its ranges chosen now, and inputs that fit it; or the reason why not. */
oct_status octi_improve_check(oct_net *net, const oct_tensor *x, const char *where);
/** What a layer adds per output channel: beta behind a batch norm, else the bias; NULL where it has none. */
float *octi_bias_of(const oct_graph *g, const oct_node *n);

/** Images [from, from + OCTI_IMPROVE_BATCH) of x, borrowed; fewer at the end. */
static inline oct_tensor octi_images(const oct_tensor *x, int64_t from) {
    oct_tensor part = *x;
    int64_t left = x->shape.dim[0] - from;
    part.data = oct_f32(x) + from * (oct_tensor_count(x) / x->shape.dim[0]);
    part.shape.dim[0] = left < OCTI_IMPROVE_BATCH ? left : OCTI_IMPROVE_BATCH;
    return part;
}

#endif
