/* SPDX-License-Identifier: MIT
 * octet doctor on how a net was trained: weights that moved, or stand between codes, by hand. */
#include <math.h>

#include "octet.h"
#include "qat/doctor/doctor_case.h"
#include "tests/oct_test.h"

static oct_ctx *ctx;

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

/* A linear layer, 4 -> 1, of these weights. */
static oct_net *linear_of(const float w[4]) {
    oct_module *const layer[] = {
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 1, .no_bias = true})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, layer, 1), OCT_SHAPE(4));
    ck_not_null(net);
    memcpy(oct_net_tensor(net, "0.weight")->data, w, 4 * sizeof *w);
    return net;
}

/* A case of a run that octet qat made of `parent`, at this rate. */
static octi_case trained_on(oct_net *parent, const float w[4], int bits, char *rate) {
    oct_net *q = oct_prepare(parent, &(oct_qconfig){.wbits = bits, .all_layers = true});
    ck_not_null(q);
    memcpy(oct_net_tensor(q, "0.weight")->data, w, 4 * sizeof *w);
    octi_case k = {.ctx = ctx, .net = q, .parent = parent, .lost = 0.25, .quantized = true};
    k.net->made_from = 0;
    k.by.key[0] = "name", k.by.value[0] = "qat";
    k.by.key[1] = "lr", k.by.value[1] = rate;
    k.by.count = rate ? 2 : 1;
    return k;
}

/* Half of their size: a rate far above the usual one is brought to it, others to a tenth. */
START_TEST(weights_that_moved_far) {
    static const float was[] = {1, 1, 1, 1}, is[] = {1.5f, 1.5f, 0.5f, 1.5f};
    oct_net *parent = linear_of(was);
    for (int i = 0; i < 2; i++) {
        octi_case k = trained_on(parent, is, 8, i ? "1000" : "0.004");
        oct_cause c = {.layer = "", .bound = 0.4};
        char with[40], want[40];
        double usual;
        (void)octi_made_at_rate(&k.by, true, &usual);
        ck_assert(usual > 0.002 && usual < 500);
        snprintf(want, sizeof want, "%g", i ? usual : 0.0004);
        ck_ok(octi_cause_rate_high(&k, &c, with, sizeof with));
        ck_assert_double_eq_tol(c.value, 0.5, 1e-6);
        ck_assert_double_eq_tol(c.gain, 0.25, 1e-9);
        ck_assert_str_eq(with, want);
    }
    octi_case k = trained_on(parent, is, 8, "1");
    oct_cause c = {.layer = "", .bound = 0.6};
    char with[40];
    ck_ok(octi_cause_rate_high(&k, &c, with, sizeof with));
    ck_assert(c.value == 0 && c.gain == 0);
}
END_TEST

/* Steps of 1: 1.5 lies on a border and 2.55 beside one, 2.3 does not, nor do 3 and 7. A fifth would
 * by chance; from 35 % on it is told. */
START_TEST(weights_between_two_codes) {
    static const float few[] = {7, 1.5f, 2.3f, 3}, many[] = {7, 1.5f, 2.55f, 3};
    oct_net *parent = linear_of(few);
    for (int i = 0; i < 2; i++) {
        octi_case k = trained_on(parent, i ? many : few, 4, NULL);
        oct_cause c = {.layer = "", .bound = 0.1};
        char with[40] = "";
        ck_ok(octi_cause_oscillating(&k, &c, with, sizeof with));
        ck_assert_double_eq_tol(c.value, i ? 0.5 : 0, 1e-9);
        ck_assert_str_eq(c.layer, i ? "0" : "");
        if (i) ck_assert_msg(strstr(c.evidence, "and 50 % lie") != NULL, "%s", c.evidence);
    }
}
END_TEST

START_TEST(four_times_as_many_epochs) {
    static char *const epochs[] = {NULL, "1", "5"};
    static const char *const want[] = {"12", "4", "20"};
    for (int i = 0; i < 3; i++) {
        octi_case k = {.ctx = ctx, .lost = 0};
        oct_cause c = {.layer = "", .bound = 0.1};
        char with[40];
        k.by.key[0] = "name", k.by.value[0] = "qat";
        k.by.key[1] = "epochs", k.by.value[1] = epochs[i];
        k.by.count = epochs[i] ? 2 : 1;
        ck_ok(octi_cause_short_training(&k, &c, with, sizeof with));
        ck_assert_str_eq(with, want[i]);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("doctor_training_by_hand", setup, teardown, weights_that_moved_far,
                   weights_between_two_codes, four_times_as_many_epochs)
