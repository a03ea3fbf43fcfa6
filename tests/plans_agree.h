/* SPDX-License-Identifier: MIT
 * tests/plans_agree.h - both kinds of plan of one int8 net. */
#ifndef OCT_TESTS_PLANS_AGREE_H
#define OCT_TESTS_PLANS_AGREE_H

#include "tests/oct_test.h"

#include "qat/infer/infer.h"

/** The plan that deployment runs (fused, memory shared, `cut` images at a time) gives what the
 *  plain one gives. */
static inline void plans_agree(const oct_net *i8, const oct_tensor *x, int64_t cut) {
    const int64_t n = x->shape.dim[0], image = oct_tensor_count(x) / n;
    float *y[2] = {NULL};
    int64_t outputs = 0;
    for (int unfused = 0; unfused < 2; unfused++) {
        oct_plan *plan = oct_plan_new(i8, &(oct_plan_opts){.unfused = unfused});
        oct_session *s = oct_session_new(plan, unfused ? n : cut, NULL, 0);
        ck_not_null(s);
        const oct_shape all = oct_plan_output_shape(plan);
        outputs = 1;
        for (int k = 1; k < all.rank; k++) outputs *= all.dim[k];
        y[unfused] = calloc((size_t)(n * outputs), sizeof *y[0]);
        for (int64_t i = 0, step = unfused ? n : cut; i < n; i += step)
            ck_ok(oct_session_run(s, oct_f32(x) + i * image, n - i < step ? n - i : step,
                                  y[unfused] + i * outputs));
        oct_session_free(s);
        oct_plan_free(plan);
    }
    ck_assert_msg(!memcmp(y[0], y[1], (size_t)(n * outputs) * sizeof *y[0]),
                  "the fused plan gives something else");
    free(y[0]);
    free(y[1]);
}

#endif
