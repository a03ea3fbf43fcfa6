/* SPDX-License-Identifier: MIT
 * Layers that lose what explains a drop: named with a measure and an option that helps, which
 * helps; healthy nets name none. */
#include "tests/oct_test.h"

#include <math.h>

#include "octet.h"
#include "src/rng.h"

enum { N = 512, K = 16, CLASSES = 4 };
static oct_ctx *ctx;
static float x[N * K];
static int32_t label[N];

/* The class is the quarter whose sum is largest; `far`: one value in 1,000 is so much. */
static oct_data *make_data(float far) {
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, 1, 1);
    for (int i = 0; i < N; i++) {
        float most = -INFINITY;
        for (int q = 0; q < CLASSES; q++) {
            float sum = 0;
            for (int k = 0; k < K / CLASSES; k++)
                sum += x[i * K + q * (K / CLASSES) + k] = octi_rng_normal(&r);
            if (sum > most) most = sum, label[i] = q;
        }
        if (far > 0 && i % 60 == 7) x[i * K + (int)octi_rng_below(&r, K)] = far;
    }
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, 4, 4, 1), x, label,
                                       &(oct_array_opts){.classes = CLASSES});
    ck_not_null(d);
    return d;
}

static oct_net *make_net(oct_data *d) {
    oct_module *m[] = {
        oct_flatten_new(ctx), oct_linear_new(ctx, &(oct_linear_opts){.in = K, .out = 32}),
        oct_relu_new(ctx),    oct_linear_new(ctx, &(oct_linear_opts){.in = 32, .out = 32}),
        oct_relu_new(ctx),    oct_linear_new(ctx, &(oct_linear_opts){.in = 32, .out = CLASSES})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, m, 6), OCT_SHAPE(4, 4, 1));
    ck_not_null(net);
    ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 20, .optimizer = OCT_OPTIM_ADAM}));
    return net;
}

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

typedef struct told {
    oct_layer_warning *row;
    int32_t count;
} told;

static told warnings(oct_net *net, oct_data *d, oct_qconfig config, const char *rules,
                     double drop) {
    if (rules) ck_ok(oct_qconfig_parse(ctx, rules, &config));
    oct_net *q = oct_prepare(net, &config);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, d, N));
    told t;
    ck_ok(oct_layer_warnings(q, d, N, drop, &t.row, &t.count));
    return t;
}

static const oct_layer_warning *about(const told *t, const char *layer) {
    for (int32_t i = 0; i < t->count; i++)
        if (!strcmp(t->row[i].layer, layer)) return &t->row[i];
    ck_abort_msg("no warning about %s (%d warnings)", layer, t->count);
    return NULL;
}

static void ck_healthy(const told *t) {
    ck_assert_msg(!t->count, "%s: %s", t->row[0].layer, t->row[0].text);
}

START_TEST(healthy_nets_name_none) {
    static const char *const observers[] = {NULL,         "minmax", "histogram", "entropy",
                                            "percentile", "mse",    "mae"};
    oct_data *d = make_data(0);
    oct_net *net = make_net(d);
    for (size_t i = 0; i < sizeof observers / sizeof *observers; i++)
        for (int s = 0; s < 2; s++) {
            told t = warnings(net, d,
                              (oct_qconfig){.observer = observers[i],
                                            .symmetric = s ? OCT_SWITCH_YES : OCT_SWITCH_NO},
                              NULL, s ? 0.005 : NAN);
            ck_healthy(&t);
        }
    told t = {NULL, 7};
    ck_ok(oct_layer_warnings(net, d, 0, 1, &t.row, &t.count)); /* a float net has none */
    ck_assert(!t.row && !t.count);
    ck_fails(OCT_EUSAGE, "NULL", oct_layer_warnings(net, d, 0, 1, NULL, &t.count));
}
END_TEST

START_TEST(clipping_is_named_and_its_hint_helps) {
    oct_data *d = make_data(0);
    oct_net *net = make_net(d);
    told t = warnings(net, d, (oct_qconfig){.observer = "minmax"},
                      "3:observer=percentile,percentile=80", NAN);
    const oct_layer_warning *w = about(&t, "3");
    ck_assert_int_eq(t.count, 1);
    ck_assert_str_eq(oct_layer_measure_name(w->measure), "clip_loss");
    ck_assert(w->value > 0.02 && w->value < 1 && w->bound == 0.02);
    ck_assert_msg(strstr(w->text, "of its values are clipped, which takes") &&
                      strstr(w->text, "(percentile)"),
                  "%s", w->text);
    ck_assert_str_eq(w->hint, "observer minmax, or the rule '3:observer=minmax'");
    t = warnings(net, d, (oct_qconfig){.observer = "minmax"},
                 "3:observer=percentile,percentile=80,3:observer=minmax", NAN);
    ck_healthy(&t);
}
END_TEST

/* The best range of few bits loses more: twice as much a bit, a quarter and a half at most. */
START_TEST(fewer_bits_may_lose_more) {
    static const struct {
        int bits;
        double clip, round;
    } rows[] = {{8, 0.02, 0.1}, {7, 0.04, 0.2}, {6, 0.08, 0.4}, {4, 0.25, 0.5}, {2, 0.25, 0.5}};
    oct_data *d = make_data(0);
    oct_net *net = make_net(d);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_net *q = oct_prepare(
            net, &(oct_qconfig){.observer = "minmax", .abits = rows[i].bits, .all_layers = true});
        ck_not_null(q);
        ck_ok(oct_calibrate(q, d, N));
        oct_quantizer *y =
            &q->graph->quantizers[q->graph->values[oct_graph_find_value(q->graph, "3")].quantizer];
        const float top = *oct_f32(y->max_val);
        for (int wide = 0; wide < 2; wide++) { /* cut to a tenth of it; a hundred times as wide */
            *oct_f32(y->max_val) = wide ? 100 * top : 0.1f * top;
            ck_ok(oct_qparams_from_range(&y->spec, *oct_f32(y->min_val), *oct_f32(y->max_val), "3",
                                         oct_f32(y->scale), oct_s32(y->zero_point)));
            told t;
            ck_ok(oct_layer_warnings(q, d, N, NAN, &t.row, &t.count));
            const oct_layer_warning *w = about(&t, "3");
            ck_assert_str_eq(oct_layer_measure_name(w->measure), wide ? "round_loss" : "clip_loss");
            ck_assert_double_eq_tol(w->bound, wide ? rows[i].round : rows[i].clip, 1e-12);
            ck_assert_double_gt(w->value, w->bound);
        }
    }
}
END_TEST

/* A learned step clips as it was trained to. */
START_TEST(learned_steps_are_named_where_accuracy_fell) {
    oct_data *d = make_data(0);
    oct_net *net = make_net(d), *q = oct_prepare(net, &(oct_qconfig){.method = OCT_METHOD_LSQ});
    ck_not_null(q);
    ck_ok(oct_fit(q, d, &(oct_fit_opts){.epochs = 1}));
    *oct_f32(oct_net_tensor(q, "1.activation_post_process.step")) /= 8;
    told t;
    ck_ok(oct_layer_warnings(q, d, N, 0.004, &t.row, &t.count));
    ck_healthy(&t);
    ck_ok(oct_layer_warnings(q, d, N, NAN, &t.row, &t.count));
    ck_healthy(&t);
    ck_ok(oct_layer_warnings(q, d, N, 0.05, &t.row, &t.count));
    ck_assert_str_eq(oct_layer_measure_name(about(&t, "1")->measure), "clip_loss");
    ck_assert_str_eq(about(&t, "1")->hint, "more epochs for its step, or the rule '1:method=ema'");
}
END_TEST

START_TEST(too_few_calibration_images_are_named) {
    oct_data *d = make_data(0);
    oct_net *net = make_net(d), *q = oct_prepare(net, &(oct_qconfig){.observer = "minmax"});
    ck_not_null(q);
    ck_ok(oct_calibrate(q, d, 1));
    told t;
    ck_ok(oct_layer_warnings(q, d, N, NAN, &t.row, &t.count));
    ck_assert_msg(strstr(about(&t, "5")->hint, "(oct_calibrate)"), "%s", t.row[0].hint);
}
END_TEST

/* The signal to noise ratio of such a range is fine: that of the huge values. */
START_TEST(a_range_that_rare_values_widen_is_named_and_its_hint_helps) {
    oct_data *d = make_data(0);
    oct_net *net = make_net(d);
    d = make_data(300);
    told t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, NULL, NAN);
    const oct_layer_warning *w = about(&t, "input.quantize");
    ck_assert_str_eq(oct_layer_measure_name(w->measure), "round_loss");
    ck_assert(w->value > 0.1 && w->bound == 0.1);
    ck_assert_msg(strstr(w->text, "its range is wide for 8 bits (minmax)"), "%s", w->text);
    ck_assert_str_eq(w->hint, "the rule 'input.quantize:observer=percentile' cuts rare large "
                              "values; 'input.quantize:float'");
    told cut = warnings(net, d, (oct_qconfig){.observer = "minmax"},
                        "input.quantize:observer=percentile,percentile=99", NAN);
    for (int32_t i = 0; i < cut.count; i++)
        ck_assert(strcmp(cut.row[i].layer, "input.quantize") ||
                  cut.row[i].measure != OCT_MEASURE_ROUND_LOSS);
}
END_TEST

START_TEST(a_drop_without_a_cause_names_the_costliest) {
    oct_data *d = make_data(0);
    oct_net *net = make_net(d);
    told t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, "3:wbits=2", NAN);
    ck_healthy(&t);
    t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, "3:wbits=2", 0.004);
    ck_healthy(&t);
    t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, "3:wbits=2", 0.1);
    ck_assert_int_eq(t.count, 1);
    ck_assert_str_eq(t.row[0].layer, "3");
    ck_assert_str_eq(oct_layer_measure_name(t.row[0].measure), "sqnr_alone");
    ck_assert_str_eq(t.row[0].hint, "the rule '3:wbits=8', or oct_fit of the prepared net");
    ck_assert_msg(strstr(t.row[0].text, "costs most: quantized alone it leaves"), "%s",
                  t.row[0].text);
}
END_TEST

/* The layer in front of those that die with it is named; without data by weights and range. */
START_TEST(a_dead_layer_is_named) {
    oct_data *d = make_data(0);
    oct_net *net = make_net(d);
    oct_tensor *w = oct_net_tensor(net, "3.weight"), *b = oct_net_tensor(net, "1.bias");
    told t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, NULL, NAN);
    ck_healthy(&t);
    oct_net *q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, d, N));
    ck_ok(oct_layer_warnings(q, d, 1, NAN, &t.row, &t.count)); /* one image moves nothing */
    ck_healthy(&t);
    memset(w->data, 0, oct_tensor_bytes(w));
    t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, NULL, NAN);
    ck_assert_int_eq(t.count, 1);
    ck_assert_str_eq(oct_layer_measure_name(about(&t, "3")->measure), "dead");
    ck_assert_str_eq(t.row[0].text, "dead: its weights are all 0");
    ck_assert_msg(strstr(t.row[0].hint, "train the float net again"), "%s", t.row[0].hint);
    oct_f32(w)[5] = 1e-9f; /* one is enough to have weights: its bias alone is seen */
    t = warnings(net, d, (oct_qconfig){.observer = "minmax"}, NULL, NAN);
    ck_assert_int_eq(t.count, 1);
    ck_assert_str_eq(about(&t, "3")->text,
                     "dead: each of its 32 channels has one value, whatever the image");
    for (int i = 0; i < 32; i++) oct_f32(b)[i] = -1e6f; /* behind a ReLU */
    q = oct_prepare(net, NULL);
    ck_ok(oct_calibrate(q, d, N));
    ck_ok(oct_layer_warnings(q, NULL, 0, NAN, &t.row, &t.count));
    ck_assert_int_eq(t.count, 1);
    ck_assert_str_eq(about(&t, "1")->text,
                     "dead: all of its values were 0 when its range was observed");
}
END_TEST

OCT_TEST_MAIN_WITH("losses", setup, teardown, healthy_nets_name_none, fewer_bits_may_lose_more,
                   clipping_is_named_and_its_hint_helps,
                   learned_steps_are_named_where_accuracy_fell,
                   too_few_calibration_images_are_named,
                   a_range_that_rare_values_widen_is_named_and_its_hint_helps,
                   a_drop_without_a_cause_names_the_costliest, a_dead_layer_is_named)
