/* SPDX-License-Identifier: MIT
 * Float layers in evaluation. Codes behind them are promised to be the plan's, so there is one
 * implementation: the node that the plan runs, made ready with the step. */
#include "qat/step/float_layer.h"

#include "autograd/diff.h"
#include "qat/int8/int8.h"
#include "qat/step/step.h"
#include "src/cut.h"
#include "src/mem.h"

typedef struct layer_job {
    const octi_fnode *f;
    const void *in[OCTI_MAX_INPUTS];
    float *out;
    uint8_t *scratch;
    size_t pitch; /* of a slot's scratch */
    octi_cut cut;
} layer_job;

static void layer_task(void *arg, int64_t i) {
    const layer_job *j = arg;
    const octi_fnode *f = j->f;
    const int64_t from = octi_cut_at(&j->cut, i), to = octi_cut_at(&j->cut, i + 1);
    const void *in[OCTI_MAX_INPUTS];
    for (int32_t k = 0; k < f->nin; k++)
        in[k] = j->in[k] ? (const float *)j->in[k] + from * f->image_in[k] : NULL;
    octi_fnode_run(f, in, j->out + from * f->image_out, to - from,
                   j->scratch ? j->scratch + (size_t)i * j->pitch : NULL);
}

/* The same bytes in the same order, or no kind of the plan's: no arithmetic that could differ. */
static bool as_recorded(oct_op_kind k) {
    return k == OCT_OP_flatten || k == OCT_OP_reshape || k == OCT_OP_identity ||
           k == OCT_OP_dropout || !octi_fnode_has(k);
}

oct_status octi_float_layer_begin(const oct_graph *g, const oct_node *n, octi_arena *arena,
                                  octi_fnode **plan) {
    *plan = NULL;
    if (as_recorded(n->kind)) return OCT_OK;
    if (!(*plan = octi_arena_alloc(arena, sizeof **plan))) return oct_last_error()->code;
    return octi_fnode_init(*plan, arena, g, n, false);
}

oct_status octi_float_layer(octi_call *c) {
    const octi_fnode *f = octi_step_node_of(c)->plan_node;
    if (!f) return octi_diff_of(c->node->kind)->forward(c);
    OCT_TRY(octi_call_output(c));
    octi_call_took(c, f->path);
    const octi_arena_mark mark = octi_arena_save(c->arena);
    layer_job j = {
        .f = f, .out = oct_f32(c->out), .cut = octi_cut_of(c->ctx, c->out->shape.dim[0])};
    j.pitch = (f->scratch + 63) & ~(size_t)63;
    if (f->scratch && !(j.scratch = octi_arena_alloc(c->arena, j.pitch * (size_t)j.cut.count)))
        return oct_last_error()->code;
    for (int32_t k = 0; k < f->nin; k++) j.in[k] = f->image_in[k] ? c->in[k]->data : NULL;
    octi_parallel_for(octi_ctx_pool(c->ctx), j.cut.count, layer_task, &j);
    octi_arena_rewind(c->arena, mark);
    return OCT_OK;
}
