/* SPDX-License-Identifier: MIT
 * CIFAR-10 and CIFAR-100, binary version: records of label byte(s) and 3 planes of 32x32
 * (cs.toronto.edu/~kriz/cifar.html). Any number of records and batches 1 to 5; plain or .gz; the
 * folder itself or the archive's folder inside it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datasets/set.h"
#include "src/format/bytes.h"
#include "src/mem.h"

typedef struct cifar_kind {
    /* bytes before the pixels, and which of them is the label: CIFAR-100 has coarse and fine */
    int head, label;
    int32_t classes;
    const char *train[6], *test[2]; /* NULL ends */
    const char *names, *inner;
    octi_norm norm;
} cifar_kind;

static const cifar_kind cifar10 = {1,
                                   0,
                                   10,
                                   {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                    "data_batch_4.bin", "data_batch_5.bin"},
                                   {"test_batch.bin"},
                                   "batches.meta.txt",
                                   "cifar-10-batches-bin",
                                   OCTI_NORM_CIFAR10};
static const cifar_kind cifar100 = {2,
                                    1,
                                    100,
                                    {"train.bin"},
                                    {"test.bin"},
                                    "fine_label_names.txt",
                                    "cifar-100-binary",
                                    OCTI_NORM_CIFAR100};
static const cifar_kind coarse = {2,
                                  0,
                                  20,
                                  {"train.bin"},
                                  {"test.bin"},
                                  "coarse_label_names.txt",
                                  "cifar-100-binary",
                                  OCTI_NORM_CIFAR100};

oct_status octi_cifar_parse(const void *bytes, size_t size, const char *where, int head, int label,
                            int32_t classes, uint8_t *pixels, int32_t *labels) {
    octi_reader r = {bytes, size, 0, where};
    size_t record = (size_t)head + OCTI_CIFAR_PIXELS;
    if (!size || size % record)
        return octi_fail(OCT_EFORMAT, where, "size of the file",
                         octi_fmt("a multiple of %zu bytes (one record)", record),
                         octi_fmt("%zu", size), "the file is cut short, or of another CIFAR");
    for (size_t i = 0; i < size / record; i++) {
        const uint8_t *p = r.base + i * record + label, *plane = r.base + i * record + head;
        if (*p >= classes)
            return octi_bad_bytes(&r, (size_t)(p - r.base), octi_fmt("label of record %zu", i),
                                  octi_fmt("0 to %d", classes - 1), octi_fmt("%d", *p));
        labels[i] = *p;
        uint8_t *out = pixels + i * OCTI_CIFAR_PIXELS;
        for (int k = 0; k < 1024; k++)
            for (int c = 0; c < 3; c++) out[3 * k + c] = plane[1024 * c + k];
    }
    return OCT_OK;
}

/* Append one batch file; the arrays grow by what the file really holds. */
static oct_status add_batch(oct_data *d, const cifar_kind *k, const char *dir, const char *name,
                            size_t max, bool *found) {
    const char *path;
    uint8_t *bytes = NULL;
    size_t size, have = (size_t)d->count;
    OCT_TRY(octi_set_read(d, dir, name, max, NULL, &path, &bytes, &size, found));
    if (!*found) return OCT_OK;
    size_t n = size / ((size_t)k->head + OCTI_CIFAR_PIXELS);
    uint8_t *pixels = octi_realloc(d->ctx, d->owned[0], (have + n) * OCTI_CIFAR_PIXELS);
    if (pixels) d->owned[0] = pixels;
    int32_t *labels =
        pixels ? octi_realloc(d->ctx, d->owned[1], (have + n) * sizeof *labels) : NULL;
    if (labels) d->owned[1] = labels;
    oct_status s = labels ? octi_cifar_parse(bytes, size, path, k->head, k->label, k->classes,
                                             pixels + have * OCTI_CIFAR_PIXELS, labels + have)
                          : oct_last_error()->code;
    octi_free(d->ctx, bytes);
    if (s == OCT_OK) d->count += (int64_t)n;
    return s;
}

static oct_status count_files(oct_data *d, const char *const *name, const char *dir, int *there,
                              const char **missing) {
    *there = 0;
    *missing = NULL;
    for (; *name; name++) {
        const char *path;
        bool found;
        OCT_TRY(octi_set_find(d, dir, *name, &path, &found));
        *there += found;
        if (!found && !*missing) *missing = *name;
    }
    return OCT_OK;
}

static oct_status read_part(oct_data *d, const cifar_kind *k, const char *dir, bool test,
                            size_t max) {
    const char *const *name = test ? k->test : k->train;
    for (; *name; name++) {
        bool found;
        OCT_TRY(add_batch(d, k, dir, *name, max, &found));
    }
    return OCT_OK;
}

static oct_status read_names(oct_data *d, const cifar_kind *k, const char *dir,
                             const oct_data_opts *opts) {
    const char *path, *names[100];
    uint8_t *bytes = NULL;
    size_t size;
    bool found;
    OCT_TRY(octi_set_read(d, dir, k->names, 1 << 16, NULL, &path, &bytes, &size, &found));
    int32_t n = 0;
    size_t at = 0;
    const char *line = found ? octi_set_line(d, bytes, size, &at) : NULL;
    for (; line && n < k->classes; line = octi_set_line(d, bytes, size, &at))
        if (*line) names[n++] = line;
    oct_status s = octi_set_number_classes(d, k->classes, n == k->classes ? names : NULL, opts);
    octi_free(d->ctx, bytes);
    return s;
}

static oct_status fill(oct_data *d, const cifar_kind *k, const char *dir,
                       const oct_data_opts *opts) {
    const char *inner = octi_set_path(d, dir, k->inner);
    if (!inner) return oct_last_error()->code;
    if (!access(inner, F_OK)) dir = inner;
    d->dtype = OCT_U8;
    d->input = octi_input_desc(OCTI_NORM_PIXELS, 3, 32, 32);
    d->augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP;
    int train, tests;
    const char *missing, *ignored;
    OCT_TRY(count_files(d, k->train, dir, &train, &missing));
    OCT_TRY(count_files(d, k->test, dir, &tests, &ignored));
    if (!train && !tests)
        return octi_fail(OCT_EIO, dir, "no CIFAR files here",
                         octi_fmt("%s or %s, plain or .gz", k->train[0], k->test[0]), NULL, NULL);
    if (train && missing)
        octi_log(d->ctx, OCT_LOG_WARN,
                 "%s: training files are missing, the first of them %s; %d are there", dir, missing,
                 train);
    if (!train && opts->split == OCT_SPLIT_TRAIN) octi_set_test_alone(d);
    OCT_TRY(read_part(d, k, dir, !train || (tests && opts->split == OCT_SPLIT_TEST),
                      opts->max_decoded_bytes));
    d->only = !tests;
    if (!octi_norm_given(opts)) octi_norm_take(d, k->norm, "by the kind of set");
    d->pixels = d->owned[0];
    d->labels = d->owned[1];
    OCT_TRY(read_names(d, k, dir, opts));
    return octi_set_finish(d, opts, true);
}

static oct_data *open_cifar(oct_ctx *ctx, const cifar_kind *k, const char *dir,
                            const oct_data_opts *opts) {
    oct_data *d = octi_set_new(ctx, dir);
    if (!d) return NULL;
    return fill(d, k, dir, opts) == OCT_OK ? d : octi_set_fail(d);
}

oct_data *octi_open_cifar10(oct_ctx *ctx, const char *dir, const oct_data_opts *opts) {
    return open_cifar(ctx, &cifar10, dir, opts);
}
oct_data *octi_open_cifar100(oct_ctx *ctx, const char *dir, const oct_data_opts *opts) {
    return open_cifar(ctx, &cifar100, dir, opts);
}
oct_data *octi_open_cifar100_coarse(oct_ctx *ctx, const char *dir, const oct_data_opts *opts) {
    return open_cifar(ctx, &coarse, dir, opts);
}
