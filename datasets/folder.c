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
#include <zlib.h>

#include "datasets/image_check.h"
#include "datasets/set.h"
#include "src/format/bytes.h"
#include "src/mem.h"
#include "src/threads.h"

static const size_t CACHE_MAX = (size_t)2 << 30;

typedef struct file {
    const char *path;
    int32_t label;
} file;

typedef struct files {
    file *list;
    size_t count, cap;
} files;

typedef struct folder {
    const char *root; /* real path: links may not lead out of it */
    files files, train; /* train: where it is another part, and is looked at */
    size_t links, others; /* left out: links that lead out of the root or nowhere, pictures of other formats */
    const char *first_link, *first_other;
    uint8_t *cache;      /* NULL: decoded at every access */
    atomic_uchar *state; /* 0 absent, 1 being written, 2 there */
} folder;

typedef struct names {
    char **name;
    size_t count, cap;
} names;

static int bytewise(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool ends_in(const char *n, const char *const *ends) {
    const char *dot = strrchr(n, '.');
    for (; dot && *ends; ends++)
        if (!strcasecmp(dot, *ends)) return true;
    return false;
}
static const char *const read_ends[] = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", NULL};
static const char *const other_ends[] = {".gif", ".webp", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".ppm", ".pgm", ".jfif", NULL};

/* Is this a directory (or a regular file)? Links count as what they lead to, inside the root only. */
typedef enum verdict { OTHER, WANTED, LEADS_OUT } verdict;

static verdict judge(const folder *f, const char *path, unsigned char type, bool directory) {
    if (type == DT_DIR || type == DT_REG) return (type == DT_DIR) == directory ? WANTED : OTHER;
    struct stat st;
    char real[PATH_MAX];
    const size_t n = strlen(f->root);
    if (lstat(path, &st)) return OTHER;
    if (S_ISLNK(st.st_mode)) {
        if (stat(path, &st)) return LEADS_OUT; /* to nothing */
        if (!realpath(path, real) || strncmp(real, f->root, n) || (n > 1 && real[n] != '/'))
            return (directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) ? LEADS_OUT : OTHER;
    }
    return (directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) ? WANTED : OTHER;
}

static oct_status left_out(oct_data *d, size_t *count, const char **first, const char *path, const char *name) {
    if ((*count)++) return OCT_OK;
    *first = octi_set_path(d, path, name);
    return *first ? OCT_OK : oct_last_error()->code;
}

static oct_status add_entry(oct_data *d, const char *path, const struct dirent *e, bool directories, names *out) {
    folder *f = d->self;
    if (e->d_name[0] == '.') return OCT_OK;
    if (!directories && !ends_in(e->d_name, read_ends)) return ends_in(e->d_name, other_ends) ? left_out(d, &f->others, &f->first_other, path, e->d_name) : OCT_OK;
    const bool plain = e->d_type == DT_DIR || e->d_type == DT_REG;
    const char *full = plain ? path : octi_set_path(d, path, e->d_name);
    if (!full) return oct_last_error()->code;
    const verdict v = judge(f, full, e->d_type, directories);
    if (v == LEADS_OUT) return left_out(d, &f->links, &f->first_link, path, e->d_name);
    if (v == OTHER) return OCT_OK;
    char *name = octi_arena_strdup(d->arena, e->d_name);
    if (!name) return oct_last_error()->code;
    OCT_TRY(octi_reserve(d->ctx, (void **)&out->name, &out->cap, out->count + 1, sizeof *out->name));
    out->name[out->count++] = name;
    return OCT_OK;
}

/* Names in a directory, sorted bytewise: directories, or regular files with an image's ending. Hidden ones are left out. */
static oct_status list(oct_data *d, const char *path, bool directories, names *out) {
    DIR *dir = opendir(path);
    if (!dir) return octi_fail(OCT_EIO, path, "cannot open the folder", NULL, strerror(errno), NULL);
    oct_status s = OCT_OK;
    for (struct dirent *e = NULL; s == OCT_OK;) {
        errno = 0; /* the end and a failure look the same but for this */
        if (!(e = readdir(dir))) {
            if (errno) s = octi_fail(OCT_EIO, path, "cannot list the folder", NULL, strerror(errno), NULL);
            break;
        }
        s = add_entry(d, path, e, directories, out);
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
    OCT_TRY(octi_set_read(d, root, "classes.txt", 1 << 22, NULL, &path, &bytes, &size, &found));
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

static oct_status add_class(oct_data *d, const char *part, const char *name, bool train, files *to) {
    const char *dir = octi_set_path(d, part, name);
    int32_t label = find_class(d, name);
    if (!dir) return oct_last_error()->code;
    if (label < 0)
        return octi_fail(OCT_EFORMAT, dir, "folder is no class of the model or of the training part", octi_fmt("one of %d classes, by id or name", d->class_count), name,
                         "--classes or oct_net_set_classes name the model's classes");
    names found = {0};
    oct_status s = list(d, dir, false, &found);
    if (s == OCT_OK) s = octi_reserve(d->ctx, (void **)&to->list, &to->cap, to->count + found.count, sizeof *to->list);
    for (size_t i = 0; s == OCT_OK && i < found.count; i++) {
        const char *path = octi_set_path(d, dir, found.name[i]);
        if (!path) s = oct_last_error()->code;
        else to->list[to->count++] = (file){path, label};
    }
    if (s == OCT_OK && !found.count && train)
        s = octi_fail(OCT_EFORMAT, dir, "class without an image", "*.jpg, .jpeg, .png or .bmp", "none", "remove the folder, if it is no class");
    octi_free(d->ctx, found.name);
    return s;
}

static oct_status add_part(oct_data *d, const char *part, const names *dirs, bool train, files *to) {
    for (size_t i = 0; i < dirs->count; i++) OCT_TRY(add_class(d, part, dirs->name[i], train, to));
    if (to->count) return OCT_OK;
    return octi_fail(OCT_EFORMAT, part, "no images here", "CLASS/*.jpg, .jpeg, .png or .bmp", NULL, NULL);
}

static const char *part_of(oct_data *d, const char *root, const char *const *words) {
    folder *f = d->self;
    for (; *words; words++) {
        const char *p = octi_set_path(d, root, *words);
        const verdict v = p ? judge(f, p, DT_UNKNOWN, true) : OTHER;
        if (v == WANTED) return p;
        if (v == LEADS_OUT) (void)left_out(d, &f->links, &f->first_link, root, *words);
    }
    return NULL;
}

/* ---- the description ---- */

/* Of the bytewise first image of the training part: the same for both parts. */
static oct_status first_size(oct_data *d, const files *train, oct_input_desc *in) {
    uint8_t *bytes;
    size_t size;
    octi_image_info info;
    OCT_TRY(octi_file_read(d->ctx, train->list[0].path, OCTI_IMAGE_BYTES, &bytes, &size));
    oct_status s = octi_image_check(bytes, size, train->list[0].path, &info);
    octi_free(d->ctx, bytes);
    in->height = info.height;
    in->width = info.width;
    return s;
}

typedef struct measuring {
    oct_data *d;
    const file **files;
    octi_pixel_sums *sums; /* of each file */
    oct_status *status;
} measuring;

static void measure_one(void *arg, int64_t i) {
    measuring *m = arg;
    oct_data *d = m->d;
    const size_t pixels = (size_t)d->input.height * (size_t)d->input.width;
    uint8_t *image = octi_alloc_raw(d->ctx, octi_set_image_bytes(d));
    m->status[i] = image ? oct_image_load(d->ctx, m->files[i]->path, &d->input, image) : oct_last_error()->code;
    if (m->status[i] == OCT_OK) octi_sums_add(&m->sums[i], image, pixels, d->input.channels);
    octi_free(d->ctx, image);
}

/* Mean and std of MEASURED training images, evenly over them. */
static oct_status measure(oct_data *d, const files *train) {
    enum { MEASURED = 512 };
    const int64_t total = (int64_t)train->count;
    uint8_t *held = octi_calloc(d->ctx, train->count, 1);
    measuring m = {.d = d, .files = octi_calloc(d->ctx, train->count, sizeof *m.files), .sums = octi_calloc(d->ctx, MEASURED, sizeof *m.sums),
                   .status = octi_calloc(d->ctx, MEASURED, sizeof *m.status)};
    oct_status s = held && m.files && m.sums && m.status ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK && d->only) s = octi_hold_out(d, held);
    int64_t n = 0;
    for (int64_t i = 0; s == OCT_OK && i < total; i++)
        if (!held[i]) m.files[n++] = &train->list[i];
    if (n > MEASURED) {
        for (int64_t i = 0; i < MEASURED; i++) m.files[i] = m.files[i * n / MEASURED];
        n = MEASURED;
    }
    octi_pixel_sums all = {0};
    if (s == OCT_OK) octi_parallel_for(octi_ctx_pool(d->ctx), n, measure_one, &m);
    for (int64_t i = 0; s == OCT_OK && i < n; i++) {
        if (m.status[i] != OCT_OK) measure_one(&m, i); /* again, here: errors belong to a thread */
        s = m.status[i];
        all.pixels += m.sums[i].pixels;
        for (int c = 0; c < 4; c++) {
            all.sum[c] += m.sums[i].sum[c];
            all.square[c] += m.sums[i].square[c];
        }
    }
    if (s == OCT_OK) octi_norm_measured(d, &all, octi_fmt("%lld of its training images", (long long)n));
    octi_free(d->ctx, held);
    octi_free(d->ctx, m.files);
    octi_free(d->ctx, m.sums);
    octi_free(d->ctx, m.status);
    return s;
}

/* Sets that are known by their classes' folders. */
static bool known_set(const oct_data *d, const names *dirs, octi_norm *norm, const char **why) {
    static const char *const cifar10[] = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    bool cifar = dirs->count == 10 && d->input.height == 32 && d->input.width == 32, imagenet = dirs->count > 0;
    for (size_t i = 0; i < dirs->count; i++) {
        const char *n = dirs->name[i];
        cifar = cifar && !strcmp(n, cifar10[i]);
        imagenet = imagenet && n[0] == 'n' && strlen(n) == 9 && strspn(n + 1, "0123456789") == 8;
    }
    *norm = cifar ? OCTI_NORM_CIFAR10 : OCTI_NORM_IMAGENET;
    *why = cifar ? "by the names of its classes" : "by the ids of its classes";
    return cifar || imagenet;
}

static oct_status describe(oct_data *d, const files *train, const names *dirs, const oct_data_opts *opts) {
    static const oct_input_desc none = {0};
    const oct_input_desc *o = opts->input ? opts->input : &none;
    oct_input_desc size = *o;
    octi_norm norm;
    const char *why;
    int32_t square = o->crop ? o->crop : o->resize; /* resize alone is followed by the square crop of its size */
    if (!size.height || !size.width) {
        if (square) size.height = size.width = square;
        else OCT_TRY(first_size(d, train, &size));
    }
    int32_t c = o->channels ? o->channels : 3;
    if (c != 1 && c != 3) return octi_fail(OCT_EUSAGE, d->where, "channels of a folder of images", "1 or 3", octi_fmt("%d", c), NULL);
    if (size.height > OCTI_IMAGE_SIDE || size.width > OCTI_IMAGE_SIDE || size.height < 1 || size.width < 1)
        return octi_fail(OCT_EUSAGE, d->where, "size of the input", "1 to 16384 a side", octi_fmt("%d x %d", size.height, size.width), NULL);
    d->dtype = OCT_U8;
    d->input = octi_input_desc(OCTI_NORM_PIXELS, c, size.height, size.width);
    d->input.resize = o->resize;
    d->input.crop = o->crop;
    if (!octi_norm_given(opts)) {
        if (known_set(d, dirs, &norm, &why)) octi_norm_take(d, norm, why);
        else OCT_TRY(measure(d, train));
    }
    OCT_TRY(octi_set_finish(d, opts, false));
    d->stored = d->input.color; /* decoded in the order that the net wants */
    return OCT_OK;
}

/* ---- samples ---- */

static oct_status folder_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    folder *f = d->self;
    *label = f->files.list[i].label;
    size_t bytes = octi_set_image_bytes(d);
    uint8_t *kept = f->cache ? f->cache + (size_t)i * bytes : NULL;
    if (kept && atomic_load_explicit(&f->state[i], memory_order_acquire) == 2) return memcpy(image, kept, bytes), OCT_OK;
    OCT_TRY(oct_image_load(d->ctx, f->files.list[i].path, &d->input, image));
    unsigned char absent = 0; /* one thread writes; another that comes meanwhile has decoded its own */
    if (kept && atomic_compare_exchange_strong(&f->state[i], &absent, 1)) {
        memcpy(kept, image, bytes);
        atomic_store_explicit(&f->state[i], 2, memory_order_release);
    }
    return OCT_OK;
}

static int32_t folder_label(const oct_data *d, int64_t i) {
    const folder *f = d->self;
    return f->files.list[i].label;
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

/* CLASS/FILE: what stays the same wherever the folder lies. */
static uint32_t folder_key(const oct_data *d, int64_t i) {
    const folder *f = d->self;
    const char *path = f->files.list[i].path, *end = path + strlen(path), *p = end;
    for (int slashes = 0; p > path && (slashes += p[-1] == '/') < 2;) p--;
    return (uint32_t)crc32(0, (const Bytef *)p, (uInt)(end - p));
}

static const char *folder_name(const oct_data *d, int64_t i) {
    const folder *f = d->self;
    return f->files.list[i].path;
}

static void folder_keep(oct_data *d, const uint32_t *index, int64_t n) {
    folder *f = d->self;
    for (int64_t i = 0; i < n; i++) f->files.list[i] = f->files.list[index[i]];
    f->files.count = (size_t)n;
}

static void folder_release(oct_data *d) {
    folder *f = d->self;
    octi_free(d->ctx, f->files.list);
    octi_free(d->ctx, f->train.list);
    octi_free(d->ctx, f->cache);
    octi_free(d->ctx, (void *)f->state);
}

static void tell_left_out(const oct_data *d) {
    const folder *f = d->self;
    if (f->links) octi_log(d->ctx, OCT_LOG_WARN, "%s: %zu links lead out of the folder, or nowhere, and are left out, the first of them %s", d->where, f->links, f->first_link);
    if (f->others) octi_log(d->ctx, OCT_LOG_WARN, "%s: %zu pictures are of formats that octet does not read, the first of them %s", d->where, f->others, f->first_other);
}

/* List what is asked for, and of the training part what describing the set needs. */
static oct_status list_parts(oct_data *d, const char *root, const oct_data_opts *opts, names *all, names *own) {
    static const char *const train_words[] = {"train", NULL}, *const test_words[] = {"test", "val", NULL};
    folder *f = d->self;
    const char *train = part_of(d, root, train_words), *test = part_of(d, root, test_words);
    d->only = !test;
    if (!train && test && opts->split == OCT_SPLIT_TRAIN) octi_set_test_alone(d);
    if (!train) train = test ? test : root;
    const char *part = opts->split == OCT_SPLIT_TEST && test ? test : train;
    const oct_input_desc *o = opts->input;
    const bool told = octi_norm_given(opts) && ((o->height && o->width) || o->crop || o->resize);
    OCT_TRY(list(d, train, true, all));
    if (!all->count) return octi_fail(OCT_EFORMAT, train, "no class folders here", "CLASS/*.jpg, .jpeg, .png or .bmp", NULL, NULL);
    OCT_TRY(set_classes(d, all, opts, root));
    if (part == train) OCT_TRY(add_part(d, part, all, true, &f->files));
    else {
        OCT_TRY(list(d, part, true, own));
        OCT_TRY(add_part(d, part, own, false, &f->files));
        if (!told) OCT_TRY(add_part(d, train, all, true, &f->train));
    }
    d->count = (int64_t)f->files.count;
    tell_left_out(d);
    return describe(d, part == train || told ? &f->files : &f->train, all, opts);
}

static oct_status open_folder(oct_data *d, const char *root, const oct_data_opts *opts) {
    folder *f = octi_arena_calloc(d->arena, 1, sizeof *f);
    if (!f) return oct_last_error()->code;
    d->self = f;
    d->release = folder_release;
    d->get = folder_get;
    d->label = folder_label;
    d->key = folder_key;
    d->keep = folder_keep;
    d->name = folder_name;
    d->slow = true;
    d->augment = "crop4,flip";
    char *real = realpath(root, NULL);
    if (!real) return octi_fail(OCT_EIO, root, "cannot open the folder", NULL, strerror(errno), NULL);
    f->root = octi_arena_strdup(d->arena, real); /* goes with the set, also where oct_close ends it */
    free(real);
    if (!f->root) return oct_last_error()->code;
    names all = {0}, own = {0};
    oct_status s = list_parts(d, root, opts, &all, &own);
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
