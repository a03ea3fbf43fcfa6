/* SPDX-License-Identifier: MIT
 * Image sets that calibration is hard on, made from digits: spikes, outliers, tails. */
#include "tests/observe_sets.h"

#include <math.h>

#include "src/rng.h"
#include "tests/oct_test.h"

enum { SIDE = OBSERVE_SIDE, PIXELS = OBSERVE_PIXELS };

observe_digits observe_digits_read(oct_ctx *ctx, const char *spec, oct_split split, int64_t limit,
                                   uint64_t seed) {
    oct_data *from = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = split, .limit = limit, .synth_seed = seed});
    ck_not_null(from);
    observe_digits d = {.n = oct_data_count(from)};
    d.pixel = malloc((size_t)d.n * PIXELS);
    d.label = malloc((size_t)d.n * sizeof *d.label);
    for (int64_t i = 0; i < d.n; i++)
        ck_ok(oct_data_get(from, i, d.pixel + i * PIXELS, &d.label[i]));
    oct_data_free(from);
    return d;
}

void observe_digits_free(observe_digits *d) {
    free(d->pixel);
    free(d->label);
}

/* ---- kinds ---- */

static octi_rng random_of(uint64_t k, int what) {
    return octi_rng_stream(11, OCTI_RNG_TEST, (uint32_t)k, (uint32_t)what);
}

static void plain(const uint8_t *d, uint64_t k, uint8_t *to) {
    (void)k;
    memcpy(to, d, PIXELS);
}

static void inverted(const uint8_t *d, uint64_t k, uint8_t *to) {
    (void)k;
    for (int i = 0; i < PIXELS; i++) to[i] = (uint8_t)(255 - d[i]);
}

/* The least of four neighbours, and nothing below the middle: 19 of 20 pixels are background. */
static void sparse(const uint8_t *d, uint64_t k, uint8_t *to) {
    (void)k;
    for (int i = 0; i < PIXELS; i++) {
        const int right = i % SIDE + 1 < SIDE ? 1 : 0, down = i + SIDE < PIXELS ? SIDE : 0;
        uint8_t v = d[i];
        if (d[i + right] < v) v = d[i + right];
        if (d[i + down] < v) v = d[i + down];
        if (d[i + right + down] < v) v = d[i + right + down];
        to[i] = v > 128 ? v : 0;
    }
}

static void salt(const uint8_t *d, uint64_t k, uint8_t *to) {
    octi_rng r = random_of(k, 1);
    for (int i = 0; i < PIXELS; i++) to[i] = octi_rng_below(&r, 50) ? d[i] : 255;
}

/* A digit of half the size, and three quarters of the image one grey. */
static void border(const uint8_t *d, uint64_t k, uint8_t *to) {
    (void)k;
    memset(to, 200, PIXELS);
    for (int y = 0; y < SIDE; y += 2)
        for (int x = 0; x < SIDE; x += 2) {
            const uint8_t *p = d + y * SIDE + x;
            to[(y / 2 + 7) * SIDE + x / 2 + 7] =
                (uint8_t)((p[0] + p[1] + p[SIDE] + p[SIDE + 1]) / 4);
        }
}

static void low_contrast(const uint8_t *d, uint64_t k, uint8_t *to) {
    (void)k;
    for (int i = 0; i < PIXELS; i++) to[i] = (uint8_t)(110 + d[i] / 10);
}

/* Each image in two colours of its own. */
static void coloured(const uint8_t *d, uint64_t k, uint8_t *to) {
    octi_rng r = random_of(k, 2);
    int a[3], b[3];
    for (int c = 0; c < 3; c++) {
        a[c] = (int)octi_rng_below(&r, 100);
        b[c] = 155 + (int)octi_rng_below(&r, 100);
    }
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < 3; c++) to[3 * i + c] = (uint8_t)(a[c] + (b[c] - a[c]) * d[i] / 255);
}

/* A background of 5, strokes up to 8: nothing near zero. */
static void lifted(const uint8_t *d, uint64_t k, const float *mean, const float *std, float *to) {
    (void)k, (void)mean, (void)std;
    for (int i = 0; i < PIXELS; i++) to[i] = 5 + 3 * (float)d[i] / 255;
}

/* Values around zero, and a background far below them. */
static void far_background(const uint8_t *d, uint64_t k, const float *mean, const float *std,
                           float *to) {
    (void)k, (void)mean, (void)std;
    for (int i = 0; i < PIXELS; i++) to[i] = d[i] ? ((float)d[i] / 255 - 0.5f) * 2 : -6;
}

/* Each pixel by its own mean and deviation: a spike for each that is background nearly always, with
 * rare huge values there. */
static void standardised(const uint8_t *d, uint64_t k, const float *mean, const float *std,
                         float *to) {
    (void)k;
    for (int i = 0; i < PIXELS; i++) to[i] = std[i] > 0 ? ((float)d[i] - mean[i]) / std[i] : 0;
}

const observe_kind observe_kinds[] = {
    {"plain", 1, false, 0.1307f, 0.3081f, false, plain, NULL},
    {"unscaled", 1, false, 0, 1, false, plain, NULL},
    {"inverted", 1, false, 0.1307f, 0.3081f, false, inverted, NULL},
    {"inverted-own", 1, false, 0.8693f, 0.3081f, false, inverted, NULL},
    {"sparse", 1, false, 0.1307f, 0.3081f, false, sparse, NULL},
    {"sparse-unscaled", 1, false, 0, 1, false, sparse, NULL},
    {"salt", 1, false, 0.1307f, 0.3081f, false, salt, NULL},
    {"border", 1, false, 0.5f, 0.25f, false, border, NULL},
    {"low-contrast", 1, false, 0.44f, 0.031f, false, low_contrast, NULL},
    {"low-contrast-unscaled", 1, false, 0, 1, true, low_contrast, NULL},
    {"coloured", 3, false, 0.45f, 0.225f, false, coloured, NULL},
    {"lifted", 1, true, 0, 1, true, NULL, lifted},
    {"far-background", 1, true, 0, 1, false, NULL, far_background},
    {"standardised", 1, true, 0, 1, false, NULL, standardised},
};
const int observe_kind_count = sizeof observe_kinds / sizeof *observe_kinds;

const observe_kind *observe_kind_find(const char *name) {
    for (int i = 0; i < observe_kind_count; i++)
        if (!strcmp(observe_kinds[i].name, name)) return &observe_kinds[i];
    ck_abort_msg("no kind %s", name);
    return NULL;
}

/* ---- sets ---- */

static void moments_of(const observe_digits *d, float *mean, float *std) {
    for (int i = 0; i < PIXELS; i++) {
        double sum = 0, square = 0;
        for (int64_t k = 0; k < d->n; k++) {
            const double v = d->pixel[k * PIXELS + i];
            sum += v;
            square += v * v;
        }
        const double m = sum / (double)d->n, v = square / (double)d->n - m * m;
        mean[i] = (float)m;
        std[i] = v > 1e-9 ? (float)sqrt(v) : 0;
    }
}

observe_set observe_set_new(oct_ctx *ctx, const observe_kind *kind, const observe_digits *d,
                            const observe_digits *by) {
    const size_t image = (size_t)PIXELS * (size_t)kind->channels,
                 item = kind->real ? sizeof(float) : 1;
    observe_set s = {.x = malloc((size_t)d->n * image * item)};
    static float mean[PIXELS], std[PIXELS];
    if (kind->real) moments_of(by, mean, std);
    for (int64_t k = 0; k < d->n; k++) {
        const uint8_t *from = d->pixel + k * PIXELS;
        const uint64_t number = (uint64_t)k + (d == by ? 0 : 1u << 24);
        if (kind->real)
            kind->values(from, number, mean, std, (float *)s.x + (size_t)k * image);
        else
            kind->pixels(from, number, (uint8_t *)s.x + (size_t)k * image);
    }
    oct_input_desc in = {.channels = kind->channels,
                         .height = SIDE,
                         .width = SIDE,
                         .color = kind->channels == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY,
                         .div = 255};
    for (int c = 0; c < kind->channels; c++) {
        in.mean[c] = kind->mean;
        in.std[c] = kind->std * (1 + 0.1f * (float)c);
    }
    s.data = oct_data_from_memory(
        ctx, kind->real ? OCT_F32 : OCT_U8, OCT_SHAPE(d->n, SIDE, SIDE, kind->channels), s.x,
        d->label, &(oct_array_opts){.classes = 10, .input = kind->real ? NULL : &in});
    ck_not_null(s.data);
    return s;
}

void observe_set_free(observe_set *s) {
    oct_data_free(s->data);
    free(s->x);
}

/* ---- nets ---- */

static oct_var *act(const observe_net *n, oct_var *x) {
    if (!strcmp(n->act, "relu6")) return oct_relu6(x);
    if (!strcmp(n->act, "leaky_relu")) return oct_leaky_relu(x, 0.1f);
    if (!strcmp(n->act, "hardswish")) return oct_hardswish(x);
    if (!strcmp(n->act, "sigmoid")) return oct_sigmoid(x);
    return oct_relu(x);
}

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    observe_net *n = self;
    (void)t;
    x = oct_max_pool2d(act(n, oct_apply(n->conv1, x)), &(oct_pool_opts){.kernel = 2});
    x = oct_max_pool2d(act(n, oct_apply(n->conv2, x)), &(oct_pool_opts){.kernel = 2});
    x = act(n, oct_apply(n->fc1, oct_flatten(x)));
    x = oct_apply(n->fc3, act(n, oct_apply(n->fc2, x)));
    return strcmp(n->act, "softmax") ? x : oct_softmax(x);
}

oct_net *observe_net_new(oct_ctx *ctx, observe_net *n, const char *act_name, int channels) {
    oct_module *m = oct_module_new(ctx, forward, n);
    n->act = act_name;
    const int c1 = 6, c2 = 16, f1 = 120, f2 = 84;
    n->conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = channels, .out = c1, .kernel = 5, .pad = 2}));
    n->conv2 = oct_module_add(
        m, "conv2", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = c1, .out = c2, .kernel = 5}));
    n->fc1 =
        oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = c2 * 25, .out = f1}));
    n->fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = f1, .out = f2}));
    n->fc3 = oct_module_add(m, "fc3", oct_linear_new(ctx, &(oct_linear_opts){.in = f2, .out = 10}));
    oct_net *net = oct_capture(m, OCT_SHAPE(SIDE, SIDE, channels));
    ck_not_null(net);
    return net;
}
