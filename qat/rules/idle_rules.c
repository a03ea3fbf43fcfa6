/* SPDX-License-Identifier: MIT
 * Rules that hit a layer and change nothing there: bits of weights where none are, a grid that is
 * another value's. Taken, since a pattern may mean others too; but said. */
#include <string.h>

#include "qat/net/prepared.h"
#include "qat/rules/qconfig_rules.h"
#include "src/mem.h"

/* Why a key of this part does nothing at a node; NULL: it does something. */
static const char *idle_at(const oct_graph *g, const oct_node *n, int part, const char *value) {
    if (part == OCTI_QPART_F) return NULL;
    if (!octi_is_int8(g, n)) return "the layer stays float";
    if (part == OCTI_QPART_W)
        return octi_is_weighted(g, n) ? NULL : "the layer has no weights to quantize";
    const oct_quantizer *q = &g->quantizers[g->values[n->out].quantizer];
    if (octi_is_fixed(q) && strcmp(value, q->observer)) return "its range is known and fixed";
    return strcmp(q->name, g->values[n->out].name)
               ? octi_fmt("its values are on the grid of %s; that name changes both", q->name)
               : NULL;
}

void octi_qrules_warn_idle(const octi_qrules *rules, oct_ctx *ctx, const oct_graph *g) {
    for (int32_t i = 0; i < rules->count; i++)
        for (int k = 0; k < OCTI_QKEYS; k++) {
            const oct_qrule *r = &rules->rule[i];
            const char *why = NULL;
            if (r->scope == OCT_QSCOPE_GLOBAL || !*octi_qkey_text(&r->set, k)) continue;
            for (int32_t at = 0; at < g->node_count; at++) {
                const oct_node *n = &g->nodes[at];
                if (!octi_qrule_matches(r, n->name, n->kind)) continue;
                why = idle_at(g, n, octi_qkey_rows[k].part, octi_qkey_text(&r->set, k));
                if (!why) break;
            }
            if (why)
                octi_log(ctx, OCT_LOG_WARN, "rule %s: %s=%s changes nothing: %s",
                         octi_qrule_text(r), octi_qkey_rows[k].key, octi_qkey_text(&r->set, k),
                         why);
        }
}
