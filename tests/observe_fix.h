/* SPDX-License-Identifier: MIT
 * tests/observe_fix.h - one observed value by itself: a quantizer with an observer, fed by hand. */
#ifndef OCT_TESTS_OBSERVE_FIX_H
#define OCT_TESTS_OBSERVE_FIX_H

#include "tests/oct_test.h"

#include <math.h>

#include "qat/net/prepared.h"
#include "qat/scales/histogram.h"
#include "qat/scales/observing.h"
#include "qat/scales/scales.h"
#include "qat/step/observe.h"
#include "src/rng.h"

typedef struct watch {
    oct_ctx *ctx;
    oct_net *net;
    oct_quantizer q;
} watch;

static inline watch watch_new(oct_ctx *ctx, const char *observer, oct_qspec spec) {
    watch w = {.ctx = ctx, .net = octi_net_new(ctx, OCT_STAGE_PREPARED)};
    w.q = (oct_quantizer){
        .name = "v", .observer = observer, .averaging = 0.25f, .percentile = 99.99f, .spec = spec};
    w.q.scale = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    w.q.zero_point = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
    w.q.min_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    w.q.max_val = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    *oct_f32(w.q.min_val) = INFINITY;
    *oct_f32(w.q.max_val) = -INFINITY;
    ck_ok(octi_observer_start(w.net, &w.q, "v"));
    return w;
}

static inline oct_status watch_see(watch *w, const float *x, int64_t n) {
    const oct_observer *by = octi_observer_find(w->ctx, w->q.observer);
    if (!by) return oct_last_error()->code;
    if (by->observe) {
        OCT_TRY(octi_observe_values(w->ctx, &w->q, by, x, n));
        w->q.dirty = OCTI_DIRTY_QPARAMS;
        return OCT_OK;
    }
    if (!by->observe_range) return OCT_OK;
    oct_tensor t = {.dtype = OCT_F32, .shape = {1, {n}}, .data = (void *)x};
    float lo, hi;
    OCT_TRY(octi_finite_range(w->ctx, &t, &lo, &hi));
    return lo <= hi ? octi_observe_range(w->ctx, &w->q, by, lo, hi) : OCT_OK;
}

static inline bool watch_range(watch *w, float *lo, float *hi) {
    ck_ok(octi_settle_range(w->ctx, &w->q));
    *lo = *oct_f32(w->q.min_val);
    *hi = *oct_f32(w->q.max_val);
    return *lo <= *hi;
}

#endif
