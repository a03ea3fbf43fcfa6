/* SPDX-License-Identifier: MIT
 * Pooling over windows of NHWC images; the inner loops run over channels. */
#include <string.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/ops.h"
#include "ops/windows.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/threads.h"
#include "src/words.h"

typedef struct pool_job {
    octi_pool g;
    const float *x;
    float *y;
    int32_t *index;
} pool_job;

/* of max pools: each has a room of its own; of 4 bytes, so that a room of SIZE_MAX / 64 fits */
enum { MOST_TASKS = 16 };

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

/* ---- the largest ---- */

/* y[i], and where it is, become x's where that beats it. x_at NULL: all of x is at `place`. */
static void keep_larger(float *restrict y, int32_t *restrict at, const float *restrict x,
                        const int32_t *restrict x_at, int64_t place, int64_t n) {
    if (!at)
        for (int64_t i = 0; i < n; i++) y[i] = octi_beats(x[i], y[i]) ? x[i] : y[i];
    else
        for (int64_t i = 0; i < n; i++) {
            const bool take = octi_beats(x[i], y[i]);
            const int32_t from = x_at ? x_at[i] : (int32_t)place;
            y[i] = take ? x[i] : y[i];
            at[i] = take ? from : at[i];
        }
}

/* The larger of a cell at `place` and the one behind it: how most windows begin. */
static void larger_of_two(float *restrict y, int32_t *restrict at, const float *restrict x,
                          int64_t place, int64_t n) {
    const float *next = x + n;
    if (!at)
        for (int64_t i = 0; i < n; i++) y[i] = octi_beats(next[i], x[i]) ? next[i] : x[i];
    else
        for (int64_t i = 0; i < n; i++) {
            const bool take = octi_beats(next[i], x[i]);
            y[i] = take ? next[i] : x[i];
            at[i] = (int32_t)(place + take);
        }
}

/* The largest across each window of one row of the image. */
static void largest_across(const octi_pool *g, const float *x, int64_t h, float *y, int32_t *at) {
    const int64_t c = g->c;
    for (int64_t q = 0; q < g->q; q++, y += c, at = at ? at + c : NULL) {
        const octi_cells columns = octi_cells_inside(q, g->stride_w, g->left, g->s, g->w);
        const int64_t place = h * g->w + columns.from;
        const float *cell = x + place * c;
        if (columns.to - columns.from < 2) {
            memcpy(y, cell, (size_t)c * sizeof *y);
            for (int64_t i = 0; at && i < c; i++) at[i] = (int32_t)place;
            continue;
        }
        larger_of_two(y, at, cell, place, c);
        for (int64_t k = 2; k < columns.to - columns.from; k++)
            keep_larger(y, at, cell + k * c, NULL, place + k, c);
    }
}

/* Rows that a window has at most. */
static int64_t ring_rows(const octi_pool *g) { return g->r < g->h ? g->r : g->h; }

oct_status octi_max_pool_room(const octi_pool *g, const char *where, size_t *room) {
    size_t n;
    if (octi_mul_size((size_t)(g->q * g->c), (size_t)ring_rows(g), &n) && n <= SIZE_MAX / 64)
        return *room = n, OCT_OK;
    return octi_fail(OCT_ELIMIT, where, "windows too large", "a window's rows fit in memory", NULL,
                     NULL);
}

static void max_pool_rows(const octi_pool *g, int64_t from, int64_t to, const float *x, float *y,
                          int32_t *at, float *room, int32_t *at_room) {
    const int64_t row = g->q * g->c, ring = ring_rows(g);
    int64_t done = 0;
    for (int64_t p = from; p < to; p++, y += row, at = at ? at + row : NULL) {
        const octi_cells rows = octi_cells_inside(p, g->stride_h, g->top, g->r, g->h);
        for (int64_t h = rows.from > done ? rows.from : done; h < rows.to; h++)
            largest_across(g, x, h, room + h % ring * row, at ? at_room + h % ring * row : NULL);
        done = rows.to > done ? rows.to : done;
        for (int64_t h = rows.from; h < rows.to; h++) {
            const float *across = room + h % ring * row;
            const int32_t *across_at = at ? at_room + h % ring * row : NULL;
            if (h > rows.from) {
                keep_larger(y, at, across, across_at, 0, row);
                continue;
            }
            memcpy(y, across, (size_t)row * sizeof *y);
            if (at) memcpy(at, across_at, (size_t)row * sizeof *at);
        }
    }
}

void octi_max_pool_image(const octi_pool *g, const float *x, float *y, int32_t *at, float *room,
                         int32_t *at_room) {
    max_pool_rows(g, 0, g->p, x, y, at, room, at_room);
}

void octi_max_pool_rows(const octi_pool *g, int64_t from, int64_t to, const float *x, float *y,
                        float *room) {
    max_pool_rows(g, from, to, x, y + from * g->q * g->c, NULL, room, NULL);
}

typedef struct max_job {
    pool_job pool;
    int64_t images, tasks;
    size_t room;
    float *rooms; /* [tasks][room] */
    int32_t *at_rooms;
} max_job;

static void max_task(void *arg, int64_t task) {
    const max_job *m = arg;
    const pool_job *j = &m->pool;
    const octi_pool *g = &j->g;
    const int64_t x = g->h * g->w * g->c, y = g->p * g->q * g->c;
    for (int64_t n = m->images * task / m->tasks; n < m->images * (task + 1) / m->tasks; n++)
        octi_max_pool_image(g, j->x + n * x, j->y + n * y, j->index ? j->index + n * y : NULL,
                            m->rooms + (size_t)task * m->room,
                            j->index ? m->at_rooms + (size_t)task * m->room : NULL);
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
    max_job m = {.pool = pool_job_of(a, x, y), .images = x->shape.dim[0]};
    m.pool.x = oct_f32(x);
    m.pool.y = oct_f32(y);
    m.pool.index = index ? oct_s32(index) : NULL;
    OCT_TRY(octi_max_pool_room(&m.pool.g, "max_pool2d", &m.room));
    m.tasks = m.images / grain(&m.pool);
    m.tasks = m.tasks < 1 ? 1 : m.tasks > MOST_TASKS ? MOST_TASKS : m.tasks;
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    const octi_arena_mark mark = octi_arena_save(scratch);
    m.rooms = octi_arena_alloc(scratch, (size_t)m.tasks * m.room * sizeof *m.rooms);
    if (m.rooms && index)
        m.at_rooms = octi_arena_alloc(scratch, (size_t)m.tasks * m.room * sizeof *m.at_rooms);
    const bool ready = m.rooms && (!index || m.at_rooms);
    if (ready) octi_parallel_for(octi_ctx_pool(ctx), m.tasks, max_task, &m);
    octi_arena_rewind(scratch, mark);
    return ready ? OCT_OK : oct_last_error()->code;
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
