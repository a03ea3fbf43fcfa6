/* SPDX-License-Identifier: MIT
 * qat/rules/placements.h - what became of each node of a prepared net, and why. */
#ifndef OCT_QAT_RULES_PLACEMENTS_H
#define OCT_QAT_RULES_PLACEMENTS_H

#include "../../src/net.h"
#include "qconfig.h"

OCT_BEGIN_DECLS

/** What became of each node: reported by commands. Borrowed strings. */
typedef struct oct_placement {
    const char *name;
    const char *kind;
    bool int8;
    const char *reason;          /* why it stays float; "" for int8 */
    int32_t abits, wbits;        /* of its values and of its weights; 0: none */
    oct_granularity granularity; /* of weight scales; 0: none */
    const char *observer;        /* of its values; "" for float, and in int8 nets */
    /* the value that gives its values scale and zero point: itself, or the first that shares
     * them */
    const char *grid;
    oct_weight_observer weight_observer; /* 0: no weights, and in int8 nets */
    /* what rules of the qconfig decided: "wbits=4 by pattern layer1.*; abits=4 by global"; "" : the
     * target alone */
    const char *rule;
    oct_float_reason why; /* what `reason` says in words */
} oct_placement;
/** One row per node of a prepared or int8 net; free with oct_placements_free. */
OCT_API OCT_NODISCARD oct_status oct_net_placements(const oct_net *net, oct_placement **rows,
                                                    int32_t *count);
OCT_API void oct_placements_free(oct_net *net, oct_placement *rows);

OCT_END_DECLS
#endif
