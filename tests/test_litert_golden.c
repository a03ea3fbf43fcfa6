/* SPDX-License-Identifier: MIT
 * octet's integer ops under law 16 against LiteRT's reference kernels on the same codes
 * (tests/golden/make_litert_golden.py): every code is theirs. The same operands under law 7 give
 * others, so that the test tells the two apart. */
#include "tests/oct_test.h"

#include <math.h>

#include "ops/ops.h"
#include "ops/qops.h"
#include "src/qround.h"
#include "tests/golden.h"

static oct_ctx *ctx;
static int held, other; /* codes; that law 7 has otherwise */
static int in_double;   /* that FULLY_CONNECTED has otherwise */

static oct_tensor *file(const char *name) { return golden(ctx, "litert.txt", name); }
static const float *numbers(const char *name) { return oct_f32(file(name)); }

static oct_tensor *as(const char *name, oct_dtype dtype) {
    const oct_tensor *f = file(name);
    oct_tensor *t = oct_tensor_new(ctx, dtype, f->shape);
    for (int64_t i = 0; i < oct_tensor_count(f); i++) {
        const float v = oct_f32(f)[i];
        if (dtype == OCT_U8) oct_u8(t)[i] = (uint8_t)v;
        if (dtype == OCT_S8) oct_s8(t)[i] = (int8_t)v;
        if (dtype == OCT_S32) oct_s32(t)[i] = (int32_t)v;
    }
    return t;
}

/* Records of both laws: f32 [n], s32 [2,n]. */
typedef struct both {
    oct_tensor *m, *q31;
} both;
static both records(int64_t n, int64_t n_q31) {
    return (both){oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(n)),
                  oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(2, n_q31))};
}
static void set(both by, int64_t i, float m, double exact) {
    int32_t *q = oct_s32(by.q31);
    oct_f32(by.m)[i] = m;
    octq_q31_of(exact, &q[i], &q[by.q31->shape.dim[1] + i]);
}

typedef oct_status op_fn(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y);

/* Runs under both laws; `got` under law 16 is LiteRT's. */
static void hold(const char *what, oct_attrs a, both by, float s, int z, op_fn *op) {
    const oct_tensor *want = file(what);
    oct_tensor *got[2];
    for (int law = 0; law < 2; law++) {
        got[law] = oct_tensor_new(ctx, OCT_U8, want->shape);
        const oct_qtensor y = {got[law], s, z};
        a.law[0] = law;
        ck_ok(op(&a, law ? by.q31 : by.m, &y));
    }
    for (int64_t i = 0; i < oct_tensor_count(want); i++) {
        held++;
        other += oct_u8(got[0])[i] != oct_u8(got[1])[i];
        if (oct_u8(got[1])[i] != (int)oct_f32(want)[i])
            ck_abort_msg("%s[%d]: LiteRT %d, octet %d", what, (int)i, (int)oct_f32(want)[i],
                         oct_u8(got[1])[i]);
    }
}

static void told(void) {
    printf("%d codes are LiteRT's, %d of them others under law 7\n", held, other);
    ck_assert_int_gt(other, 0);
}

/* "same": as TensorFlow pads, the odd cell at the end. */
static void same(int64_t size, int kernel, int stride, int32_t *before, int32_t *after) {
    const int64_t out = (size + stride - 1) / stride, room = (out - 1) * stride + kernel - size;
    *before = room > 0 ? (int32_t)(room / 2) : 0;
    *after = room > 0 ? (int32_t)room - *before : 0;
}

static oct_qtensor in[2];
static oct_tensor *w, *b;

static oct_status conv_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qconv2d_forward(ctx, a, &in[0], w, b, by, y);
}
static oct_status linear_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qlinear_forward(ctx, a, &in[0], w, b, by, y);
}

/* FULLY_CONNECTED as such: that reference kernel multiplies and rounds in double, a half away from
 * zero. Where its codes are not law 16's, they are that, and a code off. */
static void dense(const char *name, const float *p, const float *sw, int lo) {
    const oct_tensor *theirs = file(octi_fmt("%s.dense", name)),
                     *ours = file(octi_fmt("%s.y", name));
    const int64_t o = w->shape.dim[0], k = w->shape.dim[1];
    int differ = 0;
    for (int64_t i = 0; i < oct_tensor_count(theirs); i++) {
        int32_t sum = oct_s32(b)[i % o];
        for (int64_t e = 0; e < k; e++)
            sum +=
                (oct_u8(in[0].codes)[i / o * k + e] - in[0].zero_point) * oct_s8(w)[i % o * k + e];
        const double v = sum * octq_product_ratio(p[0], sw[i % o], p[2]), code = round(v) + p[3];
        const int got = (int)oct_f32(theirs)[i], named = (int)fmin(fmax(code, lo), 255);
        if (got != named || abs(got - (int)oct_f32(ours)[i]) > 1)
            ck_abort_msg("%s.dense[%d]: %d, by its rule %d", name, (int)i, got, named);
        differ += got != (int)oct_f32(ours)[i];
    }
    in_double += differ;
    printf("%s: FULLY_CONNECTED has %d of %d codes otherwise\n", name, differ,
           (int)oct_tensor_count(theirs));
}

static void product(const char *name) {
    const float *p = numbers(octi_fmt("%s.p", name)), *sw = numbers(octi_fmt("%s.sw", name));
    w = as(octi_fmt("%s.w", name), OCT_S8);
    b = as(octi_fmt("%s.b", name), OCT_S32);
    in[0] = (oct_qtensor){as(octi_fmt("%s.x", name), OCT_U8), p[0], (int)p[1]};
    const int64_t o = w->shape.dim[0];
    const both by = records(o, o);
    const bool image = w->shape.rank == 4;
    for (int64_t j = 0; j < o; j++)
        set(by, j, octq_multiplier(p[0], sw[j], p[2]), octq_product_ratio(p[0], sw[j], p[2]));
    oct_attrs a = {.lo = {p[4] > 0 ? (int)p[3] : 0},
                   .hi = {p[4] > 1 ? octq_quantize(6, p[2], (int)p[3], 0, 255) : 255}};
    if (image) {
        const int kernel[2] = {(int)w->shape.dim[1], (int)w->shape.dim[2]}, dil = (int)p[7];
        for (int k = 0; k < 2; k++) {
            a.kernel[k] = kernel[k], a.stride[k] = (int)p[5], a.dilation[k] = dil;
            if (p[6] > 0)
                same(in[0].codes->shape.dim[k + 1], (kernel[k] - 1) * dil + 1, (int)p[5],
                     &a.pads[k], &a.pads[k + 2]);
        }
        a.groups[0] = (int)p[8];
    }
    hold(octi_fmt("%s.y", name), a, by, p[2], (int)p[3], image ? conv_op : linear_op);
    if (!image) dense(name, p, sw, a.lo[0]);
}

START_TEST(products) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    static const char *const names[] = {"conv0", "conv1", "conv4",   "conv2",   "conv3",
                                        "dw0",   "dw1",   "linear0", "linear1", "linear2"};
    for (int i = 0; i < 10; i++) product(names[i]);
    ck_assert_int_gt(in_double, 0);
    told();
    oct_close(ctx);
}
END_TEST

static oct_status add_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qadd_forward(ctx, a, &in[0], &in[1], by, y);
}
static oct_status mul_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qmul_forward(ctx, a, &in[0], &in[1], by, y);
}

START_TEST(pairs) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    for (int i = 0; i < 8; i++) {
        const bool mul = i % 2;
        const char *name = octi_fmt("%s%d", mul ? "mul" : "add", i / 2);
        const float *p = numbers(octi_fmt("%s.p", name));
        in[0] = (oct_qtensor){as(octi_fmt("%s.a", name), OCT_U8), p[0], (int)p[1]};
        in[1] = (oct_qtensor){as(octi_fmt("%s.b", name), OCT_U8), p[2], (int)p[3]};
        const both by = mul ? records(1, 1) : records(2, 3);
        if (mul) {
            set(by, 0, octq_multiplier(p[0], p[2], p[4]), octq_product_ratio(p[0], p[2], p[4]));
        } else {
            oct_f32(by.m)[0] = octq_ratio(p[0], p[4]), oct_f32(by.m)[1] = octq_ratio(p[2], p[4]);
            octq_q31_add_of(p[0], p[2], p[4], oct_s32(by.q31), oct_s32(by.q31) + 3);
        }
        const oct_attrs a = {.lo = {p[6] > 0 ? (int)p[5] : 0}, .hi = {255}};
        hold(octi_fmt("%s.y", name), a, by, p[4], (int)p[5], mul ? mul_op : add_op);
    }
    told();
    oct_close(ctx);
}
END_TEST

static oct_status average_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qavg_pool2d_forward(ctx, a, &in[0], a->law[0] ? NULL : by, y);
}
static oct_status largest_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    (void)by;
    return oct_qmax_pool2d_forward(ctx, a, &in[0], y);
}
static oct_status mean_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qadaptive_avg_pool2d_forward(ctx, a, &in[0], by, y);
}

START_TEST(windows) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    for (int i = 0; i < 3; i++) {
        const float *p = numbers(octi_fmt("pool%d.p", i));
        const int cells = (int)(p[2] * p[3]);
        in[0] = (oct_qtensor){as(octi_fmt("pool%d.x", i), OCT_U8), p[0], (int)p[1]};
        oct_attrs a = {.exclude_pad = {1}};
        for (int k = 0; k < 2; k++) {
            a.kernel[k] = (int)p[2 + k], a.stride[k] = (int)p[4], a.dilation[k] = 1;
            if (p[5] > 0)
                same(in[0].codes->shape.dim[k + 1], a.kernel[k], a.stride[k], &a.pads[k],
                     &a.pads[k + 2]);
        }
        const both by = records(cells + 1, cells + 1);
        for (int n = 0; n <= cells; n++) set(by, n, octq_mean_multiplier(p[0], p[0], n ? n : 1), 1);
        hold(octi_fmt("pool%d.average", i), a, by, p[0], (int)p[1], average_op);
        hold(octi_fmt("pool%d.largest", i), a, by, p[0], (int)p[1], largest_op);
    }
    for (int i = 0; i < 3; i++) {
        const float *p = numbers(octi_fmt("mean%d.p", i));
        in[0] = (oct_qtensor){as(octi_fmt("mean%d.x", i), OCT_U8), p[0], (int)p[1]};
        const int64_t cells = in[0].codes->shape.dim[1] * in[0].codes->shape.dim[2];
        const both by = records(cells + 1, cells + 1);
        int32_t *q = oct_s32(by.q31);
        for (int64_t n = 0; n <= cells; n++) {
            oct_f32(by.m)[n] = octq_mean_multiplier(p[0], p[2], n ? n : 1);
            octq_q31_mean_of(p[0], p[2], n ? n : 1, &q[n], &q[cells + 1 + n]);
        }
        const oct_attrs a = {.out_size = {1, 1}};
        hold(octi_fmt("mean%d.y", i), a, by, p[2], (int)p[3], mean_op);
    }
    told();
    oct_close(ctx);
}
END_TEST

static oct_status requantize_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y);

START_TEST(requantized) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *every = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, 256));
    for (int k = 0; k < 256; k++) oct_u8(every)[k] = (uint8_t)k;
    for (int i = 0; i < 3; i++) {
        const float *p = numbers(octi_fmt("requantize%d.p", i));
        in[0] = (oct_qtensor){every, p[0], (int)p[1]};
        const both by = records(1, 1);
        set(by, 0, octq_ratio(p[0], p[2]), (double)p[0] / (double)p[2]);
        hold(octi_fmt("requantize%d.y", i), (oct_attrs){.axis = {1}}, by, p[2], (int)p[3],
             requantize_op);
    }
    told();
    oct_close(ctx);
}
END_TEST

/* by way of a cat of one member: requantize has no attributes in the public call */
static oct_status requantize_op(const oct_attrs *a, const oct_tensor *by, const oct_qtensor *y) {
    return oct_qcat_forward(ctx, a, &in[0], 1, by, y);
}

static int code_of(int32_t whole, int32_t z) { return octq_whole_code(whole, z, 0, 255); }
static int table_of(double f, float s, int32_t z) {
    return octq_table_code(octq_table_value(f, s), z, 0, 255);
}

/* Leaky relu and hardswish in LiteRT's own arithmetic; octet's tables of sigmoid and tanh are its
 * tables. */
START_TEST(functions) {
    static const float slopes[] = {0.1f, 0.25f, -0.3f, 0.01f, 1.5f, 0.525f};
    int nearest = 0;
    ctx = oct_open(&(oct_opts){.threads = 1});
    for (int i = 0; i < 6; i++) {
        const float *p = numbers(octi_fmt("function%d.p", i)),
                    *leaky = numbers(octi_fmt("function%d.leaky_relu", i)),
                    *swish = numbers(octi_fmt("function%d.hardswish", i)),
                    *sigmoid = numbers(octi_fmt("function%d.sigmoid", i)),
                    *tanh_of = numbers(octi_fmt("function%d.tanh", i));
        const int zx = (int)p[1], zy = (int)p[3];
        for (int q = 0; q < 256; q++) {
            const double x = (double)p[0] * (q - zx), h = fmin(fmax(x + 3, 0), 6) / 6;
            ck_assert_int_eq(code_of(octq_q31_leaky_relu(q - zx, slopes[i], p[0], p[2]), zy),
                             (int)leaky[q]);
            ck_assert_int_eq(code_of(octq_q31_hardswish(q - zx, p[0], p[2]), zy), (int)swish[q]);
            ck_assert_int_eq(table_of(1 / (1 + exp(-x)), 1.0f / 256, 0), (int)sigmoid[q]);
            ck_assert_int_eq(table_of(tanh(x), 1.0f / 128, 128), (int)tanh_of[q]);
            nearest += table_of(x < 0 ? x * (double)slopes[i] : x, p[2], zy) != (int)leaky[q];
            nearest += table_of(x * h, p[2], zy) != (int)swish[q];
        }
    }
    ck_assert_int_gt(nearest, 0);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("litert_golden", products, pairs, windows, requantized, functions)
