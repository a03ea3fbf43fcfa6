/* SPDX-License-Identifier: MIT
 * The training loop. A step is a pure function of (options, seed, saved moment), so an interrupted
 * run that goes on from a moment ends with the bits of one that was never interrupted. */
#include "qat/fit/fit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autograd/optim/optim.h"
#include "autograd/replay.h"
#include "qat/fit/clock.h"
#include "qat/fit/diverged.h"
#include "qat/fit/fit_config.h"
#include "qat/fit/reestimate.h"
#include "qat/fit/run_files.h"
#include "qat/fit/score.h"
#include "qat/fit/teacher.h"
#include "qat/improve/oscillation.h"
#include "src/float_mode.h"
#include "src/format/json_bits.h"
#include "src/mem.h"
#include "src/words.h"

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
} training;

/* ---- saving ---- */

static float lr_of(const training *t, int64_t step) {
    return oct_schedule_lr(&t->schedule, step > 0 ? step - 1 : 0);
}

static oct_status save(training *t) {
    int32_t n;
    const oct_named_tensor *optim = oct_optim_state(t->optim, &n);
    /* a loss can stay finite while a weight does not (max(NaN, 0) is 0): such a moment must not
     * replace a good one */
    OCT_TRY(octi_diverged_settle(t->net, optim, n, t->at.step, lr_of(t, t->at.step)));
    if (!t->run) return OCT_OK;
    const int64_t images = t->net->probe ? t->net->probe->shape.dim[0] : 0;
    if (images != t->probe_saved) OCT_TRY(octi_run_write_probe(t->net, octi_run_folder(t->run)));
    t->probe_saved = t->at.probe_images = images;
    t->last_save = octi_seconds();
    return octi_run_commit(t->net, octi_run_folder(t->run), optim, n, &t->at);
}

/* "quantizers":{"conv1":{"scale":0.01,"zero_point":3},"fc.weight":{"scale":[...],"zero_point":0}}:
 * a number where all are one. */
static void put_qparams(const oct_net *net, octi_text *x) {
    octi_text_printf(x, ",\"quantizers\":{");
    for (int32_t i = 0; i < net->graph->quantizer_count; i++) {
        const oct_quantizer *q = &net->graph->quantizers[i];
        const int64_t n = oct_tensor_count(q->scale);
        bool same_scale = true, same_zero = true;
        for (int64_t c = 1; c < n; c++) {
            same_scale &= oct_f32(q->scale)[c] == oct_f32(q->scale)[0];
            same_zero &= oct_s32(q->zero_point)[c] == oct_s32(q->zero_point)[0];
        }
        octi_text_printf(x, "%s", i ? "," : "");
        octi_json_put_string(x, q->name);
        octi_text_printf(x, ":{\"scale\":%s", same_scale ? "" : "[");
        for (int64_t c = 0; c < (same_scale ? 1 : n); c++) {
            if (c) octi_text_printf(x, ",");
            octi_json_put_f32(x, oct_f32(q->scale)[c]);
        }
        octi_text_printf(x, "%s,\"zero_point\":%s", same_scale ? "" : "]", same_zero ? "" : "[");
        for (int64_t c = 0; c < (same_zero ? 1 : n); c++)
            octi_text_printf(x, "%s%d", c ? "," : "", oct_s32(q->zero_point)[c]);
        octi_text_printf(x, "%s}", same_zero ? "" : "]");
    }
    octi_text_printf(x, "}");
}

static oct_status append_metrics(training *t, const oct_fit_report *r) {
    if (!t->run) return OCT_OK;
    octi_text x = {.ctx = t->ctx};
    octi_text_printf(&x, "{\"epoch\":%d,\"step\":%lld", r->epoch, (long long)r->step);
    const struct {
        const char *key;
        double v;
    } rows[] = {{"lr", r->lr},
                {"train_loss", r->train_loss},
                {"train_accuracy", r->train_accuracy},
                {"test_accuracy", r->test_accuracy},
                {"int8_accuracy", r->int8_accuracy},
                {"val_accuracy", r->val_accuracy},
                {"oscillating", r->oscillating},
                {"frozen", r->frozen},
                {"img_per_s", r->img_per_s},
                {"test_loss", r->test_loss},
                {"val_loss", r->val_loss}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* the caller's own may be negative */
        const bool loss = strstr(rows[i].key, "loss") != NULL;
        if (loss ? isnan(rows[i].v) : rows[i].v < 0) continue; /* not measured */
        octi_text_printf(&x, ",\"%s\":", rows[i].key);
        octi_json_put_number(&x, rows[i].v);
    }
    if (t->net->stage == OCT_STAGE_PREPARED) put_qparams(t->net, &x);
    octi_text_printf(&x, "}\n");
    oct_status s = x.status == OCT_OK
                       ? octi_file_append_in(octi_run_folder(t->run), "metrics.jsonl",
                                             t->at.metrics_bytes, x.data, x.size)
                       : x.status;
    if (s == OCT_OK) t->at.metrics_bytes += (int64_t)x.size;
    octi_text_free(&x);
    return s;
}

/* Where the run stands, from its checkpoint. */
static oct_status go_on(training *t, const char *config) {
    const octi_folder *f = octi_run_folder(t->run);
    char *old = NULL;
    bool grown = false;
    octi_fit_extent extent;
    int32_t n;
    const oct_named_tensor *optim = oct_optim_state(t->optim, &n);
    oct_status s = octi_run_read_config(t->ctx, f, &old);
    if (s == OCT_OK && old) s = octi_fit_config_check(t->ctx, old, config, t->o.run, &grown);
    if (s == OCT_OK && old) s = octi_fit_extent_read(t->ctx, config, "config.json", &extent);
    if (s == OCT_OK && old) s = octi_run_restore(t->net, f, &extent, optim, n, &t->at, &t->resumed);
    if (s == OCT_OK && !t->resumed)
        octi_log(t->ctx, OCT_LOG_WARN, "%s: no checkpoint to resume from: starting at 0", t->o.run);
    if (s == OCT_OK && t->resumed && grown) {
        t->at.done = 0;
        s = octi_run_write_config(f, config);
    }
    octi_free(t->ctx, old);
    return s;
}

/* The run is what it was until its first moment is whole. */
static oct_status begin_anew(training *t, const char *config) {
    OCT_TRY(octi_run_renew(t->run));
    OCT_TRY(octi_run_create(t->net, octi_run_folder(t->run), config));
    OCT_TRY(save(t));
    return octi_run_keep(t->run);
}

static oct_status start_run(training *t) {
    octi_text config = {.ctx = t->ctx};
    oct_status s = octi_fit_config(t->net, &t->o, t->train, &config);
    if (s == OCT_OK && !(t->run = octi_run_write(t->ctx, t->o.run, t->o.resume, t->o.force)))
        s = oct_last_error()->code;
    if (s == OCT_OK && t->o.resume) s = go_on(t, config.data);
    if (s == OCT_OK && !t->resumed) s = begin_anew(t, config.data);
    octi_text_free(&config);
    return s;
}

/* ---- scores ---- */

static oct_status evaluate(training *t, oct_net *net, oct_data *data, double *accuracy,
                           double *loss) {
    if (!data) return OCT_OK;
    oct_eval e;
    OCT_TRY(oct_evaluate(net, data,
                         &(oct_eval_opts){.batch = t->o.batch < 256 ? t->o.batch : 256,
                                          .loss = t->o.loss,
                                          .loss_user = t->o.loss_user,
                                          .no_progress = true},
                         &e));
    *accuracy = e.accuracy;
    *loss = e.loss;
    oct_eval_free(t->ctx, &e);
    return OCT_OK;
}

static oct_status scores(training *t, oct_fit_report *r) {
    const bool prepared = t->net->stage == OCT_STAGE_PREPARED;
    /* what is told of ranges and scales is what is scored */
    if (prepared) OCT_TRY(oct_net_settle(t->net));
    /* the real integer path */
    oct_net *net =
        prepared ? oct_convert_with(t->net, &(oct_convert_opts){.skip_check = true}, NULL) : t->net;
    if (!net) return oct_last_error()->code;
    oct_status s =
        evaluate(t, net, t->test, prepared ? &r->int8_accuracy : &r->test_accuracy, &r->test_loss);
    if (s == OCT_OK) s = evaluate(t, net, t->val, &r->val_accuracy, &r->val_loss);
    if (prepared) oct_net_free(net);
    return s;
}

/* What is left behind converts exactly. */
static oct_status check_final(training *t) {
    if (t->net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    oct_net *int8 = oct_convert(t->net, NULL);
    oct_net_free(int8);
    return int8 ? OCT_OK : oct_last_error()->code;
}

/* ---- steps ---- */

static double share_done(const training *t) {
    return (double)t->at.step / (double)(t->per_epoch * t->o.epochs);
}

/* Switches of a prepared net, as a function of the step alone. */
static oct_status set_switches(training *t) {
    if (t->net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    const double share = share_done(t);
    oct_net_observe(t->net, t->o.observe_until >= 1 || share < (double)t->o.observe_until);
    const bool freeze = t->o.batch_norm_until < 1 && share >= (double)t->o.batch_norm_until,
               frozen = oct_net_batch_norm_frozen(t->net);
    if (freeze && !frozen && t->at.step && t->o.bn_images > 0)
        OCT_TRY(octi_reestimate_batch_norm(t->net, t->train, t->o.bn_images, t->o.augment));
    oct_net_freeze_batch_norm(t->net, freeze);
    return OCT_OK;
}

/* 1 at the first step, falling to 0 along half a cosine. */
static float still(const training *t) {
    return 0.5f * (1 + (float)cos(share_done(t) * 3.14159265358979323846));
}

/* Between backward and step, and behind the step: what keeps weights from swinging, as a function
 * of the step. */
static oct_status damp(training *t) {
    if (t->o.oscillation != octi_oscillation_modes[OCTI_OSC_DAMP]) return OCT_OK;
    return oct_oscillation_damp(t->net, t->o.oscillation_end * (1 - still(t)));
}

static oct_status track(training *t) {
    if (!*t->o.oscillation) return OCT_OK;
    const float end = t->o.oscillation_end, start = end > 0.1f ? end : 0.1f;
    const bool freeze = t->o.oscillation == octi_oscillation_modes[OCTI_OSC_FREEZE];
    return oct_oscillation_step(t->net, freeze ? end + (start - end) * still(t) : 1);
}

static oct_var *loss_of(const training *t, oct_var *y, const oct_batch *b) {
    if (t->o.loss) return y ? t->o.loss(t->o.loss_user, y, b) : NULL;
    if (t->score == OCT_SCORE_VALUES) return oct_mse_loss(y, b->targets);
    return oct_cross_entropy(y, b->labels, &(oct_cross_entropy_opts){.smoothing = t->o.smoothing});
}

static oct_status run_step(training *t, const oct_batch *b) {
    OCT_TRY(set_switches(t));
    oct_optim_set_lr(t->optim, oct_schedule_lr(&t->schedule, t->at.step));
    oct_optim_zero_grad(t->optim);
    const octi_cut cut = octi_cut_whole(b->x->shape.dim[0]);
    oct_var *logits = octi_replay(t->tape, t->net, b->x,
                                  &(octi_place){(uint32_t)t->at.epoch, (uint32_t)b->first, cut});
    oct_var *loss = loss_of(t, logits, b);
    if (t->teacher)
        loss = octi_teacher_loss(t->teacher, b->x, logits, loss, t->o.temperature,
                                 t->o.distill_weight);
    if (!loss && oct_tape_status(t->tape) != OCT_OK) return oct_tape_status(t->tape);
    if (!loss || oct_tensor_count(oct_var_value(loss)) != 1)
        return octi_fail(OCT_EUSAGE, "loss", "of the caller's own", "a scalar",
                         loss ? oct_shape_text(&oct_var_value(loss)->shape) : "NULL", NULL);
    double value = oct_f32(oct_var_value(loss))[0];
    if (!isfinite(value))
        return octi_diverged_loss(t->net, t->tape, t->at.step + 1, lr_of(t, t->at.step + 1),
                                  t->o.loss != NULL);
    double right = 0; /* behind the backward pass there are no logits */
    if (t->score == OCT_SCORE_CLASSES)
        right = (double)octi_count_right(oct_f32(oct_var_value(logits)), oct_s32(b->labels),
                                         b->x->shape.dim[0], oct_var_value(logits)->shape.dim[1]);
    OCT_TRY(octi_cut_total(&cut, &right));
    OCT_TRY(oct_backward(loss));
    OCT_TRY(damp(t));
    OCT_TRY(octi_diverged_step(oct_optim_step(t->optim), t->at.step + 1, lr_of(t, t->at.step + 1)));
    OCT_TRY(track(t));
    t->at.loss_sum += value * (double)cut.images;
    t->at.correct += (int64_t)right;
    t->at.seen += cut.images;
    t->at.step++;
    t->at.step_in_epoch++;
    return OCT_OK;
}

static oct_fit_report report(const training *t) {
    double n = t->at.seen > 0 ? (double)t->at.seen : 1;
    return (oct_fit_report){
        .epoch = (int32_t)t->at.epoch + 1,
        .epochs = t->o.epochs,
        .step = t->at.step,
        .steps = t->per_epoch * t->o.epochs,
        .step_in_epoch = t->at.step_in_epoch,
        .steps_per_epoch = t->per_epoch,
        .lr = lr_of(t, t->at.step),
        .train_loss = t->at.loss_sum / n,
        .train_accuracy = t->score == OCT_SCORE_CLASSES ? (double)t->at.correct / n : -1,
        .test_accuracy = -1,
        .int8_accuracy = -1,
        .val_accuracy = -1,
        .oscillating = -1,
        .frozen = -1,
        .test_loss = NAN,
        .val_loss = NAN,
        .score = t->score,
        .img_per_s = t->epoch_time > 0 ? (double)t->epoch_images / t->epoch_time : 0,
        .resumed = t->resumed};
}

static void tell(training *t, const oct_fit_report *r) {
    if (t->o.progress && t->o.progress(t->o.progress_user, r)) t->stop = true;
    t->resumed = false;
}

static oct_status end_epoch(training *t) {
    oct_fit_report r = report(t);
    r.epoch_end = true;
    t->at.epoch++;
    const bool never_frozen =
        t->net->stage == OCT_STAGE_PREPARED && !oct_net_batch_norm_frozen(t->net);
    if (t->at.epoch == t->o.epochs && never_frozen && t->o.bn_images > 0)
        OCT_TRY(octi_reestimate_batch_norm(t->net, t->train, t->o.bn_images, t->o.augment));
    OCT_TRY(scores(t, &r));
    const oct_oscillation swing =
        *t->o.oscillation ? oct_oscillation_count(t->net) : (oct_oscillation){0};
    if (swing.weights) {
        r.oscillating = (double)swing.oscillating / (double)swing.weights;
        r.frozen = (double)swing.frozen / (double)swing.weights;
    }
    if (t->val) {
        const double reached = t->score == OCT_SCORE_CLASSES ? r.val_accuracy : -r.val_loss;
        bool better = reached > t->at.best_val;
        t->at.stale = better ? 0 : t->at.stale + 1;
        if (better) t->at.best_val = reached;
        if (better && t->run)
            OCT_TRY(octi_run_write_model(t->net, octi_run_folder(t->run), "best.safetensors",
                                         t->at.epoch));
        if (t->o.patience && t->at.stale >= t->o.patience) t->at.done = 1;
    }
    r.final = t->at.epoch == t->o.epochs || t->at.done;
    if (r.final) OCT_TRY(check_final(t));
    OCT_TRY(append_metrics(t, &r));
    t->at.step_in_epoch = t->at.seen = t->at.correct = 0;
    t->at.loss_sum = 0;
    OCT_TRY(save(t));
    tell(t, &r);
    return OCT_OK;
}

static oct_status run_epoch(training *t) {
    OCT_TRY(oct_loader_start(t->loader, (int32_t)t->at.epoch, t->at.step_in_epoch));
    t->epoch_time = 0;
    t->epoch_images = 0;
    double t0 = octi_seconds();
    while (!t->stop) {
        oct_batch b;
        bool done = false;
        OCT_TRY(oct_loader_next(t->loader, &b, &done));
        if (done) return end_epoch(t);
        OCT_TRY(run_step(t, &b));
        double now = octi_seconds();
        t->epoch_images += b.x->shape.dim[0];
        t->epoch_time = now - t0;
        oct_fit_report r = report(t);
        tell(t, &r);
        bool due = (t->o.save_steps && t->at.step % t->o.save_steps == 0) ||
                   (t->o.save_seconds > 0 && now - t->last_save > t->o.save_seconds);
        /* at an epoch's end the scores come first: that save holds them too */
        if (due && !t->stop && t->at.step_in_epoch < t->per_epoch) OCT_TRY(save(t));
    }
    return save(t);
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
    if (*t->o.oscillation) OCT_TRY(oct_oscillation_start(t->net));
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

/* What start_run would refuse, without writing. */
static oct_status check_run(training *t) {
    OCT_TRY(oct_run_check(t->ctx, t->o.run, t->o.resume, t->o.force));
    octi_text config = {.ctx = t->ctx};
    char *old = NULL;
    bool grown;
    oct_status s = octi_fit_config(t->net, &t->o, t->train, &config);
    const bool old_run = s == OCT_OK && t->o.resume && oct_run_is(t->o.run);
    octi_run *r = old_run ? octi_run_open(t->ctx, t->o.run) : NULL;
    if (old_run && !r) s = oct_last_error()->code;
    if (r) s = octi_run_read_config(t->ctx, octi_run_folder(r), &old);
    if (s == OCT_OK && old) s = octi_fit_config_check(t->ctx, old, config.data, t->o.run, &grown);
    octi_run_close(r);
    octi_free(t->ctx, old);
    octi_text_free(&config);
    return s;
}

oct_status oct_fit_check(oct_net *net, oct_data *train, const oct_fit_opts *opts) {
    if (!net || !train) return octi_fail_null("oct_fit");
    training t = {.ctx = net->ctx, .net = net, .train = train};
    oct_status s = prepare(&t, opts);
    if (s == OCT_OK && t.o.run) s = check_run(&t);
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
    if (s == OCT_OK && t.o.run) s = start_run(&t);
    while (s == OCT_OK && !t.stop && t.at.epoch < t.o.epochs && !t.at.done) s = run_epoch(&t);
    if (s == OCT_OK && t.stop && t.at.epoch < t.o.epochs && !t.at.done)
        s = octi_fail(OCT_ESTOPPED, "training", "stopped by the caller", NULL,
                      octi_fmt("step %lld", (long long)t.at.step),
                      t.o.run ? "--resume goes on" : NULL);
    release(&t);
    return s;
}

void oct_fit_opts_init(oct_fit_opts *opts) {
    if (opts) *opts = (oct_fit_opts){0};
}
