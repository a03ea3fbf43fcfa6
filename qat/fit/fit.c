/* SPDX-License-Identifier: MIT
 * The training loop. A step is a pure function of (options, seed, saved moment), so an interrupted
 * run that goes on from a moment ends with the bits of one that was never interrupted. */
#include <float.h>

#include "datasets/set.h"
#include "qat/fit/fit_config.h"
#include "qat/fit/training.h"
#include "qat/improve/oscillation.h"
#include "src/clock.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

static oct_status run_epoch(training *t) {
    OCT_TRY(oct_loader_start(t->loader, (int32_t)t->at.epoch, t->at.step_in_epoch));
    t->epoch_time = 0;
    t->epoch_images = 0;
    double t0 = octi_seconds();
    while (!t->stop) {
        oct_batch b;
        bool done = false;
        OCT_TRY(oct_loader_next(t->loader, &b, &done));
        if (done) return octi_training_end_epoch(t);
        OCT_TRY(octi_training_step(t, &b));
        double now = octi_seconds();
        t->epoch_images += b.x->shape.dim[0];
        t->epoch_time = now - t0;
        oct_fit_report r = octi_training_report(t);
        octi_training_tell(t, &r);
        bool due = (t->o.save_steps && t->at.step % t->o.save_steps == 0) ||
                   (t->o.save_seconds > 0 && now - t->last_save > t->o.save_seconds);
        /* at an epoch's end the scores come first: that save holds them too */
        if (due && !t->stop && t->at.step_in_epoch < t->per_epoch) OCT_TRY(octi_training_save(t));
    }
    return octi_training_save(t);
}

static oct_status check_fit(training *t) {
    const oct_graph *g = t->net->graph;
    oct_shape in = g->values[g->input].shape, out = g->values[g->output].shape;
    const oct_input_desc *d = oct_data_input(t->train);
    oct_status why;
    t->score = octi_score_of(t->net, t->train, &why);
    if (why != OCT_OK && !t->o.loss) return why;
    const bool cross_entropy = t->score == OCT_SCORE_CLASSES && !t->o.loss;
    if (t->o.smoothing > 0 && !cross_entropy)
        return octi_fail(OCT_EUSAGE, "smoothing", "of labels that the loss does not look at",
                         "cross entropy", NULL, NULL);
    if (t->o.teacher && out.rank != 2)
        return octi_fail(OCT_EUSAGE, "teacher", "a net without classes has no logits to learn",
                         "[N, classes]", oct_shape_text(&out), NULL);
    if (in.rank == 4 &&
        (in.dim[1] != d->height || in.dim[2] != d->width || in.dim[3] != d->channels))
        return octi_fail(OCT_ESHAPE, "input", "data does not fit the net", oct_shape_text(&in),
                         octi_fmt("%d x %d x %d (H, W, C)", d->height, d->width, d->channels),
                         NULL);
    int32_t classes;
    oct_data_classes(t->train, &classes);
    if (t->score == OCT_SCORE_CLASSES && classes > out.dim[1])
        return octi_fail(OCT_ESHAPE, "classes", "data has more than the net",
                         octi_fmt("at most %lld", (long long)out.dim[1]), octi_fmt("%d", classes),
                         NULL);
    return OCT_OK;
}

static oct_status prepare(training *t, const oct_fit_opts *opts) {
    oct_optim_opts optim;
    OCT_TRY(octi_fit_defaults(t->net, t->train, opts, &t->o, &optim));
    OCT_TRY(check_fit(t));
    t->test = t->o.test;
    t->val = t->o.val;
    if (t->o.val_share > 0) {
        t->split[0] = oct_data_share(t->train, t->o.val_share, t->o.seed, true);
        t->split[1] = oct_data_share(t->train, t->o.val_share, t->o.seed, false);
        if (!t->split[0] || !t->split[1]) return oct_last_error()->code;
        t->val = t->split[0];
        t->train = t->split[1];
    }
    if (t->o.oscillation) OCT_TRY(oct_oscillation_start(t->net));
    int32_t n;
    const oct_named_tensor *params = oct_net_parameters(t->net, &n);
    t->optim = oct_optim_new(t->ctx, params, n, &optim);
    t->tape = oct_tape_new(t->ctx);
    if (t->o.teacher &&
        !(t->teacher = oct_runner_new(t->o.teacher, &(oct_runner_opts){.batch = t->o.batch})))
        return oct_last_error()->code;
    /* every image in every epoch; no small last batch, which would weigh its few images more and
     * starve batch norm */
    t->loader = oct_loader_new(t->train, &(oct_loader_opts){.batch = t->o.batch,
                                                            .shuffle = true,
                                                            .even = true,
                                                            .seed = t->o.seed,
                                                            .augment = t->o.augment,
                                                            .input = octi_net_input(t->net)});
    if (!t->optim || !t->tape || !t->loader) return oct_last_error()->code;
    t->per_epoch = oct_loader_steps(t->loader);
    if (t->per_epoch < 1)
        return octi_fail(OCT_EFORMAT, "data", "no images to train on", "at least one", "0", NULL);
    t->schedule = octi_fit_schedule(&t->o, t->per_epoch);
    t->at.best_val = t->score == OCT_SCORE_CLASSES ? -1 : -DBL_MAX;
    return OCT_OK;
}

static void release(training *t) {
    octi_run_close(t->run);
    oct_loader_free(t->loader);
    oct_runner_free(t->teacher);
    oct_optim_free(t->optim);
    oct_tape_free(t->tape);
    oct_data_free(t->split[0]);
    oct_data_free(t->split[1]);
}

oct_status oct_fit_check(oct_net *net, oct_data *train, const oct_fit_opts *opts) {
    if (!net || !train) return octi_fail_null("oct_fit");
    training t = {.ctx = net->ctx, .net = net, .train = train};
    oct_status s = prepare(&t, opts);
    if (s == OCT_OK && t.o.run) s = octi_training_check_run(&t);
    release(&t);
    return s;
}

oct_status oct_fit(oct_net *net, oct_data *train, const oct_fit_opts *opts) {
    OCTI_LAW_MODE();
    if (!net || !train) return octi_fail_null("oct_fit");
    /* a net of the caller's own: training fills it in */
    const bool labels = oct_data_truth(train, NULL) == OCT_TRUTH_LABELS;
    if (labels ? !net->class_count : !net->input.channels) OCT_TRY(oct_net_describe(net, train));
    training t = {.ctx = net->ctx, .net = net, .train = train, .last_save = octi_seconds()};
    oct_status s = prepare(&t, opts);
    if (s == OCT_OK && t.score == OCT_SCORE_VALUES && !t.o.loss && train->like_labels)
        octi_log(t.ctx, OCT_LOG_WARN,
                 "%s: y is float, whole numbers 0 to %d: targets of a regression, trained by the "
                 "mean squared error; as integers they are labels of classes",
                 train->where, train->like_labels);
    if (s == OCT_OK && t.o.run) s = octi_training_start_run(&t);
    while (s == OCT_OK && !t.stop && t.at.epoch < t.o.epochs && !t.at.done) s = run_epoch(&t);
    if (s == OCT_OK && t.stop && t.at.epoch < t.o.epochs && !t.at.done)
        s = octi_fail(OCT_ESTOPPED, "training", "stopped by the caller", NULL,
                      octi_fmt("step %lld", (long long)t.at.step),
                      t.o.run ? ".resume goes on" : NULL);
    /* a start alone would be in the way of the next try */
    if (s != OCT_OK && t.run && !t.kept) octi_run_drop(t.run);
    release(&t);
    return s;
}

void oct_fit_opts_init(oct_fit_opts *opts) {
    if (opts) *opts = (oct_fit_opts){0};
}
