/* SPDX-License-Identifier: MIT
 * src/net_own.h - the model: what the library's own files have of it.
 * Comes with net.h where the library is built; never installed. */
#ifndef OCT_SRC_NET_OWN_H
#define OCT_SRC_NET_OWN_H

#include "name_index.h"
#include "net.h"

struct oct_net {
    oct_ctx *ctx;
    oct_stage stage;
    oct_graph *graph;
    oct_named_tensor *tensors; /* the registry: all that training moves */
    int32_t tensor_count;
    size_t tensor_cap;
    octi_name_index by_name; /* of the registry: octi_net_reindex where its order changes */
    oct_input_desc input;
    oct_class *classes;
    int32_t class_count;
    const char *model;  /* zoo name, or "custom" */
    const char *target; /* preset of the quantization, "" for float nets */
    /* rules that it was prepared by, as JSON (qat/rules/qconfig.h); "" where none set anything */
    const char *qconfig;
    /* f32 [n, ...]: inputs that oct_convert compares simulation and plan on; NULL: none yet */
    oct_tensor *probe;
    /* how a prepared net's nodes run (autograd/tape.h); NULL: as float ops */
    const struct octi_node_hooks *hooks;
    /* of a fused or prepared net: octi_net_crc of the float net that it was made of; 0: not
     * known */
    uint32_t made_from;
};

enum { OCTI_PROBE_IMAGES = 64 };
oct_net *octi_net_new(oct_ctx *ctx, oct_stage stage);
/** Append images of x to the probe as long as it is not full; x must fit the net. */
oct_status octi_net_keep_probe(oct_net *net, const oct_tensor *x);
bool octi_net_probe_full(const oct_net *net);
/** Register a tensor under a name (copied, one reference taken). OCT_EINTERNAL where the name is
 *  taken. */
oct_status octi_net_register(oct_net *net, const char *name, oct_tensor_role role,
                             oct_tensor *tensor);
/** Take a tensor out again (its reference is dropped); nothing where it is not there. */
void octi_net_unregister(oct_net *net, const oct_tensor *tensor);
/** The registry's order or names were changed: tensors are found by name again. */
void octi_net_reindex(oct_net *net);
/** Judge a net that may come from anywhere against what its stage may hold (the table of
 *  src/stage.c): structure, kinds, roles, dtypes, quantizers, hooks. OCT_EFORMAT names the node or
 *  value. Whoever loads or plans a net calls it before the graph is walked by rules that take it
 *  for granted. */
oct_status octi_net_judge(const oct_net *net);
/** Register copies of all tensors of `from`. */
oct_status octi_net_copy_tensors(oct_net *to, const oct_net *from);
/** The tensor that `to` has under the name of v's in `from`; NULL where there is none. */
oct_tensor *octi_net_twin(const oct_net *to, const oct_net *from, const oct_value *v);
/** What may be saved and loaded: every float is finite, but for the ranges of quantizers that have
 *  seen nothing, and what an observer of the user's own holds as infinity. Else `code`, naming
 *  (behind `where`, NULL: nothing) the first tensor and element. */
oct_status octi_tensors_finite(const oct_named_tensor *t, int32_t n, const char *where,
                               oct_status code, const char *hint);
/** CRC-32 of the names and bytes of its tensors: whether a net still is what it was. */
uint32_t octi_net_crc(const oct_net *net);
/** div 1, mean 0, std 1: numbers as they are. */
bool octi_input_is_raw(const oct_input_desc *in);
/** Copy input description, classes, model and target from another net. */
oct_status octi_net_copy_meta(oct_net *net, const oct_net *from);

#endif
