/* SPDX-License-Identifier: MIT
 * The straight-through gradients of a step, in double: which gradients pass a fused activation and
 * the range of the codes, however the node runs; and that the gradient of a layer's input goes
 * through its weights as quantized, which differ from the float ones by much at 3 bits. */
#include "tests/oct_test.h"

#include <math.h>

#include "autograd/tape.h"
#include "octet.h"
#include "qat/net/prepared.h"
#include "qat/step/step.h"
#include "src/qround.h"
#include "src/rng.h"

enum { IN = 6, OUT = 5, BATCH = 40, TOP = 3 /* of 3 bits */ };

/* How a node comes to its codes. */
typedef enum way {
    PRODUCT,    /* sums of codes */
    FROZEN,     /* the same, batch norm folded */
    FOLDED,     /* in floats: its input lost its codes behind dropout */
    STATISTICS, /* around batch statistics */
    OWN,        /* add, from codes */
    ROUND,      /* add, in floats */
    WAYS
} way;
static const char *const way_names[WAYS] = {"product",    "frozen", "folded",
                                            "statistics", "own",    "round"};
static bool is_add(way w) { return w == OWN || w == ROUND; }
static bool drops(way w) { return w == FOLDED || w == ROUND; }

typedef struct one {
    way way;
    oct_act act;
    oct_module *fc, *bn;
} one;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    const one *n = self;
    (void)t;
    if (drops(n->way)) x = oct_dropout(x, 0.25f);
    if (is_add(n->way))
        x = oct_add(x, x);
    else
        x = oct_apply(n->fc, x);
    if (n->bn) x = oct_apply(n->bn, x);
    return n->act == OCT_ACT_RELU ? oct_relu(x) : n->act == OCT_ACT_RELU6 ? oct_relu6(x) : x;
}

static oct_tensor *drawn(oct_ctx *ctx, oct_shape s, uint32_t key, float scale) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(4, OCTI_RNG_TEST, key, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = scale * octi_rng_normal(&r);
    return t;
}

static float *data(const oct_net *net, const char *name) {
    return oct_f32(oct_net_tensor(net, name));
}

static oct_net *prepared(oct_ctx *ctx, one *n, bool strict) {
    oct_module *m = oct_module_new(ctx, forward, n);
    if (!is_add(n->way))
        n->fc =
            oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = IN, .out = OUT}));
    if (n->way == FROZEN || n->way == STATISTICS)
        n->bn = oct_module_add(m, "bn",
                               oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = OUT}));
    oct_net *net = oct_capture(m, OCT_SHAPE(IN));
    ck_not_null(net);
    if (!is_add(n->way))
        memcpy(data(net, "fc.weight"), drawn(ctx, OCT_SHAPE(OUT * IN), 1, 1)->data,
               OUT * IN * sizeof(float));
    for (int o = 0; n->bn && o < OUT; o++) {
        data(net, "bn.weight")[o] = o == 1 ? -3.0f : 2 + 0.5f * (float)o;
        data(net, "bn.bias")[o] = 1 + 0.3f * (float)o;
        data(net, "bn.running_mean")[o] = 0.2f * (float)o;
        data(net, "bn.running_var")[o] = 1 + 0.5f * (float)o;
    }
    oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = "minmax",
                                                 .wbits = 3,
                                                 .all_layers = true,
                                                 .ste = strict ? OCT_STE_STRICT : OCT_STE_ROUNDED});
    ck_not_null(q);
    oct_net_freeze_batch_norm(q, n->way == FROZEN);
    return q;
}

/* The last node that has a grid of its own. */
static const oct_node *rounded_node(const oct_net *q) {
    const oct_node *n = NULL;
    for (int32_t i = 0; i < q->graph->node_count; i++)
        if (q->graph->nodes[i].kind == OCT_OP_linear || q->graph->nodes[i].kind == OCT_OP_add)
            n = &q->graph->nodes[i];
    ck_not_null(n);
    return n;
}

/* What a layer is in double: weights as quantized, taken back through the fold or not, and its
 * values. */
typedef struct layer {
    double w[OUT][IN], bias[OUT];
    double raw[BATCH][OUT]; /* behind the product (and batch norm) */
    double mean[OUT], inv[OUT];
} layer;

static void layer_by_hand(layer *l, const oct_net *q, way by, const float *x, double s_x) {
    const float *w = data(q, "fc.weight"), *b = data(q, "fc.bias");
    for (int o = 0; o < OUT; o++) {
        double f = 1, most = 0;
        l->bias[o] = (double)b[o];
        if (by == FROZEN || by == STATISTICS)
            f = (double)oct_fold_factor(data(q, "bn.weight")[o], data(q, "bn.running_var")[o],
                                        1e-5f);
        if (by == FROZEN)
            l->bias[o] = (double)data(q, "bn.bias")[o] +
                         f * ((double)b[o] - (double)data(q, "bn.running_mean")[o]);
        for (int c = 0; c < IN; c++) most = fmax(most, fabs((double)w[o * IN + c] * f));
        const double s = most / TOP;
        for (int c = 0; c < IN; c++)
            l->w[o][c] = s * rint((double)w[o * IN + c] * f / s) / (by == STATISTICS ? f : 1);
        if (by == PRODUCT || by == FROZEN) l->bias[o] = s_x * s * rint(l->bias[o] / (s_x * s));
        double sum = 0, square = 0;
        for (int i = 0; i < BATCH; i++) {
            l->raw[i][o] = l->bias[o];
            for (int c = 0; c < IN; c++) l->raw[i][o] += l->w[o][c] * (double)x[i * IN + c];
            sum += l->raw[i][o];
        }
        l->mean[o] = sum / BATCH;
        for (int i = 0; i < BATCH; i++)
            square += (l->raw[i][o] - l->mean[o]) * (l->raw[i][o] - l->mean[o]);
        l->inv[o] = 1 / sqrt(square / BATCH + 1e-5);
        for (int i = 0; by == STATISTICS && i < BATCH; i++)
            l->raw[i][o] =
                (double)data(q, "bn.weight")[o] * (l->raw[i][o] - l->mean[o]) * l->inv[o] +
                (double)data(q, "bn.bias")[o];
    }
}

/* Gradients behind batch norm -> before it. */
static void through_statistics(const layer *l, const oct_net *q, double d[BATCH][OUT]) {
    for (int o = 0; o < OUT; o++) {
        const double gamma = (double)data(q, "bn.weight")[o], beta = (double)data(q, "bn.bias")[o];
        double sum = 0, with = 0;
        for (int i = 0; i < BATCH; i++) {
            sum += d[i][o] / BATCH;
            with += d[i][o] * (l->raw[i][o] - beta) / gamma / BATCH;
        }
        for (int i = 0; i < BATCH; i++)
            d[i][o] = gamma * l->inv[o] * (d[i][o] - sum - (l->raw[i][o] - beta) / gamma * with);
    }
}

typedef struct range {
    float least, most;
} range;

/* Of the 64 combinations a line each. Returns how many gradients the activation closed that the
 * range alone would let pass. */
static int check(way by, oct_act act, range r, bool strict) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tape *t = oct_tape_new(ctx);
    one n = {.way = by, .act = act};
    oct_net *q = prepared(ctx, &n, strict);
    oct_tensor *x = drawn(ctx, OCT_SHAPE(BATCH, IN), 2, 2);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, x)));
    ck_ok(oct_net_settle(q));
    oct_net_observe(q, false);
    const oct_graph *g = q->graph;
    const oct_node *node = rounded_node(q);
    oct_quantizer *yq = &g->quantizers[g->values[node->out].quantizer],
                  *xq = &g->quantizers[g->values[g->nodes[0].out].quantizer];
    ck_assert_int_eq(node->attr.act[0], act);
    ck_assert_int_eq(yq->strict, strict);
    ck_ok(oct_qparams_from_range(&yq->spec, r.least, r.most, "y", oct_f32(yq->scale),
                                 oct_s32(yq->zero_point)));
    const double s = *oct_f32(yq->scale), z = *oct_s32(yq->zero_point);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *y = oct_net_forward(q, oct_param(t, x, "x"));
    ck_not_null(y);
    const int64_t count = oct_tensor_count(oct_var_value(y));
    const int out = (int)(count / BATCH);
    const float *in = oct_f32(oct_var_value(octi_tape_find(t, g->values[node->in[0]].name))),
                *codes = oct_f32(oct_var_value(octi_tape_find(t, g->values[g->nodes[0].out].name)));
    layer l;
    if (!is_add(by)) layer_by_hand(&l, q, by, in, octi_scale(xq));
    oct_tensor *dy = drawn(ctx, oct_var_value(y)->shape, 3, 1);
    double d[BATCH][OUT > IN ? OUT : IN];
    int closed = 0;
    for (int i = 0; i < BATCH; i++)
        for (int o = 0; o < out; o++) {
            const double v = is_add(by) ? 2 * (double)in[i * out + o] : l.raw[i][o],
                         a = act ? fmin(fmax(v, 0), act == OCT_ACT_RELU6 ? 6 : INFINITY) : v,
                         lo = (yq->spec.qmin - z) * s, hi = (yq->spec.qmax - z) * s,
                         wide = strict ? 0 : s / 2;
            const bool open = a == v && v != 0, inside = a > lo - wide && a < hi + wide;
            /* too near an edge to say */
            if (fmin(fmin(fabs(v), fabs(v - 6)), fmin(fabs(v - lo + wide), fabs(v - hi - wide))) <
                1e-3 * s)
                oct_f32(dy)[i * out + o] = 0;
            d[i][o] = open && inside ? (double)oct_f32(dy)[i * out + o] : 0;
            const bool alone = v > lo - wide && v < hi + wide;
            closed += !open && alone && oct_f32(dy)[i * out + o] != 0;
        }
    ck_ok(oct_backward_from(y, dy));
    if (by == STATISTICS) {
        double turned[BATCH][OUT];
        for (int i = 0; i < BATCH; i++) memcpy(turned[i], d[i], sizeof turned[i]);
        through_statistics(&l, q, turned);
        for (int i = 0; i < BATCH; i++) memcpy(d[i], turned[i], sizeof turned[i]);
    }
    for (int i = 0; i < BATCH * IN; i++) {
        const double code = (double)codes[i] / (double)octi_scale(xq) + octi_zero_point(xq);
        if (code < 0.5 || code > 254.5) continue; /* its own range may close it */
        if (codes[i] == 0) continue;              /* dropped or not: nothing says */
        const double kept = drops(by) ? (in[i] == 0 ? 0 : 1 / 0.75) : 1;
        double want = is_add(by) ? 2 * d[i / IN][i % IN] : 0;
        for (int o = 0; !is_add(by) && o < OUT; o++) want += d[i / IN][o] * l.w[o][i % IN];
        want *= kept;
        const double got = (double)oct_f32(x->grad)[i];
        ck_assert_msg(fabs(got - want) < 1e-4 * (1 + fabs(want)),
                      "%s, activation %d, range %g to %g%s: dx[%d] = %g, by hand %g", way_names[by],
                      (int)act, (double)r.least, (double)r.most, strict ? ", strict" : "", i, got,
                      want);
    }
    oct_close(ctx);
    return closed;
}

/* Ranges that hold all, that clip before the activation closes, and that reach beyond where it
 * does: of a grid that is shared, of powers of two, or that lags behind. */
START_TEST(what_passes_an_activation_and_a_range) {
    static const range ranges[] = {{-40, 40}, {-2, 4}, {-1, 8}, {0, 4.5f}, {0, 6}, {0, 20}};
    int closed[WAYS][3] = {{0}};
    for (int w = 0; w < WAYS; w++)
        for (int act = OCT_ACT_NONE; act <= OCT_ACT_RELU6; act++)
            for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
                for (int strict = 0; strict < 2; strict++)
                    closed[w][act] += check((way)w, (oct_act)act, ranges[k], strict);
    for (int w = 0; w < WAYS; w++) {
        printf("%s: closed by relu %d, by relu6 %d\n", way_names[w], closed[w][OCT_ACT_RELU],
               closed[w][OCT_ACT_RELU6]);
        ck_assert_int_gt(closed[w][OCT_ACT_RELU], 100);
        ck_assert_int_gt(closed[w][OCT_ACT_RELU6], closed[w][OCT_ACT_RELU] + 40); /* above 6 */
    }
}
END_TEST

OCT_TEST_MAIN("straight_by_hand", what_passes_an_activation_and_a_range)
