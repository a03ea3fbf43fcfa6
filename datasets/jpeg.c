/* SPDX-License-Identifier: MIT
 * JPEG (ITU T.81): what a file must be before the decoder sees it, and libjpeg-turbo's decoder,
 * whose warnings of damage are failures here. The pixels are Pillow's. */
#include <stdio.h>
#include <setjmp.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "datasets/image_check.h"

enum { MAX_SCANS = 256 };

typedef struct jpeg { /* what has been defined so far */
    octi_image_info *info;
    bool progressive;
    uint8_t huffman[2], quant; /* a bit for each table: of DC, of AC */
    int parts;
    uint8_t id[4], table[4]; /* of the components: their quantization tables */
    uint8_t scanned;         /* a bit for each component that a scan has begun */
    int scans;
} jpeg;

static oct_status jpeg_frame(const octi_reader *r, const uint8_t *p, size_t n, jpeg *j) {
    octi_image_info *info = j->info;
    if (info->width)
        return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG frame", "one", "a second");
    if (n < 6 || p[0] != 8 || (p[5] != 1 && p[5] != 3 && p[5] != 4) || n != 6 + 3 * (size_t)p[5])
        return octi_bad_bytes(
            r, (size_t)(p - r->base), "JPEG frame", "8 bits, 1, 3 or 4 components",
            n < 6 ? NULL : octi_fmt("%d bits, %d components, %zu bytes", p[0], p[5], n));
    OCT_TRY(octi_image_size(r->where, p[3] << 8 | p[4], p[1] << 8 | p[2]));
    info->width = p[3] << 8 | p[4];
    info->height = p[1] << 8 | p[2];
    info->grey = p[5] == 1;
    j->parts = p[5];
    for (int k = 0; k < p[5]; k++) {
        j->id[k] = p[6 + 3 * k];
        j->table[k] = p[8 + 3 * k];
        for (int i = 0; i < k; i++)
            if (j->id[i] == j->id[k])
                return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG frame",
                                      "components that differ", octi_fmt("two of id %d", j->id[k]));
        if (j->table[k] > 3)
            return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG frame",
                                  "quantization table 0 to 3", octi_fmt("%d", j->table[k]));
    }
    return OCT_OK;
}

/* Huffman tables: the decoder fills arrays of 256 without counting. */
static oct_status jpeg_huffman(const octi_reader *r, const uint8_t *p, size_t n, jpeg *j) {
    while (n) {
        size_t codes = 0;
        for (int i = 1; n >= 17 && i <= 16; i++) codes += p[i];
        if (n < 17 || codes > 256 || n < 17 + codes || p[0] >> 4 > 1 || (p[0] & 15) > 3)
            return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG Huffman table",
                                  "class 0 or 1, number 0 to 3, at most 256 codes, all there",
                                  octi_fmt("%zu codes in %zu bytes", codes, n));
        j->huffman[p[0] >> 4] |= (uint8_t)(1 << (p[0] & 15));
        p += 17 + codes;
        n -= 17 + codes;
    }
    return OCT_OK;
}

static oct_status jpeg_quantization(const octi_reader *r, const uint8_t *p, size_t n, jpeg *j) {
    while (n) {
        size_t need = 1 + (p[0] >> 4 ? 128u : 64u);
        if (n < need || p[0] >> 4 > 1 || (p[0] & 15) > 3)
            return octi_bad_bytes(r, (size_t)(p - r->base), "JPEG quantization table",
                                  octi_fmt("%zu bytes, number 0 to 3", need), octi_fmt("%zu", n));
        j->quant |= (uint8_t)(1 << (p[0] & 15));
        p += need;
        n -= need;
    }
    return OCT_OK;
}

static oct_status has_table(const octi_reader *r, size_t at, const char *what, uint8_t defined,
                            int number) {
    if (number < 8 && defined >> number & 1) return OCT_OK;
    return octi_bad_bytes(r, at, "JPEG scan", octi_fmt("%s table that the file has", what),
                          octi_fmt("table %d", number));
}

/* A decoder would put its own tables where the file has none. */
static oct_status jpeg_scan(const octi_reader *r, const uint8_t *p, size_t n, jpeg *j) {
    const size_t at = (size_t)(p - r->base), parts = n ? p[0] : 0;
    if (!j->info->width) return octi_bad_bytes(r, at, "JPEG scan", "a frame before it", "none");
    if (parts < 1 || parts > 4 || n != 4 + 2 * parts)
        return octi_bad_bytes(r, at, "JPEG scan", "1 to 4 components",
                              octi_fmt("%zu in %zu bytes", parts, n));
    const uint8_t *spectrum = p + 1 + 2 * parts;
    const bool dc = !j->progressive || !spectrum[0], ac = !j->progressive || spectrum[0],
               refine = j->progressive && spectrum[2] >> 4;
    for (size_t i = 0; i < parts; i++) {
        const uint8_t id = p[1 + 2 * i], tables = p[2 + 2 * i];
        int k = 0;
        while (k < j->parts && j->id[k] != id) k++;
        if (k == j->parts)
            return octi_bad_bytes(r, at, "JPEG scan", "components of the frame",
                                  octi_fmt("id %d", id));
        OCT_TRY(has_table(r, at, "quantization", j->quant, j->table[k]));
        if (dc && !refine) OCT_TRY(has_table(r, at, "DC Huffman", j->huffman[0], tables >> 4));
        if (ac) OCT_TRY(has_table(r, at, "AC Huffman", j->huffman[1], tables & 15));
        if (dc) j->scanned |= (uint8_t)(1 << k);
    }
    if (++j->scans > MAX_SCANS)
        return octi_fail(OCT_ELIMIT, r->where, "JPEG scans", octi_fmt("at most %d", MAX_SCANS),
                         NULL, NULL);
    return OCT_OK;
}

/* Behind a scan's header: entropy-coded bytes up to the next marker that is neither stuffing nor a
 * restart. */
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

oct_status octi_jpeg_check(octi_reader *r, octi_image_info *info) {
    jpeg j = {.info = info};
    for (r->pos = 2;;) {
        uint8_t ff, m;
        uint16_t n = 0;
        OCT_TRY(octi_read_u8(r, &ff, "a JPEG marker"));
        if (ff != 0xff)
            return octi_bad_bytes(r, r->pos - 1, "JPEG marker", "byte 0xff",
                                  octi_fmt("0x%02x", ff));
        do OCT_TRY(octi_read_u8(r, &m, "a JPEG marker"));
        while (m == 0xff);
        if (m == 0xd9) break;
        if (m == 0x01 || (m >= 0xd0 && m <= 0xd7)) continue;
        const uint8_t *p = octi_take(r, 2, "a JPEG segment's length");
        if (!p) return OCT_EFORMAT;
        n = (uint16_t)(p[0] << 8 | p[1]);
        if (n < 2)
            return octi_bad_bytes(r, r->pos - 2, "length of a JPEG segment", "at least 2",
                                  octi_fmt("%d", n));
        p = octi_take(r, n - 2u, "a JPEG segment");
        if (!p) return OCT_EFORMAT;
        bool frame = m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc;
        if (frame && m > 0xc2)
            return octi_fail(OCT_EUNSUPPORTED, r->where, "JPEG coding", "baseline or progressive",
                             octi_fmt("SOF%d", m - 0xc0), NULL);
        if (frame) OCT_TRY(jpeg_frame(r, p, n - 2u, &j));
        if (frame) j.progressive = m == 0xc2;
        if (m == 0xc4) OCT_TRY(jpeg_huffman(r, p, n - 2u, &j));
        if (m == 0xdb) OCT_TRY(jpeg_quantization(r, p, n - 2u, &j));
        if (m != 0xda) continue;
        OCT_TRY(jpeg_scan(r, p, n - 2u, &j));
        OCT_TRY(skip_scan(r));
    }
    if (!j.scans) return octi_bad_bytes(r, r->pos, "JPEG", "an SOS marker before EOI", "none");
    if (j.scanned == (1 << j.parts) - 1) return OCT_OK;
    return octi_bad_bytes(r, r->pos, "JPEG", "a scan of each component",
                          octi_fmt("of components 0x%x of %d", j.scanned, j.parts));
}

/* ---- decoding ---- */

typedef struct failure {
    struct jpeg_error_mgr base;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
} failure;

static void fail(j_common_ptr c) {
    failure *f = (failure *)c->err;
    c->err->format_message(c, f->text);
    longjmp(f->back, 1);
}

/* Warnings are levels below 0. What says nothing of the pixels is let pass. */
static void warn(j_common_ptr c, int level) {
    const int code = c->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM &&
        code != JWRN_JFIF_MAJOR)
        fail(c);
}

/* Ink, stored inverted as Adobe does, to light; rounded as Pillow rounds. */
static void cmyk_to_rgb(const uint8_t *from, size_t n, uint8_t *to) {
    for (size_t i = 0; i < n; i++, from += 4, to += 3)
        for (int c = 0; c < 3; c++) {
            const uint32_t light = from[3], t = (255u - from[c]) * light + 128;
            to[c] = (uint8_t)(light - (((t >> 8) + t) >> 8));
        }
}

static void read_rows(j_decompress_ptr c, uint8_t *pixels, uint8_t *row) {
    const size_t pitch = (size_t)c->output_width * (c->output_components == 1 ? 1 : 3);
    while (c->output_scanline < c->output_height) {
        uint8_t *to = pixels + (size_t)c->output_scanline * pitch;
        JSAMPROW line = row ? row : to;
        jpeg_read_scanlines(c, &line, 1);
        if (row) cmyk_to_rgb(row, c->output_width, to);
    }
}

oct_status octi_jpeg_decode(const void *bytes, size_t size, const char *where,
                            const octi_image_info *info, uint8_t *pixels, uint8_t *row) {
    struct jpeg_decompress_struct c;
    failure f;
    c.err = jpeg_std_error(&f.base);
    c.err->error_exit = fail;
    c.err->emit_message = warn;
    if (setjmp(f.back)) {
        const int code = f.base.msg_code;
        jpeg_destroy_decompress(&c);
        if (code == JERR_OUT_OF_MEMORY)
            return octi_fail(OCT_ENOMEM, where, "JPEG decoder", NULL, "out of memory", NULL);
        return octi_fail(OCT_EFORMAT, where, "image data damaged", NULL, octi_fmt("%s", f.text),
                         NULL);
    }
    jpeg_create_decompress(&c);
    /* 4 components, 2 bytes a coefficient */
    c.mem->max_memory_to_use =
        (long)(((size_t)info->width + 64) * ((size_t)info->height + 64) * 8 + (1 << 20));
    jpeg_mem_src(&c, bytes, (unsigned long)size);
    jpeg_read_header(&c, TRUE);
    c.out_color_space = info->grey ? JCS_GRAYSCALE : c.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&c);
    if (c.output_width == (JDIMENSION)info->width && c.output_height == (JDIMENSION)info->height) {
        read_rows(&c, pixels, c.num_components == 4 ? row : NULL);
        jpeg_finish_decompress(&c);
        jpeg_destroy_decompress(&c);
        return OCT_OK;
    }
    const int w = (int)c.output_width, h = (int)c.output_height;
    jpeg_destroy_decompress(&c);
    return octi_fail(OCT_EFORMAT, where, "decoded size",
                     octi_fmt("%d x %d", info->width, info->height), octi_fmt("%d x %d", w, h),
                     NULL);
}
