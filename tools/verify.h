/* SPDX-License-Identifier: MIT
 * tools/verify.h - octet verify: two sides, whatever they are, give the values of named layers for
 * a batch; they are compared layer by layer. */
#ifndef OCT_TOOLS_VERIFY_H
#define OCT_TOOLS_VERIFY_H

#include "tools/cli.h"

enum { VERIFY_BATCH = 32 };

typedef struct verify_side verify_side;

/** A kind of model that can be held against another: a row of verify_sides.c. Functions that return
 *  int: 0, or the exit code behind a message. */
typedef struct side_kind {
    const char *word; /* "an octet model", "an ONNX file" */
    /** Whether a path is such a model, by what is there. */
    bool (*is)(const char *path);
    /** Fill in what verify_side says of itself. other: the side that is open already, or NULL; its
     *  net, where it has one, knows layouts and layers. */
    int (*open)(verify_side *s, const verify_side *other);
    /** Run x f32 [n,H,W,C], n <= VERIFY_BATCH. */
    int (*run)(verify_side *s, const oct_tensor *x);
    /** What a layer made of the last batch: f32, or u8 or s8 codes, in octet's layout; borrowed
     *  until the next run. NULL where this side has no such layer, or does not keep it. */
    const oct_tensor *(*value)(verify_side *s, const char *layer);
    void (*close)(verify_side *s);
    /* floats are equal where they differ by no more than this share of the layer's largest; 0: to
     * the bit */
    double tolerance;
    /* what its arithmetic does that the law does not, for a layer of a kind; NULL: nothing known */
    const char *(*differs)(const verify_side *s, oct_op_kind kind, int32_t by);
} side_kind;

struct verify_side {
    cli *c;
    const side_kind *kind;
    const char *path;
    oct_net *net;        /* of an octet model; else NULL */
    oct_shape input;     /* [N,H,W,C]; rank 0: not known */
    oct_input_desc desc; /* how pixels become its input; channels 0: not said */
    const char **layers; /* its layers' names in order, NULL at the end; borrowed */
    void *state;         /* the kind's own */
};

extern const side_kind verify_onnx_file, verify_c_file; /* verify_c.c */

/** Two sides, each of the first kind that says yes to its path; octet's own models are opened
 *  first. */
int verify_open(verify_side *a, verify_side *b, cli *c);
/** Nothing was opened: fine. */
void verify_close(verify_side *s);

/** What a layer's values were like in all batches. */
typedef struct verify_layer {
    const char *name;
    oct_op_kind kind; /* OCT_OP_KIND_COUNT where no side knows */
    int32_t law;      /* attr.law of its node: 0 fp32, 1 q31 */
    bool codes;
    int64_t values, differing;
    /* of differing: in images where all that the layer reads was equal; -1: not known */
    int64_t own;
    double largest;     /* difference, of all values; infinite where one side is no number */
    double own_largest; /* of those that are its own doing */
} verify_layer;

typedef struct verify_result {
    verify_layer *layers; /* that were compared, in order; freed by verify_result_free */
    int32_t count;
    int64_t codes, mismatched, floats, differing;
    int32_t first; /* of layers; -1: none differs */
    int64_t element;
    double expected, got;
    int32_t same_names;                   /* layers that both sides have */
    const char *other_kind, *other_shape; /* the first layer of each; NULL: none */
    int32_t other_kinds;
    bool a_floats; /* other_kind: floats in a, codes in b */
} verify_result;

/** Compare until the data end or something cannot be compared. */
int verify_compare(verify_side *a, verify_side *b, oct_data *data, verify_result *r);
void verify_result_free(verify_result *r);

/** Where the grids of a layer's output are not the same in two models of octet: scale and zero
 *  point of each, in words; else NULL. */
const char *verify_other_grid(const verify_side *a, const verify_side *b, const char *layer);
/** The rule of the law by which a layer computes, in words. */
const char *verify_rule(const verify_layer *l);

#endif
