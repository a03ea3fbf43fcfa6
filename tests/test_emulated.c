/* SPDX-License-Identifier: MIT
 * Kernels of instruction sets that this machine may lack: their sources compiled with the
 * instructions in C (emulated_x86.h), each held by its slot's case. */
#include "src/cpu.h"
#include "tests/kernel_cases.h"

#define EMULATED(slot, fn) octk_##slot##_fn fn;
#include "tests/emulated.def"

START_TEST(every_emulated_kernel_is_held_by_its_case) {
    octi_cpu_features have;
    int held = 0;
    unsetenv("OCT_CPU");
    ck_ok(octi_cpu_have(&have));
    const octi_cpu_features needed = OCTI_CPU_AVX2 | OCTI_CPU_FMA;
    if ((have & needed) != needed) {
        printf("skipped: what emulates is AVX2, which this machine lacks\n");
        return;
    }
#define EMULATED(slot, fn) held++, check_##slot(fn, #fn);
#include "tests/emulated.def"
    printf("%d kernels held in emulation\n", held);
    ck_assert_int_gt(held, 0);
}
END_TEST

OCT_TEST_MAIN("emulated", every_emulated_kernel_is_held_by_its_case)
