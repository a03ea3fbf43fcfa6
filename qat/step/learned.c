/* SPDX-License-Identifier: MIT
 * Learned scales: how they begin, what they become at a step's start, their gradients.
 *
 * Values of codes are y = s * (clamp(rne(u) + z, qmin, qmax) - z), u = x / s. Straight through rne,
 * d rne(u) = du, and with N features of one image (of a weight: weights behind one step):
 *
 *   LSQ, eq. 3 and section 2.2
 *       dy/ds = rne(u) - u                inside
 *               qmin - z, qmax - z        below, above
 *       d step = g * sum dL/dy * dy/ds,   g = 1 / sqrt(N * (qmax - z))
 *       first step = 2 * mean|x| / sqrt(qmax - z)
 *   LSQ+, eq. 5 to 7: with an offset b, z = rne(-b / s), and y = s * q + b for code q
 *       dy/ds = rne(u) - u inside; qmin below, qmax above      (LSQ's, plus z outside)
 *       dy/db = 0 inside; 1 outside                            both times g
 *       first step: least squared error (values), max |mean +- 3 sd| / qmax (weights)
 *   PACT, eq. 3: y = clip(x, 0, alpha) on s = alpha / (qmax - z)
 *       dy/d alpha = 1 above, 0 else      the term qmax - z of what is above, over qmax - z
 *
 * The term dy/ds and the mask come from the forward pass (rounding.h). */
#include "qat/step/learned.h"

#include <math.h>
#include <string.h>

#include "ops/checks.h"
#include "qat/step/weight_range.h"
#include "src/cut.h"
#include "src/mem.h"
#include "src/qround.h"

static float levels_above(const oct_quantizer *q) {
    int32_t n = q->spec.qmax - octi_zero_point(q);
    return n > 0 ? (float)n : 1.0f;
}

/* A step never gets below a 64th of what the range alone would give: it cannot cross zero, nor die
 * near it. A pure function of what is stored, so that asking twice changes nothing. */
static float at_least(float step, float of_range) {
    float least = fmaxf(of_range / 64, OCT_SCALE_MIN);
    return step > least ? step : least; /* a NaN was refused by the optimizer */
}

/* ---- activations ---- */

static double mean_abs(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    return n ? sum / (double)n : 0;
}

/* The share of the range's scale with the least squared error, on a sample of at most 65,536
 * values. */
static float least_error_scale(const oct_quantizer *q, const float *x, int64_t n) {
    enum { SAMPLE = 65536, TRIES = 40 };
    int64_t stride = n / SAMPLE + 1;
    float top = octi_scale(q), best = top;
    double least = INFINITY;
    for (int t = 0; t < TRIES; t++) {
        float s = top * (1.0f - (float)t / TRIES);
        double e = 0;
        for (int64_t i = 0; i < n; i += stride) {
            float v = x[i], back = octq_dequantize(
                                octq_quantize(v, s, octi_zero_point(q), q->spec.qmin, q->spec.qmax),
                                s, octi_zero_point(q));
            e += (double)(v - back) * (double)(v - back);
        }
        if (e < least) {
            least = e;
            best = s;
        }
    }
    return best;
}

void octi_learned_start(oct_quantizer *q, const float *x, int64_t n) {
    float s = octi_scale(q); /* of the range */
    if (x && q->method == OCT_METHOD_LSQ) s = (float)(2 * mean_abs(x, n) / sqrt(levels_above(q)));
    if (x && q->method == OCT_METHOD_LSQ_PLUS) s = least_error_scale(q, x, n);
    s = fmaxf(s, OCT_SCALE_MIN);
    if (q->method == OCT_METHOD_PACT) s = octi_scale(q) * levels_above(q);
    oct_f32(q->step)[0] = s;
    if (q->offset) oct_f32(q->offset)[0] = -s * (float)octi_zero_point(q);
    octi_learned_settle(q);
}

void octi_learned_settle(oct_quantizer *q) {
    if (octi_learned_waits(q)) return; /* the range's qparams stand */
    float *step = oct_f32(q->step), unit = q->method == OCT_METHOD_PACT ? levels_above(q) : 1.0f;
    float range = fmaxf(*oct_f32(q->max_val), 0) - fminf(*oct_f32(q->min_val), 0);
    step[0] = at_least(step[0], range / (float)(q->spec.qmax - q->spec.qmin) * unit);
    oct_f32(q->scale)[0] = oct_scale_on_grid(&q->spec, step[0] / unit);
    if (q->offset)
        oct_s32(q->zero_point)[0] = octq_clamp(octq_rne(-oct_f32(q->offset)[0] / octi_scale(q)),
                                               q->spec.qmin, q->spec.qmax, q->spec.qmin);
}

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
    double g = 1 / sqrt((double)j.each * levels_above(q));
    if (q->method == OCT_METHOD_PACT) return add_grad(c->ctx, q->step, 0, sum[1] / levels_above(q));
    if (!q->offset) return add_grad(c->ctx, q->step, 0, g * (sum[0] + sum[1]));
    OCT_TRY(add_grad(c->ctx, q->step, 0, g * (sum[0] + sum[1] + octi_zero_point(q) * sum[2])));
    return add_grad(c->ctx, q->offset, 0, g * sum[2]);
}

/* ---- weights ---- */

static float weight_start(const oct_quantizer *q, const float *x, int64_t n) {
    if (q->method == OCT_METHOD_LSQ_PLUS) { /* mean +- 3 standard deviations */
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++) sum += x[i];
        double mean = sum / (double)n;
        for (int64_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        double sd = sqrt(squares / (double)n);
        return (float)(fmax(fabs(mean - 3 * sd), fabs(mean + 3 * sd)) / q->spec.qmax);
    }
    return (float)(2 * mean_abs(x, n) / sqrt((double)q->spec.qmax));
}

float octi_learned_weight_step(oct_quantizer *q, int64_t o, float amax, const float *x, int64_t n) {
    float *step = oct_f32(q->step);
    /* later a zero is a step that shrank: it is lifted */
    if (x && step[o] == 0) step[o] = weight_start(q, x, n);
    return step[o] = at_least(step[o], amax / (float)q->spec.qmax);
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
