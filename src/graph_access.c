/* SPDX-License-Identifier: MIT
 * What a graph, a node, a value and a quantizer tell whoever walks a net from outside. */
#include "src/graph.h"

int32_t oct_graph_node_count(const oct_graph *g) { return g ? g->node_count : 0; }
int32_t oct_graph_value_count(const oct_graph *g) { return g ? g->value_count : 0; }
int32_t oct_graph_quantizer_count(const oct_graph *g) { return g ? g->quantizer_count : 0; }
int32_t oct_graph_input(const oct_graph *g) { return g ? g->input : -1; }
int32_t oct_graph_output(const oct_graph *g) { return g ? g->output : -1; }

const oct_node *oct_graph_node(const oct_graph *g, int32_t i) {
    return i >= 0 && i < oct_graph_node_count(g) ? &g->nodes[i] : NULL;
}
const oct_value *oct_graph_value(const oct_graph *g, int32_t i) {
    return i >= 0 && i < oct_graph_value_count(g) ? &g->values[i] : NULL;
}
const oct_quantizer *oct_graph_quantizer(const oct_graph *g, int32_t i) {
    return i >= 0 && i < oct_graph_quantizer_count(g) ? &g->quantizers[i] : NULL;
}

const char *oct_node_name(const oct_node *n) { return n ? n->name : ""; }
oct_op_kind oct_node_kind(const oct_node *n) { return n ? n->kind : OCT_OP_KIND_COUNT; }
const oct_attrs *oct_node_attrs(const oct_node *n) { return n ? &n->attr : NULL; }
int32_t oct_node_input_count(const oct_node *n) { return n ? n->nin : 0; }
int32_t oct_node_input(const oct_node *n, int32_t k) {
    return k >= 0 && k < oct_node_input_count(n) ? n->in[k] : -1;
}
int32_t oct_node_output(const oct_node *n) { return n ? n->out : -1; }
oct_float_reason oct_node_float_reason(const oct_node *n) { return n ? n->reason : OCT_FLOAT_none; }

const char *oct_value_name(const oct_value *v) { return v ? v->name : ""; }
oct_value_role oct_value_role_of(const oct_value *v) { return v ? v->role : OCT_VALUE_INPUT; }
oct_dtype oct_value_dtype(const oct_value *v) { return v ? v->dtype : OCT_F32; }
const oct_shape *oct_value_shape(const oct_value *v) { return v ? &v->shape : NULL; }
oct_tensor *oct_value_tensor(const oct_value *v) { return v ? v->tensor : NULL; }
int32_t oct_value_quantizer(const oct_value *v) { return v ? v->quantizer : -1; }
int32_t oct_value_producer(const oct_value *v) { return v ? v->producer : -1; }
bool oct_value_frozen(const oct_value *v) { return v && v->frozen; }

const char *oct_quantizer_name(const oct_quantizer *q) { return q ? q->name : ""; }
oct_quantizer_role oct_quantizer_role_of(const oct_quantizer *q) {
    return q ? q->role : OCT_QUANTIZER_VALUES;
}
const oct_qspec *oct_quantizer_spec(const oct_quantizer *q) { return q ? &q->spec : NULL; }
const char *oct_quantizer_observer(const oct_quantizer *q) { return q ? q->observer : ""; }
oct_method oct_quantizer_method(const oct_quantizer *q) {
    return q ? q->method : OCT_METHOD_DEFAULT;
}
const oct_tensor *oct_quantizer_scale(const oct_quantizer *q) { return q ? q->scale : NULL; }
const oct_tensor *oct_quantizer_zero_point(const oct_quantizer *q) {
    return q ? q->zero_point : NULL;
}
const oct_tensor *oct_quantizer_min(const oct_quantizer *q) { return q ? q->min_val : NULL; }
const oct_tensor *oct_quantizer_max(const oct_quantizer *q) { return q ? q->max_val : NULL; }
