/* SPDX-License-Identifier: MIT
 * Weights that are cut: the scale of least squared error, and the straight-through mask of what it
 * cuts. */
#include <math.h>

#include "qat/scales/weight_range.h"

/* Candidates: the whole range, and shares of it, four an octave down to 2^-4; then around the best
 * of them 32 an octave. Products of constants, so that every machine tries the same ones. */
enum { COARSE = 17, FINE = 15 };
static const float QUARTER = 0.84089642f, UP = 1.18920712f, THIRTYSECOND = 0.97857206f;

/* Squared error of a row; LANES partial sums in one order, so that the loop vectorizes and the bits
 * stay. */
static double row_error(const octi_weight_rows *r, int32_t o, float scale, const oct_qspec *spec) {
    enum { LANES = 8 };
    const float f = r->factor ? r->factor[o] : 1.0f, lo = (float)spec->qmin,
                hi = (float)spec->qmax, *restrict w = r->w + o * r->k;
    float part[LANES] = {0};
    double sum = 0;
    int64_t k = 0;
    for (; k + LANES <= r->k; k += LANES)
        for (int j = 0; j < LANES; j++) {
            float u = w[k + j] * f / scale, c = octq_rne(u), e;
            c = c < lo ? lo : c > hi ? hi : c;
            e = u - c;
            part[j] += e * e;
        }
    for (int j = 0; j < LANES; j++) sum += (double)part[j];
    for (; k < r->k; k++) {
        float u = w[k] * f / scale, c = octq_rne(u);
        c = c < lo ? lo : c > hi ? hi : c;
        sum += (double)((u - c) * (u - c));
    }
    return sum * (double)scale * (double)scale;
}

/* Rows [from, to) under one scale. */
static double error_of(const octi_weight_rows *r, int32_t from, int32_t to, float amax,
                       const oct_qspec *spec) {
    float scale = 0;
    double sum = 0;
    for (int32_t o = from; o < to; o++)
        scale = fmaxf(scale, oct_weight_scale(spec, amax, r->bias[o], r->s_x));
    for (int32_t o = from; o < to; o++) sum += row_error(r, o, scale, spec);
    return sum;
}

static float least_error(const octi_weight_rows *r, int32_t from, int32_t to, float amax,
                         const oct_qspec *spec) {
    float best = amax, at = amax;
    double least = error_of(r, from, to, amax, spec);
    for (int i = 1; i < COARSE && least > 0; i++) {
        at *= QUARTER;
        double e = error_of(r, from, to, at, spec);
        if (e < least) least = e, best = at;
    }
    at = best * UP;
    for (int i = 0; i < FINE && least > 0; i++) {
        at *= THIRTYSECOND;
        if (!(at < amax)) continue;
        double e = error_of(r, from, to, at, spec);
        if (e < least) least = e, best = at;
    }
    return best;
}

void octi_weight_least_error(const octi_weight_rows *r, const oct_qspec *spec, float *amax) {
    if (spec->per_channel) {
        for (int32_t o = 0; o < r->o; o++) amax[o] = least_error(r, o, o + 1, amax[o], spec);
        return;
    }
    float top = 0;
    for (int32_t o = 0; o < r->o; o++) top = fmaxf(top, amax[o]);
    top = least_error(r, 0, r->o, top, spec);
    for (int32_t o = 0; o < r->o; o++) amax[o] = top;
}

void octi_weight_mask(const oct_quantizer *q, const octi_qweights *qw, const float *w, float *dw) {
    for (int32_t o = 0; o < qw->o; o++) {
        const float f = qw->factor ? qw->factor[o] : 1.0f, s = qw->scale[o];
        for (int64_t k = o * qw->k; k < (o + 1) * qw->k; k++) {
            const float u = w[k] * f / s;
            if (octi_weight_side(q, u, octq_rne(u))) dw[k] = 0;
        }
    }
}
