/* SPDX-License-Identifier: MIT
 * The last step of prepare: one quantizer for each class of values that share a grid, one for
 * each weight, by the rules that hold for it. */
#include "qat/passes/make_quantizers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qat/scales/observing.h"
#include "src/qround.h"

enum { OWNER = 1024 };

static oct_tensor *registered(oct_net *net, const char *owner, const char *suffix,
                              oct_tensor_role role, oct_dtype dtype, int64_t n) {
    oct_tensor *t = oct_tensor_new(net->ctx, dtype, OCT_SHAPE(n));
    const char *name = octi_fmt("%s.%s", owner, suffix);
    if (t && octi_net_register(net, name, role, t) != OCT_OK) {
        oct_tensor_unref(t);
        return NULL;
    }
    oct_tensor_unref(t); /* the registry holds it */
    return t;
}

/* What a quantizer is made of. */
typedef struct recipe {
    const char *owner, *name; /* of its tensors; of the value */
    oct_quantizer_role role;
    const char *observer;
    oct_qspec spec;
    const oct_qsettings *set;
    bool learnable;
    int64_t scales;
} recipe;

static int32_t add_quantizer(oct_net *net, const recipe *r) {
    const char *owner = r->owner;
    const oct_qsettings *set = r->set;
    const int64_t n = r->scales;
    oct_quantizer q = {.name = r->name,
                       .spec = r->spec,
                       .role = r->role,
                       .observer = r->observer,
                       .averaging = set->ema > 0 ? set->ema : 0.01f,
                       .percentile = set->percentile > 0 ? set->percentile : 99.99f};
    q.scale = registered(net, owner, "scale", OCT_ROLE_QPARAM, OCT_F32, n);
    q.zero_point = registered(net, owner, "zero_point", OCT_ROLE_QPARAM, OCT_S32, n);
    q.min_val = registered(net, owner, "min_val", OCT_ROLE_OBSERVER, OCT_F32, n);
    q.max_val = registered(net, owner, "max_val", OCT_ROLE_OBSERVER, OCT_F32, n);
    q.enabled = registered(net, owner, "enabled", OCT_ROLE_OBSERVER, OCT_U8, 2);
    if (!q.scale || !q.zero_point || !q.min_val || !q.max_val || !q.enabled) return -1;
    const oct_method method = set->method;
    const bool weight = octi_is_weight(&q), alpha = method == OCT_METHOD_PACT,
               observed = method == OCT_METHOD_DEFAULT || method == OCT_METHOD_EMA,
               learned = !observed && r->learnable && !(weight && alpha);
    q.strict = set->ste ? set->ste == OCT_STE_STRICT : learned;
    if (learned) { /* alpha decays, as in the paper */
        q.method = method;
        q.step = registered(net, owner, alpha ? "alpha" : "step",
                            alpha ? OCT_ROLE_PARAM : OCT_ROLE_STEP, OCT_F32, n);
        if (!weight && method == OCT_METHOD_LSQ_PLUS)
            q.offset = registered(net, owner, "offset", OCT_ROLE_STEP, OCT_F32, n);
        if (!q.step || (!weight && method == OCT_METHOD_LSQ_PLUS && !q.offset)) return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        oct_f32(q.scale)[i] = 1.0f;
        oct_f32(q.min_val)[i] = INFINITY;
        oct_f32(q.max_val)[i] = -INFINITY;
    }
    oct_u8(q.enabled)[0] = oct_u8(q.enabled)[1] = 1;
    if (!weight && octi_observer_start(net, &q, owner) != OCT_OK) return -1;
    return octi_graph_add_quantizer(net->graph, &q);
}

typedef struct ends { /* first and last weighted int8 node of the new graph, -1 */
    int32_t first, last;
} ends;

static bool has_weights(const octi_value_classes *p, const oct_node *n) {
    return (n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear) && p->parent[n->out] >= 0;
}

/* No gradient reaches the net's input: its scale is observed, whatever the method. */
static bool holds_input(const octi_value_classes *p, int32_t class) {
    const oct_graph *g = p->net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (n->kind == OCT_OP_quantize && n->in[0] == g->input &&
            octi_class_of(p->parent, n->out) == class)
            return true;
    }
    return false;
}

/* A class that begins with a fixed grid has it for good: ready from the start, never observed or
 * learned. */
static octi_grid fixed_grid(const octi_value_classes *p, int32_t class) {
    const oct_graph *g = p->net->graph;
    const octi_grid grid = octi_grid_of(&g->nodes[g->values[class].producer]);
    return octi_grid_is_fixed(grid) ? grid : OCTI_GRID_OWN;
}

/* from: a grid that came with the net; NULL: the kind's own. */
static void set_fixed(octi_grid grid, const oct_quantizer *from, oct_quantizer *q) {
    if (from) {
        *oct_f32(q->scale) = octi_scale(from);
        *oct_s32(q->zero_point) = octi_zero_point(from);
    } else
        octi_grid_qparams(grid, &q->spec, oct_f32(q->scale), oct_s32(q->zero_point));
    *oct_f32(q->min_val) = octq_dequantize(q->spec.qmin, octi_scale(q), octi_zero_point(q));
    *oct_f32(q->max_val) = octq_dequantize(q->spec.qmax, octi_scale(q), octi_zero_point(q));
}

/* With fewer bits, values at the net's borders and around the last layer keep 8 (law 2). */
static bool keeps_8(const octi_value_classes *p, const ends *e, int32_t class) {
    const oct_graph *g = p->net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (n->kind == OCT_OP_quantize && p->parent[n->in[0]] < 0 &&
            octi_class_of(p->parent, n->out) == class)
            return true;
        if (n->kind == OCT_OP_dequantize && octi_class_of(p->parent, n->in[0]) == class)
            return true;
    }
    if (e->last < 0) return false;
    const oct_node *last = &g->nodes[e->last];
    return octi_class_of(p->parent, last->in[OCTI_X]) == class ||
           octi_class_of(p->parent, last->out) == class;
}

/* Bits that rules ask for; the net's ends keep 8 where no rule names them (law 2). */
static int bits_of(const octi_value_classes *p, const octi_resolved *r, int key, int asked,
                   bool at_end) {
    if (!asked) return 8;
    return at_end && !p->config->all_layers && !octi_qrules_named(p->rules, r, key) ? 8 : asked;
}

/* The input's range is known, so it is taken whole where the others' are searched, unless a rule
 * names the input: a background is most of an image and no reason to cut what stands out from
 * it. */
static const char *observer_of(const octi_value_classes *p, const octi_resolved *r, int32_t v) {
    const char *asked = r->set.observer ? r->set.observer : "ema";
    return holds_input(p, v) && !octi_qrules_named(p->rules, r, OCTI_QKEY_observer)
               ? octi_observer_of_input(asked)
               : asked;
}

static const oct_quantizer *given_of(const octi_value_classes *p, int32_t v) {
    return p->mark[v] < 0 ? NULL : &p->given[p->mark[v]];
}

static oct_status add_activation(const octi_value_classes *p, const ends *e, int32_t v) {
    oct_graph *g = p->net->graph;
    const oct_node *n = &g->nodes[g->values[v].producer];
    const octi_resolved r = octi_qrules_resolve(p->rules, n->name, n->kind);
    const oct_qsettings *set = &r.set;
    oct_qspec spec = oct_qspec_activation(
        bits_of(p, &r, OCTI_QKEY_abits, set->abits, keeps_8(p, e, v)),
        set->reduce_range ? set->reduce_range == OCT_SWITCH_YES : p->target->reduce_range);
    spec.symmetric = set->symmetric == OCT_SWITCH_YES;
    spec.pow2 = p->target->pow2;
    char owner[OWNER];
    snprintf(owner, sizeof owner, "%s.activation_post_process", g->values[v].name);
    const octi_grid fixed = fixed_grid(p, v);
    const oct_quantizer *given = given_of(p, v);
    const bool moves = fixed == OCTI_GRID_OWN && !given;
    if (!moves) spec.symmetric = false;
    if (given) spec = given->spec;
    const char *observer = moves ? observer_of(p, &r, v) : "fixed";
    const recipe values = {.owner = owner,
                           .name = g->values[v].name,
                           .role = octi_role_under(observer),
                           .observer = observer,
                           .spec = spec,
                           .set = set,
                           .learnable = moves && !holds_input(p, v),
                           .scales = 1};
    g->values[v].quantizer = add_quantizer(p->net, &values);
    if (g->values[v].quantizer < 0) return oct_last_error()->code;
    if (!moves) set_fixed(fixed, given, &g->quantizers[g->values[v].quantizer]);
    return OCT_OK;
}

static oct_status add_weight(const octi_value_classes *p, const oct_node *n, bool at_end) {
    oct_graph *g = p->net->graph;
    oct_value *w = &g->values[n->in[OCTI_W]];
    const bool bn = n->kind == OCT_OP_batch_norm; /* one weight a channel */
    const octi_resolved r = octi_qrules_resolve(p->rules, n->name, n->kind);
    const bool channels =
        r.set.granularity ? r.set.granularity == OCT_GRANULARITY_CHANNEL : p->target->per_channel;
    oct_qspec spec = oct_qspec_weight(bn ? 8 : bits_of(p, &r, OCTI_QKEY_wbits, r.set.wbits, at_end),
                                      channels || bn);
    spec.pow2 = p->target->pow2;
    if (!bn && r.set.weight_qmin == OCT_WEIGHT_QMIN_FULL) spec.qmin = -spec.qmax - 1;
    const oct_quantizer *given = given_of(p, n->in[OCTI_W]);
    if (given) spec = given->spec;
    const bool searched = !bn && !given && r.set.weight_observer == OCT_WEIGHT_OBSERVER_MSE;
    char owner[OWNER];
    snprintf(owner, sizeof owner, "%s.weight_fake_quant", n->name);
    const recipe weight = {
        .owner = owner,
        .name = w->name,
        .role = OCT_QUANTIZER_WEIGHT,
        .observer = given ? "fixed"
                          : oct_weight_observer_name(searched ? OCT_WEIGHT_OBSERVER_MSE
                                                              : OCT_WEIGHT_OBSERVER_MINMAX),
        .spec = spec,
        .set = &r.set,
        .learnable = !bn && !given,
        .scales = spec.per_channel ? w->shape.dim[0] : 1};
    w->quantizer = add_quantizer(p->net, &weight);
    if (w->quantizer < 0) return oct_last_error()->code;
    if (given) {
        const oct_tensor *to = g->quantizers[w->quantizer].scale;
        memcpy(to->data, given->scale->data, oct_tensor_bytes(to));
    }
    return OCT_OK;
}

oct_status octi_make_quantizers(const octi_value_classes *p) {
    oct_graph *g = p->net->graph;
    ends e = {-1, -1};
    for (int32_t i = 0; i < g->node_count; i++)
        if (has_weights(p, &g->nodes[i])) {
            if (e.first < 0) e.first = i;
            e.last = i;
        }
    for (int32_t v = 0; v < p->values; v++) {
        if (p->parent[v] < 0) continue;
        int32_t c = octi_class_of(p->parent, v); /* the oldest: it has its quantizer by now */
        if (c == v)
            OCT_TRY(add_activation(p, &e, v));
        else
            g->values[v].quantizer = g->values[c].quantizer;
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        bool bn = n->kind == OCT_OP_batch_norm && p->parent[n->out] >= 0;
        if (has_weights(p, n) || bn) OCT_TRY(add_weight(p, n, i == e.first || i == e.last));
    }
    return OCT_OK;
}
