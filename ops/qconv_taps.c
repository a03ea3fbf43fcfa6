/* SPDX-License-Identifier: MIT
 * Candidate `taps`: depthwise layers (groups = C = O), channels as the vector, two taps at a
 * time. */
#include "ops/qconv.h"
#include "src/mem.h"

typedef struct taps {
    octk_dw_u8s16 kernel; /* bases, pitches of x and taps filled per call */
    octi_layout in;
    octi_halo need;
    int32_t count;
} taps;

/* What windows reach: pads, and at the far ends no more than the last one. */
static octi_halo halo(const octi_qconv *c) {
    const int32_t h = (c->p - 1) * c->stride[0] + (c->r - 1) * c->dilation[0] + 1 - c->pads[0],
                  w = (c->q - 1) * c->stride[1] + (c->s - 1) * c->dilation[1] + 1 - c->pads[1];
    return (octi_halo){c->pads[0], c->pads[1], h > c->h ? h - c->h : 0, w > c->w ? w - c->w : 0};
}

enum { MOST_TAPS = 1024 };

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const taps *own = r->own;
    octk_dw_u8s16 k = own->kernel;
    int64_t tap[MOST_TAPS + 1];
    k.tap = tap;
    k.p = call->to - call->from;
    for (int64_t i = 0; i < call->n; i++) {
        k.x = octi_framed(c, &own->in, &own->need, (const uint8_t *)call->in[0] + i * own->in.image,
                          call->scratch);
        for (int32_t t = 0; t < own->count; t++)
            tap[t] = t / c->s * c->dilation[0] * k.x.row + t % c->s * c->dilation[1] * k.x.pixel;
        tap[own->count] = 0; /* the odd last one's partner: its weights are 0 */
        k.x.base +=
            ((int64_t)call->from * c->stride[0] - c->pads[0]) * k.x.row - c->pads[1] * k.x.pixel;
        k.y.base = (uint8_t *)call->out + i * k.y.image + (call->from - call->first) * k.y.row;
        r->kernels->dw_u8s16(&k);
    }
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    const int32_t count = c->r * c->s, pairs = (count + 1) / 2;
    taps *own = octi_arena_alloc(q->arena, sizeof *own);
    int16_t *w = octi_arena_calloc(q->arena, (size_t)pairs * (size_t)c->c * 2, sizeof *w);
    int32_t *b = octi_arena_calloc(q->arena, (size_t)c->c, sizeof *b);
    if (!own || !w || !b) return oct_last_error()->code;
    for (int32_t j = 0; j < c->c; j++) {
        int32_t sum = 0;
        for (int32_t t = 0; t < count; t++) {
            const int8_t v = c->weight[(int64_t)j * count + t];
            w[((int64_t)(t / 2) * c->c + j) * 2 + t % 2] = v;
            sum += v;
        }
        b[j] = c->bias[j] - c->zx * sum;
    }
    const octi_layout *y = q->out_at;
    *own = (taps){.kernel = {.y = {NULL, y->image, y->row, y->pixel},
                             .w = w,
                             .b = b,
                             .by = c->by,
                             .zy = c->zy,
                             .lo = c->lo,
                             .hi = c->hi,
                             .n = 1,
                             .c = c->c,
                             .q = c->q,
                             .pairs = pairs,
                             .stride_h = c->stride[0],
                             .stride_w = c->stride[1]},
                  .in = q->in_at[0],
                  .need = halo(c),
                  .count = count};
    r->scratch = octi_frame_bytes(c, &own->in, &own->need);
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.dw_u8s16;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    if (c->groups < 2 || c->groups != c->c || c->o != c->c) return "not depthwise";
    if ((int64_t)c->r * c->s > MOST_TAPS) return "too many taps";
    if (octi_borders_too_wide(halo(c))) return "borders too wide to lay out";
    /* sums of x, not x - zx, have to fit too, and products before the clamp */
    if (c->largest_sum + 2 * 255 * c->largest_weight > INT32_MAX) return "sums of raw codes";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    return NULL;
}
static double cycles(const octi_qconv *c) {
    const double pixels = (double)c->p * c->q;
    return pixels * c->c / 16 * (14 + 3.5 * c->r * c->s) + (double)c->h * c->w * c->c / 16;
}

const octi_candidate octi_qconv_taps = {
    .name = "taps",
    .unfit = unfit,
    .cycles = cycles,
    .halo = halo,
    .units = octi_row_units,
    .bind = bind,
};
