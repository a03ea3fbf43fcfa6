/* SPDX-License-Identifier: MIT
 * Which kind of data set lies at a path: for those who give the path alone, or the wrong kind. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/set.h"

static bool there(const char *dir, const char *name, const char *end) {
    char path[4200];
    int n = snprintf(path, sizeof path, "%s/%s%s", dir, name, end);
    return n > 0 && n < (int)sizeof path && !access(path, F_OK);
}

/* A folder of images has a folder for each class. */
static bool has_folders(const char *dir) {
    DIR *d = opendir(dir);
    bool any = false;
    for (struct dirent *e; d && !any && (e = readdir(d));)
        any = e->d_type == DT_DIR && e->d_name[0] != '.';
    if (d) closedir(d);
    return any;
}

const char *oct_data_kind(const char *path) {
    static const char *const marks[][2] = {
        {"train-images-idx3-ubyte", "idx"},   {"t10k-images-idx3-ubyte", "idx"},
        {"data_batch_1.bin", "cifar10"},      {"test_batch.bin", "cifar10"},
        {"cifar-10-batches-bin", "cifar10"},  {"cifar-100-binary", "cifar100"},
        {"fine_label_names.txt", "cifar100"}, {"train.bin", "cifar100"},
    };
    struct stat st;
    if (!path || stat(path, &st)) return NULL;
    const size_t n = strlen(path);
    if (S_ISREG(st.st_mode)) return n > 4 && !strcmp(path + n - 4, ".npz") ? "npz" : NULL;
    if (!S_ISDIR(st.st_mode)) return NULL;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (there(path, marks[i][0], "") || there(path, marks[i][0], ".gz")) return marks[i][1];
    return has_folders(path) ? "folder" : NULL;
}

const char *octi_near_path(const char *path, const char *root) {
    char dir[4200], known[4096];
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const int before = (int)(base - path);
    int n = snprintf(dir, sizeof dir, "%s%s%.*s",
                     root     ? root
                     : before ? ""
                              : ".",
                     root ? "/" : "", before, path);
    if (!*base || n < 0 || n >= (int)sizeof dir) return NULL;
    DIR *d = opendir(dir);
    size_t used = 0;
    *known = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && !strpbrk(e->d_name, ",: ") &&
            used + strlen(e->d_name) + 3 < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                                     e->d_name);
    if (d) closedir(d);
    const char *near = used ? oct_nearest_word(base, known) : NULL;
    return near ? octi_fmt("%.*s%s", before, path, near) : NULL;
}
