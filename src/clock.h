/* SPDX-License-Identifier: MIT
 * src/clock.h - time that passes, by a clock that nobody sets. */
#ifndef OCT_SRC_CLOCK_H
#define OCT_SRC_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t octi_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline double octi_seconds(void) { return 1e-9 * (double)octi_nanoseconds(); }

#endif
