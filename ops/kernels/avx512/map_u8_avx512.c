/* SPDX-License-Identifier: MIT
 * Element by element on codes, 64 at a time, and the borders, 16. What is left of a run goes by
 * masks: nothing beside it is read or written. What ends in multipliers goes by one of three ways,
 * known when compiling. */
#include "ops/kernels/avx512/requant_avx512.h"
#include "ops/kernels/map_runs.h"
#include "src/qround.h"

typedef enum way {
    NEAR,   /* fp32: no value leaves s32 */
    LIFTED, /* of these, sums whose operands are lifted (octk_lifted_code) */
    BARE,   /* of those, where y has neither zero point nor clamp: behind a relu */
    FAR,    /* fp32: values may, so they are clamped as floats before they become integers */
    Q31,
} way;
typedef enum operation { ADD, MUL, RESCALE } operation;

typedef struct law {  /* of one call */
    __m512i order[4]; /* of a quarter of each 128 bits: its bytes, each for all of four */
    __m512i lift;     /* what they are the last byte of */
    __m512i bits[2];  /* or the second one */
    __m512i z, z2;
    __m512 zero, zero2, m, m2, less[2], least, most; /* fp32 */
    octk_sixteen by[3];                              /* q31 */
    octk_ends512 ends;
} law;

#define INLINE static inline __attribute__((always_inline))
#define LIFT   0x1p23f /* a float of that with a code for its last byte is their sum */

static octk_sixteen same_record(const octq_multipliers *by, int i) {
    const int32_t s = by->shift[i];
    const octk_eight e = {.q31 = _mm256_set1_epi32(by->q31[i]),
                          .left = _mm256_set1_epi32(s > 0 ? s : 0),
                          .right = _mm256_set1_epi32(s > 0 ? 0 : -s)};
    return (octk_sixteen){.half = {e, e}};
}

static law law_of(const octk_map_u8 *a, int records) {
    const bool q31 = a->by.law == OCTQ_Q31;
    law l;
    l.lift = q31 ? _mm512_setzero_si512() : _mm512_castps_si512(_mm512_set1_ps(LIFT));
    l.z = _mm512_set1_epi32(a->zx);
    l.z2 = _mm512_set1_epi32(a->zx2);
    l.zero = _mm512_set1_ps(LIFT + (float)a->zx);
    l.zero2 = _mm512_set1_ps(LIFT + (float)a->zx2);
    l.m = _mm512_set1_ps(q31 ? 0 : a->by.m[0]);
    l.m2 = _mm512_set1_ps(q31 || records < 2 ? 0 : a->by.m[1]);
    for (int i = 0; i < 2; i++) {
        l.bits[i] = _mm512_set1_epi32((int)a->lift[i].bits);
        l.less[i] = _mm512_set1_ps(a->lift[i].less);
    }
    l.least = _mm512_set1_ps((float)(a->lo - a->zy));
    l.most = _mm512_set1_ps((float)(a->hi - a->zy));
    l.ends = octk_ends512_of(a->zy, a->lo, a->hi);
    for (int k = 0; k < 4; k++)
        l.order[k] = _mm512_set4_epi32(0x01010101 * (4 * k + 3), 0x01010101 * (4 * k + 2),
                                       0x01010101 * (4 * k + 1), 0x01010101 * 4 * k);
    for (int i = 0; q31 && i < records; i++) l.by[i] = same_record(&a->by, i);
    return l;
}

static way way_of(const octq_multipliers *by, int records) {
    if (by->law == OCTQ_Q31) return Q31;
    way w = NEAR;
    /* a product of two differences at most */
    for (int i = 0; i < records; i++)
        if (by->m[i] >= 0x1p30f / (255 * 255)) w = FAR;
    return w;
}

/* Quarter k of each 128 bits of codes: integers; of fp32, floats less the zero point, exact. */
INLINE __m512i spread(__m512i x, int k, const law *l) {
    return _mm512_mask_shuffle_epi8(l->lift, 0x1111111111111111, x, l->order[k]);
}
INLINE __m512 floats(__m512i x, int k, __m512 zero, const law *l) {
    return _mm512_sub_ps(_mm512_castsi512_ps(spread(x, k, l)), zero);
}

/* Of operand i, lifted, its part of a sum. */
INLINE __m512 product(__m512i x, int k, int i, __m512 m, const law *l) {
    const __m512i at = _mm512_mask_shuffle_epi8(l->bits[i], 0x2222222222222222, x, l->order[k]);
    return _mm512_fmsub_ps(_mm512_castsi512_ps(at), m, l->less[i]);
}

/* The product of two of them with a record's fp32 multiplier, or their sum. */
INLINE __m512 scaled_floats(__m512i x, __m512i x2, int k, operation of, way how, const law *l) {
    if (how == LIFTED || how == BARE)
        return _mm512_add_ps(product(x, k, 0, l->m, l), product(x2, k, 1, l->m2, l));
    const __m512 p = floats(x, k, l->zero, l);
    if (of == RESCALE) return _mm512_mul_ps(p, l->m);
    const __m512 q = floats(x2, k, l->zero2, l);
    if (of == MUL) return _mm512_mul_ps(_mm512_mul_ps(p, q), l->m);
    return _mm512_add_ps(_mm512_mul_ps(p, l->m), _mm512_mul_ps(q, l->m2));
}

INLINE __m512i scaled_q31(__m512i x, __m512i x2, int k, operation of, const law *l) {
    const __m512i p = _mm512_sub_epi32(spread(x, k, l), l->z);
    if (of == RESCALE) return octk_scaled512(p, &l->by[0], OCTQ_Q31);
    const __m512i q = _mm512_sub_epi32(spread(x2, k, l), l->z2);
    if (of == MUL) return octk_scaled512(_mm512_mullo_epi32(p, q), &l->by[0], OCTQ_Q31);
    const __m512i sum = _mm512_add_epi32(
        octk_scaled512(_mm512_slli_epi32(p, OCTQ_Q31_ADD_SHIFT), &l->by[0], OCTQ_Q31),
        octk_scaled512(_mm512_slli_epi32(q, OCTQ_Q31_ADD_SHIFT), &l->by[1], OCTQ_Q31));
    return octk_scaled512(sum, &l->by[2], OCTQ_Q31);
}

INLINE __m512i rounded(__m512i x, __m512i x2, int k, operation of, way how, const law *l) {
    if (how == Q31) return scaled_q31(x, x2, k, of, l);
    __m512 v = scaled_floats(x, x2, k, of, how, l);
    if (how == FAR) v = _mm512_min_ps(_mm512_max_ps(v, l->least), l->most);
    return _mm512_cvtps_epi32(v);
}

/* 64 codes, each where its operands were. */
INLINE __m512i codes(__m512i x, __m512i x2, operation of, way how, const law *l) {
    const __m512i a = rounded(x, x2, 0, of, how, l), b = rounded(x, x2, 1, of, how, l),
                  c = rounded(x, x2, 2, of, how, l), d = rounded(x, x2, 3, of, how, l);
    if (how == BARE) return octk_bare512(a, b, c, d);
    return octk_packed512(a, b, c, d, l->ends);
}

static inline __mmask64 first(int32_t n) { return ~(__mmask64)0 >> (64 - n); }

INLINE void run(const uint8_t *x, const uint8_t *x2, uint8_t *y, int32_t c, operation of, way how,
                const law *l) {
    int32_t i = 0;
    for (; i + 64 <= c; i += 64) {
        const __m512i p = _mm512_loadu_si512(x + i),
                      q = of == RESCALE ? p : _mm512_loadu_si512(x2 + i);
        _mm512_storeu_si512(y + i, codes(p, q, of, how, l));
    }
    if (i == c) return;
    const __mmask64 rest = first(c - i);
    const __m512i p = _mm512_maskz_loadu_epi8(rest, x + i),
                  q = of == RESCALE ? p : _mm512_maskz_loadu_epi8(rest, x2 + i);
    _mm512_mask_storeu_epi8(y + i, rest, codes(p, q, of, how, l));
}

INLINE void walk(const octk_map_u8 *a, operation of, way how, const law *l) {
    EACH_RUN(a, run(x, of == RESCALE ? x : SECOND(a), y, a->c, of, how, l));
}
INLINE void walk_by_law(const octk_map_u8 *a, operation of, int records) {
    const law l = law_of(a, records);
    const way how = way_of(&a->by, records);
    if (how == NEAR && of == ADD && a->lift[0].bits)
        walk(a, of, a->zy | a->lo || a->hi < UINT8_MAX ? LIFTED : BARE, &l);
    else if (how == NEAR)
        walk(a, of, NEAR, &l);
    else if (how == FAR)
        walk(a, of, FAR, &l);
    else
        walk(a, of, Q31, &l);
}

void octk_add_u8_avx512(const octk_map_u8 *a) {
    walk_by_law(a, ADD, a->by.law == OCTQ_Q31 ? 3 : 2);
}
void octk_mul_u8_avx512(const octk_map_u8 *a) { walk_by_law(a, MUL, 1); }
void octk_rescale_u8_avx512(const octk_map_u8 *a) { walk_by_law(a, RESCALE, 1); }

static void clip_run(const uint8_t *x, uint8_t *y, int32_t c, __m512i lo, __m512i hi) {
    int32_t i = 0;
    for (; i + 64 <= c; i += 64)
        _mm512_storeu_si512(y + i,
                            _mm512_min_epu8(_mm512_max_epu8(_mm512_loadu_si512(x + i), lo), hi));
    if (i == c) return;
    const __mmask64 rest = first(c - i);
    const __m512i v = _mm512_maskz_loadu_epi8(rest, x + i);
    _mm512_mask_storeu_epi8(y + i, rest, _mm512_min_epu8(_mm512_max_epu8(v, lo), hi));
}
void octk_clip_u8_avx512(const octk_map_u8 *a) {
    const __m512i lo = _mm512_set1_epi8((char)a->lo), hi = _mm512_set1_epi8((char)a->hi);
    EACH_RUN(a, clip_run(x, y, a->c, lo, hi));
}

/* How floats become codes. */
typedef struct grid {
    __m512 scale, inverse, least, most;
    octk_ends512 ends;
} grid;

INLINE __m512i divided(__m512 v, const grid *g) {
    v = _mm512_div_ps(v, g->scale);
    const __mmask16 number = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q); /* NaN -> z */
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_maskz_max_ps(number, v, g->least), g->most));
}
/* By the inverse (octk_inverse). */
INLINE __m512i multiplied(__m512 v, const grid *g) {
    const __m512 y = _mm512_mul_ps(v, g->inverse);
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_fnmadd_ps(g->scale, y, v), g->inverse, y));
}
/* Up to 32 floats of a row, each with its bit. */
typedef struct part {
    const float *x;
    uint8_t *y;
    uint32_t valid;
} part;

static inline uint32_t bits(int64_t n) { return n < 32 ? (1u << n) - 1 : UINT32_MAX; }
INLINE __m512 sixteen(const part *p, int k, const bool whole) {
    const float *x = p[k / 2].x + k % 2 * 16;
    return whole ? _mm512_loadu_ps(x)
                 : _mm512_maskz_loadu_ps((__mmask16)(p[k / 2].valid >> k % 2 * 16), x);
}
/* Two of them; whole: all 64, one behind the other. */
INLINE void quantize(const part *p, const bool whole, const grid *g) {
    __m512i q[4];
#define EACH_OF_FOUR(of)                                                                           \
    for (int k = 0; k < 4; k++) q[k] = of(sixteen(p, k, whole), g);
    EACH_OF_FOUR(multiplied)
    const __m512i least =
        _mm512_min_epi32(_mm512_min_epi32(q[0], q[1]), _mm512_min_epi32(q[2], q[3]));
    if (_mm512_cmpgt_epi32_mask(_mm512_set1_epi32(INT32_MIN + 1), least)) EACH_OF_FOUR(divided)
    const __m512i codes = octk_in_turn512(octk_packed512(q[0], q[1], q[2], q[3], g->ends));
    if (whole) {
        _mm512_storeu_si512(p->y, codes);
        return;
    }
    _mm256_mask_storeu_epi8(p[0].y, p[0].valid, _mm512_castsi512_si256(codes));
    _mm256_mask_storeu_epi8(p[1].y, p[1].valid, _mm512_extracti64x4_epi64(codes, 1));
}

void octk_quantize_f32u8_avx512(const octk_quantize_f32u8 *a) {
    const grid g = {.scale = _mm512_set1_ps(a->s),
                    .inverse = _mm512_set1_ps(octk_inverse(a->s)),
                    .least = _mm512_set1_ps((float)(a->qmin - a->z)),
                    .most = _mm512_set1_ps((float)(a->qmax - a->z)),
                    .ends = octk_ends512_of(a->z, a->qmin, a->qmax)};
    const int64_t n = a->n, rest = n % 64, whole = n - rest, pitch = a->pitch;
    const float *x = a->x;
    uint8_t *y = a->y;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < whole; i += 64)
            quantize((const part[]){{x + r * n + i, y + r * pitch + i, 0},
                                    {x + r * n + i + 32, NULL, 0}},
                     true, &g);
    /* what is left of a row, or of two where it is not much */
    const bool alone = rest > 32;
    for (int64_t r = 0; rest && r < a->rows; r += alone ? 1 : 2) {
        const part p = {x + r * n + whole, y + r * pitch + whole, bits(rest)},
                   q = alone             ? (part){p.x + 32, p.y + 32, bits(rest - 32)}
                       : r + 1 < a->rows ? (part){p.x + n, p.y + pitch, p.valid}
                                         : (part){p.x, p.y, 0};
        quantize((const part[]){p, q}, false, &g);
    }
}

void octk_dequantize_u8f32_avx512(const uint8_t *x, int64_t n, float s, int32_t z, float *y) {
    const __m512i zero = _mm512_set1_epi32(z);
    const __m512 scale = _mm512_set1_ps(s);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 rest = octk_first(n - i < 16 ? (int32_t)(n - i) : 16);
        const __m512i q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(rest, x + i));
        const __m512 v = _mm512_cvtepi32_ps(_mm512_sub_epi32(q, zero));
        _mm512_mask_storeu_ps(y + i, rest, _mm512_mul_ps(scale, v));
    }
}
