/* SPDX-License-Identifier: MIT
 * IDX of images and labels; gzip first where the bytes say so. */
#include "datasets/set.h"
#include "src/format/bytes.h"
#include "tests/fuzz/fuzz.h"

static void parse(const uint8_t *data, size_t size) {
    for (int rank = 1; rank <= 3; rank += 2) {
        octi_idx x;
        oct_status s = octi_idx_parse(data, size, "idx", rank, &x);
        if (s != OCT_OK) {
            fuzz_failed(s);
            continue;
        }
        size_t n = x.dim[0];
        for (int i = 1; i < rank; i++) n *= x.dim[i];
        fuzz_check(x.data + n == data + size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    oct_ctx *ctx = fuzz_context();
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    if (size > 1 && data[0] == 0x1f && data[1] == 0x8b) {
        uint8_t *plain;
        size_t n;
        oct_status s = octi_gunzip(ctx, data, size, 1 << 20, NULL, "gz", &plain, &n);
        if (s == OCT_OK) {
            parse(plain, n);
            octi_free(ctx, plain);
        } else
            fuzz_failed(s);
    } else
        parse(data, size);
    fuzz_check(oct_ctx_memory(ctx, OCT_MEMORY_BYTES) == held);
    return 0;
}
