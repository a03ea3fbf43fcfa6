/* SPDX-License-Identifier: MIT
 * Opens a run and its data, scores it, asks each row of causes.def, and ranks what was found. */
#include "qat/doctor/doctor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qat/doctor/doctor_case.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

enum { IMAGES = 1000, CALIB = 512, ANCESTORS = 8 };
static const double TOLERANCE = 0.01; /* a point: rounding to 8 bits costs less */

static const octi_cause_row rows[] = {
#define OCT_CAUSE(name, function, threshold, of, command, changes, what)                           \
    {octi_cause_##function, threshold, OCTI_CAUSE_##of, OCTI_MEND_##command, changes, what},
#include "qat/doctor/causes.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

static const char *const cause_names[] = {
#define OCT_CAUSE(name, ...) #name,
#include "qat/doctor/causes.def"
};
static const octi_words cause_words = OCTI_WORDS("cause", cause_names);
OCTI_WORD_PAIR(oct_cause_kind, cause_words)

const char *oct_cause_kind_meaning(oct_cause_kind v) {
    return (unsigned)v < ROWS ? rows[v].what : "";
}

/* ---- the run and where it comes from ---- */

static int keep_option(void *user, const char *key, const char *value) {
    octi_case *k = ((void **)user)[0];
    octi_made_by *by = ((void **)user)[1];
    if (by->count == OCTI_OPTIONS_MAX) return 0;
    char *own_key = octi_strdup(k->ctx, key), *own_value = octi_strdup(k->ctx, value);
    if (!own_key || !own_value) {
        octi_free(k->ctx, own_key);
        octi_free(k->ctx, own_value);
        return 1;
    }
    by->key[by->count] = own_key;
    by->value[by->count++] = own_value;
    return 0;
}

static oct_status read_options(octi_case *k, const char *run, octi_made_by *by) {
    void *user[2] = {k, by};
    int no_memory = 0;
    OCT_TRY(oct_run_options(k->ctx, run, keep_option, user, &no_memory));
    return no_memory ? oct_last_error()->code : OCT_OK;
}

static void free_options(octi_case *k, octi_made_by *by) {
    for (int i = 0; i < by->count; i++) {
        octi_free(k->ctx, by->key[i]);
        octi_free(k->ctx, by->value[i]);
    }
    by->count = 0;
}

/* What is no run is not the parent; what the disk keeps from being read may be. */
static oct_status read_failure(oct_status s) { return s == OCT_EIO ? s : octi_excuse(s); }

/* The run that `path` was made from: as its recipe has it, else beside it, for recipes tell of
 * the folder that the command ran in. */
static oct_status made_from(octi_case *k, const char *path, char **next) {
    const char *from = octi_option(&k->parent_by, "operand0"), *slash = strrchr(path, '/');
    if (!from) return OCT_OK;
    if (!oct_run_is(from) && *from != '/') {
        const char *last = strrchr(from, '/'), *name = last ? last + 1 : from;
        const char *beside =
            octi_fmt("%.*s%s", slash ? (int)(slash - path + 1) : 0, slash ? path : "", name);
        if (oct_run_is(beside)) from = beside;
    }
    *next = octi_strdup(k->ctx, from);
    return *next ? OCT_OK : oct_last_error()->code;
}

static oct_status find_parent(octi_case *k, const char *given) {
    if (!k->quantized) return OCT_OK;
    char *path = octi_strdup(k->ctx, given ? given : k->run);
    oct_status s = path ? OCT_OK : oct_last_error()->code;
    for (int step = 0; s == OCT_OK && path && step < ANCESTORS; step++) {
        if (!oct_run_is(path)) break;
        oct_net *net = oct_run_load(k->ctx, path, NULL);
        if (!net) {
            s = read_failure(oct_last_error()->code);
            break;
        }
        free_options(k, &k->parent_by);
        s = read_failure(read_options(k, path, &k->parent_by));
        if (s == OCT_OK && net->stage < OCT_STAGE_PREPARED) {
            k->parent = net;
            k->parent_path = path;
            return OCT_OK;
        }
        oct_net_free(net);
        char *next = NULL;
        if (s == OCT_OK) s = made_from(k, path, &next);
        octi_free(k->ctx, path);
        path = next;
    }
    octi_free(k->ctx, path);
    free_options(k, &k->parent_by);
    OCT_TRY(s);
    if (given)
        return octi_fail(OCT_EUSAGE, given, "is no float run", "what the run was made from", NULL,
                         NULL);
    return OCT_OK;
}

/* ---- data ---- */

static oct_status open_data(octi_case *k, int64_t limit) {
    oct_data_opts o = {.limit = limit, .input = k->net->input.channels ? &k->net->input : NULL};
    if (!oct_classes_unnamed(k->net->classes, k->net->class_count)) {
        o.classes = k->net->classes;
        o.class_count = k->net->class_count;
    }
    k->train = oct_data_open(k->ctx, k->spec, &o);
    o.split = OCT_SPLIT_TEST;
    o.limit = limit > 0 && limit < k->n ? limit : k->n;
    k->test = k->train ? oct_data_open(k->ctx, k->spec, &o) : NULL;
    if (!k->test) return oct_last_error()->code;
    if (oct_data_count(k->test) < k->n) k->n = oct_data_count(k->test);
    k->pixels = oct_data_dtype(k->test) == OCT_U8;
    k->kind = oct_score_of(k->net, k->test);
    if (k->kind == OCT_SCORE_NONE)
        return octi_fail(OCT_EUSAGE, k->spec, "has nothing to score the net by",
                         "labels, or targets of the net's output", NULL, NULL);
    return OCT_OK;
}

/* As the set describes itself, where it can without the net's size. */
static oct_status own_description(octi_case *k) {
    oct_input_desc size = k->net->input;
    size.div = 0;
    for (int c = 0; c < 4; c++) size.mean[c] = size.std[c] = 0;
    oct_data *own =
        oct_data_open(k->ctx, k->spec, &(oct_data_opts){.input = &size, .limit = k->limit});
    if (own) k->own = *oct_data_input(own);
    oct_data_free(own);
    return own ? OCT_OK : read_failure(oct_last_error()->code);
}

/* ---- scores ---- */

/* No number comes of a net whose sums leave 32 bits, quantizers off or on. */
static oct_status overflows(octi_case *k) {
    k->overflow = octi_strdup(k->ctx, oct_last_error()->where);
    k->score = k->kind == OCT_SCORE_CLASSES ? 0 : INFINITY;
    if (!k->overflow || !k->parent) return oct_last_error()->code;
    oct_clear_error();
    return OCT_OK;
}

static oct_status score_of_run(octi_case *k, double parent) {
    oct_net *copy = k->quantized ? octi_case_copy(k) : k->net;
    if (!copy) return oct_last_error()->code;
    oct_net_fake_quantize(copy, false);
    const oct_status s = octi_case_score(k, copy, &k->real);
    if (copy != k->net) oct_net_free(copy);
    if (s == OCT_ELIMIT) {
        k->real = parent;
        return overflows(k);
    }
    k->score = k->real;
    return s == OCT_OK && k->quantized ? octi_case_score(k, k->net, &k->score) : s;
}

static oct_status scores(octi_case *k, oct_diagnosis *d) {
    double parent = 0;
    if (k->parent) OCT_TRY(octi_case_score(k, k->parent, &parent));
    OCT_TRY(score_of_run(k, parent));
    if (!k->parent) parent = k->real;
    const bool classes = k->kind == OCT_SCORE_CLASSES;
    k->parent_score = parent;
    k->best = classes ? fmax(k->real, parent) : fmin(k->real, parent);
    k->reference = classes ? k->best : 1;
    d->score = octi_case_relative(k, k->score);
    d->float_score = octi_case_relative(k, k->real);
    d->parent_score = k->parent ? octi_case_relative(k, parent) : -1;
    k->lost = d->lost = k->reference - d->score;
    k->chance = classes ? oct_accuracy_chance(k->best, k->n) : TOLERANCE;
    d->tolerance = classes ? fmax(TOLERANCE, k->chance) : 2 * TOLERANCE;
    d->n = k->n;
    d->quantized = k->quantized;
    return OCT_OK;
}

/* ---- causes ---- */

static oct_status ask(octi_case *k, oct_diagnosis *d) {
    for (int i = 0; i < ROWS; i++) {
        const octi_cause_row *row = &rows[i];
        k->at = i;
        OCT_TRY(octi_progress(k->ctx, "doctor", i, ROWS));
        if (row->of == OCTI_CAUSE_Q && (!k->quantized || !(d->lost > d->tolerance))) continue;
        oct_cause *c = &d->causes[d->count];
        char with[400] = "";
        *c = (oct_cause){.kind = (oct_cause_kind)i, .layer = "", .bound = row->threshold};
        OCT_TRY(row->look(k, c, with, sizeof with));
        if (!(c->value > 0)) continue;
        if (!c->measured) c->gain = fmax(c->gain, 0);
        octi_case_command(k, row, c, with);
        if (c->measured && c->gain > k->explained) k->explained = c->gain;
        k->named = ++d->count;
    }
    return octi_progress(k->ctx, "doctor", ROWS, ROWS);
}

/* Stable: equal gains keep the table's order. */
static void rank(oct_diagnosis *d) {
    for (int32_t i = 1; i < d->count; i++)
        for (int32_t j = i; j > 0 && d->causes[j].gain > d->causes[j - 1].gain + 1e-9; j--) {
            const oct_cause c = d->causes[j];
            d->causes[j] = d->causes[j - 1];
            d->causes[j - 1] = c;
        }
}

static oct_status open_case(octi_case *k, const oct_doctor_opts *o) {
    k->net = oct_run_load(k->ctx, k->run, NULL);
    if (!k->net) return oct_last_error()->code;
    k->quantized = k->net->stage == OCT_STAGE_PREPARED;
    OCT_TRY(read_options(k, k->run, &k->by));
    OCT_TRY(find_parent(k, o->float_run));
    k->spec = o->data ? o->data : octi_option(&k->by, "data");
    if (!k->spec && k->parent) k->spec = octi_option(&k->parent_by, "data");
    if (!k->spec)
        return octi_fail(OCT_EUSAGE, k->run, "does not say what data it was made on", "a data set",
                         NULL, ".data = \"SPEC\"");
    const char *limit = octi_option(&k->by, "limit");
    k->n = o->n > 0 ? o->n : IMAGES;
    k->calib = o->calib > 0 ? o->calib : CALIB;
    k->limit = o->limit > 0 ? o->limit : limit && !o->data ? strtoll(limit, NULL, 10) : 0;
    OCT_TRY(open_data(k, k->limit));
    if (k->pixels && k->net->input.channels) OCT_TRY(own_description(k));
    return OCT_OK;
}

static void close_case(octi_case *k) {
    oct_layers_free(k->ctx, k->rows);
    oct_net_free(k->measured);
    oct_data_free(k->train);
    oct_data_free(k->test);
    oct_net_free(k->net);
    oct_net_free(k->parent);
    octi_free(k->ctx, (char *)(uintptr_t)k->parent_path);
    octi_free(k->ctx, (char *)(uintptr_t)k->overflow);
    free_options(k, &k->by);
    free_options(k, &k->parent_by);
}

/* Names of layers outlive the nets. */
static oct_status keep_names(oct_ctx *ctx, oct_diagnosis *d) {
    for (int32_t i = 0; i < d->count; i++)
        if (!(d->causes[i].layer = octi_strdup(ctx, d->causes[i].layer)))
            return oct_last_error()->code;
    return OCT_OK;
}

oct_diagnosis *oct_doctor(oct_ctx *ctx, const char *run, const oct_doctor_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx || !run) return octi_fail_null("oct_doctor"), NULL;
    static const oct_doctor_opts none = {0};
    octi_case k = {.ctx = ctx, .run = run, .of = ROWS};
    oct_diagnosis *d = octi_alloc(ctx, sizeof *d);
    oct_status s = d ? open_case(&k, opts ? opts : &none) : oct_last_error()->code;
    if (s == OCT_OK && !(d->causes = octi_calloc(ctx, ROWS + 1, sizeof *d->causes)))
        s = oct_last_error()->code;
    if (s == OCT_OK) s = scores(&k, d);
    if (s == OCT_OK) s = ask(&k, d);
    if (s == OCT_OK) rank(d);
    if (s == OCT_OK) s = keep_names(ctx, d);
    close_case(&k);
    if (s == OCT_OK) return d;
    if (d) octi_free(ctx, d->causes);
    octi_free(ctx, d);
    return octi_ctx_failed(ctx), NULL;
}

void oct_diagnosis_free(oct_ctx *ctx, oct_diagnosis *d) {
    if (!ctx || !d) return;
    for (int32_t i = 0; i < d->count; i++) octi_free(ctx, (char *)(uintptr_t)d->causes[i].layer);
    octi_free(ctx, d->causes);
    octi_free(ctx, d);
}

void oct_doctor_opts_init(oct_doctor_opts *opts) {
    if (opts) *opts = (oct_doctor_opts){0};
}
