/* SPDX-License-Identifier: MIT
 * A tape: a graph with, beside each value and node, what they are at run time. Everything of a step
 * lives in two arenas (the graph's for names, the tape's for tensors) that oct_tape_begin
 * rewinds. */
#include "autograd/tape_state.h"

#include <stdio.h>
#include <string.h>

#include "autograd/blas.h"
#include "src/float_mode.h"
#include "src/words.h"
#include "src/mem.h"

oct_tape *oct_tape_new(oct_ctx *ctx) {
    oct_tape *t = octi_alloc(ctx, sizeof *t);
    if (!t) return octi_ctx_failed(ctx), NULL;
    t->ctx = ctx;
    t->graph = octi_graph_new(ctx);
    t->record = t->arena = octi_arena_new(ctx);
    t->memory.arena = octi_arena_new(ctx);
    if (!t->graph || !t->arena || !t->memory.arena) {
        octi_ctx_failed(ctx);
        oct_tape_free(t);
        return NULL;
    }
    octi_ctx_set_sgemm_install(ctx, octi_blas_install);
    return t;
}

void oct_tape_free(oct_tape *t) {
    if (!t) return;
    octi_graph_free(t->graph);
    octi_arena_free(t->arena);
    octi_arena_free(t->memory.arena);
    octi_arena_free(t->held);
    octi_arena_free(t->replay.arena);
    octi_free(t->ctx, t->values);
    octi_free(t->ctx, t->calls);
    octi_watch_remove(t->ctx, &t->watchers, NULL);
    octi_free(t->ctx, t);
}

void oct_tape_begin(oct_tape *t, oct_mode mode) {
    if (!t) return;
    octi_graph_reset(t->graph);
    t->replay.net = NULL;
    octi_tape_step(t, mode);
}

void octi_tape_step(oct_tape *t, oct_mode mode) {
    octi_arena_reset(t->arena);
    octi_step_reset(&t->memory);
    t->memory.again = false;
    t->record = t->arena;
    t->mode = mode;
    t->status = OCT_OK;
    t->went_back = false;
    t->epoch = t->first_sample = 0;
    t->cut.images = 0;
    t->scope[0] = 0;
    t->dry = false;
    t->looked_at = -1;
}

oct_status oct_tape_watch(oct_tape *t, const char *node, oct_watch_fn fn, void *user) {
    if (!t || !fn) return octi_fail_null("oct_tape_watch");
    return octi_watch_add(t->ctx, &t->watchers, node, fn, user);
}

void oct_tape_unwatch(oct_tape *t, const char *node) {
    if (t) octi_watch_remove(t->ctx, &t->watchers, node);
}

void octi_tape_dry(oct_tape *t, octi_made made) {
    t->dry = true;
    t->made = made;
}

void octi_make_values(oct_tensor *x, octi_made made) {
    memset(x->data, 0, oct_tensor_bytes(x));
    for (int64_t i = 0; x->dtype == OCT_F32 && i < oct_tensor_count(x); i++)
        oct_f32(x)[i] = made.first + made.step * (float)(i % 64);
}

void octi_tape_cut(oct_tape *t, octi_cut cut) { t->cut = cut; }

const char *octi_tape_looked_at(const oct_tape *t) {
    return t->looked_at < 0 ? NULL : t->graph->values[t->looked_at].name;
}

oct_status octi_tape_hold(oct_tape *t) {
    if (!t->held) t->held = octi_arena_new(t->ctx);
    return t->held ? OCT_OK : oct_last_error()->code;
}

void oct_tape_key(oct_tape *t, uint32_t epoch, uint32_t first_sample) {
    if (!t) return;
    t->epoch = epoch;
    t->first_sample = first_sample;
}

oct_status oct_tape_status(const oct_tape *t) {
    return t ? t->status : octi_fail_null("oct_tape_status");
}
size_t octi_tape_bytes(const oct_tape *t) { return octi_arena_used(t->memory.arena); }
oct_mode octi_tape_mode(const oct_tape *t) { return t->mode; }
oct_ctx *octi_tape_ctx(const oct_tape *t) { return t->ctx; }
octi_arena *octi_tape_arena(const oct_tape *t) { return t->arena; }
const oct_graph *octi_tape_graph(const oct_tape *t) { return t->graph; }
int32_t octi_var_index(const oct_var *v) { return v->value; }
const oct_tensor *octi_var_codes(const oct_var *v) {
    return v ? v->tape->values[v->value]->codes : NULL;
}
oct_var *octi_tape_find(const oct_tape *t, const char *name) {
    int32_t v = oct_graph_find_value(t->graph, name);
    return v < 0 ? NULL : &t->values[v]->var;
}
oct_tape *oct_var_tape(const oct_var *v) { return v ? v->tape : NULL; }
const char *octi_scope(const oct_tape *t) { return t->scope; }

oct_var *octi_tape_failed(oct_tape *t) {
    if (t && t->status == OCT_OK) t->status = octi_fail_null("tape");
    return NULL;
}

/* Weights are there while a net is captured; what the layers make of data is not. */
static void note_look(oct_tape *t, int32_t value) {
    const oct_value_role role = t->graph->values[value].role;
    if (t->dry && t->looked_at < 0 && (role == OCT_VALUE_ACT || role == OCT_VALUE_INPUT))
        t->looked_at = value;
}

const oct_tensor *oct_var_value(const oct_var *v) {
    if (!v) return NULL;
    note_look(v->tape, v->value);
    return v->tape->values[v->value]->data;
}

const oct_shape *oct_var_shape(const oct_var *v) {
    return v ? &v->tape->graph->values[v->value].shape : NULL;
}

const oct_tensor *oct_var_grad(const oct_var *v) {
    if (!v) return NULL;
    const oct_tensor *leaf = v->tape->graph->values[v->value].tensor;
    return leaf ? leaf->grad : NULL;
}

/* ---- scopes and names ---- */

void octi_scope_push(oct_tape *t, const char *name) {
    size_t n = strlen(t->scope);
    if (n + strlen(name) + 2 > sizeof t->scope) {
        octi_fail(OCT_ELIMIT, name, "modules are applied too deeply: their path is too long",
                  octi_fmt("at most %zu bytes", sizeof t->scope - 1), NULL, NULL);
        octi_tape_failed(t);
        return;
    }
    snprintf(t->scope + n, sizeof t->scope - n, "%s%s", n ? "." : "", name);
}

void octi_scope_pop(oct_tape *t) {
    char *dot = strrchr(t->scope, '.');
    *(dot ? dot : t->scope) = 0;
}

/* "base", or "base_1", "base_2", ... where taken */
static const char *free_name(oct_tape *t, const char *base) {
    if (oct_graph_find_value(t->graph, base) < 0) return base;
    char stem[512]; /* base may stand in a rotating buffer */
    snprintf(stem, sizeof stem, "%s", base);
    for (int i = 1;; i++) {
        const char *name = octi_fmt("%s_%d", stem, i);
        if (oct_graph_find_value(t->graph, name) < 0) return name;
    }
}

/* ---- values ---- */

static oct_var *attach(oct_tape *t, int32_t value, oct_tensor *data, bool needs, bool of_batch) {
    value_run *r = value < 0 ? NULL : octi_arena_alloc(t->record, sizeof *r);
    if (!r || octi_reserve(t->ctx, (void **)&t->values, &t->value_cap, (size_t)value + 1,
                           sizeof *t->values) != OCT_OK)
        return octi_tape_failed(t);
    *r = (value_run){.data = data, .var = {t, value}, .needs = needs, .of_batch = of_batch};
    t->values[value] = r;
    return &r->var;
}

static oct_var *input(oct_tape *t, const oct_tensor *x, bool of_batch) {
    if (!t) return NULL;
    if (!x)
        return octi_fail(OCT_EUSAGE, "oct_input", "tensor is NULL", NULL, NULL, NULL),
               octi_tape_failed(t);
    oct_tensor *view = octi_tensor_view(t->arena, x->dtype, x->shape, x->data);
    if (!view) return octi_tape_failed(t);
    int32_t v = octi_graph_add_value(t->graph, free_name(t, "input"), OCT_VALUE_INPUT, x->dtype,
                                     x->shape, NULL);
    return attach(t, v, view, false, of_batch);
}

oct_var *oct_input(oct_tape *t, const oct_tensor *x) { return input(t, x, true); }
oct_var *octi_beside(oct_var *v, const oct_tensor *x) { return input(oct_var_tape(v), x, false); }

static oct_var *leaf(oct_tape *t, oct_tensor *p, oct_value_role role, const char *path,
                     bool needs) {
    for (int32_t i = 0; i < t->graph->value_count; i++)
        if (t->graph->values[i].tensor == p) return &t->values[i]->var;
    int32_t v = octi_graph_add_value(t->graph, path, role, p->dtype, p->shape, p);
    return attach(t, v, p, needs && t->mode == OCT_TRAIN, false);
}

oct_var *octi_leaf(oct_tape *t, oct_tensor *p, oct_value_role role, const char *name) {
    if (!t || !p || !name) return octi_tape_failed(t);
    const char *path = *t->scope ? octi_fmt("%s.%s", t->scope, name) : name;
    return leaf(t, p, role, free_name(t, path), role == OCT_VALUE_PARAM);
}

oct_var *oct_param(oct_tape *t, oct_tensor *p, const char *name) {
    return octi_leaf(t, p, OCT_VALUE_PARAM, name);
}

oct_var *octi_net_leaf(oct_tape *t, const oct_value *v) {
    oct_var *x = leaf(t, v->tensor, v->role, v->name, v->role == OCT_VALUE_PARAM && !v->frozen);
    if (x) t->graph->values[x->value].frozen = v->frozen;
    return x;
}

/* ---- recording ---- */

oct_status octi_call_output(octi_call *c) {
    const oct_value *v = &c->graph->values[c->node->out];
    c->out = octi_call_tensor(c, v->dtype, v->shape);
    return c->out ? OCT_OK : oct_last_error()->code;
}

oct_status octi_call_din(octi_call *c, int k) {
    c->din[k]->data = octi_step_take(&c->tape->memory, oct_tensor_bytes(c->din[k]), NULL);
    return c->din[k]->data ? OCT_OK : oct_last_error()->code;
}

void octi_call_pass(octi_call *c, int k) { c->din[k]->data = c->dout->data; }

oct_tensor *octi_call_tensor(octi_call *c, oct_dtype dtype, oct_shape shape) {
    size_t bytes;
    if (octi_shape_bytes(&shape, dtype, "tensor", &bytes) != OCT_OK) return NULL;
    void *data = octi_step_take(&c->tape->memory, bytes, c->held);
    return data ? octi_tensor_view(c->arena, dtype, shape, data) : NULL;
}

oct_status octi_run_by_cut(oct_tape *t, octi_call *c, octi_diff_fn *pass) {
    const octi_cut *own = c->of_batch && t->cut.images ? &t->cut : NULL;
    if (!c->of_batch && t->cut.reduce) own = &octi_cut_of_others;
    const octi_cut *before = octi_ctx_set_cut(t->ctx, own);
    const oct_status s = pass(c);
    octi_ctx_set_cut(t->ctx, before);
    return s;
}

/* Of the images that are here. */
static uint32_t first_sample(const oct_tape *t) {
    return t->first_sample + (t->cut.images ? (uint32_t)octi_cut_begin(&t->cut, t->cut.first) : 0);
}

oct_var *octi_call_run(oct_tape *t, octi_call *c) {
    value_run *out = t->values[c->node->out];
    for (int k = 0; k < c->node->nin; k++) {
        const int32_t from = c->node->in[k];
        if (from < 0) continue;
        c->in[k] = t->values[from]->data;
        c->in_codes[k] = t->values[from]->codes;
    }
    c->key = (oct_dropout_key){oct_ctx_seed(t->ctx), t->epoch, first_sample(t),
                               (uint32_t)(c->node - t->graph->nodes)};
    c->hook_state = t->hook_state;
    if (t->dry) {
        if (octi_call_output(c) != OCT_OK) return octi_tape_failed(t);
        octi_make_values(c->out, t->made); /* a forward function may look at them */
    } else if (octi_run_by_cut(t, c,
                               t->hooks ? t->hooks->forward
                                        : octi_diff_of(c->node->kind)->forward) != OCT_OK)
        return octi_tape_failed(t);
    out->data = c->out;
    out->codes = c->out_codes;
    if (t->watchers && !t->dry) octi_watch_call(t->watchers, c);
    return &out->var;
}

oct_var *octi_call_new(oct_tape *t, oct_op_kind kind, const char *name, const oct_attrs *a,
                       oct_var *const *in, int nin, oct_dtype dtype, oct_shape shape,
                       const oct_node *net_node) {
    octi_call *c = octi_arena_calloc(t->record, 1, sizeof *c);
    int32_t *index = octi_arena_alloc(t->record, (size_t)nin * sizeof *index + 1);
    oct_tensor **data = octi_arena_calloc(t->record, 2 * (size_t)nin, sizeof *data);
    bool *needs = octi_arena_calloc(t->record, (size_t)nin + 1, sizeof *needs);
    octi_buffer **held = octi_arena_calloc(t->record, 1, sizeof *held);
    if (!c || !index || !data || !needs || !held) return octi_tape_failed(t);
    bool any = false, of_batch = false;
    for (int k = 0; k < nin; k++) {
        index[k] = in[k] ? in[k]->value : -1;
        if (!in[k]) continue;
        const value_run *r = t->values[in[k]->value];
        any |= needs[k] = r->needs;
        of_batch |= r->of_batch;
    }
    int32_t n = octi_graph_add_node(t->graph, kind, name, a, index, nin, dtype, shape);
    if (n < 0 || octi_reserve(t->ctx, (void **)&t->calls, &t->call_cap, (size_t)n + 1,
                              sizeof *t->calls) != OCT_OK)
        return octi_tape_failed(t);
    *c = (octi_call){.tape = t,
                     .ctx = t->ctx,
                     .arena = t->arena,
                     .mode = t->mode,
                     .wants_grad = any,
                     .of_batch = of_batch,
                     .graph = t->graph,
                     .node = &t->graph->nodes[n],
                     .net = t->net,
                     .net_node = net_node,
                     .in = data,
                     .in_codes = data + nin,
                     .in_needs = needs,
                     .held = held};
    t->calls[n] = c;
    return attach(t, c->node->out, NULL, any, of_batch) ? octi_call_run(t, c) : NULL;
}

oct_var *octi_record(oct_tape *t, oct_op_kind kind, const oct_attrs *a, oct_var *const *in, int nin,
                     const char *name) {
    OCTI_LAW_MODE();
    if (!t) return NULL;
    if (t->status != OCT_OK) return NULL;
    const oct_value **v = octi_arena_calloc(t->arena, (size_t)nin + 1, sizeof *v);
    if (!v) return octi_tape_failed(t);
    const char *base = name        ? name
                       : *t->scope ? octi_fmt("%s.%s", t->scope, oct_op_name(kind))
                                   : oct_op_name(kind);
    /* shape rules use the rotating buffers too */
    const char *path = octi_arena_strdup(t->arena, free_name(t, base));
    if (!path) return octi_tape_failed(t);
    for (int k = 0; k < nin; k++) {
        if (!in[k]) continue;
        if (in[k]->tape != t) {
            octi_fail(OCT_EUSAGE, path, octi_fmt("input %d is a variable of another tape", k), NULL,
                      NULL, NULL);
            return octi_tape_failed(t);
        }
        v[k] = &t->graph->values[in[k]->value];
    }
    oct_dtype dtype;
    oct_shape shape;
    static const oct_attrs none;
    if (!a) a = &none;
    if (oct_infer_shape(kind, a, v, nin, path, &dtype, &shape) != OCT_OK)
        return octi_tape_failed(t);
    return octi_call_new(t, kind, path, a, in, nin, dtype, shape, NULL);
}
