/* SPDX-License-Identifier: MIT
 * Training steps of fused conv, batch norm, relu and linear, batch norm against PyTorch's QAT
 * modules (law 5): outputs, statistics and gradients, with batch statistics and frozen. One
 * difference is octet's by design and named: no gradient flows through the fold's factor. What
 * PyTorch's gamma gets through it is computed here from the rounding of the weights, and is the
 * whole difference. */
#include "tests/oct_test.h"

#include <math.h>

#include "autograd/tape.h"
#include "qat/net/prepared.h"
#include "src/qround.h"
#include "octet.h"
#include "tests/golden.h"

enum { STEPS = 6, FROZEN_FROM = 4 };

static oct_ctx *ctx;
static oct_tensor *file(const char *of, const char *name) {
    return golden(ctx, "conv_bn.txt", octi_fmt("%s.%s", of, name));
}

typedef struct fused {
    oct_module *product, *bn;
    bool relu;
} fused;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    fused *f = self;
    (void)t;
    x = oct_apply(f->bn, oct_apply(f->product, x));
    return f->relu ? oct_relu(x) : x;
}

static void copy(oct_tensor *to, const oct_tensor *from) {
    ck_assert_int_eq(oct_tensor_count(to), oct_tensor_count(from));
    memcpy(to->data, from->data, oct_tensor_bytes(to));
}

static void near(const char *what, int step, const float *got, const float *want, int64_t n) {
    float top = 0;
    for (int64_t i = 0; i < n; i++) top = fmaxf(top, fabsf(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-5f * top + 1e-7f))
            ck_abort_msg("step %d, %s[%d]: %.9g, not %.9g", step, what, (int)i, (double)got[i],
                         (double)want[i]);
}

static void near_file(const char *of, int step, const char *what, const oct_tensor *got) {
    const oct_tensor *want = file(of, octi_fmt("%d.%s", step, what));
    ck_assert_int_eq(oct_tensor_count(got), oct_tensor_count(want));
    near(what, step, oct_f32(got), oct_f32(want), oct_tensor_count(want));
}

/* d gamma through the factor f = gamma / std: the weights that act are fq(w * f) / f, so that df =
 * sum dW * (w * f - fq(w * f))
 * / f^2, and dW is the gradient of w. */
static void through_the_factor(const oct_tensor *w, const float *dw, const float *gamma,
                               const float *var, float *d) {
    const int64_t o = w->shape.dim[0], k = oct_tensor_count(w) / o;
    for (int64_t c = 0; c < o; c++) {
        const double std = sqrt((double)var[c] + 1e-5), f = (double)gamma[c] / std;
        float amax = 0;
        for (int64_t i = c * k; i < (c + 1) * k; i++)
            amax = fmaxf(amax, fabsf(oct_f32(w)[i] * (float)f));
        const float s = amax / 127;
        double sum = 0;
        for (int64_t i = c * k; i < (c + 1) * k; i++) {
            const float folded = oct_f32(w)[i] * (float)f;
            sum += (double)dw[i] *
                   ((double)folded - (double)s * octq_quantize(folded, s, 0, -127, 127)) / (f * f);
        }
        d[c] = (float)(sum / std);
    }
}

static void descend(oct_tensor *t) {
    for (int64_t i = 0; t && i < oct_tensor_count(t); i++)
        oct_f32(t)[i] -= 0.05f * oct_f32(t->grad)[i];
}

static void follow(const char *name, oct_module *product, int channels, bool relu, oct_shape image,
                   bool bias) {
    fused f = {product, oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = channels}),
               relu};
    oct_module *m = oct_module_new(ctx, forward, &f);
    oct_module_add(m, "p", product);
    oct_module_add(m, "bn", f.bn);
    static const char *const keys[][2] = {{"p.weight", "weight"},      {"p.bias", "bias"},
                                          {"bn.weight", "gamma"},      {"bn.bias", "beta"},
                                          {"bn.running_mean", "mean"}, {"bn.running_var", "var"}};
    for (int i = 0; i < 6; i++)
        if (i != 1 || bias) copy(oct_module_tensor(m, keys[i][0]), file(name, keys[i][1]));
    oct_net *q = oct_prepare(oct_capture(m, image), NULL);
    ck_not_null(q);
    /* the input's grid is given, the output stays as it is */
    const oct_graph *g = q->graph;
    oct_quantizer
        *x = &g->quantizers[g->values[oct_graph_find_value(g, "input.quantize")].quantizer],
        *y = &g->quantizers[g->values[oct_graph_find_value(g, "p")].quantizer];
    *oct_f32(x->scale) = 1.0f / 32;
    *oct_s32(x->zero_point) = 128;
    *oct_f32(x->min_val) = -4, *oct_f32(x->max_val) = 127.0f / 32;
    oct_net_observe(q, false);
    oct_u8(y->enabled)[1] = 0;
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *w = oct_net_tensor(q, "p.weight"), *b = oct_net_tensor(q, "p.bias"),
               *gamma = oct_net_tensor(q, "bn.weight"), *beta = oct_net_tensor(q, "bn.bias");
    oct_tensor *mean = oct_net_tensor(q, "bn.running_mean"),
               *var = oct_net_tensor(q, "bn.running_var"), *input = file(name, "x"),
               *target = file(name, "target");
    float apart = 0;
    for (int i = 0; i < STEPS; i++) {
        if (i == FROZEN_FROM) oct_net_freeze_batch_norm(q, true);
        float before[16], extra[16];
        memcpy(before, var->data, oct_tensor_bytes(var));
        oct_tensor *moving[] = {w, b, gamma, beta};
        for (int k = 0; k < 4; k++)
            if (moving[k] && moving[k]->grad)
                memset(moving[k]->grad->data, 0, oct_tensor_bytes(moving[k]));
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *out = oct_net_forward(q, oct_input(t, input));
        ck_ok(oct_backward(oct_mse_loss(out, target)));
        near_file(name, i, "y", oct_var_value(out));
        near_file(name, i, "dweight", w->grad);
        near_file(name, i, "dgamma", gamma->grad);
        near_file(name, i, "dbeta", beta->grad);
        near_file(name, i, "mean", mean);
        near_file(name, i, "var", var);
        through_the_factor(w, oct_f32(w->grad), oct_f32(gamma), before, extra);
        const float *whole = oct_f32(file(name, octi_fmt("%d.whole", i)));
        for (int c = 0; c < channels; c++) {
            apart = fmaxf(apart, fabsf(extra[c]));
            extra[c] += oct_f32(gamma->grad)[c];
        }
        near("gamma by PyTorch", i, extra, whole, channels);
        for (int k = 0; k < 4; k++) descend(moving[k]);
    }
    ck_assert_msg(apart > 1e-5f, "%s: the factor's gradient is nothing: %g", name, (double)apart);
    printf("%s: the factor's part of gamma's gradient is at most %.2g\n", name, (double)apart);
}

START_TEST(steps_are_pytorchs) {
    ctx = oct_open(&(oct_opts){.threads = 2});
    follow("conv",
           oct_conv2d_new(
               ctx, &(oct_conv2d_opts){.in = 3, .out = 4, .kernel = 3, .pad = 1, .no_bias = true}),
           4, true, OCT_SHAPE(5, 5, 3), false);
    follow("convb",
           oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 4, .kernel = 3, .stride = 2}), 4,
           true, OCT_SHAPE(6, 6, 2), true);
    follow("linear", oct_linear_new(ctx, &(oct_linear_opts){.in = 10, .out = 6}), 6, false,
           OCT_SHAPE(10), true);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("conv_bn_golden", steps_are_pytorchs)
