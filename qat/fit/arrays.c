/* SPDX-License-Identifier: MIT
 * NumPy's arrays in and out, and the probe of a run. NCHW in files, NHWC in memory. */
#include <errno.h>
#include <string.h>

#include "datasets/set.h"
#include "qat/fit/run_files.h"
#include "qat/fit/score.h"
#include "src/float_mode.h"
#include "src/format/foreign.h"
#include "src/format/npz.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/words.h"

/* [n][c][p] from [n][p][c] of `size` bytes, or back. */
static void swap(int64_t n, int64_t p, int64_t c, size_t size, const void *from, void *to,
                 bool out) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < p; k++)
            for (int64_t j = 0; j < c; j++) {
                size_t last = (size_t)((i * p + k) * c + j) * size,
                       first = (size_t)((i * c + j) * p + k) * size;
                memcpy((char *)to + (out ? first : last), (const char *)from + (out ? last : first),
                       size);
            }
}

static oct_status save(oct_ctx *ctx, const octi_folder *in, const char *path, const char *name,
                       const oct_tensor *y, float scale, int32_t zero_point) {
    oct_shape s = y->shape;
    void *data = octi_alloc_raw(ctx, oct_tensor_bytes(y) + 1);
    if (!data) return oct_last_error()->code;
    if (s.rank == 4) {
        swap(s.dim[0], s.dim[1] * s.dim[2], s.dim[3], oct_dtype_size(y->dtype), y->data, data,
             true);
        s = OCT_SHAPE(y->shape.dim[0], y->shape.dim[3], y->shape.dim[1], y->shape.dim[2]);
    } else
        memcpy(data, y->data, oct_tensor_bytes(y));
    const size_t n = strlen(path);
    octi_npz_array arrays[] = {{name, y->dtype, s, data},
                               {"scale", OCT_F32, {.rank = 0}, &scale},
                               {"zero_point", OCT_S32, {.rank = 0}, &zero_point}};
    oct_status st = !in && n > 4 && !strcmp(path + n - 4, ".npy")
                        ? octi_npy_write(ctx, path, arrays)
                        : octi_npz_write_in(ctx, in, path, arrays, scale > 0 ? 3 : 1);
    octi_free(ctx, data);
    return st;
}

oct_status oct_npz_save(oct_ctx *ctx, const char *path, const oct_tensor *y, float scale,
                        int32_t zero_point) {
    OCTI_LAW_MODE();
    if (!ctx || !path || !y) return octi_fail_null("oct_npz_save");
    return save(ctx, NULL, path, "y", y, scale, zero_point);
}

/* An array as f32 NHWC, of other ranks as it is; d NULL: floats only, any image. */
static oct_tensor *images_in(oct_ctx *ctx, octi_npy a, const oct_input_desc *d, const char *path) {
    bool pixels = d && a.kind == 'u' && a.size == 1;
    if ((a.kind != 'f' && !pixels) || a.shape.rank < 2 || a.shape.rank > 4) {
        octi_fail(OCT_EFORMAT, path, "array x", "float32 N,C,H,W, N,T,C or N,K, or uint8 N,C,H,W",
                  octi_fmt("%c%d %s", a.kind, a.size, oct_shape_text(&a.shape)), NULL);
        return NULL;
    }
    oct_shape s = a.shape;
    if (s.rank == 4) s = OCT_SHAPE(a.shape.dim[0], a.shape.dim[2], a.shape.dim[3], a.shape.dim[1]);
    if (pixels && (s.rank != 4 || s.dim[3] != d->channels)) {
        octi_fail(OCT_ESHAPE, path, "channels of array x", octi_fmt("%d", d->channels),
                  oct_shape_text(&a.shape), NULL);
        return NULL;
    }
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, s), *flat = oct_tensor_new(ctx, OCT_F32, a.shape);
    bool ok = x && flat;
    if (ok && pixels) octi_norm_warn(ctx, path, d, NULL);
    if (ok && !pixels) ok = octi_npy_to_f32(&a, path, oct_f32(flat)) == OCT_OK;
    for (int64_t i = 0; ok && pixels && i < oct_tensor_count(x); i++) {
        int64_t plane = s.dim[1] * s.dim[2], c = i / plane % s.dim[3];
        oct_f32(flat)[i] = octq_pixel(((const uint8_t *)a.data)[i], d->div, d->mean[c], d->std[c]);
    }
    if (ok && s.rank == 4)
        swap(s.dim[0], s.dim[1] * s.dim[2], s.dim[3], sizeof(float), flat->data, x->data, false);
    else if (ok)
        memcpy(x->data, flat->data, oct_tensor_bytes(x));
    oct_tensor_unref(flat);
    if (ok) return x;
    oct_tensor_unref(x);
    return NULL;
}

/* x of an archive, or its only array. */
static oct_tensor *images(oct_ctx *ctx, octi_npz *z, const oct_input_desc *d, const char *path) {
    octi_npy a;
    const char *name = octi_npz_count(z) == 1 ? octi_npz_name(z, 0) : "x";
    return octi_npz_get(z, name, 0, &a) == OCT_OK ? images_in(ctx, a, d, path) : NULL;
}

static oct_tensor *images_of(oct_ctx *ctx, const char *path, const oct_input_desc *d) {
    uint8_t *bytes;
    size_t size;
    if (octi_file_read(ctx, path, 0, &bytes, &size) != OCT_OK) return NULL;
    oct_tensor *x = NULL;
    octi_npy a;
    if (size > 6 && !memcmp(bytes, "\x93NUMPY", 6)) {
        if (octi_npy_parse(bytes, size, path, &a) == OCT_OK) x = images_in(ctx, a, d, path);
    } else if (size < 2 || memcmp(bytes, "PK", 2)) {
        if (!octi_foreign(bytes, size, path, ".npz"))
            octi_fail(OCT_EFORMAT, path, "no array of NumPy", ".npz or .npy", NULL,
                      "numpy.savez('x.npz', x=images) writes one");
    } else {
        octi_npz *z = octi_npz_parse(ctx, bytes, size, path);
        if (z) x = images(ctx, z, d, path);
        octi_npz_free(z);
    }
    octi_free(ctx, bytes);
    return x;
}

/* N,H,W,C as files have it: N,C,H,W. */
static const char *as_in_files(const oct_shape *s) {
    oct_shape t = *s;
    if (s->rank == 4) t = (oct_shape){4, {s->dim[0], s->dim[3], s->dim[1], s->dim[2]}};
    return oct_shape_text(&t);
}

oct_tensor *oct_npz_images(oct_net *net, const char *path) {
    OCTI_LAW_MODE();
    if (!net || !path) return NULL;
    oct_tensor *x = images_of(net->ctx, path, &net->input);
    if (!x) return octi_ctx_failed(net->ctx), NULL;
    const oct_shape *want = &net->graph->values[net->graph->input].shape;
    oct_shape got = x->shape;
    got.dim[0] = want->dim[0];
    if (oct_shape_equal(want, &got)) return x;
    octi_fail(OCT_ESHAPE, path, "array x does not fit the net", as_in_files(want),
              as_in_files(&x->shape), want->rank == 4 ? "N,C,H,W, as PyTorch has it" : NULL);
    octi_ctx_failed(net->ctx);
    oct_tensor_unref(x);
    return NULL;
}

/* ---- probe ---- */

oct_status oct_run_save_probe(oct_net *net, const char *dir, oct_data *data, int32_t n) {
    OCTI_LAW_MODE();
    if (!net || !dir || !data) return octi_fail_null("oct_run_save_probe");
    if (!oct_run_is(dir))
        return octi_fail(OCT_EIO, dir, "no such run", "a run's folder", NULL, NULL);
    if (n < 1 || n > 64)
        return octi_fail(OCT_EUSAGE, dir, "number of inputs", "1 to 64", octi_fmt("%d", n), NULL);
    oct_loader *l = oct_loader_new(
        data, &(oct_loader_opts){.batch = n, .no_prefetch = true, .input = octi_net_input(net)});
    if (!l) return oct_last_error()->code;
    oct_batch b;
    bool done = false;
    oct_status s = oct_loader_start(l, 0, 0);
    if (s == OCT_OK) s = oct_loader_next(l, &b, &done);
    if (s == OCT_OK && done)
        s = octi_fail(OCT_EFORMAT, "data", "no images", "at least one", "0", NULL);
    if (s == OCT_OK) s = oct_net_set_probe(net, b.x);
    octi_run *r = s == OCT_OK ? octi_run_write(net->ctx, dir, true, false) : NULL;
    if (s == OCT_OK) s = r ? octi_run_write_probe(net, octi_run_folder(r)) : oct_last_error()->code;
    octi_run_close(r);
    oct_loader_free(l);
    return s;
}

oct_status octi_run_write_probe(const oct_net *net, const octi_folder *f) {
    return net->probe ? save(net->ctx, f, "probe.npz", "x", net->probe, 0, 0) : OCT_OK;
}

oct_status octi_run_read_probe(oct_net *net, const octi_folder *f) {
    bool there = false;
    OCT_TRY(octi_folder_has(f, "probe.npz", &there));
    if (!there) return OCT_OK;
    octi_npz *z = octi_npz_read_in(net->ctx, f, "probe.npz");
    const char *path = octi_fmt("%s/probe.npz", octi_folder_path(f));
    oct_tensor *x = z ? images(net->ctx, z, NULL, path) : NULL;
    octi_npz_free(z);
    oct_status s = x ? oct_net_set_probe(net, x) : oct_last_error()->code;
    if (x && s != OCT_OK) s = octi_fail_in(s, octi_folder_path(f));
    oct_tensor_unref(x);
    return s;
}

oct_tensor *oct_run_load_probe(oct_ctx *ctx, const char *dir) {
    OCTI_LAW_MODE();
    if (!ctx || !dir) return NULL;
    octi_run *r = octi_run_open(ctx, dir);
    bool there = false;
    const bool known = r && octi_folder_has(octi_run_folder(r), "probe.npz", &there) == OCT_OK;
    octi_npz *z = there ? octi_npz_read_in(ctx, octi_run_folder(r), "probe.npz") : NULL;
    if (known && !there)
        octi_fail(OCT_EIO, octi_fmt("%s/probe.npz", dir), "run has no probe", NULL,
                  strerror(ENOENT), NULL);
    oct_tensor *x = z ? images(ctx, z, NULL, octi_fmt("%s/probe.npz", dir)) : NULL;
    octi_npz_free(z);
    octi_run_close(r);
    return x;
}
