/* SPDX-License-Identifier: MIT
 * qat/io/onnx_out.h - a net becoming an ONNX graph: what the writers of op kinds
 * (onnx_out_kinds.def) share.
 *
 * In the file a value of rank 4 is N,C,H,W; a value of codes is u8 under its layer's own name, and
 * whoever computes with it reads it through DequantizeLinear. */
#ifndef OCT_QAT_IO_ONNX_OUT_H
#define OCT_QAT_IO_ONNX_OUT_H

#include "qat/io/export.h"
#include "qat/io/onnx_build.h"
#include "src/net.h"

typedef struct octi_onnx_value {
    const char *name;  /* in the file; NULL: not written yet (constants are, when they are read) */
    const char *real;  /* its DequantizeLinear by its own scale; NULL: none yet */
    const char *whole; /* by scale 1: q - z, whole numbers */
    int64_t hwc[3];    /* of an image in a row whose elements stand in C,H,W order; else zeros */
} octi_onnx_value;

typedef struct octi_onnx_out {
    octi_onnxw b;
    const oct_net *net;
    const oct_graph *g;
    const oct_node *n; /* under way */
    octi_onnx_value *v;
    bool exact;                   /* the law's own numbers (oct_onnx_opts.plain is false) */
    const char *one;              /* the constant 1, which whole numbers are read by */
    const char **scales, **zeros; /* of each quantizer; NULL: not written yet */
    int32_t refusals; /* what cannot be written: how many, and the first of them in words */
    char refused[700];
} octi_onnx_out;

/** Writes w->n: the last node that it makes has the layer's value as its output. It gives up by
 *  octi_onnxw_refuse. */
typedef void (*octi_onnxw_writer)(octi_onnx_out *w);
/** NULL for a kind without a row; octi_onnxw_refusal says why there is none. */
octi_onnxw_writer octi_onnxw_writer_of(oct_op_kind kind);
/** Why a kind has no writer; NULL where it has one, or where nobody thought of it. */
const char *octi_onnxw_refusal(oct_op_kind kind);
void octi_onnxw_refuse(octi_onnx_out *w, const char *why);

/* ---- what is read ---- */

const oct_value *octi_onnxw_in_value(const octi_onnx_out *w, int k);
const oct_value *octi_onnxw_out_value(const octi_onnx_out *w);
bool octi_onnxw_has(const octi_onnx_out *w, int k);
/** The value's own name in the file: floats, or codes. */
const char *octi_onnxw_raw(octi_onnx_out *w, int k);
/** As floats: codes by their scale, half precision and small weights widened. */
const char *octi_onnxw_real(octi_onnx_out *w, int k);
/** A weight of octet's [O,R,S,C] or [O,K] as it lies in the file (OIHW; columns as its input has
 *  them), as floats by octi_onnxw_real's rules. */
const char *octi_onnxw_weight(octi_onnx_out *w, int k);
/** Codes in units of the output's scale: (q - z) * m where the law is asked for, else
 *  octi_onnxw_real. */
const char *octi_onnxw_term(octi_onnx_out *w, int k, float m);
/** Codes as whole numbers q - z where the law is asked for, else octi_onnxw_real. */
const char *octi_onnxw_whole(octi_onnx_out *w, int k);

/** Codes of a weight: whole numbers where the law is asked for, else by their scales. */
const char *octi_onnxw_weight_codes(octi_onnx_out *w, int k);
const char *octi_onnxw_weight_whole(octi_onnx_out *w, int k);
/** s8 codes under `name` as whole numbers, "<base>.whole". */
const char *octi_onnxw_whole_of(octi_onnx_out *w, const char *name, const char *base,
                                const oct_shape *shape);
/** hwc of the columns of weight k behind a flatten; NULL where they stay as they are. */
const int64_t *octi_onnxw_columns(const octi_onnx_out *w, int k);
/** A weight of ones, as whole numbers. */
const char *octi_onnxw_ones(octi_onnx_out *w, const oct_shape *shape);
/** Codes of a bias: the same, by s_x * s_w. */
const char *octi_onnxw_bias_codes(octi_onnx_out *w, int k);

/* ---- what is made ---- */

/** A shape as it lies in the file: rank 4 is permuted. */
oct_shape octi_onnxw_shape(const oct_shape *s);
/** Axis of octet's as it lies in the file. */
int64_t octi_onnxw_axis(const oct_shape *s, int axis);
/** A node with a float output of the layer's shape: the layer's value where suffix is NULL, else
 *  "<layer>.<suffix>". */
const char *octi_onnxw_op(octi_onnx_out *w, const char *op, const char *suffix, int nin,
                          const char *const *in);
/** The same with another type or shape (as it lies in the file). */
const char *octi_onnxw_op_as(octi_onnx_out *w, const char *op, const char *suffix, int nin,
                             const char *const *in, int type, const oct_shape *shape);
/** One more output of the last node, "<layer>.<suffix>". */
const char *octi_onnxw_more(octi_onnx_out *w, const char *suffix);
/** Constants "<layer>.<suffix>". */
const char *octi_onnxw_floats(octi_onnx_out *w, const char *suffix, const float *v,
                              const oct_shape *shape);
const char *octi_onnxw_number(octi_onnx_out *w, const char *suffix, float v);
const char *octi_onnxw_long(octi_onnx_out *w, const char *suffix, int64_t v);
const char *octi_onnxw_longs(octi_onnx_out *w, const char *suffix, const int64_t *v, int n);
/** The layer's codes from floats: in units of its scale where `units`, else by its scale. Codes
 *  are clamped to lo..hi, where these are narrower than u8: a Clip stands in front. */
void octi_onnxw_quantize(octi_onnx_out *w, const char *x, bool units, int32_t lo, int32_t hi);
/** The same by the node's attributes lo and hi, in units where the law is asked for. */
void octi_onnxw_codes(octi_onnx_out *w, const char *x);
/** x rounded to the layer's grid, all codes of the type, as floats again. */
const char *octi_onnxw_regrid(octi_onnx_out *w, const char *x);
/** (q - z) * w + b of the layer, exactly, as floats that are rounded once, where fp32 may not hold
 *  the sums; NULL where it holds them in any order (onnx_out_wide.c). */
const char *octi_onnxw_wide_sums(octi_onnx_out *w, const char *op);
/** The same of a sum over the image's rows and columns. */
const char *octi_onnxw_wide_image_sum(octi_onnx_out *w);
/** Windows of so many cells may leave what fp32 holds: refused, then true. */
bool octi_onnxw_too_wide(octi_onnx_out *w, int64_t cells);
/** The layer's value from its input's codes. */
void octi_onnxw_dequantize(octi_onnx_out *w);
/** Whether the layer's value is codes. */
bool octi_onnxw_is_codes(const octi_onnx_out *w);

/** Scale and zero point of a value with codes. */
float octi_onnxw_scale(const octi_onnx_out *w, const oct_value *v);
int32_t octi_onnxw_zero(const octi_onnx_out *w, const oct_value *v);
/** A float32 constant of a node in memory that another may be read from: data of input k. */
const float *octi_onnxw_data(const octi_onnx_out *w, int k);

/** hwc of every value that stands in C,H,W order in the file, by index; the rest zeros
 *  (onnx_out_order.c). The caller frees. NULL on failure. */
int64_t (*octi_onnxw_orders(const oct_net *net))[3];

#endif
