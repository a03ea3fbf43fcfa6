/* SPDX-License-Identifier: MIT
 * Transforms of exact integer Winograd of stride 2: see kernels_wino.h for the matrices, the bounds
 * and the places of products and sums. The products are wino_s16_avx2.c's. */
#include <immintrin.h>

#include "ops/kernels/avx2/wino_avx2.h"

/* ---- input ---- */

/* Where a row of products goes: the four of the ends, and the others. */
typedef struct line_places {
    int16_t *ends, *others;
    int64_t pair, far, apart; /* elements: to a pair's second, to the second pair; between others */
} line_places;

/* Row x of a tile's products of edge 4 + n: octk_wino_s2_product(4 + n, x, 0 .. 3 + n). */
static inline line_places places_of(int16_t *v, int64_t place, int32_t n, int32_t x) {
    if (x < 4)
        return (line_places){v + (8 * (x / 2) + 2 * (x % 2)) * place,
                             v + (16 + 2 * n * (x / 2) + x % 2) * place, place, 4 * place,
                             2 * place};
    return (line_places){v + (16 + 4 * n + 4 * (x - 4)) * place,
                         v + (16 + 8 * n + n * (x - 4)) * place, place, 2 * place, place};
}

#define ADD16 _mm256_add_epi16
#define SUB16 _mm256_sub_epi16

/* F(4,2) of five even cells: point 0, infinity, `apart` from each other points 1, -1, 2. */
static inline void even_cells(v8 e0, v8 e1, v8 e2, v8 e3, v8 e4, int16_t *zero, int16_t *infinity,
                              int16_t *points, int64_t apart) {
    const v8 a = SUB16(e3, e1), b = SUB16(e0, e2), c = SUB16(e1, e2);
    store(zero, ADD16(ADD16(b, b), a));
    store(infinity, SUB16(SUB16(e4, e2), ADD16(a, a)));
    store(points, SUB16(a, ADD16(e1, e2)));
    store(points + apart, ADD16(ADD16(c, c), ADD16(c, a)));
    store(points + 2 * apart, a);
}

static inline __attribute__((always_inline)) void in4s2(const octk_wino_in_u8s16 *a,
                                                        const uint8_t *first, int16_t *all) {
    enum { RUN = 4, C = 5 * 16 }; /* tiles whose columns wait; a column's even cells, transformed */
    OCTK_COLUMNS_FIT((8 * RUN + 1) * C);
    int16_t *column = a->columns;
    const int64_t row = a->row, pixel = a->pixel, place = a->place, group = a->group;
    for (int32_t t0 = 0; t0 < a->count; t0 += RUN) {
        const int32_t count = a->count - t0 < RUN ? a->count - t0 : RUN;
        const uint8_t *x = first + t0 * 8 * pixel;
        for (int32_t i = 0; i < 8 * count + 1; i++) {
            const uint8_t *d = x + i * pixel;
            int16_t *c = column + i * C;
            const v8 e0 = codes(d), e1 = codes(d + 2 * row), e2 = codes(d + 4 * row),
                     e3 = codes(d + 6 * row), e4 = codes(d + 8 * row);
            even_cells(e0, e1, e2, e3, e4, c, c + 16, c + 32, 16);
        }
        for (int32_t i = 0; i < count; i++, x += 8 * pixel) {
            static const int8_t even[5] = {0, 2, 4, 5, 6}, odd[4] = {1, 7, 8, 3};
            const int32_t t = a->t + t0 + i;
            int16_t *v = all + t / G * group + t % G * 16;
            const int16_t *c = column + i * 8 * C;
            for (int32_t r = 0; r < 5; r++, c += 16) {
                const line_places p = places_of(v, place, 5, even[r]);
                even_cells(load(c), load(c + 2 * C), load(c + 4 * C), load(c + 6 * C),
                           load(c + 8 * C), p.ends, p.ends + p.far, p.others, p.apart);
                store(p.ends + p.pair, load(c + C));
                store(p.ends + p.far + p.pair, load(c + 7 * C));
                store(p.others + 3 * p.apart, load(c + 3 * C));
                store(p.others + 4 * p.apart, load(c + 5 * C));
            }
            for (int32_t r = 0; r < 4; r++) {
                const line_places p = places_of(v, place, 5, odd[r]);
                const uint8_t *d = x + (2 * r + 1) * row;
                const int64_t to = pixel;
                even_cells(codes(d), codes(d + 2 * to), codes(d + 4 * to), codes(d + 6 * to),
                           codes(d + 8 * to), p.ends, p.ends + p.far, p.others, p.apart);
                store(p.ends + p.pair, codes(d + to));
                store(p.ends + p.far + p.pair, codes(d + 7 * to));
                store(p.others + 3 * p.apart, codes(d + 3 * to));
                store(p.others + 4 * p.apart, codes(d + 5 * to));
            }
        }
    }
}
OCTK_EACH_BLOCK(octk_wino4s2_in_u8s16_avx2, in4s2)

static void in2s2(const octk_wino_in_u8s16 *a, const uint8_t *x, int16_t *all) {
    for (int32_t i = 0; i < a->count; i++, x += 4 * a->pixel) {
        const int32_t t = a->t + i;
        int16_t *v = all + t / G * a->group + t % G * 16;
        /* rows of cells: the one that a row of products is, and what is taken from the even ones */
        for (int32_t r = 0; r < 5; r++) {
            static const int8_t row[5] = {0, 1, 4, 3, 2};
            const line_places p = places_of(v, a->place, 1, r);
            const uint8_t *d = x + row[r] * a->row, *less = x + 2 * a->row;
            v8 c[5];
            _Pragma("GCC unroll 5") for (int k = 0; k < 5; k++) c[k] = codes(d + k * a->pixel);
            if (row[r] % 4 == 0) {
                _Pragma("GCC unroll 5") for (int k = 0; k < 5; k++) c[k] =
                    SUB16(c[k], codes(less + k * a->pixel));
            }
            store(p.ends, SUB16(c[0], c[2]));
            store(p.ends + p.pair, c[1]);
            store(p.ends + p.far, SUB16(c[4], c[2]));
            store(p.ends + p.far + p.pair, c[3]);
            store(p.others, c[2]);
        }
    }
}
OCTK_EACH_BLOCK(octk_wino2s2_in_u8s16_avx2, in2s2)

/* ---- output: sums in the order of octk_wino_s2_sum: ends, points 1, -1, 2, then the odd cells
 * between ---- */

/* octk_wino_s2_sum, for constants */
#define PLACE(n, i, j)                                                                             \
    ((i) < 2 ? ((j) < 2 ? 2 * (i) + (j) : 4 + (n) * (i) + (j)-2)                                   \
             : ((j) < 2 ? 4 + 2 * (n) + 2 * ((i)-2) + (j) : 4 + 4 * (n) + (n) * ((i)-2) + (j)-2))
#define M(i, j) load(m + PLACE(5, i, j) * G * 16)
/* Column j of rows 0 and 2. The bias enters at points (1, 1), whose coefficients are all 1. */
#define EVEN(j, A, B)                                                                              \
    v8 A, B;                                                                                       \
    {                                                                                              \
        v8 s = ADD32(M(2, j), M(3, j));                                                            \
        const v8 two = M(4, j);                                                                    \
        if (j == 2) s = ADD32(s, bias);                                                            \
        A = ADD32(ADD32(s, two), M(0, j));                                                         \
        B = ADD32(ADD32(s, SHL32(two, 2)), M(6, j));                                               \
    }                                                                                              \
    HERE(A, B)
/* column j of rows 1 and 3 */
#define ODD(j, A, B)                                                                               \
    v8 A, B;                                                                                       \
    {                                                                                              \
        v8 s = SUB32(M(2, j), M(3, j));                                                            \
        const v8 two = M(4, j);                                                                    \
        if (j == 2) s = ADD32(s, bias);                                                            \
        A = ADD32(ADD32(s, ADD32(two, two)), M(5, j));                                             \
        B = ADD32(ADD32(s, SHL32(two, 3)), M(1, j));                                               \
    }                                                                                              \
    HERE(A, B)
/* x1 and x2 hold sum and difference */
#define LINE_OUT(y, x1, x2, two)                                                                   \
    {                                                                                              \
        (y)[0] = ADD32(x1, two);                                                                   \
        (y)[1] = ADD32(x2, ADD32(two, two));                                                       \
        (y)[2] = ADD32(x1, SHL32(two, 2));                                                         \
        (y)[3] = ADD32(x2, SHL32(two, 3));                                                         \
    }
#define ADD_COLUMN(COLUMN, j, k, y)                                                                \
    {                                                                                              \
        COLUMN(j, a_, b_)                                                                          \
        (y)[k] = ADD32((y)[k], a_);                                                                \
        (y)[4 + (k)] = ADD32((y)[4 + (k)], b_);                                                    \
    }
#define TWO_ROWS(COLUMN, y, BETWEEN)                                                               \
    {                                                                                              \
        COLUMN(2, a1, b1)                                                                          \
        BETWEEN(0)                                                                                 \
        COLUMN(3, a2, b2)                                                                          \
        BETWEEN(1)                                                                                 \
        BUTTERFLY(a1, a2)                                                                          \
        BUTTERFLY(b1, b2)                                                                          \
        COLUMN(4, a4, b4)                                                                          \
        BETWEEN(2)                                                                                 \
        LINE_OUT(y, a1, a2, a4)                                                                    \
        BETWEEN(3)                                                                                 \
        LINE_OUT(y + 4, b1, b2, b4)                                                                \
        ADD_COLUMN(COLUMN, 0, 0, y)                                                                \
        ADD_COLUMN(COLUMN, 5, 1, y)                                                                \
        ADD_COLUMN(COLUMN, 6, 2, y)                                                                \
        ADD_COLUMN(COLUMN, 1, 3, y)                                                                \
    }
OUT4(out4s2, 2)
OUT4_LAWS(octk_wino4s2_out_s32u8_avx2, out4s2)

/* 3x3 sums of 8 channels to 2x2 pixels. */
static inline __attribute__((always_inline)) void square(const int32_t *m, const int32_t *b,
                                                         v8 y[4]) {
    v8 top[3], bottom[3];
    _Pragma("GCC unroll 3") for (int j = 0; j < 3; j++) {
        v8 both = load(m + PLACE(1, 2, j) * G * 16);
        if (j == 2) both = ADD32(both, load(b)); /* its coefficients are all 1 */
        top[j] = ADD32(both, load(m + PLACE(1, 0, j) * G * 16));
        bottom[j] = ADD32(both, load(m + PLACE(1, 1, j) * G * 16));
    }
    y[0] = ADD32(top[0], top[2]);
    y[1] = ADD32(top[1], top[2]);
    y[2] = ADD32(bottom[0], bottom[2]);
    y[3] = ADD32(bottom[1], bottom[2]);
}

OUT2(out2s2, 0)
OUT2_LAWS(octk_wino2s2_out_s32u8_avx2, out2s2)
