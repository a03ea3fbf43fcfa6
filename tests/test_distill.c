/* SPDX-License-Identifier: MIT
 * Knowledge distillation: the loss against PyTorch, on a tape, and in fit. */
#include "tests/golden.h"

#include <math.h>

#include "octet.h"
#include "src/net_own.h"

static void same(oct_ctx *ctx, const char *name, const oct_tensor *got) {
    oct_tensor *want = golden(ctx, "rnn.txt", name);
    ck_assert_int_eq(oct_tensor_count(want), oct_tensor_count(got));
    for (int64_t i = 0; i < oct_tensor_count(want); i++) {
        float w = oct_f32(want)[i], g = oct_f32(got)[i];
        ck_assert_msg(fabsf(w - g) <= 2e-6f * (1 + fabsf(w)), "%s[%lld]: want %.9g, got %.9g", name,
                      (long long)i, (double)w, (double)g);
    }
}

START_TEST(loss_and_mix_as_pytorch) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tape *t = oct_tape_new(ctx);
    static const char *const names[] = {"distill_1", "distill_4"};
    for (int i = 0; i < 2; i++) {
        char key[64];
#define KEY(k) (snprintf(key, sizeof key, "%s.%s", names[i], k), key)
        oct_tensor *x = golden(ctx, "rnn.txt", KEY("x")),
                   *teacher = golden(ctx, "rnn.txt", KEY("t")),
                   *hyper = golden(ctx, "rnn.txt", KEY("hyper"));
        oct_tensor *l = golden(ctx, "rnn.txt", KEY("labels")),
                   *labels = oct_tensor_new(ctx, OCT_S32, l->shape);
        for (int64_t k = 0; k < oct_tensor_count(l); k++)
            oct_s32(labels)[k] = (int32_t)oct_f32(l)[k];
        float temperature = oct_f32(hyper)[0], share = oct_f32(hyper)[1];
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *v = oct_param(t, x, "x"), *kd = oct_distill_loss(v, teacher, temperature);
        ck_ok(oct_backward(kd));
        same(ctx, KEY("y"), oct_var_value(kd));
        same(ctx, KEY("dx"), oct_var_grad(v));
        memset(x->grad->data, 0, oct_tensor_bytes(x->grad));
        oct_tape_begin(t, OCT_TRAIN);
        v = oct_param(t, x, "x");
        oct_var *both = oct_mix(oct_distill_loss(v, teacher, temperature),
                                oct_cross_entropy(v, labels, NULL), share);
        ck_ok(oct_backward(both));
        same(ctx, KEY("mix"), oct_var_value(both));
        same(ctx, KEY("dmix"), oct_var_grad(v));
#undef KEY
    }
    oct_close(ctx);
}
END_TEST

/* A teacher that is certain has probabilities of 0: they add nothing, and the loss stays finite. */
START_TEST(certain_teachers_stay_finite) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    float xs[] = {0, 0, 0, 3, -2, 1}, ts[] = {1e30f, -1e30f, 0, 3, -2, 1};
    oct_tensor *x = oct_tensor_borrow(ctx, OCT_F32, OCT_SHAPE(2, 3), xs),
               *t = oct_tensor_borrow(ctx, OCT_F32, OCT_SHAPE(2, 3), ts);
    oct_tape *tape = oct_tape_new(ctx);
    oct_tape_begin(tape, OCT_TRAIN);
    oct_var *v = oct_param(tape, x, "x"), *loss = oct_distill_loss(v, t, 1);
    ck_ok(oct_backward(loss));
    ck_assert_float_eq_tol(*oct_f32(oct_var_value(loss)), logf(3) / 2, 1e-6f);
    const float *g = oct_f32(oct_var_grad(v));
    ck_assert_float_eq_tol(g[0], -1.0f / 3, 1e-6f);
    for (int i = 3; i < 6; i++) ck_assert_float_eq(g[i], 0); /* the second row agrees already */
    oct_close(ctx);
}
END_TEST

START_TEST(misuse_is_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 3)),
               *small = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 2));
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    ck_assert_ptr_null(oct_distill_loss(oct_param(t, x, "x"), small, 1));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "teacher"));
    oct_tape_begin(t, OCT_TRAIN);
    ck_assert_ptr_null(oct_distill_loss(oct_param(t, x, "x"), x, -1));
    oct_tape_begin(t, OCT_TRAIN);
    ck_assert_ptr_null(oct_distill_loss(oct_param(t, x, "x"), NULL, 1));
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *v = oct_param(t, x, "x"), *loss = oct_distill_loss(v, x, 1);
    ck_not_null(loss);
    ck_assert_ptr_null(oct_mix(loss, v, 0.5f));
    oct_tape_begin(t, OCT_TRAIN);
    v = oct_param(t, x, "x"), loss = oct_distill_loss(v, x, 1);
    ck_assert_ptr_null(oct_mix(loss, loss, 1.5f));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "share"));
    oct_close(ctx);
}
END_TEST

/* ---- in fit ---- */

static oct_net *lenet(oct_ctx *ctx, oct_data *d) {
    oct_net *net = oct_zoo_net(ctx, "lenet", d);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    return net;
}

static oct_net *taught(oct_ctx *ctx, oct_data *d, oct_net *teacher, float weight, bool prepared) {
    oct_net *net = lenet(ctx, d);
    if (prepared) net = oct_prepare(net, NULL);
    ck_ok(oct_fit(
        net, d,
        &(oct_fit_opts){.epochs = 2, .batch = 32, .teacher = teacher, .distill_weight = weight}));
    return net;
}

static bool same_weights(const oct_net *a, const oct_net *b) {
    const oct_tensor *x = oct_net_tensor(a, "fc3.weight"), *y = oct_net_tensor(b, "fc3.weight");
    return !memcmp(x->data, y->data, oct_tensor_bytes(x));
}

/* How far the student's distribution is from the teacher's, over images that it saw. */
static double distance(oct_ctx *ctx, oct_data *d, oct_net *teacher, oct_net *student) {
    oct_tensor *x = oct_calibration_inputs(student, d, 64);
    oct_runner *a = oct_runner_new(teacher, NULL), *b = oct_runner_new(student, NULL);
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *loss = oct_distill_loss(oct_input(t, oct_runner_run(b, x)), oct_runner_run(a, x), 4);
    ck_not_null(loss);
    double v = (double)*oct_f32(oct_var_value(loss));
    oct_runner_free(a);
    oct_runner_free(b);
    oct_tensor_unref(x);
    return v;
}

/* A run goes on with the teacher it began with: one byte of any tensor makes another. */
START_TEST(a_net_is_known_by_every_tensor) {
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = lenet(ctx, oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 10}));
    const uint32_t crc = octi_net_crc(net);
    for (int32_t i = 0; i < net->tensor_count; i++)
        for (int last = 0; last < 2; last++) {
            uint8_t *data = net->tensors[i].tensor->data;
            const size_t at = last ? oct_tensor_bytes(net->tensors[i].tensor) - 1 : 0;
            data[at] ^= 1;
            ck_assert_msg(octi_net_crc(net) != crc, "%s", net->tensors[i].name);
            data[at] ^= 1;
            ck_assert_uint_eq(octi_net_crc(net), crc);
        }
    oct_close(ctx);
}
END_TEST

START_TEST(fit_learns_from_a_teacher) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2}), *one = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 320}),
             *e = oct_data_open(one, "synth-digits", &(oct_data_opts){.limit = 320});
    oct_net *teacher = lenet(ctx, d), *twin = lenet(one, e);
    for (int i = 0; i < 2; i++)
        ck_ok(oct_fit(
            i ? twin : teacher, i ? e : d,
            &(oct_fit_opts){.epochs = 5, .batch = 32, .optimizer = OCT_OPTIM_ADAM, .seed = 9}));
    for (int prepared = 0; prepared < 2; prepared++) {
        oct_net *alone = taught(ctx, d, NULL, 0, prepared),
                *ignored = taught(ctx, d, teacher, OCT_NONE, prepared);
        oct_net *both = taught(ctx, d, teacher, 0, prepared),
                *only = taught(ctx, d, teacher, 1, prepared);
        ck_assert(same_weights(alone, ignored)); /* weight 0: the labels alone */
        ck_assert(!same_weights(alone, both) && !same_weights(both, only));
        ck_assert_double_lt(distance(ctx, d, teacher, only), distance(ctx, d, teacher, alone));
        /* threads change no bit */
        ck_assert(same_weights(both, taught(one, e, twin, 0, prepared)));
    }
    oct_close(ctx);
    oct_close(one);
}
END_TEST

START_TEST(strangers_do_not_teach) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 64}),
             *shapes = oct_data_open(ctx, "synth-shapes", &(oct_data_opts){.limit = 64});
    oct_net *net = lenet(ctx, d), *teacher = lenet(ctx, d);
    ck_fails(OCT_EUSAGE, "the net that learns", oct_fit(net, d, &(oct_fit_opts){.teacher = net}));
    ck_fails(OCT_ESHAPE, "input of the teacher",
             oct_fit(net, d, &(oct_fit_opts){.teacher = lenet(ctx, shapes)}));
    ck_fails(OCT_EUSAGE, "temperature",
             oct_fit(net, d, &(oct_fit_opts){.teacher = teacher, .temperature = -1}));
    ck_fails(OCT_EUSAGE, "distill_weight",
             oct_fit(net, d, &(oct_fit_opts){.teacher = teacher, .distill_weight = 2}));
    ck_fails(OCT_EUSAGE, "nobody to learn from",
             oct_fit(net, d, &(oct_fit_opts){.temperature = 2}));
    /* each part of the description, in the last channel that there is */
    for (int what = 0; what < 4; what++) {
        oct_net *rgb = lenet(ctx, shapes), *other = lenet(ctx, shapes);
        ck_ok(oct_fit_check(rgb, shapes, &(oct_fit_opts){.teacher = other}));
        if (what == 0) other->input.div /= 2;
        if (what == 1) other->input.mean[2] += 0.5f;
        if (what == 2) other->input.std[2] *= 2;
        if (what == 3) other->input.color = OCT_COLOR_BGR;
        ck_fails(OCT_EUSAGE, "in another way",
                 oct_fit(rgb, shapes, &(oct_fit_opts){.teacher = other}));
    }
    oct_class swapped[10];
    for (int i = 0; i < 10; i++) swapped[i] = teacher->classes[i < 2 ? 1 - i : i];
    ck_ok(oct_net_set_classes(teacher, swapped, 10));
    ck_fails(OCT_EUSAGE, "class 0 of the teacher",
             oct_fit(net, d, &(oct_fit_opts){.teacher = teacher}));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("distill", loss_and_mix_as_pytorch, certain_teachers_stay_finite, misuse_is_refused,
              a_net_is_known_by_every_tensor, fit_learns_from_a_teacher, strangers_do_not_teach)
