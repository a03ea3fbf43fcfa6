/* SPDX-License-Identifier: MIT
 * Element by element. The loops are plain so that the compiler vectorizes them; all are bound by
 * memory. */
#include <string.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/rng.h"
#include "src/words.h"

enum { GRAIN = 16384 }; /* elements worth a task */

typedef struct flat_job {
    const float *a, *b;
    float *y;
    int64_t rows, cols; /* broadcast: b has a row of cols for each `rows` rows of a */
} flat_job;

static void relu_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    const float *x = j->a;
    float *y = j->y;
    OCTI_IVDEP for (int64_t i = from; i < to; i++) y[i] = octi_activate(x[i], OCT_ACT_RELU);
}

static void relu6_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    const float *x = j->a;
    float *y = j->y;
    OCTI_IVDEP for (int64_t i = from; i < to; i++) y[i] = octi_activate(x[i], OCT_ACT_RELU6);
}

static void copy_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    if (j->y != j->a) memcpy(j->y + from, j->a + from, (size_t)(to - from) * sizeof(float));
}

static void relu_grad_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    const float *y = j->a, *dy = j->b;
    float *dx = j->y;
    OCTI_IVDEP for (int64_t i = from; i < to; i++) {
        float d = dy[i]; /* read in any case, so that the choice is a mask */
        dx[i] = y[i] > 0.0f ? d : 0.0f;
    }
}

static void relu6_grad_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    const float *y = j->a, *dy = j->b;
    float *dx = j->y;
    OCTI_IVDEP for (int64_t i = from; i < to; i++) {
        float d = dy[i], v = y[i] > 0.0f ? d : 0.0f;
        dx[i] = y[i] < 6.0f ? v : 0.0f;
    }
}

static const octi_range_fn act_forward[] = {copy_range, relu_range, relu6_range};

oct_status oct_act_forward(oct_ctx *ctx, oct_act act, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_act_forward");
    OCT_TRY(octi_check_f32("act", "x", x, 0));
    OCT_TRY(octi_check_tensor("act", "y", y, OCT_F32, &x->shape));
    if ((unsigned)act > OCT_ACT_RELU6)
        return octi_fail(OCT_EUSAGE, "act", "unknown activation", NULL, octi_fmt("%d", (int)act),
                         NULL);
    flat_job j = {.a = oct_f32(x), .y = oct_f32(y)};
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, act_forward[act], &j);
    return OCT_OK;
}

oct_status oct_act_grad(oct_ctx *ctx, oct_act act, const oct_tensor *y, const oct_tensor *dy,
                        oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_act_grad");
    OCT_TRY(octi_check_f32("act_grad", "y", y, 0));
    OCT_TRY(octi_check_tensor("act_grad", "dy", dy, OCT_F32, &y->shape));
    OCT_TRY(octi_check_tensor("act_grad", "dx", dx, OCT_F32, &y->shape));
    flat_job j = {.a = oct_f32(y), .b = oct_f32(dy), .y = oct_f32(dx)};
    switch (act) {
    case OCT_ACT_NONE:
        j.a = j.b;
        octi_for_range(ctx, oct_tensor_count(y), GRAIN, copy_range, &j);
        return OCT_OK;
    case OCT_ACT_RELU:
        octi_for_range(ctx, oct_tensor_count(y), GRAIN, relu_grad_range, &j);
        return OCT_OK;
    case OCT_ACT_RELU6:
        octi_for_range(ctx, oct_tensor_count(y), GRAIN, relu6_grad_range, &j);
        return OCT_OK;
    }
    return octi_fail(OCT_EUSAGE, "act_grad", "unknown activation", NULL, octi_fmt("%d", (int)act),
                     NULL);
}

void octi_add_f32(const float *a, const float *b, float *y, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, a += cols, y += cols)
        OCTI_IVDEP for (int64_t c = 0; c < cols; c++) y[c] = a[c] + b[c];
}

static void add_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    octi_add_f32(j->a + from, j->b + from, j->y + from, 1, to - from);
}

/** Over images: each row of an image plus the image's one row of b. */
static void add_broadcast_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    for (int64_t n = from; n < to; n++)
        octi_add_f32(j->a + n * j->rows * j->cols, j->b + n * j->cols, j->y + n * j->rows * j->cols,
                     j->rows, j->cols);
}

oct_status oct_add_forward(oct_ctx *ctx, const oct_tensor *a, const oct_tensor *b, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_add_forward");
    oct_attrs none = {.act = {OCT_ACT_NONE}};
    OCT_TRY(octi_check_op(OCT_OP_add, &none, (const oct_tensor *[]){a, b}, 2, y, "y"));
    flat_job j = {.a = oct_f32(a), .b = oct_f32(b), .y = oct_f32(y)};
    int64_t count = oct_tensor_count(y);
    if (oct_shape_equal(&a->shape, &b->shape)) {
        octi_for_range(ctx, count, GRAIN, add_range, &j);
        return OCT_OK;
    }
    if (!oct_shape_equal(&a->shape, &y->shape)) j.a = oct_f32(b), j.b = oct_f32(a);
    j.cols = y->shape.dim[3];
    j.rows = y->shape.dim[1] * y->shape.dim[2];
    octi_for_range(ctx, y->shape.dim[0], 1 + GRAIN / (j.rows * j.cols), add_broadcast_range, &j);
    return OCT_OK;
}

static void grad_broadcast_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    for (int64_t n = from; n < to; n++) {
        float *d = j->y + n * j->cols;
        memset(d, 0, (size_t)j->cols * sizeof *d);
        for (int64_t r = 0; r < j->rows; r++) {
            const float *g = j->a + (n * j->rows + r) * j->cols;
            for (int64_t c = 0; c < j->cols; c++) d[c] += g[c];
        }
    }
}

oct_status oct_add_grad_broadcast(oct_ctx *ctx, const oct_tensor *dy, oct_tensor *d) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_add_grad_broadcast");
    OCT_TRY(octi_check_f32("add_grad", "dy", dy, 4));
    if (dy->shape.rank != 4)
        return octi_fail(OCT_ESHAPE, "add_grad", "rank of dy", "4", oct_shape_text(&dy->shape),
                         NULL);
    oct_shape row = OCT_SHAPE(dy->shape.dim[0], 1, 1, dy->shape.dim[3]);
    OCT_TRY(octi_check_tensor("add_grad", "d", d, OCT_F32, &row));
    flat_job j = {.a = oct_f32(dy),
                  .y = oct_f32(d),
                  .rows = dy->shape.dim[1] * dy->shape.dim[2],
                  .cols = dy->shape.dim[3]};
    octi_for_range(ctx, dy->shape.dim[0], 1 + GRAIN / (j.rows * j.cols), grad_broadcast_range, &j);
    return OCT_OK;
}

void octi_mul_f32(const float *a, const float *b, float *y, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, a += cols, y += cols)
        OCTI_IVDEP for (int64_t c = 0; c < cols; c++) y[c] = a[c] * b[c];
}

static void mul_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    octi_mul_f32(j->a + from, j->b + from, j->y + from, 1, to - from);
}

static void mul_broadcast_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    for (int64_t n = from; n < to; n++)
        octi_mul_f32(j->a + n * j->rows * j->cols, j->b + n * j->cols, j->y + n * j->rows * j->cols,
                     j->rows, j->cols);
}

/** Over images: sums over rows of a * b, both [N,H,W,C]. */
static void mul_sum_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    for (int64_t n = from; n < to; n++) {
        float *d = j->y + n * j->cols;
        memset(d, 0, (size_t)j->cols * sizeof *d);
        for (int64_t r = 0; r < j->rows; r++) {
            const float *a = j->a + (n * j->rows + r) * j->cols,
                        *b = j->b + (n * j->rows + r) * j->cols;
            for (int64_t c = 0; c < j->cols; c++) d[c] += a[c] * b[c];
        }
    }
}

static flat_job by_images(const oct_tensor *a, const oct_tensor *b, oct_tensor *y,
                          const oct_shape *whole) {
    return (flat_job){oct_f32(a), oct_f32(b), oct_f32(y), whole->dim[1] * whole->dim[2],
                      whole->dim[3]};
}

oct_status oct_mul_forward(oct_ctx *ctx, const oct_tensor *a, const oct_tensor *b, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_mul_forward");
    static const oct_attrs none;
    OCT_TRY(octi_check_op(OCT_OP_mul, &none, (const oct_tensor *[]){a, b}, 2, y, "y"));
    flat_job j = {.a = oct_f32(a), .b = oct_f32(b), .y = oct_f32(y)};
    if (oct_shape_equal(&a->shape, &b->shape)) {
        octi_for_range(ctx, oct_tensor_count(y), GRAIN, mul_range, &j);
        return OCT_OK;
    }
    bool swap = !oct_shape_equal(&a->shape, &y->shape);
    j = by_images(swap ? b : a, swap ? a : b, y, &y->shape);
    octi_for_range(ctx, y->shape.dim[0], 1 + GRAIN / (j.rows * j.cols), mul_broadcast_range, &j);
    return OCT_OK;
}

oct_status oct_mul_grad(oct_ctx *ctx, const oct_tensor *dy, const oct_tensor *other,
                        oct_tensor *d) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_mul_grad");
    static const oct_attrs none;
    OCT_TRY(octi_check_op(OCT_OP_mul, &none, (const oct_tensor *[]){d, other}, 2, dy, "dy"));
    flat_job j = {.a = oct_f32(dy), .b = oct_f32(other), .y = oct_f32(d)};
    if (oct_shape_equal(&d->shape, &other->shape)) {
        octi_for_range(ctx, oct_tensor_count(d), GRAIN, mul_range, &j);
        return OCT_OK;
    }
    j = by_images(dy, other, d, &dy->shape);
    bool sum = !oct_shape_equal(&d->shape, &dy->shape);
    octi_for_range(ctx, dy->shape.dim[0], 1 + GRAIN / (j.rows * j.cols),
                   sum ? mul_sum_range : mul_broadcast_range, &j);
    return OCT_OK;
}

static void accumulate_range(void *arg, int64_t from, int64_t to) {
    const flat_job *j = arg;
    const float *src = j->a;
    float *dst = j->y;
    OCTI_IVDEP for (int64_t i = from; i < to; i++) dst[i] += src[i];
}

oct_status oct_accumulate(oct_ctx *ctx, oct_tensor *dst, const oct_tensor *src) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_accumulate");
    OCT_TRY(octi_check_f32("accumulate", "src", src, 0));
    OCT_TRY(octi_check_tensor("accumulate", "dst", dst, OCT_F32, &src->shape));
    flat_job j = {.a = oct_f32(src), .y = oct_f32(dst)};
    octi_for_range(ctx, oct_tensor_count(src), GRAIN, accumulate_range, &j);
    return OCT_OK;
}

typedef struct dropout_job {
    const oct_dropout_key *key;
    const float *x;
    float *y;
    int64_t per_sample;
    uint64_t drop_below; /* a word below it drops */
    float scale;
} dropout_job;

/** Over samples; word e of the sample's stream decides element e. */
static void dropout_range(void *arg, int64_t from, int64_t to) {
    const dropout_job *j = arg;
    for (int64_t n = from; n < to; n++) {
        const uint32_t stream[3] = {OCTI_RNG_DROPOUT | j->key->op << 8, j->key->epoch,
                                    j->key->sample + (uint32_t)n};
        const float *x = j->x + n * j->per_sample;
        float *y = j->y + n * j->per_sample;
        uint32_t word[4];
        for (int64_t e = 0; e < j->per_sample; e++) {
            if (e % 4 == 0) octi_philox(j->key->seed, stream, (uint32_t)(e / 4), word);
            y[e] = word[e % 4] < j->drop_below ? 0.0f : x[e] * j->scale;
        }
    }
}

oct_status oct_dropout_forward(oct_ctx *ctx, const oct_attrs *a, const oct_dropout_key *key,
                               const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_dropout_forward");
    if (!a || !key)
        return octi_fail(OCT_EUSAGE, "dropout", "attributes or key are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_dropout, a, &x, 1, y, "y"));
    int64_t n = x->shape.rank ? x->shape.dim[0] : 1;
    dropout_job j = {key,
                     oct_f32(x),
                     oct_f32(y),
                     oct_tensor_count(x) / n,
                     (uint64_t)((double)a->p * 4294967296.0),
                     1.0f / (1.0f - a->p)};
    if (j.per_sample / 4 > UINT32_MAX)
        return octi_fail(OCT_ELIMIT, "dropout", "sample too large", NULL, NULL, NULL);
    octi_for_range(ctx, n, 1 + GRAIN / (4 * j.per_sample), dropout_range, &j);
    return OCT_OK;
}
