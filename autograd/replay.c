/* SPDX-License-Identifier: MIT
 * A net on a tape: recorded node by node (oct_net_forward), or run again as it stands there from
 * the step before (octi_replay): then nothing is recorded, and the memory of a value goes to
 * others behind its last reader. In a step of training that is the backward pass of the node that
 * made the value: whoever else reads it in its own backward pass came later in the net, so
 * earlier on the way back. A gradient's is that of the same node. */
#include "autograd/replay.h"

#include <string.h>

#include "autograd/tape_state.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

oct_status octi_runs_alone(const char *where) {
    return octi_fail(OCT_EUSAGE, where, "the net is made to run, not to be trained",
                     "a float, fused or prepared net", "an int8, dynamic, weight-only or half net",
                     "oct_runner_new runs it, oct_evaluate scores it, its tensors lists what it "
                     "holds");
}

/* What a net that is being quantized sees first is what convert will compare on. */
static oct_net *with_probe(oct_tape *t, oct_net *net, const oct_var *x) {
    const oct_tensor *seen = t->values[x->value]->data;
    if (t->dry || octi_net_probe_full(net)) return net;
    oct_tensor whole = *seen;
    const float *images = oct_f32(seen);
    if (t->cut.images) {
        whole.shape.dim[0] = t->cut.images;
        if (octi_cut_gather(&t->cut, t->arena, images, oct_tensor_count(seen) / seen->shape.dim[0],
                            &images) != OCT_OK)
            return NULL;
        whole.data = (void *)images;
    }
    return octi_net_keep_probe(net, &whole) == OCT_OK ? net : NULL;
}

/* What the nodes of a prepared net run by: t->net and t->hook_state. */
static oct_status begin_prepared(oct_tape *t, oct_net *net, const oct_var *x) {
    const bool eval = t->mode == OCT_EVAL, held = eval && t->held;
    if (held && t->held_net == net) {
        t->net = t->held_view;
        t->hook_state = t->held_state;
        return OCT_OK;
    }
    octi_arena *arena = held ? t->held : t->arena;
    if (held) octi_arena_reset(arena);
    t->held_net = NULL;
    t->net = eval ? net->hooks->view(net, arena) : with_probe(t, net, x);
    t->hook_state = t->net ? net->hooks->begin(t->net, t->mode, arena) : NULL;
    if (!t->hook_state) return oct_last_error()->code;
    if (!held) return OCT_OK;
    t->held_net = net;
    t->held_view = t->net;
    t->held_state = t->hook_state;
    return OCT_OK;
}

/* The input must be the net's. */
static oct_status check_input(const oct_graph *g, const oct_shape *got) {
    const oct_shape *want = &g->values[g->input].shape;
    oct_shape as_batch = *got;
    if (as_batch.rank > 0 && want->dim[0] == OCT_BATCH) as_batch.dim[0] = OCT_BATCH;
    if (oct_shape_equal(want, &as_batch)) return OCT_OK;
    return octi_fail(OCT_ESHAPE, "input", "shape is not the net's", oct_shape_text(want),
                     oct_shape_text(got), NULL);
}

static void enter_net(oct_tape *t, oct_net *net, const oct_var *x) {
    t->hooks = net->hooks;
    t->net = net;
    if (t->hooks && begin_prepared(t, net, x) != OCT_OK) octi_tape_failed(t);
}

static void leave_net(oct_tape *t) {
    t->net = NULL;
    t->hooks = NULL;
    t->hook_state = NULL;
}

oct_var *oct_net_forward(oct_net *net, oct_var *x) {
    OCTI_LAW_MODE();
    if (!net || !x) return NULL;
    oct_tape *t = x->tape;
    const oct_graph *g = net->graph;
    if (t->status != OCT_OK) return NULL;
    if (net->stage == OCT_STAGE_INT8)
        return octi_runs_alone("oct_net_forward"), octi_tape_failed(t);
    const oct_shape *got = &t->graph->values[x->value].shape;
    if (check_input(g, got) != OCT_OK) return octi_tape_failed(t);
    int64_t batch = got->rank ? got->dim[0] : 1;
    oct_var **var = octi_arena_calloc(t->arena, (size_t)g->value_count, sizeof *var);
    if (!var) return octi_tape_failed(t);
    var[g->input] = x;
    enter_net(t, net, x);
    for (int32_t i = 0; i < g->value_count && t->status == OCT_OK; i++)
        if (g->values[i].tensor) var[i] = octi_net_leaf(t, &g->values[i]);
    for (int32_t i = 0; i < g->node_count && t->status == OCT_OK; i++) {
        const oct_node *n = &g->nodes[i];
        oct_var **in = octi_arena_calloc(t->arena, (size_t)n->nin + 1, sizeof *in);
        if (!in) break;
        for (int k = 0; k < n->nin; k++) in[k] = n->in[k] < 0 ? NULL : var[n->in[k]];
        const oct_value *out = &g->values[n->out];
        var[n->out] = octi_call_new(t, n->kind, n->name, &n->attr, in, n->nin, out->dtype,
                                    octi_shape_with_batch(&out->shape, batch), n);
    }
    leave_net(t);
    return t->status == OCT_OK ? var[g->output] : octi_tape_failed(t);
}

/* ---- the same net, step after step ---- */

/* What was recorded is what would be: the net, its parameters and which of them move, the shape of
 * a batch. */
static bool stands(const oct_tape *t, const oct_net *net, const oct_tensor *x) {
    const octi_replay_state *r = &t->replay;
    const oct_graph *g = net->graph;
    if (r->net != net || g->node_count != r->nodes || !oct_shape_equal(&r->input, &x->shape))
        return false;
    for (int32_t i = 0, k = 1; i < g->value_count; i++) {
        const oct_value *v = &g->values[i];
        if (!v->tensor) continue;
        const bool moves = v->role == OCT_VALUE_PARAM && !v->frozen;
        while (k < r->values && t->graph->values[k].tensor != v->tensor) k++;
        if (k == r->values || t->values[k]->needs != moves) return false;
    }
    return true;
}

static void place(oct_tape *t, const octi_place *at) {
    oct_tape_key(t, at->epoch, at->first);
    octi_tape_cut(t, at->cut);
    t->memory.again = true;
}

/* Recorded anew, in memory that outlives the step. */
static oct_var *record(oct_tape *t, oct_net *net, const oct_tensor *x, const octi_place *at) {
    octi_replay_state *r = &t->replay;
    oct_tape_begin(t, OCT_TRAIN);
    if (!r->arena && !(r->arena = octi_arena_new(t->ctx))) return octi_tape_failed(t);
    octi_arena_reset(r->arena);
    place(t, at);
    t->record = r->arena;
    oct_var *y = oct_net_forward(net, oct_input(t, x));
    t->record = t->arena;
    if (!y) return NULL;
    *r = (octi_replay_state){.arena = r->arena,
                             .net = net,
                             .input = x->shape,
                             .output = y->value,
                             .nodes = t->graph->node_count,
                             .values = t->graph->value_count,
                             .names = octi_arena_save(t->graph->arena)};
    return y;
}

oct_var *octi_replay(oct_tape *t, oct_net *net, const oct_tensor *x, const octi_place *at) {
    OCTI_LAW_MODE();
    if (!t || !net || !x) return NULL;
    const octi_replay_state *r = &t->replay;
    if (!stands(t, net, x)) return record(t, net, x, at);
    octi_graph_cut_back(t->graph, r->nodes, r->values, r->names);
    octi_tape_step(t, OCT_TRAIN);
    place(t, at);
    for (int32_t i = 0; i < r->values; i++) t->values[i]->grad = t->values[i]->codes = NULL;
    value_run *input = t->values[0];
    if (!(input->data = octi_tensor_view(t->arena, x->dtype, x->shape, x->data)))
        return octi_tape_failed(t);
    enter_net(t, net, &input->var);
    for (int32_t i = 0; i < r->nodes && t->status == OCT_OK; i++) {
        octi_call *c = t->calls[i];
        c->node = &t->graph->nodes[i]; /* the array may have moved */
        c->out = c->out_codes = c->dout = NULL;
        memset(c->saved, 0, sizeof c->saved);
        *c->held = NULL;
        octi_call_run(t, c);
    }
    leave_net(t);
    return t->status == OCT_OK ? &t->values[r->output]->var : octi_tape_failed(t);
}
