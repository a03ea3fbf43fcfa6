/* SPDX-License-Identifier: MIT
 * Convolution: checks, then the algorithm that the shape asks for. */
#include "ops/conv_internal.h"
#include "ops/ops.h"
#include "ops/product_paths.h"
#include "src/float_mode.h"
#include "src/words.h"

octi_conv octi_conv_of(const oct_attrs *a, const oct_shape *x, const oct_shape *y, int64_t images) {
    const int64_t *xd = x->dim, *yd = y->dim;
    return (octi_conv){.n = images,
                       .h = xd[1],
                       .w = xd[2],
                       .c = xd[3],
                       .p = yd[1],
                       .q = yd[2],
                       .o = yd[3],
                       .r = a->kernel[0],
                       .s = a->kernel[1],
                       .groups = a->groups[0],
                       .cg = xd[3] / a->groups[0],
                       .og = yd[3] / a->groups[0],
                       .stride_h = a->stride[0],
                       .stride_w = a->stride[1],
                       .top = a->pads[0],
                       .left = a->pads[1],
                       .dil_h = a->dilation[0],
                       .dil_w = a->dilation[1]};
}

/** x, w, [b] against y; attributes of a fused node (act, bn) are its owner's business and ignored
 *  here. */
static oct_status check(const oct_attrs *a, const oct_tensor *x, const oct_tensor *w,
                        const oct_tensor *b, const oct_tensor *y, const char *role) {
    if (!a) return octi_fail(OCT_EUSAGE, "conv2d", "attributes are NULL", NULL, NULL, NULL);
    oct_attrs plain = *a;
    plain.act[0] = plain.bn[0] = 0;
    return octi_check_op(OCT_OP_conv2d, &plain, (const oct_tensor *[]){x, w, b}, 3, y, role);
}

/** One algorithm's three passes. */
typedef struct algorithm {
    oct_status (*forward)(oct_ctx *, octi_arena *, const octi_conv *, const float *x,
                          const float *w, const float *b, float *y);
    oct_status (*grad_x)(oct_ctx *, octi_arena *, const octi_conv *, const float *dy,
                         const float *w, float *dx);
    oct_status (*grad_w)(oct_ctx *, octi_arena *, const octi_conv *, const float *x,
                         const float *dy, float *dw, float *db);
} algorithm;

static const algorithm direct = {octi_conv_direct_forward, octi_conv_direct_grad_x,
                                 octi_conv_direct_grad_w};
static const algorithm depthwise = {octi_conv_depthwise_forward, octi_conv_depthwise_grad_x,
                                    octi_conv_depthwise_grad_w};
static const algorithm winograd = {octi_conv_winograd_forward, octi_conv_winograd_grad_x,
                                   octi_conv_winograd_grad_w};

/** By shape alone. `exact`: sums of whole numbers must stay exact, so no transforms. */
static const algorithm *choose(const octi_conv *g, bool exact) {
    if (octi_conv_is_depthwise(g)) return &depthwise;
    return !exact && octi_conv_winograd_fits(g) ? &winograd : &direct;
}

octi_path octi_conv2d_path(const oct_attrs *a, const oct_tensor *x, const oct_tensor *y,
                           bool exact) {
    const octi_conv g = octi_conv_of(a, &x->shape, &y->shape, x->shape.dim[0]);
    const algorithm *by = choose(&g, exact);
    if (by == &winograd) return OCTI_PATH_conv_winograd;
    return by == &depthwise ? OCTI_PATH_conv_depthwise : OCTI_PATH_conv_direct;
}

static oct_status forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                          const oct_tensor *w, const oct_tensor *b, oct_tensor *y, bool exact) {
    OCT_TRY(check(a, x, w, b, y, "y"));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_conv g = octi_conv_of(a, &x->shape, &y->shape, x->shape.dim[0]);
    oct_status st = choose(&g, exact)->forward(ctx, scratch, &g, oct_f32(x), oct_f32(w),
                                               b ? oct_f32(b) : NULL, oct_f32(y));
    octi_arena_rewind(scratch, mark);
    return st;
}

oct_status oct_conv2d_forward(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                              const oct_tensor *w, const oct_tensor *b, oct_tensor *y) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_conv2d_forward");
    return forward(ctx, a, x, w, b, y, false);
}

oct_status octi_conv2d_direct(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                              const oct_tensor *w, const oct_tensor *b, oct_tensor *y) {
    return forward(ctx, a, x, w, b, y, true);
}

oct_status oct_conv2d_grad_x(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *dy,
                             const oct_tensor *w, oct_tensor *dx) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_conv2d_grad_x");
    OCT_TRY(octi_check_f32("conv2d", "dx", dx, 4));
    OCT_TRY(check(a, dx, w, NULL, dy, "dy"));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_conv g = octi_conv_of(a, &dx->shape, &dy->shape, dx->shape.dim[0]);
    oct_status st =
        choose(&g, false)->grad_x(ctx, scratch, &g, oct_f32(dy), oct_f32(w), oct_f32(dx));
    octi_arena_rewind(scratch, mark);
    return st;
}

oct_status oct_conv2d_grad_w(oct_ctx *ctx, const oct_attrs *a, const oct_tensor *x,
                             const oct_tensor *dy, oct_tensor *dw, oct_tensor *db) {
    OCTI_LAW_MODE();
    if (!ctx) return octi_fail_null("oct_conv2d_grad_w");
    OCT_TRY(octi_check_f32("conv2d", "dw", dw, 4));
    OCT_TRY(check(a, x, dw, db, dy, "dy"));
    octi_arena *scratch = octi_ctx_scratch(ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_conv g = octi_conv_of(a, &x->shape, &dy->shape, x->shape.dim[0]);
    oct_status st = choose(&g, false)->grad_w(ctx, scratch, &g, oct_f32(x), oct_f32(dy),
                                              oct_f32(dw), db ? oct_f32(db) : NULL);
    octi_arena_rewind(scratch, mark);
    return st;
}
