/* SPDX-License-Identifier: MIT
 * IDX, the MNIST family's format: two zero bytes, type 8 (unsigned byte), rank, big-endian sizes,
 * data (yann.lecun.com/exdb/mnist). Any image size; div stays 255 whatever grey levels occur. */
#include "datasets/set.h"
#include "src/format/bytes.h"
#include "src/mem.h"

oct_status octi_idx_parse(const void *bytes, size_t size, const char *where, int rank,
                          octi_idx *out) {
    octi_reader r = {bytes, size, 0, where};
    uint32_t magic;
    OCT_TRY(octi_read_u32be(&r, &magic, "the magic number"));
    if (magic != (0x800u | (uint32_t)rank))
        return octi_bad_bytes(
            &r, 0, "magic number",
            octi_fmt("0x%08x (unsigned bytes, rank %d)", 0x800u | (unsigned)rank, rank),
            octi_fmt("0x%08x", magic));
    out->rank = rank;
    size_t need = 1;
    for (int i = 0; i < rank; i++) {
        OCT_TRY(octi_read_u32be(&r, &out->dim[i], "the sizes"));
        uint32_t most = i ? 16384 : INT32_MAX;
        if (!out->dim[i] || out->dim[i] > most)
            return octi_bad_bytes(&r, r.pos - 4, octi_fmt("size of axis %d", i),
                                  octi_fmt("1 to %u", most), octi_fmt("%u", out->dim[i]));
        if (!octi_mul_size(need, out->dim[i], &need))
            return octi_bad_bytes(&r, 4, "the sizes", "a product that fits", "overflow");
    }
    if (octi_left(&r) != need)
        return octi_bad_bytes(&r, r.pos, "data", octi_fmt("%zu bytes by the header", need),
                              octi_fmt("%zu", octi_left(&r)));
    out->data = r.base + r.pos;
    return OCT_OK;
}

static const char *const part_name[2][2] = {
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
    {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
};

/* The whole size by the header; 0: none. */
static size_t declared(const uint8_t *p, size_t n) {
    const size_t head = n >= 4 && !p[0] && !p[1] && p[2] == 8 && (p[3] == 1 || p[3] == 3)
                            ? 4 + 4 * (size_t)p[3]
                            : SIZE_MAX;
    if (n < head) return 0;
    size_t bytes = 1;
    for (size_t i = 4; i < head; i += 4) {
        size_t side =
            (size_t)p[i] << 24 | (size_t)p[i + 1] << 16 | (size_t)p[i + 2] << 8 | p[i + 3];
        if (!octi_mul_size(bytes, side, &bytes)) return 0;
    }
    return octi_add_size(bytes, head, &bytes) ? bytes : 0;
}

/* Images of a part: their bytes are the caller's to free. */
static oct_status read_images(oct_data *d, const char *dir, int part, size_t max, uint8_t **bytes,
                              octi_idx *images, bool *found) {
    const char *path;
    size_t size;
    OCT_TRY(octi_set_read(d, dir, part_name[part][0], max, declared, &path, bytes, &size, found));
    return *found ? octi_idx_parse(*bytes, size, path, 3, images) : OCT_OK;
}

static oct_status read_labels(oct_data *d, const char *dir, int part, size_t max, uint8_t **bytes,
                              octi_idx *labels, const char **path, bool *found) {
    size_t size;
    OCT_TRY(octi_set_read(d, dir, part_name[part][1], max, declared, path, bytes, &size, found));
    return *found ? octi_idx_parse(*bytes, size, *path, 1, labels) : OCT_OK;
}

static oct_status read_part(oct_data *d, const char *dir, int part, size_t max, bool *found) {
    const char *path;
    uint8_t *bytes = NULL;
    octi_idx images, labels;
    oct_status s = read_images(d, dir, part, max, &bytes, &images, found);
    d->owned[0] = bytes;
    if (s != OCT_OK || !*found) return s;
    bool have;
    bytes = NULL;
    s = read_labels(d, dir, part, max, &bytes, &labels, &path, &have);
    if (s == OCT_OK && !have)
        return octi_fail(OCT_EIO, octi_set_path(d, dir, part_name[part][1]), "cannot open",
                         "labels beside the images (plain or .gz)", "No such file or directory",
                         NULL);
    if (s == OCT_OK && labels.dim[0] != images.dim[0])
        s = octi_fail(OCT_EFORMAT, path, "number of labels at offset 4",
                      octi_fmt("%u, as there are images", images.dim[0]),
                      octi_fmt("%u", labels.dim[0]), NULL);
    int32_t *label = s == OCT_OK ? octi_calloc(d->ctx, labels.dim[0], sizeof *label) : NULL;
    for (uint32_t i = 0; label && i < labels.dim[0]; i++) label[i] = labels.data[i];
    octi_free(d->ctx, bytes);
    if (s != OCT_OK) return s;
    if (!label) return oct_last_error()->code;
    d->owned[1] = label;
    d->labels = label;
    d->pixels = images.data;
    d->count = images.dim[0];
    d->dtype = OCT_U8;
    d->input = octi_input_desc(OCTI_NORM_PIXELS, 1, (int32_t)images.dim[1], (int32_t)images.dim[2]);
    return OCT_OK;
}

/* Both parts must agree on the number of classes, so the other part's labels are looked at too. */
static oct_status other_labels(oct_data *d, const char *dir, int part, size_t max,
                               uint8_t seen[256]) {
    const char *path;
    uint8_t *bytes = NULL;
    bool found;
    octi_idx labels;
    oct_status s = read_labels(d, dir, part, max, &bytes, &labels, &path, &found);
    for (uint32_t i = 0; s == OCT_OK && found && i < labels.dim[0]; i++) seen[labels.data[i]] = 1;
    octi_free(d->ctx, bytes);
    return s;
}

/* Of the training part, whichever part this is. */
static oct_status measure(oct_data *d, const char *dir, int part, size_t max) {
    octi_pixel_sums sums = {0};
    const size_t image = octi_set_image_bytes(d);
    if (part == 1 && !d->only) {
        uint8_t *bytes = NULL;
        octi_idx train;
        bool found;
        oct_status s = read_images(d, dir, 0, max, &bytes, &train, &found);
        if (s == OCT_OK && found)
            octi_sums_add(&sums, train.data, (size_t)train.dim[0] * train.dim[1] * train.dim[2], 1);
        octi_free(d->ctx, bytes);
        if (s != OCT_OK) return s;
        if (!found) octi_sums_add(&sums, d->pixels, (size_t)d->count * image, 1);
    } else {
        uint8_t *held = octi_calloc(d->ctx, (size_t)d->count, 1);
        oct_status s = !held ? oct_last_error()->code : d->only ? octi_hold_out(d, held) : OCT_OK;
        for (int64_t i = 0; s == OCT_OK && i < d->count; i++)
            if (!held[i]) octi_sums_add(&sums, d->pixels + (size_t)i * image, image, 1);
        octi_free(d->ctx, held);
        if (s != OCT_OK) return s;
    }
    octi_norm_measured(d, &sums, "its training images");
    return OCT_OK;
}

static oct_status is_part(oct_data *d, const char *dir, int part, bool *there) {
    const char *path;
    return octi_set_find(d, dir, part_name[part][0], &path, there);
}

static oct_status open_idx(oct_data *d, const char *dir, const oct_data_opts *opts) {
    const size_t max = opts->max_decoded_bytes;
    bool there[2], found;
    for (int k = 0; k < 2; k++) OCT_TRY(is_part(d, dir, k, &there[k]));
    if (!there[0] && !there[1])
        return octi_fail(OCT_EIO, dir, "no IDX files here",
                         "train-images-idx3-ubyte or t10k-images-idx3-ubyte, plain or .gz", NULL,
                         NULL);
    const int part = !there[0] || (there[1] && opts->split == OCT_SPLIT_TEST);
    OCT_TRY(read_part(d, dir, part, max, &found));
    d->only = !there[1];
    if (!there[0] && opts->split == OCT_SPLIT_TRAIN) octi_set_test_alone(d);
    uint8_t seen[256] = {0};
    for (int64_t i = 0; i < d->count; i++) seen[d->labels[i]] = 1;
    if (there[!part]) OCT_TRY(other_labels(d, dir, !part, max, seen));
    int32_t classes = 0;
    for (int32_t i = 0; i < 256; i++)
        if (seen[i]) classes = i + 1;
    OCT_TRY(octi_set_number_classes(d, classes, NULL, opts));
    if (!opts->class_count) octi_set_warn_unseen(d, seen);
    if (!octi_norm_given(opts)) OCT_TRY(measure(d, dir, part, max));
    return octi_set_finish(d, opts, true);
}

oct_data *octi_open_idx(oct_ctx *ctx, const char *dir, const oct_data_opts *opts) {
    oct_data *d = octi_set_new(ctx, dir);
    if (!d) return NULL;
    return open_idx(d, dir, opts) == OCT_OK ? d : octi_set_fail(d);
}
