/* SPDX-License-Identifier: MIT
 * octet inspect, octet layers, octet run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

static const char *const stages[] = {"float", "fused", "prepared", "int8"};

/* "[N, 28, 28, 6]" as JSON: the batch is null. */
static void shape_json(json *j, const char *key, const oct_shape *s) {
    json_array(j, key);
    for (int32_t i = 0; i < s->rank; i++) {
        if (s->dim[i] == OCT_BATCH) json_number(j, NULL, NAN);
        else json_int(j, NULL, s->dim[i]);
    }
    json_array_end(j);
}

static double element(const oct_tensor *t, int64_t i) {
    switch (t->dtype) {
    case OCT_F32: return oct_f32(t)[i];
    case OCT_U8: return oct_u8(t)[i];
    case OCT_S8: return oct_s8(t)[i];
    case OCT_S32: return oct_s32(t)[i];
    default: return NAN;
    }
}

/* Any value of the graph with a tensor: weights of every stage. */
static int show_weights(const cli *c, const oct_net *net, const char *name) {
    oct_tensor *t = oct_net_tensor(net, name);
    if (!t) return cli_usage("--weights", "no such tensor", "a name that octet inspect lists", name, NULL);
    int64_t n = oct_tensor_count(t), bins[16] = {0};
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        lo = fmin(lo, element(t, i));
        hi = fmax(hi, element(t, i));
    }
    for (int64_t i = 0; i < n; i++) {
        int b = hi > lo ? (int)((element(t, i) - lo) / (hi - lo) * 16) : 0;
        bins[b > 15 ? 15 : b]++;
    }
    int32_t v = oct_graph_find_value(net->graph, name), q = v >= 0 ? net->graph->values[v].quantizer : -1;
    const oct_quantizer *z = q >= 0 ? &net->graph->quantizers[q] : NULL;
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "name", name);
        json_string(&j, "dtype", oct_dtype_name(t->dtype));
        shape_json(&j, "shape", &t->shape);
        json_number(&j, "min", lo);
        json_number(&j, "max", hi);
        if (z && z->scale) {
            json_array(&j, "q_scale");
            for (int64_t i = 0; i < oct_tensor_count(z->scale); i++) json_number(&j, NULL, oct_f32(z->scale)[i]);
            json_array_end(&j);
            json_array(&j, "zero_point");
            for (int64_t i = 0; i < oct_tensor_count(z->zero_point); i++) json_int(&j, NULL, oct_s32(z->zero_point)[i]);
            json_array_end(&j);
        }
        json_array(&j, t->dtype == OCT_F32 ? "values" : "int_repr");
        for (int64_t i = 0; i < n; i++) json_number(&j, NULL, element(t, i));
        json_array_end(&j);
        json_array(&j, "histogram");
        for (int i = 0; i < 16; i++) json_int(&j, NULL, bins[i]);
        json_array_end(&j);
        json_close(&j);
        return 0;
    }
    printf("%s %s %s  min %.6g  max %.6g\n", name, oct_dtype_name(t->dtype), oct_shape_text(&t->shape), lo, hi);
    if (z && z->scale) {
        int64_t k = oct_tensor_count(z->scale);
        printf("q_scale");
        for (int64_t i = 0; i < k && i < 8; i++) printf(" %.8g", oct_f32(z->scale)[i]);
        printf("%s\nzero_point %d\n", k > 8 ? " ..." : "", oct_s32(z->zero_point)[0]);
    }
    printf("%s", t->dtype == OCT_F32 ? "values" : "int_repr");
    for (int64_t i = 0; i < n && i < 16; i++) printf(" %.6g", element(t, i));
    printf("%s\n", n > 16 ? " ..." : "");
    for (int i = 0; i < 16; i++) printf("  %12.6g %lld\n", lo + (hi - lo) * (i + 0.5) / 16, (long long)bins[i]);
    return 0;
}

static void table_row(const oct_layer *r) {
    printf("%-28s %-20s %-18s %-6s", r->name, r->kind, oct_shape_text(&r->shape), r->int8 ? "int8" : "float");
    if (r->int8) printf(" scale %.6g zero_point %d", r->scale, r->zero_point);
    if (r->weight_bits) printf(" weight %s %d bits", r->weight_scheme, r->weight_bits);
    printf("\n");
}

int cmd_inspect(cli *c) {
    int load_code;
    oct_net *net = cli_load(c, c->operands[0], false, &load_code);
    if (!net) return load_code;
    if (c->weights.set) return show_weights(c, net, c->weights.s);
    oct_layer *rows;
    int32_t n;
    if (oct_layers(net, NULL, 0, &rows, &n) != OCT_OK) return cli_failed();
    const oct_input_desc *d = &net->input;
    int64_t bytes = 0;
    for (int32_t i = 0; i < net->tensor_count; i++) bytes += (int64_t)oct_tensor_bytes(net->tensors[i].tensor);
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "stage", stages[net->stage]);
        json_string(&j, "model", net->model);
        json_string(&j, "target", net->target);
        json_int(&j, "bytes", bytes);
        json_array(&j, "classes");
        for (int32_t i = 0; i < net->class_count; i++) json_string(&j, NULL, net->classes[i].name);
        json_array_end(&j);
        json_array(&j, "layers");
        for (int32_t i = 0; i < n; i++) {
            json_item(&j);
            json_string(&j, "name", rows[i].name);
            json_string(&j, "kind", rows[i].kind);
            shape_json(&j, "shape", &rows[i].shape);
            json_item_end(&j);
        }
        json_array_end(&j);
        json_array(&j, "tensors");
        for (int32_t i = 0; i < net->tensor_count; i++) {
            json_item(&j);
            json_string(&j, "name", net->tensors[i].name);
            json_string(&j, "dtype", oct_dtype_name(net->tensors[i].tensor->dtype));
            shape_json(&j, "shape", &net->tensors[i].tensor->shape);
            json_item_end(&j);
        }
        json_array_end(&j);
        json_close(&j);
    } else {
        printf("%s net, model %s%s%s, %lld bytes in %d tensors\n", stages[net->stage], net->model, *net->target ? ", target " : "", net->target,
               (long long)bytes, net->tensor_count);
        printf("input %d x %d x %d (C, H, W), div %g, mean %g, std %g; %d classes\n", d->channels, d->height, d->width, d->div, d->mean[0], d->std[0],
               net->class_count);
        for (int32_t i = 0; i < n; i++) table_row(&rows[i]);
        for (int32_t i = 0; i < net->tensor_count; i++)
            printf("  %-40s %-8s %s\n", net->tensors[i].name, oct_dtype_name(net->tensors[i].tensor->dtype), oct_shape_text(&net->tensors[i].tensor->shape));
    }
    oct_layers_free(c->ctx, rows);
    return 0;
}

/* ---- layers ---- */

int cmd_layers(cli *c) {
    oct_net *net;
    oct_data *data;
    int code;
    if (!cli_model_and_data(c, &net, &data, &code)) return code;
    if (c->dry_run.set) return 0;
    oct_layer *rows;
    int32_t n;
    if (oct_layers(net, data, 256, &rows, &n) != OCT_OK) return cli_failed();
    if (c->json.set) {
        json j = json_open();
        json_array(&j, "layers");
        for (int32_t i = 0; i < n; i++) {
            const oct_layer *r = &rows[i];
            json_item(&j);
            json_string(&j, "name", r->name);
            json_string(&j, "kind", r->kind);
            shape_json(&j, "shape", &r->shape);
            json_int(&j, "bits", r->bits);
            json_string(&j, "scheme", *r->weight_scheme ? r->weight_scheme : r->scheme);
            json_number(&j, "scale", r->int8 ? r->scale : NAN);
            json_number(&j, "zero_point", r->int8 ? r->zero_point : NAN);
            json_number(&j, "sqnr_local", r->sqnr_local);
            json_number(&j, "sqnr_cum", r->sqnr_cum);
            json_number(&j, "clip", r->clip);
            json_number(&j, "us", r->us >= 0 ? r->us : NAN);
            if (r->int8) json_string(&j, "kernel", oct_ctx_isa(c->ctx));
            else json_number(&j, "kernel", NAN);
            json_item_end(&j);
        }
        json_array_end(&j);
        json_close(&j);
    } else {
        printf("%-28s %-14s %-18s %4s %-22s %12s %4s %7s %7s %8s %9s\n", "name", "kind", "shape", "bits", "scheme", "scale", "zp", "local", "cum", "clip", "us");
        for (int32_t i = 0; i < n; i++) {
            const oct_layer *r = &rows[i];
            printf("%-28s %-14s %-18s %4d %-22s", r->name, r->kind, oct_shape_text(&r->shape), r->bits, *r->weight_scheme ? r->weight_scheme : r->scheme);
            if (r->int8) printf(" %12.6g %4d", r->scale, r->zero_point);
            else printf(" %12s %4s", "-", "-");
            const struct {
                double v;
                int width, digits;
            } cells[] = {{r->sqnr_local, 7, 1}, {r->sqnr_cum, 7, 1}, {r->clip, 8, 5}, {r->us >= 0 ? r->us : NAN, 9, 2}};
            for (int k = 0; k < 4; k++) {
                if (isnan(cells[k].v)) printf(" %*s", cells[k].width, "-");
                else printf(" %*.*f", cells[k].width, cells[k].digits, cells[k].v);
            }
            printf("\n");
        }
    }
    oct_layers_free(c->ctx, rows);
    return 0;
}
