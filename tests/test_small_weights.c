/* SPDX-License-Identifier: MIT
 * Dynamic quantization, weight-only and half precision: what is stored, and what comes out. */
#include "tests/through_file.h"

#include <math.h>

#include "octet.h"
#include "src/format/safetensors.h"
#include "src/net.h"
#include "src/qround.h"
#include "src/rng.h"

static oct_tensor *random_input(oct_ctx *ctx, oct_shape s, uint32_t key, float size) {
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, key, 0);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, s);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = size * octi_rng_normal(&r);
    return x;
}

static oct_net *lenet(oct_ctx *ctx) {
    oct_net *net = oct_zoo_net(ctx, "lenet",
                               oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 64}));
    ck_not_null(net);
    return net;
}

static oct_tensor *run_net(oct_net *net, const oct_tensor *x) {
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = x->shape.dim[0]});
    ck_assert_msg(r != NULL, "%s", oct_error_message());
    const oct_tensor *y = oct_runner_run(r, x);
    ck_assert_msg(y != NULL, "%s", oct_error_message());
    oct_tensor *copy = oct_tensor_copy(net->ctx, y);
    oct_runner_free(r);
    return copy;
}

static double relative_error(const oct_tensor *a, const oct_tensor *b) {
    double e = 0, s = 0;
    for (int64_t i = 0; i < oct_tensor_count(a); i++) {
        e += pow((double)oct_f32(a)[i] - oct_f32(b)[i], 2);
        s += pow(oct_f32(a)[i], 2);
    }
    return sqrt(e / s);
}

static oct_var *one_linear(void *self, oct_tape *t, oct_var *x) {
    return (void)t, oct_relu(oct_apply(self, x));
}

/* Every output by the law, from the row alone. */
START_TEST(dynamic_linear_by_the_law) {
    enum { K = 37, O = 11, N = 6 };
    oct_ctx *ctx = oct_open(NULL);
    oct_module *fc = oct_linear_new(ctx, &(oct_linear_opts){.in = K, .out = O}),
               *m = oct_module_new(ctx, one_linear, fc);
    oct_module_add(m, "fc", fc);
    oct_net *net = oct_capture(m, OCT_SHAPE(K)), *d = oct_quantize_dynamic(net, NULL);
    ck_assert_msg(d != NULL, "%s", oct_error_message());
    d = through_a_file(d);
    const oct_tensor *w = oct_net_tensor(d, "fc.weight"), *s = oct_net_tensor(d, "fc.weight.scale"),
                     *b = oct_net_tensor(d, "fc.bias");
    ck_assert(w && s && b);
    ck_assert_int_eq(w->dtype, OCT_S8);
    ck_assert_int_eq(oct_tensor_count(s), O);
    oct_tensor *x = random_input(ctx, OCT_SHAPE(N, K), 1, 2);
    for (int i = 0; i < K; i++) oct_f32(x)[2 * K + i] = 0; /* a row of zeros */
    for (int i = 0; i < K; i++) oct_f32(x)[3 * K + i] = fabsf(oct_f32(x)[3 * K + i]); /* one sign */
    oct_f32(x)[4 * K + 5] = 1e30f; /* an outlier */
    oct_tensor *y = run_net(d, x);
    oct_qspec u8 = oct_qspec_activation(8, false);
    for (int n = 0; n < N; n++) {
        const float *row = oct_f32(x) + n * K;
        float lo = 0, hi = 0, sx;
        int32_t z;
        for (int k = 0; k < K; k++) lo = fminf(lo, row[k]), hi = fmaxf(hi, row[k]);
        ck_ok(oct_qparams_from_range(&u8, lo, hi, "row", &sx, &z));
        for (int o = 0; o < O; o++) {
            int64_t acc = 0;
            for (int k = 0; k < K; k++)
                acc += (octq_quantize(row[k], sx, z, 0, 255) - z) * oct_s8(w)[o * K + k];
            float want = (float)acc * (float)((double)sx * (double)oct_f32(s)[o]) + oct_f32(b)[o];
            ck_assert_float_eq(oct_f32(y)[n * O + o], want > 0 ? want : 0);
        }
    }
    /* the same row in another batch: the same bits */
    oct_tensor *alone = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, K));
    memcpy(alone->data, oct_f32(x) + K, K * sizeof(float));
    ck_assert_mem_eq(run_net(d, alone)->data, oct_f32(y) + O, O * sizeof(float));
    oct_close(ctx);
}
END_TEST

START_TEST(lenet_in_three_small_forms) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_net *net = lenet(ctx);
    oct_tensor *x = random_input(ctx, OCT_SHAPE(5, 28, 28, 1), 2, 1), *y = run_net(net, x);
    struct {
        oct_net *small;
        const char *weight, *first;
        oct_dtype dtype, first_dtype;
        double most;
    } forms[] = {
        {oct_quantize_dynamic(net, NULL), "fc1.weight", "conv1.weight", OCT_S8, OCT_F32, 0.02},
        {oct_quantize_weight_only(net, &(oct_weight_opts){.per_tensor = true}), "fc1.weight",
         "conv1.weight", OCT_S8, OCT_S8, 0.02},
        {oct_half(net), "fc1.weight", "conv1.weight", OCT_F16, OCT_F16, 0.002}};
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(forms[i].small != NULL, "%s", oct_error_message());
        oct_net *again = through_a_file(forms[i].small);
        ck_assert_int_eq(oct_net_tensor(again, forms[i].weight)->dtype, forms[i].dtype);
        ck_assert_int_eq(oct_net_tensor(again, forms[i].first)->dtype, forms[i].first_dtype);
        oct_tensor *z = run_net(again, x);
        ck_assert_mem_eq(z->data, run_net(forms[i].small, x)->data, oct_tensor_bytes(z));
        double e = relative_error(y, z);
        ck_assert_double_lt(e, forms[i].most);
        ck_assert_double_gt(e, 0);
    }
    oct_close(ctx);
}
END_TEST

/* Codes are of the scale that is stored: the layer's, or the channel's. */
START_TEST(codes_are_of_their_scale) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = lenet(ctx);
    oct_tensor *w = oct_net_tensor(net, "fc1.weight");
    const int64_t rows = w->shape.dim[0], row = oct_tensor_count(w) / rows;
    /* channels of five sizes */
    for (int64_t i = 0; i < rows * row; i++) oct_f32(w)[i] *= (float)(1 + i / row % 5);
    for (int tensor = 0; tensor < 2; tensor++) {
        oct_net *small =
            through_a_file(oct_quantize_weight_only(net, &(oct_weight_opts){.per_tensor = tensor}));
        const oct_graph *g = small->graph;
        const int32_t v = oct_graph_find_value(g, "fc1.weight");
        ck_assert(v >= 0 && g->values[v].quantizer >= 0);
        const oct_tensor *scale = g->quantizers[g->values[v].quantizer].scale,
                         *codes = oct_net_tensor(small, "fc1.weight");
        ck_assert_int_eq(oct_tensor_count(scale), tensor ? 1 : rows);
        bool all = true;
        for (int64_t o = 0; o < rows; o++) {
            float top = 0;
            for (int64_t k = tensor ? 0 : o * row, to = tensor ? rows * row : (o + 1) * row; k < to;
                 k++)
                top = fmaxf(top, fabsf(oct_f32(w)[k]));
            const float s = oct_f32(scale)[tensor ? 0 : o];
            ck_assert_float_eq_tol(s, top / 127, 1e-6f * s);
            for (int64_t k = o * row; k < (o + 1) * row; k++)
                all = all && oct_s8(codes)[k] == (int)rintf(oct_f32(w)[k] / s);
        }
        ck_assert_msg(all, "%s: codes are not of the scale", tensor ? "tensor" : "channel");
    }
    oct_close(ctx);
}
END_TEST

START_TEST(batch_norm_folds_into_weight_only) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_net *net = oct_zoo_net(ctx, "resnet8",
                               oct_data_open(ctx, "synth-shapes", &(oct_data_opts){.limit = 64}));
    ck_not_null(net);
    /* statistics and scales that are not the identity */
    for (int32_t i = 0; i < net->tensor_count; i++) {
        oct_tensor *t = net->tensors[i].tensor;
        if (t->shape.rank == 1)
            for (int64_t k = 0; k < oct_tensor_count(t); k++)
                oct_f32(t)[k] += 0.1f * (float)(k % 5);
    }
    oct_tensor *x = random_input(ctx, OCT_SHAPE(2, 32, 32, 3), 4, 1);
    oct_net *small = oct_quantize_weight_only(net, NULL);
    ck_not_null(small);
    ck_assert_ptr_null(oct_net_tensor(small, "bn1.weight"));
    ck_assert_double_lt(relative_error(run_net(net, x), run_net(through_a_file(small), x)), 0.03);
    oct_close(ctx);
}
END_TEST

START_TEST(refusals) {
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = lenet(ctx);
    ck_assert_ptr_null(oct_quantize_dynamic(net, &(oct_weight_opts){.bits = 9}));
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    oct_f32(oct_net_tensor(net, "fc1.weight"))[3] = 1e6f;
    ck_assert_ptr_null(oct_half(net));
    ck_assert_int_eq(oct_last_error()->code, OCT_EQPARAMS);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "fc1.weight"));
    oct_f32(oct_net_tensor(net, "fc1.weight"))[3] = NAN;
    ck_assert_ptr_null(oct_quantize_weight_only(net, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_EQPARAMS);
    ck_assert_ptr_null(oct_half(oct_prepare(lenet(ctx), NULL)));
    oct_close(ctx);
}
END_TEST

/* Every half survives the way there and back; ties go to even. */
START_TEST(half_precision_rounds_to_even) {
    for (uint32_t h = 0; h < 65536; h++) {
        float v = octi_f16_to_f32((uint16_t)h);
        if (v == v)
            ck_assert_uint_eq(octi_f32_to_f16(v), h);
        else
            ck_assert_int_eq(octi_f32_to_f16(v) & 0x7C00, 0x7C00);
        if (h >= 0x7BFF || v != v) continue;
        float next = octi_f16_to_f32((uint16_t)(h + 1)), middle = (v + next) / 2; /* exact */
        ck_assert_uint_eq(octi_f32_to_f16(middle), h & 1 ? h + 1 : h);
        ck_assert_uint_eq(octi_f32_to_f16(nextafterf(middle, next)), h + 1);
        ck_assert_uint_eq(octi_f32_to_f16(nextafterf(middle, v)), h);
    }
    ck_assert_uint_eq(octi_f32_to_f16(65519.99f), 0x7BFF);
    ck_assert_uint_eq(octi_f32_to_f16(65520.0f), 0x7C00);
    ck_assert_uint_eq(octi_f32_to_f16(-1e-30f), 0x8000);
}
END_TEST

OCT_TEST_MAIN("small_weights", dynamic_linear_by_the_law, lenet_in_three_small_forms,
              codes_are_of_their_scale, batch_norm_folds_into_weight_only, refusals,
              half_precision_rounds_to_even)
