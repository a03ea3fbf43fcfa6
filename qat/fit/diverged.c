/* SPDX-License-Identifier: MIT
 * The cause is where NaN or infinity first appears: a tensor that training moved, else the first
 * layer of the forward. */
#include "qat/fit/diverged.h"

#include "qat/net/prepared.h"
#include "qat/prepared_check.h"
#include "qat/scales/settle.h"

static const char *slower(octi_diverged_at at) {
    return octi_fmt("a learning rate of %g, or clip_norm%s", (double)at.lr,
                    at.saved ? "; the last saved state stays" : "");
}

static bool finite_values(const oct_tensor *t) {
    if (!t || t->dtype != OCT_F32) return true;
    float probe = 0;
    for (int64_t k = 0, n = oct_tensor_count(t); k < n; k++) probe += 0.0f * oct_f32(t)[k];
    return probe == 0.0f;
}

static bool is_loss(oct_op_kind kind) {
    return kind == OCT_OP_cross_entropy || kind == OCT_OP_mse_loss || kind == OCT_OP_distill_loss;
}

oct_status octi_diverged_loss(const oct_net *net, const oct_tape *tape, octi_diverged_at at,
                              bool own_loss) {
    const char *got = octi_fmt("NaN or infinity at step %lld", (long long)at.step);
    /* what an earlier step left; statistics of this step's forward come later */
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const oct_named_tensor *n = &net->tensors[i];
        if ((n->role == OCT_ROLE_PARAM || n->role == OCT_ROLE_STEP) && !finite_values(n->tensor))
            return octi_fail(OCT_EDIVERGED, n->name, "not finite", "finite numbers", got,
                             slower(at));
    }
    const oct_graph *g = octi_tape_graph(tape);
    for (int32_t i = 0; i < g->node_count; i++) {
        const char *name = g->values[g->nodes[i].out].name;
        if (finite_values(oct_var_value(octi_tape_find(tape, name)))) continue;
        const bool loss = oct_graph_find_node(net->graph, name) < 0;
        if (loss && own_loss && !is_loss(g->nodes[i].kind))
            return octi_fail(OCT_EDIVERGED, octi_fmt("%s of the loss", name), "not finite",
                             "finite numbers", got,
                             "the net's output is finite: mend the loss, such as a logarithm of 0");
        return octi_fail(OCT_EDIVERGED, loss ? octi_fmt("loss (%s)", name) : name,
                         "output is not finite, its weights are: values grew too large",
                         "finite numbers", got, slower(at));
    }
    return octi_fail(OCT_EDIVERGED, octi_fmt("step %lld", (long long)at.step), "loss is not finite",
                     "a finite number", NULL, slower(at));
}

oct_status octi_diverged_settle(oct_net *net, const oct_named_tensor *optim, int32_t count,
                                octi_diverged_at at) {
    const char *where = at.step ? octi_fmt("step %lld", (long long)at.step) : "save",
               *hint = at.step ? slower(at) : NULL;
    OCT_TRY(octi_tensors_finite(optim, count, where, OCT_EDIVERGED, hint));
    OCT_TRY(octi_tensors_finite(net->tensors, net->tensor_count, where, OCT_EDIVERGED, hint));
    if (net->stage != OCT_STAGE_PREPARED) return OCT_OK;
    OCT_TRY(oct_net_settle(net));
    OCT_TRY(octi_tensors_finite(net->tensors, net->tensor_count, where, OCT_EDIVERGED, hint));
    if (octi_prepared_check(net) == OCT_OK) return OCT_OK;
    const oct_error *e = oct_last_error();
    return octi_fail(OCT_EDIVERGED, octi_fmt("%s: %s", where, e->where), e->what, e->expected,
                     e->got, hint);
}

oct_status octi_diverged_step(oct_status s, octi_diverged_at at) {
    if (s != OCT_EDIVERGED) return s;
    const oct_error *e = oct_last_error();
    return octi_fail(s, e->where, e->what, e->expected,
                     octi_fmt("%s at step %lld", e->got, (long long)at.step), slower(at));
}
