/* SPDX-License-Identifier: MIT
 * tests/thread_checks.h - checks in threads of a test's own. Check leaves a test that fails by a
 * jump to where it began, which another thread's stack does not have: the test would hang, or
 * worse. With this header a check that fails there says so and ends the program. */
#ifndef OCT_TESTS_THREAD_CHECKS_H
#define OCT_TESTS_THREAD_CHECKS_H

#include <stdarg.h>

#include "tests/oct_test.h"

/** Where the calling thread is not the program's first: print the check and exit with 1. */
static inline void end_where_thread_failed(const char *file, int line, const char *check, ...) {
    if (gettid() == getpid()) return;
    va_list args;
    va_start(args, check);
    const char *format = va_arg(args, const char *);
    fflush(stdout);
    fprintf(stderr, "%s:%d: in a thread: %s", file, line, check);
    if (format) fputs(": ", stderr), vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    _exit(1);
}

/* the name is not expanded again inside */
#define _ck_assert_failed(...)                                                                     \
    (end_where_thread_failed(__VA_ARGS__, NULL), _ck_assert_failed(__VA_ARGS__))

#endif
