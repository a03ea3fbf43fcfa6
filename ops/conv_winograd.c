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
#include "ops/qconv.h"

enum { PLANES = 36, PANEL = 16, TILES = 24 };

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

/** Images [h][w][c] in a border that holds whole tiles; `halo` more rows and columns than tiles
 *  cover. */
typedef struct grid {
    int64_t h, w, c, top, left, down, across, rows, cols;
} grid;

static grid grid_of(int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, int64_t p,
                    int64_t q, int64_t halo) {
    grid d = {h, w, c, top, left, (p + 3) / 4, (q + 3) / 4, 0, 0};
    d.rows = 4 * d.down + halo;
    d.cols = 4 * d.across + halo;
    return d;
}

static int64_t grid_floats(const grid *d) { return d->rows * d->cols * d->c; }
static bool grid_is_image(const grid *d) { return d->rows == d->h && d->cols == d->w; }

static void copy_in(const grid *d, const float *image, float *framed) {
    /* What does not fit (dy of grad_x behind more padding than taps) meets padding alone. */
    int64_t rows = d->h < d->rows - d->top ? d->h : d->rows - d->top,
            cols = d->w < d->cols - d->left ? d->w : d->cols - d->left;
    for (int64_t y = 0; y < rows; y++)
        memcpy(framed + ((y + d->top) * d->cols + d->left) * d->c, image + y * d->w * d->c,
               (size_t)(cols * d->c) * sizeof(float));
}

static void copy_out(const grid *d, const float *framed, float *image) {
    for (int64_t y = 0; y < d->h; y++)
        memcpy(image + y * d->w * d->c, framed + y * d->cols * d->c,
               (size_t)(d->w * d->c) * sizeof(float));
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
    grid in, out;              /* out without halo: y, or dy of grad_w */
    int64_t n, per_block;      /* images, images of a block */
    const float *x, *bias, *u; /* u: [36][o/16][c][16] */
    octk_clamp clamp;
    float *y;
    float *frames, *out_frames, *v, *m; /* per slot; out_frames NULL where y has whole tiles */
    const float *dy;                    /* grad_w */
    float *du, *dw, *db;                /* [slots][36][c][o], [slots][9][c][o], [slots][o] */
    octi_cut cut;
    const octk_table *kernels;
} wino_job;

static int64_t block_images(const grid *d, int64_t n) {
    int64_t tiles = d->down * d->across, images = tiles >= TILES ? 1 : TILES / tiles;
    return images < n ? images : n;
}

/** Where tile t of a block begins in frames of `floats` each. */
static float *tile_at(const grid *d, float *frames, int64_t floats, int64_t t) {
    int64_t tiles = d->down * d->across, i = t % tiles;
    return frames + t / tiles * floats + (i / d->across * 4 * d->cols + i % d->across * 4) * d->c;
}

/* Tiles [from, to) of framed images, output channels [first, last). */
static void forward_tiles(const wino_job *j, float *frames, float *dst, float *v, float *m,
                          int64_t from, int64_t to, int64_t first, int64_t last) {
    const grid *in = &j->in, *out = &j->out;
    const int64_t c = in->c, o = out->c, vp = plane_floats(c), mp = plane_floats(o);
    static const int32_t run = 0;
    int32_t pix[TILES], at[TILES]; /* a plane's products: its tiles are the pixels */
    for (int32_t t = 0; t < TILES; t++) pix[t] = t * (int32_t)c, at[t] = t * (int32_t)o;
    for (int64_t t0 = from; t0 < to; t0 += TILES) {
        const int64_t tiles = to - t0 < TILES ? to - t0 : TILES;
        for (int64_t t = 0; t < tiles; t++)
            j->kernels->wino_in_f32(tile_at(in, frames, grid_floats(in), t0 + t), in->cols * c, c,
                                    v + t * c, vp);
        for (int64_t p = 0; p < PLANES; p++)
            j->kernels->conv_f32(&(octk_conv_f32){.x = v + p * vp,
                                                  .w = j->u + (p * o + first) * c,
                                                  .pix = pix,
                                                  .run = &run,
                                                  .out = at,
                                                  .y = m + p * mp + first,
                                                  .np = (int32_t)tiles,
                                                  .runs = 1,
                                                  .len = (int32_t)c,
                                                  .o = (int32_t)(last - first),
                                                  .clamp = OCTK_NO_CLAMP});
        for (int64_t t = 0; t < tiles; t++)
            j->kernels->wino_out_f32(
                m + t * o + first, mp, last - first, j->bias ? j->bias + first : NULL, j->clamp,
                tile_at(out, dst, grid_floats(out), t0 + t) + first, out->cols * o, o);
    }
}

static void forward_slot(void *arg, int64_t slot) {
    const wino_job *j = arg;
    const grid *in = &j->in, *out = &j->out;
    const int64_t c = in->c, o = out->c, vp = plane_floats(c), mp = plane_floats(o),
                  frame = grid_floats(in), of = grid_floats(out);
    float *frames = j->frames + slot * j->per_block * frame, *v = j->v + slot * PLANES * vp,
          *m = j->m + slot * PLANES * mp;
    float *out_frames = j->out_frames ? j->out_frames + slot * j->per_block * of : NULL;
    int64_t to = octi_cut_at(&j->cut, slot + 1);
    for (int64_t n = octi_cut_at(&j->cut, slot); n < to; n += j->per_block) {
        int64_t images = to - n < j->per_block ? to - n : j->per_block,
                total = images * in->down * in->across;
        for (int64_t i = 0; i < images; i++)
            copy_in(in, j->x + (n + i) * in->h * in->w * c, frames + i * frame);
        float *dst = out_frames ? out_frames : j->y + n * out->h * out->w * o;
        forward_tiles(j, frames, dst, v, m, 0, total, 0, o);
        for (int64_t i = 0; out_frames && i < images; i++)
            copy_out(out, out_frames + i * of, j->y + (n + i) * out->h * out->w * o);
    }
}

/** Scratch of all slots. */
static oct_status take(octi_arena *scratch, wino_job *j) {
    size_t s = (size_t)j->cut.count, each = sizeof(float);
    j->per_block = block_images(&j->in, octi_cut_most(&j->cut));
    j->frames =
        octi_arena_calloc(scratch, s * (size_t)j->per_block, (size_t)grid_floats(&j->in) * each);
    j->v = octi_arena_alloc(scratch, s * (size_t)(PLANES * plane_floats(j->in.c)) * each);
    j->m = octi_arena_alloc(scratch, s * (size_t)(PLANES * plane_floats(j->out.c)) * each);
    if (!grid_is_image(&j->out)) {
        j->out_frames = octi_arena_calloc(scratch, s * (size_t)j->per_block,
                                          (size_t)grid_floats(&j->out) * each);
        if (!j->out_frames) return oct_last_error()->code;
    }
    return j->frames && j->v && j->m ? OCT_OK : oct_last_error()->code;
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

static wino_job job_of(const octi_conv *g) {
    wino_job j = {.in = grid_of(g->h, g->w, g->c, g->top, g->left, g->p, g->q, 2),
                  .out = grid_of(g->p, g->q, g->o, 0, 0, g->p, g->q, 0),
                  .n = g->n,
                  .cut = octi_cut_in_one(g->n)};
    j.per_block = block_images(&j.in, j.n);
    return j;
}

size_t octi_winograd_floats(const octi_conv *g) { return (size_t)(PLANES * g->c * g->o); }
void octi_winograd_pack(const octi_conv *g, const float *w, float *u) {
    pack(g->c, g->o, w, g->c, 9 * g->c, 1, false, u);
}

static size_t lines(int64_t floats) { return ((size_t)floats * sizeof(float) + 63) & ~(size_t)63; }
static size_t frame_bytes(const wino_job *j) { return lines(j->per_block * grid_floats(&j->in)); }
static size_t out_bytes(const wino_job *j) {
    return grid_is_image(&j->out) ? 0 : lines(j->per_block * grid_floats(&j->out));
}

size_t octi_winograd_scratch(const octi_conv *g) {
    const wino_job j = job_of(g);
    return frame_bytes(&j) + out_bytes(&j) + lines(PLANES * plane_floats(g->c)) +
           lines(PLANES * plane_floats(g->o));
}

int64_t octi_winograd_units(const octi_conv *g) { return (g->p + 3) / 4; }

void octi_winograd_run(const octi_conv *g, const octk_table *kernels, const float *x,
                       const float *u, const float *bias, octk_clamp clamp, float *y,
                       const octi_part *part, void *scratch) {
    wino_job j = job_of(g);
    const grid *in = &j.in, *out = &j.out;
    uint8_t *at = scratch;
    j.kernels = kernels;
    j.u = u;
    j.bias = bias;
    j.clamp = clamp;
    j.frames = (float *)(void *)at;
    at += frame_bytes(&j);
    if (out_bytes(&j)) j.out_frames = (float *)(void *)at;
    at += out_bytes(&j);
    j.v = (float *)(void *)at;
    j.m = (float *)(void *)(at + lines(PLANES * plane_floats(g->c)));
    octi_frame_rows(&(octi_border){in->h, in->w, in->c, in->top, in->left, in->cols}, x, j.frames,
                    4 * part->from, 4 * part->to + 2);
    forward_tiles(&j, j.frames, j.out_frames ? j.out_frames : y, j.v, j.m, part->from * out->across,
                  part->to * out->across, part->first, part->last);
    const int64_t rows = 4 * part->to < out->h ? 4 * part->to : out->h;
    for (int64_t i = 4 * part->from * out->w; j.out_frames && i < rows * out->w; i++)
        memcpy(y + i * out->c + part->first,
               j.out_frames + (i / out->w * out->cols + i % out->w) * out->c + part->first,
               (size_t)(part->last - part->first) * sizeof *y);
}

/* 12 products a cycle, transforms at two floats; large weights from memory for each block of
 * tiles. */
double octi_winograd_cycles(const octi_conv *g, const octi_part *part) {
    const int64_t tiles = (part->to - part->from) * ((g->q + 3) / 4),
                  outputs = part->last - part->first, blocks = (tiles + TILES - 1) / TILES;
    return (double)(tiles * PLANES) *
               ((double)(g->c * outputs) / 12 + (double)(g->c + outputs) / 2) +
           (double)blocks * octi_weight_cycles(PLANES * g->c * outputs * (int64_t)sizeof(float));
}

oct_status octi_conv_winograd_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                      const float *x, const float *w, const float *b, float *y) {
    wino_job j = {.in = grid_of(g->h, g->w, g->c, g->top, g->left, g->p, g->q, 2),
                  .out = grid_of(g->p, g->q, g->o, 0, 0, g->p, g->q, 0),
                  .n = g->n,
                  .x = x,
                  .bias = b,
                  .clamp = OCTK_NO_CLAMP,
                  .y = y};
    return run(ctx, scratch, &j, w, g->c, 9 * g->c, 1, false);
}

oct_status octi_conv_winograd_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                     const float *dy, const float *w, float *dx) {
    wino_job j = {.in = grid_of(g->p, g->q, g->o, 2 - g->top, 2 - g->left, g->h, g->w, 2),
                  .out = grid_of(g->h, g->w, g->c, 0, 0, g->h, g->w, 0),
                  .n = g->n,
                  .x = dy,
                  .clamp = OCTK_NO_CLAMP,
                  .y = dx};
    return run(ctx, scratch, &j, w, g->c, 1, 9 * g->c, true);
}

/* ---- weight gradient ---- */

static void column_sums(const float *dy, int64_t pixels, int64_t o, float *db, bool add) {
    if (!add) memset(db, 0, (size_t)o * sizeof *db);
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
    const wino_job *j = arg;
    const grid *in = &j->in, *out = &j->out;
    const int64_t c = in->c, o = out->c, vp = plane_floats(c), mp = plane_floats(o),
                  frame = grid_floats(in), of = grid_floats(out);
    float *frames = j->frames + slot * j->per_block * frame, *v = j->v + slot * PLANES * vp,
          *m = j->m + slot * PLANES * mp;
    float *out_frames = j->out_frames ? j->out_frames + slot * j->per_block * of : NULL,
          *du = j->du + slot * PLANES * c * o;
    int64_t from = octi_cut_at(&j->cut, slot), to = octi_cut_at(&j->cut, slot + 1);
    bool add = false;
    for (int64_t n = from; n < to; n += j->per_block) {
        int64_t images = to - n < j->per_block ? to - n : j->per_block,
                total = images * in->down * in->across, image_dy = out->h * out->w * o;
        for (int64_t i = 0; i < images; i++)
            copy_in(in, j->x + (n + i) * in->h * in->w * c, frames + i * frame);
        for (int64_t i = 0; out_frames && i < images; i++)
            copy_in(out, j->dy + (n + i) * image_dy, out_frames + i * of);
        const float *dy = out_frames ? out_frames : j->dy + n * image_dy;
        for (int64_t t0 = 0; t0 < total; t0 += TILES, add = true) {
            int64_t tiles = total - t0 < TILES ? total - t0 : TILES;
            for (int64_t t = 0; t < tiles; t++) {
                j->kernels->wino_in_f32(tile_at(in, frames, frame, t0 + t), in->cols * c, c,
                                        v + t * c, vp);
                j->kernels->wino_dy_f32(tile_at(out, (float *)dy, of, t0 + t), out->cols * o, o,
                                        m + t * o, mp);
            }
            for (int64_t p = 0; p < PLANES; p++)
                j->kernels->gemm_f32(true, false, c, o, tiles, v + p * vp, c, m + p * mp, o, add,
                                     du + p * c * o, o);
        }
        if (j->db)
            column_sums(j->dy + n * image_dy, images * out->h * out->w, o, j->db + slot * o,
                        n > from);
    }
    filter_out(du, c * o, j->dw + slot * 9 * c * o);
}

oct_status octi_conv_winograd_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                     const float *x, const float *dy, float *dw, float *db) {
    wino_job j = {.in = grid_of(g->h, g->w, g->c, g->top, g->left, g->p, g->q, 2),
                  .out = grid_of(g->p, g->q, g->o, 0, 0, g->p, g->q, 0),
                  .n = g->n,
                  .x = x,
                  .dy = dy,
                  .cut = octi_cut_of(ctx, g->n),
                  .kernels = octi_ctx_kernels(ctx)};
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
