/* SPDX-License-Identifier: MIT
 * Every float op against a double reference (tests/ref_ops.c): forward within its bound, gradients
 * against central differences of the reference, the same bits for 1, 2 and 4 threads, no allocation
 * once warm. Every kind of op_kinds.def that is differentiated must be here. */
#include <math.h>

#include "tests/ops_runner.h"
#include "tests/ref_ops.h"

static double *doubles(const oct_tensor *t) {
    int64_t n = oct_tensor_count(t);
    double *d = malloc((size_t)n * sizeof *d);
    for (int64_t i = 0; i < n; i++)
        d[i] = t->dtype == OCT_S32 ? (double)oct_s32(t)[i] : (double)oct_f32(t)[i];
    return d;
}

static const char *label(const op_case *c, int i) {
    return octi_fmt("case %d, %s %s", i, oct_op_name(c->kind), oct_shape_text(&c->s[0]));
}

static void check_forward(const op_case *c, int number, const op_run *r, const double *const *in) {
    oct_shape s = ref_shape(c->kind, &c->a, c->s, c->nin);
    ck_assert_msg(oct_shape_equal(&s, &r->y->shape), "%s: shape %s", label(c, number),
                  oct_shape_text(&r->y->shape));
    int64_t n = oct_tensor_count(r->y);
    double *y = malloc((size_t)n * sizeof *y), *bound = malloc((size_t)n * sizeof *bound), most = 0;
    for (int64_t i = 0; i < n; i++) bound[i] = -1;
    ref_forward(c->kind, &c->a, c->s, in, c->nin, !c->eval, y, bound);
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(y[i]));
    if (c->kind == OCT_OP_conv2d && c->a.kernel[0] == 3 && c->a.kernel[1] == 3 &&
        c->a.groups[0] == 1 && c->s[0].dim[3] % 16 == 0 && c->s[1].dim[0] % 16 == 0)
        /* Winograd may run: the image's largest bound */
        for (int64_t image = 0, per = n / s.dim[0]; image < s.dim[0]; image++) {
            double largest = 0;
            for (int64_t i = 0; i < per; i++) largest = fmax(largest, bound[image * per + i]);
            for (int64_t i = 0; i < per; i++) bound[image * per + i] = largest;
        }
    for (int64_t i = 0; i < n; i++) {
        /* products: K * eps * sum |x||w| (ops.h); the rest: a few roundings of its largest value */
        double allowed = bound[i] >= 0 ? 0x1p-24 * bound[i] + 1e-30
                                       : 4e-6 * most + 1e-15; /* the reference rounds too */
        ck_assert_msg(fabs((double)oct_f32(r->y)[i] - y[i]) <= allowed,
                      "%s: y[%lld] = %.9g, want %.9g +- %.2g", label(c, number), (long long)i,
                      (double)oct_f32(r->y)[i], y[i], allowed);
    }
    free(y);
    free(bound);
}

/** d(sum dy * y)/dx[i] by central differences of the reference. */
static double slope(const op_case *c, const op_run *r, double *const *in, int k, int64_t i,
                    double *y) {
    const double eps = 1e-6;
    double keep = in[k][i], sum[2];
    for (int half = 0; half < 2; half++) {
        in[k][i] = half ? keep + eps : keep - eps;
        ref_forward(c->kind, &c->a, c->s, (const double *const *)in, c->nin, !c->eval, y, NULL);
        sum[half] = 0;
        for (int64_t e = 0; e < oct_tensor_count(r->y); e++)
            sum[half] += y[e] * (double)oct_f32(r->dy)[e];
    }
    in[k][i] = keep;
    return (sum[1] - sum[0]) / (2 * eps);
}

static void check_gradient(const op_case *c, int number, const op_run *r, double *const *in,
                           int k) {
    enum { MOST = 48 };
    int64_t n = oct_tensor_count(r->g[k]), step = n > MOST ? n / MOST : 1;
    double *y = malloc((size_t)oct_tensor_count(r->y) * sizeof *y), most = 0;
    for (int64_t i = 0; i < n; i++) { /* no fmax: gcc 12 on arm64 dies of it */
        double g = fabs((double)oct_f32(r->g[k])[i]);
        most = g > most ? g : most;
    }
    for (int64_t i = 0; i < n; i += step) {
        double want = slope(c, r, in, k, i, y), got = (double)oct_f32(r->g[k])[i];
        ck_assert_msg(fabs(got - want) <= 1e-3 * fabs(want) + 1e-5 * most + 1e-7,
                      "%s: gradient %d[%lld] = %.9g, want %.9g", label(c, number), k, (long long)i,
                      got, want);
    }
    free(y);
}

START_TEST(forward_and_gradients_match_the_reference) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int i = 0; i < OP_CASES; i++) {
        const op_case *c = &op_cases[i];
        op_run r;
        run_inputs(ctx, c, 11, &r);
        run_op(ctx, c, &r);
        double *in[CASE_INPUTS] = {NULL};
        for (int k = 0; k < c->nin; k++) in[k] = doubles(r.in[k]);
        check_forward(c, i, &r, (const double *const *)in);
        for (int k = 0; k < c->nin; k++)
            if (r.g[k]) check_gradient(c, i, &r, in, k);
        for (int k = 0; k < c->nin; k++) free(in[k]);
        run_free(&r);
    }
    oct_close(ctx);
}
END_TEST

/** Law 10: whole numbers come out exact of the exact call, whatever the shape. */
START_TEST(convolution_is_exact_on_whole_numbers) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    for (int i = 0; i < OP_CASES; i++) {
        const op_case *c = &op_cases[i];
        if (c->kind != OCT_OP_conv2d) continue;
        op_run r;
        run_inputs(ctx, c, 23, &r);
        octi_rng g = octi_rng_stream(4, OCTI_RNG_TEST, 40, (uint32_t)i);
        for (int k = 0; k < c->nin; k++)
            for (int64_t e = 0; e < oct_tensor_count(r.in[k]); e++)
                oct_f32(r.in[k])[e] =
                    (float)octi_rng_below(&g, k ? 255 : 256) - (k ? 127.0f : 13.0f);
        double *in[CASE_INPUTS] = {NULL}, *y = malloc((size_t)oct_tensor_count(r.y) * sizeof *y);
        for (int k = 0; k < c->nin; k++) in[k] = doubles(r.in[k]);
        ref_forward(c->kind, &c->a, c->s, (const double *const *)in, c->nin, true, y, NULL);
        ck_ok(octi_conv2d_direct(ctx, &c->a, r.in[0], r.in[1], r.in[2], r.y));
        for (int64_t e = 0; e < oct_tensor_count(r.y); e++)
            ck_assert_msg((double)oct_f32(r.y)[e] == y[e], "%s: y[%lld] = %.9g, want %.9g",
                          label(c, i), (long long)e, (double)oct_f32(r.y)[e], y[e]);
        for (int k = 0; k < c->nin; k++) free(in[k]);
        free(y);
        run_free(&r);
    }
    oct_close(ctx);
}
END_TEST

/** The caller's memory to the byte: canaries beside outputs, and heap blocks of exact size, where a
 *  sanitizer sees over-reads. */
static oct_tensor *exact(oct_ctx *ctx, const oct_tensor *t, bool guard, void **block) {
    size_t bytes = oct_tensor_bytes(t), beside = guard ? 64 : 0;
    char *p = *block = malloc(bytes + 2 * beside);
    memset(p, 0x5a, bytes + 2 * beside);
    memcpy(p + beside, t->data, bytes);
    oct_tensor *b = oct_tensor_borrow(ctx, t->dtype, t->shape, p + beside);
    ck_not_null(b);
    return b;
}

static void check_guard(const void *block, const oct_tensor *t, const char *what) {
    const unsigned char *p = block;
    size_t bytes = oct_tensor_bytes(t);
    for (size_t i = 0; i < 64; i++)
        ck_assert_msg(p[i] == 0x5a && p[64 + bytes + i] == 0x5a, "%s: written beside the output",
                      what);
}

START_TEST(convolution_stays_inside_its_tensors) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    for (int i = 0; i < OP_CASES; i++) {
        const op_case *c = &op_cases[i];
        if (c->kind != OCT_OP_conv2d) continue;
        op_run r;
        run_inputs(ctx, c, 31, &r);
        run_op(ctx, c, &r);
        void *block[8] = {NULL};
        oct_tensor *x = exact(ctx, r.in[0], false, &block[0]),
                   *w = exact(ctx, r.in[1], false, &block[1]),
                   *dy = exact(ctx, r.dy, false, &block[2]);
        oct_tensor *b = r.in[2] ? exact(ctx, r.in[2], false, &block[3]) : NULL,
                   *db = r.g[2] ? exact(ctx, r.g[2], true, &block[4]) : NULL;
        oct_tensor *y = exact(ctx, r.y, true, &block[5]), *dx = exact(ctx, r.g[0], true, &block[6]),
                   *dw = exact(ctx, r.g[1], true, &block[7]);
        oct_tensor *out[] = {y, dx, dw, db}, *want[] = {r.y, r.g[0], r.g[1], r.g[2]};
        void *guards[] = {block[5], block[6], block[7], block[4]};
        for (int k = 0; k < 4; k++)
            if (out[k]) memset(out[k]->data, 0xff, oct_tensor_bytes(out[k]));
        ck_ok(oct_conv2d_forward(ctx, &c->a, x, w, b, y));
        ck_ok(oct_conv2d_grad_x(ctx, &c->a, dy, w, dx));
        ck_ok(oct_conv2d_grad_w(ctx, &c->a, x, dy, dw, db));
        for (int k = 0; k < 4; k++) {
            if (!out[k]) continue;
            check_guard(guards[k], out[k], label(c, i));
            ck_assert_msg(!memcmp(out[k]->data, want[k]->data, oct_tensor_bytes(want[k])),
                          "%s: result %d depends on alignment", label(c, i), k);
        }
        for (int k = 0; k < 8; k++) free(block[k]);
        run_free(&r);
    }
    oct_close(ctx);
}
END_TEST

/** Law 12: an image's result is the same alone as in a batch. */
START_TEST(images_do_not_see_each_other) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int i = 0; i < OP_CASES; i++) {
        const op_case *c = &op_cases[i];
        if (c->kind != OCT_OP_conv2d && c->kind != OCT_OP_linear) continue;
        op_run r;
        run_inputs(ctx, c, 37, &r);
        run_op(ctx, c, &r);
        int64_t n = c->s[0].dim[0], last = n - 1;
        oct_tensor *t[4] = {r.in[0], r.y, r.dy, r.g[0]}, *one[4];
        for (int k = 0; k < 4; k++) {
            oct_shape s = t[k]->shape;
            s.dim[0] = 1;
            ck_not_null(one[k] = oct_tensor_new(ctx, OCT_F32, s));
            memcpy(one[k]->data, oct_f32(t[k]) + last * oct_shape_count(&s),
                   oct_tensor_bytes(one[k]));
        }
        oct_tensor *y = like(ctx, one[1]), *dx = like(ctx, one[3]);
        if (c->kind == OCT_OP_conv2d) {
            ck_ok(oct_conv2d_forward(ctx, &c->a, one[0], r.in[1], r.in[2], y));
            ck_ok(oct_conv2d_grad_x(ctx, &c->a, one[2], r.in[1], dx));
        } else {
            ck_ok(oct_linear_forward(ctx, one[0], r.in[1], r.in[2], y));
            ck_ok(oct_linear_grad_x(ctx, one[2], r.in[1], dx));
        }
        ck_assert_msg(!memcmp(y->data, one[1]->data, oct_tensor_bytes(y)), "%s: y", label(c, i));
        ck_assert_msg(!memcmp(dx->data, one[3]->data, oct_tensor_bytes(dx)), "%s: dx", label(c, i));
        for (int k = 0; k < 4; k++) oct_tensor_unref(one[k]);
        oct_tensor_unref(y);
        oct_tensor_unref(dx);
        run_free(&r);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(threads_do_not_change_a_bit) {
    oct_ctx *one = oct_open(&(oct_opts){.threads = 1});
    for (int threads = 2; threads <= 4; threads += 2) {
        oct_ctx *many = oct_open(&(oct_opts){.threads = threads});
        for (int i = 0; i < OP_CASES; i++) {
            const op_case *c = &op_cases[i];
            op_run a, b;
            run_inputs(one, c, 5, &a);
            run_inputs(many, c, 5, &b);
            run_op(one, c, &a);
            run_op(many, c, &b);
            ck_assert_msg(!memcmp(a.y->data, b.y->data, oct_tensor_bytes(a.y)), "%s: y differs",
                          label(c, i));
            for (int k = 0; k < c->nin; k++)
                ck_assert_msg(!a.g[k] ||
                                  !memcmp(a.g[k]->data, b.g[k]->data, oct_tensor_bytes(a.g[k])),
                              "%s: gradient %d differs", label(c, i), k);
            run_free(&a);
            run_free(&b);
        }
        oct_close(many);
    }
    oct_close(one);
}
END_TEST

START_TEST(warm_ops_allocate_nothing) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    for (int i = 0; i < OP_CASES; i++) {
        const op_case *c = &op_cases[i];
        uint64_t allocs[3];
        for (int round = 0; round < 3; round++) {
            op_run r;
            run_inputs(ctx, c, 3, &r);
            uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
            run_op(ctx, c, &r);
            allocs[round] = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS) - before;
            run_free(&r);
        }
        /* what is left is the runner's own tensors; the scratch arena has settled */
        ck_assert_msg(allocs[1] == allocs[2] && allocs[2] <= (uint64_t)c->nin + 2,
                      "%s: %llu allocations", label(c, i), (unsigned long long)allocs[2]);
    }
    oct_close(ctx);
}
END_TEST

/** Kinds whose gradient is checked elsewhere in this file, or that move nothing. */
static const struct {
    oct_op_kind kind;
    const char *why;
} apart[] = {
    {OCT_OP_flatten, "a view: its gradient is the same elements"},
    {OCT_OP_reshape, "a view"},
    {OCT_OP_identity, "a view"},
    {OCT_OP_dropout, "dropout_is_its_own_gradient"},
    {OCT_OP_fake_quantize, "straight_through_gradient"},
    {OCT_OP_quantize, "straight_through_gradient"},
    {OCT_OP_dequantize, "straight_through_gradient"},
};

START_TEST(every_differentiated_kind_is_covered) {
    bool covered[OCT_OP_KIND_COUNT] = {false};
    for (int i = 0; i < OP_CASES; i++) covered[op_cases[i].kind] = true;
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
        ck_assert_msg(!covered[apart[i].kind], "%s stands twice", oct_op_name(apart[i].kind));
        covered[apart[i].kind] = true;
    }
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        ck_assert_msg(covered[k] == !!(oct_op_flags((oct_op_kind)k) & OCT_OPF_F),
                      "%s: no gradient case", oct_op_name((oct_op_kind)k));
        int cases = 0;
        for (int i = 0; i < OP_CASES; i++) cases += op_cases[i].kind == (oct_op_kind)k;
        ck_assert_msg(cases == 0 || cases >= 5, "%s: %d cases, want 5", oct_op_name((oct_op_kind)k),
                      cases);
    }
}
END_TEST

START_TEST(dropout_is_its_own_gradient) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    const float ps[] = {0.0f, 0.1f, 0.5f, 0.9f, 0.999f};
    for (int i = 0; i < 5; i++) {
        oct_attrs a = {.p = ps[i]};
        oct_dropout_key key = {7, 3, 100, (uint32_t)i};
        oct_tensor *ones = oct_tensor_new(ctx, OCT_F32, SH(16, 33, 37)), *mask = like(ctx, ones),
                   *x = like(ctx, ones), *y = like(ctx, ones);
        int64_t n = oct_tensor_count(ones), kept = 0;
        octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 9, 0);
        fill_normal(&r, x, 1);
        for (int64_t e = 0; e < n; e++) oct_f32(ones)[e] = 1;
        ck_ok(oct_dropout_forward(ctx, &a, &key, ones, mask));
        ck_ok(oct_dropout_forward(ctx, &a, &key, x, y));
        for (int64_t e = 0; e < n; e++) {
            kept += oct_f32(mask)[e] != 0;
            if (oct_f32(mask)[e] != 0) ck_assert_float_eq(oct_f32(mask)[e], 1 / (1 - ps[i]));
            ck_assert(oct_f32(y)[e] == oct_f32(x)[e] * oct_f32(mask)[e]);
        }
        double want = (1 - (double)ps[i]) * (double)n, sd = sqrt(want * (double)ps[i]);
        ck_assert_msg(fabs((double)kept - want) <= 5 * sd, "p %g: kept %lld of %lld", (double)ps[i],
                      (long long)kept, (long long)n);
        /* the cut of the batch does not matter: the second half alone, as samples 108.. */
        oct_tensor *half = oct_tensor_borrow(ctx, OCT_F32, SH(8, 33, 37), oct_f32(x) + n / 2),
                   *out = like(ctx, half);
        key.sample = 108;
        ck_ok(oct_dropout_forward(ctx, &a, &key, half, out));
        ck_assert(!memcmp(out->data, oct_f32(y) + n / 2, oct_tensor_bytes(out)));
        key.epoch++;
        if (ps[i] > 0.05f && ps[i] < 0.95f) {
            ck_ok(oct_dropout_forward(ctx, &a, &key, half, out));
            ck_assert(memcmp(out->data, oct_f32(y) + n / 2, oct_tensor_bytes(out)) != 0);
        }
    }
    oct_close(ctx);
}
END_TEST

/** Law 1, written apart: rounds by comparison of distances in double. */
static int64_t law(float x, float s, int32_t z, int32_t lo, int32_t hi, bool *inside) {
    float q = x / s;
    if (q != q) return *inside = false, z;
    if (fabsf(q) < 4194304.0f) {
        double f = floor((double)q), d = (double)q - f;
        q = (float)(d > 0.5 || (d == 0.5 && fmod(f, 2) != 0) ? f + 1 : f);
    }
    double v = (double)(q + (float)z);
    *inside = v >= lo && v <= hi;
    return v <= lo ? lo : v >= hi ? hi : (int64_t)v;
}

START_TEST(straight_through_gradient) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    const struct {
        int32_t qmin, qmax;
        bool per_channel;
    } rows[] = {{0, 255, false}, {0, 127, false}, {-127, 127, true},
                {-1, 1, true},   {0, 15, false},  {-128, 127, false}};
    octi_rng r = octi_rng_stream(2, OCTI_RNG_TEST, 4, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int64_t inner = 1; inner < 3000; inner = inner * 3 + 4) {
            int32_t lo = rows[i].qmin, hi = rows[i].qmax;
            int64_t c = rows[i].per_channel ? 5 : 1;
            oct_tensor *x = oct_tensor_new(ctx, OCT_F32, SH(5, inner)), *dy = like(ctx, x),
                       *dx = like(ctx, x), *y = like(ctx, x);
            oct_tensor *scale = oct_tensor_new(ctx, OCT_F32, SH(c)),
                       *zero = oct_tensor_new(ctx, OCT_S32, SH(c));
            oct_tensor *codes = oct_tensor_new(ctx, lo < 0 ? OCT_S8 : OCT_U8, x->shape);
            for (int64_t k = 0; k < c; k++) {
                oct_f32(scale)[k] = 0.01f + octi_rng_uniform(&r) * 0.1f;
                oct_s32(zero)[k] = lo < 0 ? 0 : (int32_t)octi_rng_below(&r, (uint32_t)hi + 1);
            }
            fill_normal(&r, x, 4);
            fill_normal(&r, dy, 1);
            static const float special[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, -0.0f, 1e-40f};
            for (int64_t e = 0; e < 7 && e < oct_tensor_count(x); e++) oct_f32(x)[e] = special[e];
            for (int64_t e = 7; e < oct_tensor_count(x); e += 5) /* ties */
                oct_f32(x)[e] = ((float)(e % 64 - 32) + 0.5f) * oct_f32(scale)[e / inner % c];
            ck_ok(oct_fake_quantize_forward(ctx, x, scale, zero, lo, hi, y, codes));
            ck_ok(oct_fake_quantize_grad(ctx, x, scale, zero, lo, hi, dy, dx));
            for (int64_t e = 0; e < oct_tensor_count(x); e++) {
                bool inside;
                int64_t k = c > 1 ? e / inner : 0, q = law(oct_f32(x)[e], oct_f32(scale)[k],
                                                           oct_s32(zero)[k], lo, hi, &inside);
                int got = lo < 0 ? oct_s8(codes)[e] : oct_u8(codes)[e];
                ck_assert_msg(got == q, "code of %.9g is %d, want %d", (double)oct_f32(x)[e], got,
                              (int)q);
                ck_assert(oct_f32(y)[e] == oct_f32(scale)[k] * (float)(q - oct_s32(zero)[k]));
                ck_assert(oct_f32(dx)[e] == (inside ? oct_f32(dy)[e] : 0.0f));
            }
            oct_tensor *copy = oct_tensor_copy(ctx, x); /* y may be x, and may be absent */
            ck_ok(oct_fake_quantize_forward(ctx, copy, scale, zero, lo, hi, copy, NULL));
            ck_assert(!memcmp(copy->data, y->data, oct_tensor_bytes(y)));
            ck_ok(oct_fake_quantize_forward(ctx, x, scale, zero, lo, hi, NULL, codes));
        }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("ops_grad", forward_and_gradients_match_the_reference,
              convolution_is_exact_on_whole_numbers, convolution_stays_inside_its_tensors,
              images_do_not_see_each_other, threads_do_not_change_a_bit, warm_ops_allocate_nothing,
              dropout_is_its_own_gradient, straight_through_gradient,
              every_differentiated_kind_is_covered)
