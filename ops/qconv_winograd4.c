/* SPDX-License-Identifier: MIT
 * Candidate `winograd4`: exact integer Winograd F(4x4,3x3) for 3x3 kernels of stride 1, a quarter
 * of the products (ops/kernels/kernels.h has matrices and bounds). Tiles are
 * taken from raw codes; the zero point goes into the bias, so the padding is the zero point's
 * code. */
#include "ops/qconv.h"

#include <string.h>

#include "src/mem.h"

enum { G = OCTK_WINO_GROUP, MOST_GROUPS = 2 };

typedef struct winograd {
    const int16_t *u; /* a panel of 16 outputs after the other: [36][C/2][16][2] */
    const int32_t *b;
    const float *scale;
    octi_layout in, out;
    octi_halo need;
    int32_t blocks, panels, tiles_h, tiles_w, groups; /* groups of tiles at a time */
    size_t frame, v, m;                               /* bytes of scratch */
} winograd;

static int32_t tiles_of(int32_t size) { return (size + 3) / 4; }

/* Whole tiles: six cells each, four apart. */
static octi_halo halo(const octi_qconv *c) {
    const int32_t h = tiles_of(c->p) * 4 + 2 - c->pads[0] - c->h,
                  w = tiles_of(c->q) * 4 + 2 - c->pads[1] - c->w;
    return (octi_halo){c->pads[0], c->pads[1], h > 0 ? h : 0, w > 0 ? w : 0};
}
static int32_t units(const octi_qconv *c) { return tiles_of(c->p); }

/* Tiles t to t + count of the tile rows that are asked for, gone through row by row. */
typedef struct cursor {
    int32_t row, column;
} cursor;

static void transform(const octi_qrun *r, const winograd *own, const octk_image *x, cursor at,
                      int32_t count, int16_t *v) {
    octk_wino_in_u8s16 k = {.row = x->row,
                            .pixel = x->pixel,
                            .place = (int64_t)own->blocks * G * 16,
                            .group = (int64_t)36 * own->blocks * G * 16};
    for (int32_t t = 0; t < count; at.row++, at.column = 0) {
        k.count = own->tiles_w - at.column < count - t ? own->tiles_w - at.column : count - t;
        k.t = t;
        for (int32_t b = 0; b < own->blocks; b++) {
            k.x = x->base + at.row * 4 * x->row + at.column * 4 * x->pixel + b * 16;
            k.v = v + b * G * 16;
            r->kernels->wino_in_u8s16(&k);
        }
        t += k.count;
    }
}

/* A tile that reaches beyond the image, or fewer than 16 channels: by way of a block. */
static void put_part(const octi_qrun *r, octk_wino_out_s32u8 *k, int32_t rows, int32_t columns,
                     int32_t channels) {
    uint8_t block[16 * 16], *y = k->y;
    const int64_t row = k->row, pixel = k->pixel;
    k->y = block;
    k->row = 64;
    k->pixel = 16;
    r->kernels->wino_out_s32u8(k);
    for (int32_t i = 0; i < rows; i++)
        for (int32_t j = 0; j < columns; j++)
            memcpy(y + i * row + j * pixel, block + i * 64 + j * 16, (size_t)channels);
    k->row = row;
    k->pixel = pixel;
}

static void put(const octi_qrun *r, const winograd *own, const int32_t *m, cursor at, int32_t count,
                int32_t panel, uint8_t *y) {
    const octi_qconv *c = r->u.conv;
    const int32_t channels = c->o - panel * 16 < 16 ? c->o - panel * 16 : 16;
    octk_wino_out_s32u8 k = {.b = own->b + panel * 16,
                             .scale = own->scale + panel * 16,
                             .row = own->out.row,
                             .pixel = own->out.pixel,
                             .zy = c->zy,
                             .lo = c->lo,
                             .hi = c->hi};
    for (int32_t t = 0; t < count; t++) {
        const int32_t rows = c->p - at.row * 4 < 4 ? c->p - at.row * 4 : 4,
                      columns = c->q - at.column * 4 < 4 ? c->q - at.column * 4 : 4;
        k.m = m + (int64_t)(t / G) * 36 * G * 16 + t % G * 16;
        k.y = y + at.row * 4 * k.row + at.column * 4 * k.pixel + panel * 16;
        if (rows == 4 && columns == 4 && channels == 16)
            r->kernels->wino_out_s32u8(&k);
        else
            put_part(r, &k, rows, columns, channels);
        if (++at.column == own->tiles_w) at.row++, at.column = 0;
    }
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const winograd *own = r->own;
    uint8_t *scratch = call->scratch;
    int16_t *v = (int16_t *)(void *)(scratch + own->frame);
    int32_t *m = (int32_t *)(void *)(scratch + own->frame + own->v);
    const int32_t step = own->groups * G, first = call->from * own->tiles_w,
                  end = call->to * own->tiles_w;
    const int64_t panel_u = (int64_t)36 * own->blocks * 16 * 16;
    for (int64_t i = 0; i < call->n; i++) {
        octk_image x = octi_framed(c, &own->in, &own->need,
                                   (const uint8_t *)call->in[0] + i * own->in.image, scratch);
        x.base -= c->pads[0] * x.row + c->pads[1] * x.pixel;
        for (int32_t t = first; t < end; t += step) {
            const int32_t count = end - t < step ? end - t : step;
            const cursor at = {t / own->tiles_w, t % own->tiles_w};
            transform(r, own, &x, at, count, v);
            for (int32_t panel = 0; panel < own->panels; panel++) {
                for (int32_t g = 0; g * G < count; g++)
                    r->kernels->wino_mul_s16(count - g * G < G ? count - g * G : G, own->blocks,
                                             v + (int64_t)g * 36 * own->blocks * G * 16,
                                             own->u + panel * panel_u,
                                             m + (int64_t)g * 36 * G * 16);
                put(r, own, m, at, count, panel, (uint8_t *)call->out + i * own->out.image);
            }
        }
    }
}

/* u = V g V^T with the scaled rows of V: at most 144 * 128 in size. */
static oct_status pack(const octi_qargs *q, const octi_qconv *c, winograd *own) {
    static const int32_t V[6][3] = {{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4},
                                    {1, 2, 4}, {1, -2, 4},   {0, 0, 3}};
    const int32_t lanes = own->panels * 16;
    int16_t *u = octi_arena_calloc(q->arena, (size_t)36 * (size_t)own->blocks * 16 * (size_t)lanes,
                                   sizeof *u);
    int32_t *bias = octi_arena_calloc(q->arena, (size_t)c->o, sizeof *bias);
    int32_t *b = octi_arena_calloc(q->arena, (size_t)lanes, sizeof *b);
    float *scale = octi_arena_calloc(q->arena, (size_t)lanes, sizeof *scale);
    if (!u || !bias || !b || !scale) return oct_last_error()->code;
    for (int32_t l = 0; l < lanes; l++) {
        const int32_t o = octk_lane_channel(lanes, l);
        if (o >= c->o) continue;
        int16_t *panel = u + (int64_t)(l / 16) * 36 * own->blocks * 16 * 16;
        int32_t sum = 0;
        for (int32_t i = 0; i < c->c; i++) {
            const int8_t *g = c->weight + (int64_t)o * 9 * c->c + i;
            for (int32_t p = 0; p < 36; p++) {
                int32_t a = 0;
                for (int32_t k = 0; k < 9; k++)
                    a += V[p / 6][k / 3] * V[p % 6][k % 3] * g[(int64_t)k * c->c];
                panel[(((int64_t)p * own->blocks * 8 + i / 2) * 16 + l % 16) * 2 + i % 2] =
                    (int16_t)a;
            }
            for (int32_t k = 0; k < 9; k++) sum += g[(int64_t)k * c->c];
        }
        /* of raw codes; everything is modulo 2^32 until the last step */
        b[l] = (int32_t)(576u * ((uint32_t)c->bias[o] - (uint32_t)c->zx * (uint32_t)sum));
        scale[l] = c->m[o] / 64;
    }
    own->u = u;
    own->b = b;
    own->scale = scale;
    return OCT_OK;
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    winograd *own = octi_arena_calloc(q->arena, 1, sizeof *own);
    if (!own) return oct_last_error()->code;
    *own = (winograd){.in = q->in_at[0],
                      .out = *q->out_at,
                      .need = halo(c),
                      .blocks = (c->c + 15) / 16,
                      .panels = (c->o + 15) / 16,
                      .tiles_h = tiles_of(c->p),
                      .tiles_w = tiles_of(c->q),
                      .groups = c->c <= 128 ? MOST_GROUPS : 1};
    OCT_TRY(pack(q, c, own));
    own->frame = octi_frame_bytes(c, &own->in, &own->need);
    own->v = (size_t)own->groups * 36 * (size_t)own->blocks * G * 16 * sizeof(int16_t);
    own->m = (size_t)own->groups * 36 * G * 16 * sizeof(int32_t);
    r->scratch = own->frame + own->v + own->m;
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.wino_mul_s16;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    if (c->r != 3 || c->s != 3 || c->stride[0] != 1 || c->stride[1] != 1 || c->dilation[0] != 1 ||
        c->dilation[1] != 1 || c->groups != 1)
        return "not 3x3 of stride 1";
    if (c->pads[0] > 2 || c->pads[1] > 2 || c->pads[2] > 2 || c->pads[3] > 2) return "pads over 2";
    if (c->largest_sum >= 1 << 25) return "a sum may reach 2^25";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    if (c->least_m < 0x1p-100f) return "a multiplier too small to divide by 64";
    if ((int64_t)c->c * c->o > 1 << 22) return "weights too large to transform";
    return NULL;
}

/* Per tile: transforms of 16 channels 83 and 175 cycles, 36 products at 25 a cycle. */
static double cycles(const octi_qconv *c) {
    const double tiles = (double)tiles_of(c->p) * tiles_of(c->q), blocks = (c->c + 15) / 16,
                 panels = (c->o + 15) / 16;
    return tiles * (blocks * 83 + panels * 175 + blocks * panels * 36 * 256 / 25.0);
}

const octi_candidate octi_qconv_winograd4 = {
    .name = "winograd4",
    .needs = OCTI_CPU_AVX2 | OCTI_CPU_FMA,
    .unfit = unfit,
    .cycles = cycles,
    .halo = halo,
    .units = units,
    .bind = bind,
};
