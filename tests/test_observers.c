/* SPDX-License-Identifier: MIT
 * Observers by themselves: state that does not depend on order or cut, searches against exhaustive
 * ones, degenerate ranges. */
#include "tests/observe_fix.h"

#include <float.h>

#include "src/arena.h"
#include "src/mem.h"
#include "tests/random_net.h"

static const char *const searching[] = {"histogram", "mse", "mae", "entropy", "percentile"};

/* Values of wildly different sizes, special ones among them. */
static float *wild(uint32_t key, int64_t n, int kind) {
    float *x = malloc((size_t)n * sizeof *x);
    octi_rng r = octi_rng_stream(7, OCTI_RNG_TEST, key, 0);
    static const float special[] = {0.0f, -0.0f, 1e-45f,  -1e-45f, FLT_MIN,
                                    1.0f, -1.0f, 2048.0f, 2047.0f};
    for (int64_t i = 0; i < n; i++) {
        float v = octi_rng_normal(&r);
        if (kind == 1) v = fabsf(v) * (octi_rng_below(&r, 2) ? 1 : 0); /* behind a relu */
        if (kind == 2) v = ldexpf(v, (int)octi_rng_below(&r, 60) - 30);
        if (kind == 3) v = octi_rng_below(&r, 500) ? v : 70 * v;
        if (kind == 4) v = -fabsf(v) - 3;
        float s = special[octi_rng_below(&r, sizeof special / sizeof *special)];
        x[i] = octi_rng_below(&r, 16) || kind == 4 ? v
               : kind == 1                         ? fabsf(s) / 2048
               : kind == 2                         ? s
                                                   : s / 1024;
    }
    return x;
}

static bool same_state(const watch *a, const watch *b) {
    for (int i = 0; i < a->q.state_count; i++)
        if (memcmp(a->q.state[i]->data, b->q.state[i]->data, oct_tensor_bytes(a->q.state[i])))
            return false;
    return true;
}

START_TEST(no_order_no_cut_no_thread_changes_a_byte) {
    oct_ctx *ctx[] = {oct_open(&(oct_opts){.threads = 1}), oct_open(&(oct_opts){.threads = 4})};
    enum { N = 150000 };
    for (int kind = 0; kind < 5; kind++) {
        float *x = wild((uint32_t)kind, N, kind), *y = malloc(N * sizeof *y);
        memcpy(y, x, N * sizeof *y);
        y[5] = x[5] = NAN, y[77] = x[77] = INFINITY, y[78] = x[78] = -INFINITY;
        watch whole = watch_new(ctx[1], "histogram", oct_qspec_activation(8, false));
        ck_ok(watch_see(&whole, x, N));
        ck_assert_int_eq(oct_s64(whole.q.state[1])[OCTI_GRID_DROPPED], 3);
        ck_assert_int_eq(oct_s64(whole.q.state[1])[OCTI_GRID_COUNT], N - 3);
        octi_rng r = octi_rng_stream(8, OCTI_RNG_TEST, (uint32_t)kind, 0);
        for (int turn = 0; turn < 4; turn++) {
            for (int64_t i = N - 1; i > 0; i--) {
                int64_t k = octi_rng_below(&r, (uint32_t)i + 1);
                float t = y[i];
                y[i] = y[k];
                y[k] = t;
            }
            watch cut = watch_new(ctx[turn & 1], "histogram", oct_qspec_activation(8, false));
            for (int64_t at = 0, n; at < N; at += n) {
                n = turn == 3 ? 1 + octi_rng_below(&r, 3) : 1 + octi_rng_below(&r, 60000);
                if (n > N - at) n = N - at;
                ck_ok(watch_see(&cut, y + at, n));
            }
            ck_assert_msg(same_state(&whole, &cut), "kind %d, turn %d", kind, turn);
        }
        /* and the counts are what the definition says */
        const int64_t *grid = oct_s64(whole.q.state[1]);
        int64_t want[OCTI_BINS] = {0}, zeros = 0;
        for (int64_t i = 0; i < N; i++) {
            if (!isfinite(x[i])) continue;
            int64_t k = (int64_t)floor(ldexp((double)x[i], (int)-grid[OCTI_GRID_EXPONENT])) -
                        grid[OCTI_GRID_FIRST];
            ck_assert(k >= 0 && k < OCTI_BINS);
            want[k]++;
            zeros += x[i] == 0;
        }
        ck_assert(!memcmp(want, oct_s64(whole.q.state[0]), sizeof want));
        ck_assert_int_eq(grid[OCTI_GRID_ZEROS], zeros);
        free(x);
        free(y);
    }
    oct_close(ctx[0]);
    oct_close(ctx[1]);
}
END_TEST

/* ---- searches ---- */

static oct_observing observing_of(const watch *w) {
    return (oct_observing){.ctx = w->ctx,
                           .value = "v",
                           .spec = &w->q.spec,
                           .state = {w->q.state[0], w->q.state[1], w->q.state[2]}};
}

static double true_error(const float *x, int64_t n, const oct_qspec *spec, float lo, float hi) {
    float s;
    int32_t z;
    ck_ok(oct_qparams_from_range(spec, lo, hi, "t", &s, &z));
    double e = 0;
    for (int64_t i = 0; i < n; i++) {
        double q = fmin(fmax(rint((double)x[i] / s) + z, spec->qmin), spec->qmax),
               d = (double)x[i] - s * (q - z);
        e += d * d;
    }
    return e;
}

/* The closed form over bins against 64 points in each bin. */
START_TEST(error_of_a_range_is_the_integral) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int kind = 0; kind < 5; kind++) {
        if (kind == 2) continue;
        float *x = wild((uint32_t)kind, 20000, kind);
        watch w = watch_new(ctx, "histogram", oct_qspec_activation(8, false));
        ck_ok(watch_see(&w, x, 20000));
        free(x);
        octi_density d;
        bool empty;
        oct_observing o = observing_of(&w);
        ck_ok(octi_density_of(&o, &d, &empty));
        const oct_qspec specs[] = {oct_qspec_activation(8, false),
                                   oct_qspec_activation(3, true),
                                   {.bits = 8, .qmax = 255, .symmetric = true}};
        for (int k = 0; k < 9; k++) {
            const oct_qspec *spec = &specs[k % 3];
            float lo = fminf(d.min, 0) * (1 - 0.3f * (float)(k / 3)),
                  hi = fmaxf(d.max, 0) * (1 - 0.2f * (float)(k / 3)), s;
            int32_t z;
            ck_ok(oct_qparams_from_range(spec, lo, hi, "t", &s, &z));
            double want = 0, sizes = 0;
            for (int b = 0; b < d.bins; b++)
                for (int p = 0; d.count[b] && p < 64; p++) {
                    double v = (d.edge[b] + (d.edge[b + 1] - d.edge[b]) * (p + 0.5) / 64) * d.width;
                    double q = fmin(fmax(rint(v / s) + z, spec->qmin), spec->qmax),
                           e = (v - s * (q - z)) / d.width;
                    want += (double)d.count[b] / 64 * e * e;
                    sizes += (double)d.count[b] / 64 * fabs(e);
                }
            double got = octi_density_error(&d, spec, lo, hi);
            ck_assert_msg(fabs(got - want) <= 0.01 * want + 1e-6,
                          "kind %d, case %d: %g, expected %g", kind, k, got, want);
            got = octi_density_absolute_error(&d, spec, lo, hi);
            ck_assert_msg(fabs(got - sizes) <= 0.01 * sizes + 1e-6,
                          "kind %d, case %d: size %g, expected %g", kind, k, got, sizes);
        }
    }
    oct_close(ctx);
}
END_TEST

/* Every pair of edges, which takes long: 3 bits and data that use a part of the bins. */
START_TEST(least_error_is_the_exhaustive_one) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    enum { N = 30000 };
    for (int kind = 0; kind < 5; kind++)
        for (int bits = 2; bits <= 4; bits += 2) {
            if (kind == 2) continue;
            float *x = wild(20 + (uint32_t)kind, N, kind), lo, hi;
            watch w = watch_new(ctx, "histogram", oct_qspec_activation(bits, false)),
                  m = watch_new(ctx, "mse", oct_qspec_activation(bits, false));
            ck_ok(watch_see(&w, x, N));
            ck_ok(watch_see(&m, x, N));
            octi_density d;
            bool empty;
            oct_observing o = observing_of(&w);
            octi_arena_mark mark = octi_arena_save(octi_ctx_scratch(ctx));
            ck_ok(octi_density_of(&o, &d, &empty));
            const double whole = octi_density_error(&d, &w.q.spec, d.min, d.max);
            double least = whole;
            /* every 4th edge of two-signed data, every edge of the others */
            const int step = d.min < 0 && d.max > 0 ? 4 : 1;
            for (int a = d.min < 0 ? d.first : 0; a <= 0; a += step)
                for (int b = d.first + d.bins; b >= 0; b -= step)
                    if (a < 0 || b > 0)
                        least = fmin(least, octi_density_error(&d, &w.q.spec, (float)(a * d.width),
                                                               (float)(b * d.width)));
            ck_assert(watch_range(&w, &lo, &hi));
            const double got = octi_density_error(&d, &w.q.spec, lo, hi);
            ck_assert_msg(got <= least * 1.0000001,
                          "kind %d, %d bits: [%g, %g] has %g, another pair %g, the whole range %g",
                          kind, bits, lo, hi, got, least, whole);
            ck_assert(got <= whole);
            float mlo, mhi;
            ck_assert(watch_range(&m, &mlo, &mhi));
            /* each end by itself: never worse */
            ck_assert(got <= octi_density_error(&d, &w.q.spec, mlo, mhi));
            ck_assert(octi_density_error(&d, &w.q.spec, mlo, mhi) <= whole);
            octi_arena_rewind(octi_ctx_scratch(ctx), mark);
            /* on the values themselves, not on bins: better than the whole range where it
             * matters */
            if (kind == 3) {
                double mine = true_error(x, N, &w.q.spec, lo, hi),
                       all = true_error(x, N, &w.q.spec, d.min, d.max);
                ck_assert_msg(mine < (bits == 2 ? 0.9 : 1.0) * all,
                              "%d bits: [%g, %g] has %g, the whole range %g", bits, lo, hi, mine,
                              all);
            }
            free(x);
        }
    oct_close(ctx);
}
END_TEST

/* Skewed outliers: the two ends want different shares, so histogram beats mse. */
START_TEST(each_end_moves_by_itself) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    enum { N = 40000 };
    float *x = wild(3, N, 0), lo, hi, mlo, mhi;
    for (int i = 0; i < N; i += 1000) x[i] = 120 + (float)i / N;
    watch w = watch_new(ctx, "histogram", oct_qspec_activation(4, false)),
          m = watch_new(ctx, "mse", oct_qspec_activation(4, false));
    ck_ok(watch_see(&w, x, N));
    ck_ok(watch_see(&m, x, N));
    ck_assert(watch_range(&w, &lo, &hi) && watch_range(&m, &mlo, &mhi));
    ck_assert(true_error(x, N, &w.q.spec, lo, hi) <= true_error(x, N, &w.q.spec, mlo, mhi));
    free(x);
    oct_close(ctx);
}
END_TEST

/* Data in [0, 1], and one value in 10,000 far off, all of them at one place or spread: cut at the
 * data's end, whatever lies between. Least squared error keeps them: to cut costs 1e-4 * far^2, to
 * keep (far / 255)^2 / 12, 78 times less. */
START_TEST(lonely_outliers_are_cut_by_entropy_percentile_and_mae) {
    static const char *const cut[] = {"entropy", "percentile", "mae"}, *const keep[] = {
                                                                           "minmax", "mse",
                                                                           "histogram"};
    enum { N = 200000 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    float *x = malloc(N * sizeof *x);
    /* 50 or 100 times; one place or spread; one side or both */
    for (int kind = 0; kind < 8; kind++) {
        const float far = kind & 1 ? 100 : 50;
        octi_rng r = octi_rng_stream(70, OCTI_RNG_TEST, (uint32_t)kind, 0);
        for (int i = 0; i < N; i++) {
            const float u = octi_rng_uniform(&r), v = octi_rng_uniform(&r);
            x[i] = i % 10007 ? sqrtf(u * v) : far * (kind & 2 ? 1 + v : 1);
            if (kind & 4 && i % 2) x[i] = -x[i];
        }
        for (int k = 0; k < 3; k++) {
            float lo, hi;
            watch w = watch_new(ctx, cut[k], oct_qspec_activation(8, false));
            ck_ok(watch_see(&w, x, N));
            ck_assert(watch_range(&w, &lo, &hi));
            ck_assert_msg(hi > 0.5f && hi < 4.0f && lo > -4.0f, "kind %d: %s has [%g, %g]", kind,
                          cut[k], lo, hi);
            w = watch_new(ctx, keep[k], oct_qspec_activation(8, false));
            ck_ok(watch_see(&w, x, N));
            ck_assert(watch_range(&w, &lo, &hi));
            ck_assert_msg(hi > 0.9f * far, "kind %d: %s has [%g, %g]", kind, keep[k], lo, hi);
        }
    }
    free(x);
    oct_close(ctx);
}
END_TEST

/* All but one inside the first bin: the last candidate of the search, one bin, is the best. */
START_TEST(a_range_may_shrink_to_one_bin) {
    enum { N = 10001 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    static float x[N];
    for (int i = 0; i < N - 1; i++) x[i] = (0.5f + (float)i) / N;
    x[N - 1] = 2047.5f; /* bins are 1 wide */
    float lo, hi;
    watch w = watch_new(ctx, "mae", oct_qspec_activation(8, false));
    ck_ok(watch_see(&w, x, N));
    ck_assert(watch_range(&w, &lo, &hi));
    ck_assert_msg(lo == 0 && hi == 1, "[%g, %g]", lo, hi);
    oct_close(ctx);
}
END_TEST

START_TEST(percentile_leaves_out_what_it_says) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    enum { N = 100000 };
    for (int kind = 0; kind < 5; kind++)
        for (int k = 0; k < 4; k++) {
            static const float percents[] = {99.99f, 99.0f, 90.0f, 100.0f};
            if (kind == 2) continue;
            float *x = wild(60 + (uint32_t)kind, N, kind), lo, hi;
            watch w = watch_new(ctx, "percentile", oct_qspec_activation(8, false));
            w.q.percentile = percents[k];
            ck_ok(watch_see(&w, x, N));
            ck_assert(watch_range(&w, &lo, &hi));
            int64_t outside = 0, below = 0;
            for (int i = 0; i < N; i++) {
                outside += x[i] < lo || x[i] > hi;
                below += x[i] < lo;
            }
            const double cut = N * (1 - (double)percents[k] / 100);
            ck_assert_msg((double)outside <= cut + 0.5, "kind %d, %g: %d outside", kind,
                          (double)percents[k], (int)outside);
            if (kind == 3) ck_assert((double)below <= cut / 2 + 0.5);
            if (k == 2 && kind != 3)
                ck_assert_msg((double)outside > 0.5 * cut, "kind %d: only %d outside", kind,
                              (int)outside);
            if (k == 3) ck_assert_int_eq(outside, 0);
            free(x);
        }
    oct_close(ctx);
}
END_TEST

/* ---- degenerate ranges, for every observer that moves ---- */

START_TEST(degenerate_ranges_are_defined) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    static const char *const all[] = {"ema", "minmax",  "histogram",  "mse",
                                      "mae", "entropy", "percentile", "recording"};
    static const struct {
        const char *what;
        float x[6];
        int n;
        bool range;
        float lo, hi; /* the data's; searching observers may be narrower */
    } cases[] = {
        {"never observed", {0}, -1, false, 0, 0},
        {"empty", {0}, 0, false, 0, 0},
        {"NaN alone", {NAN, NAN}, 2, false, 0, 0},
        {"infinities alone", {INFINITY, -INFINITY}, 2, false, 0, 0},
        {"all zero", {0, -0.0f, 0}, 3, true, 0, 0},
        {"one value", {3, 3, 3}, 3, true, 3, 3},
        {"one negative value", {-0.3f}, 1, true, -0.3f, -0.3f},
        {"above zero", {1, 2, 3, 4}, 4, true, 1, 4},
        {"below zero", {-1, -2, -3, -4}, 4, true, -4, -1},
        {"with a NaN", {1, NAN, -2}, 3, true, -2, 1},
        {"with infinities", {1, INFINITY, -INFINITY, -2, NAN}, 5, true, -2, 1},
        {"the largest", {FLT_MAX, -FLT_MAX, 1}, 3, true, -FLT_MAX, FLT_MAX},
        {"the smallest", {1e-45f, -1e-45f}, 2, true, -1e-45f, 1e-45f},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
            for (int symmetric = 0; symmetric < 2; symmetric++) {
                oct_qspec spec = oct_qspec_activation(8, false);
                spec.symmetric = symmetric;
                watch w = watch_new(ctx, all[k], spec);
                if (cases[c].n >= 0) ck_ok(watch_see(&w, cases[c].x, cases[c].n));
                float lo, hi, s = 0;
                int32_t z = -1;
                bool range = watch_range(&w, &lo, &hi);
                ck_assert_msg(range == cases[c].range, "%s, %s: %d", all[k], cases[c].what, range);
                if (!range) {
                    ck_fails(OCT_EQPARAMS, "no range was observed",
                             oct_qparams_from_range(&spec, lo, hi, "v", &s, &z));
                    continue;
                }
                ck_ok(oct_qparams_from_range(&spec, lo, hi, "v", &s, &z));
                ck_ok(oct_qparams_check(&spec, s, z, "v"));
                ck_assert_msg(lo >= fminf(cases[c].lo, 0) && hi <= fmaxf(cases[c].hi, 0),
                              "%s, %s: [%g, %g]", all[k], cases[c].what, lo, hi);
                if (k < 2 || !strcmp(all[k], "recording"))
                    ck_assert_msg(lo == cases[c].lo && hi == cases[c].hi, "%s, %s: [%g, %g]",
                                  all[k], cases[c].what, lo, hi);
                /* a value by itself comes back: its own end of the range */
                if (!strncmp(cases[c].what, "one ", 4) && !symmetric)
                    ck_assert_msg(fminf(lo, 0) == fminf(cases[c].lo, 0) &&
                                      fmaxf(hi, 0) == fmaxf(cases[c].hi, 0),
                                  "%s, %s: [%g, %g]", all[k], cases[c].what, lo, hi);
            }
    oct_close(ctx);
}
END_TEST

START_TEST(recording_keeps_a_bounded_sample) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    watch w = watch_new(ctx, "recording", oct_qspec_activation(8, false));
    enum { N = 50000 };
    float *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++) x[i] = (float)i;
    ck_ok(watch_see(&w, x, 777));
    ck_ok(watch_see(&w, x + 777, N - 777));
    const int64_t *state = oct_s64(w.q.state[1]);
    ck_assert_int_eq(state[OCTI_SAMPLE_SEEN], N);
    ck_assert_int_eq(state[OCTI_SAMPLE_STRIDE], 16);
    ck_assert_int_eq(state[OCTI_SAMPLE_KEPT], (N + 15) / 16);
    for (int i = 0; i < state[OCTI_SAMPLE_KEPT]; i++)
        ck_assert_float_eq(oct_f32(w.q.state[0])[i], (float)(16 * i));
    free(x);
    oct_close(ctx);
}
END_TEST

/* A state that a file claims, and no data can give: refused before anything is indexed by it. */
START_TEST(malformed_state_is_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    float x[] = {-3, -1, 0, 0.25f, 2, 5}, lo, hi;
    for (int k = 0; k < 4; k++)
        for (int harm = 0; harm < 12; harm++) {
            watch w = watch_new(ctx, searching[k], oct_qspec_activation(8, false));
            ck_ok(watch_see(&w, x, 6));
            int64_t *count = oct_s64(w.q.state[0]), *grid = oct_s64(w.q.state[1]);
            float *seen = oct_f32(w.q.state[2]);
            switch (harm) {
            case 0:
                grid[OCTI_GRID_EXPONENT] = 1 << 20;
                break;
            case 1:
                grid[OCTI_GRID_EXPONENT] = INT64_MIN;
                break;
            case 2:
                grid[OCTI_GRID_FIRST] = INT64_MAX;
                break;
            case 3:
                grid[OCTI_GRID_FIRST]++;
                break;
            case 4:
                grid[OCTI_GRID_COUNT] = -1;
                break;
            case 5:
                grid[OCTI_GRID_ZEROS] = 5;
                break;
            case 6:
                count[0] = INT64_MAX;
                break;
            case 7:
                count[2047] = 1;
                break;
            case 8:
                count[3] = -7;
                break;
            case 9:
                seen[0] = NAN;
                break;
            case 10:
                seen[1] = INFINITY;
                break;
            default:
                seen[1] = -9;
                break;
            }
            ck_fails(OCT_EFORMAT, "v: state of its observer is malformed",
                     octi_settle_range(ctx, &w.q));
            /* observing may find it too; never anything worse */
            oct_status s = watch_see(&w, x, 6);
            ck_assert(s == OCT_OK || s == OCT_EFORMAT);
            float more[] = {1e9f, -1e30f};
            s = watch_see(&w, more, 2);
            ck_assert(s == OCT_OK || s == OCT_EFORMAT);
        }
    watch w = watch_new(ctx, "histogram", oct_qspec_activation(8, false));
    w.q.state[1] = w.q.state[2];
    ck_fails(OCT_EFORMAT, "malformed", watch_see(&w, x, 6));
    w.q.state_count = 1;
    ck_fails(OCT_EFORMAT, "malformed", watch_see(&w, x, 6));
    (void)lo, (void)hi;
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("observers", a_range_may_shrink_to_one_bin, no_order_no_cut_no_thread_changes_a_byte,
              error_of_a_range_is_the_integral, least_error_is_the_exhaustive_one,
              each_end_moves_by_itself, lonely_outliers_are_cut_by_entropy_percentile_and_mae,
              percentile_leaves_out_what_it_says, degenerate_ranges_are_defined,
              recording_keeps_a_bounded_sample, malformed_state_is_refused)
