/* SPDX-License-Identifier: MIT
 * The ends of exact integer Winograd on 512 bits, and of F(4x4,3x3) the beginning: see
 * kernels_wino.h for the matrices, the bounds and the places of sums. Of sums sixteen channels are
 * one vector, and a tile's columns stay in registers, so they are loaded once. Two ports do 512
 * bits where three do 256; still an end takes 0.73 of what it takes with AVX2 on a Sapphire Rapids,
 * a beginning 0.8. A Zen 4 does them in halves: it saves loads alone. */
#include <immintrin.h>

#include "ops/kernels/avx512/requant_avx512.h"

enum { G = OCTK_WINO_GROUP };
typedef __m512i v16;

#define ADD        _mm512_add_epi32
#define SUB        _mm512_sub_epi32
#define SHL        _mm512_slli_epi32
#define EACH(i, n) _Pragma("GCC unroll 8") for (int32_t i = 0; i < (n); i++)

/* ---- B^T of a line of cells: of two blocks, 32 channels are one vector ---- */

typedef __m512i v32; /* of s16 */
#define ADD16 _mm512_add_epi16
#define SUB16 _mm512_sub_epi16

static inline v32 codes(const uint8_t *x) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)x));
}
static inline void line_in(const v32 *d, v32 *y) {
    const v32 a = SUB16(d[4], _mm512_slli_epi16(d[2], 2)),
              b = SUB16(d[3], _mm512_slli_epi16(d[1], 2)), c = SUB16(d[4], d[2]),
              f = SUB16(d[3], d[1]), e = ADD16(f, f);
    y[0] = ADD16(_mm512_slli_epi16(SUB16(d[0], d[2]), 2), c);
    y[1] = ADD16(a, b);
    y[2] = SUB16(a, b);
    y[3] = ADD16(c, e);
    y[4] = SUB16(c, e);
    y[5] = SUB16(SUB16(d[5], d[3]), ADD16(e, e));
}

static inline __attribute__((always_inline)) void
two_blocks_in(const octk_wino_in_u8s16 *a, const uint8_t *corner, int16_t *to) {
    enum { RUN = 4, COLUMN = 6 * 32 }; /* tiles whose columns wait: neighbours share two */
    OCTK_COLUMNS_FIT((4 * RUN + 2) * COLUMN);
    int16_t *column = a->columns;
    const int64_t row = a->row, pixel = a->pixel, place = a->place, group = a->group;
    v32 d[6], y[6];
    for (int32_t t0 = 0; t0 < a->count; t0 += RUN) {
        const int32_t count = a->count - t0 < RUN ? a->count - t0 : RUN;
        const uint8_t *x = corner + t0 * 4 * pixel;
        for (int32_t i = 0; i < 4 * count + 2; i++, x += pixel) {
            EACH(k, 6) d[k] = codes(x + k * row);
            line_in(d, y);
            EACH(k, 6) _mm512_storeu_si512(column + i * COLUMN + k * 32, y[k]);
        }
        for (int32_t i = 0; i < count; i++) {
            const int32_t t = a->t + t0 + i;
            int16_t *v = to + t / G * group + t % G * 16;
            const int16_t *c = column + i * 4 * COLUMN;
            for (int32_t r = 0; r < 6; r++, c += 32) {
                EACH(k, 6) d[k] = _mm512_loadu_si512(c + k * COLUMN);
                line_in(d, y);
                EACH(k, 6) {
                    _mm256_storeu_si256((void *)v, _mm512_castsi512_si256(y[k]));
                    _mm256_storeu_si256((void *)(v + G * 16), _mm512_extracti64x4_epi64(y[k], 1));
                    v += place;
                }
            }
        }
    }
}
void octk_wino4_in_u8s16_avx512(const octk_wino_in_u8s16 *a) {
    const int32_t even = a->blocks & ~1;
    for (int32_t b = 0; b < even; b += 2) two_blocks_in(a, a->x + b * 16, a->v + b * G * 16);
    if (even == a->blocks) return;
    octk_wino_in_u8s16 last = *a;
    last.x += even * 16, last.v += even * G * 16, last.blocks = 1;
    octk_wino4_in_u8s16_avx2(&last);
}

/* ---- A^T of a line of sums ---- */

static inline void line4(const v16 *d, v16 *y) {
    const v16 s = ADD(d[1], d[2]), t = SUB(d[1], d[2]), u = ADD(d[3], d[4]), w = SUB(d[3], d[4]);
    y[0] = ADD(d[0], ADD(s, u));
    y[1] = ADD(t, ADD(w, w));
    y[2] = ADD(s, SHL(u, 2));
    y[3] = ADD(t, SHL(ADD(w, d[5]), 3));
}
static inline void line2(const v16 *d, v16 *y) {
    y[0] = ADD(d[0], ADD(d[1], d[2]));
    y[1] = ADD(SUB(d[1], d[2]), d[3]);
}
/* of stride 2: the first output's own sum, the last one's, points 1, -1, 2, odd cells */
static inline void line4s2(const v16 *d, v16 *y) {
    const v16 s = ADD(d[2], d[3]), t = SUB(d[2], d[3]);
    y[0] = ADD(ADD(s, d[4]), d[0]);
    y[1] = ADD(ADD(t, ADD(d[4], d[4])), d[5]);
    y[2] = ADD(ADD(s, SHL(d[4], 2)), d[6]);
    y[3] = ADD(ADD(t, SHL(d[4], 3)), d[1]);
}
static inline void line2s2(const v16 *d, v16 *y) {
    y[0] = ADD(d[0], d[2]);
    y[1] = ADD(d[1], d[2]);
}

/* ---- sums to codes ---- */

typedef struct finish { /* of one call */
    octk_sixteen by;
    octk_ends512 e;
    int32_t over; /* bits that q31's sums are too large by */
    bool nine;    /* all sums are nine times too large */
} finish;

/* As in wino_avx2.h: floats divide small sums by 9, larger ones its inverse modulo 2^32. */
static inline v16 scaled(v16 sum, const finish *f, octq_law law, bool small) {
    if (f->nine && small)
        return _mm512_cvtps_epi32(_mm512_mul_ps(
            _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(1.0f / 9)), f->by.m));
    if (f->nine) sum = _mm512_mullo_epi32(sum, _mm512_set1_epi32(954437177));
    if (law == OCTQ_Q31) sum = _mm512_srai_epi32(sum, f->over);
    return octk_scaled512(sum, &f->by, law);
}

/* Four pixels: of a row, or of two (`at` of each). plain: no zero point, every code allowed. */
static inline void put(uint8_t *const at[4], const v16 y[4], const finish *f, bool plain) {
    const v16 codes = octk_by_channel512(plain ? octk_bare512(y[0], y[1], y[2], y[3])
                                               : octk_packed512(y[0], y[1], y[2], y[3], f->e));
    _mm_storeu_si128((__m128i *)at[0], _mm512_castsi512_si128(codes));
    _mm_storeu_si128((__m128i *)at[1], _mm512_extracti32x4_epi32(codes, 1));
    _mm_storeu_si128((__m128i *)at[2], _mm512_extracti32x4_epi32(codes, 2));
    _mm_storeu_si128((__m128i *)at[3], _mm512_extracti32x4_epi32(codes, 3));
}

#define STRIDED(n, i, j)                                                                           \
    ((i) < 2 ? ((j) < 2 ? 2 * (i) + (j) : 4 + ((n)-2) * (i) + (j)-2)                               \
             : ((j) < 2 ? 2 * (n) + 2 * ((i)-2) + (j) : 4 * (n)-4 + ((n)-2) * ((i)-2) + (j)-2))
#define ALONG(n, i, j) ((n) * (i) + (j))

/* Tiles of tile x tile pixels, `edge` sums of a dimension; the bias enters at place (one, one),
 * whose coefficients are all 1. */
#define OUT(name, line, tile, edge, PLACE, one, bits, odd)                                         \
    static inline __attribute__((always_inline)) void name(const octk_wino_out_s32u8 *a,           \
                                                           octq_law law, bool plain, bool small) { \
        const finish f = {octk_sixteen_of(&a->by, 0), octk_ends512_of(a->zy, a->lo, a->hi), bits,  \
                          odd};                                                                    \
        const v16 bias = _mm512_loadu_si512(a->b);                                                 \
        const int64_t row = a->row, pixel = a->pixel;                                              \
        octk_wino_tile t = octk_wino_first(a);                                                     \
        for (; t.left; octk_wino_next(&t, tile * pixel)) {                                         \
            v16 lines[tile][edge];                                                                 \
            EACH(j, edge) {                                                                        \
                v16 d[edge], c[tile];                                                              \
                EACH(i, edge) d[i] = _mm512_loadu_si512(t.m + PLACE(edge, i, j) * G * 16);         \
                if (j == one) d[one] = ADD(d[one], bias);                                          \
                line(d, c);                                                                        \
                EACH(i, tile) lines[i][j] = c[i];                                                  \
            }                                                                                      \
            EACH(four, tile *tile / 4) {                                                           \
                v16 y[4];                                                                          \
                uint8_t *at[4];                                                                    \
                EACH(i, 4 / tile) line(lines[four * 4 / tile + i], y + i * tile);                  \
                EACH(i, 4) y[i] = scaled(y[i], &f, law, small);                                    \
                EACH(i, 4) at[i] = t.y + (four * 4 + i) / tile * row + i % tile * pixel;           \
                put(at, y, &f, plain);                                                             \
            }                                                                                      \
        }                                                                                          \
    }
/* A kernel, once a law, and once for codes as relu leaves them. */
#define KERNEL(kernel, name, odd)                                                                  \
    void kernel(const octk_wino_out_s32u8 *a) {                                                    \
        const bool plain = a->zy == 0 && a->lo == 0 && a->hi == UINT8_MAX;                         \
        if (a->by.law != OCTQ_FP32)                                                                \
            name(a, OCTQ_Q31, false, false);                                                       \
        else if (odd && a->small && plain)                                                         \
            name(a, OCTQ_FP32, true, true);                                                        \
        else if (odd && a->small)                                                                  \
            name(a, OCTQ_FP32, false, true);                                                       \
        else if (plain)                                                                            \
            name(a, OCTQ_FP32, true, false);                                                       \
        else                                                                                       \
            name(a, OCTQ_FP32, false, false);                                                      \
    }
OUT(out4, line4, 4, 6, ALONG, 1, 6, true)
OUT(out2, line2, 2, 4, ALONG, 1, 2, false)
OUT(out4s2, line4s2, 4, 7, STRIDED, 2, 2, true)
OUT(out2s2, line2s2, 2, 3, STRIDED, 2, 0, false)
KERNEL(octk_wino4_out_s32u8_avx512, out4, true)
KERNEL(octk_wino2_out_s32u8_avx512, out2, false)
KERNEL(octk_wino4s2_out_s32u8_avx512, out4s2, true)
KERNEL(octk_wino2s2_out_s32u8_avx512, out2s2, false)
