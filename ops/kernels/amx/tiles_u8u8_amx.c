/* SPDX-License-Identifier: MIT
 * Convolution of codes with TDPBUSD. A tile of codes is up to 16 windows, read from where they lie:
 * windows of one strip begin a fixed number of bytes apart, and that is the pitch of the load; they
 * may overlap. A tile of weights is a chunk of a panel. Blocks of two tiles of windows by two
 * panels: four sums for four loads. Nothing saturates. */
#include <string.h>

#include "ops/kernels/amx/tiles_amx.h"
#include "ops/kernels/avx2/panels_avx2.h"

/* Tiles 0 to 3 are sums (windows, panel: 0 0, 0 1, 1 0, 1 1), 4 and 5 windows, 6 and 7 weights. */
enum { PANELS = 2, WINDOWS = 2, PANEL_BYTES = OCTK_TILE * 4 };

/* How strips are cut into tiles: all of as many windows, the last one of a strip moved back. */
typedef struct cut {
    int32_t tiles, windows; /* of a strip; of a tile */
} cut;
static cut cut_of(const octk_tiles_u8u8 *a) {
    const int32_t tiles = (a->length + OCTK_TILE - 1) / OCTK_TILE,
                  windows = (a->length + tiles - 1) / tiles;
    return (cut){tiles, a->pooled ? (windows + 1) & ~1 : windows};
}
static inline int32_t begin_of(const octk_tiles_u8u8 *a, const cut *c, int32_t tile) {
    const int32_t at = tile * c->windows, last = a->length - c->windows;
    return at < last ? at : last;
}

static void configure(const octk_tiles_u8u8 *a, const cut *c) {
    octk_tile_shapes s = {.palette = 1};
    for (int32_t t = 0; t < 8; t++) {
        s.rows[t] = (uint8_t)(t < 6 ? c->windows : a->steps);
        s.bytes[t] = (uint16_t)(t == 4 || t == 5 ? 4 * a->steps : PANEL_BYTES);
    }
    TILES_CONFIGURE(&s);
}

typedef struct block {
    const uint8_t *x[WINDOWS]; /* where each tile of windows begins; NULL: there is none */
    const uint8_t *w[PANELS];
    const int32_t *b; /* of the first panel */
    /* the sums of each: [windows][lanes] */
    _Alignas(64) int32_t sum[WINDOWS][PANELS][OCTK_TILE * OCTK_TILE];
} block;

static void multiply(const octk_tiles_u8u8 *a, block *k) {
    const bool second = k->x[1] != NULL, wide = k->w[1] != NULL;
    const uint8_t *w0 = k->w[0], *w1 = k->w[1];
    const int64_t chunk = (int64_t)a->steps * 4;
    TILE_LOAD(0, k->b, 0);
    if (wide) TILE_LOAD(1, k->b + OCTK_TILE, 0);
    if (second) TILE_LOAD(2, k->b, 0);
    if (wide && second) TILE_LOAD(3, k->b + OCTK_TILE, 0);
    for (int32_t r = 0; r < a->runs; r++) {
        int64_t at = a->run[r];
        for (int32_t i = 0; i < a->chunks; i++, at += chunk, w0 += chunk * OCTK_TILE) {
            TILE_LOAD(4, k->x[0] + at, a->pixel);
            TILE_LOAD(6, w0, PANEL_BYTES);
            TILE_DOT(0, 4, 6);
            if (second) {
                TILE_LOAD(5, k->x[1] + at, a->pixel);
                TILE_DOT(2, 5, 6);
            }
            if (!wide) continue;
            TILE_LOAD(7, w1, PANEL_BYTES);
            TILE_DOT(1, 4, 7);
            if (second) TILE_DOT(3, 5, 7);
            w1 += chunk * OCTK_TILE;
        }
    }
    TILE_STORE(0, k->sum[0][0], PANEL_BYTES);
    if (wide) TILE_STORE(1, k->sum[0][1], PANEL_BYTES);
    if (second) TILE_STORE(2, k->sum[1][0], PANEL_BYTES);
    if (wide && second) TILE_STORE(3, k->sum[1][1], PANEL_BYTES);
}

/* A panel's way from sums to codes. */
typedef struct finish {
    octk_eight m[2];
    octk_ends e;
    uint8_t *y; /* its first channel of the strip's first output */
    int32_t valid;
} finish;

static finish finish_of(const octk_tiles_u8u8 *a, int32_t first) {
    return (finish){.m = {octk_eight_of(&a->by, first, first + 4),
                          octk_eight_of(&a->by, first + 8, first + 12)},
                    .e = octk_ends_of(a->zy, a->lo, a->hi),
                    .y = a->y + first,
                    .valid = a->o - first < OCTK_TILE ? a->o - first : OCTK_TILE};
}

/* Outputs of one tile's windows, less those that the tile before it gave, two at a time. */
static inline void put_tile(const octk_tiles_u8u8 *a, const cut *c, const finish *f,
                            const int32_t *sum, int32_t strip, int32_t tile, octq_law law) {
    const int32_t begin = begin_of(a, c, tile), first = tile * c->windows;
    int32_t line = first / a->line, column = first % a->line;
    const __m256i *waits = NULL;
    uint8_t *waits_at = NULL;
    for (int32_t i = first - begin; i < c->windows; i++, column++) {
        if (column == a->line) column = 0, line++;
        if (column >= a->wanted) continue;
        const __m256i *s = (const void *)(sum + i * OCTK_TILE);
        uint8_t *y = f->y + strip * a->y_strip + line * a->y_line + column * a->y_pixel;
        if (!waits) {
            waits = s, waits_at = y;
            continue;
        }
        octk_put_wide(waits, s, f->m, law, f->e, waits_at, y, f->valid);
        waits = NULL;
    }
    if (waits) octk_put_wide(waits, waits, f->m, law, f->e, waits_at, waits_at, f->valid);
}

/* Half h of the largest of windows i and i + 1 of two strips. */
static inline __m256i largest(const int32_t *upper, const int32_t *lower, int32_t i, int32_t h) {
    const __m256i *u = (const void *)(upper + i * OCTK_TILE),
                  *l = (const void *)(lower + i * OCTK_TILE);
    return _mm256_max_epi32(_mm256_max_epi32(u[h], u[h + 2]), _mm256_max_epi32(l[h], l[h + 2]));
}

/* The same of two strips' tiles, pooled. */
static inline void put_pools(const octk_tiles_u8u8 *a, const cut *c, const finish *f,
                             const int32_t *upper, const int32_t *lower, int32_t strip,
                             int32_t tile, octq_law law) {
    const int32_t begin = begin_of(a, c, tile);
    for (int32_t i = tile * c->windows - begin; i < c->windows; i += 2) {
        const __m256i s[2] = {largest(upper, lower, i, 0), largest(upper, lower, i, 1)};
        uint8_t *y = f->y + strip / 2 * a->y_strip + (begin + i) / 2 * a->y_pixel;
        octk_put_wide(s, s, f->m, law, f->e, y, y, f->valid);
    }
}

/* Tile number t of all strips; where pooled, of each pair of strips its two in turn. */
static inline void place_of(const octk_tiles_u8u8 *a, const cut *c, int32_t t, int32_t *strip,
                            int32_t *tile) {
    const int32_t each = a->pooled ? 2 : 1;
    *strip = t / each / c->tiles * each + t % each;
    *tile = t / each % c->tiles;
}

static inline void panels(const octk_tiles_u8u8 *a, const cut *c, int32_t first, octq_law law) {
    const int64_t panel = (int64_t)a->runs * a->chunks * a->steps * PANEL_BYTES;
    const int32_t wide = a->o - first > OCTK_TILE ? 2 : 1, count = a->strips * c->tiles;
    finish f[PANELS];
    block k = {.b = a->b + first};
    for (int32_t p = 0; p < wide; p++) {
        f[p] = finish_of(a, first + p * OCTK_TILE);
        k.w[p] = (const uint8_t *)a->w + (first / OCTK_TILE + p) * panel;
    }
    for (int32_t t = 0; t < count; t += WINDOWS) {
        int32_t strip[WINDOWS], tile[WINDOWS];
        const int32_t now = count - t < WINDOWS ? 1 : WINDOWS;
        k.x[1] = NULL;
        for (int32_t i = 0; i < now; i++) {
            place_of(a, c, t + i, &strip[i], &tile[i]);
            k.x[i] =
                (const uint8_t *)a->x + strip[i] * a->strip + begin_of(a, c, tile[i]) * a->pixel;
        }
        multiply(a, &k);
        for (int32_t p = 0; p < wide; p++) {
            if (a->pooled) {
                put_pools(a, c, &f[p], k.sum[0][p], k.sum[1][p], strip[0], tile[0], law);
                continue;
            }
            for (int32_t i = 0; i < now; i++)
                put_tile(a, c, &f[p], k.sum[i][p], strip[i], tile[i], law);
        }
    }
}

/* Once a law. */
static void panels_fp32(const octk_tiles_u8u8 *a, const cut *c, int32_t first) {
    panels(a, c, first, OCTQ_FP32);
}
static void panels_q31(const octk_tiles_u8u8 *a, const cut *c, int32_t first) {
    panels(a, c, first, OCTQ_Q31);
}

static void work(const void *arg) {
    const octk_tiles_u8u8 *a = arg;
    const cut c = cut_of(a);
    configure(a, &c);
    for (int32_t first = 0; first < a->o; first += PANELS * OCTK_TILE)
        (a->by.law == OCTQ_FP32 ? panels_fp32 : panels_q31)(a, &c, first);
    TILES_RELEASE();
}

void octk_tiles_u8u8_amx(const octk_tiles_u8u8 *a) { octk_with_tiles(work, a); }
