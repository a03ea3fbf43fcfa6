/* SPDX-License-Identifier: MIT
 * Tracks, damps and freezes weights that swing between two codes; state is tensors of the net. */
#include "qat/improve/oscillation.h"

#include <math.h>
#include <stdlib.h>

#include "qat/net/prepared.h"
#include "qat/scales/weights.h"
#include "src/float_mode.h"
#include "src/mem.h"

enum { FROZEN = 2 }; /* osc_turn: -1, 0, 1 while it moves */
static const float AVERAGING = 0.01f, OSCILLATES = 0.005f;

/* The node that stands for weights of few bits; a weight that two nodes share is the first
 * one's. */
static bool tracked(const oct_graph *g, int32_t i) {
    const oct_node *n = &g->nodes[i];
    if (!octi_is_weighted(g, n) || n->kind == OCT_OP_batch_norm ||
        octi_weight_quantizer(g, n)->spec.bits >= 8)
        return false;
    for (int32_t k = 0; k < i; k++)
        if (octi_is_weighted(g, &g->nodes[k]) && g->nodes[k].in[OCTI_W] == n->in[OCTI_W])
            return false;
    return true;
}

static oct_status state_tensor(oct_net *net, const oct_node *n, const char *suffix, oct_dtype dtype,
                               int64_t count, oct_tensor **to) {
    const char *name = octi_fmt("%s.weight_fake_quant.%s", n->name, suffix);
    if (*to) {
        if ((*to)->dtype == dtype && oct_tensor_count(*to) == count) return OCT_OK;
        return octi_fail(OCT_EFORMAT, name, "does not fit the weights",
                         octi_fmt("%lld", (long long)count),
                         octi_fmt("%lld", (long long)oct_tensor_count(*to)), NULL);
    }
    oct_tensor *t = oct_tensor_new(net->ctx, dtype, OCT_SHAPE(count));
    oct_status s = t ? octi_net_register(net, name, OCT_ROLE_OBSERVER, t) : oct_last_error()->code;
    if (s == OCT_OK)
        *to = t; /* its first reference; the registry took one of its own */
    else
        oct_tensor_unref(t);
    return s;
}

static oct_status weights_now(oct_net *net, const oct_node *n, octi_arena *arena,
                              octi_qweights *w) {
    const oct_quantizer *x = &net->graph->quantizers[net->graph->values[n->in[OCTI_X]].quantizer];
    return octi_quantize_weights(net, n, octi_quantizer_ready(x) ? octi_scale(x) : 0, arena, w);
}

oct_status oct_oscillation_start(oct_net *net) {
    OCTI_LAW_MODE();
    if (!net || net->stage != OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, "oct_oscillation_start", "net is not prepared",
                         "the result of oct_prepare", NULL, NULL);
    oct_graph *g = net->graph;
    octi_arena *scratch = octi_ctx_scratch(net->ctx);
    if (!scratch) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++) {
        if (!tracked(g, i)) continue;
        const oct_node *n = &g->nodes[i];
        oct_quantizer *q = octi_weight_quantizer(g, n);
        const int64_t count = oct_tensor_count(g->values[n->in[OCTI_W]].tensor);
        const bool fresh = !q->osc_code;
        OCT_TRY(state_tensor(net, n, "osc_code", OCT_S8, count, &q->osc_code));
        OCT_TRY(state_tensor(net, n, "osc_turn", OCT_S8, count, &q->osc_turn));
        OCT_TRY(state_tensor(net, n, "osc_rate", OCT_F32, count, &q->osc_rate));
        OCT_TRY(state_tensor(net, n, "osc_mean", OCT_F32, count, &q->osc_mean));
        if (!fresh) continue;
        octi_arena_mark mark = octi_arena_save(scratch);
        octi_qweights w;
        oct_status taken = weights_now(net, n, scratch, &w);
        if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
        for (int64_t k = 0; k < count; k++) {
            oct_s8(q->osc_code)[k] = w.codes[k];
            oct_f32(q->osc_mean)[k] = w.codes[k];
        }
        octi_arena_rewind(scratch, mark);
    }
    return OCT_OK;
}

/* One weight's code against its last one; true: it is frozen, at osc_code. */
static bool turn(oct_quantizer *q, int64_t k, int8_t code, float threshold) {
    int8_t *last = oct_s8(q->osc_code) + k, *way = oct_s8(q->osc_turn) + k;
    float *rate = oct_f32(q->osc_rate) + k, *mean = oct_f32(q->osc_mean) + k;
    if (*way == FROZEN) return true;
    int8_t now = code > *last ? 1 : code < *last ? -1 : 0;
    bool event = now && *way && now != *way;
    *rate += AVERAGING * ((event ? 1.0f : 0.0f) - *rate);
    *mean += AVERAGING * ((float)code - *mean);
    *last = code;
    if (now) *way = now;
    if (!(*rate > threshold)) return false;
    *last = (int8_t)lrintf(*mean);
    *way = FROZEN;
    return true;
}

oct_status oct_oscillation_step(oct_net *net, float threshold) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(threshold);
    oct_graph *g = net ? net->graph : NULL;
    octi_arena *scratch = net ? octi_ctx_scratch(net->ctx) : NULL;
    if (!scratch)
        return net ? oct_last_error()->code
                   : octi_fail(OCT_EUSAGE, "oct_oscillation_step", "net is NULL", NULL, NULL, NULL);
    for (int32_t i = 0; i < g->node_count; i++) {
        if (!tracked(g, i)) continue;
        const oct_node *n = &g->nodes[i];
        oct_quantizer *q = octi_weight_quantizer(g, n);
        if (!q->osc_code)
            return octi_fail(OCT_EUSAGE, n->name, "weights are not tracked",
                             "oct_oscillation_start", NULL, NULL);
        octi_arena_mark mark = octi_arena_save(scratch);
        octi_qweights w;
        oct_status taken = weights_now(net, n, scratch, &w);
        if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
        float *value = oct_f32(g->values[n->in[OCTI_W]].tensor);
        for (int64_t o = 0, k = 0; o < w.o; o++)
            for (const float unit = w.scale[o] / (w.factor ? w.factor[o] : 1.0f); k < (o + 1) * w.k;
                 k++)
                if (turn(q, k, w.codes[k], threshold))
                    value[k] = unit * (float)oct_s8(q->osc_code)[k];
        octi_arena_rewind(scratch, mark);
    }
    return OCT_OK;
}

oct_status oct_oscillation_damp(oct_net *net, float strength) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(strength);
    oct_graph *g = net ? net->graph : NULL;
    octi_arena *scratch = net ? octi_ctx_scratch(net->ctx) : NULL;
    if (!scratch)
        return net ? oct_last_error()->code
                   : octi_fail(OCT_EUSAGE, "oct_oscillation_damp", "net is NULL", NULL, NULL, NULL);
    for (int32_t i = 0; i < g->node_count; i++) {
        oct_tensor *weight = tracked(g, i) ? g->values[g->nodes[i].in[OCTI_W]].tensor : NULL;
        if (!weight || !weight->grad) continue; /* no gradient reached it */
        const oct_qspec *spec = &octi_weight_quantizer(g, &g->nodes[i])->spec;
        octi_arena_mark mark = octi_arena_save(scratch);
        octi_qweights w;
        oct_status taken = weights_now(net, &g->nodes[i], scratch, &w);
        if (taken != OCT_OK) return octi_arena_rewind(scratch, mark), taken;
        const float *value = oct_f32(weight);
        float *grad = oct_f32(weight->grad);
        for (int64_t o = 0, k = 0; o < w.o; o++)
            for (const float f = w.factor ? w.factor[o] : 1.0f; k < (o + 1) * w.k; k++) {
                float u = value[k] * f / w.scale[o];
                if (u >= (float)spec->qmin &&
                    u <= (float)spec->qmax) /* clipped: the difference is 0 */
                    grad[k] += 2 * strength * (u - (float)w.codes[k]) * w.scale[o] * f;
            }
        octi_arena_rewind(scratch, mark);
    }
    return OCT_OK;
}

int64_t oct_oscillation_count(const oct_net *net, oct_swing which) {
    OCTI_LAW_MODE();
    int64_t count[OCT_SWING_COUNT] = {0};
    if ((unsigned)which >= OCT_SWING_COUNT) return 0;
    for (int32_t i = 0; net && i < net->graph->quantizer_count; i++) {
        const oct_quantizer *q = &net->graph->quantizers[i];
        if (!q->osc_turn || !q->osc_rate) continue;
        for (int64_t k = 0, n = oct_tensor_count(q->osc_turn); k < n; k++) {
            const bool frozen = oct_s8(q->osc_turn)[k] == FROZEN;
            count[OCT_SWING_TRACKED]++;
            count[OCT_SWING_FROZEN] += frozen;
            count[OCT_SWING_OSCILLATING] += !frozen && oct_f32(q->osc_rate)[k] > OSCILLATES;
        }
    }
    return count[which];
}

static const char *const modes[] = {
    NULL,
#define OCT_OSCILLATION(value, word) word,
#include "qat/improve/oscillation_modes.def"
};
const octi_words octi_oscillation_words = OCTI_WORDS("oscillation", modes);
OCTI_WORD_PAIR(oct_oscillation_mode, octi_oscillation_words)
