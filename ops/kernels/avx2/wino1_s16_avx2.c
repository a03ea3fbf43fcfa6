/* SPDX-License-Identifier: MIT
 * Exact integer Winograd along a row with VPMADDWD: see kernels.h for the matrices, the bounds and
 * the layouts. */
#include <immintrin.h>

#include "ops/kernels/avx2/wino_avx2.h"

enum { POINTS = OCTK_WINO1_POINTS };

/* ---- input: a vector is 16 channels of a cell, or, where there are no more, 8 of a cell and 8 of
 * the one below. Rows, and channels of each, go upwards, so that what a store leaves behind its
 * channels is written over. ---- */

typedef struct pair { /* of rows; both the same where one is left */
    const uint8_t *x[2];
    int16_t *v[2];
} pair;

static inline v8 cell(const uint8_t *x, const uint8_t *below, bool both) {
    if (!both) return codes(x);
    const __m128i up = _mm_loadl_epi64((const __m128i *)x);
    return _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(up, _mm_loadl_epi64((const __m128i *)below)));
}

static inline __attribute__((always_inline)) void row_in(const octk_wino1_in_u8s16 *a, pair r,
                                                         int32_t tile, bool both) {
    /* copies: a store of a vector might change what `a` points to */
    const int64_t pixel = a->pixel, v_tile = a->v_tile, v_point = a->v_point;
    const uint8_t *x = r.x[0], *below = r.x[1];
    int16_t *v0 = r.v[0], *v1 = r.v[1];
    v8 d[POINTS], v[POINTS];
    /* a tile shares 6 - tile cells with the one before */
    for (int32_t w = tile; w < POINTS; w++, x += pixel, below += pixel) d[w] = cell(x, below, both);
    for (int32_t t = a->tiles; t > 0; t--, v0 += v_tile, v1 += v_tile) {
        for (int32_t w = 0; w < POINTS - tile; w++) d[w] = d[w + tile];
        for (int32_t w = POINTS - tile; w < POINTS; w++, x += pixel, below += pixel)
            d[w] = cell(x, below, both);
        LINE_IN(v, d[0], d[1], d[2], d[3], d[4], d[5])
        for (int32_t i = 0; i < POINTS; i++) {
            if (both) {
                _mm_storeu_si128((__m128i *)(v0 + i * v_point), _mm256_castsi256_si128(v[i]));
                _mm_storeu_si128((__m128i *)(v1 + i * v_point), _mm256_extracti128_si256(v[i], 1));
            } else {
                store(v0 + i * v_point, v[i]);
            }
        }
    }
}

static inline __attribute__((always_inline)) void rows_in(const octk_wino1_in_u8s16 *a,
                                                          int32_t tile) {
    const bool both = a->c <= 8;
    for (int32_t h = 0; h < a->rows; h += both ? 2 : 1) {
        const int32_t low = h + 1 < a->rows ? h + 1 : h;
        for (int32_t c = 0; c < a->c; c += 16) {
            const pair r = {{a->x + h * a->row + c, a->x + low * a->row + c},
                            {a->v + (int64_t)h * a->c + c, a->v + (int64_t)low * a->c + c}};
            if (both)
                row_in(a, r, tile, true);
            else
                row_in(a, r, tile, false);
        }
    }
}

void octk_wino1_in_u8s16_avx2(const octk_wino1_in_u8s16 *a) {
    if (a->tile == 2)
        rows_in(a, 2);
    else
        rows_in(a, 4);
}

/* ---- products: up to six windows by 16 outputs, a point after the other. Assembly, since gcc 12
 * spills accumulators. ---- */

#define FIRST(i, c, d)                                                                             \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm14\n\tvpmaddwd %%ymm12,%%ymm14,%%ymm" #c                  \
    "\n\tvpmaddwd %%ymm13,%%ymm14,%%ymm" #d "\n\t"
#define NEXT(i, c, d)                                                                              \
    "vpbroadcastd (%[p" #i "],%[k]),%%ymm14\n\tvpmaddwd %%ymm12,%%ymm14,%%ymm15\n\t"               \
    "vpmaddwd %%ymm13,%%ymm14,%%ymm14\n\tvpaddd %%ymm15,%%ymm" #c ",%%ymm" #c "\n\t"               \
    "vpaddd %%ymm14,%%ymm" #d ",%%ymm" #d "\n\t"
#define LOAD     "vmovdqu (%[u]),%%ymm12\n\tvmovdqu 32(%[u]),%%ymm13\n\tadd $64,%[u]\n\t"
#define ACC(n)   register __m256i c##n __asm__("ymm" #n);
#define OUT(n)   "=x"(c##n)
#define PLACE(i) [p##i] "r"(v[i] + to)
#define SAVE(n)  store(m + (n)*8, c##n);
typedef void product_fn(const octk_wino1_s16u8 *a, const int16_t *u, const int16_t *const *v,
                        int32_t *m);
/* k goes from the windows' beginnings, so many bytes before their ends, up to these */
#define PRODUCT(name, vectors, outputs, places, rows, saves)                                       \
    static void name(const octk_wino1_s16u8 *a, const int16_t *u, const int16_t *const *v,         \
                     int32_t *m) {                                                                 \
        int64_t to = 2 * a->steps;                                                                 \
        for (int32_t i = 0; i < POINTS; i++, m += G * 16, to += a->v_point) {                      \
            int64_t k = -4 * (int64_t)a->steps;                                                    \
            vectors __asm__ volatile(                                                              \
                LOAD rows(FIRST) "add $4,%[k]\n\tjz 2f\n\t.p2align 4\n1:\n\t" LOAD rows(           \
                    NEXT) "add $4,%[k]\n\tjnz 1b\n2:\n\t"                                          \
                : outputs, [u] "+r"(u), [k] "+r"(k)                                                \
                : places                                                                           \
                : "memory", "cc", "ymm12", "ymm13", "ymm14", "ymm15");                             \
            saves                                                                                  \
        }                                                                                          \
    }
#define ROWS_1(WHAT) WHAT(0, 0, 1)
#define ROWS_2(WHAT) ROWS_1(WHAT) WHAT(1, 2, 3)
#define ROWS_3(WHAT) ROWS_2(WHAT) WHAT(2, 4, 5)
#define ROWS_4(WHAT) ROWS_3(WHAT) WHAT(3, 6, 7)
#define ROWS_5(WHAT) ROWS_4(WHAT) WHAT(4, 8, 9)
#define ROWS_6(WHAT) ROWS_5(WHAT) WHAT(5, 10, 11)
#define ACC_1        ACC(0) ACC(1)
#define ACC_2        ACC_1 ACC(2) ACC(3)
#define ACC_3        ACC_2 ACC(4) ACC(5)
#define ACC_4        ACC_3 ACC(6) ACC(7)
#define ACC_5        ACC_4 ACC(8) ACC(9)
#define ACC_6        ACC_5 ACC(10) ACC(11)
#define OUT_1        OUT(0), OUT(1)
#define OUT_2        OUT_1, OUT(2), OUT(3)
#define OUT_3        OUT_2, OUT(4), OUT(5)
#define OUT_4        OUT_3, OUT(6), OUT(7)
#define OUT_5        OUT_4, OUT(8), OUT(9)
#define OUT_6        OUT_5, OUT(10), OUT(11)
#define PLACE_1      PLACE(0)
#define PLACE_2      PLACE_1, PLACE(1)
#define PLACE_3      PLACE_2, PLACE(2)
#define PLACE_4      PLACE_3, PLACE(3)
#define PLACE_5      PLACE_4, PLACE(4)
#define PLACE_6      PLACE_5, PLACE(5)
#define SAVE_1       SAVE(0) SAVE(1)
#define SAVE_2       SAVE_1 SAVE(2) SAVE(3)
#define SAVE_3       SAVE_2 SAVE(4) SAVE(5)
#define SAVE_4       SAVE_3 SAVE(6) SAVE(7)
#define SAVE_5       SAVE_4 SAVE(8) SAVE(9)
#define SAVE_6       SAVE_5 SAVE(10) SAVE(11)
PRODUCT(product1, ACC_1, OUT_1, PLACE_1, ROWS_1, SAVE_1)
PRODUCT(product2, ACC_2, OUT_2, PLACE_2, ROWS_2, SAVE_2)
PRODUCT(product3, ACC_3, OUT_3, PLACE_3, ROWS_3, SAVE_3)
PRODUCT(product4, ACC_4, OUT_4, PLACE_4, ROWS_4, SAVE_4)
PRODUCT(product5, ACC_5, OUT_5, PLACE_5, ROWS_5, SAVE_5)
PRODUCT(product6, ACC_6, OUT_6, PLACE_6, ROWS_6, SAVE_6)

/* ---- output ---- */

typedef struct panel {
    const octk_wino1_s16u8 *a;
    octk_ends ends;
    octk_eight by[2];
    v8 bias[2];
    int32_t first, valid; /* channels */
} panel;

/* A tile's outputs, 24 times too large, of 8 channels; the bias comes at point 1, which all have
 * once. */
static inline __attribute__((always_inline)) void tile_out(const int32_t *m, v8 bias, int32_t tile,
                                                           v8 *y) {
    const v8 m0 = load(m), m1 = ADD32(load(m + G * 16), bias), m2 = load(m + 2 * G * 16),
             m3 = load(m + 3 * G * 16), m4 = load(m + 4 * G * 16), m5 = load(m + 5 * G * 16),
             p = ADD32(m1, m2), q = SUB32(m1, m2), r = ADD32(m3, m4), s = SUB32(m3, m4);
    y[0] = ADD32(ADD32(m0, p), r);
    y[1] = ADD32(q, ADD32(s, s));
    if (tile == 2) {
        y[1] = ADD32(y[1], m5);
    } else {
        y[2] = ADD32(p, SHL32(r, 2));
        y[3] = ADD32(ADD32(q, SHL32(s, 3)), m5);
    }
}

/* How sums become codes. */
typedef struct way {
    octq_law law;
    bool plain, small; /* see put; octk_wino1_s16u8 */
} way;

static inline __attribute__((always_inline)) v8 rounded(v8 s, const octk_eight *by, way w) {
    if (w.small) return scaled_small(s, _mm256_set1_ps(1.0f / 3), by->m);
    s = _mm256_mullo_epi32(s, _mm256_set1_epi32((int32_t)2863311531u)); /* the inverse of 3 */
    if (w.law == OCTQ_Q31) s = _mm256_srai_epi32(s, 3);
    return octk_scaled(s, by, w.law);
}

/* Two outputs of 16 channels, or one twice; whole: all of them are wanted, known when compiling. */
static inline __attribute__((always_inline)) void
put_two(const panel *t, const v8 *y, const v8 *z, way w, bool whole, uint8_t *y0, uint8_t *y1) {
    v8 v[2]; /* halves of both */
    uint8_t block[32];
    for (int32_t i = 0; i < 2; i++)
        v[i] = _mm256_packs_epi32(rounded(y[i], &t->by[i], w), rounded(z[i], &t->by[i], w));
    if (whole || t->valid == 16) {
        put(y0, y1, v[0], v[1], t->ends, w.plain);
        return;
    }
    put(block, block + 16, v[0], v[1], t->ends, w.plain);
    octk_store_bytes(y0, _mm_loadu_si128((const __m128i *)block), t->valid);
    octk_store_bytes(y1, _mm_loadu_si128((const __m128i *)(block + 16)), t->valid);
}

/* Outputs of one row of one tile, a pixel after the other, the first `count` of them: most often
 * all, and then nothing is asked for each. */
static inline __attribute__((always_inline)) void row_out(const panel *t, v8 (*y)[2], int32_t most,
                                                          int32_t count, way w, uint8_t *to) {
    const int64_t pixel = t->a->y.pixel;
    if (most > 1 && count >= most && t->valid == 16) {
        for (int32_t j = 0; j < most; j += 2)
            put_two(t, y[j], y[j + 1], w, true, to + j * pixel, to + (j + 1) * pixel);
        return;
    }
    for (int32_t j = 0; j < most && j < count; j += 2) {
        const bool both = j + 1 < most && j + 1 < count;
        v8 z[2];
        memcpy(z, y[both ? j + 1 : j], sizeof z);
        put_two(t, y[j], z, w, false, to + j * pixel, to + (both ? j + 1 : j) * pixel);
    }
}

/* Windows, down a column of tiles and then down the next one. */
typedef struct window {
    const int16_t *v;
    uint8_t *y;
    int32_t h, columns; /* its row; columns from its first output on */
} window;

static inline window next_window(const octk_wino1_s16u8 *a, window w, int32_t rows, int32_t wide,
                                 bool pooled) {
    if (++w.h < rows) {
        w.v += a->v_row;
        if (!pooled || w.h % 2 == 0) w.y += a->y.row;
        return w;
    }
    w.v += a->v_tile - (rows - 1) * a->v_row;
    w.y += wide * a->y.pixel - (a->p - 1) * a->y.row;
    w.columns -= wide;
    w.h = 0;
    return w;
}

static inline __attribute__((always_inline)) void panel_out(const panel *t, const int16_t *u,
                                                            int32_t tile, bool pooled, way how) {
    static product_fn *const product[] = {NULL,     product1, product2, product3,
                                          product4, product5, product6};
    const octk_wino1_s16u8 *a = t->a;
    const int32_t each = pooled ? 2 : 1, rows = a->p * each, wide = tile / each,
                  all = rows * ((a->q + wide - 1) / wide);
    _Alignas(64) int32_t m[POINTS * G * 16];
    window at = {a->v, a->y.base + t->first, 0, a->q};
    for (int32_t n = 0; n < all; n += G) {
        const int32_t count = all - n < G ? all - n : G;
        const int16_t *v[G];
        window windows[G];
        for (int32_t i = 0; i < count; i++, at = next_window(a, at, rows, wide, pooled)) {
            windows[i] = at;
            v[i] = at.v;
        }
        product[count](a, u, v, m);
        for (int32_t i = 0; i < count; i += each) {
            v8 y[4][2];
            for (int32_t half = 0; half < 2; half++) {
                v8 s[4], below[4];
                tile_out(m + i * 16 + half * 8, t->bias[half], tile, s);
                if (pooled) tile_out(m + (i + 1) * 16 + half * 8, t->bias[half], tile, below);
                for (int32_t j = 0; j < wide; j++)
                    y[j][half] =
                        pooled ? _mm256_max_epi32(_mm256_max_epi32(s[2 * j], s[2 * j + 1]),
                                                  _mm256_max_epi32(below[2 * j], below[2 * j + 1]))
                               : s[j];
            }
            row_out(t, y, wide, windows[i].columns, how, windows[i].y);
        }
    }
}

static inline __attribute__((always_inline)) void panel_by(const panel *t, const int16_t *u,
                                                           way how) {
    if (t->a->tile == 2 && t->a->pooled)
        panel_out(t, u, 2, true, how);
    else if (t->a->tile == 2)
        panel_out(t, u, 2, false, how);
    else if (t->a->pooled)
        panel_out(t, u, 4, true, how);
    else
        panel_out(t, u, 4, false, how);
}

void octk_wino1_s16u8_avx2(const octk_wino1_s16u8 *a) {
    panel t = {.a = a, .ends = octk_ends_of(a->zy, a->lo, a->hi)};
    const int16_t *u = a->u;
    for (; t.first < a->o; t.first += 16, u += (int64_t)POINTS * a->steps * 32) {
        t.valid = a->o - t.first < 16 ? a->o - t.first : 16;
        for (int32_t half = 0; half < 2; half++) {
            const int32_t lane = t.first + 8 * half;
            t.by[half] = octk_eight_of(&a->by, lane, lane + 4);
            t.bias[half] = load(a->b + lane);
        }
        if (a->by.law != OCTQ_FP32)
            panel_by(&t, u, (way){OCTQ_Q31, false, false});
        else if (a->small && PLAIN(a))
            panel_by(&t, u, (way){OCTQ_FP32, true, true});
        else if (a->small)
            panel_by(&t, u, (way){OCTQ_FP32, false, true});
        else
            panel_by(&t, u, (way){OCTQ_FP32, false, false});
    }
}
