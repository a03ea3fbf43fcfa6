/* SPDX-License-Identifier: MIT
 * tests/fuzz/fuzz.h - what every fuzz target shares: one context with a memory limit, and the
 * demand that an input leaves nothing behind. */
#ifndef OCT_TESTS_FUZZ_FUZZ_H
#define OCT_TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline oct_ctx *fuzz_context(void) {
    static oct_ctx *ctx;
    if (!ctx) ctx = oct_open(&(oct_opts){.threads = 1, .max_bytes = 256 << 20});
    if (!ctx) abort();
    return ctx;
}

/** What must hold: stops the program, so that the fuzzer keeps the input. */
#define fuzz_check(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** A failed call must say why: a code that fits and a place. */
static inline void fuzz_failed(oct_status s) {
    fuzz_check(s != OCT_OK && s != OCT_EINTERNAL && oct_last_error()->code == s &&
               *oct_last_error()->where);
    oct_clear_error();
}

#endif
