/* SPDX-License-Identifier: MIT
 * What every kind of data set shares: opening and closing, the description, classes and their
 * names, targets, reading files, judging labels. */
#include "datasets/set.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "src/float_mode.h"
#include "src/format/bytes.h"
#include "src/mem.h"
#include "src/words.h"

static const char *const splits[] = {"train", "test", "all"};
static const octi_words split_words = OCTI_WORDS("part of a set", splits);
OCTI_WORD_PAIR(oct_split, split_words)

oct_data *octi_set_new(oct_ctx *ctx, const char *where) {
    oct_data *d = octi_alloc(ctx, sizeof *d);
    if (!d) return NULL;
    d->ctx = ctx;
    d->arena = octi_arena_new(ctx);
    d->where = d->arena ? octi_arena_strdup(d->arena, where) : NULL;
    d->augment = OCT_AUGMENT_NONE;
    d->get = octi_set_get_array;
    return d->where ? d : (oct_data_free(d), NULL);
}

void oct_data_free(oct_data *d) {
    if (!d) return;
    if (d->release) d->release(d);
    for (int i = 0; i < 3; i++) octi_free(d->ctx, d->owned[i]);
    octi_arena_free(d->arena);
    octi_free(d->ctx, d);
}

oct_data *octi_set_fail(oct_data *d) {
    octi_ctx_failed(d->ctx);
    oct_data_free(d);
    return NULL;
}

int64_t oct_data_count(const oct_data *d) { return d ? d->count : 0; }
oct_dtype oct_data_dtype(const oct_data *d) { return d ? d->dtype : OCT_F32; }
const oct_input_desc *oct_data_input(const oct_data *d) { return d ? &d->input : NULL; }
uint32_t oct_data_default_augment(const oct_data *d) { return d ? d->augment : OCT_AUGMENT_NONE; }

const oct_class *oct_data_classes(const oct_data *d, int32_t *count) {
    if (count) *count = d ? d->class_count : 0;
    return d ? d->classes : NULL;
}

oct_truth oct_data_truth(const oct_data *d, oct_shape *target) {
    if (target)
        *target = d && d->truth == OCT_TRUTH_TARGETS ? d->target_shape : (oct_shape){.rank = 0};
    return d ? d->truth : OCT_TRUTH_NONE;
}

oct_status octi_set_targets(oct_data *d, oct_shape shape, const float *values) {
    bool sound = shape.rank >= 2 && shape.rank <= 4;
    int64_t count = 1;
    for (int i = 1; i < shape.rank && sound; i++) {
        sound = shape.dim[i] > 0 && shape.dim[i] <= 1 << 20 && (count *= shape.dim[i]) <= 1 << 24;
    }
    if (!sound)
        return octi_fail(OCT_ESHAPE, d->where, "shape of the targets",
                         "[N, K] to [N, H, W, C], at most 16777216 values", oct_shape_text(&shape),
                         NULL);
    for (int64_t i = 0; values && i < d->count * count; i++)
        if (!isfinite(values[i]))
            return octi_fail(OCT_EFORMAT, d->where,
                             octi_fmt("target of sample %lld", (long long)(i / count)),
                             "finite numbers", octi_fmt("%g", (double)values[i]), NULL);
    shape.dim[0] = OCT_BATCH;
    d->truth = OCT_TRUTH_TARGETS;
    d->target_shape = shape;
    d->target_count = count;
    d->targets = values;
    return OCT_OK;
}

oct_status octi_set_target(oct_data *d, int64_t i, float *y) {
    if (!d->targets) return d->target(d, i, y);
    memcpy(y, d->targets + i * d->target_count, (size_t)d->target_count * sizeof *y);
    return OCT_OK;
}

size_t octi_set_image_bytes(const oct_data *d) {
    return (size_t)d->input.channels * (size_t)d->input.height * (size_t)d->input.width *
           oct_dtype_size(d->dtype);
}

oct_status oct_data_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    OCTI_LAW_MODE();
    if (!d || !image || !label) return octi_fail_null("oct_data_get");
    if (i < 0 || i >= d->count)
        return octi_fail(OCT_EUSAGE, d->where, "sample out of range",
                         octi_fmt("0 to %lld", (long long)d->count - 1),
                         octi_fmt("%lld", (long long)i), NULL);
    return d->get(d, i, image, label);
}

oct_status octi_set_get_array(oct_data *d, int64_t i, void *image, int32_t *label) {
    size_t bytes = octi_set_image_bytes(d);
    const uint8_t *from = d->pixels + (size_t)i * bytes;
    *label = d->labels ? d->labels[i] : 0;
    int32_t c_count = d->input.channels;
    if (!d->nchw || c_count == 1) {
        memcpy(image, from, bytes);
        return OCT_OK;
    }
    size_t plane = (size_t)d->input.height * (size_t)d->input.width;
    for (int32_t c = 0; c < c_count; c++)
        for (size_t p = 0; p < plane; p++) {
            size_t to = p * (size_t)c_count + (size_t)c;
            if (d->dtype == OCT_U8)
                ((uint8_t *)image)[to] = from[(size_t)c * plane + p];
            else
                ((float *)image)[to] = ((const float *)from)[(size_t)c * plane + p];
        }
    return OCT_OK;
}

oct_status oct_data_class_counts(oct_data *d, int64_t *counts) {
    if (!d || !counts) return octi_fail_null("oct_data_class_counts");
    memset(counts, 0, (size_t)d->class_count * sizeof *counts);
    bool array = d->get == octi_set_get_array;
    void *image = d->label || array ? NULL : octi_alloc_raw(d->ctx, octi_set_image_bytes(d) + 1);
    if (!d->label && !array && !image) return oct_last_error()->code;
    oct_status s = OCT_OK;
    for (int64_t i = 0; s == OCT_OK && i < d->count; i++) {
        int32_t label = array ? (d->labels ? d->labels[i] : 0) : d->label ? d->label(d, i) : 0;
        if (image) s = d->get(d, i, image, &label);
        if (s == OCT_OK && label >= 0 && label < d->class_count) counts[label]++;
    }
    octi_free(d->ctx, image);
    return s;
}

oct_status octi_set_finish(oct_data *d, const oct_data_opts *opts, bool fixed_size) {
    const oct_input_desc *o = opts ? opts->input : NULL;
    oct_input_desc *in = &d->input;
    d->stored = in->color;
    if (!o) return opts ? octi_set_select(d, opts) : OCT_OK;
    if (fixed_size &&
        ((o->channels && o->channels != in->channels) || (o->height && o->height != in->height) ||
         (o->width && o->width != in->width)))
        return octi_fail(OCT_ESHAPE, d->where, "size of the images (C, H, W)",
                         octi_fmt("%d, %d, %d", o->channels, o->height, o->width),
                         octi_fmt("%d, %d, %d", in->channels, in->height, in->width),
                         "images of this kind keep their size and channels; those of folder: are "
                         "resized");
    if (in->channels == 3 && o->channels == 3)
        in->color = o->color == OCT_COLOR_BGR ? OCT_COLOR_BGR : OCT_COLOR_RGB;
    /* a description tells of pixels: floats are taken as they are */
    const bool said = d->dtype == OCT_U8 && !o->assumed;
    if (o->div > 0 && said) in->div = o->div;
    if (o->std[0] > 0 && said) {
        d->norm = "as the caller says";
        for (int c = 0; c < in->channels; c++) {
            bool given = o->std[c] > 0; /* one value serves all channels */
            in->std[c] = o->std[given ? c : 0];
            in->mean[c] = o->mean[given ? c : 0];
        }
    }
    return octi_set_select(d, opts);
}

oct_status octi_set_number_classes(oct_data *d, int32_t n, const char *const *names,
                                   const oct_data_opts *opts) {
    int32_t given = opts ? opts->class_count : 0;
    if (n > OCT_CLASSES_MAX)
        return octi_fail(OCT_ELIMIT, d->where, "largest label",
                         octi_fmt("at most %d", OCT_CLASSES_MAX - 1), octi_fmt("%d", n - 1), NULL);
    if (given && given < n)
        return octi_fail(OCT_EFORMAT, d->where, "more classes than the model has",
                         octi_fmt("at most %d", given), octi_fmt("%d", n), NULL);
    if (given) n = given;
    d->classes = octi_arena_calloc(d->arena, (size_t)n, sizeof *d->classes);
    if (!d->classes) return oct_last_error()->code;
    for (int32_t i = 0; i < n; i++) {
        const char *id = given ? opts->classes[i].id : octi_fmt("%d", i);
        const char *name = given ? opts->classes[i].name : NULL;
        if (!name || !*name) name = names ? names[i] : NULL;
        d->classes[i].id = octi_arena_strdup(d->arena, id);
        d->classes[i].name = name ? octi_arena_strdup(d->arena, name) : d->classes[i].id;
        if (!d->classes[i].id || !d->classes[i].name) return oct_last_error()->code;
    }
    d->class_count = n;
    return OCT_OK;
}

void octi_set_warn_unseen(const oct_data *d, const uint8_t *seen) {
    int32_t none = 0, first = -1;
    for (int32_t i = 0; i < d->class_count; i++) {
        if (seen[i]) continue;
        if (!none++) first = i;
    }
    if (none)
        octi_log(d->ctx, OCT_LOG_WARN, "%s: %d of %d classes have no image, the first of them %d",
                 d->where, none, d->class_count, first);
}

const char *octi_set_sample(const oct_data *d, int64_t i) {
    return d->name
               ? d->name(d, i)
               : octi_fmt("%s: sample %lld", d->where, (long long)(d->origin ? d->origin[i] : i));
}

oct_status octi_set_check_labels(const oct_data *d) {
    for (int64_t i = 0; d->labels && i < d->count; i++)
        if (d->labels[i] < 0 || d->labels[i] >= d->class_count)
            return octi_fail(OCT_EFORMAT, d->where, octi_fmt("label of sample %lld", (long long)i),
                             octi_fmt("0 to %d", d->class_count - 1), octi_fmt("%d", d->labels[i]),
                             NULL);
    return OCT_OK;
}

const char *octi_set_path(oct_data *d, const char *folder, const char *name) {
    size_t n = strlen(folder), m = strlen(name);
    char *p = octi_arena_alloc(d->arena, n + m + 2);
    if (!p) return NULL;
    memcpy(p, folder, n);
    p[n] = '/';
    memcpy(p + n + 1, name, m + 1);
    return p;
}

const char *octi_set_line(oct_data *d, const uint8_t *text, size_t size, size_t *at) {
    if (*at >= size) return NULL;
    const uint8_t *from = text + *at, *end = memchr(from, '\n', size - *at);
    size_t len = end ? (size_t)(end - from) : size - *at;
    *at += len + 1;
    while (len && (from[len - 1] == '\r' || from[len - 1] == ' ' || from[len - 1] == '\t')) len--;
    char *line = octi_arena_alloc(d->arena, len + 1);
    if (!line) return NULL;
    memcpy(line, from, len);
    line[len] = 0;
    return line;
}

oct_status octi_set_find(oct_data *d, const char *folder, const char *name, const char **path,
                         bool *found) {
    *found = false;
    for (int i = 0; i < 2 && !*found; i++) {
        struct stat st;
        *path = octi_set_path(d, folder, i ? octi_fmt("%s.gz", name) : name);
        if (!*path) return oct_last_error()->code;
        *found = !lstat(*path, &st);
        if (!*found && errno != ENOENT && errno != ENOTDIR)
            return octi_fail_errno(*path, "cannot look");
    }
    return OCT_OK;
}

oct_status octi_set_read(oct_data *d, const char *folder, const char *name, size_t max_bytes,
                         octi_declared_fn *declared, const char **path, uint8_t **bytes,
                         size_t *size, bool *found) {
    OCT_TRY(octi_set_find(d, folder, name, path, found));
    if (!*found) return OCT_OK;
    OCT_TRY(octi_file_read(d->ctx, *path, max_bytes, bytes, size));
    if (*size < 2 || (*bytes)[0] != 0x1f || (*bytes)[1] != 0x8b) return OCT_OK;
    uint8_t *packed = *bytes;
    *bytes = NULL;
    oct_status s = octi_gunzip(d->ctx, packed, *size, max_bytes, declared, *path, bytes, size);
    octi_free(d->ctx, packed);
    return s;
}

void oct_data_opts_init(oct_data_opts *opts) {
    if (opts) *opts = (oct_data_opts){0};
}
