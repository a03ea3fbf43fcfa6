/* SPDX-License-Identifier: MIT
 * src/tensor_own.h - tensors: what the library's own files have of it.
 * Comes with tensor.h where the library is built; never installed. */
#ifndef OCT_SRC_TENSOR_OWN_H
#define OCT_SRC_TENSOR_OWN_H

#include "tensor.h"

/** Check rank, each dimension (>= 0) and that count * element size fits; sizes may come from a
 *  file. */
oct_status octi_shape_bytes(const oct_shape *s, oct_dtype t, const char *where, size_t *bytes);
/** shape with dim[0] replaced where it is the symbolic batch. */
oct_shape octi_shape_with_batch(const oct_shape *s, int64_t n);
struct octi_arena;
/** A step-scoped tensor in an arena, not zeroed; NULL (recorded) on failure. Refcount calls ignore
 *  it. */
oct_tensor *octi_tensor_in_arena(struct octi_arena *a, oct_dtype dtype, oct_shape shape);
/** A step-scoped header around memory that lives at least as long. */
oct_tensor *octi_tensor_view(struct octi_arena *a, oct_dtype dtype, oct_shape shape, void *data);

#endif
