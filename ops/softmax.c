/* SPDX-License-Identifier: MIT
 * Softmax over the last axis; sums of exponentials in double. */
#include <math.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

typedef struct row_job {
    const float *x, *dy; /* of a gradient x is the output y */
    float *y;
    int64_t k;
} row_job;

static float row_max(const float *x, int64_t k) {
    float m = x[0];
    for (int64_t i = 1; i < k; i++) m = x[i] > m ? x[i] : m;
    return m;
}

void octi_softmax_f32(const float *x, float *y, int64_t rows, int64_t k) {
    for (int64_t r = 0; r < rows; r++, x += k, y += k) {
        const float max = row_max(x, k);
        double sum = 0;
        for (int64_t i = 0; i < k; i++) sum += y[i] = expf(x[i] - max);
        float scale = (float)(1.0 / sum);
        for (int64_t i = 0; i < k; i++) y[i] *= scale;
    }
}

void octi_log_softmax_f32(const float *x, float *y, int64_t rows, int64_t k) {
    for (int64_t r = 0; r < rows; r++, x += k, y += k) {
        const float max = row_max(x, k);
        double sum = 0;
        for (int64_t i = 0; i < k; i++) sum += expf(x[i] - max);
        float shift = (float)log(sum);
        for (int64_t i = 0; i < k; i++) y[i] = (x[i] - max) - shift;
    }
}

static void softmax_rows(void *arg, int64_t from, int64_t to) {
    const row_job *j = arg;
    octi_softmax_f32(j->x + from * j->k, j->y + from * j->k, to - from, j->k);
}

static void log_softmax_rows(void *arg, int64_t from, int64_t to) {
    const row_job *j = arg;
    octi_log_softmax_f32(j->x + from * j->k, j->y + from * j->k, to - from, j->k);
}

static void softmax_grad_rows(void *arg, int64_t from, int64_t to) {
    const row_job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const float *y = j->x + r * j->k, *dy = j->dy + r * j->k;
        float *dx = j->y + r * j->k;
        double dot = 0;
        for (int64_t i = 0; i < j->k; i++) dot += (double)y[i] * dy[i];
        for (int64_t i = 0; i < j->k; i++) dx[i] = y[i] * (dy[i] - (float)dot);
    }
}

static void log_softmax_grad_rows(void *arg, int64_t from, int64_t to) {
    const row_job *j = arg;
    for (int64_t r = from; r < to; r++) {
        const float *y = j->x + r * j->k, *dy = j->dy + r * j->k;
        float *dx = j->y + r * j->k;
        double sum = 0;
        for (int64_t i = 0; i < j->k; i++) sum += dy[i];
        for (int64_t i = 0; i < j->k; i++) dx[i] = dy[i] - expf(y[i]) * (float)sum;
    }
}

static void run(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *dy, oct_tensor *y,
                octi_range_fn fn) {
    row_job j = {oct_f32(x), dy ? oct_f32(dy) : NULL, oct_f32(y), x->shape.dim[x->shape.rank - 1]};
    octi_for_range(ctx, oct_tensor_count(x) / j.k, 1 + 2048 / j.k, fn, &j);
}

oct_status oct_softmax_forward(oct_ctx *ctx, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_softmax_forward");
    OCT_TRY(octi_check_op(OCT_OP_softmax, NULL, &x, 1, y, "y"));
    run(ctx, x, NULL, y, softmax_rows);
    return OCT_OK;
}

oct_status oct_log_softmax_forward(oct_ctx *ctx, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_log_softmax_forward");
    OCT_TRY(octi_check_op(OCT_OP_log_softmax, NULL, &x, 1, y, "y"));
    run(ctx, x, NULL, y, log_softmax_rows);
    return OCT_OK;
}

static oct_status grad(oct_ctx *ctx, oct_op_kind kind, const oct_tensor *y, const oct_tensor *dy,
                       oct_tensor *dx, octi_range_fn fn) {
    OCT_TRY(octi_check_op(kind, NULL, &y, 1, dy, "dy"));
    OCT_TRY(octi_check_tensor(oct_op_name(kind), "dx", dx, OCT_F32, &y->shape));
    run(ctx, y, dy, dx, fn);
    return OCT_OK;
}

oct_status oct_softmax_grad(oct_ctx *ctx, const oct_tensor *y, const oct_tensor *dy,
                            oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_softmax_grad");
    return grad(ctx, OCT_OP_softmax, y, dy, dx, softmax_grad_rows);
}

oct_status oct_log_softmax_grad(oct_ctx *ctx, const oct_tensor *y, const oct_tensor *dy,
                                oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_log_softmax_grad");
    return grad(ctx, OCT_OP_log_softmax, y, dy, dx, log_softmax_grad_rows);
}
