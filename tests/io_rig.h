/* SPDX-License-Identifier: MIT
 * tests/io_rig.h - system calls that fail: the linker wraps them (see train_tests.cmake), and the
 * k-th one of those that are armed fails. For one file of a test program; with small nets to save
 * and read. */
#ifndef OCT_TESTS_IO_RIG_H
#define OCT_TESTS_IO_RIG_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "tests/temp_folder.h"

/* HARD, EINTR_ONCE: calls that write. SHORT: writes alone. READING: calls that look and read */
enum { HARD, EINTR_ONCE, SHORT, READING };
static struct {
    long calls, fail_at;
    int fault, error;
    bool hit, ours[256]; /* descriptors that were opened for writing */
} rig;

static bool fails(bool may_be_interrupted) {
    if (rig.fault == READING) return false;
    rig.calls++;
    if (rig.calls != rig.fail_at || (rig.fault != HARD && !may_be_interrupted)) return false;
    rig.hit = true;
    errno = rig.fault == HARD ? rig.error : EINTR;
    return true;
}

static bool fails_reading(void) {
    if (rig.fault != READING || ++rig.calls != rig.fail_at) return false;
    rig.hit = true;
    errno = rig.error;
    return true;
}

#define WRAP(type, name, args)                                                                     \
    type __real_##name args;                                                                       \
    type __wrap_##name args;
WRAP(int, open, (const char *path, int flags, ...))
WRAP(int, openat, (int dir, const char *path, int flags, ...))
WRAP(ssize_t, write, (int fd, const void *p, size_t n))
WRAP(ssize_t, read, (int fd, void *p, size_t n))
WRAP(int, fstat, (int fd, struct stat *st))
WRAP(int, fstatat, (int dir, const char *path, struct stat *st, int flags))
WRAP(int, stat, (const char *path, struct stat *st))
WRAP(int, fsync, (int fd))
WRAP(int, close, (int fd))
WRAP(int, renameat, (int a, const char *from, int b, const char *to))
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags))
WRAP(int, ftruncate, (int fd, off_t n))
WRAP(int, fchmod, (int fd, mode_t mode))
WRAP(int, mkdir, (const char *path, mode_t mode))
WRAP(int, mkdirat, (int dir, const char *path, mode_t mode))

static int opened(int fd, int flags) {
    if (fd >= 0 && fd < 256 && flags & O_CREAT) rig.ours[fd] = true;
    return fd;
}

#define OPEN(real)                                                                                 \
    va_list ap;                                                                                    \
    va_start(ap, flags);                                                                           \
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(ap, int) : 0;                                   \
    va_end(ap);                                                                                    \
    if (flags & O_CREAT ? fails(false) : fails_reading()) return -1;                               \
    return opened(real, flags);

int __wrap_open(const char *path, int flags, ...) { OPEN(__real_open(path, flags, mode)) }
int __wrap_openat(int dir, const char *path, int flags,
                  ...){OPEN(__real_openat(dir, path, flags, mode))}

ssize_t __wrap_write(int fd, const void *p, size_t n) {
    if (!fails(true)) return __real_write(fd, p, n);
    return rig.fault == SHORT && n ? __real_write(fd, p, (n + 1) / 2) : -1;
}

ssize_t __wrap_read(int fd, void *p, size_t n) {
    return fails_reading() ? -1 : __real_read(fd, p, n);
}
int __wrap_fstat(int fd, struct stat *st) { return fails_reading() ? -1 : __real_fstat(fd, st); }
int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags) {
    return fails_reading() ? -1 : __real_fstatat(dir, path, st, flags);
}
int __wrap_stat(const char *path, struct stat *st) {
    return fails_reading() ? -1 : __real_stat(path, st);
}
int __wrap_fsync(int fd) { return rig.fault != SHORT && fails(true) ? -1 : __real_fsync(fd); }
int __wrap_close(int fd) {
    if (fd < 0 || fd >= 256 || !rig.ours[fd]) return __real_close(fd);
    rig.ours[fd] = false;
    int rc = __real_close(fd);
    return rig.fault != SHORT && fails(true) ? -1 : rc;
}
int __wrap_renameat(int a, const char *from, int b, const char *to) {
    return fails(false) ? -1 : __real_renameat(a, from, b, to);
}
int __wrap_linkat(int a, const char *from, int b, const char *to, int flags) {
    return fails(false) ? -1 : __real_linkat(a, from, b, to, flags);
}
int __wrap_ftruncate(int fd, off_t n) { return fails(false) ? -1 : __real_ftruncate(fd, n); }
int __wrap_fchmod(int fd, mode_t mode) { return fails(false) ? -1 : __real_fchmod(fd, mode); }
int __wrap_mkdir(const char *path, mode_t mode) {
    return fails(false) ? -1 : __real_mkdir(path, mode);
}
int __wrap_mkdirat(int dir, const char *path, mode_t mode) {
    return fails(false) ? -1 : __real_mkdirat(dir, path, mode);
}

static void arm(long k, int fault, int error) {
    rig.calls = 0;
    rig.fail_at = k;
    rig.fault = fault;
    rig.error = error;
    rig.hit = false;
}

/* ---- files ---- */

typedef struct bytes {
    char *p;
    size_t n;
} bytes;

static inline bytes slurp(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return (bytes){NULL, 0};
    bytes b = {malloc(1 << 20), 0};
    b.n = fread(b.p, 1, 1 << 20, f);
    fclose(f);
    return b;
}

static inline bool same(bytes a, bytes b) {
    return a.p && b.p && a.n == b.n && !memcmp(a.p, b.p, a.n);
}

static inline bool is_file(const char *path, bytes want) {
    bytes got = slurp(path);
    bool yes = same(got, want);
    free(got.p);
    return yes;
}

static inline void copy_file(const char *from, const char *to) {
    bytes b = slurp(from);
    if (!b.p) return;
    FILE *f = fopen(to, "wb");
    ck_assert(f && fwrite(b.p, 1, b.n, f) == b.n && !fclose(f));
    free(b.p);
}

static inline void no_temporaries(const char *dir, const char *when, long k) {
    DIR *d = opendir(dir);
    ck_assert(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        ck_assert_msg(!strstr(e->d_name, ".tmp-"), "%s, call %ld: %s stays", when, k, e->d_name);
    closedir(d);
}

/* ---- nets ---- */

static oct_ctx *ctx;
static uint8_t pixels[12 * 36];
static int32_t labels[12];

static inline oct_data *make_data(void) {
    for (int i = 0; i < (int)sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (int i = 0; i < 12; i++) labels[i] = i % 3;
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(12, 6, 6, 1), pixels, labels,
                                       &(oct_array_opts){.classes = 3});
    ck_not_null(d);
    return d;
}

static inline oct_net *make_net(int width) {
    oct_module *parts[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = width, .kernel = 3}),
        oct_relu_new(ctx), oct_flatten_new(ctx),
        oct_linear_new(ctx, &(oct_linear_opts){.in = width * 16, .out = 3})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 4), OCT_SHAPE(6, 6, 1));
    ck_not_null(net);
    return net;
}

static inline oct_net *make_int8(int width) {
    oct_data *d = make_data();
    oct_net *net = make_net(width);
    ck_ok(oct_net_describe(net, d));
    oct_net *q = oct_prepare(net, NULL);
    ck_ok(oct_calibrate(q, d, 12));
    oct_net *i8 = oct_convert(q, NULL);
    ck_not_null(i8);
    return i8;
}

static const char *const run_names[] = {"config.json",       "graph.json",    "state.safetensors",
                                        "model.safetensors", "metrics.jsonl", "best.safetensors"};

static inline void copy_run(const char *from, const char *to) {
    char a[256], b[256];
    mkdir(to, 0777);
    for (int i = 0; i < 6; i++) {
        snprintf(a, sizeof a, "%s/%s", from, run_names[i]);
        snprintf(b, sizeof b, "%s/%s", to, run_names[i]);
        unlink(b);
        copy_file(a, b);
    }
}

/** A path where nothing is. */
static inline void fresh_run(const char *dir) {
    char cmd[256];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
}

static inline void only_files(const char *dir, int n) {
    DIR *d = opendir(dir);
    int count = 0;
    ck_assert(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        count += *e->d_name != '.' || !strncmp(e->d_name, ".new", 4);
    closedir(d);
    ck_assert_int_eq(count, n);
}

static void setup(void) {
    make_root();
    arm(0, HARD, 0);
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}

static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

#endif
