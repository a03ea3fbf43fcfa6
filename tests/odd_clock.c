/* SPDX-License-Identifier: MIT
 * A clock that stands still, or with ODD_CLOCK=back goes back: to be loaded before a program
 * (test_odd_clock.sh). */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *t) {
    static long calls;
    const char *how = getenv("ODD_CLOCK");
    (void)id;
    *t = (struct timespec){.tv_sec = 1000000};
    if (how && !strcmp(how, "back")) t->tv_sec -= ++calls;
    return 0;
}
