/* SPDX-License-Identifier: MIT
 * tests/api_world.h - one valid object of each type of the interface, for test_api: small, but
 * real. */
#ifndef OCT_TESTS_API_WORLD_H
#define OCT_TESTS_API_WORLD_H

#include <float.h>
#include <limits.h>
#include <math.h>

#include "tests/temp_folder.h"

#include "octet.h"
#include "src/format/npz.h"

static struct {
    oct_ctx *ctx;
    oct_module *module, *cell, *modules[2];
    oct_net *net, *fused, *prepared, *searching, *swinging, *int8, *dynamic;
    oct_data *data;
    oct_loader *loader;
    oct_tape *tape;
    oct_var *x, *flat, *vars[2];
    oct_tensor *tensors[2], *hidden;
    oct_value *values[2];
    oct_optim *optim;
    oct_plan *plan;
    oct_session *session;
    oct_sim *sim;
    oct_runner *runner;
    int32_t count; /* what the last list had */
    uint8_t *bytes;
    size_t size;
    oct_class classes[2];
    const char *lists[2];
    void *nothing[64];
    char long_text[4000];
} w;

static inline oct_tensor *w_tensor(oct_dtype t, const int64_t *dim, int rank) {
    oct_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++) s.dim[i] = dim[i];
    oct_tensor *x = oct_tensor_new(w.ctx, t, s);
    for (int64_t i = 0; x && t == OCT_F32 && i < oct_tensor_count(x); i++)
        oct_f32(x)[i] = (float)(i % 7 + 1) * 0.25f;
    return x;
}
#define W_TENSOR(t, ...)                                                                           \
    w_tensor(t, (const int64_t[]){__VA_ARGS__},                                                    \
             (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define f32(...) W_TENSOR(OCT_F32, __VA_ARGS__)
#define s32(...) W_TENSOR(OCT_S32, __VA_ARGS__)
#define u8(...)  W_TENSOR(OCT_U8, __VA_ARGS__)
static inline oct_tensor *scalar(void) { return w_tensor(OCT_F32, NULL, 0); }

/* Room for any output, and zeros for any input that is plain memory. */
static inline void *w_room(void) {
    static _Alignas(64) char room[8][1 << 16];
    static int turn;
    return memset(room[++turn % 8], 0, sizeof room[0]);
}

static inline oct_attrs w_attrs(void) {
    return (oct_attrs){.kernel = {3, 3},
                       .stride = {1, 1},
                       .dilation = {1, 1},
                       .groups = {1},
                       .axis = {3},
                       .range = {1, 3},
                       .eps = 1e-5f,
                       .momentum = 0.1f,
                       .p = 0.5f,
                       .least = -1,
                       .most = 1,
                       .slope = 0.1f,
                       .temperature = 2};
}
static inline oct_input_desc w_input(void) {
    return (oct_input_desc){.channels = 4,
                            .height = 6,
                            .width = 6,
                            .color = OCT_COLOR_RGB,
                            .div = 1,
                            .std = {1, 1, 1, 1}};
}
static inline oct_input_desc w_pixels(void) {
    return (oct_input_desc){.channels = 3,
                            .height = 2,
                            .width = 2,
                            .color = OCT_COLOR_RGB,
                            .div = 255,
                            .std = {1, 1, 1, 1}};
}
static inline oct_lstm_weights w_lstm(void) {
    return (oct_lstm_weights){f32(12, 4), f32(12, 3), f32(12), f32(12)};
}
static inline oct_lstm_saved w_saved_of(int t) {
    w.hidden = f32(2, t, 3);
    return (oct_lstm_saved){f32(2, t, 12), f32(2, t, 3), w.hidden};
}
static inline oct_lstm_saved w_saved(void) { return w_saved_of(5); }

static inline void w_watch(void *user, const oct_watched *x) { (void)user, (void)x; }
static inline oct_var *w_forward(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, x;
}
static inline int w_option(void *user, const char *key, const char *value) {
    return (void)user, (void)key, (void)value, 0;
}
static inline void w_line(void *user, const char *text) { (void)user, (void)text; }
static inline oct_status w_get(void *user, int64_t i, void *image, int32_t *label) {
    (void)user;
    for (int k = 0; k < 6 * 6 * 4; k++) ((float *)image)[k] = (float)((k + i) % 5);
    *label = (int32_t)(i % 2);
    return OCT_OK;
}
/* 2 x 2 pixels, 24 bits. */
static inline const void *w_bmp(void) {
    static const unsigned char b[54 + 16] = {'B', 'M', 70, 0, 0,  0, 0, 0, 0, 0, 54, 0,
                                             0,   0,   40, 0, 0,  0, 2, 0, 0, 0, 2,  0,
                                             0,   0,   1,  0, 24, 0, 0, 0, 0, 0, 16};
    return b;
}
static inline oct_layer *w_layers(void) {
    oct_layer *rows = NULL;
    ck_ok(oct_layers(w.prepared, NULL, 0, &rows, &w.count));
    return rows;
}
static inline oct_placement *w_placements(void) {
    oct_placement *rows = NULL;
    ck_ok(oct_net_placements(w.prepared, &rows, &w.count));
    return rows;
}
static inline oct_report *w_report(void) {
    return oct_report_new(w.ctx, (const char *[]){"run"}, 1, NULL);
}
static inline oct_eval *w_eval(void) {
    static oct_eval e;
    ck_ok(oct_evaluate(w.prepared, w.data, NULL, &e));
    return &e;
}

static inline oct_module *w_layers_of(void) {
    oct_module *parts[] = {
        oct_conv2d_new(w.ctx, &(oct_conv2d_opts){.in = 4, .out = 4, .kernel = 3}),
        oct_batch_norm_new(w.ctx, &(oct_batch_norm_opts){.channels = 4}), oct_relu_new(w.ctx),
        oct_flatten_new(w.ctx), oct_linear_new(w.ctx, &(oct_linear_opts){.in = 64, .out = 2})};
    return oct_sequential_new(w.ctx, parts, 5);
}
static inline oct_net *w_prepared(const oct_qconfig *c) {
    oct_net *q = oct_prepare(w.net, c);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, w.data, 8));
    return q;
}

static inline void w_write(const char *name, const void *bytes, size_t size) {
    FILE *f = fopen(name, "wb");
    ck_assert(f && fwrite(bytes, 1, size, f) == size && !fclose(f));
}

static inline void w_set(void) { /* for w.net, with a test part */
    static float x[16 * 144];
    static int32_t y[16];
    for (int i = 0; i < 16 * 144; i++) x[i] = (float)(i * 37 % 101) / 50.0f - 1;
    for (int i = 0; i < 16; i++) y[i] = i & 1;
    const octi_npz_array a[] = {{"x", OCT_F32, OCT_SHAPE(8, 4, 6, 6), x},
                                {"y", OCT_S32, OCT_SHAPE(8), y},
                                {"x_test", OCT_F32, OCT_SHAPE(8, 4, 6, 6), x + 8 * 144},
                                {"y_test", OCT_S32, OCT_SHAPE(8), y}};
    ck_ok(octi_npz_write(w.ctx, "set.npz", a, 4));
}

/* A net of ONNX, as golden/onnx has it. */
static inline const uint8_t *w_onnx(size_t *size) {
    static uint8_t bytes[4096];
    FILE *f = fopen(OCT_SOURCE_DIR "/tests/golden/onnx/typed.onnx", "rb");
    ck_assert(f != NULL);
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (size) *size = n;
    return bytes;
}

static inline size_t w_onnx_size(void) {
    size_t n;
    w_onnx(&n);
    return n;
}

static inline void w_files(void) {
    w_set();
    w_write("net.onnx", w_onnx(NULL), w_onnx_size());
    ck_ok(oct_int8_save(w.int8, "net.oct8"));
    ck_ok(oct_net_save_weights(w.net, "w.safetensors"));
    ck_ok(oct_net_save_weights(oct_capture(oct_zoo_new(w.ctx, "lenet", NULL), OCT_SHAPE(28, 28, 1)),
                               "lenet.safetensors"));
    ck_ok(oct_npz_save(w.ctx, "x.npz", f32(2, 6, 6, 4), 0, 0));
    ck_ok(oct_run_save(w.prepared, "run", NULL, false));
    ck_ok(oct_run_save_probe(w.prepared, "run", w.data, 4));
    w_write("i.bmp", w_bmp(), 70);
    w_write("rules.json", "{\"rules\": []}", 13);
}

static inline void w_record(void) {
    oct_tape_begin(w.tape, OCT_TRAIN);
    w.x = oct_input(w.tape, f32(2, 6, 6, 4));
    w.flat = oct_input(w.tape, f32(2, 4));
    w.vars[0] = w.vars[1] = w.x;
}

static inline void w_make(void) {
    w.ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = (size_t)256 << 20});
    ck_not_null(w.ctx);
    for (size_t i = 0; i + 1 < sizeof w.long_text; i++) w.long_text[i] = 'x';
    float *x = w_room();
    for (int i = 0; i < 8 * 144; i++) x[i] = (float)(i * 37 % 101) / 50.0f - 1;
    static const int32_t labels[] = {0, 1, 0, 1, 0, 1, 0, 1};
    static float images[8 * 144];
    memcpy(images, x, sizeof images);
    w.data = oct_data_from_memory(w.ctx, OCT_F32, OCT_SHAPE(8, 6, 6, 4), images, labels,
                                  &(oct_array_opts){.classes = 2});
    w.loader = oct_loader_new(w.data, &(oct_loader_opts){.batch = 2, .no_prefetch = true});
    ck_not_null(w.loader);
    ck_ok(oct_loader_start(w.loader, 0, 0));
    w.classes[0] = (oct_class){"a", "cat"}, w.classes[1] = (oct_class){"b", "dog"};
    w.lists[0] = "0,1", w.lists[1] = NULL;
    w.module = w_layers_of();
    w.cell = oct_lstm_cell_new(w.ctx, &(oct_lstm_opts){.in = 4, .hidden = 3});
    w.net = oct_capture(w.module, OCT_SHAPE(6, 6, 4));
    ck_not_null(w.net);
    ck_ok(oct_net_describe(w.net, w.data));
    w.fused = oct_fuse(w.net);
    w.prepared = w_prepared(NULL);
    w.searching = w_prepared(&(oct_qconfig){.observer = "entropy"});
    w.swinging = w_prepared(&(oct_qconfig){.wbits = 4, .all_layers = true});
    ck_ok(oct_oscillation_start(w.swinging));
    w.int8 = oct_convert(w.prepared, NULL);
    ck_not_null(w.int8);
    w.dynamic = oct_quantize_dynamic(w.net, NULL);
    ck_not_null(w.dynamic);
    w.modules[0] = oct_relu_new(w.ctx), w.modules[1] = oct_flatten_new(w.ctx);
    w.tape = oct_tape_new(w.ctx);
    w_record();
    w.tensors[0] = w.tensors[1] = f32(2, 6, 6, 4);
    w.values[0] = w.values[1] = &w.net->graph->values[w.net->graph->input];
    w.hidden = f32(2, 5, 3);
    int32_t n;
    const oct_named_tensor *p = oct_net_parameters(w.net, &n);
    w.count = n;
    w.optim = oct_optim_new(w.ctx, p, n, &(oct_optim_opts){.lr = 0.1f});
    w.plan = oct_plan_new(w.int8, &(oct_plan_opts){.unfused = true, .profile = true});
    w.session = oct_session_new(w.plan, 4, NULL, 0);
    ck_not_null(w.session);
    ck_ok(oct_session_run(w.session, images, 4, w_room()));
    w.sim = oct_sim_new(w.prepared);
    ck_not_null(oct_sim_run(w.sim, f32(2, 6, 6, 4)));
    w.runner = oct_runner_new(w.prepared, &(oct_runner_opts){.batch = 4, .values = true});
    ck_not_null(oct_runner_run(w.runner, f32(2, 6, 6, 4)));
    ck_ok(oct_int8_save_memory(w.int8, &w.bytes, &w.size));
    w_files();
    ck_ok(oct_ctx_status(w.ctx));
}

#endif
