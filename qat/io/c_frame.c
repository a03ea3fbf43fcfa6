/* SPDX-License-Identifier: MIT
 * The header and the source around the layers: macros, entry points, self test. */
#include <string.h>

#include "qat/io/c_writer.h"
#include "src/api.h"

static const octi_qdesc *codes_in(const octi_c_writer *w) {
    return w->plan->steps[w->first].u.q.args->out;
}
static const octi_qdesc *codes_out(const octi_c_writer *w) {
    return &w->plan->steps[w->last].u.q.args->in[0];
}
/* Outside, codes of fixed-point targets are signed: the byte less 128. */
static int less(const octi_c_writer *w) { return w->q31 ? 128 : 0; }
static bool has_pixels(const octi_c_writer *w) { return w->plan->table != NULL; }

static void put_recipe(const octi_c_writer *w, octi_text *t) {
    const oct_net *n = w->net;
    octi_c_put(w, t, " * Model: %s. Target: %s. Scheme: %s activations, int8 weights, %s.\n",
               octi_c_comment(n->model ? n->model : ""), octi_c_comment(n->target ? n->target : ""),
               w->q31 ? "int8" : "uint8",
               w->q31 ? "multipliers in fixed point" : "multipliers in fp32");
    /* JSON without its marks, in lines */
    const char *recipe = n->qconfig ? n->qconfig : "";
    for (size_t at = 0, size = strlen(recipe); at < size; at += 88)
        octi_c_put(w, t, " * %s%s\n",
                   at ? "        " : "Recipe: ", octi_c_comment(octi_fmt("%.88s", recipe + at)));
}

/* ---- NAME.h ---- */

static const char usage[] =
    " *\n"
    " *     static @_CODE out[@_OUT_COUNT];\n"
    " *     if (@_self_test() == 0 && @_run(in, out, 0) == 0) best = @_argmax(out);\n"
    " *\n"
    " * Compile @.c with any C99 or C++ compiler, without -ffast-math. It includes <stdint.h>\n"
    " * and <float.h> alone, and calls no library.\n"
    " * Switches, the same for every file that includes this one:\n"
    " *   -D@_CONST=...       in front of every table, such as a section attribute\n"
    " *   -D@_NO_ARENA        no memory of its own: pass an arena to each call\n"
    " *   -D@_NO_SELF_TEST    without the self test\n"
    " *   -D@_TRACE           calls your @_trace after each layer\n";

static const char usage_cmsis[] =
    " *   -D@_USE_CMSIS_NN    convolutions, linear layers, sums, pools by CMSIS-NN\n";

static const char calls[] =
    "\n"
    "/* The net on codes: in[@_IN_COUNT] and out[@_OUT_COUNT], height, width, channels; a code q\n"
    " * stands for SCALE * (q - ZERO_POINT). They must not overlap. arena: @_ARENA_BYTES bytes "
    "that\n"
    " * are yours again afterwards, or null for the file's own, which one call at a time may use.\n"
    " * 0, or 1 where there is no memory. */\n"
    "int @_run(const @_CODE *in, @_CODE *out, void *arena);\n";

static const char calls_u8[] = "/* The same on pixels [@_IN_COUNT], as the images were that the "
                               "net was trained on: 0 to 255,\n"
                               " * before any division. */\n"
                               "int @_run_u8(const uint8_t *pixels, @_CODE *out, void *arena);\n";

static const char calls_more[] =
    "/* Index of the largest of @_OUT_C codes, the lowest among equals. */\n"
    "int @_argmax(const @_CODE *out);\n"
    "#ifndef @_NO_SELF_TEST\n"
    "/* Runs made inputs and holds the codes of all layers against what octet computed: 0 when "
    "good,\n"
    " * else the number of the first that differs. It takes %d runs. */\n"
    "int @_self_test_in(void *arena);\n"
    "#ifndef @_NO_ARENA\n"
    "int @_self_test(void);\n"
    "#endif\n"
    "#endif\n"
    "#ifdef @_TRACE\n"
    "/* Yours: called with the name of each layer and the codes that it made, 0 to 255. */\n"
    "void @_trace(const char *layer, const uint8_t *codes, uint32_t bytes);\n"
    "#endif\n";

static const char arena_cmsis[] =
    "#ifdef @_USE_CMSIS_NN /* its functions want memory of their own; arenas begin at a word */\n"
    "#define @_SCRATCH_BYTES %lld\n"
    "#define @_ARENA_BYTES (%lld + @_SCRATCH_BYTES)\n"
    "#else\n";

static void put_side(const octi_c_writer *w, octi_text *t, const char *side, const oct_shape *s,
                     const octi_qdesc *d) {
    const int r = s->rank;
    octi_c_put(w, t, "#define @_%s_H %lld\n", side, r > 3 ? (long long)s->dim[r - 3] : 1LL);
    octi_c_put(w, t, "#define @_%s_W %lld\n", side, r > 2 ? (long long)s->dim[r - 2] : 1LL);
    octi_c_put(w, t, "#define @_%s_C %lld\n", side, (long long)s->dim[r - 1]);
    octi_c_put(w, t, "#define @_%s_COUNT %lld\n", side, (long long)octi_image_count(s));
    octi_c_put(w, t, "#define @_%s_SCALE %s\n", side, octi_c_float(d->scale));
    octi_c_put(w, t, "#define @_%s_ZERO_POINT %d\n", side, d->zero_point - less(w));
    octi_c_put(w, t, "#define @_%s_LOWEST %d\n", side, d->qmin - less(w));
    octi_c_put(w, t, "#define @_%s_HIGHEST %d\n", side, d->qmax - less(w));
    octi_c_put(w, t, "#define @_%s_RANK %d\n", side, r);
}

oct_status octi_c_put_header(const octi_c_writer *w, const oct_c_sizes *sizes, octi_text *t) {
    const octi_qdesc *x = codes_in(w), *y = codes_out(w);
    octi_c_put(w, t, "/* @.h - made by octet %s: an int8 net in C.\n", oct_version());
    put_recipe(w, t);
    octi_c_put_text(w, t, usage);
    if (w->scratch) octi_c_put_text(w, t, usage_cmsis);
    octi_c_put(w, t, " */\n#ifndef @_INCLUDED\n#define @_INCLUDED\n\n#include <stdint.h>\n\n");
    octi_c_put(w, t, "#define @_CODE %s /* type of codes */\n", w->q31 ? "int8_t" : "uint8_t");
    put_side(w, t, "IN", &x->shape, x);
    put_side(w, t, "OUT", &y->shape, y);
    octi_c_put(w, t, "#define @_CLASSES %d\n", (int)w->net->class_count);
    if (w->scratch)
        octi_c_put(w, t, arena_cmsis, (long long)w->scratch, (long long)sizes->arena_bytes);
    octi_c_put(w, t, "#define @_ARENA_BYTES %lld /* RAM of a run */\n%s",
               (long long)sizes->arena_bytes, w->scratch ? "#endif\n" : "");
    octi_c_put(w, t, "#define @_FLASH_BYTES %lld /* constants, without code and self test */\n",
               (long long)sizes->flash_bytes);
    octi_c_put(w, t, "#define @_MACS %lld\n", (long long)sizes->macs);
    octi_c_put(w, t, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    octi_c_put_text(w, t, calls);
    if (has_pixels(w)) octi_c_put_text(w, t, calls_u8);
    octi_c_put(w, t, calls_more, OCTI_C_VECTORS);
    if (w->net->class_count)
        octi_c_put(w, t, "extern const char *const @_class_names[@_CLASSES];\n");
    octi_c_put(w, t, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    return t->status;
}

/* ---- NAME.c ---- */

static const char guards[] =
    "#include \"@.h\"\n"
    "\n"
    "#include <float.h>\n"
    "\n"
    "#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)\n"
    "#error \"@.c: its codes hang on IEEE arithmetic: compile it without -ffast-math\"\n"
    "#endif\n"
    "/* 16 widens half precision alone */\n"
    "#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16\n"
    "#error \"@.c: floats are computed in a wider format: on x86 compile it with -msse2 "
    "-mfpmath=sse\"\n"
    "#endif\n"
    "#if FLT_RADIX != 2 || FLT_MANT_DIG != 24\n"
    "#error \"@.c: float is not IEEE single precision\"\n"
    "#endif\n"
    "#if defined(__clang__) || !defined(__GNUC__)\n"
    "#pragma STDC FP_CONTRACT OFF\n"
    "#endif\n"
    "\n"
    "#ifndef @_CONST\n"
    "#define @_CONST\n"
    "#endif\n";

static const char layer_macro[] =
    "\n"
    "/* ---- the net ---- */\n"
    "\n"
    "#ifndef @_NO_SELF_TEST\n"
    "static uint32_t @_sum(uint32_t sum, const uint8_t *codes, int32_t bytes) {\n"
    "    int32_t i;\n"
    "    for (i = 0; i < bytes; i++) sum = (uint32_t)((sum ^ codes[i]) * 16777619u);\n"
    "    return sum;\n"
    "}\n"
    "#define @_SUM(codes, bytes) \\\n"
    "    do { \\\n"
    "        if (sum) *sum = @_sum(*sum, codes, bytes); \\\n"
    "    } while (0)\n"
    "#else\n"
    "#define @_SUM(codes, bytes) ((void)sum)\n"
    "#endif\n"
    "#ifdef @_TRACE\n"
    "#define @_LAYER(name, codes, bytes) \\\n"
    "    do { \\\n"
    "        @_trace(name, codes, bytes); \\\n"
    "        @_SUM(codes, bytes); \\\n"
    "    } while (0)\n"
    "#else\n"
    "#define @_LAYER(name, codes, bytes) @_SUM(codes, bytes)\n"
    "#endif\n"
    "\n";

static const char memory[] = "\n"
                             "#ifndef @_NO_ARENA\n"
                             "static int32_t @_arena[(@_ARENA_BYTES + 3) / 4];\n"
                             "#endif\n"
                             "\n"
                             "static uint8_t *@_memory(void *arena) {\n"
                             "#ifndef @_NO_ARENA\n"
                             "    if (!arena) return (uint8_t *)@_arena;\n"
                             "#endif\n"
                             "    return (uint8_t *)arena;\n"
                             "}\n"
                             "\n";

static const char run[] = "int @_run(const uint8_t *in, uint8_t *out, void *arena) {\n"
                          "    uint8_t *memory = @_memory(arena);\n"
                          "    if (!memory) return 1;\n"
                          "    @_layers(in, out, memory, 0);\n"
                          "    return 0;\n"
                          "}\n";

static const char run_signed[] =
    "/* Layers count codes from 0. */\n"
    "static void @_sign(@_CODE *out) {\n"
    "    int32_t i;\n"
    "    for (i = 0; i < @_OUT_COUNT; i++) out[i] = (int8_t)((uint8_t)out[i] - 128);\n"
    "}\n"
    "\n"
    "int @_run(const int8_t *in, int8_t *out, void *arena) {\n"
    "    uint8_t *memory = @_memory(arena), *x;\n"
    "    int32_t i;\n"
    "    if (!memory) return 1;\n"
    "    x = memory + %zu;\n"
    "    for (i = 0; i < @_IN_COUNT; i++) x[i] = (uint8_t)(in[i] + 128);\n"
    "    @_layers(x, (uint8_t *)out, memory, 0);\n"
    "    @_sign(out);\n"
    "    return 0;\n"
    "}\n";

static const char run_u8[] =
    "\n"
    "int @_run_u8(const uint8_t *pixels, @_CODE *out, void *arena) {\n"
    "    uint8_t *memory = @_memory(arena), *x;\n"
    "    int32_t i, c;\n"
    "    if (!memory) return 1;\n"
    "    x = memory + %zu;\n"
    "    for (i = 0; i < @_IN_COUNT; i += @_IN_C)\n"
    "        for (c = 0; c < @_IN_C; c++) x[i + c] = @_pixels[c * 256 + pixels[i + c]];\n"
    "    @_layers(x, (uint8_t *)out, memory, 0);\n"
    "%s"
    "    return 0;\n"
    "}\n";

static const char argmax[] = "\n"
                             "int @_argmax(const @_CODE *out) {\n"
                             "    int i, best = 0;\n"
                             "    for (i = 1; i < @_OUT_C; i++)\n"
                             "        if (out[i] > out[best]) best = i;\n"
                             "    return best;\n"
                             "}\n";

static const char self_test[] = "\n"
                                "#ifndef @_NO_SELF_TEST\n"
                                "/* Sums over the codes of all layers, by octet: noise, noise, "
                                "lowest, highest. */\n"
                                "static const uint32_t @_expected[] = {%luu, %luu, %luu, %luu};\n";

static const char self_test_in[] = "\n"
                                   "int @_self_test_in(void *arena) {\n"
                                   "    uint8_t *memory = @_memory(arena), *in, *out;\n"
                                   "    int32_t v, i;\n"
                                   "    if (!memory) return 1;\n"
                                   "    in = memory + %zu;\n"
                                   "    out = memory + %zu;\n"
                                   "    for (v = 0; v < %d; v++) {\n"
                                   "        uint32_t sum = 2166136261u, r = (uint32_t)v + 1u;\n"
                                   "        for (i = 0; i < @_IN_COUNT; i++) {\n"
                                   "            int32_t q;\n"
                                   "            r ^= (uint32_t)(r << 13);\n"
                                   "            r ^= r >> 17;\n"
                                   "            r ^= (uint32_t)(r << 5);\n"
                                   "            q = %d + (int32_t)((r >> 8) %% %uu);\n"
                                   "            in[i] = (uint8_t)(v == 2 ? %d : v == 3 ? %d : q);\n"
                                   "        }\n"
                                   "        @_layers(in, out, memory, &sum);\n";

/* The output's codes as they are count from 0, as layers do. */
static const char self_test_out[] =
    "        for (i = 0; i < @_OUT_COUNT; i++)\n"
    "            if (out[i] != @_golden[v * @_OUT_COUNT + i]) return (int)v + 1;\n";

static const char self_test_sum[] = "        if (sum != @_expected[v]) return (int)v + 1;\n"
                                    "    }\n";

static const char self_test_pixels[] =
    "    if (@_sum(2166136261u, @_pixels, 256 * @_IN_C) != %luu) return %d;\n";

static const char self_test_end[] = "    return 0;\n"
                                    "}\n"
                                    "#ifndef @_NO_ARENA\n"
                                    "int @_self_test(void) { return @_self_test_in(0); }\n"
                                    "#endif\n"
                                    "#endif\n"
                                    "\n"
                                    "#undef @_LAYER\n"
                                    "#undef @_SUM\n";

static void put_classes(const octi_c_writer *w, octi_text *t) {
    if (!w->net->class_count) return;
    octi_c_put(w, t, "\nconst char *const @_class_names[@_CLASSES] = {\n");
    for (int32_t i = 0; i < w->net->class_count; i++) {
        octi_c_put(w, t, "    ");
        octi_c_put_string(t, octi_c_class(w->net, i));
        octi_c_put(w, t, ",\n");
    }
    octi_c_put(w, t, "};\n");
}

static void put_golden(const octi_c_writer *w, octi_text *t, const uint8_t *codes) {
    const int64_t each = octi_image_count(&codes_out(w)->shape);
    octi_c_put(w, t,
               "/* The codes of the output, counted from 0. */\n"
               "static const uint8_t @_golden[] = {");
    for (int64_t i = 0; i < OCTI_C_VECTORS * each; i++)
        octi_text_printf(t, "%s%d%s", i % each ? i % 20 ? " " : "\n    " : "\n    ", codes[i],
                         i + 1 < OCTI_C_VECTORS * each ? "," : "");
    octi_c_put(w, t, "};\n");
}

static void put_self_test(const octi_c_writer *w, octi_text *t, const octi_c_vectors *golden) {
    const octi_qdesc *x = codes_in(w);
    const octi_plan_value *v = w->plan->values;
    const int32_t end = w->plan->steps[w->last].in[0];
    octi_c_put(w, t, self_test, (unsigned long)golden->sum[0], (unsigned long)golden->sum[1],
               (unsigned long)golden->sum[2], (unsigned long)golden->sum[3]);
    if (golden->out) put_golden(w, t, golden->out);
    octi_c_put(w, t, self_test_in, v[w->plan->steps[w->first].out].offset, v[end].offset,
               OCTI_C_VECTORS, x->qmin, (unsigned)(x->qmax - x->qmin + 1), x->qmin, x->qmax);
    if (golden->out) octi_c_put_text(w, t, self_test_out);
    octi_c_put_text(w, t, self_test_sum);
    if (has_pixels(w))
        octi_c_put(w, t, self_test_pixels, (unsigned long)golden->pixels, OCTI_C_VECTORS + 1);
    octi_c_put_text(w, t, self_test_end);
}

static void put_runs(const octi_c_writer *w, octi_text *t) {
    const size_t in = w->plan->values[w->plan->steps[w->first].out].offset;
    octi_c_put_text(w, t, memory);
    if (w->q31)
        octi_c_put(w, t, run_signed, in);
    else
        octi_c_put_text(w, t, run);
    if (has_pixels(w))
        octi_c_put(w, t, run_u8, in, w->q31 ? octi_fmt("    %s_sign(out);\n", w->id) : "");
}

oct_status octi_c_put_source(const octi_c_writer *w, const oct_c_sizes *sizes, octi_text *t) {
    uint8_t out[OCTI_C_VECTORS * OCTI_C_MOST_OUT];
    const bool few = octi_image_count(&codes_out(w)->shape) <= OCTI_C_MOST_OUT;
    octi_c_vectors golden = {.out = few ? out : NULL};
    OCT_TRY(octi_c_golden(w, &golden));
    octi_c_put(w, t, "/* @.c - made by octet %s: an int8 net in C; @.h says how to use it.\n",
               oct_version());
    put_recipe(w, t);
    octi_c_put(w, t, " * Constants: %lld bytes. RAM of a run: %lld bytes. %lld MACs. */\n",
               (long long)sizes->flash_bytes, (long long)sizes->arena_bytes,
               (long long)sizes->macs);
    octi_c_put_text(w, t, guards);
    octi_c_put(w, t, "\n/* ---- arithmetic ---- */\n");
    octi_c_put_pieces(w, t);
    octi_c_put(w, t, "\n/* ---- constants ---- */\n");
    octi_text_bytes(t, w->tables.data, w->tables.size);
    put_classes(w, t);
    octi_c_put_text(w, t, layer_macro);
    octi_c_put(w, t,
               "static void @_layers(const uint8_t *x, uint8_t *y, uint8_t *arena, "
               "uint32_t *sum) {\n    (void)arena;\n    (void)sum;\n");
    if (w->scratch)
        octi_c_put(w, t,
                   "#ifdef @_USE_CMSIS_NN\n"
                   "    @_scratch = (int32_t *)(void *)(arena + %lld);\n"
                   "    (void)@_requant; /* where nobody is left who calls it */\n"
                   "%s"
                   "#endif\n",
                   (long long)sizes->arena_bytes,
                   w->need[OCTI_C_MEAN_INSIDE] ? octi_fmt("    (void)%s_mean_pool;\n", w->id) : "");
    octi_text_bytes(t, w->body.data, w->body.size);
    octi_c_put(w, t, "}\n");
    put_runs(w, t);
    octi_c_put_text(w, t, argmax);
    put_self_test(w, t, &golden);
    return t->status;
}
