/* SPDX-License-Identifier: MIT
 * int8 kernels and tensor ops against loops over int64 and the law; adversarial codes, guard bytes,
 * threads, bounds. */
#include "ops/qops.h"

#include <float.h>
#include <math.h>

#include "ops/kernels/kernels.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/rng.h"
#include "tests/conv_spec.h"
#include "tests/oct_test.h"

enum { GUARD = 64 };

/* Check marks every assertion; in loops over elements only failures call it. */
#define SAME(got, want)                                                                            \
    do {                                                                                           \
        int got_ = (got), want_ = (want);                                                          \
        if (got_ != want_) ck_abort_msg("%s is %d, %s is %d", #got, got_, #want, want_);           \
    } while (0)

static octi_rng rng;
static uint32_t below(uint32_t n) { return octi_rng_below(&rng, n); }

/* A tensor in the middle of guard bytes. */
typedef struct guarded {
    uint8_t *block;
    size_t bytes;
    oct_tensor *t;
} guarded;

static guarded guard(oct_ctx *ctx, oct_dtype d, oct_shape s) {
    guarded g = {.bytes = (size_t)oct_shape_count(&s) * oct_dtype_size(d)};
    g.block = malloc(g.bytes + 2 * GUARD);
    memset(g.block, 0xa5, g.bytes + 2 * GUARD);
    g.t = oct_tensor_borrow(ctx, d, s, g.block + GUARD);
    ck_not_null(g.t);
    return g;
}

static void unguard(guarded *g) {
    for (int i = 0; i < GUARD; i++)
        SAME(g->block[i] == 0xa5 && g->block[GUARD + g->bytes + (size_t)i] == 0xa5, 1);
    oct_tensor_unref(g->t);
    free(g->block);
}

static void fill_codes(uint8_t *x, int64_t n, int style) {
    for (int64_t i = 0; i < n; i++)
        x[i] = (uint8_t)(style == 0   ? 0
                         : style == 1 ? 255
                         : style == 2 ? (i % 2 ? 255 : 0)
                                      : below(256));
}

static void fill_weights(int8_t *w, int64_t n, int style) {
    for (int64_t i = 0; i < n; i++)
        w[i] = (int8_t)(style == 0   ? 127
                        : style == 1 ? -127
                        : style == 2 ? (i % 2 ? 127 : -127)
                                     : (int)below(255) - 127);
}

typedef struct conv_case {
    int n, h, w, c, o, r, s, sh, sw, pt, pl, pb, pr, dh, dw, g;
} conv_case;

static int out_size(int size, int p0, int p1, int k, int s, int d) {
    return size + p0 + p1 < d * (k - 1) + 1 ? 0 : (size + p0 + p1 - d * (k - 1) - 1) / s + 1;
}

/* One convolution: op (threads 1 and 4), literal kernel, and int64 loops. */
static void check_conv(oct_ctx *one, oct_ctx *four, conv_case k, int xs, int ws) {
    int p = out_size(k.h, k.pt, k.pb, k.r, k.sh, k.dh),
        q = out_size(k.w, k.pl, k.pr, k.s, k.sw, k.dw), cg = k.c / k.g;
    if (p < 1 || q < 1) return;
    int zx = below(3)   ? (int)below(256)
             : below(2) ? 255
                        : 0,
        zy = below(3)   ? (int)below(256)
             : below(2) ? 255
                        : 0,
        taps = k.r * k.s * cg;
    guarded x = guard(one, OCT_U8, OCT_SHAPE(k.n, k.h, k.w, k.c)),
            w = guard(one, OCT_S8, OCT_SHAPE(k.o, k.r, k.s, cg)),
            b = guard(one, OCT_S32, OCT_SHAPE(k.o)), m = guard(one, OCT_F32, OCT_SHAPE(k.o)),
            y = guard(one, OCT_U8, OCT_SHAPE(k.n, p, q, k.o)),
            y4 = guard(one, OCT_U8, OCT_SHAPE(k.n, p, q, k.o));
    uint8_t *spec = malloc(y.bytes);
    fill_codes(oct_u8(x.t), (int64_t)x.bytes, xs);
    fill_weights(oct_s8(w.t), (int64_t)w.bytes, ws);
    for (int o = 0; o < k.o; o++) {
        oct_s32(b.t)[o] = (int32_t)below(1u << 20) - (1 << 19);
        oct_f32(m.t)[o] =
            below(4) ? (0.2f + octi_rng_uniform(&rng)) * 60.0f / (4000.0f * sqrtf((float)taps))
                     : 0.5f; /* 0.5: exact ties */
    }
    int lo = below(2) ? zy : (int)below((uint32_t)zy + 1),
        hi = zy + (int)below((uint32_t)(256 - zy));
    oct_attrs a = {.kernel = {k.r, k.s},
                   .stride = {k.sh, k.sw},
                   .pads = {k.pt, k.pl, k.pb, k.pr},
                   .dilation = {k.dh, k.dw},
                   .groups = {k.g},
                   .lo = {lo},
                   .hi = {hi}};
    oct_qtensor qx = {x.t, 0.1f, zx}, qy = {y.t, 0.2f, zy}, qy4 = {y4.t, 0.2f, zy};
    ck_ok(oct_qconv2d_forward(one, &a, &qx, w.t, b.t, m.t, &qy));
    ck_ok(oct_qconv2d_forward(four, &a, &qx, w.t, b.t, m.t, &qy4));
    conv_u8s8_spec(
        &(conv_u8s8){.x = {oct_u8(x.t), (int64_t)k.h * k.w * k.c, (int64_t)k.w * k.c, k.c},
                     .y = {spec, (int64_t)p * q * k.o, (int64_t)q * k.o, k.o},
                     .w = oct_s8(w.t),
                     .b = oct_s32(b.t),
                     .m = oct_f32(m.t),
                     .zx = zx,
                     .zy = zy,
                     .lo = lo,
                     .hi = hi,
                     .n = k.n,
                     .h = k.h,
                     .w_in = k.w,
                     .c = k.c,
                     .p = p,
                     .q = q,
                     .o = k.o,
                     .r = k.r,
                     .s = k.s,
                     .stride_h = k.sh,
                     .stride_w = k.sw,
                     .pad_top = k.pt,
                     .pad_left = k.pl,
                     .dil_h = k.dh,
                     .dil_w = k.dw,
                     .groups = k.g});
    for (int64_t i = 0; i < (int64_t)y.bytes; i++) {
        int o = (int)(i % k.o), Q = (int)(i / k.o % q), P = (int)(i / k.o / q % p),
            N = (int)(i / k.o / q / p);
        int64_t acc = oct_s32(b.t)[o];
        for (int t = 0; t < taps; t++) {
            int c = t % cg, h = P * k.sh - k.pt + t / cg / k.s * k.dh,
                v = Q * k.sw - k.pl + t / cg % k.s * k.dw;
            int code =
                h < 0 || v < 0 || h >= k.h || v >= k.w
                    ? zx
                    : oct_u8(x.t)[((N * k.h + h) * k.w + v) * k.c + o / (k.o / k.g) * cg + c];
            acc += (int64_t)(code - zx) * oct_s8(w.t)[o * taps + t];
        }
        int want = octq_requant((int32_t)acc, oct_f32(m.t)[o], zy, lo, hi);
        SAME(oct_u8(y.t)[i], want);
        SAME(spec[i], want);
    }
    ck_assert(!memcmp(oct_u8(y.t), oct_u8(y4.t), y.bytes));
    free(spec);
    guarded *all[] = {&x, &w, &b, &m, &y, &y4};
    for (int i = 0; i < 6; i++) unguard(all[i]);
}

START_TEST(conv_equals_reference) {
    oct_ctx *one = oct_open(&(oct_opts){.threads = 1}), *four = oct_open(&(oct_opts){.threads = 4});
    rng = octi_rng_stream(5, OCTI_RNG_TEST, 0, 0);
    for (int i = 0; i < 400; i++) {
        int g = below(3) ? 1 : 1 + (int)below(4), cg = 1 + (int)below(i % 7 ? 9 : 40),
            og = 1 + (int)below(i % 5 ? 7 : 70);
        if (i % 9 == 0) g = 1 + (int)below(80), cg = og = 1; /* depthwise, across the block of 64 */
        conv_case k = {1 + (int)below(3),
                       1 + (int)below(9),
                       1 + (int)below(9),
                       g * cg,
                       g * og,
                       1 + (int)below(5),
                       1 + (int)below(5),
                       1 + (int)below(3),
                       1 + (int)below(3),
                       (int)below(4),
                       (int)below(4),
                       (int)below(4),
                       (int)below(4),
                       1 + (int)below(3),
                       1 + (int)below(3),
                       g};
        check_conv(one, four, k, (int)below(6), (int)below(6));
    }
    check_conv(one, four, (conv_case){37, 1, 1, 33, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1}, 3,
               3); /* patches across images */
    check_conv(one, four, (conv_case){1, 9, 9, 16, 130, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 1, 0);
    oct_close(one);
    oct_close(four);
}
END_TEST

START_TEST(linear_equals_reference) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 3});
    rng = octi_rng_stream(5, OCTI_RNG_TEST, 1, 0);
    for (int i = 0; i < 60; i++) {
        int n = 1 + (int)below(40), k = 1 + (int)below(300), o = 1 + (int)below(150),
            zx = (int)below(256), zy = (int)below(256);
        guarded x = guard(ctx, OCT_U8, OCT_SHAPE(n, k)), w = guard(ctx, OCT_S8, OCT_SHAPE(o, k)),
                b = guard(ctx, OCT_S32, OCT_SHAPE(o)), m = guard(ctx, OCT_F32, OCT_SHAPE(o)),
                y = guard(ctx, OCT_U8, OCT_SHAPE(n, o));
        fill_codes(oct_u8(x.t), n * k, i % 5);
        fill_weights(oct_s8(w.t), o * k, i % 7);
        for (int j = 0; j < o; j++)
            oct_s32(b.t)[j] = (int32_t)below(2000) - 1000,
            oct_f32(m.t)[j] = 0.01f * octi_rng_uniform(&rng) + 1e-5f;
        oct_attrs a = {.lo = {0}, .hi = {255}};
        ck_ok(oct_qlinear_forward(ctx, &a, &(oct_qtensor){x.t, 1, zx}, w.t, b.t, m.t,
                                  &(oct_qtensor){y.t, 1, zy}));
        for (int j = 0; j < n * o; j++) {
            int64_t acc = oct_s32(b.t)[j % o];
            for (int e = 0; e < k; e++)
                acc += (int64_t)(oct_u8(x.t)[j / o * k + e] - zx) * oct_s8(w.t)[j % o * k + e];
            SAME(oct_u8(y.t)[j], octq_requant((int32_t)acc, oct_f32(m.t)[j % o], zy, 0, 255));
        }
        guarded *all[] = {&x, &w, &b, &m, &y};
        for (int j = 0; j < 5; j++) unguard(all[j]);
    }
    oct_close(ctx);
}
END_TEST

/* |b| + sum|w| * max|q - z| at 2^31 - 2, 2^31 - 1 and 2^31, with codes that reach the bound. */
START_TEST(accumulator_bound_is_exact) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    enum { K = 60000 };
    oct_tensor *x = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, K)),
               *w = oct_tensor_new(ctx, OCT_S8, OCT_SHAPE(2, K)),
               *b = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(2)),
               *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2)),
               *y = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, 2));
    memset(x->data, 255, K);
    memset(w->data, 127, K);
    memset(oct_s8(w) + K, 0, K);
    oct_f32(m)[0] = oct_f32(m)[1] = 1e-7f;
    oct_attrs a = {.hi = {255}};
    const int64_t sum = (int64_t)K * 127 * 255;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int64_t over = -1; over <= 1; over++) {
            memset(w->data, sign * 127, K);
            oct_s32(b)[0] = (int32_t)(sign * (INT32_MAX - sum + over));
            oct_qtensor qx = {x, 1, 0}, qy = {y, 1, 100};
            if (over > 0) {
                ck_fails(OCT_ELIMIT, "channel 0", oct_qlinear_forward(ctx, &a, &qx, w, b, m, &qy));
                ck_fails(OCT_ELIMIT, "2147483648", oct_qlinear_forward(ctx, &a, &qx, w, b, m, &qy));
            } else {
                ck_ok(oct_qlinear_forward(ctx, &a, &qx, w, b, m, &qy));
                SAME(oct_u8(y)[0],
                     octq_requant((int32_t)(sign * (INT32_MAX + over)), 1e-7f, 100, 0, 255));
            }
        }
    memset(w->data, 127, K);
    oct_s32(b)[0] = 0;
    oct_s32(b)[1] = INT32_MIN; /* |INT32_MIN| is 2^31 */
    ck_fails(
        OCT_ELIMIT, "channel 1",
        oct_qlinear_forward(ctx, &a, &(oct_qtensor){x, 1, 0}, w, b, m, &(oct_qtensor){y, 1, 100}));
    oct_s32(b)[1] = 0;
    /* far beyond s32: the law clamps before it converts */
    for (int step = -20; step <= 20; step += 5) {
        memset(w->data, step < 0 ? -127 : 127, K);
        oct_f32(m)[0] = ldexpf(1.3f, abs(step) * 4);
        ck_ok(oct_qlinear_forward(ctx, &a, &(oct_qtensor){x, 1, 0}, w, b, m,
                                  &(oct_qtensor){y, 1, 100}));
        SAME(oct_u8(y)[0], step < 0 ? 0 : 255);
    }
    oct_f32(m)[0] = 1e30f;
    ck_fails(
        OCT_ELIMIT, "channel 0",
        oct_qlinear_forward(ctx, &a, &(oct_qtensor){x, 1, 0}, w, b, m, &(oct_qtensor){y, 1, 100}));
    /* the reach of the input's codes counts: z in the middle halves it */
    oct_f32(m)[0] = 1e-7f;
    oct_s32(b)[0] = INT32_MAX - (int32_t)((int64_t)K * 127 * 128);
    ck_ok(oct_qlinear_forward(ctx, &a, &(oct_qtensor){x, 1, 127}, w, b, m,
                              &(oct_qtensor){y, 1, 100}));
    oct_close(ctx);
}
END_TEST

START_TEST(rounding_twin_equals_the_law) {
    rng = octi_rng_stream(5, OCTI_RNG_TEST, 2, 0);
    float edge[] = {0,        -0.0f,   0.5f,       -0.5f,      1.5f,        2.5f,      254.5f,
                    255.5f,   -254.5f, 1e30f,      -1e30f,     INFINITY,    -INFINITY, FLT_MIN,
                    -FLT_MIN, 1e-45f,  8388607.5f, 4194303.5f, 0.49999997f, FLT_MAX,   -FLT_MAX};
    for (int i = 0; i < 200000; i++) {
        int z = (int)below(256), lo = (int)below(256), hi = lo + (int)below((uint32_t)(256 - lo));
        uint32_t bits = octi_rng_u32(&rng);
        float v;
        if (i % 3 == 0)
            v = (float)((int)below(2048) - 1024) * 0.5f; /* ties */
        else if (i % 3 == 1)
            v = edge[below(sizeof edge / sizeof *edge)];
        else
            memcpy(&v, &bits, 4);
        if (v != v) continue;
        SAME(octq_round_code(v, z, lo, hi), octq_clamp(octq_rne(v) + (float)z, lo, hi, z));
    }
}
END_TEST

/* All pairs of codes, several qparams, zero points at the ends. */
START_TEST(add_and_mul_over_all_codes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    rng = octi_rng_stream(5, OCTI_RNG_TEST, 3, 0);
    guarded a = guard(ctx, OCT_U8, OCT_SHAPE(2, 256, 128, 1)),
            b = guard(ctx, OCT_U8, OCT_SHAPE(2, 256, 128, 1)),
            y = guard(ctx, OCT_U8, OCT_SHAPE(2, 256, 128, 1));
    oct_tensor *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2)),
               *m1 = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    for (int i = 0; i < 65536; i++) oct_u8(a.t)[i] = (uint8_t)(i >> 8), oct_u8(b.t)[i] = (uint8_t)i;
    static const int zeros[] = {0, 255, 128, 1};
    for (int t = 0; t < 24; t++) {
        int za = zeros[t % 4], zb = zeros[t / 4 % 4], zy = zeros[below(4)], lo = below(2) ? zy : 0;
        oct_f32(m)[0] = t < 8 ? 0.5f : octi_rng_uniform(&rng) + 1e-6f; /* 0.5: ties everywhere */
        oct_f32(m)[1] = t < 8 ? 0.5f : 2.0f * octi_rng_uniform(&rng) + 1e-6f;
        oct_f32(m1)[0] = t < 8 ? 0.5f : 0.01f * octi_rng_uniform(&rng) + 1e-7f;
        oct_attrs at = {.lo = {lo}, .hi = {255}};
        oct_qtensor qa = {a.t, 1, za}, qb = {b.t, 1, zb}, qy = {y.t, 1, zy};
        ck_ok(oct_qadd_forward(ctx, &at, &qa, &qb, m, &qy));
        for (int i = 0; i < 65536; i++)
            SAME(oct_u8(y.t)[i],
                 octq_add(i >> 8, za, oct_f32(m)[0], i & 255, zb, oct_f32(m)[1], zy, lo, 255));
        ck_ok(oct_qmul_forward(ctx, &at, &qa, &qb, m1, &qy));
        for (int i = 0; i < 65536; i++)
            SAME(oct_u8(y.t)[i], octq_mul(i >> 8, za, i & 255, zb, oct_f32(m1)[0], zy, lo, 255));
        ck_ok(oct_requantize_forward(ctx, &qb, m1, &qy));
        for (int i = 0; i < 65536; i++)
            SAME(oct_u8(y.t)[i], octq_rescale(i & 255, zb, oct_f32(m1)[0], zy, 0, 255));
    }
    unguard(&a), unguard(&b), unguard(&y);
    oct_close(ctx);
}
END_TEST

START_TEST(borders_follow_the_law) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    rng = octi_rng_stream(5, OCTI_RNG_TEST, 4, 0);
    enum { N = 7, K = 999 };
    guarded x = guard(ctx, OCT_F32, OCT_SHAPE(N, K)), q = guard(ctx, OCT_U8, OCT_SHAPE(N, K)),
            y = guard(ctx, OCT_F32, OCT_SHAPE(N, K));
    for (int t = 0; t < 40; t++) {
        float s = t == 0 ? FLT_MIN : t == 1 ? 1e30f : octi_rng_uniform(&rng) + 1e-4f;
        int z = t % 3 ? (int)below(256) : 255 * (t % 2);
        for (int i = 0; i < N * K; i++) {
            uint32_t bits = octi_rng_u32(&rng);
            if (i % 4)
                oct_f32(x.t)[i] = s * 300.0f * (octi_rng_uniform(&rng) - 0.5f);
            else
                memcpy(oct_f32(x.t) + i, &bits, 4); /* any float, NaN and infinities too */
        }
        oct_f32(x.t)[5] = 0.273939937f;
        oct_qtensor c = {q.t, t == 7 ? 0.00214854861f : s, z};
        ck_ok(oct_quantize_forward(ctx, x.t, &c));
        ck_ok(oct_dequantize_forward(ctx, &c, y.t));
        for (int i = 0; i < N * K; i++) {
            SAME(oct_u8(q.t)[i], octq_quantize(oct_f32(x.t)[i], c.scale, z, 0, 255));
            float want = octq_dequantize(oct_u8(q.t)[i], c.scale, z);
            SAME(memcmp(&want, oct_f32(y.t) + i, 4), 0);
        }
    }
    unguard(&x), unguard(&q), unguard(&y);
    oct_close(ctx);
}
END_TEST

/* Kernels with pitches: bytes between pixels, rows and images are neither read as codes nor
 * written. */
START_TEST(pitches_are_respected) {
    rng = octi_rng_stream(5, OCTI_RNG_TEST, 5, 0);
    enum { H = 6, W = 5, C = 70, N = 2, PIX = 77, ROW = PIX * W + 9, IMG = ROW * H + 31 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    uint8_t *x = malloc(N * IMG), *want = malloc(N * IMG), *y = malloc(N * IMG);
    fill_codes(x, N * IMG, 9);
    octk_image xi = {x, IMG, ROW, PIX}, yi = {y, IMG, ROW, PIX};
    memset(want, 7, N * IMG);
    memset(y, 7, N * IMG);
    int32_t h0[H], h1[H], w0[W], w1[W];
    for (int i = 0; i < H; i++) h0[i] = i ? i - 1 : 0, h1[i] = i + 2 > H ? H : i + 2;
    for (int i = 0; i < W; i++) w0[i] = i ? i - 1 : 0, w1[i] = i + 2 > W ? W : i + 2;
    octi_ctx_kernels(ctx)->max_pool_u8(&(octk_pool_u8){
        .x = xi, .y = yi, .h0 = h0, .h1 = h1, .w0 = w0, .w1 = w1, .n = N, .c = C, .p = H, .q = W});
    for (int n = 0; n < N; n++)
        for (int p = 0; p < H; p++)
            for (int q = 0; q < W; q++)
                for (int c = 0; c < C; c++) {
                    int best = 0;
                    for (int h = h0[p]; h < h1[p]; h++)
                        for (int v = w0[q]; v < w1[q]; v++)
                            best = x[n * IMG + h * ROW + v * PIX + c] > best
                                       ? x[n * IMG + h * ROW + v * PIX + c]
                                       : best;
                    want[n * IMG + p * ROW + q * PIX + c] = (uint8_t)best;
                }
    ck_assert(!memcmp(y, want, N * IMG));
    memset(want, 7, N * IMG);
    memset(y, 7, N * IMG);
    octi_ctx_kernels(ctx)->rescale_u8(&(octk_map_u8){.x = xi,
                                                     .y = yi,
                                                     .n = N,
                                                     .h = H,
                                                     .w = W,
                                                     .c = C,
                                                     .zx = 9,
                                                     .zy = 40,
                                                     .hi = 255,
                                                     .by = {.m = &(float){0.7f}}});
    for (int n = 0; n < N; n++)
        for (int i = 0; i < H * W; i++)
            for (int c = 0; c < C; c++) {
                int at = n * IMG + i / W * ROW + i % W * PIX + c;
                want[at] = (uint8_t)octq_rescale(x[at], 9, 0.7f, 40, 0, 255);
            }
    ck_assert(!memcmp(y, want, N * IMG));
    free(x), free(y), free(want);
    oct_close(ctx);
}
END_TEST

START_TEST(bad_operands_are_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *x = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, 4, 4, 4)),
               *w = oct_tensor_new(ctx, OCT_S8, OCT_SHAPE(6, 3, 3, 4)),
               *b = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(6)),
               *m = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(6)),
               *y = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, 4, 4, 6)),
               *f = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, 4, 4, 4)),
               *y2 = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(2, 4, 4, 6)),
               *x2 = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(2, 4, 4, 4));
    for (int i = 0; i < 6; i++) oct_f32(m)[i] = 0.01f;
    const oct_attrs good = {.kernel = {3, 3},
                            .stride = {1, 1},
                            .pads = {1, 1, 1, 1},
                            .dilation = {1, 1},
                            .groups = {1},
                            .hi = {255}};
    oct_qtensor qx = {x, 0.1f, 3}, qy = {y, 0.1f, 3};
    ck_ok(oct_qconv2d_forward(ctx, &good, &qx, w, b, m, &qy));
#define REFUSE(code, text, change)                                                                 \
    do {                                                                                           \
        oct_attrs a = good;                                                                        \
        oct_qtensor X = qx, Y = qy;                                                                \
        change;                                                                                    \
        ck_fails(code, text, oct_qconv2d_forward(ctx, &a, &X, w, b, m, &Y));                       \
    } while (0)
    REFUSE(OCT_EUSAGE, "groups", a.groups[0] = 3);
    REFUSE(OCT_EUSAGE, "groups", a.groups[0] = 0);
    REFUSE(OCT_EUSAGE, "along H", a.stride[0] = 0);
    REFUSE(OCT_EUSAGE, "along W", a.pads[1] = -1);
    REFUSE(OCT_EUSAGE, "along W", a.dilation[1] = 0);
    REFUSE(OCT_ESHAPE, "output", a.pads[2] = 2);
    REFUSE(OCT_ESHAPE, "weight", a.kernel[0] = 2);
    REFUSE(OCT_EUSAGE, "clamp", (a.lo[0] = 9, a.hi[0] = 8));
    REFUSE(OCT_EUSAGE, "clamp", a.hi[0] = 256);
    REFUSE(OCT_EQPARAMS, "scale", X.scale = 0);
    REFUSE(OCT_EQPARAMS, "scale", X.scale = NAN);
    REFUSE(OCT_EQPARAMS, "scale", Y.scale = INFINITY);
    REFUSE(OCT_EQPARAMS, "zero point", X.zero_point = 256);
    REFUSE(OCT_EQPARAMS, "zero point", Y.zero_point = -1);
    REFUSE(OCT_EQPARAMS, "codes", Y.qmax = 300);
    REFUSE(OCT_EDTYPE, "input", X.codes = f);
    REFUSE(OCT_ESHAPE, "batch", Y.codes = y2);
    REFUSE(OCT_ESHAPE, "batch", X.codes = x2);
    REFUSE(OCT_EUSAGE, "NULL", X.codes = NULL);
    const float bad[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        oct_f32(m)[4] = bad[i];
        REFUSE(OCT_EQPARAMS, "channel 4", (void)0);
    }
    /* a pool on another grid, a table that leaves the codes */
    oct_tensor *p = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, 2, 2, 4)),
               *t = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(256)),
               *same = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(1, 4, 4, 4));
    oct_attrs pool = {.kernel = {2, 2}, .stride = {2, 2}};
    ck_ok(oct_qmax_pool2d_forward(ctx, &pool, &qx, &(oct_qtensor){p, 0.1f, 3}));
    ck_fails(OCT_EQPARAMS, "grid",
             oct_qmax_pool2d_forward(ctx, &pool, &qx, &(oct_qtensor){p, 0.1f, 4}));
    oct_u8(t)[200] = 128;
    ck_fails(OCT_EQPARAMS, "table entry 200",
             oct_qtable_forward(ctx, &qx, t, &(oct_qtensor){same, 0.1f, 3, 0, 127}));
    ck_ok(oct_qtable_forward(ctx, &(oct_qtensor){x, 0.1f, 3, 0, 127}, t,
                             &(oct_qtensor){same, 0.1f, 3, 0, 127}));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("qops", conv_equals_reference, linear_equals_reference, accumulator_bound_is_exact,
              rounding_twin_equals_the_law, add_and_mul_over_all_codes, borders_follow_the_law,
              pitches_are_respected, bad_operands_are_refused)
