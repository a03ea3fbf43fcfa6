/* SPDX-License-Identifier: MIT
 * Knowledge distillation (Hinton, Vinyals and Dean 2015): a student's logits towards a teacher's.
 * Sums as in loss.c: in double per slot of the batch, folded along the one tree. */
#include <math.h>

#include "ops/checks.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

typedef struct distill_job {
    const float *x, *t;
    float *diff, *dx;
    double temperature;
    float scale;
    int64_t n, k;
    octi_cut cut;
    double sum[OCTI_MAX_SLOTS];
} distill_job;

/* log of the sum of exp((x - max) / T), and max. */
static double log_sum(const float *x, int64_t k, double temperature, double *max) {
    double top = (double)x[0], sum = 0;
    for (int64_t i = 1; i < k; i++) top = (double)x[i] > top ? (double)x[i] : top;
    for (int64_t i = 0; i < k; i++) sum += exp(((double)x[i] - top) / temperature);
    *max = top;
    return log(sum);
}

static void distill_slot(void *arg, int64_t slot) {
    distill_job *j = arg;
    double total = 0, temperature = j->temperature;
    int64_t to = octi_cut_at(&j->cut, slot + 1);
    for (int64_t r = octi_cut_at(&j->cut, slot); r < to; r++) {
        const float *x = j->x + r * j->k, *t = j->t + r * j->k;
        float *diff = j->diff + r * j->k;
        double top_x, top_t, sum_x = log_sum(x, j->k, temperature, &top_x),
                             sum_t = log_sum(t, j->k, temperature, &top_t);
        for (int64_t i = 0; i < j->k; i++) {
            double log_s = ((double)x[i] - top_x) / temperature - sum_x,
                   log_t = ((double)t[i] - top_t) / temperature - sum_t;
            double p = exp(log_t);
            /* what the teacher excludes adds nothing, whatever its logarithm */
            if (p > 0) total += p * (log_t - log_s);
            diff[i] = (float)(exp(log_s) - p);
        }
    }
    j->sum[slot] = total;
}

oct_status oct_distill_loss_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                                    const oct_tensor *teacher, oct_tensor *diff, oct_tensor *loss) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_distill_loss_forward");
    OCT_TRY(
        octi_check_op(OCT_OP_distill_loss, a, (const oct_tensor *[]){x, teacher}, 2, loss, "loss"));
    OCT_TRY(octi_check_tensor("distill_loss", "diff", diff, OCT_F32, &x->shape));
    distill_job j = {.x = oct_f32(x),
                     .t = oct_f32(teacher),
                     .diff = oct_f32(diff),
                     .temperature = (double)a->temperature,
                     .n = x->shape.dim[0],
                     .k = x->shape.dim[1],
                     .cut = octi_cut_of(ctx, x->shape.dim[0])};
    octi_parallel_for(j.n * j.k < 2048 ? NULL : octi_ctx_pool(ctx), j.cut.count, distill_slot, &j);
    OCT_TRY(octi_cut_fold_f64(&j.cut, j.sum, 1));
    oct_f32(loss)[0] = (float)(j.temperature * j.temperature * j.sum[0] / (double)j.cut.images);
    return OCT_OK;
}

static void grad_range(void *arg, int64_t from, int64_t to) {
    const distill_job *j = arg;
    for (int64_t i = from; i < to; i++) j->dx[i] = j->t[i] * j->scale;
}

oct_status oct_distill_loss_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *diff,
                                 const oct_tensor *dloss, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_distill_loss_grad");
    OCT_TRY(octi_check_op(OCT_OP_distill_loss, a, (const oct_tensor *[]){diff, diff}, 2, dloss,
                          "dloss"));
    OCT_TRY(octi_check_tensor("distill_loss", "dx", dx, OCT_F32, &diff->shape));
    distill_job j = {.t = oct_f32(diff),
                     .dx = oct_f32(dx),
                     .n = diff->shape.dim[0],
                     .k = diff->shape.dim[1],
                     .cut = octi_cut_of(ctx, diff->shape.dim[0])};
    /* T^2 of the loss, 1/T of the softmax */
    j.scale = (float)((double)oct_f32(dloss)[0] * (double)a->temperature / (double)j.cut.images);
    octi_for_range(ctx, j.n * j.k, 16384, grad_range, &j);
    return OCT_OK;
}
