/* SPDX-License-Identifier: MIT
 * Builds a random net from a seed: every quantizable op, in shapes that nobody would choose. */
#include "tests/random_net.h"

#include <math.h>
#include <stdio.h>

#include "src/rng.h"

enum { STEPS = 14, LIVE = 6 };

typedef struct step {
    int op, a, b; /* a, b: which live values it reads */
    int pads[4], kernel, value;
    int strides[2], kernels[2]; /* of a pool that is drawn uneven; else 0 */
    oct_module *m, *bn;
} step;

typedef struct plan {
    step s[STEPS];
    int count, act[STEPS];
    oct_module *fc, *hidden, *hidden_bn;
    int hidden_act;
    oct_module *lstm, *cell; /* in place of pooling: a sequence of pixels */
    int h, w, c;
    int pooled, softmax;
} plan;

enum {
    CONV,
    DEPTHWISE,
    GROUPED,
    MAX_POOL,
    AVG_POOL,
    ADD,
    ADD_BROADCAST,
    CAT,
    PAD,
    RELU6,
    NORM,
    DROPOUT,
    LEAKY,
    HARDSWISH,
    HARDSIGMOID,
    SIGMOID,
    TANH,
    SOFTMAX,
    MUL,
    GATE,
    FIXED_CAT,
    OPS
};

static int below(octi_rng *r, int n) { return (int)octi_rng_below(r, (uint32_t)n); }

static oct_var *act(oct_var *x, int which) {
    return which == 1 ? oct_relu(x) : which == 2 ? oct_relu6(x) : x;
}

/* A gate over channels: [N,1,1,C]. */
/* [upside down, upper channels; b; lower channels; a]: slices along rows and channels. */
static oct_var *cut_and_joined(oct_var *a, oct_var *b) {
    const oct_shape *s = oct_var_shape(a);
    if (!s || !b) return NULL;
    const int h = (int)s->dim[1], c = (int)s->dim[3];
    oct_var *rows = a;
    if (h > 1)
        rows = oct_cat((oct_var *[]){oct_slice(a, 1, h / 2, h), oct_slice(a, 1, 0, h / 2)}, 2, 1);
    if (c < 2) return oct_cat((oct_var *[]){rows, b, a}, 3, 3);
    return oct_cat((oct_var *[]){oct_slice(rows, 3, c / 2, c), b, oct_slice(a, 3, 0, c / 2), a}, 4,
                   3);
}

static oct_var *gate_of(oct_var *a, int which) {
    oct_var *pooled = oct_adaptive_avg_pool2d(a, 1, 1);
    return which < 2 ? oct_hardsigmoid(pooled) : oct_sigmoid(pooled);
}

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    plan *p = self;
    oct_var *live[STEPS + 1] = {x};
    (void)t;
    for (int i = 0; i < p->count; i++) {
        step *s = &p->s[i];
        oct_var *a = live[s->a], *b = live[s->b], *y = NULL;
        switch (s->op) {
        case CONV:
        case DEPTHWISE:
        case GROUPED:
            y = oct_apply(s->m, a);
            break;
        case MAX_POOL:
            y = oct_max_pool2d(
                a, &(oct_pool_opts){.kernel = 2 + s->kernel % 2,
                                    .stride = 1 + s->value % 2,
                                    .pad = s->kernel % 2,
                                    .pads = {s->pads[0], s->pads[1], s->pads[2], s->pads[3]},
                                    .strides = {s->strides[0], s->strides[1]},
                                    .kernel_size = {s->kernels[0], s->kernels[1]}});
            break;
        case AVG_POOL:
            y = oct_avg_pool2d(
                a, &(oct_pool_opts){.kernel = 2 + s->kernel % 2,
                                    .stride = 1,
                                    .pad = 1,
                                    .pads = {s->pads[0], s->pads[1], s->pads[2], s->pads[3]},
                                    .exclude_pad = s->value % 2,
                                    .strides = {s->strides[0], s->strides[1]},
                                    .kernel_size = {s->kernels[0], s->kernels[1]}});
            break;
        case ADD:
            y = s->value % 2 ? oct_add(b, a) : oct_add(a, b);
            break;
        case ADD_BROADCAST:
            y = oct_add(a, oct_adaptive_avg_pool2d(a, 1, 1));
            break;
        case CAT:
            y = s->value % 2 ? cut_and_joined(a, b) : oct_cat((oct_var *[]){a, b}, 2, 3);
            break;
        case PAD:
            y = oct_pad(a, s->pads, 0.3f * (float)(s->value - 1));
            break;
        case RELU6: /* bounds inside and outside the range, both of one sign, open */
            y = s->value == 0   ? oct_relu6(a)
                : s->value == 1 ? oct_clamp(a, -0.4f, 0.9f)
                : s->value == 2 ? oct_clamp(a, 0.2f, 50)
                                : oct_clamp(a, -INFINITY, 0.31f);
            break;
        case NORM:
            y = a;
            break;
        case DROPOUT:
            y = oct_dropout(a, 0.2f);
            break;
        case LEAKY:
            y = s->value < 2 ? oct_leaky_relu(a, 0.03f * (float)(s->value + 1))
                             : oct_elu(a, 0.4f * (float)s->value);
            break;
        case HARDSWISH:
            y = oct_hardswish(a);
            break;
        case HARDSIGMOID:
            y = oct_hardsigmoid(a);
            break;
        case SIGMOID:
            y = oct_sigmoid(a);
            break;
        case TANH:
            y = oct_tanh(a);
            break;
        case SOFTMAX:
            y = oct_softmax(a);
            break;
        case MUL:
            y = oct_mul(a, b);
            break;
        case GATE:
            y = s->value % 2 ? oct_mul(gate_of(a, s->value), a) : oct_mul(a, gate_of(a, s->value));
            break;
        /* fixed grids of one kind, of two, among observed ones, twice the same member */
        case FIXED_CAT: {
            oct_var *sig = oct_sigmoid(a), *other = s->value < 2    ? oct_tanh(a)
                                                    : s->value == 2 ? oct_hardsigmoid(b)
                                                                    : b;
            y = oct_cat((oct_var *[]){sig, other, sig}, 2 + s->value % 2, 3);
            break;
        }
        }
        if (s->bn) y = oct_apply(s->bn, y);
        live[i + 1] = act(y, p->act[i]);
    }
    oct_var *y = live[p->count];
    if (p->pooled) y = oct_adaptive_avg_pool2d(y, 2, 1);
    if (p->lstm) { /* all but the last pixel */
        y = oct_slice(oct_reshape(y, (int[]){p->h * p->w, p->c}, 2), 1, 0,
                      p->h * p->w - (p->h * p->w > 1));
        y = oct_apply(p->lstm, y);
        if (p->cell) y = oct_lstm_cell_step(p->cell, y, NULL);
    }
    y = oct_flatten(y);
    if (p->hidden) y = oct_apply(p->hidden, y);
    if (p->hidden_bn) y = oct_apply(p->hidden_bn, y);
    y = oct_apply(p->fc, act(y, p->hidden_act));
    return p->softmax == 1 ? oct_softmax(y) : p->softmax == 2 ? oct_log_softmax(y) : y;
}

typedef struct side {
    int h, w, c;
} side;

static void shake(octi_rng *r, oct_module *m, const char *name, float mid, float spread,
                  bool positive) {
    oct_tensor *t = oct_module_tensor(m, name);
    for (int64_t i = 0; t && i < oct_tensor_count(t); i++) {
        float v = mid + spread * octi_rng_normal(r);
        oct_f32(t)[i] = positive ? fabsf(v) + 0.01f : v;
    }
}

/* Weights of one size, signs by a hash: long sums leave what fp32 holds exactly. */
static void stretch(octi_rng *r, oct_module *m, const char *name) {
    oct_tensor *t = oct_module_tensor(m, name);
    for (int64_t i = 0; t && i < oct_tensor_count(t); i++)
        oct_f32(t)[i] = below(r, 8) ? 0.2f : -0.2f;
}

static oct_module *add_bn(octi_rng *r, oct_ctx *ctx, oct_module *m, const char *name,
                          int channels) {
    oct_module *bn = oct_module_add(
        m, name, oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = channels}));
    char path[48];
    snprintf(path, sizeof path, "%s.running_mean", name), shake(r, m, path, 0, 0.3f, false);
    snprintf(path, sizeof path, "%s.running_var", name), shake(r, m, path, 1, 0.5f, true);
    snprintf(path, sizeof path, "%s.weight", name), shake(r, m, path, 1, 0.5f, false);
    if (below(r, 4) == 0) oct_f32(oct_module_tensor(m, path))[0] = 0; /* a dead channel */
    snprintf(path, sizeof path, "%s.bias", name), shake(r, m, path, 0, 0.3f, false);
    return bn;
}

oct_net *random_net(oct_ctx *ctx, uint64_t seed, oct_shape *image) {
    static plan pool[64];
    plan *p = &pool[seed % 64]; /* outlives the capture */
    octi_rng r = octi_rng_stream(seed, OCTI_RNG_TEST, 77, 0);
    *p = (plan){.count = 3 + below(&r, STEPS - 3)};
    /* of its own: narrow nets stay what their seeds always gave */
    octi_rng more = octi_rng_stream(seed, OCTI_RNG_TEST, 78, 0);
    const bool wide = below(&more, 9) == 0, large = wide && below(&more, 3) == 0;
    octi_rng sides = octi_rng_stream(seed, OCTI_RNG_TEST, 79, 0); /* strides, dilations of two */
    octi_rng forms = octi_rng_stream(seed, OCTI_RNG_TEST, 83, 0); /* kernels, borders not square */
    const int most = wide ? 100 : 24, joined = wide ? 160 : 40;
    static const int widths[] = {16, 32, 48, 64, 100, 36, 20, 96};
    if (wide && p->count > 7) p->count = 7; /* few, for they are slow */
    side s[STEPS + 1] = {{5 + below(&r, 7), 5 + below(&r, 7), 1 + below(&r, 4)}};
    if (wide && below(&more, 3)) s[0].c = widths[below(&more, 2)];
    if (large) s[0].h = 5 + below(&more, 21), s[0].w = 5 + below(&more, 21);
    *image = OCT_SHAPE(s[0].h, s[0].w, s[0].c);
    oct_module *m = oct_module_new(ctx, forward, p);
    for (int i = 0; i < p->count; i++) {
        step *st = &p->s[i];
        char name[32];
        st->a = i - below(&r, i < 2 ? i + 1 : 2);
        st->b = below(&r, i + 1);
        st->op = below(&r, OPS);
        st->value = below(&r, 4);
        st->kernel = 1 + below(&r, 3);
        side x = s[st->a], y = x;
        if (x.h < 3 || x.w < 3 || x.c > most) st->op = x.c > most ? CONV : PAD;
        if (st->op == FIXED_CAT &&
            (s[st->b].h != x.h || s[st->b].w != x.w || s[st->b].c + 2 * x.c > joined))
            st->op = TANH;
        if (st->op == MUL && (s[st->b].h != x.h || s[st->b].w != x.w || s[st->b].c != x.c))
            st->op = GATE;
        if (st->op == CAT &&
            (s[st->b].h != x.h || s[st->b].w != x.w || s[st->b].c + 2 * x.c > joined))
            st->op = CONV;
        if (st->op == ADD && (s[st->b].h != x.h || s[st->b].w != x.w || s[st->b].c != x.c))
            st->op = DEPTHWISE;
        if (st->op == GROUPED && x.c % 2) st->op = CONV;
        if (st->op <= GROUPED) {
            const bool stretched = st->op == CONV && x.c > 11 && below(&r, 2) && !wide;
            if (stretched) st->kernel = 7;
            const bool square = wide && below(&more, 2); /* what training takes through Winograd */
            bool dw = st->op == DEPTHWISE;
            int stride = 1 + below(&r, 2),
                dil = st->kernel > 1 && x.h > 5 && x.w > 5 ? 1 + below(&r, 2) : 1,
                reach = (st->kernel - 1) * dil;
            oct_conv2d_opts o = {.in = x.c,
                                 .out = dw ? x.c : 2 * (1 + below(&r, 6)),
                                 .kernel = st->kernel,
                                 .stride = stride,
                                 .dilation = dil,
                                 .groups = dw                  ? x.c
                                           : st->op == GROUPED ? 2
                                                               : 1,
                                 .no_bias = below(&r, 2),
                                 .pads = {below(&r, reach + 1), below(&r, reach + 1),
                                          below(&r, reach + 1), reach ? 1 : 0}};
            if (wide && !dw) o.out = widths[below(&more, 8)];
            if (square) {
                o.kernel = 3, o.stride = o.dilation = 1, stride = 1, reach = 2;
                for (int k = 0; k < 4; k++) o.pads[k] = 1;
            }
            if (stretched) o.pads[0] = o.pads[2] = o.pads[1] = o.pads[3] = reach / 2;
            int by[2] = {stride, stride}, across = reach;
            if (!square && below(&sides, 3) == 0) {
                const int axis = below(&sides, 2);
                by[axis] = o.strides[axis] = 1 + below(&sides, 3);
                o.dilations[1] = 1 + below(&sides, 2);
                across = (o.kernel - 1) * o.dilations[1];
            }
            if (!square && !stretched && below(&forms, 4) == 0) {
                o.kernel_size[0] = o.kernel, o.kernel_size[1] = 1 + below(&forms, 4);
                across = (o.kernel_size[1] - 1) * (o.dilations[1] ? o.dilations[1] : dil);
            }
            y = (side){(x.h + o.pads[0] + o.pads[2] - reach - 1 + by[0]) / by[0],
                       (x.w + o.pads[1] + o.pads[3] - across - 1 + by[1]) / by[1], o.out};
            if (y.h < 1 || y.w < 1) { /* too small for this one */
                st->op = PAD;
                y = x;
            } else {
                snprintf(name, sizeof name, "conv%d", i);
                st->m = oct_module_add(m, name, oct_conv2d_new(ctx, &o));
                if (stretched)
                    snprintf(name, sizeof name, "conv%d.weight", i), stretch(&r, m, name);
            }
        }
        if (st->op == MAX_POOL || st->op == AVG_POOL) {
            int k = 2 + st->kernel % 2, pad = st->op == AVG_POOL ? 1 : st->kernel % 2,
                stride = st->op == AVG_POOL ? 1 : 1 + st->value % 2;
            int by[2] = {stride, stride}, of[2] = {k, k};
            if (below(&sides, 3) == 0) {
                const int axis = below(&sides, 2);
                by[axis] = st->strides[axis] = 1 + below(&sides, 3);
                of[1 - axis] = st->kernels[1 - axis] = 2 + below(&sides, 2);
            }
            int pads[4] = {pad, pad, pad, pad};
            if (below(&forms, 3) == 0) {
                pads[below(&forms, 4)] = 1; /* one at least: all 0 means what pad says */
                for (int e = 0; e < 4; e++) st->pads[e] = pads[e] = pads[e] ? 1 : below(&forms, 2);
            }
            y.h = (x.h + pads[0] + pads[2] - of[0]) / by[0] + 1;
            y.w = (x.w + pads[1] + pads[3] - of[1]) / by[1] + 1;
        }
        if (st->op == CAT) y.c = x.c + s[st->b].c + (st->value % 2 ? x.c : 0);
        if (st->op == FIXED_CAT)
            y.c = (st->value == 2 || st->value == 3 ? s[st->b].c : x.c) + x.c +
                  (st->value % 2 ? x.c : 0);
        if (st->op == PAD) {
            for (int k = 0; k < 4; k++) st->pads[k] = below(&r, 3);
            y.h += st->pads[0] + st->pads[2];
            y.w += st->pads[1] + st->pads[3];
        }
        if (st->op == NORM || (st->op <= GROUPED && below(&r, 2))) {
            snprintf(name, sizeof name, "bn%d", i);
            st->bn = add_bn(&r, ctx, m, name, y.c);
        }
        p->act[i] = below(&r, 3);
        s[i + 1] = y;
    }
    side y = s[p->count];
    p->pooled = below(&r, 3) == 0;
    p->softmax = below(&r, 4) == 0;
    if (!p->softmax && below(&more, 6) == 0) p->softmax = 2;
    int k = p->pooled ? 2 * y.c : y.h * y.w * y.c;
    if (!p->pooled && below(&more, 6) == 0) {
        enum { H = 6 };
        p->h = y.h, p->w = y.w, p->c = y.c;
        p->lstm = oct_module_add(
            m, "lstm", oct_lstm_new(ctx, &(oct_lstm_opts){.in = y.c, .hidden = H, .last = true}));
        if (below(&more, 2))
            p->cell = oct_module_add(
                m, "cell", oct_lstm_cell_new(ctx, &(oct_lstm_opts){.in = H, .hidden = H}));
        k = p->cell ? 2 * H : H;
    }
    if (below(&r, 5) == 0) {
        p->hidden = oct_module_add(m, "hidden",
                                   oct_linear_new(ctx, &(oct_linear_opts){.in = k, .out = 1100}));
        k = 1100;
        p->hidden_act = 1;
        if (below(&r, 3)) {
            p->hidden_bn = add_bn(&r, ctx, m, "hidden_bn", k);
            p->hidden_act = below(&r, 3);
        }
    }
    p->fc = oct_module_add(
        m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = k, .out = 3 + below(&r, 5)}));
    if (p->hidden) stretch(&r, m, "fc.weight");
    return oct_capture(m, *image);
}

oct_tensor *random_images(oct_ctx *ctx, int64_t n, oct_shape im, uint32_t key) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(n, im.dim[0], im.dim[1], im.dim[2]));
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, key, 1);
    for (int64_t i = 0; t && i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}
