/* SPDX-License-Identifier: MIT
 * autograd/optim/optim.h - optimizers and learning-rate schedules. */
#ifndef OCT_AUTOGRAD_OPTIM_OPTIM_H
#define OCT_AUTOGRAD_OPTIM_OPTIM_H

#include "../../src/net.h"
#include "../../src/words.h"

OCT_BEGIN_DECLS

typedef struct oct_optim oct_optim;

typedef enum oct_optim_kind {
#define OCT_OPTIM(value, ...) OCT_OPTIM_##value,
#include "optim_words.def"
    OCT_OPTIM_KIND_COUNT
} oct_optim_kind;
/** "sgd", "adam", "adamw", "rmsprop": the word of a kind, and the reverse (src/words.h). */
OCT_API const char *oct_optim_kind_name(oct_optim_kind v);
OCT_API OCT_NODISCARD oct_status oct_optim_kind_from_name(const char *word, oct_optim_kind *v);

/** Defaults are those of oct_fit (optim_words.def has them). */
typedef struct oct_optim_opts {
    oct_optim_kind kind;
    float lr;            /* 0: SGD 0.05, the others 0.001 */
    float momentum;      /* SGD, 0: 0.9; RMSprop, 0: none; OCT_NONE: none */
    oct_switch nesterov; /* SGD; by default yes */
    /* 0: SGD 5e-4, AdamW 0.01, the others none; OCT_NONE: none. AdamW's is decoupled, that of the
     * others added to the gradient */
    float weight_decay;
    float beta1, beta2; /* 0: 0.9, 0.999 */
    float eps;          /* 0: 1e-8 */
    float clip_norm;    /* 0: none; else the gradient's total 2-norm is scaled down to this */
    float alpha;        /* RMSprop: share of the old mean square; 0: 0.99 */
    bool centered;      /* RMSprop: by the gradient's variance in place of its mean square */
} oct_optim_opts;
OCT_API void oct_optim_opts_init(oct_optim_opts *opts);

/** An optimizer over parameters (oct_net_parameters, oct_module_tensors: entries of role
 *  OCT_ROLE_PARAM, and OCT_ROLE_STEP without weight decay, count). Its moments
 *  and step count are named tensors ("conv1.weight.momentum", "step"), listed by oct_optim_state,
 *  so that a run can save them. Formulas as PyTorch's SGD, Adam, AdamW and RMSprop, fp32. */
OCT_API OCT_NODISCARD oct_optim *oct_optim_new(oct_ctx *ctx, const oct_named_tensor *params,
                                               int32_t count, const oct_optim_opts *opts);
OCT_API void oct_optim_free(oct_optim *o);
OCT_API void oct_optim_zero_grad(oct_optim *o);
OCT_API void oct_optim_set_lr(oct_optim *o, float lr);
/** OCT_EDIVERGED naming the parameter where a gradient is NaN or infinite: then nothing was
 *  changed. */
OCT_API OCT_NODISCARD oct_status oct_optim_step(oct_optim *o);
OCT_API const oct_named_tensor *oct_optim_state(oct_optim *o, int32_t *count);

/** COSINE where nothing is said: towards final_lr over `total` steps, so of 0 steps constant. */
typedef enum oct_schedule_kind {
#define OCT_SCHEDULE(value, word) OCT_SCHEDULE_##value,
#include "optim_words.def"
    OCT_SCHEDULE_KIND_COUNT
} oct_schedule_kind;
/** "cosine", "constant", "step", "multistep", "onecycle": the word of a kind, and the reverse. */
OCT_API const char *oct_schedule_kind_name(oct_schedule_kind v);
OCT_API OCT_NODISCARD oct_status oct_schedule_kind_from_name(const char *word,
                                                             oct_schedule_kind *v);

/** A pure function of the step: nothing to save. */
typedef struct oct_schedule {
    oct_schedule_kind kind;
    float lr;              /* base; the peak of one-cycle */
    int64_t total;         /* steps of the whole training */
    int64_t warmup;        /* linear from 0 over so many steps, before any kind but one-cycle */
    float gamma;           /* step, multi-step: factor, 0: 0.1 */
    int64_t every;         /* step: after so many steps */
    int64_t milestones[8]; /* multi-step, ascending, 0 ends */
    float final_lr;        /* cosine: at the end */
    /* one-cycle, 0: 0.3, 25, 1e4; cosine annealing, as PyTorch's OneCycleLR */
    float pct_start, div, final_div;
} oct_schedule;
/** Steps and warm-up below 0 count as 0. 0 for NULL, and for a kind that is none. */
OCT_API float oct_schedule_lr(const oct_schedule *s, int64_t step);

OCT_END_DECLS
#endif
