/* SPDX-License-Identifier: MIT
 * src/context.h - a context: allocator, seed, threads, log. Everything is made in one; closing it
 * frees all of it. */
#ifndef OCT_SRC_CONTEXT_H
#define OCT_SRC_CONTEXT_H

#include "api.h"
#include "status.h"

OCT_BEGIN_DECLS

typedef struct oct_ctx oct_ctx;

typedef enum oct_log_level {
    OCT_LOG_ERROR,
    OCT_LOG_WARN,
    OCT_LOG_INFO,
    OCT_LOG_DEBUG
} oct_log_level;
typedef void (*oct_log_fn)(void *user, oct_log_level level, const char *line);

/** How far a long call is that has no callback of its own (oct_calibrate: "calibrate", images;
 *  oct_evaluate: "evaluate", images; oct_adaround: "adaround", nodes; oct_data_check: "check",
 *  samples; oct_doctor: "doctor", causes): from 0 to total, in the caller's thread. Non-zero stops:
 *  the call returns OCT_ESTOPPED. */
typedef int (*oct_progress_fn)(void *user, const char *what, int64_t done, int64_t total);

/** The caller's allocator; both functions may be called from several threads. alloc returns memory
 *  aligned to 64 bytes or NULL; free gets the size that alloc was asked for. */
typedef struct oct_allocator {
    void *(*alloc)(void *user, size_t bytes);
    void (*free)(void *user, void *p, size_t bytes);
    void *user;
} oct_allocator;

typedef struct oct_opts {
    uint64_t seed;  /* 0: the fixed default, 1 */
    int threads;    /* 0: one per available core; 1: serial */
    oct_log_fn log; /* NULL: silent; oct_ctx_warning keeps warnings either way */
    void *log_user;
    oct_allocator alloc; /* zero: aligned C heap */
    /* 0: no limit; beyond it allocations fail with OCT_ELIMIT. It also bounds what an int8 file may
     * declare for the activations of one image; 0: 1 GiB there */
    size_t max_bytes;
    oct_progress_fn progress; /* NULL: none */
    void *progress_user;
    /* let int8 nets use AMX's tiles where the CPU has them. Opening then asks the system for them,
     * which changes the whole process for good: signals need some 11 KiB of stack, sigaltstack
     * refuses less. Refused, the context runs without (oct_ctx_no_amx). Tiles are configured and
     * released inside each layer; those of the caller's own program are kept */
    bool amx;
} oct_opts;
OCT_API void oct_opts_init(oct_opts *opts);

/** Make a context. opts may be NULL (all defaults). NULL on failure (see oct_last_error):
 *  OCT_EUSAGE for bad options or a bad OCT_CPU; OCT_ENOMEM. Whatever rounding mode the caller has,
 *  or sets later: each function computes to nearest, subnormals kept, and gives the caller's mode
 *  back. A context may be used by one thread at a time. */
OCT_API OCT_NODISCARD oct_ctx *oct_open(const oct_opts *opts);
/** Free the context and everything that was made in it. NULL is fine. */
OCT_API void oct_close(oct_ctx *ctx);

/** OCT_OK, or the first failure of a constructor in this context since it was opened or cleared:
 *  expressions may nest and be checked once at the end. */
OCT_API oct_status oct_ctx_status(const oct_ctx *ctx);
/** Forget that failure, the warnings, and the thread's error record: what was made before stays
 *  good. A loop over jobs in one context calls it before each; a tape forgets its own in
 *  oct_tape_begin. */
OCT_API void oct_ctx_clear(oct_ctx *ctx);
/** Warning i, from 0 on, since the context was opened or cleared: what a call that succeeded wants
 *  to be known (a module that no forward function applies, a set without a test part, ...), log or
 *  no log. The first 16 are kept, 255 bytes of each; NULL behind the last. Borrowed until
 *  oct_ctx_clear:
 *      for (int i = 0; oct_ctx_warning(ctx, i); i++) puts(oct_ctx_warning(ctx, i)); */
OCT_API const char *oct_ctx_warning(const oct_ctx *ctx, int i);
/** How many there were, kept or not. */
OCT_API int64_t oct_ctx_warning_count(const oct_ctx *ctx);
OCT_API uint64_t oct_ctx_seed(const oct_ctx *ctx);
OCT_API int oct_ctx_threads(const oct_ctx *ctx);
/** Name of the instruction set that this context's kernels use: "ref", "avx2", ... Chosen by
 *  oct_open from what the machine has, capped by OCT_CPU, and fixed from then on; never more than a
 *  kernel really needs. */
OCT_API const char *oct_ctx_isa(const oct_ctx *ctx);
/** Why this context does not use AMX, in words ("nobody asked for it (oct_opts.amx)", what the
 *  system said, ...); NULL where it does. */
OCT_API const char *oct_ctx_no_amx(const oct_ctx *ctx);

/** What a context counts of its memory. */
typedef enum oct_memory {
    OCT_MEMORY_BYTES,      /* held now */
    OCT_MEMORY_PEAK_BYTES, /* most ever held */
    OCT_MEMORY_ALLOCS,     /* number of allocations since oct_open */
    OCT_MEMORY_COUNT
} oct_memory;
/** 0 for NULL, and for what is none of these. */
OCT_API uint64_t oct_ctx_memory(const oct_ctx *ctx, oct_memory what);

OCT_END_DECLS
#endif
