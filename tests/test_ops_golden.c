/* SPDX-License-Identifier: MIT
 * Float ops against values and gradients that PyTorch computed (tests/golden/ops.txt tells the
 * version). */
#include <math.h>

#include "ops/ops.h"
#include "tests/golden.h"

static oct_ctx *ctx;

static oct_tensor *get(const char *op, const char *what) {
    return golden(ctx, "ops.txt", octi_fmt("%s.%s", op, what));
}

static oct_tensor *like(const oct_tensor *t) {
    oct_tensor *g = oct_tensor_new(ctx, OCT_F32, t->shape);
    ck_not_null(g);
    for (int64_t i = 0; i < oct_tensor_count(g); i++) oct_f32(g)[i] = 9e9f;
    return g;
}

/** Equal within 2e-6 of the largest value, a few roundings of sums of up to 144 products. */
static void same(const char *op, const char *what, const oct_tensor *got) {
    oct_tensor *want = get(op, what);
    ck_assert_msg(oct_shape_equal(&got->shape, &want->shape), "%s.%s: %s", op, what,
                  oct_shape_text(&want->shape));
    float most = 0;
    for (int64_t i = 0; i < oct_tensor_count(want); i++)
        most = fmaxf(most, fabsf(oct_f32(want)[i]));
    for (int64_t i = 0; i < oct_tensor_count(want); i++)
        ck_assert_msg(fabsf(oct_f32(got)[i] - oct_f32(want)[i]) <= 2e-6f * most,
                      "%s.%s[%lld]: %.9g, want %.9g", op, what, (long long)i,
                      (double)oct_f32(got)[i], (double)oct_f32(want)[i]);
}

START_TEST(conv_and_linear) {
    static const char *const names[] = {"conv_plain",  "conv_stride",    "conv_dilated",
                                        "conv_groups", "conv_depthwise", "conv_1x1",
                                        "conv_lenet",  "conv_16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *n = names[i];
        const float *v = oct_f32(get(n, "attr"));
        int32_t r = (int32_t)v[0], s = (int32_t)v[1], p = (int32_t)v[2], d = (int32_t)v[3];
        oct_attrs a = {.kernel = {r, r},
                       .stride = {s, s},
                       .pads = {p, p, p, p},
                       .dilation = {d, d},
                       .groups = {(int32_t)v[4]}};
        oct_tensor *x = get(n, "x"), *w = get(n, "w"), *b = get(n, "b"), *dy = get(n, "dy"),
                   *y = like(dy), *dx = like(x), *dw = like(w), *db = like(b);
        ck_ok(oct_conv2d_forward(ctx, &a, x, w, b, y));
        ck_ok(oct_conv2d_grad_x(ctx, &a, dy, w, dx));
        ck_ok(oct_conv2d_grad_w(ctx, &a, x, dy, dw, db));
        same(n, "y", y), same(n, "dx", dx), same(n, "dw", dw), same(n, "db", db);
    }
    oct_tensor *x = get("linear", "x"), *w = get("linear", "w"), *b = get("linear", "b"),
               *dy = get("linear", "dy"), *y = like(dy), *dx = like(x), *dw = like(w),
               *db = like(b);
    ck_ok(oct_linear_forward(ctx, x, w, b, y));
    ck_ok(oct_linear_grad_x(ctx, dy, w, dx));
    ck_ok(oct_linear_grad_w(ctx, x, dy, dw, db));
    same("linear", "y", y), same("linear", "dx", dx), same("linear", "dw", dw),
        same("linear", "db", db);
}
END_TEST

START_TEST(batch_norm) {
    oct_attrs a = {.eps = 1e-5f, .momentum = 0.1f};
    for (int eval = 0; eval < 2; eval++) {
        const char *n = eval ? "bn_eval" : "bn_train";
        oct_tensor *x = get(n, "x"), *g = get(n, "gamma"), *b = get(n, "beta"),
                   *m = get(n, "mean0"), *v = get(n, "var0"), *dy = get(n, "dy");
        oct_tensor *y = like(x), *dx = like(x), *dg = like(g), *db = like(b), *mean = like(g),
                   *inv = like(g);
        if (eval) {
            ck_ok(oct_batch_norm_eval(ctx, &a, x, g, b, m, v, y));
            ck_ok(oct_batch_norm_grad_eval(ctx, &a, x, dy, g, m, v, dx, dg, db));
        } else {
            ck_ok(oct_batch_norm_train(ctx, &a, x, g, b, m, v, mean, inv, y));
            ck_ok(oct_batch_norm_grad(ctx, x, dy, g, mean, inv, dx, dg, db));
        }
        same(n, "y", y), same(n, "dx", dx), same(n, "dgamma", dg), same(n, "dbeta", db),
            same(n, "mean1", m), same(n, "var1", v);
    }
}
END_TEST

START_TEST(pools_and_softmax) {
    oct_attrs a = {.kernel = {3, 3}, .stride = {2, 2}, .pads = {1, 1, 1, 1}};
    static const char *const names[] = {"max_pool",          "avg_pool", "avg_pool_exclude",
                                        "adaptive_avg_pool", "softmax",  "log_softmax"};
    for (int i = 0; i < 6; i++) {
        const char *n = names[i];
        oct_tensor *x = get(n, "x"), *dy = get(n, "dy"), *y = like(dy), *dx = like(x);
        a.exclude_pad[0] = i == 2;
        if (i == 0) {
            oct_tensor *index = oct_tensor_new(ctx, OCT_S32, y->shape);
            ck_ok(oct_max_pool2d_forward(ctx, &a, x, y, index));
            ck_ok(oct_max_pool2d_grad(ctx, dy, index, dx));
        } else if (i < 3) {
            ck_ok(oct_avg_pool2d_forward(ctx, &a, x, y));
            ck_ok(oct_avg_pool2d_grad(ctx, &a, dy, dx));
        } else if (i == 3) {
            ck_ok(oct_adaptive_avg_pool2d_forward(ctx, x, y));
            ck_ok(oct_adaptive_avg_pool2d_grad(ctx, dy, dx));
        } else if (i == 4) {
            ck_ok(oct_softmax_forward(ctx, x, y));
            ck_ok(oct_softmax_grad(ctx, y, dy, dx));
        } else {
            ck_ok(oct_log_softmax_forward(ctx, x, y));
            ck_ok(oct_log_softmax_grad(ctx, y, dy, dx));
        }
        same(n, "y", y), same(n, "dx", dx);
    }
}
END_TEST

START_TEST(functions_of_one_value) { /* with the corners: -3, 0, 3 */
    static const oct_op_kind kinds[] = {OCT_OP_leaky_relu, OCT_OP_hardswish, OCT_OP_hardsigmoid,
                                        OCT_OP_sigmoid, OCT_OP_tanh};
    const oct_attrs a = {.slope = 0.1f};
    for (int i = 0; i < 5; i++) {
        const char *n = oct_op_name(kinds[i]);
        oct_tensor *x = get(n, "x"), *dy = get(n, "dy"), *y = like(dy), *dx = like(x);
        ck_ok(oct_unary_forward(ctx, kinds[i], &a, x, y));
        ck_ok(oct_unary_grad(ctx, kinds[i], &a, x, y, dy, dx));
        same(n, "y", y), same(n, "dx", dx);
        for (int64_t k = 0; k < oct_tensor_count(x); k++)
            ck_assert(fabs(octi_unary_f64(kinds[i], &a, (double)oct_f32(x)[k]) -
                           (double)oct_f32(y)[k]) < 1e-6 * fmax(1, fabs((double)oct_f32(x)[k])));
        float bad = NAN, out = 0;
        octi_unary_f32(kinds[i], &a, &bad, &out, 1);
        ck_assert_msg(out != out, "%s hides NaN", n);
    }
    /* clamp: PyTorch's gradient passes at both ends */
    const oct_attrs ends = {.least = -3, .most = 2};
    const float at[6] = {-4, -3, -1, 2, 2.5f, NAN}, clamped[5] = {-3, -3, -1, 2, 2},
                passed[5] = {0, 1, 1, 1, 0};
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(6)), *y = like(x), *dy = like(x),
               *dx = like(x);
    for (int i = 0; i < 6; i++) oct_f32(x)[i] = at[i], oct_f32(dy)[i] = 1;
    ck_ok(oct_unary_forward(ctx, OCT_OP_clamp, &ends, x, y));
    ck_ok(oct_unary_grad(ctx, OCT_OP_clamp, &ends, x, y, dy, dx));
    ck_assert_mem_eq(y->data, clamped, sizeof clamped);
    ck_assert_mem_eq(dx->data, passed, sizeof passed);
    ck_assert(oct_f32(y)[5] != oct_f32(y)[5]);
    ck_fails(OCT_EUSAGE, "least",
             oct_unary_forward(ctx, OCT_OP_clamp, &(oct_attrs){.least = 1}, x, y));
    ck_fails(OCT_EUSAGE, "least",
             oct_unary_forward(ctx, OCT_OP_clamp, &(oct_attrs){.least = NAN}, x, y));
    ck_fails(OCT_EUSAGE, "kind",
             oct_unary_forward(ctx, OCT_OP_relu, &a, get("tanh", "x"), get("tanh", "y")));
}
END_TEST

START_TEST(products) {
    for (int i = 0; i < 2; i++) {
        const char *n = i ? "mul_broadcast" : "mul";
        oct_tensor *a = get(n, "a"), *b = get(n, "b"), *dy = get(n, "dy"), *y = like(dy),
                   *da = like(a), *db = like(b);
        ck_ok(oct_mul_forward(ctx, a, b, y));
        ck_ok(oct_mul_grad(ctx, dy, b, da));
        ck_ok(oct_mul_grad(ctx, dy, a, db));
        same(n, "y", y), same(n, "da", da), same(n, "db", db);
    }
}
END_TEST

START_TEST(losses) {
    oct_tensor *one = oct_tensor_new(ctx, OCT_F32, (oct_shape){.rank = 0}), *loss = like(one);
    oct_f32(one)[0] = 1;
    for (int i = 0; i < 2; i++) {
        const char *n = i ? "ce_smooth" : "ce";
        oct_attrs a = {.smoothing = i ? 0.1f : 0.0f};
        oct_tensor *x = get(n, "x"), *l = get(n, "labels"),
                   *labels = oct_tensor_new(ctx, OCT_S32, l->shape), *prob = like(x), *dx = like(x);
        for (int64_t k = 0; k < oct_tensor_count(l); k++)
            oct_s32(labels)[k] = (int32_t)oct_f32(l)[k];
        ck_ok(oct_cross_entropy_forward(ctx, &a, x, labels, prob, loss));
        ck_ok(oct_cross_entropy_grad(ctx, &a, prob, labels, one, dx));
        same(n, "y", loss), same(n, "dx", dx);
    }
    oct_tensor *x = get("mse", "x"), *t = get("mse", "t"), *dx = like(x);
    ck_ok(oct_mse_loss_forward(ctx, x, t, loss));
    ck_ok(oct_mse_loss_grad(ctx, x, t, one, dx));
    same("mse", "y", loss), same("mse", "dx", dx);
}
END_TEST

START_TEST(open_context) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2})); }
END_TEST
START_TEST(close_context) { oct_close(ctx); }
END_TEST

OCT_TEST_MAIN("ops_golden", open_context, conv_and_linear, batch_norm, pools_and_softmax,
              functions_of_one_value, products, losses, close_context)
