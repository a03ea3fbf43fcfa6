/* SPDX-License-Identifier: MIT
 * Codes stay exact under rules drawn at random: every key, scope and value that the tables have. */
#include "tests/qconfig_fix.h"

/* Random rules on random graphs: floats in the middle, mixed bits, grids and granularities. */
/* From WIDE on: more keys, any target, method and observer for all. */
enum { WIDE = 10000 };
static void check_random_rules(int i) {
    static const char *const keys[] = {"float",
                                       "wbits=2",
                                       "wbits=4",
                                       "abits=3",
                                       "abits=5",
                                       "granularity=tensor",
                                       "granularity=channel",
                                       "symmetric",
                                       "reduce_range",
                                       "observer=ema",
                                       "observer=mse",
                                       "method=lsq",
                                       "weight_observer=mse",
                                       "weight_qmin=full",
                                       "method=lsq+",
                                       "method=pact",
                                       "method=ema",
                                       "ste=strict",
                                       "observer=entropy",
                                       "observer=percentile",
                                       "observer=histogram",
                                       "observer=mae",
                                       "wbits=3",
                                       "abits=2",
                                       "float=no",
                                       "observer=recording",
                                       "ema=0.5"};
    static const oct_target targets[] = {OCT_TARGET_OCTET, OCT_TARGET_FBGEMM, OCT_TARGET_QNNPACK,
                                         OCT_TARGET_POW2,  OCT_TARGET_LITERT, OCT_TARGET_CMSIS_NN};
    static const oct_method methods[] = {OCT_METHOD_DEFAULT, OCT_METHOD_LSQ, OCT_METHOD_LSQ_PLUS,
                                         OCT_METHOD_PACT};
    static const char *const observers[] = {"minmax", "ema", "histogram", "percentile"};
    const int known = i < WIDE ? 14 : (int)(sizeof keys / sizeof *keys);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1 + i % 2});
    octi_rng r = octi_rng_stream((uint64_t)i, OCTI_RNG_TEST, 22, 0);
    oct_shape image;
    oct_net *net = random_net(ctx, (uint64_t)(5000 + i), &image), *fused = oct_fuse(net);
    ck_not_null(fused);
    oct_qconfig c = {.observer = "minmax"};
    if (i >= WIDE) {
        c.target = targets[octi_rng_below(&r, 6)];
        c.method = methods[octi_rng_below(&r, 4)];
        c.observer = observers[octi_rng_below(&r, 4)];
        c.wbits = 2 + (int)octi_rng_below(&r, 7);
        c.abits = 2 + (int)octi_rng_below(&r, 7);
        c.all_layers = octi_rng_below(&r, 2);
    }
    char what[400] = "";
    for (int32_t k = 0; k < fused->graph->node_count && strlen(what) < 300; k++)
        if (!octi_rng_below(&r, 3))
            snprintf(what + strlen(what), sizeof what - strlen(what), "%s%s:%s", *what ? "," : "",
                     fused->graph->nodes[k].name, keys[octi_rng_below(&r, (uint32_t)known)]);
    if (*what)
        ck_assert_msg(oct_qconfig_parse(ctx, what, &c) == OCT_OK, "net %d, %s: %s", i, what,
                      oct_error_message());
    oct_net *q = oct_prepare(fused, &c);
    if (!q && oct_last_error()->code == OCT_EUNSUPPORTED) return oct_close(ctx); /* all float */
    ck_assert_msg(q != NULL, "net %d, %s: %s", i, what, oct_error_message());
    char label[500];
    snprintf(label, sizeof label, "net %d, %s", i, what);
    check_exact(q, image, i % 2, label);
    oct_close(ctx);
}

START_TEST(codes_are_exact_under_random_rules) {
    const char *nets = getenv("OCT_TEST_NETS");
    const int count = nets ? atoi(nets) : oct_test_long() ? 1500 : 120;
    for (int i = 0; i < count; i++) check_random_rules(i);
    for (int i = WIDE; i < WIDE + count; i++) check_random_rules(i);
    check_random_rules(138); /* a learned scale behind a float layer once began in evaluation */
}
END_TEST
OCT_TEST_MAIN("qconfig_random", codes_are_exact_under_random_rules)
