/* SPDX-License-Identifier: MIT
 * tests/fit_world.h - the smallest training: a net of four weights on eight images, whose losses
 * and gradients are worked out by hand; for the rows of test_fit_options. */
#ifndef OCT_TESTS_FIT_WORLD_H
#define OCT_TESTS_FIT_WORLD_H

#include "tests/option_rows.h"
#include "tests/temp_folder.h"

#include <math.h>

#include "octet.h"

enum { N = 8, MOST = 512 };
static const float x[N][2] = {{1, 0.5f}, {-0.5f, 1},   {0.75f, -1}, {2, 0.25f},
                              {-1, -1},  {0.5f, 1.5f}, {1.25f, 1},  {-2, 0.5f}};
static const int32_t y[N] = {0, 1, 1, 0, 1, 0, 0, 1};
static const double w0[2][2] = {{0.3, -0.2}, {0.1, 0.4}};

typedef struct outcome {
    oct_status status;
    float w[2][2];
    int reports, epochs;
    oct_fit_report step[MOST], end[MOST]; /* behind each step, at each epoch's end */
    float w_end[MOST][2][2];
    void (*look)(oct_net *net, int step, void *to); /* behind each step */
    void *to;
    int stop_at; /* epochs, 0: never */
    oct_net *net;
} outcome;

static inline oct_tensor *weight(const oct_net *net) { return oct_net_tensor(net, "1.weight"); }

static inline int record(void *user, const oct_fit_report *r) {
    outcome *o = user;
    if (r->epoch_end) {
        o->end[o->epochs] = *r;
        memcpy(o->w_end[o->epochs++], weight(o->net)->data, sizeof o->w);
        return o->stop_at && o->epochs >= o->stop_at;
    }
    if (o->look) o->look(o->net, o->reports, o->to);
    o->step[o->reports++] = *r;
    return 0;
}

extern oct_ctx *ctx;

static inline oct_data *data_of(const float (*images)[2], const int32_t *labels, int n) {
    return oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(n, 1, 2, 1), images, labels,
                                &(oct_array_opts){.classes = 2});
}
static inline oct_data *data(void) { return data_of(x, y, N); }

static inline oct_net *net_of(oct_module *first) {
    oct_module *parts[] = {
        first, oct_linear_new(ctx, &(oct_linear_opts){.in = 2, .out = 2, .no_bias = true})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(1, 2, 1));
    ck_not_null(net);
    for (int i = 0; i < 4; i++) oct_f32(weight(net))[i] = (float)w0[i / 2][i % 2];
    return net;
}

static inline oct_net *prepared(void) {
    oct_net *net = net_of(oct_flatten_new(ctx));
    ck_ok(oct_net_describe(net, data()));
    oct_net *q = oct_prepare(net, &(oct_qconfig){.wbits = 3, .abits = 8, .all_layers = true});
    ck_not_null(q);
    return q;
}

/* Train it; the caller's progress, or ours. */
static inline void play_net(oct_net *net, oct_data *d, oct_fit_opts o, outcome *r) {
    r->net = net;
    r->reports = r->epochs = 0;
    if (!o.progress) o.progress = record, o.progress_user = r;
    r->status = oct_fit(net, d, &o);
    memcpy(r->w, weight(net)->data, sizeof r->w);
}
static inline outcome *play(oct_fit_opts o) {
    static outcome r[4];
    static int turn;
    outcome *to = &r[turn++ % 4];
    *to = (outcome){0};
    play_net(net_of(oct_flatten_new(ctx)), data(), o, to);
    ck_assert_msg(to->status == OCT_OK, "%s", oct_error_message());
    return to;
}

/* ---- by hand ---- */

/* Mean cross entropy of n images and its gradient. */
static inline double by_hand(const double w[2][2], const float (*images)[2], const int32_t *labels,
                             int n, double smoothing, double g[2][2]) {
    double loss = 0;
    memset(g, 0, 4 * sizeof g[0][0]);
    for (int i = 0; i < n; i++) {
        double z[2], p[2];
        for (int k = 0; k < 2; k++)
            z[k] = w[k][0] * (double)images[i][0] + w[k][1] * (double)images[i][1];
        for (int k = 0; k < 2; k++) p[k] = exp(z[k]) / (exp(z[0]) + exp(z[1]));
        for (int k = 0; k < 2; k++) {
            const double target = smoothing / 2 + (labels[i] == k ? 1 - smoothing : 0);
            loss -= target * log(p[k]) / n;
            for (int c = 0; c < 2; c++) g[k][c] += (p[k] - target) * (double)images[i][c] / n;
        }
    }
    return loss;
}

static inline void steps_are(const outcome *r, const double expected[2][2], double tolerance) {
    for (int i = 0; i < 4; i++)
        ck_assert_msg(fabs((double)r->w[i / 2][i % 2] - expected[i / 2][i % 2]) < tolerance,
                      "weight %d: %g, by hand %g", i, (double)r->w[i / 2][i % 2],
                      expected[i / 2][i % 2]);
}

static const oct_fit_opts plain = {.epochs = 1,
                                   .lr = 0.1f,
                                   .momentum = OCT_NONE,
                                   .weight_decay = OCT_NONE,
                                   .schedule = OCT_SCHEDULE_CONSTANT};
static inline oct_fit_opts base(void) { return plain; }

/* Rows of sets, runs and losses (fit_options_sets.c). */
extern const option_row fit_set_rows[];
extern const int fit_set_row_count;

#endif
