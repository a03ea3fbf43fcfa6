/* SPDX-License-Identifier: MIT
 * octet's observers and fake quantization against PyTorch's on the same numbers
 * (tests/golden/make_observer_golden.py). Equal, or different by one of these rules:
 *   zero_in     octet's qparams of an all-zero range have the smallest scale, 2^-23; PyTorch takes
 *   1 for it
 *   divide      octet divides by the scale, PyTorch multiplies by its reciprocal: codes differ
 *   where the two round apart
 *   per_step    octet's weight scales are those of the weights as they are: no moving average over
 *   steps (law 4) */
#include <math.h>

#include "octet.h"
#include "src/qround.h"
#include "tests/golden.h"

static const char FILE_[] = "observers.txt";

static oct_tensor *get(oct_ctx *ctx, const char *form, const char *name) {
    char full[96];
    snprintf(full, sizeof full, form, name);
    return golden(ctx, FILE_, full);
}

static float one(oct_ctx *ctx, const char *form, const char *name) {
    return oct_f32(get(ctx, form, name))[0];
}

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
    static const char *const sets[] = {"normal", "positive", "negative",
                                       "skewed", "tiny",     "constant"};
    oct_ctx *ctx = oct_open(NULL);
    for (int i = 0; i < 6; i++)
        for (int u7 = 0; u7 < 2; u7++) {
            oct_tensor *x = get(ctx, "minmax.%s.x", sets[i]);
            float lo, hi, s;
            int32_t z;
            range_of(oct_f32(x), oct_tensor_count(x), &lo, &hi);
            oct_qspec spec = oct_qspec_activation(8, u7);
            ck_ok(oct_qparams_from_range(&spec, lo, hi, sets[i], &s, &z));
            ck_assert_msg(s == one(ctx, u7 ? "minmax.%s.u7.scale" : "minmax.%s.u8.scale", sets[i]),
                          "%s: scale %.9g", sets[i], s);
            ck_assert_int_eq(
                z,
                (int)one(ctx, u7 ? "minmax.%s.u7.zero_point" : "minmax.%s.u8.zero_point", sets[i]));
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
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 1), OCT_SHAPE((int)k)), *q;
    /* else minmax in place of a search */
    const oct_qrule named = {OCT_QSCOPE_NAME, "input.quantize", {.observer = observer}};
    ck_not_null(q = oct_prepare(net, &(oct_qconfig){.rules = &named, .rule_count = 1}));
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

static const oct_quantizer *input_quantizer(const oct_net *q) {
    return &q->graph->quantizers[q->graph->values[q->graph->nodes[0].out].quantizer];
}

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
        const oct_tensor *minmax =
                             golden(ctx, FILE_,
                                    bits == 4 ? "channel4.minmax.scale" : "channel8.minmax.scale"),
                         *moving =
                             golden(ctx, FILE_,
                                    bits == 4 ? "channel4.moving.scale" : "channel8.moving.scale");
        oct_qspec spec = oct_qspec_weight(bits, true);
        for (int o = 0; o < 6; o++) {
            float lo, hi;
            range_of(oct_f32(w) + o * 18, 18, &lo, &hi);
            ck_assert_float_eq(oct_weight_scale(&spec, fmaxf(-lo, hi), 0, 1), oct_f32(minmax)[o]);
            /* per_step: equal on the first */
            ck_assert_float_eq(oct_f32(minmax)[o], oct_f32(moving)[o]);
        }
    }
    oct_close(ctx);
}
END_TEST

static double squared_error(const oct_tensor *x, float s, int32_t z) {
    double sum = 0;
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        double d = (double)octq_dequantize(octq_quantize(oct_f32(x)[i], s, z, 0, 255), s, z) -
                   (double)oct_f32(x)[i];
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
        const double theirs = squared_error(x, one(ctx, "histogram.%s.scale", sets[i]),
                                            (int32_t)one(ctx, "histogram.%s.zero_point", sets[i]));
        for (int k = 0; k < 2; k++) {
            const oct_quantizer *q = input_quantizer(observed_by(ctx, ours[k], x));
            const double error = squared_error(x, *oct_f32(q->scale), *oct_s32(q->zero_point));
            ck_assert_msg(error <= theirs * 1.01, "%s %s: %g, PyTorch's %g", sets[i], ours[k],
                          error, theirs);
        }
    }
    oct_close(ctx);
}
END_TEST

/* ---- fake quantization ---- */

/* `divide`: the one element where both roundings may part. */
static bool rounds_apart(float x, float s) { return rintf(x / s) != rintf(x * (1.0f / s)); }

static void check_fake(const oct_tensor *x, const oct_tensor *scale, const oct_tensor *zero, int lo,
                       int hi, const oct_tensor *y, const oct_tensor *dy, const oct_tensor *dx) {
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
        if (rounds_apart(oct_f32(x)[i], s))
            apart++;
        else if (got[i] != oct_f32(y)[i])
            ck_abort_msg("element %d: %.9g, PyTorch's %.9g", (int)i, got[i], oct_f32(y)[i]);
    }
    ck_assert_int_le(apart, (int)(n / 10));
    /* d mse = 2 (y - target) / n: a target that gives dy */
    for (int64_t i = 0; i < n; i++) oct_f32(target)[i] = got[i] - oct_f32(dy)[i] * (float)n / 2;
    ck_ok(oct_backward(oct_mse_loss(out, target)));
    for (int64_t i = 0; i < n; i++)
        if (!rounds_apart(oct_f32(x)[i], oct_f32(scale)[c > 1 ? i / (n / c) : 0])) {
            float want = oct_f32(dx)[i], g = oct_f32(p->grad)[i];
            if ((want == 0) != (g == 0) || fabsf(g - want) > 1e-4f * (1 + fabsf(want)))
                ck_abort_msg("gradient %d: %g, PyTorch's %g", (int)i, g, want);
        }
    oct_close(ctx);
}

START_TEST(fake_quantization) {
    static const char *const names[] = {"u8", "s4", "edge"};
    oct_ctx *ctx = oct_open(NULL);
    for (int i = 0; i < 3; i++) {
        const float *q = oct_f32(get(ctx, "fake.%s.q", names[i]));
        oct_tensor *s = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1)),
                   *z = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
        oct_f32(s)[0] = q[0];
        oct_s32(z)[0] = (int32_t)q[1];
        check_fake(get(ctx, "fake.%s.x", names[i]), s, z, (int)q[2], (int)q[3],
                   get(ctx, "fake.%s.y", names[i]), get(ctx, "fake.%s.dy", names[i]),
                   get(ctx, "fake.%s.dx", names[i]));
    }
    oct_tensor *z = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(5));
    check_fake(golden(ctx, FILE_, "fake.channel.x"), golden(ctx, FILE_, "fake.channel.scale"), z,
               -127, 127, golden(ctx, FILE_, "fake.channel.y"),
               golden(ctx, FILE_, "fake.channel.dy"), golden(ctx, FILE_, "fake.channel.dx"));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("observer_golden", minmax_observers, moving_average_observer, per_channel_observers,
              histogram_observers_lose_no_more, fake_quantization)
