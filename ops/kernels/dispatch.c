/* SPDX-License-Identifier: MIT
 * Choice of kernels: walk the rows, the last one whose needs are all there wins. No ladders. */
#include "ops/kernels/kernels.h"
#include "src/cpu.h"

const size_t octk_table_bytes = sizeof(octk_table);

void octk_table_choose(octk_table *t, octi_cpu_features have) {
    *t = (octk_table){.have = have};
#define OCT_KERNEL(slot, set, fn)                                                                  \
    if (!((octi_cpu_features)(set) & ~have))                                                       \
        t->slot = fn, t->name.slot = #fn, t->needs.slot = (set);
#include "ops/kernels/kernels.def"
}

octi_cpu_features octk_table_features(const octk_table *t) {
    octi_cpu_features used = 0;
#define OCT_KERNEL_SLOT(slot) used |= t->needs.slot;
#include "ops/kernels/kernels.def"
    return used;
}
