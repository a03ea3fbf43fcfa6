/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "src/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "src/threads.h"
#include "src/words.h"

static const char *const level_words[OCTI_CPU_LEVEL_COUNT] = {
#define OCT_CPU_LEVEL(name, word) word,
#include "src/cpu.def"
#undef OCT_CPU_LEVEL
};

static octi_cpu_levels detected, in_use;

#if defined(__x86_64__)
/* gcc's built-ins check XCR0 too, so a feature that the OS does not save is not reported. */
static octi_cpu_levels detect(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return OCTI_CPU_REF;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return OCTI_CPU_AVX512VNNI;
    return OCTI_CPU_AVX2;
}
static bool same_family(octi_cpu_levels l) { return l <= OCTI_CPU_AMX; }
#elif defined(__aarch64__)
static octi_cpu_levels detect(void) { return OCTI_CPU_NEON; }
static bool same_family(octi_cpu_levels l) { return l >= OCTI_CPU_NEON; }
#else
static octi_cpu_levels detect(void) { return OCTI_CPU_REF; }
static bool same_family(octi_cpu_levels l) { return l == OCTI_CPU_REF; }
#endif

static void detect_once(void) { detected = in_use = detect(); }

oct_status octi_cpu_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect_once);
    const char *word = getenv("OCT_CPU");
    if (!word || !*word) return in_use = detected, OCT_OK;
    for (int i = 0; i < OCTI_CPU_LEVEL_COUNT; i++)
        if (!strcmp(word, level_words[i])) {
            octi_cpu_levels cap = same_family((octi_cpu_levels)i) ? (octi_cpu_levels)i : OCTI_CPU_REF;
            in_use = cap < detected ? cap : detected;
            return OCT_OK;
        }
    char known[200] = "";
    for (int i = 0; i < OCTI_CPU_LEVEL_COUNT; i++) {
        if (i) strcat(known, ", ");
        strcat(known, level_words[i]);
    }
    return octi_fail_word(OCT_EUSAGE, "OCT_CPU", "unknown CPU level", known, word, "unset it to use what the machine has");
}

octi_cpu_levels octi_cpu_level(void) { return in_use; }
const char *octi_cpu_level_name(octi_cpu_levels l) { return (unsigned)l < OCTI_CPU_LEVEL_COUNT ? level_words[l] : "?"; }
bool octi_cpu_has(octi_cpu_levels l) { return l == OCTI_CPU_REF || (same_family(l) && l <= in_use); }

int octi_cpu_count(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > OCTI_MAX_THREADS ? OCTI_MAX_THREADS : n;
}
