/* SPDX-License-Identifier: MIT
 * Float layers that stay between quantized ones: every kind, in fused and unfused plans, bit-equal
 * to octet's float ops on the values before them, for any batch and threads. */
#include <math.h>

#include "ops/ops.h"
#include "qat/infer/infer.h"
#include "qat/int8/int8.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"

typedef struct chain {
    test_net t;
    oct_ctx *ctx;
    int32_t consts;
} chain;

static int32_t random_const(chain *c, oct_shape s, float low, float high) {
    int64_t n = oct_shape_count(&s);
    float *v = malloc((size_t)n * sizeof *v);
    char name[32];
    for (int64_t i = 0; i < n; i++) v[i] = low + (high - low) * octi_rng_uniform(&c->t.rng);
    snprintf(name, sizeof name, "c%d", (int)c->consts++);
    int32_t k = test_const(&c->t, name, OCT_F32, s, v);
    free(v);
    return k;
}

/* A float node whose shape oct_infer_shape tells. */
static int32_t node(chain *c, oct_op_kind kind, oct_attrs a, const int32_t *in, int nin) {
    const oct_value *v[8];
    oct_dtype dtype;
    oct_shape shape;
    for (int k = 0; k < nin; k++) v[k] = in[k] < 0 ? NULL : &c->t.net->graph->values[in[k]];
    ck_ok(oct_infer_shape(kind, &a, v, nin, "t", &dtype, &shape));
    return test_node(&c->t, kind, &a, in, nin, shape, 0, 0);
}

static int32_t conv(chain *c, int32_t x, int o, int groups, bool bn, oct_act act, bool bias) {
    int64_t ch = test_shape(&c->t, x).dim[3];
    oct_attrs a = {.kernel = {3, 2},
                   .stride = {2, 1},
                   .pads = {1, 1, 2, 0},
                   .dilation = {1, 2},
                   .groups = {groups},
                   .act = {act},
                   .bn = {bn},
                   .eps = 1e-5f};
    int32_t in[7] = {x, random_const(c, OCT_SHAPE(o, 3, 2, ch / groups), -1, 1),
                     bias ? random_const(c, OCT_SHAPE(o), -1, 1) : -1};
    for (int k = 3; k < 7; k++)
        in[k] = bn ? random_const(c, OCT_SHAPE(o), k == 6 ? 0.5f : -1, 2) : -1;
    return node(c, OCT_OP_conv2d, a, in, bn ? 7 : 3);
}

/* 3x3 at stride 1: what training may take through Winograd, where channels are whole panels of
 * 16. */
static int32_t square_conv(chain *c, int32_t x, int o) {
    oct_attrs a = {.kernel = {3, 3},
                   .stride = {1, 1},
                   .pads = {1, 1, 1, 1},
                   .dilation = {1, 1},
                   .groups = {1}};
    return node(
        c, OCT_OP_conv2d, a,
        (int32_t[]){
            x, random_const(c, OCT_SHAPE(o, 3, 3, test_shape(&c->t, x).dim[3]), -0.2f, 0.2f), -1},
        3);
}

/* A sequence of vectors through both forms of LSTM. */
static int32_t recurrent(chain *c, int32_t x) {
    enum { T = 3, H = 5 };
    const int64_t each = (test_shape(&c->t, x).dim[1] - 1) / T;
    x = node(c, OCT_OP_slice, (oct_attrs){.axis = {1}, .range = {1, (int32_t)(each * T) + 1}}, &x,
             1);
    x = node(c, OCT_OP_reshape, (oct_attrs){.shape = {T, (int32_t)each}}, &x, 1);
    int32_t w[5] = {x, random_const(c, OCT_SHAPE(4 * H, each), -0.1f, 0.1f),
                    random_const(c, OCT_SHAPE(4 * H, H), -1, 1),
                    random_const(c, OCT_SHAPE(4 * H), -1, 1),
                    random_const(c, OCT_SHAPE(4 * H), -1, 1)};
    int32_t y = node(c, OCT_OP_lstm, (oct_attrs){.last = {1}}, w, 5);
    int32_t cell[5] = {y, random_const(c, OCT_SHAPE(4 * H, H), -1, 1),
                       random_const(c, OCT_SHAPE(4 * H, H), -1, 1), w[3], w[4]};
    return node(c, OCT_OP_lstm_cell, (oct_attrs){.p = 0}, cell, 5);
}

static oct_net *float_net(chain *c, int ch) {
    c->t = test_net_new(c->ctx, 4, 9, 8, 4);
    int32_t x = test_conv(&c->t, test_quantize(&c->t, c->t.net->graph->input, 0.02f, 100), 6, 3, 3,
                          1, 1, 1, 1);
    int32_t d = node(c, OCT_OP_dequantize, (oct_attrs){.p = 0}, &x, 1);
    int32_t a = conv(c, d, ch, 1, true, OCT_ACT_RELU, true),
            b = conv(c, d, ch, 2, false, OCT_ACT_RELU6, false);
    int32_t s = node(c, OCT_OP_add, (oct_attrs){.act = {OCT_ACT_RELU}}, (int32_t[]){a, b}, 2);
    s = square_conv(c, square_conv(c, s, ch), ch);
    int32_t w = conv(c, s, ch, ch, true, OCT_ACT_NONE, true); /* depthwise */
    static const oct_op_kind curves[] = {OCT_OP_leaky_relu, OCT_OP_elu,         OCT_OP_hardswish,
                                         OCT_OP_tanh,       OCT_OP_hardsigmoid, OCT_OP_sigmoid};
    int32_t gate = node(c, OCT_OP_adaptive_avg_pool2d, (oct_attrs){.out_size = {1, 1}}, &w, 1);
    for (int i = 0; i < 6; i++)
        gate = node(c, curves[i], (oct_attrs){.slope = i < 2 ? 0.2f : 0}, &gate, 1);
    w = node(c, OCT_OP_mul, (oct_attrs){.p = 0}, (int32_t[]){w, gate}, 2); /* broadcast */
    w = node(c, OCT_OP_mul, (oct_attrs){.p = 0}, (int32_t[]){gate, w}, 2); /* the other side */
    w = node(c, OCT_OP_mul, (oct_attrs){.p = 0}, (int32_t[]){w, w}, 2);
    int32_t mean = node(c, OCT_OP_adaptive_avg_pool2d, (oct_attrs){.out_size = {1, 1}}, &w, 1);
    int32_t v = node(c, OCT_OP_add, (oct_attrs){.p = 0}, (int32_t[]){mean, w}, 2); /* broadcast */
    v = node(
        c, OCT_OP_batch_norm, (oct_attrs){.eps = 1e-3f},
        (int32_t[]){v, random_const(c, OCT_SHAPE(ch), -1, 1), random_const(c, OCT_SHAPE(ch), -1, 1),
                    random_const(c, OCT_SHAPE(ch), -1, 1), random_const(c, OCT_SHAPE(ch), 0.1f, 1)},
        5);
    int32_t cat = node(c, OCT_OP_cat, (oct_attrs){.axis = {3}}, (int32_t[]){v, w, v}, 3);
    v = node(c, OCT_OP_pad, (oct_attrs){.pads = {1, 0, 2, 1}, .value = -0.5f}, &cat, 1);
    v = node(c, OCT_OP_max_pool2d,
             (oct_attrs){.kernel = {2, 2}, .stride = {1, 2}, .pads = {1, 0, 0, 1}}, &v, 1);
    v = node(
        c, OCT_OP_avg_pool2d,
        (oct_attrs){.kernel = {2, 2}, .stride = {1, 1}, .pads = {1, 1, 1, 1}, .exclude_pad = {1}},
        &v, 1);
    v = node(c, OCT_OP_avg_pool2d,
             (oct_attrs){.kernel = {2, 2}, .stride = {2, 2}, .pads = {0, 1, 1, 0}}, &v, 1);
    v = node(c, OCT_OP_relu6, (oct_attrs){.p = 0}, &v, 1);
    v = node(c, OCT_OP_clamp, (oct_attrs){.least = 0.1f, .most = 5}, &v, 1);
    v = node(c, OCT_OP_relu, (oct_attrs){.p = 0}, &v, 1);
    v = node(c, OCT_OP_identity, (oct_attrs){.p = 0}, &v, 1);
    v = node(c, OCT_OP_dropout, (oct_attrs){.p = 0.5f}, &v, 1);
    v = node(c, OCT_OP_flatten, (oct_attrs){.p = 0}, &v, 1);
    int32_t side = recurrent(c, v);
    v = node(c, OCT_OP_linear, (oct_attrs){.act = {OCT_ACT_RELU}},
             (int32_t[]){v, random_const(c, OCT_SHAPE(7, test_shape(&c->t, v).dim[1]), -1, 1),
                         random_const(c, OCT_SHAPE(7), -1, 1)},
             3);
    v = node(c, OCT_OP_cat, (oct_attrs){.axis = {1}}, (int32_t[]){v, side}, 2);
    int32_t soft = node(c, OCT_OP_softmax, (oct_attrs){.p = 0}, &v, 1);
    /* into codes again */
    int32_t q = test_linear(&c->t, test_quantize(&c->t, soft, 1 / 256.0f, 0), 6);
    v = node(c, OCT_OP_dequantize, (oct_attrs){.p = 0}, &q, 1);
    c->t.net->graph->output = node(c, OCT_OP_log_softmax, (oct_attrs){.p = 0}, &v, 1);
    ck_ok(octi_graph_verify(c->t.net->graph));
    return c->t.net;
}

static oct_tensor *param(const oct_graph *g, const oct_node *n, int k) {
    return octi_node_in(g, n, k) ? octi_node_in(g, n, k)->tensor : NULL;
}

static void lstm_op(oct_ctx *ctx, const oct_graph *g, const oct_node *n, const oct_tensor *x,
                    oct_tensor *y) {
    const oct_lstm_weights w = {param(g, n, 1), param(g, n, 2), param(g, n, 3), param(g, n, 4)};
    const bool cell = n->kind == OCT_OP_lstm_cell;
    const int64_t images = x->shape.dim[0], t = cell ? 1 : x->shape.dim[1],
                  h = w.w_hh->shape.dim[1];
    const oct_lstm_saved saved = {oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(images, t, 4 * h)),
                                  oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(images, t, h)),
                                  oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(images, t, h))};
    ck_ok(cell ? oct_lstm_cell_forward(ctx, x, NULL, &w, &saved, y)
               : oct_lstm_forward(ctx, &n->attr, x, &w, &saved, y));
    oct_tensor_unref(saved.gates);
    oct_tensor_unref(saved.cells);
    oct_tensor_unref(saved.hidden);
}

/* The node by octet's float ops, from its inputs as the plan left them. */
static void float_op(oct_ctx *ctx, const oct_session *s, const oct_graph *g, const oct_node *n,
                     oct_tensor *y) {
    oct_tensor in[8];
    const oct_tensor *list[8];
    for (int k = 0; k < n->nin && !param(g, n, k) && n->in[k] >= 0; k++) {
        ck_ok(oct_session_value(s, g->values[n->in[k]].name, &in[k]));
        list[k] = &in[k];
    }
    switch (n->kind) {
    case OCT_OP_conv2d:
        /* law 12: never Winograd */
        ck_ok(octi_conv2d_direct(ctx, &n->attr, &in[0], param(g, n, 1), param(g, n, 2), y));
        if (n->attr.bn[0])
            ck_ok(oct_batch_norm_eval(ctx, &n->attr, y, param(g, n, 3), param(g, n, 4),
                                      param(g, n, 5), param(g, n, 6), y));
        ck_ok(oct_act_forward(ctx, (oct_act)n->attr.act[0], y, y));
        break;
    case OCT_OP_linear:
        ck_ok(oct_linear_forward(ctx, &in[0], param(g, n, 1), param(g, n, 2), y));
        ck_ok(oct_act_forward(ctx, (oct_act)n->attr.act[0], y, y));
        break;
    case OCT_OP_batch_norm:
        ck_ok(oct_batch_norm_eval(ctx, &n->attr, &in[0], param(g, n, 1), param(g, n, 2),
                                  param(g, n, 3), param(g, n, 4), y));
        break;
    case OCT_OP_add:
        ck_ok(oct_add_forward(ctx, &in[0], &in[1], y));
        ck_ok(oct_act_forward(ctx, (oct_act)n->attr.act[0], y, y));
        break;
    case OCT_OP_mul:
        ck_ok(oct_mul_forward(ctx, &in[0], &in[1], y));
        break;
    case OCT_OP_clamp:
    case OCT_OP_leaky_relu:
    case OCT_OP_elu:
    case OCT_OP_hardswish:
    case OCT_OP_hardsigmoid:
    case OCT_OP_sigmoid:
    case OCT_OP_tanh:
        ck_ok(oct_unary_forward(ctx, n->kind, &n->attr, &in[0], y));
        break;
    case OCT_OP_cat:
        ck_ok(oct_cat_forward(ctx, &n->attr, list, n->nin, y));
        break;
    case OCT_OP_pad:
        ck_ok(oct_pad_forward(ctx, &n->attr, &in[0], y));
        break;
    case OCT_OP_max_pool2d:
        ck_ok(oct_max_pool2d_forward(ctx, &n->attr, &in[0], y, NULL));
        break;
    case OCT_OP_avg_pool2d:
        ck_ok(oct_avg_pool2d_forward(ctx, &n->attr, &in[0], y));
        break;
    case OCT_OP_adaptive_avg_pool2d:
        ck_ok(oct_adaptive_avg_pool2d_forward(ctx, &in[0], y));
        break;
    case OCT_OP_lstm:
    case OCT_OP_lstm_cell:
        lstm_op(ctx, g, n, &in[0], y);
        break;
    case OCT_OP_slice:
        ck_ok(oct_slice_forward(ctx, &n->attr, &in[0], y));
        break;
    case OCT_OP_relu:
        ck_ok(oct_act_forward(ctx, OCT_ACT_RELU, &in[0], y));
        break;
    case OCT_OP_relu6:
        ck_ok(oct_act_forward(ctx, OCT_ACT_RELU6, &in[0], y));
        break;
    case OCT_OP_softmax:
        ck_ok(oct_softmax_forward(ctx, &in[0], y));
        break;
    case OCT_OP_log_softmax:
        ck_ok(oct_log_softmax_forward(ctx, &in[0], y));
        break;
    default:
        memcpy(y->data, in[0].data, oct_tensor_bytes(y)); /* flatten, dropout */
    }
}

/* Every kind that can stay float, at channels that are whole panels of 16 and at others. */
static void equal_float_ops(int channels, bool seen[OCT_OP_KIND_COUNT]) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    chain c = {.ctx = ctx};
    oct_net *net = float_net(&c, channels);
    const oct_graph *g = net->graph;
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = true});
    ck_not_null(plan);
    oct_session *s = oct_session_new(plan, 1, NULL, 0);
    float x[9 * 8 * 4], y[6];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 9 * 8 * 4; i++) x[i] = 1.5f * octi_rng_normal(&c.t.rng);
        ck_ok(oct_session_run(s, x, 1, y));
        for (int32_t i = 0; i < g->node_count; i++) {
            const oct_node *n = &g->nodes[i];
            oct_tensor got;
            if (g->values[n->out].dtype != OCT_F32 || n->kind == OCT_OP_dequantize) continue;
            ck_ok(oct_session_value(s, n->name, &got));
            oct_tensor *want = oct_tensor_new(ctx, OCT_F32, got.shape);
            float_op(ctx, s, g, n, want);
            ck_assert_msg(!memcmp(want->data, got.data, oct_tensor_bytes(want)),
                          "node %s differs at %d channels", n->name, channels);
            oct_tensor_unref(want);
            seen[n->kind] = true;
        }
    }
    oct_close(ctx);
}

START_TEST(float_layers_equal_float_ops) {
    static const int channels[] = {16, 20, 32, 34, 48};
    bool seen[OCT_OP_KIND_COUNT] = {false};
    for (int i = 0; i < 5; i++) equal_float_ops(channels[i], seen);
    /* the dynamic kinds have no float op: test_small_weights, test_lstm */
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        if (!octi_fnode_has((oct_op_kind)k) || (oct_op_flags((oct_op_kind)k) & OCT_OPF_Q)) continue;
        ck_assert_msg(seen[k], "%s was never compared", oct_op_name((oct_op_kind)k));
    }
}
END_TEST

START_TEST(float_layers_keep_their_bits) {
    enum { N = 13, IMAGE = 9 * 8 * 4, K = 6 };
    float x[N * IMAGE], want[N * K], got[N * K];
    for (int threads = 1; threads < 5; threads += 3) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
        chain c = {.ctx = ctx};
        oct_net *net = float_net(&c, 20);
        uint8_t *bytes;
        size_t size;
        ck_ok(oct_int8_save_memory(net, &bytes, &size));
        oct_net *loaded =
            oct_int8_load_memory(ctx, bytes, size, "float"); /* kept layers travel in the file */
        ck_not_null(loaded);
        for (int i = 0; i < N * IMAGE; i++) x[i] = 1.5f * octi_rng_normal(&c.t.rng);
        for (int unfused = 0; unfused < 2; unfused++)
            for (int64_t batch = 1; batch <= N; batch += 4) {
                oct_plan *plan =
                    oct_plan_new(unfused ? net : loaded, &(oct_plan_opts){.unfused = unfused});
                oct_session *s = oct_session_new(plan, batch, NULL, 0);
                ck_not_null(s);
                uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
                for (int64_t i = 0; i < N; i += batch)
                    ck_ok(oct_session_run(s, x + i * IMAGE, N - i < batch ? N - i : batch,
                                          got + i * K));
                ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), before);
                if (threads == 1 && !unfused && batch == 1) memcpy(want, got, sizeof want);
                ck_assert(!memcmp(want, got, sizeof want));
                oct_session_free(s);
                oct_plan_free(plan);
            }
        oct_close(ctx);
    }
}
END_TEST

/* What training does with a value that is no number, or a zero with a sign, the plan does too:
 * PyTorch's rules, written here once more. */
static float rectified(float v, bool six) {
    if (v < 0) return 0;
    return six && v > 6 ? 6 : v; /* NaN and -0 as they are */
}

/* The first of the largest, row by row; the first NaN where there is one. */
static int32_t largest(const float *x, const oct_attrs *a, const int64_t *d, int64_t p, int64_t q,
                       int64_t ch) {
    int32_t best = -1;
    for (int64_t h = p * a->stride[0] - a->pads[0], i = 0; i < a->kernel[0]; i++, h++)
        for (int64_t w = q * a->stride[1] - a->pads[1], j = 0; j < a->kernel[1]; j++, w++) {
            if (h < 0 || w < 0 || h >= d[1] || w >= d[2]) continue;
            const int32_t at = (int32_t)(h * d[2] + w);
            const float v = x[at * d[3] + ch], top = best < 0 ? 0 : x[best * d[3] + ch];
            if (best < 0 || (!isnan(top) && (isnan(v) || v > top))) best = at;
        }
    return best;
}

/* The pool of x, with and without positions, by the op and by the plan. */
static void check_largest(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                          const oct_tensor *planned) {
    oct_tensor *y = oct_tensor_new(ctx, OCT_F32, planned->shape),
               *plain = oct_tensor_new(ctx, OCT_F32, planned->shape),
               *at = oct_tensor_new(ctx, OCT_S32, planned->shape);
    ck_ok(oct_max_pool2d_forward(ctx, a, x, y, at));
    ck_ok(oct_max_pool2d_forward(ctx, a, x, plain, NULL));
    ck_assert(!memcmp(y->data, plain->data, oct_tensor_bytes(y)));
    ck_assert(!memcmp(y->data, planned->data, oct_tensor_bytes(y)));
    const int64_t *o = y->shape.dim, c = o[3];
    for (int64_t i = 0; i < o[1] * o[2] * c; i++) {
        const int32_t want =
            largest(oct_f32(x), a, x->shape.dim, i / c / o[2], i / c % o[2], i % c);
        ck_assert_int_eq(oct_s32(at)[i], want);
        ck_assert(!memcmp(oct_f32(y) + i, oct_f32(x) + want * c + i % c, sizeof(float)));
    }
    oct_tensor_unref(y);
    oct_tensor_unref(plain);
    oct_tensor_unref(at);
}

START_TEST(float_layers_pass_nan_and_signed_zeros_on) {
    enum { H = 7, W = 6, C = 3, IMAGE = H * W * C };
    static const float odd[] = {NAN, -0.0f, 0.0f, -1, 2, 7, INFINITY, -INFINITY};
    const oct_attrs pools[] = {{.kernel = {2, 2}, .stride = {2, 2}},
                               {.kernel = {3, 3}, .stride = {1, 1}, .pads = {1, 1, 1, 1}},
                               {.kernel = {5, 2}, .stride = {2, 3}, .pads = {2, 0, 1, 1}},
                               {.kernel = {1, 4}, .stride = {3, 1}},
                               {.kernel = {H, W}, .stride = {1, 1}}};
    enum { POOLS = sizeof pools / sizeof *pools };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    chain c = {.ctx = ctx};
    c.t = test_net_new(ctx, 4, H, W, C);
    oct_graph *g = c.t.net->graph;
    const int32_t in = g->input;
    int32_t acts[3], pooled[POOLS], ends[3 + POOLS];
    for (int k = 0; k < 2; k++)
        acts[k] = node(&c, k ? OCT_OP_relu6 : OCT_OP_relu, (oct_attrs){.p = 0}, &in, 1);
    acts[2] = node(&c, OCT_OP_add, (oct_attrs){.act = {OCT_ACT_RELU6}}, (int32_t[]){in, in}, 2);
    for (int k = 0; k < POOLS; k++) pooled[k] = node(&c, OCT_OP_max_pool2d, pools[k], &in, 1);
    for (int k = 0; k < 3 + POOLS; k++)
        ends[k] =
            node(&c, OCT_OP_flatten, (oct_attrs){.p = 0}, k < 3 ? &acts[k] : &pooled[k - 3], 1);
    g->output = node(&c, OCT_OP_cat, (oct_attrs){.axis = {1}}, ends, 3 + POOLS);
    oct_session *s =
        oct_session_new(oct_plan_new(c.t.net, &(oct_plan_opts){.unfused = true}), 1, NULL, 0);
    ck_not_null(s);
    float x[IMAGE], y[4096];
    ck_assert_int_le(oct_shape_count(&(oct_shape){1, {g->values[g->output].shape.dim[1]}}), 4096);
    oct_tensor *image = oct_tensor_borrow(ctx, OCT_F32, OCT_SHAPE(1, H, W, C), x);
    for (int round = 0; round < 40; round++) {
        /* fewer and fewer kinds of values: windows of zeros alone, and of NaN alone, come too */
        for (int i = 0; i < IMAGE; i++)
            x[i] = odd[octi_rng_below(&c.t.rng, (uint32_t)(1 + round % 8))];
        if (round > 20)
            for (int i = 0; i < IMAGE; i++) x[i] = octi_rng_below(&c.t.rng, 2) ? -0.0f : 0.0f;
        ck_ok(oct_session_run(s, x, 1, y));
        oct_tensor got;
        for (int k = 0; k < 3; k++) {
            ck_ok(oct_session_value(s, g->values[acts[k]].name, &got));
            for (int i = 0; i < IMAGE; i++) {
                const float want = rectified(k < 2 ? x[i] : x[i] + x[i], k > 0);
                ck_assert(!memcmp(&want, oct_f32(&got) + i, sizeof want));
            }
        }
        for (int k = 0; k < POOLS; k++) {
            ck_ok(oct_session_value(s, g->values[pooled[k]].name, &got));
            check_largest(ctx, &pools[k], image, &got);
        }
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("int8_float", float_layers_equal_float_ops, float_layers_keep_their_bits,
              float_layers_pass_nan_and_signed_zeros_on)
