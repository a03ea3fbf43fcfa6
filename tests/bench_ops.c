/* SPDX-License-Identifier: MIT
 * Times the layers of LeNet and ResNet-20 through the ops: forward, grad_x, grad_w; and both nets'
 * whole step as the sum of its parts in order. Not a test. Usage: bench_ops [batch] [threads]
 * [rounds] [blas]; best of the rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "autograd/blas.h"
#include "ops/ops.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef enum step_kind { CONV, LINEAR, BN, RELU, MAXPOOL, AVGPOOL, ADD, LOSS } step_kind;
typedef struct step {
    step_kind kind;
    const char *name;
    int32_t h, w, c, o, k, stride, pad; /* input image, output channels, kernel */
    int times;                          /* in the net */
    bool no_grad_x;
} step;

static const step lenet[] = {
    {CONV, "conv1", 28, 28, 1, 6, 5, 1, 2, 1, true}, {RELU, "relu1", 28, 28, 6, 6, 0, 0, 0, 1},
    {MAXPOOL, "pool1", 28, 28, 6, 6, 2, 2, 0, 1},    {CONV, "conv2", 14, 14, 6, 16, 5, 1, 0, 1},
    {RELU, "relu2", 10, 10, 16, 16, 0, 0, 0, 1},     {MAXPOOL, "pool2", 10, 10, 16, 16, 2, 2, 0, 1},
    {LINEAR, "fc1", 1, 1, 400, 120, 0, 0, 0, 1},     {LINEAR, "fc2", 1, 1, 120, 84, 0, 0, 0, 1},
    {LINEAR, "fc3", 1, 1, 84, 10, 0, 0, 0, 1},       {LOSS, "loss", 1, 1, 10, 10, 0, 0, 0, 1},
};
static const step resnet20[] = {
    {CONV, "stem", 32, 32, 3, 16, 3, 1, 1, 1, true},
    {CONV, "16x16@32", 32, 32, 16, 16, 3, 1, 1, 6},
    {CONV, "16x32s2@32", 32, 32, 16, 32, 3, 2, 1, 1},
    {CONV, "1x1 16x32s2", 32, 32, 16, 32, 1, 2, 0, 1},
    {CONV, "32x32@16", 16, 16, 32, 32, 3, 1, 1, 5},
    {CONV, "32x64s2@16", 16, 16, 32, 64, 3, 2, 1, 1},
    {CONV, "1x1 32x64s2", 16, 16, 32, 64, 1, 2, 0, 1},
    {CONV, "64x64@8", 8, 8, 64, 64, 3, 1, 1, 5},
    {BN, "bn 16@32", 32, 32, 16, 16, 0, 0, 0, 7},
    {BN, "bn 32@16", 16, 16, 32, 32, 0, 0, 0, 7},
    {BN, "bn 64@8", 8, 8, 64, 64, 0, 0, 0, 7},
    {RELU, "relu 16@32", 32, 32, 16, 16, 0, 0, 0, 7},
    {RELU, "relu 32@16", 16, 16, 32, 32, 0, 0, 0, 6},
    {RELU, "relu 64@8", 8, 8, 64, 64, 0, 0, 0, 6},
    {ADD, "add 16@32", 32, 32, 16, 16, 0, 0, 0, 3},
    {ADD, "add 32@16", 16, 16, 32, 32, 0, 0, 0, 3},
    {ADD, "add 64@8", 8, 8, 64, 64, 0, 0, 0, 3},
    {AVGPOOL, "avgpool", 8, 8, 64, 64, 0, 0, 0, 1},
    {LINEAR, "fc", 1, 1, 64, 10, 0, 0, 0, 1},
    {LOSS, "loss", 1, 1, 10, 10, 0, 0, 0, 1},
};

static oct_tensor *make(oct_ctx *ctx, oct_dtype t, oct_shape s) {
    static uint32_t r = 1; /* quick numbers in (-1, 1) */
    oct_tensor *x = oct_tensor_new(ctx, t, s);
    if (!x) exit((fprintf(stderr, "%s\n", oct_error_message()), 1));
    for (int64_t i = 0; t == OCT_F32 && i < oct_tensor_count(x); i++)
        oct_f32(x)[i] = (float)(int32_t)(r = r * 1664525u + 1013904223u) * 0x1p-31f;
    return x;
}

static void must(oct_status s) {
    if (s != OCT_OK) exit((fprintf(stderr, "%s\n", oct_error_message()), 1));
}

/** Seconds of forward, grad_x, grad_w, best of the rounds. */
static void time_step(oct_ctx *ctx, const step *s, int64_t n, int rounds, double best[3]) {
    bool flat = s->kind == LINEAR || s->kind == LOSS;
    int64_t p = s->k ? (s->h + 2 * s->pad - s->k) / s->stride + 1 : s->kind == AVGPOOL ? 1 : s->h;
    oct_attrs a = {.kernel = {s->k, s->k},
                   .stride = {s->stride, s->stride},
                   .pads = {s->pad, s->pad, s->pad, s->pad},
                   .dilation = {1, 1},
                   .groups = {1},
                   .eps = 1e-5f,
                   .momentum = 0.1f};
    oct_shape xs = flat ? OCT_SHAPE(n, s->c) : OCT_SHAPE(n, s->h, s->w, s->c),
              ys = flat ? OCT_SHAPE(n, s->o) : OCT_SHAPE(n, p, p, s->o);
    oct_shape ws = s->kind == CONV ? OCT_SHAPE(s->o, s->k, s->k, s->c) : OCT_SHAPE(s->o, s->c),
              v = OCT_SHAPE(s->o);
    oct_tensor *x = make(ctx, OCT_F32, xs), *dx = make(ctx, OCT_F32, xs),
               *y = make(ctx, OCT_F32, ys), *dy = make(ctx, OCT_F32, ys);
    oct_tensor *w = make(ctx, OCT_F32, ws), *dw = make(ctx, OCT_F32, ws),
               *b = make(ctx, OCT_F32, v), *db = make(ctx, OCT_F32, v);
    oct_tensor *mean = make(ctx, OCT_F32, v), *inv = make(ctx, OCT_F32, v),
               *index = make(ctx, OCT_S32, ys), *labels = make(ctx, OCT_S32, OCT_SHAPE(n));
    oct_tensor *loss = make(ctx, OCT_F32, (oct_shape){.rank = 0}),
               *all[] = {x, dx, y, dy, w, dw, b, db, mean, inv, index, labels, loss};
    for (int r = -1; r < rounds; r++) {
        double t[4];
        t[0] = now();
        switch (s->kind) {
        case CONV:
            must(oct_conv2d_forward(ctx, &a, x, w, b, y));
            break;
        case LINEAR:
            must(oct_linear_forward(ctx, x, w, b, y));
            break;
        case BN:
            must(oct_batch_norm_train(ctx, &a, x, b, db, NULL, NULL, mean, inv, y));
            break;
        case RELU:
            must(oct_act_forward(ctx, OCT_ACT_RELU, x, y));
            break;
        case MAXPOOL:
            must(oct_max_pool2d_forward(ctx, &a, x, y, index));
            break;
        case AVGPOOL:
            must(oct_adaptive_avg_pool2d_forward(ctx, x, y));
            break;
        case ADD:
            must(oct_add_forward(ctx, x, dx, y));
            break;
        case LOSS:
            must(oct_cross_entropy_forward(ctx, &a, x, labels, y, loss));
            break;
        }
        t[1] = now();
        switch (s->kind) {
        case CONV:
            if (!s->no_grad_x) must(oct_conv2d_grad_x(ctx, &a, dy, w, dx));
            break;
        case LINEAR:
            must(oct_linear_grad_x(ctx, dy, w, dx));
            break;
        case BN:
            must(oct_batch_norm_grad(ctx, x, dy, b, mean, inv, dx, dw->shape.rank ? db : db, mean));
            break;
        case RELU:
            must(oct_act_grad(ctx, OCT_ACT_RELU, y, dy, dx));
            break;
        case MAXPOOL:
            must(oct_max_pool2d_grad(ctx, dy, index, dx));
            break;
        case AVGPOOL:
            must(oct_adaptive_avg_pool2d_grad(ctx, dy, dx));
            break;
        case ADD:
            must(oct_accumulate(ctx, dx, dy));
            break;
        case LOSS:
            must(oct_cross_entropy_grad(ctx, &a, y, labels, loss, dx));
            break;
        }
        t[2] = now();
        if (s->kind == CONV)
            must(oct_conv2d_grad_w(ctx, &a, x, dy, dw, s->stride == 1 && s->k == 5 ? db : NULL));
        if (s->kind == LINEAR) must(oct_linear_grad_w(ctx, x, dy, dw, db));
        t[3] = now();
        for (int i = 0; i < 3; i++)
            if (r < 0 || t[i + 1] - t[i] < best[i]) best[i] = t[i + 1] - t[i];
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) oct_tensor_unref(all[i]);
}

static void net(oct_ctx *ctx, const char *name, const step *s, int count, int64_t n, int rounds) {
    double total = 0;
    printf("%s, batch %lld, %d threads, %s: us per image (GMAC/s)\n", name, (long long)n,
           oct_ctx_threads(ctx), oct_ctx_isa(ctx));
    for (int i = 0; i < count; i++) {
        double t[3] = {0}, us = 0, mac = 0;
        time_step(ctx, &s[i], n, rounds, t);
        if (s[i].kind == LINEAR) mac = (double)s[i].c * s[i].o;
        if (s[i].kind == CONV) {
            int p = (s[i].h + 2 * s[i].pad - s[i].k) / s[i].stride + 1;
            mac = (double)p * p * s[i].k * s[i].k * s[i].c * s[i].o;
        }
        printf("  %-12s x%d", s[i].name, s[i].times);
        for (int k = 0; k < 3; k++) {
            double each = t[k] / (double)n * 1e6;
            us += each;
            printf("  %s %7.2f", (const char *[]){"fwd", "grad_x", "grad_w"}[k], each);
            if (mac > 0 && each > 0.05)
                printf(" (%5.1f)", mac / each / 1e3);
            else
                printf("        ");
        }
        printf("  all %7.2f\n", us * s[i].times);
        total += us * s[i].times;
    }
    printf("  sum %.1f us per image, %.0f images/s\n", total, 1e6 / total);
}

int main(int argc, char **argv) {
    int64_t batch = argc > 1 ? atoi(argv[1]) : 0;
    int threads = argc > 2 ? atoi(argv[2]) : 1, rounds = argc > 3 ? atoi(argv[3]) : 10;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    if (!ctx) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    if (argc > 4 && octi_blas_install(ctx) != OCT_OK)
        return fprintf(stderr, "%s\n", oct_error_message()), 1;
    net(ctx, "lenet", lenet, sizeof lenet / sizeof *lenet, batch ? batch : 64, rounds);
    net(ctx, "resnet20", resnet20, sizeof resnet20 / sizeof *resnet20, batch ? batch : 128, rounds);
    oct_close(ctx);
    return 0;
}
