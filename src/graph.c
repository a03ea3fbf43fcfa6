/* SPDX-License-Identifier: MIT
 * Builds, searches and verifies a graph. What each kind's shapes must be is the ops' business. */
#include "src/graph.h"

#include <string.h>

#include "src/arena.h"
#include "src/mem.h"
#include "src/name_index.h"
#include "src/words.h"

static const struct op_row {
    const char *name;
    int least, most;
    unsigned flags;
} op_rows[OCT_OP_KIND_COUNT] = {
#define F                                OCT_OPF_F
#define Q                                OCT_OPF_Q
#define G                                OCT_OPF_G
#define B                                OCT_OPF_B
#define OCT_OP(name, least, most, flags) {#name, least, most, flags},
#include "src/op_kinds.def"
#undef OCT_OP
#undef F
#undef Q
#undef G
#undef B
};

const char *oct_op_name(oct_op_kind k) {
    return (unsigned)k < OCT_OP_KIND_COUNT ? op_rows[k].name : "?";
}
unsigned oct_op_flags(oct_op_kind k) {
    return (unsigned)k < OCT_OP_KIND_COUNT ? op_rows[k].flags : 0;
}

bool oct_op_from_name(const char *name, oct_op_kind *kind) {
    if (!name || !kind) return false;
    for (int i = 0; i < OCT_OP_KIND_COUNT; i++)
        if (!strcmp(op_rows[i].name, name)) return *kind = (oct_op_kind)i, true;
    return false;
}

bool octi_batch_norm_rests(const oct_graph *g, const oct_node *n) {
    if (n->kind != OCT_OP_batch_norm && !n->attr.bn[0]) return false;
    const oct_value *gamma = octi_node_in(g, n, n->nin - 4), *beta = octi_node_in(g, n, n->nin - 3);
    return gamma && beta && gamma->frozen && beta->frozen;
}

bool oct_quantizer_is_per_channel(const oct_quantizer *q) {
    if (!q || !q->spec.per_channel) return false;
    const int64_t n = q->scale ? oct_tensor_count(q->scale) : 0;
    for (int64_t i = 1; i < n; i++)
        if (oct_f32(q->scale)[i] != oct_f32(q->scale)[0]) return true;
    return n < 2;
}

int32_t oct_graph_find_node(const oct_graph *g, const char *name) {
    if (!g || !name) return -1;
    for (int32_t i = 0; i < g->node_count; i++)
        if (!strcmp(g->nodes[i].name, name)) return i;
    return -1;
}

const char *octi_graph_meant(const oct_graph *g, const char *name, const char *otherwise) {
    const char *near = NULL;
    int least = OCTI_FAR;
    for (int32_t i = 0; i < g->node_count; i++) {
        const int d = octi_word_distance(name, g->nodes[i].name);
        if (d < least) least = d, near = g->nodes[i].name;
    }
    return near ? octi_fmt("did you mean %s?", near) : otherwise;
}

int32_t oct_graph_find_value(const oct_graph *g, const char *name) {
    if (!g || !name) return -1;
    for (int32_t i = 0; i < g->value_count; i++)
        if (!strcmp(g->values[i].name, name)) return i;
    return -1;
}

oct_graph *octi_graph_new(oct_ctx *ctx) {
    oct_graph *g = octi_alloc(ctx, sizeof *g);
    if (!g) return NULL;
    g->ctx = ctx;
    g->input = g->output = -1;
    g->arena = octi_arena_new_kept(ctx);
    return g->arena ? g : (octi_free(ctx, g), NULL);
}

void octi_graph_reset(oct_graph *g) {
    for (int32_t i = 0; i < g->value_count; i++) oct_tensor_unref(g->values[i].tensor);
    for (int32_t i = 0; i < g->quantizer_count; i++) {
        const oct_quantizer *q = &g->quantizers[i];
#define OCT_QTENSOR(name, dtype) oct_tensor_unref(q->name);
#include "src/quantizer_tensors.def"
        for (int32_t k = 0; k < q->state_count; k++) oct_tensor_unref(q->state[k]);
    }
    g->node_count = g->value_count = g->quantizer_count = 0;
    g->input = g->output = -1;
    octi_arena_reset(g->arena);
}

void octi_graph_cut_back(oct_graph *g, int32_t nodes, int32_t values, octi_arena_mark names) {
    while (g->value_count > values) oct_tensor_unref(g->values[--g->value_count].tensor);
    g->node_count = nodes;
    octi_arena_rewind(g->arena, names);
}

void octi_graph_free(oct_graph *g) {
    if (!g) return;
    octi_graph_reset(g);
    octi_arena_free(g->arena);
    octi_free(g->ctx, g->nodes);
    octi_free(g->ctx, g->values);
    octi_free(g->ctx, g->quantizers);
    octi_free(g->ctx, g);
}

int32_t octi_graph_add_value(oct_graph *g, const char *name, oct_value_role role, oct_dtype dtype,
                             oct_shape shape, oct_tensor *tensor) {
    if (strlen(name) > OCTI_MAX_NAME)
        return octi_fail(OCT_ELIMIT, name, "name is too long",
                         octi_fmt("at most %d bytes", OCTI_MAX_NAME), octi_fmt("%zu", strlen(name)),
                         NULL),
               -1;
    if (octi_reserve(g->ctx, (void **)&g->values, &g->value_cap, (size_t)g->value_count + 1,
                     sizeof *g->values) != OCT_OK)
        return -1;
    const char *copy = octi_arena_strdup(g->arena, name);
    if (!copy) return -1;
    g->values[g->value_count] =
        (oct_value){copy, role, dtype, shape, oct_tensor_ref(tensor), -1, -1, false};
    return g->value_count++;
}

int32_t octi_graph_add_node(oct_graph *g, oct_op_kind kind, const char *name, const oct_attrs *attr,
                            const int32_t *in, int32_t nin, oct_dtype dtype, oct_shape shape) {
    if (octi_reserve(g->ctx, (void **)&g->nodes, &g->node_cap, (size_t)g->node_count + 1,
                     sizeof *g->nodes) != OCT_OK)
        return -1;
    int32_t *list = octi_arena_calloc(g->arena, (size_t)nin, sizeof *list);
    int32_t out = list ? octi_graph_add_value(g, name, OCT_VALUE_ACT, dtype, shape, NULL) : -1;
    if (out < 0) return -1;
    memcpy(list, in, (size_t)nin * sizeof *list);
    g->values[out].producer = g->node_count;
    g->nodes[g->node_count] =
        (oct_node){.name = g->values[out].name, .kind = kind, .nin = nin, .in = list, .out = out};
    if (attr) g->nodes[g->node_count].attr = *attr;
    return g->node_count++;
}

int32_t octi_graph_add_quantizer(oct_graph *g, const oct_quantizer *q) {
    if (octi_reserve(g->ctx, (void **)&g->quantizers, &g->quantizer_cap,
                     (size_t)g->quantizer_count + 1, sizeof *g->quantizers) != OCT_OK)
        return -1;
    oct_quantizer c = *q;
    c.name = octi_arena_strdup(g->arena, q->name);
    c.observer = octi_arena_strdup(g->arena, q->observer ? q->observer : "");
    if (!c.name || !c.observer) return -1;
#define OCT_QTENSOR(name, dtype) oct_tensor_ref(q->name);
#include "src/quantizer_tensors.def"
    for (int32_t k = 0; k < q->state_count; k++) oct_tensor_ref(q->state[k]);
    g->quantizers[g->quantizer_count] = c;
    return g->quantizer_count++;
}

int32_t octi_graph_consumers(const oct_graph *g, int32_t value, int32_t *one) {
    int32_t n = 0;
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; k < g->nodes[i].nin; k++)
            if (g->nodes[i].in[k] == value) {
                n++;
                if (one) *one = i;
            }
    return n;
}

static oct_status broken(const char *where, const char *what, const char *got) {
    return octi_fail(OCT_EINTERNAL, where, what, NULL, got, "a pass left the graph broken");
}

static oct_status names_stand_once(const oct_graph *g) {
    octi_arena *arena = octi_arena_new_kept(g->ctx);
    octi_name_index seen = {.slot = NULL};
    oct_status s = arena ? OCT_OK : oct_last_error()->code;
    for (int32_t v = 0; s == OCT_OK && v < g->value_count; v++)
        s = octi_name_find(&seen, g->values[v].name) < 0
                ? octi_name_put(&seen, arena, g->values[v].name, v)
                : broken(g->values[v].name, "name stands twice", NULL);
    octi_arena_free(arena);
    return s;
}

oct_status octi_graph_verify(const oct_graph *g) {
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        if ((unsigned)n->kind >= OCT_OP_KIND_COUNT)
            return broken(n->name, "unknown op kind", octi_fmt("%d", (int)n->kind));
        const struct op_row *row = &op_rows[n->kind];
        if (n->nin < row->least || n->nin > row->most)
            return broken(n->name, octi_fmt("inputs of %s", row->name), octi_fmt("%d", n->nin));
        for (int32_t k = 0; k < n->nin; k++) {
            int32_t v = n->in[k];
            if (v < -1 || v >= g->value_count || (v < 0 && k < row->least && row->most < 8))
                return broken(n->name, "input index out of range", octi_fmt("%d", v));
            if (v >= 0 && g->values[v].producer >= i)
                return broken(n->name, "input is made later", g->values[v].name);
        }
        if (n->out < 0 || n->out >= g->value_count || g->values[n->out].producer != i)
            return broken(n->name, "output is not its own", NULL);
    }
    for (int32_t v = 0; v < g->value_count; v++) {
        const oct_value *x = &g->values[v];
        if (x->quantizer < -1 || x->quantizer >= g->quantizer_count)
            return broken(x->name, "quantizer index out of range", NULL);
        bool holds =
            x->role == OCT_VALUE_PARAM || x->role == OCT_VALUE_BUFFER || x->role == OCT_VALUE_CONST;
        if (holds != (x->tensor != NULL))
            return broken(x->name, "tensor missing or unexpected", NULL);
    }
    OCT_TRY(names_stand_once(g));
    if (g->input < 0 || g->output < 0 || g->input >= g->value_count || g->output >= g->value_count)
        return broken("graph", "input or output not set", NULL);
    return OCT_OK;
}

static const char *const methods[] = {
    NULL,
#define OCT_METHOD(value, word) word,
#include "src/methods.def"
};
const octi_words octi_method_words = OCTI_WORDS("method", methods);
OCTI_WORD_PAIR(oct_method, octi_method_words)
