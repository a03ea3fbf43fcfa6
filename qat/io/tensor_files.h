/* SPDX-License-Identifier: MIT
 * qat/io/tensor_files.h - named tensors to and from .safetensors, in PyTorch's layout. */
#ifndef OCT_QAT_IO_TENSOR_FILES_H
#define OCT_QAT_IO_TENSOR_FILES_H

#include "src/format/safetensors.h"
#include "src/net.h"

/** Tensors to be written: names are copied, data is converted into memory of the context. */
typedef struct octi_tensor_list {
    oct_ctx *ctx;
    octi_safetensors_entry *entries;
    int32_t count;
    size_t cap;
} octi_tensor_list;

/** Append tensors as "<prefix><name>". Layouts follow the parameter of `net` that the name begins
 *  with, so the moments of
 *  "fc1.weight" are laid out like it. OCT_EDIVERGED for what is not finite. */
oct_status octi_tensor_list_add(octi_tensor_list *l, const oct_net *net, const char *prefix,
                                const oct_named_tensor *t, int32_t n);
/** Append one number. */
oct_status octi_tensor_list_number(octi_tensor_list *l, const char *prefix, const char *name,
                                   oct_dtype dtype, const void *value);
void octi_tensor_list_free(octi_tensor_list *l);

/** Copy "<prefix><name>" into each tensor; absent ones are OCT_EFORMAT, or counted where missing is
 *  not NULL. What is not finite is OCT_EFORMAT. */
oct_status octi_tensors_read(const octi_safetensors *file, const oct_net *net, const char *prefix,
                             const oct_named_tensor *t, int32_t n, const char *where,
                             int32_t *missing);
/** One number; OCT_EFORMAT where absent or of another type. */
oct_status octi_number_read(const octi_safetensors *file, const char *prefix, const char *name,
                            oct_dtype dtype, const char *where, void *value);

#endif
