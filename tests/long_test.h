/* SPDX-License-Identifier: MIT
 * tests/long_test.h - the one reading of OCT_TEST_LONG, for programs with Check and without. */
#ifndef OCT_TESTS_LONG_TEST_H
#define OCT_TESTS_LONG_TEST_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/** OCT_TEST_LONG=1: all rounds. Unset, or 0 as tools/check sets it: the suite's. */
static inline bool oct_test_long(void) {
    const char *more = getenv("OCT_TEST_LONG");
    return more && !strcmp(more, "1");
}

#endif
