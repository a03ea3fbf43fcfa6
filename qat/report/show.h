/* SPDX-License-Identifier: MIT
 * qat/report/show.h - sections of the page. */
#ifndef OCT_QAT_REPORT_SHOW_H
#define OCT_QAT_REPORT_SHOW_H

#include "qat/report/gather.h"
#include "qat/report/plot.h"

/** How much of a model is drawn: a page of several is drawn as coarsely as its size asks for
 *  (detail.c). Numbers that are shown are never other ones. */
typedef struct octi_detail {
    int32_t columns;  /* bars that the channels of a layer share */
    int32_t bins;     /* of a histogram of a whole range */
    int32_t pictures; /* of each list of them */
    int32_t plots;    /* layers whose weights and values are drawn: the noisiest */
    int32_t whole;    /* models that are told whole */
    bool curves;      /* of the others too */
} octi_detail;

/** A model's place in the page. Each octi_show_* draws a section, behind its heading. */
typedef struct octi_show {
    octi_page *p;
    const oct_report *r;
    const octi_model *m;
    const octi_detail *detail;
    int32_t index;
} octi_show;

/** Levels of detail, the finest first; NULL behind the coarsest. */
const octi_detail *octi_detail_at(int level);
/** What a page of this detail lacks, in words, as a note; nothing where it lacks nothing. */
void octi_show_detail(octi_page *p, const oct_report *r, const octi_detail *d);
/** Are the plots of a layer's weights, or of a grid of values, drawn? */
bool octi_shows_plots(const octi_show *s, const char *name);
/** Neighbours that share a bin or a bar, so that n of them are no more than `most`. */
int64_t octi_together(int64_t n, int64_t most);
/** A histogram of the bins of *b, `by` and `by` added up: counts in memory of the page's context,
 *  to be freed by octi_bins_free; fails into the page's status. */
octi_bins octi_bins_joined(octi_page *p, const octi_bins *b, int64_t by);
void octi_bins_free(octi_page *p, octi_bins *b);

void octi_show_curves(const octi_show *s);
void octi_show_layers(const octi_show *s);
void octi_show_weights(const octi_show *s);
void octi_show_values(const octi_show *s);
void octi_show_scales(const octi_show *s);
void octi_show_answers(const octi_show *s);
void octi_show_sweep(const octi_show *s);
void octi_show_recipe(const octi_show *s);
/** Rows of the comparison, and accuracy against bytes and time. */
void octi_show_rows(octi_page *p, const oct_report *r);

#endif
