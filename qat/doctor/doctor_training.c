/* SPDX-License-Identifier: MIT
 * Causes in how a net was trained. No trial in memory can mend them: their gain is what the trials
 * before leave unexplained. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/set.h"
#include "qat/doctor/doctor_case.h"
#include "qat/improve/oscillation.h"
#include "qat/scales/weights.h"
#include "src/mem.h"

/* Share of weights near a border above which they were driven there. */
static const double CROWDED = 0.35;

static double left_over(const octi_case *k) { return fmax(k->lost - k->explained, 0); }

/* ---- how far weights moved ---- */

typedef struct moved {
    double share; /* of their size: root of the squares' ratio, over all layers */
    double steps; /* of their grids: root mean square */
} moved;

static oct_status how_far(const octi_case *k, moved *m) {
    const oct_graph *g = k->net->graph;
    octi_arena *arena = octi_ctx_scratch(k->ctx);
    double squares = 0, size = 0, steps = 0, n = 0;
    if (!arena) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *node = &g->nodes[i];
        if (!octi_is_weighted(g, node) || node->kind == OCT_OP_batch_norm) continue;
        const oct_value *v = &g->values[node->in[OCTI_W]];
        const oct_tensor *was = oct_net_tensor(k->parent, v->name);
        if (!was || oct_tensor_count(was) != oct_tensor_count(v->tensor)) continue;
        const octi_arena_mark mark = octi_arena_save(arena);
        octi_qweights w;
        const oct_status s = octi_quantize_weights(k->net, node, 0, arena, &w);
        if (s != OCT_OK) return octi_arena_rewind(arena, mark), s;
        for (int32_t o = 0; o < w.o; o++) {
            const double unit = w.scale[o] / (w.factor ? fabs((double)w.factor[o]) : 1.0);
            for (int64_t e = o * w.k; e < (o + 1) * w.k; e++) {
                const double a = oct_f32(was)[e], d = (double)oct_f32(v->tensor)[e] - a;
                squares += d * d;
                size += a * a;
                steps += d / unit * (d / unit);
                n++;
            }
        }
        octi_arena_rewind(arena, mark);
    }
    m->share = size > 0 ? sqrt(squares / size) : 0;
    m->steps = n > 0 ? sqrt(steps / n) : -1;
    return OCT_OK;
}

oct_status octi_cause_older_weights(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    if (k->overflow || !octi_case_stale(k)) return OCT_OK;
    double own = fmax(octi_case_relative(k, k->real), octi_case_relative(k, k->score));
    /* what another normalization wins is not won twice */
    if (k->right.channels) own = fmax(own, octi_case_relative(k, k->right_score));
    const double gain = octi_case_relative(k, k->parent_score) - own;
    if (!(gain > c->bound)) return OCT_OK;
    c->value = c->gain = gain;
    c->measured = true;
    snprintf(c->evidence, sizeof c->evidence,
             "%.160s was trained on since the run was made of it: its weights score %.2f points "
             "better than those that the run has",
             k->parent_path, 100 * gain);
    return OCT_OK;
}

static bool trained(const octi_case *k) {
    return !strcmp(octi_maker(k), "qat") && k->parent && !k->overflow && !octi_case_stale(k);
}

oct_status octi_cause_rate_high(octi_case *k, oct_cause *c, char *with, size_t size) {
    moved m;
    double usual;
    if (!trained(k)) return OCT_OK;
    const double lr = octi_made_at_rate(&k->by, true, &usual);
    OCT_TRY(how_far(k, &m));
    if (!(m.share > c->bound)) return OCT_OK;
    snprintf(with, size, "%g", lr > 2 * usual ? usual : lr / 10);
    c->value = m.share;
    c->gain = left_over(k);
    snprintf(c->evidence, sizeof c->evidence,
             "at a learning rate of %g weights moved by %.0f %% of their size, %.3g steps of their "
             "grid; %.2f points are lost and not explained otherwise",
             lr, 100 * m.share, m.steps, 100 * c->gain);
    return OCT_OK;
}

oct_status octi_cause_rate_low(octi_case *k, oct_cause *c, char *with, size_t size) {
    moved m;
    double usual;
    if (!trained(k)) return OCT_OK;
    const double lr = octi_made_at_rate(&k->by, true, &usual);
    OCT_TRY(how_far(k, &m));
    if (m.steps < 0 || m.steps >= c->bound || lr >= usual) return OCT_OK;
    snprintf(with, size, "%g", usual);
    c->value = fmax(m.steps, 1e-12);
    /* what fewer bits cost was to be won back by this training: all but what ranges cost */
    const double ranges = k->observed.done ? octi_case_gain(k, k->observed.score) : 0;
    c->gain = fmax(k->lost - fmax(ranges, 0), 0);
    snprintf(c->evidence, sizeof c->evidence,
             "at a learning rate of %g weights moved by %.2g steps of their grid: hardly a code "
             "changed, and %.2f points stay lost",
             lr, m.steps, 100 * c->gain);
    return OCT_OK;
}

/* ---- oscillation ---- */

/* Share of the weights below 8 bits that lie within a tenth of a step of a border; -1: there are
 * none. */
static oct_status at_borders(const octi_case *k, double *share, const char **layer) {
    const oct_graph *g = k->net->graph;
    octi_arena *arena = octi_ctx_scratch(k->ctx);
    double near = 0, n = 0, worst = 0;
    if (!arena) return oct_last_error()->code;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *node = &g->nodes[i];
        if (!octi_is_weighted(g, node) || node->kind == OCT_OP_batch_norm ||
            octi_weight_quantizer(g, node)->spec.bits >= 8)
            continue;
        const float *value = oct_f32(g->values[node->in[OCTI_W]].tensor);
        const octi_arena_mark mark = octi_arena_save(arena);
        octi_qweights w;
        const oct_status s = octi_quantize_weights(k->net, node, 0, arena, &w);
        if (s != OCT_OK) return octi_arena_rewind(arena, mark), s;
        double own = 0;
        for (int32_t o = 0; o < w.o; o++) {
            const double unit = w.scale[o] / (w.factor ? (double)w.factor[o] : 1.0);
            for (int64_t e = o * w.k; e < (o + 1) * w.k; e++) {
                const double u = fabs(value[e] / unit);
                own += fabs(u - floor(u) - 0.5) < 0.1;
            }
        }
        near += own;
        n += (double)w.o * (double)w.k;
        if (own / ((double)w.o * (double)w.k) > worst)
            worst = own / ((double)w.o * (double)w.k), *layer = node->name;
        octi_arena_rewind(arena, mark);
    }
    *share = n > 0 ? near / n : -1;
    return OCT_OK;
}

static double share_of_tracked(const oct_net *net) {
    const double tracked = (double)oct_oscillation_count(net, OCT_SWING_TRACKED);
    return tracked > 0 ? (double)oct_oscillation_count(net, OCT_SWING_OSCILLATING) / tracked : -1;
}

/* Share of the tracked weights that swing: as the run counted them; where it did not, and its rate
 * never fell, by some steps more of the same training on a copy. -1: not known. */
static oct_status swinging(const octi_case *k, double *share) {
    enum { STEPS = 100 };
    const char *schedule = octi_option(&k->by, "schedule"), *lr = octi_option(&k->by, "lr"),
               *batch = octi_option(&k->by, "batch"), *optimizer = octi_option(&k->by, "optimizer");
    *share = share_of_tracked(k->net);
    if (*share >= 0 || !schedule || strcmp(schedule, oct_schedule_kind_name(OCT_SCHEDULE_CONSTANT)))
        return OCT_OK;
    oct_fit_opts f = {.epochs = 1,
                      .lr = lr ? strtof(lr, NULL) : 0,
                      .batch = batch ? strtoll(batch, NULL, 10) : 0,
                      .schedule = OCT_SCHEDULE_CONSTANT,
                      .warmup = OCT_NONE,
                      .bn_images = OCT_NONE,
                      .oscillation = OCT_OSCILLATION_MEASURE};
    if (optimizer) OCT_TRY(oct_optim_kind_from_name(optimizer, &f.optimizer));
    const int64_t images = STEPS * (f.batch ? f.batch : OCTI_DEFAULT_BATCH);
    oct_net *copy = octi_case_copy(k);
    oct_data *data = copy ? oct_data_open(k->ctx, k->spec,
                                          &(oct_data_opts){.input = &copy->input,
                                                           .classes = k->net->classes,
                                                           .class_count = k->net->class_count,
                                                           .limit = images})
                          : NULL;
    while (data && (int64_t)f.epochs * oct_data_count(data) < images) f.epochs++;
    const oct_status s = data ? oct_fit(copy, data, &f) : oct_last_error()->code;
    if (s == OCT_OK) *share = share_of_tracked(copy);
    oct_data_free(data);
    oct_net_free(copy);
    if (s != OCT_EDIVERGED) return s;
    oct_clear_error(); /* a rate that high is another cause */
    return OCT_OK;
}

oct_status octi_cause_oscillating(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    double border = -1, share = -1;
    const char *layer = "", *mode = octi_option(&k->by, "oscillation");
    if (!trained(k) || (mode && (!strcmp(mode, "freeze") || !strcmp(mode, "damp")))) return OCT_OK;
    OCT_TRY(at_borders(k, &border, &layer));
    if (border < 0) return OCT_OK;
    OCT_TRY(swinging(k, &share));
    const bool seen = share > c->bound, crowded = border > CROWDED;
    if (!seen && !crowded) return OCT_OK;
    c->value = seen ? share : border;
    c->gain = left_over(k);
    c->layer = layer;
    snprintf(
        c->evidence, sizeof c->evidence,
        "of the weights below 8 bits %.2g %% swing between two codes, and %.0f %% lie within a "
        "tenth of a step of a border (a fifth would by chance); %.2f points are lost and not "
        "explained otherwise",
        100 * fmax(share, 0), 100 * border, 100 * c->gain);
    return OCT_OK;
}

/* ---- nothing else ---- */

/* Most of the loss is nobody's: the layer that costs most by itself is said. */
static oct_status nobodys(octi_case *k, oct_cause *c, const char *more) {
    const double left = left_over(k);
    if (k->overflow || !(left > c->bound) || left < 0.5 * k->lost) return OCT_OK;
    OCT_TRY(octi_case_layers(k));
    const oct_layer *worst = NULL;
    for (int32_t i = 0; i < k->row_count; i++)
        if (!isnan(k->rows[i].sqnr_alone) && (!worst || k->rows[i].sqnr_alone < worst->sqnr_alone))
            worst = &k->rows[i];
    c->value = left;
    /* behind every cause that was seen */
    c->gain = k->named ? 0 : left;
    c->layer = worst ? worst->name : "";
    snprintf(c->evidence, sizeof c->evidence,
             "%.2f points are lost and no single cause explains them%s; %s costs most, %.1f dB at "
             "the output by itself",
             100 * left, more, c->layer, worst ? worst->sqnr_alone : 0.0);
    return OCT_OK;
}

oct_status octi_cause_untrained(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    return strcmp(octi_maker(k), "qat") ? nobodys(k, c, "") : OCT_OK;
}

oct_status octi_cause_short_training(octi_case *k, oct_cause *c, char *with, size_t size) {
    const char *epochs = octi_option(&k->by, "epochs");
    const long long n = epochs ? strtoll(epochs, NULL, 10) : 3;
    char more[48];
    if (strcmp(octi_maker(k), "qat")) return OCT_OK;
    snprintf(with, size, "%lld", 4 * n);
    snprintf(more, sizeof more, " behind %lld epoch%s", n, n == 1 ? "" : "s");
    return nobodys(k, c, more);
}
