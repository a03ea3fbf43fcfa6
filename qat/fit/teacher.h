/* SPDX-License-Identifier: MIT
 * qat/fit/teacher.h - a net that a training learns from, beside the labels. */
#ifndef OCT_QAT_FIT_TEACHER_H
#define OCT_QAT_FIT_TEACHER_H

#include "qat/fit/fit.h"

/** The two have one input and the same classes in the same order, else OCT_ESHAPE or OCT_EUSAGE. */
oct_status octi_teacher_check(const oct_net *student, const oct_net *teacher);
/** weight * distillation + (1 - weight) * label_loss for the batch x. NULL in gives NULL out. */
oct_var *octi_teacher_loss(oct_runner *teacher, const oct_tensor *x, oct_var *logits,
                           oct_var *label_loss, float temperature, float weight);

#endif
