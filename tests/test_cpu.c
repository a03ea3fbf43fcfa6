/* SPDX-License-Identifier: MIT
 * CPU features and the kernels of a context: chosen once by oct_open, by sets and not by levels,
 * each context's own. */
#include <pthread.h>

#include "ops/kernels/kernels.h"
#include "ops/ops.h"
#include "ops/qconv.h"
#include "src/cpu.h"
#include "src/mem.h"
#include "tests/oct_test.h"

static octi_cpu_features machine(void) {
    octi_cpu_features have;
    unsetenv("OCT_CPU");
    ck_ok(octi_cpu_have(false, &have, NULL));
    return have;
}

static oct_ctx *open_at(const char *word, int threads) {
    setenv("OCT_CPU", word, 1);
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads});
    ck_not_null(ctx);
    unsetenv("OCT_CPU");
    return ctx;
}

START_TEST(unknown_word_is_an_error_that_lists_the_known_ones) {
    setenv("OCT_CPU", "sse9", 1);
    ck_assert(oct_open(NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    for (int i = 0; i < octi_cpu_word_count; i++)
        ck_assert_ptr_nonnull(strstr(oct_error_message(), octi_cpu_words[i].word));
    unsetenv("OCT_CPU");
}
END_TEST

START_TEST(isa_names_what_kernels_need) {
    octi_cpu_features have = machine();
    for (int i = 0; i < octi_cpu_word_count; i++) {
        oct_ctx *ctx = open_at(octi_cpu_words[i].word, 1);
        octi_cpu_features used = octk_table_features(octi_ctx_kernels(ctx));
        ck_assert_uint_eq(used & ~(have & octi_cpu_words[i].features), 0);
        ck_assert_str_eq(oct_ctx_isa(ctx), octi_cpu_word_of(used));
        /* what changes the process is for who asks (test_amx) */
        ck_assert(!(used & OCTI_CPU_AMX) && oct_ctx_no_amx(ctx));
        oct_close(ctx);
    }
    oct_ctx *ref = open_at("ref", 1);
    ck_assert_str_eq(oct_ctx_isa(ref), "ref");
    oct_close(ref);
}
END_TEST

/** Of every set of features: each slot has the last row whose needs are in the set, whatever else
 *  is there. A row that needs A and one that needs B never stand in for each other. */
START_TEST(last_row_whose_needs_are_there_wins) {
    for (octi_cpu_features set = 0; set < 1u << (OCTI_CPU_BIT_I8MM + 1); set++) {
        octk_table t, want = {0};
        octk_table_choose(&t, set);
#define OCT_KERNEL(slot, needed, fn)                                                               \
    if (((needed)&set) == (needed)) want.slot = fn;
#include "ops/kernels/kernels.def"
#define OCT_KERNEL_SLOT(slot)                                                                      \
    if (!t.slot || t.slot != want.slot || (t.needs.slot & ~set))                                   \
        ck_abort_msg(#slot " of set %x", (unsigned)set);
#include "ops/kernels/kernels.def"
    }
}
END_TEST

START_TEST(every_row_can_be_asked_for) {
#define OCT_KERNEL(slot, needed, fn)                                                               \
    ck_assert_msg(*octi_cpu_word_of(needed) != '?', "no word of OCT_CPU leaves " #fn);
#include "ops/kernels/kernels.def"
}
END_TEST

/** A context keeps its kernels whatever is opened beside it. */
START_TEST(contexts_do_not_move_each_other) {
    octi_cpu_features have = machine();
    oct_ctx *fast = oct_open(&(oct_opts){.threads = 1});
    octk_table before = *octi_ctx_kernels(fast);
    oct_ctx *ref = open_at("ref", 1);
    ck_assert(!memcmp(&before, octi_ctx_kernels(fast), sizeof before));
    ck_assert_uint_eq(octk_table_features(octi_ctx_kernels(ref)), 0);
    oct_ctx *again = oct_open(&(oct_opts){.threads = 1});
    ck_assert_uint_eq(octk_table_features(octi_ctx_kernels(ref)), 0);
    ck_assert(!memcmp(&before, octi_ctx_kernels(again), sizeof before));
    const octi_cpu_features avx2 = OCTI_CPU_AVX2 | OCTI_CPU_FMA;
    if ((have & avx2) == avx2) {
        ck_assert(octi_ctx_kernels(fast)->gemm_f32 != octi_ctx_kernels(ref)->gemm_f32);
        ck_assert_str_ne(oct_ctx_isa(fast), "ref");
    }
    oct_close(fast), oct_close(ref), oct_close(again);
}
END_TEST

static void *open_and_work(void *arg) {
    float *sum = arg;
    for (int round = 0; round < 20; round++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1 + round % 2});
        float a[64], c[64];
        for (int i = 0; i < 64; i++) a[i] = (float)(i % 7 - 3);
        octi_sgemm(ctx, false, false, 8, 8, 8, a, 8, a, 8, false, c, 8);
        for (int i = 0; i < 64; i++)
            *sum += c[i] * (float)(i + 1) * (float)strlen(oct_ctx_isa(ctx));
        oct_close(ctx);
    }
    return NULL;
}

/** TSan sees it where anything of this is shared and moves. */
START_TEST(contexts_open_at_once) {
    enum { N = 6 };
    pthread_t t[N];
    float sums[N] = {0};
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, open_and_work, &sums[i]), 0);
    for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
    for (int i = 1; i < N; i++) ck_assert(sums[i] == sums[0]);
}
END_TEST

#if defined(__x86_64__)
/** A core's property, by vendor and family, whatever its instructions. */
START_TEST(zen_is_told_by_vendor_and_family) {
    octi_cpuid raw = {~0u, ~0u, ~0u, ~0u, ~0u, ~(uint64_t)0, .amd = true};
    static const struct {
        uint32_t base, more;
        bool zen;
    } families[] = {{0xf, 0x8, true}, {0xf, 0xa, true}, {0xf, 0xb, false}, {0x6, 0xa, false}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        raw.eax1 = families[i].base << 8 | families[i].more << 20;
        ck_assert_int_eq((octi_cpu_from(&raw) & OCTI_CPU_ZEN) != 0, families[i].zen);
    }
    raw.eax1 = 0xfu << 8 | 0xau << 20, raw.amd = false;
    ck_assert_uint_eq(octi_cpu_from(&raw) & OCTI_CPU_ZEN, 0);
    raw.l2 = 2048u << 16;
    ck_assert(octi_cpu_from(&raw) & OCTI_CPU_BIG_L2);
    raw.l2 = 2047u << 16 | 0xffff;
    ck_assert_uint_eq(octi_cpu_from(&raw) & OCTI_CPU_BIG_L2, 0);
}
END_TEST

/* What a 3x3 layer of stride 1 would get, of a net with so many bytes of other weights. */
static const char *choice_in(octi_cpu_features have, int32_t h, int32_t channels, int64_t beside) {
    octk_table t;
    octk_table_choose(&t, have);
    const octi_qconv c = {.h = h,
                          .w = h,
                          .c = channels,
                          .p = h,
                          .q = h,
                          .o = channels,
                          .r = 3,
                          .s = 3,
                          .groups = 1,
                          .stride = {1, 1},
                          .pads = {1, 1, 1, 1},
                          .dilation = {1, 1},
                          .pool = 1,
                          .least_m = 1,
                          .beside = beside,
                          .kernels = &t};
    static const octi_candidate *const candidates[] = {
        &octi_qconv_rows, &octi_qconv_bytes, &octi_qconv_winograd4, &octi_qconv_winograd2};
    const octi_candidate *best = NULL;
    for (int i = 0; i < 4; i++) {
        const octi_candidate *k = candidates[i];
        if ((k->offered && !k->offered(&t)) || k->unfit(&c)) continue;
        if (!best || k->cycles(&c) < best->cycles(&c)) best = k;
    }
    return best->name;
}

static const char *choice(octi_cpu_features have, int32_t h, int32_t channels) {
    return choice_in(have, h, channels, INT64_C(1) << 20);
}

/** The same instructions at half the rate: other algorithms win, as was measured. */
START_TEST(the_core_decides_where_instructions_are_the_same) {
    const octi_cpu_features avx2 = OCTI_CPU_AVX2 | OCTI_CPU_FMA,
                            vnni = avx2 | OCTI_CPU_AVX512 | OCTI_CPU_AVX512VNNI;
    ck_assert_str_eq(choice(vnni, 16, 32), "bytes");
    ck_assert_str_eq(choice(vnni | OCTI_CPU_ZEN, 16, 32), "winograd4");
    ck_assert_str_eq(choice(vnni, 8, 64), "bytes");
    ck_assert_str_eq(choice(vnni | OCTI_CPU_ZEN, 8, 64), "winograd4");
    /* ResNet-8's other weights leave the transformed ones in the second-level cache, ResNet-20's
     * do not */
    ck_assert_str_eq(choice_in(vnni | OCTI_CPU_BIG_L2, 8, 64, 41 << 10), "winograd4");
    ck_assert_str_eq(choice_in(vnni | OCTI_CPU_BIG_L2, 8, 64, 233 << 10), "bytes");
    ck_assert_str_eq(choice_in(vnni, 8, 64, 41 << 10), "bytes");
    ck_assert_str_eq(choice(vnni, 32, 16), "bytes");
    ck_assert_str_eq(choice(vnni, 7, 512), "bytes");
    ck_assert_str_eq(choice(avx2 | OCTI_CPU_AVXVNNI, 16, 32), "winograd4");
    ck_assert_str_eq(choice(avx2 | OCTI_CPU_ZEN, 32, 16), "winograd4");
    ck_assert_str_eq(choice(avx2 | OCTI_CPU_ZEN, 7, 512), "winograd2");
    ck_assert_str_eq(choice(avx2, 7, 512), "winograd2");
}
END_TEST

#define OF_X86 , zen_is_told_by_vendor_and_family, the_core_decides_where_instructions_are_the_same
#else
#define OF_X86
#endif

OCT_TEST_MAIN("cpu", unknown_word_is_an_error_that_lists_the_known_ones,
              isa_names_what_kernels_need, last_row_whose_needs_are_there_wins,
              every_row_can_be_asked_for, contexts_do_not_move_each_other,
              contexts_open_at_once OF_X86)
