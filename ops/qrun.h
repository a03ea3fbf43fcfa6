/* SPDX-License-Identifier: MIT
 * ops/qrun.h - a prepared integer op: what tensor ops (qops.h) and int8 modules (qat/int8) both
 * run.
 *
 * Two steps make one ready. octi_qinit judges shapes, attributes, dtypes, clamps and multipliers,
 * proves that no accumulator can overflow, and chooses how it runs: of a convolution's candidates
 * (qconv.def) the cheapest of those that the context's CPU features and the proven bounds allow.
 * octi_qbind packs for the layouts that its values have. Running then is serial, allocates nothing
 * and cannot fail. Operands may come from a file. */
#ifndef OCT_OPS_QRUN_H
#define OCT_OPS_QRUN_H

#include "ops/kernels/kernels.h"
#include "ops/layout.h"
#include "src/arena.h"
#include "src/graph.h"
#include "src/paths.h"

/** An operand: a value with its qparams, or a constant. Shapes have the batch in dim[0] (ignored);
 * constants do not. */
typedef struct octi_qdesc {
    oct_dtype dtype;
    oct_shape shape;
    const oct_tensor *tensor; /* constants; else NULL */
    int64_t beside;           /* weights: bytes of the net's others, as they are stored */
    bool quantized;           /* the fields below hold */
    float scale;
    int32_t zero_point, qmin, qmax;
} octi_qdesc;

typedef struct octi_qconv octi_qconv; /* ops/qconv.h */

typedef struct octi_qcat {
    int32_t count;
    const int64_t *inner;   /* [count] codes of a run */
    const octk_map_u8 *map; /* [count] */
} octi_qcat;

typedef struct octi_qpad {
    int32_t h, w, c, top, left, p, q;
    uint8_t code;
} octi_qpad;

typedef struct octi_qslice {
    int64_t rows, pitch, from, run; /* of an image: codes from `from` on of rows that lie `pitch`
                                     * apart */
} octi_qslice;

typedef struct octi_qlin { /* quantize and dequantize */
    float scale;
    int32_t zero_point, qmin, qmax;
    octk_quantize_f32u8_fn *to_codes;
    octk_dequantize_u8f32_fn *to_floats;
    int64_t row, row_pitch, image_pitch; /* elements of a unit; bytes of codes */
} octi_qlin;

typedef struct octi_qmap {
    octk_map_u8_fn *fn;
    octk_map_u8 dense, cut; /* all codes of an image at once (c > 0 where it may be); row by row */
    bool by_pixel;          /* a pixel is a run: an operand is broadcast, or softmax */
    int32_t channels;       /* of a pixel */
} octi_qmap;

typedef struct octi_qpool {
    octk_pool_u8_fn *fn;
    octk_pool_u8 pool;
} octi_qpool;

enum { OCTI_PANEL = 16 };
/** An image of a step cut for several threads: so many parts along its units, and of each so many
 *  along its panels. Parts meet nowhere in the output. */
typedef struct octi_share {
    int32_t rows, panels;
} octi_share;

/** What a run works on. `in` and `out` point at pixel (0, 0) of the first image, NULL for
 *  constants; the layouts are those that the op was bound to. */
typedef struct octi_qcall {
    const void *const *in; /* [nin] */
    void *out;
    int64_t n;             /* images */
    int32_t from, to;      /* of the op's units */
    int32_t panel, panels; /* of the op's panels: the first one, and how many; 0: all */
    int32_t first;         /* of a convolution: the unit at whose first row `out` points */
    void *scratch;         /* octi_qrun.scratch bytes and n times its band, 64-byte aligned */
} octi_qcall;

typedef struct octi_qrun octi_qrun;
typedef struct octi_qargs octi_qargs;
typedef struct octi_qtail octi_qtail; /* ops/qtail.c */
typedef void octi_qrun_fn(const octi_qrun *r, const octi_qcall *c);
typedef oct_status octi_qbind_fn(const octi_qargs *q);
struct octi_qrun {
    octi_qrun_fn *run;
    octi_qbind_fn *bind;
    const octi_qargs *args;    /* what it was judged by; in its arena */
    const octk_table *kernels; /* of the context that the op was made in */
    octi_path path;            /* the branch of its kind, for the session's counts */
    const char *kernel;        /* that does the work: a row of kernels.def, or "copy" */
    const char *why;           /* the choice, in words: "rows 12.1 thousand cycles; patches 90.3" */
    size_t scratch;            /* bytes that a run needs, whatever its units */
    int64_t image;             /* elements of the output per image */
    double cycles;             /* of an image, by the model that the choice was made with */
    int32_t units;             /* pieces, along the output's rows, that an image may be cut into */
    int32_t unit_rows;         /* rows of the output that a unit stores, the last one maybe fewer */
    int32_t panels;    /* pieces of OCTI_PANEL of the output's channels, that it may be cut into; 1:
                       it may not be */
    octi_halo halo;    /* around input 0, that this way would like to find; it works without */
    bool pitched;      /* values may have any layout; else dense ones alone */
    uint32_t in_place; /* bit k: the output may take the place of input k in memory */
    octi_qtail *tail;  /* element-wise ops behind a convolution that run with it; NULL: none */
    size_t band;       /* bytes of scratch for each image of a call, besides */
    /* how sums become codes, as judged: the record that the node carries; kinds without a requant
     * have the law alone */
    octq_multipliers by;
    int32_t packed;  /* the input whose data binding packs and running reads no more; 0: none */
    const void *own; /* what the candidate of a convolution packed */
    const struct octi_candidate *candidate; /* of a convolution or linear layer; else NULL */
    union {
        const octi_qconv *conv;
        octi_qmap map;
        octi_qpool pool;
        octi_qcat cat;
        octi_qpad pad;
        octi_qslice slice;
        octi_qlin lin;
    } u;
};

/** Judge the op of `kind` and choose how it runs; in[nin] and out as op_kinds.def lists them are
 * copied to `arena`, which must outlive r. Kinds: all with flag Q, quantize, dequantize, and those
 * with flag G on codes. OCT_EUNSUPPORTED for another kind; OCT_ESHAPE, OCT_EDTYPE, OCT_EQPARAMS,
 * OCT_EUSAGE (attributes), OCT_ELIMIT (an accumulator may overflow: names the channel). */
oct_status octi_qinit(octi_qrun *r, octi_arena *arena, oct_op_kind kind, const oct_attrs *a,
                      const octi_qdesc *in, int nin, const octi_qdesc *out, const char *where);
/** Before binding: whether this op, a convolution whose output a 2x2 max pool of stride 2 without
 *  pads alone reads, takes that pool into itself. Then its output is the pool's: requant never
 *  falls as its sum rises, so the codes are those of the two in turn. OCT_ENOMEM. */
oct_status octi_qconv_take_pool(octi_qrun *r, bool *taken);
/** Before binding: whether this op, a convolution or linear layer whose output `map` alone reads,
 *  as operand `place`, takes that op into itself. Its output is then the map's, whose second
 *  operand, if it has one, is input `other` of the call (else -1). A band of rows at a time goes
 *  through both, each as on its own: the codes are those of the two in turn. A few may follow each
 *  other; `map` is copied. OCT_ENOMEM. */
oct_status octi_qconv_take_map(octi_qrun *r, const octi_qrun *map, int32_t place, int32_t other,
                               bool *taken);
/** The largest part's cycles. */
typedef double octi_share_fn(const void *op, octi_share share);
/** How `threads` share so many units and panels: so that the largest part costs least, of equals by
 *  units. cycles NULL: by units. */
octi_share octi_share_among(int32_t threads, int32_t units, int32_t panels, octi_share_fn *cycles,
                            const void *op);
/** Units, or panels, of the largest of so many parts. */
static inline int32_t octi_share_most(int32_t whole, int32_t parts) {
    return (whole + parts - 1) / parts;
}
/** What part i of the share has of them. */
void octi_share_part(int32_t units, int32_t panels, octi_share share, int64_t i, octi_qcall *call);
/** How `threads` share an image of it: by the units, and of a convolution also by the panels where
 *  its model says that the largest part is less so (of few rows with many weights, which each part
 *  reads all of unless it has panels of its own). */
octi_share octi_qrun_share(const octi_qrun *r, int32_t threads);
/** The op whose output is the step's: the last one taken, or r. */
const octi_qrun *octi_qrun_last(const octi_qrun *r);
/** Pack for these layouts (of constants they are ignored). OCT_ENOMEM. */
oct_status octi_qbind(octi_qrun *r, const octi_layout *in, const octi_layout *out);

/* ---- for the files behind it ---- */

struct octi_qargs {
    octi_qrun *r;
    octi_arena *arena;
    const oct_attrs *a;
    const octi_qdesc *in;
    int nin;
    const octi_qdesc *out;
    const char *where;
    const octi_layout *in_at, *out_at; /* while binding */
};
typedef oct_status octi_qinit_fn(const octi_qargs *q);
octi_qinit_fn octi_qinit_conv2d, octi_qinit_linear, octi_qinit_add, octi_qinit_mul, octi_qinit_cat,
    octi_qinit_max_pool2d, octi_qinit_avg_pool2d, octi_qinit_adaptive_avg_pool2d, octi_qinit_pad,
    octi_qinit_clip, octi_qinit_relu, octi_qinit_table, octi_qinit_softmax, octi_qinit_requantize,
    octi_qinit_quantize, octi_qinit_dequantize, octi_qinit_view, octi_qinit_slice;

/** Pack what a step with a tail holds. */
octi_qbind_fn octi_bind_tail;
/** An op of ops/qmap.c that may write over its operand `place`. */
bool octi_is_map(const octi_qrun *r, int32_t place);
/** It, on h rows from the ones that x, x2 (NULL: none) and y point at, of n images in the layouts
 *  that it was bound to; of each pixel `channels` from `channel` on, 0: all. */
void octi_map_rows(const octi_qrun *r, const void *x, const void *x2, void *y, int64_t n, int32_t h,
                   int32_t channel, int32_t channels);
/** Elements of one image. */
int64_t octi_image_count(const oct_shape *s);
/** Operand k is codes (u8) with sound qparams. */
oct_status octi_need_codes(const octi_qargs *q, const octi_qdesc *d, const char *what);
/** Input k and the output stand on one grid. */
oct_status octi_need_same_grid(const octi_qargs *q);
/** Input k is a constant of this dtype with this shape. */
oct_status octi_need_const(const octi_qargs *q, int k, const char *what, oct_dtype dtype,
                           oct_shape shape);
/** attr.lo..attr.hi inside the output's codes. */
oct_status octi_need_clamp(const octi_qargs *q);
/** Input k holds `count` requant records of the node's law (attr.law): f32 [count], or s32
 *  [2,count], multipliers and then shifts. r->by has them. */
oct_status octi_need_records(const octi_qargs *q, int k, int64_t count);
/** Records from the i-th on. */
static inline octq_multipliers octi_records_at(const octq_multipliers *by, int64_t i) {
    octq_multipliers at = {.law = by->law};
    if (by->law == OCTQ_FP32) return at.m = by->m + i, at;
    at.q31 = by->q31 + i;
    at.shift = by->shift + i;
    return at;
}
/** Record i of r->by. fp32: finite, > 0, and bound * m finite; it may leave s32 by far (a value
 *  that was always zero, behind a large one): kernels clamp in float before converting. q31:
 *  multiplier at least 0, shift -31 to 30; whatever they make of a sum saturates. */
oct_status octi_need_multiplier(const octi_qargs *q, int64_t i, int64_t bound);
oct_status octi_need_shape(const octi_qargs *q, const octi_qdesc *d, const char *what,
                           oct_shape want);
/** Largest |q - z| that codes of d can have. */
static inline int32_t octi_reach(const octi_qdesc *d) {
    int32_t below = d->zero_point - d->qmin, above = d->qmax - d->zero_point;
    return below > above ? below : above;
}
/** Of an add of codes, everything else known: how its operands are lifted, where the codes of all
 *  65,536 pairs are proven to be the law's, else not at all. */
void octi_lift_add(octk_map_u8 *a);
/** Of m's odd part, modulo 2^32; modulo: the power of two that 24 bits of a product with it leave.
 *  m is a normal float above 0. */
uint32_t octi_odd_inverse(float m, uint32_t *modulo);
/** Output size of a window: (size + pad0 + pad1 - dilation * (kernel - 1) - 1) / stride + 1.
 * OCT_EUSAGE, OCT_ESHAPE. */
oct_status octi_window(const char *where, const char *axis, int64_t size, int32_t pad0,
                       int32_t pad1, int32_t kernel, int32_t stride, int32_t dilation,
                       int64_t *out);

#endif
