/* SPDX-License-Identifier: MIT
 * src/graph.h - the one graph: what a tape records, passes rewrite, files hold and plans are made
 * from.
 *
 * Values and nodes are kept in arrays and named by index. Nodes stand in execution order. A node
 * has one output. The batch size is symbolic (OCT_BATCH in dim[0]) in a captured graph and concrete
 * on a tape. */
#ifndef OCT_SRC_GRAPH_H
#define OCT_SRC_GRAPH_H

#include "qparams.h"
#include "tensor.h"

OCT_BEGIN_DECLS

typedef enum oct_op_kind {
#define OCT_OP(name, least, most, flags) OCT_OP_##name,
#include "op_kinds.def"
#undef OCT_OP
    OCT_OP_KIND_COUNT
} oct_op_kind;

enum oct_op_flags { OCT_OPF_F = 1, OCT_OPF_Q = 2, OCT_OPF_G = 4, OCT_OPF_B = 8 };

/** Activation fused behind an op (attr.act). */
typedef enum oct_act { OCT_ACT_NONE, OCT_ACT_RELU, OCT_ACT_RELU6 } oct_act;

/** Marks of PyTorch's eager mode on an identity (attr.stub). */
typedef enum oct_stub { OCT_STUB_NONE, OCT_STUB_QUANT, OCT_STUB_DEQUANT } oct_stub;

/** Attributes of every kind in one plain record; fields that a kind does not use are zero. */
typedef struct oct_attrs {
#define OCT_ATTR_I32(name, count) int32_t name[count];
#define OCT_ATTR_F32(name)        float name;
#include "attr_fields.def"
#undef OCT_ATTR_I32
#undef OCT_ATTR_F32
} oct_attrs;

typedef enum oct_value_role {
    OCT_VALUE_INPUT,
    OCT_VALUE_PARAM,  /* moved by gradients */
    OCT_VALUE_BUFFER, /* moved by the forward pass: batch-norm statistics */
    OCT_VALUE_CONST,  /* never moves: G3's weights, biases, multipliers, tables */
    OCT_VALUE_ACT     /* made by a node */
} oct_value_role;

typedef struct oct_value {
    /* unique in the graph: "conv1.weight", or the name of the node that makes it */
    const char *name;
    oct_value_role role;
    oct_dtype dtype;
    oct_shape shape;
    oct_tensor *tensor; /* PARAM, BUFFER, CONST; else NULL */
    int32_t quantizer;  /* index in the graph's quantizers, or -1: a float value */
    int32_t producer;   /* node, or -1 */
    bool frozen;        /* PARAM that training leaves alone */
} oct_value;

/** Why a node computes in floats (float_reasons.def); none: it is int8, or nobody decided yet. */
typedef enum oct_float_reason {
    OCT_FLOAT_none,
#define OCT_FLOAT_REASON(name, word, text) OCT_FLOAT_##name,
#include "float_reasons.def"
    OCT_FLOAT_REASONS
} oct_float_reason;

typedef struct oct_node {
    const char *name; /* PyTorch's module path; nameless ops "<scope>.add", "<scope>.add_1" */
    oct_op_kind kind;
    oct_attrs attr;
    int32_t nin;
    int32_t *in; /* value indices, -1 where absent */
    int32_t out;
    oct_float_reason reason; /* of nodes of prepared and int8 nets */
} oct_node;

/** How scales move in training: by the observer (EMA, and by default), or by gradients
 *  (methods.def; words "ema", "lsq", "lsq+", "pact"). */
typedef enum oct_method {
    OCT_METHOD_DEFAULT,
#define OCT_METHOD(value, word) OCT_METHOD_##value,
#include "methods.def"
    OCT_METHOD_COUNT
} oct_method;

/** Most tensors that one observer keeps. */
enum { OCT_OBSERVER_TENSORS = 4 };

typedef enum oct_quantizer_role {
    OCT_QUANTIZER_VALUES, /* of values that nodes make: observed or learned */
    OCT_QUANTIZER_WEIGHT, /* of one weight: its range is taken from it at each step */
    OCT_QUANTIZER_FIXED   /* of values on a grid that was given: never moves */
} oct_quantizer_role;

/** One set of qparams, shared by every value whose `quantizer` is its index (law 3). In G2 the
 *  observer's state goes with it; in G3 only scale and zero_point are set. All tensors are in the
 *  net's registry. */
typedef struct oct_quantizer {
    const char *name; /* of the value that owns it */
    oct_qspec spec;
    /* what chooses the range: of values "minmax", "ema", ...; of a weight "minmax", "mse"; "fixed";
     * "" in G3 */
    const char *observer;
    float averaging;   /* "ema": share of the new batch */
    float percentile;  /* "percentile": of the values that lie inside */
    oct_method method; /* 0: by the observer */
    /* straight-through mask: strictly inside the range, by the unrounded value; else by the code */
    bool strict;
#define OCT_QTENSOR(name, dtype) oct_tensor *name;
#include "quantizer_tensors.def"
    /* of an observer that keeps more than a range (qat/observe/observer.h) */
    oct_tensor *state[OCT_OBSERVER_TENSORS];
    int32_t state_count;
    uint8_t dirty; /* observed since the range was chosen; never in a file */
    oct_quantizer_role role;
} oct_quantizer;

typedef struct oct_graph {
    oct_ctx *ctx;
    struct octi_arena *arena; /* names, input lists */
    oct_node *nodes;
    oct_value *values;
    oct_quantizer *quantizers;
    int32_t node_count, value_count, quantizer_count;
    size_t node_cap, value_cap, quantizer_cap;
    int32_t input, output; /* values; -1 until set */
} oct_graph;

OCT_API const char *oct_op_name(oct_op_kind kind);
OCT_API unsigned oct_op_flags(oct_op_kind kind);
/** false where no kind has that name. */
OCT_API bool oct_op_from_name(const char *name, oct_op_kind *kind);
/** Word of a method, and the reverse (words.h). */
OCT_API const char *oct_method_name(oct_method v);
OCT_API OCT_NODISCARD oct_status oct_method_from_name(const char *word, oct_method *v);
/** Whether a quantizer's scales differ from channel to channel: int8 nets keep one for each also
 *  where all are the same. */
OCT_API bool oct_quantizer_is_per_channel(const oct_quantizer *q);
/** Node or value by name; -1 where absent. */
OCT_API int32_t oct_graph_find_node(const oct_graph *g, const char *name);
OCT_API int32_t oct_graph_find_value(const oct_graph *g, const char *name);

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "graph_own.h"
#endif

#endif
