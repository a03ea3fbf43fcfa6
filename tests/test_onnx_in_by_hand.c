/* SPDX-License-Identifier: MIT
 * ONNX in, an attribute or a form at a time, where it makes a difference; and those that must not
 * come in. */
#include "tests/onnx_values.h"

enum { O = 2 };

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

/* ---- windows ---- */

static double w_at(int64_t o, int64_t c, int64_t r, int64_t s) { /* of kernels 3x3 */
    return (double)((((o * C + c) * 3 + r) * 3 + s) * 31 % 19 - 9) / 10;
}
static float kernel[O * C * 9];

static void conv_weights(void) {
    for (int64_t i = 0; i < O * C * 9; i++)
        kernel[i] = (float)w_at(i / 9 / C, i / 9 % C, i / 3 % 3, i % 3);
    init("w", 1, 4, (int64_t[]){O, C, 3, 3}, kernel, sizeof kernel);
}

static int64_t pad_top, pad_left, dil = 1, str = 1;
static double border; /* what lies around the image */

static double conv(int64_t n, int64_t o, int64_t p, int64_t q) {
    double sum = 0;
    for (int64_t k = 0; k < C * 9; k++) {
        const int64_t h = p * str - pad_top + k / 3 % 3 * dil, w = q * str - pad_left + k % 3 * dil;
        const bool in = h >= 0 && w >= 0 && h < H && w < W;
        sum += w_at(o, k / 9, k / 3 % 3, k % 3) * (in ? x_at(n, k / 9, h, w) : border);
    }
    return sum;
}

START_TEST(automatic_padding) {
    begin(C, H, W);
    conv_weights();
    with_word(node("Conv", "x", "w", "y"), "auto_pad", "VALID");
    pad_top = pad_left = 0, dil = str = 1, border = 0;
    gives("VALID", O, H - 2, W - 2, conv);
    for (int lower = 0; lower < 2; lower++)
        for (dil = 1; dil <= 2; dil++)
            for (str = 1; str <= 2; str++) {
                begin(C, H, W);
                conv_weights();
                OctiOnnx__NodeProto *n = node("Conv", "x", "w", "y");
                with_word(n, "auto_pad", lower ? "SAME_LOWER" : "SAME_UPPER");
                with_two(with_two(n, "dilations", dil, dil), "strides", str, str);
                const int64_t down = (H + str - 1) / str, across = (W + str - 1) / str,
                              tall = (down - 1) * str + 2 * dil + 1 - H,
                              wide = (across - 1) * str + 2 * dil + 1 - W;
                pad_top = lower ? (tall + 1) / 2 : tall / 2;
                pad_left = lower ? (wide + 1) / 2 : wide / 2;
                gives(lower ? "SAME_LOWER" : "SAME_UPPER", O, down, across, conv);
            }
    dil = str = 1;
}
END_TEST

/* Windows of 2 by steps of 3, a row and a column of padding behind: what would begin there is no
 * window (H 6 and W 5 leave one down that would). */
static double pooled(int64_t n, int64_t c, int64_t p, int64_t q) {
    double most = -INFINITY;
    for (int k = 0; k < 4; k++) {
        const int64_t h = 3 * p + k / 2, w = 3 * q + k % 2;
        if (h < H && w < W) most = fmax(most, x_at(n, c, h, w));
    }
    return most;
}

START_TEST(pools_that_round_up) {
    begin(C, H, W);
    OctiOnnx__NodeProto *n = node("MaxPool", "x", NULL, "y");
    with_two(with_two(n, "kernel_shape", 2, 2), "strides", 3, 3);
    ints(n, "pads", 4, (int64_t[]){0, 0, 1, 1});
    with_int(n, "ceil_mode", 1);
    gives("ceil_mode", C, 2, 2, pooled);
    begin(C, H, W);
    n = node("MaxPool", "x", NULL, "y");
    with_two(with_two(n, "kernel_shape", 2, 2), "strides", 3, 3);
    char *both[] = {(char *)"y", (char *)"where"};
    n->output = both;
    n->n_output = 2;
    gives("indices that nobody reads", C, 2, 2, pooled);
    begin(C, H, W);
    n = node("MaxPool", "x", NULL, "most");
    with_two(n, "kernel_shape", 2, 2);
    both[0] = (char *)"most";
    n->output = both;
    n->n_output = 2;
    node("Add", "most", "where", "y");
    is_refused("Indices");
}
END_TEST

static double mean(int64_t n, int64_t c, int64_t p, int64_t q) {
    double sum = 0;
    (void)p, (void)q;
    for (int64_t k = 0; k < H * W; k++) sum += x_at(n, c, k / W, k % W);
    return sum / (H * W);
}

START_TEST(means_keep_their_axes_or_not) {
    begin(C, H, W);
    with_two(node("ReduceMean", "x", NULL, "y"), "axes", 2, 3);
    gives("keepdims by default", C, 1, 1, mean);
    for (int keep = 0; keep < 2; keep++) {
        begin(C, H, W);
        with_int(with_two(node("ReduceMean", "x", NULL, "y"), "axes", 2, 3), "keepdims", keep);
        gives("keepdims", C, keep, keep, mean);
    }
    begin(C, H, W); /* of a shape whose sides are copied */
    whole("to", 3, (int64_t[]){0, 0, -1});
    node("Reshape", "x", "to", "rows");
    OctiOnnx__NodeProto *n = node("ReduceMean", "rows", NULL, "y");
    ints(n, "axes", 1, (int64_t[]){2});
    with_int(n, "keepdims", 0);
    gives("sides that are copied", C, 0, 0, mean);
}
END_TEST

static double row_mean(int64_t n, int64_t c, int64_t p, int64_t q) {
    double sum = 0;
    for (int64_t w = 0; w < W; w++) sum += x_at(n, c, q, w);
    return (void)p, sum / W;
}
static double column_most(int64_t n, int64_t c, int64_t p, int64_t q) {
    double most = -INFINITY;
    for (int64_t h = 0; h < H; h++) most = fmax(most, x_at(n, c, h, p));
    return (void)q, most;
}

/* Rows and columns change places in front: ONNX's axes, not octet's, say over what. */
START_TEST(means_of_what_was_transposed) {
    for (int mean = 0; mean < 2; mean++) {
        begin(C, H, W);
        ints(node("Transpose", "x", NULL, "t"), "perm", 4, (int64_t[]){0, 1, 3, 2});
        ints(node(mean ? "ReduceMean" : "ReduceMax", "t", NULL, "y"), "axes", 1,
             (int64_t[]){mean ? 2 : 3});
        if (mean)
            gives("mean", C, 1, H, row_mean);
        else
            gives("max", C, W, 1, column_most);
    }
}
END_TEST

/* ---- shapes ---- */

static double same(int64_t n, int64_t c, int64_t p, int64_t q) { return x_at(n, c, p, q); }
static double relu(int64_t n, int64_t c, int64_t p, int64_t q) { return fmax(same(n, c, p, q), 0); }

START_TEST(shapes_of_values) {
    begin(C, H, W);
    f.opset.version = 15;
    whole("batch", 1, (int64_t[]){0});
    with_int(node("Shape", "x", NULL, "sides"), "start", 1);
    with_int(node("Concat", "batch", "sides", "to"), "axis", 0);
    node("Reshape", "x", "to", "as");
    node("Relu", "as", NULL, "y");
    gives("Shape from its start", C, H, W, relu);
    begin(C, H, W);
    with_int(node("Flatten", "x", NULL, "flat"), "axis", 2);
    node("Relu", "flat", NULL, "y");
    is_refused("axis");
}
END_TEST

/* ---- arithmetic ---- */

static double number_minus(int64_t n, int64_t c, int64_t p, int64_t q) {
    return 1.5 - x_at(n, c, p, q);
}
static double minus_number(int64_t n, int64_t c, int64_t p, int64_t q) {
    return x_at(n, c, p, q) - 1.5;
}
static double minus_relu(int64_t n, int64_t c, int64_t p, int64_t q) {
    return fmin(x_at(n, c, p, q), 0);
}
static double by_number(int64_t n, int64_t c, int64_t p, int64_t q) {
    return x_at(n, c, p, q) / 1.5;
}
static double at_least(int64_t n, int64_t c, int64_t p, int64_t q) {
    return fmax(x_at(n, c, p, q), 1.5);
}
static double at_most(int64_t n, int64_t c, int64_t p, int64_t q) {
    return fmin(x_at(n, c, p, q), 1.5);
}

START_TEST(a_value_and_a_number) {
    static const struct {
        const char *op, *a, *b;
        want_fn *want;
    } rows[] = {{"Sub", "k", "x", number_minus}, {"Sub", "x", "k", minus_number},
                {"Sub", "x", "r", minus_relu},   {"Div", "x", "k", by_number},
                {"Max", "x", "k", at_least},     {"Max", "k", "x", at_least},
                {"Min", "x", "k", at_most},      {"Min", "k", "x", at_most}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(C, H, W);
        number("k", 1.5f);
        if (!strcmp(rows[i].b, "r")) node("Relu", "x", NULL, "r");
        node(rows[i].op, rows[i].a, rows[i].b, "y");
        gives(rows[i].op, C, H, W, rows[i].want);
    }
    begin(C, H, W);
    number("k", 1.5f);
    node("Div", "k", "x", "y");
    is_refused("Div");
}
END_TEST

/* What HardSigmoid and HardSwish are written with, and what is near it: a bound, a divisor and a
 * factor of another kind. */
static double plus, most, divisor;
static int factor; /* 0: none; 1: x; 2: -x */
static double pieces(int64_t n, int64_t c, int64_t p, int64_t q) {
    const double x = x_at(n, c, p, q), gate = fmin(fmax(x + plus, 0), most) / divisor;
    return factor == 0 ? gate : factor == 1 ? gate * x : -gate * x;
}

START_TEST(hard_functions_in_pieces) {
    for (int k = 0; k < 24; k++) {
        plus = k & 1 ? 3 : 2.5, most = k & 2 ? 6 : 5, divisor = k & 4 ? 6 : 4, factor = k / 8;
        begin(C, H, W);
        number("plus", (float)plus);
        number("zero", 0);
        number("most", (float)most);
        number("by", (float)divisor);
        node("Add", "x", "plus", "sum");
        node3("Clip", "sum", "zero", "most", "cut");
        if (factor == 2) node("Neg", "x", NULL, "r");
        if (factor) node("Mul", factor == 1 ? "x" : "r", "cut", "product");
        node("Div", factor ? "product" : "cut", "by", "y");
        gives("pieces", C, H, W, pieces);
    }
    plus = 3, most = 6, divisor = 6;
    for (factor = 1; factor <= 2; factor++) { /* the gate's factor behind it */
        begin(C, H, W);
        with_float(node("HardSigmoid", "x", NULL, "gate"), "alpha", 1.0f / 6);
        if (factor == 2) node("Neg", "x", NULL, "r");
        node("Mul", factor == 1 ? "x" : "r", "gate", "y");
        gives("behind the gate", C, H, W, pieces);
    }
}
END_TEST

/* ---- layers ---- */

static double conv_and_more(int64_t n, int64_t c, int64_t p, int64_t q) {
    return c < O ? conv(n, c, p, q) : 0;
}

START_TEST(pads_before_a_convolution) {
    for (int k = 0; k < 2; k++) {
        begin(C, H, W);
        conv_weights();
        number("around", k ? 0.5f : 0);
        whole("low", 4, (int64_t[]){0, 0, 1, 2});
        whole("high", 4, (int64_t[]){0, 0, 0, 1});
        with_int(node("Concat", "low", "high", "pads"), "axis", 0);
        node3("Pad", "x", "pads", "around", "wide");
        node("Conv", "wide", "w", "y");
        pad_top = 1, pad_left = 2, border = k ? 0.5 : 0;
        gives(k ? "of halves" : "of zeros", O, H + 1 - 2, W + 3 - 2, conv_and_more);
    }
    border = 0;
}
END_TEST

/* Pads below 0 take away; what is above stands around what is left. */
static int64_t low[4], high[4];
static double cut_and_padded(int64_t n, int64_t c, int64_t p, int64_t q) {
    c -= low[1], p -= low[2], q -= low[3];
    const bool in = p >= 0 && q >= 0 && p < H + (high[2] < 0 ? high[2] : 0) &&
                    q < W + (high[3] < 0 ? high[3] : 0) && c >= 0 && c < C;
    return in && p >= (low[2] < 0 ? -low[2] : 0) && q >= (low[3] < 0 ? -low[3] : 0)
               ? x_at(n, c, p, q)
               : 0.5;
}

START_TEST(pads_below_zero) {
    static const int64_t rows[][8] = {
        {0, 0, -1, -2, 0, 0, -2, 0}, /* low, then high */
        {0, 0, -1, 2, 0, 0, 3, -2},  {0, -1, 0, 0, 0, -1, 0, 0}, {0, 0, 2, -3, 0, -2, -5, -1},
        {-1, 0, 0, 0, 0, 0, 0, 0},   {0, 0, -H, 0, 0, 0, 1, 0},  {0, 0, 0, INT64_MIN, 0, 0, 0, 1}};
    static const char *const refusal[] = {"of the batch", "nothing is left of axis 2", "pads: -9"};
    for (int k = 0; k < 7; k++) {
        begin(C, H, W);
        number("around", 0.5f);
        memcpy(low, rows[k], sizeof low);
        memcpy(high, rows[k] + 4, sizeof high);
        whole("low", 4, low);
        whole("high", 4, high);
        with_int(node("Concat", "low", "high", "pads"), "axis", 0);
        node3("Pad", "x", "pads", "around", "y");
        if (k < 4)
            gives("below zero", C + low[1] + high[1], H + low[2] + high[2], W + low[3] + high[3],
                  cut_and_padded);
        else
            is_refused(refusal[k - 4]);
    }
}
END_TEST

/* One square weight, as it is and transposed. */
enum { F = C * H * W };
static float square[F * F];
static double flat_at(int64_t n, int64_t k) { return x_at(n, k / W / H, k / W % H, k % W); }
static double both_ways(int64_t n, int64_t c, int64_t p, int64_t q) {
    double sum = 0;
    (void)p, (void)q;
    for (int64_t k = 0; k < F; k++)
        sum += flat_at(n, k) * ((double)square[k * F + c] + (double)square[c * F + k]);
    return sum;
}

START_TEST(a_weight_that_two_layers_read) {
    for (int64_t i = 0; i < F * F; i++) square[i] = (float)(i * 37 % 101 - 50) / 500;
    for (int turned = 0; turned < 2; turned++) {
        begin(C, H, W);
        init("w", 1, 2, (int64_t[]){F, F}, square, sizeof square);
        node("Flatten", "x", NULL, "flat");
        node("MatMul", "flat", "w", "as");
        OctiOnnx__NodeProto *n = with_int(node("Gemm", "flat", "w", "turned"), "transB", 1);
        if (turned) with_int(n, "transA", 1);
        node("Add", "as", "turned", "y");
        if (turned)
            is_refused("transA");
        else
            gives("both ways", F, 0, 0, both_ways);
    }
}
END_TEST

static const float gamma_[C] = {1, -2, 0.5f}, beta_[C] = {0, 1, 2}, mean_[C] = {0.5f, 0, -1},
                   var_[C] = {0.2f, 0.5f, 1};
static double normed(int64_t n, int64_t c, int64_t p, int64_t q) {
    return (x_at(n, c, p, q) - (double)mean_[c]) / sqrt((double)var_[c] + 0.25) *
               (double)gamma_[c] +
           (double)beta_[c];
}

static double sloped(int64_t n, int64_t c, int64_t p, int64_t q) {
    const double x = x_at(n, c, p, q);
    return x < 0 ? x * (double)gamma_[c] : x;
}

START_TEST(batch_norm_and_slopes) {
    static const float places[W] = {1, 2};
    begin(C, H, W);
    const float *const of[] = {gamma_, beta_, mean_, var_};
    static char *const names[] = {(char *)"x", (char *)"g", (char *)"b", (char *)"m", (char *)"v"};
    for (int k = 0; k < 4; k++) init(names[k + 1], 1, 1, (int64_t[]){C}, of[k], sizeof gamma_);
    OctiOnnx__NodeProto *n = node("BatchNormalization", "x", "g", "y");
    n->input = (char **)(uintptr_t)names;
    n->n_input = 5;
    with_float(n, "epsilon", 0.25f);
    gives("epsilon", C, H, W, normed);
    begin(C, H, W);
    init("slopes", 1, 3, (int64_t[]){C, 1, 1}, gamma_, sizeof gamma_);
    node("PRelu", "x", "slopes", "y");
    gives("slopes of channels", C, H, W, sloped);
    begin(C, H, W);
    init("slopes", 1, 2, (int64_t[]){1, W}, places, sizeof places);
    node("PRelu", "x", "slopes", "y");
    is_refused("one number a channel is taken");
}
END_TEST

/* ---- one value's functions ---- */

START_TEST(rows_and_ratios) {
    begin(C, H, W);
    with_int(node("Softmax", "x", NULL, "y"), "axis", 2);
    is_refused("axis: 2");
    begin(C, H, W);
    number("ratio", 0.3f);
    node("Dropout", "x", "ratio", "d");
    node("Relu", "d", NULL, "y");
    oct_net *net = import(NULL);
    ck_not_null(net);
    const oct_node *d = NULL;
    for (int32_t i = 0; i < net->graph->node_count; i++)
        if (net->graph->nodes[i].kind == OCT_OP_dropout) d = &net->graph->nodes[i];
    ck_assert(d && d->attr.p == 0.3f);
    oct_net_free(net);
}
END_TEST

OCT_TEST_MAIN_WITH("onnx_in_by_hand", setup, teardown, automatic_padding, pools_that_round_up,
                   means_keep_their_axes_or_not, means_of_what_was_transposed, shapes_of_values,
                   a_value_and_a_number, hard_functions_in_pieces, pads_before_a_convolution,
                   pads_below_zero, a_weight_that_two_layers_read, batch_norm_and_slopes,
                   rows_and_ratios)
