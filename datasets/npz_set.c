/* SPDX-License-Identifier: MIT
 * npz:FILE - images x (float32 N,C,H,W, already normalized; or u8 pixels N,C,H,W), labels y (any integer type); x_test and
 * y_test where the set has its own test part. */
#include <string.h>

#include "datasets/set.h"
#include "src/format/npz.h"
#include "src/mem.h"

static oct_status images(oct_data *d, octi_npz *z, const char *name, size_t max) {
    octi_npy x;
    OCT_TRY(octi_npz_get(z, name, max, &x));
    const char *where = octi_fmt("%.150s:%s", d->where, name);
    bool u8 = x.kind == 'u' && x.size == 1;
    if (!u8 && x.kind != 'f') return octi_fail(OCT_EDTYPE, where, "dtype of the images", "float32 or uint8", octi_fmt("%c%d", x.kind, x.size), NULL);
    const int64_t *s = x.shape.dim;
    if (x.shape.rank != 4 || s[0] < 1 || s[1] < 1 || s[1] > 4 || s[2] < 1 || s[2] > 16384 || s[3] < 1 || s[3] > 16384)
        return octi_fail(OCT_ESHAPE, where, "shape of the images", "[N, C, H, W], C 1 to 4, sides 1 to 16384", oct_shape_text(&x.shape), NULL);
    size_t n = (size_t)oct_shape_count(&x.shape), bytes;
    if (!octi_mul_size(n, u8 ? 1 : 4, &bytes) || !(d->owned[0] = octi_alloc_raw(d->ctx, bytes))) return oct_last_error()->code;
    if (u8) memcpy(d->owned[0], x.data, bytes);
    else OCT_TRY(octi_npy_to_f32(&x, where, d->owned[0]));
    d->dtype = u8 ? OCT_U8 : OCT_F32;
    d->pixels = d->owned[0];
    d->nchw = true;
    d->count = s[0];
    d->input = octi_input_desc(OCTI_NORM_PIXELS, (int32_t)s[1], (int32_t)s[2], (int32_t)s[3]);
    if (!u8) d->input.div = 1;
    return OCT_OK;
}

/* Labels of one part; `keep` where the part is the one that was asked for. */
static oct_status read_labels(oct_data *d, octi_npz *z, const char *name, bool keep, size_t max, int32_t *most) {
    octi_npy y;
    OCT_TRY(octi_npz_get(z, name, max, &y));
    const char *where = octi_fmt("%.150s:%s", d->where, name);
    if (y.kind == 'f') return octi_fail(OCT_EDTYPE, where, "dtype of the labels", "an integer type", octi_fmt("f%d", y.size), NULL);
    size_t n = (size_t)oct_shape_count(&y.shape);
    if (y.shape.rank != 1 || (keep && n != (size_t)d->count))
        return octi_fail(OCT_ESHAPE, where, "shape of the labels", keep ? octi_fmt("[%lld], as there are images", (long long)d->count) : "[N]", oct_shape_text(&y.shape), NULL);
    int32_t *labels = keep ? octi_calloc(d->ctx, n, sizeof *labels) : NULL;
    if (keep && !labels) return oct_last_error()->code;
    if (keep) d->labels = d->owned[1] = labels;
    for (size_t i = 0; i < n; i++) {
        int64_t v = octi_npy_int(&y, i);
        if (v < 0 || v >= 1000000) return octi_fail(OCT_EFORMAT, where, octi_fmt("label of sample %zu", i), "0 to 999999", octi_fmt("%lld", (long long)v), NULL);
        if (v > *most) *most = (int32_t)v;
        if (keep) labels[i] = (int32_t)v;
    }
    return OCT_OK;
}

static oct_status fill(oct_data *d, octi_npz *z, const oct_data_opts *opts) {
    size_t max = opts->max_decoded_bytes;
    bool test = opts->split == OCT_SPLIT_TEST && octi_npz_has(z, "x_test");
    if (!octi_npz_has(z, "x") && octi_npz_has(z, "x_test")) test = true;
    OCT_TRY(images(d, z, test ? "x_test" : "x", max));
    const char *own = test ? "y_test" : "y", *other = test ? "y" : "y_test";
    int32_t most = 0; /* both parts have the same classes */
    if (octi_npz_has(z, own)) OCT_TRY(read_labels(d, z, own, true, max, &most));
    if (octi_npz_has(z, other)) OCT_TRY(read_labels(d, z, other, false, max, &most));
    OCT_TRY(octi_set_number_classes(d, most + 1, NULL, opts));
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
