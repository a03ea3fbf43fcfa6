/* SPDX-License-Identifier: MIT
 * What is not a number: never saved, never loaded, and named with its cause where a training comes
 * to it. */
#include "tests/temp_folder.h"

#include <float.h>
#include <math.h>
#include <sys/stat.h>

#include "octet.h"
#include "src/format/safetensors.h"

static oct_module *small(oct_ctx *ctx) {
    oct_module *parts[] = {
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 5, .stride = 4, .no_bias = true}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}), oct_relu_new(ctx),
        oct_flatten_new(ctx), oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * 6 * 6, .out = 10})};
    return oct_sequential_new(ctx, parts, 5);
}

static oct_data *digits(oct_ctx *ctx) {
    return oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 128});
}

/* A run of a net that learns its steps, with everything that such a run can hold. */
static oct_net *learned(oct_ctx *ctx, const char *dir, oct_optim_kind optimizer) {
    oct_data *d = digits(ctx);
    oct_net *net = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
    ck_not_null(net);
    ck_ok(oct_net_describe(net, d));
    oct_net *q = oct_prepare(
        net,
        &(oct_qconfig){.wbits = 4, .abits = 4, .all_layers = true, .method = OCT_METHOD_LSQ_PLUS});
    ck_not_null(q);
    ck_ok(oct_fit(q, d,
                  &(oct_fit_opts){.epochs = 1,
                                  .optimizer = optimizer,
                                  .momentum = optimizer == OCT_OPTIM_RMSPROP ? 0.5f : 0,
                                  .oscillation = OCT_OSCILLATION_MEASURE,
                                  .run = dir,
                                  .force = true}));
    return q;
}

/* Whatever number stands in whatever tensor: what is saved loads, and what would not load is not
 * saved. */
START_TEST(what_is_saved_loads) {
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *q = learned(ctx, in_root("r"), OCT_OPTIM_SGD);
    const float values[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, 0};
    int refused = 0, saved = 0;
    for (int32_t i = 0; i < q->tensor_count; i++) {
        oct_tensor *t = q->tensors[i].tensor;
        if (t->dtype != OCT_F32) continue;
        oct_tensor *copy = oct_tensor_copy(ctx, t);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            oct_f32(t)[oct_tensor_count(t) - 1] = values[k];
            oct_clear_error();
            oct_status s = oct_run_save(q, in_root("s"), NULL, true);
            /* a range that has seen nothing */
            const bool empty = q->tensors[i].role == OCT_ROLE_OBSERVER && isinf(values[k]);
            if (!isfinite(values[k]) && !empty) {
                ck_assert_msg(s == OCT_EDIVERGED, "%s %g: %d", q->tensors[i].name,
                              (double)values[k], (int)s);
                ck_assert_ptr_nonnull(strstr(oct_error_message(), q->tensors[i].name));
            }
            if (s == OCT_OK) {
                oct_net *again = oct_run_load(ctx, in_root("s"), NULL);
                ck_assert_msg(again != NULL, "%s %g was saved and does not load: %s",
                              q->tensors[i].name, (double)values[k], oct_error_message());
                oct_net_free(again);
                saved++;
            } else
                refused++;
            memcpy(t->data, copy->data, oct_tensor_bytes(t));
        }
        oct_tensor_unref(copy);
        ck_ok(oct_run_save(q, in_root("s"), NULL, true)); /* as it was */
    }
    ck_assert(refused > 30 && saved > 30);
    oct_close(ctx);
    remove_root();
}
END_TEST

/* Each float of a run's state, spoiled in the file: the run neither loads nor goes on. */
START_TEST(what_is_spoiled_is_not_loaded) {
    static const oct_optim_kind optimizers[] = {OCT_OPTIM_SGD, OCT_OPTIM_ADAM, OCT_OPTIM_RMSPROP};
    fresh_root();
    for (int o = 0; o < 3; o++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        learned(ctx, in_root("r"), optimizers[o]);
        octi_safetensors *f = octi_safetensors_read(ctx, in_root("r/state.safetensors"));
        ck_not_null(f);
        const int32_t n = octi_safetensors_count(f);
        octi_safetensors_entry *e = calloc((size_t)n, sizeof *e);
        int moments = 0;
        for (int32_t i = 0; i < n; i++) e[i] = *octi_safetensors_at(f, i);
        const octi_safetensors_meta meta = {"generation",
                                            octi_safetensors_metadata(f, "generation")};
        unlink(in_root("r/model.safetensors"));
        for (int32_t i = 0; i < n; i++) {
            if (e[i].dtype != OCT_F32) continue;
            const octi_safetensors_entry was = e[i];
            float *bad = malloc(e[i].bytes);
            memcpy(bad, e[i].data, e[i].bytes);
            bad[e[i].bytes / 4 - 1] = NAN;
            e[i].data = bad;
            ck_ok(octi_safetensors_write(ctx, in_root("r/state.safetensors"), e, n, &meta, 1));
            const bool optim = !strncmp(e[i].name, "optim.", 6);
            moments += optim;
            if (!optim) {
                ck_assert_msg(!oct_run_load(ctx, in_root("r"), NULL), "%s", e[i].name);
                ck_assert_msg(strstr(oct_error_message(), "not finite") ||
                                  oct_last_error()->code == OCT_EFORMAT ||
                                  oct_last_error()->code == OCT_EQPARAMS,
                              "%s", oct_error_message());
            }
            free(bad);
            e[i] = was;
            if (i % 5 && !optim) continue;
            oct_net *q = oct_prepare(
                oct_capture(small(ctx), OCT_SHAPE(28, 28, 1)),
                &(oct_qconfig){
                    .wbits = 4, .abits = 4, .all_layers = true, .method = OCT_METHOD_LSQ_PLUS});
            ck_not_null(q);
            oct_status s = oct_fit(q, digits(ctx),
                                   &(oct_fit_opts){.epochs = 1,
                                                   .optimizer = optimizers[o],
                                                   .momentum = o == 2 ? 0.5f : 0,
                                                   .oscillation = OCT_OSCILLATION_MEASURE,
                                                   .run = in_root("r"),
                                                   .resume = true});
            ck_assert_msg(s == OCT_EFORMAT, "%s: %d %s", e[i].name, (int)s, oct_error_message());
        }
        ck_assert_int_ge(moments, 4);
        free(e);
        octi_safetensors_free(f);
        oct_close(ctx);
    }
    remove_root();
}
END_TEST

static int spoil_at;
static oct_net *spoiled;
static const char *spoiled_name;
static int spoil(void *user, const oct_fit_report *r) {
    (void)user;
    if (r->step == spoil_at) oct_f32(oct_net_tensor(spoiled, spoiled_name))[0] = NAN;
    return 0;
}

/* infinite where the third batch comes */
static oct_var *logarithm(void *user, oct_var *y, const oct_batch *b) {
    oct_var *l = oct_cross_entropy(y, b->labels, NULL);
    if (++*(int *)user == 3)
        l = oct_mul(
            l,
            oct_mul(l, oct_input(oct_var_tape(y),
                                 &(oct_tensor){OCT_F32, {.rank = 0}, &(float){INFINITY}, NULL})));
    return l;
}

START_TEST(the_cause_is_named) {
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = digits(ctx);
    static const char *const names[] = {"0.weight", "4.bias", "1.weight"};
    for (int k = 0; k < 3; k++) {
        spoiled = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
        spoiled_name = names[k];
        spoil_at = 3;
        ck_fails(OCT_EDIVERGED, names[k],
                 oct_fit(spoiled, d,
                         &(oct_fit_opts){.epochs = 2,
                                         .batch = 16,
                                         .progress = spoil,
                                         .lr = 0.25f,
                                         .schedule = OCT_SCHEDULE_CONSTANT}));
        ck_assert_ptr_nonnull(strstr(oct_error_message(), "at step 4"));
        /* the usual rate where the given one is above it */
        ck_assert_ptr_nonnull(strstr(oct_error_message(), "(a learning rate of 0.05, or clip"));
        ck_assert_ptr_null(strstr(oct_error_message(), "saved")); /* it has no run */
    }
    spoiled = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
    ck_fails(OCT_EDIVERGED, "(a learning rate of 0.002, or clip",
             oct_fit(spoiled, d,
                     &(oct_fit_opts){.epochs = 2, .batch = 16, .progress = spoil, .lr = 0.02f}));
    /* values that grow too large are the layer's that they come from first */
    oct_net *net = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
    oct_f32(oct_net_tensor(net, "4.weight"))[0] = FLT_MAX;
    oct_f32(oct_net_tensor(net, "4.weight"))[1] = FLT_MAX;
    oct_f32(oct_net_tensor(net, "1.bias"))[0] = 1e9f;
    ck_fails(OCT_EDIVERGED, "4: output is not finite",
             oct_fit(net, d, &(oct_fit_opts){.epochs = 1}));
    /* a loss of one's own */
    int calls = 0;
    net = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
    ck_fails(
        OCT_EDIVERGED, "mend the loss",
        oct_fit(net, d,
                &(oct_fit_opts){.epochs = 1, .batch = 16, .loss = logarithm, .loss_user = &calls}));
    /* what diverges leaves the last saved state, and a file of weights is no way out */
    oct_f32(oct_net_tensor(net, "1.running_var"))[0] = INFINITY;
    ck_fails(OCT_EDIVERGED, "1.running_var", oct_net_save_weights(net, in_root("w.safetensors")));
    ck_assert(access(in_root("w.safetensors"), F_OK) != 0);
    oct_close(ctx);
    remove_root();
}
END_TEST

/* A start alone is no run: nothing is in the way of the next try. What was saved stays, and so does
 * a start that took another run's place. */
START_TEST(a_start_that_diverged_leaves_nothing) {
    fresh_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = digits(ctx);
    oct_fit_opts o = {.epochs = 2, .batch = 16, .progress = spoil, .run = in_root("r")};
    spoiled_name = "0.weight";
    for (int k = 0; k < 4; k++) { /* new; a folder that is there; a saved moment; over a run */
        spoiled = oct_capture(small(ctx), OCT_SHAPE(28, 28, 1));
        spoil_at = 6;
        if (k == 1) ck_assert(!mkdir(in_root("r"), 0777));
        o.save_steps = k == 2 ? 4 : 0;
        o.force = k == 3;
        ck_fails(OCT_EDIVERGED, k == 2 ? "the last saved state stays" : "clip_norm)",
                 oct_fit(spoiled, d, &o));
        ck_assert_int_eq(access(in_root("r"), F_OK) == 0, k > 0);
        ck_assert_int_eq(access(in_root("r/config.json"), F_OK) == 0, k > 1);
        ck_assert_int_eq(oct_run_is(in_root("r")), k > 1);
    }
    oct_net *net = oct_run_load(ctx, in_root("r"), NULL);
    ck_not_null(net);
    /* a run that goes on and diverges at once stays too */
    spoil_at = 5;
    spoiled = net;
    o = (oct_fit_opts){
        .epochs = 2, .batch = 16, .progress = spoil, .run = in_root("r"), .resume = true};
    ck_fails(OCT_EDIVERGED, "the last saved state stays", oct_fit(net, d, &o));
    ck_assert(oct_run_is(in_root("r")));
    oct_close(ctx);
    remove_root();
}
END_TEST

/* Values that swing over all that floats hold overflow a mean of ranges, while each is finite: that
 * is no range that nobody observed. */
START_TEST(a_range_that_overflows_diverged) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *parts[] = {oct_flatten_new(ctx),
                           oct_linear_new(ctx, &(oct_linear_opts){.in = 16, .out = 3})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 2), OCT_SHAPE(4, 4, 1));
    ck_not_null(net);
    int32_t count;
    const oct_named_tensor *p = oct_net_parameters(net, &count);
    for (int32_t i = 0; i < count; i++) memset(p[i].tensor->data, 0, oct_tensor_bytes(p[i].tensor));
    oct_net *q = oct_prepare(net, NULL);
    oct_tape *tape = oct_tape_new(ctx);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 4, 4, 1));
    ck_not_null(x);
    for (int step = 0; step < 2; step++) {
        for (int i = 0; i < 32; i++) oct_f32(x)[i] = step ? -3e38f : 3e38f;
        oct_tape_begin(tape, OCT_TRAIN);
        const bool went = oct_net_forward(q, oct_input(tape, x)) != NULL;
        ck_assert_int_eq(went, !step);
    }
    ck_assert_int_eq(oct_last_error()->code, OCT_EDIVERGED);
    ck_assert_msg(strstr(oct_error_message(), "input.quantize: range is not finite: values grew"),
                  "%s", oct_error_message());
    oct_tape_free(tape);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("diverged", what_is_saved_loads, what_is_spoiled_is_not_loaded, the_cause_is_named,
              a_start_that_diverged_leaves_nothing, a_range_that_overflows_diverged)
