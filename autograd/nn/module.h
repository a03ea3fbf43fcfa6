/* SPDX-License-Identifier: MIT
 * autograd/nn/module.h - what a module is, for the files of this folder. */
#ifndef OCT_AUTOGRAD_NN_MODULE_H
#define OCT_AUTOGRAD_NN_MODULE_H

#include "autograd/nn/nn.h"
#include "autograd/tape.h"

/** How a tensor gets its first values. Weights are drawn by octi_init_weight, keyed by (seed,
 *  path). */
typedef enum octi_init {
    OCTI_INIT_ZERO,
    OCTI_INIT_ONE,
    OCTI_INIT_WEIGHT,
    OCTI_INIT_BIAS
} octi_init;

typedef struct octi_slot {
    const char *name; /* "weight" */
    oct_tensor_role role;
    octi_init init;
    int64_t fan_in; /* of the layer's weight, for weight and bias */
    oct_tensor *tensor;
} octi_slot;

enum { OCTI_MODULE_SLOTS = 16 }; /* an LSTM of four layers */

struct oct_module {
    oct_ctx *ctx;
    oct_forward_fn forward;
    void *self;
    const char *name; /* in its parent; NULL for a root */
    oct_module *parent;
    oct_module **children;
    int32_t child_count;
    size_t child_cap;
    octi_slot slots[OCTI_MODULE_SLOTS];
    int slot_count;
    int active;                               /* number of oct_apply calls that are inside it now */
    bool applied;                             /* since oct_capture began */
    bool drawn;                               /* its own tensors have their first values */
    oct_attrs attr;                           /* of layers */
    const struct octi_functional *functional; /* a FloatFunctional that runs now (eager.c) */
    oct_var *state;                           /* of an LSTM cell that runs now (recurrent.c) */
    oct_named_tensor *list;                   /* what oct_module_tensors handed out */
    int32_t list_count;
};

/** A layer: a module whose self is itself. */
oct_module *octi_layer_new(oct_ctx *ctx, oct_forward_fn forward);
/** Give a layer a tensor; NULL (the layer is then unusable) on failure. */
oct_module *octi_layer_tensor(oct_module *m, const char *name, oct_tensor_role role, octi_init init,
                              int64_t fan_in, oct_shape shape);
/** The layer's tensor of that name as a variable under the current scope; NULL where the layer has
 *  none. */
oct_var *octi_layer_var(oct_module *m, oct_tape *t, const char *name);
/** Path of a module from its root ("layer1.0"), "" for a root, in `buf`. OCT_ELIMIT where it does
 *  not fit. */
oct_status octi_module_path(const oct_module *m, char *buf, size_t size);
/** First values for every tensor of the whole tree that has none yet. */
oct_status octi_module_draw(oct_module *any);

/** Capture: forget which modules below m were applied. */
void octi_modules_begin(oct_module *m);
/** Warn of the modules below m that were not applied since, and of those whose tensors are not in
 *  the net that was captured. */
void octi_modules_warn(const oct_module *m, const oct_net *net);

/** Draw a weight [O,...] or bias, keyed by (seed, path of the tensor). scheme NULL: the default of
 *  layers. */
oct_status octi_init_tensor(oct_ctx *ctx, const octi_slot *s, const char *path, oct_init scheme);
/** OCT_EUSAGE listing the known schemes. */
oct_status octi_init_check(oct_init scheme);

#endif
