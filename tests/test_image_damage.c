/* SPDX-License-Identifier: MIT
 * Pictures that a lenient decoder would take for whole: scans that end early, tables that are not
 * there, rows too many. */
#include "tests/oct_test.h"

#include <zlib.h>

#include <jpeglib.h>

#include "datasets/data.h"

static oct_ctx *ctx;
enum { W = 64, H = 48 };
static uint8_t px[W * H * 3];

static oct_status decode(const uint8_t *bytes, size_t n) {
    const oct_input_desc in = {.channels = 3, .width = W, .height = H, .color = OCT_COLOR_RGB};
    uint8_t *exact = malloc(n + 1); /* ASan sees one byte too far */
    memcpy(exact, bytes, n);
    oct_status s = oct_image_decode(ctx, exact, n, "file", &in, px);
    free(exact);
    return s;
}

/* ---- JPEG ---- */

static uint8_t pixel(int x, int y, int c) {
    return (uint8_t)(x * 3 + y * (c + 1) + (x * y * 7) % 31);
}

static unsigned long make_jpeg(uint8_t **out, bool progressive, int components, bool restarts) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    unsigned long n = 0;
    *out = NULL;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, out, &n);
    c.image_width = W, c.image_height = H;
    c.input_components = components;
    c.in_color_space = components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&c);
    if (progressive) jpeg_simple_progression(&c);
    if (restarts) c.restart_in_rows = 1;
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < H) {
        uint8_t row[W * 3], *line = row;
        for (int x = 0; x < W; x++)
            for (int k = 0; k < components; k++)
                row[x * components + k] = pixel(x, (int)c.next_scanline, k);
        jpeg_write_scanlines(&c, &line, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return n;
}

/* Position behind marker m (and its length field, if it is a segment), from a position on. */
static size_t find(const uint8_t *b, size_t n, size_t from, uint8_t m) {
    for (size_t i = from; i + 1 < n; i++)
        if (b[i] == 0xff && b[i + 1] == m) return i + 2;
    ck_abort_msg("marker %02x is not there", m);
}

START_TEST(whole_jpegs) {
    for (int k = 0; k < 8; k++) {
        uint8_t *b;
        const unsigned long n = make_jpeg(&b, k & 1, k & 2 ? 1 : 3, k & 4);
        ck_ok(decode(b, n));
        double error = 0;
        for (int i = 0; i < W * H * 3; i++)
            error += abs(px[i] - pixel(i / 3 % W, i / 3 / W, k & 2 ? 0 : i % 3));
        /* lossy, noisy, and not another picture */
        ck_assert_msg(error / (W * H * 3) < 20, "kind %d: mean error %g", k, error / (W * H * 3));
        free(b);
    }
}
END_TEST

START_TEST(a_scan_may_not_end_early) {
    for (int k = 0; k < 8; k++) {
        uint8_t *b, cut[1 << 16];
        const unsigned long n = make_jpeg(&b, k & 1, k & 2 ? 1 : 3, k & 4);
        const size_t sos = find(b, n, 2, 0xda), from = sos + (size_t)(b[sos] << 8 | b[sos + 1]);
        size_t to = from; /* the end of the first scan */
        while (!(b[to] == 0xff && b[to + 1] && (b[to + 1] < 0xd0 || b[to + 1] > 0xd7))) to++;
        for (int tenths = 1; tenths < 10; tenths++) {
            size_t have = from + (to - from) * (size_t)tenths / 10;
            while (b[have - 1] == 0xff) have--;
            memcpy(cut, b, have);
            memcpy(cut + have, b + to, n - to); /* what follows the scan stays */
            oct_clear_error();
            const oct_status s = decode(cut, have + n - to);
            ck_assert_msg(s == OCT_EFORMAT && strstr(oct_error_message(), "image data damaged"),
                          "kind %d, %d tenths of the scan: %s", k, tenths,
                          s ? oct_error_message() : "passes");
        }
        free(b);
    }
}
END_TEST

START_TEST(tables_must_be_there) {
    for (int progressive = 0; progressive < 2; progressive++) {
        uint8_t *b;
        const unsigned long n = make_jpeg(&b, progressive, 3, false);
        const size_t sof = find(b, n, 2, progressive ? 0xc2 : 0xc0), sos = find(b, n, 2, 0xda);
        const uint8_t quant = b[sof + 10], huffman = b[sos + 4], id = b[sos + 3];
        b[sof + 10] = 3; /* the first component's quantization table */
        ck_fails(OCT_EFORMAT, "expected quantization table that the file has, got table 3",
                 decode(b, n));
        b[sof + 10] = quant;
        b[sos + 4] = (uint8_t)(huffman | 0x30);
        ck_fails(OCT_EFORMAT, "expected DC Huffman table that the file has, got table 3",
                 decode(b, n));
        if (!progressive) {
            b[sos + 4] = (uint8_t)(huffman | 2);
            ck_fails(OCT_EFORMAT, "expected AC Huffman table that the file has, got table 2",
                     decode(b, n));
        }
        b[sos + 4] = huffman;
        b[sos + 3] = 77;
        ck_fails(OCT_EFORMAT, "components of the frame, got id 77", decode(b, n));
        b[sos + 3] = id;
        ck_ok(decode(b, n));
        free(b);
    }
}
END_TEST

/* ---- PNG ---- */

typedef struct buf {
    uint8_t b[1 << 16];
    size_t n;
} buf;
static buf f;
static void put(const void *p, size_t n) { memcpy(f.b + f.n, p, n), f.n += n; }
static void chunk(const char *type, const void *data, size_t n) {
    const uint8_t len[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    put(len, 4);
    const size_t from = f.n;
    put(type, 4);
    if (n) put(data, n);
    const uint32_t crc = (uint32_t)crc32(0, f.b + from, (uInt)(n + 4));
    put((uint8_t[]){(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc},
        4);
}
static void begin(int depth, int colour, bool interlaced) {
    f.n = 0;
    put("\x89PNG\r\n\x1a\n", 8);
    chunk("IHDR",
          (uint8_t[]){0, 0, 0, W, 0, 0, 0, H, (uint8_t)depth, (uint8_t)colour, 0, 0, interlaced},
          13);
}
/* rows in IDATs of `each` bytes, the stream's last `less` bytes left out, `more` bytes put behind
 * it */
static void finish(const uint8_t *rows, size_t n, size_t each, size_t less, size_t more) {
    static uint8_t z[1 << 16];
    uLongf zn = sizeof z;
    ck_assert_int_eq(compress2(z, &zn, rows, n, 6), Z_OK);
    zn -= less;
    for (size_t i = 0; i < more; i++) z[zn++] = 7;
    for (size_t at = 0; at < zn; at += each) chunk("IDAT", z + at, zn - at < each ? zn - at : each);
    chunk("IEND", NULL, 0);
}

START_TEST(png_rows_are_as_many_as_the_size_needs) {
    static uint8_t rows[1 << 16];
    const struct {
        int depth, colour;
        size_t row;
    } kinds[] = {
        {8, 2, 1 + 3 * W}, {8, 0, 1 + W}, {1, 0, 1 + W / 8}, {16, 6, 1 + 8 * W}, {4, 0, 1 + W / 2}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const size_t n = kinds[k].row * H;
        for (size_t i = 0; i < n; i++)
            rows[i] =
                i % kinds[k].row ? (uint8_t)(i * 37 + i / 300) : (uint8_t)(i / kinds[k].row % 5);
        for (size_t each = 1; each < 100000; each = each * 17 + 3) { /* however IDAT is cut */
            begin(kinds[k].depth, kinds[k].colour, false);
            if (each == 1 && k > 2) continue; /* too many chunks for the buffer */
            if (each == 1) each = 2;
            finish(rows, n, each, 0, 0);
            ck_ok(decode(f.b, f.n));
        }
        begin(kinds[k].depth, kinds[k].colour, false);
        finish(rows, n + 1, 1 << 20, 0, 0);
        ck_fails(OCT_EFORMAT, "bytes of rows, got more", decode(f.b, f.n));
        begin(kinds[k].depth, kinds[k].colour, false);
        finish(rows, n - 1, 1 << 20, 0, 0);
        ck_fails(OCT_EFORMAT, "image data damaged", decode(f.b, f.n));
        begin(kinds[k].depth, kinds[k].colour, false);
        finish(rows, n, 1 << 20, 0, 3);
        ck_fails(OCT_EFORMAT, "bytes behind them", decode(f.b, f.n));
        begin(kinds[k].depth, kinds[k].colour, false);
        finish(rows, n, 1 << 20, 1, 0); /* without all of its check sum */
        ck_fails(OCT_EFORMAT, "an end too early", decode(f.b, f.n));
        begin(kinds[k].depth, kinds[k].colour, false);
        finish(rows, n, 1 << 20, 4, 4); /* with another check sum */
        ck_fails(OCT_EFORMAT, "incorrect data check", decode(f.b, f.n));
    }
}
END_TEST

START_TEST(interlaced_png) {
    /* seven passes of a grey image, all of one level */
    static uint8_t rows[1 << 15];
    const int dx[7] = {8, 8, 4, 4, 2, 2, 1}, dy[7] = {8, 8, 8, 4, 4, 2, 2},
              x0[7] = {0, 4, 0, 2, 0, 1, 0}, y0[7] = {0, 0, 4, 0, 2, 0, 1};
    size_t n = 0;
    for (int k = 0; k < 7; k++)
        for (int y = y0[k]; y < H; y += dy[k]) {
            rows[n++] = 0;
            for (int x = x0[k]; x < W; x += dx[k]) rows[n++] = 90;
        }
    begin(8, 0, true);
    finish(rows, n, 1 << 20, 0, 0);
    ck_ok(decode(f.b, f.n));
    for (int i = 0; i < W * H * 3; i++) ck_assert_int_eq(px[i], 90);
    begin(8, 0, true);
    finish(rows, n + 1, 1 << 20, 0, 0);
    ck_fails(OCT_EFORMAT, "got more", decode(f.b, f.n));
}
END_TEST

START_TEST(transparency_fits_its_image) {
    static uint8_t rows[(1 + W * 3) * H], trns[300];
    const struct {
        int colour;
        size_t n;
        bool fits;
    } kinds[] = {{3, 1, true}, {3, 2, true},  {3, 3, false}, {3, 256, false}, {3, 0, false},
                 {0, 2, true}, {0, 1, false}, {2, 6, true},  {2, 7, false},   {6, 6, false}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        begin(8, kinds[k].colour, false);
        if (kinds[k].colour == 3) chunk("PLTE", (uint8_t[]){1, 2, 3, 4, 5, 6}, 6);
        chunk("tRNS", trns, kinds[k].n);
        static uint8_t wide[(1 + W * 4) * H];
        const size_t row = kinds[k].colour == 2   ? 1 + 3 * W
                           : kinds[k].colour == 6 ? 1 + 4 * W
                                                  : 1 + W;
        finish(kinds[k].colour == 6 ? wide : rows, row * H, 1 << 20, 0, 0);
        if (kinds[k].fits)
            ck_ok(decode(f.b, f.n));
        else
            ck_fails(OCT_EFORMAT, "tRNS", decode(f.b, f.n));
    }
}
END_TEST

/* Pixels stand in one row of chunks; a palette or a second header comes before them, once. */
START_TEST(chunks_stand_in_order) {
    static uint8_t rows[(1 + W) * H], z[1 << 16];
    static const uint8_t six[6], text[] = "key";
    uLongf zn = sizeof z;
    ck_assert_int_eq(compress2(z, &zn, rows, sizeof rows, 6), Z_OK);
    static const char *const between[] = {NULL, "teXt", "PLTE", "tRNS", "IHDR", "ABCD"};
    for (size_t k = 0; k < sizeof between / sizeof *between; k++)
        for (int first = 0; first < 2; first++) {
            begin(8, 3, false);
            chunk("PLTE", six, 6);
            const bool fine = !between[k] || (!first && *between[k] == 't');
            if (between[k] && !first) chunk(between[k], text, 2);
            chunk("IDAT", z, zn / 2);
            if (between[k] && first) chunk(between[k], text, 2);
            chunk("IDAT", z + zn / 2, zn - zn / 2);
            chunk("IEND", NULL, 0);
            if (fine)
                ck_ok(decode(f.b, f.n));
            else
                ck_assert_msg(decode(f.b, f.n) == OCT_EFORMAT, "%s %d", between[k], first);
        }
}
END_TEST

/* ---- what a net gets of a picture ---- */

START_TEST(pixels_become_the_input_channel_by_channel) {
    static uint8_t rows[(1 + W * 3) * H];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            memcpy(rows + y * (1 + W * 3) + 1 + 3 * x, (uint8_t[]){51, 102, 204}, 3);
    begin(8, 2, false);
    finish(rows, sizeof rows, 1 << 20, 0, 0);
    char path[] = "/tmp/octet-test-picture-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert(fd >= 0 && write(fd, f.b, f.n) == (ssize_t)f.n);
    close(fd);
    oct_input_desc in = {.channels = 3,
                         .width = 2,
                         .height = 1,
                         .color = OCT_COLOR_RGB,
                         .div = 255,
                         .mean = {0.1f, 0.2f, 0.4f},
                         .std = {0.5f, 0.25f, 0.1f}};
    float x[6];
    ck_ok(oct_image_input(ctx, path, &in, x));
    const float rgb_want[3] = {0.2f, 0.8f, 4.0f},
                bgr_want[3] = {(0.8f - 0.1f) / 0.5f, 0.8f, (0.2f - 0.4f) / 0.1f};
    for (int i = 0; i < 6; i++) ck_assert_float_eq_tol(x[i], rgb_want[i % 3], 1e-6f);
    int32_t channels = 0;
    float again[6];
    ck_ok(oct_image_input_from(ctx, path, &in, again, &channels));
    ck_assert_int_eq(channels, 3);
    ck_assert(!memcmp(again, x, sizeof x));
    ck_fails(OCT_EUSAGE, "NULL", oct_image_input_from(ctx, path, &in, x, NULL));
    in.color = OCT_COLOR_BGR;
    ck_ok(oct_image_input(ctx, path, &in, x));
    for (int i = 0; i < 6; i++) ck_assert_float_eq_tol(x[i], bgr_want[i % 3], 2e-6f);
    in.channels = 2;
    ck_fails(OCT_EUSAGE, "channels", oct_image_input(ctx, path, &in, x));
    ck_fails(OCT_EUSAGE, "NULL", oct_image_input(ctx, path, NULL, x));
    /* a grey picture says so, whatever the net takes */
    const uint8_t grey = 90;
    ck_ok(oct_image_save(ctx, path, &grey, 1, 1, 1));
    in.channels = 3;
    ck_ok(oct_image_input_from(ctx, path, &in, x, &channels));
    ck_assert_int_eq(channels, 1);
    unlink(path);
}
END_TEST

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1})); }
static void teardown(void) {
    ck_assert_uint_lt(oct_ctx_memory(ctx, OCT_MEMORY_BYTES), 1 << 16);
    oct_close(ctx);
}

OCT_TEST_MAIN_WITH("image_damage", setup, teardown, whole_jpegs, a_scan_may_not_end_early,
                   tables_must_be_there, png_rows_are_as_many_as_the_size_needs, interlaced_png,
                   transparency_fits_its_image, chunks_stand_in_order,
                   pixels_become_the_input_channel_by_channel)
