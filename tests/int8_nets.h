/* SPDX-License-Identifier: MIT
 * tests/int8_nets.h - G3 nets built by hand or at random, and a tiny interpreter of them that
 * shares nothing with the plan but the law: loops over every element, sums in int64. */
#ifndef OCT_TESTS_INT8_NETS_H
#define OCT_TESTS_INT8_NETS_H

#include "src/net.h"
#include "src/rng.h"

/** A net under construction; `v` of each call is the last value's index. */
typedef struct test_net {
    oct_net *net;
    octi_rng rng;
    int32_t count; /* for names */
    int32_t law;   /* of requants */
    int32_t most;  /* the largest code of activations: 255; 127 as target fbgemm has them */
} test_net;

test_net test_net_new(oct_ctx *ctx, uint32_t seed, int h, int w, int c);
/** Constant in the registry and as a value. */
int32_t test_const(test_net *t, const char *name, oct_dtype dtype, oct_shape shape,
                   const void *data);
/** A node whose u8 output has qparams (s, z); or f32 where s is 0. */
int32_t test_node(test_net *t, oct_op_kind kind, const oct_attrs *a, const int32_t *in, int nin,
                  oct_shape shape, float s, int z);
/** The same on the grid of value x. */
int32_t test_grid_node(test_net *t, oct_op_kind kind, const oct_attrs *a, int32_t x,
                       oct_shape shape);
oct_shape test_shape(const test_net *t, int32_t v);

/* Layers with random weights and fitting multipliers. */
int32_t test_quantize(test_net *t, int32_t x, float s, int z);
int32_t test_conv(test_net *t, int32_t x, int o, int r, int s, int stride, int pad, int dil,
                  int groups);
int32_t test_linear(test_net *t, int32_t x, int o);
int32_t test_add(test_net *t, int32_t a, int32_t b);
int32_t test_mul(test_net *t, int32_t a, int32_t b);
int32_t test_cat(test_net *t, const int32_t *x, int count);
int32_t test_max_pool(test_net *t, int32_t x, int k, int stride, int pad);
int32_t test_avg_pool(test_net *t, int32_t x, int k, int stride, int pad, bool exclude);
int32_t test_adaptive(test_net *t, int32_t x, int p, int q);
int32_t test_pad(test_net *t, int32_t x, int top, int left, int bottom, int right);
int32_t test_table(test_net *t, int32_t x);
int32_t test_requantize(test_net *t, int32_t x);
int32_t test_softmax(test_net *t, int32_t x);
int32_t test_clip(test_net *t, int32_t x);
int32_t test_relu(test_net *t, int32_t x);
int32_t test_flatten(test_net *t, int32_t x);
/** dequantize, and the graph's output. */
void test_end(test_net *t, int32_t x);

/** A net with an input description, classes and a pixel table: conv, pool, branches, cat, add,
 *  linear. */
oct_net *test_small_net(oct_ctx *ctx);
/** Activations of seven bits, as target fbgemm has them: a stem, 1x1 of stride 2, 5x5 with a pool,
 *  linear layers. */
oct_net *test_u7_net(oct_ctx *ctx);
/** Random kinds, shapes, branches. */
oct_net *test_random_net(oct_ctx *ctx, uint32_t seed);

/** Interpret: value[i] of n images for every value, malloc'd (NULL for constants); free each, then
 *  the list.
 */
void **test_interpret(const oct_net *net, const float *x, int64_t n);
void test_interpret_free(const oct_net *net, void **values);

#endif
