/* SPDX-License-Identifier: MIT
 * 3x3 convolution with stride 1 by Winograd's F(4x4,3x3), arXiv:1509.09308: 36 products where the
 * direct form takes 144.
 *   forward  Y = A^T [ (G g G^T) . (B^T d B) ] A over tiles of 4x4 outputs; grad_x is the same with
 *   turned filters
 *   grad_w   the adjoint: dg = G^T [ sum over tiles (B^T d B)^T (A dY A^T) ] G
 * Bounds: a transform M z M^T lets no element grow by more than the square of M's largest sum of
 * sizes along a row: 10^2 for B^T, 1 for G, 19^2 for A^T (1/4 and integer entries: few of the steps
 * round). Worst-case errors grow with the product of the three (Barabasz et al. 2018, arXiv
 * 1803.10986); measured ones are about five times those of direct sums, and inside the bound of
 * ops.h, where an image's largest sum of sizes stands in for each output's own, since a tile's
 * outputs share what rounds. Sums of whole numbers are not exact here: integer-valued products use
 * octi_conv2d_direct. An element's bits depend neither on the batch nor on its cut. */
#include <string.h>

#include "ops/conv_winograd.h"

enum { PLANES = 36, PANEL = 16, TILES = 28 };

bool octi_conv_winograd_fits(const octi_conv *g) {
    if (g->r != 3 || g->s != 3 || g->stride_h != 1 || g->stride_w != 1 || g->dil_h != 1 ||
        g->dil_w != 1 || g->groups != 1)
        return false;
    /* grad_x pads by 2 - pad */
    if (g->c % PANEL || g->o % PANEL || g->top > 2 || g->left > 2) return false;
    int64_t tiles = ((g->p + 3) / 4) * ((g->q + 3) / 4);
    /* ragged tiles waste at most a third; the batch has no say */
    return tiles * 16 * 2 <= g->p * g->q * 3;
}

static const float G[6][3] = {{1.0f / 4, 0, 0},
                              {-1.0f / 6, -1.0f / 6, -1.0f / 6},
                              {-1.0f / 6, 1.0f / 6, -1.0f / 6},
                              {1.0f / 24, 1.0f / 12, 1.0f / 6},
                              {1.0f / 24, -1.0f / 12, 1.0f / 6},
                              {0, 0, 1}};

/** Images [h][w][c] in tiles of 4x4 pixels, the first of which begins at (-top, -left). */
typedef struct grid {
    int64_t h, w, c, top, left, down, across;
} grid;

static grid grid_of(int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, int64_t p,
                    int64_t q) {
    return (grid){h, w, c, top, left, (p + 3) / 4, (q + 3) / 4};
}
static int64_t grid_tiles(const grid *d) { return d->down * d->across; }
static int64_t grid_floats(const grid *d) { return d->h * d->w * d->c; }

/** Where tile t of images begins: its image's first float, its row and column there. */
typedef struct place {
    int64_t image, y, x;
} place;
static place place_of(const grid *d, int64_t t) {
    const int64_t n = t / grid_tiles(d), i = t % grid_tiles(d), down = i / d->across;
    return (place){n * grid_floats(d), 4 * down - d->top, 4 * (i - down * d->across) - d->left};
}

/** `edge` x `edge` pixels from the beginning of tile t on: where they lie, or, where they reach
 *  beyond the image, in `room` among zeros. *row: floats from one row to the next. */
static const float *tile_in(const grid *d, const float *images, int64_t t, int64_t edge,
                            float *room, int64_t *row) {
    const place at = place_of(d, t);
    const float *image = images + at.image;
    const int64_t c = d->c, from = at.x < 0 ? -at.x : 0,
                  to = edge < d->w - at.x ? edge : d->w - at.x;
    *row = d->w * c;
    if (from == 0 && to == edge && at.y >= 0 && at.y + edge <= d->h)
        return image + (at.y * d->w + at.x) * c;
    *row = edge * c;
    for (int64_t y = 0; y < edge; y++) {
        float *line = room + y * *row;
        const bool inside = at.y + y >= 0 && at.y + y < d->h && from < to;
        memset(line, 0, (size_t)(inside ? from * c : *row) * sizeof *line);
        if (!inside) continue;
        memcpy(line + from * c, image + ((at.y + y) * d->w + at.x + from) * c,
               (size_t)((to - from) * c) * sizeof *line);
        memset(line + to * c, 0, (size_t)((edge - to) * c) * sizeof *line);
    }
    return room;
}

/** Floats of a plane: an odd number of cache lines, so that the planes of a tile fall into
 *  different sets. */
static int64_t plane_floats(int64_t c) { return (TILES * c / 16 | 1) * 16; }

/** One g: [3][3], taps `tap` floats apart -> the 36 values of G g G^T, `plane` floats apart. */
static void filter_in(const float *g, int64_t tap, bool turned, float *u, int64_t plane) {
    float t[6][3];
    for (int i = 0; i < 6; i++)
        for (int x = 0; x < 3; x++) {
            float sum = 0;
            for (int y = 0; y < 3; y++)
                sum += G[i][y] * g[(turned ? 8 - (3 * y + x) : 3 * y + x) * tap];
            t[i][x] = sum;
        }
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 6; k++)
            u[(6 * i + k) * plane] = G[k][0] * t[i][0] + G[k][1] * t[i][1] + G[k][2] * t[i][2];
}

typedef struct wino_job {
    grid in, out; /* of what has the taps' border, and of y (or dy of grad_w) */
    int64_t n;
    const float *x, *bias, *u; /* u: [36][o/16][c][16] */
    octk_clamp clamp;
    float *y;
    float *v, *m, *room; /* of one slot; slots lie `scratch` floats apart */
    size_t scratch;
    const float *dy;     /* grad_w */
    float *du, *dw, *db; /* [slots][36][c][o], [slots][9][c][o], [slots][o] */
    octi_cut cut;
    const octk_table *kernels;
} wino_job;

static wino_job job_of(const octi_conv *g) {
    return (wino_job){.in = grid_of(g->h, g->w, g->c, g->top, g->left, g->p, g->q),
                      .out = grid_of(g->p, g->q, g->o, 0, 0, g->p, g->q),
                      .n = g->n,
                      .clamp = OCTK_NO_CLAMP};
}

/** What a slot needs: the planes of a block of tiles, before and behind the products; a tile. */
static size_t slot_floats(const wino_job *j) {
    const int64_t c = j->in.c, o = j->out.c;
    return (size_t)(PLANES * (plane_floats(c) + plane_floats(o) + (c > o ? c : o)));
}
static wino_job slot_of(const wino_job *all, int64_t slot) {
    wino_job j = *all;
    j.v += slot * (int64_t)j.scratch;
    j.m = j.v + PLANES * plane_floats(j.in.c);
    j.room = j.m + PLANES * plane_floats(j.out.c);
    return j;
}
/** Blocks of nearly as many tiles each; block b ends where b + 1 begins. */
static int64_t blocks_of(int64_t tiles) { return (tiles + TILES - 1) / TILES; }
static int64_t block_begin(int64_t tiles, int64_t b) { return tiles * b / blocks_of(tiles); }

/** Tile t's output channels [first, last), of which m has the products. */
static void tile_out(const wino_job *j, const float *m, int64_t t, int64_t first, int64_t last) {
    const grid *d = &j->out;
    const place at = place_of(d, t);
    const int64_t o = d->c, mp = plane_floats(o), width = last - first,
                  rows = d->h - at.y < 4 ? d->h - at.y : 4,
                  cols = d->w - at.x < 4 ? d->w - at.x : 4;
    const float *bias = j->bias ? j->bias + first : NULL;
    float *y = j->y + at.image + (at.y * d->w + at.x) * o + first;
    if (rows == 4 && cols == 4) {
        j->kernels->wino_out_f32(m + first, mp, width, bias, j->clamp, y, d->w * o, o);
        return;
    }
    j->kernels->wino_out_f32(m + first, mp, width, bias, j->clamp, j->room, 4 * width, width);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            memcpy(y + (i * d->w + k) * o, j->room + (4 * i + k) * width,
                   (size_t)width * sizeof *y);
}

/** Tiles [from, to) of images, output channels [first, last). */
static void forward_tiles(const wino_job *j, int64_t from, int64_t to, int64_t first,
                          int64_t last) {
    const int64_t c = j->in.c, o = j->out.c, vp = plane_floats(c), mp = plane_floats(o);
    static const int32_t run = 0;
    int32_t pix[TILES], at[TILES]; /* a plane's products: its tiles are the pixels */
    for (int32_t t = 0; t < TILES; t++) pix[t] = t * (int32_t)c, at[t] = t * (int32_t)o;
    octk_conv_f32 a = {.pix = pix,
                       .run = &run,
                       .out = at,
                       .runs = 1,
                       .len = (int32_t)c,
                       .o = (int32_t)(last - first),
                       .clamp = OCTK_NO_CLAMP};
    for (int64_t b = 0; b < blocks_of(to - from); b++) {
        const int64_t t0 = from + block_begin(to - from, b),
                      tiles = from + block_begin(to - from, b + 1) - t0;
        for (int64_t t = 0, row; t < tiles; t++) {
            const float *x = tile_in(&j->in, j->x, t0 + t, 6, j->room, &row);
            j->kernels->wino_in_f32(x, row, c, j->v + t * c, vp);
        }
        a.np = (int32_t)tiles;
        for (int64_t p = 0; p < PLANES; p++) {
            a.x = j->v + p * vp;
            a.w = j->u + (p * o + first) * c;
            a.y = j->m + p * mp + first;
            j->kernels->conv_f32(&a);
        }
        for (int64_t t = 0; t < tiles; t++) tile_out(j, j->m + t * o, t0 + t, first, last);
    }
}

/** The images of a slot: x, dy and y begin with its first one. */
static wino_job images_of(const wino_job *all, int64_t slot) {
    wino_job j = slot_of(all, slot);
    const int64_t from = octi_cut_at(&j.cut, slot);
    j.n = octi_cut_at(&j.cut, slot + 1) - from;
    j.x += from * grid_floats(&j.in);
    if (j.y) j.y += from * grid_floats(&j.out);
    if (j.dy) j.dy += from * grid_floats(&j.out);
    return j;
}

static void forward_slot(void *arg, int64_t slot) {
    const wino_job j = images_of(arg, slot);
    forward_tiles(&j, 0, j.n * grid_tiles(&j.in), 0, j.out.c);
}

/** Scratch of all slots. */
static oct_status take(octi_arena *scratch, wino_job *j) {
    j->scratch = slot_floats(j);
    j->v = octi_arena_alloc(scratch, (size_t)j->cut.count * j->scratch * sizeof(float));
    return j->v ? OCT_OK : oct_last_error()->code;
}

static void pack(int64_t c, int64_t o, const float *w, int64_t tap, int64_t out_step,
                 int64_t in_step, bool turned, float *u) {
    for (int64_t b = 0; b < o; b += PANEL)
        for (int64_t i = 0; i < c; i++)
            for (int64_t k = b; k < b + PANEL; k++)
                filter_in(w + k * out_step + i * in_step, tap, turned,
                          u + (b * c + i * PANEL) + k - b, c * o);
}

/** w: the filter of output channel k and input channel i begins at w + k * out_step + i *
 *  in_step. */
static oct_status run(oct_ctx *ctx, octi_arena *scratch, wino_job *j, const float *w, int64_t tap,
                      int64_t out_step, int64_t in_step, bool turned) {
    int64_t c = j->in.c, o = j->out.c;
    j->cut = octi_cut_of(ctx, j->n);
    j->kernels = octi_ctx_kernels(ctx);
    OCT_TRY(take(scratch, j));
    float *u = octi_arena_alloc(scratch, (size_t)(PLANES * c * o) * sizeof *u);
    if (!u) return oct_last_error()->code;
    pack(c, o, w, tap, out_step, in_step, turned, u);
    j->u = u;
    octi_parallel_for(octi_ctx_pool(ctx), j->cut.count, forward_slot, j);
    return OCT_OK;
}

/* ---- weights that do not move ---- */

size_t octi_winograd_floats(const octi_conv *g) { return (size_t)(PLANES * g->c * g->o); }
void octi_winograd_pack(const octi_conv *g, const float *w, float *u) {
    pack(g->c, g->o, w, g->c, 9 * g->c, 1, false, u);
}

size_t octi_winograd_scratch(const octi_conv *g) {
    const wino_job j = job_of(g);
    return slot_floats(&j) * sizeof(float);
}

int64_t octi_winograd_tiles(const octi_conv *g) {
    const wino_job j = job_of(g);
    return grid_tiles(&j.in);
}

void octi_winograd_run(const octi_conv *g, const octk_table *kernels, const float *x,
                       const float *u, const float *bias, octk_clamp clamp, float *y,
                       const octi_part *part, void *scratch) {
    wino_job all = job_of(g);
    all.kernels = kernels;
    all.x = x;
    all.u = u;
    all.bias = bias;
    all.clamp = clamp;
    all.y = y;
    all.v = scratch;
    wino_job j = slot_of(&all, 0);
    const int64_t tiles = grid_tiles(&j.in);
    /* whole images are one row of tiles: weights are read once for several */
    if (part->to - part->from == tiles)
        forward_tiles(&j, 0, j.n * tiles, part->first, part->last);
    else
        for (int64_t n = 0; n < j.n; n++)
            forward_tiles(&j, n * tiles + part->from, n * tiles + part->to, part->first,
                          part->last);
}

/* Transforms at two floats a cycle; large weights from memory for each block of tiles. */
double octi_winograd_cycles(const octi_conv *g, const octk_table *kernels, const octi_part *part) {
    const int64_t tiles = part->to - part->from, outputs = part->last - part->first,
                  products = PLANES * g->c * outputs;
    return (double)(tiles * products) / octi_float_rate(kernels) +
           (double)(tiles * PLANES * (g->c + outputs)) / 2 +
           (double)blocks_of(tiles) * octi_float_weight_cycles(products);
}

bool octi_conv_winograd_pays(const octi_conv *g, const octk_table *kernels) {
    const octi_part rows = {0, g->p, 0, g->o}, tiles = {0, octi_winograd_tiles(g), 0, g->o};
    return octi_conv_winograd_fits(g) &&
           octi_winograd_cycles(g, kernels, &tiles) < octi_direct_cycles(g, kernels, &rows);
}

oct_status octi_conv_winograd_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *x, const float *w, const float *b, float *y) {
    wino_job j = job_of(g);
    j.x = x;
    j.bias = b;
    j.y = y;
    return run(ctx, scratch, &j, w, g->c, 9 * g->c, 1, false);
}

oct_status octi_conv_winograd_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                     const float *dy, const float *w, float *dx) {
    wino_job j = {.in = grid_of(g->p, g->q, g->o, 2 - g->top, 2 - g->left, g->h, g->w),
                  .out = grid_of(g->h, g->w, g->c, 0, 0, g->h, g->w),
                  .n = g->n,
                  .x = dy,
                  .clamp = OCTK_NO_CLAMP,
                  .y = dx};
    return run(ctx, scratch, &j, w, g->c, 1, 9 * g->c, true);
}

/* ---- weight gradient ---- */

static void column_sums(const float *dy, int64_t pixels, int64_t o, float *db) {
    memset(db, 0, (size_t)o * sizeof *db);
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t k = 0; k < o; k++) db[k] += dy[i * o + k];
}

/** dg[9] (+)= G^T du G for all channel pairs; a slot's du is spent then. */
static void filter_out(const float *du, int64_t count, float *dw) {
    enum { BLOCK = 64 };
    float t[3][6][BLOCK];
    for (int64_t at = 0; at < count; at += BLOCK) { /* count is a multiple of 256 */
        for (int y = 0; y < 3; y++)
            for (int k = 0; k < 6; k++)
                for (int e = 0; e < BLOCK; e++) {
                    float sum = 0;
                    for (int i = 0; i < 6; i++) sum += G[i][y] * du[(6 * i + k) * count + at + e];
                    t[y][k][e] = sum;
                }
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < 3; x++)
                for (int e = 0; e < BLOCK; e++) {
                    float sum = 0;
                    for (int k = 0; k < 6; k++) sum += G[k][x] * t[y][k][e];
                    dw[(3 * y + x) * count + at + e] = sum;
                }
    }
}

static void grad_w_slot(void *arg, int64_t slot) {
    const wino_job j = images_of(arg, slot);
    const int64_t c = j.in.c, o = j.out.c, vp = plane_floats(c), mp = plane_floats(o),
                  total = j.n * grid_tiles(&j.in);
    float *du = j.du + slot * PLANES * c * o;
    for (int64_t b = 0; b < blocks_of(total); b++) {
        const int64_t t0 = block_begin(total, b), tiles = block_begin(total, b + 1) - t0;
        for (int64_t t = 0, row; t < tiles; t++) {
            const float *x = tile_in(&j.in, j.x, t0 + t, 6, j.room, &row);
            j.kernels->wino_in_f32(x, row, c, j.v + t * c, vp);
            const float *dy = tile_in(&j.out, j.dy, t0 + t, 4, j.room, &row);
            j.kernels->wino_dy_f32(dy, row, o, j.m + t * o, mp);
        }
        for (int64_t p = 0; p < PLANES; p++)
            j.kernels->gemm_f32(true, false, c, o, tiles, j.v + p * vp, c, j.m + p * mp, o, b > 0,
                                du + p * c * o, o);
    }
    if (j.db) column_sums(j.dy, j.n * j.out.h * j.out.w, o, j.db + slot * o);
    filter_out(du, c * o, j.dw + slot * 9 * c * o);
}

oct_status octi_conv_winograd_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                     const float *x, const float *dy, float *dw, float *db) {
    wino_job j = job_of(g);
    j.x = x;
    j.dy = dy;
    j.cut = octi_cut_of(ctx, g->n);
    j.kernels = octi_ctx_kernels(ctx);
    OCT_TRY(take(scratch, &j));
    size_t co = (size_t)(g->c * g->o), s = (size_t)j.cut.count;
    j.du = octi_arena_alloc(scratch, s * PLANES * co * sizeof(float));
    j.dw = octi_arena_alloc(scratch, s * 9 * co * sizeof(float));
    j.db = db ? octi_arena_alloc(scratch, s * (size_t)g->o * sizeof(float)) : NULL;
    if (!j.du || !j.dw || (db && !j.db)) return oct_last_error()->code;
    octi_threads *pool = octi_ctx_pool(ctx);
    octi_parallel_for(pool, j.cut.count, grad_w_slot, &j);
    OCT_TRY(octi_cut_fold_f32(&j.cut, pool, j.dw, 9 * (int64_t)co));
    for (int64_t o = 0; o < g->o; o++)
        for (int64_t k = 0; k < 9 * g->c; k++) dw[o * 9 * g->c + k] = j.dw[k * g->o + o];
    if (db) {
        OCT_TRY(octi_cut_fold_f32(&j.cut, pool, j.db, g->o));
        memcpy(db, j.db, (size_t)g->o * sizeof *db);
    }
    return OCT_OK;
}
