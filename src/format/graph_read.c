/* SPDX-License-Identifier: MIT
 * A graph's form, read through cJSON and checked getters; what the reader lets through satisfies
 * every pass. */
#include <stdlib.h>
#include <string.h>

#include "src/arena.h"
#include "src/format/graph_form.h"
#include "src/format/graph_json.h"
#include "src/format/json_bits.h"
#include "src/mem.h"

enum { MAX_VALUES = 8192, MAX_QUANTIZERS = 8192 };

/* Index of a word in a list, `count` where it is not there. */
static int index_of(const char *const *words, int count, const char *word) {
    int i = 0;
    while (i < count && strcmp(words[i], word)) i++;
    return i;
}

typedef struct named {
    const char *name;
    int32_t index;
} named;

static int by_name(const void *a, const void *b) {
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static int32_t lookup(const named *list, int32_t count, const char *name) {
    named key = {name, 0};
    const named *hit = count ? bsearch(&key, list, (size_t)count, sizeof *list, by_name) : NULL;
    return hit ? hit->index : -1;
}

typedef struct reading {
    oct_net *net;
    const char *where;
    named *tensors, *values;
    int64_t version; /* of the form */
} reading;

static oct_status bad(const reading *r, const char *owner, const char *what, const char *expected,
                      const char *got) {
    return octi_fail(OCT_EFORMAT, r->where, octi_fmt("%s: %s", owner, what), expected, got, NULL);
}

static oct_status read_tensor(const reading *r, const cJSON *obj, const char *key,
                              const char *owner, oct_tensor **t) {
    *t = NULL;
    if (!octi_json_get(obj, key)) return OCT_OK;
    const char *name;
    OCT_TRY(octi_json_string(obj, key, octi_json_at(r->where, owner), &name));
    int32_t i = lookup(r->tensors, r->net->tensor_count, name);
    if (i < 0)
        return bad(r, owner, octi_fmt("its %s is not there", key), "a tensor of the file", name);
    *t = r->net->tensors[i].tensor;
    return OCT_OK;
}

static oct_status read_qtensor(const reading *r, const cJSON *obj, const char *key,
                               const char *owner, oct_dtype dtype, oct_tensor **to) {
    OCT_TRY(read_tensor(r, obj, key, owner, to));
    if (*to && (*to)->dtype != dtype)
        return bad(r, owner, "tensor of a quantizer has the wrong dtype", oct_dtype_name(dtype),
                   oct_dtype_name((*to)->dtype));
    return OCT_OK;
}

static oct_status read_number(const reading *r, const cJSON *obj, const char *key,
                              const char *owner, float *to) {
    const cJSON *e = octi_json_get(obj, key);
    return e ? octi_json_item_f32(e, key, octi_json_at(r->where, owner), to) : OCT_OK;
}

/* Forms 1 named roles by the observer: "weight", "weight_mse" (a search), "fixed". */
static void role_of_name(oct_quantizer *q) {
    if (!strcmp(q->observer, "fixed")) q->role = OCT_QUANTIZER_FIXED;
    if (strncmp(q->observer, "weight", 6)) return;
    q->role = OCT_QUANTIZER_WEIGHT;
    q->observer = strcmp(q->observer, "weight_mse") ? "minmax" : "mse";
}

static oct_status read_role(const reading *r, const cJSON *obj, oct_quantizer *q) {
    const char *word;
    if (r->version == 1) return role_of_name(q), OCT_OK;
    if (!octi_json_get(obj, "role")) return OCT_OK;
    OCT_TRY(octi_json_string(obj, "role", octi_json_at(r->where, q->name), &word));
    const int role = index_of(quantizer_roles, 3, word);
    if (role == 3) return bad(r, q->name, "unknown role", "values, weight or fixed", word);
    q->role = (oct_quantizer_role)role;
    return OCT_OK;
}

static oct_status read_method(const reading *r, const cJSON *obj, oct_quantizer *q) {
    const char *word;
    int method = 0;
    if (!octi_json_get(obj, "method")) return OCT_OK;
    OCT_TRY(octi_json_string(obj, "method", octi_json_at(r->where, q->name), &word));
    OCT_TRY(octi_word_find(&octi_method_words, OCT_EFORMAT, octi_json_at(r->where, q->name), word,
                           &method));
    q->method = (oct_method)method;
    return OCT_OK;
}

static oct_status read_quantizer(const reading *r, const cJSON *obj) {
    static const char *const keys[] = {"name",        "bits",       "qmin",   "qmax",   "symmetric",
                                       "per_channel", "observer",   "method", "strict", "pow2",
                                       "averaging",   "percentile", "state0", "state1", "state2",
                                       "state3",      "role",
#define OCT_QTENSOR(name, dtype) #name,
#include "src/quantizer_tensors.def"
                                       NULL};
    oct_quantizer q = {0};
    int64_t bits, qmin, qmax;
    OCT_TRY(octi_json_string(obj, "name", octi_json_at(r->where, "quantizer"), &q.name));
    OCT_TRY(octi_json_only_keys(obj, keys, octi_json_at(r->where, q.name)));
    OCT_TRY(octi_json_int(obj, "bits", octi_json_at(r->where, q.name), 0, 32, &bits));
    OCT_TRY(octi_json_int(obj, "qmin", octi_json_at(r->where, q.name), -(1 << 24), 1 << 24, &qmin));
    OCT_TRY(octi_json_int(obj, "qmax", octi_json_at(r->where, q.name), -(1 << 24), 1 << 24, &qmax));
    OCT_TRY(octi_json_bool(obj, "symmetric", octi_json_at(r->where, q.name), &q.spec.symmetric));
    OCT_TRY(
        octi_json_bool(obj, "per_channel", octi_json_at(r->where, q.name), &q.spec.per_channel));
    OCT_TRY(octi_json_string(obj, "observer", octi_json_at(r->where, q.name), &q.observer));
    OCT_TRY(read_role(r, obj, &q));
    q.spec.bits = (int32_t)bits;
    q.spec.qmin = (int32_t)qmin;
    q.spec.qmax = (int32_t)qmax;
    OCT_TRY(read_method(r, obj, &q));
    if (octi_json_get(obj, "strict"))
        OCT_TRY(octi_json_bool(obj, "strict", octi_json_at(r->where, q.name), &q.strict));
    if (octi_json_get(obj, "pow2"))
        OCT_TRY(octi_json_bool(obj, "pow2", octi_json_at(r->where, q.name), &q.spec.pow2));
    OCT_TRY(read_number(r, obj, "averaging", q.name, &q.averaging));
    OCT_TRY(read_number(r, obj, "percentile", q.name, &q.percentile));
    for (; q.state_count < OCT_OBSERVER_TENSORS && octi_json_get(obj, state_keys[q.state_count]);
         q.state_count++)
        OCT_TRY(read_tensor(r, obj, state_keys[q.state_count], q.name, &q.state[q.state_count]));
    const char *owner = q.name;
#define OCT_QTENSOR(name, dtype) OCT_TRY(read_qtensor(r, obj, #name, owner, OCT_##dtype, &q.name));
#include "src/quantizer_tensors.def"
    if (octi_graph_add_quantizer(r->net->graph, &q) >= 0) return OCT_OK;
    return octi_fail_in(oct_last_error()->code, r->where);
}

static oct_status read_value(const reading *r, const cJSON *obj) {
    static const char *const keys[] = {"name",   "role",      "dtype",  "shape",
                                       "tensor", "quantizer", "frozen", NULL};
    oct_graph *g = r->net->graph;
    const char *name, *word;
    int role = 0, dtype = 0;
    OCT_TRY(octi_json_string(obj, "name", octi_json_at(r->where, "value"), &name));
    OCT_TRY(octi_json_only_keys(obj, keys, octi_json_at(r->where, name)));
    OCT_TRY(octi_json_string(obj, "role", octi_json_at(r->where, name), &word));
    role = index_of(role_words, 5, word);
    if (role == 5) return bad(r, name, "unknown role", "input, param, buffer, const or act", word);
    OCT_TRY(octi_json_string(obj, "dtype", octi_json_at(r->where, name), &word));
    while (dtype < OCT_DTYPE_COUNT && strcmp(oct_dtype_name((oct_dtype)dtype), word)) dtype++;
    if (dtype == OCT_DTYPE_COUNT) return bad(r, name, "unknown dtype", NULL, word);
    const cJSON *dims, *d;
    OCT_TRY(octi_json_array_of(obj, "shape", OCT_MAX_RANK, octi_json_at(r->where, name), &dims));
    oct_shape shape = {0};
    cJSON_ArrayForEach(d, dims) {
        int64_t v;
        OCT_TRY(octi_json_item_int(d, "dimension", octi_json_at(r->where, name), OCT_BATCH,
                                   (int64_t)1 << 40, &v));
        if (v == OCT_BATCH && (shape.rank || role <= OCT_VALUE_CONST)) {
            if (shape.rank || role != OCT_VALUE_INPUT)
                return bad(r, name, "symbolic batch in the wrong place",
                           "dimension 0 of an activation", NULL);
        }
        shape.dim[shape.rank++] = v;
    }
    oct_shape one = octi_shape_with_batch(&shape, 1);
    size_t bytes;
    OCT_TRY(octi_shape_bytes(&one, (oct_dtype)dtype, octi_json_at(r->where, name), &bytes));
    oct_tensor *t;
    OCT_TRY(read_tensor(r, obj, "tensor", name, &t));
    bool holds = role == OCT_VALUE_PARAM || role == OCT_VALUE_BUFFER || role == OCT_VALUE_CONST;
    if (holds != (t != NULL))
        return bad(r, name, holds ? "its tensor is missing" : "an activation has no tensor", NULL,
                   NULL);
    if (t && (t->dtype != (oct_dtype)dtype || !oct_shape_equal(&t->shape, &shape)))
        return bad(r, name, "its tensor differs",
                   octi_fmt("%s %s", oct_dtype_name((oct_dtype)dtype), oct_shape_text(&shape)),
                   octi_fmt("%s %s", oct_dtype_name(t->dtype), oct_shape_text(&t->shape)));
    int64_t quantizer = -1;
    bool frozen = false;
    if (octi_json_get(obj, "quantizer"))
        OCT_TRY(octi_json_int(obj, "quantizer", octi_json_at(r->where, name), 0,
                              g->quantizer_count - 1, &quantizer));
    if (octi_json_get(obj, "frozen"))
        OCT_TRY(octi_json_bool(obj, "frozen", octi_json_at(r->where, name), &frozen));
    int32_t v = octi_graph_add_value(g, name, (oct_value_role)role, (oct_dtype)dtype, shape, t);
    if (v < 0) return octi_fail_in(oct_last_error()->code, r->where);
    g->values[v].quantizer = (int32_t)quantizer;
    g->values[v].frozen = frozen;
    return OCT_OK;
}

static oct_status read_attrs(const reading *r, const cJSON *obj, const char *owner, oct_attrs *a) {
    bool seen[ATTR_COUNT] = {false};
    const cJSON *f, *e;
    if (!obj) return OCT_OK;
    if (!cJSON_IsObject(obj)) return bad(r, owner, "attr is not an object", NULL, NULL);
    cJSON_ArrayForEach(f, obj) {
        int i = 0;
        while (i < ATTR_COUNT && strcmp(attr_rows[i].name, f->string)) i++;
        if (i == ATTR_COUNT) return bad(r, owner, "unknown attribute", NULL, f->string);
        if (seen[i]) return bad(r, owner, "attribute stands twice", NULL, f->string);
        seen[i] = true;
        const struct attr_row *row = &attr_rows[i];
        char *at = (char *)a + row->offset;
        int k = 0;
        if (row->count > 1 && (!cJSON_IsArray(f) || cJSON_GetArraySize(f) != row->count))
            return bad(r, owner, octi_fmt("attribute %s", row->name),
                       octi_fmt("%d numbers", row->count), NULL);
        for (e = row->count > 1 ? f->child : f; k < row->count; k++, e = e->next) {
            if (row->is_float) {
                float v;
                OCT_TRY(octi_json_item_f32(e, row->name, octi_json_at(r->where, owner), &v));
                memcpy(at + 4 * k, &v, 4);
            } else {
                int64_t v;
                OCT_TRY(octi_json_item_int(e, row->name, octi_json_at(r->where, owner), INT32_MIN,
                                           INT32_MAX, &v));
                int32_t v32 = (int32_t)v;
                memcpy(at + 4 * k, &v32, 4);
            }
        }
    }
    return OCT_OK;
}

static oct_status read_reason(const reading *r, const cJSON *obj, const char *owner,
                              oct_float_reason *reason) {
    const char *word;
    if (!octi_json_get(obj, "reason")) return OCT_OK;
    OCT_TRY(octi_json_string(obj, "reason", octi_json_at(r->where, owner), &word));
    const int i = index_of(reason_words, OCT_FLOAT_REASONS, word);
    if (i == OCT_FLOAT_REASONS) return bad(r, owner, "unknown reason", NULL, word);
    *reason = (oct_float_reason)i;
    return OCT_OK;
}

static oct_status read_node(const reading *r, const cJSON *obj) {
    static const char *const keys[] = {"name", "kind", "in", "attr", "reason", NULL};
    oct_graph *g = r->net->graph;
    const char *name, *word;
    oct_node n = {0};
    OCT_TRY(octi_json_string(obj, "name", octi_json_at(r->where, "node"), &name));
    OCT_TRY(octi_json_only_keys(obj, keys, octi_json_at(r->where, name)));
    OCT_TRY(octi_json_string(obj, "kind", octi_json_at(r->where, name), &word));
    if (!oct_op_from_name(word, &n.kind)) return bad(r, name, "unknown op kind", NULL, word);
    OCT_TRY(read_attrs(r, octi_json_get(obj, "attr"), name, &n.attr));
    OCT_TRY(read_reason(r, obj, name, &n.reason));
    n.out = lookup(r->values, g->value_count, name);
    if (n.out < 0 || g->values[n.out].role != OCT_VALUE_ACT)
        return bad(r, name, "node has no value of its name", "an act value", NULL);
    if (g->values[n.out].producer >= 0) return bad(r, name, "node stands twice", NULL, NULL);
    const cJSON *list, *e;
    OCT_TRY(octi_json_array_of(obj, "in", 64, octi_json_at(r->where, name), &list));
    n.nin = cJSON_GetArraySize(list);
    n.in = octi_arena_calloc(g->arena, (size_t)n.nin + 1, sizeof *n.in);
    if (!n.in) return oct_last_error()->code;
    int32_t k = 0;
    cJSON_ArrayForEach(e, list) {
        n.in[k] = -1;
        if (!cJSON_IsNull(e)) {
            if (!cJSON_IsString(e))
                return bad(r, name, octi_fmt("input %d", (int)k), "a value's name or null", NULL);
            n.in[k] = lookup(r->values, g->value_count, e->valuestring);
            if (n.in[k] < 0)
                return bad(r, name, octi_fmt("input %d is not there", (int)k),
                           "a value of the graph", e->valuestring);
            const oct_value *v = &g->values[n.in[k]];
            if (v->role == OCT_VALUE_ACT && v->producer < 0)
                return bad(r, name, octi_fmt("input %d is made later", (int)k), NULL, v->name);
        }
        k++;
    }
    g->values[n.out].producer = g->node_count;
    n.name = g->values[n.out].name;
    g->nodes[g->node_count++] = n; /* room was reserved */
    return OCT_OK;
}

static oct_status index_names(const reading *r, named *list, int32_t count, const char *what) {
    qsort(list, (size_t)count, sizeof *list, by_name);
    for (int32_t i = 1; i < count; i++)
        if (!strcmp(list[i - 1].name, list[i].name))
            return bad(r, list[i].name, octi_fmt("%s name stands twice", what), NULL, NULL);
    return OCT_OK;
}

static oct_status read_lists(reading *r, const cJSON *root) {
    static const char *const keys[] = {"octet_graph", "quantizers", "values", "nodes",
                                       "input",       "output",     NULL};
    oct_graph *g = r->net->graph;
    const cJSON *quantizers, *values, *nodes, *e;
    if (!cJSON_IsObject(root))
        return octi_fail(OCT_EFORMAT, r->where, "the graph is not a JSON object", NULL, NULL, NULL);
    OCT_TRY(octi_json_only_keys(root, keys, octi_json_at(r->where, "graph")));
    OCT_TRY(octi_json_int(root, "octet_graph", octi_json_at(r->where, "graph"), 1, FORM_VERSION,
                          &r->version));
    OCT_TRY(octi_json_array_of(root, "quantizers", MAX_QUANTIZERS, octi_json_at(r->where, "graph"),
                               &quantizers));
    OCT_TRY(
        octi_json_array_of(root, "values", MAX_VALUES, octi_json_at(r->where, "graph"), &values));
    OCT_TRY(octi_json_array_of(root, "nodes", MAX_VALUES, octi_json_at(r->where, "graph"), &nodes));
    for (int32_t i = 0; i < r->net->tensor_count; i++)
        r->tensors[i] = (named){r->net->tensors[i].name, i};
    OCT_TRY(index_names(r, r->tensors, r->net->tensor_count, "tensor"));
    cJSON_ArrayForEach(e, quantizers) OCT_TRY(read_quantizer(r, e));
    cJSON_ArrayForEach(e, values) OCT_TRY(read_value(r, e));
    r->values = octi_calloc(r->net->ctx, (size_t)g->value_count + 1, sizeof *r->values);
    if (!r->values) return oct_last_error()->code;
    for (int32_t i = 0; i < g->value_count; i++) r->values[i] = (named){g->values[i].name, i};
    OCT_TRY(index_names(r, r->values, g->value_count, "value"));
    OCT_TRY(octi_reserve(g->ctx, (void **)&g->nodes, &g->node_cap,
                         (size_t)cJSON_GetArraySize(nodes), sizeof *g->nodes));
    cJSON_ArrayForEach(e, nodes) OCT_TRY(read_node(r, e));
    for (int32_t i = 0; i < g->value_count; i++)
        if (g->values[i].role == OCT_VALUE_ACT && g->values[i].producer < 0)
            return bad(r, g->values[i].name, "no node makes this value", NULL, NULL);
    int32_t *ends[] = {&g->input, &g->output};
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "output" : "input", *name;
        OCT_TRY(octi_json_string(root, key, octi_json_at(r->where, "graph"), &name));
        *ends[i] = lookup(r->values, g->value_count, name);
        if (*ends[i] < 0)
            return bad(r, "graph", octi_fmt("%s is not there", key), "a value of the graph", name);
    }
    if (g->values[g->input].role != OCT_VALUE_INPUT)
        return bad(r, "graph", "input is not an input value", NULL, g->values[g->input].name);
    return OCT_OK;
}

oct_status octi_graph_from_json(oct_net *net, const char *text, size_t size, const char *where) {
    cJSON *root = NULL;
    OCT_TRY(octi_json_parse(net->ctx, text, size, where, &root));
    reading r = {.net = net, .where = where};
    r.tensors = octi_calloc(net->ctx, (size_t)net->tensor_count + 1, sizeof *r.tensors);
    oct_status s = r.tensors ? read_lists(&r, root) : oct_last_error()->code;
    octi_json_free(root);
    octi_free(net->ctx, r.tensors);
    octi_free(net->ctx, r.values);
    /* what the reader lets through must satisfy every pass; counts of inputs are judged there */
    if (s == OCT_OK && octi_graph_verify(net->graph) != OCT_OK)
        s = octi_fail_in(OCT_EFORMAT, where);
    return s;
}
