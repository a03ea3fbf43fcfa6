/* SPDX-License-Identifier: MIT
 * qat/io/import.h - nets and weights of other programs: ONNX; .safetensors with PyTorch's names and
 * layouts (OIHW; columns behind a flatten in C,H,W order).
 *
 *     oct_net *net = oct_import_torch(ctx, "resnet8.safetensors", &(oct_import_opts){.model =
 *     "resnet8"});
 *
 * What is taken in stride: F16, BF16 and F64 (widened or rounded to f32), `num_batches_tracked`,
 * and "module." or
 * "_orig_mod." in front of all names (DistributedDataParallel, torch.compile). */
#ifndef OCT_QAT_IO_IMPORT_H
#define OCT_QAT_IO_IMPORT_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** model must be given; zero is the default of the rest. */
typedef struct oct_import_opts {
    const char *model; /* a name of the zoo */
    int height, width; /* of the input; 0: the model's own */
} oct_import_opts;
OCT_API void oct_import_opts_init(oct_import_opts *opts);

/** A zoo model with the weights of a file: a float net. Channels and classes come from the shapes
 *  of the first convolution and of the last linear layer. Classes have numbers and no names
 *  (oct_classes_unnamed); the input is pixels / 255: oct_net_set_classes and oct_net_set_input say
 *  otherwise. NULL on failure: OCT_EUSAGE (unknown model), OCT_EIO, OCT_EFORMAT: all names that are
 *  missing, extra, or of another shape, in one line, and weights that are not finite numbers. */
OCT_API OCT_NODISCARD oct_net *oct_import_torch(oct_ctx *ctx, const char *path,
                                                const oct_import_opts *opts);

/** Zero is the default. */
typedef struct oct_import_onnx_opts {
    int height, width; /* of the input, where the file leaves them open */
    bool as_floats;    /* QuantizeLinear and DequantizeLinear around values are left out */
} oct_import_onnx_opts;
OCT_API void oct_import_onnx_opts_init(oct_import_onnx_opts *opts);

/** The net of an ONNX file (opset 11 to 21; all in one file), as a float net that trains, is
 *  quantized and converted like any other: images NHWC, parameters under PyTorch's names where the
 *  file has them, batch norms as it has them. Constants that the file multiplies or adds go into
 *  the weights in front, or become batch norms that stay as they are. Ops: the table in
 *  qat/io/README.md. Classes have numbers and no names; the input is pixels / 255, where it has at
 *  most 4 channels. Of a file with QuantizeLinear and DequantizeLinear around values a prepared net
 *  (OCT_STAGE_PREPARED): its values stand on the file's scales and zero points, weights behind
 *  DequantizeLinear on theirs, nothing is to be observed, and oct_convert makes the int8 net that
 *  the file means. What the file leaves between floats stays float. With as_floats such a file
 *  comes in as a float net, weights as their codes have them, and a warning says so. opts may be
 *  NULL. NULL on failure:
 *  OCT_EIO, OCT_EFORMAT (no ONNX, or a broken one), OCT_EUNSUPPORTED (one line lists every node, op
 *  and attribute that is not taken), OCT_EUSAGE (height or width), OCT_ELIMIT, OCT_ENOMEM. */
OCT_API OCT_NODISCARD oct_net *oct_import_onnx(oct_ctx *ctx, const char *path,
                                               const oct_import_onnx_opts *opts);
/** The same of bytes that are borrowed for the call. */
OCT_API OCT_NODISCARD oct_net *oct_import_onnx_memory(oct_ctx *ctx, const void *bytes, size_t size,
                                                      const oct_import_onnx_opts *opts);

/** Copy a file's weights into a net of any stage, by name. *missing and *unused get the number of
 *  tensors that the file lacks, and that the net lacks; where a pointer is NULL, any is
 *  OCT_EFORMAT. Another shape always is: one line lists them all, and nothing was copied.
 *  OCT_EFORMAT too for a parameter that is not a finite number, OCT_EQPARAMS for a scale or zero
 *  point that no range gives (the net's values are then undefined). */
OCT_API OCT_NODISCARD oct_status oct_net_load_weights(oct_net *net, const char *path,
                                                      int32_t *missing, int32_t *unused);
/** A copy of a net's tensor or of a layer's value as PyTorch lays it out: weights O,I,H,W, images
 *  N,C,H,W; where `name` is the weight of a linear layer behind a flatten, columns in C,H,W order
 *  (NULL: no weight). float16 becomes float32. Owned by the caller; NULL on failure. */
OCT_API OCT_NODISCARD oct_tensor *oct_torch_layout(const oct_net *net, const char *name,
                                                   const oct_tensor *t);
/** The reverse: every registered tensor. */
OCT_API OCT_NODISCARD oct_status oct_net_save_weights(const oct_net *net, const char *path);

OCT_END_DECLS
#endif
