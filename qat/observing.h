/* SPDX-License-Identifier: MIT
 * qat/observing.h - observers from inside: finding them, feeding them, and the ranges that they
 * stand for. */
#ifndef OCT_QAT_OBSERVING_H
#define OCT_QAT_OBSERVING_H

#include "qat/observer.h"

/** oct_quantizer.dirty: what is behind the observed state. A training step's qparams stay as they
 *  began, so what it observed moves the range, and the next step the qparams; calibration moves
 *  both. */
enum octi_dirty { OCTI_CLEAN, OCTI_DIRTY_RANGE, OCTI_DIRTY_QPARAMS };

/** Built in, or registered in the context; NULL (recorded: OCT_EUSAGE, lists the known ones)
 *  otherwise. */
const oct_observer *octi_observer_find(oct_ctx *ctx, const char *name);

/** What observes a net's input where no rule names it: "minmax" in place of a search, whose range
 *  is known; else the same. */
const char *octi_observer_of_input(const char *observer);

/** Weights have no observer of this kind: "weight" takes their range each step, "weight_mse"
 *  searches it. */
static inline bool octi_is_weight(const oct_quantizer *q) {
    return q->observer[0] == 'w' && !__builtin_strncmp(q->observer, "weight", 6);
}
/** Never moves: "fixed". */
static inline bool octi_is_fixed(const oct_quantizer *q) {
    return !__builtin_strcmp(q->observer, "fixed");
}

/** Give a quantizer the state of its observer (tensors "<owner>.<name>" in the registry). */
oct_status octi_observer_start(oct_net *net, oct_quantizer *q, const char *owner);
/** Feed values, or a batch's range, to an observer that takes them. OCT_EFORMAT where the state is
 *  not of this observer. */
oct_status octi_observe_values(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by,
                               const float *x, int64_t n);
oct_status octi_observe_range(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by, float min,
                              float max);
/** Least and largest finite value; min > max where there is none. */
oct_status octi_finite_range(oct_ctx *ctx, const oct_tensor *x, float *min, float *max);
/** The range (and qparams, by q->dirty) that observed state stands for. */
oct_status octi_settle_range(oct_ctx *ctx, oct_quantizer *q);

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
