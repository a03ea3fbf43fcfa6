/* SPDX-License-Identifier: MIT
 * qat/fit/fit_config.h - options of a training with their defaults filled in, as JSON, and compared
 * with a run's. */
#ifndef OCT_QAT_FIT_FIT_CONFIG_H
#define OCT_QAT_FIT_FIT_CONFIG_H

#include "autograd/optim/optim.h"
#include "qat/fit/fit.h"
#include "src/format/json.h"

extern const octi_words octi_oscillation_words; /* of qat/improve */

/** The learning rate where none is given; 0 for an optimizer that is none. */
float octi_fit_usual_lr(oct_optim_kind kind, bool prepared);
/** Check the options and fill every default in; *optim and *schedule (its total and milestones in
 *  epochs until octi_fit_steps) are derived. */
oct_status octi_fit_defaults(oct_net *net, oct_data *train, const oct_fit_opts *in,
                             oct_fit_opts *out, oct_optim_opts *optim);
/** What is advised where a training with these options diverged: the optimizer's default rate where
 *  theirs is above it, else a tenth of theirs. */
float octi_fit_slower(const oct_net *net, const oct_fit_opts *o);
/** The schedule for so many steps per epoch. */
oct_schedule octi_fit_schedule(const oct_fit_opts *o, int64_t steps_per_epoch);
/** config.json of a training. */
oct_status octi_fit_config(const oct_net *net, const oct_fit_opts *o, oct_data *train,
                           octi_text *out);
/** config.json of any other run: config is the caller's object or NULL. */
oct_status octi_plain_config(const oct_net *net, uint64_t seed, const char *config, octi_text *out);
/** Seed of a config.json: a number, or text where no double holds it. */
oct_status octi_config_seed(const cJSON *root, const char *where, uint64_t *seed);
/** Compare a run's config.json with what would be written now: OCT_EUSAGE naming the first option
 *  that differs; epochs may have grown (*grown is set). A run made by another instruction set is
 *  only warned of in the log. */
oct_status octi_fit_config_check(oct_ctx *ctx, const char *old_text, const char *new_text,
                                 const char *dir, bool *grown);

#endif
