/* SPDX-License-Identifier: MIT
 * A picture of u8 pixels, on disk. */
#include "datasets/data.h"
#include "src/format/png_write.h"
#include "src/words.h"

oct_status oct_image_save(oct_ctx *ctx, const char *path, const uint8_t *pixels, int32_t width,
                          int32_t height, int32_t channels) {
    if (!ctx || !path || !pixels) return octi_fail_null("oct_image_save");
    octi_text png = {.ctx = ctx};
    oct_status s = octi_png_write(&png, pixels, width, height, channels);
    if (s == OCT_OK) s = octi_file_save(ctx, path, png.data, png.size);
    octi_text_free(&png);
    return s;
}
