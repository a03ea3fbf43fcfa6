/* SPDX-License-Identifier: MIT
 * The page: what is in it, in which order. */
#include "qat/report/show.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/float_mode.h"
#include "src/words.h"

static bool has_curves(const octi_model *m) { return m->epochs.n > 0; }
static bool has_layers(const octi_model *m) { return m->layers > 0; }
static bool has_weights(const octi_model *m) { return m->weight_layers > 0; }
static bool has_values(const octi_model *m) { return m->value_count > 0; }
static bool has_scales(const octi_model *m) { return m->epochs.histories > 0; }
static bool has_answers(const octi_model *m) { return m->confusion != NULL; }
static bool has_sweep(const octi_model *m) { return m->sweep_images > 0; }
static bool has_recipe(const octi_model *m) { return m->run; }
static bool has_rows(const oct_report *r) { return r->rows > 1 || (r->count > 1 && r->rows); }

static const struct section {
    const char *id, *text;
    void (*show)(const octi_show *s);
    bool (*there)(const octi_model *m);
    bool always; /* of models whose row alone is told, too */
    bool plots;  /* it is nothing but plots */
} sections[] = {
    {"curves", "Training", octi_show_curves, has_curves, true, true},
    {"layers", "Layer by layer", octi_show_layers, has_layers, false, false},
    {"sweep", "One layer at a time", octi_show_sweep, has_sweep, false, false},
    {"answers", "Right and wrong", octi_show_answers, has_answers, false, false},
    {"weights", "Weights", octi_show_weights, has_weights, false, false},
    {"values", "Values", octi_show_values, has_values, false, true},
    {"scales", "Scales over time", octi_show_scales, has_scales, false, false},
    {"recipe", "Recipe", octi_show_recipe, has_recipe, true, false},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

static void heading(const octi_show *s, const char *section, const char *text) {
    char id[64];
    snprintf(id, sizeof id, "%s-%d", section, s->index);
    octi_page_heading(s->p, s->r->count > 1 ? 3 : 2, id, text);
}

static void tile(octi_page *p, const char *name, const char *key, const char *format, double v) {
    if (!isfinite(v)) return;
    octi_page_put(p, "<div><dt>%s</dt><dd", name);
    octi_page_data(p, key, v);
    octi_page_raw(p, ">");
    octi_page_number(p, format, v);
    octi_page_raw(p, "</dd></div>\n");
}

static void tiles(octi_page *p, const octi_model *m) {
    const oct_measured *own = &m->own, *f = &m->float_own;
    char name[64];
    octi_page_raw(p, "<dl class=\"tiles\">\n");
    snprintf(name, sizeof name, "accuracy, %s", m->word);
    tile(p, name, "accuracy", "%.4f", own->score == OCT_SCORE_CLASSES ? own->accuracy : NAN);
    tile(p, "accuracy, float", "float_accuracy", "%.4f",
         f->score == OCT_SCORE_CLASSES ? f->accuracy : NAN);
    tile(p, "loss", "loss", "%.4g", own->score ? own->loss : NAN);
    tile(p, "images scored", "n", "%.0f", own->score ? (double)own->n : NAN);
    tile(p, "bytes", "bytes", "%.0f", own->bytes > 0 ? (double)own->bytes : NAN);
    tile(p, "bytes, float", "float_bytes", "%.0f", f->bytes > 0 ? (double)f->bytes : NAN);
    tile(p, "us per image", "us", "%.1f", own->us > 0 ? own->us : NAN);
    tile(p, "us per image, float", "float_us", "%.1f", f->us > 0 ? f->us : NAN);
    octi_page_raw(p, "</dl>\n");
}

static void model(const octi_show *s) {
    octi_page *p = s->p;
    const octi_model *m = s->m;
    const bool whole = m->whole && s->index < s->detail->whole;
    char id[32];
    snprintf(id, sizeof id, "model-%d", s->index);
    if (s->r->count > 1) octi_page_heading(p, 2, id, m->path);
    octi_page_put(p, "<section data-model=\"%d\" data-path=\"%s\"><p>%s, %s", s->index, m->path,
                  m->how, m->run ? "a run" : "a file");
    if (m->spec) octi_page_put(p, ", on the test part of %s", m->spec);
    if (m->real_path)
        octi_page_put(p, "; float: %s", m->real_path);
    else if (m->float_own.score)
        octi_page_raw(p, "; float: its own weights without quantizers");
    octi_page_raw(p, ".</p>\n");
    if (s->r->count == 1) tiles(p, m);
    for (int32_t i = 0; i < m->notes; i++)
        octi_page_put(p, "<p class=\"note\" data-note>%s</p>\n", m->note[i]);
    for (int i = 0; i < SECTIONS; i++)
        if ((whole || (sections[i].always && (s->detail->curves || !sections[i].plots))) &&
            sections[i].there(m)) {
            heading(s, sections[i].id, sections[i].text);
            sections[i].show(s);
        }
    if (!whole)
        octi_page_put(p,
                      "<p class=\"note\">A page of this one alone tells its layers, weights and "
                      "answers: octet report %s</p>\n",
                      m->path);
    octi_page_raw(p, "</section>\n");
}

static void contents(octi_page *p, const oct_report *r) {
    octi_page_raw(p, "<nav><ul>");
    if (has_rows(r)) octi_page_raw(p, "<li><a href=\"#rows\">Side by side</a></li>");
    for (int32_t i = 0; r->count > 1 && i < r->count; i++)
        octi_page_put(p, "<li><a href=\"#model-%d\">%s</a></li>", i, r->model[i].path);
    for (int i = 0; r->count == 1 && i < SECTIONS; i++)
        if (sections[i].there(&r->model[0]))
            octi_page_put(p, "<li><a href=\"#%s-0\">%s</a></li>", sections[i].id, sections[i].text);
    octi_page_raw(p, "</ul></nav>\n");
}

static oct_status draw(octi_page *p, const oct_report *r, const octi_detail *d) {
    octi_page_open(p, r->ctx, r->title);
    octi_page_put(p, "<h1>%s</h1>\n", r->title);
    contents(p, r);
    octi_show_detail(p, r, d);
    if (has_rows(r)) octi_show_rows(p, r);
    for (int32_t i = 0; i < r->count; i++) model(&(octi_show){p, r, &r->model[i], d, i});
    octi_page_put(p, "<p class=\"note\">Written by octet %s.</p>\n", OCT_VERSION);
    return octi_page_close(p);
}

/* A page stays below 2 MB. */
enum { PAGE_BYTES = 1900000 };

oct_status oct_report_save(const oct_report *r, const char *path) {
    OCTI_LAW_MODE();
    if (!r || !path) return octi_fail_null("oct_report_save");
    octi_page p;
    int level = 0;
    oct_status s = draw(&p, r, octi_detail_at(level));
    while (s == OCT_OK && p.text.size > PAGE_BYTES && octi_detail_at(level + 1)) {
        octi_page_free(&p);
        s = draw(&p, r, octi_detail_at(++level));
    }
    if (s == OCT_OK) s = octi_page_save(&p, path);
    octi_page_free(&p);
    return s;
}
