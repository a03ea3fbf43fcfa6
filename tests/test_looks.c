/* SPDX-License-Identifier: MIT
 * What is told of nets, files and plans, by hand: which plots a page draws, what evaluation takes
 * of a training's ranges, names in an archive, what the command advises next, and which layer it
 * names. */
#include "tests/command_says.h"
#include "tests/improve_fix.h"

#include <sys/stat.h>

#include "ops/ops.h"
#include "qat/report/show.h"
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

/* ---- nets ---- */

typedef struct three {
    oct_module *a, *b, *fc;
} three;
static oct_var *three_forward(void *self, oct_tape *t, oct_var *x) {
    three *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->a, x));
    x = oct_relu(oct_apply(n->b, x));
    return oct_apply(n->fc, oct_flatten(x));
}
/* Two convolutions and a linear layer, under these names; 8x8 of one channel. */
static oct_net *three_new(const char *a, const char *b) {
    static three n;
    oct_module *m = oct_module_new(ctx, three_forward, &n);
    n.a = oct_module_add(
        m, a, oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 3, .pad = 1}));
    n.b = oct_module_add(m, b,
                         oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 4, .kernel = 3}));
    n.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * 36, .out = 3}));
    oct_net *net = oct_capture(m, OCT_SHAPE(8, 8, 1));
    ck_not_null(net);
    return net;
}

/* ---- in the library ---- */

/* The noisiest layers are those of the least sqnr; unmeasured ones come last, equals in order. */
START_TEST(the_noisiest_layers_are_drawn) {
    oct_layer row[5] = {{.name = "a", .sqnr_local = 30},
                        {.name = "b", .sqnr_local = 10},
                        {.name = "c", .sqnr_local = NAN},
                        {.name = "d", .sqnr_local = 20},
                        {.name = "e", .sqnr_local = 10}};
    static const char order[] = "bedac";
    octi_model m = {.layer = row, .layers = 5};
    for (int plots = 0; plots <= 6; plots++) {
        octi_detail d = *octi_detail_at(0);
        d.plots = plots;
        const octi_show s = {.m = &m, .detail = &d};
        for (int i = 0; i < 5; i++) {
            const bool shown = octi_shows_plots(&s, (char[]){order[i], 0});
            ck_assert_msg(shown == (i < plots), "%d plots: %c", plots, order[i]);
        }
        ck_assert(octi_shows_plots(&s, "none") == (plots >= 5));
    }
}
END_TEST

static void step(oct_net *net, const oct_tensor *x) {
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    ck_not_null(oct_net_forward(net, oct_input(t, x)));
    oct_tape_free(t);
}

/* Law 4: what a step observes moves the next step's range, whoever observes. Evaluation behind a
 * step has the scales that the step had; behind the next one, others. */
START_TEST(evaluation_has_the_ranges_of_the_last_step) {
    static const char *const observers[] = {"minmax", "ema", "histogram", "mse", "percentile"};
    oct_tensor *x = drawn(ctx, OCT_SHAPE(4, 8, 8, 1), 1), *wide = oct_tensor_copy(ctx, x);
    for (int i = 0; i < 4 * 64; i++) oct_f32(wide)[i] *= 50;
    oct_net *net = three_new("a", "b");
    for (size_t k = 0; k < sizeof observers / sizeof *observers; k++) {
        oct_net *q = calibrated(net, &(oct_qconfig){.observer = observers[k]}, x);
        oct_tensor *before = run(q, x), *first, *second;
        step(q, wide);
        first = run(q, x);
        step(q, wide);
        second = run(q, x);
        const size_t size = oct_tensor_bytes(before);
        ck_assert_msg(!memcmp(before->data, first->data, size), "%s", observers[k]);
        ck_assert_msg(memcmp(before->data, second->data, size) != 0, "%s", observers[k]);
        oct_tensor_unref(before), oct_tensor_unref(first), oct_tensor_unref(second);
        oct_net_free(q);
    }
    oct_tensor_unref(x), oct_tensor_unref(wide);
    oct_net_free(net);
}
END_TEST

static oct_status see(const oct_observing *o, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        oct_f32(o->state[0])[0] = fmaxf(oct_f32(o->state[0])[0], fabsf(x[i]));
    return OCT_OK;
}
static oct_status half(const oct_observing *o, float *min, float *max) {
    *max = oct_f32(o->state[0])[0] / 2;
    *min = -*max;
    return OCT_OK;
}
static oct_status follow(const oct_observing *o, float min, float max) {
    *o->min = fminf(*o->min, min), *o->max = fmaxf(*o->max, max);
    return OCT_OK;
}

/* Whose ranges are chosen when they are needed, the user's own observers too. */
START_TEST(observers_that_search) {
    static const struct {
        const char *name;
        bool searches;
    } row[] = {{"minmax", false}, {"ema", false}, {"entropy", true},
               {"mse", true},     {"own", true},  {"own_range", false}};
    ck_ok(oct_observer_register(
        ctx, &(oct_observer){
                 .name = "own", .tensors = {{"most", OCT_F32, 1}}, .observe = see, .range = half}));
    ck_ok(
        oct_observer_register(ctx, &(oct_observer){.name = "own_range", .observe_range = follow}));
    oct_net *net = three_new("a", "b");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = row[i].name});
        ck_not_null(q);
        ck_assert_msg(oct_net_searches_ranges(q) == row[i].searches, "%s", row[i].name);
        oct_net_free(q);
    }
    oct_net_free(net);
}
END_TEST

/* An archive takes plain names: "l+1" and "l_1" are one there, so the later one gets its number. */
START_TEST(names_that_fall_together_stay_apart) {
    oct_net *net = three_new("l+1", "l_1");
    static const char *const of[] = {"l+1.weight", "l+1.bias",  "l_1.weight",
                                     "l_1.bias",   "fc.weight", "fc.bias"};
    ck_ok(oct_export_npz(net, in_root("t.npz")));
    octi_npz *z = octi_npz_read(ctx, in_root("t.npz"));
    ck_not_null(z);
    ck_assert_int_eq(octi_npz_count(z), 6);
    for (int i = 0; i < 6; i++) {
        int found = 0;
        for (int k = 0; k < 6; k++) {
            octi_npy a;
            float first;
            ck_ok(octi_npz_get(z, octi_npz_name(z, k), 0, &a));
            memcpy(&first, a.data, sizeof first); /* arrays of an archive stand anywhere */
            found += oct_shape_count(&a.shape) == oct_tensor_count(oct_net_tensor(net, of[i])) &&
                     first == *data(net, of[i]); /* in PyTorch's order */
        }
        ck_assert_msg(found == 1, "%s stands %d times in it", of[i], found);
    }
    ck_assert(octi_npz_has(z, "l_1.weight") && octi_npz_has(z, "fc.bias"));
    octi_npz_free(z);
    oct_net_free(net);
}
END_TEST

/* Of the CPU's peak: products over time. a: 64 places of 4 channels, 9 weights each: 2,304; b: 36
 * of 4, 36 weights each: 5,184; fc: 3 times 144: 432. */
START_TEST(a_layers_share_counts_all_its_places) {
    static const struct {
        const char *name;
        double products;
    } row[] = {{"a", 2304}, {"b", 5184}, {"fc", 432}};
    enum { N = 64 };
    oct_tensor *x = drawn(ctx, OCT_SHAPE(N, 8, 8, 1), 1);
    oct_net *net = three_new("a", "b"), *q = calibrated(net, NULL, x), *int8 = oct_convert(q, NULL);
    ck_not_null(int8);
    oct_runner *r = oct_runner_new(int8, &(oct_runner_opts){.batch = N, .profile = true});
    for (int i = 0; i < 20; i++) ck_not_null(oct_runner_run(r, x));
    for (int i = 0; i < 3; i++) {
        const double share = oct_runner_node_share(r, row[i].name),
                     peak = octi_peak(ctx, oct_runner_node_kernel(r, row[i].name)),
                     ns = oct_runner_node_ns(r, row[i].name), products = share * ns * 1e-9 * peak;
        ck_assert(peak > 0 || share < 0); /* measured twice, beside whatever else runs */
        if (peak > 0)
            ck_assert_msg(products > row[i].products / 4 && products < row[i].products * 4,
                          "%s: %g of %g", row[i].name, products, row[i].products);
    }
    oct_runner_free(r);
    oct_tensor_unref(x);
    oct_net_free(int8);
    oct_net_free(q);
    oct_net_free(net);
}
END_TEST

/* ---- the command ---- */

enum { TRAIN = 30, TEST = 18, PIXELS = 64, LARGE = 65 * 65 * 3 };

static void save_set(const char *name, int channels, int side, int n, int tests) {
    static uint8_t x[(500 + 4) * 28 * 28];
    static int32_t y[500];
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, 7, 0);
    for (size_t i = 0; i < sizeof x; i++) x[i] = (uint8_t)(128 + 40 * octi_rng_normal(&r));
    for (int i = 0; i < n; i++) y[i] = i < 20 ? 0 : i < 27 ? 1 : 2; /* of 30: 20, 7, 3; of 18: 18 */
    const octi_npz_array a[] = {
        {"x", OCT_U8, OCT_SHAPE(n, channels, side, side), x},
        {"y", OCT_S32, OCT_SHAPE(n), y},
        {"x_test", OCT_U8, OCT_SHAPE(tests, channels, side, side), x + n * channels * side * side},
        {"y_test", OCT_S32, OCT_SHAPE(tests), y + 9}}; /* of 18: 11 of 0, 7 of 1 */
    ck_ok(octi_npz_write(ctx, in_root(name), a, 4));
}

/* A float run "f" and one of few bits "q": a has weights of 2 bits, b values of 4. */
static void save_runs(void) {
    static const oct_class three_classes[] = {{"0", "0"}, {"1", "1"}, {"2", "2"}};
    save_set("d.npz", 1, 8, TRAIN, TEST);
    oct_data *d = oct_data_open(ctx, "npz:d.npz", &(oct_data_opts){.root = root});
    ck_not_null(d);
    oct_net *net = three_new("a", "b");
    ck_ok(oct_net_describe(net, d));
    ck_ok(oct_net_set_classes(net, three_classes, 3));
    ck_ok(oct_run_save(net, in_root("f"), "{\"data\":\"npz:d.npz\"}", false));
    oct_qconfig config = {0};
    ck_ok(oct_qconfig_parse(ctx, "a:wbits=2,b:abits=4", &config));
    oct_net *q = oct_prepare(net, &config);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, d, TRAIN));
    ck_ok(oct_run_save(q, in_root("q"), "{\"data\":\"npz:d.npz\",\"operand0\":\"f\"}", false));
    oct_net *int8 = oct_convert(q, NULL);
    ck_not_null(int8);
    ck_ok(oct_export_safetensors(net, in_root("floats.safetensors")));
    ck_ok(oct_export_safetensors(int8, in_root("codes.safetensors")));
    oct_net_free(int8);
    oct_net_free(q);
    oct_net_free(net);
    oct_data_free(d);
}

/* What a command says beside its result. */
static const char *told(const char *args) {
    static char text[4096];
    octet(args, 0);
    FILE *f = fopen(in_root("err"), "r");
    ck_assert(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}
static void touch(const char *name) {
    FILE *f = fopen(in_root(name), "w");
    ck_assert(f && !fclose(f));
}

START_TEST(names_that_are_advised_are_free) {
    save_runs();
    says(told("inspect f"), "--out f-ptq, ");
    ck_assert(!mkdir(in_root("f-ptq"), 0755));
    says(told("inspect f"), "--out f-ptq-2, ");
    says(told("inspect q"), "--out q.oct8\n");
    touch("q.oct8");
    says(told("inspect q"), "--out q-2.oct8\n");
    touch("q-2.oct8");
    says(told("inspect q"), "--out q-3.oct8\n");
}
END_TEST

START_TEST(files_and_sets_are_told_by_what_is_in_them) {
    save_runs();
    says(told("inspect floats.safetensors"), "next: octet import floats.safetensors");
    hides(told("inspect codes.safetensors"), "octet import");
    const char *json = octet("inspect npz:d.npz --json", 0);
    says(json, "\"train\":30,\"test\":18");
    says(json, "\"id\":\"0\",\"name\":\"0\",\"train\":20,\"test\":11}");
    says(json, "\"id\":\"1\",\"name\":\"1\",\"train\":7,\"test\":7}");
    says(json, "\"id\":\"2\",\"name\":\"2\",\"train\":3,\"test\":0}");
    says(told("inspect npz:d.npz"), "--model lenet ");
    save_set("small.npz", 3, 64, 6, 2);
    save_set("large.npz", 3, 65, 6, 2);
    says(told("inspect npz:small.npz"), "--model resnet8 ");
    says(told("inspect npz:large.npz"), "--model resnet18 ");
}
END_TEST

/* The rest of the line that begins with a name, behind `from`. */
static void line_of(const char *from, const char *name, char line[300]) {
    const size_t n = strlen(name);
    while (from && (strncmp(from, name, n) || from[n] != ' '))
        from = (from = strchr(from, '\n')) ? from + 1 : NULL;
    ck_assert_msg(from != NULL, "no line of %s", name);
    snprintf(line, 300, "%.*s", (int)strcspn(from, "\n"), from);
}
/* Bytes of the bar in front of its decibels. */
static int bar_of(const char *bars, const oct_layer *r) {
    char line[300], decibels[20];
    int marks = 0;
    line_of(bars, r->name, line);
    snprintf(decibels, sizeof decibels, " %.1f ", r->sqnr_local);
    char *end = strstr(line, decibels);
    ck_assert_msg(end != NULL, "%s lacks %s", line, decibels);
    for (const char *p = line; p < end; p++) marks += (unsigned char)*p >= 128;
    return marks;
}

/* b rounds most by itself; the weights of a cost the output most. Numbers are the library's. */
START_TEST(the_layer_that_costs_most) {
    save_runs();
    oct_data *d =
        oct_data_open(ctx, "npz:d.npz", &(oct_data_opts){.split = OCT_SPLIT_TEST, .root = root});
    oct_net *q = oct_run_load(ctx, in_root("q"), NULL);
    oct_layer *rows;
    int32_t n;
    ck_not_null(q);
    ck_ok(oct_layers(q, d, TEST, &rows, &n));
    const oct_layer *a = NULL, *b = NULL, *fc = NULL;
    for (int32_t i = 0; i < n; i++) {
        if (!strcmp(rows[i].name, "a")) a = &rows[i];
        if (!strcmp(rows[i].name, "b")) b = &rows[i];
        if (!strcmp(rows[i].name, "fc")) fc = &rows[i];
    }
    ck_assert(a && b && fc && b->sqnr_local < a->sqnr_local && b->sqnr_local < fc->sqnr_local);
    says(told("layers q --data npz:d.npz"), "octet: b costs most (");
    says(told("layers q --data npz:d.npz --sweep"), "octet: a costs most (");
    const char *text = octet("layers q --data npz:d.npz", 0);
    char line[300], want[20];
    line_of(text, "a", line);
    snprintf(want, sizeof want, " %.5f ", a->cosine_cum);
    says(line, want);
    ck_assert_double_gt(a->cosine_local - a->cosine_cum, 1e-4); /* another number */
    const char *bars = strstr(text, "own noise, longer is worse");
    ck_assert(bars != NULL);
    const int most = bar_of(bars, b), less = bar_of(bars, a), least = bar_of(bars, fc);
    ck_assert_msg(most > less && most > least, "%d, %d, %d", most, less, least);
    oct_layers_free(ctx, rows);
    oct_net_free(q);
    oct_data_free(d);
}
END_TEST

/* A net of values: 8 bits lose less than 2, so the page shows them whole; the larger file is no
 * reason against it. */
START_TEST(the_best_of_losses_is_the_least) {
    static uint8_t x[TRAIN * PIXELS];
    static float y[TRAIN * 3];
    static char page[1 << 21];
    for (int i = 0; i < TRAIN * PIXELS; i++) x[i] = (uint8_t)(i * 37 % 251);
    oct_net *net = three_new("a", "b");
    const oct_input_desc d = {.channels = 1, .height = 8, .width = 8, .div = 255, .std = {1}};
    ck_ok(oct_net_set_input(net, &d));
    oct_tensor *in = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(TRAIN, 8, 8, 1));
    for (int i = 0; i < TRAIN * PIXELS; i++) oct_f32(in)[i] = (float)x[i] / 255;
    oct_tensor *out = run(net, in); /* float's own answers: its loss is 0 */
    memcpy(y, out->data, sizeof y);
    const octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(TRAIN, 1, 8, 8), x},
                                {"y", OCT_F32, OCT_SHAPE(TRAIN, 3), y},
                                {"x_test", OCT_U8, OCT_SHAPE(TRAIN, 1, 8, 8), x},
                                {"y_test", OCT_F32, OCT_SHAPE(TRAIN, 3), y}};
    ck_ok(octi_npz_write(ctx, in_root("v.npz"), a, 4));
    ck_ok(oct_run_save(net, in_root("v"), "{\"data\":\"npz:v.npz\"}", false));
    octet("sweep v --data npz:v.npz --wbits 2,8 --method ptq --jobs 1 --out s", 0);
    FILE *f = fopen(in_root("s/report.html"), "r");
    ck_assert(f != NULL);
    page[fread(page, 1, sizeof page - 1, f)] = 0;
    fclose(f);
    ck_assert(strstr(page, "s/ptq-octet-ema-w8a8-s1") != NULL);
    ck_assert(strstr(page, "s/ptq-octet-ema-w2a8-s1") == NULL);
    oct_tensor_unref(in), oct_tensor_unref(out);
    oct_net_free(net);
}
END_TEST

/* A million steps of one image take longer than 20 s wherever they run; 2,000 evaluations of four
 * images, and six steps, do not. */
START_TEST(a_plan_counts_every_step) {
    save_set("p.npz", 1, 28, 500, 4);
    const char *plan =
        told("train --model lenet --data npz:p.npz --batch 1 --epochs 2000 --out r --dry-run");
    const char *at = strstr(plan, "plan: 1000000 steps and 2000 evaluations in about ");
    ck_assert_msg(at != NULL, "%s", plan);
    at = strstr(at, "about ") + 6;
    const long number = strtol(at, NULL, 10);
    ck_assert_msg(number > 20 || !strncmp(strchr(at, ' '), " min", 4) ||
                      !strncmp(strchr(at, ' '), " h", 2),
                  "%s", plan);
}
END_TEST

OCT_TEST_MAIN_WITH("looks", setup, teardown, the_noisiest_layers_are_drawn,
                   evaluation_has_the_ranges_of_the_last_step, observers_that_search,
                   names_that_fall_together_stay_apart, a_layers_share_counts_all_its_places,
                   names_that_are_advised_are_free, files_and_sets_are_told_by_what_is_in_them,
                   the_layer_that_costs_most, the_best_of_losses_is_the_least,
                   a_plan_counts_every_step)
