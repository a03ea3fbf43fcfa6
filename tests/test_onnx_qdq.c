/* SPDX-License-Identifier: MIT
 * ONNX in, files with scales of their own: octet's export for integer kernels comes back as the
 * int8 net that it was, code by code; onnxruntime's quantized files give onnxruntime's values; what
 * octet has no such codes for is named, and comes in as floats where that is asked for. */
#include "ops/ops.h"
#include "qat/io/export.h"
#include "qat/io/import.h"
#include "qat/io/onnx.pb-c.h"
#include "tests/exact_fix.h"
#include "tests/golden.h"
#include "tests/long_test.h"

static oct_ctx *ctx;

static void setup(void) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}
static void teardown(void) { oct_close(ctx); }

/* ---- there and back ---- */

static oct_net *calibrated(oct_net *net, oct_shape image, const oct_qconfig *how) {
    oct_net *q = oct_prepare(net, how);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(calibrate(q, t, image, 3));
    oct_net *made = oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL);
    ck_not_null(made);
    oct_tape_free(t);
    oct_net_free(q);
    return made;
}

/* Limits narrower than the type's (fewer bits, a relu6) are a layer of their own in the file,
 * behind this one. */
static bool narrow(const oct_net *net, int32_t node) {
    const oct_graph *g = net->graph;
    const oct_node *n = &g->nodes[node];
    return g->quantizers[g->values[n->out].quantizer].spec.qmax < 255 ||
           (n->attr.hi[0] && (n->attr.lo[0] > 0 || n->attr.hi[0] < 255));
}

/* The same bits of the output, and the same codes of every layer that both have by its name. */
static void same_outputs(const char *what, oct_net *a, oct_net *b, const oct_tensor *x) {
    const oct_runner_opts each = {.batch = (int)x->shape.dim[0], .values = true};
    oct_runner *ra = oct_runner_new(a, &each), *rb = oct_runner_new(b, &each);
    const oct_tensor *ya = oct_runner_run(ra, x), *yb = oct_runner_run(rb, x);
    ck_not_null(ya);
    ck_not_null(yb);
    int64_t layers = 0;
    bool u7 = false; /* some */
    for (int32_t i = 0; i < a->graph->node_count; i++) {
        const char *name = a->graph->nodes[i].name;
        float s[2] = {0};
        int32_t z[2] = {0};
        if (oct_graph_find_node(b->graph, name) < 0 ||
            a->graph->values[a->graph->nodes[i].out].dtype != OCT_U8)
            continue;
        u7 |= narrow(a, i);
        if (narrow(a, i)) continue;
        const oct_tensor *u = oct_runner_value(ra, name, &s[0], &z[0]),
                         *v = oct_runner_value(rb, name, &s[1], &z[1]);
        if (!u || !v || u->dtype != v->dtype) continue;
        layers++;
        ck_assert_msg(s[0] == s[1] && z[0] == z[1], "%s: %s stands on another grid", what, name);
        ck_assert_msg(!memcmp(u->data, v->data, oct_tensor_bytes(u)), "%s: codes of %s", what,
                      name);
    }
    ck_assert_msg(layers > 0 || u7, "%s: no layer has its name", what);
    ck_assert_msg(!memcmp(ya->data, yb->data, oct_tensor_bytes(ya)), "%s: outputs", what);
    oct_runner_free(ra);
    oct_runner_free(rb);
}

static void comes_back(const char *what, oct_net *i8, oct_shape image) {
    uint8_t *bytes;
    size_t size;
    ck_ok(oct_export_onnx_memory(i8, &(oct_onnx_opts){.integer_kernels = true}, &bytes, &size));
    oct_net *in = oct_import_onnx_memory(ctx, bytes, size, NULL);
    oct_export_free(ctx, bytes);
    ck_assert_msg(in != NULL, "%s: %s", what, oct_error_message());
    ck_assert_int_eq(oct_net_stage(in), OCT_STAGE_PREPARED);
    oct_net *again = oct_convert(in, NULL); /* which holds plan against simulation */
    ck_assert_msg(again != NULL, "%s: %s", what, oct_error_message());
    oct_tensor *x = random_images(ctx, 6, image, 77);
    same_outputs(what, i8, again, x);
    oct_net_free(in);
    oct_net_free(again);
}

static bool by_table(const oct_node *n) {
    return n->kind != OCT_OP_clamp && octi_is_unary(n->kind);
}

/* Import takes no LSTM, nor the two products that adaptive windows of unequal sizes leave as; a
 * table behind a table says no scale of what lies between. */
static bool cannot_come_back(const oct_net *net) {
    for (int32_t i = 0; i < net->graph->node_count; i++) {
        const oct_node *n = &net->graph->nodes[i];
        const int32_t before = n->in[0] < 0 ? -1 : net->graph->values[n->in[0]].producer;
        if (by_table(n) && before >= 0 && by_table(&net->graph->nodes[before])) return true;
        if (n->kind == OCT_OP_lstm || n->kind == OCT_OP_lstm_cell ||
            (n->kind == OCT_OP_adaptive_avg_pool2d &&
             n->attr.out_size[0] * n->attr.out_size[1] > 1))
            return true;
    }
    return false;
}

/* Every op that a random net has: fixed grids, cats of several, functions by their tables. */
START_TEST(random_nets_come_back) {
    static const oct_qconfig hows[] = {{0},
                                       {.target = OCT_TARGET_FBGEMM},
                                       {.abits = 5, .wbits = 3},
                                       {.granularity = OCT_GRANULARITY_TENSOR}};
    const uint64_t seeds = oct_test_long() ? 400 : 30;
    int nets = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        oct_shape image;
        oct_net *net = random_net(ctx, seed, &image);
        if (cannot_come_back(net)) continue;
        nets++;
        oct_net *i8 = calibrated(net, image, &hows[seed % (sizeof hows / sizeof *hows)]);
        char what[32];
        snprintf(what, sizeof what, "random net %d", (int)seed);
        comes_back(what, i8, image);
        oct_net_free(i8);
        oct_net_free(net);
    }
    ck_assert_int_ge(nets, 8);
}
END_TEST

START_TEST(the_zoo_comes_back) {
    static const struct {
        const char *name;
        int side, channels;
    } nets[] = {{"lenet", 28, 1}, {"resnet8", 16, 3}};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        const int side = nets[i].side, c = nets[i].channels;
        const oct_zoo_opts o = {.height = side, .width = side, .channels = c, .classes = 10};
        oct_net *net = oct_capture(oct_zoo_new(ctx, nets[i].name, &o), OCT_SHAPE(side, side, c));
        ck_assert_msg(net != NULL, "%s", oct_error_message());
        oct_net *i8 = calibrated(net, OCT_SHAPE(side, side, c), NULL);
        comes_back(nets[i].name, i8, OCT_SHAPE(side, side, c));
        oct_net_free(i8);
        oct_net_free(net);
    }
}
END_TEST

/* ---- onnxruntime's files, and PyTorch's ---- */

static void golden_path(const char *name, char path[1024]) {
    snprintf(path, 1024, "%s/tests/golden/onnx/%s.onnx", OCT_SOURCE_DIR, name);
}

/* x as the generator made it, laid out as octet has images. */
static oct_tensor *golden_input(int64_t h, int64_t w, int64_t c) {
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, h, w, c));
    for (int64_t i = 0; i < oct_tensor_count(x); i++) {
        const int64_t ch = i % c, col = i / c % w, row = i / c / w % h, n = i / c / w / h;
        const int64_t theirs = ((n * c + ch) * h + row) * w + col;
        oct_f32(x)[i] = (float)((37 * theirs + 11) % 64) / 16 - 2;
    }
    return x;
}

START_TEST(others_files_give_onnxruntimes_codes) {
    static const struct {
        const char *name;
        int h, w, c;
    } files[] = {
        {"static_u8", 9, 8, 3},       {"static_s8", 9, 8, 3},      {"qdq", 7, 7, 2},
        {"torch_converted", 8, 6, 2}, {"torch_channels", 8, 6, 2}, {"torch_tensors", 8, 6, 2},
        {"torch_u7", 8, 6, 2},        {"torch_pt2e", 8, 6, 2}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[1024];
        golden_path(files[i].name, path);
        oct_net *in = oct_import_onnx(ctx, path, NULL);
        ck_assert_msg(in != NULL, "%s", oct_error_message());
        oct_convert_report report;
        oct_net *i8 = oct_convert(in, &report);
        ck_assert_msg(i8 != NULL, "%s", oct_error_message());
        ck_assert_int_eq(report.layers_float, 0);
        const oct_tensor *want = golden(ctx, "onnx/outputs.txt", files[i].name),
                         *x = golden_input(files[i].h, files[i].w, files[i].c);
        oct_net *const both[] = {in, i8}; /* simulation and plan */
        for (int k = 0; k < 2; k++) {
            oct_runner *r = oct_runner_new(both[k], NULL);
            const oct_tensor *y = oct_runner_run(r, x);
            ck_not_null(y);
            ck_assert_int_eq(oct_tensor_count(want), oct_tensor_count(y));
            for (int64_t e = 0; e < oct_tensor_count(y); e++)
                ck_assert_msg(fabsf(oct_f32(y)[e] - oct_f32(want)[e]) < 1e-5f, "%s[%d]: %g for %g",
                              files[i].name, (int)e, (double)oct_f32(y)[e],
                              (double)oct_f32(want)[e]);
            oct_runner_free(r);
        }
        oct_net_free(in);
        oct_net_free(i8);
    }
}
END_TEST

/* ---- what octet has no such codes for ---- */

static OctiOnnx__ModelProto *file; /* of golden/onnx, to be spoiled */

static void open_named(const char *name) {
    static uint8_t bytes[1 << 14];
    char path[1024];
    golden_path(name, path);
    FILE *f = fopen(path, "rb");
    ck_assert(f != NULL);
    const size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    file = octi_onnx__model_proto__unpack(NULL, size, bytes);
    ck_assert(file != NULL);
}

static void open_file(void) { open_named("qdq"); }

static OctiOnnx__TensorProto *constant(const char *name) {
    for (size_t i = 0; i < file->graph->n_initializer; i++)
        if (!strcmp(file->graph->initializer[i]->name, name)) return file->graph->initializer[i];
    ck_abort_msg("no %s", name);
    return NULL;
}

static void set(const char *name, int type, const void *data, size_t bytes, int64_t count) {
    OctiOnnx__TensorProto *t = constant(name);
    t->data_type = type;
    free(t->raw_data.data);
    t->raw_data.data = malloc(bytes);
    memcpy(t->raw_data.data, data, bytes);
    t->raw_data.len = bytes;
    if (count) {
        free(t->dims);
        t->dims = malloc(sizeof *t->dims);
        t->dims[0] = count;
        t->n_dims = 1;
    }
}

static oct_net *read_file(bool as_floats) {
    const size_t size = octi_onnx__model_proto__get_packed_size(file);
    uint8_t *bytes = malloc(size);
    octi_onnx__model_proto__pack(file, bytes);
    oct_clear_error();
    oct_net *net =
        oct_import_onnx_memory(ctx, bytes, size, &(oct_import_onnx_opts){.as_floats = as_floats});
    free(bytes);
    return net;
}

static void refused(const char *why, bool floats) {
    ck_assert(read_file(false) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUNSUPPORTED);
    ck_assert_msg(strstr(oct_error_message(), why) != NULL, "%s: %s", why, oct_error_message());
    ck_assert_int_eq(strstr(oct_error_message(), ".as_floats") != NULL, floats);
    oct_net *net = read_file(true);
    ck_assert_msg((net != NULL) == floats, "%s", oct_error_message());
    if (net) ck_assert_int_eq(oct_net_stage(net), OCT_STAGE_FLOAT);
    oct_net_free(net);
    octi_onnx__model_proto__free_unpacked(file, NULL);
}

enum {
    U8 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    S16 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT16,
    F32 = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
};

START_TEST(other_codes_are_named) {
    static const uint8_t low[4] = {0, 0, 0, 0}, high = 130;
    static const float two[2] = {0.5f, 0.25f};
    static const int16_t zero16 = 0;
    open_file();
    set("zx", S16, &zero16, 2, 0);
    refused("QuantizeLinear (node xdq): codes of more than 8 bits", true);
    open_file(); /* u8 weights whose zero points lie at an end */
    constant("w")->data_type = U8;
    set("zw", U8, low, 4, 0);
    refused("weights of codes", true);
    open_file(); /* scales along the inputs */
    static const float six[36] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int8_t none[36];
    set("sl", F32, six, sizeof six, 36);
    set("zl", OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8, none, 36, 36);
    refused("scales of weights along axis 1", true);
    open_file();
    set("sc", F32, two, sizeof two, 2);
    set("zero", U8, low, 2, 2);
    refused("of the net's values, per axis", false);
    open_file(); /* u8 weights around 128 are s8 */
    OctiOnnx__TensorProto *wl = constant("wl");
    for (size_t k = 0; k < wl->raw_data.len; k++) wl->raw_data.data[k] ^= 0x80;
    wl->data_type = U8;
    set("zl", U8, (uint8_t[]){128}, 1, 0);
    oct_net *net = read_file(false);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    oct_net_free(net);
    set("zl", U8, &high, 1, 0);
    refused("weights of codes", true);
}
END_TEST

/* Node k of that op. */
static OctiOnnx__NodeProto *node(const char *op, int k) {
    for (size_t i = 0; i < file->graph->n_node; i++)
        if (!strcmp(file->graph->node[i]->op_type, op) && !k--) return file->graph->node[i];
    ck_abort_msg("no %s", op);
    return NULL;
}

static OctiOnnx__NodeProto *maker(const char *value) {
    for (size_t i = 0; i < file->graph->n_node; i++)
        if (!strcmp(file->graph->node[i]->output[0], value)) return file->graph->node[i];
    ck_abort_msg("no %s", value);
    return NULL;
}

static void put(char **word, const char *by) {
    char *copy = strdup(by);
    free(*word);
    *word = copy;
}

static void without_attributes(OctiOnnx__NodeProto *p) {
    for (size_t i = 0; i < p->n_attribute; i++)
        octi_onnx__attribute_proto__free_unpacked(p->attribute[i], NULL);
    p->n_attribute = 0;
}

static OctiOnnx__NodeProto *cast_of_codes(void) {
    for (int k = 0;; k++) {
        OctiOnnx__NodeProto *p = node("Cast", k);
        if (p->attribute[0]->i == U8) return p;
    }
}

/* PyTorch casts u8 codes to u8. */
START_TEST(codes_are_passed_on) {
    open_named("torch_converted");
    cast_of_codes()->attribute[0]->i = OCTI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8;
    refused("of codes of type uint8 to int8", false);
    open_named("torch_converted");
    OctiOnnx__NodeProto *p = cast_of_codes();
    put(&p->op_type, "Identity");
    without_attributes(p);
    oct_net *net = read_file(false);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    oct_net_free(net);
    for (size_t i = 0; i < file->graph->n_node; i++) { /* what reads its codes takes no codes */
        OctiOnnx__NodeProto *reader = file->graph->node[i];
        if (!reader->n_input || strcmp(reader->input[0], p->output[0])) continue;
        put(&reader->op_type, "Relu");
        while (reader->n_input > 1) free(reader->input[--reader->n_input]);
    }
    refused("its codes are read by Relu; DequantizeLinear is taken", false);
}
END_TEST

/* PyTorch's codes of 7 bits: a Clip behind QuantizeLinear. */
START_TEST(fewer_codes_are_clipped) {
    open_named("torch_u7");
    oct_net *net = read_file(false);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    for (int32_t v = 0; v < net->graph->quantizer_count; v++)
        if (net->graph->quantizers[v].role == OCT_QUANTIZER_FIXED)
            ck_assert_int_eq(net->graph->quantizers[v].spec.qmax, 127);
    oct_net_free(net);
    OctiOnnx__NodeProto *p = node("Clip", 0); /* another lowest code is no grid of octet's */
    put(&p->input[1], p->input[2]);
    refused("Clip (node", false);
    open_named("torch_u7"); /* nor is a second reader's range */
    const OctiOnnx__NodeProto *add = node("Add", 0);
    for (int k = 1; !strstr(add->input[1], "activation"); k++) add = node("Add", k);
    const OctiOnnx__NodeProto *one = maker(add->input[1]);
    OctiOnnx__NodeProto *two = maker(add->input[0]);
    for (int k = 1; k < 3; k++) put(&two->input[k], one->input[k]);
    put(&two->input[0], maker(one->input[0])->input[0]);
    refused("Clip (node", false);
}
END_TEST

/* -128 times a factor below 0 is 128, which no code is; another such factor behind it makes it -128
 * again. */
START_TEST(codes_that_no_factor_turns_round_stay_float) {
    for (int turned = 0; turned < 2; turned++) {
        open_named("torch_channels");
        OctiOnnx__TensorProto *by = constant(node("Div", 0)->input[1]);
        float v[4];
        ck_assert_uint_eq(by->raw_data.len, sizeof v);
        memcpy(v, by->raw_data.data, sizeof v);
        for (int c = 0; turned && c < 4; c++) v[c] = -v[c];
        memcpy(by->raw_data.data, v, sizeof v);
        ck_assert(v[2] < 0 || turned);
        oct_net *in = read_file(false);
        ck_assert_msg(in != NULL, "%s", oct_error_message());
        oct_convert_report report;
        oct_net *i8 = oct_convert(in, &report);
        ck_assert_msg(i8 != NULL, "%s", oct_error_message());
        ck_assert_int_eq(report.layers_float > 0, turned);
        oct_net_free(i8);
        oct_net_free(in);
        octi_onnx__model_proto__free_unpacked(file, NULL);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("onnx_qdq", setup, teardown, random_nets_come_back, the_zoo_comes_back,
                   others_files_give_onnxruntimes_codes, other_codes_are_named, codes_are_passed_on,
                   fewer_codes_are_clipped, codes_that_no_factor_turns_round_stay_float)
