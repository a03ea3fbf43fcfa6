/* SPDX-License-Identifier: MIT
 * Every field of oct_optim_opts, oct_schedule and oct_eval_opts does what it says, against formulas
 * written out here in double. */
#include "tests/option_rows.h"

#include <math.h>

#include "octet.h"

/* ---- optimizers: three weights, three steps of gradients that are no multiples of each other
 * ---- */

enum { K = 3, STEPS = 4 };
static const double w0[K] = {0.5, -1.25, 2},
                    gradient[STEPS][K] = {
                        {0.1, -2, 0.5}, {-0.3, 1, 0.25}, {0.7, 0.1, -1}, {0.2, -0.6, 0.4}};

static double pick(float v, double otherwise) {
    return v == 0 ? otherwise : v == OCT_NONE ? 0 : (double)v;
}

static void by_hand(oct_optim_opts o, double w[K]) {
    const bool is_sgd = o.kind == OCT_OPTIM_SGD, adamw = o.kind == OCT_OPTIM_ADAMW;
    const double lr = pick(o.lr, is_sgd ? 0.05 : 0.001),
                 decay = pick(o.weight_decay, adamw    ? 0.01
                                              : is_sgd ? 5e-4
                                                       : 0),
                 b1 = pick(o.beta1, 0.9), b2 = pick(o.beta2, 0.999);
    const double eps = pick(o.eps, 1e-8), alpha = pick(o.alpha, 0.99),
                 mu = pick(o.momentum, is_sgd ? 0.9 : 0);
    double m[K] = {0}, v[K] = {0}, mean[K] = {0};
    memcpy(w, w0, sizeof w0);
    for (int t = 1; t <= STEPS; t++) {
        double norm = 0, scale = 1;
        for (int k = 0; k < K; k++) norm += gradient[t - 1][k] * gradient[t - 1][k];
        if (o.clip_norm > 0 && (double)o.clip_norm < sqrt(norm))
            scale = (double)o.clip_norm / sqrt(norm);
        for (int k = 0; k < K; k++) {
            double g = gradient[t - 1][k] * scale, d;
            if (adamw)
                w[k] *= 1 - lr * decay;
            else
                g += decay * w[k];
            if (o.kind == OCT_OPTIM_SGD) {
                m[k] = mu * m[k] + g;
                d = o.nesterov == OCT_SWITCH_NO ? m[k] : g + mu * m[k];
            } else if (o.kind == OCT_OPTIM_RMSPROP) {
                v[k] = alpha * v[k] + (1 - alpha) * g * g;
                mean[k] = alpha * mean[k] + (1 - alpha) * g;
                d = g / (sqrt(v[k] - (o.centered ? mean[k] * mean[k] : 0)) + eps);
                m[k] = mu * m[k] + d;
                d = m[k];
            } else {
                m[k] = b1 * m[k] + (1 - b1) * g;
                v[k] = b2 * v[k] + (1 - b2) * g * g;
                d = m[k] / (1 - pow(b1, t)) / (sqrt(v[k] / (1 - pow(b2, t))) + eps);
            }
            w[k] -= lr * d;
        }
    }
}

static void run(oct_optim_opts o, float w[K], oct_tensor_role role) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(K));
    t->grad = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(K));
    for (int k = 0; k < K; k++) oct_f32(t)[k] = (float)w0[k];
    oct_optim *optim = oct_optim_new(ctx, &(oct_named_tensor){"w", role, t}, 1, &o);
    ck_not_null(optim);
    for (int s = 0; s < STEPS; s++) {
        for (int k = 0; k < K; k++) oct_f32(t->grad)[k] = (float)gradient[s][k];
        ck_ok(oct_optim_step(optim));
    }
    memcpy(w, t->data, K * sizeof *w);
    oct_close(ctx);
}

/* The weights are the formula's, and not those without the option. */
static void moves(oct_optim_opts o, oct_optim_opts without) {
    double expected[K], other[K], distance = 0;
    float w[K];
    by_hand(o, expected);
    by_hand(without, other);
    run(o, w, OCT_ROLE_PARAM);
    for (int k = 0; k < K; k++) {
        ck_assert_msg(fabs((double)w[k] - expected[k]) < 2e-6, "weight %d: %.8g, by hand %.8g", k,
                      (double)w[k], expected[k]);
        distance += fabs(expected[k] - other[k]);
    }
    ck_assert_msg(distance > 1e-5 || !memcmp(&o, &without, sizeof o),
                  "the option moves nothing by hand either");
}
#define MOVES(base, field, value)                                                                  \
    do { /* as it is, and with the field */                                                        \
        oct_optim_opts a_ = base, b_ = base;                                                       \
        a_.field = value;                                                                          \
        moves(b_, b_);                                                                             \
        moves(a_, b_);                                                                             \
    } while (0)
static const oct_optim_opts sgd = {.kind = OCT_OPTIM_SGD, .lr = 0.1f},
                            adam = {.kind = OCT_OPTIM_ADAM, .lr = 0.1f},
                            adamw = {.kind = OCT_OPTIM_ADAMW, .lr = 0.1f},
                            rms = {.kind = OCT_OPTIM_RMSPROP, .lr = 0.1f},
                            nesterov = {.kind = OCT_OPTIM_SGD, .lr = 0.1f, .momentum = 0.8f};

static void kind(void) {
    MOVES(sgd, kind, OCT_OPTIM_ADAM);
    MOVES(sgd, kind, OCT_OPTIM_ADAMW);
    MOVES(sgd, kind, OCT_OPTIM_RMSPROP);
}
static void lr(void) {
    const oct_optim_opts all[4] = {sgd, adam, adamw, rms};
    for (int i = 0; i < 4; i++) {
        MOVES(all[i], lr, 0);
        MOVES(all[i], lr, 0.03f);
    }
}
static void momentum(void) {
    MOVES(sgd, momentum, 0.5f);
    MOVES(sgd, momentum, OCT_NONE);
    MOVES(rms, momentum, 0.5f);
}
static void nesterov_(void) {
    MOVES(nesterov, nesterov, OCT_SWITCH_NO);
    oct_optim_opts said = nesterov;
    said.nesterov = OCT_SWITCH_YES;
    float by_default[K], yes[K];
    run(nesterov, by_default, OCT_ROLE_PARAM);
    run(said, yes, OCT_ROLE_PARAM);
    ck_assert(!memcmp(by_default, yes, sizeof yes));
}
static void weight_decay(void) {
    const oct_optim_opts all[4] = {sgd, adam, adamw, rms};
    for (int i = 0; i < 4; i++) {
        MOVES(all[i], weight_decay, 0.2f);
        oct_optim_opts o = all[i]; /* learned steps do not decay */
        o.weight_decay = OCT_NONE;
        float none[K], steps[K];
        run(o, none, OCT_ROLE_PARAM);
        o.weight_decay = 0.2f;
        run(o, steps, OCT_ROLE_STEP);
        ck_assert(!memcmp(none, steps, sizeof none));
    }
    MOVES(adamw, weight_decay, OCT_NONE);
    MOVES(sgd, weight_decay, OCT_NONE);
}
static void beta1(void) { MOVES(adam, beta1, 0.5f); }
static void beta2(void) { MOVES(adam, beta2, 0.9f); }
static void eps(void) {
    MOVES(adam, eps, 0.1f);
    MOVES(rms, eps, 0.1f);
}
static void clip_norm(void) {
    const oct_optim_opts all[4] = {sgd, nesterov, rms, adamw};
    for (int i = 0; i < 4; i++) MOVES(all[i], clip_norm, 0.5f);
}
static void alpha(void) { MOVES(rms, alpha, 0.5f); }
static void centered(void) { MOVES(rms, centered, true); }

#define ROW(field)                                                                                 \
    { #field, field }
START_TEST(every_option_of_optimizers) {
    static const option_row rows[] = {
        ROW(kind),         ROW(lr),    ROW(momentum), {"nesterov", nesterov_},
        ROW(weight_decay), ROW(beta1), ROW(beta2),    ROW(eps),
        ROW(clip_norm),    ROW(alpha), ROW(centered)};
    check_options("autograd/optim/optim.h", "oct_optim_opts", rows, sizeof rows / sizeof *rows);
}
END_TEST

/* ---- schedules: the rate at every step, piece by piece ---- */

static double half_cosine(double from, double to, double share) {
    return to + (from - to) * (1 + cos(M_PI * share)) / 2;
}

static void is(oct_schedule s, int64_t step, double expected) {
    ck_assert_msg(fabs((double)oct_schedule_lr(&s, step) - expected) < 1e-6,
                  "step %lld: %.8g, by hand %.8g", (long long)step,
                  (double)oct_schedule_lr(&s, step), expected);
}

static void s_kind(void) {
    const double at8[] = {half_cosine(0.5, 0, 0.8), 0.5, 0.5 * 0.1 * 0.1, 0.5 * 0.1, 0};
    for (int k = 0; k < 4; k++)
        is((oct_schedule){.kind = (oct_schedule_kind)k,
                          .lr = 0.5f,
                          .total = 10,
                          .every = 4,
                          .milestones = {5}},
           8, at8[k]);
    is((oct_schedule){.kind = OCT_SCHEDULE_ONE_CYCLE, .lr = 0.5f, .total = 10}, 2,
       0.5); /* 0.3 * 10 - 1 */
}
static void s_lr(void) {
    for (int k = 0; k < 5; k++)
        for (int step = 0; step < 10; step++) {
            oct_schedule a = {.kind = (oct_schedule_kind)k,
                              .lr = 1,
                              .total = 10,
                              .every = 4,
                              .milestones = {5}},
                         b = a;
            b.lr = 0.25f;
            is(b, step, (double)oct_schedule_lr(&a, step) / 4);
        }
}
static void total(void) {
    for (int n = 5; n < 50; n += 9) {
        for (int step = 0; step <= n; step++)
            is((oct_schedule){.kind = OCT_SCHEDULE_COSINE, .lr = 1, .total = n}, step,
               half_cosine(1, 0, (double)step / n));
        is((oct_schedule){.kind = OCT_SCHEDULE_ONE_CYCLE, .lr = 1, .total = n}, n - 1, 0.04 / 1e4);
    }
}
/* linear to the peak; milestones and steps count from where the training began, or the warm-up
 * ended */
static void s_warmup(void) {
    for (int warm = 0; warm < 6; warm++)
        for (int step = 0; step < 20; step++) {
            const double up = (step + 1.0) / (warm + 1.0), since = step - warm;
            const bool rising = step < warm;
            is((oct_schedule){.kind = OCT_SCHEDULE_CONSTANT, .lr = 1, .total = 20, .warmup = warm},
               step, rising ? up : 1);
            is((oct_schedule){.kind = OCT_SCHEDULE_COSINE, .lr = 1, .total = 20, .warmup = warm},
               step, rising ? up : half_cosine(1, 0, since / (20 - warm)));
            is(
                (oct_schedule){
                    .kind = OCT_SCHEDULE_STEP, .lr = 1, .total = 20, .warmup = warm, .every = 5},
                step, rising ? up : pow(0.1, floor(since / 5)));
            is((oct_schedule){.kind = OCT_SCHEDULE_MULTI_STEP,
                              .lr = 1,
                              .total = 20,
                              .warmup = warm,
                              .milestones = {8, 15}},
               step,
               rising      ? up
               : step < 8  ? 1
               : step < 15 ? 0.1
                           : 0.01);
        }
}
static void s_gamma(void) {
    is((oct_schedule){.kind = OCT_SCHEDULE_STEP, .lr = 1, .every = 3, .gamma = 0.5f}, 7, 0.25);
    is(
        (oct_schedule){
            .kind = OCT_SCHEDULE_MULTI_STEP, .lr = 1, .milestones = {3, 6}, .gamma = 0.5f},
        7, 0.25);
}
static void every(void) {
    for (int n = 1; n < 6; n++)
        for (int step = 0; step < 12; step++)
            is((oct_schedule){.kind = OCT_SCHEDULE_STEP, .lr = 1, .every = n}, step,
               pow(0.1, step / n));
    is((oct_schedule){.kind = OCT_SCHEDULE_STEP, .lr = 1}, 100, 1);
}
static void milestones(void) {
    const oct_schedule s = {.kind = OCT_SCHEDULE_MULTI_STEP,
                            .lr = 1,
                            .gamma = 0.5f,
                            .milestones = {1, 2, 4, 6, 7, 9, 12, 13}};
    static const int passed[15] = {0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 7, 8, 8};
    for (int step = 0; step < 15; step++) is(s, step, pow(0.5, passed[step]));
}
static void final_lr(void) {
    for (int step = 0; step <= 10; step++)
        is((oct_schedule){.kind = OCT_SCHEDULE_COSINE, .lr = 1, .total = 10, .final_lr = 0.2f},
           step, half_cosine(1, 0.2, step / 10.0));
    is((oct_schedule){.kind = OCT_SCHEDULE_COSINE, .lr = 1, .total = 10, .final_lr = 0.2f}, 99,
       0.2);
}
static void one_cycle(double pct, double div, double final_div) {
    const oct_schedule s = {.kind = OCT_SCHEDULE_ONE_CYCLE,
                            .lr = 1,
                            .total = 40,
                            .pct_start = (float)pct,
                            .div = (float)div,
                            .final_div = (float)final_div};
    const double p = pct > 0 ? pct : 0.3, low = 1 / (div > 0 ? div : 25),
                 end = low / (final_div > 0 ? final_div : 1e4), up = p * 40 - 1;
    for (int step = 0; step < 40; step++)
        is(s, step,
           step <= up ? half_cosine(low, 1, step / up)
                      : half_cosine(1, end, (step - up) / (40 - up - 1)));
}
static void pct_start(void) { one_cycle(0, 0, 0), one_cycle(0.1, 0, 0), one_cycle(0.5, 0, 0); }
static void s_div(void) { one_cycle(0, 4, 0); }
static void final_div(void) { one_cycle(0, 0, 2), one_cycle(0.25, 3, 7); }

START_TEST(every_option_of_schedules) {
    static const option_row rows[] = {{"kind", s_kind},     {"lr", s_lr},       ROW(total),
                                      {"warmup", s_warmup}, {"gamma", s_gamma}, ROW(every),
                                      ROW(milestones),      ROW(final_lr),      ROW(pct_start),
                                      {"div", s_div},       ROW(final_div)};
    check_options("autograd/optim/optim.h", "oct_schedule", rows, sizeof rows / sizeof *rows);
}
END_TEST

/* ---- evaluation: seven images of two values, a net whose output is its input ---- */

static oct_var *flat(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, oct_flatten(x);
}
static const float images[7][2] = {{1, 0}, {0, 1}, {2, 1}, {1, 3}, {0, 4}, {5, 1}, {1, 2}},
                   aims[7][2] = {{1, 0}, {0, 2}, {2, 3}, {1, 6}, {0, 8}, {0, 1}, {1, 8}};
static int64_t most; /* images of a batch that the loss was asked for */
static int calls;
static oct_var *squares(void *user, oct_var *y, const oct_batch *b) {
    const int64_t n = oct_var_value(y)->shape.dim[0];
    ck_assert_ptr_eq(user, &calls);
    ck_assert_int_eq(b->targets->shape.dim[0], n);
    most = n > most ? n : most;
    calls++;
    return oct_mse_loss(y, b->targets);
}
static oct_eval evaluated(oct_eval_opts o) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = oct_capture(oct_module_new(ctx, flat, NULL), OCT_SHAPE(1, 2, 1));
    oct_data *d = oct_data_from_memory(
        ctx, OCT_F32, OCT_SHAPE(7, 1, 2, 1), images, NULL,
        &(oct_array_opts){.targets = &aims[0][0], .target_shape = OCT_SHAPE(7, 2)});
    oct_eval r;
    most = calls = 0;
    ck_ok(oct_evaluate(net, d, &o, &r));
    oct_close(ctx);
    return r;
}
static double loss_of(int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            sum += pow((double)images[i][k] - (double)aims[i][k], 2) / 2 / n;
    return sum;
}
static void batch(void) {
    for (int n = 0; n < 9; n++) {
        const oct_eval r =
            evaluated((oct_eval_opts){.batch = n, .loss = squares, .loss_user = &calls});
        ck_assert_int_eq(most, n && n < 7 ? n : 7);
        ck_assert_int_eq(calls, n && n < 7 ? (7 + n - 1) / n : 1);
        ck_assert_double_eq_tol(r.loss, loss_of(7), 1e-5);
    }
}
static void limit(void) {
    for (int n = 0; n < 9; n++) {
        const oct_eval r = evaluated((oct_eval_opts){.batch = 2, .limit = n}),
                       own = evaluated((oct_eval_opts){
                           .batch = 2, .limit = n, .loss = squares, .loss_user = &calls});
        const int seen = n && n < 7 ? n : 7;
        ck_assert(r.n == seen && own.n == seen);
        ck_assert_double_eq_tol(r.loss, loss_of(seen), 1e-6);
        ck_assert_double_eq_tol(own.loss, loss_of(seen), 1e-5);
    }
}
static oct_var *a_third(void *user, oct_var *y, const oct_batch *b) {
    return oct_mix(squares(user, y, b), oct_mse_loss(y, oct_var_value(y)), 1.0f / 3);
}
static void loss(void) {
    const oct_eval r = evaluated((oct_eval_opts){.batch = 3, .loss = a_third, .loss_user = &calls});
    ck_assert_double_eq_tol(r.loss, loss_of(7) / 3, 1e-5);
}

/* The same images with labels: who is told what the net said, and who how far it is. */
static const int32_t labels[7] = {0, 1, 1, 0, 1, 0, 1};
static int64_t told;
static int words;
static void hear(void *user, int64_t i, const float *logits, int64_t k, int32_t label) {
    ck_assert_ptr_eq(user, &told);
    ck_assert(i == told && k == 2 && label == labels[i]);
    ck_assert(logits[0] == images[i][0] && logits[1] == images[i][1]);
    told++;
}
static int word(void *user, const char *what, int64_t done, int64_t total) {
    ck_assert_ptr_eq(user, &words);
    ck_assert(!strcmp(what, "evaluate") && done >= 0 && done <= total && total == 7);
    return words++, 0;
}
static void classified(oct_eval_opts o) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .progress = word, .progress_user = &words});
    oct_net *net = oct_capture(oct_module_new(ctx, flat, NULL), OCT_SHAPE(1, 2, 1));
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(7, 1, 2, 1), images, labels, NULL);
    oct_eval r;
    told = words = 0;
    ck_ok(oct_evaluate(net, d, &o, &r));
    ck_assert_double_eq_tol(r.accuracy, 5.0 / 7, 1e-9);
    oct_close(ctx);
}
static void answer(void) {
    classified((oct_eval_opts){.batch = 3, .answer = hear, .answer_user = &told});
    ck_assert_int_eq(told, 7);
    classified((oct_eval_opts){.batch = 3, .answer_user = &told});
    ck_assert_int_eq(told, 0);
}
static void no_progress(void) {
    classified((oct_eval_opts){.batch = 2});
    ck_assert_int_gt(words, 1);
    classified((oct_eval_opts){.batch = 2, .no_progress = true});
    ck_assert_int_eq(words, 0);
}

START_TEST(every_option_of_evaluation) {
    static const option_row rows[] = {ROW(batch),          ROW(limit),  ROW(loss),
                                      {"loss_user", loss}, ROW(answer), {"answer_user", answer},
                                      ROW(no_progress)};
    check_options("qat/fit/fit.h", "oct_eval_opts", rows, sizeof rows / sizeof *rows);
}
END_TEST

OCT_TEST_MAIN("optim_options", every_option_of_optimizers, every_option_of_schedules,
              every_option_of_evaluation)
