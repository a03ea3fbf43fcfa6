/* SPDX-License-Identifier: MIT
 * The beginning of a step: its qparams (law 4), its weights, and for every node what it will do.
 * What a node does depends on the graph and on what is known now, never on values, so it is
 * decided here for forward and backward alike. */
#include <math.h>

#include "qat/net/switches.h"
#include "qat/scales/learned.h"
#include "qat/scales/scales.h"
#include "qat/step/float_layer.h"
#include "qat/step/hooks.h"
#include "qat/step/step.h"
#include "src/mem.h"
#include "src/paths.h"

typedef struct beginning {
    octi_step *step;
    oct_net *net;
    const oct_graph *g;
    octi_arena *arena;
    oct_mode mode;
    bool *codes; /* [values]: codes will stand for it */
} beginning;

/* Who observes a quantizer's values in this step; learned scales are observed until they start. */
static oct_status begin_observing(const beginning *b, const oct_quantizer *q, octi_pending *p) {
    /* a registered observer may be missing where nothing is observed */
    if (b->mode == OCT_EVAL || !oct_u8(q->enabled)[0]) return OCT_OK;
    const oct_observer *by = octi_observer_find(b->net->ctx, q->observer);
    if (!by) return oct_last_error()->code;
    const bool wants = b->mode == OCT_CALIBRATE || !octi_is_learned(q) || octi_learned_waits(q);
    if (wants && (by->observe || by->observe_range)) p->by = by;
    return OCT_OK;
}

static oct_status begin_quantizers(const beginning *b) {
    for (int32_t i = 0; i < b->g->quantizer_count; i++) {
        octi_pending *p = &b->step->pending[i];
        oct_quantizer *q = &b->g->quantizers[i];
        *p = (octi_pending){.min = INFINITY, .max = -INFINITY};
        if (octi_is_weight(q)) continue;
        /* evaluation has them settled, calibration moves them as it goes */
        if (b->mode == OCT_TRAIN) OCT_TRY(octi_scale_begin(b->net->ctx, q));
        OCT_TRY(begin_observing(b, q, p));
    }
    for (int32_t i = 0; i < b->g->node_count; i++)
        if (octi_is_source(b->g, &b->g->nodes[i])) {
            octi_pending *p = &b->step->pending[b->g->values[b->g->nodes[i].out].quantizer];
            p->left = ++p->sources;
        }
    return OCT_OK;
}

static const oct_quantizer *quantizer_of(const beginning *b, int32_t value) {
    return &b->g->quantizers[b->g->values[value].quantizer];
}

static oct_status begin_weights(const beginning *b, const oct_node *n, octi_step_node *s) {
    const oct_quantizer *x = quantizer_of(b, n->in[OCTI_X]);
    const bool known = octi_quantizer_ready(x);
    OCT_TRY(octi_quantize_weights(b->net, n, known ? octi_scale(x) : 0, b->arena, &s->w));
    return known ? octi_check_accumulators(x, n, &s->w, &s->fits24) : OCT_OK;
}

/* ---- what a node does ---- */

static bool inputs_have_codes(const beginning *b, const oct_node *n) {
    for (int k = 0; k < n->nin; k++) {
        const oct_value *v = octi_node_in(b->g, n, k);
        if (v && !v->tensor && !b->codes[n->in[k]]) return false;
    }
    return true;
}

/* The output's grid is not known before this step's values are: the first step. */
static bool first_step(const beginning *b, const oct_node *n) {
    return b->step->pending[b->g->values[n->out].quantizer].by &&
           !octi_quantizer_ready(quantizer_of(b, n->out));
}

static octi_step_kind weighted_kind(const beginning *b, const oct_node *n, bool codes) {
    if ((n->attr.bn[0] || n->kind == OCT_OP_batch_norm) && !b->step->frozen &&
        !octi_batch_norm_rests(b->g, n))
        return OCTI_STEP_STATISTICS;
    const oct_quantizer *y = quantizer_of(b, n->out), *x = quantizer_of(b, n->in[OCTI_X]);
    const bool on = oct_u8(y->enabled)[1] && oct_u8(octi_weight_quantizer(b->g, n)->enabled)[1];
    return codes && on && octi_quantizer_ready(y) && octi_quantizer_ready(x) ? OCTI_STEP_PRODUCT
                                                                             : OCTI_STEP_FOLDED;
}

static octi_step_kind kind_of(const beginning *b, const oct_node *n) {
    if (!octi_is_int8(b->g, n)) return b->mode == OCT_EVAL ? OCTI_STEP_PLAN_FLOAT : OCTI_STEP_FLOAT;
    const oct_quantizer *q = quantizer_of(b, n->out);
    const bool source = octi_is_source(b->g, n), codes = inputs_have_codes(b, n),
               on = oct_u8(q->enabled)[1];
    if (b->mode == OCT_CALIBRATE) return source ? OCTI_STEP_ROUND : OCTI_STEP_FLOAT;
    if (octi_is_weighted(b->g, n)) return weighted_kind(b, n, codes);
    if (source) return codes && on && !first_step(b, n) ? OCTI_STEP_OWN : OCTI_STEP_ROUND;
    const bool drops = n->kind == OCT_OP_dropout && b->mode == OCT_TRAIN && n->attr.p > 0;
    return codes && on && octi_quantizer_ready(q) && !drops ? OCTI_STEP_SHARE : OCTI_STEP_FLOAT;
}

/* A float output is rounded, but: in calibration only ranges move; quantization may be switched
 * off; the grid of a range that several share is known only when all of them were seen. */
static bool rounds(const beginning *b, const oct_node *n) {
    if (b->mode == OCT_CALIBRATE || !oct_u8(quantizer_of(b, n->out)->enabled)[1]) return false;
    const octi_pending *p = &b->step->pending[b->g->values[n->out].quantizer];
    if (p->sources < 2 || !first_step(b, n)) return true;
    octi_path_count(octi_ctx_paths(b->net->ctx), OCTI_SIDE_TRAIN, OCTI_PATH_shared_first_step);
    return false;
}

static bool gives_codes(const octi_step_node *s) {
    switch (s->kind) {
    case OCTI_STEP_FLOAT:
    case OCTI_STEP_PLAN_FLOAT:
        return false;
    case OCTI_STEP_ROUND:
    case OCTI_STEP_FOLDED:
    case OCTI_STEP_STATISTICS:
        return s->rounds;
    default:
        return true;
    }
}

static oct_status begin_node(const beginning *b, int32_t i) {
    const oct_node *n = &b->g->nodes[i];
    octi_step_node *s = &b->step->nodes[i];
    if (b->mode != OCT_CALIBRATE && octi_is_weighted(b->g, n)) OCT_TRY(begin_weights(b, n, s));
    s->kind = kind_of(b, n);
    if (s->kind == OCTI_STEP_ROUND || s->kind == OCTI_STEP_FOLDED ||
        s->kind == OCTI_STEP_STATISTICS)
        s->rounds = rounds(b, n);
    if (s->kind == OCTI_STEP_PLAN_FLOAT)
        OCT_TRY(octi_float_layer_begin(b->g, n, b->arena, &s->plan_node));
    b->codes[n->out] = gives_codes(s);
    return OCT_OK;
}

void *octi_step_begin(oct_net *net, oct_mode mode, octi_arena *arena) {
    beginning b = {.net = net, .g = net->graph, .arena = arena, .mode = mode};
    octi_step *step = b.step = octi_arena_calloc(b.arena, 1, sizeof *step);
    if (!step) return NULL;
    step->nodes = octi_arena_calloc(b.arena, (size_t)b.g->node_count, sizeof *step->nodes);
    step->pending = octi_arena_calloc(b.arena, (size_t)b.g->quantizer_count, sizeof *step->pending);
    b.codes = octi_arena_calloc(b.arena, (size_t)b.g->value_count, sizeof *b.codes);
    if (!step->nodes || !step->pending || !b.codes) return NULL;
    step->frozen = b.mode == OCT_EVAL || oct_net_batch_norm_frozen(net);
    if (begin_quantizers(&b) != OCT_OK) return NULL;
    for (int32_t i = 0; i < b.g->node_count; i++)
        if (begin_node(&b, i) != OCT_OK) return NULL;
    return step;
}

const octi_node_hooks octi_qat_hooks = {octi_settled_view, octi_step_begin, octi_step_forward,
                                        octi_step_backward};
