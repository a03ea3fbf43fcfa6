/* SPDX-License-Identifier: MIT
 * Scale and zero point from a range, the fold of batch norm into weights, and their checks: each
 * once (laws 4, 5). */
#include "src/qparams.h"

#include <float.h>
#include <math.h>

#include "src/float_mode.h"
#include "src/qround.h"
#include "src/words.h"

/* The codes of a spec that a caller may have written: two at least, within what u8 and s8 hold. */
static bool has_codes(const oct_qspec *q) {
    return q->qmin < q->qmax && q->qmin >= -128 && q->qmax <= 255;
}

static bool bits_known(int bits) { return bits >= 2 && bits <= 8; }

static const char *const schemes[] = {
    NULL,
#define OCT_SCHEME(value, word) word,
#include "src/schemes.def"
};
static const octi_words scheme_words = OCTI_WORDS("scheme", schemes);
OCTI_WORD_PAIR(oct_scheme, scheme_words)

oct_scheme oct_qspec_scheme(const oct_qspec *spec, bool per_channel) {
    if (!spec) return OCT_SCHEME_FLOAT;
    if (per_channel)
        return spec->symmetric ? OCT_SCHEME_PER_CHANNEL_SYMMETRIC : OCT_SCHEME_PER_CHANNEL_AFFINE;
    return spec->symmetric ? OCT_SCHEME_PER_TENSOR_SYMMETRIC : OCT_SCHEME_PER_TENSOR_AFFINE;
}

oct_qspec oct_qspec_activation(int bits, bool reduce_range) {
    if (!bits_known(bits)) return (oct_qspec){0};
    int32_t top = (1 << bits) - 1;
    return (oct_qspec){.bits = bits, .qmin = 0, .qmax = reduce_range ? top / 2 : top};
}

oct_qspec oct_qspec_weight(int bits, bool per_channel) {
    if (!bits_known(bits)) return (oct_qspec){0};
    int32_t top = (1 << (bits - 1)) - 1;
    return (oct_qspec){
        .bits = bits, .qmin = -top, .qmax = top, .symmetric = true, .per_channel = per_channel};
}

/* Up to a power of two, exactly: frexp gives s = f * 2^e with f in [0.5, 1). */
float oct_scale_on_grid(const oct_qspec *q, float s) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(s);
    if (!q || !q->pow2 || !(s > 0) || !isfinite(s)) return s;
    int e;
    float f = frexpf(s, &e);
    return ldexpf(1.0f, f == 0.5f ? e - 1 : e > 127 ? 127 : e);
}

static oct_status judge(const oct_qspec *q, const char *where) {
    if (has_codes(q)) return OCT_OK;
    return octi_fail(OCT_EQPARAMS, where, "spec without codes", "qmin < qmax, -128 to 255",
                     octi_fmt("%d to %d", q->qmin, q->qmax), NULL);
}

oct_status oct_qparams_from_range(const oct_qspec *q, float min, float max, const char *where,
                                  float *scale, int32_t *zero_point) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(min);
    OCTI_LAW_VALUE(max);
    if (!q || !scale || !zero_point) return octi_fail_null("oct_qparams_from_range");
    OCT_TRY(judge(q, where));
    if (!(min <= max))
        return octi_fail(OCT_EQPARAMS, where, "no range was observed", "min <= max",
                         octi_fmt("min %g, max %g", min, max),
                         "calibrate or train before converting");
    float lo = fminf(min, 0.0f), hi = fmaxf(max, 0.0f);
    lo = fmaxf(lo, -FLT_MAX);
    hi = fminf(hi, FLT_MAX);
    if (q->symmetric) {
        float s = fmaxf(-lo, hi) / ((float)(q->qmax - q->qmin) / 2.0f);
        *scale = oct_scale_on_grid(q, fmaxf(s, OCT_SCALE_MIN));
        *zero_point = q->qmin < 0 ? 0 : (q->qmin + q->qmax + 1) / 2;
        return OCT_OK;
    }
    float s = fminf(hi - lo, FLT_MAX) / (float)(q->qmax - q->qmin);
    s = oct_scale_on_grid(q, fmaxf(s, OCT_SCALE_MIN));
    *scale = s;
    *zero_point = octq_clamp((float)q->qmin - octq_rne(lo / s), q->qmin, q->qmax, q->qmin);
    return OCT_OK;
}

oct_status oct_qparams_check(const oct_qspec *q, float scale, int32_t zero_point,
                             const char *where) {
    OCTI_LAW_MODE();
    if (!q) return octi_fail_null("oct_qparams_check");
    OCT_TRY(judge(q, where));
    if (!(scale > 0.0f) || !isfinite(scale))
        return octi_fail(OCT_EQPARAMS, where, "scale out of range", "finite and > 0",
                         octi_fmt("%g", scale), NULL);
    if (zero_point < q->qmin || zero_point > q->qmax)
        return octi_fail(OCT_EQPARAMS, where, "zero point outside the codes",
                         octi_fmt("%d to %d", q->qmin, q->qmax), octi_fmt("%d", zero_point), NULL);
    return OCT_OK;
}

/* Batch norm behind a product, y = gamma * (conv(x) + b - mean) / sqrt(var + eps) + beta, is that
 * product with weights W * f and bias (b - mean) * f + beta, f = gamma / sqrt(var + eps) (Jacob et
 * al. 2018, arXiv 1712.05877, eq. 14; the bias as in Krishnamoorthi 2018, arXiv 1806.08342,
 * 3.2.2). */
float oct_fold_factor(float gamma, float var, float eps) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(gamma);
    OCTI_LAW_VALUE(var);
    OCTI_LAW_VALUE(eps);
    double f = (double)gamma / sqrt((double)var + (double)eps);
    if (fabs(f) < 0x1p-20) f = f < 0 ? -0x1p-20 : 0x1p-20;
    float factor = (float)f;
    OCTI_LAW_VALUE(factor);
    return factor;
}

float oct_fold_bias(float bias, float mean, float factor, float beta) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(bias);
    OCTI_LAW_VALUE(mean);
    OCTI_LAW_VALUE(factor);
    OCTI_LAW_VALUE(beta);
    float folded = (float)(((double)bias - (double)mean) * (double)factor + (double)beta);
    OCTI_LAW_VALUE(folded);
    return folded;
}

float oct_weight_scale(const oct_qspec *q, float amax, float bias, float s_x) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(amax);
    OCTI_LAW_VALUE(bias);
    OCTI_LAW_VALUE(s_x);
    if (!q || !has_codes(q)) return 0;
    float s = fmaxf(amax / ((float)(q->qmax - q->qmin) / 2.0f), OCT_SCALE_MIN);
    if (s_x > 0) s = fmaxf(s, (float)(fabs((double)bias) / ((double)s_x * 0x1p30)));
    return oct_scale_on_grid(q, s);
}

oct_status octi_prove_accumulator(const char *where, int64_t channel, int64_t bias, int64_t sum_abs,
                                  int64_t reach, int64_t *bound) {
    const int64_t most = (bias < 0 ? -bias : bias) + sum_abs * reach;
    if (bound) *bound = most;
    if (most <= INT32_MAX) return OCT_OK;
    return octi_fail(OCT_ELIMIT, where,
                     octi_fmt("accumulator of channel %lld may overflow", (long long)channel),
                     "|b| + sum|w| * max|q - z| <= 2147483647", octi_fmt("%lld", (long long)most),
                     "fewer input channels per group, u7 activations, or keep the layer float");
}
