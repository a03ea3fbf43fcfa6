/* SPDX-License-Identifier: MIT
 * qat/passes/rewrite.h - how a pass makes a new net from an old one: node by node, values mapped
 * as they are made. */
#ifndef OCT_QAT_PASSES_REWRITE_H
#define OCT_QAT_PASSES_REWRITE_H

#include "src/net.h"

typedef struct octi_rewrite {
    const oct_net *from;
    oct_net *to;
    int32_t *map;  /* [from values]: value in `to`, -1 until made */
    int64_t bytes; /* of the constants made so far */
} octi_rewrite;

/** New net of `stage` with the old one's description. keep_tensors: it also gets copies of all
 *  tensors. */
oct_status octi_rewrite_begin(octi_rewrite *r, const oct_net *from, oct_stage stage,
                              bool keep_tensors);
/** The value of `to` that stands for v of `from`: the mapped one, or (inputs, parameters, buffers)
 *  made now. v -1 gives
 *  -1, which is fine; -2 on failure (recorded). */
int32_t octi_rewrite_value(octi_rewrite *r, int32_t v);
/** A constant of `to`: registered under `name`, data copied. NULL on failure. */
oct_tensor *octi_rewrite_tensor(octi_rewrite *r, const char *name, oct_dtype dtype, oct_shape shape,
                                const void *data);
/** The same as a value named "<node>.<suffix>"; -1 on failure. */
int32_t octi_rewrite_const(octi_rewrite *r, const char *node, const char *suffix, oct_dtype dtype,
                           oct_shape shape, const void *data);
/** A quantizer of `to` with its scale and zero point as constants "<owner>.scale",
 *  "<owner>.zero_point"; -1 on failure. */
int32_t octi_rewrite_qparams(octi_rewrite *r, const char *owner, oct_qspec spec, oct_shape shape,
                             const float *scale, const int32_t *zero_point);
/** Sets the output, verifies, frees the map. Returns the net; on failure (st, or broken) frees it
 *  and returns NULL. */
oct_net *octi_rewrite_end(octi_rewrite *r, oct_status st, int32_t output);

#endif
