/* SPDX-License-Identifier: MIT
 * The C heap fails too: cJSON, zlib, libjpeg, readdir and the like ask malloc, not the context. Its
 * n-th call fails for n = 1, 2, ...;
 * each loader says memory, never damage or I/O, and loads when memory is back. (test_faults.c does
 * the context's own memory.) */
#include <errno.h>
#include <stdatomic.h>

#include "tests/fault_scenarios.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static atomic_long calls, fail_at; /* fail_at 0: never */
static bool fails(void) {
    if (!fail_at || atomic_fetch_add(&calls, 1) + 1 != fail_at) return false;
    errno = ENOMEM;
    return true;
}
#define SEEN __attribute__((visibility("default"))) /* by the shared libraries */
SEEN void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
SEEN void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
SEEN void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }

static oct_status qconfig(oct_ctx *ctx) {
    oct_qconfig c = {0};
    return oct_qconfig_parse(ctx, "*:wbits=4", &c);
}

/* what asks the heap beside the context: those that read or write files, and this one */
enum { SCENARIOS = sizeof all / sizeof *all };
static const scenario more = {"qconfig", qconfig, true, .heap = true};

START_TEST(each_malloc_that_fails_is_told_as_memory) {
    const scenario *sc = _i < SCENARIOS ? &all[_i] : &more;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_ok(sc->run(ctx));
    long n = 1;
    for (;; n += oct_test_long() || sc->heap ? 1 : 31) {
        calls = 0;
        oct_clear_error();
        fail_at = n;
        oct_status s = sc->run(ctx);
        bool hit = calls >= n;
        fail_at = 0;
        if (!hit) {
            ck_assert_int_eq(s, OCT_OK);
            break;
        }
        ck_assert_msg(s == OCT_ENOMEM || s == OCT_OK, "%s: malloc %ld fails: status %d (%s)",
                      sc->name, n, s, oct_error_message());
    }
    printf("%s: up to %ld calls of malloc\n", sc->name, n - 1);
    oct_close(ctx);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("malloc_faults");
    TCase *tc = tcase_create("malloc_faults");
    tcase_set_timeout(tc, 0);
    tcase_add_unchecked_fixture(tc, prepare_files, remove_files);
    tcase_add_loop_test(tc, each_malloc_that_fails_is_told_as_memory, 0, SCENARIOS + 1);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? 1 : 0;
}
