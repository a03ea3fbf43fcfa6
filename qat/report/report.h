/* SPDX-License-Identifier: MIT
 * qat/report/report.h - what training and quantization did, as one page that a browser shows
 * without a network, and the same numbers as JSON.
 *
 *     oct_report *r = oct_report_new(ctx, (const char *[]){"runs/qat"}, 1, NULL);
 *     oct_status s = oct_report_save(r, "report.html");
 *     oct_report_free(r); */
#ifndef OCT_QAT_REPORT_REPORT_H
#define OCT_QAT_REPORT_REPORT_H

#include "../fit/fit.h"

OCT_BEGIN_DECLS

typedef struct oct_report oct_report;

/** A row of the comparison that the caller measured. */
typedef struct oct_report_row {
    const char *name, *how; /* "digits", "PTQ entropy, 8 bits"; how may be NULL */
    oct_measured measured;
    double spread; /* standard deviation of the accuracy over seeds; 0: not known */
    int32_t seeds; /* how many; 0: one */
} oct_report_row;

typedef struct oct_report_opts {
    /* images (their test part) to score and look at; NULL: those that each run says it was made
     * with, where they can be opened. What needs images and has none is left out, and said */
    const char *data;
    int64_t limit;     /* at most so many images; 0: all */
    bool sweep;        /* the sensitivity of each layer even where that takes minutes */
    const char *title; /* NULL: the names of what is shown */
    /* shown beside what is at the paths; borrowed until oct_report_new returns */
    const oct_report_row *rows;
    int32_t row_count;
} oct_report_opts;
OCT_API void oct_report_opts_init(oct_report_opts *opts);

/** Look at runs and int8 files: load them, score them, measure them. Nothing of them moves. Of
 *  several, a comparison; of the first OCT_REPORT_WHOLE of them all else too. What one of them
 *  cannot tell is a note in the report; one that cannot be read is a failure. opts may be NULL.
 *  Free with oct_report_free. NULL on failure. */
enum { OCT_REPORT_WHOLE = 4, OCT_REPORT_MOST = 512 };
OCT_API OCT_NODISCARD oct_report *oct_report_new(oct_ctx *ctx, const char *const *paths,
                                                 int32_t count, const oct_report_opts *opts);
OCT_API void oct_report_free(oct_report *r);
/** Write the page, whole or not at all. Names in it are text, whatever bytes they have: it runs no
 *  script and loads nothing. Elements carry what they show as data-* attributes, with the keys of
 *  oct_report_json. */
OCT_API OCT_NODISCARD oct_status oct_report_save(const oct_report *r, const char *path);
/** The numbers as one JSON object; the report's, until it is freed. NULL on failure. */
OCT_API const char *oct_report_json(oct_report *r);

OCT_END_DECLS
#endif
