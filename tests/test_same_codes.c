/* SPDX-License-Identifier: MIT
 * One model, one set of codes, whatever the machine: the codes of every node of nets drawn by seed,
 * as numbers that were written down once. A machine, instruction set or compiler that gives another
 * number is wrong. */
#include "qat/infer/infer.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"

enum { NETS = 24, IMAGES = 3 };

/* By seed: those of dense plans, all nodes. Written by this test (OCT_TEST_PRINT=1). */
static const uint64_t golden[NETS] = {
    0x3d72c4425f79707b, 0xdb35c8e61884e3c4, 0x53661fc0f98cbae3, 0x642e4988e7c30a43,
    0x056931e21842aece, 0x873b47104de17788, 0x23d4412fc9bf8c03, 0x20c114a2628cfc53,
    0xd1769c4de4dc7411, 0x0d8784b71a709605, 0x232dabf6bf9e55ed, 0x96fc1e654065b936,
    0x718c42c9b73c1a3c, 0x2d5816eebf8cbc18, 0xd3eecbc53a49a7c6, 0x845a28a443a77860,
    0x6fca7c850bbda64f, 0x4c0cbcda23216b3f, 0xe953f74518c62611, 0x6c8752725a601fa8,
    0x26d82fbc598a896d, 0x6081f7683d071594, 0x1146eb12cd35bf71, 0x968485802875e66d,
};

static const uint64_t golden_u7 = 0x3d88cc814e4efc5a;

static uint64_t hashed(uint64_t h, const void *data, size_t bytes) { /* FNV-1a */
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static float *some_input(const oct_net *net, uint32_t seed) {
    const oct_shape one =
        octi_shape_with_batch(&net->graph->values[net->graph->input].shape, IMAGES);
    const int64_t count = oct_shape_count(&one);
    float *x = malloc((size_t)count * sizeof *x);
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, seed, 3);
    for (int64_t i = 0; i < count; i++) x[i] = 8.0f * octi_rng_uniform(&r) - 4.0f;
    return x;
}

/* Codes of all nodes of the dense plan; the fused plan's output must be the last of them. */
static uint64_t codes_of(const oct_net *net, const float *x) {
    const oct_graph *g = net->graph;
    uint64_t h = 0xcbf29ce484222325u;
    float *outputs[2];
    for (int unfused = 0; unfused < 2; unfused++) {
        const oct_shape y = octi_shape_with_batch(&g->values[g->output].shape, IMAGES);
        const size_t bytes = (size_t)oct_shape_count(&y) * sizeof(float);
        oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
        oct_session *s = oct_session_new(plan, IMAGES, NULL, 0);
        ck_not_null(s);
        outputs[unfused] = malloc(bytes);
        ck_ok(oct_session_run(s, x, IMAGES, outputs[unfused]));
        for (int32_t i = 0; unfused && i < g->node_count; i++) {
            oct_tensor t;
            ck_ok(oct_session_value(s, g->nodes[i].name, &t));
            h = hashed(h, t.data, oct_tensor_bytes(&t));
        }
        if (unfused) ck_assert(!memcmp(outputs[0], outputs[1], bytes));
        oct_session_free(s);
        oct_plan_free(plan);
    }
    free(outputs[0]), free(outputs[1]);
    return h;
}

/* Steps of its plan that go by VPMADDUBSW. */
static int steps_by_pairs(const oct_net *net) {
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.profile = true});
    oct_session *s = oct_session_new(plan, 1, NULL, 0);
    ck_not_null(s);
    oct_step_time t;
    int count = 0;
    for (int32_t i = 0; oct_session_step_time(s, i, &t); i++)
        count += !strcmp(t.kernel, "octk_pairs_u8u8_avx2");
    oct_session_free(s);
    oct_plan_free(plan);
    return count;
}

/** Codes of seven bits, which candidate `pairs` takes where AVX2 has no VNNI beside it: capped to
 *  that, to plain C, and with all that the machine has. */
START_TEST(codes_of_seven_bits_are_those_of_every_machine) {
    static const char *const caps[] = {NULL, "avx2", "ref"};
    const char *was = getenv("OCT_CPU");
    if (was) was = strdup(was);
    for (int i = 0; i < 3; i++) {
        if (caps[i]) setenv("OCT_CPU", caps[i], 1);
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .amx = true});
        ck_not_null(ctx);
        oct_net *net = test_u7_net(ctx);
        float *x = some_input(net, NETS);
        const uint64_t h = codes_of(net, x);
        if (getenv("OCT_TEST_PRINT")) printf("    0x%016llx: u7\n", (unsigned long long)h);
        ck_assert_uint_eq(h, golden_u7);
        if (!strcmp(oct_ctx_isa(ctx), "avx2")) ck_assert_int_ge(steps_by_pairs(net), 3);
        free(x);
        oct_net_free(net);
        oct_close(ctx);
    }
    if (was)
        setenv("OCT_CPU", was, 1);
    else
        unsetenv("OCT_CPU");
    free((char *)(uintptr_t)was);
}
END_TEST

START_TEST(codes_are_those_of_every_machine) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .amx = true});
    int other = 0;
    for (uint32_t seed = 0; seed < NETS; seed++) {
        oct_net *net = seed ? test_random_net(ctx, 1000 + seed) : test_small_net(ctx);
        float *x = some_input(net, seed);
        const uint64_t h = codes_of(net, x);
        if (getenv("OCT_TEST_PRINT")) printf("    0x%016llx,\n", (unsigned long long)h);
        if (h != golden[seed]) other++;
        free(x);
        oct_net_free(net);
    }
    ck_assert_msg(!other, "%d of %d nets have other codes on this machine (%s)", other, NETS,
                  oct_ctx_isa(ctx));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("same_codes", codes_are_those_of_every_machine,
              codes_of_seven_bits_are_those_of_every_machine)
