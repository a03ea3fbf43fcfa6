/* SPDX-License-Identifier: MIT
 * Image files: what is decoded, what is refused, and the resize that must be Pillow's to the
 * byte. */
#include "tests/oct_test.h"

#include <dirent.h>
#include <jpeglib.h>
#include <zlib.h>

#include "datasets/data.h"
#include "datasets/image_check.h"
#include "datasets/resize.h"
#include "src/format/bytes.h"
#include "src/mem.h"

static oct_ctx *ctx;

/* ---- writers of small files ---- */

typedef struct buf {
    uint8_t b[1 << 16];
    size_t n;
} buf;
static void put(buf *f, const void *p, size_t n) { memcpy(f->b + f->n, p, n), f->n += n; }
static void put_be(buf *f, uint32_t v) {
    uint8_t p[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    put(f, p, 4);
}
static void put_le(buf *f, uint32_t v, int n) {
    for (int i = 0; i < n; i++) f->b[f->n++] = (uint8_t)(v >> 8 * i);
}
static void chunk(buf *f, const char *type, const void *data, size_t n) {
    put_be(f, (uint32_t)n);
    size_t from = f->n;
    put(f, type, 4);
    if (n) put(f, data, n);
    put_be(f, (uint32_t)crc32(0, f->b + from, (uInt)(n + 4)));
}
static void ihdr(buf *f, uint32_t w, uint32_t h, int depth, int color) {
    f->n = 0;
    put(f, "\x89PNG\r\n\x1a\n", 8);
    uint8_t p[13] = {(uint8_t)(w >> 24), (uint8_t)(w >> 16), (uint8_t)(w >> 8), (uint8_t)w,
                     (uint8_t)(h >> 24), (uint8_t)(h >> 16), (uint8_t)(h >> 8), (uint8_t)h,
                     (uint8_t)depth,     (uint8_t)color};
    chunk(f, "IHDR", p, 13);
}
/* rows: filter byte and pixels, as PNG packs them */
static void idat(buf *f, const uint8_t *rows, size_t n) {
    static uint8_t z[1 << 15];
    uLongf zn = sizeof z;
    ck_assert_int_eq(compress(z, &zn, rows, n), Z_OK);
    chunk(f, "IDAT", z, zn);
}
static void png_grey_ramp(buf *f, int side) {
    static uint8_t rows[64 * 65];
    for (int y = 0; y < side; y++)
        for (int x = 0; x <= side; x++) rows[y * (side + 1) + x] = x ? (uint8_t)(x * 7 + y) : 0;
    ihdr(f, (uint32_t)side, (uint32_t)side, 8, 0);
    idat(f, rows, (size_t)side * ((size_t)side + 1));
    chunk(f, "IEND", NULL, 0);
}
static void png_palette(buf *f, int colours, int top) {
    /* 0 1 2 3 / top 0 0 0 */
    const uint8_t plte[12] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3},
                  rows[4] = {0, 0x1b, 0, (uint8_t)(top << 6)};
    ihdr(f, 4, 2, 2, 3);
    chunk(f, "PLTE", plte, 3 * (size_t)colours);
    chunk(f, "tRNS", "\x00", 1);
    idat(f, rows, 4);
    chunk(f, "IEND", NULL, 0);
}
static void bmp24(buf *f, int w, int h) {
    size_t pitch = ((size_t)w * 24 + 31) / 32 * 4;
    f->n = 0;
    put(f, "BM", 2);
    put_le(f, (uint32_t)(54 + pitch * (size_t)h), 4), put_le(f, 0, 4), put_le(f, 54, 4),
        put_le(f, 40, 4);
    put_le(f, (uint32_t)w, 4), put_le(f, (uint32_t)h, 4), put_le(f, 1, 2), put_le(f, 24, 2),
        put_le(f, 0, 4), put_le(f, 0, 4);
    put_le(f, 0, 4), put_le(f, 0, 4), put_le(f, 0, 4), put_le(f, 0, 4);
    for (size_t i = 0; i < pitch * (size_t)h; i++) f->b[f->n++] = (uint8_t)i;
}
static void bmp8(buf *f, uint32_t colours, uint8_t index) {
    f->n = 0;
    put(f, "BM", 2);
    put_le(f, 0, 4), put_le(f, 0, 4), put_le(f, 54 + 4 * colours, 4), put_le(f, 40, 4);
    put_le(f, 2, 4), put_le(f, 1, 4), put_le(f, 1, 2), put_le(f, 8, 2), put_le(f, 0, 4),
        put_le(f, 0, 4);
    put_le(f, 0, 4), put_le(f, 0, 4), put_le(f, 0, 4), put_le(f, 0, 4);
    for (uint32_t i = 0; i < colours; i++) put_le(f, 0x00112233 * (i + 1), 4);
    put_le(f, (uint32_t)index << 8, 4);
}

static oct_input_desc rgb(int w, int h) {
    return (oct_input_desc){.channels = 3, .width = w, .height = h, .color = OCT_COLOR_RGB};
}
static oct_status decode(const buf *f, const oct_input_desc *in, uint8_t *pixels) {
    uint8_t *exact = malloc(f->n + 1); /* ASan sees one byte too far */
    memcpy(exact, f->b, f->n);
    oct_status s = oct_image_decode(ctx, exact, f->n, "file", in, pixels);
    free(exact);
    return s;
}

static buf f;
static uint8_t px[1 << 16];

START_TEST(png_kinds) {
    oct_input_desc in = rgb(8, 8);
    png_grey_ramp(&f, 8);
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 7 && px[1] == 7 && px[3 * 8] == 8);
    in.channels = 1;
    in.color = OCT_COLOR_GREY;
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 7 && px[7] == 56 && px[63] == 63);
    in = rgb(4, 2);
    png_palette(&f, 4, 3);
    ck_ok(decode(&f, &in, px));
    const uint8_t want[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3, 1, 2, 3, 10, 20, 30};
    ck_assert(!memcmp(px, want, sizeof want));
    in.color = OCT_COLOR_BGR;
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 30 && px[2] == 10);
    in = (oct_input_desc){.channels = 1, .width = 4, .height = 2};
    ck_ok(decode(&f, &in, px));
    ck_assert_int_eq(px[0], (19595 * 10 + 38470 * 20 + 7471 * 30 + 0x8000) >> 16);
}
END_TEST

START_TEST(png_damage_is_refused) {
    oct_input_desc in = rgb(4, 2);
    png_palette(&f, 3, 3);
    ck_fails(OCT_EFORMAT, "palette index of pixel 3: expected below 3, got 3", decode(&f, &in, px));
    png_palette(&f, 3, 0);
    ck_fails(OCT_EFORMAT, "palette index", decode(&f, &in, px));
    in = rgb(8, 8);
    png_grey_ramp(&f, 8);
    f.b[f.n - 20] ^= 1; /* inside IDAT's CRC or data */
    ck_fails(OCT_EFORMAT, "CRC of a PNG chunk at offset", decode(&f, &in, px));
    ihdr(&f, 4, 2, 2, 3);
    idat(&f, px, 4);
    chunk(&f, "IEND", NULL, 0);
    ck_fails(OCT_EFORMAT, "PLTE", decode(&f, &in, px));
    ihdr(&f, 4, 2, 8, 0);
    chunk(&f, "IDAT", NULL, 0);
    chunk(&f, "IEND", NULL, 0);
    ck_fails(OCT_EFORMAT, "IDAT", decode(&f, &in, px));
    ihdr(&f, 4, 2, 8, 0);
    idat(&f, px, 4); /* too few pixels */
    chunk(&f, "IEND", NULL, 0);
    ck_fails(OCT_EFORMAT, "image data damaged", decode(&f, &in, px));
    ihdr(&f, 4, 2, 3, 0);
    ck_fails(OCT_EFORMAT, "depth", decode(&f, &in, px));
    ihdr(&f, 20000, 2, 8, 0);
    ck_fails(OCT_ELIMIT, "image size", decode(&f, &in, px));
    ihdr(&f, 16000, 16000, 8, 0);
    ck_fails(OCT_ELIMIT, "pixels", decode(&f, &in, px));
    ihdr(&f, 0, 2, 8, 0);
    ck_fails(OCT_EFORMAT, "image size", decode(&f, &in, px));
    f.n = 0;
    ck_fails(OCT_EFORMAT, "empty", decode(&f, &in, px));
    put(&f, "GIF89a\x01\x00\x01\x00\x00\x00\x00;", 14);
    ck_fails(OCT_EFORMAT, "JPEG, PNG or BMP", decode(&f, &in, px));
}
END_TEST

START_TEST(png_bomb_is_bounded) {
    /* a small claim, much data: the decoder may not follow */
    static uint8_t zeros[1 << 20];
    uint8_t *z = malloc(1 << 16);
    z_stream s = {0};
    ck_assert_int_eq(deflateInit(&s, 9), Z_OK);
    s.next_out = z, s.avail_out = 1 << 16;
    for (int i = 0; i < 40; i++) {
        s.next_in = zeros, s.avail_in = sizeof zeros;
        ck_assert_int_eq(deflate(&s, i == 39 ? Z_FINISH : Z_NO_FLUSH),
                         i == 39 ? Z_STREAM_END : Z_OK);
    }
    ihdr(&f, 16, 16, 8, 0);
    chunk(&f, "IDAT", z, s.total_out);
    chunk(&f, "IEND", NULL, 0);
    deflateEnd(&s);
    free(z);
    oct_input_desc in = rgb(16, 16);
    ck_fails(OCT_EFORMAT, "image data damaged: expected 272 bytes of rows, got more",
             decode(&f, &in, px));
    ck_assert_uint_lt(oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES), 8 << 20);
}
END_TEST

START_TEST(bmp_kinds_and_damage) {
    oct_input_desc in = rgb(3, 2);
    bmp24(&f, 3, 2);
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 14 && px[1] == 13 && px[2] == 12); /* rows from the bottom, BGR */
    buf cut = f;
    cut.n--;
    ck_fails(OCT_EFORMAT, "BMP pixels", decode(&cut, &in, px));
    cut = f;
    /* INT_MIN rows: not in these bytes, so no matter of memory */
    memcpy(cut.b + 22, "\x00\x00\x00\x80", 4);
    ck_fails(OCT_EFORMAT, "BMP pixels", decode(&cut, &in, px));
    cut = f;
    memcpy(cut.b + 18, "\xff\xff\xff\x7f", 4); /* INT_MAX columns */
    ck_fails(OCT_EFORMAT, "BMP pixels", decode(&cut, &in, px));
    memcpy(cut.b + 22, "\xff\xff\xff\x7f", 4);
    cut.b[28] = 32;
    ck_fails(OCT_EFORMAT, "BMP pixels", decode(&cut, &in, px));
    cut = f;
    cut.b[14] = 12;
    ck_fails(OCT_EUNSUPPORTED, "header", decode(&cut, &in, px));
    cut = f;
    cut.b[30] = 1;
    ck_fails(OCT_EUNSUPPORTED, "compression", decode(&cut, &in, px));
    in = rgb(2, 1);
    bmp8(&f, 2, 1);
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 0x11 && px[3] == 0x22);
    bmp8(&f, 2, 2);
    ck_fails(OCT_EFORMAT, "BMP colour index", decode(&f, &in, px));
}
END_TEST

START_TEST(every_damage_of_small_files_ends_well) {
    oct_input_desc in = rgb(8, 8);
    void (*make[3])(buf *, int) = {png_grey_ramp, NULL, NULL};
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0) make[0](&f, 8);
        if (kind == 1) bmp24(&f, 8, 8);
        if (kind == 2) png_palette(&f, 4, 1);
        buf whole = f;
        for (size_t n = 0; n < whole.n; n++) {
            f = whole;
            f.n = n;
            ck_assert_msg(decode(&f, &in, px) != OCT_OK, "kind %d cut to %zu passes", kind, n);
        }
        int passed = 0;
        for (size_t bit = 0; bit < 8 * whole.n; bit++) {
            f = whole;
            f.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
            passed += decode(&f, &in, px) == OCT_OK;
        }
        if (kind != 1) ck_assert_int_eq(passed, 0); /* CRCs cover all of a PNG */
    }
    ck_assert_uint_lt(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), 1 << 16);
}
END_TEST

/* A grey 8x8 JPEG: one block, DC 0, EOB. */
static const uint8_t jpeg_head[] = {0xff, 0xd8, 0xff, 0xdb, 0x00, 0x43, 0x00};
static void jpeg(buf *b, bool sos, bool eoi) {
    b->n = 0;
    put(b, jpeg_head, sizeof jpeg_head);
    for (int i = 0; i < 64; i++) put(b, "\x01", 1);
    put(b, "\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00", 13);
    put(b,
        "\xff\xc4\x00\x14\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        22);
    put(b,
        "\xff\xc4\x00\x14\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        22);
    if (sos) put(b, "\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x3f", 11);
    if (eoi) put(b, "\xff\xd9", 2);
}

START_TEST(jpeg_must_be_whole) {
    oct_input_desc in = rgb(8, 8);
    jpeg(&f, true, true);
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 128 && px[191] == 128);
    jpeg(&f, false, true);
    ck_fails(OCT_EFORMAT, "SOS", decode(&f, &in, px));
    jpeg(&f, true, false);
    ck_fails(OCT_EFORMAT, "EOI", decode(&f, &in, px));
    jpeg(&f, true, true);
    buf whole = f;
    for (size_t n = 0; n < whole.n; n++) {
        f = whole;
        f.n = n;
        ck_assert_int_ne(decode(&f, &in, px), OCT_OK);
    }
    for (size_t bit = 0; bit < 8 * whole.n; bit++) { /* may pass or not; twice the same pixels */
        f = whole;
        f.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        static uint8_t again[192];
        if (decode(&f, &in, px) == OCT_OK) {
            ck_ok(decode(&f, &in, again));
            ck_assert(!memcmp(px, again, 192));
        }
    }
    f = whole;
    f.b[74] = 0xc9; /* arithmetic coding */
    ck_assert_int_ne(decode(&f, &in, px), OCT_OK);
}
END_TEST

START_TEST(resize_is_pillows) {
    static const struct {
        int w, h, c, w2, h2;
        uint32_t crc;
    } row[] = {
#include "tests/golden/resize_golden.h"
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        size_t n = (size_t)row[i].w * (size_t)row[i].h * (size_t)row[i].c,
               m = (size_t)row[i].w2 * (size_t)row[i].h2 * (size_t)row[i].c;
        uint8_t *a = malloc(n), *b = malloc(m);
        for (size_t k = 0; k < n; k++) {
            uint32_t noise = ((uint32_t)k * 2654435761u + 12345u) >> 24;
            uint32_t smooth =
                (uint32_t)(k / (size_t)row[i].c % (size_t)row[i].w * 255 / (size_t)row[i].w);
            a[k] = (uint8_t)(k / 64 % 2 == 0 ? noise : smooth);
        }
        ck_ok(octi_resize_u8(ctx, a, row[i].h, row[i].w, row[i].c, b, row[i].h2, row[i].w2));
        ck_assert_msg((uint32_t)crc32(0, b, (uInt)m) == row[i].crc, "%dx%dx%d to %dx%d differs",
                      row[i].w, row[i].h, row[i].c, row[i].w2, row[i].h2);
        free(a);
        free(b);
    }
}
END_TEST

/* The shorter side becomes what is asked for, the longer one follows, cut to whole pixels as
 * torchvision cuts it. */
START_TEST(the_longer_side_is_cut) {
    static const struct {
        int w, h, resize, w2, h2;
    } rows[] = {
        {3, 5, 4, 4, 6}, {5, 3, 4, 6, 4}, {7, 4, 3, 5, 3}, {4, 7, 3, 3, 5}, {3, 4, 5, 5, 6}};
    static uint8_t plain[7 * 7 * 3], want[8 * 8 * 3];
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        oct_input_desc in = rgb(rows[k].w, rows[k].h);
        bmp24(&f, rows[k].w, rows[k].h);
        ck_ok(decode(&f, &in, plain));
        ck_ok(octi_resize_u8(ctx, plain, rows[k].h, rows[k].w, 3, want, rows[k].h2, rows[k].w2));
        in = rgb(rows[k].w2, rows[k].h2);
        in.resize = rows[k].resize;
        ck_ok(decode(&f, &in, px));
        ck_assert_msg(!memcmp(px, want, 3 * (size_t)(rows[k].w2 * rows[k].h2)),
                      "%d x %d to %d is not %d x %d", rows[k].w, rows[k].h, rows[k].resize,
                      rows[k].w2, rows[k].h2);
    }
}
END_TEST

START_TEST(resize_then_crop) {
    oct_input_desc in = rgb(4, 4);
    png_grey_ramp(&f, 8);
    in.crop = 4;
    ck_ok(decode(&f, &in, px));
    ck_assert_int_eq(px[0], 3 * 7 + 2); /* pixel (2, 2) of the ramp */
    in.crop = 12;
    in.width = in.height = 12;
    ck_ok(decode(&f, &in, px));
    ck_assert(px[0] == 0 && px[(2 * 12 + 2) * 3] == 7); /* black around */
    /* half of an odd rest: to even */
    static const struct {
        int side, crop, first;
    } odd[] = {{9, 6, 2}, {9, 4, 2}, {10, 7, 2}, {8, 3, 2}, {8, 7, 0}, {7, 10, -2}, {6, 9, -2}};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        png_grey_ramp(&f, odd[k].side);
        in = rgb(odd[k].crop, odd[k].crop);
        in.crop = odd[k].crop;
        ck_ok(decode(&f, &in, px));
        /* of the crop, of the picture */
        const int at = odd[k].first < 0 ? -odd[k].first : 0,
                  from = odd[k].first < 0 ? 0 : odd[k].first;
        const uint8_t got = px[(at * odd[k].crop + at) * 3];
        ck_assert_msg(got == (from + 1) * 7 + from, "%d of %d: begins with %d", odd[k].crop,
                      odd[k].side, got);
    }
    in = rgb(4, 4);
    in.resize = 4;
    ck_ok(decode(&f, &in, px));
    in.resize = -1;
    ck_fails(OCT_EUSAGE, "description", decode(&f, &in, px));
    in = rgb(4, 4);
    in.channels = 2;
    ck_fails(OCT_EUSAGE, "channels", decode(&f, &in, px));
    ck_fails(OCT_EIO, "No such", oct_image_load(ctx, "/nonexistent.png", &in, px));
}
END_TEST

/* ITU-R 601 in Pillow's 16 bits, rounded; and how a crop of one side alone sits. */
START_TEST(grey_is_pillows_luma) {
    static const uint8_t row[] = {0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3, 200, 100, 50},
                         want[] = {76, 150, 29, 2, 124};
    oct_input_desc in = {.channels = 1, .width = 5, .height = 1};
    ihdr(&f, 5, 1, 8, 2);
    idat(&f, row, sizeof row);
    chunk(&f, "IEND", NULL, 0);
    ck_ok(decode(&f, &in, px));
    for (int i = 0; i < 5; i++) ck_assert_int_eq(px[i], want[i]);
}
END_TEST

/* CMYK as Adobe writes it, the light that each ink leaves: red = cyan * key / 255, and so on. */
START_TEST(jpeg_of_four_inks) {
    static const uint8_t ink[3][4] = {{200, 100, 50, 255}, {200, 100, 50, 128}, {0, 255, 128, 64}};
    for (int k = 0; k < 3; k++) {
        struct jpeg_compress_struct c;
        struct jpeg_error_mgr errors;
        unsigned char *bytes = NULL;
        unsigned long n = 0;
        c.err = jpeg_std_error(&errors);
        jpeg_create_compress(&c);
        jpeg_mem_dest(&c, &bytes, &n);
        c.image_width = c.image_height = 8;
        c.input_components = 4;
        c.in_color_space = JCS_CMYK;
        jpeg_set_defaults(&c);
        jpeg_set_quality(&c, 100, TRUE);
        jpeg_start_compress(&c, TRUE);
        uint8_t row[32];
        for (int i = 0; i < 32; i++) row[i] = ink[k][i % 4];
        for (int y = 0; y < 8; y++) jpeg_write_scanlines(&c, (JSAMPROW[]){row}, 1);
        jpeg_finish_compress(&c);
        jpeg_destroy_compress(&c);
        oct_input_desc in = rgb(8, 8);
        ck_ok(oct_image_decode(ctx, bytes, n, "inks", &in, px));
        free(bytes);
        for (int i = 0; i < 3 * 64; i++) {
            const int want = (ink[k][i % 3] * ink[k][3] + 127) / 255;
            ck_assert_msg(abs(px[i] - want) <= 1, "picture %d, value %d: %d, not %d", k, i, px[i],
                          want);
        }
    }
}
END_TEST

static void photo(const char *path) {
    static uint8_t out[224 * 224 * 3];
    oct_input_desc in = rgb(224, 224);
    in.resize = 256;
    in.crop = 224;
    oct_status s = oct_image_load(ctx, path, &in, out);
    ck_assert_msg(s == OCT_OK || s == OCT_ELIMIT || s == OCT_EUNSUPPORTED, "%s",
                  oct_error_message());
    if (s != OCT_OK) printf("refused: %s\n", oct_error_message());
}

START_TEST(photographs) {
    const char *root = test_data("photos/varied");
    if (!root) return;
    char dir[1100], path[1400];
    int n = 0;
    DIR *top = opendir(root);
    for (struct dirent *e; (e = readdir(top));) {
        if (e->d_name[0] != 'n') continue;
        snprintf(dir, sizeof dir, "%s/%.60s", root, e->d_name);
        DIR *d = opendir(dir);
        for (struct dirent *p; d && (p = readdir(d));) {
            if (p->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%.250s", dir, p->d_name);
            photo(path);
            n++;
        }
        if (d) closedir(d);
    }
    closedir(top);
    ck_assert_int_gt(n, 30);
}
END_TEST

START_TEST(memory_is_limited) {
    oct_ctx *small = oct_open(&(oct_opts){.threads = 1, .max_bytes = 100000});
    oct_input_desc in = rgb(64, 64);
    png_grey_ramp(&f, 8);
    static uint8_t rows[400 * 401];
    ihdr(&f, 400, 400, 8, 0);
    idat(&f, rows, sizeof rows);
    chunk(&f, "IEND", NULL, 0);
    ck_fails(OCT_ELIMIT, "max_bytes", oct_image_decode(small, f.b, f.n, "file", &in, px));
    ck_assert_uint_lt(oct_ctx_memory(small, OCT_MEMORY_BYTES), 1000);
    oct_close(small);
}
END_TEST

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2})); }
static void teardown(void) { oct_close(ctx); }

OCT_TEST_MAIN_WITH("image", setup, teardown, png_kinds, png_damage_is_refused, png_bomb_is_bounded,
                   bmp_kinds_and_damage, every_damage_of_small_files_ends_well, jpeg_must_be_whole,
                   resize_is_pillows, the_longer_side_is_cut, resize_then_crop,
                   grey_is_pillows_luma, jpeg_of_four_inks, photographs, memory_is_limited)
