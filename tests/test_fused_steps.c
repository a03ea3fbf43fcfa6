/* SPDX-License-Identifier: MIT
 * Steps of the plan that hold a convolution and what works element by element behind it: every code
 * of their outputs against the plan that keeps each node apart, by each candidate, over threads,
 * batches and bands of rows; and what must stay apart does. */
#include "tests/exact_fix.h"

#include <stdlib.h>
#include <string.h>

#include "ops/qconv.h"
#include "qat/infer/plan.h"
#include "src/mem.h"
#include "tests/paths_fix.h"

typedef struct parts {
    oct_module *stem, *a, *b, *down, *fc;
    int form;
} parts;

enum {
    CONV_FIRST,  /* conv + x */
    CONV_SECOND, /* x + conv */
    DOWN_LATE,   /* the convolution at the add is the skip's own */
    DOWN_EARLY,  /* the skip is a convolution that ran before */
    READ_TWICE,  /* the convolution's codes are read by another: apart */
    CHAIN,       /* table, add, table */
    GATE,        /* times a gate of one pixel */
    OWN_INPUT,   /* the skip is what the convolution reads: not over it */
    POOLED,      /* behind the 2x2 max pool that the convolution took */
    TO_ITSELF,   /* conv + conv, one value twice: apart */
    ROW_SOFTMAX, /* reads a row twice: apart */
    LIVES_ON,    /* the skip is read later: not over it */
    FLAT,        /* a linear layer and its skip */
    FORMS
};

typedef struct expected {
    const char *step, *also[3]; /* of the convolution's step, the other nodes */
    bool over;                  /* its output lies where an operand was */
} expected;

static const expected rows[FORMS] = {
    [CONV_FIRST] = {"b", {"add"}, true},
    [CONV_SECOND] = {"b", {"add"}, true},
    [DOWN_LATE] = {"down", {"add"}, true},
    [DOWN_EARLY] = {"b", {"add"}, true},
    [READ_TWICE] = {"b", {NULL}, false},
    [CHAIN] = {"b", {"hardswish", "add", "tanh"}, true},
    [GATE] = {"b", {"mul"}, false},
    [OWN_INPUT] = {"b", {"add"}, false},
    [POOLED] = {"b", {"max_pool2d_1", "add"}, true},
    [TO_ITSELF] = {"b", {NULL}, false},
    [ROW_SOFTMAX] = {"b", {NULL}, false},
    [LIVES_ON] = {"b", {"add"}, false},
    [FLAT] = {"fc", {"add"}, true},
};

static oct_var *halved(oct_var *x) {
    return oct_max_pool2d(x, &(oct_pool_opts){.kernel = 2, .stride = 2});
}

/* What the step is for; a max pool behind each, for codes that go on are laid out with borders. */
static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    parts *p = self;
    (void)t;
    x = oct_relu(oct_apply(p->stem, x));
    if (p->form == FLAT) {
        x = oct_flatten(oct_adaptive_avg_pool2d(x, 1, 1));
        return oct_add(oct_apply(p->fc, oct_tanh(x)), x);
    }
    oct_var *gate = p->form == GATE ? oct_sigmoid(oct_adaptive_avg_pool2d(x, 1, 1)) : NULL,
            *early = p->form == DOWN_EARLY ? oct_apply(p->down, x) : NULL,
            *y = p->form == OWN_INPUT ? x : oct_relu(oct_apply(p->a, x)),
            *half = p->form == POOLED ? halved(x) : NULL, *z = oct_apply(p->b, y);
    switch (p->form) {
    case CONV_SECOND:
        return oct_relu(oct_add(x, z));
    case DOWN_LATE:
        return oct_relu(oct_add(z, oct_apply(p->down, x)));
    case DOWN_EARLY:
        return oct_add(early, z);
    case READ_TWICE:
        return oct_add(oct_add(z, x), z);
    case CHAIN:
        return oct_tanh(oct_add(oct_hardswish(z), x));
    case GATE:
        return oct_mul(z, gate);
    case POOLED:
        return oct_add(halved(z), half);
    case TO_ITSELF:
        return oct_add(z, z);
    case ROW_SOFTMAX:
        return oct_softmax(z);
    case LIVES_ON:
        return oct_cat((oct_var *[]){oct_add(z, x), x}, 2, 3);
    default:
        return oct_add(z, x);
    }
}

static oct_module *conv(oct_ctx *ctx, oct_module *m, const char *name, int in, int out, int kernel,
                        int groups) {
    return oct_module_add(
        m, name,
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){
                     .in = in, .out = out, .kernel = kernel, .pad = kernel / 2, .groups = groups}));
}

enum { PLAIN, DEPTHWISE, POINTWISE, KINDS };

static oct_net *made(oct_ctx *ctx, int form, int kind, int c, oct_shape image, oct_target target) {
    parts p = {.form = form};
    oct_module *m = oct_module_new(ctx, forward, &p);
    p.stem = conv(ctx, m, "stem", 3, c, 3, 1);
    p.a = conv(ctx, m, "a", c, c, 3, 1);
    p.b = conv(ctx, m, "b", c, c,
               kind == PLAIN       ? 3
               : kind == DEPTHWISE ? 5
                                   : 1,
               kind == DEPTHWISE ? c : 1);
    p.down = conv(ctx, m, "down", c, c, 1, 1);
    p.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = c, .out = c}));
    oct_net *q = oct_prepare(oct_fuse(oct_capture(m, image)), &(oct_qconfig){.target = target});
    ck_assert_msg(q != NULL, "form %d: %s", form, oct_error_message());
    ck_ok(calibrate(q, oct_tape_new(ctx), image, 3));
    return exact(q, image, 2, 4, rows[form].step);
}

enum { MOST_IMAGES = 4 };

static float *answers(const oct_net *net, bool unfused, const oct_tensor *x, int64_t batch,
                      size_t *bytes) {
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
    ck_assert_msg(plan != NULL, "%s", oct_error_message());
    oct_session *s = oct_session_new(plan, batch, NULL, 0);
    const oct_shape out = oct_plan_output_shape(plan);
    int64_t each = 1, image = oct_tensor_count(x) / MOST_IMAGES;
    for (int k = 1; k < out.rank; k++) each *= out.dim[k];
    *bytes = (size_t)(each * MOST_IMAGES) * sizeof(float);
    float *y = malloc(*bytes);
    for (int64_t i = 0; i < MOST_IMAGES; i += batch) {
        const int64_t n = MOST_IMAGES - i < batch ? MOST_IMAGES - i : batch;
        ck_ok(oct_session_run(s, oct_f32(x) + i * image, n, y + i * each));
    }
    oct_session_free(s);
    oct_plan_free(plan);
    return y;
}

/* Each layer knows the bytes of all others' weights, with their biases and records. */
static void layers_know_of_each_other(const oct_plan *plan, int32_t steps) {
    int64_t weights = 0, outputs = 0, whole = 0;
    for (int32_t i = 0; i < steps; i++) {
        if (plan->steps[i].is_float || !plan->steps[i].u.q.candidate) continue;
        const octi_qconv *c = plan->steps[i].u.q.u.conv;
        const int64_t own = octi_weight_bytes(c) / 2; /* of s16 */
        ck_assert(!whole || c->beside + own == whole);
        whole = c->beside + own;
        weights += own;
        outputs += c->o;
    }
    ck_assert_int_ge(whole, weights + 8 * outputs);
}

static void held_as_expected(const oct_net *net, int form) {
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.profile = true});
    oct_session *s = oct_session_new(plan, 1, NULL, 0);
    const expected *want = &rows[form];
    bool found = false;
    for (int32_t i = 0; i < oct_plan_steps(plan); i++) {
        oct_step_time t;
        ck_assert(oct_session_step_time(s, i, &t));
        const octi_qmodule *m = &plan->steps[i];
        if (strcmp(t.node, want->step)) continue;
        found = true;
        const bool apart = form == POOLED && !m->u.q.candidate->pools;
        for (int k = 0; k < 3 && want->also[k] && !apart; k++)
            ck_assert_msg(t.also && t.also[k] && !strcmp(t.also[k], want->also[k]),
                          "form %d: %s is not in the step of %s", form, want->also[k], t.node);
        const int count = apart || !want->also[0] ? 0 : !want->also[1] ? 1 : !want->also[2] ? 2 : 3;
        ck_assert_int_eq(m->also_count, count);
        ck_assert(count ? !t.also[count] : !t.also);
        ck_assert_msg((plan->values[m->out].root != m->out) == (want->over && !apart),
                      "form %d: where its output lies", form);
    }
    ck_assert(found);
    layers_know_of_each_other(plan, oct_plan_steps(plan));
    oct_session_free(s);
    oct_plan_free(plan);
}

/* On contexts of its own, so that the number of threads and the candidate are its own. */
static void agrees(const uint8_t *file, size_t size, int form, int threads, int64_t batch,
                   const char *candidate, const float *want, const oct_tensor *x, ways *seen) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    octi_ctx_only(ctx, candidate);
    oct_net *net = oct_int8_load_memory(ctx, file, size, "fused");
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    size_t bytes;
    float *y = answers(net, false, x, batch, &bytes);
    ck_assert_msg(!memcmp(y, want, bytes), "form %d, %s, %d threads, %d images: other codes", form,
                  candidate ? candidate : "chosen", threads, (int)batch);
    if (threads == 1) held_as_expected(net, form);
    ways_add(seen, ctx);
    free(y);
    oct_close(ctx);
}

static ways seen;

static void check_form(int form, int kind, int c, oct_shape image, bool all) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net =
        made(ctx, form, kind, c, image, (form + kind) % 2 ? OCT_TARGET_LITERT : OCT_TARGET_OCTET);
    oct_tensor *x = random_images(ctx, MOST_IMAGES, image, 8);
    size_t bytes, size;
    float *want = answers(net, true, x, MOST_IMAGES, &bytes);
    uint8_t *file;
    ck_ok(oct_int8_save_memory(net, &file, &size));
    for (int k = 0; k < octi_candidate_count && all; k++)
        agrees(file, size, form, 1, 1 + 3 * (form % 2), octi_candidates[k]->name, want, x, &seen);
    agrees(file, size, form, 1, MOST_IMAGES, NULL, want, x, &seen);
    agrees(file, size, form, 2, 3, NULL, want, x, &seen);
    agrees(file, size, form, 3, 1, NULL, want, x, &seen);
    oct_int8_bytes_free(ctx, file);
    free(want);
    oct_close(ctx);
}

START_TEST(give_the_codes_of_nodes_apart) {
    for (int form = 0; form < FORMS; form++)
        for (int kind = 0; kind < (form <= DOWN_LATE ? KINDS : 1); kind++)
            check_form(form, kind, 16, OCT_SHAPE(49, 22, 3), true);
    for (int w = OCTI_PATH_add_taken_first; w <= OCTI_PATH_in_bands; w++)
        ck_assert_msg(seen.n[OCTI_SIDE_PLAN][w], "way %d was never taken", w);
}
END_TEST

/* An image that is worth it is cut by rows of each step: every part has a band of its own. */
START_TEST(threads_share_one_image) {
    seen = (ways){0};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    /* the reference is slow enough with fewer */
    const int c = octi_ctx_kernels(ctx)->needs.conv_s16u8 ? 64 : 16;
    oct_close(ctx);
    check_form(CONV_FIRST, PLAIN, c, OCT_SHAPE(41, 44, 3), false);
    check_form(DOWN_LATE, PLAIN, c, OCT_SHAPE(41, 44, 3), false);
    /* weights that no cache keeps: wide bands, several of this image, one of the small one */
#ifndef __SANITIZE_ADDRESS__ /* slower by ten */
    if (c == 64) check_form(CONV_SECOND, PLAIN, 136, OCT_SHAPE(26, 24, 3), false);
#endif
    check_form(CONV_FIRST, PLAIN, 136, OCT_SHAPE(6, 7, 3), false);
    ck_assert(seen.n[OCTI_SIDE_PLAN][OCTI_PATH_image_cut]);
}
END_TEST

OCT_TEST_MAIN("fused_steps", give_the_codes_of_nodes_apart, threads_share_one_image)
