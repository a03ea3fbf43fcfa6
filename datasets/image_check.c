/* SPDX-License-Identifier: MIT
 * Judges an image's bytes before a decoder sees them: kind by its first bytes, sides, the
 * structure from first marker to last. */
#include "datasets/image_check.h"

#include <string.h>

#include "src/format/bytes.h"
#include "src/mem.h"

oct_status octi_image_size(const char *where, int64_t w, int64_t h) {
    if (w < 1 || h < 1)
        return octi_fail(OCT_EFORMAT, where, "image size", "at least 1 x 1",
                         octi_fmt("%lld x %lld", (long long)w, (long long)h), NULL);
    if (w > OCTI_IMAGE_SIDE || h > OCTI_IMAGE_SIDE || w * h > OCTI_IMAGE_PIXELS)
        return octi_fail(
            OCT_ELIMIT, where, "image size",
            octi_fmt("at most %d a side and %d pixels", OCTI_IMAGE_SIDE, OCTI_IMAGE_PIXELS),
            octi_fmt("%lld x %lld", (long long)w, (long long)h), NULL);
    return OCT_OK;
}

/* ---- BMP ---- */

static uint32_t le32(const uint8_t *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Indices above the palette would read what the decoder left on its stack. */
static oct_status check_bmp_indices(const octi_reader *r, const uint8_t *rows, size_t pitch,
                                    const octi_image_info *info, int bits, uint32_t colours) {
    for (int32_t y = 0; y < info->height; y++)
        for (int32_t x = 0; x < info->width; x++) {
            size_t at = (size_t)y * pitch + (size_t)x * (size_t)bits / 8;
            uint32_t v = rows[at] >> (8 - bits - x * bits % 8) & ((1u << bits) - 1);
            if (v >= colours)
                return octi_bad_bytes(r, (size_t)(rows - r->base) + at, "BMP colour index",
                                      octi_fmt("below %u", colours), octi_fmt("%u", v));
        }
    return OCT_OK;
}

static oct_status check_bmp(octi_reader *r, octi_image_info *info) {
    const uint8_t *p = octi_take(r, 54, "the BMP header");
    if (!p) return OCT_EFORMAT;
    uint32_t offset = le32(p + 10), header = le32(p + 14), bits = p[28] | (uint32_t)p[29] << 8,
             coding = le32(p + 30);
    int64_t w = (int32_t)le32(p + 18), h = (int32_t)le32(p + 22);
    if (h < 0) h = -h; /* rows from the top */
    info->width = (int32_t)w;
    info->height = (int32_t)h;
    if (header != 40 && header != 56 && header != 108 && header != 124)
        return octi_fail(OCT_EUNSUPPORTED, r->where, "size of the BMP header at offset 14",
                         "40, 56, 108 or 124", octi_fmt("%u", header), NULL);
    bool known = bits == 1 || bits == 4 || bits == 8 || bits == 24 || ((bits == 16 || bits == 32));
    if (!known || (coding != 0 && !(coding == 3 && (bits == 16 || bits == 32))))
        return octi_fail(OCT_EUNSUPPORTED, r->where, "BMP bits and compression",
                         "1 4 8 16 24 32 bits, uncompressed or bit fields",
                         octi_fmt("%u bits, compression %u", bits, coding), NULL);
    /* the decoder wants masks behind both */
    size_t head = 14 + (size_t)header + (coding == 3 && header < 108 ? 12 : 0);
    if (offset < head || offset > r->size)
        return octi_bad_bytes(r, 10, "offset of the BMP pixels",
                              octi_fmt("%zu to %zu", head, r->size), octi_fmt("%u", offset));
    /* first what the file can hold: a size that its bytes deny is damage, not a want of memory */
    if (w < 1 || h < 1)
        return octi_bad_bytes(r, 18, "BMP size", "at least 1 x 1",
                              octi_fmt("%lld x %lld", (long long)w, (long long)h));
    size_t pitch = ((size_t)w * bits + 31) / 32 * 4, need;
    bool fits = octi_mul_size(pitch, (size_t)h, &need);
    if (!fits || r->size - offset < need)
        return octi_bad_bytes(r, offset, "BMP pixels",
                              octi_fmt("%lld x %lld of %u bits", (long long)w, (long long)h, bits),
                              octi_fmt("%zu bytes", r->size - offset));
    OCT_TRY(octi_image_size(r->where, w, h));
    if (bits > 8) return OCT_OK;
    uint32_t colours = (offset - 14 - header) / 4;
    if (!colours || colours > 256)
        return octi_bad_bytes(r, 10, "BMP palette", "1 to 256 colours", octi_fmt("%u", colours));
    return check_bmp_indices(r, r->base + offset, pitch, info, (int)bits, colours);
}

oct_status octi_image_check(const void *bytes, size_t size, const char *where,
                            octi_image_info *info) {
    octi_reader r = {bytes, size, 0, where};
    const uint8_t *p = bytes;
    *info = (octi_image_info){0};
    if (size > OCTI_IMAGE_BYTES)
        return octi_fail(OCT_ELIMIT, where, "image file too large",
                         octi_fmt("at most %d bytes", OCTI_IMAGE_BYTES), octi_fmt("%zu", size),
                         NULL);
    if (size >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8))
        return info->kind = OCTI_IMAGE_PNG, octi_png_check(&r, info);
    if (size >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff)
        return info->kind = OCTI_IMAGE_JPEG, octi_jpeg_check(&r, info);
    if (size >= 2 && p[0] == 'B' && p[1] == 'M')
        return info->kind = OCTI_IMAGE_BMP, check_bmp(&r, info);
    return octi_fail(OCT_EFORMAT, where, "not an image that octet reads", "JPEG, PNG or BMP",
                     size ? octi_fmt("first byte 0x%02x", p[0]) : "an empty file", NULL);
}
