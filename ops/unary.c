/* SPDX-License-Identifier: MIT
 * Functions of one value: one row each. Definitions and the gradients at their corners are
 * PyTorch's; the same functions in double make the tables of the int8 net (law 8). */
#include <float.h>
#include <math.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/infer_rules.h"
#include "src/float_mode.h"
#include "src/words.h"

enum { GRAIN = 8192 }; /* elements worth a task */

/* A loop over elements; `a` are the node's attributes. Loops that call libm are no vectors, and
 * clang says so where it is asked for them. */
#define LOOP(name, before, hint, value)                                                            \
    static void name##_forward(const oct_attrs *a, const float *x, float *y, int64_t n) {          \
        (void)a;                                                                                   \
        before hint for (int64_t i = 0; i < n; i++) y[i] = (value);                                \
    }
#define LOOP_GRAD(name, before, hint, value)                                                       \
    static void name##_grad(const oct_attrs *a, const float *x, const float *y, const float *dy,   \
                            float *dx, int64_t n) {                                                \
        (void)a, (void)x, (void)y;                                                                 \
        before hint for (int64_t i = 0; i < n; i++) dx[i] = (value);                               \
    }
#define FORWARD(name, before, value)      LOOP(name, before, OCTI_IVDEP, value)
#define FORWARD_LIBM(name, before, value) LOOP(name, before, , value)
#define GRAD(name, before, value)         LOOP_GRAD(name, before, OCTI_IVDEP, value)
#define GRAD_LIBM(name, before, value)    LOOP_GRAD(name, before, , value)

/* clamp that lets NaN through, so that a diverged net is seen */
static inline float between(float v, float lo, float hi) {
    v = lo > v ? lo : v;
    return hi < v ? hi : v;
}
static inline float relu6(float v) { return octi_activate(v, OCT_ACT_RELU6); }

static const char *clamp_judge(const oct_attrs *a) {
    const float lo = a->least, hi = a->most;
    return lo >= -FLT_MAX && lo <= hi && hi <= FLT_MAX ? NULL : "finite least <= most";
}
static double clamp_value(const oct_attrs *a, double x) {
    return fmin(fmax(x, (double)a->least), (double)a->most);
}
FORWARD(clamp, const float least = a->least; const float most = a->most;
        , between(x[i], least, most))
/* passes at both ends, as PyTorch's */
GRAD(clamp, const float least = a->least; const float most = a->most;
     , x[i] > most ? 0.0f : (x[i] < least ? 0.0f : dy[i]))

static const char *leaky_relu_judge(const oct_attrs *a) {
    return a->slope >= 0 && a->slope <= 1 ? NULL : "slope 0 to 1";
}
static double leaky_relu_value(const oct_attrs *a, double x) {
    return x > 0 ? x : x * (double)a->slope;
}
FORWARD(leaky_relu, const float slope = a->slope;, x[i] * (x[i] > 0.0f ? 1.0f : slope))
GRAD(leaky_relu, const float slope = a->slope;, dy[i] * (x[i] > 0.0f ? 1.0f : slope))

/* arXiv:1511.07289 */
static const char *elu_judge(const oct_attrs *a) {
    return a->slope > 0 && a->slope <= FLT_MAX ? NULL : "alpha above 0";
}
static double elu_value(const oct_attrs *a, double x) {
    return x > 0 ? x : (double)a->slope * expm1(x);
}
FORWARD_LIBM(elu, const float alpha = a->slope;, x[i] > 0.0f ? x[i] : alpha * expm1f(x[i]))
/* from x, not y + alpha: on codes y is rounded */
GRAD_LIBM(elu, const float alpha = a->slope;, dy[i] * (x[i] > 0.0f ? 1.0f : alpha * expf(x[i])))

static double hardswish_value(const oct_attrs *a, double x) {
    (void)a;
    if (x <= -3) return 0;
    return x >= 3 ? x : x * (x + 3) / 6;
}
FORWARD(hardswish, , x[i] * relu6(x[i] + 3.0f) / 6.0f)
static inline float hardswish_slope(float x) {
    float d = x / 3.0f + 0.5f;
    d = x > -3.0f ? d : 0.0f;
    return x < 3.0f ? d : 1.0f;
}
GRAD(hardswish, , dy[i] * hardswish_slope(x[i]))

static double hardsigmoid_value(const oct_attrs *a, double x) {
    (void)a;
    if (x <= -3) return 0;
    return x >= 3 ? 1 : (x + 3) / 6;
}
FORWARD(hardsigmoid, , relu6(x[i] + 3.0f) / 6.0f)
static inline float hardsigmoid_slope(float x) {
    const float d = x > -3.0f ? 1.0f / 6.0f : 0.0f;
    return x < 3.0f ? d : 0.0f;
}
GRAD(hardsigmoid, , dy[i] * hardsigmoid_slope(x[i]))

static double sigmoid_value(const oct_attrs *a, double x) { return (void)a, 1 / (1 + exp(-x)); }
FORWARD_LIBM(sigmoid, , 1.0f / (1.0f + expf(-x[i])))
GRAD(sigmoid, , dy[i] * (y[i] * (1.0f - y[i])))

static double tanh_value(const oct_attrs *a, double x) { return (void)a, tanh(x); }
FORWARD_LIBM(tanh, , tanhf(x[i]))
GRAD(tanh, , dy[i] * (1.0f - y[i] * y[i]))

static const char *anything(const oct_attrs *a) { return (void)a, NULL; }
#define hardswish_judge   anything
#define hardsigmoid_judge anything
#define sigmoid_judge     anything
#define tanh_judge        anything

static const struct row {
    const char *(*judge)(const oct_attrs *a); /* NULL: sound; else what its attributes must be */
    double (*value)(const oct_attrs *a, double x);
    void (*forward)(const oct_attrs *a, const float *x, float *y, int64_t n);
    void (*grad)(const oct_attrs *a, const float *x, const float *y, const float *dy, float *dx,
                 int64_t n);
} rows[OCT_OP_KIND_COUNT] = {
#define OCT_OP(name, least, most, flags)
#define OCT_OP_INT8(name, least, most, flags)
#define OCT_OP_UNARY(name)                                                                         \
    [OCT_OP_##name] = {name##_judge, name##_value, name##_forward, name##_grad},
#include "src/op_kinds.def"
#undef OCT_OP
};

bool octi_is_unary(oct_op_kind kind) { return rows[kind].value != NULL; }

double octi_unary_f64(oct_op_kind kind, const oct_attrs *a, double x) {
    return rows[kind].value(a, x);
}
void octi_unary_f32(oct_op_kind kind, const oct_attrs *a, const float *x, float *y, int64_t n) {
    rows[kind].forward(a, x, y, n);
}

static oct_status infer(octi_infer *j, oct_op_kind kind) {
    const char *wanted = rows[kind].judge(j->a);
    if (wanted)
        return octi_bad_attr(j, "attributes", wanted,
                             octi_fmt("slope %g, least %g, most %g", (double)j->a->slope,
                                      (double)j->a->least, (double)j->a->most));
    OCT_TRY(octi_want_dtype(j, 0, "x", OCT_F32));
    return octi_infer_same(j);
}
#define OCT_OP(name, least, most, flags)
#define OCT_OP_INT8(name, least, most, flags)
#define OCT_OP_UNARY(name)                                                                         \
    oct_status octi_infer_##name(octi_infer *j) { return infer(j, OCT_OP_##name); }
#include "src/op_kinds.def"
#undef OCT_OP

typedef struct unary_job {
    oct_op_kind kind;
    const oct_attrs *a;
    const float *x, *y, *dy;
    float *to;
} unary_job;

static void forward_range(void *arg, int64_t from, int64_t to) {
    const unary_job *j = arg;
    rows[j->kind].forward(j->a, j->x + from, j->to + from, to - from);
}

static void grad_range(void *arg, int64_t from, int64_t to) {
    const unary_job *j = arg;
    rows[j->kind].grad(j->a, j->x + from, j->y + from, j->dy + from, j->to + from, to - from);
}

static oct_status want_unary(const char *where, oct_op_kind kind, const oct_attrs *a) {
    if ((unsigned)kind < OCT_OP_KIND_COUNT && octi_is_unary(kind) && a) return OCT_OK;
    return octi_fail(OCT_EUSAGE, where, "kind or attributes", "a function of one value",
                     oct_op_name(kind), NULL);
}

oct_status oct_unary_forward(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a,
                             const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_unary_forward");
    OCT_TRY(want_unary("unary", kind, a));
    OCT_TRY(octi_check_op(kind, a, &x, 1, y, "y"));
    unary_job j = {.kind = kind, .a = a, .x = oct_f32(x), .to = oct_f32(y)};
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, forward_range, &j);
    return OCT_OK;
}

oct_status oct_unary_grad(oct_ctx *ctx, oct_op_kind kind, const oct_attrs *a, const oct_tensor *x,
                          const oct_tensor *y, const oct_tensor *dy, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_unary_grad");
    OCT_TRY(want_unary("unary_grad", kind, a));
    OCT_TRY(octi_check_op(kind, a, &x, 1, y, "y"));
    OCT_TRY(octi_check_tensor(oct_op_name(kind), "dy", dy, OCT_F32, &x->shape));
    OCT_TRY(octi_check_tensor(oct_op_name(kind), "dx", dx, OCT_F32, &x->shape));
    unary_job j = {kind, a, oct_f32(x), oct_f32(y), oct_f32(dy), oct_f32(dx)};
    octi_for_range(ctx, oct_tensor_count(x), GRAIN, grad_range, &j);
    return OCT_OK;
}
