/* SPDX-License-Identifier: MIT
 * Candidate `tiles`: codes as they lie in memory times s8 in products of tiles (AMX): up to 16
 * windows whose beginnings are one pitch apart, read in place as the rows of a tile. Windows go
 * along a row of the image; or along the whole image, borders included, where the few that lie
 * between its rows cost less than tiles that are not full; or, of images of one pixel (linear
 * layers), along the batch. Serves every shape: any stride, dilation, groups. */
#include "ops/qconv.h"

#include <string.h>

#include "src/mem.h"

enum { MOST_IMAGES = 256, MOST_STEPS = 16, MOST_TOGETHER = 8 };

typedef struct tiles {
    octk_tiles_u8u8 kernel; /* x, y, w, b, by, strips, length filled per call */
    const octi_qconv *c;    /* the layer, or one that makes several of its outputs at a time */
    octi_layout in, out;
    octi_halo need;
    octi_panels panels;
    bool flat;
} tiles;

static int32_t group_lanes(const octi_qconv *c) {
    return (c->o / c->groups + OCTK_TILE - 1) / OCTK_TILE * OCTK_TILE;
}
/* Chunks of a run, all of as many steps: no tile has more, and at most 15 steps of zero weights
 * stand behind a run's end, whose codes OCTI_SLACK lets be read. */
_Static_assert(4 * MOST_STEPS <= OCTI_SLACK, "a run's last chunk");
static int32_t chunks_of(const octi_qconv *c) {
    return ((octi_runs_of(c).length + 3) / 4 + MOST_STEPS - 1) / MOST_STEPS;
}
static int32_t steps_of(const octi_qconv *c) {
    const int32_t steps = (octi_runs_of(c).length + 3) / 4, chunks = chunks_of(c);
    return (steps + chunks - 1) / chunks;
}

/* ---- cost ---- */

/* Cycles of a load of so many rows, and of those of them that cross a line of the cache. */
static double load(int32_t rows) { return 5 + 0.5 * rows; }
static double crossings(int32_t rows, int32_t bytes, int64_t pitch) {
    int32_t apart = 64, places = 0, cross = 0;
    while (pitch % apart) apart /= 2;
    for (int32_t i = 0; i < 64; i += apart) places++, cross += i + bytes > 64;
    return 0.3 * rows * cross / places;
}

/* How a strip of so many windows is cut (the kernel does it so). */
static int32_t tiles_of(int64_t length) { return (int32_t)((length + OCTK_TILE - 1) / OCTK_TILE); }
static int32_t windows_of(int64_t length) {
    const int32_t count = tiles_of(length);
    return (int32_t)((length + count - 1) / count);
}
static double loads_of(int64_t length) { return tiles_of(length) * load(windows_of(length)); }

/* Windows of a line when they go along the whole image with these pitches; 0: they cannot. */
static int64_t flat_line(const octi_qconv *c, int64_t row, int64_t pixel) {
    const int64_t down = c->stride[0] * row, right = c->stride[1] * pixel;
    const bool one = c->pool == 1 && c->p > 1 && down % right == 0;
    return one && down / right <= OCTK_TILES_LINE ? down / right : 0;
}
/* Whether they do. */
static bool goes_flat(const octi_qconv *c, int64_t line) {
    return line && loads_of((c->p - 1) * line + c->q) < c->p * loads_of(c->q / c->pool * c->pool);
}

/* Fitted to 1,900 small layers on a core of a Sapphire Rapids, nine of ten of which it hits within
 * a sixth, with tiles that are awake: half a microsecond after the last product they sleep, and
 * the next one takes a quarter of one more. Blocks of 2 tiles of windows by 2 panels, or 4 by 1;
 * products last about as long as the loads that they need; of codes 64 at a time. */
static double cycles_of(const octi_qconv *c) {
    const octi_halo halo = octi_codes_halo(c);
    const int64_t line = flat_line(c, (int64_t)(halo.left + c->w + halo.right) * c->c, c->c);
    const bool flat = goes_flat(c, line);
    const int64_t length = flat ? (c->p - 1) * line + c->q : c->q / c->pool * c->pool,
                  strips = flat ? 1 : c->p / c->pool * c->pool;
    const int32_t windows = windows_of(length), steps = steps_of(c),
                  lines = c->p * c->r < c->h ? c->p * c->r : c->h; /* that are read */
    const double count = (double)strips * tiles_of(length),
                 runs = (double)octi_runs_of(c).count * chunks_of(c),
                 codes =
                     load(windows) + crossings(windows, 4 * steps, (int64_t)c->stride[1] * c->c),
                 weights = load(steps), bytes = (double)octi_weight_bytes(c) / 2;
    double all = 550; /* of a call, 80 of it since in a net they may have gone to sleep */
    for (int32_t panel = group_lanes(c) / OCTK_TILE; panel > 0; panel -= 2) {
        const double most = panel > 1 ? 2 : 4,
                     blocks = (double)(int64_t)((count + most - 1) / most), now = panel > 1 ? 2 : 1;
        all += runs * (count * codes + blocks * now * weights) + blocks * 58 +
               count * (int32_t)((windows * now + 3) / 4) * 12.2;
    }
    return c->groups * all + 0.012 * ((double)lines * c->w * c->c + bytes) +
           octi_weight_cycles((int64_t)bytes, 4);
}

/* ---- several outputs at a time ---- */

/* The layer whose output is `together` neighbours of this one's, its channels theirs, one behind
 * the other: wider windows, of which each channel has zero weights at one end or both. Where 16
 * outputs are not many, or where windows further apart cross fewer lines of the cache. */
static octi_qconv widened(const octi_qconv *c, int32_t together) {
    octi_qconv w = *c;
    w.s += (together - 1) * c->stride[1];
    w.stride[1] *= together;
    w.q /= together;
    w.o *= together;
    return w;
}
static int32_t together_of(const octi_qconv *c) {
    int32_t best = 1;
    if (c->pool > 1 || c->groups > 1 || c->dilation[1] > 1) return 1;
    double least = cycles_of(c);
    for (int32_t t = 2; t <= MOST_TOGETHER && c->q % t == 0 && c->q > t; t *= 2) {
        const octi_qconv w = widened(c, t);
        const double now = cycles_of(&w);
        if (now < least) least = now, best = t;
    }
    return best;
}
static double cycles(const octi_qconv *c) {
    const octi_qconv w = widened(c, together_of(c));
    return cycles_of(&w);
}
static int32_t panels(const octi_qconv *c) { return together_of(c) > 1 ? 1 : octi_panels_of(c); }

/* It with weights, biases and records. NULL: no memory. */
static const octi_qconv *wide_layer(octi_arena *arena, const octi_qconv *c) {
    const int32_t together = together_of(c), run = c->s * c->c;
    octi_qconv *w = octi_arena_alloc(arena, sizeof *w);
    if (!w) return NULL;
    *w = widened(c, together);
    if (together == 1) return w;
    const int32_t wide = w->s * c->c;
    int8_t *weight = octi_arena_calloc(arena, (size_t)w->o * w->r * wide, sizeof *weight);
    int32_t *bias = octi_arena_alloc(arena, (size_t)w->o * sizeof *bias);
    if (!weight || !bias || octi_new_records(arena, c->by.law, (size_t)w->o, &w->by)) return NULL;
    for (int32_t o = 0; o < w->o; o++) {
        const int32_t from = o % c->o, behind = o / c->o * c->stride[1] * c->c;
        for (int32_t r = 0; r < c->r; r++)
            memcpy(weight + ((int64_t)o * c->r + r) * wide + behind,
                   c->weight + ((int64_t)from * c->r + r) * run, (size_t)run);
        bias[o] = c->bias[from];
        octi_put_record(&c->by, from, &w->by, o, 1);
    }
    w->weight = weight;
    w->bias = bias;
    return w;
}

/* ---- binding and running ---- */

static void run_group(const octi_qrun *r, octk_tiles_u8u8 *k, octi_span span, int32_t g,
                      const uint8_t *x, uint8_t *y) {
    const tiles *own = r->own;
    const octi_qconv *c = own->c;
    const octi_panels *p = &own->panels;
    const int64_t lane = (int64_t)g * p->lanes + span.from;
    k->o = (span.to - span.from) / c->groups;
    k->x = x + (int64_t)g * (c->c / c->groups);
    k->y = y + (int64_t)g * k->o + span.from;
    k->w = p->w + g * p->bytes + span.from * (p->bytes / p->lanes);
    k->b = p->b + lane;
    k->lift = octi_lift_at(&p->lift, lane);
    k->by = octi_records_at(&p->by, lane);
    r->kernels->tiles_u8u8(k);
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const tiles *own = r->own;
    const octi_qconv *c = own->c;
    octk_tiles_u8u8 k = own->kernel;
    const bool framed = octi_frame_bytes(c, &own->in, &own->need), /* a frame holds one image */
        batch = c->p == 1 && c->q == 1 && !framed;
    const int32_t images = framed ? 1 : MOST_IMAGES, units = call->to - call->from;
    const octi_span span = octi_channels(c, call);
    for (int64_t i = 0; i < call->n; i += images) {
        const octk_image x =
            octi_framed(c, &own->in, &own->need, (const uint8_t *)call->in[0] + i * own->in.image,
                        call->scratch);
        const uint8_t *corner = x.base - c->pads[0] * x.row - c->pads[1] * x.pixel +
                                (int64_t)call->from * c->pool * c->stride[0] * x.row;
        uint8_t *y =
            (uint8_t *)call->out + i * own->out.image + (call->from - call->first) * own->out.row;
        k.strips = own->flat ? 1 : units * c->pool;
        if (own->flat) k.length = (units - 1) * k.line + c->q;
        k.images = call->n - i < images ? (int32_t)(call->n - i) : images;
        if (batch) k.length = k.images, k.images = 1;
        for (int32_t g = 0; g < c->groups; g++) run_group(r, &k, span, g, corner, y);
    }
}

/* Where windows begin, and where their outputs go. */
static void lay_out(const octi_qconv *c, const octk_image *x, tiles *own) {
    octk_tiles_u8u8 *k = &own->kernel;
    const int64_t line = flat_line(c, x->row, x->pixel);
    k->pixel = c->stride[1] * x->pixel;
    k->strip = c->stride[0] * x->row;
    k->length = k->line = k->wanted = c->q / c->pool * c->pool;
    k->y_pixel = c->o; /* codes of a pixel follow each other */
    k->y_strip = own->out.row;
    k->image = x->image;
    k->y_image = own->out.image;
    own->flat = goes_flat(c, line);
    if (own->flat) {
        k->line = (int32_t)line;
        k->y_line = own->out.row;
    }
    if (c->p == 1 && c->q == 1) { /* one output an image: along the batch, where that is in place */
        k->pixel = x->image;
        k->line = MOST_IMAGES;
        k->wanted = MOST_IMAGES;
        k->y_pixel = own->out.image;
    }
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = wide_layer(q->arena, octi_qconv_of(q));
    if (!c) return oct_last_error()->code;
    octi_qrun *r = q->r;
    tiles *own = octi_arena_calloc(q->arena, 1, sizeof *own);
    const int32_t chunks = chunks_of(c), runs = octi_runs_of(c).count;
    int64_t *at = octi_arena_alloc(q->arena, (size_t)(runs * chunks) * sizeof *at);
    if (!own || !at) return oct_last_error()->code;
    own->c = c;
    own->in = q->in_at[0];
    own->out = *q->out_at;
    own->need = octi_codes_halo(c);
    own->kernel = (octk_tiles_u8u8){.run = at,
                                    .runs = runs * chunks,
                                    .steps = steps_of(c),
                                    .o = c->o / c->groups,
                                    .zy = c->zy,
                                    .lo = c->lo,
                                    .hi = c->hi,
                                    .pooled = c->pool > 1};
    const octk_image x = octi_frame_pitches(c, &own->in, &own->need);
    octi_place_runs(c, &x, at);
    for (int32_t i = runs * chunks - 1; i >= 0; i--)
        at[i] = at[i / chunks] + i % chunks * own->kernel.steps * 4;
    lay_out(c, &x, own);
    OCT_TRY(octi_pack_codes(q, c, group_lanes(c), chunks * own->kernel.steps, &own->panels));
    OCT_TRY(octi_lift_panels(q, c, &own->panels));
    r->scratch = octi_frame_bytes(c, &own->in, &own->need);
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.tiles_u8u8;
    return OCT_OK;
}

/* The kernel pools before it adds biases. */
static const char *unfit(const octi_qconv *c) {
    if (c->pool > 1 && (int64_t)c->r * c->s * c->c / c->groups > INT32_MAX / (UINT8_MAX * 128))
        return "sums without their biases may leave s32";
    return octi_codes_unfit(c);
}

static bool offered(const octk_table *kernels) { return kernels->needs.tiles_u8u8; }

const octi_candidate octi_qconv_tiles = {
    .name = "tiles",
    .offered = offered,
    .unfit = unfit,
    .cycles = cycles,
    .halo = octi_codes_halo,
    .units = octi_row_units,
    .panels = panels,
    .bind = bind,
    .pools = true,
    .band = 64 << 10,
};
