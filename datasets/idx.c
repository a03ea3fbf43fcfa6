/* SPDX-License-Identifier: MIT
 * IDX, the MNIST family's format: two zero bytes, type 8 (unsigned byte), rank, big-endian sizes, data
 * (yann.lecun.com/exdb/mnist). Any image size; div stays 255 whatever grey levels occur. */
#include "datasets/set.h"
#include "src/format/bytes.h"
#include "src/mem.h"

oct_status octi_idx_parse(const void *bytes, size_t size, const char *where, int rank, octi_idx *out) {
    octi_reader r = {bytes, size, 0, where};
    uint32_t magic;
    OCT_TRY(octi_read_u32be(&r, &magic, "the magic number"));
    if (magic != (0x800u | (uint32_t)rank))
        return octi_bad_bytes(&r, 0, "magic number", octi_fmt("0x%08x (unsigned bytes, rank %d)", 0x800u | (unsigned)rank, rank),
                              octi_fmt("0x%08x", magic));
    out->rank = rank;
    size_t need = 1;
    for (int i = 0; i < rank; i++) {
        OCT_TRY(octi_read_u32be(&r, &out->dim[i], "the sizes"));
        uint32_t most = i ? 16384 : INT32_MAX;
        if (!out->dim[i] || out->dim[i] > most)
            return octi_bad_bytes(&r, r.pos - 4, octi_fmt("size of axis %d", i), octi_fmt("1 to %u", most), octi_fmt("%u", out->dim[i]));
        if (!octi_mul_size(need, out->dim[i], &need))
            return octi_bad_bytes(&r, 4, "the sizes", "a product that fits", "overflow");
    }
    if (octi_left(&r) != need)
        return octi_bad_bytes(&r, r.pos, "data", octi_fmt("%zu bytes by the header", need), octi_fmt("%zu", octi_left(&r)));
    out->data = r.base + r.pos;
    return OCT_OK;
}

static const char *const part_name[2][2] = {
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
    {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
};

static oct_status read_part(oct_data *d, const char *dir, int part, size_t max, bool *found) {
    const char *path, *label_path;
    size_t size;
    uint8_t *bytes = NULL;
    octi_idx images, labels;
    OCT_TRY(octi_set_read(d, dir, part_name[part][0], max, &path, &bytes, &size, found));
    if (!*found) return OCT_OK;
    d->owned[0] = bytes;
    OCT_TRY(octi_idx_parse(bytes, size, path, 3, &images));
    bool have;
    bytes = NULL;
    OCT_TRY(octi_set_read(d, dir, part_name[part][1], max, &label_path, &bytes, &size, &have));
    if (!have)
        return octi_fail(OCT_EIO, octi_set_path(d, dir, part_name[part][1]), "cannot open", "labels beside the images (plain or .gz)",
                         "No such file or directory", NULL);
    oct_status s = octi_idx_parse(bytes, size, label_path, 1, &labels);
    if (s == OCT_OK && labels.dim[0] != images.dim[0])
        s = octi_fail(OCT_EFORMAT, label_path, "number of labels at offset 4", octi_fmt("%u, as there are images", images.dim[0]),
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
    d->input = octi_input_desc(OCTI_NORM_IDX, 1, (int32_t)images.dim[1], (int32_t)images.dim[2]);
    return OCT_OK;
}

/* Both parts must agree on the number of classes, so the other part's labels are looked at too. */
static oct_status other_labels(oct_data *d, const char *dir, int part, size_t max, int32_t *most) {
    const char *path;
    uint8_t *bytes = NULL;
    size_t size;
    bool found;
    octi_idx labels;
    OCT_TRY(octi_set_read(d, dir, part_name[part][1], max, &path, &bytes, &size, &found));
    if (!found) return OCT_OK;
    oct_status s = octi_idx_parse(bytes, size, path, 1, &labels);
    for (uint32_t i = 0; s == OCT_OK && i < labels.dim[0]; i++)
        if (labels.data[i] > *most) *most = labels.data[i];
    octi_free(d->ctx, bytes);
    return s;
}

static oct_status open_idx(oct_data *d, const char *dir, const oct_data_opts *opts) {
    int part = opts->split == OCT_SPLIT_TEST;
    bool found;
    OCT_TRY(read_part(d, dir, part, opts->max_decoded_bytes, &found));
    if (!found) OCT_TRY(read_part(d, dir, part = !part, opts->max_decoded_bytes, &found));
    if (!found)
        return octi_fail(OCT_EIO, dir, "no IDX files here", "train-images-idx3-ubyte or t10k-images-idx3-ubyte, plain or .gz", NULL, NULL);
    int32_t most = 0;
    for (int64_t i = 0; i < d->count; i++)
        if (d->labels[i] > most) most = d->labels[i];
    OCT_TRY(other_labels(d, dir, !part, opts->max_decoded_bytes, &most));
    OCT_TRY(octi_set_number_classes(d, most + 1, NULL, opts));
    return octi_set_finish(d, opts, true);
}

oct_data *octi_open_idx(oct_ctx *ctx, const char *dir, const oct_data_opts *opts) {
    oct_data *d = octi_set_new(ctx, dir);
    if (!d) return NULL;
    return open_idx(d, dir, opts) == OCT_OK ? d : octi_set_fail(d);
}
