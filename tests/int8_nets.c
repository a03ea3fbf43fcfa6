/* SPDX-License-Identifier: MIT
 * Builds G3 nets by hand, node by node, and at random. */
#include "tests/int8_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/mem.h"
#include "src/qround.h"
#include "tests/oct_test.h"

static uint32_t below(test_net *t, uint32_t n) { return octi_rng_below(&t->rng, n); }
static oct_graph *graph(test_net *t) { return t->net->graph; }
oct_shape test_shape(const test_net *t, int32_t v) { return t->net->graph->values[v].shape; }

static oct_tensor *reg(test_net *t, const char *name, oct_tensor_role role, oct_dtype dtype,
                       oct_shape shape, const void *data) {
    oct_tensor *p = oct_tensor_new(t->net->ctx, dtype, shape);
    ck_not_null(p);
    if (oct_tensor_bytes(p)) memcpy(p->data, data, oct_tensor_bytes(p));
    ck_ok(octi_net_register(t->net, name, role, p));
    oct_tensor_unref(p); /* the registry keeps it */
    return p;
}

test_net test_net_new(oct_ctx *ctx, uint32_t seed, int h, int w, int c) {
    test_net t = {octi_net_new(ctx, OCT_STAGE_INT8), octi_rng_stream(11, OCTI_RNG_TEST, seed, 1), 0,
                  0};
    ck_not_null(t.net);
    graph(&t)->input = octi_graph_add_value(graph(&t), "input", OCT_VALUE_INPUT, OCT_F32,
                                            OCT_SHAPE(OCT_BATCH, h, w, c), NULL);
    t.most = 255;
    return t;
}

int32_t test_const(test_net *t, const char *name, oct_dtype dtype, oct_shape shape,
                   const void *data) {
    oct_tensor *p = reg(t, name, OCT_ROLE_CONST, dtype, shape, data);
    int32_t v = octi_graph_add_value(graph(t), name, OCT_VALUE_CONST, dtype, shape, p);
    ck_assert_int_ge(v, 0);
    return v;
}

static int32_t quantizer(test_net *t, const char *name, float s, int z) {
    char text[128];
    snprintf(text, sizeof text, "%s.scale", name);
    oct_quantizer q = {.name = name, .spec = oct_qspec_activation(8, false), .observer = ""};
    q.spec.qmax = t->most;
    q.scale = reg(t, text, OCT_ROLE_QPARAM, OCT_F32, OCT_SHAPE(1), &s);
    snprintf(text, sizeof text, "%s.zero_point", name);
    int32_t zero = z;
    q.zero_point = reg(t, text, OCT_ROLE_QPARAM, OCT_S32, OCT_SHAPE(1), &zero);
    int32_t i = octi_graph_add_quantizer(graph(t), &q);
    ck_assert_int_ge(i, 0);
    return i;
}

static float scale_at(const oct_graph *g, int32_t v) {
    return oct_f32(g->quantizers[g->values[v].quantizer].scale)[0];
}
static float scale_of(const test_net *t, int32_t v) { return scale_at(t->net->graph, v); }

static int32_t add_node(test_net *t, oct_op_kind kind, const oct_attrs *a, const int32_t *in,
                        int nin, oct_shape shape, bool codes) {
    char name[64];
    snprintf(name, sizeof name, "n%d.%s", (int)t->count++, oct_op_name(kind));
    int32_t n =
        octi_graph_add_node(graph(t), kind, name, a, in, nin, codes ? OCT_U8 : OCT_F32, shape);
    ck_assert_int_ge(n, 0);
    return graph(t)->nodes[n].out;
}

int32_t test_node(test_net *t, oct_op_kind kind, const oct_attrs *a, const int32_t *in, int nin,
                  oct_shape shape, float s, int z) {
    int32_t v = add_node(t, kind, a, in, nin, shape, s > 0);
    if (s > 0) {
        int32_t q = quantizer(t, graph(t)->values[v].name, s, z);
        graph(t)->values[v].quantizer = q;
    }
    return v;
}

int32_t test_grid_node(test_net *t, oct_op_kind kind, const oct_attrs *a, int32_t x,
                       oct_shape shape) {
    int32_t v = add_node(t, kind, a, &x, 1, shape, graph(t)->values[x].dtype == OCT_U8);
    graph(t)->values[v].quantizer = graph(t)->values[x].quantizer;
    return v;
}

static int32_t named_const(test_net *t, const char *suffix, oct_dtype dtype, oct_shape shape,
                           const void *data) {
    char name[64];
    snprintf(name, sizeof name, "n%d.%s", (int)t->count, suffix);
    return test_const(t, name, dtype, shape, data);
}

/* Records of the net's law. */
static int32_t records(test_net *t, const float *m, int64_t count) {
    if (t->law == OCTQ_FP32) return named_const(t, "m", OCT_F32, OCT_SHAPE(count), m);
    int32_t *q = malloc((size_t)count * 8);
    for (int64_t i = 0; i < count; i++) octq_q31_of((double)m[i], &q[i], &q[count + i]);
    const int32_t v = named_const(t, "m", OCT_S32, OCT_SHAPE(2, count), q);
    free(q);
    return v;
}

/* Output qparams: zero points at both ends and anywhere between. */
static int some_zero(test_net *t) {
    const int pick[] = {0, t->most, (t->most + 1) / 2};
    uint32_t k = below(t, 6);
    return k < 3 ? pick[k] : (int)below(t, (uint32_t)t->most + 1);
}

/* lo..hi: the full range, or a fused relu. */
static void some_clamp(test_net *t, oct_attrs *a, int z) {
    a->lo[0] = below(t, 2) ? z : 0;
    a->hi[0] = below(t, 3) ? t->most : z + (int)below(t, (uint32_t)(t->most + 1 - z));
}

int32_t test_quantize(test_net *t, int32_t x, float s, int z) {
    return test_node(t, OCT_OP_quantize, NULL, &x, 1, test_shape(t, x), s, z);
}

/* Weights, bias and multipliers of o channels with k inputs each. */
static void weights(test_net *t, oct_shape shape, int32_t in[4]) {
    int64_t o = shape.dim[0], k = oct_shape_count(&shape) / o;
    int8_t *w = malloc((size_t)(o * k));
    int32_t *b = malloc((size_t)o * 4);
    float *m = malloc((size_t)o * 4);
    for (int64_t i = 0; i < o; i++) {
        uint32_t style = below(t, 8); /* some channels are extreme */
        for (int64_t j = 0; j < k; j++)
            w[i * k + j] = style == 0   ? 127
                           : style == 1 ? -127
                           : style == 2 ? (j % 2 ? 127 : -127)
                                        : (int8_t)((int)below(t, 255) - 127);
        b[i] = (int32_t)below(t, 20000) - 10000;
        m[i] = (float)((0.5 + octi_rng_uniform(&t->rng)) * 40.0 / (60.0 * 80.0 * sqrt((double)k)));
    }
    in[1] = named_const(t, "weight", OCT_S8, shape, w);
    in[2] = named_const(t, "bias", OCT_S32, OCT_SHAPE(o), b);
    in[3] = records(t, m, o);
    free(w);
    free(b);
    free(m);
}

int32_t test_conv(test_net *t, int32_t x, int o, int r, int s, int stride, int pad, int dil,
                  int groups) {
    const oct_shape xs = test_shape(t, x);
    const int64_t *d = xs.dim;
    int64_t c = d[3], p = (d[1] + 2 * pad - dil * (r - 1) - 1) / stride + 1,
            q = (d[2] + 2 * pad - dil * (s - 1) - 1) / stride + 1;
    int32_t in[4] = {x};
    int z = some_zero(t);
    weights(t, OCT_SHAPE(o, r, s, c / groups), in);
    oct_attrs a = {.kernel = {r, s},
                   .stride = {stride, stride},
                   .pads = {pad, pad, pad, pad},
                   .dilation = {dil, dil},
                   .groups = {groups},
                   .law = {t->law}};
    some_clamp(t, &a, z);
    return test_node(t, OCT_OP_qconv2d, &a, in, 4, OCT_SHAPE(OCT_BATCH, p, q, o), 0.05f, z);
}

int32_t test_linear(test_net *t, int32_t x, int o) {
    int32_t in[4] = {x};
    int z = some_zero(t);
    weights(t, OCT_SHAPE(o, test_shape(t, x).dim[1]), in);
    oct_attrs a = {.law = {t->law}};
    some_clamp(t, &a, z);
    return test_node(t, OCT_OP_qlinear, &a, in, 4, OCT_SHAPE(OCT_BATCH, o), 0.07f, z);
}

int32_t test_add(test_net *t, int32_t a, int32_t b) {
    float s = 0.05f + 0.1f * octi_rng_uniform(&t->rng),
          m[2] = {octq_ratio(scale_of(t, a), s), octq_ratio(scale_of(t, b), s)};
    int z = some_zero(t);
    int32_t sum[6], in[3] = {a, b};
    octq_q31_add_of(scale_of(t, a), scale_of(t, b), s, sum, sum + 3);
    in[2] =
        t->law == OCTQ_FP32 ? records(t, m, 2) : named_const(t, "m", OCT_S32, OCT_SHAPE(2, 3), sum);
    oct_attrs at = {.law = {t->law}};
    some_clamp(t, &at, z);
    oct_shape sa = test_shape(t, a), sb = test_shape(t, b),
              big = sa.dim[1] >= sb.dim[1] && sa.dim[2] >= sb.dim[2] ? sa : sb;
    return test_node(t, OCT_OP_qadd, &at, in, 3, big, s, z);
}

int32_t test_mul(test_net *t, int32_t a, int32_t b) {
    float s = 0.05f, m = octq_multiplier(scale_of(t, a), scale_of(t, b), s);
    int z = some_zero(t);
    int32_t in[3] = {a, b, records(t, &m, 1)};
    oct_attrs at = {.law = {t->law}};
    some_clamp(t, &at, z);
    oct_shape sa = test_shape(t, a), sb = test_shape(t, b),
              big = sa.dim[1] >= sb.dim[1] && sa.dim[2] >= sb.dim[2] ? sa : sb;
    return test_node(t, OCT_OP_qmul, &at, in, 3, big, s, z);
}

int32_t test_cat(test_net *t, const int32_t *x, int count) {
    float s = 0.06f, m[64];
    int32_t in[65];
    oct_shape y = test_shape(t, x[0]);
    oct_attrs a = {.axis = {y.rank - 1}, .law = {t->law}};
    y.dim[y.rank - 1] = 0;
    for (int k = 0; k < count; k++) {
        in[k] = x[k];
        m[k] = octq_ratio(scale_of(t, x[k]), s);
        y.dim[y.rank - 1] += test_shape(t, x[k]).dim[y.rank - 1];
    }
    in[count] = records(t, m, count);
    return test_node(t, OCT_OP_qcat, &a, in, count + 1, y, s, some_zero(t));
}

static oct_shape pooled(const test_net *t, int32_t x, int k, int stride, int pad) {
    const oct_shape xs = test_shape(t, x);
    const int64_t *d = xs.dim;
    return OCT_SHAPE(OCT_BATCH, (d[1] + 2 * pad - k) / stride + 1,
                     (d[2] + 2 * pad - k) / stride + 1, d[3]);
}

int32_t test_max_pool(test_net *t, int32_t x, int k, int stride, int pad) {
    oct_attrs a = {.kernel = {k, k},
                   .stride = {stride, stride},
                   .pads = {pad, pad, pad, pad},
                   .dilation = {1, 1}};
    return test_grid_node(t, OCT_OP_max_pool2d, &a, x, pooled(t, x, k, stride, pad));
}

static int32_t mean_multipliers(test_net *t, int32_t x, int most, float s) {
    float *m = calloc((size_t)most + 1, sizeof *m);
    for (int i = 1; i <= most; i++) m[i] = octq_mean_multiplier(scale_of(t, x), s, i);
    m[0] = m[1];
    int32_t v = records(t, m, most + 1);
    free(m);
    return v;
}

int32_t test_avg_pool(test_net *t, int32_t x, int k, int stride, int pad, bool exclude) {
    oct_attrs a = {.kernel = {k, k},
                   .stride = {stride, stride},
                   .pads = {pad, pad, pad, pad},
                   .exclude_pad = {exclude},
                   .law = {t->law}};
    if (t->law == OCTQ_Q31)
        return test_grid_node(t, OCT_OP_qavg_pool2d, &a, x, pooled(t, x, k, stride, pad));
    float s = 0.04f;
    int32_t in[2] = {x, mean_multipliers(t, x, k * k, s)};
    return test_node(t, OCT_OP_qavg_pool2d, &a, in, 2, pooled(t, x, k, stride, pad), s,
                     some_zero(t));
}

int32_t test_adaptive(test_net *t, int32_t x, int p, int q) {
    const oct_shape xs = test_shape(t, x);
    const int64_t *d = xs.dim;
    int most[2] = {0, 0}, outs[2] = {p, q};
    for (int e = 0; e < 2; e++)
        for (int i = 0; i < outs[e]; i++) {
            int cells =
                (int)(((i + 1) * d[e + 1] + outs[e] - 1) / outs[e] - i * d[e + 1] / outs[e]);
            if (cells > most[e]) most[e] = cells;
        }
    oct_attrs a = {.out_size = {p, q}, .law = {t->law}};
    float s = 0.045f;
    int32_t in[2] = {x, mean_multipliers(t, x, most[0] * most[1], s)};
    return test_node(t, OCT_OP_qadaptive_avg_pool2d, &a, in, 2, OCT_SHAPE(OCT_BATCH, p, q, d[3]), s,
                     some_zero(t));
}

int32_t test_pad(test_net *t, int32_t x, int top, int left, int bottom, int right) {
    const oct_shape xs = test_shape(t, x);
    const int64_t *d = xs.dim;
    oct_attrs a = {.pads = {top, left, bottom, right}, .lo = {(int)below(t, 256)}};
    return test_grid_node(t, OCT_OP_qpad, &a, x,
                          OCT_SHAPE(OCT_BATCH, d[1] + top + bottom, d[2] + left + right, d[3]));
}

int32_t test_table(test_net *t, int32_t x) {
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)below(t, 256);
    int32_t in[2] = {x, named_const(t, "table", OCT_U8, OCT_SHAPE(256), table)};
    return test_node(t, OCT_OP_qtable, NULL, in, 2, test_shape(t, x), 0.05f, some_zero(t));
}

int32_t test_requantize(test_net *t, int32_t x) {
    float s = 0.03f + 0.1f * octi_rng_uniform(&t->rng), m = octq_ratio(scale_of(t, x), s);
    const oct_attrs a = {.law = {t->law}};
    int32_t in[2] = {x, records(t, &m, 1)};
    return test_node(t, OCT_OP_requantize, &a, in, 2, test_shape(t, x), s, some_zero(t));
}

int32_t test_softmax(test_net *t, int32_t x) {
    float e[256];
    for (int k = 0; k < 256; k++) e[k] = octq_softmax_exp(scale_of(t, x), k);
    int32_t in[2] = {x, named_const(t, "exp", OCT_F32, OCT_SHAPE(256), e)};
    return test_node(t, OCT_OP_qsoftmax, NULL, in, 2, test_shape(t, x), 1.0f / 256, 0);
}

int32_t test_clip(test_net *t, int32_t x) {
    int lo = (int)below(t, 200);
    oct_attrs a = {.lo = {lo}, .hi = {lo + (int)below(t, (uint32_t)(256 - lo))}};
    return test_grid_node(t, OCT_OP_qclip, &a, x, test_shape(t, x));
}

int32_t test_relu(test_net *t, int32_t x) {
    return test_grid_node(t, OCT_OP_relu, NULL, x, test_shape(t, x));
}

int32_t test_flatten(test_net *t, int32_t x) {
    const oct_shape s = test_shape(t, x);
    int64_t k = 1;
    for (int i = 1; i < s.rank; i++) k *= s.dim[i];
    return test_grid_node(t, OCT_OP_flatten, NULL, x, OCT_SHAPE(OCT_BATCH, k));
}

void test_end(test_net *t, int32_t x) {
    graph(t)->output = test_node(t, OCT_OP_dequantize, NULL, &x, 1, test_shape(t, x), 0, 0);
    ck_ok(octi_graph_verify(graph(t)));
}

oct_net *test_small_net(oct_ctx *ctx) {
    test_net t = test_net_new(ctx, 1, 7, 6, 3);
    uint8_t table[3 * 256];
    for (int i = 0; i < 3 * 256; i++)
        table[i] = (uint8_t)octq_quantize(octq_pixel((uint8_t)(i % 256), 255, 0.4f, 0.3f), 0.02f,
                                          70, 0, 255);
    reg(&t, "input.table", OCT_ROLE_CONST, OCT_U8, OCT_SHAPE(3, 256), table);
    ck_ok(oct_net_set_input(t.net, &(oct_input_desc){.channels = 3,
                                                     .height = 7,
                                                     .width = 6,
                                                     .color = OCT_COLOR_RGB,
                                                     .div = 255,
                                                     .mean = {0.4f, 0.4f, 0.4f},
                                                     .std = {0.3f, 0.3f, 0.3f}}));
    ck_ok(oct_net_set_classes(t.net, (oct_class[]){{"0", "cat"}, {"1", "\"dog\"\n"}, {"2", NULL}},
                              3));
    t.net->target = "octet";
    int32_t x = test_quantize(&t, t.net->graph->input, 0.02f, 70);
    int32_t a = test_conv(&t, x, 5, 3, 3, 1, 1, 1, 1), b = test_conv(&t, x, 4, 1, 1, 1, 0, 1, 1);
    int32_t c = test_cat(&t, (int32_t[]){a, b}, 2);
    int32_t d = test_conv(&t, c, 9, 3, 3, 1, 1, 1, 9), e = test_add(&t, c, d);
    int32_t f = test_max_pool(&t, e, 3, 2, 1), h = test_flatten(&t, f);
    test_end(&t, test_linear(&t, h, 3));
    return t.net;
}

oct_net *test_u7_net(oct_ctx *ctx) {
    test_net t = test_net_new(ctx, 7, 19, 18, 3);
    t.most = 127;
    const int32_t x = test_quantize(&t, t.net->graph->input, 0.04f, 61),
                  a = test_conv(&t, x, 17, 3, 3, 1, 1, 1, 1),
                  b = test_conv(&t, a, 24, 1, 1, 2, 0, 1, 1),
                  c = test_conv(&t, b, 20, 5, 5, 1, 2, 1, 1),
                  d = test_flatten(&t, test_max_pool(&t, c, 2, 2, 0));
    t.law = OCTQ_Q31;
    test_end(&t, test_linear(&t, test_linear(&t, d, 40), 7));
    return t.net;
}

/* Draws of one call stand apart: the order of arguments is the compiler's. */
oct_net *test_random_net(oct_ctx *ctx, uint32_t seed) {
    test_net t = test_net_new(ctx, seed, 1, 1, 1);
    t.law = seed % 2 ? OCTQ_Q31 : OCTQ_FP32;
    int h = 1 + (int)below(&t, 11), w = 1 + (int)below(&t, 11), c = 1 + (int)below(&t, 9);
    graph(&t)->values[0].shape = OCT_SHAPE(OCT_BATCH, h, w, c);
    int32_t live[64], count = 0;
    live[count++] = test_quantize(&t, 0, 0.02f, some_zero(&t));
    for (int i = 0; i < 14; i++) {
        int32_t x = live[below(&t, (uint32_t)count)], y = x,
                other = live[below(&t, (uint32_t)count)];
        const oct_shape xs = test_shape(&t, x),
                        os = test_shape(&t, other); /* copies: the graph's array moves */
        const int64_t *d = xs.dim, *e = os.dim;
        int side = (int)(d[1] < d[2] ? d[1] : d[2]);
        switch (below(&t, 14)) {
        case 0:
        case 1: {
            int k = 1 + (int)below(&t, 3), s = 1 + (int)below(&t, 3), g = d[3] % 2 ? 1 : 2;
            const int dilation = 1 + (int)below(&t, 2), stride = 1 + (int)below(&t, 2),
                      each = 1 + (int)below(&t, 40 / (uint32_t)g);
            y = test_conv(&t, x, g * each, k, s, stride, 2, dilation, g);
            break;
        }
        case 2:
            y = test_conv(&t, x, (int)d[3], 3, 3, 1 + (int)below(&t, 2), 1, 1, (int)d[3]);
            break;
        case 3:
            y = test_conv(&t, x, (int)d[3] * 2, 3, 3, 1, 1, 1, (int)d[3]);
            break;
        case 4:
            y = d[1] == e[1] && d[2] == e[2] && d[3] == e[3] ? test_add(&t, x, other)
                                                             : test_requantize(&t, x);
            break;
        case 5:
            y = test_add(&t, x, test_adaptive(&t, x, 1, 1));
            break;
        case 6:
            y = test_mul(&t, test_adaptive(&t, x, 1, 1), x);
            break;
        case 7:
            y = d[1] == e[1] && d[2] == e[2] ? test_cat(&t, (int32_t[]){x, other, x}, 3)
                                             : test_cat(&t, &x, 1);
            break;
        case 8: {
            const int stride = side >= 2 ? 1 + (int)below(&t, 2) : 1,
                      k = side >= 2 ? 2 + (int)below(&t, 2) : 1;
            y = side >= 2 ? test_max_pool(&t, x, k, stride, 1) : test_relu(&t, x);
            break;
        }
        case 9:
            y = side >= 2 ? test_avg_pool(&t, x, 3, 2, 1, below(&t, 2)) : test_clip(&t, x);
            break;
        case 10: {
            const int q = 1 + (int)below(&t, (uint32_t)d[2]),
                      p = 1 + (int)below(&t, (uint32_t)d[1]);
            y = test_adaptive(&t, x, p, q);
            break;
        }
        case 11: {
            const int bottom = (int)below(&t, 2), left = (int)below(&t, 3), top = (int)below(&t, 2);
            y = test_pad(&t, x, top, left, bottom, 0);
            break;
        }
        case 12:
            y = below(&t, 2) ? test_softmax(&t, x) : test_table(&t, x);
            break;
        default:
            y = below(&t, 2) ? test_clip(&t, test_relu(&t, x)) : test_relu(&t, test_table(&t, x));
            break;
        }
        if (oct_shape_count(&(oct_shape){3,
                                         {test_shape(&t, y).dim[1], test_shape(&t, y).dim[2],
                                          test_shape(&t, y).dim[3]}}) > 6000)
            y = test_adaptive(&t, y, 2, 2);
        live[count++] = y;
    }
    test_end(&t, test_linear(&t, test_flatten(&t, live[count - 1]), 1 + (int)below(&t, 12)));
    return t.net;
}
