/* SPDX-License-Identifier: MIT
 * AMX: who gets it (features, cap, wish, the system's permission), which layers then take it, and
 * whole nets on its kernel with the instructions in C. The machine is a pretended one. */
#include "ops/qconv.h"
#include "qat/infer/infer.h"
#include "src/cpu.h"
#include "src/mem.h"
#include "tests/int8_nets.h"
#include "tests/oct_test.h"

static int asked;
static const char *grants(void) { return asked++, NULL; }
static const char *refuses(void) { return asked++, "not today"; }

enum {
    SAPPHIRE_RAPIDS = OCTI_CPU_AVX2 | OCTI_CPU_FMA | OCTI_CPU_AVXVNNI | OCTI_CPU_AVX512 |
                      OCTI_CPU_AVX512VNNI | OCTI_CPU_AMX
};

static oct_ctx *open_at(const char *word, bool amx) {
    if (word)
        setenv("OCT_CPU", word, 1);
    else
        unsetenv("OCT_CPU");
    asked = 0;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .amx = amx});
    ck_not_null(ctx);
    unsetenv("OCT_CPU");
    return ctx;
}

/* What this context says of AMX: NULL, it is used; and how often the system was asked. */
static void uses(oct_ctx *ctx, const char *why, int times, const char *isa) {
    const char *says = oct_ctx_no_amx(ctx);
    ck_assert_msg(!says == !why && (!why || strstr(says, why)), "%s", says ? says : "used");
    ck_assert_int_eq(asked, times);
    ck_assert_str_eq(oct_ctx_isa(ctx), isa);
    ck_assert(!(octi_ctx_features(ctx) & OCTI_CPU_AMX) == (why != NULL));
    ck_assert(!octi_ctx_kernels(ctx)->needs.tiles_u8u8 == (why != NULL));
    oct_close(ctx);
}

/** All four words of permission: tile and int8 in CPUID, shapes and data in XCR0. */
START_TEST(the_cpu_and_its_system_must_have_all_of_it) {
    const octi_cpuid all = {~0u, ~0u, ~0u, ~0u, ~0u, ~(uint64_t)0};
    ck_assert_uint_eq(octi_cpu_from(&all), SAPPHIRE_RAPIDS);
    octi_cpuid some = all;
    for (int bit = 0; bit < 32; bit++) {
        some.edx7 = ~(1u << bit);
        ck_assert_uint_eq(octi_cpu_from(&some),
                          SAPPHIRE_RAPIDS - (bit == 24 || bit == 25 ? OCTI_CPU_AMX : 0));
    }
    some = all;
    for (int bit = 0; bit < 64; bit++) {
        some.xcr0 = ~((uint64_t)1 << bit);
        const octi_cpu_features none = bit == 1 || bit == 2 ? SAPPHIRE_RAPIDS
                                       : bit >= 5 && bit <= 7
                                           ? OCTI_CPU_AVX512 | OCTI_CPU_AVX512VNNI
                                       : bit == 17 || bit == 18 ? OCTI_CPU_AMX
                                                                : 0;
        ck_assert_uint_eq(octi_cpu_from(&some), SAPPHIRE_RAPIDS - none);
    }
    some = all, some.eax7_1 = ~(1u << 4);
    ck_assert_uint_eq(octi_cpu_from(&some), SAPPHIRE_RAPIDS - OCTI_CPU_AVXVNNI);
    some = all, some.ecx1 = ~(1u << 27); /* OSXSAVE */
    ck_assert_uint_eq(octi_cpu_from(&some), 0);
}
END_TEST

/** The system is asked by nobody but a context that wants AMX and may have it: its permission
 *  changes the process. */
START_TEST(only_who_asks_gets_it) {
    octi_cpu_pretend(SAPPHIRE_RAPIDS, grants);
    uses(open_at(NULL, false), "nobody asked", 0, "avx512vnni");
    uses(open_at(NULL, true), NULL, 1, "amx");
    uses(open_at("amx", false), "nobody asked", 0, "avx512vnni");
    uses(open_at("amx", true), NULL, 1, "amx");
    uses(open_at("avx512vnni", true), "OCT_CPU", 0, "avx512vnni");
    uses(open_at("ref", true), "OCT_CPU", 0, "ref");
    octi_cpu_pretend(OCTI_CPU_AVX2 | OCTI_CPU_FMA, grants);
    uses(open_at(NULL, true), "this CPU has none", 0, "avx2");
    uses(open_at("amx", true), "this CPU has none", 0, "avx2");
    octi_cpu_pretend(0, NULL);
}
END_TEST

START_TEST(a_refusal_is_told_and_costs_amx_alone) {
    octi_cpu_pretend(SAPPHIRE_RAPIDS, refuses);
    oct_ctx *ctx = open_at(NULL, true);
    ck_assert_ptr_nonnull(oct_ctx_warning(ctx, 0));
    ck_assert_ptr_nonnull(strstr(oct_ctx_warning(ctx, 0), "AMX is not used: not today"));
    uses(ctx, "not today", 1, "avx512vnni");
    ctx = open_at(NULL, false); /* nothing was refused to who did not ask */
    ck_assert_int_eq(oct_ctx_warning_count(ctx), 0);
    oct_close(ctx);
    /* a real system's answer, on a machine that has no tiles to give */
    octi_cpu_pretend(0, NULL);
    ctx = open_at(NULL, true);
    const char *why = oct_ctx_no_amx(ctx);
    oct_close(ctx);
    octi_cpu_pretend(SAPPHIRE_RAPIDS, octi_cpu_ask_tiles);
    ctx = open_at(NULL, true);
    if (why && strstr(why, "this CPU has none")) {
        ck_assert_ptr_nonnull(strstr(oct_ctx_no_amx(ctx), "arch_prctl"));
        ck_assert_str_eq(oct_ctx_isa(ctx), "avx512vnni");
    }
    oct_close(ctx);
    octi_cpu_pretend(0, NULL);
}
END_TEST

/* ---- which layers take it ---- */

typedef struct shape {
    int h, c, o, k, stride, pad, groups;
    const char *takes; /* NULL: not tiles */
} shape;
static const shape shapes[] = {
    {32, 16, 16, 3, 1, 1, 1, "tiles"},  {16, 32, 32, 3, 1, 1, 1, "tiles"},
    {8, 64, 64, 3, 1, 1, 1, "tiles"},   {32, 16, 32, 3, 2, 1, 1, "tiles"},
    {56, 64, 64, 3, 1, 1, 1, "tiles"},  {7, 512, 512, 3, 1, 1, 1, "tiles"},
    {224, 3, 64, 7, 2, 3, 1, "tiles"},  {56, 96, 24, 1, 1, 0, 1, "tiles"},
    {56, 64, 128, 1, 2, 0, 1, "tiles"}, {14, 6, 16, 5, 1, 0, 1, "tiles"},
    {112, 32, 32, 3, 1, 1, 32, NULL},   {14, 240, 240, 5, 1, 2, 240, NULL},
    {1, 64, 10, 1, 1, 0, 1, NULL},
};

static const char *choice(oct_ctx *ctx, const shape *s) {
    static char name[32];
    octi_arena *arena = octi_arena_new(ctx);
    const int p = (s->h + 2 * s->pad - s->k) / s->stride + 1, cg = s->c / s->groups;
    const oct_attrs a = {.kernel = {s->k, s->k},
                         .stride = {s->stride, s->stride},
                         .pads = {s->pad, s->pad, s->pad, s->pad},
                         .dilation = {1, 1},
                         .groups = {s->groups},
                         .hi = {255}};
    oct_tensor w = {.dtype = OCT_S8, .shape = OCT_SHAPE(s->o, s->k, s->k, cg)},
               b = {.dtype = OCT_S32, .shape = OCT_SHAPE(s->o)},
               m = {.dtype = OCT_F32, .shape = OCT_SHAPE(s->o)};
    w.data = octi_arena_calloc(arena, (size_t)(s->o * s->k * s->k * cg), 1);
    b.data = octi_arena_calloc(arena, (size_t)s->o, 4);
    m.data = octi_arena_calloc(arena, (size_t)s->o, 4);
    memset(w.data, 3, (size_t)(s->o * s->k * s->k * cg));
    for (int i = 0; i < s->o; i++) ((float *)m.data)[i] = 1e-4f;
    octi_qdesc in[4] = {{.dtype = OCT_U8, .quantized = true, .scale = 0.1f, .qmax = 255},
                        {.dtype = OCT_S8, .shape = w.shape, .tensor = &w},
                        {.dtype = OCT_S32, .shape = b.shape, .tensor = &b},
                        {.dtype = OCT_F32, .shape = m.shape, .tensor = &m}},
               out = in[0];
    in[0].shape = OCT_SHAPE(OCT_BATCH, s->h, s->h, s->c);
    out.shape = OCT_SHAPE(OCT_BATCH, p, p, s->o);
    octi_qrun r;
    ck_ok(octi_qinit(&r, arena, OCT_OP_qconv2d, &a, in, 4, &out, "layer"));
    snprintf(name, sizeof name, "%s", r.kernel);
    octi_arena_free(arena);
    return name;
}

START_TEST(layers_take_tiles_where_they_pay_and_were_asked_for) {
    octi_cpu_pretend(SAPPHIRE_RAPIDS, grants);
    oct_ctx *amx = open_at(NULL, true), *plain = open_at(NULL, false);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        const char *with = choice(amx, s);
        ck_assert_msg(!strcmp(with, "tiles") == (s->takes != NULL),
                      "%dx%d, %d to %d, kernel %d, /%d, %d groups: %s", s->h, s->h, s->c, s->o,
                      s->k, s->stride, s->groups, with);
        ck_assert_str_ne(choice(plain, s), "tiles");
    }
    oct_close(amx), oct_close(plain);
    octi_cpu_pretend(0, NULL);
}
END_TEST

/* ---- whole nets ---- */

octk_tiles_u8u8_fn emulated_tiles_u8u8_amx;
static _Atomic int64_t layers_run, lifted;
static void counted(const octk_tiles_u8u8 *a) {
    layers_run++;
    lifted += a->lift.b != NULL;
    emulated_tiles_u8u8_amx(a);
}

/* Codes of every node of the unfused plan, and the answers of the fused one. */
static void same_as_interpreted(oct_ctx *ctx, uint32_t seed, int64_t images) {
    oct_net *net = seed ? test_random_net(ctx, 1000 + seed) : test_small_net(ctx);
    const oct_graph *g = net->graph;
    const oct_shape one = octi_shape_with_batch(&g->values[g->input].shape, images);
    float *x = malloc((size_t)oct_shape_count(&one) * sizeof *x);
    octi_rng r = octi_rng_stream(3, OCTI_RNG_TEST, seed, 3);
    for (int64_t i = 0; i < oct_shape_count(&one); i++) x[i] = 8 * octi_rng_uniform(&r) - 4;
    void **want = test_interpret(net, x, images);
    const oct_shape y = octi_shape_with_batch(&g->values[g->output].shape, images);
    float *got = malloc((size_t)oct_shape_count(&y) * sizeof *got);
    for (int unfused = 0; unfused < 2; unfused++) {
        oct_plan *plan = oct_plan_new(net, &(oct_plan_opts){.unfused = unfused});
        oct_session *s = oct_session_new(plan, images, NULL, 0);
        ck_not_null(s);
        ck_ok(oct_session_run(s, x, images, got));
        for (int32_t i = 0; unfused && i < g->node_count; i++) {
            oct_tensor t;
            ck_ok(oct_session_value(s, g->nodes[i].name, &t));
            ck_assert_msg(!memcmp(t.data, want[g->nodes[i].out], oct_tensor_bytes(&t)),
                          "net %u, node %s", seed, g->nodes[i].name);
        }
        ck_assert(!memcmp(got, want[g->output], (size_t)oct_shape_count(&y) * sizeof *got));
        oct_session_free(s);
        oct_plan_free(plan);
    }
    test_interpret_free(net, want);
    free(x), free(got);
    oct_net_free(net);
}

/* A context whose layers all take tiles in C; NULL: this machine cannot emulate them. */
static oct_ctx *open_emulated(int threads) {
    const octi_cpu_features avx2 = OCTI_CPU_AVX2 | OCTI_CPU_FMA;
    octi_cpu_features have;
    unsetenv("OCT_CPU");
    ck_ok(octi_cpu_have(false, &have, NULL));
    if ((have & avx2) != avx2) {
        printf("skipped: what emulates is AVX2, which this machine lacks\n");
        return NULL;
    }
    octi_cpu_pretend(avx2 | OCTI_CPU_AMX, grants);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads, .amx = true});
    octk_table *t = (octk_table *)(uintptr_t)octi_ctx_kernels(ctx);
    t->tiles_u8u8 = counted;
    octi_ctx_only(ctx, "tiles");
    return ctx;
}

START_TEST(nets_on_tiles_give_the_laws_codes) {
    for (int threads = 1; threads <= 3; threads += 2) {
        oct_ctx *ctx = open_emulated(threads);
        if (!ctx) return;
        const int64_t before = layers_run, some = lifted;
        for (uint32_t seed = 0; seed < 16; seed++)
            same_as_interpreted(ctx, seed, seed % 3 ? 3 : 20);
        ck_assert_int_gt(layers_run - before, 100);
        ck_assert_int_gt(lifted - some, 5);
        ck_assert_int_gt(layers_run - before - (lifted - some), 10);
        oct_close(ctx);
    }
    octi_cpu_pretend(0, NULL);
}
END_TEST

/* ---- sums as floats ---- */

typedef struct relu {
    int32_t bias;
    int zy, lo, hi;
    bool lifted;
} relu;

/** Sums become floats by their bits where each code is proven to be the law's, and no clamp is
 *  left; elsewhere they do not. Their codes are the law's. */
START_TEST(sums_are_lifted_up_to_their_bound) {
    enum { N = 64, O = 20, W = 127, MOST = (1 << 23) - 1 };
    static const relu cases[] = {
        {MOST - W * 255, 0, 0, 255, true},
        {MOST + 1 - W * 255, 0, 0, 255, false},
        {(1 << 24) - W * 255, 0, 0, 255, false},
        {-MOST, 0, 0, 255, true},
        {-MOST - 1, 0, 0, 255, true},
        {-W * 100, 0, 0, 255, true},
        {-W * 100, 1, 0, 255, true},
        {-W * 100, 131, 0, 255, true},
        {MOST - W * 255, 131, 0, 255, false},
        {-W * 100, 0, 0, 254, false},
        {-W * 100, 1, 1, 255, false},
    };
    oct_ctx *ctx = open_emulated(1);
    for (size_t i = 0; ctx && i < sizeof cases / sizeof *cases; i++) {
        const relu *k = &cases[i];
        octi_arena *arena = octi_arena_new(ctx);
        const oct_attrs a = {.kernel = {1, 1},
                             .stride = {1, 1},
                             .dilation = {1, 1},
                             .groups = {1},
                             .lo = {k->lo},
                             .hi = {k->hi}};
        int8_t weight[O];
        int32_t bias[O];
        float m[O];
        for (int o = 0; o < O; o++)
            weight[o] = W, bias[o] = k->bias, m[o] = 255.0f / (k->bias > 0 ? 1 << 24 : 1 << 14);
        const oct_tensor w = {.dtype = OCT_S8, .shape = OCT_SHAPE(O, 1, 1, 1), .data = weight},
                         b = {.dtype = OCT_S32, .shape = OCT_SHAPE(O), .data = bias},
                         by = {.dtype = OCT_F32, .shape = OCT_SHAPE(O), .data = m};
        octi_qdesc in[4] = {{.dtype = OCT_U8, .quantized = true, .scale = 0.1f, .qmax = 255},
                            {.dtype = OCT_S8, .shape = w.shape, .tensor = &w},
                            {.dtype = OCT_S32, .shape = b.shape, .tensor = &b},
                            {.dtype = OCT_F32, .shape = by.shape, .tensor = &by}},
                   out = in[0];
        in[0].shape = OCT_SHAPE(OCT_BATCH, 1, N, 1);
        out.shape = OCT_SHAPE(OCT_BATCH, 1, N, O);
        out.zero_point = k->zy;
        octi_qrun r;
        ck_ok(octi_qinit(&r, arena, OCT_OP_qconv2d, &a, in, 4, &out, "layer"));
        octi_layout x_at = octi_layout_of(&in[0].shape, 1, r.halo),
                    y_at = octi_layout_dense(&out.shape, 1);
        x_at.slack = true;
        uint8_t x[N + 2 * OCTI_SLACK], y[N * O];
        for (int n = 0; n < (int)sizeof x; n++) x[n] = (uint8_t)(255 - 4 * n);
        ck_ok(octi_qbind(&r, &x_at, &y_at));
        const int64_t calls = layers_run, before = lifted;
        r.run(&r, &(octi_qcall){.in = (const void *[]){x + x_at.origin},
                                .out = y,
                                .n = 1,
                                .to = r.units,
                                .scratch = octi_arena_alloc(arena, r.scratch)});
        ck_assert_int_eq(layers_run - calls, 1);
        ck_assert_msg(lifted - before == k->lifted, "case %zu", i);
        for (int n = 0; n < N * O; n++)
            ck_assert_int_eq(y[n], octq_requant(k->bias + W * x[x_at.origin + n / O], m[0], k->zy,
                                                k->lo, k->hi));
        octi_arena_free(arena);
    }
    oct_close(ctx);
    octi_cpu_pretend(0, NULL);
}
END_TEST

/* What the instructions make of a lifted sum: one that no s32 has becomes the least of them. */
static int lifted_code(int64_t sum, float m, int zy, int32_t d, float by) {
    const uint32_t bits = (uint32_t)sum + OCTK_LIFT + (uint32_t)d;
    float high;
    memcpy(&high, &bits, sizeof high);
    const float lowered = (float)((double)high * (double)m - (double)by);
    return lowered >= 0x1p31f ? 0 : octq_round_code(lowered, zy, 0, 255);
}

/** Of every sum that may have a code of its own, and of those at both ends, with any zero point:
 *  the lifted float's code is the law's. */
START_TEST(lifted_sums_have_the_laws_codes) {
    enum { ROUNDS = 240, END = 1000 };
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 177, 0);
    int found = 0, far = 0, refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const int zy = round % 4 ? (int)octi_rng_below(&r, 256) : 0;
        /* bits of the multiplier: all, or few, which make ties */
        float m = ldexpf(1 + octi_rng_uniform(&r), -2 - (int)octi_rng_below(&r, 10)), by;
        if (round % 3 == 0) m = ldexpf((float)(1 + octi_rng_below(&r, 64)), -13);
        const int64_t largest = ((int64_t)1 << (10 + octi_rng_below(&r, 19))) - 1;
        int64_t below = (int64_t)((zy + 3) / (double)m), above = (int64_t)((259 - zy) / (double)m);
        if (below > largest) below = largest;
        if (above > largest) above = largest;
        int32_t d;
        if (!octi_lift_of(m, zy, largest, &d, &by)) {
            refused++;
            continue;
        }
        found++;
        far += largest >= 1 << 24;
        int64_t differ = 0;
        for (int64_t sum = -below; sum <= above; sum++)
            differ += lifted_code(sum, m, zy, d, by) != octq_requant((int32_t)sum, m, zy, 0, 255);
        for (int64_t i = 0; i < END; i++)
            for (int sign = -1; sign <= 1; sign += 2) {
                const int64_t sum = sign * (largest - i * i % (largest + 1));
                differ +=
                    lifted_code(sum, m, zy, d, by) != octq_requant((int32_t)sum, m, zy, 0, 255);
            }
        ck_assert_msg(!differ, "m %a, zy %d, largest %lld: %lld codes differ", (double)m, zy,
                      (long long)largest, (long long)differ);
    }
    ck_assert_int_gt(found, ROUNDS / 2);
    ck_assert_int_gt(far, 10);
    ck_assert_int_gt(refused, 10);
}
END_TEST

OCT_TEST_MAIN("amx", the_cpu_and_its_system_must_have_all_of_it, only_who_asks_gets_it,
              a_refusal_is_told_and_costs_amx_alone,
              layers_take_tiles_where_they_pay_and_were_asked_for,
              nets_on_tiles_give_the_laws_codes, sums_are_lifted_up_to_their_bound,
              lifted_sums_have_the_laws_codes)
