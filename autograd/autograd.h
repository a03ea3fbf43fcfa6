/* SPDX-License-Identifier: MIT
 * autograd/autograd.h - recording on a tape, gradients, capture of a net.
 *
 * A tape is a graph being recorded while it runs. Recorded ops take and return oct_var; NULL means
 * failed, NULL in gives NULL out, and the tape keeps the first failure, so expressions nest and are
 * checked once:
 *
 *     oct_tape_begin(t, OCT_TRAIN);
 *     oct_var *y = oct_linear(oct_relu(x), w, b);
 *     oct_var *loss = oct_cross_entropy(y, labels, NULL);
 *     if (oct_backward(loss) != OCT_OK) puts(oct_error_message());
 *
 * Values and gradients live in the tape's arena until the next oct_tape_begin; a steady step
 * allocates nothing. */
#ifndef OCT_AUTOGRAD_AUTOGRAD_H
#define OCT_AUTOGRAD_AUTOGRAD_H

#include "../src/net.h"

OCT_BEGIN_DECLS

typedef struct oct_tape oct_tape;
typedef struct oct_var oct_var;

/** What a run is for: an argument of the run, never a flag in modules. TRAIN: batch statistics
 *  move, dropout drops, observers move. CALIBRATE: as EVAL in float, observers move. EVAL: nothing
 *  moves. */
typedef enum oct_mode { OCT_TRAIN, OCT_CALIBRATE, OCT_EVAL } oct_mode;

OCT_API OCT_NODISCARD oct_tape *oct_tape_new(oct_ctx *ctx);
OCT_API void oct_tape_free(oct_tape *t);
/** Forget what was recorded and start a step. */
OCT_API void oct_tape_begin(oct_tape *t, oct_mode mode);
/** Key of this step's random numbers (dropout): the epoch, and the position of the batch's first
 *  sample in it. */
OCT_API void oct_tape_key(oct_tape *t, uint32_t epoch, uint32_t first_sample);
/** OCT_OK, or the first failure since oct_tape_begin. */
OCT_API oct_status oct_tape_status(const oct_tape *t);

/** A value from outside; the tensor is borrowed until the next oct_tape_begin. No gradient. */
OCT_API oct_var *oct_input(oct_tape *t, const oct_tensor *x);
/** A parameter under a name ("w"): its gradient accumulates in tensor->grad. The same tensor gives
 *  the same variable. */
OCT_API oct_var *oct_param(oct_tape *t, oct_tensor *p, const char *name);
/** Value of a variable; borrowed until the next oct_tape_begin. NULL for NULL. */
OCT_API const oct_tensor *oct_var_value(const oct_var *v);
/** Its shape, for forward functions that go by it; borrowed until the next op is recorded. NULL for
 *  NULL. */
OCT_API const oct_shape *oct_var_shape(const oct_var *v);
/** Gradient after oct_backward; NULL where none flowed. */
OCT_API const oct_tensor *oct_var_grad(const oct_var *v);
OCT_API oct_tape *oct_var_tape(const oct_var *v);

/** Gradients of a scalar with respect to every parameter that it depends on: added to tensor->grad.
 *  OCT_EUSAGE for a non-scalar, in OCT_EVAL or OCT_CALIBRATE mode, or a second call. */
OCT_API OCT_NODISCARD oct_status oct_backward(oct_var *loss);

/** The same from a value of any shape: dy (f32, the shape of y, borrowed for the call and left as
 *  it is) is the gradient with respect to y of what the caller computes from it; what flows is that
 *  of sum(y * dy). OCT_ESHAPE, OCT_EDTYPE; else as oct_backward, and one of the two a step. */
OCT_API OCT_NODISCARD oct_status oct_backward_from(oct_var *y, const oct_tensor *dy);

/* ---- looking at layers ---- */

/** A node that has just run forward. Everything is borrowed for the length of the call. */
typedef struct oct_watched {
    /* "conv1"; of a fused or prepared net the node that swallowed batch norm and ReLU has the first
     * one's name */
    const char *name;
    const char *kind; /* "conv2d" */
    oct_mode mode;
    /* [nin]: the layer's input first, then its parameters; NULL where absent */
    const oct_tensor *const *in;
    int32_t nin;
    const oct_tensor *out;   /* float: of a quantized value what its codes stand for */
    const oct_tensor *codes; /* u8 codes of out where a prepared net made some, else NULL */
    const oct_tensor *const *in_codes; /* [nin]: the same of the inputs */
} oct_watched;
typedef void (*oct_watch_fn)(void *user, const oct_watched *w);
/** Call fn whenever the node of that name (NULL: any) has run on this tape, until oct_tape_unwatch;
 *  oct_tape_begin changes nothing about it. Several may watch one node. fn may copy or print what
 *  it sees and unwatch its own node; it must not record. A name that no node has is never called:
 *  names depend on what is recorded. A tape without watchers pays nothing. */
OCT_API OCT_NODISCARD oct_status oct_tape_watch(oct_tape *t, const char *node, oct_watch_fn fn,
                                                void *user);
/** Forget the watchers of that name; NULL: all of them. */
OCT_API void oct_tape_unwatch(oct_tape *t, const char *node);

/* ---- recorded ops (ops/ops.h has shapes and formulas); options: zero is the default ---- */

typedef struct oct_conv2d_opts {
    int in, out;        /* channels; of modules only */
    int kernel;         /* square kernel; of modules only */
    int kernel_size[2]; /* R, S where not square */
    int stride;         /* 0: 1 */
    int pad;            /* on all sides */
    int pads[4];        /* top, left, bottom, right; overrides pad where any is not 0 */
    int dilation;       /* 0: 1 */
    int groups;         /* 0: 1; equal to in: depthwise */
    bool no_bias;
    int strides[2];   /* down, across; each overrides stride where it is not 0 */
    int dilations[2]; /* the same of dilation */
} oct_conv2d_opts;
OCT_API void oct_conv2d_opts_init(oct_conv2d_opts *opts);

typedef struct oct_pool_opts {
    int kernel; /* square */
    int stride; /* 0: kernel */
    int pad;
    int pads[4];
    bool exclude_pad;   /* average: divide by the cells inside the image */
    int kernel_size[2]; /* R, S where not square */
    int strides[2];     /* down, across; 0: stride, or where that is 0 the kernel's side */
} oct_pool_opts;
OCT_API void oct_pool_opts_init(oct_pool_opts *opts);

typedef struct oct_batch_norm_opts {
    int channels;   /* of modules only */
    float eps;      /* 0: 1e-5 */
    float momentum; /* 0: 0.1; OCT_NONE: 0 */
} oct_batch_norm_opts;
OCT_API void oct_batch_norm_opts_init(oct_batch_norm_opts *opts);

OCT_API oct_var *oct_conv2d(oct_var *x, oct_var *w, oct_var *b, const oct_conv2d_opts *opts);
OCT_API oct_var *oct_linear(oct_var *x, oct_var *w, oct_var *b);
OCT_API oct_var *oct_relu(oct_var *x);
OCT_API oct_var *oct_relu6(oct_var *x);
/** least <= most; -INFINITY or INFINITY leaves a side open. The gradient passes at both ends, as
 *  PyTorch's clamp has it. */
OCT_API oct_var *oct_clamp(oct_var *x, float least, float most);
/** slope 0 to 1, of values below zero. */
OCT_API oct_var *oct_leaky_relu(oct_var *x, float slope);
/** alpha above 0 (PyTorch's default: 1): alpha * (e^x - 1) of values below zero. */
OCT_API oct_var *oct_elu(oct_var *x, float alpha);
OCT_API oct_var *oct_hardswish(oct_var *x);
OCT_API oct_var *oct_hardsigmoid(oct_var *x);
OCT_API oct_var *oct_sigmoid(oct_var *x);
OCT_API oct_var *oct_tanh(oct_var *x);
OCT_API oct_var *oct_softmax(oct_var *x);
OCT_API oct_var *oct_log_softmax(oct_var *x);
OCT_API oct_var *oct_max_pool2d(oct_var *x, const oct_pool_opts *opts);
OCT_API oct_var *oct_avg_pool2d(oct_var *x, const oct_pool_opts *opts);
OCT_API oct_var *oct_adaptive_avg_pool2d(oct_var *x, int out_h, int out_w);
OCT_API oct_var *oct_flatten(oct_var *x);
/** dims behind the batch. */
OCT_API oct_var *oct_reshape(oct_var *x, const int *dims, int count);
OCT_API oct_var *oct_identity(oct_var *x);
OCT_API oct_var *oct_add(oct_var *a, oct_var *b);
/** One side may be [N,1,1,C] against [N,H,W,C], as for add: a gate over channels. */
OCT_API oct_var *oct_mul(oct_var *a, oct_var *b);
/** Along `axis`, 1 to rank-1; channels of images are axis 3. */
OCT_API oct_var *oct_cat(oct_var *const *x, int count, int axis);
/** Elements from..to-1 along `axis`, 1 to rank-1. */
OCT_API oct_var *oct_slice(oct_var *x, int axis, int from, int to);
OCT_API oct_var *oct_pad(oct_var *x, const int pads[4], float value);
/** A sequence through an LSTM (ops/ops.h: gates i, f, g, o; from a zero state): x [N,T,C] ->
 *  [N,T,H], or with `last` [N,H]. The rows of an image are a sequence: oct_reshape(x, (int[]){H, W
 *  * C}, 2) gives [N,H,W*C] without moving a byte. Biases may be NULL. */
OCT_API oct_var *oct_lstm(oct_var *x, oct_var *w_ih, oct_var *w_hh, oct_var *b_ih, oct_var *b_hh,
                          bool last);
/** One step: x [N,C], state [N,2H] (h, then c; NULL: zeros) -> the new state. */
OCT_API oct_var *oct_lstm_cell(oct_var *x, oct_var *state, oct_var *w_ih, oct_var *w_hh,
                               oct_var *b_ih, oct_var *b_hh);
/** h of a cell's state: [N,2H] -> [N,H]. */
OCT_API oct_var *oct_lstm_hidden(oct_var *state);
OCT_API oct_var *oct_dropout(oct_var *x, float p);
/** Fake-quantize to codes qmin..qmax with straight-through gradients; scale, zero_point: [1], or
 *  [C0] along axis 0. */
OCT_API oct_var *oct_fake_quantize(oct_var *x, const oct_tensor *scale,
                                   const oct_tensor *zero_point, int qmin, int qmax);

typedef struct oct_cross_entropy_opts {
    float smoothing;
} oct_cross_entropy_opts;
OCT_API void oct_cross_entropy_opts_init(oct_cross_entropy_opts *opts);
/** labels: s32 [N], borrowed. opts may be NULL. */
OCT_API oct_var *oct_cross_entropy(oct_var *logits, const oct_tensor *labels,
                                   const oct_cross_entropy_opts *opts);
OCT_API oct_var *oct_mse_loss(oct_var *x, const oct_tensor *target);
/** Towards a teacher: T^2 * KL(softmax(teacher / T) || softmax(logits / T)), mean over the batch
 *  (arXiv:1503.02531). teacher: f32, the shape of logits, borrowed, no gradient. temperature 0: 4;
 *  0.001 to 1000. */
OCT_API oct_var *oct_distill_loss(oct_var *logits, const oct_tensor *teacher, float temperature);
/** share * a + (1 - share) * b of two scalars: losses together. 0 <= share <= 1. */
OCT_API oct_var *oct_mix(oct_var *a, oct_var *b, float share);

/* ---- nets ---- */

typedef struct oct_module oct_module; /* autograd/nn/nn.h */

/** Capture a module as a net: its forward function runs in training and in evaluation mode and at
 *  two batch sizes, and is refused (OCT_EUSAGE, naming the first differing node) where more than
 *  dropout and batch norm differs. No data is there: a function that asks for values
 *  (oct_var_value) runs again with several made-up ones, is refused where the graph goes by them,
 *  and is warned of where it does not. A module that was added and never applied, or whose result
 *  goes nowhere, is warned of (oct_ctx_warning). image: [H,W,C] or [K]. The net shares the module's
 *  tensors: training one trains the other. */
OCT_API OCT_NODISCARD oct_net *oct_capture(oct_module *m, oct_shape image);
/** Run a net (float or prepared; of other stages: oct_runner_new) on a tape: records its nodes and
 *  returns its output. */
OCT_API oct_var *oct_net_forward(oct_net *net, oct_var *x);
/** Parameters of a net that training moves, borrowed; *count gets their number. An int8, dynamic,
 *  weight-only or half net has none (NULL, OCT_EUSAGE recorded): net->tensors lists what it holds,
 *  oct_runner_new (qat/fit/fit.h) runs it. */
OCT_API const oct_named_tensor *oct_net_parameters(oct_net *net, int32_t *count);
/** Freeze the parameters whose names match `pattern` ("layer1.*", as a shell matches file names):
 *  training leaves them alone, and a batch norm whose weight and bias are both frozen rests: it
 *  uses its running statistics in training too, and nothing moves them. on = false lets them move
 *  again. *count (may be NULL) gets how many match. For any net that trains, before the optimizer
 *  is made; fusing and preparing keep it. OCT_EUSAGE where none matches, or for an int8 net. */
OCT_API OCT_NODISCARD oct_status oct_net_freeze(oct_net *net, const char *pattern, bool on,
                                                int32_t *count);

OCT_END_DECLS
#endif
