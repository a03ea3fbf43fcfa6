/* SPDX-License-Identifier: MIT
 * Who becomes int8, and why not. */
#include "qat/rules/reasons.h"

#include "qat/net/backend.h"

/* Of a net that came with its grids: everything that the node reads and makes stands on one. */
static bool all_given(const oct_graph *g, const oct_node *n, const int32_t *given) {
    for (int32_t k = 0; k < n->nin; k++)
        if (n->in[k] >= 0 && !g->values[n->in[k]].tensor && given[n->in[k]] < 0) return false;
    const bool product = n->kind == OCT_OP_conv2d || n->kind == OCT_OP_linear;
    return given[n->out] >= 0 && (!product || given[n->in[1]] >= 0);
}

oct_float_reason octi_float_reason_of(const octi_deciding *d, int32_t i) {
    const oct_graph *g = d->g;
    const oct_node *n = &g->nodes[i];
    const octi_grid grid = octi_grid_under(n->kind, d->law);
    if (octi_qrules_resolve(d->rules, n->name, n->kind).set.stay_float == OCT_SWITCH_YES)
        return OCT_FLOAT_rule;
    if (grid == OCTI_GRID_NONE)
        return octi_grid_under(n->kind, OCTQ_FP32) == OCTI_GRID_NONE ? OCT_FLOAT_kind
                                                                     : OCT_FLOAT_law;
    if (n->kind == OCT_OP_batch_norm && g->values[n->in[0]].shape.rank != 4)
        return OCT_FLOAT_vectors;
    if (d->given) return all_given(g, n, d->given) ? OCT_FLOAT_none : OCT_FLOAT_file;
    if (n->attr.stub[0] || (d->between && !d->between[n->out])) return OCT_FLOAT_stubs;
    if (grid != OCTI_GRID_SHARE) return OCT_FLOAT_none;
    /* sharing kinds go with their inputs: int8 where any comes from codes or from outside */
    for (int32_t k = 0; k < n->nin; k++) {
        const oct_value *v = &g->values[n->in[k]];
        if (v->role == OCT_VALUE_INPUT || (v->producer >= 0 && d->int8[v->producer]))
            return OCT_FLOAT_none;
    }
    return OCT_FLOAT_input;
}

const char *octi_float_reason_text(const oct_node *n) {
    static const char *const texts[OCT_FLOAT_REASONS] = {
        "prepared by an older octet, which kept no reason",
#define OCT_FLOAT_REASON(name, word, text) text,
#include "src/float_reasons.def"
    };
    return n->reason == OCT_FLOAT_kind || n->reason == OCT_FLOAT_law
               ? octi_fmt("%s %s", oct_op_name(n->kind), texts[n->reason])
               : texts[n->reason];
}
