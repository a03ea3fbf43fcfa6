/* SPDX-License-Identifier: MIT
 * For LD_PRELOAD: of the system calls that a program makes by itself, the FAIL_AT-th fails with
 * FAIL_ERRNO; KILL: the program is killed in its place, a write half done. The file FAIL_LOG has
 * the name of the call that failed, or, where none was reached, how many there were
 * (test_failing_calls.sh). */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;
static atomic_bool hit;

static void note(const char *line) {
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    const char *path = getenv("FAIL_LOG");
    int fd = path ? real(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd >= 0) dprintf(fd, "%s\n", line);
}

static int kills(void) {
    const char *error = getenv("FAIL_ERRNO");
    return error && *error == 'K';
}

static int fails(const char *name) {
    const char *at = getenv("FAIL_AT"), *error = getenv("FAIL_ERRNO");
    if (atomic_fetch_add(&calls, 1) + 1 != (at ? atol(at) : 0)) return 0;
    atomic_store(&hit, 1);
    note(name);
    if (kills()) return 1;
    errno = error ? atoi(error) : EIO;
    return 1;
}

__attribute__((destructor)) static void end(void) {
    char line[32];
    snprintf(line, sizeof line, "%ld", atomic_load(&calls));
    if (!atomic_load(&hit)) note(line);
}

/* CALL(what it returns, name, what it returns where it fails, parameters, arguments) */
#define CALL(type, name, none, params, args)                                                       \
    __attribute__((visibility("default"))) type name params {                                      \
        static type(*real) params;                                                                 \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                                      \
        if (!fails(#name)) return real args;                                                       \
        type failed = none;                                                                        \
        if (kills()) raise(SIGKILL);                                                               \
        return failed;                                                                             \
    }
#define OPEN(name, params, args)                                                                   \
    __attribute__((visibility("default"))) int name params {                                       \
        static int(*real) params;                                                                  \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                                      \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;                                    \
        va_end(ap);                                                                                \
        if (!fails(#name)) return real args;                                                       \
        if (kills()) raise(SIGKILL);                                                               \
        return -1;                                                                                 \
    }
/* a close that fails has closed */
static void close_anyway(int fd) {
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "close");
    int error = errno;
    real(fd);
    errno = error;
}
static ssize_t half(int fd, const void *p, size_t n) {
    ssize_t (*real)(int, const void *, size_t);
    *(void **)&real = dlsym(RTLD_NEXT, "write");
    return real(fd, p, n / 2);
}
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode))
CALL(ssize_t, read, -1, (int fd, void *p, size_t n), (fd, p, n))
CALL(ssize_t, write, (kills() ? half(fd, p, n) : -1), (int fd, const void *p, size_t n), (fd, p, n))
CALL(off_t, lseek, -1, (int fd, off_t n, int from), (fd, n, from))
CALL(int, fsync, -1, (int fd), (fd))
CALL(int, close, (close_anyway(fd), -1), (int fd), (fd))
CALL(int, flock, -1, (int fd, int how), (fd, how))
CALL(int, dup, -1, (int fd), (fd))
CALL(int, ftruncate, -1, (int fd, off_t n), (fd, n))
CALL(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
CALL(int, fstat, -1, (int fd, struct stat *st), (fd, st))
CALL(int, stat, -1, (const char *path, struct stat *st), (path, st))
CALL(int, lstat, -1, (const char *path, struct stat *st), (path, st))
CALL(int, fstatat, -1, (int dir, const char *path, struct stat *st, int flags),
     (dir, path, st, flags))
CALL(int, access, -1, (const char *path, int mode), (path, mode))
CALL(int, faccessat, -1, (int dir, const char *path, int mode, int flags), (dir, path, mode, flags))
CALL(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
CALL(int, mkdirat, -1, (int dir, const char *path, mode_t mode), (dir, path, mode))
CALL(int, rmdir, -1, (const char *path), (path))
CALL(int, unlinkat, -1, (int dir, const char *path, int flags), (dir, path, flags))
CALL(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
CALL(int, linkat, -1, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags))
CALL(DIR *, opendir, NULL, (const char *path), (path))
CALL(DIR *, fdopendir, NULL, (int fd), (fd))
CALL(struct dirent *, readdir, NULL, (DIR * d), (d))
CALL(char *, realpath, NULL, (const char *path, char *out), (path, out))
CALL(void *, mmap, MAP_FAILED, (void *at, size_t n, int prot, int flags, int fd, off_t from),
     (at, n, prot, flags, fd, from))
