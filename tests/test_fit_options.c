/* SPDX-License-Identifier: MIT
 * Every field of oct_fit_opts does what it says: rows of steps, schedules and switches; the others
 * are in fit_options_sets.c. */
#include "tests/fit_world.h"

oct_ctx *ctx;

/* One step: w0 + a * g + b * w0. */
static void one_step(oct_fit_opts o, double a, double b) {
    double g[2][2], e[2][2];
    by_hand(w0, x, y, N, 0, g);
    for (int i = 0; i < 4; i++)
        e[i / 2][i % 2] = w0[i / 2][i % 2] + a * g[i / 2][i % 2] + b * w0[i / 2][i % 2];
    steps_are(play(o), e, 1e-6);
}

/* ---- one function per field ---- */

static void epochs(void) {
    oct_fit_opts o = base();
    for (o.epochs = 1; o.epochs < 5; o.epochs++) ck_assert_int_eq(play(o)->epochs, o.epochs);
    o.epochs = 0;
    ck_assert_int_eq(play(o)->epochs, 10);
    outcome r = {0};
    play_net(prepared(), data(), o, &r);
    ck_assert_int_eq(r.epochs, 3);
}
static void batch(void) {
    static const int64_t sizes[] = {0, 1, 3, 4, 8, 100}, steps[] = {1, 8, 3, 2, 1, 1};
    for (int i = 0; i < 6; i++) {
        oct_fit_opts o = base();
        o.batch = sizes[i];
        const outcome *r = play(o);
        ck_assert_int_eq(r->reports, steps[i]);
        ck_assert_int_eq(r->end[0].steps_per_epoch, steps[i]);
    }
}
static void optimizer(void) {
    double g[2][2];
    by_hand(w0, x, y, N, 0, g);
    for (int k = 0; k < 4; k++) {
        double e[2][2];
        for (int i = 0; i < 4; i++) {
            const double d = g[i / 2][i % 2], w = w0[i / 2][i % 2];
            e[i / 2][i % 2] = k == 0   ? w - 0.1 * d
                              : k == 3 ? w - 0.1 * d / (sqrt(0.01 * d * d) + 1e-8)
                                       : w - 0.1 * d / (fabs(d) + 1e-8);
        }
        oct_fit_opts o = base();
        o.optimizer = (oct_optim_kind)k;
        steps_are(play(o), e, 2e-6);
    }
}
static void lr(void) {
    oct_fit_opts o = base();
    for (o.lr = 0.01f; o.lr < 1; o.lr *= 3) {
        one_step(o, -(double)o.lr, 0);
        ck_assert_double_eq(play(o)->end[0].lr, (double)o.lr);
    }
    for (int k = 0; k < 4; k++) { /* defaults, of float and of prepared nets */
        o.lr = 0;
        o.optimizer = (oct_optim_kind)k;
        ck_assert_double_eq_tol(play(o)->end[0].lr, k ? 0.001 : 0.05, 1e-8);
        outcome r = {0};
        play_net(prepared(), data(), o, &r);
        ck_assert_double_eq_tol(r.end[0].lr, k ? 0.0001 : 0.005, 1e-8);
    }
}
static void momentum(void) { /* nesterov: the first step is 1 + momentum of the gradient */
    oct_fit_opts o = base();
    one_step(o, -0.1, 0);
    o.momentum = 0;
    one_step(o, -0.1 * 1.9, 0);
    o.momentum = 0.5f;
    one_step(o, -0.1 * 1.5, 0);
    o.optimizer = OCT_OPTIM_RMSPROP; /* the second step has 1 + momentum of the first */
    o.epochs = 2;
    const outcome *r = play(o);
    o.momentum = OCT_NONE;
    const outcome *s = play(o);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq_tol((double)(r->w_end[1][i][0] - s->w_end[1][i][0]),
                                0.5 * (double)(r->w_end[0][i][0] - (float)w0[i][0]), 1e-5);
}
static void weight_decay(void) {
    oct_fit_opts o = base();
    o.weight_decay = 0.25f;
    one_step(o, -0.1, -0.1 * 0.25);
    o.weight_decay = 0;
    one_step(o, -0.1, -0.1 * 5e-4);
    o.weight_decay = OCT_NONE;
    one_step(o, -0.1, 0);
    double g[2][2];
    by_hand(w0, x, y, N, 0, g);
    o.optimizer = OCT_OPTIM_ADAMW; /* decoupled; 0.01 where nothing is said */
    o.weight_decay = 0;
    double e[2][2];
    for (int i = 0; i < 4; i++)
        e[i / 2][i % 2] =
            w0[i / 2][i % 2] * (1 - 0.1 * 0.01) - 0.1 * (g[i / 2][i % 2] > 0 ? 1 : -1);
    steps_are(play(o), e, 2e-6);
}
/* the step's length is lr * clip; a clip above the gradient's changes nothing */
static void clip_norm(void) {
    double g[2][2], norm = 0;
    by_hand(w0, x, y, N, 0, g);
    for (int i = 0; i < 4; i++) norm += g[i / 2][i % 2] * g[i / 2][i % 2];
    norm = sqrt(norm);
    oct_fit_opts o = base();
    o.clip_norm = (float)(norm / 4);
    one_step(o, -0.1 / 4, 0);
    o.clip_norm = (float)(norm * 4);
    one_step(o, -0.1, 0);
}
static void smoothing(void) {
    double g[2][2];
    for (int k = 0; k < 4; k++) {
        oct_fit_opts o = base();
        o.smoothing = 0.2f * (float)k;
        const outcome *r = play(o);
        ck_assert_double_eq_tol(r->step[0].train_loss, by_hand(w0, x, y, N, (double)o.smoothing, g),
                                1e-6);
    }
}
static double at(const char *kind, int step, int total, int warm) {
    if (step < warm && strcmp(kind, "onecycle")) return (step + 1.0) / (warm + 1.0);
    if (!strcmp(kind, "cosine")) return (1 + cos(M_PI * (step - warm) / (total - warm))) / 2;
    if (!strcmp(kind, "step")) return step < total / 2 ? 1 : step < total * 3 / 4 ? 0.1 : 0.01;
    if (!strcmp(kind, "onecycle")) {
        const double up = 0.3 * total - 1, down = total - up - 1;
        return step <= up ? 0.04 + (1 - 0.04) * (1 - cos(M_PI * step / up)) / 2
                          : 4e-6 + (1 - 4e-6) * (1 + cos(M_PI * (step - up) / down)) / 2;
    }
    return 1;
}
static void rates(oct_fit_opts o, const char *kind, int warm) {
    const int total = 2 * o.epochs;
    o.batch = 4;
    const outcome *r = play(o);
    ck_assert_int_eq(r->reports, total);
    for (int i = 0; i < total; i++)
        ck_assert_msg(fabs(r->step[i].lr - 0.1 * at(kind, i, total, warm)) < 1e-7,
                      "%s, step %d of %d, warm-up %d: %g, by hand %g", kind, i, total, warm,
                      r->step[i].lr, 0.1 * at(kind, i, total, warm));
}
static void schedule(void) {
    static const oct_schedule_kind kinds[] = {OCT_SCHEDULE_CONSTANT, OCT_SCHEDULE_COSINE,
                                              OCT_SCHEDULE_STEP, OCT_SCHEDULE_ONE_CYCLE};
    for (int k = 0; k < 4; k++) {
        oct_fit_opts o = base();
        o.schedule = kinds[k];
        o.epochs = 10;
        o.warmup = OCT_NONE;
        rates(o, oct_schedule_kind_name(kinds[k]), 0);
    }
    oct_fit_opts o = base();
    o.schedule = (oct_schedule_kind)0; /* the default */
    o.warmup = OCT_NONE;
    rates(o, "cosine", 0);
}
static void warmup(void) { /* two steps an epoch; milestones stay where they are behind it */
    static const oct_schedule_kind kinds[] = {OCT_SCHEDULE_CONSTANT, OCT_SCHEDULE_COSINE,
                                              OCT_SCHEDULE_STEP, OCT_SCHEDULE_ONE_CYCLE};
    for (int k = 0; k < 4; k++)
        for (int warm = 0; warm < 5; warm++) {
            oct_fit_opts o = base();
            o.schedule = kinds[k];
            o.epochs = 10;
            o.warmup = warm ? 0.5f * (float)warm : OCT_NONE;
            rates(o, oct_schedule_kind_name(kinds[k]), warm);
        }
    oct_fit_opts o = base(); /* the default: the first epoch, at most three tenths */
    o.schedule = OCT_SCHEDULE_COSINE;
    const int of_epochs[][2] = {{10, 2}, {5, 2}, {3, 1}, {2, 1}, {1, 0}}, count = 5;
    for (int k = 0; k < count; k++) {
        o.epochs = of_epochs[k][0];
        rates(o, "cosine", of_epochs[k][1]);
    }
}
/* One image, a rate that moves nothing: the losses of the epochs are those of the image and of its
 * mirror image, or of dropout. */
static int different_losses(oct_module *first, uint32_t augment) {
    outcome r = {0};
    oct_fit_opts o = base();
    o.lr = 1e-9f;
    o.epochs = 16;
    o.augment = augment;
    play_net(net_of(first), data_of(x, y, 1), o, &r);
    ck_ok(r.status);
    int n = 0;
    for (int i = 0; i < 16; i++) {
        int k = 0;
        while (k < i && fabs(r.end[k].train_loss - r.end[i].train_loss) > 1e-6) k++;
        n += k == i;
    }
    return n;
}
static void augment(void) {
    ck_assert_int_eq(different_losses(oct_flatten_new(ctx), OCT_AUGMENT_DEFAULT), 1);
    ck_assert_int_eq(different_losses(oct_flatten_new(ctx), OCT_AUGMENT_NONE), 1);
    /* not the same in every epoch */
    ck_assert_int_eq(different_losses(oct_flatten_new(ctx), OCT_AUGMENT_FLIP), 2);
    oct_module *parts[] = {oct_flatten_new(ctx), oct_dropout_new(ctx, 0.5f)};
    /* of 4: neither is dropout */
    ck_assert_int_ge(different_losses(oct_sequential_new(ctx, parts, 2), OCT_AUGMENT_DEFAULT), 3);
}

typedef struct switches {
    bool observing[32], frozen[32];
} switches;
static void look_at_switches(oct_net *net, int step, void *to) {
    switches *s = to;
    for (int32_t i = 0; i < net->graph->quantizer_count; i++) {
        const oct_quantizer *q = &net->graph->quantizers[i];
        if (q->enabled && q->spec.qmin >= 0) s->observing[step] = oct_u8(q->enabled)[0];
    }
    s->frozen[step] = oct_net_batch_norm_frozen(net);
}
static switches switches_of(oct_fit_opts o) {
    switches s = {{false}};
    outcome r = {.look = look_at_switches, .to = &s};
    o.batch = 1;
    oct_net *q = prepared();
    ck_ok(oct_calibrate(q, data(), N)); /* so that nothing observed in training is enough, too */
    play_net(q, data(), o, &r);
    ck_ok(r.status);
    ck_assert_int_eq(r.reports, N);
    return s;
}
static void observe_until(void) {
    const float until[] = {0.25f, 0.75f, 0, 1, OCT_NONE};
    const int steps[] = {2, 6, 4, 8, 0};
    for (int k = 0; k < 5; k++) {
        oct_fit_opts o = base();
        o.observe_until = until[k];
        switches s = switches_of(o);
        for (int i = 0; i < N; i++)
            ck_assert_msg(s.observing[i] == (i < steps[k]), "observe_until %g, step %d",
                          (double)until[k], i);
    }
}
static void batch_norm_until(void) {
    const float until[] = {0.25f, 0.75f, 0, 1, OCT_NONE};
    const int steps[] = {2, 6, 6, 8, 0}; /* 2/3 of 8: behind the sixth */
    for (int k = 0; k < 5; k++) {
        oct_fit_opts o = base();
        o.batch_norm_until = until[k];
        switches s = switches_of(o);
        for (int i = 0; i < N; i++)
            ck_assert_msg(s.frozen[i] == (i >= steps[k]), "batch_norm_until %g, step %d",
                          (double)until[k], i);
    }
}
/* Batch norm on the input: estimated anew it has the mean of the images (all of one value); the
 * moving average lags behind. */
static float running_mean(int64_t images) {
    static const float ones[N][2] = {{1, 1}, {1, 1}, {1, 1}, {1, 1},
                                     {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    oct_module *first[] = {oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 1}),
                           oct_flatten_new(ctx)};
    oct_net *net = net_of(oct_sequential_new(ctx, first, 2));
    oct_data *d = data_of(ones, y, N);
    ck_ok(oct_net_describe(net, d));
    oct_net *q = oct_prepare(net, &(oct_qconfig){.all_layers = true});
    ck_not_null(q);
    outcome r = {0};
    oct_fit_opts o = base();
    o.batch = 2;
    o.lr = 1e-9f;
    o.batch_norm_until = 0.5f;
    o.bn_images = images;
    play_net(q, d, o, &r);
    ck_ok(r.status);
    return oct_f32(oct_net_tensor(q, "0.0.running_mean"))[0];
}
static void bn_images(void) {
    ck_assert_float_eq_tol(running_mean(0), 1, 1e-2f);
    ck_assert_float_eq_tol(running_mean(4), 1, 1e-2f);
    /* two steps, momentum 0.1 */
    ck_assert_float_eq_tol(running_mean(OCT_NONE), 1 - 0.9f * 0.9f, 1e-2f);
}
static void oscillation(void) {
    outcome r[4];
    for (int k = 0; k < 4; k++) {
        r[k] = (outcome){0};
        oct_fit_opts o = base();
        o.epochs = 8;
        o.oscillation = (oct_oscillation_mode)k;
        play_net(prepared(), data(), o, &r[k]);
        ck_ok(r[k].status);
        ck_assert(k ? r[k].end[0].oscillating >= 0 : r[k].end[0].oscillating == -1);
    }
    /* measuring moves nothing */
    ck_assert(!memcmp(r[0].w, r[1].w, sizeof r[0].w));
    ck_assert(memcmp(r[0].w, r[2].w, sizeof r[0].w) != 0);
}
static void oscillation_end(void) {
    const float ends[] = {0, 0.1f, 10, 1e-8f};
    outcome r[4], off = {0};
    oct_fit_opts o = base();
    o.epochs = 4;
    play_net(prepared(), data(), o, &off);
    o.oscillation = OCT_OSCILLATION_DAMP;
    for (int k = 0; k < 4; k++) {
        r[k] = (outcome){0};
        o.oscillation_end = ends[k];
        play_net(prepared(), data(), o, &r[k]);
    }
    ck_assert(!memcmp(r[0].w, r[1].w, sizeof r[0].w)); /* 0: 0.1 */
    ck_assert(memcmp(r[1].w, r[2].w, sizeof r[0].w) != 0);
    for (int i = 0; i < 4; i++)
        ck_assert_float_eq_tol(r[3].w[i / 2][i % 2], off.w[i / 2][i % 2], 1e-6f);
}

#define ROW(field)                                                                                 \
    { #field, field }

START_TEST(every_option_of_fit) {
    option_row rows[64] = {
        ROW(epochs),           ROW(batch),        ROW(optimizer),   ROW(lr),
        ROW(momentum),         ROW(weight_decay), ROW(clip_norm),   ROW(smoothing),
        ROW(schedule),         ROW(warmup),       ROW(augment),     ROW(observe_until),
        ROW(batch_norm_until), ROW(bn_images),    ROW(oscillation), ROW(oscillation_end)};
    int n = 0;
    while (rows[n].field) n++;
    memcpy(rows + n, fit_set_rows, (size_t)fit_set_row_count * sizeof *rows);
    ctx = oct_open(&(oct_opts){.threads = 1});
    check_options("qat/fit/fit.h", "oct_fit_opts", rows, n + fit_set_row_count);
    remove_root();
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("fit_options", every_option_of_fit)
