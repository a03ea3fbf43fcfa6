/* SPDX-License-Identifier: MIT
 * autograd/tape.h - the tape, for autograd's own files and for qat's hook. */
#ifndef OCT_AUTOGRAD_TAPE_H
#define OCT_AUTOGRAD_TAPE_H

#include "autograd/autograd.h"
#include "ops/ops.h"
#include "src/arena.h"
#include "src/cut.h"
#include "src/paths.h"

enum { OCTI_MAX_SAVED = 6 };

/** One node at run time. forward fills `out` (allocating it with octi_call_output) and `saved`;
 *  backward fills every non-NULL din. Tensors behind it live in the tape's arena. */
typedef struct octi_call {
    oct_tape *tape;
    oct_ctx *ctx;
    octi_arena *arena;
    oct_mode mode;
    bool wants_grad; /* a backward pass may follow and this node takes part in it */
    bool of_batch;   /* computes from images, not from parameters alone */
    oct_dropout_key key;
    const oct_graph *graph; /* the tape's own graph; node and values index it */
    const oct_node *node;
    oct_net *net;             /* net that is being replayed, or NULL */
    const oct_node *net_node; /* its node; indexes net->graph */
    void *hook_state;         /* what hooks->begin returned; lives as long as the call */
    oct_tensor **in;          /* [nin], NULL where absent */
    bool *in_needs;           /* [nin]: a gradient is wanted */
    oct_tensor **in_codes; /* [nin]: u8 codes behind in[k], NULL where it is no quantized value */
    oct_tensor *out;
    oct_tensor *out_codes; /* forward of a prepared net sets it */
    oct_tensor *saved[OCTI_MAX_SAVED];
    struct octi_buffer **held; /* what it has taken of the step's memory (step_memory.h) */
    oct_tensor *dout;
    /* [nin]: backward's results, NULL where none is wanted; headers without memory until
     * octi_call_din or octi_call_pass gives some; an input left without memory got no gradient */
    oct_tensor **din;
} octi_call;

/** The call went this way (src/paths.h). */
static inline void octi_call_took(const octi_call *c, int path) {
    octi_path_count(octi_ctx_paths(c->ctx), c->mode == OCT_EVAL ? OCTI_SIDE_EVAL : OCTI_SIDE_TRAIN,
                    path);
}

typedef oct_status octi_diff_fn(octi_call *c);

/** Row of the table kind -> forward, backward (autograd/diff.c, from op_kinds.def). */
typedef struct octi_diff {
    octi_diff_fn *forward, *backward;
} octi_diff;
const octi_diff *octi_diff_of(oct_op_kind kind);

/** How the nodes of a prepared net run: qat registers this at prepare (net->hooks). */
typedef struct octi_node_hooks {
    /** The net as evaluation sees it: qparams settled, in tensors of its own in the arena, so that
     *  nothing of the net moves. Nodes and parameters are the net's. NULL (recorded) on failure. */
    oct_net *(*view)(oct_net *net, octi_arena *arena);
    /** Once per step (or evaluation: octi_tape_hold), before the first node: what the step knows
     *  from its start. Returns its state in the arena; NULL (recorded) on failure. */
    void *(*begin)(oct_net *net, oct_mode mode, octi_arena *arena);
    octi_diff_fn *forward, *backward;
} octi_node_hooks;

/** Allocate c->out with the shape that was inferred for the node. */
oct_status octi_call_output(octi_call *c);
/** Memory for din[k]. */
oct_status octi_call_din(octi_call *c, int k);
/** din[k] takes over the memory of dout, which nobody reads after this node: for views and for "dx
 *  may be dy". At most one k per node; its element count must be dout's. */
void octi_call_pass(octi_call *c, int k);
/** A step-scoped tensor of the tape. */
oct_tensor *octi_call_tensor(octi_call *c, oct_dtype dtype, oct_shape shape);

/** Record a node, infer its shape and run it. name NULL: "<scope>.<kind>", numbered where taken;
 *  else a path, numbered where taken. in[k] NULL: absent. */
oct_var *octi_record(oct_tape *t, oct_op_kind kind, const oct_attrs *a, oct_var *const *in, int nin,
                     const char *name);
/** A parameter, buffer or constant under "<scope>.<name>"; the same tensor gives the same
 *  variable. */
oct_var *octi_leaf(oct_tape *t, oct_tensor *p, oct_value_role role, const char *name);
/** What an op is given beside the variable v (a target, a scale): an input that does not say
 *  whether the op computes from images. */
oct_var *octi_beside(oct_var *v, const oct_tensor *x);
/** Options to attributes, for functions and modules alike; NULL: defaults. */
oct_attrs octi_conv2d_attrs(const oct_conv2d_opts *o);
oct_attrs octi_pool_attrs(const oct_pool_opts *o);
oct_attrs octi_batch_norm_attrs(const oct_batch_norm_opts *o);
/** Module paths: push "conv1" inside "layer1" and names become "layer1.conv1...". */
void octi_scope_push(oct_tape *t, const char *name);
void octi_scope_pop(oct_tape *t);
const char *octi_scope(const oct_tape *t);
oct_mode octi_tape_mode(const oct_tape *t);
/** Values in place of those that nobody computed: first + step * (i % 64). */
typedef struct octi_made {
    float first, step;
} octi_made;
void octi_make_values(oct_tensor *x, octi_made made);
/** Until the next oct_tape_begin: infer shapes, run nothing, move no buffer (capture); all that
 *  nodes would compute is made up. */
void octi_tape_dry(oct_tape *t, octi_made made);
/** Until the next oct_tape_begin: nodes run by this cut (src/cut.h), here for its images alone; it
 *  is in force while they run. For who trains; without it a tape's batch is whole. The images of
 *  all processes have their places in the epoch: oct_tape_key takes the first of the batch. */
void octi_tape_cut(oct_tape *t, octi_cut cut);
/** Name of the first such value that oct_var_value handed out; NULL: none. */
const char *octi_tape_looked_at(const oct_tape *t);
/** OCT_EUSAGE of a net that has no gradients: which calls are for it. */
oct_status octi_runs_alone(const char *where);
/** Bytes that the step at hand has taken for its tensors, those that went to others once. */
size_t octi_tape_bytes(const oct_tape *t);
oct_ctx *octi_tape_ctx(const oct_tape *t);
octi_arena *octi_tape_arena(const oct_tape *t);
const oct_graph *octi_tape_graph(const oct_tape *t);
/** From here on, evaluations of one prepared net on this tape share one beginning (the settled
 *  view, the weights' codes, packed float layers), made by the first of them: for the batches of
 *  one evaluation, between which nothing of the net moves. */
oct_status octi_tape_hold(oct_tape *t);
/** Codes that a variable of a prepared net stands for; NULL where it is float. */
const oct_tensor *octi_var_codes(const oct_var *v);
int32_t octi_var_index(const oct_var *v);
/** Variable by its name in the tape's graph ("conv1"); NULL where absent. */
oct_var *octi_tape_find(const oct_tape *t, const char *name);
/** Record a failure of the tape (keeps the first) and return NULL. */
oct_var *octi_tape_failed(oct_tape *t);

#endif
