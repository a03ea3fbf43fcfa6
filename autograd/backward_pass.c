/* SPDX-License-Identifier: MIT
 * Backward: from a variable down the nodes that made it, last recorded first; gradients of
 * parameters are added to tensor->grad. */
#include <string.h>

#include "autograd/tape_state.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

static oct_status accumulate_leaf(oct_tape *t, oct_tensor *p, const oct_tensor *d) {
    if (!p->grad && !(p->grad = oct_tensor_new(t->ctx, OCT_F32, p->shape)))
        return oct_last_error()->code;
    return oct_accumulate(t->ctx, p->grad, d);
}

/* Where the gradient of input k goes: straight into the value where it is the first, else to be
 * added. A parameter's always is added to tensor->grad, which outlives the step. */
static oct_status backward_node(oct_tape *t, octi_call *c) {
    int nin = c->node->nin;
    c->din = octi_arena_calloc(t->arena, (size_t)nin + 1, sizeof *c->din);
    if (!c->din) return oct_last_error()->code;
    for (int k = 0; k < nin; k++)
        if (c->in_needs[k] &&
            !(c->din[k] = octi_tensor_view(t->arena, c->in[k]->dtype, c->in[k]->shape, NULL)))
            return oct_last_error()->code;
    /* the hook of a prepared net goes with the net that recorded the node */
    octi_diff_fn *backward =
        c->net && c->net->hooks ? c->net->hooks->backward : octi_diff_of(c->node->kind)->backward;
    OCT_TRY(octi_run_by_cut(t, c, backward));
    bool lives = false; /* dout, as the gradient of an input */
    for (int k = 0; k < nin; k++) {
        if (!c->in_needs[k] || !c->din[k]->data) continue;
        int32_t value = c->node->in[k];
        value_run *r = t->values[value];
        oct_tensor *p = t->graph->values[value].tensor;
        const bool passed = c->din[k]->data == c->dout->data;
        if (!p && !r->grad) {
            r->grad = c->din[k];
            lives |= passed;
            continue;
        }
        OCT_TRY(p ? accumulate_leaf(t, p, c->din[k]) : oct_accumulate(t->ctx, r->grad, c->din[k]));
        if (!passed) octi_step_give(&t->memory, c->din[k]->data);
    }
    if (!lives) octi_step_give(&t->memory, c->dout->data);
    octi_step_give_all(&t->memory, c->held);
    return OCT_OK;
}

/* Gradients are memory of the step, which goes back when their node is done. */
static oct_tensor *first_gradient(oct_tape *t, const oct_shape *s) {
    oct_tensor *dy = octi_tensor_view(t->arena, OCT_F32, *s, NULL);
    if (dy && !(dy->data = octi_step_take(&t->memory, oct_tensor_bytes(dy), NULL))) return NULL;
    return dy;
}

/* What a backward pass needs before it starts. */
static oct_status may_go_back(const oct_var *y, const char *where) {
    if (!y) {
        if (oct_last_error()->code != OCT_OK) return oct_last_error()->code;
        return octi_fail(OCT_EUSAGE, where, "variable is NULL", NULL, NULL, NULL);
    }
    const oct_tape *t = y->tape;
    if (t->status != OCT_OK) return t->status;
    if (t->mode != OCT_TRAIN)
        return octi_fail(OCT_EUSAGE, where, "gradients need a tape in training mode",
                         "oct_tape_begin(t, OCT_TRAIN)", NULL, NULL);
    if (t->went_back)
        return octi_fail(OCT_EUSAGE, where, "called twice in one step",
                         "one call per oct_tape_begin", NULL, NULL);
    return OCT_OK;
}

/* From y down; dy is the tape's own. */
static oct_status backward_pass(oct_var *y, oct_tensor *dy) {
    oct_tape *t = y->tape;
    const oct_value *v = &t->graph->values[y->value];
    t->went_back = true;
    if (!t->values[y->value]->needs) return OCT_OK;
    if (v->tensor) return accumulate_leaf(t, v->tensor, dy); /* a parameter itself */
    t->values[y->value]->grad = dy;
    for (int32_t i = v->producer; i >= 0; i--) {
        octi_call *c = t->calls[i];
        c->node = &t->graph->nodes[i]; /* the array may have moved since the forward pass */
        c->dout = t->values[c->node->out]->grad;
        if (c->wants_grad && c->dout) OCT_TRY(backward_node(t, c));
    }
    return OCT_OK;
}

oct_status oct_backward(oct_var *loss) {
    OCTI_LAW_MODE();
    OCT_TRY(may_go_back(loss, "oct_backward"));
    const oct_value *v = &loss->tape->graph->values[loss->value];
    if (oct_shape_count(&v->shape) != 1 || v->dtype != OCT_F32)
        return octi_fail(OCT_EUSAGE, "oct_backward", "not a scalar", "float32 []",
                         oct_shape_text(&v->shape), "take a loss, or give oct_backward_from dy");
    oct_tensor *one = first_gradient(loss->tape, &v->shape);
    if (!one) return oct_last_error()->code;
    *oct_f32(one) = 1.0f;
    return backward_pass(loss, one);
}

oct_status oct_backward_from(oct_var *y, const oct_tensor *dy) {
    OCTI_LAW_MODE();
    OCT_TRY(may_go_back(y, "oct_backward_from"));
    if (!dy) return octi_fail_null("oct_backward_from");
    const oct_value *v = &y->tape->graph->values[y->value];
    if (dy->dtype != OCT_F32 || v->dtype != OCT_F32)
        return octi_fail(OCT_EDTYPE, "oct_backward_from", "gradient and variable", "float32",
                         oct_dtype_name(dy->dtype != OCT_F32 ? dy->dtype : v->dtype), NULL);
    if (!oct_shape_equal(&dy->shape, &v->shape))
        return octi_fail(OCT_ESHAPE, "oct_backward_from", "shape of the gradient",
                         oct_shape_text(&v->shape), oct_shape_text(&dy->shape), NULL);
    /* ops write into gradients: the caller's stays as it is */
    oct_tensor *own = first_gradient(y->tape, &v->shape);
    if (!own) return oct_last_error()->code;
    memcpy(own->data, dy->data, oct_tensor_bytes(dy));
    return backward_pass(y, own);
}
