/* SPDX-License-Identifier: MIT
 * Learned scales: how they begin, and what they become at a step's start. Their gradients:
 * qat/step/learned_grad.c.
 *
 *   LSQ     first step = 2 * mean|x| / sqrt(qmax - z)                                section 2.2
 *   LSQ+    first step: least squared error (values), max |mean +- 3 sd| / qmax (weights);
 *           with an offset b, z = rne(-b / s)                                        eq. 5 to 7
 *   PACT    s = alpha / (qmax - z), and alpha begins as the end of the range         eq. 3
 */
#include "qat/scales/learned.h"

#include <math.h>

#include "qat/net/prepared.h"
#include "src/qround.h"

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
    if (x && q->method == OCT_METHOD_LSQ)
        s = (float)(2 * mean_abs(x, n) / sqrt(octi_levels_above(q)));
    if (x && q->method == OCT_METHOD_LSQ_PLUS) s = least_error_scale(q, x, n);
    s = fmaxf(s, OCT_SCALE_MIN);
    if (q->method == OCT_METHOD_PACT) s = octi_scale(q) * octi_levels_above(q);
    oct_f32(q->step)[0] = s;
    if (q->offset) oct_f32(q->offset)[0] = -s * (float)octi_zero_point(q);
    octi_learned_settle(q);
}

void octi_learned_settle(oct_quantizer *q) {
    if (octi_learned_waits(q)) return; /* the range's qparams stand */
    float *step = oct_f32(q->step),
          unit = q->method == OCT_METHOD_PACT ? octi_levels_above(q) : 1.0f;
    float range = fmaxf(*oct_f32(q->max_val), 0) - fminf(*oct_f32(q->min_val), 0);
    step[0] = at_least(step[0], range / (float)(q->spec.qmax - q->spec.qmin) * unit);
    oct_f32(q->scale)[0] = oct_scale_on_grid(&q->spec, step[0] / unit);
    if (q->offset)
        oct_s32(q->zero_point)[0] = octq_clamp(octq_rne(-oct_f32(q->offset)[0] / octi_scale(q)),
                                               q->spec.qmin, q->spec.qmax, q->spec.qmin);
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
