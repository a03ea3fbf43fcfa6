/* SPDX-License-Identifier: MIT
 * Equalization, bias correction and AdaRound by their formulas, in double: grouped and depthwise
 * convolutions, batch norm, a flatten between; the pieces of AdaRound, and its roundings against
 * the best of all. */
#include "tests/improve_fix.h"

#include "autograd/tape.h"

#include "autograd/tape.h"

/* ---- bias correction ---- */

/* bias[o] -= sum over k of (s_w code - f w) E[x of k's channel], E over images and positions of the
 * float net. */
static void correction(int in, int out, int groups, bool bn, bool bias) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    enum { SIDE = 5, N = 80 }; /* more than one batch of the pass */
    oct_module *parts[] = {
        oct_conv2d_new(ctx,
                       &(oct_conv2d_opts){
                           .in = in, .out = out, .kernel = 3, .groups = groups, .no_bias = !bias}),
        bn ? oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = out}) : NULL};
    oct_net *net =
        oct_capture(oct_sequential_new(ctx, parts, bn ? 2 : 1), OCT_SHAPE(SIDE, SIDE, in));
    ck_not_null(net);
    if (bn) set_norm(net, "1", out);
    oct_tensor *x = drawn(ctx, OCT_SHAPE(N, SIDE, SIDE, in), 1);
    /* channels have means of their own */
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] += (float)(i % in) - 0.4f;
    oct_net *q = calibrated(net, &(oct_qconfig){.wbits = 2, .all_layers = true}, x);
    double mean[16] = {0};
    for (int64_t i = 0; i < oct_tensor_count(x); i++)
        mean[i % in] += oct_f32(x)[i] / (double)(N * SIDE * SIDE);
    const oct_node *n = node(q, "0");
    octi_arena *arena = octi_arena_new(ctx);
    octi_qweights w;
    ck_ok(octi_quantize_weights(
        q, n, octi_scale(&q->graph->quantizers[q->graph->values[n->in[OCTI_X]].quantizer]), arena,
        &w));
    float *b = bn     ? data(q, "1.bias")
               : bias ? data(q, "0.bias")
                      : NULL,
          before[16] = {0}, conv_before[16] = {0};
    if (b) memcpy(before, b, (size_t)out * sizeof *b);
    if (bn && bias) memcpy(conv_before, data(q, "0.bias"), (size_t)out * sizeof *b);
    int32_t skipped = -1;
    ck_ok(oct_correct_bias(q, x, &skipped));
    ck_assert_int_eq(skipped, b == NULL);
    /* beta alone */
    if (bn && bias) ck_assert_mem_eq(conv_before, data(q, "0.bias"), (size_t)out * sizeof *b);
    const int each = in / groups;
    double most = 0;
    for (int o = 0; b && o < out; o++) {
        double err = 0;
        for (int k = 0; k < 9 * each; k++) {
            const double real =
                (double)data(q, "0.weight")[o * 9 * each + k] * (w.factor ? w.factor[o] : 1);
            err += ((double)w.scale[o] * w.codes[o * 9 * each + k] - real) *
                   mean[o / (out / groups) * each + k % each];
        }
        most = fmax(most, fabs(err));
        ck_assert_msg(fabs(b[o] - (before[o] - err)) < 2e-5,
                      "groups %d, bn %d, channel %d: %g, not %g", groups, bn, o, b[o],
                      before[o] - err);
    }
    if (b) ck_assert_double_gt(most, 0.05);
    octi_arena_free(arena);
    oct_close(ctx);
}

START_TEST(bias_correction_by_the_formula) {
    correction(4, 6, 1, false, true);
    correction(4, 6, 2, false, true);
    correction(4, 6, 2, true, true);
    correction(4, 4, 4, true, false);
    correction(3, 9, 3, false, true);
    correction(4, 6, 1, false, false);
}
END_TEST

/* ---- equalization ---- */

static double range_of(const float *w, int64_t from, int64_t n, int64_t step, double f) {
    double top = 0;
    for (int64_t k = 0; k < n; k++) top = fmax(top, fabs(w[from + k * step] * f));
    return top;
}

typedef struct plan { /* conv -> relu [-> pool, flatten] -> second */
    /* groups of the second convolution; 0: a linear layer behind pool and flatten */
    int in, mid, out, groups;
    bool bn;
} plan;

static void equalize(const plan *p) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    const bool fc = p->groups == 0;
    oct_module *parts[8];
    int n = 0, second;
    parts[n++] = oct_conv2d_new(
        ctx, &(oct_conv2d_opts){.in = p->in, .out = p->mid, .kernel = 3, .no_bias = p->bn});
    if (p->bn) parts[n++] = oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = p->mid});
    parts[n++] = oct_relu_new(ctx);
    if (fc) parts[n++] = oct_max_pool2d_new(ctx, &(oct_pool_opts){.kernel = 2});
    if (fc) parts[n++] = oct_flatten_new(ctx);
    second = n;
    parts[n++] =
        fc ? oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * p->mid, .out = p->out})
           : oct_conv2d_new(
                 ctx,
                 &(oct_conv2d_opts){.in = p->mid, .out = p->out, .kernel = 3, .groups = p->groups});
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, n), OCT_SHAPE(6, 6, p->in));
    ck_not_null(net);
    if (p->bn) set_norm(net, "1", p->mid);
    const int rows = p->out, width = fc ? 4 * p->mid : 9 * p->mid / p->groups, first = 9 * p->in;
    char name[24];
    snprintf(name, sizeof name, "%d.weight", second);
    float *w1 = data(net, "0.weight");
    for (int c = 0; c < p->mid; c++)
        for (int k = 0; k < first; k++) w1[c * first + k] *= powf(2, (float)(c % 5 - 2));
    double r1[16], r2[16];
    for (int round = 0; round < 2; round++) {
        oct_net *made = round ? oct_equalize(net, NULL) : net;
        ck_not_null(made);
        float *a = data(made, "0.weight"), *b = data(made, name);
        for (int c = 0; c < p->mid; c++) {
            double f = p->bn ? oct_fold_factor(data(made, "1.weight")[c],
                                               data(made, "1.running_var")[c], 1e-5f)
                             : 1;
            double one = range_of(a, c * first, first, 1, f), two = 0;
            for (int o = 0; o < rows; o++) {
                /* cells come round by channels */
                if (fc)
                    two = fmax(two, range_of(b, o * width + c, 4, p->mid, 1));
                else {
                    int each = p->mid / p->groups, g = o / (p->out / p->groups);
                    if (c / each == g)
                        two = fmax(two, range_of(b, o * width + c % each, 9, each, 1));
                }
            }
            if (!round)
                r1[c] = one, r2[c] = two;
            else { /* both ends meet in the middle: sqrt(r1 r2) */
                ck_assert_msg(fabs(one / sqrt(r1[c] * r2[c]) - 1) < 2e-3,
                              "channel %d: %g of %g and %g", c, one, r1[c], r2[c]);
                ck_assert_msg(fabs(two / sqrt(r1[c] * r2[c]) - 1) < 2e-3,
                              "channel %d, second: %g of %g and %g", c, two, r1[c], r2[c]);
            }
        }
        if (!round) continue;
        const oct_tensor *x = drawn(ctx, OCT_SHAPE(3, 6, 6, p->in), 2), *y = run(net, x),
                         *z = run(made, x);
        for (int64_t i = 0; i < oct_tensor_count(y); i++)
            ck_assert_float_eq_tol(oct_f32(z)[i], oct_f32(y)[i],
                                   1e-4f * (1 + fabsf(oct_f32(y)[i])));
    }
    oct_close(ctx);
}

START_TEST(equalization_by_the_formula) {
    static const plan plans[] = {{2, 6, 4, 1, false}, {2, 6, 4, 1, true},  {2, 6, 4, 2, false},
                                 {2, 6, 6, 6, true},  {2, 5, 3, 0, false}, {2, 5, 3, 0, true}};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) equalize(&plans[i]);
}
END_TEST

typedef struct forked {
    oct_module *a, *b, *c;
    /* 0: a chain; 1: relu6 between; 2: two readers; 3: a chain of three; 4: sigmoid; 5: one layer
     * twice */
    int what;
} forked;
static oct_var *forked_forward(void *self, oct_tape *t, oct_var *x) {
    forked *f = self;
    (void)t;
    oct_var *y = oct_apply(f->a, x);
    y = f->what == 1 ? oct_relu6(y) : f->what == 4 ? oct_sigmoid(y) : oct_relu(y);
    if (f->what == 2) return oct_add(oct_apply(f->b, y), oct_apply(f->c, y));
    y = oct_apply(f->what == 5 ? f->a : f->b, y);
    return f->what == 3 ? oct_apply(f->c, oct_relu(y)) : y;
}

/* What must not be scaled through is left alone; chains settle, one pair after the other, until
 * nothing moves. */
START_TEST(equalization_knows_its_pairs) {
    static const int pairs[] = {1, 0, 0, 2, 0, 0};
    for (int what = 0; what < 6; what++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        forked f = {.what = what};
        oct_module *m = oct_module_new(ctx, forked_forward, &f);
        f.a = oct_module_add(m, "a", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}));
        f.b = oct_module_add(m, "b", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}));
        f.c = oct_module_add(m, "c", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}));
        oct_net *net = oct_capture(m, OCT_SHAPE(4));
        ck_not_null(net);
        for (int i = 0; i < 16; i++) data(net, "a.weight")[i] *= (float)(1 + i / 4 * 7);
        int32_t got = -1;
        oct_net *made = oct_equalize(net, &got);
        ck_not_null(made);
        ck_assert_int_eq(got, pairs[what]);
        const oct_tensor *x = drawn(ctx, OCT_SHAPE(8, 4), 3), *y = run(net, x), *z = run(made, x);
        for (int64_t i = 0; i < oct_tensor_count(y); i++)
            ck_assert_float_eq_tol(oct_f32(z)[i], oct_f32(y)[i],
                                   1e-4f * (1 + fabsf(oct_f32(y)[i])));
        for (int c = 0; c < 4 && what == 3; c++) { /* both pairs at rest */
            double out_a = range_of(data(made, "a.weight"), c * 4, 4, 1, 1),
                   in_b = range_of(data(made, "b.weight"), c, 4, 4, 1);
            double out_b = range_of(data(made, "b.weight"), c * 4, 4, 1, 1),
                   in_c = range_of(data(made, "c.weight"), c, 4, 4, 1);
            ck_assert_double_eq_tol(out_a / in_b, 1, 3e-3);
            ck_assert_double_eq_tol(out_b / in_c, 1, 3e-3);
        }
        oct_close(ctx);
    }
}
END_TEST

/* ---- equalization where values are cut ---- */

enum { SIDES = 8, IMAGES = 40, CHANNELS = 10 }; /* more images than one batch of the pass */

/* What x shows of a layer's channels. */
static void tops(const oct_net *net, const oct_tensor *x, const char *layer, float *top) {
    oct_net *fused = oct_fuse(net);
    oct_tape *t = oct_tape_new(net->ctx);
    oct_tape_begin(t, OCT_EVAL);
    ck_not_null(oct_net_forward(fused, oct_input(t, x)));
    const oct_tensor *v = oct_var_value(octi_tape_find(t, layer));
    ck_not_null(v);
    const int64_t c = v->shape.dim[v->shape.rank - 1];
    for (int64_t k = 0; k < c; k++) top[k] = 0;
    for (int64_t k = 0; k < oct_tensor_count(v); k++) top[k % c] = fmaxf(top[k % c], oct_f32(v)[k]);
    oct_tape_free(t);
    oct_net_free(fused);
}

/* conv -> relu6 -> depthwise -> relu6 -> max pool -> 1x1 -> clamp(0, most) -> linear; channels of
 * the first two differ up to 64-fold, some are cut and most are not. */
typedef struct cut {
    oct_module *conv, *bn, *dw, *pw, *fc;
    float most;
} cut;
static oct_var *cut_forward(void *self, oct_tape *t, oct_var *x) {
    cut *n = self;
    (void)t;
    x = oct_apply(n->conv, x);
    x = oct_relu6(n->bn ? oct_apply(n->bn, x) : x);
    x = oct_relu6(oct_apply(n->dw, x));
    x = oct_clamp(oct_apply(n->pw, oct_max_pool2d(x, NULL)), 0, n->most);
    return oct_apply(n->fc, oct_flatten(x));
}

static oct_net *cut_net(oct_ctx *ctx, bool bn, float most) {
    cut n = {.most = most};
    oct_module *m = oct_module_new(ctx, cut_forward, &n);
    n.conv = oct_module_add(
        m, "conv",
        oct_conv2d_new(ctx,
                       &(oct_conv2d_opts){.in = 3, .out = CHANNELS, .kernel = 3, .no_bias = bn}));
    if (bn)
        n.bn = oct_module_add(
            m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = CHANNELS}));
    n.dw = oct_module_add(
        m, "dw",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){
                                .in = CHANNELS, .out = CHANNELS, .kernel = 3, .groups = CHANNELS}));
    n.pw = oct_module_add(
        m, "pw",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = CHANNELS, .out = CHANNELS, .kernel = 1}));
    n.fc = oct_module_add(m, "fc",
                          oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * CHANNELS, .out = 5}));
    oct_net *net = oct_capture(m, OCT_SHAPE(SIDES, SIDES, 3));
    ck_not_null(net);
    if (bn) set_norm(net, "bn", CHANNELS);
    for (int c = 0; c < CHANNELS; c++) {
        const float f = powf(2, (float)(c % 7 - 2)), d = powf(2, (float)(c * 3 % 5 - 1));
        if (bn)
            data(net, "bn.weight")[c] *= f, data(net, "bn.bias")[c] *= f;
        else
            for (int k = 0; k < 27; k++) data(net, "conv.weight")[c * 27 + k] *= f;
        for (int k = 0; k < 9; k++) data(net, "dw.weight")[c * 9 + k] *= d;
    }
    return net;
}

/* On x nothing changes. A channel that is cut stays; the others are level, or stand as high as they
 * may below the cut. */
static void equalize_cut(bool bn, float most) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_net *net = cut_net(ctx, bn, most);
    oct_tensor *x = drawn(ctx, OCT_SHAPE(IMAGES, SIDES, SIDES, 3), 4);
    for (int64_t k = 0, n = oct_tensor_count(x); k < n / IMAGES; k++)
        oct_f32(x)[n - 1 - k] *= 2; /* the last image shows the most */
    const oct_tensor *y = run(net, x);
    int32_t pairs = -1;
    oct_net *made = oct_equalize_on(net, x, &pairs);
    ck_assert_msg(made != NULL, "%s", oct_error_message());
    ck_assert_int_eq(pairs, 3);
    const oct_tensor *z = run(made, x);
    float largest = 0;
    for (int64_t i = 0; i < oct_tensor_count(y); i++)
        largest = fmaxf(largest, fabsf(oct_f32(y)[i]));
    for (int64_t i = 0; i < oct_tensor_count(y); i++)
        ck_assert_float_eq_tol(oct_f32(z)[i], oct_f32(y)[i], 1e-5f * largest);
    float before[CHANNELS], after[CHANNELS];
    tops(net, x, "conv", before);
    tops(made, x, "conv", after);
    int off = 0, level = 0, high = 0;
    for (int c = 0; c < CHANNELS; c++) {
        const float *w = data(made, "conv.weight") + c * 27,
                    *own = data(net, "conv.weight") + c * 27;
        const double f = bn ? oct_fold_factor(data(made, "bn.weight")[c],
                                              data(made, "bn.running_var")[c], 1e-5f)
                            : 1,
                     one = range_of(w, 0, 27, 1, f),
                     two = range_of(data(made, "dw.weight"), c * 9, 9, 1, 1);
        if (before[c] >= 6) {
            off++;
            ck_assert_mem_eq(w, own, 27 * sizeof *w);
            ck_assert(!bn || data(made, "bn.weight")[c] == data(net, "bn.weight")[c]);
        } else if (fabs(one / two - 1) < 3e-3)
            level++;
        else { /* a channel that x hardly shows is let grow 32-fold */
            high++;
            ck_assert_msg(one < two && (fabsf(after[c] - 6) < 1e-3f || before[c] < 6.0f / 32),
                          "channel %d: %g and %g, up to %g (%g)", c, one, two, (double)after[c],
                          (double)before[c]);
        }
        ck_assert_float_le(after[c], 6.0f);
    }
    ck_assert_msg(off > 1 && level > 1 && level + high > 4, "%d cut, %d level, %d high", off, level,
                  high);
    int32_t plain = -1;
    ck_not_null(oct_equalize(net, &plain));
    ck_assert_int_eq(plain, 0);
    oct_close(ctx);
}

START_TEST(equalization_stays_below_a_cut) {
    equalize_cut(false, 2);
    equalize_cut(true, 2);
    equalize_cut(false, 0.25f);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = cut_net(ctx, false, 1);
    ck_assert_ptr_null(oct_equalize_on(net, drawn(ctx, OCT_SHAPE(2, SIDES, SIDES, 4), 1), NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_ESHAPE);
    oct_close(ctx);
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_assert_ptr_null(oct_equalize_on(cut_net(ctx, false, 1), NULL, NULL));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("improve_by_hand", bias_correction_by_the_formula, equalization_by_the_formula,
              equalization_knows_its_pairs, equalization_stays_below_a_cut)
