/* SPDX-License-Identifier: MIT
 * Every observer, affine and symmetric, at 8 bits: int8 accuracy within half a point of float's on
 * sets that calibration is hard on: backgrounds, sparse strokes, salt, borders, low contrast,
 * values far from zero, rare huge ones.
 *
 * In the suite: two of them, made of the built-in digits on black. OCT_TEST_LONG=1: all kinds of
 * tests/observe_sets.c made of MNIST (where OCTET_DATA has it), every activation, the zoo's nets on
 * the sets themselves, seeds 1 to 3; some 20 minutes. */
#include "tests/observe_sets.h"
#include "tests/oct_test.h"

static const char *const observers[] = {"minmax",     "ema", "histogram", "entropy",
                                        "percentile", "mse", "mae"};
enum { OBSERVERS = sizeof observers / sizeof *observers };
static const double BOUND = 0.005;

/* Under sanitizers these would take hours, and find what the short ones find. */
static double accuracy(oct_net *net, oct_data *data) {
    oct_eval e;
    ck_ok(oct_evaluate(net, data, &(oct_eval_opts){.batch = 100}, &e));
    const double a = e.accuracy;
    oct_eval_free(net->ctx, &e);
    return a;
}

static double quantized(oct_net *net, oct_data *calib, oct_data *test, const oct_qconfig *config) {
    oct_net *q = oct_prepare(net, config);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, calib, 512));
    oct_net *i8 = oct_convert(q, NULL);
    ck_assert_msg(i8 != NULL, "%s: %s", config->observer, oct_error_message());
    const double a = accuracy(i8, test);
    oct_net_free(i8);
    oct_net_free(q);
    return a;
}

/* Prints a line of differences in points; the number beyond the bound, all of them said. */
static int judge(const char *what, oct_net *net, oct_data *calib, oct_data *test, double least) {
    const double real = accuracy(net, test);
    int bad = real < least;
    printf("%-36s float %.4f%s", what, real, bad ? ", too little to tell anything" : "");
    for (int s = 0; s < 2; s++)
        for (int k = 0; k < OBSERVERS; k++) {
            const double a =
                quantized(net, calib, test,
                          &(oct_qconfig){.observer = observers[k],
                                         .symmetric = s ? OCT_SWITCH_YES : OCT_SWITCH_NO});
            printf("%s %+.2f", k ? "" : s ? " | symmetric" : " | affine", 100 * (a - real));
            if (a >= real - BOUND) continue;
            printf(" (%s)", observers[k]);
            bad++;
        }
    printf("\n");
    fflush(stdout);
    return bad;
}

typedef struct stage {
    oct_ctx *ctx;
    observe_digits train, test;
} stage;

static stage stage_open(const char *spec, int64_t train, int64_t test, uint64_t seed) {
    stage s = {.ctx = oct_open(&(oct_opts){.threads = 2, .seed = seed})};
    s.train = observe_digits_read(s.ctx, spec, OCT_SPLIT_TRAIN, train, seed);
    s.test = observe_digits_read(s.ctx, spec, OCT_SPLIT_TEST, test, seed);
    return s;
}

static void stage_close(stage *s) {
    observe_digits_free(&s->train);
    observe_digits_free(&s->test);
    oct_close(s->ctx);
}

static int one_set(stage *s, const observe_kind *kind, const char *act, double least) {
    observe_set train = observe_set_new(s->ctx, kind, &s->train, &s->train),
                test = observe_set_new(s->ctx, kind, &s->test, &s->train);
    observe_net room;
    char what[96];
    snprintf(what, sizeof what, "%s, %s, seed %d", kind->name, act, (int)oct_ctx_seed(s->ctx));
    const bool slow = kind->slow || strcmp(act, "relu");
    oct_net *net = observe_net_new(s->ctx, &room, act, kind->channels);
    ck_ok(oct_fit(net, train.data,
                  &(oct_fit_opts){.epochs = slow ? 4 : 2,
                                  .optimizer = slow ? OCT_OPTIM_ADAM : OCT_OPTIM_SGD}));
    const int bad = judge(what, net, train.data, test.data, least);
    oct_net_free(net);
    observe_set_free(&train);
    observe_set_free(&test);
    return bad;
}

/* The built-in digits have noise around them; MNIST's, and most scans, have none. */
static void on_black(observe_digits *d) {
    for (int64_t i = 0; i < d->n * OBSERVE_PIXELS; i++)
        d->pixel[i] = d->pixel[i] < 80 ? 0 : d->pixel[i];
}

START_TEST(no_observer_loses_half_a_point_to_a_background) {
    static const char *const kinds[] = {"plain", "inverted-own"};
    stage s = stage_open("synth-digits", 10000, 1500, 1);
    int bad = 0;
    on_black(&s.train);
    on_black(&s.test);
    for (int k = 0; k < 2; k++) bad += one_set(&s, observe_kind_find(kinds[k]), "relu", 0.85);
    stage_close(&s);
    ck_assert_msg(!bad, "%d of 28 beyond half a point", bad);
}
END_TEST

/* ---- OCT_TEST_LONG=1 ---- */

START_TEST(all_kinds_all_activations_three_seeds) {
    static const char *const acts[] = {"relu6", "leaky_relu", "hardswish", "sigmoid", "softmax"},
                             *const some[] = {"plain", "sparse", "border", "far-background"};
    if (!oct_test_long()) return;
    const char *mnist = test_data("mnist");
    char spec[1100];
    snprintf(spec, sizeof spec, mnist ? "idx:%s" : "synth-digits", mnist);
    int bad = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        stage s = stage_open(spec, 20000, 2500, seed);
        for (int k = 0; k < observe_kind_count; k++)
            bad += one_set(&s, &observe_kinds[k], "relu", 0.6);
        for (int a = 0; a < 5; a++)
            for (int k = 0; k < 4; k++)
                bad += one_set(&s, observe_kind_find(some[k]), acts[a], 0.6);
        stage_close(&s);
    }
    ck_assert_msg(!bad, "%d beyond half a point", bad);
}
END_TEST

static int zoo_on(const char *spec, const char *model, oct_optim_kind optimizer, int epochs,
                  int64_t limit, double least) {
    int bad = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2, .seed = seed});
        oct_data *train =
            oct_data_open(ctx, spec, &(oct_data_opts){.limit = limit, .synth_seed = seed});
        oct_data *test = oct_data_open(
            ctx, spec,
            &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = 2500, .synth_seed = seed});
        oct_net *net = train && test ? oct_zoo_net(ctx, model, train) : NULL;
        ck_not_null(net);
        ck_ok(oct_fit(net, train, &(oct_fit_opts){.epochs = epochs, .optimizer = optimizer}));
        char what[96];
        const char *tail = strrchr(spec, '/');
        snprintf(what, sizeof what, "%s, %s, seed %d", tail ? tail + 1 : spec, model, (int)seed);
        bad += judge(what, net, train, test, least);
        oct_close(ctx);
    }
    return bad;
}

START_TEST(the_sets_themselves) {
    if (!oct_test_long()) return;
    int bad = zoo_on("synth-digits", "lenet", OCT_OPTIM_ADAM, 4, 10000, 0.8) +
              zoo_on("synth-shapes", "resnet8", OCT_OPTIM_SGD, 4, 0, 0.8);
    const char *dir;
    char spec[1100];
    if ((dir = test_data("optdigits"))) {
        snprintf(spec, sizeof spec, "idx:%s", dir);
        bad += zoo_on(spec, "resnet8", OCT_OPTIM_ADAM, 4, 0, 0.8);
    }
    if ((dir = test_data("cifar10-jpg"))) {
        snprintf(spec, sizeof spec, "folder:%s", dir);
        bad += zoo_on(spec, "resnet8", OCT_OPTIM_ADAM, 2, 10000, 0.35);
    }
    ck_assert_msg(!bad, "%d beyond half a point", bad);
}
END_TEST

OCT_TEST_MAIN("observer_accuracy", no_observer_loses_half_a_point_to_a_background,
              all_kinds_all_activations_three_seeds, the_sets_themselves)
