/* SPDX-License-Identifier: MIT
 * How scales moved over the epochs. */
#include <math.h>
#include <stdlib.h>

#include "qat/report/show.h"

static double change(const octi_history *h, int32_t n) {
    return n > 1 && h->scale[0] > 0 ? h->scale[n - 1] / h->scale[0] - 1 : NAN;
}

/* Those that moved most, as shares of where they began. */
static void plot(const octi_show *s) {
    enum { MOST = 7, POINTS = 2000 };
    const octi_epochs *e = &s->m->epochs;
    int32_t pick[MOST], picks = 0;
    double y[POINTS];
    for (int32_t i = 0; i < e->histories; i++) {
        const double c = fabs(change(&e->history[i], e->n));
        if (!isfinite(c)) continue;
        int32_t at = picks;
        while (at > 0 && fabs(change(&e->history[pick[at - 1]], e->n)) < c) at--;
        if (at >= MOST) continue;
        if (picks < MOST) picks++;
        for (int32_t k = picks - 1; k > at; k--) pick[k] = pick[k - 1];
        pick[at] = i;
    }
    if (!picks || e->n > POINTS) return;
    octi_axis x = octi_axis_over("epoch", "", e->epoch, e->n, false),
              axis = {.label = "scale / scale of the first epoch", .unit = "", .lo = 1, .hi = 1};
    octi_legend legend[MOST];
    x.whole = true;
    for (int32_t k = 0; k < picks; k++) {
        const octi_history *h = &e->history[pick[k]];
        legend[k] = (octi_legend){'l', k, h->name};
        for (int32_t i = 0; i < e->n; i++) y[i] = h->scale[i] / h->scale[0];
        octi_axis_take(&axis, y, e->n);
    }
    octi_plot g;
    octi_page_raw(s->p, "<div class=\"plots\">\n");
    octi_plot_open(&g, s->p, "scales", "Scales that moved most", "", x, axis, legend, picks);
    for (int32_t k = 0; k < picks; k++) {
        const octi_history *h = &e->history[pick[k]];
        for (int32_t i = 0; i < e->n; i++) y[i] = h->scale[i] / h->scale[0];
        octi_plot_line(&g, k, h->name, e->epoch, y, e->n);
    }
    octi_plot_close(&g);
    octi_page_raw(s->p, "</div>\n");
}

static void number(octi_page *p, const char *key, const char *format, double v) {
    octi_page_put(p, "<td class=\"n\"><span data-label=\"%s\"", key);
    octi_page_data(p, key, v);
    octi_page_raw(p, ">");
    octi_page_number(p, format, v);
    octi_page_raw(p, "</span></td>");
}

void octi_show_scales(const octi_show *s) {
    octi_page *p = s->p;
    const octi_epochs *e = &s->m->epochs;
    if (e->n > 1) plot(s);
    octi_page_raw(p, "<p class=\"note\">At the end of the first and of the last epoch; of a grid "
                     "for each channel the mean.</p>\n<div class=\"wide\"><table class=\"cards\" "
                     "data-table=\"scales\"><thead><tr><th>grid</th><th class=\"n\">channels</th>"
                     "<th class=\"n\">first</th><th class=\"n\">last</th><th class=\"n\">change, "
                     "per cent</th><th>epochs</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < e->histories; i++) {
        const octi_history *h = &e->history[i];
        octi_page_put(p, "<tr><td class=\"k\" data-name=\"%s\">%s</td>", h->name, h->name);
        number(p, "channels", "%.0f", h->channels);
        number(p, "first", "%.5g", h->scale[0]);
        number(p, "last", "%.5g", h->scale[e->n - 1]);
        number(p, "change", "%+.2f", 100 * change(h, e->n));
        octi_page_raw(p, "<td>");
        if (e->n > 1) octi_plot_spark(p, h->scale, e->n);
        octi_page_raw(p, "</td></tr>\n");
    }
    octi_page_raw(p, "</tbody></table></div>\n");
}
