/* SPDX-License-Identifier: MIT
 * Reads a file whole; writes one under another name and renames it when it is whole. */
#define _DEFAULT_SOURCE /* realpath, flock */
#include "src/format/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/format/folders.h"
#include "src/format/bytes.h"
#include "src/mem.h"

/* ---- reading ---- */

static oct_status read_all(int fd, uint8_t *p, size_t n, const char *path) {
    for (size_t got = 0; got < n;) {
        ssize_t k = read(fd, p + got, n - got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return octi_io_error(path, "cannot read");
        if (!k) return octi_fail(OCT_EIO, path, "file shrank while it was read", NULL, NULL, NULL);
        got += (size_t)k;
    }
    return OCT_OK;
}

/* fd is closed. */
static oct_status read_open(oct_ctx *ctx, int fd, const char *path, size_t max_bytes,
                            uint8_t **bytes, size_t *size) {
    struct stat st;
    const size_t most = max_bytes ? max_bytes : (size_t)4 << 30;
    oct_status s = OCT_OK;
    uint8_t *p = NULL;
    if (fstat(fd, &st))
        s = octi_io_error(path, "cannot stat");
    else if (!S_ISREG(st.st_mode))
        s = octi_fail(OCT_EIO, path, "not a regular file", NULL,
                      S_ISDIR(st.st_mode) ? "a directory" : "a special file", NULL);
    else if ((uint64_t)st.st_size > most)
        s = octi_fail(OCT_ELIMIT, path, "file too large", octi_fmt("at most %zu bytes", most),
                      octi_fmt("%lld", (long long)st.st_size), NULL);
    else if (!(p = octi_alloc_raw(ctx, (size_t)st.st_size + 1)))
        s = oct_last_error()->code;
    else if ((s = read_all(fd, p, (size_t)st.st_size, path)) == OCT_OK)
        p[st.st_size] = 0; /* text parsers may rely on it; not counted */
    close(fd);
    if (s != OCT_OK) return octi_free(ctx, p), s;
    *bytes = p;
    *size = (size_t)st.st_size;
    return OCT_OK;
}

oct_status octi_file_read(oct_ctx *ctx, const char *path, size_t max_bytes, uint8_t **bytes,
                          size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? octi_io_error(path, "cannot open")
                  : read_open(ctx, fd, path, max_bytes, bytes, size);
}

oct_status octi_file_read_in(const octi_folder *f, const char *name, size_t max_bytes,
                             uint8_t **bytes, size_t *size) {
    const char *path = octi_folder_at(f, name);
    int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd >= 0) return read_open(f->ctx, fd, path, max_bytes, bytes, size);
    return errno == ELOOP ? octi_fail_link(path) : octi_io_error(path, "cannot open");
}

oct_status octi_file_read_for(oct_ctx *ctx, const octi_folder *in, const char *name,
                              uint8_t **bytes, size_t *size, const char **where) {
    OCT_TRY(in ? octi_file_read_in(in, name, 0, bytes, size)
               : octi_file_read(ctx, name, 0, bytes, size));
    *where = in ? octi_folder_at(in, name) : name;
    return OCT_OK;
}

/* ---- writing ---- */

struct octi_file {
    oct_ctx *ctx;
    octi_folder *folder; /* where it lies; ours is closed with it */
    bool ours;
    char *path, *name, *temp; /* path: for messages */
    int fd;
    oct_status status;
};

static void file_free(octi_file *f) {
    oct_ctx *ctx = f->ctx;
    if (f->ours) octi_folder_close(f->folder);
    octi_free(ctx, f->path);
    octi_free(ctx, f->name);
    octi_free(ctx, f->temp);
    octi_free(ctx, f);
}

/* May the name be replaced? *mode is that of the file which is there, else 0. A link is replaced
 * itself. */
static oct_status look_at(const octi_folder *f, const char *name, const char *path, mode_t *mode) {
    struct stat st;
    *mode = 0;
    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? OCT_OK : octi_io_error(path, "cannot create");
    if (S_ISLNK(st.st_mode)) return OCT_OK;
    if (!S_ISREG(st.st_mode))
        return octi_fail(OCT_EIO, path, "cannot write over it", "a file, or a new path",
                         S_ISDIR(st.st_mode) ? "a directory" : "a special file", NULL);
    if (faccessat(f->fd, name, W_OK, 0)) return octi_io_error(path, "cannot write over it");
    *mode = st.st_mode & 0777;
    return OCT_OK;
}

/* A temporary of our own, locked as long as we live, so that who clears up can tell it from one
 * that was left. */
static int open_temp(octi_file *f) {
    for (int i = 0; i < 100; i++) {
        octi_free(f->ctx, f->temp);
        f->temp = octi_asprintf(f->ctx, "%s.tmp-%ld-%d", f->name, (long)getpid(), i);
        if (!f->temp) return -1;
        int fd = openat(f->folder->fd, f->temp,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
        struct stat st;
        if (fd < 0) continue;
        /* without locks nobody clears it either */
        if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || st.st_nlink) return fd;
        close(fd); /* swept before it was locked */
    }
    octi_io_error(f->path, "cannot create");
    return -1;
}

/* Takes the folder over where it is ours. */
static octi_file *create(octi_folder *folder, bool ours, const char *name, const char *path) {
    mode_t mode = 0;
    octi_file *f =
        look_at(folder, name, path, &mode) == OCT_OK ? octi_alloc(folder->ctx, sizeof *f) : NULL;
    if (!f) {
        if (ours) octi_folder_close(folder);
        return NULL;
    }
    *f = (octi_file){.ctx = folder->ctx, .folder = folder, .ours = ours, .fd = -1};
    f->name = octi_strdup(f->ctx, name);
    f->path = octi_strdup(f->ctx, path);
    if (f->name && f->path) f->fd = open_temp(f);
    if (f->fd >= 0 && mode && fchmod(f->fd, mode))
        f->status = octi_io_error(path, "cannot keep its permissions");
    if (f->fd >= 0) return f;
    file_free(f);
    return NULL;
}

octi_file *octi_file_create_in(const octi_folder *f, const char *name) {
    return create((octi_folder *)(uintptr_t)f, false, name, octi_folder_at(f, name));
}

/* Where the bytes go: the file itself where path is a link to one, so that the link stays; a link
 * to nothing is replaced. NULL on failure. */
static char *target_of(oct_ctx *ctx, const char *path) {
    struct stat st;
    char real[PATH_MAX];
    if (lstat(path, &st) || !S_ISLNK(st.st_mode) || (stat(path, &st) && errno == ENOENT))
        return octi_strdup(ctx, path);
    if (realpath(path, real)) return octi_strdup(ctx, real);
    octi_io_error(path, "cannot follow the link");
    return NULL;
}

octi_file *octi_file_create(oct_ctx *ctx, const char *path) {
    char *target = target_of(ctx, path), *slash = target ? strrchr(target, '/') : NULL;
    if (!target) return NULL;
    const char *name = slash ? slash + 1 : target, *dir = !slash            ? "."
                                                          : slash == target ? "/"
                                                                            : target;
    octi_folder *folder = NULL;
    if (!*name)
        octi_fail(OCT_EIO, path, "cannot write over it", "a file, or a new path", "a directory",
                  NULL);
    else {
        if (slash) *slash = 0;
        folder = octi_folder_open(ctx, *dir ? dir : "/");
        if (!folder) octi_fail_in(oct_last_error()->code, path);
    }
    if (folder) octi_folder_clear_left(folder, name);
    octi_file *f = folder ? create(folder, true, name, path) : NULL;
    octi_free(ctx, target);
    return f;
}

static oct_status write_all(int fd, const char *p, size_t size, const char *path) {
    while (size) {
        ssize_t k = write(fd, p, size);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return octi_io_error(path, "cannot write");
        p += k;
        size -= (size_t)k;
    }
    return OCT_OK;
}

static oct_status sync_fd(int fd, const char *path) {
    int rc;
    while ((rc = fsync(fd)) && errno == EINTR) {
    }
    return rc ? octi_io_error(path, "cannot sync") : OCT_OK;
}

/* The descriptor is gone in any case; a signal behind a sync loses nothing. */
static oct_status close_fd(int fd, const char *path) {
    return close(fd) && errno != EINTR ? octi_io_error(path, "cannot close") : OCT_OK;
}

oct_status octi_file_write(octi_file *f, const void *bytes, size_t size) {
    if (f->status == OCT_OK) f->status = write_all(f->fd, bytes, size, f->path);
    return f->status;
}

oct_status octi_file_commit(octi_file *f) {
    if (f->status == OCT_OK) f->status = sync_fd(f->fd, f->path);
    const int lock = dup(f->fd); /* the lock lives until the temporary has its name */
    oct_status closed = close_fd(f->fd, f->path);
    if (f->status == OCT_OK) f->status = closed;
    if (f->status == OCT_OK && renameat(f->folder->fd, f->temp, f->folder->fd, f->name))
        f->status = octi_io_error(f->path, "cannot rename into place");
    if (f->status != OCT_OK)
        unlinkat(f->folder->fd, f->temp, 0);
    else if ((f->status = octi_folder_sync(f->folder)) != OCT_OK && f->ours)
        octi_fail_in(f->status, f->path); /* the folder goes by the path's: "." */
    if (lock >= 0) close(lock);
    oct_status s = f->status;
    file_free(f);
    return s;
}

void octi_file_abort(octi_file *f) {
    if (!f) return;
    unlinkat(f->folder->fd, f->temp, 0);
    close(f->fd);
    file_free(f);
}

static oct_status save(octi_file *f, const void *bytes, size_t size) {
    if (!f) return oct_last_error()->code;
    (void)octi_file_write(f, bytes, size); /* commit reports it */
    return octi_file_commit(f);
}

oct_status octi_file_save(oct_ctx *ctx, const char *path, const void *bytes, size_t size) {
    return save(octi_file_create(ctx, path), bytes, size);
}

oct_status octi_file_save_in(const octi_folder *f, const char *name, const void *bytes,
                             size_t size) {
    return save(octi_file_create_in(f, name), bytes, size);
}

/* A file of our own, no other name of somebody's, and as long as the caller knows it to be. */
static oct_status check_log(int fd, const char *path, int64_t at) {
    struct stat st;
    if (fstat(fd, &st)) return octi_io_error(path, "cannot stat");
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return octi_fail(OCT_EIO, path, "cannot append to it", "a file of the run alone",
                         "a special file, or one of many names", NULL);
    if (st.st_size >= at) return OCT_OK;
    return octi_fail(OCT_EIO, path, "file is shorter than it was",
                     octi_fmt("%lld bytes", (long long)at), octi_fmt("%lld", (long long)st.st_size),
                     NULL);
}

oct_status octi_file_append_in(const octi_folder *f, const char *name, int64_t at,
                               const void *bytes, size_t size) {
    const char *path = octi_folder_at(f, name);
    int fd = openat(f->fd, name,
                    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666);
    if (fd < 0) return errno == ELOOP ? octi_fail_link(path) : octi_io_error(path, "cannot open");
    oct_status s = check_log(fd, path, at);
    if (s == OCT_OK && (ftruncate(fd, (off_t)at) || lseek(fd, 0, SEEK_END) < 0))
        s = octi_io_error(path, "cannot cut it to its length");
    if (s == OCT_OK) s = write_all(fd, bytes, size, path);
    if (s == OCT_OK) s = sync_fd(fd, path);
    oct_status closed = close_fd(fd, path);
    return s == OCT_OK ? closed : s;
}
