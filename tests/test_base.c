/* SPDX-License-Identifier: MIT
 * status, memory, arena, tensor, rng, threads, graph. */
#include "tests/temp_folder.h"

#include <stdatomic.h>
#include <sys/wait.h>

#include "src/arena.h"
#include "src/cut.h"
#include "src/format/files.h"
#include "src/mem.h"
#include "src/net.h"
#include "src/rng.h"
#include "src/threads.h"

START_TEST(error_message_has_all_parts) {
    oct_clear_error();
    ck_assert_str_eq(oct_error_message(), "ok");
    octi_fail(OCT_ESHAPE, "conv1", "input channels", "3", "4", "check .in");
    ck_assert_str_eq(oct_error_message(), "conv1: input channels: expected 3, got 4 (check .in)");
    octi_fail(OCT_EFORMAT, "x\x1b[31m\n", NULL, NULL, NULL, NULL);
    ck_assert_str_eq(oct_error_message(), "x?[31m?: malformed data");
    /* wrapping the record in itself must not garble it */
    octi_fail(OCT_EFORMAT, "file", oct_last_error()->what, NULL, oct_last_error()->where, NULL);
    ck_assert_str_eq(oct_error_message(), "file: malformed data: got x?[31m?");
    /* UTF-8 passes; C1, as UTF-8 has it or as a byte, and what is no UTF-8 do not */
    octi_fail(OCT_EFORMAT, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", NULL, NULL,
              "\x9b"
              "2J \xc2\x9b\xc2\xa0 \xe2\x82 \xff",
              NULL);
    ck_assert_str_eq(oct_last_error()->where, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    ck_assert_str_eq(oct_last_error()->got, "?2J ??\xc2\xa0 ?? ?");
    char cut[2 * 4096];
    for (size_t i = 0; i < sizeof cut; i++) cut[i] = i % 2 ? '\xa9' : '\xc3';
    cut[sizeof cut - 1] = 0;
    for (int odd = 0; odd < 2; odd++) { /* no half of one at the end of a field */
        octi_fail(OCT_EFORMAT, octi_fmt("%s%.600s", odd ? "x" : "", cut), NULL, NULL, NULL, NULL);
        const char *where = oct_last_error()->where;
        ck_assert(strlen(where) > 60 && strlen(where) % 2 == (size_t)odd);
    }
    ck_assert_int_eq(oct_status_exit_code(OCT_EDIVERGED), 6);
}
END_TEST

START_TEST(context_frees_what_was_left) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    ck_not_null(ctx);
    ck_not_null(octi_alloc(ctx, 1000));
    ck_not_null(oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(2, 3)));
    const uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    ck_assert_uint_ge(before, 1000);
    ck_assert_uint_ge(oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES), before);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_COUNT), 0);
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64));
    ck_not_null(t);
    t->grad = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(64)); /* goes with its tensor */
    oct_tensor_unref(t);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), before);
    oct_close(ctx); /* LeakSanitizer is the judge */
    ck_assert(oct_open(&(oct_opts){.threads = -1}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
}
END_TEST

static int ended[3], ends;
static void end(void *object) { ended[ends++] = *(int *)object; }

START_TEST(objects_end_with_their_context) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    int objects[3] = {1, 2, 3};
    for (int i = 0; i < 3; i++) ck_ok(octi_on_close(ctx, end, &objects[i]));
    oct_close(ctx); /* the last that was made first */
    ck_assert(ends == 3 && ended[0] == 3 && ended[1] == 2 && ended[2] == 1);
}
END_TEST

/* A limit is of bytes, and the file's own size is inside it; a log goes on where its owner says,
 * whatever somebody put behind it, and nowhere where it is shorter. */
START_TEST(files_are_of_their_size) {
    make_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    octi_folder *f = octi_folder_open(ctx, root);
    uint8_t *bytes;
    size_t size;
    ck_not_null(f);
    ck_ok(octi_file_append_in(f, "log", 0, "abcdefgh", 8));
    ck_fails(OCT_ELIMIT, "too large", octi_file_read(ctx, in_root("log"), 7, &bytes, &size));
    ck_ok(octi_file_append_in(f, "log", 3, "xy", 2));
    ck_ok(octi_file_read(ctx, in_root("log"), 5, &bytes, &size));
    ck_assert(size == 5 && !memcmp(bytes, "abcxy", 6));
    ck_fails(OCT_EIO, "shorter than it was", octi_file_append_in(f, "log", 6, "z", 1));
    ck_ok(octi_file_read(ctx, in_root("log"), 5, &bytes, &size));
    octi_folder_close(f);
    oct_close(ctx);
    remove_root();
}
END_TEST

START_TEST(max_bytes_is_kept) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = 1 << 20});
    ck_assert(octi_alloc(ctx, 2 << 20) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_not_null(octi_alloc(ctx, 1000));
    ck_assert(oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(INT64_MAX / 2, 4)) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_assert(oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(-3)) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    oct_close(ctx);
}
END_TEST

/** What a block grows by is zero, inside its rounded size too. */
START_TEST(realloc_zeroes_what_is_new) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    for (size_t from = 0; from < 200; from += 7)
        for (size_t to = from; to < 300; to += 11) {
            char *p = octi_alloc_raw(ctx, from + 300); /* memory that was written before */
            memset(p, 0x77, from + 300);
            octi_free(ctx, p);
            p = octi_alloc_raw(ctx, from);
            memset(p, 0x77, (from + 63) / 64 * 64); /* up to the slack's end */
            p = octi_realloc(ctx, p, to);
            for (size_t i = 0; i < to; i++)
                if (p[i] != (i < from ? 0x77 : 0))
                    ck_abort_msg("%zu to %zu: byte %zu is %d", from, to, i, p[i]);
            /* smaller and larger again */
            octi_free(ctx, octi_realloc(ctx, octi_realloc(ctx, p, from), to));
        }
    oct_close(ctx);
}
END_TEST

/** A loop over jobs: one that fails does not fail the next. */
START_TEST(context_status_can_be_cleared) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = 1 << 20});
    for (int job = 0; job < 6; job++) {
        oct_ctx_clear(ctx);
        ck_ok(oct_ctx_status(ctx));
        oct_tensor *t = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(job % 2 ? 1 << 20 : 16));
        if (!t) octi_ctx_failed(ctx);
        ck_assert_int_eq(oct_ctx_status(ctx), job % 2 ? OCT_ELIMIT : OCT_OK);
        oct_tensor_unref(t);
    }
    oct_close(ctx);
    ck_assert_int_eq(oct_ctx_status(NULL), OCT_ELIMIT); /* what failed before stays the reason */
    oct_ctx_clear(NULL);
    ck_assert_int_eq(oct_ctx_status(NULL), OCT_EUSAGE);
}
END_TEST

START_TEST(arena_settles) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    octi_arena *a = octi_arena_new(ctx);
    for (int step = 0; step < 3; step++) {
        uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS);
        octi_arena_reset(a);
        for (int i = 0; i < 100; i++) {
            char *p = octi_arena_alloc(a, 100000);
            ck_not_null(p);
            ck_assert_uint_eq((uintptr_t)p % 64, 0);
            memset(p, i, 100000);
        }
        octi_arena_mark m = octi_arena_save(a);
        void *p = octi_arena_alloc(a, 10);
        octi_arena_rewind(a, m);
        ck_assert_ptr_eq(octi_arena_alloc(a, 10), p);
        if (step == 2) ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_ALLOCS), before);
    }
    oct_close(ctx);
}
END_TEST

/* Parts share large pages, and what is larger has as many as it needs. */
START_TEST(what_is_read_often_shares_large_pages) {
    enum { BYTES = 100000, PARTS = 100, LARGE = OCTI_LARGE_PAGE };
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    const uint64_t none = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    octi_arena *a = octi_arena_new_read_often(ctx);
    char *part[PARTS];
    int begin = 0;
    for (int i = 0; i < PARTS; i++) {
        ck_not_null(part[i] = octi_arena_alloc(a, BYTES));
        ck_assert_uint_eq((uintptr_t)part[i] % 64, 0);
        memset(part[i], i, BYTES);
        begin += (uintptr_t)part[i] % LARGE == 128;
    }
    ck_assert_int_eq(begin, PARTS / 20); /* 20 in each */
    const uint64_t before = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    ck_assert_uint_lt(before, none + 5 * LARGE + 4096);
    for (int i = 0; i < 2; i++) memset(octi_arena_alloc(a, LARGE / 2 - 4096), 0, LARGE / 2 - 4096);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), before + LARGE);
    char *large = octi_arena_alloc(a, LARGE);
    memset(large, 0, LARGE);
    ck_assert_uint_eq((uintptr_t)large % LARGE, 128);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), before + 3 * LARGE);
    for (int i = 0; i < PARTS; i++)
        ck_assert(part[i][0] == i && part[i][BYTES / 2] == i && part[i][BYTES - 1] == i);
    octi_arena_free(a);
    ck_assert_uint_eq(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), none);
    oct_close(ctx);
}
END_TEST

START_TEST(philox_known_answer) {
    /* Random123's kat_vectors, philox4x32 10 rounds: counter and key all zero, all ones. */
    uint32_t out[4], zero[3] = {0, 0, 0}, ones[3] = {~0u, ~0u, ~0u};
    octi_philox(0, zero, 0, out);
    ck_assert_uint_eq(out[0], 0x6627e8d5);
    ck_assert_uint_eq(out[1], 0xe169c58d);
    ck_assert_uint_eq(out[2], 0xbc57ac4c);
    ck_assert_uint_eq(out[3], 0x9b00dbd8);
    octi_philox(~(uint64_t)0, ones, ~0u, out);
    ck_assert_uint_eq(out[0], 0x408f276d);
    uint32_t perm[1000], seen[1000] = {0};
    octi_rng r = octi_rng_stream(7, OCTI_RNG_TEST, 0, 0);
    octi_rng_permutation(&r, perm, 1000);
    for (int i = 0; i < 1000; i++) seen[perm[i]]++;
    for (int i = 0; i < 1000; i++) ck_assert_uint_eq(seen[i], 1);
    double sum = 0, sq = 0;
    for (int i = 0; i < 20000; i++) {
        double v = octi_rng_normal(&r);
        sum += v;
        sq += v * v;
    }
    ck_assert(sum / 20000 > -0.03 && sum / 20000 < 0.03 && sq / 20000 > 0.97 && sq / 20000 < 1.03);
}
END_TEST

static void count_task(void *arg, int64_t i) { atomic_fetch_add((atomic_int *)arg + i, 1); }
static void nested_task(void *arg, int64_t i) {
    (void)i;
    oct_ctx *ctx = arg;
    static atomic_int hits[16];
    octi_parallel_for(octi_ctx_pool(ctx), 16, count_task, hits);
}

START_TEST(parallel_for_runs_each_index_once) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 4});
    for (int round = 0; round < 2000; round++) {
        atomic_int hits[37] = {0};
        octi_parallel_for(octi_ctx_pool(ctx), 37, count_task, hits);
        for (int i = 0; i < 37; i++) ck_assert_int_eq(hits[i], 1);
    }
    octi_parallel_for(octi_ctx_pool(ctx), 8, nested_task, ctx);
    oct_close(ctx);
    ck_assert_int_eq(octi_cut_whole(1).slots, 1);
    ck_assert_int_eq(octi_cut_whole(5).slots, 4);
    ck_assert_int_eq(octi_cut_whole(64).slots, 8);
    ck_assert_int_eq(octi_cut_whole(128).slots, 16);
    ck_assert_int_eq(octi_cut_whole(1000).slots, 16);
}
END_TEST

/** A forked child has the pool's memory and none of its threads: it computes alone, and closes. */
START_TEST(a_forked_child_closes) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 4});
    pid_t child = fork();
    if (!child) {
        alarm(20); /* a hang ends here */
        atomic_int hits[64] = {0};
        octi_parallel_for(octi_ctx_pool(ctx), 64, count_task, hits);
        for (int i = 0; i < 64; i++)
            if (hits[i] != 1) _exit(2);
        oct_close(ctx);
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "child ended with %x",
                  (unsigned)status);
    oct_close(ctx);
}
END_TEST

START_TEST(fold_is_the_same_for_any_threads) {
    oct_ctx *one = oct_open(&(oct_opts){.threads = 1}), *four = oct_open(&(oct_opts){.threads = 4});
    enum { S = 16, N = 40000 };
    float *a = malloc(sizeof(float) * S * N), *b = malloc(sizeof(float) * S * N);
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 1, 0);
    for (int i = 0; i < S * N; i++) a[i] = b[i] = octi_rng_normal(&r);
    const octi_cut cut = octi_cut_whole(200);
    ck_assert_int_eq(cut.count, S);
    ck_ok(octi_cut_fold_f32(&cut, octi_ctx_pool(one), a, N));
    ck_ok(octi_cut_fold_f32(&cut, octi_ctx_pool(four), b, N));
    ck_assert(!memcmp(a, b, sizeof(float) * N));
    free(a);
    free(b);
    oct_close(one);
    oct_close(four);
}
END_TEST

START_TEST(graph_verify_finds_breakage) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_net *net = octi_net_new(ctx, OCT_STAGE_FLOAT);
    oct_graph *g = net->graph;
    oct_shape s = OCT_SHAPE(OCT_BATCH, 4);
    int32_t x = octi_graph_add_value(g, "input", OCT_VALUE_INPUT, OCT_F32, s, NULL);
    int32_t n = octi_graph_add_node(g, OCT_OP_relu, "relu", NULL, &x, 1, OCT_F32, s);
    ck_assert_int_ge(n, 0);
    ck_fails(OCT_EINTERNAL, "output not set", octi_graph_verify(g));
    g->input = x;
    g->output = g->nodes[n].out;
    ck_ok(octi_graph_verify(g));
    g->nodes[n].in[0] = g->nodes[n].out;
    ck_fails(OCT_EINTERNAL, "made later", octi_graph_verify(g));
    g->nodes[n].in[0] = 99;
    ck_fails(OCT_EINTERNAL, "out of range", octi_graph_verify(g));
    g->nodes[n].in[0] = x;
    const int32_t y = g->nodes[n].out, twice[2] = {y, y};
    int32_t one = -1, sum = octi_graph_add_node(g, OCT_OP_add, "sum", NULL, twice, 2, OCT_F32, s);
    ck_assert_int_ge(sum, 0); /* a value that a node reads twice is read twice */
    ck_assert(octi_graph_consumers(g, x, &one) == 1 && one == n);
    ck_assert_int_eq(octi_graph_consumers(g, y, &one), 2);
    oct_op_kind k;
    ck_assert(oct_op_from_name("qconv2d", &k) && k == OCT_OP_qconv2d &&
              !oct_op_from_name("nope", &k));
    oct_close(ctx);
}
END_TEST

static int heard;
static void hear(void *user, oct_log_level level, const char *line) {
    (void)user, (void)line;
    heard += level == OCT_LOG_WARN;
}

/* The library never prints: without a log too a caller can ask what was to be said. */
START_TEST(warnings_are_kept) {
    for (int log = 0; log < 2; log++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .log = log ? hear : NULL});
        char words[600];
        memset(words, 'w', sizeof words);
        words[sizeof words - 1] = 0;
        ck_assert_ptr_null(oct_ctx_warning(ctx, 0));
        octi_log(ctx, OCT_LOG_INFO, "no warning");
        ck_assert_int_eq(oct_ctx_warning_count(ctx), 0);
        heard = 0;
        for (int i = 0; i < 20; i++) octi_log(ctx, OCT_LOG_WARN, "%d %s", i, i == 2 ? words : "");
        ck_assert_int_eq(heard, log ? 20 : 0);
        ck_assert_int_eq(oct_ctx_warning_count(ctx), 20);
        ck_assert_str_eq(oct_ctx_warning(ctx, 0), "0 ");
        ck_assert_uint_eq(strlen(oct_ctx_warning(ctx, 2)), 255);
        ck_assert_str_eq(oct_ctx_warning(ctx, 15), "15 "); /* the first 16 */
        ck_assert_ptr_null(oct_ctx_warning(ctx, 16));
        ck_assert_ptr_null(oct_ctx_warning(ctx, -1));
        ck_assert_ptr_null(oct_ctx_warning(NULL, 0));
        oct_ctx_clear(ctx);
        ck_assert_ptr_null(oct_ctx_warning(ctx, 0));
        ck_assert_int_eq(oct_ctx_warning_count(ctx), 0);
        octi_log(ctx, OCT_LOG_ERROR, "again");
        ck_assert_str_eq(oct_ctx_warning(ctx, 0), "again");
        oct_close(ctx);
    }
}
END_TEST

OCT_TEST_MAIN("base", error_message_has_all_parts, context_frees_what_was_left,
              objects_end_with_their_context, files_are_of_their_size, max_bytes_is_kept,
              realloc_zeroes_what_is_new, context_status_can_be_cleared, arena_settles,
              what_is_read_often_shares_large_pages, philox_known_answer,
              parallel_for_runs_each_index_once, a_forked_child_closes,
              fold_is_the_same_for_any_threads, graph_verify_finds_breakage, warnings_are_kept)
