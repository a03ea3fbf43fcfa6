/* SPDX-License-Identifier: MIT
 * qat/report/gather.h - what a report knows: gathered once, drawn by the page and told by the JSON.
 * All of it lies in the report's arena. */
#ifndef OCT_QAT_REPORT_GATHER_H
#define OCT_QAT_REPORT_GATHER_H

#include "qat/report/report.h"
#include "src/arena.h"
#include "src/format/bytes.h"

/* ---- a run's own files ---- */

/** Columns of metrics.jsonl. */
typedef struct octi_metric {
    const char *key, *label;
} octi_metric;
enum {
    OCTI_LR,
    OCTI_TRAIN_LOSS,
    OCTI_TEST_LOSS,
    OCTI_VAL_LOSS,
    OCTI_TRAIN_ACCURACY,
    OCTI_TEST_ACCURACY,
    OCTI_INT8_ACCURACY,
    OCTI_VAL_ACCURACY,
    OCTI_OSCILLATING,
    OCTI_FROZEN,
    OCTI_SPEED,
    OCTI_METRICS
};
extern const octi_metric octi_metrics[OCTI_METRICS];

/** A quantizer over the epochs; of several channels the mean scale. */
typedef struct octi_history {
    const char *name;
    int32_t channels;
    double *scale, *zero_point; /* [epochs] */
} octi_history;

typedef struct octi_epochs {
    int32_t n;                       /* 0: the run did not train */
    double *epoch, *v[OCTI_METRICS]; /* [n]; NAN where not measured */
    octi_history *history;
    int32_t histories;
} octi_epochs;

typedef struct octi_pair {
    const char *key, *value;
} octi_pair;

/** How a run was made. */
typedef struct octi_recipe {
    const char *run;                                   /* its path */
    const char *version, *isa, *seed, *name, *operand; /* "" where not said */
    octi_pair *option, *fit; /* of the command; what training took for its defaults */
    int32_t options, fits;
} octi_recipe;
enum { OCTI_ORIGINS = 8 };

/* ---- distributions ---- */

/** Counts of n bins [lo + i * width, ...): of floats, of what codes stand for; NULL: none. */
typedef struct octi_bins {
    double lo, width, *real, *code;
    int32_t n;
} octi_bins;

/** Weights of a layer, folded as its codes are made from them. */
typedef struct octi_weights {
    const char *layer;
    int64_t channels, count;
    int32_t bits, codes; /* codes: different ones */
    bool per_channel;
    int64_t distinct_float, distinct; /* different values; -1: there are none */
    octi_bins whole;                  /* the whole range, in the weights' unit */
    octi_bins steps;                  /* around zero, in steps of each channel's grid */
    double *lo, *hi, *reach; /* [channels] of floats; of the grid, up from zero (NAN: none) */
} octi_weights;

/** Where an observer cuts, and the share of the values beyond. */
typedef struct octi_clip {
    const char *observer;
    double lo, hi, beyond;
} octi_clip;
enum { OCTI_CLIPS = 6 };

/** What a quantizer of values saw. */
typedef struct octi_values {
    const char *name, *by; /* by: its observer, or how its scale is learned */
    int32_t bits;
    double lo, hi, beyond; /* of the grid in use */
    bool own;              /* the histogram is calibration's own */
    octi_bins bins;        /* without exact zeros */
    int64_t total;
    double zeros, min, max;
    octi_clip clip[OCTI_CLIPS];
    /* of the entropy search: [points], and the chosen one (NAN: none) */
    double *threshold, *divergence, chosen;
    int32_t points;
} octi_values;

/* ---- answers ---- */

/** What a classifier says of an image. */
typedef struct octi_answer {
    int32_t label, said;
    float sure, loss; /* the probability of what it says; cross entropy */
} octi_answer;
typedef struct octi_answers {
    octi_answer *one; /* [room] */
    int64_t n, room;
} octi_answers;
/** oct_eval_opts.answer; user: octi_answers. */
void octi_take_answer(void *user, int64_t i, const float *logits, int64_t k, int32_t label);

/** u8 pixels [height,width,channels] of the index-th image of the set, and what was said of it. */
typedef struct octi_picture {
    int64_t index;
    octi_answer own, real;
    uint8_t *pixels;
    int32_t width, height, channels;
} octi_picture;
enum { OCTI_PICTURES = 18 };

/* ---- a model ---- */

typedef struct octi_model {
    const char *path, *word; /* "int8", "float": what it is when it runs */
    const char *how;         /* "PTQ entropy w8 a8"; "" where not known */
    oct_net *net;            /* as loaded */
    oct_net *int8;           /* of a prepared one; NULL where it cannot be made */
    oct_net *real;           /* the float net that it is held against; NULL: none */
    const char *real_path;   /* of its run; NULL: the net's own weights in float */
    bool run, whole;         /* whole: all is told, not its row alone */
    octi_epochs epochs;
    octi_recipe recipe[OCTI_ORIGINS]; /* the last one is its own, the first the oldest */
    int32_t recipes;
    octi_pair *names; /* of classes: id, name */
    int32_t name_count;
    const char *spec;      /* of the images; NULL: none */
    oct_data *data, *some; /* some: those that layers are looked at on, drawn from all over them */
    oct_measured own, float_own; /* score NONE and us 0 where not measured */
    oct_layer *layer;
    int32_t layers;
    int64_t layer_images, value_images;
    octi_answers answers, float_answers; /* n 0: not a classifier, or there is none */
    int32_t classes;
    int64_t *confusion;              /* [classes][classes]: true, said; NULL: none */
    octi_picture *worst, *differing; /* wrong by the largest loss; where float says another class */
    int32_t worsts, differings;
    struct {
        int64_t all, own_right, float_right;
    } apart;              /* images on which it and float differ */
    int64_t sweep_images; /* 0: layers were not tried one at a time */
    double sweep_float;   /* accuracy of none quantized */
    octi_weights *weights;
    octi_values *values;
    int32_t weight_layers, value_count;
    const char **note; /* what was left out, and why */
    int32_t notes;
} octi_model;

struct oct_report {
    oct_ctx *ctx;
    octi_arena *arena;
    const char *title;
    int64_t limit;
    bool sweep, asked; /* asked: for images, which must be there and fit */
    octi_model *model;
    int32_t count;
    oct_report_row *row; /* of the comparison: models, what float ones become, the caller's */
    int32_t rows;
    octi_text json;
};

/** Read config.json of a run and of those that it was made from. */
oct_status octi_gather_recipes(oct_report *r, octi_model *m);
/** Read metrics.jsonl. */
oct_status octi_gather_epochs(oct_report *r, octi_model *m);
/** Layers, scores, times. */
oct_status octi_gather_scores(oct_report *r, octi_model *m);
/** Pictures; layers one at a time. */
oct_status octi_gather_answers(oct_report *r, octi_model *m);
oct_status octi_gather_sweep(oct_report *r, octi_model *m);
/** Histograms and ranges. */
oct_status octi_gather_weights(oct_report *r, octi_model *m);
oct_status octi_gather_values(oct_report *r, octi_model *m);
/** Its rows of the comparison, and the caller's. */
oct_status octi_gather_rows(oct_report *r, octi_model *m);
oct_status octi_take_rows(oct_report *r, const oct_report_row *more, int32_t count);

/** The option of a recipe; NULL where it was not given. */
const char *octi_recipe_option(const octi_recipe *c, const char *key);
/** What the last call could not do becomes a note ("what: why"), and OCT_OK; failures that say
 *  nothing of a model (memory, a disk, a stop, an internal one) stay. */
oct_status octi_left_out(oct_report *r, octi_model *m, const char *what, oct_status s);
/** The same in words. */
oct_status octi_note(oct_report *r, octi_model *m, const char *text);
/** printf into the report's arena; NULL (recorded) on failure. */
char *octi_report_fmt(oct_report *r, const char *format, ...) OCT_PRINTF(2, 3);

/* ---- showing it ---- */

/** A layer's column, in the page and in the JSON. number or word; `below`: in the cell of the
 *  column before it. */
typedef struct octi_layer_column {
    const char *key, *label, *format;
    double (*number)(const oct_layer *);
    const char *(*word)(const oct_layer *);
    bool below, bar;
} octi_layer_column;
extern const octi_layer_column octi_layer_columns[];
extern const int octi_layer_column_count;

#endif
