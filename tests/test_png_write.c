/* SPDX-License-Identifier: MIT
 * Pictures written as PNG are read back to the byte, by the library's own reader. */
#include "tests/oct_test.h"

#include "datasets/data.h"
#include "src/format/png_write.h"
#include "tests/temp_folder.h"

static oct_ctx *ctx;
static void setup(void) {
    make_root();
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}
static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

/* 0: flat, 1: steps across, 2: steps down, 3: both, 4: noise: each filter is best somewhere. */
static void paint(uint8_t *p, int32_t w, int32_t h, int32_t c, int how) {
    uint32_t state = 12345;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            for (int32_t k = 0; k < c; k++) {
                state = state * 1664525u + 1013904223u;
                const int v[] = {77 + k, 3 * x + 40 * k, 5 * y + 9 * k, 2 * x + 3 * y + k,
                                 (int)(state >> 24)};
                *p++ = (uint8_t)v[how];
            }
}

START_TEST(written_is_read) {
    static const int32_t sides[][2] = {{1, 1}, {3, 1}, {1, 5}, {17, 9}, {64, 33}};
    static uint8_t in[64 * 64 * 3], out[64 * 64 * 3];
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (int32_t c = 1; c <= 3; c += 2)
            for (int how = 0; how < 5; how++) {
                const int32_t w = sides[i][0], h = sides[i][1];
                paint(in, w, h, c, how);
                ck_ok(oct_image_save(ctx, in_root("a.png"), in, w, h, c));
                const oct_input_desc d = {.channels = c,
                                          .height = h,
                                          .width = w,
                                          .color = c == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY};
                memset(out, 0, sizeof out);
                ck_ok(oct_image_load(ctx, in_root("a.png"), &d, out));
                ck_assert_mem_eq(in, out, (size_t)w * (size_t)h * (size_t)c);
            }
}
END_TEST

START_TEST(filters_make_it_small) {
    static uint8_t in[64 * 64];
    octi_text t = {.ctx = ctx};
    paint(in, 64, 64, 1, 3);
    ck_ok(octi_png_write(&t, in, 64, 64, 1));
    ck_assert_msg(t.size < 400, "%zu bytes of a ramp", t.size);
    octi_text_free(&t);
}
END_TEST

START_TEST(odd_sizes_are_refused) {
    static const int32_t bad[][3] = {{0, 1, 1}, {1, 0, 1},     {-1, 1, 1}, {1, 1, 2},
                                     {1, 1, 4}, {65536, 1, 1}, {1, 1, 0}};
    const uint8_t one[4] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_fails(OCT_EUSAGE, "1 or 3 channels",
                 oct_image_save(ctx, in_root("b.png"), one, bad[i][0], bad[i][1], bad[i][2]));
    ck_assert_int_ne(access(in_root("b.png"), F_OK), 0);
    ck_fails(OCT_EIO, "nowhere", oct_image_save(ctx, in_root("nowhere/b.png"), one, 1, 1, 1));
}
END_TEST

OCT_TEST_MAIN_WITH("png_write", setup, teardown, written_is_read, filters_make_it_small,
                   odd_sizes_are_refused)
