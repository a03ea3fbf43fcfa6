/* SPDX-License-Identifier: MIT
 * An observer of one's own: the mean of what each batch's range was, beside three that are built
 * in. It keeps two sums and a count, which are named tensors of the net like everything else: runs
 * save, load and resume them.
 *
 *     own_observer [DATA]     default: the built-in synth-digits */
#include <stdio.h>

#include <octet.h>

enum { SUMS, BATCHES }; /* o->state, in the order of `tensors` below */

static const oct_quantizer *quantizer(const oct_net *net, int k) {
    return oct_graph_quantizer(oct_net_graph(net), k);
}

/* Once per batch, with its least and its largest finite value. */
static oct_status mean_of_batches(const oct_observing *o, float min, float max) {
    float *sum = oct_f32(o->state[SUMS]);
    int64_t *n = oct_s64(o->state[BATCHES]);
    sum[0] += min;
    sum[1] += max;
    ++*n;
    *o->min = sum[0] / (float)*n;
    *o->max = sum[1] / (float)*n;
    return OCT_OK;
}

static const oct_observer mine = {
    .name = "mean-of-batches",
    .tensors = {{"sums", OCT_F32, 2}, {"batches", OCT_S64, 1}},
    .observe_range = mean_of_batches,
};

int main(int argc, char **argv) {
    static const char *const observers[] = {"minmax", "ema", "entropy", "mean-of-batches"};
    enum { COUNT = sizeof observers / sizeof *observers };
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 5000});
    oct_data *test = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});
    oct_net *net = oct_zoo_net(ctx, "lenet", train), *q[COUNT] = {NULL};
    oct_eval real, r[COUNT];
    bool ok = oct_observer_register(ctx, &mine) == OCT_OK && net &&
              oct_fit(net, train, &(oct_fit_opts){.epochs = 2}) == OCT_OK &&
              oct_evaluate(net, test, &(oct_eval_opts){.limit = 2000}, &real) == OCT_OK;
    for (int i = 0; ok && i < COUNT; i++) {
        /* or for some layers: oct_qconfig_parse, --set */
        q[i] = oct_prepare(net, &(oct_qconfig){.observer = observers[i]});
        oct_net *int8 =
            q[i] && oct_calibrate(q[i], train, 512) == OCT_OK ? oct_convert(q[i], NULL) : NULL;
        ok = int8 && oct_evaluate(int8, test, &(oct_eval_opts){.limit = 2000}, &r[i]) == OCT_OK;
    }
    if (!ok) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    printf("%-24s", "upper end of the range");
    for (int i = 0; i < COUNT; i++) printf(" %16s", observers[i]);
    for (int k = 0; k < oct_graph_quantizer_count(oct_net_graph(q[0])); k++) {
        if (oct_quantizer_spec(quantizer(q[0], k))->qmin < 0) continue; /* weights */
        printf("\n%-24s", oct_quantizer_name(quantizer(q[0], k)));
        for (int i = 0; i < COUNT; i++)
            printf(" %16.5f", oct_f32(oct_quantizer_max(quantizer(q[i], k)))[0]);
    }
    printf("\n%-24s", "int8 accuracy");
    for (int i = 0; i < COUNT; i++) printf(" %16.4f", r[i].accuracy);
    const oct_tensor *batches =
        oct_net_tensor(q[COUNT - 1], "conv1.activation_post_process.batches");
    printf("\nfloat accuracy %.4f; %s saw %lld batches\n", real.accuracy, mine.name,
           batches ? (long long)oct_s64(batches)[0] : -1LL);
    oct_close(ctx);
    return 0;
}
