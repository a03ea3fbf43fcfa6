/* SPDX-License-Identifier: MIT
 * tests/improve_fix.h - small nets with drawn weights, for what improves a net without training. */
#ifndef OCT_TESTS_IMPROVE_FIX_H
#define OCT_TESTS_IMPROVE_FIX_H

#include "tests/oct_test.h"

#include <math.h>
#include <string.h>

#include "octet.h"
#include "qat/improve/improve_internal.h"
#include "src/qround.h"
#include "src/rng.h"

static inline oct_tensor *drawn(oct_ctx *ctx, oct_shape s, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

static inline float *data(const oct_net *net, const char *name) {
    oct_tensor *t = oct_net_tensor(net, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    return oct_f32(t);
}

static inline const oct_node *node(const oct_net *net, const char *name) {
    int32_t i = oct_graph_find_node(net->graph, name);
    ck_assert_msg(i >= 0, "no node %s", name);
    return &net->graph->nodes[i];
}

static inline oct_tensor *run(oct_net *net, const oct_tensor *x) {
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = x->shape.dim[0]});
    const oct_tensor *y = oct_runner_run(r, x);
    ck_not_null(y);
    oct_tensor *own = oct_tensor_copy(net->ctx, y);
    oct_runner_free(r);
    return own;
}

static inline oct_net *calibrated(oct_net *net, const oct_qconfig *c, const oct_tensor *x) {
    oct_net *q = oct_prepare(net, c);
    ck_not_null(q);
    oct_tape *t = oct_tape_new(net->ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    oct_tape_free(t);
    ck_ok(oct_net_settle(q));
    return q;
}

/* Batch norm that is not trivial. */
static inline void set_norm(oct_net *net, const char *name, int n) {
    for (int i = 0; i < n; i++) {
        data(net, octi_fmt("%s.weight", name))[i] =
            (i % 3 == 1 ? -1 : 1) * (0.5f + 0.2f * (float)i);
        data(net, octi_fmt("%s.bias", name))[i] = 0.3f * (float)(i % 4) - 0.2f;
        data(net, octi_fmt("%s.running_mean", name))[i] = 0.1f * (float)i;
        data(net, octi_fmt("%s.running_var", name))[i] = 0.4f + 0.3f * (float)i;
    }
}

#endif
