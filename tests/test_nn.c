/* SPDX-License-Identifier: MIT
 * Modules: names and shapes of the zoo as PyTorch has them, initialization, paths, misuse, forward
 * and backward. */
#include "tests/oct_test.h"

#include <math.h>

#include "autograd/nn/nn.h"
#include "ops/ops.h"
#include "qat/passes/passes.h"
#include "src/net.h"

/* name, octet's shape */
static const struct expect {
    const char *name;
    oct_shape shape;
} resnet8[] = {
    {"conv1.weight", {4, {16, 3, 3, 3}}},
    {"bn1.weight", {1, {16}}},
    {"bn1.running_mean", {1, {16}}},
    {"bn1.running_var", {1, {16}}},
    {"layer1.0.conv1.weight", {4, {16, 3, 3, 16}}},
    {"layer1.0.bn2.bias", {1, {16}}},
    {"layer2.0.conv1.weight", {4, {32, 3, 3, 16}}},
    {"layer2.0.conv2.weight", {4, {32, 3, 3, 32}}},
    {"layer2.0.downsample.0.weight", {4, {32, 1, 1, 16}}},
    {"layer2.0.downsample.1.running_var", {1, {32}}},
    {"layer3.0.downsample.0.weight", {4, {64, 1, 1, 32}}},
    {"fc.weight", {2, {10, 64}}},
    {"fc.bias", {1, {10}}},
};
static const struct expect lenet[] = {
    {"conv1.weight", {4, {6, 5, 5, 1}}},
    {"conv1.bias", {1, {6}}},
    {"conv2.weight", {4, {16, 5, 5, 6}}},
    {"fc1.weight", {2, {120, 400}}},
    {"fc2.weight", {2, {84, 120}}},
    {"fc3.weight", {2, {10, 84}}},
    {"fc3.bias", {1, {10}}},
};

static const struct expect resnet18[] = {
    {"conv1.weight", {4, {64, 7, 7, 3}}},
    {"bn1.running_var", {1, {64}}},
    {"layer1.1.conv2.weight", {4, {64, 3, 3, 64}}},
    {"layer2.0.downsample.0.weight", {4, {128, 1, 1, 64}}},
    {"layer4.0.downsample.1.running_mean", {1, {512}}},
    {"layer4.1.conv2.weight", {4, {512, 3, 3, 512}}},
    {"fc.weight", {2, {1000, 512}}},
};

static void has(oct_module *m, const struct expect *e, size_t n) {
    for (size_t i = 0; i < n; i++) {
        oct_tensor *t = oct_module_tensor(m, e[i].name);
        ck_assert_msg(t != NULL, "%s is missing", e[i].name);
        ck_assert_msg(oct_shape_equal(&t->shape, &e[i].shape), "%s is %s", e[i].name,
                      oct_shape_text(&t->shape));
    }
}

static int64_t parameters(oct_module *m) {
    int32_t n;
    int64_t floats = 0;
    const oct_named_tensor *all = oct_module_tensors(m, &n);
    for (int32_t i = 0; i < n; i++)
        floats += all[i].role == OCT_ROLE_PARAM ? oct_tensor_count(all[i].tensor) : 0;
    return floats;
}

/* The published nets' counts; lenet has 400 features from 28x28 and from 32x32. */
START_TEST(zoo_counts) {
    static const struct {
        const char *name;
        oct_zoo_opts o;
        int64_t count;
    } rows[] = {{"lenet", {1, 28, 28, 10}, 61706},
                {"lenet", {3, 32, 32, 10}, 62006},
                {"lenet", {1, 32, 32, 10}, 61706},
                {"lenet", {1, 16, 16, 10}, 21386},
                /* 5 x 8 cells reach fc1, as the short side is padded */
                {"lenet", {1, 28, 40, 10}, 90506},
                {"lenet", {1, 40, 28, 10}, 90506},
                {"resnet8", {3, 32, 32, 10}, 78042},
                {"resnet20", {3, 32, 32, 10}, 272474},
                {"resnet18", {3, 224, 224, 1000}, 11689512}};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_module *m = oct_zoo_new(ctx, rows[i].name, &rows[i].o);
        ck_assert_msg(parameters(m) == rows[i].count, "%s %dx%dx%d: %lld", rows[i].name,
                      rows[i].o.channels, rows[i].o.height, rows[i].o.width,
                      (long long)parameters(m));
        ck_not_null(
            oct_capture(m, OCT_SHAPE(rows[i].o.height, rows[i].o.width, rows[i].o.channels)));
    }
    oct_close(ctx);
}
END_TEST

START_TEST(zoo_has_torchvision_names) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    int32_t n;
    oct_module *m = oct_zoo_new(ctx, "resnet8", NULL);
    ck_not_null(m);
    has(m, resnet8, sizeof resnet8 / sizeof *resnet8);
    oct_module_tensors(m, &n);
    ck_assert_int_eq(n, 9 + 9 * 4 + 2); /* 9 convs, 9 norms, fc */
    ck_assert(!oct_module_tensor(m, "layer1.0.downsample.0.weight"));
    m = oct_zoo_new(ctx, "lenet", NULL);
    has(m, lenet, sizeof lenet / sizeof *lenet);
    oct_module_tensors(m, &n);
    ck_assert_int_eq(n, 10);
    m = oct_zoo_new(ctx, "resnet20",
                    &(oct_zoo_opts){.channels = 1, .height = 28, .width = 28, .classes = 7});
    ck_not_null(oct_module_tensor(m, "layer3.2.conv2.weight"));
    ck_assert_int_eq(oct_module_tensor(m, "fc.weight")->shape.dim[0], 7);
    m = oct_zoo_new(ctx, "resnet18", NULL);
    has(m, resnet18, sizeof resnet18 / sizeof *resnet18);
    oct_module_tensors(m, &n);
    ck_assert_int_eq(n, 20 + 20 * 4 + 2);
    ck_assert(!oct_module_tensor(m, "layer1.0.downsample.0.weight"));
    /* MNIST's sides, as people give them to PyTorch's: 14, 7, 7, 4, 2, 1 */
    m = oct_zoo_new(ctx, "resnet18",
                    &(oct_zoo_opts){.channels = 1, .height = 28, .width = 28, .classes = 10});
    ck_assert_int_eq(oct_module_tensor(m, "conv1.weight")->shape.dim[3], 1);
    oct_net *small = oct_capture(m, OCT_SHAPE(28, 28, 1));
    ck_not_null(small);
    m = oct_zoo_new(ctx, "lenet", &(oct_zoo_opts){.channels = 3, .height = 32, .width = 32});
    ck_assert_int_eq(oct_module_tensor(m, "fc1.weight")->shape.dim[1], 400);
    ck_assert(!oct_zoo_new(ctx, "vgg", NULL));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "resnet20"));
    ck_assert(!oct_zoo_new(ctx, "lenet", &(oct_zoo_opts){.height = 8}));
    ck_assert(!oct_zoo_new(ctx, "resnet18", &(oct_zoo_opts){.height = 16}));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "at least 17x17"));
    ck_assert_int_eq(oct_ctx_status(ctx), OCT_EUSAGE); /* the first failure is kept */
    oct_close(ctx);
}
END_TEST

static oct_module *linear(oct_ctx *ctx, int in, int out) {
    return oct_linear_new(ctx, &(oct_linear_opts){.in = in, .out = out});
}

/* ---- how the zoo's layers hang together ---- */

typedef struct wiring {
    const oct_graph *g;
    int32_t at, stride[64], strides; /* the next node; strides of the convolutions so far */
} wiring;

/* The next node is of this kind and reads these values; its own value. Layers of weights are asked
 * for by name. */
static int32_t next_node(wiring *w, oct_op_kind kind, const char *weight, int32_t a, int32_t b) {
    ck_assert_int_lt(w->at, w->g->node_count);
    const oct_node *n = &w->g->nodes[w->at++];
    ck_assert_msg(n->kind == kind && n->in[0] == a, "node %d, %s, is not %s", w->at - 1, n->name,
                  weight ? weight : oct_op_name(kind));
    if (weight) ck_assert_str_eq(w->g->values[n->in[1]].name, weight);
    if (kind == OCT_OP_add) ck_assert_int_eq(n->in[1], b);
    if (kind == OCT_OP_conv2d) {
        w->stride[w->strides++] = n->attr.stride[0];
        for (int i = 0; i < 4; i++) ck_assert_int_eq(n->attr.pads[i], n->attr.kernel[i % 2] / 2);
        ck_assert(n->attr.stride[1] == n->attr.stride[0] && n->nin == 2); /* no bias */
    }
    return n->out;
}

/* conv, batch norm, and ReLU where asked for, of names that begin so. */
static int32_t conv_bn(wiring *w, int32_t x, const char *where, const char *conv, const char *bn,
                       bool relu) {
    char name[96];
    snprintf(name, sizeof name, "%s%s.weight", where, conv);
    x = next_node(w, OCT_OP_conv2d, name, x, -1);
    snprintf(name, sizeof name, "%s%s.weight", where, bn);
    x = next_node(w, OCT_OP_batch_norm, name, x, -1);
    return relu ? next_node(w, OCT_OP_relu, NULL, x, -1) : x;
}

/* He et al. 2015, as torchvision has it: the shortcut joins behind the second batch norm, in front
 * of the ReLU; each stage but the first halves the image in its first block. */
START_TEST(resnets_are_wired_as_published) {
    static const struct {
        const char *name;
        int stages, blocks, stem; /* stride of conv1 */
    } rows[] = {{"resnet8", 3, 1, 1}, {"resnet20", 3, 3, 1}, {"resnet18", 4, 2, 2}};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        oct_module *m = oct_zoo_new(ctx, rows[k].name, &(oct_zoo_opts){.height = 32, .width = 32});
        wiring w = {.g = oct_capture(m, OCT_SHAPE(32, 32, 3))->graph};
        int32_t x = conv_bn(&w, w.g->input, "", "conv1", "bn1", true);
        ck_assert_int_eq(w.stride[0], rows[k].stem);
        if (rows[k].stem == 2) {
            const oct_attrs *a = &w.g->nodes[w.at].attr;
            x = next_node(&w, OCT_OP_max_pool2d, NULL, x, -1);
            for (int i = 0; i < 2; i++)
                ck_assert(a->kernel[i] == 3 && a->stride[i] == 2 && a->pads[i] == 1 &&
                          a->pads[i + 2] == 1);
        }
        for (int s = 1; s <= rows[k].stages; s++)
            for (int b = 0; b < rows[k].blocks; b++) {
                char where[32];
                snprintf(where, sizeof where, "layer%d.%d.", s, b);
                const int first = w.strides;
                int32_t y = conv_bn(&w, x, where, "conv1", "bn1", true);
                y = conv_bn(&w, y, where, "conv2", "bn2", false);
                ck_assert_int_eq(w.stride[first], s > 1 && !b ? 2 : 1);
                ck_assert_int_eq(w.stride[first + 1], 1);
                if (s > 1 && !b) {
                    x = conv_bn(&w, x, where, "downsample.0", "downsample.1", false);
                    ck_assert_int_eq(w.stride[first + 2], 2);
                }
                x = next_node(&w, OCT_OP_add, NULL, y, x);
                x = next_node(&w, OCT_OP_relu, NULL, x, -1);
            }
        x = next_node(&w, OCT_OP_adaptive_avg_pool2d, NULL, x, -1);
        x = next_node(&w, OCT_OP_flatten, NULL, x, -1);
        x = next_node(&w, OCT_OP_linear, "fc.weight", x, -1);
        ck_assert(x == w.g->output && w.at == w.g->node_count);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(init_depends_on_seed_and_path_alone) {
    float got[4][6];
    for (int k = 0; k < 4; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .seed = k == 3 ? 9 : 5});
        oct_module *top, *a, *b;
        if (k % 2) { /* other order of construction */
            b = linear(ctx, 3, 2), a = linear(ctx, 3, 2);
            oct_module *first[2] = {a, b};
            top = oct_sequential_new(ctx, first, 2);
        } else {
            a = linear(ctx, 3, 2), b = linear(ctx, 3, 2);
            oct_module *first[2] = {a, b};
            top = oct_sequential_new(ctx, first, 2);
            oct_module *outer[1] = {top};
            if (k == 2) top = oct_sequential_new(ctx, outer, 1); /* other path: other numbers */
        }
        ck_not_null(top);
        memcpy(got[k], oct_f32(oct_module_tensor(a, "weight")), sizeof got[k]);
        ck_assert(memcmp(got[k], oct_f32(oct_module_tensor(b, "weight")), sizeof got[k]) != 0);
        for (int i = 0; i < 6; i++) ck_assert(fabsf(got[k][i]) <= 1.0f / sqrtf(3));
        oct_close(ctx);
    }
    ck_assert(!memcmp(got[0], got[1], sizeof got[0]));
    ck_assert(memcmp(got[0], got[2], sizeof got[0]) != 0);
    ck_assert(memcmp(got[0], got[3], sizeof got[0]) != 0);
}
END_TEST

static double spread(const oct_tensor *t) {
    double sq = 0;
    int64_t n = oct_tensor_count(t);
    for (int64_t i = 0; i < n; i++) sq += (double)oct_f32(t)[i] * oct_f32(t)[i];
    return sqrt(sq / (double)n);
}

START_TEST(schemes_have_their_variance) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *c = oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 32, .out = 64, .kernel = 3});
    oct_tensor *w = oct_module_tensor(c, "weight");
    double in = 32 * 9, out = 64 * 9;
    const struct {
        oct_init scheme;
        double std;
    } cases[] = {{OCT_INIT_KAIMING_UNIFORM, 1 / sqrt(3 * in)},
                 {OCT_INIT_KAIMING_NORMAL, sqrt(2 / out)},
                 {OCT_INIT_XAVIER_UNIFORM, sqrt(2 / (in + out))},
                 {OCT_INIT_XAVIER_NORMAL, sqrt(2 / (in + out))}};
    for (int i = 0; i < 4; i++) {
        ck_ok(oct_module_init(c, cases[i].scheme));
        ck_assert_double_eq_tol(spread(w) / cases[i].std, 1.0, 0.02);
    }
    ck_fails(OCT_EUSAGE, "kaiming_uniform, kaiming_normal, xavier_uniform or xavier_normal, got 4",
             oct_module_init(c, (oct_init)4));
    /* a group's outputs see its own inputs alone */
    c = oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 32, .out = 64, .kernel = 3, .groups = 4});
    ck_assert_double_eq_tol(spread(oct_module_tensor(c, "weight")) * sqrt(3 * in / 4), 1.0, 0.02);
    oct_close(ctx);
}
END_TEST

static oct_var *skip_forward(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    return oct_add(oct_apply(self, x), x);
}

START_TEST(batch_norms_options_reach_its_node) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 4, .kernel = 1}),
        oct_batch_norm_new(ctx,
                           &(oct_batch_norm_opts){.channels = 4, .eps = 0.5f, .momentum = 0.3f})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(3, 3, 2));
    ck_not_null(net);
    const oct_attrs *a = &net->graph->nodes[1].attr;
    ck_assert(a->eps == 0.5f && a->momentum == 0.3f);
    oct_net *fused = oct_fuse(net); /* and the fused one */
    ck_assert(fused && fused->graph->node_count == 1);
    a = &fused->graph->nodes[0].attr;
    ck_assert(a->bn[0] && a->eps == 0.5f && a->momentum == 0.3f);
    oct_close(ctx);
}
END_TEST

static void holds(oct_module *m, const char *name, float value) {
    const oct_tensor *t = oct_module_tensor(m, name);
    ck_not_null(t);
    for (int64_t i = 0; i < oct_tensor_count(t); i++)
        ck_assert_msg(oct_f32(t)[i] == value, "%s is %g", name, (double)oct_f32(t)[i]);
}

/* A net of this one layer gives f(x). */
static void gives(oct_ctx *ctx, oct_module *m, float x, float want) {
    oct_tensor *in = oct_tensor_borrow(ctx, OCT_F32, OCT_SHAPE(1, 1), &x);
    oct_net *net = oct_capture(m, OCT_SHAPE(1));
    ck_not_null(net);
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_EVAL);
    const oct_tensor *y = oct_var_value(oct_net_forward(net, oct_input(t, in)));
    ck_not_null(y);
    ck_assert_float_eq_tol(oct_f32(y)[0], want, 1e-6f);
    oct_tape_free(t);
}

START_TEST(fresh_layers_are_what_pytorch_makes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *bn = oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 5});
    holds(bn, "weight", 1);
    holds(bn, "bias", 0);
    holds(bn, "running_mean", 0);
    holds(bn, "running_var", 1);
    const oct_net *net = oct_capture(bn, OCT_SHAPE(2, 2, 5));
    ck_not_null(net);
    ck_assert(net->graph->nodes[0].attr.eps == 1e-5f && net->graph->nodes[0].attr.momentum == 0.1f);
    bn = oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 5, .momentum = OCT_NONE});
    ck_assert_float_eq(oct_capture(bn, OCT_SHAPE(2, 2, 5))->graph->nodes[0].attr.momentum, 0);
    gives(ctx, oct_elu_new(ctx, 0.5f), -1, 0.5f * (expf(-1) - 1));
    gives(ctx, oct_leaky_relu_new(ctx, 0.3f), -2, -0.6f);
    gives(ctx, oct_hardswish_new(ctx), 1, 4 / 6.0f);
    gives(ctx, oct_hardsigmoid_new(ctx), 1, 4 / 6.0f);
    gives(ctx, oct_sigmoid_new(ctx), 1, 1 / (1 + expf(-1)));
    gives(ctx, oct_tanh_new(ctx), 1, tanhf(1));
    gives(ctx, oct_softmax_new(ctx), 3, 1);
    gives(ctx, oct_relu_new(ctx), -3, 0);
    oct_close(ctx);
}
END_TEST

START_TEST(paths_follow_the_tree) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *c =
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 2, .kernel = 3, .pad = 1});
    oct_module *inner = oct_sequential_new(ctx, &c, 1);
    oct_module *top = oct_module_new(ctx, skip_forward, c); /* applies a grandchild */
    ck_not_null(oct_module_add(top, "body", inner));
    oct_net *net = oct_capture(top, OCT_SHAPE(4, 4, 2));
    ck_not_null(net);
    ck_assert_str_eq(net->graph->nodes[0].name, "body.0");
    ck_assert_str_eq(net->graph->nodes[1].name, "add");
    ck_not_null(oct_net_tensor(net, "body.0.weight"));
    ck_assert_ptr_eq(oct_net_tensor(net, "body.0.weight"), oct_module_tensor(top, "body.0.weight"));
    ck_assert(!oct_module_add(top, "body", oct_relu_new(ctx)));
    ck_assert(!oct_module_add(top, "a.b", oct_relu_new(ctx)));
    ck_assert(!oct_module_add(top, "again", c));
    ck_assert(!oct_module_add(c, "loop", top));
    ck_assert(!oct_module_add(top, "null", NULL));
    ck_assert(
        !oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 4, .kernel = 3, .groups = 2}));
    ck_assert(!oct_conv2d_new(ctx, NULL));
    ck_assert(!oct_linear_new(ctx, &(oct_linear_opts){.in = 0, .out = 1}));
    ck_assert(!oct_dropout_new(ctx, 1.0f));
    ck_assert(!oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 0}));
    oct_close(ctx);
}
END_TEST

START_TEST(zoo_is_captured_and_learns) {
    static const char *const models[] = {"lenet", "resnet8", "resnet20"};
    for (int k = 0; k < 3; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        int h = k ? 16 : 28, c = k ? 3 : 1;
        oct_module *m =
            oct_zoo_new(ctx, models[k], &(oct_zoo_opts){.channels = c, .height = h, .width = h});
        oct_net *net = oct_capture(m, OCT_SHAPE(h, h, c));
        ck_not_null(net);
        if (k) {
            ck_assert_int_ge(oct_graph_find_node(net->graph, "layer2.0.downsample.0"), 0);
            ck_assert_int_ge(oct_graph_find_node(net->graph, "layer1.0.add"), 0);
        }
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4, h, h, c)),
                   *y = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(4));
        for (int64_t i = 0; i < oct_tensor_count(x); i++)
            oct_f32(x)[i] = (float)((i * 37) % 101) / 101.0f;
        for (int i = 0; i < 4; i++) oct_s32(y)[i] = i;
        oct_tape *t = oct_tape_new(ctx);
        double first = 0, last = 0;
        for (int step = 0; step < 12; step++) {
            oct_tape_begin(t, OCT_TRAIN);
            oct_var *loss = oct_cross_entropy(oct_net_forward(net, oct_input(t, x)), y, NULL);
            ck_assert_msg(loss != NULL, "%s", oct_error_message());
            ck_ok(oct_backward(loss));
            last = oct_f32(oct_var_value(loss))[0];
            if (!step) first = last;
            int32_t n;
            const oct_named_tensor *p = oct_net_parameters(net, &n);
            for (int32_t i = 0; i < n; i++) {
                ck_assert_msg(p[i].tensor->grad != NULL, "%s got no gradient", p[i].name);
                for (int64_t e = 0; e < oct_tensor_count(p[i].tensor); e++) {
                    oct_f32(p[i].tensor)[e] -= 0.05f * oct_f32(p[i].tensor->grad)[e];
                    oct_f32(p[i].tensor->grad)[e] = 0;
                }
            }
        }
        ck_assert_msg(last < first, "%s: loss %g to %g", models[k], first, last);
        oct_close(ctx);
    }
}
END_TEST

static oct_var *two_inputs(void *self, oct_tape *t, oct_var *x) {
    return oct_add(x, oct_input(t, self));
}

START_TEST(a_second_input_is_refused_by_name) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *other = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, 4, 4, 2));
    for (int64_t i = 0; i < oct_tensor_count(other); i++) oct_f32(other)[i] = 1;
    ck_assert_ptr_null(oct_capture(oct_module_new(ctx, two_inputs, other), OCT_SHAPE(4, 4, 2)));
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    ck_assert_ptr_nonnull(strstr(oct_error_message(),
                                 "a second input: the forward function calls oct_input: "
                                 "expected the one x that it is given"));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "constants are parameters"));
    oct_tensor_unref(other);
    oct_close(ctx);
}
END_TEST

START_TEST(a_module_that_could_not_be_made_is_the_error_of_capture) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_clear_error();
    /* nobody made one */
    ck_assert(!oct_capture(oct_module_new(ctx, skip_forward, NULL), OCT_SHAPE(4, 4, 2)));
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "module is NULL"));
    oct_close(ctx);
    ctx = oct_open(&(oct_opts){.threads = 1});
    /* refused */
    oct_module *m =
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 4, .kernel = 3, .groups = 2});
    char why[300];
    snprintf(why, sizeof why, "%s", oct_error_message());
    ck_assert(!oct_capture(oct_module_new(ctx, skip_forward, m), OCT_SHAPE(4, 4, 3)));
    ck_assert_str_eq(oct_error_message(), why);
    ck_assert_int_ne(oct_ctx_status(ctx), OCT_OK);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("nn", zoo_counts, zoo_has_torchvision_names, resnets_are_wired_as_published,
              init_depends_on_seed_and_path_alone, schemes_have_their_variance,
              batch_norms_options_reach_its_node, fresh_layers_are_what_pytorch_makes,
              paths_follow_the_tree, a_second_input_is_refused_by_name,
              a_module_that_could_not_be_made_is_the_error_of_capture, zoo_is_captured_and_learns)
