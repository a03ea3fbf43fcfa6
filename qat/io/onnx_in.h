/* SPDX-License-Identifier: MIT
 * qat/io/onnx_in.h - ONNX in, from inside: a file's values, what readers of ops (onnx_ops.def) see
 * of a node, and what they make of it.
 *
 * Nodes are read in their order. Each of their values is a constant (weights, and what the constant
 * evaluator makes of shape arithmetic), a value of the net, or lost: it comes from a node that
 * octet does not take. A reader judges its attributes first, then its inputs: so a file's refusals
 * are all found in one reading. */
#ifndef OCT_QAT_IO_ONNX_IN_H
#define OCT_QAT_IO_ONNX_IN_H

#include "qat/io/onnx.pb-c.h"
#include "src/arena.h"
#include "src/net.h"

typedef OctiOnnx__NodeProto octi_onnx_proto;

enum {
    OCTI_ONNX_RANK = 8,      /* most axes of a constant */
    OCTI_ONNX_NODES = 65536, /* of a file */
    OCTI_ONNX_VALUES = 8192, /* of a net: as many as a run's graph may hold */
    OCTI_ONNX_ARGS = 64      /* inputs or outputs that a reader sees */
};
/** The batch size, where a shape is a constant. */
#define OCTI_ONNX_BATCH (INT64_MIN / 2 + 0x0c7e7)

/* ---- constants ---- */

/** What a constant was before DequantizeLinear: codes less their zero points, times scales. */
typedef struct octi_onnx_codes {
    const float *scale; /* [count] along the axis; one for all */
    int64_t count;
    int axis;
    int64_t least, most; /* of the codes less their zero points */
} octi_onnx_codes;

/** A tensor with its elements widened: floating types to f32, all others to s64. */
typedef struct octi_onnx_const {
    int elem; /* OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__... */
    int rank;
    int64_t dim[OCTI_ONNX_RANK], count;
    float *f;                     /* floating types */
    int64_t *i;                   /* whole numbers and truth values */
    const octi_onnx_codes *codes; /* NULL: floats of the file */
} octi_onnx_const;

/* ---- values ---- */

/** Order of the elements of a flattened value, as runs of them: each stands in octet as an image of
 *  `rank` sides does whose ONNX axis a (of size dim[a]) is octet's axis at[a]; rank 0: as it is. */
typedef struct octi_onnx_run {
    int64_t size;
    int rank;
    int64_t dim[OCT_MAX_RANK];
    int at[OCT_MAX_RANK];
} octi_onnx_run;
typedef struct octi_onnx_order {
    int32_t count;
    octi_onnx_run run[];
} octi_onnx_order;

typedef enum octi_onnx_state {
    OCTI_ONNX_UNMADE,
    OCTI_ONNX_LOST, /* of a node that is not taken */
    OCTI_ONNX_CONST,
    OCTI_ONNX_ACT
} octi_onnx_state;

/** Where a value of the net lies in octet: ONNX's axis a is octet's axis at[a]. Axis 0 is the batch
 *  in both. */
typedef struct octi_onnx_place {
    int32_t v; /* of the scratch graph */
    int rank;
    int64_t dim[OCT_MAX_RANK]; /* ONNX's; dim[0] is OCTI_ONNX_BATCH */
    int at[OCT_MAX_RANK];
    const octi_onnx_order *order; /* of octet's last axis; NULL: as in ONNX */
    int32_t turned;               /* node that transposed it last, -1 */
} octi_onnx_place;

typedef struct octi_onnx_value {
    const char *name;
    octi_onnx_state state;
    const OctiOnnx__TensorProto *tensor; /* an initializer's; widened when first asked for */
    const octi_onnx_const *c;
    octi_onnx_place at;
    const struct octi_onnx_value *alias; /* the same value under another name */
    int32_t maker;                       /* node, -1 */
    int32_t readers, reader;             /* their number, and the last one */
    int32_t dequantizer, other;          /* of codes: a DequantizeLinear that reads them; a reader
                                          * that is none, nor passes them on, nor makes
                                          * indices of them; -1 */
    int32_t coder;                       /* node whose codes these are, -1 */
    int32_t quantizers, quantizer;       /* readers that are QuantizeLinear, and one of them */
    bool unlike;                         /* their grids are not one */
    bool output;
    int32_t param; /* of the scratch graph: made of it for several readers; -1 */
} octi_onnx_value;

/** Values by name. */
typedef struct octi_onnx_table {
    octi_name_index by_name; /* at: of value */
    octi_onnx_value **value;
    size_t room;
} octi_onnx_table;

/* ---- the reading ---- */

struct octi_onnx_refusals;
typedef struct octi_onnx {
    oct_ctx *ctx;
    octi_arena *arena; /* all that the reading needs */
    const char *where;
    size_t bytes; /* of the file */
    const OctiOnnx__ModelProto *model;
    const OctiOnnx__GraphProto *graph;
    int64_t opset, batch;   /* batch: the file's fixed one, 0 where it is none */
    octi_onnx_table values; /* the file's */
    octi_onnx_table names;  /* octet's: readers counts how often one was wished for */
    bool *done;             /* [nodes] read, folded, or part of what another became */
    octi_onnx_value *input, *output;
    oct_graph *to;                 /* scratch: the net, before the dead is left out */
    bool shared[OCTI_ONNX_VALUES]; /* parameters that several nodes of the file have */
    int64_t made;                  /* elements that may still be made of what is not in the file */
    struct octi_onnx_refusals *refusals;
    struct octi_onnx_scope **scopes;
    int32_t marks; /* QuantizeLinear of values: marks where as_floats, else grids */
    bool as_floats, grids_refused;
} octi_onnx;

typedef struct octi_onnx_node {
    octi_onnx *o;
    int32_t index;
    const octi_onnx_proto *p;
    int nin, nout;
    octi_onnx_value *in[OCTI_ONNX_ARGS], *out[OCTI_ONNX_ARGS]; /* NULL: absent */
    const char *path;                                          /* of its module */
} octi_onnx_node;

/** A reader's result: OCT_OK; OCT_EUNSUPPORTED where the node was refused, or where an input of it
 *  is lost; any other code ends the reading. */
typedef oct_status octi_onnx_fn(octi_onnx_node *n);

typedef struct octi_onnx_row {
    const char *op;
    octi_onnx_fn *read, *fold; /* of the net's values; of constants alone */
    int least, most;           /* inputs */
    const char *attributes;    /* that it knows, with spaces around each */
} octi_onnx_row;
/** NULL where octet has no such op. */
const octi_onnx_row *octi_onnx_row_of(const char *op);
/** Rows in their order; NULL behind the last. */
const octi_onnx_row *octi_onnx_row_at(int i);
#define OCT_ONNX_OP(op, read, fold, least, most, attributes)                                       \
    octi_onnx_fn octi_onnx_read_##read, octi_onnx_fold_##fold;
#include "qat/io/onnx_ops.def"

/* onnx_message.c: bytes to messages; their structure */
oct_status octi_onnx_unpack(octi_onnx *o, const uint8_t *bytes, size_t size);

/* onnx_values.c: the table of names */
octi_onnx_value *octi_onnx_find(const octi_onnx *o, const char *name);
/** Found, or added; NULL on failure. */
octi_onnx_value *octi_onnx_named(octi_onnx *o, const char *name);
octi_onnx_value *octi_onnx_table_named(octi_onnx_table *t, octi_arena *a, const char *name);
/** Is a value read once, and nothing but an intermediate one? */
bool octi_onnx_sole(const octi_onnx_value *v);
/** Its one reader; NULL where there is none, or more. */
const octi_onnx_proto *octi_onnx_next(const octi_onnx *o, const octi_onnx_value *v);

/* onnx_const.c */
/** A tensor's elements, widened; NULL on failure. `name` is for errors. */
octi_onnx_const *octi_onnx_widen(octi_onnx *o, const OctiOnnx__TensorProto *t, const char *name);
/** The constant that a value is, NULL where it is none (or, recorded, unreadable). */
const octi_onnx_const *octi_onnx_const_of(octi_onnx *o, octi_onnx_value *v);
/** A constant to be filled; NULL (recorded) where the evaluator has made too much. */
octi_onnx_const *octi_onnx_const_new(octi_onnx *o, int elem, int rank, const int64_t *dim);
bool octi_onnx_elem_is_float(int elem);
const char *octi_onnx_elem_word(int elem);
/** Element k as a number. */
double octi_onnx_number(const octi_onnx_const *c, int64_t k);
/** "[1, 3]"; as oct_shape_text, in a rotating buffer. */
const char *octi_onnx_dims_text(int rank, const int64_t *dim);

/* onnx_refuse.c */
/** Why something is not taken, by what helps: onnx_cures.def. */
typedef enum octi_onnx_cause {
#define OCT_ONNX_CURE(cause, words) OCTI_CURE_##cause,
#include "qat/io/onnx_cures.def"
    OCTI_CURES
} octi_onnx_cause;
/** What to do about it; op: NULL, or the node's, for OCTI_CURE_OP. Never NULL, never empty. */
const char *octi_onnx_cure(octi_onnx_cause cause, const char *op);
/** Note that a node is not taken, and why; OCT_EUNSUPPORTED. */
oct_status octi_onnx_refuse(const octi_onnx_node *n, octi_onnx_cause cause, const char *format, ...)
    OCT_PRINTF(3, 4);
/** The same of the file: an input, an output. */
oct_status octi_onnx_refuse_file(octi_onnx *o, octi_onnx_cause cause, const char *format, ...)
    OCT_PRINTF(3, 4);
/** OCT_OK where nothing was refused; else one error that lists all. */
oct_status octi_onnx_refused(const octi_onnx *o);
/** What ops say of a node that does not fit them: refused, if it is the node's fault. */
oct_status octi_onnx_refuse_last(const octi_onnx_node *n);
/** A name of the file as messages have it: short, no odd characters. */
const char *octi_onnx_word(const char *name);

/* onnx_attrs.c: attributes and inputs of a node */
oct_status octi_onnx_attr_int(const octi_onnx_node *n, const char *name, int64_t otherwise,
                              int64_t *v);
oct_status octi_onnx_attr_float(const octi_onnx_node *n, const char *name, float otherwise,
                                float *v);
/** *count: numbers that are there, 0 where it is absent; more than `most`: refused. */
oct_status octi_onnx_attr_ints(const octi_onnx_node *n, const char *name, int most, int64_t *v,
                               int *count);
/** A string attribute, `otherwise` where absent; in a rotating buffer. */
oct_status octi_onnx_attr_word(const octi_onnx_node *n, const char *name, const char *otherwise,
                               const char **v);
const OctiOnnx__AttributeProto *octi_onnx_attr(const octi_onnx_proto *p, const char *name);
bool octi_onnx_is(const octi_onnx_proto *p, const char *op);
/** Is input k there? */
bool octi_onnx_has(const octi_onnx_node *n, int k);
/** Input k as a value of the net, as a constant, as whole numbers (refused where absent or other;
 *  lost: OCT_EUNSUPPORTED). */
oct_status octi_onnx_act(const octi_onnx_node *n, int k, const octi_onnx_value **v);
oct_status octi_onnx_weights(const octi_onnx_node *n, int k, const char *role,
                             const octi_onnx_const **c);
oct_status octi_onnx_whole(const octi_onnx_node *n, int k, const char *role, int most, int64_t *v,
                           int *count);
/** Whole numbers of an attribute, or, since some opset, of input k; *count -1 where both are
 *  absent. */
oct_status octi_onnx_axes(const octi_onnx_node *n, const char *name, int k, int64_t *v, int *count);
/** What a Slice takes of a value of `rank` axes: axes from 0 on, steps as they are, 1 where not
 *  given. */
typedef struct octi_onnx_cut {
    int64_t from[OCTI_ONNX_RANK], to[OCTI_ONNX_RANK], step[OCTI_ONNX_RANK];
    int axis[OCTI_ONNX_RANK], count;
} octi_onnx_cut;
oct_status octi_onnx_cut_of(const octi_onnx_node *n, int rank, octi_onnx_cut *cut);
/** A number of an attribute, or of input k. */
oct_status octi_onnx_scalar(const octi_onnx_node *n, const char *name, int k, float otherwise,
                            float *v);
/** An axis of `rank`, counted from its end where negative; refused where it is none. */
oct_status octi_onnx_axis(const octi_onnx_node *n, int64_t axis, int rank, int *to);

/* onnx_emit.c: nodes of the net */
/** A name that nothing has yet: the module's path, with ".suffix" behind it where there is one.
 *  NULL on failure. */
const char *octi_onnx_name(const octi_onnx_node *n, const char *suffix);
/** A parameter "<node>.<suffix>" of zeros; -1 on failure. */
int32_t octi_onnx_param(octi_onnx *o, const char *node, const char *suffix, oct_value_role role,
                        oct_shape shape);
/** A node under a name of octi_onnx_name; *out gets its value. Refused where ops refuse it. */
oct_status octi_onnx_emit(const octi_onnx_node *n, oct_op_kind kind, const char *name,
                          const oct_attrs *a, const int32_t *in, int nin, int32_t *out);
/** Output k is v, which lies as x does. */
oct_status octi_onnx_like(octi_onnx_node *n, int k, const octi_onnx_place *x, int32_t v);
/** A node of one input that leaves shapes as they are: input 0 to output 0. */
oct_status octi_onnx_unary(octi_onnx_node *n, oct_op_kind kind, const oct_attrs *a);
/** The node that makes a value of the net; NULL for the input. */
oct_node *octi_onnx_producer(const octi_onnx *o, int32_t v);
/** The net: what its output needs of the scratch graph. */
oct_status octi_onnx_keep(octi_onnx *o, oct_net *net);

/* onnx_place.c: where axes lie */
/** [N,C,H,W] as octet has images. A reshape is put in where only sides of 1 lie elsewhere;
 *  refused otherwise. */
oct_status octi_onnx_images(octi_onnx_node *n, const octi_onnx_value *x, octi_onnx_place *to);
/** [N,K]. */
oct_status octi_onnx_vectors(octi_onnx_node *n, const octi_onnx_value *x, octi_onnx_place *to);
/** Would ONNX's axes lie at `at` without an element being moved? */
bool octi_onnx_lies_at(const octi_onnx_place *x, const int *at);
/** The output: at the axes that octet gives values of its rank back at, where a reshape does it. */
oct_status octi_onnx_settle(octi_onnx_node *n, octi_onnx_place *x);
/** Place of octet's images or vectors v: rank 4 from octet's shape, rank 2. */
octi_onnx_place octi_onnx_placed(const octi_onnx *o, int32_t v);
/** ONNX's index of octet's element k of the last axis. */
int64_t octi_onnx_index(const octi_onnx_order *order, int64_t k);
bool octi_onnx_same_order(const octi_onnx_order *a, const octi_onnx_order *b);
/** Output 0 is x with dims `dim` of ONNX (dim[0] the batch): a reshape, or only other axes. */
oct_status octi_onnx_reshaped(octi_onnx_node *n, const octi_onnx_place *x, int rank,
                              const int64_t *dim);
/** ONNX's axis that is octet's last; octet's last axis. */
int octi_onnx_channel_axis(const octi_onnx_place *x);
int64_t octi_onnx_channels(const octi_onnx_place *x);
/** A convolution that is never trained, of attributes a: channel k of its result is element at[k]
 *  of the window [R,S,C/groups], -1: 0. */
oct_status octi_onnx_one_hot(octi_onnx_node *n, int32_t x, oct_attrs a, const int64_t *at,
                             int64_t count, const char *suffix, int32_t *v);
/** Channels idx[0..count) of an image, -1: zeros: such a convolution of 1x1. */
oct_status octi_onnx_pick(octi_onnx_node *n, const octi_onnx_place *x, const int64_t *idx,
                          int64_t count, const char *suffix, octi_onnx_place *to);
/** x becomes elements from..to of its axis: a slice "<path>.suffix", or nothing where that is all;
 *  refused where nothing is left. */
oct_status octi_onnx_cut_axis(octi_onnx_node *n, octi_onnx_place *x, int axis, int64_t from,
                              int64_t to, const char *suffix);
/** A constant that is one number a channel, or one for all, in octet's order; refused otherwise.
 *  NULL in *to on failure. */
oct_status octi_onnx_per_channel(const octi_onnx_node *n, const octi_onnx_place *x,
                                 const octi_onnx_const *c, float **to);

/* onnx_blocks.c */
/** Six axes to an image: blocks of it to channels, or channels to blocks, as PixelUnshuffle and
 *  PixelShuffle are exported. dim: the image's; *is: they are, and *to is it. */
oct_status octi_onnx_blocks(octi_onnx_node *n, const octi_onnx_place *x, const int64_t *dim,
                            bool *is, octi_onnx_place *to);

/* onnx_affine.c */
/** x * scale + shift, per channel (octet's order; NULL: 1, 0): in the weights that made x, or a
 *  batch norm at rest. *to may be x itself. */
oct_status octi_onnx_affine(octi_onnx_node *n, const octi_onnx_value *x, const float *scale,
                            const float *shift, octi_onnx_place *to);
/** The same as a batch norm at rest, whatever made x. */
oct_status octi_onnx_at_rest(octi_onnx_node *n, const octi_onnx_place *x, const float *scale,
                             const float *shift, octi_onnx_place *to);
/** A batch norm of x with parameters [C] in octet's order, all copied; at rest: never trained. */
oct_status octi_onnx_batch_norm(octi_onnx_node *n, const octi_onnx_place *x, const float *par[4],
                                float eps, float momentum, bool rests, int32_t *out);
/** A batch norm of x (as above) in the weights that made x, whose codes are the file's; *done:
 *  false where they cannot take it. */
oct_status octi_onnx_norm_into_codes(octi_onnx_node *n, const octi_onnx_value *x,
                                     const float *const par[4], float eps, bool *done);

/* onnx_grids.c: grids of the net's values and weights, in the scratch graph; nothing where the file
 * comes in as floats */
/** The grid of a value, NULL where it has none. */
const oct_quantizer *octi_onnx_grid_of(const octi_onnx *o, int32_t v);
/** All that read a value round it to one grid. */
bool octi_onnx_rounded_alike(const octi_onnx_value *x);
/** What add_readers notes of a QuantizeLinear (node) that reads v. */
void octi_onnx_note_quantizer(octi_onnx *o, octi_onnx_value *v, int32_t node);
/** v stands on scale and zero point, of u8 codes up to the highest. */
oct_status octi_onnx_set_grid(octi_onnx *o, int32_t v, float scale, int32_t zero, int32_t highest);
/** The weights w of a node hold codes; its output channels are the constant's axis `axis`, all
 *  times alpha. Refused where octet has no such codes. */
oct_status octi_onnx_set_weight_grid(octi_onnx_node *n, const octi_onnx_const *c, int axis,
                                     float alpha, int32_t w);
/** The weights w are about to be times scale[rows]: their grid with them, and the codes stay (of a
 *  factor below 0: their negatives). *done: false, and nothing changed, where there is no such
 *  grid, or none of the net's values stands on one. */
oct_status octi_onnx_scale_weight_grid(octi_onnx *o, int32_t w, const float *scale, bool *done);
/** A value has a grid that has all its codes: -128 may have become 128 by a factor below 0, and may
 *  have come back by another one. */
bool octi_onnx_grid_holds(const octi_onnx *o, int32_t v);

/* onnx_qdq.c: codes of the net's values */
/** A Cast to a type of codes, an Identity, a Clip: codes may go through it. */
bool octi_onnx_may_pass_codes(const octi_onnx_proto *p);
/** The node whose codes v are, a QuantizeLinear or a table; NULL: they are no codes. */
const octi_onnx_proto *octi_onnx_coder(const octi_onnx *o, const octi_onnx_value *v);
/** Output 0 is the codes of input 0. */
oct_status octi_onnx_pass_codes(octi_onnx_node *n);

/* onnx_table.c: functions of codes by their tables */
/** A Cast to whole numbers, a Gather of a constant table by what such a Cast made. */
bool octi_onnx_is_index_cast(const octi_onnx_proto *p);
bool octi_onnx_is_table(octi_onnx *o, const octi_onnx_proto *p);
/** A value whose one reader is such a Gather. */
bool octi_onnx_is_index(octi_onnx *o, const octi_onnx_value *v);
oct_status octi_onnx_read_table(octi_onnx_node *n);

/* onnx_names.c */
oct_status octi_onnx_scan_scopes(octi_onnx *o);
/** The path of a node's module, as PyTorch has it: from its weight's name, from what an exporter
 *  noted, else its own name. */
oct_status octi_onnx_path_of(octi_onnx_node *n);

/* onnx_fold.c */
oct_status octi_onnx_fold_output(octi_onnx_node *n, int k, octi_onnx_const *c);
/** Position of every element of a broadcast shape in one that is broadcast to it. */
bool octi_onnx_broadcast(const octi_onnx_const *a, const octi_onnx_const *b, int *rank,
                         int64_t dim[OCTI_ONNX_RANK]);
int64_t octi_onnx_broadcast_at(const octi_onnx_const *c, int rank, const int64_t *dim, int64_t k);

#endif
