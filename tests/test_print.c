/* SPDX-License-Identifier: MIT
 * Nets in PyTorch's words, where no two sides of anything are equal. */
#include "tests/oct_test.h"

#include "octet.h"

enum { LINES = 64 };
static char lines[LINES][400];
static int count;

static void keep(void *user, const char *line) {
    (void)user;
    ck_assert_int_lt(count, LINES);
    snprintf(lines[count++], sizeof *lines, "%s", line);
}

static void print(const oct_net *net) {
    count = 0;
    oct_net_print(net, keep, NULL);
}

static oct_ctx *ctx;
static oct_net *make(void) {
    oct_module *m[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4,
                                               .out = 6,
                                               .kernel_size = {3, 2},
                                               .strides = {2, 1},
                                               .pads = {1, 0, 2, 3},
                                               .dilations = {1, 2},
                                               .groups = 2}),
        oct_batch_norm_new(ctx,
                           &(oct_batch_norm_opts){.channels = 6, .eps = 1e-3f, .momentum = 0.2f}),
        oct_relu_new(ctx),
        oct_max_pool2d_new(ctx, &(oct_pool_opts){.kernel_size = {2, 3}, .strides = {1, 2}}),
        oct_conv2d_new(
            ctx,
            &(oct_conv2d_opts){
                .in = 6, .out = 5, .kernel_size = {1, 3}, .pads = {0, 1, 0, 1}, .no_bias = true}),
        oct_leaky_relu_new(ctx, 0.1f),
        oct_flatten_new(ctx),
        oct_dropout_new(ctx, 0.25f),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 60, .out = 3, .no_bias = true})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, m, 9), OCT_SHAPE(9, 7, 4));
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    return net;
}

/* Line i, where "scale=S" stands for the scale that the net holds, to the last bit. */
static void is(int i, const char *want, const oct_net *net, const char *value) {
    char got[400];
    snprintf(got, sizeof got, "%s", lines[i]);
    char *s = value ? strstr(got, "scale=") : NULL, *end;
    if (s) {
        const int32_t v = oct_graph_find_value(net->graph, value);
        ck_assert_int_ge(v, 0);
        const oct_quantizer *q = &net->graph->quantizers[net->graph->values[v].quantizer];
        ck_assert_double_eq(strtod(s + 6, &end), (double)oct_f32(q->scale)[0]);
        memmove(s + 7, end, strlen(end) + 1);
        s[6] = 'S';
    }
    ck_assert_msg(i < count && !strcmp(got, want), "line %d: \"%s\", not \"%s\"", i, got, want);
}

/* clang-format off */
#define CONV0 \
    "(4, 6, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0, 2, 3), dilation=(1, 2), groups=2"
#define POOL \
    "  (3): MaxPool2d(kernel_size=(2, 3), stride=(1, 2), padding=0, dilation=1, " \
    "ceil_mode=False)"
/* clang-format on */
#define CONV4   "(6, 5, kernel_size=(1, 3), stride=(1, 1), padding=(0, 1)"
#define FLATTEN "  (6): Flatten(start_dim=1, end_dim=-1)"
#define CHANNEL "dtype=torch.qint8, qscheme=torch.per_channel_affine"

START_TEST(float_nets) {
    oct_net *net = make();
    print(net);
    static const char *const plain[] = {
        "custom(",
        "  (0): Conv2d" CONV0 ")",
        "  (1): BatchNorm2d(6, eps=0.001, momentum=0.2, affine=True, track_running_stats=True)",
        "  (2): ReLU()",
        POOL,
        "  (4): Conv2d" CONV4 ", bias=False)",
        "  (5): LeakyReLU(negative_slope=0.1)",
        FLATTEN,
        "  (7): Dropout(p=0.25, inplace=False)",
        "  (8): Linear(in_features=60, out_features=3, bias=False)",
        ")"};
    for (int i = 0; i < 11; i++) is(i, plain[i], NULL, NULL);
    ck_assert_int_eq(count, 11);
    print(oct_fuse(net));
    is(1, "  (0): ConvBnReLU2d" CONV0 ")", NULL, NULL);
    is(2, POOL, NULL, NULL);
    ck_assert_int_eq(count, 9);
}
END_TEST

START_TEST(small_weights) {
    oct_net *net = make();
    print(oct_quantize_weight_only(net, NULL));
    is(1, "  (0): WeightOnlyQuantizedConvReLU2d" CONV0 ", " CHANNEL ")", NULL, NULL);
    is(3, "  (4): WeightOnlyQuantizedConv2d" CONV4 ", " CHANNEL ", bias=False)", NULL, NULL);
    is(7,
       "  (8): WeightOnlyQuantizedLinear(in_features=60, out_features=3, bias=False, " CHANNEL ")",
       NULL, NULL);
    print(oct_quantize_dynamic(net, NULL));
    is(1, "  (0): ConvBnReLU2d" CONV0 ")", NULL, NULL);
    is(7, "  (8): DynamicQuantizedLinear(in_features=60, out_features=3, " CHANNEL ")", NULL, NULL);
}
END_TEST

START_TEST(quantized_nets) {
    oct_net *net = make();
    for (int i = 0; i < 180; i++)
        oct_f32(oct_net_tensor(net, "8.weight"))[i] = -0.25f - (float)(i / 60);
    oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = "minmax"});
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4, 9, 7, 4));
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = (float)(i % 33) / 8 - 1;
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    ck_ok(oct_net_settle(q));
    print(q);
    is(1,
       "  (input.quantize): Quantize(scale=tensor([0.0157]), zero_point=tensor([64]), "
       "dtype=torch.quint8)",
       NULL, NULL);
    is(2,
       "    (activation_post_process): FakeQuantize(observer=minmax, quant_min=0, quant_max=255, "
       "qscheme=torch.per_tensor_affine, scale=tensor([0.0156863]), zero_point=tensor([64]), "
       "min_val=-1, max_val=3)",
       NULL, NULL);
    is(3, "  (0): ConvBnReLU2d" CONV0 ")", NULL, NULL);
    const char *weights =
        "    (weight_fake_quant): FakeQuantize(observer=minmax, quant_min=-127, quant_max=127, "
        "qscheme=torch.per_channel_symmetric, scale=tensor([";
    ck_assert_msg(!strncmp(lines[4], weights, strlen(weights)), "%s", lines[4]);
    const oct_net *i8 = oct_convert(q, NULL);
    ck_not_null(i8);
    print(i8);
    is(2,
       "  (0): QuantizedConvReLU2d(4, 6, kernel_size=(3, 2), stride=(2, 1), scale=S, "
       "zero_point=0, padding=(1, 0, 2, 3), dilation=(1, 2), groups=2)",
       i8, "0");
    is(3, POOL, NULL, NULL);
    const oct_quantizer *four =
        &i8->graph->quantizers[i8->graph->values[oct_graph_find_value(i8->graph, "4")].quantizer];
    is(4,
       octi_fmt("  (4): QuantizedConv2d(6, 5, kernel_size=(1, 3), stride=(1, 1), scale=S, "
                "zero_point=%d, padding=(0, 1))",
                oct_s32(four->zero_point)[0]),
       i8, "4");
    is(6, FLATTEN, NULL, NULL);
    is(8,
       "  (8): QuantizedLinear(in_features=60, out_features=3, scale=S, zero_point=255, "
       "qscheme=torch.per_channel_affine)",
       i8, "8");
    is(9, "  (8.dequantize): DeQuantize()", NULL, NULL);
}
END_TEST

/* Values never negative have a range like a ReLU's: only the layer that has one says so. */
START_TEST(relu_of_a_positive_range) {
    oct_module *m[] = {
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 3}), oct_elu_new(ctx, 1.0f),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 3, .out = 3}), oct_relu_new(ctx)};
    oct_net *net = oct_capture(oct_sequential_new(ctx, m, 4), OCT_SHAPE(4));
    ck_not_null(net);
    print(net);
    is(2, "  (1): ELU(alpha=1.0)", NULL, NULL);
    for (int layer = 0; layer < 2; layer++) {
        oct_tensor *w = oct_net_tensor(net, layer ? "2.weight" : "0.weight"),
                   *b = oct_net_tensor(net, layer ? "2.bias" : "0.bias");
        for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] = 0.25f;
        for (int64_t i = 0; i < 3; i++) oct_f32(b)[i] = 2;
    }
    oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = "minmax"});
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 4));
    for (int64_t i = 0; i < 8; i++) oct_f32(x)[i] = (float)i / 8 - 0.5f;
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    ck_ok(oct_net_settle(q));
    oct_net *i8 = oct_convert(q, NULL);
    ck_not_null(i8);
    size_t size;
    uint8_t *file = NULL;
    ck_ok(oct_int8_save_memory(i8, &file, &size));
    oct_net *read = oct_int8_load_memory(ctx, file, size, NULL);
    for (int from = 0; from < 2; from++) {
        print(from ? read : i8);
        ck_assert_msg(!strncmp(lines[2], "  (0): QuantizedLinear(", 23), "%s", lines[2]);
        ck_assert_msg(!strncmp(lines[4], "  (2): QuantizedLinearReLU(", 27), "%s", lines[4]);
    }
}
END_TEST

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

OCT_TEST_MAIN_WITH("print", setup, teardown, float_nets, small_weights, quantized_nets,
                   relu_of_a_positive_range)
