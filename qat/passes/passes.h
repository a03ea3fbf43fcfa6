/* SPDX-License-Identifier: MIT
 * qat/passes/passes.h - from a float net to a prepared one, or to one of small weights. Each pass
 * returns a new net; convert is in qat/qat.h, since it judges what it made. */
#ifndef OCT_QAT_PASSES_PASSES_H
#define OCT_QAT_PASSES_PASSES_H

#include "../../src/net.h"
#include "../rules/qconfig.h"

OCT_BEGIN_DECLS

/** Fold patterns into one node each: conv+bn, conv+bn+relu, conv+relu, the same with linear,
 *  bn+relu, add+relu; relu6 as relu. A new net (G1) with tensors of
 *  its own; a fused node keeps its first module's name. */
OCT_API OCT_NODISCARD oct_net *oct_fuse(const oct_net *net);
/** Fuse these chains alone, as PyTorch's fuse_modules: each list is module names in order,
 *  "conv1,bn1,relu1" (a function's node has its name in the graph: "relu"). OCT_EUSAGE names the
 *  first module that cannot follow the one before it. The result is a fused net (G1): oct_prepare
 *  leaves it as it is. A float net needs no list: oct_prepare fuses all that can be. */
OCT_API OCT_NODISCARD oct_net *oct_fuse_modules(const oct_net *net, const char *const *lists,
                                                int32_t count);
/** Fuse if need be, place quantize/dequantize at float borders, give every value its quantizer. A
 *  new net (G2). OCT_EUSAGE for an unknown target or observer or bits out of range. */
OCT_API OCT_NODISCARD oct_net *oct_prepare(const oct_net *net, const oct_qconfig *qconfig);

/** A float net made to run: fused, batch norm folded into the weights, every parameter a constant
 *  of its own. A plan runs it (oct_runner_new does so for the net itself where opts.fixed is set);
 *  it is saved and loaded like an int8 net. Values differ from the net's by rounding. */
OCT_API OCT_NODISCARD oct_net *oct_fold(const oct_net *net);

/* ---- small weights without calibration ---- */

typedef struct oct_weight_opts {
    int bits;        /* 0: 8; 2 to 8 */
    bool per_tensor; /* one scale for a layer; default: one per output channel */
} oct_weight_opts;
OCT_API void oct_weight_opts_init(oct_weight_opts *opts);
/** Dynamic quantization: linear and LSTM layers hold s8 weights and make codes of their input (of
 *  an LSTM, of x_t and h_t at each step) row by row as they run
 *  (octq_dynamic), so that a batch's make-up changes no result; all else stays float. From a float
 *  or fused net; the result is run, saved and loaded like an int8 net. opts may be NULL. NULL on
 *  failure. */
OCT_API OCT_NODISCARD oct_net *oct_quantize_dynamic(const oct_net *net,
                                                    const oct_weight_opts *opts);
/** Weight-only: convolutions, linear and LSTM layers hold s8 weights (batch norm folded), computing
 *  in floats s_w * code. */
OCT_API OCT_NODISCARD oct_net *oct_quantize_weight_only(const oct_net *net,
                                                        const oct_weight_opts *opts);
/** Half precision: every parameter and buffer is stored as float16 (half to even), computing in
 *  float. OCT_EQPARAMS naming an element beyond 65504. */
OCT_API OCT_NODISCARD oct_net *oct_half(const oct_net *net);

OCT_END_DECLS
#endif
