/* SPDX-License-Identifier: MIT
 * What exported C says and how it can be built: names of any bytes, switches, sizes, refusals, the
 * self test, pixels. */
#include "tests/export_c_rig.h"
#include "tests/int8_nets.h"

#include "qat/io/c_writer.h"
#include "src/rng.h"

static oct_ctx *ctx;
static void setup(void) {
    ctx = oct_open(NULL);
    fresh_root();
}
static void teardown(void) {
    forget_cases();
    remove_root();
    oct_close(ctx);
}

static char *text_of(const char *name) {
    uint8_t *bytes;
    size_t size;
    ck_ok(octi_file_read(ctx, in_root(name), 0, &bytes, &size));
    return (char *)bytes;
}

static void write_text(const char *name, const char *text) {
    save_bytes(name, "", (const uint8_t *)text, strlen(text));
}

static oct_c_sizes export_as(const oct_net *net, const char *name) {
    oct_c_sizes sizes;
    ck_ok(oct_export_c(net, root, &(oct_export_c_opts){.name = name}, &sizes));
    return sizes;
}

/* Every kind of G3 but those that compute in floats has a printer. */
START_TEST(every_int8_kind_is_printed) {
    for (int k = 0; k < OCT_OP_KIND_COUNT; k++) {
        const unsigned flags = oct_op_flags((oct_op_kind)k);
        const bool dynamic = k == OCT_OP_dynamic_linear || k == OCT_OP_dynamic_lstm ||
                             k == OCT_OP_dynamic_lstm_cell,
                   codes = (flags & (OCT_OPF_Q | OCT_OPF_G)) && !dynamic;
        ck_assert_msg(octi_c_has((oct_op_kind)k) == codes, "%s: %s", oct_op_name((oct_op_kind)k),
                      codes ? "no row in qat/io/c_kinds.c" : "has no codes to print");
    }
}
END_TEST

START_TEST(float_layers_are_refused_in_one_list) {
    test_net t = test_net_new(ctx, 3, 4, 4, 2);
    int32_t x = test_quantize(&t, t.net->graph->input, 0.02f, 100);
    for (int i = 0; i < 2; i++) { /* codes, floats, codes */
        const oct_attrs a = {.value = 0};
        x = test_node(&t, OCT_OP_dequantize, &a, &x, 1, test_shape(&t, x), 0, 0);
        x = test_node(&t, i ? OCT_OP_sigmoid : OCT_OP_tanh, &a, &x, 1, test_shape(&t, x), 0, 0);
        x = test_quantize(&t, x, 0.02f, 100);
    }
    test_end(&t, x);
    ck_fails(OCT_EUNSUPPORTED, "(tanh)", oct_export_c(t.net, root, NULL, NULL));
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "(sigmoid)"));
    ck_assert_int_ne(access(in_root("custom.c"), F_OK), 0);
    /* softmax has no form in fixed point: such a file has two laws */
    t = test_net_new(ctx, 3, 4, 4, 2);
    t.law = OCTQ_Q31;
    x = test_conv(&t, test_quantize(&t, t.net->graph->input, 0.02f, 100), 3, 1, 1, 1, 0, 1, 1);
    test_end(&t, test_softmax(&t, x));
    ck_fails(OCT_EUNSUPPORTED, "rounds by another law", oct_export_c(t.net, root, NULL, NULL));
}
END_TEST

/* What a name may do to C: end a comment, a string, a line; hide in a trigraph; be a format. */
static const char hostile[] = "*/ int x; /* \" \\ ?\?/ ?\?) @ %s%n \n #error \xc3\xa9 \x01 9";

START_TEST(names_of_any_bytes_make_harmless_c) {
    test_net t = test_net_new(ctx, 3, 4, 4, 2);
    int32_t x = test_quantize(&t, t.net->graph->input, 0.02f, 100);
    x = test_conv(&t, x, 3, 3, 3, 1, 1, 1, 1);
    oct_node *n = &t.net->graph->nodes[1];
    n->name = t.net->graph->values[n->out].name = hostile;
    test_end(&t, test_linear(&t, test_flatten(&t, x), 2));
    const oct_class classes[] = {{"0", hostile}, {"1", "b"}};
    ck_ok(oct_net_set_classes(t.net, classes, 2));
    t.net->model = hostile;
    t.net->qconfig = hostile;
    oct_c_sizes s = export_as(t.net, "9/../ b\xc3\xa9*");
    ck_assert_str_eq(s.name, "_9_____b___");
    write_text("main.c", "#include <stdio.h>\n#include <string.h>\n#include \"_9_____b___.h\"\n"
                         "static int good;\n"
                         "void _9_____b____trace(const char *l, const uint8_t *c, uint32_t n) {\n"
                         "    (void)c; (void)n;\n"
                         "    if (!strcmp(l, _9_____b____class_names[0])) good = 1; }\n"
                         "int main(void) { int bad = _9_____b____self_test(); \n"
                         "    fputs(_9_____b____class_names[0], stdout); return bad || !good; }\n");
    ck_assert_int_eq(
        in_folder("gcc -std=c99 -trigraphs " STRICT " -D_9_____b____TRACE *.c -o p && ./p >said"),
        0);
    ck_assert_str_eq(text_of("said"), hostile);
    ck_fails(OCT_EUSAGE, "name of the C files",
             oct_export_c(t.net, root, &(oct_export_c_opts){.name = ""}, NULL));
}
END_TEST

START_TEST(the_same_net_gives_the_same_bytes) {
    oct_net *net = test_small_net(ctx);
    export_as(net, "a");
    char *c = text_of("a.c"), *h = text_of("a.h");
    export_as(net, "a");
    ck_assert_str_eq(c, text_of("a.c"));
    ck_assert_str_eq(h, text_of("a.h"));
}
END_TEST

/* Sections, C++, no arena, no self test, and two models in one program, in one source even. */
START_TEST(switches_build) {
    oct_net *net = test_small_net(ctx);
    export_as(net, "a");
    export_as(test_random_net(ctx, 4), "b");
    write_text("main.c", "#include \"a.h\"\n#include \"b.h\"\n"
                         "int main(void) { return a_self_test() + b_self_test(); }\n");
    ck_assert_int_eq(in_folder("gcc -std=c99 " STRICT " -O1 -fPIC -c -o a.o a.c "
                               "'-Da_CONST=__attribute__((section(\"model\")))' && "
                               "gcc -std=c99 " STRICT " main.c a.o b.c -o p && ./p && "
                               "objdump -h a.o | grep -q ' model '"),
                     0);
    ck_assert_int_eq(
        in_folder("g++ -x c++ -std=c++98 -Wall -Wextra -pedantic -Wconversion -Wshadow "
                  "-Werror main.c a.c b.c -o p && ./p"),
        0);
    write_text("one.c", "#include \"a.c\"\n#include \"b.c\"\n#include \"main.c\"\n");
    ck_assert_int_eq(in_folder("gcc -std=c99 " STRICT " one.c -o p && ./p"), 0);
    write_text("own.c", "#include \"a.h\"\nint main(void) { static uint8_t m[a_ARENA_BYTES], x["
                        "a_IN_COUNT], y[a_OUT_COUNT];\n"
                        "    return !a_run(x, y, 0) || a_run(x, y, m) || a_self_test_in(m); }\n");
    ck_assert_int_eq(in_folder("gcc -std=c99 " STRICT " -Da_NO_ARENA own.c a.c -o p && ./p && "
                               "gcc -std=c99 -Da_NO_ARENA -c a.c && ! nm a.o | grep -i ' b '"),
                     0);
    ck_assert_int_eq(in_folder("gcc -std=c99 " STRICT " -Da_NO_SELF_TEST -c a.c && "
                               "! nm a.o | grep self_test && nm -u a.o | grep . && exit 1; true"),
                     0);
}
END_TEST

/* A compiler that is told to reorder floats is refused, not trusted. */
START_TEST(arithmetic_that_cannot_be_kept_is_an_error) {
    export_as(test_small_net(ctx), "a");
    ck_assert_int_eq(in_folder("for f in -ffast-math -Ofast -funsafe-math-optimizations; do "
                               "gcc -std=c99 $f -c a.c 2>&1 | grep -q 'without -ffast-math' || "
                               "exit 1; done"),
                     0);
#ifdef __x86_64__
    ck_assert_int_eq(in_folder("gcc -std=c99 -m32 -mfpmath=387 -ffreestanding -fsyntax-only a.c "
                               "2>&1 | grep -q 'wider format'"),
                     0);
    /* gcc fuses products with sums wherever it may, as it does by default on AArch64 */
    ck_assert_int_eq(in_folder("gcc -std=gnu99 -O3 -mfma -c a.c && ! objdump -d a.o | grep vfm"),
                     0);
#endif
}
END_TEST

/* One code of a weight, one multiplier, one entry of the pixels' table: found. */
START_TEST(the_self_test_finds_a_changed_constant) {
    export_as(test_small_net(ctx), "a");
    static const char *const edits[] = {"/_w8\\[/,/}/s/ 8, 38/ 9, 38/",
                                        "/_pixels\\[/,/}/s/ 3, 4/ 3, 5/",
                                        "/_b1\\[/,/}/s/-6891/-6991/"};
    write_text("main.c", "#include \"a.h\"\nint main(void) { return a_self_test(); }\n");
    for (int i = 0; i < 3; i++) {
        if (i)
            ck_assert_int_eq(in_folder(octi_fmt("cp a.c b.x && sed '%s' a.c >b.x", edits[i])), 0);
        const char *change = i ? "! cmp -s a.c b.x && " : "cp a.c b.x && ";
        ck_assert_int_eq(in_folder(octi_fmt("%scp b.x b.c && gcc -std=c99 main.c b.c -o p && %s./p",
                                            change, i ? "! " : "")),
                         0);
    }
}
END_TEST

/* The codes that the file wants of the output are the plan's, of the inputs that it makes: here
 * made once more. A file that wants another code is told by its self test. */
START_TEST(golden_codes_are_the_plans) {
    enum { VECTORS = 4 };
    oct_net *net = test_small_net(ctx);
    export_as(net, "a");
    const char *at = strstr(text_of("a.c"), "a_golden[] = {");
    ck_assert_ptr_nonnull(at);
    at = strchr(at, '{') + 1;
    oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = true});
    oct_session *s = oct_session_new(plan, VECTORS, NULL, 0);
    const oct_value *in = &net->graph->values[net->graph->nodes[0].out];
    const oct_quantizer *q = &net->graph->quantizers[in->quantizer];
    const int64_t count = 7 * 6 * 3;
    float x[VECTORS * 7 * 6 * 3], y[VECTORS * 9], *to = x;
    for (uint32_t v = 0; v < VECTORS; v++)
        for (uint32_t i = 0, r = v + 1; i < count; i++) {
            r ^= r << 13, r ^= r >> 17, r ^= r << 5;
            const int32_t code = v == 2 ? 0 : v == 3 ? 255 : (int32_t)((r >> 8) % 256);
            *to++ = octq_dequantize(code, *oct_f32(q->scale), *oct_s32(q->zero_point));
        }
    ck_ok(oct_session_run(s, x, VECTORS, y));
    oct_tensor codes;
    const oct_node *end = &net->graph->nodes[net->graph->node_count - 1];
    ck_ok(oct_session_value(s, net->graph->values[end->in[0]].name, &codes));
    int different = 0;
    for (int64_t i = 0; i < oct_tensor_count(&codes); i++) {
        char *next;
        ck_assert_int_eq(strtol(at, &next, 10), oct_u8(&codes)[i]);
        different += oct_u8(&codes)[i] != oct_u8(&codes)[0];
        at = next + 1;
    }
    ck_assert_msg(different > 4 && strspn(at - 1, "};"), "%d: %.20s", different, at - 1);
    write_text("main.c", "#include \"a.h\"\nint main(void) { return a_self_test(); }\n");
    ck_assert_int_eq(
        in_folder("awk '/_golden\\[\\] = /{n=NR} n && NR==n+3{sub(/[0-9]+/,\"77\")} 1' a.c "
                  ">b.x && ! cmp -s a.c b.x && mv b.x b.c && gcc -std=c99 main.c b.c -o p && "
                  "{ ./p; [ $? = 3 ]; }"),
        0);
    oct_session_free(s);
    oct_plan_free(plan);
}
END_TEST

/* Pixels as sessions take them, and the class that they find. */
START_TEST(pixels_go_through_the_stored_table) {
    oct_net *net = test_small_net(ctx);
    enum { N = 50, PIXELS = 7 * 6 * 3 };
    uint8_t pixels[N * PIXELS];
    int32_t index[N];
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 7, 0);
    for (int i = 0; i < N * PIXELS; i++) pixels[i] = (uint8_t)octi_rng_below(&r, 256);
    oct_plan *plan = oct_plan_new(net, NULL);
    oct_session *s = oct_session_new(plan, N, NULL, 0);
    ck_ok(oct_session_classify_u8(s, pixels, N, index));
    export_as(net, "a");
    save_bytes("pixels", "", pixels, sizeof pixels);
    write_text("main.c", "#include <stdio.h>\n#include \"a.h\"\nint main(void) {\n"
                         "    static uint8_t x[a_IN_COUNT], y[a_OUT_COUNT];\n"
                         "    while (fread(x, 1, sizeof x, stdin) == sizeof x) {\n"
                         "        if (a_run_u8(x, y, 0)) return 1;\n"
                         "        printf(\"%d \", a_argmax(y));\n    }\n    return 0;\n}\n");
    ck_assert_int_eq(in_folder("gcc -std=c99 " STRICT " main.c a.c -o p && ./p <pixels >said"), 0);
    char want[N * 12] = "";
    for (int i = 0; i < N; i++) sprintf(want + strlen(want), "%d ", (int)index[i]);
    ck_assert_str_eq(text_of("said"), want);
    oct_session_free(s);
    oct_plan_free(plan);
}
END_TEST

/* What the header says of flash is what a compiler makes of the tables. */
START_TEST(flash_is_what_the_tables_take) {
    for (int k = 0; k < 3; k++) {
        oct_net *net = k ? test_random_net(ctx, (uint32_t)k + 2) : test_small_net(ctx);
        oct_c_sizes s = export_as(net, "a");
        ck_assert_int_eq(in_folder("gcc -std=c99 -fno-pic -c a.c && nm -S a.o >said"), 0);
        int64_t bytes = 0;
        for (char *line = strtok(text_of("said"), "\n"); line; line = strtok(NULL, "\n")) {
            char kind, name[80];
            unsigned long long size;
            if (sscanf(line, "%*s %llx %c %79s", &size, &kind, name) != 3 || kind != 'r') continue;
            if (strcmp(name, "a_expected") && strcmp(name, "a_golden")) bytes += (int64_t)size;
        }
        for (int32_t i = 0; i < net->class_count; i++)
            bytes += 4 + (int64_t)strlen(octi_c_class(net, i)) + 1;
        ck_assert_int_eq(bytes, s.flash_bytes);
    }
}
END_TEST

static int refuse(void *user, const oct_c_sizes *sizes) {
    *(oct_c_sizes *)user = *sizes;
    return 1;
}

/* Sizes come before the files; a caller may stop there. */
START_TEST(sizes_are_told_before_anything_is_written) {
    oct_net *net = test_small_net(ctx);
    oct_c_sizes told, found;
    ck_fails(OCT_ESTOPPED, "stopped",
             oct_export_c(net, root,
                          &(oct_export_c_opts){.name = "a", .sizes = refuse, .user = &told},
                          &found));
    ck_assert_int_ne(access(in_root("a.c"), F_OK), 0);
    ck_assert_mem_eq(&told, &found, sizeof told);
    ck_assert_int_eq(told.macs, 42 * 5 * 27 + 42 * 4 * 3 + 42 * 9 * 9 + 324);
    ck_assert_int_gt(told.flash_bytes, 768 + 135 + 12 + 81 + 324);
    ck_fails(OCT_EIO, "nowhere",
             oct_export_c(net, in_root("nowhere"), &(oct_export_c_opts){.name = "a"}, NULL));
}
END_TEST

OCT_TEST_MAIN_WITH("export_c_text", setup, teardown, every_int8_kind_is_printed,
                   float_layers_are_refused_in_one_list, names_of_any_bytes_make_harmless_c,
                   the_same_net_gives_the_same_bytes, switches_build,
                   arithmetic_that_cannot_be_kept_is_an_error,
                   the_self_test_finds_a_changed_constant, golden_codes_are_the_plans,
                   pixels_go_through_the_stored_table, flash_is_what_the_tables_take,
                   sizes_are_told_before_anything_is_written)
