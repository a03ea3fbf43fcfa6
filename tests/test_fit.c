/* SPDX-License-Identifier: MIT
 * fit: it learns; same bits for any threads, for two runs, and for a run that was stopped anywhere
 * and resumed; options;
 * runs on disk; damage; layouts against PyTorch's files. */
#include "tests/temp_folder.h"

#include <math.h>
#include <sys/stat.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "qat/io/import.h"
#include "qat/io/weight_layout.h"
#include "qat/infer/infer.h"
#include "src/mem.h"
#include "src/rng.h"

static size_t file(const char *path, char **bytes) {
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    *bytes = malloc(n + 1);
    ck_assert_uint_eq(fread(*bytes, 1, n, f), n);
    (*bytes)[n] = 0;
    fclose(f);
    return n;
}

static bool same_file(const char *a, const char *b) {
    char *x, *y;
    size_t n = file(a, &x), m = file(b, &y);
    bool same = n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}

/* A small net with all that moves: batch norm, dropout, two branches' worth of layers. */
static oct_module *small(oct_ctx *ctx) {
    oct_module *parts[] = {
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 5, .stride = 2, .no_bias = true}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}),
        oct_relu_new(ctx),
        oct_max_pool2d_new(ctx, &(oct_pool_opts){.kernel = 2}),
        oct_flatten_new(ctx),
        oct_dropout_new(ctx, 0.2f),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * 6 * 6, .out = 10})};
    return oct_sequential_new(ctx, parts, 7);
}

static oct_data *digits(oct_ctx *ctx, oct_split split, int64_t n) {
    return oct_data_open(ctx, "synth-digits", &(oct_data_opts){.split = split, .limit = n});
}

static oct_net *net_for(oct_ctx *ctx, oct_data *d, bool prepared) {
    oct_net *net = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    int32_t n;
    const oct_class *classes = oct_data_classes(d, &n);
    ck_ok(oct_net_set_input(net, oct_data_input(d)));
    ck_ok(oct_net_set_classes(net, classes, n));
    if (!prepared) return net;
    oct_net *q = oct_prepare(net, &(oct_qconfig){.wbits = 4, .all_layers = true});
    ck_not_null(q);
    return q;
}

struct stopper {
    int64_t at; /* step; 0: never */
    int64_t steps;
    double last;
};

static int stop_at(void *user, const oct_fit_report *r) {
    struct stopper *s = user;
    s->steps = r->step;
    if (r->epoch_end) s->last = r->test_accuracy >= 0 ? r->test_accuracy : r->int8_accuracy;
    return s->at && r->step >= s->at;
}

typedef struct job {
    bool prepared, resume, force;
    oct_optim_kind optimizer;
    int threads, epochs;
    int64_t stop;
    uint32_t augment;
} job;

static oct_status run(const char *dir, job j, double *score) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = j.threads ? j.threads : 2});
    oct_data *train = digits(ctx, OCT_SPLIT_TRAIN, 200), *test = digits(ctx, OCT_SPLIT_TEST, 60);
    struct stopper s = {.at = j.stop};
    oct_status st = oct_fit(
        net_for(ctx, train, j.prepared), train,
        &(oct_fit_opts){.epochs = j.epochs ? j.epochs : 3,
                        .batch = 32,
                        .optimizer = j.optimizer,
                        .momentum = j.optimizer == OCT_OPTIM_RMSPROP ? 0.5f : 0,
                        .augment = j.augment,
                        .test = test,
                        .run = dir,
                        .resume = j.resume,
                        .force = j.force,
                        .val_share = 0.1f,
                        .oscillation = j.prepared ? OCT_OSCILLATION_FREEZE : OCT_OSCILLATION_OFF,
                        .oscillation_end = 0.001f,
                        .bn_images = j.prepared ? 128 : 0,
                        .progress = stop_at,
                        .progress_user = &s});
    if (score) *score = s.last;
    oct_close(ctx);
    return st;
}

static void same_run(const char *a, const char *b) {
    static const char *const names[] = {"model.safetensors", "state.safetensors",
                                        "best.safetensors", "graph.json", "config.json"};
    for (int i = 0; i < 5; i++) {
        char x[160], y[160];
        snprintf(x, sizeof x, "%s/%s", a, names[i]);
        snprintf(y, sizeof y, "%s/%s", b, names[i]);
        /* the state holds metrics_bytes, which depends on digits of img_per_s */
        if (i == 1 || i == 4) continue;
        ck_assert_msg(same_file(x, y), "%s and %s differ", x, y);
    }
}

START_TEST(same_bits_for_threads_and_again) {
    for (int prepared = 0; prepared < 2; prepared++) {
        fresh_root();
        const int threads[] = {1, 2, 4, 2};
        for (int i = 0; i < 4; i++) {
            char name[8];
            snprintf(name, sizeof name, "r%d", i);
            ck_ok(run(in_root(name),
                      (job){.prepared = prepared,
                            .threads = threads[i],
                            .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP},
                      NULL));
            if (i) same_run(in_root("r0"), in_root(name));
        }
    }
    remove_root();
}
END_TEST

START_TEST(stopped_anywhere_it_ends_the_same) {
    /* 180 images, batch 32: 5 steps an epoch, 15 in all; observers freeze at 7.5, batch norm at
     * 10 */
    const int64_t stops[] = {1, 4, 5, 6, 8, 10, 14, 15};
    for (int prepared = 0; prepared < 2; prepared++)
        for (int k = 0; k < 3; k++) {
            static const oct_optim_kind optimizers[] = {OCT_OPTIM_SGD, OCT_OPTIM_ADAM,
                                                        OCT_OPTIM_RMSPROP};
            fresh_root();
            job j = {
                .prepared = prepared, .optimizer = optimizers[k], .augment = OCT_AUGMENT_CROP4};
            ck_ok(run(in_root("whole"), j, NULL));
            for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
                char name[16];
                snprintf(name, sizeof name, "s%d", (int)stops[i]);
                j.resume = false;
                j.stop = stops[i];
                oct_status st = run(in_root(name), j, NULL);
                ck_assert_int_eq(st, OCT_ESTOPPED);
                j.resume = true;
                j.stop = stops[i] + 2 < 15 ? stops[i] + 2 : 0; /* and again a little later */
                st = run(in_root(name), j, NULL);
                ck_assert(st == OCT_OK || st == OCT_ESTOPPED);
                j.stop = 0;
                ck_ok(run(in_root(name), j, NULL));
                same_run(in_root("whole"), in_root(name));
            }
        }
    remove_root();
}
END_TEST

static int count_lines(const char *path) {
    char *text;
    file(path, &text);
    int n = 0;
    for (char *p = text; *p; p++) n += *p == '\n';
    free(text);
    return n;
}

START_TEST(runs_are_guarded_and_extended) {
    fresh_root();
    char dir[128];
    snprintf(dir, sizeof dir, "%s/r", root);
    ck_ok(run(dir, (job){.epochs = 2}, NULL));
    ck_assert_int_eq(count_lines(in_root("r/metrics.jsonl")), 2);
    oct_clear_error();
    ck_fails(OCT_EUSAGE, "run exists already", run(dir, (job){.epochs = 2}, NULL));
    ck_fails(OCT_EUSAGE, "epochs", run(dir, (job){.epochs = 1, .resume = true}, NULL));
    ck_fails(OCT_EUSAGE, "optimizer",
             run(dir, (job){.epochs = 2, .optimizer = OCT_OPTIM_ADAM, .resume = true}, NULL));
    ck_fails(OCT_EUSAGE, "augment",
             run(dir, (job){.epochs = 2, .augment = OCT_AUGMENT_FLIP, .resume = true}, NULL));
    ck_ok(run(dir, (job){.epochs = 3, .resume = true}, NULL)); /* more epochs are fine */
    ck_assert_int_eq(count_lines(in_root("r/metrics.jsonl")), 3);
    ck_ok(run(dir, (job){.epochs = 3, .resume = true}, NULL)); /* and nothing to do is fine */
    /* resume without a checkpoint starts at 0 */
    ck_ok(run(in_root("new"), (job){.epochs = 1, .resume = true}, NULL));
    /* lines behind the checkpoint are cut, whether anything is left to do or not */
    for (int epochs = 3; epochs <= 4; epochs++) {
        FILE *f = fopen(in_root("r/metrics.jsonl"), "a");
        fputs("{\"epoch\":4}\n{\"epo", f);
        fclose(f);
        ck_ok(run(dir, (job){.epochs = epochs, .resume = true}, NULL));
        ck_assert_int_eq(count_lines(in_root("r/metrics.jsonl")), epochs);
    }
    mkdir(in_root("mine"), 0777);
    fclose(fopen(in_root("mine/thesis.txt"), "w"));
    for (int force = 0; force < 2; force++)
        ck_fails(OCT_EUSAGE, "not a run",
                 run(in_root("mine"), (job){.epochs = 1, .force = force}, NULL));
    ck_assert(!access(in_root("mine/thesis.txt"), F_OK));
    ck_fails(OCT_EIO, "none", run(in_root("none/r"), (job){.epochs = 1}, NULL));
    remove_root();
}
END_TEST

START_TEST(a_run_loads_without_its_module) {
    for (int prepared = 0; prepared < 2; prepared++) {
        fresh_root();
        double score;
        ck_ok(run(in_root("r"), (job){.prepared = prepared, .epochs = 4}, &score));
        oct_ctx *ctx = oct_open(NULL);
        oct_run_info info;
        oct_net *net = oct_run_load(ctx, in_root("r"), &info);
        ck_not_null(net);
        ck_assert_int_eq(net->stage, prepared ? OCT_STAGE_PREPARED : OCT_STAGE_FLOAT);
        ck_assert_int_eq(info.epoch, 4);
        ck_assert(info.has_state && info.seed == 1);
        ck_assert_int_eq(net->class_count, 10);
        oct_data *test = digits(ctx, OCT_SPLIT_TEST, 60);
        oct_eval r;
        ck_ok(oct_evaluate(net, test, NULL, &r));
        ck_assert_int_eq(r.n, 60);
        /* for prepared nets: simulation equals the int8 net that fit scored */
        ck_assert_double_eq(r.accuracy, score);
        ck_assert(r.top5 >= r.accuracy && r.loss > 0);
        oct_eval_free(ctx, &r);
        if (prepared) {
            oct_net *int8 = oct_convert(net, NULL);
            ck_ok(oct_evaluate(int8, test, &(oct_eval_opts){.batch = 7}, &r));
            ck_assert_double_eq(r.accuracy, score);
            oct_eval_free(ctx, &r);
            ck_ok(oct_run_save_probe(net, in_root("r"), test, 64));
            oct_tensor *probe = oct_run_load_probe(ctx, in_root("r"));
            ck_not_null(probe);
            ck_assert_int_eq(probe->shape.dim[0], 60);
            oct_mismatch m = {.codes = 0};
            ck_ok(oct_compare(net, int8, probe, &m));
            ck_assert(m.codes > 0 && m.mismatched == 0);
        }
        /* the model file lags behind the state, as after a kill between the two: the state is
         * taken */
        char *model, *state;
        file(in_root("r/model.safetensors"), &model);
        ck_assert(strstr(model + 8, "generation") != NULL);
        file(in_root("r/state.safetensors"), &state);
        free(model);
        free(state);
        unlink(in_root("r/model.safetensors"));
        oct_net *again = oct_run_load(ctx, in_root("r"), NULL);
        ck_not_null(again);
        for (int32_t i = 0; i < net->tensor_count; i++)
            ck_assert(!memcmp(net->tensors[i].tensor->data,
                              oct_net_tensor(again, net->tensors[i].name)->data,
                              oct_tensor_bytes(net->tensors[i].tensor)));
        /* every cut of the state is refused */
        size_t n = file(in_root("r/state.safetensors"), &state);
        for (size_t cut = 0; cut < n; cut += n / 37 + 1) {
            FILE *f = fopen(in_root("r/state.safetensors"), "wb");
            ck_assert_uint_eq(fwrite(state, 1, cut, f), cut);
            fclose(f);
            ck_assert(!oct_run_load(ctx, in_root("r"), NULL));
        }
        free(state);
        oct_close(ctx);
    }
    remove_root();
}
END_TEST

START_TEST(a_frozen_model_lags_and_the_state_wins) {
    fresh_root();
    ck_ok(run(in_root("r"), (job){.epochs = 1}, NULL));
    char cmd[256];
    snprintf(cmd, sizeof cmd, "cp %s %s", in_root("r/model.safetensors"), in_root("old"));
    ck_assert_int_eq(system(cmd), 0);
    ck_ok(run(in_root("r"), (job){.epochs = 2, .resume = true}, NULL));
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = oct_run_load(ctx, in_root("r"), NULL);
    snprintf(cmd, sizeof cmd, "cp %s %s", in_root("old"), in_root("r/model.safetensors"));
    ck_assert_int_eq(system(cmd), 0);
    oct_net *again = oct_run_load(ctx, in_root("r"), NULL);
    ck_not_null(again);
    oct_tensor *a = oct_net_tensor(net, "6.weight"), *b = oct_net_tensor(again, "6.weight");
    ck_assert(!memcmp(a->data, b->data, oct_tensor_bytes(a)));
    /* a resume with nothing left to do brings the model up to the state, and sweeps what killed
     * saves left */
    fclose(fopen(in_root("r/state.safetensors.tmp-999999999-0"), "w"));
    ck_ok(run(in_root("r"), (job){.epochs = 2, .resume = true}, NULL));
    ck_assert(!same_file(in_root("old"), in_root("r/model.safetensors")));
    ck_assert(access(in_root("r/state.safetensors.tmp-999999999-0"), F_OK) != 0);
    /* a file without a generation was put there by somebody: it is taken */
    oct_f32(a)[0] = 42;
    ck_ok(oct_net_save_weights(net, in_root("r/model.safetensors")));
    again = oct_run_load(ctx, in_root("r"), NULL);
    ck_not_null(again);
    ck_assert(oct_f32(oct_net_tensor(again, "6.weight"))[0] == 42);
    oct_close(ctx);
    remove_root();
}
END_TEST

START_TEST(divergence_keeps_the_last_state) {
    fresh_root();
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = digits(ctx, OCT_SPLIT_TRAIN, 64);
    oct_net *net = net_for(ctx, train, false);
    ck_fails(OCT_EDIVERGED, "",
             oct_fit(net, train,
                     &(oct_fit_opts){.epochs = 30,
                                     .lr = 1000,
                                     .schedule = OCT_SCHEDULE_CONSTANT,
                                     .batch = 8,
                                     .save_steps = 1,
                                     .run = in_root("r")}));
    oct_net *saved = oct_run_load(ctx, in_root("r"), NULL);
    ck_not_null(saved);
    for (int32_t i = 0; i < saved->tensor_count; i++)
        for (int64_t e = 0; e < oct_tensor_count(saved->tensors[i].tensor); e++)
            ck_assert(isfinite(oct_f32(saved->tensors[i].tensor)[e]));
    oct_close(ctx);
    remove_root();
}
END_TEST

START_TEST(options_are_judged) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = digits(ctx, OCT_SPLIT_TRAIN, 40);
    oct_net *net = net_for(ctx, d, false);
    ck_fails(OCT_EUSAGE, "sgd, adam, adamw or rmsprop, got 4",
             oct_fit(net, d, &(oct_fit_opts){.optimizer = (oct_optim_kind)4}));
    ck_fails(OCT_EUSAGE, "onecycle, got 5",
             oct_fit(net, d, &(oct_fit_opts){.schedule = (oct_schedule_kind)5}));
    ck_fails(OCT_EUSAGE, "milestones",
             oct_fit(net, d, &(oct_fit_opts){.schedule = OCT_SCHEDULE_MULTI_STEP}));
    ck_fails(OCT_EUSAGE, "augment", oct_fit(net, d, &(oct_fit_opts){.augment = 64}));
    ck_fails(OCT_EUSAGE, "none alone",
             oct_fit(net, d, &(oct_fit_opts){.augment = OCT_AUGMENT_NONE | OCT_AUGMENT_FLIP}));
    ck_fails(OCT_EUSAGE, "epochs", oct_fit(net, d, &(oct_fit_opts){.epochs = -1}));
    ck_fails(OCT_EUSAGE, "batch", oct_fit(net, d, &(oct_fit_opts){.batch = -4}));
    ck_fails(OCT_EUSAGE, "lr", oct_fit(net, d, &(oct_fit_opts){.lr = NAN}));
    ck_fails(OCT_EUSAGE, "patience", oct_fit(net, d, &(oct_fit_opts){.patience = 2}));
    ck_fails(OCT_EUSAGE, "val_share", oct_fit(net, d, &(oct_fit_opts){.val_share = 1.5f}));
    ck_fails(OCT_EUSAGE, "val", oct_fit(net, d, &(oct_fit_opts){.val_share = 0.5f, .val = d}));
    ck_fails(OCT_EUSAGE, "NULL", oct_fit(NULL, d, NULL));
    ck_fails(OCT_EUSAGE, "not prepared", oct_calibrate(net, d, 10));
    ck_fails(OCT_EUSAGE, "NULL", oct_evaluate(net, NULL, NULL, NULL));
    oct_data *other = oct_data_open(ctx, "synth-shapes", &(oct_data_opts){.limit = 8});
    ck_fails(OCT_ESHAPE, "input", oct_fit(net, other, NULL));
    oct_eval r;
    ck_fails(OCT_ESHAPE, "images", oct_evaluate(net, other, NULL, &r));
    oct_net *q = oct_prepare(net, NULL);
    /* never observed: refused, not made up */
    ck_assert_int_ne(oct_evaluate(q, d, NULL, &r), OCT_OK);
    ck_assert_int_eq(oct_last_error()->code, OCT_EQPARAMS);
    ck_ok(oct_calibrate(q, d, 20));
    ck_ok(oct_evaluate(q, d, NULL, &r));
    oct_eval_free(ctx, &r);
    /* frozen parameters stay */
    int32_t v = oct_graph_find_value(net->graph, "6.weight");
    net->graph->values[v].frozen = true;
    float w0 = oct_f32(oct_net_tensor(net, "6.weight"))[3],
          c0 = oct_f32(oct_net_tensor(net, "0.weight"))[3];
    ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 1, .batch = 8}));
    ck_assert(oct_f32(oct_net_tensor(net, "6.weight"))[3] == w0 &&
              oct_f32(oct_net_tensor(net, "0.weight"))[3] != c0);
    oct_close(ctx);
}
END_TEST

START_TEST(layouts_turn_and_return) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = oct_capture(oct_zoo_new(ctx, "lenet", NULL), OCT_SHAPE(28, 28, 1));
    int64_t hwc[3];
    ck_assert(octi_flat_image(net, "fc1.weight", hwc) && hwc[0] == 5 && hwc[1] == 5 &&
              hwc[2] == 16);
    ck_assert(!octi_flat_image(net, "fc2.weight", hwc) &&
              !octi_flat_image(net, "conv2.weight", hwc));
    oct_shape s = OCT_SHAPE(2, 3, 1, 4), out = octi_shape_out(&s);
    oct_shape back = octi_shape_in(&out);
    ck_assert(out.dim[1] == 4 && out.dim[2] == 3 && oct_shape_equal(&s, &back));
    float a[24], b[24], c[24];
    for (int i = 0; i < 24; i++) a[i] = (float)i;
    octi_layout_out(&s, NULL, 4, a, b);
    ck_assert(b[1] == a[4]); /* [0,c=0,r=1] of OIHW is [0,r=1,0,c=0] */
    octi_layout_in(&s, NULL, 4, b, c);
    ck_assert(!memcmp(a, c, sizeof a));
    oct_close(ctx);
}
END_TEST

START_TEST(it_learns_and_layers_are_reported) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = digits(ctx, OCT_SPLIT_TRAIN, 1500), *test = digits(ctx, OCT_SPLIT_TEST, 300);
    oct_net *net = net_for(ctx, train, false);
    ck_ok(oct_fit(net, train, &(oct_fit_opts){.epochs = 6, .batch = 32}));
    oct_eval f, q;
    ck_ok(oct_evaluate(net, test, NULL, &f));
    ck_assert_msg(f.accuracy > 0.7, "accuracy %g", f.accuracy);
    int64_t sum = 0, right = 0;
    for (int i = 0; i < 10; i++) {
        right += f.confusion[i * 10 + i];
        for (int k = 0; k < 10; k++) sum += f.confusion[i * 10 + k];
    }
    ck_assert_int_eq(sum, 300);
    ck_assert_double_eq(f.accuracy, (double)right / 300);
    oct_net *p = oct_prepare(net, NULL);
    ck_ok(oct_calibrate(p, train, 200));
    oct_net *int8 = oct_convert(p, NULL);
    ck_ok(oct_evaluate(int8, test, NULL, &q));
    ck_assert_msg(q.accuracy > f.accuracy - 0.03, "int8 %g, float %g", q.accuracy, f.accuracy);
    oct_layer *rows;
    int32_t n;
    ck_ok(oct_layers(p, test, 100, &rows, &n));
    int measured = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!rows[i].int8) continue;
        measured++;
        ck_assert_msg(rows[i].sqnr_local > 5 && rows[i].sqnr_cum > 5 && rows[i].sqnr_local < 80,
                      "%s: %g %g", rows[i].name, rows[i].sqnr_local, rows[i].sqnr_cum);
        ck_assert(rows[i].clip >= 0 && rows[i].clip < 0.2 && rows[i].scale > 0);
        /* a pool that its convolution runs has no time of its own */
        ck_assert(rows[i].us >= 0 || !strcmp(rows[i].kernel, "fused"));
    }
    ck_assert_int_ge(measured, 4);
    oct_layers_free(ctx, rows);
    oct_runner *r = oct_runner_new(int8, &(oct_runner_opts){.batch = 2, .values = true});
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3, 28, 28, 1));
    ck_assert(!oct_runner_run(r, x)); /* more than its batch */
    x->shape.dim[0] = 2;
    ck_not_null(oct_runner_run(r, x));
    float scale;
    const oct_tensor *v = oct_runner_value(r, "0", &scale, NULL);
    ck_not_null(v);
    ck_assert(v->dtype == OCT_U8 && scale > 0);
    ck_assert(!oct_runner_value(r, "nope", NULL, NULL));
    oct_close(ctx);
}
END_TEST

START_TEST(new_head) {
    oct_ctx *ctx = oct_open(NULL), *other = oct_open(NULL);
    oct_data *d = digits(ctx, OCT_SPLIT_TRAIN, 40);
    oct_net *net = net_for(ctx, d, false),
            *again = net_for(other, digits(other, OCT_SPLIT_TRAIN, 40), false);
    oct_class three[3] = {{"a", "a"}, {"b", "b"}, {"c", NULL}};
    const char *layer = NULL;
    ck_ok(oct_net_renew_head(net, three, 3, &layer));
    ck_ok(oct_net_renew_head(again, three, 3, NULL));
    ck_assert_str_eq(layer, "6");
    oct_tensor *w = oct_net_tensor(net, "6.weight"), *b = oct_net_tensor(net, "6.bias"),
               *w2 = oct_net_tensor(again, "6.weight");
    ck_assert(w->shape.dim[0] == 3 && w->shape.dim[1] == 144 && b->shape.dim[0] == 3);
    ck_assert(!memcmp(w->data, w2->data, oct_tensor_bytes(w)));
    double size = 0;
    for (int i = 0; i < 3 * 144; i++) size += fabs(oct_f32(w)[i]);
    /* uniform in +-1/12: mean 1/24 */
    ck_assert(size / (3 * 144) > 0.02 && size / (3 * 144) < 1.0 / 12);
    ck_assert_str_eq(net->classes[2].name, "c");
    int32_t labels[4] = {0, 1, 2, 1};
    float four[4][784] = {{0}};
    oct_data *m = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(4, 28, 28, 1), four, labels, NULL);
    oct_eval r;
    ck_ok(oct_evaluate(net, m, NULL, &r));
    ck_assert_int_eq(r.classes, 3);
    ck_ok(oct_fit(net, m, &(oct_fit_opts){.epochs = 1}));
    oct_net *quantized = net_for(ctx, d, true);
    ck_fails(OCT_EUSAGE, "quantized", oct_net_renew_head(quantized, three, 3, NULL));
    ck_fails(OCT_EUSAGE, "missing", oct_net_renew_head(net, three, 0, NULL));
    oct_close(ctx);
    oct_close(other);
}
END_TEST

OCT_TEST_MAIN("fit", it_learns_and_layers_are_reported, same_bits_for_threads_and_again,
              stopped_anywhere_it_ends_the_same, runs_are_guarded_and_extended,
              a_run_loads_without_its_module, a_frozen_model_lags_and_the_state_wins,
              divergence_keeps_the_last_state, options_are_judged, layouts_turn_and_return,
              new_head)
