/* SPDX-License-Identifier: MIT
 * Post-training quantization as PyTorch's eager mode has it: a conv, a ReLU and a linear layer
 * between QuantStub and DeQuantStub; fuse by names, prepare, calibrate, convert; the module list
 * after each step.
 *
 *     ptq_between_stubs [DATA]     DATA: any set; default: the built-in synth-digits */
#include <stdio.h>

#include <octet.h>

struct model {
    oct_module *quant, *conv, *relu, *fc, *dequant;
};

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    struct model *m = self;
    (void)t;
    x = oct_apply(m->relu, oct_apply(m->conv, oct_apply(m->quant, x)));
    return oct_apply(m->dequant, oct_apply(m->fc, oct_flatten(x)));
}

static void line(void *user, const char *text) { (void)user, puts(text); }

static void show(const char *title, const oct_net *net) {
    printf("\n--- %s\n", title);
    oct_net_print(net, line, NULL);
}

static double accuracy(oct_net *net, oct_data *test) {
    oct_eval r;
    return oct_evaluate(net, test, &(oct_eval_opts){.limit = 1000}, &r) == OCT_OK ? r.accuracy : -1;
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    oct_ctx *ctx = oct_open(NULL);
    /* a digit is known by where its ink is: one layer learns it */
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 4000});
    oct_data *test = oct_data_open(ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST});
    if (!train || !test) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    const oct_input_desc *in = oct_data_input(train);
    struct model m;
    oct_module *root = oct_module_new(ctx, forward, &m);
    m.quant = oct_module_add(root, "quant", oct_quant_stub_new(ctx));
    m.conv = oct_module_add(
        root, "conv",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = in->channels, .out = 3, .kernel = 1}));
    m.relu = oct_module_add(root, "relu", oct_relu_new(ctx));
    m.fc = oct_module_add(
        root, "fc",
        oct_linear_new(ctx, &(oct_linear_opts){.in = 3 * in->height * in->width, .out = 10}));
    m.dequant = oct_module_add(root, "dequant", oct_dequant_stub_new(ctx));
    oct_net *net = oct_capture(root, OCT_SHAPE(in->height, in->width, in->channels));
    if (oct_net_describe(net, train) != OCT_OK ||
        oct_fit(net, train, &(oct_fit_opts){.epochs = 3, .lr = 0.01f}) != OCT_OK)
        goto failed;
    show("float", net);

    oct_net *fused = oct_fuse_modules(net, (const char *[]){"conv,relu"}, 1);
    oct_net *prepared = oct_prepare(fused, &(oct_qconfig){.target = OCT_TARGET_FBGEMM});
    if (!prepared) goto failed;
    show("fused and prepared", prepared);
    oct_convert_report report;
    /* there: every scale 1 */
    if (!oct_convert(prepared, NULL)) printf("\nwithout calibration: %s\n", oct_error_message());
    oct_clear_error();

    oct_net *int8 =
        oct_calibrate(prepared, train, 256) == OCT_OK ? oct_convert(prepared, &report) : NULL;
    if (!int8) goto failed;
    show("converted", int8);
    printf("\nfloat %.4f  int8 %.4f  (%lld bytes)\n", accuracy(net, test), accuracy(int8, test),
           (long long)report.bytes);
    oct_close(ctx);
    return 0;
failed:
    fprintf(stderr, "%s\n", oct_error_message());
    oct_close(ctx);
    return 1;
}
