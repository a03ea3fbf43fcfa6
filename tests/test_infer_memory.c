/* SPDX-License-Identifier: MIT
 * A LeNet's int8 file loads and runs in at most 256 KiB beyond its own bytes, whoever takes them:
 * the context's blocks are counted at each, and the heap behind them (JSON takes from it) too. */
#include <malloc.h>

#include "oct_test.h"
#include "octet.h"

enum { LIMIT = 256 << 10 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static size_t heap(void) { return 0; } /* their heaps are not the C library's */
#else
static size_t heap(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
#endif

typedef struct meter {
    size_t start, peak;
} meter;

static void look(meter *m) {
    const size_t now = heap();
    if (now > m->start && now - m->start > m->peak) m->peak = now - m->start;
}
static void *take(void *user, size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes)) return NULL;
    look(user);
    return p;
}
static void give(void *user, void *p, size_t bytes) {
    (void)bytes;
    look(user); /* JSON's tree stands when what was made of it is given back */
    free(p);
}

static size_t lenet_file(uint8_t **file) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *data = oct_data_open(ctx, "synth-digits", NULL);
    oct_net *net = oct_prepare(oct_fuse(oct_zoo_net(ctx, "lenet", data)), NULL), *int8;
    ck_not_null(net);
    ck_ok(oct_calibrate(net, data, 64));
    int8 = oct_convert(net, NULL);
    ck_not_null(int8);
    uint8_t *bytes;
    size_t size;
    ck_ok(oct_int8_save_memory(int8, &bytes, &size));
    *file = malloc(size);
    memcpy(*file, bytes, size);
    oct_close(ctx);
    return size;
}

static void images(uint8_t *pixels, size_t n) {
    for (size_t i = 0; i < n; i++) pixels[i] = (uint8_t)(i * 2654435761u >> 24);
}

/* From a path, as a program does it; the net is freed once its plan stands. */
static void load_and_run(const char *path, size_t size, int threads, bool keep_net) {
    enum { BATCH = 2, IMAGE = 28 * 28 };
    static uint8_t pixels[BATCH * IMAGE];
    static float y[BATCH * 10];
    images(pixels, sizeof pixels);
    meter m = {.start = heap()};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = threads, .alloc = {take, give, &m}});
    oct_net *net = oct_int8_load(ctx, path);
    const size_t loaded = m.peak;
    oct_plan *plan = oct_plan_new(net, NULL);
    ck_not_null(plan);
    if (!keep_net) oct_net_free(net);
    oct_session *s = oct_session_new(plan, BATCH, NULL, 0);
    ck_not_null(s);
    ck_ok(oct_session_run_u8(s, pixels, BATCH, y));
    look(&m);
    const size_t most = (size_t)oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES),
                 held = (size_t)oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    printf("file %zu bytes, %d threads: peak %zu (loading %zu), context's peak %zu, held %zu\n",
           size, threads, m.peak, loaded, most, held);
    ck_assert_msg(m.peak <= size + LIMIT, "%zu bytes at most, of a file of %zu", m.peak, size);
    ck_assert_msg(most <= size + LIMIT, "the context: %zu", most);
    oct_close(ctx);
}

START_TEST(lenet_runs_in_little_memory) {
    uint8_t *file;
    const size_t size = lenet_file(&file);
    char path[] = "/tmp/octet-lenet-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert(fd >= 0 && write(fd, file, size) == (ssize_t)size);
    close(fd);
    malloc_trim(0);
    load_and_run(path, size, 1, false);
    load_and_run(path, size, 1, true);
    load_and_run(path, size, 2, true);
    unlink(path);
    free(file);
}
END_TEST

OCT_TEST_MAIN("infer_memory", lenet_runs_in_little_memory)
