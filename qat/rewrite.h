/* SPDX-License-Identifier: MIT
 * qat/rewrite.h - how a pass makes a new net from an old one: node by node, values mapped as they are made. */
#ifndef OCT_QAT_REWRITE_H
#define OCT_QAT_REWRITE_H

#include "src/net.h"

typedef struct octi_rewrite {
    const oct_net *from;
    oct_net *to;
    int32_t *map; /* [from values]: value in `to`, -1 until made */
} octi_rewrite;

/** New net of `stage` with the old one's description. keep_tensors: it also gets copies of all tensors. */
oct_status octi_rewrite_begin(octi_rewrite *r, const oct_net *from, oct_stage stage, bool keep_tensors);
/** The value of `to` that stands for v of `from`: the mapped one, or (inputs, parameters, buffers) made now. v -1 gives
 *  -1, which is fine; -2 on failure (recorded). */
int32_t octi_rewrite_value(octi_rewrite *r, int32_t v);
/** Sets the output, verifies, frees the map. Returns the net; on failure (st, or broken) frees it and returns NULL. */
oct_net *octi_rewrite_end(octi_rewrite *r, oct_status st, int32_t output);

#endif
