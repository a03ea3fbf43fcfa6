/* SPDX-License-Identifier: MIT
 * ONNX out, a float kind at a time: the nodes, attributes and numbers that a layer becomes, written
 * down by the standard's words. ONNX has images as N, C, H, W, and pads as all the ends in front,
 * then all behind. */
#include <math.h>

#include "autograd/nn/nn.h"
#include "qat/io/import.h"
#include "qat/io/onnx_out.h"
#include "qat/qat.h"
#include "src/net.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"

static oct_ctx *ctx;

static void setup(void) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}

static void teardown(void) { oct_close(ctx); }

typedef struct page {
    char text[2000];
    size_t n;
} page;

#define PUT(p, ...)                                                                                \
    (p)->n += (size_t)snprintf((p)->text + (p)->n, sizeof(p)->text - (p)->n, __VA_ARGS__)

static void put_constant(page *p, const OctiOnnx__TensorProto *t) {
    int64_t count = 1;
    for (size_t i = 0; i < t->n_dims; i++) count *= t->dims[i];
    PUT(p, " [");
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *raw = t->raw_data.data;
        float f;
        int32_t s32;
        int64_t s64;
        PUT(p, "%s", i ? " " : "");
        switch (t->data_type) {
        case OCTI_ONNX_F32:
            memcpy(&f, raw + 4 * i, 4);
            PUT(p, "%.4g", (double)f);
            break;
        case OCTI_ONNX_S64:
            memcpy(&s64, raw + 8 * i, 8);
            PUT(p, "%lld", (long long)s64);
            break;
        case OCTI_ONNX_S32:
            memcpy(&s32, raw + 4 * i, 4);
            PUT(p, "%d", s32);
            break;
        default:
            PUT(p, "%d", t->data_type == OCTI_ONNX_U8 ? raw[i] : (int8_t)raw[i]);
        }
    }
    PUT(p, "]");
}

/* "Clip [0] [6]\n": each node, its attributes, and what of its inputs is constant ("-": absent). */
static void put_node(page *p, const OctiOnnx__GraphProto *g, const OctiOnnx__NodeProto *n) {
    PUT(p, "%s", n->op_type);
    for (size_t i = 0; i < n->n_attribute; i++) {
        const OctiOnnx__AttributeProto *a = n->attribute[i];
        PUT(p, " %s=", a->name);
        if (a->has_f) PUT(p, "%.4g", (double)a->f);
        if (a->has_i) PUT(p, "%lld", (long long)a->i);
        for (size_t k = 0; k < a->n_ints; k++)
            PUT(p, "%s%lld", k ? "," : "", (long long)a->ints[k]);
    }
    for (size_t k = 0; k < n->n_input; k++) {
        if (!*n->input[k]) PUT(p, " -");
        for (size_t i = 0; i < g->n_initializer; i++)
            if (!strcmp(g->initializer[i]->name, n->input[k])) put_constant(p, g->initializer[i]);
    }
    PUT(p, "\n");
}

/* What the file says, and of itself under a key. */
static const page *nodes_of(const oct_net *net, bool by_scales, const char *key) {
    static page p;
    uint8_t *bytes;
    size_t size;
    p.n = 0;
    ck_not_null(net);
    ck_ok(
        oct_export_onnx_memory(net, &(oct_onnx_opts){.integer_kernels = by_scales}, &bytes, &size));
    OctiOnnx__ModelProto *m = octi_onnx__model_proto__unpack(NULL, size, bytes);
    ck_assert_ptr_nonnull(m);
    for (size_t i = 0; i < m->graph->n_node; i++) put_node(&p, m->graph, m->graph->node[i]);
    for (size_t i = 0; key && i < m->n_metadata_props; i++)
        if (!strcmp(m->metadata_props[i]->key, key)) PUT(&p, "%s\n", m->metadata_props[i]->value);
    octi_onnx__model_proto__free_unpacked(m, NULL);
    oct_export_free(ctx, bytes);
    return &p;
}
static void net_says(const oct_net *net, const char *name, const char *want) {
    const page *p = nodes_of(net, false, NULL);
    ck_assert_msg(!strcmp(p->text, want), "%s: the file has\n%sby hand\n%s", name, p->text, want);
}
static void net_has(const oct_net *net, bool by_scales, const char *key, const char *want) {
    const page *p = nodes_of(net, by_scales, key);
    ck_assert_msg(strstr(p->text, want) != NULL, "no\n%sin\n%s", want, p->text);
}

/* ---- functions and pools, of an image of 4 x 5 and 2 channels ---- */

#define FORM(name, expression)                                                                     \
    static oct_var *name(void *self, oct_tape *t, oct_var *x) {                                    \
        (void)self, (void)t;                                                                       \
        return expression;                                                                         \
    }
#define POOL(...)                                                                                  \
    &(oct_pool_opts) { __VA_ARGS__ }
FORM(relu, oct_relu(x))
FORM(relu6, oct_relu6(x))
FORM(clamp, oct_clamp(x, -0.5f, 2))
FORM(clamp_above, oct_clamp(x, -INFINITY, 2))
FORM(clamp_below, oct_clamp(x, -0.5f, INFINITY))
FORM(leaky, oct_leaky_relu(x, 0.125f))
FORM(elu, oct_elu(x, 0.75f))
FORM(hardswish, oct_hardswish(x))
FORM(hardsigmoid, oct_hardsigmoid(x))
FORM(sigmoid, oct_sigmoid(x))
FORM(tanh_of, oct_tanh(x))
FORM(softmax, oct_softmax(x))
FORM(log_softmax, oct_log_softmax(oct_flatten(oct_slice(x, 1, 0, 1))))
FORM(max_pool,
     oct_max_pool2d(x, POOL(.kernel_size = {2, 3}, .strides = {1, 2}, .pads = {1, 0, 0, 2})))
FORM(avg_pool,
     oct_avg_pool2d(x, POOL(.kernel_size = {3, 2}, .strides = {2, 1}, .pads = {2, 1, 1, 0})))
FORM(avg_inside, oct_avg_pool2d(x, POOL(.kernel = 3, .pad = 1, .exclude_pad = true)))
FORM(mean, oct_adaptive_avg_pool2d(x, 1, 1))
FORM(mean_equal, oct_adaptive_avg_pool2d(x, 2, 5))
FORM(mean_apart, oct_adaptive_avg_pool2d(x, 3, 2))
FORM(cat_rows, oct_cat((oct_var *[]){x, oct_relu(x)}, 2, 1))
FORM(cat_channels, oct_cat((oct_var *[]){oct_relu(x), x}, 2, 3))
FORM(slice_columns, oct_slice(x, 2, 1, 4))
FORM(slice_channels, oct_slice(x, 3, 1, 2))
FORM(padded, oct_pad(x, (const int[]){1, 2, 3, 4}, 0.25f))
FORM(sum, oct_add(x, oct_relu(x)))
FORM(product, oct_mul(x, oct_adaptive_avg_pool2d(x, 1, 1)))
FORM(flat, oct_flatten(x))
FORM(shaped, oct_reshape(x, (const int[]){5, 8}, 2))

START_TEST(functions_and_pools) {
    static const struct {
        const char *name;
        oct_forward_fn form;
        const char *want;
    } rows[] = {
#define ROW(form) #form, form
        {ROW(relu), "Relu\n"},
        {ROW(relu6), "Clip [0] [6]\n"},
        {ROW(clamp), "Clip [-0.5] [2]\n"},
        {ROW(clamp_above), "Clip - [2]\n"},
        {ROW(clamp_below), "Clip [-0.5]\n"},
        {ROW(leaky), "LeakyRelu alpha=0.125\n"},
        {ROW(elu), "Elu alpha=0.75\n"},
        {ROW(hardswish), "HardSigmoid alpha=0.1667 beta=0.5\nMul\n"},
        {ROW(hardsigmoid), "HardSigmoid alpha=0.1667 beta=0.5\n"},
        {ROW(sigmoid), "Sigmoid\n"},
        {ROW(tanh_of), "Tanh\n"},
        {ROW(softmax), "Softmax axis=1\n"},
        {ROW(log_softmax),
         "Slice [0] [1] [2]\nTranspose perm=0,2,3,1\nFlatten axis=1\nLogSoftmax axis=1\n"},
        {ROW(max_pool), "MaxPool kernel_shape=2,3 strides=1,2 pads=1,0,0,2\n"},
        {ROW(avg_pool),
         "AveragePool kernel_shape=3,2 strides=2,1 pads=2,1,1,0 count_include_pad=1\n"},
        {ROW(avg_inside),
         "AveragePool kernel_shape=3,3 strides=3,3 pads=1,1,1,1 count_include_pad=0\n"},
        {ROW(mean), "GlobalAveragePool\n"},
        {ROW(mean_equal), "AveragePool kernel_shape=2,1 strides=2,1\n"},
        /* rows 0-1, 1-2, 2-3 and columns 0-2, 2-4: a third or a half of each */
        {ROW(mean_apart), "MatMul [0.5 0.5 0 0 0 0.5 0.5 0 0 0 0.5 0.5]\n"
                          "MatMul [0.3333 0 0.3333 0 0.3333 0.3333 0 0.3333 0 0.3333]\n"},
        {ROW(cat_rows), "Relu\nConcat axis=2\n"},
        {ROW(cat_channels), "Relu\nConcat axis=1\n"},
        {ROW(slice_columns), "Slice [1] [4] [3]\n"},
        {ROW(slice_channels), "Slice [1] [2] [1]\n"},
        {ROW(padded), "Pad [0 0 1 2 0 0 3 4] [0.25]\n"},
        {ROW(sum), "Relu\nAdd\n"},
        {ROW(product), "GlobalAveragePool\nMul\n"},
        {ROW(flat), "Transpose perm=0,2,3,1\nFlatten axis=1\n"},
        {ROW(shaped), "Transpose perm=0,2,3,1\nReshape [0 5 8]\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_module *m = oct_module_new(ctx, rows[i].form, NULL);
        net_says(oct_capture(m, OCT_SHAPE(4, 5, 2)), rows[i].name, rows[i].want);
    }
}
END_TEST

/* ---- layers with weights: numbers 1, 2, 3, ... in octet's order ---- */

static oct_net *net_of(oct_module *layer, oct_shape image) {
    oct_net *net = oct_capture(layer, image);
    ck_not_null(net);
    float v = 1;
    for (int32_t i = 0; i < oct_net_tensor_count(net); i++) {
        oct_tensor *t = oct_net_tensors(net)[i].tensor;
        for (int64_t k = 0; k < oct_tensor_count(t); k++) oct_f32(t)[k] = v++;
    }
    return net;
}

START_TEST(layers_with_weights) {
    oct_module *conv = oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2,
                                                              .out = 1,
                                                              .kernel_size = {1, 2},
                                                              .strides = {2, 1},
                                                              .dilations = {1, 3},
                                                              .pads = {0, 1, 2, 3}}),
               *depthwise = oct_conv2d_new(
                   ctx,
                   &(oct_conv2d_opts){
                       .in = 2, .out = 2, .kernel = 1, .groups = 2, .no_bias = true}),
               *linear = oct_linear_new(ctx, &(oct_linear_opts){.in = 3, .out = 2}),
               *lstm = oct_lstm_new(ctx, &(oct_lstm_opts){.in = 1, .hidden = 1});
    net_says(net_of(conv, OCT_SHAPE(4, 5, 2)), "conv2d",
             "Conv kernel_shape=1,2 strides=2,1 pads=0,1,2,3 dilations=1,3 group=1"
             " [1 3 2 4] [5]\n");
    net_says(net_of(depthwise, OCT_SHAPE(4, 5, 2)), "depthwise",
             "Conv kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=2 [1 2]\n");
    net_says(net_of(linear, OCT_SHAPE(3)), "linear", "Gemm transB=1 [1 2 3 4 5 6] [7 8]\n");
    /* gates i, f, g, o become i, o, f, c */
    net_says(
        net_of(lstm, OCT_SHAPE(3, 1)), "lstm",
        "Transpose perm=1,0,2\nLSTM hidden_size=1 [1 4 2 3] [5 8 6 7] [9 12 10 11 13 16 14 15]\n"
        "Squeeze [1]\nTranspose perm=1,0,2\n");
}
END_TEST

/* As it stands, and in the layer that it was fused into: gamma, beta, mean, variance. */
START_TEST(batch_norm) {
    const oct_batch_norm_opts two = {.channels = 2, .eps = 0.01f};
    net_says(net_of(oct_batch_norm_new(ctx, &two), OCT_SHAPE(4, 5, 2)), "batch norm",
             "BatchNormalization epsilon=0.01 [1 2] [3 4] [5 6] [7 8]\n");
    oct_module *conv = oct_conv2d_new(
                   ctx, &(oct_conv2d_opts){.in = 2, .out = 2, .kernel = 1, .no_bias = true}),
               *const layers[] = {conv, oct_batch_norm_new(ctx, &two), oct_relu_new(ctx)};
    net_says(oct_fuse(net_of(oct_sequential_new(ctx, layers, 3), OCT_SHAPE(4, 5, 2))), "fused",
             "Conv kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1 [1 2 3 4]\n"
             "BatchNormalization epsilon=0.01 [5 6] [7 8] [9 10] [11 12]\nRelu\n");
}
END_TEST

/* Nodes that the output does not need stay behind. */
START_TEST(what_nobody_reads) {
    oct_net *net = octi_net_new(ctx, OCT_STAGE_FLOAT);
    oct_graph *g = net->graph;
    const oct_shape s = OCT_SHAPE(OCT_BATCH, 3);
    g->input = octi_graph_add_value(g, "x", OCT_VALUE_INPUT, OCT_F32, s, NULL);
    ck_assert_int_ge(octi_graph_add_node(g, OCT_OP_tanh, "a", NULL, &g->input, 1, OCT_F32, s), 0);
    const int32_t n = octi_graph_add_node(g, OCT_OP_relu, "b", NULL, &g->input, 1, OCT_F32, s);
    g->output = g->nodes[n].out;
    net_says(net, "dead", "Relu\n");
}
END_TEST

/* One weight, read behind an image of 2 x 1 and 2 channels and behind a vector: its columns go by
 * what stands in front. */
typedef struct shared_net {
    oct_module *turn, *fc;
} shared_net;
static oct_var *shared_forward(void *self, oct_tape *t, oct_var *x) {
    shared_net *n = self;
    (void)t;
    oct_var *flat_x = oct_flatten(x), *once = oct_apply(n->fc, flat_x);
    return oct_add(once, oct_apply(n->fc, oct_apply(n->turn, flat_x)));
}
START_TEST(columns_go_by_what_is_read) {
    shared_net n;
    oct_module *m = oct_module_new(ctx, shared_forward, &n);
    const oct_linear_opts to_four = {.in = 4, .out = 4, .no_bias = true},
                          to_one = {.in = 4, .out = 1, .no_bias = true};
    n.turn = oct_module_add(m, "turn", oct_linear_new(ctx, &to_four));
    n.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &to_one));
    oct_net *net = oct_capture(m, OCT_SHAPE(2, 1, 2));
    ck_not_null(net);
    for (int i = 0; i < 16; i++) oct_f32(oct_net_tensor(net, "turn.weight"))[i] = 5;
    for (int i = 0; i < 4; i++) oct_f32(oct_net_tensor(net, "fc.weight"))[i] = (float)(i + 1);
    net_says(net, "columns",
             "Flatten axis=1\nGemm transB=1 [1 3 2 4]\n"
             "Gemm transB=1 [5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5]\nGemm transB=1 [1 2 3 4]\nAdd\n");
}
END_TEST

/* ---- codes ---- */

/* Windows of 2 x 2 around an image of 2 x 2: of one, two or four of its cells. */
START_TEST(averages_of_codes) {
    static const float m[] = {0, 0.5f, 0.25f, 0.125f, 0.0625f};
    for (int inside = 0; inside < 2; inside++) {
        test_net t = test_net_new(ctx, 1, 2, 2, 1);
        const oct_attrs a = {.kernel = {2, 2},
                             .stride = {1, 1},
                             .pads = {1, 1, 1, 1},
                             .exclude_pad = {inside},
                             .hi = {255}};
        const int32_t x = test_quantize(&t, t.net->graph->input, 0.5f, 3),
                      in[] = {x, test_const(&t, "m", OCT_F32, OCT_SHAPE(5), m)};
        test_end(&t, test_node(&t, OCT_OP_qavg_pool2d, &a, in, 2, OCT_SHAPE(OCT_BATCH, 3, 3, 1),
                               0.5f, 3));
        net_has(t.net, false, "octet.scales",
                inside ? "Mul [0.5 0.25 0.5 0.25 0.0625 0.25 0.5 0.25 0.5]\n" : "Mul [0.0625]\n");
        net_has(t.net, false, "octet.scales",
                "{\"n0.quantize\":[0.5,3],\"n1.qavg_pool2d\":[0.5,3]");
        net_has(t.net, false, "octet.codes", "by multipliers\n");
        net_has(t.net, true, "octet.codes", "by scales\n");
    }
}
END_TEST

START_TEST(members_of_codes) {
    static const float m[] = {0.5f, 0.25f};
    test_net t = test_net_new(ctx, 1, 2, 2, 1);
    const int32_t x = test_quantize(&t, t.net->graph->input, 0.5f, 3),
                  y = test_quantize(&t, t.net->graph->input, 0.25f, 7),
                  in[] = {x, y, test_const(&t, "m", OCT_F32, OCT_SHAPE(2), m)};
    test_end(&t, test_node(&t, OCT_OP_qcat, &(oct_attrs){.axis = {3}, .hi = {255}}, in, 3,
                           OCT_SHAPE(OCT_BATCH, 2, 2, 2), 1, 0));
    net_has(t.net, false, NULL,
            "DequantizeLinear [1] [3]\nMul [0.5]\nDequantizeLinear [1] [7]\n"
            "Mul [0.25]\nConcat axis=1\nQuantizeLinear [1] [0]\n");
    net_has(t.net, true, NULL,
            "DequantizeLinear [0.5] [3]\nDequantizeLinear [0.25] [7]\n"
            "Concat axis=1\nQuantizeLinear [1] [0]\n");
}
END_TEST

/* Codes from the zero point on, as a fused ReLU leaves them. By scales they saturate first. */
START_TEST(sums_of_codes) {
    static const int8_t w[] = {1, 2};
    static const int32_t b[] = {7};
    static const float m[] = {0.25f};
    test_net t = test_net_new(ctx, 1, 1, 1, 2);
    const int32_t x = test_quantize(&t, t.net->graph->input, 0.25f, 3),
                  in[] = {test_flatten(&t, x), test_const(&t, "w", OCT_S8, OCT_SHAPE(1, 2), w),
                          test_const(&t, "b", OCT_S32, OCT_SHAPE(1), b),
                          test_const(&t, "m", OCT_F32, OCT_SHAPE(1), m)};
    test_end(&t, test_node(&t, OCT_OP_qlinear, &(oct_attrs){.lo = {100}, .hi = {255}}, in, 4,
                           OCT_SHAPE(OCT_BATCH, 1), 0.5f, 100));
    net_has(t.net, false, NULL,
            "Gemm transB=1\nMul [0.25]\nClip [0] [155]\nQuantizeLinear [1] [100]\n");
    /* weights by 0.25 * 0.5 / 0.25, the bias by 0.25 * 0.5 */
    net_has(t.net, true, NULL, "DequantizeLinear [1 2] [0.5] [0]\n");
    net_has(t.net, true, NULL, "DequantizeLinear axis=0 [7] [0.125]\n");
    net_has(t.net, true, NULL,
            "Gemm transB=1\nQuantizeLinear [0.5] [100]\nDequantizeLinear [0.5] [100]\n"
            "Clip [0] [77.5]\nQuantizeLinear [0.5] [100]\n");
}
END_TEST

/* A layer that was kept float reads a product, which no runtime takes for codes. */
START_TEST(floats_behind_codes) {
    static const float w[] = {1, 2};
    test_net t = test_net_new(ctx, 1, 1, 1, 2);
    const int32_t x = test_flatten(&t, test_quantize(&t, t.net->graph->input, 0.5f, 3)),
                  real =
                      test_node(&t, OCT_OP_dequantize, NULL, &x, 1, OCT_SHAPE(OCT_BATCH, 2), 0, 0),
                  in[] = {real, test_const(&t, "w", OCT_F32, OCT_SHAPE(1, 2), w)};
    t.net->graph->output = test_node(&t, OCT_OP_linear, NULL, in, 2, OCT_SHAPE(OCT_BATCH, 1), 0, 0);
    net_has(t.net, false, NULL, "DequantizeLinear [1] [3]\nMul [0.5]\nGemm transB=1 [1 2]\n");
    net_has(t.net, true, NULL, "DequantizeLinear [0.5] [3]\nGemm transB=1 [1 2]\n");
}
END_TEST

OCT_TEST_MAIN_WITH("onnx_out_by_hand", setup, teardown, functions_and_pools, layers_with_weights,
                   batch_norm, what_nobody_reads, columns_go_by_what_is_read, averages_of_codes,
                   members_of_codes, sums_of_codes, floats_behind_codes)
