/* SPDX-License-Identifier: MIT
 * Models side by side. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qat/report/show.h"

static bool classes(const oct_report_row *r) { return r->measured.score == OCT_SCORE_CLASSES; }
static double score_of(const oct_report_row *r) {
    return classes(r)                              ? r->measured.accuracy
           : r->measured.score == OCT_SCORE_VALUES ? r->measured.loss
                                                   : NAN;
}
static double bytes_of(const oct_report_row *r) {
    return r->measured.bytes > 0 ? (double)r->measured.bytes : NAN;
}
static double us_of(const oct_report_row *r) { return r->measured.us > 0 ? r->measured.us : NAN; }

static void cell(octi_page *p, const char *key, const char *format, double v, double most) {
    octi_page_raw(p, "<td class=\"n\"><span class=\"v\"");
    octi_page_put(p, " data-label=\"%s\"",
                  !strcmp(key, "n")    ? "images"
                  : !strcmp(key, "us") ? "us per image"
                                       : key);
    octi_page_data(p, key, v);
    octi_page_raw(p, ">");
    octi_page_number(p, format, v);
    octi_page_raw(p, "</span>");
    if (most > 0) octi_page_bar(p, v / most);
    octi_page_raw(p, "</td>");
}

static double largest(const oct_report *r, double (*of)(const oct_report_row *)) {
    double most = 0;
    for (int32_t i = 0; i < r->rows; i++)
        if (isfinite(of(&r->row[i]))) most = fmax(most, of(&r->row[i]));
    return most;
}

static void table(octi_page *p, const oct_report *r) {
    const double bytes = largest(r, bytes_of), us = largest(r, us_of);
    octi_page_raw(p, "<div class=\"wide\"><table class=\"cards\" data-table=\"rows\"><thead><tr>"
                     "<th>model</th><th>made by</th><th class=\"n\">accuracy</th>"
                     "<th class=\"n\">loss</th><th class=\"n\">images</th><th class=\"n\">bytes"
                     "</th><th class=\"n\">us per image</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < r->rows; i++) {
        const oct_report_row *row = &r->row[i];
        octi_page_put(p,
                      "<tr><td class=\"k\" data-name=\"%s\">%s</td><td class=\"k\" "
                      "data-how=\"%s\">%s</td>",
                      row->name, row->name, row->how, row->how);
        cell(p, "accuracy", "%.4f", classes(row) ? row->measured.accuracy : NAN, 0);
        cell(p, "loss", "%.4g", row->measured.score ? row->measured.loss : NAN, 0);
        cell(p, "n", "%.0f", row->measured.score ? (double)row->measured.n : NAN, 0);
        cell(p, "bytes", "%.0f", bytes_of(row), bytes);
        cell(p, "us", "%.1f", us_of(row), us);
        octi_page_raw(p, "</tr>\n");
        if (row->seeds > 1) {
            octi_page_raw(p, "<tr><td></td><td colspan=\"6\" class=\"note\"");
            octi_page_data(p, "spread", row->spread);
            octi_page_put(p, ">mean of %d seeds, standard deviation %.4f</td></tr>\n", row->seeds,
                          row->spread);
        }
    }
    octi_page_raw(p, "</tbody></table></div>\n");
}

/* "QAT lsq w4 a4" is of the family QAT: one colour. */
static size_t family(const char *how) { return strcspn(how, " "); }

/* What a dot is called: a run by its path, what a float run becomes by how. */
static const char *name_of(const oct_report *r, int32_t i) {
    const oct_report_row *row = &r->row[i];
    const bool again = i > 0 && !strcmp(row->name, r->row[i - 1].name);
    return again && *row->how ? row->how : row->name;
}

typedef struct families {
    char name[OCTI_SERIES][32];
    octi_legend legend[OCTI_SERIES];
    int n;
} families;

/* The series of a row; the last one holds all that have none of their own. */
static int series_of(families *f, const oct_report_row *row) {
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)family(row->how), row->how);
    int k = 0;
    while (k < f->n && strcmp(f->name[k], word)) k++;
    if (k == OCTI_SERIES) {
        strcpy(f->name[k - 1], "others");
        return k - 1;
    }
    if (k < f->n) return k;
    strcpy(f->name[k], word);
    f->legend[k] = (octi_legend){'d', k, f->name[k]};
    return f->n++;
}

static void plot(octi_page *p, const oct_report *r, const char *key, const char *caption,
                 const char *label, const char *unit, double (*of)(const oct_report_row *)) {
    octi_axis x = octi_axis_over(label, unit, NULL, 0, false),
              y = classes(&r->row[0]) ? octi_axis_over("accuracy", "%", NULL, 0, false)
                                      : octi_axis_over("loss", "", NULL, 0, false);
    families f = {.n = 0};
    x.log = true;
    for (int32_t i = 0; i < r->rows; i++) {
        const double v[2] = {of(&r->row[i]), score_of(&r->row[i])};
        octi_axis_take(&x, &v[0], 1);
        octi_axis_take(&y, &v[1], 1);
        (void)series_of(&f, &r->row[i]);
    }
    x.lo /= 1.3;
    x.hi *= 1.3;
    octi_plot g;
    octi_plot_open(&g, p, key, caption, "", x, y, f.legend, f.n);
    for (int32_t i = 0; i < r->rows; i++)
        octi_plot_dot(&g, series_of(&f, &r->row[i]), name_of(r, i), of(&r->row[i]),
                      score_of(&r->row[i]));
    for (int32_t i = 0; i < r->rows; i++)
        octi_plot_name(&g, name_of(r, i), of(&r->row[i]), score_of(&r->row[i]));
    octi_plot_close(&g);
}

void octi_show_rows(octi_page *p, const oct_report *r) {
    octi_page_heading(p, 2, "rows", "Side by side");
    octi_page_raw(p, "<p class=\"note\">Bytes of all tensors that a file of it would hold; time "
                     "of one image at a time, on the machine that wrote this page.</p>\n");
    table(p, r);
    if (r->rows < 2) return;
    octi_page_raw(p, "<div class=\"plots\">\n");
    plot(p, r, "accuracy_bytes", "Score against size", "size", "bytes", bytes_of);
    plot(p, r, "accuracy_us", "Score against time", "time per image", "us", us_of);
    octi_page_raw(p, "</div>\n");
}
