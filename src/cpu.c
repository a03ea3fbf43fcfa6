/* SPDX-License-Identifier: MIT
 * Asks the CPU for its features, once, and reads the cap that OCT_CPU sets. */
#define _GNU_SOURCE
#include "src/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "src/threads.h"
#include "src/words.h"

const octi_cpu_word octi_cpu_words[] = {
#define OCT_CPU_WORD(word, features) {word, features},
#include "src/cpu.def"
};
const int octi_cpu_word_count = sizeof octi_cpu_words / sizeof *octi_cpu_words;

#if defined(__x86_64__)
/* CPUID alone says what the silicon has; XCR0 what the system saves when it switches threads. By
 * hand, since the compilers' built-ins do not know every name here. */
enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xe6, XCR0_AMX = 0x60000 };

static uint64_t saved_state(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static octi_cpu_features detect(void) {
    uint32_t a, b, c, d, ecx1, leaves;
    octi_cpu_features f = 0;
    if (!__get_cpuid(1, &a, &b, &ecx1, &d) || !(ecx1 & bit_OSXSAVE) ||
        !__get_cpuid_count(7, 0, &leaves, &b, &c, &d))
        return 0;
    uint64_t xcr0 = saved_state();
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !(ecx1 & bit_AVX)) return 0;
    if (b & bit_AVX2) f |= OCTI_CPU_AVX2;
    if (ecx1 & bit_FMA) f |= OCTI_CPU_FMA;
    const uint32_t parts = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((xcr0 & XCR0_AVX512) == XCR0_AVX512 && (b & parts) == parts) {
        f |= OCTI_CPU_AVX512;
        if (c & bit_AVX512VNNI) f |= OCTI_CPU_AVX512VNNI;
    }
    const uint32_t amx = 1u << 24 | 1u << 25; /* AMX-TILE, AMX-INT8 */
    if ((xcr0 & XCR0_AMX) == XCR0_AMX && (d & amx) == amx) f |= OCTI_CPU_AMX;
    if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4))
        f |= OCTI_CPU_AVXVNNI;
    return f;
}
#elif defined(__aarch64__)
static octi_cpu_features detect(void) {
    octi_cpu_features f = OCTI_CPU_NEON;
    if (getauxval(AT_HWCAP) & 1ul << 20) f |= OCTI_CPU_DOTPROD; /* HWCAP_ASIMDDP */
    if (getauxval(AT_HWCAP2) & 1ul << 13) f |= OCTI_CPU_I8MM;   /* HWCAP2_I8MM */
    return f;
}
#else
static octi_cpu_features detect(void) { return 0; }
#endif

static octi_cpu_features detected;
static void detect_once(void) { detected = detect(); }

oct_status octi_cpu_have(octi_cpu_features *have) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect_once);
    *have = detected;
    const char *word = getenv("OCT_CPU");
    if (!word || !*word) return OCT_OK;
    char known[200] = "";
    for (int i = 0; i < octi_cpu_word_count; i++) {
        if (!strcmp(word, octi_cpu_words[i].word))
            return *have &= octi_cpu_words[i].features, OCT_OK;
        if (i) strcat(known, ", ");
        strcat(known, octi_cpu_words[i].word);
    }
    return octi_fail_word(OCT_EUSAGE, "OCT_CPU", "unknown word", known, word,
                          "unset it to use what the machine has");
}

const char *octi_cpu_word_of(octi_cpu_features features) {
    for (int i = 0; i < octi_cpu_word_count; i++)
        if (!(features & ~octi_cpu_words[i].features)) return octi_cpu_words[i].word;
    return "?"; /* a row of kernels.def that no word leaves: test_cpu would say so */
}

int octi_cpu_count(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > OCTI_MAX_THREADS ? OCTI_MAX_THREADS : n;
}
