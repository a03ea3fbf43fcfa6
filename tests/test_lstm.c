/* SPDX-License-Identifier: MIT
 * LSTM: against PyTorch, layer against cells, batches, training, and every small and quantized form
 * of it. */
#include "tests/golden.h"
#include "tests/temp_folder.h"
#include "tests/through_file.h"

#include <math.h>

#include "octet.h"
#include "src/qround.h"
#include "src/rng.h"

#define SAME(ctx, want, got) same(ctx, want, got, 2e-5f)
static void same(oct_ctx *ctx, const char *name, const oct_tensor *got, float tolerance) {
    oct_tensor *want = golden(ctx, "rnn.txt", name);
    ck_assert_msg(got != NULL, "%s is missing", name);
    ck_assert_msg(oct_tensor_count(want) == oct_tensor_count(got), "%s: %s", name,
                  oct_shape_text(&got->shape));
    for (int64_t i = 0; i < oct_tensor_count(want); i++) {
        float w = oct_f32(want)[i], g = oct_f32(got)[i];
        ck_assert_msg(fabsf(w - g) <= tolerance * (1 + fabsf(w)), "%s[%lld]: want %.9g, got %.9g",
                      name, (long long)i, (double)w, (double)g);
    }
}

static const char *key(const char *name, const char *part) { return octi_fmt("%s.%s", name, part); }

/* A scalar whose gradient is the golden dy: mse against y - dy * count / 2. */
static oct_var *with_gradient(oct_ctx *ctx, oct_var *y, const char *name) {
    oct_tensor *v = golden(ctx, "rnn.txt", key(name, "y")),
               *dy = golden(ctx, "rnn.txt", key(name, "dy"));
    oct_tensor *target = oct_tensor_new(ctx, OCT_F32, oct_var_value(y)->shape);
    float half = (float)oct_tensor_count(v) / 2;
    for (int64_t i = 0; i < oct_tensor_count(v); i++)
        oct_f32(target)[i] = oct_f32(v)[i] - oct_f32(dy)[i] * half;
    return oct_mse_loss(y, target);
}

static void take_golden(oct_ctx *ctx, oct_module *m, const char *name) {
    int32_t n;
    const oct_named_tensor *all = oct_module_tensors(m, &n);
    for (int32_t i = 0; i < n; i++) {
        oct_tensor *t = golden(ctx, "rnn.txt", key(name, all[i].name));
        ck_assert_msg(oct_shape_equal(&t->shape, &all[i].tensor->shape), "%s is %s", all[i].name,
                      oct_shape_text(&all[i].tensor->shape));
        memcpy(all[i].tensor->data, t->data, oct_tensor_bytes(t));
    }
}

static void check_golden_grads(oct_ctx *ctx, oct_module *m, const char *name) {
    int32_t n;
    const oct_named_tensor *all = oct_module_tensors(m, &n);
    for (int32_t i = 0; i < n; i++)
        SAME(ctx, key(name, octi_fmt("d%s", all[i].name)), all[i].tensor->grad);
}

START_TEST(layers_as_pytorch) {
    const struct {
        const char *name;
        oct_lstm_opts o;
        int tensors;
    } rows[] = {{"lstm", {.in = 4, .hidden = 6}, 4},
                {"lstm_last", {.in = 5, .hidden = 3, .last = true, .no_bias = true}, 2},
                {"lstm_2", {.in = 3, .hidden = 5, .layers = 2, .last = true}, 8}};
    for (int i = 0; i < 3; i++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
        oct_module *m = oct_lstm_new(ctx, &rows[i].o);
        int32_t n;
        oct_module_tensors(m, &n);
        ck_assert_int_eq(n, rows[i].tensors);
        take_golden(ctx, m, rows[i].name);
        oct_tensor *x = golden(ctx, "rnn.txt", key(rows[i].name, "x"));
        oct_tape *t = oct_tape_new(ctx);
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *v = oct_param(t, x, "x"), *y = oct_apply(m, v);
        ck_assert_msg(y != NULL, "%s", oct_error_message());
        ck_ok(oct_backward(with_gradient(ctx, y, rows[i].name)));
        SAME(ctx, key(rows[i].name, "y"), oct_var_value(y));
        SAME(ctx, key(rows[i].name, "dx"), x->grad);
        check_golden_grads(ctx, m, rows[i].name);
        oct_close(ctx);
    }
}
END_TEST

START_TEST(cell_as_pytorch) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_module *m = oct_lstm_cell_new(ctx, &(oct_lstm_opts){.in = 4, .hidden = 5});
    take_golden(ctx, m, "cell");
    oct_tensor *x = golden(ctx, "rnn.txt", "cell.x"), *h = golden(ctx, "rnn.txt", "cell.h0"),
               *c = golden(ctx, "rnn.txt", "cell.c0");
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_TRAIN);
    oct_var *state = oct_cat((oct_var *[]){oct_param(t, h, "h"), oct_param(t, c, "c")}, 2, 1);
    oct_var *y = oct_lstm_cell_step(m, oct_param(t, x, "x"), state);
    ck_assert_msg(y != NULL, "%s", oct_error_message());
    ck_ok(oct_backward(with_gradient(ctx, y, "cell")));
    SAME(ctx, "cell.y", oct_var_value(y));
    SAME(ctx, "cell.dx", x->grad);
    SAME(ctx, "cell.dh0", h->grad);
    SAME(ctx, "cell.dc0", c->grad);
    check_golden_grads(ctx, m, "cell");
    oct_close(ctx);
}
END_TEST

static oct_tensor *random_tensor(oct_ctx *ctx, oct_shape s, uint32_t k) {
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, s);
    octi_rng r = octi_rng_stream(8, OCTI_RNG_TEST, k, 0);
    for (int64_t i = 0; i < oct_tensor_count(t); i++) oct_f32(t)[i] = octi_rng_normal(&r);
    return t;
}

/* ---- nets ---- */

enum { T = 6, C = 5, H = 7, CLASSES = 4 };

typedef struct rnn {
    oct_module *lstm, *cell, *fc;
    int steps;
} rnn;

static oct_var *layer_forward(void *self, oct_tape *t, oct_var *x) {
    rnn *n = self;
    (void)t;
    return oct_apply(n->fc, oct_apply(n->lstm, x));
}

static oct_var *cells_forward(void *self, oct_tape *t, oct_var *x) {
    rnn *n = self;
    oct_var *state = NULL;
    (void)t;
    for (int i = 0; i < n->steps; i++)
        state = oct_lstm_cell_step(n->cell, oct_flatten(oct_slice(x, 1, i, i + 1)), state);
    return oct_apply(n->fc, oct_lstm_hidden(state));
}

static oct_net *layer_net(oct_ctx *ctx, rnn *n, int layers) {
    oct_module *m = oct_module_new(ctx, layer_forward, n);
    n->lstm = oct_module_add(
        m, "rnn",
        oct_lstm_new(ctx, &(oct_lstm_opts){.in = C, .hidden = H, .last = true, .layers = layers}));
    n->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = H, .out = CLASSES}));
    oct_net *net = oct_capture(m, OCT_SHAPE(T, C));
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    return net;
}

static oct_net *cells_net(oct_ctx *ctx, rnn *n) {
    oct_module *m = oct_module_new(ctx, cells_forward, n);
    n->steps = T;
    n->cell =
        oct_module_add(m, "rnn", oct_lstm_cell_new(ctx, &(oct_lstm_opts){.in = C, .hidden = H}));
    n->fc =
        oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = H, .out = CLASSES}));
    oct_net *net = oct_capture(m, OCT_SHAPE(T, C));
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    return net;
}

static oct_tensor *run_net(oct_net *net, const oct_tensor *x) {
    oct_runner *r = oct_runner_new(net, &(oct_runner_opts){.batch = x->shape.dim[0]});
    const oct_tensor *y = oct_runner_run(r, x);
    ck_assert_msg(y != NULL, "%s", oct_error_message());
    oct_tensor *copy = oct_tensor_copy(net->ctx, y);
    oct_runner_free(r);
    return copy;
}

/* One row after another alone gives what the whole batch gave. */
static void rows_stand_alone(oct_net *net, const oct_tensor *x, const oct_tensor *y) {
    oct_shape s = x->shape;
    int64_t n = s.dim[0], k = oct_tensor_count(x) / n, o = oct_tensor_count(y) / n;
    s.dim[0] = 1;
    for (int64_t i = 0; i < n; i++) {
        oct_tensor *one = oct_tensor_borrow(net->ctx, OCT_F32, s, oct_f32(x) + i * k);
        ck_assert_mem_eq(run_net(net, one)->data, oct_f32(y) + i * o, (size_t)o * sizeof(float));
    }
}

START_TEST(a_layer_is_its_cells) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 3});
    rnn a, b;
    oct_net *layer = layer_net(ctx, &a, 1), *cells = cells_net(ctx, &b);
    ck_not_null(oct_net_tensor(layer, "rnn.weight_ih_l0"));
    ck_not_null(oct_net_tensor(layer, "rnn.bias_hh_l0"));
    ck_assert_int_ge(oct_graph_find_node(layer->graph, "rnn"), 0);
    ck_assert_int_ge(oct_graph_find_node(cells->graph, "rnn_5"), 0);
    static const char *const pairs[][2] = {{"rnn.weight_ih_l0", "rnn.weight_ih"},
                                           {"rnn.weight_hh_l0", "rnn.weight_hh"},
                                           {"rnn.bias_ih_l0", "rnn.bias_ih"},
                                           {"rnn.bias_hh_l0", "rnn.bias_hh"},
                                           {"fc.weight", "fc.weight"},
                                           {"fc.bias", "fc.bias"}};
    for (int i = 0; i < 6; i++) {
        oct_tensor *from = oct_net_tensor(layer, pairs[i][0]),
                   *to = oct_net_tensor(cells, pairs[i][1]);
        memcpy(to->data, from->data, oct_tensor_bytes(to));
        double most = 0;
        for (int64_t k = 0; k < oct_tensor_count(from); k++)
            most = fmax(most, fabs((double)oct_f32(from)[k]));
        /* uniform in +-1/sqrt(H) */
        if (i < 4) ck_assert(most <= 1 / sqrt(H) && most > 0.5 / sqrt(H));
    }
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(9, T, C), 1), *y = run_net(layer, x),
               *labels = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(9));
    for (int i = 0; i < 9; i++) oct_s32(labels)[i] = i % CLASSES;
    ck_assert_mem_eq(y->data, run_net(cells, x)->data, oct_tensor_bytes(y));
    rows_stand_alone(layer, x, y);
    oct_tape *t = oct_tape_new(ctx);
    for (int k = 0; k < 2; k++) {
        oct_tape_begin(t, OCT_TRAIN);
        ck_ok(oct_backward(
            oct_cross_entropy(oct_net_forward(k ? cells : layer, oct_input(t, x)), labels, NULL)));
    }
    for (int i = 0; i < 6; i++) {
        const oct_tensor *p = oct_net_tensor(layer, pairs[i][0])->grad,
                         *q = oct_net_tensor(cells, pairs[i][1])->grad;
        for (int64_t k = 0; k < oct_tensor_count(p); k++)
            ck_assert_float_eq_tol(oct_f32(p)[k], oct_f32(q)[k], 1e-6f);
    }
    oct_close(ctx);
}
END_TEST

/* Which quarter of the sequence holds the peak: learnt only if steps are remembered. */
static void peaks(oct_tensor *x, oct_tensor *labels, uint32_t k) {
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, k, 1);
    int64_t n = x->shape.dim[0];
    for (int64_t i = 0; i < n; i++) {
        int at = (int)octi_rng_below(&r, CLASSES);
        for (int64_t e = 0; e < T * C; e++) oct_f32(x)[i * T * C + e] = 0.3f * octi_rng_normal(&r);
        for (int64_t e = 0; e < C; e++) oct_f32(x)[i * T * C + at * C + e] += 1.5f;
        oct_s32(labels)[i] = at;
    }
}

static double train(oct_net *net, int steps, int64_t *allocs) {
    oct_ctx *ctx = net->ctx;
    int32_t n;
    const oct_named_tensor *params = oct_net_parameters(net, &n);
    oct_optim *o =
        oct_optim_new(ctx, params, n, &(oct_optim_opts){.kind = OCT_OPTIM_ADAM, .lr = 0.02f});
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64, T, C)),
               *labels = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(64));
    oct_tape *t = oct_tape_new(ctx);
    uint64_t before = 0;
    double loss = 0;
    for (int s = 0; s < steps; s++) {
        if (s == 10) before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
        peaks(x, labels, (uint32_t)s);
        oct_optim_zero_grad(o);
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *l = oct_cross_entropy(oct_net_forward(net, oct_input(t, x)), labels, NULL);
        ck_ok(oct_backward(l));
        ck_ok(oct_optim_step(o));
        loss = (double)*oct_f32(oct_var_value(l));
    }
    *allocs = (int64_t)(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS) - before);
    oct_tape_free(t);
    oct_optim_free(o);
    return loss;
}

START_TEST(it_learns_without_allocating) {
    float w[2][4 * H * C];
    for (int threads = 1; threads < 5; threads += 3) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
        rnn n;
        int64_t allocs;
        oct_net *net = layer_net(ctx, &n, 2);
        double loss = train(net, 60, &allocs);
        ck_assert_msg(loss < 0.2, "loss %g", loss);
        ck_assert_int_eq(allocs, 0);
        memcpy(w[threads > 1], oct_net_tensor(net, "rnn.weight_ih_l0")->data, sizeof w[0]);
        oct_close(ctx);
    }
    ck_assert_mem_eq(w[0], w[1], sizeof w[0]); /* threads change no bit */
}
END_TEST

/* ---- small forms ---- */

/* acc and scale of a row against row j of codes, written apart. */
static float product(const float *x, int k, const int8_t *w, float sw, float b) {
    oct_qspec u8 = oct_qspec_activation(8, false);
    float lo = 0, hi = 0, s;
    int32_t z, acc = 0;
    for (int i = 0; i < k; i++) lo = fminf(lo, x[i]), hi = fmaxf(hi, x[i]);
    ck_ok(oct_qparams_from_range(&u8, lo, hi, "row", &s, &z));
    for (int i = 0; i < k; i++) acc += (octq_quantize(x[i], s, z, 0, 255) - z) * w[i];
    return (float)acc * (float)((double)s * (double)sw) + b;
}

static float sigmoid(float v) { return 1.0f / (1.0f + expf(-v)); }

START_TEST(dynamic_lstm_by_the_law) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_module *m = oct_lstm_new(ctx, &(oct_lstm_opts){.in = C, .hidden = H}),
               *top = oct_sequential_new(ctx, &m, 1);
    oct_net *d = through_a_file(oct_quantize_dynamic(oct_capture(top, OCT_SHAPE(T, C)), NULL));
    const oct_tensor *ih = oct_net_tensor(d, "0.weight_ih_l0"),
                     *hh = oct_net_tensor(d, "0.weight_hh_l0"),
                     *si = oct_net_tensor(d, "0.weight_ih_l0.scale");
    const oct_tensor *sh = oct_net_tensor(d, "0.weight_hh_l0.scale"),
                     *bi = oct_net_tensor(d, "0.bias_ih_l0"),
                     *bh = oct_net_tensor(d, "0.bias_hh_l0");
    ck_assert(ih && hh && si && sh && bi && bh);
    ck_assert_int_eq(ih->dtype, OCT_S8);
    ck_assert_int_eq(oct_tensor_count(sh), 4 * H);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(5, T, C), 2);
    for (int i = 0; i < T * C; i++) oct_f32(x)[i] = 0; /* a sequence of zeros */
    oct_f32(x)[2 * T * C + 3] = 1e20f;                 /* an outlier */
    oct_tensor *y = run_net(d, x);
    for (int i = 0; i < 5; i++) {
        float h[H] = {0}, c[H] = {0}, gate[4 * H];
        for (int s = 0; s < T; s++) {
            const float *row = oct_f32(x) + (i * T + s) * C;
            for (int j = 0; j < 4 * H; j++)
                gate[j] = product(row, C, oct_s8(ih) + j * C, oct_f32(si)[j], oct_f32(bi)[j]) +
                          product(h, H, oct_s8(hh) + j * H, oct_f32(sh)[j], oct_f32(bh)[j]);
            for (int k = 0; k < H; k++) {
                c[k] = (s ? sigmoid(gate[H + k]) * c[k] : 0) +
                       sigmoid(gate[k]) * tanhf(gate[2 * H + k]);
                h[k] = tanhf(c[k]) * sigmoid(gate[3 * H + k]);
                ck_assert_float_eq(oct_f32(y)[(i * T + s) * H + k], h[k]);
            }
        }
    }
    rows_stand_alone(d, x, y);
    oct_close(ctx);
}
END_TEST

static double relative_error(const oct_tensor *a, const oct_tensor *b) {
    double e = 0, s = 0;
    for (int64_t i = 0; i < oct_tensor_count(a); i++)
        e += pow((double)oct_f32(a)[i] - (double)oct_f32(b)[i], 2),
            s += pow((double)oct_f32(a)[i], 2);
    return sqrt(e / s);
}

START_TEST(small_forms_of_layers_and_cells) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(17, T, C), 3);
    for (int k = 0; k < 2; k++) {
        rnn n;
        oct_net *net = k ? cells_net(ctx, &n) : layer_net(ctx, &n, 3);
        oct_tensor *y = run_net(net, x);
        const char *weight = k ? "rnn.weight_hh" : "rnn.weight_hh_l2",
                   *bias = k ? "rnn.bias_hh" : "rnn.bias_hh_l2";
        const struct {
            oct_net *small;
            oct_dtype weight, bias;
            double most;
        } forms[] = {{oct_quantize_dynamic(net, NULL), OCT_S8, OCT_F32, 0.03},
                     {oct_quantize_dynamic(net, &(oct_weight_opts){.per_tensor = true}), OCT_S8,
                      OCT_F32, 0.05},
                     {oct_quantize_weight_only(net, NULL), OCT_S8, OCT_F32, 0.03},
                     {oct_half(net), OCT_F16, OCT_F16, 0.002}};
        for (int i = 0; i < 4; i++) {
            ck_assert_msg(forms[i].small != NULL, "%d %d: %s", k, i, oct_error_message());
            oct_net *again = through_a_file(forms[i].small);
            ck_assert_int_eq(oct_net_tensor(again, weight)->dtype, forms[i].weight);
            ck_assert_int_eq(oct_net_tensor(again, bias)->dtype, forms[i].bias);
            oct_tensor *z = run_net(again, x);
            double e = relative_error(y, z);
            ck_assert_msg(e > 0 && e < forms[i].most, "%d %d: error %g", k, i, e);
            rows_stand_alone(again, x, z);
        }
    }
    oct_close(ctx);
}
END_TEST

START_TEST(bad_weights_and_options_are_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_assert(!oct_lstm_new(ctx, NULL) && !oct_lstm_cell_new(ctx, NULL));
    ck_assert(!oct_lstm_new(ctx, &(oct_lstm_opts){.in = 3}));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "hidden"));
    ck_assert(!oct_lstm_new(ctx, &(oct_lstm_opts){.in = 3, .hidden = 2, .layers = 5}));
    ck_assert(!oct_lstm_new(ctx, &(oct_lstm_opts){.in = 3, .hidden = 1 << 30}));
    oct_module *m = oct_lstm_new(ctx, &(oct_lstm_opts){.in = 3, .hidden = 2});
    ck_assert(!oct_capture(m, OCT_SHAPE(4, 5))); /* five features, not three */
    ck_assert_int_eq(oct_last_error()->code, OCT_ESHAPE);
    ck_assert(!oct_capture(m, OCT_SHAPE(3)));
    rnn n;
    oct_net *net = layer_net(ctx, &n, 1);
    oct_f32(oct_net_tensor(net, "rnn.weight_hh_l0"))[5 * H + 1] = NAN;
    ck_assert_ptr_null(oct_quantize_dynamic(net, NULL));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "rnn.weight_hh_l0: weights of channel 5"));
    /* a file whose scales were spoilt */
    oct_f32(oct_net_tensor(net, "rnn.weight_hh_l0"))[5 * H + 1] = 0;
    oct_net *d = oct_quantize_dynamic(net, NULL);
    oct_f32(oct_net_tensor(d, "rnn.weight_ih_l0.scale"))[2] = -1;
    ck_assert_ptr_null(oct_plan_new(d, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
    oct_close(ctx);
}
END_TEST

/* ---- static quantization: it stays float between codes, and is reported ---- */

typedef struct mixed {
    oct_module *conv, *lstm, *fc;
} mixed;

static oct_var *mixed_forward(void *self, oct_tape *t, oct_var *x) {
    mixed *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->conv, x));
    /* rows of the image are steps */
    return oct_apply(n->fc, oct_apply(n->lstm, oct_reshape(x, (int[]){6, 5 * 3}, 2)));
}

START_TEST(static_quantization_leaves_it_float) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    mixed n;
    oct_module *m = oct_module_new(ctx, mixed_forward, &n);
    n.conv = oct_module_add(
        m, "conv",
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 3, .kernel = 3, .pad = 1}));
    n.lstm = oct_module_add(
        m, "lstm",
        oct_lstm_new(ctx, &(oct_lstm_opts){.in = 15, .hidden = 8, .last = true, .layers = 2}));
    n.fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 8, .out = 3}));
    oct_net *q = oct_prepare(oct_capture(m, OCT_SHAPE(6, 5, 2)), NULL);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(16, 6, 5, 2), 5),
               *labels = oct_tensor_new(ctx, OCT_S32, OCT_SHAPE(16));
    for (int i = 0; i < 16; i++) oct_s32(labels)[i] = i % 3;
    int32_t count;
    const oct_named_tensor *p = oct_net_parameters(q, &count);
    oct_optim *o = oct_optim_new(ctx, p, count, &(oct_optim_opts){.lr = 0.05f});
    double first = 0, last = 0;
    for (int s = 0; s < 8; s++) { /* gradients pass through it */
        oct_optim_zero_grad(o);
        oct_tape_begin(t, OCT_TRAIN);
        oct_var *loss = oct_cross_entropy(oct_net_forward(q, oct_input(t, x)), labels, NULL);
        ck_ok(oct_backward(loss));
        ck_ok(oct_optim_step(o));
        last = (double)*oct_f32(oct_var_value(loss));
        if (!s) first = last;
    }
    ck_assert_double_lt(last, first);
    oct_placement *rows;
    int32_t n_rows, floats = 0;
    ck_ok(oct_net_placements(q, &rows, &n_rows));
    for (int32_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].kind, "lstm")) continue;
        floats++;
        ck_assert(!rows[i].int8);
        ck_assert_str_eq(rows[i].reason, "lstm has no int8 form");
    }
    ck_assert_int_eq(floats, 2);
    oct_placements_free(q, rows);
    oct_convert_report report;
    oct_net *i8 = oct_convert(q, &report);
    ck_assert_msg(i8 != NULL, "%s", oct_error_message());
    ck_assert_int_eq(report.layers_float, 2);
    oct_mismatch mm = {0};
    ck_ok(oct_compare(q, through_a_file(i8), random_tensor(ctx, OCT_SHAPE(32, 6, 5, 2), 6), &mm));
    ck_assert_msg(mm.mismatched == 0, "%s", mm.node);
    ck_assert_int_ge(mm.codes, 32 * (60 + 90 + 8 + 3));
    oct_close(ctx);
}
END_TEST

/* On disk under PyTorch's names, back again, and through the files of weights. */
START_TEST(runs_hold_it) {
    fresh_root();
    const char *run = in_root("run"), *file = in_root("w.safetensors");
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    rnn n;
    oct_net *net = layer_net(ctx, &n, 2), *other = layer_net(ctx, &n, 2);
    oct_tensor *x = random_tensor(ctx, OCT_SHAPE(4, T, C), 7), *y = run_net(net, x);
    ck_ok(oct_run_save(net, run, NULL, false));
    oct_net *again = oct_run_load(ctx, run, NULL);
    ck_assert_msg(again != NULL, "%s", oct_error_message());
    ck_assert_mem_eq(run_net(again, x)->data, y->data, oct_tensor_bytes(y));
    ck_ok(oct_net_save_weights(net, file));
    int32_t missing = -1, unused = -1;
    for (int32_t i = 0; i < other->tensor_count; i++)
        memset(other->tensors[i].tensor->data, 0, oct_tensor_bytes(other->tensors[i].tensor));
    ck_ok(oct_net_load_weights(other, file, &missing, &unused));
    ck_assert(missing == 0 && unused == 0);
    ck_assert_mem_eq(run_net(other, x)->data, y->data, oct_tensor_bytes(y));
    oct_close(ctx);
    remove_root();
}
END_TEST

OCT_TEST_MAIN("lstm", layers_as_pytorch, cell_as_pytorch, a_layer_is_its_cells,
              it_learns_without_allocating, dynamic_lstm_by_the_law,
              small_forms_of_layers_and_cells, bad_weights_and_options_are_refused,
              static_quantization_leaves_it_float, runs_hold_it)
