/* SPDX-License-Identifier: MIT
 * tests/oct_test.h - the few things that every test program shares. */
#ifndef OCT_TESTS_OCT_TEST_H
#define OCT_TESTS_OCT_TEST_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/context.h"
#include "src/status.h"
#include "tests/long_test.h"

/** Built with the thread sanitizer, under which a program takes fifty times as long: gcc says so by
 *  a macro, clang by a feature. */
#if defined(__SANITIZE_THREAD__)
#define OCT_TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OCT_TEST_TSAN 1
#endif
#endif
#ifndef OCT_TEST_TSAN
#define OCT_TEST_TSAN 0
#endif

/** The call must succeed; else its error message is the failure. */
#define ck_ok(call) ck_assert_msg((call) == OCT_OK, "%s: %s", #call, oct_error_message())
/** The call must fail with status `want`, and the message must contain `text`. */
#define ck_fails(want, text, call)                                                                 \
    do {                                                                                           \
        oct_clear_error();                                                                         \
        ck_assert_int_eq((call), (want));                                                          \
        ck_assert_int_eq(oct_last_error()->code, (want));                                          \
        ck_assert_msg(strstr(oct_error_message(), (text)) != NULL, "message \"%s\" lacks \"%s\"",  \
                      oct_error_message(), text);                                                  \
    } while (0)
#define ck_not_null(p) ck_assert_msg((p) != NULL, "%s: %s", #p, oct_error_message())

/** Folder of a data set in $OCTET_DATA or beside the checkout; NULL (and a printed word) where it
 *  is absent. */
static inline const char *test_data(const char *name) {
    static char path[1024];
    const char *env = getenv("OCTET_DATA");
    const char *roots[] = {env ? env : "", OCT_SOURCE_DIR "/../shared/data", "/tmp/octet-data"};
    for (int i = 0; i < 3; i++) {
        if (!*roots[i]) continue;
        snprintf(path, sizeof path, "%s/%s", roots[i], name);
        if (!access(path, R_OK)) return path;
    }
    printf("skipped: %s is not there (set OCTET_DATA)\n", name);
    return NULL;
}

/** $OCT_TEST_SEED, for another draw of what a test draws; 0 in the suite. */
static inline uint64_t test_seed(void) {
    const char *seed = getenv("OCT_TEST_SEED");
    return seed ? strtoull(seed, NULL, 10) : 0;
}

/** main of a test program: runs one suite of one case made of the listed tests; setup and teardown
 *  around each, or NULL. All in one process, where sanitizers and debuggers see them, unless
 *  CK_FORK says otherwise. */
#define OCT_TEST_MAIN_WITH(name, setup, teardown, ...)                                             \
    int main(void) {                                                                               \
        Suite *suite = suite_create(name);                                                         \
        TCase *tc = tcase_create(name);                                                            \
        tcase_set_timeout(tc, 0);                                                                  \
        tcase_add_checked_fixture(tc, setup, teardown);                                            \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tcase_add_test(tc, tests[i]);    \
        suite_add_tcase(suite, tc);                                                                \
        SRunner *runner = srunner_create(suite);                                                   \
        if (!getenv("CK_FORK"))                                                                    \
            srunner_set_fork_status(runner, CK_NOFORK); /* by hand as in ctest */                  \
        srunner_run_all(runner, CK_NORMAL);                                                        \
        int failed = srunner_ntests_failed(runner);                                                \
        srunner_free(runner);                                                                      \
        return failed ? 1 : 0;                                                                     \
    }
#define OCT_TEST_MAIN(name, ...) OCT_TEST_MAIN_WITH(name, NULL, NULL, __VA_ARGS__)

#endif
