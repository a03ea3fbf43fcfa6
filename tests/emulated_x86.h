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
static inline emu512 emu_max(emu512 a, emu512 b) {
    return (emu512){
        {_mm256_max_epi32(a.half[0], b.half[0]), _mm256_max_epi32(a.half[1], b.half[1])}};
}
#undef _mm512_extracti64x4_epi64 /* a macro of some compilers */
#define __m512i                         emu512
#define _mm512_loadu_si512(p)           emu_load(p)
#define _mm512_storeu_si512(p, v)       emu_store(p, v)
#define _mm512_castsi512_si256(v)       (v).half[0]
#define _mm512_extracti64x4_epi64(v, i) (v).half[i]
#define _mm512_max_epi32(a, b)          emu_max(a, b)
#define _mm512_setzero_si512()          emu_both(_mm256_setzero_si256())
#define _mm512_set1_epi32(i)            emu_both(_mm256_set1_epi32(i))
#define _mm512_dpwssd_epi32(s, x, w)    emu_dpwssd(s, x, w)

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
static inline emu512 emu_dpwssd(emu512 s, emu512 x, emu512 w) {
    for (int i = 0; i < 2; i++) s.half[i] = emu_pairs(s.half[i], x.half[i], w.half[i]);
    return s;
}
static inline __m256i emu_step(const void *pixel) {
    int32_t four;
    memcpy(&four, pixel, 4);
    return _mm256_set1_epi32(four);
}
/* A kernel's DOT: EMU_FOUR is emu_pairs or emu_quads; EVEX takes where the step is and the lanes,
 * VEX the step itself. */
static inline void emu_evex16(emu512 *s, const void *pixel, emu512 w,
                              __m256i (*four)(__m256i, __m256i, __m256i)) {
    for (int i = 0; i < 2; i++) s->half[i] = four(s->half[i], emu_step(pixel), w.half[i]);
}
static inline void emu_evex8(__m256i *s, const void *pixel, __m256i w,
                             __m256i (*four)(__m256i, __m256i, __m256i)) {
    *s = four(*s, emu_step(pixel), w);
}
#if defined(EMU_EVEX)
#define DOT(s, pixel, weights, lanes) emu_evex##lanes(&(s), pixel, weights, EMU_EVEX)
#elif defined(EMU_VEX)
#define DOT(s, x, weights) (s) = EMU_VEX(s, x, weights)
#endif

#endif
