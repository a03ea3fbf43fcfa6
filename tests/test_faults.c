/* SPDX-License-Identifier: MIT
 * Allocations that fail: the n-th one for n = 1, 2, ... until a scenario gets through, failing
 * once, or from there on. Every failure is an error with a message, and when the context closes
 * nothing is left. Then the same calls in a context that stays: after each failure it holds what it
 * held before, and the call succeeds when memory is back. */
#include "tests/temp_folder.h"

#include <malloc.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "qat/improve/improve.h"
#include "qat/infer/infer.h"
#include "qat/io/import.h"
#include "src/arena.h"
#include "src/mem.h"
#include "tests/rigged_alloc.h"

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

static oct_status load_batches(oct_ctx *ctx, const char *spec) {
    oct_input_desc in = {.channels = 3,
                         .height = 5,
                         .width = 5,
                         .color = OCT_COLOR_RGB,
                         .resize = 5,
                         .crop = 5,
                         .div = 255,
                         .std = {1, 1, 1}};
    oct_data *d = oct_data_open(ctx, spec, &(oct_data_opts){.input = &in});
    oct_loader *l =
        d ? oct_loader_new(d, &(oct_loader_opts){.batch = 2,
                                                 .shuffle = true,
                                                 .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP})
          : NULL;
    oct_status s = l ? oct_loader_start(l, 0, 0) : failed();
    for (bool done = false; s == OCT_OK && !done;) {
        oct_batch b;
        s = oct_loader_next(l, &b, &done);
    }
    oct_loader_free(l);
    oct_data_free(d);
    return s;
}

static oct_status folder(oct_ctx *ctx) {
    char spec[160];
    snprintf(spec, sizeof spec, "folder:%s", in_root("photos"));
    return load_batches(ctx, spec);
}

typedef struct scenario {
    const char *name;
    oct_status (*run)(oct_ctx *ctx);
    /* leaves nothing in a context that stays open: no modules in it, which live until oct_close */
    bool stays;
    int spare; /* allocations that it can do without */
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
    {"int8 from memory", int8_from_memory, true},
    {"float run", run_float, true},
    {"prepared run", run_prepared, true},
    {"import", import, false},
    {"folder", folder, true, 2}, /* the cache of decoded images */
};

/* ---- the rig ---- */

#ifdef __SANITIZE_ADDRESS__ /* each run takes five times as long */
enum { STEP_ON = 7, STEP_STAYS = 5, STEP_WORKERS = 13 };
#else
enum { STEP_ON = 1, STEP_STAYS = 1, STEP_WORKERS = 7 };
#endif

static long long sweep(const scenario *sc, int threads, bool on, int step) {
    long long n = 1;
    int spared = 0;
    for (;; n += step) {
        rig r = {.fail_at = n, .on = on};
        oct_clear_error();
        oct_ctx *ctx = rig_open(&r, threads);
        oct_status s = ctx ? sc->run(ctx) : failed();
        oct_error e = *oct_last_error();
        if (r.hit && s == OCT_OK && !on && spared < sc->spare)
            spared++;
        else if (r.hit) {
            ck_assert_msg(s == OCT_ENOMEM, "%s: allocation %lld fails, status %d (%s)", sc->name, n,
                          s, oct_error_message());
            ck_assert_msg(e.code == OCT_ENOMEM && *e.what,
                          "%s: allocation %lld fails, record %d (%s)", sc->name, n, e.code,
                          oct_error_message());
        } else
            ck_assert_msg(s == OCT_OK, "%s: %s", sc->name, oct_error_message());
        oct_close(ctx);
        ck_assert_msg(r.blocks == 0 && r.bytes == 0,
                      "%s: allocation %lld fails, %lld blocks of %lld bytes are left", sc->name, n,
                      (long long)r.blocks, (long long)r.bytes);
        if (!r.hit) return n;
    }
}

START_TEST(every_allocation_fails_once) {
    const scenario *sc = &all[_i];
    long long n = sweep(sc, 1, false, 1);
    printf("%s: %lld allocations\n", sc->name, n - 1);
    fflush(stdout);
    ck_assert_int_gt(n, 10);
}
END_TEST

START_TEST(every_allocation_fails_from_there_on) { sweep(&all[_i], 1, true, STEP_ON); }
END_TEST

START_TEST(workers_meet_failures_too) { sweep(&all[_i], 3, false, STEP_WORKERS); }
END_TEST

START_TEST(a_context_that_stays_holds_what_it_held) {
    const scenario *sc = &all[_i];
    if (!sc->stays) return;
    rig r = {.fail_at = 0};
    oct_ctx *ctx = rig_open(&r, 1);
    ck_not_null(ctx);
    ck_ok(sc->run(ctx)); /* scratch and the like have grown */
    ck_ok(sc->run(ctx));
    const octi_arena_mark base = octi_arena_save(octi_ctx_scratch(ctx));
    int spared = 0;
    for (long long n = 1;; n += STEP_STAYS) {
        long long held = r.bytes, blocks = r.blocks;
        r.hit = false;
        r.fail_at = r.calls + n;
        oct_status s = sc->run(ctx);
        r.fail_at = 0;
        const octi_arena_mark left = octi_arena_save(octi_ctx_scratch(ctx));
        ck_assert_msg(left.block == base.block && left.used == base.used,
                      "%s: allocation %lld fails: scratch is not given back (%s)", sc->name, n,
                      oct_error_message());
        if (r.hit && s == OCT_OK && spared < sc->spare)
            spared++;
        else
            ck_assert_msg(s == (r.hit ? OCT_ENOMEM : OCT_OK), "%s: allocation %lld: status %d (%s)",
                          sc->name, n, s, oct_error_message());
        ck_assert_msg(
            r.bytes == held && r.blocks == blocks,
            "%s: allocation %lld fails: %lld blocks in place of %lld, %lld bytes in place of %lld",
            sc->name, n, (long long)r.blocks, blocks, (long long)r.bytes, held);
        if (!r.hit) break;
    }
    ck_ok(sc->run(ctx));
    oct_close(ctx);
    ck_assert(r.blocks == 0);
}
END_TEST

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

static void prepare_files(void) {
    /* thousands of saves: in memory, where a sync costs nothing */
    make_root();
    for (int i = 0; i < (int)sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    char cmd[256];
    snprintf(cmd, sizeof cmd, "mkdir -p %s/photos/train/a %s/photos/train/b", root, root);
    ck_assert_int_eq(system(cmd), 0);
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "photos/train/%c/%d.bmp", "ab"[i % 2], i);
        write_bmp(in_root(name), 7 + i, 9, (unsigned)i + 1);
    }
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
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

int main(void) {
    /* arenas come and go thousands of times: not through the kernel */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    enum { N = sizeof all / sizeof *all };
    Suite *suite = suite_create("faults");
    TCase *tc = tcase_create("faults");
    tcase_set_timeout(tc, 0);
    tcase_add_unchecked_fixture(tc, prepare_files, remove_files);
    tcase_add_loop_test(tc, every_allocation_fails_once, 0, N);
    tcase_add_loop_test(tc, every_allocation_fails_from_there_on, 0, N);
    tcase_add_loop_test(tc, a_context_that_stays_holds_what_it_held, 0, N);
    tcase_add_loop_test(tc, workers_meet_failures_too, 0, N);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? 1 : 0;
}
