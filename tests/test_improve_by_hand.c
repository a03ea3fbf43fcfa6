/* SPDX-License-Identifier: MIT
 * Equalization, bias correction and AdaRound by their formulas, in double: grouped and depthwise
 * convolutions, batch norm, a flatten between; the pieces of AdaRound, and its roundings against
 * the best of all. */
#include "tests/oct_test.h"

#include <math.h>
#include <string.h>

#include "octet.h"
#include "qat/improve/improve_internal.h"
#include "src/qround.h"
#include "src/rng.h"

static oct_tensor *drawn(oct_ctx *ctx, oct_shape s, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

static float *data(const oct_net *net, const char *name) {
    oct_tensor *t = oct_net_tensor(net, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    return oct_f32(t);
}

static const oct_node *node(const oct_net *net, const char *name) {
    int32_t i = oct_graph_find_node(net->graph, name);
    ck_assert_msg(i >= 0, "no node %s", name);
    return &net->graph->nodes[i];
}

static oct_tensor *run(oct_net *net, const oct_tensor *x) {
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = x->shape.dim[0]});
    const oct_tensor *y = oct_runner_run(r, x);
    ck_not_null(y);
    oct_tensor *own = oct_tensor_copy(net->ctx, y);
    oct_runner_free(r);
    return own;
}

static oct_net *calibrated(oct_net *net, const oct_qconfig *c, const oct_tensor *x) {
    oct_net *q = oct_prepare(net, c);
    ck_not_null(q);
    oct_tape *t = oct_tape_new(net->ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    oct_tape_free(t);
    ck_ok(oct_net_settle(q));
    return q;
}

/* Batch norm that is not trivial. */
static void set_norm(oct_net *net, const char *name, int n) {
    for (int i = 0; i < n; i++) {
        data(net, octi_fmt("%s.weight", name))[i] =
            (i % 3 == 1 ? -1 : 1) * (0.5f + 0.2f * (float)i);
        data(net, octi_fmt("%s.bias", name))[i] = 0.3f * (float)(i % 4) - 0.2f;
        data(net, octi_fmt("%s.running_mean", name))[i] = 0.1f * (float)i;
        data(net, octi_fmt("%s.running_var", name))[i] = 0.4f + 0.3f * (float)i;
    }
}

/* ---- bias correction ---- */

/* bias[o] -= sum over k of (s_w code - f w) E[x of k's channel], E over images and positions of the
 * float net. */
static void correction(int in, int out, int groups, bool bn, bool bias) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    enum { SIDE = 5, N = 80 }; /* more than one batch of the pass */
    oct_module *parts[] = {
        oct_conv2d_new(ctx,
                       &(oct_conv2d_opts){
                           .in = in, .out = out, .kernel = 3, .groups = groups, .no_bias = !bias}),
        bn ? oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = out}) : NULL};
    oct_net *net =
        oct_capture(oct_sequential_new(ctx, parts, bn ? 2 : 1), OCT_SHAPE(SIDE, SIDE, in));
    ck_not_null(net);
    if (bn) set_norm(net, "1", out);
    oct_tensor *x = drawn(ctx, OCT_SHAPE(N, SIDE, SIDE, in), 1);
    /* channels have means of their own */
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] += (float)(i % in) - 0.4f;
    oct_net *q = calibrated(net, &(oct_qconfig){.wbits = 2, .all_layers = true}, x);
    double mean[16] = {0};
    for (int64_t i = 0; i < oct_tensor_count(x); i++)
        mean[i % in] += oct_f32(x)[i] / (double)(N * SIDE * SIDE);
    const oct_node *n = node(q, "0");
    octi_arena *arena = octi_arena_new(ctx);
    octi_qweights w;
    ck_ok(octi_quantize_weights(
        q, n, octi_scale(&q->graph->quantizers[q->graph->values[n->in[OCTI_X]].quantizer]), arena,
        &w));
    float *b = bn     ? data(q, "1.bias")
               : bias ? data(q, "0.bias")
                      : NULL,
          before[16] = {0}, conv_before[16] = {0};
    if (b) memcpy(before, b, (size_t)out * sizeof *b);
    if (bn && bias) memcpy(conv_before, data(q, "0.bias"), (size_t)out * sizeof *b);
    int32_t skipped = -1;
    ck_ok(oct_correct_bias(q, x, &skipped));
    ck_assert_int_eq(skipped, b == NULL);
    /* beta alone */
    if (bn && bias) ck_assert_mem_eq(conv_before, data(q, "0.bias"), (size_t)out * sizeof *b);
    const int each = in / groups;
    double most = 0;
    for (int o = 0; b && o < out; o++) {
        double err = 0;
        for (int k = 0; k < 9 * each; k++) {
            const double real =
                (double)data(q, "0.weight")[o * 9 * each + k] * (w.factor ? w.factor[o] : 1);
            err += ((double)w.scale[o] * w.codes[o * 9 * each + k] - real) *
                   mean[o / (out / groups) * each + k % each];
        }
        most = fmax(most, fabs(err));
        ck_assert_msg(fabs(b[o] - (before[o] - err)) < 2e-5,
                      "groups %d, bn %d, channel %d: %g, not %g", groups, bn, o, b[o],
                      before[o] - err);
    }
    if (b) ck_assert_double_gt(most, 0.05);
    octi_arena_free(arena);
    oct_close(ctx);
}

START_TEST(bias_correction_by_the_formula) {
    correction(4, 6, 1, false, true);
    correction(4, 6, 2, false, true);
    correction(4, 6, 2, true, true);
    correction(4, 4, 4, true, false);
    correction(3, 9, 3, false, true);
    correction(4, 6, 1, false, false);
}
END_TEST

/* ---- equalization ---- */

static double range_of(const float *w, int64_t from, int64_t n, int64_t step, double f) {
    double top = 0;
    for (int64_t k = 0; k < n; k++) top = fmax(top, fabs(w[from + k * step] * f));
    return top;
}

typedef struct plan { /* conv -> relu [-> pool, flatten] -> second */
    /* groups of the second convolution; 0: a linear layer behind pool and flatten */
    int in, mid, out, groups;
    bool bn;
} plan;

static void equalize(const plan *p) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    const bool fc = p->groups == 0;
    oct_module *parts[8];
    int n = 0, second;
    parts[n++] = oct_conv2d_new(
        ctx, &(oct_conv2d_opts){.in = p->in, .out = p->mid, .kernel = 3, .no_bias = p->bn});
    if (p->bn) parts[n++] = oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = p->mid});
    parts[n++] = oct_relu_new(ctx);
    if (fc) parts[n++] = oct_max_pool2d_new(ctx, &(oct_pool_opts){.kernel = 2});
    if (fc) parts[n++] = oct_flatten_new(ctx);
    second = n;
    parts[n++] =
        fc ? oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * p->mid, .out = p->out})
           : oct_conv2d_new(
                 ctx,
                 &(oct_conv2d_opts){.in = p->mid, .out = p->out, .kernel = 3, .groups = p->groups});
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, n), OCT_SHAPE(6, 6, p->in));
    ck_not_null(net);
    if (p->bn) set_norm(net, "1", p->mid);
    const int rows = p->out, width = fc ? 4 * p->mid : 9 * p->mid / p->groups, first = 9 * p->in;
    char name[24];
    snprintf(name, sizeof name, "%d.weight", second);
    float *w1 = data(net, "0.weight");
    for (int c = 0; c < p->mid; c++)
        for (int k = 0; k < first; k++) w1[c * first + k] *= powf(2, (float)(c % 5 - 2));
    double r1[16], r2[16];
    for (int round = 0; round < 2; round++) {
        oct_net *made = round ? oct_equalize(net, NULL) : net;
        ck_not_null(made);
        float *a = data(made, "0.weight"), *b = data(made, name);
        for (int c = 0; c < p->mid; c++) {
            double f = p->bn ? oct_fold_factor(data(made, "1.weight")[c],
                                               data(made, "1.running_var")[c], 1e-5f)
                             : 1;
            double one = range_of(a, c * first, first, 1, f), two = 0;
            for (int o = 0; o < rows; o++) {
                /* cells come round by channels */
                if (fc)
                    two = fmax(two, range_of(b, o * width + c, 4, p->mid, 1));
                else {
                    int each = p->mid / p->groups, g = o / (p->out / p->groups);
                    if (c / each == g)
                        two = fmax(two, range_of(b, o * width + c % each, 9, each, 1));
                }
            }
            if (!round)
                r1[c] = one, r2[c] = two;
            else { /* both ends meet in the middle: sqrt(r1 r2) */
                ck_assert_msg(fabs(one / sqrt(r1[c] * r2[c]) - 1) < 2e-3,
                              "channel %d: %g of %g and %g", c, one, r1[c], r2[c]);
                ck_assert_msg(fabs(two / sqrt(r1[c] * r2[c]) - 1) < 2e-3,
                              "channel %d, second: %g of %g and %g", c, two, r1[c], r2[c]);
            }
        }
        if (!round) continue;
        const oct_tensor *x = drawn(ctx, OCT_SHAPE(3, 6, 6, p->in), 2), *y = run(net, x),
                         *z = run(made, x);
        for (int64_t i = 0; i < oct_tensor_count(y); i++)
            ck_assert_float_eq_tol(oct_f32(z)[i], oct_f32(y)[i],
                                   1e-4f * (1 + fabsf(oct_f32(y)[i])));
    }
    oct_close(ctx);
}

START_TEST(equalization_by_the_formula) {
    static const plan plans[] = {{2, 6, 4, 1, false}, {2, 6, 4, 1, true},  {2, 6, 4, 2, false},
                                 {2, 6, 6, 6, true},  {2, 5, 3, 0, false}, {2, 5, 3, 0, true}};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) equalize(&plans[i]);
}
END_TEST

typedef struct forked {
    oct_module *a, *b, *c;
    int what; /* 0: a chain; 1: relu6 between; 2: two readers; 3: a chain of three */
} forked;
static oct_var *forked_forward(void *self, oct_tape *t, oct_var *x) {
    forked *f = self;
    (void)t;
    oct_var *y = oct_apply(f->a, x);
    y = f->what == 1 ? oct_relu6(y) : oct_relu(y);
    if (f->what == 2) return oct_add(oct_apply(f->b, y), oct_apply(f->c, y));
    y = oct_apply(f->b, y);
    return f->what == 3 ? oct_apply(f->c, oct_relu(y)) : y;
}

/* What must not be scaled through is left alone; chains settle, one pair after the other, until
 * nothing moves. */
START_TEST(equalization_knows_its_pairs) {
    static const int pairs[] = {1, 0, 0, 2};
    for (int what = 0; what < 4; what++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        forked f = {.what = what};
        oct_module *m = oct_module_new(ctx, forked_forward, &f);
        f.a = oct_module_add(m, "a", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}));
        f.b = oct_module_add(m, "b", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}));
        f.c = oct_module_add(m, "c", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}));
        oct_net *net = oct_capture(m, OCT_SHAPE(4));
        ck_not_null(net);
        for (int i = 0; i < 16; i++) data(net, "a.weight")[i] *= (float)(1 + i / 4 * 7);
        int32_t got = -1;
        oct_net *made = oct_equalize(net, &got);
        ck_not_null(made);
        ck_assert_int_eq(got, pairs[what]);
        const oct_tensor *x = drawn(ctx, OCT_SHAPE(8, 4), 3), *y = run(net, x), *z = run(made, x);
        for (int64_t i = 0; i < oct_tensor_count(y); i++)
            ck_assert_float_eq_tol(oct_f32(z)[i], oct_f32(y)[i],
                                   1e-4f * (1 + fabsf(oct_f32(y)[i])));
        for (int c = 0; c < 4 && what == 3; c++) { /* both pairs at rest */
            double out_a = range_of(data(made, "a.weight"), c * 4, 4, 1, 1),
                   in_b = range_of(data(made, "b.weight"), c, 4, 4, 1);
            double out_b = range_of(data(made, "b.weight"), c * 4, 4, 1, 1),
                   in_c = range_of(data(made, "c.weight"), c, 4, 4, 1);
            ck_assert_double_eq_tol(out_a / in_b, 1, 3e-3);
            ck_assert_double_eq_tol(out_b / in_c, 1, 3e-3);
        }
        oct_close(ctx);
    }
}
END_TEST

/* ---- AdaRound ---- */

START_TEST(pieces_of_adaround) {
    ck_assert_float_eq_tol(octi_rectified(0), 0.5f, 1e-6f);
    ck_assert_float_eq(octi_rectified(-6), 0);
    ck_assert_float_eq(octi_rectified(6), 1);
    ck_assert_float_eq(octi_rectified_slope(-6), 0);
    ck_assert_float_eq(octi_rectified_slope(6), 0);
    for (float v = -2; v <= 2; v += 0.25f) {
        const double e = 1e-5, up = 1.2 / (1 + exp(-(v + e))) - 0.1,
                     down = 1.2 / (1 + exp(-(v - e))) - 0.1;
        ck_assert_double_eq_tol(octi_rectified(v), 1.2 / (1 + exp(-(double)v)) - 0.1, 1e-6);
        ck_assert_double_eq_tol(octi_rectified_slope(v), (up - down) / (2 * e), 1e-5);
    }
    for (float part = 0.01f; part < 1; part += 0.07f)
        ck_assert_float_eq_tol(octi_rectified(octi_rectified_inverse(part)), part, 1e-6f);
    for (float h = 0.05f; h < 1; h += 0.15f)
        for (float beta = 2; beta <= 20; beta += 4.5f) {
            const double e = 1e-6, up = 1 - pow(fabs(2 * (h + e) - 1), beta),
                         down = 1 - pow(fabs(2 * (h - e) - 1), beta);
            ck_assert_double_eq_tol(octi_rounding_push(0.3f, beta, h), 0.3 * (up - down) / (2 * e),
                                    1e-4);
        }
    ck_assert_float_eq(octi_rounding_beta(0), 0);
    ck_assert_float_eq(octi_rounding_beta(0.2f), 0);
    ck_assert_float_eq_tol(octi_rounding_beta(0.2001f), 20, 1e-3f);
    ck_assert_float_eq_tol(octi_rounding_beta(0.6f), 11, 1e-3f);
    ck_assert_float_eq_tol(octi_rounding_beta(1), 2, 1e-3f);
}
END_TEST

enum { K = 8, O = 6, GROUPS = 2, ROWS = 96 };

/* A layer of 2 groups of 8 inputs (four cells of two channels) whose inputs hang together: nearest
 * rounding is far from the best, which is found by trying all 2^8. Squared error of a channel's
 * weights in double, over the rows as the layer sees them. */
static double error_of(const double *w, const double *q, const double *rows) {
    double sum = 0;
    for (int r = 0; r < ROWS; r++) {
        double e = 0;
        for (int k = 0; k < K; k++) e += rows[r * K + k] * (q[k] - w[k]);
        sum += e * e;
    }
    return sum;
}

static oct_net *rounding_net(oct_ctx *ctx, bool bn, uint32_t key) {
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = O, .kernel = 2, .groups = GROUPS}),
        bn ? oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = O}) : NULL};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, bn ? 2 : 1), OCT_SHAPE(2, 2, 4));
    ck_not_null(net);
    if (bn) set_norm(net, "1", O);
    octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, 40, key);
    for (int i = 0; i < O * K; i++) data(net, "0.weight")[i] = octi_rng_normal(&r) * 0.5f;
    for (int i = 0; i < O; i++) data(net, "0.bias")[i] = 0.1f * (float)i;
    return net;
}

static oct_tensor *hanging_together(oct_ctx *ctx, uint32_t key) {
    oct_tensor *x = drawn(ctx, OCT_SHAPE(ROWS, 2, 2, 4), 100 * key),
               *base = drawn(ctx, OCT_SHAPE(ROWS, 2, 3), 100 * key + 1),
               *share = drawn(ctx, OCT_SHAPE(16, 3), 100 * key + 2);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        oct_f32(x)[i] *= 0.2f;
        for (int k = 0; k < 3; k++)
            oct_f32(x)[i] +=
                oct_f32(base)[(i / 16 * 2 + i % 4 / 2) * 3 + k] * oct_f32(share)[i % 16 * 3 + k];
    }
    return x;
}

START_TEST(adaround_comes_near_the_best_of_all) {
    double all[GROUPS][3] = {{0}}; /* error of nearest, of the best of all, of AdaRound */
    int moved = 0;
    for (uint32_t key = 1; key <= 12; key++) {
        const bool bn = key % 2;
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_net *net = rounding_net(ctx, bn, key);
        oct_tensor *x = hanging_together(ctx, key);
        oct_net *q = calibrated(
            net, &(oct_qconfig){.observer = "minmax", .wbits = 3, .all_layers = true}, x);
        const oct_node *n = node(q, "0");
        const oct_quantizer *xq = &q->graph->quantizers[q->graph->values[n->in[OCTI_X]].quantizer];
        octi_arena *arena = octi_arena_new(ctx);
        octi_qweights w, after;
        ck_ok(octi_quantize_weights(q, n, octi_scale(xq), arena, &w));
        double rows[GROUPS][ROWS * K], before[O * K], bias[O];
        /* [row][2 x 2 cells][4] -> a group's cells of two channels */
        for (int64_t i = 0; i < oct_tensor_count(x); i++) {
            const int code =
                octq_quantize(oct_f32(x)[i], octi_scale(xq), octi_zero_point(xq), 0, 255);
            rows[i % 4 / 2][i / 16 * K + i / 4 % 4 * 2 + i % 2] =
                octq_dequantize(code, octi_scale(xq), octi_zero_point(xq));
        }
        for (int i = 0; i < O * K; i++)
            before[i] = (double)data(q, "0.weight")[i] * (bn ? w.factor[i / K] : 1);
        for (int o = 0; o < O; o++) bias[o] = bn ? data(q, "1.bias")[o] : data(q, "0.bias")[o];
        ck_ok(oct_adaround(q, x, &(oct_adaround_opts){.rows = 1024}));
        ck_ok(octi_quantize_weights(q, n, octi_scale(xq), arena, &after));
        for (int o = 0; o < O; o++) {
            const double *own = rows[o / (O / GROUPS)];
            double real[K], to[K], least = INFINITY;
            /* the grid stays */
            ck_assert_float_eq_tol(after.scale[o], w.scale[o], 1e-6f * w.scale[o]);
            for (int k = 0; k < K; k++) real[k] = before[o * K + k];
            for (int bits = 0; bits < 1 << K; bits++) {
                /* the largest of a channel carry the scale: they stay at nearest */
                bool free = true;
                for (int k = 0; k < K && free; k++) {
                    const double u = real[k] / w.scale[o], code = floor(u) + (bits >> k & 1);
                    free = fabs(u) <= 2.5 ? fabs(code) <= 3 : code == rint(u);
                    to[k] = w.scale[o] * code;
                }
                if (free) least = fmin(least, error_of(real, to, own));
            }
            for (int k = 0; k < K; k++) to[k] = w.scale[o] * w.codes[o * K + k];
            const double plain = error_of(real, to, own);
            for (int k = 0; k < K; k++) {
                to[k] = w.scale[o] * after.codes[o * K + k];
                moved += after.codes[o * K + k] != w.codes[o * K + k];
                /* up or down, never further; and the float weight stands on its code now */
                ck_assert_double_lt(fabs(to[k] - real[k]), w.scale[o]);
            }
            const double trained = error_of(real, to, own);
            double mean = 0; /* taken out of the bias, as the drawn rows have it */
            for (int r = 0; r < ROWS; r++)
                for (int k = 0; k < K; k++) mean += own[r * K + k] * (to[k] - real[k]) / ROWS;
            const double change = (bn ? data(q, "1.bias")[o] : data(q, "0.bias")[o]) - bias[o];
            if (trained < plain)
                ck_assert_msg(fabs(change + mean) < 0.13 * sqrt(trained / ROWS),
                              "channel %d: bias moved by %g, not %g", o, change, -mean);
            else
                ck_assert(change == 0);
            double *sum = all[o / (O / GROUPS)];
            sum[0] += plain, sum[1] += least, sum[2] += trained;
        }
        octi_arena_free(arena);
        oct_close(ctx);
    }
    for (int g = 0; g < GROUPS; g++) {
        printf("group %d: error of nearest %.1f, the least of all roundings %.1f, adaround %.1f\n",
               g, all[g][0], all[g][1], all[g][2]);
        ck_assert_double_gt(all[g][0], 4 * all[g][1]); /* there is something to find */
        ck_assert_double_lt(all[g][2], all[g][1] + 0.4 * (all[g][0] - all[g][1]));
    }
    ck_assert_int_gt(moved, 40);
}
END_TEST

static void rounded(const oct_adaround_opts *o, uint64_t seed, float *w) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .seed = seed});
    oct_net *net = rounding_net(ctx, false, 1);
    oct_tensor *x = hanging_together(ctx, 1);
    oct_net *q =
        calibrated(net, &(oct_qconfig){.observer = "minmax", .wbits = 3, .all_layers = true}, x);
    ck_ok(oct_adaround(q, x, o));
    memcpy(w, data(q, "0.weight"), O * K * sizeof *w);
    memcpy(w + O * K, data(q, "0.bias"), O * sizeof *w);
    oct_close(ctx);
}

/* Each option has a say: the mean that goes into the bias is that of the rows drawn. */
START_TEST(options_of_adaround) {
    enum { ALL = O * K + O };
    float plain[ALL], same[ALL], other[ALL];
    const oct_adaround_opts base = {.iterations = 200, .rows = 64, .reg = 0.01f, .seed = 5};
    rounded(&base, 1, plain);
    rounded(&base, 2, same);
    ck_assert_mem_eq(plain, same, sizeof plain); /* its own seed, not the context's */
    const struct {
        const char *what;
        oct_adaround_opts o;
    } changed[] = {{"iterations", {.iterations = 3, .rows = 64, .reg = 0.01f, .seed = 5}},
                   {"rows", {.iterations = 200, .rows = 63, .reg = 0.01f, .seed = 5}},
                   {"reg", {.iterations = 200, .rows = 64, .reg = 50, .seed = 5}},
                   {"seed", {.iterations = 200, .rows = 64, .reg = 0.01f, .seed = 6}}};
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        rounded(&changed[i].o, 1, other);
        ck_assert_msg(memcmp(plain, other, sizeof plain) != 0, "%s has no say", changed[i].what);
    }
    /* 0: the context's seed */
    rounded(&(oct_adaround_opts){.iterations = 200, .rows = 64}, 1, plain);
    rounded(&(oct_adaround_opts){.iterations = 200, .rows = 64}, 2, other);
    ck_assert(memcmp(plain, other, sizeof plain) != 0);
}
END_TEST

/* The whole training of one linear layer, in double: rows as drawn, batches in turn, Adam with its
 * corrections. */
enum { TO = 5, TK = 24, TROWS = 600, TIMES = 1500, TBATCH = 256 };

static void train_by_hand(const double *row, const double *real, const double *scale, double *v,
                          double nearest, double reg) {
    double m1[TO * TK] = {0}, m2[TO * TK] = {0};
    for (int it = 0; it < TIMES; it++) {
        const int from = it % 3 * TBATCH, n = from + TBATCH < TROWS ? TBATCH : TROWS - from;
        const double along = ((double)it / TIMES - 0.2) / 0.8,
                     beta = 2 + 9 * (1 + cos(along * 3.14159265358979));
        for (int o = 0; o < TO; o++) {
            double grad[TK] = {0}, delta[TK];
            for (int k = 0; k < TK; k++) {
                const double u = real[o * TK + k],
                             h = fmin(fmax(1.2 / (1 + exp(-v[o * TK + k])) - 0.1, 0), 1);
                delta[k] = ((fabs(u) > 2.5 ? rint(u) : floor(u) + h) - u) * scale[o];
            }
            for (int r = from; r < from + n; r++) {
                double e = 0;
                for (int k = 0; k < TK; k++) e += row[r * TK + k] * delta[k];
                for (int k = 0; k < TK; k++) grad[k] += e * row[r * TK + k];
            }
            for (int k = 0; k < TK; k++) {
                const int i = o * TK + k;
                if (fabs(real[i]) > 2.5) continue;
                const double s = 1 / (1 + exp(-v[i])), h = fmin(fmax(1.2 * s - 0.1, 0), 1),
                             t = 2 * h - 1;
                double d = 0.1 * TO * TROWS / nearest / TBATCH * 2 * grad[k] * scale[o];
                if (along > 0) d -= reg * beta * pow(fabs(t), beta - 1) * (t < 0 ? -2 : 2);
                d *= h <= 0 || h >= 1 ? 0 : 1.2 * s * (1 - s);
                m1[i] += 0.1 * (d - m1[i]);
                m2[i] += 0.001 * (d * d - m2[i]);
                v[i] -= 0.02 * (m1[i] / (1 - pow(0.9, it + 1))) /
                        (sqrt(m2[i] / (1 - pow(0.999, it + 1))) + 1e-8);
            }
        }
    }
}

START_TEST(adaround_step_by_step) {
    int same = 0, trained = 0, of = 0;
    for (uint32_t key = 1; key <= 4; key++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_module *parts[] = {oct_linear_new(ctx, &(oct_linear_opts){.in = TK, .out = TO})};
        oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE(TK));
        ck_not_null(net);
        memcpy(data(net, "0.weight"), drawn(ctx, OCT_SHAPE(TO, TK), key)->data,
               TO * TK * sizeof(float));
        oct_tensor *x = drawn(ctx, OCT_SHAPE(30, TK), 50 + key);
        /* columns hang together */
        for (int i = 0; i < 30 * TK; i++) oct_f32(x)[i] += 1.5f * oct_f32(x)[i / TK * TK];
        oct_net *q = calibrated(
            net, &(oct_qconfig){.observer = "minmax", .wbits = 3, .all_layers = true}, x);
        const oct_node *n = node(q, "0");
        const oct_quantizer *xq = &q->graph->quantizers[q->graph->values[n->in[OCTI_X]].quantizer];
        octi_arena *arena = octi_arena_new(ctx);
        octi_qweights w, after;
        ck_ok(octi_quantize_weights(q, n, octi_scale(xq), arena, &w));
        static double row[TROWS * TK], real[TO * TK], v[TO * TK], scale[TO];
        octi_rng rng = octi_rng_stream(7, OCTI_RNG_SAMPLE, (uint32_t)(n - q->graph->nodes), 0);
        for (int r = 0; r < TROWS; r++) {
            const uint32_t image = octi_rng_below(&rng, 30);
            (void)octi_rng_below(&rng, 1); /* the place: a linear layer has one */
            for (int k = 0; k < TK; k++) {
                const int code = octq_quantize(oct_f32(x)[(int)image * TK + k], octi_scale(xq),
                                               octi_zero_point(xq), 0, 255);
                row[r * TK + k] =
                    (double)octq_dequantize(code, octi_scale(xq), octi_zero_point(xq));
            }
        }
        double nearest = 0;
        for (int o = 0; o < TO; o++) {
            scale[o] = (double)w.scale[o];
            for (int k = 0; k < TK; k++) {
                const int i = o * TK + k;
                real[i] = (double)(data(q, "0.weight")[i] / w.scale[o]);
                const double part = fmin(fmax(real[i] - floor(real[i]), 0.01), 0.99);
                v[i] = -log(1.2 / (part + 0.1) - 1);
            }
            for (int r = 0; r < TROWS; r++) {
                double e = 0;
                for (int k = 0; k < TK; k++)
                    e += row[r * TK + k] * scale[o] * (w.codes[o * TK + k] - real[o * TK + k]);
                nearest += e * e;
            }
        }
        train_by_hand(row, real, scale, v, nearest, 0.002);
        ck_ok(oct_adaround(
            q, x,
            &(oct_adaround_opts){.iterations = TIMES, .rows = TROWS, .reg = 0.002f, .seed = 7}));
        ck_ok(octi_quantize_weights(q, n, octi_scale(xq), arena, &after));
        for (int i = 0; i < TO * TK; i++) {
            if (fabs(real[i]) > 2.5) continue;
            const double h = 1.2 / (1 + exp(-v[i])) - 0.1;
            of++;
            same += after.codes[i] == (int)floor(real[i]) + (h >= 0.5);
            trained += w.codes[i] == (int)floor(real[i]) + (h >= 0.5);
        }
        octi_arena_free(arena);
        oct_close(ctx);
    }
    printf("of %d roundings %d as by hand, %d as nearest\n", of, same, trained);
    /* floats: where both moments are all but nothing, Adam steps by their noise */
    ck_assert_int_ge(same, of - of / 50);
    ck_assert_int_lt(trained, of - of / 12); /* training is worth something here */
}
END_TEST

OCT_TEST_MAIN("improve_by_hand", bias_correction_by_the_formula, equalization_by_the_formula,
              equalization_knows_its_pairs, pieces_of_adaround, adaround_step_by_step,
              adaround_comes_near_the_best_of_all, options_of_adaround)
