/* SPDX-License-Identifier: MIT
 * What a model scores, holds and takes, as a whole and layer by layer. */
#include <math.h>
#include <string.h>

#include "qat/fit/layer_report.h"
#include "qat/report/gather.h"
#include "qat/scales/scales.h"
#include "src/mem.h"

/* Images that each layer is measured on: as many as octet layers takes, fewer of nets so large that
 * it would take minutes. */
enum { LAYER_IMAGES = 256, LAYER_IMAGES_LEAST = 32 };
static const double LAYER_MACS = 5e10;

static int64_t images_for(const oct_report *r, const octi_model *m) {
    double macs = 0;
    for (int32_t i = 0; i < m->layers; i++) macs += (double)m->layer[i].macs;
    int64_t n = macs * LAYER_IMAGES > LAYER_MACS ? (int64_t)(LAYER_MACS / macs) : LAYER_IMAGES;
    if (n < LAYER_IMAGES_LEAST) n = LAYER_IMAGES_LEAST;
    return r->limit > 0 && r->limit < n ? r->limit : n;
}

/* Rows of the context's memory, kept in the report's. */
static oct_status take_layers(oct_report *r, octi_model *m, oct_data *data, int64_t n) {
    oct_layer *rows;
    int32_t count;
    OCT_TRY(oct_layers(m->net, data, n, &rows, &count));
    m->layer = octi_arena_alloc(r->arena, ((size_t)count + 1) * sizeof *rows);
    if (m->layer) {
        memcpy(m->layer, rows, (size_t)count * sizeof *rows);
        m->layers = count;
    }
    for (int32_t i = 0; m->layer && i < count; i++) /* the plan's own, which is gone */
        if (rows[i].kernel && !(m->layer[i].kernel = octi_arena_strdup(r->arena, rows[i].kernel)))
            m->layer = NULL;
    oct_layers_free(r->ctx, rows);
    return m->layer ? OCT_OK : oct_last_error()->code;
}

static oct_status layers(oct_report *r, octi_model *m) {
    OCT_TRY(take_layers(r, m, NULL, 0));
    if (!m->data || m->net->stage < OCT_STAGE_PREPARED) return OCT_OK;
    const int64_t all = oct_data_count(m->data), most = images_for(r, m),
                  n = most < all ? most : all;
    OCT_TRY(octi_layers_some(r->ctx, m->data, n, &m->some));
    const oct_status s = take_layers(r, m, m->some ? m->some : m->data, n);
    if (s == OCT_OK) m->layer_images = n;
    return octi_left_out(r, m, "noise and time of the layers", s);
}

static oct_status score(oct_net *net, oct_data *data, oct_measured *to) {
    return oct_measure(net, data, NULL, to);
}

/* A score, and each image's answer. */
static oct_status answer(oct_report *r, octi_model *m, oct_net *net, bool own) {
    octi_answers *a = own ? &m->answers : &m->float_answers;
    oct_measured *to = own ? &m->own : &m->float_own;
    oct_eval e;
    if (!m->data) return OCT_OK;
    a->room = m->whole ? oct_data_count(m->data) : 0;
    a->one = octi_arena_alloc(r->arena, ((size_t)a->room + 1) * sizeof *a->one);
    if (!a->one) return oct_last_error()->code;
    const oct_eval_opts o = {.answer = octi_take_answer, .answer_user = a};
    OCT_TRY(oct_evaluate(net, m->data, &o, &e));
    to->score = e.score;
    to->accuracy = e.accuracy;
    to->loss = e.loss;
    to->n = e.n;
    const size_t cells = (size_t)e.classes * (size_t)e.classes;
    if (own && e.confusion) {
        m->classes = e.classes;
        m->confusion = octi_arena_alloc(r->arena, cells * sizeof *m->confusion);
        if (m->confusion) memcpy(m->confusion, e.confusion, cells * sizeof *m->confusion);
    }
    const bool kept = !own || !e.confusion || m->confusion;
    oct_eval_free(r->ctx, &e);
    return kept ? OCT_OK : oct_last_error()->code;
}

static oct_status measure(oct_report *r, octi_model *m, oct_net *net, bool own) {
    OCT_TRY(oct_measure(net, NULL, NULL, own ? &m->own : &m->float_own));
    return answer(r, m, net, own);
}

/* The same weights without a quantizer: what a run without a float run is held against. */
static oct_status own_float(oct_report *r, octi_model *m) {
    octi_arena *arena = octi_arena_new(r->ctx);
    oct_net *seen = arena ? octi_settled_view(m->net, arena) : NULL; /* with its own switches */
    oct_status s = seen ? OCT_OK : oct_last_error()->code;
    if (seen) oct_net_fake_quantize(seen, false);
    if (seen) s = answer(r, m, seen, false);
    octi_arena_free(arena);
    return s;
}

/* Layers one at a time: as many images as a few seconds allow, none where that are too few to say
 * anything. */
enum { SWEEP_LEAST = 16 };
static const double SWEEP_MACS = 3e10;

oct_status octi_gather_sweep(oct_report *r, octi_model *m) {
    double macs = 0;
    int32_t tried = 0;
    if (!m->layer_images || m->net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    for (int32_t i = 0; i < m->layers; i++) macs += (double)m->layer[i].macs;
    for (int32_t i = 0; i < m->layers; i++) tried += m->layer[i].int8;
    const int64_t most = m->layer_images;
    int64_t n =
        macs * tried * (double)most > SWEEP_MACS ? (int64_t)(SWEEP_MACS / (macs * tried)) : most;
    if (r->sweep) n = most;
    if (n < SWEEP_LEAST && n < most)
        return octi_note(r, m,
                         "Left out: layers one at a time, which takes minutes for a net of this "
                         "size; --sweep does it.");
    const oct_status s = oct_layers_sweep(m->net, m->some ? m->some : m->data, n, m->layer,
                                          m->layers, &m->sweep_float);
    if (s == OCT_OK) m->sweep_images = n;
    return octi_left_out(r, m, "layers one at a time", s);
}

/* What was asked for is done or fails. */
static oct_status or_note(oct_report *r, octi_model *m, const char *what, oct_status s) {
    return r->asked ? s : octi_left_out(r, m, what, s);
}

oct_status octi_gather_scores(oct_report *r, octi_model *m) {
    oct_net *runs = m->int8 ? m->int8 : m->net;
    if (m->net->stage != OCT_STAGE_PREPARED || m->int8)
        OCT_TRY(or_note(r, m, "its score", measure(r, m, runs, true)));
    if (m->real && m->real_path)
        OCT_TRY(or_note(r, m, "the score of the float net", measure(r, m, m->real, false)));
    if (m->net->stage == OCT_STAGE_PREPARED && !m->real)
        OCT_TRY(or_note(r, m, "its score in float", own_float(r, m)));
    return m->whole ? layers(r, m) : OCT_OK;
}

static oct_status add_row(oct_report *r, const char *name, const char *how, const oct_measured *m) {
    if (!name || !how) return oct_last_error()->code;
    r->row[r->rows++] = (oct_report_row){.name = name, .how = how, .measured = *m};
    return OCT_OK;
}

/* What a float net becomes without calibration. */
static oct_status small_rows(oct_report *r, octi_model *m) {
    static const char *const what[] = {"half", "dynamic", "weight-only"};
    oct_net *made[] = {oct_half(m->net), oct_quantize_dynamic(m->net, NULL),
                       oct_quantize_weight_only(m->net, NULL)};
    oct_status s = OCT_OK;
    for (int i = 0; i < 3; i++) {
        oct_measured got;
        oct_status one = made[i] ? score(made[i], m->data, &got) : oct_last_error()->code;
        if (s == OCT_OK && one == OCT_OK) s = add_row(r, m->path, what[i], &got);
        if (s == OCT_OK) s = octi_left_out(r, m, what[i], one);
        oct_net_free(made[i]);
    }
    return s;
}

/* Its float run has a row already, or will have. */
static bool has_row(const oct_report *r, const octi_model *m) {
    for (int32_t k = 0; k < r->count; k++) {
        const octi_model *other = &r->model[k];
        if (!strcmp(other->path, m->real_path)) return true;
        if (other < m && other->real_path && !strcmp(other->real_path, m->real_path)) return true;
    }
    return false;
}

oct_status octi_gather_rows(oct_report *r, octi_model *m) {
    if (m->real_path && m->float_own.bytes > 0 && !has_row(r, m))
        OCT_TRY(add_row(r, m->real_path, "float", &m->float_own));
    if (m->own.bytes > 0) OCT_TRY(add_row(r, m->path, m->how, &m->own));
    return m->net->stage < OCT_STAGE_PREPARED ? small_rows(r, m) : OCT_OK;
}

oct_status octi_take_rows(oct_report *r, const oct_report_row *more, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        oct_report_row *to = &r->row[r->rows++];
        *to = more[i];
        to->name = octi_arena_strdup(r->arena, more[i].name ? more[i].name : "");
        to->how = octi_arena_strdup(r->arena, more[i].how ? more[i].how : "");
        if (!to->name || !to->how) return oct_last_error()->code;
    }
    return OCT_OK;
}
