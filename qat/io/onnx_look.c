/* SPDX-License-Identifier: MIT
 * ONNX: what a file holds, without importing it. */
#include "qat/io/onnx_look.h"

#include <stdio.h>
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/mem.h"

enum { OPS = 64, TEXT = 1000 };

typedef struct op_count {
    const char *op;
    int64_t nodes;
} op_count;

/* "Conv 20, Relu 16, Gelu 2 (not taken)" */
static const char *list_ops(octi_arena *a, const OctiOnnx__GraphProto *g) {
    op_count ops[OPS];
    int count = 0;
    int64_t others = 0;
    char text[TEXT] = "", one[128];
    for (size_t i = 0; i < g->n_node; i++) {
        const char *op = octi_onnx_word(g->node[i]->op_type);
        int k = 0;
        while (k < count && strcmp(ops[k].op, op)) k++;
        if (k == OPS) {
            others++;
            continue;
        }
        if (k == count) {
            ops[count++] = (op_count){.op = octi_arena_strdup(a, op)};
            if (!ops[k].op) return NULL;
        }
        ops[k].nodes++;
    }
    for (int k = 0; k < count; k++) {
        snprintf(one, sizeof one, "%s%s %lld%s", k ? ", " : "", ops[k].op, (long long)ops[k].nodes,
                 octi_onnx_row_of(ops[k].op) ? "" : " (not taken)");
        if (strlen(text) + strlen(one) + 32 < sizeof text)
            memcpy(text + strlen(text), one, strlen(one) + 1);
        else
            others += ops[k].nodes;
    }
    if (others)
        snprintf(text + strlen(text), sizeof text - strlen(text), " and %lld more nodes",
                 (long long)others);
    return octi_arena_strdup(a, text);
}

/* "x float32 [N, 3, 224, 224]", of the first of a list; a side of any name is N, of no size ?. */
static const char *tell_value(octi_arena *a, OctiOnnx__ValueInfoProto *const *list, size_t count) {
    if (!count) return "none";
    const OctiOnnx__ValueInfoProto *v = list[0];
    const OctiOnnx__TypeProto__Tensor *t = v->type ? v->type->tensor_type : NULL;
    char text[200];
    size_t used = (size_t)snprintf(text, sizeof text, "%s %s", octi_onnx_word(v->name),
                                   octi_onnx_elem_word(t ? t->elem_type : -1));
    for (size_t k = 0; t && t->shape && k < t->shape->n_dim && used < sizeof text - 40; k++) {
        const OctiOnnx__TensorShapeProto__Dimension *d = t->shape->dim[k];
        const char *between = k ? ", " : " [";
        if (d->value_case == OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", between,
                                     (long long)d->dim_value);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%s?", between);
    }
    snprintf(text + used, sizeof text - used, "%s%s", t && t->shape && t->shape->n_dim ? "]" : "",
             count > 1 ? octi_fmt(" and %zu more", count - 1) : "");
    return octi_arena_strdup(a, text);
}

static oct_status look(const octi_onnx *o, octi_arena *a, octi_onnx_sight *s) {
    const OctiOnnx__GraphProto *g = o->graph;
    s->tensors = octi_arena_calloc(a, g->n_initializer + 1, sizeof *s->tensors);
    if (!s->tensors) return oct_last_error()->code;
    for (size_t i = 0; i < g->n_initializer; i++) {
        const OctiOnnx__TensorProto *t = g->initializer[i];
        struct octi_onnx_seen *to = &s->tensors[s->tensor_count++];
        to->name = octi_arena_strdup(a, octi_onnx_word(t->name));
        to->dtype = octi_onnx_elem_word(t->data_type);
        for (size_t k = 0; k < t->n_dims && k < OCT_MAX_RANK; k++)
            to->shape.dim[to->shape.rank++] = t->dims[k];
        if (!to->name) return oct_last_error()->code;
    }
    s->opset = o->opset;
    s->ops = list_ops(a, g);
    const char *by = o->model->producer_name, *version = o->model->producer_version;
    s->producer =
        octi_arena_strdup(a, octi_fmt("%s%s%s", by && *by ? octi_onnx_word(by) : "unknown",
                                      version && *version ? " " : "",
                                      version && *version ? octi_onnx_word(version) : ""));
    s->input = tell_value(a, g->input, g->n_input);
    s->output = tell_value(a, g->output, g->n_output);
    return s->ops && s->producer && s->input && s->output ? OCT_OK : oct_last_error()->code;
}

oct_status octi_onnx_look(oct_ctx *ctx, octi_arena *a, const uint8_t *bytes, size_t size,
                          const char *where, octi_onnx_sight *s) {
    octi_onnx *o = octi_alloc(ctx, sizeof *o);
    if (!o) return oct_last_error()->code;
    *o = (octi_onnx){.ctx = ctx, .where = where, .arena = octi_arena_new_kept(ctx)};
    *s = (octi_onnx_sight){.opset = 0};
    oct_status st = o->arena ? octi_onnx_unpack(o, bytes, size) : oct_last_error()->code;
    if (st == OCT_OK) st = look(o, a, s);
    octi_arena_free(o->arena);
    octi_free(ctx, o);
    return st;
}
