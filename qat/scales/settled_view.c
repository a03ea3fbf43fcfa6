/* SPDX-License-Identifier: MIT
 * A net as evaluation and convert see it. Ranges are chosen and learned scales made on copies, so
 * that asking moves nothing: the next training step finds every named tensor as the last one left
 * it. */
#include <string.h>

#include "qat/scales/learned.h"
#include "qat/scales/observing.h"
#include "qat/scales/scales.h"

/* The same values in memory of the view. */
static bool own(octi_arena *arena, oct_tensor **t) {
    if (!*t) return true;
    oct_tensor *mine = octi_tensor_in_arena(arena, (*t)->dtype, (*t)->shape);
    if (mine) memcpy(mine->data, (*t)->data, oct_tensor_bytes(*t));
    *t = mine;
    return mine != NULL;
}

/* Qparams of an activation, as the next step would have them. What training observed since its last
 * step's start moves the next step's range (law 4), so evaluation keeps the qparams of the last. */
static oct_status settle(oct_ctx *ctx, oct_quantizer *q) {
    if (octi_is_weight(q)) return OCT_OK; /* octi_quantize_weights */
    if (q->dirty == OCTI_DIRTY_QPARAMS) OCT_TRY(octi_settle_range(ctx, q));
    if (octi_is_learned(q)) octi_learned_settle(q);
    return OCT_OK;
}

oct_net *octi_settled_view(oct_net *net, octi_arena *arena) {
    oct_net *seen = octi_arena_alloc(arena, sizeof *seen);
    oct_graph *g = octi_arena_alloc(arena, sizeof *g);
    const size_t count = (size_t)net->graph->quantizer_count;
    oct_quantizer *list = octi_arena_alloc(arena, (count + 1) * sizeof *list);
    if (!seen || !g || !list) return NULL;
    if (count) memcpy(list, net->graph->quantizers, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        /* codes of tracked weights are training's alone: they stay the net's */
        oct_quantizer *q = &list[i];
        if (!own(arena, &q->scale) || !own(arena, &q->zero_point) || !own(arena, &q->min_val) ||
            !own(arena, &q->max_val) || !own(arena, &q->enabled) || !own(arena, &q->step) ||
            !own(arena, &q->offset) || settle(net->ctx, q) != OCT_OK)
            return NULL;
    }
    *g = *net->graph;
    g->quantizers = list;
    *seen = *net;
    seen->graph = g;
    return seen;
}
