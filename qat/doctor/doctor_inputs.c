/* SPDX-License-Identifier: MIT
 * Causes in what a net is given, and in the float net itself: pictures in both parts, another
 * normalization, batch norm's statistics, dead channels. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/check.h"
#include "qat/doctor/doctor_case.h"
#include "qat/fit/layer_report.h"
#include "src/mem.h"
#include "src/words.h"

/* ---- pictures in both parts ---- */

static const int64_t LEAK_BYTES = (int64_t)2 << 30; /* of decoded pictures of a part */

/* A part to be compared; of a set that is larger than LEAK_BYTES a part of it, evenly. */
static oct_data *part_of(const octi_case *k, const char *spec, oct_split split) {
    const oct_input_desc *in = k->net->input.channels ? &k->net->input : NULL,
                         *d = oct_data_input(k->train);
    const int64_t each = (int64_t)d->channels * d->height * d->width,
                  most = LEAK_BYTES / (each > 0 ? each : 1);
    oct_data_opts o = {.split = split, .limit = k->limit, .input = in};
    if (!o.limit || o.limit > most) o.limit = most;
    return oct_data_open(k->ctx, spec, &o);
}

static oct_status share_leaked(const octi_case *k, const char *spec, double *share, int64_t *leaked,
                               int64_t *of) {
    oct_data *other = part_of(k, spec, OCT_SPLIT_TEST);
    oct_data_report *r = other ? oct_data_check(k->train, other, NULL) : NULL;
    const oct_status s = r ? OCT_OK : oct_last_error()->code;
    *leaked = r ? r->leaked : 0;
    *of = other ? oct_data_count(other) : 0;
    *share = *of ? (double)*leaked / (double)*of : 0;
    oct_data_report_free(k->ctx, r);
    oct_data_free(other);
    return s;
}

static bool is_share(const char *val) { return !val[strspn(val, "0123456789.eE+-")]; }

oct_status octi_cause_leaked(octi_case *k, oct_cause *c, char *with, size_t size) {
    double share, val_share = 0;
    int64_t n, of;
    const char *val = octi_option(&k->by, "val"), *part = "test part";
    OCT_TRY(share_leaked(k, k->spec, &share, &n, &of));
    if (val && !is_share(val)) {
        int64_t val_n, val_of;
        OCT_TRY(share_leaked(k, val, &val_share, &val_n, &val_of));
        if (val_share > share) {
            share = val_share, n = val_n, of = val_of;
            part = "validation set";
            snprintf(with, size, "val=0.1");
        }
    }
    if (!(share > c->bound)) return OCT_OK;
    c->value = c->gain = share;
    snprintf(c->evidence, sizeof c->evidence,
             "%lld of %lld pictures of the %s (%.3g %%) are trained on: what it says of them is "
             "memory",
             (long long)n, (long long)of, part, 100 * share);
    return OCT_OK;
}

/* ---- normalization ---- */

static bool same_description(const oct_input_desc *a, const oct_input_desc *b) {
    bool same = a->div == b->div;
    for (int c = 0; c < a->channels; c++)
        same = same && a->mean[c] == b->mean[c] && a->std[c] == b->std[c];
    return same;
}

static void numbers(char *to, size_t size, const float *v, int n) {
    size_t at = 0;
    for (int i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s%.6g", i ? "," : "", (double)v[i]);
}

/* The run's net in floats with another description: what it wins. */
static oct_status try_input(const octi_case *k, const oct_input_desc *from, oct_input_desc *by,
                            double *score, double *gain) {
    *by = k->net->input;
    by->div = from->div;
    memcpy(by->mean, from->mean, sizeof by->mean);
    memcpy(by->std, from->std, sizeof by->std);
    oct_net *copy = octi_case_copy(k);
    if (!copy) return oct_last_error()->code;
    oct_net_fake_quantize(copy, false);
    oct_status s = oct_net_set_input(copy, by);
    if (s == OCT_OK) s = octi_case_score(k, copy, score);
    oct_net_free(copy);
    if (s == OCT_OK) *gain = octi_case_relative(k, *score) - octi_case_relative(k, k->real);
    return s;
}

/* Against the float run's, which is known to be another: a point tells. Against the data's own: a
 * guess, which must be better than chance. */
oct_status octi_cause_normalization(octi_case *k, oct_cause *c, char *with, size_t size) {
    static const double POINT = 0.01;
    const oct_input_desc *now = &k->net->input, *from[2] = {0};
    if (k->overflow || !k->pixels || !now->channels) return OCT_OK;
    if (k->parent && k->parent->input.channels == now->channels) from[0] = &k->parent->input;
    if (k->own.channels == now->channels) from[1] = &k->own;
    int found = -1;
    for (int i = 0; i < 2; i++) {
        oct_input_desc by;
        double score = 0, gain = 0;
        if (!from[i] || same_description(now, from[i])) continue;
        if (i && from[0] && same_description(from[0], from[1])) continue; /* tried */
        OCT_TRY(try_input(k, from[i], &by, &score, &gain));
        if (!(gain > (i ? fmax(c->bound, k->chance) : POINT)) || gain <= c->gain) continue;
        found = i;
        k->right = by;
        k->right_score = score;
        c->gain = gain;
    }
    if (found < 0) return OCT_OK;
    c->value = c->gain;
    c->measured = true;
    char mean[80], std[80], was_mean[80], was_std[80];
    numbers(mean, sizeof mean, k->right.mean, now->channels);
    numbers(std, sizeof std, k->right.std, now->channels);
    numbers(was_mean, sizeof was_mean, now->mean, now->channels);
    numbers(was_std, sizeof was_std, now->std, now->channels);
    if (found)
        snprintf(with, size, "div=%g mean=%s std=%s", (double)k->right.div, mean, std);
    else /* as the float run has it */
        snprintf(with, size, "div= mean= std=");
    const char *text =
        octi_fmt("div %g mean %s std %s; with %s%.80s, div %g mean %s std %s, the "
                 "float net scores %.2f points better",
                 (double)now->div, was_mean, was_std, found ? "the data's own" : "those of ",
                 found ? "" : k->parent_path, (double)k->right.div, mean, std, 100 * c->gain);
    snprintf(c->evidence, sizeof c->evidence, "%s", text);
    return OCT_OK;
}

/* ---- batch norm ---- */

/* The largest step of a statistic, in standard deviations of the data's. */
static double drift(const oct_net *was, const oct_net *now, const char **layer) {
    double most = 0;
    for (int32_t i = 0; i < was->graph->node_count; i++) {
        const oct_node *node = &was->graph->nodes[i];
        for (int32_t j = 0; j < node->nin; j++) {
            const oct_value *v = node->in[j] >= 0 ? &was->graph->values[node->in[j]] : NULL;
            const char *dot = v && v->name ? strstr(v->name, ".running_mean") : NULL;
            if (!dot || dot[strlen(".running_mean")]) continue;
            const char *var = octi_fmt("%.*s.running_var", (int)(dot - v->name), v->name);
            const oct_tensor *m0 = oct_net_tensor(was, v->name), *m1 = oct_net_tensor(now, v->name),
                             *v1 = oct_net_tensor(now, var);
            for (int64_t e = 0; m0 && m1 && v1 && e < oct_tensor_count(m0); e++) {
                const double d = fabs((double)oct_f32(m0)[e] - oct_f32(m1)[e]) /
                                 sqrt(fmax((double)oct_f32(v1)[e], 1e-12));
                if (d > most) most = d, *layer = node->name;
            }
        }
    }
    return most;
}

/* What pixels that are normalized otherwise move is another cause: tried behind it. Training on the
 * grid has statistics of quantized weights: they are judged with these, not by floats. */
oct_status octi_cause_batch_norm(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    const bool mended = k->right.channels > 0;
    if (k->overflow) return OCT_OK;
    const bool on_grid = !strcmp(octi_maker(k), "qat") && !mended;
    const double real = mended ? k->right_score : k->real,
                 before = octi_case_relative(k, on_grid ? k->score : real);
    oct_net *copy = octi_case_copy(k);
    double score = k->real;
    const char *layer = "";
    oct_status s = copy ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK && mended) s = oct_net_set_input(copy, &k->right);
    if (!on_grid) oct_net_fake_quantize(copy, false);
    const int64_t more = k->calib < INT64_MAX / 2 ? 2 * k->calib : k->calib;
    if (s == OCT_OK) s = oct_reestimate_batch_norm(copy, k->train, more);
    if (s == OCT_OK) s = octi_case_score(k, copy, &score);
    const double gain = s == OCT_OK ? octi_case_relative(k, score) - before : 0;
    if (gain > fmax(c->bound, k->chance)) {
        const double most = drift(k->net, copy, &layer);
        c->value = gain;
        c->gain = gain;
        c->measured = true;
        const int32_t at = oct_graph_find_node(k->net->graph, layer);
        c->layer = at >= 0 ? k->net->graph->nodes[at].name : "";
        snprintf(c->evidence, sizeof c->evidence,
                 "a running mean is %.3g standard deviations off; estimated anew, the %s net "
                 "scores %.2f points better",
                 most, on_grid ? "quantized" : "float", 100 * gain);
    }
    oct_net_free(copy);
    return s;
}

/* ---- dead channels ---- */

/* Of the float net: a training on the grid that killed channels has causes of its own. */
static oct_status float_rows(octi_case *k, oct_net **prepared, oct_layer **rows) {
    enum { LOOK = 128 };
    *prepared = oct_prepare(k->parent ? k->parent : k->net, NULL);
    if (!*prepared) return oct_last_error()->code;
    *rows = octi_calloc(k->ctx, (size_t)(*prepared)->graph->node_count + 1, sizeof **rows);
    if (!*rows) return oct_last_error()->code;
    OCT_TRY(oct_net_set_input(*prepared, &k->net->input));
    OCT_TRY(oct_calibrate(*prepared, k->train, LOOK));
    return octi_layers_noise(*prepared, k->test, LOOK, true, *rows);
}

oct_status octi_cause_dead(octi_case *k, oct_cause *c, char *with, size_t size) {
    oct_net *net = NULL;
    oct_layer *rows = NULL;
    if (k->overflow || (k->quantized && !k->parent)) return OCT_OK;
    const oct_status s = float_rows(k, &net, &rows);
    int32_t worst = -1;
    double most = 0;
    for (int32_t i = 0; s == OCT_OK && i < net->graph->node_count; i++) {
        const oct_layer *r = &rows[i];
        if (!octi_is_weighted(net->graph, &net->graph->nodes[i]) || r->channels < 4 ||
            r->dead_float < 0)
            continue;
        const double share = (double)r->dead_float / (double)r->channels;
        if (share > most) most = share, worst = i;
    }
    if (most > c->bound) {
        const octi_made_by *by = k->quantized ? &k->parent_by : &k->by;
        double usual;
        const double was = octi_made_at_rate(by, false, &usual);
        const int32_t at = oct_graph_find_node(k->net->graph, rows[worst].name);
        snprintf(with, size, "%g", was > usual ? usual : was / 10);
        c->layer = at >= 0 ? k->net->graph->nodes[at].name : "";
        c->value = most;
        c->gain = (1 - k->reference) * most;
        snprintf(c->evidence, sizeof c->evidence,
                 "%lld of %lld channels of %s have one value for every image, as floats too",
                 (long long)rows[worst].dead_float, (long long)rows[worst].channels,
                 rows[worst].name);
    }
    octi_free(k->ctx, rows);
    oct_net_free(net);
    return s;
}

/* Right no more often than one answer to everything would be. */
oct_status octi_cause_nothing(octi_case *k, oct_cause *c, char *with, size_t size) {
    int32_t classes = 0; /* the data's: it may know others than the net */
    if (k->kind == OCT_SCORE_CLASSES) (void)oct_data_classes(k->test, &classes);
    if (classes < 2 || k->overflow) return OCT_OK;
    int64_t *counts = octi_calloc(k->ctx, (size_t)classes, sizeof *counts), most = 0, all = 0;
    oct_status s = counts ? oct_data_class_counts(k->test, counts) : oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < classes; i++) {
        all += counts[i];
        if (counts[i] > most) most = counts[i];
    }
    octi_free(k->ctx, counts);
    if (s != OCT_OK || !all) return s;
    const double guess = (double)most / (double)all,
                 chance = 2 * sqrt(guess * (1 - guess) / (double)k->n);
    if (!(guess + chance - k->best > c->bound)) return OCT_OK;
    const octi_made_by *by = k->quantized ? &k->parent_by : &k->by;
    const char *epochs = octi_option(by, "epochs");
    const long long was = epochs ? strtoll(epochs, NULL, 10) : 0;
    snprintf(with, size, "%lld", was > 0 && was < 1000 ? 10 * was : 10);
    c->value = guess + chance - k->best;
    snprintf(c->evidence, sizeof c->evidence,
             "the float net is right for %.2f %% of %lld images, one answer to all of them for "
             "%.2f %% (chance moves %.2f points): more epochs, more images, or another --lr",
             100 * k->best, (long long)k->n, 100 * guess, 100 * chance);
    return OCT_OK;
}
