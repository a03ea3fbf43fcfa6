/* SPDX-License-Identifier: MIT
 * Moving elements: whole rows with memcpy. */
#include <string.h>

#include "ops/checks.h"
#include "ops/ops.h"
#include "src/float_mode.h"
#include "src/words.h"

/** Bytes behind the axis and rows before it: a member of cat is `rows` runs of dim[axis] * inner
 *  elements. */
static void around_axis(const oct_shape *s, int axis, int64_t *rows, int64_t *inner) {
    *rows = *inner = 1;
    for (int i = 0; i < axis; i++) *rows *= s->dim[i];
    for (int i = axis + 1; i < s->rank; i++) *inner *= s->dim[i];
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
    around_axis(&y->shape, a->axis[0], &rows, &inner);
    int64_t pitch = y->shape.dim[a->axis[0]] * inner;
    for (int k = 0; k < count; k++) {
        int64_t run = x[k]->shape.dim[a->axis[0]] * inner;
        for (int64_t r = 0; r < rows; r++)
            memcpy(oct_f32(y) + r * pitch + at, oct_f32(x[k]) + r * run,
                   (size_t)run * sizeof(float));
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
    around_axis(&dy->shape, a->axis[0], &rows, &inner);
    int64_t pitch = dy->shape.dim[a->axis[0]] * inner, run = part * inner;
    for (int64_t r = 0; r < rows; r++)
        memcpy(oct_f32(dx) + r * run, oct_f32(dy) + r * pitch + offset * inner,
               (size_t)run * sizeof(float));
    return OCT_OK;
}

oct_status oct_pad_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_pad_forward");
    (void)ctx;
    if (!a) return octi_fail(OCT_EUSAGE, "pad", "attributes are NULL", NULL, NULL, NULL);
    OCT_TRY(octi_check_op(OCT_OP_pad, a, &x, 1, y, "y"));
    const int64_t *d = x->shape.dim, *o = y->shape.dim;
    float *out = oct_f32(y);
    for (int64_t i = 0, n = oct_tensor_count(y); i < n; i++) out[i] = a->value;
    for (int64_t r = 0; r < d[0] * d[1]; r++)
        memcpy(out + ((r / d[1] * o[1] + r % d[1] + a->pads[0]) * o[2] + a->pads[1]) * o[3],
               oct_f32(x) + r * d[2] * d[3], (size_t)(d[2] * d[3]) * sizeof(float));
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
    const int64_t *d = dx->shape.dim, *o = dy->shape.dim;
    for (int64_t r = 0; r < d[0] * d[1]; r++)
        memcpy(oct_f32(dx) + r * d[2] * d[3],
               oct_f32(dy) + ((r / d[1] * o[1] + r % d[1] + a->pads[0]) * o[2] + a->pads[1]) * o[3],
               (size_t)(d[2] * d[3]) * sizeof(float));
    return OCT_OK;
}

oct_status oct_slice_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_slice_forward");
    (void)ctx;
    OCT_TRY(octi_check_op(OCT_OP_slice, a, &x, 1, y, "y"));
    int64_t rows, inner;
    around_axis(&x->shape, a->axis[0], &rows, &inner);
    int64_t pitch = x->shape.dim[a->axis[0]] * inner, run = y->shape.dim[a->axis[0]] * inner;
    for (int64_t r = 0; r < rows; r++)
        memcpy(oct_f32(y) + r * run, oct_f32(x) + r * pitch + a->range[0] * inner,
               (size_t)run * sizeof(float));
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
    around_axis(&x->shape, a->axis[0], &rows, &inner);
    int64_t pitch = x->shape.dim[a->axis[0]] * inner, run = dy->shape.dim[a->axis[0]] * inner;
    memset(dx->data, 0, oct_tensor_bytes(dx));
    for (int64_t r = 0; r < rows; r++)
        memcpy(oct_f32(dx) + r * pitch + a->range[0] * inner, oct_f32(dy) + r * run,
               (size_t)run * sizeof(float));
    return OCT_OK;
}
