/* SPDX-License-Identifier: MIT
 * Convolution of codes with TDPBUSD. A tile of codes is up to 16 windows, read from where they lie:
 * windows of one strip begin a fixed number of bytes apart, and that is the pitch of the load; they
 * may overlap. A tile of weights is a chunk of a panel. Blocks of four sums: two tiles of windows
 * by two panels, or four by one. A block's sums become codes while the next one's products run.
 * Nothing saturates. */
#include "ops/kernels/amx/tiles_amx.h"
#include "ops/kernels/avx512/requant_avx512.h"
#include "ops/kernels/kernels.h"

/* Tiles 0 to 3 are sums, 4 and 5 windows, 6 and 7 weights. */
enum { SUMS = 4, PANEL_BYTES = OCTK_TILE * 4, AT_ONCE = 4 /* cells that become codes together */ };

/* How strips are cut into tiles: all of as many windows, the last one of a strip moved back, so
 * that a few windows are computed twice. */
typedef struct cut {
    int32_t tiles, windows; /* of a strip; of a tile */
    int32_t each;           /* tiles that make a tile of cells: pooled, those of two strips */
    int32_t cells;          /* outputs of these */
} cut;
static cut cut_of(const octk_tiles_u8u8 *a) {
    const int32_t tiles = (a->length + OCTK_TILE - 1) / OCTK_TILE,
                  windows = (a->length + tiles - 1) / tiles, even = (windows + 1) & ~1;
    return a->pooled ? (cut){tiles, even, 2, even / 2} : (cut){tiles, windows, 1, windows};
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

/* One panel, or two: how their sums become codes. */
typedef struct finish {
    octk_sixteen by[2];
    __mmask16 narrow; /* of the channels that there are */
    __mmask32 wide;
} finish;

/* A block's sums on their way to codes. */
typedef struct outputs {
    const finish *f;
    int32_t left, tile, cell; /* groups; where the next one is */
    int32_t cells;            /* of a tile */
    bool joined;              /* four vectors of sums are 64 codes that follow each other */
    uint8_t *y[SUMS][OCTK_TILE + AT_ONCE]; /* of each cell; `nobody` where it is not wanted */
    uint8_t nobody[64];
} outputs;

typedef struct block {
    const uint8_t *x[SUMS]; /* where tiles of windows begin */
    int32_t tiles;          /* of windows */
    const uint8_t *w[2];
    const int32_t *b; /* of the first panel */
} block;

/* Of all the blocks of a call. */
typedef struct work {
    const octk_tiles_u8u8 *a;
    cut c;
    octk_ends512 ends;
    outputs out[2];
    int32_t now; /* the outputs that are being filled; the others wait */
    /* of a tile of windows and a panel [windows][lanes]; a tile's two panels follow each other */
    _Alignas(64) int32_t sum[SUMS][OCTK_TILE * OCTK_TILE];
} work;

/* Sums of a cell, behind the one whose turn it is, rounded. */
static inline __m512i scaled(const work *k, const outputs *o, int32_t panels, int32_t panel,
                             int32_t behind, octq_law law) {
    const int32_t cell = o->cell + behind;
    const octk_sixteen *by = &o->f->by[panel];
    if (!k->a->pooled)
        return octk_scaled512(
            _mm512_loadu_si512(k->sum[o->tile * panels + panel] + cell * OCTK_TILE), by, law);
    const int32_t *upper = k->sum[2 * o->tile * panels + panel] + 2 * cell * OCTK_TILE,
                  *lower = k->sum[(2 * o->tile + 1) * panels + panel] + 2 * cell * OCTK_TILE;
    const __m512i u = _mm512_max_epi32(_mm512_loadu_si512(upper),
                                       _mm512_loadu_si512(upper + OCTK_TILE)),
                  l = _mm512_max_epi32(_mm512_loadu_si512(lower),
                                       _mm512_loadu_si512(lower + OCTK_TILE));
    return octk_scaled512(_mm512_max_epi32(u, l), by, law);
}

/* The next two cells of two panels. */
static inline void put_wide(const work *k, const outputs *o, octq_law law) {
    const __m512i v =
        octk_panel_codes512(scaled(k, o, 2, 0, 0, law), scaled(k, o, 2, 1, 0, law),
                            scaled(k, o, 2, 0, 1, law), scaled(k, o, 2, 1, 1, law), k->ends);
    uint8_t *const *y = &o->y[o->tile][o->cell];
    if (o->joined && o->cell + 2 <= o->cells) {
        _mm512_storeu_si512(y[0], v);
        return;
    }
    _mm256_mask_storeu_epi8(y[0], o->f->wide, _mm512_castsi512_si256(v));
    _mm256_mask_storeu_epi8(y[1], o->f->wide, _mm512_extracti64x4_epi64(v, 1));
}
/* The next four of one. */
static inline void put_narrow(const work *k, const outputs *o, octq_law law) {
    const __m512i v =
        octk_panel_codes512(scaled(k, o, 1, 0, 0, law), scaled(k, o, 1, 0, 1, law),
                            scaled(k, o, 1, 0, 2, law), scaled(k, o, 1, 0, 3, law), k->ends);
    uint8_t *const *y = &o->y[o->tile][o->cell];
    if (o->joined && o->cell + 4 <= o->cells) {
        _mm512_storeu_si512(y[0], v);
        return;
    }
    _mm_mask_storeu_epi8(y[0], o->f->narrow, _mm512_castsi512_si128(v));
    _mm_mask_storeu_epi8(y[1], o->f->narrow, _mm512_extracti32x4_epi32(v, 1));
    _mm_mask_storeu_epi8(y[2], o->f->narrow, _mm512_extracti32x4_epi32(v, 2));
    _mm_mask_storeu_epi8(y[3], o->f->narrow, _mm512_extracti32x4_epi32(v, 3));
}

/* Up to so many groups of the block that waits. */
static inline __attribute__((always_inline)) void put_some(const work *k, outputs *o, int32_t many,
                                                           bool wide, octq_law law) {
    if (many > o->left) many = o->left;
    o->left -= many;
    for (; many > 0; many--) {
        (wide ? put_wide : put_narrow)(k, o, law);
        o->cell += wide ? 2 : 4;
        if (o->cell >= o->cells) o->cell = 0, o->tile++;
    }
}

/* A block's products, and between them the codes of the one before it. */
static inline __attribute__((always_inline)) void multiply(work *k, const block *at, bool wide,
                                                           octq_law law) {
    const octk_tiles_u8u8 *a = k->a;
    outputs *o = &k->out[k->now ^ 1];
    const int32_t tiles = at->tiles, chunks = a->chunks, runs = a->runs,
                  many = (o->left + runs * chunks - 1) / (runs * chunks);
    const int64_t chunk = (int64_t)a->steps * 4, pixel = a->pixel, panel = chunk * OCTK_TILE;
    const uint8_t *w0 = at->w[0], *w1 = at->w[1], *x0 = at->x[0], *x1 = at->x[1], *x2 = at->x[2],
                  *x3 = at->x[3];
    TILE_LOAD(0, at->b, 0);
    if (wide || tiles > 1) TILE_LOAD(1, at->b + (wide ? OCTK_TILE : 0), 0);
    if (wide ? tiles > 1 : tiles > 2) TILE_LOAD(2, at->b, 0);
    if (wide ? tiles > 1 : tiles > 3) TILE_LOAD(3, at->b + (wide ? OCTK_TILE : 0), 0);
    for (int32_t r = 0; r < runs; r++) {
        int64_t i = a->run[r];
        for (int32_t n = 0; n < chunks; n++, i += chunk, w0 += panel) {
            TILE_LOAD(6, w0, PANEL_BYTES);
            TILE_LOAD(4, x0 + i, pixel);
            TILE_DOT(0, 4, 6);
            if (wide) {
                TILE_LOAD(7, w1, PANEL_BYTES);
                TILE_DOT(1, 4, 7);
                w1 += panel;
                if (tiles > 1) {
                    TILE_LOAD(5, x1 + i, pixel);
                    TILE_DOT(2, 5, 6);
                    TILE_DOT(3, 5, 7);
                }
            } else {
                if (tiles > 1) {
                    TILE_LOAD(5, x1 + i, pixel);
                    TILE_DOT(1, 5, 6);
                }
                if (tiles > 2) {
                    TILE_LOAD(4, x2 + i, pixel);
                    TILE_DOT(2, 4, 6);
                }
                if (tiles > 3) {
                    TILE_LOAD(5, x3 + i, pixel);
                    TILE_DOT(3, 5, 6);
                }
            }
            put_some(k, o, many, wide, law);
        }
    }
    TILE_STORE(0, k->sum[0], PANEL_BYTES);
    if (wide || tiles > 1) TILE_STORE(1, k->sum[1], PANEL_BYTES);
    if (wide ? tiles > 1 : tiles > 2) TILE_STORE(2, k->sum[2], PANEL_BYTES);
    if (wide ? tiles > 1 : tiles > 3) TILE_STORE(3, k->sum[3], PANEL_BYTES);
}

/* Where a tile's cells go. */
static inline void place(const work *k, outputs *o, int32_t n, uint8_t *y, int32_t first) {
    const octk_tiles_u8u8 *a = k->a;
    uint8_t **at = o->y[n];
    if (a->wanted >= a->length) {
        for (int32_t i = 0; i < OCTK_TILE; i++) at[i] = y + (first + i) * a->y_pixel;
    } else {
        int32_t column = first % a->line;
        y += first / a->line * a->y_line + column * a->y_pixel;
        for (int32_t i = 0; i < k->c.cells; i++) {
            at[i] = column < a->wanted ? y : o->nobody;
            y += a->y_pixel;
            if (++column < a->line) continue;
            column = 0;
            y += a->y_line - a->line * a->y_pixel;
        }
    }
    for (int32_t i = k->c.cells; i < k->c.cells + AT_ONCE - 1; i++) at[i] = o->nobody;
}

static inline __attribute__((always_inline)) void panels(work *k, int32_t first, const finish *f,
                                                         bool wide, octq_law law) {
    const octk_tiles_u8u8 *a = k->a;
    const int32_t each = k->c.each, most = (wide ? SUMS / 2 : SUMS) / each, group = wide ? 2 : 4,
                  groups = (k->c.cells + group - 1) / group;
    const int64_t panel = (int64_t)a->runs * a->chunks * a->steps * PANEL_BYTES;
    block at = {.b = a->b + first, .w[0] = (const uint8_t *)a->w + first / OCTK_TILE * panel};
    at.w[1] = at.w[0] + panel;
    const bool joined = a->wanted >= a->length && a->y_pixel == (wide ? 32 : 16) &&
                        (wide ? f->wide == 0xffffffff : f->narrow == 0xffff);
    int32_t strip = 0, tile = 0;
    while (strip < a->strips) {
        outputs *o = &k->out[k->now];
        int32_t n = 0;
        for (; n < most && strip < a->strips; n++) {
            const int32_t begin = begin_of(a, &k->c, tile);
            const uint8_t *x = (const uint8_t *)a->x + strip * a->strip + begin * a->pixel;
            for (int32_t i = 0; i < each; i++) at.x[n * each + i] = x + i * a->strip;
            place(k, o, n, a->y + first + strip / each * a->y_strip, begin / each);
            if (++tile == k->c.tiles) tile = 0, strip += each;
        }
        at.tiles = n * each;
        multiply(k, &at, wide, law);
        o->f = f;
        o->cells = k->c.cells;
        o->left = n * groups;
        o->tile = o->cell = 0;
        o->joined = joined;
        k->now ^= 1;
    }
    /* panels of another kind may follow */
    outputs *o = &k->out[k->now ^ 1];
    put_some(k, o, o->left, wide, law);
}

static finish finish_of(const octk_tiles_u8u8 *a, int32_t first) {
    const int32_t rest = a->o - first;
    finish f = {.narrow = octk_first(rest),
                .wide = rest < 32 ? (__mmask32)((1u << rest) - 1) : 0xffffffff};
    f.by[0] = octk_sixteen_of(&a->by, first);
    if (rest > OCTK_TILE) f.by[1] = octk_sixteen_of(&a->by, first + OCTK_TILE);
    return f;
}

/* Once a law. */
#define EACH_LAW(law)                                                                              \
    static void all_##law(work *k) {                                                               \
        for (int32_t first = 0; first < k->a->o; first += 2 * OCTK_TILE) {                         \
            const finish f = finish_of(k->a, first);                                               \
            if (k->a->o - first > OCTK_TILE)                                                       \
                panels(k, first, &f, true, OCTQ_##law);                                            \
            else                                                                                   \
                panels(k, first, &f, false, OCTQ_##law);                                           \
        }                                                                                          \
    }
EACH_LAW(FP32)
EACH_LAW(Q31)

static void run(const void *arg) {
    const octk_tiles_u8u8 *a = arg;
    work k = {.a = a, .c = cut_of(a), .ends = octk_ends512_of(a->zy, a->lo, a->hi)};
    configure(a, &k.c);
    (a->by.law == OCTQ_FP32 ? all_FP32 : all_Q31)(&k);
    TILES_RELEASE();
}

void octk_tiles_u8u8_amx(const octk_tiles_u8u8 *a) { octk_with_tiles(run, a); }
