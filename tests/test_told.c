/* SPDX-License-Identifier: MIT
 * What inspect and verify tell of nets whose every number was written by hand. */
#include "tests/command_says.h"

#include <math.h>

#include "octet.h"
#include "src/format/npz.h"
#include "src/net.h"
#include "tests/int8_nets.h"

static oct_ctx *ctx;
static void setup(void) {
    make_root();
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1}));
}
static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

/* A convolution 1 -> 2 of 3 x 3, batch norm, relu, and a linear layer 16 -> 3, of 4 x 6. */
static oct_net *small_float(void) {
    oct_module *const layers[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 2, .kernel = 3}),
        oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 2}), oct_relu_new(ctx),
        oct_flatten_new(ctx), oct_linear_new(ctx, &(oct_linear_opts){.in = 16, .out = 3})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, layers, 5), OCT_SHAPE(4, 6, 1));
    ck_not_null(net);
    const oct_input_desc d = {.channels = 1,
                              .height = 4,
                              .width = 6,
                              .color = OCT_COLOR_GREY,
                              .div = 200,
                              .mean = {0.25f},
                              .std = {0.5f}};
    ck_ok(oct_net_set_input(net, &d));
    ck_ok(oct_net_set_classes(net, (const oct_class[]){{"0", "a"}, {"1", "b"}, {"2", "c"}}, 3));
    return net;
}

static oct_quantizer *grid_of(oct_net *net, const char *node) {
    const int32_t v = oct_graph_find_value(net->graph, node);
    ck_assert_msg(v >= 0 && net->graph->values[v].quantizer >= 0, "%s", node);
    return &net->graph->quantizers[net->graph->values[v].quantizer];
}

/* ---- inspect ---- */

START_TEST(a_float_net) {
    ck_ok(oct_run_save(small_float(), in_root("f"), NULL, false));
    const char *text = octet("inspect f", 0);
    says(text, "input 1 x 4 x 6 (C, H, W), div 200, mean 0.25, std 0.5; 3 classes");
    says(text, "[N, 2, 2, 4]                    20\n");
    says(text, "[N, 2, 2, 4]                     4\n");
    says(text, "[N, 3]                          51\n");
    says(text, "  75 parameters\n");
    says(text, "0.weight                                 float32  [2, 1, 3, 3]");
    hides(text, "of observers and scales");
    says(octet("inspect f --stage fused", 0), "fused: 0 + 1 + 2\n");
    (void)octet("inspect f --stage float", 2);
}
END_TEST

/* Weights of 4 bits, one layer of learned scales: state of grids is counted, not listed. */
START_TEST(a_prepared_net) {
    oct_qconfig c = {.wbits = 0};
    ck_ok(oct_qconfig_parse(ctx, "0:wbits=4,4:method=lsq", &c));
    oct_net *q = oct_prepare(small_float(), &c);
    ck_not_null(q);
    oct_quantizer *g = grid_of(q, "input.quantize");
    oct_f32(g->scale)[0] = 0.5f;
    oct_s32(g->zero_point)[0] = 20;
    ck_ok(oct_run_save(q, in_root("q"), NULL, false));
    const char *text = octet("inspect q", 0);
    says(text, "0.5          20  -10 to 117.5\n");
    says(text, "  weights of 4 bits\n");
    says(text, " of observers and scales (--json lists them)\n");
    hides(text, ".step ");
    hides(text, ".scale ");
    text = octet("inspect q --json", 0);
    says(text, "\"wbits\":4,\"abits\":8");
    (void)octet("inspect q --stage prepared", 2);
}
END_TEST

/* By the law of fixed point: 0.75 is 1610612736 * 2^-31. */
START_TEST(records_of_fixed_point) {
    static const int8_t w[] = {1, 2};
    static const int32_t b[] = {0}, m[] = {1610612736, -3};
    test_net t = test_net_new(ctx, 1, 1, 1, 2);
    const int32_t x = test_flatten(&t, test_quantize(&t, t.net->graph->input, 0.25f, 3)),
                  in[] = {x, test_const(&t, "w", OCT_S8, OCT_SHAPE(1, 2), w),
                          test_const(&t, "b", OCT_S32, OCT_SHAPE(1), b),
                          test_const(&t, "m", OCT_S32, OCT_SHAPE(2, 1), m)};
    test_end(&t, test_node(&t, OCT_OP_qlinear, &(oct_attrs){.hi = {255}, .law = {1}}, in, 4,
                           OCT_SHAPE(OCT_BATCH, 1), 0.5f, 100));
    t.net->target = "litert";
    ck_ok(oct_int8_save(t.net, in_root("n.oct8")));
    const char *text = octet("inspect n.oct8", 0);
    says(text, "-50 to 77.5  1610612736 * 2^-34\n");
    text = octet("inspect n.oct8 --json", 0);
    says(text, "\"law\":\"q31\",\"multiplier\":[1610612736],\"shift\":[-3]");
}
END_TEST

/* ---- verify ---- */

/* quantize by 0.5 and 10, then sums x0 + 2 x1 + bias of codes, times 0.25. */
static void save_sum(const char *name, int32_t bias, float scale, int zero) {
    static const int8_t w[] = {1, 2};
    static const float m[] = {0.25f};
    test_net t = test_net_new(ctx, 1, 1, 1, 2);
    const int32_t x = test_flatten(&t, test_quantize(&t, t.net->graph->input, 0.5f, 10)),
                  in[] = {x, test_const(&t, "w", OCT_S8, OCT_SHAPE(1, 2), w),
                          test_const(&t, "b", OCT_S32, OCT_SHAPE(1), &bias),
                          test_const(&t, "m", OCT_F32, OCT_SHAPE(1), m)};
    test_end(&t, test_node(&t, OCT_OP_qlinear, &(oct_attrs){.hi = {255}}, in, 4,
                           OCT_SHAPE(OCT_BATCH, 1), scale, zero));
    t.net->input =
        (oct_input_desc){.channels = 2, .height = 1, .width = 1, .div = 1, .std = {1, 1}};
    ck_ok(oct_int8_save(t.net, in_root(name)));
    oct_net_free(t.net);
}
/* Images of two pixels, as the nets take them: 4 of (2, 4) have the codes 14 and 18, sums of 20 and
 * codes of 5 + zero. */
static void save_pixels(void) {
    static float x[8], y[4];
    for (int i = 0; i < 8; i++) x[i] = i % 2 ? 4 : 2;
    const octi_npz_array a[] = {{"x", OCT_F32, OCT_SHAPE(4, 2, 1, 1), x},
                                {"y", OCT_F32, OCT_SHAPE(4, 1), y},
                                {"x_test", OCT_F32, OCT_SHAPE(4, 2, 1, 1), x},
                                {"y_test", OCT_F32, OCT_SHAPE(4, 1), y}};
    ck_ok(octi_npz_write(ctx, in_root("d.npz"), a, 4));
}
static const char *err(void) {
    static char text[4096];
    FILE *f = fopen(in_root("err"), "r");
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

START_TEST(codes_that_differ) {
    save_pixels();
    save_sum("a.oct8", 0, 0.5f, 100);
    save_sum("b.oct8", 8, 0.5f, 100);
    save_sum("c.oct8", 0, 0.5f, 101);
    says(octet("verify a.oct8 a.oct8 --data npz:d.npz", 0), "mismatched_codes 0 of 20\n");
    says(octet("verify a.oct8 b.oct8 --data npz:d.npz", 1), "mismatched_codes 4 of 20\n");
    const char *said = err();
    says(said,
         "n2.qlinear: values differ at element 0: expected 105, got 107 (8 of 24 values differ)");
    says(said, "n2.qlinear computes by law 7: ");
    says(said, "n2.qlinear: 4 of 4 differ where all that it reads is equal, by 2 at most");
    says(said, "4 differ behind these");
    said = octet("verify a.oct8 b.oct8 --data npz:d.npz --json", 1);
    says(said, "{\"mismatched_codes\":4,\"codes\":20,");
    says(said, "\"layer\":\"n2.qlinear\",\"element\":0,\"expected\":105,\"got\":107,");
    says(said,
         "\"layers\":[{\"name\":\"n2.qlinear\",\"kind\":\"qlinear\",\"values\":4,\"differing\":4,"
         "\"own\":4,\"own_largest_difference\":2,");
    hides(said, "{\"name\":\"n0.quantize\"");
    (void)octet("verify a.oct8 c.oct8 --data npz:d.npz", 1);
    says(err(), "n2.qlinear: scale 0.5, zero point 100 in a.oct8, but 0.5, 101 in c.oct8: other "
                "models, or other calibrations of one");
}
END_TEST

OCT_TEST_MAIN_WITH("told", setup, teardown, a_float_net, a_prepared_net, records_of_fixed_point,
                   codes_that_differ)
