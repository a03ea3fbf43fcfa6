/* SPDX-License-Identifier: MIT
 * qat/qat.h - from a float net to an int8 net: fuse, prepare, observe, simulate, convert, compare.
 *
 *     oct_net *q = oct_prepare(net, &(oct_qconfig){.target = "octet"});   // new net; the float one
 *     stays as it was
 *     ... run it in OCT_CALIBRATE or OCT_TRAIN mode (oct_net_forward) ...
 *     oct_net *i8 = oct_convert(q, NULL);                                 // G3: oct_int8_save,
 *     oct_plan_new */
#ifndef OCT_QAT_QAT_H
#define OCT_QAT_QAT_H

#include "../autograd/autograd.h"
#include "observer.h"
#include "qconfig.h"

OCT_BEGIN_DECLS

/** What to quantize to. Zero is the default everywhere. */
typedef struct oct_qconfig {
    const char *target; /* NULL: "octet"; presets of qat/targets.def */
    /* activations; NULL: "ema". Those of qat/observers.def, or registered (observer.h). The net's
     * input takes "minmax" in place of one that searches, unless a rule names it
     * ("input*:observer=mse") */
    const char *observer;
    /* 0: 8; 2 to 8. First and last weighted layer, input and output stay at 8 */
    int wbits, abits;
    bool all_layers; /* the first and last layer too */
    float ema;       /* share of the new batch; 0: 0.01 */
    /* how scales move in training; NULL: by the observer. "lsq", "lsq+", "pact": by gradients */
    const char *method;
    /* straight-through mask; NULL: "rounded" (the code lies in range), learned scales "strict" (the
     * value lies strictly inside) */
    const char *ste;
    /* "percentile": share of the values that stays inside, in per cent; 0: 99.99 */
    float percentile;
    /* NULL: as the target has it. All of these, and the ones above but target and all_layers, per
     * layer by rules */
    const char *granularity; /* of weight scales: "channel", "tensor" */
    /* of weights without learned steps: "minmax", "mse" (each step searches: slower) */
    const char *weight_observer;
    /* "narrow": +-127 at 8 bits; "full": -128 to 127, scales of 127.5 steps as in PyTorch */
    const char *weight_qmin;
    const char *symmetric, *reduce_range; /* activations: "yes", "no" */
    const char *stay_float;               /* "yes": every layer of which no rule says otherwise */
    const oct_qrule *rules;               /* qconfig.h */
    int32_t rule_count;
} oct_qconfig;

/** A net as PyTorch prints modules, a line at a time (without its end): nested by path, quantized
 *  ones with scale and zero point ("(conv1): QuantizedConvReLU2d(1, 6, kernel_size=(5, 5),
 *  stride=(1, 1), scale=0.01, zero_point=0, padding=(2, 2))"), prepared ones with their
 *  fake-quantizers. For readers: no promise that its text stays. */
OCT_API void oct_net_print(const oct_net *net, void (*line)(void *user, const char *line),
                           void *user);

/** What became of each node: reported by commands. Borrowed strings. */
typedef struct oct_placement {
    const char *name;
    const char *kind;
    bool int8;
    const char *reason;      /* why it stays float; "" for int8 */
    int32_t abits, wbits;    /* of its values and of its weights; 0: none */
    const char *granularity; /* of weight scales: "channel", "tensor", "" */
    const char *observer;    /* of its values; "" for float, and in int8 nets */
    /* the value that gives its values scale and zero point: itself, or the first that shares
     * them */
    const char *grid;
    const char *weight_observer; /* "minmax", "mse"; "" without weights, and in int8 nets */
    /* what rules of the qconfig decided: "wbits=4 by pattern layer1.*; abits=4 by global"; "" : the
     * target alone */
    const char *rule;
} oct_placement;

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
/** One row per node of a prepared or int8 net; free with oct_placements_free. */
OCT_API OCT_NODISCARD oct_status oct_net_placements(const oct_net *net, oct_placement **rows,
                                                    int32_t *count);
OCT_API void oct_placements_free(oct_net *net, oct_placement *rows);

/** Switches of a prepared net; they are named tensors, so they are saved with it. */
OCT_API void oct_net_observe(oct_net *net, bool on);
OCT_API void oct_net_fake_quantize(oct_net *net, bool on);
OCT_API void oct_net_freeze_batch_norm(oct_net *net, bool on);
OCT_API bool oct_net_batch_norm_frozen(const oct_net *net);

/** Eval forward of a prepared net (law 10): codes at every node, products exact over whole numbers,
 *  bias and requant by the law. Shares the law and the fold with the int8 plan, but no kernel,
 *  packing or planner. */
typedef struct oct_sim oct_sim;
OCT_API OCT_NODISCARD oct_sim *oct_sim_new(oct_net *prepared);
OCT_API void oct_sim_free(oct_sim *s);
/** x f32 [n,H,W,C]; returns the output (f32, borrowed until the next run), NULL on failure.
 *  OCT_EQPARAMS, naming the value, where no range was observed. */
OCT_API const oct_tensor *oct_sim_run(oct_sim *s, const oct_tensor *x);
/** Value of a node in the last run: u8 codes, or f32 for float nodes; NULL where unknown.
 *  Borrowed. */
OCT_API const oct_tensor *oct_sim_value(const oct_sim *s, const char *node);

typedef struct oct_mismatch {
    int64_t codes;         /* compared */
    int64_t mismatched;    /* differing */
    char node[128];        /* first differing node, "" if none */
    int64_t element;       /* its first differing element, flat index in the batch */
    int32_t expected, got; /* codes there: simulation, plan */
} oct_mismatch;
typedef struct oct_convert_opts {
    /* do not hold the plan against the simulation: for nets that are thrown away behind a score */
    bool skip_check;
} oct_convert_opts;

typedef struct oct_convert_report {
    int32_t layers_int8, layers_float;
    int64_t bytes; /* of weights, biases, multipliers and tables */
    /* what simulation and plan were compared on: "kept" (oct_net.probe), "made" (over the input's
     * range: the net kept none), "skipped" */
    const char *probe;
    int32_t probe_images; /* how many */
    /* codes compared; where some differ, the first: also set where convert refuses for it */
    oct_mismatch check;
} oct_convert_report;
/** Convert a prepared net to G3: fold, quantize weights, biases, multipliers; prove per channel
 *  that no accumulator can overflow; then compare simulation and plan at every node on the net's
 *  probe. Nothing of `prepared` moves. opts may be NULL. NULL on failure: OCT_EQPARAMS where a
 *  value was never observed; OCT_EUSAGE naming a layer whose fake quantization is switched off;
 *  OCT_ELIMIT naming node and channel where a sum may overflow; OCT_ECHECK naming node and element
 *  where a code of the plan is not the simulation's. */
OCT_API OCT_NODISCARD oct_net *oct_convert_with(oct_net *prepared, const oct_convert_opts *opts,
                                                oct_convert_report *report);
/** The same with every check. */
OCT_API OCT_NODISCARD oct_net *oct_convert(oct_net *prepared, oct_convert_report *report);

/* ---- small weights without calibration ---- */

typedef struct oct_weight_opts {
    int bits;        /* 0: 8; 2 to 8 */
    bool per_tensor; /* one scale for a layer; default: one per output channel */
} oct_weight_opts;
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

/** Compare the simulation of `prepared` with the unfused plan of `int8` on x at every node; adds to
 *  *m. */
OCT_API OCT_NODISCARD oct_status oct_compare(oct_net *prepared, const oct_net *int8,
                                             const oct_tensor *x, oct_mismatch *m);

OCT_END_DECLS
#endif
