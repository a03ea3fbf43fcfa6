/* SPDX-License-Identifier: MIT
 * datasets/check.h - what a data set holds, and what of it harms a training: counts, sizes, channel
 * statistics; pictures that cannot be read, that show nothing, that stand in both parts; and a
 * sheet of samples to look at.
 *
 *     oct_data_report *r = oct_data_check(train, test, NULL);
 *     for (int32_t i = 0; r && i < r->finding_count; i++) puts(r->findings[i].text); */
#ifndef OCT_DATASETS_CHECK_H
#define OCT_DATASETS_CHECK_H

#include "data.h"

OCT_BEGIN_DECLS

/** One part, measured over all of its samples. Channel statistics are of the values as the set
 *  stores them (pixels 0 to 255, or floats), of samples that could be read. */
typedef struct oct_data_stats {
    int64_t count;
    int64_t unreadable; /* the image could not be decoded */
    int64_t not_finite; /* float images with a NaN or an infinite value; not in the statistics */
    int64_t constant;   /* nothing, or next to nothing, is to be seen */
    int64_t repeats;    /* samples whose picture an earlier sample of the part has, to the bit */
    double mean[4], std[4], least[4], most[4]; /* by channel */
    /* of the files, before resizing; of sets in memory the set's */
    int32_t width[2], height[2]; /* smallest, largest */
    int64_t *per_class;          /* [classes] */
} oct_data_stats;

typedef enum oct_finding_kind {
#define OCT_FINDING(name) OCT_FINDING_##name,
#include "finding_kinds.def"
    OCT_FINDING_KIND_COUNT
} oct_finding_kind;
/** "unreadable", "not_finite", ...; and the reverse. */
OCT_API const char *oct_finding_kind_name(oct_finding_kind v);
OCT_API OCT_NODISCARD oct_status oct_finding_kind_from_name(const char *word, oct_finding_kind *v);

/** Something that a reader should know; `harms`: accuracy, or the figure that is called so, suffers
 *  from it. */
typedef struct oct_data_finding {
    oct_finding_kind kind;
    oct_split part; /* ALL: it lies between them */
    bool harms;
    int64_t count;       /* samples, or classes; 0 where neither is counted */
    double value, bound; /* beyond the bound it harms (or, of a remark, is said) */
    char text[200], hint[160];
    const char *samples[5]; /* the first of them by name: files, or "SPEC: sample N" */
    int32_t sample_count;
} oct_data_finding;

typedef struct oct_data_report {
    int32_t classes, channels;
    oct_data_stats train, test; /* test.count 0: no such part was given */
    int64_t leaked;             /* samples of the test part whose picture the training part has */
    int64_t conflicting;        /* samples whose picture has another label elsewhere */
    oct_data_finding *findings; /* what harms first; as many as finding_count */
    int32_t finding_count, harming;
} oct_data_report;

typedef struct oct_data_check_opts {
    const oct_input_desc *input; /* how a net would be given the pixels; NULL: as the set says */
} oct_data_check_opts;
OCT_API void oct_data_check_opts_init(oct_data_check_opts *opts);

/** Look at every sample of both parts (test may be NULL). What harms: any picture that cannot be
 *  read, any value that is no number, a class of labels that no training sample has; more than one
 *  in a thousand of a part that the other part has too, that has another label elsewhere, or that
 *  shows nothing; values that a net would see far from 0 or far from a spread of 1; parts whose
 *  channels differ. How far it is goes to oct_opts.progress ("check"). NULL on failure (OCT_ESHAPE:
 *  the parts differ in size; OCT_ESTOPPED). Free with oct_data_report_free. */
OCT_API OCT_NODISCARD oct_data_report *oct_data_check(oct_data *train, oct_data *test,
                                                      const oct_data_check_opts *opts);
OCT_API void oct_data_report_free(oct_ctx *ctx, oct_data_report *report);

typedef struct oct_sheet_opts {
    int32_t rows;     /* samples below each other: one of each class in turn; 0: 10 */
    int32_t columns;  /* samples beside each other; 0: 6 */
    uint32_t augment; /* OCT_AUGMENT_ bits; 0: the set's default */
    uint64_t seed;    /* of the augmentation; 0: the context's */
} oct_sheet_opts;
OCT_API void oct_sheet_opts_init(oct_sheet_opts *opts);

/** A sheet of samples: u8 [H,W,3]. The left half shows them as the set has them, the right half the
 *  same ones as training sees them, augmented. A row holds one class where there are labels.
 *  Small pictures are enlarged by whole numbers. Floats are shown from the smallest to the largest
 *  value of the sheet; a picture that cannot be read is a red cell. Owned by the caller; NULL on
 *  failure. */
OCT_API OCT_NODISCARD oct_tensor *oct_data_sheet(oct_data *d, const oct_sheet_opts *opts);

OCT_END_DECLS
#endif
