/* SPDX-License-Identifier: MIT
 * ONNX that is not taken: one line names every part; hostile files end in an error, whatever they
 * claim. */
#include "tests/onnx_file.h"

#include <math.h>

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

/* The error has the code and every one of the texts, and says what to do. */
static void refused(oct_status code, const char *const *texts) {
    ck_assert_msg(import(NULL) == NULL, "it came in");
    ck_assert_msg(oct_last_error()->code == code, "%s", oct_error_message());
    for (; *texts; texts++)
        ck_assert_msg(strstr(oct_error_message(), *texts) != NULL, "\"%s\" lacks \"%s\"",
                      oct_error_message(), *texts);
    const oct_error *e = oct_last_error();
    ck_assert_msg(*e->hint || strstr(e->got, " -> ") != NULL, "no cure: %s", oct_error_message());
}
#define REFUSED(code, ...) refused(code, (const char *const[]){__VA_ARGS__, NULL})

static const float zeros[4096];

static void takes_all(void) {
    oct_net *net = import(NULL);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    oct_net_free(net);
}

/* ---- one list ---- */

START_TEST(all_that_is_not_taken_is_one_line) {
    begin(4, 8, 8);
    node("Gelu", "x", NULL, "first");
    node("Relu", "x", NULL, "r");
    ints(node("MaxPool", "r", NULL, "pool"), "dilations", 2, (int64_t[]){2, 2});
    ints(&f.node[2], "kernel_shape", 2, (int64_t[]){2, 2});
    node("Gelu", "pool", NULL, "second");
    node("Swap", "r", NULL, "swapped")->domain = (char *)"com.me";
    attr(node("Relu", "swapped", NULL, "odd"), "colour")->type = 2;
    init("w1", 1, 3, (int64_t[]){4, 4, 3}, zeros, 4 * 48);
    node("Conv", "r", "w1", "line");
    ints(node("Transpose", "line", NULL, "t"), "perm", 4, (int64_t[]){1, 0, 2, 3});
    node("Sum", "first", "second", "s1");
    node("Sum", "s1", "odd", "s2");
    node("Sum", "s2", "t", "y");
    REFUSED(OCT_EUNSUPPORTED, "6 of the file's parts", "Gelu (node first, second): op is not taken",
            "MaxPool (node pool): attribute dilations: 2",
            "Swap (node swapped): op of domain com.me",
            "Relu (node odd): attribute colour is not taken", "Conv (node line): 1D convolution");
}
END_TEST

/* What to do stands behind its reasons: once for those that it helps, by the op where that says
 * more. */
START_TEST(every_reason_has_a_cure) {
    begin(4, 8, 8);
    node("Erf", "x", NULL, "a");
    node("Blend", "x", NULL, "b");
    node("Gelu", "x", NULL, "c");
    ints(node("ReduceMean", "x", NULL, "d"), "axes", 1, (int64_t[]){1});
    node("Sum", "a", "b", "s1");
    node("Sum", "s1", "c", "s2");
    node("Sum", "s2", "d", "y");
    REFUSED(OCT_EUNSUPPORTED,
            "got Erf (node a): op is not taken; Gelu (node c): op is not taken -> nn.SiLU",
            "train it again; Blend (node b): op is not taken -> put layers of that table",
            "; ReduceMean (node d): over channels -> reduce over rows and columns: dim=(2, 3)");
    begin(4, 8, 8);
    node("Relu", "x", NULL, "r");
    node("Max", "x", "r", "y");
    REFUSED(OCT_EUNSUPPORTED, "two values that the net computes -> relu(a - b) + b is the same");
    for (int k = 0; k < OCTI_CURES; k++) {
        const char *cure = octi_onnx_cure((octi_onnx_cause)k, NULL);
        ck_assert_uint_gt(strlen(cure), 20);
        ck_assert_uint_lt(strlen(cure), 200); /* as a hint it must stay whole */
    }
}
END_TEST

/* A list that is longer than a message says how much longer. */
START_TEST(a_long_list_is_cut) {
    static char ops[20][64];
    begin(4, 8, 8);
    for (int k = 0; k < 20; k++) {
        memset(ops[k], 'A' + k, 60);
        node(ops[k], k ? ops[k - 1] : "x", NULL, k < 19 ? ops[k] : "y");
    }
    ck_assert(import(NULL) == NULL);
    const char *text = oct_last_error()->got;
    ck_assert_msg(strstr(text, " more reasons") != NULL, "%s", text);
    ck_assert_uint_lt(strlen(text), 2048);
    ck_assert(strstr(text, "AAAAAAAAAAAA") != NULL);
    ck_assert(strstr(text, " -> ") != NULL);
}
END_TEST

/* What the output does not need is not asked of. */
START_TEST(dead_nodes_are_nobodys_business) {
    begin(4, 8, 8);
    node("Gelu", "x", NULL, "dead");
    node("Relu", "x", NULL, "y");
    takes_all();
}
END_TEST

static void one(const char *op, const char *name, int count, int64_t a, int64_t b, int64_t c,
                int64_t d) {
    begin(4, 8, 8);
    ints(node(op, "x", NULL, "y"), name, count, (int64_t[]){a, b, c, d});
}

START_TEST(attributes_out_of_range_are_named) {
    one("MaxPool", "kernel_shape", 1, 3, 0, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "kernel_shape: 1 number: one-dimensional");
    one("MaxPool", "kernel_shape", 2, 0, 3, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "attribute kernel_shape: 0");
    one("MaxPool", "kernel_shape", 2, INT64_MAX, 3, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "attribute kernel_shape");
    one("MaxPool", "kernel_shape", 2, 9, 9, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "kernel does not fit");
    one("MaxPool", "strides", 2, 1, 1, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "attribute kernel_shape is missing");
    one("Transpose", "perm", 4, 0, 1, 2, 2);
    REFUSED(OCT_EUNSUPPORTED, "perm is no permutation");
    one("Transpose", "perm", 4, 1, 0, 2, 3);
    REFUSED(OCT_EUNSUPPORTED, "perm moves the batch");
    one("Transpose", "perm", 4, 0, 2, 3, 1); /* a net's output in another order */
    REFUSED(OCT_EFORMAT, "the output is the input");
    one("Squeeze", "axes", 1, 2, 0, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "axis 2 of shape [N, 4, 8, 8]");
    one("ReduceMean", "axes", 1, 1, 0, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "over channels");
    one("ReduceMean", "axes", 1, 9, 0, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "axis 9");
    one("Relu", "kernel_shape", 1, 1, 0, 0, 0);
    REFUSED(OCT_EUNSUPPORTED, "attribute kernel_shape is not taken");
    begin(4, 8, 8);
    ints(node("Transpose", "x", NULL, "t"), "perm", 4, (int64_t[]){0, 2, 3, 1});
    node("Relu", "t", NULL, "y");
    REFUSED(OCT_EUNSUPPORTED, "output y lies in another order");
    begin(4, 8, 8);
    ints(node("Transpose", "x", NULL, "turn"), "perm", 4, (int64_t[]){0, 2, 3, 1});
    node("GlobalAveragePool", "turn", NULL, "y");
    REFUSED(OCT_EUNSUPPORTED, "which Transpose turn in front has turned");
}
END_TEST

/* ---- the file's structure ---- */

START_TEST(other_files_are_not_read) {
    begin(4, 8, 8);
    OctiOnnx__TensorProto *w = init("w", 1, 4, (int64_t[]){4, 4, 1, 1}, NULL, 0);
    node("Conv", "x", "w", "y");
    w->has_raw_data = 0;
    w->has_data_location = 1;
    w->data_location = OCTI_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    REFUSED(OCT_EUNSUPPORTED, "external data", "one file", "w", "save_as_external_data=False");
}
END_TEST

/* Channels alone are repeated. */
START_TEST(other_repeats_are_named) {
    static const int64_t rows[4] = {1, 1, 2, 1}, sides[4] = {1, 4, 16, 8};
    begin(4, 8, 8);
    init("by", 7, 1, (int64_t[]){4}, rows, sizeof rows);
    node("Tile", "x", "by", "y");
    REFUSED(OCT_EUNSUPPORTED, "repeats [1, 1, 2, 1] of a value of shape [N, 4, 8, 8] -> channels");
    begin(4, 8, 8);
    init("to", 7, 1, (int64_t[]){4}, sides, sizeof sides);
    node("Expand", "x", "to", "y");
    REFUSED(OCT_EUNSUPPORTED, "[N, 4, 8, 8] to [1, 4, 16, 8]");
    one("SpaceToDepth", "blocksize", 1, 3, 0, 0, 0);
    f.attr[0].type = OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    f.attr[0].has_i = 1;
    f.attr[0].i = 3;
    REFUSED(OCT_EUNSUPPORTED, "blocks of 3 for a value of shape [N, 4, 8, 8]");
}
END_TEST

START_TEST(structure_is_judged) {
    begin(4, 8, 8);
    node("Relu", "y", NULL, "y");
    REFUSED(OCT_EFORMAT, "a later one makes, or its own", "y");
    begin(4, 8, 8);
    node("Add", "x", "b", "a");
    node("Relu", "a", NULL, "b");
    node("Relu", "b", NULL, "y");
    REFUSED(OCT_EFORMAT, "a later one makes");
    begin(4, 8, 8);
    node("Relu", "nowhere", NULL, "y");
    REFUSED(OCT_EFORMAT, "reads what no node makes", "nowhere");
    begin(4, 8, 8);
    node("Relu", "x", NULL, "y");
    node("Relu", "x", NULL, "y");
    REFUSED(OCT_EFORMAT, "two nodes make one value");
    begin(4, 8, 8);
    node("Relu", "x", NULL, "x");
    REFUSED(OCT_EFORMAT, "a node makes an input");
    begin(4, 8, 8);
    REFUSED(OCT_EFORMAT, "no node makes the output");
    begin(4, 8, 8);
    node("Relu", "x", NULL, "y");
    f.in[f.g.n_input++] = info("x2", 4, (int64_t[]){0, 4, 8, 8});
    REFUSED(OCT_EUNSUPPORTED, "several inputs", "x and x2");
    begin(4, 8, 8);
    node("Relu", "x", NULL, "y");
    f.out[f.g.n_output++] = info("x", 0, NULL);
    REFUSED(OCT_EUNSUPPORTED, "several outputs");
    begin(4, 8, 8);
    node("Relu", "x", NULL, "y");
    f.opset.version = 99;
    REFUSED(OCT_EUNSUPPORTED, "opset", "99");
    f.m.n_opset_import = 0;
    REFUSED(OCT_EFORMAT, "no opset");
    f.m.graph = NULL;
    REFUSED(OCT_EFORMAT, "no graph");
    begin(4, 8, 8);
    init("w", 1, 1, (int64_t[]){1}, zeros, 4);
    init("w", 1, 1, (int64_t[]){1}, zeros, 4);
    node("Add", "x", "w", "y");
    REFUSED(OCT_EFORMAT, "two initializers of one name");
}
END_TEST

START_TEST(open_sides_are_the_callers) {
    begin(3, 0, 0);
    node("Relu", "x", NULL, "y");
    REFUSED(OCT_EUSAGE, "side 2 of input x is open", "its size: .height and .width",
            "export it with a fixed size");
    oct_net *net = import(&(oct_import_onnx_opts){.height = 6, .width = 5});
    ck_not_null(net);
    ck_assert_int_eq(net->input.height, 6);
    ck_assert_int_eq(net->input.width, 5);
    begin(3, 7, 7);
    node("Relu", "x", NULL, "y");
    ck_assert(import(&(oct_import_onnx_opts){.height = 6, .width = 7}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    begin(0, 7, 7);
    node("Relu", "x", NULL, "y");
    REFUSED(OCT_EUSAGE, "side 1 of input x is open");
}
END_TEST

/* ---- sizes and contents ---- */

START_TEST(sizes_that_are_only_claimed_are_no_sizes) {
    static const int64_t huge[2] = {1 << 30, 1 << 30};
    begin(4, 8, 8);
    init("s", 7, 1, (int64_t[]){2}, huge, sizeof huge);
    node("ConstantOfShape", "s", NULL, "c");
    node("Add", "x", "c", "y");
    REFUSED(OCT_ELIMIT, "the file is too small for");
    begin(4, 8, 8);
    init("w", 1, 4, (int64_t[]){1LL << 31, 1LL << 31, 1, 1}, zeros, 64);
    node("Conv", "x", "w", "y");
    REFUSED(OCT_EUNSUPPORTED, "shape");
    begin(4, 8, 8);
    init("w", 1, 4, (int64_t[]){4, 4, 1, -1}, zeros, 64);
    node("Conv", "x", "w", "y");
    REFUSED(OCT_EUNSUPPORTED, "shape");
    begin(4, 8, 8);
    init("w", 1, 4, (int64_t[]){4, 4, 1, 1}, zeros, 63);
    node("Conv", "x", "w", "y");
    REFUSED(OCT_EUNSUPPORTED, "another size than its shape", "16 elements", "63 bytes");
    begin(1 << 30, 1, 1); /* a constant spread over channels that no byte of the file is for */
    init("c", 1, 0, (int64_t[]){0}, zeros, 4);
    node("Mul", "x", "c", "y");
    REFUSED(OCT_ELIMIT, "more channels than the file has");
    begin(1 << 20, 1, 1);
    ints(node("Pad", "x", NULL, "y"), "pads", 4, (int64_t[]){0, 0, 0, 0});
    REFUSED(OCT_EUNSUPPORTED, "pads: 4 numbers");
}
END_TEST

/* Two bytes a node, and a structure of hundreds for each. */
START_TEST(empty_messages_take_no_memory_by_the_gigabyte) {
    enum { NODES = 4 << 20 };
    uint8_t *bytes = malloc(2 * NODES + 16);
    ck_assert(bytes != NULL);
    size_t n = 0;
    bytes[n++] = 0x3a; /* the graph: length as a varint */
    for (size_t len = 2 * NODES; len; len >>= 7)
        bytes[n++] = (uint8_t)((len & 127) | (len > 127) * 128);
    for (int i = 0; i < NODES; i++) bytes[n++] = 0x0a, bytes[n++] = 0;
    ck_assert(oct_import_onnx_memory(ctx, bytes, n, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
    free(bytes);
    ck_assert_uint_lt(oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES), (size_t)400 << 20);
}
END_TEST

/* Nodes without names, one behind the other: as many as a net may have, then no more, and not in
 * quadratic or cubic time. With a weight in front: a factor of each goes into it while the file may
 * ask for that. */
START_TEST(long_chains_end) {
    enum { NODES = 30000 };
    OctiOnnx__NodeProto *chain = calloc(NODES, sizeof *chain), **list = calloc(NODES, sizeof *list);
    char(*name)[16] = calloc(NODES + 1, sizeof *name), *(*in)[2] = calloc(NODES, sizeof *in),
    **out = calloc(NODES, sizeof *out);
    float *w = calloc(1 << 20, sizeof *w);
    ck_assert(chain && list && name && in && out && w);
    for (int factors = 0; factors < 2; factors++) {
        begin(4, 8, 8);
        init("two", 1, 0, (int64_t[]){0}, (const float[]){0.5f}, 4);
        init("w", 1, 4, (int64_t[]){4, 4, 256, 256}, w, (size_t)4 << 20);
        for (int k = 0; k < NODES; k++) {
            octi_onnx__node_proto__init(list[k] = &chain[k]);
            snprintf(name[k + 1], sizeof *name, "%s", k == NODES - 1 ? "y" : octi_fmt("v%d", k));
            in[k][0] = k ? name[k] : (char *)"x";
            in[k][1] = (char *)(factors && !k ? "w" : "two");
            out[k] = name[k + 1];
            chain[k].op_type = (char *)(!factors ? "Relu" : k ? "Mul" : "Conv");
            chain[k].input = in[k];
            chain[k].n_input = factors ? 2 : 1;
            chain[k].output = &out[k];
            chain[k].n_output = 1;
        }
        f.g.node = list;
        f.g.n_node = NODES;
        f.dim[0][2].dim_value = f.dim[0][3].dim_value = 256;
        REFUSED(OCT_ELIMIT, factors ? "the file" : "values of the net: expected at most 8192");
    }
    free(chain), free(list), free(name), free(in), free(out), free(w);
}
END_TEST

START_TEST(weights_are_finite_numbers) {
    float w[16] = {0};
    w[7] = NAN;
    begin(4, 8, 8);
    init("w", 1, 4, (int64_t[]){4, 4, 1, 1}, w, sizeof w);
    node("Conv", "x", "w", "y");
    REFUSED(OCT_EFORMAT, "w");
}
END_TEST

/* Names become paths that stand in patterns, files and terminals. */
START_TEST(names_are_made_harmless) {
    static char long_name[5000];
    memset(long_name, 'n', sizeof long_name - 1);
    begin(4, 8, 8);
    node("Relu", "x", NULL, "a\x1b[31m/../\n*'")->name = (char *)"a\x1b[31m/../\n*'";
    node("Sigmoid", "a\x1b[31m/../\n*'", NULL, long_name)->name = long_name;
    node("Tanh", long_name, NULL, "y")->name = (char *)"";
    oct_net *net = import(NULL);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    for (int32_t i = 0; i < net->graph->node_count; i++) {
        const char *name = net->graph->nodes[i].name;
        ck_assert_uint_le(strlen(name), 220);
        for (const char *s = name; *s; s++)
            ck_assert_msg(strchr("*?/\\'\"[]", *s) == NULL && *s > ' ' && *s < 127, "%s", name);
    }
}
END_TEST

/* Every cut and every flipped byte: a net, or an error with a place. */
static void damage(const char *path) {
    static uint8_t bytes[4096];
    FILE *in = fopen(path, "rb");
    ck_assert(in != NULL);
    const size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    const size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    int cut = 0;
    for (size_t i = 0; i < 2 * n; i++) {
        oct_clear_error();
        if (i >= n) bytes[i - n] ^= (uint8_t)(1 + i * 37 % 255);
        oct_net *net = oct_import_onnx_memory(ctx, bytes, i < n ? i : n, NULL);
        if (i >= n) bytes[i - n] ^= (uint8_t)(1 + i * 37 % 255);
        cut += i < n && !net;
        ck_assert(net || (oct_last_error()->code != OCT_OK && *oct_last_error()->where &&
                          oct_last_error()->code != OCT_EINTERNAL));
        oct_net_free(net);
        ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), held);
    }
    ck_assert_int_ge(cut, (int)n - 20); /* the last field says the opset */
}

START_TEST(damage_ends_in_an_error) {
    damage(OCT_SOURCE_DIR "/tests/golden/onnx/typed.onnx");
    damage(OCT_SOURCE_DIR "/tests/golden/onnx/depths.onnx");
    damage(OCT_SOURCE_DIR "/tests/golden/onnx/repeats.onnx");
}
END_TEST

OCT_TEST_MAIN_WITH("onnx refused", setup, teardown, all_that_is_not_taken_is_one_line,
                   every_reason_has_a_cure, a_long_list_is_cut, dead_nodes_are_nobodys_business,
                   attributes_out_of_range_are_named, other_repeats_are_named,
                   other_files_are_not_read, structure_is_judged, open_sides_are_the_callers,
                   sizes_that_are_only_claimed_are_no_sizes,
                   empty_messages_take_no_memory_by_the_gigabyte, long_chains_end,
                   weights_are_finite_numbers, names_are_made_harmless, damage_ends_in_an_error)
