/* SPDX-License-Identifier: MIT
 * qat/infer/plan.h - what a plan is made of, for the session. */
#ifndef OCT_QAT_INFER_PLAN_H
#define OCT_QAT_INFER_PLAN_H

#include "qat/infer/infer.h"
#include "qat/int8/int8.h"

/** Where a value lives while a session runs. */
typedef enum octi_home {
    OCTI_HOME_NONE,   /* a constant */
    OCTI_HOME_INPUT,  /* the caller's x */
    OCTI_HOME_OUTPUT, /* the caller's y; unfused plans keep the output too and copy it */
    OCTI_HOME_BLOCK   /* the session's block, at `offset` per image */
} octi_home;

typedef struct octi_plan_value {
    const char *name;
    oct_dtype dtype;
    oct_shape shape;
    size_t image; /* bytes of one image, dense */
    octi_layout at;
    uint8_t halo_code; /* what stands in its halo */
    bool halo_there;   /* an earlier value of a run left it there; else it is filled */
    octi_home home;
    size_t offset;
    int32_t first, last; /* steps of its own life */
    int32_t root;        /* whose memory it has; itself, or the value that it took over in place */
} octi_plan_value;

struct oct_plan {
    oct_ctx *ctx;
    octi_arena *arena;
    bool unfused, profile, dense;
    octi_qmodule *steps; /* fused: a step may have taken the next nodes into itself */
    int32_t step_count, value_count, input, output;
    octi_plan_value *values;
    oct_tensor **held; /* references to the constants that steps read */
    int32_t held_count;
    size_t activations, sum; /* bytes per image */
    size_t scratch, band;    /* per task; and so much for each image that it works on at a time */
    double cycles;           /* of an image, by the models of its steps */
    /* pixels */
    bool takes_u8;
    const uint8_t *table; /* [C,256] of step `table_step`; NULL: pixels become floats first */
    int32_t table_step;
    oct_input_desc desc;
};

/** Sets halo_there, when each value has its place. Steps write inside a value's borders alone: what
 *  stands around it is still there when the next one of the same shape and code comes to its place,
 *  unless another kind of value was there between. */
void octi_plan_keep_halos(oct_plan *p);

/** A fused plan whose steps hold one node each and whose values have no halo, no slack and the
 *  alignment of a word: where each would lie in the memory of a program without octet's kernels. It
 *  is read, not run. */
oct_plan *octi_plan_new_dense(const oct_net *net);

#endif
