/* SPDX-License-Identifier: MIT
 * src/graph_own.h - the graph: what the library's own files have of it.
 * Comes with graph.h where the library is built; never installed. */
#ifndef OCT_SRC_GRAPH_OWN_H
#define OCT_SRC_GRAPH_OWN_H

#include "arena.h"
#include "graph.h"
#include "words.h"

extern const octi_words octi_method_words;

struct oct_value {
    /* unique in the graph: "conv1.weight", or the name of the node that makes it */
    const char *name;
    oct_value_role role;
    oct_dtype dtype;
    oct_shape shape;
    oct_tensor *tensor; /* PARAM, BUFFER, CONST; else NULL */
    int32_t quantizer;  /* index in the graph's quantizers, or -1: a float value */
    int32_t producer;   /* node, or -1 */
    bool frozen;        /* PARAM that training leaves alone */
};

struct oct_node {
    const char *name; /* PyTorch's module path; nameless ops "<scope>.add", "<scope>.add_1" */
    oct_op_kind kind;
    oct_attrs attr;
    int32_t nin;
    int32_t *in; /* value indices, -1 where absent */
    int32_t out;
    oct_float_reason reason; /* of nodes of prepared and int8 nets */
};

/** One set of qparams, shared by every value whose `quantizer` is its index (law 3). In G2 the
 *  observer's state goes with it; in G3 only scale and zero_point are set. All tensors are in the
 *  net's registry. */
struct oct_quantizer {
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
    /* of an observer that keeps more than a range (qat/scales/observer.h) */
    oct_tensor *state[OCT_OBSERVER_TENSORS];
    int32_t state_count;
    uint8_t dirty; /* observed since the range was chosen; never in a file */
    oct_quantizer_role role;
};

struct oct_graph {
    oct_ctx *ctx;
    struct octi_arena *arena; /* names, input lists */
    oct_node *nodes;
    oct_value *values;
    oct_quantizer *quantizers;
    int32_t node_count, value_count, quantizer_count;
    size_t node_cap, value_cap, quantizer_cap;
    int32_t input, output; /* values; -1 until set */
};

/** Hint for a name that no node has: "did you mean conv1?", or `otherwise` where none is near. */
const char *octi_graph_meant(const oct_graph *g, const char *name, const char *otherwise);
/** Longest name of a value or node, so that what is made of it
 *  ("<name>.activation_post_process.zero_point") fits octi_fmt. */
enum { OCTI_MAX_NAME = 511 };
oct_graph *octi_graph_new(oct_ctx *ctx);
/** Drops its references to tensors too. */
void octi_graph_free(oct_graph *g);
/** Empty it, keep the memory. */
void octi_graph_reset(oct_graph *g);
/** Forget what was added behind so many nodes and values; names: the arena when they were all. For
 *  graphs without quantizers. */
void octi_graph_cut_back(oct_graph *g, int32_t nodes, int32_t values, octi_arena_mark names);
/** Append a value (name copied, one reference to `tensor` taken); its index, or -1 (recorded:
 *  OCT_ELIMIT for a name beyond OCTI_MAX_NAME). */
int32_t octi_graph_add_value(oct_graph *g, const char *name, oct_value_role role, oct_dtype dtype,
                             oct_shape shape, oct_tensor *tensor);
/** Append a node whose output is a new ACT value of the node's name; the node's index, or -1
 *  (recorded). `in` is copied. */
int32_t octi_graph_add_node(oct_graph *g, oct_op_kind kind, const char *name, const oct_attrs *attr,
                            const int32_t *in, int32_t nin, oct_dtype dtype, oct_shape shape);
/** Append a quantizer (strings copied, references taken); its index, or -1 (recorded). */
int32_t octi_graph_add_quantizer(oct_graph *g, const oct_quantizer *q);
/** Input k of a node, NULL where absent. */
static inline oct_value *octi_node_in(const oct_graph *g, const oct_node *n, int k) {
    return k < n->nin && n->in[k] >= 0 ? &g->values[n->in[k]] : NULL;
}
/** Whether a node's batch norm, alone or fused, rests: gamma and beta are both frozen. It uses its
 *  running statistics in training too, and nothing moves them. */
bool octi_batch_norm_rests(const oct_graph *g, const oct_node *n);
/** Number of nodes that read a value, and one of them. */
int32_t octi_graph_consumers(const oct_graph *g, int32_t value, int32_t *one);
/** Structure as a pass must leave it: indices in range, order topological, names unique, counts of
 *  inputs right, shapes as ops infer them are checked in ops. OCT_EINTERNAL names the node. */
oct_status octi_graph_verify(const oct_graph *g);

#endif
