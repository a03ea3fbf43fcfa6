/* SPDX-License-Identifier: MIT
 * qat/improve/improve.h - better post-training quantization without training: cross-layer
 * equalization and bias correction (Nagel et al. 2019, arXiv 1906.04721), adaptive rounding
 * (AdaRound: Nagel et al. 2020, arXiv 2004.10568).
 *
 *     oct_net *e = oct_equalize(net, NULL);          // before prepare
 *     oct_net *q = oct_prepare(e, ...); ... calibrate q ...
 *     oct_adaround(q, x, NULL);                      // on a calibrated net
 *     oct_correct_bias(q, x, NULL);
 *
 * All three move float weights and biases alone: the law makes codes of them as of any others. */
#ifndef OCT_QAT_IMPROVE_IMPROVE_H
#define OCT_QAT_IMPROVE_IMPROVE_H

#include "../../src/net.h"

OCT_BEGIN_DECLS

/** Scale the channels between two weighted layers so that both have the same range there, w1 /= s
 *  and w2 *= s with s = sqrt(r1 / r2), until nothing moves. Pairs: an output read by the second
 *  layer alone, with only relu, pools, flatten, zero padding and dropout between. The net computes
 *  the same function, up to rounding. Returns a new fused net (G1) from a float or fused one;
 *  *pairs (may be NULL) gets the number of pairs. NULL on failure. */
OCT_API OCT_NODISCARD oct_net *oct_equalize(const oct_net *net, int32_t *pairs);
/** The same, and across relu6, or a clamp from 0, as well. Such a node cuts every channel at one
 *  height, so a channel moves only as far as the values that x f32 [n,H,W,C], calibration inputs,
 *  shows of it stay below; one that is cut there stays as it is. On x the net computes the same
 *  function, up to rounding; on other inputs a channel may be cut a little above the largest value
 *  that x shows. OCT_ESHAPE where x does not fit. */
OCT_API OCT_NODISCARD oct_net *oct_equalize_on(const oct_net *net, const oct_tensor *x,
                                               int32_t *pairs);

/** Take the mean error that weight rounding makes, E[W_q x] - E[W x] per output channel, out of the
 *  bias (beta behind a batch norm). x f32 [n,H,W,C]: calibration inputs. `prepared` must be
 *  calibrated; it is changed in place. *skipped (may be NULL) gets the number of layers that have
 *  no bias to correct. OCT_EDIVERGED where a mean is not finite. */
OCT_API OCT_NODISCARD oct_status oct_correct_bias(oct_net *prepared, const oct_tensor *x,
                                                  int32_t *skipped);

typedef struct oct_adaround_opts {
    int iterations; /* per layer; 0: 1000 */
    int rows;       /* output positions that a layer is fitted on; 0: 2048 */
    float reg;      /* weight of the term that drives roundings to 0 or 1; 0: 0.01 */
    uint64_t seed;  /* 0: the context's */
} oct_adaround_opts;
OCT_API void oct_adaround_opts_init(oct_adaround_opts *opts);
/** Round each weight up or down so that the layer's output on x changes least, in place of to
 *  nearest: a sigmoid per weight, trained by Adam on the layer's squared output error, its input
 *  coming from the net as quantized so far. The float weights become the points of the grid that
 *  were chosen (scales stay: the largest weight of a channel is not moved), so that training, eval
 *  and convert round to them. x f32 [n,H,W,C]. Layers whose scales are learned are left alone. */
OCT_API OCT_NODISCARD oct_status oct_adaround(oct_net *prepared, const oct_tensor *x,
                                              const oct_adaround_opts *opts);

OCT_END_DECLS
#endif
