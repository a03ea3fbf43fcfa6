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

/** Why a node computes in floats (float_reasons.def); none: it is int8, or nobody decided yet. */
typedef enum oct_float_reason {
    OCT_FLOAT_none,
#define OCT_FLOAT_REASON(name, word, text) OCT_FLOAT_##name,
#include "float_reasons.def"
    OCT_FLOAT_REASONS
} oct_float_reason;

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

/** A graph and what it holds are read by the functions below; passes and files make them. All that
 *  they give is borrowed from the graph. Of NULL: NULL, "", 0, -1 or false. */
typedef struct oct_graph oct_graph;
typedef struct oct_node oct_node;
typedef struct oct_value oct_value;
typedef struct oct_quantizer oct_quantizer;

OCT_API const char *oct_op_name(oct_op_kind kind);
OCT_API unsigned oct_op_flags(oct_op_kind kind);
/** false where no kind has that name. */
OCT_API bool oct_op_from_name(const char *name, oct_op_kind *kind);
/** Word of a method, and the reverse (words.h). */
OCT_API const char *oct_method_name(oct_method v);
OCT_API OCT_NODISCARD oct_status oct_method_from_name(const char *word, oct_method *v);
/** Node or value by name; -1 where absent. */
OCT_API int32_t oct_graph_find_node(const oct_graph *g, const char *name);
OCT_API int32_t oct_graph_find_value(const oct_graph *g, const char *name);

/** Nodes stand in execution order, 0 to count - 1; NULL for any other index. */
OCT_API int32_t oct_graph_node_count(const oct_graph *g);
OCT_API const oct_node *oct_graph_node(const oct_graph *g, int32_t i);
OCT_API int32_t oct_graph_value_count(const oct_graph *g);
OCT_API const oct_value *oct_graph_value(const oct_graph *g, int32_t i);
OCT_API int32_t oct_graph_quantizer_count(const oct_graph *g);
OCT_API const oct_quantizer *oct_graph_quantizer(const oct_graph *g, int32_t i);
/** Index of the value that the net is given, and of the one that it gives; -1 until set. */
OCT_API int32_t oct_graph_input(const oct_graph *g);
OCT_API int32_t oct_graph_output(const oct_graph *g);

/** PyTorch's module path; of nameless ops "<scope>.add", "<scope>.add_1". */
OCT_API const char *oct_node_name(const oct_node *n);
/** OCT_OP_KIND_COUNT for NULL. */
OCT_API oct_op_kind oct_node_kind(const oct_node *n);
OCT_API const oct_attrs *oct_node_attrs(const oct_node *n);
OCT_API int32_t oct_node_input_count(const oct_node *n);
/** Index of the k-th value that it reads (x, weight, bias, ...); -1 where absent. */
OCT_API int32_t oct_node_input(const oct_node *n, int32_t k);
/** Index of the value that it makes. */
OCT_API int32_t oct_node_output(const oct_node *n);
/** Of nodes of prepared and int8 nets. */
OCT_API oct_float_reason oct_node_float_reason(const oct_node *n);

/** Unique in the graph: "conv1.weight", or the name of the node that makes it. */
OCT_API const char *oct_value_name(const oct_value *v);
OCT_API oct_value_role oct_value_role_of(const oct_value *v);
OCT_API oct_dtype oct_value_dtype(const oct_value *v);
OCT_API const oct_shape *oct_value_shape(const oct_value *v);
/** Of parameters, buffers and constants; else NULL. */
OCT_API oct_tensor *oct_value_tensor(const oct_value *v);
/** Index of its quantizer; -1: a float value. */
OCT_API int32_t oct_value_quantizer(const oct_value *v);
/** Index of the node that makes it; -1: none. */
OCT_API int32_t oct_value_producer(const oct_value *v);
/** A parameter that training leaves alone. */
OCT_API bool oct_value_frozen(const oct_value *v);

/* One set of qparams, shared by every value whose quantizer it is (law 3). */

/** Name of the value that owns it. */
OCT_API const char *oct_quantizer_name(const oct_quantizer *q);
OCT_API oct_quantizer_role oct_quantizer_role_of(const oct_quantizer *q);
OCT_API const oct_qspec *oct_quantizer_spec(const oct_quantizer *q);
/** What chooses the range: of values "minmax", "ema", ... (qat/scales/observer.h); of a weight
 *  "minmax", "mse"; "fixed"; "" in int8 nets. */
OCT_API const char *oct_quantizer_observer(const oct_quantizer *q);
/** DEFAULT where the observer moves the scale. */
OCT_API oct_method oct_quantizer_method(const oct_quantizer *q);
/** f32 and s32, [1] or one for each channel. */
OCT_API const oct_tensor *oct_quantizer_scale(const oct_quantizer *q);
OCT_API const oct_tensor *oct_quantizer_zero_point(const oct_quantizer *q);
/** Range so far, f32 of the same shape, min > max where nothing was observed; NULL in int8 nets. */
OCT_API const oct_tensor *oct_quantizer_min(const oct_quantizer *q);
OCT_API const oct_tensor *oct_quantizer_max(const oct_quantizer *q);
/** Whether a quantizer's scales differ from channel to channel: int8 nets keep one for each also
 *  where all are the same. */
OCT_API bool oct_quantizer_is_per_channel(const oct_quantizer *q);

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "graph_own.h"
#endif

#endif
