/* SPDX-License-Identifier: MIT
 * octet inspect of a net: modules, layers with shapes, parameters and ranges, tensors; a run as it
 * will be at a later stage. */
#include <math.h>
#include <string.h>

#include "tools/cli_compared.h"

static const char *const stages[] = {"float", "fused", "prepared", "int8"};

/* N,C,H,W of N,H,W,C, and O,I,H,W of octet's weights. */
static oct_shape as_torch(const oct_shape *s) {
    return s->rank == 4 ? OCT_SHAPE(s->dim[0], s->dim[3], s->dim[1], s->dim[2]) : *s;
}

static bool ends(const char *name, const char *what) {
    const char *dot = strrchr(name, '.');
    return dot && !strncmp(dot + 1, what, strlen(what));
}

/* Numbers that a node multiplies or adds: weights, biases, batch norm's. */
static int64_t parameters(const oct_net *net, const char *layer) {
    const oct_graph *g = oct_net_graph(net);
    int32_t at = oct_graph_find_node(g, layer);
    int64_t n = 0;
    for (int32_t k = 0; at >= 0 && k < oct_node_input_count(oct_graph_node(g, at)); k++) {
        const oct_value *v = oct_node_input(oct_graph_node(g, at), k) >= 0
                                 ? oct_graph_value(g, oct_node_input(oct_graph_node(g, at), k))
                                 : NULL;
        if (!v || !oct_value_tensor(v)) continue;
        if (oct_value_role_of(v) == OCT_VALUE_PARAM ||
            (oct_value_role_of(v) == OCT_VALUE_CONST &&
             (ends(oct_value_name(v), "weight") || ends(oct_value_name(v), "bias"))))
            n += oct_tensor_count(oct_value_tensor(v));
    }
    return n;
}

/* How a layer's sums become codes: the node's law, and its records; NULL where there are none. */
static const oct_tensor *records_of(const oct_net *net, const char *name, bool *fixed) {
    const oct_graph *g = oct_net_graph(net);
    const int32_t at = oct_net_stage(net) == OCT_STAGE_INT8 ? oct_graph_find_node(g, name) : -1;
    if (at < 0) return NULL;
    const oct_node *n = oct_graph_node(g, at);
    const oct_tensor *t =
        oct_node_input_count(n) > 1
            ? oct_value_tensor(oct_graph_value(g, oct_node_input(n, oct_node_input_count(n) - 1)))
            : NULL;
    *fixed = oct_node_attrs(n)->law[0] != 0;
    return !t || oct_node_kind(n) == OCT_OP_qsoftmax || oct_node_kind(n) == OCT_OP_qtable ? NULL
                                                                                          : t;
}

static void put_records(json *j, const oct_net *net, const oct_layer *r) {
    bool fixed = false;
    const oct_tensor *t = r->int8 ? records_of(net, r->name, &fixed) : NULL;
    if (!t && !fixed) return;
    const int64_t count = t ? oct_tensor_count(t) / (fixed ? 2 : 1) : 0;
    json_string(j, "law", fixed ? "q31" : "fp32");
    for (int shifts = 0; t && shifts < (fixed ? 2 : 1); shifts++) {
        json_array(j, shifts ? "shift" : "multiplier");
        for (int64_t i = 0; i < count; i++)
            if (fixed)
                json_int(j, NULL, oct_s32(t)[shifts * count + i]);
            else
                json_number(j, NULL, (double)oct_f32(t)[i]);
        json_array_end(j);
    }
}

/* "1074810417 * 2^-39, ..." */
static void print_records(const oct_net *net, const oct_layer *r) {
    bool fixed = false;
    const oct_tensor *t = records_of(net, r->name, &fixed);
    if (!fixed) return;
    if (!t) {
        printf("  by division");
        return;
    }
    /* of means: the largest window's */
    const int64_t count = oct_tensor_count(t) / 2,
                  k = strcmp(r->kind, "qadaptive_avg_pool2d") ? 0 : count - 1;
    printf("  %d * 2^%d%s", oct_s32(t)[k], oct_s32(t)[count + k] - 31, count > 1 ? ", ..." : "");
}

static void net_json(const oct_net *net, const oct_layer *rows, int32_t n,
                     const oct_placement *places, int32_t placed, int64_t bytes) {
    const oct_input_desc *d = oct_net_input(net);
    json j = json_open();
    json_string(&j, "stage", stages[oct_net_stage(net)]);
    json_string(&j, "kind", oct_net_form_name(oct_net_form_of(net)));
    json_string(&j, "model", oct_net_model(net));
    json_string(&j, "target", oct_net_target(net));
    json_int(&j, "bytes", bytes);
    json_array(&j, "input");
    json_int(&j, NULL, d->channels);
    json_int(&j, NULL, d->height);
    json_int(&j, NULL, d->width);
    json_array_end(&j);
    json_array(&j, "classes");
    for (int32_t i = 0; i < oct_net_class_count(net); i++)
        json_string(&j, NULL, cli_class_name(net, i));
    json_array_end(&j);
    json_array(&j, "layers");
    for (int32_t i = 0; i < n; i++) {
        json_item(&j);
        json_string(&j, "name", rows[i].name);
        json_string(&j, "kind", rows[i].kind);
        json_shape(&j, "shape", &rows[i].shape);
        json_int(&j, "parameters", parameters(net, rows[i].name));
        if (rows[i].weight_bits) json_int(&j, "weight_bits", rows[i].weight_bits);
        if (rows[i].int8) {
            json_number(&j, "scale", (double)rows[i].scale);
            json_int(&j, "zero_point", rows[i].zero_point);
            put_records(&j, net, &rows[i]);
        }
        json_item_end(&j);
    }
    json_array_end(&j);
    json_array(&j, "placements");
    for (int32_t i = 0; i < placed; i++) {
        json_item(&j);
        json_string(&j, "name", places[i].name);
        json_bool(&j, "int8", places[i].int8);
        json_string(&j, "reason", places[i].reason);
        json_int(&j, "wbits", places[i].wbits);
        json_int(&j, "abits", places[i].abits);
        json_string(&j, "granularity", oct_granularity_name(places[i].granularity));
        json_string(&j, "observer", places[i].observer);
        json_string(&j, "weight_observer", oct_weight_observer_name(places[i].weight_observer));
        json_string(&j, "grid", places[i].grid);
        json_string(&j, "rule", places[i].rule);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_array(&j, "tensors");
    for (int32_t i = 0; i < oct_net_tensor_count(net); i++) {
        json_item(&j);
        json_string(&j, "name", oct_net_tensors(net)[i].name);
        const oct_shape shape = as_torch(&oct_net_tensors(net)[i].tensor->shape);
        json_string(&j, "dtype", oct_dtype_name(oct_net_tensors(net)[i].tensor->dtype));
        json_shape(&j, "shape", &shape);
        json_item_end(&j);
    }
    json_array_end(&j);
    json_close(&j);
}

static void put_line(void *user, const char *line) { cli_print_line(user, line); }

/* What the codes of a layer can say: from the lowest to the highest. */
static void put_range(const oct_net *net, const oct_layer *r) {
    const oct_graph *g = oct_net_graph(net);
    int32_t at = oct_graph_find_node(g, r->name),
            q = at >= 0 ? oct_value_quantizer(
                              oct_graph_value(g, oct_node_output(oct_graph_node(g, at))))
                        : -1;
    if (!r->int8 || q < 0) return;
    const oct_qspec *s = oct_quantizer_spec(oct_graph_quantizer(g, q));
    printf("  %12.6g  %10d  %.6g to %.6g", (double)r->scale, r->zero_point,
           (double)(r->scale * (float)(s->qmin - r->zero_point)),
           (double)(r->scale * (float)(s->qmax - r->zero_point)));
    print_records(net, r);
}

static void layer_table(const oct_net *net, const oct_layer *rows, int32_t n) {
    int32_t width = 5;
    int64_t total = 0;
    bool codes = false, fixed = false;
    for (int32_t i = 0; i < n; i++) {
        bool law = false;
        (void)records_of(net, rows[i].name, &law);
        fixed |= law;
        width = (int32_t)strlen(rows[i].name) > width ? (int32_t)strlen(rows[i].name) : width;
        codes |= rows[i].int8;
    }
    cli_print("  %-*s  %-20s  %-22s  %10s%s%s\n", width, "layer", "kind", "output (N, C, H, W)",
              "parameters", codes ? "         scale  zero_point  range" : "",
              fixed ? ", multiplier of the first channel" : "");
    for (int32_t i = 0; i < n; i++) {
        const oct_shape shape = as_torch(&rows[i].shape);
        const int64_t p = parameters(net, rows[i].name);
        total += p;
        cli_print("  %-*s  %-20s  %-22s  %10lld", width, rows[i].name, rows[i].kind,
                  oct_shape_text(&shape), (long long)p);
        put_range(net, &rows[i]);
        if (rows[i].weight_bits && rows[i].weight_bits < 8)
            printf("  weights of %d bits", rows[i].weight_bits);
        printf("\n");
    }
    printf("  %lld parameters\n", (long long)total);
}

/* State of observers and quantizers is left to --json: it fills pages, and the modules above say
 * it. */
static void tensor_table(const oct_net *net) {
    int32_t hidden = 0;
    for (int32_t i = 0; i < oct_net_tensor_count(net); i++) {
        const oct_named_tensor *t = &oct_net_tensors(net)[i];
        if (t->role == OCT_ROLE_QPARAM || t->role == OCT_ROLE_OBSERVER ||
            t->role == OCT_ROLE_STEP) {
            hidden++;
            continue;
        }
        const oct_shape shape = as_torch(&t->tensor->shape);
        cli_print("  %-40s %-8s %s\n", t->name, oct_dtype_name(t->tensor->dtype),
                  oct_shape_text(&shape));
    }
    if (hidden) printf("  and %d of observers and scales (--json lists them)\n", hidden);
}

/* Images have a description; anything else has a shape. */
static void print_input(const oct_net *net) {
    const oct_input_desc *d = oct_net_input(net);
    const oct_shape *s =
        oct_value_shape(oct_graph_value(oct_net_graph(net), oct_graph_input(oct_net_graph(net))));
    if (d->channels < 1) {
        printf("input %s, taken as it is; %d classes\n", oct_shape_text(s),
               oct_net_class_count(net));
        return;
    }
    printf("input %d x %d x %d (C, H, W), div %g, mean", d->channels, d->height, d->width,
           (double)d->div);
    for (int32_t k = 0; k < d->channels && k < 4; k++)
        printf("%s%g", k ? "," : " ", (double)d->mean[k]);
    printf(", std");
    for (int32_t k = 0; k < d->channels && k < 4; k++)
        printf("%s%g", k ? "," : " ", (double)d->std[k]);
    printf("; %d classes\n", oct_net_class_count(net));
    if (d->assumed) puts("nobody described its input: pixels go in as they are (oct_net_describe)");
}

int cli_show_net(cli *c, oct_net *net) {
    oct_layer *rows;
    int32_t n;
    if (oct_layers(net, NULL, 0, &rows, &n) != OCT_OK) return cli_failed();
    const int64_t bytes = oct_net_bytes(net);
    int code = 0;
    if (c->json.set) {
        oct_placement *places = NULL;
        int32_t placed = 0;
        if (oct_net_stage(net) == OCT_STAGE_PREPARED &&
            oct_net_placements(net, &places, &placed) != OCT_OK)
            return cli_failed();
        net_json(net, rows, n, places, placed, bytes);
        oct_placements_free(net, places);
    } else {
        cli_print("%s net, model %s%s%s, %lld bytes in %d tensors\n",
                  oct_net_form_name(oct_net_form_of(net)), oct_net_model(net),
                  *oct_net_target(net) ? ", target " : "", oct_net_target(net), (long long)bytes,
                  oct_net_tensor_count(net));
        print_input(net);
        oct_net_print(net, put_line, stdout);
        layer_table(net, rows, n);
        if (oct_net_stage(net) == OCT_STAGE_PREPARED) code = cli_placements(stdout, net);
        if (!code) tensor_table(net);
    }
    oct_layers_free(c->ctx, rows);
    return code;
}

/* ---- a run as it will be ---- */

/* The node of the fused net that a node of the float net became a part of. */
static int32_t root_of(const oct_graph *g, const oct_graph *fused, int32_t node) {
    for (int32_t k = 0; k < oct_graph_node_count(g) &&
                        oct_graph_find_node(fused, oct_node_name(oct_graph_node(g, node))) < 0;
         k++) {
        const int32_t in = oct_node_input_count(oct_graph_node(g, node)) > 0
                               ? oct_node_input(oct_graph_node(g, node), 0)
                               : -1;
        if (in < 0 || oct_value_producer(oct_graph_value(g, in)) < 0) break;
        node = oct_value_producer(oct_graph_value(g, in));
    }
    return node;
}

/* "conv1 + bn1 + relu": one line for each layer that took others in. */
static void print_fusions(const cli *c, const oct_graph *g, const oct_graph *fused) {
    if (c->json.set) return;
    for (int32_t i = 0; i < oct_graph_node_count(g); i++) {
        bool any = false;
        for (int32_t k = i + 1; k < oct_graph_node_count(g); k++) {
            if (oct_graph_find_node(fused, oct_node_name(oct_graph_node(g, k))) >= 0 ||
                root_of(g, fused, k) != i)
                continue;
            if (!any) cli_print("fused: %s", oct_node_name(oct_graph_node(g, i)));
            any = true;
            cli_print(" + %s", oct_node_name(oct_graph_node(g, k)));
        }
        if (any) printf("\n");
    }
}

oct_net *cli_at_stage(cli *c, oct_net *net, int *code) {
    static const char known[] = "fused, prepared or int8";
    int32_t want = 0;
    for (int32_t i = 1; i < 4; i++)
        if (!strcmp(c->stage.s, stages[i])) want = i;
    if (!want) return *code = cli_unknown("--stage", "unknown", known, c->stage.s), NULL;
    if ((oct_stage)want <= oct_net_stage(net)) {
        *code = cli_usage("--stage", "model is there already, or beyond",
                          oct_net_stage(net) == OCT_STAGE_INT8 ? "none of an int8 file" : known,
                          stages[oct_net_stage(net)], NULL);
        return NULL;
    }
    oct_net *to = net;
    if (oct_net_stage(to) == OCT_STAGE_FLOAT && (to = oct_fuse(net)) && want == OCT_STAGE_FUSED)
        print_fusions(c, oct_net_graph(net), oct_net_graph(to));
    if (to && oct_net_stage(to) == OCT_STAGE_FUSED && want > OCT_STAGE_FUSED)
        to = oct_prepare(to, NULL);
    if (to && oct_net_stage(to) == OCT_STAGE_PREPARED && want > OCT_STAGE_PREPARED)
        to = oct_convert(to, NULL);
    if (!to) *code = cli_failed();
    return to;
}
