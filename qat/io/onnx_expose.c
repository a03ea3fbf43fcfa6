/* SPDX-License-Identifier: MIT
 * An ONNX file as it is: its values by name, and the same file with more of them as outputs, so
 * that another program shows what its layers make. */
#include <string.h>

#include "qat/io/export.h"
#include "qat/io/onnx_in.h"
#include "src/float_mode.h"
#include "src/format/bytes.h"
#include "src/format/files.h"
#include "src/format/graph_json.h"
#include "src/mem.h"
#include "src/words.h"

static bool is_constant(const OctiOnnx__GraphProto *g, const char *name) {
    for (size_t i = 0; i < g->n_initializer; i++)
        if (g->initializer[i]->name && !strcmp(g->initializer[i]->name, name)) return true;
    return false;
}

static oct_shape shape_of(const OctiOnnx__ValueInfoProto *v) {
    const OctiOnnx__TypeProto__Tensor *t = v->type ? v->type->tensor_type : NULL;
    oct_shape s = {.rank = 0};
    for (size_t i = 0; t && t->shape && i < t->shape->n_dim && s.rank < OCT_MAX_RANK; i++) {
        const OctiOnnx__TensorShapeProto__Dimension *d = t->shape->dim[i];
        const bool open =
            d->value_case != OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ||
            d->dim_value < 1 || d->dim_value > INT32_MAX;
        s.dim[s.rank++] = open ? OCT_BATCH : d->dim_value;
    }
    return s;
}

/* What octet's own files say of their input. */
static oct_status read_desc(oct_onnx_file *f, const OctiOnnx__ModelProto *m) {
    for (size_t i = 0; i < m->n_metadata_props; i++) {
        const OctiOnnx__StringStringEntryProto *e = m->metadata_props[i];
        if (!e->key || !e->value) continue;
        if (!strcmp(e->key, "octet.codes")) f->by_multipliers = !strcmp(e->value, "by multipliers");
        if (strcmp(e->key, "octet")) continue;
        /* another program's words are no failure of the file */
        OCT_TRY(octi_excuse(
            octi_desc_from_json(f->ctx, e->value, strlen(e->value), "octet", &f->desc)));
    }
    return OCT_OK;
}

static oct_status read_file(oct_onnx_file *f, const char *path) {
    octi_onnx *o = octi_alloc(f->ctx, sizeof *o);
    if (!o) return oct_last_error()->code;
    *o = (octi_onnx){.ctx = f->ctx, .arena = f->own, .where = path};
    const oct_status s = octi_onnx_unpack(o, f->bytes, f->size);
    const OctiOnnx__ModelProto *m = o->model;
    octi_free(f->ctx, o);
    if (s != OCT_OK) return s;
    const OctiOnnx__GraphProto *g = m->graph;
    for (size_t i = 0; i < g->n_input && !f->input; i++)
        if (g->input[i]->name && !is_constant(g, g->input[i]->name)) {
            f->input = g->input[i]->name;
            f->shape = shape_of(g->input[i]);
        }
    f->output = g->n_output ? g->output[0]->name : NULL;
    if (!f->input || !f->output)
        return octi_fail(OCT_EFORMAT, path, "no input, or no output", "a graph with both", NULL,
                         NULL);
    size_t count = 0;
    for (size_t i = 0; i < g->n_node; i++) count += g->node[i]->n_output;
    f->values = octi_arena_calloc(f->own, count + 1, sizeof *f->values);
    if (!f->values) return oct_last_error()->code;
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            if (g->node[i]->output[k] && *g->node[i]->output[k])
                f->values[f->value_count++] = g->node[i]->output[k];
    return read_desc(f, m);
}

oct_onnx_file *oct_onnx_open(oct_ctx *ctx, const char *path) {
    OCTI_LAW_MODE();
    if (!ctx || !path) return NULL;
    oct_onnx_file *f = octi_alloc(ctx, sizeof *f);
    uint8_t *bytes = NULL;
    oct_status s = f ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK) {
        f->ctx = ctx;
        s = octi_file_read(ctx, path, 0, &bytes, &f->size);
        f->bytes = bytes;
    }
    if (s == OCT_OK) s = (f->own = octi_arena_new(ctx)) ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK) s = read_file(f, path);
    if (s == OCT_OK) return f;
    octi_ctx_failed(ctx);
    oct_onnx_close(f);
    return NULL;
}

void oct_onnx_close(oct_onnx_file *f) {
    if (!f) return;
    octi_arena_free(f->own);
    octi_free(f->ctx, (void *)(uintptr_t)f->bytes);
    octi_free(f->ctx, f);
}

/* Messages behind each other are one: a repeated field has what stands in both. */
oct_status oct_onnx_expose(const oct_onnx_file *f, const int32_t *values, int32_t count,
                           const char *path) {
    OCTI_LAW_MODE();
    if (!f || (!values && count > 0) || !path) return octi_fail_null("oct_onnx_expose");
    if (count < 0 || count > f->value_count)
        return octi_fail(OCT_EUSAGE, path, "number of values", octi_fmt("0 to %d", f->value_count),
                         octi_fmt("%d", count), NULL);
    OctiOnnx__ValueInfoProto *infos = octi_calloc(f->ctx, (size_t)count + 1, sizeof *infos),
                             **list = octi_calloc(f->ctx, (size_t)count + 1, sizeof *list);
    OctiOnnx__GraphProto g = OCTI_ONNX__GRAPH_PROTO__INIT;
    OctiOnnx__ModelProto m = OCTI_ONNX__MODEL_PROTO__INIT;
    oct_status s = infos && list ? OCT_OK : oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < count; i++) {
        if (values[i] < 0 || values[i] >= f->value_count) {
            s = octi_fail(OCT_EUSAGE, path, "no such value", octi_fmt("below %d", f->value_count),
                          octi_fmt("%d", values[i]), NULL);
            break;
        }
        if (!strcmp(f->values[values[i]], f->output)) continue;
        octi_onnx__value_info_proto__init(&infos[i]);
        infos[i].name = (char *)(uintptr_t)f->values[values[i]];
        list[g.n_output++] = &infos[i];
    }
    g.output = list;
    m.graph = &g;
    const size_t more = s == OCT_OK ? octi_onnx__model_proto__get_packed_size(&m) : 0;
    uint8_t *bytes = s == OCT_OK ? octi_alloc_raw(f->ctx, f->size + more + 1) : NULL;
    if (s == OCT_OK && !bytes) s = oct_last_error()->code;
    if (s == OCT_OK) {
        memcpy(bytes, f->bytes, f->size);
        octi_onnx__model_proto__pack(&m, bytes + f->size);
        s = octi_file_save(f->ctx, path, bytes, f->size + more);
    }
    octi_free(f->ctx, bytes);
    octi_free(f->ctx, list);
    octi_free(f->ctx, infos);
    return s;
}
