/* SPDX-License-Identifier: MIT
 * What every room of qat takes for granted of a prepared net, checked once where a net comes from
 * outside. Shapes and dtypes of values were judged by their rules before. */
#include "qat/prepared_check.h"

#include <string.h>

#include "qat/net/prepared.h"

static oct_status bad(const char *owner, const char *what, const char *expected, const char *got) {
    return octi_fail(OCT_EFORMAT, owner, what, expected, got, "prepare the float net again");
}

/* ---- quantizers ---- */

/* A tensor of n elements; n = 0: none. */
static oct_status sized(const oct_quantizer *q, const char *what, const oct_tensor *t, int64_t n) {
    if (t ? n && oct_tensor_count(t) == n : !n) return OCT_OK;
    return bad(q->name, octi_fmt("its %s", what),
               n ? octi_fmt("%lld elements", (long long)n) : "none",
               t ? octi_fmt("%lld", (long long)oct_tensor_count(t)) : "none");
}

static oct_status check_spec(const oct_quantizer *q, bool weight) {
    const oct_qspec *s = &q->spec;
    bool sound = s->bits >= 2 && s->bits <= 8 && s->qmin < s->qmax &&
                 s->qmin >= (weight ? -128 : 0) && s->qmax <= (weight ? 127 : 255);
    if (weight)
        sound = sound && s->symmetric && s->qmin < 0 && s->qmax > 0;
    else
        sound = sound && !s->per_channel;
    return sound ? OCT_OK
                 : bad(q->name, "codes of a quantizer",
                       weight ? "2 to 8 bits, symmetric, inside -128 to 127"
                              : "2 to 8 bits, per tensor, inside 0 to 255",
                       octi_fmt("%d bits, %d to %d", s->bits, s->qmin, s->qmax));
}

/* v: the weight that it quantizes; NULL for values that nodes make. */
static oct_status check_quantizer(const oct_quantizer *q, const oct_value *v) {
    OCT_TRY(check_spec(q, v != NULL));
    const int64_t weights = v ? oct_shape_count(&v->shape) : 0,
                  n = v && q->spec.per_channel ? v->shape.dim[0] : 1;
    if (q->method == OCT_METHOD_EMA || (unsigned)q->method >= OCT_METHOD_COUNT)
        return bad(q->name, "method of a quantizer", "lsq, lsq+ or pact",
                   octi_fmt("%s", oct_method_name(q->method)));
    const bool oscillates = q->osc_code;
    const struct {
        const char *what;
        const oct_tensor *t;
        int64_t n;
    } rows[] = {{"scale", q->scale, n},
                {"zero_point", q->zero_point, n},
                {"min_val", q->min_val, n},
                {"max_val", q->max_val, n},
                {"enabled", q->enabled, 2},
                {"step", q->step, q->method ? n : 0},
                {"offset", q->offset, q->method == OCT_METHOD_LSQ_PLUS && !v ? 1 : 0},
                {"osc_code", q->osc_code, oscillates ? weights : 0},
                {"osc_turn", q->osc_turn, oscillates ? weights : 0},
                {"osc_rate", q->osc_rate, oscillates ? weights : 0},
                {"osc_mean", q->osc_mean, oscillates ? weights : 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        OCT_TRY(sized(q, rows[i].what, rows[i].t, rows[i].n));
    for (int64_t i = 0; i < n; i++) {
        OCT_TRY(
            oct_qparams_check(&q->spec, oct_f32(q->scale)[i], oct_s32(q->zero_point)[i], q->name));
        if (v && oct_s32(q->zero_point)[i])
            return bad(q->name, "zero point of a weight", "0",
                       octi_fmt("%d", oct_s32(q->zero_point)[i]));
    }
    return OCT_OK;
}

static oct_status check_quantizers(const oct_graph *g) {
    for (int32_t i = 0; i < g->quantizer_count; i++) {
        const oct_quantizer *q = &g->quantizers[i];
        const oct_value *weight = NULL;
        for (int32_t v = 0; v < g->value_count; v++) {
            const oct_value *x = &g->values[v];
            if (x->quantizer != i) continue;
            const bool fits = octi_is_weight(q)
                                  ? x->role == OCT_VALUE_PARAM && x->shape.rank > 0 && !weight
                                  : x->role == OCT_VALUE_ACT;
            if (!fits)
                return bad(x->name, "value does not fit its quantizer",
                           octi_is_weight(q) ? "one weight" : "values that nodes make", q->name);
            if (octi_is_weight(q)) weight = x;
        }
        if (octi_is_weight(q) && !weight) return bad(q->name, "quantizer of no weight", NULL, NULL);
        OCT_TRY(check_quantizer(q, weight));
    }
    return OCT_OK;
}

/* ---- nodes ---- */

static oct_status check_weights(const oct_graph *g, const oct_node *n) {
    const oct_value *w = octi_node_in(g, n, OCTI_W);
    if (!w || w->role != OCT_VALUE_PARAM || w->quantizer < 0)
        return bad(n->name, "weights of an int8 layer", "a parameter with a quantizer",
                   w ? w->name : "none");
    if (n->kind != OCT_OP_batch_norm) return OCT_OK;
    /* its weights are ones behind the fold: nothing to learn */
    const oct_quantizer *q = &g->quantizers[w->quantizer];
    if (q->step || q->osc_code || !q->spec.per_channel)
        return bad(n->name, "quantizer of a batch norm's weights", "per channel, from their range",
                   oct_method_name(q->method));
    if (g->values[n->out].shape.rank != 4)
        return bad(n->name, "int8 batch norm", "of images, [N, H, W, C]",
                   oct_shape_text(&g->values[n->out].shape));
    return OCT_OK;
}

/* Each input that a node made stands on a grid, or on none, as its reader needs it; of constants
 * only a layer's own weight is quantized. quantize takes either. */
static oct_status check_inputs(const oct_graph *g, const oct_node *n) {
    const bool quantize = n->kind == OCT_OP_quantize, int8 = octi_is_int8(g, n);
    const bool shares = int8 && !quantize && octi_grid_of(n) == OCTI_GRID_SHARE,
               codes = int8 || n->kind == OCT_OP_dequantize;
    for (int k = 0; k < n->nin; k++) {
        if (n->in[k] < 0) continue;
        const oct_value *x = &g->values[n->in[k]];
        const char *expected = NULL;
        if (x->tensor)
            expected =
                x->quantizer >= 0 && !(octi_is_weighted(g, n) && k == OCTI_W) ? "none" : NULL;
        else if (shares)
            expected = x->quantizer != g->values[n->out].quantizer ? "its output's" : NULL;
        else if (!quantize && codes)
            expected = x->quantizer < 0 ? "one" : NULL;
        else if (!quantize)
            expected = x->quantizer >= 0 ? "none: its reader stays float" : NULL;
        if (expected)
            return bad(n->name, octi_fmt("quantizer of input %d, %.100s", k, x->name), expected,
                       x->quantizer < 0 ? "none" : g->quantizers[x->quantizer].name);
    }
    return OCT_OK;
}

static oct_status check_node(const oct_graph *g, const oct_node *n, octq_law law) {
    const bool quantize = n->kind == OCT_OP_quantize, int8 = octi_is_int8(g, n);
    if (n->attr.law[0] != (int8 ? (int32_t)law : 0))
        return bad(n->name, "law of its requant", int8 ? "its target's" : "none: it stays float",
                   octi_fmt("%d", n->attr.law[0]));
    if (quantize && !int8) return bad(n->name, "quantizer of its output", "one", "none");
    if (int8 && !quantize && octi_grid_of(n) == OCTI_GRID_NONE)
        return bad(n->name,
                   octi_fmt("quantizer of its output: %s has no int8 form", oct_op_name(n->kind)),
                   "none", g->quantizers[g->values[n->out].quantizer].name);
    if (octi_is_weighted(g, n)) OCT_TRY(check_weights(g, n));
    return check_inputs(g, n);
}

oct_status octi_prepared_check(const oct_net *net) {
    const oct_graph *g = net->graph;
    const oct_tensor *frozen = oct_net_tensor(net, OCTI_BN_FROZEN);
    if (frozen && (frozen->dtype != OCT_U8 || oct_tensor_count(frozen) != 1))
        return bad(OCTI_BN_FROZEN, "switch", "uint8 [1]", oct_shape_text(&frozen->shape));
    OCT_TRY(check_quantizers(g));
    const octi_target *target =
        *net->target ? octi_target_find(net->target) : octi_target_of(OCT_TARGET_DEFAULT);
    if (!target) return bad("net", "target", "a known one", net->target);
    for (int32_t i = 0; i < g->node_count; i++) OCT_TRY(check_node(g, &g->nodes[i], target->law));
    return OCT_OK;
}
