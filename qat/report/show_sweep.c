/* SPDX-License-Identifier: MIT
 * One layer quantized at a time, the costliest first. */
#include <math.h>
#include <stdlib.h>

#include "qat/report/show.h"

enum { ROWS_MOST = 4096 };

/* Less signal over noise at the output comes first; what makes no noise at all last. */
static int by_cost(const void *a, const void *b) {
    const oct_layer *x = *(const oct_layer *const *)a, *y = *(const oct_layer *const *)b;
    const double u = isfinite(x->sqnr_alone) ? x->sqnr_alone : INFINITY,
                 v = isfinite(y->sqnr_alone) ? y->sqnr_alone : INFINITY;
    if (u != v) return u < v ? -1 : 1;
    return x < y ? -1 : x > y;
}

void octi_show_sweep(const octi_show *s) {
    octi_page *p = s->p;
    const octi_model *m = s->m;
    static const char *const heads[] = {"SQNR at the output, dB", "accuracy", "change, points"};
    const oct_layer *row[ROWS_MOST];
    int32_t n = 0;
    double most = 0, worst = 0;
    for (int32_t i = 0; i < m->layers && n < ROWS_MOST; i++) {
        const oct_layer *l = &m->layer[i];
        if (!isfinite(l->sqnr_alone) && !isfinite(l->accuracy_alone)) continue;
        row[n++] = l;
        if (isfinite(l->sqnr_alone)) most = fmax(most, l->sqnr_alone);
        worst = fmax(worst, m->sweep_float - l->accuracy_alone);
    }
    qsort(row, (size_t)n, sizeof *row, by_cost);
    octi_page_put(p, "<p class=\"note\">This layer quantized, all others float, on %lld images",
                  (long long)m->sweep_images);
    if (isfinite(m->sweep_float))
        octi_page_put(p, " (accuracy with none quantized: %.4f)", m->sweep_float);
    octi_page_raw(p, ". The first ones are the first to try in float, or with more bits.</p>\n"
                     "<div class=\"wide\"><table class=\"cards\" data-table=\"sweep\"><thead><tr>"
                     "<th>layer</th>");
    for (int k = 0; k < 3; k++) octi_page_put(p, "<th class=\"n\">%s</th>", heads[k]);
    octi_page_raw(p, "</tr></thead><tbody>\n");
    for (int32_t i = 0; i < n; i++) {
        const double change = 100 * (row[i]->accuracy_alone - m->sweep_float);
        const struct {
            const char *key, *format;
            double v, bar;
        } cells[] = {{"sqnr_alone", "%.1f", row[i]->sqnr_alone, row[i]->sqnr_alone / most},
                     {"accuracy_alone", "%.4f", row[i]->accuracy_alone, 0},
                     {NULL, "%+.2f", change, worst > 0 ? -change / (100 * worst) : 0}};
        octi_page_put(p, "<tr><td class=\"k\" data-name=\"%s\">%s</td>", row[i]->name,
                      row[i]->name);
        for (int k = 0; k < 3; k++) {
            octi_page_put(p, "<td class=\"n\"><span data-label=\"%s\"", heads[k]);
            if (cells[k].key) octi_page_data(p, cells[k].key, cells[k].v);
            octi_page_raw(p, ">");
            octi_page_number(p, cells[k].format, cells[k].v);
            octi_page_raw(p, "</span>");
            if (cells[k].bar > 0) octi_page_bar(p, cells[k].bar);
            octi_page_raw(p, "</td>");
        }
        octi_page_raw(p, "</tr>\n");
    }
    octi_page_raw(p, "</tbody></table></div>\n");
}
