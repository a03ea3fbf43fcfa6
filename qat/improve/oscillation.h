/* SPDX-License-Identifier: MIT
 * qat/improve/oscillation.h - weights that swing between two codes (Nagel et al. 2022, arXiv
 * 2203.11086): measured, damped, frozen.
 *
 * With few bits a weight whose best value lies between two codes is pushed over the border and
 * back, step after step; batch norm's statistics then follow codes that are gone a step later. An
 * event is a code that changes in the direction opposite to its last change; a weight's rate is the
 * moving average (constant 0.01) of its events. Layers below 8 bits are tracked. oct_fit does all
 * of this by its option `oscillation`; an own loop calls, in a step:
 *     oct_backward(loss); oct_oscillation_damp(net, strength); oct_optim_step(o);
 *     oct_oscillation_step(net, threshold); */
#ifndef OCT_QAT_IMPROVE_OSCILLATION_H
#define OCT_QAT_IMPROVE_OSCILLATION_H

#include "../../src/net.h"
#include "../../src/words.h"

OCT_BEGIN_DECLS

/** What oct_fit does: nothing, measure alone, damp (oct_oscillation_damp), freeze
 *  (oct_oscillation_step). */
typedef enum oct_oscillation_mode {
    OCT_OSCILLATION_OFF,
#define OCT_OSCILLATION(value, word) OCT_OSCILLATION_##value,
#include "oscillation_modes.def"
} oct_oscillation_mode;
/** "measure", "damp", "freeze", "" of OFF; and the reverse (src/words.h). */
OCT_API const char *oct_oscillation_mode_name(oct_oscillation_mode v);
OCT_API OCT_NODISCARD oct_status oct_oscillation_mode_from_name(const char *word,
                                                                oct_oscillation_mode *v);

/** Which weights are counted. */
typedef enum oct_swing {
    OCT_SWING_TRACKED,
    OCT_SWING_OSCILLATING, /* rate above 0.005, not frozen */
    OCT_SWING_FROZEN,
    OCT_SWING_COUNT
} oct_swing;

/** Begin tracking: registers, per tracked weight, its code (osc_code, s8), the direction of its
 *  last change (osc_turn, s8), rate and average code (osc_rate, osc_mean, f32) as tensors of the
 *  net, so that they are saved with it. Nothing happens where they are there. OCT_EUSAGE: not a
 *  prepared net. OCT_EFORMAT: tensors of another shape. */
OCT_API OCT_NODISCARD oct_status oct_oscillation_start(oct_net *net);
/** Behind an optimizer's step: compare codes with the last ones. A weight whose rate is above
 *  `threshold` is frozen at its average code for the rest of training: whatever the optimizer makes
 *  of it, it is set back to scale * code here. threshold
 *  >= 1 freezes nothing more. OCT_EUSAGE before oct_oscillation_start. Allocates nothing after the
 *  first call. */
OCT_API OCT_NODISCARD oct_status oct_oscillation_step(oct_net *net, float threshold);
/** Between backward and the optimizer's step: add the gradient of strength * sum (clip(w) -
 *  q(w))^2, which pulls weights to the middle of their code. w folded; q(w) counts as a constant.
 *  The same layers. */
OCT_API OCT_NODISCARD oct_status oct_oscillation_damp(oct_net *net, float strength);
/** How many weights are tracked, swing or are frozen now; 0 where nothing is tracked. */
OCT_API int64_t oct_oscillation_count(const oct_net *net, oct_swing which);

OCT_END_DECLS
#endif
