/* SPDX-License-Identifier: MIT
 * Candidates `winograd1x5` and `winograd1x3`: exact integer Winograd F(2,5) and F(4,3) along the
 * width, for kernels R x 5 and R x 3 of stride 1: three fifths, or half, of the products
 * (ops/kernels/kernels.h has matrices and bounds). What the rows of a column of tiles are at one
 * point lies together, so that an output row's values follow each other from its first row on.
 * Tiles are taken from raw codes; the zero point goes into the bias, so the padding is the zero
 * point's code. */
#include "ops/qconv.h"

#include <math.h>

#include "src/cpu.h"
#include "src/mem.h"

enum { POINTS = OCTK_WINO1_POINTS };

typedef struct form { /* F(tile, taps) */
    int32_t tile, taps;
} form;
static const form F5 = {2, 5}, F3 = {4, 3};

const int16_t octi_wino1_weights[POINTS][5] = {{6, 0, 0, 0, 0},    {-4, -4, -4, -4, -4},
                                               {-4, 4, -4, 4, -4}, {1, 2, 4, 8, 16},
                                               {1, -2, 4, -8, 16}, {0, 0, 0, 0, 24}};
enum { FACTOR = 24, OVER = 8 }; /* sums are so many times too large, and so many without the 3 */

enum { /* bytes of strips: the second-level cache keeps them beside a panel's weights; where it does
          not keep all weights these come once for a block of strips */
       V_BYTES = 96 << 10,
       WIDE_BYTES = 336 << 10,
       FEW_TILES = 8 /* side by side: cells that two of them share are widened once */
};

/* Tiles of a row of outputs. */
static int32_t tiles_of(const form *f, const octi_qconv *c) {
    return (c->q / c->pool * c->pool + f->tile - 1) / f->tile;
}

/* Whole tiles. */
static octi_halo halo(const form *f, const octi_qconv *c) {
    const int32_t h = c->p - 1 + c->r - c->pads[0] - c->h,
                  w = (c->q + f->tile - 1) / f->tile * f->tile + f->taps - 1 - c->pads[1] - c->w;
    return (octi_halo){c->pads[0], c->pads[1], h > 0 ? h : 0, w > 0 ? w : 0};
}

/* Input rows of so many units. */
static int32_t rows_of(const octi_qconv *c, int32_t units) { return units * c->pool + c->r - 1; }

/* A strip's elements, and what is written behind it. */
static int64_t strip_of(const octi_qconv *c, int32_t units) {
    return ((int64_t)rows_of(c, units) * c->c + 15 + 15) / 16 * 16;
}

/* Pairs of what an output row reads. */
static int32_t steps_of(const octi_qconv *c) { return (c->r * c->c + 1) / 2; }

/* A block: units, and tiles of each. */
typedef struct cut {
    int32_t band, tiles;
} cut;
static cut cut_of(const form *f, const octi_qconv *c) {
    const int64_t most = octi_weight_bytes(c) > OCTI_CACHED_WEIGHTS ? WIDE_BYTES : V_BYTES,
                  points = POINTS * (int64_t)sizeof(int16_t), all = tiles_of(f, c);
    cut k = {.band = octi_row_units(c)};
    while (k.band > 1 && FEW_TILES * points * strip_of(c, k.band) > most) k.band = (k.band + 1) / 2;
    const int64_t tiles = most / (points * strip_of(c, k.band));
    k.tiles = (int32_t)(tiles < 1 ? 1 : tiles < all ? tiles : all);
    return k;
}

typedef struct winograd1 {
    const form *f;
    octk_wino1_s16u8 kernel; /* v, u, b, by, y, p, q, o filled per call */
    octi_layout in, out;
    octi_halo need;
    cut block;
    size_t frame;
} winograd1;

/* k->p units from p on, of the tiles from t on: x at the first of all tiles. */
static void block(const octi_qrun *r, octk_wino1_s16u8 *k, const octk_image *x, int32_t p,
                  int32_t t, int16_t *v) {
    const octi_qconv *c = r->u.conv;
    const winograd1 *own = r->own;
    const int32_t left = tiles_of(own->f, c) - t, wide = own->f->tile / c->pool;
    const octk_wino1_in_u8s16 in = {.x = x->base + (int64_t)p * c->pool * x->row +
                                         (int64_t)t * own->f->tile * x->pixel,
                                    .row = x->row,
                                    .pixel = x->pixel,
                                    .v = v,
                                    .v_tile = k->v_tile,
                                    .v_point = k->v_point,
                                    .rows = rows_of(c, k->p),
                                    .tiles = left < own->block.tiles ? left : own->block.tiles,
                                    .tile = own->f->tile,
                                    .c = c->c};
    const octk_wino1_s16u8 before = *k;
    k->v = v;
    k->q = left > own->block.tiles ? own->block.tiles * wide : c->q / c->pool - t * wide;
    k->y.base += (int64_t)t * wide * k->y.pixel;
    r->kernels->wino1_in_u8s16(&in);
    r->kernels->wino1_s16u8(k);
    *k = before;
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const winograd1 *own = r->own;
    octk_wino1_s16u8 k = own->kernel;
    int16_t *v = (int16_t *)(void *)((uint8_t *)call->scratch + own->frame);
    const octi_span span = octi_channels(c, call);
    k.u += (int64_t)span.from * POINTS * k.steps * 2;
    k.b += span.from;
    k.by = octi_records_at(&k.by, span.from);
    k.o = span.to - span.from;
    for (int64_t i = 0; i < call->n; i++) {
        octk_image x = octi_framed(c, &own->in, &own->need,
                                   (const uint8_t *)call->in[0] + i * own->in.image, call->scratch);
        x.base -= c->pads[0] * x.row + c->pads[1] * x.pixel;
        for (int32_t p = call->from; p < call->to; p += own->block.band) {
            k.p = call->to - p < own->block.band ? call->to - p : own->block.band;
            k.y.base =
                (uint8_t *)call->out + i * own->out.image + (p - call->first) * k.y.row + span.from;
            for (int32_t t = 0; t < tiles_of(own->f, c); t += own->block.tiles)
                block(r, &k, &x, p, t, v);
        }
    }
}

/* u of one tap row and input: `step` from one point to the next. */
static void weights_in(const form *f, const int8_t *w, int64_t tap, int16_t *u, int64_t step) {
    for (int32_t i = 0; i < POINTS; i++) {
        int32_t sum = i == POINTS - 1 ? FACTOR * w[(f->taps - 1) * tap] : 0;
        for (int32_t k = 0; k < f->taps && i < POINTS - 1; k++)
            sum += octi_wino1_weights[i][k] * w[k * tap];
        u[i * step] = (int16_t)sum;
    }
}

/* [panel][point][pair][lane][2] */
static oct_status pack(const octi_qargs *q, const octi_qconv *c, winograd1 *own) {
    octk_wino1_s16u8 *k = &own->kernel;
    const int32_t lanes = octi_panels_of(c) * OCTI_PANEL, depth = c->r * c->c;
    const int64_t point = (int64_t)k->steps * 32;
    int16_t *u =
        octi_arena_calloc(q->arena, (size_t)lanes / 16 * POINTS * (size_t)point, sizeof *u);
    int32_t *b = octi_arena_calloc(q->arena, (size_t)lanes, sizeof *b);
    if (!u || !b) return oct_last_error()->code;
    OCT_TRY(octi_new_records(q->arena, c->by.law, (size_t)lanes, &k->by));
    for (int32_t l = 0; l < lanes; l++) {
        const int32_t o = octk_lane_channel(lanes, l);
        if (o >= c->o) continue;
        const int8_t *w = c->weight + (int64_t)o * depth * own->f->taps;
        int32_t sum = 0;
        for (int32_t i = 0; i < depth * own->f->taps; i++) sum += w[i];
        for (int32_t i = 0; i < depth; i++)
            weights_in(own->f, w + (int64_t)i / c->c * own->f->taps * c->c + i % c->c, c->c,
                       u + l / 16 * POINTS * point + i / 2 * 32 + l % 16 * 2 + i % 2, point);
        /* of raw codes; everything is modulo 2^32 until the last step */
        b[l] = (int32_t)(FACTOR * ((uint32_t)c->bias[o] - (uint32_t)c->zx * (uint32_t)sum));
        octi_put_record(&c->by, o, &k->by, l, OVER);
    }
    k->u = u;
    k->b = b;
    return OCT_OK;
}

static oct_status bind(const octi_qargs *q, const form *f) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    winograd1 *own = octi_arena_alloc(q->arena, sizeof *own);
    if (!own) return oct_last_error()->code;
    *own = (winograd1){.f = f,
                       .kernel = {.y = {NULL, q->out_at->image, q->out_at->row, q->out_at->pixel},
                                  .v_row = c->c,
                                  .tile = f->tile,
                                  .steps = steps_of(c),
                                  .zy = c->zy,
                                  .lo = c->lo,
                                  .hi = c->hi,
                                  .pooled = c->pool > 1,
                                  .small = octi_small_sums(c, FACTOR, OVER)},
                       .in = q->in_at[0],
                       .out = *q->out_at,
                       .need = halo(f, c),
                       .block = cut_of(f, c)};
    own->kernel.v_tile = strip_of(c, own->block.band);
    own->kernel.v_point = own->block.tiles * own->kernel.v_tile;
    OCT_TRY(pack(q, c, own));
    own->frame = octi_frame_bytes(c, &own->in, &own->need);
    r->scratch = own->frame + (size_t)(POINTS * own->kernel.v_point) * sizeof(int16_t);
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.wino1_s16u8;
    return OCT_OK;
}

static const char *unfit(const form *f, const octi_qconv *c) {
    if (c->s != f->taps || c->stride[0] != 1 || c->stride[1] != 1 || c->dilation[0] != 1 ||
        c->dilation[1] != 1 || c->groups != 1)
        return "not as wide, or not of stride 1";
    if (octi_borders_too_wide(halo(f, c))) return "borders too wide to lay out";
    if (c->largest_output * FACTOR > INT32_MAX) return "sums too large";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    if (c->least_m < 0x1p-100f) return "a multiplier too small to divide";
    if ((int64_t)c->r * c->c * c->o > 1 << 22) return "weights too large to transform";
    return NULL;
}

/* What a kernel costs, in cycles. */
typedef struct cost {
    uint32_t needs;
    double cells;   /* a tile's row of 16 channels, transformed */
    double step;    /* a window's pair by 16 outputs, at one point */
    double ends[2]; /* a window's by 16 outputs: of tiles of two, of four */
    double byte;    /* of weights that come from memory, for each block */
} cost;

/* Measured on a Sapphire Rapids, on 31 layers, within a tenth; of a Zen 3 its rate by what `rows`
 * reaches there, not measured. */
static double cycles(const form *f, const octi_qconv *c) {
    static const cost costs[] = {
        {0, 8, 1.43, {35, 45}, 0.36},
        {OCTI_CPU_AVX2 | OCTI_CPU_ZEN, 8, 1.2, {35, 45}, 0.25},
    };
    const cost *k = costs;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (octi_cost_counts(c, costs[i].needs, c->kernels->needs.wino1_s16u8)) k = &costs[i];
    const cut block = cut_of(f, c);
    const int32_t units = octi_row_units(c), bands = (units + block.band - 1) / block.band;
    const double tiles = tiles_of(f, c), panels = octi_panels_of(c),
                 rows = (double)units * c->pool + (double)bands * (c->r - 1),
                 blocks = c->c <= 8 ? 0.5 : (c->c + 15) / 16, windows = tiles * units * c->pool,
                 passes = bands * ceil(tiles / block.tiles),
                 bytes = panels * POINTS * steps_of(c) * 64;
    return tiles * rows * blocks * k->cells +
           windows * panels * (POINTS * steps_of(c) * k->step + k->ends[f->tile / 4]) +
           (octi_weight_bytes(c) > OCTI_CACHED_WEIGHTS ? bytes * passes * k->byte : 0);
}

static bool offered(const octk_table *kernels) { return kernels->needs.wino1_s16u8; }

#define CANDIDATE(taps)                                                                            \
    static const char *unfit##taps(const octi_qconv *c) { return unfit(&F##taps, c); }             \
    static double cycles##taps(const octi_qconv *c) { return cycles(&F##taps, c); }                \
    static octi_halo halo##taps(const octi_qconv *c) { return halo(&F##taps, c); }                 \
    static oct_status bind##taps(const octi_qargs *q) { return bind(q, &F##taps); }                \
    const octi_candidate octi_qconv_winograd1x##taps = {.name = "winograd1x" #taps,                \
                                                        .offered = offered,                        \
                                                        .unfit = unfit##taps,                      \
                                                        .cycles = cycles##taps,                    \
                                                        .halo = halo##taps,                        \
                                                        .units = octi_row_units,                   \
                                                        .panels = octi_panels_of,                  \
                                                        .bind = bind##taps,                        \
                                                        .pools = true};
CANDIDATE(5)
CANDIDATE(3)
