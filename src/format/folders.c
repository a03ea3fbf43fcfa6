/* SPDX-License-Identifier: MIT
 * Files inside an open folder, by its handle: opening, listing, renaming, removing, syncing. */
#define _DEFAULT_SOURCE /* flock */
#include "src/format/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/format/bytes.h"
#include "src/mem.h"

oct_status octi_io_error(const char *path, const char *what) { return octi_fail_errno(path, what); }

oct_status octi_fail_link(const char *path) {
    return octi_fail(OCT_EFORMAT, path, "a link in the place of a file", "a file of this folder",
                     NULL, "links inside a run are not followed: copy the file");
}

const char *octi_folder_at(const octi_folder *f, const char *name) {
    return octi_fmt("%s/%s", f->path, name);
}

/* fd and path are taken over. */
static octi_folder *folder(oct_ctx *ctx, int fd, char *path) {
    octi_folder *f = fd >= 0 && path ? octi_alloc(ctx, sizeof *f) : NULL;
    if (f) {
        *f = (octi_folder){ctx, path, fd};
        return f;
    }
    if (fd >= 0) close(fd);
    octi_free(ctx, path);
    return NULL;
}

octi_folder *octi_folder_open(oct_ctx *ctx, const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return octi_io_error(path, "cannot open the folder"), NULL;
    return folder(ctx, fd, octi_strdup(ctx, path));
}

octi_folder *octi_folder_sub(const octi_folder *f, const char *name) {
    int fd = openat(f->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return octi_io_error(octi_folder_at(f, name), "cannot open the folder"), NULL;
    return folder(f->ctx, fd, octi_strdup(f->ctx, f->path));
}

octi_folder *octi_folder_make(const octi_folder *f, const char *name) {
    octi_folder_clear(f, name); /* what a killed process left */
    if (mkdirat(f->fd, name, 0777))
        return octi_io_error(octi_folder_at(f, name), "cannot make the folder"), NULL;
    octi_folder *sub = octi_folder_sub(f, name);
    if (!sub) octi_folder_clear(f, name);
    return sub;
}

void octi_folder_close(octi_folder *f) {
    if (!f) return;
    close(f->fd);
    octi_free(f->ctx, f->path);
    octi_free(f->ctx, f);
}

const char *octi_folder_path(const octi_folder *f) { return f->path; }

oct_status octi_folder_lock(octi_folder *f) {
    int rc;
    while ((rc = flock(f->fd, LOCK_EX | LOCK_NB)) && errno == EINTR) {
    }
    if (rc && errno == EWOULDBLOCK)
        return octi_fail(OCT_EBUSY, f->path, "another process is writing it",
                         "one writer at a time", NULL, "wait for it, or stop it");
    if (rc)
        octi_log(f->ctx, OCT_LOG_WARN,
                 "%s: the file system has no locks (%s): nothing stops a second writer", f->path,
                 strerror(errno));
    return OCT_OK;
}

oct_status octi_folder_has(const octi_folder *f, const char *name, bool *there) {
    struct stat st;
    *there = !fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW);
    return *there || errno == ENOENT ? OCT_OK
                                     : octi_io_error(octi_folder_at(f, name), "cannot look at it");
}

/* A stream of its own: the handle's place is not moved. */
static DIR *stream(const octi_folder *f) {
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !d) close(fd);
    return d;
}

oct_status octi_folder_names(const octi_folder *f, char **names) {
    octi_text t = {.ctx = f->ctx};
    DIR *d = stream(f);
    if (!d) return octi_io_error(f->path, "cannot list the folder");
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            octi_text_bytes(&t, e->d_name, strlen(e->d_name) + 1);
    const int error = errno;
    closedir(d);
    octi_text_bytes(&t, "", 1);
    oct_status s =
        error ? (errno = error, octi_io_error(f->path, "cannot list the folder")) : t.status;
    if (s == OCT_OK)
        *names = t.data;
    else
        octi_text_free(&t);
    return s;
}

oct_status octi_folder_remove(const octi_folder *f, const char *name) {
    return unlinkat(f->fd, name, 0) && errno != ENOENT
               ? octi_io_error(octi_folder_at(f, name), "cannot remove")
               : OCT_OK;
}

void octi_folder_clear(const octi_folder *f, const char *name) {
    int fd = openat(f->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    if (unlinkat(f->fd, name, AT_REMOVEDIR) && errno == ENOTDIR) (void)unlinkat(f->fd, name, 0);
}

oct_status octi_folder_rename(const octi_folder *f, const char *from, const char *to) {
    return renameat(f->fd, from, f->fd, to)
               ? octi_io_error(octi_folder_at(f, to), "cannot rename into place")
               : OCT_OK;
}

oct_status octi_folder_sync(const octi_folder *f) {
    int rc;
    while ((rc = fsync(f->fd)) && errno == EINTR) {
    }
    return rc && errno != EINVAL ? octi_io_error(f->path, "cannot sync the folder") : OCT_OK;
}

static oct_status copy(const octi_folder *f, const octi_folder *from, const char *name) {
    uint8_t *bytes;
    size_t size;
    OCT_TRY(octi_file_read_in(from, name, 0, &bytes, &size));
    oct_status s = octi_file_save_in(f, name, bytes, size);
    octi_free(f->ctx, bytes);
    return s;
}

oct_status octi_folder_take(const octi_folder *f, const octi_folder *from, const char *name) {
    const char *temp = octi_fmt("%s.tmp-%ld-take", name, (long)getpid());
    OCT_TRY(octi_folder_remove(f, temp));
    if (linkat(from->fd, name, f->fd, temp, 0)) {
        const bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS ||
                              errno == EMLINK || errno == EXDEV;
        return no_links ? copy(f, from, name)
                        : octi_io_error(octi_folder_at(f, name), "cannot link");
    }
    /* two names of one file: rename does nothing */
    if (!renameat(f->fd, temp, f->fd, name)) return octi_folder_remove(f, temp);
    oct_status s = octi_io_error(octi_folder_at(f, name), "cannot rename into place");
    (void)unlinkat(f->fd, temp, 0);
    return s;
}

/* "<name>.tmp-PID-N", the name in front of it `name` or (NULL) any. */
static bool is_temp(const char *entry, const char *name) {
    const char *mark = strstr(entry, ".tmp-");
    for (const char *next; mark && (next = strstr(mark + 1, ".tmp-"));) mark = next;
    if (!mark || mark == entry || strtol(mark + 5, NULL, 10) <= 0) return false;
    return !name || ((size_t)(mark - entry) == strlen(name) && !strncmp(entry, name, strlen(name)));
}

void octi_folder_clear_left(const octi_folder *f, const char *name) {
    DIR *d = stream(f);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_temp(e->d_name, name)) continue;
        int fd =
            openat(f->fd, e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0) continue;
        /* its process is gone */
        if (!flock(fd, LOCK_EX | LOCK_NB)) (void)unlinkat(f->fd, e->d_name, 0);
        close(fd);
    }
    if (d) closedir(d);
}
