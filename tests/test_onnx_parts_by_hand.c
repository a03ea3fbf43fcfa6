/* SPDX-License-Identifier: MIT
 * ONNX in: parts of values, each worked out from the standard's words: Slice with its ends and
 * steps, Split, Gather; and what a QuantizeLinear says of the values in front of it. */
#include "tests/onnx_values.h"

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) { oct_close(ctx); }

/* ---- Slice ---- */

static int64_t first[4], step[4]; /* of N, C, H, W */
static double sliced(int64_t n, int64_t c, int64_t p, int64_t q) {
    return x_at(n, first[1] + c * step[1], first[2] + p * step[2], first[3] + q * step[3]);
}

/* y = x[..., from:to:by, ...] along an axis. */
static void slice(int64_t axis, int64_t from, int64_t to, int64_t by) {
    static char *const in[] = {(char *)"x", (char *)"from", (char *)"to", (char *)"axis",
                               (char *)"by"};
    begin(C, H, W);
    whole("from", 1, &from);
    whole("to", 1, &to);
    whole("axis", 1, &axis);
    whole("by", 1, &by);
    OctiOnnx__NodeProto *n = node3("Slice", "x", "from", "to", "y");
    n->input = (char **)(uintptr_t)in;
    n->n_input = 5;
}

START_TEST(slices) {
    static const struct {
        int64_t axis, from, to, by, first, count;
    } rows[] = {{2, 1, 4, 1, 1, 3},   {2, -100, -2, 1, 0, 4},       {2, -3, INT64_MAX, 1, 3, 3},
                {3, 1, 100, 2, 1, 2}, {3, 0, 5, 2, 0, 3},           {1, 0, 3, 2, 0, 2},
                {1, 1, 3, 1, 1, 2},   {-1, -2, INT64_MAX, 1, 3, 2}, {2, INT64_MIN, 6, 4, 0, 2},
                {1, 2, 3, 5, 2, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int64_t axis = rows[i].axis < 0 ? rows[i].axis + 4 : rows[i].axis;
        int64_t side[4] = {N, C, H, W};
        char what[60];
        for (int a = 0; a < 4; a++) first[a] = 0, step[a] = 1;
        first[axis] = rows[i].first, step[axis] = rows[i].by, side[axis] = rows[i].count;
        slice(rows[i].axis, rows[i].from, rows[i].to, rows[i].by);
        snprintf(what, sizeof what, "slice %zu", i);
        gives(what, side[1], side[2], side[3], sliced);
    }
    slice(0, 1, INT64_MAX, 1);
    is_refused("of the batch");
    slice(0, 0, 1, 1);
    is_refused("of the batch");
    slice(2, 4, 1, -1);
    is_refused("steps: -1");
    slice(2, 4, 4, 1);
    is_refused("nothing is left of axis 2");
    slice(0, 0, INT64_MAX, 1); /* all of it */
    for (int a = 0; a < 4; a++) first[a] = 0, step[a] = 1;
    node("Relu", "y", NULL, "z");
    f.io[1].name = (char *)"z";
    oct_net *net = import(NULL);
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    oct_net_free(net);
}
END_TEST

/* ---- Split, Gather ---- */

/* The second part of x along an axis; parts: their sizes, or none: as equal as can be. */
static void split(int64_t axis, const int64_t *parts, bool as_input) {
    static char *outs[] = {(char *)"a", (char *)"y"};
    begin(C, H, W);
    if (parts && as_input) whole("parts", 2, parts);
    OctiOnnx__NodeProto *n = node("Split", "x", parts && as_input ? "parts" : NULL, "y");
    n->output = outs;
    n->n_output = 2;
    with_int(n, "axis", axis);
    if (parts && !as_input) ints(n, "split", 2, parts);
    if (!parts) with_int(n, "num_outputs", 2);
}

START_TEST(splits) {
    for (int a = 0; a < 4; a++) first[a] = 0, step[a] = 1;
    first[3] = 3;
    split(3, NULL, false); /* 3 and 2 of 5 */
    gives("equal parts, the last one smaller", C, H, 2, sliced);
    first[3] = 1;
    for (int k = 0; k < 2; k++) {
        split(-1, (const int64_t[]){1, 4}, k);
        gives("parts of given sizes", C, H, 4, sliced);
    }
    first[3] = 0, first[1] = 2;
    split(1, (const int64_t[]){2, 1}, true);
    gives("channels", 1, H, W, sliced);
    split(1, (const int64_t[]){2, 2}, true);
    is_refused("a part beyond the value");
    split(1, (const int64_t[]){1, 1}, true);
    is_refused("parts do not make up the value");
    split(0, NULL, false);
    is_refused("attribute axis: the batch");
}
END_TEST

static double turned_channels(int64_t n, int64_t c, int64_t p, int64_t q) {
    return x_at(n, c ? 0 : 2, p, q);
}
START_TEST(gathers) {
    begin(C, H, W);
    whole("idx", 2, (int64_t[]){-1, 0});
    with_int(node("Gather", "x", "idx", "y"), "axis", 1);
    gives("channels, one from behind", 2, H, W, turned_channels);
}
END_TEST

/* ---- order of elements ---- */

/* Channels of 2 x 3 groups, cut apart, turned and joined: 0 3 1 4 2 5. The last three are twice the
 * first. */
static double shuffled(int64_t n, int64_t c, int64_t p, int64_t q) {
    return x_at(n, c / 2, p, q) * (c % 2 ? 2 : 1);
}
START_TEST(channels_that_are_shuffled) {
    begin(C, H, W);
    number("two", 2);
    whole("all", 4, (int64_t[]){0, 6, H, W});
    static const int64_t parts[] = {0, 2, 3, H, W}, perm[] = {0, 2, 1, 3, 4};
    init("parts", 7, 1, (int64_t[]){5}, parts, sizeof parts);
    node("Mul", "x", "two", "twice");
    with_int(node("Concat", "x", "twice", "six"), "axis", 1);
    node("Reshape", "six", "parts", "cut");
    OctiOnnx__NodeProto *n = node("Transpose", "cut", NULL, "turned");
    attribute *a = attr(n, "perm");
    a->type = OCTI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    a->ints = (int64_t *)(uintptr_t)perm;
    a->n_ints = 5;
    node("Reshape", "turned", "all", "y");
    gives("shuffle", 6, H, W, shuffled);
}
END_TEST

static void flat(const char *x, const char *turned, const char *y, const int64_t *perm) {
    if (perm) ints(node("Transpose", x, NULL, turned), "perm", 4, perm);
    with_int(node("Flatten", perm ? turned : x, NULL, y), "axis", 1);
}

/* What lies in one order cannot be added to what lies in another, taken back to other sides, or
 * given back as if it lay in octet's. */
START_TEST(orders_are_kept_apart) {
    static const int64_t rows[] = {0, 2, 3, 1}, columns[] = {0, 3, 2, 1};
    for (int same = 0; same < 2; same++) {
        begin(C, H, W);
        flat("x", "t", "a", rows);
        flat("x", "u", "b", same ? rows : NULL);
        node("Add", "a", "b", "y");
        if (!same) is_refused("flattened in different orders");
    }
    begin(C, H, W);
    whole("to", 4, (int64_t[]){0, C, W, H});
    flat("x", NULL, "a", NULL);
    node("Reshape", "a", "to", "y");
    is_refused("moves elements");
    static const int64_t across[] = {0, 1, 3, 2};
    begin(C, H, W); /* 3 x 5 x 5 and the same, turned */
    whole("from", 1, (int64_t[]){0});
    whole("to", 1, (int64_t[]){W});
    whole("rows", 1, (int64_t[]){2});
    static char *const in[] = {(char *)"x", (char *)"from", (char *)"to", (char *)"rows"};
    OctiOnnx__NodeProto *n = node3("Slice", "x", "from", "to", "square");
    n->input = (char **)(uintptr_t)in;
    n->n_input = 4;
    flat("square", NULL, "a", NULL);
    flat("square", "u", "b", across);
    node("Add", "a", "b", "y");
    is_refused("flattened in different orders");
    for (int k = 0; k < 2; k++) {
        begin(C, H, W);
        if (k) node("Relu", "x", NULL, "r");
        flat(k ? "r" : "x", "t", "y", columns);
        is_refused("lies in another order");
    }
}
END_TEST

/* ---- what a grid says ---- */

/* As floats: the ReLU that a quantizer left out in front of a grid from zero on is put in, but
 * where no value lies below zero anyway. */
START_TEST(a_grid_from_zero_on_is_a_relu) {
    static const uint8_t zero = 0, middle = 128;
    static const struct {
        const char *op;
        int relus;
    } rows[] = {{"LeakyRelu", 1}, {"Relu", 0},        {"Sigmoid", 0},
                {"Tanh", 1},      {"HardSigmoid", 0}, {"Softmax", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int k = 0; k < 2; k++) {
            int relus = 0;
            begin(C, H, W);
            init("zero", 2, 0, (int64_t[]){0}, k ? &middle : &zero, 1);
            number("scale", 0.05f);
            OctiOnnx__NodeProto *n = node(rows[i].op, "x", NULL, "v");
            if (!strcmp(rows[i].op, "Softmax")) with_int(n, "axis", 1);
            if (!strcmp(rows[i].op, "HardSigmoid")) with_float(n, "alpha", 1 / 6.0f);
            node3("QuantizeLinear", "v", "scale", "zero", "q");
            node3("DequantizeLinear", "q", "scale", "zero", "y");
            oct_net *net = import(&(oct_import_onnx_opts){.as_floats = true});
            ck_assert_msg(net != NULL, "%s: %s", rows[i].op, oct_error_message());
            for (int32_t j = 0; j < net->graph->node_count; j++)
                relus += net->graph->nodes[j].kind == OCT_OP_relu;
            ck_assert_msg(relus == (!k ? rows[i].relus : 0) + !strcmp(rows[i].op, "Relu"),
                          "%s, zero point %d: %d", rows[i].op, k ? 128 : 0, relus);
            oct_net_free(net);
        }
}
END_TEST

/* Codes of seven bits, signed and unsigned: 0 to 127 in octet, whatever the type's lowest is. */
START_TEST(a_clip_of_codes_is_a_shorter_grid) {
    static const int8_t s8[] = {-128, -1};
    static const uint8_t u8[] = {0, 127};
    for (int k = 0; k < 2; k++) {
        int found = 0;
        begin(C, H, W);
        init("zero", k ? 3 : 2, 0, (int64_t[]){0}, k ? (const void *)&s8[0] : &u8[0], 1);
        init("low", k ? 3 : 2, 0, (int64_t[]){0}, k ? (const void *)&s8[0] : &u8[0], 1);
        init("high", k ? 3 : 2, 0, (int64_t[]){0}, k ? (const void *)&s8[1] : &u8[1], 1);
        number("scale", 0.05f);
        node("Relu", "x", NULL, "v");
        node3("QuantizeLinear", "v", "scale", "zero", "q");
        node3("Clip", "q", "low", "high", "c");
        node3("DequantizeLinear", "c", "scale", "zero", "y");
        oct_net *net = import(NULL);
        ck_assert_msg(net != NULL, "%d: %s", k, oct_error_message());
        for (int32_t i = 0; i < net->graph->quantizer_count; i++) {
            const oct_quantizer *q = &net->graph->quantizers[i];
            if (q->role != OCT_QUANTIZER_FIXED) continue;
            ck_assert_int_eq(q->spec.qmin, 0);
            ck_assert_int_eq(q->spec.qmax, 127);
            ck_assert_int_eq(*oct_s32(q->zero_point), 0);
            found++;
        }
        ck_assert_int_gt(found, 0);
        oct_net_free(net);
    }
}
END_TEST

START_TEST(codes_have_one_scale) {
    static const uint8_t zero = 0, one = 1;
    for (int k = 0; k < 2; k++) {
        begin(C, H, W);
        init("zero", 2, 0, (int64_t[]){0}, &zero, 1);
        init("one", 2, 0, (int64_t[]){0}, &one, 1);
        number("scale", 0.05f);
        number("other", 0.1f);
        node("Relu", "x", NULL, "v");
        node3("QuantizeLinear", "v", "scale", "zero", "q");
        node3("DequantizeLinear", "q", k ? "scale" : "other", k ? "one" : "zero", "y");
        is_refused("with another scale or zero point than the codes in front have");
    }
}
END_TEST

OCT_TEST_MAIN_WITH("onnx_parts_by_hand", setup, teardown, slices, splits, gathers,
                   channels_that_are_shuffled, orders_are_kept_apart, a_grid_from_zero_on_is_a_relu,
                   a_clip_of_codes_is_a_shorter_grid, codes_have_one_scale)
