/* SPDX-License-Identifier: MIT
 * LSTM layer and cell on a tape. */
#include "autograd/diff.h"

enum { GATES, CELLS, HIDDEN };

enum { X, W_IH, W_HH, B_IH, B_HH, STATE };

static oct_lstm_weights weights(oct_tensor *const *in, int nin) {
    return (oct_lstm_weights){in[W_IH], in[W_HH], nin > B_IH ? in[B_IH] : NULL,
                              nin > B_HH ? in[B_HH] : NULL};
}

static oct_status save(octi_call *c, int64_t t, int64_t h) {
    int64_t n = c->in[X]->shape.dim[0];
    c->saved[GATES] = octi_call_tensor(c, OCT_F32, OCT_SHAPE(n, t, 4 * h));
    c->saved[CELLS] = octi_call_tensor(c, OCT_F32, OCT_SHAPE(n, t, h));
    c->saved[HIDDEN] = octi_call_tensor(c, OCT_F32, OCT_SHAPE(n, t, h));
    return c->saved[GATES] && c->saved[CELLS] && c->saved[HIDDEN] ? OCT_OK : oct_last_error()->code;
}

static oct_lstm_saved saved(const octi_call *c) {
    return (oct_lstm_saved){c->saved[GATES], c->saved[CELLS], c->saved[HIDDEN]};
}

/* Memory for every gradient that is wanted. */
static oct_status all_din(octi_call *c) {
    for (int k = 0; k < c->node->nin; k++)
        if (c->din[k]) OCT_TRY(octi_call_din(c, k));
    return OCT_OK;
}

oct_status octi_fwd_lstm(octi_call *c) {
    oct_lstm_weights w = weights(c->in, c->node->nin);
    OCT_TRY(save(c, c->in[X]->shape.dim[1], w.w_hh->shape.dim[1]));
    if (!c->node->attr.last[0])
        c->out = c->saved[HIDDEN];
    else
        OCT_TRY(octi_call_output(c));
    oct_lstm_saved s = saved(c);
    return oct_lstm_forward(c->ctx, &c->node->attr, c->in[X], &w, &s, c->out);
}
oct_status octi_bwd_lstm(octi_call *c) {
    OCT_TRY(all_din(c));
    oct_lstm_weights w = weights(c->in, c->node->nin), d = weights(c->din, c->node->nin);
    oct_lstm_saved s = saved(c);
    return oct_lstm_grad(c->ctx, &c->node->attr, c->in[X], &w, &s, c->dout, c->din[X], &d);
}

oct_status octi_fwd_lstm_cell(octi_call *c) {
    oct_lstm_weights w = weights(c->in, c->node->nin);
    OCT_TRY(save(c, 1, w.w_hh->shape.dim[1]));
    OCT_TRY(octi_call_output(c));
    oct_lstm_saved s = saved(c);
    return oct_lstm_cell_forward(c->ctx, c->in[X], c->node->nin > STATE ? c->in[STATE] : NULL, &w,
                                 &s, c->out);
}
oct_status octi_bwd_lstm_cell(octi_call *c) {
    OCT_TRY(all_din(c));
    oct_lstm_weights w = weights(c->in, c->node->nin), d = weights(c->din, c->node->nin);
    oct_lstm_saved s = saved(c);
    bool given = c->node->nin > STATE;
    return oct_lstm_cell_grad(c->ctx, c->in[X], given ? c->in[STATE] : NULL, &w, &s, c->dout,
                              c->din[X], given ? c->din[STATE] : NULL, &d);
}
