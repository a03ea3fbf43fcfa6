/* SPDX-License-Identifier: MIT
 * What a small file may ask for: no memory for sizes that only its words claim. And --limit: evenly
 * over a set. */
#include "tests/temp_folder.h"

#include "autograd/nn/nn.h"
#include "ops/ops.h"
#include "qat/fit/fit.h"
#include "qat/infer/infer.h"
#include "qat/io/import.h"
#include "src/format/npz.h"

static oct_net *tiny(oct_ctx *ctx) {
    oct_module *parts[] = {oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 2, .kernel = 3}),
                           oct_relu_new(ctx), oct_flatten_new(ctx)};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 3), OCT_SHAPE(6, 6, 1));
    ck_not_null(net);
    ck_ok(oct_net_set_classes(net, &(oct_class){"0", "0"}, 1));
    return net;
}

/* Replace `from` by `to` in a file of the run. */
static void edit(const char *name, const char *from, const char *to) {
    char path[128], text[20000], out[21000];
    snprintf(path, sizeof path, "%s/run/%s", root, name);
    FILE *f = fopen(path, "rb");
    ck_assert(f != NULL);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    char *at = strstr(text, from);
    ck_assert_msg(at != NULL, "%s lacks %s", path, from);
    int size = snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    f = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(out, 1, (size_t)size, f), (size_t)size);
    fclose(f);
}

static void refused(const char *dir, oct_status want, const char *text) {
    oct_ctx *ctx = oct_open(NULL);
    oct_clear_error();
    ck_assert(oct_run_load(ctx, dir, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, want);
    ck_assert_msg(strstr(oct_error_message(), text) != NULL, "%s", oct_error_message());
    ck_assert_msg(oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES) < 4 << 20, "%zu bytes",
                  oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES));
    oct_close(ctx);
}

START_TEST(a_run_gets_no_memory_for_words) {
    fresh_root();
    char dir[128];
    snprintf(dir, sizeof dir, "%s/run", root);
    oct_ctx *ctx = oct_open(NULL);
    ck_ok(oct_run_save(tiny(ctx), dir, NULL, false));
    ck_not_null(oct_run_load(ctx, dir, NULL));
    edit("graph.json",
         "\"name\": \"1\", \"role\": \"act\", \"dtype\": \"float32\", \"shape\": [-1, 4",
         "\"name\": \"1\", \"role\": \"act\", \"dtype\": \"float32\", \"shape\": [8, 4");
    refused(dir, OCT_EFORMAT, "1: output: expected float32 [N, 4, 4, 2], got float32 [8, 4, 4, 2]");
    edit("graph.json", "[8, 4", "[-1, 4");
    edit("graph.json", "[-1, 6, 6, 1]", "[2, 6, 6, 1]");
    refused(dir, OCT_EFORMAT, "shape of the input");
    edit("graph.json", "[2, 6, 6, 1]", "[-1, 6, 6, 1]");
    ck_not_null(oct_run_load(ctx, dir, NULL));
    edit("graph.json", "\"dtype\":\"float32\",\"shape\":[2,3,3,1]",
         "\"dtype\":\"float32\",\"shape\":[20000,3,3,20000]");
    refused(dir, OCT_EFORMAT, "shape of 0.weight");
    edit("graph.json", "\"shape\":[20000,3,3,20000]", "\"shape\":[1099511627776,3,3,1]");
    refused(dir, OCT_EFORMAT, "shape of 0.weight");
    edit("graph.json", "\"name\":\"0.weight\",\"role\"", "\"name\":\"0.other\",\"role\"");
    refused(dir, OCT_EFORMAT, "no weights in the run");
    oct_close(ctx);
    remove_root();
}
END_TEST

/* Names are looked up one by one: a file of some MB must not take minutes. */
START_TEST(a_run_has_so_many_tensors) {
    enum { MANY = 16385 };
    fresh_root();
    oct_ctx *ctx = oct_open(NULL);
    oct_net *net = tiny(ctx);
    ck_ok(oct_run_save(net, in_root("run"), NULL, false));
    char text[20000];
    FILE *f = fopen(in_root("run/graph.json"), "r");
    ck_assert(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    char *list = strstr(text, "\"tensors\":[") + 11;
    f = fopen(in_root("run/graph.json"), "w");
    ck_assert(f != NULL);
    fprintf(f, "%.*s", (int)(list - text), text);
    for (int i = 0; i < MANY; i++) fprintf(f, "%d,", i);
    fprintf(f, "%s", list);
    ck_assert(!fclose(f));
    ck_assert(oct_run_load(ctx, in_root("run"), NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_assert_msg(strstr(oct_error_message(), "run/graph.json"), "%s", oct_error_message());
    oct_tensor *one = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
    for (int i = net->tensor_count; i < MANY; i++)
        ck_ok(octi_net_register(net, octi_fmt("more.%d", i), OCT_ROLE_BUFFER, one));
    oct_clear_error();
    ck_fails(OCT_ELIMIT, "other: tensors of the net",
             oct_run_save(net, in_root("other"), NULL, false));
    oct_close(ctx);
    remove_root();
}
END_TEST

/* Weights of another program may hold scales and zero points that no range gives. */
START_TEST(loaded_weights_are_judged) {
    fresh_root();
    oct_ctx *ctx = oct_open(NULL);
    oct_net *q = oct_prepare(tiny(ctx), NULL);
    ck_not_null(q);
    oct_tensor *scale = oct_net_tensor(q, "0.activation_post_process.scale"),
               *zero = oct_net_tensor(q, "0.activation_post_process.zero_point");
    ck_assert(scale && zero);
    const char *path = in_root("w.safetensors");
    ck_ok(oct_net_save_weights(q, path));
    ck_ok(oct_net_load_weights(q, path, NULL, NULL));
    oct_f32(scale)[0] = -1;
    ck_ok(oct_net_save_weights(q, path));
    ck_fails(OCT_EQPARAMS, "w.safetensors: 0: scale out of range: expected finite and > 0, got -1",
             oct_net_load_weights(q, path, NULL, NULL));
    oct_f32(scale)[0] = 1;
    oct_s32(zero)[0] = -1000000000;
    ck_ok(oct_net_save_weights(q, path));
    ck_fails(OCT_EQPARAMS, "zero point outside the codes",
             oct_net_load_weights(q, path, NULL, NULL));
    oct_close(ctx);
    remove_root();
}
END_TEST

/* The same net for images of another size. */
static void resize(oct_net *net, int64_t side) {
    oct_graph *g = net->graph;
    g->values[g->input].shape.dim[1] = g->values[g->input].shape.dim[2] = side;
    for (int32_t i = 0; i < g->node_count; i++) {
        const oct_node *n = &g->nodes[i];
        const oct_value *in[8];
        oct_value *out = &g->values[n->out];
        for (int32_t k = 0; k < n->nin; k++) in[k] = octi_node_in(g, n, k);
        ck_ok(oct_infer_shape(n->kind, &n->attr, in, n->nin, n->name, &out->dtype, &out->shape));
    }
    net->input.height = net->input.width = (int32_t)side;
}

START_TEST(an_int8_file_gets_no_memory_for_words) {
    oct_ctx *ctx = oct_open(&(oct_opts){.max_bytes = (size_t)1 << 36}), *plain = oct_open(NULL);
    oct_net *g2 = oct_prepare(tiny(ctx), NULL);
    ck_not_null(g2);
    float x[4 * 36];
    int32_t labels[4] = {0};
    for (int i = 0; i < 4 * 36; i++) x[i] = (float)(i % 7) - 3;
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(4, 6, 6, 1), x, labels, NULL);
    ck_ok(oct_calibrate(g2, d, 4));
    oct_net *int8 = oct_convert(g2, NULL);
    ck_not_null(int8);
    resize(int8, 20000);
    uint8_t *bytes;
    size_t size;
    ck_ok(oct_int8_save_memory(int8, &bytes, &size)); /* its context allows 64 GiB */
    ck_assert_uint_lt(size, 1 << 16);
    ck_not_null(oct_int8_load_memory(ctx, bytes, size, "wide"));
    ck_assert(oct_int8_load_memory(plain, bytes, size, "wide") == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_assert_msg(strstr(oct_error_message(), "max_bytes") != NULL, "%s", oct_error_message());
    ck_assert_uint_lt(oct_ctx_memory(plain, OCT_MEMORY_PEAK_BYTES), 4 << 20);
    /* each value fits in 1 GiB, all that live at once do not: the plan says so */
    resize(int8, 11000);
    oct_int8_bytes_free(ctx, bytes);
    ck_ok(oct_int8_save_memory(int8, &bytes, &size));
    oct_net *net = oct_int8_load_memory(plain, bytes, size, "wide");
    ck_not_null(net);
    ck_not_null(oct_plan_new(net, NULL));
    ck_assert(oct_plan_new(net, &(oct_plan_opts){.unfused = true}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_assert_uint_lt(oct_ctx_memory(plain, OCT_MEMORY_PEAK_BYTES), 4 << 20);
    oct_int8_bytes_free(ctx, bytes);
    oct_close(plain);
    oct_close(ctx);
}
END_TEST

START_TEST(limit_is_even) {
    fresh_root();
    char path[128], spec[160];
    snprintf(path, sizeof path, "%s/set.npz", root);
    snprintf(spec, sizeof spec, "npz:%s", path);
    enum { N = 90 };
    uint8_t x[N][4];
    int32_t y[N];
    for (int i = 0; i < N; i++) { /* class by class */
        memset(x[i], i, 4);
        y[i] = i / 30;
    }
    oct_ctx *ctx = oct_open(NULL);
    octi_npz_array arrays[] = {{"x", OCT_U8, OCT_SHAPE(N, 1, 2, 2), x},
                               {"y", OCT_S32, OCT_SHAPE(N), y}};
    ck_ok(octi_npz_write(ctx, path, arrays, 2));
    oct_data *d = oct_data_open(ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_ALL, .limit = 7});
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 7);
    int64_t counts[3];
    ck_ok(oct_data_class_counts(d, counts));
    ck_assert(counts[0] == 3 && counts[1] == 2 && counts[2] == 2);
    for (int i = 0; i < 7; i++) {
        uint8_t image[4];
        int32_t label;
        ck_ok(oct_data_get(d, i, image, &label));
        ck_assert_int_eq(image[3], i * N / 7);
        ck_assert_int_eq(label, y[image[0]]);
    }
    oct_data *all =
        oct_data_open(ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_ALL, .limit = 1000});
    ck_assert_int_eq(oct_data_count(all), N);
    oct_close(ctx);
    remove_root();
}
END_TEST

OCT_TEST_MAIN("limits", a_run_gets_no_memory_for_words, a_run_has_so_many_tensors,
              loaded_weights_are_judged, an_int8_file_gets_no_memory_for_words, limit_is_even)
