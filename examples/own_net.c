/* SPDX-License-Identifier: MIT
 * A net of one's own with a branch, written as a plain forward function and trained by a loop of
 * one's own; then made quantization-aware, trained by the same loop, and converted.
 *
 *     own_net [DATA] [STEPS]     DATA: any set of small images, default synth-digits */
#include <stdio.h>
#include <stdlib.h>

#include <octet.h>

struct own_net {
    oct_module *stem, *stem_bn, *wide, *deep1, *deep2, *mix, *fc;
};

/* Two branches see the same features, are concatenated, mixed by a 1x1 convolution and added
 * back. */
static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    struct own_net *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->stem_bn, oct_apply(n->stem, x)));
    oct_var *wide = oct_relu(oct_apply(n->wide, x));
    oct_var *deep = oct_relu(oct_apply(n->deep2, oct_relu(oct_apply(n->deep1, x))));
    oct_var *both = oct_cat((oct_var *[]){wide, deep}, 2, 3);
    x = oct_relu(oct_add(x, oct_apply(n->mix, both)));
    return oct_apply(n->fc, oct_flatten(oct_adaptive_avg_pool2d(oct_max_pool2d(x, NULL), 4, 4)));
}

static oct_module *build(oct_ctx *ctx, struct own_net *n, int channels, int classes) {
    oct_module *m = oct_module_new(ctx, forward, n);
    n->stem = oct_module_add(
        m, "stem",
        oct_conv2d_new(
            ctx,
            &(oct_conv2d_opts){
                .in = channels, .out = 16, .kernel = 3, .stride = 2, .pad = 1, .no_bias = true}));
    n->stem_bn = oct_module_add(m, "stem_bn",
                                oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 16}));
    n->wide = oct_module_add(
        m, "wide",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 16, .out = 8, .kernel = 5, .pad = 2}));
    n->deep1 = oct_module_add(
        m, "deep1",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 16, .out = 16, .kernel = 3, .pad = 1, .groups = 16}));
    n->deep2 = oct_module_add(
        m, "deep2", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 16, .out = 8, .kernel = 1}));
    n->mix = oct_module_add(
        m, "mix", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 16, .out = 16, .kernel = 1}));
    n->fc = oct_module_add(m, "fc",
                           oct_linear_new(ctx, &(oct_linear_opts){.in = 16 * 16, .out = classes}));
    return m;
}

/* The loop: any net, float or prepared. */
static oct_status train(oct_net *net, oct_data *data, int steps, float lr) {
    oct_ctx *ctx = oct_net_ctx(net);
    int32_t count;
    const oct_named_tensor *params = oct_net_parameters(net, &count);
    oct_optim *optim =
        oct_optim_new(ctx, params, count, &(oct_optim_opts){.kind = OCT_OPTIM_ADAM, .lr = lr});
    oct_loader *loader =
        oct_loader_new(data, &(oct_loader_opts){.batch = 64, .shuffle = true, .drop_last = true});
    oct_tape *tape = oct_tape_new(ctx);
    oct_status s = oct_ctx_status(ctx);
    double mean = 0;
    for (int step = 0, epoch = 0; s == OCT_OK && step < steps; step++) {
        oct_batch batch;
        bool done = false;
        /* does nothing to a float net */
        if (step == 2 * steps / 3) oct_net_freeze_batch_norm(net, true);
        if ((s = oct_loader_next(loader, &batch, &done)) == OCT_OK && done) {
            if ((s = oct_loader_start(loader, ++epoch, 0)) == OCT_OK)
                s = oct_loader_next(loader, &batch, &done);
        }
        if (s != OCT_OK) break;
        oct_optim_zero_grad(optim);
        oct_tape_begin(tape, OCT_TRAIN);
        oct_var *loss =
            oct_cross_entropy(oct_net_forward(net, oct_input(tape, batch.x)), batch.labels, NULL);
        if ((s = oct_backward(loss)) == OCT_OK) s = oct_optim_step(optim);
        if (s != OCT_OK) break;
        mean += *oct_f32(oct_var_value(loss));
        if (step % 50 == 49) printf("step %4d  loss %.3f\n", step + 1, mean / 50), mean = 0;
    }
    oct_tape_free(tape);
    oct_loader_free(loader);
    oct_optim_free(optim);
    return s;
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    int steps = argc > 2 ? atoi(argv[2]) : 200;
    oct_ctx *ctx = oct_open(NULL);
    oct_data *data = oct_data_open(ctx, spec, &(oct_data_opts){.limit = argc > 1 ? 0 : 6000});
    oct_data *test = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});
    struct own_net n;
    const oct_input_desc *in = data ? oct_data_input(data) : NULL;
    oct_net *net = data ? oct_capture(build(ctx, &n, in->channels, 10),
                                      OCT_SHAPE(in->height, in->width, in->channels))
                        : NULL;
    oct_net *qat = NULL, *int8 = NULL;
    if (net && oct_net_describe(net, data) == OCT_OK && train(net, data, steps, 0.004f) == OCT_OK &&
        (qat = oct_prepare(net, NULL)) && oct_calibrate(qat, data, 256) == OCT_OK &&
        train(qat, data, steps / 3, 0.0005f) == OCT_OK)
        int8 = oct_convert(qat, NULL);
    oct_eval f = {0}, q = {0}, i = {0};
    if (int8 && oct_evaluate(net, test, NULL, &f) == OCT_OK &&
        oct_evaluate(qat, test, NULL, &q) == OCT_OK && oct_evaluate(int8, test, NULL, &i) == OCT_OK)
        printf("accuracy: float %.4f, simulated %.4f, int8 %.4f\n", f.accuracy, q.accuracy,
               i.accuracy);
    else
        fprintf(stderr, "%s\n", oct_error_message());
    /* what succeeded and still wants to be known; .log of oct_opts gets it as it happens */
    for (int k = 0; oct_ctx_warning(ctx, k); k++)
        fprintf(stderr, "warning: %s\n", oct_ctx_warning(ctx, k));
    oct_close(ctx);
    return i.n ? 0 : 1;
}
