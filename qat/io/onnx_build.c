/* SPDX-License-Identifier: MIT
 * ONNX's messages, filled one by one; names kept unique and readable. */
#include "qat/io/onnx_build.h"

#include <stdio.h>
#include <string.h>

#include "src/mem.h"
#include "src/words.h"

void octi_onnxw_begin(octi_onnxw *b, octi_arena *arena) {
    *b = (octi_onnxw){.arena = arena, .status = OCT_OK};
}

static void *take(octi_onnxw *b, size_t bytes) {
    if (b->status != OCT_OK) return NULL;
    void *p = octi_arena_alloc(b->arena, bytes + 1);
    if (!p)
        b->status = oct_last_error()->code;
    else
        memset(p, 0, bytes + 1);
    return p;
}

static char *copy(octi_onnxw *b, const char *s) {
    const size_t n = strlen(s);
    char *p = take(b, n);
    if (p) memcpy(p, s, n);
    return p;
}

static void push(octi_onnxw *b, octi_onnxw_list *l, void *item) {
    if (b->status != OCT_OK) return;
    if (l->count == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 8;
        void **at = take(b, cap * sizeof *at);
        if (!at) return;
        if (l->count) memcpy(at, l->at, l->count * sizeof *at);
        l->at = at;
        l->cap = cap;
    }
    l->at[l->count++] = item;
}

/* ---- names ---- */

/* Bytes of the UTF-8 character at p; 0 where there is none. */
static int character(const unsigned char *p) {
    if (*p < 0x80) return *p >= 0x20 && *p != 0x7f;
    const int n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    uint32_t c = *p & (0xff >> (n + 1));
    if (*p < 0xc2 || *p > 0xf4) return 0;
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

/* lines: a text, whose lines stay; else a name. */
static char *readable(octi_onnxw *b, const char *s, bool lines) {
    char *p = copy(b, *s ? s : "_");
    for (char *at = p; at && *at;) {
        const int n = character((const unsigned char *)at);
        if (!n && !(lines && *at == '\n')) *at = '_';
        at += n ? n : 1;
    }
    return p;
}

static const char *unique(octi_onnxw *b, octi_name_index *taken, const char *wish) {
    if (b->status != OCT_OK || !wish) return NULL;
    const char *base = readable(b, wish, false), *name = base;
    for (int i = 2; name && octi_name_find(taken, name) >= 0; i++) {
        char *next = take(b, strlen(base) + 16);
        if (next) snprintf(next, strlen(base) + 16, "%s_%d", base, i);
        name = next;
    }
    if (name) b->status = octi_name_put(taken, b->arena, name, 0);
    return b->status == OCT_OK ? name : NULL;
}

const char *octi_onnxw_value_name(octi_onnxw *b, const char *wish) {
    return unique(b, &b->value_names, wish);
}

/* ---- values ---- */

int octi_onnxw_type(oct_dtype t) {
    static const int types[OCT_DTYPE_COUNT] = {
        [OCT_F32] = OCTI_ONNX_F32, [OCT_F16] = OCTI_ONNX_F16, [OCT_U8] = OCTI_ONNX_U8,
        [OCT_S8] = OCTI_ONNX_S8,   [OCT_S32] = OCTI_ONNX_S32, [OCT_S64] = OCTI_ONNX_S64};
    return types[t];
}

static size_t size_of(int type) {
    static const size_t sizes[] = {
        [OCTI_ONNX_F32] = 4, [OCTI_ONNX_F16] = 2, [OCTI_ONNX_U8] = 1,
        [OCTI_ONNX_S8] = 1,  [OCTI_ONNX_S32] = 4, [OCTI_ONNX_S64] = 8,
    };
    return sizes[type];
}

static OctiOnnx__ValueInfoProto *described(octi_onnxw *b, const char *name, int type,
                                           const oct_shape *shape) {
    OctiOnnx__ValueInfoProto *v = take(b, sizeof *v);
    OctiOnnx__TypeProto *t = take(b, sizeof *t);
    OctiOnnx__TypeProto__Tensor *tensor = take(b, sizeof *tensor);
    OctiOnnx__TensorShapeProto *s = take(b, sizeof *s);
    if (!s || !name) return NULL;
    octi_onnx__value_info_proto__init(v);
    octi_onnx__type_proto__init(t);
    octi_onnx__type_proto__tensor__init(tensor);
    octi_onnx__tensor_shape_proto__init(s);
    v->name = (char *)name;
    v->type = t;
    t->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = type;
    tensor->shape = s;
    octi_onnxw_list dims = {NULL, 0, 0};
    for (int i = 0; i < shape->rank; i++) {
        OctiOnnx__TensorShapeProto__Dimension *d = take(b, sizeof *d);
        if (!d) return NULL;
        octi_onnx__tensor_shape_proto__dimension__init(d);
        const bool batch = shape->dim[i] == OCT_BATCH;
        d->value_case = batch ? OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                              : OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (batch)
            d->dim_param = copy(b, "N");
        else
            d->dim_value = shape->dim[i];
        push(b, &dims, d);
    }
    s->n_dim = dims.count;
    s->dim = (OctiOnnx__TensorShapeProto__Dimension **)dims.at;
    return v;
}

void octi_onnxw_constant(octi_onnxw *b, const char *name, int type, const oct_shape *shape,
                         const void *data) {
    const size_t bytes = (size_t)oct_shape_count(shape) * size_of(type);
    OctiOnnx__TensorProto *t = take(b, sizeof *t);
    int64_t *dims = take(b, sizeof shape->dim);
    uint8_t *own = take(b, bytes);
    if (!own || !name) return;
    octi_onnx__tensor_proto__init(t);
    memcpy(dims, shape->dim, sizeof shape->dim);
    memcpy(own, data, bytes);
    t->n_dims = (size_t)shape->rank;
    t->dims = dims;
    t->has_data_type = 1;
    t->data_type = type;
    t->name = (char *)name;
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){bytes, own};
    push(b, &b->initializers, t);
}

/* ---- nodes ---- */

static void end_node(octi_onnxw *b) {
    if (!b->node) return;
    b->node->n_attribute = b->attributes.count;
    b->node->attribute = (OctiOnnx__AttributeProto **)b->attributes.at;
    b->attributes = (octi_onnxw_list){NULL, 0, 0};
    b->node = NULL;
}

const char *octi_onnxw_node(octi_onnxw *b, const char *op, const char *name, const char *const *in,
                            int nin, const char *out, int type, const oct_shape *shape) {
    end_node(b);
    OctiOnnx__NodeProto *n = take(b, sizeof *n);
    char **inputs = take(b, (size_t)nin * sizeof *inputs), **outputs = take(b, 4 * sizeof *outputs);
    if (!outputs || !out) return NULL;
    octi_onnx__node_proto__init(n);
    n->name = (char *)unique(b, &b->node_names, name);
    n->op_type = copy(b, op);
    for (int i = 0; i < nin; i++) inputs[i] = (char *)in[i];
    outputs[0] = (char *)out;
    n->n_input = (size_t)nin;
    n->input = inputs;
    n->n_output = 1;
    n->output = outputs;
    push(b, &b->nodes, n);
    push(b, &b->values, described(b, out, type, shape));
    b->node = n;
    return b->status == OCT_OK ? out : NULL;
}

void octi_onnxw_more_output(octi_onnxw *b, const char *out) {
    if (b->status == OCT_OK && b->node && b->node->n_output < 4)
        b->node->output[b->node->n_output++] = (char *)out;
}

static OctiOnnx__AttributeProto *attribute(octi_onnxw *b, const char *name,
                                           OctiOnnx__AttributeProto__AttributeType type) {
    OctiOnnx__AttributeProto *a = take(b, sizeof *a);
    if (!a) return NULL;
    octi_onnx__attribute_proto__init(a);
    a->name = copy(b, name);
    a->has_type = 1;
    a->type = type;
    push(b, &b->attributes, a);
    return a;
}

void octi_onnxw_int(octi_onnxw *b, const char *name, int64_t v) {
    OctiOnnx__AttributeProto *a =
        attribute(b, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a) return;
    a->has_i = 1;
    a->i = v;
}

void octi_onnxw_float(octi_onnxw *b, const char *name, float v) {
    OctiOnnx__AttributeProto *a =
        attribute(b, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a) return;
    a->has_f = 1;
    a->f = v;
}

void octi_onnxw_ints(octi_onnxw *b, const char *name, const int64_t *v, int n) {
    OctiOnnx__AttributeProto *a =
        attribute(b, name, OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *own = take(b, (size_t)n * sizeof *own);
    if (!own) return;
    memcpy(own, v, (size_t)n * sizeof *own);
    a->n_ints = (size_t)n;
    a->ints = own;
}

/* ---- the model ---- */

void octi_onnxw_input(octi_onnxw *b, const char *name, int type, const oct_shape *shape) {
    b->input = described(b, name, type, shape);
}

void octi_onnxw_output(octi_onnxw *b, const char *name, int type, const oct_shape *shape) {
    b->output = described(b, name, type, shape);
}

void octi_onnxw_meta(octi_onnxw *b, const char *key, const char *value) {
    OctiOnnx__StringStringEntryProto *e = take(b, sizeof *e);
    char *k = copy(b, key), *v = readable(b, value, true);
    if (!v) return;
    octi_onnx__string_string_entry_proto__init(e);
    e->key = k;
    e->value = v;
    push(b, &b->meta, e);
}

/* What a graph's output describes does not stand among the inner values as well. */
static void drop_output(octi_onnxw *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->values.count; i++) {
        const OctiOnnx__ValueInfoProto *v = b->values.at[i];
        if (strcmp(v->name, b->output->name)) b->values.at[n++] = b->values.at[i];
    }
    b->values.count = n;
}

oct_status octi_onnxw_pack(octi_onnxw *b, const char *graph_name, uint8_t **bytes, size_t *size) {
    end_node(b);
    if (b->status != OCT_OK) return b->status;
    drop_output(b);
    OctiOnnx__GraphProto g = OCTI_ONNX__GRAPH_PROTO__INIT;
    OctiOnnx__ModelProto m = OCTI_ONNX__MODEL_PROTO__INIT;
    OctiOnnx__OperatorSetIdProto opset = OCTI_ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets = &opset;
    opset.domain = "";
    opset.has_version = 1;
    opset.version = OCTI_ONNX_OPSET;
    g.name = readable(b, graph_name, false);
    g.n_node = b->nodes.count;
    g.node = (OctiOnnx__NodeProto **)b->nodes.at;
    g.n_initializer = b->initializers.count;
    g.initializer = (OctiOnnx__TensorProto **)b->initializers.at;
    g.n_value_info = b->values.count;
    g.value_info = (OctiOnnx__ValueInfoProto **)b->values.at;
    g.n_input = g.n_output = 1;
    g.input = &b->input;
    g.output = &b->output;
    m.has_ir_version = 1;
    m.ir_version = OCTI_ONNX_IR;
    m.producer_name = "octet";
    m.producer_version = (char *)oct_version();
    m.graph = &g;
    m.n_opset_import = 1;
    m.opset_import = &sets;
    m.n_metadata_props = b->meta.count;
    m.metadata_props = (OctiOnnx__StringStringEntryProto **)b->meta.at;
    if (b->status != OCT_OK) return b->status;
    *size = octi_onnx__model_proto__get_packed_size(&m);
    if (*size > (size_t)INT32_MAX) /* protobuf's own limit */
        return octi_fail(OCT_ELIMIT, "onnx", "model is too large", "below 2 GiB",
                         octi_fmt("%zu bytes", *size), NULL);
    octi_arena *a = b->arena;
    if (!(*bytes = octi_alloc_raw(octi_arena_ctx(a), *size + 1))) return oct_last_error()->code;
    octi_onnx__model_proto__pack(&m, *bytes);
    return OCT_OK;
}
