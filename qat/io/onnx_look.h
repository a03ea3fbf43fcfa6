/* SPDX-License-Identifier: MIT
 * qat/io/onnx_look.h - what is in an ONNX file, for those who look before they import. */
#ifndef OCT_QAT_IO_ONNX_LOOK_H
#define OCT_QAT_IO_ONNX_LOOK_H

#include "src/arena.h"
#include "src/tensor.h"

typedef struct octi_onnx_sight {
    struct octi_onnx_seen {
        const char *name, *dtype;
        oct_shape shape; /* the first OCT_MAX_RANK sides */
    } * tensors;         /* initializers */
    int32_t tensor_count;
    /* "Conv 20, Gelu 2 (not taken)": ops in the order of their first nodes */
    const char *ops, *producer, *input, *output;
    int64_t opset;
} octi_onnx_sight;

/** Read a file's messages; what they hold lies in the arena. OCT_EFORMAT, OCT_EUNSUPPORTED,
 *  OCT_ELIMIT, OCT_ENOMEM as oct_import_onnx. */
oct_status octi_onnx_look(oct_ctx *ctx, octi_arena *a, const uint8_t *bytes, size_t size,
                          const char *where, octi_onnx_sight *s);

#endif
