/* SPDX-License-Identifier: MIT
 * src/cpu.h - what this machine can do, and the kernels that a context holds because of it. CPU
 * features are asked nowhere else. */
#ifndef OCT_SRC_CPU_H
#define OCT_SRC_CPU_H

#include "status.h"

/** A set of features: bits OCTI_CPU_AVX2, ... */
typedef uint32_t octi_cpu_features;
enum {
#define OCT_CPU_FEATURE(name) OCTI_CPU_BIT_##name,
#include "cpu.def"
};
enum {
#define OCT_CPU_FEATURE(name) OCTI_CPU_##name = 1 << OCTI_CPU_BIT_##name,
#include "cpu.def"
    OCTI_CPU_PROPERTIES = OCTI_CPU_ZEN | OCTI_CPU_BIG_L2 /* no instructions: no word takes them */
};

/** The words of OCT_CPU, and what each leaves of a machine's features. */
typedef struct octi_cpu_word {
    const char *word;
    octi_cpu_features features;
} octi_cpu_word;
extern const octi_cpu_word octi_cpu_words[];
extern const int octi_cpu_word_count;

/** What the machine has (detected once), capped by OCT_CPU as it is set now. OCT_EUSAGE (lists the
 *  known words) for an unknown word. AMX is there only where `amx` asks for it and the system then
 *  grants the process its tiles (below); else *no_amx (may be NULL) says why not. */
typedef struct octi_no_amx {
    const char *why; /* NULL: it is there */
    bool refused;    /* all was well, and the system said no */
} octi_no_amx;
oct_status octi_cpu_have(bool amx, octi_cpu_features *have, octi_no_amx *no_amx);
/** Ask the system for AMX's tiles, for the whole process, for good: signals then need more stack
 *  (8 KiB and more; sigaltstack refuses less). NULL, or why it refuses. Linux's arch_prctl. */
const char *octi_cpu_ask_tiles(void);
#if defined(__x86_64__)
/** What CPUID and XCR0 say: leaf 1's ECX; leaf 7's EBX, ECX, EDX and, of subleaf 1, EAX; leaf 1's
 *  EAX, which has the family; leaf 8000'0006h's ECX, the second-level cache; whether leaf 0 says
 *  AuthenticAMD. */
typedef struct octi_cpuid {
    uint32_t ecx1, ebx7, ecx7, edx7, eax7_1;
    uint64_t xcr0;
    uint32_t eax1, l2;
    bool amd;
} octi_cpuid;
octi_cpu_features octi_cpu_from(const octi_cpuid *raw);
#endif
/** For tests: from now on the machine has these features, and `ask` answers for the system; NULL:
 *  as it is. Nothing that needs them can run, only be chosen. */
void octi_cpu_pretend(octi_cpu_features have, const char *(*ask)(void));
/** The first word whose set holds all of `features`: "ref", "avx2", ... */
const char *octi_cpu_word_of(octi_cpu_features features);
/** Cores that this process may use, at least 1. */
int octi_cpu_count(void);

/** The kernels of a context (ops/kernels/kernels.h). src holds the table and hands it out without
 *  knowing what is in it; the room of the kernels defines these three. oct_open chooses, once: a
 *  table never moves while its context lives. */
typedef struct octk_table octk_table;
extern const size_t octk_table_bytes;
/** Of each slot the last row all of whose needs are in `have`. */
void octk_table_choose(octk_table *t, octi_cpu_features have);
/** What the chosen rows need, together. */
octi_cpu_features octk_table_features(const octk_table *t);

#endif
