/* SPDX-License-Identifier: MIT
 * tests/qconfig_fix.h - a net for rules to hit, and the proof that what rules made is exact. */
#ifndef OCT_TESTS_QCONFIG_FIX_H
#define OCT_TESTS_QCONFIG_FIX_H

#include "tests/oct_test.h"

#include <zlib.h>

#include "qat/net/prepared.h"
#include "qat/rules/qconfig_rules.h"
#include "qat/scales/observing.h"
#include "src/format/graph_json.h"
#include "src/mem.h"
#include "src/rng.h"
#include "tests/plans_agree.h"
#include "tests/random_net.h"

typedef struct model {
    oct_module *stem, *bn, *a, *b, *c, *fc;
} model;

static inline oct_var *model_forward(void *self, oct_tape *t, oct_var *x) {
    model *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->bn, oct_apply(n->stem, x)));
    x = oct_max_pool2d(
        oct_cat((oct_var *[]){oct_relu(oct_apply(n->a, x)), oct_apply(n->b, x)}, 2, 3), NULL);
    return oct_apply(n->fc, oct_flatten(oct_apply(n->c, x)));
}

/* stem (conv, bn, relu), block.a and block.b into a cat and a pool, block.c, fc */
static inline oct_net *model_net(oct_ctx *ctx, model *n) {
    oct_module *m = oct_module_new(ctx, model_forward, n);
    n->stem = oct_module_add(
        m, "stem",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 2, .out = 4, .kernel = 3, .pad = 1, .no_bias = true}));
    n->bn = oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}));
    /* a folder for names */
    oct_module *block = oct_module_add(m, "block", oct_module_new(ctx, model_forward, n));
    n->a = oct_module_add(
        block, "a",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 3, .kernel = 3, .pad = 1}));
    n->b = oct_module_add(block, "b",
                          oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 3, .kernel = 1}));
    n->c = oct_module_add(
        block, "c",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 6, .out = 6, .kernel = 3, .pad = 1}));
    n->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 6 * 3 * 3, .out = 5}));
    oct_net *net = oct_capture(m, OCT_SHAPE(6, 6, 2));
    ck_not_null(net);
    return net;
}

static inline const oct_quantizer *quantizer(const oct_net *net, const char *value) {
    int32_t v = oct_graph_find_value(net->graph, value);
    ck_assert_msg(v >= 0 && net->graph->values[v].quantizer >= 0, "no quantized value %s", value);
    return &net->graph->quantizers[net->graph->values[v].quantizer];
}

static inline oct_net *prepared(oct_net *net, const char *text) {
    oct_qconfig c = {.observer = "minmax"};
    ck_ok(oct_qconfig_parse(net->ctx, text, &c));
    oct_net *q = oct_prepare(net, &c);
    ck_assert_msg(q != NULL, "%s: %s", text, oct_error_message());
    return q;
}

static inline oct_placement row_of(oct_net *net, oct_placement *rows, int32_t count,
                                   const char *name) {
    (void)net;
    for (int32_t i = 0; i < count; i++)
        if (!strcmp(rows[i].name, name)) return rows[i];
    ck_abort_msg("no placement of %s", name);
    return rows[0];
}

/* Of all that training and calibration move in activations. */
static inline uLong crc_of_ranges(const oct_net *q) {
    uLong crc = 0;
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) {
        const oct_quantizer *z = &q->graph->quantizers[i];
        const oct_tensor *t[] = {z->scale,  z->zero_point, z->min_val,  z->max_val,  z->step,
                                 z->offset, z->state[0],   z->state[1], z->state[2], z->state[3]};
        for (size_t k = 0; !octi_is_weight(z) && k < sizeof t / sizeof *t; k++)
            if (t[k]) crc = crc32(crc, t[k]->data, (uInt)oct_tensor_bytes(t[k]));
    }
    return crc;
}

/* Calibrated, trained a little, converted: every code of the plan is the simulation's, and
 * evaluation moved nothing. */
static inline void check_exact(oct_net *q, oct_shape image, bool trains, const char *what) {
    oct_tape *t = oct_tape_new(q->ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    (void)oct_net_forward(q, oct_input(t, random_images(q->ctx, 8, image, 1)));
    ck_assert_msg(oct_tape_status(t) == OCT_OK, "%s: %s", what, oct_error_message());
    for (int step = 0; trains && step < 4; step++) {
        int32_t count;
        const oct_named_tensor *p = oct_net_parameters(q, &count);
        oct_optim *o = oct_optim_new(q->ctx, p, count, &(oct_optim_opts){.lr = 0.005f});
        oct_tensor *labels = oct_tensor_new(q->ctx, OCT_S32, OCT_SHAPE(8));
        if (step == 2) oct_net_freeze_batch_norm(q, true);
        oct_optim_zero_grad(o);
        oct_tape_begin(t, OCT_TRAIN);
        oct_status s = oct_backward(oct_cross_entropy(
            oct_net_forward(q, oct_input(t, random_images(q->ctx, 8, image, (uint32_t)step))),
            labels, NULL));
        ck_assert_msg(s == OCT_OK && oct_optim_step(o) == OCT_OK, "%s: %s", what,
                      oct_error_message());
        oct_optim_free(o);
    }
    oct_net *i8 = oct_convert(q, NULL);
    ck_assert_msg(i8 != NULL, "%s: %s", what, oct_error_message());
    oct_mismatch m = {0};
    plans_agree(i8, random_images(q->ctx, 16, image, 2), 5);
    const uLong before = crc_of_ranges(q);
    ck_assert_msg(oct_compare(q, i8, random_images(q->ctx, 16, image, 2), &m) == OCT_OK, "%s: %s",
                  what, oct_error_message());
    ck_assert_int_gt(m.codes, 0);
    ck_assert_msg(m.mismatched == 0, "%s: %lld of %lld codes differ, first %s[%lld]", what,
                  (long long)m.mismatched, (long long)m.codes, m.node, (long long)m.element);
    ck_assert_msg(crc_of_ranges(q) == before, "%s: evaluation moved a range", what);
}

#endif
