/* SPDX-License-Identifier: MIT
 * G0 -> G1: a chain of nodes becomes its first one, with attributes. A link of a chain must be read
 * by the next link alone and must not be the net's output. */
#include <string.h>

#include "qat/passes/passes.h"
#include "qat/passes/rewrite.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

/* The one node that reads v, or -1; of a value on a given grid none: what it is rounded to cannot
 * be seen from outside a fused node. */
static int32_t only_reader(const oct_graph *g, int32_t v) {
    int32_t reader = -1;
    return v != g->output && g->values[v].quantizer < 0 && octi_graph_consumers(g, v, &reader) == 1
               ? reader
               : -1;
}

static oct_act act_of(oct_op_kind k) {
    return k == OCT_OP_relu ? OCT_ACT_RELU : k == OCT_OP_relu6 ? OCT_ACT_RELU6 : OCT_ACT_NONE;
}

static bool takes_act(const oct_node *n) {
    bool kind = n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear || n->kind == OCT_OP_add ||
                n->kind == OCT_OP_batch_norm;
    return kind && !n->attr.act[0];
}
static bool takes_bn(const oct_node *n) {
    return (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear) && !n->attr.bn[0] &&
           !n->attr.act[0];
}

/* A chain that the caller named: "conv1,bn1,relu1". lists NULL: every chain. */
typedef struct chain {
    const char *rest; /* behind the link that was taken last; NULL: nothing is named */
    bool all;
} chain;

static chain chain_of(const char *const *lists, int32_t count, const char *name) {
    size_t n = strlen(name);
    for (int32_t i = 0; i < count; i++)
        if (!strncmp(lists[i], name, n) && (lists[i][n] == ',' || !lists[i][n]))
            return (chain){lists[i] + n, false};
    return (chain){NULL, lists == NULL};
}

/* May the chain go on with this node? Then it is taken off the list. */
static bool goes_on(chain *c, const char *name) {
    if (c->all) return true;
    size_t n = strlen(name);
    if (!c->rest || *c->rest != ',' || strncmp(c->rest + 1, name, n) ||
        (c->rest[n + 1] != ',' && c->rest[n + 1]))
        return false;
    c->rest += n + 1;
    return true;
}

/* A link of a list that the node's chain does not have. */
static oct_status not_behind(const oct_graph *g, const oct_node *n, int32_t next,
                             const char *link) {
    const char *name = octi_fmt("%.*s", (int)strcspn(link, ","), link), *hint = NULL;
    if (oct_graph_find_node(g, name) < 0)
        hint = octi_graph_meant(g, name, "octet inspect lists the names");
    else if (n->attr.act[0])
        hint = octi_fmt("%s has its ReLU already, as add_relu does", n->name);
    return octi_fail(OCT_EUSAGE, name, octi_fmt("cannot be fused behind %s", n->name),
                     "conv or linear, bn, relu; bn, relu; add, relu: each read by the next alone",
                     oct_graph_find_node(g, name) < 0 ? "no module of the net"
                     : next < 0                       ? "a value that others read"
                                                      : oct_op_name(g->nodes[next].kind),
                     hint);
}

/* Given codes of weights go through the fold with their signs turned; -128 has no other sign. */
static bool turns_codes(const oct_graph *g, const oct_node *n, const oct_node *bn) {
    const oct_value *w = &g->values[n->in[1]], *gamma = octi_node_in(g, bn, 1);
    if (!gamma || w->quantizer < 0 || g->quantizers[w->quantizer].spec.qmin > -128) return false;
    for (int64_t c = 0; c < oct_tensor_count(gamma->tensor); c++)
        if (oct_f32(gamma->tensor)[c] < 0) return true;
    return false;
}

/* Grids that were given with the net go on with its values. */
static oct_status keep_given(octi_rewrite *r) {
    const oct_graph *g = r->from->graph;
    for (int32_t i = 0; i < g->quantizer_count; i++)
        if (octi_graph_add_quantizer(r->to->graph, &g->quantizers[i]) < 0)
            return oct_last_error()->code;
    for (int32_t v = 0; v < g->value_count; v++)
        if (r->map[v] >= 0) r->to->graph->values[r->map[v]].quantizer = g->values[v].quantizer;
    return OCT_OK;
}

/* Rewrite node i with what follows it; marks absorbed nodes and maps the chain's last value. */
static oct_status fuse_chain(octi_rewrite *r, int32_t i, bool *absorbed, chain c) {
    const oct_graph *g = r->from->graph;
    const oct_node *n = &g->nodes[i];
    oct_attrs attr = n->attr;
    int32_t in[64], nin = n->nin, last = n->out;
    for (int32_t k = 0; k < nin; k++)
        if ((in[k] = octi_rewrite_value(r, n->in[k])) == -2) return oct_last_error()->code;
    int32_t next = only_reader(g, last);
    if (takes_bn(n) && next >= 0 && g->nodes[next].kind == OCT_OP_batch_norm &&
        g->nodes[next].in[0] == last && !turns_codes(g, n, &g->nodes[next]) &&
        goes_on(&c, g->nodes[next].name)) {
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
    if (takes_act(n) && next >= 0 && act_of(g->nodes[next].kind) &&
        goes_on(&c, g->nodes[next].name)) {
        attr.act[0] = act_of(g->nodes[next].kind);
        absorbed[next] = true;
        last = g->nodes[next].out;
    }
    if (c.rest && *c.rest) return not_behind(g, n, next, c.rest + 1);
    const oct_value *out = &g->values[last];
    int32_t made =
        octi_graph_add_node(r->to->graph, n->kind, n->name, &attr, in, nin, out->dtype, out->shape);
    if (made < 0) return oct_last_error()->code;
    r->map[last] = r->to->graph->nodes[made].out;
    return OCT_OK;
}

/* Every list must begin with a node. */
static oct_status check_lists(const oct_graph *g, const char *const *lists, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        bool found = false;
        for (int32_t k = 0; lists[i] && k < g->node_count; k++)
            found |= chain_of(&lists[i], 1, g->nodes[k].name).rest != NULL;
        if (found) continue;
        if (!lists[i]) return octi_fail_null("oct_fuse_modules");
        const char *name = octi_fmt("%.*s", (int)strcspn(lists[i], ","), lists[i]);
        return octi_fail(OCT_EUSAGE, "oct_fuse_modules", "list begins with no module of the net",
                         "names such as conv1,bn1,relu", lists[i],
                         octi_graph_meant(g, name, "octet inspect lists the names"));
    }
    return OCT_OK;
}

static oct_net *fuse(const oct_net *net, const char *const *lists, int32_t count) {
    if (!net) return NULL;
    if (net->stage > OCT_STAGE_FUSED)
        return octi_fail(OCT_EUSAGE, "oct_fuse", "net is quantized", "a float net", NULL, NULL),
               NULL;
    const oct_graph *g = net->graph;
    octi_rewrite r;
    oct_status s = octi_rewrite_begin(&r, net, OCT_STAGE_FUSED, true);
    bool *absorbed = octi_calloc(net->ctx, (size_t)g->node_count + 1, sizeof *absorbed);
    if (s == OCT_OK && !absorbed) s = oct_last_error()->code;
    if (s == OCT_OK && lists) s = check_lists(g, lists, count);
    if (s == OCT_OK && octi_rewrite_value(&r, g->input) < 0) s = oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < g->node_count; i++)
        if (!absorbed[i]) s = fuse_chain(&r, i, absorbed, chain_of(lists, count, g->nodes[i].name));
    if (s == OCT_OK) s = keep_given(&r);
    octi_free(net->ctx, absorbed);
    if (s == OCT_OK && net->stage == OCT_STAGE_FLOAT) r.to->made_from = octi_net_crc(net);
    int32_t output = s == OCT_OK ? r.map[g->output] : -1;
    return octi_rewrite_end(&r, s, output);
}

oct_net *oct_fuse(const oct_net *net) {
    OCTI_LAW_MODE();
    return fuse(net, NULL, 0);
}

oct_net *oct_fuse_modules(const oct_net *net, const char *const *lists, int32_t count) {
    OCTI_LAW_MODE();
    if (net && (!lists || count < 1))
        return octi_fail(OCT_EUSAGE, "oct_fuse_modules", "no lists", "at least one", NULL, NULL),
               octi_ctx_failed(net->ctx), NULL;
    return fuse(net, lists, count);
}
