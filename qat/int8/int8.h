/* SPDX-License-Identifier: MIT
 * qat/int8/int8.h - int8 modules: a node of G3 made ready to run. One table row per kind; integer
 * kinds are ops/qrun.h's, float kinds that stay between quantized ones are float_node.c's. */
#ifndef OCT_QAT_INT8_INT8_H
#define OCT_QAT_INT8_INT8_H

#include "ops/qrun.h"
#include "src/net.h"

enum { OCTI_MAX_INPUTS = 65 };    /* 64 members of a cat and their multipliers */
enum { OCTI_MAX_PARAMETERS = 8 }; /* inputs of a float kind that may be parameters */

/** A float layer that was kept (law 12): octet's own f32 kernels, image by image, in one order,
 * never BLAS. */
typedef struct octi_fnode octi_fnode;
struct octi_part;
typedef void octi_fnode_fn(const octi_fnode *f, const float *const *in, float *out, void *scratch);
/** A part of one image: rows in units, channels in panels (ops/conv_internal.h). */
typedef void octi_fnode_part_fn(const octi_fnode *f, const float *const *in, float *out,
                                const struct octi_part *part, void *scratch);
typedef double octi_fnode_cycles_fn(const octi_fnode *f, const struct octi_part *part);
/** n images; in and out as run has them, and the channels of a part. */
typedef void octi_fnode_all_fn(const octi_fnode *f, const float *const *in, float *out, int64_t n,
                               const struct octi_part *part, void *scratch);
struct octi_fnode {
    octi_fnode_fn *run; /* one image; NULL where `part` or `all` runs */
    octi_fnode_part_fn *part;
    octi_fnode_cycles_fn *cycles; /* of a part, reckoned; NULL: of no matter beside convolutions */
    int32_t units, panels;        /* that an image may be cut into: rows, or tiles; see octi_qrun */
    int32_t tiles;                /* of an image that is cut by tiles; 0: by rows */
    const octk_table *kernels;    /* of the context that the node was made in */
    oct_op_kind kind;
    oct_attrs a;
    oct_shape x, y; /* first input and output, batch in dim[0] */
    const float *w, *b;
    const oct_tensor *codes; /* dynamic_linear: s8 [O,K], and a scale per output */
    const float *scale;
    const struct octi_direct *conv;     /* ops/conv_internal.h */
    const void *own;                    /* float_free.c */
    octi_fnode_all_fn *all;             /* all images of a call at once; NULL: run, one by one */
    const struct octi_flstm *lstm;      /* recurrent_node.c */
    const float *mean, *factor, *shift; /* a batch norm: (v - mean) * factor + shift */
    int64_t image_in[OCTI_MAX_INPUTS], image_out; /* elements per image */
    int32_t nin;
    size_t scratch;
    bool elementwise;
    octi_path path; /* the branch of its kind */
};

typedef struct octi_qmodule {
    const char *name;
    oct_op_kind kind;
    int32_t nin;
    const int32_t *in; /* [nin] values; -1 for constants and absent inputs */
    int32_t out;
    int32_t node;               /* of the graph */
    int32_t also_count;         /* nodes whose work is in it too; the last one's output is `out` */
    const char *const *also;    /* their names, NULL behind them; NULL: none */
    const octi_path *also_path; /* how each was taken */
    bool is_float;
    bool view;         /* the same bytes in the same order: no work where memory is shared */
    uint32_t in_place; /* bit k: the output may take the place of input k in memory */
    size_t scratch;
    octi_share share; /* of an image on several threads; the plan's choice */
    union {
        octi_qrun q;
        octi_fnode f;
    } u;
} octi_qmodule;

/** Bytes of a graph's constants, as they are stored. */
int64_t octi_constant_bytes(const oct_graph *g);
/** Judge node `node` of a graph with so many, in `arena`; pointers into its tensors are kept.
 *  Checks everything that running relies on: see oct_int8_load for the errors. Nothing is packed
 *  yet: octi_qmodule_bind. */
oct_status octi_qmodule_init(octi_qmodule *m, octi_arena *arena, const oct_graph *g, int32_t node,
                             int64_t constants);
/** No value and no constant of the graph is codes or half precision. */
bool octi_is_float_whole(const oct_graph *g);
/** Pack for the layouts of its inputs (of constants ignored) and its output. */
oct_status octi_qmodule_bind(octi_qmodule *m, const octi_layout *in, const octi_layout *out);
/** call->in[k] as m->in (NULL for constants); allocates nothing,
 *  cannot fail. */
void octi_qmodule_run(const octi_qmodule *m, const octi_qcall *call);
/** Pieces that an image may be cut into. */
int32_t octi_qmodule_units(const octi_qmodule *m);
/** Cycles of an image, reckoned. */
double octi_qmodule_cycles(const octi_qmodule *m);
/** How threads share an image of it, the plan's choice (m->share); and what part i of that is. */
octi_share octi_qmodule_share(const octi_qmodule *m, int32_t threads);
void octi_qmodule_part(const octi_qmodule *m, int64_t i, octi_qcall *call);

/** Check a G3 net whole: stage, graph, shapes of values, one input and an f32 output, the pixel
 * table, and every node by judging it (memory of that is given back). */
oct_status octi_int8_check(const oct_net *net);
/** The same but for the nodes: for who judges them himself. */
oct_status octi_int8_check_net(const oct_net *net);
/** The pixel table ("input.table", u8 [C,256]) of a net, NULL where it has none. */
const oct_tensor *octi_int8_table(const oct_net *net);

/** float_node.c. Whoever runs a layer that stayed float - the plan, and the evaluation that it is
 *  held against - runs this. */
/** `free`: of a net that is float whole, which may take Winograd; else law 12's one order of
 *  sums. */
oct_status octi_fnode_init(octi_fnode *f, octi_arena *arena, const oct_graph *g, const oct_node *n,
                           bool free);
/** A kind that can stay float between quantized layers. */
bool octi_fnode_has(oct_op_kind kind);
/** n images in order; in[k] NULL for constants; f->scratch bytes of scratch. Allocates nothing,
 *  cannot fail. */
void octi_fnode_run(const octi_fnode *f, const void *const *in, void *out, int64_t n,
                    void *scratch);
/** The same of a part: the call's units and panels. */
void octi_fnode_run_part(const octi_fnode *f, const octi_qcall *call);
/** Cycles of an image, and of the largest part of a share of it (octi_share_fn), reckoned. */
double octi_fnode_cycles(const octi_fnode *f);
double octi_fnode_part_cycles(const void *f, octi_share share);

#endif
