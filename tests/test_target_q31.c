/* SPDX-License-Identifier: MIT
 * Targets whose requants are law 16's: what prepare gives each node (law, grid, reason), what
 * convert stores, which int8 nets and prepared nets are refused, and what training learns there. */
#include "tests/exact_fix.h"

#include <string.h>

#include "qat/infer/infer.h"
#include "qat/int8/int8.h"
#include "qat/net/prepared.h"
#include "qat/prepared_check.h"
#include "qat/rules/reasons.h"
#include "src/qround.h"

static oct_ctx *ctx;
static const oct_shape image = {3, {8, 8, 3}};

typedef struct parts {
    oct_module *conv, *depthwise, *fc;
} parts;

/* Every kind whose requant, or grid, law 16 has something to say of. */
static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    const parts *p = self;
    oct_var *a = oct_relu(oct_apply(p->conv, x)), *b = oct_apply(p->depthwise, a);
    a = oct_add(a, b);
    a = oct_avg_pool2d(a, &(oct_pool_opts){.kernel = 3, .stride = 2, .pad = 1});
    a = oct_mul(oct_sigmoid(a), a);
    a = oct_cat((oct_var *[]){a, oct_sigmoid(a), oct_max_pool2d(a, &(oct_pool_opts){.kernel = 1})},
                3, 3);
    a = oct_hardswish(oct_leaky_relu(a, 0.1f));
    return oct_softmax(oct_apply(p->fc, oct_flatten(oct_adaptive_avg_pool2d(a, 1, 1))));
}

static parts made;
static oct_net *prepared(oct_target target) {
    oct_module *m = oct_module_new(ctx, forward, &made);
    made.conv = oct_module_add(
        m, "conv",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 3, .out = 6, .kernel = 3, .pad = 1}));
    made.depthwise = oct_module_add(
        m, "depthwise",
        oct_conv2d_new(ctx,
                       &(oct_conv2d_opts){.in = 6, .out = 6, .kernel = 3, .pad = 1, .groups = 6}));
    made.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 18, .out = 4}));
    oct_net *q = oct_prepare(oct_capture(m, OCT_SHAPE(8, 8, 3)),
                             &(oct_qconfig){.target = target, .observer = "minmax"});
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    ck_ok(calibrate(q, oct_tape_new(ctx), image, 1));
    return q;
}

static oct_node *node(const oct_net *net, const char *name) {
    const int32_t i = oct_graph_find_node(net->graph, name);
    ck_assert_msg(i >= 0, "no node %s", name);
    return &net->graph->nodes[i];
}
static int32_t grid(const oct_net *net, const char *name) {
    return net->graph->values[node(net, name)->out].quantizer;
}
static oct_tensor *last(const oct_net *net, const char *name) {
    const oct_node *n = node(net, name);
    return net->graph->values[n->in[n->nin - 1]].tensor;
}

START_TEST(prepare_says_law_grid_and_reason) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    static const oct_target fixed[] = {OCT_TARGET_LITERT, OCT_TARGET_CMSIS_NN},
                            others[] = {OCT_TARGET_OCTET, OCT_TARGET_FBGEMM, OCT_TARGET_QNNPACK,
                                        OCT_TARGET_POW2};
    for (int i = 0; i < 2; i++) {
        const octi_target *t = octi_target_of(fixed[i]);
        ck_assert(t->law == OCTQ_Q31 && t->per_channel && !t->reduce_range && !t->pow2);
        oct_net *q = prepared(fixed[i]);
        const oct_graph *g = q->graph;
        for (int32_t k = 0; k < g->node_count; k++)
            ck_assert_int_eq(g->nodes[k].attr.law[0], octi_is_int8(g, &g->nodes[k]));
        ck_assert_int_eq(grid(q, "avg_pool2d"), grid(q, "add"));
        ck_assert_int_ne(grid(q, "adaptive_avg_pool2d"), grid(q, "hardswish"));
        ck_assert_int_lt(grid(q, "softmax"), 0);
        ck_assert_int_eq(node(q, "softmax")->reason, OCT_FLOAT_law);
        ck_assert_str_eq(octi_float_reason_text(node(q, "softmax")),
                         "softmax has no exact form in the target's fixed point");
        const oct_quantizer *s = &g->quantizers[grid(q, "sigmoid")];
        ck_assert(octi_scale(s) == 1.0f / 256 && octi_zero_point(s) == 0);
        const oct_quantizer *w =
            &g->quantizers[g->values[oct_graph_find_value(g, "conv.weight")].quantizer];
        ck_assert(w->spec.per_channel && w->spec.qmin == -127 && w->spec.qmax == 127);
        ck_ok(octi_prepared_check(q));
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(octi_target_of(others[i])->law, OCTQ_FP32);
        oct_net *q = prepared(others[i]);
        for (int32_t k = 0; k < q->graph->node_count; k++)
            ck_assert_int_eq(q->graph->nodes[k].attr.law[0], 0);
        ck_assert_int_ne(grid(q, "avg_pool2d"), grid(q, "add"));
        ck_assert_int_ge(grid(q, "softmax"), 0);
    }
    /* a prepared net from outside: its nodes' law is its target's */
    oct_net *q = prepared(OCT_TARGET_LITERT);
    node(q, "add")->attr.law[0] = 0;
    ck_fails(OCT_EFORMAT, "add", octi_prepared_check(q));
    node(q, "add")->attr.law[0] = 7;
    ck_fails(OCT_EFORMAT, "add", octi_prepared_check(q));
    node(q, "add")->attr.law[0] = 1;
    node(q, "softmax")->attr.law[0] = 1;
    ck_fails(OCT_EFORMAT, "softmax", octi_prepared_check(q));
    node(q, "softmax")->attr.law[0] = 0;
    ck_ok(octi_prepared_check(q));
    q->target = "octet";
    ck_fails(OCT_EFORMAT, "input.quantize", octi_prepared_check(q));
    q->target = "litre";
    ck_fails(OCT_EFORMAT, "net", octi_prepared_check(q));
    oct_close(ctx);
}
END_TEST

static void same_record(const oct_tensor *t, int64_t i, double m) {
    int32_t q31, shift;
    octq_q31_of(m, &q31, &shift);
    ck_assert_int_eq(oct_s32(t)[i], q31);
    ck_assert_int_eq(oct_s32(t)[t->shape.dim[1] + i], shift);
}
static double scale(const oct_net *net, const char *name) {
    return (double)octi_scale(&net->graph->quantizers[grid(net, name)]);
}

START_TEST(convert_stores_records) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *q = prepared(OCT_TARGET_LITERT), *i8 = exact(q, image, 32, 9, "litert");
    const oct_graph *g = i8->graph;
    for (int32_t k = 0; k < g->node_count; k++) {
        const oct_node *n = &g->nodes[k];
        const bool requants =
            n->kind == OCT_OP_qconv2d || n->kind == OCT_OP_qlinear || n->kind == OCT_OP_qadd ||
            n->kind == OCT_OP_qmul || n->kind == OCT_OP_qcat || n->kind == OCT_OP_requantize ||
            n->kind == OCT_OP_qavg_pool2d || n->kind == OCT_OP_qadaptive_avg_pool2d;
        ck_assert_msg(n->attr.law[0] == requants, "law of %s: %d", n->name, n->attr.law[0]);
    }
    const oct_tensor *m = last(i8, "conv");
    const float *sw = oct_f32(g->quantizers[g->values[node(i8, "conv")->in[1]].quantizer].scale);
    ck_assert(m->dtype == OCT_S32 && m->shape.rank == 2 && m->shape.dim[1] == 6);
    for (int o = 0; o < 6; o++)
        same_record(m, o, scale(i8, "input.quantize") * (double)sw[o] / scale(i8, "conv"));
    same_record(last(i8, "mul"), 0, scale(i8, "sigmoid") * scale(i8, "add") / scale(i8, "mul"));
    m = last(i8, "add");
    ck_assert_int_eq(m->shape.dim[1], 3);
    const double a = scale(i8, "conv"), b = scale(i8, "depthwise"), twice = 2 * (a > b ? a : b);
    same_record(m, 0, a / twice), same_record(m, 1, b / twice);
    same_record(m, 2, twice / (1048576 * scale(i8, "add")));
    m = last(i8, "adaptive_avg_pool2d");
    ck_assert_int_eq(m->shape.dim[1], 17);
    int32_t q31, shift;
    octq_q31_mean_of((float)scale(i8, "hardswish"), (float)scale(i8, "adaptive_avg_pool2d"), 16,
                     &q31, &shift);
    ck_assert(oct_s32(m)[16] == q31 && oct_s32(m)[17 + 16] == shift);
    ck_assert_int_eq(node(i8, "avg_pool2d")->nin, 1);
    /* members of the cat stand on its grid: their records are 1 */
    m = last(i8, "cat");
    for (int k = 0; k < 3; k++) same_record(m, k, 1);
    ck_assert_int_eq(node(i8, "cat.requantize_1")->kind, OCT_OP_requantize);
    ck_assert_int_eq(node(i8, "softmax")->kind, OCT_OP_softmax);
    /* the other target has the same arithmetic */
    oct_net *other = exact(prepared(OCT_TARGET_CMSIS_NN), image, 32, 9, "cmsis-nn");
    ck_assert_str_eq(other->target, "cmsis-nn");
    /* training too, with learned scales */
    oct_tape *t = oct_tape_new(ctx);
    ck_ok(train(q, t, image, 5));
    exact(q, image, 32, 10, "trained");
    /* 2^31 and more does not fit a shift */
    q = prepared(OCT_TARGET_LITERT);
    oct_quantizer *y = &q->graph->quantizers[grid(q, "mul")];
    *oct_f32(y->scale) = 1e-20f;
    *oct_f32(y->min_val) = 0, *oct_f32(y->max_val) = 255e-20f;
    ck_assert(oct_convert_with(q, &(oct_convert_opts){.skip_check = true}, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_assert(strstr(oct_error_message(), "fixed point") != NULL);
    oct_close(ctx);
}
END_TEST

START_TEST(files_keep_it_and_nonsense_is_refused) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *i8 = exact(prepared(OCT_TARGET_LITERT), image, 16, 3, "litert");
    uint8_t *bytes, *again;
    size_t n, m;
    ck_ok(oct_int8_save_memory(i8, &bytes, &n));
    oct_net *back = oct_int8_load_memory(ctx, bytes, n, "file");
    ck_assert_msg(back != NULL, "%s", oct_error_message());
    ck_ok(oct_int8_save_memory(back, &again, &m));
    ck_assert(n == m && !memcmp(bytes, again, n));
    ck_ok(octi_int8_check(back));
    static const struct wrong {
        const char *node;
        int32_t law, at, value; /* record: -1: none */
        oct_status status;
    } cases[] = {{"conv", 2, -1, 0, OCT_EUSAGE},
                 {"conv", -1, -1, 0, OCT_EUSAGE},
                 {"conv", 0, -1, 0, OCT_EDTYPE},
                 {"avg_pool2d", 0, -1, 0, OCT_EUSAGE},
                 {"conv", 1, 2, -5, OCT_EQPARAMS},
                 {"conv", 1, 6 + 2, 31, OCT_EQPARAMS},
                 {"conv", 1, 6 + 2, -32, OCT_EQPARAMS},
                 {"conv", 1, 6 + 2, 30, OCT_OK}, /* saturates */
                 {"conv", 1, 2, 0, OCT_OK},
                 {"add", 1, 3, 1, OCT_EQPARAMS}, /* an operand shifted to the left */
                 {"add", 1, 3 + 2, 1, OCT_OK},
                 {"add", 1, 3 + 2, 31, OCT_EQPARAMS},
                 {"mul", 1, 1, -40, OCT_EQPARAMS},
                 {"cat", 1, 1, -1, OCT_EQPARAMS},
                 {"adaptive_avg_pool2d", 1, 16, -1, OCT_EQPARAMS},
                 {"adaptive_avg_pool2d", 1, 15, -1, OCT_OK}, /* never read */
                 {"cat.requantize_1", 1, 1, 99, OCT_EQPARAMS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct wrong *w = &cases[i];
        oct_node *x = node(back, w->node);
        const int32_t law = x->attr.law[0];
        int32_t *number = w->at < 0 ? NULL : &oct_s32(last(back, w->node))[w->at], keep = 0;
        if (number) keep = *number, *number = w->value;
        x->attr.law[0] = w->law;
        oct_clear_error();
        const oct_status s = octi_int8_check(back);
        ck_assert_msg(s == w->status, "case %d, %s: %s", (int)i, w->node, oct_error_message());
        if (s != OCT_OK) ck_assert(strstr(oct_error_message(), w->node) != NULL);
        if (number) *number = keep;
        x->attr.law[0] = law;
    }
    /* an average on another grid than its input's */
    oct_graph *g = back->graph;
    const int32_t v = node(back, "avg_pool2d")->out, own = g->values[v].quantizer;
    g->values[v].quantizer = grid(back, "conv");
    ck_fails(OCT_EQPARAMS, "avg_pool2d", octi_int8_check(back));
    g->values[v].quantizer = own;
    ck_ok(octi_int8_check(back));
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("target_q31", prepare_says_law_grid_and_reason, convert_stores_records,
              files_keep_it_and_nonsense_is_refused)
