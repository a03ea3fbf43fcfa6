/* SPDX-License-Identifier: MIT
 * src/tensor.h - dense tensors. Images are NHWC, axis 0 is the batch; weights are [O,R,S,C] (design
 * 3). */
#ifndef OCT_SRC_TENSOR_H
#define OCT_SRC_TENSOR_H

#include "context.h"

#ifdef __cplusplus
#include <initializer_list>
#endif

OCT_BEGIN_DECLS

typedef enum oct_dtype {
#define OCT_DTYPE(name, bytes, word, st, npy) OCT_##name,
#include "dtype.def"
#undef OCT_DTYPE
    OCT_DTYPE_COUNT
} oct_dtype;

enum { OCT_MAX_RANK = 6 };

/** In a graph dim[0] may be OCT_BATCH: the symbolic batch size. */
enum { OCT_BATCH = -1 };

typedef struct oct_shape {
    int32_t rank;
    int64_t dim[OCT_MAX_RANK];
} oct_shape;

/** Shape literal: OCT_SHAPE(1, 28, 28, 3); C++ has no literals of structs. */
#ifdef __cplusplus
static inline oct_shape oct_shape_of(std::initializer_list<int64_t> dims) {
    oct_shape s = oct_shape();
    for (const int64_t dim : dims)
        if (s.rank < OCT_MAX_RANK) s.dim[s.rank++] = dim;
    return s;
}
#define OCT_SHAPE(...) (oct_shape_of({__VA_ARGS__}))
#else
#define OCT_SHAPE(...)                                                                             \
    ((oct_shape){(int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
#endif

/** A dense tensor. The fields may be read; data may be written; shape and dtype must not be
 *  changed. Long-lived tensors are reference counted; those that a tape or session hands out are
 *  borrowed and live until its next step (keep them with oct_tensor_copy). */
typedef struct oct_tensor {
    oct_dtype dtype;
    oct_shape shape;
    void *data;
    struct oct_storage *storage; /* NULL: borrowed memory */
    /* parameters: accumulated gradient, made by the first backward pass; else NULL */
    struct oct_tensor *grad;
} oct_tensor;

OCT_API size_t oct_dtype_size(oct_dtype t);
OCT_API const char *oct_dtype_name(oct_dtype t);

/** Number of elements; 1 for rank 0. Assumes a shape that was checked when its tensor was made. */
OCT_API int64_t oct_shape_count(const oct_shape *s);
OCT_API bool oct_shape_equal(const oct_shape *a, const oct_shape *b);
/** "[2, 28, 28, 1]" in one of the thread's eight rotating buffers; the symbolic batch prints as
 *  N. */
OCT_API const char *oct_shape_text(const oct_shape *s);

/** A zeroed tensor with one reference; NULL on failure (OCT_EUSAGE: rank or a dimension out of
 *  range; OCT_ENOMEM/ELIMIT). */
OCT_API OCT_NODISCARD oct_tensor *oct_tensor_new(oct_ctx *ctx, oct_dtype dtype, oct_shape shape);
/** The same around the caller's memory, which must outlive it. */
OCT_API OCT_NODISCARD oct_tensor *oct_tensor_borrow(oct_ctx *ctx, oct_dtype dtype, oct_shape shape,
                                                    void *data);
/** A new long-lived tensor with the same contents. */
OCT_API OCT_NODISCARD oct_tensor *oct_tensor_copy(oct_ctx *ctx, const oct_tensor *t);
/** One more reference to a long-lived tensor; returns t. */
OCT_API oct_tensor *oct_tensor_ref(oct_tensor *t);
/** Drop a reference; the last one frees. NULL is fine. */
OCT_API void oct_tensor_unref(oct_tensor *t);

static inline int64_t oct_tensor_count(const oct_tensor *t) { return oct_shape_count(&t->shape); }
static inline size_t oct_tensor_bytes(const oct_tensor *t) {
    return (size_t)oct_shape_count(&t->shape) * oct_dtype_size(t->dtype);
}
static inline float *oct_f32(const oct_tensor *t) { return (float *)t->data; }
static inline uint8_t *oct_u8(const oct_tensor *t) { return (uint8_t *)t->data; }
static inline int8_t *oct_s8(const oct_tensor *t) { return (int8_t *)t->data; }
static inline int32_t *oct_s32(const oct_tensor *t) { return (int32_t *)t->data; }
static inline int64_t *oct_s64(const oct_tensor *t) { return (int64_t *)t->data; }

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "tensor_own.h"
#endif

#endif
