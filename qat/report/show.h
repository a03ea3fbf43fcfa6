/* SPDX-License-Identifier: MIT
 * qat/report/show.h - sections of the page. */
#ifndef OCT_QAT_REPORT_SHOW_H
#define OCT_QAT_REPORT_SHOW_H

#include "qat/report/gather.h"
#include "qat/report/plot.h"

/** A model's place in the page. Each octi_show_* draws a section, behind its heading. */
typedef struct octi_show {
    octi_page *p;
    const oct_report *r;
    const octi_model *m;
    int32_t index;
} octi_show;

void octi_show_curves(const octi_show *s);
void octi_show_layers(const octi_show *s);
void octi_show_weights(const octi_show *s);
void octi_show_values(const octi_show *s);
void octi_show_scales(const octi_show *s);
void octi_show_answers(const octi_show *s);
void octi_show_ladder(const octi_show *s);
void octi_show_recipe(const octi_show *s);
/** Rows of the comparison, and accuracy against bytes and time. */
void octi_show_rows(octi_page *p, const oct_report *r);

#endif
