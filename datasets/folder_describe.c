/* SPDX-License-Identifier: MIT
 * Size and normalization of a folder of images. */
#include <string.h>

#include "datasets/folder.h"
#include "datasets/image_check.h"
#include "src/mem.h"
#include "src/threads.h"

oct_status octi_folder_size(oct_data *d, const char *path, int32_t *width, int32_t *height) {
    uint8_t *bytes;
    size_t size;
    octi_image_info info;
    OCT_TRY(octi_file_read(d->ctx, path, OCTI_IMAGE_BYTES, &bytes, &size));
    oct_status s = octi_image_check(bytes, size, path, &info);
    octi_free(d->ctx, bytes);
    if (s == OCT_OK) *width = info.width, *height = info.height;
    return s;
}

/* Of the bytewise first image of the training part that can be read: the same for both parts. */
static oct_status first_size(oct_data *d, const octi_files *train, oct_input_desc *in) {
    for (size_t i = 0; i < train->count; i++) {
        const oct_status s = octi_folder_size(d, train->list[i].path, &in->width, &in->height);
        /* a disk that fails is no reason for another size */
        if (s == OCT_OK || s == OCT_EIO) return s;
        OCT_TRY(octi_excuse(s));
    }
    return octi_folder_size(d, train->list[0].path, &in->width, &in->height);
}

typedef struct measuring {
    oct_data *d;
    const octi_file_of_class **files;
    octi_pixel_sums *sums; /* of each octi_file_of_class */
    oct_status *status;
} measuring;

static void measure_one(void *arg, int64_t i) {
    measuring *m = arg;
    oct_data *d = m->d;
    const size_t pixels = (size_t)d->input.height * (size_t)d->input.width;
    uint8_t *image = octi_alloc_raw(d->ctx, octi_set_image_bytes(d));
    m->status[i] = image ? oct_image_load(d->ctx, m->files[i]->path, &d->input, image)
                         : oct_last_error()->code;
    if (m->status[i] == OCT_OK) octi_sums_add(&m->sums[i], image, pixels, d->input.channels);
    octi_free(d->ctx, image);
}

/* Mean and std of MEASURED training images, evenly over them. */
static oct_status measure(oct_data *d, const octi_files *train) {
    enum { MEASURED = 512 };
    const int64_t total = (int64_t)train->count;
    uint8_t *held = octi_calloc(d->ctx, train->count, 1);
    measuring m = {.d = d,
                   .files = octi_calloc(d->ctx, train->count, sizeof *m.files),
                   .sums = octi_calloc(d->ctx, MEASURED, sizeof *m.sums),
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
    if (s == OCT_OK)
        octi_norm_measured(d, &all, octi_fmt("%lld of its training images", (long long)n));
    octi_free(d->ctx, held);
    octi_free(d->ctx, m.files);
    octi_free(d->ctx, m.sums);
    octi_free(d->ctx, m.status);
    return s;
}

/* Sets that are known by their classes' folders. */
static bool known_set(const oct_data *d, const octi_names *dirs, octi_norm *norm,
                      const char **why) {
    static const char *const cifar10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                          "dog",      "frog",       "horse", "ship", "truck"};
    bool cifar = dirs->count == 10 && d->input.height == 32 && d->input.width == 32,
         imagenet = dirs->count > 0;
    for (size_t i = 0; i < dirs->count; i++) {
        const char *n = dirs->name[i];
        cifar = cifar && !strcmp(n, cifar10[i]);
        imagenet = imagenet && n[0] == 'n' && strlen(n) == 9 && strspn(n + 1, "0123456789") == 8;
    }
    *norm = cifar ? OCTI_NORM_CIFAR10 : OCTI_NORM_IMAGENET;
    *why = cifar ? "by the names of its classes" : "by the ids of its classes";
    return cifar || imagenet;
}

oct_status octi_folder_describe(oct_data *d, const octi_files *train, const octi_names *dirs,
                                const oct_data_opts *opts) {
    static const oct_input_desc none = {0};
    const oct_input_desc *o = opts->input ? opts->input : &none;
    oct_input_desc size = *o;
    octi_norm norm;
    const char *why;
    /* resize alone is followed by the square crop of its size */
    int32_t square = o->crop ? o->crop : o->resize;
    if (!size.height || !size.width) {
        if (square)
            size.height = size.width = square;
        else
            OCT_TRY(first_size(d, train, &size));
    }
    int32_t c = o->channels ? o->channels : 3;
    if (c != 1 && c != 3)
        return octi_fail(OCT_EUSAGE, d->where, "channels of a folder of images", "1 or 3",
                         octi_fmt("%d", c), NULL);
    if (size.height > OCTI_IMAGE_SIDE || size.width > OCTI_IMAGE_SIDE || size.height < 1 ||
        size.width < 1)
        return octi_fail(OCT_EUSAGE, d->where, "size of the input", "1 to 16384 a side",
                         octi_fmt("%d x %d", size.height, size.width), NULL);
    d->dtype = OCT_U8;
    d->input = octi_input_desc(OCTI_NORM_PIXELS, c, size.height, size.width);
    d->input.resize = o->resize;
    d->input.crop = o->crop;
    if (!octi_norm_given(opts)) {
        if (known_set(d, dirs, &norm, &why))
            octi_norm_take(d, norm, why);
        else
            OCT_TRY(measure(d, train));
    }
    OCT_TRY(octi_set_finish(d, opts, false));
    d->stored = d->input.color; /* decoded in the order that the net wants */
    return OCT_OK;
}
