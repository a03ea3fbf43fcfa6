/* SPDX-License-Identifier: MIT
 * What a run's own files say: how it was made, and what each epoch came to. */
#include <math.h>
#include <string.h>

#include "qat/fit/run_files.h"
#include "qat/report/gather.h"
#include "src/format/json.h"
#include "src/mem.h"

const octi_metric octi_metrics[OCTI_METRICS] = {
    [OCTI_LR] = {"lr", "learning rate"},
    [OCTI_TRAIN_LOSS] = {"train_loss", "training part"},
    [OCTI_TEST_LOSS] = {"test_loss", "test part"},
    [OCTI_VAL_LOSS] = {"val_loss", "validation"},
    [OCTI_TRAIN_ACCURACY] = {"train_accuracy", "training part"},
    [OCTI_TEST_ACCURACY] = {"test_accuracy", "test part"},
    [OCTI_INT8_ACCURACY] = {"int8_accuracy", "test part, true int8"},
    [OCTI_VAL_ACCURACY] = {"val_accuracy", "validation"},
    [OCTI_OSCILLATING] = {"oscillating", "oscillating"},
    [OCTI_FROZEN] = {"frozen", "frozen"},
    [OCTI_SPEED] = {"img_per_s", "images per second"},
};

/* ---- config.json ---- */

/* Texts as they are, all else as JSON writes it; "" of nothing. */
static const char *text_of(oct_report *r, const cJSON *item) {
    if (!item) return "";
    if (cJSON_IsString(item)) return octi_arena_strdup(r->arena, item->valuestring);
    char *text = cJSON_PrintUnformatted(item);
    const char *kept = text ? octi_arena_strdup(r->arena, text) : NULL;
    cJSON_free(text);
    return kept;
}

static oct_status take_pairs(oct_report *r, const cJSON *object, octi_pair **list, int32_t *count) {
    const cJSON *item;
    const int n = cJSON_GetArraySize(object);
    *count = 0;
    if (!(*list = octi_arena_calloc(r->arena, (size_t)n + 1, sizeof **list)))
        return oct_last_error()->code;
    cJSON_ArrayForEach(item, object) {
        octi_pair *p = &(*list)[(*count)++];
        p->key = octi_arena_strdup(r->arena, item->string ? item->string : "");
        p->value = text_of(r, item);
        if (!p->key || !p->value) return oct_last_error()->code;
    }
    return OCT_OK;
}

const char *octi_recipe_option(const octi_recipe *c, const char *key) {
    for (int32_t i = 0; c && i < c->options; i++)
        if (!strcmp(c->option[i].key, key)) return c->option[i].value;
    return NULL;
}

static oct_status take_recipe(oct_report *r, const cJSON *root, octi_recipe *c) {
    const cJSON *command = octi_json_get(root, "command");
    c->version = text_of(r, octi_json_get(root, "octet"));
    c->isa = text_of(r, octi_json_get(root, "isa"));
    c->seed = text_of(r, octi_json_get(root, "seed"));
    OCT_TRY(take_pairs(r, command, &c->option, &c->options));
    OCT_TRY(take_pairs(r, octi_json_get(root, "fit"), &c->fit, &c->fits));
    const char *name = octi_recipe_option(c, "name"), *from = octi_recipe_option(c, "operand0");
    c->name = name ? name : "";
    c->operand = from ? from : "";
    return c->version && c->isa && c->seed ? OCT_OK : oct_last_error()->code;
}

static oct_status read_recipe(oct_report *r, const char *dir, octi_recipe *c) {
    char *text = NULL;
    cJSON *root = NULL;
    *c = (octi_recipe){octi_arena_strdup(r->arena, dir), "", "", "", "", "", NULL, NULL, 0, 0};
    octi_run *run = c->run ? octi_run_open(r->ctx, dir) : NULL;
    oct_status s =
        run ? octi_run_read_config(r->ctx, octi_run_folder(run), &text) : oct_last_error()->code;
    octi_run_close(run);
    if (s == OCT_OK && text)
        s = octi_json_parse(r->ctx, text, strlen(text), octi_fmt("%s/config.json", dir), &root);
    octi_free(r->ctx, text);
    if (s == OCT_OK && root) s = take_recipe(r, root, c);
    octi_json_free(root);
    return s;
}

oct_status octi_gather_recipes(oct_report *r, octi_model *m) {
    octi_recipe back[OCTI_ORIGINS];
    int32_t n = 0;
    for (const char *dir = m->path; n < OCTI_ORIGINS && *dir && oct_run_is(dir);) {
        bool again = false; /* a run that says it was made from itself */
        for (int32_t i = 0; i < n; i++) again |= !strcmp(back[i].run, dir);
        if (again) break;
        const oct_status s = read_recipe(r, dir, &back[n]);
        if (s != OCT_OK) return octi_left_out(r, m, "how it was made", s);
        dir = back[n++].operand;
    }
    for (int32_t i = 0; i < n; i++) m->recipe[i] = back[n - 1 - i];
    m->recipes = n;
    /* what import was given is a file */
    const char *by = n ? m->recipe[0].name : "";
    const bool fitted = !strcmp(by, "ptq") || !strcmp(by, "qat");
    const char *from = fitted ? m->recipe[0].operand : "";
    if (!*from || n == OCTI_ORIGINS || oct_run_is(from)) return OCT_OK;
    return octi_note(r, m,
                     octi_report_fmt(r,
                                     "%s, the run that it was made from, is not there: float is "
                                     "the same weights without quantizers.",
                                     from));
}

/* ---- metrics.jsonl ---- */

static double number_of(const cJSON *object, const char *key) {
    const cJSON *v = octi_json_get(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

/* The mean of a number, or of a list of them. */
static double mean_of(const cJSON *v, int32_t *n) {
    const cJSON *item;
    double sum = 0;
    *n = cJSON_IsNumber(v) ? 1 : 0;
    if (*n) return v->valuedouble;
    cJSON_ArrayForEach(item, v) {
        sum += cJSON_IsNumber(item) ? item->valuedouble : NAN;
        ++*n;
    }
    return *n ? sum / *n : NAN;
}

static double *nans(oct_report *r, int32_t n) {
    double *v = octi_arena_alloc(r->arena, ((size_t)n + 1) * sizeof *v);
    for (int32_t i = 0; v && i < n; i++) v[i] = NAN;
    return v;
}

/* The quantizers that the first line names. */
static oct_status begin_histories(oct_report *r, const cJSON *list, octi_epochs *e) {
    const cJSON *item;
    e->history =
        octi_arena_calloc(r->arena, (size_t)cJSON_GetArraySize(list) + 1, sizeof *e->history);
    if (!e->history) return oct_last_error()->code;
    cJSON_ArrayForEach(item, list) {
        octi_history *h = &e->history[e->histories++];
        *h = (octi_history){.name = octi_arena_strdup(r->arena, item->string ? item->string : ""),
                            .scale = nans(r, e->n),
                            .zero_point = nans(r, e->n)};
        if (!h->name || !h->scale || !h->zero_point) return oct_last_error()->code;
    }
    return OCT_OK;
}

static oct_status take_line(oct_report *r, const cJSON *line, octi_epochs *e, int32_t i) {
    const cJSON *list = octi_json_get(line, "quantizers");
    e->epoch[i] = number_of(line, "epoch");
    for (int k = 0; k < OCTI_METRICS; k++) e->v[k][i] = number_of(line, octi_metrics[k].key);
    if (list && !e->history) OCT_TRY(begin_histories(r, list, e));
    for (int32_t k = 0; k < e->histories; k++) {
        octi_history *h = &e->history[k];
        const cJSON *q = octi_json_get(list, h->name);
        int32_t zeros;
        h->scale[i] = mean_of(octi_json_get(q, "scale"), &h->channels);
        h->zero_point[i] = mean_of(octi_json_get(q, "zero_point"), &zeros);
    }
    return OCT_OK;
}

/* Whole lines alone: a writer that was killed may have left a part of one. */
static oct_status take_lines(oct_report *r, octi_epochs *e, char *text, const char *where) {
    oct_status s = OCT_OK;
    for (char *p = text; *p; p++) e->n += *p == '\n';
    e->epoch = nans(r, e->n);
    for (int k = 0; k < OCTI_METRICS; k++)
        if (!(e->v[k] = nans(r, e->n))) return oct_last_error()->code;
    if (!e->epoch) return oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < e->n; i++) {
        char *end = strchr(text, '\n');
        cJSON *line = NULL;
        s = octi_json_parse(r->ctx, text, (size_t)(end - text),
                            octi_fmt("%s: line %d", where, i + 1), &line);
        if (s == OCT_OK) s = take_line(r, line, e, i);
        octi_json_free(line);
        text = end + 1;
    }
    return s;
}

oct_status octi_gather_epochs(oct_report *r, octi_model *m) {
    uint8_t *bytes = NULL;
    size_t size;
    bool there = false;
    octi_run *run = octi_run_open(r->ctx, m->path);
    oct_status s = run ? octi_folder_has(octi_run_folder(run), "metrics.jsonl", &there)
                       : oct_last_error()->code;
    if (there)
        s = octi_file_read_in(octi_run_folder(run), "metrics.jsonl", (size_t)1 << 30, &bytes,
                              &size);
    octi_run_close(run);
    if (s == OCT_OK && bytes)
        s = take_lines(r, &m->epochs, (char *)bytes, octi_fmt("%s/metrics.jsonl", m->path));
    octi_free(r->ctx, bytes);
    if (s != OCT_OK) m->epochs.n = m->epochs.histories = 0;
    return octi_left_out(r, m, "curves", s);
}
