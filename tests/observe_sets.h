/* SPDX-License-Identifier: MIT
 * tests/observe_sets.h - image sets that calibration is hard on, made of digits (MNIST or
 * synth-digits), and nets for them. */
#ifndef OCT_TESTS_OBSERVE_SETS_H
#define OCT_TESTS_OBSERVE_SETS_H

#include "octet.h"

enum { OBSERVE_SIDE = 28, OBSERVE_PIXELS = OBSERVE_SIDE * OBSERVE_SIDE };

/** Grey digits as they come: u8 [n,28,28,1]. */
typedef struct observe_digits {
    uint8_t *pixel;
    int32_t *label;
    int64_t n;
} observe_digits;
observe_digits observe_digits_read(oct_ctx *ctx, const char *spec, oct_split split, int64_t limit,
                                   uint64_t seed);
void observe_digits_free(observe_digits *d);

/** A kind of set. */
typedef struct observe_kind {
    const char *name;
    int channels;
    bool real; /* f32, taken as it is; else u8 with mean and std */
    float mean, std;
    bool slow; /* to learn: wants adam and more epochs */
    /** One image; `k` numbers it, for what is random in it. */
    void (*pixels)(const uint8_t *digit, uint64_t k, uint8_t *to);
    void (*values)(const uint8_t *digit, uint64_t k, const float *mean, const float *std,
                   float *to);
} observe_kind;
extern const observe_kind observe_kinds[];
extern const int observe_kind_count;
const observe_kind *observe_kind_find(const char *name);

/** A set of a kind; mean and std of each pixel are those of `by` (the training part). Borrowed by
 *  `data`: free both. */
typedef struct observe_set {
    void *x;
    oct_data *data;
} observe_set;
observe_set observe_set_new(oct_ctx *ctx, const observe_kind *kind, const observe_digits *d,
                            const observe_digits *by);
void observe_set_free(observe_set *s);

/** LeNet with another activation ("relu", "relu6", "leaky_relu", "hardswish", "sigmoid"), or
 *  "softmax": relu, and softmax at the end. */
typedef struct observe_net {
    const char *act;
    oct_module *conv1, *conv2, *fc1, *fc2, *fc3;
} observe_net;
oct_net *observe_net_new(oct_ctx *ctx, observe_net *room, const char *act, int channels);

#endif
