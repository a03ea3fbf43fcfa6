/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700 /* realpath */
#include "src/format/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/mem.h"

oct_status octi_bad_bytes(const octi_reader *r, size_t offset, const char *what, const char *expected, const char *got) {
    return octi_fail(OCT_EFORMAT, r->where, octi_fmt("%s at offset %zu", what, offset), expected, got, NULL);
}

const uint8_t *octi_take(octi_reader *r, size_t n, const char *field) {
    if (n > octi_left(r)) {
        octi_fail(OCT_EFORMAT, r->where, octi_fmt("file ends inside %s at offset %zu", field, r->pos),
                  octi_fmt("%zu bytes", n), octi_fmt("%zu", octi_left(r)), "the file is cut short or damaged");
        return NULL;
    }
    const uint8_t *p = r->base + r->pos;
    r->pos += n;
    return p;
}

static oct_status take_int(octi_reader *r, int bytes, bool big, uint64_t *v, const char *field) {
    const uint8_t *p = octi_take(r, (size_t)bytes, field);
    if (!p) return OCT_EFORMAT;
    *v = 0;
    for (int i = 0; i < bytes; i++) *v |= (uint64_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return OCT_OK;
}

#define READ_INT(name, type, bytes, big)                                                                               \
    oct_status name(octi_reader *r, type *v, const char *field) {                                                      \
        uint64_t w = 0;                                                                                                \
        OCT_TRY(take_int(r, bytes, big, &w, field));                                                                   \
        *v = (type)w;                                                                                                  \
        return OCT_OK;                                                                                                 \
    }
READ_INT(octi_read_u8, uint8_t, 1, false)
READ_INT(octi_read_u16le, uint16_t, 2, false)
READ_INT(octi_read_u32le, uint32_t, 4, false)
READ_INT(octi_read_u32be, uint32_t, 4, true)
READ_INT(octi_read_u64le, uint64_t, 8, false)

static oct_status io_error(const char *path, const char *what) {
    return octi_fail(OCT_EIO, path, what, NULL, strerror(errno), NULL);
}

static oct_status read_all(int fd, uint8_t *p, size_t n, const char *path) {
    for (size_t got = 0; got < n;) {
        ssize_t k = read(fd, p + got, n - got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return io_error(path, "cannot read");
        if (!k) return octi_fail(OCT_EIO, path, "file shrank while it was read", NULL, NULL, NULL);
        got += (size_t)k;
    }
    return OCT_OK;
}

oct_status octi_file_read(oct_ctx *ctx, const char *path, size_t max_bytes, uint8_t **bytes, size_t *size) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return io_error(path, "cannot open");
    oct_status s = OCT_OK;
    uint8_t *p = NULL;
    if (fstat(fd, &st)) s = io_error(path, "cannot stat");
    else if (!S_ISREG(st.st_mode))
        s = octi_fail(OCT_EIO, path, "not a regular file", NULL, S_ISDIR(st.st_mode) ? "a directory" : "a special file", NULL);
    else if ((uint64_t)st.st_size > (max_bytes ? max_bytes : (size_t)4 << 30))
        s = octi_fail(OCT_ELIMIT, path, "file too large", octi_fmt("at most %zu bytes", max_bytes ? max_bytes : (size_t)4 << 30),
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

struct octi_file {
    oct_ctx *ctx;
    char *path, *temp;
    int fd;
    oct_status status;
};

static void file_free(octi_file *f) {
    oct_ctx *ctx = f->ctx;
    octi_free(ctx, f->path);
    octi_free(ctx, f->temp);
    octi_free(ctx, f);
}

/* Where the bytes go: the file itself where path is a link to one, so that the link stays; never over a device or a folder, which
 * a rename would replace. *mode is that of the file which is there, else 0. NULL on failure. */
static char *target_of(oct_ctx *ctx, const char *path, mode_t *mode) {
    struct stat st;
    char real[PATH_MAX];
    *mode = 0;
    if (stat(path, &st)) {
        if (errno != ENOENT) return io_error(path, "cannot create"), NULL;
        return octi_strdup(ctx, path); /* a link to nothing is replaced */
    }
    if (!S_ISREG(st.st_mode)) {
        octi_fail(OCT_EIO, path, "cannot write over it", "a file, or a new path", S_ISDIR(st.st_mode) ? "a directory" : "a special file", NULL);
        return NULL;
    }
    *mode = st.st_mode & 0777;
    if (!lstat(path, &st) && S_ISLNK(st.st_mode)) {
        if (!realpath(path, real)) return io_error(path, "cannot follow the link"), NULL;
        path = real;
    }
    return octi_strdup(ctx, path);
}

octi_file *octi_file_create(oct_ctx *ctx, const char *path) {
    octi_file *f = octi_alloc(ctx, sizeof *f);
    if (!f) return NULL;
    mode_t mode;
    f->ctx = ctx;
    f->fd = -1;
    f->path = target_of(ctx, path, &mode);
    for (int i = 0; f->path && f->fd < 0; i++) {
        octi_free(ctx, f->temp);
        f->temp = octi_asprintf(ctx, "%s.tmp-%ld-%d", f->path, (long)getpid(), i);
        if (!f->temp) break;
        f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd < 0 && (errno != EEXIST || i == 99)) {
            io_error(path, "cannot create");
            break;
        }
    }
    if (f->fd >= 0 && mode && fchmod(f->fd, mode)) f->status = io_error(path, "cannot keep its permissions");
    if (f->fd >= 0) return f;
    file_free(f);
    return NULL;
}

static oct_status write_all(int fd, const char *p, size_t size, const char *path) {
    while (size) {
        ssize_t k = write(fd, p, size);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return io_error(path, "cannot write");
        p += k;
        size -= (size_t)k;
    }
    return OCT_OK;
}

static oct_status sync_fd(int fd, const char *path) {
    int rc;
    while ((rc = fsync(fd)) && errno == EINTR) {}
    return rc ? io_error(path, "cannot sync") : OCT_OK;
}

/* The descriptor is gone in any case; a signal behind a sync loses nothing. */
static oct_status close_fd(int fd, const char *path) { return close(fd) && errno != EINTR ? io_error(path, "cannot close") : OCT_OK; }

oct_status octi_file_write(octi_file *f, const void *bytes, size_t size) {
    if (f->status == OCT_OK) f->status = write_all(f->fd, bytes, size, f->path);
    return f->status;
}

static oct_status sync_folder(const char *path) {
    char dir[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof dir) return OCT_OK;
    memcpy(dir, path, n);
    dir[n] = 0;
    int fd = open(slash ? (n ? dir : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_error(path, "cannot open its folder");
    int rc;
    while ((rc = fsync(fd)) && errno == EINTR) {}
    oct_status s = rc && errno != EINVAL ? io_error(path, "cannot sync its folder") : OCT_OK;
    close(fd);
    return s;
}

oct_status octi_file_commit(octi_file *f) {
    if (f->status == OCT_OK) f->status = sync_fd(f->fd, f->path);
    oct_status closed = close_fd(f->fd, f->path);
    if (f->status == OCT_OK) f->status = closed;
    if (f->status == OCT_OK && rename(f->temp, f->path)) f->status = io_error(f->path, "cannot rename into place");
    if (f->status != OCT_OK) unlink(f->temp);
    else f->status = sync_folder(f->path);
    oct_status s = f->status;
    file_free(f);
    return s;
}

void octi_file_abort(octi_file *f) {
    if (!f) return;
    close(f->fd);
    unlink(f->temp);
    file_free(f);
}

oct_status octi_file_save(oct_ctx *ctx, const char *path, const void *bytes, size_t size) {
    octi_file *f = octi_file_create(ctx, path);
    if (!f) return oct_last_error()->code;
    (void)octi_file_write(f, bytes, size); /* commit reports it */
    return octi_file_commit(f);
}

oct_status octi_file_append(const char *path, int64_t at, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return io_error(path, "cannot open");
    oct_status s = ftruncate(fd, (off_t)at) || lseek(fd, 0, SEEK_END) < 0 ? io_error(path, "cannot cut it to its length") : OCT_OK;
    if (s == OCT_OK) s = write_all(fd, bytes, size, path);
    if (s == OCT_OK) s = sync_fd(fd, path);
    oct_status closed = close_fd(fd, path);
    return s == OCT_OK ? closed : s;
}

void octi_text_bytes(octi_text *t, const void *bytes, size_t size) {
    if (t->status != OCT_OK) return;
    size_t need;
    if (!octi_add_size(t->size, size, &need) || !octi_add_size(need, 1, &need)) {
        t->status = octi_fail(OCT_ELIMIT, "text", "too long", NULL, NULL, NULL);
        return;
    }
    t->status = octi_reserve(t->ctx, (void **)&t->data, &t->cap, need, 1);
    if (t->status != OCT_OK) return;
    memcpy(t->data + t->size, bytes, size);
    t->size += size;
    t->data[t->size] = 0;
}

void octi_text_printf(octi_text *t, const char *format, ...) {
    char small[512];
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) octi_text_bytes(t, small, (size_t)n);
    else if (n >= 0) {
        char *big = octi_alloc_raw(t->ctx, (size_t)n + 1);
        if (big) {
            vsnprintf(big, (size_t)n + 1, format, again);
            octi_text_bytes(t, big, (size_t)n);
            octi_free(t->ctx, big);
        } else if (t->status == OCT_OK)
            t->status = oct_last_error()->code;
    }
    va_end(again);
}

void octi_text_free(octi_text *t) {
    octi_free(t->ctx, t->data);
    t->data = NULL;
    t->size = t->cap = 0;
}
