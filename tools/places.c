/* SPDX-License-Identifier: MIT
 * Folders and files of the command's own: nothing outside them is written, and nothing of them is
 * left. */
#include "tools/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "octet-work-"

/* The files in it and itself; handle stays open. */
static void clear(const char *path, int handle) {
    const int own = dup(handle);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (!d && own >= 0) close(own);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) unlinkat(handle, e->d_name, 0);
    if (d) closedir(d);
    rmdir(path);
}

/* Locked; -1 where somebody works in it, or it is another user's. */
static int take(const char *path) {
    struct stat st;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    if (!fstat(fd, &st) && st.st_uid == geteuid() && !flock(fd, LOCK_EX | LOCK_NB)) return fd;
    close(fd);
    return -1;
}

static void sweep(const char *tmp) {
    char path[400];
    DIR *d = opendir(tmp);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX))) continue;
        snprintf(path, sizeof path, "%s/%s", tmp, e->d_name);
        const int fd = take(path);
        if (fd < 0) continue;
        clear(path, fd);
        close(fd);
    }
    if (d) closedir(d);
}

int work_folder_make(work_folder *w) {
    const char *tmp = getenv("TMPDIR");
    if (!tmp || strlen(tmp) > 40) tmp = "/tmp";
    sweep(tmp);
    for (int tries = 0; tries < 100; tries++) { /* another's sweep may come before the lock */
        snprintf(w->path, sizeof w->path, "%s/" PREFIX "XXXXXX", tmp);
        if (!mkdtemp(w->path)) break;
        if ((w->handle = take(w->path)) >= 0 && !access(w->path, F_OK)) return 0;
        if (w->handle >= 0) close(w->handle);
        rmdir(w->path);
    }
    fprintf(stderr, "octet: %s: %s\n", w->path, strerror(errno));
    return *w->path = 0, 4;
}

void work_folder_end(work_folder *w) {
    if (!*w->path) return;
    clear(w->path, w->handle);
    close(w->handle);
    *w->path = 0;
}

void place_without_link(const char *path) {
    struct stat st;
    if (!lstat(path, &st) && S_ISLNK(st.st_mode)) unlink(path);
}

FILE *place_open(const char *path, int write) {
    if (write && unlink(path) && errno != ENOENT) return NULL;
    const int how = write ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY;
    const int fd = open(path, how | O_NOFOLLOW | O_CLOEXEC, 0666);
    FILE *f = fd < 0 ? NULL : fdopen(fd, write ? "w" : "r");
    if (!f && fd >= 0) close(fd);
    return f;
}
