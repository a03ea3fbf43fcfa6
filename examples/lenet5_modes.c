/* SPDX-License-Identifier: MIT
 * LeNet-5 through every mode: half precision with its dtypes, dynamic, static, quantization-aware;
 * the module list before and after, and what each mode costs.
 *
 *     lenet5_modes [DATA]     DATA: any set of 32x32 or (padded by 2) 28x28 images; default: the
 *     built-in synth-digits */
#include <stdio.h>

#include <octet.h>

struct lenet5 {
    oct_module *conv1, *conv2, *fc1, *fc2, *fc3;
};

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    struct lenet5 *n = self;
    (void)t;
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv1, x)), NULL);
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv2, x)), NULL);
    x = oct_relu(oct_apply(n->fc1, oct_flatten(x)));
    return oct_apply(n->fc3, oct_relu(oct_apply(n->fc2, x)));
}

static void line(void *user, const char *text) { (void)user, puts(text); }

static void report(const char *mode, oct_net *net, oct_data *test, bool list) {
    oct_eval r;
    int64_t bytes = 0;
    if (!net || oct_evaluate(net, test, &(oct_eval_opts){.limit = 1000}, &r) != OCT_OK) {
        fprintf(stderr, "%s: %s\n", mode, oct_error_message());
        return;
    }
    const oct_named_tensor *t = oct_net_tensors(net);
    for (int i = 0; i < oct_net_tensor_count(net); i++)
        if (t[i].role == OCT_ROLE_PARAM || t[i].role == OCT_ROLE_CONST)
            bytes += oct_tensor_count(t[i].tensor) * (int64_t)oct_dtype_size(t[i].tensor->dtype);
    if (list) oct_net_print(net, line, NULL);
    printf("=> %-8s accuracy %.4f  %lld bytes\n\n", mode, r.accuracy, (long long)bytes);
}

/* Shapes as PyTorch and `octet inspect` have them: O, I, H, W. */
static void dtypes(const oct_net *net) {
    const oct_named_tensor *t = oct_net_tensors(net);
    for (int i = 0; i < oct_net_tensor_count(net); i++) {
        oct_tensor *as_torch = oct_torch_layout(net, t[i].name, t[i].tensor);
        if (!as_torch) return;
        printf("  %-12s %-8s %s\n", t[i].name, oct_dtype_name(t[i].tensor->dtype),
               oct_shape_text(&as_torch->shape));
        oct_tensor_unref(as_torch);
    }
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 6000});
    oct_data *test = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});
    if (!train || !test) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    const oct_input_desc *in = oct_data_input(train);
    struct lenet5 n;
    oct_module *m = oct_module_new(ctx, forward, &n);
    n.conv1 = oct_module_add(m, "conv1",
                             oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = in->channels,
                                                                    .out = 6,
                                                                    .kernel = 5,
                                                                    .pad = (32 - in->height) / 2}));
    n.conv2 = oct_module_add(
        m, "conv2", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 6, .out = 16, .kernel = 5}));
    n.fc1 =
        oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 400, .out = 120}));
    n.fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 120, .out = 84}));
    n.fc3 = oct_module_add(m, "fc3", oct_linear_new(ctx, &(oct_linear_opts){.in = 84, .out = 10}));
    oct_net *net = oct_capture(m, OCT_SHAPE(in->height, in->width, in->channels));
    if (oct_net_describe(net, train) == OCT_OK &&
        oct_fit(net, train, &(oct_fit_opts){.epochs = 3}) == OCT_OK) {
        puts("float32: ten parameters");
        dtypes(net);
        report("float", net, test, true);
        oct_net *half = oct_half(net);
        puts("after half()");
        if (half) dtypes(half);
        report("half", half, test, false);
        report("dynamic", oct_quantize_dynamic(net, NULL), test, true);
        /* ReLU is a function here; the graph sees it all the same, and fuses it */
        oct_net *ptq = oct_prepare(net, &(oct_qconfig){.target = OCT_TARGET_FBGEMM});
        report("static", oct_calibrate(ptq, train, 512) == OCT_OK ? oct_convert(ptq, NULL) : NULL,
               test, true);
        oct_net *qat = oct_prepare(net, &(oct_qconfig){.target = OCT_TARGET_FBGEMM});
        report("qat",
               oct_fit(qat, train, &(oct_fit_opts){.epochs = 1}) == OCT_OK ? oct_convert(qat, NULL)
                                                                           : NULL,
               test, true);
    }
    int failed = oct_last_error()->code != OCT_OK;
    if (failed) fprintf(stderr, "%s\n", oct_error_message());
    oct_close(ctx);
    return failed;
}
