/* SPDX-License-Identifier: MIT
 * ops/lstm.h - steps of an LSTM over some images, for the tensor ops and for the float layer of an
 * int8 net: one order of sums. Serial; a caller cuts the batch, and no cut changes a bit. */
#ifndef OCT_OPS_LSTM_H
#define OCT_OPS_LSTM_H

#include "ops/ops.h"

/** Rows are [image][step][...]. */
typedef struct octi_lstm {
    const struct octk_table *kernels;
    int64_t t, c, h;                            /* steps, input features, hidden size */
    const float *x, *w_ih, *w_hh, *b_ih, *b_hh; /* x [n,t,c]; biases NULL where absent */
    const float *state;    /* [n,2h]: h and c before the first step; NULL: zeros */
    float *gates;          /* [n,t,4h]: i, f, g, o behind their functions */
    float *cells, *hidden; /* [n,t,h] */
} octi_lstm;

/** From sums (behind products and biases) to gates, cell and hidden state of one image's step;
 *  before is the cell before it, NULL for zeros. sums and gates may be the same. */
void octi_lstm_gates(float *gates, const float *before, float *cell, float *hidden, int64_t h);
/** Images [from, to). */
void octi_lstm_run(const octi_lstm *l, int64_t from, int64_t to);

#endif
