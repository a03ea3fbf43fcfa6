/* SPDX-License-Identifier: MIT
 * octet train, octet qat. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

static void print_epoch(fit_view *v, const oct_fit_report *r, const cli_warnings *w) {
    double accuracy = v->int8 ? r->int8_accuracy : r->test_accuracy;
    const char *key = v->int8 ? "int8_accuracy" : "test_accuracy";
    if (!v->c->json.set) {
        printf("epoch %d/%d  lr %.3g  train_loss %.4g", r->epoch, r->epochs, r->lr, r->train_loss);
        if (r->train_accuracy >= 0) printf("  train_accuracy %.4f", r->train_accuracy);
        if (accuracy >= 0) printf("  %s %.4f", key, accuracy);
        if (accuracy < 0 && !isnan(r->test_loss))
            printf("  %s %.4g", v->int8 ? "int8_loss" : "test_loss", r->test_loss);
        if (r->val_accuracy < 0 && !isnan(r->val_loss)) printf("  val_loss %.4g", r->val_loss);
        if (r->val_accuracy >= 0) printf("  val_accuracy %.4f", r->val_accuracy);
        if (r->oscillating >= 0)
            printf("  oscillating %.4f frozen %.4f", r->oscillating, r->frozen);
        printf("  %.0f img/s\n", r->img_per_s);
        fflush(stdout);
        return;
    }
    json j = json_open();
    json_int(&j, "epoch", r->epoch);
    json_number(&j, "lr", r->lr);
    json_number(&j, "train_loss", r->train_loss);
    if (accuracy >= 0) json_number(&j, key, accuracy);
    if (!isnan(r->test_loss)) json_number(&j, v->int8 ? "int8_loss" : "test_loss", r->test_loss);
    if (!isnan(r->val_loss)) json_number(&j, "val_loss", r->val_loss);
    if (r->val_accuracy >= 0) json_number(&j, "val_accuracy", r->val_accuracy);
    if (r->oscillating >= 0) {
        json_number(&j, "oscillating", r->oscillating);
        json_number(&j, "frozen", r->frozen);
    }
    json_number(&j, "img_per_s", r->img_per_s);
    if (r->final) json_bool(&j, "final", true);
    if (w) cli_warnings_json(&j, w);
    json_close(&j);
}

/* What is left: steps by those that were made, and an evaluation behind each epoch, by those that
 * were; before the first one of the test part at three times the speed of training. */
static double seconds_left(const fit_view *v, const oct_fit_report *r, double now) {
    const double each = (now - v->begun - v->scoring) / (double)(r->step - v->first),
                 score = v->scored          ? v->scoring / v->scored
                         : r->img_per_s > 0 ? (double)v->tested / (3 * r->img_per_s)
                                            : 0;
    return each * (double)(r->steps - r->step) + score * (r->epochs - r->epoch + 1);
}

int cli_fit_progress(void *view, const oct_fit_report *r) {
    fit_view *v = view;
    v->last = *r;
    double now = cli_seconds();
    if (!v->begun) v->begun = now, v->first = r->step;
    if (r->resumed)
        cli_note(v->c, "resumed at step %lld", (long long)r->step - (r->epoch_end ? 0 : 1));
    if (!r->epoch_end)
        v->last_step = now;
    else if (v->last_step > 0)
        v->scoring += now - v->last_step, v->scored++, v->last_step = 0;
    if (v->c->bar && !r->epoch_end && now - v->last_drawn > 0.1) {
        fprintf(stderr, "\r%sepoch %d/%d%s ", v->c->color ? "\x1b[1m" : "", r->epoch, r->epochs,
                v->c->color ? "\x1b[0m" : "");
        cli_bar(r->step_in_epoch, r->steps_per_epoch);
        fprintf(stderr, " loss %.4f %.0f img/s ", r->train_loss, r->img_per_s);
        if (now - v->begun > 2 && r->step > v->first)
            fprintf(stderr, "%s left ", cli_left(seconds_left(v, r, now)));
        fprintf(stderr, "\x1b[K");
        v->last_drawn = now;
    }
    if (r->epoch_end) {
        if (v->c->bar) fprintf(stderr, "\r\x1b[K");
        if (!v->silent && !(v->hold && r->final)) print_epoch(v, r, NULL);
    }
    return cli_signal();
}

void cli_fit_final(fit_view *v, const cli_warnings *w) {
    if (v->last.final) print_epoch(v, &v->last, w);
}

typedef struct fit_words {
    oct_optim_kind optimizer;
    oct_schedule_kind schedule;
    oct_oscillation_mode oscillation;
    uint32_t augment;
} fit_words;

/* Options that are words; false: one of them is none (recorded). */
static bool read_words(const cli *c, fit_words *w) {
    const bool bad =
        (c->optimizer.s && oct_optim_kind_from_name(c->optimizer.s, &w->optimizer) != OCT_OK) ||
        (c->schedule.s && oct_schedule_kind_from_name(c->schedule.s, &w->schedule) != OCT_OK) ||
        (c->oscillation.s &&
         oct_oscillation_mode_from_name(c->oscillation.s, &w->oscillation) != OCT_OK) ||
        (c->augment.s && oct_augment_from_name(c->augment.s, &w->augment) != OCT_OK);
    return !bad;
}

bool cli_fit_opts(cli *c, oct_net *net, oct_fit_opts *o, oct_data **val, int *code) {
    *val = NULL;
    fit_words w = {.augment = OCT_AUGMENT_DEFAULT};
    if (!read_words(c, &w)) return *code = cli_failed(), false;
    *o = (oct_fit_opts){
        .epochs = (int)c->epochs.i,
        .batch = c->batch.i,
        .optimizer = w.optimizer,
        .lr = (float)c->lr.d,
        .momentum = c->momentum.set && c->momentum.d == 0 ? OCT_NONE : (float)c->momentum.d,
        .weight_decay =
            c->weight_decay.set && c->weight_decay.d == 0 ? OCT_NONE : (float)c->weight_decay.d,
        .clip_norm = (float)c->clip.d,
        .smoothing = (float)c->smoothing.d,
        .schedule = w.schedule,
        .warmup = c->warmup.set && c->warmup.d == 0 ? OCT_NONE : (float)c->warmup.d,
        .augment = w.augment,
        .observe_until =
            c->observe_until.set && c->observe_until.d == 0 ? OCT_NONE : (float)c->observe_until.d,
        .batch_norm_until = c->bn_until.set && c->bn_until.d == 0 ? OCT_NONE : (float)c->bn_until.d,
        .bn_images = c->bn_images.set && c->bn_images.i == 0 ? OCT_NONE : c->bn_images.i,
        .oscillation = w.oscillation,
        .oscillation_end = (float)c->oscillation_end.d,
        .patience = (int)c->patience.i,
        .run = c->out.s,
        .resume = c->resume.set,
        .force = c->force.set,
        .save_steps = c->save_steps.i,
        .config = cli_config_json(c),
        .temperature = (float)c->temperature.d,
        .distill_weight = c->distill_weight.set && c->distill_weight.d == 0
                              ? OCT_NONE
                              : (float)c->distill_weight.d};
    if (c->teacher.set && !(o->teacher = oct_model_load(c->ctx, c->teacher.s)))
        return *code = cli_failed(), false;
    *code = 2;
    if (!c->val.set) return true;
    char *end;
    double share = strtod(c->val.s, &end);
    if (!*end && share > 0 && share < 0.9) {
        o->val_share = (float)share;
        return true;
    }
    if (!*end)
        return cli_usage("--val", "share out of range", "above 0, below 0.9, or a SPEC", c->val.s,
                         NULL),
               false;
    *val = cli_data_of(c, c->val.s, OCT_SPLIT_TRAIN, 0, net);
    o->val = *val;
    return *val || (*code = cli_failed(), false);
}

int cli_fit(cli *c, oct_net *net, oct_data *train, oct_fit_opts *o, fit_view *v) {
    if (oct_score_of(net, train) == OCT_SCORE_VALUES)
        cli_note(c, "octet: y is float: a regression, trained by the mean squared error");
    o->progress = cli_fit_progress;
    o->progress_user = v;
    v->tested = o->test ? oct_data_count(o->test) : 0;
    cli_catch_signals();
    oct_status s = oct_fit(net, train, o);
    if (c->bar && s != OCT_OK) fprintf(stderr, "\n");
    if (s == OCT_ESTOPPED) {
        cli_note(c, "octet: stopped by signal %d, saved in %s (--resume goes on)", cli_signal(),
                 o->run ? o->run : "nothing");
        return 128 + cli_signal();
    }
    return cli_status(s);
}

/* ---- train ---- */

static int freeze(cli *c, oct_net *net) {
    char patterns[1024];
    snprintf(patterns, sizeof patterns, "%s", c->freeze.s);
    char *rest = NULL;
    for (char *p = strtok_r(patterns, ",", &rest); p; p = strtok_r(NULL, ",", &rest)) {
        int32_t hits = 0;
        if (oct_net_freeze(net, p, true, &hits) != OCT_OK)
            return cli_usage("--freeze", oct_last_error()->what, oct_last_error()->expected, p,
                             oct_last_error()->hint);
        cli_note(c, "freeze %s: %d parameters", p, (int)hits);
    }
    return 0;
}

/* A net that knows every class of the data under its id or name, and no more of them; without names
 * their number decides. */
static bool same_classes(const oct_net *net, const oct_data *d) {
    int32_t n;
    const oct_class *list = oct_data_classes(d, &n);
    bool same = n == oct_net_class_count(net);
    if (oct_classes_unnamed(oct_net_classes(net), oct_net_class_count(net))) return same;
    for (int32_t i = 0; i < n && same; i++) {
        int32_t k = 0;
        while (k < n && strcmp(list[i].id, oct_net_classes(net)[k].id) &&
               strcmp(list[i].id, oct_net_classes(net)[k].name))
            k++;
        same = k < n;
    }
    return same;
}

/* As many outputs as the data has classes, of a net that never learned what they are called. */
static bool unnamed_fit(const oct_net *net, int32_t n) {
    const oct_graph *g = oct_net_graph(net);
    const oct_shape *out = oct_value_shape(oct_graph_value(g, oct_graph_output(g)));
    return !oct_net_class_count(net) && out->rank == 2 && out->dim[1] == n;
}

/* The last layer: kept where its outputs are the data's classes, else made anew. */
static int head(cli *c, oct_net *net, const oct_data *train) {
    const char *layer, *m = c->model.s;
    int32_t n, old = oct_net_class_count(net);
    const oct_class *list = oct_data_classes(train, &n);
    if (unnamed_fit(net, n)) {
        cli_note(c,
                 "octet: %s: the net names no classes, and its %d outputs fit the data's: its last "
                 "layer is kept",
                 m, n);
        return cli_status(oct_net_set_classes(net, list, n));
    }
    if (oct_net_renew_head(net, list, n, &layer) != OCT_OK) return cli_failed();
    cli_note(c, "octet: %s: %d classes in place of %d: %s starts anew", m, n, old, layer);
    return 0;
}

/* Fine-tuning: the run's net, with a new last layer where the data has other classes. */
static int from_run(cli *c, oct_net **net, oct_data **train, oct_data **test) {
    const char *m = c->model.s;
    *net = oct_run_load(c->ctx, m, NULL);
    if (!*net) return cli_failed();
    if (oct_net_stage(*net) != OCT_STAGE_FLOAT)
        return cli_usage(m, "run is quantized already", "a float run", NULL,
                         "octet qat trains it on");
    int code = cli_describe(c, *net);
    if (code) return code;
    cli_like like = {.input = oct_net_input(*net)};
    if (c->classes.set && !(like.classes = cli_classes(c, &like.class_count, &code))) return code;
    *train = cli_data_like(c, c->data.s, OCT_SPLIT_TRAIN, c->limit.set ? c->limit.i : 0, &like);
    if (!*train) return cli_failed();
    if ((code = cli_take_input(c, *net, *train, m))) return code;
    if (oct_data_truth(*train, NULL) == OCT_TRUTH_LABELS && !same_classes(*net, *train)) {
        if ((code = head(c, *net, *train))) return code;
    } else { /* labels are the net's */
        if (oct_data_truth(*train, NULL) == OCT_TRUTH_LABELS)
            cli_note(c, "octet: %s: the data's classes are its own: its last layer is kept", m);
        if (c->classes.set &&
            oct_classes_unnamed(oct_net_classes(*net), oct_net_class_count(*net)) &&
            (code = cli_override(c, *net)))
            return code;
        oct_data_free(*train);
        if (!(*train = cli_data(c, OCT_SPLIT_TRAIN, *net))) return cli_failed();
    }
    *test = cli_data(c, OCT_SPLIT_TEST, *net);
    return *test ? 0 : cli_failed();
}

static int from_zoo(cli *c, oct_net **net, oct_data **train, oct_data **test) {
    int code = 0;
    int32_t n;
    oct_input_desc said = {.channels = 0};
    if (c->classes.set && !cli_classes(c, &n, &code)) return code;
    if ((code = cli_input(c, &said, 0))) return code;
    *train = cli_data(c, OCT_SPLIT_TRAIN, NULL);
    if (!*train) return cli_failed();
    /* the test part is described as the training part is */
    *test = cli_test_like(c, *train);
    *net = *test ? oct_zoo_net(c->ctx, c->model.s, *train) : NULL;
    return *net ? cli_describe(c, *net) : cli_failed();
}

int cmd_train(cli *c) {
    if (oct_run_check(c->ctx, c->out.s, c->resume.set, c->force.set) != OCT_OK) return cli_failed();
    oct_fit_opts o;
    oct_data *val, *train, *test;
    oct_net *net;
    const bool zoo = oct_zoo_defaults(c->model.s) != NULL, folder = oct_run_is(c->model.s);
    oct_clear_error();
    if (zoo && folder)
        cli_note(c, "octet: --model %s: the zoo's net; the run of that name here is ./%s",
                 c->model.s, c->model.s);
    bool run = !zoo && (strchr(c->model.s, '/') || strchr(c->model.s, '.') || folder);
    if (!zoo && !run)
        return cli_unknown("--model", "no net of that name, and no run",
                           "lenet, resnet8, resnet20, resnet18, or a run's folder", c->model.s);
    int code = (run ? from_run : from_zoo)(c, &net, &train, &test);
    if (!code && c->freeze.set) code = freeze(c, net);
    if (code || !cli_fit_opts(c, net, &o, &val, &code)) return code;
    o.test = test;
    if (oct_fit_check(net, train, &o) != OCT_OK) return cli_failed();
    cli_note(c, "train %s on %s: %lld images, test %lld, seed %llu, %d threads, %s", c->model.s,
             c->data.s, (long long)oct_data_count(train), (long long)oct_data_count(test),
             (unsigned long long)oct_ctx_seed(c->ctx), oct_ctx_threads(c->ctx),
             oct_ctx_isa(c->ctx));
    if (c->dry_run.set) return cli_plan_fit(c, net, net, train, &o);
    fit_view v = {.c = c};
    if ((code = cli_fit(c, net, train, &o, &v))) return code;
    const char *to = cli_word(c->out.s), *set = cli_word(c->data.s);
    cli_next(
        c, "run in %s; next: octet ptq %s --data %s --out %s, or octet qat %s --data %s --out %s",
        to, to, set, cli_free_name(c->out.s, "-ptq"), to, set, cli_free_name(c->out.s, "-qat"));
    return 0;
}

/* ---- qat ---- */

/* Of a net that nobody described: pixels as the data has them, but where ranges were observed. */
static int describe(cli *c, oct_net *from) {
    oct_input_desc in = *oct_net_input(from);
    if (!in.assumed) return 0;
    if (oct_net_stage(from) == OCT_STAGE_PREPARED) {
        cli_note(c, "octet: %s: nobody described the net, and its ranges are of pixels as they are",
                 c->operands[0]);
        in.assumed = false;
        return cli_status(oct_net_set_input(from, &in));
    }
    oct_data *d = cli_data(c, OCT_SPLIT_TRAIN, from);
    if (!d) return cli_failed();
    const int code = cli_take_input(c, from, d, c->operands[0]);
    oct_data_free(d);
    return code;
}

int cmd_qat(cli *c) {
    if (oct_run_check(c->ctx, c->out.s, c->resume.set, c->force.set) != OCT_OK) return cli_failed();
    int code;
    oct_net *from = cli_load(c, c->operands[0], true, &code);
    if (!from) return code;
    if (oct_net_stage(from) == OCT_STAGE_PREPARED && cli_qconfig_given(c))
        return cli_quantized_already(
            c, c->operands[0],
            "no --target, --observer, --method, --wbits, --abits, --set, --qconfig");
    c->goes_on = oct_net_stage(from) == OCT_STAGE_PREPARED;
    oct_qconfig config;
    if ((code = cli_qconfig(c, &config)) || (code = describe(c, from))) return code;
    oct_net *net = oct_net_stage(from) == OCT_STAGE_PREPARED ? from : oct_prepare(from, &config);
    if (!net) return cli_failed();
    /* what calibration found is the start; training moves it on */
    if (net == from && oct_net_searches_ranges(net)) {
        if (oct_net_set_observer(net, "ema") != OCT_OK) return cli_failed();
        cli_note(c, "%s: ranges start as calibration chose them, and go on with observer ema",
                 c->operands[0]);
    }
    oct_fit_opts o;
    oct_data *val;
    oct_data *train = cli_data(c, OCT_SPLIT_TRAIN, net),
             *test = train ? cli_data(c, OCT_SPLIT_TEST, net) : NULL;
    if (!train || !test) return cli_failed();
    if (!cli_fit_opts(c, net, &o, &val, &code)) return code;
    o.test = test;
    if (oct_fit_check(net, train, &o) != OCT_OK) return cli_failed();
    if ((c->rules.set || c->qconfig.set) && !c->quiet.set) cli_placements(stderr, net);
    cli_note(c, "qat %s on %s: target %s, %lld images, test %lld, seed %llu, %d threads, %s",
             c->operands[0], c->data.s, oct_net_target(net), (long long)oct_data_count(train),
             (long long)oct_data_count(test), (unsigned long long)oct_ctx_seed(c->ctx),
             oct_ctx_threads(c->ctx), oct_ctx_isa(c->ctx));
    if ((code = cli_note_input(c, net))) return code;
    if (c->dry_run.set) return cli_plan_fit(c, from, net, train, &o);
    fit_view v = {.c = c, .int8 = true, .hold = true};
    code = cli_fit(c, net, train, &o, &v);
    double real = -1;
    oct_eval r;
    if (!code && from != net && v.last.int8_accuracy >= 0 &&
        oct_score_of(from, test) == OCT_SCORE_CLASSES &&
        oct_evaluate(from, test, NULL, &r) == OCT_OK) {
        real = r.accuracy;
        oct_eval_free(c->ctx, &r);
    }
    cli_warnings w = {.row = NULL};
    if (!code) w = cli_warn(c, net, train, real, v.last.int8_accuracy, oct_data_count(test));
    cli_fit_final(&v, &w);
    cli_warnings_free(c, &w);
    if (!code) cli_next_of_run(c);
    return code;
}
