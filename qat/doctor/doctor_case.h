/* SPDX-License-Identifier: MIT
 * qat/doctor/doctor_case.h - what the functions of causes.def are given: the run, its scores,
 * copies to try things on, and trials that several of them ask for. */
#ifndef OCT_QAT_DOCTOR_CASE_H
#define OCT_QAT_DOCTOR_CASE_H

#include "qat/doctor/doctor.h"
#include "qat/net/prepared.h"

enum { OCTI_OPTIONS_MAX = 96, OCTI_BITS_MAX = 16 };

/** The options that a run was made by. */
typedef struct octi_made_by {
    char *key[OCTI_OPTIONS_MAX], *value[OCTI_OPTIONS_MAX];
    int count;
} octi_made_by;

/** A score that is found when it is first asked for. */
typedef struct octi_trial {
    bool done;
    double score;
} octi_trial;

typedef struct octi_case {
    oct_ctx *ctx;
    const char *run, *parent_path, *spec;
    octi_made_by by, parent_by;
    oct_net *net, *parent; /* parent NULL: not known */
    oct_data *train, *test;
    oct_input_desc own;   /* how the data would be normalized by itself; channels 0: not known */
    oct_input_desc right; /* the normalization that scores better; channels 0: none does */
    double right_score;   /* of the float net by it */
    bool pixels, quantized;
    oct_score kind;
    int64_t n, calib, limit;
    int64_t at, of; /* rows that were asked, of so many: progress */
    /* as octi_case_score gives them: the run's, with nothing quantized, the float run's, the better
     * of these two */
    double score, real, parent_score, best;
    double reference, lost, chance; /* chance: what one and a half standard errors may move */
    const char *overflow;           /* the layer whose sums leave 32 bits; NULL: none */
    double explained;               /* largest measured gain so far */
    int named;                      /* causes so far */
    /* trials: ranges observed anew; the same by percentile */
    octi_trial observed, percentile;
    oct_layer *rows; /* noise and dead channels, with what each costs alone; NULL: not yet */
    int32_t row_count;
    oct_net *measured;   /* the net of rows */
    struct {             /* layers of few bits that explain the loss, the costliest first */
        bool done, ends; /* ends: first and last alone */
        double gain;
        const char *layer[OCTI_BITS_MAX];
        int count;
    } bits;
} octi_case;

typedef struct octi_cause_row {
    /* value, gain, evidence (and layer, measured) of c; `with`: what the command's {with} is.
     * Nothing is found where it leaves value at 0. */
    oct_status (*look)(octi_case *k, oct_cause *c, char *with, size_t size);
    double threshold;
    enum octi_cause_of { OCTI_CAUSE_F, OCTI_CAUSE_Q } of;
    enum octi_mend {
        OCTI_MEND_AGAIN,
        OCTI_MEND_FLOAT,
        OCTI_MEND_TUNE,
        OCTI_MEND_CHECK,
        OCTI_MEND_QAT
    } mend;
    const char *changes, *what;
} octi_cause_row;

#define OCT_CAUSE(name, function, threshold, of, command, changes, what)                           \
    oct_status octi_cause_##function(octi_case *k, oct_cause *c, char *with, size_t size);
#include "qat/doctor/causes.def"

/** Of the run, then of "": what an option was; NULL where it was not given. */
const char *octi_option(const octi_made_by *by, const char *key);
/** The learning rate that a run was trained at; *usual: what it is where none is given. */
double octi_made_at_rate(const octi_made_by *by, bool prepared, double *usual);
/** The command that made the run: "ptq", "qat", "train", "import"; "" where nobody says. */
const char *octi_maker(const octi_case *k);
/** The float run was trained on since the run was made of it. */
bool octi_case_stale(const octi_case *k);
/** The same net again, to try things on: oct_net_free. */
oct_net *octi_case_copy(const octi_case *k);
/** Score of a net as it stands, switches and all, on the test part. */
oct_status octi_case_score(const octi_case *k, oct_net *net, double *score);
/** Fractions of scores: accuracies as they are, of losses the float net's by this one. */
double octi_case_relative(const octi_case *k, double score);
/** How much better a score is than the run's. */
double octi_case_gain(const octi_case *k, double score);
/** Score of the run's net with ranges observed anew on the training part; observer NULL: by its
 *  own. Of learned scales that is the input's range: they stay. */
oct_status octi_case_observe(octi_case *k, octi_trial *t, const char *observer, double *gain);
/** k->rows: oct_layer of k->measured, with sqnr_alone. */
oct_status octi_case_layers(octi_case *k);
/** The command that mends, with {layer} and {with} filled in. */
void octi_case_command(const octi_case *k, const octi_cause_row *row, oct_cause *c,
                       const char *with);

#endif
