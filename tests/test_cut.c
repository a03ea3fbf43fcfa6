/* SPDX-License-Identifier: MIT
 * An image that several threads share, step by step in ranges of rows or of channels, has the bits
 * that it has alone: int8 nets, every candidate of their layers; int8 nets of which layers stayed
 * float; float nets. One image and a few. */
#include <stdlib.h>
#include <string.h>

#include "octet.h"
#include "ops/conv_winograd.h"
#include "src/arena.h"
#include "src/mem.h"
#include "src/paths.h"
#include "src/rng.h"
#include "tests/oct_test.h"

enum { H = 52, W = 52, C = 3, DEEP = 141, MOST = 5, CLASSES = 10 };

/* Maps large enough to be cut: 3x3, strided, 1x1, depthwise and grouped layers, adds, pools; and
 * of few rows and many channels, which go by channels. */
typedef struct layers {
    oct_module *stem, *square, *point, *narrow, *depthwise, *grouped, *strided, *even, *deep,
        *deeper, *fc;
} layers;

static oct_module *conv(oct_ctx *ctx, oct_module *m, const char *name, int in, int out, int k,
                        int stride, int groups) {
    return oct_module_add(m, name,
                          oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = in,
                                                                 .out = out,
                                                                 .kernel = k,
                                                                 .stride = stride,
                                                                 .pad = k / 2,
                                                                 .groups = groups}));
}

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    const layers *l = self;
    (void)t;
    x = oct_relu(oct_apply(l->stem, x));
    oct_var *y = oct_relu(oct_apply(l->square, x));
    y = oct_add(oct_apply(l->depthwise, y),
                oct_max_pool2d(x, &(oct_pool_opts){.kernel = 3, .stride = 1, .pad = 1}));
    y = oct_relu(oct_apply(l->narrow, oct_apply(l->point, oct_hardswish(y))));
    y = oct_relu(oct_apply(l->strided, oct_apply(l->grouped, y)));
    y = oct_relu(oct_apply(l->even, y));
    y = oct_relu(oct_apply(l->deep, y));
    y = oct_relu(oct_add(oct_apply(l->deeper, y), y));
    return oct_apply(l->fc, oct_flatten(oct_adaptive_avg_pool2d(y, 1, 1)));
}

static oct_var *small(void *self, oct_tape *t, oct_var *x) {
    const layers *l = self;
    (void)t;
    return oct_apply(l->square, oct_relu(oct_apply(l->stem, x)));
}

static oct_net *make(oct_ctx *ctx, layers *l) {
    oct_module *m = oct_module_new(ctx, forward, l);
    l->stem = conv(ctx, m, "stem", C, 24, 3, 1, 1);
    l->square = conv(ctx, m, "square", 24, 24, 3, 1, 1);
    l->depthwise = conv(ctx, m, "depthwise", 24, 24, 3, 1, 24);
    l->point = conv(ctx, m, "point", 24, 48, 1, 1, 1);
    l->narrow = conv(ctx, m, "narrow", 48, 16, 3, 1, 1);
    l->grouped = conv(ctx, m, "grouped", 16, 40, 3, 1, 4);
    l->strided = conv(ctx, m, "strided", 40, 48, 3, 2, 1);
    l->even = conv(ctx, m, "even", 48, 48, 3, 1, 1);
    l->deep = conv(ctx, m, "deep", 48, DEEP, 3, 2, 1);
    l->deeper = conv(ctx, m, "deeper", DEEP, DEEP, 3, 1, 1);
    l->fc = oct_module_add(m, "fc",
                           oct_linear_new(ctx, &(oct_linear_opts){.in = DEEP, .out = CLASSES}));
    return oct_capture(m, OCT_SHAPE(H, W, C));
}

static oct_tensor *images(oct_ctx *ctx) {
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(MOST, H, W, C));
    octi_rng r = octi_rng_stream(4, OCTI_RNG_TEST, 1, 0);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = octi_rng_normal(&r);
    return x;
}

typedef enum precision { INT8, MIXED, FLOAT } precision;

/* Outputs of the first n images. How often an image was cut, and by channels. */
static void outputs(int threads, const char *candidate, precision form, int n, float *y,
                    uint32_t cut[2]) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    layers l;
    oct_net *net = make(ctx, &l);
    oct_tensor *x = images(ctx);
    octi_ctx_only(ctx, candidate);
    if (form != FLOAT) {
        oct_qconfig config = {.observer = "minmax"};
        if (form == MIXED) ck_ok(oct_qconfig_parse(ctx, "s*:float", &config));
        if (form == MIXED) ck_ok(oct_qconfig_parse(ctx, "deep*:float", &config));
        oct_net *q = oct_prepare(net, &config);
        oct_tape *t = oct_tape_new(ctx);
        oct_tape_begin(t, OCT_CALIBRATE);
        ck_not_null(oct_net_forward(q, oct_input(t, x)));
        net = oct_convert(q, NULL);
    } else {
        net = oct_fold(net);
    }
    ck_assert_msg(net, "%s", oct_error_message());
    oct_plan *plan = oct_plan_new(net, NULL);
    oct_session *s = oct_session_new(plan, n, NULL, 0);
    ck_not_null(s);
    for (int round = 0; round < 2; round++) ck_ok(oct_session_run(s, oct_f32(x), n, y));
    const octi_paths *p = octi_ctx_paths(ctx);
    cut[0] = p->taken[OCTI_SIDE_PLAN][OCTI_PATH_image_cut];
    cut[1] = p->taken[OCTI_SIDE_PLAN][OCTI_PATH_channels_cut];
    oct_close(ctx);
}

enum { MANY = !OCT_TEST_TSAN };

START_TEST(rows_of_an_image_on_several_threads) {
    static const char *const candidates[] = {NULL,          "patches",    "rows",
                                             "winograd4",   "winograd2",  "winograd4s2",
                                             "winograd2s2", "winograd1x3"};
    static const int some[] = {1, 2, MOST};
    for (size_t k = 0; k < (MANY ? sizeof candidates / sizeof *candidates : 1); k++)
        for (int e = 0; e < (MANY ? 3 : 1); e++) {
            float one[MOST * CLASSES], three[MOST * CLASSES];
            uint32_t cut[2], cut_one[2];
            outputs(1, candidates[k], INT8, some[e], one, cut_one);
            outputs(3, candidates[k], INT8, some[e], three, cut);
            ck_assert(!cut_one[0] && !cut_one[1]);
            ck_assert_int_eq(cut[0] > 0, some[e] < 3);
            ck_assert_int_eq(cut[1] > 0, some[e] < 3);
            ck_assert_msg(!memcmp(one, three, sizeof *one * (size_t)(some[e] * CLASSES)),
                          "%s, %d images: other bits on three threads",
                          candidates[k] ? candidates[k] : "chosen", some[e]);
        }
}
END_TEST

START_TEST(float_layers_of_an_image_on_several_threads) {
    for (precision f = MIXED; f <= FLOAT; f++)
        for (int n = 1; n <= (MANY ? 2 : 1); n++) {
            float one[2 * CLASSES], three[2 * CLASSES];
            uint32_t cut[2];
            outputs(1, NULL, f, n, one, cut);
            ck_assert(!cut[0] && !cut[1]);
            outputs(3, NULL, f, n, three, cut);
            ck_assert(cut[0] && cut[1]);
            ck_assert_msg(!memcmp(one, three, sizeof *one * (size_t)(n * CLASSES)),
                          "%s, %d images: other bits on three threads",
                          f == MIXED ? "some layers float" : "all float", n);
        }
}
END_TEST

static oct_var *line(void *self, oct_tape *t, oct_var *x) {
    const layers *l = self;
    (void)t;
    return oct_apply(l->fc, oct_flatten(oct_apply(l->square, x)));
}

enum { LINE = 256, LINE_IN = 1440, LINE_MOST = 72 };

/* Of a float net whose images are one row, the outputs; how often one was cut by channels. */
static uint32_t outputs_of_a_line(int threads, int wide, float *y) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    layers l;
    oct_module *m = oct_module_new(ctx, line, &l);
    l.square = conv(ctx, m, "square", LINE_IN, wide, 3, 1, 1);
    l.fc = oct_module_add(m, "fc",
                          oct_linear_new(ctx, &(oct_linear_opts){.in = LINE * wide, .out = wide}));
    oct_net *net = oct_fold(oct_capture(m, OCT_SHAPE(1, LINE, LINE_IN)));
    oct_session *s = oct_session_new(oct_plan_new(net, NULL), 1, NULL, 0);
    ck_assert_msg(s, "%s", oct_error_message());
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1, LINE, LINE_IN));
    octi_rng r = octi_rng_stream(4, OCTI_RNG_TEST, 4, 0);
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = octi_rng_normal(&r);
    ck_ok(oct_session_run(s, oct_f32(x), 1, y));
    const uint32_t cut = octi_ctx_paths(ctx)->taken[OCTI_SIDE_PLAN][OCTI_PATH_channels_cut];
    oct_close(ctx);
    return cut;
}

/** Where there are no rows to share channels are: of 1 to 16 beyond whole panels none is alone that
 *  would be summed in another order. 72: as 1,000 classes are, a half beyond whole ones. */
START_TEST(float_channels_of_a_line_on_several_threads) {
    static const struct {
        int wide;
        bool cut;
    } rows[] = {{24, false}, {40, true}, {57, true}, {LINE_MOST, true}};
    static const char *const caps[] = {
        NULL,
#ifdef __x86_64__
        "avx2",
#endif
    };
    for (size_t c = 0; c < sizeof caps / sizeof *caps; c++) {
        if (caps[c]) setenv("OCT_CPU", caps[c], 1);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (int threads = MANY ? 2 : 3; threads <= 3; threads++) {
                float one[LINE_MOST], several[LINE_MOST];
                ck_assert_int_eq(outputs_of_a_line(1, rows[i].wide, one), 0);
                const uint32_t cut = outputs_of_a_line(threads, rows[i].wide, several);
                ck_assert_msg((cut > 0) == rows[i].cut, "%d channels, %d threads: cut %u times",
                              rows[i].wide, threads, cut);
                ck_assert_msg(!memcmp(one, several, sizeof *one * (size_t)rows[i].wide),
                              "%d channels: other bits on %d threads", rows[i].wide, threads);
            }
    }
    unsetenv("OCT_CPU");
}
END_TEST

/* A net that is not worth cutting: a session for fewer images than threads has scratch for so many
 * alone, and a run of fewer still stays within its block. */
START_TEST(a_small_net_stays_in_its_block) {
    enum { THREADS = 4, BATCH = 2, GUARD = 1 << 18 };
    static const char *const candidates[] = {NULL, "patches", "rows", "winograd4"};
    for (size_t k = 0; k < sizeof candidates / sizeof *candidates; k++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = THREADS});
        octi_ctx_only(ctx, candidates[k]);
        layers l;
        oct_module *m = oct_module_new(ctx, small, &l);
        l.stem = conv(ctx, m, "stem", C, 16, 3, 1, 1);
        l.square = conv(ctx, m, "square", 16, 48, 3, 1, 1);
        oct_net *net = oct_capture(m, OCT_SHAPE(24, 24, C));
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(BATCH, 24, 24, C));
        octi_rng r = octi_rng_stream(4, OCTI_RNG_TEST, 2, 0);
        for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = octi_rng_normal(&r);
        oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = "minmax"});
        oct_tape *t = oct_tape_new(ctx);
        oct_tape_begin(t, OCT_CALIBRATE);
        ck_not_null(oct_net_forward(q, oct_input(t, x)));
        oct_plan *plan = oct_plan_new(oct_convert(q, NULL), NULL);
        const size_t bytes = oct_plan_session_bytes(plan, BATCH);
        uint8_t *block = aligned_alloc(64, (bytes + GUARD + 63) / 64 * 64);
        memset(block + bytes, 0xa5, GUARD);
        oct_session *s = oct_session_new(plan, BATCH, block, bytes);
        float y[24 * 24 * 48];
        ck_ok(oct_session_run(s, oct_f32(x), 1, y));
        for (size_t i = 0; i < GUARD; i++)
            ck_assert_msg(block[bytes + i] == 0xa5, "%s: byte %zu behind the block was written",
                          candidates[k] ? candidates[k] : "chosen", i);
        oct_session_free(s);
        oct_close(ctx);
        free(block);
    }
}
END_TEST

/* A part of several images at once: each image's own tiles and channels, as in the whole. */
START_TEST(parts_of_several_images_by_winograd) {
    enum { N = 3, SIDE = 12, C16 = 16, O = 32, ALL = N * SIDE * SIDE * O };
    static const octi_part parts[] = {{0, 4, 0, 16}, {0, 4, 16, 32}, {4, 9, 0, 32}};
    const octi_conv g = {N, SIDE, SIDE, C16, SIDE, SIDE, O, 3, 3, 1, C16, O, 1, 1, 1, 1, 1, 1};
    const octi_part whole = {0, octi_winograd_tiles(&g), 0, O};
    ck_assert(octi_conv_winograd_fits(&g) && whole.to == 9);
    static float x[N * SIDE * SIDE * C16], w[O * 9 * C16], bias[O], one[ALL], cut[ALL];
    octi_rng r = octi_rng_stream(4, OCTI_RNG_TEST, 3, 0);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = octi_rng_normal(&r);
    for (size_t i = 0; i < sizeof w / sizeof *w; i++) w[i] = octi_rng_normal(&r);
    for (int i = 0; i < O; i++) bias[i] = octi_rng_normal(&r);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    octi_arena *arena = octi_arena_new(ctx);
    float *u = octi_arena_alloc(arena, octi_winograd_floats(&g) * sizeof *u);
    void *scratch = octi_arena_alloc(arena, octi_winograd_scratch(&g));
    octi_winograd_pack(&g, w, u);
    octi_winograd_run(&g, octi_ctx_kernels(ctx), x, u, bias, OCTK_NO_CLAMP, one, &whole, scratch);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        octi_winograd_run(&g, octi_ctx_kernels(ctx), x, u, bias, OCTK_NO_CLAMP, cut, &parts[i],
                          scratch);
    for (int i = 0; i < ALL; i++) /* image, row, column, channel */
        ck_assert_msg(!memcmp(&one[i], &cut[i], sizeof *one), "image %d, row %d, channel %d",
                      i / (SIDE * SIDE * O), i / (SIDE * O) % SIDE, i % O);
    octi_arena_free(arena);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("cut", rows_of_an_image_on_several_threads,
              float_layers_of_an_image_on_several_threads,
              float_channels_of_a_line_on_several_threads, a_small_net_stays_in_its_block,
              parts_of_several_images_by_winograd)
