/* SPDX-License-Identifier: MIT
 * Every field of a run's other files, and of an int8 file's description, with other values and
 * right checksums: config.json, the headers of state.safetensors and model.safetensors, META. What
 * loads must resume, run or be refused; nothing may crash, hang, or be told as a fault of the
 * library (ASan and UBSan look on). */
#include "tests/temp_folder.h"

#include <zlib.h>

#include "autograd/nn/nn.h"
#include "octet.h"
#include "src/format/bytes.h"
#include "src/format/sections.h"
#include "src/mem.h"
#include "tests/value_end.h"

static uint8_t pixels[12 * 36];
static int32_t labels[12];

static oct_data *make_data(oct_ctx *ctx) {
    for (int i = 0; i < (int)sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (int i = 0; i < 12; i++) labels[i] = i % 3;
    return oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(12, 6, 6, 1), pixels, labels,
                                &(oct_array_opts){.classes = 3});
}

static oct_net *make_net(oct_ctx *ctx) {
    oct_module *parts[] = {oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 2, .kernel = 3}),
                           oct_relu_new(ctx), oct_flatten_new(ctx),
                           oct_linear_new(ctx, &(oct_linear_opts){.in = 32, .out = 3})};
    return oct_capture(oct_sequential_new(ctx, parts, 4), OCT_SHAPE(6, 6, 1));
}

static oct_status fit(oct_ctx *ctx, int epochs, bool resume) {
    oct_net *net = make_net(ctx);
    oct_data *d = make_data(ctx);
    return oct_fit(net, d,
                   &(oct_fit_opts){.epochs = epochs,
                                   .batch = 4,
                                   .run = in_root("run"),
                                   .resume = resume,
                                   .optimizer = OCT_OPTIM_ADAM,
                                   .patience = 2,
                                   .val_share = 0.3f});
}

typedef struct subject {
    const char *file;     /* of the run; NULL: META of an int8 file */
    uint8_t *whole;       /* its bytes */
    size_t size, at, len; /* the text inside them */
    int loaded, refused;
} subject;

static void put64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* The file with another text in it, its sizes and checksums right. */
static uint8_t *rebuilt(const subject *n, const char *text, size_t len, size_t *size) {
    /* a safetensors header ends on 8 bytes */
    const size_t pad = n->at == 8 ? (8 - len % 8) % 8 : 0;
    *size = n->size - n->len + len + pad;
    uint8_t *p = malloc(*size + 1);
    memcpy(p, n->whole, n->at);
    memcpy(p + n->at, text, len);
    memset(p + n->at + len, ' ', pad);
    memcpy(p + n->at + len + pad, n->whole + n->at + n->len, n->size - n->at - n->len);
    if (n->at != 8) return p;
    put64(p, len + pad);
    p[*size] = 0;
    char *crc = strstr((char *)p + 8, "\"crc32\":\""), digits[9];
    if (!crc || crc + 17 > (char *)p + 8 + len) return p;
    memcpy(crc + 9, "00000000", 8);
    snprintf(digits, sizeof digits, "%08x", (unsigned)crc32(crc32(0, Z_NULL, 0), p, (uInt)*size));
    memcpy(crc + 9, digits, 8);
    return p;
}

static void count(subject *n, bool good) {
    const oct_status code = oct_last_error()->code;
    if (!good)
        ck_assert_msg(code != OCT_OK && code != OCT_EINTERNAL && code != OCT_ENOMEM, "%s: %s",
                      n->file ? n->file : "META", oct_error_message());
    if (good)
        n->loaded++;
    else
        n->refused++;
}

static void try(subject *n, const char *text, size_t len) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = (size_t)64 << 20});
    size_t size;
    oct_clear_error();
    if (n->file) {
        uint8_t *p = rebuilt(n, text, len, &size);
        char path[256];
        snprintf(path, sizeof path, "%s/%s", in_root("run"), n->file);
        ck_ok(octi_file_save(ctx, path, p, size));
        free(p);
        oct_net *net = oct_run_load(ctx, in_root("run"), NULL);
        count(n, net != NULL);
        oct_clear_error();
        const oct_status s = fit(ctx, 1, true); /* its epoch is done: nothing is trained */
        if (s != OCT_OK) count(n, false);
        ck_ok(octi_file_save(ctx, path, n->whole, n->size));
    } else {
        octi_section sections[OCTI_MAX_SECTIONS];
        octi_text out = {.ctx = ctx};
        int k;
        ck_ok(octi_sections_read(n->whole, n->size, "bytes", "OCTINT8\n", 2, sections, &k));
        sections[2].bytes = (const uint8_t *)text;
        sections[2].size = len;
        octi_sections_write(&out, "OCTINT8\n", 2, sections, k);
        oct_net *net = oct_int8_load_memory(ctx, out.data, out.size, "bytes");
        count(n, net != NULL);
        oct_plan *plan = net ? oct_plan_new(net, NULL) : NULL;
        if (net) ck_not_null(plan);
        oct_plan_free(plan);
        octi_text_free(&out);
    }
    oct_close(ctx);
}

static void damage(subject *n, int step) {
    static const char *const others[] = {
        "-1",   "0",         "1",       "2",      "3.5", "1e300", "9007199254740993",
        "\"\"", "\"float\"", "\"F32\"", "\"U8\"", "[]",  "[0,4]", "{}",
        "null", "true",      "[[[]]]"};
    const size_t size = n->len;
    char *text = malloc(size + 1), *copy = malloc(size + 128);
    memcpy(text, n->whole + n->at, size);
    text[size] = 0;
    int key = 0;
    for (size_t i = 0; i + 3 < size; i++) {
        size_t at = i + 2 + (text[i + 2] == ' ');
        if (text[i] != '"' || text[i + 1] != ':') continue;
        if (text[at] == '{' || key++ % step) continue;
        const size_t end = value_end(text, at);
        for (size_t k = (size_t)(key / step) % 2; k < sizeof others / sizeof *others; k += 2) {
            const size_t len = strlen(others[k]);
            memcpy(copy, text, at);
            memcpy(copy + at, others[k], len);
            memcpy(copy + at + len, text + end, size - end);
            try(n, copy, at + len + size - end);
        }
    }
    printf("%s: %d refused, %d loaded\n", n->file ? n->file : "META", n->refused, n->loaded);
    ck_assert_int_gt(n->refused, 20);
    free(text);
    free(copy);
}

START_TEST(no_field_of_any_file_can_crash) {
    const int step = oct_test_long() ? 1 : 3;
    static const char *const files[] = {"config.json", "state.safetensors", "model.safetensors"};
    make_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_ok(fit(ctx, 1, false));
    for (int i = 0; i < 3; i++) {
        subject n = {.file = files[i]};
        char path[256];
        snprintf(path, sizeof path, "%s/%s", in_root("run"), files[i]);
        ck_ok(octi_file_read(ctx, path, 0, &n.whole, &n.size));
        n.at = i ? 8 : 0;
        n.len = n.size;
        if (i) {
            octi_reader r = {n.whole, n.size, 0, path};
            uint64_t header;
            ck_ok(octi_read_u64le(&r, &header, "header"));
            n.len = (size_t)header;
        }
        try(&n, (const char *)n.whole + n.at, n.len);
        ck_assert_int_eq(n.loaded, 1);
        damage(&n, step);
        octi_free(ctx, n.whole);
    }
    oct_net *q = oct_prepare(oct_run_load(ctx, in_root("run"), NULL), NULL);
    ck_ok(oct_calibrate(q, make_data(ctx), 12));
    subject n = {.file = NULL};
    octi_section sections[OCTI_MAX_SECTIONS];
    int k;
    ck_ok(oct_int8_save_memory(oct_convert(q, NULL), &n.whole, &n.size));
    ck_ok(octi_sections_read(n.whole, n.size, "bytes", "OCTINT8\n", 2, sections, &k));
    ck_assert_str_eq(sections[2].tag, "META");
    n.at = (size_t)(sections[2].bytes - n.whole);
    n.len = sections[2].size;
    damage(&n, 1);
    oct_int8_bytes_free(ctx, n.whole);
    oct_close(ctx);
    remove_root();
}
END_TEST

OCT_TEST_MAIN_WITH("damaged_files", NULL, remove_root, no_field_of_any_file_can_crash)
