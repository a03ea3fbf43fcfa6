/* SPDX-License-Identifier: MIT
 * Calibration as a search: for every activation the largest value, and the thresholds that entropy (TensorRT's KL divergence),
 * percentile and least squared error choose; and what each costs.
 *
 *     kl_threshold [DATA [MODEL]]     default: lenet on the built-in synth-digits */
#include <stdio.h>

#include <octet.h>

static const char *const observers[] = {"minmax", "entropy", "percentile", "mse", "histogram"};
enum { COUNT = sizeof observers / sizeof *observers };

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 6000});
    oct_data *test = oct_data_open(ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});
    oct_net *net = oct_zoo_net(ctx, argc > 2 ? argv[2] : "lenet", train), *q[COUNT] = {NULL};
    oct_eval real, r[COUNT];
    bool ok = net && oct_fit(net, train, &(oct_fit_opts){.epochs = 2}) == OCT_OK && oct_evaluate(net, test, &(oct_eval_opts){.limit = 2000}, &real) == OCT_OK;
    for (int i = 0; ok && i < COUNT; i++) {
        q[i] = oct_prepare(net, &(oct_qconfig){.observer = observers[i]});
        oct_net *int8 = q[i] && oct_calibrate(q[i], train, 512) == OCT_OK ? oct_convert(q[i], NULL) : NULL; /* convert settles the search */
        ok = int8 && oct_evaluate(int8, test, &(oct_eval_opts){.limit = 2000}, &r[i]) == OCT_OK;
    }
    if (!ok) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    printf("%-24s", "upper end of the range");
    for (int i = 0; i < COUNT; i++) printf(" %12s", observers[i]);
    int clipped = 0;
    for (int k = 0; k < q[0]->graph->quantizer_count; k++) {
        if (q[0]->graph->quantizers[k].spec.qmin < 0) continue; /* weights */
        printf("\n%-24s", q[0]->graph->quantizers[k].name);
        for (int i = 0; i < COUNT; i++) printf(" %12.5f", oct_f32(q[i]->graph->quantizers[k].max_val)[0]);
        clipped += oct_f32(q[1]->graph->quantizers[k].max_val)[0] < oct_f32(q[0]->graph->quantizers[k].max_val)[0];
    }
    printf("\n%-24s", "int8 accuracy");
    for (int i = 0; i < COUNT; i++) printf(" %12.4f", r[i].accuracy);
    printf("\nfloat accuracy %.4f; entropy clips %d activations below their largest value\n", real.accuracy, clipped);
    oct_close(ctx);
    return 0;
}
