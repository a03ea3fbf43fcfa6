/* SPDX-License-Identifier: MIT
 * Weights that swing between codes: counted, damped and frozen by the paper's formulas; batch norm
 * estimated anew. */
#include "tests/oct_test.h"

#include <math.h>
#include <string.h>

#include "autograd/nn/nn.h"
#include "autograd/optim/optim.h"
#include "octet.h"
#include "qat/fit/reestimate.h"

/* ---- oscillation ---- */

typedef struct two_weights { /* linear 2 -> 2 at 3 bits: row 0 is {1, w}, so its scale is 1/3 */
    oct_ctx *ctx;
    oct_net *q;
    oct_tensor *w;
    oct_tape *tape;
} two_weights;

static two_weights two_weights_new(void) {
    two_weights t = {.ctx = oct_open(&(oct_opts){.threads = 1})};
    oct_module *parts[] = {
        oct_linear_new(t.ctx, &(oct_linear_opts){.in = 2, .out = 2, .no_bias = true})};
    oct_net *net = oct_capture(oct_sequential_new(t.ctx, parts, 1), OCT_SHAPE(2));
    ck_not_null(net);
    t.q = oct_prepare(net, &(oct_qconfig){.wbits = 3, .all_layers = true});
    ck_not_null(t.q);
    t.w = oct_net_tensor(t.q, "0.weight");
    ck_not_null(t.w);
    memcpy(t.w->data, (float[]){1, 0.4f, 1, 0.1f}, 4 * sizeof(float));
    t.tape = oct_tape_new(t.ctx);
    return t;
}

typedef struct counts {
    int64_t weights, oscillating, frozen;
} counts;

static counts set_and_step(two_weights *t, float w, float threshold) {
    oct_f32(t->w)[1] = w;
    ck_ok(oct_oscillation_step(t->q, threshold));
    return (counts){oct_oscillation_count(t->q, OCT_SWING_TRACKED),
                    oct_oscillation_count(t->q, OCT_SWING_OSCILLATING),
                    oct_oscillation_count(t->q, OCT_SWING_FROZEN)};
}

/* Weights of 8 bits move by less than they cost: those of few bits alone are followed. */
START_TEST(weights_of_8_bits_are_not_followed) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[3];
    for (int i = 0; i < 3; i++)
        parts[i] = oct_linear_new(ctx, &(oct_linear_opts){.in = 2 + i, .out = 3 + i});
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 3), OCT_SHAPE(2)),
            *q = oct_prepare(net, &(oct_qconfig){.wbits = 3});
    ck_not_null(q);
    ck_ok(oct_oscillation_start(q));
    ck_assert_int_eq(oct_oscillation_count(q, OCT_SWING_TRACKED), 3 * 4);
    ck_not_null(oct_net_tensor(q, "1.weight_fake_quant.osc_rate"));
    ck_assert(!oct_net_tensor(q, "0.weight_fake_quant.osc_rate") &&
              !oct_net_tensor(q, "2.weight_fake_quant.osc_rate"));
    oct_close(ctx);
}
END_TEST

START_TEST(rates_and_freezing_by_the_papers_formulas) {
    two_weights t = two_weights_new();
    ck_fails(OCT_EUSAGE, "not tracked", oct_oscillation_step(t.q, 1));
    ck_ok(oct_oscillation_start(t.q));
    ck_ok(oct_oscillation_start(t.q)); /* again: nothing */
    const float *rate = oct_f32(oct_net_tensor(t.q, "0.weight_fake_quant.osc_rate")),
                *mean = oct_f32(oct_net_tensor(t.q, "0.weight_fake_quant.osc_mean"));
    float r = 0, m = 1;                   /* 0.4 is code 1 of 1/3, 0.6 is code 2 */
    counts c = set_and_step(&t, 0.6f, 1); /* up: a change, not yet a change of direction */
    m += 0.01f * (2 - m);
    ck_assert_float_eq(rate[1], 0);
    ck_assert_int_eq(c.weights, 4);
    ck_assert_int_eq(c.oscillating, 0);
    for (int i = 0; i < 3; i++) {
        c = set_and_step(&t, i % 2 ? 0.6f : 0.4f, 1); /* down, up, down */
        r += 0.01f * (1 - r);
        m += 0.01f * ((i % 2 ? 2.0f : 1.0f) - m);
        ck_assert_float_eq_tol(rate[1], r, 1e-7f);
        ck_assert_float_eq_tol(mean[1], m, 1e-6f);
        ck_assert_int_eq(c.oscillating, 1);
    }
    c = set_and_step(&t, 0.5f - 1e-3f, 1); /* code 1 stays */
    ck_assert_float_eq_tol(rate[1], r - 0.01f * r, 1e-7f);
    ck_assert_int_eq(c.frozen, 0);
    /* the fourth change of direction: above 0.03, frozen at the average, code 1 */
    c = set_and_step(&t, 0.6f, 0.03f);
    ck_assert_int_eq(c.frozen, 1);
    ck_assert_int_eq(c.oscillating, 0);
    ck_assert_float_eq_tol(oct_f32(t.w)[1], 1.0f / 3, 1e-6f);
    for (int i = 0; i < 3; i++) {
        c = set_and_step(&t, -0.9f, 1); /* whatever an optimizer does */
        ck_assert_int_eq(c.frozen, 1);
        ck_assert_float_eq_tol(oct_f32(t.w)[1], 1.0f / 3, 1e-6f);
    }
    oct_f32(t.w)[0] = 1.5f; /* the row's scale grows: the code stays, the value follows */
    set_and_step(&t, 0, 1);
    ck_assert_float_eq_tol(oct_f32(t.w)[1], 0.5f, 1e-6f);
    oct_close(t.ctx);
}
END_TEST

START_TEST(damping_pulls_to_the_codes_middle) {
    two_weights t = two_weights_new();
    memcpy(t.w->data, (float[]){1, 0.4f, -0.5f, 0.1f}, 4 * sizeof(float));
    oct_tensor *x = oct_tensor_new(t.ctx, OCT_F32, OCT_SHAPE(1, 2)),
               *label = oct_tensor_new(t.ctx, OCT_S32, OCT_SHAPE(1));
    oct_f32(x)[0] = 1;
    for (int k = 0; k < 2; k++) { /* the first step observes */
        oct_tape_begin(t.tape, OCT_TRAIN);
        ck_ok(oct_backward(
            oct_cross_entropy(oct_net_forward(t.q, oct_input(t.tape, x)), label, NULL)));
    }
    const float s[2] = {1.0f / 3, 0.5f / 3}, code[4] = {3, 1, -3, 1};
    memset(t.w->grad->data, 0, 4 * sizeof(float));
    ck_ok(oct_oscillation_damp(t.q, 0.25f));
    for (int k = 0; k < 4; k++)
        ck_assert_float_eq_tol(oct_f32(t.w->grad)[k],
                               2 * 0.25f * (oct_f32(t.w)[k] - s[k / 2] * code[k]), 1e-6f);
    oct_close(t.ctx);
}
END_TEST

/* Where the scale is that of the least squared error, the largest weights lie beyond the codes:
 * what is clipped is not pushed. */
START_TEST(damping_leaves_what_is_clipped) {
    enum { K = 32 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {
        oct_linear_new(ctx, &(oct_linear_opts){.in = K, .out = 1, .no_bias = true})};
    oct_net *q = oct_prepare(
        oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE(K)),
        &(oct_qconfig){.wbits = 2, .all_layers = true, .weight_observer = OCT_WEIGHT_OBSERVER_MSE});
    ck_not_null(q);
    float *w = oct_f32(oct_net_tensor(q, "0.weight"));
    for (int k = 0; k < K; k++) w[k] = ((float)(k * 7 % K) - 15.5f) / 15.5f;
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, K));
    oct_f32(x)[0] = 1;
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 2; k++) {
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *y = oct_net_forward(q, oct_input(t, x));
        ck_ok(oct_backward(oct_mse_loss(y, oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, 1)))));
    }
    const float s = oct_f32(oct_net_tensor(q, "0.weight_fake_quant.scale"))[0];
    ck_assert_float_lt(s, 0.9f); /* codes are -1, 0, 1 */
    float *grad = oct_f32(oct_net_tensor(q, "0.weight")->grad);
    memset(grad, 0, K * sizeof *grad);
    ck_ok(oct_oscillation_damp(q, 0.5f));
    for (int k = 0; k < K; k++)
        ck_assert_float_eq_tol(grad[k], fabsf(w[k]) > s ? 0 : w[k] - s * rintf(w[k] / s), 1e-6f);
    ck_assert(fabsf(w[0]) > s && grad[0] == 0 && grad[3] != 0);
    oct_close(ctx);
}
END_TEST

static oct_fit_report last;
static int remember(void *user, const oct_fit_report *r) {
    (void)user;
    last = *r;
    return 0;
}

static oct_net *small_run(oct_ctx *ctx, oct_oscillation_mode mode) {
    oct_data *train = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 1600});
    oct_net *net = oct_zoo_net(ctx, "lenet", train);
    ck_not_null(net);
    oct_net *q = oct_prepare(net, &(oct_qconfig){.wbits = 2, .abits = 8, .all_layers = true});
    ck_not_null(q);
    ck_ok(oct_fit(q, train,
                  &(oct_fit_opts){.epochs = 2,
                                  .batch = 16,
                                  .lr = 0.02f,
                                  .oscillation = mode,
                                  .oscillation_end = mode == OCT_OSCILLATION_DAMP ? 10.0f : 0,
                                  .progress = remember}));
    return q;
}

START_TEST(training_measures_damps_and_freezes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    small_run(ctx, OCT_OSCILLATION_MEASURE);
    const double free_share = last.oscillating;
    ck_assert_double_gt(free_share, 0.005);
    ck_assert_double_eq(last.frozen, 0);
    small_run(ctx, OCT_OSCILLATION_DAMP);
    ck_assert_double_lt(last.oscillating, free_share);
    oct_net *q = small_run(ctx, OCT_OSCILLATION_FREEZE);
    ck_assert_double_gt(last.frozen, 0);
    ck_assert_double_lt(last.oscillating, free_share);
    oct_net *int8 = oct_convert(q, NULL); /* what is frozen ships as it is */
    ck_not_null(int8);
    const oct_tensor *codes = oct_net_tensor(int8, "fc2.weight"),
                     *kept = oct_net_tensor(q, "fc2.weight_fake_quant.osc_code"),
                     *turn = oct_net_tensor(q, "fc2.weight_fake_quant.osc_turn");
    ck_not_null(codes);
    int frozen = 0;
    for (int64_t k = 0; k < oct_tensor_count(kept); k++) {
        if (oct_s8(turn)[k] != 2) continue;
        ck_assert_int_eq(oct_s8(codes)[k], oct_s8(kept)[k]);
        frozen++;
    }
    ck_assert_int_gt(frozen, 0);
    oct_close(ctx);
}
END_TEST

START_TEST(oscillation_is_judged) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 64});
    oct_net *net = oct_zoo_net(ctx, "lenet", train), *q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_fails(OCT_EUSAGE, "measure, damp or freeze",
             oct_fit(q, train, &(oct_fit_opts){.oscillation = (oct_oscillation_mode)4}));
    ck_fails(OCT_EUSAGE, "a float net has no codes",
             oct_fit(net, train, &(oct_fit_opts){.oscillation = OCT_OSCILLATION_FREEZE}));
    ck_fails(OCT_EUSAGE, "not prepared", oct_oscillation_start(net));
    oct_close(ctx);
}
END_TEST

/* ---- batch norm ---- */

static oct_net *normed(oct_ctx *ctx, oct_data *d) {
    oct_module *parts[] = {
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 1}),
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 5, .stride = 4, .no_bias = true}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}),
        oct_relu_new(ctx),
        oct_flatten_new(ctx),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * 6 * 6, .out = 10})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 6), OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    ck_ok(oct_net_describe(net, d));
    return net;
}

START_TEST(batch_norm_is_estimated_anew) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 200});
    oct_net *net = normed(ctx, d);
    const oct_tensor *x = oct_calibration_inputs(net, d, 200);
    ck_not_null(x);
    double mean = 0, var = 0;
    /* the mean of the batches' own statistics: of 198 images three batches of 64, a rest of 6 does
     * not count; of all 200 four of 50 */
    const struct {
        int64_t n;
        int batches, size;
    } rows[] = {{198, 3, 64}, {200, 4, 50}};
    for (int r = 0; r < 2; r++) {
        const int count = rows[r].size * 784;
        mean = var = 0;
        for (int b = 0; b < rows[r].batches; b++) {
            const float *v = oct_f32(x) + b * count;
            double m = 0, s = 0;
            for (int k = 0; k < count; k++) m += v[k];
            m /= count;
            for (int k = 0; k < count; k++) s += (v[k] - m) * (v[k] - m);
            mean += m / rows[r].batches;
            var += s / (count - 1) / rows[r].batches;
        }
        ck_ok(oct_reestimate_batch_norm(net, d, rows[r].n));
        ck_assert_double_eq_tol(oct_f32(oct_net_tensor(net, "0.running_mean"))[0], mean, 1e-5);
        ck_assert_double_eq_tol(oct_f32(oct_net_tensor(net, "0.running_var"))[0], var, 1e-5);
    }
    ck_assert_float_eq(net->graph->nodes[0].attr.momentum, 0.1f);
    /* in a training: of images augmented as it augments; a flip moves no pixel's value, a crop
     * brings padding in */
    ck_ok(octi_reestimate_batch_norm(net, d, 200, OCT_AUGMENT_FLIP));
    ck_assert_double_eq_tol(oct_f32(oct_net_tensor(net, "0.running_mean"))[0], mean, 1e-5);
    ck_ok(octi_reestimate_batch_norm(net, d, 200, OCT_AUGMENT_CROP8));
    ck_assert_double_gt(fabs(oct_f32(oct_net_tensor(net, "0.running_mean"))[0] - mean), 1e-3);
    ck_ok(oct_reestimate_batch_norm(net, d, 200));
    ck_fails(OCT_EUSAGE, ">= 2", oct_reestimate_batch_norm(net, d, 1));
    /* prepared: only the statistics move, and they no longer depend on where they were */
    oct_net *a = oct_prepare(net, &(oct_qconfig){.wbits = 4, .all_layers = true});
    ck_not_null(a);
    ck_ok(oct_calibrate(a, d, 64));
    ck_ok(oct_reestimate_batch_norm(a, d, 200));
    const oct_tensor *m = oct_net_tensor(a, "1.weight"),
                     *range = oct_net_tensor(a, "1.activation_post_process.max_val");
    ck_not_null(m);
    ck_not_null(range);
    const float w0 = oct_f32(m)[0], r0 = oct_f32(range)[0],
                mean0 = oct_f32(oct_net_tensor(a, "2.running_mean"))[0];
    ck_assert_int_eq(oct_u8(oct_net_tensor(a, "1.activation_post_process.enabled"))[0], 1);
    ck_ok(oct_reestimate_batch_norm(a, d, 200));
    ck_assert_float_eq(oct_f32(m)[0], w0);
    ck_assert_float_eq(oct_f32(range)[0], r0);
    ck_assert_float_eq_tol(oct_f32(oct_net_tensor(a, "2.running_mean"))[0], mean0,
                           1e-3f + 0.02f * fabsf(mean0));
    for (int frozen = 0; frozen < 2; frozen++) { /* and the switches stand as they stood */
        oct_net_freeze_batch_norm(a, frozen);
        oct_net_observe(a, !frozen);
        ck_ok(oct_reestimate_batch_norm(a, d, 200));
        ck_assert(oct_net_batch_norm_frozen(a) == frozen);
        ck_assert_int_eq(oct_u8(oct_net_tensor(a, "1.activation_post_process.enabled"))[0],
                         !frozen);
    }
    oct_close(ctx);
}
END_TEST

static int at_the_end(void *user, const oct_fit_report *r) {
    if (r->epoch_end) *(oct_fit_report *)user = *r;
    return 0;
}

/* A rate of next to nothing: what training tells of an epoch is what evaluation finds. Batches of
 * two sizes, 11 in all. */
START_TEST(a_report_is_of_the_whole_epoch) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_data *train = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 173});
    oct_net *net = oct_zoo_net(ctx, "lenet", train);
    ck_not_null(net);
    /* no longer all of one class */
    ck_ok(oct_fit(net, train, &(oct_fit_opts){.epochs = 2, .batch = 32, .lr = 0.02f}));
    oct_fit_report r;
    ck_ok(oct_fit(net, train,
                  &(oct_fit_opts){.epochs = 2,
                                  .batch = 16,
                                  .lr = 2e-12f,
                                  .momentum = OCT_NONE,
                                  .progress = at_the_end,
                                  .progress_user = &r}));
    oct_eval e;
    ck_ok(oct_evaluate(net, train, NULL, &e));
    ck_assert(e.accuracy > 0 && e.accuracy < 1);
    ck_assert_double_eq_tol(r.train_accuracy, e.accuracy, 1e-12);
    ck_assert_double_eq_tol(r.train_loss, e.loss, 1e-5);
    oct_eval_free(ctx, &e);
    oct_close(ctx);
}
END_TEST

/* Observers that begin anew know nothing of what they saw: ranges are those of a net that never saw
 * it. */
START_TEST(observers_begin_anew) {
    static const char *const names[] = {"ema", "minmax",  "histogram", "mse",
                                        "mae", "entropy", "percentile"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_module *parts[] = {oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 4}),
                               oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 3})};
        oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(8));
        oct_tensor *x[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64, 8)),
                            oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64, 8))};
        for (int i = 0; i < 64 * 8; i++) {
            oct_f32(x[0])[i] = 8 * sinf((float)i) - 3;
            oct_f32(x[1])[i] = 0.5f * sinf(1.3f * (float)i) + 0.2f;
        }
        float scale[2][8];
        int32_t zero[2][8], count = 0;
        for (int fresh = 0; fresh < 2; fresh++) {
            oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = names[k]});
            ck_not_null(q);
            oct_tape *t = oct_tape_new(ctx);
            for (int i = fresh; i < 2; i++) {
                if (i) oct_net_reset_observers(q);
                oct_tape_begin(t, OCT_CALIBRATE);
                ck_not_null(oct_net_forward(q, oct_input(t, x[i])));
                if (!i) ck_ok(oct_net_settle(q));
            }
            ck_ok(oct_net_settle(q));
            count = 0;
            for (int32_t i = 0; i < q->graph->quantizer_count && count < 8; i++, count++) {
                scale[fresh][count] = oct_f32(q->graph->quantizers[i].scale)[0];
                zero[fresh][count] = oct_s32(q->graph->quantizers[i].zero_point)[0];
            }
            oct_tape_free(t);
        }
        ck_assert_int_ge(count, 4);
        for (int32_t i = 0; i < count; i++)
            ck_assert_msg(scale[0][i] == scale[1][i] && zero[0][i] == zero[1][i],
                          "%s: grid %d is %g %d, of a fresh net %g %d", names[k], i,
                          (double)scale[0][i], zero[0][i], (double)scale[1][i], zero[1][i]);
        oct_close(ctx);
    }
}
END_TEST

OCT_TEST_MAIN("schedules", weights_of_8_bits_are_not_followed,
              rates_and_freezing_by_the_papers_formulas, damping_pulls_to_the_codes_middle,
              damping_leaves_what_is_clipped, training_measures_damps_and_freezes,
              oscillation_is_judged, batch_norm_is_estimated_anew, a_report_is_of_the_whole_epoch,
              observers_begin_anew)
