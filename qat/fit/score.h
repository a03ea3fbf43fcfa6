/* SPDX-License-Identifier: MIT
 * qat/fit/score.h - answers held against labels, wherever accuracies are counted. */
#ifndef OCT_QAT_FIT_SCORE_H
#define OCT_QAT_FIT_SCORE_H

#include <stdint.h>

/** Class of the largest of k logits; the lowest index wins ties (law 8). */
int32_t octi_argmax(const float *logits, int64_t k);
/** How many of n rows of k logits have their label's class on top. */
int64_t octi_count_right(const float *logits, const int32_t *labels, int64_t n, int64_t k);

#endif
