/* SPDX-License-Identifier: MIT
 * The order of elements behind a flatten: in the file an image is C,H,W, so a row made of it is
 * too, wherever linear layers alone read it: their columns are permuted. Elsewhere the image is
 * turned back first, and the row stands as octet has it. */
#include <string.h>

#include "qat/io/onnx_out.h"
#include "src/mem.h"
#include "src/words.h"

/* Each element alone: the order goes through. */
static bool keeps_order(oct_op_kind k) {
    static const oct_op_kind kinds[] = {
#define OCT_OP(name, least, most, flags)
#define OCT_OP_UNARY(name) OCT_OP_##name,
#include "src/op_kinds.def"
#undef OCT_OP
        OCT_OP_relu,   OCT_OP_relu6,      OCT_OP_identity, OCT_OP_dropout,   OCT_OP_qclip,
        OCT_OP_qtable, OCT_OP_requantize, OCT_OP_quantize, OCT_OP_dequantize};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i] == k) return true;
    return false;
}

/* Linear layers with float weights of one step; dynamic ones quantize their input row by row,
 * whatever its order. */
static bool is_linear(oct_op_kind k) {
    return k == OCT_OP_linear || k == OCT_OP_qlinear || k == OCT_OP_dynamic_linear;
}

/* Every reader of value v is a linear layer, or keeps the order and is read by such; the net's
 * output is nobody's to permute. */
static bool absorbed(const oct_graph *g, int32_t v, int depth) {
    if (v == g->output || depth > 64) return false;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->nin; k++) {
            if (n->in[k] != v) continue;
            if (k == 0 && is_linear(n->kind)) continue;
            if (k != 0 || !keeps_order(n->kind) || !absorbed(g, n->out, depth + 1)) return false;
        }
    }
    return true;
}

int64_t (*octi_onnxw_orders(const oct_net *net))[3] {
    const oct_graph *g = net->graph;
    int64_t(*hwc)[3] = octi_calloc(net->ctx, (size_t)g->value_count + 1, sizeof *hwc);
    for (int32_t i = 0; hwc && i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        const oct_value *x = octi_node_in(g, n, 0), *y = &g->values[n->out];
        if (!x) continue;
        const int64_t *d = x->shape.dim;
        if (n->kind == OCT_OP_flatten || n->kind == OCT_OP_reshape) {
            if (x->shape.rank == 4 && y->shape.rank == 2 && d[1] * d[2] > 1 && d[3] > 1 &&
                absorbed(g, n->out, 0))
                memcpy(hwc[n->out], d + 1, sizeof *hwc);
        } else if (keeps_order(n->kind))
            memcpy(hwc[n->out], hwc[n->in[0]], sizeof *hwc);
    }
    return hwc;
}

bool oct_export_order(const oct_net *net, const char *node, int64_t hwc[3]) {
    if (!net || !node || !hwc) return (void)octi_fail_null("oct_export_order"), false;
    const int32_t n = oct_graph_find_node(net->graph, node);
    int64_t(*all)[3] = n < 0 ? NULL : octi_onnxw_orders(net);
    if (all) memcpy(hwc, all[net->graph->nodes[n].out], 3 * sizeof *hwc);
    octi_free(net->ctx, all);
    return all && hwc[0] > 0;
}
