/* SPDX-License-Identifier: MIT
 * Strides, dilations and kernels of two sides: options against loops in double, forward and
 * backward, and what a side that is 0 falls back to. */
#include <math.h>

#include "oct_test.h"
#include "octet.h"
#include "src/rng.h"

enum { N = 2, H = 9, W = 8, C = 3, O = 4 };

static oct_tensor *random_of(oct_ctx *ctx, oct_shape s, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(11, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

static void near(const oct_tensor *got, const double *want, const char *what) {
    for (int64_t i = 0; i < oct_tensor_count(got); i++)
        ck_assert_msg(fabs((double)oct_f32(got)[i] - want[i]) <= 2e-5 * (1 + fabs(want[i])),
                      "%s[%lld]: %g, by the loops %g", what, (long long)i, (double)oct_f32(got)[i],
                      want[i]);
}

typedef struct window { /* per axis: down, across */
    int kernel[2], stride[2], dilation[2], before[2];
} window;

/* Input place of output (p, q) and tap (r, s); -1 outside. */
static int64_t at(const window *w, int n, int64_t p, int64_t q, int r, int s) {
    const int64_t h = p * w->stride[0] - w->before[0] + (int64_t)r * w->dilation[0],
                  v = q * w->stride[1] - w->before[1] + (int64_t)s * w->dilation[1];
    return h < 0 || h >= H || v < 0 || v >= W ? -1 : ((n * H + h) * W + v) * C;
}

START_TEST(conv_has_two_strides_and_dilations) {
    oct_ctx *ctx = oct_open(NULL);
    const window v = {{3, 2}, {2, 1}, {1, 3}, {1, 0}};
    oct_tensor *x = random_of(ctx, OCT_SHAPE(N, H, W, C), 1),
               *w = random_of(ctx, OCT_SHAPE(O, 3, 2, C), 2), *b = random_of(ctx, OCT_SHAPE(O), 3);
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *xv = oct_param(t, x, "x"),
            *y = oct_conv2d(xv, oct_param(t, w, "w"), oct_param(t, b, "b"),
                            &(oct_conv2d_opts){.stride = 2,
                                               .strides = {0, 1},
                                               .dilation = 3,
                                               .dilations = {1, 0},
                                               .pads = {1, 0, 2, 1}});
    ck_not_null(y);
    const oct_shape out = *oct_var_shape(y);
    const int64_t P = (H + 3 - 3) / 2 + 1, Q = (W + 1 - 4) / 1 + 1;
    ck_assert(out.dim[1] == P && out.dim[2] == Q && out.dim[3] == O);
    oct_tensor *dy = random_of(ctx, out, 4);
    ck_ok(oct_backward_from(y, dy));
    static double wy[4096], dx[N * H * W * C], dw[O * 3 * 2 * C], db[O];
    memset(dx, 0, sizeof dx), memset(dw, 0, sizeof dw), memset(db, 0, sizeof db);
    int64_t i = 0;
    for (int n = 0; n < N; n++)
        for (int64_t p = 0; p < P; p++)
            for (int64_t q = 0; q < Q; q++)
                for (int o = 0; o < O; o++, i++) {
                    const double d = (double)oct_f32(dy)[i];
                    wy[i] = (double)oct_f32(b)[o];
                    db[o] += d;
                    for (int k = 0; k < 3 * 2 * C; k++) {
                        const int64_t from = at(&v, n, p, q, k / C / 2, k / C % 2);
                        if (from < 0) continue;
                        const int64_t xi = from + k % C, wi = o * 3 * 2 * C + k;
                        wy[i] += (double)oct_f32(x)[xi] * (double)oct_f32(w)[wi];
                        dx[xi] += d * (double)oct_f32(w)[wi];
                        dw[wi] += d * (double)oct_f32(x)[xi];
                    }
                }
    near(oct_var_value(y), wy, "y");
    near(x->grad, dx, "dx");
    near(w->grad, dw, "dw");
    near(b->grad, db, "db");
    oct_close(ctx);
}
END_TEST

/* Both pools; of each cell the windows that take it. */
static void pool(bool max, bool exclude) {
    oct_ctx *ctx = oct_open(NULL);
    const window v = {{3, 2}, {1, 3}, {1, 1}, {1, 1}};
    oct_tensor *x = random_of(ctx, OCT_SHAPE(N, H, W, C), 5);
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    const oct_pool_opts o = {
        .kernel = 2, .kernel_size = {3, 0}, .strides = {1, 3}, .pad = 1, .exclude_pad = exclude};
    oct_var *xv = oct_param(t, x, "x"), *y = max ? oct_max_pool2d(xv, &o) : oct_avg_pool2d(xv, &o);
    ck_not_null(y);
    const oct_shape out = *oct_var_shape(y);
    const int64_t P = (H + 2 - 3) / 1 + 1, Q = (W + 2 - 2) / 3 + 1;
    ck_assert(out.dim[1] == P && out.dim[2] == Q);
    oct_tensor *dy = random_of(ctx, out, 6);
    ck_ok(oct_backward_from(y, dy));
    static double wy[4096], dx[N * H * W * C];
    memset(dx, 0, sizeof dx);
    for (int64_t i = 0; i < oct_shape_count(&out); i++) {
        const int c = (int)(i % C), n = (int)(i / C / Q / P);
        const int64_t q = i / C % Q, p = i / C / Q % P;
        int64_t best = -1, inside = 0;
        wy[i] = 0;
        for (int k = 0; k < 6; k++) {
            const int64_t from = at(&v, n, p, q, k / 2, k % 2);
            if (from < 0) continue;
            const float value = oct_f32(x)[from + c];
            if (best < 0 || value > oct_f32(x)[best]) best = from + c;
            wy[i] += (double)value;
            inside++;
        }
        const double cells = exclude ? (double)inside : 6;
        wy[i] = max ? (double)oct_f32(x)[best] : wy[i] / cells;
        for (int k = 0; k < 6 && !max; k++) {
            const int64_t from = at(&v, n, p, q, k / 2, k % 2);
            if (from >= 0) dx[from + c] += (double)oct_f32(dy)[i] / cells;
        }
        if (max) dx[best] += (double)oct_f32(dy)[i];
    }
    near(oct_var_value(y), wy, "y");
    near(x->grad, dx, "dx");
    oct_close(ctx);
}

START_TEST(pools_have_two_kernels_and_strides) {
    pool(true, false);
    pool(false, false);
    pool(false, true);
}
END_TEST

static oct_var *seq(void *self, oct_tape *t, oct_var *x) {
    oct_module **m = self;
    (void)t;
    return oct_apply(m[1], oct_apply(m[0], x));
}

START_TEST(modules_and_nets_carry_them) {
    oct_ctx *ctx = oct_open(NULL);
    oct_module *parts[2], *m = oct_module_new(ctx, seq, parts);
    parts[0] = oct_module_add(
        m, "conv",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){
                     .in = C, .out = O, .kernel = 2, .strides = {3, 0}, .dilations = {0, 2}}));
    parts[1] =
        oct_module_add(m, "pool", oct_max_pool2d_new(ctx, &(oct_pool_opts){.kernel_size = {1, 2}}));
    oct_net *net = oct_capture(m, OCT_SHAPE(H, W, C));
    ck_not_null(net);
    const oct_attrs *a = &net->graph->nodes[oct_graph_find_node(net->graph, "conv")].attr;
    ck_assert(a->stride[0] == 3 && a->stride[1] == 1 && a->dilation[0] == 1 && a->dilation[1] == 2);
    a = &net->graph->nodes[oct_graph_find_node(net->graph, "pool")].attr;
    ck_assert(a->kernel[0] == 1 && a->kernel[1] == 2 && a->stride[0] == 1 && a->stride[1] == 2);
    ck_assert(!oct_conv2d_new(
        ctx, &(oct_conv2d_opts){.in = 1, .out = 1, .kernel = 1, .strides = {1, -2}}));
    ck_assert(strstr(oct_error_message(), "stride or dilation"));
    ck_assert(!oct_max_pool2d_new(ctx, &(oct_pool_opts){.kernel_size = {2, 0}}));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("sides", conv_has_two_strides_and_dilations, pools_have_two_kernels_and_strides,
              modules_and_nets_carry_them)
