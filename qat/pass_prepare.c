/* SPDX-License-Identifier: MIT
 * G1 -> G2. In three steps: which nodes become int8 (backend.def); the same graph with quantize and dequantize at float
 * borders; quantizers, one per class of values that share a grid (union-find), and one per weight. */
#include <math.h>
#include <string.h>

#include "qat/learned.h"
#include "qat/prepared.h"
#include "qat/qat.h"
#include "qat/rewrite.h"
#include "src/mem.h"

typedef struct prepare_state {
    octi_rewrite r;      /* map: the float form of a value */
    int32_t *codes;      /* [from values]: its quantized form in `to`, -1 */
    bool *int8;          /* [from nodes] */
    int32_t *parent;     /* [to values]: union-find over quantized values; -1: float value */
    size_t parent_cap;
    const octi_target *target;
    const oct_qconfig *config;
    const char *observer;
} prepare_state;

/* ---- which nodes ---- */

/* Sharing kinds go with their inputs: int8 where any comes from codes or from outside. */
static bool becomes_int8(const prepare_state *p, const oct_graph *g, int32_t i) {
    const oct_node *n = &g->nodes[i];
    octi_grid grid = octi_backend(n->kind)->grid;
    if (grid == OCTI_GRID_NONE) return false;
    if (n->kind == OCT_OP_batch_norm && g->values[n->in[0]].shape.rank != 4) return false;
    if (grid == OCTI_GRID_OWN) return true;
    for (int32_t k = 0; k < n->nin; k++) {
        const oct_value *v = &g->values[n->in[k]];
        if (v->role == OCT_VALUE_INPUT || (v->producer >= 0 && p->int8[v->producer])) return true;
    }
    return false;
}

const char *octi_float_reason(const oct_graph *g, const oct_node *n) {
    if (octi_backend(n->kind)->grid == OCTI_GRID_NONE) return octi_fmt("%s has no int8 form", oct_op_name(n->kind));
    if (n->kind == OCT_OP_batch_norm && g->values[n->in[0]].shape.rank != 4) return "batch norm of vectors has no int8 form";
    return "its input is float";
}

/* ---- the graph with borders ---- */

static int32_t root(prepare_state *p, int32_t v) {
    while (p->parent[v] != v) v = p->parent[v] = p->parent[p->parent[v]];
    return v;
}

/* The older value leads its class, so classes are named by their first value. */
static void unite(prepare_state *p, int32_t a, int32_t b) {
    a = root(p, a);
    b = root(p, b);
    if (a < b) p->parent[b] = a;
    else p->parent[a] = b;
}

static oct_status set_quantized(prepare_state *p, int32_t v) {
    size_t need = p->r.to->graph->value_cap;
    size_t old = p->parent_cap;
    OCT_TRY(octi_reserve(p->r.to->ctx, (void **)&p->parent, &p->parent_cap, need, sizeof *p->parent));
    for (size_t i = old; i < p->parent_cap; i++) p->parent[i] = -1;
    p->parent[v] = v;
    return OCT_OK;
}

static int32_t border(prepare_state *p, oct_op_kind kind, int32_t from) {
    oct_graph *to = p->r.to->graph;
    const oct_value x = to->values[from];
    int32_t n = octi_graph_add_node(to, kind, octi_fmt("%s.%s", x.name, oct_op_name(kind)), NULL, &from, 1, OCT_F32, x.shape);
    return n < 0 ? -2 : to->nodes[n].out;
}

/* Quantized form of a value of the old graph; made by a border where only the float form is there. */
static int32_t want_codes(prepare_state *p, int32_t v) {
    if (p->codes[v] >= 0) return p->codes[v];
    int32_t f = octi_rewrite_value(&p->r, v);
    int32_t q = f < 0 ? -2 : border(p, OCT_OP_quantize, f);
    if (q < 0 || set_quantized(p, q) != OCT_OK) return -2;
    return p->codes[v] = q;
}

static int32_t want_float(prepare_state *p, int32_t v) {
    if (v < 0 || p->r.map[v] >= 0 || p->codes[v] < 0) return octi_rewrite_value(&p->r, v);
    int32_t f = border(p, OCT_OP_dequantize, p->codes[v]);
    return f < 0 ? -2 : (p->r.map[v] = f);
}

/* A parameter that another node has already: a second value around the same tensor, since qparams belong to values. */
static int32_t own_weight(prepare_state *p, const oct_node *n, int32_t v) {
    int32_t w = octi_rewrite_value(&p->r, v);
    if (w < 0) return w;
    oct_graph *to = p->r.to->graph;
    if (!octi_graph_consumers(to, w, NULL)) return w;
    oct_value x = to->values[w];
    int32_t again = octi_graph_add_value(to, octi_fmt("%s.weight", n->name), x.role, x.dtype, x.shape, x.tensor);
    return again < 0 ? -2 : again;
}

static oct_status place(prepare_state *p, int32_t i) {
    const oct_graph *g = p->r.from->graph;
    const oct_node *n = &g->nodes[i];
    int32_t in[64];
    for (int32_t k = 0; k < n->nin; k++) {
        bool act = n->in[k] >= 0 && (g->values[n->in[k]].role == OCT_VALUE_ACT || g->values[n->in[k]].role == OCT_VALUE_INPUT);
        if (act) in[k] = p->int8[i] ? want_codes(p, n->in[k]) : want_float(p, n->in[k]);
        else if (k == 1 && p->int8[i]) in[k] = own_weight(p, n, n->in[k]);
        else in[k] = octi_rewrite_value(&p->r, n->in[k]);
        if (in[k] == -2) return oct_last_error()->code;
    }
    const oct_value *out = &g->values[n->out];
    int32_t at = octi_graph_add_node(p->r.to->graph, n->kind, n->name, &n->attr, in, n->nin, OCT_F32, out->shape);
    if (at < 0) return oct_last_error()->code;
    int32_t v = p->r.to->graph->nodes[at].out;
    if (!p->int8[i]) return p->r.map[n->out] = v, OCT_OK;
    p->codes[n->out] = v;
    OCT_TRY(set_quantized(p, v));
    if (octi_backend(n->kind)->grid == OCTI_GRID_SHARE)
        for (int32_t k = 0; k < n->nin; k++) unite(p, v, in[k]);
    return OCT_OK;
}

/* ---- quantizers ---- */

static oct_tensor *registered(oct_net *net, const char *owner, const char *suffix, oct_tensor_role role, oct_dtype dtype, int64_t n) {
    oct_tensor *t = oct_tensor_new(net->ctx, dtype, OCT_SHAPE(n));
    const char *name = octi_fmt("%s.%s", owner, suffix);
    if (t && octi_net_register(net, name, role, t) != OCT_OK) {
        oct_tensor_unref(t);
        return NULL;
    }
    oct_tensor_unref(t); /* the registry holds it */
    return t;
}

static int32_t add_quantizer(prepare_state *p, const char *owner, const char *name, oct_qspec spec, const char *observer, bool learnable,
                             int64_t n) {
    oct_net *net = p->r.to;
    oct_quantizer q = {.name = name, .spec = spec, .observer = observer, .averaging = p->config->ema > 0 ? p->config->ema : 0.01f};
    q.scale = registered(net, owner, "scale", OCT_ROLE_QPARAM, OCT_F32, n);
    q.zero_point = registered(net, owner, "zero_point", OCT_ROLE_QPARAM, OCT_S32, n);
    q.min_val = registered(net, owner, "min_val", OCT_ROLE_OBSERVER, OCT_F32, n);
    q.max_val = registered(net, owner, "max_val", OCT_ROLE_OBSERVER, OCT_F32, n);
    q.enabled = registered(net, owner, "enabled", OCT_ROLE_OBSERVER, OCT_U8, 2);
    if (!q.scale || !q.zero_point || !q.min_val || !q.max_val || !q.enabled) return -1;
    const char *method = p->config->method ? p->config->method : "", *ste = p->config->ste;
    const bool weight = !strcmp(observer, "weight"), learned = *method && learnable && !(weight && !strcmp(method, "pact"));
    q.strict = ste ? !strcmp(ste, "strict") : learned;
    if (learned) {
        bool alpha = !strcmp(method, "pact"); /* decays, as in the paper */
        q.method = method;
        q.step = registered(net, owner, alpha ? "alpha" : "step", alpha ? OCT_ROLE_PARAM : OCT_ROLE_STEP, OCT_F32, n);
        if (!weight && !strcmp(method, "lsq+")) q.offset = registered(net, owner, "offset", OCT_ROLE_STEP, OCT_F32, n);
        if (!q.step || (!weight && !strcmp(method, "lsq+") && !q.offset)) return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        oct_f32(q.scale)[i] = 1.0f;
        oct_f32(q.min_val)[i] = INFINITY;
        oct_f32(q.max_val)[i] = -INFINITY;
    }
    oct_u8(q.enabled)[0] = oct_u8(q.enabled)[1] = 1;
    return octi_graph_add_quantizer(net->graph, &q);
}

typedef struct ends { /* first and last weighted int8 node of the new graph, -1 */
    int32_t first, last;
} ends;

static bool has_weights(const prepare_state *p, const oct_node *n) {
    return (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear) && p->parent[n->out] >= 0;
}

/* No gradient reaches the net's input: its scale is observed, whatever the method. */
static bool holds_input(prepare_state *p, int32_t class) {
    const oct_graph *g = p->r.to->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (n->kind == OCT_OP_quantize && n->in[0] == g->input && root(p, n->out) == class) return true;
    }
    return false;
}

/* With fewer bits, values at the net's borders and in front of the last layer keep 8 (law 2). */
static bool keeps_8(prepare_state *p, const ends *e, int32_t class) {
    const oct_graph *g = p->r.to->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (n->kind == OCT_OP_quantize && root(p, n->out) == class) return true;
        if (n->kind == OCT_OP_dequantize && root(p, n->in[0]) == class) return true;
    }
    return e->last >= 0 && root(p, g->nodes[e->last].in[OCTI_X]) == class;
}

static oct_status make_quantizers(prepare_state *p) {
    oct_graph *g = p->r.to->graph;
    ends e = {-1, -1};
    for (int32_t i = 0; i < g->node_count; i++)
        if (has_weights(p, &g->nodes[i])) {
            if (e.first < 0) e.first = i;
            e.last = i;
        }
    int abits = p->config->abits ? p->config->abits : 8, wbits = p->config->wbits ? p->config->wbits : 8;
    int32_t values = g->value_count;
    for (int32_t v = 0; v < values; v++) {
        if ((size_t)v >= p->parent_cap || p->parent[v] < 0) continue;
        int32_t c = root(p, v);
        if (c == v) {
            bool at8 = abits < 8 && !p->config->all_layers && keeps_8(p, &e, c);
            oct_qspec spec = oct_qspec_activation(at8 ? 8 : abits, p->target->reduce_range);
            spec.pow2 = p->target->pow2;
            const char *owner = octi_fmt("%s.activation_post_process", g->values[v].name);
            g->values[v].quantizer = add_quantizer(p, owner, g->values[v].name, spec, p->observer, !holds_input(p, c), 1);
            if (g->values[v].quantizer < 0) return oct_last_error()->code;
        } else
            g->values[v].quantizer = g->values[c].quantizer;
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        bool bn = n->kind == OCT_OP_batch_norm && p->parent[n->out] >= 0;
        if (!has_weights(p, n) && !bn) continue;
        bool at8 = !p->config->all_layers && (i == e.first || i == e.last);
        oct_value *w = &g->values[n->in[OCTI_W]];
        oct_qspec spec = oct_qspec_weight(at8 || bn ? 8 : wbits, p->target->per_channel || bn);
        spec.pow2 = p->target->pow2;
        const char *owner = octi_fmt("%s.weight_fake_quant", n->name);
        int32_t q = add_quantizer(p, owner, w->name, spec, "weight", !bn, spec.per_channel ? w->shape.dim[0] : 1);
        if (q < 0) return oct_last_error()->code;
        g->values[n->in[OCTI_W]].quantizer = q;
    }
    return OCT_OK;
}

/* ---- the pass ---- */

static oct_status check_config(const oct_qconfig *c) {
    if ((c->wbits && (c->wbits < 2 || c->wbits > 8)) || (c->abits && (c->abits < 2 || c->abits > 8)))
        return octi_fail(OCT_EUSAGE, "qconfig", "bits out of range", "2 to 8", octi_fmt("wbits %d, abits %d", c->wbits, c->abits), NULL);
    if (!(c->ema >= 0 && c->ema <= 1)) return octi_fail(OCT_EUSAGE, "qconfig", "ema out of range", "0 to 1", octi_fmt("%g", c->ema), NULL);
    if (c->method) OCT_TRY(octi_method_check(c->method));
    if (c->ste && strcmp(c->ste, "rounded") && strcmp(c->ste, "strict"))
        return octi_fail(OCT_EUSAGE, "qconfig", "unknown straight-through mask", "rounded or strict", c->ste, NULL);
    if (c->observer && strcmp(c->observer, "ema") && strcmp(c->observer, "minmax"))
        return octi_fail(OCT_EUSAGE, "qconfig", "unknown observer", "ema, minmax", c->observer, NULL);
    return OCT_OK;
}

static oct_status prepare(prepare_state *p, const oct_net *net) {
    const oct_graph *g = net->graph;
    OCT_TRY(octi_rewrite_begin(&p->r, net, OCT_STAGE_PREPARED, true));
    p->codes = octi_calloc(net->ctx, (size_t)g->value_count, sizeof *p->codes);
    p->int8 = octi_calloc(net->ctx, (size_t)g->node_count + 1, sizeof *p->int8);
    if (!p->codes || !p->int8) return oct_last_error()->code;
    for (int32_t v = 0; v < g->value_count; v++) p->codes[v] = -1;
    if (octi_rewrite_value(&p->r, g->input) < 0) return oct_last_error()->code;
    bool any = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        any |= p->int8[i] = becomes_int8(p, g, i);
        OCT_TRY(place(p, i));
    }
    if (!any) return octi_fail(OCT_EUNSUPPORTED, "oct_prepare", "no layer has an int8 form", NULL, NULL, NULL);
    int32_t out = want_float(p, g->output);
    if (out < 0) return oct_last_error()->code;
    p->r.to->graph->output = out;
    OCT_TRY(set_quantized(p, 0)); /* room for every value; value 0 is the input: float */
    p->parent[0] = -1;
    OCT_TRY(make_quantizers(p));
    oct_tensor *frozen = oct_tensor_new(net->ctx, OCT_U8, OCT_SHAPE(1));
    oct_status s = frozen ? octi_net_register(p->r.to, OCTI_BN_FROZEN, OCT_ROLE_OBSERVER, frozen) : oct_last_error()->code;
    oct_tensor_unref(frozen);
    p->r.to->hooks = &octi_qat_hooks;
    p->r.to->target = p->target->name;
    return s;
}

oct_net *oct_prepare(const oct_net *net, const oct_qconfig *config) {
    static const oct_qconfig defaults;
    if (!net) return NULL;
    if (!config) config = &defaults;
    prepare_state p = {.config = config, .target = octi_target_find(config->target), .observer = config->observer ? config->observer : "ema"};
    oct_net *fused = NULL;
    if (!p.target || check_config(config) != OCT_OK) return octi_ctx_failed(net->ctx), NULL;
    if (net->stage > OCT_STAGE_FUSED) {
        octi_fail(OCT_EUSAGE, "oct_prepare", "net is quantized already", "a float net", NULL, NULL);
        return octi_ctx_failed(net->ctx), NULL;
    }
    if (net->stage == OCT_STAGE_FLOAT && !(fused = oct_fuse(net))) return NULL;
    oct_status s = prepare(&p, fused ? fused : net);
    int32_t output = s == OCT_OK ? p.r.to->graph->output : -1;
    octi_free(net->ctx, p.codes);
    octi_free(net->ctx, p.int8);
    octi_free(net->ctx, p.parent);
    oct_net *made = octi_rewrite_end(&p.r, s, output);
    oct_net_free(fused);
    return made;
}
