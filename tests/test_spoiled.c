/* SPDX-License-Identifier: MIT
 * The test of the exactness tests: one constant of every kind is spoiled in every one of many int8
 * nets. The comparison with the simulation finds it, at the node that holds it - or the law itself,
 * in plain loops over the codes that occur there, gives the same codes with the spoiled constant.
 * Nothing in between. */
#include "tests/exact_fix.h"

#include <math.h>

#include "qat/net/prepared.h"
#include "src/rng.h"
#include "src/mem.h"
#include "tests/law_node.h"

enum { IMAGES = 8 };

typedef enum what {
    WEIGHT,
    BIAS,
    MULTIPLIER,
    FIXED_MULTIPLIER,
    SHIFT,
    TABLE,
    EXP,
    LOW,
    HIGH,
    ZERO_POINT,
    PAD_CODE,
    PIXEL_TABLE,
    WHATS
} what;
static const char *const words[WHATS] = {
    "weight",      "bias",        "multiplier",  "q31",        "shift",        "table entry",
    "exponential", "lower clamp", "upper clamp", "zero point", "padding code", "pixel table"};

typedef struct lab {
    oct_net *q, *i8;
    oct_tensor *x, **sim; /* [nodes of q]: codes of the simulation, NULL for float nodes */
    oct_tensor *plan;     /* [nodes of i8]: what the sound plan makes */
    int tried[WHATS], found[WHATS];
} lab;

static oct_session *session_of(const oct_net *i8, const oct_tensor *x, oct_plan **plan) {
    *plan = oct_plan_new(i8, &(oct_plan_opts){.unfused = true});
    if (!*plan) return NULL;
    oct_session *s = oct_session_new(*plan, IMAGES, NULL, 0);
    oct_shape out = oct_plan_output_shape(*plan);
    out.dim[0] = IMAGES;
    oct_tensor *y = oct_tensor_new(i8->ctx, OCT_F32, out);
    ck_ok(oct_session_run(s, oct_f32(x), IMAGES, oct_f32(y)));
    oct_tensor_unref(y);
    return s;
}

/* The net's layers with weights, as they are called when fused; *count of them. */
static const char *layer_with_weights(const oct_net *fused, uint64_t which) {
    const oct_graph *g = fused->graph;
    const char *names[64];
    uint64_t count = 0;
    for (int32_t i = 0; i < g->node_count && count < 64; i++)
        if (g->nodes[i].kind == OCT_OP_conv2d || g->nodes[i].kind == OCT_OP_linear)
            names[count++] = g->nodes[i].name;
    return count ? names[which % count] : NULL;
}

/* A random net, calibrated and converted; with one layer kept float where `island`. */
static lab open_lab(uint64_t seed, bool island) {
    lab l = {.q = NULL};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_shape image;
    oct_net *net = oct_fuse(random_net(ctx, seed, &image));
    ck_not_null(net);
    const oct_qrule rule = {OCT_QSCOPE_NAME,
                            island ? layer_with_weights(net, seed) : NULL,
                            {.stay_float = OCT_SWITCH_YES}};
    l.q = oct_prepare(
        net, &(oct_qconfig){.target = seed % 2 && !island ? OCT_TARGET_LITERT : OCT_TARGET_OCTET,
                            .abits = seed % 3 ? 8 : 5,
                            .wbits = seed % 4 ? 8 : 3,
                            .observer = "minmax",
                            .rules = &rule,
                            .rule_count = rule.of != NULL});
    ck_assert_msg(l.q != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(calibrate(l.q, t, image, 1));
    l.i8 = oct_convert(l.q, NULL);
    ck_assert_msg(l.i8 != NULL, "net %d: %s", (int)seed, oct_error_message());
    l.x = random_images(ctx, IMAGES, image, 2);
    oct_sim *sim = oct_sim_new(l.q);
    ck_not_null(oct_sim_run(sim, l.x));
    const oct_graph *g = l.q->graph;
    l.sim = octi_calloc(ctx, (size_t)g->node_count, sizeof *l.sim);
    for (int32_t i = 0; i < g->node_count; i++)
        if (octi_is_int8(g, &g->nodes[i]))
            l.sim[i] = oct_tensor_copy(ctx, oct_sim_value(sim, g->nodes[i].name));
    oct_plan *plan;
    oct_session *s = session_of(l.i8, l.x, &plan);
    ck_not_null(s);
    l.plan = octi_calloc(ctx, (size_t)l.i8->graph->node_count, sizeof *l.plan);
    for (int32_t i = 0; i < l.i8->graph->node_count; i++) {
        oct_tensor v;
        ck_ok(oct_session_value(s, l.i8->graph->nodes[i].name, &v));
        l.plan[i] = *oct_tensor_copy(ctx, &v);
    }
    oct_session_free(s);
    oct_plan_free(plan);
    return l;
}

/* The first node where the plan of the net as it is now is not the simulation; "" for a net that is
 * refused; NULL: none. */
static const char *first_difference(const lab *l) {
    oct_plan *plan;
    oct_session *s = session_of(l->i8, l->x, &plan);
    if (!s) return "";
    const oct_graph *g = l->q->graph;
    const char *at = NULL;
    for (int32_t i = 0; i < g->node_count && !at; i++) {
        oct_tensor v;
        if (!l->sim[i]) continue;
        ck_ok(oct_session_value(s, g->nodes[i].name, &v));
        if (memcmp(v.data, l->sim[i]->data, oct_tensor_bytes(l->sim[i]))) at = g->nodes[i].name;
    }
    oct_session_free(s);
    oct_plan_free(plan);
    return at;
}

static const oct_tensor *codes_before(const lab *l, int32_t value) {
    return &l->plan[l->i8->graph->values[value].producer];
}

/* The law at node n over everything that occurs before it: are its codes what the sound plan
 * has? */
static bool law_agrees(const lab *l, const oct_node *n) {
    const oct_graph *g = l->i8->graph;
    law_operand x[OCTI_MAX_INPUTS];
    for (int k = 0; k < n->nin; k++) {
        if (g->values[n->in[k]].tensor) continue;
        const oct_tensor *t = codes_before(l, n->in[k]);
        x[k] =
            (law_operand){oct_u8(t), &t->shape, *oct_s32(law_quantizer(g, n->in[k])->zero_point)};
    }
    const oct_tensor *y = &l->plan[n - g->nodes];
    for (int64_t i = 0; i < oct_tensor_count(y); i++)
        if (law_code(g, n, x, &y->shape, i) != oct_u8(y)[i]) return false;
    return true;
}

static bool occurs(const oct_tensor *codes, int32_t code) {
    return memchr(codes->data, code, (size_t)oct_tensor_count(codes)) != NULL;
}

/* One constant is spoiled; `changes`: by the law it changes a code of node n. */
static void judge(lab *l, what w, const oct_node *n, bool changes, uint64_t seed) {
    const char *at = first_difference(l);
    l->tried[w]++;
    l->found[w] += at != NULL;
    if (at && *at)
        ck_assert_msg(!strcmp(at, n->name), "net %d: a spoiled %s of %s is found first at %s",
                      (int)seed, words[w], n->name, at);
    ck_assert_msg(at || !changes,
                  "net %d: a spoiled %s of %s changes codes by the law, and none in the plan",
                  (int)seed, words[w], n->name);
    ck_assert_msg(!at || !*at || changes,
                  "net %d: a spoiled %s of %s changes no code by the law, and %s in the plan",
                  (int)seed, words[w], n->name, at);
}

static int32_t any(octi_rng *r, int64_t n) { return (int32_t)octi_rng_below(r, (uint32_t)n); }

static void spoil_node(lab *l, const oct_node *n, octi_rng *r, uint64_t seed) {
    oct_graph *g = l->i8->graph;
    oct_node *node = &g->nodes[n - g->nodes];
    const oct_tensor *y = &l->plan[n - g->nodes];
    for (int k = 1; k < n->nin; k++) {
        oct_tensor *t = g->values[n->in[k]].tensor;
        if (!t) continue;
        const int32_t i = any(r, oct_tensor_count(t));
        if (t->dtype == OCT_S8) {
            const int8_t keep = oct_s8(t)[i];
            oct_s8(t)[i] = (int8_t)(keep > 0 ? keep - 9 : keep + 9);
            judge(l, WEIGHT, n, !law_agrees(l, n), seed);
            oct_s8(t)[i] = keep;
        } else if (t->dtype == OCT_S32 && t->shape.rank == 2) { /* [2,n]: multipliers, shifts */
            const int32_t half = (int32_t)t->shape.dim[1], keep = oct_s32(t)[i];
            oct_s32(t)[i] = i < half ? keep - keep / 5 : keep - 1;
            judge(l, i < half ? FIXED_MULTIPLIER : SHIFT, n, !law_agrees(l, n), seed);
            oct_s32(t)[i] = keep;
        } else if (t->dtype == OCT_S32) {
            const int32_t keep = oct_s32(t)[i];
            oct_s32(t)[i] = keep + 300;
            judge(l, BIAS, n, !law_agrees(l, n), seed);
            oct_s32(t)[i] = keep;
        } else if (t->dtype == OCT_U8) {
            const uint8_t keep = oct_u8(t)[i];
            oct_u8(t)[i] = keep ? (uint8_t)(keep - 1) : 1;
            judge(l, TABLE, n, occurs(codes_before(l, n->in[0]), i), seed);
            oct_u8(t)[i] = keep;
        } else {
            const float keep = oct_f32(t)[i];
            oct_f32(t)[i] = keep * 1.3f;
            judge(l, n->kind == OCT_OP_qsoftmax ? EXP : MULTIPLIER, n, !law_agrees(l, n), seed);
            oct_f32(t)[i] = keep;
        }
    }
    const bool clamps = n->kind == OCT_OP_qconv2d || n->kind == OCT_OP_qlinear ||
                        n->kind == OCT_OP_qadd || n->kind == OCT_OP_qmul || n->kind == OCT_OP_qclip;
    if (clamps && node->attr.lo[0] < node->attr.hi[0]) {
        node->attr.lo[0]++;
        judge(l, LOW, n, occurs(y, node->attr.lo[0] - 1), seed);
        node->attr.lo[0]--;
        node->attr.hi[0]--;
        judge(l, HIGH, n, occurs(y, node->attr.hi[0] + 1), seed);
        node->attr.hi[0]++;
    }
    if (n->kind == OCT_OP_qpad) {
        const int32_t *p = n->attr.pads, step = node->attr.lo[0] ? -1 : 1;
        node->attr.lo[0] += step;
        judge(l, PAD_CODE, n, p[0] + p[1] + p[2] + p[3] > 0, seed);
        node->attr.lo[0] -= step;
    }
}

/* Whether node n keeps all its codes by the law, where codes before it are the sound plan's. */
static bool law_keeps(const lab *l, const oct_node *n) {
    const oct_graph *g = l->i8->graph;
    const oct_tensor *y = &l->plan[n - g->nodes];
    if (n->kind != OCT_OP_quantize) return !law_has(n) || law_agrees(l, n);
    const oct_tensor *x = n->in[0] == g->input ? l->x : codes_before(l, n->in[0]);
    const oct_quantizer *q = law_quantizer(g, n->out);
    for (int64_t i = 0; i < oct_tensor_count(y); i++)
        if (octq_quantize(oct_f32(x)[i], *oct_f32(q->scale), *oct_s32(q->zero_point), q->spec.qmin,
                          q->spec.qmax) != oct_u8(y)[i])
            return false;
    return true;
}

/* A zero point belongs to every value of its quantizer: the first node whose codes change by the
 * law, as one that makes such a value or as one that reads it, is the first where the plan differs;
 * where none changes, nothing does. */
static void spoil_zero_point(lab *l, int32_t q, uint64_t seed) {
    const oct_graph *g = l->i8->graph;
    oct_quantizer *z = &g->quantizers[q];
    const int32_t step = *oct_s32(z->zero_point) ? -1 : 1;
    const oct_node *first = NULL;
    bool floats = false;
    *oct_s32(z->zero_point) += step;
    for (int32_t i = 0; i < g->node_count && !first && !floats; i++) {
        const oct_node *n = &g->nodes[i];
        bool touched = g->values[n->out].quantizer == q;
        for (int32_t k = 0; k < n->nin; k++)
            touched = touched || (n->in[k] >= 0 && g->values[n->in[k]].quantizer == q);
        if (!touched) continue;
        floats = g->values[n->out].dtype != OCT_U8; /* codes behind floats are not the law's */
        if (!floats && !law_keeps(l, n)) first = n;
    }
    const char *at = first_difference(l);
    l->tried[ZERO_POINT]++;
    l->found[ZERO_POINT] += at != NULL;
    ck_assert_msg(!first || at, "net %d: zero point of %s moved, codes of %s by the law, and none",
                  (int)seed, z->name, first ? first->name : "");
    ck_assert_msg(first || floats || !at, "net %d: zero point of %s moves no code by the law: %s",
                  (int)seed, z->name, at);
    ck_assert_msg(!first || !*at || !strcmp(at, first->name),
                  "net %d: zero point of %s moves %s by the law, is found first at %s", (int)seed,
                  z->name, first ? first->name : "", at);
    *oct_s32(z->zero_point) -= step;
}

/* Pixels become codes by the table: the session for bytes against the law, with one entry
 * spoiled. */
static void spoil_pixels(lab *l, octi_rng *r, uint64_t seed) {
    oct_tensor *t = oct_net_tensor(l->i8, "input.table");
    if (!t) return;
    const int64_t count = oct_tensor_count(l->x), c = t->shape.dim[0];
    uint8_t *p = malloc((size_t)count);
    for (int64_t i = 0; i < count; i++) p[i] = (uint8_t)octi_rng_below(r, 256);
    const int32_t e = any(r, c * 256);
    const uint8_t keep = oct_u8(t)[e];
    oct_u8(t)[e] = keep ? (uint8_t)(keep - 1) : 1;
    bool there = false, shown = false;
    for (int64_t i = 0; i < count; i++) there |= i % c == e / 256 && p[i] == e % 256;
    oct_plan *plan = oct_plan_new(l->i8, &(oct_plan_opts){.unfused = true});
    oct_session *s = oct_session_new(plan, IMAGES, NULL, 0);
    oct_shape out = oct_plan_output_shape(plan);
    out.dim[0] = IMAGES;
    oct_tensor *y = oct_tensor_new(l->i8->ctx, OCT_F32, out), v;
    ck_ok(oct_session_run_u8(s, p, IMAGES, oct_f32(y)));
    const oct_graph *g = l->i8->graph;
    for (int32_t k = 0; k < g->node_count; k++) {
        const oct_node *n = &g->nodes[k];
        if (n->kind != OCT_OP_quantize || n->in[0] != g->input) continue;
        const oct_quantizer *q = law_quantizer(g, n->out);
        const oct_input_desc *d = &l->i8->input;
        ck_ok(oct_session_value(s, n->name, &v));
        for (int64_t i = 0; i < count; i++)
            shown |= oct_u8(&v)[i] !=
                     octq_quantize(octq_pixel(p[i], d->div, d->mean[i % c], d->std[i % c]),
                                   *oct_f32(q->scale), *oct_s32(q->zero_point), q->spec.qmin,
                                   q->spec.qmax);
    }
    l->tried[PIXEL_TABLE]++;
    l->found[PIXEL_TABLE] += shown;
    /* who else reads the input wants floats, of which the codes then are made too */
    int32_t reader;
    const bool taken = octi_graph_consumers(g, g->input, &reader) == 1;
    ck_assert_msg(shown == (there && taken),
                  "net %d: entry %d of the pixel table: occurs %d, taken %d, shown %d", (int)seed,
                  e, there, taken, shown);
    oct_u8(t)[e] = keep;
    oct_tensor_unref(y);
    oct_session_free(s);
    oct_plan_free(plan);
    free(p);
}

START_TEST(every_constant_counts) {
    const int nets = oct_test_long() ? 1000 : 120;
    int tried[WHATS] = {0}, found[WHATS] = {0};
    for (int i = 0; i < nets; i++) {
        const uint64_t seed = 3000 + (uint64_t)i;
        lab l = open_lab(seed, false);
        octi_rng r = octi_rng_stream(seed, OCTI_RNG_TEST, 91, 0);
        for (int32_t k = 0; k < l.i8->graph->node_count; k++) {
            const oct_node *n = &l.i8->graph->nodes[k];
            if (l.i8->graph->values[n->out].dtype == OCT_U8 && n->kind != OCT_OP_quantize)
                spoil_node(&l, n, &r, seed);
        }
        for (int32_t k = 0; k < l.i8->graph->quantizer_count; k++)
            if (!l.i8->graph->quantizers[k].spec.per_channel &&
                oct_tensor_count(l.i8->graph->quantizers[k].scale) == 1)
                spoil_zero_point(&l, k, seed);
        spoil_pixels(&l, &r, seed);
        ck_assert_msg(!first_difference(&l), "net %d does not come back sound", (int)seed);
        for (int w = 0; w < WHATS; w++) tried[w] += l.tried[w], found[w] += l.found[w];
        oct_close(l.q->ctx);
    }
    for (int w = 0; w < WHATS; w++) {
        printf("%-13s %5d spoiled, %5d found, %5d without effect by the law\n", words[w], tried[w],
               found[w], tried[w] - found[w]);
        ck_assert_msg(found[w] > 0, "no spoiled %s was found: %d tried", words[w], tried[w]);
    }
}
END_TEST

/* ---- a layer kept float ---- */

/* Product, batch norm and activation of a float layer for output element i, in double; *size: the
 * sum of the terms' sizes, which bounds what float rounding can do. */
static double float_value(const lab *l, const oct_node *n, int64_t i, double *size) {
    const oct_graph *g = l->i8->graph;
    const oct_tensor *x = n->in[0] == g->input ? l->x : codes_before(l, n->in[0]),
                     *y = &l->plan[n - g->nodes], *w = g->values[n->in[1]].tensor, *p[7] = {NULL};
    for (int k = 2; k < n->nin; k++)
        if (n->in[k] >= 0) p[k] = g->values[n->in[k]].tensor;
    const oct_attrs *a = &n->attr;
    const int64_t outs = y->shape.dim[y->shape.rank - 1], o = i % outs,
                  per = oct_tensor_count(w) / outs;
    double sum = p[2] ? oct_f32(p[2])[o] : 0;
    *size = fabs(sum);
    for (int64_t e = 0; e < per; e++) {
        int64_t at = i / outs * per + e; /* of a linear layer */
        if (n->kind == OCT_OP_conv2d) {
            const int64_t *xd = x->shape.dim, *yd = y->shape.dim, cg = w->shape.dim[3],
                          tap = e / cg,
                          h = i / outs / yd[2] % yd[1] * a->stride[0] - a->pads[0] +
                              tap / a->kernel[1] * a->dilation[0],
                          v = i / outs % yd[2] * a->stride[1] - a->pads[1] +
                              tap % a->kernel[1] * a->dilation[1];
            if (h < 0 || h >= xd[1] || v < 0 || v >= xd[2]) continue;
            at = ((i / outs / yd[2] / yd[1] * xd[1] + h) * xd[2] + v) * xd[3] +
                 o / (outs / a->groups[0]) * cg + e % cg;
        }
        const double term = (double)oct_f32(x)[at] * oct_f32(w)[o * per + e];
        sum += term;
        *size += fabs(term);
    }
    if (a->bn[0]) {
        const double f = oct_f32(p[3])[o] / sqrt((double)oct_f32(p[6])[o] + a->eps);
        sum = (sum - oct_f32(p[5])[o]) * f + oct_f32(p[4])[o];
        *size = (*size + fabsf(oct_f32(p[5])[o])) * fabs(f) + fabsf(oct_f32(p[4])[o]);
    }
    if (a->act[0] && sum < 0) sum = 0;
    return a->act[0] == OCT_ACT_RELU6 && sum > 6 ? 6 : sum;
}

enum { KEPT, DOUBTFUL, CHANGED };

/* What node b, which quantizes float layer n, does by the law: whether a code is another for sure,
 * or all are the same for sure; in double, with what float rounding can do left open. */
static int codes_behind(const lab *l, const oct_node *n, const oct_node *b) {
    const oct_quantizer *q = law_quantizer(l->i8->graph, b->out);
    const uint8_t *codes = oct_u8(&l->plan[b - l->i8->graph->nodes]);
    int got = KEPT;
    for (int64_t i = 0; i < oct_tensor_count(&l->plan[n - l->i8->graph->nodes]); i++) {
        double size, v = float_value(l, n, i, &size), s = *oct_f32(q->scale);
        int end[2];
        for (int k = 0; k < 2; k++) {
            const double u = rint((v + (k ? 1 : -1) * 1e-5 * size) / s) + *oct_s32(q->zero_point);
            end[k] = (int)fmin(fmax(u, q->spec.qmin), q->spec.qmax);
        }
        if (end[0] == end[1] && end[0] != codes[i]) return CHANGED;
        if (end[0] != codes[i] || end[1] != codes[i]) got = DOUBTFUL;
    }
    return got;
}

/* Weight, bias and batch norm of a layer that stays float: one element is spoiled, and the codes
 * behind it tell, or do not change by the law. */
START_TEST(every_constant_of_a_float_layer_counts) {
    static const char *const names[] = {"", "weight", "bias", "gamma", "beta", "mean", "var"};
    int tried[7] = {0}, found[7] = {0}, doubtful = 0;
    for (uint64_t seed = 5000; seed < 5200; seed++) {
        lab l = open_lab(seed, true);
        octi_rng r = octi_rng_stream(seed, OCTI_RNG_TEST, 92, 0);
        oct_graph *g = l.i8->graph;
        for (int32_t i = 0; i < g->node_count; i++) {
            const oct_node *n = &g->nodes[i], *b = NULL;
            if (n->kind != OCT_OP_conv2d && n->kind != OCT_OP_linear) continue;
            for (int32_t k = i + 1; k < g->node_count && !b; k++)
                if (g->nodes[k].kind == OCT_OP_quantize && g->nodes[k].in[0] == n->out)
                    b = &g->nodes[k];
            if (!b) continue;
            ck_assert_msg(codes_behind(&l, n, b) != CHANGED, "net %d: %s is not what it should be",
                          (int)seed, n->name);
            for (int k = 1; k < n->nin; k++) {
                oct_tensor *t = n->in[k] >= 0 ? g->values[n->in[k]].tensor : NULL;
                if (!t) continue;
                float *v = &oct_f32(t)[any(&r, oct_tensor_count(t))];
                const float keep = *v;
                *v = k == 6 ? 4 * keep + 0.1f : keep > 0 ? keep - 2 : keep + 2;
                const int by_law = codes_behind(&l, n, b);
                const char *at = first_difference(&l);
                tried[k]++;
                found[k] += at != NULL;
                doubtful += by_law == DOUBTFUL;
                ck_assert_msg(by_law != CHANGED || at,
                              "net %d: a spoiled %s of %s changes codes by the law, and none",
                              (int)seed, names[k], n->name);
                ck_assert_msg(by_law != KEPT || !at,
                              "net %d: a spoiled %s of %s changes no code by the law, and %s",
                              (int)seed, names[k], n->name, at);
                ck_assert_msg(!at || !strcmp(at, b->name),
                              "net %d: a spoiled %s of %s is found first at %s, not at %s",
                              (int)seed, names[k], n->name, at, b->name);
                *v = keep;
            }
        }
        ck_assert_msg(!first_difference(&l), "net %d does not come back sound", (int)seed);
        oct_close(l.q->ctx);
    }
    for (int k = 1; k < 7; k++) {
        printf("float %-7s %5d spoiled, %5d found\n", names[k], tried[k], found[k]);
        ck_assert_msg(found[k] > 0, "no spoiled %s of a float layer was found", names[k]);
    }
    printf("%d of them within float rounding of a boundary\n", doubtful);
}
END_TEST

OCT_TEST_MAIN("spoiled", every_constant_counts, every_constant_of_a_float_layer_counts)
