/* SPDX-License-Identifier: MIT
 * tests/golden.h - reads the values that tests/golden/make_float_golden.py wrote (the form is told
 * there). */
#ifndef OCT_TESTS_GOLDEN_H
#define OCT_TESTS_GOLDEN_H

#include "src/tensor.h"
#include "tests/oct_test.h"

/** Tensor NAME of tests/golden/FILE as a new f32 tensor; the test fails where it is absent. */
static inline oct_tensor *golden(oct_ctx *ctx, const char *file, const char *name) {
    char path[1024], word[128];
    snprintf(path, sizeof path, "%s/tests/golden/%s", OCT_SOURCE_DIR, file);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "cannot read %s", path);
    oct_tensor *t = NULL;
    while (!t && fscanf(f, "%127s", word) == 1) {
        oct_shape s = {.rank = 0};
        if (word[0] == '#') {
            if (fscanf(f, "%*[^\n]") == EOF) break;
            continue;
        }
        if (strcmp(word, "tensor") != 0) continue;
        ck_assert_int_eq(fscanf(f, "%127s %d", word, &s.rank), 2);
        if (strcmp(word, name) != 0) continue;
        ck_assert_int_le(s.rank, OCT_MAX_RANK);
        for (int i = 0; i < s.rank; i++) {
            long long side;
            ck_assert_int_eq(fscanf(f, "%lld", &side), 1);
            s.dim[i] = side;
        }
        ck_not_null(t = oct_tensor_new(ctx, OCT_F32, s));
        for (int64_t i = 0; i < oct_tensor_count(t); i++)
            ck_assert_int_eq(fscanf(f, "%f", &oct_f32(t)[i]), 1);
    }
    fclose(f);
    ck_assert_msg(t != NULL, "%s has no tensor %s", file, name);
    return t;
}

#endif
