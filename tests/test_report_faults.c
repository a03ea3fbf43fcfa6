/* SPDX-License-Identifier: MIT
 * A report whose memory ends at any moment, or whose page cannot be written: told, nothing is left,
 * and the old page is as it was. Every allocation under OCT_TEST_LONG=1, a sample of them else. */
#include "octet.h"
#include "tests/rigged_alloc.h"
#include "tests/temp_folder.h"

static rig heap;
static oct_ctx *ctx;
static const char *run, *page;

static void setup(void) {
    make_root();
    heap = (rig){.calls = 0};
    ctx = rig_open(&heap, 1);
    ck_not_null(ctx);
    run = in_root("run");
    page = in_root("page.html");
    oct_data *d = oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 16});
    oct_net *net = oct_zoo_net(ctx, "lenet", d);
    oct_net *q = oct_prepare(net, &(oct_qconfig){.observer = "entropy", .wbits = 4});
    ck_not_null(q);
    ck_ok(oct_fit(q, d, &(oct_fit_opts){.epochs = 1, .run = run}));
    oct_net_free(q);
    oct_net_free(net);
    oct_data_free(d);
}
static void teardown(void) {
    oct_close(ctx);
    ck_assert_int_eq(heap.blocks, 0);
    remove_root();
}

static oct_status make(void) {
    oct_report *r =
        oct_report_new(ctx, &run, 1, &(oct_report_opts){.data = "synth-digits", .limit = 4});
    oct_status s = r ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK) s = oct_report_save(r, page);
    if (s == OCT_OK && !oct_report_json(r)) s = oct_last_error()->code;
    oct_report_free(r);
    return s;
}

START_TEST(memory_that_ends) {
    const bool all = oct_test_long();
    ck_ok(make()); /* what the context keeps for itself is there */
    const long long kept = heap.blocks, before = heap.calls;
    ck_ok(make());
    ck_assert_int_eq(heap.blocks, kept);
    const long long n = heap.calls - before, step = all ? 1 : n / 12 + 1;
    for (long long k = 1; k <= n; k += step) {
        oct_clear_error();
        heap.hit = false;
        heap.fail_at = heap.calls + k;
        heap.on = k & 1;
        const oct_status s = make();
        heap.fail_at = 0;
        ck_assert_msg(s == OCT_ENOMEM || (s == OCT_OK && !heap.on), "call %lld of %lld: %d, %s", k,
                      n, s, oct_error_message());
        ck_assert_msg(heap.blocks == kept, "call %lld of %lld: %lld blocks for %lld", k, n,
                      (long long)heap.blocks, kept);
    }
    printf("%lld allocations\n", n);
    ck_ok(make());
}
END_TEST

START_TEST(a_page_that_cannot_be_written) {
    oct_report *r = oct_report_new(ctx, &run, 1, NULL);
    ck_not_null(r);
    ck_ok(oct_report_save(r, page));
    ck_fails(OCT_EIO, "nowhere", oct_report_save(r, in_root("nowhere/page.html")));
    ck_fails(OCT_EIO, root, oct_report_save(r, root));
    oct_report_free(r);
    /* nothing but the run and the page */
    ck_assert_int_eq(
        system(octi_fmt("test \"$(ls -A %s | tr '\\n' ' ')\" = 'page.html run '", root)), 0);
}
END_TEST

START_TEST(odd_calls) {
    const char *none[] = {NULL};
    ck_assert_ptr_null(oct_report_new(ctx, none, 1, NULL));
    ck_assert_ptr_null(oct_report_new(ctx, &run, 0, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    ck_assert_ptr_null(oct_report_new(ctx, &run, 1, &(oct_report_opts){.row_count = 1}));
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    const char *gone = in_root("gone");
    ck_assert_ptr_null(oct_report_new(ctx, &gone, 1, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_EIO);
    const oct_measured half = {.us = 1, .accuracy = 0.5, .score = OCT_SCORE_CLASSES};
    const oct_report_row row = {.measured = half, .spread = 0.25, .seeds = 3};
    oct_report *r = oct_report_new(ctx, &run, 1, &(oct_report_opts){.rows = &row, .row_count = 1});
    ck_not_null(r);
    const char *told = oct_report_json(r);
    ck_assert_ptr_nonnull(strstr(told, "\"name\":\"\",\"how\":\"\",\"accuracy\":0.5"));
    ck_assert_ptr_nonnull(strstr(told, "\"spread\":0.25,\"seeds\":3}"));
    ck_ok(oct_report_save(r, page));
    oct_report_free(r);
}
END_TEST

OCT_TEST_MAIN_WITH("report_faults", setup, teardown, memory_that_ends,
                   a_page_that_cannot_be_written, odd_calls)
