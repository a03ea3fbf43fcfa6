/* SPDX-License-Identifier: MIT
 * The integer ops against PyTorch's (fbgemm, qnnpack) and ONNX Runtime's on the same codes. Where a
 * peer differs, the rule that makes the difference is named and gives its codes, every one;
 * everywhere else its codes are octet's. */
#include "tests/oct_test.h"

#include <math.h>

#include "ops/ops.h"
#include "ops/qops.h"
#include "src/qround.h"
#include "tests/golden.h"

/* How a value u, in units of the output's scale, becomes a code. */
typedef enum rule {
    LAW, /* half to even, then the zero point: octet */
    /* the zero point is added before rounding: ties go the other way where it is odd (ONNX
     * Runtime's add, mul, average) */
    Z_FIRST,
    AWAY,       /* half away from zero (qnnpack's add) */
    FLOAT_BIAS, /* the bias is not rounded to s_x * s_w (fbgemm's products) */
    FP32_F      /* the function in fp32, then multiplied by 1 / s_y (PyTorch's leaky_relu) */
} rule;

static int32_t code(rule r, float u, int32_t z, int32_t lo) {
    float v = r == Z_FIRST ? octq_rne(u + (float)z)
              : r == AWAY  ? copysignf(floorf(fabsf(u) + 0.5f), u) + (float)z
                           : octq_rne(u) + (float)z;
    return octq_clamp(v, lo, 255, z);
}

static oct_ctx *ctx;
static oct_tensor *file(const char *name) { return golden(ctx, "qops.txt", name); }
static const float *numbers(const char *name) { return oct_f32(file(name)); }

static oct_tensor *codes_of(const char *name) {
    const oct_tensor *f = file(name);
    oct_tensor *t = oct_tensor_new(ctx, OCT_U8, f->shape);
    for (int64_t i = 0; i < oct_tensor_count(f); i++) oct_u8(t)[i] = (uint8_t)oct_f32(f)[i];
    return t;
}

static oct_tensor *signed_codes(const char *name) {
    const oct_tensor *f = file(name);
    oct_tensor *t = oct_tensor_new(ctx, OCT_S8, f->shape);
    for (int64_t i = 0; i < oct_tensor_count(f); i++) oct_s8(t)[i] = (int8_t)oct_f32(f)[i];
    return t;
}

/* ours: what octet gives; u, z, lo: for the rule. Differences are a code at most, and there must be
 * some where a rule is named. */
static void check(const char *what, const char *peer, rule r, const oct_tensor *ours,
                  const float *u, int32_t z, int32_t lo) {
    const oct_tensor *theirs = file(octi_fmt("%s.%s", what, peer));
    int differ = 0;
    ck_assert_int_eq(oct_tensor_count(theirs), oct_tensor_count(ours));
    for (int64_t i = 0; i < oct_tensor_count(ours); i++) {
        const int got = (int)oct_f32(theirs)[i], mine = oct_u8(ours)[i],
                  named = r == LAW ? mine : code(r, u[i], z, lo);
        if (got != named || abs(got - mine) > 1)
            ck_abort_msg("%s of %s [%d]: %d, octet %d, by its rule %d", what, peer, (int)i, got,
                         mine, named);
        differ += got != mine;
    }
    ck_assert_msg((differ > 0) == (r != LAW), "%s of %s: %d codes differ", what, peer, differ);
    if (r != LAW)
        printf("%s of %s: %d of %d codes differ by rule %d\n", what, peer, differ,
               (int)oct_tensor_count(ours), (int)r);
}

/* ---- products ---- */

/* Values with the bias as a float, as fbgemm has them; the accumulators come from octet's own op on
 * a fine grid's inverse: here from plain loops. */
static void float_bias(const oct_tensor *x, const oct_tensor *w, const float *p, const float *sw,
                       const float *b, float *u) {
    const int64_t k = w->shape.dim[1], o = w->shape.dim[0];
    for (int64_t i = 0; i < x->shape.dim[0]; i++)
        for (int64_t j = 0; j < o; j++) {
            int32_t acc = 0;
            for (int64_t e = 0; e < k; e++)
                acc += (oct_u8(x)[i * k + e] - (int32_t)p[1]) * oct_s8(w)[j * k + e];
            float bias = b[j] / (p[0] * sw[j]);
            u[i * o + j] = ((float)acc + bias) * ((p[0] * sw[j]) / p[2]);
        }
}

static void product(const char *name, rule fbgemm) {
    oct_tensor *x = codes_of(octi_fmt("%s.x", name)), *w = signed_codes(octi_fmt("%s.w", name));
    const float *sw = numbers(octi_fmt("%s.sw", name)), *b = numbers(octi_fmt("%s.b", name)),
                *p = numbers(octi_fmt("%s.p", name));
    const int64_t o = w->shape.dim[0];
    oct_tensor *bias = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(o)),
               *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(o));
    oct_tensor *y = oct_tensor_new(ctx, OCT_U8, file(octi_fmt("%s.ort", name))->shape);
    for (int64_t j = 0; j < o; j++) {
        oct_s32(bias)[j] = octq_bias(b[j], p[0], sw[j]);
        oct_f32(m)[j] = octq_multiplier(p[0], sw[j], p[2]);
    }
    const bool conv = w->shape.rank == 4;
    oct_attrs a = {.hi = {255}};
    if (conv)
        a = (oct_attrs){.kernel = {(int)w->shape.dim[1], (int)w->shape.dim[2]},
                        .stride = {(int)p[4], (int)p[4]},
                        .dilation = {(int)p[6], (int)p[6]},
                        .pads = {(int)p[5], (int)p[5], (int)p[5], (int)p[5]},
                        .groups = {(int)p[7]},
                        .lo = {p[8] != 0 ? (int)p[3] : 0},
                        .hi = {255}};
    const oct_qtensor qx = {x, p[0], (int)p[1]}, qy = {y, p[2], (int)p[3]};
    ck_ok(conv ? oct_qconv2d_forward(ctx, &a, &qx, w, bias, m, &qy)
               : oct_qlinear_forward(ctx, &a, &qx, w, bias, m, &qy));
    float u[512];
    if (fbgemm == FLOAT_BIAS) float_bias(x, w, p, sw, b, u);
    check(name, "fbgemm", fbgemm, y, u, (int)p[3], a.lo[0]);
    check(name, "qnnpack", LAW, y, NULL, 0, 0);
    check(name, "ort", LAW, y, NULL, 0, 0);
}

START_TEST(products) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    static const char *const names[] = {"conv0", "conv1",   "conv2",  "conv3",
                                        "conv4", "linear0", "linear2"};
    for (int i = 0; i < 7; i++) product(names[i], LAW);
    product("linear1", FLOAT_BIAS);
    oct_close(ctx);
}
END_TEST

/* ---- pairs ---- */

static void pair(const char *name, bool mul, rule qnnpack, rule ort) {
    oct_tensor *a = codes_of(octi_fmt("%s.a", name)), *b = codes_of(octi_fmt("%s.b", name));
    const float *p = numbers(octi_fmt("%s.p", name));
    const int za = (int)p[1], zb = (int)p[3], zy = (int)p[5];
    oct_tensor *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(mul ? 1 : 2)),
               *y = oct_tensor_new(ctx, OCT_U8, a->shape);
    if (mul)
        oct_f32(m)[0] = octq_multiplier(p[0], p[2], p[4]);
    else
        oct_f32(m)[0] = octq_ratio(p[0], p[4]), oct_f32(m)[1] = octq_ratio(p[2], p[4]);
    const oct_qtensor qa = {a, p[0], za}, qb = {b, p[2], zb}, qy = {y, p[4], zy};
    const oct_attrs at = {.hi = {255}};
    ck_ok(mul ? oct_qmul_forward(ctx, &at, &qa, &qb, m, &qy)
              : oct_qadd_forward(ctx, &at, &qa, &qb, m, &qy));
    float u[512];
    for (int64_t i = 0; i < oct_tensor_count(a); i++)
        u[i] =
            mul ? octq_mul_value(oct_u8(a)[i], za, oct_u8(b)[i], zb, oct_f32(m)[0])
                : octq_add_value(oct_u8(a)[i], za, oct_f32(m)[0], oct_u8(b)[i], zb, oct_f32(m)[1]);
    check(name, "fbgemm", LAW, y, u, zy, 0);
    check(name, "qnnpack", qnnpack, y, u, zy, 0);
    check(name, "ort", ort, y, u, zy, 0);
}

static void cat(const char *name) {
    oct_tensor *x[2] = {codes_of(octi_fmt("%s.a", name)), codes_of(octi_fmt("%s.b", name))};
    const float *p = numbers(octi_fmt("%s.p", name));
    oct_tensor *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2)),
               *y = oct_tensor_new(ctx, OCT_U8, file(octi_fmt("%s.fbgemm", name))->shape);
    for (int k = 0; k < 2; k++) oct_f32(m)[k] = octq_ratio(p[2 * k], p[4]);
    const oct_qtensor in[2] = {{x[0], p[0], (int)p[1]}, {x[1], p[2], (int)p[3]}};
    ck_ok(oct_qcat_forward(ctx, &(oct_attrs){.axis = {2}}, in, 2, m,
                           &(oct_qtensor){y, p[4], (int)p[5]}));
    check(name, "fbgemm", LAW, y, NULL, 0, 0);
}

/* 0: scales of no shape; 1: powers of two, so that every fourth value is a tie */
START_TEST(pairs) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    pair("add0", false, LAW, LAW);
    pair("add1", false, AWAY, Z_FIRST);
    pair("mul0", true, LAW, LAW);
    pair("mul1", true, LAW, Z_FIRST);
    cat("cat0");
    cat("cat1");
    oct_close(ctx);
}
END_TEST

/* ---- averages ---- */

static int largest_window(int64_t size, int out) {
    int most = 0;
    for (int64_t i = 0; i < out; i++) {
        int cells = (int)(((i + 1) * size + out - 1) / out - i * size / out);
        most = cells > most ? cells : most;
    }
    return most;
}

static void average(const char *name, const char *peer, oct_attrs a, float sy, int zy, rule r) {
    oct_tensor *x = codes_of("avg.x");
    const float *p = numbers("avg.p");
    oct_tensor *y = oct_tensor_new(ctx, OCT_U8, file(octi_fmt("%s.%s", name, peer))->shape);
    const bool adaptive = a.out_size[0] > 0;
    int most = a.kernel[0] * a.kernel[1];
    const int64_t *xd = x->shape.dim;
    if (adaptive)
        most = largest_window(xd[1], a.out_size[0]) * largest_window(xd[2], a.out_size[1]);
    oct_tensor *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(most + 1));
    for (int n = 0; n <= most; n++) oct_f32(m)[n] = octq_mean_multiplier(p[0], sy, n ? n : 1);
    const oct_qtensor qx = {x, p[0], (int)p[1]}, qy = {y, sy, zy};
    ck_ok(adaptive ? oct_qadaptive_avg_pool2d_forward(ctx, &a, &qx, m, &qy)
                   : oct_qavg_pool2d_forward(ctx, &a, &qx, m, &qy));
    float u[256];
    for (int64_t i = 0; r != LAW && i < oct_tensor_count(y); i++) { /* whole windows only */
        const int64_t c = i % xd[3], q = i / xd[3] % y->shape.dim[2],
                      h = i / xd[3] / y->shape.dim[2];
        int32_t sum = 0;
        for (int k = 0; k < most; k++)
            sum += oct_u8(x)[((h * a.stride[0] + k / a.kernel[1]) * xd[2] + q * a.stride[1] +
                              k % a.kernel[1]) *
                                 xd[3] +
                             c] -
                   (int)p[1];
        u[i] = (float)sum * oct_f32(m)[most];
    }
    check(name, peer, r, y, u, zy, 0);
}

START_TEST(averages) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    const float *p = numbers("avg.p");
    const float s = p[0], sy = p[2];
    const int z = (int)p[1], zy = (int)p[3];
    const oct_attrs padded = {.kernel = {3, 3}, .stride = {2, 2}, .pads = {1, 1, 1, 1}},
                    quarters = {.kernel = {2, 2}, .stride = {2, 2}};
    oct_attrs inside = padded;
    inside.exclude_pad[0] = 1;
    average("avg0", "fbgemm", padded, s, z, LAW);
    average("avg0", "qnnpack", padded, s, z, LAW);
    average("avg0", "ort", padded, sy, zy, LAW);
    average("avg1", "fbgemm", inside, s, z, LAW);
    average("avg1", "ort", inside, sy, zy, LAW);
    average("avg2", "fbgemm", quarters, s, z, LAW);
    average("avg2", "qnnpack", quarters, s, z, LAW);
    average("avg2", "ort", quarters, s, z, Z_FIRST);
    average("adaptive", "fbgemm", (oct_attrs){.out_size = {2, 3}}, s, z, LAW);
    average("global", "ort", (oct_attrs){.out_size = {1, 1}}, sy, zy, LAW);
    oct_tensor *x = codes_of("avg.x"), *y = oct_tensor_new(ctx, OCT_U8, file("max.fbgemm")->shape);
    ck_ok(oct_qmax_pool2d_forward(ctx, &padded, &(oct_qtensor){x, s, z}, &(oct_qtensor){y, s, z}));
    check("max", "fbgemm", LAW, y, NULL, 0, 0);
    oct_close(ctx);
}
END_TEST

/* ---- functions ---- */

START_TEST(functions) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    static const struct {
        const char *name;
        oct_op_kind kind;
        rule torch;
        bool ort;
    } rows[] = {{"sigmoid", OCT_OP_sigmoid, LAW, true},
                {"tanh", OCT_OP_tanh, LAW, false},
                {"hardsigmoid", OCT_OP_hardsigmoid, LAW, false},
                {"hardswish", OCT_OP_hardswish, LAW, false},
                {"leaky_relu", OCT_OP_leaky_relu, FP32_F, true}};
    const float *x = numbers("table.p");
    const oct_attrs a = {.slope = 0.1f};
    for (int i = 0; i < 5; i++) {
        const float *y = numbers(octi_fmt("%s.p", rows[i].name));
        oct_tensor *table = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(256));
        float u[256];
        for (int c = 0; c < 256; c++) {
            const double step = c - (int)x[1];
            oct_u8(table)[c] = (uint8_t)octq_table_code(
                octq_table_value(octi_unary_f64(rows[i].kind, &a, (double)x[0] * step), y[0]),
                (int)y[1], 0, 255);
            const float v = x[0] * (float)step, inverse = 1.0f / y[0];
            u[c] = (v > 0 ? v : v * a.slope) * inverse;
        }
        check(rows[i].name, "fbgemm", rows[i].torch, table, u, (int)y[1], 0);
        check(rows[i].name, "qnnpack", rows[i].torch, table, u, (int)y[1], 0);
        if (rows[i].ort) check(rows[i].name, "ort", LAW, table, NULL, 0, 0);
    }
    oct_tensor *in = codes_of("softmax.x"), *out = oct_tensor_new(ctx, OCT_U8, in->shape),
               *e = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(256));
    for (int k = 0; k < 256; k++) oct_f32(e)[k] = octq_softmax_exp(x[0], k);
    ck_ok(oct_qsoftmax_forward(ctx, &(oct_qtensor){in, x[0], (int)x[1]}, e,
                               &(oct_qtensor){out, 1.0f / 256, 0}));
    check("softmax", "ort", LAW, out, NULL, 0, 0);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("qops_golden", products, pairs, averages, functions)
