/* SPDX-License-Identifier: MIT
 * Optimizers and schedules against PyTorch's results; threads; gradients that are not finite. */
#include "tests/oct_test.h"

#include <math.h>

#include "autograd/optim/optim.h"
#include "src/rng.h"
#include "tests/golden/optim_golden.h"

START_TEST(steps_as_pytorch) {
    for (size_t k = 0; k < sizeof golden_optim / sizeof *golden_optim; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_tensor *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(GOLDEN_N));
        w->grad = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(GOLDEN_N));
        memcpy(w->data, golden_w0, sizeof golden_w0);
        oct_named_tensor p = {"w", OCT_ROLE_PARAM, w};
        oct_optim *o = oct_optim_new(ctx, &p, 1, &golden_optim[k].opts);
        ck_not_null(o);
        for (int s = 0; s < GOLDEN_STEPS; s++) {
            oct_optim_zero_grad(o);
            ck_assert(oct_f32(w->grad)[0] == 0);
            memcpy(w->grad->data, golden_grad[s], sizeof golden_grad[s]);
            ck_ok(oct_optim_step(o));
        }
        for (int i = 0; i < GOLDEN_N; i++) {
            float want = golden_optim[k].w[i], got = oct_f32(w)[i];
            ck_assert_msg(fabsf(want - got) <= 4e-7f * (1 + fabsf(want)), "case %zu element %d: want %.9g, got %.9g", k, i, want, got);
        }
        oct_optim_free(o);
        oct_close(ctx);
    }
}
END_TEST

START_TEST(schedules_as_pytorch) {
    for (size_t k = 0; k < sizeof golden_schedule / sizeof *golden_schedule; k++)
        for (int s = 0; s < 12; s++) {
            float want = golden_schedule[k].lr[s], got = oct_schedule_lr(&golden_schedule[k].s, s);
            ck_assert_msg(fabsf(want - got) <= 1e-6f * fabsf(want) + 1e-12f, "case %zu step %d: want %.9g, got %.9g", k, s, want, got);
        }
    oct_schedule warm = {.kind = OCT_COSINE, .lr = 1, .total = 10, .warmup = 4};
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 0), 0.2f, 1e-6);
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 4), 1.0f, 1e-6);
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 10), 0.0f, 1e-6);
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 99), 0.0f, 1e-6);
}
END_TEST

enum { BIG = 50000 };

static void train(int threads, float out[BIG + 3], oct_optim_opts opts) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    oct_tensor *w[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(BIG)), oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3))};
    oct_named_tensor p[2] = {{"big", OCT_ROLE_PARAM, w[0]}, {"small", OCT_ROLE_PARAM, w[1]}};
    for (int i = 0; i < 2; i++) w[i]->grad = oct_tensor_new(ctx, OCT_F32, w[i]->shape);
    oct_optim *o = oct_optim_new(ctx, p, 2, &opts);
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, 0, 0);
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < 2; i++)
            for (int64_t k = 0; k < oct_tensor_count(w[i]); k++) oct_f32(w[i]->grad)[k] = octi_rng_normal(&r);
        ck_ok(oct_optim_step(o));
    }
    memcpy(out, w[0]->data, BIG * sizeof(float));
    memcpy(out + BIG, w[1]->data, 3 * sizeof(float));
    oct_close(ctx);
}

START_TEST(threads_do_not_change_bits) {
    static float a[BIG + 3], b[BIG + 3];
    const oct_optim_opts cases[] = {{.kind = OCT_SGD, .momentum = 0.9f, .clip_norm = 1}, {.kind = OCT_ADAMW, .clip_norm = 1},
                                    {.kind = OCT_RMSPROP, .momentum = 0.9f, .centered = true, .clip_norm = 1}};
    for (int k = 0; k < 3; k++) {
        train(1, a, cases[k]);
        train(4, b, cases[k]);
        ck_assert(!memcmp(a, b, sizeof a));
    }
}
END_TEST

START_TEST(bad_gradient_changes_nothing) {
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int clip = 0; clip < 2; clip++)
        for (int k = 0; k < 3; k++) {
            oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
            oct_tensor *w[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4)), oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4))};
            oct_named_tensor p[2] = {{"conv1.weight", OCT_ROLE_PARAM, w[0]}, {"fc.bias", OCT_ROLE_PARAM, w[1]}};
            for (int i = 0; i < 2; i++) w[i]->grad = oct_tensor_new(ctx, OCT_F32, w[i]->shape);
            oct_optim *o = oct_optim_new(ctx, p, 2, &(oct_optim_opts){.kind = OCT_ADAM, .clip_norm = clip});
            for (int i = 0; i < 4; i++) oct_f32(w[0]->grad)[i] = 1;
            oct_f32(w[1]->grad)[3] = bad[k];
            ck_fails(OCT_EDIVERGED, "fc.bias", oct_optim_step(o));
            ck_assert(oct_f32(w[0])[0] == 0);
            int32_t n;
            const oct_named_tensor *st = oct_optim_state(o, &n);
            ck_assert_int_eq(n, 5);
            ck_assert_str_eq(st[0].name, "step");
            ck_assert_str_eq(st[1].name, "conv1.weight.exp_avg");
            ck_assert(*(int64_t *)st[0].tensor->data == 0);
            oct_close(ctx);
        }
}
END_TEST

/* A gradient that never changes has variance 0, and rounding may put it below. */
START_TEST(centered_rmsprop_survives_a_constant_gradient) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64));
    w->grad = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64));
    oct_named_tensor p = {"w", OCT_ROLE_PARAM, w};
    oct_optim *o = oct_optim_new(ctx, &p, 1, &(oct_optim_opts){.kind = OCT_RMSPROP, .centered = true, .alpha = 0.5f, .lr = 1e-6f});
    int32_t n;
    oct_optim_state(o, &n);
    ck_assert_int_eq(n, 3);
    for (int s = 0; s < 200; s++) {
        for (int i = 0; i < 64; i++) oct_f32(w->grad)[i] = 0.1f + 0.013f * (float)i;
        ck_ok(oct_optim_step(o));
    }
    for (int i = 0; i < 64; i++) ck_assert_msg(isfinite(oct_f32(w)[i]), "element %d: %g", i, oct_f32(w)[i]);
    oct_optim_free(o);
    oct_close(ctx);
}
END_TEST

START_TEST(misuse_is_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4)), *q = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(4));
    oct_named_tensor p[2] = {{"w", OCT_ROLE_PARAM, w}, {"running_mean", OCT_ROLE_BUFFER, w}}, u = {"q", OCT_ROLE_PARAM, q};
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.lr = -1}));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "lr"));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.lr = NAN}));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.momentum = 1}));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.kind = (oct_optim_kind)9}));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.kind = OCT_RMSPROP, .alpha = 1}));
    ck_assert(!oct_optim_new(ctx, &u, 1, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_EDTYPE);
    oct_optim *o = oct_optim_new(ctx, p, 2, &(oct_optim_opts){.momentum = 0.5f});
    int32_t n;
    oct_optim_state(o, &n);
    ck_assert_int_eq(n, 2); /* step, and one momentum: buffers are not trained */
    ck_ok(oct_optim_step(o)); /* no gradients: nothing moves */
    oct_optim_set_lr(o, INFINITY);
    ck_fails(OCT_EDIVERGED, "lr", oct_optim_step(o));
    oct_optim_free(o);
    oct_optim_free(NULL);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("optim", steps_as_pytorch, schedules_as_pytorch, threads_do_not_change_bits, bad_gradient_changes_nothing, centered_rmsprop_survives_a_constant_gradient, misuse_is_refused)
