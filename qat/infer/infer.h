/* SPDX-License-Identifier: MIT
 * qat/infer/infer.h - the int8 model: load, save, plan, run. All that deployment needs; no
 * autograd, no BLAS.
 *
 *     oct_net *net = oct_int8_load(ctx, "model.oct8");    // G3, checked whole
 *     oct_plan *plan = oct_plan_new(net, NULL);           // immutable, shared by threads
 *     oct_session *s = oct_session_new(plan, 1, NULL, 0); // one block, one user at a time
 *     oct_session_classify_u8(s, pixels, 1, &index);      // or oct_session_run for logits
 *
 * NULL in gives NULL out, so the calls nest and are checked once. Codes are bit-equal for every
 * instruction set, number of threads, batch and cut of the batch; float layers between quantized
 * ones are computed image by image in one order. */
#ifndef OCT_QAT_INFER_INFER_H
#define OCT_QAT_INFER_INFER_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/* ---- the file: G3 in sections with CRCs ---- */

/** Load an int8 file. Everything is checked before use: magic, version, length and CRC of every
 * section, each index per operand, shapes and attributes, scales, zero points, clamps, tables, and
 * per channel that no accumulator can overflow. Allocates no more than the bytes that are there
 * call for. NULL on failure: OCT_EIO, OCT_EFORMAT, OCT_ESHAPE, OCT_EQPARAMS, OCT_ELIMIT (names node
 * and channel), OCT_ENOMEM. Free with oct_net_free. */
OCT_API OCT_NODISCARD oct_net *oct_int8_load(oct_ctx *ctx, const char *path);
/** The same from memory (borrowed for the call); `where` names it in errors. */
OCT_API OCT_NODISCARD oct_net *oct_int8_load_memory(oct_ctx *ctx, const void *bytes, size_t size,
                                                    const char *where);
/** Write a G3 net, atomically. The same net gives the same bytes; save, load, save gives equal
 * files. The net is checked as on loading first. OCT_EUSAGE for a net of another stage, OCT_EIO. */
OCT_API OCT_NODISCARD oct_status oct_int8_save(const oct_net *net, const char *path);
/** The same into new memory of the net's context; free with oct_int8_bytes_free. */
OCT_API OCT_NODISCARD oct_status oct_int8_save_memory(const oct_net *net, uint8_t **bytes,
                                                      size_t *size);
OCT_API void oct_int8_bytes_free(oct_ctx *ctx, uint8_t *bytes);

/* ---- the plan ---- */

typedef struct oct_plan_opts {
    /* every node runs alone and every value keeps its own memory: oct_session_value works (--layer,
     * verify) */
    bool unfused;
    bool profile; /* sessions count the time of each node */
} oct_plan_opts;
OCT_API void oct_plan_opts_init(oct_plan_opts *opts);

typedef struct oct_plan oct_plan;

/** Make a plan: check the net, pack weights, place values. Holds references to what its
 * steps read, not to the weights that it packed: free the net where memory is short. opts may be
 * NULL. NULL on failure (as oct_int8_load; OCT_EUNSUPPORTED names a node that no int8 module
 * runs). */
OCT_API OCT_NODISCARD oct_plan *oct_plan_new(const oct_net *net, const oct_plan_opts *opts);
/** Sessions must be gone. NULL is fine. */
OCT_API void oct_plan_free(oct_plan *plan);
/** The table: one line per step and per value (offset, bytes, first and last step, alias), into
 *  `line`. */
OCT_API void oct_plan_print(const oct_plan *plan, void (*line)(void *user, const char *text),
                            void *user);
/** Shapes with a symbolic batch. The input is f32 [N,H,W,C] (or what the net takes), the output
 *  f32. */
OCT_API oct_shape oct_plan_input_shape(const oct_plan *plan);
OCT_API oct_shape oct_plan_output_shape(const oct_plan *plan);
/** Whether sessions take pixels: the net holds their table, or describes its input (law 13). */
OCT_API bool oct_plan_takes_u8(const oct_plan *plan);
/** Bytes that activations of one image take: planned, and the sum without reuse. */
OCT_API size_t oct_plan_activation_bytes(const oct_plan *plan, size_t *without_reuse);

/* ---- sessions ---- */

typedef struct oct_session oct_session;

/** Size of the one block of a session for up to `batch` images per run; 0 on failure (OCT_EUSAGE,
 * OCT_ELIMIT). It depends on the context's number of threads. */
OCT_API size_t oct_plan_session_bytes(const oct_plan *plan, int64_t batch);
/** Make a session. block: NULL to have it allocated (bytes is ignored), or `bytes` bytes of the
 * caller's, aligned to 64, at least oct_plan_session_bytes(), until the session is freed. The plan
 * must outlive it. OCT_EUSAGE for a block that is too small or not aligned. */
OCT_API OCT_NODISCARD oct_session *oct_session_new(const oct_plan *plan, int64_t batch, void *block,
                                                   size_t bytes);
OCT_API void oct_session_free(oct_session *session);

/** y[n, outputs] f32 from x f32 [n,H,W,C], both dense, n <= batch. Never allocates. Images are
 * split over the context's threads where they are free, else the run is serial: the same bits.
 * OCT_EUSAGE for n out of range. */
OCT_API OCT_NODISCARD oct_status oct_session_run(oct_session *session, const float *x, int64_t n,
                                                 float *y);
/** The same from pixels u8 [n,H,W,C] through the stored table. OCT_EUNSUPPORTED where
 * oct_plan_takes_u8 is false. */
OCT_API OCT_NODISCARD oct_status oct_session_run_u8(oct_session *session, const uint8_t *pixels,
                                                    int64_t n, float *y);
/** index[n]: the largest output of each image, the lowest index among equals. The output must be
 *  [N,K]. */
OCT_API OCT_NODISCARD oct_status oct_session_classify(oct_session *session, const float *x,
                                                      int64_t n, int32_t *index);
OCT_API OCT_NODISCARD oct_status oct_session_classify_u8(oct_session *session,
                                                         const uint8_t *pixels, int64_t n,
                                                         int32_t *index);

/** What a node made in the last run: u8 codes, or f32 for float nodes. *value is filled with a
 * borrowed tensor [n, ...] that the next run overwrites. Unfused plans only. OCT_EUSAGE for another
 * plan, an unknown name, or before the first run. */
OCT_API OCT_NODISCARD oct_status oct_session_value(const oct_session *session, const char *node,
                                                   oct_tensor *value);

/** Time of step `i` (of oct_plan_steps) over all runs so far, summed over threads; false past the
 *  end or where the plan does not profile. A step of a fused plan may hold several nodes: a
 *  convolution and the 2x2 max pool or the element-wise ops, such as a residual add, behind it. */
typedef struct oct_step_time {
    const char *node, *kind;
    uint64_t ns;
    uint64_t images;
    /* a row of ops/kernels/kernels.def, "copy", or "float" for a layer kept float */
    const char *kernel;
    /* why: the candidates of a convolution or linear layer and what each would cost by its own
     * model, the chosen one first; "" where there is no choice. The plan's */
    const char *why;
    /* the other nodes whose time is in it, NULL behind the last; NULL: none. The plan's */
    const char *const *also;
} oct_step_time;
OCT_API bool oct_session_step_time(const oct_session *session, int32_t i, oct_step_time *t);
OCT_API int32_t oct_plan_steps(const oct_plan *plan);

OCT_END_DECLS
#endif
