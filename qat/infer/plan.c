/* SPDX-License-Identifier: MIT
 * A plan: modules in execution order, a place for every value. Fused plans share memory (views cost
 * nothing, element-wise steps work in place, dead values give theirs back); unfused ones keep every
 * value, so that it can be looked at. */
#include "qat/infer/plan.h"

#include <stdio.h>
#include <string.h>

#include "qat/infer/planner.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/qround.h"

static size_t round64(size_t n) { return (n + 63) & ~(size_t)63; }

/* Constants that steps read while they run; packed ones go with the net. */
static oct_status hold(oct_plan *p, const oct_graph *g) {
    size_t most = 0;
    for (int32_t i = 0; i < g->node_count; i++) most += (size_t)g->nodes[i].nin;
    p->held = octi_arena_calloc(p->arena, most + 1, sizeof *p->held);
    if (!p->held) return oct_last_error()->code;
    for (int32_t i = 0; i < p->step_count; i++) {
        const octi_qmodule *m = &p->steps[i];
        for (int32_t k = 0; k < m->nin; k++) {
            const oct_value *v = octi_node_in(g, &g->nodes[m->node], k);
            if (!v || !v->tensor || (!m->is_float && m->u.q.packed && m->u.q.packed == k)) continue;
            p->held[p->held_count++] = oct_tensor_ref(v->tensor);
        }
    }
    return OCT_OK;
}

static bool is_halving(const oct_attrs *a) {
    bool pads = false;
    for (int k = 0; k < 4; k++) pads |= a->pads[k] != 0;
    return a->kernel[0] == 2 && a->kernel[1] == 2 && a->stride[0] == 2 && a->stride[1] == 2 &&
           !pads;
}

/* The operand of m that the value is, -1 where it is none. */
static int32_t operand(const octi_qmodule *m, int32_t value) {
    for (int32_t k = 0; k < m->nin; k++)
        if (m->in[k] == value) return k;
    return -1;
}

/* Inputs and names of both. */
static oct_status join(oct_plan *p, octi_qmodule *m, const octi_qmodule *next, int32_t other,
                       octi_path path) {
    const size_t count = (size_t)m->also_count;
    int32_t *in = octi_arena_alloc(p->arena, ((size_t)m->nin + 1) * sizeof *in);
    const char **also = octi_arena_calloc(p->arena, count + 2, sizeof *also);
    octi_path *paths = octi_arena_alloc(p->arena, (count + 1) * sizeof *paths);
    if (!in || !also || !paths) return oct_last_error()->code;
    memcpy(in, m->in, (size_t)m->nin * sizeof *in);
    if (count) memcpy(also, m->also, count * sizeof *also);
    if (count) memcpy(paths, m->also_path, count * sizeof *paths);
    if (other >= 0) in[m->nin++] = other;
    also[count] = next->name;
    paths[count] = path;
    m->in = in;
    m->also = also;
    m->also_path = paths;
    m->also_count++;
    m->out = next->out;
    return OCT_OK;
}

/* What alone reads the convolution of the step before goes into that step, where it can (design
 * 4.11: of the plan alone, the same codes): a 2x2 max pool of stride 2, whose codes are then the
 * only ones made; what works element by element, such as a residual add. */
static oct_status take(oct_plan *p, const oct_graph *g, octi_qmodule *conv,
                       const octi_qmodule *next, bool *taken) {
    int32_t reader, other = -1;
    octi_path path = OCTI_PATH_pool_taken;
    const int32_t place = operand(next, conv->out);
    if (conv->is_float || next->is_float || place < 0 || conv->out == g->output ||
        octi_graph_consumers(g, conv->out, &reader) != 1)
        return OCT_OK;
    if (next->kind == OCT_OP_max_pool2d) {
        if (conv->kind != OCT_OP_qconv2d || conv->also || !is_halving(&g->nodes[next->node].attr))
            return OCT_OK;
        OCT_TRY(octi_qconv_take_pool(&conv->u.q, taken));
    } else {
        if (place > 1 || conv->nin >= OCTI_MAX_INPUTS) return OCT_OK;
        if (next->nin > 1) other = next->in[1 - place];
        OCT_TRY(
            octi_qconv_take_map(&conv->u.q, &next->u.q, place, other < 0 ? -1 : conv->nin, taken));
        conv->in_place = conv->u.q.in_place;
        path = next->kind != OCT_OP_qadd ? OCTI_PATH_map_taken
               : place                   ? OCTI_PATH_add_taken_second
                                         : OCTI_PATH_add_taken_first;
    }
    return *taken ? join(p, conv, next, other, path) : OCT_OK;
}

static oct_status swallow(oct_plan *p, const oct_graph *g) {
    int32_t kept = 0;
    for (int32_t i = 0; i < p->step_count; i++) {
        bool taken = false;
        if (kept) OCT_TRY(take(p, g, &p->steps[kept - 1], &p->steps[i], &taken));
        if (!taken) p->steps[kept++] = p->steps[i];
    }
    p->step_count = kept;
    return OCT_OK;
}

static oct_status make_steps(oct_plan *p, const oct_graph *g) {
    p->steps = octi_arena_calloc(p->arena, (size_t)g->node_count + 1, sizeof *p->steps);
    if (!p->steps) return oct_last_error()->code;
    const int64_t constants = octi_constant_bytes(g);
    for (int32_t i = 0; i < g->node_count; i++) {
        OCT_TRY(octi_qmodule_init(&p->steps[i], p->arena, g, i, constants));
        p->cycles += octi_qmodule_cycles(&p->steps[i]);
    }
    p->step_count = g->node_count;
    OCT_TRY(hold(p, g));
    return p->unfused || p->dense ? OCT_OK : swallow(p, g);
}

/* The value's makers and readers take any layout. */
static bool all_pitched(const oct_plan *p, int32_t value) {
    for (int32_t i = 0; i < p->step_count; i++) {
        const octi_qmodule *m = &p->steps[i];
        bool touches = m->out == value;
        for (int32_t k = 0; k < m->nin; k++) touches |= m->in[k] == value;
        if (touches && (m->is_float || !m->u.q.pitched)) return false;
    }
    return true;
}

static bool may_have_halo(const oct_plan *p, int32_t v) {
    const octi_plan_value *w = &p->values[v];
    return w->home == OCTI_HOME_BLOCK && !p->unfused && !p->dense && w->dtype == OCT_U8 &&
           w->shape.rank == 4 && all_pitched(p, v);
}

static void set_halo(octi_plan_value *w, octi_halo halo) {
    w->at = octi_layout_of(&w->shape, oct_dtype_size(w->dtype), halo);
    w->at.slack = w->home == OCTI_HOME_BLOCK;
}

/* The operand that step i could write over, as far as lives and sizes say. */
static int32_t replaceable(const oct_plan *p, int32_t i) {
    const octi_qmodule *m = &p->steps[i];
    for (int32_t k = 0; k < m->nin && k < 32; k++)
        if (m->in_place >> k & 1 && m->in[k] >= 0 && p->values[m->in[k]].last == i &&
            p->values[m->in[k]].image == p->values[m->out].image)
            return m->in[k];
    return -1;
}

/* A value has the halo that its readers would like, where everyone who touches it can work so; and
 * that of the operand whose place it could take, for cells cost less than another image. Unfused
 * plans hand values out: they stay dense. */
static void lay_out(oct_plan *p) {
    for (int32_t v = 0; v < p->value_count; v++) {
        octi_halo halo = {0};
        for (int32_t i = 0; may_have_halo(p, v) && i < p->step_count; i++)
            if (p->steps[i].in[0] == v) halo = octi_halo_join(halo, p->steps[i].u.q.halo);
        set_halo(&p->values[v], halo);
    }
    for (int32_t i = 0; i < p->step_count; i++) {
        const int32_t in = replaceable(p, i), out = p->steps[i].out;
        if (in < 0 || !may_have_halo(p, in) || !may_have_halo(p, out)) continue;
        const octi_halo both = octi_halo_join(p->values[in].at.halo, p->values[out].at.halo);
        set_halo(&p->values[in], both);
        set_halo(&p->values[out], both);
    }
}

static oct_status bind(oct_plan *p) {
    const int32_t threads = octi_ctx_pool(p->ctx) ? oct_ctx_threads(p->ctx) : 1;
    for (int32_t i = 0; i < p->step_count; i++) {
        octi_qmodule *m = &p->steps[i];
        octi_layout in[OCTI_MAX_INPUTS];
        for (int32_t k = 0; k < m->nin; k++)
            in[k] = m->in[k] >= 0 ? p->values[m->in[k]].at : (octi_layout){0};
        OCT_TRY(octi_qmodule_bind(m, in, &p->values[m->out].at));
        if (m->scratch > p->scratch) p->scratch = m->scratch;
        m->share = octi_qmodule_share(m, threads);
        if (m->is_float) continue;
        p->values[m->out].halo_code = (uint8_t)octi_qrun_last(&m->u.q)->args->out->zero_point;
        if (m->u.q.band > p->band) p->band = m->u.q.band;
    }
    p->scratch = round64(p->scratch);
    p->band = round64(p->band);
    return OCT_OK;
}

static oct_status make_values(oct_plan *p, const oct_graph *g) {
    p->values = octi_arena_calloc(p->arena, (size_t)g->value_count + 1, sizeof *p->values);
    if (!p->values) return oct_last_error()->code;
    p->value_count = g->value_count;
    p->input = g->input;
    p->output = g->output;
    for (int32_t i = 0; i < g->value_count; i++) {
        const oct_value *v = &g->values[i];
        octi_plan_value *w = &p->values[i];
        *w = (octi_plan_value){.name = octi_arena_strdup(p->arena, v->name),
                               .dtype = v->dtype,
                               .shape = v->shape,
                               .root = i,
                               .first = -1,
                               .last = -1};
        if (!w->name) return oct_last_error()->code;
        w->image = v->tensor ? 0 : (size_t)octi_image_count(&v->shape) * oct_dtype_size(v->dtype);
    }
    /* what no step makes (between two nodes of one step) has no home */
    p->values[g->input].home = OCTI_HOME_INPUT;
    for (int32_t i = 0; i < p->step_count; i++) {
        const octi_qmodule *m = &p->steps[i];
        octi_plan_value *w = &p->values[m->out];
        w->first = w->last = i;
        w->home = m->out == g->output && !p->unfused ? OCTI_HOME_OUTPUT : OCTI_HOME_BLOCK;
        for (int32_t k = 0; k < m->nin; k++)
            if (m->in[k] >= 0) p->values[m->in[k]].last = i;
    }
    return OCT_OK;
}

/* Whether step i may write over its input k: that dies with it, nothing of it is the caller's, and
 * none of the inputs that it reads otherwise lies there. */
static bool may_replace(const oct_plan *p, int32_t i, int32_t k) {
    const octi_qmodule *m = &p->steps[i];
    if (!(m->in_place >> k & 1) || m->in[k] < 0) return false;
    const octi_plan_value *in = &p->values[m->in[k]], *out = &p->values[m->out],
                          *root = &p->values[in->root];
    for (int32_t e = 0; e < m->nin; e++)
        if (m->in[e] >= 0 && p->values[m->in[e]].root == in->root && !(m->in_place >> e & 1))
            return false;
    return root->home == OCTI_HOME_BLOCK && out->home == OCTI_HOME_BLOCK &&
           in->at.image == out->at.image && root->last == i &&
           (p->dense || (in->at.origin == out->at.origin && in->at.row == out->at.row));
}

/* A program without octet's kernels (a dense plan) writes over first inputs alone. */
static void share_memory(oct_plan *p) {
    for (int32_t i = 0; i < p->step_count; i++) {
        octi_qmodule *m = &p->steps[i];
        const int32_t most = p->dense ? 1 : m->nin < 32 ? m->nin : 32;
        int32_t k = 0;
        while (k < most && !may_replace(p, i, k)) k++;
        if (k == most) continue;
        p->values[m->out].root = p->values[m->in[k]].root;
        p->values[p->values[m->out].root].last = p->values[m->out].last;
    }
}

static size_t place_bytes(const oct_plan *p, const octi_plan_value *v) {
    return p->dense ? (v->image + 3) & ~(size_t)3 : round64((size_t)v->at.image + OCTI_SLACK);
}

static bool same_halo(const octi_plan_value *v, const octi_plan_value *w) {
    const octi_layout *a = &v->at, *b = &w->at;
    return v->offset == w->offset && v->halo_code == w->halo_code && a->image == b->image &&
           a->row == b->row && a->pixel == b->pixel && a->origin == b->origin &&
           v->shape.dim[1] == w->shape.dim[1] && v->shape.dim[2] == w->shape.dim[2];
}

void octi_plan_keep_halos(oct_plan *p) {
    for (int32_t i = 0; i < p->step_count; i++) {
        octi_plan_value *v = &p->values[p->steps[i].out];
        const size_t end = v->offset + place_bytes(p, v);
        if (v->home != OCTI_HOME_BLOCK || octi_halo_none(&v->at.halo)) continue;
        for (int32_t k = i - 1; k >= 0; k--) {
            const octi_plan_value *w = &p->values[p->steps[k].out];
            if (w->home != OCTI_HOME_BLOCK || w->offset >= end ||
                w->offset + place_bytes(p, w) <= v->offset)
                continue;
            v->halo_there = same_halo(v, w);
            break;
        }
    }
}

static oct_status place(oct_plan *p) {
    octi_place *places = octi_calloc(p->ctx, (size_t)p->value_count + 1, sizeof *places);
    if (!places) return oct_last_error()->code;
    for (int32_t i = 0; i < p->value_count; i++) {
        const octi_plan_value *v = &p->values[i];
        if (v->home != OCTI_HOME_BLOCK) continue;
        const size_t bytes = place_bytes(p, v);
        if (v->root == i)
            places[i] = (octi_place){.bytes = bytes, .first = v->first, .last = v->last};
        if (p->unfused) places[i].first = 0, places[i].last = p->step_count;
        p->sum += bytes;
    }
    oct_status s = octi_plan_places(p->ctx, places, p->value_count, &p->activations);
    for (int32_t i = 0; i < p->value_count; i++)
        p->values[i].offset = places[p->values[i].root].offset;
    octi_free(p->ctx, places);
    size_t most = octi_ctx_declared_limit(p->ctx);
    if (s == OCT_OK && p->activations > most)
        s = octi_fail(OCT_ELIMIT, "plan", "activations of one image are too large",
                      octi_fmt("at most %zu bytes", most), octi_fmt("%zu", p->activations),
                      "raise max_bytes of the context");
    return s;
}

/* The one quantize node that reads the input can work from a table of codes (law 13). */
static oct_status pixels(oct_plan *p, const oct_net *net) {
    const oct_graph *g = net->graph;
    const oct_shape *x = &g->values[g->input].shape;
    int64_t c = x->dim[x->rank - 1];
    const oct_tensor *stored = octi_int8_table(net);
    /* mean and std are [4] */
    bool described = net->input.channels == c && c <= 4 && net->input.div > 0;
    int32_t reader = -1;
    p->desc = net->input;
    p->table_step = -1;
    if (octi_graph_consumers(g, g->input, &reader) == 1 &&
        g->nodes[reader].kind == OCT_OP_quantize && (stored || described)) {
        uint8_t *t = octi_arena_calloc(p->arena, (size_t)c, 256);
        if (!t) return oct_last_error()->code;
        int32_t step = 0; /* that runs the node */
        while (p->steps[step].node != reader) step++;
        const octi_qlin *q = &p->steps[step].u.q.u.lin;
        for (int64_t i = 0; i < c * 256; i++) {
            int32_t k = (int32_t)(i / 256);
            t[i] = stored
                       ? oct_u8(stored)[i]
                       : (uint8_t)octq_quantize(octq_pixel((uint8_t)(i % 256), net->input.div,
                                                           net->input.mean[k], net->input.std[k]),
                                                q->scale, q->zero_point, q->qmin, q->qmax);
        }
        p->table = t;
        p->table_step = step;
    }
    p->takes_u8 = p->table || described;
    return OCT_OK;
}

static oct_status build(oct_plan *p, const oct_net *net) {
    OCT_TRY(octi_int8_check_net(net));
    OCT_TRY(make_steps(p, net->graph));
    OCT_TRY(make_values(p, net->graph));
    lay_out(p);
    OCT_TRY(bind(p));
    if (!p->unfused) share_memory(p);
    OCT_TRY(place(p));
    octi_plan_keep_halos(p);
    return pixels(p, net);
}

/* Packed they fill a good part of a second-level cache, where pages of 4 KB cost some of them. The
 * last large page stays in part empty: not for small nets (LeNet has 62,000). */
enum { MANY_WEIGHTS = 64 << 10 };

static bool has_many_weights(const oct_graph *g) {
    int64_t count = 0;
    for (int32_t i = 0; i < g->value_count; i++)
        if (g->values[i].tensor) count += oct_tensor_count(g->values[i].tensor);
    return count > MANY_WEIGHTS;
}

static oct_plan *new_plan(const oct_net *net, const oct_plan_opts *opts, bool dense) {
    oct_plan *p = octi_alloc(net->ctx, sizeof *p);
    if (!p) return octi_ctx_failed(net->ctx), NULL;
    p->ctx = net->ctx;
    p->unfused = opts && opts->unfused;
    p->profile = opts && opts->profile;
    p->dense = dense;
    p->arena = has_many_weights(net->graph) ? octi_arena_new_read_often(net->ctx)
                                            : octi_arena_new_kept(net->ctx);
    if (p->arena && build(p, net) == OCT_OK) return p;
    octi_ctx_failed(net->ctx);
    oct_plan_free(p);
    return NULL;
}

oct_plan *oct_plan_new(const oct_net *net, const oct_plan_opts *opts) {
    OCTI_LAW_MODE();
    return net ? new_plan(net, opts, false) : NULL;
}

oct_plan *octi_plan_new_dense(const oct_net *net) {
    OCTI_LAW_MODE();
    return new_plan(net, NULL, true);
}

void oct_plan_free(oct_plan *p) {
    if (!p) return;
    for (int32_t i = 0; i < p->held_count; i++) oct_tensor_unref(p->held[i]);
    octi_arena_free(p->arena);
    octi_free(p->ctx, p);
}

oct_shape oct_plan_input_shape(const oct_plan *p) {
    return p ? p->values[p->input].shape : (oct_shape){0};
}
oct_shape oct_plan_output_shape(const oct_plan *p) {
    return p ? p->values[p->output].shape : (oct_shape){0};
}
bool oct_plan_takes_u8(const oct_plan *p) { return p && p->takes_u8; }
int32_t oct_plan_steps(const oct_plan *p) { return p ? p->step_count : 0; }

size_t oct_plan_activation_bytes(const oct_plan *p, size_t *without_reuse) {
    if (without_reuse) *without_reuse = p ? p->sum : 0;
    return p ? p->activations : 0;
}

void oct_plan_print(const oct_plan *p, void (*line)(void *, const char *), void *user) {
    if (!p || !line) return;
    static const char *const homes[] = {"constant", "caller's x", "caller's y", "block"};
    char text[512];
    snprintf(
        text, sizeof text,
        "plan: %d steps, %zu bytes of activations per image (%zu without reuse), %zu of scratch%s",
        (int)p->step_count, p->activations, p->sum, p->scratch + p->band,
        p->unfused ? ", unfused" : "");
    line(user, text);
    for (int32_t i = 0; i < p->step_count; i++) {
        const octi_qmodule *m = &p->steps[i];
        const octi_plan_value *v = &p->values[m->out], *root = &p->values[v->root];
        snprintf(text, sizeof text,
                 "%4d %-24s %-20s %-7s %-18s %9zu bytes at %9zu, steps %d to %d, %s%s%s", (int)i,
                 m->name, oct_op_name(m->kind), oct_dtype_name(v->dtype), oct_shape_text(&v->shape),
                 (size_t)v->at.image, v->offset, (int)v->first, (int)v->last, homes[v->home],
                 root != v ? ", in place of " : "", root != v ? root->name : "");
        line(user, text);
    }
}

void oct_plan_opts_init(oct_plan_opts *opts) {
    if (opts) *opts = (oct_plan_opts){0};
}
