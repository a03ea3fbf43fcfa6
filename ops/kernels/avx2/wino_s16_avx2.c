/* SPDX-License-Identifier: MIT
 * Exact integer Winograd with VPMADDWD: see kernels_wino.h for the matrices, the bounds and
 * the layouts. */
#include <immintrin.h>

#include "ops/kernels/avx2/wino_avx2.h"

/* ---- input ---- */

/* Where a tile's products begin, and the next one's. */
typedef struct place {
    int16_t *v;
    int32_t t; /* of its group */
} place;
static inline place first_place(const octk_wino_in_u8s16 *a, int16_t *v) {
    return (place){v + a->t / G * a->group + a->t % G * 16, a->t % G};
}
static inline void next_place(place *p, int64_t group) {
    p->v += 16;
    if (++p->t < G) return;
    p->v += group - G * 16;
    p->t = 0;
}

static inline void column_in(const uint8_t *x, int64_t row, int16_t *y) {
    v8 v[6];
    LINE_IN(v, codes(x), codes(x + row), codes(x + 2 * row), codes(x + 3 * row), codes(x + 4 * row),
            codes(x + 5 * row))
    _Pragma("GCC unroll 6") for (int i = 0; i < 6; i++) store(y + i * 16, v[i]);
}

/* Six lines of a tile, of its columns. A loop: unrolled, its 36 places are as many additions. */
static inline void lines_in(const int16_t *c, int16_t *v, int64_t apart) {
    const int64_t three = 3 * apart, five = 5 * apart;
    _Pragma("GCC unroll 1") for (int r = 0; r < 6; r++, c += 16, v += 6 * apart) {
        v8 y[6];
        LINE_IN(y, load(c), load(c + 96), load(c + 192), load(c + 288), load(c + 384),
                load(c + 480))
        store(v, y[0]);
        store(v + apart, y[1]);
        store(v + 2 * apart, y[2]);
        store(v + three, y[3]);
        store(v + 4 * apart, y[4]);
        store(v + five, y[5]);
    }
}

static inline __attribute__((always_inline)) void in4(const octk_wino_in_u8s16 *a, const uint8_t *x,
                                                      int16_t *v) {
    enum { RUN = 8 }; /* tiles whose columns wait: neighbours share two of their six */
    OCTK_COLUMNS_FIT((4 * RUN + 2) * 96);
    int16_t *column = a->columns;
    const int64_t row = a->row, pixel = a->pixel, apart = a->place, group = a->group;
    place p = first_place(a, v);
    for (int32_t left = a->count; left > 0; left -= RUN, x += 4 * RUN * pixel) {
        const int32_t count = left < RUN ? left : RUN;
        for (int32_t i = 0; i < 4 * count + 2; i++) column_in(x + i * pixel, row, column + i * 96);
        for (int32_t i = 0; i < count; i++, next_place(&p, group))
            lines_in(column + i * 4 * 96, p.v, apart);
    }
}
OCTK_EACH_BLOCK(octk_wino4_in_u8s16_avx2, in4)

static inline void line_in2(v8 d0, v8 d1, v8 d2, v8 d3, int16_t *y, int64_t step) {
    store(y, _mm256_sub_epi16(d0, d2));
    store(y + step, _mm256_add_epi16(d1, d2));
    store(y + 2 * step, _mm256_sub_epi16(d2, d1));
    store(y + 3 * step, _mm256_sub_epi16(d3, d1));
}

static void in2(const octk_wino_in_u8s16 *a, const uint8_t *first, int16_t *all) {
    enum { RUN = 16 };
    OCTK_COLUMNS_FIT((2 * RUN + 2) * 64);
    int16_t *column = a->columns;
    const int64_t row = a->row, pixel = a->pixel, apart = a->place, group = a->group;
    for (int32_t t0 = 0; t0 < a->count; t0 += RUN) {
        const int32_t count = a->count - t0 < RUN ? a->count - t0 : RUN;
        const uint8_t *x = first + t0 * 2 * pixel;
        for (int32_t i = 0; i < 2 * count + 2; i++, x += pixel)
            line_in2(codes(x), codes(x + row), codes(x + 2 * row), codes(x + 3 * row),
                     column + i * 64, 16);
        for (int32_t i = 0; i < count; i++) {
            const int32_t t = a->t + t0 + i;
            int16_t *v = all + t / G * group + t % G * 16;
            const int16_t *c = column + i * 2 * 64;
            for (int32_t r = 0; r < 4; r++, c += 16, v += 4 * apart)
                line_in2(load(c), load(c + 64), load(c + 128), load(c + 192), v, apart);
        }
    }
}
OCTK_EACH_BLOCK(octk_wino2_in_u8s16_avx2, in2)

/* ---- products: c += two broadcast channels x 2x16 weights. Assembly, since gcc 12 reassociates
 * across steps and then spills accumulators. ---- */

#define STEP(c0, c1, a, b0, b1)                                                                    \
    {                                                                                              \
        v8 x_, y_;                                                                                 \
        __asm__("vpbroadcastd %4,%2\n\tvpmaddwd %5,%2,%3\n\tvpmaddwd %6,%2,%2\n\t"                 \
                "vpaddd %3,%0,%0\n\tvpaddd %2,%1,%1"                                               \
                : "+x"(c0), "+x"(c1), "=&x"(x_), "=&x"(y_)                                         \
                : "m"(*(const int32_t *)(const void *)(a)), "x"(b0), "x"(b1));                     \
    }
/* the first step of a sum */
#define FIRST(c0, c1, a, b0, b1)                                                                   \
    __asm__("vpbroadcastd %2,%1\n\tvpmaddwd %3,%1,%0\n\tvpmaddwd %4,%1,%1"                         \
            : "=&x"(c0), "=&x"(c1)                                                                 \
            : "m"(*(const int32_t *)(const void *)(a)), "x"(b0), "x"(b1));
#define DECLARE(i) v8 c##i##0, c##i##1;
#define BEGIN(i)   FIRST(c##i##0, c##i##1, v + i * 16, b0, b1)
#define ADD(i)     STEP(c##i##0, c##i##1, v + i * 16 + 2 * k, b0, b1)
#define SAVE(i)                                                                                    \
    store(m + i * 16, c##i##0);                                                                    \
    store(m + i * 16 + 8, c##i##1);
/* A block's eight steps fetch eight lines that are wanted next, whatever its share of them, by
 * which `next` moves on: what later blocks fetch again is there, and no step adds for it. */
#define WEIGHTS(at)                                                                                \
    enum { k = at };                                                                               \
    const v8 b0 = load(u + k * 32), b1 = load(u + k * 32 + 16);                                    \
    _mm_prefetch((const char *)next + k * 64, _MM_HINT_T0)
#define PAIR(ROWS, at)                                                                             \
    {                                                                                              \
        WEIGHTS(at);                                                                               \
        ROWS(ADD)                                                                                  \
    }
#define SEVEN(ROWS)                                                                                \
    PAIR(ROWS, 1)                                                                                  \
    PAIR(ROWS, 2)                                                                                  \
    PAIR(ROWS, 3) PAIR(ROWS, 4) PAIR(ROWS, 5) PAIR(ROWS, 6) PAIR(ROWS, 7) u += 256;                \
    v += G * 16;                                                                                   \
    next += share;
#define PRODUCT(name, ROWS)                                                                        \
    static void name(int32_t positions, int32_t blocks, const int16_t *v, const int16_t *u,        \
                     int32_t *m, uintptr_t next, uintptr_t share) {                                \
        for (int32_t p = 0; p < positions; p++, m += G * 16) {                                     \
            ROWS(DECLARE) {                                                                        \
                WEIGHTS(0);                                                                        \
                ROWS(BEGIN)                                                                        \
            }                                                                                      \
            SEVEN(ROWS)                                                                            \
            for (int32_t c = 1; c < blocks; c++) {                                                 \
                PAIR(ROWS, 0)                                                                      \
                SEVEN(ROWS)                                                                        \
            }                                                                                      \
            ROWS(SAVE)                                                                             \
        }                                                                                          \
    }
#define ROWS1(X) X(0)
#define ROWS2(X) ROWS1(X) X(1)
#define ROWS3(X) ROWS2(X) X(2)
#define ROWS4(X) ROWS3(X) X(3)
#define ROWS5(X) ROWS4(X) X(4)
#define ROWS6(X) ROWS5(X) X(5)
PRODUCT(product1, ROWS1)
PRODUCT(product2, ROWS2)
PRODUCT(product3, ROWS3)
PRODUCT(product4, ROWS4)
PRODUCT(product5, ROWS5)
PRODUCT(product6, ROWS6)

void octk_wino_mul_s16_avx2(const octk_wino_mul_s16 *a) {
    static void (*const of[])(int32_t, int32_t, const int16_t *, const int16_t *, int32_t *,
                              uintptr_t, uintptr_t) = {NULL,     product1, product2, product3,
                                                       product4, product5, product6};
    for (int32_t i = 0; i < a->panels; i++) {
        const int16_t *u = a->u + i * a->u_panel;
        /* none: what is read anyway */
        const uintptr_t next =
            a->next.lines ? a->next.at + (uintptr_t)(i * a->u_panel) * 2 : (uintptr_t)u;
        of[a->count](a->positions, a->blocks, a->v, u, a->m + i * a->m_panel, next,
                     (uintptr_t)a->next.lines * 64);
    }
}

/* ---- output: 6x6 s32 to 4x4 pixels x 16 channels. Output rows 0 and 2 need m0, m1 + m2, m3 + m4
 * alone, rows 1 and 3 m1 - m2, m3 - m4, m5: so two rows of 8 channels fit in registers, without a
 * buffer between the two passes. ---- */

#define M(i, j) load(m + ((i)*6 + (j)) * G * 16)
/* column j of rows 0 and 2; the bias enters at position (1,1), whose coefficients are all 1 */
#define EVEN(j, A, B)                                                                              \
    v8 A, B;                                                                                       \
    {                                                                                              \
        v8 p = ADD32(M(1, j), M(2, j));                                                            \
        const v8 r = ADD32(M(3, j), M(4, j));                                                      \
        if (j == 1) p = ADD32(p, bias);                                                            \
        A = ADD32(ADD32(p, r), M(0, j));                                                           \
        B = ADD32(p, SHL32(r, 2));                                                                 \
    }                                                                                              \
    HERE(A, B)
/* column j of rows 1 and 3 */
#define ODD(j, A, B)                                                                               \
    v8 A, B;                                                                                       \
    {                                                                                              \
        v8 p = SUB32(M(1, j), M(2, j));                                                            \
        const v8 r = SUB32(M(3, j), M(4, j));                                                      \
        if (j == 1) p = ADD32(p, bias);                                                            \
        A = ADD32(p, ADD32(r, r));                                                                 \
        B = ADD32(p, SHL32(ADD32(r, M(5, j)), 3));                                                 \
    }                                                                                              \
    HERE(A, B)
/* x1 to x4 hold sums and differences */
#define LINE_OUT(y, x0, x1, x2, x3, x4, x5)                                                        \
    {                                                                                              \
        (y)[0] = ADD32(ADD32(x0, x1), x3);                                                         \
        (y)[1] = ADD32(x2, ADD32(x4, x4));                                                         \
        (y)[2] = ADD32(x1, SHL32(x3, 2));                                                          \
        (y)[3] = ADD32(x2, SHL32(ADD32(x4, x5), 3));                                               \
    }
#define TWO_ROWS(COLUMN, y, BETWEEN)                                                               \
    {                                                                                              \
        COLUMN(1, a1, b1)                                                                          \
        BETWEEN(0)                                                                                 \
        COLUMN(2, a2, b2)                                                                          \
        BETWEEN(1)                                                                                 \
        BUTTERFLY(a1, a2)                                                                          \
        BUTTERFLY(b1, b2)                                                                          \
        COLUMN(3, a3, b3)                                                                          \
        BETWEEN(2)                                                                                 \
        COLUMN(4, a4, b4)                                                                          \
        BETWEEN(3)                                                                                 \
        BUTTERFLY(a3, a4)                                                                          \
        BUTTERFLY(b3, b4)                                                                          \
        COLUMN(0, a0, b0)                                                                          \
        COLUMN(5, a5, b5)                                                                          \
        LINE_OUT(y, a0, a1, a2, a3, a4, a5)                                                        \
        LINE_OUT(y + 4, b0, b1, b2, b3, b4, b5)                                                    \
    }
OUT4(out4, 6)
OUT4_LAWS(octk_wino4_out_s32u8_avx2, out4)

/* 4x4 s32 to 2x2 pixels: the columns of two output rows, then their lines. */
static inline __attribute__((always_inline)) void square(const int32_t *m, const int32_t *b,
                                                         v8 y[4]) {
    v8 top[4], bottom[4];
    for (int j = 0; j < 4; j++) {
        const v8 m0 = load(m + j * G * 16), m2 = load(m + (8 + j) * G * 16),
                 m3 = load(m + (12 + j) * G * 16);
        v8 m1 = load(m + (4 + j) * G * 16);
        if (j == 1) m1 = ADD32(m1, load(b)); /* its coefficients are all 1 */
        top[j] = ADD32(m0, ADD32(m1, m2));
        bottom[j] = ADD32(SUB32(m1, m2), m3);
    }
    y[0] = ADD32(top[0], ADD32(top[1], top[2]));
    y[1] = ADD32(SUB32(top[1], top[2]), top[3]);
    y[2] = ADD32(bottom[0], ADD32(bottom[1], bottom[2]));
    y[3] = ADD32(SUB32(bottom[1], bottom[2]), bottom[3]);
}

OUT2(out2, 2)
OUT2_LAWS(octk_wino2_out_s32u8_avx2, out2)
