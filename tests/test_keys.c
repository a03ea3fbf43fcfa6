/* SPDX-License-Identifier: MIT
 * Random numbers depend on (seed, epoch, sample, op), on each of them, and on nothing else; and
 * they are spread as they say. */
#include "tests/oct_test.h"

#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "octet.h"
#include "src/rng.h"

enum { N = 6, WIDE = 50 };

/* Two dropouts of one value. */
typedef struct dropped {
    float first[N * WIDE], second[N * WIDE];
} dropped;

static dropped drop(uint64_t seed, uint32_t epoch, uint32_t sample, float p, oct_mode mode) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .seed = seed});
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *ones = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(N, WIDE));
    for (int i = 0; i < N * WIDE; i++) oct_f32(ones)[i] = 1;
    oct_tape_begin(t, mode);
    oct_tape_key(t, epoch, sample);
    oct_var *x = oct_input(t, ones), *a = oct_dropout(x, p), *b = oct_dropout(x, p);
    ck_assert(a && b);
    dropped d;
    memcpy(d.first, oct_var_value(a)->data, sizeof d.first);
    memcpy(d.second, oct_var_value(b)->data, sizeof d.second);
    oct_close(ctx);
    return d;
}

static bool same(const float *a, const float *b, int64_t n) {
    return !memcmp(a, b, (size_t)n * sizeof *a);
}

START_TEST(dropout_has_four_keys) {
    const dropped d = drop(5, 2, 100, 0.3f, OCT_TRAIN), again = drop(5, 2, 100, 0.3f, OCT_TRAIN);
    ck_assert(same(d.first, again.first, N * WIDE) && same(d.second, again.second, N * WIDE));
    ck_assert_msg(!same(d.first, d.second, N * WIDE), "two dropouts of a net drop alike");
    ck_assert_msg(!same(d.first, drop(6, 2, 100, 0.3f, OCT_TRAIN).first, N * WIDE),
                  "the seed has no say");
    ck_assert_msg(!same(d.first, drop(5 + (1ull << 32), 2, 100, 0.3f, OCT_TRAIN).first, N * WIDE),
                  "the upper half of the seed has no say");
    ck_assert_msg(!same(d.first, drop(5, 3, 100, 0.3f, OCT_TRAIN).first, N * WIDE),
                  "the epoch has no say");
    /* sample 102 drops alike wherever it stands in a batch, and like no other sample */
    const dropped moved = drop(5, 2, 102, 0.3f, OCT_TRAIN);
    ck_assert(same(d.first + 2 * WIDE, moved.first, (N - 2) * WIDE));
    for (int i = 1; i < N; i++)
        ck_assert_msg(!same(d.first, d.first + i * WIDE, WIDE), "samples 0 and %d drop alike", i);
    /* neighbours are not dropped together: pairs that agree are p^2 + (1 - p)^2 of all */
    int agree = 0, gone = 0, pairs = 0;
    for (int i = 0; i < N * WIDE; i++) {
        gone += d.first[i] == 0;
        ck_assert(d.first[i] == 0 || fabsf(d.first[i] - 1 / 0.7f) < 1e-6f);
        if (i % 4 < 3) agree += (d.first[i] == 0) == (d.first[i + 1] == 0), pairs++;
    }
    ck_assert_double_eq_tol((double)gone / (N * WIDE), 0.3, 0.1);
    ck_assert_double_eq_tol((double)agree / pairs, 0.58, 0.1);
    const dropped eval = drop(5, 2, 100, 0.3f, OCT_EVAL), none = drop(5, 2, 100, 0, OCT_TRAIN);
    for (int i = 0; i < N * WIDE; i++) ck_assert(eval.first[i] == 1 && none.first[i] == 1);
}
END_TEST

/* What was dropped gets no gradient; what stayed gets it scaled. */
START_TEST(gradients_go_where_values_went) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(N, WIDE)),
               *zero = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(N, WIDE));
    for (int i = 0; i < N * WIDE; i++) oct_f32(w)[i] = 1;
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *y = oct_dropout(oct_param(t, w, "w"), 0.4f);
    ck_ok(oct_backward(oct_mse_loss(y, zero)));
    for (int i = 0; i < N * WIDE; i++) {
        const float v = oct_f32(oct_var_value(y))[i];
        ck_assert_float_eq_tol(oct_f32(w->grad)[i], v == 0 ? 0 : 2 * v / (N * WIDE) / 0.6f, 1e-6f);
    }
    oct_close(ctx);
}
END_TEST

/* ---- the numbers themselves ---- */

START_TEST(streams_and_words_differ) {
    octi_rng a = octi_rng_stream(1, OCTI_RNG_TEST, 3, 4);
    uint32_t seen[16];
    for (int i = 0; i < 16; i++) {
        seen[i] = octi_rng_u32(&a);
        for (int k = 0; k < i; k++) ck_assert_uint_ne(seen[i], seen[k]);
    }
    const octi_rng others[] = {octi_rng_stream(2, OCTI_RNG_TEST, 3, 4),
                               octi_rng_stream(1 + (1ull << 40), OCTI_RNG_TEST, 3, 4),
                               octi_rng_stream(1, OCTI_RNG_SPLIT, 3, 4),
                               octi_rng_stream(1, OCTI_RNG_TEST, 4, 4),
                               octi_rng_stream(1, OCTI_RNG_TEST, 3, 5)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        octi_rng b = others[i];
        ck_assert_uint_ne(octi_rng_u32(&b), seen[0]);
    }
}
END_TEST

START_TEST(numbers_are_spread_as_they_say) {
    enum { MANY = 60000 };
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 9, 9);
    double sum = 0, square = 0, third = 0;
    for (int i = 0; i < MANY; i++) {
        const double v = octi_rng_normal(&r);
        sum += v, square += v * v, third += v * v * v * v;
    }
    ck_assert_double_eq_tol(sum / MANY, 0, 0.02);
    ck_assert_double_eq_tol(square / MANY, 1, 0.03);
    ck_assert_double_eq_tol(third / MANY, 3, 0.2);
    sum = square = 0;
    for (int i = 0; i < MANY; i++) {
        const double v = octi_rng_uniform(&r);
        ck_assert(v >= 0 && v < 1);
        sum += v, square += v * v;
    }
    ck_assert_double_eq_tol(sum / MANY, 0.5, 0.01);
    ck_assert_double_eq_tol(square / MANY, 1.0 / 3, 0.01);
    int count[7] = {0};
    for (int i = 0; i < 7 * 5000; i++) {
        const uint32_t v = octi_rng_below(&r, 7);
        ck_assert_uint_lt(v, 7);
        count[v]++;
    }
    for (int i = 0; i < 7; i++) ck_assert_int_le(abs(count[i] - 5000), 350);
    /* 3 * 2^30: a remainder, or a product cut off without rejection, gives the lower third twice as
     * often */
    int low = 0;
    for (int i = 0; i < MANY; i++) low += octi_rng_below(&r, 3u << 30) < 1u << 30;
    ck_assert_double_eq_tol((double)low / MANY, 1.0 / 3, 0.01);
}
END_TEST

/* Every element on every place equally often, none missing. */
START_TEST(permutations_are_fair) {
    enum { SIZE = 5, TRIES = 20000 };
    static int at[SIZE][SIZE];
    for (uint32_t t = 0; t < TRIES; t++) {
        octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 10, t);
        uint32_t p[SIZE];
        int seen = 0;
        octi_rng_permutation(&r, p, SIZE);
        for (int i = 0; i < SIZE; i++) seen |= 1 << p[i], at[i][p[i]]++;
        ck_assert_int_eq(seen, (1 << SIZE) - 1);
    }
    for (int i = 0; i < SIZE; i++)
        for (int k = 0; k < SIZE; k++) ck_assert_int_le(abs(at[i][k] - TRIES / SIZE), 300);
}
END_TEST

/* First weights: by the whole seed and the path, for any threads, on both sides of zero. */
START_TEST(a_net_starts_by_seed_and_path) {
    float w[4][6 * 25];
    for (int k = 0; k < 4; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1 + k % 2,
                                            .seed = k < 2    ? 3
                                                    : k == 2 ? 4
                                                             : 3 + (1ull << 33)});
        oct_module *m = oct_zoo_new(ctx, "lenet", NULL);
        memcpy(w[k], oct_module_tensor(m, "conv1.weight")->data, sizeof w[k]);
        const float *fc = oct_f32(oct_module_tensor(m, "fc2.weight")),
                    *other = oct_f32(oct_module_tensor(m, "fc3.weight"));
        ck_assert(fc[0] != other[0]);
        int below = 0;
        for (int i = 0; i < 6 * 25; i++) below += w[k][i] < 0;
        ck_assert_int_le(abs(below - 75), 30);
        oct_close(ctx);
    }
    ck_assert(same(w[0], w[1], 150) && !same(w[0], w[2], 150) && !same(w[0], w[3], 150));
}
END_TEST

/* A scheme draws weights; biases, and what batch norm begins with, stay. */
START_TEST(a_scheme_is_of_weights) {
    oct_ctx *ctx = oct_open(NULL);
    oct_module *m = oct_zoo_new(ctx, "lenet", NULL), *r = oct_zoo_new(ctx, "resnet8", NULL);
    float bias[120], weight[64];
    oct_tensor *b = oct_module_tensor(m, "fc1.bias"), *w = oct_module_tensor(m, "fc1.weight"),
               *g = oct_module_tensor(r, "bn1.weight");
    ck_not_null(b);
    /* as somebody set them */
    for (int i = 0; i < 120; i++) bias[i] = oct_f32(b)[i] = 0.01f * (float)i;
    memcpy(weight, w->data, sizeof weight);
    ck_ok(oct_module_init(m, OCT_INIT_XAVIER_UNIFORM));
    ck_assert(same(bias, oct_f32(b), 120) && !same(weight, oct_f32(w), 64));
    ck_not_null(g);
    for (int64_t i = 0; i < oct_tensor_count(g); i++) oct_f32(g)[i] = 0.5f;
    ck_ok(oct_module_init(r, OCT_INIT_XAVIER_UNIFORM));
    for (int64_t i = 0; i < oct_tensor_count(g); i++) ck_assert(oct_f32(g)[i] == 0.5f);
    oct_close(ctx);
}
END_TEST

/* What is frozen is no parameter, and no bit of it moves in a training with momentum and decay. */
START_TEST(frozen_parameters_stay) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 64});
    oct_net *net = oct_zoo_net(ctx, "lenet", d);
    ck_not_null(net);
    int32_t all, n;
    (void)oct_net_parameters(net, &all);
    const char *const names[] = {"conv2.weight", "fc1.bias"};
    float before[2][16], moves[16];
    for (int k = 0; k < 2; k++) {
        const int32_t v = oct_graph_find_value(net->graph, names[k]);
        ck_assert_int_ge(v, 0);
        net->graph->values[v].frozen = true;
        memcpy(before[k], oct_net_tensor(net, names[k])->data, sizeof before[k]);
    }
    memcpy(moves, oct_net_tensor(net, "fc1.weight")->data, sizeof moves);
    const oct_named_tensor *p = oct_net_parameters(net, &n);
    ck_assert_int_eq(n, all - 2);
    for (int32_t i = 0; i < n; i++)
        ck_assert(strcmp(p[i].name, names[0]) && strcmp(p[i].name, names[1]));
    ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 1, .batch = 16, .weight_decay = 0.1f}));
    for (int k = 0; k < 2; k++)
        ck_assert(same(before[k], oct_f32(oct_net_tensor(net, names[k])), 16));
    ck_assert(!same(moves, oct_f32(oct_net_tensor(net, "fc1.weight")), 16));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("keys", dropout_has_four_keys, gradients_go_where_values_went,
              streams_and_words_differ, numbers_are_spread_as_they_say, permutations_are_fair,
              a_net_starts_by_seed_and_path, a_scheme_is_of_weights, frozen_parameters_stay)
