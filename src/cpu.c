/* SPDX-License-Identifier: MIT
 * Asks the CPU for its features, once, and reads the cap that OCT_CPU sets. */
#define _GNU_SOURCE
#include "src/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static bool all(uint64_t of, uint64_t bits) { return (of & bits) == bits; }

/* Zen to Zen 4 are 17h to 19h; Zen 5 is 1Ah. */
static bool zen(const octi_cpuid *raw) {
    const uint32_t base = raw->eax1 >> 8 & 0xf, more = raw->eax1 >> 20 & 0xff;
    return raw->amd && base == 0xf && base + more < 0x1a;
}

octi_cpu_features octi_cpu_from(const octi_cpuid *raw) {
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL,
                   amx = 1u << 24 | 1u << 25; /* AMX-TILE, AMX-INT8 */
    octi_cpu_features f = 0;
    if (!all(raw->ecx1, bit_OSXSAVE | bit_AVX) || !all(raw->xcr0, XCR0_AVX)) return 0;
    if (raw->ebx7 & bit_AVX2) f |= OCTI_CPU_AVX2;
    if (raw->ecx1 & bit_FMA) f |= OCTI_CPU_FMA;
    if (raw->eax7_1 & 1u << 4) f |= OCTI_CPU_AVXVNNI;
    if (all(raw->xcr0, XCR0_AVX512) && all(raw->ebx7, avx512)) {
        f |= OCTI_CPU_AVX512;
        if (raw->ecx7 & bit_AVX512VNNI) f |= OCTI_CPU_AVX512VNNI;
    }
    if (all(raw->xcr0, XCR0_AMX) && all(raw->edx7, amx)) f |= OCTI_CPU_AMX;
    if (zen(raw)) f |= OCTI_CPU_ZEN;
    if (raw->l2 >> 16 >= 2048) f |= OCTI_CPU_BIG_L2; /* KB */
    return f;
}

static octi_cpu_features detect(void) {
    octi_cpuid raw = {0};
    uint32_t a, b = 0, c = 0, d = 0, leaves;
    if (!__get_cpuid(1, &raw.eax1, &b, &raw.ecx1, &d) || !(raw.ecx1 & bit_OSXSAVE) ||
        !__get_cpuid_count(7, 0, &leaves, &raw.ebx7, &raw.ecx7, &raw.edx7))
        return 0;
    raw.xcr0 = saved_state();
    if (leaves >= 1) __get_cpuid_count(7, 1, &raw.eax7_1, &b, &c, &d);
    if (!__get_cpuid(0x80000006, &a, &b, &raw.l2, &d)) raw.l2 = 0;
    raw.amd = __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx && c == signature_AMD_ecx &&
              d == signature_AMD_edx;
    return octi_cpu_from(&raw);
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

#if defined(__x86_64__) && defined(__linux__)
const char *octi_cpu_ask_tiles(void) {
    enum { GET = 0x1022, REQUEST = 0x1023, TILE_DATA = 18 }; /* asm/prctl.h, of Linux 5.16 */
    unsigned long granted = 0;
    if (syscall(SYS_arch_prctl, REQUEST, TILE_DATA))
        return errno == ENOSPC ? "a thread's signal stack is too small for tiles (sigaltstack)"
                               : "the system does not give this process tiles (arch_prctl)";
    if (syscall(SYS_arch_prctl, GET, &granted) || !(granted >> TILE_DATA & 1))
        return "the system says that it gave tiles, and did not";
    return NULL;
}
#else
const char *octi_cpu_ask_tiles(void) { return "octet asks for tiles on Linux alone"; }
#endif

static octi_cpu_features detected;
static void detect_once(void) { detected = detect(); }
static struct {
    octi_cpu_features have;
    const char *(*ask)(void); /* NULL: nothing is pretended */
} pretended;

void octi_cpu_pretend(octi_cpu_features have, const char *(*ask)(void)) {
    pretended.have = have;
    pretended.ask = ask;
}

/* The cap that OCT_CPU sets. */
static oct_status cap(octi_cpu_features *have) {
    const char *word = getenv("OCT_CPU");
    if (!word || !*word) return OCT_OK;
    char known[200] = "";
    for (int i = 0; i < octi_cpu_word_count; i++) {
        if (!strcmp(word, octi_cpu_words[i].word))
            return *have &= octi_cpu_words[i].features | OCTI_CPU_PROPERTIES, OCT_OK;
        if (i) strcat(known, ", ");
        strcat(known, octi_cpu_words[i].word);
    }
    return octi_fail_word(OCT_EUSAGE, "OCT_CPU", "unknown word", known, word,
                          "unset it to use what the machine has");
}

/* Whether AMX may be used. The system is asked last: its answer changes the process. */
static octi_no_amx missing_amx(bool wanted, octi_cpu_features machine, octi_cpu_features capped) {
#ifdef OCT_NO_AMX
    return (octi_no_amx){.why = "octet was built for another CPU, or by a compiler without AMX"};
#endif
    if (!(machine & OCTI_CPU_AMX))
        return (octi_no_amx){.why = "this CPU has none, or its system does not save tiles"};
    if (!(capped & OCTI_CPU_AMX)) return (octi_no_amx){.why = "OCT_CPU leaves it out"};
    if (!wanted) return (octi_no_amx){.why = "nobody asked for it (oct_opts.amx)"};
    const char *why = pretended.ask ? pretended.ask() : octi_cpu_ask_tiles();
    return (octi_no_amx){why, why != NULL};
}

oct_status octi_cpu_have(bool amx, octi_cpu_features *have, octi_no_amx *no_amx) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect_once);
    const octi_cpu_features machine = pretended.ask ? pretended.have : detected;
    *have = machine;
    OCT_TRY(cap(have));
    const octi_no_amx no = missing_amx(amx, machine, *have);
    if (no.why) *have &= ~(octi_cpu_features)OCTI_CPU_AMX;
    if (no_amx) *no_amx = no;
    return OCT_OK;
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
