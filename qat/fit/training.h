/* SPDX-License-Identifier: MIT
 * qat/fit/training.h - a training that is under way, for the files that carry it out: fit.c begins,
 * loops and ends, training_step.c, training_epoch.c and training_run.c have the parts. */
#ifndef OCT_QAT_FIT_TRAINING_H
#define OCT_QAT_FIT_TRAINING_H

#include "autograd/optim/optim.h"
#include "qat/fit/diverged.h"
#include "qat/fit/fit_config.h"
#include "qat/fit/run_files.h"
#include "qat/fit/score.h"
#include "qat/fit/teacher.h"

typedef struct training {
    oct_ctx *ctx;
    oct_net *net;
    oct_data *train, *test, *val;
    oct_data *split[2]; /* views that val_share made */
    oct_fit_opts o;
    oct_schedule schedule;
    oct_tape *tape;
    oct_optim *optim;
    oct_loader *loader;
    oct_runner *teacher; /* NULL: none */
    octi_run *run;       /* open and locked; NULL: none */
    octi_position at;
    int64_t per_epoch;
    double last_save, epoch_time; /* seconds */
    int64_t epoch_images;         /* timed in this process */
    oct_score score;
    int64_t probe_saved; /* images of the net's probe that the run has */
    bool resumed, stop;
    bool kept; /* the run has more than the start that this call wrote */
} training;

/** Of the step that was made last. */
static inline float octi_training_lr(const training *t, int64_t step) {
    return oct_schedule_lr(&t->schedule, step > 0 ? step - 1 : 0);
}

/** What is said where a step leaves the numbers. */
static inline octi_diverged_at octi_training_at(const training *t, int64_t step) {
    return (octi_diverged_at){step, octi_fit_slower(t->net, &t->o), t->run && t->kept};
}

/** One batch. */
oct_status octi_training_step(training *t, const oct_batch *b);

/** The run goes on, or begins anew; without writing: what would be refused. */
oct_status octi_training_start_run(training *t);
oct_status octi_training_check_run(training *t);
/** This moment; nothing may be NaN in it, run or no run. */
oct_status octi_training_save(training *t);
/** A line of metrics. */
oct_status octi_training_tell_run(training *t, const oct_fit_report *r);

/** Where the training stands; to the caller, who may stop it. */
oct_fit_report octi_training_report(const training *t);
void octi_training_tell(training *t, const oct_fit_report *r);
/** Scores, metrics, a moment. */
oct_status octi_training_end_epoch(training *t);

#endif
