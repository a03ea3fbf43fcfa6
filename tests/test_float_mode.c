/* SPDX-License-Identifier: MIT
 * A host program's rounding mode, or its flush to zero, set at any time: every entry computes as in
 * the law's mode, in workers too, and gives the mode back. Each step runs once to nearest and once
 * in each other mode; what it leaves must be the same bytes. */
#include <fenv.h>

#include "octet.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/rng.h"
#include "tests/oct_test.h"
#include "tests/random_net.h"

enum { MODES = 5, STEPS = 64, N = 24 };
static const char *const mode_names[MODES] = {"to nearest", "upward", "downward", "toward zero",
                                              "flush to zero"};

static void set_mode(int mode) {
    static const int rounding[MODES] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO,
                                        FE_TONEAREST};
    fesetround(rounding[mode]);
#if defined(__x86_64__)
    const uint64_t flush = 0x8040;
    octi_float_mode_write((octi_float_mode_read() & ~flush) | (mode == 4 ? flush : 0));
#endif
}

static struct {
    const char *name;
    uint32_t crc;
} want[STEPS];
static int mode, step;
static uint32_t crc;

static void left(const void *p, size_t bytes) {
    const uint8_t *b = p;
    for (size_t i = 0; i < bytes; i++) crc = (crc ^ b[i]) * 16777619u;
}
static void left_tensor(const oct_tensor *t) { left(t->data, oct_tensor_bytes(t)); }
static void left_net(const oct_net *net) {
    for (int32_t i = 0; i < net->tensor_count; i++) left_tensor(net->tensors[i].tensor);
}

static void done(const char *name) {
    if (mode)
        ck_assert_msg(want[step].crc == crc, "%s with rounding %s: other bytes", name,
                      mode_names[mode]);
    want[step].name = name;
    want[step++].crc = crc;
    crc = 2166136261u;
}

/* The call, in the mode at hand; the mode must still be there behind it. */
#define IN_MODE(call)                                                                              \
    do {                                                                                           \
        set_mode(mode);                                                                            \
        uint64_t before_ = octi_float_mode_read();                                                 \
        call;                                                                                      \
        ck_assert_msg(((octi_float_mode_read() ^ before_) & (unsigned)OCTI_FLOAT_MODE_BITS) == 0,  \
                      "%s: the mode was not given back", #call);                                   \
        set_mode(0);                                                                               \
    } while (0)

static void small_functions(void) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 60, 0);
    oct_qspec u8 = oct_qspec_activation(8, false), s8 = oct_qspec_weight(8, true);
    for (int i = 0; i < 200; i++) {
        volatile float a = octi_rng_normal(&r), b = octi_rng_normal(&r), s = 0, f = 0;
        float low, high, square, scale;
        int32_t z = 0;
        if (i % 10 == 9) a *= 0x1p-140f, b *= 0x1p-140f;
        low = a < b ? a : b, high = a < b ? b : a, square = b * b;
        IN_MODE(ck_ok(oct_qparams_from_range(&u8, low, high, "test", &scale, &z)));
        s = scale;
        left(&scale, sizeof scale), left(&z, sizeof z);
        IN_MODE(f = oct_fold_factor(a, square, 1e-5f));
        scale = f, left(&scale, sizeof scale);
        IN_MODE(f = oct_fold_bias(a, b, f, a));
        scale = f, left(&scale, sizeof scale);
        IN_MODE(f = oct_weight_scale(&s8, square, b, s));
        scale = f, left(&scale, sizeof scale);
        const oct_schedule cosine = {
            .kind = OCT_SCHEDULE_COSINE, .lr = square, .final_lr = 1e-4f, .total = 200};
        IN_MODE(f = oct_schedule_lr(&cosine, i));
        scale = f, left(&scale, sizeof scale);
    }
    done("qparams");
}

static void tensor_ops(oct_ctx *ctx) {
    enum { K = 200, O = 64, ROWS = 256 };
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 61, 0);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(ROWS, K)),
               *w = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(O, K)),
               *y = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(ROWS, O)),
               *p = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(ROWS, O)),
               *dw = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(O, K)),
               *s = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1)),
               *z = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1)),
               *codes = oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(ROWS, O));
    for (int i = 0; i < ROWS * K; i++)
        oct_f32(x)[i] = octi_rng_normal(&r) * (i % 97 ? 1.0f : 0x1p-135f);
    for (int i = 0; i < O * K; i++) oct_f32(w)[i] = octi_rng_normal(&r);
    oct_f32(s)[0] = 0.037f, oct_s32(z)[0] = 120;
    IN_MODE(ck_ok(oct_linear_forward(ctx, x, w, NULL, y)));
    left_tensor(y), done("oct_linear_forward");
    IN_MODE(ck_ok(oct_fake_quantize_forward(ctx, y, s, z, 0, 255, p, codes)));
    left_tensor(p), left_tensor(codes), done("oct_fake_quantize_forward");
    IN_MODE(ck_ok(oct_softmax_forward(ctx, y, p)));
    left_tensor(p), done("oct_softmax_forward");
    IN_MODE(ck_ok(oct_linear_grad_w(ctx, x, p, dw, NULL)));
    left_tensor(dw), done("oct_linear_grad_w");
    IN_MODE(ck_ok(oct_act_forward(ctx, OCT_ACT_RELU, y, p)));
    left_tensor(p), done("oct_act_forward");
}

static void train_step(oct_net *net, oct_tape *t, oct_tensor *x, oct_tensor *labels,
                       const char *name) {
    int32_t count;
    const oct_named_tensor *p = oct_net_parameters(net, &count);
    oct_optim *o =
        oct_optim_new(net->ctx, p, count, &(oct_optim_opts){.lr = 0.01f, .momentum = 0.9f});
    oct_optim_zero_grad(o);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *y = NULL, *loss = NULL;
    IN_MODE(y = oct_net_forward(net, oct_input(t, x)));
    IN_MODE(loss = oct_cross_entropy(y, labels, NULL));
    IN_MODE(loss = oct_mix(loss, loss, 1.0f / 3));
    IN_MODE(ck_ok(oct_backward(loss)));
    IN_MODE(ck_ok(oct_optim_step(o)));
    left_net(net), done(name);
    oct_optim_free(o);
}

static void journey(void) {
    oct_ctx *ctx = NULL;
    IN_MODE(ctx = oct_open(&(oct_opts){.threads = 3}));
    ck_not_null(ctx);
    small_functions();
    tensor_ops(ctx);
    oct_shape image;
    oct_net *net = random_net(ctx, 5, &image), *q = NULL, *int8 = NULL;
    oct_tensor *x = random_images(ctx, N, image, 3),
               *labels = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(N));
    for (int i = 0; i < N; i++) oct_s32(labels)[i] = i % 3;
    oct_tape *t = oct_tape_new(ctx);
    train_step(net, t, x, labels, "a float step");
    IN_MODE(q = oct_prepare(net, NULL));
    ck_not_null(q);
    left_net(q), done("oct_prepare");
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, x->shape, x->data, oct_s32(labels), NULL);
    ck_not_null(d);
    IN_MODE(ck_ok(oct_calibrate(q, d, N)));
    left_net(q), done("oct_calibrate");
    train_step(q, t, x, labels, "a prepared step");
    IN_MODE(ck_ok(oct_fit(q, d, &(oct_fit_opts){.epochs = 1, .batch = 8})));
    left_net(q), done("oct_fit");
    oct_eval e = {0};
    IN_MODE(ck_ok(oct_evaluate(q, d, NULL, &e)));
    left(&e.accuracy, sizeof e.accuracy), left(&e.loss, sizeof e.loss), done("oct_evaluate");
    IN_MODE(int8 = oct_convert(q, NULL));
    ck_not_null(int8);
    left_net(int8), done("oct_convert");
    oct_mismatch m = {0};
    IN_MODE(ck_ok(oct_compare(q, int8, x, &m)));
    ck_assert_int_eq(m.mismatched, 0);
    oct_plan *plan = NULL;
    IN_MODE(plan = oct_plan_new(int8, NULL));
    oct_session *s = oct_session_new(plan, N, NULL, 0);
    ck_not_null(s);
    oct_shape out = oct_plan_output_shape(plan);
    out.dim[0] = N;
    oct_tensor *y = oct_tensor_new(ctx, OCT_F32, out);
    IN_MODE(ck_ok(oct_session_run(s, oct_f32(x), N, oct_f32(y))));
    left_tensor(y), done("oct_session_run");
    oct_session_free(s), oct_plan_free(plan), oct_eval_free(ctx, &e), oct_tape_free(t);
    oct_close(ctx);
}

START_TEST(no_mode_of_the_caller_moves_a_bit) {
    const int modes = OCT_TEST_TSAN ? 2 : MODES; /* threads race in none or in all of them */
    for (mode = 0; mode < modes; mode++) {
        step = 0;
        crc = 2166136261u;
        journey();
    }
}
END_TEST

OCT_TEST_MAIN("float_mode", no_mode_of_the_caller_moves_a_bit)
