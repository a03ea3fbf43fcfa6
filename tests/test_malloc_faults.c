/* SPDX-License-Identifier: MIT
 * The C heap fails too: cJSON, zlib, libjpeg, readdir and the like ask malloc, not the context. Its
 * n-th call fails for n = 1, 2, ...;
 * each loader says memory, never damage or I/O, and loads when memory is back. (test_faults.c does
 * the context's own memory.) */
#include <errno.h>
#include <stdatomic.h>

#include "octet.h"
#include "tests/oct_test.h"
#include "tests/temp_folder.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static atomic_long calls, fail_at; /* fail_at 0: never */
static bool fails(void) {
    if (!fail_at || atomic_fetch_add(&calls, 1) + 1 != fail_at) return false;
    errno = ENOMEM;
    return true;
}
#define SEEN __attribute__((visibility("default"))) /* by the shared libraries */
SEEN void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
SEEN void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
SEEN void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }

static uint8_t *file8;
static size_t file8_size;

static oct_status done(oct_net *net) {
    oct_status s = net ? OCT_OK : oct_last_error()->code;
    oct_net_free(net);
    return s;
}
static oct_status load_run(oct_ctx *ctx) { return done(oct_run_load(ctx, in_root("run"), NULL)); }
static oct_status load_int8(oct_ctx *ctx) {
    return done(oct_int8_load_memory(ctx, file8, file8_size, "memory"));
}
static oct_status save_run(oct_ctx *ctx) {
    oct_net *net = oct_run_load(ctx, in_root("run"), NULL);
    oct_status s =
        net ? oct_run_save(net, in_root("again"), "{\"a\":1}", true) : oct_last_error()->code;
    oct_net_free(net);
    return s;
}
static oct_status import(oct_ctx *ctx) {
    return done(oct_import_torch(ctx, OCT_SOURCE_DIR "/tests/golden/torch_lenet16.safetensors",
                                 &(oct_import_opts){.model = "lenet", .height = 16, .width = 16}));
}
static oct_status qconfig(oct_ctx *ctx) {
    oct_qconfig c = {0};
    return oct_qconfig_parse(ctx, "*:wbits=4", &c);
}

static const struct {
    const char *name;
    oct_status (*run)(oct_ctx *ctx);
} all[] = {{"load a run", load_run},
           {"save a run", save_run},
           {"load int8", load_int8},
           {"import", import},
           {"qconfig", qconfig}};

START_TEST(each_malloc_that_fails_is_told_as_memory) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    ck_ok(all[_i].run(ctx));
    long n = 1;
    for (;; n++) {
        calls = 0;
        oct_clear_error();
        fail_at = n;
        oct_status s = all[_i].run(ctx);
        bool hit = calls >= n;
        fail_at = 0;
        if (!hit) {
            ck_assert_int_eq(s, OCT_OK);
            break;
        }
        ck_assert_msg(s == OCT_ENOMEM || s == OCT_OK, "%s: malloc %ld fails: status %d (%s)",
                      all[_i].name, n, s, oct_error_message());
    }
    printf("%s: %ld calls of malloc\n", all[_i].name, n - 1);
    oct_close(ctx);
}
END_TEST

static void prepare_files(void) {
    make_root();
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(8, 28, 28, 1));
    for (int i = 0; i < 8 * 28 * 28; i++) oct_f32(x)[i] = (float)(i * 37 % 251) / 125.0f - 1.0f;
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, x->shape, x->data, NULL,
                                       &(oct_array_opts){.classes = 10});
    oct_net *net = oct_zoo_net(ctx, "lenet", d), *q = oct_prepare(net, NULL);
    ck_not_null(q);
    ck_ok(oct_net_describe(q, d));
    ck_ok(oct_calibrate(q, d, 8));
    ck_ok(oct_run_save(q, in_root("run"), NULL, false));
    oct_net *i8 = oct_convert(q, NULL);
    ck_not_null(i8);
    uint8_t *bytes;
    ck_ok(oct_int8_save_memory(i8, &bytes, &file8_size));
    file8 = malloc(file8_size);
    memcpy(file8, bytes, file8_size);
    oct_close(ctx);
}

static void remove_files(void) {
    remove_root();
    free(file8);
}

int main(void) {
    Suite *suite = suite_create("malloc_faults");
    TCase *tc = tcase_create("malloc_faults");
    tcase_set_timeout(tc, 0);
    tcase_add_unchecked_fixture(tc, prepare_files, remove_files);
    tcase_add_loop_test(tc, each_malloc_that_fails_is_told_as_memory, 0, sizeof all / sizeof *all);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? 1 : 0;
}
