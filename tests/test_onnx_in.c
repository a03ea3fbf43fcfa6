/* SPDX-License-Identifier: MIT
 * ONNX in: outputs of PyTorch and onnxruntime (golden/onnx), both exporters, opsets 11 to 21; names
 * of modules; the net goes on like any other; the table of ops is the one that the README tells. */
#include <ctype.h>

#include "autograd/autograd.h"
#include "qat/fit/fit.h"
#include "qat/infer/infer.h"
#include "qat/io/import.h"
#include "qat/io/onnx_in.h"
#include "qat/qat.h"
#include "tests/golden.h"
#include "tests/temp_folder.h"

static oct_ctx *ctx;

static void setup(void) {
    make_root();
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}

static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

static oct_net *read_golden(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/golden/onnx/%s.onnx", OCT_SOURCE_DIR, name);
    oct_net *net = oct_import_onnx(ctx, path, NULL);
    ck_assert_msg(net != NULL, "%s: %s", name, oct_error_message());
    return net;
}

/* Two images as the generator made them, [N,C,H,W], laid out as octet has them; nhwc: the file's
 * own images are. */
static oct_tensor *input_of(const oct_net *net, bool nhwc) {
    oct_shape s = net->graph->values[net->graph->input].shape;
    s.dim[0] = 2;
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, s);
    ck_not_null(x);
    const int64_t h = s.dim[1], w = s.dim[2], c = s.dim[3];
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        int64_t theirs = i;
        if (!nhwc) {
            const int64_t ch = i % c, col = i / c % w, row = i / c / w % h, n = i / c / w / h;
            theirs = ((n * c + ch) * h + row) * w + col;
        }
        oct_f32(x)[i] = (float)((37 * theirs + 11) % 64) / 16 - 2;
    }
    return x;
}

static void near_golden(const char *name, const oct_tensor *y, float bound) {
    oct_tensor *want = golden(ctx, "onnx/outputs.txt", name);
    float most = 0, off = 0;
    ck_assert_int_eq(oct_tensor_count(want), oct_tensor_count(y));
    for (int64_t i = 0; i < oct_tensor_count(y); i++) {
        const float d = fabsf(oct_f32(y)[i] - oct_f32(want)[i]);
        ck_assert_msg(!isnan(d), "%s: NaN", name);
        most = fmaxf(most, fabsf(oct_f32(want)[i]));
        off = fmaxf(off, d);
    }
    ck_assert_msg(off <= bound * most, "%s: off by %g of %g", name, (double)off, (double)most);
}

static const oct_tensor *outputs(oct_net *net, oct_tape *t, bool nhwc) {
    oct_tape_begin(t, OCT_EVAL);
    const oct_var *y = oct_net_forward(net, oct_input(t, input_of(net, nhwc)));
    ck_assert_msg(y != NULL, "%s", oct_error_message());
    return oct_var_value(y);
}

/* qdq's values are off by the rounding that octet leaves to its own quantization. */
START_TEST(outputs_are_the_exporters) {
    static const struct {
        const char *name;
        bool nhwc;
        float bound;
    } nets[] = {{"residual_old11", false, 1e-4f},
                {"residual_old18", false, 1e-4f},
                {"residual_dyn18", false, 1e-4f},
                {"residual_dyn21", false, 1e-4f},
                {"gated_old13", false, 1e-4f},
                {"gated_dyn20", false, 1e-4f},
                {"orders_old12", false, 1e-4f},
                {"orders_dyn19", false, 1e-4f},
                {"pools_old15", false, 1e-4f},
                {"pools_dyn18", false, 1e-4f},
                {"parts_old16", false, 1e-4f},
                {"parts_dyn18", false, 1e-4f},
                {"blocks_old14", false, 1e-4f},
                {"blocks_dyn20", false, 1e-4f},
                {"depths", false, 1e-4f},
                {"repeats", false, 1e-4f},
                {"tf_style", true, 1e-4f},
                {"typed", false, 1e-4f},
                {"qdq", false, 0.02f}};
    oct_tape *t = oct_tape_new(ctx);
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        oct_net *net = read_golden(nets[i].name);
        near_golden(nets[i].name, outputs(net, t, nets[i].nhwc), nets[i].bound);
        oct_net_free(net);
    }
    oct_tape_free(t);
}
END_TEST

/* A flatten at the end would give [N,H,W,C]'s order: the image itself is the output. */
START_TEST(a_flatten_at_the_end_keeps_the_files_order) {
    oct_net *net = read_golden("flat_end");
    oct_tape *t = oct_tape_new(ctx);
    const oct_tensor *y = outputs(net, t, false);
    ck_assert_int_eq(y->shape.rank, 4);
    oct_tensor *theirs = oct_torch_layout(net, NULL, y);
    near_golden("flat_end", theirs, 1e-4f);
    oct_tape_free(t);
}
END_TEST

static void has_tensor(const char *file, const oct_net *net, const char *name) {
    ck_assert_msg(oct_net_tensor(net, name) != NULL, "%s has no %s", file, name);
}

/* Whichever exporter wrote it, with batch norms or without. */
START_TEST(paths_are_pytorchs) {
    static const char *const files[] = {"residual_old11", "residual_old18", "residual_dyn18",
                                        "residual_dyn21"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        oct_net *net = read_golden(files[i]);
        has_tensor(files[i], net, "layer1.0.conv1.weight");
        has_tensor(files[i], net, "layer1.0.downsample.0.weight");
        has_tensor(files[i], net, "fc.weight");
        has_tensor(files[i], net, "fc.bias");
        ck_assert_msg(oct_graph_find_node(net->graph, "layer1.0.conv2") >= 0, "%s", files[i]);
        ck_assert_msg(oct_graph_find_node(net->graph, "layer1.0.add") >= 0, "%s", files[i]);
        ck_assert_msg(oct_graph_find_node(net->graph, "layer1.0.relu") >= 0, "%s", files[i]);
    }
    oct_net *net = read_golden("residual_old11");
    has_tensor("residual_old11", net, "layer1.0.bn1.running_var");
    const int32_t bn = oct_graph_find_node(net->graph, "layer1.0.bn1");
    ck_assert_int_ge(bn, 0);
    ck_assert_float_eq_tol(net->graph->nodes[bn].attr.momentum, 0.1f, 1e-6f);
    ck_assert_float_eq(net->graph->nodes[bn].attr.eps, 1e-5f);
}
END_TEST

/* What never trains, of vectors too, converts: constants that the file adds and multiplies, parts
 * and blocks of images. */
START_TEST(constants_at_rest_convert) {
    static const char *const files[] = {"parts_old16", "blocks_old14", "depths"};
    static const int floats[] = {2, 0, 0}; /* the end of parts: a batch norm of vectors */
    static uint8_t pixels[8 * 12 * 8 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(37 * i + 11);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        oct_net *net = read_golden(files[i]);
        oct_shape s = net->graph->values[net->graph->input].shape;
        s.dim[0] = 8;
        oct_data *data = oct_data_from_memory(ctx, OCT_U8, s, pixels, NULL,
                                              &(oct_array_opts){.input = &net->input});
        ck_not_null(data);
        oct_net *ready = oct_prepare(net, NULL);
        ck_not_null(ready);
        ck_ok(oct_calibrate(ready, data, 8));
        oct_convert_report report;
        oct_net *int8 = oct_convert(ready, &report);
        ck_assert_msg(int8 != NULL, "%s: %s", files[i], oct_error_message());
        ck_assert_int_eq(report.layers_float, floats[i]);
        ck_ok(oct_int8_save(int8, in_root("net.oct8")));
        ck_not_null(oct_int8_load(ctx, in_root("net.oct8")));
    }
}
END_TEST

/* Trained, quantized, converted, written and read again. */
START_TEST(an_imported_net_is_one_like_any_other) {
    oct_net *net = read_golden("residual_old11");
    static uint8_t pixels[8 * 7 * 6 * 3];
    int32_t labels[8];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(37 * i + 11);
    for (int i = 0; i < 8; i++) labels[i] = i % 5;
    oct_data *data = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(8, 7, 6, 3), pixels, labels,
                                          &(oct_array_opts){.classes = 5, .input = &net->input});
    ck_not_null(data);
    oct_tensor *before = oct_tensor_copy(ctx, oct_net_tensor(net, "layer1.0.conv1.weight"));
    oct_tensor *mean = oct_tensor_copy(ctx, oct_net_tensor(net, "layer1.0.bn1.running_mean"));
    ck_ok(oct_fit(net, data, &(oct_fit_opts){.epochs = 2, .batch = 4, .run = in_root("run")}));
    ck_assert_mem_ne(before->data, oct_net_tensor(net, "layer1.0.conv1.weight")->data,
                     oct_tensor_bytes(before));
    ck_assert_mem_ne(mean->data, oct_net_tensor(net, "layer1.0.bn1.running_mean")->data,
                     oct_tensor_bytes(mean));
    oct_net *again = oct_run_load(ctx, in_root("run"), NULL);
    ck_assert_msg(again != NULL, "%s", oct_error_message());
    oct_net *ready = oct_prepare(again, NULL);
    ck_not_null(ready);
    ck_ok(oct_calibrate(ready, data, 8));
    oct_net *int8 = oct_convert(ready, NULL);
    ck_assert_msg(int8 != NULL, "%s", oct_error_message());
}
END_TEST

/* ---- the table ---- */

/* Is op one of the words of a README's row "| A, B | ..."? The text behind the heading alone. */
static bool told(const char *text, const char *op) {
    const size_t n = strlen(op);
    for (const char *row = strstr(text, "\n| "); row; row = strstr(row + 1, "\n| ")) {
        const char *end = strstr(row + 3, " |");
        for (const char *s = row + 3; end && s < end;) {
            const char *stop = s;
            while (stop < end && isalpha((unsigned char)*stop)) stop++;
            if ((size_t)(stop - s) == n && !strncmp(s, op, n)) return true;
            s = stop + 1;
        }
    }
    return false;
}

START_TEST(the_readme_tells_every_op) {
    static char text[65536];
    char path[1024];
    snprintf(path, sizeof path, "%s/qat/io/README.md", OCT_SOURCE_DIR);
    FILE *f = fopen(path, "r");
    ck_not_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    char *part = strstr(text, "## ONNX in");
    ck_not_null(part);
    if (strstr(part + 1, "\n## ")) *strstr(part + 1, "\n## ") = 0;
    int rows = 0;
    for (const octi_onnx_row *r; (r = octi_onnx_row_at(rows)); rows++) {
        ck_assert_msg(told(part, r->op), "README.md has no row for %s", r->op);
        ck_assert_ptr_eq(octi_onnx_row_of(r->op), r);
        const octi_onnx_row *next = octi_onnx_row_at(rows + 1);
        ck_assert_msg(!next || strcmp(r->op, next->op) < 0, "%s: not in order", r->op);
    }
    ck_assert_int_gt(rows, 60);
    /* and no other */
    for (char *row = strstr(part, "\n| "); row; row = strstr(row + 1, "\n| ")) {
        char words[1024];
        ck_assert_int_eq(sscanf(row + 3, "%1023[^|]", words), 1);
        for (char *w = strtok(words, ", "); w; w = strtok(NULL, ", "))
            if (strcmp(w, "op") != 0) ck_assert_msg(octi_onnx_row_of(w) != NULL, "%s", w);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("onnx in", setup, teardown, outputs_are_the_exporters,
                   a_flatten_at_the_end_keeps_the_files_order, paths_are_pytorchs,
                   constants_at_rest_convert, an_imported_net_is_one_like_any_other,
                   the_readme_tells_every_op)
