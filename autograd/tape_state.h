/* SPDX-License-Identifier: MIT
 * autograd/tape_state.h - what a tape and its values are at run time: for who records (tape.c) and
 * who goes back (backward_pass.c), nobody else. */
#ifndef OCT_AUTOGRAD_TAPE_STATE_H
#define OCT_AUTOGRAD_TAPE_STATE_H

#include "autograd/tape.h"
#include "autograd/step_memory.h"
#include "autograd/watch.h"

struct oct_var {
    oct_tape *tape;
    int32_t value;
};

typedef struct value_run {
    oct_tensor *data;
    oct_tensor *grad;  /* during backward */
    oct_tensor *codes; /* u8 codes that `data` stands for, in a prepared net; else NULL */
    oct_var var;
    bool needs;    /* a gradient is wanted */
    bool of_batch; /* computed from images */
} value_run;

/** What octi_replay keeps of a net on the tape. */
typedef struct octi_replay_state {
    octi_arena *arena;     /* calls and values */
    const oct_net *net;    /* NULL: nothing */
    oct_shape input;       /* with its batch */
    int32_t output;        /* value */
    int32_t nodes, values; /* of the tape's graph; what comes behind is the loss */
    octi_arena_mark names; /* of the graph's arena, the same */
} octi_replay_state;

struct oct_tape {
    oct_ctx *ctx;
    oct_graph *graph;
    octi_arena *arena;
    octi_arena *record; /* where what is recorded goes: arena, or the replay's */
    octi_step_memory memory;
    octi_replay_state replay;
    oct_mode mode;
    uint32_t epoch, first_sample;
    octi_cut cut; /* images 0: a batch is whole */
    oct_status status;
    bool went_back;    /* oct_backward was called */
    bool dry;          /* capture: shapes only, nothing runs and no buffer moves */
    octi_made made;    /* what values are there then */
    int32_t looked_at; /* the first value that the caller asked for then; -1: none */
    oct_net *net;      /* being replayed */
    const octi_node_hooks *hooks;
    void *hook_state;   /* of the replay at hand, in the arena */
    value_run **values; /* [graph->value_count], in the arena: variables keep their addresses */
    octi_call **calls;  /* [graph->node_count] */
    size_t value_cap, call_cap;
    char scope[512];
    octi_watcher *watchers;
    octi_arena *held; /* octi_tape_hold: what evaluations of held_net share; NULL: nothing is */
    const oct_net *held_net;
    oct_net *held_view;
    void *held_state;
};

/** A step begins, with the graph as it stands. */
void octi_tape_step(oct_tape *t, oct_mode mode);
/** The variable of a leaf of a net. */
oct_var *octi_net_leaf(oct_tape *t, const oct_value *v);
/** Add a node whose shape is known, and run it. */
oct_var *octi_call_new(oct_tape *t, oct_op_kind kind, const char *name, const oct_attrs *a,
                       oct_var *const *in, int nin, oct_dtype dtype, oct_shape shape,
                       const oct_node *net_node);
/** Run a node that stands on the tape. */
oct_var *octi_call_run(oct_tape *t, octi_call *c);
/** The call's pass with the tape's cut in force, where it computes from images. */
oct_status octi_run_by_cut(oct_tape *t, octi_call *c, octi_diff_fn *pass);

#endif
