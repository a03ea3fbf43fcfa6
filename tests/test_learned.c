/* SPDX-License-Identifier: MIT
 * Learned scales: gradients against PyTorch's and against the papers' formulas; what must hold
 * while they train. */
#include "tests/oct_test.h"

#include <math.h>
#include <string.h>

#include "qat/scales/learned.h"
#include "qat/step/learned_grad.h"
#include "tests/random_net.h"

/* input -> (conv 1x1 that does nothing) is avoided: the rounding alone, through the functions that
 * nodes call */
typedef struct rounding {
    oct_quantizer q;
    oct_tensor *x, *codes, *dy;
    octi_straight to;
} rounding;

static rounding rounding_new(oct_ctx *ctx, oct_method method, bool strict, int qmax, int z,
                             float scale, int64_t n) {
    rounding r = {.q = {.name = "q",
                        .observer = "ema",
                        .method = method,
                        .strict = strict,
                        .spec = {.bits = 8, .qmax = qmax}}};
    r.q.scale = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    r.q.zero_point = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
    r.q.step = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    if (method == OCT_METHOD_LSQ_PLUS) r.q.offset = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    oct_f32(r.q.scale)[0] = oct_f32(r.q.step)[0] = scale;
    oct_s32(r.q.zero_point)[0] = z;
    oct_shape s = OCT_SHAPE(1, n);
    r.x = oct_tensor_new(ctx, OCT_F32, s);
    r.dy = oct_tensor_new(ctx, OCT_F32, s);
    r.codes = oct_tensor_new(ctx, OCT_U8, s);
    r.to = (octi_straight){oct_tensor_new(ctx, OCT_U8, s), oct_tensor_new(ctx, OCT_F32, s)};
    return r;
}

static float step_grad(oct_ctx *ctx, rounding *r) {
    octi_call c = {.ctx = ctx, .mode = OCT_TRAIN, .dout = r->dy};
    ck_ok(octi_learned_grad(&c, &r->q, &r->to));
    return oct_f32(r->q.step->grad)[0];
}

/* _fake_quantize_learnable_per_tensor_affine. Its offset gradient is in units of codes; ours in the
 * value's (LSQ+). */
START_TEST(gradients_equal_pytorchs) {
    oct_ctx *ctx = oct_open(NULL);
    FILE *f = fopen(OCT_SOURCE_DIR "/tests/golden/lsq.txt", "r");
    ck_assert_msg(f != NULL, "cannot read tests/golden/lsq.txt");
    int cases = 0, qmax, z, n, c;
    float scale, g;
    while ((c = fgetc(f)) != EOF && c != '\n') continue; /* version */
    while (fscanf(f, " case %d %d %f %f %d", &qmax, &z, &scale, &g, &n) == 5) {
        rounding r = rounding_new(ctx, OCT_METHOD_LSQ, false, qmax, z, scale, n);
        oct_tensor *y = oct_tensor_copy(ctx, r.x), *dx = oct_tensor_copy(ctx, r.x);
        oct_tensor *rows[] = {r.x, r.dy, y, dx};
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < n; i++) ck_assert_int_eq(fscanf(f, "%f", &oct_f32(rows[k])[i]), 1);
        float ds;
        ck_assert_int_eq(fscanf(f, "%f", &ds), 1);
        octi_quantize_tensor(ctx, r.x, &r.q, OCT_ACT_NONE, r.codes, r.to);
        for (int i = 0; i < n; i++) {
            ck_assert_float_eq(oct_f32(r.x)[i], oct_f32(y)[i]);
            float masked = oct_u8(r.to.mask)[i] & OCTI_PASSES ? oct_f32(r.dy)[i] : 0;
            ck_assert_float_eq(masked, oct_f32(dx)[i]);
        }
        ck_assert_float_eq_tol(step_grad(ctx, &r), ds, 2e-5f * (1 + fabsf(ds)));
        cases++;
    }
    fclose(f);
    ck_assert_int_ge(cases, 6);
    oct_close(ctx);
}
END_TEST

/* 2 bits, z = 1, s = 1, N = 6: levels -1 0 1 2. u: below, at the lower edge, inside, between the
 * edge and the next half, above */
START_TEST(papers_formulas) {
    static const float x[6] = {-3, -1, 0.25f, 1.75f, 2.25f, 9};
    static const struct {
        oct_method method;
        bool strict;
        float sum[2]; /* of d scale and d offset before the gradient scale, all dy 1 */
        uint8_t mask[6];
    } rows[] = {
        /* rounded: 2.25 rounds to 2, in range: passes, rne - u = -0.25; z = 1 sums: below -1, above
         * 2 */
        {OCT_METHOD_LSQ, false, {-1 + 0 + -0.25f + 0.25f + -0.25f + 2, 0}, {2, 1, 1, 1, 1, 2}},
        /* strict: the edge itself and 2.25 are outside */
        {OCT_METHOD_LSQ, true, {-1 + -1 + -0.25f + 0.25f + 2 + 2, 0}, {2, 2, 1, 1, 2, 2}},
        /* lsq+: outside the code itself, 0 or 3 */
        {OCT_METHOD_LSQ_PLUS, true, {0 + 0 + -0.25f + 0.25f + 3 + 3, 4}, {2, 2, 1, 1, 2, 2}},
        /* pact: (qmin - z) / (qmax - z) below, 1 above */
        {OCT_METHOD_PACT, true, {-0.5f - 0.5f + 1 + 1, 0}, {2, 2, 1, 1, 2, 2}},
    };
    oct_ctx *ctx = oct_open(NULL);
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        rounding r = rounding_new(ctx, rows[k].method, rows[k].strict, 3, 1, 1, 6);
        memcpy(r.x->data, x, sizeof x);
        for (int i = 0; i < 6; i++) oct_f32(r.dy)[i] = 1;
        octi_quantize_tensor(ctx, r.x, &r.q, OCT_ACT_NONE, r.codes, r.to);
        for (int i = 0; i < 6; i++) ck_assert_int_eq(oct_u8(r.to.mask)[i], rows[k].mask[i]);
        float scaled = rows[k].method == OCT_METHOD_PACT ? 1 : 1 / sqrtf(6 * 2);
        ck_assert_float_eq_tol(step_grad(ctx, &r), rows[k].sum[0] * scaled, 1e-6f);
        if (r.q.offset)
            ck_assert_float_eq_tol(oct_f32(r.q.offset->grad)[0], rows[k].sum[1] * scaled, 1e-6f);
    }
    oct_close(ctx);
}
END_TEST

/* A relu's output below zero is zero: no gradient, no term. */
START_TEST(fused_relu_closes) {
    oct_ctx *ctx = oct_open(NULL);
    rounding r = rounding_new(ctx, OCT_METHOD_LSQ, true, 15, 0, 0.5f, 2);
    oct_f32(r.x)[0] = -1;
    oct_f32(r.x)[1] = 0.6f;
    octi_quantize_tensor(ctx, r.x, &r.q, OCT_ACT_RELU, r.codes, r.to);
    ck_assert_int_eq(oct_u8(r.to.mask)[0] & OCTI_PASSES, 0);
    ck_assert_float_eq(oct_f32(r.to.term)[0], 0);
    ck_assert_float_eq_tol(oct_f32(r.to.term)[1], 1 - 1.2f, 1e-6f);
    oct_close(ctx);
}
END_TEST

/* ---- whole nets ---- */

typedef struct trained {
    oct_ctx *ctx;
    oct_net *q;
    oct_shape image;
    oct_tape *tape;
    oct_optim *optim;
    oct_tensor *labels;
} trained;

static trained start(int threads, oct_method method, int64_t seed, float lr) {
    trained t = {.ctx = oct_open(&(oct_opts){.threads = threads})};
    oct_net *net = random_net(t.ctx, (uint64_t)seed, &t.image);
    t.q = oct_prepare(net, &(oct_qconfig){.method = method, .wbits = 3, .abits = 3});
    ck_not_null(t.q);
    t.tape = oct_tape_new(t.ctx);
    int32_t count;
    const oct_named_tensor *p = oct_net_parameters(t.q, &count);
    t.optim = oct_optim_new(t.ctx, p, count,
                            &(oct_optim_opts){.lr = lr, .momentum = 0.9f, .weight_decay = 1e-4f});
    t.labels = oct_tensor_new(t.ctx, OCT_S32, OCT_SHAPE(16));
    for (int i = 0; i < 16; i++) oct_s32(t.labels)[i] = i % 3;
    return t;
}

static oct_status step(trained *t, const oct_tensor *x) {
    oct_optim_zero_grad(t->optim);
    oct_tape_begin(t->tape, OCT_TRAIN);
    OCT_TRY(oct_backward(
        oct_cross_entropy(oct_net_forward(t->q, oct_input(t->tape, x)), t->labels, NULL)));
    return oct_optim_step(t->optim);
}

static void finish(trained *t) {
    oct_optim_free(t->optim);
    oct_close(t->ctx);
}

START_TEST(same_bits_for_any_threads) {
    static const oct_method methods[] = {OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS, OCT_METHOD_PACT};
    int moved = 0;
    /* nets of functions may leave single scales without a gradient: several nets */
    for (int m = 0; m < 12; m++) {
        const int seed = 2 + m / 3;
        trained a = start(1, methods[m % 3], seed, 0.01f),
                b = start(3, methods[m % 3], seed, 0.01f);
        for (uint32_t i = 0; i < 4; i++) {
            ck_ok(step(&a, random_images(a.ctx, 16, a.image, i)));
            ck_ok(step(&b, random_images(b.ctx, 16, b.image, i)));
        }
        for (int32_t i = 0; i < a.q->graph->quantizer_count; i++) {
            const oct_tensor *s = a.q->graph->quantizers[i].step,
                             *u = b.q->graph->quantizers[i].step;
            if (!s) continue;
            ck_assert_mem_eq(s->data, u->data, oct_tensor_bytes(s));
            moved += s->grad && oct_f32(s->grad)[0] != 0;
        }
        finish(&a);
        finish(&b);
    }
    ck_assert_int_gt(moved, 24);
}
END_TEST

/* A learning rate that throws every step far below zero. */
START_TEST(steps_stay_positive) {
    trained t = start(1, OCT_METHOD_LSQ, 11, 0.001f);
    const oct_tensor *x = random_images(t.ctx, 16, t.image, 1);
    ck_ok(step(&t, x));
    for (int32_t i = 0; i < t.q->graph->quantizer_count; i++) {
        oct_tensor *s = t.q->graph->quantizers[i].step;
        for (int64_t k = 0; s && k < oct_tensor_count(s); k++) oct_f32(s)[k] = -1;
    }
    ck_ok(step(&t, x));
    oct_mismatch m = {0};
    oct_net *i8 = oct_convert(t.q, NULL);
    ck_not_null(i8);
    ck_ok(oct_compare(t.q, i8, x, &m));
    ck_assert_int_eq(m.mismatched, 0);
    for (int32_t i = 0; i < t.q->graph->quantizer_count; i++)
        for (int64_t k = 0; k < oct_tensor_count(t.q->graph->quantizers[i].scale); k++)
            ck_assert_float_gt(oct_f32(t.q->graph->quantizers[i].scale)[k], 0);
    finish(&t);
}
END_TEST

static oct_status refusal(const oct_net *net, oct_qconfig c) {
    return oct_prepare(net, &c) ? OCT_OK : oct_last_error()->code;
}

START_TEST(the_input_is_observed_and_unknown_methods_are_refused) {
    oct_ctx *ctx = oct_open(NULL);
    oct_shape image;
    oct_net *net = random_net(ctx, 2, &image),
            *q = oct_prepare(net, &(oct_qconfig){.method = OCT_METHOD_LSQ});
    ck_not_null(q);
    ck_assert_ptr_null(q->graph->quantizers[0].step);
    ck_fails(OCT_EUSAGE, "global: method", refusal(net, (oct_qconfig){.method = (oct_method)9}));
    ck_fails(OCT_EUSAGE, "expected ema, lsq, lsq+ or pact, got 9",
             refusal(net, (oct_qconfig){.method = (oct_method)9}));
    ck_fails(OCT_EUSAGE, "expected rounded or strict, got -1",
             refusal(net, (oct_qconfig){.ste = (oct_ste)-1}));
    oct_close(ctx);
}
END_TEST

/* A channel's step belongs to the weights before the fold: statistics that move change its scale,
 * and no code. */
START_TEST(moving_statistics_flip_no_codes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 8, .kernel = 3, .no_bias = true}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8})};
    oct_net *q =
        oct_prepare(oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(5, 5, 2)),
                    &(oct_qconfig){.method = OCT_METHOD_LSQ, .wbits = 4, .all_layers = true});
    ck_not_null(q);
    oct_tape *tape = oct_tape_new(ctx);
    oct_tape_begin(tape, OCT_TRAIN); /* steps are initialized from the first batch */
    ck_not_null(oct_net_forward(q, oct_input(tape, random_images(ctx, 4, OCT_SHAPE(5, 5, 2), 1))));
    const oct_graph *g = q->graph;
    const oct_node *n = NULL;
    for (int32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].kind == OCT_OP_conv2d) n = &g->nodes[i];
    ck_assert(n && n->attr.bn[0]);
    octi_arena *arena = octi_arena_new(ctx);
    octi_qweights a, b;
    ck_ok(octi_quantize_weights(q, n, 0.01f, arena, &a));
    float *var = oct_f32(oct_net_tensor(q, "1.running_var")),
          *gamma = oct_f32(oct_net_tensor(q, "1.weight"));
    for (int c = 0; c < 8; c++) {
        var[c] *= 1.37f + (float)c;
        gamma[c] = c % 2 ? -gamma[c] : gamma[c] * 0.3f;
    }
    ck_ok(octi_quantize_weights(q, n, 0.01f, arena, &b));
    for (int64_t k = 0; k < 8 * 18; k++)
        ck_assert_int_eq(a.codes[k], k / 18 % 2 ? -b.codes[k] : b.codes[k]);
    for (int c = 0; c < 8; c++)
        ck_assert_float_eq_tol(b.scale[c] / fabsf(b.factor[c]), a.scale[c] / fabsf(a.factor[c]),
                               1e-6f * a.scale[c] / fabsf(a.factor[c]));
    octi_arena_free(arena);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("learned", moving_statistics_flip_no_codes, gradients_equal_pytorchs, papers_formulas,
              fused_relu_closes, same_bits_for_any_threads, steps_stay_positive,
              the_input_is_observed_and_unknown_methods_are_refused)
