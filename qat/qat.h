/* SPDX-License-Identifier: MIT
 * qat/qat.h - from a float net to an int8 net: fuse, prepare, observe, simulate, convert, compare.
 * The public headers of qat's rooms come with it; convert, compare and print stand here.
 *
 *     // a new net; the float one stays as it was
 *     oct_net *q = oct_prepare(net, &(oct_qconfig){.target = OCT_TARGET_FBGEMM});
 *     ... run it in OCT_CALIBRATE or OCT_TRAIN mode (oct_net_forward) ...
 *     oct_net *i8 = oct_convert(q, NULL);                                 // G3: oct_int8_save,
 *     oct_plan_new */
#ifndef OCT_QAT_QAT_H
#define OCT_QAT_QAT_H

#include "../autograd/autograd.h"
#include "improve/improve.h"
#include "improve/oscillation.h"
#include "net/switches.h"
#include "passes/passes.h"
#include "rules/placements.h"
#include "rules/qconfig.h"
#include "scales/observer.h"
#include "scales/settle.h"
#include "step/sim.h"

OCT_BEGIN_DECLS

/** A net as PyTorch prints modules, a line at a time (without its end): nested by path, quantized
 *  ones with scale and zero point ("(conv1): QuantizedConvReLU2d(1, 6, kernel_size=(5, 5),
 *  stride=(1, 1), scale=0.01, zero_point=0, padding=(2, 2))"), prepared ones with their
 *  fake-quantizers. For readers: no promise that its text stays. */
OCT_API void oct_net_print(const oct_net *net, void (*line)(void *user, const char *line),
                           void *user);

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
OCT_API void oct_convert_opts_init(oct_convert_opts *opts);

/** What simulation and plan were compared on: nothing, the net's probe (oct_net_set_probe), or
 *  images made over the input's range, where the net kept none. */
typedef enum oct_probe { OCT_PROBE_SKIPPED, OCT_PROBE_KEPT, OCT_PROBE_MADE } oct_probe;

typedef struct oct_convert_report {
    int32_t layers_int8, layers_float;
    int64_t bytes; /* of weights, biases, multipliers and tables */
    oct_probe probe;
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

/** Compare the simulation of `prepared` with the unfused plan of `int8` on x at every node; adds to
 *  *m. */
OCT_API OCT_NODISCARD oct_status oct_compare(oct_net *prepared, const oct_net *int8,
                                             const oct_tensor *x, oct_mismatch *m);

OCT_END_DECLS
#endif
