/* SPDX-License-Identifier: MIT
 * qat/io/export.h - what leaves octet for other programs. Names and layouts are PyTorch's: weights
 * O,I,H,W, columns behind a flatten in C,H,W order, images N,C,H,W. The same net gives the same
 * bytes; a file appears whole or not at all. */
#ifndef OCT_QAT_IO_EXPORT_H
#define OCT_QAT_IO_EXPORT_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** Weights as PyTorch's loaders take them (safetensors.torch.load_file): of a float, fused or
 *  prepared net its parameters and batch-norm statistics, a state_dict; of an int8 net codes
 *  ("conv1.weight" I8, "conv1.bias" I32), scales and zero points ("conv1.weight.scale",
 *  "conv1.scale"), multipliers and tables. Data begins at a multiple of 64 bytes, and each tensor
 *  at a multiple of its element's size. OCT_EIO; OCT_EDIVERGED for what is not finite. */
OCT_API OCT_NODISCARD oct_status oct_export_safetensors(const oct_net *net, const char *path);
/** The same tensors, each an array of an .npz. */
OCT_API OCT_NODISCARD oct_status oct_export_npz(const oct_net *net, const char *path);

/** Zero is the default of each. */
typedef struct oct_onnx_opts {
    /* int8 nets: layers of weights between DequantizeLinear and QuantizeLinear by their scales, as
     * runtimes expect them that fuse integer kernels: these round, and some saturate, by rules of
     * their own. false: by the stored multipliers, in whole numbers that fp32 holds: octet's codes
     * from any runtime (docs/onnx.md) */
    bool integer_kernels;
} oct_onnx_opts;
OCT_API void oct_onnx_opts_init(oct_onnx_opts *opts);

/** An ONNX model (opset 13) of a float, fused or int8 net: N,C,H,W in and out, the batch symbolic,
 *  values and nodes named as layers are, every value with its shape, the description of the input
 *  and the classes in metadata_props ("octet", as in an int8 file). opts may be NULL. Codes are u8
 *  under their layer's name. OCT_EUNSUPPORTED names every layer that ONNX cannot hold, and why;
 *  OCT_EUSAGE for a prepared net: convert it first. OCT_EIO, OCT_ELIMIT at 2 GiB. */
OCT_API OCT_NODISCARD oct_status oct_export_onnx(const oct_net *net, const char *path,
                                                 const oct_onnx_opts *opts);
/** The same into new memory of the net's context; free with oct_export_free. */
OCT_API OCT_NODISCARD oct_status oct_export_onnx_memory(const oct_net *net,
                                                        const oct_onnx_opts *opts, uint8_t **bytes,
                                                        size_t *size);
OCT_API void oct_export_free(oct_ctx *ctx, uint8_t *bytes);
/** Whether a node's value is an image in a row whose elements stand in C,H,W order in the ONNX
 *  file, where octet has them in H,W,C order; hwc gets the image's H, W, C. */
OCT_API bool oct_export_order(const oct_net *net, const char *node, int64_t hwc[3]);

/* ---- an ONNX file as it is ---- */

/** What stands in a file, whoever wrote it; the fields may be read. */
typedef struct oct_onnx_file {
    oct_ctx *ctx;
    const char *input, *output; /* of the graph: its first ones that are no constants */
    oct_shape shape;            /* of the input as it lies in the file; open dimensions OCT_BATCH */
    const char **values;        /* what its nodes make, in their order; NULL at the end */
    int32_t value_count;
    oct_input_desc desc; /* how pixels become its input, where octet wrote it; channels 0: unsaid */
    bool by_multipliers; /* octet wrote it with the law's own multipliers (oct_onnx_opts) */
    const uint8_t *bytes;
    size_t size;
    void *own; /* the library's */
} oct_onnx_file;

/** Read a file. NULL on failure: OCT_EIO, OCT_EFORMAT, OCT_EUNSUPPORTED (tensors in other files).
 *  Free with oct_onnx_close. */
OCT_API OCT_NODISCARD oct_onnx_file *oct_onnx_open(oct_ctx *ctx, const char *path);
OCT_API void oct_onnx_close(oct_onnx_file *file);
/** Write the same model with some of its values, by index, as outputs behind its own; those that
 *  are outputs already stay single. */
OCT_API OCT_NODISCARD oct_status oct_onnx_expose(const oct_onnx_file *file, const int32_t *values,
                                                 int32_t count, const char *path);

OCT_END_DECLS
#endif
