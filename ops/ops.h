/* SPDX-License-Identifier: MIT
 * ops/ops.h - tensor ops in fp32, one pair of plain functions per op: forward, and gradients as
 * ordinary ops.
 *
 * Letters: N batch, H W input image, C input channels, O output channels, R S kernel, P Q output
 * image, g groups; K inner size of a product. Images [N,H,W,C], weights [O,R,S,C/g], all dense fp32
 * unless said.
 *
 * Every function: checks before the first write; tensors are borrowed; outputs are allocated by the
 * caller, overwritten, and must not alias inputs unless said; NULL where the text says [..]
 * optional. ctx gives scratch and threads, one user at a time. Errors: OCT_ESHAPE / OCT_EDTYPE
 * (where = op, names the axis), OCT_EUSAGE (attributes), OCT_ENOMEM/ELIMIT. Numeric: the same bits
 * for any number of threads (batches are cut into a fixed number of slots; partial sums fold along
 * one tree); sums of products differ from a double reference by at most K*eps*sum|x||w|, eps =
 * 2^-24. Where Winograd runs (conv2d, 3x3, stride 1, channels in whole 16s) the sum is the largest
 * of the image's outputs. */
#ifndef OCT_OPS_OPS_H
#define OCT_OPS_OPS_H

#include "../src/graph.h"

OCT_BEGIN_DECLS

/* ---- shapes: ops/infer_shape.c ---- */

/** dtype and shape of a node's output from its inputs (absent ones NULL). dim[0] of images may be
 *  OCT_BATCH. The one place where shapes and attributes are judged: recording, passes and files use
 *  it. `where` is the node's name in errors. */
OCT_API OCT_NODISCARD oct_status oct_infer_shape(oct_op_kind kind, const oct_attrs *a,
                                                 const oct_value *const *in, int nin,
                                                 const char *where, oct_dtype *dtype,
                                                 oct_shape *shape);

/* ---- products: ops/gemm.c conv.c linear.c ---- */

/** y[N,P,Q,O] = x (*) w + [b[O]]: cross-correlation; attr kernel, stride, pads, dilation,
 *  groups. */
OCT_API OCT_NODISCARD oct_status oct_conv2d_forward(oct_ctx *ctx, const oct_attrs *a,
                                                    const oct_tensor *x, const oct_tensor *w,
                                                    const oct_tensor *b, oct_tensor *y);
/** dx from dy. */
OCT_API OCT_NODISCARD oct_status oct_conv2d_grad_x(oct_ctx *ctx, const oct_attrs *a,
                                                   const oct_tensor *dy, const oct_tensor *w,
                                                   oct_tensor *dx);
/** dw and [db] from x and dy. */
OCT_API OCT_NODISCARD oct_status oct_conv2d_grad_w(oct_ctx *ctx, const oct_attrs *a,
                                                   const oct_tensor *x, const oct_tensor *dy,
                                                   oct_tensor *dw, oct_tensor *db);

/** y[N,O] = x[N,K] w[O,K]^T + [b[O]]. */
OCT_API OCT_NODISCARD oct_status oct_linear_forward(oct_ctx *ctx, const oct_tensor *x,
                                                    const oct_tensor *w, const oct_tensor *b,
                                                    oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_linear_grad_x(oct_ctx *ctx, const oct_tensor *dy,
                                                   const oct_tensor *w, oct_tensor *dx);
OCT_API OCT_NODISCARD oct_status oct_linear_grad_w(oct_ctx *ctx, const oct_tensor *x,
                                                   const oct_tensor *dy, oct_tensor *dw,
                                                   oct_tensor *db);

/* ---- batch norm (1d and 2d: any [..,C]): ops/batch_norm.c; arXiv:1502.03167 ---- */

/** Batch statistics: y = (x - mean) * invstd * gamma + beta. Writes mean[C] and invstd[C] of the
 *  batch (for the gradient) and, where running_mean is not NULL, moves running_mean and running_var
 *  by attr.momentum (unbiased variance, as elsewhere in the field). Slots merge (n, mean, M2) in
 *  double (Chan et al. 1979). OCT_EUSAGE where a channel has one value only. y may be x. */
OCT_API OCT_NODISCARD oct_status oct_batch_norm_train(oct_ctx *ctx, const oct_attrs *a,
                                                      const oct_tensor *x, const oct_tensor *gamma,
                                                      const oct_tensor *beta,
                                                      oct_tensor *running_mean,
                                                      oct_tensor *running_var, oct_tensor *mean,
                                                      oct_tensor *invstd, oct_tensor *y);
/** Given statistics: y = (x - mean) / sqrt(var + eps) * gamma + beta. y may be x. */
OCT_API OCT_NODISCARD oct_status oct_batch_norm_eval(oct_ctx *ctx, const oct_attrs *a,
                                                     const oct_tensor *x, const oct_tensor *gamma,
                                                     const oct_tensor *beta, const oct_tensor *mean,
                                                     const oct_tensor *var, oct_tensor *y);
/** dx, dgamma, dbeta behind oct_batch_norm_train; mean and invstd as that wrote them. dx may be
 *  dy. */
OCT_API OCT_NODISCARD oct_status oct_batch_norm_grad(oct_ctx *ctx, const oct_tensor *x,
                                                     const oct_tensor *dy, const oct_tensor *gamma,
                                                     const oct_tensor *mean,
                                                     const oct_tensor *invstd, oct_tensor *dx,
                                                     oct_tensor *dgamma, oct_tensor *dbeta);
/** The same behind oct_batch_norm_eval: statistics are constants. dx may be dy. */
OCT_API OCT_NODISCARD oct_status oct_batch_norm_grad_eval(oct_ctx *ctx, const oct_attrs *a,
                                                          const oct_tensor *x, const oct_tensor *dy,
                                                          const oct_tensor *gamma,
                                                          const oct_tensor *mean,
                                                          const oct_tensor *var, oct_tensor *dx,
                                                          oct_tensor *dgamma, oct_tensor *dbeta);

/* ---- element by element: ops/eltwise.c ---- */

/** y = x, max(x, 0) or min(max(x, 0), 6) by act. y may be x. */
OCT_API OCT_NODISCARD oct_status oct_act_forward(oct_ctx *ctx, oct_act act, const oct_tensor *x,
                                                 oct_tensor *y);
/** dx = dy where the op's output y is strictly inside its clamp (y > 0; and y < 6), else 0. dx may
 *  be dy. */
OCT_API OCT_NODISCARD oct_status oct_act_grad(oct_ctx *ctx, oct_act act, const oct_tensor *y,
                                              const oct_tensor *dy, oct_tensor *dx);
/** y = a + b; one side may be [N,1,1,C] against [N,H,W,C]. y may be the larger side. */
OCT_API OCT_NODISCARD oct_status oct_add_forward(oct_ctx *ctx, const oct_tensor *a,
                                                 const oct_tensor *b, oct_tensor *y);
/** Gradient of a broadcast side: d[N,1,1,C] = sum of dy over H, W. */
OCT_API OCT_NODISCARD oct_status oct_add_grad_broadcast(oct_ctx *ctx, const oct_tensor *dy,
                                                        oct_tensor *d);
/** y = a * b; one side may be [N,1,1,C] against [N,H,W,C]. y may be the larger side. */
OCT_API OCT_NODISCARD oct_status oct_mul_forward(oct_ctx *ctx, const oct_tensor *a,
                                                 const oct_tensor *b, oct_tensor *y);
/** Gradient of one side from dy and the other side: d = dy * other, summed over H, W where d is the
 *  broadcast side. */
OCT_API OCT_NODISCARD oct_status oct_mul_grad(oct_ctx *ctx, const oct_tensor *dy,
                                              const oct_tensor *other, oct_tensor *d);
/** dst += src, same shape: how gradients of a value with several readers meet. */
OCT_API OCT_NODISCARD oct_status oct_accumulate(oct_ctx *ctx, oct_tensor *dst,
                                                const oct_tensor *src);
/** y = x * keep / (1 - p) with keep drawn per element, keyed by (seed, epoch, first sample + n,
 *  op): the same for any cut of the batch. The same call on dy is the gradient. y may be x. */
typedef struct oct_dropout_key {
    uint64_t seed;
    uint32_t epoch, sample, op;
} oct_dropout_key;
OCT_API OCT_NODISCARD oct_status oct_dropout_forward(oct_ctx *ctx, const oct_attrs *a,
                                                     const oct_dropout_key *key,
                                                     const oct_tensor *x, oct_tensor *y);

/* ---- functions of one value: ops/unary.c ---- */

/** y = f(x) by kind, as PyTorch defines them: clamp to attr.least..attr.most, leaky_relu (x, or
 *  attr.slope * x for x <= 0), elu (x, or attr.slope * (e^x - 1) for x <= 0), hardswish x * relu6(x
 *  + 3) / 6, hardsigmoid relu6(x + 3) / 6, sigmoid, tanh. Any shape; y may be x. Within 4 ulp of
 *  the largest value. */
OCT_API OCT_NODISCARD oct_status oct_unary_forward(oct_ctx *ctx, oct_op_kind kind,
                                                   const oct_attrs *a, const oct_tensor *x,
                                                   oct_tensor *y);
/** dx = dy * f'(x) from x and y = f(x). At the corners: hardswish 0 at -3 and 1 at 3, hardsigmoid 0
 *  at both, leaky_relu and elu attr.slope at 0, clamp 1 at both ends. dx may be dy. */
OCT_API OCT_NODISCARD oct_status oct_unary_grad(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a,
                                                const oct_tensor *x, const oct_tensor *y,
                                                const oct_tensor *dy, oct_tensor *dx);

/* ---- pooling: ops/pooling.c ---- */

/** Padding never wins. index s32 [N,P,Q,C] gets the winner's position h * W + w inside its image
 *  (first of equals);
 *  NULL where no gradient is wanted. */
OCT_API OCT_NODISCARD oct_status oct_max_pool2d_forward(oct_ctx *ctx, const oct_attrs *a,
                                                        const oct_tensor *x, oct_tensor *y,
                                                        oct_tensor *index);
OCT_API OCT_NODISCARD oct_status oct_max_pool2d_grad(oct_ctx *ctx, const oct_tensor *dy,
                                                     const oct_tensor *index, oct_tensor *dx);
/** Divides by R * S, or by the cells inside the image where attr.exclude_pad. */
OCT_API OCT_NODISCARD oct_status oct_avg_pool2d_forward(oct_ctx *ctx, const oct_attrs *a,
                                                        const oct_tensor *x, oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_avg_pool2d_grad(oct_ctx *ctx, const oct_attrs *a,
                                                     const oct_tensor *dy, oct_tensor *dx);
/** Window i of P over H: [floor(i*H/P), ceil((i+1)*H/P)); the sizes come from y. */
OCT_API OCT_NODISCARD oct_status oct_adaptive_avg_pool2d_forward(oct_ctx *ctx, const oct_tensor *x,
                                                                 oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_adaptive_avg_pool2d_grad(oct_ctx *ctx, const oct_tensor *dy,
                                                              oct_tensor *dx);

/* ---- softmax and losses: ops/softmax.c loss.c ---- */

/** Over the last axis, of each row; shifted by the row's maximum. y may be x. */
OCT_API OCT_NODISCARD oct_status oct_softmax_forward(oct_ctx *ctx, const oct_tensor *x,
                                                     oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_softmax_grad(oct_ctx *ctx, const oct_tensor *y,
                                                  const oct_tensor *dy, oct_tensor *dx);
OCT_API OCT_NODISCARD oct_status oct_log_softmax_forward(oct_ctx *ctx, const oct_tensor *x,
                                                         oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_log_softmax_grad(oct_ctx *ctx, const oct_tensor *y,
                                                      const oct_tensor *dy, oct_tensor *dx);
/** Mean over N of -log softmax(x)[label], smoothed by attr.smoothing e: target (1-e) on the label
 *  plus e/K everywhere. labels s32 [N] in 0..K-1, else OCT_EUSAGE names the row. loss: f32 []. prob
 *  [N,K] is kept for the gradient. */
OCT_API OCT_NODISCARD oct_status oct_cross_entropy_forward(oct_ctx *ctx, const oct_attrs *a,
                                                           const oct_tensor *x,
                                                           const oct_tensor *labels,
                                                           oct_tensor *prob, oct_tensor *loss);
/** dx = dloss * (prob - target) / N. */
OCT_API OCT_NODISCARD oct_status oct_cross_entropy_grad(oct_ctx *ctx, const oct_attrs *a,
                                                        const oct_tensor *prob,
                                                        const oct_tensor *labels,
                                                        const oct_tensor *dloss, oct_tensor *dx);
/** Mean of (x - t)^2 over all elements. */
OCT_API OCT_NODISCARD oct_status oct_mse_loss_forward(oct_ctx *ctx, const oct_tensor *x,
                                                      const oct_tensor *t, oct_tensor *loss);
OCT_API OCT_NODISCARD oct_status oct_mse_loss_grad(oct_ctx *ctx, const oct_tensor *x,
                                                   const oct_tensor *t, const oct_tensor *dloss,
                                                   oct_tensor *dx);
/** T^2 times the mean over N of KL(softmax(teacher / T) || softmax(x / T)), T attr.temperature; x,
 *  teacher [N,K] (arXiv:1503.02531). diff [N,K] gets softmax(x / T) - softmax(teacher / T), kept
 *  for the gradient: ops/distill.c. */
OCT_API OCT_NODISCARD oct_status oct_distill_loss_forward(oct_ctx *ctx, const oct_attrs *a,
                                                          const oct_tensor *x,
                                                          const oct_tensor *teacher,
                                                          oct_tensor *diff, oct_tensor *loss);
/** dx = dloss * T * diff / N. */
OCT_API OCT_NODISCARD oct_status oct_distill_loss_grad(oct_ctx *ctx, const oct_attrs *a,
                                                       const oct_tensor *diff,
                                                       const oct_tensor *dloss, oct_tensor *dx);

/* ---- moving elements: ops/shape_ops.c ---- */

/** Concatenation along attr.axis (1 .. rank-1). */
OCT_API OCT_NODISCARD oct_status oct_cat_forward(oct_ctx *ctx, const oct_attrs *a,
                                                 const oct_tensor *const *x, int count,
                                                 oct_tensor *y);
/** The part of dy that belongs to the member that begins at `offset` along the axis; dx has that
 *  member's shape. */
OCT_API OCT_NODISCARD oct_status oct_cat_grad(oct_ctx *ctx, const oct_attrs *a,
                                              const oct_tensor *dy, int64_t offset, oct_tensor *dx);
/** Spatial padding by attr.pads with attr.value. */
OCT_API OCT_NODISCARD oct_status oct_pad_forward(oct_ctx *ctx, const oct_attrs *a,
                                                 const oct_tensor *x, oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_pad_grad(oct_ctx *ctx, const oct_attrs *a,
                                              const oct_tensor *dy, oct_tensor *dx);

/** y = x from attr.range[0] to before attr.range[1] along attr.axis (1 .. rank-1). */
OCT_API OCT_NODISCARD oct_status oct_slice_forward(oct_ctx *ctx, const oct_attrs *a,
                                                   const oct_tensor *x, oct_tensor *y);
/** dx is dy there, 0 elsewhere. */
OCT_API OCT_NODISCARD oct_status oct_slice_grad(oct_ctx *ctx, const oct_attrs *a,
                                                const oct_tensor *dy, oct_tensor *dx);

/* ---- LSTM: ops/lstm.c ---- */

/** Parameters, or their gradients: w_ih [4H,C], w_hh [4H,H], [b_ih [4H]], [b_hh [4H]]; gates in
 *  PyTorch's order i, f, g, o. Of gradients any may be NULL. */
typedef struct oct_lstm_weights {
    oct_tensor *w_ih, *w_hh, *b_ih, *b_hh;
} oct_lstm_weights;
/** What the gradient needs: gates [N,T,4H] (behind their functions), cells and hidden [N,T,H]; T is
 *  1 for a cell. */
typedef struct oct_lstm_saved {
    oct_tensor *gates, *cells, *hidden;
} oct_lstm_saved;
/** A sequence x [N,T,C] from a zero state: i, f, o = sigmoid, g = tanh of x w_ih^T + b_ih + h
 *  w_hh^T + b_hh;
 *  c = f * c + i * g; h = o * tanh(c). y is saved->hidden itself, or where attr.last [N,H], the
 *  last step's. octet's own kernel, never BLAS: an image's result does not depend on its batch. */
OCT_API OCT_NODISCARD oct_status oct_lstm_forward(oct_ctx *ctx, const oct_attrs *a,
                                                  const oct_tensor *x, const oct_lstm_weights *w,
                                                  const oct_lstm_saved *saved, oct_tensor *y);
/** Back through time, from dy of the shape of y; dx and members of d may be NULL. */
OCT_API OCT_NODISCARD oct_status oct_lstm_grad(oct_ctx *ctx, const oct_attrs *a,
                                               const oct_tensor *x, const oct_lstm_weights *w,
                                               const oct_lstm_saved *saved, const oct_tensor *dy,
                                               oct_tensor *dx, const oct_lstm_weights *d);
/** One step: x [N,C], state [N,2H] (h, then c; NULL: zeros) -> y, the new state. */
OCT_API OCT_NODISCARD oct_status oct_lstm_cell_forward(oct_ctx *ctx, const oct_tensor *x,
                                                       const oct_tensor *state,
                                                       const oct_lstm_weights *w,
                                                       const oct_lstm_saved *saved, oct_tensor *y);
OCT_API OCT_NODISCARD oct_status oct_lstm_cell_grad(oct_ctx *ctx, const oct_tensor *x,
                                                    const oct_tensor *state,
                                                    const oct_lstm_weights *w,
                                                    const oct_lstm_saved *saved,
                                                    const oct_tensor *dy, oct_tensor *dx,
                                                    oct_tensor *dstate, const oct_lstm_weights *d);

/* ---- fake quantization: ops/fake_quantize.c; law 1, arXiv:1712.05877 ---- */

/** y = s * (q - z), q = quantize(x) by the law with codes qmin..qmax. scale f32 and zero_point s32
 *  are [1], or [C0] along axis 0 of x (per channel). codes, same shape as x, are u8 where qmin >= 0
 *  and s8 else; may be NULL. y may be x or NULL. */
OCT_API OCT_NODISCARD oct_status oct_fake_quantize_forward(oct_ctx *ctx, const oct_tensor *x,
                                                           const oct_tensor *scale,
                                                           const oct_tensor *zero_point,
                                                           int32_t qmin, int32_t qmax,
                                                           oct_tensor *y, oct_tensor *codes);
/** Straight through: dx = dy where the rounded code before the clamp lies in qmin..qmax, else 0. dx
 *  may be dy. */
OCT_API OCT_NODISCARD oct_status oct_fake_quantize_grad(oct_ctx *ctx, const oct_tensor *x,
                                                        const oct_tensor *scale,
                                                        const oct_tensor *zero_point, int32_t qmin,
                                                        int32_t qmax, const oct_tensor *dy,
                                                        oct_tensor *dx);
/** Smallest and largest element, NaN ignored; [1], or [C0] along axis 0. +inf, -inf for a tensor
 *  without numbers. */
OCT_API OCT_NODISCARD oct_status oct_minmax(oct_ctx *ctx, const oct_tensor *x, oct_tensor *min,
                                            oct_tensor *max);

OCT_END_DECLS

#ifdef OCT_BUILDING /* the library's own files */
#include "ops_own.h"
#endif

#endif
