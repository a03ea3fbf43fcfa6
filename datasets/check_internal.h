/* SPDX-License-Identifier: MIT
 * datasets/check_internal.h - what the files of the check share: check.c looks at samples,
 * check_equal.c finds equal ones, check_findings.c judges. */
#ifndef OCT_DATASETS_CHECK_INTERNAL_H
#define OCT_DATASETS_CHECK_INTERNAL_H

#include "datasets/check.h"
#include "datasets/set.h"

typedef struct octi_seen_sample {
    uint64_t hash; /* of the picture, where it is read and finite */
    double sum[4], square[4], least[4], most[4];
    int32_t label; /* -1: not known */
    int32_t width, height;
    bool unreadable, not_finite, constant, grey;
    bool repeat, leaked, conflicting; /* check_equal.c */
} octi_seen_sample;

typedef struct octi_checked {
    oct_data *d; /* NULL: no such part */
    oct_split split;
    oct_data_stats *stats;
    octi_seen_sample *seen; /* [count] */
    int64_t usable, grey;   /* samples read and finite; of these, grey ones of 3 channels */
    double of_means[4];     /* variance of the samples' own means */
} octi_checked;

/** Mark samples whose picture stands elsewhere too, and count them. */
oct_status octi_check_equal(octi_checked part[2], oct_data_report *r);
/** r->findings, by the table of check_findings.c. */
oct_status octi_check_find(const octi_checked part[2], const oct_input_desc *input,
                           oct_data_report *r);

#endif
