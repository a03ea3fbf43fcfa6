/* SPDX-License-Identifier: MIT
 * qat/doctor/doctor.h - why a run lost accuracy: causes, ranked, each with evidence and the octet
 * command that mends it.
 *
 *     oct_diagnosis *d = oct_doctor(ctx, "runs/ptq", &(oct_doctor_opts){.float_run = "runs/f32"});
 *     for (int32_t i = 0; d && i < d->count; i++) puts(d->causes[i].evidence);
 *     oct_diagnosis_free(ctx, d); */
#ifndef OCT_QAT_DOCTOR_DOCTOR_H
#define OCT_QAT_DOCTOR_DOCTOR_H

#include "../fit/fit.h"

OCT_BEGIN_DECLS

typedef struct oct_doctor_opts {
    const char *data;      /* SPEC; NULL: what the run was made on */
    const char *float_run; /* what a quantized run was made from; NULL: as its options say */
    /* most images: to score by (0: 1000, evenly over the test part), to observe (0: 512) */
    int64_t n, calib;
    int64_t limit; /* of each part of the data; 0: all */
} oct_doctor_opts;
OCT_API void oct_doctor_opts_init(oct_doctor_opts *opts);

typedef enum oct_cause_kind {
#define OCT_CAUSE(name, ...) OCT_CAUSE_##name,
#include "causes.def"
    OCT_CAUSE_KIND_COUNT
} oct_cause_kind;
/** "outliers", "calibration_small"; and the reverse. */
OCT_API const char *oct_cause_kind_name(oct_cause_kind v);
OCT_API OCT_NODISCARD oct_status oct_cause_kind_from_name(const char *word, oct_cause_kind *v);
/** What it means, in a sentence; "" for what is none. */
OCT_API const char *oct_cause_kind_meaning(oct_cause_kind v);

/** A cause that was found. Fractions 0 to 1; of nets without classes a score is the float net's
 *  loss by the net's, 1 at most. */
typedef struct oct_cause {
    oct_cause_kind kind;
    const char *layer;   /* the worst, or ""; the diagnosis's */
    double value, bound; /* evidence beyond its threshold; what they measure: the text */
    double gain;         /* score that the mend wins back: measured, or what no trial explains */
    bool measured;
    char evidence[400];
    char command[1200]; /* for a shell */
} oct_cause;

typedef struct oct_diagnosis {
    oct_cause *causes; /* the largest gain first */
    int32_t count;     /* 0: healthy */
    /* the run's; its own with nothing quantized; the float run's (-1: none known) */
    double score, float_score, parent_score;
    double lost, tolerance; /* below the better of the two; what chance and rounding may cost */
    int64_t n;              /* images scored */
    bool quantized;         /* else a float run's */
} oct_diagnosis;

/** Look for what costs a float or quantized run accuracy. Nothing on disk moves. How far it is goes
 *  to oct_opts.progress ("doctor"). NULL on failure: a run that cannot be read, data that does not
 *  fit it (OCT_EUSAGE where no data is known), OCT_ESTOPPED. */
OCT_API OCT_NODISCARD oct_diagnosis *oct_doctor(oct_ctx *ctx, const char *run,
                                                const oct_doctor_opts *opts);
OCT_API void oct_diagnosis_free(oct_ctx *ctx, oct_diagnosis *d);

OCT_END_DECLS
#endif
