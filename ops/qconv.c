/* SPDX-License-Identifier: MIT
 * int8 convolution and linear: patches of s16 (x - zx), weights of s16 packed row by row, exact s32
 * sums, the law. A linear layer is a convolution of images of one pixel. Depthwise layers have a
 * kernel of their own.
 */
#include <string.h>

#include "ops/qrun.h"
#include "src/mem.h"

enum {
    PATCHES = 32
}; /* rows per call of the product: enough to reuse weights from cache, few enough to stay in it */

static int64_t pitch_of(int64_t k) { return (k + OCTK_K_STEP - 1) / OCTK_K_STEP * OCTK_K_STEP; }

static void run_conv(const octi_qrun *r, const void *const *in, void *out, int64_t n,
                     void *scratch) {
    const octi_qconv *c = &r->u.conv;
    octk_patch_u8s16 patch = c->patch;
    octk_dot_s16u8 dot = c->dot;
    const octk_table *k = r->kernels;
    int64_t per_image = (int64_t)c->p * c->q, all = n * per_image,
            image = (int64_t)patch.h * patch.x.row;
    int64_t group_w = (int64_t)dot.cols * dot.w_pitch;
    dot.a = scratch;
    for (int64_t t = 0; t < all; t += PATCHES) {
        int32_t rows = (int32_t)(all - t < PATCHES ? all - t : PATCHES);
        for (int32_t g = 0; g < c->groups; g++) {
            patch.c0 = g * patch.cg;
            for (int32_t j = 0; j < rows; j += patch.rows) { /* pieces of output rows */
                int64_t at = t + j, cell = at % per_image;
                int32_t p = (int32_t)(cell / c->q), q = (int32_t)(cell % c->q);
                patch.rows = c->q - q < rows - j ? c->q - q : rows - j;
                patch.x.base = (uint8_t *)(uintptr_t)in[0] + at / per_image * image;
                patch.h0 = p * c->stride_h - c->pad_top;
                patch.w0 = q * patch.stride_w - c->pad_left;
                patch.out = (int16_t *)scratch + j * patch.pitch;
                k->patch_u8s16(&patch);
            }
            dot.rows = rows;
            dot.w = c->dot.w + g * group_w;
            dot.b = c->dot.b + (int64_t)g * dot.cols;
            dot.m = c->dot.m + (int64_t)g * dot.cols;
            dot.y = (uint8_t *)out + t * c->o + (int64_t)g * dot.cols;
            k->dot_s16u8(&dot);
        }
    }
}

static void run_depthwise(const octi_qrun *r, const void *const *in, void *out, int64_t n,
                          void *scratch) {
    octk_dw_u8s16 d = r->u.conv.dw;
    (void)scratch;
    d.x.base = (uint8_t *)(uintptr_t)in[0];
    d.y.base = out;
    d.n = (int32_t)n;
    r->kernels->dw_u8s16(&d);
}

/* |b| + sum|w| * max|q - z| <= 2^31 - 1 for every output channel, and its multiplier is sound. */
static oct_status prove(const octi_qargs *q, int64_t o, int64_t k) {
    const int8_t *w = oct_s8(q->in[1].tensor);
    const int32_t *b = oct_s32(q->in[2].tensor);
    for (int64_t j = 0; j < o; j++) {
        int64_t sum = 0, bound;
        for (int64_t i = 0; i < k; i++) sum += w[j * k + i] < 0 ? -w[j * k + i] : w[j * k + i];
        bound = sum * octi_reach(&q->in[0]) + (b[j] < 0 ? -(int64_t)b[j] : b[j]);
        if (bound > INT32_MAX)
            return octi_fail(OCT_ELIMIT, q->where,
                             octi_fmt("the accumulator of channel %lld may overflow", (long long)j),
                             "|b| + sum|w| * max|q - z| <= 2147483647",
                             octi_fmt("%lld", (long long)bound),
                             "give the layer more scale, or keep it float");
        OCT_TRY(octi_need_multiplier(q, 3, j, bound));
    }
    return OCT_OK;
}

static int16_t *pack_rows(const octi_qargs *q, int64_t o, int64_t k) {
    const int8_t *w = oct_s8(q->in[1].tensor);
    size_t count;
    int16_t *packed = octi_mul_size((size_t)o, (size_t)pitch_of(k), &count)
                          ? octi_arena_calloc(q->arena, count, sizeof *packed)
                          : NULL;
    if (packed)
        for (int64_t j = 0; j < o; j++)
            for (int64_t i = 0; i < k; i++) packed[j * pitch_of(k) + i] = w[j * k + i];
    return packed;
}

static int16_t *pack_taps(const octi_qargs *q, int64_t c, int64_t taps) {
    const int8_t *w = oct_s8(q->in[1].tensor);
    int16_t *packed = octi_arena_calloc(q->arena, (size_t)(c * taps), sizeof *packed);
    if (packed)
        for (int64_t j = 0; j < c; j++)
            for (int64_t i = 0; i < taps; i++) packed[i * c + j] = w[j * taps + i];
    return packed;
}

typedef struct geometry {
    int32_t h, w, c, p, q, o, r, s, groups;
    int32_t stride[2], pads[4], dilation[2];
} geometry;

static oct_status prepare(const octi_qargs *q, const geometry *g) {
    octi_qrun *r = q->r;
    octi_qconv *c = &r->u.conv;
    const octi_qdesc *x = &q->in[0], *y = q->out;
    int64_t cg = g->c / g->groups, k = (int64_t)g->r * g->s * cg;
    OCT_TRY(octi_need_clamp(q));
    OCT_TRY(prove(q, g->o, k));
    const int32_t *b = oct_s32(q->in[2].tensor);
    const float *m = oct_f32(q->in[3].tensor);
    *c = (octi_qconv){.depthwise = g->groups > 1 && cg == 1 && g->o == g->c,
                      .p = g->p,
                      .q = g->q,
                      .o = g->o,
                      .groups = g->groups,
                      .stride_h = g->stride[0],
                      .pad_top = g->pads[0],
                      .pad_left = g->pads[1]};
    octk_image xi = {NULL, (int64_t)g->h * g->w * g->c, (int64_t)g->w * g->c, g->c};
    octk_image yi = {NULL, (int64_t)g->p * g->q * g->o, (int64_t)g->q * g->o, g->o};
    int16_t *packed = c->depthwise ? pack_taps(q, g->c, k) : pack_rows(q, g->o, k);
    if (!packed) return oct_last_error()->code;
    if (c->depthwise) {
        c->dw = (octk_dw_u8s16){.x = xi,
                                .y = yi,
                                .w = packed,
                                .b = b,
                                .m = m,
                                .zx = x->zero_point,
                                .zy = y->zero_point,
                                .lo = q->a->lo[0],
                                .hi = q->a->hi[0],
                                .h = g->h,
                                .w_in = g->w,
                                .c = g->c,
                                .p = g->p,
                                .q = g->q,
                                .r = g->r,
                                .s = g->s,
                                .stride_h = g->stride[0],
                                .stride_w = g->stride[1],
                                .pad_top = g->pads[0],
                                .pad_left = g->pads[1],
                                .dil_h = g->dilation[0],
                                .dil_w = g->dilation[1]};
        r->path = OCTI_PATH_qconv_depthwise;
        r->run = run_depthwise;
        r->kernel = r->kernels->name.dw_u8s16;
        return OCT_OK;
    }
    c->patch = (octk_patch_u8s16){.x = xi,
                                  .pitch = pitch_of(k),
                                  .h = g->h,
                                  .w_in = g->w,
                                  .cg = (int32_t)cg,
                                  .r = g->r,
                                  .s = g->s,
                                  .stride_w = g->stride[1],
                                  .dil_h = g->dilation[0],
                                  .dil_w = g->dilation[1],
                                  .zx = x->zero_point};
    c->dot = (octk_dot_s16u8){.w = packed,
                              .a_pitch = pitch_of(k),
                              .w_pitch = pitch_of(k),
                              .b = b,
                              .m = m,
                              .y_pitch = g->o,
                              .cols = g->o / g->groups,
                              .k = (int32_t)pitch_of(k),
                              .zy = y->zero_point,
                              .lo = q->a->lo[0],
                              .hi = q->a->hi[0]};
    r->scratch = (size_t)pitch_of(k) * PATCHES * sizeof(int16_t);
    r->path = g->groups > 1 ? OCTI_PATH_qconv_grouped : OCTI_PATH_qconv_whole;
    r->run = run_conv;
    r->kernel = r->kernels->name.dot_s16u8;
    return OCT_OK;
}

static oct_status check_operands(const octi_qargs *q, oct_shape w, int64_t o) {
    if (q->nin != 4)
        return octi_fail(OCT_EUSAGE, q->where, "inputs", "x, w, b, m", octi_fmt("%d", q->nin),
                         NULL);
    OCT_TRY(octi_need_codes(q, &q->in[0], "input"));
    OCT_TRY(octi_need_codes(q, q->out, "output"));
    OCT_TRY(octi_need_const(q, 1, "weight", OCT_S8, w));
    OCT_TRY(octi_need_const(q, 2, "bias", OCT_S32, OCT_SHAPE(o)));
    return octi_need_const(q, 3, "multiplier", OCT_F32, OCT_SHAPE(o));
}

oct_status octi_qinit_conv2d(const octi_qargs *q) {
    const oct_attrs *a = q->a;
    const oct_shape *x = &q->in[0].shape, *w = &q->in[1].shape;
    int64_t p, s;
    if (x->rank != 4 || w->rank != 4)
        return octi_fail(OCT_ESHAPE, q->where, "rank", "x [N,H,W,C], w [O,R,S,C/g]",
                         octi_fmt("%s and %s", oct_shape_text(x), oct_shape_text(w)), NULL);
    if (a->groups[0] < 1 || x->dim[3] < 1 || x->dim[3] > 1 << 24 || w->dim[0] < 1 ||
        w->dim[0] > 1 << 24 || x->dim[3] % a->groups[0] || w->dim[0] % a->groups[0])
        return octi_fail(OCT_EUSAGE, q->where, "groups", "a divisor of C and O",
                         octi_fmt("%d of C %lld, O %lld", a->groups[0], (long long)x->dim[3],
                                  (long long)w->dim[0]),
                         NULL);
    OCT_TRY(octi_window(q->where, "H", x->dim[1], a->pads[0], a->pads[2], a->kernel[0],
                        a->stride[0], a->dilation[0], &p));
    OCT_TRY(octi_window(q->where, "W", x->dim[2], a->pads[1], a->pads[3], a->kernel[1],
                        a->stride[1], a->dilation[1], &s));
    OCT_TRY(check_operands(
        q, OCT_SHAPE(w->dim[0], a->kernel[0], a->kernel[1], x->dim[3] / a->groups[0]), w->dim[0]));
    OCT_TRY(octi_need_shape(q, q->out, "output", OCT_SHAPE(OCT_BATCH, p, s, w->dim[0])));
    geometry g = {(int32_t)x->dim[1],
                  (int32_t)x->dim[2],
                  (int32_t)x->dim[3],
                  (int32_t)p,
                  (int32_t)s,
                  (int32_t)w->dim[0],
                  a->kernel[0],
                  a->kernel[1],
                  a->groups[0],
                  {a->stride[0], a->stride[1]},
                  {a->pads[0], a->pads[1], a->pads[2], a->pads[3]},
                  {a->dilation[0], a->dilation[1]}};
    return prepare(q, &g);
}

oct_status octi_qinit_linear(const octi_qargs *q) {
    const oct_shape *x = &q->in[0].shape, *w = &q->in[1].shape;
    if (x->rank != 2 || w->rank != 2 || x->dim[1] < 1 || x->dim[1] > 1 << 24 || w->dim[0] < 1 ||
        w->dim[0] > 1 << 24)
        return octi_fail(OCT_ESHAPE, q->where, "shapes", "x [N,K], w [O,K]",
                         octi_fmt("%s and %s", oct_shape_text(x), oct_shape_text(w)), NULL);
    OCT_TRY(check_operands(q, OCT_SHAPE(w->dim[0], x->dim[1]), w->dim[0]));
    OCT_TRY(octi_need_shape(q, q->out, "output", OCT_SHAPE(OCT_BATCH, w->dim[0])));
    geometry g = {1, 1,      (int32_t)x->dim[1], 1,     1, (int32_t)w->dim[0], 1, 1,
                  1, {1, 1}, {0, 0, 0, 0},       {1, 1}};
    return prepare(q, &g);
}
