/* SPDX-License-Identifier: MIT
 * A folder of images, a class per directory. Opening lists names only; an image is decoded when it is first asked for and,
 * where the whole set fits, kept. */
#define _DEFAULT_SOURCE /* d_type of a directory entry */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/image_check.h"
#include "datasets/set.h"
#include "src/format/bytes.h"
#include "src/mem.h"

static const size_t CACHE_MAX = (size_t)2 << 30;

typedef struct file {
    const char *path;
    int32_t label;
} file;

typedef struct folder {
    const char *root; /* real path: links may not lead out of it */
    file *files;
    size_t count, cap;
    uint8_t *cache;      /* NULL: decoded at every access */
    atomic_uchar *state; /* 0 absent, 1 being written, 2 there */
} folder;

typedef struct names {
    char **name;
    size_t count, cap;
} names;

static int bytewise(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool image_name(const char *n) {
    static const char *const ends[] = {".jpg", ".jpeg", ".jpe", ".png", ".bmp"};
    const char *dot = strrchr(n, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (!strcasecmp(dot, ends[i])) return true;
    return false;
}

/* Is folder/name a directory (or a regular file)? Links count as what they lead to, inside the root only. */
static bool is_kind(const folder *f, const char *path, unsigned char type, bool directory) {
    if (type == DT_DIR || type == DT_REG) return (type == DT_DIR) == directory;
    struct stat st;
    if (lstat(path, &st)) return false;
    if (S_ISLNK(st.st_mode)) {
        char real[PATH_MAX];
        size_t n = strlen(f->root);
        if (!realpath(path, real) || strncmp(real, f->root, n) || (n > 1 && real[n] != '/') || stat(path, &st)) return false;
    }
    return directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode);
}

/* Names in a directory, sorted bytewise: directories, or regular files with an image's ending. Hidden ones are left out. */
static oct_status list(oct_data *d, const char *path, bool directories, names *out) {
    folder *f = d->self;
    DIR *dir = opendir(path);
    if (!dir) return octi_fail(OCT_EIO, path, "cannot open the folder", NULL, strerror(errno), NULL);
    oct_status s = OCT_OK;
    for (struct dirent *e; s == OCT_OK && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || (!directories && !image_name(e->d_name))) continue;
        if (e->d_type != DT_DIR && e->d_type != DT_REG) {
            const char *full = octi_set_path(d, path, e->d_name);
            if (!full) s = OCT_ENOMEM;
            else if (!is_kind(f, full, e->d_type, directories)) continue;
        } else if ((e->d_type == DT_DIR) != directories) continue;
        char *name = s == OCT_OK ? octi_arena_strdup(d->arena, e->d_name) : NULL;
        s = name ? octi_reserve(d->ctx, (void **)&out->name, &out->cap, out->count + 1, sizeof *out->name) : oct_last_error()->code;
        if (s == OCT_OK) out->name[out->count++] = name;
    }
    closedir(dir);
    if (s == OCT_OK && out->count) qsort(out->name, out->count, sizeof *out->name, bytewise);
    return s;
}

/* ---- classes ---- */

/* "id name", "index id name"; fields end at a tab where the line has one, else at a blank. */
static const char *name_in_line(char *line, const char *id) {
    const char *sep = strchr(line, '\t') ? "\t" : " ";
    for (int field = 0; field < 2 && *line; field++) {
        size_t n = strcspn(line, sep);
        char *rest = line + n + strspn(line + n, sep);
        if (strlen(id) == n && !memcmp(line, id, n) && *rest) return rest;
        line = rest;
    }
    return NULL;
}

static oct_status read_class_names(oct_data *d, const char *root) {
    const char *path;
    uint8_t *bytes = NULL;
    size_t size;
    bool found;
    OCT_TRY(octi_set_read(d, root, "classes.txt", 1 << 22, &path, &bytes, &size, &found));
    size_t at = 0;
    for (const char *line; found && (line = octi_set_line(d, bytes, size, &at));)
        for (int32_t i = 0; i < d->class_count; i++) {
            const char *name = name_in_line((char *)(uintptr_t)line, d->classes[i].id);
            if (name) d->classes[i].name = name;
        }
    octi_free(d->ctx, bytes);
    return OCT_OK;
}

static oct_status set_classes(oct_data *d, const names *dirs, const oct_data_opts *opts, const char *root) {
    if (opts->class_count && !oct_classes_unnamed(opts->classes, opts->class_count)) return octi_set_number_classes(d, opts->class_count, NULL, opts);
    if (opts->class_count && (size_t)opts->class_count != dirs->count)
        return octi_fail(OCT_EFORMAT, d->where, "class folders for a model whose classes have no names", octi_fmt("%d", opts->class_count),
                         octi_fmt("%zu", dirs->count), "name the model's classes in order (--classes, oct_net_set_classes): folders are found by name then");
    d->classes = octi_arena_calloc(d->arena, dirs->count, sizeof *d->classes);
    if (!d->classes) return oct_last_error()->code;
    d->class_count = (int32_t)dirs->count;
    for (size_t i = 0; i < dirs->count; i++) d->classes[i] = (oct_class){dirs->name[i], dirs->name[i]};
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

static oct_status add_class(oct_data *d, const char *part, const char *name) {
    folder *f = d->self;
    const char *dir = octi_set_path(d, part, name);
    int32_t label = find_class(d, name);
    if (!dir) return oct_last_error()->code;
    if (label < 0)
        return octi_fail(OCT_EFORMAT, dir, "folder is no class of the model or of the training part", octi_fmt("one of %d classes, by id or name", d->class_count), name,
                         "--classes or oct_net_set_classes name the model's classes");
    names files = {0};
    oct_status s = list(d, dir, false, &files);
    if (s == OCT_OK) s = octi_reserve(d->ctx, (void **)&f->files, &f->cap, f->count + files.count, sizeof *f->files);
    for (size_t i = 0; s == OCT_OK && i < files.count; i++) {
        const char *path = octi_set_path(d, dir, files.name[i]);
        if (!path) s = oct_last_error()->code;
        else f->files[f->count++] = (file){path, label};
    }
    octi_free(d->ctx, files.name);
    return s;
}

static const char *part_of(oct_data *d, const char *root, const char *const *words) {
    folder *f = d->self;
    for (; *words; words++) {
        const char *p = octi_set_path(d, root, *words);
        if (p && is_kind(f, p, DT_UNKNOWN, true)) return p;
    }
    return NULL;
}

/* Size of the bytewise first image of the training part: the same for both parts. */
static oct_status first_size(oct_data *d, const char *part, const names *dirs, oct_input_desc *in) {
    for (size_t i = 0; i < dirs->count; i++) {
        names files = {0};
        const char *dir = octi_set_path(d, part, dirs->name[i]), *path = NULL;
        oct_status s = dir ? list(d, dir, false, &files) : oct_last_error()->code;
        if (s == OCT_OK && files.count) path = octi_set_path(d, dir, files.name[0]);
        octi_free(d->ctx, files.name);
        OCT_TRY(s);
        if (!path) continue;
        uint8_t *bytes;
        size_t size;
        octi_image_info info;
        OCT_TRY(octi_file_read(d->ctx, path, OCTI_IMAGE_BYTES, &bytes, &size));
        s = octi_image_check(bytes, size, path, &info);
        octi_free(d->ctx, bytes);
        in->height = info.height;
        in->width = info.width;
        return s;
    }
    return octi_fail(OCT_EFORMAT, part, "no images here", "CLASS/*.jpg, .jpeg, .png or .bmp", NULL, NULL);
}

static oct_status describe(oct_data *d, const char *part, const names *dirs, const oct_data_opts *opts) {
    static const oct_input_desc none = {0};
    const oct_input_desc *o = opts->input ? opts->input : &none;
    oct_input_desc size = *o;
    int32_t square = o->crop ? o->crop : o->resize; /* resize alone is followed by the square crop of its size */
    if (!size.height || !size.width) {
        if (square) size.height = size.width = square;
        else OCT_TRY(first_size(d, part, dirs, &size));
    }
    int32_t c = o->channels ? o->channels : 3;
    if (c != 1 && c != 3) return octi_fail(OCT_EUSAGE, d->where, "channels of a folder of images", "1 or 3", octi_fmt("%d", c), NULL);
    if (size.height > OCTI_IMAGE_SIDE || size.width > OCTI_IMAGE_SIDE || size.height < 1 || size.width < 1)
        return octi_fail(OCT_EUSAGE, d->where, "size of the input", "1 to 16384 a side", octi_fmt("%d x %d", size.height, size.width), NULL);
    bool small = size.height <= 64 && size.width <= 64;
    d->dtype = OCT_U8;
    d->input = octi_input_desc(small ? OCTI_NORM_CIFAR : OCTI_NORM_IMAGENET, c, size.height, size.width);
    d->input.resize = o->resize;
    d->input.crop = o->crop;
    OCT_TRY(octi_set_finish(d, opts, false));
    d->stored = d->input.color; /* decoded in the order that the net wants */
    return OCT_OK;
}

/* ---- samples ---- */

static oct_status folder_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    folder *f = d->self;
    *label = f->files[i].label;
    size_t bytes = octi_set_image_bytes(d);
    uint8_t *kept = f->cache ? f->cache + (size_t)i * bytes : NULL;
    if (kept && atomic_load_explicit(&f->state[i], memory_order_acquire) == 2) return memcpy(image, kept, bytes), OCT_OK;
    OCT_TRY(oct_image_load(d->ctx, f->files[i].path, &d->input, image));
    unsigned char absent = 0; /* one thread writes; another that comes meanwhile has decoded its own */
    if (kept && atomic_compare_exchange_strong(&f->state[i], &absent, 1)) {
        memcpy(kept, image, bytes);
        atomic_store_explicit(&f->state[i], 2, memory_order_release);
    }
    return OCT_OK;
}

static int32_t folder_label(const oct_data *d, int64_t i) {
    const folder *f = d->self;
    return f->files[i].label;
}

static void make_cache(oct_data *d, const oct_data_opts *opts) {
    folder *f = d->self;
    size_t most = opts->max_decoded_bytes ? opts->max_decoded_bytes : CACHE_MAX, bytes;
    if (most > CACHE_MAX) most = CACHE_MAX;
    if (!octi_mul_size(octi_set_image_bytes(d), (size_t)d->count, &bytes) || bytes > most) return;
    f->state = octi_calloc(d->ctx, (size_t)d->count, sizeof *f->state);
    f->cache = f->state ? octi_alloc_raw(d->ctx, bytes) : NULL; /* untouched pages cost nothing until they are filled */
    if (!f->cache) oct_clear_error(); /* no room: decoded at every access */
}

static void folder_release(oct_data *d) {
    folder *f = d->self;
    octi_free(d->ctx, f->files);
    octi_free(d->ctx, f->cache);
    octi_free(d->ctx, (void *)f->state);
}

static oct_status open_folder(oct_data *d, const char *root, const oct_data_opts *opts) {
    static const char *const train_words[] = {"train", NULL}, *const test_words[] = {"test", "val", NULL};
    folder *f = octi_arena_calloc(d->arena, 1, sizeof *f);
    if (!f) return oct_last_error()->code;
    d->self = f;
    d->release = folder_release;
    d->get = folder_get;
    d->label = folder_label;
    d->slow = true;
    d->augment = "crop4,flip";
    char *real = realpath(root, NULL);
    if (!real) return octi_fail(OCT_EIO, root, "cannot open the folder", NULL, strerror(errno), NULL);
    f->root = octi_arena_strdup(d->arena, real); /* goes with the set, also where oct_close ends it */
    free(real);
    if (!f->root) return oct_last_error()->code;
    const char *train = part_of(d, root, train_words), *test = part_of(d, root, test_words);
    if (!train) train = test;
    if (!train) train = root;
    const char *part = opts->split == OCT_SPLIT_TEST && test ? test : train;
    names all = {0}, own = {0};
    oct_status s = list(d, train, true, &all);
    if (s == OCT_OK && !all.count) s = octi_fail(OCT_EFORMAT, train, "no class folders here", "CLASS/*.jpg, .jpeg, .png or .bmp", NULL, NULL);
    if (s == OCT_OK) s = set_classes(d, &all, opts, root);
    if (s == OCT_OK && part != train) s = list(d, part, true, &own);
    const names *dirs = part == train ? &all : &own;
    for (size_t i = 0; s == OCT_OK && i < dirs->count; i++) s = add_class(d, part, dirs->name[i]);
    /* Files stand class by class: a limit takes them evenly, so that every class stays in. */
    if (opts && opts->limit > 0 && (size_t)opts->limit < f->count) {
        for (size_t i = 0; i < (size_t)opts->limit; i++) f->files[i] = f->files[i * f->count / (size_t)opts->limit];
        f->count = (size_t)opts->limit;
    }
    d->count = (int64_t)f->count;
    if (s == OCT_OK && !f->count) s = octi_fail(OCT_EFORMAT, part, "no images here", "CLASS/*.jpg, .jpeg, .png or .bmp", NULL, NULL);
    if (s == OCT_OK) s = describe(d, train, &all, opts);
    octi_free(d->ctx, all.name);
    octi_free(d->ctx, own.name);
    if (s == OCT_OK) make_cache(d, opts);
    return s;
}

oct_data *octi_open_folder(oct_ctx *ctx, const char *dir, const oct_data_opts *opts) {
    oct_data *d = octi_set_new(ctx, dir);
    if (!d) return NULL;
    return open_folder(d, dir, opts) == OCT_OK ? d : octi_set_fail(d);
}
