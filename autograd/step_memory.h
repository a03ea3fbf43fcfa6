/* SPDX-License-Identifier: MIT
 * autograd/step_memory.h - memory of the tensors of one step. A buffer belongs to the call that
 * took it; where buffers are taken again, it goes back when nobody reads it any more. Sizes and
 * order are those of the step before, so a steady step allocates nothing. */
#ifndef OCT_AUTOGRAD_STEP_MEMORY_H
#define OCT_AUTOGRAD_STEP_MEMORY_H

#include "src/arena.h"

typedef struct octi_buffer octi_buffer;

typedef struct octi_step_memory {
    octi_arena *arena; /* of its own: nobody rewinds it within a step */
    octi_buffer *idle; /* given back */
    bool again;        /* idle ones are taken again: else nothing is given back */
} octi_step_memory;

/** 64-byte aligned, not zeroed; in the list *of where it is not NULL. NULL (recorded) on
 *  failure. */
void *octi_step_take(octi_step_memory *m, size_t bytes, octi_buffer **of);
/** data, which octi_step_take gave into no list, is read by nobody any more. */
void octi_step_give(octi_step_memory *m, void *data);
/** The same of a whole list. */
void octi_step_give_all(octi_step_memory *m, octi_buffer **of);
/** All is gone. */
void octi_step_reset(octi_step_memory *m);

#endif
