/* SPDX-License-Identifier: MIT
 * Causes in weights and bits: sums beyond 32 bits, one scale for unlike channels, too few bits.
 * Tried by switching quantizers off, one group at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qat/doctor/doctor_case.h"
#include "qat/scales/weights.h"
#include "src/mem.h"

/* ---- switches ---- */

static void off(const oct_graph *g, int32_t quantizer) {
    if (quantizer >= 0 && g->quantizers[quantizer].enabled)
        oct_u8(g->quantizers[quantizer].enabled)[1] = 0;
}

static int32_t weight_of(const oct_graph *g, const oct_node *n) {
    return octi_is_weighted(g, n) && n->kind != OCT_OP_batch_norm
               ? g->values[n->in[OCTI_W]].quantizer
               : -1;
}

/* What a copy with these quantizers off scores better. which: is it one of them? */
typedef bool which_fn(const octi_case *k, const oct_net *net, int32_t node, const void *arg,
                      bool *weight, bool *value);

static oct_status gain_without(const octi_case *k, which_fn *which, const void *arg, double *gain) {
    oct_net *copy = octi_case_copy(k);
    if (!copy) return oct_last_error()->code;
    const oct_graph *g = copy->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        bool weight = false, value = false;
        if (!which(k, copy, i, arg, &weight, &value)) continue;
        if (weight) off(g, weight_of(g, &g->nodes[i]));
        if (value) off(g, g->values[g->nodes[i].out].quantizer);
    }
    double score = k->score;
    const oct_status s = octi_case_score(k, copy, &score);
    oct_net_free(copy);
    *gain = s == OCT_OK ? octi_case_gain(k, score) : 0;
    return s;
}

/* ---- channels ---- */

/* Channels of a layer that use less than an eighth of their codes, and would use all with a scale
 * of their own. */
static oct_status coarse(const octi_case *k, const oct_net *net, const oct_node *n, int32_t *few,
                         int32_t *of) {
    octi_arena *arena = octi_ctx_scratch(k->ctx);
    if (!arena) return oct_last_error()->code;
    const octi_arena_mark mark = octi_arena_save(arena);
    const oct_quantizer *x = &net->graph->quantizers[net->graph->values[n->in[OCTI_X]].quantizer];
    octi_qweights w;
    const oct_status s =
        octi_quantize_weights((oct_net *)(uintptr_t)net, n, octi_scale(x), arena, &w);
    *few = *of = 0;
    const int32_t least = octi_weight_quantizer(net->graph, n)->spec.qmax / 8;
    for (int32_t o = 0; s == OCT_OK && o < w.o; o++) {
        int32_t most = 0;
        for (int64_t i = o * w.k; i < (o + 1) * w.k; i++)
            if (abs(w.codes[i]) > most) most = abs(w.codes[i]);
        *few += most <= least;
        (*of)++;
    }
    octi_arena_rewind(arena, mark);
    return s;
}

typedef struct coarse_list {
    bool per_channel;  /* look at these: only a bias can have made them coarse */
    int32_t *few, *of; /* [nodes] */
} coarse_list;

static bool is_coarse(const octi_case *k, const oct_net *net, int32_t node, const void *arg,
                      bool *weight, bool *value) {
    (void)k, (void)net, (void)value;
    const coarse_list *l = arg;
    return *weight = l->few[node] > 0;
}

static oct_status find_coarse(const octi_case *k, coarse_list *l, int32_t *worst) {
    const oct_graph *g = k->net->graph;
    *worst = -1;
    l->few = octi_calloc(k->ctx, 2 * (size_t)g->node_count + 1, sizeof *l->few);
    if (!l->few) return oct_last_error()->code;
    l->of = l->few + g->node_count;
    for (int32_t i = 0; i < g->node_count; i++) {
        const int32_t q = weight_of(g, &g->nodes[i]);
        if (q < 0 || oct_quantizer_is_per_channel(&g->quantizers[q]) != l->per_channel) continue;
        OCT_TRY(coarse(k, k->net, &g->nodes[i], &l->few[i], &l->of[i]));
        if (l->few[i] &&
            (*worst < 0 || (double)l->few[i] / l->of[i] > (double)l->few[*worst] / l->of[*worst]))
            *worst = i;
    }
    return OCT_OK;
}

oct_status octi_cause_spread(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    coarse_list l = {.per_channel = false};
    int32_t worst;
    double gain = 0;
    if (k->overflow) return OCT_OK;
    oct_status s = find_coarse(k, &l, &worst);
    if (s == OCT_OK && worst >= 0) s = gain_without(k, is_coarse, &l, &gain);
    if (s == OCT_OK && gain > c->bound) {
        c->value = c->gain = gain;
        c->measured = true;
        c->layer = k->net->graph->nodes[worst].name;
        snprintf(c->evidence, sizeof c->evidence,
                 "%d of %d channels of %s use less than an eighth of the codes of their one scale; "
                 "without rounding them the net scores %.2f points better",
                 l.few[worst], l.of[worst], c->layer, 100 * gain);
    }
    octi_free(k->ctx, l.few);
    return s;
}

oct_status octi_cause_overflow(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    coarse_list l = {.per_channel = true};
    int32_t worst;
    double gain = 0;
    if (k->overflow) {
        c->value = 1;
        c->gain = k->reference;
        c->measured = true;
        c->layer = k->overflow;
        snprintf(c->evidence, sizeof c->evidence,
                 "the sums of %s may leave 32 bits: there is no int8 model of it", c->layer);
        return OCT_OK;
    }
    oct_status s = find_coarse(k, &l, &worst);
    if (s == OCT_OK && worst >= 0) s = gain_without(k, is_coarse, &l, &gain);
    if (s == OCT_OK && gain > 0.02) {
        c->value = c->gain = gain;
        c->measured = true;
        c->layer = k->net->graph->nodes[worst].name;
        snprintf(
            c->evidence, sizeof c->evidence,
            "biases of %s are so large for its input's scale that %d of %d channels lose their "
            "weights; without that the net scores %.2f points better",
            c->layer, l.few[worst], l.of[worst], 100 * gain);
    }
    octi_free(k->ctx, l.few);
    return s;
}

/* ---- bits ---- */

static bool low(const oct_graph *g, int32_t quantizer) {
    return quantizer >= 0 && g->quantizers[quantizer].spec.bits < 8;
}

typedef struct bits_list {
    const char *const *name; /* NULL: all */
    int count;
} bits_list;

static bool is_low(const octi_case *k, const oct_net *net, int32_t node, const void *arg,
                   bool *weight, bool *value) {
    (void)k;
    const bits_list *l = arg;
    const oct_graph *g = net->graph;
    const oct_node *n = &g->nodes[node];
    bool listed = !l->name;
    for (int i = 0; i < l->count && !listed; i++) listed = !strcmp(l->name[i], n->name);
    *weight = low(g, weight_of(g, n));
    *value = octi_is_source(g, n) && low(g, g->values[n->out].quantizer);
    return listed && (*weight || *value);
}

static void first_and_last(const oct_graph *g, int32_t ends[2]) {
    ends[0] = ends[1] = -1;
    for (int32_t i = 0; i < g->node_count; i++) {
        if (weight_of(g, &g->nodes[i]) < 0) continue;
        if (ends[0] < 0) ends[0] = i;
        ends[1] = i;
    }
}

/* The layer of few bits that costs most by itself and is not in the list yet; -1: none is left. */
static int32_t next_low(const octi_case *k, const bits_list *l) {
    int32_t worst = -1;
    for (int32_t i = 0; i < k->row_count; i++) {
        bool weight, value, taken = false;
        const bits_list all = {NULL, 0};
        if (!is_low(k, k->measured, i, &all, &weight, &value)) continue;
        for (int j = 0; j < l->count && !taken; j++) taken = !strcmp(l->name[j], k->rows[i].name);
        if (taken) continue;
        if (worst < 0 || k->rows[i].sqnr_alone < k->rows[worst].sqnr_alone) worst = i;
    }
    return worst;
}

/* Costliest first, until four fifths of what all of them cost are won. */
static oct_status find_bits(octi_case *k) {
    const bits_list all = {NULL, 0};
    int32_t ends[2];
    if (k->bits.done) return OCT_OK;
    k->bits.done = true;
    bool any = false;
    const oct_graph *g = k->net->graph;
    for (int32_t i = 0; i < g->node_count && !any; i++) {
        bool weight, value;
        any = is_low(k, k->net, i, &all, &weight, &value);
    }
    if (!any || k->overflow) return OCT_OK;
    OCT_TRY(gain_without(k, is_low, &all, &k->bits.gain));
    if (!(k->bits.gain > 0)) return OCT_OK;
    OCT_TRY(octi_case_layers(k));
    first_and_last(k->measured->graph, ends);
    k->bits.ends = true;
    double gain = 0;
    while (k->bits.count < OCTI_BITS_MAX && gain < 0.8 * k->bits.gain) {
        const bits_list l = {k->bits.layer, k->bits.count};
        const int32_t next = next_low(k, &l);
        if (next < 0) break;
        k->bits.layer[k->bits.count++] = k->rows[next].name;
        k->bits.ends = k->bits.ends && (next == ends[0] || next == ends[1]);
        OCT_TRY(gain_without(k, is_low, &(bits_list){k->bits.layer, k->bits.count}, &gain));
    }
    /* what ranges alone cost is not theirs, nor what nobody lost */
    double ranges;
    OCT_TRY(octi_case_observe(k, &k->observed, NULL, &ranges));
    k->bits.gain = fmin(gain, k->lost) - fmax(ranges, 0);
    return OCT_OK;
}

static oct_status by_bits(octi_case *k, oct_cause *c, char *with, size_t size, bool ends) {
    OCT_TRY(find_bits(k));
    if (k->bits.ends != ends || !k->bits.count || !(k->bits.gain > c->bound)) return OCT_OK;
    size_t at = 0;
    for (int i = 0; i < k->bits.count && at < size; i++)
        at += (size_t)snprintf(with + at, size - at, "%s%s:wbits=8,abits=8", i ? "," : "",
                               k->bits.layer[i]);
    const int32_t node = oct_graph_find_node(k->measured->graph, k->bits.layer[0]);
    const oct_layer *r = &k->rows[node];
    c->value = c->gain = k->bits.gain;
    c->measured = true;
    c->layer = k->bits.layer[0];
    snprintf(c->evidence, sizeof c->evidence,
             "%s has weights of %d bits and values of %d, and leaves %.1f dB at the output by "
             "itself; %s at 8 bits the net scores %.2f points better",
             c->layer, r->weight_bits, r->bits, r->sqnr_alone,
             k->bits.count > 1 ? "with it and others" : "with it", 100 * k->bits.gain);
    return OCT_OK;
}

oct_status octi_cause_first_or_last(octi_case *k, oct_cause *c, char *with, size_t size) {
    return by_bits(k, c, with, size, true);
}

oct_status octi_cause_few_bits(octi_case *k, oct_cause *c, char *with, size_t size) {
    return by_bits(k, c, with, size, false);
}
