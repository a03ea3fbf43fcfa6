/* SPDX-License-Identifier: MIT
 * What a PNG must be (www.w3.org/TR/png), and a plain one made of it for the decoder: chunks of
 * known CRCs, rows of exactly the bytes that the size needs, inflated and checked by zlib. */
#include <string.h>
#include <zlib.h>

#include "datasets/image_check.h"

static uint32_t be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

typedef struct chunk {
    uint32_t length, type;
    const uint8_t *data;
    size_t offset;
} chunk;
#define TYPE(a, b, c, d)                                                                           \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

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
    if (crc != sum)
        return octi_bad_bytes(r, r->pos - 4, "CRC of a PNG chunk", octi_fmt("%08x", sum),
                              octi_fmt("%08x", crc));
    return OCT_OK;
}

static oct_status check_ihdr(const octi_reader *r, const chunk *c, octi_image_info *info) {
    const uint8_t *p = c->data;
    if (c->type != TYPE('I', 'H', 'D', 'R') || c->length != 13)
        return octi_bad_bytes(r, c->offset, "first chunk", "IHDR of 13 bytes", NULL);
    OCT_TRY(octi_image_size(r->where, be32(p), be32(p + 4)));
    info->width = (int32_t)be32(p);
    info->height = (int32_t)be32(p + 4);
    info->depth = p[8];
    info->color_type = p[9];
    info->grey = p[9] == 0 || p[9] == 4;
    static const uint32_t depths[7] = {[0] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16,
                                       [2] = 1 << 8 | 1 << 16,
                                       [3] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8,
                                       [4] = 1 << 8 | 1 << 16,
                                       [6] = 1 << 8 | 1 << 16};
    if (p[9] > 6 || p[8] > 16 || !(depths[p[9]] >> p[8] & 1))
        return octi_bad_bytes(r, c->offset + 16, "colour type and depth", "a pair of the standard",
                              octi_fmt("%d and %d", p[9], p[8]));
    if (p[10] || p[11] || p[12] > 1)
        return octi_bad_bytes(r, c->offset + 18, "compression, filter, interlace", "0, 0, 0 or 1",
                              octi_fmt("%d, %d, %d", p[10], p[11], p[12]));
    info->interlaced = p[12];
    return OCT_OK;
}

/* One value for a grey or a colour, or at most one for each colour of the palette. */
static oct_status check_transparency(const octi_reader *r, const chunk *c,
                                     const octi_image_info *info, bool late) {
    const int32_t palette = info->palette ? info->palette_count : 0;
    const bool fits = info->color_type == 3 ? c->length >= 1 && (int32_t)c->length <= palette
                                            : (info->color_type == 0 && c->length == 2) ||
                                                  (info->color_type == 2 && c->length == 6);
    if (fits && !late) return OCT_OK;
    return octi_bad_bytes(r, c->offset, "tRNS",
                          info->color_type == 3
                              ? octi_fmt("1 to %d bytes behind PLTE, before IDAT", palette)
                              : "once before IDAT, 2 bytes of a grey image, 6 of a colour one",
                          octi_fmt("%u bytes of colour type %d", c->length, info->color_type));
}

oct_status octi_png_check(octi_reader *r, octi_image_info *info) {
    chunk c;
    r->pos = 8;
    OCT_TRY(next_chunk(r, &c));
    OCT_TRY(check_ihdr(r, &c, info));
    bool closed = false, clear = false; /* IDATs stand in one row; tRNS was there */
    for (;;) {
        OCT_TRY(next_chunk(r, &c));
        if (c.type == TYPE('I', 'E', 'N', 'D')) break;
        if (c.type == TYPE('I', 'D', 'A', 'T')) {
            if (closed)
                return octi_bad_bytes(r, c.offset, "IDAT", "to follow the other ones", NULL);
            info->idat_bytes += c.length;
        } else {
            closed = info->idat_bytes > 0;
            if (c.type == TYPE('P', 'L', 'T', 'E')) {
                if (info->palette || closed || !c.length || c.length % 3 || c.length > 768)
                    return octi_bad_bytes(r, c.offset, "PLTE",
                                          "one of 1 to 256 colours before IDAT",
                                          octi_fmt("%u bytes", c.length));
                info->palette = c.data;
                info->palette_count = (int32_t)c.length / 3;
            } else if (c.type == TYPE('t', 'R', 'N', 'S')) {
                OCT_TRY(check_transparency(r, &c, info, clear || closed));
                clear = true;
            } else if (!(c.type >> 29 & 1) &&
                       c.type != TYPE('I', 'H', 'D', 'R')) /* upper case: critical */
                return octi_bad_bytes(r, c.offset, "critical PNG chunk", "IHDR PLTE IDAT IEND",
                                      octi_fmt("%08x", c.type));
            else if (c.type == TYPE('I', 'H', 'D', 'R'))
                return octi_bad_bytes(r, c.offset, "IHDR", "one", "a second");
        }
    }
    if (!info->idat_bytes) return octi_bad_bytes(r, c.offset, "IDAT", "image data", "none");
    if (info->color_type == 3 && !info->palette)
        return octi_bad_bytes(r, c.offset, "PLTE", "a palette", "none");
    if (info->color_type != 3) info->palette = NULL; /* only a suggestion */
    return OCT_OK;
}

/* Bytes of all rows, filter bytes included; an interlaced image has seven smaller ones. */
static size_t row_bytes(const octi_image_info *info) {
    static const uint8_t x0[7] = {0, 4, 0, 2, 0, 1, 0}, y0[7] = {0, 0, 4, 0, 2, 0, 1},
                         dx[7] = {8, 8, 4, 4, 2, 2, 1}, dy[7] = {8, 8, 8, 4, 4, 2, 2};
    static const uint8_t channels[7] = {[0] = 1, [2] = 3, [3] = 1, [4] = 2, [6] = 4};
    const size_t bits = (size_t)info->depth * channels[info->color_type], w = (size_t)info->width,
                 h = (size_t)info->height;
    if (!info->interlaced) return h * (1 + (w * bits + 7) / 8);
    size_t sum = 0;
    for (int k = 0; k < 7; k++) {
        const size_t pw = (w + dx[k] - 1 - x0[k]) / dx[k], ph = (h + dy[k] - 1 - y0[k]) / dy[k];
        if (pw) sum += ph * (1 + (pw * bits + 7) / 8);
    }
    return sum;
}

/* of stored deflate data; what stands around IDAT's */
enum { BLOCK = 65535, FRAME = 8 + 25 + 12 + 12 };

static size_t blocks(size_t n) { return (n + BLOCK - 1) / BLOCK; }
static size_t idat_size(size_t rows) { return 2 + rows + 5 * blocks(rows) + 4; }
size_t octi_png_plain_size(const octi_image_info *info) {
    return FRAME + idat_size(row_bytes(info));
}

typedef struct idat_reader {
    octi_reader r;
    z_stream z;
    bool end;
} idat_reader;

/* n bytes of the rows; *got fewer at the end of the data. */
static int inflate_some(idat_reader *in, uint8_t *out, size_t n, size_t *got) {
    int rc = Z_OK;
    in->z.next_out = out;
    in->z.avail_out = (uInt)n;
    while (rc == Z_OK && in->z.avail_out) {
        chunk c = {0};
        if (!in->z.avail_in && next_chunk(&in->r, &c) == OCT_OK &&
            c.type == TYPE('I', 'D', 'A', 'T')) {
            in->z.next_in = (Bytef *)(uintptr_t)c.data;
            in->z.avail_in = c.length;
            if (!c.length) continue;
        }
        if (!in->z.avail_in && (c.type == TYPE('I', 'E', 'N', 'D') || !c.data)) break;
        if (in->z.avail_in) rc = inflate(&in->z, Z_NO_FLUSH);
    }
    *got = n - in->z.avail_out;
    in->end |= rc == Z_STREAM_END;
    return rc;
}

static oct_status damaged(const char *where, size_t want, const char *got) {
    return octi_fail(OCT_EFORMAT, where, "image data damaged", octi_fmt("%zu bytes of rows", want),
                     got, NULL);
}

static void put_be(uint8_t *p, size_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * (3 - i));
}

static oct_status copy_rows(idat_reader *in, const char *where, size_t rows, uint8_t *out) {
    uint8_t more;
    size_t got;
    for (size_t done = 0; done < rows;) {
        const size_t n = rows - done < BLOCK ? rows - done : BLOCK;
        out[0] = done + n == rows; /* the last block */
        out[1] = (uint8_t)n, out[2] = (uint8_t)(n >> 8), out[3] = (uint8_t)~n,
        out[4] = (uint8_t)(~n >> 8);
        const int rc = inflate_some(in, out + 5, n, &got);
        if (rc == Z_MEM_ERROR) return octi_fail(OCT_ENOMEM, where, "inflate", NULL, NULL, NULL);
        if (got < n)
            return damaged(where, rows,
                           rc == Z_OK || rc == Z_STREAM_END ? octi_fmt("%zu", done + got)
                           : in->z.msg                      ? in->z.msg
                                                            : "no deflated data");
        out += 5 + n;
        done += n;
    }
    memset(out, 0, 4); /* the decoder does not read the check sum, which inflate has read */
    got = 0;
    if (!in->end) (void)inflate_some(in, &more, 1, &got);
    if (got) return damaged(where, rows, "more");
    if (!in->end) return damaged(where, rows, in->z.msg ? in->z.msg : "an end too early");
    chunk c = {0};
    const bool behind = in->z.avail_in || (next_chunk(&in->r, &c) == OCT_OK &&
                                           c.type == TYPE('I', 'D', 'A', 'T') && c.length);
    return behind ? damaged(where, rows, "bytes behind them") : OCT_OK;
}

oct_status octi_png_plain(const void *bytes, size_t size, const char *where,
                          const octi_image_info *info, uint8_t *out) {
    const size_t rows = row_bytes(info), idat = idat_size(rows);
    idat_reader in = {.r = {bytes, size, 8 + 25, where}};
    memcpy(out, bytes, 8 + 25);
    if (info->color_type == 3) out[25] = 0;
    out += 8 + 25;
    put_be(out, idat);
    memcpy(out + 4, "IDAT\x78\x01", 6);
    if (inflateInit(&in.z) != Z_OK)
        return octi_fail(OCT_ENOMEM, where, "inflate", NULL, NULL, NULL);
    chunk c = {0}; /* up to the first IDAT: what stands before it is no image data */
    size_t at = in.r.pos;
    while (next_chunk(&in.r, &c) == OCT_OK && c.type != TYPE('I', 'D', 'A', 'T')) at = in.r.pos;
    in.r.pos = at;
    oct_status s = copy_rows(&in, where, rows, out + 10);
    inflateEnd(&in.z);
    memcpy(out + 8 + idat, "\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82", 16);
    return s;
}
