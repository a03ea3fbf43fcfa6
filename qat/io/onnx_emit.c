/* SPDX-License-Identifier: MIT
 * ONNX in: nodes of the net, made in a scratch graph; and the net, which is what of that graph its
 * output needs. */
#include <string.h>

#include "ops/ops.h"
#include "qat/io/onnx_in.h"
#include "src/mem.h"

/* "base", or "base_1", "base_2", ... where it was given away; NULL on failure. */
static const char *free_name(octi_onnx *o, const char *base) {
    const char *name = octi_arena_strdup(o->arena, base);
    octi_onnx_value *first = name ? octi_onnx_table_named(&o->names, o->arena, name) : NULL;
    for (octi_onnx_value *v = first; v; v = octi_onnx_table_named(&o->names, o->arena, name)) {
        if (v->readers == 0) return v->readers = 1, name;
        name = octi_arena_strdup(o->arena, octi_fmt("%.480s_%d", first->name, first->readers++));
        if (!name) break;
    }
    return NULL;
}

const char *octi_onnx_name(const octi_onnx_node *n, const char *suffix) {
    return free_name(n->o, suffix ? octi_fmt("%s.%s", n->path, suffix) : n->path);
}

static oct_status check_room(const octi_onnx *o) {
    if (o->to->value_count < OCTI_ONNX_VALUES) return OCT_OK;
    return octi_fail(OCT_ELIMIT, o->where, "values of the net",
                     octi_fmt("at most %d", OCTI_ONNX_VALUES), NULL,
                     octi_onnx_cure(OCTI_CURE_LIMIT, NULL));
}

int32_t octi_onnx_param(octi_onnx *o, const char *node, const char *suffix, oct_value_role role,
                        oct_shape shape) {
    if (check_room(o) != OCT_OK) return -1;
    const char *name = free_name(o, octi_fmt("%s.%s", node, suffix));
    oct_tensor *t = name ? oct_tensor_new(o->ctx, OCT_F32, shape) : NULL;
    const int32_t v = t ? octi_graph_add_value(o->to, name, role, OCT_F32, shape, t) : -1;
    oct_tensor_unref(t);
    return v;
}

oct_status octi_onnx_emit(const octi_onnx_node *n, oct_op_kind kind, const char *name,
                          const oct_attrs *a, const int32_t *in, int nin, int32_t *out) {
    oct_graph *g = n->o->to;
    const oct_value *v[OCTI_ONNX_ARGS];
    static const oct_attrs none;
    oct_dtype dtype;
    oct_shape shape;
    if (!name) return oct_last_error()->code;
    OCT_TRY(check_room(n->o));
    for (int k = 0; k < nin; k++) v[k] = in[k] < 0 ? NULL : &g->values[in[k]];
    if (oct_infer_shape(kind, a ? a : &none, v, nin, name, &dtype, &shape) != OCT_OK)
        return octi_onnx_refuse_last(n);
    const int32_t at = octi_graph_add_node(g, kind, name, a, in, nin, dtype, shape);
    if (at < 0) return oct_last_error()->code;
    *out = g->nodes[at].out;
    return OCT_OK;
}

oct_node *octi_onnx_producer(const octi_onnx *o, int32_t v) {
    const int32_t p = v < 0 ? -1 : o->to->values[v].producer;
    return p < 0 ? NULL : &o->to->nodes[p];
}

/* One of octet's values under two of ONNX's names: who asks for its readers must see both's. */
oct_status octi_onnx_like(octi_onnx_node *n, int k, const octi_onnx_place *x, int32_t v) {
    if (k >= n->nout || !n->out[k]) return OCT_OK;
    octi_onnx_value *y = n->out[k];
    y->state = OCTI_ONNX_ACT;
    y->at = *x;
    y->at.v = v;
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && n->in[i]->state == OCTI_ONNX_ACT && n->in[i]->at.v == v)
            y->alias = n->in[i];
    return OCT_OK;
}

oct_status octi_onnx_unary(octi_onnx_node *n, oct_op_kind kind, const oct_attrs *a) {
    const octi_onnx_value *x;
    int32_t v;
    OCT_TRY(octi_onnx_act(n, 0, &x));
    OCT_TRY(octi_onnx_emit(n, kind, octi_onnx_name(n, NULL), a, &x->at.v, 1, &v));
    return octi_onnx_like(n, 0, &x->at, v);
}

/* ---- the net ---- */

static oct_status keep_value(oct_net *net, const oct_value *x, int32_t *to) {
    *to = octi_graph_add_value(net->graph, x->name, x->role, x->dtype, x->shape, x->tensor);
    if (*to < 0) return oct_last_error()->code;
    net->graph->values[*to].frozen = x->frozen;
    if (x->role == OCT_VALUE_INPUT) return OCT_OK;
    return octi_net_register(
        net, x->name, x->role == OCT_VALUE_PARAM ? OCT_ROLE_PARAM : OCT_ROLE_BUFFER, x->tensor);
}

oct_status octi_onnx_keep(octi_onnx *o, oct_net *net) {
    const oct_graph *g = o->to;
    const int32_t output = o->output->at.v, input = o->input->at.v;
    bool *live = octi_arena_calloc(o->arena, (size_t)g->value_count, sizeof *live);
    int32_t *map = octi_arena_calloc(o->arena, (size_t)g->value_count, sizeof *map);
    if (!live || !map) return oct_last_error()->code;
    live[output] = live[input] = true;
    for (int32_t i = g->node_count - 1; i >= 0; i--)
        for (int32_t k = 0; live[g->nodes[i].out] && k < g->nodes[i].nin; k++)
            if (g->nodes[i].in[k] >= 0) live[g->nodes[i].in[k]] = true;
    for (int32_t v = 0; v < g->value_count; v++)
        if (live[v] && g->values[v].producer < 0) OCT_TRY(keep_value(net, &g->values[v], &map[v]));
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!live[n->out]) continue;
        int32_t in[OCTI_ONNX_ARGS];
        for (int32_t k = 0; k < n->nin; k++) in[k] = n->in[k] < 0 ? -1 : map[n->in[k]];
        const oct_value *y = &g->values[n->out];
        const int32_t at = octi_graph_add_node(net->graph, n->kind, n->name, &n->attr, in, n->nin,
                                               y->dtype, y->shape);
        if (at < 0) return oct_last_error()->code;
        map[n->out] = net->graph->nodes[at].out;
    }
    net->graph->input = map[input];
    net->graph->output = map[output];
    for (int32_t v = 0; o->marks && v < g->value_count; v++) {
        const oct_quantizer *q =
            live[v] && octi_onnx_grid_holds(o, v) ? octi_onnx_grid_of(o, v) : NULL;
        if (q &&
            (net->graph->values[map[v]].quantizer = octi_graph_add_quantizer(net->graph, q)) < 0)
            return oct_last_error()->code;
    }
    return OCT_OK;
}
