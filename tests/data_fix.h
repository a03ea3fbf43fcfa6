/* SPDX-License-Identifier: MIT
 * tests/data_fix.h - files of data sets in a folder of the test's own, and sets opened from it. */
#ifndef OCT_TESTS_DATA_FIX_H
#define OCT_TESTS_DATA_FIX_H

#include "tests/temp_folder.h"

#include <math.h>
#include <sys/stat.h>
#include <zlib.h>

#include "datasets/set.h"
#include "src/format/npz.h"
#include "src/mem.h"

static oct_ctx *ctx;
static inline void save(const char *name, const void *bytes, size_t n) {
    ck_ok(octi_file_save(ctx, in_root(name), bytes, n));
}
static inline void save_gz(const char *name, const void *bytes, size_t n) {
    gzFile f = gzopen(in_root(name), "wb");
    ck_assert_int_eq(gzwrite(f, bytes, (unsigned)n), (int)n);
    gzclose(f);
}
static inline void make_dir(const char *name) { ck_assert_int_eq(mkdir(in_root(name), 0777), 0); }
static inline oct_data *open_set(const char *spec, oct_split split) {
    return oct_data_open(ctx, spec, &(oct_data_opts){.split = split, .root = root});
}
#define opens_not(want, text, spec)                                                                \
    do {                                                                                           \
        oct_clear_error();                                                                         \
        ck_assert(open_set(spec, OCT_SPLIT_TRAIN) == NULL);                                        \
        ck_assert_msg(oct_last_error()->code == (want) && strstr(oct_error_message(), text), "%s", \
                      oct_error_message());                                                        \
    } while (0)

static inline void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2}));
    make_root();
}
static inline void teardown(void) {
    remove_root();
    oct_close(ctx);
}

#endif
