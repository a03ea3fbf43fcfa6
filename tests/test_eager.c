/* SPDX-License-Identifier: MIT
 * Stubs, FloatFunctional, fusing by names: the marks of PyTorch's eager mode. */
#include "tests/oct_test.h"

#include "octet.h"
#include "src/net.h"
#include "tests/random_net.h"

typedef struct eager_net {
    oct_module *quant, *conv1, *bn1, *relu1, *conv2, *add, *gate, *cat, *dequant, *fc;
    bool no_quant, no_dequant, early;
} eager_net;

static oct_var *eager_forward(void *self, oct_tape *t, oct_var *x) {
    eager_net *n = self;
    (void)t;
    if (!n->no_quant) x = oct_apply(n->quant, x);
    x = oct_apply(n->relu1, oct_apply(n->bn1, oct_apply(n->conv1, x)));
    oct_var *y = oct_functional_add_relu(n->add, oct_apply(n->conv2, x), x);
    y = oct_functional_cat(n->cat, (oct_var *[]){y, x}, 2, 3);
    y = oct_functional_add(n->add, y, y); /* the same instance again */
    y = oct_functional_mul(n->gate, y, y);
    if (n->early) y = oct_apply(n->dequant, y);
    y = oct_apply(n->fc, oct_flatten(y));
    return n->no_dequant || n->early ? y : oct_apply(n->dequant, y);
}

static int warnings;
static char said[2048];
static void listen(void *user, oct_log_level level, const char *text) {
    (void)user, (void)level;
    warnings++;
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}

static oct_net *build(oct_ctx *ctx, eager_net *n) {
    oct_module *m = oct_module_new(ctx, eager_forward, n);
    n->quant = oct_module_add(m, "quant", oct_quant_stub_new(ctx));
    n->conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 4, .kernel = 3, .pad = 1}));
    n->bn1 =
        oct_module_add(m, "bn1", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 4}));
    n->relu1 = oct_module_add(m, "relu1", oct_relu_new(ctx));
    n->conv2 = oct_module_add(
        m, "conv2", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 4, .kernel = 1}));
    n->add = oct_module_add(m, "skip_add", oct_float_functional_new(ctx));
    n->gate = oct_module_add(m, "gate", oct_float_functional_new(ctx));
    n->cat = oct_module_add(m, "join", oct_float_functional_new(ctx));
    n->dequant = oct_module_add(m, "dequant", oct_dequant_stub_new(ctx));
    n->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 8 * 5 * 5, .out = 3}));
    oct_net *net = oct_capture(m, OCT_SHAPE(5, 5, 2));
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    return net;
}

static oct_op_kind kind_of(const oct_net *net, const char *name) {
    int32_t i = oct_graph_find_node(net->graph, name);
    ck_assert_msg(i >= 0, "no node %s", name);
    return net->graph->nodes[i].kind;
}

static oct_net *through(oct_net *q, oct_shape image) {
    oct_tape *t = oct_tape_new(q->ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_not_null(oct_net_forward(q, oct_input(t, random_images(q->ctx, 8, image, 1))));
    oct_net *i8 = oct_convert(q, NULL);
    ck_assert_msg(i8 != NULL, "%s", oct_error_message());
    oct_mismatch m = {0};
    ck_ok(oct_compare(q, i8, random_images(q->ctx, 8, image, 2), &m));
    ck_assert_int_gt(m.codes, 0);
    ck_assert_int_eq(m.mismatched, 0);
    return i8;
}

START_TEST(stubs_are_the_borders) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .log = listen});
    eager_net n = {.early = true};
    oct_net *net = build(ctx, &n), *q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_assert_int_eq(kind_of(q, "quant"), OCT_OP_quantize);
    ck_assert_int_eq(kind_of(q, "dequant"), OCT_OP_dequantize);
    ck_assert_int_eq(oct_graph_find_node(q->graph, "input.quantize"), -1);
    ck_assert_str_eq(said, "");
    oct_net *i8 = through(q, OCT_SHAPE(5, 5, 2));
    ck_assert_int_eq(kind_of(i8, "conv1"), OCT_OP_qconv2d);
    ck_assert_int_eq(kind_of(i8, "fc"), OCT_OP_linear); /* behind DeQuantStub: float */
    ck_assert_int_eq(kind_of(i8, "skip_add"), OCT_OP_qadd);
    ck_assert_int_eq(kind_of(i8, "skip_add_1"), OCT_OP_qadd);
    ck_assert_int_eq(kind_of(i8, "join"), OCT_OP_qcat);
    ck_assert_int_eq(kind_of(i8, "gate"), OCT_OP_qmul);
    int32_t a = oct_graph_find_value(q->graph, "skip_add"),
            b = oct_graph_find_value(q->graph, "skip_add_1");
    /* one instance, two ranges */
    ck_assert_int_ne(q->graph->values[a].quantizer, q->graph->values[b].quantizer);
    oct_placement *rows;
    int32_t count, reasons = 0;
    ck_ok(oct_net_placements(q, &rows, &count));
    for (int32_t i = 0; i < count; i++)
        reasons +=
            !strcmp(rows[i].name, "fc") && strstr(rows[i].reason, "outside QuantStub") != NULL;
    ck_assert_int_eq(reasons, 1);
    oct_placements_free(q, rows);
    oct_close(ctx);
}
END_TEST

START_TEST(forgotten_stubs_are_put_in_and_said) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .log = listen});
    eager_net n = {.no_dequant = true};
    oct_net *net = build(ctx, &n);
    /* capture warns of a module that forward leaves out; here it is what prepare says */
    ck_assert_msg(strstr(said, "dequant: a module that the forward function never applies"),
                  "said: %s", said);
    said[0] = 0;
    oct_net *q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_assert_msg(strstr(said, "fc: floats are wanted behind it: a DeQuantStub was put in"),
                  "said: %s", said);
    ck_assert_int_eq(kind_of(through(q, OCT_SHAPE(5, 5, 2)), "fc"), OCT_OP_qlinear);
    /* no stub at all: quantized wherever it can be, and nothing to say */
    eager_net none = {.no_quant = true, .no_dequant = true};
    net = build(ctx, &none);
    said[0] = 0;
    q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_assert_str_eq(said, "");
    ck_assert_int_eq(kind_of(through(q, OCT_SHAPE(5, 5, 2)), "conv1"), OCT_OP_qconv2d);
    /* a DeQuantStub alone: the other one belongs behind the input */
    said[0] = 0;
    eager_net half = {.no_quant = true, .early = true};
    q = oct_prepare(build(ctx, &half), NULL);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    ck_assert_msg(strstr(said, "codes are wanted behind it: a QuantStub was put in"), "said: %s",
                  said);
    oct_net *i8 = through(q, OCT_SHAPE(5, 5, 2));
    ck_assert_int_eq(kind_of(i8, "conv1"), OCT_OP_qconv2d);
    ck_assert_int_eq(kind_of(i8, "fc"), OCT_OP_linear); /* behind DeQuantStub */
    oct_close(ctx);
}
END_TEST

START_TEST(fuse_by_names) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    eager_net n = {0};
    oct_net *net = build(ctx, &n);
    oct_net *f = oct_fuse_modules(net, (const char *[]){"conv1,bn1,relu1"}, 1);
    ck_assert_msg(f != NULL, "%s", oct_error_message());
    ck_assert_int_eq(oct_graph_find_node(f->graph, "bn1"), -1);
    ck_assert_int_eq(oct_graph_find_node(f->graph, "relu1"), -1);
    /* add_relu is one operation, named or not: one observer, behind the ReLU */
    int32_t add = oct_graph_find_node(f->graph, "skip_add");
    ck_assert_int_eq(f->graph->nodes[add].attr.act[0], OCT_ACT_RELU);
    ck_assert_int_eq(f->graph->nodes[oct_graph_find_node(f->graph, "skip_add_1")].attr.act[0],
                     OCT_ACT_NONE);
    oct_net *q = oct_prepare(f, NULL);
    (void)through(q, OCT_SHAPE(5, 5, 2));
    for (int32_t i = 0; i < q->graph->node_count; i++)
        ck_assert_msg(q->graph->nodes[i].kind != OCT_OP_relu, "%s", q->graph->nodes[i].name);
    const oct_quantizer *y =
        &q->graph
             ->quantizers[q->graph->values[oct_graph_find_value(q->graph, "skip_add")].quantizer];
    ck_assert_float_eq(*oct_f32(y->min_val), 0);
    f = oct_fuse_modules(net, (const char *[]){"conv1,bn1"}, 1);
    ck_not_null(f);
    ck_assert_int_ge(oct_graph_find_node(f->graph, "relu1"), 0);
    (void)through(oct_prepare(f, NULL), OCT_SHAPE(5, 5, 2));
    ck_assert_ptr_null(oct_fuse_modules(net, (const char *[]){"conv1,relu1"}, 1));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "relu1"));
    ck_assert_ptr_null(oct_fuse_modules(net, (const char *[]){"conv9,relu1"}, 1));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "(did you mean conv1?)"));
    ck_assert_ptr_null(oct_fuse_modules(net, (const char *[]){"conv1,bm1,relu1"}, 1));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "no module of the net (did you mean bn1?)"));
    ck_assert_ptr_null(oct_fuse_modules(net, (const char *[]){"skip_add,relu1"}, 1));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "skip_add has its ReLU already"));
    oct_close(ctx);
}
END_TEST

static oct_var *pile_forward(void *self, oct_tape *t, oct_var *x) {
    (void)t;
    oct_var *y = oct_max_pool2d(x, &(oct_pool_opts){.kernel_size = {2, 1}, .strides = {2, 1}});
    return oct_functional_cat(self, (oct_var *[]){x, y, x}, 3, 1);
}

/* Members of other heights pile up along the rows. */
START_TEST(cat_has_its_axis) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *cat = oct_float_functional_new(ctx), *m = oct_module_new(ctx, pile_forward, cat);
    ck_not_null(oct_module_add(m, "cat", cat));
    oct_net *net = oct_capture(m, OCT_SHAPE(4, 3, 2));
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    ck_assert_str_eq(oct_shape_text(&net->graph->values[net->graph->output].shape),
                     "[N, 10, 3, 2]");
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("eager", cat_has_its_axis, stubs_are_the_borders, forgotten_stubs_are_put_in_and_said,
              fuse_by_names)
