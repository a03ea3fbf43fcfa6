/* SPDX-License-Identifier: MIT
 * The int8 file: round trip, every truncation and bit flip, crafted contents behind good CRCs,
 * random damage;
 * the graph's JSON by itself. */
#include <locale.h>
#include <math.h>

#include "ops/qrun.h"
#include "qat/infer/infer.h"
#include "src/format/graph_json.h"
#include "src/format/sections.h"
#include "src/mem.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"
#include "tests/sections_fix.h"

static oct_ctx *ctx;
static uint8_t *file;
static size_t size;

static void setup(void) {
    ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = 256 << 20});
    oct_net *net = test_small_net(ctx);
    ck_ok(oct_int8_save_memory(net, &file, &size));
    oct_net_free(net);
}

static oct_status load_status(const void *bytes, size_t n) {
    oct_clear_error();
    oct_net *net = oct_int8_load_memory(ctx, bytes, n, "model.oct8");
    oct_net_free(net);
    if (net) return OCT_OK;
    ck_assert_int_ne(oct_last_error()->code, OCT_OK);
    ck_assert_msg(strstr(oct_error_message(), "model.oct8"), "%s", oct_error_message());
    return oct_last_error()->code;
}

START_TEST(round_trip_is_byte_equal) {
    setup();
    oct_net *net = oct_int8_load_memory(ctx, file, size, "model.oct8");
    ck_not_null(net);
    uint8_t *again;
    size_t n;
    ck_ok(oct_int8_save_memory(net, &again, &n));
    ck_assert(n == size && !memcmp(again, file, n));
    ck_assert_str_eq(net->classes[1].name, "\"dog\"\n");
    ck_assert_str_eq(net->classes[2].name, "2");
    ck_assert_str_eq(net->target, "octet");
    ck_assert(net->input.channels == 3 && net->input.mean[2] == 0.4f && net->input.std[1] == 0.3f &&
              net->input.color == OCT_COLOR_RGB);
    char path[] = "/tmp/octet-int8-XXXXXX";
    int fd = mkstemp(path);
    ck_assert(fd >= 0);
    close(fd);
    ck_ok(oct_int8_save(net, path));
    oct_net *third = oct_int8_load(ctx, path);
    ck_not_null(third);
    ck_ok(oct_int8_save_memory(third, &again, &n));
    ck_assert(n == size && !memcmp(again, file, n));
    /* version 1 knew fp32 alone: the same but for the number */
    sections_fix(again, n, "OCTINT8\n", 1);
    ck_assert(memcmp(again, file, n));
    oct_net *old = oct_int8_load_memory(ctx, again, n, "old.oct8");
    ck_not_null(old);
    ck_ok(oct_int8_save_memory(old, &again, &n));
    ck_assert(n == size && !memcmp(again, file, n));
    unlink(path);
    ck_assert(!oct_int8_load(ctx, path) && oct_last_error()->code == OCT_EIO);
    ck_assert(!oct_int8_load(NULL, path) && !oct_plan_new(NULL, NULL) &&
              !oct_session_new(NULL, 1, NULL, 0));
    net->stage = OCT_STAGE_FLOAT;
    ck_fails(OCT_EUSAGE, "int8", oct_int8_save(net, path));
    oct_close(ctx);
}
END_TEST

START_TEST(random_nets_round_trip) {
    setup();
    for (uint32_t seed = 0; seed < 40; seed++) {
        oct_net *net = test_random_net(ctx, seed), *back;
        uint8_t *a, *b;
        size_t na, nb;
        ck_ok(oct_int8_save_memory(net, &a, &na));
        back = oct_int8_load_memory(ctx, a, na, "random");
        ck_not_null(back);
        ck_ok(oct_int8_save_memory(back, &b, &nb));
        ck_assert(na == nb && !memcmp(a, b, na));
        ck_assert_int_eq(net->tensor_count, back->tensor_count);
        for (int32_t i = 0; i < net->tensor_count; i++) {
            const oct_named_tensor *t = &net->tensors[i], *r = &back->tensors[i];
            ck_assert_str_eq(t->name, r->name);
            ck_assert(t->role == r->role && t->tensor->dtype == r->tensor->dtype &&
                      oct_shape_equal(&t->tensor->shape, &r->tensor->shape));
        }
        oct_int8_bytes_free(ctx, a);
        oct_int8_bytes_free(ctx, b);
        oct_net_free(net);
        oct_net_free(back);
    }
    oct_close(ctx);
}
END_TEST

START_TEST(every_truncation_and_extension_is_refused) {
    setup();
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    for (size_t n = 0; n < size; n++)
        if (load_status(file, n) == OCT_OK) ck_abort_msg("%zu of %zu bytes were accepted", n, size);
    uint8_t *longer = calloc(size + 9, 1);
    memcpy(longer, file, size);
    for (size_t extra = 1; extra < 9; extra++)
        ck_assert_int_ne(load_status(longer, size + extra), OCT_OK);
    free(longer);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES),
                      held); /* nothing leaks on the way out */
    oct_close(ctx);
}
END_TEST

START_TEST(every_bit_flip_is_refused) {
    setup();

    for (size_t bit = 0; bit < 8 * size; bit++) {
        file[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (load_status(file, size) == OCT_OK)
            ck_abort_msg("bit %zu of %zu went unnoticed", bit, 8 * size);
        file[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_int_eq(load_status(file, size), OCT_OK);
    oct_close(ctx);
}
END_TEST

/* The file with the first `from` of a section replaced by `to` (any lengths), lengths and CRCs
 * right. */
static oct_status craft(const char *tag, const void *from, size_t nfrom, const void *to,
                        size_t nto) {
    octi_section s[OCTI_MAX_SECTIONS];
    int count;
    octi_text out = {ctx}, changed = {ctx};
    ck_ok(octi_sections_read(file, size, "t", "OCTINT8\n", 2, s, &count));
    for (int i = 0; i < count; i++) {
        if (memcmp(s[i].tag, tag, 4)) continue;
        const uint8_t *hit = memmem(s[i].bytes, s[i].size, from, nfrom);
        ck_assert_msg(hit != NULL, "\"%.*s\" is not in %s", (int)nfrom, (const char *)from, tag);
        octi_text_bytes(&changed, s[i].bytes, (size_t)(hit - s[i].bytes));
        octi_text_bytes(&changed, to, nto);
        octi_text_bytes(&changed, hit + nfrom, (size_t)(s[i].bytes + s[i].size - hit) - nfrom);
        s[i].bytes = (const uint8_t *)changed.data;
        s[i].size = changed.size;
    }
    octi_sections_write(&out, "OCTINT8\n", 2, s, count);
    oct_status st = load_status(out.data, out.size);
    octi_text_free(&out);
    octi_text_free(&changed);
    return st;
}

/* The file with bytes behind the last tensor. */
static oct_status craft_longer(void) {
    octi_section s[OCTI_MAX_SECTIONS];
    int count;
    ck_ok(octi_sections_read(file, size, "t", "OCTINT8\n", 2, s, &count));
    for (int i = 0; i < count; i++) {
        if (memcmp(s[i].tag, "TENS", 4)) continue;
        uint8_t *longer = calloc(s[i].size + 4, 1);
        memcpy(longer, s[i].bytes, s[i].size);
        const oct_status st = craft("TENS", s[i].bytes, s[i].size, longer, s[i].size + 4);
        free(longer);
        return st;
    }
    return OCT_OK;
}

static oct_status craft_text(const char *tag, const char *from, const char *to) {
    return craft(tag, from, strlen(from), to, strlen(to));
}

/* Element i of a tensor in TENS becomes these bytes. */
static oct_status craft_tensor(const char *name, int64_t i, const void *v, size_t bytes) {
    octi_section s[OCTI_MAX_SECTIONS];
    int count;
    uint8_t old[2048];
    size_t n = strlen(name);
    ck_ok(octi_sections_read(file, size, "t", "OCTINT8\n", 2, s, &count));
    const uint8_t *hit = memmem(s[1].bytes, s[1].size, name, n);
    ck_assert(hit && !memcmp(s[1].tag, "TENS", 4));
    size_t head = n + 8 * (size_t)hit[-3], whole = head + (size_t)(i + 1) * bytes;
    ck_assert(whole <= sizeof old);
    memcpy(old, hit, whole);
    memcpy(old + head + (size_t)i * bytes, v, bytes);
    return craft("TENS", hit, whole, old, whole);
}

START_TEST(crafted_graphs_are_refused) {
    setup();
    /* clang-format off */
    static const struct {
        const char *tag, *from, *to;
        oct_status want;
        const char *text;
    } cases[] = {
        {"GRPH", "\"kind\": \"qconv2d\"", "\"kind\": \"qconv3d\"", OCT_EFORMAT, "unknown op kind"},
        {"GRPH", "\"kind\": \"qconv2d\"", "\"kind\": \"qlinear\"", OCT_ESHAPE, "rank"},
        {"GRPH", "\"kind\": \"qconv2d\"", "\"kind\": \"cross_entropy\"", OCT_EFORMAT, "inputs"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": [\"nowhere\"]", OCT_EFORMAT, "not there"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": [\"n6.max_pool2d\"]", OCT_EFORMAT, "made later"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": [\"n1.weight\"]", OCT_EFORMAT, "constant"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": [\"n1.m\"]", OCT_EFORMAT, "constant"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": [null]", OCT_EFORMAT, "input"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": []", OCT_EFORMAT, "inputs"},
        {"GRPH", "\"in\": [\"input\"]", "\"in\": [3]", OCT_EFORMAT, "input 0"},
        {"GRPH", "\"quantizer\": 1", "\"quantizer\": 99", OCT_EFORMAT, "quantizer"},
        {"GRPH", "\"quantizer\": 1", "\"quantizer\": -1", OCT_EFORMAT, "quantizer"},
        {"GRPH", ", \"quantizer\": 1", "", OCT_EQPARAMS, "quantizer"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"float32\", \"shape\": [-1, 7, 6, 3]", OCT_EQPARAMS, "quantizer"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [-1, 7, 7, 3]", OCT_ESHAPE, "n0.quantize"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [1, 7, 6, 3]", OCT_ESHAPE, "n0.quantize"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [-1, -1, 6, 3]", OCT_EFORMAT, "n0.quantize"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [-1, 0, 6, 3]", OCT_ESHAPE, "n0.quantize"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [-1, 1000000000, 1000000000, 1000000000]", OCT_ELIMIT,
         "n0.quantize"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [-1, 1000000, 1000000, 3]", OCT_ELIMIT, "too large"},
        {"GRPH", "\"dtype\": \"uint8\", \"shape\": [-1, 7, 6, 3]",
         "\"dtype\": \"uint8\", \"shape\": [-1, 1e300, 6, 3]", OCT_EFORMAT, "n0.quantize"},
        {"GRPH", "\"dtype\": \"int8\", \"shape\": [5, 3, 3, 3]",
         "\"dtype\": \"int8\", \"shape\": [3, 5, 3, 3]", OCT_EFORMAT, "n1.weight"},
        {"GRPH", "\"tensor\": \"n1.weight\"",
         "\"tensor\": \"n2.weight\"", OCT_EFORMAT, "n1.weight"},
        {"GRPH", "\"tensor\": \"n1.weight\"", "\"tensor\": \"none\"", OCT_EFORMAT, "not there"},
        {"GRPH", "\"kernel\": [3, 3]", "\"kernel\": [3]", OCT_EFORMAT, "kernel"},
        {"GRPH", "\"kernel\": [3, 3]", "\"kernel\": [3, 2]", OCT_ESHAPE, "kernel"},
        {"GRPH", "\"kernel\": [3, 3]", "\"kernel\": [3, 99999999999]", OCT_EFORMAT, "kernel"},
        {"GRPH", "\"stride\": [1, 1]", "\"stride\": [0, 1]", OCT_EFORMAT, "stride"},
        {"GRPH", "\"stride\": [1, 1]", "\"stride\": [-2147483648, 1]", OCT_EFORMAT, "stride"},
        {"GRPH", "\"dilation\": [1, 1]", "\"dilation\": [1, 2147483647]", OCT_ESHAPE, "kernel"},
        {"GRPH", "\"pads\": [1, 1, 1, 1]", "\"pads\": [2147483647, 1, 1, 1]", OCT_ESHAPE, ""},
        {"GRPH", "\"pads\": [1, 1, 1, 1]", "\"pads\": [1, -1, 1, 1]", OCT_EFORMAT, "padding"},
        {"GRPH", "\"groups\": 9", "\"groups\": 0", OCT_EFORMAT, "groups"},
        {"GRPH", "\"groups\": 9", "\"groups\": 2", OCT_ESHAPE, ""},
        {"GRPH", "\"axis\": 3", "\"axis\": 4", OCT_EFORMAT, "axis"},
        {"GRPH", "\"axis\": 3", "\"axis\": 0", OCT_EFORMAT, "axis"},
        {"GRPH", "\"axis\": 3", "\"axes\": 3", OCT_EFORMAT, "unknown attribute"},
        {"GRPH", "\"hi\": ", "\"hi\": 1", OCT_EFORMAT, "lo, hi"},
        {"GRPH", "\"qmax\": 255", "\"qmax\": 256", OCT_EQPARAMS, "codes"},
        {"GRPH", "\"qmax\": 255", "\"qmax\": 60", OCT_EQPARAMS, "input.table"},
        {"GRPH", "\"qmax\": 255", "\"qmax\": 155", OCT_EQPARAMS, "input.table"},
        {"GRPH", "\"output\": \"", "\"output\": \"no", OCT_EFORMAT, "output"},
        {"GRPH", "\"input\": \"input\"", "\"input\": \"n1.m\"", OCT_EFORMAT, "input"},
        {"GRPH", "\"octet_graph\": 2", "\"octet_graph\": 3", OCT_EFORMAT, "octet_graph"},
        {"GRPH", "\"name\": \"n2.qconv2d\", \"role\"",
         "\"name\": \"n1.qconv2d\", \"role\"", OCT_EFORMAT, "twice"},
        {"GRPH", "\"role\": \"act\"", "\"role\": \"const\"", OCT_EFORMAT, "n0.quantize"},
        {"GRPH", "\"role\": \"act\"", "\"role\": \"actor\"", OCT_EFORMAT, "role"},
        {"GRPH", "{\"octet_graph\"", "[{\"octet_graph\"", OCT_EFORMAT, ""},
        {"META", "\"stage\": \"int8\"", "\"stage\": \"float\"", OCT_EFORMAT, "stage"},
        {"META", "\"channels\": 3", "\"channels\": 5", OCT_EFORMAT, "channels"},
        {"META", "\"channels\": 3", "\"channels\": 2", OCT_EFORMAT, "mean"},
        {"META", "\"div\": 255", "\"div\": 0", OCT_EFORMAT, "div"},
        {"META", "\"std\": [0.300000012", "\"std\": [-1", OCT_EFORMAT, "std"},
        {"META", "\"color\": \"RGB\"", "\"color\": \"CMYK\"", OCT_EFORMAT, "color"},
        {"META", "\"id\": \"0\"", "\"id\": 0", OCT_EFORMAT, "id"},
        {"META", "\"model\"", "\"module\"", OCT_EFORMAT, "module"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        oct_status got = craft_text(cases[i].tag, cases[i].from, cases[i].to);
        ck_assert_msg(got == cases[i].want && strstr(oct_error_message(), cases[i].text),
                      "case %zu, %s: status %d, %s", i, cases[i].to, (int)got,
                      got == OCT_OK ? "accepted" : oct_error_message());
    }
    oct_close(ctx);
}
END_TEST

START_TEST(crafted_tables_are_refused) {
    ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = 256 << 20});
    test_net t = test_net_new(ctx, 2, 1, 1, 9);
    int32_t x = test_quantize(&t, t.net->graph->input, 0.05f, 70);
    test_end(&t, test_softmax(&t, test_table(&t, x)));
    ck_ok(oct_int8_save_memory(t.net, &file, &size));
    const float bad_e[] = {-0.5f, 1.5f, NAN, INFINITY}, less = 0.5f;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(craft_tensor("n2.exp", 7, &bad_e[i], 4), OCT_EQPARAMS);
        ck_assert_ptr_nonnull(strstr(oct_error_message(), "exponential 7"));
    }
    /* a row's sum would fall below its parts */
    ck_assert_int_eq(craft_tensor("n2.exp", 0, &less, 4), OCT_EQPARAMS);
    ck_assert_int_eq(craft("TENS", "n2.exp\0\1\0\0\0\0\0\0", 14, "n2.exp\0\2\0\0\0\0\0\0", 14),
                     OCT_EFORMAT);
    ck_assert_int_eq(craft_text("GRPH", "\"tensor\": \"n2.exp\"", "\"tensor\": \"n1.table\""),
                     OCT_EFORMAT);
    ck_assert_int_eq(craft_text("GRPH", "\"kind\": \"qsoftmax\"", "\"kind\": \"qtable\""),
                     OCT_EDTYPE);
    ck_assert_int_eq(craft_text("GRPH", "\"kind\": \"qtable\"", "\"kind\": \"qsoftmax\""),
                     OCT_EDTYPE);
    oct_close(ctx);
}
END_TEST

START_TEST(crafted_tensors_are_refused) {
    setup();
    const float bad_scale[] = {0, -1, NAN, INFINITY}, big_m = 100;
    const int32_t bad_zero[] = {-1, 256, INT32_MIN}, big_bias[] = {INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(craft_tensor("n0.quantize.scale", 0, &bad_scale[i], 4), OCT_EQPARAMS);
        ck_assert_int_eq(craft_tensor("n1.m", 2, &bad_scale[i], 4), OCT_EQPARAMS);
        ck_assert_ptr_nonnull(strstr(oct_error_message(), "channel 2"));
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(craft_tensor("n0.quantize.zero_point", 0, &bad_zero[i], 4), OCT_EQPARAMS);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(craft_tensor("n1.bias", 3, &big_bias[i], 4), OCT_ELIMIT);
        ck_assert_ptr_nonnull(strstr(oct_error_message(), "n1.qconv2d"));
        ck_assert_ptr_nonnull(strstr(oct_error_message(), "channel 3"));
    }
    /* 27 * 127 * 185 * 100 stays below 2^31 */
    ck_assert_int_eq(craft_tensor("n1.m", 0, &big_m, 4), OCT_OK);
    float far_m = 1e6f, huge_m = 3e38f;
    ck_assert_int_eq(craft_tensor("n1.m", 0, &far_m, 4), OCT_OK); /* beyond s32: clamped in float */
    ck_assert_int_eq(craft_tensor("n1.m", 0, &huge_m, 4), OCT_ELIMIT);
    ck_assert_int_eq(craft_longer(), OCT_EFORMAT);
    /* headers of tensors */
    ck_assert_int_eq(craft("TENS", "input.table", 11, "input.tablf", 11),
                     OCT_OK); /* described, so pixels still work */
    ck_assert_int_eq(craft("TENS", "n1.weight", 9, "n2.weight", 9), OCT_EFORMAT);
    ck_assert_int_eq(craft("TENS", "n1.weight", 9, "n1\0weight", 9), OCT_EFORMAT);
    ck_assert_int_eq(
        craft("TENS", "n1.weight\5\0\0\0\0\0\0\0", 17, "n1.weight\5\0\0\0\0\0\0\x7f", 17),
        OCT_EFORMAT);
    ck_assert_int_eq(
        craft("TENS", "n1.weight\5\0\0\0\0\0\0\0", 17, "n1.weight\5\0\0\1\0\0\0\0", 17),
        OCT_EFORMAT);
    ck_assert_int_eq(/* each side is one, their product is none */
                     craft("TENS", "n1.weight\5\0\0\0\0\0\0\0", 17, "n1.weight\5\0\0\0\0\0\0\x3f",
                           17),
                     OCT_EFORMAT);
    oct_close(ctx);
}
END_TEST

/* Random damage behind right CRCs: refused, or good enough to run. */
START_TEST(damage_never_crashes) {
    setup();
    octi_rng r = octi_rng_stream(9 + test_seed(), OCTI_RNG_TEST, 0, 0);
    uint8_t *copy = malloc(size);
    int ran = 0, rounds = oct_test_long() ? 100000 : 4000;
    float x[7 * 6 * 3] = {0.5f}, y[16];
    for (int i = 0; i < rounds; i++) {
        memcpy(copy, file, size);
        for (uint32_t k = 1 + octi_rng_below(&r, 3); k > 0; k--) {
            size_t at = octi_rng_below(&r, (uint32_t)size);
            copy[at] = octi_rng_below(&r, 2)
                           ? (uint8_t)octi_rng_u32(&r)
                           : (uint8_t) "0123456789-,[]{}\"n"[octi_rng_below(&r, 18)];
        }
        sections_fix(copy, size, "OCTINT8\n", 2);
        oct_net *net = oct_int8_load_memory(ctx, copy, size, "damaged");
        if (!net) continue;
        oct_plan *plan = oct_plan_new(net, NULL);
        ck_not_null(plan);
        oct_shape in = oct_plan_input_shape(plan), out = oct_plan_output_shape(plan);
        in.dim[0] = out.dim[0] = 1;
        if (oct_shape_count(&in) <= 7 * 6 * 3 && oct_shape_count(&out) <= 16) {
            oct_session *s = oct_session_new(plan, 1, NULL, 0);
            ck_not_null(s);
            ck_ok(oct_session_run(s, x, 1, y));
            oct_session_free(s);
            ran++;
        }
        oct_plan_free(plan);
        oct_net_free(net);
    }
    ck_assert_int_gt(ran, 10);
    ck_assert_int_lt(ran, rounds);
    free(copy);
    oct_close(ctx);
}
END_TEST

/* A float graph with every attribute at odd values: JSON and back, the same bytes, in a locale with
 * a comma too. */
START_TEST(graph_json_keeps_every_bit) {
    setup();
    setlocale(LC_ALL, "de_DE.UTF-8");
    oct_net *a = octi_net_new(ctx, OCT_STAGE_FLOAT), *b = octi_net_new(ctx, OCT_STAGE_FLOAT);
    oct_graph *g = a->graph;
    octi_rng r = octi_rng_stream(9, OCTI_RNG_TEST, 1, 0);
    g->input = octi_graph_add_value(g, "x \"quoted\" \\ \x01 \xc3\xa9", OCT_VALUE_INPUT, OCT_F32,
                                    OCT_SHAPE(OCT_BATCH, 3), NULL);
    int32_t last = g->input;
    for (int i = 0; i < 300; i++) {
        oct_attrs at;
        uint32_t bits[5];
        memset(&at, 0, sizeof at);
        for (int k = 0; k < 5; k++) bits[k] = octi_rng_u32(&r) >> (octi_rng_below(&r, 3) ? 0 : 9);
        if (i == 0)
            bits[0] = 0x7f800000u, bits[1] = 0xff800000u, bits[2] = 0x80000000u, bits[3] = 1;
        for (int k = 0; k < 5; k++)
            if ((bits[k] & 0x7fffffffu) > 0x7f800000u) bits[k] = 0x7fc00000u; /* one NaN */
        memcpy(&at.eps, &bits[0], 4), memcpy(&at.momentum, &bits[1], 4), memcpy(&at.p, &bits[2], 4),
            memcpy(&at.value, &bits[3], 4), memcpy(&at.smoothing, &bits[4], 4);
        at.kernel[1] = (int32_t)octi_rng_u32(&r);
        at.groups[0] = INT32_MIN;
        at.axis[0] = INT32_MAX;
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        int32_t n = octi_graph_add_node(g, OCT_OP_relu, name, &at, &last, 1, OCT_F32,
                                        OCT_SHAPE(OCT_BATCH, 3));
        last = g->nodes[n].out;
    }
    g->output = last;
    octi_text t = {ctx}, u = {ctx};
    ck_ok(octi_graph_to_json(a, &t));
    ck_ok(octi_graph_from_json(b, t.data, t.size, "graph.json"));
    for (int32_t i = 0; i < g->node_count; i++)
        ck_assert(!memcmp(&g->nodes[i].attr, &b->graph->nodes[i].attr, sizeof(oct_attrs)));
    ck_assert_str_eq(b->graph->values[0].name, g->values[0].name);
    ck_ok(octi_graph_to_json(b, &u));
    ck_assert(t.size == u.size && !memcmp(t.data, u.data, t.size));
    setlocale(LC_ALL, "C");
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("int8_file", round_trip_is_byte_equal, random_nets_round_trip,
              every_truncation_and_extension_is_refused, every_bit_flip_is_refused,
              crafted_graphs_are_refused, crafted_tables_are_refused, crafted_tensors_are_refused,
              damage_never_crashes, graph_json_keeps_every_bit)
