/* SPDX-License-Identifier: MIT
 * qat/scales/observer.h - observers: what watches an activation and chooses its range. Built in
 * (qat/scales/observers.def) or the user's own, registered by name in a context and named in
 * oct_qconfig.observer like the built-in ones.
 *
 * They move in OCT_CALIBRATE and OCT_TRAIN alone, and where the observe switch is on. What they
 * keep are named tensors of the net ("<value>.activation_post_process.<name>"), so saving, loading
 * and resuming need nothing else. Values that share a grid (all members of a cat) feed one
 * observer.
 *
 * NaN and infinities take no part in any range; histograms count what they dropped. An empty batch,
 * or one without a finite value, moves nothing. Where nothing was ever observed there is no range,
 * and convert refuses (OCT_EQPARAMS). */
#ifndef OCT_QAT_SCALES_OBSERVER_H
#define OCT_QAT_SCALES_OBSERVER_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** One tensor of an observer's state, [count], zero at first. */
typedef struct oct_observer_tensor {
    const char *name; /* NULL ends the list */
    oct_dtype dtype;
    int64_t count;
} oct_observer_tensor;

/** The observer of one value at work; lent for the call. */
typedef struct oct_observing {
    oct_ctx *ctx;
    const char *value;                       /* name of the value, for messages */
    const oct_qspec *spec;                   /* the codes that it will have */
    float averaging;                         /* oct_qconfig.ema */
    float percentile;                        /* oct_qconfig.percentile */
    oct_tensor *state[OCT_OBSERVER_TENSORS]; /* as the observer listed them */
    float *min, *max;                        /* the range so far; min > max: none */
    void *user;
} oct_observing;

/** An observer has `observe` and `range`, or `observe_range`, or none of them (it never moves).
 *  Functions return OCT_OK or the status of a recorded failure; they are called from one thread. */
typedef struct oct_observer {
    const char *name;
    oct_observer_tensor tensors[OCT_OBSERVER_TENSORS];
    /** Take in n values, in any cut and order: NaN and infinities among them too. */
    oct_status (*observe)(const oct_observing *o, const float *x, int64_t n);
    /** The range that the state stands for; min > max: none. Called when a range is needed, not at
     *  each batch. */
    oct_status (*range)(const oct_observing *o, float *min, float *max);
    /** Once per batch, with the least and the largest finite value of all that share the quantizer:
     *  move *o->min, *o->max. */
    oct_status (*observe_range)(const oct_observing *o, float min, float max);
    void *user;
} oct_observer;

/** Register an observer (copied; strings too) in a context. OCT_EUSAGE: no name, a name that is
 *  taken, or hooks that do not make an observer. A net that uses it can be loaded in a context
 *  without it, and refuses only to observe. */
OCT_API OCT_NODISCARD oct_status oct_observer_register(oct_ctx *ctx, const oct_observer *observer);

/** The i-th of the built-in observers that choose a range from what they see, and in *what (may be
 *  NULL) what it does; NULL behind the last. The others, "recording" (to look at values), "fixed",
 *  "placeholder" and "noop" (which never move: a range is given, or none is wanted), can be named
 *  in an oct_qconfig too. */
OCT_API const char *oct_observer_choice(int32_t i, const char **what);
/** An observer of that name, built in or registered, moves: calibration finds ranges by it. */
OCT_API bool oct_observer_moves(const oct_ctx *ctx, const char *name);

/** One candidate of the entropy search: [-t, t] of so many bins of the histogram of |x|, cut to the
 *  data. */
typedef struct oct_divergence {
    float lo, hi;
    /* levels: codes on the larger side of zero, that the bins are merged into */
    int32_t bins, levels;
    double divergence, clipped; /* Kullback-Leibler, in nats; share of the values beyond */
    /* absolute, summed, in bin widths: of all values, and of the shape without spikes */
    double error, level_error;
    bool gains;  /* neither is larger than the whole range's: it may be chosen */
    bool chosen; /* by entropy: the least divergence of those that may */
} oct_divergence;
/** What the entropy search sees in the histogram of a node's values: the best candidate, `around`
 *  neighbours on each side of it, narrowest first, and the whole range last. rows have room for 2 *
 *  around + 2; *count of them are filled: 0 where nothing was seen. Of any observer that keeps a
 *  histogram ("histogram", "entropy", "percentile", "mse", "mae"). OCT_EUSAGE: another observer, a
 *  float node, no such node, a net that is not prepared. */
OCT_API OCT_NODISCARD oct_status oct_net_divergences(const oct_net *net, const char *node,
                                                     int32_t around, oct_divergence *rows,
                                                     int32_t *count);

/** Forget all that was observed (fixed ranges stay). */
OCT_API void oct_net_reset_observers(oct_net *net);

/** A value chooses its range by searching its state: "histogram", "entropy", "percentile", "mse",
 *  "mae", or the user's own. */
OCT_API bool oct_net_searches_ranges(const oct_net *net);

OCT_END_DECLS
#endif
