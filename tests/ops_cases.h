/* SPDX-License-Identifier: MIT
 * tests/ops_cases.h - the shapes on which every float op is checked: forward, gradient, threads. */
#ifndef OCT_TESTS_OPS_CASES_H
#define OCT_TESTS_OPS_CASES_H

#include <float.h>

#include "ops/ops.h"

enum { CASE_INPUTS = 7 };

typedef struct op_case {
    oct_op_kind kind;
    oct_attrs a;
    int nin;
    oct_shape s[CASE_INPUTS];
    bool eval; /* batch norm: statistics are constants */
} op_case;

#define SH(...) OCT_SHAPE(__VA_ARGS__)
/* n h w c -> o, kernel r s, strides, pads t l b r, dilations, groups, bias */
#define CONV(n, h, w, c, o, r, s, sh, sw, pt, pl, pb, pr, dh, dw, g, bias)                         \
    {                                                                                              \
        OCT_OP_conv2d,                                                                             \
            {.kernel = {r, s},                                                                     \
             .stride = {sh, sw},                                                                   \
             .pads = {pt, pl, pb, pr},                                                             \
             .dilation = {dh, dw},                                                                 \
             .groups = {g}},                                                                       \
            2 + bias, {                                                                            \
            SH(n, h, w, c), SH(o, r, s, (c) / (g)), SH(o)                                          \
        }                                                                                          \
    }
#define POOL(kind, n, h, w, c, r, s, sh, sw, pt, pl, pb, pr, ex)                                   \
    {                                                                                              \
        kind,                                                                                      \
            {.kernel = {r, s}, .stride = {sh, sw}, .pads = {pt, pl, pb, pr}, .exclude_pad = {ex}}, \
            1, {                                                                                   \
            SH(n, h, w, c)                                                                         \
        }                                                                                          \
    }
#define ADAPTIVE(n, h, w, c, p, q)                                                                 \
    {                                                                                              \
        OCT_OP_adaptive_avg_pool2d, {.out_size = {p, q}}, 1, { SH(n, h, w, c) }                    \
    }
#define LINEAR(n, k, o, bias)                                                                      \
    {                                                                                              \
        OCT_OP_linear, {.eps = 0}, 2 + bias, { SH(n, k), SH(o, k), SH(o) }                         \
    }
#define BN(ev, c, ...)                                                                             \
    {                                                                                              \
        OCT_OP_batch_norm, {.eps = 1e-5f, .momentum = 0.1f}, 5,                                    \
            {SH(__VA_ARGS__, c), SH(c), SH(c), SH(c), SH(c)}, ev                                   \
    }
#define UNARY(kind, ...)                                                                           \
    {                                                                                              \
        kind, {.eps = 0}, 1, { SH(__VA_ARGS__) }                                                   \
    }
#define ADD(sa, sb)                                                                                \
    {                                                                                              \
        OCT_OP_add, {.eps = 0}, 2, { sa, sb }                                                      \
    }
#define MUL(sa, sb)                                                                                \
    {                                                                                              \
        OCT_OP_mul, {.eps = 0}, 2, { sa, sb }                                                      \
    }
#define CURVE(kind, sl)                                                                            \
    {kind, {.slope = sl}, 1, {SH(1)}}, {kind, {.slope = sl}, 1, {SH(3, 5)}},                       \
        {kind, {.slope = sl}, 1, {SH(2, 3, 4, 5)}}, {kind, {.slope = sl}, 1, {SH(17, 33)}}, {      \
        kind, {.slope = sl}, 1, { SH(7, 9, 11) }                                                   \
    }
#define CE(n, k, e)                                                                                \
    {                                                                                              \
        OCT_OP_cross_entropy, {.smoothing = e}, 2, { SH(n, k), SH(n) }                             \
    }
#define MSE(...)                                                                                   \
    {                                                                                              \
        OCT_OP_mse_loss, {.eps = 0}, 2, { SH(__VA_ARGS__), SH(__VA_ARGS__) }                       \
    }
#define DISTILL(n, k, t)                                                                           \
    {                                                                                              \
        OCT_OP_distill_loss, {.temperature = t}, 2, { SH(n, k), SH(n, k) }                         \
    }
/* n steps features hidden, biases, last */
#define LSTM(n, t, c, h, b, l)                                                                     \
    {                                                                                              \
        OCT_OP_lstm, {.last = {l}}, 3 + 2 * b, {                                                   \
            SH(n, t, c), SH(4 * h, c), SH(4 * h, h), SH(4 * h), SH(4 * h)                          \
        }                                                                                          \
    }
#define LSTM_CELL(n, c, h, s)                                                                      \
    {                                                                                              \
        OCT_OP_lstm_cell, {.eps = 0}, 5 + s, {                                                     \
            SH(n, c), SH(4 * h, c), SH(4 * h, h), SH(4 * h), SH(4 * h), SH(n, 2 * h)               \
        }                                                                                          \
    }
#define SLICE(ax, f, to, ...)                                                                      \
    {                                                                                              \
        OCT_OP_slice, {.axis = {ax}, .range = {f, to}}, 1, { SH(__VA_ARGS__) }                     \
    }
#define PAD(n, h, w, c, t, l, b, r, v)                                                             \
    {                                                                                              \
        OCT_OP_pad, {.pads = {t, l, b, r}, .value = v}, 1, { SH(n, h, w, c) }                      \
    }

static const op_case op_cases[] = {
    /* the nets' own layers, small */
    CONV(3, 12, 12, 1, 6, 5, 5, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1),
    CONV(3, 9, 9, 6, 16, 5, 5, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1),
    CONV(2, 9, 9, 3, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    CONV(17, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    CONV(3, 9, 9, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CONV(2, 7, 10, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    CONV(9, 4, 4, 64, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    CONV(1, 16, 16, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    CONV(3, 9, 9, 16, 32, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0),
    CONV(3, 8, 8, 16, 32, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0),
    CONV(3, 9, 9, 16, 32, 1, 1, 2, 2, 0, 0, 0, 0, 1, 1, 1, 0),
    /* odd corners */
    CONV(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1),
    CONV(1, 2, 2, 3, 2, 5, 5, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1), /* kernel larger than the image */
    CONV(2, 5, 7, 3, 4, 3, 2, 2, 3, 0, 1, 2, 0, 1, 1, 1, 1), /* asymmetric everything */
    CONV(2, 7, 6, 2, 5, 2, 3, 3, 2, 1, 0, 0, 2, 1, 1, 1, 0),
    CONV(2, 9, 9, 4, 6, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1), /* dilation */
    CONV(1, 11, 8, 3, 2, 3, 2, 2, 2, 1, 3, 0, 1, 3, 2, 1, 1),
    CONV(2, 8, 8, 4, 4, 3, 3, 3, 3, 1, 1, 1, 1, 2, 1, 1, 0),
    CONV(2, 6, 6, 4, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1), /* groups */
    CONV(2, 6, 5, 6, 9, 3, 3, 2, 1, 1, 0, 1, 1, 1, 1, 3, 1),
    /* groups of one channel, two outputs each */
    CONV(2, 5, 5, 4, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4, 1),
    CONV(2, 6, 6, 40, 36, 2, 2, 1, 1, 0, 0, 1, 1, 1, 1, 2, 0),
    /* as Winograd likes them, but for the groups */
    CONV(2, 8, 8, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1),
    CONV(3, 6, 7, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5, 1), /* depthwise */
    CONV(2, 9, 9, 16, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 16, 0),
    CONV(1, 9, 9, 3, 3, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 3, 1),
    CONV(2, 9, 11, 4, 4, 3, 2, 2, 1, 2, 0, 1, 3, 2, 3, 4, 1),
    CONV(2, 6, 6, 3, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1), /* 1x1 */
    /* stride beyond the kernel: pixels without taps */
    CONV(2, 6, 6, 3, 5, 1, 1, 3, 3, 0, 0, 0, 0, 1, 1, 1, 0),
    CONV(2, 5, 5, 3, 4, 2, 2, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1),
    CONV(1, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), /* padding around 1x1 */
    CONV(1, 5, 9, 2, 17, 1, 7, 1, 1, 0, 3, 0, 3, 1, 1, 1, 1),
    CONV(1, 9, 5, 2, 33, 7, 1, 1, 1, 3, 0, 3, 0, 1, 1, 1, 0),
    CONV(1, 6, 6, 17, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    /* 3x3 without padding, not a multiple of 4 */
    CONV(5, 10, 9, 16, 16, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0),
    CONV(2, 5, 6, 16, 48, 3, 3, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1),
    CONV(2, 6, 5, 32, 16, 3, 3, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1),
    /* grad_x by classes: too many channels to scatter */
    CONV(2, 7, 9, 12, 5, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1),
    CONV(2, 8, 9, 10, 4, 3, 2, 3, 2, 1, 0, 0, 2, 2, 1, 1, 1),
    CONV(2, 5, 6, 9, 3, 2, 2, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1),
    CONV(2, 9, 8, 9, 6, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 1, 0),
    CONV(2, 9, 10, 16, 16, 3, 3, 1, 1, 2, 0, 3, 5, 1, 1, 1, 1),  /* more padding than taps */
    CONV(1, 28, 29, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), /* more tiles than a block */
    LINEAR(1, 1, 1, 1),
    LINEAR(3, 5, 7, 1),
    LINEAR(17, 33, 10, 1),
    LINEAR(64, 40, 12, 0),
    LINEAR(5, 300, 3, 1),
    LINEAR(130, 20, 30, 1),
    BN(false, 1, 5),
    BN(false, 3, 6),
    BN(false, 5, 3, 4, 5),
    BN(false, 16, 17, 3, 3),
    BN(false, 33, 2, 20, 9),
    BN(false, 8, 130, 1, 2),
    BN(true, 1, 1),
    BN(true, 3, 4),
    BN(true, 5, 3, 4, 5),
    BN(true, 16, 17, 3, 3),
    BN(true, 33, 2, 20, 9),
    UNARY(OCT_OP_relu, 1),
    UNARY(OCT_OP_relu, 3, 5),
    UNARY(OCT_OP_relu, 2, 3, 4, 5),
    UNARY(OCT_OP_relu, 17, 33),
    UNARY(OCT_OP_relu, 7, 9, 11),
    UNARY(OCT_OP_relu6, 1),
    UNARY(OCT_OP_relu6, 3, 5),
    UNARY(OCT_OP_relu6, 2, 3, 4, 5),
    UNARY(OCT_OP_relu6, 17, 33),
    UNARY(OCT_OP_relu6, 7, 9, 11),
    UNARY(OCT_OP_softmax, 1, 1),
    UNARY(OCT_OP_softmax, 3, 5),
    UNARY(OCT_OP_softmax, 2, 3, 4),
    UNARY(OCT_OP_softmax, 17, 10),
    UNARY(OCT_OP_softmax, 2, 100),
    UNARY(OCT_OP_log_softmax, 1, 1),
    UNARY(OCT_OP_log_softmax, 3, 5),
    UNARY(OCT_OP_log_softmax, 2, 3, 4),
    UNARY(OCT_OP_log_softmax, 17, 10),
    UNARY(OCT_OP_log_softmax, 2, 100),
    POOL(OCT_OP_max_pool2d, 3, 8, 8, 6, 2, 2, 2, 2, 0, 0, 0, 0, 0),
    POOL(OCT_OP_max_pool2d, 2, 7, 9, 3, 3, 3, 2, 2, 1, 1, 1, 1, 0),
    POOL(OCT_OP_max_pool2d, 1, 5, 6, 17, 3, 2, 1, 3, 2, 0, 0, 1, 0),
    POOL(OCT_OP_max_pool2d, 17, 4, 4, 1, 4, 4, 1, 1, 0, 0, 0, 0, 0),
    POOL(OCT_OP_max_pool2d, 2, 5, 5, 2, 1, 1, 2, 2, 0, 0, 0, 0, 0),
    POOL(OCT_OP_max_pool2d, 2, 6, 6, 16, 2, 2, 2, 2, 0, 0, 0, 0, 0),
    POOL(OCT_OP_avg_pool2d, 3, 8, 8, 6, 2, 2, 2, 2, 0, 0, 0, 0, 0),
    POOL(OCT_OP_avg_pool2d, 2, 7, 9, 3, 3, 3, 2, 2, 1, 1, 1, 1, 0),
    POOL(OCT_OP_avg_pool2d, 2, 7, 9, 3, 3, 3, 2, 2, 1, 1, 1, 1, 1),
    POOL(OCT_OP_avg_pool2d, 1, 5, 6, 17, 3, 2, 1, 3, 2, 0, 0, 1, 1),
    POOL(OCT_OP_avg_pool2d, 17, 4, 4, 1, 4, 4, 1, 1, 0, 0, 0, 0, 0),
    ADAPTIVE(3, 8, 8, 4, 1, 1),
    ADAPTIVE(2, 7, 5, 3, 3, 2),
    ADAPTIVE(1, 3, 3, 2, 5, 4),
    ADAPTIVE(17, 4, 4, 8, 4, 4),
    ADAPTIVE(1, 1, 1, 1, 1, 1),
    ADD(SH(4), SH(4)),
    ADD(SH(3, 5), SH(3, 5)),
    ADD(SH(2, 3, 4, 5), SH(2, 3, 4, 5)),
    ADD(SH(2, 3, 4, 5), SH(2, 1, 1, 5)),
    ADD(SH(3, 1, 1, 7), SH(3, 2, 2, 7)),
    MUL(SH(4), SH(4)),
    MUL(SH(3, 5), SH(3, 5)),
    MUL(SH(2, 3, 4, 5), SH(2, 3, 4, 5)),
    MUL(SH(2, 3, 4, 5), SH(2, 1, 1, 5)),
    MUL(SH(3, 1, 1, 7), SH(3, 2, 2, 7)),
    {OCT_OP_clamp, {.least = -3, .most = 3}, 1, {SH(17, 33)}},
    {OCT_OP_clamp, {.most = 3}, 1, {SH(2, 3, 4, 5)}},
    {OCT_OP_clamp, {.least = -FLT_MAX, .most = 0}, 1, {SH(7, 9)}},
    {OCT_OP_clamp, {.least = -3, .most = FLT_MAX}, 1, {SH(1)}},
    {OCT_OP_clamp, {.least = 0, .most = 0}, 1, {SH(3, 5)}},
    CURVE(OCT_OP_leaky_relu, 0.1f),
    CURVE(OCT_OP_leaky_relu, 0.0f),
    CURVE(OCT_OP_leaky_relu, 1.0f),
    CURVE(OCT_OP_elu, 1.0f),
    CURVE(OCT_OP_elu, 0.3f),
    CURVE(OCT_OP_hardswish, 0),
    CURVE(OCT_OP_hardsigmoid, 0),
    CURVE(OCT_OP_sigmoid, 0),
    CURVE(OCT_OP_tanh, 0),
    {OCT_OP_cat, {.axis = {1}}, 2, {SH(2, 3), SH(2, 5)}},
    {OCT_OP_cat, {.axis = {3}}, 3, {SH(2, 3, 4, 1), SH(2, 3, 4, 5), SH(2, 3, 4, 2)}},
    {OCT_OP_cat, {.axis = {1}}, 2, {SH(3, 2, 4, 5), SH(3, 1, 4, 5)}},
    {OCT_OP_cat, {.axis = {2}}, 2, {SH(1, 2, 4, 3), SH(1, 2, 1, 3)}},
    {OCT_OP_cat, {.axis = {1}}, 1, {SH(17, 2)}},
    PAD(1, 1, 1, 1, 0, 0, 0, 0, 0.0f),
    PAD(2, 3, 4, 5, 1, 1, 1, 1, 0.5f),
    PAD(3, 4, 4, 2, 0, 1, 2, 3, -1.0f),
    PAD(1, 5, 2, 3, 3, 0, 0, 0, 2.0f),
    PAD(17, 2, 2, 1, 0, 0, 1, 1, 0.0f),
    CE(1, 2, 0.0f),
    CE(3, 10, 0.0f),
    CE(17, 10, 0.1f),
    CE(130, 5, 0.3f),
    CE(4, 100, 1.0f),
    MSE(1),
    MSE(3, 5),
    MSE(17, 10),
    MSE(2, 3, 4, 5),
    MSE(130, 3),
    LSTM(1, 1, 1, 1, 1, 0),
    LSTM(3, 5, 4, 6, 1, 0),
    LSTM(2, 7, 3, 5, 0, 1),
    LSTM(17, 4, 6, 8, 1, 1),
    LSTM(9, 12, 5, 3, 0, 0),
    LSTM(130, 3, 7, 4, 1, 1),
    LSTM_CELL(1, 1, 1, 1),
    LSTM_CELL(3, 4, 6, 0),
    LSTM_CELL(17, 5, 3, 1),
    LSTM_CELL(130, 3, 4, 1),
    LSTM_CELL(2, 20, 9, 1),
    SLICE(1, 0, 3, 2, 3),
    SLICE(1, 2, 5, 3, 7),
    SLICE(2, 1, 2, 2, 3, 4),
    SLICE(3, 0, 2, 2, 3, 2, 5),
    SLICE(1, 4, 5, 17, 5, 3),
    DISTILL(1, 1, 1.0f),
    DISTILL(3, 10, 1.0f),
    DISTILL(17, 10, 4.0f),
    DISTILL(130, 5, 0.5f),
    DISTILL(4, 700, 20.0f),
};
enum { OP_CASES = sizeof op_cases / sizeof op_cases[0] };

#endif
