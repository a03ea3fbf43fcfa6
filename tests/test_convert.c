/* SPDX-License-Identifier: MIT
 * What convert promises beside the codes: it compares by itself and says on what, it refuses what
 * it cannot keep, and like every evaluation it moves nothing of the net. */
#include "tests/exact_fix.h"

#include <math.h>

#include "ops/qops.h"
#include "qat/convert_check.h"
#include "qat/net/prepared.h"
#include "src/rng.h"

static const oct_shape IMAGE = {3, {7, 6, 3}};

typedef struct parts {
    oct_module *conv, *bn, *conv2, *fc;
} parts;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    parts *p = self;
    (void)t;
    x = oct_relu(oct_apply(p->bn, oct_apply(p->conv, x)));
    return oct_apply(p->fc, oct_flatten(oct_max_pool2d(oct_apply(p->conv2, x), NULL)));
}

static oct_net *small_net(oct_ctx *ctx) {
    static parts p;
    oct_module *m = oct_module_new(ctx, forward, &p);
    p.conv = oct_module_add(
        m, "conv",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 8, .kernel = 3, .pad = 1}));
    p.bn = oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 8}));
    p.conv2 = oct_module_add(
        m, "conv2",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 8, .out = 8, .kernel = 3, .pad = 1}));
    p.fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 3 * 3 * 8, .out = 4}));
    return oct_capture(m, IMAGE);
}

static oct_net *prepared(oct_ctx *ctx, const oct_qconfig *c, oct_tape *t) {
    oct_net *q = oct_prepare(small_net(ctx), c);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    if (t) ck_ok(calibrate(q, t, IMAGE, 1));
    return q;
}

/* ---- nothing moves ---- */

typedef struct photo {
    uint8_t *bytes;
    size_t size;
} photo;

static photo take(const oct_net *net) { /* every named tensor, none left out */
    photo p = {NULL, 0};
    for (int32_t i = 0; i < net->tensor_count; i++)
        p.size += oct_tensor_bytes(net->tensors[i].tensor);
    uint8_t *to = p.bytes = malloc(p.size);
    for (int32_t i = 0; i < net->tensor_count; i++) {
        memcpy(to, net->tensors[i].tensor->data, oct_tensor_bytes(net->tensors[i].tensor));
        to += oct_tensor_bytes(net->tensors[i].tensor);
    }
    return p;
}

static void same(const oct_net *net, photo before, const char *what) {
    const uint8_t *from = before.bytes;
    for (int32_t i = 0; i < net->tensor_count; i++) {
        const oct_named_tensor *t = &net->tensors[i];
        ck_assert_msg(!memcmp(from, t->tensor->data, oct_tensor_bytes(t->tensor)), "%s moved %s",
                      what, t->name);
        from += oct_tensor_bytes(t->tensor);
    }
}

static void stays(oct_net *q, oct_data *data, const char *what) {
    oct_ctx *ctx = q->ctx;
    const photo before = take(q);
    oct_tape *t = oct_tape_new(ctx);
    for (int n = 0; n < 2; n++) {
        oct_tape_begin(t, OCT_EVAL);
        ck_not_null(oct_net_forward(q, oct_input(t, random_images(ctx, 5, IMAGE, 9))));
    }
    same(q, before, what);
    oct_eval e;
    ck_ok(oct_evaluate(q, data, NULL, &e));
    same(q, before, octi_fmt("%s: oct_evaluate", what));
    oct_layer *rows;
    int32_t count;
    ck_ok(oct_layers(q, data, 16, &rows, &count));
    same(q, before, octi_fmt("%s: oct_layers", what));
    ck_ok(oct_layers_sweep(q, data, 16, rows, count, NULL));
    same(q, before, octi_fmt("%s: oct_layers_sweep", what));
    oct_net *i8 = oct_convert(q, NULL);
    ck_assert_msg(i8 != NULL, "%s: %s", what, oct_error_message());
    same(q, before, octi_fmt("%s: oct_convert", what));
    oct_mismatch m = {0};
    ck_ok(oct_compare_data(q, i8, data, 16, &m));
    ck_assert_int_eq(m.mismatched, 0);
    same(q, before, octi_fmt("%s: oct_compare", what));
    free(before.bytes);
}

START_TEST(evaluation_moves_nothing) {
    static const oct_method methods[] = {OCT_METHOD_DEFAULT, OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS,
                                         OCT_METHOD_PACT};
    static const char *const observers[] = {"ema", "histogram", "entropy", "mse"};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tensor *x = random_images(ctx, 40, IMAGE, 4),
               *labels = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(40));
    for (int i = 0; i < 40; i++) oct_s32(labels)[i] = i % 4;
    oct_data *data = oct_data_from_memory(ctx, OCT_F32, x->shape, x->data, oct_s32(labels), NULL);
    ck_assert_msg(data != NULL, "%s", oct_error_message());
    for (int i = 0; i < 8; i++) { /* each with two of the others */
        oct_tape *t = oct_tape_new(ctx);
        oct_net *q = prepared(ctx,
                              &(oct_qconfig){.method = methods[i % 4],
                                             .observer = observers[(i + i / 4) % 4],
                                             .wbits = 4},
                              t);
        stays(q, data,
              octi_fmt("%s, %s, calibrated by hand", oct_method_name(methods[i % 4]),
                       observers[(i + i / 4) % 4]));
        ck_ok(train(q, t, IMAGE, 3));
        stays(q, data,
              octi_fmt("%s, %s, trained", oct_method_name(methods[i % 4]),
                       observers[(i + i / 4) % 4]));
        oct_tape_free(t);
    }
    oct_close(ctx);
}
END_TEST

/* A look at a net before its weights are replaced once fixed where learned steps start. */
START_TEST(a_look_does_not_start_learned_steps) {
    float step[2];
    for (int look = 0; look < 2; look++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_tape *t = oct_tape_new(ctx);
        oct_net *q = prepared(ctx, &(oct_qconfig){.method = OCT_METHOD_LSQ}, t);
        if (look) {
            oct_tape_begin(t, OCT_EVAL);
            ck_not_null(oct_net_forward(q, oct_input(t, random_images(ctx, 4, IMAGE, 9))));
            ck_not_null(oct_convert(q, NULL));
        }
        oct_tensor *w = oct_net_tensor(q, "conv2.weight");
        for (int64_t i = 0; i < oct_tensor_count(w); i++) oct_f32(w)[i] *= 10;
        ck_ok(train(q, t, IMAGE, 1));
        step[look] = *oct_f32(oct_net_tensor(q, "conv2.weight_fake_quant.step"));
        oct_close(ctx);
    }
    ck_assert_float_gt(step[0], 0);
    ck_assert_msg(step[0] == step[1], "%g, after a look %g", (double)step[0], (double)step[1]);
}
END_TEST

/* ---- the comparison is convert's own ---- */

START_TEST(convert_says_on_what_it_compared) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tape *t = oct_tape_new(ctx);
    oct_net *q = prepared(ctx, NULL, t);
    oct_convert_report r;
    ck_not_null(oct_convert(q, &r));
    ck_assert_int_eq(r.probe, OCT_PROBE_KEPT); /* what calibration saw, though by hand */
    ck_assert_int_eq(r.probe_images, 8);
    ck_assert_int_eq(r.check.mismatched, 0);
    ck_assert_int_ge(r.check.codes, 8 * (7 * 6 * 3 + 2 * 7 * 6 * 8 + 3 * 3 * 8 + 4));
    for (uint32_t i = 0; i < 9; i++) ck_ok(calibrate(q, t, IMAGE, i));
    ck_assert_int_eq(q->probe->shape.dim[0], 64);
    const oct_tensor *first = random_images(ctx, 8, IMAGE, 1);
    ck_assert(!memcmp(first->data, q->probe->data, oct_tensor_bytes(first)));
    ck_ok(oct_net_set_probe(q, NULL)); /* as a net that was imported with its qparams */
    const int64_t was = r.check.codes;
    ck_not_null(oct_convert(q, &r));
    ck_assert_int_eq(r.probe, OCT_PROBE_MADE);
    ck_assert_int_gt(r.probe_images, 0);
    ck_assert_int_eq(r.check.codes / r.probe_images, was / 8);
    ck_not_null(oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, &r));
    ck_assert_int_eq(r.probe, OCT_PROBE_SKIPPED);
    ck_assert_int_eq(r.check.codes + r.probe_images, 0);
    ck_fails(OCT_ESHAPE, "probe",
             oct_net_set_probe(q, random_images(ctx, 2, OCT_SHAPE(7, 5, 3), 1)));
    ck_fails(OCT_EDTYPE, "probe",
             oct_net_set_probe(q, oct_tensor_new(ctx, OCT_U8, OCT_SHAPE(2, 7, 6, 3))));
    oct_close(ctx);
}
END_TEST

START_TEST(made_probes_fill_the_range) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *q = prepared(ctx, NULL, oct_tape_new(ctx));
    /* a range that was given, not observed */
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) {
        *oct_f32(q->graph->quantizers[i].scale) = 0.02f;
        if (!strcmp(q->graph->quantizers[i].name, "input.quantize"))
            *oct_s32(q->graph->quantizers[i].zero_point) = 40;
    }
    ck_ok(oct_net_set_probe(q, NULL));
    oct_net *i8 = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
    ck_assert_msg(i8 != NULL, "%s", oct_error_message());
    /* each code of the input occurs: an int8 net that loses any is found */
    for (int spoilt = 0; spoilt < 256; spoilt += 51) {
        oct_convert_report r = {.probe_images = 0};
        oct_tensor *b = oct_net_tensor(i8, "conv.bias");
        oct_s32(b)[2] += 1000 + spoilt;
        ck_fails(OCT_ECHECK, "conv: the int8 net is not the one that was trained: code of element",
                 octi_convert_check(q, i8, &r));
        ck_assert_str_eq(r.check.node, "conv");
        ck_assert_int_eq(r.check.element % 8, 2);
        ck_assert_int_gt(r.check.mismatched, 0);
        oct_s32(b)[2] -= 1000 + spoilt;
    }
    oct_convert_report r = {.probe_images = 0};
    ck_ok(octi_convert_check(q, i8, &r));
    oct_close(ctx);
}
END_TEST

/* ---- refusals ---- */

START_TEST(switched_off_layers_are_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *q = prepared(ctx, NULL, oct_tape_new(ctx));
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) {
        oct_quantizer *z = &q->graph->quantizers[i];
        oct_u8(z->enabled)[1] = 0;
        ck_assert(oct_convert(q, NULL) == NULL);
        ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
        ck_assert_msg(strstr(oct_error_message(), z->name) &&
                          strstr(oct_error_message(), "switched off"),
                      "%s", oct_error_message());
        oct_u8(z->enabled)[1] = 1;
    }
    ck_not_null(oct_convert(q, NULL));
    oct_close(ctx);
}
END_TEST

static oct_status take_in(const oct_observing *o, const float *x, int64_t n) {
    return (void)o, (void)x, (void)n, OCT_OK;
}
static oct_status refuse_range(const oct_observing *o, float *min, float *max) {
    return (void)min, (void)max,
           octi_fail(OCT_ELIMIT, o->value, "my own refusal", NULL, NULL, NULL);
}

START_TEST(a_range_that_cannot_be_settled_is_an_error) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_ok(oct_observer_register(
        ctx, &(oct_observer){.name = "mine", .observe = take_in, .range = refuse_range}));
    oct_tape *t = oct_tape_new(ctx);
    oct_net *q = prepared(ctx, &(oct_qconfig){.observer = "mine"}, t);
    ck_assert(oct_convert(q, NULL) == NULL);
    ck_assert_msg(strstr(oct_error_message(), "my own refusal") != NULL, "%s", oct_error_message());
    oct_tape_begin(t, OCT_EVAL);
    ck_assert(oct_net_forward(q, oct_input(t, random_images(ctx, 4, IMAGE, 9))) == NULL);
    ck_assert_int_eq(oct_tape_status(t), OCT_ELIMIT);
    q = prepared(ctx, &(oct_qconfig){.observer = "histogram"}, t);
    for (int32_t i = 0; i < q->graph->quantizer_count; i++)
        if (q->graph->quantizers[i].state_count)
            memset(q->graph->quantizers[i].state[0]->data, 0xff,
                   oct_tensor_bytes(q->graph->quantizers[i].state[0]));
    ck_assert(oct_convert(q, NULL) == NULL); /* a damaged histogram */
    ck_assert_int_ne(oct_last_error()->code, OCT_OK);
    oct_close(ctx);
}
END_TEST

/* ---- limits ---- */

static oct_var *join_many(void *self, oct_tape *t, oct_var *x) {
    oct_var *members[64];
    const int n = *(int *)self;
    (void)t;
    for (int i = 0; i < n; i++) members[i] = i % 3 ? oct_leaky_relu(x, 0.1f * (float)(i % 7)) : x;
    return oct_flatten(oct_cat(members, n, 3));
}

START_TEST(cats_of_64_members_convert) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    for (int n = 63; n <= 64; n++) {
        const oct_shape image = OCT_SHAPE(3, 2, 2);
        oct_net *q = oct_prepare(oct_capture(oct_module_new(ctx, join_many, &n), image), NULL);
        ck_assert_msg(q != NULL, "%s", oct_error_message());
        ck_ok(calibrate(q, oct_tape_new(ctx), image, 1));
        (void)exact(q, image, 4, 2, "cat");
    }
    oct_close(ctx);
}
END_TEST

static oct_var *apply_self(void *self, oct_tape *t, oct_var *x) {
    return (void)t, oct_relu(oct_apply(*(oct_module **)self, x));
}

/* A module path of `bytes`: it works whole, or is refused where it is made. */
static void long_path(int bytes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *inner = oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 4, .kernel = 3}),
               *levels[8], *m = inner;
    char name[128];
    int left = bytes, depth = 0;
    while (m && left > 0) {
        const int n = left > 101 ? 100 : left;
        snprintf(name, sizeof name, "%0*d", n, depth);
        left -= n + (left > 101);
        if (left == 1) name[0] = 'x', left = 0;
        levels[depth] = m;
        oct_module *up = oct_module_new(ctx, apply_self, &levels[depth++]);
        m = oct_module_add(up, name, m) ? up : NULL;
    }
    if (bytes > 400) {
        ck_assert(m == NULL);
        ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
        ck_assert_msg(strstr(oct_error_message(), "path is too long") != NULL, "%s",
                      oct_error_message());
    } else {
        oct_net *q = oct_prepare(oct_capture(m, IMAGE), NULL);
        ck_assert_msg(q != NULL, "%d: %s", bytes, oct_error_message());
        ck_ok(calibrate(q, oct_tape_new(ctx), IMAGE, 1));
        oct_net *i8 = exact(q, IMAGE, 4, 2, "long path");
        size_t longest = 0;
        for (int32_t i = 0; i < i8->graph->node_count; i++)
            if (i8->graph->nodes[i].kind == OCT_OP_qconv2d)
                longest = strlen(i8->graph->nodes[i].name);
        ck_assert_uint_ge(longest + 1, (size_t)bytes);
    }
    oct_close(ctx);
}

START_TEST(long_paths_end) {
    static const int bytes[] = {100, 200, 255, 256, 257, 300, 399, 400, 402, 450, 511, 512, 600};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) long_path(bytes[i]);
}
END_TEST

START_TEST(dilated_pools_are_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    const oct_value x = {.dtype = OCT_U8, .shape = OCT_SHAPE(2, 9, 9, 4)}, *in[] = {&x, &x};
    for (int k = 0; k < 2; k++) {
        oct_dtype dtype;
        oct_shape shape;
        ck_fails(OCT_EUNSUPPORTED, "dilated pooling",
                 oct_infer_shape(
                     OCT_OP_max_pool2d,
                     &(oct_attrs){.kernel = {2, 2}, .stride = {1, 1}, .dilation = {1 + k, 2 - k}},
                     in, 1, "p", &dtype, &shape));
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("convert", evaluation_moves_nothing, a_look_does_not_start_learned_steps,
              convert_says_on_what_it_compared, made_probes_fill_the_range,
              switched_off_layers_are_refused, a_range_that_cannot_be_settled_is_an_error,
              cats_of_64_members_convert, long_paths_end, dilated_pools_are_refused)
