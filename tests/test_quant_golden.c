/* SPDX-License-Identifier: MIT
 * octet's quantization against PyTorch's and ONNX Runtime's on the same numbers (tests/golden/make_quant_golden.py). Equal, or
 * different by one of these rules:
 *   zero_in     octet's qparams of an all-zero range have the smallest scale, 2^-23; PyTorch takes 1 for it
 *   divide      octet divides by the scale, PyTorch multiplies by its reciprocal: codes differ where the two round apart
 *   tie         ONNX Runtime makes multipliers in fp32, octet in double: codes differ by 1 where the exact value lies at a tie
 *   per_step    octet's weight scales are those of the weights as they are: no moving average over steps (law 4)
 *   factor      no gradient flows through the fold's factor (PyTorch's ConvBn2d sends one; the golden detaches it) */
#include <math.h>

#include "octet.h"
#include "ops/qops.h"
#include "src/qround.h"
#include "tests/golden.h"

static const char FILE_[] = "quant.txt";

static oct_tensor *get(oct_ctx *ctx, const char *form, const char *name) {
    char full[96];
    snprintf(full, sizeof full, form, name);
    return golden(ctx, FILE_, full);
}

static float one(oct_ctx *ctx, const char *form, const char *name) { return oct_f32(get(ctx, form, name))[0]; }

static void range_of(const float *x, int64_t n, float *min, float *max) {
    *min = INFINITY;
    *max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        *min = fminf(*min, x[i]);
        *max = fmaxf(*max, x[i]);
    }
}

/* ---- observers ---- */

START_TEST(minmax_observers) {
    static const char *const sets[] = {"normal", "positive", "negative", "skewed", "tiny", "constant"};
    oct_ctx *ctx = oct_open(NULL);
    for (int i = 0; i < 6; i++)
        for (int u7 = 0; u7 < 2; u7++) {
            oct_tensor *x = get(ctx, "minmax.%s.x", sets[i]);
            float lo, hi, s;
            int32_t z;
            range_of(oct_f32(x), oct_tensor_count(x), &lo, &hi);
            oct_qspec spec = oct_qspec_activation(8, u7);
            ck_ok(oct_qparams_from_range(&spec, lo, hi, sets[i], &s, &z));
            ck_assert_msg(s == one(ctx, u7 ? "minmax.%s.u7.scale" : "minmax.%s.u8.scale", sets[i]), "%s: scale %.9g", sets[i], s);
            ck_assert_int_eq(z, (int)one(ctx, u7 ? "minmax.%s.u7.zero_point" : "minmax.%s.u8.zero_point", sets[i]));
        }
    float s;
    int32_t z;
    oct_qspec spec = oct_qspec_activation(8, false);
    ck_ok(oct_qparams_from_range(&spec, 0, 0, "zeros", &s, &z)); /* zero_in */
    ck_assert_float_eq(s, OCT_SCALE_MIN);
    ck_assert_int_eq(z, (int)one(ctx, "minmax.%s.u8.zero_point", "zeros"));
    oct_close(ctx);
}
END_TEST

/* A net whose input is observed: linear over 8 or 1024 values. */
static oct_net *observed_by(oct_ctx *ctx, const char *observer, const oct_tensor *batches) {
    const int64_t *d = batches->shape.dim;
    const bool rows = batches->shape.rank == 3;
    const int64_t n = rows ? d[1] : 1, k = rows ? d[2] : d[1];
    oct_module *parts[] = {oct_linear_new(ctx, &(oct_linear_opts){.in = (int)k, .out = 2})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE((int)k)), *q = oct_prepare(net, &(oct_qconfig){.observer = observer});
    ck_not_null(q);
    oct_tape *tape = oct_tape_new(ctx);
    for (int64_t i = 0; i < d[0]; i++) {
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(n, k));
        memcpy(x->data, oct_f32(batches) + i * n * k, (size_t)(n * k) * sizeof(float));
        oct_tape_begin(tape, OCT_CALIBRATE);
        ck_not_null(oct_net_forward(q, oct_input(tape, x)));
    }
    ck_ok(oct_net_settle(q));
    return q;
}

static const oct_quantizer *input_quantizer(const oct_net *q) { return &q->graph->quantizers[q->graph->values[q->graph->nodes[0].out].quantizer]; }

START_TEST(moving_average_observer) {
    oct_ctx *ctx = oct_open(NULL);
    oct_tensor *x = golden(ctx, FILE_, "moving.x"), *range = golden(ctx, FILE_, "moving.range");
    const oct_quantizer *q = input_quantizer(observed_by(ctx, "ema", x));
    ck_assert_float_eq(*oct_f32(q->min_val), oct_f32(range)[2 * 4]);
    ck_assert_float_eq(*oct_f32(q->max_val), oct_f32(range)[2 * 4 + 1]);
    ck_assert_float_eq(*oct_f32(q->scale), one(ctx, "moving.%s", "scale"));
    ck_assert_int_eq(*oct_s32(q->zero_point), (int)one(ctx, "moving.%s", "zero_point"));
    oct_close(ctx);
}
END_TEST

START_TEST(per_channel_observers) {
    oct_ctx *ctx = oct_open(NULL);
    const oct_tensor *w = golden(ctx, FILE_, "channel.w");
    for (int bits = 4; bits <= 8; bits += 4) {
        const oct_tensor *minmax = golden(ctx, FILE_, bits == 4 ? "channel4.minmax.scale" : "channel8.minmax.scale"),
                         *moving = golden(ctx, FILE_, bits == 4 ? "channel4.moving.scale" : "channel8.moving.scale");
        oct_qspec spec = oct_qspec_weight(bits, true);
        for (int o = 0; o < 6; o++) {
            float lo, hi;
            range_of(oct_f32(w) + o * 18, 18, &lo, &hi);
            ck_assert_float_eq(oct_weight_scale(&spec, fmaxf(-lo, hi), 0, 1), oct_f32(minmax)[o]);
            ck_assert_float_eq(oct_f32(minmax)[o], oct_f32(moving)[o]); /* per_step: equal on the first */
        }
    }
    oct_close(ctx);
}
END_TEST

static double squared_error(const oct_tensor *x, float s, int32_t z) {
    double sum = 0;
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        double d = (double)octq_dequantize(octq_quantize(oct_f32(x)[i], s, z, 0, 255), s, z) - (double)oct_f32(x)[i];
        sum += d * d;
    }
    return sum;
}

/* Another search over another histogram: what is held is the error on the data themselves. */
START_TEST(histogram_observers_lose_no_more) {
    static const char *const sets[] = {"tail", "relu"}, *const ours[] = {"histogram", "mse"};
    oct_ctx *ctx = oct_open(NULL);
    for (int i = 0; i < 2; i++) {
        const oct_tensor *x = get(ctx, "histogram.%s.x", sets[i]);
        const double theirs = squared_error(x, one(ctx, "histogram.%s.scale", sets[i]), (int32_t)one(ctx, "histogram.%s.zero_point", sets[i]));
        for (int k = 0; k < 2; k++) {
            const oct_quantizer *q = input_quantizer(observed_by(ctx, ours[k], x));
            const double error = squared_error(x, *oct_f32(q->scale), *oct_s32(q->zero_point));
            ck_assert_msg(error <= theirs * 1.01, "%s %s: %g, PyTorch's %g", sets[i], ours[k], error, theirs);
        }
    }
    oct_close(ctx);
}
END_TEST

/* ---- fake quantization ---- */

/* `divide`: the one element where both roundings may part. */
static bool rounds_apart(float x, float s) { return rintf(x / s) != rintf(x * (1.0f / s)); }

static void check_fake(const oct_tensor *x, const oct_tensor *scale, const oct_tensor *zero, int lo, int hi, const oct_tensor *y, const oct_tensor *dy,
                       const oct_tensor *dx) {
    oct_ctx *ctx = oct_open(NULL);
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *p = oct_tensor_copy(ctx, x), *target = oct_tensor_copy(ctx, dy);
    const int64_t n = oct_tensor_count(x), c = oct_tensor_count(scale);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *out = oct_fake_quantize(oct_param(t, p, "x"), scale, zero, lo, hi);
    ck_not_null(out);
    const float *got = oct_f32(oct_var_value(out));
    int apart = 0;
    for (int64_t i = 0; i < n; i++) {
        float s = oct_f32(scale)[c > 1 ? i / (n / c) : 0];
        if (rounds_apart(oct_f32(x)[i], s)) apart++;
        else if (got[i] != oct_f32(y)[i]) ck_abort_msg("element %d: %.9g, PyTorch's %.9g", (int)i, got[i], oct_f32(y)[i]);
    }
    ck_assert_int_le(apart, (int)(n / 10));
    /* d mse = 2 (y - target) / n: a target that gives dy */
    for (int64_t i = 0; i < n; i++) oct_f32(target)[i] = got[i] - oct_f32(dy)[i] * (float)n / 2;
    ck_ok(oct_backward(oct_mse_loss(out, target)));
    for (int64_t i = 0; i < n; i++)
        if (!rounds_apart(oct_f32(x)[i], oct_f32(scale)[c > 1 ? i / (n / c) : 0])) {
            float want = oct_f32(dx)[i], g = oct_f32(p->grad)[i];
            if ((want == 0) != (g == 0) || fabsf(g - want) > 1e-4f * (1 + fabsf(want))) ck_abort_msg("gradient %d: %g, PyTorch's %g", (int)i, g, want);
        }
    oct_close(ctx);
}

START_TEST(fake_quantization) {
    static const char *const names[] = {"u8", "s4", "edge"};
    oct_ctx *ctx = oct_open(NULL);
    for (int i = 0; i < 3; i++) {
        const float *q = oct_f32(get(ctx, "fake.%s.q", names[i]));
        oct_tensor *s = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1)), *z = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
        oct_f32(s)[0] = q[0];
        oct_s32(z)[0] = (int32_t)q[1];
        check_fake(get(ctx, "fake.%s.x", names[i]), s, z, (int)q[2], (int)q[3], get(ctx, "fake.%s.y", names[i]), get(ctx, "fake.%s.dy", names[i]),
                   get(ctx, "fake.%s.dx", names[i]));
    }
    oct_tensor *z = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(5));
    check_fake(golden(ctx, FILE_, "fake.channel.x"), golden(ctx, FILE_, "fake.channel.scale"), z, -127, 127, golden(ctx, FILE_, "fake.channel.y"),
               golden(ctx, FILE_, "fake.channel.dy"), golden(ctx, FILE_, "fake.channel.dx"));
    oct_close(ctx);
}
END_TEST

/* ---- a fused conv-bn's training steps ---- */

static void close_to(const oct_tensor *got, const oct_tensor *want, const char *what) {
    ck_assert_int_eq(oct_tensor_count(got), oct_tensor_count(want));
    for (int64_t i = 0; i < oct_tensor_count(got); i++) {
        float g = oct_f32(got)[i], w = oct_f32(want)[i];
        if (!(fabsf(g - w) <= 2e-5f * (1 + fabsf(w)))) ck_abort_msg("%s[%d] is %.9g, PyTorch's %.9g", what, (int)i, g, w);
    }
}

START_TEST(conv_bn_training_steps) {
    static const char *const names[] = {"w", "gamma", "beta", "mean", "var"},
                      *const ours[] = {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"};
    oct_ctx *ctx = oct_open(NULL);
    oct_module *parts[] = {oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 4, .kernel = 3, .pad = 1, .no_bias = true}),
                           oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4})};
    oct_net *q = oct_prepare(oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(5, 5, 3)), NULL);
    ck_not_null(q);
    oct_tensor *t[5];
    for (int k = 0; k < 5; k++) {
        ck_not_null(t[k] = oct_net_tensor(q, ours[k]));
        memcpy(t[k]->data, get(ctx, "convbn.%s", names[k])->data, oct_tensor_bytes(t[k]));
    }
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) /* weights alone */
        if (strcmp(q->graph->quantizers[i].observer, "weight")) oct_u8(q->graph->quantizers[i].enabled)[1] = 0;
    oct_tape *tape = oct_tape_new(ctx);
    for (int step = 0; step < 2; step++) {
        char form[32];
        snprintf(form, sizeof form, "convbn.%d.%%s", step);
        oct_tape_begin(tape, OCT_TRAIN);
        oct_var *y = oct_net_forward(q, oct_input(tape, get(ctx, form, "x")));
        ck_not_null(y);
        close_to(oct_var_value(y), get(ctx, form, "y"), "y");
        for (int k = 0; k < 3; k++)
            if (t[k]->grad) memset(t[k]->grad->data, 0, oct_tensor_bytes(t[k]));
        ck_ok(oct_backward(oct_mse_loss(y, get(ctx, form, "target"))));
        close_to(t[0]->grad, get(ctx, form, "dw"), "dw");
        close_to(t[1]->grad, get(ctx, form, "dgamma"), "dgamma");
        close_to(t[2]->grad, get(ctx, form, "dbeta"), "dbeta");
        close_to(t[3], get(ctx, form, "mean"), "running_mean");
        close_to(t[4], get(ctx, form, "var"), "running_var");
        for (int k = 0; k < 3; k++)
            for (int64_t i = 0; i < oct_tensor_count(t[k]); i++) oct_f32(t[k])[i] -= 0.1f * oct_f32(t[k]->grad)[i];
    }
    oct_close(ctx);
}
END_TEST

/* ---- int8 operators ---- */

static oct_tensor *as(oct_ctx *ctx, oct_dtype type, const oct_tensor *x) {
    oct_tensor *t = oct_tensor_new(ctx, type, x->shape);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        if (type == OCT_U8) oct_u8(t)[i] = (uint8_t)oct_f32(x)[i];
        else if (type == OCT_S8) oct_s8(t)[i] = (int8_t)oct_f32(x)[i];
        else oct_s32(t)[i] = (int32_t)oct_f32(x)[i];
    }
    return t;
}

/* `tie`: exact[i] is the value before rounding, in units of the output's scale, z apart. */
static void same_codes(const oct_tensor *got, const oct_tensor *want, const double *exact, const char *what) {
    int64_t n = oct_tensor_count(got), apart = 0;
    ck_assert_int_eq(n, oct_tensor_count(want));
    for (int64_t i = 0; i < n; i++) {
        int d = (int)oct_u8(got)[i] - (int)oct_f32(want)[i];
        if (!d) continue;
        double off = exact ? fabs(fabs(exact[i] - trunc(exact[i])) - 0.5) : 1;
        if (abs(d) > 1 || off > 1e-4) ck_abort_msg("%s[%d]: %d, theirs %d, exact %.9g", what, (int)i, oct_u8(got)[i], (int)oct_f32(want)[i], exact ? exact[i] : 0);
        apart++;
    }
    ck_assert_int_le(apart, 1 + n / 100);
}

static void check_product(oct_ctx *ctx, const char *name) {
    const float *a = oct_f32(get(ctx, "q.%s.attr", name)), *s = oct_f32(get(ctx, "q.%s.scales", name)), *sw = oct_f32(get(ctx, "q.%s.sw", name));
    oct_tensor *x = as(ctx, OCT_U8, get(ctx, "q.%s.x", name)), *w = as(ctx, OCT_S8, get(ctx, "q.%s.w", name)), *b = as(ctx, OCT_S32, get(ctx, "q.%s.b", name)),
               *want = get(ctx, "q.%s.y", name), *y = oct_tensor_new(ctx, OCT_U8, want->shape);
    const bool flat = x->shape.rank == 2;
    const int64_t o = oct_tensor_count(b), *X = x->shape.dim, P = flat ? 1 : y->shape.dim[1], Q = flat ? 1 : y->shape.dim[2], H = flat ? 1 : X[1], W = flat ? 1 : X[2],
                  C = flat ? X[1] : X[3];
    const int r = (int)a[0], stride = (int)a[1], pad = (int)a[2], dil = (int)a[3], g = (int)a[4], zx = (int)a[5], zy = (int)a[6];
    oct_tensor *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(o));
    for (int64_t k = 0; k < o; k++) oct_f32(m)[k] = octq_multiplier(s[0], sw[k], s[1]);
    oct_attrs attr = {.kernel = {r, r}, .stride = {stride, stride}, .pads = {pad, pad, pad, pad}, .dilation = {dil, dil}, .groups = {g}, .lo = {0}, .hi = {255}};
    oct_qtensor qx = {.codes = x, .scale = s[0], .zero_point = zx}, qy = {.codes = y, .scale = s[1], .zero_point = zy};
    ck_ok(flat ? oct_qlinear_forward(ctx, &attr, &qx, w, b, m, &qy) : oct_qconv2d_forward(ctx, &attr, &qx, w, b, m, &qy));
    double *exact = malloc((size_t)oct_tensor_count(y) * sizeof *exact), *e = exact;
    for (int64_t n = 0; n < X[0]; n++)
        for (int64_t p = 0; p < P; p++)
            for (int64_t q = 0; q < Q; q++)
                for (int64_t k = 0; k < o; k++) {
                    int64_t sum = oct_s32(b)[k], cg = C / g, c0 = k / (o / g) * cg;
                    for (int64_t i = 0; i < r; i++)
                        for (int64_t j = 0; j < r; j++)
                            for (int64_t c = 0; c < cg; c++) {
                                int64_t h = p * stride - pad + i * dil, v = q * stride - pad + j * dil;
                                if (h < 0 || h >= H || v < 0 || v >= W) continue;
                                sum += (int64_t)(oct_u8(x)[((n * H + h) * W + v) * C + c0 + c] - zx) * oct_s8(w)[((k * r + i) * r + j) * cg + c];
                            }
                    *e++ = (double)sum * (double)s[0] * (double)sw[k] / (double)s[1];
                }
    same_codes(y, want, exact, name);
    free(exact);
}

START_TEST(convolutions_and_linear) {
    static const char *const names[] = {"conv", "stride", "depthwise", "groups", "dilated", "pointwise", "linear"};
    oct_ctx *ctx = oct_open(NULL);
    for (int i = 0; i < 7; i++) check_product(ctx, names[i]);
    oct_close(ctx);
}
END_TEST

START_TEST(add_and_mul) {
    oct_ctx *ctx = oct_open(NULL);
    for (int mul = 0; mul < 2; mul++) {
        const char *name = mul ? "mul" : "add";
        const float *p = oct_f32(get(ctx, "q.%s.qparams", name));
        oct_tensor *a = as(ctx, OCT_U8, get(ctx, "q.%s.a", name)), *b = as(ctx, OCT_U8, get(ctx, "q.%s.b", name)), *want = get(ctx, "q.%s.y", name),
                   *y = oct_tensor_new(ctx, OCT_U8, want->shape), *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(mul ? 1 : 2));
        oct_f32(m)[0] = mul ? octq_multiplier(p[0], p[2], p[4]) : octq_ratio(p[0], p[4]);
        if (!mul) oct_f32(m)[1] = octq_ratio(p[2], p[4]);
        oct_attrs attr = {.lo = {0}, .hi = {255}};
        oct_qtensor qa = {.codes = a, .scale = p[0], .zero_point = (int)p[1]}, qb = {.codes = b, .scale = p[2], .zero_point = (int)p[3]},
                    qy = {.codes = y, .scale = p[4], .zero_point = (int)p[5]};
        ck_ok(mul ? oct_qmul_forward(ctx, &attr, &qa, &qb, m, &qy) : oct_qadd_forward(ctx, &attr, &qa, &qb, m, &qy));
        double exact[240];
        ck_assert_int_le(oct_tensor_count(y), 240);
        for (int64_t i = 0; i < oct_tensor_count(y); i++) {
            double u = (double)p[0] * (oct_u8(a)[i] - (int)p[1]), v = (double)p[2] * (oct_u8(b)[i] - (int)p[3]);
            exact[i] = (mul ? u * v : u + v) / (double)p[4];
        }
        same_codes(y, want, exact, name);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(pools) {
    oct_ctx *ctx = oct_open(NULL);
    oct_tensor *x = as(ctx, OCT_U8, golden(ctx, FILE_, "q.pool.x"));
    const oct_qtensor qx = {.codes = x, .scale = 0.05f, .zero_point = 90};
    static const char *const names[] = {"max", "average", "padded", "global"};
    for (int i = 0; i < 4; i++) {
        oct_tensor *want = get(ctx, "q.%s.y", names[i]), *y = oct_tensor_new(ctx, OCT_U8, want->shape), *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(i == 3 ? 37 : 10));
        const float s = i == 0 ? 0.05f : i == 3 ? 0.01f : 0.03f;
        oct_qtensor qy = {.codes = y, .scale = s, .zero_point = i == 0 ? 90 : 110};
        oct_attrs attr = {.kernel = {3, 3}, .stride = {2, 2}, .pads = {1, 1, 1, 1}, .out_size = {1, 1}, .exclude_pad = {i == 1}, .lo = {0}, .hi = {255}};
        for (int n = 1; n < (i == 3 ? 37 : 10); n++) oct_f32(m)[n] = octq_mean_multiplier(0.05f, s, n);
        ck_ok(i == 0 ? oct_qmax_pool2d_forward(ctx, &attr, &qx, &qy)
              : i == 3 ? oct_qadaptive_avg_pool2d_forward(ctx, &attr, &qx, m, &qy) : oct_qavg_pool2d_forward(ctx, &attr, &qx, m, &qy));
        const int64_t *Y = y->shape.dim;
        double exact[64];
        ck_assert_int_le(oct_tensor_count(y), 64);
        for (int64_t at = 0; at < oct_tensor_count(y); at++) {
            int64_t c = at % 3, q = at / 3 % Y[2], p = at / 3 / Y[2] % Y[1], n = at / 3 / Y[2] / Y[1], sum = 0, cells = 0;
            for (int64_t h = i == 3 ? 0 : p * 2 - 1; h < (i == 3 ? 6 : p * 2 + 2); h++)
                for (int64_t w = i == 3 ? 0 : q * 2 - 1; w < (i == 3 ? 6 : q * 2 + 2); w++) {
                    cells += i == 2;
                    if (h < 0 || h >= 6 || w < 0 || w >= 6) continue;
                    cells += i != 2;
                    sum += oct_u8(x)[((n * 6 + h) * 6 + w) * 3 + c] - 90;
                }
            exact[at] = (double)sum * (double)0.05f / (double)cells / (double)s;
        }
        same_codes(y, want, i ? exact : NULL, names[i]);
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("quant_golden", minmax_observers, moving_average_observer, per_channel_observers, histogram_observers_lose_no_more, fake_quantization,
              conv_bn_training_steps, convolutions_and_linear, add_and_mul, pools)
