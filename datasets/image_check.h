/* SPDX-License-Identifier: MIT
 * datasets/image_check.h - what must hold before a decoder may see an image's bytes: its kind by
 * content, size caps, and a structure that is whole. Decoders accept damage that these checks
 * refuse. */
#ifndef OCT_DATASETS_IMAGE_CHECK_H
#define OCT_DATASETS_IMAGE_CHECK_H

#include "src/context.h"
#include "src/format/bytes.h"

enum { OCTI_IMAGE_SIDE = 16384, OCTI_IMAGE_PIXELS = 64 << 20, OCTI_IMAGE_BYTES = 256 << 20 };

typedef enum octi_image_kind { OCTI_IMAGE_JPEG, OCTI_IMAGE_PNG, OCTI_IMAGE_BMP } octi_image_kind;

typedef struct octi_image_info {
    octi_image_kind kind;
    int32_t width, height;
    bool grey; /* one channel (and maybe alpha) */
    /* PNG */
    int32_t depth, color_type;
    const uint8_t *palette; /* RGB triples; NULL without */
    int32_t palette_count;
    bool interlaced;
    size_t idat_bytes;
} octi_image_info;

/** Sniff and check. OCT_EFORMAT (offset and field: bad signature, chunk CRC, missing SOS or EOI,
 *  short BMP, ...), OCT_ELIMIT above 16384 a side or 64 Mi pixels, OCT_EUNSUPPORTED for kinds of
 *  these formats that octet does not read. */
oct_status octi_image_check(const void *bytes, size_t size, const char *where,
                            octi_image_info *info);
oct_status octi_image_size(const char *where, int64_t w, int64_t h);
oct_status octi_png_check(octi_reader *r, octi_image_info *info);
oct_status octi_jpeg_check(octi_reader *r, octi_image_info *info);

/** A PNG of signature, IHDR, one IDAT of stored rows and IEND from a checked one, for the decoder:
 *  no other chunk and no deflated data reaches it. Palette images become grey ones of their
 *  indices. `out` has octi_png_plain_size(info) bytes. OCT_EFORMAT where the rows are not exactly
 *  as many bytes as the size needs. */
size_t octi_png_plain_size(const octi_image_info *info);
oct_status octi_png_plain(const void *bytes, size_t size, const char *where,
                          const octi_image_info *info, uint8_t *out);

/** A checked JPEG to u8 pixels [height, width, 1 or 3]. OCT_EFORMAT for damage, a scan that ends
 *  early included. row: scratch of
 *  4 * width bytes. */
oct_status octi_jpeg_decode(const void *bytes, size_t size, const char *where,
                            const octi_image_info *info, uint8_t *pixels, uint8_t *row);

#endif
