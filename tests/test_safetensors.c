/* SPDX-License-Identifier: MIT
 * safetensors and the JSON beneath it: round trips, PyTorch's files, and every kind of damage. */
#include "tests/temp_folder.h"

#include <math.h>

#include "src/format/json.h"
#include "src/format/safetensors.h"
#include "src/mem.h"

static oct_ctx *ctx;

static octi_safetensors *parse_header(const char *header, size_t data_bytes) {
    static uint8_t buf[1 << 16];
    size_t n = strlen(header);
    memset(buf, 0, sizeof buf);
    for (int i = 0; i < 8; i++) buf[i] = (uint8_t)(n >> 8 * i);
    memcpy(buf + 8, header, n);
    /* exact copy on the heap, so that ASan sees one byte too far */
    uint8_t *exact = malloc(8 + n + data_bytes);
    memcpy(exact, buf, 8 + n + data_bytes);
    octi_safetensors *st = octi_safetensors_parse(ctx, exact, 8 + n + data_bytes, "bytes");
    octi_safetensors_free(st);
    free(exact);
    return st; /* freed: only NULL or not counts */
}

#define refuses(want, text, header, bytes)                                                         \
    do {                                                                                           \
        oct_clear_error();                                                                         \
        ck_assert_msg(parse_header(header, bytes) == NULL, "accepted %s", header);                 \
        ck_assert_msg(oct_last_error()->code == (want) && strstr(oct_error_message(), text),       \
                      "%s\ngave: %s", header, oct_error_message());                                \
    } while (0)

static uint8_t *sample(size_t *size) {
    static const float w[6] = {1, 2, 3, -4, 0.5f, NAN};
    static const uint8_t u[3] = {7, 8, 9};
    static const int64_t steps = 12345678901;
    const octi_safetensors_entry e[] = {
        {.name = "layer1.0.conv1.weight",
         .dtype = OCT_F32,
         .shape = OCT_SHAPE(1, 2, 3, 1),
         .data = w},
        {.name = "codes \"q\"\n", .dtype = OCT_U8, .shape = OCT_SHAPE(3), .data = u},
        {.name = "none", .dtype = OCT_F32, .shape = OCT_SHAPE(0, 4), .data = NULL},
        {.name = "steps", .dtype = OCT_S64, .shape = {.rank = 0}, .data = &steps}};
    const octi_safetensors_meta m[] = {{"format", "pt"}, {"note", "caf\xc3\xa9"}};
    const char *path = in_root("a.safetensors");
    ck_ok(octi_safetensors_write(ctx, path, e, 4, m, 2));
    uint8_t *bytes;
    ck_ok(octi_file_read(ctx, path, 0, &bytes, size));
    return bytes;
}

START_TEST(round_trip_is_exact) {
    size_t size, again;
    uint8_t *a = sample(&size), *b = sample(&again);
    ck_assert(size == again && !memcmp(a, b, size));
    octi_safetensors *st = octi_safetensors_read(ctx, in_root("a.safetensors"));
    ck_not_null(st);
    ck_assert_int_eq(octi_safetensors_count(st), 4);
    ck_assert_str_eq(octi_safetensors_at(st, 1)->name, "codes \"q\"\n");
    ck_assert_str_eq(octi_safetensors_metadata(st, "note"), "caf\xc3\xa9");
    const octi_safetensors_entry *e = octi_safetensors_find(st, "layer1.0.conv1.weight");
    ck_assert_str_eq(oct_shape_text(&e->shape), "[1, 2, 3, 1]");
    ck_assert_uint_eq((uintptr_t)e->data % 8, 0);
    oct_tensor *t = octi_safetensors_tensor(ctx, e, false);
    ck_assert(oct_f32(t)[3] == -4 && isnan(oct_f32(t)[5]));
    oct_tensor_unref(t);
    t = octi_safetensors_tensor(ctx, octi_safetensors_find(st, "steps"), false);
    ck_assert_int_eq(*(int64_t *)t->data, 12345678901);
    oct_tensor_unref(t);
    ck_assert(octi_safetensors_tensor(ctx, octi_safetensors_find(st, "steps"), true) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EDTYPE);
    ck_assert(octi_safetensors_find(st, "nope") == NULL && octi_safetensors_at(st, 4) == NULL);
    octi_safetensors_free(st);
    octi_free(ctx, a);
    octi_free(ctx, b);
}
END_TEST

START_TEST(writer_refuses_bad_names) {
    const float one = 1;
    octi_safetensors_entry e[2] = {
        {.name = "a", .dtype = OCT_F32, .shape = OCT_SHAPE(1), .data = &one}};
    e[1] = e[0];
    const char *path = in_root("bad.safetensors");
    ck_fails(OCT_EUSAGE, "twice", octi_safetensors_write(ctx, path, e, 2, NULL, 0));
    e[0].name = "__metadata__";
    ck_fails(OCT_EUSAGE, "reserved", octi_safetensors_write(ctx, path, e, 1, NULL, 0));
    e[0].name = "a";
    ck_fails(OCT_EUSAGE, "reserved",
             octi_safetensors_write(ctx, path, e, 1, &(octi_safetensors_meta){"crc32", "0"}, 1));
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_fails(OCT_EIO, "No such",
             octi_safetensors_write(ctx, "/nonexistent/x.safetensors", e, 1, NULL, 0));
}
END_TEST

START_TEST(pytorch_files_are_read) {
    octi_safetensors *st =
        octi_safetensors_read(ctx, OCT_SOURCE_DIR "/tests/golden/torch_small.safetensors");
    ck_not_null(st);
    ck_assert_int_eq(octi_safetensors_count(st), 7);
    float v[12];
    ck_ok(octi_safetensors_to_f32(octi_safetensors_find(st, "conv1.weight"), v));
    for (int i = 0; i < 12; i++) ck_assert(v[i] == (float)i / 4 - 1);
    ck_ok(octi_safetensors_to_f32(octi_safetensors_find(st, "half"), v));
    ck_assert(v[0] == 1.5f && v[1] == 0 && signbit(v[1]) && v[2] == 65504 && v[3] == 0x1p-24f &&
              isinf(v[4]));
    const octi_safetensors_entry *bf = octi_safetensors_find(st, "brain");
    ck_assert_str_eq(bf->dtype_word, "BF16");
    ck_ok(octi_safetensors_to_f32(bf, v));
    ck_assert(v[0] == 1 && v[1] == -2.5f && fabsf(v[2] / 3e38f - 1) < 0.01f);
    ck_assert(octi_safetensors_tensor(ctx, bf, false) == NULL);
    ck_ok(octi_safetensors_to_f32(octi_safetensors_find(st, "double"), v));
    ck_assert(v[0] == 0.1f);
    ck_assert_int_eq(octi_safetensors_find(st, "steps")->shape.rank, 0);
    octi_safetensors_free(st);
    const char *path = test_data("nets/resnet8-cifar10jpg.safetensors");
    if (!path) return;
    st = octi_safetensors_read(ctx, path);
    ck_not_null(st);
    ck_assert_int_gt(octi_safetensors_count(st), 20);
    octi_safetensors_free(st);
}
END_TEST

START_TEST(half_precision_is_exact) {
    for (uint32_t h = 0; h < 65536; h++) {
        int e = h >> 10 & 31, m = h & 0x3FF;
        float v = octi_f16_to_f32((uint16_t)h),
              want = ldexpf((float)(e ? m + 1024 : m), e ? e - 25 : -24);
        if (e == 31)
            ck_assert(m ? isnan(v) : isinf(v));
        else
            ck_assert_msg(v == (h >> 15 ? -want : want), "%04x gives %g", h, v);
    }
}
END_TEST

START_TEST(every_truncation_and_extension_is_refused) {
    size_t size;
    uint8_t *a = sample(&size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, a, n);
        ck_assert_msg(octi_safetensors_parse(ctx, cut, n, "cut") == NULL, "%zu of %zu bytes pass",
                      n, size);
        ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
        free(cut);
    }
    const size_t more[] = {1, 7, 8, 4096};
    for (int i = 0; i < 4; i++) {
        uint8_t *longer = calloc(1, size + more[i]);
        memcpy(longer, a, size);
        ck_assert(octi_safetensors_parse(ctx, longer, size + more[i], "longer") == NULL);
        free(longer);
    }
    octi_free(ctx, a);
}
END_TEST

START_TEST(every_flipped_bit_is_found) {
    size_t size, before = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    uint8_t *a = sample(&size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        a[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(octi_safetensors_parse(ctx, a, size, "flip") == NULL,
                      "bit %zu of byte %zu passes", bit % 8, bit / 8);
        a[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    octi_safetensors *st = octi_safetensors_parse(ctx, a, size, "whole");
    ck_not_null(st);
    octi_safetensors_free(st);
    octi_free(ctx, a);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), before);
}
END_TEST

#define T(dtype, shape, offsets)                                                                   \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

START_TEST(bad_fields_are_named) {
    ck_assert(parse_header(T("\"F32\"", "[2]", "[0,8]"), 8) != NULL);
    ck_assert(parse_header("{}", 0) != NULL);
    ck_assert(parse_header("{}   ", 0) != NULL);
    refuses(OCT_EFORMAT, "behind the last", "{}", 1);
    refuses(OCT_EFORMAT, "'{'", " {}", 0);
    refuses(OCT_EFORMAT, "'{'", "[]", 0);
    refuses(OCT_EUNSUPPORTED, "got F7", T("\"F7\"", "[2]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "a.dtype", T("4", "[2]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "a.shape", T("\"F32\"", "[-1]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "digits alone", T("\"F32\"", "[1.5]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "digits alone", T("\"F32\"", "[1e300]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "a.shape", T("\"F32\"", "2", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "overflows", T("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), 0);
    refuses(OCT_EFORMAT, "overflows", T("\"U8\"", "[4503599627370496,2048,0]", "[0,0]"), 0);
    refuses(OCT_EUNSUPPORTED, "rank", T("\"F32\"", "[1,1,1,1,1,1,2]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "bytes of tensor 'a'", T("\"F32\"", "[3]", "[0,8]"), 8);
    refuses(OCT_EFORMAT, "a.data_offsets", T("\"F32\"", "[2]", "[0,9]"), 8);
    refuses(OCT_EFORMAT, "a.data_offsets", T("\"F32\"", "[2]", "[8,0]"), 8);
    refuses(OCT_EFORMAT, "a.data_offsets", T("\"F32\"", "[2]", "[0,8,8]"), 8);
    refuses(OCT_EFORMAT, "a.data_offsets", T("\"F32\"", "[2]", "[-8,0]"), 8);
    /* the reference takes integers alone */
    static const char *const numbers[] = {"2.0", "2e0", "2E0", "20e-1", "2.00000000000000000001"};
    for (int i = 0; i < 5; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"a\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[0,8]}}", numbers[i]);
        refuses(OCT_EFORMAT, "digits alone", text, 8);
        snprintf(text, sizeof text,
                 "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,%s]}}", numbers[i]);
        refuses(OCT_EFORMAT, "digits alone", text, 2);
    }
    refuses(OCT_EFORMAT, "without a sign", T("\"F32\"", "[2]", "[-0,8]"), 8);
    refuses(OCT_EFORMAT, "hole", T("\"F32\"", "[1]", "[4,8]"), 8);
    refuses(OCT_EFORMAT, "twice",
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            2);
    refuses(OCT_EFORMAT, "twice",
            "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    refuses(OCT_EFORMAT, "overlaps",
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
            3);
    refuses(OCT_EFORMAT, "object", "{\"a\":[]}", 0);
    refuses(OCT_EFORMAT, "__metadata__", "{\"__metadata__\":4}", 0);
    refuses(OCT_EFORMAT, "'k'", "{\"__metadata__\":{\"k\":4}}", 0);
    refuses(OCT_EFORMAT, "checksum is missing", "{\"__metadata__\":{\"octet\":\"1\"}}", 0);
    refuses(OCT_EFORMAT, "crc32", "{\"__metadata__\":{\"crc32\":\"00000000\"}}", 0);
    refuses(OCT_EFORMAT, "crc32", "{\"__metadata__\":{\"crc32\":\"\"}}", 0);
    refuses(OCT_EFORMAT, "crc32", "{\"__metadata__\":{\"\\u0063rc32\":\"00000000\"}}", 0);
    uint8_t big[16] = {0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}; /* 100,000,001 */
    ck_assert(octi_safetensors_parse(ctx, big, 16, "big") == NULL);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "at most 100000000"));
    memset(big, 0xff, 8);
    ck_assert(octi_safetensors_parse(ctx, big, 16, "big") == NULL);
}
END_TEST

static oct_status json(const char *text) {
    cJSON *top = NULL;
    oct_status s = octi_json_parse(ctx, text, strlen(text), "json", &top);
    octi_json_free(top);
    return s;
}

START_TEST(json_is_strict) {
    const char *good[] = {
        "{}", " [1, -0.5e+3 ,true,null,\"\\ud83d\\ude00 \\uD83D\\uDE00 \\u00e9 \\u00E9\"] \n", "0",
        "\"\xf0\x9f\x98\x80\"", "{\"\":{\"\":0}}"};
    const char *bad[] = {"",
                         "{",
                         "{\"a\":1,}",
                         "[1,]",
                         "01",
                         "1.",
                         "+1",
                         ".5",
                         "1e",
                         "nan",
                         "'a'",
                         "{a:1}",
                         "\"\t\"",
                         "\"\\x\"",
                         "\"\\u12\"",
                         "\"\\u0000\"",
                         "\"\\ud800\"",
                         "\"\\ude00\"",
                         "\"\\ud800\\u0041\"",
                         "\"\xc3\"",
                         "\"\xc0\xaf\"",
                         "\"\xed\xa0\x80\"",
                         "\"\xff\"",
                         "\"\xf5\x80\x80\x80\"",
                         "{} {}",
                         "[1 2]",
                         "{\"a\" 1}",
                         "tru",
                         "\xef\xbb\xbf{}",
                         "{\"a\":1,\"\\u0061\":2}",
                         "[0,{\"b\":[],\"b\":{}}]",
                         "1234567890123456789012345678901234567890123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) ck_ok(json(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(json(bad[i]) == OCT_EFORMAT, "accepted %s", bad[i]);
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 199);
    deep[399] = 0;
    ck_fails(OCT_ELIMIT, "64 levels", json(deep));
    char nul[] = "{\"a\":\"b c\"}";
    nul[7] = 0;
    cJSON *top;
    ck_fails(OCT_EFORMAT, "offset 7", octi_json_parse(ctx, nul, sizeof nul - 1, "json", &top));
    enum { MANY = 2 * OCTI_JSON_VALUES + 8 };
    char *many = malloc(MANY);
    for (int i = 0; i < MANY; i++) many[i] = i & 1 ? ',' : '0';
    many[0] = '[';
    many[1] = '0';
    for (int i = 2; i < MANY; i++) many[i] = i & 1 ? '0' : ',';
    ck_fails(OCT_ELIMIT, "values", octi_json_parse(ctx, many, MANY, "json", &top));
    free(many);
}
END_TEST

START_TEST(json_getters_name_the_field) {
    const char text[] =
        "{\"i\":3,\"f\":2.5,\"s\":\"x\",\"b\":true,\"a\":[1],\"o\":{},\"big\":1e300,\"inf\":1e999}";
    cJSON *top;
    int64_t i;
    double d;
    bool b;
    const char *s;
    const cJSON *v;
    ck_ok(octi_json_parse(ctx, text, sizeof text - 1, "cfg", &top));
    ck_ok(octi_json_int(top, "i", "cfg", 0, 3, &i));
    ck_assert_int_eq(i, 3);
    ck_fails(OCT_EFORMAT, "cfg: field 'i': expected an integer from 0 to 2, got 3",
             octi_json_int(top, "i", "cfg", 0, 2, &i));
    ck_fails(OCT_EFORMAT, "got 2.5", octi_json_int(top, "f", "cfg", 0, 9, &i));
    ck_fails(OCT_EFORMAT, "got nothing", octi_json_int(top, "I", "cfg", 0, 9, &i));
    ck_fails(OCT_EFORMAT, "1e+300", octi_json_int(top, "big", "cfg", INT64_MIN, INT64_MAX, &i));
    ck_ok(octi_json_number(top, "f", "cfg", &d));
    ck_fails(OCT_EFORMAT, "finite", octi_json_number(top, "inf", "cfg", &d));
    ck_ok(octi_json_string(top, "s", "cfg", &s));
    ck_fails(OCT_EFORMAT, "an array", octi_json_string(top, "a", "cfg", &s));
    ck_ok(octi_json_bool(top, "b", "cfg", &b));
    ck_fails(OCT_EFORMAT, "true or false", octi_json_bool(top, "i", "cfg", &b));
    ck_ok(octi_json_array(top, "a", "cfg", &v));
    ck_ok(octi_json_object(top, "o", "cfg", &v));
    ck_fails(OCT_EFORMAT, "an object", octi_json_object(top, "a", "cfg", &v));
    octi_json_free(top);
    octi_text t = {.ctx = ctx};
    octi_json_put_string(&t, "a\"\\\n\x01");
    octi_json_put_number(&t, 0.1f);
    octi_text_bytes(&t, " ", 1);
    octi_json_put_number(&t, 0.1);
    octi_json_put_number(&t, NAN);
    ck_assert_str_eq(t.data, "\"a\\\"\\\\\\u000a\\u0001\"0.10000000149011612 0.1null");
    octi_text_free(&t);
}
END_TEST

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1}));
    make_root();
}
static void teardown(void) {
    remove_root();
    oct_close(ctx);
}

OCT_TEST_MAIN_WITH("safetensors", setup, teardown, round_trip_is_exact, writer_refuses_bad_names,
                   pytorch_files_are_read, half_precision_is_exact,
                   every_truncation_and_extension_is_refused, every_flipped_bit_is_found,
                   bad_fields_are_named, json_is_strict, json_getters_name_the_field)
