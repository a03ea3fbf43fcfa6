/* SPDX-License-Identifier: MIT
 * Candidate `patches`: every output pixel's inputs gathered as a row of s16 (x - zx), weights row
 * by row, exact s32 sums. It fits every layer and is the specification of the others. */
#include "ops/qconv.h"
#include "src/mem.h"

/* rows per call of the product: enough to reuse weights from cache, few enough to stay in it */
enum { PATCHES = 32 };

typedef struct patches {
    octk_patch_u8s16 patch; /* base and out filled per call */
    octk_dot_s16u8 dot;
    octi_layout y;
} patches;

static int64_t pitch_of(int64_t k) { return (k + OCTK_K_STEP - 1) / OCTK_K_STEP * OCTK_K_STEP; }

/* Patches of group g into scratch: `count` pixels of row p from column q on, of image `image`. */
static void gather(const octi_qrun *r, const octi_qcall *call, int64_t image, int32_t p, int32_t q,
                   int32_t count, int32_t g, int64_t row) {
    const octi_qconv *c = r->u.conv;
    octk_patch_u8s16 patch = ((const patches *)r->own)->patch;
    patch.rows = count;
    patch.x.base = (uint8_t *)(uintptr_t)call->in[0] + image * patch.x.image;
    patch.h0 = p * c->stride[0] - c->pads[0];
    patch.w0 = q * c->stride[1] - c->pads[1];
    patch.c0 = g * patch.cg;
    patch.out = (int16_t *)call->scratch + row * patch.pitch;
    r->kernels->patch_u8s16(&patch);
}

static void multiply(const octi_qrun *r, const octi_qcall *call, int32_t rows, int32_t g,
                     uint8_t *y) {
    octk_dot_s16u8 dot = ((const patches *)r->own)->dot;
    const octi_span span = octi_channels(r->u.conv, call);
    const int64_t first = (int64_t)g * dot.cols + span.from;
    dot.cols = (span.to - span.from) / r->u.conv->groups;
    dot.a = call->scratch;
    dot.rows = rows;
    dot.w += first * dot.w_pitch;
    dot.b += first;
    dot.by = octi_records_at(&dot.by, first);
    dot.y = y + first;
    r->kernels->dot_s16u8(&dot);
}

/* Pieces of output rows, whose pixels stand one pitch apart; of images of one pixel, images. */
static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const octi_layout *y = &((const patches *)r->own)->y;
    const bool pixels = c->p == 1 && c->q == 1;
    const int64_t step = pixels ? PATCHES : 1;
    for (int64_t i = 0; i < call->n; i += step)
        for (int32_t p = call->from; p < call->to; p++)
            for (int32_t q = 0; q < c->q; q += PATCHES)
                for (int32_t g = 0; g < c->groups; g++) {
                    int32_t rows = c->q - q < PATCHES ? c->q - q : PATCHES;
                    if (pixels) rows = call->n - i < step ? (int32_t)(call->n - i) : PATCHES;
                    for (int32_t k = 0; k < (pixels ? rows : 1); k++)
                        gather(r, call, i + k, p, q, pixels ? 1 : rows, g, k);
                    multiply(r, call, rows, g,
                             (uint8_t *)call->out + i * y->image + (p - call->first) * y->row +
                                 q * y->pixel);
                }
}

static int16_t *pack_rows(const octi_qargs *q, const octi_qconv *c, int64_t k) {
    int16_t *packed = octi_arena_calloc(q->arena, (size_t)(c->o * pitch_of(k)), sizeof *packed);
    for (int64_t j = 0; packed && j < c->o; j++)
        for (int64_t i = 0; i < k; i++) packed[j * pitch_of(k) + i] = c->weight[j * k + i];
    return packed;
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    const int64_t cg = c->c / c->groups, k = (int64_t)c->r * c->s * cg;
    const octi_layout *x = &q->in_at[0];
    patches *own = octi_arena_alloc(q->arena, sizeof *own);
    int16_t *packed = pack_rows(q, c, k);
    if (!own || !packed) return oct_last_error()->code;
    own->y = *q->out_at;
    own->patch = (octk_patch_u8s16){.x = {NULL, x->image, x->row, x->pixel},
                                    .pitch = pitch_of(k),
                                    .h = c->h,
                                    .w_in = c->w,
                                    .cg = (int32_t)cg,
                                    .r = c->r,
                                    .s = c->s,
                                    .stride_w = c->stride[1],
                                    .dil_h = c->dilation[0],
                                    .dil_w = c->dilation[1],
                                    .zx = c->zx};
    own->dot = (octk_dot_s16u8){.w = packed,
                                .a_pitch = pitch_of(k),
                                .w_pitch = pitch_of(k),
                                .b = c->bias,
                                .by = c->by,
                                .y_pitch = c->p == 1 && c->q == 1 ? own->y.image : own->y.pixel,
                                .cols = c->o / c->groups,
                                .k = (int32_t)pitch_of(k),
                                .zy = c->zy,
                                .lo = c->lo,
                                .hi = c->hi};
    r->scratch = (size_t)pitch_of(k) * PATCHES * sizeof(int16_t);
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.dot_s16u8;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) { return (void)c, NULL; }
/* plain C: about five products a cycle, and gathering; weights from memory come slower */
static double cycles(const octi_qconv *c) {
    const double k = (double)c->r * c->s * (c->c / c->groups);
    return (double)c->p * c->q * (c->o * (k / 5 + 8) + k * c->groups) +
           1.5 * octi_weight_cycles(octi_weight_bytes(c), 4);
}

const octi_candidate octi_qconv_patches = {
    .name = "patches",
    .unfit = unfit,
    .cycles = cycles,
    .halo = octi_no_halo,
    .units = octi_row_units,
    .panels = octi_panels_of,
    .bind = bind,
};
