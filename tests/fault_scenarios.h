/* SPDX-License-Identifier: MIT
 * tests/fault_scenarios.h - what a program does with octet from end to end, for tests in which
 * memory fails: the context's (test_faults.c), the C heap's (test_malloc_faults.c). For one file of
 * a test program. */
#ifndef OCT_TESTS_FAULT_SCENARIOS_H
#define OCT_TESTS_FAULT_SCENARIOS_H

#include <sys/stat.h>

#include "octet.h"
#include "src/format/npz.h"
#include "src/mem.h"
#include "tests/temp_folder.h"

/* ---- what runs: a net with a branch, batch norm, add, cat, pool, linear on 8 images of 6x6
 * ---- */

enum { SIDE = 6, IMAGES = 8, CLASSES = 3 };
static uint8_t pixels[IMAGES * SIDE * SIDE];
static int32_t labels[IMAGES];
static uint8_t *file8; /* the int8 file */
static size_t file8_size;

typedef struct parts {
    oct_module *conv1, *bn1, *conv2, *fc;
} parts;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    parts *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    oct_var *y = oct_relu(oct_add(oct_apply(n->conv2, x), x));
    y = oct_max_pool2d(oct_cat((oct_var *[]){y, x}, 2, 3), &(oct_pool_opts){.kernel = 2});
    return oct_apply(n->fc, oct_flatten(y));
}

static oct_net *make_net(oct_ctx *ctx) {
    static parts n;
    oct_module *m = oct_module_new(ctx, forward, &n);
    n.conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(
            ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 3, .pad = 1, .no_bias = true}));
    n.bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}));
    n.conv2 = oct_module_add(
        m, "conv2",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 4, .kernel = 3, .pad = 1}));
    n.fc = oct_module_add(m, "fc",
                          oct_linear_new(ctx, &(oct_linear_opts){.in = 8 * 9, .out = CLASSES}));
    return oct_capture(m, OCT_SHAPE(SIDE, SIDE, 1));
}

static oct_data *make_data(oct_ctx *ctx) {
    return oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pixels, labels,
                                &(oct_array_opts){.classes = CLASSES});
}

/* "folder:" and a path in the root. */
static const char *of_root(const char *kind, const char *name) {
    static char spec[200];
    snprintf(spec, sizeof spec, "%s%s", kind, in_root(name));
    return spec;
}

static oct_status failed(void) { return oct_last_error()->code; }

static oct_status train(oct_ctx *ctx, oct_net *net, const char *run) {
    oct_data *d = net ? make_data(ctx) : NULL;
    oct_status s = d ? oct_fit(net, d,
                               &(oct_fit_opts){.epochs = 1,
                                               .batch = 4,
                                               .run = run,
                                               .force = run != NULL,
                                               .test = d,
                                               .bn_images = 8})
                     : failed();
    oct_data_free(d);
    return s;
}

/* ---- scenarios ---- */

static oct_status capture_and_train(oct_ctx *ctx) {
    oct_net *net = make_net(ctx);
    oct_status s = train(ctx, net, NULL);
    oct_net_free(net);
    return s;
}

static oct_status train_a_run(oct_ctx *ctx) {
    oct_net *net = make_net(ctx);
    oct_status s = train(ctx, net, in_root("train"));
    oct_net_free(net);
    return s;
}

static oct_net *load_float(oct_ctx *ctx) { return oct_run_load(ctx, in_root("float"), NULL); }

static oct_status qat_with(oct_ctx *ctx, const oct_qconfig *c) {
    oct_net *net = load_float(ctx), *q = net ? oct_prepare(net, c) : NULL;
    oct_status s = train(ctx, q, NULL);
    oct_net_free(q);
    oct_net_free(net);
    return s;
}

static oct_status qat(oct_ctx *ctx) { return qat_with(ctx, NULL); }
static oct_status qat_lsq(oct_ctx *ctx) {
    return qat_with(ctx, &(oct_qconfig){.method = OCT_METHOD_LSQ_PLUS, .wbits = 3, .abits = 3});
}

static oct_status classify(const oct_net *net) {
    oct_plan *plan = oct_plan_new(net, NULL);
    oct_session *s = plan ? oct_session_new(plan, 2, NULL, 0) : NULL;
    int32_t index[2];
    oct_status st = s ? oct_session_classify_u8(s, pixels, 2, index) : failed();
    oct_session_free(s);
    oct_plan_free(plan);
    return st;
}

static oct_status ptq_with(oct_ctx *ctx, const oct_net *net, const char *observer) {
    oct_net *q = net ? oct_prepare(net, &(oct_qconfig){.observer = observer}) : NULL, *i8 = NULL;
    oct_data *d = q ? make_data(ctx) : NULL;
    oct_mismatch m = {.codes = 0};
    oct_layer *rows = NULL;
    int32_t count;
    oct_status s = d ? oct_calibrate(q, d, IMAGES) : failed();
    if (s == OCT_OK && !(i8 = oct_convert(q, NULL))) s = failed();
    if (s == OCT_OK) s = classify(i8);
    if (s == OCT_OK) s = oct_compare_data(q, i8, d, 0, &m);
    if (s == OCT_OK) s = oct_layers(q, d, 4, &rows, &count);
    if (s == OCT_OK) s = oct_layers_sweep(q, d, 4, rows, count, NULL);
    if (s == OCT_OK && m.mismatched) s = OCT_ECHECK;
    oct_layers_free(ctx, rows);
    oct_data_free(d);
    oct_net_free(i8);
    oct_net_free(q);
    return s;
}

static oct_status ptq(oct_ctx *ctx) {
    oct_net *net = load_float(ctx);
    oct_status s = net ? ptq_with(ctx, net, NULL) : failed();
    oct_net_free(net);
    return s;
}

static oct_status ptq_histogram(oct_ctx *ctx) {
    oct_net *net = load_float(ctx);
    oct_status s = net ? ptq_with(ctx, net, "entropy") : failed();
    oct_net_free(net);
    return s;
}

static oct_status improve(oct_ctx *ctx) {
    oct_net *net = load_float(ctx), *even = net ? oct_equalize(net, NULL) : NULL,
            *q = even ? oct_prepare(even, NULL) : NULL;
    oct_data *d = q ? make_data(ctx) : NULL;
    oct_status s = d ? oct_calibrate(q, d, IMAGES) : failed();
    oct_tensor *x = s == OCT_OK ? oct_calibration_inputs(q, d, 4) : NULL;
    if (s == OCT_OK && !x) s = failed();
    if (s == OCT_OK) s = oct_adaround(q, x, &(oct_adaround_opts){.iterations = 2, .rows = 16});
    if (s == OCT_OK) s = oct_correct_bias(q, x, NULL);
    oct_tensor_unref(x);
    oct_data_free(d);
    oct_net_free(q);
    oct_net_free(even);
    oct_net_free(net);
    return s;
}

static oct_status small_weights(oct_ctx *ctx) {
    oct_net *net = load_float(ctx);
    oct_net *(*const make[])(const oct_net *, const oct_weight_opts *) = {oct_quantize_dynamic,
                                                                          oct_quantize_weight_only};
    oct_status s = net ? OCT_OK : failed();
    for (int i = 0; s == OCT_OK && i < 3; i++) {
        oct_net *small = i < 2 ? make[i](net, NULL) : oct_half(net);
        s = small ? classify(small) : failed();
        oct_net_free(small);
    }
    oct_net_free(net);
    return s;
}

static oct_status int8_from_memory(oct_ctx *ctx) {
    oct_net *net = oct_int8_load_memory(ctx, file8, file8_size, "memory");
    uint8_t *bytes = NULL;
    size_t size = 0;
    oct_status s = net ? classify(net) : failed();
    if (s == OCT_OK) s = oct_int8_save_memory(net, &bytes, &size);
    if (s == OCT_OK && (size != file8_size || memcmp(bytes, file8, size))) s = OCT_ECHECK;
    oct_int8_bytes_free(ctx, bytes);
    oct_net_free(net);
    return s;
}

static oct_status load_and_save(oct_ctx *ctx, const char *from, const char *to) {
    oct_net *net = oct_run_load(ctx, in_root(from), NULL);
    oct_status s = net ? oct_run_save(net, in_root(to), "{\"a\":1}", true) : failed();
    oct_net_free(net);
    return s;
}

static oct_status run_float(oct_ctx *ctx) { return load_and_save(ctx, "float", "again"); }
static oct_status run_prepared(oct_ctx *ctx) { return load_and_save(ctx, "quant", "again8"); }

static oct_status import(oct_ctx *ctx) {
    oct_net *net =
        oct_import_torch(ctx, OCT_SOURCE_DIR "/tests/golden/torch_lenet16.safetensors",
                         &(oct_import_opts){.model = "lenet", .height = 16, .width = 16});
    oct_tensor *x =
        net ? oct_npz_images(net, OCT_SOURCE_DIR "/tests/golden/torch_lenet16.npz") : NULL;
    oct_runner *r = x ? oct_runner_new(net, NULL) : NULL;
    oct_status s = r && oct_runner_run(r, x) ? OCT_OK : failed();
    oct_runner_free(r);
    oct_tensor_unref(x);
    oct_net_free(net);
    return s;
}

static const oct_input_desc of_pictures = {.channels = 3,
                                           .height = 5,
                                           .width = 5,
                                           .color = OCT_COLOR_RGB,
                                           .resize = 5,
                                           .crop = 5,
                                           .div = 255,
                                           .std = {1, 1, 1}};

static oct_status load_batches(oct_ctx *ctx, const char *spec, bool pictures) {
    oct_data *d =
        oct_data_open(ctx, spec, pictures ? &(oct_data_opts){.input = &of_pictures} : NULL);
    const oct_loader_opts opts = {
        .batch = 2, .shuffle = true, .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP};
    oct_loader *l = d ? oct_loader_new(d, &opts) : NULL;
    oct_status s = l ? oct_loader_start(l, 0, 0) : failed();
    for (bool done = false; s == OCT_OK && !done;) {
        oct_batch b;
        s = oct_loader_next(l, &b, &done);
    }
    oct_loader_free(l);
    oct_data_free(d);
    return s;
}

/* ---- sets of data ---- */

static oct_status folder(oct_ctx *ctx) {
    return load_batches(ctx, of_root("folder:", "photos"), true);
}
static oct_status gzipped(oct_ctx *ctx) { return load_batches(ctx, of_root("idx:", "idx"), false); }
static oct_status arrays(oct_ctx *ctx) {
    return load_batches(ctx, of_root("npz:", "set.npz"), false);
}

static oct_status look_at_data(oct_ctx *ctx) {
    oct_data *d =
        oct_data_open(ctx, of_root("folder:", "photos"), &(oct_data_opts){.input = &of_pictures});
    oct_data_report *r = d ? oct_data_check(d, NULL, NULL) : NULL;
    oct_tensor *sheet = r ? oct_data_sheet(d, &(oct_sheet_opts){.rows = 1, .columns = 2}) : NULL;
    oct_status s = sheet ? OCT_OK : failed();
    oct_tensor_unref(sheet);
    oct_data_report_free(ctx, r);
    oct_data_free(d);
    return s;
}

/* ---- exchange ---- */

static oct_net *load_int8(oct_ctx *ctx) {
    return oct_int8_load_memory(ctx, file8, file8_size, "memory");
}

static oct_status onnx_and_back(oct_ctx *ctx) {
    oct_net *net = load_float(ctx), *back = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    oct_status s = net ? oct_export_onnx_memory(net, NULL, &bytes, &size) : failed();
    if (s == OCT_OK && !(back = oct_import_onnx_memory(ctx, bytes, size, NULL))) s = failed();
    oct_export_free(ctx, bytes);
    oct_net_free(back);
    oct_net_free(net);
    return s;
}

static oct_status onnx_of_codes(oct_ctx *ctx) {
    oct_net *net = load_int8(ctx);
    oct_status s = net ? OCT_OK : failed();
    for (int kernels = 0; s == OCT_OK && kernels < 2; kernels++)
        s = oct_export_onnx(net, in_root("codes.onnx"),
                            &(oct_onnx_opts){.integer_kernels = kernels});
    oct_net_free(net);
    oct_onnx_file *f = s == OCT_OK ? oct_onnx_open(ctx, in_root("codes.onnx")) : NULL;
    if (s == OCT_OK)
        s = f ? oct_onnx_expose(f, (int32_t[]){0, 2}, 2, in_root("seen.onnx")) : failed();
    oct_onnx_close(f);
    return s;
}

static oct_status c_files(oct_ctx *ctx) {
    oct_net *net = load_int8(ctx);
    oct_status s = net ? oct_export_c(net, in_root("c"), NULL, NULL) : failed();
    oct_net_free(net);
    return s;
}

static oct_status tensor_files(oct_ctx *ctx) {
    oct_net *net = load_float(ctx);
    int32_t missing, unused;
    oct_status s = net ? oct_export_safetensors(net, in_root("w.safetensors")) : failed();
    if (s == OCT_OK) s = oct_export_npz(net, in_root("w.npz"));
    if (s == OCT_OK) s = oct_net_load_weights(net, in_root("w.safetensors"), &missing, &unused);
    oct_net_free(net);
    return s;
}

/* ---- what looks at runs ---- */

static oct_status probe(oct_ctx *ctx) {
    oct_net *net = load_float(ctx);
    oct_data *d = net ? make_data(ctx) : NULL;
    oct_status s = d ? oct_run_save_probe(net, in_root("float"), d, 4) : failed();
    oct_tensor *x = s == OCT_OK ? oct_run_load_probe(ctx, in_root("float")) : NULL;
    if (s == OCT_OK && !x) s = failed();
    oct_tensor_unref(x);
    oct_data_free(d);
    oct_net_free(net);
    return s;
}

static oct_status doctor(oct_ctx *ctx) {
    oct_diagnosis *d = oct_doctor(ctx, in_root("quant"),
                                  &(oct_doctor_opts){.data = of_root("npz:", "set.npz"),
                                                     .float_run = in_root("float"),
                                                     .n = IMAGES,
                                                     .calib = IMAGES});
    oct_status s = d ? OCT_OK : failed();
    oct_diagnosis_free(ctx, d);
    return s;
}

typedef struct scenario {
    const char *name;
    oct_status (*run)(oct_ctx *ctx);
    /* leaves nothing in a context that stays open: no modules in it, which live until oct_close */
    bool stays;
    int spare; /* allocations that it can do without */
    bool heap; /* what it asks of the C heap, no other scenario asks: each call fails there */
} scenario;

static const scenario all[] = {
    {"capture and train", capture_and_train, false},
    {"train a run", train_a_run, false},
    {"qat", qat, true},
    {"qat lsq+", qat_lsq, true},
    {"ptq", ptq, true},
    {"ptq entropy", ptq_histogram, true},
    {"improve", improve, true},
    {"small weights", small_weights, true},
    {"int8 from memory", int8_from_memory, true, .heap = true},
    {"float run", run_float, true, .heap = true},
    {"prepared run", run_prepared, true, .heap = true},
    {"import", import, false, .heap = true},
    {"folder", folder, true, 2},   /* the cache of decoded images */
    {"gzipped", gzipped, true, 2}, /* words of the log */
    {"arrays", arrays, true},
    {"data check", look_at_data, true, 2}, /* the same */
    {"onnx and back", onnx_and_back, true},
    {"onnx of codes", onnx_of_codes, true},
    {"C", c_files, true},
    {"tensor files", tensor_files, true},
    {"probe", probe, true},
    {"doctor", doctor, true},
};

/* ---- what the scenarios read ---- */

static void write_bmp(const char *path, int w, int h, unsigned seed) {
    unsigned char head[54] = {'B', 'M'};
    int row = (w * 3 + 3) / 4 * 4, size = 54 + row * h;
    const struct {
        int at, v;
    } words[] = {{2, size}, {10, 54},           {14, 40},     {18, w},
                 {22, h},   {26, 1 | 24 << 16}, {34, row * h}};
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 4; k++) head[words[i].at + k] = (unsigned char)(words[i].v >> 8 * k);
    FILE *f = fopen(path, "wb");
    ck_assert(f != NULL);
    fwrite(head, 1, 54, f);
    for (int i = 0; i < row * h; i++)
        fputc((int)((seed = seed * 1103515245u + 12345u) >> 16 & 255), f);
    fclose(f);
}

static void write_idx(const char *part, int n) {
    const uint8_t images[16] = {0, 0, 8, 3, 0, 0, 0, (uint8_t)n, 0, 0, 0, SIDE, 0, 0, 0, SIDE},
                  head[8] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)n};
    char name[64];
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", part);
    FILE *f = fopen(in_root(name), "wb");
    ck_assert(f && fwrite(images, 1, 16, f) == 16);
    ck_assert(fwrite(pixels, SIDE * SIDE, (size_t)n, f) == (size_t)n && !fclose(f));
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", part);
    f = fopen(in_root(name), "wb");
    ck_assert(f && fwrite(head, 1, 8, f) == 8);
    for (int i = 0; i < n; i++) fputc(labels[i], f);
    ck_assert(!fclose(f));
}

static void prepare_files(void) {
    /* thousands of saves: in memory, where a sync costs nothing */
    make_root();
    for (int i = 0; i < (int)sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    char cmd[512];
    snprintf(cmd, sizeof cmd, "mkdir -p %s/photos/train/a %s/photos/train/b", root, root);
    ck_assert_int_eq(system(cmd), 0);
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "photos/train/%c/%d.bmp", "ab"[i % 2], i);
        write_bmp(in_root(name), 7 + i, 9, (unsigned)i + 1);
    }
    snprintf(cmd, sizeof cmd,
             "cp %1$s/rgb420.jpg %1$s/progressive.jpg %2$s/photos/train/a && "
             "cp %1$s/p.png %1$s/interlaced.png %2$s/photos/train/b",
             OCT_SOURCE_DIR "/tests/fuzz/corpus/fuzz_image", root);
    ck_assert_int_eq(system(cmd), 0);
    ck_assert(!mkdir(in_root("c"), 0777) && !mkdir(in_root("idx"), 0777));
    write_idx("idx/train", IMAGES);
    write_idx("idx/t10k", IMAGES);
    snprintf(cmd, sizeof cmd, "gzip %s/idx/*", root);
    ck_assert_int_eq(system(cmd), 0);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    const octi_npz_array set[] = {{"x", OCT_U8, OCT_SHAPE(IMAGES, 1, SIDE, SIDE), pixels},
                                  {"y", OCT_S32, OCT_SHAPE(IMAGES), labels}};
    ck_ok(octi_npz_write(ctx, in_root("set.npz"), set, 2));
    oct_data *d = make_data(ctx);
    oct_net *net = make_net(ctx);
    ck_ok(oct_net_describe(net, d));
    ck_ok(oct_run_save(net, in_root("float"), NULL, false));
    oct_net *q = oct_prepare(net, NULL);
    ck_ok(oct_calibrate(q, d, IMAGES));
    ck_ok(oct_run_save(q, in_root("quant"), NULL, false));
    oct_net *i8 = oct_convert(q, NULL);
    uint8_t *bytes;
    ck_ok(oct_int8_save_memory(i8, &bytes, &file8_size));
    file8 = malloc(file8_size);
    memcpy(file8, bytes, file8_size);
    oct_close(ctx);
}

static void remove_files(void) {
    remove_root();
    free(file8);
}

#endif
