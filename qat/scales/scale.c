/* SPDX-License-Identifier: MIT
 * The scale of one quantizer of values: at a step's start, behind what the step showed, and once it
 * is asked for. */
#include <math.h>

#include "qat/net/prepared.h"
#include "qat/scales/learned.h"
#include "qat/scales/scales.h"

static oct_status from_range(oct_quantizer *q) {
    return oct_qparams_from_range(&q->spec, *oct_f32(q->min_val), *oct_f32(q->max_val), q->name,
                                  oct_f32(q->scale), oct_s32(q->zero_point));
}

oct_status octi_settle_range(oct_ctx *ctx, oct_quantizer *q) {
    if (!q->dirty) return OCT_OK;
    float lo, hi;
    bool any;
    OCT_TRY(octi_observed_range(ctx, q, &lo, &hi, &any));
    if (!any) return q->dirty = OCTI_CLEAN, OCT_OK;
    *oct_f32(q->min_val) = lo;
    *oct_f32(q->max_val) = hi;
    if (q->dirty == OCTI_DIRTY_QPARAMS) OCT_TRY(from_range(q));
    q->dirty = OCTI_CLEAN;
    return OCT_OK;
}

oct_status octi_scale_begin(oct_ctx *ctx, oct_quantizer *q) {
    OCT_TRY(octi_settle_range(ctx, q)); /* of what was observed */
    if (octi_is_learned(q)) {
        if (octi_learned_waits(q) && octi_quantizer_ready(q)) octi_learned_start(q, NULL, 0);
        octi_learned_settle(q);
        return OCT_OK;
    }
    const bool moves = oct_u8(q->enabled)[0] && !octi_is_fixed(q);
    return moves && octi_quantizer_ready(q) ? from_range(q) : OCT_OK;
}

static enum octi_dirty after(enum octi_dirty before, bool qparams_too) {
    if (qparams_too) return OCTI_DIRTY_QPARAMS;
    return before == OCTI_CLEAN ? OCTI_DIRTY_RANGE : before;
}

/* Of finite values alone, so what is not finite came of values that are nearly so: their mean
 * overflows where one batch's range and the next one's are as far apart as floats go. */
static oct_status finite_range(const oct_quantizer *q) {
    const float lo = *oct_f32(q->min_val), hi = *oct_f32(q->max_val);
    if (isfinite(lo) && isfinite(hi)) return OCT_OK;
    return octi_fail(OCT_EDIVERGED, q->name, "range is not finite: values grew too large",
                     "finite numbers", octi_fmt("min %g, max %g", (double)lo, (double)hi),
                     "lower the learning rate or resume from an earlier state");
}

oct_status octi_scale_seen(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by, float min,
                           float max, bool calibrates) {
    const bool first = !octi_quantizer_ready(q); /* the first step: its own data */
    /* qparams of a training step stay as they began */
    const bool qparams_too = calibrates || first;
    if (by->observe) {
        q->dirty = (uint8_t)after((enum octi_dirty)q->dirty, qparams_too);
        /* searched when the range is wanted */
        return !calibrates && first ? octi_settle_range(ctx, q) : OCT_OK;
    }
    if (!(min <= max)) return OCT_OK; /* nothing finite */
    OCT_TRY(octi_observe_range(ctx, q, by, min, max));
    OCT_TRY(finite_range(q));
    return qparams_too ? from_range(q) : OCT_OK;
}
