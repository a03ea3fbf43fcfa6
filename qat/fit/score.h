/* SPDX-License-Identifier: MIT
 * qat/fit/score.h - answers held against labels, wherever accuracies are counted. */
#ifndef OCT_QAT_FIT_SCORE_H
#define OCT_QAT_FIT_SCORE_H

#include "qat/fit/fit.h"

/** Class of the largest of k logits; the lowest index wins ties (law 8). */
int32_t octi_argmax(const float *logits, int64_t k);
/** How many of n rows of k logits have their label's class on top. */
int64_t octi_count_right(const float *logits, const int32_t *labels, int64_t n, int64_t k);

/** oct_score_of; where it is NONE, *why (may be NULL) gets OCT_ESHAPE, recorded, else OCT_OK. */
oct_score octi_score_of(const oct_net *net, const oct_data *data, oct_status *why);
/** The description that data is read by: the net's, or NULL (the set's) as long as it has none. */
const oct_input_desc *octi_net_input(const oct_net *net);
/** Sum over n images of the mean squared error of each: y, target [n * k]. */
double octi_squared_errors(const float *y, const float *target, int64_t n, int64_t k);

#endif
