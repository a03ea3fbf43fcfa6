/* SPDX-License-Identifier: MIT
 * The functions of octet doctor's causes on cases made by hand: nets of a handful of weights whose
 * scores, means and losses can be worked out on paper, and trials whose outcome is given. What the
 * whole command says of real runs: test_doctor.c. */
#include "tests/temp_folder.h"

#include <math.h>

#include "octet.h"
#include "qat/doctor/doctor_case.h"
#include "src/format/npz.h"

static oct_ctx *ctx;

static void setup(void) {
    make_root();
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1}));
}
static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

static float *tensor(oct_net *net, const char *name) {
    oct_tensor *t = oct_net_tensor(net, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    return oct_f32(t);
}

/* ---- nets of one place ---- */

/* conv 1x1 of `in` channels to two, batch norm (where there is one), relu, and a linear layer:
 * answer 1 where its second output is above its first, which is 0. */
typedef struct small_net {
    oct_module *conv, *bn, *fc;
} small_net;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    small_net *n = self;
    (void)t;
    if (n->conv) x = oct_apply(n->conv, x);
    if (n->bn) x = oct_relu(oct_apply(n->bn, x));
    return oct_apply(n->fc, oct_flatten(x));
}

/* Its linear layer has `w` for the outputs before it. */
static oct_net *small_new(int in, bool norm, const float w[2], float bias) {
    static small_net n;
    n = (small_net){0};
    oct_module *m = oct_module_new(ctx, forward, &n);
    if (norm) {
        n.conv = oct_module_add(
            m, "conv",
            oct_conv2d_new(ctx,
                           &(oct_conv2d_opts){.in = in, .out = 2, .kernel = 1, .no_bias = true}));
        n.bn =
            oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 2}));
    }
    n.fc = oct_module_add(m, "fc",
                          oct_linear_new(ctx, &(oct_linear_opts){.in = norm ? 2 : in, .out = 2}));
    oct_net *net = oct_capture(m, OCT_SHAPE(1, 1, in));
    ck_not_null(net);
    const int width = norm ? 2 : in;
    for (int i = 0; i < width; i++)
        tensor(net, "fc.weight")[i] = 0, tensor(net, "fc.weight")[width + i] = w[i];
    tensor(net, "fc.bias")[0] = 0;
    tensor(net, "fc.bias")[1] = bias;
    return net;
}

static oct_input_desc description(int channels, float div, float mean, float std) {
    oct_input_desc d = {.channels = channels, .height = 1, .width = 1, .div = div};
    for (int c = 0; c < channels; c++) d.mean[c] = mean, d.std[c] = std;
    return d;
}

/* A case around a net: a run on disk, which trials load. */
static void open_hand(octi_case *k, oct_net *net, const oct_input_desc *input, oct_data *train,
                      oct_data *test) {
    static const oct_class two[] = {{"0", "0"}, {"1", "1"}};
    ck_ok(oct_net_set_input(net, input));
    ck_ok(oct_net_set_classes(net, two, 2));
    ck_ok(oct_run_save(net, in_root("run"), NULL, true));
    *k = (octi_case){.ctx = ctx,
                     .run = in_root("run"),
                     .net = net,
                     .train = train,
                     .test = test,
                     .spec = "npz:hand.npz",
                     .kind = OCT_SCORE_CLASSES,
                     .pixels = true,
                     .quantized = oct_net_stage(net) == OCT_STAGE_PREPARED,
                     .n = oct_data_count(test),
                     .calib = 64,
                     .of = 1};
    oct_net *copy = octi_case_copy(k);
    ck_not_null(copy);
    oct_net_fake_quantize(copy, false);
    ck_ok(octi_case_score(k, copy, &k->real));
    oct_net_free(copy);
    ck_ok(octi_case_score(k, net, &k->score));
    k->best = fmax(k->real, k->score);
    k->reference = k->best;
    k->lost = k->reference - k->score;
}

static void made_by(octi_case *k, char *key, char *value) {
    k->by.key[k->by.count] = key;
    k->by.value[k->by.count++] = value;
}

/* ---- normalization ---- */

enum { MANY = 1000 };

/* Answer 1 from pixel 128 on, as the set has it; by `now`, from 141 on: 130 is answered wrongly. */
static oct_data *with_wrong(int wrong) {
    static uint8_t pixel[MANY];
    static int32_t label[MANY];
    for (int i = 0; i < MANY; i++) {
        pixel[i] = i < wrong ? 130 : i % 2 ? 10 : 250;
        label[i] = pixel[i] >= 128;
    }
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(MANY, 1, 1, 1), pixel, label, NULL);
    ck_not_null(d);
    return d;
}

/* What the doctor makes of it; parent: the float run's description is the right one, and known. */
static oct_cause normalized(int wrong, double chance, bool parent, char with[400]) {
    const oct_input_desc right = description(1, 255, 127.5f / 255, 0.25f),
                         now = description(1, 255, 140.5f / 255, 0.25f);
    oct_data *d = with_wrong(wrong);
    octi_case k;
    oct_net *net = small_new(1, false, (float[]){1, 0}, 0), *of_right = NULL;
    open_hand(&k, net, &now, d, d);
    ck_assert_double_eq_tol(k.real, 1 - (double)wrong / MANY, 1e-9);
    k.chance = chance;
    k.own = right;
    if (parent) {
        of_right = small_new(1, false, (float[]){1, 0}, 0);
        ck_ok(oct_net_set_input(of_right, &right));
        k.parent = of_right;
        k.parent_path = "f32";
    }
    oct_cause c = {.layer = "", .bound = 0.02};
    *with = 0;
    ck_ok(octi_cause_normalization(&k, &c, with, 400));
    oct_net_free(of_right);
    oct_net_free(net);
    oct_data_free(d);
    return c;
}

START_TEST(a_guess_at_the_normalization_beats_chance) {
    char with[400];
    ck_assert_double_eq(normalized(15, 0.001, false, with).value, 0); /* below the bound */
    ck_assert_double_eq_tol(normalized(25, 0.001, false, with).value, 0.025, 1e-9);
    ck_assert(!strncmp(with, "div=255 mean=0.5 std=0.25", 25));
    ck_assert_double_eq(normalized(25, 0.03, false, with).value, 0); /* chance may have done it */
    /* the float run's own is no guess: a point tells, and less does not */
    const oct_cause c = normalized(15, 0.03, true, with);
    ck_assert_double_eq_tol(c.gain, 0.015, 1e-9);
    ck_assert(c.measured && strstr(c.evidence, "1.50 points") && strstr(c.evidence, "f32"));
    ck_assert_str_eq(with, "div= mean= std=");
    ck_assert_double_eq(normalized(9, 0, true, with).value, 0);
}
END_TEST

/* ---- batch norm ---- */

enum { SOME = 64 };

/* One batch: a channel of 96 and 104 in turn (mean 100, variance 16 of all, 16 * 64 / 63 of a
 * sample), the others 100 always. */
static oct_data *around_100(int channels, int off) {
    static uint8_t pixel[SOME * 3];
    static int32_t label[SOME];
    for (int i = 0; i < SOME; i++) {
        label[i] = i % 2;
        for (int c = 0; c < channels; c++)
            pixel[i * channels + c] = (uint8_t)(c ? 100 : i % 2 ? 100 + off : 100 - off);
    }
    oct_data *d =
        oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(SOME, 1, 1, channels), pixel, label, NULL);
    ck_not_null(d);
    return d;
}

static double off_by(const oct_cause *c) {
    double v = -1;
    ck_assert_msg(sscanf(c->evidence, "a running mean is %lf standard deviations off", &v) == 1,
                  "%s", c->evidence);
    return v;
}

/* Channel 0 is p, channel 1 is 10 p: means 100 and 1000, standard deviations s and 10 s with s =
 * sqrt(16 * 64 / 63) = 4.032. Off by 6 (1.488 s) and by 20 (0.496 of its own). */
START_TEST(drift_is_in_standard_deviations) {
    oct_net *net = small_new(1, true, (float[]){1, 0}, -0.5f);
    tensor(net, "conv.weight")[0] = 1;
    tensor(net, "conv.weight")[1] = 10;
    tensor(net, "bn.running_mean")[0] = 106;
    tensor(net, "bn.running_mean")[1] = 1020;
    tensor(net, "bn.running_var")[0] = 16;
    tensor(net, "bn.running_var")[1] = 1600;
    const oct_input_desc d = description(1, 1, 0, 1);
    oct_data *data = around_100(1, 4);
    octi_case k;
    open_hand(&k, net, &d, data, data);
    ck_assert_double_eq_tol(k.real, 0.5, 1e-9); /* 104 lies below the mean: all answers are 0 */
    oct_cause c = {.layer = "", .bound = 0.02};
    ck_ok(octi_cause_batch_norm(&k, &c, NULL, 0));
    ck_assert_double_eq_tol(c.gain, 0.5, 1e-9);
    ck_assert_double_eq_tol(off_by(&c), 6 / sqrt(16.0 * 64 / 63), 0.006);
    ck_assert(strstr(c.evidence, "the float net scores 50.00 points better"));
    ck_assert_str_eq(c.layer, "bn");
    c = (oct_cause){.layer = "", .bound = 0.51}; /* no more than chance */
    ck_ok(octi_cause_batch_norm(&k, &c, NULL, 0));
    ck_assert_double_eq(c.value, 0);
    oct_net_free(net);
    oct_data_free(data);
}
END_TEST

/* Weights 1, 0.3, 0.3 of two bits have the codes 1, 0, 0: statistics of a training on the grid are
 * those of the first channel alone; as floats the others' 60 come on top. */
static oct_net *on_the_grid(oct_data *data, const oct_input_desc *d, const char *rule) {
    oct_net *net = small_new(3, true, (float[]){1, 0}, -0.25f);
    for (int o = 0; o < 2; o++)
        for (int c = 0; c < 3; c++) tensor(net, "conv.weight")[3 * o + c] = c ? 0.3f : 1;
    for (int o = 0; o < 2; o++)
        tensor(net, "bn.running_mean")[o] = 100, tensor(net, "bn.running_var")[o] = 1600;
    ck_ok(oct_net_set_input(net, d));
    oct_qconfig config = {0};
    ck_ok(oct_qconfig_parse(ctx, rule, &config));
    oct_net *q = oct_prepare(net, &config);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, data, SOME));
    oct_net_free(net);
    return q;
}

START_TEST(statistics_of_a_training_on_the_grid_are_judged_on_it) {
    const oct_input_desc d = description(3, 1, 0, 1);
    oct_data *data = around_100(3, 40);
    oct_net *q = on_the_grid(data, &d, "conv:wbits=2");
    octi_case k;
    open_hand(&k, q, &d, data, data);
    ck_assert_double_eq_tol(k.score, 1, 1e-9);
    ck_assert_double_eq_tol(k.real, 0.5, 1e-9); /* as floats all lie above: 160 less 100 */
    made_by(&k, "name", "qat");
    oct_cause c = {.layer = "", .bound = 0.02};
    ck_ok(octi_cause_batch_norm(&k, &c, NULL, 0));
    ck_assert_msg(c.value == 0, "%s", c.evidence);
    k.by.value[0] = "ptq"; /* its statistics are the float net's, and those are off by 60 */
    ck_ok(octi_cause_batch_norm(&k, &c, NULL, 0));
    ck_assert_double_eq_tol(c.gain, 0.5, 1e-9);
    ck_assert(strstr(c.evidence, "the float net"));
    ck_assert_double_eq_tol(off_by(&c), 60 / sqrt(1600.0 * 64 / 63), 0.006);
    /* drifted on the grid */
    for (int o = 0; o < 2; o++) tensor(q, "bn.running_mean")[o] = 160;
    open_hand(&k, q, &d, data, data);
    ck_assert_double_eq_tol(k.score, 0.5, 1e-9);
    made_by(&k, "name", "qat");
    c = (oct_cause){.layer = "", .bound = 0.02};
    ck_ok(octi_cause_batch_norm(&k, &c, NULL, 0));
    ck_assert_double_eq_tol(c.gain, 0.5, 1e-9);
    ck_assert(strstr(c.evidence, "the quantized net"));
    oct_net_free(q);
    oct_data_free(data);
}
END_TEST

/* ---- ranges ---- */

/* A run of ptq that lost 0.4, of which ranges observed anew win `anew` and without their rarest
 * values `rare`; its layers lose by clipping and rounding as `rows` say. */
typedef struct range_case {
    octi_case k;
    oct_layer rows[16];
} range_case;

static void range_new(range_case *r, oct_net *q, double anew, double rare) {
    *r = (range_case){.k = {.ctx = ctx,
                            .run = "p",
                            .spec = "npz:hand.npz",
                            .net = q,
                            .measured = q,
                            .quantized = true,
                            .kind = OCT_SCORE_CLASSES,
                            .calib = 512,
                            .n = MANY,
                            .best = 0.9,
                            .score = 0.5,
                            .lost = 0.4}};
    r->k.observed = (octi_trial){true, 0.5 + anew};
    r->k.percentile = (octi_trial){true, 0.5 + rare};
    r->k.rows = r->rows;
    r->k.row_count = q->graph->node_count;
    ck_assert_int_le(r->k.row_count, 16);
    for (int32_t i = 0; i < r->k.row_count; i++)
        r->rows[i] =
            (oct_layer){.name = q->graph->nodes[i].name, .clip_loss = NAN, .round_loss = NAN};
    made_by(&r->k, "name", "ptq");
}

static void losses(range_case *r, const char *layer, double clip, double rounding) {
    for (int32_t i = 0; i < r->k.row_count; i++)
        if (!strcmp(r->rows[i].name, layer))
            r->rows[i].clip_loss = clip, r->rows[i].round_loss = rounding, layer = "";
    ck_assert_msg(!*layer, "no layer %s", layer);
}

static oct_net *quantized(void) {
    const oct_input_desc d = description(3, 1, 0, 1);
    oct_data *data = around_100(3, 40);
    oct_net *q = on_the_grid(data, &d, "conv:wbits=2");
    oct_data_free(data);
    return q;
}

typedef oct_status look_fn(octi_case *k, oct_cause *c, char *with, size_t size);
static oct_cause ask(look_fn *look, octi_case *k) {
    char with[400] = "";
    oct_cause c = {.layer = "", .bound = 0.01};
    ck_ok(look(k, &c, with, sizeof with));
    return c;
}

/* How many images ranges come from: --calib, the default of 512, no more than --limit leaves. Below
 * 128 they are few; the same ranges of enough images must be other images'. */
START_TEST(images_that_ranges_come_from) {
    static const struct {
        char *calib, *limit;
        int few; /* 0: enough */
    } row[] = {{NULL, NULL, 0},  {"1", NULL, 1},      {"127", NULL, 127}, {"128", NULL, 0},
               {NULL, "64", 64}, {"512", "100", 100}, {"40", "100", 40},  {"512", "128", 0}};
    oct_net *q = quantized();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        range_case r;
        char want[60];
        range_new(&r, q, 0.3, 0);
        if (row[i].calib) made_by(&r.k, "calib", row[i].calib);
        if (row[i].limit) made_by(&r.k, "limit", row[i].limit);
        const oct_cause few = ask(octi_cause_small_calibration, &r.k),
                        other = ask(octi_cause_other_calibration, &r.k);
        snprintf(want, sizeof want, "calibrated on %d images: ", row[i].few);
        ck_assert_double_eq_tol(few.gain, row[i].few ? 0.3 : 0, 1e-9);
        ck_assert_double_eq_tol(other.gain, row[i].few ? 0 : 0.3, 1e-9);
        ck_assert_msg(!row[i].few || !strncmp(few.evidence, want, strlen(want)), "%s, not %s",
                      few.evidence, want);
    }
    oct_net_free(q);
}
END_TEST

START_TEST(the_layer_that_clips_or_rounds_most_is_named) {
    oct_net *q = quantized();
    static const char *const name[] = {"input.quantize", "conv", "fc"};
    for (int worst = 0; worst < 3; worst++) {
        range_case r;
        range_new(&r, q, 0.2, 0.3);
        made_by(&r.k, "calib", "1");
        for (int i = 0; i < 3; i++) /* one clips most, another rounds most */
            losses(&r, name[i], i == worst ? 0.25 : 0.01 * (i + 1),
                   i == (worst + 1) % 3 ? 0.125 : 0.01 * (i + 1));
        losses(&r, "flatten", 0.9, 0.9); /* of conv's grid */
        oct_cause c = ask(octi_cause_small_calibration, &r.k);
        ck_assert_str_eq(c.layer, name[worst]);
        ck_assert_msg(strstr(c.evidence, "clips 25 %"), "%s", c.evidence);
        c = ask(octi_cause_outliers, &r.k); /* what is new wins 0.2 of the 0.3 */
        ck_assert_double_eq_tol(c.gain, 0.1, 1e-9);
        ck_assert_str_eq(c.layer, name[(worst + 1) % 3]);
        ck_assert_msg(strstr(c.evidence, "takes 12.5 %"), "%s", c.evidence);
    }
    oct_net_free(q);
}
END_TEST

/* Scales of layers are learned, the input's is observed whatever the method: its range is what a
 * trial finds. */
START_TEST(the_input_of_learned_scales_is_observed_anew) {
    const oct_input_desc d = description(3, 1, 0, 1);
    oct_data *data = around_100(3, 40);
    oct_net *q = on_the_grid(data, &d, "global:method=lsq,conv:wbits=2");
    float step = 0;
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) {
        oct_quantizer *of = &q->graph->quantizers[i];
        if (of->role != OCT_QUANTIZER_VALUES || !of->step) continue;
        step = oct_f32(of->step)[0] = octi_scale(of);
    }
    ck_assert_float_gt(step, 0); /* of the last one, fc's */
    octi_case k;
    double gain = 0;
    open_hand(&k, q, &d, data, data);
    ck_assert_double_eq_tol(k.score, 1, 1e-9);
    oct_quantizer *in = &q->graph->quantizers[0];
    ck_assert(in->method == OCT_METHOD_DEFAULT && !strcmp(in->name, "input.quantize"));
    *oct_f32(in->min_val) = 0;
    *oct_f32(in->max_val) = 50; /* 60 and 140 are one */
    *oct_f32(in->scale) = 50.0f / 255;
    open_hand(&k, q, &d, data, data);
    ck_assert_double_eq_tol(k.score, 0.5, 1e-9);
    ck_ok(octi_case_observe(&k, &k.observed, NULL, &gain));
    ck_assert_double_eq_tol(gain, 0.5, 1e-9);
    oct_net_free(q);
    oct_data_free(data);
}
END_TEST

/* Of losses the best is 1, and twice as much a half; accuracies are what they are. */
START_TEST(losses_are_shares_of_the_best) {
    octi_case k = {.kind = OCT_SCORE_VALUES, .best = 0.5, .score = 2};
    ck_assert_double_eq_tol(octi_case_relative(&k, 1), 0.5, 1e-12);
    ck_assert_double_eq_tol(octi_case_relative(&k, 0.25), 1, 1e-12);
    ck_assert_double_eq_tol(octi_case_gain(&k, 1), 0.25, 1e-12);
    k.kind = OCT_SCORE_CLASSES;
    ck_assert_double_eq_tol(octi_case_relative(&k, 0.75), 0.75, 1e-12);
}
END_TEST

static oct_var *four_forward(void *self, oct_tape *t, oct_var *x) {
    small_net *n = self;
    (void)t;
    return oct_apply(n->fc, oct_flatten(oct_apply(n->conv, x)));
}

/* Two of four are one value: a rate above the usual one is brought to it, any other to a tenth. */
START_TEST(a_rate_that_killed_channels_is_lowered) {
    static small_net n;
    static char *const rates[] = {"0.002", "1000"};
    oct_module *m = oct_module_new(ctx, four_forward, &n);
    n.conv = oct_module_add(
        m, "conv", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 1}));
    n.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 2}));
    oct_net *net = oct_capture(m, OCT_SHAPE(1, 1, 1));
    for (int i = 0; i < 4; i++) tensor(net, "conv.weight")[i] = (float)(i % 2);
    const oct_input_desc d = description(1, 255, 0, 1);
    oct_data *data = with_wrong(0);
    for (int i = 0; i < 2; i++) {
        octi_case k;
        oct_cause c = {.layer = "", .bound = 0.4};
        char with[100], want[30];
        double usual;
        open_hand(&k, net, &d, data, data);
        made_by(&k, "lr", rates[i]);
        (void)octi_made_at_rate(&k.by, false, &usual);
        snprintf(want, sizeof want, "%g", i ? usual : 0.0002);
        ck_ok(octi_cause_dead(&k, &c, with, sizeof with));
        ck_assert_str_eq(with, want);
        ck_assert_str_eq(c.layer, "conv");
        ck_assert_double_eq_tol(c.value, 0.5, 1e-9);
        ck_assert_double_eq_tol(c.gain, (1 - k.reference) / 2, 1e-9);
        ck_assert(!strncmp(c.evidence, "2 of 4 channels of conv ", 24));
    }
    oct_net_free(net);
    oct_data_free(data);
}
END_TEST

/* Images to look at: what the caller says, else of the run's own data what the run was made on. */
START_TEST(the_runs_limit_holds_for_its_own_data) {
    enum { N = 24 };
    static uint8_t pixel[N];
    static int32_t label[N];
    static const int64_t asked[] = {0, 6, 0}, want[] = {8, 6, N};
    char spec[120], command[200];
    for (int i = 0; i < N; i++) pixel[i] = i % 2 ? 10 : 250, label[i] = !(i % 2);
    const octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(N, 1, 1, 1), pixel},
                                {"y", OCT_S32, OCT_SHAPE(N), label},
                                {"x_test", OCT_U8, OCT_SHAPE(N, 1, 1, 1), pixel},
                                {"y_test", OCT_S32, OCT_SHAPE(N), label}};
    ck_ok(octi_npz_write(ctx, in_root("s.npz"), a, 4));
    snprintf(spec, sizeof spec, "npz:%s", in_root("s.npz"));
    snprintf(command, sizeof command, "{\"data\":\"%s\",\"limit\":\"8\"}", spec);
    oct_net *net = small_new(1, false, (float[]){1, 0}, -0.5f);
    const oct_input_desc d = description(1, 255, 0, 1);
    ck_ok(oct_net_set_input(net, &d));
    ck_ok(oct_run_save(net, in_root("own"), command, false));
    for (int i = 0; i < 3; i++) {
        const oct_doctor_opts o = {.limit = asked[i], .data = i == 2 ? spec : NULL};
        oct_diagnosis *said = oct_doctor(ctx, in_root("own"), &o);
        ck_not_null(said);
        ck_assert_int_eq(said->n, want[i]);
        ck_assert_double_eq_tol(said->score, 1, 1e-9);
        oct_diagnosis_free(ctx, said);
    }
    oct_net_free(net);
}
END_TEST

OCT_TEST_MAIN_WITH("doctor_by_hand", setup, teardown, a_guess_at_the_normalization_beats_chance,
                   drift_is_in_standard_deviations,
                   statistics_of_a_training_on_the_grid_are_judged_on_it,
                   images_that_ranges_come_from, the_input_of_learned_scales_is_observed_anew,
                   the_layer_that_clips_or_rounds_most_is_named, losses_are_shares_of_the_best,
                   a_rate_that_killed_channels_is_lowered, the_runs_limit_holds_for_its_own_data)
