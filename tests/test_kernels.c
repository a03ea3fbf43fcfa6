/* SPDX-License-Identifier: MIT
 * Every row of kernels.def that this machine can run is held by its slot's case (kernel_cases.h); a
 * slot without one fails. */
#include "src/cpu.h"
#include "tests/kernel_cases.h"

START_TEST(every_slot_has_a_case) {
    const char *missing = NULL;
#define OCT_KERNEL_SLOT(slot)                                                                      \
    if (!check_##slot) missing = #slot;
#include "ops/kernels/kernels.def"
    ck_assert_msg(!missing,
                  "slot %s of kernels.def has no case: write check_%s (tests/kernel_cases.h)",
                  missing, missing);
}
END_TEST

START_TEST(every_row_is_held_by_its_case) {
    octi_cpu_features have;
    int rows = 0, left_out = 0;
    /* all that the machine has, whatever the rest of the tests are capped to */
    unsetenv("OCT_CPU");
    ck_ok(octi_cpu_have(true, &have, NULL));
#define OCT_KERNEL(slot, needed, fn)                                                               \
    if ((octi_cpu_features)(needed) & ~have)                                                       \
        left_out++;                                                                                \
    else if (rows++, check_##slot)                                                                 \
        check_##slot(fn, #fn);
#include "ops/kernels/kernels.def"
    printf("%d kernels held, %d left out: this machine lacks what they need\n", rows, left_out);
    ck_assert_int_gt(rows, 0);
}
END_TEST

OCT_TEST_MAIN("kernels", every_slot_has_a_case, every_row_is_held_by_its_case)
