/* SPDX-License-Identifier: MIT
 * Every number that evaluation reports, by hand: accuracy, top-5, loss, per-class counts,
 * confusion, ties, incomplete batches; nets that are no classifiers get their loss and no accuracy,
 * in C and from the command. */
#include "tests/command_says.h"

#include <math.h>

#include "octet.h"
#include "src/format/npz.h"

/* A net whose logits are its input. */
static oct_var *flat(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, oct_flatten(x);
}
static oct_var *same(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, oct_relu(x);
}

static oct_net *mirror(oct_ctx *ctx, int k) {
    oct_net *net = oct_capture(oct_module_new(ctx, flat, NULL), OCT_SHAPE(1, k, 1));
    ck_not_null(net);
    return net;
}

/* ---- classes ---- */

enum { N = 7, K = 3 };
/* probabilities whose logarithms are the logits, or logits as they are (row 2 and 3: ties, where
 * the lowest index wins) */
static const float rows[N][K] = {{.5f, .25f, .25f},    {.25f, .5f, .25f}, {1, 1, 0}, {0, 2, 2},
                                 {.125f, .125f, .75f}, {.5f, .25f, .25f}, {1, 1, 1}};
static const int32_t labels[N] = {0, 2, 1, 1, 2, 2, 0};
static float logits[N][K];

static void fill_logits(void) {
    for (int i = 0; i < N; i++)
        for (int k = 0; k < K; k++)
            logits[i][k] = i == 2 || i == 3 || i == 6 ? rows[i][k] : logf(rows[i][k]);
}

static const int64_t of_class[K] = {2, 2, 3}, right[K] = {2, 1, 1};
/* [true][predicted]; its transpose is another */
static const int64_t confusion[K][K] = {{2, 0, 0}, {1, 1, 0}, {1, 1, 1}};
static double expected_loss(int n) {
    const double e = exp(1),
                 each[N] = {
                     log(2), log(4), log(2 * e + 1) - 1, log(1 + 2 * exp(2)) - 2, log(4.0 / 3),
                     log(4), log(3)};
    double sum = 0;
    for (int i = 0; i < n; i++) sum += each[i];
    return sum / n;
}

START_TEST(classes_by_hand) {
    fill_logits();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = mirror(ctx, K);
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, 1, K, 1), logits, labels, NULL);
    ck_assert_int_eq(oct_score_of(net, d), OCT_SCORE_CLASSES);
    ck_assert_double_eq(oct_accuracy_chance(0.75, 300),
                        1.5 * 0.025); /* sqrt(3 / 16 / 300) = 1 / 40 */
    ck_assert(isnan(oct_accuracy_chance(-1, 300)) && isnan(oct_accuracy_chance(0.5, 0)));
    for (int batch = 0; batch <= 8; batch++) { /* whole, one by one, incomplete last ones */
        oct_eval r;
        ck_ok(oct_evaluate(net, d, &(oct_eval_opts){.batch = batch}, &r));
        ck_assert_int_eq(r.n, N);
        ck_assert_int_eq(r.score, OCT_SCORE_CLASSES);
        ck_assert_int_eq(r.classes, K);
        ck_assert_double_eq(r.accuracy, 4.0 / N);
        ck_assert_double_eq(r.top5, 1); /* of three classes every one is among five */
        ck_assert_double_eq_tol(r.loss, expected_loss(N), 1e-6);
        for (int k = 0; k < K; k++) {
            ck_assert_int_eq(r.class_n[k], of_class[k]);
            ck_assert_int_eq(r.class_correct[k], right[k]);
            for (int p = 0; p < K; p++) ck_assert_int_eq(r.confusion[k * K + p], confusion[k][p]);
        }
        ck_assert(r.img_per_s > 0);
        oct_eval_free(ctx, &r);
    }
    for (int limit = 1; limit < N; limit++) {
        oct_eval r;
        ck_ok(oct_evaluate(net, d, &(oct_eval_opts){.batch = 4, .limit = limit}, &r));
        ck_assert_int_eq(r.n, limit);
        ck_assert_double_eq_tol(r.loss, expected_loss(limit), 1e-6);
        oct_eval_free(ctx, &r);
    }
    int32_t wrong[N] = {0, 2, 1, 3, 2, 2, 0};
    oct_eval r;
    d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, 1, K, 1), logits, wrong, NULL);
    ck_fails(OCT_EFORMAT, "label", oct_evaluate(net, d, NULL, &r));
    oct_close(ctx);
}
END_TEST

/* The label's place among seven: fifth is in, sixth is out; of equal ones the lower index comes
 * first. */
START_TEST(top5_by_hand) {
    static const float z[5][7] = {{7, 6, 5, 4, 3, 2, 1},
                                  {7, 6, 5, 4, 3, 2, 1},
                                  {0, 0, 0, 0, 0, 0, 0},
                                  {0, 0, 0, 0, 0, 0, 0},
                                  {1, 2, 3, 4, 5, 5, 6}};
    static const int32_t y[5] = {4, 5, 4, 5, 1};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = mirror(ctx, 7);
    for (int i = 0; i < 5; i++) {
        oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(1, 1, 7, 1), z[i], &y[i],
                                           &(oct_array_opts){.classes = 7});
        oct_eval r;
        ck_ok(oct_evaluate(net, d, NULL, &r));
        ck_assert_msg(r.top5 == (i % 2 == 0 && i < 4), "case %d: top5 %g", i, r.top5);
        ck_assert_double_eq(r.accuracy, 0);
        oct_eval_free(ctx, &r);
    }
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(4, 1, 7, 1), z, y, NULL);
    oct_eval r;
    ck_ok(oct_evaluate(net, d, NULL, &r));
    ck_assert_double_eq(r.top5, 0.5);
    oct_eval_free(ctx, &r);
    oct_close(ctx);
}
END_TEST

/* ---- values ---- */

/* errors 0 4, 0 9, 1 0: 14 / 6 */
static const float inputs[3][2] = {{1, 2}, {3, 4}, {5, 6}},
                   targets[3][2] = {{1, 0}, {3, 7}, {6, 6}};

/* of an autoencoder: the input is the target */
static oct_var *cut_error(void *user, oct_var *y, const oct_batch *b) {
    ++*(int *)user;
    return oct_clamp(oct_mse_loss(y, b->targets ? b->targets : b->x), 0, 3);
}
static oct_var *nothing(void *user, oct_var *y, const oct_batch *b) {
    return (void)user, (void)y, (void)b, NULL;
}
static oct_var *whole(void *user, oct_var *y, const oct_batch *b) { return (void)user, (void)b, y; }

START_TEST(values_by_hand) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = mirror(ctx, 2);
    oct_data *d = oct_data_from_memory(
        ctx, OCT_F32, OCT_SHAPE(3, 1, 2, 1), inputs, NULL,
        &(oct_array_opts){.targets = &targets[0][0], .target_shape = OCT_SHAPE(3, 2)});
    ck_not_null(d);
    ck_assert_int_eq(oct_score_of(net, d), OCT_SCORE_VALUES);
    oct_shape target;
    ck_assert_int_eq(oct_data_truth(d, &target), OCT_TRUTH_TARGETS);
    ck_assert(target.rank == 2 && target.dim[1] == 2);
    oct_eval r;
    for (int batch = 1; batch <= 4; batch++) {
        ck_ok(oct_evaluate(net, d, &(oct_eval_opts){.batch = batch}, &r));
        ck_assert_double_eq_tol(r.loss, 14.0 / 6, 1e-9);
        ck_assert(r.n == 3 && r.accuracy == -1 && r.top5 == -1 && r.classes == 0 && !r.confusion &&
                  r.score == OCT_SCORE_VALUES);
        oct_eval_free(ctx, &r);
    }
    ck_ok(oct_evaluate(net, d, &(oct_eval_opts){.batch = 2, .limit = 1}, &r));
    ck_assert_double_eq_tol(r.loss, 2, 1e-9);
    int calls = 0; /* batches of 2 and 1: mse 13/4, cut to 3, and 1/2 */
    ck_ok(oct_evaluate(net, d, &(oct_eval_opts){.batch = 2, .loss = cut_error, .loss_user = &calls},
                       &r));
    ck_assert_int_eq(calls, 2);
    ck_assert_double_eq_tol(r.loss, (2 * 3 + 0.5) / 3, 1e-6);
    ck_fails(OCT_EUSAGE, "loss", oct_evaluate(net, d, &(oct_eval_opts){.loss = nothing}, &r));
    ck_fails(OCT_EUSAGE, "scalar", oct_evaluate(net, d, &(oct_eval_opts){.loss = whole}, &r));
    /* what cannot be scored says why */
    ck_fails(OCT_ESHAPE, "targets: do not fit the net's output",
             oct_evaluate(mirror(ctx, 3), d, NULL, &r));
    oct_data *bare = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(3, 1, 2, 1), inputs, NULL, NULL);
    ck_assert_int_eq(oct_data_truth(bare, NULL), OCT_TRUTH_NONE);
    ck_assert_int_eq(oct_score_of(net, bare), OCT_SCORE_NONE);
    ck_fails(OCT_ESHAPE, "neither labels nor targets", oct_evaluate(net, bare, NULL, &r));
    const int32_t y[3] = {0, 1, 0};
    oct_net *image = oct_capture(oct_module_new(ctx, same, NULL), OCT_SHAPE(1, 2, 1));
    ck_ok(oct_evaluate(image, bare, &(oct_eval_opts){.loss = cut_error, .loss_user = &calls}, &r));
    ck_assert(r.loss == 0 && r.accuracy == -1 && r.n == 3);
    oct_data *labelled = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(3, 1, 2, 1), inputs, y, NULL);
    ck_fails(OCT_ESHAPE, "[N, classes]", oct_evaluate(image, labelled, NULL, &r));
    ck_fails(OCT_ESHAPE, "[N, classes]", oct_fit(image, labelled, NULL));
    const float bad[3][2] = {{0, 0}, {0, NAN}, {0, 0}};
    oct_clear_error();
    ck_assert(!oct_data_from_memory(
        ctx, OCT_F32, OCT_SHAPE(3, 1, 2, 1), inputs, NULL,
        &(oct_array_opts){.targets = &bad[0][0], .target_shape = OCT_SHAPE(3, 2)}));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "target of sample 1"));
    ck_assert(!oct_data_from_memory(
        ctx, OCT_F32, OCT_SHAPE(3, 1, 2, 1), inputs, NULL,
        &(oct_array_opts){.targets = &bad[0][0], .target_shape = OCT_SHAPE(2, 3)}));
    ck_assert(!oct_data_from_memory(
        ctx, OCT_F32, OCT_SHAPE(3, 1, 2, 1), inputs, y,
        &(oct_array_opts){.targets = &bad[0][0], .target_shape = OCT_SHAPE(3, 2)}));
    oct_close(ctx);
}
END_TEST

/* Sum and difference of the two halves of an image: linear, so a net can learn it to the end. */
enum { IMAGES = 256, SIDE = 4 };
static float pictures[IMAGES][SIDE][SIDE], sums[IMAGES][2];
static void make_pictures(void) {
    uint32_t s = 7;
    for (int i = 0; i < IMAGES; i++) {
        float half[2] = {0, 0};
        for (int p = 0; p < SIDE * SIDE; p++) {
            s = s * 1664525u + 1013904223u;
            const float v = (float)(s >> 8) / 16777216.0f;
            (&pictures[i][0][0])[p] = v;
            half[p / 8] += v / 8;
        }
        sums[i][0] = half[0] + half[1];
        sums[i][1] = half[0] - half[1];
    }
}

static oct_module *two_values(oct_ctx *ctx) {
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 3, .pad = 1}),
        oct_relu_new(ctx), oct_flatten_new(ctx),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * SIDE * SIDE, .out = 2})};
    return oct_sequential_new(ctx, parts, 4);
}

static oct_status source_get(void *user, int64_t i, void *image, int32_t *label) {
    (void)user, *label = -7; /* nobody looks at it */
    memcpy(image, pictures[i], sizeof pictures[0]);
    return OCT_OK;
}
static oct_status source_target(void *user, int64_t i, float *y) {
    return (void)user, memcpy(y, sums[i], sizeof sums[0]), OCT_OK;
}

static oct_fit_report seen[64];
static int epochs_seen;
static int collect(void *user, const oct_fit_report *r) {
    (void)user;
    if (r->epoch_end && epochs_seen < 64) seen[epochs_seen++] = *r;
    return 0;
}

static oct_data *halves(oct_ctx *ctx, bool source) {
    const oct_input_desc in = {.channels = 1, .height = SIDE, .width = SIDE, .div = 1, .std = {1}};
    oct_data *d =
        source
            ? oct_data_from_source(ctx,
                                   &(oct_data_source){.count = IMAGES,
                                                      .dtype = OCT_F32,
                                                      .get = source_get,
                                                      .target = source_target,
                                                      .target_shape = OCT_SHAPE(1, 2)},
                                   &in, 0)
            : oct_data_from_memory(
                  ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pictures, NULL,
                  &(oct_array_opts){.targets = &sums[0][0], .target_shape = OCT_SHAPE(IMAGES, 2)});
    ck_not_null(d);
    return d;
}

START_TEST(a_regression_net_is_trained) {
    make_pictures();
    fresh_root();
    double loss[2];
    for (int source = 0; source < 2; source++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_data *d = halves(ctx, source);
        oct_net *net = oct_capture(two_values(ctx), OCT_SHAPE(SIDE, SIDE, 1));
        epochs_seen = 0;
        ck_ok(oct_fit(net, d,
                      &(oct_fit_opts){.epochs = 30,
                                      .batch = 16,
                                      .optimizer = OCT_OPTIM_ADAM,
                                      .lr = 0.01f,
                                      .test = d,
                                      .val_share = 0.25f,
                                      .run = in_root(source ? "s" : "m"),
                                      .progress = collect}));
        const oct_fit_report *last = &seen[epochs_seen - 1];
        ck_assert_int_eq(epochs_seen, 30);
        ck_assert(last->score == OCT_SCORE_VALUES && last->train_accuracy == -1 &&
                  last->test_accuracy == -1 && last->val_accuracy == -1);
        ck_assert_msg(last->test_loss < 1e-3 && seen[0].test_loss > 10 * last->test_loss,
                      "mse %g, then %g", seen[0].test_loss, last->test_loss);
        ck_assert_double_lt(last->val_loss, 1e-3);
        loss[source] = last->test_loss;
        ck_assert_int_eq(net->class_count, 0);
        /* int8: the same rule; the int8 net is what a QAT epoch is scored by */
        oct_net *q = oct_prepare(net, NULL);
        ck_ok(oct_calibrate(q, d, 128));
        epochs_seen = 0;
        ck_ok(oct_fit(q, d, &(oct_fit_opts){.epochs = 1, .test = d, .progress = collect}));
        oct_eval r;
        ck_ok(oct_evaluate(oct_convert(q, NULL), d, NULL, &r));
        ck_assert_double_eq(r.loss, seen[0].test_loss);
        ck_assert_double_lt(r.loss, 5e-3);
        ck_assert_double_eq(seen[0].int8_accuracy, -1);
        oct_net *kept = oct_run_load(ctx, in_root(source ? "s" : "m"), NULL);
        ck_not_null(kept);
        ck_assert_int_eq(oct_score_of(kept, d), OCT_SCORE_VALUES);
        oct_close(ctx);
    }
    ck_assert_double_eq(loss[0], loss[1]);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = oct_capture(two_values(ctx), OCT_SHAPE(SIDE, SIDE, 1));
    ck_fails(OCT_EUSAGE, "smoothing",
             oct_fit(net, halves(ctx, false), &(oct_fit_opts){.smoothing = 0.1f}));
    remove_root();
    oct_close(ctx);
}
END_TEST

/* Validation wants what the net gives at first, training something else: the first epoch's val_loss
 * is the least. */
START_TEST(the_best_epoch_has_the_least_loss) {
    make_pictures();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = oct_capture(two_values(ctx), OCT_SHAPE(SIDE, SIDE, 1));
    oct_runner *run = oct_runner_new(net, &(oct_runner_opts){.batch = IMAGES});
    static float first[IMAGES][2];
    memcpy(first,
           oct_runner_run(run,
                          &(oct_tensor){OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pictures, NULL})
               ->data,
           sizeof first);
    oct_runner_free(run);
    oct_data *val = oct_data_from_memory(
        ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pictures, NULL,
        &(oct_array_opts){.targets = &first[0][0], .target_shape = OCT_SHAPE(IMAGES, 2)});
    epochs_seen = 0;
    ck_ok(oct_fit(net, halves(ctx, false),
                  &(oct_fit_opts){.epochs = 20,
                                  .lr = 0.01f,
                                  .schedule = OCT_SCHEDULE_CONSTANT,
                                  .val = val,
                                  .patience = 2,
                                  .progress = collect}));
    ck_assert_int_eq(epochs_seen, 3);
    ck_assert(seen[0].val_loss < seen[1].val_loss && seen[1].val_loss < seen[2].val_loss &&
              seen[2].final);
    oct_close(ctx);
}
END_TEST

/* An autoencoder: no labels, no targets, a loss of one's own. */
START_TEST(a_loss_of_ones_own) {
    make_pictures();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 3, .pad = 1}),
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 1, .kernel = 1})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(SIDE, SIDE, 1));
    oct_data *d =
        oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pictures, NULL, NULL);
    ck_fails(OCT_ESHAPE, "neither", oct_fit(net, d, NULL));
    int calls = 0;
    epochs_seen = 0;
    ck_ok(oct_fit(net, d,
                  &(oct_fit_opts){.epochs = 20,
                                  .batch = 32,
                                  .optimizer = OCT_OPTIM_ADAM,
                                  .lr = 0.01f,
                                  .loss = cut_error,
                                  .loss_user = &calls,
                                  .test = d,
                                  .progress = collect}));
    ck_assert_int_eq(calls, 20 * (8 + 8)); /* each batch of training and of the test */
    ck_assert_msg(seen[19].test_loss < 0.01 && seen[0].test_loss > 0.02, "%g to %g",
                  seen[0].test_loss, seen[19].test_loss);
    ck_assert_double_eq(seen[19].test_accuracy, -1);
    ck_fails(OCT_EUSAGE, "smoothing",
             oct_fit(net, d,
                     &(oct_fit_opts){.loss = cut_error, .loss_user = &calls, .smoothing = 0.1f}));
    ck_fails(OCT_EUSAGE, "loss", oct_fit(net, d, &(oct_fit_opts){.loss = nothing}));
    oct_close(ctx);
}
END_TEST

/* ---- the command ---- */

/* stdout of "octet ARGS" in the root. */
/* The doctor's shares are the best loss by each one's; a page's dots have the run's own. */
static void told_by_their_losses(oct_ctx *ctx, oct_data *d, double parent) {
    static const char *const runs[] = {"qq", "low"};
    octet("ptq reg --data npz:halves.npz --out low --wbits 2 --abits 2", 0);
    char spec[200];
    snprintf(spec, sizeof spec, "npz:%s", in_root("halves.npz"));
    oct_eval own, real;
    for (int k = 0; k < 2; k++) {
        oct_net *net = oct_run_load(ctx, in_root(runs[k]), NULL);
        ck_ok(oct_evaluate(net, d, NULL, &own));
        oct_net_fake_quantize(net, false);
        ck_ok(oct_evaluate(net, d, NULL, &real));
        ck_assert(k ? own.loss > 1.01 * parent : real.loss != parent);
        const double best = fmin(real.loss, parent);
        oct_diagnosis *g = oct_doctor(ctx, in_root(runs[k]), &(oct_doctor_opts){.data = spec});
        ck_not_null(g);
        ck_assert_double_eq_tol(g->score, fmin(1, best / own.loss), 1e-6);
        ck_assert_double_eq_tol(g->float_score, best / real.loss, 1e-6);
        ck_assert_double_eq_tol(g->parent_score, best / parent, 1e-6);
        oct_diagnosis_free(ctx, g);
    }
    const char *out = octet("report reg low --data npz:halves.npz --out p.html >told; grep -o "
                            "'data-y=[^ ]*low<' p.html",
                            0);
    ck_assert_double_eq_tol(strtod(out + 8, NULL), own.loss, 1e-8);
}

START_TEST(the_command_says_the_same) {
    fill_logits();
    make_pictures();
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = mirror(ctx, K);
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, 1, K, 1), logits, labels, NULL);
    ck_ok(oct_net_describe(net, d));
    ck_ok(oct_run_save(net, in_root("mirror"), NULL, false));
    ck_ok(octi_npz_write(ctx, in_root("known.npz"),
                         (octi_npz_array[]){{"x_test", OCT_F32, OCT_SHAPE(N, 1, 1, K), logits},
                                            {"y_test", OCT_S32, OCT_SHAPE(N), labels}},
                         2));
    const char *out = octet("eval mirror --data npz:known.npz --json", 0);
    says(out, "\"accuracy\":0.571428571,\"top5\":1,\"loss\":");
    ck_assert_double_eq_tol(strtod(strstr(out, "\"loss\":") + 7, NULL), expected_loss(N), 1e-6);
    says(out, "\"n\":7,\"per_class\":[1,0.5,0.333333333],\"confusion\":[[2,0,0],[1,1,0],[1,1,1]]");
    out = octet("eval mirror --data npz:known.npz", 0);
    says(out, "accuracy 0.5714  top5 1.0000  loss 0.9247");
    says(out, "0.3333 of 3");
    /* regression, on disk: train, evaluate, quantize, convert */
    ck_ok(octi_npz_write(
        ctx, in_root("halves.npz"),
        (octi_npz_array[]){{"x", OCT_F32, OCT_SHAPE(IMAGES, 1, SIDE, SIDE), pictures},
                           {"y", OCT_F32, OCT_SHAPE(IMAGES, 2), sums},
                           {"x_test", OCT_F32, OCT_SHAPE(IMAGES, 1, SIDE, SIDE), pictures},
                           {"y_test", OCT_F32, OCT_SHAPE(IMAGES, 2), sums}},
        4));
    net = oct_capture(two_values(ctx), OCT_SHAPE(SIDE, SIDE, 1));
    d = oct_data_open(ctx, octi_fmt("npz:%s", in_root("halves.npz")), NULL);
    ck_not_null(d);
    ck_ok(oct_fit(net, d,
                  &(oct_fit_opts){.epochs = 10,
                                  .batch = 16,
                                  .optimizer = OCT_OPTIM_ADAM,
                                  .lr = 0.01f,
                                  .run = in_root("reg")}));
    oct_eval r;
    ck_ok(oct_evaluate(net, d, NULL, &r));
    out = octet("eval reg --data npz:halves.npz --json", 0);
    hides(out, "accuracy");
    hides(out, "top5");
    hides(out, "confusion");
    ck_assert_double_eq_tol(strtod(strstr(out, "\"loss\":") + 7, NULL), r.loss, r.loss * 1e-6);
    says(octet("eval reg --data npz:halves.npz", 0), "(mean squared error)  n 256");
    out = octet("train --model ./reg --data npz:halves.npz --out more --epochs 2 --val 0.2 --lr "
                "0.01 --json",
                0);
    hides(out, "accuracy");
    says(out, "\"test_loss\":");
    says(out, "\"val_loss\":");
    hides(octet("train --model ./reg --data npz:halves.npz --out more2 --epochs 1", 0), "accuracy");
    out = octet("ptq reg --data npz:halves.npz --out q --json", 0);
    hides(out, "accuracy");
    says(out, "\"loss\":");
    says(out, "\"fp32_loss\":");
    hides(octet("qat q --data npz:halves.npz --out qq --json --epochs 1", 0), "accuracy");
    says(octet("convert qq -o r.oct8 --data npz:halves.npz --json", 0), "\"mismatched_codes\":0");
    hides(octet("eval r.oct8 --data npz:halves.npz --json", 0), "accuracy");
    hides(octet("bench reg --mode train-fp32 --batch 2 --json", 0), "accuracy");
    out = octet("compare reg q r.oct8 --data npz:halves.npz --json", 0);
    hides(out, "accuracy");
    says(out, "\"kind\":\"weight-only\",\"loss\":");
    says(octet("compare reg --data npz:halves.npz", 0), "     loss ");
    octet("compare reg mirror --data npz:halves.npz", 3);
    told_by_their_losses(ctx, d, r.loss);
    /* an input that is no image has a shape, and no description */
    net = oct_capture(oct_linear_new(ctx, &(oct_linear_opts){.in = 9, .out = 2}), OCT_SHAPE(9));
    ck_ok(oct_run_save(net, in_root("row"), NULL, false));
    says(octet("inspect row", 0), "input [N, 9], taken as it is; 0 classes");
    /* images of no class: values */
    FILE *f = fopen(in_root("x.bmp"), "wb");
    static const uint8_t head[54] = {
        'B', 'M', [2] = 102, [10] = 54, [14] = 40, [18] = 4, [22] = 4, [26] = 1, [28] = 24};
    fwrite(head, 1, sizeof head, f);
    fwrite((const char[48]){0}, 1, 48, f);
    fclose(f);
    out = octet("predict reg x.bmp --json", 0);
    says(out, "\"values\":[");
    hides(out, "top");
    /* data without truth: ptq calibrates, eval says what is missing */
    ck_ok(octi_npz_write(
        ctx, in_root("bare.npz"),
        (octi_npz_array[]){{"x", OCT_F32, OCT_SHAPE(IMAGES, 1, SIDE, SIDE), pictures}}, 1));
    octet("eval reg --data npz:bare.npz", 3);
    hides(octet("ptq reg --data npz:bare.npz --out q2 --json", 0), "accuracy");
    remove_root();
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("score", classes_by_hand, top5_by_hand, values_by_hand, a_regression_net_is_trained,
              the_best_epoch_has_the_least_loss, a_loss_of_ones_own, the_command_says_the_same)
