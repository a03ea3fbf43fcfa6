/* SPDX-License-Identifier: MIT
 * A run whose graph.json somebody has been at, or an int8 file whose graph: every field gone, or
 * another in its place. What loads must run, calibrate, train, convert or refuse; nothing may crash
 * (ASan and UBSan look on). */
#include "tests/temp_folder.h"

#include "octet.h"
#include "src/format/sections.h"
#include "src/mem.h"
#include "tests/random_net.h"
#include "tests/value_end.h"

enum { IMAGES = 4 };

/* Every mode of a net that came from outside; failures are fine. */
static void use(oct_net *net, oct_shape image) {
    oct_tape *t = oct_tape_new(net->ctx);
    oct_tensor *labels = oct_tensor_new(net->ctx, OCT_S32, OCT_SHAPE(IMAGES)),
               *x = random_images(net->ctx, IMAGES, image, 5);
    memset(labels->data, 0, oct_tensor_bytes(labels));
    const oct_mode modes[] = {OCT_EVAL, OCT_CALIBRATE, OCT_TRAIN};
    for (int i = 0; i < 3; i++) {
        oct_tape_begin(t, modes[i]);
        oct_var *y = oct_net_forward(net, oct_input(t, x));
        if (modes[i] == OCT_TRAIN && oct_tape_status(t) == OCT_OK &&
            oct_backward(oct_cross_entropy(y, labels, NULL)) != OCT_OK)
            oct_clear_error();
    }
    /* what ptq does */
    oct_net *q = net->stage == OCT_STAGE_PREPARED ? net : oct_prepare(net, NULL);
    if (q && q != net) {
        oct_tape_begin(t, OCT_CALIBRATE);
        (void)oct_net_forward(q, oct_input(t, x));
    }
    oct_net *i8 = q ? oct_convert(q, NULL) : NULL;
    oct_mismatch m = {0};
    if (i8 && oct_compare(q, i8, x, &m) == OCT_OK) ck_assert_msg(m.mismatched == 0, "%s", m.node);
    oct_net_free(i8);
    if (q != net) {
        oct_net_free(oct_quantize_dynamic(net, NULL));
        oct_net_free(oct_half(net));
        oct_net_free(oct_equalize(net, NULL));
        oct_net_free(q);
    }
    oct_tensor_unref(labels);
    oct_tape_free(t);
}

/* Both kinds of plan; they agree. */
static void use_int8(const oct_net *net) {
    float *y[2] = {NULL};
    for (int unfused = 0; unfused < 2; unfused++) {
        oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
        oct_session *s = oct_session_new(plan, IMAGES, NULL, 0);
        ck_not_null(s);
        const oct_shape in = octi_shape_with_batch(&net->graph->values[net->graph->input].shape,
                                                   IMAGES),
                        out = oct_plan_output_shape(plan);
        float *x = calloc((size_t)oct_shape_count(&in) + 1, sizeof *x);
        const oct_shape all = octi_shape_with_batch(&out, IMAGES);
        y[unfused] = calloc((size_t)oct_shape_count(&all) + 1, sizeof *x);
        for (int64_t i = 0; i < oct_shape_count(&in); i++) x[i] = (float)(i % 37) * 0.17f - 3.0f;
        ck_ok(oct_session_run(s, x, IMAGES, y[unfused]));
        if (unfused) ck_assert_mem_eq(y[0], y[1], (size_t)oct_shape_count(&all) * sizeof *x);
        free(x);
        oct_session_free(s);
        oct_plan_free(plan);
    }
    free(y[0]);
    free(y[1]);
}

/* What is damaged: a run's graph.json, or (sections) the graph of an int8 file. */
typedef struct subject {
    oct_shape image;
    octi_section sections[OCTI_MAX_SECTIONS];
    int count; /* 0: a run */
    int loaded, refused;
} subject;

static oct_net *load(oct_ctx *ctx, subject *n, const char *text, size_t size) {
    if (!n->count) {
        ck_ok(octi_file_save(ctx, in_root("run/graph.json"), text, size));
        return oct_run_load(ctx, in_root("run"), NULL);
    }
    octi_text out = {.ctx = ctx};
    n->sections[0].bytes = (const uint8_t *)text;
    n->sections[0].size = size;
    octi_sections_write(&out, "OCTINT8\n", 3, n->sections, n->count);
    ck_ok(out.status);
    oct_net *net = oct_int8_load_memory(ctx, out.data, out.size, "bytes");
    octi_text_free(&out);
    return net;
}

static void try(const char *text, size_t size, subject *n) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = (size_t)256 << 20});
    oct_clear_error();
    oct_net *net = load(ctx, n, text, size);
    if (net) {
        const oct_shape *in = &net->graph->values[net->graph->input].shape;
        if (n->count)
            use_int8(net);
        else
            use(net, in->rank == 4 ? OCT_SHAPE(in->dim[1], in->dim[2], in->dim[3]) : n->image);
        n->loaded++;
    } else {
        const oct_status code = oct_last_error()->code;
        ck_assert_msg(code != OCT_OK && code != OCT_EINTERNAL && code != OCT_ENOMEM, "%s",
                      oct_error_message());
        n->refused++;
    }
    oct_close(ctx);
}

/* Words of the file's own vocabulary: what a key may say elsewhere it may not say here. */
static const char *const stages[] = {"float", "fused", "prepared", "int8", NULL},
                         *const roles[] = {"input",  "param",    "buffer", "const", "act",
                                           "qparam", "observer", "step",   NULL},
                         *const dtypes[] = {"float32", "uint8", "int8", "int32",
                                            "float16", "int64", NULL},
                         *const kinds[] = {
#define OCT_OP(name, least, most, flags) #name,
#include "src/op_kinds.def"
#undef OCT_OP
                             NULL};
static const struct {
    const char *key;
    const char *const *words;
    int apart; /* every so many of them, each time others */
} vocabulary[] = {
    {"stage", stages, 1}, {"role", roles, 2}, {"dtype", dtypes, 2}, {"kind", kinds, 11}};

/* The copy with `word` where the value from at to end stands. */
static void replace(const char *text, size_t size, size_t at, size_t end, const char *word,
                    char *copy, subject *n) {
    const size_t len = strlen(word);
    memcpy(copy, text, at);
    memcpy(copy + at, word, len);
    memcpy(copy + at + len, text + end, size - end);
    try(copy, at + len + size - end, n);
}

static void speak(const char *text, size_t size, size_t key, size_t at, size_t end, int turn,
                  char *copy, subject *n) {
    for (size_t v = 0; v < sizeof vocabulary / sizeof *vocabulary; v++) {
        const size_t len = strlen(vocabulary[v].key);
        if (strncmp(text + key + 1, vocabulary[v].key, len) || text[key + 1 + len] != '"') continue;
        for (int w = turn % vocabulary[v].apart, i = 0; vocabulary[v].words[i]; i++) {
            if (i % vocabulary[v].apart != w) continue;
            char word[64];
            snprintf(word, sizeof word, "\"%s\"", vocabulary[v].words[i]);
            replace(text, size, at, end, word, copy, n);
        }
    }
}

/* Each "key": value, every step-th: left out, then with other values; the net's stage, always. */
static void damage(const char *text, size_t size, int step, subject *n) {
    static const char *const others[] = {"-1",
                                         "0",
                                         "1",
                                         "3",
                                         "255",
                                         "70000",
                                         "\"\"",
                                         "\"weight\"",
                                         "\"input.quantize\"",
                                         "\"fc.weight\"",
                                         "true",
                                         "[]",
                                         "[-1, 4]"};
    char *copy = malloc(size + 128);
    int key = 0;
    for (size_t i = 0; i + 3 < size; i++) {
        size_t at = i + 2 + (text[i + 2] == ' '); /* of the value */
        if (text[i] != '"' || text[i + 1] != ':' || text[at] == '{' ||
            !strncmp(text + at, "[\n", 2))
            continue;
        size_t begin = i, end = value_end(text, at);
        while (text[--begin] != '"') {
        }
        if (key++ % step && strncmp(text + begin, "\"stage\"", 7)) continue;
        size_t comma = begin - 1 - (text[begin - 1] == ' ' || text[begin - 1] == '\n');
        if (begin > 2 && text[comma] == ',') { /* ", key: value" goes */
            memcpy(copy, text, comma);
            memcpy(copy + comma, text + end, size - end);
            try(copy, size - end + comma, n);
        }
        for (size_t k = (size_t)(key / step) % 3; k < sizeof others / sizeof *others; k += 3)
            replace(text, size, at, end, others[k], copy, n);
        speak(text, size, begin, at, end, key / step, copy, n);
    }
    free(copy);
}

static void check(uint64_t seed, const char *what, const char *text, size_t size, int step,
                  subject *n) {
    try(text, size, n);
    ck_assert_int_eq(n->loaded, 1); /* undamaged */
    damage(text, size, step, n);
    printf("net %d, %s: %d damaged ones refused, %d loaded and used\n", (int)seed, what, n->refused,
           n->loaded - 1);
    ck_assert_int_gt(n->refused, test_seed() ? 10 : 50);
}

static char *text_of(const uint8_t *bytes, size_t size) {
    char *text = malloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = 0;
    return text;
}

/* c NULL: a float run. */
static void check_run(uint64_t seed, const oct_qconfig *c, bool oscillation, int step) {
    make_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    subject n = {.count = 0};
    seed += test_seed();
    oct_net *q = random_net(ctx, seed, &n.image);
    if (c) q = oct_prepare(q, c);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    (void)oct_net_forward(q, oct_input(t, random_images(ctx, IMAGES, n.image, 3)));
    ck_ok(oct_tape_status(t));
    if (oscillation) ck_ok(oct_oscillation_start(q));
    ck_ok(oct_run_save(q, in_root("run"), NULL, false));
    uint8_t *bytes;
    size_t size;
    ck_ok(octi_file_read(ctx, in_root("run/graph.json"), 0, &bytes, &size));
    char *text = text_of(bytes, size);
    check(seed, c ? "prepared" : "float", text, size, step, &n);
    free(text);
    octi_free(ctx, bytes);
    if (c) { /* and what it becomes */
        subject file = {.image = n.image};
        oct_net *i8 = oct_convert(q, NULL);
        ck_assert_msg(i8 != NULL, "%s", oct_error_message());
        ck_ok(oct_int8_save_memory(i8, &bytes, &size));
        ck_ok(octi_sections_read(bytes, size, "bytes", "OCTINT8\n", 3, file.sections, &file.count));
        ck_assert_str_eq(file.sections[0].tag, "GRPH");
        size = file.sections[0].size;
        text = text_of(file.sections[0].bytes, size);
        check(seed, "int8", text, size, step, &file);
        free(text);
        oct_int8_bytes_free(ctx, bytes);
    }
    oct_close(ctx);
    remove_root();
}

START_TEST(no_field_can_crash) {
    const int step = oct_test_long() ? 1 : 13;
    check_run(3, &(oct_qconfig){.target = OCT_TARGET_OCTET}, false, step);
    check_run(6, NULL, false, step);
    check_run(4, &(oct_qconfig){.method = OCT_METHOD_LSQ_PLUS, .wbits = 4, .abits = 4}, true, step);
    check_run(9, &(oct_qconfig){.target = OCT_TARGET_QNNPACK, .observer = "histogram"}, false,
              step);
    check_run(14, &(oct_qconfig){.target = OCT_TARGET_POW2, .method = OCT_METHOD_PACT, .wbits = 3},
              true, step);
    check_run(11, &(oct_qconfig){.target = OCT_TARGET_LITERT}, false, step);
}
END_TEST

OCT_TEST_MAIN_WITH("damaged_run", NULL, remove_root, no_field_can_crash)
