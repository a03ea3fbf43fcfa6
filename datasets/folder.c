/* SPDX-License-Identifier: MIT
 * A folder of images, a class per directory. Opening lists names, and decodes some images where
 * nobody says how pixels are normalized; an image is decoded when it is first asked for and, where
 * the whole set fits, kept. */
#define _DEFAULT_SOURCE /* realpath */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "datasets/folder.h"
#include "src/mem.h"

static const size_t CACHE_MAX = (size_t)2 << 30;

/* ---- samples ---- */

static oct_status folder_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    octi_folder *f = d->self;
    *label = f->files.list[i].label;
    size_t bytes = octi_set_image_bytes(d);
    uint8_t *kept = f->cache ? f->cache + (size_t)i * bytes : NULL;
    if (kept && atomic_load_explicit(&f->state[i], memory_order_acquire) == 2)
        return memcpy(image, kept, bytes), OCT_OK;
    OCT_TRY(oct_image_load(d->ctx, f->files.list[i].path, &d->input, image));
    /* one thread writes; another that comes meanwhile has decoded its own */
    unsigned char absent = 0;
    if (kept && atomic_compare_exchange_strong(&f->state[i], &absent, 1)) {
        memcpy(kept, image, bytes);
        atomic_store_explicit(&f->state[i], 2, memory_order_release);
    }
    return OCT_OK;
}

static int32_t folder_label(const oct_data *d, int64_t i) {
    const octi_folder *f = d->self;
    return f->files.list[i].label;
}

static void make_cache(oct_data *d, const oct_data_opts *opts) {
    octi_folder *f = d->self;
    size_t most = opts->max_decoded_bytes ? opts->max_decoded_bytes : CACHE_MAX, bytes;
    if (most > CACHE_MAX) most = CACHE_MAX;
    if (!octi_mul_size(octi_set_image_bytes(d), (size_t)d->count, &bytes) || bytes > most) return;
    f->state = octi_calloc(d->ctx, (size_t)d->count, sizeof *f->state);
    /* untouched pages cost nothing until they are filled */
    f->cache = f->state ? octi_alloc_raw(d->ctx, bytes) : NULL;
    if (!f->cache) oct_clear_error(); /* no room: decoded at every access */
}

/* CLASS/FILE: what stays the same wherever the folder lies. */
static uint32_t folder_key(const oct_data *d, int64_t i) {
    const octi_folder *f = d->self;
    const char *path = f->files.list[i].path, *end = path + strlen(path), *p = end;
    for (int slashes = 0; p > path && (slashes += p[-1] == '/') < 2;) p--;
    return (uint32_t)crc32(0, (const Bytef *)p, (uInt)(end - p));
}

static const char *folder_name(const oct_data *d, int64_t i) {
    const octi_folder *f = d->self;
    return f->files.list[i].path;
}

static oct_status folder_size(oct_data *d, int64_t i, int32_t *width, int32_t *height) {
    const octi_folder *f = d->self;
    return octi_folder_size(d, f->files.list[i].path, width, height);
}

static void folder_keep(oct_data *d, const uint32_t *index, int64_t n) {
    octi_folder *f = d->self;
    for (int64_t i = 0; i < n; i++) f->files.list[i] = f->files.list[index[i]];
    f->files.count = (size_t)n;
}

static void folder_release(oct_data *d) {
    octi_folder *f = d->self;
    octi_free(d->ctx, f->files.list);
    octi_free(d->ctx, f->train.list);
    octi_free(d->ctx, f->cache);
    octi_free(d->ctx, (void *)f->state);
}

/* List what is asked for, and of the training part what describing the set needs. */
static oct_status list_parts(oct_data *d, const char *root, const oct_data_opts *opts,
                             octi_names *all, octi_names *own) {
    static const char *const train_words[] = {"train", NULL}, *const test_words[] = {"test", "val",
                                                                                     NULL};
    octi_folder *f = d->self;
    const char *train, *test;
    OCT_TRY(octi_folder_part(d, root, train_words, &train));
    OCT_TRY(octi_folder_part(d, root, test_words, &test));
    d->only = !test;
    if (!train && test && opts->split == OCT_SPLIT_TRAIN) octi_set_test_alone(d);
    if (!train) train = test ? test : root;
    const char *part = opts->split == OCT_SPLIT_TEST && test ? test : train;
    const oct_input_desc *o = opts->input;
    const bool told = octi_norm_given(opts) && ((o->height && o->width) || o->crop || o->resize);
    OCT_TRY(octi_folder_dirs(d, train, all));
    if (!all->count)
        return octi_fail(OCT_EFORMAT, train, "no class folders here",
                         "CLASS/*.jpg, .jpeg, .png or .bmp", NULL, NULL);
    OCT_TRY(octi_folder_classes(d, all, opts, root));
    if (part == train)
        OCT_TRY(octi_folder_add(d, part, all, true, &f->files));
    else {
        OCT_TRY(octi_folder_dirs(d, part, own));
        OCT_TRY(octi_folder_add(d, part, own, false, &f->files));
        if (!told) OCT_TRY(octi_folder_add(d, train, all, true, &f->train));
    }
    d->count = (int64_t)f->files.count;
    octi_folder_tell(d);
    return octi_folder_describe(d, part == train || told ? &f->files : &f->train, all, opts);
}

static oct_status open_folder(oct_data *d, const char *root, const oct_data_opts *opts) {
    octi_folder *f = octi_arena_calloc(d->arena, 1, sizeof *f);
    if (!f) return oct_last_error()->code;
    d->self = f;
    d->release = folder_release;
    d->get = folder_get;
    d->label = folder_label;
    d->key = folder_key;
    d->keep = folder_keep;
    d->name = folder_name;
    d->size = folder_size;
    d->slow = true;
    d->augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP;
    char *real = realpath(root, NULL);
    if (!real) return octi_fail_errno(root, "cannot open the folder");
    /* goes with the set, also where oct_close ends it */
    f->root = octi_arena_strdup(d->arena, real);
    free(real);
    if (!f->root) return oct_last_error()->code;
    octi_names all = {0}, own = {0};
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
