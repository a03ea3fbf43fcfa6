/* SPDX-License-Identifier: MIT
 * Freezing by pattern: what is frozen stays to the bit, a batch norm whose weight and bias are
 * frozen rests in float, fused and prepared nets, and the gradient behind it is right. */
#include <math.h>

#include "oct_test.h"
#include "octet.h"
#include "src/rng.h"

enum { N = 48, SIDE = 6 };

typedef struct two {
    oct_module *conv1, *bn1, *conv2, *bn2, *fc;
} two;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    two *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    x = oct_relu(oct_apply(n->bn2, oct_apply(n->conv2, x)));
    return oct_apply(n->fc, oct_flatten(x));
}

static oct_net *make(oct_ctx *ctx, two *n) {
    const oct_conv2d_opts conv = {.in = 2, .out = 2, .kernel = 3, .pad = 1};
    oct_module *m = oct_module_new(ctx, forward, n);
    n->conv1 = oct_module_add(m, "conv1", oct_conv2d_new(ctx, &conv));
    n->bn1 = oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){2}));
    n->conv2 = oct_module_add(m, "conv2", oct_conv2d_new(ctx, &conv));
    n->bn2 = oct_module_add(m, "bn2", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){2}));
    n->fc = oct_module_add(
        m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 2 * SIDE * SIDE, .out = 3}));
    for (int k = 0; k < 2; k++) { /* as a trained layer's */
        oct_f32(oct_module_tensor(m, "bn1.running_mean"))[k] = 0.3f * (float)(k + 1);
        oct_f32(oct_module_tensor(m, "bn1.running_var"))[k] = 0.5f + (float)k;
        oct_f32(oct_module_tensor(m, "bn1.weight"))[k] = 0.7f - 0.4f * (float)k;
    }
    return oct_capture(m, OCT_SHAPE(SIDE, SIDE, 2));
}

static oct_data *data(oct_ctx *ctx) {
    static float x[N][SIDE][SIDE][2];
    static int32_t y[N];
    octi_rng r = octi_rng_stream(4, OCTI_RNG_TEST, 9, 0);
    for (int i = 0; i < N; i++) {
        y[i] = i % 3;
        for (int k = 0; k < SIDE * SIDE * 2; k++)
            (&x[i][0][0][0])[k] = octi_rng_normal(&r) + 0.5f * (float)y[i];
    }
    return oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, SIDE, SIDE, 2), x, y,
                                &(oct_array_opts){.classes = 3});
}

static void fit(oct_net *net, oct_data *d) {
    ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 2, .batch = 16, .test = d, .lr = 0.05f}));
}

static const char *const names[] = {"conv1.weight",     "conv1.bias",       "bn1.weight",
                                    "bn1.bias",         "bn1.running_mean", "bn1.running_var",
                                    "bn2.running_mean", "bn2.weight",       "conv2.weight"};
enum { NAMES = sizeof names / sizeof *names, STILL = 6 };

/* The first six stay to the bit, the others move. */
static void stays(oct_ctx *ctx, oct_net *net, oct_data *d, const char *stage) {
    oct_tensor *before[NAMES];
    for (int i = 0; i < NAMES; i++) {
        ck_assert_msg(oct_net_tensor(net, names[i]) != NULL, "%s: %s", stage, names[i]);
        before[i] = oct_tensor_copy(ctx, oct_net_tensor(net, names[i]));
    }
    fit(net, d);
    ck_ok(oct_reestimate_batch_norm(net, d, N));
    for (int i = 0; i < NAMES; i++) {
        const bool same = !memcmp(before[i]->data, oct_net_tensor(net, names[i])->data,
                                  oct_tensor_bytes(before[i]));
        ck_assert_msg(same == (i < STILL), "%s: %s %s", stage, names[i], same ? "stays" : "moves");
    }
}

START_TEST(frozen_layers_stay_and_their_batch_norm_rests) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *d = data(ctx);
    two n;
    int32_t count;
    oct_net *net = make(ctx, &n);
    ck_ok(oct_net_freeze(net, "conv1.*", true, NULL));
    ck_ok(oct_net_freeze(net, "bn1.*", true, &count));
    ck_assert_int_eq(count, 2);
    stays(ctx, net, d, "float");
    oct_net *fused = oct_fuse(net), *q = oct_prepare(fused, NULL), *int8;
    stays(ctx, fused, d, "fused");
    stays(ctx, q, d, "prepared");
    int8 = oct_convert(q, NULL); /* compares: a prepared net that rests is the one converted */
    ck_not_null(int8);
    ck_fails(OCT_EUSAGE, "int8", oct_net_freeze(int8, "*", true, NULL));
    /* one of the two alone does not make it rest; and what was frozen can go on */
    const float mean = oct_f32(oct_net_tensor(net, "bn1.running_mean"))[0];
    ck_ok(oct_net_freeze(net, "bn1.bias", false, &count));
    ck_assert_int_eq(count, 1);
    fit(net, d);
    ck_assert(oct_f32(oct_net_tensor(net, "bn1.running_mean"))[0] != mean);
    ck_fails(OCT_EUSAGE, "matches no parameter", oct_net_freeze(net, "nothing*", true, &count));
    ck_assert_int_eq(count, 0);
    oct_close(ctx);
}
END_TEST

static double loss_of(oct_net *net, oct_tape *t, const oct_tensor *x, const oct_tensor *dy,
                      bool backward) {
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *y = oct_net_forward(net, oct_input(t, x));
    ck_not_null(y);
    double sum = 0;
    for (int64_t i = 0; i < oct_tensor_count(dy); i++)
        sum += (double)oct_f32(oct_var_value(y))[i] * (double)oct_f32(dy)[i];
    if (backward) ck_ok(oct_backward_from(y, dy));
    return sum;
}

/* All rest, observers stand still: a training step runs on codes, as evaluation does. */
START_TEST(a_prepared_net_that_rests_trains_on_its_codes) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *d = data(ctx);
    two n;
    oct_net *net = make(ctx, &n), *q = oct_prepare(oct_fuse(net), NULL);
    ck_ok(oct_calibrate(q, d, N));
    ck_ok(oct_net_freeze(q, "bn?.*", true, NULL));
    oct_net_observe(q, false);
    oct_tensor *x = oct_calibration_inputs(q, d, 8), *y[2];
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 2; k++) {
        oct_tape_begin(t, k ? OCT_TRAIN : OCT_EVAL);
        oct_var *v = oct_net_forward(q, oct_input(t, x));
        ck_not_null(v);
        y[k] = oct_tensor_copy(ctx, oct_var_value(v));
    }
    ck_assert(!memcmp(y[0]->data, y[1]->data, oct_tensor_bytes(y[0])));
    oct_close(ctx);
}
END_TEST

/* Against differences: conv1 stays free in front of the batch norm that rests. */
START_TEST(the_gradient_passes_a_batch_norm_that_rests) {
    oct_ctx *ctx = oct_open(NULL);
    two n;
    oct_net *nets[2] = {make(ctx, &n)};
    ck_ok(oct_net_freeze(nets[0], "bn?.*", true, NULL));
    nets[1] = oct_fuse(nets[0]);
    octi_rng r = octi_rng_stream(6, OCTI_RNG_TEST, 1, 0);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3, SIDE, SIDE, 2)),
               *dy = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3, 3));
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = octi_rng_normal(&r);
    for (int64_t i = 0; i < oct_tensor_count(dy); i++) oct_f32(dy)[i] = octi_rng_normal(&r);
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 2; k++) {
        oct_tensor *w = oct_net_tensor(nets[k], "conv1.weight");
        if (w->grad) memset(w->grad->data, 0, oct_tensor_bytes(w));
        loss_of(nets[k], t, x, dy, true);
        for (int i = 0; i < 36; i += 5) {
            const float kept = oct_f32(w)[i], step = 1e-3f;
            oct_f32(w)[i] = kept + step;
            const double up = loss_of(nets[k], t, x, dy, false);
            oct_f32(w)[i] = kept - step;
            const double down = loss_of(nets[k], t, x, dy, false), want = (up - down) / 2e-3,
                         got = (double)oct_f32(w->grad)[i];
            oct_f32(w)[i] = kept;
            ck_assert_msg(fabs(got - want) < 0.02 * (1 + fabs(want)), "%d: weight %d: %g, %g", k, i,
                          got, want);
        }
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("freeze", frozen_layers_stay_and_their_batch_norm_rests,
              a_prepared_net_that_rests_trains_on_its_codes,
              the_gradient_passes_a_batch_norm_that_rests)
