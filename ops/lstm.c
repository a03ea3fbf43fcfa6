/* SPDX-License-Identifier: MIT
 * LSTM (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000) with PyTorch's gate order
 * i, f, g, o, and its gradient through time. The batch is cut into slots; sums of a weight's
 * gradient are per slot and fold along the one tree. */
#include "ops/lstm.h"

#include <string.h>

#include "ops/checks.h"
#include "ops/kernels/kernels.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

void octi_lstm_gates(float *gates, const float *before, float *cell, float *hidden, int64_t h) {
    static const oct_attrs none;
    octi_unary_f32(OCT_OP_sigmoid, &none, gates, gates, 2 * h);
    octi_unary_f32(OCT_OP_tanh, &none, gates + 2 * h, gates + 2 * h, h);
    octi_unary_f32(OCT_OP_sigmoid, &none, gates + 3 * h, gates + 3 * h, h);
    const float *i = gates, *f = gates + h, *g = gates + 2 * h, *o = gates + 3 * h;
    for (int64_t k = 0; k < h; k++) cell[k] = (before ? f[k] * before[k] : 0.0f) + i[k] * g[k];
    octi_unary_f32(OCT_OP_tanh, &none, cell, hidden, h);
    for (int64_t k = 0; k < h; k++) hidden[k] *= o[k];
}

/* octet's own kernel, whatever BLAS is there: a step's product may be one row high, and rows must
 * not see each other. */
void octi_lstm_run(const octi_lstm *l, int64_t from, int64_t to) {
    int64_t t = l->t, h = l->h, n = to - from, first = from * t;
    const octk_table *k = l->kernels;
    k->gemm_f32(false, true, n * t, 4 * h, l->c, l->x + first * l->c, l->c, l->w_ih, l->c, false,
                l->gates + first * 4 * h, 4 * h);
    for (int64_t r = first; r < to * t; r++) {
        float *gates = l->gates + r * 4 * h;
        for (int64_t e = 0; l->b_ih && e < 4 * h; e++) gates[e] += l->b_ih[e];
        for (int64_t e = 0; l->b_hh && e < 4 * h; e++) gates[e] += l->b_hh[e];
    }
    for (int64_t s = 0; s < t; s++) {
        const float *before = s          ? l->hidden + (first + s - 1) * h
                              : l->state ? l->state + from * 2 * h
                                         : NULL;
        int64_t pitch = s ? t * h : 2 * h;
        if (before)
            k->gemm_f32(false, true, n, 4 * h, h, before, pitch, l->w_hh, h, true,
                        l->gates + (first + s) * 4 * h, t * 4 * h);
        for (int64_t i = from; i < to; i++) {
            int64_t r = i * t + s;
            const float *cell = s          ? l->cells + (r - 1) * h
                                : l->state ? l->state + i * 2 * h + h
                                           : NULL;
            octi_lstm_gates(l->gates + r * 4 * h, cell, l->cells + r * h, l->hidden + r * h, h);
        }
    }
}

/* ---- tensors ---- */

typedef struct lstm_job {
    octi_lstm l;
    oct_ctx *ctx;
    int64_t n;
    octi_cut cut;
    float *y; /* the last hidden states, or the new states of a cell; NULL: hidden is the result */
    bool cell, last; /* dy of the last step alone */
    /* backward */
    const float *dy, *hidden;
    float *sums, *dx, *dstate; /* sums [n,t,4h]: gradient before the gates' functions */
    float *dw_ih, *dw_hh, *db; /* [slots][...] */
    float *before;             /* [n,t,h]: hidden states one step late */
    float *carry;              /* [n][2h]: gradients that travel back */
} lstm_job;

static void forward_slot(void *arg, int64_t slot) {
    const lstm_job *j = arg;
    int64_t from = octi_cut_at(&j->cut, slot), to = octi_cut_at(&j->cut, slot + 1), h = j->l.h,
            t = j->l.t;
    octi_lstm_run(&j->l, from, to);
    for (int64_t i = from; j->y && i < to; i++) {
        memcpy(j->y + i * h * (j->cell ? 2 : 1), j->l.hidden + (i * t + t - 1) * h,
               (size_t)h * sizeof(float));
        if (j->cell) memcpy(j->y + i * 2 * h + h, j->l.cells + i * h, (size_t)h * sizeof(float));
    }
}

static octi_cut pieces(const lstm_job *j) {
    const octi_cut cut = octi_cut_of(j->ctx, j->n);
    return cut.images * j->l.t * 4 * j->l.h * (j->l.c + j->l.h) < (1 << 17) ? octi_cut_in_one(j->n)
                                                                            : cut;
}

static octi_lstm sizes(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *w_hh) {
    bool layer = x->shape.rank == 3;
    return (octi_lstm){.kernels = octi_ctx_kernels(ctx),
                       .t = layer ? x->shape.dim[1] : 1,
                       .c = x->shape.dim[x->shape.rank - 1],
                       .h = w_hh->shape.dim[1],
                       .x = oct_f32(x)};
}

/* gates [N,T,4H], cells and hidden [N,T,H]. */
static oct_status check_saved(const char *op, const octi_lstm *l, int64_t n,
                              const oct_tensor *gates, const oct_tensor *cells,
                              const oct_tensor *hidden) {
    oct_shape wide = OCT_SHAPE(n, l->t, 4 * l->h), narrow = OCT_SHAPE(n, l->t, l->h);
    OCT_TRY(octi_check_tensor(op, "gates", gates, OCT_F32, &wide));
    OCT_TRY(octi_check_tensor(op, "cells", cells, OCT_F32, &narrow));
    return octi_check_tensor(op, "hidden", hidden, OCT_F32, &narrow);
}

static void run_forward(lstm_job *j, const oct_lstm_weights *w, const oct_lstm_saved *s) {
    j->l.w_ih = oct_f32(w->w_ih), j->l.w_hh = oct_f32(w->w_hh);
    j->l.b_ih = w->b_ih ? oct_f32(w->b_ih) : NULL, j->l.b_hh = w->b_hh ? oct_f32(w->b_hh) : NULL;
    j->l.gates = oct_f32(s->gates), j->l.cells = oct_f32(s->cells),
    j->l.hidden = oct_f32(s->hidden);
    j->cut = pieces(j);
    octi_parallel_for(octi_ctx_pool(j->ctx), j->cut.count, forward_slot, j);
}

oct_status oct_lstm_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                            const oct_lstm_weights *w, const oct_lstm_saved *s, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_lstm_forward");
    if (!w || !s || !s->hidden)
        return octi_fail(OCT_EUSAGE, "lstm", "weights or saved values are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(
        OCT_OP_lstm, a, (const oct_tensor *[]){x, w->w_ih, w->w_hh, w->b_ih, w->b_hh}, 5, y, "y"));
    lstm_job j = {.l = sizes(ctx, x, w->w_hh),
                  .ctx = ctx,
                  .n = x->shape.dim[0],
                  .y = y->data == s->hidden->data ? NULL : oct_f32(y)};
    OCT_TRY(check_saved("lstm", &j.l, j.n, s->gates, s->cells, s->hidden));
    bool last = a && a->last[0];
    if (last == !j.y)
        return octi_fail(OCT_EUSAGE, "lstm", "result of all steps",
                         "y and hidden are one memory unless attr.last", NULL, NULL);
    run_forward(&j, w, s);
    return OCT_OK;
}

oct_status oct_lstm_cell_forward(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *state,
                                 const oct_lstm_weights *w, const oct_lstm_saved *s,
                                 oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_lstm_cell_forward");
    if (!w || !s)
        return octi_fail(OCT_EUSAGE, "lstm_cell", "weights or saved values are NULL", NULL, NULL,
                         NULL);
    OCT_TRY(octi_check_op(OCT_OP_lstm_cell, NULL,
                          (const oct_tensor *[]){x, w->w_ih, w->w_hh, w->b_ih, w->b_hh, state}, 6,
                          y, "y"));
    lstm_job j = {.l = sizes(ctx, x, w->w_hh),
                  .ctx = ctx,
                  .n = x->shape.dim[0],
                  .y = oct_f32(y),
                  .cell = true};
    j.l.state = state ? oct_f32(state) : NULL;
    OCT_TRY(check_saved("lstm_cell", &j.l, j.n, s->gates, s->cells, s->hidden));
    run_forward(&j, w, s);
    return OCT_OK;
}

/* One image's step back: dh and dc of the step in carry; leaves dc of the step before there, and
 * the sums' gradients. */
static void step_back(const lstm_job *j, int64_t i, int64_t s) {
    int64_t h = j->l.h, r = i * j->l.t + s;
    const float *gate = j->l.gates + r * 4 * h, *cell = j->l.cells + r * h;
    const float *before = s ? cell - h : j->l.state ? j->l.state + i * 2 * h + h : NULL;
    float *sum = j->sums + r * 4 * h, *dh = j->carry + i * 2 * h, *dc = dh + h;
    static const oct_attrs none;
    /* sum's first part serves until it is written */
    octi_unary_f32(OCT_OP_tanh, &none, cell, sum, h);
    for (int64_t k = 0; k < h; k++) {
        float in = gate[k], forget = gate[h + k], g = gate[2 * h + k], out = gate[3 * h + k],
              tc = sum[k];
        float c = dc[k] + dh[k] * out * (1.0f - tc * tc);
        sum[3 * h + k] = dh[k] * tc * out * (1.0f - out);
        sum[k] = c * g * in * (1.0f - in);
        sum[h + k] = before ? c * before[k] * forget * (1.0f - forget) : 0.0f;
        sum[2 * h + k] = c * in * (1.0f - g * g);
        dc[k] = c * forget;
    }
}

static void backward_slot(void *arg, int64_t slot) {
    const lstm_job *j = arg;
    const octi_lstm *l = &j->l;
    int64_t from = octi_cut_at(&j->cut, slot), to = octi_cut_at(&j->cut, slot + 1);
    int64_t t = l->t, h = l->h, c = l->c, n = to - from, first = from * t,
            width = j->last ? h : t * h;
    float *carry = j->carry + from * 2 * h;
    memset(carry, 0, (size_t)(n * 2 * h) * sizeof *carry);
    for (int64_t i = from; j->cell && i < to; i++)
        memcpy(j->carry + i * 2 * h, j->dy + i * 2 * h, (size_t)(2 * h) * sizeof *carry);
    for (int64_t s = t - 1; s >= 0; s--) {
        for (int64_t i = from; i < to; i++) {
            const float *dy = j->dy + i * width + (j->last ? 0 : s * h);
            float *dh = j->carry + i * 2 * h;
            if (!j->cell && (!j->last || s == t - 1))
                for (int64_t k = 0; k < h; k++) dh[k] += dy[k];
            step_back(j, i, s);
        }
        /* dh of the step before: the sums' gradients through w_hh */
        if (s || j->dstate)
            octi_sgemm(j->ctx, false, false, n, h, 4 * h, j->sums + (first + s) * 4 * h, t * 4 * h,
                       l->w_hh, h, false, carry, 2 * h);
    }
    if (j->dstate) memcpy(j->dstate + from * 2 * h, carry, (size_t)(n * 2 * h) * sizeof *carry);
    const float *sums = j->sums + first * 4 * h;
    if (j->dx)
        octi_sgemm(j->ctx, false, false, n * t, c, 4 * h, sums, 4 * h, l->w_ih, c, false,
                   j->dx + first * c, c);
    if (!j->dw_ih) return;
    for (int64_t i = from; i < to; i++) {
        float *late = j->before + i * t * h;
        if (l->state)
            memcpy(late, l->state + i * 2 * h, (size_t)h * sizeof *late);
        else
            memset(late, 0, (size_t)h * sizeof *late);
        memcpy(late + h, j->hidden + i * t * h, (size_t)((t - 1) * h) * sizeof *late);
    }
    octi_sgemm(j->ctx, true, false, 4 * h, c, n * t, sums, 4 * h, l->x + first * c, c, false,
               j->dw_ih + slot * 4 * h * c, c);
    octi_sgemm(j->ctx, true, false, 4 * h, h, n * t, sums, 4 * h, j->before + first * h, h, false,
               j->dw_hh + slot * 4 * h * h, h);
    float *db = j->db + slot * 4 * h;
    memset(db, 0, (size_t)(4 * h) * sizeof *db);
    for (int64_t r = 0; r < n * t; r++)
        for (int64_t k = 0; k < 4 * h; k++) db[k] += sums[r * 4 * h + k];
}

static oct_status check_grads(const char *op, const oct_tensor *x, const oct_lstm_weights *w,
                              const oct_lstm_weights *d, const oct_tensor *dx) {
    oct_shape bias = OCT_SHAPE(w->w_ih->shape.dim[0]);
    if (dx) OCT_TRY(octi_check_tensor(op, "dx", dx, OCT_F32, &x->shape));
    if (d->w_ih) OCT_TRY(octi_check_tensor(op, "dw_ih", d->w_ih, OCT_F32, &w->w_ih->shape));
    if (d->w_hh) OCT_TRY(octi_check_tensor(op, "dw_hh", d->w_hh, OCT_F32, &w->w_hh->shape));
    if (d->b_ih) OCT_TRY(octi_check_tensor(op, "db_ih", d->b_ih, OCT_F32, &bias));
    return d->b_hh ? octi_check_tensor(op, "db_hh", d->b_hh, OCT_F32, &bias) : OCT_OK;
}

static oct_status run_backward(lstm_job *j, const oct_lstm_weights *w, const oct_lstm_saved *s,
                               const oct_lstm_weights *d) {
    int64_t t = j->l.t, c = j->l.c, h = j->l.h;
    octi_arena *scratch = octi_ctx_scratch(j->ctx);
    if (!scratch) return oct_last_error()->code;
    j->cut = octi_cut_of(j->ctx, j->n);
    /* images of a slot; the longer row of weights */
    int64_t most = octi_cut_most(&j->cut), inner = c > h ? c : h;
    OCT_TRY(octi_sgemm_ready(j->ctx, most * t, inner, 4 * h));
    OCT_TRY(octi_sgemm_ready(j->ctx, 4 * h, inner, most * t));
    octi_arena_mark mark = octi_arena_save(scratch);
    j->l.w_ih = oct_f32(w->w_ih), j->l.w_hh = oct_f32(w->w_hh);
    j->l.gates = oct_f32(s->gates), j->l.cells = oct_f32(s->cells), j->hidden = oct_f32(s->hidden);
    size_t f = sizeof(float), rows = (size_t)(j->n * t), wide = (size_t)(4 * h),
           slots = (size_t)j->cut.count;
    j->sums = octi_arena_alloc(scratch, rows * wide * f);
    j->carry = octi_arena_alloc(scratch, (size_t)(j->n * 2 * h) * f);
    bool weights = d->w_ih || d->w_hh || d->b_ih || d->b_hh, ok = j->sums && j->carry;
    if (weights) {
        j->before = octi_arena_alloc(scratch, rows * (size_t)h * f);
        j->dw_ih = octi_arena_alloc(scratch, slots * wide * (size_t)c * f);
        j->dw_hh = octi_arena_alloc(scratch, slots * wide * (size_t)h * f);
        j->db = octi_arena_alloc(scratch, slots * wide * f);
        ok = ok && j->before && j->dw_ih && j->dw_hh && j->db;
    }
    if (!ok) return octi_arena_rewind(scratch, mark), oct_last_error()->code;
    octi_threads *pool = octi_ctx_pool(j->ctx);
    octi_parallel_for(j->n * t * 4 * h * (c + h) < (1 << 16) ? NULL : pool, j->cut.count,
                      backward_slot, j);
    const struct {
        float *partial;
        oct_tensor *to;
        int64_t count;
    } out[] = {{j->dw_ih, d->w_ih, 4 * h * c},
               {j->dw_hh, d->w_hh, 4 * h * h},
               {j->db, d->b_ih ? d->b_ih : d->b_hh, 4 * h}};
    oct_status st = OCT_OK;
    for (int k = 0; st == OCT_OK && k < 3; k++) {
        if (!out[k].to) continue;
        st = octi_cut_fold_f32(&j->cut, pool, out[k].partial, out[k].count);
        if (st == OCT_OK) memcpy(out[k].to->data, out[k].partial, (size_t)out[k].count * f);
    }
    /* both are added to the same sums */
    if (st == OCT_OK && d->b_ih && d->b_hh) memcpy(d->b_hh->data, d->b_ih->data, wide * f);
    octi_arena_rewind(scratch, mark);
    return st;
}

oct_status oct_lstm_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                         const oct_lstm_weights *w, const oct_lstm_saved *s, const oct_tensor *dy,
                         oct_tensor *dx, const oct_lstm_weights *d) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_lstm_grad");
    if (!w || !s || !d)
        return octi_fail(OCT_EUSAGE, "lstm_grad", "weights, saved values or gradients are NULL",
                         NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_lstm, a,
                          (const oct_tensor *[]){x, w->w_ih, w->w_hh, w->b_ih, w->b_hh}, 5, dy,
                          "dy"));
    OCT_TRY(check_grads("lstm", x, w, d, dx));
    lstm_job j = {.l = sizes(ctx, x, w->w_hh),
                  .ctx = ctx,
                  .n = x->shape.dim[0],
                  .dy = oct_f32(dy),
                  .dx = dx ? oct_f32(dx) : NULL};
    OCT_TRY(check_saved("lstm_grad", &j.l, j.n, s->gates, s->cells, s->hidden));
    j.last = a && a->last[0];
    return run_backward(&j, w, s, d);
}

oct_status oct_lstm_cell_grad(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *state,
                              const oct_lstm_weights *w, const oct_lstm_saved *s,
                              const oct_tensor *dy, oct_tensor *dx, oct_tensor *dstate,
                              const oct_lstm_weights *d) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_lstm_cell_grad");
    if (!w || !s || !d)
        return octi_fail(OCT_EUSAGE, "lstm_cell_grad",
                         "weights, saved values or gradients are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_lstm_cell, NULL,
                          (const oct_tensor *[]){x, w->w_ih, w->w_hh, w->b_ih, w->b_hh, state}, 6,
                          dy, "dy"));
    OCT_TRY(check_grads("lstm_cell", x, w, d, dx));
    if (dstate && !state)
        return octi_fail(OCT_EUSAGE, "lstm_cell_grad", "gradient of a state that is not there",
                         NULL, NULL, NULL);
    if (dstate) OCT_TRY(octi_check_tensor("lstm_cell", "dstate", dstate, OCT_F32, &state->shape));
    lstm_job j = {.l = sizes(ctx, x, w->w_hh),
                  .ctx = ctx,
                  .n = x->shape.dim[0],
                  .dy = oct_f32(dy),
                  .dx = dx ? oct_f32(dx) : NULL,
                  .cell = true};
    j.l.state = state ? oct_f32(state) : NULL;
    j.dstate = dstate ? oct_f32(dstate) : NULL;
    OCT_TRY(check_saved("lstm_cell_grad", &j.l, j.n, s->gates, s->cells, s->hidden));
    return run_backward(&j, w, s, d);
}
