/* SPDX-License-Identifier: MIT
 * qat/convert_check.h - convert's own comparison of what it made with what training saw (law
 * 10). */
#ifndef OCT_QAT_CONVERT_CHECK_H
#define OCT_QAT_CONVERT_CHECK_H

#include "qat/qat.h"

/** Hold the plan of int8 against the simulation of `prepared` on its probe, or on one that is made;
 *  fills the report's probe, probe_images and check. OCT_ECHECK: the first code that differs. */
oct_status octi_convert_check(oct_net *prepared, const oct_net *int8, oct_convert_report *report);

#endif
