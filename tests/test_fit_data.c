/* SPDX-License-Identifier: MIT
 * What training does with its data: every image is seen, and what is no number is found before it
 * does harm. */
#include "tests/oct_test.h"

#include <math.h>

#include "octet.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE };

typedef struct counted {
    int64_t count;
    int *seen; /* [count] */
} counted;

static oct_status get(void *user, int64_t i, void *image, int32_t *label) {
    counted *c = user;
    c->seen[i]++;
    memset(image, (int)(i * 5 % 251), PIXELS);
    *label = (int32_t)(i % 3);
    return OCT_OK;
}

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    oct_module **m = self;
    return oct_apply(m[2], oct_apply(m[1], oct_apply(m[0], oct_flatten(x))));
}

/* Linear, batch norm over the batch alone, linear: a batch of one image has no variance. */
static oct_net *net_of(oct_ctx *ctx) {
    static oct_module *part[3];
    oct_module *root = oct_module_new(ctx, forward, part);
    part[0] =
        oct_module_add(root, "a", oct_linear_new(ctx, &(oct_linear_opts){.in = PIXELS, .out = 4}));
    part[1] =
        oct_module_add(root, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}));
    part[2] = oct_module_add(root, "b", oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 3}));
    oct_net *net = oct_capture(root, OCT_SHAPE(SIDE, SIDE, 1));
    ck_not_null(net);
    return net;
}

START_TEST(every_image_is_trained_on) {
    const int64_t counts[] = {90, 65, 64, 7, 129};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        counted c = {counts[k], calloc((size_t)counts[k], sizeof(int))};
        const oct_input_desc in = {
            .channels = 1, .height = SIDE, .width = SIDE, .div = 255, .std = {1}};
        oct_data *d =
            oct_data_from_source(ctx, &(oct_data_source){c.count, OCT_U8, get, &c}, &in, 3);
        ck_ok(oct_fit(net_of(ctx), d, &(oct_fit_opts){.epochs = 2, .batch = 64}));
        for (int64_t i = 0; i < c.count; i++)
            ck_assert_msg(c.seen[i] == 2, "%d of %d images: %d times", (int)i, (int)c.count,
                          c.seen[i]);
        oct_close(ctx);
        free(c.seen);
    }
}
END_TEST

/* Found before the net is touched, and named by where it stands in the caller's array, whatever the
 * order and the share. */
START_TEST(what_is_no_number_is_named) {
    enum { N = 40, BAD = 27 };
    static float x[N * PIXELS];
    static int32_t y[N];
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 6; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        for (int i = 0; i < N * PIXELS; i++) x[i] = (float)(i % 17) / 8 - 1;
        for (int i = 0; i < N; i++) y[i] = i % 3;
        oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(N, SIDE, SIDE, 1), x, y, NULL);
        oct_net *net = net_of(ctx);
        /* all finite */
        if (k >= 3)
            ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 1, .batch = N, .val_share = 0.2f}));
        x[BAD * PIXELS + 5] = bad[k % 3];
        oct_fit_opts o = {.epochs = 2, .batch = N, .val_share = k >= 3 ? 0.2f : 0};
        ck_fails(OCT_EFORMAT, "memory: sample 27: value 5: expected a finite number, got",
                 oct_fit(net, d, &o));
        oct_eval e;
        ck_fails(OCT_EFORMAT, "sample 27", oct_evaluate(net, d, NULL, &e));
        for (int32_t i = 0; i < net->tensor_count; i++)
            for (int64_t v = 0; v < oct_tensor_count(net->tensors[i].tensor); v++)
                ck_assert(isfinite(oct_f32(net->tensors[i].tensor)[v]));
        oct_close(ctx);
    }
}
END_TEST

OCT_TEST_MAIN("fit_data", every_image_is_trained_on, what_is_no_number_is_named)
