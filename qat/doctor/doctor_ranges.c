/* SPDX-License-Identifier: MIT
 * Causes in the ranges of values: which images they come from, when observers stopped, what rare
 * large values do to them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qat/doctor/doctor_case.h"

enum { CALIB_DEFAULT = 512, CALIB_ENOUGH = 128 };

/* The layer that clips most, or loses most by rounding. */
static oct_status worst_by(octi_case *k, bool clip, const oct_layer **worst) {
    *worst = NULL;
    if (k->overflow) return OCT_OK;
    OCT_TRY(octi_case_layers(k));
    const oct_graph *g = k->measured->graph;
    for (int32_t i = 0; i < k->row_count; i++) {
        const oct_layer *r = &k->rows[i];
        const double v = clip ? r->clip_loss : r->round_loss;
        if (!octi_is_source(g, &g->nodes[i]) || isnan(v)) continue;
        if (!*worst || v > (clip ? (*worst)->clip_loss : (*worst)->round_loss)) *worst = r;
    }
    return OCT_OK;
}

static bool made_by(const octi_case *k, const char *maker) {
    const char *name = octi_maker(k);
    return !strcmp(name, maker) || (!*name && !strcmp(maker, "ptq"));
}

static void won(oct_cause *c, double gain, const oct_layer *worst) {
    c->value = c->gain = gain;
    c->measured = true;
    c->layer = worst ? worst->name : "";
}

/* What ranges observed anew win; the text says why they are wrong. */
static oct_status stale(octi_case *k, oct_cause *c, const char *why) {
    double gain;
    const oct_layer *worst;
    OCT_TRY(octi_case_observe(k, &k->observed, NULL, &gain));
    if (!(gain > c->bound)) return OCT_OK;
    OCT_TRY(worst_by(k, true, &worst));
    won(c, gain, worst);
    snprintf(c->evidence, sizeof c->evidence,
             "%s: ranges observed anew on %lld images win %.2f points; %s clips %.3g %% of its "
             "values' sum",
             why, (long long)k->calib, 100 * gain, c->layer, worst ? 100 * worst->clip_loss : 0.0);
    return OCT_OK;
}

static long long calibrated_on(const octi_case *k) {
    const char *calib = octi_option(&k->by, "calib");
    const long long n = calib ? strtoll(calib, NULL, 10) : CALIB_DEFAULT;
    const char *limit = octi_option(&k->by, "limit");
    const long long most = limit ? strtoll(limit, NULL, 10) : n;
    return n < most ? n : most;
}

static bool other_data(const octi_case *k) {
    const char *data = octi_option(&k->by, "data");
    return data && strcmp(data, k->spec);
}

oct_status octi_cause_small_calibration(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    char why[64];
    const long long n = calibrated_on(k);
    if (!made_by(k, "ptq") || n >= CALIB_ENOUGH || other_data(k)) return OCT_OK;
    snprintf(why, sizeof why, "calibrated on %lld images", n);
    return stale(k, c, why);
}

oct_status octi_cause_other_calibration(octi_case *k, oct_cause *c, char *with, size_t size) {
    char why[120];
    const bool other = other_data(k);
    if (!made_by(k, "ptq") || (!other && calibrated_on(k) < CALIB_ENOUGH)) return OCT_OK;
    snprintf(with, size, "%s", k->spec);
    if (other)
        snprintf(why, sizeof why, "calibrated on %.80s", octi_option(&k->by, "data"));
    else
        snprintf(why, sizeof why, "calibrated on images unlike these");
    return stale(k, c, why);
}

static double observed_until(const octi_case *k) {
    const char *until = octi_option(&k->by, "observe-until");
    return until ? strtod(until, NULL) : 0.5;
}

oct_status octi_cause_frozen_early(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    char why[80];
    const double until = observed_until(k);
    if (!made_by(k, "qat") || until >= 0.5) return OCT_OK;
    snprintf(why, sizeof why, "observers stopped at %.3g of the training", until);
    return stale(k, c, why);
}

oct_status octi_cause_frozen_late(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    char why[80];
    const double until = observed_until(k);
    if (!made_by(k, "qat") || until <= 0.5) return OCT_OK;
    snprintf(why, sizeof why, "observers moved until %.3g of the training", until);
    return stale(k, c, why);
}

/* What a range without its rarest values wins beyond one that is merely new. */
oct_status octi_cause_outliers(octi_case *k, oct_cause *c, char *with, size_t size) {
    (void)with, (void)size;
    double gain, anew;
    const oct_layer *worst;
    const char *observer = octi_option(&k->by, "observer");
    if (observer && !strcmp(observer, "percentile")) return OCT_OK;
    OCT_TRY(octi_case_observe(k, &k->percentile, "percentile", &gain));
    OCT_TRY(octi_case_observe(k, &k->observed, NULL, &anew));
    if (anew > 0) gain -= anew;
    if (!(gain > c->bound)) return OCT_OK;
    OCT_TRY(worst_by(k, false, &worst));
    won(c, gain, worst);
    snprintf(c->evidence, sizeof c->evidence,
             "ranges that leave out one value in 10000 win %.2f points; in %s rounding takes "
             "%.3g %% of the values' sum",
             100 * gain, c->layer, worst ? 100 * worst->round_loss : 0.0);
    return OCT_OK;
}
