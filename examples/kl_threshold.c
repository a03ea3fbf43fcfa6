/* SPDX-License-Identifier: MIT
 * Calibration as a search: for every activation the largest value, and the thresholds that entropy
 * (TensorRT's KL divergence), percentile and least squared error choose; and what each costs; the
 * divergence itself, at one threshold and around it. The net's input is taken whole by all of them.
 *
 *     kl_threshold [DATA [MODEL]]     default: lenet on the built-in synth-digits */
#include <stdio.h>
#include <string.h>

#include <octet.h>

static const char *const observers[] = {"minmax", "entropy", "percentile", "mse", "histogram"};
enum { COUNT = sizeof observers / sizeof *observers };

static const oct_quantizer *quantizer(const oct_net *net, int k) {
    return oct_graph_quantizer(oct_net_graph(net), k);
}

/* Of the layer that entropy clips most. */
static void print_divergences(oct_net *q) {
    oct_divergence row[8], best[8];
    int32_t count, lines = 0;
    const char *layer = NULL;
    double most = 0;
    for (int i = 0; i < oct_graph_node_count(oct_net_graph(q)); i++) {
        const oct_node *n = oct_graph_node(oct_net_graph(q), i);
        /* float, or taken whole */
        if (oct_net_divergences(q, oct_node_name(n), 3, row, &count) != OCT_OK) continue;
        for (int k = 0; k < count; k++) {
            if (!row[k].chosen || row[k].clipped <= most) continue;
            most = row[k].clipped;
            layer = oct_node_name(n);
            lines = count;
            memcpy(best, row, sizeof best);
        }
    }
    if (!layer) return;
    printf("\nKL divergence of %s\n(a candidate cuts the histogram of |x| behind so many bins, and "
           "merges those into as many levels as codes lie above zero there)\n",
           layer);
    for (int k = 0; k < lines; k++)
        printf("%c %4d bins, to %-9.6g in %3d levels: %.6g, %.4f %% beyond\n",
               best[k].chosen ? '>' : ' ', best[k].bins, best[k].hi, best[k].levels,
               best[k].divergence, 100 * best[k].clipped);
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    oct_ctx *ctx = oct_open(NULL);
    oct_data *train = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 6000});
    oct_data *test = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});
    oct_net *net = oct_zoo_net(ctx, argc > 2 ? argv[2] : "lenet", train), *q[COUNT] = {NULL};
    oct_eval real, r[COUNT];
    bool ok = net && oct_fit(net, train, &(oct_fit_opts){.epochs = 2}) == OCT_OK &&
              oct_evaluate(net, test, &(oct_eval_opts){.limit = 2000}, &real) == OCT_OK;
    for (int i = 0; ok && i < COUNT; i++) {
        q[i] = oct_prepare(net, &(oct_qconfig){.observer = observers[i]});
        /* convert settles the search */
        oct_net *int8 =
            q[i] && oct_calibrate(q[i], train, 512) == OCT_OK ? oct_convert(q[i], NULL) : NULL;
        ok = int8 && oct_evaluate(int8, test, &(oct_eval_opts){.limit = 2000}, &r[i]) == OCT_OK;
    }
    if (!ok) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    printf("%-24s", "upper end of the range");
    for (int i = 0; i < COUNT; i++) printf(" %12s", observers[i]);
    int clipped = 0;
    for (int k = 0; k < oct_graph_quantizer_count(oct_net_graph(q[0])); k++) {
        if (oct_quantizer_spec(quantizer(q[0], k))->qmin < 0) continue; /* weights */
        printf("\n%-24s", oct_quantizer_name(quantizer(q[0], k)));
        for (int i = 0; i < COUNT; i++)
            printf(" %12.5f", oct_f32(oct_quantizer_max(quantizer(q[i], k)))[0]);
        clipped += oct_f32(oct_quantizer_max(quantizer(q[1], k)))[0] <
                   oct_f32(oct_quantizer_max(quantizer(q[0], k)))[0];
    }
    printf("\n%-24s", "int8 accuracy");
    for (int i = 0; i < COUNT; i++) printf(" %12.4f", r[i].accuracy);
    printf("\nfloat accuracy %.4f; entropy clips %d activations below their largest value\n",
           real.accuracy, clipped);
    print_divergences(q[1]);
    oct_close(ctx);
    return 0;
}
