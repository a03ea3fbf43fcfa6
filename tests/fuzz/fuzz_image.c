/* SPDX-License-Identifier: MIT
 * Image files of at most 64 Ki pixels, decoded twice: what passes must be a function of the bytes
 * alone. */
#include "datasets/data.h"
#include "datasets/image_check.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    oct_ctx *ctx = fuzz_context();
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    octi_image_info info;
    oct_status s = octi_image_check(data, size, "image", &info);
    if (s != OCT_OK) return fuzz_failed(s), 0;
    if ((int64_t)info.width * info.height > 65536) return 0;
    static uint8_t first[24 * 24 * 3], again[24 * 24 * 3];
    oct_input_desc in = {.channels = 3, .height = 24, .width = 24, .color = OCT_COLOR_RGB};
    memset(first, 1, sizeof first);
    s = oct_image_decode(ctx, data, size, "image", &in, first);
    if (s != OCT_OK)
        fuzz_failed(s);
    else {
        fuzz_check(oct_image_decode(ctx, data, size, "image", &in, again) == OCT_OK);
        fuzz_check(!memcmp(first, again, sizeof first));
    }
    in = (oct_input_desc){.channels = 1, .height = 5, .width = 5, .resize = 6, .crop = 5};
    s = oct_image_decode(ctx, data, size, "image", &in, again);
    if (s != OCT_OK) fuzz_failed(s);
    fuzz_check(oct_ctx_memory(ctx, OCT_MEMORY_BYTES) == held);
    return 0;
}
