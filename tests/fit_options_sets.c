/* SPDX-License-Identifier: MIT
 * Rows of test_fit_options: sets beside the training set, runs on disk, losses. */
#include "tests/fit_world.h"

/* ---- sets beside the training set ---- */

static double accuracy_of(const float w[2][2], const int32_t *labels) {
    int right = 0;
    for (int i = 0; i < N; i++)
        right += (w[1][0] * x[i][0] + w[1][1] * x[i][1] > w[0][0] * x[i][0] + w[0][1] * x[i][1]) ==
                 labels[i];
    return (double)right / N;
}
static void test(void) {
    static const int32_t others[N] = {1, 1, 1, 1, 1, 1, 1, 0};
    oct_fit_opts o = base();
    const outcome *r = play(o);
    ck_assert(r->end[0].test_accuracy == -1 && isnan(r->end[0].test_loss));
    o.epochs = 30;
    o.test = data();
    const outcome *a = play(o);
    o.test = data_of(x, others, N);
    const outcome *b = play(o);
    for (int i = 0; i < 30; i++) {
        ck_assert_double_eq(a->end[i].test_accuracy, accuracy_of(a->w_end[i], y));
        ck_assert_double_eq(b->end[i].test_accuracy, accuracy_of(b->w_end[i], others));
    }
    ck_assert(a->end[29].test_accuracy > a->end[0].test_accuracy &&
              a->end[29].test_accuracy != b->end[29].test_accuracy);
    ck_assert(!memcmp(a->w, b->w, sizeof a->w)); /* the test part decides nothing */
    outcome q = {0};
    play_net(prepared(), data(), o, &q);
    ck_assert(q.end[0].test_accuracy == -1 && q.end[0].int8_accuracy >= 0);
}

/* What validation calls right is what training unlearns: the first epoch is the best, and its
 * weights are kept. */
static const float v_x[2][2] = {{1, 0}, {0, 1}};
static const int32_t v_y[2] = {0, 1}, t_y[2] = {1, 0};
static oct_fit_opts unlearning(void) {
    oct_fit_opts o = base();
    o.val = data_of(v_x, v_y, 2);
    o.lr = 0.05f;
    o.epochs = 100;
    return o;
}
static float best_weight(int i) {
    oct_net *net = net_of(oct_flatten_new(ctx));
    ck_ok(oct_net_load_weights(net, in_root("r/best.safetensors"), NULL, NULL));
    return oct_f32(weight(net))[i];
}
static void val(void) {
    fresh_root();
    outcome r = {0};
    oct_fit_opts o = unlearning();
    o.run = in_root("r");
    play_net(net_of(oct_flatten_new(ctx)), data_of(v_x, t_y, 2), o, &r);
    ck_ok(r.status);
    ck_assert_double_eq(r.end[0].val_accuracy, 1);
    ck_assert_double_eq(r.end[99].val_accuracy, 0);
    for (int i = 0; i < 4; i++) ck_assert_float_eq(best_weight(i), r.w_end[0][i / 2][i % 2]);
    ck_assert(best_weight(0) != r.w[0][0]);
    remove_root();
}
static void patience(void) {
    for (int p = 1; p < 4; p++) {
        outcome r = {0};
        oct_fit_opts o = unlearning();
        o.patience = p;
        play_net(net_of(oct_flatten_new(ctx)), data_of(v_x, t_y, 2), o, &r);
        ck_assert_int_eq(r.epochs, 1 + p);
        ck_assert(r.end[p].final && !r.end[p - 1].final);
    }
    for (int stop = 1; stop < 4; stop++) { /* the same over a resume */
        fresh_root();
        outcome r = {.stop_at = stop};
        oct_fit_opts o = unlearning();
        o.patience = 3;
        o.run = in_root("r");
        play_net(net_of(oct_flatten_new(ctx)), data_of(v_x, t_y, 2), o, &r);
        ck_assert_int_eq(r.status, OCT_ESTOPPED);
        o.resume = true;
        o.val = data_of(v_x, v_y, 2);
        r.stop_at = 0;
        play_net(net_of(oct_flatten_new(ctx)), data_of(v_x, t_y, 2), o, &r);
        ck_ok(r.status);
        ck_assert_int_eq(r.epochs, 4 - stop);
        /* and the best one's weights are still the first epoch's */
        const float first = best_weight(0);
        outcome whole = {0};
        o = unlearning();
        play_net(net_of(oct_flatten_new(ctx)), data_of(v_x, t_y, 2), o, &whole);
        ck_assert_float_eq(first, whole.w_end[0][0][0]);
    }
    remove_root();
}

/* Which images training and validation ask for. */
typedef struct asked {
    bool by[2][N];
    bool validating;
} asked;
static oct_status get(void *user, int64_t i, void *image, int32_t *label) {
    asked *a = user;
    a->by[a->validating][i] = true;
    memcpy(image, x[i], sizeof x[i]);
    *label = y[i];
    return OCT_OK;
}
static int note_end(void *user, const oct_fit_report *r) {
    asked *a = user;
    if (!r->epoch_end && r->step_in_epoch == r->steps_per_epoch) a->validating = true;
    return 0;
}
static void val_share(void) {
    for (int k = 1; k < 4; k++) {
        asked a = {{{false}}};
        const oct_input_desc in = {.channels = 1, .height = 1, .width = 2, .div = 1, .std = {1}};
        oct_data *d = oct_data_from_source(
            ctx, &(oct_data_source){.count = N, .dtype = OCT_F32, .get = get, .user = &a}, &in, 2);
        oct_fit_opts o = base();
        o.val_share = 0.25f * (float)k;
        o.progress = note_end;
        o.progress_user = &a;
        outcome r = {0};
        play_net(net_of(oct_flatten_new(ctx)), d, o, &r);
        ck_ok(r.status);
        int n[2] = {0, 0};
        for (int i = 0; i < N; i++) {
            n[0] += a.by[0][i];
            n[1] += a.by[1][i];
            ck_assert_msg(a.by[0][i] != a.by[1][i], "image %d is in both, or in none", i);
        }
        ck_assert_int_eq(n[1], 2 * k);
    }
}

/* ---- runs ---- */

static void seed(void) {
    oct_fit_opts o = base();
    o.batch = 1;
    o.epochs = 2;
    const outcome *own = play(o);
    o.seed = 1; /* the context's */
    const outcome *same = play(o);
    o.seed = 77;
    const outcome *other = play(o);
    ck_assert(!memcmp(own->w, same->w, sizeof own->w) &&
              memcmp(own->w, other->w, sizeof own->w) != 0);
}
static bool there(const char *name) { return !access(in_root(name), F_OK); }
static void run(void) {
    fresh_root();
    oct_fit_opts o = base();
    play(o);
    ck_assert(!there("r"));
    o.run = in_root("r");
    const outcome *r = play(o);
    oct_net *net = oct_run_load(ctx, in_root("r"), NULL);
    ck_not_null(net);
    ck_assert(!memcmp(weight(net)->data, r->w, sizeof r->w));
    ck_assert(there("r/config.json") && there("r/metrics.jsonl") && there("r/state.safetensors"));
}
static void resume(void) { /* behind run: its run is there */
    oct_fit_opts o = base();
    o.run = in_root("r");
    ck_assert_int_eq(oct_fit(net_of(oct_flatten_new(ctx)), data(), &o), OCT_EUSAGE);
    o.resume = true;
    o.epochs = 3;
    const outcome *r = play(o);
    ck_assert_int_eq(r->epochs, 2);
    ck_assert(r->step[0].resumed && !r->step[1].resumed && r->step[0].step == 2);
    o.run = NULL;
    o.resume = false;
    ck_assert(!memcmp(play(o)->w, r->w, sizeof r->w));
}
static void force(void) {
    oct_fit_opts o = base();
    o.run = in_root("r");
    o.force = true;
    oct_run_info info;
    play(o);
    ck_not_null(oct_run_load(ctx, in_root("r"), &info));
    ck_assert_int_eq(info.epoch, 1);
}
static bool config_has(const char *text) {
    static char bytes[8192];
    FILE *f = fopen(in_root("r/config.json"), "r");
    ck_assert(f != NULL);
    bytes[fread(bytes, 1, sizeof bytes - 1, f)] = 0;
    fclose(f);
    return strstr(bytes, text) != NULL;
}
static void config(void) {
    oct_fit_opts o = base();
    o.run = in_root("r");
    o.force = true;
    o.config = "{\"mine\":42}";
    play(o);
    ck_assert(config_has("\"mine\":42") && config_has("\"lr\":0.1,") && config_has("\"warmup\":0"));
    o.force = false;
    o.resume = true;
    o.config = "{\"mine\":43}";
    ck_fails(OCT_EUSAGE, "mine", oct_fit(net_of(oct_flatten_new(ctx)), data(), &o));
}
typedef struct saved {
    int64_t step[32];
} saved;
static void look_at_run(oct_net *net, int step, void *to) {
    oct_run_info info;
    (void)net;
    oct_net *n = oct_run_load(ctx, in_root("r"), &info);
    ck_not_null(n);
    oct_net_free(n);
    ((saved *)to)->step[step] = info.step;
}
static saved saves(oct_fit_opts o) {
    saved s = {{0}};
    outcome r = {.look = look_at_run, .to = &s};
    o.batch = 1;
    o.run = in_root("r");
    o.force = true;
    play_net(net_of(oct_flatten_new(ctx)), data(), o, &r);
    ck_ok(r.status);
    return s;
}
static void save_steps(void) {
    for (int every = 0; every < 4; every++) {
        oct_fit_opts o = base();
        o.save_steps = every;
        saved s = saves(o);
        for (int i = 0; i < N; i++) ck_assert_int_eq(s.step[i], every ? i / every * every : 0);
    }
}
static void save_seconds(void) {
    oct_fit_opts o = base();
    o.save_seconds = 1e-9;
    saved s = saves(o);
    for (int i = 0; i < N; i++) ck_assert_int_eq(s.step[i], i);
    o.save_seconds = 1e6;
    ck_assert_int_eq(saves(o).step[N - 1], 0);
}
static int count_calls(void *user, const oct_fit_report *r) { return (void)r, ++*(int *)user == 3; }
static void progress(void) {
    int calls = 0;
    oct_fit_opts o = base();
    o.epochs = 5;
    o.progress = count_calls;
    o.progress_user = &calls;
    ck_assert_int_eq(oct_fit(net_of(oct_flatten_new(ctx)), data(), &o), OCT_ESTOPPED);
    ck_assert_int_ge(calls, 3);
    ck_assert_int_le(calls, 4);
}

/* ---- losses ---- */

static const double w_teacher[2][2] = {{1, -1}, {-0.5, 2}};
static void distilled(float temperature, float share, double t, double a) {
    oct_net *teacher = net_of(oct_flatten_new(ctx));
    for (int i = 0; i < 4; i++) oct_f32(weight(teacher))[i] = (float)w_teacher[i / 2][i % 2];
    double kl = 0, g[2][2];
    for (int i = 0; i < N; i++) { /* T^2 * KL(teacher || student) of the softened outputs */
        double z[2][2], p[2][2];
        for (int who = 0; who < 2; who++)
            for (int k = 0; k < 2; k++)
                z[who][k] = ((who ? w_teacher : w0)[k][0] * (double)x[i][0] +
                             (who ? w_teacher : w0)[k][1] * (double)x[i][1]) /
                            t;
        for (int who = 0; who < 2; who++)
            for (int k = 0; k < 2; k++)
                p[who][k] = exp(z[who][k]) / (exp(z[who][0]) + exp(z[who][1]));
        for (int k = 0; k < 2; k++) kl += t * t * p[1][k] * log(p[1][k] / p[0][k]) / N;
    }
    oct_fit_opts o = base();
    o.teacher = teacher;
    o.temperature = temperature;
    o.distill_weight = share;
    ck_assert_double_eq_tol(play(o)->step[0].train_loss,
                            a * kl + (1 - a) * by_hand(w0, x, y, N, 0, g), 1e-6);
}
static void teacher(void) { distilled(0, 0, 4, 0.5); }
static void temperature(void) { distilled(1, 0, 1, 0.5), distilled(8, 0, 8, 0.5); }
static void distill_weight(void) {
    distilled(0, 1, 4, 1), distilled(0, 0.25f, 4, 0.25), distilled(0, OCT_NONE, 4, 0);
}

static oct_var *squares(void *user, oct_var *out, const oct_batch *b) {
    ck_assert_ptr_eq(user, &ctx);
    static float zero[2 * N];
    ck_assert_int_eq(oct_s32(b->labels)[0] >= 0, 1);
    return oct_mse_loss(out, &(oct_tensor){OCT_F32, oct_var_value(out)->shape, zero, NULL});
}
static void loss(void) { /* mean square of the outputs: w goes to w - lr * w * mean(x x^T) */
    double e[2][2], sum = 0, xx[2][2] = {{0}};
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 4; k++)
            xx[k / 2][k % 2] += (double)x[i][k / 2] * (double)x[i][k % 2] / N;
    for (int k = 0; k < 2; k++)
        for (int c = 0; c < 2; c++)
            e[k][c] = w0[k][c] - 0.1 * (w0[k][0] * xx[0][c] + w0[k][1] * xx[1][c]);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 2; k++) {
            const double z = w0[k][0] * (double)x[i][0] + w0[k][1] * (double)x[i][1];
            sum += z * z / (2 * N);
        }
    oct_fit_opts o = base();
    o.loss = squares;
    o.loss_user = &ctx;
    o.test = data();
    const outcome *r = play(o);
    ck_assert_double_eq_tol(r->step[0].train_loss, sum, 1e-6);
    /* labels are there: it is still a classifier */
    ck_assert(r->end[0].test_loss < sum && r->end[0].test_accuracy >= 0);
    steps_are(r, e, 1e-6);
}

#define ROW(field)                                                                                 \
    { #field, field }
static void same_row(void) {}

/* in this order: resume, force and config go on with the run of run */
const option_row fit_set_rows[] = {ROW(test),
                                   ROW(val),
                                   ROW(val_share),
                                   ROW(patience),
                                   ROW(seed),
                                   ROW(run),
                                   ROW(resume),
                                   ROW(force),
                                   ROW(config),
                                   ROW(save_steps),
                                   ROW(save_seconds),
                                   ROW(progress),
                                   {"progress_user", same_row},
                                   ROW(teacher),
                                   ROW(temperature),
                                   ROW(distill_weight),
                                   ROW(loss),
                                   {"loss_user", same_row}};
const int fit_set_row_count = sizeof fit_set_rows / sizeof *fit_set_rows;
