/* SPDX-License-Identifier: MIT
 * An LSTM that reads a digit row by row, top to bottom, and says at the end which it was; then its
 * weights become int8 ahead of time and its activations int8 as it runs (dynamic quantization):
 * sizes, accuracies, and how often the two agree.
 *
 *     lstm_rows [DATA] [EPOCHS]     DATA: idx:DIR of MNIST, or another grey set; default: the
 *     built-in synth-digits */
#include <stdio.h>
#include <stdlib.h>

#include <octet.h>

struct reader {
    oct_module *lstm, *fc;
    int height, width;
};

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    struct reader *n = self;
    (void)t;
    /* [N,28,28,1] -> [N,28,28]: 28 steps of 28 pixels, nothing moves */
    x = oct_reshape(x, (int[]){n->height, n->width}, 2);
    return oct_apply(n->fc, oct_apply(n->lstm, x)); /* the hidden state behind the last row */
}

static void line(void *user, const char *text) { (void)user, puts(text); }

static int64_t bytes_of(const oct_net *net) {
    int64_t bytes = 0;
    const oct_named_tensor *t = oct_net_tensors(net);
    for (int i = 0; i < oct_net_tensor_count(net); i++)
        bytes += oct_tensor_count(t[i].tensor) * (int64_t)oct_dtype_size(t[i].tensor->dtype);
    return bytes;
}

static int64_t best(const float *logits, int64_t n) {
    int64_t k = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[k]) k = i;
    return k;
}

/* Share of images on which both nets say the same. */
static double agreement(oct_net *a, oct_net *b, oct_data *test) {
    oct_loader *l = oct_loader_new(test, &(oct_loader_opts){.input = oct_net_input(a)});
    oct_runner *ra = oct_runner_new(a, NULL), *rb = oct_runner_new(b, NULL);
    int64_t same = 0, n = 0;
    oct_batch batch;
    for (bool done = false; oct_loader_next(l, &batch, &done) == OCT_OK && !done;) {
        const oct_tensor *p = oct_runner_run(ra, batch.x), *q = oct_runner_run(rb, batch.x);
        int64_t classes = p->shape.dim[1];
        for (int64_t i = 0; i < p->shape.dim[0]; i++, n++)
            same +=
                best(oct_f32(p) + i * classes, classes) == best(oct_f32(q) + i * classes, classes);
    }
    oct_runner_free(ra);
    oct_runner_free(rb);
    oct_loader_free(l);
    return n ? (double)same / (double)n : 0;
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    int epochs = argc > 2 ? atoi(argv[2]) : 2;
    if (argc < 2) puts("no data given: synth-digits in place of MNIST (give idx:DIR)");
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 6000});
    oct_data *test =
        oct_data_open(ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = 2000});
    if (!train || !test) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    const oct_input_desc *d = oct_data_input(train);
    struct reader n = {.height = d->height, .width = d->width * d->channels};
    oct_module *m = oct_module_new(ctx, forward, &n);
    n.lstm = oct_module_add(
        m, "lstm", oct_lstm_new(ctx, &(oct_lstm_opts){.in = n.width, .hidden = 64, .last = true}));
    n.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 64, .out = 10}));
    oct_net *net = oct_capture(m, OCT_SHAPE(d->height, d->width, d->channels)), *dynamic = NULL;
    oct_eval f = {0}, q = {0};
    if (net && oct_fit(net, train,
                       &(oct_fit_opts){.epochs = epochs,
                                       .batch = 16,
                                       .optimizer = OCT_OPTIM_ADAM,
                                       .lr = 0.006f,
                                       .warmup = 0.5f,
                                       .clip_norm = 1}) == OCT_OK) {
        oct_net_print(net, line, NULL);
        if ((dynamic = oct_quantize_dynamic(net, NULL))) oct_net_print(dynamic, line, NULL);
    }
    bool ok = dynamic && oct_evaluate(net, test, NULL, &f) == OCT_OK &&
              oct_evaluate(dynamic, test, NULL, &q) == OCT_OK;
    if (ok) {
        printf("float:   %6lld bytes, accuracy %.4f\n", (long long)bytes_of(net), f.accuracy);
        printf("dynamic: %6lld bytes, accuracy %.4f\n", (long long)bytes_of(dynamic), q.accuracy);
        printf("agreement %.4f of %lld images\n", agreement(net, dynamic, test), (long long)f.n);
    } else
        fprintf(stderr, "%s\n", oct_error_message());
    oct_close(ctx);
    return !ok;
}
