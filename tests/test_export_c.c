/* SPDX-License-Identifier: MIT
 * Exported C gives the plan's codes at every layer: random nets of every kind, compiled in one
 * batch by gcc and clang. OCT_TEST_LONG=1: hundreds of nets, every level of optimization. */
#include "tests/exact_fix.h"
#include "tests/export_c_rig.h"
#include "tests/int8_nets.h"

#include "src/rng.h"

static const oct_target targets[] = {OCT_TARGET_OCTET,  OCT_TARGET_FBGEMM,   OCT_TARGET_QNNPACK,
                                     OCT_TARGET_LITERT, OCT_TARGET_CMSIS_NN, OCT_TARGET_POW2};

/* A net of tests/random_net.h through calibration and convert. */
static bool add_random(uint64_t seed, int images) {
    oct_ctx *ctx = oct_open(NULL);
    octi_rng r = octi_rng_stream(seed, OCTI_RNG_TEST, 83, 0);
    oct_shape image;
    oct_net *net = oct_fuse(random_net(ctx, seed, &image));
    oct_qconfig c = {.target = targets[octi_rng_below(&r, 6)], .all_layers = seed % 5 == 0};
    if (seed % 2) c.wbits = 2 + (int)octi_rng_below(&r, 7);
    if (seed % 2) c.abits = 2 + (int)octi_rng_below(&r, 7);
    oct_net *q = oct_prepare(net, &c);
    bool added = false;
    if (q) {
        ck_ok(calibrate(q, oct_tape_new(ctx), image, 100));
        oct_net *i8 = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
        ck_not_null(i8);
        added = add_case(i8, random_images(ctx, images, image, 7), octi_fmt("r%d", (int)seed));
    } else {
        ck_assert_int_eq(oct_last_error()->code, OCT_EUNSUPPORTED);
    }
    oct_close(ctx);
    return added;
}

/* A net of tests/int8_nets.h: G3 as a file may hold it. */
static bool add_made(uint32_t seed, int images) {
    oct_ctx *ctx = oct_open(NULL);
    oct_net *i8 = seed ? test_random_net(ctx, seed) : test_small_net(ctx);
    ck_not_null(i8);
    oct_shape image = i8->graph->values[i8->graph->input].shape;
    for (int d = 1; d < image.rank; d++) image.dim[d - 1] = image.dim[d];
    image.rank--;
    bool added = add_case(i8, random_images(ctx, images, image, 9), octi_fmt("g%d", (int)seed));
    oct_close(ctx);
    return added;
}

/* Nets so small that their ends meet, and one of vectors, under the longest name. */
static void add_tiny(void) {
    enum { NOTHING, RELU, VIEW, SOFTMAX, VECTORS, TINY };
    for (int k = 0; k < TINY; k++) {
        oct_ctx *ctx = oct_open(NULL);
        test_net t = test_net_new(ctx, 5, 3, 2, 4);
        if (k == VECTORS) t.net->graph->values[0].shape = OCT_SHAPE(OCT_BATCH, 24);
        int32_t x = test_quantize(&t, t.net->graph->input, 0.02f, 100);
        if (k == RELU) x = test_relu(&t, x);
        if (k == VIEW) x = test_flatten(&t, x);
        if (k == SOFTMAX) x = test_softmax(&t, x);
        if (k == VECTORS) x = test_linear(&t, test_relu(&t, x), 3);
        test_end(&t, x);
        const oct_shape image = k == VECTORS ? OCT_SHAPE(24, 1, 1) : OCT_SHAPE(3, 2, 4);
        char name[64];
        memset(name, 'n', 63);
        name[63] = 0;
        if (k != VECTORS) snprintf(name, sizeof name, "tiny%d", k);
        ck_assert(add_case(t.net, random_images(ctx, 3, image, 9), name));
        oct_close(ctx);
    }
}

/* Every function that a file shares, under either law: what few random nets may leave out. */
static void add_whole(void) {
    for (int law = 0; law < 2; law++) {
        oct_ctx *ctx = oct_open(NULL);
        test_net t = test_net_new(ctx, 61, 7, 6, 4);
        t.law = law ? OCTQ_Q31 : OCTQ_FP32;
        const int32_t x = test_quantize(&t, t.net->graph->input, 0.02f, 100),
                      grouped = test_conv(&t, x, 6, 3, 2, 1, 1, 1, 2),
                      each = test_conv(&t, x, 4, 3, 3, 1, 1, 1, 4),
                      inside = test_avg_pool(&t, each, 3, 1, 1, true),
                      padded = test_avg_pool(&t, each, 3, 1, 1, false),
                      sum = test_add(&t, test_requantize(&t, inside), padded),
                      product = test_mul(&t, sum, test_max_pool(&t, x, 3, 1, 1)),
                      both = test_cat(&t, (const int32_t[]){product, each}, 2),
                      framed = test_pad(&t, test_clip(&t, both), 1, 0, 2, 1),
                      few = test_adaptive(&t, test_relu(&t, framed), 3, 2);
        const int32_t a = test_linear(&t, test_flatten(&t, few), 5),
                      b = test_linear(&t, test_flatten(&t, grouped), 5), end = test_add(&t, a, b);
        test_end(&t, law ? end : test_softmax(&t, test_table(&t, end)));
        add_case(t.net, random_images(ctx, 4, OCT_SHAPE(7, 6, 4), 9), law ? "fixed" : "floats");
        oct_close(ctx);
    }
}

/* A quarter of codes on either side of the zero point: every other sum ends on a half. */
static void add_halves(void) {
    static const float quarter[] = {0.25f};
    static const int32_t fixed[] = {1 << 30, -1};
    for (int law = 0; law < 2; law++) {
        oct_ctx *ctx = oct_open(NULL);
        test_net t = test_net_new(ctx, 62, 7, 6, 4);
        const int32_t x = test_quantize(&t, t.net->graph->input, 0.02f, 128),
                      in[] = {x, law ? test_const(&t, "m", OCT_S32, OCT_SHAPE(2, 1), fixed)
                                     : test_const(&t, "m", OCT_F32, OCT_SHAPE(1), quarter)};
        test_end(&t, test_node(&t, OCT_OP_requantize, &(oct_attrs){.law = {law}}, in, 2,
                               test_shape(&t, x), 0.08f, 128));
        add_case(t.net, random_images(ctx, 4, OCT_SHAPE(7, 6, 4), 9), law ? "half1" : "half0");
        oct_close(ctx);
    }
}

START_TEST(random_nets_give_the_codes_of_the_plan) {
    const char *nets = getenv("OCT_TEST_NETS");
    const int count = nets ? atoi(nets) : oct_test_long() ? 300 : 3;
    fresh_root();
    add_tiny();
    add_whole();
    add_halves();
    for (uint64_t seed = test_seed() * 1000, n = 0; n < (uint64_t)count; seed++)
        n += (uint64_t)(add_random(seed, 3) + add_made((uint32_t)seed, 3));
    check_cases("gcc -std=c99", "-O2");
    if (!getenv("OCT_TEST_CC") && has_program("clang"))
        check_cases("clang -std=c99", "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all");
    for (int level = 0; oct_test_long() && level < 4; level++) {
        check_cases("gcc -std=c99", octi_fmt("-O%d", level));
        check_cases("clang -std=c99", octi_fmt("-O%d", level));
    }
    forget_cases();
    remove_root();
}
END_TEST

OCT_TEST_MAIN("export_c", random_nets_give_the_codes_of_the_plan)
