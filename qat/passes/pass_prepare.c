/* SPDX-License-Identifier: MIT
 * G1 -> G2. In three steps: which nodes become int8 (backend.def); the same graph with quantize and
 * dequantize at float borders; quantizers, one per class of values that share a grid (union-find),
 * and one per weight. */
#include <string.h>

#include "qat/net/prepared.h"
#include "qat/passes/given_grids.h"
#include "qat/passes/make_quantizers.h"
#include "qat/passes/passes.h"
#include "qat/passes/rewrite.h"
#include "qat/rules/reasons.h"
#include "qat/step/hooks.h"
#include "src/float_mode.h"
#include "src/mem.h"

typedef struct prepare_state {
    octi_rewrite r;          /* map: the float form of a value */
    int32_t *codes;          /* [from values]: its quantized form in `to`, -1 */
    bool *int8;              /* [from nodes] */
    oct_float_reason reason; /* of the node at hand */
    /* the first of the net's marks: what is not between them stays float; NULL: none */
    const char *stubs;
    bool *between;   /* [from values]: behind a QuantStub */
    int32_t *parent; /* [to values]: union-find over quantized values; -1: float value */
    size_t parent_cap;
    int32_t *given; /* [from values]: grid that came with the net, -1; NULL: it has none */
    int32_t *mark;  /* [to values]: the same, of values with codes and of weights */
    size_t mark_cap;
    const octi_target *target;
    const oct_qconfig *config;
    octi_qrules rules;
} prepare_state;

/* ---- which nodes ---- */

/* Values between stubs. An op with some inputs inside and some outside belongs inside: its other
 * inputs are quantized there. Where no QuantStub is at all, a DeQuantStub alone says that all in
 * front of it is meant: it was forgotten behind the input. */
static oct_status find_stubs(prepare_state *p, const oct_graph *g) {
    if (!(p->between = octi_calloc(p->r.from->ctx, (size_t)g->value_count, sizeof *p->between)))
        return oct_last_error()->code;
    bool quant = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        quant |= n->attr.stub[0] == OCT_STUB_QUANT;
        if (n->attr.stub[0] && !p->stubs) p->stubs = n->name;
    }
    p->between[g->input] = p->stubs && !quant;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        bool inside = n->attr.stub[0] == OCT_STUB_QUANT;
        for (int32_t k = 0; k < n->nin; k++) inside |= n->in[k] >= 0 && p->between[n->in[k]];
        p->between[n->out] = inside && n->attr.stub[0] != OCT_STUB_DEQUANT;
    }
    return OCT_OK;
}

/* ---- the graph with borders ---- */

/* The older value leads its class, so classes are named by their first value. */
static void unite(prepare_state *p, int32_t a, int32_t b) {
    a = octi_class_of(p->parent, a);
    b = octi_class_of(p->parent, b);
    if (a < b)
        p->parent[b] = a;
    else
        p->parent[a] = b;
}

static oct_status list_values(prepare_state *p, int32_t **list, size_t *cap) {
    const size_t old = *cap;
    OCT_TRY(
        octi_reserve(p->r.to->ctx, (void **)list, cap, p->r.to->graph->value_cap, sizeof **list));
    for (size_t i = old; i < *cap; i++) (*list)[i] = -1;
    return OCT_OK;
}

static oct_status set_mark(prepare_state *p, int32_t v, int32_t mark) {
    OCT_TRY(list_values(p, &p->mark, &p->mark_cap));
    p->mark[v] = mark;
    return OCT_OK;
}

/* mark: the grid that it was given, -1. */
static oct_status set_quantized(prepare_state *p, int32_t v, int32_t mark) {
    OCT_TRY(list_values(p, &p->parent, &p->parent_cap));
    p->parent[v] = v;
    return set_mark(p, v, mark);
}
static int32_t given_of(const prepare_state *p, int32_t v) { return p->given ? p->given[v] : -1; }

/* A node of kind quantize or dequantize; name NULL: after its input. */
static int32_t border(prepare_state *p, oct_op_kind kind, int32_t from, const char *name) {
    oct_graph *to = p->r.to->graph;
    const oct_value x = to->values[from];
    if (!name && p->stubs)
        octi_log(to->ctx, OCT_LOG_INFO, "%s: %s behind it: a %s was put in", x.name,
                 kind == OCT_OP_quantize ? "codes are wanted" : "floats are wanted",
                 kind == OCT_OP_quantize ? "QuantStub" : "DeQuantStub");
    const oct_attrs attr = {.law = {kind == OCT_OP_quantize ? (int32_t)p->target->law : 0}};
    int32_t n =
        octi_graph_add_node(to, kind, name ? name : octi_fmt("%s.%s", x.name, oct_op_name(kind)),
                            &attr, &from, 1, OCT_F32, x.shape);
    return n < 0 ? -2 : to->nodes[n].out;
}

/* Quantized form of a value of the old graph; made by a border where only the float form is
 * there. */
static int32_t want_codes(prepare_state *p, int32_t v) {
    if (p->codes[v] >= 0) return p->codes[v];
    int32_t f = octi_rewrite_value(&p->r, v);
    int32_t q = f < 0 ? -2 : border(p, OCT_OP_quantize, f, NULL);
    if (q < 0 || set_quantized(p, q, given_of(p, v)) != OCT_OK) return -2;
    return p->codes[v] = q;
}

static int32_t want_float(prepare_state *p, int32_t v) {
    if (v < 0 || p->r.map[v] >= 0 || p->codes[v] < 0) return octi_rewrite_value(&p->r, v);
    int32_t f = border(p, OCT_OP_dequantize, p->codes[v], NULL);
    return f < 0 ? -2 : (p->r.map[v] = f);
}

/* A parameter that another node has already: a second value around the same tensor, since qparams
 * belong to values. */
static int32_t own_weight(prepare_state *p, const oct_node *n, int32_t v) {
    int32_t w = octi_rewrite_value(&p->r, v);
    if (w < 0) return w;
    oct_graph *to = p->r.to->graph;
    if (!octi_graph_consumers(to, w, NULL)) return w;
    oct_value x = to->values[w];
    int32_t again = octi_graph_add_value(to, octi_fmt("%s.weight", n->name), x.role, x.dtype,
                                         x.shape, x.tensor);
    return again < 0 ? -2 : again;
}

/* A stub is the border itself, under its name; where its input is on that side already it is
 * nothing. */
static oct_status place_stub(prepare_state *p, const oct_node *n) {
    int32_t in = n->in[0];
    bool quant = n->attr.stub[0] == OCT_STUB_QUANT;
    if (p->codes[in] >= 0 && quant) return p->codes[n->out] = p->codes[in], OCT_OK;
    if (p->codes[in] < 0 && !quant)
        return (p->r.map[n->out] = octi_rewrite_value(&p->r, in)) < 0 ? oct_last_error()->code
                                                                      : OCT_OK;
    int32_t from = quant ? octi_rewrite_value(&p->r, in) : p->codes[in];
    int32_t made =
        from < 0 ? -2 : border(p, quant ? OCT_OP_quantize : OCT_OP_dequantize, from, n->name);
    if (made < 0) return oct_last_error()->code;
    if (!quant) return p->r.map[n->out] = made, OCT_OK;
    p->codes[n->out] = made;
    return set_quantized(p, made, -1);
}

/* The fixed grid that a class of values stands on; OCTI_GRID_OWN where it is observed. */
static octi_grid grid_of(prepare_state *p, int32_t v) {
    const oct_graph *to = p->r.to->graph;
    const oct_node *n = &to->nodes[to->values[octi_class_of(p->parent, v)].producer];
    octi_grid g = n->kind == OCT_OP_quantize ? OCTI_GRID_OWN : octi_grid_of(n);
    return octi_grid_is_fixed(g) ? g : OCTI_GRID_OWN;
}

/* Members of a sharing node of several inputs: where not all are on one fixed grid, those that are
 * on any are requantized, to the grid that the others observe. */
static oct_status leave_fixed_grids(prepare_state *p, const oct_node *n, int32_t *in) {
    bool alike = true;
    for (int32_t k = 0; k < n->nin; k++) alike &= grid_of(p, in[k]) == grid_of(p, in[0]);
    int32_t before[64];
    memcpy(before, in, sizeof *in * (size_t)n->nin);
    for (int32_t k = 0; k < n->nin && !alike; k++) {
        if (grid_of(p, before[k]) == OCTI_GRID_OWN) continue;
        int32_t same = 0;
        while (before[same] != before[k]) same++;
        if (same < k)
            in[k] = in[same];
        else if ((in[k] = border(p, OCT_OP_quantize, before[k],
                                 octi_fmt("%s.requantize_%d", n->name, k))) < 0 ||
                 set_quantized(p, in[k], -1) != OCT_OK)
            return oct_last_error()->code;
    }
    return OCT_OK;
}

/* Inputs of a node that stays on their grid, where the net came with grids: those on another one
 * than its output go there first. It moves elements or compares them, and so commutes with
 * rounding. */
static oct_status join_given(prepare_state *p, const oct_node *n, int32_t *in) {
    const int32_t to = p->given[n->out];
    for (int32_t k = 0; k < n->nin; k++) {
        if (octi_same_grid(p->r.from->graph, p->mark[in[k]], to)) continue;
        in[k] = border(p, OCT_OP_quantize, in[k], octi_fmt("%s.requantize_%d", n->name, k));
        if (in[k] < 0 || set_quantized(p, in[k], to) != OCT_OK) return oct_last_error()->code;
    }
    return OCT_OK;
}

/* A float value on a given grid is rounded to it, whoever reads it. */
static oct_status round_given(prepare_state *p, int32_t v) {
    if (given_of(p, v) < 0) return OCT_OK;
    if (want_codes(p, v) < 0) return oct_last_error()->code;
    p->r.map[v] = -1; /* its float form is that of the codes */
    return OCT_OK;
}

static oct_status place(prepare_state *p, int32_t i) {
    const oct_graph *g = p->r.from->graph;
    const oct_node *n = &g->nodes[i];
    if (n->attr.stub[0]) return place_stub(p, n);
    int32_t in[64];
    for (int32_t k = 0; k < n->nin; k++) {
        bool act = n->in[k] >= 0 && (g->values[n->in[k]].role == OCT_VALUE_ACT ||
                                     g->values[n->in[k]].role == OCT_VALUE_INPUT);
        if (act)
            in[k] = p->int8[i] ? want_codes(p, n->in[k]) : want_float(p, n->in[k]);
        else if (k == 1 && p->int8[i])
            in[k] = own_weight(p, n, n->in[k]);
        else
            in[k] = octi_rewrite_value(&p->r, n->in[k]);
        if (in[k] == -2) return oct_last_error()->code;
        if (!act && k == 1 && p->int8[i]) OCT_TRY(set_mark(p, in[k], given_of(p, n->in[k])));
    }
    oct_attrs attr = n->attr;
    attr.law[0] = p->int8[i] ? (int32_t)p->target->law : 0;
    const bool shares = p->int8[i] && octi_grid_under(n->kind, p->target->law) == OCTI_GRID_SHARE;
    if (shares && p->given)
        OCT_TRY(join_given(p, n, in));
    else if (shares && n->nin > 1)
        OCT_TRY(leave_fixed_grids(p, n, in));
    const oct_value *out = &g->values[n->out];
    int32_t at = octi_graph_add_node(p->r.to->graph, n->kind, n->name, &attr, in, n->nin, OCT_F32,
                                     out->shape);
    if (at < 0) return oct_last_error()->code;
    p->r.to->graph->nodes[at].reason = p->reason;
    int32_t v = p->r.to->graph->nodes[at].out;
    if (!p->int8[i]) return p->r.map[n->out] = v, round_given(p, n->out);
    p->codes[n->out] = v;
    OCT_TRY(set_quantized(p, v, given_of(p, n->out)));
    if (shares)
        for (int32_t k = 0; k < n->nin; k++) unite(p, v, in[k]);
    return OCT_OK;
}

/* ---- the pass ---- */

/* What the net says of its own making. */
static oct_status note_rules(prepare_state *p) {
    octi_text text = {.ctx = p->r.to->ctx};
    oct_status s = octi_qrules_write(&p->rules, &text);
    if (s == OCT_OK && text.data &&
        !(p->r.to->qconfig = octi_arena_strdup(p->r.to->graph->arena, text.data)))
        s = oct_last_error()->code;
    octi_text_free(&text);
    return s;
}

static oct_status prepare(prepare_state *p, const oct_net *net) {
    const oct_graph *g = net->graph;
    OCT_TRY(octi_rewrite_begin(&p->r, net, OCT_STAGE_PREPARED, true));
    p->codes = octi_calloc(net->ctx, (size_t)g->value_count, sizeof *p->codes);
    p->int8 = octi_calloc(net->ctx, (size_t)g->node_count + 1, sizeof *p->int8);
    if (!p->codes || !p->int8) return oct_last_error()->code;
    for (int32_t v = 0; v < g->value_count; v++) p->codes[v] = -1;
    OCT_TRY(find_stubs(p, g));
    OCT_TRY(octi_given_grids(g, &p->given));
    if (octi_rewrite_value(&p->r, g->input) < 0) return oct_last_error()->code;
    OCT_TRY(round_given(p, g->input));
    const octi_deciding deciding = {.g = g,
                                    .rules = &p->rules,
                                    .law = p->target->law,
                                    .int8 = p->int8,
                                    .given = p->given,
                                    .between = p->stubs ? p->between : NULL};
    bool any = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        p->reason = octi_float_reason_of(&deciding, i);
        any |= p->int8[i] = p->reason == OCT_FLOAT_none;
        OCT_TRY(place(p, i));
    }
    if (!any)
        return octi_fail(OCT_EUNSUPPORTED, p->stubs ? p->stubs : "oct_prepare",
                         p->stubs ? "no layer between the stubs becomes int8"
                                  : "no layer becomes int8",
                         "one that has an int8 form, and whose rules let it", NULL,
                         p->stubs ? "QuantStub in front of the layers, DeQuantStub behind them; "
                                    "without stubs all that can be is int8"
                                  : NULL);
    int32_t out = want_float(p, g->output);
    if (out < 0) return oct_last_error()->code;
    p->r.to->graph->output = out;
    OCT_TRY(set_quantized(p, 0, -1)); /* room for every value; value 0 is the input: float */
    p->parent[0] = -1;
    const octi_value_classes classes = {.net = p->r.to,
                                        .parent = p->parent,
                                        .mark = p->mark,
                                        .given = g->quantizers,
                                        .values = p->r.to->graph->value_count,
                                        .target = p->target,
                                        .config = p->config,
                                        .rules = &p->rules};
    OCT_TRY(octi_qrules_hit(&p->rules, p->r.to->graph));
    OCT_TRY(octi_make_quantizers(&classes));
    octi_qrules_warn_idle(&p->rules, net->ctx, p->r.to->graph);
    OCT_TRY(note_rules(p));
    oct_tensor *frozen = oct_tensor_new(net->ctx, OCT_U8, OCT_SHAPE(1));
    oct_status s = frozen ? octi_net_register(p->r.to, OCTI_BN_FROZEN, OCT_ROLE_OBSERVER, frozen)
                          : oct_last_error()->code;
    oct_tensor_unref(frozen);
    p->r.to->hooks = &octi_qat_hooks;
    p->r.to->target = p->target->name;
    return s;
}

oct_net *oct_prepare(const oct_net *net, const oct_qconfig *config) {
    OCTI_LAW_MODE();
    static const oct_qconfig defaults;
    if (!net) return NULL;
    if (!config) config = &defaults;
    prepare_state p = {.config = config, .target = octi_target_of(config->target)};
    oct_net *fused = NULL;
    if (net->stage > OCT_STAGE_FUSED) {
        octi_fail(OCT_EUSAGE, "oct_prepare", "net is quantized already", "a float net", NULL, NULL);
        return octi_ctx_failed(net->ctx), NULL;
    }
    if (!p.target || octi_qrules_of(net->ctx, config, &p.rules) != OCT_OK) {
        octi_free(net->ctx, p.rules.rule);
        return octi_ctx_failed(net->ctx), NULL;
    }
    if (net->stage == OCT_STAGE_FLOAT && !(fused = oct_fuse(net)))
        return octi_free(net->ctx, p.rules.rule), NULL;
    oct_status s = prepare(&p, fused ? fused : net);
    int32_t output = s == OCT_OK ? p.r.to->graph->output : -1;
    octi_free(net->ctx, p.codes);
    octi_free(net->ctx, p.int8);
    octi_free(net->ctx, p.between);
    octi_free(net->ctx, p.parent);
    octi_free(net->ctx, p.given);
    octi_free(net->ctx, p.mark);
    octi_free(net->ctx, p.rules.rule);
    oct_net *made = octi_rewrite_end(&p.r, s, output);
    oct_net_free(fused);
    return made;
}
