/* SPDX-License-Identifier: MIT
 * The tape: gradients of whole graphs against differences, sharing, names, capture, replay, steady
 * memory. */
#include "tests/oct_test.h"

#include <math.h>

#include "octet.h"
#include "src/rng.h"

/* conv-bn-relu with a residual, a cat, pools: branches, shared values, views */
typedef struct tiny {
    oct_module *conv1, *bn1, *conv2, *fc;
} tiny;

static oct_var *tiny_forward(void *self, oct_tape *t, oct_var *x) {
    tiny *n = self;
    (void)t;
    oct_var *a = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    oct_var *b = oct_add(a, oct_apply(n->conv2, a)); /* a has two readers */
    oct_var *c = oct_cat((oct_var *[]){b, oct_add(a, a)}, 2, 3);
    return oct_apply(n->fc,
                     oct_flatten(oct_avg_pool2d(oct_relu(c), &(oct_pool_opts){.kernel = 2})));
}

static oct_module *tiny_new(oct_ctx *ctx, tiny *n) {
    oct_module *m = oct_module_new(ctx, tiny_forward, n);
    n->conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 2, .out = 3, .kernel = 3, .pad = 1, .no_bias = true}));
    n->bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 3}));
    n->conv2 = oct_module_add(
        m, "conv2",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 3, .kernel = 3, .pad = 1}));
    n->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 6 * 3 * 3, .out = 4}));
    return m;
}

static oct_tensor *random_tensor(oct_ctx *ctx, oct_shape s, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

static oct_tensor *labels_of(oct_ctx *ctx, int64_t n, int classes) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(n));
    for (int64_t i = 0; i < n; i++) oct_s32(t)[i] = (int32_t)((i * 7 + 3) % classes);
    return t;
}

START_TEST(gradients_match_differences) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    tiny n;
    oct_module *m = tiny_new(ctx, &n);
    ck_not_null(m);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(5, 6, 6, 2), 1), *y = labels_of(ctx, 5, 4);
    oct_tape *t = oct_tape_new(ctx);
    int32_t count;
    const oct_named_tensor *p = oct_module_tensors(m, &count);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *loss = oct_cross_entropy(tiny_forward(&n, t, oct_input(t, x)), y, NULL);
    ck_ok(oct_backward(loss));
    ck_fails(OCT_EUSAGE, "twice", oct_backward(loss));
    int checked = 0;
    for (int32_t i = 0; i < count; i++) {
        if (p[i].role != OCT_ROLE_PARAM) continue;
        ck_not_null(p[i].tensor->grad);
        int64_t size = oct_tensor_count(p[i].tensor);
        for (int64_t k = 0; k < size; k += 1 + size / 7, checked++) {
            float *w = oct_f32(p[i].tensor) + k, keep = *w, g = oct_f32(p[i].tensor->grad)[k];
            double at[2];
            for (int side = 0; side < 2; side++) {
                *w = keep + (side ? 3e-4f : -3e-4f);
                oct_tape_begin(t, OCT_TRAIN);
                at[side] = *oct_f32(oct_var_value(
                    oct_cross_entropy(tiny_forward(&n, t, oct_input(t, x)), y, NULL)));
            }
            *w = keep;
            double d = (at[1] - at[0]) / 6e-4; /* small: a larger step crosses kinks of relu */
            ck_assert_msg(fabs(d - g) < 2e-3 + 0.03 * fabs(d), "%s[%d]: difference %g, gradient %g",
                          p[i].name, (int)k, d, g);
        }
    }
    ck_assert_int_gt(checked, 30);
    oct_close(ctx);
}
END_TEST

/* What has no gradient keeps its place: the others' parts lie where their values do. */
START_TEST(members_without_gradient_keep_their_place) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *fixed = random_tensor(ctx, OCT_SHAPE(2, 3), 1),
               *a = random_tensor(ctx, OCT_SHAPE(2, 2), 2),
               *b = random_tensor(ctx, OCT_SHAPE(2, 1), 3);
    oct_tensor *target = random_tensor(ctx, OCT_SHAPE(2, 9), 4);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *x = oct_input(t, fixed),
            *y = oct_cat((oct_var *[]){x, oct_param(t, a, "a"), x, oct_param(t, b, "b")}, 4, 1);
    ck_ok(oct_backward(oct_mse_loss(y, target)));
    for (int n = 0; n < 2; n++)
        for (int k = 0; k < 3; k++) { /* columns 3, 4 and 8; of 18 elements */
            const float v = k < 2 ? oct_f32(a)[n * 2 + k] : oct_f32(b)[n],
                        want = 2 * (v - oct_f32(target)[n * 9 + (k < 2 ? 3 + k : 8)]) / 18;
            const float got = k < 2 ? oct_f32(a->grad)[n * 2 + k] : oct_f32(b->grad)[n];
            ck_assert_float_eq_tol(got, want, 1e-6f);
        }
    oct_tensor_unref(fixed), oct_tensor_unref(a), oct_tensor_unref(b), oct_tensor_unref(target);
    oct_tape_free(t);
    oct_close(ctx);
}
END_TEST

START_TEST(null_and_failure_flow_through) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    oct_tensor *a = random_tensor(ctx, OCT_SHAPE(2, 3), 1),
               *b = random_tensor(ctx, OCT_SHAPE(2, 4), 2);
    oct_var *y = oct_relu(oct_add(oct_input(t, a), oct_input(t, b)));
    ck_assert(y == NULL);
    ck_assert_int_eq(oct_tape_status(t), OCT_ESHAPE);
    ck_assert(oct_relu(oct_flatten(NULL)) == NULL);
    ck_assert_int_eq(oct_backward(y), OCT_ESHAPE);
    oct_tape_begin(t, OCT_EVAL);
    ck_assert_int_eq(oct_tape_status(t), OCT_OK);
    oct_var *loss = oct_mse_loss(oct_input(t, a), a);
    ck_fails(OCT_EUSAGE, "training mode", oct_backward(loss));
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *p = oct_param(t, a, "a");
    ck_fails(OCT_EUSAGE, "scalar", oct_backward(oct_relu(p)));
    oct_close(ctx);
}
END_TEST

START_TEST(replay_equals_recording_bit_for_bit) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 3});
    tiny n;
    oct_module *m = tiny_new(ctx, &n);
    oct_net *net = oct_capture(m, OCT_SHAPE(6, 6, 2));
    ck_not_null(net);
    ck_assert_int_eq(net->graph->values[net->graph->input].shape.dim[0], OCT_BATCH);
    ck_assert_int_ge(oct_graph_find_node(net->graph, "conv1"), 0);
    ck_assert_int_ge(oct_graph_find_node(net->graph, "add_1"), 0);
    ck_not_null(oct_net_tensor(net, "bn1.running_mean"));
    oct_net *fused = oct_fuse(net);
    ck_not_null(fused);
    ck_assert_int_lt(fused->graph->node_count, net->graph->node_count);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(5, 6, 6, 2), 1);
    oct_tape *t = oct_tape_new(ctx), *u = oct_tape_new(ctx), *w = oct_tape_new(ctx);
    for (int mode = OCT_TRAIN; mode <= OCT_EVAL; mode += OCT_EVAL) {
        oct_tape_begin(t, (oct_mode)mode);
        const oct_tensor *y = oct_var_value(tiny_forward(&n, t, oct_input(t, x)));
        /* eager training moved the shared statistics: bring the fused copy level first */
        oct_tape_begin(w, (oct_mode)mode);
        const oct_tensor *yw = oct_var_value(oct_net_forward(fused, oct_input(w, x)));
        ck_not_null(y);
        ck_not_null(yw);
        ck_assert(!memcmp(y->data, yw->data, oct_tensor_bytes(y)));
    }
    oct_tape_begin(t, OCT_EVAL);
    oct_tape_begin(u, OCT_EVAL);
    const oct_tensor *y = oct_var_value(tiny_forward(&n, t, oct_input(t, x)));
    const oct_tensor *yu = oct_var_value(oct_net_forward(net, oct_input(u, x)));
    ck_assert(!memcmp(y->data, yu->data, oct_tensor_bytes(y)));
    oct_close(ctx);
}
END_TEST

START_TEST(steady_step_allocates_nothing) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_net *net = oct_capture(oct_zoo_new(ctx, "resnet8", NULL), OCT_SHAPE(32, 32, 3));
    ck_not_null(net);
    oct_net *q = oct_prepare(net, NULL);
    ck_not_null(q);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(16, 32, 32, 3), 1), *y = labels_of(ctx, 16, 10);
    for (int prepared = 0; prepared < 2; prepared++) {
        oct_net *n = prepared ? q : net;
        int32_t count;
        const oct_named_tensor *p = oct_net_parameters(n, &count);
        oct_optim *o =
            oct_optim_new(ctx, p, count, &(oct_optim_opts){.lr = 0.01f, .momentum = 0.9f});
        oct_tape *t = oct_tape_new(ctx);
        uint64_t before = 0;
        for (int step = 0; step < 6; step++) {
            if (step == 4) before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
            oct_optim_zero_grad(o);
            oct_tape_begin(t, OCT_TRAIN);
            ck_ok(oct_backward(oct_cross_entropy(oct_net_forward(n, oct_input(t, x)), y, NULL)));
            ck_ok(oct_optim_step(o));
        }
        ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), before);
    }
    oct_close(ctx);
}
END_TEST

static oct_var *features_forward(void *self, oct_tape *t, oct_var *x) {
    tiny *n = self;
    (void)t;
    oct_var *a = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    return oct_flatten(oct_add(a, oct_apply(n->conv2, a)));
}

/* sum(y * dy) of one image is a linear layer whose row is dy: the same bits flow. */
START_TEST(a_gradient_from_outside_is_that_of_a_sum) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    enum { K = 6 * 6 * 3 };
    tiny n;
    oct_module *m = tiny_new(ctx, &n), *f = oct_module_new(ctx, features_forward, &n);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(1, 6, 6, 2), 1),
               *dy = random_tensor(ctx, OCT_SHAPE(1, K), 2), *kept = oct_tensor_copy(ctx, dy),
               *zero = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    oct_tensor *p[3] = {oct_module_tensor(m, "conv1.weight"), oct_module_tensor(m, "bn1.weight"),
                        oct_module_tensor(m, "conv2.bias")},
               *want[3];
    oct_tape *t = oct_tape_new(ctx);
    for (int way = 0; way < 2; way++) {
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *y = oct_apply(f, oct_input(t, x));
        ck_not_null(y);
        if (way)
            ck_ok(oct_backward_from(y, dy));
        else
            ck_ok(oct_backward(oct_linear(y, oct_input(t, dy), oct_input(t, zero))));
        for (int k = 0; k < 3; k++) {
            ck_assert(p[k]->grad && oct_f32(p[k]->grad)[0] != 0);
            if (way) ck_assert(!memcmp(p[k]->grad->data, want[k]->data, oct_tensor_bytes(want[k])));
            want[k] = oct_tensor_copy(ctx, p[k]->grad);
            memset(p[k]->grad->data, 0, oct_tensor_bytes(want[k]));
        }
    }
    ck_assert(!memcmp(dy->data, kept->data, oct_tensor_bytes(dy))); /* flatten and add pass it on */
    oct_var *y = NULL;
    oct_tape_begin(t, OCT_TRAIN);
    y = oct_apply(f, oct_input(t, x));
    ck_fails(OCT_ESHAPE, "[1, 108]", oct_backward_from(y, x));
    oct_tensor *turned = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(K, 1)); /* as many elements */
    ck_fails(OCT_ESHAPE, "[108, 1]", oct_backward_from(y, turned));
    ck_fails(OCT_EDTYPE, "float32", oct_backward_from(y, labels_of(ctx, 1, 2)));
    ck_fails(OCT_EUSAGE, "NULL", oct_backward_from(y, NULL));
    ck_fails(OCT_EUSAGE, "oct_backward_from", oct_backward(y));
    ck_ok(oct_backward_from(y, dy)); /* what was refused did not count */
    ck_fails(OCT_EUSAGE, "twice", oct_backward_from(y, dy));
    oct_tape_begin(t, OCT_EVAL);
    ck_fails(OCT_EUSAGE, "training mode", oct_backward_from(oct_apply(f, oct_input(t, x)), dy));
    /* of a parameter itself: added to its gradient */
    oct_tape_begin(t, OCT_TRAIN);
    ck_ok(oct_backward_from(oct_param(t, dy, "dy"), dy));
    ck_assert(!memcmp(dy->grad->data, dy->data, oct_tensor_bytes(dy)));
    oct_close(ctx);
}
END_TEST

/* A variable belongs to its tape. */
START_TEST(tapes_do_not_mix) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *a = oct_tape_new(ctx), *b = oct_tape_new(ctx);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 3));
    oct_tape_begin(a, OCT_TRAIN);
    oct_tape_begin(b, OCT_TRAIN);
    oct_var *of_a = oct_input(a, x), *of_b = oct_relu(oct_input(b, x));
    ck_assert(oct_add(of_a, of_b) == NULL);
    ck_assert_msg(strstr(oct_error_message(), "input 1 is a variable of another tape"), "%s",
                  oct_error_message());
    ck_assert_int_eq(oct_tape_status(a), OCT_EUSAGE);
    ck_ok(oct_tape_status(b));
    oct_tensor_unref(x);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("autograd", gradients_match_differences, members_without_gradient_keep_their_place,
              a_gradient_from_outside_is_that_of_a_sum, tapes_do_not_mix,
              null_and_failure_flow_through, replay_equals_recording_bit_for_bit,
              steady_step_allocates_nothing)
