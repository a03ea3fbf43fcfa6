/* SPDX-License-Identifier: MIT
 * Float nets made to run (oct_fold): the values of the net's own evaluation but for rounding, the
 * same bits for any batch and any number of threads, through a file too. */
#include <math.h>

#include "octet.h"
#include "qat/int8/int8.h"
#include "src/paths.h"
#include "src/rng.h"
#include "tests/oct_test.h"
#include "tests/random_net.h"

/* The net's own evaluation. */
static const oct_tensor *evaluate(oct_tape *t, oct_net *net, const oct_tensor *x) {
    oct_tape_begin(t, OCT_EVAL);
    return oct_var_value(oct_net_forward(net, oct_input(t, x)));
}

/* Largest difference over the largest value. */
static double apart(const float *a, const float *b, int64_t n) {
    double most = 1e-6, gap = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)b[i]));
        gap = fmax(gap, fabs((double)a[i] - (double)b[i]));
    }
    return gap / most;
}

static void check(oct_net *net, const oct_tensor *x, const char *what) {
    const int64_t n = x->shape.dim[0];
    oct_tape *t = oct_tape_new(net->ctx);
    const oct_tensor *want = evaluate(t, net, x);
    oct_runner *all = oct_runner_new(net, &(oct_runner_opts){.batch = n, .fixed = true}),
               *one = oct_runner_new(net, &(oct_runner_opts){.batch = 1, .fixed = true});
    const oct_tensor *got = oct_runner_run(all, x);
    ck_assert_msg(want && got, "%s: %s", what, oct_error_message());
    const int64_t each = oct_tensor_count(want) / n, image = oct_tensor_count(x) / n;
    const double gap = apart(oct_f32(got), oct_f32(want), n * each);
    ck_assert_msg(gap < 2e-5, "%s: %g apart", what, gap);
    for (int64_t i = 0; i < n; i++) {
        oct_tensor single = *x;
        single.shape.dim[0] = 1;
        single.data = oct_f32(x) + i * image;
        const oct_tensor *y = oct_runner_run(one, &single);
        ck_assert_msg(y && !memcmp(y->data, oct_f32(got) + i * each, (size_t)each * 4),
                      "%s: image %lld alone is another", what, (long long)i);
    }
    oct_runner_free(one);
    oct_runner_free(all);
    oct_tape_free(t);
}

START_TEST(random_nets_keep_their_values) {
    uint64_t linear = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = seed % 2 ? 1 : 3});
        oct_shape image;
        oct_net *net = random_net(ctx, seed, &image);
        ck_not_null(net);
        char what[32];
        snprintf(what, sizeof what, "net %llu", (unsigned long long)seed);
        check(net, random_images(ctx, 5, image, (uint32_t)seed), what);
        linear += octi_ctx_paths(ctx)->taken[OCTI_SIDE_PLAN][OCTI_PATH_FLOAT + OCT_OP_linear];
        oct_close(ctx);
    }
    ck_assert_uint_gt(linear, 0);
}
END_TEST

START_TEST(zoo_keeps_its_values) {
    static const char *const names[] = {"lenet", "resnet8", "resnet20"};
    for (int i = 0; i < 3; i++) {
        oct_ctx *ctx = oct_open(NULL);
        const oct_zoo_opts *z = oct_zoo_defaults(names[i]);
        const oct_shape image = OCT_SHAPE(z->height, z->width, z->channels);
        oct_net *net = oct_capture(oct_zoo_new(ctx, names[i], NULL), image);
        ck_not_null(net);
        octi_rng r = octi_rng_stream(7, OCTI_RNG_TEST, (uint32_t)i, 0);
        for (int32_t k = 0; k < net->graph->value_count; k++) { /* batch norms that do something */
            const char *end = strrchr(net->graph->values[k].name, '.');
            oct_tensor *t = net->graph->values[k].tensor;
            if (!t) continue;
            for (int64_t e = 0; end && e < oct_tensor_count(t) && t->shape.rank == 1; e++)
                if (!strcmp(end, ".running_var"))
                    oct_f32(t)[e] = 0.3f + octi_rng_uniform(&r);
                else if (!strcmp(end, ".running_mean"))
                    oct_f32(t)[e] = 0.2f * octi_rng_normal(&r);
        }
        check(net, random_images(ctx, 9, image, 1), names[i]);
        const octi_paths *p = octi_ctx_paths(ctx);
        ck_assert_int_eq(p->taken[OCTI_SIDE_PLAN][OCTI_PATH_float_conv_winograd] > 0, i > 0);
        oct_close(ctx);
    }
}
END_TEST

START_TEST(weights_are_those_of_the_moment) {
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = oct_capture(oct_zoo_new(ctx, "lenet", NULL), OCT_SHAPE(28, 28, 1));
    oct_tensor *x = random_images(ctx, 2, OCT_SHAPE(28, 28, 1), 3),
               *bias = oct_net_tensor(net, "fc3.bias");
    oct_runner *fixed = oct_runner_new(net, &(oct_runner_opts){.batch = 2, .fixed = true}),
               *live = oct_runner_new(net, &(oct_runner_opts){.batch = 2});
    const float before = oct_f32(oct_runner_run(fixed, x))[0];
    oct_f32(bias)[0] += 1;
    ck_assert(oct_f32(oct_runner_run(fixed, x))[0] == before);
    ck_assert(fabsf(oct_f32(oct_runner_run(live, x))[0] - before - 1) < 1e-4f);
    oct_close(ctx);
}
END_TEST

START_TEST(a_folded_net_is_saved_and_loaded) {
    oct_ctx *ctx = oct_open(NULL);
    oct_shape image;
    oct_net *folded = oct_fold(random_net(ctx, 12, &image));
    ck_not_null(folded);
    oct_tensor *x = random_images(ctx, 3, image, 5);
    size_t bytes;
    uint8_t *file;
    ck_ok(oct_int8_save_memory(folded, &file, &bytes));
    oct_net *back = oct_int8_load_memory(ctx, file, bytes, "memory");
    ck_assert_msg(back, "%s", oct_error_message());
    oct_runner *a = oct_runner_new(folded, NULL), *b = oct_runner_new(back, NULL);
    const oct_tensor *ya = oct_runner_run(a, x), *yb = oct_runner_run(b, x);
    ck_assert(ya && yb && !memcmp(ya->data, yb->data, oct_tensor_bytes(ya)));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("fold", random_nets_keep_their_values, zoo_keeps_its_values,
              weights_are_those_of_the_moment, a_folded_net_is_saved_and_loaded)
