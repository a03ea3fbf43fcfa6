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
enum { SUMS = 4, LANES = OCTK_TILE, LANE_BYTES = LANES * 4 };

#define INLINE static inline __attribute__((always_inline)) /* what a form knows is constant */
typedef struct form {
    bool wide, pooled; /* two panels; else one */
    octk_way how;
} form;

/* How strips are cut into tiles: all of as many windows, the last one of a strip moved back, so
 * that a few windows are computed twice. Cells are outputs; four vectors of sums become codes
 * together, of two cells or of four. Where a tile's sums lie whole groups follow each other. */
typedef struct cut {
    int32_t tiles, windows; /* of a strip; of a tile */
    int32_t cells, pairs;   /* of a tile; pooled, of a pair of them; pairs of groups */
    int32_t each, most;     /* tiles of a spot; spots of a block */
    int64_t tile;           /* numbers of a tile's sums */
} cut;
static cut cut_of(const octk_tiles_u8u8 *a, bool wide) {
    const int32_t tiles = (a->length + LANES - 1) / LANES, each = a->pooled ? 2 : 1,
                  least = (a->length + tiles - 1) / tiles,
                  windows = (least + each - 1) / each * each, cells = windows / each,
                  both = wide ? 4 : 8, pairs = (cells + both - 1) / both;
    return (cut){tiles,
                 windows,
                 cells,
                 pairs,
                 each,
                 (wide ? SUMS / 2 : SUMS) / each,
                 (int64_t)pairs * each * 8 * LANES};
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
    __m512i b[2];
    octk_ends512 ends;
    __mmask32 there; /* channels */
    bool whole;      /* all of them */
    bool joined;     /* of all cells of a group, which follow each other, too */
} ending;
static octk_way way_of(const octk_tiles_u8u8 *a) {
    return octk_way_of(a->by.law, &a->lift, a->zy, a->lo, a->hi);
}
/* Panels from lane `first` on. */
static void end_at(ending *e, const octk_tiles_u8u8 *a, const cut *c, int32_t first, bool wide) {
    const int32_t rest = a->o - first, lanes = wide ? 2 * LANES : LANES, group = wide ? 2 : 4;
    const bool lifted = octk_is_lifted(way_of(a));
    e->ends = octk_ends512_of(a->zy, a->lo, a->hi);
    e->there = rest < 32 ? (__mmask32)((1u << rest) - 1) : 0xffffffff;
    e->whole = rest >= lanes;
    e->joined =
        e->whole && a->y_pixel == lanes && a->wanted >= a->length && c->cells % (2 * group) == 0;
    for (int32_t p = 0; p < (wide ? 2 : 1); p++) {
        e->b[p] = _mm512_loadu_si512((lifted ? a->lift.b : a->b) + first + p * LANES);
        if (a->by.law == OCTQ_Q31) {
            e->by[p] = octk_sixteen_of(&a->by, first + p * LANES);
            continue;
        }
        e->by[p].m = _mm512_loadu_ps(a->by.m + first + p * LANES); /* the rest is not read */
        if (lifted) e->lift[p] = _mm512_loadu_ps(a->lift.by + first + p * LANES);
    }
}

/* Where a tile's codes go, or a pair's: of cell i to y + out[i]. */
typedef struct place {
    uint8_t *y;
    const int64_t *out;
} place;

/* Where the walk stands: the next tile, or pair of them, and its strip's windows and outputs. */
typedef struct spot {
    int32_t tile, strip, image, first; /* first: lane */
    const uint8_t *x;
    uint8_t *y;
} spot;

/* A block: what it multiplies; its sums, which wait until the next one's products run, and where
 * their codes go. Of a cell the panels' sums follow each other, cells do, and tiles do; pooled, the
 * lower tiles of all pairs stand behind the upper ones. */
typedef struct block {
    _Alignas(64) int32_t sum[SUMS * LANES * LANES];
    ending end;
    const octk_tiles_u8u8 *a;
    const uint8_t *x[SUMS]; /* tiles of windows */
    const uint8_t *w;
    const int64_t *last;           /* behind the runs */
    int64_t weights, panel, pixel; /* bytes: of a run's tile, of a panel; between windows */
    place to[2][SUMS + 1]; /* of the block and of the one before, in turn; one is read behind */
    int32_t turn, tiles;   /* of `to`, the block's; of windows */
    int32_t waiting;       /* pairs of groups of the block before */
    int32_t codes;         /* behind which products of a run some are made */
    const place *next;     /* of the tile behind the one whose codes are made */
    cut c;
    spot at;
    int64_t out[OCTK_TILES_LINE + LANES]; /* lay_out */
} block;

/* Sums of vector i of a group. */
INLINE __m512i sums_of(const int32_t *s, __m512i b, int32_t i, int64_t lower, form f) {
    const int32_t panels = f.wide ? 2 : 1, next = panels * LANES;
    if (!f.pooled) return _mm512_add_epi32(b, _mm512_loadu_si512(s + i * LANES));
    s += (i / panels * 2 * panels + i % panels) * LANES;
    const __m512i upper = _mm512_max_epi32(_mm512_loadu_si512(s), _mm512_loadu_si512(s + next));
    s += lower;
    const __m512i most = _mm512_max_epi32(upper, _mm512_loadu_si512(s));
    return _mm512_add_epi32(b, _mm512_max_epi32(most, _mm512_loadu_si512(s + next)));
}
INLINE __m512i scaled(const int32_t *s, const ending *e, int32_t i, int64_t lower, form f) {
    const int32_t p = f.wide ? i % 2 : 0;
    const __m512i sums = sums_of(s, e->b[p], i, lower, f);
    if (octk_is_lifted(f.how)) return octk_lowered512(sums, e->by[p].m, e->lift[p]);
    return octk_scaled512(sums, &e->by[p], f.how == OCTK_BY_Q31 ? OCTQ_Q31 : OCTQ_FP32);
}
INLINE __m512i codes_of(const int32_t *s, const ending *e, int64_t lower, form f) {
    return octk_codes_by512(f.how, scaled(s, e, 0, lower, f), scaled(s, e, 1, lower, f),
                            scaled(s, e, 2, lower, f), scaled(s, e, 3, lower, f), e->ends);
}
/* A group's codes, of so many cells of it. In turn: what nobody wants of a line goes where the next
 * one begins, and is written over. */
INLINE void put_group(__m512i v, uint8_t *y, const int64_t *out, int32_t cells, const ending *e,
                      form f) {
    if (f.wide && e->whole && cells > 1) {
        _mm256_storeu_si256((__m256i *)(y + out[0]), _mm512_castsi512_si256(v));
        _mm256_storeu_si256((__m256i *)(y + out[1]), _mm512_extracti64x4_epi64(v, 1));
    } else if (f.wide) {
        const __mmask32 there = e->there;
        if (cells > 0) _mm256_mask_storeu_epi8(y + out[0], there, _mm512_castsi512_si256(v));
        if (cells > 1) _mm256_mask_storeu_epi8(y + out[1], there, _mm512_extracti64x4_epi64(v, 1));
    } else {
        const __mmask16 there = (__mmask16)e->there;
        if (cells > 0) _mm_mask_storeu_epi8(y + out[0], there, _mm512_castsi512_si128(v));
        if (cells > 1) _mm_mask_storeu_epi8(y + out[1], there, _mm512_extracti32x4_epi32(v, 1));
        if (cells > 2) _mm_mask_storeu_epi8(y + out[2], there, _mm512_extracti32x4_epi32(v, 2));
        if (cells > 3) _mm_mask_storeu_epi8(y + out[3], there, _mm512_extracti32x4_epi32(v, 3));
    }
}

/* The codes of a block that wait, a pair of groups after the other; of what is not here, see block.
 */
typedef struct queue {
    const int32_t *s;
    uint8_t *y;
    const int64_t *out;
    int32_t cells, waiting; /* left of the tile; pairs */
} queue;
INLINE queue queue_of(block *k) {
    const place *to = k->to[1 - k->turn];
    k->next = to + 1;
    return (queue){k->sum, to->y, to->out, k->c.cells, k->waiting};
}
/* The next pair. As little as can be besides codes: it takes the ports that these need. */
INLINE void put_pair(queue *q, block *k, const ending *e, form f) {
    const int64_t lower = f.wide ? k->c.tile : 2 * k->c.tile;
    const int32_t group = f.wide ? 2 : 4, apart = 4 * LANES * (f.pooled ? 2 : 1);
    const __m512i v = codes_of(q->s, e, lower, f), v2 = codes_of(q->s + apart, e, lower, f);
    if (k->end.joined) {
        uint8_t *y = q->y + q->out[0];
        _mm512_storeu_si512(y, v);
        _mm512_storeu_si512(y + 64, v2);
    } else {
        put_group(v, q->y, q->out, q->cells, &k->end, f);
        put_group(v2, q->y, q->out + group, q->cells - group, &k->end, f);
    }
    q->s += 2 * apart;
    q->out += 2 * group;
    q->waiting--;
    q->cells -= 2 * group;
    if (q->cells > 0) return;
    q->y = k->next->y, q->out = k->next++->out;
    q->cells = k->c.cells;
}

/* Where sum t lies. */
INLINE int32_t *sum_at(block *k, int32_t t, form f) {
    if (f.wide) return k->sum + t / 2 * k->c.tile + t % 2 * LANES;
    return k->sum + (f.pooled ? t % 2 * 2 + t / 2 : t) * k->c.tile;
}
#define STORE(t) TILE_STORE(t, sum_at(k, t, f), f.wide ? 2 * LANE_BYTES : LANE_BYTES)

/* A run of a block's products. The first one stores each sum of the block before when its tile's
 * turn comes; behind products of the others two groups of their codes are made. A tile's
 * instruction takes one of few registers until it is done, so whatever stands between two products
 * has the time of one and no more; where runs are many, fewer of theirs have codes behind them:
 * those that are stored in a heap wait for their lines where weights come from beyond the first
 * cache, too. */
#define BEGIN(t)                                                                                   \
    if (start) {                                                                                   \
        if (stored) STORE(t);                                                                      \
        TILE_ZERO(t);                                                                              \
    }
enum { ALWAYS = 1, HALF = 2, LAST = 4 };
#define BETWEEN(when)                                                                              \
    if (!start && q->waiting && (k->codes & (when))) put_pair(q, k, e, f);
INLINE void step(block *k, int64_t i, const uint8_t *w, bool start, queue *q, const ending *e,
                 form f) {
    const int32_t most = f.wide ? 2 : 4;
    const bool stored = start && q->waiting;
    TILE_LOAD(6, w, LANE_BYTES);
    TILE_LOAD(4, k->x[0] + i, k->pixel);
    BEGIN(0)
    TILE_DOT(0, 4, 6);
    BETWEEN(ALWAYS)
    if (f.wide) {
        TILE_LOAD(7, w + k->panel, LANE_BYTES);
        BEGIN(1)
        TILE_DOT(1, 4, 7);
        BETWEEN(HALF)
        if (k->tiles == most) {
            TILE_LOAD(5, k->x[1] + i, k->pixel);
            BEGIN(2)
            TILE_DOT(2, 5, 6);
            BETWEEN(ALWAYS)
            BEGIN(3)
            TILE_DOT(3, 5, 7);
            BETWEEN(LAST)
        }
    } else if (k->tiles > 1) {
        TILE_LOAD(5, k->x[1] + i, k->pixel);
        BEGIN(1)
        TILE_DOT(1, 5, 6);
        BETWEEN(HALF)
        if (k->tiles > 2) {
            TILE_LOAD(4, k->x[2] + i, k->pixel);
            BEGIN(2)
            TILE_DOT(2, 4, 6);
            BETWEEN(ALWAYS)
        }
        if (k->tiles == most) {
            TILE_LOAD(5, k->x[3] + i, k->pixel);
            BEGIN(3)
            TILE_DOT(3, 5, 6);
            BETWEEN(LAST)
        }
    }
    if (stored && k->tiles < most) { /* sums that this block has not */
        if (!f.wide && k->tiles < 2) STORE(1);
        if (f.wide || k->tiles < 3) STORE(2);
        STORE(3);
    }
}
/* A block's products, and between them the codes of the one before. What an instruction of tiles
 * needs is read from the block each time: there are not registers for all of it, and compilers
 * would keep the rest in vectors', from which it comes back behind products that wait. */
INLINE void multiply(block *k, form f) {
    const ending e = k->end;
    const int64_t *run = k->a->run;
    const uint8_t *w = k->w;
    queue q = queue_of(k);
    step(k, *run, w, true, &q, &e, f);
    while (++run < k->last) step(k, *run, w += k->weights, false, &q, &e, f);
    while (q.waiting) put_pair(&q, k, &e, f);
}
/* The sums of a block behind which none comes, and all of its codes. */
INLINE void finish(block *k, form f) {
    const ending e = k->end;
    queue q = queue_of(k);
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
    while (q.waiting) put_pair(&q, k, &e, f);
    k->waiting = 0;
}

/* Where cells go from a line's beginning on, as far as a tile reaches that begins in it. What lies
 * between lines goes where the next one begins: the last window of a strip is wanted. */
static void lay_out(block *k) {
    const octk_tiles_u8u8 *a = k->a;
    if (a->wanted >= a->length) {
        for (int32_t i = 0; i < LANES; i++) k->out[i] = i * a->y_pixel;
        return;
    }
    int64_t line = 0;
    for (int32_t i = 0, column = 0; i < a->line + LANES; i++, column++) {
        if (column == a->line) column = 0, line += a->y_line;
        k->out[i] = line + (column < a->wanted ? column * a->y_pixel : a->y_line);
    }
}

/* Where the next tile's codes go, or pair's, that begins with the strip's window `window`. */
INLINE place place_of(const block *k, int64_t window) {
    const octk_tiles_u8u8 *a = k->a;
    if (a->wanted >= a->length)
        return (place){k->at.y + (window * a->y_pixel >> a->pooled), k->out};
    const uint32_t at = (uint32_t)window, line = (uint32_t)a->line;
    return (place){k->at.y + at / line * a->y_line, k->out + at % line};
}
/* The next tile's strip's beginning, where one is done. */
static __attribute__((noinline)) void next_strip(block *k) {
    const octk_tiles_u8u8 *a = k->a;
    spot *at = &k->at;
    at->tile = 0, at->strip += k->c.each;
    at->x += k->c.each * a->strip, at->y += a->y_strip;
    if (at->strip < a->strips) return;
    at->strip = 0, at->image++;
    at->x = (const uint8_t *)a->x + at->image * a->image;
    at->y = a->y + at->first + at->image * a->y_image;
}
/* The block's tiles. */
INLINE void take(block *k) {
    const octk_tiles_u8u8 *a = k->a;
    place *to = k->to[k->turn];
    int32_t n = 0;
    for (int32_t i = 0; i < k->c.most && k->at.image < a->images; i++) {
        const int64_t window = begin_of(a, &k->c, k->at.tile);
        k->x[n++] = k->at.x + window * a->pixel;
        if (a->pooled) k->x[n++] = k->at.x + window * a->pixel + a->strip;
        to[i] = place_of(k, window);
        if (++k->at.tile == k->c.tiles) next_strip(k);
    }
    k->tiles = n;
}

typedef void multiply_fn(block *k);

/* All windows with one panel or two. */
static void panels(block *k, int32_t first, bool wide, multiply_fn *its_multiply) {
    const octk_tiles_u8u8 *a = k->a;
    const cut c = cut_of(a, wide);
    ending end;
    end_at(&end, a, &c, first, wide);
    k->c = c;
    k->w = (const uint8_t *)a->w + first * k->weights / LANES * a->runs;
    k->at = (spot){.first = first, .x = a->x, .y = a->y + first};
    for (bool begun = false; k->at.image < a->images; begun = true) {
        take(k);
        its_multiply(k); /* its end is still that of the block before */
        if (!begun) k->end = end;
        k->waiting = k->tiles / c.each * c.pairs;
        k->turn = 1 - k->turn;
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
        int32_t first = 0;                                                                         \
        for (; k->a->o - first > LANES; first += 2 * LANES) panels(k, first, true, name##_wide);   \
        if (k->waiting) finish(k, (form){true, is_pooled, its_way});                               \
        if (first >= k->a->o) return;                                                              \
        panels(k, first, false, name##_slim);                                                      \
        finish(k, (form){false, is_pooled, its_way});                                              \
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
    k.pixel = a->pixel;
    k.last = a->run + a->runs;
    k.codes = LAST | (a->runs < 9 ? HALF : 0) | (a->runs < 5 ? ALWAYS : 0);
    k.weights = (int64_t)a->steps * LANE_BYTES;
    k.panel = a->runs * k.weights;
    k.c = cut_of(a, a->o > LANES);
    k.waiting = k.turn = 0;
    lay_out(&k);
    configure(a, k.c.windows);
    forms[way_of(a)][a->pooled](&k);
    TILES_RELEASE();
}

void octk_tiles_u8u8_amx(const octk_tiles_u8u8 *a) { octk_with_tiles(work, a); }
