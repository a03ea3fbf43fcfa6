/* SPDX-License-Identifier: MIT
 * A net that was trained in a loop of one's own and never described: whoever gives it pixels is
 * warned, with what was used and the cure; fine-tuning keeps what it learned. And labels that are
 * floats: nobody says either that they are meant for a regression. */
#include "tests/temp_folder.h"

#include "octet.h"
#include "src/format/npz.h"

#define SPEC  "synth-digits"
#define DATA  " --data " SPEC " --limit 600"
#define TOUCH " --epochs 1 --lr 1e-9" /* weights stay */
static const oct_data_opts part[2] = {{.limit = 600}, {.limit = 200, .split = OCT_SPLIT_TEST}};

/* Trained on the set's own numbers, as loaders give them. */
static oct_net *own_net(oct_ctx *ctx) {
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 8, .kernel = 5, .stride = 2}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8}), oct_tanh_new(ctx),
        oct_flatten_new(ctx),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 8 * 12 * 12, .out = 10})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 5), OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    int32_t n;
    const oct_named_tensor *params = oct_net_parameters(net, &n);
    oct_optim *optim =
        oct_optim_new(ctx, params, n, &(oct_optim_opts){.kind = OCT_OPTIM_ADAMW, .lr = 0.003f});
    oct_data *d = oct_data_open(ctx, SPEC, &part[0]);
    oct_loader *l = oct_loader_new(d, &(oct_loader_opts){.batch = 20, .shuffle = true});
    oct_tape *tape = oct_tape_new(ctx);
    oct_batch b;
    bool done = false;
    for (int epoch = 0; epoch < 4; epoch++) {
        ck_ok(oct_loader_start(l, epoch, 0));
        while (oct_loader_next(l, &b, &done) == OCT_OK && !done) {
            oct_optim_zero_grad(optim);
            oct_tape_begin(tape, OCT_TRAIN);
            ck_ok(oct_backward(
                oct_cross_entropy(oct_net_forward(net, oct_input(tape, b.x)), b.labels, NULL)));
            ck_ok(oct_optim_step(optim));
        }
    }
    ck_assert_ptr_null(oct_ctx_warning(ctx, 0));
    return net;
}

static double score(oct_net *net, oct_data *d) {
    oct_eval e;
    ck_ok(oct_evaluate(net, d, NULL, &e));
    const double accuracy = e.accuracy;
    oct_eval_free(oct_net_ctx(net), &e);
    return accuracy;
}

/* One warning, of what was used, what the data says, and the cure; or none. */
static void warned(oct_ctx *ctx, bool yes) {
    const char *w = oct_ctx_warning(ctx, 0);
    ck_assert_msg(oct_ctx_warning_count(ctx) == yes, "%s", w ? w : "no warning");
    static const char *const words[] = {"div 1, mean 0, std 1", "div 255, mean 0.5, std 0.25",
                                        "oct_net_describe"};
    for (size_t i = 0; yes && i < sizeof words / sizeof *words; i++)
        ck_assert_msg(strstr(w, words[i]) != NULL, "%s", w);
}

static oct_net *loaded(oct_ctx *ctx, const char *name) {
    oct_net *net = oct_model_load(ctx, in_root(name));
    ck_not_null(net);
    return net;
}

/* Whatever way the net goes: in memory, calibrated, from a run, from an int8 file. */
START_TEST(pixels_are_warned_of) {
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = own_net(ctx), *q = oct_prepare(net, NULL);
    oct_data *test = oct_data_open(ctx, SPEC, &part[1]);
    ck_ok(oct_calibrate(q, test, 50));
    warned(ctx, true);
    score(net, test);
    warned(ctx, true); /* said once */
    ck_ok(oct_run_save(net, in_root("own"), NULL, false));
    ck_ok(oct_run_save(q, in_root("own-q"), NULL, false));
    ck_ok(oct_int8_save(oct_convert(q, NULL), in_root("own.oct8")));
    oct_close(ctx);
    static const char *const files[] = {"own", "own-q", "own.oct8"};
    for (int k = 0; k < 3; k++) {
        ctx = oct_open(&(oct_opts){.threads = 1});
        net = loaded(ctx, files[k]);
        /* opened by the net's words, as the command does: a set keeps its own */
        test = oct_data_open(
            ctx, SPEC,
            &(oct_data_opts){.limit = 50, .split = OCT_SPLIT_TEST, .input = oct_net_input(net)});
        score(net, test);
        warned(ctx, true);
        oct_close(ctx);
    }
    remove_root();
}
END_TEST

/* What somebody said, the net's or the data's, is not warned of, and holds on disk. */
START_TEST(what_was_said_is_not) {
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = own_net(ctx);
    oct_input_desc raw = *oct_net_input(net);
    ck_assert(raw.assumed && raw.div == 1);
    raw.assumed = false;
    static uint8_t pixels[4 * 784];
    static float floats[4 * 784];
    static const int32_t labels[4] = {0, 1, 2, 3};
    const oct_array_opts ten = {.classes = 10}, on_purpose = {.classes = 10, .input = &raw};
    score(net, oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(4, 28, 28, 1), floats, labels, &ten));
    score(net,
          oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(4, 28, 28, 1), pixels, labels, &on_purpose));
    warned(ctx, false);
    oct_data *test = oct_data_open(ctx, SPEC, &part[1]);
    ck_ok(oct_net_set_input(net, &raw)); /* on purpose */
    const double as_they_are = score(net, test);
    ck_ok(oct_run_save(net, in_root("raw"), NULL, false));
    score(loaded(ctx, "raw"), test);
    warned(ctx, false);
    ck_ok(oct_net_describe(net, test));
    ck_assert(score(net, test) > as_they_are + 0.2);
    ck_assert(score(net, test) > 0.6);
    warned(ctx, false);
    /* numbers of one's own end the assumption, whatever the copy says */
    oct_input_desc d = raw;
    d.div = 255;
    d.assumed = true;
    ck_ok(oct_net_set_input(net, &d));
    ck_assert(!oct_net_input(net)->assumed);
    oct_close(ctx);
    remove_root();
}
END_TEST

/* ---- the command ---- */

/* Its exit code 0 is asserted; what it says, on both streams. */
static const char *said(const char *words) {
    static char text[6000];
    char line[1000];
    snprintf(line, sizeof line, "cd %s && '%s' %s 2>&1", root, OCT_COMMAND, words);
    FILE *f = popen(line, "r");
    ck_assert(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    ck_assert_msg(pclose(f) == 0, "%s: %s", words, text);
    return text;
}

static double after(const char *text, const char *word) {
    const char *at = strstr(text, word);
    ck_assert_msg(at != NULL, "no %s: %s", word, text);
    return strtod(at + strlen(word), NULL);
}

static void save_own(void) {
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_ok(oct_run_save(own_net(ctx), in_root("own"), NULL, false));
    oct_close(ctx);
}

START_TEST(the_command_says_so) {
    static const char *const of[] = {"eval own", "ptq own --calib 50 -o q",
                                     "eval q",   "compare own q",
                                     "layers q", "eval q --quiet"};
    save_own();
    char words[300];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        snprintf(words, sizeof words, "%s" DATA, of[i]);
        const char *text = said(words);
        ck_assert_msg(strstr(text, "div 1, mean 0, std 1, for nobody described"), "%s: %s", of[i],
                      text);
    }
    ck_assert_ptr_nonnull(strstr(said("inspect own"), "nobody described its input"));
    const double bare = after(said("eval own" DATA), "accuracy ");
    const char *text = said("eval own" DATA " --div 255 --mean 0.5 --std 0.25");
    ck_assert_msg(!strstr(text, "described") && after(text, "accuracy ") > bare + 0.2, "%s", text);
    text = said("ptq own" DATA " --calib 50 --div 1 -o q1");
    ck_assert_msg(!strstr(text, "described"), "%s", text);
    remove_root();
}
END_TEST

/* The last layer fits and was trained: it goes on from there, on the data's pixels. */
START_TEST(fine_tuning_keeps_the_last_layer) {
    save_own();
    const char *text = said("train --model own" DATA TOUCH " -o f");
    ck_assert_msg(strstr(text, "its 10 outputs fit the data's: its last layer is kept"), "%s",
                  text);
    ck_assert_msg(strstr(text, "pixels as the data has it, div 255, mean 0.5, std 0.25"), "%s",
                  text);
    ck_assert_msg(after(text, "test_accuracy ") > 0.6, "%s", text);
    text = said("eval f" DATA);
    ck_assert_msg(!strstr(text, "described") && after(text, "accuracy ") > 0.6, "%s", text);
    /* again: classes of its own now; and other classes make it anew */
    text = said("train --model f" DATA TOUCH " -o g");
    ck_assert_msg(strstr(text, "its last layer is kept"), "%s", text);
    text = said("train --model own" DATA TOUCH " -o h"
                " --classes a,b,c,d,e,f,g,h,i,j,k");
    ck_assert_msg(strstr(text, "11 classes in place of 0: 4 starts anew"), "%s", text);
    text = said("train --model own" DATA TOUCH " -o k"
                " --classes a,b,c,d,e,f,g,h,i,j");
    ck_assert_msg(strstr(text, "its last layer is kept"), "%s", text);
    ck_assert_ptr_nonnull(strstr(said("eval k" DATA), "  j "));
    text = said("qat own" DATA " --epochs 1 --lr 1e-6 -o q");
    ck_assert_msg(strstr(text, "pixels as the data has it"), "%s", text);
    ck_assert_msg(after(text, "int8_accuracy ") > 0.6, "%s", text);
    remove_root();
}
END_TEST

/* ---- labels as floats ---- */

enum { N = 100 };
static void save_set(const char *name, float step, int64_t columns) {
    static float x[N * 4], y[N];
    for (int i = 0; i < N; i++) y[i] = step * (float)(i % 5);
    for (int i = 0; i < 4 * N; i++) x[i] = (float)(i * 7919 % 401) / 130 - 1.5f;
    const oct_shape shape = columns ? OCT_SHAPE(N, columns) : OCT_SHAPE(N);
    const octi_npz_array a[] = {{"x", OCT_F32, OCT_SHAPE(N, 1, 2, 2), x}, {"y", OCT_F32, shape, y}};
    oct_ctx *ctx = oct_open(NULL);
    ck_ok(octi_npz_write(ctx, in_root(name), a, 2));
    oct_close(ctx);
}

START_TEST(labels_that_are_floats) {
    fresh_root();
    save_set("labels.npz", 1, 0);
    save_set("column.npz", 1, 1); /* a shape that no labels have */
    save_set("halves.npz", 0.5f, 0);
    static const char *const of[] = {"labels", "column", "halves"};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int k = 0; k < 3; k++) {
        char words[200];
        snprintf(words, sizeof words, "data check npz:%s.npz", of[k]);
        const char *text = said(words);
        ck_assert_msg(!strstr(text, "classes: nothing"), "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "targets of a regression: nothing harms"));
        const char *note = strstr(text, "y is float, whole numbers 0 to 4: they are targets");
        ck_assert_msg((note != NULL) == !k, "%s: %s", of[k], text);
        oct_data *d = oct_data_open(ctx, octi_fmt("npz:%s.npz", in_root(of[k])), NULL);
        oct_module *parts[] = {oct_flatten_new(ctx),
                               oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 1})};
        oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(2, 2, 1));
        ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 1, .lr = 1e-3f}));
        ck_assert_int_eq(oct_ctx_warning_count(ctx), 1); /* of the first alone */
        ck_ok(oct_run_save(net, in_root(of[k]), NULL, false));
        snprintf(words, sizeof words, "train --model ./%s --data npz:%s.npz --epochs 1 -o %s-t",
                 of[k], of[k], of[k]);
        text = said(words);
        ck_assert_ptr_nonnull(strstr(text, "a regression, trained by the mean squared error"));
        const char *told = strstr(text, "as integers they are labels");
        ck_assert_msg((told != NULL) == !k, "%s", text);
    }
    ck_assert_ptr_nonnull(strstr(oct_ctx_warning(ctx, 0), "y is float, whole numbers 0 to 4"));
    oct_close(ctx);
    remove_root();
}
END_TEST

OCT_TEST_MAIN("undescribed", pixels_are_warned_of, what_was_said_is_not, the_command_says_so,
              fine_tuning_keeps_the_last_layer, labels_that_are_floats)
