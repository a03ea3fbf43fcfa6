/* SPDX-License-Identifier: MIT
 * Candidate `plane`: images of one channel, stride 1 across. Pixels are the vector, so that few
 * output channels leave no lane empty and codes are read where they lie, their borders too. */
#include "ops/qconv.h"
#include "src/cpu.h"
#include "src/mem.h"

enum { MOST_TAPS = 1024 };

typedef struct plane {
    octk_plane_u8s16 kernel; /* bases and pitches of x filled per call */
    octi_layout in;
    octi_halo need;
} plane;

/* What windows reach; vectors go on into the next row, or slack. */
static octi_halo halo(const octi_qconv *c) {
    const int32_t h = (c->p - 1) * c->stride[0] + (c->r - 1) * c->dilation[0] + 1 - c->pads[0],
                  w = c->q - 1 + c->s - c->pads[1];
    return (octi_halo){c->pads[0], c->pads[1], h > c->h ? h - c->h : 0, w > c->w ? w - c->w : 0};
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const plane *own = r->own;
    octk_plane_u8s16 k = own->kernel;
    k.p = call->to - call->from;
    for (int64_t i = 0; i < call->n; i++) {
        k.x = octi_framed(c, &own->in, &own->need, (const uint8_t *)call->in[0] + i * own->in.image,
                          call->scratch);
        k.x.base += ((int64_t)call->from * c->pool * c->stride[0] - c->pads[0]) * k.x.row -
                    c->pads[1] * k.x.pixel;
        k.y.base = (uint8_t *)call->out + i * k.y.image + (call->from - call->first) * k.y.row;
        r->kernels->plane_u8s16(&k);
    }
}

static int32_t lanes_of(const octi_qconv *c) {
    int32_t lanes = 0;
    for (int32_t o = 0; o < c->o; o += octk_plane_lanes(c->o - o))
        lanes += octk_plane_lanes(c->o - o);
    return lanes;
}

/* Where taps stand: neighbours of each kernel row, then what an odd one has left of a row, alone;
 * but of two rows these two, one below the other, last of all. */
typedef struct pairs {
    int32_t beside, down; /* such pairs */
} pairs;
static pairs pairs_of(const octi_qconv *c) {
    const int32_t down = c->s > 1 && c->s % 2 ? c->r / 2 : 0;
    return (pairs){c->r * ((c->s + 1) / 2) - 2 * down, down};
}
typedef struct place {
    int32_t pair, second;
} place;
static place place_of(const octi_qconv *c, int32_t tap) {
    const int32_t row = tap / c->s, column = tap % c->s, half = c->s / 2;
    const pairs all = pairs_of(c);
    if (column < 2 * half) return (place){row * half + column / 2, column % 2};
    if (row < 2 * all.down) return (place){all.beside + row / 2, row % 2};
    return (place){c->r * half + row - 2 * all.down, 0};
}

/* [panel][pair][lane][2] */
static oct_status pack(const octi_qargs *q, const octi_qconv *c, octk_plane_u8s16 *k) {
    const int32_t all = lanes_of(c);
    int16_t *w = octi_arena_calloc(q->arena, (size_t)all * (size_t)k->pairs * 2, sizeof *w);
    int32_t *b = octi_arena_calloc(q->arena, (size_t)all, sizeof *b);
    if (!w || !b) return oct_last_error()->code;
    OCT_TRY(octi_new_records(q->arena, c->by.law, (size_t)all, &k->by));
    k->w = w;
    k->b = b;
    int32_t lanes;
    for (int32_t first = 0, lane = 0; first < c->o; first += lanes, lane += lanes) {
        lanes = octk_plane_lanes(c->o - first);
        for (int32_t j = 0; j < lanes && first + j < c->o; j++) {
            const int8_t *from = c->weight + (int64_t)(first + j) * c->r * c->s;
            int32_t sum = 0;
            for (int32_t t = 0; t < c->r * c->s; t++) {
                const place at = place_of(c, t);
                w[((int64_t)lane * k->pairs + (int64_t)at.pair * lanes + j) * 2 + at.second] =
                    from[t];
                sum += from[t];
            }
            b[lane + j] = (int32_t)((uint32_t)c->bias[first + j] - (uint32_t)c->zx * (uint32_t)sum);
            octi_put_record(&c->by, first + j, &k->by, lane + j, 1);
        }
    }
    return OCT_OK;
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    const pairs all = pairs_of(c);
    const octi_layout *y = q->out_at;
    plane *own = octi_arena_alloc(q->arena, sizeof *own);
    int64_t *tap = octi_arena_alloc(q->arena, (size_t)(all.beside + all.down) * sizeof *tap);
    if (!own || !tap) return oct_last_error()->code;
    *own = (plane){.in = q->in_at[0], .need = halo(c)};
    const octk_image x = octi_frame_pitches(c, &own->in, &own->need);
    own->kernel = (octk_plane_u8s16){.y = {NULL, y->image, y->row, y->pixel},
                                     .tap = tap,
                                     .zy = c->zy,
                                     .lo = c->lo,
                                     .hi = c->hi,
                                     .below = c->dilation[0] * x.row,
                                     .q = c->q / c->pool,
                                     .o = c->o,
                                     .pairs = all.beside + all.down,
                                     .down = all.down,
                                     .stride_h = c->stride[0],
                                     .pooled = c->pool > 1};
    for (int32_t t = 0; t < c->r * c->s; t++) {
        const place at = place_of(c, t);
        if (!at.second) tap[at.pair] = t / c->s * own->kernel.below + t % c->s;
    }
    OCT_TRY(pack(q, c, &own->kernel));
    r->scratch = octi_frame_bytes(c, &own->in, &own->need);
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.plane_u8s16;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    if (c->c != 1) return "several channels";
    if (c->stride[1] != 1 || c->dilation[1] != 1) return "pixels or taps apart";
    if ((int64_t)c->r * c->s > MOST_TAPS) return "too many taps";
    if (octi_borders_too_wide(halo(c))) return "borders too wide to lay out";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    return NULL;
}

/* Tiles of two rows: what a pair of taps costs for itself and for each channel, and a tile's codes,
 * which are more where no pool takes them. Measured on a Sapphire Rapids; of AVX2 on a Zen 3, pairs
 * measured, codes reckoned. */
static double cycles(const octi_qconv *c) {
    static const struct {
        uint32_t needs;
        int32_t across; /* pixels */
        double pair, channel, pools, codes;
    } costs[] = {{0, 8, 1.8, 1.3, 25, 50},
                 {OCTI_CPU_ZEN, 8, 1, 1.05, 40, 75},
                 {OCTI_CPU_AVX512VNNI, 32, 2, 2, 85, 190}},
      *k = costs;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (octi_cost_counts(c, costs[i].needs, c->kernels->needs.plane_u8s16)) k = &costs[i];
    const int32_t last = c->q % k->across; /* of two rows half a tile each is one, with AVX2 */
    const double half = k->across == 8 && last && last <= 4 ? 0.5 : 0,
                 tiles = (c->p + 1) / 2 * ((c->q + k->across - 1) / k->across - half),
                 steps = pairs_of(c).beside + pairs_of(c).down,
                 codes = c->pool > 1 ? k->pools : k->codes;
    double all = 0;
    for (int32_t o = 0; o < c->o; o += octk_plane_lanes(c->o - o))
        all += tiles * (steps * (k->pair + k->channel * octk_plane_lanes(c->o - o)) + codes);
    return all;
}

static bool offered(const octk_table *kernels) { return kernels->needs.plane_u8s16; }

const octi_candidate octi_qconv_plane = {
    .name = "plane",
    .offered = offered,
    .unfit = unfit,
    .cycles = cycles,
    .halo = halo,
    .units = octi_row_units,
    .bind = bind,
    .pools = true,
};
