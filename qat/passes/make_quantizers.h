/* SPDX-License-Identifier: MIT
 * qat/passes/make_quantizers.h - the last step of prepare: quantizers, one per class of values
 * that share a grid, one per weight. */
#ifndef OCT_QAT_PASSES_MAKE_QUANTIZERS_H
#define OCT_QAT_PASSES_MAKE_QUANTIZERS_H

#include "qat/net/prepared.h"
#include "qat/rules/qconfig_rules.h"

/** What the pass found: values in classes, and what decides for each. */
typedef struct octi_value_classes {
    oct_net *net;
    /* [values]: union-find over quantized values, the oldest leads; -1: a float value */
    int32_t *parent;
    /* [values]: grid that a value with codes or a weight came with, an index of `given`; -1 */
    const int32_t *mark;
    const oct_quantizer *given;
    int32_t values;
    const octi_target *target;
    const oct_qconfig *config;
    const octi_qrules *rules;
} octi_value_classes;

/** The value that leads v's class. */
static inline int32_t octi_class_of(int32_t *parent, int32_t v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
}

oct_status octi_make_quantizers(const octi_value_classes *p);

#endif
