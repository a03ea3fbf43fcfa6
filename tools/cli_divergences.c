/* SPDX-License-Identifier: MIT
 * inspect --histogram LAYER: KL divergence at the entropy threshold, at its neighbours and at the
 * whole range. */
#include "tools/cli.h"

enum { AROUND = 5 };

static void put_json(const char *layer, const oct_quantizer *q, const oct_divergence *r,
                     int32_t n) {
    json j = json_open();
    json_string(&j, "name", layer);
    json_string(&j, "observer", oct_quantizer_observer(q));
    json_int(&j, "bits", oct_quantizer_spec(q)->bits);
    json_bool(&j, "symmetric", oct_quantizer_spec(q)->symmetric);
    json_array(&j, "range");
    json_number(&j, NULL, oct_f32(oct_quantizer_min(q))[0]);
    json_number(&j, NULL, oct_f32(oct_quantizer_max(q))[0]);
    json_array_end(&j);
    json_array(&j, "candidates");
    for (int32_t i = 0; i < n; i++) {
        json_item(&j);
        json_number(&j, "lo", r[i].lo);
        json_number(&j, "hi", r[i].hi);
        json_int(&j, "bins", r[i].bins);
        json_int(&j, "levels", r[i].levels);
        json_number(&j, "divergence", r[i].divergence);
        json_number(&j, "clipped", r[i].clipped);
        json_bool(&j, "gains", r[i].gains);
        json_bool(&j, "chosen", r[i].chosen);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

int cli_show_divergences(const cli *c, oct_net *net, const char *layer) {
    oct_divergence r[2 * AROUND + 2];
    int32_t n;
    if (oct_net_divergences(net, layer, AROUND, r, &n) != OCT_OK) return cli_failed();
    const oct_node *node =
        oct_graph_node(oct_net_graph(net), oct_graph_find_node(oct_net_graph(net), layer));
    const oct_quantizer *q = oct_graph_quantizer(
        oct_net_graph(net),
        oct_value_quantizer(oct_graph_value(oct_net_graph(net), oct_node_output(node))));
    if (c->json.set) return put_json(layer, q, r, n), 0;
    if (!n) return cli_print("%s: nothing was observed\n", layer), 0;
    cli_print("%s: observer %s, %d bits, range %.6g to %.6g of %.6g to %.6g\n", layer,
              oct_quantizer_observer(q), oct_quantizer_spec(q)->bits,
              oct_f32(oct_quantizer_min(q))[0], oct_f32(oct_quantizer_max(q))[0], r[n - 1].lo,
              r[n - 1].hi);
    printf("what entropy sees:\n  %5s %12s %12s %7s %14s %10s\n", "bins", "lowest", "highest",
           "levels", "KL divergence", "clipped");
    for (int32_t i = 0; i < n; i++) {
        if (i == n - 1 && n > 1 && r[i].bins > r[i - 1].bins + 1) printf("    ...\n");
        printf("%c %5d %12.6g %12.6g %7d %14.6g %9.4f%%%s\n", r[i].chosen ? '>' : ' ', r[i].bins,
               r[i].lo, r[i].hi, r[i].levels, r[i].divergence, 100 * r[i].clipped,
               r[i].chosen  ? i == n - 1 ? "  chosen: the whole range" : "  chosen"
               : r[i].gains ? ""
                            : "  loses more than it wins");
    }
    return 0;
}
