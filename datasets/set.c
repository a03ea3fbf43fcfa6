/* SPDX-License-Identifier: MIT */
#include "datasets/set.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/format/bytes.h"
#include "src/mem.h"
#include "src/rng.h"

oct_data *octi_set_new(oct_ctx *ctx, const char *where) {
    oct_data *d = octi_alloc(ctx, sizeof *d);
    if (!d) return NULL;
    d->ctx = ctx;
    d->arena = octi_arena_new(ctx);
    d->where = d->arena ? octi_arena_strdup(d->arena, where) : NULL;
    d->augment = "none";
    d->get = octi_set_get_array;
    return d->where ? d : (oct_data_free(d), NULL);
}

void oct_data_free(oct_data *d) {
    if (!d) return;
    if (d->release) d->release(d);
    for (int i = 0; i < 2; i++) octi_free(d->ctx, d->owned[i]);
    octi_arena_free(d->arena);
    octi_free(d->ctx, d);
}

oct_data *octi_set_fail(oct_data *d) {
    octi_ctx_failed(d->ctx);
    oct_data_free(d);
    return NULL;
}

int64_t oct_data_count(const oct_data *d) { return d->count; }
oct_dtype oct_data_dtype(const oct_data *d) { return d->dtype; }
const oct_input_desc *oct_data_input(const oct_data *d) { return &d->input; }
const char *oct_data_default_augment(const oct_data *d) { return d->augment; }

const oct_class *oct_data_classes(const oct_data *d, int32_t *count) {
    *count = d->class_count;
    return d->classes;
}

size_t octi_set_image_bytes(const oct_data *d) {
    return (size_t)d->input.channels * (size_t)d->input.height * (size_t)d->input.width * oct_dtype_size(d->dtype);
}

oct_status oct_data_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    if (i < 0 || i >= d->count)
        return octi_fail(OCT_EUSAGE, d->where, "sample out of range", octi_fmt("0 to %lld", (long long)d->count - 1),
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
            if (d->dtype == OCT_U8) ((uint8_t *)image)[to] = from[(size_t)c * plane + p];
            else ((float *)image)[to] = ((const float *)from)[(size_t)c * plane + p];
        }
    return OCT_OK;
}

oct_status oct_data_class_counts(oct_data *d, int64_t *counts) {
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

static const struct norm { float mean[3], std[3]; } norms[] = {
    [OCTI_NORM_IDX] = {{0.1307f, 0.1307f, 0.1307f}, {0.3081f, 0.3081f, 0.3081f}},
    [OCTI_NORM_CIFAR] = {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
    [OCTI_NORM_IMAGENET] = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
    [OCTI_NORM_PLAIN] = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}},
    [OCTI_NORM_PIXELS] = {{0, 0, 0}, {1, 1, 1}},
};

oct_input_desc octi_input_desc(octi_norm norm, int32_t channels, int32_t height, int32_t width) {
    oct_input_desc in = {.channels = channels, .height = height, .width = width, .div = 255};
    in.color = channels == 3 ? OCT_COLOR_RGB : OCT_COLOR_GREY;
    const struct norm *n = &norms[norm];
    for (int c = 0; c < 4; c++) {
        bool grey = channels == 1; /* one channel of a colour set: the averages */
        in.mean[c] = grey ? (n->mean[0] + n->mean[1] + n->mean[2]) / 3 : n->mean[c % 3];
        in.std[c] = grey ? (n->std[0] + n->std[1] + n->std[2]) / 3 : n->std[c % 3];
    }
    return in;
}

/* What is left of a set in memory, evenly over it: sets may stand class by class. */
static void thin(oct_data *d, int64_t limit) {
    size_t bytes = octi_set_image_bytes(d);
    uint8_t *pixels = (uint8_t *)(uintptr_t)d->pixels;
    int32_t *labels = (int32_t *)(uintptr_t)d->labels;
    for (int64_t i = 0; i < limit; i++) { /* to the front: the source is never before the place */
        int64_t from = i * d->count / limit;
        memmove(pixels + (size_t)i * bytes, pixels + (size_t)from * bytes, bytes);
        if (labels) labels[i] = labels[from];
    }
    d->count = limit;
}

oct_status octi_set_finish(oct_data *d, const oct_data_opts *opts, bool fixed_size) {
    const oct_input_desc *o = opts ? opts->input : NULL;
    oct_input_desc *in = &d->input;
    d->stored = in->color;
    if (opts && opts->limit > 0 && opts->limit < d->count) {
        if (d->owned[0]) thin(d, opts->limit);
        else d->count = opts->limit;
    }
    if (!o) return OCT_OK;
    if (fixed_size && ((o->channels && o->channels != in->channels) || (o->height && o->height != in->height) ||
                       (o->width && o->width != in->width)))
        return octi_fail(OCT_ESHAPE, d->where, "size of the images (C, H, W)", octi_fmt("%d, %d, %d", o->channels, o->height, o->width),
                         octi_fmt("%d, %d, %d", in->channels, in->height, in->width), NULL);
    if (in->channels == 3 && o->channels == 3) in->color = o->color == OCT_COLOR_BGR ? OCT_COLOR_BGR : OCT_COLOR_RGB;
    if (d->dtype != OCT_U8) return OCT_OK; /* arrays are taken as they are */
    if (o->div > 0) in->div = o->div;
    if (o->std[0] > 0) {
        for (int c = 0; c < in->channels; c++) {
            bool given = o->std[c] > 0; /* one value serves all channels */
            in->std[c] = o->std[given ? c : 0];
            in->mean[c] = o->mean[given ? c : 0];
        }
    }
    return OCT_OK;
}

oct_status octi_set_number_classes(oct_data *d, int32_t n, const char *const *names, const oct_data_opts *opts) {
    int32_t given = opts ? opts->class_count : 0;
    if (given && given < n)
        return octi_fail(OCT_EFORMAT, d->where, "more classes than the model has", octi_fmt("at most %d", given), octi_fmt("%d", n), NULL);
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

oct_status octi_set_check_labels(const oct_data *d) {
    for (int64_t i = 0; d->labels && i < d->count; i++)
        if (d->labels[i] < 0 || d->labels[i] >= d->class_count)
            return octi_fail(OCT_EFORMAT, d->where, octi_fmt("label of sample %lld", (long long)i), octi_fmt("0 to %d", d->class_count - 1),
                             octi_fmt("%d", d->labels[i]), NULL);
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

oct_status octi_set_read(oct_data *d, const char *folder, const char *name, size_t max_bytes, const char **path, uint8_t **bytes,
                         size_t *size, bool *found) {
    const char *plain = octi_set_path(d, folder, name);
    const char *packed = plain ? octi_set_path(d, folder, octi_fmt("%s.gz", name)) : NULL;
    if (!packed) return oct_last_error()->code;
    *found = true;
    if (!access(plain, F_OK)) {
        *path = plain;
        return octi_file_read(d->ctx, plain, max_bytes, bytes, size);
    }
    *found = !access(packed, F_OK);
    if (!*found) return OCT_OK;
    *path = packed;
    uint8_t *raw;
    size_t raw_size;
    OCT_TRY(octi_file_read(d->ctx, packed, max_bytes, &raw, &raw_size));
    oct_status s = octi_gunzip(d->ctx, raw, raw_size, max_bytes, packed, bytes, size);
    octi_free(d->ctx, raw);
    return s;
}

/* ---- a share of a set ---- */

typedef struct share {
    oct_data *base;
    uint32_t *index;
} share;

static oct_status share_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    share *v = d->self;
    return v->base->get(v->base, v->index[i], image, label);
}

static int32_t share_label(const oct_data *d, int64_t i) {
    const share *v = d->self;
    const oct_data *b = v->base;
    return b->label ? b->label(b, v->index[i]) : b->labels ? b->labels[v->index[i]] : 0;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

oct_data *oct_data_share(oct_data *d, double f, uint64_t seed, bool first) {
    if (!d) return NULL;
    int64_t n = d->count, k = f > 0 && f < 1 ? (int64_t)(f * (double)n + 0.5) : 0;
    if (k < 1 || k >= n || n > UINT32_MAX) {
        octi_fail(OCT_EUSAGE, d->where, "share of the set", "between 0 and 1, both sides with at least one sample",
                  octi_fmt("%g of %lld", f, (long long)n), NULL);
        return octi_ctx_failed(d->ctx), NULL;
    }
    oct_data *v = octi_set_new(d->ctx, d->where);
    if (!v) return octi_ctx_failed(d->ctx), NULL;
    octi_arena *arena = v->arena;
    share *self = octi_arena_alloc(arena, sizeof *self);
    uint32_t *perm = octi_calloc(d->ctx, (size_t)n, sizeof *perm);
    v->owned[0] = perm;
    if (!self || !perm) return octi_set_fail(v);
    octi_rng r = octi_rng_stream(seed, OCTI_RNG_SPLIT, 0, 0);
    octi_rng_permutation(&r, perm, (uint32_t)n);
    *self = (share){d, first ? perm : perm + k};
    v->count = first ? k : n - k;
    qsort(self->index, (size_t)v->count, sizeof *perm, by_value); /* reading in the set's order is kinder to files */
    v->dtype = d->dtype;
    v->input = d->input;
    v->classes = d->classes;
    v->class_count = d->class_count;
    v->augment = d->augment;
    v->slow = d->slow;
    v->stored = d->stored;
    v->get = share_get;
    if (d->label || d->get == octi_set_get_array) v->label = share_label;
    v->self = self;
    return v;
}
