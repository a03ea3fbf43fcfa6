/* SPDX-License-Identifier: MIT
 * Allocations that fail: the n-th one for n = 1, 2, ... until a scenario gets through, failing
 * once, or from there on. Every failure is an error with a message, and when the context closes
 * nothing is left. Then the same calls in a context that stays: after each failure it holds what it
 * held before, and the call succeeds when memory is back. */
#include "tests/fault_scenarios.h"

#include <malloc.h>

#include "src/arena.h"
#include "tests/rigged_alloc.h"

/* ---- the rig ---- */

#ifdef __SANITIZE_ADDRESS__ /* each run takes five times as long */
enum { STEP_ON = 7, STEP_STAYS = 5, STEP_WORKERS = 13 };
#else
enum { STEP_ON = 1, STEP_STAYS = 1, STEP_WORKERS = 7 };
#endif

static long long sweep(const scenario *sc, int threads, bool on, int step) {
    long long n = 1;
    int spared = 0;
    for (;; n += step) {
        rig r = {.fail_at = n, .on = on};
        oct_clear_error();
        oct_ctx *ctx = rig_open(&r, threads);
        oct_status s = ctx ? sc->run(ctx) : failed();
        oct_error e = *oct_last_error();
        if (r.hit && s == OCT_OK && !on && spared < sc->spare)
            spared++;
        else if (r.hit) {
            ck_assert_msg(s == OCT_ENOMEM, "%s: allocation %lld fails, status %d (%s)", sc->name, n,
                          s, oct_error_message());
            ck_assert_msg(e.code == OCT_ENOMEM && *e.what,
                          "%s: allocation %lld fails, record %d (%s)", sc->name, n, e.code,
                          oct_error_message());
        } else
            ck_assert_msg(s == OCT_OK, "%s: %s", sc->name, oct_error_message());
        oct_close(ctx);
        ck_assert_msg(r.blocks == 0 && r.bytes == 0,
                      "%s: allocation %lld fails, %lld blocks of %lld bytes are left", sc->name, n,
                      (long long)r.blocks, (long long)r.bytes);
        if (!r.hit) return n;
    }
}

START_TEST(every_allocation_fails_once) {
    const scenario *sc = &all[_i];
    long long n = sweep(sc, 1, false, 1);
    printf("%s: %lld allocations\n", sc->name, n - 1);
    fflush(stdout);
    ck_assert_int_gt(n, 10);
}
END_TEST

START_TEST(every_allocation_fails_from_there_on) { sweep(&all[_i], 1, true, STEP_ON); }
END_TEST

START_TEST(workers_meet_failures_too) { sweep(&all[_i], 3, false, STEP_WORKERS); }
END_TEST

START_TEST(a_context_that_stays_holds_what_it_held) {
    const scenario *sc = &all[_i];
    if (!sc->stays) return;
    rig r = {.fail_at = 0};
    oct_ctx *ctx = rig_open(&r, 1);
    ck_not_null(ctx);
    ck_ok(sc->run(ctx)); /* scratch and the like have grown */
    ck_ok(sc->run(ctx));
    const octi_arena_mark base = octi_arena_save(octi_ctx_scratch(ctx));
    int spared = 0;
    for (long long n = 1;; n += STEP_STAYS) {
        long long held = r.bytes, blocks = r.blocks;
        r.hit = false;
        r.fail_at = r.calls + n;
        oct_status s = sc->run(ctx);
        r.fail_at = 0;
        const octi_arena_mark left = octi_arena_save(octi_ctx_scratch(ctx));
        ck_assert_msg(left.block == base.block && left.used == base.used,
                      "%s: allocation %lld fails: scratch is not given back (%s)", sc->name, n,
                      oct_error_message());
        if (r.hit && s == OCT_OK && spared < sc->spare)
            spared++;
        else
            ck_assert_msg(s == (r.hit ? OCT_ENOMEM : OCT_OK), "%s: allocation %lld: status %d (%s)",
                          sc->name, n, s, oct_error_message());
        ck_assert_msg(
            r.bytes == held && r.blocks == blocks,
            "%s: allocation %lld fails: %lld blocks in place of %lld, %lld bytes in place of %lld",
            sc->name, n, (long long)r.blocks, blocks, (long long)r.bytes, held);
        if (!r.hit) break;
    }
    ck_ok(sc->run(ctx));
    oct_close(ctx);
    ck_assert(r.blocks == 0);
}
END_TEST

int main(void) {
    /* arenas come and go thousands of times: not through the kernel */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    enum { N = sizeof all / sizeof *all };
    Suite *suite = suite_create("faults");
    TCase *tc = tcase_create("faults");
    tcase_set_timeout(tc, 0);
    tcase_add_unchecked_fixture(tc, prepare_files, remove_files);
    tcase_add_loop_test(tc, every_allocation_fails_once, 0, N);
    tcase_add_loop_test(tc, every_allocation_fails_from_there_on, 0, N);
    tcase_add_loop_test(tc, a_context_that_stays_holds_what_it_held, 0, N);
    tcase_add_loop_test(tc, workers_meet_failures_too, 0, N);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? 1 : 0;
}
