/* SPDX-License-Identifier: MIT
 * Fully connected layers: products with a cut that depends on the shape alone. */
#include <string.h>

#include "ops/checks.h"
#include "ops/product_paths.h"
#include "src/float_mode.h"
#include "src/words.h"

typedef struct linear_job {
    oct_ctx *ctx;
    const float *x, *w, *b, *dy;
    float *y, *dw, *db; /* dw, db: [slots] partial sums */
    int64_t n, k, o;
    octi_cut cut;
} linear_job;

/** Rows are independent: one piece below about a million products, else the slots of the batch. */
static octi_cut pieces(oct_ctx *ctx, const linear_job *j) {
    const octi_cut cut = octi_cut_of(ctx, j->n);
    return cut.images * j->k * j->o < (1 << 20) ? octi_cut_in_one(j->n) : cut;
}

static void forward_slot(void *arg, int64_t slot) {
    const linear_job *j = arg;
    int64_t from = octi_cut_at(&j->cut, slot), m = octi_cut_at(&j->cut, slot + 1) - from;
    float *y = j->y + from * j->o;
    octi_sgemm(j->ctx, false, true, m, j->o, j->k, j->x + from * j->k, j->k, j->w, j->k, false, y,
               j->o);
    for (int64_t r = 0; j->b && r < m; r++)
        for (int64_t i = 0; i < j->o; i++) y[r * j->o + i] += j->b[i];
}

octi_path octi_linear_path(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *w) {
    linear_job j = {.n = x->shape.dim[0], .k = x->shape.dim[1], .o = w->shape.dim[0]};
    j.cut = pieces(ctx, &j);
    return octi_sgemm_path(ctx, true, octi_cut_most(&j.cut), j.o, j.k);
}

oct_status oct_linear_forward(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *w,
                              const oct_tensor *b, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_linear_forward");
    OCT_TRY(octi_check_op(OCT_OP_linear, NULL, (const oct_tensor *[]){x, w, b}, 3, y, "y"));
    linear_job j = {.ctx = ctx,
                    .x = oct_f32(x),
                    .w = oct_f32(w),
                    .b = b ? oct_f32(b) : NULL,
                    .y = oct_f32(y),
                    .n = x->shape.dim[0],
                    .k = x->shape.dim[1],
                    .o = w->shape.dim[0]};
    j.cut = pieces(ctx, &j);
    octi_parallel_for(octi_ctx_pool(ctx), j.cut.count, forward_slot, &j);
    return OCT_OK;
}

static void grad_x_slot(void *arg, int64_t slot) {
    const linear_job *j = arg; /* y = dx */
    int64_t from = octi_cut_at(&j->cut, slot), m = octi_cut_at(&j->cut, slot + 1) - from;
    octi_sgemm(j->ctx, false, false, m, j->k, j->o, j->dy + from * j->o, j->o, j->w, j->k, false,
               j->y + from * j->k, j->k);
}

oct_status oct_linear_grad_x(oct_ctx *ctx, const oct_tensor *dy, const oct_tensor *w,
                             oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_linear_grad_x");
    OCT_TRY(octi_check_f32("linear", "dx", dx, 2));
    OCT_TRY(octi_check_op(OCT_OP_linear, NULL, (const oct_tensor *[]){dx, w}, 2, dy, "dy"));
    linear_job j = {.ctx = ctx,
                    .dy = oct_f32(dy),
                    .w = oct_f32(w),
                    .y = oct_f32(dx),
                    .n = dx->shape.dim[0],
                    .k = dx->shape.dim[1],
                    .o = w->shape.dim[0]};
    j.cut = pieces(ctx, &j);
    OCT_TRY(octi_sgemm_ready(ctx, octi_cut_most(&j.cut), j.k, j.o));
    octi_parallel_for(octi_ctx_pool(ctx), j.cut.count, grad_x_slot, &j);
    return OCT_OK;
}

static void grad_w_slot(void *arg, int64_t slot) {
    const linear_job *j = arg;
    int64_t from = octi_cut_at(&j->cut, slot), m = octi_cut_at(&j->cut, slot + 1) - from;
    const float *dy = j->dy + from * j->o;
    octi_sgemm(j->ctx, true, false, j->o, j->k, m, dy, j->o, j->x + from * j->k, j->k, false,
               j->dw + slot * j->o * j->k, j->k);
    if (!j->db) return;
    float *db = j->db + slot * j->o;
    memset(db, 0, (size_t)j->o * sizeof *db);
    for (int64_t r = 0; r < m; r++)
        for (int64_t i = 0; i < j->o; i++) db[i] += dy[r * j->o + i];
}

oct_status oct_linear_grad_w(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *dy,
                             oct_tensor *dw, oct_tensor *db) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_linear_grad_w");
    OCT_TRY(octi_check_f32("linear", "dw", dw, 2));
    OCT_TRY(octi_check_op(OCT_OP_linear, NULL, (const oct_tensor *[]){x, dw, db}, 3, dy, "dy"));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    linear_job j = {.ctx = ctx,
                    .x = oct_f32(x),
                    .dy = oct_f32(dy),
                    .n = x->shape.dim[0],
                    .k = x->shape.dim[1],
                    .o = dw->shape.dim[0]};
    j.cut = octi_cut_of(ctx, j.n);
    OCT_TRY(octi_sgemm_ready(ctx, j.o, j.k, octi_cut_most(&j.cut)));
    size_t bytes = (size_t)(j.o * j.k) * sizeof(float);
    j.dw = octi_arena_alloc(scratch, bytes * (size_t)j.cut.count);
    j.db = db ? octi_arena_alloc(scratch, (size_t)(j.o * j.cut.count) * sizeof(float)) : NULL;
    if (!j.dw || (db && !j.db)) return octi_arena_rewind(scratch, mark), oct_last_error()->code;
    octi_threads *pool = octi_ctx_pool(ctx);
    octi_parallel_for(j.n * j.k * j.o < (1 << 17) ? NULL : pool, j.cut.count, grad_w_slot, &j);
    oct_status s = octi_cut_fold_f32(&j.cut, pool, j.dw, j.o * j.k);
    if (s == OCT_OK) memcpy(dw->data, j.dw, bytes);
    if (s == OCT_OK && db) s = octi_cut_fold_f32(&j.cut, pool, j.db, j.o);
    if (s == OCT_OK && db) memcpy(db->data, j.db, (size_t)j.o * sizeof(float));
    octi_arena_rewind(scratch, mark);
    return s;
}
