/* SPDX-License-Identifier: MIT
 * Candidate `plane5x5`: images of one channel under 5x5 kernels of stride 1 and a pool, by exact
 * integer Winograd: of a code's 100 products 42 are left, and a tile of it is a lane
 * (ops/kernels/kernels.h). Tiles are taken from raw codes; the zero point goes into the bias, so
 * the padding is the zero point's code. */
#include "ops/qconv.h"
#include "src/cpu.h"
#include "src/mem.h"

enum {
    POINTS = OCTK_WINO1_POINTS,
    KERNEL = 5,
    FACTOR = 48,                   /* sums are so many times too large, */
    OVER = 16,                     /* and so many without the 3 */
    MOST = OCTK_PLANE5_TILES - 16, /* tiles: so many are written behind a row's */
    V_BYTES = POINTS * 4 * OCTK_PLANE5_TILES * 4
};

typedef struct plane5 {
    octk_plane5_u8s16 kernel; /* bases and pitches of x, base of y, v, codes, p filled per call */
    octi_layout in;
    octi_halo need;
    size_t frame;
} plane5;

/* Of whole pools. */
static octi_halo halo(const octi_qconv *c) {
    const int32_t h = c->p / 2 * 2 + KERNEL - 1 - c->pads[0] - c->h,
                  w = c->q / 2 * 2 + KERNEL - 1 - c->pads[1] - c->w;
    return (octi_halo){c->pads[0], c->pads[1], h > 0 ? h : 0, w > 0 ? w : 0};
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const plane5 *own = r->own;
    octk_plane5_u8s16 k = own->kernel;
    uint8_t *scratch = (uint8_t *)call->scratch + own->frame;
    k.v = (int32_t *)(void *)scratch;
    k.codes = scratch + V_BYTES;
    k.p = call->to - call->from;
    for (int64_t i = 0; i < call->n; i++) {
        k.x = octi_framed(c, &own->in, &own->need, (const uint8_t *)call->in[0] + i * own->in.image,
                          call->scratch);
        k.x.base += ((int64_t)2 * call->from - c->pads[0]) * k.x.row - c->pads[1];
        k.y.base = (uint8_t *)call->out + i * k.y.image + (call->from - call->first) * k.y.row;
        r->kernels->plane5_u8s16(&k);
    }
}

/* [channel][point][4][2] */
static oct_status pack(const octi_qargs *q, const octi_qconv *c, octk_plane5_u8s16 *k) {
    int16_t *u = octi_arena_alloc(q->arena, (size_t)c->o * POINTS * 8 * sizeof *u);
    int32_t *b = octi_arena_alloc(q->arena, (size_t)c->o * sizeof *b);
    if (!u || !b) return oct_last_error()->code;
    OCT_TRY(octi_new_records(q->arena, c->by.law, (size_t)c->o, &k->by));
    k->u = u;
    k->b = b;
    for (int32_t o = 0; o < c->o; o++) {
        const int8_t *w = c->weight + o * KERNEL * KERNEL;
        int32_t sum = 0;
        for (int32_t i = 0; i < KERNEL * KERNEL; i++) sum += w[i];
        for (int32_t i = 0; i < POINTS; i++, u += 8) {
            int32_t t[KERNEL] = {0};
            for (int32_t j = 0; j < KERNEL * KERNEL; j++)
                t[j / KERNEL] += octi_wino1_weights[i][j % KERNEL] * w[j];
            const int32_t made[] = {
                2 * t[0],           2 * t[3],          2 * t[2],           2 * t[4],
                t[0] + t[1] + t[2], 2 * (t[3] + t[4]), t[0] - t[1] + t[2], 0};
            for (int32_t j = 0; j < 8; j++) u[j] = (int16_t)made[j];
        }
        /* of raw codes; everything is modulo 2^32 until the last step */
        b[o] = (int32_t)(FACTOR * ((uint32_t)c->bias[o] - (uint32_t)c->zx * (uint32_t)sum));
        octi_put_record(&c->by, o, &k->by, o, OVER);
    }
    return OCT_OK;
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    const octi_layout *y = q->out_at;
    plane5 *own = octi_arena_alloc(q->arena, sizeof *own);
    if (!own) return oct_last_error()->code;
    *own = (plane5){.kernel = {.y = {NULL, y->image, y->row, y->pixel},
                               .q = c->q / 2,
                               .o = c->o,
                               .zy = c->zy,
                               .lo = c->lo,
                               .hi = c->hi,
                               .small = octi_small_sums(c, FACTOR, OVER)},
                    .in = q->in_at[0],
                    .need = halo(c)};
    OCT_TRY(pack(q, c, &own->kernel));
    own->frame = octi_frame_bytes(c, &own->in, &own->need);
    /* vectors of eight tiles, records of eight channels */
    r->scratch = own->frame + V_BYTES + (size_t)OCTK_PLANE5_TILES * (size_t)c->o + 8;
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.plane5_u8s16;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    if (c->c != 1) return "several channels";
    if (c->pool < 2) return "no pool behind it";
    if (c->r != KERNEL || c->s != KERNEL || c->stride[0] != 1 || c->stride[1] != 1 ||
        c->dilation[0] != 1 || c->dilation[1] != 1)
        return "not 5x5, or not of stride 1";
    if (c->q / 2 > MOST) return "rows too wide";
    if (octi_borders_too_wide(halo(c))) return "borders too wide to lay out";
    if (c->largest_output * FACTOR > INT32_MAX) return "sums too large";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    if (c->least_m < 0x1p-100f) return "a multiplier too small to divide";
    return NULL;
}

/* Sixteen tiles transformed, eight of them by a channel, the codes of eight. Measured on a Sapphire
 * Rapids. */
static double cycles(const octi_qconv *c) {
    const double units = octi_row_units(c), wide = c->q / 2;
    const int32_t tiles = octi_row_units(c) * (c->q / 2);
    return units * ((c->q / 2 + 15) / 16) * 70 + wide / 8 +
           (tiles + 7) / 8 * (c->o * 28.0 + (c->o + 7) / 8 * 20) + 100;
}

/* On 512 bits VPDPWSSD is faster. */
static bool offered(const octk_table *kernels) {
    return kernels->needs.plane5_u8s16 && !(kernels->needs.plane_u8s16 & OCTI_CPU_AVX512VNNI);
}

const octi_candidate octi_qconv_plane5x5 = {
    .name = "plane5x5",
    .offered = offered,
    .unfit = unfit,
    .cycles = cycles,
    .halo = halo,
    .units = octi_row_units,
    .bind = bind,
    .pools = true,
};
