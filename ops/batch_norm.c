/* SPDX-License-Identifier: MIT
 * Batch norm over the last axis. A slot of the batch is read in chunks that fit the first-level
 * cache: sums of a chunk in float, around a value near the mean, merged in double (Chan, Golub,
 * LeVeque 1979), slots then along the one binary tree. */
#include <math.h>
#include <string.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/kernels/kernels.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

enum { CHUNK_FLOATS = 4096, MOST_CHUNK_ROWS = 256, PASS_GRAIN = 16384 };

typedef struct bn_job {
    const float *x, *dy;
    float *y;           /* y or dx */
    int64_t n, rows, c; /* samples here, rows of c values in a sample, channels */
    octi_cut cut;
    double *sum;        /* [slots][2 * c]: mean and M2, or sums of dy and dy * (x - mean) */
    float *chunk;       /* [slots][3 * c]: sums of a chunk */
    const float *mean;  /* [c] */
    const float *a, *b; /* [c]: factors of the pass over elements */
    const float *k;
    const octk_table *kernels;
} bn_job;

static int64_t chunk_rows(int64_t c) {
    int64_t r = CHUNK_FLOATS / c;
    return r < 1 ? 1 : r > MOST_CHUNK_ROWS ? MOST_CHUNK_ROWS : r;
}

/** Merge (n, mean, M2) of b into a. */
static void merge(double na, double *mean, double *m2, double nb, double mean_b, double m2_b) {
    double n = na + nb, d = mean_b - *mean;
    *mean += d * (nb / n);
    *m2 += m2_b + d * d * (na * (nb / n));
}

static void stats_slot(void *arg, int64_t slot) {
    const bn_job *j = arg;
    int64_t from = octi_cut_at(&j->cut, slot) * j->rows,
            to = octi_cut_at(&j->cut, slot + 1) * j->rows;
    int64_t step = chunk_rows(j->c), c = j->c;
    double *mean = j->sum + slot * 2 * c, *m2 = mean + c;
    float *s = j->chunk + slot * 3 * c, *q = s + c, *mid = q + c;
    memset(mean, 0, (size_t)(2 * c) * sizeof *mean);
    for (int64_t r = from; r < to; r += step) {
        int64_t rows = to - r < step ? to - r : step;
        const float *x = j->x + r * c;
        /* Moments are taken around a float near the mean: of the first chunk its own rough mean,
         * then the mean so far. */
        if (r == from) {
            j->kernels->column_sums_f32(rows, c, x, s);
            for (int64_t i = 0; i < c; i++) mid[i] = s[i] / (float)rows;
        } else
            for (int64_t i = 0; i < c; i++) mid[i] = (float)mean[i];
        j->kernels->column_moments_f32(rows, c, x, mid, s, q);
        double na = (double)(r - from), nb = (double)rows;
        for (int64_t i = 0; i < c; i++) {
            double off = (double)s[i] / nb;
            merge(na, &mean[i], &m2[i], nb, (double)mid[i] + off,
                  (double)q[i] - (double)s[i] * off);
        }
    }
}

static void join_moments(const octi_join *join) {
    const bn_job *j = join->arg;
    const double na = (double)(join->images_a * j->rows), nb = (double)(join->images_b * j->rows);
    double *a = join->a;
    const double *b = join->b;
    for (int64_t k = join->from; k < join->to; k++)
        merge(na, &a[k], &a[j->c + k], nb, b[k], b[j->c + k]);
}

static oct_status fold_stats(oct_ctx *ctx, const bn_job *j) {
    const octi_sum moments = {join_moments, j, j->c, 2 * (size_t)j->c * sizeof(double)};
    return octi_cut_fold(&j->cut, octi_ctx_pool(ctx), &moments, j->sum);
}

static void normalize_rows(void *arg, int64_t from, int64_t to) {
    const bn_job *j = arg;
    j->kernels->normalize_f32(to - from, j->c, j->x + from * j->c, j->mean, j->a, j->b,
                              j->y + from * j->c);
}

static bn_job job_of(oct_ctx *ctx, const oct_tensor *x, oct_tensor *y, octi_arena *scratch,
                     bool sums) {
    bn_job j = {.x = oct_f32(x),
                .y = y ? oct_f32(y) : NULL,
                .n = x->shape.dim[0],
                .c = x->shape.dim[x->shape.rank - 1],
                .kernels = octi_ctx_kernels(ctx)};
    j.rows = oct_tensor_count(x) / j.n / j.c;
    j.cut = octi_cut_of(ctx, j.n);
    if (sums) {
        j.sum = octi_arena_alloc(scratch, (size_t)j.cut.count * 2 * (size_t)j.c * sizeof(double));
        j.chunk = octi_arena_alloc(scratch, (size_t)j.cut.count * 3 * (size_t)j.c * sizeof(float));
    }
    return j;
}

static void over_rows(oct_ctx *ctx, bn_job *j, octi_range_fn fn) {
    octi_for_range(ctx, j->n * j->rows, 1 + PASS_GRAIN / j->c, fn, j);
}

static const oct_tensor *list5(const oct_tensor **in, const oct_tensor *x, const oct_tensor *a,
                               const oct_tensor *b, const oct_tensor *c, const oct_tensor *d) {
    in[0] = x, in[1] = a, in[2] = b, in[3] = c, in[4] = d;
    return x;
}

oct_status oct_batch_norm_train(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                const oct_tensor *gamma, const oct_tensor *beta,
                                oct_tensor *running_mean, oct_tensor *running_var, oct_tensor *mean,
                                oct_tensor *invstd, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_batch_norm_train");
    const oct_tensor *in[5];
    if (!a) return octi_fail(OCT_EUSAGE, "batch_norm", "attributes are NULL", NULL, NULL, NULL);
    if (!running_mean != !running_var)
        return octi_fail(OCT_EUSAGE, "batch_norm", "running mean and variance go together", NULL,
                         NULL, NULL);
    list5(in, x, gamma, beta, mean, invstd);
    OCT_TRY(octi_check_op(OCT_OP_batch_norm, a, in, 5, y, "y"));
    if (running_mean)
        OCT_TRY(
            octi_check_tensor("batch_norm", "running mean", running_mean, OCT_F32, &gamma->shape));
    if (running_var)
        OCT_TRY(octi_check_tensor("batch_norm", "running variance", running_var, OCT_F32,
                                  &gamma->shape));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    bn_job j = job_of(ctx, x, y, scratch, true);
    float *factor = octi_arena_alloc(scratch, (size_t)j.c * sizeof *factor);
    oct_status st = OCT_OK;
    if (!j.sum || !j.chunk || !factor)
        st = oct_last_error()->code;
    else if (j.cut.images * j.rows < 2)
        st = octi_fail(OCT_EUSAGE, "batch_norm", "values per channel in training", "at least 2",
                       "1", "use a larger batch");
    if (st != OCT_OK) return octi_arena_rewind(scratch, mark), st;

    octi_parallel_for(j.n * j.rows * j.c < PASS_GRAIN ? NULL : octi_ctx_pool(ctx), j.cut.count,
                      stats_slot, &j);
    if ((st = fold_stats(ctx, &j)) != OCT_OK) return octi_arena_rewind(scratch, mark), st;
    const double n = (double)(j.cut.images * j.rows);
    for (int64_t c = 0; c < j.c; c++) {
        double m = j.sum[c],
               m2 = j.sum[j.c + c] > 0 || j.sum[j.c + c] != j.sum[j.c + c] ? j.sum[j.c + c] : 0,
               share = (double)a->momentum;
        double inv = 1.0 / sqrt(m2 / n + (double)a->eps);
        oct_f32(mean)[c] = (float)m;
        oct_f32(invstd)[c] = (float)inv;
        factor[c] = (float)(inv * (double)oct_f32(gamma)[c]);
        if (running_mean) {
            oct_f32(running_mean)[c] =
                (float)((1 - share) * (double)oct_f32(running_mean)[c] + share * m);
            oct_f32(running_var)[c] =
                (float)((1 - share) * (double)oct_f32(running_var)[c] + share * (m2 / (n - 1)));
        }
    }
    j.mean = oct_f32(mean);
    j.a = factor;
    j.b = oct_f32(beta);
    over_rows(ctx, &j, normalize_rows);
    octi_arena_rewind(scratch, mark);
    return OCT_OK;
}

float octi_batch_norm_factor(float gamma, float var, float eps) {
    return (float)((double)gamma / sqrt((double)var + (double)eps));
}

oct_status oct_batch_norm_eval(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                               const oct_tensor *gamma, const oct_tensor *beta,
                               const oct_tensor *mean, const oct_tensor *var, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_batch_norm_eval");
    const oct_tensor *in[5];
    if (!a) return octi_fail(OCT_EUSAGE, "batch_norm", "attributes are NULL", NULL, NULL, NULL);
    list5(in, x, gamma, beta, mean, var);
    OCT_TRY(octi_check_op(OCT_OP_batch_norm, a, in, 5, y, "y"));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    bn_job j = job_of(ctx, x, y, scratch, false);
    float *factor = octi_arena_alloc(scratch, (size_t)j.c * sizeof *factor);
    if (!factor) return octi_arena_rewind(scratch, mark), oct_last_error()->code;
    for (int64_t c = 0; c < j.c; c++)
        factor[c] = octi_batch_norm_factor(oct_f32(gamma)[c], oct_f32(var)[c], a->eps);
    j.mean = oct_f32(mean);
    j.a = factor;
    j.b = oct_f32(beta);
    over_rows(ctx, &j, normalize_rows);
    octi_arena_rewind(scratch, mark);
    return OCT_OK;
}

static void grad_sums_slot(void *arg, int64_t slot) {
    const bn_job *j = arg;
    int64_t from = octi_cut_at(&j->cut, slot) * j->rows,
            to = octi_cut_at(&j->cut, slot + 1) * j->rows;
    int64_t step = chunk_rows(j->c), c = j->c;
    double *sum = j->sum + slot * 2 * c;
    float *s = j->chunk + slot * 3 * c;
    memset(sum, 0, (size_t)(2 * c) * sizeof *sum);
    for (int64_t r = from; r < to; r += step) {
        int64_t rows = to - r < step ? to - r : step;
        j->kernels->bn_grad_sums_f32(rows, c, j->x + r * c, j->dy + r * c, j->mean, s, s + c);
        for (int64_t i = 0; i < 2 * c; i++) sum[i] += (double)s[i];
    }
}

static void grad_rows(void *arg, int64_t from, int64_t to) {
    const bn_job *j = arg;
    j->kernels->bn_grad_x_f32(to - from, j->c, j->x + from * j->c, j->dy + from * j->c, j->mean,
                              j->a, j->b, j->k, j->y + from * j->c);
}

/** Both gradients: invstd[c] is given; `constant` statistics carry no gradient. */
static oct_status grad(oct_ctx *ctx, octi_arena *scratch, const oct_tensor *x, const oct_tensor *dy,
                       const float *gamma, const float *mean, const float *invstd, bool constant,
                       oct_tensor *dx, float *dgamma, float *dbeta) {
    bn_job j = job_of(ctx, x, dx, scratch, true);
    j.dy = oct_f32(dy);
    j.mean = mean;
    float *factor = octi_arena_alloc(scratch, (size_t)(3 * j.c) * sizeof *factor);
    if (!j.sum || !j.chunk || !factor) return oct_last_error()->code;
    octi_parallel_for(j.n * j.rows * j.c < PASS_GRAIN ? NULL : octi_ctx_pool(ctx), j.cut.count,
                      grad_sums_slot, &j);
    OCT_TRY(octi_cut_fold_f64(&j.cut, j.sum, 2 * j.c));
    const double n = (double)(j.cut.images * j.rows);
    for (int64_t c = 0; c < j.c; c++) {
        double sum_dy = j.sum[c], sum_dyx = j.sum[j.c + c], inv = (double)invstd[c];
        dbeta[c] = (float)sum_dy;
        dgamma[c] = (float)(sum_dyx * inv);
        factor[c] = (float)((double)gamma[c] * inv);
        factor[j.c + c] = constant ? 0.0f : (float)(sum_dy / n);
        factor[2 * j.c + c] = constant ? 0.0f : (float)(sum_dyx * inv * inv / n);
    }
    j.a = factor;
    j.b = factor + j.c;
    j.k = factor + 2 * j.c;
    over_rows(ctx, &j, grad_rows);
    return OCT_OK;
}

oct_status oct_batch_norm_grad(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *dy,
                               const oct_tensor *gamma, const oct_tensor *mean,
                               const oct_tensor *invstd, oct_tensor *dx, oct_tensor *dgamma,
                               oct_tensor *dbeta) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_batch_norm_grad");
    const oct_tensor *in[5];
    oct_attrs a = {.eps = 0};
    list5(in, x, gamma, dgamma, mean, invstd);
    OCT_TRY(octi_check_op(OCT_OP_batch_norm, &a, in, 5, dy, "dy"));
    OCT_TRY(octi_check_tensor("batch_norm", "dx", dx, OCT_F32, &x->shape));
    OCT_TRY(octi_check_tensor("batch_norm", "dbeta", dbeta, OCT_F32, &gamma->shape));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    oct_status st = grad(ctx, scratch, x, dy, oct_f32(gamma), oct_f32(mean), oct_f32(invstd), false,
                         dx, oct_f32(dgamma), oct_f32(dbeta));
    octi_arena_rewind(scratch, mark);
    return st;
}

oct_status oct_batch_norm_grad_eval(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                    const oct_tensor *dy, const oct_tensor *gamma,
                                    const oct_tensor *mean, const oct_tensor *var, oct_tensor *dx,
                                    oct_tensor *dgamma, oct_tensor *dbeta) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_batch_norm_grad_eval");
    const oct_tensor *in[5];
    if (!a) return octi_fail(OCT_EUSAGE, "batch_norm", "attributes are NULL", NULL, NULL, NULL);
    list5(in, x, gamma, dgamma, mean, var);
    OCT_TRY(octi_check_op(OCT_OP_batch_norm, a, in, 5, dy, "dy"));
    OCT_TRY(octi_check_tensor("batch_norm", "dx", dx, OCT_F32, &x->shape));
    OCT_TRY(octi_check_tensor("batch_norm", "dbeta", dbeta, OCT_F32, &gamma->shape));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    int64_t c = oct_tensor_count(gamma);
    float *inv = octi_arena_alloc(scratch, (size_t)c * sizeof *inv);
    oct_status st = inv ? OCT_OK : oct_last_error()->code;
    for (int64_t i = 0; inv && i < c; i++)
        inv[i] = (float)(1.0 / sqrt((double)oct_f32(var)[i] + (double)a->eps));
    if (inv)
        st = grad(ctx, scratch, x, dy, oct_f32(gamma), oct_f32(mean), inv, true, dx,
                  oct_f32(dgamma), oct_f32(dbeta));
    octi_arena_rewind(scratch, mark);
    return st;
}
