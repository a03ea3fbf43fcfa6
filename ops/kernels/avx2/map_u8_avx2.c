/* SPDX-License-Identifier: MIT
 * Element by element on codes, 16 at a time, and the borders. Multipliers here may drive a value
 * beyond s32, so values are clamped as floats before they become integers; where these cannot, 32
 * at a time without. */
#include "ops/kernels/avx2/requant_avx2.h"
#include "ops/kernels/map_runs.h"
#include "src/qround.h"

typedef struct law { /* of one call */
    __m256i zx, zx2, zy;
    __m256 mx, mx2, least, most; /* fp32 */
    octk_eight by[3];            /* q31 */
    __m256i low, high;
    /* fp32, 32 codes at a time */
    bool near; /* no value leaves s32 */
    bool lifts;
    bool bare; /* y has neither zero point nor clamp: behind a relu */
    __m256 zero, zero2;
    struct {
        __m256i low, high; /* bytes and words beside a code */
        __m256 less;
    } lift[2];
    octk_ends ends;
} law;

#define LIFT 0x1p15f /* a float of that with a code for its second byte is their sum */

static octk_eight all_of(const octq_multipliers *by, int64_t i) {
    const int32_t s = by->shift[i];
    return (octk_eight){.q31 = _mm256_set1_epi32(by->q31[i]),
                        .left = _mm256_set1_epi32(s > 0 ? s : 0),
                        .right = _mm256_set1_epi32(s > 0 ? 0 : -s)};
}

static law law_of(const octk_map_u8 *a, int records) {
    const bool q31 = a->by.law == OCTQ_Q31;
    law l; /* q31's records are not cleared: that takes longer than a row of codes */
    l.zx = _mm256_set1_epi32(a->zx);
    l.zx2 = _mm256_set1_epi32(a->zx2);
    l.zy = _mm256_set1_epi16((short)a->zy);
    l.mx = _mm256_set1_ps(q31 || records < 1 ? 0 : a->by.m[0]);
    l.mx2 = _mm256_set1_ps(q31 || records < 2 ? 0 : a->by.m[1]);
    l.least = _mm256_set1_ps((float)(a->lo - a->zy));
    l.most = _mm256_set1_ps((float)(a->hi - a->zy));
    l.low = _mm256_set1_epi32(a->lo - a->zy);
    l.high = _mm256_set1_epi32(a->hi - a->zy);
    l.near = !q31;
    l.zero = _mm256_set1_ps(LIFT + (float)a->zx);
    l.zero2 = _mm256_set1_ps(LIFT + (float)a->zx2);
    l.ends = octk_ends_of(a->zy, a->lo, a->hi);
    /* a product of two differences at most */
    for (int i = 0; !q31 && i < records; i++) l.near = l.near && a->by.m[i] < 0x1p30f / (255 * 255);
    for (int i = 0; q31 && i < records; i++) l.by[i] = all_of(&a->by, i);
    l.lifts = a->lift[0].bits;
    l.bare = !(a->zy | a->lo) && a->hi == UINT8_MAX;
    for (int i = 0; i < 2; i++) {
        l.lift[i].low = _mm256_set1_epi8((char)a->lift[i].bits);
        l.lift[i].high = _mm256_set1_epi16((short)(a->lift[i].bits >> 16));
        l.lift[i].less = _mm256_set1_ps(a->lift[i].less);
    }
    return l;
}

/* eight codes less their zero point */
static inline __m256i centred(const uint8_t *x, __m256i z) {
    return _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x)), z);
}
static inline __m256i rounded(__m256 v, __m256 least, __m256 most) {
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, least), most));
}
/* sixteen codes from two vectors of rounded ones */
static inline __m128i bytes(__m256i a, __m256i b, __m256i zy) {
    const __m256i p =
        _mm256_permute4x64_epi64(_mm256_adds_epi16(_mm256_packs_epi32(a, b), zy), 0xd8);
    return _mm_packus_epi16(_mm256_castsi256_si128(p), _mm256_extracti128_si256(p, 1));
}

static inline __m256i add8(const uint8_t *x, const uint8_t *x2, const law *l) {
    const __m256 p = _mm256_mul_ps(_mm256_cvtepi32_ps(centred(x, l->zx)), l->mx),
                 q = _mm256_mul_ps(_mm256_cvtepi32_ps(centred(x2, l->zx2)), l->mx2);
    return rounded(_mm256_add_ps(p, q), l->least, l->most);
}
static inline __m256i mul8(const uint8_t *x, const uint8_t *x2, const law *l) {
    const __m256i p = _mm256_mullo_epi32(centred(x, l->zx), centred(x2, l->zx2));
    return rounded(_mm256_mul_ps(_mm256_cvtepi32_ps(p), l->mx), l->least, l->most);
}
static inline __m256i rescale8(const uint8_t *x, const uint8_t *x2, const law *l) {
    (void)x2;
    return rounded(_mm256_mul_ps(_mm256_cvtepi32_ps(centred(x, l->zx)), l->mx), l->least, l->most);
}

static inline __m256i clamped(__m256i v, const law *l) {
    return _mm256_min_epi32(_mm256_max_epi32(v, l->low), l->high);
}
static inline __m256i add8_q31(const uint8_t *x, const uint8_t *x2, const law *l) {
    const __m256i p = _mm256_slli_epi32(centred(x, l->zx), OCTQ_Q31_ADD_SHIFT),
                  q = _mm256_slli_epi32(centred(x2, l->zx2), OCTQ_Q31_ADD_SHIFT);
    const __m256i sum =
        _mm256_add_epi32(octk_scaled_q31(p, &l->by[0]), octk_scaled_q31(q, &l->by[1]));
    return clamped(octk_scaled_q31(sum, &l->by[2]), l);
}
static inline __m256i mul8_q31(const uint8_t *x, const uint8_t *x2, const law *l) {
    const __m256i p = _mm256_mullo_epi32(centred(x, l->zx), centred(x2, l->zx2));
    return clamped(octk_scaled_q31(p, &l->by[0]), l);
}
static inline __m256i rescale8_q31(const uint8_t *x, const uint8_t *x2, const law *l) {
    (void)x2;
    return clamped(octk_scaled_q31(centred(x, l->zx), &l->by[0]), l);
}

/* Quarter k of each half of 32 codes: pairs of a byte of `low` and one of x, each with a word of
 * `high`. */
static inline __m256 lifted(__m256i x, int k, __m256i low, __m256i high) {
    const __m256i words = k < 2 ? _mm256_unpacklo_epi8(low, x) : _mm256_unpackhi_epi8(low, x);
    return _mm256_castsi256_ps(k % 2 ? _mm256_unpackhi_epi16(words, high)
                                     : _mm256_unpacklo_epi16(words, high));
}
/* Differences from the zero point, exact. */
static inline __m256 quarter(__m256i x, int k, __m256 zero) {
    return _mm256_sub_ps(lifted(x, k, _mm256_setzero_si256(), _mm256_set1_epi16(0x4700)), zero);
}
static inline __m256i add_quarter(__m256i x, __m256i x2, int k, const law *l) {
    return _mm256_cvtps_epi32(_mm256_add_ps(_mm256_mul_ps(quarter(x, k, l->zero), l->mx),
                                            _mm256_mul_ps(quarter(x2, k, l->zero2), l->mx2)));
}
static inline __m256 product(__m256i x, int k, int i, __m256 m, const law *l) {
    return _mm256_fmsub_ps(lifted(x, k, l->lift[i].low, l->lift[i].high), m, l->lift[i].less);
}
static inline __m256i add_lifted_quarter(__m256i x, __m256i x2, int k, const law *l) {
    return _mm256_cvtps_epi32(
        _mm256_add_ps(product(x, k, 0, l->mx, l), product(x2, k, 1, l->mx2, l)));
}
static inline __m256i mul_quarter(__m256i x, __m256i x2, int k, const law *l) {
    const __m256 p = _mm256_mul_ps(quarter(x, k, l->zero), quarter(x2, k, l->zero2));
    return _mm256_cvtps_epi32(_mm256_mul_ps(p, l->mx));
}
static inline __m256i rescale_quarter(__m256i x, __m256i x2, int k, const law *l) {
    (void)x2;
    return _mm256_cvtps_epi32(_mm256_mul_ps(quarter(x, k, l->zero), l->mx));
}

/* The first codes of a run, in whole 32s: how many. */
#define WIDE_RUN(name, of, codes)                                                                  \
    static inline int32_t name(const uint8_t *x, const uint8_t *x2, uint8_t *y, int32_t c,         \
                               const law *l) {                                                     \
        int32_t i = 0;                                                                             \
        for (; i + 32 <= c; i += 32) {                                                             \
            const __m256i a = _mm256_loadu_si256((const __m256i *)(x + i)),                        \
                          b = _mm256_loadu_si256((const __m256i *)(x2 + i));                       \
            _mm256_storeu_si256(                                                                   \
                (__m256i *)(y + i),                                                                \
                codes(of(a, b, 0, l), of(a, b, 1, l), of(a, b, 2, l), of(a, b, 3, l), l->ends));   \
        }                                                                                          \
        return i;                                                                                  \
    }
/* All 256, no zero point. */
static inline __m256i bare_codes(__m256i a, __m256i b, __m256i c, __m256i d, octk_ends none) {
    (void)none;
    return _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
}
WIDE_RUN(add_bare, add_lifted_quarter, bare_codes)
WIDE_RUN(add_lifted, add_lifted_quarter, octk_codes)
WIDE_RUN(add_near, add_quarter, octk_codes)
WIDE_RUN(mul_wide, mul_quarter, octk_codes)
WIDE_RUN(rescale_wide, rescale_quarter, octk_codes)
static inline int32_t add_wide(const uint8_t *x, const uint8_t *x2, uint8_t *y, int32_t c,
                               const law *l) {
    if (!l->lifts) return add_near(x, x2, y, c, l);
    return l->bare ? add_bare(x, x2, y, c, l) : add_lifted(x, x2, y, c, l);
}
static inline int32_t none_wide(const uint8_t *x, const uint8_t *x2, uint8_t *y, int32_t c,
                                const law *l) {
    return (void)x, (void)x2, (void)y, (void)c, (void)l, 0;
}

/* A run of c codes; what is left of it goes through a block, so that nothing beside it is read. */
#define RUN(name, eight, wide)                                                                     \
    static inline void name(const uint8_t *x, const uint8_t *x2, uint8_t *y, int32_t c,            \
                            const law *l) {                                                        \
        int32_t i = l->near ? wide(x, x2, y, c, l) : 0;                                            \
        for (; i + 16 <= c; i += 16)                                                               \
            _mm_storeu_si128((__m128i *)(y + i), bytes(eight(x + i, x2 + i, l),                    \
                                                       eight(x + i + 8, x2 + i + 8, l), l->zy));   \
        if (i == c) return;                                                                        \
        uint8_t rest[16] = {0}, rest2[16] = {0};                                                   \
        memcpy(rest, x + i, (size_t)(c - i));                                                      \
        memcpy(rest2, x2 + i, (size_t)(c - i));                                                    \
        octk_store_bytes(                                                                          \
            y + i, bytes(eight(rest, rest2, l), eight(rest + 8, rest2 + 8, l), l->zy), c - i);     \
    }
RUN(add_run, add8, add_wide)
RUN(mul_run, mul8, mul_wide)
RUN(rescale_run, rescale8, rescale_wide)
RUN(add_run_q31, add8_q31, none_wide)
RUN(mul_run_q31, mul8_q31, none_wide)
RUN(rescale_run_q31, rescale8_q31, none_wide)

static void clip_run(const uint8_t *x, uint8_t *y, int32_t c, uint8_t least, uint8_t most) {
    const __m256i lo = _mm256_set1_epi8((char)least), hi = _mm256_set1_epi8((char)most);
    int32_t i = 0;
    for (; i + 32 <= c; i += 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_min_epu8(_mm256_max_epu8(v, lo), hi));
    }
    for (; i < c; i++) {
        const uint8_t v = x[i] > least ? x[i] : least;
        y[i] = v < most ? v : most;
    }
}

void octk_add_u8_avx2(const octk_map_u8 *a) {
    const law l = law_of(a, a->by.law == OCTQ_Q31 ? 3 : 2);
    if (a->by.law == OCTQ_FP32)
        EACH_RUN(a, add_run(x, SECOND(a), y, a->c, &l))
    else
        EACH_RUN(a, add_run_q31(x, SECOND(a), y, a->c, &l))
}
void octk_mul_u8_avx2(const octk_map_u8 *a) {
    const law l = law_of(a, 1);
    if (a->by.law == OCTQ_FP32)
        EACH_RUN(a, mul_run(x, SECOND(a), y, a->c, &l))
    else
        EACH_RUN(a, mul_run_q31(x, SECOND(a), y, a->c, &l))
}
void octk_rescale_u8_avx2(const octk_map_u8 *a) {
    const law l = law_of(a, 1);
    if (a->by.law == OCTQ_FP32)
        EACH_RUN(a, rescale_run(x, x, y, a->c, &l))
    else
        EACH_RUN(a, rescale_run_q31(x, x, y, a->c, &l))
}
void octk_clip_u8_avx2(const octk_map_u8 *a) {
    EACH_RUN(a, clip_run(x, y, a->c, (uint8_t)a->lo, (uint8_t)a->hi))
}

/* How floats become codes. */
typedef struct grid {
    __m256 scale, inverse, least, most;
    octk_ends ends;
} grid;

static inline __m256i divided(const float *x, const grid *g) {
    const __m256 v = _mm256_div_ps(_mm256_loadu_ps(x), g->scale);
    /* NaN -> z */
    return rounded(_mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q)), g->least, g->most);
}
/* By the inverse (octk_inverse). */
static inline __m256i multiplied(const float *x, const grid *g) {
    const __m256 v = _mm256_loadu_ps(x), y = _mm256_mul_ps(v, g->inverse);
    return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_fnmadd_ps(g->scale, y, v), g->inverse, y));
}
/* Sixteen floats each from and to a place of their own. */
#define SIXTEEN(x, of) _mm256_packs_epi32(of(x, g), of((x) + 8, g))
static inline void put32(__m256i p, __m256i q, uint8_t *y, uint8_t *y2, const grid *g) {
    const __m256i codes = _mm256_permutevar8x32_epi32(octk_narrowed(p, q, g->ends),
                                                      _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm_storeu_si128((__m128i *)(void *)y, _mm256_castsi256_si128(codes));
    _mm_storeu_si128((__m128i *)(void *)y2, _mm256_extracti128_si256(codes, 1));
}
static __attribute__((noinline)) void divide32(const float *x, const float *x2, uint8_t *y,
                                               uint8_t *y2, const grid *g) {
    put32(SIXTEEN(x, divided), SIXTEEN(x2, divided), y, y2, g);
}
static inline void quantize32(const float *x, const float *x2, uint8_t *y, uint8_t *y2,
                              const grid *g) {
    const __m256i p = SIXTEEN(x, multiplied), q = SIXTEEN(x2, multiplied),
                  least = _mm256_min_epi16(p, q);
    if (_mm256_movemask_epi8(_mm256_cmpeq_epi16(least, _mm256_set1_epi16(INT16_MIN))))
        divide32(x, x2, y, y2, g);
    else
        put32(p, q, y, y2, g);
}

void octk_quantize_f32u8_avx2(const octk_quantize_f32u8 *a) {
    const grid g = {.scale = _mm256_set1_ps(a->s),
                    .inverse = _mm256_set1_ps(octk_inverse(a->s)),
                    .least = _mm256_set1_ps((float)(a->qmin - a->z)),
                    .most = _mm256_set1_ps((float)(a->qmax - a->z)),
                    .ends = octk_ends_of(a->z, a->qmin, a->qmax)};
    const float *x = a->x;
    uint8_t *y = a->y;
    const int64_t n = a->n, last = n - 16;
    for (int64_t r = a->rows, pitch = a->pitch; r > 0; r--, x += n, y += pitch) {
        int64_t i = 0;
        for (; i + 32 <= n; i += 32) quantize32(x + i, x + i + 16, y + i, y + i + 16, &g);
        if (i < n && last >= 0) { /* the last ones, some of them once more */
            const int64_t first = i < last ? i : last;
            quantize32(x + first, x + last, y + first, y + last, &g);
            i = n;
        }
        for (; i < n; i++) y[i] = (uint8_t)octq_quantize(x[i], a->s, a->z, a->qmin, a->qmax);
    }
}

void octk_dequantize_u8f32_avx2(const uint8_t *x, int64_t n, float s, int32_t z, float *y) {
    const __m256i zero = _mm256_set1_epi32(z);
    const __m256 scale = _mm256_set1_ps(s);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(centred(x + i, zero))));
    for (; i < n; i++) y[i] = octq_dequantize(x[i], s, z);
}
