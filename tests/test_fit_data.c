/* SPDX-License-Identifier: MIT
 * What training does with its data: every image is seen, and what is no number is found before it
 * does harm. */
#include "tests/oct_test.h"

#include <math.h>

#include "octet.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE };

typedef struct counted {
    int64_t count;
    _Atomic int *seen; /* [count]; several loaders' threads ask at once */
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

static const oct_input_desc as_pixels = {
    .channels = 1, .height = SIDE, .width = SIDE, .div = 255, .std = {1}};

/* Eight images of 64 calibrate: drawn over the set, not its first ones, which may be of a class. */
START_TEST(calibration_draws_over_the_set) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    _Atomic int seen[64] = {0}, first = 0, rest = 0;
    counted c = {64, seen};
    oct_data *d = oct_data_from_source(ctx, &(oct_data_source){64, OCT_U8, get, &c}, &as_pixels, 3);
    oct_net *net = net_of(ctx);
    ck_ok(oct_net_describe(net, d));
    oct_net *q = oct_prepare(net, NULL);
    ck_not_null(q);
    memset(seen, 0, sizeof seen);
    ck_ok(oct_calibrate(q, d, 8));
    for (int i = 0; i < 64; i++) *(i < 32 ? &first : &rest) += seen[i] > 0;
    ck_assert_msg(first > 4 && rest > 4, "%d of the first half, %d of the other", first, rest);
    oct_close(ctx);
}
END_TEST

/* One step of training, by a net that describes its input as `in`, on a set that says other. */
static float weight_behind(const oct_input_desc *in) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    _Atomic int seen[16] = {0};
    counted c = {16, seen};
    oct_data *d = oct_data_from_source(ctx, &(oct_data_source){16, OCT_U8, get, &c}, &as_pixels, 3);
    oct_net *net = net_of(ctx);
    ck_ok(oct_net_describe(net, d));
    ck_ok(oct_net_set_input(net, in));
    ck_ok(oct_fit(net, d, &(oct_fit_opts){.epochs = 1, .batch = 16, .lr = 0.1f}));
    const float w = oct_f32(oct_net_tensor(net, "a.weight"))[0];
    oct_close(ctx);
    return w;
}

/* ... and a description that no pixel can be read by is refused, the old one kept. */
START_TEST(descriptions_out_of_range_are_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = net_of(ctx);
    const oct_input_desc good = {
        .channels = 2, .height = 3, .width = 1, .div = 255, .std = {0.5f, 0.25f}};
    ck_ok(oct_net_set_input(net, &good));
    for (int k = 0; k < 9; k++) {
        oct_input_desc d = good;
        const float odd[] = {0, -1, NAN};
        if (k < 3) d.std[1] = odd[k];
        if (k >= 3 && k < 6) d.div = odd[k - 3];
        if (k == 6) d.channels = 5;
        if (k == 7) d.height = 0;
        if (k == 8) d.width = 0;
        ck_fails(OCT_EUSAGE, k < 3 ? "std" : "description", oct_net_set_input(net, &d));
        ck_assert_float_eq(net->input.std[1], 0.25f);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(a_net_sees_pixels_by_its_own_description) {
    oct_input_desc own = as_pixels;
    own.div = 100;
    const float same = weight_behind(&as_pixels), other = weight_behind(&own);
    ck_assert_msg(same != other, "div 255 and div 100 train alike: %.9g", (double)same);
}
END_TEST

/* Batch norm's statistics are estimated anew from images as training sees them: a crop brings a
 * border of black. */
START_TEST(statistics_are_of_augmented_images) {
    float mean[2];
    for (int k = 0; k < 2; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        _Atomic int seen[32] = {0};
        counted c = {32, seen};
        oct_data *d =
            oct_data_from_source(ctx, &(oct_data_source){32, OCT_U8, get, &c}, &as_pixels, 3);
        oct_net *net = net_of(ctx);
        ck_ok(oct_net_describe(net, d));
        for (int i = 0; i < PIXELS; i++) oct_f32(oct_net_tensor(net, "a.weight"))[i] = 0.1f;
        oct_net *q = oct_prepare(net, NULL);
        ck_ok(oct_fit(q, d,
                      &(oct_fit_opts){.epochs = 2,
                                      .batch = 16,
                                      .lr = 1e-9f,
                                      .batch_norm_until = 0.5f,
                                      .augment = k ? OCT_AUGMENT_CROP8 : OCT_AUGMENT_NONE}));
        mean[k] = oct_f32(oct_net_tensor(q, "bn.running_mean"))[0];
        oct_close(ctx);
    }
    ck_assert_msg(mean[1] < 0.8f * mean[0], "mean %g of cropped images, %g of whole ones",
                  (double)mean[1], (double)mean[0]);
}
END_TEST

START_TEST(more_classes_than_the_net_has_are_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    _Atomic int seen[16] = {0};
    counted c = {16, seen};
    oct_data *d = oct_data_from_source(ctx, &(oct_data_source){16, OCT_U8, get, &c}, &as_pixels, 4);
    ck_fails(OCT_ESHAPE, "classes: data has more than the net: expected at most 3, got 4",
             oct_fit(net_of(ctx), d, &(oct_fit_opts){.epochs = 1}));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("fit_data", every_image_is_trained_on, what_is_no_number_is_named,
              calibration_draws_over_the_set, a_net_sees_pixels_by_its_own_description,
              statistics_are_of_augmented_images, descriptions_out_of_range_are_refused,
              more_classes_than_the_net_has_are_refused)
