/* SPDX-License-Identifier: MIT
 * qat/step/hooks.h - how the nodes of a prepared net run on a tape: what prepare, and whoever loads
 * a prepared net, registers in it (net->hooks). */
#ifndef OCT_QAT_STEP_HOOKS_H
#define OCT_QAT_STEP_HOOKS_H

#include "autograd/tape.h"

extern const octi_node_hooks octi_qat_hooks;

struct oct_sim;
/** The runs of a simulation from here on are one evaluation (octi_tape_hold): nothing of its net
 *  moves between them. */
oct_status octi_sim_hold(struct oct_sim *sim);

#endif
