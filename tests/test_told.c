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
static void save_sum(const char *name, int32_t bias, float scale, int zero, int32_t law) {
    static const int8_t w[] = {1, 2};
    static const float m[] = {0.25f};
    static const int32_t fixed[] = {1 << 30, -1}; /* 0.5 * 2^-1 */
    test_net t = test_net_new(ctx, 1, 1, 1, 2);
    const int32_t x = test_flatten(&t, test_quantize(&t, t.net->graph->input, 0.5f, 10)),
                  in[] = {x, test_const(&t, "w", OCT_S8, OCT_SHAPE(1, 2), w),
                          test_const(&t, "b", OCT_S32, OCT_SHAPE(1), &bias),
                          law ? test_const(&t, "m", OCT_S32, OCT_SHAPE(2, 1), fixed)
                              : test_const(&t, "m", OCT_F32, OCT_SHAPE(1), m)};
    test_end(&t, test_node(&t, OCT_OP_qlinear, &(oct_attrs){.hi = {255}, .law = {law}}, in, 4,
                           OCT_SHAPE(OCT_BATCH, 1), scale, zero));
    if (law) t.net->target = "litert";
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
    save_sum("a.oct8", 0, 0.5f, 100, 0);
    save_sum("b.oct8", 8, 0.5f, 100, 0);
    save_sum("c.oct8", 0, 0.5f, 101, 0);
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

START_TEST(codes_by_fixed_point_that_differ) {
    save_pixels();
    save_sum("a.oct8", 0, 0.5f, 100, 1);
    save_sum("b.oct8", 8, 0.5f, 100, 1);
    (void)octet("verify a.oct8 b.oct8 --data npz:d.npz", 1);
    says(err(), "expected 105, got 107 ");
    says(err(), "n2.qlinear computes by law 16: ");
}
END_TEST

START_TEST(what_comes_behind_equal_models) {
    save_pixels();
    save_sum("a.oct8", 0, 0.5f, 100, 0);
    save_sum("same.oct8", 0, 0.5f, 100, 0);
    (void)octet("verify a.oct8 same.oct8 --data npz:d.npz", 0);
    says(err(), "equal to the last bit; next: octet predict same.oct8 IMAGE");
}
END_TEST

/* Two convolutions of 1 x 1 that give their biases: 2 channels, then one. */
static void save_floats(const char *name, float first, float last, int width) {
    oct_module *const layers[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 2, .kernel = 1}),
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 1, .kernel = 1})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, layers, 2), OCT_SHAPE(1, width, 2));
    ck_not_null(net);
    for (int32_t i = 0; i < oct_net_tensor_count(net); i++) {
        oct_tensor *t = oct_net_tensors(net)[i].tensor;
        memset(t->data, 0, oct_tensor_bytes(t));
    }
    oct_f32(oct_net_tensor(net, "0.bias"))[1] = first;
    oct_f32(oct_net_tensor(net, "1.bias"))[0] = last;
    ck_ok(oct_run_save(net, in_root(name), NULL, false));
}

START_TEST(floats_that_differ) {
    save_pixels();
    save_floats("f", 0, 0, 1);
    save_floats("g", 0.125f, 0.5f, 1);
    save_floats("h", 0.75f, 0.5f, 1);
    save_floats("wide", 0, 0, 2);
    says(octet("verify f g --data npz:d.npz", 1),
         "mismatched_floats 8 of 12  largest_difference 0.5 in 1\n");
    says(octet("verify f h --data npz:d.npz", 1),
         "mismatched_floats 8 of 12  largest_difference 0.75 in 0\n");
    says(err(), "0: values differ at element 1: expected 0, got 0.75 ");
    says(octet("verify f f --data npz:d.npz", 0), "mismatched_floats 0 of 12");
    save_floats("idx", 0, 0, 1); /* a run may be called as a kind of data is */
    (void)octet("verify idx f --data npz:d.npz", 0);
    (void)octet("verify f wide --data npz:d.npz", 3);
    says(err(), "models take inputs of other shapes");
    says(err(), "expected [N, 2, 1, 1], got [N, 2, 1, 2]");
}
END_TEST

/* ---- export ---- */

START_TEST(formats_that_are_asked_for) {
    static char file[20000];
    save_floats("f", 0, 0, 1);
    save_sum("a.oct8", 0, 0.5f, 100, 0);
    const char *text = octet("export f --to onnx,npz,onnx --out o", 0);
    const char *first = strstr(text, "onnx");
    says(text, "o/f.onnx");
    says(text, "o/f.npz");
    ck_assert(first && !strstr(strstr(first, "f.onnx") + 6, "f.onnx")); /* once */
    (void)octet("export f --to c --out o", 3);
    says(err(), "c does not take a float net: expected a quantized run or an int8 file");
    static const char *const forms[][2] = {{"onnx", "by multipliers"}, {"qdq", "by scales"}};
    for (int i = 0; i < 2; i++) {
        char args[60];
        snprintf(args, sizeof args, "export a.oct8 --to %s --out q", forms[i][0]);
        (void)octet(args, 0);
        FILE *f = fopen(in_root(i ? "q/a.qdq.onnx" : "q/a.onnx"), "r");
        ck_assert(f != NULL);
        const size_t n = fread(file, 1, sizeof file, f), k = strlen(forms[i][1]);
        fclose(f);
        bool found = false;
        for (size_t at = 0; at + k <= n && !found; at++) found = !memcmp(file + at, forms[i][1], k);
        ck_assert_msg(found, "%s: not %s", forms[i][0], forms[i][1]);
    }
}
END_TEST

/* ---- help ---- */

/* What is needed stands once, in front; texts are the own ones; no line of them is beyond 100. */
START_TEST(help_of_a_command) {
    static const struct {
        const char *command, *epochs, *first;
    } rows[] = {{"train", "passes over the training part [10]", "folder of the new run"},
                {"qat", "passes over the training part [3]", "folder of the new run"},
                {"sweep", "passes over the training part [3]", "folder of its runs"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char args[40];
        snprintf(args, sizeof args, "%s --help", rows[i].command);
        const char *text = octet(args, 0), *needed = strstr(text, "\nneeded:\n"),
                   *options = strstr(text, "\noptions [default]:\n");
        ck_assert(needed && options && needed < options);
        says(text, rows[i].epochs);
        const char *out = strstr(needed, " --out PATH");
        ck_assert_msg(out && out < options && !strstr(out + 1, " --out PATH"), "%s", text);
        out += strlen(" --out PATH");
        out += strspn(out, " ");
        ck_assert_msg(!strncmp(out, rows[i].first, strlen(rows[i].first)), "%s", text);
        const char *end = strstr(text, "\nexample:\n");
        for (const char *line = needed + 1; line < end; line += strcspn(line, "\n") + 1)
            ck_assert_msg(strcspn(line, "\n") <= 100, "%.110s", line);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("told", setup, teardown, a_float_net, a_prepared_net, records_of_fixed_point,
                   codes_that_differ, codes_by_fixed_point_that_differ,
                   what_comes_behind_equal_models, floats_that_differ, formats_that_are_asked_for,
                   help_of_a_command)
