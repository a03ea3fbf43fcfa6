/* SPDX-License-Identifier: MIT
 * A step of a prepared net: what begin decides for each node, and how often an evaluation
 * begins. */
#include "qat/step/step.h"

#include "octet.h"
#include "qat/scales/weights.h"
#include "qat/step/codes.h"
#include "qat/step/hooks.h"
#include "src/rng.h"
#include "tests/oct_test.h"

enum { SIDE = 8, IMAGES = 20 };

typedef struct small {
    oct_module *conv, *bn, *fc1, *fc2;
} small;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    const small *s = self;
    (void)t;
    x = oct_relu(oct_apply(s->bn, oct_apply(s->conv, x)));
    x = oct_flatten(oct_max_pool2d(x, &(oct_pool_opts){.kernel = 2}));
    x = oct_dropout(oct_sigmoid(oct_apply(s->fc1, x)), 0.5f);
    return oct_apply(s->fc2, x);
}

/* What the hooks in front of octet's saw. */
static const octi_step *last;
static const oct_net *last_net;
static int begun, viewed;

static oct_net *counted_view(oct_net *net, octi_arena *arena) {
    viewed++;
    return octi_qat_hooks.view(net, arena);
}
static void *counted_begin(oct_net *net, oct_mode mode, octi_arena *arena) {
    begun++;
    last_net = net;
    last = octi_qat_hooks.begin(net, mode, arena);
    return (void *)(uintptr_t)last;
}
static oct_status forward_hook(octi_call *c) { return octi_qat_hooks.forward(c); }
static oct_status backward_hook(octi_call *c) { return octi_qat_hooks.backward(c); }
static const octi_node_hooks counted = {counted_view, counted_begin, forward_hook, backward_hook};

static oct_net *prepared(oct_ctx *ctx, small *s, const char *rules) {
    oct_module *m = oct_module_new(ctx, forward, s);
    const oct_conv2d_opts k3 = {.in = 1, .out = 4, .kernel = 3};
    s->conv = oct_module_add(m, "conv", oct_conv2d_new(ctx, &k3));
    s->bn = oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}));
    s->fc1 = oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 36, .out = 8}));
    s->fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 3}));
    oct_net *net = oct_capture(m, OCT_SHAPE(SIDE, SIDE, 1));
    oct_qconfig c = {.observer = "minmax"};
    ck_ok(oct_qconfig_parse(ctx, rules, &c));
    oct_net *q = oct_prepare(net, &c);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    q->hooks = &counted;
    begun = viewed = 0;
    return q;
}

static oct_tensor *images(oct_ctx *ctx) {
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1));
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, 1, 1);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = octi_rng_normal(&r);
    return x;
}

static void run(oct_net *q, oct_tape *t, oct_mode mode, const oct_tensor *x) {
    oct_tape_begin(t, mode);
    ck_assert_msg(oct_net_forward(q, oct_input(t, x)) != NULL, "%s", oct_error_message());
}

static void is(const char *node, octi_step_kind kind) {
    const int32_t i = oct_graph_find_node(last_net->graph, node);
    ck_assert_msg(i >= 0, "no node %s", node);
    ck_assert_msg(last->nodes[i].kind == kind, "%s is of kind %d, not %d", node,
                  (int)last->nodes[i].kind, (int)kind);
}

START_TEST(begin_decides_for_every_node) {
    oct_ctx *ctx = oct_open(NULL);
    small s;
    oct_net *q = prepared(ctx, &s, "fc1:float");
    oct_tensor *x = images(ctx);
    oct_tape *t = oct_tape_new(ctx);
    /* ranges move, nothing is rounded */
    run(q, t, OCT_CALIBRATE, x);
    is("conv", OCTI_STEP_ROUND);
    ck_assert(!last->nodes[oct_graph_find_node(q->graph, "conv")].rounds);
    is("max_pool2d", OCTI_STEP_FLOAT);
    is("fc1", OCTI_STEP_FLOAT);
    ck_ok(oct_net_settle(q));
    /* batch statistics; dropout takes the codes away */
    run(q, t, OCT_TRAIN, x);
    is("conv", OCTI_STEP_STATISTICS);
    is("max_pool2d", OCTI_STEP_SHARE);
    is("fc1", OCTI_STEP_FLOAT);
    is("fc1.quantize", OCTI_STEP_ROUND);
    is("sigmoid", OCTI_STEP_OWN); /* its own grid is fixed */
    is("dropout", OCTI_STEP_FLOAT);
    is("fc2", OCTI_STEP_FOLDED);
    /* frozen: codes */
    oct_net_freeze_batch_norm(q, true);
    run(q, t, OCT_TRAIN, x);
    is("conv", OCTI_STEP_PRODUCT);
    is("fc2", OCTI_STEP_FOLDED);
    run(q, t, OCT_EVAL, x);
    is("conv", OCTI_STEP_PRODUCT);
    is("max_pool2d", OCTI_STEP_SHARE);
    is("fc1", OCTI_STEP_PLAN_FLOAT);
    is("dropout", OCTI_STEP_SHARE);
    is("fc2", OCTI_STEP_PRODUCT);
    /* a batch norm that rests: codes too, without the switch */
    oct_net_freeze_batch_norm(q, false);
    run(q, t, OCT_TRAIN, x);
    is("conv", OCTI_STEP_STATISTICS);
    ck_ok(oct_net_freeze(q, "bn.*", true, NULL));
    run(q, t, OCT_TRAIN, x);
    is("conv", OCTI_STEP_PRODUCT);
    ck_ok(oct_net_freeze(q, "bn.*", false, NULL));
    /* off: floats throughout */
    oct_net_fake_quantize(q, false);
    run(q, t, OCT_EVAL, x);
    is("conv", OCTI_STEP_FOLDED);
    is("max_pool2d", OCTI_STEP_FLOAT);
    is("fc2", OCTI_STEP_FOLDED);
    oct_net_fake_quantize(q, true);
    oct_close(ctx);
}
END_TEST

START_TEST(an_evaluation_begins_once) {
    oct_ctx *ctx = oct_open(NULL);
    small s;
    oct_net *q = prepared(ctx, &s, "fc1:float");
    oct_tensor *x = images(ctx);
    int32_t labels[IMAGES] = {0, 1, 2};
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, x->shape, x->data, labels, NULL);
    ck_assert_msg(d != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    run(q, t, OCT_CALIBRATE, x);
    ck_ok(oct_net_settle(q));
    begun = viewed = 0;
    oct_eval whole, pieces;
    ck_ok(oct_evaluate(q, d, &(oct_eval_opts){.batch = IMAGES}, &whole));
    ck_ok(oct_evaluate(q, d, &(oct_eval_opts){.batch = 4}, &pieces)); /* five batches */
    ck_assert_int_eq(begun, 2);
    ck_assert_int_eq(viewed, 2);
    ck_assert_double_eq(whole.loss, pieces.loss);
    /* weights that moved are seen by the next evaluation */
    oct_tensor *w = oct_net_tensor(q, "fc1.weight");
    for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] *= -3;
    oct_eval moved;
    ck_ok(oct_evaluate(q, d, &(oct_eval_opts){.batch = 4}, &moved));
    ck_assert_int_eq(begun, 3);
    ck_assert(moved.loss != pieces.loss);
    /* a loop of one's own may move them between any two runs */
    oct_sim *sim = oct_sim_new(q);
    oct_tensor *before = oct_tensor_copy(ctx, oct_sim_run(sim, x));
    for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] *= -1;
    const oct_tensor *after = oct_sim_run(sim, x);
    ck_assert(memcmp(before->data, after->data, oct_tensor_bytes(after)) != 0);
    ck_assert_int_eq(begun, 5);
    oct_close(ctx);
}
END_TEST

/* Settled scales are of the weights as they are. */
START_TEST(settling_follows_the_weights) {
    oct_ctx *ctx = oct_open(NULL);
    small s;
    oct_net *q = prepared(ctx, &s, "fc1:float");
    oct_tape *t = oct_tape_new(ctx);
    run(q, t, OCT_CALIBRATE, images(ctx));
    ck_ok(oct_net_settle(q));
    const oct_tensor *scale = oct_net_tensor(q, "fc2.weight_fake_quant.scale"),
                     *before = oct_tensor_copy(ctx, scale), *w = oct_net_tensor(q, "fc2.weight");
    ck_not_null(scale);
    for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] *= 4;
    ck_ok(oct_net_settle(q));
    for (int64_t i = 0; i < oct_tensor_count(scale); i++)
        ck_assert_float_eq(oct_f32(scale)[i], 4 * oct_f32(before)[i]);
    oct_close(ctx);
}
END_TEST

static oct_var *two_sides(void *self, oct_tape *t, oct_var *x) {
    const small *s = self;
    (void)t;
    return oct_cat((oct_var *[]){oct_apply(s->fc1, x), oct_apply(s->fc2, x)}, 2, 1);
}

/* Members of a cat share a range: the least of the one, the largest of the other. */
START_TEST(a_shared_range_holds_all_members) {
    for (int turn = 0; turn < 2; turn++) {
        oct_ctx *ctx = oct_open(NULL);
        small s;
        oct_module *m = oct_module_new(ctx, two_sides, &s);
        const oct_linear_opts o = {.in = 1, .out = 1, .no_bias = true};
        s.fc1 = oct_module_add(m, "fc1", oct_linear_new(ctx, &o));
        s.fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &o));
        oct_net *q =
            oct_prepare(oct_capture(m, OCT_SHAPE(1)), &(oct_qconfig){.observer = "minmax"});
        ck_not_null(q);
        oct_f32(oct_net_tensor(q, "fc1.weight"))[0] = turn ? 3 : -5;
        oct_f32(oct_net_tensor(q, "fc2.weight"))[0] = turn ? -5 : 3;
        float x[2] = {0, 1};
        oct_tape *t = oct_tape_new(ctx);
        run(q, t, OCT_CALIBRATE, oct_tensor_borrow(ctx, OCT_F32, OCT_SHAPE(2, 1), x));
        const oct_quantizer *z = NULL;
        for (int32_t i = 0; i < q->graph->node_count; i++)
            if (q->graph->nodes[i].kind == OCT_OP_cat)
                z = &q->graph->quantizers[q->graph->values[q->graph->nodes[i].out].quantizer];
        ck_assert(z && *oct_f32(z->min_val) == -5 && *oct_f32(z->max_val) == 3);
        oct_close(ctx);
    }
}
END_TEST

/* Sums of two channels to values and their range, in whole numbers and as floats: (sum + bias) *
 * s_x * s_w, then the activation. */
START_TEST(sums_become_values) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    float scale[] = {0.5f, 8}, values[6], lo, hi;
    int32_t bias[] = {1, -2}, whole[] = {3, 4, -9, 1, 0, 2};
    float real[6];
    for (int i = 0; i < 6; i++) real[i] = (float)whole[i];
    const octi_qweights w = {.o = 2, .scale = scale, .bias_code = bias};
    const float want[3][6] = {
        {0.5f, 4, -1, -2, 0.125f, 0}, {0.5f, 4, 0, 0, 0.125f, 0}, {0.5f, 4, 0, 0, 0.125f, 0}};
    for (int act = 0; act < 3; act++)
        for (int f = 0; f < 2; f++) {
            const octi_accumulators acc = {
                .data = f ? (void *)real : (void *)whole, .is_float = f, .pixels = 3, .o = 2};
            ck_ok(octi_accumulator_values(ctx, &acc, &w, 0.25f, (oct_act)act, values));
            for (int i = 0; i < 6; i++) ck_assert_float_eq(values[i], want[act][i]);
            ck_ok(octi_accumulator_range(ctx, &acc, &w, 0.25f, (oct_act)act, &lo, &hi));
            ck_assert(lo == (act ? 0 : -2) && hi == 4);
            ck_ok(octi_accumulator_range(ctx, &acc, &w, 1, (oct_act)act, &lo, &hi)); /* 4 * 4 */
            ck_assert(lo == (act ? 0 : -8) && hi == (act == OCT_ACT_RELU6 ? 6 : 16));
            ck_ok(octi_accumulator_values(ctx, &acc, &w, 1, (oct_act)act, values));
            ck_assert_float_eq(values[1], act == OCT_ACT_RELU6 ? 6 : 16);
        }
    oct_close(ctx);
}
END_TEST

/* To the last one: sums of 2^24 are exact in fp32, |b| + sum|w| * max|q - z| of 2^31 - 1 fits
 * s32. */
START_TEST(accumulators_end_where_numbers_do) {
    oct_ctx *ctx = oct_open(NULL);
    int32_t bias[2] = {0, 0};
    int64_t sum[2] = {1, 1};
    const octi_qweights w = {.o = 2, .bias_code = bias, .sum_abs = sum};
    const oct_node n = {.name = "fc"};
    const struct {
        int32_t zero;
        int64_t reach;
    } ends[] = {{0, 255}, {255, 255}, {127, 128}, {128, 128}, {55, 200}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        oct_tensor *z = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(1));
        oct_s32(z)[0] = ends[i].zero;
        const oct_quantizer x = {.zero_point = z, .spec = oct_qspec_activation(8, false)};
        bool fits;
        sum[1] = (1 << 24) / ends[i].reach;
        bias[1] = INT32_MAX - (1 << 25); /* no part of the sums */
        ck_ok(octi_check_accumulators(&x, &n, &w, &fits));
        ck_assert(fits);
        sum[1]++;
        ck_ok(octi_check_accumulators(&x, &n, &w, &fits));
        ck_assert(!fits || ends[i].reach * sum[1] == 1 << 24);
        sum[1] = INT32_MAX / ends[i].reach;
        for (int sign = -1; sign < 2; sign += 2) {
            bias[1] = sign * (int32_t)(INT32_MAX - sum[1] * ends[i].reach);
            ck_ok(octi_check_accumulators(&x, &n, &w, &fits));
            bias[1] += sign;
            ck_fails(OCT_ELIMIT, "accumulator of channel 1",
                     octi_check_accumulators(&x, &n, &w, &fits));
        }
        bias[1] = 0;
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("step", settling_follows_the_weights, a_shared_range_holds_all_members,
              sums_become_values, accumulators_end_where_numbers_do, begin_decides_for_every_node,
              an_evaluation_begins_once)
