/* SPDX-License-Identifier: MIT
 * Pooling over windows of NHWC images; the inner loops run over channels. */
#include <string.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/ops.h"
#include "ops/windows.h"
#include "src/float_mode.h"
#include "src/words.h"

typedef struct pool_job {
    octi_pool g;
    const float *x;
    float *y;
    int32_t *index;
} pool_job;

static int64_t grain(const pool_job *j) { return 1 + 16384 / (j->g.h * j->g.w * j->g.c); }

octi_pool octi_pool_of(const oct_attrs *a, const oct_shape *x, const oct_shape *y) {
    octi_pool g = {.h = x->dim[1], .w = x->dim[2], .c = x->dim[3], .p = y->dim[1], .q = y->dim[2]};
    if (!a) return g;
    g.r = a->kernel[0];
    g.s = a->kernel[1];
    g.stride_h = a->stride[0];
    g.stride_w = a->stride[1];
    g.top = a->pads[0];
    g.left = a->pads[1];
    g.exclude_pad = a->exclude_pad[0] != 0;
    return g;
}

static pool_job pool_job_of(const oct_attrs *a, const oct_tensor *x, const oct_tensor *y) {
    return (pool_job){.g = octi_pool_of(a, &x->shape, &y->shape)};
}

static void max_row(const float *restrict x, float *restrict y, int64_t c) {
    for (int64_t i = 0; i < c; i++) y[i] = octi_beats(x[i], y[i]) ? x[i] : y[i];
}

static void max_row_index(const float *restrict x, float *restrict y, int32_t *restrict index,
                          int32_t at, int64_t c) {
    for (int64_t i = 0; i < c; i++) {
        bool take = octi_beats(x[i], y[i]);
        y[i] = take ? x[i] : y[i];
        index[i] = take ? at : index[i];
    }
}

static void max_images(void *arg, int64_t from, int64_t to) {
    const pool_job *j = arg;
    const octi_pool *g = &j->g;
    for (int64_t n = from; n < to; n++) {
        const float *x = j->x + n * g->h * g->w * g->c;
        for (int64_t p = 0; p < g->p; p++)
            for (int64_t q = 0; q < g->q; q++) {
                const octi_cells rows = octi_cells_inside(p, g->stride_h, g->top, g->r, g->h),
                                 columns = octi_cells_inside(q, g->stride_w, g->left, g->s, g->w);
                const int64_t out = ((n * g->p + p) * g->q + q) * g->c, h0 = rows.from,
                              h1 = rows.to, w0 = columns.from, w1 = columns.to;
                float *y = j->y + out;
                int32_t *index = j->index ? j->index + out : NULL;
                memcpy(y, x + (h0 * g->w + w0) * g->c, (size_t)g->c * sizeof *y);
                for (int64_t i = 0; index && i < g->c; i++) index[i] = (int32_t)(h0 * g->w + w0);
                for (int64_t h = h0; h < h1; h++)
                    for (int64_t w = h == h0 ? w0 + 1 : w0; w < w1; w++) {
                        if (index)
                            max_row_index(x + (h * g->w + w) * g->c, y, index,
                                          (int32_t)(h * g->w + w), g->c);
                        else
                            max_row(x + (h * g->w + w) * g->c, y, g->c);
                    }
            }
    }
}

oct_status oct_max_pool2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                  oct_tensor *y, oct_tensor *index) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_max_pool2d_forward");
    if (!a) return octi_fail(OCT_EUSAGE, "max_pool2d", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_f32("max_pool2d", "x", x, 4));
    OCT_TRY(octi_check_op(OCT_OP_max_pool2d, a, &x, 1, y, "y"));
    if (index) OCT_TRY(octi_check_tensor("max_pool2d", "index", index, OCT_S32, &y->shape));
    if (x->shape.dim[1] * x->shape.dim[2] > INT32_MAX)
        return octi_fail(OCT_ELIMIT, "max_pool2d", "image too large for 32-bit positions", NULL,
                         oct_shape_text(&x->shape), NULL);
    pool_job j = pool_job_of(a, x, y);
    j.x = oct_f32(x);
    j.y = oct_f32(y);
    j.index = index ? oct_s32(index) : NULL;
    octi_for_range(ctx, x->shape.dim[0], grain(&j), max_images, &j);
    return OCT_OK;
}

static void max_grad_images(void *arg, int64_t from, int64_t to) {
    const pool_job *j = arg; /* x = dy, y = dx */
    const octi_pool *g = &j->g;
    for (int64_t n = from; n < to; n++) {
        float *dx = j->y + n * g->h * g->w * g->c;
        memset(dx, 0, (size_t)(g->h * g->w * g->c) * sizeof *dx);
        for (int64_t i = 0; i < g->p * g->q; i++) {
            const float *dy = j->x + (n * g->p * g->q + i) * g->c;
            const int32_t *index = j->index + (n * g->p * g->q + i) * g->c;
            for (int64_t c = 0; c < g->c; c++) dx[(int64_t)index[c] * g->c + c] += dy[c];
        }
    }
}

oct_status oct_max_pool2d_grad(oct_ctx *ctx, const oct_tensor *dy, const oct_tensor *index,
                               oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_max_pool2d_grad");
    OCT_TRY(octi_check_f32("max_pool2d_grad", "dy", dy, 4));
    OCT_TRY(octi_check_f32("max_pool2d_grad", "dx", dx, 4));
    OCT_TRY(octi_check_tensor("max_pool2d_grad", "index", index, OCT_S32, &dy->shape));
    const int64_t *o = dy->shape.dim, *d = dx->shape.dim;
    if (dy->shape.rank != 4 || dx->shape.rank != 4 || o[0] != d[0] || o[3] != d[3])
        return octi_fail(OCT_ESHAPE, "max_pool2d_grad", "batch and channels of dx",
                         oct_shape_text(&dy->shape), oct_shape_text(&dx->shape), NULL);
    const int32_t *at = oct_s32(index);
    for (int64_t i = 0, count = oct_tensor_count(index); i < count; i++)
        if (at[i] < 0 || at[i] >= d[1] * d[2])
            return octi_fail(OCT_EUSAGE, "max_pool2d_grad",
                             octi_fmt("index %lld out of the image", (long long)i), NULL,
                             octi_fmt("%d", at[i]), NULL);
    pool_job j = pool_job_of(NULL, dx, dy);
    j.x = oct_f32(dy);
    j.y = oct_f32(dx);
    j.index = oct_s32(index);
    octi_for_range(ctx, d[0], grain(&j), max_grad_images, &j);
    return OCT_OK;
}

typedef struct window {
    octi_cells rows, columns;
    float cells; /* what the average divides by */
} window;

static window average_window(const octi_pool *g, int64_t p, int64_t q) {
    window v;
    if (g->r == 0) {
        v.rows = octi_cells_adaptive(p, g->p, g->h);
        v.columns = octi_cells_adaptive(q, g->q, g->w);
    } else {
        v.rows = octi_cells_inside(p, g->stride_h, g->top, g->r, g->h);
        v.columns = octi_cells_inside(q, g->stride_w, g->left, g->s, g->w);
    }
    bool count = g->r == 0 || g->exclude_pad;
    v.cells =
        (float)(count ? (v.rows.to - v.rows.from) * (v.columns.to - v.columns.from) : g->r * g->s);
    return v;
}

void octi_mean_pool_image(const octi_pool *g, const float *x, float *y) {
    for (int64_t p = 0; p < g->p; p++)
        for (int64_t q = 0; q < g->q; q++, y += g->c) {
            const window v = average_window(g, p, q);
            memset(y, 0, (size_t)g->c * sizeof *y);
            for (int64_t h = v.rows.from; h < v.rows.to; h++)
                for (int64_t w = v.columns.from; w < v.columns.to; w++) {
                    const float *cell = x + (h * g->w + w) * g->c;
                    for (int64_t c = 0; c < g->c; c++) y[c] += cell[c];
                }
            for (int64_t c = 0; c < g->c; c++) y[c] /= v.cells;
        }
}

static void avg_images(void *arg, int64_t from, int64_t to) {
    const pool_job *j = arg;
    const octi_pool *g = &j->g;
    for (int64_t n = from; n < to; n++)
        octi_mean_pool_image(g, j->x + n * g->h * g->w * g->c, j->y + n * g->p * g->q * g->c);
}

static void avg_grad_images(void *arg, int64_t from, int64_t to) {
    const pool_job *j = arg; /* x = dy, y = dx */
    const octi_pool *g = &j->g;
    for (int64_t n = from; n < to; n++) {
        float *image = j->y + n * g->h * g->w * g->c;
        memset(image, 0, (size_t)(g->h * g->w * g->c) * sizeof *image);
        for (int64_t p = 0; p < g->p; p++)
            for (int64_t q = 0; q < g->q; q++) {
                const float *dy = j->x + ((n * g->p + p) * g->q + q) * g->c;
                const window v = average_window(g, p, q);
                for (int64_t h = v.rows.from; h < v.rows.to; h++)
                    for (int64_t w = v.columns.from; w < v.columns.to; w++) {
                        float *dx = image + (h * g->w + w) * g->c;
                        for (int64_t c = 0; c < g->c; c++) dx[c] += dy[c] / v.cells;
                    }
            }
    }
}

oct_status oct_avg_pool2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                  oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_avg_pool2d_forward");
    if (!a) return octi_fail(OCT_EUSAGE, "avg_pool2d", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_avg_pool2d, a, &x, 1, y, "y"));
    pool_job j = pool_job_of(a, x, y);
    j.x = oct_f32(x);
    j.y = oct_f32(y);
    octi_for_range(ctx, x->shape.dim[0], grain(&j), avg_images, &j);
    return OCT_OK;
}

oct_status oct_avg_pool2d_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *dy,
                               oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_avg_pool2d_grad");
    if (!a) return octi_fail(OCT_EUSAGE, "avg_pool2d", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_f32("avg_pool2d", "dx", dx, 4));
    const oct_tensor *x = dx;
    OCT_TRY(octi_check_op(OCT_OP_avg_pool2d, a, &x, 1, dy, "dy"));
    pool_job j = pool_job_of(a, dx, dy);
    j.x = oct_f32(dy);
    j.y = oct_f32(dx);
    octi_for_range(ctx, dx->shape.dim[0], grain(&j), avg_grad_images, &j);
    return OCT_OK;
}

/** `small` is y or dy: its sides are the number of windows. */
static oct_status adaptive_check(const oct_tensor *large, const oct_tensor *small,
                                 const char *role) {
    const char *op = "adaptive_avg_pool2d";
    OCT_TRY(octi_check_f32(op, role, small, 4));
    if (small->shape.rank != 4 || small->shape.dim[1] > INT32_MAX ||
        small->shape.dim[2] > INT32_MAX)
        return octi_fail(OCT_ESHAPE, op, octi_fmt("shape of %s", role), "[N, P, Q, C]",
                         oct_shape_text(&small->shape), NULL);
    oct_attrs a = {.out_size = {(int32_t)small->shape.dim[1], (int32_t)small->shape.dim[2]}};
    return octi_check_op(OCT_OP_adaptive_avg_pool2d, &a, &large, 1, small, role);
}

oct_status oct_adaptive_avg_pool2d_forward(oct_ctx *ctx, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_adaptive_avg_pool2d_forward");
    OCT_TRY(adaptive_check(x, y, "y"));
    pool_job j = pool_job_of(NULL, x, y);
    j.x = oct_f32(x);
    j.y = oct_f32(y);
    octi_for_range(ctx, x->shape.dim[0], grain(&j), avg_images, &j);
    return OCT_OK;
}

oct_status oct_adaptive_avg_pool2d_grad(oct_ctx *ctx, const oct_tensor *dy, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_adaptive_avg_pool2d_grad");
    OCT_TRY(octi_check_f32("adaptive_avg_pool2d", "dx", dx, 4));
    OCT_TRY(adaptive_check(dx, dy, "dy"));
    pool_job j = pool_job_of(NULL, dx, dy);
    j.x = oct_f32(dy);
    j.y = oct_f32(dx);
    octi_for_range(ctx, dx->shape.dim[0], grain(&j), avg_grad_images, &j);
    return OCT_OK;
}
