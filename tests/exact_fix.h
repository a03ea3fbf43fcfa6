/* SPDX-License-Identifier: MIT
 * tests/exact_fix.h - what tests of exactness do with a prepared net: calibrate, train, convert,
 * hold plan against simulation. */
#ifndef OCT_TESTS_EXACT_FIX_H
#define OCT_TESTS_EXACT_FIX_H

#include "octet.h"
#include "tests/oct_test.h"
#include "tests/random_net.h"

static inline oct_status calibrate(oct_net *q, oct_tape *t, oct_shape image, uint32_t key) {
    oct_tape_begin(t, OCT_CALIBRATE);
    (void)oct_net_forward(q, oct_input(t, random_images(q->ctx, 8, image, key)));
    return oct_tape_status(t);
}

static inline oct_status train(oct_net *q, oct_tape *t, oct_shape image, int steps) {
    int32_t count;
    const oct_named_tensor *p = oct_net_parameters(q, &count);
    oct_optim *o =
        oct_optim_new(q->ctx, p, count, &(oct_optim_opts){.lr = 0.005f, .momentum = 0.9f});
    oct_tensor *labels = oct_tensor_new(q->ctx, OCT_S32, OCT_SHAPE(8));
    for (int i = 0; i < 8; i++) oct_s32(labels)[i] = i % 3;
    oct_status s = OCT_OK;
    for (int i = 0; s == OCT_OK && i < steps; i++) {
        if (i == steps / 2) oct_net_freeze_batch_norm(q, true);
        oct_optim_zero_grad(o);
        oct_tape_begin(t, OCT_TRAIN);
        s = oct_backward(oct_cross_entropy(
            oct_net_forward(q, oct_input(t, random_images(q->ctx, 8, image, (uint32_t)i))), labels,
            NULL));
        if (s == OCT_OK) s = oct_optim_step(o);
    }
    oct_optim_free(o);
    oct_tensor_unref(labels);
    return s;
}

/** Convert, and compare on n images of `key`: no code differs. Returns the int8 net. */
static inline oct_net *exact(oct_net *q, oct_shape image, int64_t n, uint32_t key,
                             const char *what) {
    oct_convert_report report;
    oct_net *i8 = oct_convert(q, &report);
    ck_assert_msg(i8 != NULL, "%s: %s", what, oct_error_message());
    oct_mismatch m = {0};
    const oct_status s = oct_compare(q, i8, random_images(q->ctx, n, image, key), &m);
    ck_assert_msg(s == OCT_OK, "%s: %s", what, oct_error_message());
    ck_assert_int_gt(m.codes, 0);
    ck_assert_msg(m.mismatched == 0,
                  "%s: %lld of %lld codes differ, first %s[%lld]: expected %d, got %d", what,
                  (long long)m.mismatched, (long long)m.codes, m.node, (long long)m.element,
                  m.expected, m.got);
    return i8;
}

#endif
