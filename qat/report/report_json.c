/* SPDX-License-Identifier: MIT
 * The numbers of a report as one JSON object. */
#include <math.h>
#include <string.h>

#include "qat/report/gather.h"
#include "src/format/json.h"

/* A comma where something stands before it in the same object or list. */
static void begin(octi_text *t, const char *key) {
    const char last = t->size ? t->data[t->size - 1] : '{';
    if (last != '{' && last != '[') octi_text_bytes(t, ",", 1);
    if (!key) return;
    octi_json_put_string(t, key);
    octi_text_bytes(t, ":", 1);
}
static void word(octi_text *t, const char *key, const char *v) {
    begin(t, key);
    if (v)
        octi_json_put_string(t, v);
    else
        octi_text_bytes(t, "null", 4);
}
static void number(octi_text *t, const char *key, double v) {
    begin(t, key);
    octi_json_put_number(t, v);
}
static void open_at(octi_text *t, const char *key, const char *bracket) {
    begin(t, key);
    octi_text_bytes(t, bracket, 1);
}
static void close_with(octi_text *t, const char *bracket) { octi_text_bytes(t, bracket, 1); }

static void numbers(octi_text *t, const char *key, const double *v, int64_t n) {
    open_at(t, key, "[");
    for (int64_t i = 0; i < n; i++) number(t, NULL, v[i]);
    close_with(t, "]");
}

static void measured(octi_text *t, const oct_measured *m) {
    const bool classes = m->score == OCT_SCORE_CLASSES;
    number(t, "accuracy", classes ? m->accuracy : NAN);
    number(t, "loss", m->score != OCT_SCORE_NONE ? m->loss : NAN);
    number(t, "n", (double)m->n);
    number(t, "bytes", m->bytes > 0 ? (double)m->bytes : NAN);
    number(t, "us", m->us > 0 ? m->us : NAN);
}

static void put_epochs(octi_text *t, const octi_epochs *e) {
    open_at(t, "epochs", "{");
    numbers(t, "epoch", e->epoch, e->n);
    for (int k = 0; k < OCTI_METRICS; k++) numbers(t, octi_metrics[k].key, e->v[k], e->n);
    open_at(t, "quantizers", "[");
    for (int32_t i = 0; i < e->histories; i++) {
        open_at(t, NULL, "{");
        word(t, "name", e->history[i].name);
        number(t, "channels", e->history[i].channels);
        numbers(t, "scale", e->history[i].scale, e->n);
        numbers(t, "zero_point", e->history[i].zero_point, e->n);
        close_with(t, "}");
    }
    close_with(t, "]");
    close_with(t, "}");
}

static void put_layers(octi_text *t, const octi_model *m) {
    number(t, "layer_images", (double)m->layer_images);
    open_at(t, "layers", "[");
    for (int32_t i = 0; i < m->layers; i++) {
        open_at(t, NULL, "{");
        for (int k = 0; k < octi_layer_column_count; k++) {
            const octi_layer_column *c = &octi_layer_columns[k];
            if (c->word)
                word(t, c->key, c->word(&m->layer[i]));
            else
                number(t, c->key, c->number(&m->layer[i]));
        }
        close_with(t, "}");
    }
    close_with(t, "]");
}

static void put_bins(octi_text *t, const char *key, const octi_bins *b) {
    open_at(t, key, "{");
    number(t, "lo", b->lo);
    number(t, "width", b->width);
    if (b->real) numbers(t, "float", b->real, b->n);
    if (b->code) numbers(t, "code", b->code, b->n);
    close_with(t, "}");
}

static void put_weights(octi_text *t, const octi_model *m) {
    open_at(t, "weights", "[");
    for (int32_t i = 0; i < m->weight_layers; i++) {
        const octi_weights *w = &m->weights[i];
        open_at(t, NULL, "{");
        word(t, "layer", w->layer);
        number(t, "count", (double)w->count);
        number(t, "bits", w->bits);
        number(t, "distinct_float", w->distinct_float < 0 ? NAN : (double)w->distinct_float);
        number(t, "distinct", w->distinct < 0 ? NAN : (double)w->distinct);
        number(t, "codes", w->codes ? w->codes : NAN);
        put_bins(t, "whole", &w->whole);
        if (w->steps.n) put_bins(t, "steps", &w->steps);
        numbers(t, "lo", w->lo, w->channels);
        numbers(t, "hi", w->hi, w->channels);
        numbers(t, "reach", w->reach, w->channels);
        close_with(t, "}");
    }
    close_with(t, "]");
}

static void put_values(octi_text *t, const octi_model *m) {
    open_at(t, "values", "[");
    for (int32_t i = 0; i < m->value_count; i++) {
        const octi_values *v = &m->values[i];
        open_at(t, NULL, "{");
        word(t, "name", v->name);
        word(t, "by", v->by);
        number(t, "bits", v->bits);
        number(t, "n", (double)v->total);
        number(t, "zeros", v->zeros);
        number(t, "min", v->min);
        number(t, "max", v->max);
        put_bins(t, "histogram", &v->bins);
        open_at(t, "clips", "[");
        for (int k = -1; k < OCTI_CLIPS; k++) {
            const octi_clip own = {"in_use", v->lo, v->hi, v->beyond},
                            *c = k < 0 ? &own : &v->clip[k];
            open_at(t, NULL, "{");
            word(t, "observer", c->observer);
            number(t, "lo", c->lo);
            number(t, "hi", c->hi);
            number(t, "beyond", c->beyond);
            close_with(t, "}");
        }
        close_with(t, "]");
        if (v->points) {
            numbers(t, "threshold", v->threshold, v->points);
            numbers(t, "divergence", v->divergence, v->points);
            number(t, "chosen", v->chosen);
        }
        close_with(t, "}");
    }
    close_with(t, "]");
}

static void put_pictures(octi_text *t, const char *key, const octi_picture *list, int32_t n,
                         bool both) {
    open_at(t, key, "[");
    for (int32_t i = 0; i < n; i++) {
        open_at(t, NULL, "{");
        number(t, "index", (double)list[i].index);
        number(t, "label", list[i].own.label);
        number(t, "said", list[i].own.said);
        number(t, "sure", (double)list[i].own.sure);
        number(t, "loss", (double)list[i].own.loss);
        if (both) number(t, "float_said", list[i].real.said);
        if (both) number(t, "float_sure", (double)list[i].real.sure);
        close_with(t, "}");
    }
    close_with(t, "]");
}

static void put_answers(octi_text *t, const octi_model *m) {
    open_at(t, "classes", "[");
    for (int32_t i = 0; i < m->classes && i < m->name_count; i++) word(t, NULL, m->names[i].value);
    close_with(t, "]");
    open_at(t, "confusion", "[");
    for (int32_t i = 0; i < m->classes; i++) {
        open_at(t, NULL, "[");
        for (int32_t k = 0; k < m->classes; k++)
            number(t, NULL, (double)m->confusion[(int64_t)i * m->classes + k]);
        close_with(t, "]");
    }
    close_with(t, "]");
    const bool both = m->float_answers.n > 0;
    put_pictures(t, "worst", m->worst, m->worsts, both);
    if (!both) return;
    number(t, "differing", (double)m->apart.all);
    number(t, "differing_right", (double)m->apart.own_right);
    number(t, "differing_float_right", (double)m->apart.float_right);
    put_pictures(t, "differing_worst", m->differing, m->differings, true);
}

static void put_sweep(octi_text *t, const octi_model *m) {
    open_at(t, "sweep", "{");
    number(t, "images", (double)m->sweep_images);
    number(t, "float_accuracy", m->sweep_float);
    open_at(t, "layers", "[");
    for (int32_t i = 0; i < m->layers; i++) {
        if (!isfinite(m->layer[i].sqnr_alone) && !isfinite(m->layer[i].accuracy_alone)) continue;
        open_at(t, NULL, "{");
        word(t, "name", m->layer[i].name);
        number(t, "sqnr_alone", m->layer[i].sqnr_alone);
        number(t, "accuracy_alone", m->layer[i].accuracy_alone);
        close_with(t, "}");
    }
    close_with(t, "]");
    close_with(t, "}");
}

static void put_pairs(octi_text *t, const char *key, const octi_pair *p, int32_t n) {
    open_at(t, key, "{");
    for (int32_t i = 0; i < n; i++) word(t, p[i].key, p[i].value);
    close_with(t, "}");
}

static void put_recipes(octi_text *t, const octi_model *m) {
    open_at(t, "recipe", "[");
    for (int32_t i = 0; i < m->recipes; i++) {
        const octi_recipe *c = &m->recipe[i];
        open_at(t, NULL, "{");
        word(t, "run", c->run);
        word(t, "octet", c->version);
        word(t, "isa", c->isa);
        word(t, "seed", c->seed);
        put_pairs(t, "command", c->option, c->options);
        put_pairs(t, "fit", c->fit, c->fits);
        close_with(t, "}");
    }
    close_with(t, "]");
}

static void put_model(octi_text *t, const octi_model *m) {
    open_at(t, NULL, "{");
    word(t, "path", m->path);
    word(t, "kind", m->word);
    word(t, "how", m->how);
    word(t, "data", m->spec);
    measured(t, &m->own);
    if (m->real_path || m->float_own.score) {
        open_at(t, "float", "{");
        word(t, "path", m->real_path);
        measured(t, &m->float_own);
        close_with(t, "}");
    }
    if (m->epochs.n) put_epochs(t, &m->epochs);
    if (m->whole) {
        put_layers(t, m);
        if (m->confusion) put_answers(t, m);
        if (m->sweep_images) put_sweep(t, m);
        put_weights(t, m);
        put_values(t, m);
    }
    put_recipes(t, m);
    open_at(t, "notes", "[");
    for (int32_t i = 0; i < m->notes; i++) word(t, NULL, m->note[i]);
    close_with(t, "]");
    close_with(t, "}");
}

const char *oct_report_json(oct_report *r) {
    if (!r) return NULL;
    octi_text *t = &r->json;
    if (t->size) return t->data;
    octi_text_bytes(t, "{", 1);
    word(t, "title", r->title);
    open_at(t, "rows", "[");
    for (int32_t i = 0; i < r->rows; i++) {
        open_at(t, NULL, "{");
        word(t, "name", r->row[i].name);
        word(t, "how", r->row[i].how);
        measured(t, &r->row[i].measured);
        if (r->row[i].seeds > 1) {
            number(t, "spread", r->row[i].spread);
            number(t, "seeds", r->row[i].seeds);
        }
        close_with(t, "}");
    }
    close_with(t, "]");
    open_at(t, "models", "[");
    for (int32_t i = 0; i < r->count; i++) put_model(t, &r->model[i]);
    close_with(t, "]");
    octi_text_bytes(t, "}", 1);
    return t->status == OCT_OK ? t->data : NULL;
}
