/* SPDX-License-Identifier: MIT
 * What a net's output is held against: the one rule of evaluation, training and the commands. */
#include "qat/fit/score.h"

#include <math.h>

int32_t octi_argmax(const float *logits, int64_t k) {
    int32_t best = 0;
    for (int32_t i = 1; i < k; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

int64_t octi_count_right(const float *logits, const int32_t *labels, int64_t n, int64_t k) {
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) right += octi_argmax(logits + i * k, k) == labels[i];
    return right;
}

double oct_accuracy_chance(double accuracy, int64_t n) {
    if (!(accuracy >= 0 && accuracy <= 1) || n < 1) return NAN;
    return 1.5 * sqrt(accuracy * (1 - accuracy) / (double)n);
}

double octi_squared_errors(const float *y, const float *target, int64_t n, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < n * k; i++)
        sum += ((double)y[i] - (double)target[i]) * ((double)y[i] - (double)target[i]);
    return k ? sum / (double)k : 0;
}

const oct_input_desc *octi_net_input(const oct_net *net) {
    return net->input.channels ? &net->input : NULL;
}

static bool same_values(const oct_shape *a, const oct_shape *b) {
    bool same = a->rank == b->rank;
    for (int i = 1; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
    return same;
}

oct_score octi_score_of(const oct_net *net, const oct_data *data, oct_status *why) {
    oct_status unheard;
    if (!why) why = &unheard;
    *why = OCT_OK;
    const oct_shape *out = &net->graph->values[net->graph->output].shape;
    oct_shape target;
    switch (oct_data_truth(data, &target)) {
    case OCT_TRUTH_TARGETS:
        if (same_values(out, &target)) return OCT_SCORE_VALUES;
        *why = octi_fail(OCT_ESHAPE, "targets", "do not fit the net's output", oct_shape_text(out),
                         oct_shape_text(&target), NULL);
        return OCT_SCORE_NONE;
    case OCT_TRUTH_LABELS:
        if (out->rank == 2) return OCT_SCORE_CLASSES;
        *why = octi_fail(OCT_ESHAPE, "output", "nothing to score: labels need logits",
                         "[N, classes]", oct_shape_text(out),
                         "float targets y of the output's shape make it a regression; oct_loss_fn "
                         "is a loss of one's own");
        return OCT_SCORE_NONE;
    default:
        *why = octi_fail(OCT_ESHAPE, "data", "nothing to score: it has neither labels nor targets",
                         "y beside x", "x alone", NULL);
        return OCT_SCORE_NONE;
    }
}

oct_score oct_score_of(const oct_net *net, const oct_data *data) {
    if (!net || !data) return OCT_SCORE_NONE;
    oct_status s;
    oct_score score = octi_score_of(net, data, &s);
    if (s != OCT_OK) oct_clear_error(); /* asked, not failed */
    return score;
}
