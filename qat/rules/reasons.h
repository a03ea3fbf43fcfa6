/* SPDX-License-Identifier: MIT
 * qat/rules/reasons.h - who becomes int8, and why not: the one function that decides. */
#ifndef OCT_QAT_RULES_REASONS_H
#define OCT_QAT_RULES_REASONS_H

#include "qat/rules/qconfig_rules.h"
#include "src/qround.h"

/** What prepare knows of a graph when it comes to a node: the nodes before it are decided. */
typedef struct octi_deciding {
    const oct_graph *g;
    const octi_qrules *rules;
    octq_law law;         /* of the target */
    const bool *int8;     /* [nodes] */
    const int32_t *given; /* [values]: grid that came with the net, -1; NULL: it has none */
    const bool *between;  /* [values]: between QuantStub and DeQuantStub; NULL: the net has none */
} octi_deciding;

/** OCT_FLOAT_none: node i becomes int8. */
oct_float_reason octi_float_reason_of(const octi_deciding *d, int32_t i);
/** The reason that a node keeps, in words; rotating buffer. */
const char *octi_float_reason_text(const oct_node *n);

#endif
