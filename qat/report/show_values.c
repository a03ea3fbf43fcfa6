/* SPDX-License-Identifier: MIT
 * Histograms of values with each observer's clip, and the divergence that entropy chose by. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qat/report/show.h"

static void histogram(octi_page *p, const octi_values *v, const octi_bins *b, int64_t images) {
    char caption[240], note[200], names[OCTI_CLIPS + 2][96];
    octi_legend legend[OCTI_CLIPS + 2];
    octi_axis x = {.label = "value",
                   .unit = "",
                   .lo = fmin(b->lo, v->lo),
                   .hi = fmax(b->lo + b->n * b->width, v->hi)},
              y = {.label = "values", .unit = "", .lo = 0.5, .hi = 1, .log = true};
    octi_axis_take(&y, b->real, b->n);
    snprintf(caption, sizeof caption, "%.200s", v->name);
    if (v->own)
        snprintf(note, sizeof note, "%lld values of calibration, %.3g %% of them exactly 0",
                 (long long)v->total, 100 * v->zeros / (double)v->total);
    else
        snprintf(note, sizeof note, "%lld values of %lld images, %.3g %% of them exactly 0",
                 (long long)v->total, (long long)images, 100 * v->zeros / (double)v->total);
    snprintf(names[0], sizeof names[0], "values, without zeros");
    legend[0] = (octi_legend){'h', 7, names[0]};
    snprintf(names[1], sizeof names[1], "in use (%.40s): %.4g to %.4g, beyond %.2g %%", v->by,
             v->lo, v->hi, 100 * v->beyond);
    legend[1] = (octi_legend){'l', 0, names[1]};
    for (int i = 0; i < OCTI_CLIPS; i++) {
        const octi_clip *c = &v->clip[i];
        snprintf(names[i + 2], sizeof names[0], "%s: %.4g to %.4g, beyond %.2g %%", c->observer,
                 c->lo, c->hi, 100 * c->beyond);
        legend[i + 2] = (octi_legend){'l', i + 1, names[i + 2]};
    }
    octi_plot g;
    octi_plot_open(&g, p, "values", caption, note, x, y, legend, OCTI_CLIPS + 2);
    octi_plot_bins(&g, 7, "values", b->lo, b->width, b->real, b->n);
    for (int i = OCTI_CLIPS - 1; i >= 0; i--) {
        octi_plot_mark_x(&g, i + 1, v->clip[i].observer, v->clip[i].hi);
        if (v->clip[i].lo < 0) octi_plot_mark_x(&g, i + 1, v->clip[i].observer, v->clip[i].lo);
    }
    octi_plot_mark_x(&g, 0, "in_use", v->hi);
    if (v->lo < 0) octi_plot_mark_x(&g, 0, "in_use", v->lo);
    octi_plot_close(&g);
}

static void divergence(octi_page *p, const octi_values *v) {
    char caption[240];
    const octi_legend legend[] = {{'l', 1, "divergence"}, {'l', 0, "chosen"}};
    octi_axis x = octi_axis_over("threshold", "", v->threshold, v->points, true),
              y = {.label = "Kullback-Leibler", .unit = "nats", .lo = 1, .hi = 1e-9, .log = true};
    octi_axis_take(&y, v->divergence, v->points);
    snprintf(caption, sizeof caption, "%.200s: divergence over the threshold", v->name);
    octi_plot g;
    octi_plot_open(&g, p, "divergence", caption,
                   "Chosen: the least one among the thresholds by which no more is lost than won",
                   x, y, legend, 2);
    octi_plot_line(&g, 1, "divergence", v->threshold, v->divergence, v->points);
    octi_plot_mark_x(&g, 0, "chosen", v->chosen);
    octi_plot_close(&g);
}

void octi_show_values(const octi_show *s) {
    const octi_model *m = s->m;
    octi_page_raw(s->p,
                  "<p class=\"note\">Each grid of values, with the ends that it has and those "
                  "that each observer would give it by the same histogram. Where two ends "
                  "are equal one line hides the other. Beyond: the share of the values that such a "
                  "grid would clip.</p>\n<div class=\"plots\">\n");
    for (int32_t i = 0; i < m->value_count; i++) {
        const octi_values *v = &m->values[i];
        if (!octi_shows_plots(s, v->name)) continue;
        octi_bins b = octi_bins_joined(s->p, &v->bins, octi_together(v->bins.n, s->detail->bins));
        histogram(s->p, v, &b, m->value_images);
        octi_bins_free(s->p, &b);
        if (v->points > 1) divergence(s->p, v);
    }
    octi_page_raw(s->p, "</div>\n");
}
