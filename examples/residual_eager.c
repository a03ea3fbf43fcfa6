/* SPDX-License-Identifier: MIT
 * A residual block in eager style, as PyTorch's notes write it: FloatFunctional for the addition,
 * stubs at the borders, fuse by names; then quantization-aware training, and a run on disk that
 * every command of octet works on, though it never saw this net.
 *
 *     residual_eager [DATA] [RUN]     DATA: any 3x32x32 set, default synth-shapes; RUN: default
 *     residual */
#include <stdio.h>

#include <octet.h>

struct block {
    oct_module *conv1, *bn1, *relu1, *conv2, *bn2, *skip_add;
};

struct net {
    oct_module *quant, *conv, *bn, *relu, *block, *fc, *dequant;
    struct block parts;
};

static oct_var *block_forward(void *self, oct_tape *t, oct_var *x) {
    struct block *b = self;
    (void)t;
    oct_var *y = oct_apply(b->relu1, oct_apply(b->bn1, oct_apply(b->conv1, x)));
    return oct_functional_add_relu(b->skip_add, oct_apply(b->bn2, oct_apply(b->conv2, y)), x);
}

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    struct net *n = self;
    (void)t;
    x = oct_apply(n->relu, oct_apply(n->bn, oct_apply(n->conv, oct_apply(n->quant, x))));
    x = oct_adaptive_avg_pool2d(oct_apply(n->block, x), 4, 4);
    return oct_apply(n->dequant, oct_apply(n->fc, oct_flatten(x)));
}

static oct_module *conv3x3(oct_ctx *ctx, int in, int out, int stride) {
    return oct_conv2d_new(
        ctx, &(oct_conv2d_opts){
                 .in = in, .out = out, .kernel = 3, .stride = stride, .pad = 1, .no_bias = true});
}

static oct_module *batch_norm(oct_ctx *ctx, int channels) {
    return oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = channels});
}

static oct_module *build(oct_ctx *ctx, struct net *n) {
    oct_module *m = oct_module_new(ctx, forward, n);
    struct block *b = &n->parts;
    n->quant = oct_module_add(m, "quant", oct_quant_stub_new(ctx));
    n->conv = oct_module_add(m, "conv", conv3x3(ctx, 3, 16, 2));
    n->bn = oct_module_add(m, "bn", batch_norm(ctx, 16));
    n->relu = oct_module_add(m, "relu", oct_relu_new(ctx));
    n->block = oct_module_add(m, "block", oct_module_new(ctx, block_forward, b));
    b->conv1 = oct_module_add(n->block, "conv1", conv3x3(ctx, 16, 16, 1));
    b->bn1 = oct_module_add(n->block, "bn1", batch_norm(ctx, 16));
    b->relu1 = oct_module_add(n->block, "relu1", oct_relu_new(ctx));
    b->conv2 = oct_module_add(n->block, "conv2", conv3x3(ctx, 16, 16, 1));
    b->bn2 = oct_module_add(n->block, "bn2", batch_norm(ctx, 16));
    b->skip_add = oct_module_add(n->block, "skip_add", oct_float_functional_new(ctx));
    n->fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 256, .out = 10}));
    n->dequant = oct_module_add(m, "dequant", oct_dequant_stub_new(ctx));
    return m;
}

static void line(void *user, const char *text) { (void)user, puts(text); }

static void show(const char *title, const oct_net *net) {
    printf("\n--- %s\n", title);
    oct_net_print(net, line, NULL);
}

static double accuracy(oct_net *net, oct_data *test) {
    oct_eval r;
    return oct_evaluate(net, test, NULL, &r) == OCT_OK ? r.accuracy : -1;
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-shapes", *run = argc > 2 ? argv[2] : "residual";
    static const char *const groups[] = {"conv,bn,relu", "block.conv1,block.bn1,block.relu1",
                                         "block.conv2,block.bn2"};
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 4000});
    oct_data *test =
        oct_data_open(ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = 1000});
    struct net n;
    oct_net *net = oct_capture(build(ctx, &n), OCT_SHAPE(32, 32, 3));
    if (oct_net_describe(net, train) != OCT_OK ||
        oct_fit(net, train,
                &(oct_fit_opts){.epochs = 6, .lr = 0.1f, .schedule = OCT_SCHEDULE_ONE_CYCLE}) !=
            OCT_OK)
        goto failed;
    show("float", net);

    oct_net *fused = oct_fuse_modules(net, groups, 3);
    if (!fused) goto failed;
    show("fused", fused);
    oct_net *qat = oct_prepare(fused, NULL);
    if (!qat || oct_calibrate(qat, train, 512) != OCT_OK) goto failed;
    if (oct_fit(qat, train,
                &(oct_fit_opts){
                    .epochs = 1, .optimizer = OCT_OPTIM_ADAM, .run = run, .force = true}) != OCT_OK)
        goto failed;
    oct_net *int8 = oct_convert(qat, NULL);
    if (!int8) goto failed;
    show("converted", int8);
    printf("\nfloat %.4f  QAT, as trained %.4f  int8 %.4f\n", accuracy(net, test),
           accuracy(qat, test), accuracy(int8, test));
    printf(
        "run in %s: octet inspect %s, octet convert %s --out %s.oct8, octet layers %s --data %s\n",
        run, run, run, run, run, spec);
    oct_close(ctx);
    return 0;
failed:
    fprintf(stderr, "%s\n", oct_error_message());
    oct_close(ctx);
    return 1;
}
