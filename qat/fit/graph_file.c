/* SPDX-License-Identifier: MIT
 * Writes and reads graph.json: what a run's net is, without the data of its tensors. */
#include "qat/fit/graph_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "qat/fit/fit.h"
#include "qat/int8/int8.h"
#include "qat/io/weight_layout.h"
#include "qat/step/hooks.h"
#include "src/format/graph_json.h"
#include "src/format/json.h"
#include "src/format/json_bits.h"
#include "src/mem.h"

static const char *const role_names[] = {"param", "buffer", "qparam", "observer", "const", "step"};
enum { ROLES = sizeof role_names / sizeof *role_names };
/* Of a run; names are looked up one behind the other, so time grows with the square. A net of the
 * most values has fewer. Files of weights also hold the optimizer's. */
enum { MAX_TENSORS = 16384, MAX_STORED = 4 * MAX_TENSORS };

static void put_tensor(octi_text *t, const oct_named_tensor *n) {
    octi_text_printf(t, "{\"name\":");
    octi_json_put_string(t, n->name);
    octi_text_printf(t, ",\"role\":\"%s\",\"dtype\":\"%s\",\"shape\":[", role_names[n->role],
                     oct_dtype_name(n->tensor->dtype));
    for (int32_t d = 0; d < n->tensor->shape.rank; d++)
        octi_text_printf(t, "%s%lld", d ? "," : "", (long long)n->tensor->shape.dim[d]);
    octi_text_printf(t, "]}");
}

oct_status octi_graph_file_write(const oct_net *net, const octi_folder *f) {
    octi_text t = {.ctx = net->ctx};
    if (net->tensor_count > MAX_TENSORS)
        return octi_fail(OCT_ELIMIT, octi_folder_path(f), "tensors of the net",
                         octi_fmt("at most %d", MAX_TENSORS), octi_fmt("%d", net->tensor_count),
                         NULL);
    octi_text_printf(&t, "{\"format\":1,\n\"meta\":");
    oct_status s = octi_meta_to_json(net, &t);
    octi_text_printf(&t, ",\n\"tensors\":[");
    for (int32_t i = 0; i < net->tensor_count; i++) {
        octi_text_printf(&t, i ? ",\n" : "\n");
        put_tensor(&t, &net->tensors[i]);
    }
    octi_text_printf(&t, "],\n\"graph\":");
    if (s == OCT_OK) s = octi_graph_to_json(net, &t);
    octi_text_printf(&t, "}\n");
    if (s == OCT_OK) s = t.status;
    if (s == OCT_OK) s = octi_file_save_in(f, "graph.json", t.data, t.size);
    octi_text_free(&t);
    return s;
}

typedef struct backing { /* what the net's tensors are filled from */
    const octi_safetensors *weights;
    const char *prefix, *where;
} backing;

static oct_status take_tensor(oct_net *net, const cJSON *item, const backing *b) {
    const char *where = b->where;
    const char *name, *role, *dtype;
    const cJSON *dims;
    OCT_TRY(octi_json_string(item, "name", where, &name));
    OCT_TRY(octi_json_string(item, "role", where, &role));
    OCT_TRY(octi_json_string(item, "dtype", where, &dtype));
    OCT_TRY(octi_json_array(item, "shape", where, &dims));
    oct_shape shape = {.rank = 0};
    const cJSON *d;
    cJSON_ArrayForEach(d, dims) {
        if (shape.rank == OCT_MAX_RANK)
            return octi_fail(OCT_EFORMAT, where, "rank of a tensor", "at most 6", name, NULL);
        OCT_TRY(
            octi_json_item_int(d, "shape", where, 0, (int64_t)1 << 40, &shape.dim[shape.rank++]));
    }
    int r = 0, t = 0;
    while (r < ROLES && strcmp(role_names[r], role)) r++;
    while (t < OCT_DTYPE_COUNT && strcmp(oct_dtype_name((oct_dtype)t), dtype)) t++;
    if (r == ROLES || t == OCT_DTYPE_COUNT)
        return octi_fail(OCT_EFORMAT, where, octi_fmt("role or dtype of %s", name), "a known word",
                         r == ROLES ? role : dtype, NULL);
    /* by training, which is in floats */
    bool moved = r == OCT_ROLE_PARAM || r == OCT_ROLE_BUFFER || r == OCT_ROLE_STEP;
    if (moved && t != OCT_F32)
        return octi_fail(OCT_EFORMAT, where, octi_fmt("dtype of %.200s, a %s", name, role),
                         oct_dtype_name(OCT_F32), dtype, NULL);
    if (oct_net_tensor(net, name))
        return octi_fail(OCT_EFORMAT, where, "tensor stands twice", NULL, name, NULL);
    const octi_safetensors_entry *e =
        octi_safetensors_find(b->weights, octi_fmt("%s%s", b->prefix, name));
    if (!e)
        return octi_fail(OCT_EFORMAT, where, "tensor has no weights in the run", name, NULL, NULL);
    oct_shape stored = octi_shape_out(&shape);
    if (!oct_shape_equal(&stored, &e->shape))
        return octi_fail(OCT_EFORMAT, where, octi_fmt("shape of %.200s", name),
                         octi_fmt("%s, as the weights", oct_shape_text(&e->shape)),
                         oct_shape_text(&stored), NULL);
    oct_tensor *x = oct_tensor_new(net->ctx, (oct_dtype)t, shape);
    if (!x) return oct_last_error()->code;
    oct_status s = octi_net_register(net, name, (oct_tensor_role)r, x);
    oct_tensor_unref(x);
    return s;
}

/* The part as text again: the graph's own reader takes text. */
static oct_status part(oct_net *net, const cJSON *root, const char *key, const char *where,
                       oct_status (*take)(oct_net *net, const char *text, size_t size,
                                          const char *where)) {
    const cJSON *object = octi_json_get(root, key);
    if (!object) return octi_fail(OCT_EFORMAT, where, "part is missing", key, NULL, NULL);
    char *text = cJSON_PrintUnformatted(object);
    if (!text) return octi_fail(OCT_ENOMEM, where, "part as text", NULL, key, NULL);
    oct_status s = take(net, text, strlen(text), where);
    cJSON_free(text);
    return s;
}

/* A border of a net in training is still float on both sides. */
static oct_status shape_of(const oct_graph *g, const oct_node *n, oct_dtype *dtype,
                           oct_shape *shape) {
    const oct_value *in[OCTI_MAX_INPUTS] = {NULL};
    for (int32_t k = 0; k < n->nin; k++) in[k] = n->in[k] >= 0 ? &g->values[n->in[k]] : NULL;
    bool border = n->kind == OCT_OP_quantize || n->kind == OCT_OP_dequantize;
    return oct_infer_shape(border ? OCT_OP_identity : n->kind, &n->attr, in, n->nin, n->name, dtype,
                           shape);
}

/* What the graph says of its values must be what the rules give: later rooms rely on it. An int8
 * net's own room judges those. */
static oct_status check_shapes(const oct_net *net, const char *where) {
    const oct_graph *g = net->graph;
    const oct_shape *x = &g->values[g->input].shape;
    if (x->rank < 1 || x->dim[0] != OCT_BATCH)
        return octi_fail(OCT_EFORMAT, where,
                         octi_fmt("%.200s: shape of the input", g->values[g->input].name),
                         "-1 (the batch) in front", oct_shape_text(x), NULL);
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        const oct_value *out = &g->values[n->out];
        oct_dtype dtype;
        oct_shape shape;
        if (shape_of(g, n, &dtype, &shape) != OCT_OK) return octi_fail_in(OCT_EFORMAT, where);
        if (dtype != out->dtype || !oct_shape_equal(&shape, &out->shape))
            return octi_fail(
                OCT_EFORMAT, where, octi_fmt("%.200s: output", n->name),
                octi_fmt("%s %s", oct_dtype_name(dtype), oct_shape_text(&shape)),
                octi_fmt("%s %s", oct_dtype_name(out->dtype), oct_shape_text(&out->shape)), NULL);
    }
    return OCT_OK;
}

static oct_status take_all(oct_net *net, const cJSON *root, const backing *b) {
    const char *path = b->where;
    int64_t format;
    const cJSON *list, *item;
    OCT_TRY(octi_json_int(root, "format", path, 1, 1, &format));
    OCT_TRY(part(net, root, "meta", path, octi_meta_from_json));
    OCT_TRY(octi_json_array_of(root, "tensors", MAX_TENSORS, path, &list));
    cJSON_ArrayForEach(item, list) OCT_TRY(take_tensor(net, item, b));
    OCT_TRY(part(net, root, "graph", path, octi_graph_from_json));
    if (net->stage == OCT_STAGE_PREPARED) net->hooks = &octi_qat_hooks;
    if (octi_net_judge(net) != OCT_OK) return octi_fail_in(OCT_EFORMAT, path);
    return net->stage == OCT_STAGE_INT8 ? OCT_OK : check_shapes(net, path);
}

oct_net *octi_graph_file_read(oct_ctx *ctx, const octi_folder *f, const octi_safetensors *weights,
                              const char *prefix) {
    char path[512]; /* for messages */
    snprintf(path, sizeof path, "%s/graph.json", octi_folder_path(f));
    uint8_t *bytes = NULL;
    size_t size;
    cJSON *root = NULL;
    oct_net *net = NULL;
    oct_status s = OCT_OK;
    if (octi_safetensors_count(weights) > MAX_STORED)
        s = octi_fail(OCT_ELIMIT, octi_folder_path(f), "tensors in the run's weights",
                      octi_fmt("at most %d", MAX_STORED),
                      octi_fmt("%d", octi_safetensors_count(weights)), NULL);
    if (s == OCT_OK) s = octi_file_read_in(f, "graph.json", 64 << 20, &bytes, &size);
    if (s == OCT_OK) s = octi_json_parse(ctx, bytes, size, path, &root);
    if (s == OCT_OK && !(net = octi_net_new(ctx, OCT_STAGE_FLOAT))) s = oct_last_error()->code;
    if (s == OCT_OK) s = take_all(net, root, &(backing){weights, prefix, path});
    octi_json_free(root);
    octi_free(ctx, bytes);
    if (s == OCT_OK) return net;
    oct_net_free(net);
    return NULL;
}
