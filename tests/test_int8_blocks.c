/* SPDX-License-Identifier: MIT
 * Blocks of nets with every int8 form side by side: trained, converted, compared; steps that
 * allocate nothing; values that were always zero. */
#include "tests/forms_fix.h"

typedef struct block {
    oct_module *expand, *bn1, *dw, *bn2, *squeeze, *excite, *project, *bn3, *fc;
} block;

static oct_var *block_forward(void *self, oct_tape *t, oct_var *x) {
    block *b = self;
    (void)t;
    oct_var *y = oct_hardswish(oct_apply(b->bn1, oct_apply(b->expand, x)));
    y = oct_hardswish(oct_apply(b->bn2, oct_apply(b->dw, y)));
    oct_var *gate = oct_relu(oct_apply(b->squeeze, oct_adaptive_avg_pool2d(y, 1, 1)));
    y = oct_mul(y, oct_hardsigmoid(oct_apply(b->excite, gate)));
    y = oct_add(x, oct_apply(b->bn3, oct_apply(b->project, y)));
    return oct_softmax(oct_apply(b->fc, oct_flatten(oct_adaptive_avg_pool2d(y, 1, 1))));
}

static oct_module *conv(oct_ctx *ctx, oct_module *m, const char *name, int in, int out, int k,
                        int groups, bool bias) {
    return oct_module_add(m, name,
                          oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = in,
                                                                 .out = out,
                                                                 .kernel = k,
                                                                 .pad = k / 2,
                                                                 .groups = groups,
                                                                 .no_bias = !bias}));
}

static oct_net *block_net(oct_ctx *ctx, block *b, oct_shape image) {
    oct_module *m = oct_module_new(ctx, block_forward, b);
    b->expand = conv(ctx, m, "expand", 8, 24, 1, 1, false);
    b->bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 24}));
    b->dw = conv(ctx, m, "dw", 24, 24, 3, 24, false);
    b->bn2 =
        oct_module_add(m, "bn2", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 24}));
    b->squeeze = conv(ctx, m, "squeeze", 24, 8, 1, 1, true);
    b->excite = conv(ctx, m, "excite", 8, 24, 1, 1, true);
    b->project = conv(ctx, m, "project", 24, 8, 1, 1, false);
    b->bn3 =
        oct_module_add(m, "bn3", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8}));
    b->fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 5}));
    return oct_capture(m, image);
}

/* Classes that can be told apart: the mean of one channel is up. */
static oct_tensor *class_images(oct_ctx *ctx, oct_shape image, uint32_t key, oct_tensor *onehot) {
    oct_tensor *x = random_images(ctx, 20, image, key);
    for (int64_t i = 0, each = oct_shape_count(&image); i < oct_tensor_count(x); i++)
        if (i % image.dim[2] == i / each % 5) oct_f32(x)[i] += 2;
    for (int i = 0; i < 100; i++) oct_f32(onehot)[i] = i / 5 % 5 == i % 5;
    return x;
}

START_TEST(mobile_block_with_softmax) {
    static const oct_qconfig configs[] = {{0},
                                          {.target = OCT_TARGET_FBGEMM},
                                          {.target = OCT_TARGET_QNNPACK},
                                          {.target = OCT_TARGET_POW2},
                                          {.target = OCT_TARGET_LITERT},
                                          {.wbits = 4, .abits = 4, .method = OCT_METHOD_LSQ}};
    for (int i = 0; i < 6; i++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1 + i % 2});
        oct_shape image = OCT_SHAPE(6, 7, 8);
        block b;
        oct_net *q = oct_prepare(block_net(ctx, &b, image), &configs[i]);
        ck_not_null(q);
        oct_tape *t = oct_tape_new(ctx);
        oct_tensor *onehot = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(20, 5));
        int32_t count;
        const oct_named_tensor *p = oct_net_parameters(q, &count);
        oct_optim *o =
            oct_optim_new(ctx, p, count, &(oct_optim_opts){.lr = 0.2f, .momentum = 0.9f});
        float first = 0, last = 0;
        for (uint32_t step = 0; step < 60; step++) {
            if (step == 45) oct_net_freeze_batch_norm(q, true);
            oct_optim_zero_grad(o);
            oct_tape_begin(t, OCT_TRAIN);
            oct_var *loss = oct_mse_loss(
                oct_net_forward(q, oct_input(t, class_images(ctx, image, step, onehot))), onehot);
            ck_ok(oct_backward(loss));
            last = *oct_f32(oct_var_value(loss));
            if (!step) first = last;
            ck_ok(oct_optim_step(o));
        }
        ck_assert_msg(last < 0.6f * first, "config %d: loss %g, at first %g", i, last, first);
        oct_convert_report report;
        oct_net *i8 = oct_convert(q, &report);
        ck_not_null(i8);
        const bool in_q31 = i == 4; /* where softmax stays float, and says why */
        ck_assert_int_eq(report.layers_float, in_q31);
        ck_assert_int_eq(node(i8, "mul")->kind, OCT_OP_qmul);
        ck_assert_int_eq(node(i8, "softmax")->kind, in_q31 ? OCT_OP_softmax : OCT_OP_qsoftmax);
        ck_assert_int_eq(node(i8, "softmax")->reason, in_q31 ? OCT_FLOAT_law : OCT_FLOAT_none);
        oct_tensor *x = class_images(ctx, image, 1000, onehot);
        same_codes(q, i8, x);
        /* the file gives the same answers, the fused plan too, and they are the training
         * forward's */
        uint8_t *bytes;
        size_t size;
        ck_ok(oct_int8_save_memory(i8, &bytes, &size));
        oct_net *back = oct_int8_load_memory(ctx, bytes, size, "block");
        ck_not_null(back);
        oct_plan *plan = oct_plan_new(back, NULL);
        oct_session *session = oct_session_new(plan, 20, NULL, 0);
        float y[100];
        ck_ok(oct_session_run(session, oct_f32(x), 20, y));
        oct_sim *sim = oct_sim_new(q);
        const oct_tensor *want = oct_sim_run(sim, x);
        ck_not_null(want);
        ck_assert_mem_eq(y, want->data, sizeof y);
        int right = 0;
        for (int n = 0; n < 20; n++) {
            int top = 0;
            for (int k = 1; k < 5; k++) top = y[5 * n + k] > y[5 * n + top] ? k : top;
            right += top == n % 5;
        }
        ck_assert_msg(right >= 16, "config %d: %d of 20", i, right);
        oct_session_free(session);
        oct_plan_free(plan);
        oct_sim_free(sim);
        oct_int8_bytes_free(ctx, bytes);
        oct_optim_free(o);
        oct_close(ctx);
    }
}
END_TEST

/* A step of it allocates nothing once it is warm, its statistics frozen or not. */
START_TEST(steady_steps_allocate_nothing) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_shape image = OCT_SHAPE(6, 7, 8);
    block b;
    oct_net *q = oct_prepare(block_net(ctx, &b, image), NULL);
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *onehot = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(20, 5)),
               *x = class_images(ctx, image, 1, onehot);
    for (int step = 0; step < 12; step++) {
        if (step == 6) oct_net_freeze_batch_norm(q, true);
        uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
        oct_tape_begin(t, OCT_TRAIN);
        ck_ok(oct_backward(oct_mse_loss(oct_net_forward(q, oct_input(t, x)), onehot)));
        if (step % 6 > 2) ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), before);
    }
    oct_close(ctx);
}
END_TEST

/* Multipliers that take sums far beyond s32: a value that calibration saw at 0 alone, behind a
 * large one. */
static oct_var *dead_forward(void *self, oct_tape *t, oct_var *x) {
    return (void)t, oct_relu(oct_apply(self, oct_relu(oct_leaky_relu(x, 0.9f))));
}

START_TEST(values_that_were_always_zero) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *fc = oct_linear_new(ctx, &(oct_linear_opts){.in = 64, .out = 3, .no_bias = true}),
               *m = oct_module_new(ctx, dead_forward, fc);
    oct_module_add(m, "fc", fc);
    oct_tensor *w = oct_module_tensor(m, "fc.weight");
    for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] = 40;
    oct_net *q = oct_prepare(oct_capture(m, OCT_SHAPE(64)), NULL);
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(run(q, t, OCT_CALIBRATE, ramp(ctx, 4, 64, -9000, -1)));
    oct_net *i8 = oct_convert(q, NULL);
    ck_not_null(i8);
    same_codes(q, i8, ramp(ctx, 4, 64, -9000, 9000));
    oct_close(ctx);
}
END_TEST
OCT_TEST_MAIN("int8_blocks", mobile_block_with_softmax, steady_steps_allocate_nothing,
              values_that_were_always_zero)
