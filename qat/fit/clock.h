/* SPDX-License-Identifier: MIT
 * qat/fit/clock.h - seconds that pass, for rates and for saves every so often. */
#ifndef OCT_QAT_FIT_CLOCK_H
#define OCT_QAT_FIT_CLOCK_H

#include <time.h>

static inline double octi_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
