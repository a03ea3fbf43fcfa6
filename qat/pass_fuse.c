/* SPDX-License-Identifier: MIT
 * G0 -> G1: a chain of nodes becomes its first one, with attributes. A link of a chain must be read by the next link alone
 * and must not be the net's output. */
#include "qat/qat.h"
#include "qat/rewrite.h"
#include "src/mem.h"

/* The one node that reads v, or -1. */
static int32_t only_reader(const oct_graph *g, int32_t v) {
    int32_t reader = -1;
    return v != g->output && octi_graph_consumers(g, v, &reader) == 1 ? reader : -1;
}

static oct_act act_of(oct_op_kind k) { return k == OCT_OP_relu ? OCT_ACT_RELU : k == OCT_OP_relu6 ? OCT_ACT_RELU6 : OCT_ACT_NONE; }

static bool takes_act(const oct_node *n) {
    return (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear || n->kind == OCT_OP_add) && !n->attr.act[0];
}

/* Rewrite node i with what follows it; marks absorbed nodes and maps the chain's last value. */
static oct_status fuse_chain(octi_rewrite *r, int32_t i, bool *absorbed) {
    const oct_graph *g = r->from->graph;
    const oct_node *n = &g->nodes[i];
    oct_attrs attr = n->attr;
    int32_t in[64], nin = n->nin, last = n->out;
    for (int32_t k = 0; k < nin; k++)
        if ((in[k] = octi_rewrite_value(r, n->in[k])) == -2) return oct_last_error()->code;
    int32_t next = only_reader(g, last);
    if (n->kind == OCT_OP_conv2d && !attr.bn[0] && !attr.act[0] && next >= 0 && g->nodes[next].kind == OCT_OP_batch_norm &&
        g->nodes[next].in[0] == last) {
        const oct_node *bn = &g->nodes[next];
        if (nin == 2) in[nin++] = -1;
        for (int k = 1; k < 5; k++)
            if ((in[nin++] = octi_rewrite_value(r, bn->in[k])) == -2) return oct_last_error()->code;
        attr.bn[0] = 1;
        attr.eps = bn->attr.eps;
        attr.momentum = bn->attr.momentum;
        absorbed[next] = true;
        last = bn->out;
        next = only_reader(g, last);
    }
    if (takes_act(n) && next >= 0 && act_of(g->nodes[next].kind)) {
        attr.act[0] = act_of(g->nodes[next].kind);
        absorbed[next] = true;
        last = g->nodes[next].out;
    }
    const oct_value *out = &g->values[last];
    int32_t made = octi_graph_add_node(r->to->graph, n->kind, n->name, &attr, in, nin, out->dtype, out->shape);
    if (made < 0) return oct_last_error()->code;
    r->map[last] = r->to->graph->nodes[made].out;
    return OCT_OK;
}

oct_net *oct_fuse(const oct_net *net) {
    if (!net) return NULL;
    if (net->stage > OCT_STAGE_FUSED) return octi_fail(OCT_EUSAGE, "oct_fuse", "net is quantized", "a float net", NULL, NULL), NULL;
    const oct_graph *g = net->graph;
    octi_rewrite r;
    oct_status s = octi_rewrite_begin(&r, net, OCT_STAGE_FUSED, true);
    bool *absorbed = octi_calloc(net->ctx, (size_t)g->node_count + 1, sizeof *absorbed);
    if (s == OCT_OK && !absorbed) s = oct_last_error()->code;
    if (s == OCT_OK && octi_rewrite_value(&r, g->input) < 0) s = oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++)
        if (!absorbed[i]) s = fuse_chain(&r, i, absorbed);
    octi_free(net->ctx, absorbed);
    int32_t output = s == OCT_OK ? r.map[g->output] : -1;
    return octi_rewrite_end(&r, s, output);
}
