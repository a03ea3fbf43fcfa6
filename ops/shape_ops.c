/* SPDX-License-Identifier: MIT
 * Moving elements: whole rows with memcpy. */
#include <string.h>

#include "ops/checks.h"
#include "ops/image_ops.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

void octi_around_axis(const oct_shape *s, int axis, int64_t images, int64_t *rows, int64_t *inner) {
    *rows = images;
    *inner = 1;
    for (int i = 1; i < axis; i++) *rows *= s->dim[i];
    for (int i = axis + 1; i < s->rank; i++) *inner *= s->dim[i];
}

void octi_copy_runs(const float *x, int64_t x_pitch, float *y, int64_t y_pitch, int64_t run,
                    int64_t rows) {
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * y_pitch, x + r * x_pitch, (size_t)run * sizeof *y);
}

/* Where an image stands in a padded one. */
static int64_t inside(const oct_attrs *a, const oct_shape *o) {
    return (a->pads[0] * o->dim[2] + a->pads[1]) * o->dim[3];
}

void octi_pad_image(const oct_attrs *a, const oct_shape *x, const oct_shape *o, const float *from,
                    float *to) {
    const int64_t row = x->dim[2] * x->dim[3], pitch = o->dim[2] * o->dim[3];
    for (int64_t i = 0; i < o->dim[1] * pitch; i++) to[i] = a->value;
    octi_copy_runs(from, row, to + inside(a, o), pitch, row, x->dim[1]);
}

oct_status oct_cat_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *const *x, int count,
                           oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_cat_forward");
    (void)ctx;
    if (!a || !x)
        return octi_fail(OCT_EUSAGE, "cat", "attributes or members are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_cat, a, x, count, y, "y"));
    int64_t rows, inner, at = 0;
    octi_around_axis(&y->shape, a->axis[0], y->shape.dim[0], &rows, &inner);
    int64_t pitch = y->shape.dim[a->axis[0]] * inner;
    for (int k = 0; k < count; k++) {
        int64_t run = x[k]->shape.dim[a->axis[0]] * inner;
        octi_copy_runs(oct_f32(x[k]), run, oct_f32(y) + at, pitch, run, rows);
        at += run;
    }
    return OCT_OK;
}

oct_status oct_cat_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *dy, int64_t offset,
                        oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_cat_grad");
    (void)ctx;
    if (!a) return octi_fail(OCT_EUSAGE, "cat_grad", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_f32("cat_grad", "dy", dy, 2));
    OCT_TRY(octi_check_f32("cat_grad", "dx", dx, 2));
    if (a->axis[0] < 1 || a->axis[0] >= dy->shape.rank)
        return octi_fail(OCT_EUSAGE, "cat_grad", "axis", octi_fmt("1 to %d", dy->shape.rank - 1),
                         octi_fmt("%d", a->axis[0]), NULL);
    oct_shape want = dy->shape;
    int64_t part = dx->shape.rank == want.rank ? dx->shape.dim[a->axis[0]] : 1;
    want.dim[a->axis[0]] = part;
    OCT_TRY(octi_check_tensor("cat_grad", "dx", dx, OCT_F32, &want));
    if (offset < 0 || offset > dy->shape.dim[a->axis[0]] - part)
        return octi_fail(OCT_EUSAGE, "cat_grad", "offset",
                         octi_fmt("0 to %lld", (long long)(dy->shape.dim[a->axis[0]] - part)),
                         octi_fmt("%lld", (long long)offset), NULL);
    int64_t rows, inner;
    octi_around_axis(&dy->shape, a->axis[0], dy->shape.dim[0], &rows, &inner);
    int64_t pitch = dy->shape.dim[a->axis[0]] * inner, run = part * inner;
    octi_copy_runs(oct_f32(dy) + offset * inner, pitch, oct_f32(dx), run, run, rows);
    return OCT_OK;
}

oct_status oct_pad_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_pad_forward");
    (void)ctx;
    if (!a) return octi_fail(OCT_EUSAGE, "pad", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_pad, a, &x, 1, y, "y"));
    const int64_t n = x->shape.dim[0], from = oct_tensor_count(x) / n, to = oct_tensor_count(y) / n;
    for (int64_t i = 0; i < n; i++)
        octi_pad_image(a, &x->shape, &y->shape, oct_f32(x) + i * from, oct_f32(y) + i * to);
    return OCT_OK;
}

oct_status oct_pad_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *dy, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_pad_grad");
    (void)ctx;
    if (!a) return octi_fail(OCT_EUSAGE, "pad", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_f32("pad", "dx", dx, 4));
    const oct_tensor *x = dx;
    OCT_TRY(octi_check_op(OCT_OP_pad, a, &x, 1, dy, "dy"));
    const int64_t *d = dx->shape.dim, *o = dy->shape.dim, row = d[2] * d[3], pitch = o[2] * o[3];
    for (int64_t n = 0; n < d[0]; n++)
        octi_copy_runs(oct_f32(dy) + n * o[1] * pitch + inside(a, &dy->shape), pitch,
                       oct_f32(dx) + n * d[1] * row, row, row, d[1]);
    return OCT_OK;
}

oct_status oct_slice_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_slice_forward");
    (void)ctx;
    OCT_TRY(octi_check_op(OCT_OP_slice, a, &x, 1, y, "y"));
    int64_t rows, inner;
    octi_around_axis(&x->shape, a->axis[0], x->shape.dim[0], &rows, &inner);
    int64_t pitch = x->shape.dim[a->axis[0]] * inner, run = y->shape.dim[a->axis[0]] * inner;
    octi_copy_runs(oct_f32(x) + a->range[0] * inner, pitch, oct_f32(y), run, run, rows);
    return OCT_OK;
}

oct_status oct_slice_grad(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *dy, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_slice_grad");
    (void)ctx;
    OCT_TRY(octi_check_f32("slice", "dx", dx, 2));
    const oct_tensor *x = dx;
    OCT_TRY(octi_check_op(OCT_OP_slice, a, &x, 1, dy, "dy"));
    int64_t rows, inner;
    octi_around_axis(&x->shape, a->axis[0], x->shape.dim[0], &rows, &inner);
    int64_t pitch = x->shape.dim[a->axis[0]] * inner, run = dy->shape.dim[a->axis[0]] * inner;
    memset(dx->data, 0, oct_tensor_bytes(dx));
    octi_copy_runs(oct_f32(dy), run, oct_f32(dx) + a->range[0] * inner, pitch, run, rows);
    return OCT_OK;
}
