/* SPDX-License-Identifier: MIT
 * The promise: every code of the int8 plan is the one that the eval forward saw, at every node.
 * Random graphs of all ops,
 * 2 to 8 bits, all targets; calibrated and trained. */
#include "tests/exact_fix.h"

#include "qat/net/prepared.h"
#include "qat/prepared_check.h"
#include "src/format/npz.h"
#include "src/rng.h"
#include "tests/paths_fix.h"
#include "tests/plans_agree.h"

/* Layers of an int8 net whose sums may leave what fp32 holds exactly: their evaluation takes the
 * s32 path. */
static int long_sums(const oct_net *i8) {
    int found = 0;
    for (int32_t i = 0; i < i8->graph->node_count; i++) {
        const oct_node *n = &i8->graph->nodes[i];
        if (n->kind != OCT_OP_qconv2d && n->kind != OCT_OP_qlinear) continue;
        const oct_quantizer *x = &i8->graph->quantizers[i8->graph->values[n->in[0]].quantizer];
        const oct_tensor *w = i8->graph->values[n->in[1]].tensor;
        const int64_t z = *oct_s32(x->zero_point),
                      reach = z > x->spec.qmax - z ? z : x->spec.qmax - z,
                      k = oct_tensor_count(w) / w->shape.dim[0];
        bool leaves = false;
        for (int64_t o = 0; o < w->shape.dim[0]; o++) {
            int64_t sum = 0;
            for (int64_t e = o * k; e < (o + 1) * k; e++) sum += abs(oct_s8(w)[e]);
            leaves |= sum * reach > 1 << 24;
        }
        found += leaves;
    }
    return found;
}

/* OCT_TEST_DUMP=DIR: the net, its input and what every node makes of it, for executors that share
 * nothing with octet (golden/run_int8.py). */
static void dump(const oct_net *i8, const oct_tensor *x, uint64_t seed) {
    const char *dir = getenv("OCT_TEST_DUMP");
    if (!dir) return;
    char path[512], (*names)[16] = calloc((size_t)i8->graph->node_count, sizeof *names);
    octi_npz_array *a = calloc((size_t)i8->graph->node_count + 1, sizeof *a);
    oct_plan *plan = oct_plan_new(i8, &(oct_plan_opts){.unfused = true});
    oct_session *s = oct_session_new(plan, x->shape.dim[0], NULL, 0);
    oct_shape out = oct_plan_output_shape(plan);
    out.dim[0] = x->shape.dim[0];
    oct_tensor *y = oct_tensor_new(i8->ctx, OCT_F32, out);
    ck_ok(oct_session_run(s, oct_f32(x), x->shape.dim[0], oct_f32(y)));
    a[0] = (octi_npz_array){"x", x->dtype, x->shape, x->data};
    for (int32_t i = 0; i < i8->graph->node_count; i++) {
        oct_tensor v;
        ck_ok(oct_session_value(s, i8->graph->nodes[i].name, &v));
        snprintf(names[i], sizeof *names, "n%d", (int)i);
        a[i + 1] = (octi_npz_array){names[i], v.dtype, v.shape, v.data};
    }
    snprintf(path, sizeof path, "%s/%04llu.npz", dir, (unsigned long long)seed);
    ck_ok(octi_npz_write(i8->ctx, path, a, i8->graph->node_count + 1));
    snprintf(path, sizeof path, "%s/%04llu.oct8", dir, (unsigned long long)seed);
    ck_ok(oct_int8_save(i8, path));
    oct_tensor_unref(y);
    oct_session_free(s);
    oct_plan_free(plan);
    free(names);
    free(a);
}

static ways taken; /* by all nets of this program */
static int in_q31; /* nets whose requants are law 16's */

/* Seed 7 caught multipliers that convert made from a learned scale of the step before. */
static int check_net(uint64_t seed) {
    static const oct_target targets[] = {OCT_TARGET_OCTET, OCT_TARGET_FBGEMM, OCT_TARGET_QNNPACK,
                                         OCT_TARGET_POW2,  OCT_TARGET_LITERT, OCT_TARGET_CMSIS_NN};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1 + (int)(seed % 2)});
    octi_rng r = octi_rng_stream(seed, OCTI_RNG_TEST, 5, 0);
    oct_shape image;
    oct_net *net = random_net(ctx, seed, &image);
    ck_assert_msg(net != NULL, "net %d: %s", (int)seed, oct_error_message());
    oct_qconfig c = {.target = targets[octi_rng_below(&r, 6)],
                     .observer = seed % 3 ? "ema" : "minmax",
                     .all_layers = seed % 5 == 0,
                     .wbits = 2 + (int)octi_rng_below(&r, 7),
                     .abits = 2 + (int)octi_rng_below(&r, 7)};
    static const oct_method methods[] = {OCT_METHOD_DEFAULT, OCT_METHOD_DEFAULT, OCT_METHOD_LSQ,
                                         OCT_METHOD_LSQ_PLUS, OCT_METHOD_PACT};
    c.method = methods[octi_rng_below(&r, 5)];
    c.ste = octi_rng_below(&r, 4) ? OCT_STE_DEFAULT : OCT_STE_STRICT;
    if (seed % 3 == 2) {
        c.weight_observer =
            octi_rng_below(&r, 2) ? OCT_WEIGHT_OBSERVER_MSE : OCT_WEIGHT_OBSERVER_DEFAULT;
        c.weight_qmin = octi_rng_below(&r, 2) ? OCT_WEIGHT_QMIN_FULL : OCT_WEIGHT_QMIN_DEFAULT;
        c.symmetric = octi_rng_below(&r, 3) ? OCT_SWITCH_DEFAULT : OCT_SWITCH_YES;
        c.reduce_range = octi_rng_below(&r, 3) ? OCT_SWITCH_DEFAULT : OCT_SWITCH_YES;
        c.granularity = octi_rng_below(&r, 3) ? OCT_GRANULARITY_DEFAULT : OCT_GRANULARITY_TENSOR;
    }
    octi_rng own = octi_rng_stream(seed, OCTI_RNG_TEST, 79, 0);
    oct_net *fused = oct_fuse(net);
    oct_qrule islands[4]; /* layers kept float by rule: by name, now and then a whole kind */
    if (octi_rng_below(&own, 2))
        for (c.rules = islands; c.rule_count < 1 + (int)octi_rng_below(&own, 3); c.rule_count++) {
            const oct_node *n =
                &fused->graph->nodes[octi_rng_below(&own, (uint32_t)fused->graph->node_count)];
            islands[c.rule_count] =
                octi_rng_below(&own, 8)
                    ? (oct_qrule){OCT_QSCOPE_NAME, n->name, {.stay_float = OCT_SWITCH_YES}}
                    : (oct_qrule){
                          OCT_QSCOPE_KIND, oct_op_name(n->kind), {.stay_float = OCT_SWITCH_YES}};
        }
    oct_net *q = oct_prepare(fused, &c);
    if (!q && oct_last_error()->code == OCT_EUNSUPPORTED) return oct_close(ctx), 0; /* all float */
    ck_assert_msg(q != NULL, "net %d: %s", (int)seed, oct_error_message());
    ck_ok(octi_prepared_check(q)); /* nets of octet's own making are never refused */
    oct_tape *t = oct_tape_new(ctx);
    /* some see their first data in training */
    oct_status s = seed % 4 == 3 ? OCT_OK : calibrate(q, t, image, 100);
    if (s == OCT_OK && seed % 2) s = train(q, t, image, 6);
    ck_assert_msg(s == OCT_OK, "net %d: %s", (int)seed, oct_error_message());
    /* it is made here, on other images */
    oct_net *i8 = oct_convert_with(q, &(oct_convert_opts){.skip_check = seed % 4 != 0}, NULL);
    ck_assert_msg(i8 != NULL, "net %d: %s", (int)seed, oct_error_message());
    oct_mismatch m = {0};
    oct_tensor *x = random_images(ctx, 16, image, 200);
    s = oct_compare(q, i8, x, &m);
    ck_assert_msg(s == OCT_OK, "net %d: %s", (int)seed, oct_error_message());
    ck_assert_int_gt(m.codes, 0);
    ck_assert_msg(m.mismatched == 0,
                  "net %d: %lld of %lld codes differ, first %s[%lld]: expected %d, got %d",
                  (int)seed, (long long)m.mismatched, (long long)m.codes, m.node,
                  (long long)m.element, m.expected, m.got);
    for (int32_t i = 0; i < i8->graph->node_count; i++)
        if (i8->graph->nodes[i].attr.law[0] == OCTQ_Q31) {
            in_q31++;
            break;
        }
    plans_agree(i8, x, 1 + (int64_t)(seed % 7));
    dump(i8, x, seed);
    int found = long_sums(i8);
    ways_add(&taken, ctx);
    oct_close(ctx);
    return found;
}

START_TEST(random_graphs_have_no_mismatch) {
    const char *nets = getenv("OCT_TEST_NETS");
    int count = nets ? atoi(nets) : oct_test_long() ? 5000 : 500;
    int beyond = 0;
    for (int i = 0; i < count; i++) beyond += check_net((uint64_t)i);
    printf("%d of %d nets in fixed point\n", in_q31, count);
    ck_assert_msg(count < 500 || in_q31 > count / 5, "%d nets in fixed point", in_q31);
    ck_assert_msg(count < 500 || beyond > count / 20, "%d layers of %d nets have sums beyond 2^24",
                  beyond, count);
    if (count >= 500) ways_cover(&taken);
    check_net(1165); /* its nodes once lost their names to messages that shape rules had prepared */
}
END_TEST

/* K beyond the 2^24 bound: the evaluation's s32 path against the plan */
static oct_var *wide_forward(void *self, oct_tape *t, oct_var *x) {
    return (void)t, oct_relu(oct_apply(self, x));
}

/* Each side of a window apart: sums that leave out or move any of it give other codes. */
static const oct_conv2d_opts windows[] = {
    {.in = 160, .out = 4, .kernel = 3, .pad = 1},
    {.in = 600, .out = 4, .kernel_size = {2, 3}, .strides = {1, 2}, .dilations = {2, 1}},
    {.in = 600, .out = 4, .kernel_size = {3, 2}, .strides = {2, 1}, .dilations = {1, 3}},
    {.in = 1200, .out = 4, .kernel_size = {1, 3}, .pads = {0, 2, 1, 0}, .groups = 2},
};

START_TEST(sums_beyond_fp32_are_exact) {
    for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_module *conv = oct_conv2d_new(ctx, &windows[k]),
                   *m = oct_module_new(ctx, wide_forward, conv);
        oct_module_add(m, "conv", conv);
        oct_tensor *w = oct_module_tensor(m, "conv.weight");
        for (int64_t i = 0; i < oct_tensor_count(w); i++)
            oct_f32(w)[i] = (i * 2654435761u >> 7 & 15) ? 0.9f : -1.0f;
        oct_shape image = OCT_SHAPE(5, 6, windows[k].in);
        oct_net *q = oct_prepare(oct_capture(m, image), NULL);
        ck_assert_msg(q != NULL, "%s", oct_error_message());
        oct_tape *t = oct_tape_new(ctx);
        ck_ok(calibrate(q, t, image, 1));
        oct_net *i8 = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
        ck_not_null(i8);
        oct_mismatch mm = {0};
        oct_tensor *x = random_images(ctx, 4, image, 2);
        ck_ok(oct_compare(q, i8, x, &mm));
        ck_assert_msg(mm.mismatched == 0, "window %d: %lld codes", (int)k,
                      (long long)mm.mismatched);
        ck_assert_int_eq(long_sums(i8), 1);
        if (k == 0) dump(i8, x, 9999);
        oct_close(ctx);
    }
}
END_TEST

/* Max pools behind a convolution: the plan takes 2x2 of stride 2 into the convolution's step, and
 * none that differs from it in one number. */
typedef struct pooled {
    oct_module *conv;
    oct_pool_opts pool;
} pooled;

static oct_var *pooled_forward(void *self, oct_tape *t, oct_var *x) {
    pooled *n = self;
    return (void)t, oct_max_pool2d(oct_apply(n->conv, x), &n->pool);
}

START_TEST(pools_behind_a_convolution) {
    static const oct_pool_opts pools[] = {
        {.kernel = 2, .stride = 2},           {.kernel = 2, .stride = 2, .pads = {1, 0, 0, 0}},
        {.kernel = 2, .pads = {0, 1}},        {.kernel = 2, .pads = {0, 0, 1, 0}},
        {.kernel = 2, .pads = {0, 0, 0, 1}},  {.kernel_size = {2, 3}, .stride = 2},
        {.kernel_size = {3, 2}, .stride = 2}, {.kernel = 2, .strides = {1, 2}},
        {.kernel = 2, .strides = {2, 1}},
    };
    for (size_t k = 0; k < sizeof pools / sizeof *pools; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        pooled n = {.pool = pools[k]};
        oct_module *m = oct_module_new(ctx, pooled_forward, &n);
        n.conv = oct_module_add(
            m, "conv",
            oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 8, .kernel = 5, .pad = 2}));
        oct_shape image = OCT_SHAPE(12, 14, 3);
        oct_net *q = oct_prepare(oct_capture(m, image), NULL);
        ck_assert_msg(q != NULL, "pool %d: %s", (int)k, oct_error_message());
        oct_tape *t = oct_tape_new(ctx);
        ck_ok(calibrate(q, t, image, 1));
        oct_net *i8 = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
        ck_assert_msg(i8 != NULL, "pool %d: %s", (int)k, oct_error_message());
        oct_mismatch mm = {0};
        oct_tensor *x = random_images(ctx, 5, image, 2);
        ck_ok(oct_compare(q, i8, x, &mm));
        ck_assert_msg(mm.mismatched == 0, "pool %d: %lld codes", (int)k, (long long)mm.mismatched);
        plans_agree(i8, x, 2);
        oct_close(ctx);
    }
}
END_TEST

/* Layers without an int8 form between layers that have one: borders in the middle of the net. */
typedef struct mixed {
    oct_module *bn, *fc1, *bn1, *fc2, *fc3;
} mixed;

static oct_var *mixed_forward(void *self, oct_tape *t, oct_var *x) {
    mixed *n = self;
    (void)t;
    /* batch norm of vectors and its relu: float, between codes (flatten) and a product */
    x = oct_relu(oct_apply(n->bn, oct_flatten(x)));
    x = oct_relu(oct_apply(n->bn1, oct_apply(n->fc1, x)));
    x = oct_log_softmax(oct_apply(n->fc2, x));
    return oct_log_softmax(oct_apply(n->fc3, x));
}

START_TEST(float_layers_between_codes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    mixed n;
    oct_module *m = oct_module_new(ctx, mixed_forward, &n);
    n.fc1 = oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 48, .out = 70}));
    n.bn = oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 48}));
    n.bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 70}));
    n.fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 70, .out = 9}));
    n.fc3 = oct_module_add(m, "fc3", oct_linear_new(ctx, &(oct_linear_opts){.in = 9, .out = 5}));
    oct_shape image = OCT_SHAPE(4, 4, 3);
    oct_net *q = oct_prepare(oct_capture(m, image), NULL);
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(calibrate(q, t, image, 1));
    ck_ok(train(q, t, image, 6));
    oct_convert_report report;
    oct_net *i8 = oct_convert(q, &report);
    ck_not_null(i8);
    ck_assert_int_eq(report.layers_float, 3); /* bn and relu, log_softmax, log_softmax_1 */
    oct_mismatch mm = {0};
    ck_ok(oct_compare(q, i8, random_images(ctx, 64, image, 9), &mm));
    ck_assert_msg(mm.mismatched == 0, "%s", mm.node);
    ck_assert_int_ge(mm.codes, 64 * (48 + 70 + 9 + 5));
    oct_close(ctx);
}
END_TEST

/* The largest net of the zoo, on images as small as it takes and not square: 7x7 stem, padded max
 * pool, odd sides. */
START_TEST(resnet18_has_no_mismatch) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_shape image = OCT_SHAPE(32, 37, 3);
    oct_module *m =
        oct_zoo_new(ctx, "resnet18", &(oct_zoo_opts){.height = 32, .width = 37, .classes = 6});
    oct_net *q = oct_prepare(oct_capture(m, image), NULL);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(calibrate(q, t, image, 1));
    ck_ok(train(q, t, image, 2));
    oct_convert_report report;
    oct_net *i8 = oct_convert(q, &report);
    ck_assert_msg(i8 != NULL, "%s", oct_error_message());
    ck_assert_int_eq(report.layers_float, 0);
    ck_assert_int_ge(oct_graph_find_node(i8->graph, "layer4.1.conv2"), 0);
    oct_mismatch mm = {0};
    ck_ok(oct_compare(q, i8, random_images(ctx, 4, image, 2), &mm));
    ck_assert_msg(mm.mismatched == 0, "%s", mm.node);
    ck_assert_int_gt(mm.codes, 4 * (16 * 19 * 64 + 8 * 10 * 64 * 5));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("exact", float_layers_between_codes, random_graphs_have_no_mismatch,
              resnet18_has_no_mismatch, sums_beyond_fp32_are_exact, pools_behind_a_convolution)
