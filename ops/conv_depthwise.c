/* SPDX-License-Identifier: MIT
 * Depthwise convolution: one filter per channel, so the inner loops run over channels; weights are
 * turned to [R,S,C]. */
#include <string.h>

#include "ops/conv_internal.h"

typedef struct dw_job {
    const octi_conv *g;
    const float *x, *w, *b, *dy; /* w: [R,S,C] */
    float *y, *dw, *db;          /* y or dx; dw, db: [slots] partial sums */
    octi_cut cut;
} dw_job;

/** Where tap (r, s) of output pixel (p, q) reads: a pixel of the image, or -1. */
static int64_t tap(const octi_conv *g, int64_t p, int64_t q, int64_t r, int64_t s) {
    int64_t h = p * g->stride_h - g->top + r * g->dil_h,
            w = q * g->stride_w - g->left + s * g->dil_w;
    return h < 0 || h >= g->h || w < 0 || w >= g->w ? -1 : h * g->w + w;
}

static void multiply_add(float *restrict y, const float *restrict a, const float *restrict b,
                         int64_t c) {
    for (int64_t i = 0; i < c; i++) y[i] += a[i] * b[i];
}

void octi_depthwise_image(const octi_conv *g, const float *x, const float *w, const float *b,
                          float *y) {
    for (int64_t i = 0; i < g->p * g->q; i++, y += g->c) {
        memset(y, 0, (size_t)g->c * sizeof *y);
        for (int64_t k = 0, at; k < g->r * g->s; k++)
            if ((at = tap(g, i / g->q, i % g->q, k / g->s, k % g->s)) >= 0)
                multiply_add(y, x + at * g->c, w + k * g->c, g->c);
        for (int64_t c = 0; b && c < g->c; c++) y[c] += b[c];
    }
}

static void forward_slot(void *arg, int64_t slot) {
    const dw_job *j = arg;
    const octi_conv *g = j->g;
    for (int64_t n = octi_cut_at(&j->cut, slot); n < octi_cut_at(&j->cut, slot + 1); n++)
        octi_depthwise_image(g, j->x + n * g->h * g->w * g->c, j->w, j->b,
                             j->y + n * g->p * g->q * g->c);
}

static void grad_x_slot(void *arg, int64_t slot) {
    const dw_job *j = arg;
    const octi_conv *g = j->g;
    for (int64_t n = octi_cut_at(&j->cut, slot); n < octi_cut_at(&j->cut, slot + 1); n++) {
        float *dx = j->y + n * g->h * g->w * g->c;
        memset(dx, 0, (size_t)(g->h * g->w * g->c) * sizeof *dx);
        for (int64_t i = 0; i < g->p * g->q; i++)
            for (int64_t k = 0, at; k < g->r * g->s; k++)
                if ((at = tap(g, i / g->q, i % g->q, k / g->s, k % g->s)) >= 0)
                    multiply_add(dx + at * g->c, j->dy + (n * g->p * g->q + i) * g->c,
                                 j->w + k * g->c, g->c);
    }
}

static void grad_w_slot(void *arg, int64_t slot) {
    const dw_job *j = arg;
    const octi_conv *g = j->g;
    float *dw = j->dw + slot * g->r * g->s * g->c, *db = j->db ? j->db + slot * g->c : NULL;
    memset(dw, 0, (size_t)(g->r * g->s * g->c) * sizeof *dw);
    if (db) memset(db, 0, (size_t)g->c * sizeof *db);
    for (int64_t n = octi_cut_at(&j->cut, slot); n < octi_cut_at(&j->cut, slot + 1); n++)
        for (int64_t i = 0; i < g->p * g->q; i++) {
            const float *dy = j->dy + (n * g->p * g->q + i) * g->c;
            for (int64_t k = 0, at; k < g->r * g->s; k++)
                if ((at = tap(g, i / g->q, i % g->q, k / g->s, k % g->s)) >= 0)
                    multiply_add(dw + k * g->c, dy, j->x + (n * g->h * g->w + at) * g->c, g->c);
            for (int64_t c = 0; db && c < g->c; c++) db[c] += dy[c];
        }
}

float *octi_depthwise_turned(octi_arena *scratch, const octi_conv *g, const float *w) {
    float *t = octi_arena_alloc(scratch, (size_t)(g->r * g->s * g->c) * sizeof *t);
    for (int64_t c = 0; t && c < g->c; c++)
        for (int64_t k = 0; k < g->r * g->s; k++) t[k * g->c + c] = w[c * g->r * g->s + k];
    return t;
}

oct_status octi_conv_depthwise_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                       const float *x, const float *w, const float *b, float *y) {
    dw_job j = {.g = g, .x = x, .b = b, .y = y, .cut = octi_cut_of(ctx, g->n)};
    j.w = octi_depthwise_turned(scratch, g, w);
    if (!j.w) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(ctx), j.cut.count, forward_slot, &j);
    return OCT_OK;
}

oct_status octi_conv_depthwise_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *dy, const float *w, float *dx) {
    dw_job j = {.g = g, .dy = dy, .y = dx, .cut = octi_cut_of(ctx, g->n)};
    j.w = octi_depthwise_turned(scratch, g, w);
    if (!j.w) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(ctx), j.cut.count, grad_x_slot, &j);
    return OCT_OK;
}

oct_status octi_conv_depthwise_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *x, const float *dy, float *dw, float *db) {
    int64_t taps = g->r * g->s, count = taps * g->c;
    dw_job j = {.g = g, .x = x, .dy = dy, .cut = octi_cut_of(ctx, g->n)};
    j.dw = octi_arena_alloc(scratch, (size_t)(count * j.cut.count) * sizeof(float));
    j.db = db ? octi_arena_alloc(scratch, (size_t)(g->c * j.cut.count) * sizeof(float)) : NULL;
    if (!j.dw || (db && !j.db)) return oct_last_error()->code;
    octi_threads *pool = octi_ctx_pool(ctx);
    octi_parallel_for(pool, j.cut.count, grad_w_slot, &j);
    OCT_TRY(octi_cut_fold_f32(&j.cut, pool, j.dw, count));
    for (int64_t c = 0; c < g->c; c++)
        for (int64_t k = 0; k < taps; k++) dw[c * taps + k] = j.dw[k * g->c + c];
    if (db) {
        OCT_TRY(octi_cut_fold_f32(&j.cut, pool, j.db, g->c));
        memcpy(db, j.db, (size_t)g->c * sizeof *db);
    }
    return OCT_OK;
}
