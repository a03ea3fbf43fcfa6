/* SPDX-License-Identifier: MIT
 * What capture refuses and what it warns of: a net must be all that its forward function is. */
#include "tests/oct_test.h"

#include "octet.h"

static oct_var *peeks_at_mode(void *self, oct_tape *t, oct_var *x) {
    static int calls;
    (void)t;
    return calls++ % 2 ? oct_relu(oct_apply(self, x)) : oct_apply(self, x);
}
static oct_var *folds_batch(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    const oct_tensor *v = oct_var_value(x);
    return oct_reshape(
        x, (int[]){v && v->shape.dim[0] == 2 ? 9 : 3, v && v->shape.dim[0] == 2 ? 1 : 3}, 2);
}
static oct_var *looks(void *self, oct_tape *t, oct_var *x) {
    const float *at = self;
    (void)t;
    oct_var *y = oct_relu(x);
    const bool above = oct_f32(oct_var_value(y))[4] > at[0];
    for (int i = 0; i < 12; i++) y = oct_relu(oct_add(y, x)); /* names take turns in few buffers */
    return above ? oct_tanh(y) : oct_sigmoid(y);
}
static oct_var *goes_by_shape(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    return oct_var_shape(x)->rank == 2 ? oct_relu(x) : x;
}
static oct_var *returns_null(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, (void)x, NULL;
}

START_TEST(capture_refuses_what_replay_would_change) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *fc = oct_linear_new(ctx, &(oct_linear_opts){.in = 9, .out = 9});
    oct_module *a = oct_module_new(ctx, peeks_at_mode, fc);
    oct_module_add(a, "fc", fc);
    ck_assert(oct_capture(a, OCT_SHAPE(9)) == NULL);
    ck_assert_msg(strstr(oct_error_message(), "relu") != NULL, "%s", oct_error_message());
    ck_assert(oct_capture(oct_module_new(ctx, folds_batch, NULL), OCT_SHAPE(9)) == NULL);
    ck_assert_msg(strstr(oct_error_message(), "batch sizes") != NULL, "%s", oct_error_message());
    /* a side of a branch on values would be kept for good: seen wherever the values lie */
    static const float bounds[] = {-0.5f, 0, 0.5f, 900};
    for (int i = 0; i < 4; i++) {
        float bound = bounds[i];
        ck_assert(oct_capture(oct_module_new(ctx, looks, &bound), OCT_SHAPE(9)) == NULL);
        ck_assert_msg(strstr(oct_error_message(), "the op differs between values of relu, which "
                                                  "the forward function looks at"),
                      "%s", oct_error_message());
    }
    ck_assert_int_eq(oct_ctx_warning_count(ctx), 0);
    float never = 1e9f; /* what no made-up value reaches is warned of */
    ck_not_null(oct_capture(oct_module_new(ctx, looks, &never), OCT_SHAPE(9)));
    ck_assert_int_eq(oct_ctx_warning_count(ctx), 1);
    ck_assert_msg(strstr(oct_ctx_warning(ctx, 0), "relu: the forward function looks at its values"),
                  "%s", oct_ctx_warning(ctx, 0));
    oct_ctx_clear(ctx);
    ck_not_null(oct_capture(oct_module_new(ctx, goes_by_shape, NULL), OCT_SHAPE(9)));
    ck_assert_int_eq(oct_ctx_warning_count(ctx), 0);
    ck_assert(oct_capture(oct_module_new(ctx, returns_null, NULL), OCT_SHAPE(9)) == NULL);
    ck_assert_int_ne(oct_ctx_status(ctx), OCT_OK);
    oct_close(ctx);
}
END_TEST

/* ---- what may differ between batches and modes, one thing at a time ---- */

static oct_var *clamps_by_batch(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    return oct_clamp(x, 0, (float)oct_var_shape(x)->dim[0]);
}
static oct_var *adds_in_turn(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    oct_var *a = oct_relu(x), *b = oct_tanh(x);
    return oct_var_shape(x)->dim[0] == 2 ? oct_add(a, b) : oct_add(b, a);
}
static oct_var *stands_apart(void *self, oct_tape *t, oct_var *x) { /* of two rows at any batch */
    (void)oct_relu(oct_param(t, self, "own"));
    return oct_tanh(x);
}
static oct_var *two_outputs(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    oct_var *a = oct_relu(x), *b = oct_tanh(x);
    return oct_var_shape(x)->dim[0] == 2 ? a : b;
}
static oct_var *goes_on(void *self, oct_tape *t, oct_var *x) {
    (void)self, (void)t;
    oct_var *a = oct_relu(x);
    return oct_var_shape(x)->dim[0] == 2 ? a : oct_tanh(a);
}

START_TEST(each_difference_is_named) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *own = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 9));
    const struct {
        oct_var *(*forward)(void *, oct_tape *, oct_var *);
        const char *says;
    } rows[] = {{clamps_by_batch, "clamp: an attribute differs between batch sizes"},
                {adds_in_turn, "add: an input differs between batch sizes"},
                {stands_apart, "relu: the shape differs between batch sizes"},
                {two_outputs, "relu: the output differs between batch sizes"},
                {goes_on, "tanh: the number of ops differs between batch sizes"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert(oct_capture(oct_module_new(ctx, rows[i].forward, own), OCT_SHAPE(9)) == NULL);
        ck_assert_msg(strstr(oct_error_message(), rows[i].says) != NULL, "%s, not %s",
                      oct_error_message(), rows[i].says);
        oct_ctx_clear(ctx);
    }
    oct_tensor_unref(own);
    oct_close(ctx);
}
END_TEST

/* Images of one to four channels are described, as pixels as they are; three are red, green and
 * blue. A net takes no image of another size. */
static oct_var *just_relu(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, oct_relu(x);
}
START_TEST(images_are_described) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (int c = 1; c < 6; c++) {
        oct_net *net = oct_capture(oct_module_new(ctx, just_relu, NULL), OCT_SHAPE(4, 6, c));
        ck_not_null(net);
        const oct_input_desc *d = oct_net_input(net);
        ck_assert_int_eq(d->channels, c < 5 ? c : 0);
        if (c == 5) continue;
        ck_assert(d->height == 4 && d->width == 6 && d->div == 1 && d->assumed);
        for (int k = 0; k < c; k++) ck_assert(d->mean[k] == 0 && d->std[k] == 1);
        ck_assert_int_eq(d->color, c == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY);
        oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 4, 5, c));
        oct_tape *t = oct_tape_new(ctx);
        oct_tape_begin(t, OCT_EVAL);
        ck_assert(oct_net_forward(net, oct_input(t, x)) == NULL);
        ck_assert_msg(strstr(oct_error_message(), "shape is not the net's") != NULL, "%s",
                      oct_error_message());
        ck_assert_int_eq(oct_tape_status(t), OCT_ESHAPE);
        oct_tape_free(t);
        oct_tensor_unref(x);
        oct_ctx_clear(ctx);
    }
    oct_close(ctx);
}
END_TEST

typedef struct forgetful {
    oct_module *a, *b, *lost, *block, *add, *list;
} forgetful;

static oct_var *forgets(void *self, oct_tape *t, oct_var *x) {
    forgetful *n = self;
    (void)t;
    oct_var *y = oct_apply(n->a, x);
    (void)oct_apply(n->lost, x);
    return oct_functional_add(n->add, oct_apply(n->b, y), y);
}

static oct_module *linear(oct_ctx *ctx) {
    return oct_linear_new(ctx, &(oct_linear_opts){.in = 9, .out = 9});
}

START_TEST(capture_warns_of_modules_that_forward_forgets) {
    oct_ctx *ctx = oct_open(NULL); /* no log: warnings are kept all the same */
    forgetful n;
    oct_module *m = oct_module_new(ctx, forgets, &n);
    n.a = oct_module_add(m, "a", linear(ctx));
    n.list = oct_module_add(m, "list", oct_sequential_new(ctx, (oct_module *[]){linear(ctx)}, 1));
    n.b = oct_module_add(n.list, "b", linear(ctx)); /* applied, and its list is not */
    n.lost = oct_module_add(m, "lost", linear(ctx));
    n.block = oct_module_add(
        m, "block", oct_sequential_new(ctx, (oct_module *[]){linear(ctx), linear(ctx)}, 2));
    n.add = oct_module_add(m, "add", oct_float_functional_new(ctx));
    oct_module_add(m, "relu", oct_relu_new(ctx));
    for (int twice = 0; twice < 2; twice++) {
        oct_ctx_clear(ctx);
        ck_not_null(oct_capture(m, OCT_SHAPE(9)));
        static const char *const want[] = {
            "list.0: a module that the forward function never applies: it is not part of the "
            "captured net",
            "lost: the forward function applies it, and does not use what it gives: it is not "
            "part of the captured net",
            "block: a module that the forward function never applies: it is not part of the "
            "captured net",
            "relu: a module that the forward function never applies: it is not part of the "
            "captured net"};
        ck_assert_int_eq(oct_ctx_warning_count(ctx), 4);
        for (int i = 0; i < 4; i++) ck_assert_str_eq(oct_ctx_warning(ctx, i), want[i]);
        ck_assert_ptr_null(oct_ctx_warning(ctx, 4));
        ck_assert_ptr_null(oct_ctx_warning(ctx, -1));
    }
    oct_ctx_clear(ctx);
    for (int i = 0; i < 4; i++) {
        static const char *const zoo[] = {"lenet", "resnet8", "resnet20", "resnet18"};
        const oct_zoo_opts *z = oct_zoo_defaults(zoo[i]);
        ck_not_null(oct_capture(oct_zoo_new(ctx, zoo[i], NULL),
                                OCT_SHAPE(z->height, z->width, z->channels)));
    }
    ck_assert_int_eq(oct_ctx_warning_count(ctx), 0);
    oct_close(ctx);
}
END_TEST

START_TEST(nets_that_run_alone_say_what_runs_them) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = oct_capture(oct_zoo_new(ctx, "lenet", NULL), OCT_SHAPE(28, 28, 1));
    oct_net *alone[] = {oct_half(net), oct_quantize_dynamic(net, NULL),
                        oct_quantize_weight_only(net, NULL)};
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 28, 28, 1));
    oct_tape *t = oct_tape_new(ctx);
    for (int i = 0; i < 3; i++) {
        int32_t count = 7;
        oct_clear_error();
        ck_assert_ptr_null(oct_net_parameters(alone[i], &count));
        ck_assert_int_eq(count, 0);
        ck_assert_msg(strstr(oct_error_message(), "oct_runner_new"), "%s", oct_error_message());
        oct_tape_begin(t, OCT_EVAL);
        ck_assert_ptr_null(oct_net_forward(alone[i], oct_input(t, x)));
        ck_assert_int_eq(oct_tape_status(t), OCT_EUSAGE);
        ck_assert_msg(strstr(oct_error_message(), "oct_net_forward") &&
                          strstr(oct_error_message(), "oct_runner_new"),
                      "%s", oct_error_message());
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("capture", capture_refuses_what_replay_would_change, each_difference_is_named,
              images_are_described, capture_warns_of_modules_that_forward_forgets,
              nets_that_run_alone_say_what_runs_them)
