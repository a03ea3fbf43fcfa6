/* SPDX-License-Identifier: MIT
 * Patience and the best model, from what each epoch reports, worked out again: better after worse,
 * equals, the end before the end. */
#include "tests/oct_test.h"

#include <string.h>

#include "octet.h"
#include "tests/temp_folder.h"

enum { EPOCHS = 14, PATIENCE = 3, SOME = 40 };

typedef struct seen {
    oct_net *net;
    int n, stop_at;
    double val[EPOCHS + 4];
    bool final[EPOCHS + 4];
    float w[EPOCHS + 4][SOME];
} seen;

static int watch(void *user, const oct_fit_report *r) {
    seen *s = user;
    if (!r->epoch_end) return 0;
    ck_assert_int_eq(r->epoch, s->n + 1);
    s->val[s->n] = r->val_accuracy;
    s->final[s->n] = r->final;
    memcpy(s->w[s->n++], oct_net_tensor(s->net, "1.weight")->data, sizeof s->w[0]);
    return s->n == s->stop_at;
}

static oct_net *small_net(oct_ctx *ctx, oct_data *d) {
    oct_module *parts[] = {oct_flatten_new(ctx),
                           oct_linear_new(ctx, &(oct_linear_opts){.in = 784, .out = 10})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    ck_ok(oct_net_describe(net, d));
    return net;
}

START_TEST(patience_by_the_reports) {
    int after_worse = 0, equal = 0, early = 0;
    for (uint64_t seed = 1; seed <= 4; seed++)
        for (int stop = 0; stop < 8; stop++) { /* 0: whole; else gone on with behind that epoch */
            oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .seed = seed});
            oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 120});
            fresh_root();
            char run[160];
            snprintf(run, sizeof run, "%s", in_root("r"));
            static seen s;
            s = (seen){.net = small_net(ctx, d), .stop_at = stop};
            oct_fit_opts o = {.epochs = EPOCHS,
                              .batch = 16,
                              .lr = 0.3f,
                              .schedule = OCT_SCHEDULE_CONSTANT,
                              .warmup = OCT_NONE,
                              .val_share = 0.25f,
                              .patience = PATIENCE,
                              .run = run,
                              .progress = watch,
                              .progress_user = &s};
            oct_status st = oct_fit(s.net, d, &o);
            if (stop && st == OCT_ESTOPPED) {
                s.net = small_net(ctx, d);
                s.stop_at = 0;
                o.resume = true;
                st = oct_fit(s.net, d, &o);
            }
            ck_ok(st);
            double best = -1;
            int stale = 0, best_at = 0, end = EPOCHS;
            for (int e = 0; e < s.n && end == EPOCHS; e++) {
                const bool better = s.val[e] > best;
                after_worse += better && stale;
                equal += !better && s.val[e] == best;
                stale = better ? 0 : stale + 1;
                if (better) best = s.val[e], best_at = e;
                if (stale == PATIENCE) end = e + 1;
            }
            early += end < EPOCHS;
            ck_assert_int_eq(s.n, end);
            for (int e = 0; e < s.n; e++) ck_assert(s.final[e] == (e == end - 1));
            oct_net *kept = small_net(ctx, d);
            ck_ok(oct_net_load_weights(kept, octi_fmt("%s/best.safetensors", run), NULL, NULL));
            ck_assert_msg(
                !memcmp(oct_net_tensor(kept, "1.weight")->data, s.w[best_at], sizeof s.w[0]),
                "seed %d: best.safetensors is not of epoch %d", (int)seed, best_at + 1);
            if (end < EPOCHS) { /* done is done, until more epochs are asked for */
                o.resume = true;
                for (int more = 0; more < 4; more += 2) {
                    o.epochs = EPOCHS + more;
                    s.net = small_net(ctx, d);
                    ck_ok(oct_fit(s.net, d, &o));
                    ck_assert(more ? s.n > end : s.n == end);
                }
            }
            oct_close(ctx);
        }
    remove_root();
    printf("%d times better after worse, %d equal to the best, %d early ends\n", after_worse, equal,
           early);
    ck_assert(after_worse > 1 && equal > 1 && early > 1);
}
END_TEST

OCT_TEST_MAIN("patience", patience_by_the_reports)
