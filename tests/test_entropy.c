/* SPDX-License-Identifier: MIT
 * The entropy search: the published one as it is told, and what octet's adds: spikes are no part of
 * the shape, nothing is clipped where nothing is gained, and the net's input is taken whole. */
#include "tests/observe_fix.h"

#include "octet.h"
#include "src/arena.h"
#include "src/mem.h"

enum { N = 60000, KINDS = 5, START = OCTI_ENTROPY_START };

/* Normal, behind a relu, with outliers, below zero, two-sided and skewed. */
static float *values(uint32_t key, int kind) {
    float *x = malloc(N * sizeof *x);
    octi_rng r = octi_rng_stream(7, OCTI_RNG_TEST, key, 0);
    for (int i = 0; i < N; i++) {
        const float v = octi_rng_normal(&r);
        const float each[KINDS] = {v, octi_rng_below(&r, 2) ? fabsf(v) : 0,
                                   octi_rng_below(&r, 500) ? v : 70 * v, -fabsf(v) - 3,
                                   v > 0 ? 4 * v * v : v};
        x[i] = each[kind];
    }
    return x;
}

static oct_observing observing_of(const watch *w) {
    return (oct_observing){.ctx = w->ctx,
                           .value = "v",
                           .spec = &w->q.spec,
                           .state = {w->q.state[0], w->q.state[1], w->q.state[2]}};
}

static oct_qspec spec_of(int bits, bool symmetric) {
    oct_qspec s = oct_qspec_activation(bits, false);
    s.symmetric = symmetric;
    return s;
}

/* Counts of |x|; the number of bins. */
static int fold_counts(const octi_density *d, double *c) {
    int bins = 0;
    memset(c, 0, OCTI_BINS * sizeof *c);
    for (int k = 0; k < d->bins; k++) {
        const int at = d->first + k >= 0 ? d->first + k : -(d->first + k) - 1;
        c[at] += (double)d->count[k];
        bins = at + 1 > bins ? at + 1 : bins;
    }
    return bins;
}

/* The algorithm as it is told, one candidate at a time over plain arrays. */
static double plain_divergence(const double *c, int bins, int i, int levels) {
    double p[OCTI_BINS], q[OCTI_BINS] = {0}, sum = 0, inside = 0, kl = 0;
    for (int k = 0; k < i; k++) p[k] = c[k];
    for (int k = i; k < bins; k++) p[i - 1] += c[k];
    for (int k = 0; k < i; k++) sum += p[k], inside += c[k];
    double mass[256] = {0}, filled[256] = {0};
    for (int k = 0; k < i; k++) mass[k * levels / i] += c[k], filled[k * levels / i] += c[k] > 0;
    for (int k = 0; k < i; k++)
        if (c[k] > 0) q[k] = mass[k * levels / i] / filled[k * levels / i];
    if (!(inside > 0)) return INFINITY;
    if (p[i - 1] > 0 && !(q[i - 1] > 0)) inside += q[i - 1] = 1e-4; /* smoothed, as MXNet does */
    for (int k = 0; k < i; k++) {
        if (p[k] > 0 && !(q[k] > 0)) return INFINITY;
        if (p[k] > 0) kl += p[k] / sum * log((p[k] / sum) / (q[k] / inside));
    }
    return kl;
}

START_TEST(the_published_search_is_the_published_one) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    int clipped = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (int bits = 4; bits <= 8; bits += 4) {
            float *x = values(40 + (uint32_t)kind, kind);
            watch w = watch_new(ctx, "entropy", spec_of(bits, false));
            ck_ok(watch_see(&w, x, N));
            free(x);
            octi_density d;
            bool empty;
            oct_observing o = observing_of(&w);
            ck_ok(octi_density_of(&o, &d, &empty));
            double c[OCTI_BINS];
            const int bins = fold_counts(&d, c),
                      levels = (1 << bits) / (d.min < 0 && d.max > 0 ? 2 : 1);
            int best = bins;
            double least = plain_divergence(c, bins, bins, levels);
            for (int i = bins - 1; i >= START; i--) {
                const double e = plain_divergence(c, bins, i, levels);
                if (e < least - 1e-12 || (e < least + 1e-12 && i <= levels)) least = e, best = i;
            }
            ck_assert_int_eq(octi_entropy_published(&d, levels, octi_ctx_scratch(ctx)), best);
            clipped += best < bins;
            octi_arena_rewind(octi_ctx_scratch(ctx), (octi_arena_mark){0});
        }
    ck_assert_int_ge(clipped, 4); /* something other than min and max */
    oct_close(ctx);
}
END_TEST

/* Bins of 1, filled at some places. */
START_TEST(spikes_come_down_to_their_neighbours) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    static const struct {
        int64_t count[8], level[8];
    } cases[] = {
        /* a background, a small hill, and one far off */
        {{900, 3, 4, 5, 4, 0, 0, 1}, {3, 3, 4, 4, 4, 0, 0, 1}},
        /* in the middle; its neighbours are judged by what they held */
        {{5, 6, 700, 2, 1, 1, 1, 1}, {5, 6, 6, 2, 1, 1, 1, 1}},
        {{0, 9, 0, 0, 0, 0, 50, 0}, {0, 9, 0, 0, 0, 0, 9, 0}},  /* over a gap */
        {{0, 0, 0, 44, 0, 0, 0, 0}, {0, 0, 0, 44, 0, 0, 0, 0}}, /* alone: it is the shape */
        {{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 7}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        double edge[9], sums[27];
        for (int i = 0; i <= 8; i++) edge[i] = i;
        memset(sums, 0, sizeof sums);
        octi_density d = {.bins = 8,
                          .width = 1,
                          .max = 8,
                          .count = cases[k].count,
                          .edge = edge,
                          .mass = sums,
                          .mean = sums + 9,
                          .square = sums + 18};
        octi_density level;
        ck_ok(octi_density_level(&d, octi_ctx_scratch(ctx), &level));
        double mass = 0, mean = 0;
        for (int i = 0; i < 8; i++) {
            ck_assert_msg(level.count[i] == cases[k].level[i], "case %d, bin %d: %d", (int)k, i,
                          (int)level.count[i]);
            mass += (double)level.count[i];
            mean += (double)level.count[i] * (i + 0.5);
            ck_assert_double_eq(level.mass[i + 1], mass);
            ck_assert_double_eq_tol(level.mean[i + 1], mean, 1e-9);
        }
    }
    oct_close(ctx);
}
END_TEST

/* Every candidate by itself: the least divergence of the levelled shape, among those whose absolute
 * error is no larger than the whole range's. */
START_TEST(the_best_of_those_that_gain) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    static oct_divergence point[2 * OCTI_BINS + 2];
    int clipped = 0, barred = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (int turn = 0; turn < 4; turn++) {
            const int bits = turn & 1 ? 8 : 4;
            float *x = values(60 + (uint32_t)kind, kind), lo, hi;
            watch w = watch_new(ctx, "entropy", spec_of(bits, turn & 2));
            ck_ok(watch_see(&w, x, N));
            free(x);
            ck_assert(watch_range(&w, &lo, &hi));
            oct_observing o = observing_of(&w);
            int32_t count, chosen;
            ck_ok(octi_entropy_search(&o, OCTI_BINS, point, &count, &chosen));
            ck_assert(count > 100 && point[chosen].lo == lo && point[chosen].hi == hi &&
                      point[chosen].gains);
            octi_arena_mark mark = octi_arena_save(octi_ctx_scratch(ctx));
            octi_density d, shape;
            bool empty;
            ck_ok(octi_density_of(&o, &d, &empty));
            ck_ok(octi_density_level(&d, octi_ctx_scratch(ctx), &shape));
            double c[OCTI_BINS];
            const int bins = fold_counts(&shape, c);
            const oct_qspec *spec = &w.q.spec;
            const float least = fminf(d.min, 0), most = fmaxf(d.max, 0);
            const double whole = octi_density_absolute_error(&d, spec, least, most),
                         level = octi_density_absolute_error(&shape, spec, least, most);
            ck_assert_int_eq(point[count - 1].bins, bins);
            ck_assert(point[count - 1].clipped == 0 && point[count - 1].error == whole &&
                      point[count - 1].level_error == level);
            for (int32_t i = 0; i < count; i++) {
                const oct_divergence *p = &point[i];
                ck_assert(i == 0 || p->bins == point[i - 1].bins + 1);
                const double t = p->bins < bins ? p->bins * d.width : INFINITY,
                             a = fmin(fmax(d.min, -t), 0), b = fmax(fmin(d.max, t), 0);
                ck_assert(p->lo == (float)a && p->hi == (float)b);
                const int levels =
                    turn & 2 ? (1 << bits) / 2 : (int)lrint((1 << bits) * fmax(-a, b) / (b - a));
                ck_assert_int_eq(p->levels, levels);
                const double e = plain_divergence(c, bins, p->bins, levels);
                ck_assert_msg(p->divergence == e || fabs(p->divergence - e) <= 1e-9 * (1 + e),
                              "kind %d, %d bins: %g, expected %g", kind, p->bins, p->divergence, e);
                ck_assert(p->error == octi_density_absolute_error(&d, spec, p->lo, p->hi) &&
                          p->level_error ==
                              octi_density_absolute_error(&shape, spec, p->lo, p->hi));
                double beyond = 0;
                for (int k = 0; k < d.bins; k++)
                    beyond += d.first + k >= p->bins || -(d.first + k) - 1 >= p->bins
                                  ? (double)d.count[k]
                                  : 0;
                ck_assert_double_eq_tol(p->clipped, beyond / N, 1e-12);
                ck_assert(p->gains == (p->error <= whole && p->level_error <= level));
                barred += !p->gains && p->divergence < point[chosen].divergence;
                ck_assert(!p->gains || p->divergence >= point[chosen].divergence);
            }
            clipped += chosen < count - 1;
            octi_arena_rewind(octi_ctx_scratch(ctx), mark);
        }
    ck_assert_int_ge(clipped, 8);
    ck_assert_int_ge(barred, 1);
    oct_close(ctx);
}
END_TEST

/* Strokes from 0.5 to 2.8 are a tenth or a hundredth of all values, the rest is one or three
 * values: a background, as it is and behind a convolution. None of what stands out may be cut. */
START_TEST(a_background_cuts_nothing) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    static const float ground[][3] = {
        {0, 0, 0}, {-0.42f, -0.42f, -0.42f}, {0.1f, 0.1f, 0.1f}, {0, 0.2f, 0.31f}, {-3, -3, -3},
        {4, 4, 4}, {-0.2f, 0.4f, 0.41f}};
    float *x = malloc(N * sizeof *x);
    for (size_t g = 0; g < sizeof ground / sizeof *ground; g++)
        for (int turn = 0; turn < 8; turn++) {
            octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, (uint32_t)g, (uint64_t)turn);
            for (int i = 0; i < N; i++) {
                const float stroke = 0.5f + 2.3f * octi_rng_uniform(&r);
                x[i] = octi_rng_below(&r, turn & 4 ? 100 : 10) ? ground[g][i % 3] : stroke;
            }
            watch w = watch_new(ctx, "entropy", spec_of(8, turn & 1));
            ck_ok(watch_see(&w, x, N));
            float lo, hi;
            ck_assert(watch_range(&w, &lo, &hi));
            ck_assert_msg(hi >= 2.7f && lo <= fminf(0.95f * ground[g][0], 0),
                          "ground %g, turn %d: [%g, %g]", (double)ground[g][0], turn, lo, hi);
        }
    free(x);
    oct_close(ctx);
}
END_TEST

/* What users see of it is what the search sees. */
START_TEST(divergences_of_a_layer) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 8}),
                           oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 2})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(8)),
            *q = oct_prepare(net, &(oct_qconfig){.observer = "entropy"});
    ck_not_null(q);
    oct_divergence row[12];
    int32_t count = 9;
    ck_ok(oct_net_divergences(q, "0", 5, row, &count));
    ck_assert_int_eq(count, 0); /* nothing was seen */
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4000, 8));
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, 0, 0);
    for (int i = 0; i < 32000; i++) {
        const float v = octi_rng_normal(&r);
        oct_f32(x)[i] = v * v * v;
    }
    oct_tape *tape = oct_tape_new(ctx);
    oct_tape_begin(tape, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(tape, x)));
    ck_ok(oct_net_settle(q));
    ck_ok(oct_net_divergences(q, "0", 5, row, &count));
    ck_assert_int_eq(count, 12);
    const float lo = *oct_f32(oct_net_tensor(q, "0.activation_post_process.min_val")),
                hi = *oct_f32(oct_net_tensor(q, "0.activation_post_process.max_val"));
    int chosen = 0;
    for (int i = 0; i < count; i++) {
        chosen += row[i].chosen;
        if (row[i].chosen)
            ck_assert(row[i].lo == lo && row[i].hi == hi && row[i].gains && i == 5 &&
                      row[i].clipped > 0);
        else
            ck_assert(!row[i].gains || row[i].divergence >= row[5].divergence);
    }
    ck_assert_int_eq(chosen, 1);
    ck_assert(row[11].clipped == 0 && row[11].bins > row[10].bins + 1);
    ck_fails(OCT_EUSAGE, "input.quantize: its observer keeps no histogram",
             oct_net_divergences(q, "input.quantize", 5, row, &count));
    ck_fails(OCT_EUSAGE, "no such layer", oct_net_divergences(q, "7", 5, row, &count));
    ck_fails(OCT_EUSAGE, "stays float", oct_net_divergences(q, "1.dequantize", 5, row, &count));
    ck_fails(OCT_EUSAGE, "not prepared", oct_net_divergences(net, "0", 5, row, &count));
    ck_fails(OCT_EUSAGE, "oct_net_divergences", oct_net_divergences(q, NULL, 5, row, &count));
    oct_close(ctx);
}
END_TEST

/* ---- the net's input ---- */

static const char *observer_of(oct_net *q, const char *node) {
    const int32_t i = oct_graph_find_node(q->graph, node);
    ck_assert_msg(i >= 0, "no node %s", node);
    return q->graph->quantizers[q->graph->values[q->graph->nodes[i].out].quantizer].observer;
}

START_TEST(the_input_is_taken_whole) {
    static const char *const ask[] = {NULL,         "ema", "minmax", "histogram", "entropy",
                                      "percentile", "mse", "mae",    "recording"};
    static const char *const input[] = {"ema",    "ema",    "minmax", "minmax",   "minmax",
                                        "minmax", "minmax", "minmax", "recording"};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 8}),
                           oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 2})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(8));
    for (size_t i = 0; i < sizeof ask / sizeof *ask; i++) {
        oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = ask[i]});
        ck_not_null(q);
        ck_assert_str_eq(observer_of(q, "input.quantize"), input[i]);
        ck_assert_str_eq(observer_of(q, "0"), ask[i] ? ask[i] : "ema");
        if (ask[i]) {
            ck_ok(oct_net_set_observer(q, ask[i]));
            ck_assert_str_eq(observer_of(q, "input.quantize"), input[i]);
            ck_assert_str_eq(observer_of(q, "0"), ask[i]);
            /* a rule that names it is obeyed; one for the kind, or for all, does not name it */
            const oct_qrule named = {OCT_QSCOPE_PATTERN, "input*", {.observer = ask[i]}},
                            kind = {OCT_QSCOPE_KIND, "quantize", {.observer = ask[i]}};
            oct_net *a = oct_prepare(net, &(oct_qconfig){.rules = &named, .rule_count = 1}),
                    *b = oct_prepare(net, &(oct_qconfig){.rules = &kind, .rule_count = 1});
            ck_not_null(a);
            ck_not_null(b);
            ck_assert_str_eq(observer_of(a, "input.quantize"), ask[i]);
            ck_assert_str_eq(observer_of(b, "input.quantize"), input[i]);
        }
        oct_net_free(q);
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("entropy", the_published_search_is_the_published_one,
              spikes_come_down_to_their_neighbours, the_best_of_those_that_gain,
              a_background_cuts_nothing, divergences_of_a_layer, the_input_is_taken_whole)
