/* SPDX-License-Identifier: MIT
 * Equalization, bias correction and adaptive rounding: what they win back, and what they leave as
 * it was. */
#include "tests/oct_test.h"

#include <math.h>

#include "octet.h"
#include "src/rng.h"

typedef struct small_net {
    oct_module *conv1, *bn1, *dw, *bn2, *pw, *bn3, *fc;
} small_net;

/* A depthwise-separable net of 28x28 digits. */
static oct_var *small_forward(void *self, oct_tape *t, oct_var *x) {
    small_net *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    x = oct_relu(oct_apply(n->bn2, oct_apply(n->dw, x)));
    x = oct_relu(oct_apply(n->bn3, oct_apply(n->pw, x)));
    return oct_apply(n->fc, oct_flatten(oct_max_pool2d(x, NULL)));
}

static oct_net *trained_net(oct_ctx *ctx, oct_data *train) {
    static small_net n;
    oct_module *m = oct_module_new(ctx, small_forward, &n);
    n.conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){
                     .in = 1, .out = 8, .kernel = 5, .stride = 2, .pad = 2, .no_bias = true}));
    n.bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8}));
    n.dw = oct_module_add(
        m, "dw",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){
                     .in = 8, .out = 8, .kernel = 3, .pad = 1, .groups = 8, .no_bias = true}));
    n.bn2 =
        oct_module_add(m, "bn2", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8}));
    n.pw = oct_module_add(
        m, "pw",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 8, .out = 16, .kernel = 1, .no_bias = true}));
    n.bn3 =
        oct_module_add(m, "bn3", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 16}));
    n.fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 16 * 49, .out = 10}));
    oct_net *net = oct_capture(m, OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    ck_ok(oct_net_describe(net, train));
    ck_ok(oct_fit(
        net, train,
        &(oct_fit_opts){.epochs = 2, .batch = 64, .optimizer = OCT_OPTIM_ADAM, .lr = 0.005f}));
    return net;
}

static float *tensor(oct_net *net, const char *name) {
    oct_tensor *t = oct_net_tensor(net, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    return oct_f32(t);
}

/* The same function with channels that differ up to 100-fold: what bn1 and bn2 scale up, their
 * readers scale down. */
static void spread_channels(oct_net *net) {
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, 0, 0);
    for (int c = 0; c < 8; c++) {
        float a = powf(10, 2 * octi_rng_uniform(&r) - 1),
              b = powf(10, 2 * octi_rng_uniform(&r) - 1);
        tensor(net, "bn1.weight")[c] *= a;
        tensor(net, "bn1.bias")[c] *= a;
        for (int k = 0; k < 9; k++) tensor(net, "dw.weight")[c * 9 + k] /= a;
        tensor(net, "bn2.weight")[c] *= b;
        tensor(net, "bn2.bias")[c] *= b;
        for (int o = 0; o < 16; o++) tensor(net, "pw.weight")[o * 8 + c] /= b;
    }
}

static oct_tensor *inputs(oct_ctx *ctx, oct_net *net, oct_data *data, int64_t n) {
    oct_loader *l = oct_loader_new(data, &(oct_loader_opts){.batch = n, .input = &net->input});
    ck_ok(oct_loader_start(l, 0, 0));
    oct_batch b;
    bool done;
    ck_ok(oct_loader_next(l, &b, &done));
    oct_tensor *x = oct_tensor_copy(ctx, b.x);
    oct_loader_free(l);
    return x;
}

static double accuracy(oct_net *net, oct_data *data) {
    oct_eval e;
    ck_ok(oct_evaluate(net, data, NULL, &e));
    double a = e.accuracy;
    oct_eval_free(net->ctx, &e);
    return a;
}

static double int8_accuracy(oct_net *prepared, oct_data *data) {
    oct_net *i8 = oct_convert(prepared, NULL);
    ck_assert_msg(i8 != NULL, "%s", oct_error_message());
    double a = accuracy(i8, data);
    oct_net_free(i8);
    return a;
}

typedef struct bench {
    oct_ctx *ctx;
    oct_data *train, *test;
    oct_net *net;
    oct_tensor *x;
} bench;

static bench bench_new(void) {
    bench b = {.ctx = oct_open(&(oct_opts){.threads = 2})};
    b.train = oct_data_open(b.ctx, "synth-digits",
                            &(oct_data_opts){.split = OCT_SPLIT_TRAIN, .limit = 4000});
    b.test = oct_data_open(b.ctx, "synth-digits",
                           &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = 1000});
    b.net = trained_net(b.ctx, b.train);
    b.x = inputs(b.ctx, b.net, b.train, 256);
    return b;
}

static oct_net *calibrated(bench *b, oct_net *net, const oct_qconfig *c) {
    oct_net *q = oct_prepare(net, c);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, b->train, 256));
    return q;
}

START_TEST(equalization_and_bias_correction_win_back_what_one_scale_loses) {
    bench b = bench_new();
    double before = accuracy(b.net, b.test);
    spread_channels(b.net);
    double real = accuracy(b.net, b.test);
    ck_assert_double_eq_tol(real, before, 0.003);
    oct_qconfig c = {
        .target = OCT_TARGET_QNNPACK, .observer = "minmax", .wbits = 6, .all_layers = true};
    double plain = int8_accuracy(calibrated(&b, b.net, &c), b.test);
    int32_t pairs = 0, skipped = -1;
    oct_net *e = oct_equalize(b.net, &pairs);
    ck_not_null(e);
    ck_assert_int_eq(pairs, 3); /* conv1-dw, dw-pw, pw-fc through pool and flatten */
    ck_assert_double_eq_tol(accuracy(e, b.test), real, 0.003);
    oct_net *q = calibrated(&b, e, &c);
    double equalized = int8_accuracy(q, b.test);
    ck_ok(oct_correct_bias(q, b.x, &skipped));
    ck_assert_int_eq(skipped, 0);
    double corrected = int8_accuracy(q, b.test);
    printf("float %.4f, per tensor %.4f, equalized %.4f, and corrected %.4f\n", real, plain,
           equalized, corrected);
    ck_assert_double_gt(real - plain, 0.02); /* there is something to win */
    ck_assert_double_gt(corrected - plain, 0.5 * (real - plain));
    oct_mismatch m = {0};
    oct_net *i8 = oct_convert(q, NULL);
    ck_ok(oct_compare_data(q, i8, b.test, 64, &m));
    ck_assert_int_eq(m.mismatched, 0);
    oct_close(b.ctx);
}
END_TEST

/* Mean squared distance of the int8 net's outputs from the float net's. */
static double output_error(bench *b, oct_net *prepared) {
    oct_net *i8 = oct_convert(prepared, NULL);
    ck_not_null(i8);
    oct_tensor *x = inputs(b->ctx, b->net, b->test, 512);
    oct_runner *real = oct_runner_new(b->net, &(oct_runner_opts){.batch = 512}),
               *quant = oct_runner_new(i8, &(oct_runner_opts){.batch = 512});
    const oct_tensor *y = oct_runner_run(real, x), *z = oct_runner_run(quant, x);
    ck_assert_msg(y && z, "%s", oct_error_message());
    double sum = 0;
    for (int64_t i = 0; i < oct_tensor_count(y); i++)
        sum += pow((double)oct_f32(y)[i] - oct_f32(z)[i], 2);
    oct_runner_free(real);
    oct_runner_free(quant);
    return sum / 5120;
}

START_TEST(adaptive_rounding_beats_nearest) {
    bench b = bench_new();
    double real = accuracy(b.net, b.test);
    for (int bits = 2; bits <= 4; bits++) {
        oct_net *q = calibrated(
            &b, b.net, &(oct_qconfig){.observer = "minmax", .wbits = bits, .all_layers = true});
        double nearest = int8_accuracy(q, b.test), error = output_error(&b, q);
        ck_ok(oct_adaround(q, b.x, NULL));
        double rounded = int8_accuracy(q, b.test), less = output_error(&b, q);
        printf("float %.4f, %d bits: nearest %.4f (output error %.4f), adaround %.4f (%.4f)\n",
               real, bits, nearest, error, rounded, less);
        ck_assert_double_lt(less, 0.85 * error);
        /* with more of them this net loses too little to count */
        if (bits == 2) ck_assert_double_gt(rounded, nearest + 0.02);
        oct_mismatch m = {0};
        ck_ok(oct_compare_data(q, oct_convert(q, NULL), b.test, 64, &m));
        ck_assert_int_eq(m.mismatched, 0);
    }
    oct_close(b.ctx);
}
END_TEST

typedef struct told {
    char what[32];
    int64_t last, total, stop_at; /* calls from here on stop; -1: none */
    int calls, back;              /* calls with no more done than before */
} told;
static int tell(void *user, const char *what, int64_t done, int64_t total) {
    told *t = user;
    if (strcmp(t->what, what)) t->last = -1, t->back = 0;
    snprintf(t->what, sizeof t->what, "%s", what);
    t->back += done <= t->last;
    t->last = done;
    t->total = total;
    t->calls++;
    return t->stop_at >= 0 && done >= t->stop_at;
}

START_TEST(progress_is_told_and_stops) {
    told t = {.stop_at = -1};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .progress = tell, .progress_user = &t});
    oct_data *data = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 100});
    oct_net *net = oct_zoo_net(ctx, "lenet", data);
    ck_ok(oct_net_describe(net, data));
    oct_net *q = oct_prepare(net, NULL);
    ck_ok(oct_calibrate(q, data, 80)); /* batches of 32 */
    ck_assert(!strcmp(t.what, "calibrate") && t.calls == 4 && t.last == 80 && t.total == 80 &&
              !t.back);
    ck_ok(oct_calibrate(q, data, 1000)); /* all there are */
    ck_assert(t.last == 100 && t.total == 100);
    oct_tensor *x = oct_calibration_inputs(q, data, 8);
    ck_ok(oct_adaround(q, x, &(oct_adaround_opts){.iterations = 2, .rows = 16}));
    ck_assert(!strcmp(t.what, "adaround") && t.last == t.total && t.total > 4 && !t.back);
    t = (told){.stop_at = 64};
    q = oct_prepare(net, NULL);
    ck_assert_int_eq(oct_calibrate(q, data, 100), OCT_ESTOPPED);
    ck_assert(t.last == 64 && t.calls == 3);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "calibrate: stopped by the caller"));
    t.stop_at = -1;
    ck_ok(oct_calibrate(q, data, 100)); /* goes on */
    ck_not_null(oct_convert(q, NULL));
    oct_tensor_unref(x);
    oct_close(ctx);
}
END_TEST

/* Images of the set as the net takes them, each at most once, drawn from all of it: in one batch or
 * several, more than there are. */
START_TEST(calibration_inputs_are_images_of_the_set) {
    enum { ALL = 100, PIXELS = 28 * 28 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *data = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = ALL});
    oct_net *net = oct_zoo_net(ctx, "lenet", data);
    ck_ok(oct_net_describe(net, data));
    oct_net *q = oct_prepare(net, NULL);
    oct_loader *l =
        oct_loader_new(data, &(oct_loader_opts){.batch = ALL, .augment = OCT_AUGMENT_NONE});
    oct_batch b;
    bool done;
    ck_ok(oct_loader_start(l, 0, 0));
    ck_ok(oct_loader_next(l, &b, &done));
    for (int n = 7; n < 200; n += 63) { /* 7, 70, 133 */
        const int want = n < ALL ? n : ALL;
        oct_tensor *x = oct_calibration_inputs(q, data, n);
        ck_not_null(x);
        ck_assert_int_eq(x->shape.dim[0], want);
        int found[ALL] = {0}, late = 0;
        for (int i = 0; i < want; i++) {
            int at = 0;
            while (at < ALL && memcmp(oct_f32(x) + i * PIXELS, oct_f32(b.x) + at * PIXELS,
                                      PIXELS * sizeof(float)))
                at++;
            ck_assert_msg(at < ALL, "image %d of %d is none of the set's", i, n);
            ck_assert_msg(!found[at]++, "image %d stands twice in %d", at, n);
            late += at >= n;
        }
        ck_assert(late > 0 || n >= ALL);
        oct_tensor_unref(x);
    }
    oct_loader_free(l);
    oct_close(ctx);
}
END_TEST

START_TEST(refusals) {
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = oct_zoo_net(ctx, "lenet",
                               oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 100}));
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 28, 28, 1)),
               *odd = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 28, 27, 1));
    ck_assert_int_eq(oct_correct_bias(net, x, NULL), OCT_EUSAGE);
    oct_net *q = oct_prepare(net, NULL);
    ck_assert_int_eq(oct_adaround(q, odd, NULL), OCT_ESHAPE);
    ck_assert_int_eq(oct_adaround(q, x, NULL), OCT_EQPARAMS); /* not calibrated */
    ck_assert_ptr_null(oct_equalize(q, NULL));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("improve", equalization_and_bias_correction_win_back_what_one_scale_loses,
              adaptive_rounding_beats_nearest, progress_is_told_and_stops,
              calibration_inputs_are_images_of_the_set, refusals)
