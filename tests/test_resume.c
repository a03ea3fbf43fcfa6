/* SPDX-License-Identifier: MIT
 * What a run keeps and goes on with: its command's options, its teacher, its numbers of every
 * epoch; what training does at its last step alone. */
#include "tests/fit_world.h"

oct_ctx *ctx;
static char warned[512]; /* the last warning */

static void hear(void *user, oct_log_level level, const char *text) {
    (void)user;
    if (level == OCT_LOG_WARN) snprintf(warned, sizeof warned, "%s", text);
}
static void setup(void) {
    *warned = 0;
    ctx = oct_open(&(oct_opts){.threads = 1, .log = hear});
    ck_not_null(ctx);
    fresh_root();
}
static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

/* A file of the run, with a 0 behind it. */
static const char *text_of(const char *name) {
    static char text[1 << 16];
    FILE *f = fopen(in_root(name), "rb");
    ck_assert_msg(f != NULL, "no %s", name);
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    return text;
}

static oct_fit_opts in_run(int epochs, bool resume) {
    oct_fit_opts o = base();
    o.epochs = epochs;
    o.run = in_root("r");
    o.resume = resume;
    return o;
}
static oct_status fit(oct_fit_opts o) {
    outcome r = {0};
    play_net(net_of(oct_flatten_new(ctx)), data(), o, &r);
    return r.status;
}

START_TEST(a_run_without_a_checkpoint_begins_and_says_so) {
    ck_ok(fit(in_run(1, true)));
    ck_assert_msg(strstr(warned, "no checkpoint to resume from: starting at 0"), "\"%s\"", warned);
    *warned = 0;
    ck_ok(fit(in_run(2, true)));
    ck_assert_str_eq(warned, "");
}
END_TEST

START_TEST(another_teacher_does_not_go_on) {
    oct_net *teacher = net_of(oct_flatten_new(ctx)), *same = net_of(oct_flatten_new(ctx));
    oct_fit_opts o = in_run(1, false);
    o.teacher = teacher;
    ck_ok(fit(o));
    o = in_run(2, true);
    o.teacher = same;
    ck_ok(fit(o)); /* it is known by its weights */
    oct_f32(weight(same))[3] += 0.5f;
    o.epochs = 3;
    ck_fails(OCT_EUSAGE, "teacher_crc32", fit(o));
    ck_fails(OCT_EUSAGE, "option differs", fit(in_run(3, true))); /* nor none */
    /* nor one of images of as many pixels */
    oct_module *tall[] = {oct_flatten_new(ctx),
                          oct_linear_new(ctx, &(oct_linear_opts){.in = 2, .out = 2})};
    o = base();
    o.teacher = oct_capture(oct_sequential_new(ctx, tall, 2), OCT_SHAPE(2, 1, 1));
    ck_fails(OCT_ESHAPE, "input of the teacher", fit(o));
}
END_TEST

/* metrics.jsonl has what the reports had, a line an epoch. */
START_TEST(every_epoch_has_its_numbers_on_disk) {
    static outcome r;
    r = (outcome){0};
    oct_fit_opts o = in_run(5, false);
    o.val = data();
    o.test = data_of(x, (const int32_t[]){1, 1, 1, 1, 1, 1, 1, 0}, N);
    o.lr = 0.5f;
    play_net(net_of(oct_flatten_new(ctx)), data(), o, &r);
    ck_ok(r.status);
    ck_assert_int_eq(r.epochs, 5);
    const char *line = text_of("r/metrics.jsonl");
    for (int e = 0; e < 5; e++, line = strchr(line, '\n') + 1) {
        const oct_fit_report *is = &r.end[e];
        const struct {
            const char *key;
            double value;
        } rows[] = {{"epoch", is->epoch},
                    {"step", (double)is->step},
                    {"lr", is->lr},
                    {"train_loss", is->train_loss},
                    {"train_accuracy", is->train_accuracy},
                    {"test_accuracy", is->test_accuracy},
                    {"val_accuracy", is->val_accuracy},
                    {"test_loss", is->test_loss},
                    {"val_loss", is->val_loss}};
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            const char *at = strstr(line, octi_fmt("\"%s\":", rows[k].key)),
                       *end = strchr(line, '\n');
            ck_assert_msg(at && at < end, "epoch %d has no %s", e + 1, rows[k].key);
            ck_assert_double_eq_tol(strtod(strchr(at, ':') + 1, NULL), rows[k].value, 1e-8);
        }
    }
    ck_assert(!*line && r.end[4].val_accuracy != r.end[4].test_accuracy);
}
END_TEST

START_TEST(the_commands_options_stay_with_a_saved_net) {
    oct_net *net = net_of(oct_flatten_new(ctx));
    ck_ok(oct_net_describe(net, data()));
    ck_ok(oct_run_save(net, in_root("saved"), "{\"calib\":77,\"target\":\"pow2\"}", false));
    ck_assert_ptr_nonnull(strstr(text_of("saved/config.json"), "\"calib\":77"));
    ck_assert_ptr_nonnull(strstr(text_of("saved/config.json"), "\"pow2\""));
}
END_TEST

/* Images that the net does not take, though they have as many pixels. */
START_TEST(height_and_width_are_told_apart) {
    oct_net *net = net_of(oct_flatten_new(ctx)); /* 1 x 2 */
    oct_data *tall = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, 2, 1, 1), x, y, NULL);
    ck_fails(OCT_ESHAPE, "data does not fit the net",
             oct_fit(net, tall, &(oct_fit_opts){.epochs = 1}));
}
END_TEST

/* Batch norm that was never frozen gets statistics of the weights that training ended with: what
 * one estimates behind it is what is there. */
START_TEST(statistics_are_of_the_last_weights) {
    for (int images = 0; images < 2; images++) {
        oct_module *parts[] = {oct_flatten_new(ctx),
                               oct_linear_new(ctx, &(oct_linear_opts){.in = 2, .out = 3}),
                               oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 3}),
                               oct_linear_new(ctx, &(oct_linear_opts){.in = 3, .out = 2})};
        oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 4), OCT_SHAPE(1, 2, 1));
        ck_ok(oct_net_describe(net, data()));
        oct_net *q = oct_prepare(net, NULL);
        oct_fit_opts o = base();
        o.epochs = 3;
        o.batch_norm_until = 1;
        o.bn_images = images ? N : OCT_NONE;
        ck_ok(oct_fit(q, data(), &o));
        const oct_tensor *mean = oct_net_tensor(q, "2.running_mean");
        const oct_tensor *kept = oct_tensor_copy(ctx, mean);
        ck_ok(oct_reestimate_batch_norm(q, data(), N));
        ck_assert_int_eq(!memcmp(kept->data, mean->data, oct_tensor_bytes(mean)), images);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("resume", setup, teardown, a_run_without_a_checkpoint_begins_and_says_so,
                   another_teacher_does_not_go_on, every_epoch_has_its_numbers_on_disk,
                   the_commands_options_stay_with_a_saved_net, height_and_width_are_told_apart,
                   statistics_are_of_the_last_weights)
