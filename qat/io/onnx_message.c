/* SPDX-License-Identifier: MIT
 * ONNX in: bytes to messages. protobuf-c reads them into one arena, which may grow to what the
 * bytes present call for and no further; what the messages say of other files is refused here. */
#include <string.h>

#include "qat/io/onnx_in.h"
#include "src/format/foreign.h"
#include "src/mem.h"

/* Messages live as long as the reading: nothing is given back in between. */
typedef struct heap {
    octi_arena *arena;
    char *block; /* small ones share one */
    size_t left, budget;
} heap;

enum { BLOCK = 16384, UNIT = 16 };

static void *heap_take(void *data, size_t size) {
    heap *h = data;
    const size_t n = (size + UNIT - 1) / UNIT * UNIT;
    if (n < size || n > h->budget) return NULL;
    h->budget -= n;
    if (n > BLOCK / 8) return octi_arena_alloc(h->arena, n);
    if (n > h->left) {
        h->block = octi_arena_alloc(h->arena, BLOCK);
        h->left = h->block ? BLOCK : 0;
        if (!h->block) return NULL;
    }
    h->left -= n;
    h->block += n;
    return h->block - n;
}

static void heap_give(void *data, void *p) {
    (void)data;
    (void)p;
}

static oct_status malformed(const octi_onnx *o, const char *what, const char *expected,
                            const char *got, const char *hint) {
    return octi_fail(OCT_EFORMAT, o->where, what, expected, got, hint);
}

/* Opsets of this range mean the same by the ops of onnx_ops.def, but for what their readers tell
 * apart. */
enum { FIRST_OPSET = 7, LAST_OPSET = 25 };

static bool is_onnx_domain(const char *domain) {
    return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

static oct_status check_opset(octi_onnx *o) {
    const OctiOnnx__ModelProto *m = o->model;
    bool found = false;
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const OctiOnnx__OperatorSetIdProto *id = m->opset_import[i];
        if (!is_onnx_domain(id->domain)) continue;
        if (found)
            return malformed(o, "opset is named twice", NULL, NULL,
                             octi_onnx_cure(OCTI_CURE_RULES, NULL));
        found = true;
        o->opset = id->version;
    }
    if (!found)
        return malformed(o, "no opset", "opset_import of domain ai.onnx", NULL,
                         octi_onnx_cure(OCTI_CURE_RULES, NULL));
    if (o->opset >= FIRST_OPSET && o->opset <= LAST_OPSET) return OCT_OK;
    return octi_fail(OCT_EUNSUPPORTED, o->where, "opset",
                     octi_fmt("%d to %d", FIRST_OPSET, LAST_OPSET),
                     octi_fmt("%lld", (long long)o->opset), octi_onnx_cure(OCTI_CURE_OPSET, NULL));
}

static bool is_external(const OctiOnnx__TensorProto *t) {
    return t && (t->n_external_data ||
                 (t->has_data_location &&
                  t->data_location == OCTI_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL));
}

/* A file that names others is a way out of its folder: octet never follows. */
static oct_status check_external(octi_onnx *o) {
    const OctiOnnx__TensorProto *first = NULL;
    int64_t count = 0;
    for (size_t i = 0; i < o->graph->n_initializer; i++)
        if (is_external(o->graph->initializer[i])) {
            first = first ? first : o->graph->initializer[i];
            count++;
        }
    for (size_t i = 0; i < o->graph->n_node; i++)
        for (size_t k = 0; k < o->graph->node[i]->n_attribute; k++) {
            const OctiOnnx__TensorProto *t = o->graph->node[i]->attribute[k]->t;
            first = !first && is_external(t) ? t : first;
            count += is_external(t);
        }
    if (!first) return OCT_OK;
    return octi_fail(OCT_EUNSUPPORTED, o->where, "tensors lie in other files (external data)",
                     "one file",
                     octi_fmt("%s%s", octi_onnx_word(first->name),
                              count > 1 ? octi_fmt(" and %lld more", (long long)count - 1) : ""),
                     octi_onnx_cure(OCTI_CURE_EXTERNAL, NULL));
}

static oct_status check(octi_onnx *o) {
    if (!o->model->graph)
        return malformed(o, "no graph", "an ONNX model", NULL, "is this an ONNX file?");
    o->graph = o->model->graph;
    if (o->graph->n_node > OCTI_ONNX_NODES)
        return octi_fail(OCT_ELIMIT, o->where, "nodes", octi_fmt("at most %d", OCTI_ONNX_NODES),
                         octi_fmt("%zu", o->graph->n_node), octi_onnx_cure(OCTI_CURE_LIMIT, NULL));
    OCT_TRY(check_opset(o));
    if (o->graph->n_sparse_initializer)
        return octi_fail(OCT_EUNSUPPORTED, o->where, "sparse initializers", "dense ones", NULL,
                         octi_onnx_cure(OCTI_CURE_SPARSE, NULL));
    return check_external(o);
}

oct_status octi_onnx_unpack(octi_onnx *o, const uint8_t *bytes, size_t size) {
    size_t budget;
    o->bytes = size;
    if (!octi_mul_size(size, 12, &budget) || !octi_add_size(budget, (size_t)16 << 20, &budget))
        return octi_fail(OCT_ELIMIT, o->where, "file is too large", NULL, NULL,
                         octi_onnx_cure(OCTI_CURE_LIMIT, NULL));
    heap h = {.arena = o->arena, .budget = budget};
    ProtobufCAllocator take = {heap_take, heap_give, &h};
    oct_clear_error();
    o->model = octi_onnx__model_proto__unpack(&take, size, bytes);
    if (o->model) return check(o);
    const oct_status s = oct_last_error()->code;
    if (s == OCT_ENOMEM || s == OCT_ELIMIT) return s;
    return malformed(o,
                     octi_is_onnx(bytes, size) ? "this is an ONNX model, but cut off or damaged"
                                               : "bytes are no ONNX model",
                     "a protobuf message of onnx.ModelProto",
                     h.budget < 4096 ? "messages larger than the file calls for" : NULL,
                     "octet inspect FILE says what other files are");
}
