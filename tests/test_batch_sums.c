/* SPDX-License-Identifier: MIT
 * Gradients of weights and biases are sums over a batch that is cut into slots: held against loops
 * in double, for every way that a product goes, at batches that fill slots, leave them uneven, or
 * have fewer images than slots. */
#include "tests/oct_test.h"

#include <math.h>

#include "ops/ops.h"
#include "ops/product_paths.h"
#include "src/rng.h"

typedef struct product {
    const char *what;
    octi_path path;
    int64_t h, w, c, o, r, s, stride, groups; /* r 0: linear, c to o */
    int32_t pads[4];
} product;

static const product products[] = {
    /* whole tiles of 4x4, ragged ones, more tiles than a block holds */
    {"winograd", OCTI_PATH_conv_winograd, 4, 4, 16, 16, 3, 3, 1, 1, {1, 1, 1, 1}},
    {"winograd", OCTI_PATH_conv_winograd, 7, 7, 16, 32, 3, 3, 1, 1, {1, 1, 1, 1}},
    {"winograd", OCTI_PATH_conv_winograd, 9, 10, 32, 16, 3, 3, 1, 1, {0, 0, 1, 0}},
    {"direct", OCTI_PATH_conv_direct, 5, 6, 3, 7, 3, 2, 2, 1, {1, 0, 0, 1}},
    {"direct", OCTI_PATH_conv_direct, 4, 4, 8, 6, 3, 3, 1, 2, {1, 1, 1, 1}},
    {"direct", OCTI_PATH_conv_direct, 3, 3, 20, 24, 1, 1, 1, 1, {0}},
    {"depthwise", OCTI_PATH_conv_depthwise, 5, 4, 12, 12, 3, 3, 1, 12, {1, 1, 1, 1}},
    {"depthwise", OCTI_PATH_conv_depthwise, 7, 6, 8, 8, 3, 2, 2, 8, {0, 1, 1, 0}},
    {.what = "linear", .c = 11, .o = 5, .h = 1, .w = 1, .groups = 1, .stride = 1},
    {.what = "linear", .c = 70, .o = 33, .h = 1, .w = 1, .groups = 1, .stride = 1},
};
enum { PRODUCTS = sizeof products / sizeof *products };

static oct_tensor *drawn(oct_ctx *ctx, oct_shape s, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(12, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

/* dw, db and, per element, the sum of the sizes that went into it. */
static void by_loops(const product *p, int64_t n, int64_t P, int64_t Q, const float *x,
                     const float *dy, double *dw, double *db, double *sizes) {
    const int64_t r = p->r ? p->r : 1, s = p->r ? p->s : 1, cg = p->c / p->groups,
                  og = p->o / p->groups;
    for (int64_t i = 0; i < n * P * Q; i++)
        for (int64_t o = 0; o < p->o; o++) {
            const double d = (double)dy[i * p->o + o];
            db[o] += d;
            for (int64_t k = 0; k < r * s; k++) {
                const int64_t h = i / Q % P * p->stride - p->pads[0] + k / s,
                              v = i % Q * p->stride - p->pads[1] + k % s;
                if (h < 0 || v < 0 || h >= p->h || v >= p->w) continue;
                const float *from = x + ((i / Q / P * p->h + h) * p->w + v) * p->c + o / og * cg;
                for (int64_t c = 0; c < cg; c++) {
                    dw[(o * r * s + k) * cg + c] += d * (double)from[c];
                    sizes[(o * r * s + k) * cg + c] += fabs(d * (double)from[c]);
                }
            }
        }
}

static void check(oct_ctx *ctx, const product *p, int64_t n) {
    const bool conv = p->r;
    const oct_attrs a = {.kernel = {(int32_t)p->r, (int32_t)p->s},
                         .stride = {(int32_t)p->stride, (int32_t)p->stride},
                         .dilation = {1, 1},
                         .groups = {(int32_t)p->groups},
                         .pads = {p->pads[0], p->pads[1], p->pads[2], p->pads[3]}};
    const int64_t P = conv ? (p->h + p->pads[0] + p->pads[2] - p->r) / p->stride + 1 : 1,
                  Q = conv ? (p->w + p->pads[1] + p->pads[3] - p->s) / p->stride + 1 : 1;
    oct_tensor *x = drawn(ctx, conv ? OCT_SHAPE(n, p->h, p->w, p->c) : OCT_SHAPE(n, p->c), 1),
               *dy = drawn(ctx, conv ? OCT_SHAPE(n, P, Q, p->o) : OCT_SHAPE(n, p->o), 2),
               *dw = drawn(
                   ctx,
                   conv ? OCT_SHAPE(p->o, p->r, p->s, p->c / p->groups) : OCT_SHAPE(p->o, p->c), 3),
               *db = drawn(ctx, OCT_SHAPE(p->o), 4), *alone = oct_tensor_copy(ctx, dw);
    if (conv) {
        ck_assert_int_eq(octi_conv2d_path(&a, x, dy, false), p->path);
        ck_ok(oct_conv2d_grad_w(ctx, &a, x, dy, dw, db));
        ck_ok(oct_conv2d_grad_w(ctx, &a, x, dy, alone, NULL));
    } else {
        ck_ok(oct_linear_grad_w(ctx, x, dy, dw, db));
        ck_ok(oct_linear_grad_w(ctx, x, dy, alone, NULL));
    }
    ck_assert_mem_eq(dw->data, alone->data, oct_tensor_bytes(dw)); /* with a bias and without */
    const int64_t weights = oct_tensor_count(dw);
    double *want = calloc((size_t)(2 * weights + p->o), sizeof *want), *b = want + 2 * weights;
    by_loops(p, n, P, Q, oct_f32(x), oct_f32(dy), want, b, want + weights);
    /* Winograd's sums share what rounds: the largest of a layer stands for each */
    double most = 0;
    for (int64_t i = 0; i < weights; i++) most = fmax(most, want[weights + i]);
    for (int64_t i = 0; i < weights; i++) {
        const double size = conv && p->path == OCTI_PATH_conv_winograd ? most : want[weights + i];
        ck_assert_msg(fabs((double)oct_f32(dw)[i] - want[i]) <= 2e-6 * size + 1e-12,
                      "%s, %lld images: dw[%lld] = %g, by the loops %g", p->what, (long long)n,
                      (long long)i, (double)oct_f32(dw)[i], want[i]);
    }
    for (int64_t o = 0; o < p->o; o++)
        ck_assert_msg(fabs((double)oct_f32(db)[o] - b[o]) <=
                          2e-6 * sqrt((double)(n * P * Q)) + 1e-6,
                      "%s, %lld images: db[%lld] = %g, by the loops %g", p->what, (long long)n,
                      (long long)o, (double)oct_f32(db)[o], b[o]);
    free(want);
    oct_tensor *all[] = {x, dy, dw, db, alone};
    for (int k = 0; k < 5; k++) oct_tensor_unref(all[k]);
}

/* Up to 7 images there are fewer slots than 8; from 8 some have an image more than others; from 128
 * there are 16. */
START_TEST(weights_and_biases_sum_over_all_images) {
    static const int64_t batches[] = {1, 2, 3, 5, 8, 9, 15, 31, 127, 128, 131};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    for (int k = 0; k < PRODUCTS; k++)
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
            if (batches[i] < 100 || products[k].h * products[k].c * products[k].o < 3000)
                check(ctx, &products[k], batches[i]);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("batch_sums", weights_and_biases_sum_over_all_images)
