/* SPDX-License-Identifier: MIT
 * npz:FILE - images x (float32 N,C,H,W, already normalized; or u8 pixels N,C,H,W), labels y (any
 * integer type), or for regression targets y (any float type, [N], [N,K] or [N,C,H,W]); x_test and
 * y_test where the set has its own test part. */
#include <string.h>

#include "datasets/set.h"
#include "src/format/npz.h"
#include "src/mem.h"

typedef struct pair { /* names of a part's arrays */
    const char *x, *y;
} pair;
static const pair parts[2] = {{"x", "y"}, {"x_test", "y_test"}};

static const char *place(const oct_data *d, const char *name) {
    return octi_fmt("%.150s:%s", d->where, name);
}

/* Dtype and shape of images, before they are unpacked. */
static oct_status peek_images(oct_data *d, octi_npz *z, const char *name, octi_npy *x) {
    OCT_TRY(octi_npz_peek(z, name, x));
    const char *where = place(d, name);
    bool u8 = x->kind == 'u' && x->size == 1;
    if (!u8 && x->kind != 'f')
        return octi_fail(OCT_EDTYPE, where, "dtype of the images", "float32 or uint8",
                         octi_fmt("%c%d", x->kind, x->size), NULL);
    const int64_t *s = x->shape.dim;
    if (x->shape.rank != 4 || s[0] < 1 || s[1] < 1 || s[1] > 4 || s[2] < 1 || s[2] > 16384 ||
        s[3] < 1 || s[3] > 16384)
        return octi_fail(OCT_ESHAPE, where, "shape of the images",
                         "[N, C, H, W], C 1 to 4, sides 1 to 16384", oct_shape_text(&x->shape),
                         NULL);
    return OCT_OK;
}

/* A net cannot take floats as they are in one part and pixels in the other. */
static oct_status same_images(oct_data *d, const octi_npy x[2]) {
    bool same = (x[0].kind == 'f') == (x[1].kind == 'f');
    for (int k = 1; k < 4; k++) same = same && x[0].shape.dim[k] == x[1].shape.dim[k];
    if (same) return OCT_OK;
    return octi_fail(OCT_ESHAPE, place(d, parts[1].x), "kind and size of the images",
                     octi_fmt("%c %s, as x", x[0].kind, oct_shape_text(&x[0].shape)),
                     octi_fmt("%c %s", x[1].kind, oct_shape_text(&x[1].shape)), NULL);
}

static oct_status read_images(oct_data *d, octi_npz *z, const char *name, size_t max) {
    octi_npy x;
    OCT_TRY(octi_npz_get(z, name, max, &x));
    const int64_t *s = x.shape.dim;
    const bool u8 = x.kind == 'u';
    size_t n = (size_t)oct_shape_count(&x.shape), bytes;
    if (!octi_mul_size(n, u8 ? 1 : 4, &bytes) || !(d->owned[0] = octi_alloc_raw(d->ctx, bytes)))
        return oct_last_error()->code;
    if (u8)
        memcpy(d->owned[0], x.data, bytes);
    else
        OCT_TRY(octi_npy_to_f32(&x, place(d, name), d->owned[0]));
    d->dtype = u8 ? OCT_U8 : OCT_F32;
    d->pixels = d->owned[0];
    d->nchw = true;
    d->count = s[0];
    d->input = octi_input_desc(OCTI_NORM_PIXELS, (int32_t)s[1], (int32_t)s[2], (int32_t)s[3]);
    if (!u8) d->input.div = 1;
    return OCT_OK;
}

/* [N,C,H,W] as the library has it, [N,H,W,C]. */
static void to_nhwc(const oct_shape *s, const float *from, float *to) {
    const int64_t c_count = s->dim[1], cells = s->dim[2] * s->dim[3];
    for (int64_t n = 0; n < s->dim[0]; n++, from += c_count * cells)
        for (int64_t p = 0; p < cells; p++)
            for (int64_t c = 0; c < c_count; c++) *to++ = from[c * cells + p];
}

/* The largest of n numbers that could be labels, floats by mistake: whole ones from 0, at
 * least half of those up to the largest; else 0. */
static oct_status like_labels(oct_data *d, const float *v, size_t n) {
    int32_t most = 0, kinds = 0;
    uint8_t *seen = octi_calloc(d->ctx, OCT_CLASSES_MAX, 1);
    if (!seen) return oct_last_error()->code;
    bool whole = true;
    for (size_t i = 0; whole && i < n; i++) {
        whole = v[i] >= 0 && v[i] < OCT_CLASSES_MAX && v[i] == (float)(int32_t)v[i];
        const int32_t label = whole ? (int32_t)v[i] : 0;
        kinds += !seen[label];
        seen[label] = 1;
        if (label > most) most = label;
    }
    if (whole && seen[0] && 2 * kinds > most) d->like_labels = most;
    octi_free(d->ctx, seen);
    return OCT_OK;
}

static oct_status read_targets(oct_data *d, octi_npz *z, const char *name, size_t max) {
    octi_npy y;
    OCT_TRY(octi_npz_get(z, name, max, &y));
    const char *where = place(d, name);
    oct_shape s = y.shape;
    if (s.rank < 1 || s.rank > 4 || s.dim[0] != d->count)
        return octi_fail(OCT_ESHAPE, where, "shape of the targets",
                         octi_fmt("[%lld], [%lld, K] or [%lld, C, H, W], as there are images",
                                  (long long)d->count, (long long)d->count, (long long)d->count),
                         oct_shape_text(&s), NULL);
    size_t n = (size_t)oct_shape_count(&s);
    float *flat = octi_calloc(d->ctx, n + 1, sizeof *flat),
          *own = s.rank == 4 ? octi_calloc(d->ctx, n + 1, sizeof *own) : NULL;
    d->owned[1] = own ? own : flat;
    oct_status st =
        flat && (own || s.rank < 4) ? octi_npy_to_f32(&y, where, flat) : oct_last_error()->code;
    if (st == OCT_OK && own) {
        to_nhwc(&s, flat, own);
        s = OCT_SHAPE(s.dim[0], s.dim[2], s.dim[3], s.dim[1]);
    }
    if (own) octi_free(d->ctx, flat);
    if (st == OCT_OK && s.rank == 1) st = like_labels(d, flat, n);
    if (s.rank == 1) s = OCT_SHAPE(s.dim[0], 1);
    return st == OCT_OK ? octi_set_targets(d, s, d->owned[1]) : st;
}

/* Labels of one part of n images into seen, and into `keep` where it is not NULL. */
static oct_status read_labels(oct_data *d, octi_npz *z, const char *name, int64_t n, size_t max,
                              uint8_t *seen, int32_t *keep) {
    octi_npy y;
    OCT_TRY(octi_npz_peek(z, name, &y));
    const char *where = place(d, name);
    if (y.kind == 'f')
        return octi_fail(OCT_EDTYPE, where, "labels in one part, float targets in the other",
                         "an integer type in both, or a float type", octi_fmt("f%d", y.size), NULL);
    if (y.shape.rank != 1 || y.shape.dim[0] != n)
        return octi_fail(OCT_ESHAPE, where, "shape of the labels",
                         octi_fmt("[%lld], as there are images", (long long)n),
                         oct_shape_text(&y.shape), NULL);
    OCT_TRY(octi_npz_get(z, name, max, &y));
    for (int64_t i = 0; i < n; i++) {
        int64_t v = octi_npy_int(&y, (size_t)i);
        if (v < 0 || v >= OCT_CLASSES_MAX)
            return octi_fail(
                OCT_EFORMAT, place(d, name), octi_fmt("label of sample %lld", (long long)i),
                octi_fmt("0 to %d", OCT_CLASSES_MAX - 1), octi_fmt("%lld", (long long)v), NULL);
        seen[v] = 1;
        if (keep) keep[i] = (int32_t)v;
    }
    return OCT_OK;
}

/* Whether the part has float targets in place of labels; *is says so. */
static oct_status peek_targets(octi_npz *z, int part, bool *is) {
    octi_npy y = {.kind = 'i'};
    if (octi_npz_has(z, parts[part].y)) OCT_TRY(octi_npz_peek(z, parts[part].y, &y));
    *is = y.kind == 'f';
    return OCT_OK;
}

static oct_status read_classes(oct_data *d, octi_npz *z, int part, const octi_npy x[2],
                               const oct_data_opts *opts, uint8_t *seen) {
    bool any = false;
    for (int k = 0; k < 2; k++) {
        if (!octi_npz_has(z, parts[k].x) || !octi_npz_has(z, parts[k].y)) continue;
        int32_t *keep = NULL;
        if (k == part && !(keep = octi_calloc(d->ctx, (size_t)d->count, sizeof *keep)))
            return oct_last_error()->code;
        if (keep) d->labels = d->owned[1] = keep;
        OCT_TRY(
            read_labels(d, z, parts[k].y, x[k].shape.dim[0], opts->max_decoded_bytes, seen, keep));
        any = true;
    }
    int32_t classes = 1; /* both parts have the same ones */
    for (int32_t i = 0; i < OCT_CLASSES_MAX; i++)
        if (seen[i]) classes = i + 1;
    OCT_TRY(octi_set_number_classes(d, classes, NULL, opts));
    if (any && !opts->class_count) octi_set_warn_unseen(d, seen);
    return OCT_OK;
}

static oct_status fill(oct_data *d, octi_npz *z, const oct_data_opts *opts) {
    octi_npy x[2];
    const bool there[2] = {octi_npz_has(z, parts[0].x), octi_npz_has(z, parts[1].x)};
    for (int k = 0; k < 2; k++)
        if (there[k] || (!k && !there[1])) OCT_TRY(peek_images(d, z, parts[k].x, &x[k]));
    if (there[0] && there[1]) OCT_TRY(same_images(d, x));
    const int part = !there[0] || (there[1] && opts->split == OCT_SPLIT_TEST);
    OCT_TRY(read_images(d, z, parts[part].x, opts->max_decoded_bytes));
    d->only = !there[1];
    if (!there[0] && opts->split == OCT_SPLIT_TRAIN) octi_set_test_alone(d);
    bool targets;
    OCT_TRY(peek_targets(z, part, &targets));
    if (targets) {
        OCT_TRY(read_targets(d, z, parts[part].y, opts->max_decoded_bytes));
        return octi_set_finish(d, opts, true);
    }
    if (!octi_npz_has(z, parts[part].y)) d->truth = OCT_TRUTH_NONE;
    uint8_t *seen = octi_calloc(d->ctx, OCT_CLASSES_MAX, 1);
    oct_status s = seen ? read_classes(d, z, part, x, opts, seen) : oct_last_error()->code;
    octi_free(d->ctx, seen);
    OCT_TRY(s);
    return octi_set_finish(d, opts, true);
}

oct_data *octi_open_npz(oct_ctx *ctx, const char *file, const oct_data_opts *opts) {
    octi_npz *z = octi_npz_read(ctx, file);
    if (!z) return NULL;
    oct_data *d = octi_set_new(ctx, file);
    oct_status s = d ? fill(d, z, opts) : oct_last_error()->code;
    octi_npz_free(z);
    return s == OCT_OK || !d ? d : octi_set_fail(d);
}
