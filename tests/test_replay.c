/* SPDX-License-Identifier: MIT
 * A step that is replayed has the bits of one that is recorded, records nothing, allocates nothing,
 * and takes less memory. */
#include "autograd/replay.h"

#include "octet.h"
#include "src/rng.h"
#include "tests/oct_test.h"
#include "tests/random_net.h"

enum { STEPS = 6, CLASSES = 10 };

typedef struct trainee {
    oct_ctx *ctx;
    oct_net *net;
    oct_tape *tape;
    oct_optim *optim;
    oct_shape image;
} trainee;

static trainee trainee_of(const char *model, uint64_t seed, const char *rules) {
    trainee t = {.ctx = oct_open(&(oct_opts){.threads = 2}), .image = OCT_SHAPE(16, 16, 3)};
    const oct_zoo_opts zoo = {3, 16, 16, CLASSES};
    t.net = model ? oct_capture(oct_zoo_new(t.ctx, model, &zoo), t.image)
                  : random_net(t.ctx, seed, &t.image);
    ck_not_null(t.net);
    if (rules) {
        oct_qconfig q = {0};
        ck_ok(oct_qconfig_parse(t.ctx, rules, &q));
        t.net = oct_prepare(t.net, &q);
        ck_not_null(t.net);
    }
    int32_t count;
    const oct_named_tensor *params = oct_net_parameters(t.net, &count);
    t.tape = oct_tape_new(t.ctx);
    /* some random nets diverge at more */
    t.optim = oct_optim_new(t.ctx, params, count,
                            &(oct_optim_opts){.lr = model ? 0.01f : 0.001f, .momentum = 0.9f});
    return t;
}

/* One step; its loss. y * y, so that every output has a gradient of its own. */
static float step_of(trainee *t, int step, int64_t batch, bool replay) {
    const oct_tensor *x = random_images(t->ctx, batch, t->image, (uint32_t)step);
    oct_optim_zero_grad(t->optim);
    oct_var *y;
    if (replay)
        y = octi_replay(t->tape, t->net, x,
                        &(octi_place){1, (uint32_t)(step * 16), octi_cut_whole(batch)});
    else {
        oct_tape_begin(t->tape, OCT_TRAIN);
        oct_tape_key(t->tape, 1, (uint32_t)(step * 16));
        y = oct_net_forward(t->net, oct_input(t->tape, x));
    }
    ck_not_null(y);
    oct_tensor *zero = oct_tensor_new(t->ctx, OCT_F32, *oct_var_shape(y));
    oct_var *loss = oct_mse_loss(y, zero);
    ck_not_null(loss);
    const float value = oct_f32(oct_var_value(loss))[0];
    ck_ok(oct_backward(loss));
    ck_ok(oct_optim_step(t->optim));
    oct_tensor_unref(zero);
    oct_tensor_unref((oct_tensor *)x);
    return value;
}

static void same_nets(const oct_net *a, const oct_net *b, const char *what, int step) {
    for (int32_t i = 0; i < a->tensor_count; i++) {
        const oct_tensor *x = a->tensors[i].tensor, *y = b->tensors[i].tensor;
        ck_assert_msg(!memcmp(x->data, y->data, oct_tensor_bytes(x)), "%s, step %d: %s", what, step,
                      a->tensors[i].name);
        ck_assert_int_eq(x->grad != NULL, y->grad != NULL);
        if (x->grad)
            ck_assert_msg(!memcmp(x->grad->data, y->grad->data, oct_tensor_bytes(x->grad)),
                          "%s, step %d: gradient of %s", what, step, a->tensors[i].name);
    }
}

/* Parameters freeze, batch norm freezes, and the last batch is smaller: what stands on the tape is
 * not taken for what it is not. */
static void compare(const char *model, uint64_t seed, const char *rules) {
    trainee recorded = trainee_of(model, seed, rules), replayed = trainee_of(model, seed, rules);
    const char *what = octi_fmt("%s %llu %s", model ? model : "random", (unsigned long long)seed,
                                rules ? rules : "float");
    for (int step = 0; step < STEPS; step++) {
        trainee *both[] = {&recorded, &replayed};
        float loss[2];
        for (int k = 0; k < 2; k++) {
            if (step == 3 && model)
                ck_ok(oct_net_freeze(both[k]->net, model[0] == 'l' ? "conv1.*" : "layer1.*", true,
                                     NULL));
            if (step == 2 && rules) oct_net_freeze_batch_norm(both[k]->net, true);
            loss[k] = step_of(both[k], step, step == STEPS - 1 ? 5 : 8, k > 0);
        }
        ck_assert_msg(!memcmp(&loss[0], &loss[1], sizeof(float)), "%s, step %d: %a, not %a", what,
                      step, (double)loss[1], (double)loss[0]);
        same_nets(recorded.net, replayed.net, what, step);
    }
    oct_close(recorded.ctx);
    oct_close(replayed.ctx);
}

START_TEST(replayed_is_recorded) {
    compare("resnet8", 0, NULL);
    compare("resnet8", 0, "global:observer=ema");
    compare("resnet8", 0, "global:method=lsq,wbits=4,abits=4");
    compare("resnet8", 0, "global:method=pact,wbits=4,abits=4,observer=histogram");
    for (uint64_t seed = 1; seed <= (oct_test_long() ? 60 : 8); seed++) {
        compare(NULL, seed, NULL);
        compare(NULL, seed, "global:method=lsq+,wbits=4,abits=4");
    }
}
END_TEST

typedef struct held {
    size_t bytes;
    uint64_t allocs; /* of the last step */
} held;

static held held_after(const char *rules, bool replay) {
    trainee t = trainee_of("resnet20", 0, rules);
    held h = {0};
    for (int step = 0; step < 5; step++) {
        const uint64_t before = oct_ctx_memory(t.ctx, OCT_MEMORY_ALLOCS);
        (void)step_of(&t, step, 16, replay);
        h.allocs = oct_ctx_memory(t.ctx, OCT_MEMORY_ALLOCS) - before;
    }
    h.bytes = octi_tape_bytes(t.tape);
    oct_close(t.ctx);
    return h;
}

/* Gradients stand where activations stood that nobody reads any more. */
START_TEST(memory_goes_to_the_next) {
    static const char *const rules[] = {NULL, "global:observer=ema"};
    for (int k = 0; k < 2; k++) {
        const held recorded = held_after(rules[k], false), replayed = held_after(rules[k], true);
        ck_assert_msg(replayed.bytes * 100 < recorded.bytes * 80, "%zu bytes, recorded %zu",
                      replayed.bytes, recorded.bytes);
        /* a batch and the loss's target: two tensors, with their headers */
        ck_assert_uint_le(replayed.allocs, recorded.allocs);
        printf("resnet20, %s: a step takes %zu bytes, %zu replayed\n",
               rules[k] ? rules[k] : "float", recorded.bytes, replayed.bytes);
    }
}
END_TEST

/* What stands on the tape: the same nodes, at the same places, whatever losses came behind. */
START_TEST(nothing_is_recorded_again) {
    trainee t = trainee_of("resnet8", 0, NULL);
    (void)step_of(&t, 0, 8, true);
    const oct_graph *g = octi_tape_graph(t.tape);
    const int32_t nodes = g->node_count, values = g->value_count;
    const char *first = g->nodes[0].name, *last = g->nodes[nodes - 2].name;
    const oct_var *conv = octi_tape_find(t.tape, "conv1");
    for (int step = 1; step < 4; step++) {
        (void)step_of(&t, step, 8, true);
        ck_assert_int_eq(g->node_count, nodes);
        ck_assert_int_eq(g->value_count, values);
        ck_assert_ptr_eq(g->nodes[0].name, first);
        ck_assert_ptr_eq(g->nodes[nodes - 2].name, last);
        ck_assert_ptr_eq(octi_tape_find(t.tape, "conv1"), conv);
    }
    oct_tape_begin(t.tape, OCT_TRAIN); /* a step of another kind forgets it */
    ck_assert_int_eq(g->node_count, 0);
    oct_close(t.ctx);
}
END_TEST

OCT_TEST_MAIN("replay", replayed_is_recorded, memory_goes_to_the_next, nothing_is_recorded_again)
