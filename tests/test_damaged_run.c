/* SPDX-License-Identifier: MIT
 * A run whose graph.json somebody has been at: every field gone, or another in its place. What loads must run,
 * calibrate, train, convert or refuse; nothing may crash (ASan and UBSan look on). */
#include "tests/temp_folder.h"

#include "octet.h"
#include "src/format/bytes.h"
#include "src/mem.h"
#include "tests/random_net.h"

enum { IMAGES = 4 };

/* Every mode of a net that came from outside; failures are fine. */
static void use(oct_net *net, oct_shape image) {
    oct_tape *t = oct_tape_new(net->ctx);
    oct_tensor *labels = oct_tensor_new(net->ctx, OCT_S32, OCT_SHAPE(IMAGES)), *x = random_images(net->ctx, IMAGES, image, 5);
    memset(labels->data, 0, oct_tensor_bytes(labels));
    const oct_mode modes[] = {OCT_EVAL, OCT_CALIBRATE, OCT_TRAIN};
    for (int i = 0; i < 3; i++) {
        oct_tape_begin(t, modes[i]);
        oct_var *y = oct_net_forward(net, oct_input(t, x));
        if (modes[i] == OCT_TRAIN && oct_tape_status(t) == OCT_OK && oct_backward(oct_cross_entropy(y, labels, NULL)) != OCT_OK) oct_clear_error();
    }
    oct_net *i8 = oct_convert(net, NULL);
    oct_mismatch m = {0};
    if (i8 && oct_compare(net, i8, x, &m) == OCT_OK) ck_assert_msg(m.mismatched == 0, "%s", m.node);
    oct_net_free(i8);
    oct_tensor_unref(labels);
    oct_tape_free(t);
}

typedef struct tally {
    int loaded, refused;
} tally;

static void try(const char *text, size_t size, oct_shape image, tally *n) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_ok(octi_file_save(ctx, in_root("run/graph.json"), text, size));
    oct_clear_error();
    oct_net *net = oct_run_load(ctx, in_root("run"), NULL);
    if (net) {
        const oct_shape *in = &net->graph->values[net->graph->input].shape;
        if (in->rank == 4) image = OCT_SHAPE(in->dim[1], in->dim[2], in->dim[3]);
        use(net, image);
        n->loaded++;
    } else {
        const oct_status code = oct_last_error()->code;
        ck_assert_msg(code != OCT_OK && code != OCT_EINTERNAL && code != OCT_ENOMEM, "%s", oct_error_message());
        n->refused++;
    }
    oct_close(ctx);
}

/* The value behind a key: a string, a number, a word, or a whole list. Its end. */
static size_t value_end(const char *s, size_t at) {
    if (s[at] == '"') {
        for (at++; s[at] != '"'; at++) at += s[at] == '\\';
        return at + 1;
    }
    if (s[at] == '[') return at + strcspn(s + at, "]") + 1;
    return at + strcspn(s + at, ",}\n");
}

/* Each "key": value, every step-th: left out, then with other values. */
static tally damage(const char *text, size_t size, int step, oct_shape image) {
    static const char *const others[] = {"-1", "0", "1", "3", "255", "70000", "\"\"", "\"weight\"", "\"input.quantize\"", "\"fc.weight\"", "true", "[]", "[-1, 4]"};
    tally n = {0};
    char *copy = malloc(size + 64);
    int key = 0;
    for (size_t i = 0; i + 3 < size; i++) {
        size_t at = i + 2 + (text[i + 2] == ' '); /* of the value */
        if (text[i] != '"' || text[i + 1] != ':' || text[at] == '{' || !strncmp(text + at, "[\n", 2)) continue;
        if (key++ % step) continue;
        size_t begin = i, end = value_end(text, at);
        while (text[--begin] != '"') {}
        size_t comma = begin - 1 - (text[begin - 1] == ' ' || text[begin - 1] == '\n');
        if (begin > 2 && text[comma] == ',') { /* ", key: value" goes */
            memcpy(copy, text, comma);
            memcpy(copy + comma, text + end, size - end);
            try(copy, size - end + comma, image, &n);
        }
        for (size_t k = (size_t)(key / step) % 3; k < sizeof others / sizeof *others; k += 3) {
            int len = (int)strlen(others[k]);
            memcpy(copy, text, at);
            memcpy(copy + at, others[k], (size_t)len);
            memcpy(copy + at + len, text + end, size - end);
            try(copy, at + (size_t)len + size - end, image, &n);
        }
    }
    free(copy);
    return n;
}

/* c NULL: a float run. */
static void check(uint64_t seed, const oct_qconfig *c, bool oscillation, int step) {
    make_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_shape image;
    oct_net *q = random_net(ctx, seed, &image);
    if (c) q = oct_prepare(q, c);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    (void)oct_net_forward(q, oct_input(t, random_images(ctx, IMAGES, image, 3)));
    ck_ok(oct_tape_status(t));
    if (oscillation) ck_ok(oct_oscillation_start(q));
    ck_ok(oct_run_save(q, in_root("run"), NULL, false));
    uint8_t *bytes;
    size_t size;
    ck_ok(octi_file_read(ctx, in_root("run/graph.json"), 0, &bytes, &size));
    char *text = malloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = 0;
    tally n = {0};
    try(text, size, image, &n);
    ck_assert_int_eq(n.loaded, 1); /* undamaged */
    n = damage(text, size, step, image);
    printf("net %d: %d damaged runs refused, %d loaded and used\n", (int)seed, n.refused, n.loaded);
    ck_assert_int_gt(n.refused, 50);
    octi_free(ctx, bytes);
    free(text);
    oct_close(ctx);
    remove_root();
}

START_TEST(no_field_of_a_run_can_crash) {
    const char *more = getenv("OCT_TEST_LONG");
    const int step = more && *more == '1' ? 1 : 9;
    check(3, &(oct_qconfig){.target = "octet"}, false, step);
    check(6, NULL, false, step);
    check(4, &(oct_qconfig){.method = "lsq+", .wbits = 4, .abits = 4}, true, step);
    check(9, &(oct_qconfig){.target = "qnnpack", .observer = "histogram"}, false, step);
    check(14, &(oct_qconfig){.target = "pow2", .method = "pact", .wbits = 3}, true, step);
}
END_TEST

OCT_TEST_MAIN_WITH("damaged_run", NULL, remove_root, no_field_of_a_run_can_crash)
