/* SPDX-License-Identifier: MIT
 * Fused chains: the float net keeps every bit, training sees codes clamped where the activation
 * closes, the int8 node clamps at its zero point. linear and batch norm of vectors, a lone batch
 * norm and relu, add and relu6. */
#include "tests/oct_test.h"

#include <math.h>

#include "autograd/tape.h"
#include "qat/net/prepared.h"
#include "src/rng.h"
#include "tests/random_net.h"

typedef struct chains {
    oct_module *conv, *bn, *fc1, *bn1, *fc2, *bn2, *fc3;
} chains;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    chains *n = self;
    (void)t;
    oct_var *y = oct_apply(n->conv, x);
    /* bn, relu */
    y = oct_relu(oct_apply(n->bn, oct_max_pool2d(y, &(oct_pool_opts){.kernel = 2, .stride = 1})));
    /* add, relu6 */
    oct_var *sides = oct_relu6(
        oct_add(y, oct_max_pool2d(y, &(oct_pool_opts){.kernel = 3, .stride = 1, .pad = 1})));
    y = oct_relu(oct_apply(n->bn1, oct_apply(n->fc1, oct_flatten(sides)))); /* fc1, bn1, relu */
    y = oct_apply(n->bn2, oct_apply(n->fc2, y));                            /* fc2, bn2 */
    return oct_apply(n->fc3, y);
}

static void shake(oct_module *m, const char *name, float mid, float spread, uint32_t key) {
    oct_tensor *t = oct_module_tensor(m, name);
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, key, 2);
    for (int64_t i = 0; i < oct_tensor_count(t); i++)
        oct_f32(t)[i] = mid + spread * octi_rng_normal(&r);
}

static const oct_shape image = {.rank = 3, .dim = {5, 5, 2}};

static oct_net *chains_net(oct_ctx *ctx, chains *n, bool bias) {
    oct_module *m = oct_module_new(ctx, forward, n);
    n->conv = oct_module_add(
        m, "conv",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 6, .kernel = 3, .pad = 1}));
    n->bn = oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 6}));
    n->fc1 = oct_module_add(
        m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 96, .out = 40, .no_bias = !bias}));
    n->bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 40}));
    n->fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 40, .out = 12}));
    n->bn2 =
        oct_module_add(m, "bn2", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 12}));
    n->fc3 = oct_module_add(m, "fc3", oct_linear_new(ctx, &(oct_linear_opts){.in = 12, .out = 4}));
    shake(m, "bn.weight", 1, 0.4f, 1), shake(m, "bn.bias", 0, 0.4f, 2),
        shake(m, "bn.running_mean", 0, 0.2f, 3);
    shake(m, "bn1.weight", 1, 0.4f, 4), shake(m, "bn1.bias", 0, 0.4f, 5),
        shake(m, "bn2.weight", -1, 0.4f, 6);
    oct_f32(oct_module_tensor(m, "bn1.weight"))[3] = 0; /* a dead channel */
    return oct_capture(m, image);
}

static const oct_named_tensor *step(oct_net *net, oct_tape *t, oct_mode mode, const oct_tensor *x,
                                    int32_t *count) {
    static int32_t classes[16];
    oct_tensor *labels = oct_tensor_new(net->ctx, OCT_S32, OCT_SHAPE(16));
    for (int i = 0; i < 16; i++) oct_s32(labels)[i] = classes[i] = i % 4;
    const oct_named_tensor *p = oct_net_parameters(net, count);
    for (int32_t i = 0; i < *count; i++)
        if (p[i].tensor->grad)
            memset(p[i].tensor->grad->data, 0, oct_tensor_bytes(p[i].tensor->grad));
    oct_tape_begin(t, mode);
    oct_var *y = oct_net_forward(net, oct_input(t, x));
    ck_assert_msg(y != NULL, "%s", oct_error_message());
    if (mode == OCT_TRAIN) ck_ok(oct_backward(oct_cross_entropy(y, labels, NULL)));
    return p;
}

START_TEST(fusing_changes_no_bit_of_a_float_net) {
    for (int bias = 0; bias < 2; bias++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        chains n;
        oct_net *net = chains_net(ctx, &n, bias), *fused = oct_fuse(net);
        ck_not_null(fused);
        oct_tape *t = oct_tape_new(ctx), *u = oct_tape_new(ctx);
        static const char *const gone[] = {"relu", "relu6", "bn1", "relu_1", "bn2"};
        for (int i = 0; i < 5; i++)
            ck_assert_msg(oct_graph_find_node(fused->graph, gone[i]) < 0, "%s", gone[i]);
        const oct_node *fc1 = &fused->graph->nodes[oct_graph_find_node(fused->graph, "fc1")],
                       *bn = &fused->graph->nodes[oct_graph_find_node(fused->graph, "bn")];
        ck_assert(fc1->attr.bn[0] == 1 && fc1->attr.act[0] == OCT_ACT_RELU && fc1->nin == 7 &&
                  (fc1->in[2] >= 0) == bias);
        ck_assert(bn->kind == OCT_OP_batch_norm && bn->attr.act[0] == OCT_ACT_RELU);
        for (uint32_t i = 0; i < 3; i++) {
            oct_tensor *x = random_images(ctx, 16, image, i);
            int32_t count, again;
            const oct_named_tensor *p = step(net, t, OCT_TRAIN, x, &count),
                                   *q = step(fused, u, OCT_TRAIN, x, &again);
            ck_assert_int_eq(count, again);
            for (int32_t k = 0; k < count; k++) {
                const oct_tensor *other = oct_net_tensor(fused, p[k].name);
                if (p[k].role != OCT_ROLE_PARAM) continue;
                ck_assert_msg(
                    !memcmp(p[k].tensor->grad->data, other->grad->data, oct_tensor_bytes(other)),
                    "gradient of %s", p[k].name);
            }
            (void)q;
            static const char *const moved[] = {"bn.running_mean", "bn1.running_var",
                                                "bn2.running_mean"};
            for (int k = 0; k < 3; k++) {
                const oct_tensor *a = oct_net_tensor(net, moved[k]),
                                 *b = oct_net_tensor(fused, moved[k]);
                ck_assert_mem_eq(a->data, b->data, oct_tensor_bytes(a));
            }
            step(net, t, OCT_EVAL, x, &count), step(fused, u, OCT_EVAL, x, &again);
            const oct_tensor *a = oct_var_value(octi_tape_find(t, "fc3")),
                             *b = oct_var_value(octi_tape_find(u, "fc3"));
            ck_assert_mem_eq(a->data, b->data, oct_tensor_bytes(a));
        }
        oct_close(ctx);
    }
}
END_TEST

static oct_var *twice_read(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    x = oct_apply(self, x);
    return oct_add(oct_relu(x), x);
}
static oct_var *twice_read_relu_last(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    x = oct_apply(self, x);
    oct_var *side = oct_sigmoid(x);
    return oct_add(side, oct_relu(x));
}

/* The add wants the value in front of the ReLU too. */
START_TEST(what_two_read_stays) {
    for (int last = 0; last < 2; last++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_module *fc = oct_linear_new(ctx, &(oct_linear_opts){.in = 3, .out = 3}),
                   *m = oct_module_new(ctx, last ? twice_read_relu_last : twice_read, fc);
        oct_module_add(m, "fc", fc);
        oct_net *net = oct_capture(m, OCT_SHAPE(3)), *fused = oct_fuse(net);
        ck_not_null(fused);
        ck_assert_int_eq(fused->graph->node_count, 3 + last);
        ck_assert_int_eq(fused->graph->nodes[0].attr.act[0], OCT_ACT_NONE);
        ck_assert_int_eq(fused->graph->nodes[1 + last].kind, OCT_OP_relu);
        oct_close(ctx);
    }
}
END_TEST

/* 8 bits move the gradient little; what is checked is that none is lost, doubled or let through a
 * closed activation. With frozen statistics the float side is the same net with quantization off,
 * which once had no way back through batch norm; and the plain float net whose batch norms rest. */
START_TEST(training_gradients_stay_near_the_float_ones) {
    for (int k0 = 0; k0 < 3; k0++) {
        const bool frozen = k0 > 0, plain = k0 == 2;
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        chains n;
        oct_net *net = chains_net(ctx, &n, true),
                *q = oct_prepare(net, &(oct_qconfig){.observer = "minmax"});
        ck_not_null(q);
        oct_tape *t = oct_tape_new(ctx), *u = oct_tape_new(ctx);
        oct_tensor *x = random_images(ctx, 16, image, 1);
        int32_t count;
        /* ranges of batch statistics */
        for (int i = 0; i < 2; i++) step(q, u, OCT_TRAIN, x, &count);
        oct_net_freeze_batch_norm(q, frozen);
        oct_net *fresh = chains_net(ctx, &n, true); /* statistics as they were */
        /* a float net whose statistics stand: running ones, through batch norms that are
         * evaluated */
        if (plain) {
            for (int32_t i = 0; i < fresh->tensor_count; i++)
                memcpy(fresh->tensors[i].tensor->data,
                       oct_net_tensor(q, fresh->tensors[i].name)->data,
                       oct_tensor_bytes(fresh->tensors[i].tensor));
            ck_ok(oct_net_freeze(fresh, "bn*", true, NULL));
        } else if (frozen) {
            oct_net_fake_quantize(q, false);
            fresh = q;
        }
        const oct_named_tensor *p = step(fresh, t, OCT_TRAIN, x, &count);
        double *want = calloc(65536, sizeof *want);
        int64_t at = 0;
        for (int32_t k = 0; k < count; k++)
            for (int64_t i = 0; p[k].role == OCT_ROLE_PARAM && i < oct_tensor_count(p[k].tensor);
                 i++)
                want[at++] = (double)oct_f32(p[k].tensor->grad)[i];
        if (frozen) oct_net_fake_quantize(q, true);
        int32_t again;
        (void)step(q, u, OCT_TRAIN, x, &again);
        at = 0;
        for (int32_t k = 0; k < count; k++) {
            if (p[k].role != OCT_ROLE_PARAM) continue;
            const oct_tensor *g = oct_net_tensor(q, p[k].name)->grad;
            double dot = 0, ww = 0, gg = 0;
            for (int64_t i = 0; i < oct_tensor_count(g); i++, at++) {
                dot += want[at] * (double)oct_f32(g)[i];
                ww += want[at] * want[at];
                gg += (double)oct_f32(g)[i] * (double)oct_f32(g)[i];
            }
            if (ww < 1e-10) continue; /* a bias in front of batch norm: noise around 0 */
            ck_assert_msg(dot > 0.8 * sqrt(ww * gg) && gg > 0.7 * ww && gg < 1.4 * ww,
                          "kind %d, %s: cosine %g, sizes %g and %g", k0, p[k].name,
                          dot / sqrt(ww * gg), sqrt(ww), sqrt(gg));
        }
        free(want);
        oct_close(ctx);
    }
}
END_TEST

START_TEST(int8_nodes_clamp_at_their_zero_point) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    chains n;
    oct_net *q = oct_prepare(chains_net(ctx, &n, false), NULL);
    oct_tape *t = oct_tape_new(ctx);
    int32_t count;
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 3) oct_net_freeze_batch_norm(q, true);
        step(q, t, OCT_TRAIN, random_images(ctx, 16, image, i), &count);
    }
    oct_convert_report report;
    oct_net *i8 = oct_convert(q, &report);
    ck_not_null(i8);
    ck_assert_int_eq(report.layers_float, 0);
    const oct_graph *g = i8->graph;
    static const struct {
        const char *name;
        oct_op_kind kind;
        bool act;
    } want[] = {{"bn", OCT_OP_qconv2d, true},
                {"add", OCT_OP_qadd, true},
                {"fc1", OCT_OP_qlinear, true},
                {"fc2", OCT_OP_qlinear, false}};
    for (int i = 0; i < 4; i++) {
        int32_t at = oct_graph_find_node(g, want[i].name);
        ck_assert_msg(at >= 0 && g->nodes[at].kind == want[i].kind, "%s", want[i].name);
        const oct_node *node = &g->nodes[at];
        const oct_quantizer *y = &g->quantizers[g->values[node->out].quantizer];
        ck_assert_int_eq(node->attr.lo[0], want[i].act ? octi_zero_point(y) : 0);
        ck_assert_int_eq(node->attr.bn[0], 0);
        /* the whole range is the activation's */
        if (want[i].act && i != 1) ck_assert_int_eq(octi_zero_point(y), 0);
    }
    oct_mismatch m = {0};
    ck_ok(oct_compare(q, i8, random_images(ctx, 64, image, 9), &m));
    ck_assert_msg(!m.mismatched, "%s", m.node);
    oct_close(ctx);
}
END_TEST

START_TEST(chains_by_name_and_small_weights) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    chains n;
    oct_net *net = chains_net(ctx, &n, true);
    oct_net *f = oct_fuse_modules(net, (const char *[]){"bn,relu", "fc1,bn1", "add,relu6"}, 3);
    ck_not_null(f);
    ck_assert_int_ge(oct_graph_find_node(f->graph, "relu_1"), 0);
    ck_assert_int_lt(oct_graph_find_node(f->graph, "bn1"), 0);
    ck_assert_int_ge(oct_graph_find_node(f->graph, "bn2"), 0);
    ck_assert_ptr_null(oct_fuse_modules(net, (const char *[]){"bn,bn1"}, 1));
    oct_clear_error();
    /* dynamic and weight-only nets fold it; their outputs stay near */
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *x = random_images(ctx, 16, image, 3);
    int32_t count;
    step(net, t, OCT_EVAL, x, &count);
    const float *want = oct_f32(oct_var_value(octi_tape_find(t, "fc3")));
    for (int k = 0; k < 2; k++) {
        oct_net *small = k ? oct_quantize_weight_only(net, NULL) : oct_quantize_dynamic(net, NULL);
        ck_not_null(small);
        oct_plan *plan = oct_plan_new(small, NULL);
        oct_session *s = oct_session_new(plan, 16, NULL, 0);
        float y[64];
        ck_ok(oct_session_run(s, oct_f32(x), 16, y));
        double error = 0, size = 0;
        for (int i = 0; i < 64; i++)
            error += pow((double)(y[i] - want[i]), 2), size += pow((double)want[i], 2);
        ck_assert_msg(error < 1e-3 * size, "%g of %g", error, size);
        oct_session_free(s);
        oct_plan_free(plan);
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("fusion", fusing_changes_no_bit_of_a_float_net, what_two_read_stays,
              training_gradients_stay_near_the_float_ones, int8_nodes_clamp_at_their_zero_point,
              chains_by_name_and_small_weights)
