/* SPDX-License-Identifier: MIT
 * Directories of a folder of images: a class each. Names only; nothing is decoded. */
#define _DEFAULT_SOURCE /* d_type of a directory entry */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "datasets/folder.h"
#include "src/mem.h"

static int bytewise(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_in(const char *n, const char *const *ends) {
    const char *dot = strrchr(n, '.');
    for (; dot && *ends; ends++)
        if (!strcasecmp(dot, *ends)) return true;
    return false;
}
static const char *const read_ends[] = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", NULL};
static const char *const other_ends[] = {".gif", ".webp", ".tif", ".tiff", ".heic", ".avif",
                                         ".jp2", ".ppm",  ".pgm", ".jfif", NULL};

/* Is this a directory (or a regular file)? Links count as what they lead to, inside the root
 * only. */
typedef enum verdict { OTHER, WANTED, LEADS_OUT, UNKNOWN } verdict; /* UNKNOWN: errno says why */

/* What cannot be looked at: a link to nothing leads out, a disk's error is one. */
static verdict unseen(verdict of_nothing) {
    const bool nothing = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES;
    return nothing ? of_nothing : UNKNOWN;
}

static verdict judge(const octi_folder *f, const char *path, unsigned char type, bool directory) {
    if (type == DT_DIR || type == DT_REG) return (type == DT_DIR) == directory ? WANTED : OTHER;
    struct stat st;
    char real[PATH_MAX];
    const size_t n = strlen(f->root);
    if (lstat(path, &st)) return unseen(OTHER);
    if (S_ISLNK(st.st_mode)) {
        if (stat(path, &st) || !realpath(path, real)) return unseen(LEADS_OUT);
        if (strncmp(real, f->root, n) || (n > 1 && real[n] != '/'))
            return (directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) ? LEADS_OUT : OTHER;
    }
    return (directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) ? WANTED : OTHER;
}

static oct_status left_out(oct_data *d, size_t *count, const char **first, const char *path,
                           const char *name) {
    if ((*count)++) return OCT_OK;
    *first = octi_set_path(d, path, name);
    return *first ? OCT_OK : oct_last_error()->code;
}

static oct_status add_entry(oct_data *d, const char *path, const struct dirent *e, bool directories,
                            octi_names *out) {
    octi_folder *f = d->self;
    if (e->d_name[0] == '.') return OCT_OK;
    if (!directories && !ends_in(e->d_name, read_ends))
        return ends_in(e->d_name, other_ends)
                   ? left_out(d, &f->others, &f->first_other, path, e->d_name)
                   : OCT_OK;
    const bool plain = e->d_type == DT_DIR || e->d_type == DT_REG;
    const char *full = plain ? path : octi_set_path(d, path, e->d_name);
    if (!full) return oct_last_error()->code;
    const verdict v = judge(f, full, e->d_type, directories);
    if (v == UNKNOWN) return octi_fail_errno(full, "cannot look");
    if (v == LEADS_OUT) return left_out(d, &f->links, &f->first_link, path, e->d_name);
    if (v == OTHER) return OCT_OK;
    char *name = octi_arena_strdup(d->arena, e->d_name);
    if (!name) return oct_last_error()->code;
    OCT_TRY(
        octi_reserve(d->ctx, (void **)&out->name, &out->cap, out->count + 1, sizeof *out->name));
    out->name[out->count++] = name;
    return OCT_OK;
}

/* Names in a directory, sorted bytewise: directories, or regular files with an image's ending.
 * Hidden ones are left out. */
static oct_status list(oct_data *d, const char *path, bool directories, octi_names *out) {
    DIR *dir = opendir(path);
    if (!dir) return octi_fail_errno(path, "cannot open the folder");
    oct_status s = OCT_OK;
    for (struct dirent *e = NULL; s == OCT_OK;) {
        errno = 0; /* the end and a failure look the same but for this */
        if (!(e = readdir(dir))) {
            if (errno) s = octi_fail_errno(path, "cannot list the folder");
            break;
        }
        s = add_entry(d, path, e, directories, out);
    }
    closedir(dir);
    if (s == OCT_OK && out->count) qsort(out->name, out->count, sizeof *out->name, bytewise);
    return s;
}

oct_status octi_folder_dirs(oct_data *d, const char *path, octi_names *out) {
    return list(d, path, true, out);
}

/* ---- classes ---- */

static oct_status read_class_names(oct_data *d, const char *root) {
    const char *path;
    uint8_t *bytes = NULL;
    size_t size;
    bool found;
    OCT_TRY(octi_set_read(d, root, "classes.txt", 1 << 22, NULL, &path, &bytes, &size, &found));
    if (!found) return OCT_OK;
    int32_t n;
    oct_class *list =
        oct_classes_parse(d->ctx, (const char *)bytes, size, d->classes, d->class_count, &n);
    octi_free(d->ctx, bytes);
    if (!list) return octi_fail_in(oct_last_error()->code, path);
    oct_status s = OCT_OK;
    for (int32_t k = 0; k < n && s == OCT_OK; k++)
        for (int32_t i = 0; i < d->class_count && s == OCT_OK; i++)
            if (!strcmp(d->classes[i].id, list[k].id) &&
                !(d->classes[i].name = octi_arena_strdup(d->arena, list[k].name)))
                s = oct_last_error()->code;
    oct_classes_free(d->ctx, list);
    return s;
}

oct_status octi_folder_classes(oct_data *d, const octi_names *dirs, const oct_data_opts *opts,
                               const char *root) {
    if (opts->class_count && !oct_classes_unnamed(opts->classes, opts->class_count))
        return octi_set_number_classes(d, opts->class_count, NULL, opts);
    if (opts->class_count && (size_t)opts->class_count != dirs->count)
        return octi_fail(OCT_EFORMAT, d->where,
                         "class folders for a model whose classes have no names",
                         octi_fmt("%d", opts->class_count), octi_fmt("%zu", dirs->count),
                         "name the model's classes in order (oct_net_set_classes): "
                         "folders are found by name then");
    d->classes = octi_arena_calloc(d->arena, dirs->count, sizeof *d->classes);
    if (!d->classes) return oct_last_error()->code;
    d->class_count = (int32_t)dirs->count;
    for (size_t i = 0; i < dirs->count; i++)
        d->classes[i] = (oct_class){dirs->name[i], dirs->name[i]};
    return read_class_names(d, root);
}

static int32_t find_class(const oct_data *d, const char *dir) {
    for (int32_t i = 0; i < d->class_count; i++)
        if (!strcmp(d->classes[i].id, dir)) return i;
    for (int32_t i = 0; i < d->class_count; i++)
        if (!strcmp(d->classes[i].name, dir)) return i;
    return -1;
}

/* ---- files ---- */

/* A folder of folders is most likely the set itself. */
static oct_status no_image(oct_data *d, const char *dir) {
    octi_names inside = {0};
    const oct_status s = list(d, dir, true, &inside);
    octi_free(d->ctx, inside.name);
    OCT_TRY(s);
    return octi_fail(OCT_EFORMAT, dir, "class without an image", "*.jpg, .jpeg, .png or .bmp",
                     inside.count ? "folders alone" : "none",
                     inside.count ? octi_fmt("did you mean folder:%s?", dir)
                                  : octi_fmt("if %s is no class, it belongs elsewhere", dir));
}

static oct_status add_class(oct_data *d, const char *part, const char *name, bool train,
                            octi_files *to) {
    const char *dir = octi_set_path(d, part, name);
    int32_t label = find_class(d, name);
    if (!dir) return oct_last_error()->code;
    if (label < 0)
        return octi_fail(OCT_EFORMAT, dir,
                         "folder is no class of the model or of the training part",
                         octi_fmt("one of %d classes, by id or name", d->class_count), name,
                         "oct_net_set_classes names the model's classes");
    octi_names found = {0};
    oct_status s = list(d, dir, false, &found);
    if (s == OCT_OK)
        s = octi_reserve(d->ctx, (void **)&to->list, &to->cap, to->count + found.count,
                         sizeof *to->list);
    for (size_t i = 0; s == OCT_OK && i < found.count; i++) {
        const char *path = octi_set_path(d, dir, found.name[i]);
        if (!path)
            s = oct_last_error()->code;
        else
            to->list[to->count++] = (octi_file_of_class){path, label};
    }
    if (s == OCT_OK && !found.count && train) s = no_image(d, dir);
    octi_free(d->ctx, found.name);
    return s;
}

oct_status octi_folder_add(oct_data *d, const char *part, const octi_names *dirs, bool train,
                           octi_files *to) {
    for (size_t i = 0; i < dirs->count; i++) OCT_TRY(add_class(d, part, dirs->name[i], train, to));
    if (to->count) return OCT_OK;
    return octi_fail(OCT_EFORMAT, part, "no images here", "CLASS/*.jpg, .jpeg, .png or .bmp", NULL,
                     NULL);
}

oct_status octi_folder_part(oct_data *d, const char *root, const char *const *words,
                            const char **part) {
    octi_folder *f = d->self;
    for (*part = NULL; *words && !*part; words++) {
        const char *p = octi_set_path(d, root, *words);
        if (!p) return oct_last_error()->code;
        const verdict v = judge(f, p, DT_UNKNOWN, true);
        if (v == UNKNOWN) return octi_fail_errno(p, "cannot look");
        if (v == WANTED) *part = p;
        if (v == LEADS_OUT) OCT_TRY(left_out(d, &f->links, &f->first_link, root, *words));
    }
    return OCT_OK;
}

void octi_folder_tell(const oct_data *d) {
    const octi_folder *f = d->self;
    if (f->links)
        octi_log(d->ctx, OCT_LOG_WARN,
                 "%s: left out: links that lead out of the folder, or nowhere: %zu, such as %s",
                 d->where, f->links, f->first_link);
    if (f->others)
        octi_log(d->ctx, OCT_LOG_WARN,
                 "%s: left out: pictures of formats that octet does not read: %zu, such as %s",
                 d->where, f->others, f->first_other);
}
