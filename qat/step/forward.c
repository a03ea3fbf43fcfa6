/* SPDX-License-Identifier: MIT
 * A node's forward pass, by the kind that begin gave it. A quantized value is both: floats
 * s * (q - z) for the gradient, and the codes. */
#include <string.h>

#include "autograd/diff.h"
#include "ops/product_paths.h"
#include "qat/scales/learned.h"
#include "qat/step/float_layer.h"
#include "qat/step/step.h"
#include "src/qround.h"

/* ---- a float output becomes codes ---- */

static oct_status new_codes(octi_call *c, const oct_quantizer *q) {
    c->out_codes = octi_call_tensor(c, OCT_U8, c->out->shape);
    if (!c->out_codes) return oct_last_error()->code;
    if (c->mode != OCT_TRAIN || (!c->wants_grad && !octi_is_learned(q))) return OCT_OK;
    if (!(c->saved[OCTI_SAVED_MASK] = octi_call_tensor(c, OCT_U8, c->out->shape)))
        return oct_last_error()->code;
    if (octi_is_learned(q) &&
        !(c->saved[OCTI_SAVED_TERM] = octi_call_tensor(c, OCT_F32, c->out->shape)))
        return oct_last_error()->code;
    return OCT_OK;
}

/* A learned step begins with the whole first batch, whatever part of it is here. */
static oct_status start_step(octi_call *c, oct_quantizer *q) {
    octi_arena_mark mark = octi_arena_save(c->arena);
    const float *whole;
    int64_t n;
    OCT_TRY(octi_whole_values(c, oct_f32(c->out), oct_tensor_count(c->out), &whole, &n));
    octi_learned_start(q, whole, n);
    octi_arena_rewind(c->arena, mark);
    return OCT_OK;
}

/* Observe, then quantize in place. The straight-through mask also closes where the fused activation
 * did. */
static oct_status round_output(octi_call *c) {
    oct_quantizer *q = octi_out_quantizer(c);
    OCT_TRY(octi_observe_tensor(c, c->out));
    if (!octi_step_node_of(c)->rounds) return OCT_OK;
    if (!octi_quantizer_ready(q)) return octi_not_observed(q);
    /* evaluation moves nothing */
    if (c->mode == OCT_TRAIN && octi_learned_waits(q)) OCT_TRY(start_step(c, q));
    OCT_TRY(new_codes(c, q));
    octi_quantize_tensor(c->ctx, c->out, q, (oct_act)c->node->attr.act[0], c->out_codes,
                         octi_straight_of(c));
    return OCT_OK;
}

/* The float op of another call: with other inputs, or another node. What it makes is this one's. */
static oct_status float_op_of(octi_call *c, octi_call with) {
    oct_status s = octi_diff_of(c->node->kind)->forward(&with);
    c->out = with.out;
    memcpy(c->saved, with.saved, sizeof c->saved);
    return s;
}

/* The float op; where it is rounded in place, in memory of its own. */
static oct_status float_output(octi_call *c, bool own) {
    if (!own || c->node->kind != OCT_OP_quantize) return octi_diff_of(c->node->kind)->forward(c);
    OCT_TRY(octi_call_output(c));
    memcpy(c->out->data, c->in[0]->data, oct_tensor_bytes(c->out));
    return OCT_OK;
}

static oct_status rounded(octi_call *c) {
    OCT_TRY(float_output(c, octi_step_node_of(c)->rounds));
    return round_output(c);
}

/* ---- products ---- */

oct_tensor *octi_float_weights(octi_call *c, bool unfold) {
    const octi_qweights *w = &octi_step_node_of(c)->w;
    oct_tensor *t = octi_call_tensor(c, OCT_F32, c->in[OCTI_W]->shape);
    if (!t) return NULL;
    bool on = oct_u8(octi_weight_quantizer(c->net->graph, c->net_node)->enabled)[1];
    for (int32_t o = 0; o < w->o; o++) {
        float f = w->factor ? w->factor[o] : 1.0f, s = unfold ? w->scale[o] / f : w->scale[o];
        for (int64_t k = o * w->k; k < (o + 1) * w->k; k++)
            oct_f32(t)[k] =
                on ? s * (float)w->codes[k] : oct_f32(c->in[OCTI_W])[k] * (unfold ? 1.0f : f);
    }
    return t;
}

static oct_status product_on_codes(octi_call *c) {
    octi_call_took(c, OCTI_PATH_product_on_codes);
    const oct_graph *g = c->net->graph;
    const oct_node *n = c->net_node;
    const octi_step_node *s = octi_step_node_of(c);
    const oct_quantizer *q = octi_out_quantizer(c);
    const oct_quantizer *x = &g->quantizers[g->values[n->in[OCTI_X]].quantizer];
    const oct_act act = (oct_act)n->attr.act[0];
    octi_accumulators acc;
    OCT_TRY(octi_call_output(c));
    OCT_TRY(octi_accumulate_codes(c, x, &s->w, s->fits24, &acc));
    OCT_TRY(octi_observe_sums(c, &acc, &s->w, octi_scale(x), act));
    OCT_TRY(new_codes(c, q));
    return octi_requant_tensor(c->ctx, &acc, &s->w, octi_scale(x), q, n, c->out, c->out_codes,
                               octi_straight_of(c));
}

/* Batch statistics: the float op itself around fake-quantized weights, W = fq(w * factor) / factor
 * (law 5). */
static oct_status product_with_statistics(octi_call *c) {
    octi_call_took(c, OCTI_PATH_batch_statistics);
    if (c->node->kind == OCT_OP_batch_norm) { /* it has no weights but ones */
        OCT_TRY(octi_diff_of(c->node->kind)->forward(c));
        return round_output(c);
    }
    oct_tensor *w = octi_float_weights(c, true);
    if (!w) return oct_last_error()->code;
    oct_tensor *in[OCTI_WEIGHTED_INPUTS];
    octi_call with = *c;
    memcpy(in, c->in, sizeof *in * (size_t)c->node->nin);
    in[OCTI_W] = w;
    with.in = in;
    OCT_TRY(float_op_of(c, with));
    c->saved[OCTI_SAVED_WEIGHTS] = w; /* for the gradient of x */
    return round_output(c);
}

/* The folded product in floats: where an input has no codes (behind dropout, or a first step). */
static oct_status product_in_floats(octi_call *c) {
    octi_call_took(c, OCTI_PATH_product_in_floats);
    const oct_node *n = c->net_node;
    const oct_act act = (oct_act)n->attr.act[0];
    OCT_TRY(octi_call_output(c));
    if (n->kind == OCT_OP_batch_norm) {
        OCT_TRY(oct_batch_norm_eval(c->ctx, &n->attr, c->in[0], c->in[1], c->in[2], c->in[3],
                                    c->in[4], c->out));
        if (act) OCT_TRY(oct_act_forward(c->ctx, act, c->out, c->out));
        return round_output(c);
    }
    const octi_qweights *q = &octi_step_node_of(c)->w;
    oct_tensor *w = octi_float_weights(c, false),
               *b = octi_tensor_view(c->arena, OCT_F32, OCT_SHAPE(q->o), q->bias);
    if (!w || !b) return oct_last_error()->code;
    octi_call_took(c, n->kind == OCT_OP_conv2d
                          ? octi_conv2d_path(&n->attr, c->in[OCTI_X], c->out, false)
                          : octi_linear_path(c->ctx, c->in[OCTI_X], w));
    OCT_TRY(n->kind == OCT_OP_conv2d
                ? oct_conv2d_forward(c->ctx, &n->attr, c->in[OCTI_X], w, b, c->out)
                : oct_linear_forward(c->ctx, c->in[OCTI_X], w, b, c->out));
    if (act) OCT_TRY(oct_act_forward(c->ctx, act, c->out, c->out));
    return round_output(c);
}

/* ---- the others ---- */

/* quantize, and nodes with a grid of their own but no weights (codes_own.c) */
static oct_status own_on_codes(octi_call *c) {
    oct_quantizer *q = octi_out_quantizer(c);
    if (octi_pending_of(c)->by) {
        OCT_TRY(float_output(c, true));
        OCT_TRY(octi_observe_tensor(c, c->out));
    } else
        OCT_TRY(octi_call_output(c));
    if (!octi_quantizer_ready(q)) return octi_not_observed(q);
    OCT_TRY(new_codes(c, q));
    return octi_own_on_codes(c, q, octi_straight_of(c));
}

/* pad's cells get a code: quantize(value) (law 8). */
static oct_status pad_on_grid(octi_call *c, const oct_quantizer *q) {
    oct_node padded = *c->node;
    octi_call with = *c;
    const int32_t code = octq_quantize(c->node->attr.value, octi_scale(q), octi_zero_point(q),
                                       q->spec.qmin, q->spec.qmax);
    padded.attr.value = octq_dequantize(code, octi_scale(q), octi_zero_point(q));
    with.node = &padded;
    return float_op_of(c, with);
}

/* A node on its inputs' grid: the float op, and the codes of what it gives. */
static oct_status share_on_codes(octi_call *c) {
    const oct_quantizer *q = octi_out_quantizer(c);
    if (c->node->kind == OCT_OP_avg_pool2d) { /* in fixed point, where it rounds by itself */
        const octi_straight none = {.mask = NULL};
        OCT_TRY(octi_call_output(c));
        c->out_codes = octi_call_tensor(c, OCT_U8, c->out->shape);
        return c->out_codes ? octi_own_on_codes(c, q, none) : oct_last_error()->code;
    }
    OCT_TRY(c->node->kind == OCT_OP_pad ? pad_on_grid(c, q)
                                        : octi_diff_of(c->node->kind)->forward(c));
    if (c->out->data == c->in[0]->data) /* a view: the codes are the input's */
        c->out_codes = octi_tensor_view(c->arena, OCT_U8, c->out->shape, c->in_codes[0]->data);
    else if ((c->out_codes = octi_call_tensor(c, OCT_U8, c->out->shape)))
        octi_codes_on_grid(c, q);
    return c->out_codes ? OCT_OK : oct_last_error()->code;
}

oct_status octi_step_forward(octi_call *c) {
    const bool int8 = octi_is_int8(c->net->graph, c->net_node);
    octi_call_took(c, (int8 ? OCTI_PATH_CODES : OCTI_PATH_FLOAT) + (int)c->net_node->kind);
    switch (octi_step_node_of(c)->kind) {
    case OCTI_STEP_PLAN_FLOAT:
        return octi_float_layer(c);
    case OCTI_STEP_SHARE:
        return share_on_codes(c);
    case OCTI_STEP_ROUND:
        return rounded(c);
    case OCTI_STEP_OWN:
        return own_on_codes(c);
    case OCTI_STEP_PRODUCT:
        return product_on_codes(c);
    case OCTI_STEP_FOLDED:
        return product_in_floats(c);
    case OCTI_STEP_STATISTICS:
        return product_with_statistics(c);
    default:
        return octi_diff_of(c->node->kind)->forward(c);
    }
}
