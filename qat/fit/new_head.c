/* SPDX-License-Identifier: MIT
 * Another number of classes: the last weighted layer anew. */
#include <string.h>

#include "autograd/nn/module.h"
#include "ops/ops.h"
#include "qat/fit/fit.h"
#include "src/float_mode.h"

/* Last layer with weights on the way to the output; -1 where there is none. */
static int32_t last_layer(const oct_graph *g) {
    for (int32_t i = g->node_count - 1; i >= 0; i--)
        if (g->nodes[i].kind == OCT_OP_linear || g->nodes[i].kind == OCT_OP_conv2d) return i;
    return -1;
}

static oct_status renew_tensor(oct_net *net, int32_t value, int64_t classes, int64_t fan_in,
                               octi_init init) {
    oct_value *v = &net->graph->values[value];
    int32_t i = 0;
    while (i < net->tensor_count && net->tensors[i].tensor != v->tensor) i++;
    if (i == net->tensor_count)
        return octi_fail(OCT_EINTERNAL, v->name, "tensor is not in the registry", NULL, NULL, NULL);
    oct_shape shape = v->shape;
    shape.dim[0] = classes;
    oct_tensor *t = oct_tensor_new(net->ctx, OCT_F32, shape);
    if (!t) return oct_last_error()->code;
    octi_slot slot = {.role = OCT_ROLE_PARAM, .init = init, .fan_in = fan_in, .tensor = t};
    oct_status s =
        octi_init_tensor(net->ctx, &slot, net->tensors[i].name, OCT_INIT_KAIMING_UNIFORM);
    if (s != OCT_OK) return oct_tensor_unref(t), s;
    oct_tensor_unref(net->tensors[i].tensor);
    oct_tensor_unref(v->tensor);
    net->tensors[i].tensor = t;
    v->tensor = oct_tensor_ref(t);
    v->shape = shape;
    v->frozen = false;
    return OCT_OK;
}

/* The layer's outputs must be the net's, through nothing that has a say in their number. */
static oct_status judge(const oct_graph *g, int32_t at) {
    for (int32_t i = at + 1; i < g->node_count; i++)
        for (int32_t k = 0; k < g->nodes[i].nin; k++)
            if (k > 0 && g->nodes[i].in[k] >= 0 &&
                g->values[g->nodes[i].in[k]].role != OCT_VALUE_ACT)
                return octi_fail(OCT_EUNSUPPORTED, g->nodes[i].name,
                                 "has parameters behind the last layer with weights", NULL, NULL,
                                 NULL);
    const oct_node *n = &g->nodes[at];
    int32_t readers = 0;
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; k < g->nodes[i].nin; k++) readers += g->nodes[i].in[k] == n->in[1];
    if (readers != 1)
        return octi_fail(OCT_EUNSUPPORTED, n->name, "its weight is shared", NULL, NULL, NULL);
    const oct_value *out = &g->values[g->output];
    int64_t old = g->values[n->in[1]].shape.dim[0];
    if (n->attr.groups[0] > 1 || out->shape.rank != 2 || out->shape.dim[1] != old)
        return octi_fail(OCT_ESHAPE, n->name, "layer does not make the net's output",
                         octi_fmt("[N, %lld]", (long long)old), oct_shape_text(&out->shape), NULL);
    return OCT_OK;
}

oct_status oct_net_renew_head(oct_net *net, const oct_class *classes, int32_t count,
                              const char **layer) {
    OCTI_LAW_MODE();
    if (!net || !classes || count < 1)
        return octi_fail(OCT_EUSAGE, "oct_net_renew_head", "net or classes are missing", NULL, NULL,
                         NULL);
    if (net->stage != OCT_STAGE_FLOAT)
        return octi_fail(OCT_EUSAGE, "oct_net_renew_head", "net is quantized", "a float net", NULL,
                         NULL);
    oct_graph *g = net->graph;
    int32_t at = last_layer(g);
    if (at < 0)
        return octi_fail(OCT_EUNSUPPORTED, net->model, "net has no layer with weights", NULL, NULL,
                         NULL);
    const oct_node *n = &g->nodes[at];
    OCT_TRY(judge(g, at));
    const oct_shape *w = &g->values[n->in[1]].shape;
    int64_t fan_in = oct_shape_count(w) / w->dim[0];
    OCT_TRY(renew_tensor(net, n->in[1], count, fan_in, OCTI_INIT_WEIGHT));
    if (n->nin > 2 && n->in[2] >= 0)
        OCT_TRY(renew_tensor(net, n->in[2], count, fan_in, OCTI_INIT_BIAS));
    for (int32_t i = at; i < g->node_count; i++) {
        const oct_node *m = &g->nodes[i];
        const oct_value *in[64];
        for (int32_t k = 0; k < m->nin; k++) in[k] = octi_node_in(g, m, k);
        OCT_TRY(oct_infer_shape(m->kind, &m->attr, in, m->nin, m->name, &g->values[m->out].dtype,
                                &g->values[m->out].shape));
    }
    if (layer) *layer = n->name;
    return oct_net_set_classes(net, classes, count);
}
