/* SPDX-License-Identifier: MIT
 * What became of each node, and which rules decided it. */
#include "qat/rules/placements.h"

#include <string.h>

#include "qat/net/prepared.h"
#include "qat/rules/reasons.h"
#include "src/arena.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

typedef struct listing {
    const oct_net *net;
    octi_arena *arena; /* strings and rows */
    octi_qrules rules;
} listing;

/* Freed with the rows: the arena's handle stands before them. */
typedef struct rows_head {
    octi_arena *arena;
} rows_head;
enum { HEAD = 64 };

static const char *owned(const listing *l, const char *s) {
    const char *copy = octi_arena_strdup(l->arena, s);
    return copy ? copy : "";
}

/* What the row has in place of what the rule asked for: 8 bits at the net's ends, another observer
 * since; "" where it is that. */
static const char *instead(const oct_placement *row, const octi_resolved *r, int key) {
    const char *is = key == OCTI_QKEY_wbits      ? octi_fmt("%d", row->wbits)
                     : key == OCTI_QKEY_abits    ? octi_fmt("%d", row->abits)
                     : key == OCTI_QKEY_observer ? row->observer
                                                 : NULL;
    return !is || !strcmp(is, octi_qkey_text(&r->set, key)) ? "" : octi_fmt(", is %s", is);
}

/* "wbits=4 by pattern layer1.*" for each key of `part` that a rule decided. */
static void say_keys(const listing *l, const octi_resolved *r, int part, const oct_placement *row,
                     octi_text *out) {
    static const char *const scopes[] = {"global", "kind ", "pattern ", "name "};
    for (int k = 0; k < OCTI_QKEYS; k++) {
        if (r->by[k] < 0 || octi_qkey_rows[k].part != part) continue;
        const oct_qrule *rule = &l->rules.rule[r->by[k]];
        octi_text_printf(out, "%s%s=%s by %s%s%s", out->size ? "; " : "", octi_qkey_rows[k].key,
                         octi_qkey_text(&r->set, k), scopes[rule->scope], rule->of ? rule->of : "",
                         instead(row, r, k));
    }
}

/* Values follow the rules of the first of their class, weights and floats their own node's. */
static oct_status rule_of(const listing *l, const oct_node *n, const oct_node *leader,
                          oct_placement *row) {
    octi_text out = {.ctx = l->net->ctx};
    const octi_resolved own = octi_qrules_resolve(&l->rules, n->name, n->kind);
    say_keys(l, &own, OCTI_QPART_F, row, &out);
    if (octi_is_weighted(l->net->graph, n)) say_keys(l, &own, OCTI_QPART_W, row, &out);
    if (leader) {
        const octi_resolved first = octi_qrules_resolve(&l->rules, leader->name, leader->kind);
        say_keys(l, &first, OCTI_QPART_A, row, &out);
    }
    row->rule = owned(l, out.data ? out.data : "");
    oct_status s = out.status;
    octi_text_free(&out);
    return s;
}

static const oct_node *leader_of(const oct_graph *g, const oct_quantizer *q) {
    int32_t v = oct_graph_find_value(g, q->name);
    return v >= 0 && g->values[v].producer >= 0 ? &g->nodes[g->values[v].producer] : NULL;
}

static oct_status fill(const listing *l, const oct_node *n, oct_placement *row) {
    const oct_graph *g = l->net->graph;
    const bool prepared = l->net->stage == OCT_STAGE_PREPARED;
    *row = (oct_placement){.name = n->name,
                           .kind = oct_op_name(n->kind),
                           .int8 = octi_is_int8(g, n),
                           .why = n->reason,
                           .reason = "",
                           .observer = "",
                           .grid = "",
                           .rule = ""};
    const oct_quantizer *q = row->int8 ? &g->quantizers[g->values[n->out].quantizer] : NULL;
    if (!q)
        row->reason = owned(l, octi_float_reason_text(n));
    else {
        row->abits = q->spec.bits;
        row->observer = q->observer;
        row->grid = q->name;
    }
    const oct_value *w = n->nin > OCTI_W && n->in[OCTI_W] >= 0 ? &g->values[n->in[OCTI_W]] : NULL;
    if (q && w && w->tensor && w->quantizer >= 0) {
        const oct_quantizer *of = &g->quantizers[w->quantizer];
        const int by = octi_word_value(&octi_weight_observer_words, of->observer);
        row->wbits = of->spec.bits;
        row->weight_observer = by < 0 ? OCT_WEIGHT_OBSERVER_DEFAULT : (oct_weight_observer)by;
        row->granularity = of->spec.per_channel ? OCT_GRANULARITY_CHANNEL : OCT_GRANULARITY_TENSOR;
    }
    return prepared ? rule_of(l, n, q ? leader_of(g, q) : NULL, row) : OCT_OK;
}

static oct_status list(listing *l, oct_placement **rows, int32_t *count) {
    const oct_graph *g = l->net->graph;
    oct_target target;
    if (*l->net->qconfig)
        OCT_TRY(octi_qrules_read(l->net->ctx, l->arena, l->net->qconfig, strlen(l->net->qconfig),
                                 "qconfig", &l->rules, &target));
    char *block =
        octi_arena_calloc(l->arena, 1, HEAD + ((size_t)g->node_count + 1) * sizeof(oct_placement));
    if (!block) return oct_last_error()->code;
    ((rows_head *)(void *)block)->arena = l->arena;
    oct_placement *out = (oct_placement *)(void *)(block + HEAD);
    int32_t n = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *node = &g->nodes[i];
        const bool border = node->kind == OCT_OP_dequantize || octi_is_requantize(g, node) ||
                            (node->kind == OCT_OP_quantize && !octi_is_int8(g, node));
        if (!border) OCT_TRY(fill(l, node, &out[n++]));
    }
    *rows = out;
    *count = n;
    return OCT_OK;
}

oct_status oct_net_placements(const oct_net *net, oct_placement **rows, int32_t *count) {
    OCTI_LAW_MODE();
    if (!net || !rows || !count) return octi_fail_null("oct_net_placements");
    listing l = {.net = net, .arena = octi_arena_new(net->ctx)};
    if (!l.arena) return oct_last_error()->code;
    oct_status s = list(&l, rows, count);
    if (s != OCT_OK) octi_arena_free(l.arena);
    return s;
}

void oct_placements_free(oct_net *net, oct_placement *rows) {
    (void)net;
    if (rows) octi_arena_free(((rows_head *)(void *)((char *)rows - HEAD))->arena);
}
