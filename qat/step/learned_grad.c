/* SPDX-License-Identifier: MIT
 * Gradients of learned scales.
 *
 * Values of codes are y = s * (clamp(rne(u) + z, qmin, qmax) - z), u = x / s. Straight through rne,
 * d rne(u) = du, and with N features of one image (of a weight: weights behind one step):
 *
 *   LSQ, eq. 3 and section 2.2
 *       dy/ds = rne(u) - u                inside
 *               qmin - z, qmax - z        below, above
 *       d step = g * sum dL/dy * dy/ds,   g = 1 / sqrt(N * (qmax - z))
 *   LSQ+, eq. 5 to 7: with an offset b, z = rne(-b / s), and y = s * q + b for code q
 *       dy/ds = rne(u) - u inside; qmin below, qmax above      (LSQ's, plus z outside)
 *       dy/db = 0 inside; 1 outside                            both times g
 *   PACT, eq. 3: y = clip(x, 0, alpha) on s = alpha / (qmax - z)
 *       dy/d alpha = 1 above, 0 else      the term qmax - z of what is above, over qmax - z
 *
 * The term dy/ds and the mask come from the forward pass (rounding.h). */
#include "qat/step/learned_grad.h"

#include <math.h>

#include "qat/scales/learned.h"
#include "qat/scales/weight_range.h"
#include "src/cut.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/threads.h"

/* Sums over the images of a slot: slots fold along one tree, so threads change no bit. */
typedef struct sum_job {
    const float *dy, *term;
    const uint8_t *mask;
    int64_t each; /* elements per image */
    octi_cut cut;
    double sums[OCTI_MAX_SLOTS][3]; /* dy * term inside, dy * term outside, dy outside */
} sum_job;

static void sum_task(void *arg, int64_t i) {
    sum_job *j = arg;
    double inside = 0, outside = 0, count = 0;
    for (int64_t k = octi_cut_at(&j->cut, i) * j->each, to = octi_cut_at(&j->cut, i + 1) * j->each;
         k < to; k++) {
        float out = (float)(j->mask[k] >> 1), d = j->dy[k] * j->term[k];
        inside += (double)(d * (1.0f - out));
        outside += (double)(d * out);
        count += (double)(j->dy[k] * out);
    }
    j->sums[i][0] = inside;
    j->sums[i][1] = outside;
    j->sums[i][2] = count;
}

static oct_status add_grad(oct_ctx *ctx, oct_tensor *t, int64_t i, double v) {
    if (!t->grad && !(t->grad = oct_tensor_new(ctx, OCT_F32, t->shape)))
        return oct_last_error()->code;
    oct_f32(t->grad)[i] += (float)v;
    return OCT_OK;
}

oct_status octi_learned_grad(octi_call *c, oct_quantizer *q, const octi_straight *to) {
    const oct_shape *s = &c->dout->shape;
    sum_job j = {.dy = oct_f32(c->dout),
                 .term = oct_f32(to->term),
                 .mask = oct_u8(to->mask),
                 .cut = octi_cut_of(c->ctx, s->dim[0])};
    if (!s->dim[0]) return OCT_OK;
    j.each = oct_shape_count(s) / s->dim[0];
    octi_parallel_for(octi_ctx_pool(c->ctx), j.cut.count, sum_task, &j);
    OCT_TRY(octi_cut_fold_f64(&j.cut, j.sums[0], 3));
    const double *sum = j.sums[0]; /* dy * term inside, dy * term outside, dy outside */
    double g = 1 / sqrt((double)j.each * octi_levels_above(q));
    if (q->method == OCT_METHOD_PACT)
        return add_grad(c->ctx, q->step, 0, sum[1] / octi_levels_above(q));
    if (!q->offset) return add_grad(c->ctx, q->step, 0, g * (sum[0] + sum[1]));
    OCT_TRY(add_grad(c->ctx, q->step, 0, g * (sum[0] + sum[1] + octi_zero_point(q) * sum[2])));
    return add_grad(c->ctx, q->offset, 0, g * sum[2]);
}

/* W' = s * clamp(rne(u), qmin, qmax), u = w * factor / s: LSQ as above with z = 0. A channel's step
 * is in units of the weights before the fold, s = step * |factor|, hence d step = d s *
 * |factor|. */
oct_status octi_learned_weight_grad(oct_ctx *ctx, oct_quantizer *q, const octi_qweights *qw,
                                    const float *w, float s_x, float *dw) {
    const float lo = (float)q->spec.qmin, hi = (float)q->spec.qmax;
    const bool per_channel = q->spec.per_channel;
    double shared = 0;
    for (int32_t o = 0; o < qw->o; o++) {
        const float f = qw->factor ? qw->factor[o] : 1.0f, unit = per_channel ? fabsf(f) : 1.0f,
                    s = qw->scale[o];
        double sum = 0;
        for (int64_t k = o * qw->k; k < (o + 1) * qw->k; k++) {
            const float u = w[k] * f / s, r = octq_rne(u);
            const int side = octi_weight_side(q, u, r);
            sum += (double)dw[k] * (double)(side < 0 ? lo : side > 0 ? hi : r - u);
            if (side) dw[k] = 0;
        }
        bool lifted = s_x > 0 && fabsf(qw->bias[o]) / (s_x * 0x1p30f) >
                                     oct_f32(q->step)[per_channel ? o : 0] * unit;
        if (lifted) continue; /* the bias sets this scale (law 5) */
        if (per_channel)
            OCT_TRY(add_grad(ctx, q->step, o, sum * (double)unit / sqrt((double)qw->k * hi)));
        else
            shared += sum;
    }
    return per_channel
               ? OCT_OK
               : add_grad(ctx, q->step, 0, shared / sqrt((double)qw->o * (double)qw->k * hi));
}
