/* SPDX-License-Identifier: MIT
 * A report: models opened, looked at, and let go. */
#include "qat/report/gather.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

char *octi_report_fmt(oct_report *r, const char *format, ...) {
    va_list a, again;
    va_start(a, format);
    va_copy(again, a);
    const int n = vsnprintf(NULL, 0, format, a);
    va_end(a);
    char *text = n >= 0 ? octi_arena_alloc(r->arena, (size_t)n + 1) : NULL;
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

/* ---- notes ---- */

oct_status octi_note(oct_report *r, octi_model *m, const char *text) {
    const char **list = octi_arena_alloc(r->arena, ((size_t)m->notes + 1) * sizeof *list);
    if (!list || !text) return oct_last_error()->code;
    if (m->notes) memcpy(list, m->note, (size_t)m->notes * sizeof *list);
    list[m->notes++] = text;
    m->note = list;
    return OCT_OK;
}

oct_status octi_left_out(oct_report *r, octi_model *m, const char *what, oct_status s) {
    if (s == OCT_OK || s == OCT_EIO) return s;
    const char *text = octi_report_fmt(r, "Left out: %s. %s", what, oct_error_message());
    OCT_TRY(octi_excuse(s));
    return octi_note(r, m, text);
}

/* ---- one model ---- */

/* "QAT lsq w4 a4" */
static const char *how_of(oct_report *r, const octi_model *m) {
    const octi_recipe *c = m->recipes ? &m->recipe[m->recipes - 1] : NULL;
    const bool ptq = c && !strcmp(c->name, "ptq"),
               qat = c && (!strcmp(c->name, "qat") || !strcmp(c->name, "demo"));
    if (!ptq && !qat) return m->word;
    const char *observer = octi_recipe_option(c, "observer"),
               *method = octi_recipe_option(c, "method"), *w = octi_recipe_option(c, "wbits"),
               *a = octi_recipe_option(c, "abits"), *target = octi_recipe_option(c, "target"),
               *improve = octi_recipe_option(c, "improve"), *by = qat && method ? method : observer;
    return octi_report_fmt(r, "%s %s w%s a%s%s%s%s%s", ptq ? "PTQ" : "QAT", by ? by : "ema",
                           w ? w : "8", a ? a : "8", target ? " " : "", target ? target : "",
                           improve ? " + " : "", improve ? improve : "");
}

/* The float run that it goes back to; else its own weights, in float. */
static oct_status find_real(oct_report *r, octi_model *m) {
    if (m->net->stage < OCT_STAGE_PREPARED) return OCT_OK;
    for (int32_t i = m->recipes - 2; i >= 0 && !m->real; i--) {
        oct_net *net = oct_run_load(r->ctx, m->recipe[i].run, NULL);
        if (!net) return octi_left_out(r, m, "the float net", oct_last_error()->code);
        const oct_graph *a = net->graph, *b = m->net->graph;
        const bool fits = oct_shape_equal(&a->values[a->input].shape, &b->values[b->input].shape) &&
                          oct_shape_equal(&a->values[a->output].shape, &b->values[b->output].shape);
        if (net->stage < OCT_STAGE_PREPARED && fits) {
            m->real = net;
            m->real_path = m->recipe[i].run;
        } else
            oct_net_free(net);
    }
    return OCT_OK;
}

static oct_status no_images(oct_report *r, octi_model *m) {
    const oct_status s = oct_last_error()->code;
    const char *text =
        octi_report_fmt(r, "Left out: all that needs images. %s", oct_error_message());
    OCT_TRY(octi_excuse(s));
    return octi_note(r, m, text);
}

/* Images that were asked for must be there; those of the run may have gone. */
static oct_status open_data(oct_report *r, octi_model *m, const char *asked) {
    const octi_recipe *c = m->recipes ? &m->recipe[m->recipes - 1] : NULL;
    const char *spec = asked;
    for (int32_t i = m->recipes; !spec && i > 0; i--)
        spec = octi_recipe_option(&m->recipe[i - 1], "data");
    for (int32_t i = 0; !spec && i < r->count; i++) spec = r->model[i].spec;
    if (!spec)
        return octi_note(r, m,
                         c ? "Left out: all that needs images. The run does not say what it was "
                             "made with; --data SPEC does."
                           : "Left out: all that needs images. A file does not say what it was "
                             "made with; --data SPEC does.");
    oct_data_opts o = {.split = OCT_SPLIT_TEST,
                       .limit = r->limit,
                       .input = m->net->input.channels ? &m->net->input : NULL,
                       .classes = m->net->classes,
                       .class_count = m->net->class_count};
    m->data = oct_data_open(r->ctx, spec, &o);
    if (!m->data && asked) return oct_last_error()->code;
    if (!m->data) return no_images(r, m);
    m->spec = octi_arena_strdup(r->arena, spec);
    return m->spec ? OCT_OK : oct_last_error()->code;
}

static oct_status take_names(oct_report *r, octi_model *m) {
    int32_t n = m->net->class_count;
    const oct_class *list = m->net->classes;
    if (m->data && oct_classes_unnamed(list, n)) {
        int32_t count;
        const oct_class *of = oct_data_classes(m->data, &count);
        if (count == n) list = of;
    }
    m->names = octi_arena_calloc(r->arena, (size_t)n + 1, sizeof *m->names);
    for (int32_t i = 0; m->names && i < n; i++) {
        m->names[i].key = octi_arena_strdup(r->arena, list[i].id);
        m->names[i].value = octi_arena_strdup(r->arena, *list[i].name ? list[i].name : list[i].id);
        if (!m->names[i].key || !m->names[i].value) return oct_last_error()->code;
    }
    if (m->names) m->name_count = n;
    return m->names ? OCT_OK : oct_last_error()->code;
}

/* Where it is: STEPS a model. */
enum { STEPS = 5 };
static oct_status tell(const oct_report *r, const octi_model *m, int step) {
    return octi_progress(r->ctx, "report", (int64_t)(m - r->model) * STEPS + step,
                         (int64_t)r->count * STEPS);
}

static oct_status gather(oct_report *r, octi_model *m, const char *spec) {
    m->run = oct_run_is(m->path);
    m->net = oct_model_load(r->ctx, m->path);
    if (!m->net) return oct_last_error()->code;
    if (m->run) OCT_TRY(octi_gather_recipes(r, m));
    if (m->run) OCT_TRY(octi_gather_epochs(r, m));
    const bool prepared = m->net->stage == OCT_STAGE_PREPARED;
    m->word = prepared ? "int8" : oct_net_form_name(oct_net_form_of(m->net));
    if (!(m->how = how_of(r, m))) return oct_last_error()->code;
    /* oct_layers converts it too, and compares */
    const oct_convert_opts thrown_away = {.skip_check = true};
    if (prepared && !(m->int8 = oct_convert_with(m->net, &thrown_away, NULL)))
        OCT_TRY(octi_left_out(r, m, "the int8 net", oct_last_error()->code));
    OCT_TRY(find_real(r, m));
    OCT_TRY(open_data(r, m, spec));
    OCT_TRY(take_names(r, m));
    static oct_status (*const parts[])(oct_report *, octi_model *) = {
        octi_gather_answers, octi_gather_sweep, octi_gather_weights, octi_gather_values};
    enum { PARTS = sizeof parts / sizeof *parts };
    OCT_TRY(octi_gather_scores(r, m));
    for (int i = 0; m->whole && i < PARTS; i++) {
        OCT_TRY(tell(r, m, i + 1));
        OCT_TRY(parts[i](r, m));
    }
    return octi_gather_rows(r, m);
}

/* What was gathered stays; rows of layers borrow names of the net. */
static void let_go(octi_model *m, bool all) {
    oct_data_free(m->some);
    oct_data_free(m->data);
    oct_net_free(m->int8);
    oct_net_free(m->real);
    m->data = m->some = NULL;
    m->int8 = m->real = NULL;
    if (all) oct_net_free(m->net);
    if (all) m->net = NULL;
}

/* ---- the report ---- */

static oct_status begin(oct_report *r, const char *const *paths, int32_t count,
                        const oct_report_opts *o) {
    if (count < 1 || count > OCT_REPORT_MOST)
        return octi_fail(OCT_EUSAGE, "oct_report_new", "number of models",
                         octi_fmt("1 to %d", OCT_REPORT_MOST), octi_fmt("%d", count), NULL);
    if (o->limit < 0 || o->row_count < 0 || (o->row_count && !o->rows))
        return octi_fail(OCT_EUSAGE, "oct_report_new", "options",
                         "limit and row_count of 0 and more", NULL, NULL);
    r->limit = o->limit;
    r->sweep = o->sweep;
    r->asked = o->data != NULL;
    r->json.ctx = r->ctx;
    r->model = octi_arena_calloc(r->arena, (size_t)count, sizeof *r->model);
    r->row = octi_arena_calloc(r->arena, (size_t)count * 5 + (size_t)o->row_count, sizeof *r->row);
    if (!r->model || !r->row) return oct_last_error()->code;
    for (int32_t i = 0; i < count; i++) {
        if (!paths[i]) return octi_fail_null("oct_report_new");
        r->model[i].path = octi_arena_strdup(r->arena, paths[i]);
        r->model[i].whole = i < OCT_REPORT_WHOLE;
        if (!r->model[i].path) return oct_last_error()->code;
    }
    r->count = count;
    const char *title = o->title ? o->title : paths[0];
    r->title = !o->title && count > 1 ? octi_report_fmt(r, "%s and %d more", title, count - 1)
                                      : octi_arena_strdup(r->arena, title ? title : "");
    return r->title ? OCT_OK : oct_last_error()->code;
}

oct_report *oct_report_new(oct_ctx *ctx, const char *const *paths, int32_t count,
                           const oct_report_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx || !paths) return NULL;
    const oct_report_opts o = opts ? *opts : (oct_report_opts){.data = NULL};
    oct_report *r = octi_alloc(ctx, sizeof *r);
    oct_status s = r ? OCT_OK : oct_last_error()->code;
    if (r) r->ctx = ctx;
    if (r && !(r->arena = octi_arena_new_kept(ctx))) s = oct_last_error()->code;
    if (s == OCT_OK) s = begin(r, paths, count, &o);
    for (int32_t i = 0; s == OCT_OK && i < count; i++) {
        s = tell(r, &r->model[i], 0);
        if (s == OCT_OK) s = gather(r, &r->model[i], o.data);
        let_go(&r->model[i], !r->model[i].whole);
    }
    if (s == OCT_OK) s = octi_progress(ctx, "report", count * STEPS, count * STEPS);
    if (s == OCT_OK) s = octi_take_rows(r, o.rows, o.row_count);
    if (s == OCT_OK) return r;
    octi_ctx_failed(ctx);
    oct_report_free(r);
    return NULL;
}

void oct_report_free(oct_report *r) {
    if (!r) return;
    for (int32_t i = 0; i < r->count; i++) let_go(&r->model[i], true);
    octi_text_free(&r->json);
    octi_arena_free(r->arena);
    octi_free(r->ctx, r);
}

void oct_report_opts_init(oct_report_opts *opts) {
    if (opts) *opts = (oct_report_opts){.data = NULL};
}
