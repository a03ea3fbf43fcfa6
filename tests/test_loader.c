/* SPDX-License-Identifier: MIT
 * Batches: the same with and without prefetch, for any number of threads and from any step;
 * augmentation; normalization. */
#include "tests/oct_test.h"

#include <stdatomic.h>
#include <time.h>
#include <zlib.h>

#include "datasets/set.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/threads.h"

enum { N = 23, H = 5, W = 4, C = 3, BYTES = H * W * C };
static uint8_t images[N * BYTES];
static int32_t labels[N];

static oct_data *make(oct_ctx *ctx) {
    for (int i = 0; i < N * BYTES; i++) images[i] = (uint8_t)(i * 37 + i / 11);
    for (int i = 0; i < N; i++) labels[i] = i % 4;
    oct_input_desc in = {.channels = C,
                         .height = H,
                         .width = W,
                         .color = OCT_COLOR_RGB,
                         .div = 255,
                         .mean = {0.1f, 0.2f, 0.3f},
                         .std = {0.5f, 0.25f, 2}};
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(N, H, W, C), images, labels,
                                       &(oct_array_opts){.input = &in});
    ck_not_null(d);
    return d;
}

/* CRC of all batches of some epochs from a step on. */
static uint32_t run(int threads, const oct_loader_opts *o, int epoch, int64_t step,
                    int64_t *batches) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    oct_data *d = make(ctx);
    oct_loader *l = oct_loader_new(d, o);
    ck_not_null(l);
    ck_ok(oct_loader_start(l, epoch, step));
    uint32_t crc = 0;
    *batches = 0;
    for (;;) {
        oct_batch b;
        bool done;
        ck_ok(oct_loader_next(l, &b, &done));
        if (done) break;
        ck_assert_int_eq(b.step, step + *batches);
        crc = (uint32_t)crc32(crc, b.x->data, (uInt)oct_tensor_bytes(b.x));
        crc = (uint32_t)crc32(crc, b.labels->data, (uInt)oct_tensor_bytes(b.labels));
        ++*batches;
    }
    if (threads != 3) oct_loader_free(l); /* else oct_close stops the thread */
    oct_close(ctx);
    return crc;
}

START_TEST(same_batches_whoever_makes_them) {
    int64_t n;
    oct_loader_opts o = {
        .batch = 4, .shuffle = true, .seed = 9, .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP};
    uint32_t first = run(1, &o, 2, 0, &n);
    ck_assert_int_eq(n, 6);
    o.no_prefetch = true;
    ck_assert_uint_eq(run(1, &o, 2, 0, &n), first);
    ck_assert_uint_eq(run(3, &o, 2, 0, &n), first);
    o.no_prefetch = false;
    ck_assert_uint_eq(run(3, &o, 2, 0, &n), first);
    ck_assert_uint_ne(run(1, &o, 3, 0, &n), first);
    o.seed = 10;
    ck_assert_uint_ne(run(1, &o, 2, 0, &n), first);
    o.drop_last = true;
    run(1, &o, 2, 0, &n);
    ck_assert_int_eq(n, 5);
}
END_TEST

/* No image is left out, and no batch is small: one image more than two batches hold makes three of
 * a third. */
START_TEST(even_batches_are_complete) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    for (int64_t batch = 1; batch <= N + 2; batch++) {
        oct_loader *l =
            oct_loader_new(d, &(oct_loader_opts){.batch = batch, .even = true, .shuffle = true});
        const int64_t steps = (N + batch - 1) / batch;
        ck_assert_int_eq(oct_loader_steps(l), steps);
        int seen[N] = {0};
        int64_t least = N, most = 0, first = 0;
        for (int64_t s = 0; s <= steps; s++) {
            oct_batch b;
            bool done;
            ck_ok(oct_loader_next(l, &b, &done));
            ck_assert(done == (s == steps));
            if (done) break;
            const int64_t n = b.x->shape.dim[0];
            ck_assert_int_eq(b.first, first);
            first += n;
            least = n < least ? n : least;
            most = n > most ? n : most;
            for (int64_t i = 0; i < n; i++) /* which image it is: by its first pixels */
                for (int k = 0; k < N; k++) {
                    bool same = true;
                    for (int p = 0; p < 9; p++)
                        same = same && oct_f32(b.x)[i * BYTES + p] ==
                                           octq_pixel(images[k * BYTES + p], 255,
                                                      oct_data_input(d)->mean[p % C],
                                                      oct_data_input(d)->std[p % C]);
                    seen[k] += same;
                }
        }
        for (int k = 0; k < N; k++)
            ck_assert_msg(seen[k] == 1, "batch %d: image %d %d times", (int)batch, k, seen[k]);
        ck_assert(most <= batch && most - least <= 1);
        oct_loader_free(l);
    }
    ck_assert(oct_loader_new(d, &(oct_loader_opts){.even = true, .drop_last = true}) == NULL);
    oct_close(ctx);
}
END_TEST

START_TEST(resume_at_any_step) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    oct_loader_opts o = {
        .batch = 4, .shuffle = true, .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP};
    oct_loader *l = oct_loader_new(d, &o), *again = oct_loader_new(d, &o);
    ck_assert_int_eq(oct_loader_steps(l), 6);
    float whole[6][4 * BYTES];
    oct_batch b;
    bool done;
    for (int s = 0; s < 6; s++) {
        ck_ok(oct_loader_next(l, &b, &done));
        ck_assert(!done && b.first == 4 * s && b.x->shape.dim[0] == (s < 5 ? 4 : 3));
        memcpy(whole[s], b.x->data, oct_tensor_bytes(b.x));
    }
    ck_ok(oct_loader_next(l, &b, &done));
    ck_assert(done);
    for (int64_t s = 6; s-- > 0;) {
        ck_ok(oct_loader_start(again, 0, s));
        ck_ok(oct_loader_next(again, &b, &done));
        ck_assert(!done && b.step == s && !memcmp(whole[s], b.x->data, oct_tensor_bytes(b.x)));
    }
    ck_ok(oct_loader_start(again, 0, 6));
    ck_ok(oct_loader_next(again, &b, &done));
    ck_assert(done);
    ck_fails(OCT_EUSAGE, "step 7", oct_loader_start(again, 0, 7));
    ck_fails(OCT_EUSAGE, "epoch -1", oct_loader_start(again, -1, 0));
    oct_close(ctx);
}
END_TEST

START_TEST(values_follow_the_law) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    oct_loader *l = oct_loader_new(d, &(oct_loader_opts){.batch = N});
    oct_batch b;
    bool done;
    ck_ok(oct_loader_next(l, &b, &done));
    const oct_input_desc *in = oct_data_input(d);
    for (int i = 0; i < N * BYTES; i++)
        ck_assert(oct_f32(b.x)[i] ==
                  octq_pixel(images[i], in->div, in->mean[i % C], in->std[i % C]));
    for (int i = 0; i < N; i++) ck_assert_int_eq(oct_s32(b.labels)[i], labels[i]);
    oct_loader_free(l);
    oct_input_desc bgr = *in;
    bgr.color = OCT_COLOR_BGR;
    bgr.mean[0] = 0.7f;
    l = oct_loader_new(d, &(oct_loader_opts){.batch = N, .input = &bgr});
    ck_ok(oct_loader_next(l, &b, &done));
    ck_assert(oct_f32(b.x)[0] == octq_pixel(images[2], 255, 0.7f, 0.5f) &&
              oct_f32(b.x)[2] == octq_pixel(images[0], 255, 0.3f, 2));
    bgr.width = 9;
    ck_assert(oct_loader_new(d, &(oct_loader_opts){.input = &bgr}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ESHAPE);
    oct_close(ctx);
}
END_TEST

START_TEST(augmentation_is_crop_and_flip) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    oct_input_desc raw = *oct_data_input(d);
    raw.div = 1;
    for (int c = 0; c < 4; c++) raw.mean[c] = 0, raw.std[c] = 1;
    oct_loader *l = oct_loader_new(
        d, &(oct_loader_opts){
               .batch = 1, .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP, .input = &raw});
    int moved = 0, flipped = 0;
    for (int epoch = 0; epoch < 8; epoch++) {
        ck_ok(oct_loader_start(l, epoch, 0));
        for (int i = 0; i < N; i++) {
            oct_batch b;
            bool done, match = false;
            ck_ok(oct_loader_next(l, &b, &done));
            /* some window of the padded picture, mirrored or not */
            for (int k = 0; k < 2 * 81 && !match; k++) {
                int dy = k / 2 / 9 - 4, dx = k / 2 % 9 - 4, flip = k & 1;
                match = true;
                for (int y = 0; y < H; y++)
                    for (int x = 0; x < W; x++)
                        for (int c = 0; c < C; c++) {
                            int sy = y + dy, sx = (flip ? W - 1 - x : x) + dx;
                            int want = sy < 0 || sy >= H || sx < 0 || sx >= W
                                           ? 0
                                           : images[i * BYTES + (sy * W + sx) * C + c];
                            match = match && oct_f32(b.x)[(y * W + x) * C + c] == (float)want;
                        }
                if (match) moved += dy || dx, flipped += flip;
            }
            ck_assert(match);
        }
    }
    ck_assert(moved > 8 * N * 3 / 4 && flipped > 8 * N / 4 && flipped < 8 * N * 3 / 4);
    oct_loader_free(l);
    ck_assert(oct_loader_new(d, &(oct_loader_opts){.augment = OCT_AUGMENT_CROP4 | 32}) == NULL);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "none, crop4, crop8, flip, got 0x22"));
    uint32_t bits = 77;
    ck_fails(OCT_EUSAGE, "none, crop4, crop8, flip, got spin",
             oct_augment_from_name("crop4,spin", &bits));
    ck_fails(OCT_EUSAGE, "one of crop4 and crop8", oct_augment_from_name("crop4,crop8", &bits));
    ck_assert_uint_eq(bits, 77);
    ck_ok(oct_augment_from_name("flip,crop4", &bits));
    ck_assert_str_eq(oct_augment_name(bits), "crop4,flip");
    ck_assert(oct_loader_new(d, &(oct_loader_opts){.batch = -1}) == NULL);
    ck_assert(oct_loader_new(d, &(oct_loader_opts){.batch = 100, .drop_last = true}) == NULL);
    ck_assert(oct_loader_new(NULL, NULL) == NULL);
    oct_close(ctx);
}
END_TEST

START_TEST(steady_state_allocates_nothing) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 640});
    oct_loader *l =
        oct_loader_new(d, &(oct_loader_opts){.shuffle = true, .augment = OCT_AUGMENT_CROP4});
    uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
    for (int epoch = 0; epoch < 3; epoch++) {
        ck_ok(oct_loader_start(l, epoch, 0));
        oct_batch b;
        bool done = false;
        while (!done) ck_ok(oct_loader_next(l, &b, &done));
    }
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), before);
    oct_close(ctx);
}
END_TEST

START_TEST(early_stops) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_data *d = make(ctx);
    for (int i = 0; i < 300; i++) {
        oct_loader *l = oct_loader_new(d, &(oct_loader_opts){.batch = 4});
        oct_batch b;
        bool done;
        for (int k = 0; k < i % 4; k++) ck_ok(oct_loader_next(l, &b, &done));
        if (i % 3) ck_ok(oct_loader_start(l, i, i % 5));
        if (i % 7 == 0 && i > 290) continue; /* left to oct_close */
        oct_loader_free(l);
    }
    oct_close(ctx);
}
END_TEST

/* ---- decoding beside a step ---- */

typedef struct doors {
    atomic_int decoding, computing; /* threads inside */
    atomic_int together;            /* of those that compute, who met the other */
    atomic_bool open;               /* decoding may end */
} doors;

static bool wait_for(const atomic_int *n, int least) {
    for (int i = 0; i < 5000 && atomic_load(n) < least; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return atomic_load(n) >= least;
}

static oct_status decode(void *user, int64_t i, void *image, int32_t *label) {
    doors *d = user;
    atomic_fetch_add(&d->decoding, 1);
    while (!atomic_load(&d->open)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    memset(image, (int)i, 4);
    *label = (int32_t)(i % 2);
    return OCT_OK;
}

static void compute(void *arg, int64_t i) {
    doors *d = arg;
    (void)i;
    atomic_fetch_add(&d->computing, 1);
    atomic_fetch_add(&d->together, wait_for(&d->computing, 2));
}

/* While images are decoded by several threads, a step has its own. */
START_TEST(decoding_leaves_the_pool_to_steps) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    doors d = {0};
    const oct_input_desc in = {.channels = 1, .height = 2, .width = 2, .div = 255, .std = {1}};
    oct_data *set = oct_data_from_source(
        ctx, &(oct_data_source){.count = 8, .dtype = OCT_U8, .get = decode, .user = &d}, &in, 2);
    ck_not_null(set);
    set->slow = true;
    oct_loader *l = oct_loader_new(set, &(oct_loader_opts){.batch = 4});
    ck_not_null(l);
    ck_ok(oct_loader_start(l, 0, 0));
    const bool decoders = wait_for(&d.decoding, 2); /* two at once */
    octi_parallel_for(octi_ctx_pool(ctx), 2, compute, &d);
    atomic_store(&d.open, true);
    ck_assert(decoders);
    ck_assert_int_eq(atomic_load(&d.together), 2);
    for (int step = 0; step < 2; step++) {
        oct_batch b;
        bool done;
        ck_ok(oct_loader_next(l, &b, &done));
        for (int i = 0; i < 4; i++)
            ck_assert_float_eq(oct_f32(b.x)[4 * i], (float)(4 * step + i) / 255);
    }
    oct_loader_free(l);
    oct_close(ctx);
}
END_TEST

/* No options: 64 images in the set's order, the rest too. */
START_TEST(a_loader_by_default) {
    enum { COUNT = 130 };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    uint8_t x[COUNT];
    for (int i = 0; i < COUNT; i++) x[i] = (uint8_t)i;
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(COUNT, 1, 1, 1), x, NULL, NULL);
    oct_loader *l = oct_loader_new(d, NULL);
    ck_not_null(l);
    ck_assert_int_eq(oct_loader_steps(l), 3);
    oct_batch b;
    bool done = false;
    for (int at = 0, step = 0; step < 3; step++) {
        ck_ok(oct_loader_next(l, &b, &done));
        ck_assert(!done && b.first == at && b.x->shape.dim[0] == (step < 2 ? 64 : 2));
        for (int i = 0; i < b.x->shape.dim[0]; i++, at++)
            ck_assert_float_eq(oct_f32(b.x)[i], (float)at / 255);
    }
    ck_ok(oct_loader_next(l, &b, &done));
    ck_assert(done);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("loader", same_batches_whoever_makes_them, even_batches_are_complete,
              resume_at_any_step, values_follow_the_law, augmentation_is_crop_and_flip,
              decoding_leaves_the_pool_to_steps, a_loader_by_default,
              steady_state_allocates_nothing, early_stops)
