/* SPDX-License-Identifier: MIT
 * Functions of one value: clamp, leaky_relu, hardswish, hardsigmoid, sigmoid, tanh. Definitions and
 * the gradients at their corners are PyTorch's; the same functions in double make the tables of the
 * int8 net (law 8). */
#include <math.h>

#include "ops/checks.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

enum { GRAIN = 8192 }; /* elements worth a task */

double octi_unary_f64(oct_op_kind kind, const oct_attrs *a, double x) {
    switch (kind) {
    case OCT_OP_clamp:
        return fmin(fmax(x, (double)a->least), (double)a->most);
    case OCT_OP_leaky_relu:
        return x > 0 ? x : x * (double)a->slope;
    case OCT_OP_hardswish:
        return x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6;
    case OCT_OP_hardsigmoid:
        return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6;
    case OCT_OP_sigmoid:
        return 1 / (1 + exp(-x));
    case OCT_OP_tanh:
        return tanh(x);
    default:
        return x;
    }
}

/* clamp that lets NaN through, so that a diverged net is seen */
static inline float clamp(float v, float lo, float hi) {
    v = lo > v ? lo : v;
    return hi < v ? hi : v;
}
static inline float clamp_06(float v) { return clamp(v, 0.0f, 6.0f); }

void octi_unary_f32(oct_op_kind kind, const oct_attrs *a, const float *x, float *y, int64_t n) {
    const float slope = a->slope, least = a->least, most = a->most;
    switch (kind) {
    case OCT_OP_clamp:
        OCTI_IVDEP for (int64_t i = 0; i < n; i++) y[i] = clamp(x[i], least, most);
        return;
    case OCT_OP_leaky_relu:
        OCTI_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] * (x[i] > 0.0f ? 1.0f : slope);
        return;
    case OCT_OP_hardswish:
        OCTI_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] * clamp_06(x[i] + 3.0f) / 6.0f;
        return;
    case OCT_OP_hardsigmoid:
        OCTI_IVDEP for (int64_t i = 0; i < n; i++) y[i] = clamp_06(x[i] + 3.0f) / 6.0f;
        return;
    case OCT_OP_sigmoid:
        for (int64_t i = 0; i < n; i++) y[i] = 1.0f / (1.0f + expf(-x[i]));
        return;
    case OCT_OP_tanh:
        for (int64_t i = 0; i < n; i++) y[i] = tanhf(x[i]);
        return;
    default:
        return;
    }
}

typedef struct unary_job {
    oct_op_kind kind;
    const oct_attrs *a;
    const float *x, *y, *dy;
    float *to;
} unary_job;

static void forward_range(void *arg, int64_t from, int64_t to) {
    const unary_job *j = arg;
    octi_unary_f32(j->kind, j->a, j->x + from, j->to + from, to - from);
}

static void grad_range(void *arg, int64_t from, int64_t to) {
    const unary_job *j = arg;
    const float *x = j->x, *y = j->y, *dy = j->dy, slope = j->a->slope;
    const float least = j->a->least, most = j->a->most;
    float *dx = j->to;
    switch (j->kind) {
    case OCT_OP_clamp:
        OCTI_IVDEP for (int64_t i = from; i < to; i++) {
            float d = x[i] < least ? 0.0f : dy[i];
            dx[i] = x[i] > most ? 0.0f : d;
        }
        return;
    case OCT_OP_leaky_relu:
        OCTI_IVDEP for (int64_t i = from; i < to; i++) dx[i] = dy[i] * (x[i] > 0.0f ? 1.0f : slope);
        return;
    case OCT_OP_hardswish:
        OCTI_IVDEP for (int64_t i = from; i < to; i++) {
            float d = x[i] / 3.0f + 0.5f;
            d = x[i] > -3.0f ? d : 0.0f;
            dx[i] = dy[i] * (x[i] < 3.0f ? d : 1.0f);
        }
        return;
    case OCT_OP_hardsigmoid:
        OCTI_IVDEP for (int64_t i = from; i < to; i++) {
            float d = x[i] > -3.0f ? 1.0f / 6.0f : 0.0f;
            dx[i] = dy[i] * (x[i] < 3.0f ? d : 0.0f);
        }
        return;
    case OCT_OP_sigmoid:
        OCTI_IVDEP for (int64_t i = from; i < to; i++) dx[i] = dy[i] * (y[i] * (1.0f - y[i]));
        return;
    case OCT_OP_tanh:
        OCTI_IVDEP for (int64_t i = from; i < to; i++) dx[i] = dy[i] * (1.0f - y[i] * y[i]);
        return;
    default:
        return;
    }
}

oct_status oct_unary_forward(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a,
                             const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_unary_forward");
    if (!octi_is_unary(kind) || !a)
        return octi_fail(OCT_EUSAGE, "unary", "kind or attributes",
                         "clamp, leaky_relu, hardswish, hardsigmoid, sigmoid or tanh", NULL, NULL);
    OCT_TRY(octi_check_op(kind, a, &x, 1, y, "y"));
    unary_job j = {.kind = kind, .a = a, .x = oct_f32(x), .to = oct_f32(y)};
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, forward_range, &j);
    return OCT_OK;
}

oct_status oct_unary_grad(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a, const oct_tensor *x,
                          const oct_tensor *y, const oct_tensor *dy, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_unary_grad");
    if (!octi_is_unary(kind) || !a)
        return octi_fail(OCT_EUSAGE, "unary_grad", "kind or attributes",
                         "clamp, leaky_relu, hardswish, hardsigmoid, sigmoid or tanh", NULL, NULL);
    OCT_TRY(octi_check_op(kind, a, &x, 1, y, "y"));
    OCT_TRY(octi_check_tensor(oct_op_name(kind), "dy", dy, OCT_F32, &x->shape));
    OCT_TRY(octi_check_tensor(oct_op_name(kind), "dx", dx, OCT_F32, &x->shape));
    unary_job j = {kind, a, oct_f32(x), oct_f32(y), oct_f32(dy), oct_f32(dx)};
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, grad_range, &j);
    return OCT_OK;
}
