/* SPDX-License-Identifier: MIT
 * ONNX in: what a file works out of constants, and scales of their codes; the batch size, which is
 * no number. */
#include "tests/onnx_values.h"

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

static double shift[C];
static double shifted(int64_t n, int64_t c, int64_t p, int64_t q) {
    return x_at(n, c, p, q) + shift[c];
}

/* Adds the three numbers that the file works out as `v` to the channels of x. */
static void gives_shift(const char *what, bool whole_numbers, double a, double b, double c) {
    whole("column", 3, (int64_t[]){C, 1, 1});
    if (whole_numbers) with_int(node("Cast", "v", NULL, "real"), "to", 1);
    node("Reshape", whole_numbers ? "real" : "v", "column", "shift");
    node("Add", "x", "shift", "y");
    shift[0] = a, shift[1] = b, shift[2] = c;
    gives(what, C, H, W, shifted);
}

START_TEST(constants_that_the_file_works_out) {
    static const float down[] = {1, 10, 100}, across[] = {0.5f, 0.25f};
    begin(C, H, W);
    init("a", 1, 2, (int64_t[]){C, 1}, down, sizeof down);
    init("b", 1, 2, (int64_t[]){1, 2}, across, sizeof across);
    whole("last", 1, (int64_t[]){-1});
    node("Add", "a", "b", "table");
    with_int(node("Gather", "table", "last", "v"), "axis", 1);
    gives_shift("Add spreads, Gather counts from behind", false, 1.25, 10.25, 100.25);
    begin(C, H, W);
    whole("a", 3, (int64_t[]){-7, 7, 6});
    whole("b", 3, (int64_t[]){3, -3, 3});
    node("Mod", "a", "b", "v");
    gives_shift("Mod has the divisor's sign", true, 2, -2, 0);
    begin(C, H, W);
    whole("a", 3, (int64_t[]){1, 2, 3});
    whole("b", 3, (int64_t[]){2, 2, 2});
    node("Less", "a", "b", "less");
    node3("Where", "less", "a", "b", "v");
    gives_shift("Where", true, 1, 2, 2);
    begin(C, H, W);
    static const int64_t ends[] = {1, 7, 2};
    static const char *const names[] = {"from", "to", "by"};
    for (int k = 0; k < 3; k++) init(names[k], 7, 0, (int64_t[]){0}, &ends[k], sizeof *ends);
    node3("Range", "from", "to", "by", "v");
    gives_shift("Range without its end", true, 1, 3, 5);
    begin(C, H, W);
    whole("a", 4, (int64_t[]){9, 2, 3, 4});
    whole("from", 1, (int64_t[]){-1});
    whole("to", 1, (int64_t[]){0});
    whole("axis", 1, (int64_t[]){0});
    whole("by", 1, (int64_t[]){-1});
    OctiOnnx__NodeProto *n = node3("Slice", "a", "from", "to", "v");
    static char *const in[] = {(char *)"a", (char *)"from", (char *)"to", (char *)"axis",
                               (char *)"by"};
    n->input = (char **)(uintptr_t)in;
    n->n_input = 5;
    gives_shift("Slice backwards", true, 4, 3, 2);
    begin(C, H, W);
    whole("a", 3, (int64_t[]){2, 3, 4});
    whole("from", 1, (int64_t[]){-1});
    whole("to", 1, (int64_t[]){INT64_MIN});
    whole("axis", 1, (int64_t[]){0});
    whole("by", 1, (int64_t[]){-1});
    n = node3("Slice", "a", "from", "to", "v");
    n->input = (char **)(uintptr_t)in;
    n->n_input = 5;
    gives_shift("Slice backwards to the first", true, 4, 3, 2);
    begin(C, H, W);
    static const float table[] = {1, 2, 3, 5, -1, 0};
    init("a", 1, 2, (int64_t[]){C, 2}, table, sizeof table);
    ints(node("ReduceMean", "a", NULL, "v"), "axes", 1, (int64_t[]){1});
    gives_shift("ReduceMean over an axis", false, 1.5, 4, -0.5);
    begin(C, H, W);
    init("a", 1, 2, (int64_t[]){2, C}, table, sizeof table);
    ints(node("ReduceMax", "a", NULL, "v"), "axes", 1, (int64_t[]){0});
    gives_shift("ReduceMax over the first", false, 5, 2, 3);
}
END_TEST

/* Ops that keep the elements and change their axes. */
START_TEST(constants_in_another_shape) {
    static const float table[] = {1, 2, 3, 5, -1, 0};
    begin(C, H, W);
    init("a", 1, 2, (int64_t[]){C, 2}, table, sizeof table);
    whole("to", 3, (int64_t[]){0, 1, -1});
    node("Reshape", "a", "to", "b");
    ints(node("ReduceMean", "b", NULL, "v"), "axes", 2, (int64_t[]){1, 2});
    gives_shift("Reshape: 0 keeps a side", false, 1.5, 4, -0.5);
    begin(C, H, W);
    init("a", 1, 3, (int64_t[]){C, 2, 1}, table, sizeof table);
    with_int(node("Flatten", "a", NULL, "b"), "axis", 1);
    ints(node("ReduceMean", "b", NULL, "v"), "axes", 1, (int64_t[]){1});
    gives_shift("Flatten in front of its axis and behind", false, 1.5, 4, -0.5);
    begin(C, H, W);
    init("a", 1, 3, (int64_t[]){C, 2, 1}, table, sizeof table);
    with_int(node("Flatten", "a", NULL, "b"), "axis", -2);
    ints(node("ReduceMean", "b", NULL, "v"), "axes", 1, (int64_t[]){1});
    gives_shift("Flatten, its axis from behind", false, 1.5, 4, -0.5);
    begin(C, H, W);
    init("a", 1, 2, (int64_t[]){2, C}, table, sizeof table);
    node("Transpose", "a", NULL, "b"); /* (1, 5), (2, -1), (3, 0) */
    ints(node("ReduceMean", "b", NULL, "v"), "axes", 1, (int64_t[]){1});
    gives_shift("Transpose turns the axes round", false, 3, 0.5, 1.5);
    begin(C, H, W);
    init("a", 1, 3, (int64_t[]){1, 2, C}, table, sizeof table);
    ints(node("Transpose", "a", NULL, "b"), "perm", 3, (int64_t[]){2, 0, 1});
    ints(node("ReduceMax", "b", NULL, "v"), "axes", 2, (int64_t[]){1, 2});
    gives_shift("Transpose by perm", false, 5, 2, 3);
    begin(C, H, W);
    f.opset.version = 15;
    init("a", 1, 4, (int64_t[]){1, 2, C, 1}, table, sizeof table);
    OctiOnnx__NodeProto *n = node("Shape", "a", NULL, "s");
    with_int(with_int(n, "start", -3), "end", -1);
    whole("three", 1, (int64_t[]){7});
    with_int(node("Concat", "three", "s", "v"), "axis", 0);
    gives_shift("Shape from and to an axis", true, 7, 2, 3);
}
END_TEST

/* Whole numbers of every type, as bytes or in the list that their type has. */
START_TEST(whole_numbers_of_every_type) {
    static const struct {
        int type, bytes;
        bool negative;
    } rows[] = {{2, 1, false}, {3, 1, true}, {4, 2, false},  {5, 2, true},
                {6, 4, true},  {7, 8, true}, {12, 4, false}, {13, 8, false}};
    static const int64_t v[] = {1, -2, 100};
    static int32_t in32[3];
    static int64_t in64[3];
    static uint64_t unsigned64[3];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int listed = 0; listed < 2; listed++) {
            static uint8_t raw[24];
            begin(C, H, W);
            for (int k = 0; k < 3; k++) {
                const int64_t one = v[k] < 0 && !rows[i].negative ? 2 : v[k];
                memcpy(raw + k * rows[i].bytes, &one, (size_t)rows[i].bytes);
                in32[k] = (int32_t)one, in64[k] = one, unsigned64[k] = (uint64_t)one;
            }
            OctiOnnx__TensorProto *t =
                init("v", rows[i].type, 1, (int64_t[]){3}, raw, (size_t)(3 * rows[i].bytes));
            if (listed) {
                t->has_raw_data = 0;
                t->raw_data.len = 0;
                if (rows[i].type == 7)
                    t->int64_data = in64, t->n_int64_data = 3;
                else if (rows[i].type > 11)
                    t->uint64_data = unsigned64, t->n_uint64_data = 3;
                else
                    t->int32_data = in32, t->n_int32_data = 3;
            }
            gives_shift(octi_onnx_elem_word(rows[i].type), true, 1, rows[i].negative ? -2 : 2, 100);
        }
}
END_TEST

START_TEST(the_batch_is_no_number) {
    static const struct {
        const char *op, *by;
        int64_t k;
        bool fine;
    } rows[] = {{"Div", "one", 1, true},
                {"Div", "two", 2, false},
                {"Mul", "two", 2, false},
                {"Add", "zero", 0, true},
                {"Sub", "one", 1, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(C, H, W);
        f.opset.version = 15;
        whole(rows[i].by, 1, &rows[i].k);
        whole("rest", 3, (int64_t[]){C, H, W});
        with_int(node("Shape", "x", NULL, "n"), "end", 1);
        node(rows[i].op, "n", rows[i].by, "m");
        with_int(node("Concat", "m", "rest", "to"), "axis", 0);
        node("Reshape", "x", "to", "as");
        node("Relu", "as", NULL, "y");
        if (rows[i].fine) {
            oct_net *net = import(NULL);
            ck_assert_msg(net != NULL, "%s", oct_error_message());
            oct_net_free(net);
        } else
            is_refused("batch size");
    }
}
END_TEST

/* ---- scales of codes that the file works out, and values that have none ---- */

static const int8_t codes[C][C] = {{100, -50, 25}, {-20, 127, 60}, {90, 5, -80}};
static const float each[C] = {0.01f, 0.004f, 0.002f};
static double in_double(int64_t n, int64_t c, int64_t p, int64_t q) {
    double sum = 0;
    for (int k = 0; k < C; k++) sum += x_at(n, k, p, q) * codes[c][k] * (double)each[c];
    return sum;
}

static void on_grid(const char *x, const char *scale, const char *y) {
    static char q[MOST][8];
    char *by = q[f.g.n_node];
    snprintf(by, sizeof *q, "%sq", y);
    node3("QuantizeLinear", x, scale, "zero", by);
    node3("DequantizeLinear", by, scale, "zero", y);
}

/* The file's int8 net gives so many values an image, each within `most` of what it should. */
static void outputs_lie_near(const char *what, int32_t layers_float, int64_t values, want_fn *want,
                             double most) {
    oct_net *in = import(NULL);
    ck_assert_msg(in != NULL, "%s: %s", what, oct_error_message());
    oct_convert_report report;
    oct_net *i8 = oct_convert(in, &report);
    ck_assert_msg(i8 != NULL, "%s: %s", what, oct_error_message());
    ck_assert_msg(report.layers_float == layers_float, "%s: %d", what, report.layers_float);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(N, H, W, C));
    for (int64_t i = 0; i < N * H * W * C; i++)
        oct_f32(x)[i] = (float)x_at(i / C / W / H, i % C, i / C / W % H, i / C % W);
    oct_runner *r = oct_runner_new(i8, NULL);
    const oct_tensor *y = oct_runner_run(r, x);
    ck_not_null(y);
    ck_assert_int_eq(oct_tensor_count(y), N * values);
    for (int64_t i = 0; i < N * values; i++) {
        const int64_t n = i / values, k = i % values;
        const double is = (double)oct_f32(y)[i],
                     by = values < C ? want(n, k, 0, 0) : want(n, k % C, k / C / W, k / C % W);
        ck_assert_msg(fabs(is - by) <= most, "%s: %g for %g", what, is, by);
    }
    oct_runner_free(r);
    oct_tensor_unref(x);
    oct_net_free(i8);
    oct_net_free(in);
}

/* A convolution, `product`, between two grids, of codes or floats; behind it one that turns
 * nothing. Their outputs lie within two steps. */
static void product(const char *what, const char *reads, const char *weights,
                    int32_t layers_float) {
    static const uint8_t zero = 128;
    static const int8_t same[C][C] = {{127, 0, 0}, {0, 127, 0}, {0, 0, 127}};
    init("zero", 2, 0, (int64_t[]){0}, &zero, 1);
    number("fine", 0.04f);
    number("coarse", 0.1f);
    number("full", 1 / 127.0f);
    init("same", 3, 4, (int64_t[]){C, C, 1, 1}, same, sizeof same);
    node("DequantizeLinear", "same", "full", "turn");
    on_grid("x", "fine", "xd");
    node("Conv", reads, weights, "product");
    on_grid("product", "coarse", "pd");
    node("Conv", "pd", "turn", "behind");
    on_grid("behind", "coarse", "y");
    outputs_lie_near(what, layers_float, H * W * C, in_double, 0.2);
}

START_TEST(scales_move_with_their_axis) {
    begin(C, H, W);
    init("w", 3, 3, (int64_t[]){1, C, C}, codes, sizeof codes);
    init("each", 1, 1, (int64_t[]){C}, each, sizeof each);
    whole("to", 4, (int64_t[]){C, C, 1, 1});
    with_int(node("DequantizeLinear", "w", "each", "wide"), "axis", 1);
    node("Reshape", "wide", "to", "wd");
    product("axis 1 of three is axis 0 of four", "xd", "wd", 0);
    static int8_t turned[C][C];
    for (int c = 0; c < C; c++)
        for (int k = 0; k < C; k++) turned[k][c] = codes[c][k];
    begin(C, H, W);
    init("w", 3, 4, (int64_t[]){C, C, 1, 1}, turned, sizeof turned);
    init("each", 1, 1, (int64_t[]){C}, each, sizeof each);
    with_int(node("DequantizeLinear", "w", "each", "wide"), "axis", 1);
    ints(node("Transpose", "wide", NULL, "wd"), "perm", 4, (int64_t[]){1, 0, 2, 3});
    product("axis 1 is axis 0 of what was turned", "xd", "wd", 0);
}
END_TEST

START_TEST(what_has_no_grid_stays_float) {
    static float w[C][C];
    for (int c = 0; c < C; c++)
        for (int k = 0; k < C; k++) w[c][k] = (float)codes[c][k] * each[c];
    begin(C, H, W);
    init("wf", 1, 4, (int64_t[]){C, C, 1, 1}, w, sizeof w);
    product("weights without codes", "xd", "wf", 1);
    begin(C, H, W);
    init("w", 3, 4, (int64_t[]){C, C, 1, 1}, codes, sizeof codes);
    init("each", 1, 1, (int64_t[]){C}, each, sizeof each);
    with_int(node("DequantizeLinear", "w", "each", "wd"), "axis", 0);
    product("an input without a grid", "x", "wd", 1);
}
END_TEST

/* What else reads the weights, or what they made, sees them as they are. */
static double once_and_scaled(int64_t n, int64_t c, int64_t p, int64_t q) {
    return in_double(n, c, p, q) * (1 + (double)each[c]);
}
START_TEST(factors_go_where_nobody_else_looks) {
    static const char *const others[] = {"again", "product"};
    static float w[C][C];
    for (int c = 0; c < C; c++)
        for (int k = 0; k < C; k++) w[c][k] = (float)codes[c][k] * each[c];
    for (int k = 0; k < 2; k++) {
        begin(C, H, W);
        init("w", 1, 4, (int64_t[]){C, C, 1, 1}, w, sizeof w);
        init("each", 1, 3, (int64_t[]){C, 1, 1}, each, sizeof each);
        node("Conv", "x", "w", "product");
        if (!k) node("Conv", "x", "w", "again");
        node("Mul", "product", "each", "scaled");
        node("Add", "scaled", others[k], "y");
        gives(others[k], C, H, W, once_and_scaled);
    }
}
END_TEST

/* A value that two round to their own grids is rounded twice, not by the first one's. */
static double fine_and_whole(int64_t n, int64_t c, int64_t p, int64_t q) {
    const double v = in_double(n, c, p, q);
    return v + 4 * rint(v / 4);
}
START_TEST(two_readers_have_two_grids) {
    static const uint8_t zero = 128;
    begin(C, H, W);
    init("zero", 2, 0, (int64_t[]){0}, &zero, 1);
    number("fine", 0.04f);
    number("coarse", 0.1f);
    number("four", 4);
    number("sum", 0.2f);
    init("w", 3, 4, (int64_t[]){C, C, 1, 1}, codes, sizeof codes);
    init("each", 1, 1, (int64_t[]){C}, each, sizeof each);
    with_int(node("DequantizeLinear", "w", "each", "wd"), "axis", 0);
    on_grid("x", "fine", "xd");
    node("Conv", "xd", "wd", "product");
    on_grid("product", "coarse", "pd");
    on_grid("product", "four", "fd");
    node("Add", "pd", "fd", "both");
    on_grid("both", "sum", "y");
    outputs_lie_near("two grids", 3, H * W * C, fine_and_whole, 0.3);
}
END_TEST

/* Gemm's alpha goes into the scales of the codes; -128 turned round is no code. */
static int8_t rows[2][C * H * W];
static float alpha;
static double gemm(int64_t n, int64_t j, int64_t p, int64_t q) {
    double sum = 0;
    (void)p, (void)q;
    for (int k = 0; k < C * H * W; k++)
        sum += rows[j][k] * 0.002 * x_at(n, k / W / H, k / W % H, k % W);
    return sum * (double)alpha;
}
START_TEST(a_factor_goes_into_the_scales_of_codes) {
    static const uint8_t zero = 128;
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < C * H * W; i++) {
            rows[0][i] = (int8_t)(i * 37 % 255 - 127);
            rows[1][i] = (int8_t)(i * 101 % 255 - 127);
        }
        if (k == 2) rows[1][4] = -128;
        alpha = k ? -4 : 4;
        begin(C, H, W);
        init("zero", 2, 0, (int64_t[]){0}, &zero, 1);
        number("fine", 0.04f);
        number("out", 0.5f);
        number("each", 0.002f);
        init("w", 3, 2, (int64_t[]){2, C * H * W}, rows, sizeof rows);
        node("DequantizeLinear", "w", "each", "wd");
        on_grid("x", "fine", "xd");
        node("Flatten", "xd", NULL, "flat");
        with_float(with_int(node("Gemm", "flat", "wd", "product"), "transB", 1), "alpha", alpha);
        on_grid("product", "out", "y");
        if (k == 2)
            is_refused("attribute alpha: -4");
        else
            outputs_lie_near("alpha", 0, 2, gemm, 0.6);
    }
}
END_TEST

OCT_TEST_MAIN_WITH("onnx_constants", setup, teardown, constants_that_the_file_works_out,
                   constants_in_another_shape, whole_numbers_of_every_type, the_batch_is_no_number,
                   scales_move_with_their_axis, what_has_no_grid_stays_float,
                   factors_go_where_nobody_else_looks, two_readers_have_two_grids,
                   a_factor_goes_into_the_scales_of_codes)
