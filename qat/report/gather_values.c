/* SPDX-License-Identifier: MIT
 * What values were like, and where each observer would cut them. Of an observer that keeps a
 * histogram it is the run's own, of what calibration saw; else one of the report's images. */
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "qat/fit/score.h"
#include "qat/net/prepared.h"
#include "qat/report/gather.h"
#include "qat/scales/histogram.h"
#include "qat/scales/observing.h"
#include "qat/scales/scales.h"
#include "src/mem.h"

enum { SHOWN_BINS = 200, POINTS = 240, BATCH = 32, IMAGES = 128 };

static const struct search {
    const char *name;
    oct_status (*range)(const oct_observing *o, float *min, float *max);
} searches[OCTI_CLIPS] = {{"minmax", NULL},
                          {"percentile", octi_percentile_range},
                          {"entropy", octi_entropy_range},
                          {"histogram", octi_histogram_range},
                          {"mse", octi_mse_range},
                          {"mae", octi_mae_range}};

static const struct {
    const char *name;
    oct_dtype dtype;
    int64_t count;
} kept[] = {OCTI_HISTOGRAM_TENSORS};
enum { KEPT = sizeof kept / sizeof *kept };

/* A quantizer's histogram at work: of the run, or a new one. */
typedef struct watch {
    oct_observing o;
    bool own;
} watch;

static bool keeps_histogram(const oct_quantizer *q) {
    static const char *const names[] = {"histogram", "mse", "mae", "entropy", "percentile"};
    bool is = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) is |= !strcmp(q->observer, names[i]);
    for (int i = 0; is && i < KEPT; i++)
        is = q->state_count == KEPT && q->state[i] && q->state[i]->dtype == kept[i].dtype &&
             oct_tensor_count(q->state[i]) == kept[i].count;
    return is && oct_s64(q->state[1])[OCTI_GRID_COUNT] > 0;
}

static oct_status begin(oct_report *r, octi_arena *arena, const oct_quantizer *q, watch *w) {
    w->o = (oct_observing){.ctx = r->ctx,
                           .value = q->name,
                           .spec = &q->spec,
                           .averaging = q->averaging,
                           .percentile = q->percentile > 0 ? q->percentile : 99.99f};
    w->own = keeps_histogram(q);
    for (int i = 0; i < KEPT; i++) {
        if (w->own) {
            w->o.state[i] = q->state[i];
            continue;
        }
        oct_tensor *t = octi_tensor_in_arena(arena, kept[i].dtype, OCT_SHAPE(kept[i].count));
        if (!t) return oct_last_error()->code;
        memset(t->data, 0, oct_tensor_bytes(t));
        w->o.state[i] = t;
    }
    return OCT_OK;
}

/* ---- new ones, from the report's images ---- */

static oct_status look(oct_net *seen, oct_tape *tape, const oct_tensor *x, watch *list) {
    const oct_graph *g = seen->graph;
    oct_tape_begin(tape, OCT_EVAL);
    if (!oct_net_forward(seen, oct_input(tape, x))) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if (!octi_is_source(g, n)) continue;
        watch *w = &list[g->values[n->out].quantizer];
        const oct_tensor *v = oct_var_value(octi_tape_find(tape, n->name));
        if (w->own || !w->o.ctx || !v || v->dtype != OCT_F32) continue;
        OCT_TRY(octi_histogram_observe(&w->o, oct_f32(v), oct_tensor_count(v)));
    }
    return OCT_OK;
}

static oct_status watch_images(oct_report *r, octi_model *m, octi_arena *arena, watch *list) {
    oct_net *seen = octi_settled_view(m->net, arena); /* its switches are not the net's */
    if (!seen) return oct_last_error()->code;
    for (int32_t i = 0; i < seen->graph->quantizer_count; i++)
        if (seen->graph->quantizers[i].enabled) oct_u8(seen->graph->quantizers[i].enabled)[1] = 0;
    oct_tape *tape = oct_tape_new(r->ctx);
    oct_loader *l =
        tape ? oct_loader_new(m->some ? m->some : m->data,
                              &(oct_loader_opts){.batch = BATCH, .input = octi_net_input(seen)})
             : NULL;
    const int64_t most = m->layer_images && m->layer_images < IMAGES ? m->layer_images : IMAGES;
    oct_status s = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    for (int64_t n = 0; s == OCT_OK && n < most;) {
        oct_batch b;
        bool done = false;
        s = oct_loader_next(l, &b, &done);
        if (s != OCT_OK || done) break;
        oct_tensor x = *b.x;
        if (x.shape.dim[0] > most - n) x.shape.dim[0] = most - n;
        n += x.shape.dim[0];
        s = look(seen, tape, &x, list);
        if (s == OCT_OK) m->value_images = n;
    }
    oct_loader_free(l);
    oct_tape_free(tape);
    return s;
}

/* ---- what is shown of one ---- */

/* Neighbours together, so that no more bins are drawn than can be seen. */
static oct_status draw(oct_report *r, const octi_density *d, octi_values *v) {
    const int32_t by = (d->bins + SHOWN_BINS - 1) / SHOWN_BINS, n = (d->bins + by - 1) / by;
    v->bins = (octi_bins){.lo = d->first * d->width, .width = by * d->width, .n = n};
    v->bins.real = octi_arena_calloc(r->arena, (size_t)n + 1, sizeof *v->bins.real);
    if (!v->bins.real) return oct_last_error()->code;
    for (int32_t k = 0; k < d->bins; k++) v->bins.real[k / by] += (double)d->count[k];
    v->total = d->total;
    v->min = (double)d->min;
    v->max = (double)d->max;
    double other = 0;
    for (int32_t k = 0; k < d->bins; k++) other += (double)d->count[k];
    v->zeros = (double)d->total - other;
    return OCT_OK;
}

/* Values outside, those of a bin that is cut in part by the share of the bin. */
static double outside(const octi_density *d, double lo, double hi) {
    double sum = 0;
    for (int32_t k = 0; k < d->bins; k++) {
        const double a = d->edge[k] * d->width, b = d->edge[k + 1] * d->width;
        const double in = fmax(0, fmin(b, hi) - fmax(a, lo));
        const bool within = a >= lo && b <= hi;
        sum += within ? 0 : (double)d->count[k] * (b > a ? 1 - in / (b - a) : 0);
    }
    return sum / (double)d->total;
}

/* What the grid of these qparams clips: what is more than half a step beyond its last code, for all
 * else is rounded to that. */
static double clipped(const octi_density *d, const oct_qspec *spec, double scale, int32_t zero) {
    return outside(d, scale * (spec->qmin - zero - 0.5), scale * (spec->qmax - zero + 0.5));
}

static oct_status clips(const watch *w, const octi_density *d, const oct_quantizer *q,
                        octi_values *v) {
    for (int i = 0; i < OCTI_CLIPS; i++) {
        float lo = d->min, hi = d->max, scale;
        int32_t zero;
        if (searches[i].range) OCT_TRY(searches[i].range(&w->o, &lo, &hi));
        OCT_TRY(oct_qparams_from_range(&q->spec, lo, hi, q->name, &scale, &zero));
        v->clip[i] = (octi_clip){searches[i].name, (double)lo, (double)hi, 0};
        v->clip[i].beyond = clipped(d, &q->spec, (double)scale, zero);
    }
    v->beyond = clipped(d, &q->spec, (double)octi_scale(q), octi_zero_point(q));
    return OCT_OK;
}

/* Every threshold that the entropy search looked at, thinned out. */
static oct_status divergences(oct_report *r, const watch *w, octi_values *v) {
    const size_t most = 2 * OCTI_BINS + 2;
    oct_divergence *row = octi_calloc(r->ctx, most, sizeof *row);
    v->threshold = octi_arena_calloc(r->arena, POINTS + 2, sizeof *v->threshold);
    v->divergence = octi_arena_calloc(r->arena, POINTS + 2, sizeof *v->divergence);
    int32_t count = 0, chosen = 0;
    oct_status s = row && v->threshold && v->divergence ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK) s = octi_entropy_search(&w->o, OCTI_BINS, row, &count, &chosen);
    const int32_t by = count / POINTS + 1;
    for (int32_t i = 0; s == OCT_OK && i < count; i++) {
        if (i % by && i != chosen && i != count - 1) continue;
        if (v->points > POINTS) break;
        v->threshold[v->points] = fmax(fabs((double)row[i].lo), fabs((double)row[i].hi));
        v->divergence[v->points++] = row[i].divergence;
    }
    if (s == OCT_OK && count)
        v->chosen = fmax(fabs((double)row[chosen].lo), fabs((double)row[chosen].hi));
    octi_free(r->ctx, row);
    return s;
}

static oct_status show_one(oct_report *r, const oct_quantizer *q, const watch *w, octi_values *v,
                           bool *empty) {
    octi_arena *scratch = octi_ctx_scratch(r->ctx);
    if (!scratch) return oct_last_error()->code;
    const octi_arena_mark mark = octi_arena_save(scratch);
    const float scale = octi_scale(q);
    octi_density d;
    *v = (octi_values){
        .name = octi_arena_strdup(r->arena, q->name),
        .by = octi_arena_strdup(r->arena, q->method ? oct_method_name(q->method) : q->observer),
        .bits = q->spec.bits,
        .lo = (double)scale * (q->spec.qmin - octi_zero_point(q)),
        .hi = (double)scale * (q->spec.qmax - octi_zero_point(q)),
        .own = w->own,
        .chosen = NAN};
    oct_status s = v->name && v->by ? octi_density_of(&w->o, &d, empty) : oct_last_error()->code;
    if (s == OCT_OK && !*empty) s = draw(r, &d, v);
    if (s == OCT_OK && !*empty) s = clips(w, &d, q, v);
    if (s == OCT_OK && !*empty && w->own && !strcmp(q->observer, "entropy"))
        s = divergences(r, w, v);
    octi_arena_rewind(scratch, mark);
    return s;
}

static oct_status gather(oct_report *r, octi_model *m, octi_arena *arena) {
    const oct_graph *g = m->net->graph;
    const int32_t n = g->quantizer_count;
    watch *list = octi_arena_calloc(arena, (size_t)n + 1, sizeof *list);
    m->values = octi_arena_calloc(r->arena, (size_t)n + 1, sizeof *m->values);
    if (!list || !m->values) return oct_last_error()->code;
    bool new_ones = false;
    for (int32_t i = 0; i < n; i++) {
        const oct_quantizer *q = &g->quantizers[i];
        if (octi_is_weight(q) || !octi_quantizer_ready(q)) continue;
        OCT_TRY(begin(r, arena, q, &list[i]));
        new_ones |= !list[i].own;
    }
    if (new_ones && m->data) OCT_TRY(watch_images(r, m, arena, list));
    for (int32_t i = 0; i < n; i++) {
        bool empty = true;
        if (!list[i].o.ctx) continue;
        OCT_TRY(show_one(r, &g->quantizers[i], &list[i], &m->values[m->value_count], &empty));
        m->value_count += !empty;
    }
    return OCT_OK;
}

oct_status octi_gather_values(oct_report *r, octi_model *m) {
    if (m->net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    octi_arena *arena = octi_arena_new(r->ctx);
    const oct_status s = arena ? gather(r, m, arena) : oct_last_error()->code;
    octi_arena_free(arena);
    if (s != OCT_OK) m->value_count = 0;
    return octi_left_out(r, m, "histograms of values", s);
}
