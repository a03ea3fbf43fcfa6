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

OCT_END_DECLS
#endif
