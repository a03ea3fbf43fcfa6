/* SPDX-License-Identifier: MIT
 * Losses: a sum in double per slot of the batch, folded along the one tree, then the mean. */
#include <math.h>

#include "ops/checks.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

typedef struct loss_job {
    const float *x, *t; /* t: target, or prob of a gradient */
    const int32_t *labels;
    float *out;
    float smoothing, scale;
    int64_t n, k; /* rows here, elements of a row */
    octi_cut cut;
    double sum[OCTI_MAX_SLOTS];
} loss_job;

static void cross_entropy_slot(void *arg, int64_t slot) {
    loss_job *j = arg;
    double e = (double)j->smoothing, total = 0;
    int64_t to = octi_cut_at(&j->cut, slot + 1);
    for (int64_t r = octi_cut_at(&j->cut, slot); r < to; r++) {
        const float *x = j->x + r * j->k;
        float *prob = j->out + r * j->k, max = x[0];
        for (int64_t i = 1; i < j->k; i++) max = x[i] > max ? x[i] : max;
        double sum = 0, shifted = 0;
        for (int64_t i = 0; i < j->k; i++) {
            sum += prob[i] = expf(x[i] - max);
            shifted += (double)x[i] - max;
        }
        float scale = (float)(1.0 / sum);
        for (int64_t i = 0; i < j->k; i++) prob[i] *= scale;
        double log_sum = log(sum);
        total += (1 - e) * (log_sum - ((double)x[j->labels[r]] - max));
        if (e > 0) total += e * (log_sum - shifted / (double)j->k);
    }
    j->sum[slot] = total;
}

/** All labels are judged before anything is written. */
static oct_status check_labels(const oct_tensor *labels, int64_t k) {
    const int32_t *l = oct_s32(labels);
    for (int64_t i = 0; i < labels->shape.dim[0]; i++)
        if (l[i] < 0 || l[i] >= k)
            return octi_fail(OCT_EUSAGE, "cross_entropy",
                             octi_fmt("label of row %lld", (long long)i),
                             octi_fmt("0 to %lld", (long long)k - 1), octi_fmt("%d", l[i]), NULL);
    return OCT_OK;
}

oct_status oct_cross_entropy_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                     const oct_tensor *labels, oct_tensor *prob, oct_tensor *loss) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_cross_entropy_forward");
    OCT_TRY(
        octi_check_op(OCT_OP_cross_entropy, a, (const oct_tensor *[]){x, labels}, 2, loss, "loss"));
    OCT_TRY(octi_check_tensor("cross_entropy", "prob", prob, OCT_F32, &x->shape));
    OCT_TRY(check_labels(labels, x->shape.dim[1]));
    loss_job j = {.x = oct_f32(x),
                  .labels = oct_s32(labels),
                  .out = oct_f32(prob),
                  .smoothing = a ? a->smoothing : 0,
                  .n = x->shape.dim[0],
                  .k = x->shape.dim[1],
                  .cut = octi_cut_of(ctx, x->shape.dim[0])};
    octi_parallel_for(j.n * j.k < 2048 ? NULL : octi_ctx_pool(ctx), j.cut.count, cross_entropy_slot,
                      &j);
    OCT_TRY(octi_cut_fold_f64(&j.cut, j.sum, 1));
    oct_f32(loss)[0] = (float)(j.sum[0] / (double)j.cut.images);
    return OCT_OK;
}

static void cross_entropy_grad_rows(void *arg, int64_t from, int64_t to) {
    const loss_job *j = arg;
    float e = j->smoothing, off = e / (float)j->k;
    for (int64_t r = from; r < to; r++) {
        const float *prob = j->t + r * j->k;
        float *dx = j->out + r * j->k;
        for (int64_t i = 0; i < j->k; i++) dx[i] = (prob[i] - off) * j->scale;
        int32_t l = j->labels[r];
        dx[l] = (prob[l] - off - (1.0f - e)) * j->scale;
    }
}

oct_status oct_cross_entropy_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *prob,
                                  const oct_tensor *labels, const oct_tensor *dloss,
                                  oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_cross_entropy_grad");
    OCT_TRY(octi_check_op(OCT_OP_cross_entropy, a, (const oct_tensor *[]){prob, labels}, 2, dloss,
                          "dloss"));
    OCT_TRY(octi_check_tensor("cross_entropy", "dx", dx, OCT_F32, &prob->shape));
    OCT_TRY(check_labels(labels, prob->shape.dim[1]));
    loss_job j = {.t = oct_f32(prob),
                  .labels = oct_s32(labels),
                  .out = oct_f32(dx),
                  .smoothing = a ? a->smoothing : 0,
                  .n = prob->shape.dim[0],
                  .k = prob->shape.dim[1],
                  .cut = octi_cut_of(ctx, prob->shape.dim[0])};
    j.scale = oct_f32(dloss)[0] / (float)j.cut.images;
    octi_for_range(ctx, j.n, 1 + 8192 / j.k, cross_entropy_grad_rows, &j);
    return OCT_OK;
}

static void mse_slot(void *arg, int64_t slot) {
    loss_job *j = arg;
    int64_t from = octi_cut_at(&j->cut, slot) * j->k, to = octi_cut_at(&j->cut, slot + 1) * j->k;
    double sum = 0;
    for (int64_t i = from; i < to; i++) {
        double d = (double)j->x[i] - j->t[i];
        sum += d * d;
    }
    j->sum[slot] = sum;
}

static loss_job mse_job(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *t) {
    int64_t n = x->shape.rank ? x->shape.dim[0] : 1;
    return (loss_job){.x = oct_f32(x),
                      .t = oct_f32(t),
                      .n = n,
                      .k = oct_tensor_count(x) / n,
                      .cut = octi_cut_of(ctx, n)};
}

oct_status oct_mse_loss_forward(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *t,
                                oct_tensor *loss) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_mse_loss_forward");
    OCT_TRY(octi_check_op(OCT_OP_mse_loss, NULL, (const oct_tensor *[]){x, t}, 2, loss, "loss"));
    loss_job j = mse_job(ctx, x, t);
    octi_parallel_for(j.n * j.k < 8192 ? NULL : octi_ctx_pool(ctx), j.cut.count, mse_slot, &j);
    OCT_TRY(octi_cut_fold_f64(&j.cut, j.sum, 1));
    oct_f32(loss)[0] = (float)(j.sum[0] / ((double)j.cut.images * (double)j.k));
    return OCT_OK;
}

static void mse_grad_range(void *arg, int64_t from, int64_t to) {
    const loss_job *j = arg;
    for (int64_t i = from; i < to; i++) j->out[i] = (j->x[i] - j->t[i]) * j->scale;
}

oct_status oct_mse_loss_grad(oct_ctx *ctx, const oct_tensor *x, const oct_tensor *t,
                             const oct_tensor *dloss, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_mse_loss_grad");
    OCT_TRY(octi_check_op(OCT_OP_mse_loss, NULL, (const oct_tensor *[]){x, t}, 2, dloss, "dloss"));
    OCT_TRY(octi_check_tensor("mse_loss", "dx", dx, OCT_F32, &x->shape));
    loss_job j = mse_job(ctx, x, t);
    j.out = oct_f32(dx);
    j.scale = (float)(2.0 * (double)oct_f32(dloss)[0] / ((double)j.cut.images * (double)j.k));
    octi_for_range(ctx, j.n * j.k, 16384, mse_grad_range, &j);
    return OCT_OK;
}
