/* SPDX-License-Identifier: MIT
 * tests/forms_fix.h - looking into prepared nets, and codes of simulation and plan held against
 * each other. */
#ifndef OCT_TESTS_FORMS_FIX_H
#define OCT_TESTS_FORMS_FIX_H

#include "tests/oct_test.h"

#include <math.h>

#include "ops/qops.h"
#include "qat/net/prepared.h"
#include "qat/scales/observing.h"
#include "src/qround.h"
#include "src/rng.h"
#include "tests/random_net.h"

static inline oct_quantizer *quantizer(const oct_net *net, const char *value) {
    int32_t v = oct_graph_find_value(net->graph, value);
    ck_assert_msg(v >= 0 && net->graph->values[v].quantizer >= 0, "%s has no quantizer", value);
    return &net->graph->quantizers[net->graph->values[v].quantizer];
}

static inline const oct_node *node(const oct_net *net, const char *name) {
    int32_t i = oct_graph_find_node(net->graph, name);
    ck_assert_msg(i >= 0, "no node %s", name);
    return &net->graph->nodes[i];
}

static inline oct_status run(oct_net *net, oct_tape *t, oct_mode mode, const oct_tensor *x) {
    oct_tape_begin(t, mode);
    (void)oct_net_forward(net, oct_input(t, x));
    return oct_tape_status(t);
}

static inline void same_codes(oct_net *q, const oct_net *i8, const oct_tensor *x) {
    oct_mismatch m = {0};
    ck_ok(oct_compare(q, i8, x, &m));
    ck_assert_int_gt(m.codes, 0);
    ck_assert_msg(!m.mismatched, "%s[%lld]: expected %d, got %d", m.node, (long long)m.element,
                  m.expected, m.got);
}

/* A ramp over a range, [rows, side]. */
static inline oct_tensor *ramp(oct_ctx *ctx, int rows, int side, float from, float to) {
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(rows, side));
    for (int i = 0; i < rows * side; i++)
        oct_f32(x)[i] = from + (to - from) * (float)i / (float)(rows * side - 1);
    return x;
}

#endif
