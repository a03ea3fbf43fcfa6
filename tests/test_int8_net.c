/* SPDX-License-Identifier: MIT
 * The int8 model as a whole: plans (fused and unfused) against the interpreter, any batch, threads
 * and cut;
 * memory. */
#include <math.h>
#include <pthread.h>

#include "qat/infer/infer.h"
#include "qat/infer/plan.h"
#include "qat/infer/planner.h"
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
        oct_session *s = oct_session_new(plan, n, NULL, 0);
        ck_not_null(s);
        float *y = malloc((size_t)(n * k) * sizeof *y);
        uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
        for (int round = 0; round < 2; round++) {
            memset(y, 0xa5, (size_t)(n * k) * sizeof *y);
            ck_ok(oct_session_run(s, x, n, y));
            ck_assert(!memcmp(y, want[net->graph->output], (size_t)(n * k) * sizeof *y));
        }
        ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), before);
        for (int32_t i = 0; unfused && i < net->graph->node_count; i++) {
            oct_tensor t;
            const oct_node *node = &net->graph->nodes[i];
            ck_ok(oct_session_value(s, node->name, &t));
            ck_assert_msg(!memcmp(t.data, want[node->out], oct_tensor_bytes(&t)), "node %s differs",
                          node->name);
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

/* Any batch, any number of threads, fused or not, from a block of the caller's: the same bits. */
START_TEST(batch_and_threads_change_nothing) {
    enum { N = 67, K = 3, IMAGE = 7 * 6 * 3 };
    float want[N * K], got[N * K];
    for (int threads = 1; threads <= 8; threads *= 2) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
        oct_net *net = test_small_net(ctx);
        float *x = some_input(net, N, 5);
        for (int unfused = 0; unfused < 2; unfused++) {
            oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
            for (int64_t batch = 1; batch <= N; batch += 11) {
                size_t bytes = oct_plan_session_bytes(plan, batch);
                uint8_t *block = aligned_alloc(64, bytes + 64);
                memset(block + bytes, 0x5a, 64);
                oct_session *s = oct_session_new(plan, batch, block, bytes);
                ck_not_null(s);
                for (int64_t i = 0; i < N; i += batch)
                    ck_ok(oct_session_run(s, x + i * IMAGE, N - i < batch ? N - i : batch,
                                          got + i * K));
                if (threads == 1 && !unfused && batch == 1) memcpy(want, got, sizeof want);
                ck_assert(!memcmp(want, got, sizeof want));
                for (int i = 0; i < 64; i++) ck_assert_int_eq(block[bytes + (size_t)i], 0x5a);
                oct_session_free(s);
                free(block);
            }
            oct_plan_free(plan);
        }
        free(x);
        oct_close(ctx);
    }
}
END_TEST

START_TEST(pixels_classes_and_limits) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_net *net = test_small_net(ctx);
    enum { N = 9, IMAGE = 7 * 6 * 3 };
    uint8_t pixels[N * IMAGE];
    float x[N * IMAGE], y[N * 3], z[N * 3];
    int32_t a[N], b[N];
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, 0, 7);
    for (int i = 0; i < N * IMAGE; i++) {
        pixels[i] = (uint8_t)octi_rng_below(&r, 256);
        x[i] = octq_pixel(pixels[i], 255, 0.4f, 0.3f);
    }
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.profile = true}),
             *unfused = oct_plan_new(net, &(oct_plan_opts){.unfused = true});
    oct_net_free(net); /* the plan holds what it needs */
    oct_session *s = oct_session_new(plan, N, NULL, 0), *u = oct_session_new(unfused, N, NULL, 0);
    ck_not_null(s);
    ck_not_null(u);
    oct_tensor t;
    ck_fails(OCT_EUSAGE, "nothing was run", oct_session_value(u, "n1.qconv2d", &t));
    ck_assert(oct_plan_takes_u8(plan));
    ck_ok(oct_session_run(s, x, N, y));
    ck_ok(oct_session_run_u8(s, pixels, N, z));
    ck_assert(!memcmp(y, z, sizeof y));
    ck_ok(oct_session_run_u8(u, pixels, N, z));
    ck_assert(!memcmp(y, z, sizeof y));
    ck_ok(oct_session_classify(s, x, N, a));
    ck_ok(oct_session_classify_u8(s, pixels, N, b));
    for (int i = 0; i < N; i++) {
        int best = 0;
        for (int k = 1; k < 3; k++) best = y[i * 3 + k] > y[i * 3 + best] ? k : best;
        ck_assert(a[i] == best && b[i] == best);
    }
    ck_fails(OCT_EUSAGE, "0 to 9", oct_session_run(s, x, N + 1, y));
    ck_fails(OCT_EUSAGE, "images", oct_session_run(s, x, -1, y));
    ck_fails(OCT_EUSAGE, "NULL", oct_session_run(s, NULL, 1, y));
    ck_fails(OCT_EUSAGE, "NULL", oct_session_run(NULL, x, 1, y));
    ck_ok(oct_session_run(s, x, 0, y));
    ck_fails(OCT_EUSAGE, "unfused", oct_session_value(s, "n1.qconv2d", &t));
    ck_fails(OCT_EUSAGE, "no such node", oct_session_value(u, "n9", &t));
    ck_ok(oct_session_value(u, "n9.dequantize", &t));
    ck_assert(!memcmp(t.data, y, sizeof y));
    oct_step_time time;
    ck_assert(oct_session_step_time(s, 1, &time) && time.images == 4 * N &&
              !strcmp(time.node, "n1.qconv2d") && !strcmp(time.kind, "qconv2d"));
    ck_assert(!oct_session_step_time(s, oct_plan_steps(plan), &time) &&
              !oct_session_step_time(u, 0, &time));
    ck_assert_uint_eq(oct_plan_session_bytes(plan, 0), 0);
    ck_assert(!oct_session_new(plan, INT64_MAX, NULL, 0) &&
              !oct_session_new(plan, 1, (void *)(uintptr_t)65, 1 << 20));
    const size_t bytes = oct_plan_session_bytes(plan, 3);
    uint8_t *block = aligned_alloc(64, bytes);
    ck_assert(!oct_session_new(plan, 3, block, bytes - 1) &&
              strstr(oct_error_message(), "block is too small"));
    oct_session *exact = oct_session_new(plan, 3, block, bytes);
    ck_not_null(exact);
    oct_session_free(exact);
    free(block);
    oct_session_free(s), oct_session_free(u);
    oct_plan_free(plan), oct_plan_free(unfused);
    oct_close(ctx);
}
END_TEST

/* argmax: the lowest index wins. All weights zero, so all outputs are equal. */
START_TEST(ties_go_to_the_lowest_index) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    test_net t = test_net_new(ctx, 1, 1, 1, 4);
    int32_t v =
        test_linear(&t, test_flatten(&t, test_quantize(&t, t.net->graph->input, 0.1f, 3)), 5);
    const oct_node *n = &t.net->graph->nodes[t.net->graph->values[v].producer];
    memset(t.net->graph->values[n->in[1]].tensor->data, 0, 20);
    memset(t.net->graph->values[n->in[2]].tensor->data, 0, 20);
    test_end(&t, v);
    oct_session *s = oct_session_new(oct_plan_new(t.net, NULL), 1, NULL, 0);
    int32_t k = -1;
    ck_ok(oct_session_classify(s, (float[]){1, 2, 3, 4}, 1, &k));
    ck_assert_int_eq(k, 0);
    ck_fails(OCT_EUNSUPPORTED, "pixels",
             oct_session_classify_u8(s, (uint8_t[]){1, 2, 3, 4}, 1, &k));
    oct_close(ctx);
}
END_TEST

/* Random live ranges: no two that meet overlap; never more than the sum; the lower bound is what is
 * alive at once. */
START_TEST(planner_never_overlaps) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, 0, 9);
    for (int round = 0; round < 300; round++) {
        octi_place p[60];
        int n = 1 + (int)octi_rng_below(&r, 60), steps = 1 + (int)octi_rng_below(&r, 40);
        size_t sum = 0, total, again;
        for (int i = 0; i < n; i++) {
            p[i] = (octi_place){.bytes = 64 * octi_rng_below(&r, round % 2 ? 5 : 500),
                                .first = (int32_t)octi_rng_below(&r, (uint32_t)steps)};
            p[i].last = p[i].first + (int32_t)octi_rng_below(&r, 6);
            sum += p[i].bytes;
        }
        ck_ok(octi_plan_places(ctx, p, n, &total));
        size_t end = 0;
        for (int i = 0; i < n; i++) {
            if (p[i].bytes && p[i].offset + p[i].bytes > end) end = p[i].offset + p[i].bytes;
            for (int k = 0; k < i; k++)
                if (p[i].first <= p[k].last && p[k].first <= p[i].last &&
                    p[i].offset < p[k].offset + p[k].bytes &&
                    p[k].offset < p[i].offset + p[i].bytes)
                    ck_abort_msg("places %d and %d overlap", i, k);
        }
        ck_assert(total == end && total <= sum);
        for (int s = 0; s < steps + 6; s++) {
            size_t alive = 0;
            for (int i = 0; i < n; i++)
                if (p[i].first <= s && s <= p[i].last) alive += p[i].bytes;
            if (alive > total) ck_abort_msg("step %d needs %zu bytes of %zu", s, alive, total);
        }
        octi_place q[60];
        memcpy(q, p, sizeof q);
        ck_ok(octi_plan_places(ctx, q, n, &again));
        ck_assert(again == total && !memcmp(q, p, (size_t)n * sizeof *q));
    }
    oct_close(ctx);
}
END_TEST

static int printed;
static void count_line(void *user, const char *text) {
    printed += strlen(text) > 10;
    (void)user;
}

START_TEST(fused_plans_reuse_memory) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (uint32_t seed = 0; seed < 30; seed++) {
        oct_net *net = test_random_net(ctx, seed);
        oct_plan *fused = oct_plan_new(net, NULL),
                 *unfused = oct_plan_new(net, &(oct_plan_opts){.unfused = true});
        size_t sum, all;
        size_t used = oct_plan_activation_bytes(fused, &sum),
               kept = oct_plan_activation_bytes(unfused, &all);
        ck_assert(used <= sum && kept == all && used < kept);
        printed = 0;
        oct_plan_print(fused, count_line, NULL);
        ck_assert_int_eq(printed, oct_plan_steps(fused) + 1);
        oct_plan_free(fused), oct_plan_free(unfused);
        oct_net_free(net);
    }
    oct_close(ctx);
}
END_TEST

/* What a step leaves in memory of one image: its value, of any codes, inside its borders; around
 * it, if it is filled there, the halo's. */
static void play_step(const octi_plan_value *v, uint8_t *memory, uint8_t code) {
    uint8_t *at = memory + v->offset;
    if (octi_halo_none(&v->at.halo)) {
        memset(at, code, (size_t)v->at.image);
        return;
    }
    at += v->at.origin;
    if (!v->halo_there) octi_halo_fill(&v->at, &v->shape, at, 1, v->halo_code);
    for (int64_t h = 0; h < v->shape.dim[1]; h++)
        memset(at + h * v->at.row, code, (size_t)(v->shape.dim[2] * v->at.pixel));
}

/* Two runs of a plan in memory of other codes: every halo stands when its step has run. Returns how
 * many values found theirs; in `again` how many did not, though their place was used before. */
static int play(const oct_plan *plan, uint8_t *memory, uint8_t *want, int *again) {
    int there = 0;
    for (int32_t i = 0; i < 2 * plan->step_count; i++) {
        const int32_t step = i % plan->step_count;
        const octi_plan_value *v = &plan->values[plan->steps[step].out];
        if (v->home != OCTI_HOME_BLOCK) continue;
        const uint8_t code = (uint8_t)(v->halo_code + 1 + i);
        play_step(v, memory, code);
        if (octi_halo_none(&v->at.halo)) continue;
        there += v->halo_there;
        for (int32_t k = 0; k < step && !v->halo_there; k++)
            *again += plan->values[plan->steps[k].out].offset == v->offset;
        memset(want, v->halo_code, (size_t)v->at.image);
        for (int64_t h = 0; h < v->shape.dim[1]; h++)
            memset(want + v->at.origin + h * v->at.row, code,
                   (size_t)(v->shape.dim[2] * v->at.pixel));
        ck_assert_msg(!memcmp(memory + v->offset, want, (size_t)v->at.image), "step %d", step);
    }
    return there;
}

/** A halo that a plan does not fill again is there, whoever had its memory between; and one that
 *  another value's left is not taken for it. */
START_TEST(halos_of_nets_stand) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    int there = 0, again = 0;
    for (uint32_t seed = 0; seed < 100; seed++) {
        oct_net *net = test_random_net(ctx, seed);
        oct_plan *plan = oct_plan_new(net, NULL);
        uint8_t *memory = malloc(plan->activations), *want = malloc(plan->activations);
        memset(memory, 0xa5, plan->activations);
        there += play(plan, memory, want, &again);
        free(memory), free(want);
        oct_plan_free(plan);
        oct_net_free(net);
    }
    oct_close(ctx);
    /* few have halos by the scalar kernels */
    ck_assert_msg(there > 2 && again > 20, "%d kept, %d filled again", there, again);
}
END_TEST

/** The same of places that overlap in every way. */
START_TEST(halos_of_any_places_stand) {
    enum { STEPS = 16, BYTES = 4096 };
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 40, 0);
    uint8_t memory[BYTES], want[BYTES];
    int there = 0, again = 0;
    for (int round = 0; round < 500; round++) {
        octi_plan_value values[STEPS];
        octi_qmodule steps[STEPS];
        oct_plan plan = {
            .steps = steps, .values = values, .step_count = STEPS, .value_count = STEPS};
        memset(memory, 0xa5, sizeof memory);
        for (int i = 0; i < STEPS; i++) {
            const octi_halo halo = {octi_rng_below(&r, 2), octi_rng_below(&r, 2), 1, 0};
            octi_plan_value *v = &values[i];
            steps[i] = (octi_qmodule){.out = i};
            *v = (octi_plan_value){.dtype = OCT_U8,
                                   .shape = OCT_SHAPE(OCT_BATCH, 4 + (int)octi_rng_below(&r, 2), 5,
                                                      octi_rng_below(&r, 3) ? 8 : 16),
                                   .halo_code = (uint8_t)octi_rng_below(&r, 2),
                                   .offset = 64 * octi_rng_below(&r, 8),
                                   .home =
                                       octi_rng_below(&r, 8) ? OCTI_HOME_BLOCK : OCTI_HOME_OUTPUT};
            if (octi_rng_below(&r, 3)) v->offset = 0, v->halo_code = 3;
            v->at = octi_layout_of(&v->shape, 1, octi_rng_below(&r, 4) ? halo : (octi_halo){0});
        }
        octi_plan_keep_halos(&plan);
        there += play(&plan, memory, want, &again);
    }
    ck_assert_msg(there > 100 && again > 1000, "%d kept, %d filled again", there, again);
}
END_TEST

/* Two threads, one plan, a session each, while the pool is fought over. */
typedef struct racer {
    const oct_plan *plan;
    const float *x, *want;
    int bad;
} racer;

static void *race(void *arg) {
    racer *r = arg;
    float y[16 * 3];
    oct_session *s = oct_session_new(r->plan, 16, NULL, 0);
    for (int i = 0; i < 40; i++) {
        if (oct_session_run(s, r->x, 16, y) != OCT_OK || memcmp(y, r->want, sizeof y)) r->bad++;
        /* errors are each thread's own */
        if (oct_session_run(s, r->x, 17, y) != OCT_EUSAGE) r->bad++;
    }
    oct_session_free(s);
    return NULL;
}

START_TEST(two_sessions_share_a_plan) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 3});
    oct_net *net = test_small_net(ctx);
    oct_plan *plan = oct_plan_new(net, NULL);
    oct_session *s = oct_session_new(plan, 16, NULL, 0);
    float *x = some_input(net, 16, 1), want[16 * 3];
    ck_ok(oct_session_run(s, x, 16, want));
    racer r[2] = {{plan, x, want, 0}, {plan, x, want, 0}};
    pthread_t t[2];
    for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, race, &r[i]);
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    ck_assert_int_eq(r[0].bad + r[1].bad, 0);
    free(x);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("int8_net", small_net_equals_interpreter, random_nets_equal_interpreter,
              batch_and_threads_change_nothing, pixels_classes_and_limits,
              ties_go_to_the_lowest_index, planner_never_overlaps, fused_plans_reuse_memory,
              halos_of_nets_stand, halos_of_any_places_stand, two_sessions_share_a_plan)
