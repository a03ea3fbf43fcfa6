/* SPDX-License-Identifier: MIT
 * Why nodes stay float, and what quantizers are: decided once, kept in a run and in an int8 file,
 * read from files of the form before. */
#include "tests/temp_folder.h"

#include "octet.h"
#include "qat/net/prepared.h"
#include "qat/passes/pass_convert.h"
#include "qat/step/codes.h"
#include "src/format/bytes.h"
#include "src/format/files.h"
#include "tests/oct_test.h"

typedef struct five {
    oct_module *conv, *fc1, *bn, *fc2;
} five;

static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    const five *s = self;
    (void)t;
    x = oct_flatten(oct_sigmoid(oct_apply(s->conv, x)));
    x = oct_apply(s->fc1, x);
    x = oct_relu(oct_apply(s->bn, oct_tanh(x))); /* batch norm of vectors: no linear before it */
    return oct_log_softmax(oct_apply(s->fc2, x));
}

static oct_net *prepared(oct_ctx *ctx, five *s) {
    oct_module *m = oct_module_new(ctx, forward, s);
    s->conv = oct_module_add(
        m, "conv", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 2, .kernel = 3}));
    s->fc1 = oct_module_add(m, "fc1", oct_linear_new(ctx, &(oct_linear_opts){.in = 18, .out = 6}));
    s->bn = oct_module_add(m, "bn", oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = 6}));
    s->fc2 = oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 6, .out = 3}));
    oct_qconfig c = {.weight_observer = OCT_WEIGHT_OBSERVER_MSE};
    ck_ok(oct_qconfig_parse(ctx, "fc2:float", &c));
    oct_net *q = oct_prepare(oct_capture(m, OCT_SHAPE(5, 5, 1)), &c);
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    return q;
}

static const struct {
    const char *node;
    oct_float_reason why;
    const char *text;
} wanted[] = {{"conv", OCT_FLOAT_none, ""},
              {"fc1", OCT_FLOAT_none, ""},
              {"bn", OCT_FLOAT_vectors, "batch norm of vectors has no int8 form"},
              {"fc2", OCT_FLOAT_rule, "its qconfig keeps it float"},
              {"log_softmax", OCT_FLOAT_kind, "log_softmax has no int8 form"}};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* old: of a net whose file is of the form before, which kept no reasons. */
static void tells(const oct_net *net, bool old) {
    oct_placement *rows;
    int32_t count, found = 0;
    ck_assert_msg(net != NULL, "%s", oct_error_message());
    ck_ok(oct_net_placements(net, &rows, &count));
    for (int32_t i = 0; i < count; i++)
        for (int k = 0; k < WANTED; k++) {
            if (strcmp(rows[i].name, wanted[k].node)) continue;
            const bool stays = wanted[k].why != OCT_FLOAT_none;
            found++;
            ck_assert_int_eq(rows[i].int8, !stays);
            ck_assert_int_eq(rows[i].why, old ? OCT_FLOAT_none : wanted[k].why);
            ck_assert_str_eq(rows[i].reason,
                             old && stays ? "prepared by an older octet, which kept no reason"
                                          : wanted[k].text);
        }
    ck_assert_int_eq(found, WANTED);
    oct_placements_free(NULL, rows);
}

static void has_roles(const oct_net *net) {
    const oct_graph *g = net->graph;
    for (int32_t v = 0; v < g->value_count; v++) {
        if (g->values[v].quantizer < 0) continue;
        const oct_quantizer *q = &g->quantizers[g->values[v].quantizer];
        const bool fixed = !strcmp(q->name, "sigmoid") || !strcmp(q->name, "tanh");
        ck_assert_int_eq(q->role, g->values[v].tensor ? OCT_QUANTIZER_WEIGHT
                                  : fixed             ? OCT_QUANTIZER_FIXED
                                                      : OCT_QUANTIZER_VALUES);
        ck_assert_int_eq(octi_is_searched_weight(q), g->values[v].tensor != NULL);
    }
}

/* In place: the file as the form before would have written it. */
static char *replaced(char *text, const char *what, const char *by) {
    const size_t n = strlen(what), m = strlen(by);
    ck_assert(m <= n);
    for (char *at = text; (at = strstr(at, what)); at += m) {
        memcpy(at, by, m);
        memmove(at + m, at + n, strlen(at + n) + 1);
    }
    return text;
}

START_TEST(reasons_and_roles_are_kept) {
    oct_ctx *ctx = oct_open(NULL);
    five s;
    make_root();
    oct_net *q = prepared(ctx, &s);
    tells(q, false);
    has_roles(q);
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(4, 5, 5, 1));
    for (int64_t i = 0; i < oct_tensor_count(x); i++) oct_f32(x)[i] = (float)(i % 17) - 8;
    oct_tape *t = oct_tape_new(ctx);
    oct_tape_begin(t, OCT_CALIBRATE);
    ck_assert_msg(oct_net_forward(q, oct_input(t, x)) != NULL, "%s", oct_error_message());
    ck_ok(oct_run_save(q, in_root("run"), NULL, false));
    oct_net *again = oct_run_load(ctx, in_root("run"), NULL);
    tells(again, false);
    has_roles(again);
    oct_net *i8 = oct_convert(q, NULL);
    tells(i8, false);
    ck_ok(oct_int8_save(i8, in_root("net.oct8")));
    tells(oct_int8_load(ctx, in_root("net.oct8")), false);
    /* the form before */
    uint8_t *bytes;
    size_t size;
    ck_ok(octi_file_read(ctx, in_root("run/graph.json"), 0, &bytes, &size));
    char *text = calloc(size + 1, 1);
    memcpy(text, bytes, size);
    replaced(text, "\"octet_graph\": 2", "\"octet_graph\": 1");
    replaced(text, "\"observer\": \"mse\", \"role\": \"weight\"", "\"observer\": \"weight_mse\"");
    replaced(text, ", \"role\": \"fixed\"", "");
    replaced(text, ", \"reason\": \"vectors\"", "");
    replaced(text, ", \"reason\": \"rule\"", "");
    replaced(text, ", \"reason\": \"kind\"", "");
    ck_assert(!strstr(text, "\"reason\"") && strstr(text, "weight_mse"));
    ck_ok(octi_file_save(ctx, in_root("run/graph.json"), text, strlen(text)));
    oct_net *old = oct_run_load(ctx, in_root("run"), NULL);
    tells(old, true);
    has_roles(old);
    /* a word that nobody knows */
    memcpy(text, bytes, size);
    text[size] = 0;
    replaced(text, "\"role\": \"weight\"", "\"role\": \"weighs\"");
    ck_ok(octi_file_save(ctx, in_root("run/graph.json"), text, strlen(text)));
    ck_assert(oct_run_load(ctx, in_root("run"), NULL) == NULL);
    ck_assert(strstr(oct_error_message(), "unknown role") != NULL);
    free(text);
    remove_root();
    oct_close(ctx);
}
END_TEST

/* A row of backend.def has its place in every room of quantization that does something by kind. */
START_TEST(every_int8_kind_has_its_rows) {
    int missing = 0;
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        const oct_op_kind kind = (oct_op_kind)k;
        const octi_backend_op *b = octi_backend(kind);
        if (b->grid[OCTQ_FP32] == OCTI_GRID_NONE) continue;
        if (!octi_convert_has(b->int8)) {
            printf("qat/passes/pass_convert.c has no row for %s\n", oct_op_name(b->int8));
            missing++;
        }
        const bool weighted =
            kind == OCT_OP_conv2d || kind == OCT_OP_linear || kind == OCT_OP_batch_norm;
        if (b->grid[OCTQ_FP32] == OCTI_GRID_SHARE || weighted || octi_own_has(kind)) continue;
        printf("qat/step/codes_own.c has no row for %s\n", oct_op_name(kind));
        missing++;
    }
    ck_assert_int_eq(missing, 0);
    ck_assert(octi_convert_has(OCT_OP_requantize) && octi_own_has(OCT_OP_quantize));
}
END_TEST

OCT_TEST_MAIN("reasons", reasons_and_roles_are_kept, every_int8_kind_has_its_rows)
