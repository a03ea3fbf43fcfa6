/* SPDX-License-Identifier: MIT
 * Watchers of a tape: what they see, when, and that a step with them is the step without them. */
#include "tests/oct_test.h"

#include "octet.h"
#include "src/rng.h"

typedef struct seen {
    int calls, order, *clock;
    oct_mode mode;
    oct_tensor *in, *weight, *out; /* borrowed headers' data, copied */
    float y[4];
    const char *kind;
    bool codes, in_codes, once;
    oct_tape *tape;
} seen;

static void look(void *user, const oct_watched *w) {
    seen *s = user;
    s->calls++;
    s->order = s->clock ? ++*s->clock : 0;
    s->mode = w->mode;
    s->kind = w->kind;
    s->codes = w->codes != NULL;
    s->in_codes = w->in_codes[0] != NULL;
    s->in = (oct_tensor *)(uintptr_t)w->in[0];
    s->weight = w->nin > 1 ? (oct_tensor *)(uintptr_t)w->in[1] : NULL;
    s->out = (oct_tensor *)(uintptr_t)w->out;
    for (int i = 0; i < 4; i++) s->y[i] = oct_f32(w->out)[i];
    if (s->once) oct_tape_unwatch(s->tape, w->name);
}

static oct_net *lenet(oct_ctx *ctx, oct_tensor **x) {
    oct_net *net = oct_capture(oct_zoo_new(ctx, "lenet", NULL), OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3, 28, 28, 1));
    octi_rng r = octi_rng_stream(2, OCTI_RNG_TEST, 1, 0);
    for (int64_t i = 0; i < oct_tensor_count(*x); i++) oct_f32(*x)[i] = octi_rng_normal(&r);
    return net;
}

START_TEST(they_see_inputs_and_outputs) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tensor *x;
    oct_net *net = lenet(ctx, &x);
    oct_tape *t = oct_tape_new(ctx);
    int clock = 0;
    seen conv = {.clock = &clock}, again = {.clock = &clock}, fc = {.clock = &clock},
         any = {.calls = 0}, none = {.calls = 0};
    ck_ok(oct_tape_watch(t, "conv1", look, &conv));
    ck_ok(oct_tape_watch(t, "conv1", look, &again));
    ck_ok(oct_tape_watch(t, "fc3", look, &fc));
    ck_ok(oct_tape_watch(t, NULL, look, &any));
    ck_ok(oct_tape_watch(t, "conv9", look, &none));
    for (int step = 0; step < 2; step++) {
        oct_tape_begin(t, step ? OCT_EVAL : OCT_TRAIN);
        oct_var *y = oct_net_forward(net, oct_input(t, x));
        ck_assert_int_eq(conv.calls, step + 1);
        ck_assert_int_eq(conv.mode, step ? OCT_EVAL : OCT_TRAIN);
        ck_assert_ptr_eq(conv.in->data, x->data);
        ck_assert_ptr_eq(conv.weight, oct_net_tensor(net, "conv1.weight"));
        ck_assert_str_eq(conv.kind, "conv2d");
        ck_assert(oct_shape_equal(&conv.out->shape, &OCT_SHAPE(3, 28, 28, 6)));
        ck_assert_mem_eq(fc.y, oct_f32(oct_var_value(y)), sizeof fc.y);
        /* in the order of asking, and of running */
        ck_assert(again.order == conv.order + 1 && fc.order > again.order);
        ck_assert_int_eq(any.calls, (step + 1) * net->graph->node_count);
    }
    ck_assert_int_eq(none.calls, 0);
    /* layers of an own forward function too */
    oct_tape_begin(t, OCT_EVAL);
    (void)oct_relu(oct_input(t, x));
    ck_assert_str_eq(any.kind, "relu");
    oct_tape_unwatch(t, "conv1");
    oct_tape_begin(t, OCT_EVAL);
    ck_not_null(oct_net_forward(net, oct_input(t, x)));
    ck_assert(conv.calls == 2 && again.calls == 2 && fc.calls == 3);
    oct_tape_unwatch(t, NULL);
    fc.calls = any.calls = 0;
    oct_tape_begin(t, OCT_EVAL);
    ck_not_null(oct_net_forward(net, oct_input(t, x)));
    ck_assert(fc.calls == 0 && any.calls == 0);
    ck_fails(OCT_EUSAGE, "NULL", oct_tape_watch(t, "fc1", NULL, NULL));
    ck_fails(OCT_EUSAGE, "NULL", oct_tape_watch(NULL, "fc1", look, &fc));
    ck_ok(oct_tape_watch(t, "fc1", look, &fc)); /* freed with the tape */
    oct_tape_free(t);
    oct_close(ctx);
}
END_TEST

START_TEST(prepared_nets_show_codes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tensor *x;
    oct_net *q = oct_prepare(lenet(ctx, &x), NULL);
    ck_not_null(q);
    oct_tape *t = oct_tape_new(ctx);
    seen conv = {.calls = 0};
    ck_ok(oct_tape_watch(t, "conv1", look, &conv));
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    ck_assert(!conv.codes && !conv.in_codes);
    oct_tape_begin(t, OCT_EVAL);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    ck_assert(conv.codes && conv.in_codes);
    ck_assert_int_eq(conv.calls, 2);
    oct_close(ctx);
}
END_TEST

/* One that leaves when it was called; steps that allocate nothing; capture, which runs nothing. */
START_TEST(they_cost_and_disturb_nothing) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *x;
    oct_net *net = lenet(ctx, &x);
    oct_tape *t = oct_tape_new(ctx);
    seen once = {.once = true, .tape = t}, stays = {.calls = 0};
    ck_ok(oct_tape_watch(t, "fc1", look, &once));
    ck_ok(oct_tape_watch(t, "fc2", look, &stays));
    uint64_t allocs = 0;
    for (int step = 0; step < 6; step++) {
        if (step == 3) allocs = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
        oct_tape_begin(t, OCT_EVAL);
        ck_not_null(oct_net_forward(net, oct_input(t, x)));
    }
    ck_assert_int_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), allocs);
    ck_assert(once.calls == 1 && stays.calls == 6);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("watch", they_see_inputs_and_outputs, prepared_nets_show_codes,
              they_cost_and_disturb_nothing)
