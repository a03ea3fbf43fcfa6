/* SPDX-License-Identifier: MIT
 * Ranges of weights: the scale of least squared error, codes that reach one further down, and the
 * gradients of what is cut. */
#include "tests/oct_test.h"

#include <math.h>

#include "octet.h"
#include "qat/net/prepared.h"
#include "qat/scales/weight_range.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/rng.h"

enum { O = 6, K = 90 };

/* Rows of several kinds: even, bell-shaped, with one outlier at its end, with two sizes, one of
 * zeros, one of a single value. */
static void fill(float *w, uint32_t key) {
    octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, key, 0);
    for (int o = 0; o < O; o++)
        for (int k = 0; k < K; k++) {
            float u = 2 * octi_rng_uniform(&r) - 1,
                  bell = u + 2 * octi_rng_uniform(&r) - 1 + 2 * octi_rng_uniform(&r) - 1;
            w[o * K + k] = o == 0   ? u
                           : o == 1 ? bell
                           : o == 2 ? (k == K - 1 ? -9 : bell)
                           : o == 3 ? (k % 9 ? bell * 0.05f : bell)
                           : o == 4 ? 0
                           : k == 3 ? 0.7f
                                    : 0;
        }
}

/* A linear layer over the rows, prepared. */
static oct_net *layer(oct_ctx *ctx, const oct_qconfig *c, uint32_t key) {
    oct_module *parts[] = {oct_linear_new(ctx, &(oct_linear_opts){.in = K, .out = O})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE(K));
    ck_not_null(net);
    fill(oct_f32(oct_net_tensor(net, "0.weight")), key);
    oct_net *q = oct_prepare(net, c);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    return q;
}

static const oct_node *linear_of(const oct_net *q) {
    for (int32_t i = 0; i < q->graph->node_count; i++)
        if (q->graph->nodes[i].kind == OCT_OP_linear) return &q->graph->nodes[i];
    return NULL;
}

static octi_qweights weights(oct_net *q) {
    octi_qweights w;
    ck_ok(octi_quantize_weights(q, linear_of(q), 0, octi_ctx_scratch(q->ctx), &w));
    return w;
}

static double error_under(const float *w, int64_t n, float scale, const oct_qspec *spec) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)w[i] -
                   (double)octq_dequantize(octq_quantize(w[i], scale, 0, spec->qmin, spec->qmax),
                                           scale, 0);
        sum += d * d;
    }
    return sum;
}

START_TEST(searched_scale_has_least_error) {
    static const int bits[] = {2, 3, 4, 8};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    int narrower = 0;
    for (int i = 0; i < 16; i++) {
        const bool tensor = i & 1, full = i & 2;
        const oct_qconfig c = {
            .wbits = bits[i / 4],
            .all_layers = true,
            .weight_observer = OCT_WEIGHT_OBSERVER_MSE,
            .granularity = tensor ? OCT_GRANULARITY_TENSOR : OCT_GRANULARITY_DEFAULT,
            .weight_qmin = full ? OCT_WEIGHT_QMIN_FULL : OCT_WEIGHT_QMIN_DEFAULT};
        oct_net *q = layer(ctx, &c, (uint32_t)i);
        const oct_qspec *spec = &octi_weight_quantizer(q->graph, linear_of(q))->spec;
        const float *w = oct_f32(oct_net_tensor(q, "0.weight"));
        ck_assert_int_eq(spec->qmin, full ? -spec->qmax - 1 : -spec->qmax);
        octi_qweights got = weights(q);
        const int groups = tensor ? 1 : O, size = tensor ? O * K : K;
        for (int g = 0; g < groups; g++) {
            float amax = 0;
            for (int k = 0; k < size; k++) amax = fmaxf(amax, fabsf(w[g * size + k]));
            const float whole = oct_weight_scale(spec, amax, 0, 0);
            double least = INFINITY, mine = error_under(w + g * size, size, got.scale[g], spec),
                   all = error_under(w + g * size, size, whole, spec);
            for (int t = 1; t <= 3000; t++)
                least = fmin(
                    least, error_under(w + g * size, size,
                                       oct_weight_scale(spec, amax * (float)t / 3000, 0, 0), spec));
            ck_assert_msg(mine <= all * (1 + 1e-6), "%d bits, row %d: %g, the whole range %g",
                          bits[i / 4], g, mine, all);
            ck_assert_msg(mine <= least * (bits[i / 4] == 8 ? 1.25 : 1.05) + 1e-9,
                          "%d bits, row %d: %g, the least %g", bits[i / 4], g, mine, least);
            ck_assert_float_le(got.scale[g], whole);
            narrower += got.scale[g] < whole;
            for (int k = 0; k < size; k++)
                ck_assert_int_eq(
                    got.codes[g * size + k],
                    octq_quantize(w[g * size + k], got.scale[g], 0, spec->qmin, spec->qmax));
        }
    }
    ck_assert_int_gt(narrower, 20);
    oct_close(ctx);
}
END_TEST

START_TEST(full_codes_are_pytorchs) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *q = layer(ctx, &(oct_qconfig){.weight_qmin = OCT_WEIGHT_QMIN_FULL}, 3);
    const float *w = oct_f32(oct_net_tensor(q, "0.weight"));
    octi_qweights got = weights(q);
    int lowest = 0;
    for (int o = 0; o < O; o++) {
        float amax = 0;
        for (int k = 0; k < K; k++) amax = fmaxf(amax, fabsf(w[o * K + k]));
        ck_assert_float_eq(got.scale[o], fmaxf(amax / 127.5f, OCT_SCALE_MIN));
        for (int k = 0; k < K; k++)
            lowest = got.codes[o * K + k] < lowest ? got.codes[o * K + k] : lowest;
    }
    ck_assert_int_eq(lowest, -128); /* -9 of row 2 */
    ck_assert_int_eq(got.codes[5 * K + 3], 127);
    oct_close(ctx);
}
END_TEST

/* A step of a conv with batch norm; weights that are cut get no gradient, the others what they
 * would get. */
static void step_of_conv(oct_weight_observer observer, bool frozen, float *grad, float *scale,
                         int threads) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 10, .out = O, .kernel = 3, .no_bias = true}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = O}), oct_relu_new(ctx)};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 3), OCT_SHAPE(6, 6, 10));
    ck_not_null(net);
    oct_net *q = oct_prepare(
        net, &(oct_qconfig){.wbits = 2, .all_layers = true, .weight_observer = observer});
    ck_not_null(q);
    float *w = oct_f32(oct_net_tensor(q, "0.weight"));
    fill(w, 11);
    for (int k = 0; k < K; k++) w[4 * K + k] = w[K + k] * 0.5f, w[5 * K + k] = w[2 * K + k] * 2;
    oct_net_freeze_batch_norm(q, frozen);
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4, 6, 6, 10)),
               *labels = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(4));
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, 2, 0);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = octi_rng_uniform(&r);
    uint64_t before = 0;
    for (int step = 0; step < 6; step++) {
        int32_t count;
        const oct_named_tensor *p = oct_net_parameters(q, &count);
        for (int32_t i = 0; i < count; i++)
            if (p[i].tensor->grad)
                memset(p[i].tensor->grad->data, 0, oct_tensor_bytes(p[i].tensor->grad));
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *y =
            oct_flatten(oct_adaptive_avg_pool2d(oct_net_forward(q, oct_input(t, x)), 1, 1));
        ck_ok(oct_backward(oct_cross_entropy(y, labels, NULL)));
        if (step == 4) before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
    }
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS),
                      before); /* a steady step allocates nothing */
    const oct_quantizer *wq =
        &q->graph
             ->quantizers[q->graph->values[oct_graph_find_value(q->graph, "0.weight")].quantizer];
    memcpy(scale, oct_f32(wq->scale), O * sizeof *scale);
    memcpy(grad, oct_f32(oct_net_tensor(q, "0.weight")->grad), O * K * sizeof *grad);
    const float *var = oct_f32(oct_net_tensor(q, "1.running_var")),
                *gamma = oct_f32(oct_net_tensor(q, "1.weight"));
    int cut = 0;
    for (int i = 0; observer && i < O * K; i++) {
        const float u = w[i] * oct_fold_factor(gamma[i / K], var[i / K], 1e-5f) / scale[i / K];
        if (frozen ? fabsf(octq_rne(u)) > 1 : fabsf(u) > 1.6f)
            ck_assert_msg(grad[i] == 0, "weight %d is at %g codes, gradient %g", i, (double)u,
                          (double)grad[i]),
                cut++;
        else if (fabsf(u) < 1.4f)
            ck_assert_msg(grad[i] != 0, "weight %d is at %g codes and has no gradient", i,
                          (double)u);
    }
    ck_assert(!observer || cut > 4);
    /* nothing is cut: all of a row have one, or none where relu shut it */
    for (int o = 0, live = 0; !observer && o < O; o++) {
        int some = 0;
        for (int k = 0; k < K; k++) some += grad[o * K + k] != 0;
        ck_assert_msg(some == 0 || some == K, "row %d: %d of %d", o, some, K);
        live += some > 0;
        ck_assert(o < O - 1 || live > O / 2);
    }
    oct_close(ctx);
}

START_TEST(what_is_cut_gets_no_gradient) {
    float grad[2][O * K], scale[2][O];
    for (int frozen = 0; frozen < 2; frozen++) {
        step_of_conv(OCT_WEIGHT_OBSERVER_MSE, frozen, grad[0], scale[0], 1);
        step_of_conv(OCT_WEIGHT_OBSERVER_MSE, frozen, grad[1], scale[1], 3);
        /* the same bits for any threads */
        ck_assert_int_eq(memcmp(grad[0], grad[1], sizeof *grad), 0);
        ck_assert_int_eq(memcmp(scale[0], scale[1], sizeof *scale), 0);
        step_of_conv(OCT_WEIGHT_OBSERVER_DEFAULT, frozen, grad[0], scale[0], 1);
        for (int o = 0; o < O; o++) ck_assert_float_le(scale[1][o], scale[0][o]);
    }
}
END_TEST

/* Of a channel's weights or its bias, wherever one stands: the channel is named. */
START_TEST(what_is_not_finite_has_no_codes) {
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    static const int at[] = {0, 2 * K + 7, O * K - 1};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *q = layer(ctx, NULL, 3);
    float *w = oct_f32(oct_net_tensor(q, "0.weight")), *b = oct_f32(oct_net_tensor(q, "0.bias"));
    octi_qweights made;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 6; k++) {
            float *one = k < 3 ? &w[at[k]] : &b[at[k - 3] / K];
            const float was = *one;
            *one = bad[i];
            ck_fails(OCT_EDIVERGED, octi_fmt("weights of channel %d are not finite", at[k % 3] / K),
                     octi_quantize_weights(q, linear_of(q), 0.1f, octi_ctx_scratch(ctx), &made));
            *one = was;
            ck_ok(octi_quantize_weights(q, linear_of(q), 0.1f, octi_ctx_scratch(ctx), &made));
        }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("weight_range", searched_scale_has_least_error, full_codes_are_pytorchs,
              what_is_cut_gets_no_gradient, what_is_not_finite_has_no_codes)
