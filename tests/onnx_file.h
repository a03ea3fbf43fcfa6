/* SPDX-License-Identifier: MIT
 * tests/onnx_file.h - ONNX files made by hand, with the schema's own writer: one at a time, in `f`.
 */
#ifndef OCT_TESTS_ONNX_FILE_H
#define OCT_TESTS_ONNX_FILE_H

#include "qat/io/import.h"
#include "qat/io/onnx_in.h"
#include "tests/oct_test.h"

enum { MOST = 24 };

typedef OctiOnnx__AttributeProto attribute;

typedef struct file {
    OctiOnnx__ModelProto m;
    OctiOnnx__GraphProto g;
    OctiOnnx__OperatorSetIdProto opset, *opsets[1];
    OctiOnnx__ValueInfoProto io[4], *in[2], *out[2];
    OctiOnnx__TypeProto type[4];
    OctiOnnx__TypeProto__Tensor tensor_type[4];
    OctiOnnx__TensorShapeProto shape[4];
    OctiOnnx__TensorShapeProto__Dimension dim[4][4], *dims[4][4];
    OctiOnnx__NodeProto node[MOST], *nodes[MOST];
    attribute attr[MOST], *attrs[MOST];
    OctiOnnx__TensorProto init[MOST], *inits[MOST];
    int64_t sides[MOST][4], numbers[MOST][4];
    char *names[MOST][4], *made[MOST][1];
    int ios, attrs_used;
} file;

static file f;
static oct_ctx *ctx;

static inline OctiOnnx__ValueInfoProto *info(const char *name, int rank, const int64_t *side) {
    const int k = f.ios++;
    octi_onnx__value_info_proto__init(&f.io[k]);
    octi_onnx__type_proto__init(&f.type[k]);
    octi_onnx__type_proto__tensor__init(&f.tensor_type[k]);
    octi_onnx__tensor_shape_proto__init(&f.shape[k]);
    for (int a = 0; a < rank; a++) {
        octi_onnx__tensor_shape_proto__dimension__init(f.dims[k][a] = &f.dim[k][a]);
        f.dim[k][a].value_case = side[a] > 0
                                     ? OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                     : OCTI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (side[a] > 0)
            f.dim[k][a].dim_value = side[a];
        else
            f.dim[k][a].dim_param = (char *)"n";
    }
    f.shape[k].dim = f.dims[k];
    f.shape[k].n_dim = (size_t)rank;
    f.tensor_type[k].shape = &f.shape[k];
    f.tensor_type[k].elem_type = 1;
    f.tensor_type[k].has_elem_type = 1;
    f.type[k].tensor_type = &f.tensor_type[k];
    f.io[k].type = &f.type[k];
    f.io[k].name = (char *)name;
    return &f.io[k];
}

/* A net from x [N,c,h,w] to y. */
static inline void begin(int64_t c, int64_t h, int64_t w) {
    memset(&f, 0, sizeof f);
    octi_onnx__model_proto__init(&f.m);
    octi_onnx__graph_proto__init(&f.g);
    octi_onnx__operator_set_id_proto__init(&f.opset);
    f.opset.has_version = 1;
    f.opset.version = 13;
    f.opsets[0] = &f.opset;
    f.m.opset_import = f.opsets;
    f.m.n_opset_import = 1;
    f.m.has_ir_version = 1;
    f.m.ir_version = 8;
    f.m.graph = &f.g;
    f.in[0] = info("x", 4, (int64_t[]){0, c, h, w});
    f.out[0] = info("y", 0, NULL);
    f.g.input = f.in;
    f.g.output = f.out;
    f.g.n_input = f.g.n_output = 1;
    f.g.node = f.nodes;
    f.g.initializer = f.inits;
}

static inline OctiOnnx__NodeProto *node(const char *op, const char *a, const char *b,
                                        const char *y) {
    const size_t k = f.g.n_node++;
    ck_assert_uint_lt(k, MOST);
    OctiOnnx__NodeProto *n = f.nodes[k] = &f.node[k];
    octi_onnx__node_proto__init(n);
    n->op_type = (char *)op;
    n->name = (char *)y;
    f.names[k][0] = (char *)a;
    f.names[k][1] = (char *)b;
    f.made[k][0] = (char *)y;
    n->input = f.names[k];
    n->n_input = b ? 2 : a ? 1 : 0;
    n->output = f.made[k];
    n->n_output = 1;
    return n;
}

static inline attribute *attr(OctiOnnx__NodeProto *n, const char *name) {
    const int k = f.attrs_used++;
    ck_assert_int_lt(k, MOST);
    attribute *a = f.attrs[k] = &f.attr[k];
    octi_onnx__attribute_proto__init(a);
    a->name = (char *)name;
    if (!n->n_attribute) n->attribute = &f.attrs[k]; /* of one node, one behind the other */
    n->n_attribute++;
    a->has_type = 1;
    return a;
}

static inline void ints(OctiOnnx__NodeProto *n, const char *name, int count, const int64_t *v) {
    const int k = f.attrs_used;
    attribute *a = attr(n, name);
    memcpy(f.numbers[k], v, sizeof *v * (size_t)count);
    a->type = OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    a->ints = f.numbers[k];
    a->n_ints = (size_t)count;
}

static inline OctiOnnx__TensorProto *init(const char *name, int type, int rank, const int64_t *side,
                                          const void *data, size_t bytes) {
    const size_t k = f.g.n_initializer++;
    OctiOnnx__TensorProto *t = f.inits[k] = &f.init[k];
    octi_onnx__tensor_proto__init(t);
    t->name = (char *)name;
    t->has_data_type = 1;
    t->data_type = type;
    memcpy(f.sides[k], side, sizeof *side * (size_t)rank);
    t->dims = f.sides[k];
    t->n_dims = (size_t)rank;
    t->has_raw_data = 1;
    t->raw_data.data = (uint8_t *)data;
    t->raw_data.len = bytes;
    return t;
}

static inline oct_net *import(const oct_import_onnx_opts *opts) {
    const size_t size = octi_onnx__model_proto__get_packed_size(&f.m);
    uint8_t *bytes = malloc(size + 1);
    ck_assert(bytes != NULL);
    octi_onnx__model_proto__pack(&f.m, bytes);
    oct_clear_error();
    oct_net *net = oct_import_onnx_memory(ctx, bytes, size, opts);
    free(bytes);
    return net;
}

#endif
