/* SPDX-License-Identifier: MIT
 * Observers that keep a range: minmax, ema, recording. */
#include <float.h>
#include <math.h>

#include "qat/scales/observing.h"

static bool started(const oct_observing *o) { return *o->min <= *o->max; }

oct_status octi_minmax_move(const oct_observing *o, float min, float max) {
    *o->min = fminf(*o->min, min); /* +inf before the first */
    *o->max = fmaxf(*o->max, max);
    return OCT_OK;
}

oct_status octi_ema_move(const oct_observing *o, float min, float max) {
    *o->min = started(o) ? *o->min + o->averaging * (min - *o->min) : min;
    *o->max = started(o) ? *o->max + o->averaging * (max - *o->max) : max;
    return OCT_OK;
}

/* ---- recording ---- */

static void keep(float *sample, int64_t *state, float v) {
    if (state[OCTI_SAMPLE_SEEN]++ % state[OCTI_SAMPLE_STRIDE]) return;
    if (state[OCTI_SAMPLE_KEPT] == OCTI_SAMPLE) {
        for (int i = 0; i < OCTI_SAMPLE / 2; i++) sample[i] = sample[2 * i];
        state[OCTI_SAMPLE_KEPT] = OCTI_SAMPLE / 2;
        state[OCTI_SAMPLE_STRIDE] *= 2;
        if ((state[OCTI_SAMPLE_SEEN] - 1) % state[OCTI_SAMPLE_STRIDE]) return;
    }
    sample[state[OCTI_SAMPLE_KEPT]++] = v;
}

oct_status octi_recording_observe(const oct_observing *o, const float *x, int64_t n) {
    float *sample = oct_f32(o->state[0]), *seen = oct_f32(o->state[2]);
    int64_t *state = oct_s64(o->state[1]);
    if (!state[OCTI_SAMPLE_STRIDE]) {
        state[OCTI_SAMPLE_STRIDE] = 1;
        seen[0] = INFINITY;
        seen[1] = -INFINITY;
    }
    if (state[OCTI_SAMPLE_KEPT] < 0 || state[OCTI_SAMPLE_KEPT] > OCTI_SAMPLE ||
        state[OCTI_SAMPLE_STRIDE] < 1 || state[OCTI_SAMPLE_SEEN] < 0)
        return octi_fail(OCT_EFORMAT, o->value, "state of its observer is malformed",
                         "a sample of at most 4096 values", NULL, "calibrate again");
    for (int64_t i = 0; i < n; i++) {
        keep(sample, state, x[i]); /* as it came, NaN too: a recording is for looking */
        if (!(fabsf(x[i]) <= FLT_MAX)) continue;
        seen[0] = fminf(seen[0], x[i]);
        seen[1] = fmaxf(seen[1], x[i]);
    }
    return OCT_OK;
}

oct_status octi_recording_range(const oct_observing *o, float *min, float *max) {
    const bool any = oct_s64(o->state[1])[OCTI_SAMPLE_STRIDE] > 0;
    *min = any ? oct_f32(o->state[2])[0] : INFINITY;
    *max = any ? oct_f32(o->state[2])[1] : -INFINITY;
    return OCT_OK;
}
