/* SPDX-License-Identifier: MIT
 * tests/kernel_cases.h - a case for every slot of kernels.def: check_<slot>(kernel, its name) holds
 * one kernel against the law, or against sums in double, over sizes, pitches and extremes.
 * test_kernels.c runs it for every row that the machine has; a slot without a case is NULL there (a
 * weak symbol), and named. */
#ifndef OCT_TESTS_KERNEL_CASES_H
#define OCT_TESTS_KERNEL_CASES_H

#include "ops/kernels/kernels.h"
#include "src/rng.h"
#include "tests/oct_test.h"

#define OCT_KERNEL_SLOT(slot)                                                                      \
    void check_##slot(octk_##slot##_fn *kernel, const char *name) __attribute__((weak));
#include "ops/kernels/kernels.def"

/** Rounds of a case are divided by this where each costs ten times as much. */
#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED_PART = 8 };
#else
enum { SANITIZED_PART = 1 };
#endif
static inline int below(octi_rng *r, int n) { return (int)octi_rng_below(r, (uint32_t)n); }
/** A block of bytes that nobody wrote: what a kernel leaves beside its output must still be
 *  there. */
static inline void *untouched(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    memset(p, 0xa5, bytes);
    return p;
}
/** Failures alone call Check: these loops are long. */
#define same_bytes(name, got, want, bytes)                                                         \
    do {                                                                                           \
        if (memcmp((got), (want), (bytes))) ck_abort_msg("%s: not the law's bytes", (name));       \
    } while (0)

#endif
