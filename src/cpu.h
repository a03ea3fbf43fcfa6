/* SPDX-License-Identifier: MIT
 * src/cpu.h - which kernels this machine can run. CPU features are asked nowhere else. */
#ifndef OCT_SRC_CPU_H
#define OCT_SRC_CPU_H

#include "status.h"

typedef enum octi_cpu_levels {
#define OCT_CPU_LEVEL(name, word) OCTI_CPU_##name,
#include "cpu.def"
#undef OCT_CPU_LEVEL
    OCTI_CPU_LEVEL_COUNT
} octi_cpu_levels;

/** Detect once, read OCT_CPU. OCT_EUSAGE (lists the known words) for an unknown word. */
oct_status octi_cpu_init(void);
/** Level in use: what the machine has, capped by OCT_CPU. */
octi_cpu_levels octi_cpu_level(void);
const char *octi_cpu_level_name(octi_cpu_levels level);
/** True where kernels of `level` may run now. */
bool octi_cpu_has(octi_cpu_levels level);
/** Cores that this process may use, at least 1. */
int octi_cpu_count(void);

#endif
