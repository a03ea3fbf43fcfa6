/* SPDX-License-Identifier: MIT
 * Choice of kernels: walk the rows weakest to strongest, the last one whose level is there wins. No ladders. */
#include <pthread.h>

#include "ops/kernels/kernels.h"
#include "src/cpu.h"

static octk_table tables[OCTI_CPU_LEVEL_COUNT];
static octk_names names[OCTI_CPU_LEVEL_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Levels of one family are ordered; NEON levels stand behind the x86 ones, whose rows are not compiled there. */
static void fill(void) {
    for (int level = 0; level < OCTI_CPU_LEVEL_COUNT; level++) {
        octk_table *t = &tables[level];
        octk_names *called = &names[level];
#define OCT_KERNEL(slot, at, fn)                                                                                       \
    if (OCTI_CPU_##at <= level) t->slot = fn, called->slot = #fn;
#include "ops/kernels/kernels.def"
    }
}

const octk_table *octk_kernels_at(int level) {
    pthread_once(&once, fill);
    return octi_cpu_has((octi_cpu_levels)level) ? &tables[level] : NULL;
}

const octk_table *octk_kernels(void) {
    pthread_once(&once, fill);
    return &tables[octi_cpu_level()];
}

const octk_names *octk_kernel_names(void) {
    pthread_once(&once, fill);
    return &names[octi_cpu_level()];
}
