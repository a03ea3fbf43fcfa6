/* SPDX-License-Identifier: MIT
 * ops/qrun.h - a prepared integer op: what tensor ops (qops.h) and int8 modules (qat/int8) both
 * run.
 *
 * octi_qinit judges shapes, attributes, dtypes, clamps and multipliers, packs weights, and proves
 * that no accumulator can overflow; running is then serial, allocates nothing and cannot fail.
 * Operands may come from a file. */
#ifndef OCT_OPS_QRUN_H
#define OCT_OPS_QRUN_H

#include "ops/kernels/kernels.h"
#include "src/arena.h"
#include "src/graph.h"
#include "src/paths.h"

/** An operand: a value with its qparams, or a constant. Shapes have the batch in dim[0] (ignored);
 * constants do not. */
typedef struct octi_qdesc {
    oct_dtype dtype;
    oct_shape shape;
    const oct_tensor *tensor; /* constants; else NULL */
    bool quantized;           /* the fields below hold */
    float scale;
    int32_t zero_point, qmin, qmax;
} octi_qdesc;

typedef struct octi_qconv {
    octk_patch_u8s16 patch; /* base and out filled per call */
    octk_dot_s16u8 dot;
    octk_dw_u8s16 dw;
    bool depthwise;
    int32_t p, q, o, groups, stride_h, pad_top, pad_left;
} octi_qconv;

typedef struct octi_qcat {
    int32_t count;
    int64_t outer;          /* runs per image */
    const int64_t *inner;   /* [count] codes of a run */
    const octk_map_u8 *map; /* [count] */
    int64_t total;
} octi_qcat;

typedef struct octi_qpad {
    int32_t h, w, c, top, left, p, q;
    uint8_t code;
} octi_qpad;

typedef struct octi_qlin { /* quantize and dequantize */
    float scale;
    int32_t zero_point, qmin, qmax;
} octi_qlin;

typedef struct octi_qrun octi_qrun;
typedef void octi_qrun_fn(const octi_qrun *r, const void *const *in, void *out, int64_t n,
                          void *scratch);
struct octi_qrun {
    octi_qrun_fn *run;
    const octk_table *kernels; /* of the context that the op was made in */
    octi_path path;            /* the branch of its kind, for the session's counts */
    const char *kernel;        /* that does the work: a row of kernels.def, or "copy" */
    size_t scratch;            /* bytes, 64-byte aligned, that a run needs */
    int64_t image;             /* elements of the output per image */
    bool elementwise;          /* the output may take the first input's place in memory */
    union {
        octi_qconv conv;
        octk_map_u8 map;
        octk_pool_u8 pool;
        octi_qcat cat;
        octi_qpad pad;
        octi_qlin lin;
    } u;
};

/** Prepare the op of `kind` in `arena` (which must outlive r); in[nin] and out as op_kinds.def
 * lists them. Kinds: all with flag Q, quantize, dequantize, and those with flag G on codes.
 * OCT_EUNSUPPORTED for another kind; OCT_ESHAPE, OCT_EDTYPE, OCT_EQPARAMS, OCT_EUSAGE (attributes),
 * OCT_ELIMIT (an accumulator may overflow: names the channel). */
oct_status octi_qinit(octi_qrun *r, octi_arena *arena, oct_op_kind kind, const oct_attrs *a,
                      const octi_qdesc *in, int nin, const octi_qdesc *out, const char *where);

/* ---- for the files behind it ---- */

typedef struct octi_qargs {
    octi_qrun *r;
    octi_arena *arena;
    const oct_attrs *a;
    const octi_qdesc *in;
    int nin;
    const octi_qdesc *out;
    const char *where;
} octi_qargs;
typedef oct_status octi_qinit_fn(const octi_qargs *q);
octi_qinit_fn octi_qinit_conv2d, octi_qinit_linear, octi_qinit_add, octi_qinit_mul, octi_qinit_cat,
    octi_qinit_max_pool2d, octi_qinit_avg_pool2d, octi_qinit_adaptive_avg_pool2d, octi_qinit_pad,
    octi_qinit_clip, octi_qinit_relu, octi_qinit_table, octi_qinit_softmax, octi_qinit_requantize,
    octi_qinit_quantize, octi_qinit_dequantize, octi_qinit_view;

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
/** Multiplier i of constant k: finite, > 0, and bound * m finite. It may leave s32 by far (a value
 * that was always zero, behind a large one): kernels clamp in float before converting. */
oct_status octi_need_multiplier(const octi_qargs *q, int k, int64_t i, int64_t bound);
oct_status octi_need_shape(const octi_qargs *q, const octi_qdesc *d, const char *what,
                           oct_shape want);
/** Largest |q - z| that codes of d can have. */
static inline int32_t octi_reach(const octi_qdesc *d) {
    int32_t below = d->zero_point - d->qmin, above = d->qmax - d->zero_point;
    return below > above ? below : above;
}
/** Output size of a window: (size + pad0 + pad1 - dilation * (kernel - 1) - 1) / stride + 1.
 * OCT_EUSAGE, OCT_ESHAPE. */
oct_status octi_window(const char *where, const char *axis, int64_t size, int32_t pad0,
                       int32_t pad1, int32_t kernel, int32_t stride, int32_t dilation,
                       int64_t *out);

#endif
