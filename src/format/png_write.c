/* SPDX-License-Identifier: MIT
 * Pixels to PNG: each row by the filter whose bytes are smallest in sum (the standard's own
 * advice), deflated by zlib. */
#include "src/format/png_write.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/mem.h"

enum { SIDE_MOST = 65535, FILTERS = 4 }; /* none, sub, up, Paeth; average seldom wins */
static const uint8_t filter_codes[FILTERS] = {0, 1, 2, 4};

static int paeth(int a, int b, int c) {
    const int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    if (pa <= pb && pa <= pc) return a;
    return pb <= pc ? b : c;
}

static uint8_t filtered(int filter, const uint8_t *row, const uint8_t *above, size_t i,
                        size_t bpp) {
    const int a = i >= bpp ? row[i - bpp] : 0, b = above ? above[i] : 0,
              c = above && i >= bpp ? above[i - bpp] : 0;
    const int guess[FILTERS] = {0, a, b, paeth(a, b, c)};
    return (uint8_t)(row[i] - guess[filter]);
}

static int best_filter(const uint8_t *row, const uint8_t *above, size_t n, size_t bpp) {
    int best = 0;
    int64_t least = INT64_MAX;
    for (int f = 0; f < FILTERS; f++) {
        int64_t sum = 0;
        for (size_t i = 0; i < n; i++) sum += abs((int8_t)filtered(f, row, above, i, bpp));
        if (sum >= least) continue;
        least = sum;
        best = f;
    }
    return best;
}

static void put_u32(uint8_t *to, uint32_t v) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put_chunk(octi_text *out, const char *type, const uint8_t *bytes, size_t size) {
    uint8_t word[4];
    put_u32(word, (uint32_t)size);
    octi_text_bytes(out, word, 4);
    octi_text_bytes(out, type, 4);
    if (size) octi_text_bytes(out, bytes, size);
    uLong crc = crc32(crc32(0, NULL, 0), (const Bytef *)type, 4);
    if (size) crc = crc32(crc, bytes, (uInt)size);
    put_u32(word, (uint32_t)crc);
    octi_text_bytes(out, word, 4);
}

static void put_image(octi_text *out, const uint8_t *packed, size_t size, int32_t width,
                      int32_t height, int32_t channels) {
    uint8_t head[13] = {[8] = 8, [9] = channels == 3 ? 2 : 0};
    put_u32(head, (uint32_t)width);
    put_u32(head + 4, (uint32_t)height);
    octi_text_bytes(out, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(out, "IHDR", head, sizeof head);
    put_chunk(out, "IDAT", packed, size);
    put_chunk(out, "IEND", NULL, 0);
}

oct_status octi_png_write(octi_text *out, const uint8_t *pixels, int32_t width, int32_t height,
                          int32_t channels) {
    OCT_TRY(out->status);
    if (width < 1 || height < 1 || width > SIDE_MOST || height > SIDE_MOST ||
        (channels != 1 && channels != 3))
        return octi_fail(OCT_EUSAGE, "PNG", "size of an image",
                         "sides of 1 to 65535, 1 or 3 channels",
                         octi_fmt("%d x %d x %d", height, width, channels), NULL);
    const size_t bpp = (size_t)channels, n = (size_t)width * bpp, all = (n + 1) * (size_t)height;
    uLongf size = compressBound((uLong)all);
    /* a chunk counts its bytes in 31 bits */
    if (size > INT32_MAX)
        return octi_fail(OCT_ELIMIT, "PNG", "image is too large", "2 GiB of pixels", NULL, NULL);
    uint8_t *raw = octi_alloc_raw(out->ctx, all), *packed = octi_alloc_raw(out->ctx, size);
    for (int32_t y = 0; raw && packed && y < height; y++) {
        const uint8_t *row = pixels + (size_t)y * n, *above = y ? row - n : NULL;
        uint8_t *to = raw + (size_t)y * (n + 1);
        const int f = best_filter(row, above, n, bpp);
        *to++ = filter_codes[f];
        for (size_t i = 0; i < n; i++) to[i] = filtered(f, row, above, i, bpp);
    }
    if (!raw || !packed)
        out->status = oct_last_error()->code;
    else if (compress2(packed, &size, raw, (uLong)all, Z_BEST_COMPRESSION) != Z_OK)
        out->status = octi_fail(OCT_ENOMEM, "PNG", "zlib cannot deflate", NULL, NULL, NULL);
    else
        put_image(out, packed, size, width, height, channels);
    octi_free(out->ctx, packed);
    octi_free(out->ctx, raw);
    return out->status;
}
