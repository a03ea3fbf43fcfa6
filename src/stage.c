/* SPDX-License-Identifier: MIT
 * What a net of each stage may hold: kinds, roles, dtypes, quantizers, hooks. Passes make such
 * nets; one that comes from outside is judged by this table before anybody walks it. Shapes are
 * judged by the rules of ops, grids and weights by qat and qat/int8. */
#include <string.h>

#include "src/net.h"

#define BIT(x) (1u << (x))

enum {
    TRAINED = BIT(OCT_ROLE_PARAM) | BIT(OCT_ROLE_BUFFER),
    OBSERVED = TRAINED | BIT(OCT_ROLE_QPARAM) | BIT(OCT_ROLE_OBSERVER) | BIT(OCT_ROLE_STEP)
};
enum {
    HELD = BIT(OCT_VALUE_PARAM) | BIT(OCT_VALUE_BUFFER) | BIT(OCT_VALUE_CONST),
    MADE = BIT(OCT_VALUE_INPUT) | BIT(OCT_VALUE_ACT)
};

/** How much of a quantizer a stage has: none, what training moves too, or the scale and zero point
 *  alone. */
enum quantizers { NONE, WHOLE, SETTLED };

static const struct stage_row {
    const char *word;
    unsigned kinds; /* op flags: one of them */
    bool borders;   /* quantize and dequantize */
    bool folded;    /* batch norm inside conv2d and linear */
    enum quantizers quantizers;
    bool hooks;               /* nodes run by a quantization's rules */
    unsigned values, tensors; /* oct_value_role, oct_tensor_role */
    unsigned made, held;      /* dtypes of values that nodes make, and of those that have tensors */
} rows[] = {
    [OCT_STAGE_FLOAT] = {"float", OCT_OPF_F, false, false, NONE, false, HELD | MADE, TRAINED,
                         BIT(OCT_F32), BIT(OCT_F32)},
    [OCT_STAGE_FUSED] = {"fused", OCT_OPF_F, false, true, NONE, false, HELD | MADE, TRAINED,
                         BIT(OCT_F32), BIT(OCT_F32)},
    [OCT_STAGE_PREPARED] = {"prepared", OCT_OPF_F, true, true, WHOLE, true, HELD | MADE, OBSERVED,
                            BIT(OCT_F32), BIT(OCT_F32)},
    [OCT_STAGE_INT8] = {"int8", OCT_OPF_F | OCT_OPF_Q, true, true, SETTLED, false,
                        BIT(OCT_VALUE_CONST) | MADE,
                        TRAINED | BIT(OCT_ROLE_CONST) | BIT(OCT_ROLE_QPARAM),
                        BIT(OCT_F32) | BIT(OCT_U8), BIT(OCT_DTYPE_COUNT) - 1},
};

static oct_status bad(const struct stage_row *r, const char *owner, const char *what,
                      const char *got) {
    return octi_fail(OCT_EFORMAT, owner, octi_fmt("%s in a net of stage %s", what, r->word), NULL,
                     got, NULL);
}

static bool is_loss(oct_op_kind k) {
    return k == OCT_OP_cross_entropy || k == OCT_OP_mse_loss || k == OCT_OP_distill_loss;
}

static oct_status judge_node(const struct stage_row *r, const oct_node *n) {
    const unsigned flags = oct_op_flags(n->kind);
    const bool border = flags & OCT_OPF_B;
    if (!(flags & r->kinds) || (border && !r->borders) || is_loss(n->kind))
        return bad(r, n->name, "kind of a node", oct_op_name(n->kind));
    if (n->attr.bn[0] && !r->folded)
        return bad(r, n->name, "batch norm inside a node", oct_op_name(n->kind));
    return OCT_OK;
}

static oct_status judge_value(const struct stage_row *r, const oct_value *v) {
    const bool held = BIT(v->role) & HELD;
    if (!(BIT(v->role) & r->values))
        return bad(r, v->name, "role of a value", held ? "param or buffer" : "another");
    if (!(BIT(v->dtype) & (held ? r->held : r->made)))
        return bad(r, v->name, "dtype of a value", oct_dtype_name(v->dtype));
    if (v->quantizer >= 0 && r->quantizers == NONE)
        return bad(r, v->name, "quantizer of a value", "one");
    if (v->quantizer >= 0 && v->role == OCT_VALUE_INPUT)
        return bad(r, v->name, "quantizer of the input", "one");
    if (v->frozen && v->role != OCT_VALUE_PARAM)
        return bad(r, v->name, "frozen value", "no parameter");
    return OCT_OK;
}

static oct_status judge_quantizer(const struct stage_row *r, const oct_quantizer *q) {
    if (r->quantizers == NONE) return bad(r, q->name, "quantizer", "one");
    if (r->quantizers == WHOLE) return OCT_OK; /* what it must have is qat's to say */
    const oct_tensor *moved[] = {
#define OCT_QTENSOR(name, dtype) q->name,
#include "src/quantizer_tensors.def"
    };
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
        if (moved[i] && moved[i] != q->scale && moved[i] != q->zero_point)
            return bad(r, q->name, "quantizer that training moves",
                       "more than scale and zero_point");
    return q->state_count || *q->observer || q->method
               ? bad(r, q->name, "observer or method",
                     q->method ? oct_method_name(q->method) : q->observer)
               : OCT_OK;
}

static const oct_named_tensor *registered(const oct_net *net, const oct_tensor *t) {
    for (int32_t i = 0; i < net->tensor_count; i++)
        if (net->tensors[i].tensor == t) return &net->tensors[i];
    return NULL;
}

/* Gradients move what both call a parameter; a value under which something else lies would be moved
 * behind its back. */
static oct_status judge_tensors(const struct stage_row *r, const oct_net *net) {
    static const char *const words[] = {"param", "buffer", "qparam", "observer", "const", "step"};
    for (int32_t i = 0; i < net->tensor_count; i++)
        if (!(BIT(net->tensors[i].role) & r->tensors))
            return bad(r, net->tensors[i].name, "role of a tensor", words[net->tensors[i].role]);
    for (int32_t v = 0; v < net->graph->value_count; v++) {
        const oct_value *x = &net->graph->values[v];
        const oct_named_tensor *t = x->tensor ? registered(net, x->tensor) : NULL;
        if (x->tensor && !t) return bad(r, x->name, "tensor outside the registry", NULL);
        if (x->role == OCT_VALUE_PARAM
                ? t->role != OCT_ROLE_PARAM
                : t && x->role == OCT_VALUE_BUFFER && t->role != OCT_ROLE_BUFFER)
            return bad(r, x->name, "role of a tensor that is another than its value's",
                       words[t->role]);
    }
    return OCT_OK;
}

/* Images are made by the description and run by the graph. */
static oct_status judge_input(const struct stage_row *r, const oct_net *net) {
    const oct_value *x = &net->graph->values[net->graph->input];
    const oct_input_desc *d = &net->input;
    if (x->role != OCT_VALUE_INPUT) return bad(r, x->name, "input that is none", NULL);
    if (d->channels < 1 || x->shape.rank != 4 ||
        (x->shape.dim[1] == d->height && x->shape.dim[2] == d->width &&
         x->shape.dim[3] == d->channels))
        return OCT_OK;
    return octi_fail(OCT_EFORMAT, x->name, "shape of the input is not its description's",
                     octi_fmt("[N, %d, %d, %d]", d->height, d->width, d->channels),
                     oct_shape_text(&x->shape), NULL);
}

oct_status octi_net_judge(const oct_net *net) {
    const oct_graph *g = net->graph;
    if ((unsigned)net->stage >= sizeof rows / sizeof *rows)
        return octi_fail(OCT_EFORMAT, "net", "unknown stage", NULL, octi_fmt("%d", (int)net->stage),
                         NULL);
    const struct stage_row *r = &rows[net->stage];
    OCT_TRY(octi_graph_verify(g));
    if (!net->hooks != !r->hooks)
        return bad(r, "net", "rules by which nodes run", net->hooks ? "quantization's" : "none");
    for (int32_t i = 0; i < g->node_count; i++) OCT_TRY(judge_node(r, &g->nodes[i]));
    for (int32_t i = 0; i < g->value_count; i++) {
        OCT_TRY(judge_value(r, &g->values[i]));
        if (g->values[i].role == OCT_VALUE_INPUT && i != g->input)
            return bad(r, g->values[i].name, "second input", NULL);
    }
    for (int32_t i = 0; i < g->quantizer_count; i++) OCT_TRY(judge_quantizer(r, &g->quantizers[i]));
    OCT_TRY(judge_input(r, net));
    if (g->values[g->output].role != OCT_VALUE_ACT)
        return bad(r, g->values[g->output].name, "output that no node makes", NULL);
    return judge_tensors(r, net);
}
