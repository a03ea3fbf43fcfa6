/* SPDX-License-Identifier: MIT
 * Histograms of weights, float against dequantized, and the ranges of their channels. */
#include <math.h>
#include <stdio.h>

#include "qat/report/show.h"
#include "src/mem.h"

static void histogram(octi_page *p, const octi_weights *w, const octi_bins *b, const char *key,
                      const char *where, const char *what, const char *unit) {
    char caption[240], real[64], code[80];
    octi_legend legend[2];
    int n = 0;
    octi_axis x = {.label = what, .unit = unit, .lo = b->lo, .hi = b->lo + b->n * b->width},
              y = octi_axis_over("weights", "", b->real ? b->real : b->code, b->n, true);
    if (b->code) octi_axis_take(&y, b->code, b->n);
    snprintf(caption, sizeof caption, "%.180s: %s", w->layer, where);
    snprintf(real, sizeof real, "float: %lld values", (long long)w->distinct_float);
    snprintf(code, sizeof code, "dequantized: %lld values", (long long)w->distinct);
    if (b->real) legend[n++] = (octi_legend){'h', 0, real};
    if (b->code) legend[n++] = (octi_legend){'h', 1, code};
    octi_plot g;
    octi_plot_open(&g, p, key, caption, "", x, y, legend, n);
    if (b->code) octi_plot_bins(&g, 1, "code", b->lo, b->width, b->code, b->n);
    if (b->real) octi_plot_bins(&g, 0, "float", b->lo, b->width, b->real, b->n);
    octi_plot_close(&g);
}

/* Drawn together where they are many: from the least of their weights to the largest, the end of
 * their grids that is farthest out. */
static void ranges(const octi_show *s, const octi_weights *w) {
    octi_page *p = s->p;
    const int64_t n = w->channels, by = octi_together(n, s->detail->columns),
                  bars = (n + by - 1) / by;
    double *lo = octi_calloc(p->ctx, (size_t)bars * 3, sizeof *lo), *hi = lo + bars,
           *reach = hi + bars;
    if (!lo) {
        p->status = oct_last_error()->code;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = i / by;
        const bool first = i % by == 0;
        lo[k] = first ? w->lo[i] : fmin(lo[k], w->lo[i]);
        hi[k] = first ? w->hi[i] : fmax(hi[k], w->hi[i]);
        reach[k] = first ? w->reach[i] : fmax(reach[k], w->reach[i]);
    }
    octi_axis x = {.label = "output channel", .unit = "", .lo = 0, .hi = (double)n, .whole = true},
              y = octi_axis_over("weight", "", w->lo, n, true);
    octi_axis_take(&y, w->hi, n);
    octi_axis_take(&y, w->reach, n);
    char bar[80];
    snprintf(bar, sizeof bar, "from the least to the largest weight of %lld channels",
             (long long)by);
    octi_legend legend[2] = {
        {'h', 0, by > 1 ? bar : "from the least to the largest weight"},
        {'l', 1, by > 1 ? "farthest end of their grids" : "end of the channel's grid"}};
    char caption[240];
    snprintf(caption, sizeof caption, "%.200s: ranges", w->layer);
    octi_plot g;
    const bool grid = isfinite(w->reach[0]);
    octi_plot_open(&g, p, "weight_ranges", caption, "", x, y, legend, grid ? 2 : 1);
    octi_plot_spans(&g, 0, "range", lo, hi, bars, by);
    if (grid) octi_plot_levels(&g, 1, "reach", reach, bars, by);
    octi_plot_close(&g);
    octi_free(p->ctx, lo);
}

void octi_show_weights(const octi_show *s) {
    octi_page *p = s->p;
    const octi_model *m = s->m;
    octi_page_raw(p, "<p class=\"note\">Weights as codes are made from them: batch norm is folded "
                     "in. The first plot of a layer is its whole range, a bin a step where the "
                     "layer has one grid. The second is cut into quarters of a step of each "
                     "channel's own grid: floats lie between the steps, codes on them.</p>\n"
                     "<div class=\"wide\"><table class=\"cards\" data-table=\"weights\"><thead>"
                     "<tr><th>layer</th><th class=\"n\">weights</th><th class=\"n\">bits</th>"
                     "<th class=\"n\">distinct, float</th><th class=\"n\">dequantized</th>"
                     "<th class=\"n\">codes used</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < m->weight_layers; i++) {
        const octi_weights *w = &m->weights[i];
        const struct {
            const char *key;
            double v;
        } cells[] = {{"count", (double)w->count},
                     {"bits", w->bits},
                     {"distinct_float", w->distinct_float < 0 ? NAN : (double)w->distinct_float},
                     {"distinct", w->distinct < 0 ? NAN : (double)w->distinct},
                     {"codes", w->codes ? w->codes : NAN}};
        octi_page_put(p, "<tr><td class=\"k\" data-layer=\"%s\">%s</td>", w->layer, w->layer);
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++) {
            octi_page_put(p, "<td class=\"n\"><span data-label=\"%s\"", cells[k].key);
            octi_page_data(p, cells[k].key, cells[k].v);
            octi_page_raw(p, ">");
            octi_page_number(p, "%.0f", cells[k].v);
            octi_page_raw(p, "</span></td>");
        }
        octi_page_raw(p, "</tr>\n");
    }
    octi_page_raw(p, "</tbody></table></div>\n<div class=\"plots\">\n");
    for (int32_t i = 0; i < m->weight_layers; i++) {
        const octi_weights *w = &m->weights[i];
        if (!octi_shows_plots(s, w->layer)) continue;
        octi_bins whole =
            octi_bins_joined(p, &w->whole, octi_together(w->whole.n, s->detail->bins));
        histogram(p, w, &whole, "weights", "the whole range", "weight", "");
        octi_bins_free(p, &whole);
        if (w->steps.n)
            histogram(p, w, &w->steps, "weight_steps", "step by step", "weight / scale", "steps");
        ranges(s, w);
    }
    octi_page_raw(p, "</div>\n");
}
