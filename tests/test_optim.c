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
            ck_assert_msg(fabsf(want - got) <= 4e-7f * (1 + fabsf(want)),
                          "case %zu element %d: want %.9g, got %.9g", k, i, want, got);
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
            ck_assert_msg(fabsf(want - got) <= 1e-6f * fabsf(want) + 1e-12f,
                          "case %zu step %d: want %.9g, got %.9g", k, s, want, got);
        }
    oct_schedule warm = {.kind = OCT_SCHEDULE_COSINE, .lr = 1, .total = 10, .warmup = 4};
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 0), 0.2f, 1e-6);
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 4), 1.0f, 1e-6);
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 10), 0.0f, 1e-6);
    ck_assert_float_eq_tol(oct_schedule_lr(&warm, 99), 0.0f, 1e-6);
}
END_TEST

/* ---- by hand ---- */

/* Two tensors, a parameter and a learned step, three steps of every kind with weight decay: in
 * double, from the papers. Decay goes to the parameter alone: into the gradient, but AdamW's, which
 * takes lr * decay of the weight and leaves moments alone. */
START_TEST(decay_by_the_formula) {
    const oct_optim_opts cases[] = {
        {.kind = OCT_OPTIM_SGD, .lr = 0.1f, .momentum = OCT_NONE, .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_SGD,
         .lr = 0.1f,
         .momentum = 0.8f,
         .nesterov = OCT_SWITCH_NO,
         .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_SGD,
         .lr = 0.1f,
         .momentum = 0.8f,
         .nesterov = OCT_SWITCH_YES,
         .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_ADAM, .lr = 0.1f, .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_ADAMW, .lr = 0.1f, .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_RMSPROP, .lr = 0.1f, .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_RMSPROP,
         .lr = 0.1f,
         .momentum = 0.8f,
         .centered = true,
         .weight_decay = 0.3f},
        {.kind = OCT_OPTIM_ADAM, .lr = 0.1f, .eps = 0.5f},
        {.kind = OCT_OPTIM_RMSPROP, .lr = 0.1f, .eps = 0.5f, .alpha = 0.6f},
        {.kind = OCT_OPTIM_ADAM, .lr = 0.1f, .beta1 = 0.5f, .beta2 = 0.7f}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const oct_optim_opts *o = &cases[k];
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_tensor *t[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1)),
                            oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1))};
        oct_named_tensor p[2] = {{"w", OCT_ROLE_PARAM, t[0]}, {"w.step", OCT_ROLE_STEP, t[1]}};
        for (int i = 0; i < 2; i++)
            t[i]->grad = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1)), oct_f32(t[i])[0] = 2;
        oct_optim *optim = oct_optim_new(ctx, p, 2, o);
        ck_not_null(optim);
        double w[2] = {2, 2}, m[2] = {0}, v[2] = {0}, mean[2] = {0};
        const double b1 = o->beta1 ? o->beta1 : 0.9, b2 = o->beta2 ? o->beta2 : 0.999,
                     eps = o->eps ? o->eps : 1e-8, alpha = o->alpha ? o->alpha : 0.99;
        for (int step = 1; step <= 3; step++) {
            for (int i = 0; i < 2; i++) {
                const float grad = 0.5f - 0.4f * (float)step;
                oct_f32(t[i]->grad)[0] = grad;
                double g = grad, decay = i ? 0 : (double)o->weight_decay,
                       mu = o->momentum == OCT_NONE ? 0 : (double)o->momentum;
                if (o->kind == OCT_OPTIM_ADAMW)
                    w[i] *= 1 - (double)o->lr * decay;
                else
                    g += decay * w[i];
                if (o->kind == OCT_OPTIM_SGD) {
                    m[i] = mu * m[i] + g;
                    w[i] -= o->lr * (o->nesterov == OCT_SWITCH_YES ? g + mu * m[i] : m[i]);
                } else if (o->kind == OCT_OPTIM_RMSPROP) {
                    v[i] = alpha * v[i] + (1 - alpha) * g * g;
                    mean[i] = alpha * mean[i] + (1 - alpha) * g;
                    const double d =
                        g / (sqrt(o->centered ? v[i] - mean[i] * mean[i] : v[i]) + eps);
                    m[i] = mu * m[i] + d;
                    w[i] -= o->lr * m[i];
                } else {
                    m[i] = b1 * m[i] + (1 - b1) * g;
                    v[i] = b2 * v[i] + (1 - b2) * g * g;
                    w[i] -= o->lr * (m[i] / (1 - pow(b1, step))) /
                            (sqrt(v[i] / (1 - pow(b2, step))) + eps);
                }
            }
            ck_ok(oct_optim_step(optim));
            for (int i = 0; i < 2; i++)
                ck_assert_msg(fabs(oct_f32(t[i])[0] - w[i]) < 2e-5,
                              "case %zu, step %d, %s: %.7g, not %.7g", k, step, p[i].name,
                              oct_f32(t[i])[0], w[i]);
        }
        oct_optim_free(optim);
        oct_close(ctx);
    }
}
END_TEST

/* The norm is that of all gradients together, over tensors and chunks; smaller ones stay as they
 * are, in every kind. */
START_TEST(clipping_is_by_the_norm_of_all) {
    enum { N = 40000 };
    static const oct_optim_kind kinds[] = {OCT_OPTIM_SGD, OCT_OPTIM_ADAM, OCT_OPTIM_ADAMW,
                                           OCT_OPTIM_RMSPROP};
    for (int k = 0; k < 8; k++) {
        const bool small = k & 1;
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_tensor *t[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(N)),
                            oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2))},
                   *u[2];
        for (int i = 0; i < 2; i++) {
            t[i]->grad = oct_tensor_new(ctx, OCT_F32, t[i]->shape);
            for (int64_t e = 0; e < oct_tensor_count(t[i]); e++)
                oct_f32(t[i]->grad)[e] = small ? 1e-4f : 0.25f + 0.1f * (float)(e % 3);
            u[i] = oct_tensor_copy(ctx, t[i]);
            u[i]->grad = oct_tensor_copy(ctx, t[i]->grad);
        }
        double norm = 0;
        for (int i = 0; i < 2; i++)
            for (int64_t e = 0; e < oct_tensor_count(t[i]); e++)
                norm += pow(oct_f32(t[i]->grad)[e], 2);
        norm = sqrt(norm);
        /* the same as an unclipped step with gradients scaled by hand; eps is large, so that the
         * size of a gradient counts */
        const float factor = norm > 2 ? (float)(2.0 / (norm + 1e-6)) : 1;
        for (int i = 0; i < 2; i++)
            for (int64_t e = 0; e < oct_tensor_count(u[i]); e++) oct_f32(u[i]->grad)[e] *= factor;
        oct_optim_opts o = {.kind = kinds[k / 2],
                            .lr = 0.1f,
                            .eps = 0.1f,
                            .momentum = OCT_NONE,
                            .weight_decay = OCT_NONE,
                            .clip_norm = 2};
        oct_named_tensor p[2] = {{"a", OCT_ROLE_PARAM, t[0]}, {"b", OCT_ROLE_PARAM, t[1]}},
                         q[2] = {{"a", OCT_ROLE_PARAM, u[0]}, {"b", OCT_ROLE_PARAM, u[1]}};
        oct_optim *clipped = oct_optim_new(ctx, p, 2, &o);
        o.clip_norm = 0;
        oct_optim *plain = oct_optim_new(ctx, q, 2, &o);
        ck_ok(oct_optim_step(clipped));
        ck_ok(oct_optim_step(plain));
        for (int i = 0; i < 2; i++)
            for (int64_t e = 0; e < oct_tensor_count(t[i]); e += 997)
                ck_assert_msg(fabsf(oct_f32(t[i])[e] - oct_f32(u[i])[e]) <=
                                  2e-6f * fabsf(oct_f32(u[i])[e]),
                              "kind %d, small %d: %g, not %g", k / 2, small, oct_f32(t[i])[e],
                              oct_f32(u[i])[e]);
        ck_assert(oct_f32(t[1])[1] != 0);
        oct_close(ctx);
    }
}
END_TEST

/* zero_grad empties every element of every tensor; lr that is set counts; defaults are the
 * documented ones. */
START_TEST(small_promises) {
    static const float rates[] = {0.05f, 0.001f, 0.001f, 0.001f};
    for (int kind = 0; kind < 4; kind++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_tensor *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(20000)),
                   *v = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(20000));
        w->grad = oct_tensor_new(ctx, OCT_F32, w->shape),
        v->grad = oct_tensor_new(ctx, OCT_F32, w->shape);
        oct_named_tensor p = {"w", OCT_ROLE_PARAM, w}, q = {"v", OCT_ROLE_PARAM, v};
        oct_optim *a = oct_optim_new(ctx, &p, 1, &(oct_optim_opts){.kind = (oct_optim_kind)kind});
        oct_optim *b =
            oct_optim_new(ctx, &q, 1, &(oct_optim_opts){.kind = (oct_optim_kind)kind, .lr = 77});
        for (int i = 0; i < 20000; i++) oct_f32(w->grad)[i] = oct_f32(v->grad)[i] = 1;
        oct_optim_set_lr(b, rates[kind]);
        ck_ok(oct_optim_step(a));
        ck_ok(oct_optim_step(b));
        ck_assert_mem_eq(w->data, v->data, oct_tensor_bytes(w));
        oct_optim_zero_grad(a);
        for (int i = 0; i < 20000; i++) ck_assert(oct_f32(w->grad)[i] == 0 && oct_f32(w)[i] != 0);
        oct_close(ctx);
    }
}
END_TEST

static double half_cosine(double from, double to, double done) {
    return to + (from - to) * (1 + cos(3.14159265358979323846 * done)) / 2;
}

/* Every field of a schedule, step by step. Warm-up rises by equal parts, the first step counts;
 * milestones are steps of the whole training; step counts from the warm-up's end. */
START_TEST(schedules_by_the_formula) {
    for (int64_t warm = 0; warm <= 5; warm += 5)
        for (int64_t i = 0; i < 40; i++) {
            const double up = i < warm ? (double)(i + 1) / (double)(warm + 1) : 1;
            const oct_schedule multi = {.kind = OCT_SCHEDULE_MULTI_STEP,
                                        .lr = 2,
                                        .warmup = warm,
                                        .gamma = 0.5f,
                                        .milestones = {10, 20, 30}};
            ck_assert_double_eq_tol(
                oct_schedule_lr(&multi, i),
                i < warm ? 2 * up : 2 * pow(0.5, (i >= 10) + (i >= 20) + (i >= 30)), 1e-6);
            const oct_schedule steps = {
                .kind = OCT_SCHEDULE_STEP, .lr = 2, .warmup = warm, .every = 7};
            ck_assert_double_eq_tol(oct_schedule_lr(&steps, i),
                                    i < warm ? 2 * up : 2 * pow(0.1, (double)((i - warm) / 7)),
                                    1e-6);
            const oct_schedule cosine = {.kind = OCT_SCHEDULE_COSINE,
                                         .lr = 2,
                                         .warmup = warm,
                                         .total = 40,
                                         .final_lr = 0.5f};
            ck_assert_double_eq_tol(
                oct_schedule_lr(&cosine, i),
                i < warm ? 2 * up : half_cosine(2, 0.5, (double)(i - warm) / (double)(40 - warm)),
                1e-6);
            const oct_schedule constant = {.kind = OCT_SCHEDULE_CONSTANT, .lr = 2, .warmup = warm};
            ck_assert_double_eq_tol(oct_schedule_lr(&constant, i), 2 * up, 1e-6);
            const oct_schedule cycle = {.kind = OCT_SCHEDULE_ONE_CYCLE,
                                        .lr = 2,
                                        .total = 40,
                                        .pct_start = 0.25f,
                                        .div = 10,
                                        .final_div = 100};
            const double top = 0.25 * 40 - 1, end = 39; /* the last step has the final rate */
            ck_assert_double_eq_tol(oct_schedule_lr(&cycle, i),
                                    (double)i <= top
                                        ? half_cosine(0.2, 2, (double)i / top)
                                        : half_cosine(2, 0.002, ((double)i - top) / (end - top)),
                                    1e-6);
            const oct_schedule plain = {.kind = OCT_SCHEDULE_ONE_CYCLE, .lr = 2, .total = 40};
            ck_assert_double_eq_tol(oct_schedule_lr(&plain, i),
                                    (double)i <= 11 ? half_cosine(0.08, 2, (double)i / 11)
                                                    : half_cosine(2, 8e-6, ((double)i - 11) / 28),
                                    1e-6);
        }
}
END_TEST

enum { BIG = 50000 };

static void train(int threads, float out[BIG + 3], oct_optim_opts opts) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    oct_tensor *w[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(BIG)),
                        oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3))};
    oct_named_tensor p[2] = {{"big", OCT_ROLE_PARAM, w[0]}, {"small", OCT_ROLE_PARAM, w[1]}};
    for (int i = 0; i < 2; i++) w[i]->grad = oct_tensor_new(ctx, OCT_F32, w[i]->shape);
    oct_optim *o = oct_optim_new(ctx, p, 2, &opts);
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, 0, 0);
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < 2; i++)
            for (int64_t k = 0; k < oct_tensor_count(w[i]); k++)
                oct_f32(w[i]->grad)[k] = octi_rng_normal(&r);
        ck_ok(oct_optim_step(o));
    }
    memcpy(out, w[0]->data, BIG * sizeof(float));
    memcpy(out + BIG, w[1]->data, 3 * sizeof(float));
    oct_close(ctx);
}

START_TEST(threads_do_not_change_bits) {
    static float a[BIG + 3], b[BIG + 3];
    const oct_optim_opts cases[] = {
        {.kind = OCT_OPTIM_SGD, .momentum = 0.9f, .clip_norm = 1},
        {.kind = OCT_OPTIM_ADAMW, .clip_norm = 1},
        {.kind = OCT_OPTIM_RMSPROP, .momentum = 0.9f, .centered = true, .clip_norm = 1}};
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
            oct_tensor *w[2] = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4)),
                                oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4))};
            oct_named_tensor p[2] = {{"conv1.weight", OCT_ROLE_PARAM, w[0]},
                                     {"fc.bias", OCT_ROLE_PARAM, w[1]}};
            for (int i = 0; i < 2; i++) w[i]->grad = oct_tensor_new(ctx, OCT_F32, w[i]->shape);
            oct_optim *o = oct_optim_new(
                ctx, p, 2, &(oct_optim_opts){.kind = OCT_OPTIM_ADAM, .clip_norm = clip});
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
    oct_optim *o = oct_optim_new(
        ctx, &p, 1,
        &(oct_optim_opts){.kind = OCT_OPTIM_RMSPROP, .centered = true, .alpha = 0.5f, .lr = 1e-6f});
    int32_t n;
    oct_optim_state(o, &n);
    ck_assert_int_eq(n, 3);
    for (int s = 0; s < 200; s++) {
        for (int i = 0; i < 64; i++) oct_f32(w->grad)[i] = 0.1f + 0.013f * (float)i;
        ck_ok(oct_optim_step(o));
    }
    for (int i = 0; i < 64; i++)
        ck_assert_msg(isfinite(oct_f32(w)[i]), "element %d: %g", i, oct_f32(w)[i]);
    oct_optim_free(o);
    oct_close(ctx);
}
END_TEST

START_TEST(misuse_is_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4)),
               *q = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(4));
    oct_named_tensor p[2] = {{"w", OCT_ROLE_PARAM, w}, {"running_mean", OCT_ROLE_BUFFER, w}},
                     u = {"q", OCT_ROLE_PARAM, q};
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.lr = -1}));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "lr"));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.lr = NAN}));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.momentum = 1}));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.kind = (oct_optim_kind)9}));
    ck_assert(!oct_optim_new(ctx, p, 1, &(oct_optim_opts){.kind = OCT_OPTIM_RMSPROP, .alpha = 1}));
    ck_assert(!oct_optim_new(ctx, &u, 1, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_EDTYPE);
    oct_optim *o = oct_optim_new(ctx, p, 2, &(oct_optim_opts){.momentum = 0.5f});
    int32_t n;
    oct_optim_state(o, &n);
    ck_assert_int_eq(n, 2);   /* step, and one momentum: buffers are not trained */
    ck_ok(oct_optim_step(o)); /* no gradients: nothing moves */
    oct_optim_set_lr(o, INFINITY);
    ck_fails(OCT_EDIVERGED, "lr", oct_optim_step(o));
    oct_optim_free(o);
    oct_optim_free(NULL);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("optim", decay_by_the_formula, clipping_is_by_the_norm_of_all, small_promises,
              schedules_by_the_formula, steps_as_pytorch, schedules_as_pytorch,
              threads_do_not_change_bits, bad_gradient_changes_nothing,
              centered_rmsprop_survives_a_constant_gradient, misuse_is_refused)
