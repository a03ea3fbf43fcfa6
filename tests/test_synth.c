/* SPDX-License-Identifier: MIT
 * Synthetic sets, the same on every machine; shares of a set. */
#include "tests/oct_test.h"

#include <math.h>
#include <zlib.h>

#include "datasets/data.h"

static oct_ctx *ctx;

static uint32_t crc_of_set(oct_data *d, int64_t n) {
    static uint8_t px[3072];
    uint32_t crc = 0;
    int32_t label;
    const oct_input_desc *in = oct_data_input(d);
    for (int64_t i = 0; i < n; i++) {
        ck_ok(oct_data_get(d, i, px, &label));
        ck_assert_int_eq(label, i % 10);
        crc = (uint32_t)crc32(crc, px, (uInt)(in->channels * in->height * in->width));
    }
    return crc;
}

START_TEST(synthetic_sets) {
    /* the first 200 images of each; a change of these numbers changes every result on the built-in
     * data */
    const struct {
        const char *spec;
        uint32_t train, test;
    } row[] = {{"synth-digits", 0xcbaf2839, 0xe931392a}, {"synth-shapes", 0x8b989ec6, 0xf3adf31a}};
    for (int k = 0; k < 2; k++) {
        oct_data_opts o = {.limit = 200};
        oct_data *d = oct_data_open(ctx, row[k].spec, &o);
        ck_not_null(d);
        ck_assert_int_eq(oct_data_count(d), 200);
        uint32_t train = crc_of_set(d, 200);
        oct_data_free(d);
        oct_ctx *serial = oct_open(&(oct_opts){.threads = 1});
        d = oct_data_open(serial, row[k].spec, &o);
        ck_assert_uint_eq(crc_of_set(d, 200), train);
        oct_close(serial);
        o.synth_seed = 2;
        d = oct_data_open(ctx, row[k].spec, &o);
        ck_assert_uint_ne(crc_of_set(d, 200), train);
        oct_data_free(d);
        o = (oct_data_opts){.limit = 200, .split = OCT_SPLIT_TEST};
        d = oct_data_open(ctx, row[k].spec, &o);
        uint32_t test = crc_of_set(d, 200);
        ck_assert_uint_ne(test, train);
        oct_data_free(d);
        ck_assert_msg(train == row[k].train && test == row[k].test, "%s: train 0x%08x test 0x%08x",
                      row[k].spec, train, test);
    }
}
END_TEST

START_TEST(shares) {
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 100});
    oct_data *a = oct_data_share(d, 0.2, 5, true), *b = oct_data_share(d, 0.2, 5, false);
    ck_assert(oct_data_count(a) == 20 && oct_data_count(b) == 80);
    uint8_t px[784], all[100][784];
    int32_t l, found = 0;
    for (int i = 0; i < 100; i++) ck_ok(oct_data_get(d, i, all[i], &l));
    for (int i = 0; i < 100; i++) {
        ck_ok(oct_data_get(i < 20 ? a : b, i < 20 ? i : i - 20, px, &l));
        for (int k = 0; k < 100; k++) found += !memcmp(px, all[k], 784);
    }
    ck_assert_int_eq(found, 100); /* each once */
    ck_assert(oct_data_share(d, 0, 5, true) == NULL && oct_data_share(d, 1, 5, true) == NULL &&
              oct_data_share(d, NAN, 5, true) == NULL);
    ck_assert(oct_data_share(NULL, 0.5, 5, true) == NULL);
    oct_data_free(a);
    oct_data_free(b);
    oct_data_free(d);
}
END_TEST

static void setup(void) { ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2})); }
static void teardown(void) { oct_close(ctx); }

OCT_TEST_MAIN_WITH("synth", setup, teardown, synthetic_sets, shares)
