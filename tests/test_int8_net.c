/* SPDX-License-Identifier: MIT
 * The int8 model as a whole: plans (fused and unfused) against the interpreter, any batch, threads and cut; memory. */
#include <math.h>
#include <pthread.h>

#include "qat/infer/infer.h"
#include "src/qround.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"

static float *some_input(const oct_net *net, int64_t n, uint32_t seed) {
    const oct_shape *s = &net->graph->values[net->graph->input].shape;
    oct_shape one = octi_shape_with_batch(s, n);
    int64_t count = oct_shape_count(&one);
    float *x = malloc((size_t)count * sizeof *x + 1);
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, seed, 2);
    for (int64_t i = 0; i < count; i++) x[i] = 2.0f * octi_rng_normal(&r);
    if (count > 4) x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = 1e30f;
    return x;
}

static int64_t outputs(const oct_net *net) {
    oct_shape y = octi_shape_with_batch(&net->graph->values[net->graph->output].shape, 1);
    return oct_shape_count(&y);
}

/* Every node of the unfused plan, and the output of both plans, against the interpreter. */
static void check_net(oct_ctx *ctx, const oct_net *net, int64_t n, uint32_t seed) {
    float *x = some_input(net, n, seed);
    int64_t k = outputs(net);
    void **want = test_interpret(net, x, n);
    for (int unfused = 0; unfused < 2; unfused++) {
        oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
        ck_not_null(plan);
        oct_session *s = oct_session_new(plan, n, NULL);
        ck_not_null(s);
        float *y = malloc((size_t)(n * k) * sizeof *y);
        uint64_t before = oct_ctx_memory(ctx).allocs;
        for (int round = 0; round < 2; round++) {
            memset(y, 0xa5, (size_t)(n * k) * sizeof *y);
            ck_ok(oct_session_run(s, x, n, y));
            ck_assert(!memcmp(y, want[net->graph->output], (size_t)(n * k) * sizeof *y));
        }
        ck_assert_uint_eq(oct_ctx_memory(ctx).allocs, before);
        for (int32_t i = 0; unfused && i < net->graph->node_count; i++) {
            oct_tensor t;
            const oct_node *node = &net->graph->nodes[i];
            ck_ok(oct_session_value(s, node->name, &t));
            ck_assert_msg(!memcmp(t.data, want[node->out], oct_tensor_bytes(&t)), "node %s differs", node->name);
        }
        free(y);
        oct_session_free(s);
        oct_plan_free(plan);
    }
    test_interpret_free(net, want);
    free(x);
}

START_TEST(small_net_equals_interpreter) {
    for (int threads = 1; threads < 4; threads += 2) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
        oct_net *net = test_small_net(ctx);
        for (int64_t n = 1; n < 20; n += 6) check_net(ctx, net, n, (uint32_t)n);
        oct_close(ctx);
    }
}
END_TEST

START_TEST(random_nets_equal_interpreter) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 3});
    for (uint32_t seed = 0; seed < 120; seed++) {
        oct_net *net = test_random_net(ctx, seed);
        check_net(ctx, net, 1 + seed % 5, seed);
        oct_net_free(net);
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("int8_net", small_net_equals_interpreter, random_nets_equal_interpreter)
