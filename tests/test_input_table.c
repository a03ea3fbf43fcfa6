/* SPDX-License-Identifier: MIT
 * How a pixel enters a net, by hand: three channels that are normalized differently, on every way
 * in - the loader's floats, an NPZ of pixels, the table of codes that convert stores, and the plan
 * of a net that computes in floats. */
#include "tests/temp_folder.h"

#include <math.h>

#include "octet.h"
#include "src/format/npz.h"

enum { N = 6, H = 2, W = 3, C = 3, IMAGE = H * W * C, CLASSES = 4 };
static const oct_input_desc desc = {.channels = C,
                                    .height = H,
                                    .width = W,
                                    .color = OCT_COLOR_RGB,
                                    .div = 255,
                                    .mean = {0.1f, 0.2f, 0.4f},
                                    .std = {0.5f, 0.25f, 0.1f}};

static uint8_t pixels[N * IMAGE];
static float by_hand(int i) {
    return ((float)pixels[i] / 255 - desc.mean[i % C]) / desc.std[i % C];
}

static oct_data *make(oct_ctx *ctx) {
    static int32_t labels[N];
    for (int i = 0; i < N * IMAGE; i++)
        pixels[i] = (uint8_t)(i < 3 ? (const int[]){51, 102, 204}[i] : i * 89 % 256);
    for (int i = 0; i < N; i++) labels[i] = i % CLASSES;
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(N, H, W, C), pixels, labels,
                                       &(oct_array_opts){.input = &desc});
    ck_not_null(d);
    return d;
}

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    oct_module **m = self;
    return oct_apply(m[1], oct_flatten(oct_relu(oct_apply(m[0], x))));
}

static oct_net *net_of(oct_ctx *ctx, oct_data *d) {
    static oct_module *part[2];
    oct_module *root_module = oct_module_new(ctx, forward, part);
    part[0] =
        oct_module_add(root_module, "conv",
                       oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = C, .out = 5, .kernel = 1}));
    part[1] =
        oct_module_add(root_module, "fc",
                       oct_linear_new(ctx, &(oct_linear_opts){.in = 5 * H * W, .out = CLASSES}));
    oct_net *net = oct_capture(root_module, OCT_SHAPE(H, W, C));
    ck_not_null(net);
    ck_ok(oct_net_describe(net, d));
    return net;
}

START_TEST(floats_of_pixels) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    ck_assert(fabsf(by_hand(0) - 0.2f) < 1e-6f && fabsf(by_hand(1) - 0.8f) < 1e-6f &&
              fabsf(by_hand(2) - 4.0f) < 1e-5f);
    oct_loader *l = oct_loader_new(d, &(oct_loader_opts){.batch = N});
    oct_batch b;
    bool done;
    ck_ok(oct_loader_next(l, &b, &done));
    for (int i = 0; i < N * IMAGE; i++) ck_assert(oct_f32(b.x)[i] == by_hand(i));
    oct_loader_free(l);
    make_root(); /* the same from a file, N,C,H,W */
    uint8_t nchw[N * IMAGE];
    for (int i = 0; i < N * IMAGE; i++)
        nchw[i / IMAGE * IMAGE + i % C * H * W + i % IMAGE / C] = pixels[i];
    ck_ok(octi_npz_write(ctx, in_root("x.npz"),
                         &(octi_npz_array){"x", OCT_U8, OCT_SHAPE(N, C, H, W), nchw}, 1));
    oct_tensor *x = oct_npz_images(net_of(ctx, d), in_root("x.npz"));
    ck_not_null(x);
    for (int i = 0; i < N * IMAGE; i++) ck_assert(oct_f32(x)[i] == by_hand(i));
    oct_tensor_unref(x);
    /* np.savez(f, images) names it arr_0: the only array is taken, of several the one called x */
    const octi_npz_array two[] = {{"arr_0", OCT_U8, OCT_SHAPE(N, C, H, W), nchw},
                                  {"arr_1", OCT_U8, OCT_SHAPE(N, C, H, W), nchw}};
    ck_ok(octi_npz_write(ctx, in_root("one.npz"), two, 1));
    x = oct_npz_images(net_of(ctx, d), in_root("one.npz"));
    ck_not_null(x);
    for (int i = 0; i < N * IMAGE; i++) ck_assert(oct_f32(x)[i] == by_hand(i));
    oct_tensor_unref(x);
    ck_ok(octi_npz_write(ctx, in_root("two.npz"), two, 2));
    ck_assert(oct_npz_images(net_of(ctx, d), in_root("two.npz")) == NULL);
    ck_assert_msg(oct_last_error()->code == OCT_EFORMAT && strstr(oct_error_message(), "arr_0"),
                  "%s", oct_error_message());
    remove_root();
    oct_close(ctx);
}
END_TEST

static void same_outputs(const oct_net *net, const char *what) {
    oct_plan *plan = oct_plan_new(net, NULL);
    oct_session *s = oct_session_new(plan, N, NULL, 0);
    ck_not_null(s);
    float x[N * IMAGE], first[N * IMAGE], from_pixels[N * CLASSES], from_floats[N * CLASSES],
        wrong[N * CLASSES];
    for (int i = 0; i < N * IMAGE; i++) {
        x[i] = by_hand(i);
        /* the first channel's for all: what must differ */
        first[i] = ((float)pixels[i] / 255 - desc.mean[0]) / desc.std[0];
    }
    ck_ok(oct_session_run_u8(s, pixels, N, from_pixels));
    ck_ok(oct_session_run(s, x, N, from_floats));
    ck_ok(oct_session_run(s, first, N, wrong));
    ck_assert_msg(!memcmp(from_pixels, from_floats, sizeof from_pixels),
                  "%s: pixels and floats differ", what);
    ck_assert_msg(memcmp(from_pixels, wrong, sizeof wrong), "%s: channels make no difference",
                  what);
    oct_session_free(s);
    oct_plan_free(plan);
}

START_TEST(codes_of_pixels) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    oct_net *net = net_of(ctx, d), *q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_ok(oct_calibrate(q, d, N));
    oct_net *int8 = oct_convert(q, NULL);
    ck_not_null(int8);
    const oct_tensor *table = oct_net_tensor(int8, "input.table");
    ck_not_null(table);
    ck_assert(table->dtype == OCT_U8 && oct_tensor_count(table) == C * 256);
    const oct_graph *g = int8->graph;
    float scale = 0;
    int32_t zero = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        if (g->nodes[i].kind != OCT_OP_quantize) continue;
        const oct_quantizer *z = &g->quantizers[g->values[g->nodes[i].out].quantizer];
        scale = oct_f32(z->scale)[0];
        zero = oct_s32(z->zero_point)[0];
    }
    ck_assert(scale > 0);
    int distinct = 0;
    for (int c = 0; c < C; c++)
        for (int p = 0; p < 256; p++) {
            const float v = ((float)p / 255 - desc.mean[c]) / desc.std[c],
                        rounded = rintf(v / scale) + (float)zero;
            const uint8_t want = rounded < 0 ? 0 : rounded > 255 ? 255 : (uint8_t)rounded;
            ck_assert_msg(oct_u8(table)[c * 256 + p] == want,
                          "channel %d, pixel %d: %d, by hand %d", c, p, oct_u8(table)[c * 256 + p],
                          want);
            distinct += c && want != oct_u8(table)[p];
        }
    ck_assert_int_gt(distinct, 256);
    same_outputs(int8, "int8");
    /* a file without the table: made anew, from the description */
    for (int32_t i = 0; i < int8->tensor_count; i++)
        if (int8->tensors[i].tensor == table) int8->tensors[i].name = "spare";
    octi_net_reindex(int8);
    ck_assert(!oct_net_tensor(int8, "input.table"));
    same_outputs(int8, "int8 without its table");
    /* floats between float borders: no table, the description itself */
    oct_net *half = oct_half(net);
    ck_not_null(half);
    same_outputs(half, "half");
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("input_table", floats_of_pixels, codes_of_pixels)
