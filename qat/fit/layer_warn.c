/* SPDX-License-Identifier: MIT
 * Layers that clip or lose what may explain a drop, each with what helps. Sizes are summed as they
 * are, not squared: a range that rare huge values widen has a fine SQNR, theirs, while all others
 * are rounded away. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qat/fit/layer_report.h"
#include "qat/net/prepared.h"
#include "qat/scales/observing.h"
#include "src/mem.h"
#include "src/words.h"

enum { IMAGES = 128 };
static const double CLIP = 0.02, CLIP_MOST = 0.25, ROUND = 0.1, ROUND_MOST = 0.5, DROP = 0.005;

typedef struct list {
    oct_layer_warning *row;
    int32_t count;
} list;

static oct_layer_warning *add(list *l, const char *layer, oct_layer_measure measure, double value,
                              double bound) {
    oct_layer_warning *w = &l->row[l->count++];
    *w = (oct_layer_warning){.layer = layer, .measure = measure, .value = value, .bound = bound};
    return w;
}

/* By what the range was chosen. */
static const char *by_of(const oct_quantizer *q) {
    return q->method ? oct_method_name(q->method) : q->observer;
}

static void clipped(list *l, const oct_layer *r, const oct_quantizer *q, double bound) {
    oct_layer_warning *w = add(l, r->name, OCT_MEASURE_CLIP_LOSS, r->clip_loss, bound);
    snprintf(w->text, sizeof w->text,
             "%.3g %% of its values are clipped, which takes %.3g %% of their sum (%s)",
             100 * r->clip, 100 * r->clip_loss, by_of(q));
    if (q->method && q->spec.bits < 8)
        snprintf(w->hint, sizeof w->hint, "more epochs for its step, or the rule '%s:abits=8'",
                 r->name);
    else if (q->method)
        snprintf(w->hint, sizeof w->hint, "more epochs for its step, or the rule '%s:method=ema'",
                 r->name);
    else if (octi_is_fixed(q))
        snprintf(w->hint, sizeof w->hint, "its grid is fixed: the rule '%s:float'", r->name);
    else if (!strcmp(q->observer, "minmax"))
        snprintf(w->hint, sizeof w->hint,
                 "more images for its range (oct_calibrate): these have values that it has not "
                 "seen");
    else
        snprintf(w->hint, sizeof w->hint, "observer minmax, or the rule '%s:observer=minmax'",
                 r->name);
}

static void rounded(list *l, const oct_layer *r, const oct_quantizer *q, double bound) {
    oct_layer_warning *w = add(l, r->name, OCT_MEASURE_ROUND_LOSS, r->round_loss, bound);
    snprintf(w->text, sizeof w->text,
             "rounding takes %.3g %% of the sum of its values: its range is wide for %d bits (%s)",
             100 * r->round_loss, q->spec.bits, by_of(q));
    if (q->spec.bits < 8)
        snprintf(w->hint, sizeof w->hint, "the rule '%s:abits=8'", r->name);
    else if (!strcmp(q->observer, "percentile"))
        snprintf(w->hint, sizeof w->hint, "the rule '%s:observer=mae', or '%s:float'", r->name,
                 r->name);
    else
        snprintf(w->hint, sizeof w->hint,
                 "the rule '%s:observer=percentile' cuts rare large values; '%s:float'", r->name,
                 r->name);
}

static bool all_zero(const oct_tensor *t) {
    for (int64_t i = 0; i < oct_tensor_count(t); i++)
        if (oct_f32(t)[i] != 0) return false;
    return true;
}

/* A layer that says nothing: none of its weights, or nothing but 0 in calibration, or (where images
 * were looked at) one and the same value for each of them. */
static const char *dead_by(const oct_graph *g, const oct_node *n, const oct_layer *r,
                           bool several) {
    const oct_value *w = octi_node_in(g, n, 1);
    const oct_quantizer *q = &g->quantizers[g->values[n->out].quantizer];
    if (w && w->role == OCT_VALUE_PARAM && w->shape.rank >= 2 && all_zero(w->tensor))
        return "its weights are all 0";
    if (several && r->dead_float == r->channels)
        return octi_fmt("each of its %lld channels has one value, whatever the image",
                        (long long)r->channels);
    if (q->min_val && oct_f32(q->min_val)[0] == 0 && oct_f32(q->max_val)[0] == 0)
        return "all of its values were 0 when its range was observed";
    return NULL;
}

/* The first of a row of them: what stands behind a dead layer is dead by it. */
static void dead(list *l, const oct_net *net, const oct_layer *rows, bool several) {
    const oct_graph *g = net->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        if (!octi_is_source(g, &g->nodes[i])) continue;
        const char *by = dead_by(g, &g->nodes[i], &rows[i], several);
        if (!by) continue;
        oct_layer_warning *w = add(l, rows[i].name, OCT_MEASURE_DEAD, 1, 0);
        snprintf(w->text, sizeof w->text, "dead: %s", by);
        if (g->nodes[i].in[0] == g->input && g->nodes[i].kind == OCT_OP_quantize)
            snprintf(w->hint, sizeof w->hint, "all images are the same: oct_data_check tells more");
        else
            snprintf(w->hint, sizeof w->hint,
                     "train the float net again, with a lower .lr or another seed");
        return;
    }
}

/* What a learned step clips was trained with: no reason for a word unless accuracy fell. */
static void judge(list *l, const oct_layer *r, const oct_quantizer *q, bool fell) {
    if (q->method && !fell) return;
    /* steps of 8 bits in one of these: the best range trades one loss for the other */
    const int finer = 1 << (8 - q->spec.bits);
    const double clip = fmin(CLIP * finer, CLIP_MOST), round = fmin(ROUND * finer, ROUND_MOST);
    if (r->clip_loss > clip) clipped(l, r, q, clip);
    if (r->round_loss > round) rounded(l, r, q, round);
}

/* Nothing is beyond a bound, and accuracy fell: the layer that costs most by itself, weights and
 * all. */
static oct_status costliest(list *l, oct_net *net, oct_data *data, int64_t n, oct_layer *rows) {
    oct_data *some;
    OCT_TRY(octi_layers_some(net->ctx, data, n, &some));
    const oct_status s =
        oct_layers_sweep(net, some ? some : data, n, rows, net->graph->node_count, NULL);
    oct_data_free(some);
    OCT_TRY(s);
    const oct_layer *worst = NULL;
    for (int32_t i = 0; i < net->graph->node_count; i++)
        if (rows[i].sqnr_alone < (worst ? worst->sqnr_alone : INFINITY)) worst = &rows[i];
    if (!worst) return OCT_OK;
    oct_layer_warning *w = add(l, worst->name, OCT_MEASURE_SQNR_ALONE, worst->sqnr_alone, INFINITY);
    snprintf(w->text, sizeof w->text, "costs most: quantized alone it leaves %.1f dB at the output",
             worst->sqnr_alone);
    if (worst->weight_bits && worst->weight_bits < 8)
        snprintf(w->hint, sizeof w->hint, "the rule '%s:wbits=8', or oct_fit of the prepared net",
                 worst->name);
    else if (worst->weight_scheme == OCT_SCHEME_PER_TENSOR_AFFINE ||
             worst->weight_scheme == OCT_SCHEME_PER_TENSOR_SYMMETRIC)
        snprintf(w->hint, sizeof w->hint,
                 "the rule '%s:granularity=channel', or oct_fit of the prepared net", worst->name);
    else if (worst->bits < 8)
        snprintf(w->hint, sizeof w->hint, "the rule '%s:abits=8', or oct_fit of the prepared net",
                 worst->name);
    else
        snprintf(w->hint, sizeof w->hint, "the rule '%s:float', or oct_fit of the prepared net",
                 worst->name);
    return OCT_OK;
}

static oct_status look(list *l, oct_net *net, oct_data *data, int64_t n, double drop,
                       oct_layer *rows) {
    const oct_graph *g = net->graph;
    OCT_TRY(oct_net_settle(net));
    OCT_TRY(octi_layers_noise(net, data, n, true, rows));
    dead(l, net, rows, data && n > 1 && oct_data_count(data) > 1);
    if (!data) return OCT_OK;
    for (int32_t i = 0; i < g->node_count; i++)
        if (octi_is_source(g, &g->nodes[i]))
            judge(l, &rows[i], &g->quantizers[g->values[g->nodes[i].out].quantizer], drop > DROP);
    return l->count || !(drop > DROP) ? OCT_OK : costliest(l, net, data, n, rows);
}

oct_status oct_layer_warnings(oct_net *net, oct_data *data, int64_t n, double drop,
                              oct_layer_warning **rows, int32_t *count) {
    if (!net || !rows || !count) return octi_fail_null("oct_layer_warnings");
    *rows = NULL;
    *count = 0;
    if (net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    const size_t nodes = (size_t)net->graph->node_count;
    list l = {.row = octi_calloc(net->ctx, 2 * nodes + 2, sizeof *l.row)};
    oct_layer *layers = octi_calloc(net->ctx, nodes + 1, sizeof *layers);
    oct_status s = l.row && layers ? look(&l, net, data, n > 0 ? n : IMAGES, drop, layers)
                                   : oct_last_error()->code;
    octi_free(net->ctx, layers);
    if (s != OCT_OK || !l.count)
        octi_free(net->ctx, l.row);
    else {
        *rows = l.row;
        *count = l.count;
    }
    return s;
}

static const char *const measures[] = {"clip_loss", "round_loss", "sqnr_alone", "dead"};
static const octi_words measure_words = OCTI_WORDS("measure", measures);
OCTI_WORD_PAIR(oct_layer_measure, measure_words)

void oct_layer_warnings_free(oct_ctx *ctx, oct_layer_warning *rows) { octi_free(ctx, rows); }
