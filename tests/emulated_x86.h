/* SPDX-License-Identifier: MIT
 * tests/emulated_x86.h - AVX-512 and VNNI instructions in AVX2 and C, by the manual's words: before
 * a kernel's source (-include), so that its loops, layouts and epilogues run where no CPU has its
 * instructions. What it cannot show is that the instructions themselves do what the manual says. */
#ifndef OCT_TESTS_EMULATED_X86_H
#define OCT_TESTS_EMULATED_X86_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* ---- 512 bits as two halves ---- */

typedef struct emu512 {
    __m256i half[2];
} emu512;
static inline emu512 emu_load(const void *p) {
    emu512 v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void emu_store(void *p, emu512 v) { memcpy(p, &v, sizeof v); }
static inline emu512 emu_both(__m256i v) { return (emu512){{v, v}}; }
static inline __m128i emu_quarter(emu512 v, int i) {
    return i % 2 ? _mm256_extracti128_si256(v.half[i / 2], 1)
                 : _mm256_castsi256_si128(v.half[i / 2]);
}
static inline emu512 emu_insert(emu512 v, __m256i half, int i) { return v.half[i] = half, v; }
static inline emu512 emu_permute(emu512 order, emu512 v) {
    int32_t at[16], from[16], to[16];
    memcpy(at, &order, 64), memcpy(from, &v, 64);
    for (int i = 0; i < 16; i++) to[i] = from[at[i] & 15];
    return emu_load(to);
}
static inline emu512 emu_ints(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j,
                              int k, int l, int m, int n, int o, int p) {
    return emu_load((const int[]){a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p});
}
/* The first `n` bytes of v whose bit is set. */
static inline void emu_store_masked(void *p, uint64_t mask, const void *v, int n) {
    for (int i = 0; i < n; i++)
        if (mask >> i & 1) ((uint8_t *)p)[i] = ((const uint8_t *)v)[i];
}
#define EMU_BOTH(name, op)                                                                         \
    static inline emu512 name(emu512 a, emu512 b) {                                                \
        return (emu512){{op(a.half[0], b.half[0]), op(a.half[1], b.half[1])}};                     \
    }
EMU_BOTH(emu_max, _mm256_max_epi32)
EMU_BOTH(emu_min, _mm256_min_epi32)
EMU_BOTH(emu_packs32, _mm256_packs_epi32)
EMU_BOTH(emu_packus16, _mm256_packus_epi16)
EMU_BOTH(emu_adds16, _mm256_adds_epi16)
EMU_BOTH(emu_maxu8, _mm256_max_epu8)
EMU_BOTH(emu_minu8, _mm256_min_epu8)

typedef struct emu512f {
    __m256 half[2];
} emu512f;
static inline emu512f emu_loadf(const float *p) {
    return (emu512f){{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}};
}
static inline emu512f emu_mulf(emu512f a, emu512f b) {
    return (emu512f){{_mm256_mul_ps(a.half[0], b.half[0]), _mm256_mul_ps(a.half[1], b.half[1])}};
}
static inline emu512f emu_to_float(emu512 v) {
    return (emu512f){{_mm256_cvtepi32_ps(v.half[0]), _mm256_cvtepi32_ps(v.half[1])}};
}
static inline emu512 emu_to_int(emu512f v) {
    return (emu512){{_mm256_cvtps_epi32(v.half[0]), _mm256_cvtps_epi32(v.half[1])}};
}

#undef _mm512_extracti64x4_epi64 /* macros of some compilers */
#undef _mm512_extracti32x4_epi32
#undef _mm512_inserti64x4
#undef _mm512_setr_epi32
#define __m512i                             emu512
#define __m512                              emu512f
#define _mm512_loadu_si512(p)               emu_load(p)
#define _mm512_storeu_si512(p, v)           emu_store(p, v)
#define _mm512_castsi512_si256(v)           (v).half[0]
#define _mm512_castsi256_si512(v)           emu_both(v)
#define _mm512_castsi512_si128(v)           emu_quarter(v, 0)
#define _mm512_extracti64x4_epi64(v, i)     (v).half[i]
#define _mm512_extracti32x4_epi32(v, i)     emu_quarter(v, i)
#define _mm512_inserti64x4(v, h, i)         emu_insert(v, h, i)
#define _mm512_max_epi32(a, b)              emu_max(a, b)
#define _mm512_min_epi32(a, b)              emu_min(a, b)
#define _mm512_packs_epi32(a, b)            emu_packs32(a, b)
#define _mm512_packus_epi16(a, b)           emu_packus16(a, b)
#define _mm512_adds_epi16(a, b)             emu_adds16(a, b)
#define _mm512_max_epu8(a, b)               emu_maxu8(a, b)
#define _mm512_min_epu8(a, b)               emu_minu8(a, b)
#define _mm512_permutexvar_epi32(o, v)      emu_permute(o, v)
#define _mm512_setr_epi32(...)              emu_ints(__VA_ARGS__)
#define _mm512_setzero_si512()              emu_both(_mm256_setzero_si256())
#define _mm512_set1_epi32(i)                emu_both(_mm256_set1_epi32(i))
#define _mm512_set1_epi16(i)                emu_both(_mm256_set1_epi16(i))
#define _mm512_set1_epi8(i)                 emu_both(_mm256_set1_epi8(i))
#define _mm512_mask_storeu_epi8(p, mask, v) emu_store512(p, mask, v)
#define _mm256_mask_storeu_epi8(p, mask, v) emu_store256(p, mask, v)
#define _mm_mask_storeu_epi8(p, mask, v)    emu_store128(p, mask, v)
#define _mm512_castps512_ps256(v)           (v).half[0]
#define _mm512_setzero_ps()                 ((emu512f){{_mm256_setzero_ps(), _mm256_setzero_ps()}})
#define _mm512_loadu_ps(p)                  emu_loadf(p)
#define _mm512_mul_ps(a, b)                 emu_mulf(a, b)
#define _mm512_cvtepi32_ps(v)               emu_to_float(v)
#define _mm512_cvtps_epi32(v)               emu_to_int(v)
static inline void emu_store512(void *p, uint64_t mask, emu512 v) {
    emu_store_masked(p, mask, &v, 64);
}
static inline void emu_store256(void *p, uint32_t mask, __m256i v) {
    emu_store_masked(p, mask, &v, 32);
}
static inline void emu_store128(void *p, uint16_t mask, __m128i v) {
    emu_store_masked(p, mask, &v, 16);
}

/* ---- element by element ---- */

EMU_BOTH(emu_add32, _mm256_add_epi32)
EMU_BOTH(emu_sub32, _mm256_sub_epi32)
EMU_BOTH(emu_mul32, _mm256_mullo_epi32)
static inline emu512 emu_shift32(emu512 v, int by) {
    return (emu512){{_mm256_slli_epi32(v.half[0], by), _mm256_slli_epi32(v.half[1], by)}};
}
static inline emu512 emu_shift_right32(emu512 v, int by) {
    return (emu512){{_mm256_srli_epi32(v.half[0], by), _mm256_srli_epi32(v.half[1], by)}};
}
static inline emu512 emu_shift_signed32(emu512 v, int by) {
    return (emu512){{_mm256_srai_epi32(v.half[0], by), _mm256_srai_epi32(v.half[1], by)}};
}
static inline emu512 emu_blend16(uint32_t mask, emu512 a, emu512 b) {
    uint16_t x[32], y[32];
    memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) x[i] = y[i];
    memcpy(&a, x, sizeof x);
    return a;
}
static inline emu512 emu_shuffle_masked(emu512 into, uint64_t mask, emu512 v, emu512 order) {
    for (int i = 0; i < 2; i++) v.half[i] = _mm256_shuffle_epi8(v.half[i], order.half[i]);
    emu_store_masked(&into, mask, &v, 64);
    return into;
}
static inline emu512 emu_load_masked(uint64_t mask, const void *p) {
    emu512 v = emu_both(_mm256_setzero_si256());
    emu_store_masked(&v, mask, p, 64);
    return v;
}
static inline __m128i emu_load128(uint16_t mask, const void *p) {
    __m128i v = _mm_setzero_si128();
    emu_store_masked(&v, mask, p, 16);
    return v;
}
#define EMU_FLOATS(name, op)                                                                       \
    static inline emu512f name(emu512f a, emu512f b) {                                             \
        return (emu512f){{op(a.half[0], b.half[0]), op(a.half[1], b.half[1])}};                    \
    }
EMU_FLOATS(emu_addf, _mm256_add_ps)
EMU_FLOATS(emu_subf, _mm256_sub_ps)
EMU_FLOATS(emu_divf, _mm256_div_ps)
EMU_FLOATS(emu_maxf, _mm256_max_ps)
EMU_FLOATS(emu_minf, _mm256_min_ps)
static inline emu512f emu_fmsub(emu512f a, emu512f b, emu512f c) {
    return (emu512f){{_mm256_fmsub_ps(a.half[0], b.half[0], c.half[0]),
                      _mm256_fmsub_ps(a.half[1], b.half[1], c.half[1])}};
}
static inline emu512f emu_fmadd(emu512f a, emu512f b, emu512f c) {
    return (emu512f){{_mm256_fmadd_ps(a.half[0], b.half[0], c.half[0]),
                      _mm256_fmadd_ps(a.half[1], b.half[1], c.half[1])}};
}
static inline emu512f emu_fnmadd(emu512f a, emu512f b, emu512f c) {
    return (emu512f){{_mm256_fnmadd_ps(a.half[0], b.half[0], c.half[0]),
                      _mm256_fnmadd_ps(a.half[1], b.half[1], c.half[1])}};
}
static inline emu512 emu_bits(emu512f v) { return emu_load(&v); }
static inline emu512f emu_of_bits(emu512 v) { return emu_loadf((const void *)&v); }
static inline emu512f emu_max_masked(uint16_t mask, emu512f a, emu512f b) {
    float v[16] = {0};
    const emu512f m = emu_maxf(a, b);
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) memcpy(&v[i], (const char *)&m + 4 * i, 4);
    return emu_loadf(v);
}
static inline uint16_t emu_ordered(emu512f v) {
    uint32_t mask = 0;
    for (int i = 0; i < 2; i++) {
        const __m256 real = _mm256_cmp_ps(v.half[i], v.half[i], _CMP_ORD_Q);
        mask |= (uint32_t)_mm256_movemask_ps(real) << 8 * i;
    }
    return (uint16_t)mask;
}
static inline emu512f emu_loadf_masked(uint16_t mask, const float *p) {
    float v[16] = {0};
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) v[i] = p[i];
    return emu_loadf(v);
}
static inline void emu_storef_masked(float *p, uint16_t mask, emu512f v) {
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1) memcpy(p + i, (const char *)&v + 4 * i, 4);
}
static inline emu512 emu_widened(__m128i v) {
    return (emu512){{_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8))}};
}
static inline __m128i emu_narrowed(emu512 v) {
    uint8_t b[16];
    for (int i = 0; i < 16; i++) memcpy(b + i, (const char *)&v + 4 * i, 1);
    return _mm_loadu_si128((const void *)b);
}
static inline uint16_t emu_greater(emu512 a, emu512 b) {
    uint32_t mask = 0;
    for (int i = 0; i < 2; i++) {
        const __m256i more = _mm256_cmpgt_epi32(a.half[i], b.half[i]);
        mask |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(more)) << 8 * i;
    }
    return (uint16_t)mask;
}
#undef _mm512_slli_epi32 /* macros of some compilers */
#undef _mm512_srli_epi32
#undef _mm512_srai_epi32
#undef _mm512_cmp_ps_mask
#undef _mm512_cmpgt_epi32_mask
#define _mm512_cmpgt_epi32_mask(a, b)          emu_greater(a, b)
#define _mm512_add_epi32(a, b)                 emu_add32(a, b)
#define _mm512_sub_epi32(a, b)                 emu_sub32(a, b)
#define _mm512_mullo_epi32(a, b)               emu_mul32(a, b)
#define _mm512_slli_epi32(v, by)               emu_shift32(v, by)
#define _mm512_srli_epi32(v, by)               emu_shift_right32(v, by)
#define _mm512_srai_epi32(v, by)               emu_shift_signed32(v, by)
#define _mm512_mask_blend_epi16(mask, a, b)    emu_blend16(mask, a, b)
#define _mm512_set4_epi32(d, c, b, a)          emu_both(_mm256_setr_epi32(a, b, c, d, a, b, c, d))
#define _mm512_mask_shuffle_epi8(s, mask, ...) emu_shuffle_masked(s, mask, __VA_ARGS__)
#define _mm512_maskz_loadu_epi8(mask, p)       emu_load_masked(mask, p)
#define _mm_maskz_loadu_epi8(mask, p)          emu_load128(mask, p)
#define _mm512_add_ps(a, b)                    emu_addf(a, b)
#define _mm512_sub_ps(a, b)                    emu_subf(a, b)
#define _mm512_div_ps(a, b)                    emu_divf(a, b)
#define _mm512_max_ps(a, b)                    emu_maxf(a, b)
#define _mm512_min_ps(a, b)                    emu_minf(a, b)
#define _mm512_set1_ps(f)                      ((emu512f){{_mm256_set1_ps(f), _mm256_set1_ps(f)}})
#define _mm512_fmsub_ps(a, b, c)               emu_fmsub(a, b, c)
#define _mm512_fmadd_ps(a, b, c)               emu_fmadd(a, b, c)
#define _mm512_fnmadd_ps(a, b, c)              emu_fnmadd(a, b, c)
#define _mm512_castps_si512(v)                 emu_bits(v)
#define _mm512_castsi512_ps(v)                 emu_of_bits(v)
#define _mm512_maskz_max_ps(mask, a, b)        emu_max_masked(mask, a, b)
#define _mm512_cmp_ps_mask(a, b, ordered)      emu_ordered(a) /* with itself, what is no NaN */
#define _mm512_maskz_loadu_ps(mask, p)         emu_loadf_masked(mask, p)
#define _mm512_mask_storeu_ps(p, mask, v)      emu_storef_masked(p, mask, v)
#define _mm512_cvtepu8_epi32(v)                emu_widened(v)
#define _mm512_cvtepi32_epi8(v)                emu_narrowed(v)

/* ---- planes ---- */

EMU_BOTH(emu_shuffle, _mm256_shuffle_epi8)
EMU_BOTH(emu_low32, _mm256_unpacklo_epi32)
EMU_BOTH(emu_high32, _mm256_unpackhi_epi32)
static inline emu512 emu_widened16(__m256i v) {
    return (emu512){{_mm256_cvtepu8_epi16(_mm256_castsi256_si128(v)),
                     _mm256_cvtepu8_epi16(_mm256_extracti128_si256(v, 1))}};
}
static inline emu512 emu_permute_two(emu512 a, emu512 order, emu512 b) {
    int32_t at[16], from[32], to[16];
    memcpy(at, &order, 64), memcpy(from, &a, 64), memcpy(from + 16, &b, 64);
    for (int i = 0; i < 16; i++) to[i] = from[at[i] & 31];
    return emu_load(to);
}
#define _mm512_shuffle_epi8(v, order)          emu_shuffle(v, order)
#define _mm512_unpacklo_epi32(a, b)            emu_low32(a, b)
#define _mm512_unpackhi_epi32(a, b)            emu_high32(a, b)
#define _mm512_cvtepu8_epi16(v)                emu_widened16(v)
#define _mm512_permutex2var_epi32(a, order, b) emu_permute_two(a, order, b)

/* ---- pools ---- */

EMU_BOTH(emu_add16, _mm256_add_epi16)
EMU_BOTH(emu_sub16, _mm256_sub_epi16)
static inline emu512 emu_widened32(__m256i v) {
    return (emu512){{_mm256_cvtepu16_epi32(_mm256_castsi256_si128(v)),
                     _mm256_cvtepu16_epi32(_mm256_extracti128_si256(v, 1))}};
}
static inline __m256i emu_load256(uint32_t mask, const void *p) {
    __m256i v = _mm256_setzero_si256();
    emu_store_masked(&v, mask, p, 32);
    return v;
}
#define _mm512_add_epi16(a, b) emu_add16(a, b)
#define _mm512_sub_epi16(a, b) emu_sub16(a, b)
#define _mm512_slli_epi16(v, n)                                                                    \
    ((emu512){{_mm256_slli_epi16((v).half[0], n), _mm256_slli_epi16((v).half[1], n)}})
#define _mm512_cvtepu16_epi32(v)         emu_widened32(v)
#define _mm256_maskz_loadu_epi8(mask, p) emu_load256(mask, p)

/* ---- VPDPWSSD, VPDPBUSD ---- */

/* Of every 32 bits: two products of s16, or four of u8 (x) and s8 (w), added modulo 2^32. */
static inline __m256i emu_pairs(__m256i s, __m256i x, __m256i w) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(x, w));
}
static inline __m256i emu_quads(__m256i s, __m256i x, __m256i w) {
    uint32_t sum[8];
    uint8_t codes[32];
    int8_t weights[32];
    memcpy(sum, &s, 32), memcpy(codes, &x, 32), memcpy(weights, &w, 32);
    for (int i = 0; i < 32; i++) sum[i / 4] += (uint32_t)(codes[i] * weights[i]);
    memcpy(&s, sum, 32);
    return s;
}
#define EMU_512(name, op)                                                                          \
    static inline emu512 name(emu512 s, emu512 x, emu512 w) {                                      \
        return (emu512){                                                                           \
            {op(s.half[0], x.half[0], w.half[0]), op(s.half[1], x.half[1], w.half[1])}};           \
    }
EMU_512(emu_pairs_512, emu_pairs)
EMU_512(emu_quads_512, emu_quads)
/* A kernel's DOT: EMU_FOUR is pairs or quads. */
#define EMU_JOIN(a, b) a##b
#define EMU_NAME(a, b) EMU_JOIN(a, b)
#ifdef EMU_FOUR
#define DOT(s, x, weights)                                                                         \
    (s) = _Generic((s), emu512 : EMU_NAME(EMU_FOUR, _512), __m256i : EMU_FOUR)(s, x, weights)
#endif

#endif
