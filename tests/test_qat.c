/* SPDX-License-Identifier: MIT
 * Passes: placement, sharing, bits, refusals, observers, switches. That every code equals the int8
 * plan's is in test_exact.c. */
#include "tests/oct_test.h"

#include <math.h>

#include "qat/net/prepared.h"
#include "src/qround.h"
#include "tests/random_net.h"

static const oct_quantizer *quantizer(const oct_net *net, const char *value) {
    int32_t v = oct_graph_find_value(net->graph, value);
    ck_assert_msg(v >= 0, "no value %s", value);
    ck_assert_msg(net->graph->values[v].quantizer >= 0, "%s is float", value);
    return &net->graph->quantizers[net->graph->values[v].quantizer];
}

typedef struct branchy {
    oct_module *a, *b, *c, *fc;
} branchy;

static oct_var *branchy_forward(void *self, oct_tape *t, oct_var *x) {
    branchy *n = self;
    (void)t;
    oct_var *p = oct_relu(oct_apply(n->a, x)), *q = oct_apply(n->b, x);
    oct_var *y = oct_max_pool2d(oct_cat((oct_var *[]){p, q}, 2, 3), NULL);
    y = oct_add(oct_apply(n->c, y), y);
    return oct_log_softmax(oct_apply(n->fc, oct_flatten(y)));
}

static oct_net *branchy_net(oct_ctx *ctx, branchy *n) {
    oct_module *m = oct_module_new(ctx, branchy_forward, n);
    n->a = oct_module_add(
        m, "a", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 3, .kernel = 3, .pad = 1}));
    n->b = oct_module_add(m, "b",
                          oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 3, .kernel = 1}));
    n->c = oct_module_add(
        m, "c", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 6, .out = 6, .kernel = 3, .pad = 1}));
    n->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 6 * 3 * 3, .out = 5}));
    return oct_capture(m, OCT_SHAPE(6, 6, 2));
}

START_TEST(placement_sharing_and_bits) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    branchy n;
    oct_net *net = branchy_net(ctx, &n),
            *q = oct_prepare(net, &(oct_qconfig){.wbits = 4, .abits = 3, .observer = "minmax"});
    ck_not_null(q);
    /* cat, its members and the pool behind it: one set of qparams */
    ck_assert_ptr_eq(quantizer(q, "a"), quantizer(q, "cat"));
    ck_assert_ptr_eq(quantizer(q, "b"), quantizer(q, "cat"));
    ck_assert_ptr_eq(quantizer(q, "max_pool2d"), quantizer(q, "cat"));
    ck_assert_ptr_ne(quantizer(q, "add"), quantizer(q, "c"));
    ck_assert_ptr_eq(quantizer(q, "add"), quantizer(q, "flatten"));
    /* bits: borders and the last layer's input keep 8, the middle has 3 */
    ck_assert_int_eq(quantizer(q, "input.quantize")->spec.bits, 8);
    ck_assert_int_eq(quantizer(q, "fc")->spec.bits, 8);
    ck_assert_int_eq(quantizer(q, "flatten")->spec.bits, 8);
    ck_assert_int_eq(quantizer(q, "a")->spec.bits, 3);
    ck_assert_int_eq(quantizer(q, "c")->spec.qmax, 7);
    ck_assert_int_eq(quantizer(q, "a.weight")->spec.bits, 8);
    ck_assert_int_eq(quantizer(q, "c.weight")->spec.bits, 4);
    ck_assert_int_eq(quantizer(q, "fc.weight")->spec.bits, 8);
    oct_placement *rows;
    int32_t count;
    ck_ok(oct_net_placements(q, &rows, &count));
    for (int32_t i = 0; i < count; i++) {
        bool is_softmax = !strcmp(rows[i].kind, "log_softmax");
        ck_assert_msg(rows[i].int8 == !is_softmax, "%s", rows[i].name);
        ck_assert(!is_softmax || strstr(rows[i].reason, "no int8 form"));
    }
    oct_placements_free(q, rows);
    oct_net *all = oct_prepare(
        net,
        &(oct_qconfig){.wbits = 2, .abits = 2, .all_layers = true, .target = OCT_TARGET_QNNPACK});
    ck_assert_int_eq(quantizer(all, "input.quantize")->spec.qmax, 3);
    ck_assert_int_eq(quantizer(all, "fc.weight")->spec.qmin, -1);
    ck_assert(!quantizer(all, "fc.weight")->spec.per_channel);
    oct_net *u7 = oct_prepare(net, &(oct_qconfig){.target = OCT_TARGET_FBGEMM});
    ck_assert_int_eq(quantizer(u7, "a")->spec.qmax, 127);
    ck_assert_int_eq(net->stage, OCT_STAGE_FLOAT); /* passes leave the old net alone */
    ck_assert(oct_net_tensor(net, "a.weight") != oct_net_tensor(q, "a.weight"));
    oct_close(ctx);
}
END_TEST

START_TEST(refusals_name_the_cure) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    branchy n;
    oct_net *net = branchy_net(ctx, &n);
    ck_assert(oct_prepare(net, &(oct_qconfig){.target = (oct_target)99}) == NULL);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "fbgemm"));
    ck_assert(oct_prepare(net, &(oct_qconfig){.wbits = 1}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    ck_assert(oct_prepare(net, &(oct_qconfig){.observer = "psychic"}) == NULL);
    oct_net *q = oct_prepare(net, NULL);
    ck_assert(oct_convert(q, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EQPARAMS);
    ck_assert_str_eq(oct_last_error()->where, "input.quantize");
    oct_sim *s = oct_sim_new(q);
    ck_assert(oct_sim_run(s, random_images(ctx, 2, OCT_SHAPE(6, 6, 2), 1)) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EQPARAMS);
    ck_assert(oct_prepare(q, NULL) == NULL);
    ck_assert(oct_convert(net, NULL) == NULL);
    ck_assert(oct_fuse(q) == NULL);
    oct_close(ctx);
}
END_TEST

static oct_var *wide_forward(void *self, oct_tape *t, oct_var *x) {
    return (void)t, oct_apply(self, x);
}

START_TEST(accumulators_are_proven) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    enum { K = 70000 };
    for (int fits = 0; fits < 2; fits++) {
        oct_module *fc =
                       oct_linear_new(ctx, &(oct_linear_opts){.in = K, .out = 2, .no_bias = true}),
                   *m = oct_module_new(ctx, wide_forward, fc);
        oct_module_add(m, "fc", fc);
        oct_tensor *w = oct_module_tensor(m, "fc.weight");
        for (int64_t i = 0; i < oct_tensor_count(w); i++)
            oct_f32(w)[i] = i % K < (fits ? 66000 : K) ? 0.01f : 0.0f;
        oct_net *q =
            oct_prepare(oct_capture(m, OCT_SHAPE(K)), &(oct_qconfig){.observer = "minmax"});
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, K));
        for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = (float)(i % 7);
        oct_tape *t = oct_tape_new(ctx);
        oct_tape_begin(t, OCT_CALIBRATE);
        ck_not_null(oct_net_forward(q, oct_input(t, x)));
        oct_net *i8 = oct_convert(q, NULL);
        if (fits)
            ck_not_null(i8);
        else {
            ck_assert(i8 == NULL);
            ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
            ck_assert_msg(strstr(oct_error_message(), "fc: accumulator of channel 0"), "%s",
                          oct_error_message());
        }
    }
    oct_close(ctx);
}
END_TEST

START_TEST(observers_move_by_their_rule_and_only_when_told) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    for (int ema = 0; ema < 2; ema++) {
        branchy n;
        oct_net *q = oct_prepare(branchy_net(ctx, &n),
                                 &(oct_qconfig){.observer = ema ? "ema" : "minmax", .ema = 0.25f});
        oct_tape *t = oct_tape_new(ctx);
        float lo = INFINITY, hi = -INFINITY;
        const oct_quantizer *in = quantizer(q, "input.quantize");
        for (uint32_t step = 0; step < 4; step++) {
            oct_tensor *x = random_images(ctx, 3, OCT_SHAPE(6, 6, 2), step);
            float min = INFINITY, max = -INFINITY;
            for (int64_t i = 0; i < oct_tensor_count(x); i++)
                min = fminf(min, oct_f32(x)[i]), max = fmaxf(max, oct_f32(x)[i]);
            if (step == 3) { /* switched off, and in evaluation: nothing moves */
                oct_net_observe(q, false);
                oct_tape_begin(t, OCT_TRAIN);
                ck_not_null(oct_net_forward(q, oct_input(t, x)));
                oct_net_observe(q, true);
                oct_tape_begin(t, OCT_EVAL);
                ck_not_null(oct_net_forward(q, oct_input(t, x)));
            } else {
                float s = octi_scale(in);
                oct_tape_begin(t, step ? OCT_TRAIN : OCT_CALIBRATE);
                ck_not_null(oct_net_forward(q, oct_input(t, x)));
                if (step == 0)
                    lo = min, hi = max;
                else {
                    /* qparams of a training step come from what earlier steps saw */
                    float want;
                    int32_t z;
                    ck_ok(oct_qparams_from_range(&in->spec, lo, hi, "t", &want, &z));
                    ck_assert(octi_scale(in) == want);
                    ck_assert(step > 1 || s == want);
                    if (ema)
                        lo += 0.25f * (min - lo), hi += 0.25f * (max - hi);
                    else
                        lo = fminf(lo, min), hi = fmaxf(hi, max);
                }
            }
            ck_assert_msg(*oct_f32(in->min_val) == lo && *oct_f32(in->max_val) == hi,
                          "step %u: [%g, %g], expected [%g, %g]", step, *oct_f32(in->min_val),
                          *oct_f32(in->max_val), lo, hi);
        }
        /* members of a cat: the range of all of them */
        const oct_quantizer *c = quantizer(q, "cat");
        ck_assert(*oct_f32(c->min_val) < 0 && *oct_f32(c->max_val) > 0);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(training_values_lie_on_the_grid) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    branchy n;
    oct_net *q = oct_prepare(branchy_net(ctx, &n), &(oct_qconfig){.abits = 4});
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *x = random_images(ctx, 3, OCT_SHAPE(6, 6, 2), 1);
    for (int step = 0; step < 3; step++) {
        oct_tape_begin(t, OCT_TRAIN);
        ck_not_null(oct_net_forward(q, oct_input(t, x)));
    }
    oct_sim *s = oct_sim_new(q);
    oct_net_observe(q, false);
    oct_tape_begin(t, OCT_TRAIN);
    const oct_tensor *y = oct_var_value(oct_net_forward(q, oct_input(t, x)));
    /* no batch norm: training and evaluation are the same numbers */
    const oct_tensor *z = oct_sim_run(s, x);
    ck_not_null(z);
    ck_assert(!memcmp(y->data, z->data, oct_tensor_bytes(y)));
    const oct_tensor *codes = oct_sim_value(s, "c");
    ck_assert_int_eq(codes->dtype, OCT_U8);
    int seen[256] = {0}, distinct = 0;
    for (int64_t i = 0; i < oct_tensor_count(codes); i++) distinct += !seen[oct_u8(codes)[i]]++;
    ck_assert_int_le(distinct, 16);
    ck_assert_int_gt(distinct, 4);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("qat", placement_sharing_and_bits, refusals_name_the_cure, accumulators_are_proven,
              observers_move_by_their_rule_and_only_when_told, training_values_lie_on_the_grid)
