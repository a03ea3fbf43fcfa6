/* SPDX-License-Identifier: MIT */
#include "datasets/image_check.h"

#include <string.h>
#include <zlib.h>

#include "src/format/bytes.h"

static oct_status check_size(const char *where, int64_t w, int64_t h) {
    if (w < 1 || h < 1) return octi_fail(OCT_EFORMAT, where, "image size", "at least 1 x 1", octi_fmt("%lld x %lld", (long long)w, (long long)h), NULL);
    if (w > OCTI_IMAGE_SIDE || h > OCTI_IMAGE_SIDE || w * h > OCTI_IMAGE_PIXELS)
        return octi_fail(OCT_ELIMIT, where, "image size", octi_fmt("at most %d a side and %d pixels", OCTI_IMAGE_SIDE, OCTI_IMAGE_PIXELS),
                         octi_fmt("%lld x %lld", (long long)w, (long long)h), NULL);
    return OCT_OK;
}

/* ---- PNG (www.w3.org/TR/png) ---- */

static const uint8_t png_magic[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

typedef struct chunk {
    uint32_t length, type;
    const uint8_t *data;
    size_t offset;
} chunk;
#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static oct_status next_chunk(octi_reader *r, chunk *c) {
    c->offset = r->pos;
    OCT_TRY(octi_read_u32be(r, &c->length, "a chunk's length"));
    const uint8_t *p = octi_take(r, 4, "a chunk's type");
    if (!p) return OCT_EFORMAT;
    c->type = be32(p);
    c->data = octi_take(r, c->length, "a chunk");
    if (!c->data) return OCT_EFORMAT;
    uint32_t crc, sum = (uint32_t)crc32(0, p, 4);
    if (c->length) sum = (uint32_t)crc32(sum, c->data, c->length);
    OCT_TRY(octi_read_u32be(r, &crc, "a chunk's CRC"));
    if (crc != sum) return octi_bad_bytes(r, r->pos - 4, "CRC of a PNG chunk", octi_fmt("%08x", sum), octi_fmt("%08x", crc));
    return OCT_OK;
}

static oct_status check_ihdr(const octi_reader *r, const chunk *c, octi_image_info *info) {
    const uint8_t *p = c->data;
    if (c->type != TYPE('I', 'H', 'D', 'R') || c->length != 13) return octi_bad_bytes(r, c->offset, "first chunk", "IHDR of 13 bytes", NULL);
    OCT_TRY(check_size(r->where, be32(p), be32(p + 4)));
    info->width = (int32_t)be32(p);
    info->height = (int32_t)be32(p + 4);
    info->depth = p[8];
    info->color_type = p[9];
    info->grey = p[9] == 0 || p[9] == 4;
    static const uint32_t depths[7] = {[0] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16, [2] = 1 << 8 | 1 << 16,
                                       [3] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8, [4] = 1 << 8 | 1 << 16, [6] = 1 << 8 | 1 << 16};
    if (p[9] > 6 || p[8] > 16 || !(depths[p[9]] >> p[8] & 1))
        return octi_bad_bytes(r, c->offset + 16, "colour type and depth", "a pair of the standard", octi_fmt("%d and %d", p[9], p[8]));
    if (p[10] || p[11] || p[12] > 1) return octi_bad_bytes(r, c->offset + 18, "compression, filter, interlace", "0, 0, 0 or 1",
                                                           octi_fmt("%d, %d, %d", p[10], p[11], p[12]));
    return OCT_OK;
}

static oct_status check_png(octi_reader *r, octi_image_info *info) {
    chunk c;
    r->pos = 8;
    OCT_TRY(next_chunk(r, &c));
    OCT_TRY(check_ihdr(r, &c, info));
    bool closed = false; /* IDATs stand in one row */
    for (;;) {
        OCT_TRY(next_chunk(r, &c));
        if (c.type == TYPE('I', 'E', 'N', 'D')) break;
        if (c.type == TYPE('I', 'D', 'A', 'T')) {
            if (closed) return octi_bad_bytes(r, c.offset, "IDAT", "to follow the other ones", NULL);
            info->idat_bytes += c.length;
        } else {
            closed = info->idat_bytes > 0;
            if (c.type == TYPE('P', 'L', 'T', 'E')) {
                if (info->palette || closed || !c.length || c.length % 3 || c.length > 768)
                    return octi_bad_bytes(r, c.offset, "PLTE", "one of 1 to 256 colours before IDAT", octi_fmt("%u bytes", c.length));
                info->palette = c.data;
                info->palette_count = (int32_t)c.length / 3;
            } else if (!(c.type >> 29 & 1) && c.type != TYPE('I', 'H', 'D', 'R')) /* upper case: critical */
                return octi_bad_bytes(r, c.offset, "critical PNG chunk", "IHDR PLTE IDAT IEND", octi_fmt("%08x", c.type));
            else if (c.type == TYPE('I', 'H', 'D', 'R'))
                return octi_bad_bytes(r, c.offset, "IHDR", "one", "a second");
        }
    }
    if (!info->idat_bytes) return octi_bad_bytes(r, c.offset, "IDAT", "image data", "none");
    if (info->color_type == 3 && !info->palette) return octi_bad_bytes(r, c.offset, "PLTE", "a palette", "none");
    if (info->color_type != 3) info->palette = NULL; /* only a suggestion */
    return OCT_OK;
}

size_t octi_png_strip_size(const octi_image_info *info) { return 8 + 25 + 12 + info->idat_bytes + 12; }

void octi_png_strip(const void *bytes, size_t size, const octi_image_info *info, uint8_t *out) {
    octi_reader r = {bytes, size, 8 + 25, "png"};
    memcpy(out, bytes, 8 + 25);
    if (info->color_type == 3) out[25] = 0;
    out += 8 + 25;
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(info->idat_bytes >> 8 * (3 - i));
    memcpy(out + 4, "IDAT", 4);
    out += 8;
    chunk c = {0};
    while (next_chunk(&r, &c) == OCT_OK && c.type != TYPE('I', 'E', 'N', 'D'))
        if (c.type == TYPE('I', 'D', 'A', 'T') && c.length) {
            memcpy(out, c.data, c.length);
            out += c.length;
        }
    memcpy(out, "\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82", 16); /* the decoder does not read the CRCs */
}

/* ---- JPEG (ITU T.81) ---- */

enum { MAX_SCANS = 256 };

static oct_status jpeg_frame(const octi_reader *r, const uint8_t *p, size_t n, octi_image_info *info) {
    if (info->width) return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG frame", "one", "a second");
    if (n < 6 || p[0] != 8 || (p[5] != 1 && p[5] != 3 && p[5] != 4) || n != 6 + 3 * (size_t)p[5])
        return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG frame", "8 bits, 1, 3 or 4 components",
                              n < 6 ? NULL : octi_fmt("%d bits, %d components, %zu bytes", p[0], p[5], n));
    OCT_TRY(check_size(r->where, p[3] << 8 | p[4], p[1] << 8 | p[2]));
    info->width = p[3] << 8 | p[4];
    info->height = p[1] << 8 | p[2];
    info->grey = p[5] == 1;
    return OCT_OK;
}

/* Huffman tables: the decoder fills arrays of 256 without counting. */
static oct_status jpeg_huffman(const octi_reader *r, const uint8_t *p, size_t n) {
    while (n) {
        size_t codes = 0;
        for (int i = 1; n >= 17 && i <= 16; i++) codes += p[i];
        if (n < 17 || codes > 256 || n < 17 + codes || p[0] >> 4 > 1 || (p[0] & 15) > 3)
            return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG Huffman table", "class 0 or 1, number 0 to 3, at most 256 codes, all there",
                                  octi_fmt("%zu codes in %zu bytes", codes, n));
        p += 17 + codes;
        n -= 17 + codes;
    }
    return OCT_OK;
}

static oct_status jpeg_quantization(const octi_reader *r, const uint8_t *p, size_t n) {
    while (n) {
        size_t need = 1 + (p[0] >> 4 ? 128u : 64u);
        if (n < need || p[0] >> 4 > 1 || (p[0] & 15) > 3)
            return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG quantization table", octi_fmt("%zu bytes, number 0 to 3", need), octi_fmt("%zu", n));
        p += need;
        n -= need;
    }
    return OCT_OK;
}

/* Behind a scan's header: entropy-coded bytes up to the next marker that is neither stuffing nor a restart. */
static oct_status skip_scan(octi_reader *r) {
    size_t from = r->pos;
    for (; octi_left(r) > 1; r->pos++) {
        const uint8_t *p = memchr(r->base + r->pos, 0xff, octi_left(r) - 1);
        if (!p) break;
        r->pos = (size_t)(p - r->base);
        if (p[1] && p[1] != 0xff && (p[1] < 0xd0 || p[1] > 0xd7))
            return r->pos > from ? OCT_OK : octi_bad_bytes(r, from, "JPEG scan", "data", "none");
    }
    return octi_bad_bytes(r, r->size, "JPEG", "an EOI marker", "the end of the file");
}

static oct_status check_jpeg(octi_reader *r, octi_image_info *info) {
    int scans = 0;
    for (r->pos = 2;;) {
        uint8_t ff, m;
        uint16_t n = 0;
        OCT_TRY(octi_read_u8(r, &ff, "a JPEG marker"));
        if (ff != 0xff) return octi_bad_bytes(r, r->pos - 1, "JPEG marker", "byte 0xff", octi_fmt("0x%02x", ff));
        do OCT_TRY(octi_read_u8(r, &m, "a JPEG marker"));
        while (m == 0xff);
        if (m == 0xd9) break;
        if (m == 0x01 || (m >= 0xd0 && m <= 0xd7)) continue;
        const uint8_t *p = octi_take(r, 2, "a JPEG segment's length");
        if (!p) return OCT_EFORMAT;
        n = (uint16_t)(p[0] << 8 | p[1]);
        if (n < 2) return octi_bad_bytes(r, r->pos - 2, "length of a JPEG segment", "at least 2", octi_fmt("%d", n));
        p = octi_take(r, n - 2u, "a JPEG segment");
        if (!p) return OCT_EFORMAT;
        bool frame = m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc;
        if (frame && m > 0xc2)
            return octi_fail(OCT_EUNSUPPORTED, r->where, "JPEG coding", "baseline or progressive", octi_fmt("SOF%d", m - 0xc0), NULL);
        if (frame) OCT_TRY(jpeg_frame(r, p, n - 2u, info));
        if (m == 0xc4) OCT_TRY(jpeg_huffman(r, p, n - 2u));
        if (m == 0xdb) OCT_TRY(jpeg_quantization(r, p, n - 2u));
        if (m != 0xda) continue;
        if (!info->width) return octi_bad_bytes(r, r->pos, "JPEG scan", "a frame before it", "none");
        if (++scans > MAX_SCANS) return octi_fail(OCT_ELIMIT, r->where, "JPEG scans", octi_fmt("at most %d", MAX_SCANS), NULL, NULL);
        OCT_TRY(skip_scan(r));
    }
    return scans ? OCT_OK : octi_bad_bytes(r, r->pos, "JPEG", "an SOS marker before EOI", "none");
}

/* ---- BMP ---- */

static uint32_t le32(const uint8_t *p) { return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0]; }

/* Indices above the palette would read what the decoder left on its stack. */
static oct_status check_bmp_indices(const octi_reader *r, const uint8_t *rows, size_t pitch, const octi_image_info *info, int bits, uint32_t colours) {
    for (int32_t y = 0; y < info->height; y++)
        for (int32_t x = 0; x < info->width; x++) {
            size_t at = (size_t)y * pitch + (size_t)x * (size_t)bits / 8;
            uint32_t v = rows[at] >> (8 - bits - x * bits % 8) & ((1u << bits) - 1);
            if (v >= colours) return octi_bad_bytes(r, (size_t)(rows - r->base) + at, "BMP colour index", octi_fmt("below %u", colours), octi_fmt("%u", v));
        }
    return OCT_OK;
}

static oct_status check_bmp(octi_reader *r, octi_image_info *info) {
    const uint8_t *p = octi_take(r, 54, "the BMP header");
    if (!p) return OCT_EFORMAT;
    uint32_t offset = le32(p + 10), header = le32(p + 14), bits = p[28] | (uint32_t)p[29] << 8, coding = le32(p + 30);
    int64_t w = (int32_t)le32(p + 18), h = (int32_t)le32(p + 22);
    if (h < 0) h = -h; /* rows from the top */
    OCT_TRY(check_size(r->where, w, h));
    info->width = (int32_t)w;
    info->height = (int32_t)h;
    if (header != 40 && header != 56 && header != 108 && header != 124)
        return octi_fail(OCT_EUNSUPPORTED, r->where, "size of the BMP header at offset 14", "40, 56, 108 or 124", octi_fmt("%u", header), NULL);
    bool known = bits == 1 || bits == 4 || bits == 8 || bits == 24 || ((bits == 16 || bits == 32));
    if (!known || (coding != 0 && !(coding == 3 && (bits == 16 || bits == 32))))
        return octi_fail(OCT_EUNSUPPORTED, r->where, "BMP bits and compression", "1 4 8 16 24 32 bits, uncompressed or bit fields",
                         octi_fmt("%u bits, compression %u", bits, coding), NULL);
    size_t head = 14 + (size_t)header + (coding == 3 && header < 108 ? 12 : 0); /* the decoder wants masks behind both */
    if (offset < head || offset > r->size) return octi_bad_bytes(r, 10, "offset of the BMP pixels", octi_fmt("%zu to %zu", head, r->size), octi_fmt("%u", offset));
    size_t pitch = ((size_t)w * bits + 31) / 32 * 4, need = pitch * (size_t)h;
    if (r->size - offset < need) return octi_bad_bytes(r, offset, "BMP pixels", octi_fmt("%zu bytes", need), octi_fmt("%zu", r->size - offset));
    if (bits > 8) return OCT_OK;
    uint32_t colours = (offset - 14 - header) / 4;
    if (!colours || colours > 256) return octi_bad_bytes(r, 10, "BMP palette", "1 to 256 colours", octi_fmt("%u", colours));
    return check_bmp_indices(r, r->base + offset, pitch, info, (int)bits, colours);
}

oct_status octi_image_check(const void *bytes, size_t size, const char *where, octi_image_info *info) {
    octi_reader r = {bytes, size, 0, where};
    const uint8_t *p = bytes;
    *info = (octi_image_info){0};
    if (size > OCTI_IMAGE_BYTES)
        return octi_fail(OCT_ELIMIT, where, "image file too large", octi_fmt("at most %d bytes", OCTI_IMAGE_BYTES), octi_fmt("%zu", size), NULL);
    if (size >= 8 && !memcmp(p, png_magic, 8)) return info->kind = OCTI_IMAGE_PNG, check_png(&r, info);
    if (size >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff) return info->kind = OCTI_IMAGE_JPEG, check_jpeg(&r, info);
    if (size >= 2 && p[0] == 'B' && p[1] == 'M') return info->kind = OCTI_IMAGE_BMP, check_bmp(&r, info);
    return octi_fail(OCT_EFORMAT, where, "not an image that octet reads", "JPEG, PNG or BMP", size ? octi_fmt("first byte 0x%02x", p[0]) : "an empty file", NULL);
}
