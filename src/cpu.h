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
};

/** The words of OCT_CPU, and what each leaves of a machine's features. */
typedef struct octi_cpu_word {
    const char *word;
    octi_cpu_features features;
} octi_cpu_word;
extern const octi_cpu_word octi_cpu_words[];
extern const int octi_cpu_word_count;

/** What the machine has (detected once), capped by OCT_CPU as it is set now. OCT_EUSAGE (lists the
 *  known words) for an unknown word. */
oct_status octi_cpu_have(octi_cpu_features *have);
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
