/* SPDX-License-Identifier: MIT
 * qat/io/onnx_build.h - an ONNX model under construction: nodes, initializers and values with
 * names that are unique and valid UTF-8, then bytes.
 *
 * The first failure stays in `status`; what follows it does nothing and gives NULL. All memory is
 * the builder's arena. */
#ifndef OCT_QAT_IO_ONNX_BUILD_H
#define OCT_QAT_IO_ONNX_BUILD_H

#include "qat/io/onnx.pb-c.h"
#include "src/name_index.h"
#include "src/tensor.h"

typedef struct octi_onnxw_list { /* of pointers */
    void **at;
    size_t count, cap;
} octi_onnxw_list;

typedef struct octi_onnxw {
    octi_arena *arena;
    oct_status status;
    octi_onnxw_list nodes, initializers, values, meta;
    octi_name_index value_names, node_names; /* taken */
    OctiOnnx__NodeProto *node;               /* the last one: attributes go to it */
    octi_onnxw_list attributes;              /* of it */
    OctiOnnx__ValueInfoProto *input, *output;
} octi_onnxw;

enum {
    OCTI_ONNX_F32 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    OCTI_ONNX_F16 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16,
    OCTI_ONNX_U8 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    OCTI_ONNX_S8 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
    OCTI_ONNX_S32 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
    OCTI_ONNX_S64 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
    OCTI_ONNX_OPSET =
        13,          /* the first whose DequantizeLinear has an axis: what reads it is oldest */
    OCTI_ONNX_IR = 7 /* the IR of its release */
};

/** The arena stays the caller's. */
void octi_onnxw_begin(octi_onnxw *b, octi_arena *arena);

/** A name for a value, made of what is wished: what is no UTF-8 becomes '_', and a name that is
 *  taken gets a number. */
const char *octi_onnxw_value_name(octi_onnxw *b, const char *wish);
/** The type of octet's; 0 where ONNX has no use for it here. */
int octi_onnxw_type(oct_dtype t);

/** A constant under a name of octi_onnxw_value_name; data is copied. shape as it lies in the
 *  file. */
void octi_onnxw_constant(octi_onnxw *b, const char *name, int type, const oct_shape *shape,
                         const void *data);

/** A node whose output has a name of octi_onnxw_value_name, and is described in value_info.
 *  in[k] may be "": absent. Gives `out`. */
const char *octi_onnxw_node(octi_onnxw *b, const char *op, const char *name, const char *const *in,
                            int nin, const char *out, int type, const oct_shape *shape);
/** One more output of the last node, not described. */
void octi_onnxw_more_output(octi_onnxw *b, const char *out);
/** Attributes of the last node. */
void octi_onnxw_int(octi_onnxw *b, const char *name, int64_t v);
void octi_onnxw_float(octi_onnxw *b, const char *name, float v);
void octi_onnxw_ints(octi_onnxw *b, const char *name, const int64_t *v, int n);

void octi_onnxw_input(octi_onnxw *b, const char *name, int type, const oct_shape *shape);
void octi_onnxw_output(octi_onnxw *b, const char *name, int type, const oct_shape *shape);
/** A pair of metadata_props; both are copied. */
void octi_onnxw_meta(octi_onnxw *b, const char *key, const char *value);

/** The file's bytes, in new memory of the context (octi_free). */
oct_status octi_onnxw_pack(octi_onnxw *b, const char *graph_name, uint8_t **bytes, size_t *size);

#endif
