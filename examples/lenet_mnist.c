/* SPDX-License-Identifier: MIT
 * LeNet on MNIST, from float to int8: train, calibrate, fine-tune with quantization in the loop,
 * convert, score.
 *
 *     lenet_mnist [DATA]     DATA: idx:DIR of MNIST; default: the built-in synth-digits */
#include <stdio.h>

#include <octet.h>

struct lenet {
    oct_module *conv1, *conv2, *fc1, *fc2, *fc3;
};

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    struct lenet *n = self;
    (void)t;
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv1, x)), &(oct_pool_opts){.kernel = 2});
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv2, x)), &(oct_pool_opts){.kernel = 2});
    x = oct_relu(oct_apply(n->fc1, oct_flatten(x)));
    x = oct_relu(oct_apply(n->fc2, x));
    return oct_apply(n->fc3, x);
}

static int progress(void *user, const oct_fit_report *r) {
    if (r->epoch_end)
        printf("%s epoch %d: loss %.4f\n", (const char *)user, r->epoch, r->train_loss);
    return 0;
}

static double accuracy(oct_net *net, oct_data *test) {
    oct_eval r;
    return oct_evaluate(net, test, NULL, &r) == OCT_OK ? r.accuracy : -1;
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    oct_ctx *ctx = oct_open(NULL);
    /* seconds */
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = argc > 1 ? 0 : 6000});
    oct_data *test = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});

    struct lenet n;
    oct_module *m = oct_module_new(ctx, forward, &n);
    n.conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 6, .kernel = 5, .pad = 2}));
    n.conv2 = oct_module_add(
        m, "conv2", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 6, .out = 16, .kernel = 5}));
    n.fc1 =
        oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 400, .out = 120}));
    n.fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 120, .out = 84}));
    n.fc3 = oct_module_add(m, "fc3", oct_linear_new(ctx, &(oct_linear_opts){.in = 84, .out = 10}));
    oct_net *net = oct_capture(m, OCT_SHAPE(28, 28, 1));

    oct_net *qnet = NULL, *int8 = NULL;
    oct_convert_report report = {0};
    if (oct_fit(net, train,
                &(oct_fit_opts){.epochs = 3, .progress = progress, .progress_user = "float"}) ==
            OCT_OK &&
        (qnet = oct_prepare(net, NULL)) && oct_calibrate(qnet, train, 512) == OCT_OK &&
        oct_fit(qnet, train,
                &(oct_fit_opts){.epochs = 1, .progress = progress, .progress_user = "qat"}) ==
            OCT_OK &&
        (int8 = oct_convert(qnet, &report)) && oct_int8_save(int8, "lenet.oct8") == OCT_OK)
        printf("float %.4f  simulated %.4f  int8 %.4f  (%lld bytes in lenet.oct8)\n",
               accuracy(net, test), accuracy(qnet, test), accuracy(int8, test),
               (long long)report.bytes);
    else
        fprintf(stderr, "%s\n", oct_error_message());
    oct_close(ctx);
    return int8 ? 0 : 1;
}
