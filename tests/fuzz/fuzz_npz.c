/* SPDX-License-Identifier: MIT
 * NPZ archives, or a bare NPY where the bytes begin as one. */
#include "src/format/npz.h"
#include "tests/fuzz/fuzz.h"

static void touch(const octi_npy *a) {
    size_t n = a->bytes / (size_t)a->size, sum = 0;
    const uint8_t *p = a->data;
    for (size_t i = 0; i < a->bytes; i++) sum += p[i];
    fuzz_check((size_t)oct_shape_count(&a->shape) == n || sum == SIZE_MAX);
    if (a->kind == 'f') {
        float *v = malloc((n + 1) * sizeof *v);
        fuzz_check(v && octi_npy_to_f32(a, "npy", v) == OCT_OK);
        free(v);
    } else if (n)
        (void)octi_npy_int(a, n - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    oct_ctx *ctx = fuzz_context();
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    octi_npy a;
    if (size && data[0] == 0x93) {
        oct_status s = octi_npy_parse(data, size, "npy", &a);
        if (s == OCT_OK)
            touch(&a);
        else
            fuzz_failed(s);
        return 0;
    }
    octi_npz *z = octi_npz_parse(ctx, data, size, "npz");
    if (!z) fuzz_failed(oct_last_error()->code);
    for (int32_t i = 0; z && i < octi_npz_count(z); i++) {
        oct_status s = octi_npz_get(z, octi_npz_name(z, i), 1 << 20, &a);
        if (s == OCT_OK)
            touch(&a);
        else
            fuzz_failed(s);
    }
    octi_npz_free(z);
    fuzz_check(oct_ctx_memory(ctx, OCT_MEMORY_BYTES) == held);
    return 0;
}
