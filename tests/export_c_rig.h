/* SPDX-License-Identifier: MIT
 * tests/export_c_rig.h - exported C, compiled in one batch, run, and held against the plan at every
 * layer.
 *
 * OCT_TEST_CC="aarch64-linux-gnu-gcc -static" takes another compiler, OCT_TEST_FLAGS other flags,
 * OCT_TEST_RUN="qemu-aarch64-static" runs what it makes. OCT_TEST_CMSIS=1: fixed-point nets call
 * CMSIS-NN, which OCT_TEST_CC brings: "gcc -std=c99 -isystem CMSIS-NN/Include CMSIS-NN/x.o". */
#ifndef OCT_TESTS_EXPORT_C_RIG_H
#define OCT_TESTS_EXPORT_C_RIG_H

#include "octet.h"
#include "src/format/files.h"
#include "src/qround.h"
#include "tests/temp_folder.h"

#define STRICT "-Wall -Wextra -pedantic -Wconversion -Wshadow -Wstrict-prototypes -Werror"

enum { MOST_CASES = 640 };
typedef struct c_case {
    char name[64];
    char (*layer)[64]; /* what the trace holds of an image: layers, then the output */
    size_t *bytes, image;
    int layers;
} c_case;
static c_case cases[MOST_CASES];
static int case_count;

static inline void save_bytes(const char *name, const char *suffix, const uint8_t *b, size_t n) {
    FILE *f = fopen(in_root(octi_fmt("%s%s", name, suffix)), "wb");
    ck_assert(f && fwrite(b, 1, n, f) == n && !fclose(f));
}

/* Codes of every layer that the C file traces, image by image, and of the input. */
static inline void expect(const oct_net *i8, const oct_tensor *x, c_case *c) {
    const oct_graph *g = i8->graph;
    const int64_t n = x->shape.dim[0];
    uint8_t sign = 0;
    oct_plan *plan = oct_plan_new(i8, &(oct_plan_opts){.unfused = true});
    oct_session *s = oct_session_new(plan, n, NULL, 0);
    oct_shape out = oct_plan_output_shape(plan);
    out.dim[0] = n;
    oct_tensor *y = oct_tensor_new(i8->ctx, OCT_F32, out);
    ck_ok(oct_session_run(s, oct_f32(x), n, oct_f32(y)));
    c->layer = calloc((size_t)g->node_count, sizeof *c->layer);
    c->bytes = calloc((size_t)g->node_count, sizeof *c->bytes);
    const uint8_t **from = calloc((size_t)g->node_count, sizeof *from);
    for (int32_t i = 0; i < g->node_count; i++) {
        oct_tensor v;
        const bool end = g->nodes[i].kind == OCT_OP_dequantize;
        ck_ok(oct_session_value(s, g->values[end ? g->nodes[i].in[0] : g->nodes[i].out].name, &v));
        snprintf(c->layer[c->layers], 64, "%s", end ? "the output" : g->nodes[i].name);
        from[c->layers] = oct_u8(&v);
        c->image += c->bytes[c->layers++] = (size_t)(oct_tensor_count(&v) / n);
    }
    uint8_t *all = malloc(c->image * (size_t)n), *at = all;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < c->layers; k++) {
            memcpy(at, from[k] + (size_t)i * c->bytes[k], c->bytes[k]);
            at += c->bytes[k];
        }
    /* outside, codes of a fixed-point net are signed */
    for (int32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].attr.law[0] == OCTQ_Q31) sign = 0x80;
    uint8_t *in = malloc(c->bytes[0] * (size_t)n);
    for (size_t i = 0; i < c->bytes[0] * (size_t)n; i++) in[i] = from[0][i] ^ sign;
    for (size_t i = 0; i < c->image * (size_t)n; i++)
        if (i % c->image >= c->image - c->bytes[c->layers - 1]) all[i] ^= sign;
    save_bytes(c->name, ".want", all, c->image * (size_t)n);
    save_bytes(c->name, ".in", in, c->bytes[0] * (size_t)n);
    free(in);
    free(all);
    free(from);
    oct_session_free(s);
    oct_plan_free(plan);
    oct_tensor_unref(y);
}

/** Export a net into the folder and keep what its C must give for x f32 [n, ...]. false where it is
 *  refused because a layer computes in floats. */
static inline bool add_case(const oct_net *i8, const oct_tensor *x, const char *name) {
    ck_assert_int_lt(case_count, MOST_CASES);
    oct_c_sizes sizes;
    oct_status s = oct_export_c(i8, root, &(oct_export_c_opts){.name = name}, &sizes);
    if (s == OCT_EUNSUPPORTED) return false;
    ck_assert_msg(s == OCT_OK, "%s: %s", name, oct_error_message());
    c_case *c = &cases[case_count++];
    *c = (c_case){0};
    snprintf(c->name, sizeof c->name, "%s", sizes.name);
    expect(i8, x, c);
    return true;
}

static inline void forget_cases(void) {
    for (; case_count; case_count--) {
        free(cases[case_count - 1].layer);
        free(cases[case_count - 1].bytes);
    }
}

/* The program that runs them all; OCT_TEST_BEGIN is a word in front of main, for boards. */
static inline void write_main(void) {
    FILE *f = fopen(in_root("main.c"), "w");
    fprintf(f, "#include <stdio.h>\nstatic FILE *out;\nint bad;\n");
    for (int i = 0; i < case_count; i++) {
        const char *n = cases[i].name;
        fprintf(f,
                "#include \"%s.h\"\n"
                "void %s_trace(const char *layer, const uint8_t *codes, uint32_t bytes) {\n"
                "    (void)layer;\n"
                "    if (out) fwrite(codes, 1, bytes, out);\n}\n"
                "static void run_%s(void) {\n"
                "    static %s_CODE x[%s_IN_COUNT], y[%s_OUT_COUNT];\n"
                "    FILE *in = fopen(\"%s.in\", \"rb\");\n    int test;\n"
                "    out = fopen(\"%s.out\", \"wb\");\n    if (!in || !out) bad = 1;\n"
                "    else while (fread(x, 1, sizeof x, in) == sizeof x) {\n"
                "        if (%s_run(x, y, 0)) bad = 1;\n"
                "        fwrite(y, 1, sizeof y, out);\n    }\n"
                "    if (in) fclose(in);\n    if (out) fclose(out);\n    out = NULL;\n"
                "    test = %s_self_test();\n"
                "    if (test) printf(\"%s: self test %%d\\n\", test), bad = 1;\n}\n",
                n, n, n, n, n, n, n, n, n, n, n);
    }
    fprintf(f, "int main(void) {\n");
    for (int i = 0; i < case_count; i++) fprintf(f, "    run_%s();\n", cases[i].name);
    fprintf(f, "    if (!bad) printf(\"good\\n\");\n    return bad;\n}\n");
    ck_assert(!fclose(f));
}

/** A shell command in the folder; 0 when it succeeds, else its output is shown. */
static inline int in_folder(const char *command) {
    char line[4096];
    snprintf(line, sizeof line, "cd %s && (%s) >log 2>&1 || { r=$?; head -40 log >&2; exit $r; }",
             root, command);
    return system(line);
}
static inline bool has_program(const char *name) {
    return !in_folder(octi_fmt("command -v %s", name));
}

static inline void compare_case(const c_case *c, const char *how) {
    uint8_t *want, *got;
    size_t n, m;
    oct_ctx *ctx = oct_open(NULL);
    ck_ok(octi_file_read(ctx, in_root(octi_fmt("%s.want", c->name)), 0, &want, &n));
    ck_ok(octi_file_read(ctx, in_root(octi_fmt("%s.out", c->name)), 0, &got, &m));
    ck_assert_msg(n == m, "%s, %s: %zu codes, expected %zu", c->name, how, m, n);
    for (size_t i = 0; memcmp(want, got, n) && i < n; i++) {
        if (want[i] == got[i]) continue;
        size_t at = i % c->image;
        int k = 0;
        while (at >= c->bytes[k]) at -= c->bytes[k++];
        ck_abort_msg("%s, %s: image %zu, %s[%zu]: expected %d, got %d", c->name, how, i / c->image,
                     c->layer[k], at, want[i], got[i]);
    }
    oct_close(ctx);
}

/** Compile all cases with main.c, run, compare; language flags such as "-std=c99". */
static inline void check_cases(const char *cc, const char *flags) {
    const char *other = getenv("OCT_TEST_CC"), *more = getenv("OCT_TEST_FLAGS"),
               *run = getenv("OCT_TEST_RUN");
    char how[1200], line[2400];
    snprintf(how, sizeof how, "%s %s", other ? other : cc, more ? more : flags);
    write_main();
    FILE *f = fopen(in_root("trace.h"), "w");
    for (int i = 0; i < case_count; i++) {
        fprintf(f, "#define %s_TRACE 1\n", cases[i].name);
        if (getenv("OCT_TEST_CMSIS")) fprintf(f, "#define %s_USE_CMSIS_NN 1\n", cases[i].name);
    }
    ck_assert(!fclose(f));
    snprintf(line, sizeof line,
             "rm -f *.out && %s %s -include trace.h main.c $(ls *.c | grep -v main.c) -o prog && "
             "%s ./prog && grep -qx good log",
             how, STRICT, run ? run : "");
    ck_assert_msg(!in_folder(line), "%s", how);
    for (int i = 0; i < case_count; i++) compare_case(&cases[i], how);
}

#endif
