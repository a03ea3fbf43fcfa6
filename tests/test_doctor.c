/* SPDX-License-Identifier: MIT
 * octet doctor: each cause is planted; named first, its command must win most of what was lost.
 * Healthy runs are called healthy. $OCTET is the command. OCT_TEST_LONG=1: more healthy runs. */
#include "tests/doctor_rig.h"

/* ---- sets ---- */

enum { TRAIN = 1200, TEST = 800, SIDE = 28, PIXELS = SIDE * SIDE };
typedef struct digits {
    uint8_t x[TRAIN * PIXELS], x_test[TEST * PIXELS];
    int32_t y[TRAIN], y_test[TEST];
} digits;
static digits plain;

static void save_set(const char *name, const digits *d) {
    const octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(TRAIN, 1, SIDE, SIDE), d->x},
                                {"y", OCT_S32, OCT_SHAPE(TRAIN), d->y},
                                {"x_test", OCT_U8, OCT_SHAPE(TEST, 1, SIDE, SIDE), d->x_test},
                                {"y_test", OCT_S32, OCT_SHAPE(TEST), d->y_test}};
    ck_ok(octi_npz_write(ctx, in_root(name), a, 4));
}

/* Digits up to 200: nothing of them is as bright as a mark. */
static void make_sets(void) {
    for (int part = 0; part < 2; part++) {
        const int n = part ? TEST : TRAIN;
        uint8_t *x = part ? plain.x_test : plain.x;
        oct_data *from = oct_data_open(
            ctx, "synth-digits",
            &(oct_data_opts){.split = part ? OCT_SPLIT_TEST : OCT_SPLIT_TRAIN, .limit = n});
        ck_not_null(from);
        for (int i = 0; i < n; i++)
            ck_ok(oct_data_get(from, i, x + i * PIXELS, (part ? plain.y_test : plain.y) + i));
        for (int i = 0; i < n * PIXELS; i++) x[i] = (uint8_t)(x[i] * 200 / 255);
        oct_data_free(from);
    }
    save_set("digits.npz", &plain);
}

/* A set like the plain one, changed. */
static void other_set(const char *name, void (*change)(digits *d)) {
    digits *d = malloc(sizeof *d);
    ck_assert(d != NULL);
    *d = plain;
    change(d);
    save_set(name, d);
    free(d);
}

/* Where sample i of a training's first epoch stands in the set. */
static void order_of(int32_t *at) {
    static uint8_t pixel[TRAIN];
    static int32_t number[TRAIN];
    for (int32_t i = 0; i < TRAIN; i++) number[i] = i;
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(TRAIN, 1, 1, 1), pixel, number, NULL);
    oct_loader *l = oct_loader_new(d, &(oct_loader_opts){.shuffle = true, .seed = 1});
    ck_ok(oct_loader_start(l, 0, 0));
    for (bool done = false; !done;) {
        oct_batch b;
        ck_ok(oct_loader_next(l, &b, &done));
        for (int64_t i = 0; !done && i < b.x->shape.dim[0]; i++)
            at[b.first + i] = oct_s32(b.labels)[i];
    }
    oct_loader_free(l);
    oct_data_free(d);
}

/* ---- the net ---- */

typedef struct tiny_net {
    oct_module *conv1, *bn1, *conv2, *fc1, *fc2;
} tiny_net;

static oct_var *tiny_forward(void *self, oct_tape *t, oct_var *x) {
    tiny_net *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    x = oct_flatten(oct_relu(oct_apply(n->conv2, x)));
    return oct_apply(n->fc2, oct_relu(oct_apply(n->fc1, x)));
}

static oct_net *tiny_new(tiny_net *n) {
    oct_module *m = oct_module_new(ctx, tiny_forward, n);
    n->conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(ctx,
                       &(oct_conv2d_opts){.in = 1, .out = 8, .kernel = 5, .stride = 2, .pad = 2}));
    n->bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8}));
    n->conv2 = oct_module_add(
        m, "conv2",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 8, .out = 16, .kernel = 3, .stride = 2}));
    n->fc1 =
        oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 16 * 36, .out = 32}));
    n->fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 32, .out = 10}));
    oct_net *net = oct_capture(m, OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    return net;
}

/* A float run with some tensors changed. */
static void spoil(const char *from, const char *to, void (*change)(oct_net *net)) {
    oct_net *net = oct_run_load(ctx, in_root(from), NULL);
    ck_not_null(net);
    change(net);
    ck_ok(oct_run_save(net, in_root(to), "{\"data\":\"" SPEC "\"}", false));
    oct_net_free(net);
}
static float *tensor(oct_net *net, const char *name) {
    oct_tensor *t = oct_net_tensor(net, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    return oct_f32(t);
}

static void begin(void) {
    const char *at = getenv("OCTET");
    snprintf(octet, sizeof octet, "%s", at ? at : "build/release/octet");
    char *slash = strrchr(octet, '/');
    if (slash) *slash = 0;
    verbose = getenv("OCT_TEST_VERBOSE") != NULL;
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2}));
    make_root();
    tiny_net room;
    oct_net *net = tiny_new(&room);
    make_sets();
    oct_data *train = oct_data_open(ctx, SPEC, &(oct_data_opts){.root = root});
    ck_ok(oct_fit(
        net, train,
        &(oct_fit_opts){.epochs = 8, .run = in_root("f32"), .config = "{\"data\":\"" SPEC "\"}"}));
    oct_data_free(train);
    oct_net_free(net);
}
static void end(void) {
    char line[120];
    snprintf(line, sizeof line, "rm -rf '%s'", root);
    if (*root && !getenv("OCT_TEST_KEEP") && system(line)) printf("%s is left\n", root);
    oct_close(ctx);
}
static void setup(void) { /* once: the tests build on one another's runs */
    if (!ctx && (begin(), 1)) atexit(end);
}

/* ---- healthy ---- */

START_TEST(healthy_runs) {
    static const char *const targets[] = {"octet", "fbgemm", "qnnpack", "pow2"};
    char run[40];
    healthy("f32");
    for (int i = 0; i < 4; i++) {
        snprintf(run, sizeof run, "p-%s", targets[i]);
        does("octet ptq f32 " DATA " --target %s --out %s --quiet", targets[i], run);
        healthy(run);
    }
    does("octet qat f32 " DATA " --epochs 1 --out q8 --quiet");
    healthy("q8");
    does("octet qat f32 " DATA " --epochs 2 --wbits 4 --method lsq --out q4 --quiet");
    healthy("q4");
}
END_TEST

/* A float run, and what calibration and training on the grid make of it. */
static void healthy_family(const char *from, const char *data) {
    static const char *const targets[] = {"octet", "qnnpack"};
    char run[40];
    healthy(from);
    for (int i = 0; i < 2; i++) {
        snprintf(run, sizeof run, "%s-%s", from, targets[i]);
        does("octet ptq %s --data %s --limit 4000 --target %s --out %s --quiet", from, data,
             targets[i], run);
        healthy(run);
    }
    for (int bits = 4; bits <= 8; bits += 4) {
        snprintf(run, sizeof run, "%s-%d", from, bits);
        does("octet qat %s --data %s --limit 4000 --wbits %d --epochs 2 --out %s --quiet", from,
             data, bits, run);
        healthy(run);
    }
}

/* Other nets and sets: about two minutes of two cores. */
START_TEST(healthy_nets_and_sets) {
    if (!oct_test_long()) return;
    does("octet train --model lenet --data synth-digits --limit 4000 --epochs 5 --out l5 --quiet");
    healthy_family("l5", "synth-digits");
    does("octet train --model resnet8 --data synth-shapes --epochs 2 --out r8 --quiet");
    healthy_family("r8", "synth-shapes");
    does("octet export l5 --to onnx --out exported --quiet");
    does("octet import exported/l5.onnx --out imported --quiet && octet ptq imported --data "
         "synth-digits --limit 4000 --out imported-p --quiet");
    healthy("imported-p");
    if (sh("octet data stats idx:mnist --limit 10") != 0) {
        printf("test_doctor: skipped: no MNIST under $OCTET_DATA\n");
        return;
    }
    does("octet train --model lenet --data idx:mnist --limit 4000 --epochs 3 --out m3 --quiet");
    healthy_family("m3", "idx:mnist");
}
END_TEST

/* ---- ranges ---- */

START_TEST(few_images) {
    does("octet ptq f32 " DATA " --calib 1 --out one --quiet");
    float_run_beside("one", "digits.npz");
    cured("one", "calibration_small", NULL, SPEC, 0.6);
}
END_TEST

static void dim(digits *d) {
    for (int i = 0; i < TRAIN * PIXELS; i++) d->x[i] /= 8;
}
START_TEST(other_images) {
    other_set("dim.npz", dim);
    does("octet ptq f32 --data npz:dim.npz --out other --quiet");
    cured("other", "calibration_other", SPEC, SPEC, 0.8);
}
END_TEST

/* conv1's last channel sees one thing, a pixel above 230: silent on digits, huge on a mark. conv2
 * has zeros for it. */
static void detect(oct_net *net) {
    float *w = tensor(net, "conv1.weight") + 7 * 25, *next = tensor(net, "conv2.weight");
    for (int i = 0; i < 25; i++) w[i] = i == 12;
    tensor(net, "conv1.bias")[7] = 0;
    tensor(net, "bn1.running_mean")[7] = 0.9f;
    tensor(net, "bn1.running_var")[7] = 1;
    tensor(net, "bn1.bias")[7] = 0;
    tensor(net, "bn1.weight")[7] = 20000;
    for (int i = 7; i < 16 * 9 * 8; i += 8) next[i] = 0;
}
static void mark(digits *d) {
    for (int i = 0; i < TRAIN; i += 10) d->x[i * PIXELS + 14 * SIDE + i % 14 * 2] = 255;
    for (int i = 0; i < TEST; i += 10) d->x_test[i * PIXELS + 14 * SIDE + i % 14 * 2] = 255;
}
START_TEST(rare_large_values) {
    other_set("marked.npz", mark);
    spoil("f32", "detector", detect);
    does("octet ptq detector --data npz:marked.npz --observer minmax --out marked --quiet");
    cured("marked", "outliers", NULL, "npz:marked.npz", 0.8);
}
END_TEST

static void dim_at_first(digits *d) {
    int32_t at[TRAIN];
    order_of(at);
    for (int i = 0; i < 64; i++)
        for (int p = 0; p < PIXELS; p++) d->x[at[i] * PIXELS + p] /= 16;
}
START_TEST(frozen_too_early) {
    other_set("early.npz", dim_at_first);
    does("octet qat f32 --data npz:early.npz --observer minmax --observe-until 0.001 --lr 1e-4 "
         "--epochs 1 --out early --quiet");
    cured("early", "frozen_too_early", NULL, "npz:early.npz", 0.8);
}
END_TEST

static void mark_at_last(digits *d) {
    int32_t at[TRAIN];
    order_of(at);
    for (int i = TRAIN - 300; i < TRAIN; i++) d->x[at[i] * PIXELS + 14 * SIDE + 14] = 255;
}
START_TEST(frozen_too_late) {
    other_set("late.npz", mark_at_last);
    spoil("f32", "detector2", detect);
    does("octet qat detector2 --data npz:late.npz --observer minmax --observe-until 1 --lr 1e-4 "
         "--bn-until 0 --bn-images 0 --epochs 1 --out late --quiet");
    cured("late", "frozen_too_late", NULL, "npz:late.npz", 0.8);
}
END_TEST

/* ---- weights and bits ---- */

START_TEST(a_layer_of_few_bits) {
    does("octet ptq f32 " DATA " --set conv2:wbits=2,abits=3 --out two --quiet");
    cured("two", "few_bits", NULL, SPEC, 0.7);
}
END_TEST

START_TEST(the_ends_of_few_bits) {
    does("octet ptq f32 " DATA " --set conv1:wbits=2,fc2:wbits=2 --out ends --quiet");
    cured_by("ends", "first_or_last_layer", " --set conv1:wbits=2,fc2:wbits=2 --set ", 0.7);
}
END_TEST

/* A channel of huge weights, silent behind its ReLU: one scale for all leaves others nothing. */
static void widen(oct_net *net) {
    tensor(net, "bn1.weight")[2] *= 200;
    tensor(net, "bn1.bias")[2] = -1e5f;
}
START_TEST(one_scale_for_all) {
    spoil("f32", "wide", widen);
    does("octet ptq wide " DATA " --target qnnpack --out tensor --quiet");
    cured("tensor", "per_tensor_spread", NULL, SPEC, 0.8);
    does("octet ptq wide " DATA " --out channel --quiet");
    healthy("channel");
}
END_TEST

/* ---- the float net and its input ---- */

START_TEST(another_normalization) {
    does("octet ptq f32 " DATA " --mean 0.5 --std 0.25 --out norm --quiet");
    cured("norm", "wrong_normalization", NULL, SPEC, 0.8);
}
END_TEST

/* Less than a guess could tell, but the float run's is known. */
START_TEST(another_normalization_than_the_float_run) {
    oct_net *net = oct_run_load(ctx, in_root("f32"), NULL);
    oct_data *test =
        oct_data_open(ctx, SPEC, &(oct_data_opts){.split = OCT_SPLIT_TEST, .root = root});
    oct_input_desc d = *oct_net_input(net);
    double best = -1, lost = 0;
    for (int k = 0; !(lost > 0.013 && lost < 0.019); k++, d.mean[0] = 0.01f * (float)k) {
        oct_eval e;
        ck_assert_msg(k < 200, "no mean that costs so much");
        ck_ok(oct_net_set_input(net, &d));
        ck_ok(oct_evaluate(net, test, NULL, &e));
        if (!k) best = e.accuracy;
        lost = best - e.accuracy;
        oct_eval_free(ctx, &e);
    }
    does("octet ptq f32 " DATA " --mean %g --out mild --quiet",
         (double)oct_net_input(net)->mean[0]);
    oct_diagnosis *g = look("mild", NULL);
    ck_assert(g->count > 0 && g->causes[0].kind == OCT_CAUSE_wrong_normalization);
    ck_assert_msg(g->causes[0].gain < 0.02 && strstr(g->causes[0].evidence, "those of f32"), "%s",
                  g->causes[0].evidence);
    ck_assert_msg(!strstr(g->causes[0].command, "--mean"), "%s", g->causes[0].command);
    oct_diagnosis_free(ctx, g);
    cured("mild", "wrong_normalization", NULL, SPEC, 0.5);
    oct_data_free(test);
    oct_net_free(net);
}
END_TEST

/* The float run was trained on: what was made of it before is made of other weights. */
START_TEST(weights_that_are_older) {
    does("octet train --model lenet " DATA " --epochs 1 --out half --quiet");
    does("octet ptq half " DATA " --improve cle --out half-p --quiet");
    does("octet qat half " DATA " --epochs 1 --lr 1e-6 --out half-q --quiet");
    oct_diagnosis *d = look("half-p", NULL); /* not yet */
    for (int32_t i = 0; i < d->count; i++) ck_assert(d->causes[i].kind != OCT_CAUSE_older_weights);
    oct_diagnosis_free(ctx, d);
    does("octet train --resume --epochs 4 --out half --quiet");
    cured("half-p", "older_weights", NULL, SPEC, 0.8);
    cured("half-q", "older_weights", NULL, SPEC, 0.8);
    d = look("half-q", NULL);
    for (int32_t i = 1; i < d->count; i++)
        ck_assert(d->causes[i].kind != OCT_CAUSE_short_training &&
                  d->causes[i].kind != OCT_CAUSE_learning_rate_low);
    oct_diagnosis_free(ctx, d);
}
END_TEST

static void drift(oct_net *net) {
    float *mean = tensor(net, "bn1.running_mean"), *var = tensor(net, "bn1.running_var");
    for (int c = 0; c < 8; c++) mean[c] += 1.5f * sqrtf(var[c]), var[c] *= 0.4f;
}
START_TEST(statistics_that_drifted) {
    spoil("f32", "drift", drift);
    cured("drift", "batch_norm_drift", NULL, SPEC, 0.8);
    does("octet ptq drift " DATA " --out drift-p --quiet && rm -rf drift-mended");
    cured("drift-p", "batch_norm_drift", NULL, SPEC, 0.8);
}
END_TEST

START_TEST(nothing_learned) { /* few steps: right as often as one answer to everything */
    does("octet train --model lenet --data " SPEC
         " --mean 0.2 --std 0.25 --epochs 1 --batch 100 --out guess --quiet");
    cured("guess", "learned_nothing", NULL, SPEC, 0.5);
    ck_assert_double_gt(accuracy_of("guess-mended", SPEC, 1000), 0.4);
    does("octet ptq guess " DATA " --out guess-p --quiet");
    oct_diagnosis *d = look("guess-p", NULL);
    ck_assert_int_gt(d->count, 0);
    ck_assert_int_eq(d->causes[0].kind, OCT_CAUSE_learned_nothing);
    oct_diagnosis_free(ctx, d);
}
END_TEST

static void begins_blank(digits *d) { memset(d->x_test, 0, 130 * PIXELS); }
START_TEST(dead_channels) {
    other_set("blank.npz", begins_blank); /* images from all over: the first ones may be alike */
    does("octet ptq f32 --data npz:blank.npz --out blank --quiet");
    oct_diagnosis *d = look("blank", NULL);
    for (int i = 0; i < d->count; i++) ck_assert(d->causes[i].kind != OCT_CAUSE_dead_channels);
    does("octet train --model lenet " DATA
         " --mean 0.2 --std 0.25 --epochs 3 --lr 0.6 --out dead --quiet");
    cured("dead", "dead_channels", NULL, SPEC, 0.5);
}
END_TEST

static void leak(digits *d) {
    memcpy(d->x_test, d->x, 240 * PIXELS);
    memcpy(d->y_test, d->y, 240 * sizeof *d->y);
}
START_TEST(leaked_images) {
    other_set("leaky.npz", leak);
    does("octet train --model f32 " DATA " --val npz:leaky.npz --epochs 1 --out val --quiet");
    oct_diagnosis *d = look("val", NULL);
    ck_assert(d->count && d->causes[0].kind == OCT_CAUSE_leaked_validation);
    ck_assert_double_eq_tol(d->causes[0].value, 0.3, 1e-9);
    does("%s --quiet", d->causes[0].command);
    oct_diagnosis_free(ctx, d);
    healthy("val-mended");
    does("octet ptq f32 --data npz:leaky.npz --out test --quiet");
    d = look("test", NULL);
    ck_assert(d->count && d->causes[0].kind == OCT_CAUSE_leaked_validation);
    ck_assert_int_eq(sh("%s", d->causes[0].command), 1); /* names them */
    ck_assert_int_eq(sh("%s | grep -q 'leaked, test: 240 of 800'", d->causes[0].command), 0);
    oct_diagnosis_free(ctx, d);
}
END_TEST

/* ---- sums ---- */

enum { WIDE = 260, AREA = WIDE * WIDE, SHOWN = 16 };
static oct_var *one_layer(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    return oct_apply(*(oct_module **)self, oct_flatten(x));
}
/* Which half is brighter; all weights are of one size, so all codes are +-127. */
START_TEST(sums_beyond_32_bits) {
    static uint8_t x[SHOWN * AREA], other[SHOWN * AREA];
    int32_t y[SHOWN];
    for (int i = 0; i < SHOWN; i++) {
        y[i] = i & 1;
        for (int p = 0; p < AREA; p++)
            x[i * AREA + p] = (uint8_t)((p % WIDE < WIDE / 2) == !y[i] ? 140 + 7 * i : 90);
        memcpy(other + i * AREA, x + i * AREA, AREA);
        other[i * AREA] = 0; /* no picture of the training part */
    }
    const octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(SHOWN, 1, WIDE, WIDE), x},
                                {"y", OCT_S32, OCT_SHAPE(SHOWN), y},
                                {"x_test", OCT_U8, OCT_SHAPE(SHOWN, 1, WIDE, WIDE), other},
                                {"y_test", OCT_S32, OCT_SHAPE(SHOWN), y}};
    ck_ok(octi_npz_write(ctx, in_root("halves.npz"), a, 4));
    oct_module *fc, *m = oct_module_new(ctx, one_layer, &fc);
    fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = AREA, .out = 2}));
    oct_net *net = oct_capture(m, OCT_SHAPE(WIDE, WIDE, 1));
    oct_data *d = oct_data_open(ctx, "npz:halves.npz", &(oct_data_opts){.root = root});
    ck_ok(oct_net_describe(net, d));
    float *w = tensor(net, "fc.weight");
    for (int k = 0; k < 2; k++)
        for (int p = 0; p < AREA; p++)
            w[k * AREA + p] = (p % WIDE < WIDE / 2) == (k == 0) ? 1e-4f : -1e-4f;
    ck_ok(oct_run_save(net, in_root("halves"), "{\"data\":\"npz:halves.npz\"}", false));
    oct_net *q = oct_prepare(net, NULL);
    ck_ok(oct_calibrate(q, d, SHOWN));
    ck_ok(oct_run_save(q, in_root("sums"),
                       "{\"name\":\"ptq\",\"operand0\":\"halves\",\"data\":\"npz:halves.npz\"}",
                       false));
    oct_data_free(d);
    cured("sums", "overflow", NULL, "npz:halves.npz", 0.9);
}
END_TEST

/* ---- training ---- */

START_TEST(steps_too_large) {
    does("octet qat f32 " DATA " --lr 0.5 --epochs 1 --out large --quiet");
    cured("large", "learning_rate_high", NULL, SPEC, 0.8);
}
END_TEST

START_TEST(steps_too_small) {
    does("octet qat f32 " DATA " --wbits 2 --lr 1e-8 --epochs 3 --out little --quiet");
    cured("little", "learning_rate_low", NULL, SPEC, 0.5);
    /* where switching the bits off scores better than float did, too */
    for (int bits = 2; bits <= 3; bits++) {
        does("octet qat f32 " DATA " --wbits %d --abits 3 --lr 1e-9 --epochs 1 --seed %d --out "
             "less --force --quiet",
             bits, bits);
        oct_diagnosis *d = look("less", NULL);
        ck_assert_msg(
            d->count && !strcmp(oct_cause_kind_name(d->causes[0].kind), "learning_rate_low"),
            "%d bits: %s", bits, d->count ? oct_cause_kind_name(d->causes[0].kind) : "healthy");
        oct_diagnosis_free(ctx, d);
    }
}
END_TEST

/* A net this small does not swing before it breaks: LeNet, and longer. The float kernels' last bits
 * decide between the two, so they are of one instruction set. */
START_TEST(weights_that_swing) {
    setenv("OCT_CPU", "avx2", 0);
    does("octet train --model lenet --data synth-digits --limit 1000 --epochs 8 --out l --quiet && "
         "octet qat l --data synth-digits --limit 1000 --wbits 3 --lr 0.05 --schedule constant "
         "--epochs 3 --out swing --quiet");
    cured("swing", "oscillation", NULL, "synth-digits", 0.5);
}
END_TEST

OCT_TEST_MAIN_WITH("doctor", setup, NULL, healthy_runs, healthy_nets_and_sets, few_images,
                   other_images, rare_large_values, frozen_too_early, frozen_too_late,
                   a_layer_of_few_bits, the_ends_of_few_bits, one_scale_for_all,
                   another_normalization, another_normalization_than_the_float_run,
                   weights_that_are_older, statistics_that_drifted, dead_channels, nothing_learned,
                   leaked_images, sums_beyond_32_bits, steps_too_large, steps_too_small,
                   weights_that_swing)
