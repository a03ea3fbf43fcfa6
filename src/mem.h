/* SPDX-License-Identifier: MIT
 * src/mem.h - the context's memory, for the library's own files. Room: src.
 * Every block is 64-byte aligned, counted, limited by max_bytes, and freed by oct_close if nobody
 * did before. */
#ifndef OCT_SRC_MEM_H
#define OCT_SRC_MEM_H

#include "context.h"

/** A block of so many bytes, its header included, begins on a page of that size. */
enum { OCTI_LARGE_PAGE = 2 << 20 };

/** Zeroed, 64-byte aligned memory of the context; NULL (recorded: ENOMEM or ELIMIT) on failure.
 *  bytes may be 0. */
void *octi_alloc(oct_ctx *ctx, size_t bytes);
/** The same, not zeroed: for buffers that are written whole. */
void *octi_alloc_raw(oct_ctx *ctx, size_t bytes);
/** n elements of size each, overflow-checked. */
void *octi_calloc(oct_ctx *ctx, size_t n, size_t size);
/** Grow or shrink; the old block stays valid on failure. p may be NULL. New bytes are zeroed. */
void *octi_realloc(oct_ctx *ctx, void *p, size_t bytes);
/** NULL is fine. */
void octi_free(oct_ctx *ctx, void *p);
char *octi_strdup(oct_ctx *ctx, const char *s);
/** printf into new memory of the context. */
char *octi_asprintf(oct_ctx *ctx, const char *format, ...) OCT_PRINTF(2, 3);

/** Grow a dynamic array so that it holds `need` elements: *items, *capacity are updated. */
oct_status octi_reserve(oct_ctx *ctx, void **items, size_t *capacity, size_t need,
                        size_t item_bytes);

/** a * b and a + b of sizes that may come from a file: false on overflow. The only way such sizes
 *  are computed. */
static inline bool octi_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool octi_add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/** Call `destroy(object)` when the context closes, newest first; forget it with
 *  octi_on_close_cancel. */
oct_status octi_on_close(oct_ctx *ctx, void (*destroy)(void *object), void *object);
void octi_on_close_cancel(oct_ctx *ctx, void *object);

/** Most bytes that one value declared by a file may take: the context's max_bytes, or 1 GiB where
 *  it has none. */
size_t octi_ctx_declared_limit(const oct_ctx *ctx);

/** Keep the context's first failure: constructors that return NULL call this with the recorded
 *  status. */
void octi_ctx_failed(oct_ctx *ctx);
void octi_log(oct_ctx *ctx, oct_log_level level, const char *format, ...) OCT_PRINTF(3, 4);
/** Tell the caller how far `what` is; OCT_ESTOPPED where it asks to stop. */
oct_status octi_progress(oct_ctx *ctx, const char *what, int64_t done, int64_t total);

/** Float GEMM that a higher room installs (BLAS): row-major C[m,n] = alpha*op(A)*op(B) + beta*C.
 *  Must be callable from several threads at once and give the same bits whatever thread calls
 *  it. */
typedef void (*octi_sgemm_fn)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                              const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                              float *c, int64_t ldc);
void octi_ctx_set_sgemm(oct_ctx *ctx, octi_sgemm_fn fn);
/** NULL where none was installed. */
octi_sgemm_fn octi_ctx_sgemm(const oct_ctx *ctx);
/** Who installs it when the first product comes that is large enough (octi_sgemm_ready); NULL:
 *  nobody. */
typedef oct_status (*octi_sgemm_install_fn)(oct_ctx *ctx);
void octi_ctx_set_sgemm_install(oct_ctx *ctx, octi_sgemm_install_fn fn);
octi_sgemm_install_fn octi_ctx_sgemm_install(const oct_ctx *ctx);

/** The user's own observers, kept here for the room that knows them (qat/scales/observers.c);
 *  memory of the context. */
void octi_ctx_set_observers(oct_ctx *ctx, void *list);
void *octi_ctx_observers(const oct_ctx *ctx);

/** What the machine has for this context: fixed by oct_open. */
uint32_t octi_ctx_features(const oct_ctx *ctx);
/** For tests and benchmarks: integer convolutions take this candidate (ops/qconv.def) wherever it
 *  fits; NULL: the cheapest. The string is borrowed. */
void octi_ctx_only(oct_ctx *ctx, const char *candidate);
const char *octi_ctx_only_candidate(const oct_ctx *ctx);
/** The kernels that this context runs (ops/kernels/kernels.h), chosen by oct_open. */
const struct octk_table *octi_ctx_kernels(const oct_ctx *ctx);

struct octi_threads;
struct octi_threads *octi_ctx_pool(const oct_ctx *ctx);

struct octi_cut;
/** The cut of a batch that is in force while a tape's nodes run (src/cut.h: octi_cut_of asks it);
 *  borrowed, NULL: none. Setting gives what was in force before. */
const struct octi_cut *octi_ctx_set_cut(oct_ctx *ctx, const struct octi_cut *cut);
const struct octi_cut *octi_ctx_cut(const oct_ctx *ctx);

struct octi_arena;
/** The context's scratch arena, made on first use; NULL (recorded) on failure. An op saves a mark
 *  and rewinds to it before it returns, and takes what its parallel loops need before they start:
 *  inside a loop nobody may take more. */
struct octi_arena *octi_ctx_scratch(oct_ctx *ctx);

#endif
