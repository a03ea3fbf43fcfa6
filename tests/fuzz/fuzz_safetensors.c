/* SPDX-License-Identifier: MIT
 * safetensors; bytes that begin with a blank are taken as JSON alone. */
#include "src/format/json.h"
#include "src/format/safetensors.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    oct_ctx *ctx = fuzz_context();
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    if (size && data[0] == ' ') {
        cJSON *root;
        oct_status s = octi_json_parse(ctx, data, size, "json", &root);
        if (s == OCT_OK)
            octi_json_free(root);
        else
            fuzz_failed(s);
        return 0;
    }
    octi_safetensors *st = octi_safetensors_parse(ctx, data, size, "st");
    if (!st) fuzz_failed(oct_last_error()->code);
    size_t sum = 0;
    for (int32_t i = 0; st && i < octi_safetensors_count(st); i++) {
        const octi_safetensors_entry *e = octi_safetensors_at(st, i);
        fuzz_check(octi_safetensors_find(st, e->name) == e);
        fuzz_check(!e->bytes || ((const uint8_t *)e->data >= data &&
                                 (const uint8_t *)e->data + e->bytes <= data + size));
        sum += e->bytes;
        oct_tensor *t = octi_safetensors_tensor(ctx, e, e->dtype == OCT_DTYPE_COUNT);
        if (!t) fuzz_failed(oct_last_error()->code);
        oct_tensor_unref(t);
    }
    fuzz_check(sum <= size);
    octi_safetensors_free(st);
    fuzz_check(oct_ctx_memory(ctx, OCT_MEMORY_BYTES) == held);
    return 0;
}
