/* SPDX-License-Identifier: MIT
 * ops/qops.h - int8 tensor ops: codes in, codes out, by the number law (src/qround.h).
 *
 * Letters as in ops.h. Codes are u8 tensors with one scale and zero point each; weights are s8,
 * symmetric;
 * biases s32 at s_x * s_w[o]; multipliers f32, made by the caller with octq_multiplier, octq_ratio
 * or
 * octq_mean_multiplier and never recomputed here. Every function: ctx      scratch and threads
 * (images are
 * split over them), one user at a time tensors  borrowed, dense; outputs are allocated by the
 * caller,
 * overwritten, and must not alias inputs errors   before the first write: OCT_ESHAPE, OCT_EDTYPE,
 * OCT_EQPARAMS (qparams no range gives, multiplier not finite and > 0), OCT_EUSAGE (attributes,
 * clamp outside the codes), OCT_ELIMIT (names the channel whose accumulator may leave s32),
 * OCT_ENOMEM; `where` is the op
 *   numeric  exact: the same codes on every instruction set, for any number of threads and any cut
 *   of the
 * batch They prepare on every call (weights are packed); a plan (qat/infer) does that once. */
#ifndef OCT_OPS_QOPS_H
#define OCT_OPS_QOPS_H

#include "../src/graph.h"

OCT_BEGIN_DECLS

/** Codes and what they stand for: scale * (code - zero_point). */
typedef struct oct_qtensor {
    oct_tensor *codes; /* u8 [N,...], borrowed */
    float scale;       /* finite, > 0 */
    int32_t zero_point;
    int32_t qmin, qmax; /* codes that may occur; both 0: 0 to 255 */
} oct_qtensor;

/** y[N,P,Q,O] = clamp(requant(x (*) w + b)), lo..hi.
 *  a   kernel, stride, pads, dilation, groups; lo, hi: the clamp in codes, with a fused ReLU's lo =
 * y.zero_point in it x   u8 [N,H,W,C]; padding reads its zero point w   s8 [O,R,S,C/g];  b s32 [O];
 * m f32
 * [O], octq_multiplier(s_x, s_w[o], s_y) Source: arXiv:1712.05877 section 2 (scheme). */
OCT_NODISCARD oct_status oct_qconv2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                             const oct_tensor *w, const oct_tensor *b,
                                             const oct_tensor *m, const oct_qtensor *y);
/** y[N,O] = clamp(requant(x[N,K] w[O,K]^T + b[O])), lo..hi. */
OCT_NODISCARD oct_status oct_qlinear_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                             const oct_tensor *w, const oct_tensor *b,
                                             const oct_tensor *m, const oct_qtensor *y);
/** y = clamp(rne((x1-z1) * m[0] + (x2-z2) * m[1]) + z_y), lo..hi; m f32 [2]; one side may be
 *  [N,1,1,C]. */
OCT_NODISCARD oct_status oct_qadd_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x1,
                                          const oct_qtensor *x2, const oct_tensor *m,
                                          const oct_qtensor *y);
/** y = clamp(rne((x1-z1)(x2-z2) * m[0]) + z_y), lo..hi; m f32 [1]; one side may be [N,1,1,C]. */
OCT_NODISCARD oct_status oct_qmul_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x1,
                                          const oct_qtensor *x2, const oct_tensor *m,
                                          const oct_qtensor *y);
/** Concatenation along attr.axis (1 .. rank-1), each member rescaled by m[k]; m f32 [count], count
 *  <= 64. */
OCT_NODISCARD oct_status oct_qcat_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                          int count, const oct_tensor *m, const oct_qtensor *y);
/** Largest code of each window; padding never wins. y on x's grid. */
OCT_NODISCARD oct_status oct_qmax_pool2d_forward(oct_ctx *ctx, const oct_attrs *a,
                                                 const oct_qtensor *x, const oct_qtensor *y);
/** Mean: requant(sum(x - z_x), m[n]); n = R*S, or the cells inside the image where
 * attr.exclude_pad. m f32
 * [R*S + 1]. */
OCT_NODISCARD oct_status oct_qavg_pool2d_forward(oct_ctx *ctx, const oct_attrs *a,
                                                 const oct_qtensor *x, const oct_tensor *m,
                                                 const oct_qtensor *y);
/** Mean over window i of P: [floor(i*H/P), ceil((i+1)*H/P)); attr.out_size; m f32 [largest count +
 *  1]. */
OCT_NODISCARD oct_status oct_qadaptive_avg_pool2d_forward(oct_ctx *ctx, const oct_attrs *a,
                                                          const oct_qtensor *x, const oct_tensor *m,
                                                          const oct_qtensor *y);
/** Spatial padding by attr.pads with the code attr.lo. y on x's grid. */
OCT_NODISCARD oct_status oct_qpad_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                          const oct_qtensor *y);
/** Cells attr.range of attr.axis (1 .. rank-1). y on x's grid. */
OCT_NODISCARD oct_status oct_qslice_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                            const oct_qtensor *y);
/** Clamp to attr.lo..attr.hi (quantize(lo), quantize(hi) of a float clip). y on x's grid. */
OCT_NODISCARD oct_status oct_qclip_forward(oct_ctx *ctx, const oct_attrs *a, const oct_qtensor *x,
                                           const oct_qtensor *y);
/** y = max(x, z): ReLU on codes. y on x's grid. */
OCT_NODISCARD oct_status oct_qrelu_forward(oct_ctx *ctx, const oct_qtensor *x,
                                           const oct_qtensor *y);
/** y = table[x]; table u8 [256]. */
OCT_NODISCARD oct_status oct_qtable_forward(oct_ctx *ctx, const oct_qtensor *x,
                                            const oct_tensor *table, const oct_qtensor *y);
/** y = quantize(softmax(x)) over the last axis: e f32 [256] holds exp(-s_x * k), octq_softmax_exp;
 *  sums in fp32, in channel order. */
OCT_NODISCARD oct_status oct_qsoftmax_forward(oct_ctx *ctx, const oct_qtensor *x,
                                              const oct_tensor *e, const oct_qtensor *y);
/** To other qparams: rescale by m f32 [1], octq_ratio(s_x, s_y). */
OCT_NODISCARD oct_status oct_requantize_forward(oct_ctx *ctx, const oct_qtensor *x,
                                                const oct_tensor *m, const oct_qtensor *y);
/** f32 to codes of y's qparams: true division, half to even; NaN gives the zero point. */
OCT_NODISCARD oct_status oct_quantize_forward(oct_ctx *ctx, const oct_tensor *x,
                                              const oct_qtensor *y);
/** Codes to f32: scale * (code - zero_point). */
OCT_NODISCARD oct_status oct_dequantize_forward(oct_ctx *ctx, const oct_qtensor *x, oct_tensor *y);

OCT_END_DECLS
#endif
