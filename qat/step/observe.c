/* SPDX-License-Identifier: MIT
 * Observing in a step: values, or the range of sums, go to the observer of the class that the
 * call's output belongs to. Members of one class are observed together: the range moves when the
 * last of them was seen. */
#include "qat/step/observe.h"

#include <float.h>
#include <math.h>

#include "ops/ops.h"
#include "qat/scales/scales.h"
#include "qat/step/step.h"
#include "src/cut.h"
#include "src/mem.h"

oct_status octi_finite_range(oct_ctx *ctx, const oct_tensor *x, float *min, float *max) {
    oct_tensor lo = {.dtype = OCT_F32, .shape = {1, {1}}, .data = min},
               hi = {.dtype = OCT_F32, .shape = {1, {1}}, .data = max};
    *min = INFINITY;
    *max = -INFINITY;
    if (!oct_tensor_count(x)) return OCT_OK;
    OCT_TRY(oct_minmax(ctx, x, &lo, &hi)); /* never takes a NaN */
    if (*min >= -FLT_MAX && *max <= FLT_MAX) return OCT_OK;
    *min = INFINITY; /* an infinity, or nothing but NaN: rare */
    *max = -INFINITY;
    for (int64_t i = 0, n = oct_tensor_count(x); i < n; i++) {
        float v = oct_f32(x)[i];
        if (!(fabsf(v) <= FLT_MAX)) continue;
        *min = fminf(*min, v);
        *max = fmaxf(*max, v);
    }
    return OCT_OK;
}

/* One member of the class was seen; behind the last of them its range moves. */
static oct_status member_seen(octi_call *c, oct_quantizer *q) {
    octi_pending *p = octi_pending_of(c);
    if (--p->left > 0) return OCT_OK;
    const bool first = p->by->observe_range && p->min <= p->max && !octi_quantizer_ready(q);
    OCT_TRY(octi_scale_seen(c->ctx, q, p->by, p->min, p->max, c->mode == OCT_CALIBRATE));
    if (first) octi_call_took(c, OCTI_PATH_first_step);
    return OCT_OK;
}

static octi_cut cut_of(const octi_call *c) { return octi_cut_of(c->ctx, c->out->shape.dim[0]); }

static oct_status see_range(octi_call *c, oct_quantizer *q, float min, float max) {
    octi_pending *p = octi_pending_of(c);
    const octi_cut cut = cut_of(c);
    OCT_TRY(octi_cut_range(&cut, &min, &max));
    p->min = fminf(p->min, min);
    p->max = fmaxf(p->max, max);
    return member_seen(c, q);
}

oct_status octi_whole_values(octi_call *c, const float *x, int64_t n, const float **whole,
                             int64_t *count) {
    const octi_cut cut = cut_of(c);
    const int64_t each = n / octi_cut_here(&cut);
    *count = each * cut.images;
    return octi_cut_gather(&cut, c->arena, x, each, whole);
}

/* An observer of values has no tree: it sees the whole batch. */
static oct_status see_values(octi_call *c, oct_quantizer *q, const float *x, int64_t n) {
    octi_arena_mark mark = octi_arena_save(c->arena);
    OCT_TRY(octi_whole_values(c, x, n, &x, &n));
    OCT_TRY(octi_observe_values(c->ctx, q, octi_pending_of(c)->by, x, n));
    octi_arena_rewind(c->arena, mark);
    return member_seen(c, q);
}

oct_status octi_observe_tensor(octi_call *c, const oct_tensor *x) {
    const oct_observer *by = octi_pending_of(c)->by;
    oct_quantizer *q = octi_out_quantizer(c);
    if (!by) return OCT_OK;
    if (by->observe) return see_values(c, q, oct_f32(x), oct_tensor_count(x));
    float lo, hi;
    OCT_TRY(octi_finite_range(c->ctx, x, &lo, &hi));
    return see_range(c, q, lo, hi);
}

oct_status octi_observe_sums(octi_call *c, const octi_accumulators *acc, const octi_qweights *w,
                             float s_x, oct_act act) {
    const oct_observer *by = octi_pending_of(c)->by;
    oct_quantizer *q = octi_out_quantizer(c);
    if (!by) return OCT_OK;
    if (by->observe_range) { /* their range is enough */
        float lo, hi;
        OCT_TRY(octi_accumulator_range(c->ctx, acc, w, s_x, act, &lo, &hi));
        return see_range(c, q, lo, hi);
    }
    octi_arena_mark mark = octi_arena_save(c->arena);
    const int64_t n = acc->pixels * acc->o;
    float *y = octi_arena_alloc(c->arena, (size_t)n * sizeof *y);
    if (!y) return oct_last_error()->code;
    OCT_TRY(octi_accumulator_values(c->ctx, acc, w, s_x, act, y));
    OCT_TRY(see_values(c, q, y, n));
    octi_arena_rewind(c->arena, mark);
    return OCT_OK;
}
