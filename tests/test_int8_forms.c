/* SPDX-License-Identifier: MIT
 * Int8 forms of functions: which grid they stand on, what their tables hold, what passes back
 * through them; a block of MobileNetV3 and a net that ends with softmax, from training to the
 * loaded file. */
#include "qat/net/function_codes.h"
#include "qat/step/codes.h"
#include "tests/forms_fix.h"

/* ---- one function between two grids ---- */

static const oct_op_kind functions[] = {OCT_OP_leaky_relu,  OCT_OP_elu,     OCT_OP_hardswish,
                                        OCT_OP_hardsigmoid, OCT_OP_sigmoid, OCT_OP_tanh};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static oct_var *apply(oct_op_kind k, oct_var *x) {
    switch (k) {
    case OCT_OP_leaky_relu:
        return oct_leaky_relu(x, 0.1f);
    case OCT_OP_elu:
        return oct_elu(x, 0.7f);
    case OCT_OP_hardswish:
        return oct_hardswish(x);
    case OCT_OP_hardsigmoid:
        return oct_hardsigmoid(x);
    case OCT_OP_sigmoid:
        return oct_sigmoid(x);
    case OCT_OP_tanh:
        return oct_tanh(x);
    default:
        return oct_softmax(x);
    }
}

static double value_of(oct_op_kind k, double x) {
    switch (k) {
    case OCT_OP_leaky_relu:
        return x < 0 ? (double)0.1f * x : x;
    case OCT_OP_elu:
        return x < 0 ? (double)0.7f * (exp(x) - 1) : x;
    case OCT_OP_hardswish:
        return x * fmin(fmax(x + 3, 0), 6) / 6;
    case OCT_OP_hardsigmoid:
        return fmin(fmax(x / 6 + 0.5, 0), 1);
    case OCT_OP_sigmoid:
        return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
    default:
        return tanh(x);
    }
}

static double slope_of(oct_op_kind k, double x) {
    switch (k) {
    case OCT_OP_leaky_relu:
        return x > 0 ? 1 : (double)0.1f;
    case OCT_OP_elu:
        return x > 0 ? 1 : (double)0.7f * exp(x);
    case OCT_OP_hardswish:
        return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case OCT_OP_hardsigmoid:
        return fabs(x) < 3 ? 1.0 / 6 : 0;
    case OCT_OP_sigmoid:
        return value_of(k, x) * (1 - value_of(k, x));
    default:
        return 1 - tanh(x) * tanh(x);
    }
}

static oct_var *function_forward(void *self, oct_tape *t, oct_var *x) {
    return (void)t, apply(*(oct_op_kind *)self, x);
}

static oct_net *function_net(oct_ctx *ctx, const oct_op_kind *k, int side) {
    return oct_capture(oct_module_new(ctx, function_forward, (void *)(uintptr_t)k),
                       OCT_SHAPE(side));
}

START_TEST(fixed_grids) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    static const oct_target targets[] = {OCT_TARGET_OCTET, OCT_TARGET_FBGEMM, OCT_TARGET_QNNPACK,
                                         OCT_TARGET_POW2};
    static const oct_method methods[] = {OCT_METHOD_DEFAULT, OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS,
                                         OCT_METHOD_PACT};
    static const oct_op_kind kinds[] = {OCT_OP_hardsigmoid, OCT_OP_sigmoid, OCT_OP_tanh,
                                        OCT_OP_softmax};
    for (int i = 0; i < 4 * 4 * 7; i++) {
        const oct_op_kind k = kinds[i % 4];
        const oct_target target = targets[i / 4 % 4];
        const char *name = oct_op_name(k);
        const int bits = 2 + i / 16, codes = (1 << bits) / (i / 4 % 4 == 1 ? 2 : 1);
        oct_net *q = oct_prepare(
            function_net(ctx, &k, 8),
            &(oct_qconfig){
                .target = target, .abits = bits, .all_layers = true, .method = methods[i % 3]});
        ck_not_null(q);
        const oct_quantizer *y = quantizer(q, name);
        const float s = (k == OCT_OP_tanh ? 2.0f : 1.0f) / (float)codes;
        const int32_t z = k == OCT_OP_tanh ? codes / 2 : 0;
        ck_assert_str_eq(y->observer, "fixed");
        ck_assert(y->step == NULL && octi_quantizer_ready(y));
        for (int step = 0; step < 3; step++) { /* as it was made, whatever runs */
            ck_assert_float_eq(octi_scale(y), s);
            ck_assert_int_eq(octi_zero_point(y), z);
            ck_ok(run(q, t, step ? OCT_TRAIN : OCT_CALIBRATE, ramp(ctx, 4, 8, -9, 9)));
        }
        ck_ok(oct_net_set_observer(q, "minmax"));
        oct_net_reset_observers(q);
        ck_ok(run(q, t, OCT_CALIBRATE, ramp(ctx, 4, 8, -9, 9)));
        oct_net *i8 = oct_convert(q, NULL);
        ck_not_null(i8);
        ck_assert_float_eq(*oct_f32(quantizer(i8, name)->scale), s);
        same_codes(q, i8, ramp(ctx, 64, 8, -9, 9));
        if (k == OCT_OP_softmax || i % 3) continue;
        const uint8_t *table = oct_u8(oct_net_tensor(i8, octi_fmt("%s.table", name)));
        for (int c = 0; c < 256; c++) ck_assert_int_lt(table[c], codes);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(tables_hold_the_function) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    for (int i = 0; i < FUNCTIONS * 3; i++) {
        const oct_op_kind k = functions[i / 3];
        const float reach = (float[]){0.5f, 6, 200}[i % 3];
        oct_net *q = oct_prepare(function_net(ctx, &k, 32), NULL);
        ck_ok(run(q, t, OCT_CALIBRATE, ramp(ctx, 64, 32, -reach, reach / 2)));
        oct_net *i8 = oct_convert(q, NULL);
        ck_not_null(i8);
        ck_assert_int_eq(node(i8, oct_op_name(k))->kind, OCT_OP_qtable);
        const oct_quantizer *x = quantizer(q, "input.quantize"), *y = quantizer(q, oct_op_name(k));
        const uint8_t *table = oct_u8(oct_net_tensor(i8, octi_fmt("%s.table", oct_op_name(k))));
        /* law 8, to the last bit: f in double at s_x * (q - z_x), over s_y, rounded once */
        float u[256];
        octi_function_values(node(q, oct_op_name(k)), x, y, u);
        for (int c = 0; c < 256; c++) {
            const double at = (double)octi_scale(x) * (c - octi_zero_point(x));
            const oct_attrs *a = &node(q, oct_op_name(k))->attr;
            ck_assert_float_eq(u[c], (float)(octi_unary_f64(k, a, at) / (double)octi_scale(y)));
        }
        for (int c = 0; c < 256; c++) {
            double v = value_of(k, (double)octi_scale(x) * (c - octi_zero_point(x))) /
                       (double)octi_scale(y);
            double want = fmin(fmax(rint((double)(float)v) + octi_zero_point(y), 0), 255);
            /* the formulas differ in their last bits */
            bool tie = fabs(fabs(v - floor(v)) - 0.5) < 1e-5;
            ck_assert_msg(table[c] == want || (tie && fabs(table[c] - want) <= 1),
                          "%s of %d: %d, not %g", oct_op_name(k), c, table[c], want);
        }
        same_codes(q, i8, ramp(ctx, 128, 32, -2 * reach, 2 * reach));
    }
    oct_close(ctx);
}
END_TEST

/* dx = dy * f'(x) where neither x nor y left its range: at the codes of x, and at what f gives, not
 * at what it rounds to. */
START_TEST(gradients_pass_straight_through) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    for (int i = 0; i < FUNCTIONS; i++) {
        const oct_op_kind k = functions[i];
        oct_net *q = oct_prepare(function_net(ctx, &k, 64), &(oct_qconfig){.observer = "minmax"});
        ck_ok(run(q, t, OCT_CALIBRATE, ramp(ctx, 4, 64, -6, 5)));
        oct_net_observe(q, false);
        oct_tensor *x = ramp(ctx, 4, 64, -8, 8),
                   *target = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4, 64));
        memset(target->data, 0, oct_tensor_bytes(target));
        /* on codes, and in floats: the function's own range switched off */
        for (int pass = 0; pass < 2; pass++) {
            const oct_quantizer *xq = quantizer(q, "input.quantize"),
                                *yq = quantizer(q, oct_op_name(k));
            oct_u8(yq->enabled)[1] = pass == 0;
            oct_tape_begin(t, OCT_TRAIN);
            oct_var *in = oct_param(t, x, "x"), *out = oct_net_forward(q, in);
            if (x->grad) memset(x->grad->data, 0, oct_tensor_bytes(x));
            ck_ok(oct_backward(oct_mse_loss(out, target)));
            int open = 0;
            for (int e = 0; e < 256; e++) {
                const int32_t xc =
                    (int32_t)rintf(oct_f32(x)[e] / octi_scale(xq)) + octi_zero_point(xq);
                const bool xin = xc >= 0 && xc <= 255;
                const double xr = (double)octi_scale(xq) *
                                  (fmin(fmax(xc, 0), 255) - octi_zero_point(xq)),
                             yr = value_of(k, xr);
                const double yc = rint(yr / (double)octi_scale(yq)) + octi_zero_point(yq);
                const bool yin = pass == 1 || (yc >= 0 && yc <= 255);
                const double y = pass == 1 ? yr
                                           : (double)octi_scale(yq) *
                                                 (fmin(fmax(yc, 0), 255) - octi_zero_point(yq));
                const double want = xin && yin ? 2 * y / 256 * slope_of(k, xr) : 0,
                             got = (double)oct_f32(x->grad)[e];
                ck_assert_msg(fabs(got - want) < 1e-6 + 1e-4 * fabs(want),
                              "%s, pass %d, x %g: %g, not %g", oct_op_name(k), pass, xr, got, want);
                open += want != 0;
            }
            ck_assert_int_gt(open, 60);
        }
    }
    oct_close(ctx);
}
END_TEST

/* A probability that rounds to code 0 still moves its logit. */
START_TEST(softmax_gradient_is_of_the_function) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    const oct_op_kind k = OCT_OP_softmax;
    oct_net *q = oct_prepare(function_net(ctx, &k, 4), NULL);
    oct_tensor *x = ramp(ctx, 1, 4, 0, 9), *target = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, 4));
    for (int i = 0; i < 4; i++) oct_f32(target)[i] = i == 0;
    ck_ok(run(q, t, OCT_CALIBRATE, x));
    oct_net_observe(q, false);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *in = oct_param(t, x, "x"), *out = oct_net_forward(q, in);
    ck_ok(oct_backward(oct_mse_loss(out, target)));
    ck_assert_float_eq(oct_f32(oct_var_value(out))[0], 0); /* e^-9 is below half a code */
    ck_assert_float_lt(oct_f32(x->grad)[0], -1e-5f);
    oct_close(ctx);
}
END_TEST

/* The law's softmax against double, rows of several lengths and rank; ties, one dominant, all
 * equal. */
START_TEST(softmax_is_near_the_function) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, 9, 9);
    for (int round = 0; round < 60; round++) {
        const int c = 1 + (int)octi_rng_below(&r, 300);
        oct_shape shape = round % 2 ? OCT_SHAPE(3, c) : OCT_SHAPE(2, 2, 3, c);
        oct_tensor *x = oct_tensor_new(ctx, OCT_U8, shape), *y = oct_tensor_new(ctx, OCT_U8, shape),
                   *e = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(256));
        const float s = ldexpf(1, (int)octi_rng_below(&r, 14) - 10);
        for (int k = 0; k < 256; k++) oct_f32(e)[k] = octq_softmax_exp(s, k);
        for (int64_t i = 0; i < oct_tensor_count(x); i++)
            oct_u8(x)[i] = (uint8_t)(round % 3 ? octi_rng_below(&r, 256) : 7);
        ck_ok(oct_qsoftmax_forward(ctx, &(oct_qtensor){x, s, 77}, e,
                                   &(oct_qtensor){y, 1.0f / 256, 0}));
        for (int64_t row = 0; row < oct_tensor_count(x); row += c) {
            double sum = 0;
            int top = 0;
            for (int i = 0; i < c; i++) top = oct_u8(x)[row + i] > top ? oct_u8(x)[row + i] : top;
            for (int i = 0; i < c; i++) sum += exp(-(double)s * (top - oct_u8(x)[row + i]));
            for (int i = 0; i < c; i++) {
                double want = fmin(256 * exp(-(double)s * (top - oct_u8(x)[row + i])) / sum, 255);
                if (fabs(oct_u8(y)[row + i] - want) > 0.5001)
                    ck_abort_msg("%d, not %g", oct_u8(y)[row + i], want);
            }
        }
    }
    oct_tensor *x = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(2, 3)),
               *e = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(256)),
               *y = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(2, 3));
    ck_fails(OCT_EQPARAMS, "exponential 0",
             oct_qsoftmax_forward(ctx, &(oct_qtensor){x, 1, 0}, e, &(oct_qtensor){y, 1, 0}));
    oct_close(ctx);
}
END_TEST

/* ---- fixed grids in front of cat ---- */

static oct_var *cats_forward(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    oct_var *a = oct_sigmoid(x), *b = oct_tanh(x), *c = oct_hardsigmoid(x);
    /* cat */
    oct_var *alike = oct_cat(
        (oct_var *[]){a, oct_max_pool2d(c, &(oct_pool_opts){.kernel = 3, .stride = 1, .pad = 1})},
        2, 3);
    oct_var *mixed = oct_cat((oct_var *[]){a, b, a}, 3, 3); /* cat_1: two fixed grids */
    /* cat_2: beside the observed input */
    oct_var *open = oct_cat((oct_var *[]){alike, x, mixed}, 3, 3);
    return oct_relu(open);
}

START_TEST(cats_requantize_fixed_grids) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tape *t = oct_tape_new(ctx);
    oct_shape image = OCT_SHAPE(5, 4, 3);
    oct_net *net = oct_capture(oct_module_new(ctx, cats_forward, NULL), image);
    for (int bits = 8; bits >= 3; bits -= 5) {
        oct_net *q = oct_prepare(
            net, &(oct_qconfig){.abits = bits,
                                .method = bits < 8 ? OCT_METHOD_LSQ : OCT_METHOD_DEFAULT});
        ck_not_null(q);
        ck_assert_str_eq(quantizer(q, "cat")->observer, "fixed");
        ck_assert_ptr_eq(quantizer(q, "cat"), quantizer(q, "sigmoid"));
        ck_assert_ptr_eq(quantizer(q, "cat"), quantizer(q, "max_pool2d"));
        ck_assert_ptr_ne(quantizer(q, "cat"), quantizer(q, "tanh"));
        ck_assert_str_eq(quantizer(q, "cat_1")->observer, "ema");
        ck_assert_ptr_eq(quantizer(q, "cat_1"), quantizer(q, "cat_1.requantize_0"));
        ck_assert_ptr_eq(quantizer(q, "cat_1"), quantizer(q, "cat_1.requantize_1"));
        /* the same member again */
        ck_assert_int_lt(oct_graph_find_node(q->graph, "cat_1.requantize_2"), 0);
        ck_assert_ptr_eq(quantizer(q, "cat_2"), quantizer(q, "cat_1")); /* observed members share */
        ck_assert_ptr_eq(quantizer(q, "cat_2"), quantizer(q, "input.quantize"));
        ck_assert_ptr_eq(quantizer(q, "cat_2"), quantizer(q, "cat_2.requantize_0"));
        if (bits == 8) ck_ok(run(q, t, OCT_CALIBRATE, random_images(ctx, 8, image, 1)));
        oct_tensor *target = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(8, 5, 4, 18));
        memset(target->data, 0, oct_tensor_bytes(target));
        for (uint32_t step = 0; step < 3; step++) {
            oct_tape_begin(t, OCT_TRAIN);
            oct_tensor *x = random_images(ctx, 8, image, step);
            oct_var *in = oct_param(t, x, "x");
            ck_ok(oct_backward(oct_mse_loss(oct_net_forward(q, in), target)));
            double sum = 0;
            for (int64_t i = 0; i < oct_tensor_count(x); i++)
                sum += fabs((double)oct_f32(x->grad)[i]);
            ck_assert(sum > 0);
        }
        oct_net *i8 = oct_convert(q, NULL);
        ck_not_null(i8);
        ck_assert_int_eq(node(i8, "cat_1.requantize_0")->kind, OCT_OP_requantize);
        ck_assert_int_eq(node(i8, "cat_2.requantize_0")->kind, OCT_OP_requantize);
        same_codes(q, i8, random_images(ctx, 16, image, 7));
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("int8_forms", fixed_grids, tables_hold_the_function, gradients_pass_straight_through,
              softmax_gradient_is_of_the_function, softmax_is_near_the_function,
              cats_requantize_fixed_grids)
