/* SPDX-License-Identifier: MIT
 * qat/scales/observing.h - observers from inside: finding them, feeding them, and the ranges that
 * they stand for. */
#ifndef OCT_QAT_SCALES_OBSERVING_H
#define OCT_QAT_SCALES_OBSERVING_H

#include "qat/scales/observer.h"

/** Built in, or registered in the context; NULL (recorded: OCT_EUSAGE, lists the known ones)
 *  otherwise. */
const oct_observer *octi_observer_find(oct_ctx *ctx, const char *name);

/** Of a quantizer of values with this observer: "fixed" never moves. */
static inline oct_quantizer_role octi_role_under(const char *observer) {
    return __builtin_strcmp(observer, "fixed") ? OCT_QUANTIZER_VALUES : OCT_QUANTIZER_FIXED;
}

/** What observes a net's input where no rule names it: "minmax" in place of a search, whose range
 *  is known; else the same. */
const char *octi_observer_of_input(const char *observer);

/** Give a quantizer the state of its observer (tensors "<owner>.<name>" in the registry). */
oct_status octi_observer_start(oct_net *net, oct_quantizer *q, const char *owner);
/** Feed values, or a batch's range, to an observer that takes them. OCT_EFORMAT where the state is
 *  not of this observer. */
oct_status octi_observe_values(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by,
                               const float *x, int64_t n);
oct_status octi_observe_range(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by, float min,
                              float max);
/** The range that observed state stands for, by the observer's search; *any false: nothing finite
 *  was seen. */
oct_status octi_observed_range(oct_ctx *ctx, oct_quantizer *q, float *min, float *max, bool *any);

/* ---- rows of observers.def ---- */

oct_status octi_minmax_move(const oct_observing *o, float min, float max);
oct_status octi_ema_move(const oct_observing *o, float min, float max);
oct_status octi_recording_observe(const oct_observing *o, const float *x, int64_t n);
oct_status octi_recording_range(const oct_observing *o, float *min, float *max);

/** "sample" f32 [OCTI_SAMPLE], "sampled" s64 [3]: kept, stride, seen; "seen" f32 [2]. Every
 *  stride-th value is kept; where the room is full every second one stays and the stride
 *  doubles. */
enum {
    OCTI_SAMPLE = 4096,
    OCTI_SAMPLE_KEPT = 0,
    OCTI_SAMPLE_STRIDE,
    OCTI_SAMPLE_SEEN,
    OCTI_SAMPLE_FIELDS
};
#define OCTI_RECORDING_TENSORS                                                                     \
    {"sample", OCT_F32, OCTI_SAMPLE}, {"sampled", OCT_S64, OCTI_SAMPLE_FIELDS}, {                  \
        "seen", OCT_F32, 2                                                                         \
    }

#endif
