/* SPDX-License-Identifier: MIT
 * autograd/nn/nn.h - named modules with parameters and buffers, and the zoo.
 *
 *     struct net { oct_module *conv1, *fc; };
 *     static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
 *         struct net *n = self;
 *         x = oct_relu(oct_apply(n->conv1, x));
 *         return oct_apply(n->fc, oct_flatten(x));
 *     }
 *     oct_module *m = oct_module_new(ctx, forward, &n);
 *     n.conv1 = oct_module_add(m, "conv1", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out =
 *     8, .kernel = 3}));
 *
 * Modules belong to their context. Names give PyTorch's paths: "layer1.0.conv1.weight". */
#ifndef OCT_AUTOGRAD_NN_NN_H
#define OCT_AUTOGRAD_NN_NN_H

#include "../autograd.h"

OCT_BEGIN_DECLS

/** A forward function, branches included. self is what oct_module_new was given. */
typedef oct_var *(*oct_forward_fn)(void *self, oct_tape *t, oct_var *x);

/** A module whose forward function is the caller's; self must outlive it. */
OCT_API OCT_NODISCARD oct_module *oct_module_new(oct_ctx *ctx, oct_forward_fn forward, void *self);
/** Give a child a name in its parent; returns the child. NULL child or parent gives NULL. */
OCT_API oct_module *oct_module_add(oct_module *parent, const char *name, oct_module *child);
/** Run a module: records under its name. */
OCT_API oct_var *oct_apply(oct_module *m, oct_var *x);
/** Parameters and buffers of a module and its children with their paths, borrowed; *count gets
 *  their number. */
OCT_API const oct_named_tensor *oct_module_tensors(oct_module *m, int32_t *count);
/** Tensor by path ("conv1.weight"), borrowed; NULL where absent. */
OCT_API oct_tensor *oct_module_tensor(oct_module *m, const char *path);
OCT_API oct_ctx *oct_module_ctx(const oct_module *m);

OCT_API OCT_NODISCARD oct_module *oct_conv2d_new(oct_ctx *ctx, const oct_conv2d_opts *opts);
typedef struct oct_linear_opts {
    int in, out;
    bool no_bias;
} oct_linear_opts;
OCT_API void oct_linear_opts_init(oct_linear_opts *opts);
OCT_API OCT_NODISCARD oct_module *oct_linear_new(oct_ctx *ctx, const oct_linear_opts *opts);
typedef struct oct_lstm_opts {
    int in, hidden;
    int layers; /* 0: 1; up to 4, each reading the one before; not of cells */
    bool last;  /* the last step's hidden state alone: [N,H]; not of cells */
    bool no_bias;
} oct_lstm_opts;
OCT_API void oct_lstm_opts_init(oct_lstm_opts *opts);
/** nn.LSTM, batch first, one direction: x [N,T,in] -> [N,T,hidden]. PyTorch's parameters
 *  (weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...), gate order and first values; a node
 *  for each layer ("lstm", "lstm_1"). */
OCT_API OCT_NODISCARD oct_module *oct_lstm_new(oct_ctx *ctx, const oct_lstm_opts *opts);
/** nn.LSTMCell (weight_ih, weight_hh, bias_ih, bias_hh): oct_lstm_cell_step(cell, x, state) gives
 *  the new state [N,2H] (oct_lstm_hidden takes h out of it); state NULL, or oct_apply: zeros. */
OCT_API OCT_NODISCARD oct_module *oct_lstm_cell_new(oct_ctx *ctx, const oct_lstm_opts *opts);
OCT_API oct_var *oct_lstm_cell_step(oct_module *cell, oct_var *x, oct_var *state);
OCT_API OCT_NODISCARD oct_module *oct_batch_norm_new(oct_ctx *ctx, const oct_batch_norm_opts *opts);
OCT_API OCT_NODISCARD oct_module *oct_dropout_new(oct_ctx *ctx, float p);
OCT_API OCT_NODISCARD oct_module *oct_relu_new(oct_ctx *ctx);
OCT_API OCT_NODISCARD oct_module *oct_leaky_relu_new(oct_ctx *ctx, float slope);
OCT_API OCT_NODISCARD oct_module *oct_elu_new(oct_ctx *ctx, float alpha);
OCT_API OCT_NODISCARD oct_module *oct_hardswish_new(oct_ctx *ctx);
OCT_API OCT_NODISCARD oct_module *oct_hardsigmoid_new(oct_ctx *ctx);
OCT_API OCT_NODISCARD oct_module *oct_sigmoid_new(oct_ctx *ctx);
OCT_API OCT_NODISCARD oct_module *oct_tanh_new(oct_ctx *ctx);
OCT_API OCT_NODISCARD oct_module *oct_softmax_new(oct_ctx *ctx); /* over the last axis */
OCT_API OCT_NODISCARD oct_module *oct_max_pool2d_new(oct_ctx *ctx, const oct_pool_opts *opts);
OCT_API OCT_NODISCARD oct_module *oct_flatten_new(oct_ctx *ctx);
/** Children in order, named "0", "1", ...; a NULL in the list fails the whole. */
OCT_API OCT_NODISCARD oct_module *oct_sequential_new(oct_ctx *ctx, oct_module *const *children,
                                                     int count);

/* ---- names of PyTorch's eager mode: marks that oct_prepare reads ---- */

/** Marks where quantization begins and ends. A net with stubs is quantized between them alone;
 *  without any, wherever it can be. A stub that was forgotten is put in and said in the log. A
 *  float net runs as if stubs were not there. */
OCT_API OCT_NODISCARD oct_module *oct_quant_stub_new(oct_ctx *ctx);
OCT_API OCT_NODISCARD oct_module *oct_dequant_stub_new(oct_ctx *ctx);
/** Gives its name to an operation that is no module: "skip_add" in place of "add_1". A second use
 *  of one instance is a node of its own ("skip_add_1") with qparams of its own. */
OCT_API OCT_NODISCARD oct_module *oct_float_functional_new(oct_ctx *ctx);
OCT_API oct_var *oct_functional_add(oct_module *functional, oct_var *a, oct_var *b);
/** One node: its range is observed behind the ReLU, also where modules are fused by names. */
OCT_API oct_var *oct_functional_add_relu(oct_module *functional, oct_var *a, oct_var *b);
OCT_API oct_var *oct_functional_mul(oct_module *functional, oct_var *a, oct_var *b);
OCT_API oct_var *oct_functional_cat(oct_module *functional, oct_var *const *x, int count, int axis);

/** First values of weights. KAIMING_UNIFORM (a = sqrt 5) is the default of layers, PyTorch's;
 *  KAIMING_NORMAL by fan out, for relu. */
typedef enum oct_init {
#define OCT_INIT(value, word, normal, spread) OCT_INIT_##value,
#include "init_schemes.def"
} oct_init;
/** "kaiming_uniform", "kaiming_normal", "xavier_uniform", "xavier_normal": the word of a scheme,
 *  and the reverse (src/words.h). */
OCT_API const char *oct_init_name(oct_init v);
OCT_API OCT_NODISCARD oct_status oct_init_from_name(const char *word, oct_init *v);
/** Draw every conv and linear weight below m anew, keyed by (seed, path). */
OCT_API OCT_NODISCARD oct_status oct_module_init(oct_module *m, oct_init scheme);

typedef struct oct_zoo_opts {
    /* of the input; 0: the model's own (lenet 1x28x28, resnet8 and resnet20 3x32x32, resnet18
     * 3x224x224) */
    int channels, height, width;
    int classes; /* 0: 10; resnet18: 1000 */
} oct_zoo_opts;
OCT_API void oct_zoo_opts_init(oct_zoo_opts *opts);
/** Input and classes that a zoo model has where nothing else is asked for; NULL (recorded:
 *  OCT_EUSAGE) for an unknown name. */
OCT_API const oct_zoo_opts *oct_zoo_defaults(const char *name);
/** "lenet", "resnet8", "resnet20", "resnet18" (any image from 32x32 up). torchvision's names
 *  inside. OCT_EUSAGE lists the known ones. */
OCT_API OCT_NODISCARD oct_module *oct_zoo_new(oct_ctx *ctx, const char *name,
                                              const oct_zoo_opts *opts);

OCT_END_DECLS
#endif
