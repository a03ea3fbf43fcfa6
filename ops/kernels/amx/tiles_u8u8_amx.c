/* SPDX-License-Identifier: MIT
 * Convolution of codes with TDPBUSD. A tile of codes is up to 16 windows, read from where they lie:
 * windows of one strip begin a fixed number of bytes apart, and that is the pitch of the load; they
 * may overlap. A tile of weights is a run of a panel. Blocks of four sums: two tiles of windows by
 * two panels, or four by one. A block's sums become codes while the next one's products run: what
 * is left out of either order is waited for. Nothing saturates. */
#include "ops/kernels/amx/tiles_amx.h"
#include "ops/kernels/avx512/requant_avx512.h"
#include "ops/kernels/kernels.h"

/* Tiles 0 to 3 are sums, 4 and 5 windows, 6 and 7 weights. */
enum { NOBODY = -1, SUMS = 4, LANES = OCTK_TILE, LANE_BYTES = LANES * 4 };

#define INLINE static inline __attribute__((always_inline)) /* what a form knows is constant */
typedef struct form {
    bool wide, pooled; /* two panels; else one */
    octk_way how;
} form;

/* How strips are cut into tiles: all of as many windows, the last one of a strip moved back, so
 * that a few windows are computed twice. Cells are outputs; four vectors of sums become codes
 * together, of two cells or of four. */
typedef struct cut {
    int32_t tiles, windows; /* of a strip; of a tile */
    int32_t cells, groups;  /* of a tile; pooled, of a pair of them */
} cut;
INLINE cut cut_of(const octk_tiles_u8u8 *a, form f) {
    const int32_t tiles = (a->length + LANES - 1) / LANES, least = (a->length + tiles - 1) / tiles,
                  windows = f.pooled ? (least + 1) & ~1 : least,
                  cells = f.pooled ? windows / 2 : windows, group = f.wide ? 2 : 4;
    return (cut){tiles, windows, cells, (cells + group - 1) / group};
}
static inline int32_t begin_of(const octk_tiles_u8u8 *a, const cut *c, int32_t tile) {
    const int32_t at = tile * c->windows, last = a->length - c->windows;
    return at < last ? at : last;
}

static void configure(const octk_tiles_u8u8 *a, int32_t windows) {
    octk_tile_shapes s = {.palette = 1};
    for (int32_t t = 0; t < 8; t++) {
        s.rows[t] = (uint8_t)(t < 6 ? windows : a->steps);
        s.bytes[t] = (uint16_t)(t == 4 || t == 5 ? 4 * a->steps : LANE_BYTES);
    }
    TILES_CONFIGURE(&s);
}

/* How the sums of one panel or two become codes. */
typedef struct ending {
    octk_sixteen by[2];
    __m512 lift[2]; /* what lifted sums lose */
    octk_ends512 ends;
    __mmask32 there; /* channels */
    bool joined;     /* of cells that follow each other, too */
} ending;
INLINE void end_at(ending *e, const octk_tiles_u8u8 *a, int32_t first, form f) {
    const int32_t rest = a->o - first, lanes = f.wide ? 2 * LANES : LANES;
    e->ends = octk_ends512_of(a->zy, a->lo, a->hi);
    e->there = rest < 32 ? (__mmask32)((1u << rest) - 1) : 0xffffffff;
    e->joined = rest >= lanes && a->y_pixel == lanes && a->wanted >= a->length;
    for (int32_t p = 0; p < (f.wide ? 2 : 1); p++) {
        if (f.how == OCTK_BY_Q31) {
            e->by[p] = octk_sixteen_of(&a->by, first + p * LANES);
            continue;
        }
        e->by[p].m = _mm512_loadu_ps(a->by.m + first + p * LANES); /* the rest is not read */
        if (octk_is_lifted(f.how)) e->lift[p] = _mm512_loadu_ps(a->lift.by + first + p * LANES);
    }
}

/* A block: what it multiplies; its sums, which wait until the next one's products run, and where
 * their codes go. Of a cell the panels' sums follow each other, cells do, and tiles do, whole
 * groups of each, `tile` numbers; pooled, the lower tiles of all pairs stand behind the upper ones.
 */
typedef struct block {
    _Alignas(64) int32_t sum[SUMS * LANES * LANES];
    /* of each cell, `nobody` where it is not wanted; of places behind a tile's last one `nobody`,
     * or their group's first, which is stored last */
    uint8_t *y[SUMS * LANES];
    ending end;
    const octk_tiles_u8u8 *a;
    const uint8_t *x[SUMS]; /* tiles of windows */
    const uint8_t *w;
    const int32_t *b;
    int64_t tile, out[OCTK_TILES_LINE + LANES]; /* lay_out */
    int32_t tiles, waiting;                     /* of windows; groups of the block before */
    cut c;
    uint8_t nobody[64];
} block;

/* Sums of vector i of a group. */
INLINE __m512i sums_of(const int32_t *s, int32_t i, int64_t lower, form f) {
    if (!f.pooled) return _mm512_loadu_si512(s + i * LANES);
    const int32_t panels = f.wide ? 2 : 1, next = panels * LANES;
    s += (i / panels * 2 * panels + i % panels) * LANES;
    return _mm512_max_epi32(
        _mm512_max_epi32(_mm512_loadu_si512(s), _mm512_loadu_si512(s + next)),
        _mm512_max_epi32(_mm512_loadu_si512(s + lower), _mm512_loadu_si512(s + lower + next)));
}
INLINE __m512i scaled(const int32_t *s, const ending *e, int32_t i, int64_t lower, form f) {
    const __m512i sums = sums_of(s, i, lower, f);
    const int32_t p = f.wide ? i % 2 : 0;
    if (octk_is_lifted(f.how)) return octk_lowered512(sums, e->by[p].m, e->lift[p]);
    return octk_scaled512(sums, &e->by[p], f.how == OCTK_BY_Q31 ? OCTQ_Q31 : OCTQ_FP32);
}
INLINE void put_group(const int32_t *s, uint8_t *const *y, const ending *e, int64_t lower, form f) {
    const __m512i v =
        octk_codes_by512(f.how, scaled(s, e, 0, lower, f), scaled(s, e, 1, lower, f),
                         scaled(s, e, 2, lower, f), scaled(s, e, 3, lower, f), e->ends);
    if (e->joined && y[f.wide ? 1 : 3] != y[0]) {
        _mm512_storeu_si512(y[0], v);
    } else if (f.wide) {
        _mm256_mask_storeu_epi8(y[1], e->there, _mm512_extracti64x4_epi64(v, 1));
        _mm256_mask_storeu_epi8(y[0], e->there, _mm512_castsi512_si256(v));
    } else {
        const __mmask16 there = (__mmask16)e->there;
        _mm_mask_storeu_epi8(y[3], there, _mm512_extracti32x4_epi32(v, 3));
        _mm_mask_storeu_epi8(y[2], there, _mm512_extracti32x4_epi32(v, 2));
        _mm_mask_storeu_epi8(y[1], there, _mm512_extracti32x4_epi32(v, 1));
        _mm_mask_storeu_epi8(y[0], there, _mm512_castsi512_si128(v));
    }
}

/* Where sum t lies. */
INLINE int32_t *sum_at(block *k, int32_t t, form f) {
    if (f.wide) return k->sum + t / 2 * k->tile + t % 2 * LANES;
    return k->sum + (f.pooled ? t % 2 * 2 + t / 2 : t) * k->tile;
}
#define STORE(t) TILE_STORE(t, sum_at(k, t, f), f.wide ? 2 * LANE_BYTES : LANE_BYTES)

/* A block's products, and between them the codes of the one before, each sum of which is stored
 * when its tile's turn comes: products go on. */
#define BEGIN(t, bias)                                                                             \
    if (start) {                                                                                   \
        if (waiting) STORE(t);                                                                     \
        TILE_LOAD(t, bias, 0);                                                                     \
    }
INLINE void multiply(block *k, form f) {
    const octk_tiles_u8u8 *a = k->a;
    const ending e = k->end;
    const int64_t lower = f.wide ? k->tile : 2 * k->tile, pixel = a->pixel,
                  weights = (int64_t)a->steps * LANE_BYTES, panel = a->runs * weights;
    const int64_t *run = a->run, *const last = run + a->runs;
    const uint8_t *w = k->w, *x0 = k->x[0], *x1 = k->x[1], *x2 = k->x[2], *x3 = k->x[3];
    const int32_t tiles = k->tiles, most = f.wide ? 2 : 4,
                  many = (k->waiting + a->runs - 1) / a->runs, *s = k->sum;
    uint8_t *const *y = k->y;
    int32_t waiting = k->waiting;
    for (bool start = true; run < last; run++, w += weights, start = false) {
        const int64_t i = *run;
        BEGIN(0, k->b)
        TILE_LOAD(6, w, LANE_BYTES);
        TILE_LOAD(4, x0 + i, pixel);
        TILE_DOT(0, 4, 6);
        if (f.wide) {
            BEGIN(1, k->b + LANES)
            TILE_LOAD(7, w + panel, LANE_BYTES);
            TILE_DOT(1, 4, 7);
            if (tiles == most) {
                BEGIN(2, k->b)
                TILE_LOAD(5, x1 + i, pixel);
                TILE_DOT(2, 5, 6);
                BEGIN(3, k->b + LANES)
                TILE_DOT(3, 5, 7);
            }
        } else if (tiles > 1) {
            BEGIN(1, k->b)
            TILE_LOAD(5, x1 + i, pixel);
            TILE_DOT(1, 5, 6);
            if (tiles > 2) {
                BEGIN(2, k->b)
                TILE_LOAD(4, x2 + i, pixel);
                TILE_DOT(2, 4, 6);
            }
            if (tiles == most) {
                BEGIN(3, k->b)
                TILE_LOAD(5, x3 + i, pixel);
                TILE_DOT(3, 5, 6);
            }
        }
        if (start && waiting && tiles < most) { /* sums that this block has not */
            if (!f.wide && tiles < 2) STORE(1);
            if (f.wide || tiles < 3) STORE(2);
            STORE(3);
        }
        for (int32_t n = many < waiting ? many : waiting; n > 0; n--, waiting--) {
            put_group(s, y, &e, lower, f);
            s += 4 * LANES * (f.pooled ? 2 : 1);
            y += f.wide ? 2 : 4;
        }
    }
}
/* The sums of a block behind which none comes, and all of its codes. */
INLINE void finish(block *k, form f) {
    const ending e = k->end;
    const int64_t lower = f.wide ? k->tile : 2 * k->tile;
    const int32_t *s = k->sum;
    uint8_t *const *y = k->y;
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
    for (; k->waiting > 0; k->waiting--) {
        put_group(s, y, &e, lower, f);
        s += 4 * LANES * (f.pooled ? 2 : 1);
        y += f.wide ? 2 : 4;
    }
}

/* Where outputs go from a line's beginning on, as far as a tile reaches that begins in it; where
 * the strip is one line, from its tile's, whose last group's places all have a cell. */
INLINE void lay_out(block *k, form f) {
    const octk_tiles_u8u8 *a = k->a;
    const int32_t group = f.wide ? 2 : 4;
    if (a->wanted >= a->length) {
        for (int32_t i = 0; i < LANES; i++)
            k->out[i] = (i < k->c.cells ? i : i / group * group) * a->y_pixel;
        return;
    }
    int64_t y = 0;
    for (int32_t i = 0, column = 0; i < a->line + LANES; i++, y += a->y_pixel) {
        if (column == a->line) column = 0, y += a->y_line - a->line * a->y_pixel;
        k->out[i] = column++ < a->wanted ? y : NOBODY;
    }
}
/* Where those of a tile go that begins with the strip's output `first`. */
static inline void place(block *k, uint8_t *y, int32_t first, uint8_t **restrict at) {
    const octk_tiles_u8u8 *a = k->a;
    if (a->wanted >= a->length) {
        y += first * a->y_pixel;
        for (int32_t i = 0; i < LANES; i++) at[i] = y + k->out[i];
        return;
    }
    const int64_t *out = k->out + first % a->line;
    y += first / a->line * a->y_line;
    for (int32_t i = 0; i < LANES; i++)
        at[i] = i < k->c.cells && out[i] >= 0 ? y + out[i] : k->nobody;
}

typedef struct spot { /* a tile, or a pair of them */
    int32_t image, strip, tile;
} spot;
INLINE spot behind(spot s, const octk_tiles_u8u8 *a, const cut *c, form f) {
    if (++s.tile < c->tiles) return s;
    s.tile = 0;
    s.strip += f.pooled ? 2 : 1;
    if (s.strip < a->strips) return s;
    return (spot){.image = s.image + 1};
}

typedef void multiply_fn(block *k);

/* All windows with one panel or two. */
INLINE void panels(block *k, int32_t first, form f, multiply_fn *its_multiply) {
    const octk_tiles_u8u8 *a = k->a;
    const cut c = cut_of(a, f);
    const int32_t each = f.pooled ? 2 : 1, most = f.wide ? SUMS / 2 : SUMS, group = f.wide ? 2 : 4,
                  slots = c.groups * group;
    k->c = c;
    k->tile = (int64_t)slots * each * LANES * (f.wide ? 2 : 1);
    k->b = (octk_is_lifted(f.how) ? a->lift.b : a->b) + first;
    k->w = (const uint8_t *)a->w + (int64_t)first * 4 * a->runs * a->steps;
    if (first == 0 || !f.wide) lay_out(k, f);
    bool first_block = true;
    for (spot at = {0}; at.image < a->images; first_block = false) {
        uint8_t *y[SUMS]; /* of each spot: where its strip's codes go, and from which output on */
        int32_t spots = 0, begin[SUMS];
        do {
            const int32_t window = begin_of(a, &c, at.tile);
            const uint8_t *x = (const uint8_t *)a->x + at.image * a->image + at.strip * a->strip +
                               window * a->pixel;
            k->x[spots * each] = x;
            if (f.pooled) k->x[spots * each + 1] = x + a->strip;
            y[spots] = a->y + first + at.image * a->y_image + at.strip / each * a->y_strip;
            begin[spots++] = window / each;
            at = behind(at, a, &c, f);
        } while (spots * each < most && at.image < a->images);
        k->tiles = spots * each;
        its_multiply(k); /* its end is still that of the block before */
        if (first_block) end_at(&k->end, a, first, f);
        k->waiting = spots * c.groups;
        for (int32_t i = 0; i < spots; i++) place(k, y[i], begin[i], k->y + i * slots);
    }
}

/* All channels: panels by two, then the last one alone. The steps apart from the walk, so that
 * neither lacks registers. */
#define ALL(name, is_pooled, its_way)                                                              \
    static __attribute__((noinline)) void name##_wide(block *k) {                                  \
        multiply(k, (form){true, is_pooled, its_way});                                             \
    }                                                                                              \
    static __attribute__((noinline)) void name##_slim(block *k) {                                  \
        multiply(k, (form){false, is_pooled, its_way});                                            \
    }                                                                                              \
    static void name(block *k) {                                                                   \
        const form wide = {true, is_pooled, its_way}, slim = {false, is_pooled, its_way};          \
        int32_t first = 0;                                                                         \
        for (; k->a->o - first > LANES; first += 2 * LANES) panels(k, first, wide, name##_wide);   \
        if (k->waiting) finish(k, wide);                                                           \
        if (first >= k->a->o) return;                                                              \
        panels(k, first, slim, name##_slim);                                                       \
        finish(k, slim);                                                                           \
    }
#define BOTH(name, its_way)                                                                        \
    ALL(all_##name, false, its_way)                                                                \
    ALL(pools_##name, true, its_way)
BOTH(q31, OCTK_BY_Q31)
BOTH(clamped, OCTK_CLAMPED)
BOTH(whole, OCTK_WHOLE)
BOTH(lifted, OCTK_LIFTED)
BOTH(bare, OCTK_BARE)
static void (*const forms[][2])(block *) = {[OCTK_BY_Q31] = {all_q31, pools_q31},
                                            [OCTK_CLAMPED] = {all_clamped, pools_clamped},
                                            [OCTK_WHOLE] = {all_whole, pools_whole},
                                            [OCTK_LIFTED] = {all_lifted, pools_lifted},
                                            [OCTK_BARE] = {all_bare, pools_bare}};

static void work(const void *arg) {
    const octk_tiles_u8u8 *a = arg;
    block k;
    k.a = a;
    k.waiting = 0;
    configure(a, cut_of(a, (form){.pooled = a->pooled}).windows);
    forms[octk_way_of(a->by.law, &a->lift, a->zy, a->lo, a->hi)][a->pooled](&k);
    TILES_RELEASE();
}

void octk_tiles_u8u8_amx(const octk_tiles_u8u8 *a) { octk_with_tiles(work, a); }
