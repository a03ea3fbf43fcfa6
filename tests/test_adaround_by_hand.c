/* SPDX-License-Identifier: MIT
 * AdaRound against the same written out in doubles: its pieces by the paper's formulas, roundings
 * near the best of all, a training step by step. */
#include "tests/improve_fix.h"

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

/* Where every window sees the same numbers, so do all rows drawn, and what rounding adds to the
 * output goes into the bias to the last bit. A stride of the other axis would mix them. */
START_TEST(rows_are_what_a_layer_reads) {
    for (int across = 0; across < 2; across++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_module *parts[] = {oct_conv2d_new(
            ctx, &(oct_conv2d_opts){
                     .in = 1, .out = 1, .kernel = 2, .strides = {across ? 1 : 2, across ? 2 : 1}})};
        oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE(4, 4, 1));
        ck_not_null(net);
        memcpy(data(net, "0.weight"), (float[]){0.4f, 0.4f, 0.4f, 3}, 4 * sizeof(float));
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 4, 4, 1));
        for (int i = 0; i < 32; i++) oct_f32(x)[i] = (across ? i : i / 4) % 2 ? 3 : 1;
        const oct_qconfig c = {.observer = "minmax", .wbits = 3, .all_layers = true};
        oct_net *q = calibrated(net, &c, x);
        float w[4], *now = data(q, "0.weight");
        memcpy(w, now, sizeof w);
        const double bias = (double)data(q, "0.bias")[0];
        ck_ok(oct_adaround(q, x, &(oct_adaround_opts){.rows = 64}));
        ck_assert(now[0] != w[0]);
        double added = 0;
        for (int k = 0; k < 4; k++)
            added += (double)(now[k] - w[k]) * ((across ? k : k / 2) % 2 ? 3 : 1);
        ck_assert_double_eq_tol((double)data(q, "0.bias")[0] - bias, -added, 1e-5);
        oct_close(ctx);
    }
}
END_TEST

/* What rounding adds to the output goes into the bias: in the mean over the rows drawn, which the
 * op's own convolution of the change in weights tells, at the places drawn: most of them at borders
 * here, of inputs far from zero. */
static const oct_conv2d_opts padded[] = {
    {.in = 2, .out = 4, .kernel = 3, .pad = 1},
    {.in = 2, .out = 4, .kernel = 3, .pads = {2, 0, 1, 3}},
    {.in = 4, .out = 6, .kernel_size = {3, 2}, .pads = {1, 2, 0, 1}, .groups = 2},
    {.in = 2, .out = 4, .kernel_size = {2, 3}, .strides = {2, 1}, .pads = {1, 1, 1, 2}},
    {.in = 2, .out = 4, .kernel_size = {3, 3}, .dilations = {1, 2}, .pads = {1, 3, 2, 1}},
    {.in = 4, .out = 4, .kernel = 3, .pad = 1, .groups = 4},
};

START_TEST(rows_at_borders_are_padded) {
    enum { IMAGES = 45, DRAWN = 150, H = 4, W = 5 };
    int moved = 0;
    for (size_t k = 0; k < sizeof padded / sizeof *padded; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_module *parts[] = {oct_conv2d_new(ctx, &padded[k])};
        oct_net *net =
            oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE(H, W, padded[k].in));
        ck_not_null(net);
        oct_tensor *x = drawn(ctx, OCT_SHAPE(IMAGES, H, W, padded[k].in), 70 + (uint32_t)k);
        for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] += 2;
        oct_net *q = calibrated(
            net, &(oct_qconfig){.observer = "minmax", .wbits = 3, .all_layers = true}, x);
        const oct_node *n = node(q, "0");
        const oct_value *y = &q->graph->values[n->out];
        const oct_quantizer *xq = &q->graph->quantizers[q->graph->values[n->in[OCTI_X]].quantizer];
        oct_tensor *w = oct_net_tensor(q, "0.weight"), *was = oct_tensor_copy(ctx, w),
                   *bias = oct_tensor_copy(ctx, oct_net_tensor(q, "0.bias"));
        const oct_adaround_opts by = {.iterations = 200, .rows = DRAWN, .seed = 7};
        ck_ok(oct_adaround(q, x, &by));
        for (int64_t i = 0; i < oct_tensor_count(w); i++)
            oct_f32(was)[i] = oct_f32(w)[i] - oct_f32(was)[i];
        for (int64_t i = 0; i < oct_tensor_count(x); i++)
            oct_f32(x)[i] = octq_dequantize(
                octq_quantize(oct_f32(x)[i], octi_scale(xq), octi_zero_point(xq), 0, 255),
                octi_scale(xq), octi_zero_point(xq));
        const int64_t P = y->shape.dim[1], Q = y->shape.dim[2], O_ = y->shape.dim[3];
        oct_tensor *added = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(IMAGES, P, Q, O_));
        ck_ok(oct_conv2d_forward(ctx, &n->attr, x, was, NULL, added));
        octi_rng r = octi_rng_stream(7, OCTI_RNG_SAMPLE, (uint32_t)(n - q->graph->nodes), 0);
        double mean[8] = {0};
        for (int row = 0; row < DRAWN; row++) { /* half from either part of the images */
            const int64_t first = row < DRAWN / 2 ? 0 : OCTI_IMPROVE_BATCH,
                          of = row < DRAWN / 2 ? OCTI_IMPROVE_BATCH : IMAGES - OCTI_IMPROVE_BATCH,
                          image = first + octi_rng_below(&r, (uint32_t)of),
                          place = octi_rng_below(&r, (uint32_t)(P * Q));
            for (int64_t o = 0; o < O_; o++)
                mean[o] += (double)oct_f32(added)[(image * P * Q + place) * O_ + o] / DRAWN;
        }
        for (int64_t o = 0; o < O_; o++) {
            const double change = (double)data(q, "0.bias")[o] - (double)oct_f32(bias)[o];
            if (change == 0) continue; /* nearest stayed */
            moved++;
            ck_assert_msg(fabs(change + mean[o]) < 2e-5, "form %d, channel %d: bias by %g, not %g",
                          (int)k, (int)o, change, -mean[o]);
        }
        oct_close(ctx);
    }
    ck_assert_int_gt(moved, 12); /* of 26 channels */
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
OCT_TEST_MAIN("adaround_by_hand", pieces_of_adaround, adaround_step_by_step,
              adaround_comes_near_the_best_of_all, rows_are_what_a_layer_reads,
              rows_at_borders_are_padded, options_of_adaround)
