/* SPDX-License-Identifier: MIT
 * The scales of a whole net: what observed state, learned steps and weights stand for, written into
 * its tensors; and another observer for what comes. */
#include "qat/scales/settle.h"

#include <math.h>
#include <string.h>

#include "qat/scales/learned.h"
#include "qat/scales/observing.h"
#include "qat/scales/scales.h"
#include "qat/scales/weights.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

/* A fold or weights of huge numbers leave no scale; the net keeps the ones it had. */
static oct_status finite_scales(const oct_quantizer *q) {
    for (int64_t c = 0, n = oct_tensor_count(q->scale); c < n; c++)
        if (!isfinite(oct_f32(q->scale)[c]))
            return octi_fail(OCT_EDIVERGED, q->name, "weights too large for a scale",
                             "a finite scale", octi_fmt("channel %lld", (long long)c), NULL);
    return OCT_OK;
}

/* Scales of the weights as they are now. Steps that wait for their first training step keep
 * waiting. */
static oct_status settle_weights(oct_net *net) {
    octi_arena *scratch = octi_ctx_scratch(net->ctx);
    if (!scratch) return oct_last_error()->code;
    const octi_arena_mark mark = octi_arena_save(scratch);
    oct_net *seen = octi_settled_view(net, scratch);
    oct_status s = seen ? OCT_OK : oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < net->graph->node_count; i++) {
        const oct_node *n = &net->graph->nodes[i];
        if (!octi_is_weighted(net->graph, n)) continue;
        const oct_quantizer *x =
            &seen->graph->quantizers[net->graph->values[n->in[OCTI_X]].quantizer];
        octi_qweights w;
        s = octi_quantize_weights(seen, n, octi_quantizer_ready(x) ? octi_scale(x) : 0, scratch,
                                  &w);
        const oct_quantizer *to = octi_weight_quantizer(net->graph, n),
                            *from = octi_weight_quantizer(seen->graph, n);
        if (s == OCT_OK) s = finite_scales(from);
        if (s == OCT_OK) memcpy(to->scale->data, from->scale->data, oct_tensor_bytes(to->scale));
    }
    octi_arena_rewind(scratch, mark);
    return s;
}

oct_status oct_net_settle(oct_net *net) {
    OCTI_LAW_MODE();
    for (int32_t i = 0; net && i < net->graph->quantizer_count; i++) {
        oct_quantizer *q = &net->graph->quantizers[i];
        if (!octi_is_weight(q) && q->dirty) OCT_TRY(octi_settle_range(net->ctx, q));
        if (!octi_is_weight(q) && octi_is_learned(q)) octi_learned_settle(q);
    }
    return net && net->stage == OCT_STAGE_PREPARED ? settle_weights(net) : OCT_OK;
}

/* ---- another observer ---- */

/* "conv1.activation_post_process" of a quantizer, from the name of a tensor that it always has. */
static const char *owner_of(const oct_net *net, const oct_quantizer *q) {
    static const char tail[] = ".scale";
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const char *n = net->tensors[i].name;
        if (net->tensors[i].tensor == q->scale && strlen(n) > sizeof tail - 1)
            return octi_fmt("%.*s", (int)(strlen(n) - (sizeof tail - 1)), n);
    }
    return q->name;
}

static oct_status switch_observer(oct_net *net, oct_quantizer *q, const char *observer) {
    const char *name = octi_arena_strdup(net->graph->arena, observer),
               *owner = octi_arena_strdup(net->graph->arena, owner_of(net, q));
    if (!name || !owner) return oct_last_error()->code;
    OCT_TRY(octi_settle_range(net->ctx, q));
    for (int32_t i = 0; i < q->state_count; i++) {
        octi_net_unregister(net, q->state[i]);
        oct_tensor_unref(q->state[i]);
        q->state[i] = NULL;
    }
    q->state_count = 0;
    q->observer = name;
    q->role = octi_role_under(name);
    oct_status s = octi_observer_start(net, q, owner);
    for (int32_t i = 0; i < q->state_count; i++) oct_tensor_ref(q->state[i]); /* the graph's */
    return s;
}

static bool holds_input(const oct_graph *g, int32_t quantizer) {
    for (int32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].kind == OCT_OP_quantize && g->nodes[i].in[0] == g->input &&
            g->values[g->nodes[i].out].quantizer == quantizer)
            return true;
    return false;
}

oct_status oct_net_set_observer(oct_net *net, const char *observer) {
    OCTI_LAW_MODE();
    if (!net || !observer) return octi_fail_null("oct_net_set_observer");
    if (net->stage != OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, "oct_net_set_observer", "net is not prepared",
                         "the result of oct_prepare", NULL, NULL);
    if (!octi_observer_find(net->ctx, observer)) return oct_last_error()->code;
    for (int32_t i = 0; i < net->graph->quantizer_count; i++) {
        oct_quantizer *q = &net->graph->quantizers[i];
        if (octi_is_weight(q) || octi_is_fixed(q)) continue;
        OCT_TRY(switch_observer(
            net, q, holds_input(net->graph, i) ? octi_observer_of_input(observer) : observer));
    }
    return OCT_OK;
}
