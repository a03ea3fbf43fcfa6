/* SPDX-License-Identifier: MIT
 * The per-layer table. */
#include <math.h>

#include "qat/report/show.h"

static double most_of(const octi_model *m, const octi_layer_column *c) {
    double most = 0;
    for (int32_t i = 0; c->bar && i < m->layers; i++) {
        const double v = c->number(&m->layer[i]);
        if (isfinite(v)) most = fmax(most, v);
    }
    return most;
}

enum { COLUMNS = 32 };

/* What of a table is shown: cells without a value in any row are not. */
typedef struct cells {
    double most[COLUMNS];
    bool on[COLUMNS];
} cells;

static bool has_value(const octi_layer_column *c, const oct_layer *l) {
    return c->word ? c->word(l) != NULL : isfinite(c->number(l));
}

static bool ends_cell(int k) {
    return k + 1 == octi_layer_column_count || !octi_layer_columns[k + 1].below;
}

static cells cells_of(const octi_model *m) {
    cells s = {.most = {0}};
    for (int k = 0, first = 0; k < octi_layer_column_count && k < COLUMNS; k++) {
        const octi_layer_column *c = &octi_layer_columns[k];
        s.most[k] = most_of(m, c);
        for (int32_t i = 0; i < m->layers; i++) s.on[first] |= has_value(c, &m->layer[i]);
        if (!ends_cell(k)) continue;
        for (int j = first; j <= k; j++) s.on[j] = s.on[first];
        first = k + 1;
    }
    return s;
}

static void head(octi_page *p, const cells *shown) {
    octi_page_raw(p, "<thead><tr>");
    for (int k = 0; k < octi_layer_column_count; k++) {
        const octi_layer_column *c = &octi_layer_columns[k];
        if (!shown->on[k]) continue;
        if (!c->below) octi_page_put(p, "<th scope=\"col\" class=\"%s\">", c->number ? "n" : "k");
        octi_page_put(p, "<span class=\"%s\">%s</span>", c->below ? "b" : "v", c->label);
        if (ends_cell(k)) octi_page_raw(p, "</th>");
    }
    octi_page_raw(p, "</tr></thead>\n");
}

static void value(octi_page *p, const octi_layer_column *c, const oct_layer *l, double most) {
    octi_page_put(p, "<span class=\"%s\" data-label=\"%s\"", c->below ? "b" : "v", c->label);
    if (c->word) {
        const char *w = c->word(l);
        if (w) octi_page_put(p, " data-%s=\"%s\"", c->key, w);
        octi_page_put(p, ">%s", w ? w : "–");
    } else {
        octi_page_data(p, c->key, c->number(l));
        octi_page_raw(p, ">");
        octi_page_number(p, c->format, c->number(l));
    }
    octi_page_raw(p, "</span>");
    if (c->bar && c->number(l) > 0) octi_page_bar(p, c->number(l) / most);
}

static void row(const octi_show *s, const oct_layer *l, const cells *shown) {
    octi_page *p = s->p;
    octi_page_raw(p, "<tr>");
    for (int k = 0; k < octi_layer_column_count; k++) {
        const octi_layer_column *c = &octi_layer_columns[k];
        if (!shown->on[k]) continue;
        if (!c->below) octi_page_put(p, "<td class=\"%s\">", c->number ? "n" : "k");
        value(p, c, l, shown->most[k]);
        if (ends_cell(k)) octi_page_raw(p, "</td>");
    }
    octi_page_raw(p, "</tr>\n");
}

void octi_show_layers(const octi_show *s) {
    const octi_model *m = s->m;
    const cells shown = cells_of(m);
    if (m->layer_images)
        octi_page_put(
            s->p,
            "<p class=\"note\">Measured on %lld images%s. SQNR: signal over quantization "
            "noise; local: this layer's rounding and clipping alone, cumulative: the "
            "codes of the whole net against its weights in float. Dead channels have one "
            "code whatever the image. A dash: not measured, or of no meaning there.</p>\n",
            (long long)m->layer_images,
            m->layer_images < m->answers.n ? ", drawn from all over them" : "");
    octi_page_put(s->p,
                  "<div class=\"wide\"><table class=\"cards\" data-table=\"layers\" "
                  "data-model=\"%d\">\n",
                  s->index);
    head(s->p, &shown);
    octi_page_raw(s->p, "<tbody>\n");
    for (int32_t i = 0; i < m->layers; i++) row(s, &m->layer[i], &shown);
    octi_page_raw(s->p, "</tbody></table></div>\n");
}
