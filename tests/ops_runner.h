/* SPDX-License-Identifier: MIT
 * tests/ops_runner.h - runs a case through the library: inputs, forward, gradients. */
#ifndef OCT_TESTS_OPS_RUNNER_H
#define OCT_TESTS_OPS_RUNNER_H

#include <math.h>

#include "tests/ops_cases.h"
#include "tests/oct_test.h"
#include "src/rng.h"

typedef struct op_run {
    /* g NULL where an input has no gradient */
    oct_tensor *in[CASE_INPUTS], *y, *dy, *g[CASE_INPUTS];
    oct_tensor *kept[3]; /* what an LSTM's forward leaves for its gradient */
} op_run;

static inline void fill_normal(octi_rng *r, oct_tensor *t, float scale) {
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = scale * octi_rng_normal(r);
}

/** Inputs by seed. Kinks are kept away: clamps at 0 and 6 by a gap of 0.01, maxima by distinct
 *  values. */
static inline void run_inputs(oct_ctx *ctx, const op_case *c, uint32_t seed, op_run *run) {
    octi_rng r = octi_rng_stream(seed, OCTI_RNG_TEST, (uint32_t)c->kind, 7);
    memset(run, 0, sizeof *run);
    for (int k = 0; k < c->nin; k++) {
        bool labels = c->kind == OCT_OP_cross_entropy && k == 1;
        ck_not_null(run->in[k] = oct_tensor_new(ctx, labels ? OCT_S32 : OCT_F32, c->s[k]));
        int64_t n = oct_tensor_count(run->in[k]);
        if (labels) {
            for (int64_t i = 0; i < n; i++)
                oct_s32(run->in[k])[i] = (int32_t)octi_rng_below(&r, (uint32_t)c->s[0].dim[1]);
            continue;
        }
        fill_normal(&r, run->in[k], 1.0f);
        float *x = oct_f32(run->in[k]);
        if (c->kind == OCT_OP_batch_norm && k == 0) /* far from zero: cancellation must not hurt */
            for (int64_t i = 0; i < n; i++) x[i] += 20.0f;
        if (c->kind == OCT_OP_batch_norm && k == 3)
            for (int64_t i = 0; i < n; i++) x[i] += 20.0f;
        if (c->kind == OCT_OP_batch_norm && k == 4)
            for (int64_t i = 0; i < n; i++) x[i] = 0.1f + x[i] * x[i];
        if (c->kind == OCT_OP_relu || c->kind == OCT_OP_relu6)
            for (int64_t i = 0; i < n; i++) {
                x[i] *= 4.0f;
                if (x[i] > -0.01f && x[i] < 0.01f) x[i] = 0.02f;
                if (x[i] > 5.99f && x[i] < 6.01f) x[i] = 6.02f;
            }
        if (octi_is_unary(c->kind))
            for (int64_t i = 0; i < n; i++) {
                x[i] *= 3.0f;
                if (x[i] > -0.01f && x[i] < 0.01f) x[i] = 0.02f;
                if (fabsf(fabsf(x[i]) - 3.0f) < 0.01f) x[i] *= 1.02f;
            }
        if (c->kind == OCT_OP_max_pool2d) {
            uint32_t perm[4096];
            ck_assert_int_le(n, 4096);
            octi_rng_permutation(&r, perm, (uint32_t)n);
            for (int64_t i = 0; i < n; i++) x[i] = ((float)perm[i] - (float)n / 2) / 64.0f;
        }
    }
    const oct_value *in[CASE_INPUTS];
    oct_value v[CASE_INPUTS];
    for (int k = 0; k < c->nin; k++) {
        v[k] = (oct_value){.dtype = run->in[k]->dtype, .shape = run->in[k]->shape};
        in[k] = &v[k];
    }
    oct_dtype t;
    oct_shape s;
    ck_ok(oct_infer_shape(c->kind, &c->a, in, c->nin, "case", &t, &s));
    ck_not_null(run->y = oct_tensor_new(ctx, t, s));
    ck_not_null(run->dy = oct_tensor_new(ctx, t, s));
    fill_normal(&r, run->dy, 1.0f);
    for (int64_t i = 0; i < oct_tensor_count(run->y); i++) oct_f32(run->y)[i] = 1e30f; /* stale */
    bool layer = c->kind == OCT_OP_lstm;
    for (int k = 0; k < 3 && (layer || c->kind == OCT_OP_lstm_cell); k++) {
        oct_shape wide =
            OCT_SHAPE(c->s[0].dim[0], layer ? c->s[0].dim[1] : 1, c->s[2].dim[1] * (k ? 1 : 4));
        /* all steps: the result itself */
        if (k == 2 && layer && !c->a.last[0])
            run->kept[k] = oct_tensor_ref(run->y);
        else
            ck_not_null(run->kept[k] = oct_tensor_new(ctx, OCT_F32, wide));
    }
}

static inline void run_free(op_run *run) {
    oct_tensor_unref(run->y);
    oct_tensor_unref(run->dy);
    for (int k = 0; k < 3; k++) oct_tensor_unref(run->kept[k]);
    for (int k = 0; k < CASE_INPUTS; k++) {
        oct_tensor_unref(run->in[k]);
        oct_tensor_unref(run->g[k]);
    }
}

static inline oct_tensor *like(oct_ctx *ctx, const oct_tensor *t) {
    oct_tensor *g = oct_tensor_new(ctx, OCT_F32, t->shape);
    ck_not_null(g);
    for (int64_t i = 0; i < oct_tensor_count(g); i++) oct_f32(g)[i] = -1e30f;
    return g;
}

/** Forward into y, gradients into g. */
static inline void run_op(oct_ctx *ctx, const op_case *c, op_run *r) {
    oct_tensor **in = r->in, **g = r->g, *saved = NULL, *more = NULL;
    bool labels = c->kind == OCT_OP_cross_entropy;
    for (int k = 0; k < c->nin; k++)
        if (!(labels && k == 1) && !(c->kind == OCT_OP_batch_norm && k > 2) &&
            !((c->kind == OCT_OP_mse_loss || c->kind == OCT_OP_distill_loss) && k == 1))
            g[k] = like(ctx, in[k]);
    switch (c->kind) {
    case OCT_OP_conv2d:
        ck_ok(oct_conv2d_forward(ctx, &c->a, in[0], in[1], in[2], r->y));
        ck_ok(oct_conv2d_grad_x(ctx, &c->a, r->dy, in[1], g[0]));
        ck_ok(oct_conv2d_grad_w(ctx, &c->a, in[0], r->dy, g[1], g[2]));
        break;
    case OCT_OP_linear:
        ck_ok(oct_linear_forward(ctx, in[0], in[1], in[2], r->y));
        ck_ok(oct_linear_grad_x(ctx, r->dy, in[1], g[0]));
        ck_ok(oct_linear_grad_w(ctx, in[0], r->dy, g[1], g[2]));
        break;
    case OCT_OP_batch_norm:
        if (c->eval) {
            ck_ok(oct_batch_norm_eval(ctx, &c->a, in[0], in[1], in[2], in[3], in[4], r->y));
            ck_ok(oct_batch_norm_grad_eval(ctx, &c->a, in[0], r->dy, in[1], in[3], in[4], g[0],
                                           g[1], g[2]));
        } else {
            saved = like(ctx, in[1]), more = like(ctx, in[1]);
            ck_ok(oct_batch_norm_train(ctx, &c->a, in[0], in[1], in[2], NULL, NULL, saved, more,
                                       r->y));
            ck_ok(oct_batch_norm_grad(ctx, in[0], r->dy, in[1], saved, more, g[0], g[1], g[2]));
        }
        break;
    case OCT_OP_relu:
    case OCT_OP_relu6: {
        oct_act act = c->kind == OCT_OP_relu ? OCT_ACT_RELU : OCT_ACT_RELU6;
        ck_ok(oct_act_forward(ctx, act, in[0], r->y));
        ck_ok(oct_act_grad(ctx, act, r->y, r->dy, g[0]));
        break;
    }
    case OCT_OP_softmax:
        ck_ok(oct_softmax_forward(ctx, in[0], r->y));
        ck_ok(oct_softmax_grad(ctx, r->y, r->dy, g[0]));
        break;
    case OCT_OP_log_softmax:
        ck_ok(oct_log_softmax_forward(ctx, in[0], r->y));
        ck_ok(oct_log_softmax_grad(ctx, r->y, r->dy, g[0]));
        break;
    case OCT_OP_max_pool2d:
        ck_not_null(saved = oct_tensor_new(ctx, OCT_S32, r->y->shape));
        ck_ok(oct_max_pool2d_forward(ctx, &c->a, in[0], r->y, saved));
        ck_ok(oct_max_pool2d_grad(ctx, r->dy, saved, g[0]));
        break;
    case OCT_OP_avg_pool2d:
        ck_ok(oct_avg_pool2d_forward(ctx, &c->a, in[0], r->y));
        ck_ok(oct_avg_pool2d_grad(ctx, &c->a, r->dy, g[0]));
        break;
    case OCT_OP_adaptive_avg_pool2d:
        ck_ok(oct_adaptive_avg_pool2d_forward(ctx, in[0], r->y));
        ck_ok(oct_adaptive_avg_pool2d_grad(ctx, r->dy, g[0]));
        break;
    case OCT_OP_add:
        ck_ok(oct_add_forward(ctx, in[0], in[1], r->y));
        for (int k = 0; k < 2; k++) {
            if (!oct_shape_equal(&in[k]->shape, &r->y->shape))
                ck_ok(oct_add_grad_broadcast(ctx, r->dy, g[k]));
            else {
                memset(g[k]->data, 0, oct_tensor_bytes(g[k]));
                ck_ok(oct_accumulate(ctx, g[k], r->dy));
            }
        }
        break;
    case OCT_OP_mul:
        ck_ok(oct_mul_forward(ctx, in[0], in[1], r->y));
        for (int k = 0; k < 2; k++) ck_ok(oct_mul_grad(ctx, r->dy, in[1 - k], g[k]));
        break;
    case OCT_OP_clamp:
    case OCT_OP_leaky_relu:
    case OCT_OP_elu:
    case OCT_OP_hardswish:
    case OCT_OP_hardsigmoid:
    case OCT_OP_sigmoid:
    case OCT_OP_tanh:
        ck_ok(oct_unary_forward(ctx, c->kind, &c->a, in[0], r->y));
        ck_ok(oct_unary_grad(ctx, c->kind, &c->a, in[0], r->y, r->dy, g[0]));
        break;
    case OCT_OP_cat: {
        int64_t offset = 0;
        ck_ok(oct_cat_forward(ctx, &c->a, (const oct_tensor *const *)in, c->nin, r->y));
        for (int k = 0; k < c->nin; k++) {
            ck_ok(oct_cat_grad(ctx, &c->a, r->dy, offset, g[k]));
            offset += in[k]->shape.dim[c->a.axis[0]];
        }
        break;
    }
    case OCT_OP_lstm:
    case OCT_OP_lstm_cell: {
        oct_lstm_weights w = {in[1], in[2], in[3], in[4]}, d = {g[1], g[2], g[3], g[4]};
        oct_lstm_saved s = {r->kept[0], r->kept[1], r->kept[2]};
        if (c->kind == OCT_OP_lstm) {
            ck_ok(oct_lstm_forward(ctx, &c->a, in[0], &w, &s, r->y));
            ck_ok(oct_lstm_grad(ctx, &c->a, in[0], &w, &s, r->dy, g[0], &d));
        } else {
            ck_ok(oct_lstm_cell_forward(ctx, in[0], in[5], &w, &s, r->y));
            ck_ok(oct_lstm_cell_grad(ctx, in[0], in[5], &w, &s, r->dy, g[0], g[5], &d));
        }
        break;
    }
    case OCT_OP_slice:
        ck_ok(oct_slice_forward(ctx, &c->a, in[0], r->y));
        ck_ok(oct_slice_grad(ctx, &c->a, r->dy, g[0]));
        break;
    case OCT_OP_pad:
        ck_ok(oct_pad_forward(ctx, &c->a, in[0], r->y));
        ck_ok(oct_pad_grad(ctx, &c->a, r->dy, g[0]));
        break;
    case OCT_OP_cross_entropy:
        saved = like(ctx, in[0]);
        ck_ok(oct_cross_entropy_forward(ctx, &c->a, in[0], in[1], saved, r->y));
        ck_ok(oct_cross_entropy_grad(ctx, &c->a, saved, in[1], r->dy, g[0]));
        break;
    case OCT_OP_mse_loss:
        ck_ok(oct_mse_loss_forward(ctx, in[0], in[1], r->y));
        ck_ok(oct_mse_loss_grad(ctx, in[0], in[1], r->dy, g[0]));
        break;
    case OCT_OP_distill_loss:
        saved = like(ctx, in[0]);
        ck_ok(oct_distill_loss_forward(ctx, &c->a, in[0], in[1], saved, r->y));
        ck_ok(oct_distill_loss_grad(ctx, &c->a, saved, r->dy, g[0]));
        break;
    default:
        ck_abort_msg("no runner for %s", oct_op_name(c->kind));
    }
    oct_tensor_unref(saved);
    oct_tensor_unref(more);
}

#endif
